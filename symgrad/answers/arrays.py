r"""Claims between whole arrays → the same claims in indices: dJ/dalpha = dJ/da x^T as dJ/dalpha[j,i] = dJ/da[j]*x[i].

Vectors are columns and derivatives of a scalar have the shape of what they are by. A product of arrays is the matrix
product, ⊙, fractions, powers and functions act entry by entry, 𝟏 is a column of ones of the length that fits, diag(v) a
matrix. Where shapes do not fit, `Misfit` says which.

>>> from symgrad.frontend.claims import claims
>>> from symgrad.frontend.text import parse
>>> from symgrad.core.tree import Format
>>> model = parse("index i in 1..N, j in 1..M; a[j] = sum(alpha[j,i]*x[i] for i); J = sum(a[j]^2 for j)")
>>> claim, = claims("dJ/dx = alpha^T * dJ/da", {n: len(t.axes) for n, t in model.tensors.items()})
>>> between_arrays(claim, model), Format().show(in_indices(claim, model).right)
(True, 'sum(alpha[j,i]*dJ/da[j] for j in 1..M)')
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from symgrad.answers.reading import count_of
from symgrad.answers.truth import size_symbols
from symgrad.core.draft import Claim
from symgrad.core.errors import SymgradError
from symgrad.core.layout import Layout
from symgrad.core.program import Index, Program
from symgrad.core.tree import ONES, Binder, Call, Compare, Deriv, Name, Num, Pow, Prod, Reduce, Sum, Transpose, Tree, children

IN_INDICES = "write the claim in indices"
ANY = "any"  # the axis of 𝟏, as long as what it stands beside
Axis: TypeAlias = Index | str | None  # None: one row, or one column
Place: TypeAlias = Tree | None


class Misfit(Exception):
    """Shapes that do not fit, and the part where they do not."""

    def __init__(self, why: str, term: Tree):
        super().__init__(why)
        self.why, self.term = why, term


@dataclass(frozen=True)
class Array:
    """What stands at (row, column)."""

    rows: Axis
    columns: Axis
    cell: Callable[[Place, Place], Tree]

    @property
    def scalar(self) -> bool:
        return self.rows is None and self.columns is None


def between_arrays(claim: Claim, program: Program) -> bool:
    """True where arrays stand without their indices: on the left side, with no index of any array on the right."""
    names = list(_names(claim.left)) + list(_names(claim.right))
    if any(name.indices for name in names) or claim.loops:
        return False
    ranks = [len(program.tensors[name.name].axes) for name in names if name.name in program.tensors]
    return any(ranks) and max(ranks) <= 2


def _names(tree: Tree) -> Iterator[Name]:
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, Name):
            yield node
        stack.extend((node.top, node.bottom) if isinstance(node, Deriv) else children(node))


def in_indices(claim: Claim, program: Program) -> Claim:
    """The claim with indices. Raises Misfit; SG125 for a derivative of an array by an array, which has no agreed shape."""
    reader = _Reader(program)
    left = reader.derivative(claim.left)
    right = reader.array(claim.right)
    if isinstance(claim.right, Num):
        right = left  # a number stands for an array of it
    for one, two in ((left.rows, right.rows), (left.columns, right.columns)):
        if two != ANY and not _same(one, two):
            raise Misfit(f"the left side is {shape_text(left)}, the right side {shape_text(right)}", claim.right)
    place = reader.letter(left.rows), reader.letter(left.columns)
    return replace(claim, left=left.cell(*place), right=claim.right if right is left else right.cell(*place))


def left_in_indices(claim: Claim, program: Program) -> Claim:
    """The left side with its indices, and 0 on the right."""
    reader = _Reader(program)
    left = reader.derivative(claim.left)
    return replace(claim, left=left.cell(reader.letter(left.rows), reader.letter(left.columns)), right=Num("0"))


def shape_text(array: Array) -> str:
    """A column of M, a row of N, an M × N matrix, a number."""
    rows, columns = (axis if isinstance(axis, str) else axis and str(axis.extent) for axis in (array.rows, array.columns))
    if rows and columns:
        return f"a matrix of {rows} × {columns}"
    return f"a column of {rows}" if rows else f"a row of {columns}" if columns else "a number"


def _same(one: Axis, two: Axis) -> bool:
    if isinstance(one, Index) and isinstance(two, Index):
        return (one.lo, one.hi) == (two.lo, two.hi)
    return one == two


class _Reader:
    def __init__(self, program: Program):
        self.program, self.layout = program, Layout.of(program)
        self.sizes = frozenset(map(str, size_symbols(program)))
        self.used: set[str] = set()

    def letter(self, axis: Axis) -> Place:
        """A letter for an axis, that of its declaration if it is free."""
        if not isinstance(axis, Index):
            return None
        taken = {*self.program.tensors, *self.sizes, *self.used}
        name = next(n for n in (str(axis.symbol), *"ijklmnpqrsuv", *(f"i_{k}" for k in range(1, 99))) if n not in taken)
        self.used.add(name)
        return Name(name)

    def array(self, tree: Tree) -> Array:
        match tree := count_of(tree, self.sizes):
            case Name(name=name) if name == ONES:
                return Array(ANY, None, lambda i, j: Num("1"))
            case Name():
                return self.named(tree)
            case Deriv():
                return self.derivative(tree)
            case Transpose():
                inner = self.array(tree.base)
                return Array(inner.columns, inner.rows, lambda i, j: inner.cell(j, i))
            case Prod():
                return self.product(tree)
            case Pow():
                return self.power(tree)
            case Call(function="diag", args=(vector,)):
                return self.diagonal(self.array(vector), tree)
            case Num():
                return Array(None, None, lambda i, j: tree)
            case Sum() | Call() | Compare():
                return self.entrywise(tree)
        raise SymgradError("SG125", "this has no meaning between whole arrays", getattr(tree, "span", None), IN_INDICES)

    def named(self, name: Name) -> Array:
        tensor = self.program.tensors.get(name.name)
        axes = tensor.axes if tensor else ()
        return self.shaped(axes, lambda places: replace(name, indices=places))

    def shaped(self, axes: Sequence[Index], cell: Callable[[tuple[Tree, ...]], Tree]) -> Array:
        rows, columns = (*axes, None, None)[:2]
        return Array(rows, columns, lambda i, j: cell(tuple(place for place in (i, j) if place is not None)))

    def derivative(self, tree: Tree) -> Array:
        assert isinstance(tree, Deriv)
        top, bottom = tree.top, tree.bottom
        if not (isinstance(top, Name) and isinstance(bottom, Name)) or tree.second:
            raise SymgradError(
                "SG124", "not yet: a claim about a second derivative", tree.span, "claims are about first derivatives"
            )
        axes = [self.program.tensors[n.name].axes if n.name in self.program.tensors else () for n in (top, bottom)]
        if axes[0] and axes[1]:
            message = f"the derivative of {top.name} by {bottom.name} is of an array by an array, which has no agreed shape"
            raise SymgradError("SG125", message, tree.span, IN_INDICES)
        by_top = bool(axes[0])
        place = (lambda places: replace(tree, top=replace(top, indices=places))) if by_top else (
            lambda places: replace(tree, bottom=replace(bottom, indices=places)))  # fmt: skip
        return self.shaped(axes[0] if by_top else axes[1], place)

    # entry by entry

    def entrywise(self, tree: Sum | Call | Compare) -> Array:
        """Sums, functions, conditions; numbers go with any shape."""
        parts = [self.array(part) for part in children(tree)]
        rows, columns = self.common(parts, tree)
        return Array(rows, columns, lambda i, j: _with_children(tree, [_at(part, i, j) for part in parts]))

    def common(self, parts: Sequence[Array], tree: Tree) -> tuple[Axis, Axis]:
        shaped = [part for part in parts if not part.scalar]
        rows, columns = (self.agreed([getattr(p, side) for p in shaped]) for side in ("rows", "columns"))
        if rows == "no" or columns == "no":
            raise Misfit(f"entry by entry stand {' and '.join(map(shape_text, shaped))}", tree)
        return rows, columns

    def agreed(self, axes: Sequence[Axis]) -> Axis:
        """The axis that all have, "no" where they have none in common."""
        known = [axis for axis in axes if axis != ANY]
        if not known:
            return ANY if axes else None
        return known[0] if all(_same(known[0], axis) for axis in known) else "no"

    def power(self, tree: Pow) -> Array:
        base = self.array(tree.base)
        if tree.exponent == Name("T") and "T" not in self.program.tensors and not base.scalar:
            return self.array(Transpose(tree.base))  # even where T is an extent: no array is raised to that
        exponent = self.array(tree.exponent)
        if not exponent.scalar or (base.rows is not None and base.columns is not None and tree.exponent == Sum(((-1, Num("1")),))):
            raise SymgradError("SG125", "this power has no meaning between whole arrays", tree.span, IN_INDICES)
        return Array(base.rows, base.columns, lambda i, j: replace(tree, base=base.cell(i, j), exponent=exponent.cell(None, None)))

    def diagonal(self, vector: Array, tree: Tree) -> Array:
        if vector.columns is not None or vector.rows is None:
            raise Misfit(f"diag takes a column, not {shape_text(vector)}", tree)
        return Array(
            vector.rows, vector.rows,
            lambda i, j: Call("where", (Compare("=", i or Num("0"), j or Num("0")), vector.cell(i, None), Num("0"))),
        )  # fmt: skip

    # products

    def product(self, tree: Prod) -> Array:
        (_, first), *rest = tree.factors
        out = self.array(first)
        for op, factor in rest:
            out = self.times(out, op, self.array(factor), tree)
        return out

    def times(self, left: Array, op: str, right: Array, tree: Tree) -> Array:
        if op == "*" and not left.scalar and not right.scalar:
            return self.matrix_product(left, right, tree)
        sign = op if op == "/" else "*"
        if left.scalar or right.scalar:
            rows, columns = (right.rows, right.columns) if left.scalar else (left.rows, left.columns)
        else:
            rows, columns = self.common([left, right], tree)
        return Array(rows, columns, lambda i, j: _joined(_at(left, i, j), sign, _at(right, i, j)))

    def matrix_product(self, left: Array, right: Array, tree: Tree) -> Array:
        inner = self.agreed([left.columns, right.rows])
        if inner in ("no", ANY):
            raise Misfit(f"{shape_text(left)} stands before {shape_text(right)}, which have no product", tree)

        def cell(i: Place, j: Place) -> Tree:
            if not isinstance(inner, Index):
                return _joined(_at(left, i, None), "*", _at(right, None, j))
            letter = self.letter(inner)
            assert isinstance(letter, Name)
            ends = self.layout.tree(inner.lo), self.layout.tree(inner.hi)
            body = _joined(_at(left, i, letter), "*", _at(right, letter, j))
            return Reduce("sum", body, (Binder(letter.name, *ends),), span=getattr(tree, "span", None))

        return Array(left.rows, right.columns, cell)


def _at(array: Array, i: Place, j: Place) -> Tree:
    return array.cell(i if array.rows is not None else None, j if array.columns is not None else None)


def _joined(left: Tree, op: str, right: Tree) -> Tree:
    factors = left.factors if isinstance(left, Prod) else (("*", left),)
    return Prod((*factors, (op, right)))


def _with_children(tree: Sum | Call | Compare, parts: Sequence[Tree]) -> Tree:
    if isinstance(tree, Sum):
        return replace(tree, terms=tuple((sign, part) for (sign, _), part in zip(tree.terms, parts, strict=True)))
    return replace(tree, args=tuple(parts)) if isinstance(tree, Call) else replace(tree, left=parts[0], right=parts[1])
