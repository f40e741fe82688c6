"""Integer expressions of indices: are they affine, between which ends do they run, is one never negative.

An end of a range may be `maximum(…)` or `minimum(…)` of affine expressions, and may use outer indices.

>>> i, k, N = (sp.Symbol(n, integer=True) for n in "ikN")
>>> bounds(2*i + k, {i: (0, N), k: (0, 4)})
(0, 2*N + 4)
>>> nonnegative(i - k, {i: (0, N), k: (0, least_of(i, 4))})
True
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import sympy as sp
from sympy import Expr, Function, Symbol

Ends = tuple[Any, Any]
Ranges = Mapping[Symbol, Ends]
MAXIMUM, MINIMUM = Function("maximum"), Function("minimum")
OPPOSITE = {MAXIMUM: MINIMUM, MINIMUM: MAXIMUM}


def coefficients(expr: Expr, symbols: Collection[Symbol] | Ranges) -> dict[Symbol, Expr] | None:
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


def whole(expr: Any, env: Mapping[Any, int]) -> int:
    """The value of an index or an end; `env` gives its symbols.

    >>> whole(2 * sp.Symbol("i", integer=True) + 1, {sp.Symbol("i", integer=True): 3})
    7
    """
    return _whole(expr)(env)


FOLDS: dict[Any, Callable[[Iterable[int]], int]] = {
    sp.Add: sum, sp.Mul: math.prod, sp.Max: max, sp.Min: min, MAXIMUM: max, MINIMUM: min,
}  # fmt: skip


@lru_cache(maxsize=1 << 12)
def _whole(expr: Any) -> Callable[[Mapping[Any, int]], int]:
    if expr.is_Integer:
        number = int(expr)
        return lambda env: number
    if expr.is_Symbol:
        return lambda env: env[expr]
    if expr.func not in FOLDS:
        return lambda env: int(expr.subs(env))
    fold, parts = FOLDS[expr.func], [_whole(arg) for arg in expr.args]
    return lambda env: fold(part(env) for part in parts)


def greatest_of(*parts: Any) -> Expr:
    return _extreme(MAXIMUM, parts)


def least_of(*parts: Any) -> Expr:
    return _extreme(MINIMUM, parts)


def _extreme(head: Any, parts: Collection[Any]) -> Expr:
    """The extreme of several; those that another one certainly beats by a number are left out."""
    flat = [a for p in parts for a in (p.args if getattr(p, "func", None) == head else (sp.expand(p),))]
    kept: list[Any] = []
    for part in dict.fromkeys(flat):
        differences = [sp.expand(other - part) for other in kept]
        if any(d.is_Integer and (d >= 0 if head == MAXIMUM else d <= 0) for d in differences):
            continue
        kept = [o for o, d in zip(kept, differences, strict=True) if not d.is_Integer]
        kept.append(part)
    return kept[0] if len(kept) == 1 else head(*kept)


def bounds(expr: Any, ranges: Ranges) -> Ends:
    """The least and the greatest value over ranges, outer ones first; symbolic."""
    return least(expr, ranges), _negated(least(-expr, ranges))


def _negated(expr: Any) -> Any:
    if expr.func in OPPOSITE:
        return _extreme(OPPOSITE[expr.func], [_negated(arg) for arg in expr.args])
    return sp.expand(-expr)


def least(expr: Any, ranges: Ranges) -> Any:
    """A value that `expr` never falls below over the ranges; an extreme, if there is one, stands outermost."""
    expr = sp.expand(expr)
    for term in sp.Add.make_args(expr):
        factor, node = term.as_coeff_Mul()
        if node.func in OPPOSITE:
            head = node.func if factor > 0 else OPPOSITE[node.func]
            return _extreme(head, [least(expr - term + factor * arg, ranges) for arg in node.args])
    # an end may use outer indices, so inner ones (declared later) are put in first
    symbols = list(ranges)
    for place in reversed(range(len(symbols))):
        factor = expr.coeff(symbols[place])
        if factor != 0:
            lo, hi = ranges[symbols[place]]
            outer = {symbol: ranges[symbol] for symbol in symbols[:place]}
            return least(expr.subs(symbols[place], lo if factor > 0 else hi), outer)
    return expr


def nonnegative(expr: Any, ranges: Ranges | None = None, facts: Collection[Expr] = ()) -> bool:
    """True where expr >= 0 is certain over the ranges, given that every fact is >= 0; False says nothing."""
    return _follows(least(expr, ranges or {}), tuple(facts), 4)


def _follows(expr: Any, facts: tuple[Expr, ...], depth: int) -> bool:
    """expr = a non-negative combination of facts and a non-negative number."""
    if expr.func == MAXIMUM:
        return any(_follows(arg, facts, depth) for arg in expr.args)
    if expr.func == MINIMUM:
        return all(_follows(arg, facts, depth) for arg in expr.args)
    if expr.is_number:
        return bool(expr >= 0)
    if depth == 0 or not expr.free_symbols:  # such as |0| of what is no number yet
        return False
    symbol = min(expr.free_symbols, key=str)
    factor = expr.coeff(symbol)
    if not factor.is_number:
        return False
    for fact in facts:
        by = fact.coeff(symbol)
        if by.is_number and by * factor > 0 and _follows(sp.expand(expr - fact * factor / by), facts, depth - 1):
            return True
    return False


def solved_sizes(extents: Sequence[tuple[Expr, Any]]) -> Iterator[tuple[Symbol, Expr, Any]]:
    """(symbol, extent, its source) for every symbol that an extent gives once those before it are known."""
    known: set[Any] = set()
    waiting = [(sp.expand(extent), source) for extent, source in extents]
    while True:
        found = next(((e, source, s) for e, source in waiting if (s := _one_unknown(e, known)) is not None), None)
        if found is None:
            return
        extent, source, symbol = found
        known.add(symbol)
        yield symbol, extent, source


def _one_unknown(extent: Expr, known: set[Any]) -> Symbol | None:
    unknown = [s for s in sorted(extent.free_symbols, key=str) if s not in known]
    if len(unknown) == 1 and extent.coeff(unknown[0]).is_Integer and not extent.has(Function):
        return unknown[0]
    return None
