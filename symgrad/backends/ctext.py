"""The Python of a kernel's loops → C99: the subset that nests.py and pycode.py write, and nothing else.

Whole numbers are `ptrdiff_t`, or `int64_t` in arrays; all else is double, or float. An array is one pointer to its cells, row by
row.

>>> table = Arrays({"x": ("N", "2")}, frozenset(), {"N"}, "double")
>>> print("\\n".join(function_body("for i in range(N):\\n    y = max(x[i, 1], 0.0) + np.exp(x[i, 0])**2", table)))
double y = 0.0;
for (ptrdiff_t i = 0; i < N; i++) {
    y = sg_greater(x[i*2 + 1], 0.0) + pow(exp(x[i*2]), 2.0);
}
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from symgrad.backends.pycode import indent as indented

KEYWORDS = """
auto break case char const continue default do double else enum extern float for goto if inline int long register
restrict return short signed sizeof static struct switch typedef union unsigned void volatile while bool catch class
delete explicit export friend mutable namespace new operator private protected public template this throw try typename
using virtual and or not xor asm true false work places
"""
LIBM = """
acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp2 expm1 fabs fdim floor fma fmax
fmin fmod frexp hypot ilogb ldexp lgamma log log10 log1p log2 logb lrint lround llrint llround modf nan nearbyint
nextafter nexttoward pow remainder remquo rint round scalbln scalbn sin sinh sqrt tan tanh tgamma trunc j0 j1 jn y0 y1
yn gamma scalb drem significand
"""
OTHERS = """
main malloc calloc realloc free abort exit abs labs llabs div ldiv lldiv rand srand qsort getenv system atoi atol atof
strtod strtol isnan isinf isfinite isnormal signbit fpclassify isgreater isless isunordered signgam errno NAN INFINITY
HUGE_VAL NULL EOF SIZE_MAX PTRDIFF_MAX INT64_MAX DOMAIN SING OVERFLOW UNDERFLOW size_t ptrdiff_t int64_t float_t
double_t wchar_t div_t ldiv_t linux unix random
"""
TAKEN = {
    *KEYWORDS.split(),
    *OTHERS.split(),
    *(f"{name}{kind}" for name in LIBM.split() for kind in ("", "f", "l")),
}
# NumPy's and Python's functions of real numbers in math.h; `sg_` those of SUPPORT
FUNCTIONS = {
    **{name: name for name in ("exp", "expm1", "log", "log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh", "sqrt")},
    **{f"arc{name}": f"a{name}" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{name: name for name in ("erf", "erfc", "lgamma", "isfinite", "floor", "ceil")},
    "abs": "fabs", "maximum": "sg_greater", "minimum": "sg_less", "sign": "sg_sign",
}  # fmt: skip
CONSTANTS = {"inf": "INFINITY", "nan": "NAN", "pi": repr(math.pi)}
WITHOUT_KIND = {"isfinite"}  # macros of any type

SUPPORT = {
    text[: text.index("(")].rpartition(" ")[2]: text
    for text in """
static double sg_greater(double u, double v)
{
    return v > u || v != v ? v : u;
}

static double sg_less(double u, double v)
{
    return v < u || v != v ? v : u;
}

static double sg_sign(double u)
{
    return u > 0.0 ? 1.0 : u < 0.0 ? -1.0 : u;
}

static ptrdiff_t sg_most(ptrdiff_t a, ptrdiff_t b)
{
    return a > b ? a : b;
}

static ptrdiff_t sg_least(ptrdiff_t a, ptrdiff_t b)
{
    return a < b ? a : b;
}

static ptrdiff_t sg_divided(ptrdiff_t a, ptrdiff_t b)
{
    return a/b - (a%b != 0 && (a < 0) != (b < 0));
}

