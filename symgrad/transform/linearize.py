"""Statement → its linearization: the triples (target, read, partial) of dT[f] += partial * dR[g].

For `T[f] op= v` and each distinct read `R[g]` in `v`, `partial` is dv/dR[g] times the reduction's weight rho
(1 for a sum, the others for a product, [this is the first maximum], exp(v - T) for log-sum-exp).
Forward mode places the triples, reverse mode transposes them. A reduction inside `v` is one factor
more, its bound indices fresh, so that no index is ever captured.

>>> import sympy as sp
>>> x, y = sp.symbols("x y")
>>> derivative(sp.log(y) * x, y)
x/y
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import sympy as sp
from sympy import Expr

from symgrad.core.errors import SymgradError
from symgrad.core.expr import (
    access,
    accesses,
    call,
    fresh_index,
    from_powers,
    indices_of,
    is_access,
    is_call,
    is_reduction,
    is_where,
    name_of,
    nodes,
    outermost,
    plus,
    powered,
    powers,
    reductions,
    split_call,
    split_reduction,
    substitute,
    times,
    where,
)  # fmt: skip
from symgrad.core.functions import BY_HEAD, FUNCTIONS
from symgrad.core.program import Index, Program, Statement
from symgrad.core.reductions import REDUCTIONS
from symgrad.core.tree import place_of

STOP = FUNCTIONS["stop"].head


@dataclass(frozen=True)
class Term:
    """One triple: over `domain`, a change of `read` changes `statement.target` by `partial` times it."""

    statement: Statement
    read: Expr
    partial: Expr
    domain: tuple[Index, ...]


class _Constant(SymgradError):
    """SG405 for a function that steps or an argmax."""

    def __init__(self, function: str, message: str):
        super().__init__("SG405", message, hint=f"write stop({function}(…)) to treat it as a constant")
        self.function = function


def reals_of(program: Program, names: Iterable[str]) -> tuple[str, ...]:
    """The names of what a derivative is taken by. Raises SG203 for an unknown one, SG405 for one that holds whole numbers."""
    names = tuple(program.known(name) for name in names)
    for name in names:
        if program.tensors[name].values is not None:
            others = [n for n in program.free if program.tensors[n].values is None]
            raise SymgradError(
                "SG405",
                f"{name} holds whole numbers, so nothing has a derivative by it",
                program.tensors[name].span,
                f"leave {name} out of wrt" + (f"; what is real is {', '.join(others)}" if others else ""),
            )
    return names


def linearize(statement: Statement, names: frozenset[str], alone: bool = True) -> Iterator[Term]:
    """The triples for the reads of tensors in `names`.

    `alone`: no other statement adds to the target's cells, so that a partial may use the target's value.
    Raises SG405 where a change would go through floor, ceil or an argmax.
    """
    try:
        yield from _linearize(statement, names, alone)
    except SymgradError as error:
        written = statement.origin.written
        place = place_of(written[1], error.function) if written and isinstance(error, _Constant) else None
        raise SymgradError(error.code, error.message, error.span or place or statement.origin.span, error.hint) from None


def _linearize(statement: Statement, names: frozenset[str], alone: bool) -> Iterator[Term]:
    weight: Expr = sp.S.One
    if statement.reduced and statement.op not in (None, "sum"):
        limits = [index.limit for index in statement.reduced]
        weight = _weight(statement.op or "", statement.value, limits, statement.target)
    named = alone and not statement.reduced
    for read, partial, inner in _terms(statement.value, names, statement.target if named else None):
        partial = _multiply(partial, weight)
        if named:
            partial = reuse_result(partial, statement, inner)
        yield Term(statement, read, partial, (*statement.domain, *inner))


def _weight(op: str, body: Expr, limits: list[Any], result: Expr) -> Expr:
    row = REDUCTIONS[op].weight
    if row is None:
        raise _Constant(op, f"{op} has no derivative")
    return row(body, limits, result)


def _terms(value: Expr, names: frozenset[str], result: Expr | None = None) -> Iterator[tuple[Expr, Expr, tuple[Index, ...]]]:
    """(read, partial, bound indices) for every read; reductions are opened with fresh indices.

    `result` is the name of the value, where it has one.
    """
    terms = _terms_with(value)
    result = None if value.is_Add else result
    for read in filter(is_access, outermost(value)):
        if name_of(read) in names:
            partial = _derivative(read, terms, result)
            if partial != 0:
                yield read, partial, ()
    for node in reductions(value):
        if not any(name_of(read) in names for read in accesses(node)):
            continue
        outer = _derivative(node, terms, result)
        op, body, limits = split_reduction(node)
        if outer == 0:
            continue
        fresh = {limit[0]: fresh_index(limit[0].name) for limit in limits}
        bound = [(fresh[s], substitute(lo, fresh), substitute(hi, fresh)) for s, lo, hi in limits]
        body = substitute(body, fresh)
        weight = _weight(op, body, bound, node)
        for read, partial, inner in _terms(body, names):
            yield read, inside(outer, _multiply(weight, partial)), (*(Index(*limit) for limit in bound), *inner)


def _terms_with(value: Expr) -> dict[Any, list[Expr]]:
    """For every access and reduction the terms of a sum that hold it, so that each term is differentiated by those alone."""
    out: dict[Any, list[Expr]] = {}
    for term in sp.Add.make_args(value):
        for node in outermost(term):
            if is_access(node) or is_reduction(node):
                out.setdefault(node, []).append(term)
    return out


def _derivative(by: Expr, terms: dict[Any, list[Expr]], result: Expr | None) -> Expr:
    parts = [derivative(term, by, result) for term in terms[by]]
    return parts[0] if len(parts) == 1 else plus(*parts)


def _multiply(*factors: Expr) -> Expr:
    """A product in which exp(a) and exp(b) stay apart, as they do in the statements they come from.

    Factors under one condition are one: where(c, a, 0) where(c, b, 0) = where(c, a b, 0).
    """
    factors = _under_one_condition(factors)
    exponentials = [f for factor in factors for f in sp.Mul.make_args(factor) if isinstance(f, sp.exp)]
    if len(exponentials) < 2:
        others = [f for f in factors if f is not sp.S.One]
        return others[0] if len(others) == 1 else times(*others)
    flat = [f for factor in factors for f in sp.Mul.make_args(factor)]
    rest = [f for f in flat if not isinstance(f, sp.exp)]
    return sp.Mul(*rest, *exponentials, evaluate=False)


def inside(outer: Expr, inner: Expr) -> Expr:
    """outer * inner, the inner one read and computed only in the branch of a choice that it belongs to."""
    if outer.is_Add and all(any(is_where(f) for f in sp.Mul.make_args(term)) for term in outer.args):
        return sp.Add(*(inside(term, inner) for term in outer.args))
    factors = sp.Mul.make_args(outer)
    for place, factor in enumerate(factors):
        if is_where(factor):
            condition, *branches = factor.args
            others = [*factors[:place], *factors[place + 1 :]]  # to SymPy a choice does not commute: w v w has two
            return where(
                condition, *(sp.S.Zero if branch == 0 else inside(_multiply(branch, *others), inner) for branch in branches)
            )
    return _multiply(outer, inner)


def _under_one_condition(factors: tuple[Expr, ...]) -> tuple[Expr, ...]:
    chosen = [f for factor in factors for f in sp.Mul.make_args(factor) if is_where(f) and f.args[2] == 0]
    if len(chosen) < 2:
        return factors
    conditions = [f.args[0] for f in chosen]
    if len(set(conditions)) == len(conditions):
        return factors
    rest = [f for factor in factors for f in sp.Mul.make_args(factor) if f not in chosen]
    merged = {c: _multiply(*(f.args[1] for f in chosen if f.args[0] == c)) for c in dict.fromkeys(conditions)}
    return (*rest, *(where(condition, value, sp.S.Zero) for condition, value in merged.items()))


def derivative(expr: Expr, by: Expr, result: Expr | None = None) -> Expr:
    """d expr / d by for an access or a reduction node taken as a leaf; rows of the table for functions.

    `result` is the name of the expression's value, which its derivative may use: 1 - z^2 for z = tanh(a).
    """
    memo: dict[Any, Expr] = {}
    for node in nodes(expr, _carries):
        memo[node] = sp.S.One if node == by else _rule(node, memo, result if node == expr else None)
    return memo[expr]


def _carries(node: Any) -> bool:
    """False where no change inside counts: a condition, what is stopped, a reduction, which is opened apart."""
    closed = isinstance(node, sp.core.relational.Relational | sp.Tuple) or node.func == STOP
    return not (closed or is_access(node) or is_reduction(node))


def _rule(node: Any, memo: dict[Any, Expr], result: Expr | None) -> Expr:
    if not node.args or not _carries(node):
        return sp.S.Zero
    if is_where(node):
        condition, yes, no = node.args
        return sp.S.Zero if memo[yes] == memo[no] == 0 else where(condition, memo[yes], memo[no])
    inner = [memo[arg] for arg in node.args]
    if all(d == 0 for d in inner):
        return sp.S.Zero
    if node.is_Add:
        return _add(*inner)
    if node.is_Mul:
        args = node.args
        return _add(*(_multiply(d, *args[:k], *args[k + 1 :]) for k, d in enumerate(inner) if d != 0))
    if node.is_Pow:
        return _power_rule(node, inner[0], inner[1], result)
    if is_call(node):
        return _add(*(_multiply(derivative_call(node, k), d) for k, d in enumerate(inner) if d != 0))
    row = BY_HEAD[node.func]
    if row.partial is None:
        raise _Constant(row.name, f"{row.name} has no derivative that training could use")
    value = node if result is None else result
    return _add(*(_multiply(row.partial(k, node.args, value), d) for k, d in enumerate(inner) if d != 0))


def _add(*terms: Expr) -> Expr:
    others = [term for term in terms if term is not sp.S.Zero]
    return others[0] if len(others) == 1 else plus(*others)


def derivative_call(node: Any, place: int) -> Expr:
    """sigma'(u) for a call sigma(u) of a user's function; f_2'(u, v) for the second argument of several."""
    name, args = split_call(node)
    return call(f"{name}_prime" if len(args) == 1 else f"{name}_{place + 1}_prime", *args)


