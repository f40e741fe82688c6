"""Affine index expressions: is it one, and between which ends does it run.

>>> i, k, N = (sp.Symbol(n, integer=True) for n in "ikN")
>>> bounds(2*i + k, {i: (0, N), k: (0, 4)})
(0, 2*N + 4)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy as sp
from sympy import Expr, Symbol

Ends = tuple[Any, Any]


def coefficients(expr: Expr, symbols: Mapping[Symbol, Any]) -> dict[Symbol, Expr] | None:
    """The integer coefficient of each symbol, or None where the expression is not affine in them."""
    out: dict[Symbol, Expr] = {}
    for term in sp.Add.make_args(sp.expand(expr)):
        found = [s for s in symbols if term.has(s)]
        if len(found) > 1:
            return None
        if found:
            coefficient = term / found[0]
            if not coefficient.is_Integer:
                return None
            out[found[0]] = out.get(found[0], sp.S.Zero) + coefficient
    return out


def bounds(expr: Expr, ranges: Mapping[Symbol, Ends]) -> Ends:
    """The least and the greatest value over a box of ranges, outer ends first put in; symbolic."""
    low = high = sp.expand(expr)
    # an end may use outer indices, so inner indices (declared later) are put in first
    for symbol in reversed(list(ranges)):
        lo, hi = ranges[symbol]
        low = _put(low, symbol, lo, hi)
        high = _put(high, symbol, hi, lo)
    return low, high


def _put(expr: Expr, symbol: Symbol, up: Any, down: Any) -> Expr:
    coefficient = expr.coeff(symbol)
    if coefficient == 0:
        return expr
    return sp.expand(expr.subs(symbol, up if coefficient > 0 else down))
