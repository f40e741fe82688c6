"""Rules that bring a derived formula into textbook form; each has a name and one line a person can check.

    constants leave a sum     Σ_l c v_l = c Σ_l v_l
    guards join the limits    Σ_l c [l > i] v_l = c Σ_{l: l > i} v_l
    delta picks a term        Σ_l [l = i] v_l = v_i          where i is certain to be in the range
    common factor             a c + b c = (a + b) c
    logistic                  e^w/(1 + e^w)^2 = y (1 - y)   where y = 1/(1 + e^w)
    denominators cancel       (a/y + b) y = a + b y, where that is shorter
    assumption                the left side of an `assume` line becomes its right side

No general simplifier is called, so the result is predictable and the user's quantities stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sympy as sp
from sympy import Expr

from symgrad.core.expr import (
    accesses,
    free_symbols,
    from_powers,
    index_symbol,
    indices_of,
    is_access,
    is_index,
    is_reduction,
    is_where,
    name_of,
    nodes,
    powers,
    rebuild,
    reduction,
    rename_bound,
    replace_nodes,
    split_reduction,
    substitute,
    where,
)  # fmt: skip
from symgrad.core.program import Statement

ROUNDING = sp.Float("1e-35", 40)


def tidy(expr: Any) -> Any:
    """Bottom-up: constants leave sums, common factors are taken out."""
    if is_access(expr) or not expr.args:
        return expr
    expr = rebuild(expr, [tidy(arg) for arg in expr.args])
    if is_reduction(expr):
        return constants_out(expr)
    if expr.is_Mul:
        return without_one(expr)
    return common_factor(expr) if expr.is_Add else expr


def without_one(product: Expr) -> Expr:
    """1.0 x as x: what is left where decimal fractions have cancelled, all but the rounding of their 40 digits."""
    number, rest = product.as_coeff_Mul()
    return sp.sign(number) * rest if number.is_Float and abs(abs(number) - 1) < ROUNDING else product


def constants_out(node: Expr) -> Expr:
    op, body, limits = split_reduction(node)
    if op != "sum":
        return node
    condition, body = guarded(body)
    bound = {limit[0] for limit in limits}
    if condition is not None and bound.isdisjoint(free_symbols(condition)):
        return where(condition, constants_out(reduction(op, body, limits)), sp.S.Zero)
    factors = sp.Mul.make_args(body)
    out = [f for f in factors if bound.isdisjoint(free_symbols(f)) and (condition is None or _everywhere(f))]
    inside = sp.Mul(*(f for f in factors if f not in out))
    if condition is not None:
        return sp.Mul(*out, reduction(op, where(condition, inside, sp.S.Zero), limits))
    return sp.Mul(*out, reduction(op, inside, limits)) if out and inside != 1 else node


def _everywhere(factor: Expr) -> bool:
    """A factor that can be read where the guard does not hold: none of its indices is shifted."""
    return all(is_index(index) for read in accesses(factor) for index in indices_of(read))


def guarded(body: Expr) -> tuple[Any, Expr]:
    """The guard of a sum's body, c * where(guard, v, 0), and c v; no guard: None and the body."""
    for factor in sp.Mul.make_args(body):
        if is_where(factor) and factor.args[2] == 0:
            return factor.args[0], swapped(body, factor, factor.args[1])
    return None, body


def swapped(product: Expr, factor: Expr, other: Expr = sp.S.One) -> Expr:
    """A product with another factor in the place of one of its own; a division would leave sums uncancelled."""
    args = list(sp.Mul.make_args(product))
    args[args.index(factor)] = other
    return sp.Mul(*args)


def common_factor(expr: Expr) -> Expr:
    """a c + b c as (a + b) c for quantities c; numbers stay where they are."""
    terms = [powers(term) for term in expr.args]
    shared = {b: e for b, e in terms[0].items() if not b.is_number and e.is_number and e > 0}
    for term in terms[1:]:
        if not shared:
            return expr
        shared = {b: min(e, term[b]) for b, e in shared.items() if b in term and term[b].is_number and term[b] > 0}
    if not shared:
        return expr
    rest = [from_powers({b: e - shared.get(b, 0) for b, e in term.items()}) for term in terms]
    sign = -1 if all(map(is_negative, rest)) else 1
    return sp.Mul(sp.Add(*(sign * term for term in rest)), from_powers(shared), sign)


def is_negative(term: Expr) -> bool:
    """True where a minus stands before a term, or before every part of it: not before 1 - x, whatever its normal form."""
    return all(part.as_coeff_Mul()[0].is_negative for part in sp.Add.make_args(term))


