"""The table of reductions: one row each.

`weight` is rho of the reverse rule: with T = reduce v over some indices, dT = reduce-sum of dv * weight.
For a product that is the product of the others (right at zeros); for max and min the bracket
[this is the first extreme one]; for log-sum-exp exp(v - T).

>>> REDUCTIONS["sum"].identity
0
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath
import sympy as sp
from sympy import Expr

from symgrad.core.expr import fresh_index, reduction, substitute, where

Limit = tuple[Any, Any, Any]


@dataclass(frozen=True)
class Reduction:
    """One row. `weight(body, limits, result)`; None where there is no derivative. `identity` is what a guard leaves.

    `reference(values)` is the meaning, over a list of (position, value), used by the oracle.
    """

    name: str
    identity: Any
    weight: Callable[[Expr, Sequence[Limit], Expr], Expr] | None
    reference: Callable[[list[tuple[Any, Any]]], Any]
    latex: str
    text: str

    def of(self, values: list[tuple[Any, Any]]) -> Any:
        """The reduction of values; of none at all its identity, and no place is the first of none."""
        if values:
            return self.reference(values)
        return mpmath.nan if self.weight is None else mpmath.mpf(float(self.identity))


def _others(body: Expr, limits: Sequence[Limit], result: Expr) -> Expr:
    """The product over all other points; O(n^2), but right when some factors are zero."""
    mapping = {limit[0]: fresh_index(limit[0].name) for limit in limits}
    here, there = position(limits), substitute(position(limits), mapping)
    other = where(sp.Ne(there, here, evaluate=False), substitute(body, mapping), sp.S.One)
    return reduction("prod", other, [(mapping[s], *(substitute(e, mapping) for e in (lo, hi))) for s, lo, hi in limits])


def _is_at(op: str) -> Callable[[Expr, Sequence[Limit], Expr], Expr]:
    def weight(body: Expr, limits: Sequence[Limit], result: Expr) -> Expr:
        mapping = {limit[0]: fresh_index(limit[0].name) for limit in limits}
        bound = [(mapping[s], *(substitute(e, mapping) for e in (lo, hi))) for s, lo, hi in limits]
        best = reduction(op, substitute(body, mapping), bound)
        return where(sp.Eq(position(limits), best, evaluate=False), sp.S.One, sp.S.Zero)

    return weight


def _share(body: Expr, limits: Sequence[Limit], result: Expr) -> Expr:
    """exp(v - T); what a guard leaves out has no share, also where T is -inf."""
    if body.func == where and body.args[2] == -sp.oo:
        return where(body.args[0], _share(body.args[1], limits, result), sp.S.Zero)
    return sp.exp(body - result)


def _first(values: list[tuple[Any, Any]], better: Callable[[Any, Any], bool]) -> tuple[Any, Any]:
    best = values[0]
    for here in values[1:]:
        if better(here[1], best[1]):
            best = here
    return best


def _logsumexp(values: list[tuple[Any, Any]]) -> Any:
    top = max(value for _, value in values)
    if mpmath.isinf(top):
        return top
    return top + mpmath.log(mpmath.fsum(mpmath.exp(value - top) for _, value in values))


REDUCTIONS: dict[str, Reduction] = {
    row.name: row
    for row in (
        Reduction("sum", sp.S.Zero, lambda body, limits, result: sp.S.One, lambda v: mpmath.fsum(x for _, x in v), r"\sum", "Σ"),
        Reduction("prod", sp.S.One, _others, lambda v: mpmath.fprod(x for _, x in v), r"\prod", "Π"),
        Reduction("max", -sp.oo, _is_at("argmax"), lambda v: _first(v, lambda a, b: a > b)[1], r"\max", "max"),
        Reduction("min", sp.oo, _is_at("argmin"), lambda v: _first(v, lambda a, b: a < b)[1], r"\min", "min"),
        Reduction(
            "logsumexp",
            -sp.oo,
            _share,
            _logsumexp,
            r"\operatorname{logsumexp}",
            "logsumexp",
        ),
        Reduction("argmax", -sp.oo, None, lambda v: _first(v, lambda a, b: a > b)[0], r"\operatorname{argmax}", "argmax"),
        Reduction("argmin", sp.oo, None, lambda v: _first(v, lambda a, b: a < b)[0], r"\operatorname{argmin}", "argmin"),
    )
}
# spellings of the language; mean is a sum over its count
REDUCERS = ("sum", "prod", "max", "min", "mean", "logsumexp", "argmax", "argmin")


def position(limits: Sequence[Sequence[Any]] | Iterable[Any]) -> Expr:
    """Which point of a reduction's range: the index itself if it is one, else a row-major count from 0."""
    limits = [tuple(limit) for limit in limits]
    if len(limits) == 1:
        return limits[0][0]
    place: Expr = sp.S.Zero
    for symbol, lo, hi in limits:
        place = place * (hi - lo + 1) + (symbol - lo)
    return place