def _power_rule(node: Any, dbase: Expr, dexponent: Expr, result: Expr | None) -> Expr:
    base, exponent = node.args
    by_base = times(times(exponent, _power_below(base, exponent, result)), dbase) if dbase != 0 else sp.S.Zero
    if dexponent == 0:
        return by_base
    by_exponent = node * sp.log(base)
    if not base.is_number:  # x^p log x is 0 at x = 0 where x^p is
        by_exponent = where(sp.Ne(node, 0, evaluate=False), by_exponent, sp.S.Zero)
    return by_base + by_exponent * dexponent


def _power_below(base: Expr, exponent: Expr, result: Expr | None) -> Expr:
    """base^(exponent - 1); of a root that has a name s by it: 1/s for s = sqrt(base)."""
    if result is not None and exponent.is_Rational and not exponent.is_Integer:
        times = (exponent - 1) / exponent
        if times.is_Integer:
            return result**times
    return powered(base, exponent - 1)


def reuse_result(partial: Expr, statement: Statement, inner: tuple[Index, ...] = ()) -> Expr:
    """Write the statement's value inside a partial by its name: 1 - tanh(a)^2 as 1 - z^2, e^b/s as y.

    For a product value the factors are looked for in products too, also with the target's indices
    renamed to the bound ones: exp(b_l)/s is y_l where y_k = exp(b_k)/s.
    """
    value = statement.value
    if not partial.args or is_access(value) or value.is_number:
        return partial
    forms = [(value, statement.target)]
    targets = indices_of(statement.target)
    ranges = {index.symbol: (index.lo, index.hi) for index in statement.domain}
    for index in inner:
        for symbol in targets:
            if ranges.get(symbol) != (index.lo, index.hi):
                continue  # the statement defines a part, and the bound index leaves it
            renamed = {symbol: index.symbol}
            forms.append((substitute(value, renamed), access(statement.name, *(substitute(t, renamed) for t in targets))))
    for form, name in forms:
        if _may_hold(partial, form):
            partial = _replace(partial, form, name)
    return partial


