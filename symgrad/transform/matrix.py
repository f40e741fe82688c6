"""Statements over at most two indices → equations between whole arrays, vectors as columns.

    a_j = Σ_i alpha_ji x_i            a = alpha x
    dJ/dalpha_ji = dJ/da_j x_i        dJ/dalpha = dJ/da x^T
    dJ/dx_i = Σ_j dJ/da_j alpha_ji    dJ/dx = alpha^T dJ/da

The order of the indices in an access is that of rows and columns. ⊙, fractions, powers and functions of arrays act
entry by entry. What has no such form (three indices, shifts, gathers, guards) raises `NoMatrix`; it stays in indices.

>>> from symgrad.core.tree import Format
>>> from symgrad.frontend.text import parse
>>> model = parse("index i in 1..N, j in 1..M; a[j] = sum(alpha[j,i]*x[i] for i); J = sum(a[j]^2 for j)")
>>> line = matrix_line(model.statements[0], model, Layout.of(model, derivatives=True))
>>> Format().show(line.left), Format().show(line.right)
('a', 'alpha*x')
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp

from symgrad.core.expr import (
    free_indices,
    indices_of,
    is_access,
    is_index,
    is_reduction,
    name_of,
    reduction,
    split_reduction,
    where,
)
from symgrad.core.functions import BY_HEAD
from symgrad.core.graph import top_down
from symgrad.core.layout import COMPARISONS, Layout
from symgrad.core.page import Line, Note, Page, Row, Section
from symgrad.core.program import Program, Statement, covers
from symgrad.core.tree import ONES, Bracket, Call, Compare, Deriv, Name, Num, Pow, Prod, Sum, Transpose, Tree
from symgrad.transform.chain import forward_line
from symgrad.transform.simplify import logistic_form, tidy


class NoMatrix(Exception):
    """An equation that whole arrays cannot say, and why."""


@dataclass(frozen=True)
class Array:
    """A tree with the indices of its rows and columns; none for a scalar."""

    tree: Tree
    axes: tuple[Any, ...] = ()


def matrix_page(primal: Program, whole: Program, loss: str) -> Page:
    """Forward beside backward, each adjoint in the row of the last equation that adds to it."""
    layout = Layout.of(whole, derivatives=True)
    rest: dict[str, str] = {}
    down = top_down(primal, loss)
    places: dict[int, list[Line]] = {}
    for name, (statement, *_) in whole.definitions.items():
        owner = whole.tensors[name].adjoint_of
        if owner and owner[0] == loss:
            sources = {id(part.primal) for part in statement.origin.contributions}
            last = max((place for place, s in enumerate(down) if id(s) in sources), default=0)
            places.setdefault(last, []).append(_line(by_result(statement, primal), whole, layout, rest))
    rows = tuple(Row(_line(s, primal, layout, rest), tuple(places.get(place, ()))) for place, s in enumerate(down))
    return Page((Section(("Forward", "Backward"), rows),), None, _notes(rest))


def _notes(rest: dict[str, str]) -> tuple[Note, ...]:
    reasons: dict[str, list[str]] = {}
    for name, why in rest.items():
        reasons.setdefault(why, []).append(name)
    return tuple((f"in indices, since {why}: {', '.join(names)}",) for why, names in reasons.items())


def _line(statement: Statement, program: Program, layout: Layout, rest: dict[str, str]) -> Line:
    try:
        if len(program.definitions[statement.name]) > 1 or not covers(statement, program.tensors[statement.name]):
            raise NoMatrix("it has an equation for each part")
        return matrix_line(statement, program, layout)
    except NoMatrix as error:
        line = forward_line(statement, program, layout)
        shown = line.left
        rest[shown.name if isinstance(shown, Name) else _deriv_name(shown)] = str(error)
        return line


def _deriv_name(tree: Tree) -> str:
    return f"d{_deriv_name(tree.top)}/d{_deriv_name(tree.bottom)}" if isinstance(tree, Deriv) else getattr(tree, "name", "")


def by_result(statement: Statement, primal: Program) -> Statement:
    """dy/db as y (1 - y), not as exponentials of b."""
    value = statement.value
    for part in statement.origin.contributions:
        terms = [logistic_form(term, part.primal) if term.is_Mul else term for term in sp.Add.make_args(value)]
        value = sp.Add(*terms)
    return statement.with_value(value)


def matrix_line(statement: Statement, program: Program, layout: Layout) -> Line:
    """The statement between whole arrays. Raises NoMatrix."""
    value = statement.value
    if statement.reduced:
        if statement.op != "sum":
            raise NoMatrix(f"it is a {statement.op}")
        value = reduction("sum", value, [index.limit for index in statement.reduced])
    writer = _Writer(layout, program, statement)
    target = writer.access(statement.target)
    right = writer.oriented(writer.array(tidy(value)), target.axes)
    return Line(target.tree, "=", writer.filled(right, target.axes) if isinstance(right, Num) else right)


class _Writer:
    """Expressions as arrays over the free indices that their accesses show."""

    def __init__(self, layout: Layout, program: Program, statement: Statement):
        self.layout, self.program, self.want = layout, program, indices_of(statement.target)
        self.ranges = {index.symbol: (index.lo, index.hi) for index in statement.domain}
        self.limits: list[Any] = []

    def array(self, expr: Any) -> Array:
        if is_access(expr):
            return self.access(expr)
        if not self.axes_of(expr) and not _summed(expr):
            if not set(self.ranges).isdisjoint(free_indices(expr)):
                raise NoMatrix("it counts with an index")
            return Array(self.layout.tree(expr))
        if expr.is_Add:
            return self.sum(expr)
        if expr.is_Mul:
            return self.product(sp.Mul.make_args(expr))
        if is_reduction(expr):
            return self.reduction(expr)
        if expr.is_Pow and expr.exp.is_number:
            return self.power(expr)
        if expr.func == where:
            return self.where(expr)
        if expr.func in BY_HEAD:
            args = [self.array(arg) for arg in expr.args]
            axes = self.common(args)
            return Array(Call(BY_HEAD[expr.func].name, tuple(self.spread(arg, axes) for arg in args)), axes)
        raise NoMatrix("it uses what arrays have no sign for")

    def axes_of(self, expr: Any) -> set[Any]:
        return {s for s in free_indices(expr) if self.runs(s, expr)}

    def runs(self, symbol: Any, expr: Any) -> bool:
        """An index of an access, not an extent."""
        return any(symbol in index.free_symbols for read in expr.atoms(sp.Indexed) for index in indices_of(read))

    def access(self, read: Any) -> Array:
        indices = indices_of(read)
        if not all(map(is_index, indices)):
            raise NoMatrix("it shifts or gathers an index")
        if len(indices) > 2:
            raise NoMatrix("it has more than two indices")
        if len(set(indices)) < len(indices):
            raise NoMatrix("it takes a diagonal")
        for index, axis in zip(indices, self.program.tensors[name_of(read)].axes, strict=True):
            if self.ranges.get(index) != (axis.lo, axis.hi):
                raise NoMatrix("it takes a part of an array")
        tree = self.layout.access(read)
        plain = Deriv(_bare(tree.top), _bare(tree.bottom)) if isinstance(tree, Deriv) else Name(tree.name)
        return Array(plain, indices)

    def common(self, parts: Iterable[Array]) -> tuple[Any, ...]:
        """The axes of the largest part; all others are among them."""
        parts = list(parts)
        axes = max((part.axes for part in parts), key=len)
        if any(not set(part.axes) <= set(axes) for part in parts):
            found = tuple(dict.fromkeys(a for part in parts for a in part.axes))
            if len(found) > 2:
                raise NoMatrix("it has more than two indices")
            return found
        return axes

    def spread(self, part: Array, axes: tuple[Any, ...]) -> Tree:
        """A part as an array over all the axes: 1 b^T for b_k over (n, k); numbers stay numbers."""
        if set(part.axes) == set(axes) or _is_number(part.tree):
            return self.oriented(part, axes)
        if not part.axes:
            ones: Tree = Name(ONES) if len(axes) == 1 else _times(Name(ONES), Transpose(Name(ONES)))
            return _times(part.tree, ones)
        return _times(part.tree, Transpose(Name(ONES))) if part.axes[0] == axes[0] else _times(Name(ONES), Transpose(part.tree))

    def filled(self, number: Num, axes: Sequence[Any]) -> Tree:
        """The array whose every entry is the number."""
        if not axes or number.text == "0":
            return number
        ones: Tree = Name(ONES) if len(axes) == 1 else _times(Name(ONES), Transpose(Name(ONES)))
        return ones if number.text == "1" else _times(number, ones)

    def oriented(self, part: Array, axes: Sequence[Any]) -> Tree:
        if tuple(axes) == part.axes or (_is_number(part.tree) and not part.axes):
            return part.tree
        if tuple(axes) == part.axes[::-1] and len(axes) == 2:
            return part.tree.base if isinstance(part.tree, Transpose) else Transpose(part.tree)
        if set(part.axes) < set(axes):
            return self.spread(part, tuple(axes))
        raise NoMatrix("its indices do not match")

    def sum(self, expr: Any) -> Array:
        terms = []
        for term in self.layout.ordered_terms(expr):
            sign, rest = (-1, -term) if term.could_extract_minus_sign() else (1, term)
            terms.append((sign, self.array(rest)))
        axes = self.common(part for _, part in terms)
        return Array(Sum(tuple((sign, self.spread(part, axes)) for sign, part in terms)), axes)

    def power(self, expr: Any) -> Array:
        inner = expr.base
        if expr.exp == -1 and inner.is_Add and (inner - 1).func == sp.exp:
            u = self.array(-(inner - 1).args[0])
            return Array(Call("logistic", (u.tree,)), u.axes)
        base = self.array(inner)
        tree = Call("sqrt", (base.tree,)) if abs(expr.exp) == sp.S.Half else base.tree
        if abs(expr.exp) in (1, sp.S.Half):
            return Array(_fraction(tree) if expr.exp < 0 else tree, base.axes)
        if not base.axes:
            return Array(Pow(base.tree, self.layout.tree(expr.exp)))
        if expr.exp in (2, 3):
            return Array(_hadamard([base.tree] * int(expr.exp)), base.axes)
        raise NoMatrix("it takes a power of an array")

    def where(self, expr: Any) -> Array:
        condition, yes, no = expr.args
        if no != 0 or not isinstance(condition, sp.core.relational.Relational) or not self.axes_of(condition):
            raise NoMatrix("it has a guard")
        if any(map(is_index, condition.args)):
            raise NoMatrix("it has a guard")
        sides = [self.array(side) for side in condition.args]
        axes = self.common(sides)
        left, right = (self.spread(side, axes) for side in sides)
        bracket = Array(Bracket((Compare(COMPARISONS[type(condition)], left, right),)), axes)
        return bracket if yes == 1 else self.entrywise([self.array(yes), bracket])

    # products

    def product(self, factors: Sequence[Any]) -> Array:
        """Numbers and fractions of scalars around, the arrays between."""
        number = sp.Mul(*(f for f in factors if f.is_number))
        below = [f for f in factors if self.divides(f)]
        above = sorted((f for f in factors if not f.is_number and f not in below), key=self.layout._factor_key)
        found = self.entrywise([self.array(f) for f in above]) if above else Array(Num("1"))
        return self.scaled(number, found, [self.array(f.base**-f.exp).tree for f in below])

    def divides(self, factor: Any) -> bool:
        return bool(factor.is_Pow and factor.exp.is_number and factor.exp < 0 and not self.axes_of(factor))

    def scaled(self, number: Any, found: Array, below: Sequence[Tree] = ()) -> Array:
        """number * found/below with the sign in front."""
        if number < 0:
            return Array(Sum(((-1, self.scaled(-number, found, below).tree),)), found.axes)
        p, q = (number.p, number.q) if number.is_Rational else (1, 1)
        tree = found.tree if p == 1 else Num(str(p)) if found.tree == Num("1") else _times(Num(str(p)), found.tree)
        if not number.is_Rational:
            tree = _times(self.layout.tree(number), tree)
        under = [*([Num(str(q))] if q != 1 else []), *below]
        return Array(Prod((("*", tree), ("/", _product(under)))) if under else tree, found.axes)

    def entrywise(self, parts: Sequence[Array]) -> Array:
        """A product without a sum: scalars first, ⊙ within the same axes, v w^T and diag between different ones."""
        scalars = [part.tree for part in parts if not part.axes]
        groups: dict[frozenset[Any], list[Array]] = {}
        for part in parts:
            if part.axes:
                groups.setdefault(frozenset(part.axes), []).append(part)
        axes = self.common(part for part in parts)
        if len(axes) > 2:
            raise NoMatrix("it has more than two indices")
        merged = {key: _hadamard([self.oriented(p, found[0].axes) for p in found]) for key, found in groups.items()}
        if not merged:
            return Array(_product(scalars))
        if len(merged) == 1:
            first = next(iter(groups.values()))[0]
            return Array(_product([*scalars, next(iter(merged.values()))]), first.axes)
        return Array(_product([*scalars, self._between(merged, groups, axes)]), axes)

    def _between(
        self, merged: dict[frozenset[Any], Tree], groups: dict[frozenset[Any], list[Array]], axes: tuple[Any, ...]
    ) -> Tree:
        row, column = (merged.get(frozenset({axis})) for axis in axes)
        full = merged.get(frozenset(axes))
        if full is None and row is not None and column is not None:
            return _times(row, Transpose(column))
        assert full is not None
        tree = self.oriented(Array(full, groups[frozenset(axes)][0].axes), axes)
        tree = _times(Call("diag", (row,)), tree) if row is not None else tree
        return _times(tree, Call("diag", (column,))) if column is not None else tree

    # sums

    def reduction(self, expr: Any) -> Array:
        op, body, limits = split_reduction(expr)
        if op != "sum":
            raise NoMatrix(f"it is a {op}")
        *outer, last = limits
        if last[0] in set().union(*(end.free_symbols for limit in outer for end in limit[1:])) or any(
            self.axes_of(expr) & end.free_symbols for limit in limits for end in limit[1:]
        ):
            raise NoMatrix("its sum has moving ends")
        self.limits = [*self.limits, *limits]
        self.ranges |= {symbol: (lo, hi) for symbol, lo, hi in limits}
        factors = list(sp.Mul.make_args(body))
        inside = [f for f in factors if last[0] in free_indices(f)]
        outside = [f for f in factors if f not in inside]
        if outer:
            inner = reduction("sum", sp.Mul(*inside), [last])
            return self.over([*outside, inner], outer[-1][0], outer[:-1])
        return self.over(factors, last[0], ())

    def over(self, factors: Sequence[Any], symbol: Any, outer: Sequence[Any]) -> Array:
        """Σ over the symbol, then over the outer ones."""
        if outer:
            inside = [f for f in factors if symbol in free_indices(f)]
            rest = [f for f in factors if f not in inside]
            limit = next(tuple(limit) for limit in self.limits if limit[0] == symbol)
            return self.over([*rest, reduction("sum", sp.Mul(*inside), [limit])], outer[-1][0], outer[:-1])
        number = sp.Mul(*(f for f in factors if f.is_number))
        below = [f for f in factors if self.divides(f)]
        ordered = sorted((f for f in factors if not f.is_number and f not in below), key=self.layout._factor_key)
        parts = [self.array(f) for f in ordered]
        outside = [part for part in parts if symbol not in part.axes]
        found = self.contracted([part for part in parts if symbol in part.axes], symbol)
        if outside:
            found = self.entrywise([*outside, found])
        return self.scaled(number, found, [self.array(f.base**-f.exp).tree for f in below])

    def contracted(self, parts: Sequence[Array], symbol: Any) -> Array:
        """Σ over one index: u^T v, A u, A diag(u) B, A 1, 1^T u."""
        if not parts:
            raise NoMatrix("it sums what does not depend on the index")
        groups: dict[tuple[Any, ...], list[Array]] = {}
        for part in parts:
            groups.setdefault(tuple(sorted((a for a in part.axes if a != symbol), key=str)), []).append(part)
        vectors = [part.tree for part in groups.pop((), [])]
        sides = []
        if any(len(key) > 1 for key in groups):
            raise NoMatrix("it has more than two indices")
        for (axis,), found in groups.items():
            merged = Array(_hadamard([self.oriented(p, found[0].axes) for p in found]), found[0].axes)
            sides.append(Array(self.oriented(merged, (axis, symbol)), (axis, symbol)))
        # (a, b) as it is wanted, so that no product is transposed
        sides.sort(key=lambda side: self.want.index(side.axes[0]) if side.axes[0] in self.want else len(self.want))
        match sides:
            case []:
                first = vectors[0] if len(vectors) > 1 else Name(ONES)
                rest = vectors[1:] or vectors
                return Array(_times(Transpose(first), _hadamard(rest)))
            case [side]:
                return Array(_times(side.tree, _hadamard(vectors) if vectors else Name(ONES)), (side.axes[0],))
            case [left, right]:
                inner = [Call("diag", (_hadamard(vectors),))] if vectors else []
                return Array(_times(left.tree, *inner, self.oriented(right, right.axes[::-1])), (left.axes[0], right.axes[0]))
        raise NoMatrix("it has more than two indices")


def _bare(tree: Any) -> Any:
    return Deriv(_bare(tree.top), _bare(tree.bottom)) if isinstance(tree, Deriv) else Name(tree.name)


def _summed(expr: Any) -> bool:
    return any(is_reduction(node) for node in sp.preorder_traversal(expr))


def _is_number(tree: Tree) -> bool:
    return isinstance(tree, Num)


def _fraction(below: Tree) -> Tree:
    return Prod((("*", Num("1")), ("/", below)))


def _times(*factors: Tree) -> Tree:
    flat: list[tuple[str, Tree]] = []
    for factor in factors:
        plain = isinstance(factor, Prod) and all(op == "*" for op, _ in factor.factors)
        flat += list(factor.factors) if plain and isinstance(factor, Prod) else [("*", factor)]
    return Prod(tuple(flat))


def _hadamard(factors: Sequence[Tree]) -> Tree:
    if len(factors) == 1:
        return factors[0]
    flat: list[tuple[str, Tree]] = []
    for factor in factors:
        inner = isinstance(factor, Prod) and all(op == "o" for op, _ in factor.factors)
        flat += list(factor.factors) if inner and isinstance(factor, Prod) else [("o", factor)]
    return Prod(tuple(("o", tree) for _, tree in flat))


def _product(factors: Sequence[Tree]) -> Tree:
    return factors[0] if len(factors) == 1 else _times(*factors)
