"""Expression → Python text, for scalars in loops (numba) and for whole arrays (numpy).

Numbers are typed by the precision, since float32 times a Python number would be float64.
"""

from __future__ import annotations

import keyword
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from symgrad.core.affine import MAXIMUM, MINIMUM
from symgrad.core.errors import SymgradError
from symgrad.core.expr import is_access, is_index, is_where
from symgrad.core.functions import BY_HEAD

# names that emitted modules use themselves; those with a leading _ cannot come from a model
RESERVED = {
    *("np", "math", "njit", "F", "range", "len", "min", "max", "abs", "int", "float", "print", "str", "type", "super", "set"),
    *("epochs", "batch", "shuffle", "order", "random", "history", "steps", "examples", "epoch", "total", "place", "start", "row"),
    *("DataError", "ValueError", "check", "buffers", "value_and_grad", "forward", "step", "fit"),
    *("bool", "dict", "tuple", "Mapping", "ArrayLike", "NDArray", "jax", "jnp", "lax", "torch", "carry"),
}
COMPARE = {sp.Gt: ">", sp.Ge: ">=", sp.Lt: "<", sp.Le: "<=", sp.Eq: "==", sp.Ne: "!="}
EXTREMES = {MAXIMUM: "max", MINIMUM: "min"}
ADD, MUL, NEG, POW, ATOM = 1, 2, 2, 4, 5


def python_name(name: str) -> str:
    """A name of the model as a Python identifier that clashes with nothing in an emitted module."""
    if name.startswith("|"):
        return f"n_{name.strip('|')}_"  # a model's names do not end so
    if not name.isidentifier() or not name.isascii():
        raise SymgradError("SG209", f"{name!r} cannot name a quantity in emitted code")
    return f"{name}_" if keyword.iskeyword(name) or name in RESERVED or name.startswith("_") else name


@dataclass(frozen=True)
class Code:
    """`read` writes an access, `index` an index or extent; `arrays` selects NumPy's forms of choices.

    `call` replaces NumPy's spelling of a function by the backend's own.
    """

    dtype: str
    read: Callable[[Any], str]
    index: Callable[[Any], str]
    arrays: bool = False
    call: Callable[[str], str] = str

    def __call__(self, expr: Any, least: int = 0) -> str:
        text, binds = self.render(expr)
        return f"({text})" if binds < least else text

    def number(self, number: Any) -> str:
        if number is sp.oo or number is -sp.oo:
            text = "np.inf" if number is sp.oo else "-np.inf"
        elif number.is_Integer:
            text = f"{int(number)}" if self.dtype == "float32" else f"{int(number)}.0"
        else:
            text = repr(float(number))
        return f"F({text})" if self.dtype == "float32" else text

    def render(self, expr: Any) -> tuple[str, int]:
        if expr.is_Number or expr in (sp.pi, sp.E) or (expr.is_number and not expr.has(sp.Function)):
            text = self.number(expr if expr.is_Number else sp.N(expr, 20))
            return text, ADD if text.startswith("-") else ATOM
        if is_index(expr):
            return self.value_of_index(expr), ATOM
        if is_access(expr):
            return self.read(expr), ATOM
        if expr.is_Add:
            return self.add(expr), ADD
        if expr.is_Mul:
            return self.mul(expr)
        if expr.is_Pow:
            return self.pow(expr)
        if is_where(expr):
            return self.where(expr), ATOM
        if type(expr) in COMPARE:
            return f"{self(expr.lhs, ADD)} {COMPARE[type(expr)]} {self(expr.rhs, ADD)}", 0
        return self.function(expr), ATOM

    def value_of_index(self, expr: Any) -> str:
        return f"F({self.index(expr)})"

    def add(self, expr: Any) -> str:
        terms = sorted(expr.args, key=lambda t: bool(t.could_extract_minus_sign()))
        out = self(terms[0])
        for term in terms[1:]:
            minus = term.could_extract_minus_sign()
            out += f" - {self(-term, MUL)}" if minus else f" + {self(term, MUL)}"
        return out

    def mul(self, expr: Any) -> tuple[str, int]:
        number, _ = expr.as_coeff_Mul()
        if number.is_number and number < 0:
            return f"-{self(-expr, NEG)}", ADD
        above, below = [], []
        for factor in expr.args:
            if factor.is_Rational and not factor.is_Integer:
                above += [sp.Integer(factor.p)] if factor.p != 1 else []
                below.append(sp.Integer(factor.q))
            elif factor.is_Pow and factor.exp.is_number and factor.exp.is_negative:
                below.append(factor.base**-factor.exp)
            else:
                above.append(factor)
        out = "*".join(self(f, MUL) for f in above) or self.number(sp.S.One)
        if below:
            out += "/" + self.divisor(self(below[0], POW) if len(below) == 1 else "(" + "*".join(self(f, MUL) for f in below) + ")")
        return out, MUL

    def divisor(self, text: str) -> str:
        """A number that must not be 0, or of which there may be no power."""
        return text

    def pow(self, expr: Any) -> tuple[str, int]:
        base, exponent = expr.base, expr.exp
        if exponent == sp.S.Half:
            return f"np.sqrt({self.divisor(self(base))})", ATOM
        if exponent.is_number and exponent.is_negative:
            return f"{self.number(sp.S.One)}/{self.divisor(self(base**-exponent, POW))}", MUL
        if exponent == 2 and base.is_Symbol:
            return f"{self(base, MUL)}*{self(base, MUL)}", MUL
        if exponent.is_Integer and exponent <= 64:
            return f"{self(base, ATOM)}**{int(exponent)}", POW
        return f"{self.divisor(self(base, ATOM))}**{self(exponent, ATOM)}", POW

    def where(self, expr: Any) -> str:
        condition, yes, no = map(self, expr.args)
        return f"np.where({condition}, {yes}, {no})" if self.arrays else f"({yes} if {condition} else {no})"

    def function(self, expr: Any) -> str:
        row = BY_HEAD[expr.func]
        args, code = [self(arg) for arg in expr.args], self.call(row.code)
        zero = self.number(sp.S.Zero)
        if row.arity is None:
            out = args[0]
            for arg in args[1:]:
                out = code.format(out, arg, zero=zero)
            return out
        return code.format(*args, zero=zero)


