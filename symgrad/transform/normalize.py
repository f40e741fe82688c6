"""One reduction a statement: every reduction inside an expression becomes a named quantity.

Equal reductions, whatever their indices are called, are named once.

>>> from symgrad.frontend.text import parse
>>> print(normalize(parse("p[k] = exp(b[k])/sum(exp(b[l]) for l in 1..K)")))
p_sum = sum(exp(b[l]) for l in 1..K)
p[k] = exp(b[k])/p_sum for k in 1..K
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from sympy import Expr, Symbol

from symgrad.core.errors import SymgradError
from symgrad.core.expr import (
    access,
    free_indices,
    index_symbol,
    is_reduction,
    nodes,
    rename_bound,
    rewrite,
    split_reduction,
    substitute,
)  # fmt: skip
from symgrad.core.program import Index, Origin, Program, Statement, Tensor

Ranges = dict[Symbol, Index]


def normalize(program: Program) -> Program:
    """The same program with at most one reduction, outermost, in each statement."""
    return _Lift(program).run()


class _Lift:
    def __init__(self, program: Program):
        self.program = program
        self.known: dict[Any, tuple[str, tuple[Symbol, ...]]] = {}
        self.statements: list[Statement] = []
        self.tensors: list[Tensor] = []

    def run(self) -> Program:
        for statement in self.program.statements:
            value, ranges = statement.value, _ranges(statement)
            if ranges is None:
                value = rename_bound(value, _numbered())
                ranges = _ranges(replace(statement, value=value)) or {}
            value = rewrite(value, partial(self.lift, ranges=ranges, statement=statement))
            self.statements.append(statement.with_value(value))
        return self.program.with_statements(self.statements, self.tensors)

    def lift(self, node: Any, ranges: Ranges, statement: Statement) -> Any:
        if not is_reduction(node):
            return node
        op, body, limits = split_reduction(node)
        inside = free_indices(node)
        free = [symbol for symbol in ranges if symbol in inside]
        key = _key(node, free, ranges)
        if key not in self.known:
            _refuse_ragged([ranges[symbol] for symbol in free], ranges, statement)
            name = self.unused(f"{statement.name}_{op}")
            axes = tuple(ranges[s] for s in free)
            self.known[key] = name, tuple(free)
            self.tensors.append(Tensor(name, axes, "defined"))
            domain = (*axes, *(Index(*limit) for limit in limits))
            self.statements.append(Statement(access(name, *free), body, domain, op, Origin(statement.origin.span, invented=True)))
        return access(self.known[key][0], *free)

    def unused(self, name: str) -> str:
        taken = {tensor.name for tensor in self.tensors}
        wanted, count = self.program.unused_name(name), 1
        while wanted in taken:
            count += 1
            wanted = self.program.unused_name(f"{name}_{count}")
        return wanted


def _refuse_ragged(axes: list[Index], ranges: Ranges, statement: Statement) -> None:
    """SG393: a named quantity is an array, whose axes cannot have ends that move with another index."""
    for axis in axes:
        outer = [symbol for symbol in ranges if symbol in (axis.lo + axis.hi).free_symbols]
        if outer:
            message = f"not yet: a reduction inside the range of {axis.symbol}, {axis.lo}..{axis.hi}, which moves with {outer[0]}"
            hint = (
                f"let {axis.symbol} run over its whole range, with a guard: sum(… for {axis.symbol} if {axis.symbol} >= {axis.lo})"
            )
            raise SymgradError("SG393", message, statement.origin.span, hint)


def _ranges(statement: Statement) -> Ranges | None:
    """Every index of a statement by symbol, or None where one symbol has two ranges."""
    found: Ranges = {}
    for index in statement.domain:
        found[index.symbol] = index
    for node in nodes(statement.value):
        if is_reduction(node):
            for limit in split_reduction(node)[2]:
                if found.setdefault(limit[0], Index(*limit)) != Index(*limit):
                    return None
    return found


def _numbered() -> Callable[[Symbol, set[str]], Symbol]:
    count = iter(range(1, 1_000_000))
    return lambda symbol, used: index_symbol(f"{symbol.name}_{next(count)}")


def _key(node: Expr, free: list[Symbol], ranges: Ranges) -> Any:
    names = {symbol: index_symbol(f"_{place}") for place, symbol in enumerate(free)}
    count = iter(range(len(free), 1_000_000))
    body = rename_bound(substitute(node, names), lambda symbol, used: index_symbol(f"_{next(count)}"))
    return body, tuple((ranges[s].lo, ranges[s].hi) for s in free)