static void sg_fill(real *cells, ptrdiff_t count, real value)
{
    for (ptrdiff_t k = 0; k < count; k++) {
        cells[k] = value;
    }
}
""".strip().split("\n\n")
}
BINARY = {ast.Add: ("+", 5), ast.Sub: ("-", 5), ast.Mult: ("*", 6), ast.Div: ("/", 6)}
COMPARED = {ast.Gt: ">", ast.GtE: ">=", ast.Lt: "<", ast.LtE: "<=", ast.Eq: "==", ast.NotEq: "!="}
CHOICE, EITHER, BOTH, COMPARE, UNARY, ATOM = 1, 2, 3, 4, 7, 9


def c_name(name: str) -> str:
    """A name of the emitted Python as one of C that clashes with nothing of its headers."""
    return f"{name}_" if name in TAKEN or name.startswith("sg_") else name


@dataclass
class Arrays:
    """The extents of arrays, as C; which of them hold whole numbers; the names of whole numbers; the type of all else.

    `cells` are numbers behind a pointer.
    """

    extents: Mapping[str, Sequence[str]]
    whole: frozenset[str]
    integers: set[str]
    real: str
    cells: frozenset[str] = frozenset()
    reals: set[str] = field(default_factory=set)  # locals, found on the way


def function_body(python: str, arrays: Arrays) -> list[str]:
    """The lines of a function: its locals, then its statements. A comment of Python is one of C."""
    text = "\n".join(_with_comments(line) for line in python.split("\n"))
    writer = Writer(arrays)
    _find_locals(ast.parse(text).body, writer)
    lines = [line for node in ast.parse(text).body for line in writer.statement(node)]
    return [*writer.declarations, *lines]


def _with_comments(line: str) -> str:
    """A comment as a text, which Python's parser keeps."""
    bare = line.lstrip()
    return f"{line[: len(line) - len(bare)]}{bare[1:].strip()!r}" if bare.startswith("#") else line


def comment(text: str) -> str:
    """Nothing in it ends the comment or goes on with its line."""
    return f"/* {text.replace('*/', '* /').replace('/*', '/ *').replace('??/', '?? /').replace(chr(92), '/')} */"


def helper(python: str) -> str:
    """A function of numbers, in double."""
    (node,) = ast.parse(python).body
    assert isinstance(node, ast.FunctionDef)
    arguments = ", ".join(f"double {c_name(arg.arg)}" for arg in node.args.args)
    writer = Writer(Arrays({}, frozenset(), set(), "double"))
    writer.known |= {arg.arg for arg in node.args.args}
    _find_locals(node.body, writer)
    lines = [line for each in node.body for line in writer.statement(each)]
    body = "\n".join(indented(line) for line in [*writer.declarations, *lines])
    return f"static double sg{node.name}({arguments})\n{{\n{body}\n}}"


def support(text: str, real: str) -> list[str]:
    """The functions of `SUPPORT` that a text calls."""
    return [body.replace("real", real) for name, body in SUPPORT.items() if f"{name}(" in text]


def _find_locals(body: Sequence[ast.stmt], writer: Writer) -> None:
    """Every name that is assigned is declared first: a whole number where all that it is given are whole."""
    given: dict[str, list[ast.expr]] = {}
    for node in (each for statement in body for each in ast.walk(statement)):
        if isinstance(node, ast.For) and isinstance(node.target, ast.Name):
            writer.arrays.integers.add(node.target.id)
        for target, value in _assigned(node):
            if isinstance(target, ast.Name) and target.id not in writer.known:
                given.setdefault(target.id, []).append(value)
    whole = set(given)
    while wrong := {name for name in whole if not all(writer.is_whole(v, whole) for v in given[name])}:
        whole -= wrong
    writer.arrays.integers |= whole
    writer.known |= set(given)
    for name in given:
        kind, zero = ("ptrdiff_t", "0") if name in whole else (writer.arrays.real, writer.number(0.0))
        writer.declarations.append(f"{kind} {c_name(name)} = {zero};")


def _assigned(node: ast.AST) -> list[tuple[ast.expr, ast.expr]]:
    """(target, value) of an assignment."""
    match node:
        case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
            return list(zip(names, values, strict=True))
        case ast.Assign(targets=[target], value=value):
            return [(target, value)]
        case ast.AugAssign(target=target, value=value):
            return [(target, value)]
    return []


