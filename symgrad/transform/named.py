"""Finding the model's own quantities in an expression, so that they stand for it again.

    (x_i - mu)/s       xhat_i      where xhat_i = (x_i - mu)/s
    1/(v + epsilon)    1/s^2       where s = sqrt(v + epsilon)
    Σ_i x_i            m mu        where mu = (Σ_i x_i)/m

>>> from symgrad.frontend.text import parse
>>> model = parse("s = sqrt(v + e); z = (x - mu)/s; J = z")
>>> x, mu, v, e = sp.symbols("x mu v e")
>>> folded((v + e)**-1, definitions(model), {}, ()), folded((mu - x)/sp.Symbol("s")**2, definitions(model), {}, ())
(s**(-2), -z/s)
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp
from sympy import Expr

from symgrad.core.affine import Ends, nonnegative
from symgrad.core.expr import (
    accesses,
    free_symbols,
    index_symbol,
    indices_of,
    is_access,
    is_index,
    is_reduction,
    name_of,
    powers,
    reduction,
    split_reduction,
    substitute,
)  # fmt: skip
from symgrad.core.functions import FUNCTIONS
from symgrad.core.program import Program, Statement, covers
from symgrad.transform.simplify import inline, plain_bound, swapped

MOST = 64  # bindings of indices that are tried for one definition at one place


@dataclass(frozen=True)
class Named:
    """target = value for all its indices; `ends` are theirs."""

    target: Expr
    value: Expr
    ends: tuple[Ends, ...]

    @property
    def indices(self) -> tuple[Any, ...]:
        return indices_of(self.target)

    def put_in(self, expr: Any) -> Any:
        return inline(expr, {name_of(self.target): (self.indices, self.value)})

    def inside(self, binding: Mapping[Any, Any], ranges: Mapping[Any, Ends], facts: Collection[Expr]) -> bool:
        """Every cell that is meant is a cell of the target."""
        for index, (lo, hi) in zip(self.indices, self.ends, strict=True):
            place = binding[index]
            if ranges.get(place) == (lo, hi):
                continue
            if not (nonnegative(place - lo, ranges, facts) and nonnegative(hi - place, ranges, facts)):
                return False
        return True


def definitions(program: Program) -> tuple[Named, ...]:
    """What may stand for an expression: the quantities with one equation over all their cells, the largest first.

    Not a scalar that nothing else uses: that is the loss, and 1 - J is no derivative that anyone would write.
    """
    found = []
    for name, statements in program.definitions.items():
        statement = statements[0]
        tensor = program.tensors[name]
        loss = name == program.loss or not (tensor.axes or name in program.users)
        hidden = tensor.adjoint_of or statement.origin.invented or loss
        if len(statements) == 1 and not hidden and statement.op in (None, "sum") and covers(statement, tensor):
            ends = tuple((axis.lo, axis.hi) for axis in tensor.axes)
            found += [Named(statement.target, value, ends) for value in _forms(statement) if not _plain(value)]
    return tuple(sorted(found, key=lambda one: -len(list(sp.preorder_traversal(one.value)))))


def _forms(statement: Statement) -> Iterator[Expr]:
    """The definition as it stands, and others for the same quantity: p = e^u/Σ e^u is e^(u - logsumexp u)."""
    value = statement.value
    if statement.reduced:
        value = reduction(statement.op or "sum", value, [index.limit for index in statement.reduced])
    yield value
    if not value.is_Mul or len(value.args) != 2:
        if value.is_Pow and value.exp == -1 and value.base.is_Add and (value.base - 1).func == sp.exp:
            yield FUNCTIONS["logistic"].head(-(value.base - 1).args[0])
        return
    above = [f for f in value.args if isinstance(f, sp.exp)]
    below = [1 / f for f in value.args if is_reduction(1 / f)]
    if above and below and split_reduction(below[0])[0] == "sum" and isinstance(split_reduction(below[0])[1], sp.exp):
        _, body, limits = split_reduction(below[0])
        yield sp.exp(above[0].args[0] - reduction("logsumexp", body.args[0], limits))


def _plain(value: Expr) -> bool:
    """A copy, a number, or a number times a quantity: no name that anyone would look for."""
    _, rest = value.as_coeff_Mul()
    return not rest.args or is_access(rest) or rest.is_number


def bindings(pattern: Expr, node: Expr, variables: Collection[Any]) -> Iterator[dict[Any, Any]]:
    """What the pattern's indices must be so that its accesses are some of the node's."""
    reads = [r for r in accesses(pattern) if not set(indices_of(r)).isdisjoint(variables)]
    there: dict[str, list[Any]] = {}
    for read in accesses(node):
        there.setdefault(name_of(read), []).append(read)
    if any(name_of(read) not in there for read in accesses(pattern)):
        return
    stack: list[tuple[int, dict[Any, Any]]] = [(0, {})]
    count = 0
    while stack and count < MOST:
        place, found = stack.pop()
        if set(variables) <= set(found):
            count += 1
            yield found
        elif place < len(reads):
            options = [_unified(reads[place], other, found, variables) for other in reversed(there[name_of(reads[place])])]
            stack += [(place + 1, option) for option in options if option is not None]


def _unified(read: Any, other: Any, found: Mapping[Any, Any], variables: Collection[Any]) -> dict[Any, Any] | None:
    out = dict(found)
    for index, given in zip(indices_of(read), indices_of(other), strict=True):
        if index in variables and out.setdefault(index, given) != given:
            return None
    return out


def folded(node: Any, named: Sequence[Named], ranges: Mapping[Any, Ends], facts: Collection[Expr]) -> Any:
    """The node with a part of the model, as factor, power or whole, under its name."""
    if is_access(node) or is_index(node) or not isinstance(node, Expr) or not node.args:
        return node
    for one in named:
        if one.value.func != node.func and not (one.value.is_Pow and node.is_Pow):
            continue
        for binding in bindings(one.value, node, one.indices):
            if one.inside(binding, ranges, facts):
                found = _match(node, substitute(one.value, binding), substitute(one.target, binding))
                if found is not None:
                    return found
    return node


def _match(node: Any, value: Any, target: Any) -> Any:
    """The node with `value` in it replaced, or None."""
    if node.is_Pow and value.is_Pow and value.exp.is_number and node.exp.is_number:
        ratio = node.exp / value.exp
        return target**ratio if ratio.is_Integer and plain_bound(node.base) == plain_bound(value.base) else None
    if node.is_Mul:
        rest = divided(node, value)
        return None if rest is None else target * rest
    if plain_bound(node) == plain_bound(value):
        return target
    return -target if node.is_Add and plain_bound(node) == plain_bound(-value) else None


def divided(product: Any, by: Any) -> Any:
    """product/by where every factor of `by` is one of the product's, or None."""
    number, have = _factors(product)
    other, need = _factors(by)
    for key, (_, flip, exponent) in need.items():
        if key.is_number or key not in have:
            return None
        base, there_flip, there = have[key]
        if not (there.is_number and exponent.is_number) or exponent * there <= 0 or abs(there) < abs(exponent):
            return None
        have[key] = base, there_flip, there - exponent
        number *= (flip * there_flip) ** exponent
    return number / other * sp.Mul(*(base**exponent for base, _, exponent in have.values()))


