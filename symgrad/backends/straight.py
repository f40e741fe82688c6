"""Long runs of scalar equations → a table of operations, which `operations.py` turns into machine code.

numba compiles straight-line code in more than linear time: a thousand equations take a minute, a table of them a second.

>>> from symgrad.core.expr import access
>>> table = Table(str)
>>> x = access("x")
>>> table.define("y", 2 * sp.sin(x) - x)
>>> print("; ".join(table.rows))
const 2.0; load 0; sin 1; mul 0 2; sub 3 1
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import sympy as sp

from symgrad.backends.pycode import COMPARE
from symgrad.core.expr import indices_of, is_access, is_index, is_where, name_of, nodes, substitute
from symgrad.core.functions import BY_HEAD
from symgrad.core.guards import needed
from symgrad.core.layout import Layout
from symgrad.core.program import Program
from symgrad.core.source import statement_text
from symgrad.schedule.kernels import Kernel, Map

LEAST = 400  # operations; below, numba compiles in a few seconds, and its code reads better
DIRECT = {name: name for name in (
    "exp", "log", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "expm1", "log1p",
    "erf", "erfc", "floor", "ceil")} | {"abs": "fabs"}  # fmt: skip
COMPOSED = ("logistic", "softplus", "sech", "logaddexp", "xlogy", "root", "relu", "sign", "max", "min", "stop")


def runs(kernels: Sequence[Kernel], program: Program) -> Iterator[Kernel | tuple[Map, ...]]:
    """The kernels, with every long run of scalar equations as one tuple."""
    run: list[tuple[Kernel, Map]] = []
    for kernel in (*kernels, None):
        one = _of_one_step(kernel) if isinstance(kernel, Map) else None
        if kernel is not None and one is not None and _straight(one, program):
            run.append((kernel, one))
            continue
        if sum(_operations(each) for _, each in run) >= LEAST:
            yield tuple(each for _, each in run)
        else:
            yield from (each for each, _ in run)
        run = []
        if kernel is not None:
            yield kernel


def _of_one_step(kernel: Map) -> Map:
    """Loops of one step each as the equation of that step: a gradient adds to the cells of an array in such."""
    statement, loops = kernel.statement, kernel.loops
    if not loops or len(statement.domain) != len(loops) or not all(i.lo.is_Integer and i.lo == i.hi for i in loops):
        return kernel
    step = {index.symbol: index.lo for index in loops}
    target, value = (substitute(each, step) for each in (statement.target, statement.value))
    return replace(kernel, statement=replace(statement, target=target, value=value, domain=()), loops=())


def _operations(kernel: Map) -> int:
    return 1 + sum(1 for node in nodes(kernel.statement.value) if node.args and not is_access(node))


def _straight(kernel: Map, program: Program) -> bool:
    """One cell, from cells that are fixed, by operations that a table has."""
    statement = kernel.statement
    if kernel.loops or kernel.times or statement.domain or needed(statement, program):
        return False
    return _fixed(statement.target, program) and all(_has(node, program) for node in nodes(statement.value))


def _fixed(read: Any, program: Program) -> bool:
    tensor = program.tensors[name_of(read)]
    return tensor.values is None and all(index.is_Integer for index in indices_of(read)) and _is_real(name_of(read), program)


def _is_real(name: str, program: Program) -> bool:
    return all(statement.op not in ("argmax", "argmin") for statement in program.definitions.get(name, ()))


def _has(node: Any, program: Program) -> bool:
    if is_access(node):
        return _fixed(node, program)
    if is_index(node) or node is sp.S.Infinity or node is sp.S.NegativeInfinity:
        return False
    if node.is_Number or node.is_NumberSymbol or node.is_Add or node.is_Mul or node.is_Pow or is_where(node):
        return True
    if type(node) in COMPARE:
        return True
    row = BY_HEAD.get(node.func)
    return row is not None and (row.name in DIRECT or row.name in COMPOSED)


@dataclass
class Table:
    """Rows of operations; `read` writes an access as Python. Cells of the array hold what comes in and what goes out."""

    read: Callable[[Any], str]
    rows: list[str] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    known: dict[str, int] = field(default_factory=dict)
    incoming: dict[str, int] = field(default_factory=dict)
    outgoing: dict[str, int] = field(default_factory=dict)

    def row(self, operation: str, *operands: Any) -> int:
        text = " ".join([operation, *map(str, operands)])
        if text not in self.places:
            self.places[text] = len(self.rows)
            self.rows.append(text)
        return self.places[text]

    def define(self, target: str, value: Any, adds: bool = False) -> None:
        """One equation; `adds`: to what the cell holds."""
        found = self.value(value)
        self.known[target] = self.row("add", self.cell(target), found) if adds else found

    def cell(self, text: str) -> int:
        """The row of a cell's value as it stands."""
        if text not in self.known:
            self.incoming[text] = len(self.incoming)
            self.known[text] = self.row("load", self.incoming[text])
        return self.known[text]

    def give(self, target: str) -> None:
        """A value that is needed outside."""
        self.outgoing[target] = len(self.incoming) + len(self.outgoing)
        self.rows.append(f"store {self.known[target]} {self.outgoing[target]}")

    # expressions

    def value(self, expr: Any) -> int:
        if is_access(expr):
            return self.cell(self.read(expr))
        if expr.is_Number:
            return self.number(expr)
        if expr.is_number and not expr.has(sp.Function):
            return self.number(expr)
        if expr.is_Add:
            return self.sum(expr)
        if expr.is_Mul:
            return self.product(expr)
        if expr.is_Pow:
            return self.power(expr.base, expr.exp)
        if is_where(expr):
            condition, yes, no = expr.args
            sides = self.value(condition.lhs), self.value(condition.rhs)
            return self.row("pick", COMPARE[type(condition)], *sides, self.value(yes), self.value(no))
        return self.function(BY_HEAD[expr.func].name, [self.value(arg) for arg in expr.args])

    def number(self, number: Any) -> int:
        return self.row("const", repr(float(number)))

    def sum(self, expr: Any) -> int:
        signed = sorted(((_has_minus(term), term) for term in expr.args), key=itemgetter(0))
        total = self.value(signed[0][1])
        for minus, term in signed[1:]:
            total = self.row("sub" if minus else "add", total, self.value(-term if minus else term))
        return total

    def product(self, expr: Any) -> int:
        if _has_minus(expr):
            return self.row("neg", self.value(-expr))
        above = [f for f in expr.args if not _divides(f)]
        below = [f.base**-f.exp for f in expr.args if _divides(f)]
        found = self.chain("mul", above) if above else self.number(1)
        return self.row("div", found, self.chain("mul", below)) if below else found

    def chain(self, operation: str, parts: Sequence[Any]) -> int:
        total = self.value(parts[0])
        for part in parts[1:]:
            total = self.row(operation, total, self.value(part))
        return total

    def power(self, base: Any, exponent: Any) -> int:
        if exponent == sp.S.Half:
            return self.row("sqrt", self.value(base))
        if exponent.is_number and exponent < 0:
            return self.row("div", self.number(1), self.value(base**-exponent))
        if exponent.is_Integer and exponent <= 64:
            return self.repeated(self.value(base), int(exponent))
        return self.row("pow", self.value(base), self.value(exponent))

    def repeated(self, base: int, times: int) -> int:
        """By squares."""
        if times == 1:
            return base
        half = self.repeated(base, times // 2)
        square = self.row("mul", half, half)
        return self.row("mul", square, base) if times % 2 else square

    def function(self, name: str, args: list[int]) -> int:
        if name in DIRECT:
            return self.row(DIRECT[name], *args)
        return getattr(self, f"_{name}")(*args)  # type: ignore[no-any-return]

    def _logistic(self, u: int) -> int:
        below = self.row("add", self.number(1), self.row("exp", self.row("neg", u)))
        return self.row("div", self.number(1), below)

    def _softplus(self, u: int) -> int:
        small = self.row("log1p", self.row("exp", self.row("neg", self.row("fabs", u))))
        return self.row("add", self._max(u, self.number(0)), small)

    def _sech(self, u: int) -> int:
        e = self.row("exp", self.row("neg", self.row("fabs", u)))
        return self.row("div", self.row("add", e, e), self.row("add", self.number(1), self.row("mul", e, e)))

    def _logaddexp(self, u: int, v: int) -> int:
        """The larger of two infinities less itself would be nan."""
        apart = self.row("pick", "==", u, v, self.number(0), self.row("fabs", self.row("sub", u, v)))
        return self.row("add", self._max(u, v), self.row("log1p", self.row("exp", self.row("neg", apart))))

    def _xlogy(self, a: int, b: int) -> int:
        zero = self.number(0)
        return self.row("pick", "==", a, zero, zero, self.row("mul", a, self.row("log", b)))

    def _root(self, u: int) -> int:
        return self.row("sqrt", u)

    def _relu(self, u: int) -> int:
        return self._max(u, self.number(0))

    def _sign(self, u: int) -> int:
        zero = self.number(0)
        below = self.row("pick", "<", u, zero, self.number(-1), u)  # 0 and nan stay
        return self.row("pick", ">", u, zero, self.number(1), below)

    def _max(self, *args: int) -> int:
        return self._extreme(">=", args)

    def _min(self, *args: int) -> int:
        return self._extreme("<=", args)

    def _extreme(self, sign: str, args: Sequence[int]) -> int:
        """nan wins, as in NumPy."""
        first, *others = args
        for other in others:
            first = self.row("pick", "!=", first, first, first, self.row("pick", sign, first, other, first, other))
        return first

    def _stop(self, u: int) -> int:
        return u


def _has_minus(term: Any) -> bool:
    """True of -2 x and of -2; SymPy itself would negate a product to know."""
    if not term.is_Mul:
        return bool(term.could_extract_minus_sign())
    number = term.args[0]
    if number.is_Float:
        return bool(number._mpf_[0])  # its sign; SymPy's comparison looks for all that is known of the number
    return bool(number.is_Number and number.is_extended_negative)


def _divides(factor: Any) -> bool:
    return bool(factor.is_Pow and factor.exp.is_number and factor.exp < 0)


class Plain(Layout):
    """Terms and factors in SymPy's order: to find the user's own takes longer than all else that is done for a long run."""

    def as_written(self, expr: Any) -> None:
        return None

    def ordered_terms(self, expr: Any) -> list[Any]:
        return sorted(expr.args, key=_has_minus)

    def _factor_key(self, factor: Any) -> tuple[Any, ...]:
        return ()


def comments(run: Sequence[Map], program: Program) -> Iterator[str]:
    """The equations of a run."""
    layout = Plain((), None, program.ranges)
    return (f"# {statement_text(kernel.statement, program, layout)}" for kernel in run)


def straight_lines(
    run: Sequence[Map], read: Callable[[Any], str], wanted: Callable[[Any], bool], tables: list[str]
) -> Iterator[str]:
    """The lines of a kernel that carry out a run; its table goes to `tables`. `wanted`: targets that are read outside."""
    table = Table(read)
    given: dict[str, None] = {}
    for kernel in run:
        target = read(kernel.statement.target)
        table.define(target, kernel.statement.value, kernel.adds)
        if wanted(kernel.statement.target):
            given[target] = None
    for target in given:
        table.give(target)
    text = "\n".join(table.rows)
    name = f"_{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    cells = len(table.incoming) + len(table.outgoing)
    tables.append(f'_run{name}, _cells{name} = _straight("""\n{text}\n""", {cells})')
    yield f"w{name} = np.empty(_cells{name}, F)"
    yield from (f"w{name}[{place}] = {source}" for source, place in table.incoming.items())
    yield f"_run{name}(w{name})"
    yield from (f"{target} = w{name}[{place}]" for target, place in table.outgoing.items())


def own_text() -> str:
    """The definitions that a module with tables needs."""
    text = Path(__file__).with_name("operations.py").read_text(encoding="utf-8")
    return text[text.index("from typing") :].strip("\n")
