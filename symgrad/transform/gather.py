"""Scatter → gather: `x_bar[i+k] += …` over any domain as an equation for the cell n of x_bar.

The target's indices are solved for the domain's: n = i + k means i = n - k, and 0 <= i <= I becomes the limits
max(0, n - I) <= k <= min(K, n) of the sum that is left. What cannot be solved, as n = 2 i or n = w[t],
stays as a guard. All of it is exact, whatever the extents are.
"""

from __future__ import annotations

import itertools
import string
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import sympy as sp
from sympy import Expr, Symbol

from symgrad.core.affine import MAXIMUM, MINIMUM, Ends, coefficients, greatest_of, least_of, nonnegative
from symgrad.core.expr import (
    access,
    binds,
    fresh_index,
    gathers,
    index_symbol,
    indices_of,
    is_where,
    rename_bound,
    substitute,
    where,
)
from symgrad.core.program import Contribution, Index, Program, Statement, Tensor

LETTERS = ("l", "m", "n", "p", "q", "r", "s", "t", *string.ascii_lowercase)


@dataclass
class Solved:
    """`mapping` takes the domain's indices to expressions of the axes' and of `inner`, those still to sum over.

    `kept` are the axes with the part on which the statement adds anything; `guards` are what else must hold.
    """

    mapping: dict[Symbol, Expr]
    kept: dict[Symbol, Ends]
    inner: dict[Symbol, Ends]
    guards: list[Any] = field(default_factory=list)
    plain: bool = True  # every index was renamed or shifted, nothing else


def gather(statement: Statement, program: Program) -> Statement:
    """The statement over its target tensor's own axes; parts of axes stay parts."""
    tensor = program.tensors[statement.name]
    renamed = _renamed(statement, tensor)
    if renamed is not None:
        return _named(statement, renamed, program)
    return _named(_applied(statement, tensor, solve(statement, tensor, program.facts)), {}, program)


def shifted(statement: Statement, program: Program) -> Statement:
    """As `gather` where the target's indices are plain or shifted, for kernels; else the statement as it is."""
    tensor = program.tensors[statement.name]
    renamed = _renamed(statement, tensor)
    if renamed is not None:
        return _named(statement, renamed, program)
    solved = solve(statement, tensor, program.facts)
    return _named(_applied(statement, tensor, solved) if solved.plain else statement, {}, program)


def _renamed(statement: Statement, tensor: Tensor) -> dict[Any, Any] | None:
    """The new names, where every target index runs over its whole axis."""
    ranges = {index.symbol: (index.lo, index.hi) for index in statement.domain}
    targets = indices_of(statement.target)
    whole = all(ranges.get(index) == (axis.lo, axis.hi) for index, axis in zip(targets, tensor.axes, strict=True))
    if not whole or len(set(targets)) < len(targets):
        return None
    return {index: axis.symbol for index, axis in zip(targets, tensor.axes, strict=True)}


def solve(statement: Statement, tensor: Tensor, facts: tuple[Expr, ...]) -> Solved:
    fresh = {index.symbol: fresh_index(index.symbol.name) for index in statement.domain}
    ranges = {fresh[i.symbol]: (substitute(i.lo, fresh), substitute(i.hi, fresh)) for i in statement.domain}
    found: dict[Symbol, Expr] = {}
    out = Solved({}, {axis.symbol: (axis.lo, axis.hi) for axis in tensor.axes}, {})
    first = _outer_of(statement)
    for axis, target in zip(tensor.axes, indices_of(statement.target), strict=True):
        _solve_axis(axis.symbol, substitute(substitute(target, fresh), found), ranges, found, out, {fresh[s] for s in first})
    out.guards = [substitute(guard, found) for guard in out.guards]  # an axis may be solved after it stands in a guard
    conditions = _inner_ends(ranges, found, out)
    if conditions is None:
        return _as_guards(statement, tensor, fresh, ranges)
    for symbol, value in found.items():
        lo, hi = (substitute(end, found) for end in ranges[symbol])
        conditions += [(value, part, 1) for part in _parts(lo, MAXIMUM)] + [(value, part, -1) for part in _parts(hi, MINIMUM)]
    for value, part, sign in conditions:
        guard = (sp.Ge if sign > 0 else sp.Le)(value, part, evaluate=False)
        _require(sign * (value - part), guard, out, facts)
    _drop_empty(out, facts)
    out.mapping = {old: found.get(new, new) for old, new in fresh.items()}
    return out