def _may_hold(expr: Expr, form: Expr) -> bool:
    """False where a form, or for a product one of its factors, is certainly nowhere in the expression."""
    inside = set(nodes(expr))
    return form in inside or (form.is_Mul and all(base in inside for base in powers(form)))


def _replace(expr: Any, form: Expr, name: Expr) -> Any:
    if expr == form:
        return name
    if is_reduction(expr) or is_access(expr) or not expr.args:
        return expr
    if expr.is_Mul and form.is_Mul:
        rest = _divide(powers(expr), powers(form))
        if rest is not None:
            return times(_replace(from_powers(rest), form, name), name)
    args = tuple(_replace(arg, form, name) for arg in expr.args)
    if args == expr.args:
        return expr
    return _multiply(*args) if expr.is_Mul else expr.func(*args)


def _divide(product: dict[Expr, Expr], by: dict[Expr, Expr]) -> dict[Expr, Expr] | None:
    """The factors left when `by` is taken out, or None where it is not contained."""
    numbers = [base for base in by if base.is_number]
    if numbers or len(by) < 2:
        return None
    out = dict(product)
    for base, exponent in by.items():
        have = out.get(base)
        if have is None or not (have.is_number and exponent.is_number) or have * exponent < 0 or abs(have) < abs(exponent):
            return None
        out[base] = have - exponent
    return out