def _factors(product: Any) -> tuple[Any, dict[Any, tuple[Any, int, Any]]]:
    """Number, and {key: (factor, sign, exponent)}; x - mu and mu - x have one key, with signs, their bound indices numbered."""
    number, rest = product.as_coeff_Mul()
    out: dict[Any, tuple[Any, int, Any]] = {}
    for base, exponent in powers(rest).items():
        if base != 1:
            flip = -1 if base.is_Add and exponent.is_Integer and base.could_extract_minus_sign() else 1
            key = plain_bound(flip * base)
            if key in out and out[key][1] != flip:
                number *= (-1) ** exponent
            out[key] = (out[key][0], out[key][1], out[key][2] + exponent) if key in out else (base, flip, exponent)
    return number, out


def summed(node: Any, named: Sequence[Named], ranges: Mapping[Any, Ends], facts: Collection[Expr]) -> Any:
    """A sum with a part of it, itself a sum that the model names, under its name; inner sums are drawn in."""
    op, body, limits = split_reduction(node)
    if op != "sum":
        return node
    body, limits = _flat(body, limits)
    scope = {**ranges, **{limit[0]: (limit[1], limit[2]) for limit in limits}}
    for one in named:
        scale, inner = _scaled_sum(one.value)
        if inner is None:
            continue
        _, wanted, over = split_reduction(inner)
        apart = {limit[0]: index_symbol(f"?{k}") for k, limit in enumerate(over)}
        wanted = substitute(wanted, apart)
        for binding in bindings(wanted, body, [*one.indices, *apart.values()]):
            found = _part_of_sum(body, limits, one, wanted, [(apart[s], lo, hi) for s, lo, hi in over], binding, scale)
            if found is not None and one.inside(binding, scope, facts):
                return found
    return node


def _flat(body: Any, limits: Sequence[Any]) -> tuple[Any, tuple[Any, ...]]:
    """Σ_l a_l Σ_e b_le as one sum over l and e."""
    limits = tuple(tuple(limit) for limit in limits)
    for factor in sp.Mul.make_args(body):
        if is_reduction(factor) and split_reduction(factor)[0] == "sum":
            _, inner, more = split_reduction(factor)
            return _flat(swapped(body, factor, inner), (*limits, *more))
    return body, limits


def _scaled_sum(value: Any) -> tuple[Any, Any]:
    """value = scale * Σ …, the scale free of quantities; (1, None) where it is no such sum."""
    sums = [f for f in sp.Mul.make_args(value) if is_reduction(f) and split_reduction(f)[0] == "sum"]
    if len(sums) != 1 or accesses(scale := swapped(value, sums[0])):
        return sp.S.One, None
    return scale, sums[0]


def _part_of_sum(body: Any, limits: Any, one: Named, wanted: Any, over: Any, binding: Mapping[Any, Any], scale: Any) -> Any:
    """Σ over what is left of rest * target/scale, or None where the body has no such part."""
    ends = {limit[0]: tuple(limit[1:]) for limit in limits}
    taken = [binding[symbol] for symbol, _, _ in over]
    same = all(ends.get(place) == (lo, hi) for place, (_, lo, hi) in zip(taken, over, strict=True))
    if not same or len(set(taken)) < len(taken) or any(binding[i].has(*taken) for i in one.indices):
        return None
    rest = divided(body, substitute(wanted, binding))
    if rest is None or not set(taken).isdisjoint(free_symbols(rest)):
        return None
    left = [limit for limit in limits if limit[0] not in taken]
    if any(not set(taken).isdisjoint((limit[1] + limit[2]).free_symbols) for limit in left):
        return None
    total = rest * substitute(one.target, binding)
    return (reduction("sum", total, left) if left else total) / scale
