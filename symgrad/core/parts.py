"""Quantities that are defined in parts, h[0,j] and h[t,j]: are the parts disjoint, do they cover an array.

A region is a box, the least and greatest value of every target index. Where ends use other indices, as in a
triangle, or one index stands twice, as on a diagonal, it is a list of conditions on the axes, each an expression
that is not negative; two regions are disjoint where their conditions contradict each other (Fourier and Motzkin's
elimination). What is certain is decided from the extents, none of which is negative (`Program.facts`).

>>> from symgrad.frontend.text import parse
>>> p = parse("index i, j in 1..N; L[i,j] = x[i] for j in 1..i; L[i,j] = 0 for j in i+1..N; J = sum(L[i,j] for i, j)")
>>> overlap(p, "L") is None
True
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import combinations, pairwise
from typing import Any

import sympy as sp
from sympy import Expr

from symgrad.core.affine import MAXIMUM, MINIMUM, Ends, Ranges, bounds, greatest_of, least_of, nonnegative
from symgrad.core.expr import gathers, indices_of, name_of, substitute
from symgrad.core.program import Index, Program, Statement

Region = tuple[Ends, ...]
Conditions = tuple[Expr, ...]
Facts = Collection[Expr]


def crooked(statement: Statement) -> bool:
    """The cells are no box: ends that use other indices, an index that stands twice."""
    inner = [s for index in indices_of(statement.target) for s in index.free_symbols if s in statement.ranges]
    return bool(statement.moving) or len(set(inner)) < len(inner)


def _mixes(statement: Statement) -> bool:
    """Two indices in one place, x_bar[i+k]: no cell tells them apart."""
    return any(len(index.free_symbols & statement.ranges.keys()) > 1 for index in indices_of(statement.target))


def conditions(statement: Statement, axes: Sequence[Expr]) -> Conditions:
    """What holds for a cell, given by its indices, where the statement defines it; each is >= 0."""
    found: dict[Any, Expr] = {}
    out: list[Expr] = []
    for axis, target in zip(axes, indices_of(statement.target), strict=True):
        symbol = next((s for s in statement.ranges if target.has(s)), None)
        if symbol is None or symbol in found:
            difference = axis - substitute(target, found)
            out += [difference, -difference]
        else:
            found[symbol] = target.coeff(symbol) * (axis - target) + symbol
    found = {symbol: sp.expand(value) for symbol, value in found.items()}
    for index in statement.outer:
        out += within(found.get(index.symbol, index.symbol), substitute(index.lo, found), substitute(index.hi, found))
    return tuple(sp.expand(e) for e in out)


def within(value: Expr, lo: Any, hi: Any) -> Conditions:
    """lo <= value <= hi, where the ends may be extremes of several."""
    below, above = _each(lo, MAXIMUM), _each(hi, MINIMUM)
    return tuple(sp.expand(e) for e in (*(value - end for end in below), *(end - value for end in above)))


def _each(end: Any, head: Any) -> tuple[Any, ...]:
    return tuple(end.args) if end.func == head else (end,)


def contradict(wanted: Conditions, symbols: Sequence[Any], facts: Facts) -> bool:
    """True where no values of the symbols meet all conditions, certainly."""
    rest = list(dict.fromkeys(wanted))
    for symbol in symbols:
        below = [(e, e.coeff(symbol)) for e in rest if e.coeff(symbol) > 0]
        above = [(e, -e.coeff(symbol)) for e in rest if e.coeff(symbol) < 0]
        joined = [sp.expand(n * lower + m * upper) for lower, m in below for upper, n in above]
        rest = list(dict.fromkeys([*(e for e in rest if not e.has(symbol)), *joined]))
    return any(nonnegative(-e - 1, None, facts) for e in rest)


def clipped(domain: Sequence[Index], value: Expr, axis: Index) -> tuple[Index, ...]:
    """The domain without what puts a value of one of its indices outside of an axis: i in 1..N for i - 1 on 0..N."""
    found = [index for index in domain if value.has(index.symbol)]
    if len(found) != 1 or abs(value.coeff(found[0].symbol)) != 1:
        return tuple(domain)
    (index,), factor = found, value.coeff(found[0].symbol)
    ends = [sp.expand(factor * (end - value) + index.symbol) for end in ((axis.lo, axis.hi) if factor > 0 else (axis.hi, axis.lo))]
    inside = Index(index.symbol, greatest_of(index.lo, ends[0]), least_of(index.hi, ends[1]))
    return tuple(inside if i is index else i for i in domain)


def stays(index: Expr, axis: Index, ranges: Ranges, facts: Facts) -> bool:
    """True where the index is on the axis for all ranges, outer ones first, empty or not, certainly."""
    return nonnegative(index - axis.lo, ranges, facts) and nonnegative(axis.hi - index, ranges, facts)


def never_outside(index: Expr, axis: Index, ranges: Ranges, facts: Facts) -> bool:
    """True where no point of the ranges puts the index outside of the axis, certainly.

    i - 1 with i in 0..N and j in 1..i-1 is never -1: at i = 0 there is no j.
    """
    points = tuple(e for symbol, (lo, hi) in ranges.items() for e in within(symbol, lo, hi))
    beyond = (*(end - 1 - index for end in _each(axis.lo, MAXIMUM)), *(index - end - 1 for end in _each(axis.hi, MINIMUM)))
    return all(contradict((*points, sp.expand(e)), list(reversed(ranges)), facts) for e in beyond)


def around_points(domain: Sequence[Index], reads: Iterable[Expr], ranges: Ranges, program: Program) -> tuple[Index, ...]:
    """The domain without indices around no point of the ranges, where those would put a read outside of its array.

    For what is computed apart from the inner ranges: x[i-1] of a sum over j in 1..i-1 with i in 1..N, not 0..N.
    """
    for read in reads:
        for index, axis in zip(indices_of(read), program.tensors[name_of(read)].axes, strict=True):
            if ranges.get(index) == (axis.lo, axis.hi) or gathers(index) or stays(index, axis, ranges, program.facts):
                continue
            if never_outside(index, axis, ranges, program.facts):
                domain = clipped(domain, index, axis)
    return tuple(domain)


def uncovered(wanted: Conditions, parts: Sequence[Conditions], symbols: Sequence[Any], facts: Facts) -> bool:
    """True where a cell under the conditions may lie in none of the parts."""
    if contradict(wanted, symbols, facts):
        return False
    if not parts:
        return True
    first, *others = parts
    inside = wanted
    for condition in first:  # outside of the part: the first of its conditions that fails
        if uncovered((*inside, sp.expand(-condition - 1)), others, symbols, facts):
            return True
        inside = (*inside, condition)
    return False


def region(statement: Statement) -> Region:
    return tuple(bounds(index, statement.ranges) for index in indices_of(statement.target))


def disjoint(one: Region, two: Region, facts: Facts) -> bool:
    """True where no cell is in both, certainly."""
    return any(
        nonnegative(c - b - 1, None, facts) or nonnegative(a - d - 1, None, facts) for (a, b), (c, d) in zip(one, two, strict=True)
    )


def overlap(program: Program, name: str) -> tuple[Statement, Statement] | None:
    """Two definitions of a quantity that may define one cell."""
    found = program.definitions[name]
    if any(map(crooked, found)) and not any(map(_mixes, found)):
        axes = [axis.symbol for axis in program.tensors[name].axes]
        wheres = [(statement, conditions(statement, axes)) for statement in found]
        pairs = combinations(wheres, 2)
        return next(((s, t) for (s, one), (t, two) in pairs if not contradict((*one, *two), axes, program.facts)), None)
    first: dict[Region, Statement] = {}
    for statement in found:
        here = region(statement)
        if here in first:
            return first[here], statement
        first[here] = statement
    return next(((first[r], first[q]) for r, q in combinations(first, 2) if not disjoint(r, q, program.facts)), None)


def hull(ends: Sequence[Ends], facts: Facts) -> Ends | None:
    """The least range that holds all of them, or None where their order is not certain."""
    lo = next((a for a, _ in ends if all(nonnegative(c - a, None, facts) for c, _ in ends)), None)
    hi = next((b for _, b in ends if all(nonnegative(b - d, None, facts) for _, d in ends)), None)
    return None if lo is None or hi is None else (lo, hi)


def gap(regions: Sequence[Region], box: Sequence[Ends], facts: Facts) -> tuple[Expr, ...] | None:
    """The first corner of the box that no region is certain to cover; None where all of it is covered."""
    if not box:
        return None if regions else ()
    cuts = ordered_cuts([box[0], *(region[0] for region in regions)], facts)
    for start, end in pairwise(cuts):
        here = [r[1:] for r in regions if nonnegative(start - r[0][0], None, facts) and nonnegative(r[0][1] + 1 - end, None, facts)]
        inner = gap(here, box[1:], facts) if here else tuple(lo for lo, _ in box[1:])
        if inner is not None:
            return (start, *inner)
    return None


def ordered_cuts(ends: Sequence[Ends], facts: Facts) -> list[Any]:
    """Where ranges start and where they have ended, from the least to the greatest, as far as that is certain."""
    cuts: list[Any] = []
    for cut in dict.fromkeys(sp.expand(c) for lo, hi in ends for c in (lo, hi + 1)):
        place = next((k for k, other in enumerate(cuts) if nonnegative(other - cut, None, facts)), len(cuts))
        cuts.insert(place, cut)
    return cuts