def _inner_ends(ranges: Mapping[Symbol, Ends], found: Mapping[Symbol, Expr], out: Solved) -> list[tuple[Expr, Expr, int]] | None:
    """The ends of what is left to sum over; an end that now uses an inner index is a condition. None where no end is left."""
    left = [symbol for symbol in ranges if symbol not in found]
    conditions: list[tuple[Expr, Expr, int]] = []
    for place, symbol in enumerate(left):
        ends = []
        for end, head, sign in zip(ranges[symbol], (MAXIMUM, MINIMUM), (1, -1), strict=True):
            parts = [substitute(part, found) for part in _parts(end, head)]
            moving = [part for part in parts if part.has(*left[place:])]
            conditions += [(symbol, part, sign) for part in moving]
            fixed = [part for part in parts if part not in moving]
            if not fixed:
                return None
            ends.append(greatest_of(*fixed) if sign > 0 else least_of(*fixed))
        out.inner[symbol] = (ends[0], ends[1])
    return conditions


def _as_guards(statement: Statement, tensor: Tensor, fresh: Mapping[Any, Any], ranges: Mapping[Symbol, Ends]) -> Solved:
    """Nothing solved: the cell is found by guards alone."""
    targets = [substitute(target, fresh) for target in indices_of(statement.target)]
    guards = [sp.Eq(axis.symbol, target, evaluate=False) for axis, target in zip(tensor.axes, targets, strict=True)]
    return Solved(dict(fresh), {axis.symbol: (axis.lo, axis.hi) for axis in tensor.axes}, dict(ranges), guards, False)


def _outer_of(statement: Statement) -> set[Symbol]:
    """The indices of the primal target: they are solved for first, so that the sum left is over the others."""
    return {
        s for part in statement.origin.contributions for s in part.result.free_symbols if s in {i.symbol for i in statement.domain}
    }


def _solve_axis(
    axis: Symbol, target: Expr, ranges: Mapping[Symbol, Ends], found: dict[Symbol, Expr], out: Solved, first: set[Any]
) -> None:
    """Solve axis = target for one index of the domain that has factor 1 or -1."""
    unknown = [s for s in ranges if s not in found and target.has(s)]
    factors = None if gathers(target) else coefficients(target, unknown)
    choices = [s for s in unknown if factors and abs(factors[s]) == 1]
    if not unknown and not gathers(target) and not any(target.has(a) for a in out.kept):
        out.kept[axis] = (target, target)
        return
    if not choices or factors is None:
        out.plain = False
        out.guards.append(sp.Eq(*((target, axis) if gathers(target) else (axis, target)), evaluate=False))
        return
    symbol = max(choices, key=lambda s: s in first)
    out.plain = out.plain and len(unknown) == 1 and not any(target.has(a) for a in out.kept)
    value = sp.expand(factors[symbol] * (axis - target) + symbol)
    for known in found:
        found[known] = substitute(found[known], {symbol: value})
    found[symbol] = value


def _parts(end: Any, head: Any) -> tuple[Any, ...]:
    return tuple(end.args) if end.func == head else (end,)


def _require(condition: Expr, guard: Any, out: Solved, facts: tuple[Expr, ...]) -> None:
    """condition >= 0, as an end of the innermost index in it, as a part of an axis, or as the guard."""
    condition = sp.expand(condition)
    ranges = {**out.kept, **out.inner}
    if nonnegative(condition, ranges, facts):
        return
    symbol = next((s for s in reversed(list(ranges)) if condition.has(s)), None)
    factor = condition.coeff(symbol) if symbol is not None else sp.S.Zero
    here = out.inner if symbol in out.inner else out.kept
    new: Ends | None = None
    if symbol is not None and abs(factor) == 1 and not condition.has(MAXIMUM, MINIMUM):
        end, (lo, hi) = sp.expand(symbol - factor * condition), here[symbol]
        new = (_tighter(lo, end, 1, ranges, facts), hi) if factor > 0 else (lo, _tighter(hi, end, -1, ranges, facts))
        if here is out.kept and any(e.has(MAXIMUM, MINIMUM, *out.kept) for e in new):
            new = None
    if new is not None and symbol is not None:
        out.plain = out.plain and here is out.kept
        here[symbol] = new
    elif guard is not None:
        out.plain = False
        out.guards.append(guard)


def _drop_empty(out: Solved, facts: tuple[Expr, ...]) -> None:
    """Where a sum that is left has no terms, the axis need not go."""
    for lo, hi in list(out.inner.values()):
        for low in _parts(lo, MAXIMUM):
            for high in _parts(hi, MINIMUM):
                symbols = [s for s in (*out.kept, *out.inner) if (high - low).has(s)]
                if len(symbols) == 1 and symbols[0] in out.kept:
                    _require(high - low, None, out, facts)


def _tighter(old: Any, new: Any, sign: int, ranges: Mapping[Symbol, Ends], facts: tuple[Expr, ...]) -> Any:
    """The greater of two lower ends (sign 1), the lesser of two upper ones (-1); one of them where that is certain."""
    for one, other in ((new, old), (old, new)):
        if nonnegative(sign * (one - other), ranges, facts):
            return one
    return greatest_of(old, new) if sign > 0 else least_of(old, new)


