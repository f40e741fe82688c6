"""Contributions to one quantity merged: `+=` → `=`.

one     one equation for every quantity, a contribution to a part of an axis under a guard
parts   where contributions end at different places, an equation for each part: the core of a
        recurrence and its boundary, without guards, where no range is empty
apart   sums stay apart and are added to the cell, what scatters stays a scatter: for kernels
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

import sympy as sp
from sympy import Expr

from symgrad.core.affine import Ends, nonnegative
from symgrad.core.expr import (
    access,
    gathers,
    is_access,
    is_index,
    is_reduction,
    is_where,
    plus,
    rebuild,
    reduction,
    split_reduction,
    substitute,
    where,
)
from symgrad.core.graph import in_rings
from symgrad.core.parts import Region, ordered_cuts
from symgrad.core.program import Index, Program, Statement, Tensor, covers
from symgrad.transform.gather import gather, shifted

Form = Literal["one", "parts", "apart"]
MOST_PARTS = 9  # more than these are guards


def collect(program: Program, form: Form = "parts", also: Collection[str] = ()) -> Program:
    """Merge the `+=` statements of every adjoint, of `also`, and of every quantity that has several."""
    out: list[Statement] = []
    ring = in_rings(program) if form == "apart" else frozenset()
    for name, statements in program.definitions.items():
        tensor = program.tensors[name]
        several = len(statements) > 1 and name not in program.partitioned
        ours = tensor.adjoint_of or name in also
        if not (all(s.op == "sum" for s in statements) and (ours or several)):
            out += statements
        elif form == "apart":
            # within a recurrence a scatter has no place in time
            out += _apart(tensor, [(gather if name in ring else shifted)(s, program) for s in statements])
        else:
            gathered = [gather(s, program) for s in statements]
            parts = _in_parts(tensor, gathered, program) if form == "parts" else None
            out += parts or [as_one(tensor, gathered)]
    return program.with_statements(out)


def _apart(tensor: Tensor, statements: Sequence[Statement]) -> list[Statement]:
    merged = _grouped([s for s in statements if covers(s, tensor)]) + [s for s in statements if not covers(s, tensor)]
    return merged if len(merged) < 2 else [replace(s, op="sum") for s in merged]


def as_one(tensor: Tensor, statements: Sequence[Statement]) -> Statement:
    """One equation over all axes for contributions that are gathered."""
    return _sum(tensor, _grouped([_over_whole_axes(s, tensor) for s in statements]))


def _over_whole_axes(statement: Statement, tensor: Tensor) -> Statement:
    """A statement on a part of an axis as one on all of it, under a guard."""
    axes = {axis.symbol: axis for axis in tensor.axes}
    guards = []
    for index in statement.domain:
        axis = axes.get(index.symbol)
        if axis is None or axis == index:
            continue
        if index.lo == index.hi:
            guards.append(sp.Eq(index.symbol, index.lo, evaluate=False))
            continue
        guards += [sp.Ge(index.symbol, index.lo, evaluate=False)] if index.lo != axis.lo else []
        guards += [sp.Le(index.symbol, index.hi, evaluate=False)] if index.hi != axis.hi else []
    if not guards:
        return statement

    def under(value: Expr) -> Expr:
        for guard in reversed(guards):
            value = where(guard, value, sp.S.Zero)
        return value

    domain = tuple(axes.get(index.symbol, index) for index in statement.domain)
    parts = tuple(replace(part, partial=under(part.partial), kept=()) for part in statement.origin.contributions)
    return replace(statement, value=under(statement.value), domain=domain, origin=replace(statement.origin, contributions=parts))


def _grouped(statements: Sequence[Statement]) -> list[Statement]:
    """Contributions over one domain are one sum."""
    groups: dict[tuple[Index, ...], list[Statement]] = {}
    for statement in statements:
        groups.setdefault(statement.reduced, []).append(statement)
    return [_add(group) for group in groups.values()]


def _add(group: Sequence[Statement]) -> Statement:
    first = group[0]
    if len(group) == 1:
        op = "sum" if first.reduced else None
        return first if first.op == op else replace(first, op=op)
    parts = tuple(part for s in group for part in s.origin.contributions)
    origin = replace(first.origin, contributions=parts)
    return Statement(first.target, plus(*(s.value for s in group)), first.domain, "sum" if first.reduced else None, origin)


def _sum(tensor: Tensor, merged: Sequence[Statement]) -> Statement:
    """One equation for sums over different indices."""
    if len(merged) == 1:
        return merged[0]
    value = sp.Add(*(reduction("sum", s.value, [i.limit for i in s.reduced]) if s.reduced else s.value for s in merged))
    parts = tuple(part for s in merged for part in s.origin.contributions)
    return Statement(merged[0].target, value, merged[0].outer, None, replace(merged[0].origin, contributions=parts))


def _in_parts(tensor: Tensor, statements: Sequence[Statement], program: Program) -> list[Statement] | None:
    """An equation for each part of the axes on which the same contributions hold; None where that is not certain."""
    symbols = [axis.symbol for axis in tensor.axes]
    boxes = [_box(statement, symbols) for statement in statements]
    whole = tuple((axis.lo, axis.hi) for axis in tensor.axes)
    if all(box == whole for box in boxes):
        return None
    found = _segments(whole, boxes, tuple(sp.expand(extent - 1) for extent in program.facts))  # where nothing is empty
    if found is None or len(found) > MOST_PARTS:
        return None
    out = []
    for box, members in found:
        domain = {s: Index(s, *ends) for s, ends in zip(symbols, box, strict=True)}
        here = [replace(statements[m], domain=tuple(domain.get(i.symbol, i) for i in statements[m].domain)) for m in members]
        if here:
            out.append(_met(at_cell(_sum(tensor, _grouped(here))), program.facts))
        else:
            out.append(at_cell(Statement(access(tensor.name, *symbols), sp.S.Zero, tuple(domain.values()))))
    return out


def _box(statement: Statement, symbols: Sequence[Any]) -> Region:
    ranges = {index.symbol: (index.lo, index.hi) for index in statement.domain}
    return tuple(ranges[symbol] for symbol in symbols)


def _segments(whole: Region, boxes: Sequence[Region], facts: tuple[Expr, ...]) -> list[tuple[Region, list[int]]] | None:
    """(box, contributions that cover it), as few as there are different ones; None where their order is not certain."""
    if not whole:
        return [((), list(range(len(boxes))))]
    cuts = ordered_cuts([whole[0], *(box[0] for box in boxes)], facts)
    if not all(nonnegative(b - a, None, facts) for a, b in pairwise(cuts)):
        return None
    out = []
    for start, end in pairwise(cuts):
        covers = [
            k
            for k, ((lo, hi), *_) in enumerate(boxes)
            if nonnegative(start - lo, None, facts) and nonnegative(hi + 1 - end, None, facts)
        ]
        inner = _segments(whole[1:], [boxes[k][1:] for k in covers], facts)
        if inner is None:
            return None
        out += [(((start, sp.expand(end - 1)), *box), [covers[m] for m in members]) for box, members in inner]
    return out


def _met(statement: Statement, facts: tuple[Expr, ...]) -> Statement:
    """Without what an equation of indices guards that no whole numbers meet: [2 t = 1], or [2 t + 1 = 1] for t in 1..N."""
    value = _possible(statement.value, dict(statement.ranges), facts)
    if value == 0 and statement.op == "sum":
        return replace(statement, value=value, domain=statement.outer, op=None)
    return statement.with_value(value)


def _possible(expr: Any, ranges: Mapping[Any, Ends], facts: tuple[Expr, ...]) -> Any:
    if is_reduction(expr):
        op, body, limits = split_reduction(expr)
        body = _possible(body, {**ranges, **{symbol: (lo, hi) for symbol, lo, hi in limits}}, facts)
        return sp.S.Zero if op == "sum" and body == 0 else reduction(op, body, limits)
    if is_where(expr) and isinstance(expr.args[0], sp.Eq) and _impossible(expr.args[0], ranges, facts):
        return _possible(expr.args[2], ranges, facts)
    if not expr.args or is_access(expr):
        return expr
    return rebuild(expr, [_possible(arg, ranges, facts) for arg in expr.args])


def _impossible(equation: Any, ranges: Mapping[Any, Ends], facts: tuple[Expr, ...]) -> bool:
    difference = sp.expand(equation.lhs - equation.rhs)
    if any(not is_index(s) for s in difference.free_symbols) or gathers(difference):
        return False
    number, rest = difference.as_coeff_Add()
    factors = [term.as_coeff_Mul()[0] for term in sp.Add.make_args(rest)]
    divides = all(f.is_Integer for f in factors) and rest != 0 and number % sp.gcd_list(factors) != 0
    return bool(divides) or any(nonnegative(sign * difference - 1, ranges, facts) for sign in (1, -1))


def at_cell(statement: Statement) -> Statement:
    """Indices that have one value only are put in."""
    fixed = {i.symbol: i.lo for i in statement.domain if i.lo == i.hi and i in statement.outer}
    if not fixed:
        return statement
    parts = tuple(
        replace(
            part,
            **{name: substitute(getattr(part, name), fixed) for name in ("read", "result", "target", "cotangent", "partial")},
            reduced=tuple(Index(i.symbol, substitute(i.lo, fixed), substitute(i.hi, fixed)) for i in part.reduced),
            kept=tuple(index for index in part.kept if index.symbol not in fixed),
        )
        for part in statement.origin.contributions
    )
    domain = tuple(
        Index(i.symbol, substitute(i.lo, fixed), substitute(i.hi, fixed)) for i in statement.domain if i.symbol not in fixed
    )
    return replace(
        statement,
        target=substitute(statement.target, fixed),
        value=substitute(statement.value, fixed),
        domain=domain,
        origin=replace(statement.origin, contributions=parts),
    )