def affine(expr: Any, names: Mapping[Any, str] | None = None, read: Callable[[Any], str] | None = None) -> str:
    """An integer expression of indices, extents and, by `read`, integer arrays."""
    names = names or {}

    def atom(node: Any) -> Any:
        if node.func in EXTREMES:
            return sp.Symbol(f"{EXTREMES[node.func]}({', '.join(affine(arg, names, read) for arg in node.args)})")
        if is_index(node):
            return sp.Symbol(names[node] if node in names else python_name(str(node)))
        if is_access(node) and read is not None:
            return sp.Symbol(read(node))
        return node.func(*map(atom, node.args)) if node.args else node

    return str(atom(sp.expand(expr)))


def indent(text: str) -> str:
    return textwrap.indent(text, "    ")


# functions of one number; arrays take the same text or their own below, and what calls `math` is vectorized
_DEFINITIONS = """
def _logistic(u):
    e = np.exp(-np.abs(u))
    return (F(1) if u >= F(0) else e)/(F(1) + e)

def _sech(u):
    e = np.exp(-np.abs(u))
    return F(2)*e/(F(1) + e*e)

def _logaddexp(u, v):
    top = np.maximum(u, v)
    return top + np.log1p(np.exp(F(0) if u == v else np.minimum(u, v) - top))

def _xlogy(a, b):
    return F(0) if a == F(0) else a*np.log(b)

def _sinc(u):
    return np.sin(u)/u if u != F(0) else F(1)

def _sinc_slope(u):
    z = u*u
    if z < F(1):
        return -u*(F(1)/F(3) - z*(F(1)/F(30) - z*(F(1)/F(840) - z*(F(1)/F(45360) - z*(F(1)/F(3991680) - z*(F(1)/F(518918400)
            - z/F(93405312000)))))))
    return (np.cos(u) - np.sin(u)/u)/u

def _log_share(u, top, excess):
    return (u - top) - excess

def _share_less(c, d, u, top, excess):
    near = (c - d) + c*np.expm1(-excess)
    far = c*np.exp((u - top) - excess) - d
    return near if u == top else far

def _softplus(u):
    return np.maximum(u, F(0)) + np.log1p(np.exp(-np.abs(u)))

def _gelu(u):
    return F(0.5)*u*_erfc(-F(0.7071067811865476)*u)

def _silu(u):
    return u*_logistic(u)

def _leaky_relu(u, a):
    return np.maximum(u, F(0)) + a*np.minimum(u, F(0))

def _elu(u):
    return np.maximum(u, F(0)) + np.expm1(np.minimum(u, F(0)))

def _selu(u):
    return F(1.0507009873554805)*np.maximum(u, F(0)) + F(1.7580993408473768)*np.expm1(np.minimum(u, F(0)))

def _erf(u):
    return F(math.erf(u))

def _erfc(u):
    return F(math.erfc(u))

def _lgamma(u):
    x = float(u)
    if x > 2.55634e305 or (x <= 0.0 and x == np.floor(x)):
        return F(np.inf)
    return F(math.lgamma(x))

def _digamma(u):
    x, total = float(u), 0.0
    if x <= 0.0:
        if x == np.floor(x):
            return F(np.nan)
        total = -math.pi/math.tan(math.pi*(x - np.floor(x + 0.5)))
        x = 1.0 - x
    while x < 16.0:
        total -= 1.0/x
        x += 1.0
    r = 1.0/x
    z = r*r
    return F(total + math.log(x) - 0.5*r - z*(1/12 - z*(1/120 - z*(1/252 - z*(1/240 - z*(1/132 - z*(691/32760)))))))

def _trigamma(u):
    x, total, sign = float(u), 0.0, 1.0
    if x <= 0.0:
        if x == np.floor(x):
            return F(np.inf)
        s = math.pi/math.sin(math.pi*(x - np.floor(x + 0.5)))
        x, total, sign = 1.0 - x, s*s, -1.0
    while x < 16.0:
        r = 1.0/x
        total += sign*r*r
        x += 1.0
    r = 1.0/x
    z = r*r
    tail = r + 0.5*z + r*z*(1/6 - z*(1/30 - z*(1/42 - z*(1/30 - z*(5/66 - z*(691/2730))))))
    return F(total + sign*tail)

def _polygamma2(u):
    x, total = float(u), 0.0
    if x <= 0.0:
        if x == np.floor(x):
            return F(np.nan)
        r = x - np.floor(x + 0.5)
        s = math.pi/math.sin(math.pi*r)
        x, total = 1.0 - x, -2.0*s*s*s*math.sin(math.pi*(0.5 - abs(r)))
    while x < 16.0:
        r = 1.0/x
        total -= 2.0*r*r*r
        x += 1.0
    r = 1.0/x
    z = r*r
    return F(total - z - r*z - z*z*(1/2 - z*(1/6 - z*(1/6 - z*(3/10 - z*(5/6 - z*(691/210 - z*(35/2))))))))

def _polygamma3(u):
    x, total, sign = float(u), 0.0, 1.0
    if x <= 0.0:
        if x == np.floor(x):
            return F(np.inf)
        s = math.pi/math.sin(math.pi*(x - np.floor(x + 0.5)))
        x, total, sign = 1.0 - x, 2.0*s*s*(3.0*s*s - 2.0*math.pi*math.pi), -1.0
    while x < 16.0:
        r = 1.0/x
        total += sign*6.0*(r*r)*(r*r)
        x += 1.0
    r = 1.0/x
    z = r*r
    tail = r*z*(2.0 + 3.0*r + z*(2.0 - z*(1.0 - z*(4/3 - z*(3.0 - z*(10.0 - z*(691/15 - z*280.0)))))))
    return F(total + sign*tail)
"""
_FOR_ARRAYS = """
def _logistic(u):
    e = np.exp(-np.abs(u))
    return np.where(u >= F(0), F(1), e)/(F(1) + e)

def _logaddexp(u, v):
    return np.logaddexp(u, v)

def _xlogy(a, b):
    return np.where(a == F(0), F(0), a*np.log(np.where(a == F(0), F(1), b)))

def _sinc(u):
    return np.where(u == F(0), F(1), np.sin(u)/np.where(u == F(0), F(1), u))

def _sinc_slope(u):
    z = np.minimum(u*u, F(1))
    near = -u*(1/3 - z*(1/30 - z*(1/840 - z*(1/45360 - z*(1/3991680 - z*(1/518918400 - z/93405312000))))))
    far = np.where(u*u < F(1), F(1), u)
    return np.where(u*u < F(1), near, (np.cos(far) - np.sin(far)/far)/far).astype(F)

def _share_less(c, d, u, top, excess):
    near = (c - d) + c*np.expm1(-excess)
    return np.where(u == top, near, c*np.exp((u - top) - excess) - d)
"""


def named(definitions: str) -> dict[str, str]:
    """Name → text, of definitions with an empty line between."""
    return {text[len("def ") : text.index("(")]: text for text in definitions.strip().split("\n\n")}


HELPERS, FOR_ARRAYS = named(_DEFINITIONS), named(_FOR_ARRAYS)


def used_definitions(body: str, names: Iterable[str], define: Callable[[str], str]) -> str:
    """The definitions of the names that a body calls, those they call first."""
    wanted: dict[str, str] = {}

    def need(text: str, within: str = "") -> None:
        called = set(re.findall(r"(?<![\w.])_\w+(?=\()", text))
        for name in dict.fromkeys(names):
            if name in called and name not in {*wanted, within}:
                need(define(name), name)
                wanted[name] = define(name)

    need(body)
    return "\n\n\n".join(wanted.values())