def logistic_form(partial: Expr, statement: Statement) -> Expr:
    """e^w/(1 + e^w)^2 written as y (1 - y) where the statement is y = 1/(1 + e^w)."""
    value = statement.value
    if statement.reduced or not (value.is_Pow and value.exp == -1 and value.base.is_Add and len(value.base.args) == 2):
        return partial
    number, exponential = value.base.as_coeff_Add()
    if number != 1 or not isinstance(exponential, sp.exp):
        return partial
    found = powers(partial)
    if found.get(value.base) != -2 or found.get(exponential) != 1:
        return partial
    rest = {b: e for b, e in found.items() if b not in (value.base, exponential)}
    return from_powers(rest) * statement.target * (1 - statement.target)


def cancel(expr: Any) -> Any:
    """Distribute factors over a sum where they cancel its denominators and the result is shorter."""
    if is_access(expr) or not expr.args:
        return expr
    expr = rebuild(expr, [cancel(arg) for arg in expr.args])
    return cancelled(expr) if expr.is_Mul else expr


def cancelled(expr: Any) -> Any:
    """The same for one product."""
    for place, total in enumerate(expr.args):
        if not total.is_Add:
            continue
        others = [*expr.args[:place], *expr.args[place + 1 :]]
        below = {b for term in total.args for b, e in powers(term).items() if e.is_number and e < 0}
        used = [f for f in others if any(b in below or -b in below for b in powers(f))]
        if not used:
            continue
        spread = sp.expand(sp.Add(*(_cancelled(term * sp.Mul(*used)) for term in total.args)))
        if size(spread) < size(sp.Mul(total, *used)):
            return sp.Mul(spread, *(f for f in others if f not in used))
    return expr


def _cancelled(term: Expr) -> Expr:
    """A product with (1 - y) and (y - 1) seen as one factor up to sign."""
    out: dict[Expr, Expr] = {}
    sign = sp.S.One
    for base, exponent in powers(term).items():
        if -base in out and base.is_Add and exponent.is_Integer:
            sign *= (-1) ** exponent
            out[-base] += exponent
        else:
            out[base] = out.get(base, sp.S.Zero) + exponent
    return sign * from_powers(out)


def size(expr: Any) -> int:
    """Nodes of an expression as written, shared parts counted once."""
    return sum(1 for _ in nodes(expr)) + sum(len(n.args) for n in nodes(expr) if n.is_Add or n.is_Mul)


def operations(expr: Any) -> int:
    """Operations that someone would count in the formula: + − · /, powers, functions, sums, brackets."""
    if is_access(expr) or is_index(expr) or not expr.args or expr.is_Number:
        return int(bool(expr.is_Rational and not expr.is_Integer))
    if is_reduction(expr):
        return 1 + operations(split_reduction(expr)[1])
    if expr.is_Pow and expr.exp.is_number:
        return 1 + operations(expr.base)
    inside = sum(operations(arg) for arg in expr.args)
    if is_where(expr):
        return inside
    if expr.is_Add:
        return len(expr.args) - 1 + inside
    if expr.is_Mul:
        factors = [arg for arg in expr.args if arg != -1]
        below = sum(map(_below_the_line, factors))
        return len(factors) - 1 + inside - below + (below == len(factors))
    return inside + 1


def _below_the_line(factor: Any) -> bool:
    """1/y or 1/2 in a product is one operation, the division."""
    return bool((factor.is_Pow and factor.exp == -1) or (factor.is_Rational and abs(factor.p) == 1 and factor.q != 1))


def assume(expr: Any, assumptions: Iterable[tuple[Expr, Expr]]) -> tuple[Any, list[tuple[Expr, Expr]]]:
    """Replace left sides of assumptions, whatever their bound indices are called; and which were used."""
    used = []
    for left, right in assumptions:
        wanted = plain_bound(left)
        found = {node: right for node in nodes(expr) if node.func == left.func and plain_bound(node) == wanted}
        if found:
            used.append((left, right))
            expr = replace_nodes(expr, found)
    return expr, used


def plain_bound(expr: Any) -> Any:
    """The expression with bound indices numbered, so that equal sums compare equal."""
    count = iter(range(1_000_000))
    return rename_bound(expr, lambda symbol, used: index_symbol(f"_{next(count)}"))


def inline(expr: Any, values: Mapping[str, tuple[tuple[Any, ...], Expr]]) -> Any:
    """Put definitions `name: (axis symbols, value)` in for their accesses."""
    mapping = {}
    for read in accesses(expr):
        if name_of(read) in values:
            symbols, value = values[name_of(read)]
            mapping[read] = substitute(value, dict(zip(symbols, indices_of(read), strict=True)))
    return replace_nodes(expr, mapping)