def _applied(statement: Statement, tensor: Tensor, solved: Solved) -> Statement:
    """The statement with its indices solved for, under the guards."""
    symbols = [axis.symbol for axis in tensor.axes]
    kept = tuple(Index(s, *solved.kept[s]) for s in symbols)
    inner = tuple(Index(s, *ends) for s, ends in solved.inner.items())
    target = access(statement.name, *symbols)
    parts = []
    for part in statement.origin.contributions:
        moved = _moved(part, solved.mapping, lambda e: _under(solved.guards, substitute(e, solved.mapping)))
        partly = tuple(k for k, axis in zip(kept, tensor.axes, strict=True) if (k.lo, k.hi) != (axis.lo, axis.hi))
        parts.append(replace(moved, target=target, reduced=inner, kept=partly))
    value = _under(solved.guards, substitute(statement.value, solved.mapping))
    origin = replace(statement.origin, contributions=tuple(parts))
    return replace(statement, target=target, value=value, domain=(*kept, *inner), origin=origin)


def _under(guards: list[Any], value: Expr) -> Expr:
    for guard in reversed(guards):
        value = _within_choice(guard, value) if gathers(guard) else where(guard, value, sp.S.Zero)
    return value


def _within_choice(guard: Any, value: Expr) -> Expr:
    """A guard that reads data, [k = w[i+1]], where the value's own conditions, [i < N], hold: elsewhere it may not be read."""
    factors = sp.Mul.make_args(value)
    choice = next((f for f in factors if is_where(f) and f.args[2] == 0), None)
    if choice is None:
        return where(guard, value, sp.S.Zero)
    condition, chosen, zero = choice.args
    rest = [f for f in factors if f is not choice]
    return where(condition, _within_choice(guard, sp.Mul(*rest, chosen)), zero)


def _named(statement: Statement, mapping: dict[Any, Any], program: Program) -> Statement:
    """Apply the mapping of target indices and name all other bound indices so that nothing clashes."""
    if not statement.domain and not binds(statement.value):
        return statement  # scalars have no names to clash
    used = {str(symbol) for symbol in mapping.values()}
    used |= {str(s) for index in statement.domain for end in (index.lo, index.hi) for s in end.free_symbols}
    targets = set(indices_of(statement.target))
    used |= {str(s) for s in statement.target.free_symbols if s not in mapping}
    names = dict(mapping)
    for index in statement.domain:
        if index.symbol not in names:
            kept = index.symbol in targets and not isinstance(index.symbol, sp.Dummy)
            names[index.symbol] = index.symbol if kept else free_name(index.symbol, used, program.tensors)
        used.add(str(names[index.symbol]))
    outer = {str(s) for s in names.values()}

    def apply(expr: Any) -> Any:
        return rename_bound(substitute(expr, names), lambda symbol, around: free_name(symbol, around | outer, program.tensors))

    parts = tuple(_moved(part, names, apply) for part in statement.origin.contributions)
    order = [names.get(symbol, symbol) for symbol in indices_of(statement.target)]
    domain = [_rename(index, names) for index in statement.domain]
    inner = {index.symbol for index in domain} - set(order)
    # an index comes after those that its ends use: where those are summed over, the order stays
    if not any((index.lo + index.hi).free_symbols & inner for index in domain if index.symbol in order):
        domain.sort(key=lambda index: order.index(index.symbol) if index.symbol in order else len(order))
    return replace(
        statement,
        target=substitute(statement.target, names),
        value=apply(statement.value),
        domain=tuple(domain),
        origin=replace(statement.origin, contributions=parts),
    )


def _moved(part: Contribution, names: Mapping[Any, Any], apply: Callable[[Any], Any]) -> Contribution:
    return replace(
        part,
        read=substitute(part.read, names),
        result=substitute(part.result, names),
        target=substitute(part.target, names),
        cotangent=substitute(part.cotangent, names),
        partial=apply(part.partial),
        reduced=tuple(_rename(index, names) for index in part.reduced),
        kept=tuple(_rename(index, names) for index in part.kept),
    )


def _rename(index: Index, names: Mapping[Any, Any]) -> Index:
    return Index(names.get(index.symbol, index.symbol), substitute(index.lo, names), substitute(index.hi, names))


def free_name(symbol: Symbol, used: Container[str], also: Container[str] = ()) -> Symbol:
    """The symbol's own letter if nothing else has it, else the first free one."""
    numbered = (f"{symbol.name}{k}" for k in range(1, 10_000))
    return next(index_symbol(n) for n in itertools.chain((symbol.name, *LETTERS), numbered) if n not in used and n not in also)
