"""The table of scalar functions: one row each, used by parsers, reverse mode, oracle, printers and backends.

A partial is written in the arguments and the result `y` of the call, so that tanh' is 1 - y**2 and
nothing is computed twice. Conventions: relu'(0) = 0 and leaky_relu'(0) = a, abs'(0) = 0, a tie of max or
min goes to the first; clip counts u strictly between its ends, and an end where u reaches it.

>>> FUNCTIONS["tanh"].partial(0, (sp.Symbol("u"),), sp.Symbol("y"))
1 - y**2
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import mpmath
import sympy as sp
from sympy import Expr, Function

from symgrad.core.errors import did_you_mean
from symgrad.core.expr import applied, where

Args = tuple[Expr, ...]
Partial = Callable[[int, Args, Expr], Expr]


@dataclass(frozen=True)
class ScalarFunction:
    """One row. `partial(place, args, y)` is the derivative by one argument, None where there is none to
    use. `code` is the NumPy spelling, the same for numba's scalars and for whole arrays.

    `arity` None means two or more arguments. `latex` None means an operator name; `latex` and `text`
    are a name, or fences around the argument, {}.
    """

    name: str
    head: Any
    partial: Partial | None
    reference: Callable[..., Any]
    code: str
    arity: int | None = 1
    spellings: tuple[str, ...] = ()
    latex: str | None = None
    text: str | None = None
    simple: bool = False  # written without brackets before a simple argument, as in log y


def _undefined(name: str) -> Any:
    return Function(name)


def _chosen(place: int, args: Args, beats: Any) -> Expr:
    """1 where argument `place` is the first extreme one."""
    value: Expr = sp.S.One
    for other, arg in enumerate(args):
        if other != place:
            # an earlier argument keeps a tie, so a later one must be strictly better
            strict = sp.Gt if beats is sp.Ge else sp.Lt
            test = (strict if other < place else beats)(args[place], arg, evaluate=False)
            value = where(test, value, sp.S.Zero)
    return value


_SQRT2, _SQRT_PI = sp.sqrt(2), sp.sqrt(sp.pi)


def _phi(u: Expr) -> Expr:
    return sp.exp(-(u**2) / 2) / sp.sqrt(2 * sp.pi)


def _positive(u: Expr, yes: Expr, no: Expr) -> Expr:
    """`no` at 0 too."""
    return where(sp.Gt(u, 0, evaluate=False), yes, no)


def _below_zero(u: Expr) -> Expr:
    return Function("minimum")(u, sp.S.Zero)


def _leaky_relu(place: int, args: Args, y: Expr) -> Expr:
    u, a = args
    return _below_zero(u) if place else _positive(u, sp.S.One, a)


def _clip(place: int, args: Args, y: Expr) -> Expr:
    """The three parts add up to 1, also where the ends meet or cross and y is the upper one."""
    u, lo, hi = args
    conditions = (
        (sp.Gt(u, lo, evaluate=False), sp.Lt(u, hi, evaluate=False)),
        (sp.Le(u, lo, evaluate=False), sp.Lt(lo, hi, evaluate=False)),
        (sp.Ge(y, hi, evaluate=False),),
    )[place]
    return sp.Mul(*(where(condition, sp.S.One, sp.S.Zero) for condition in conditions))


def _row(
    name: str, head: Any, partial: Callable[[Expr, Expr], Expr] | None, reference: Any, code: str, **more: Any
) -> ScalarFunction:
    by_place: Partial | None = None if partial is None else lambda place, args, y: partial(args[0], y)
    return ScalarFunction(name, head, by_place, reference, code, **more)


def _logistic(u: Any) -> Any:
    return 1 / (1 + mpmath.exp(-u))


def _gelu(u: Any) -> Any:
    return u * mpmath.ncdf(u)


# Klambauer et al. 2017, section 2: lambda, and lambda times alpha
SELU_ABOVE, SELU_BELOW = "1.0507009873554805", "1.7580993408473768"


def _selu(u: Any) -> Any:
    return mpmath.mpf(SELU_ABOVE) * u if u > 0 else mpmath.mpf(SELU_BELOW) * mpmath.expm1(u)


ROWS: tuple[ScalarFunction, ...] = (
    _row("exp", sp.exp, lambda u, y: y, mpmath.exp, "np.exp({0})"),
    _row("log", sp.log, lambda u, y: 1 / u, mpmath.log, "np.log({0})", spellings=("ln",), simple=True),
    _row("sin", sp.sin, lambda u, y: applied(sp.cos, [u]), mpmath.sin, "np.sin({0})", simple=True),
    _row("cos", sp.cos, lambda u, y: -applied(sp.sin, [u]), mpmath.cos, "np.cos({0})", simple=True),
    _row("tan", sp.tan, lambda u, y: 1 + y**2, mpmath.tan, "np.tan({0})", simple=True),
    _row(
        "asin",
        sp.asin,
        lambda u, y: 1 / sp.sqrt(1 - u**2),
        mpmath.asin,
        "np.arcsin({0})",
        spellings=("arcsin",),
        latex=r"\arcsin",
        text="arcsin",
    ),
    _row(
        "acos",
        sp.acos,
        lambda u, y: -1 / sp.sqrt(1 - u**2),
        mpmath.acos,
        "np.arccos({0})",
        spellings=("arccos",),
        latex=r"\arccos",
        text="arccos",
    ),
    _row(
        "atan",
        sp.atan,
        lambda u, y: 1 / (1 + u**2),
        mpmath.atan,
        "np.arctan({0})",
        spellings=("arctan",),
        latex=r"\arctan",
        text="arctan",
    ),
    _row(
        "asinh",
        sp.asinh,
        lambda u, y: 1 / sp.sqrt(1 + u**2),
        mpmath.asinh,
        "np.arcsinh({0})",
        spellings=("arsinh", "arcsinh"),
        latex=r"\operatorname{arsinh}",
        text="arsinh",
    ),
    _row(
        "acosh",
        sp.acosh,
        lambda u, y: 1 / sp.sqrt(u**2 - 1),
        mpmath.acosh,
        "np.arccosh({0})",
        spellings=("arcosh", "arccosh"),
        latex=r"\operatorname{arcosh}",
        text="arcosh",
    ),
    _row(
        "atanh",
        sp.atanh,
        lambda u, y: 1 / (1 - u**2),
        mpmath.atanh,
        "np.arctanh({0})",
        spellings=("artanh", "arctanh"),
        latex=r"\operatorname{artanh}",
        text="artanh",
    ),
    _row("sinh", sp.sinh, lambda u, y: sp.cosh(u), mpmath.sinh, "np.sinh({0})", simple=True),
    _row("cosh", sp.cosh, lambda u, y: sp.sinh(u), mpmath.cosh, "np.cosh({0})", simple=True),
    _row("tanh", sp.tanh, lambda u, y: 1 - y**2, mpmath.tanh, "np.tanh({0})", simple=True),
    _row(
        "sech",
        _undefined("sech"),
        lambda u, y: -y * sp.tanh(u),
        mpmath.sech,
        "_sech({0})",
        latex=r"\operatorname{sech}",
        simple=True,
    ),
    _row(
        "abs",
        _undefined("abs"),
        lambda u, y: Function("sign")(u),
        mpmath.fabs,
        "np.abs({0})",
        latex=r"\left|{}\right|",
        text="|{}|",
    ),
    _row("sign", _undefined("sign"), lambda u, y: sp.S.Zero, mpmath.sign, "np.sign({0})", spellings=("sgn",)),
    _row(
        "floor",
        _undefined("floor"),
        None,
        mpmath.floor,
        "np.floor({0})",
        latex=r"\left\lfloor {} \right\rfloor",
        text="⌊{}⌋",
    ),
    _row(
        "ceil",
        _undefined("ceil"),
        None,
        mpmath.ceil,
        "np.ceil({0})",
        spellings=("ceiling",),
        latex=r"\left\lceil {} \right\rceil",
        text="⌈{}⌉",
    ),
    _row(
        "stop",
        _undefined("stop"),
        lambda u, y: sp.S.Zero,
        lambda u: u,
        "np.positive({0})",
        spellings=("stop_gradient", "detach"),
    ),
    _row("erf", sp.erf, lambda u, y: 2 * sp.exp(-(u**2)) / _SQRT_PI, mpmath.erf, "_erf({0})"),
    # not SymPy's, which writes erfc(-u) as 2 - erfc(u): all digits are lost where u < 0
    _row("erfc", _undefined("erfc"), lambda u, y: -2 * sp.exp(-(u**2)) / _SQRT_PI, mpmath.erfc, "_erfc({0})"),
    _row(
        "lgamma",
        _undefined("lgamma"),
        lambda u, y: Function("digamma")(u),
        lambda u: mpmath.re(mpmath.loggamma(u)),  # log of the absolute value
        "_lgamma({0})",
        spellings=("loggamma",),
        latex=r"\log\Gamma",
        text="log Γ",
    ),
    _row(
        "digamma",
        _undefined("digamma"),
        lambda u, y: Function("trigamma")(u),
        mpmath.digamma,
        "_digamma({0})",
        latex=r"\psi",
        text="ψ",
    ),
    _row(
        "trigamma",
        _undefined("trigamma"),
        lambda u, y: Function("polygamma2")(u),
        lambda u: mpmath.polygamma(1, u),
        "_trigamma({0})",
        latex=r"\psi'",
        text="ψ′",
    ),
    _row(
        "polygamma2",
        _undefined("polygamma2"),
        lambda u, y: Function("polygamma3")(u),
        lambda u: mpmath.polygamma(2, u),
        "_polygamma2({0})",
        latex=r"\psi''",
        text="ψ″",
    ),
    _row(
        "polygamma3",
        _undefined("polygamma3"),
        None,
        lambda u: mpmath.polygamma(3, u),
        "_polygamma3({0})",
        latex=r"\psi'''",
        text="ψ‴",
    ),
    # not y + 1, which is 0 where exp(u) is small
    _row("expm1", _undefined("expm1"), lambda u, y: sp.exp(u), mpmath.expm1, "np.expm1({0})"),
    _row("log1p", _undefined("log1p"), lambda u, y: 1 / (1 + u), mpmath.log1p, "np.log1p({0})"),
    _row(
        "logistic",
        _undefined("logistic"),
        lambda u, y: y * (1 - y),
        _logistic,
        "_logistic({0})",
        spellings=("sigmoid", "expit"),
        latex=r"\sigma",
        text="σ",
    ),
    _row(
        "softplus",
        _undefined("softplus"),
        lambda u, y: Function("logistic")(u),
        lambda u: mpmath.log1p(mpmath.exp(u)),
        "_softplus({0})",
    ),
    ScalarFunction(
        "logaddexp",
        _undefined("logaddexp"),
        lambda place, args, y: Function("logistic")(args[place] - args[1 - place]),
        lambda u, v: max(u, v) + mpmath.log1p(mpmath.exp(-abs(u - v))) if u != v else u + mpmath.log(2),
        "_logaddexp({0}, {1})",
        arity=2,
    ),
    _row(
        "relu",
        _undefined("relu"),
        lambda u, y: _positive(u, sp.S.One, sp.S.Zero),
        lambda u: u if u > 0 else mpmath.mpf(0),
        "np.maximum({0}, {zero})",
    ),
    ScalarFunction(
        "leaky_relu",
        _undefined("leaky_relu"),
        _leaky_relu,
        lambda u, a: u if u > 0 else a * u,
        "_leaky_relu({0}, {1})",
        arity=2,
        spellings=("lrelu",),
        latex=r"\operatorname{lrelu}",
        text="lrelu",
    ),
    _row(
        "elu",
        _undefined("elu"),
        lambda u, y: sp.exp(_below_zero(u)),
        lambda u: u if u > 0 else mpmath.expm1(u),
        "_elu({0})",
    ),
    _row(
        "selu",
        _undefined("selu"),
        lambda u, y: _positive(u, sp.Float(SELU_ABOVE, 40), sp.Float(SELU_BELOW, 40) * sp.exp(_below_zero(u))),
        _selu,
        "_selu({0})",
    ),
    _row("gelu", _undefined("gelu"), lambda u, y: Function("erfc")(-1 / _SQRT2 * u) / 2 + u * _phi(u), _gelu, "_gelu({0})"),
    _row(
        "silu",
        _undefined("silu"),
        lambda u, y: Function("logistic")(u) * (1 + u * (1 - Function("logistic")(u))),
        lambda u: u * _logistic(u),
        "_silu({0})",
        spellings=("swish",),
    ),
    ScalarFunction(
        "clip",
        _undefined("clip"),
        _clip,
        lambda u, lo, hi: min(max(u, lo), hi),
        "np.minimum(np.maximum({0}, {1}), {2})",
        arity=3,
    ),
    ScalarFunction(
        "max",
        _undefined("maximum"),
        lambda place, args, y: _chosen(place, args, sp.Ge),
        max,
        "np.maximum({0}, {1})",
        arity=None,
        latex=r"\max",
        spellings=("maximum",),
    ),
    ScalarFunction(
        "min",
        _undefined("minimum"),
        lambda place, args, y: _chosen(place, args, sp.Le),
        min,
        "np.minimum({0}, {1})",
        arity=None,
        latex=r"\min",
        spellings=("minimum",),
    ),
)


def _sinc(u: Any) -> Any:
    return mpmath.sinc(u)


def _sinc_slope(u: Any) -> Any:
    with mpmath.extradps(2 * max(0, -mpmath.mag(u)) // 3 if u else 0):
        return (mpmath.cos(u) - mpmath.sinc(u)) / u if u else mpmath.mpf(0)


def _share(u: Any, top: Any, excess: Any) -> Any:
    return (u - top) - excess


def _share_less(c: Any, d: Any, u: Any, top: Any, excess: Any) -> Any:
    return c * mpmath.exp(u - top - excess) - d


# what rules of stability write in place of a textbook's expressions: users do not call them
INTERNAL: tuple[ScalarFunction, ...] = (
    # sqrt of a sum of squares: where it is 0, all of them are, and the slope by each is taken for 0
    _row(
        "root",
        _undefined("root"),
        lambda u, y: where(sp.Gt(y, 0, evaluate=False), 1 / (2 * y), sp.S.Zero),
        mpmath.sqrt,
        "np.sqrt({0})",
    ),
    # a log b, 0 where a is 0 whatever b is
    ScalarFunction(
        "xlogy",
        _undefined("xlogy"),
        lambda place, args, y: where(sp.Ne(args[0], 0, evaluate=False), args[0] / args[1], sp.S.Zero) if place else sp.log(args[1]),
        lambda a, b: a * mpmath.log(b) if a else mpmath.mpf(0),
        "_xlogy({0}, {1})",
        arity=2,
    ),
    # sin u / u, and its slope (cos u - sin u / u)/u
    _row("sinc", _undefined("sinc"), lambda u, y: Function("sinc_slope")(u), _sinc, "_sinc({0})"),
    _row(
        "sinc_slope",
        _undefined("sinc_slope"),
        lambda u, y: where(sp.Ne(u, 0, evaluate=False), -Function("sinc")(u) - 2 * y / u, -sp.Rational(1, 3)),
        _sinc_slope,
        "_sinc_slope({0})",
    ),
    # log e^(u - L) and c e^(u - L) - d, where L = top + excess is the log of a sum of exponentials and top the largest exponent
    ScalarFunction("log_share", _undefined("log_share"), None, _share, "_log_share({0}, {1}, {2})", arity=3),
    ScalarFunction("share_less", _undefined("share_less"), None, _share_less, "_share_less({0}, {1}, {2}, {3}, {4})", arity=5),
)

FUNCTIONS: dict[str, ScalarFunction] = {spelling: row for row in ROWS for spelling in (row.name, *row.spellings)}
# SymPy makes its own Abs of the root of an index squared
BY_HEAD: dict[Any, ScalarFunction] = {**{row.head: row for row in (*ROWS, *INTERNAL)}, sp.Abs: FUNCTIONS["abs"]}

# functions of whole arrays, and what is written for them with indices: as text, as LaTeX
WHOLE_ARRAYS: dict[str, tuple[str, str]] = {
    "softmax": ("p[k] = exp(a[k])/sum(exp(a[l]) for l)", r"p_k = \frac{e^{a_k}}{\sum_l e^{a_l}}"),
    "norm": ("sqrt(sum(x[i]^2 for i))", r"\sqrt{\sum_i x_i^2}"),
    "dot": ("sum(x[i]*y[i] for i)", r"\sum_i x_i y_i"),
    "matmul": ("y[i] = sum(A[i,j]*x[j] for j)", r"y_i = \sum_j A_{ij} x_j"),
    "trace": ("sum(A[i,i] for i)", r"\sum_i A_{ii}"),
    "transpose": ("B[i,j] = A[j,i]", r"B_{ij} = A_{ji}"),
    "std": ("sqrt(mean((x[i] - m)^2 for i))", r"\sqrt{\frac{1}{N} \sum_{i=1}^N (x_i - m)^2}"),
    "var": ("mean((x[i] - m)^2 for i)", r"\frac{1}{N} \sum_{i=1}^N (x_i - m)^2"),
}


def arguments(count: int | str) -> str:
    return f"{count} argument{'' if count == 1 else 's'}"


def function_hint(name: str, known: Iterable[str], otherwise: str, latex: bool = False) -> str:
    """What to write where no function `name` is known."""
    whole = WHOLE_ARRAYS.get(name.lower())
    if whole:
        return f"with indices: {whole[latex]}"
    return did_you_mean(name, [*FUNCTIONS, *known]) or otherwise
