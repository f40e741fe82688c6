"""An expression as a function of the cells and the indices: the walk over SymPy is done once, the arithmetic at every point.

    compiled(expr)(cells, env)       the value, an mpf or int; `env` gives indices, extents, parameters of functions
    ranging(domain)(cells, env)      every point of the domain, as an `env` of its own

Nothing is rewritten: each node is the sum, product, power, comparison, choice or function that it was. A reduction
with the same indices around it is found once over one set of cells. That is why cells must not change once read.

>>> i = sp.Symbol("i", integer=True)
>>> compiled(2*i + 1)(None, {i: 3})
mpf('7.0')
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

import mpmath
import sympy as sp
from sympy import Expr

from symgrad.core.errors import SymgradError
from symgrad.core.expr import (
    free_symbols,
    indices_of,
    is_access,
    is_call,
    is_index,
    is_reduction,
    is_where,
    name_of,
    split_call,
    split_reduction,
)  # fmt: skip
from symgrad.core.functions import BY_HEAD
from symgrad.core.program import Function
from symgrad.core.reductions import REDUCTIONS, position

Env = dict[Any, Any]  # indices, extents and parameters of functions
Place = tuple[int, ...]


Watch = Callable[[Expr, Env, Any], None]  # an expression with cases, where, and what decides


class Cells(Protocol):
    """What an expression reads: quantities, their lowest indices, functions of the user, and what was found before.

    `watch`, where there is one, is told of every choice: a condition that holds or not, the values of a reduction, the
    arguments of a function.
    """

    lowest: Mapping[str, Place]
    functions: Mapping[str, Function]
    found: dict[Any, Any]
    watch: Watch | None

    def read(self, name: str, place: Place, read: Expr) -> Any: ...


Code = Callable[[Any, Env], Any]
Walk = Callable[[Any], Code]
COMPARE: dict[Any, Callable[[Any, Any], bool]] = {
    sp.Eq: lambda a, b: a == b, sp.Ne: lambda a, b: a != b, sp.Lt: lambda a, b: a < b,
    sp.Le: lambda a, b: a <= b, sp.Gt: lambda a, b: a > b, sp.Ge: lambda a, b: a >= b,
}  # fmt: skip


@lru_cache(maxsize=1 << 12)
def compiled(expr: Expr) -> Code:
    """The value of `expr` as a function of cells and `env`; SG311 at the call where an extent is not in `env`."""
    memo: dict[Any, Code] = {}

    def walk(node: Any) -> Code:
        if node not in memo:
            memo[node] = _code(node, walk)
        return memo[node]

    return walk(expr)


def ranging(domain: Sequence[Any]) -> Callable[[Any, Env], Iterator[Env]]:
    """The points of a domain of (symbol, lo, hi), outer ones first."""
    points = _points([(symbol, compiled(lo), compiled(hi)) for symbol, lo, hi in domain])
    return lambda cells, env: map(dict, points(cells, env))


def _points(loops: Sequence[tuple[Any, Code, Code]]) -> Callable[[Any, Env], Iterator[Env]]:
    """The points one after the other in one `env`, which each changes."""

    def run(depth: int, cells: Any, env: Env) -> Iterator[Env]:
        if depth == len(loops):
            yield env
            return
        symbol, lo, hi = loops[depth]
        for here in range(int(lo(cells, env)), int(hi(cells, env)) + 1):
            env[symbol] = here
            yield from run(depth + 1, cells, env)
        env.pop(symbol, None)

    return lambda cells, env: run(0, cells, dict(env))


def _code(node: Any, walk: Walk) -> Code:
    if is_index(node):
        return _index(node)
    if is_access(node):
        return _read(node, walk)
    if is_reduction(node):
        return _reduced(node, walk)
    if is_call(node):
        return _called(node, walk)
    if is_where(node):
        return _choice(node, *map(walk, node.args))
    if node.is_Number or node in (sp.pi, sp.E):
        return _constant(node)
    args = [walk(arg) for arg in node.args]
    if type(node) in COMPARE:
        compare, (one, two) = COMPARE[type(node)], args
        return lambda cells, env: compare(one(cells, env), two(cells, env))
    return _applied(node, args)


def _choice(node: Any, test: Code, yes: Code, no: Code) -> Code:
    def code(cells: Any, env: Env) -> Any:
        holds = bool(test(cells, env))
        if cells.watch is not None:
            cells.watch(node, env, holds)
        return (yes if holds else no)(cells, env)

    return code


def _index(symbol: Any) -> Code:
    def code(cells: Any, env: Env) -> Any:
        if symbol not in env:
            raise SymgradError("SG311", f"the extent {symbol} cannot be read off the arrays that are given")
        return env[symbol]

    return code


def _read(read: Any, walk: Walk) -> Code:
    name, indices = name_of(read), [walk(index) for index in indices_of(read)]
    if not indices:
        # a parameter of a function stands before a quantity of its name
        return lambda cells, env: env[read] if read in env else cells.read(name, (), read)

    def code(cells: Any, env: Env) -> Any:
        at = zip(indices, cells.lowest[name], strict=True)
        return cells.read(name, tuple(int(index(cells, env) - low) for index, low in at), read)

    return code


def _reduced(node: Any, walk: Walk) -> Code:
    op, body, limits = split_reduction(node)
    around, value, place, row = free_symbols(node), walk(body), walk(position(limits)), REDUCTIONS[op]
    points = _points([(symbol, walk(lo), walk(hi)) for symbol, lo, hi in limits])
    this = object()

    def code(cells: Any, env: Env) -> Any:
        key = (this, *map(env.get, around))
        if key not in cells.found:
            values = [(place(cells, e), value(cells, e)) for e in points(cells, env)]
            if cells.watch is not None:
                cells.watch(node, env, (op, values))
            cells.found[key] = row.of(values)
        return cells.found[key]

    return code


def _called(node: Any, walk: Walk) -> Code:
    """A function that the user defined."""
    name, arguments = split_call(node)
    args = [walk(arg) for arg in arguments]

    def code(cells: Any, env: Env) -> Any:
        function = cells.functions[name]
        values = [arg(cells, env) for arg in args]
        return compiled(function.body)(cells, dict(zip(function.parameters, values, strict=True)))

    return code


def _constant(number: Any) -> Code:
    if number in (sp.oo, -sp.oo):
        infinite = mpmath.inf if number is sp.oo else -mpmath.inf
        return lambda cells, env: infinite
    if number.is_Integer:
        whole = int(number)
        return lambda cells, env: whole
    by_precision: dict[int, Any] = {}

    def code(cells: Any, env: Env) -> Any:
        here = mpmath.mp.dps
        if here not in by_precision:
            by_precision[here] = mpmath.mpf(number.p) / number.q if number.is_Rational else mpmath.mpf(sp.N(number, here)._mpf_)
        return by_precision[here]

    return code


def _applied(node: Any, args: Sequence[Code]) -> Code:
    if node.is_Add:
        return lambda cells, env: mpmath.fsum([arg(cells, env) for arg in args])
    if node.is_Mul:
        return lambda cells, env: mpmath.fprod([arg(cells, env) for arg in args])
    if node.is_Pow:
        base, exponent = args
        return lambda cells, env: _power(mpmath.mpf(base(cells, env)), exponent(cells, env))
    return _function(node, args)


def _function(node: Any, args: Sequence[Code]) -> Code:
    reference = BY_HEAD[node.func].reference

    def code(cells: Any, env: Env) -> Any:
        values = [_real(arg(cells, env)) for arg in args]
        if cells.watch is not None:
            cells.watch(node, env, values)
        return reference(*values)

    return code


def _real(value: Any) -> Any:
    return mpmath.mpf(value) if isinstance(value, int) else value


def _power(base: Any, exponent: Any) -> Any:
    """As in floating point, 1/0 is inf: a mean over nothing is 0/0, nan."""
    return mpmath.inf if base == 0 and exponent < 0 else base**exponent
