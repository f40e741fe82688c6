"""One reduction a statement: every reduction inside an expression becomes a named quantity.

Equal reductions, whatever their indices are called, are named once. Of a value that nests deep, parts get names too.

>>> from symgrad.frontend.text import parse
>>> print(normalize(parse("p[k] = exp(b[k])/sum(exp(b[l]) for l in 1..K)")))
p_sum = sum(exp(b[l]) for l in 1..K)
p[k] = exp(b[k])/p_sum for k in 1..K
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sympy import Expr, S, Symbol

from symgrad.core.affine import bounds
from symgrad.core.expr import (
    access,
    accesses,
    binds,
    free_indices,
    index_symbol,
    is_access,
    is_index,
    is_reduction,
    is_where,
    name_of,
    nodes,
    rebuild,
    reduction,
    rename_bound,
    split_reduction,
    substitute,
    where,
)  # fmt: skip
from symgrad.core.measure import DEEPEST, is_deep
from symgrad.core.parts import around_points
from symgrad.core.program import Index, Origin, Program, Statement, Tensor
from symgrad.core.reductions import REDUCTIONS

Ranges = dict[Symbol, Index]


def normalize(program: Program) -> Program:
    """The same program with at most one reduction, outermost, in each statement, and no value that nests deep."""
    return _Lift(program).run()


class _Lift:
    def __init__(self, program: Program):
        self.program = program
        self.known: dict[Any, tuple[str, tuple[Symbol, ...]]] = {}
        self.statements: list[Statement] = []
        self.tensors: list[Tensor] = []
        self.taken = set(program.taken)
        self.numbers: Counter[str] = Counter()  # the last one tried for each name
        self.depths: dict[Any, int] = {}

    def run(self) -> Program:
        for statement in self.program.statements:
            if not binds(statement.value) and not is_deep(statement.value):
                self.statements.append(statement)
                continue
            value, ranges = statement.value, _ranges(statement)
            if ranges is None:
                value = rename_bound(value, _numbered())
                ranges = _ranges(replace(statement, value=value)) or {}
            self.statements.append(statement.with_value(self.walk(value, (), ranges, statement, {})))
        return self.program.with_statements(self.statements, self.tensors)

    def walk(self, node: Any, guards: tuple[Any, ...], ranges: Ranges, statement: Statement, memo: dict[Any, Any]) -> Any:
        """Bottom-up; `guards` are the conditions on indices under which a node is needed."""
        if not node.args or is_access(node):
            return node
        if (node, guards) not in memo:
            if is_where(node) and any(map(is_index, node.args[0].free_symbols)):
                condition = node.args[0]
                under: tuple[tuple[Any, ...], ...] = ((), (condition,), (condition.negated,))
            else:
                under = ((),) * len(node.args)
            args = [self.walk(arg, (*guards, *more), ranges, statement, memo) for arg, more in zip(node.args, under, strict=True)]
            new = rebuild(node, args)
            memo[node, guards] = self.lift(new, guards, ranges, statement) if is_reduction(new) or self.is_deep(new) else new
        return memo[node, guards]

    def is_deep(self, node: Any) -> bool:
        self.depths[node] = 1 + max((self.depths.get(arg, 0) for arg in node.args), default=0)
        return self.depths[node] >= DEEPEST and isinstance(node, Expr)

    def lift(self, node: Any, guards: tuple[Any, ...], ranges: Ranges, statement: Statement) -> Any:
        """A name for a reduction, or for a part of a deep value, over the indices that are free in it."""
        inside = free_indices(node)
        free = [symbol for symbol in ranges if symbol in inside]
        op, body, limits = split_reduction(node) if is_reduction(node) else (None, node, ())
        for guard in guards:
            # what a guard keeps from being read must not be read under the new name either
            if set(guard.free_symbols) & set(ranges) <= set(free):
                body = where(guard, body, REDUCTIONS[op].identity if op else S.Zero)
        key = _key(reduction(op, body, limits) if op else body, free, ranges)
        if key not in self.known:
            name = self.unused(f"{statement.name}_{op or 'part'}")
            hulls = {s: Index(s, *bounds(s, {r.symbol: (r.lo, r.hi) for r in ranges.values()})) for s in free}
            axes = [ranges[s] if set(free).issuperset(_outer(ranges[s], ranges)) else hulls[s] for s in free]
            self.known[key] = name, tuple(free)
            self.tensors.append(Tensor(name, tuple(hulls.values()), "defined"))
            ends = {index.symbol: (index.lo, index.hi) for index in ranges.values()}
            reads = [read for read in accesses(body) if name_of(read) in self.program.tensors]
            domain = (*around_points(axes, reads, ends, self.program), *(Index(*limit) for limit in limits))
            self.statements.append(Statement(access(name, *free), body, domain, op, Origin(statement.origin.span, invented=True)))
        return access(self.known[key][0], *free)

    def unused(self, name: str) -> str:
        wanted = name
        while wanted in self.taken:
            self.numbers[name] += 1
            wanted = f"{name}_{self.numbers[name] + 1}"
        self.taken.add(wanted)
        return wanted


def _outer(index: Index, ranges: Ranges) -> list[Symbol]:
    """The indices that the ends of one use."""
    return [s for s in ranges if s in index.lo.free_symbols | index.hi.free_symbols]


def _ranges(statement: Statement) -> Ranges | None:
    """Every index of a statement by symbol, outer ones first, or None where one symbol has two ranges."""
    found: Ranges = {index.symbol: index for index in statement.domain}
    for node in nodes(statement.value):
        if is_reduction(node):
            for limit in split_reduction(node)[2]:
                if found.setdefault(limit[0], Index(*limit)) != Index(*limit):
                    return None
    out: Ranges = {}
    while len(out) < len(found):
        out |= {s: index for s, index in found.items() if s not in out and all(o in out for o in _outer(index, found))}
    return out


def _numbered() -> Callable[[Symbol, set[str]], Symbol]:
    count = iter(range(1, 1_000_000))
    return lambda symbol, used: index_symbol(f"{symbol.name}_{next(count)}")


def _key(node: Expr, free: list[Symbol], ranges: Ranges) -> Any:
    names = {symbol: index_symbol(f"_{place}") for place, symbol in enumerate(free)}
    count = iter(range(len(free), 1_000_000))
    body = rename_bound(substitute(node, names), lambda symbol, used: index_symbol(f"_{next(count)}"))
    return body, tuple((ranges[s].lo, ranges[s].hi) for s in free)
