"""Quantities that are defined in parts, h[0,j] and h[t,j]: are the parts disjoint, do they cover an array.

A region is a box, the least and greatest value of every target index. What is certain is decided from
the extents, none of which is negative (`Program.facts`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations, pairwise
from typing import Any

import sympy as sp
from sympy import Expr

from symgrad.core.affine import Ends, bounds, nonnegative
from symgrad.core.expr import indices_of
from symgrad.core.program import Program, Statement

Region = tuple[Ends, ...]
Facts = Collection[Expr]


def region(statement: Statement) -> Region:
    return tuple(bounds(index, statement.ranges) for index in indices_of(statement.target))


def disjoint(one: Region, two: Region, facts: Facts) -> bool:
    """True where no cell is in both, certainly."""
    return any(
        nonnegative(c - b - 1, None, facts) or nonnegative(a - d - 1, None, facts) for (a, b), (c, d) in zip(one, two, strict=True)
    )


def overlap(program: Program, name: str) -> tuple[Statement, Statement] | None:
    """Two definitions of a quantity that may define one cell."""
    first: dict[Region, Statement] = {}
    for statement in program.definitions[name]:
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
