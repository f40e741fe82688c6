"""Conditions on indices: those without which a value is 0, and whether they keep a place inside its axis.

A statement `T[f] += where(i < N, v, 0)` touches no cell where i = N, so f need not be one there.

>>> from symgrad.core.expr import where
>>> i, N = sp.Symbol("i", integer=True), sp.Symbol("N", integer=True)
>>> held(3*where(i < N, sp.Symbol("x"), sp.S.Zero))
(i < N,)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sympy as sp
from sympy import Expr, Symbol
from sympy.core.relational import Relational

from symgrad.core.affine import Ends, coefficients, nonnegative
from symgrad.core.expr import accesses, indices_of, is_index, is_where, name_of
from symgrad.core.parts import Facts, contradict, within
from symgrad.core.program import Program, Statement


def held(value: Any) -> tuple[Any, ...]:
    """The conditions of choices without which the value is 0, each once."""
    if value.is_Mul:
        return tuple(dict.fromkeys(c for factor in value.args for c in held(factor)))
    if value.is_Add:
        first, *others = map(held, value.args)
        return tuple(c for c in first if all(c in other for other in others))
    if is_where(value):
        condition, yes, no = value.args
        if no == 0:
            return tuple(dict.fromkeys((condition, *held(yes))))
        if yes == 0:
            return tuple(dict.fromkeys((condition.negated, *held(no))))
    return ()


def on_places(statement: Statement, program: Program) -> tuple[Any, ...]:
    """What must hold, of indices and whole numbers that are given, for a sum to add to its target at all."""
    if statement.op not in (None, "sum"):
        return ()
    reduced = {index.symbol for index in statement.reduced}
    return tuple(c for c in held(statement.value) if reduced.isdisjoint(c.free_symbols) and _of_places(c, program))


def needed(statement: Statement, program: Program) -> tuple[Any, ...]:
    """`on_places` where the target, or what its indices read, may leave its array without it; else nothing."""
    conditions = on_places(statement, program) if indices_of(statement.target) else ()
    if not conditions:
        return ()
    reads = (statement.target, *(gather for index in indices_of(statement.target) for gather in accesses(index)))
    places = [p for read in reads for p in zip(indices_of(read), program.tensors[name_of(read)].axes, strict=True)]
    certain = all(stays_under(place, (axis.lo, axis.hi), statement.ranges, (), program) for place, axis in places)
    return () if certain else conditions


def stays_under(index: Any, axis: Ends, ranges: Mapping[Symbol, Ends], conditions: Sequence[Any], program: Program) -> bool:
    """True where an index is certain to lie on its axis, over ranges and under conditions."""
    inside = {read: sp.Dummy(integer=True) for expr in (index, *conditions) for read in _whole_numbers(expr, program)}
    values = {symbol: program.tensors[name_of(read)].values for read, symbol in inside.items()}
    around: dict[Any, Any] = {**values, **ranges}
    place = index.xreplace(inside)
    under = [e for c in conditions for e in _at_least_0(c.xreplace(inside))]
    return all(_certain(e, around, under, program.facts) for e in (place - axis[0], axis[1] - place))


def _certain(expr: Expr, ranges: Mapping[Symbol, Ends], under: Sequence[Expr], facts: Facts) -> bool:
    """expr >= 0: over the ranges alone, or since the opposite contradicts the conditions."""
    if nonnegative(expr, ranges, facts):
        return True
    if not under:
        return False
    known = [e for symbol, (lo, hi) in ranges.items() for e in within(symbol, lo, hi)]
    return contradict((sp.expand(-expr - 1), *under, *known), list(reversed(ranges)), facts)


def _at_least_0(condition: Any) -> tuple[Expr, ...]:
    """A comparison of whole numbers as expressions that are not negative; nothing where it is of another kind."""
    if not _is_whole(condition):
        return ()
    difference = sp.expand(condition.lhs - condition.rhs)
    match condition:
        case sp.Eq():
            return difference, -difference
        case sp.Ge() | sp.Gt():
            return (difference - int(isinstance(condition, sp.Gt)),)
        case sp.Le() | sp.Lt():
            return (-difference - int(isinstance(condition, sp.Lt)),)
    return ()


def _is_whole(condition: Any) -> bool:
    """A comparison of sums of indices with whole factors."""
    if not isinstance(condition, Relational):
        return False
    difference = sp.expand(condition.lhs - condition.rhs)
    symbols = difference.free_symbols
    affine = all(map(is_index, symbols)) and coefficients(difference, symbols) is not None
    return affine and bool(difference.subs(dict.fromkeys(symbols, 0)).is_Integer)


def _of_places(condition: Any, program: Program) -> bool:
    found = _whole_numbers(condition, program)
    return len(found) == len(accesses(condition)) and _is_whole(condition.xreplace({r: sp.Dummy(integer=True) for r in found}))


def _whole_numbers(expr: Any, program: Program) -> tuple[Any, ...]:
    """The accesses in an expression that are given as whole numbers."""
    return tuple(read for read in accesses(expr) if program.tensors[name_of(read)].values is not None)