class Writer:
    """Statements and expressions of Python as C; `known` names are declared already."""

    def __init__(self, arrays: Arrays):
        self.arrays = arrays
        self.known: set[str] = {*arrays.extents, *arrays.cells, *arrays.integers}
        self.declarations: list[str] = []

    def number(self, value: float) -> str:
        text = repr(float(value))
        if text in ("inf", "nan"):
            return CONSTANTS[text]
        return f"{text}f" if self.arrays.real == "float" else text

    # types

    def is_whole(self, node: ast.expr, more: set[str] | frozenset[str] = frozenset()) -> bool:
        match node:
            case ast.Constant():
                return isinstance(node.value, int)
            case ast.Name():
                return node.id in self.arrays.integers or node.id in more
            case ast.Subscript(value=ast.Name(id=name)):
                return name in self.arrays.whole
            case ast.BinOp(op=ast.FloorDiv()):
                return True
            case ast.BinOp(op=ast.Add() | ast.Sub() | ast.Mult()):
                return self.is_whole(node.left, more) and self.is_whole(node.right, more)
            case ast.UnaryOp():
                return self.is_whole(node.operand, more)
            case ast.IfExp():
                return self.is_whole(node.body, more) and self.is_whole(node.orelse, more)
            case ast.Call(func=ast.Name(id="int")):
                return True
            case ast.Call(func=ast.Name(id="max" | "min")):
                return all(self.is_whole(arg, more) for arg in node.args)
        return False

    # statements

    def statement(self, node: ast.stmt) -> Iterator[str]:
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield comment(text)
            case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=place))]) if place is ...:
                cells = "*".join(f"({extent})" for extent in self.arrays.extents[name]) or "1"
                yield f"sg_fill({c_name(name)}, {cells}, {self.real(node.value)});"
            case ast.Assign():
                for target, value in _assigned(node):
                    yield f"{self(target)} = {self.real_or_whole(target, value)};"
            case ast.AugAssign(op=op):
                yield f"{self(node.target)} {BINARY[type(op)][0]}= {self.real_or_whole(node.target, node.value)};"
            case ast.For(target=ast.Name(id=name), iter=ast.Call(args=ends)):
                yield f"for ({self.loop(c_name(name), ends)}) {{"
                yield from self.block(node.body)
                yield "}"
            case ast.While():
                yield f"while ({self(node.test)}) {{"
                yield from self.block(node.body)
                yield "}"
            case ast.If():
                yield f"if ({self(node.test)}) {{"
                yield from self.block(node.body)
                if node.orelse:
                    yield "} else {"
                    yield from self.block(node.orelse)
                yield "}"
            case ast.Return(value=ast.expr() as value):
                yield f"return {self.real(value)};"
            case _:
                raise AssertionError(f"no C for {ast.dump(node)[:200]}")

    def loop(self, name: str, ends: Sequence[ast.expr]) -> str:
        if len(ends) == 3:  # backwards
            return f"ptrdiff_t {name} = {self(ends[0])}; {name} > {self(ends[1], 5)}; {name}--"
        first, last = ("0", ends[0]) if len(ends) == 1 else (self(ends[0]), ends[1])
        return f"ptrdiff_t {name} = {first}; {name} < {self(last, 5)}; {name}++"

    def block(self, body: Sequence[ast.stmt]) -> Iterator[str]:
        for each in body:
            yield from (indented(line) for line in self.statement(each))

    def real_or_whole(self, target: ast.expr, value: ast.expr) -> str:
        return self(value) if self.is_whole(target) else self.real(value)

    def real(self, node: ast.expr, least: int = 0) -> str:
        """An expression as a real number, though it be whole."""
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return self.number(node.value)
        return f"({self.arrays.real}){self(node, ATOM)}" if self.is_whole(node) else self(node, least)

    # expressions

    def __call__(self, node: ast.expr, least: int = 0) -> str:
        text, binds = self.render(node)
        return f"({text})" if binds < least else text

    def render(self, node: ast.expr) -> tuple[str, int]:
        match node:
            case ast.Constant(value=float(value)):
                return self.number(value), ATOM
            case ast.Constant(value=int(value)):
                return str(value), ATOM
            case ast.Name(id=name):
                return c_name(name), ATOM
            case ast.Attribute(attr=name):
                return CONSTANTS[name], ATOM
            case ast.Subscript(value=ast.Attribute(value=ast.Name(id=name), attr="shape"), slice=ast.Constant(value=int(place))):
                return _factor(self.arrays.extents[name][place]), ATOM
            case ast.Subscript():
                return self.cell(node), ATOM if self.is_array(node) else UNARY
            case ast.UnaryOp(op=ast.USub()):
                return f"-{self(node.operand, UNARY)}", UNARY - 1
            case ast.UnaryOp(op=ast.Not()):
                return f"!{self(node.operand, ATOM)}", UNARY
            case ast.BinOp():
                return self.binary(node)
            case ast.Compare():
                return self.compare(node)
            case ast.BoolOp(op=op):
                word, level = ("&&", BOTH) if isinstance(op, ast.And) else ("||", EITHER)
                return f" {word} ".join(self(value, COMPARE) for value in node.values), level
            case ast.IfExp():
                kind = self if self.is_whole(node) else self.real
                return f"{self(node.test, EITHER)} ? {kind(node.body, EITHER)} : {kind(node.orelse, CHOICE)}", CHOICE
            case ast.Call():
                return self.call(node)
        raise AssertionError(f"no C for {ast.dump(node)[:200]}")

    def binary(self, node: ast.BinOp) -> tuple[str, int]:
        if isinstance(node.op, ast.FloorDiv):
            return f"sg_divided({self(node.left)}, {self(node.right)})", ATOM
        if isinstance(node.op, ast.Pow):
            return self.power(node)
        sign, level = BINARY[type(node.op)]
        mixed = isinstance(node.op, ast.Div) or not self.is_whole(node)
        kind = self.real if mixed else self
        space = " " if level == 5 else ""
        return f"{kind(node.left, level)}{space}{sign}{space}{kind(node.right, level + 1)}", level

    def power(self, node: ast.BinOp) -> tuple[str, int]:
        two = isinstance(node.right, ast.Constant) and node.right.value == 2
        if two and isinstance(node.left, ast.Name | ast.Subscript):
            base = self.real(node.left, 6)
            return f"{base}*{base}", 6
        return f"{self.libm('pow')}({self.real(node.left)}, {self.real(node.right)})", ATOM

    def compare(self, node: ast.Compare) -> tuple[str, int]:
        sides = [node.left, *node.comparators]
        tests = [
            f"{self(one, 5)} {COMPARED[type(op)]} {self(two, 5)}" for one, op, two in zip(sides, node.ops, sides[1:], strict=False)
        ]
        return " && ".join(tests), COMPARE if len(tests) == 1 else BOTH

    def is_array(self, node: ast.Subscript) -> bool:
        return isinstance(node.value, ast.Name) and node.value.id not in self.arrays.cells

    def cell(self, node: ast.Subscript) -> str:
        """Row by row: x[i, j] is the cell i*(extent of j) + j."""
        assert isinstance(node.value, ast.Name)
        name = node.value.id
        if not self.is_array(node):
            return f"*{c_name(name)}"
        places = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        text = "0"
        for place, extent in zip(places, self.arrays.extents[name], strict=True):
            here = self(place, 5)
            before = "" if text == "0" else f"{_factor(text)}*{_factor(extent)}"
            text = " + ".join(part for part in (before, here if here != "0" else "") if part) or "0"
        return f"{c_name(name)}[{text}]"

    def call(self, node: ast.Call) -> tuple[str, int]:
        match node.func:
            case ast.Name(id="F" | "float"):
                return self.real(node.args[0]), ATOM if isinstance(node.args[0], ast.Constant) else 0
            case ast.Name(id="int"):
                return f"(ptrdiff_t){self(node.args[0], ATOM)}", UNARY
            case ast.Name(id="max" | "min" as name):
                whole, kind = self.is_whole(node), "greater" if name == "max" else "less"
                args = [self(arg) if whole else self.real(arg) for arg in node.args]
                return self.nested({"greater": "sg_most", "less": "sg_least"}[kind] if whole else f"sg_{kind}", args), ATOM
            case ast.Name(id=name) if name.startswith("_"):
                return f"sg{name}({', '.join(self.real(arg) for arg in node.args)})", ATOM
            case ast.Attribute(attr="positive"):
                return self.real(node.args[0]), 0
            case ast.Attribute(attr=name) | ast.Name(id="abs" as name):
                return f"{self.libm(FUNCTIONS[name])}({', '.join(self.real(arg) for arg in node.args)})", ATOM
        raise AssertionError(f"no C for {ast.dump(node)[:200]}")

    def nested(self, name: str, args: Sequence[str]) -> str:
        out = args[0]
        for arg in args[1:]:
            out = f"{name}({out}, {arg})"
        return out

    def libm(self, name: str) -> str:
        plain = self.arrays.real == "double" or name in WITHOUT_KIND or name.startswith("sg_")
        return name if plain else f"{name}f"


def _factor(text: str) -> str:
    return text if text.isidentifier() or text.isdigit() else f"({text})"
