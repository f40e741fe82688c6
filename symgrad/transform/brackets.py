"""Iverson brackets, `where(condition, v, 0)`: a sum over one picks a term, and a factor beside one is taken at its index.

>>> from symgrad.core.expr import access, index_symbol
>>> k, l, K = map(index_symbol, "klK")
>>> label, p = access("label"), lambda i: access("p", i)
>>> one = where(sp.Eq(label, l), p(l) / p(label), sp.S.Zero)
>>> pick(reduction("sum", one, [(l, 1, K)]), {}, [], {"label": (sp.S.One, K)})
1
>>> beside(p(k) * where(sp.Eq(label, k), 1 / p(label), sp.S.Zero), {k: (1, K)})
where(Eq(label, k), 1, 0)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import sympy as sp
from sympy import Expr

from symgrad.core.affine import Ends, nonnegative
from symgrad.core.expr import (
    free_indices,
    gathers,
    is_access,
    is_reduction,
    is_where,
    name_of,
    rebuild,
    reduction,
    split_reduction,
    substitute,
    where,
)
from symgrad.transform.simplify import guarded, operations, swapped


def pick(expr: Any, ranges: Mapping[Any, Ends], facts: Collection[Expr], values: Mapping[str, Ends]) -> Any:
    """Σ_l [l = i] v_l = v_i, for indices with known ranges and whole numbers that are given, whose ends `values` has."""
    if is_access(expr) or not expr.args:
        return expr
    if not is_reduction(expr):
        return rebuild(expr, [pick(arg, ranges, facts, values) for arg in expr.args])
    op, body, limits = split_reduction(expr)
    inner = {**ranges, **{limit[0]: tuple(limit[1:]) for limit in limits}}
    body = pick(body, inner, facts, values)
    condition, value = guarded(body)
    if op == "sum" and isinstance(condition, sp.Eq):
        for symbol, lo, hi in limits:
            for one, other in (condition.args, condition.args[::-1]):
                known = {**ranges, **{s: (s, s) for s in free_indices(lo + hi)}}
                if one == symbol and _between(other, lo, hi, known, facts, values):
                    rest = [
                        (s, substitute(a, {symbol: other}), substitute(b, {symbol: other})) for s, a, b in limits if s != symbol
                    ]
                    value = substitute(value, {symbol: other})
                    return pick(reduction(op, value, rest) if rest else value, ranges, facts, values)
    return reduction(op, body, limits)


def _between(
    place: Expr, lo: Expr, hi: Expr, ranges: Mapping[Any, Ends], facts: Collection[Expr], values: Mapping[str, Ends]
) -> bool:
    """True where a place certainly lies in a range."""
    inside = {read: sp.Dummy(integer=True) for read in gathers(place)}
    if any(name_of(read) not in values for read in inside):
        return False
    plain, around = place.xreplace(inside), {**{symbol: values[name_of(read)] for read, symbol in inside.items()}, **ranges}
    if not plain.free_symbols <= set(around):
        return False
    return nonnegative(plain - lo, around, facts) and nonnegative(hi - plain, around, facts)


def beside(product: Expr, ranges: Mapping[Any, Ends]) -> Expr:
    """(a + [k = c]/p_c) p_k = a p_k + [k = c]: where the bracket is not 0, p_k is p_c. Only where that is shorter."""
    factors = sp.Mul.make_args(product)
    for total in factors:
        # a product of a hundred factors has ten thousand pairs
        brackets = [term for term in sp.Add.make_args(total) if _bracket_of(term, ranges)[0] is not None]
        for factor in factors if brackets else ():
            if factor is total or not any(_cancels(term, factor, ranges) for term in brackets):
                continue
            spread = sp.Add(*(_taken(term, factor, ranges) for term in sp.Add.make_args(total)))
            found = swapped(swapped(product, factor), total, spread)
            if operations(found) < operations(product):
                return found
    return product


def _taken(term: Expr, factor: Expr, ranges: Mapping[Any, Ends]) -> Expr:
    """term * factor, with the factor inside of the term's bracket."""
    bracket, index, place = _bracket_of(term, ranges)
    if bracket is None:
        return term * factor
    condition, value, zero = bracket.args
    return swapped(term, bracket, where(condition, value * substitute(factor, {index: place}), zero))


def _cancels(term: Expr, factor: Expr, ranges: Mapping[Any, Ends]) -> bool:
    bracket, index, place = _bracket_of(term, ranges)
    if bracket is None:
        return False
    there = substitute(factor, {index: place})
    return any(f.is_Pow and f.exp.is_number and f.exp < 0 and f.base == there for f in sp.Mul.make_args(bracket.args[1]))


def _bracket_of(term: Expr, ranges: Mapping[Any, Ends]) -> tuple[Any, Any, Any]:
    """(where(k == c, v, 0), k, c) of a product, or Nones."""
    for factor in sp.Mul.make_args(term):
        if is_where(factor) and factor.args[2] == 0 and isinstance(factor.args[0], sp.Eq):
            for index, place in (factor.args[0].args, factor.args[0].args[::-1]):
                if index in ranges and not place.has(index):
                    return factor, index, place
    return None, None, None
