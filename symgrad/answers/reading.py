"""Claim → Reading: what a claim says, as an expression over quantities and derivatives that can be evaluated.

The indices of the left side are "for every"; an index of the right side that is neither there nor under a Σ is `free`.
Raises SG203, SG303, SG311 with the place where a claim speaks of what is not in the model.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp
from sympy import Expr

from symgrad.answers.branches import Trace
from symgrad.answers.truth import Key, Point, Truth, points_of, size_symbols
from symgrad.core.affine import whole
from symgrad.core.draft import Claim
from symgrad.core.errors import Span, SymgradError, did_you_mean
from symgrad.core.evaluate import valuer
from symgrad.core.expr import (
    accesses,
    free_indices,
    indices_of,
    is_access,
    is_reduction,
    name_of,
    nodes,
    rebuild,
    reduction,
    split_reduction,
)
from symgrad.core.layout import Layout
from symgrad.core.program import Index, Program
from symgrad.core.tree import Bracket, Call, Compare, Deriv, Name, Num, Prod, Transpose, Tree, map_tree, names_in_order
from symgrad.frontend.convert import Converter, Definition, with_closed


@dataclass(frozen=True)
class Reading:
    """`key[left] = value` for every point of `domain`. `derivatives`: the names in `value` that stand for derivatives."""

    key: Key
    left: tuple[Expr, ...]
    value: Expr
    domain: tuple[Index, ...]
    derivatives: Mapping[str, Key]
    free: tuple[Any, ...] = ()
    everywhere: bool = False  # the range is given: a cell that does not exist is refused, else left out

    def claimed(self, truth: Truth, point: Point, watch: Trace | None = None) -> Iterator[tuple[tuple[int, ...], Any]]:
        """(cell of the left side, value of the right side there); None for a value that does not exist."""
        names = dict.fromkeys(map(name_of, accesses(self.value)))
        known = {**point.given, **point.values}
        arrays = {n: truth.values(self.derivatives[n], point) if n in self.derivatives else known[n] for n in names}
        tensors = {n: truth.tensor(self.derivatives[n], n) if n in self.derivatives else truth.steps.tensors[n] for n in names}
        tensors = {n: replace(t, role="input") for n, t in tensors.items()}
        value = valuer(Program((), tensors, functions=truth.whole_functions), arrays, point.digits, dict(point.sizes), watch)
        for cell, env in self.cells(truth, point):
            try:
                yield cell, value(self.value, env)
            except SymgradError:
                raise
            except (ValueError, ZeroDivisionError, OverflowError, TypeError):
                yield cell, None

    def cells(self, truth: Truth, point: Point) -> Iterator[tuple[tuple[int, ...], dict[Any, int]]]:
        """(cell of the derivative's array, values of the indices) for every point of the domain."""
        axes = truth.tensor(self.key, "").axes
        lowest = [whole(axis.lo, point.sizes) for axis in axes]
        shape = [whole(axis.extent, point.sizes) for axis in axes]
        for env in points_of(self.domain, dict(point.sizes)):
            cell = tuple(whole(i, env) - low for i, low in zip(self.left, lowest, strict=True))
            if self.everywhere or all(0 <= k < n for k, n in zip(cell, shape, strict=True)):
                yield cell, env


def read(claim: Claim, truth: Truth) -> Reading:
    """The meaning of a claim."""
    return _Reader(truth).read(claim)


def _brackets(conditions: Sequence[Tree]) -> Tree:
    """1 where all of them hold, else 0; a chain lo <= i <= hi is two."""
    out: Tree = Num("1")
    for condition in reversed(conditions):
        while isinstance(condition, Compare) and isinstance(condition.right, Compare):
            out = Call("where", (condition.right, out, Num("0")))
            condition = Compare(condition.op, condition.left, condition.right.left)
        out = Call("where", (condition, out, Num("0")))
    return out


def _is_bracket(tree: Tree) -> bool:
    if not (isinstance(tree, Call) and tree.function == "where" and tree.args[2] == Num("0")):
        return False
    return tree.args[1] == Num("1") or _is_bracket(tree.args[1])


def _under(bracket: Tree, body: Tree) -> Tree:
    """`body` in the place of a bracket's 1."""
    assert isinstance(bracket, Call)
    test, one, zero = bracket.args
    return replace(bracket, args=(test, body if one == Num("1") else _under(one, body), zero))


def _guarded(product: Prod) -> Tree:
    """Iverson's bracket in a product is a strong 0: what stands beside it need not exist where it is 0."""
    brackets = [factor for op, factor in product.factors if op != "/" and _is_bracket(factor)]
    rest = tuple((op, factor) for op, factor in product.factors if op == "/" or not _is_bracket(factor))
    if not brackets or not rest:
        return product
    out: Tree = replace(product, factors=(("*", Num("1")), *rest) if rest[0][0] == "/" else rest)
    for bracket in reversed(brackets):
        out = _under(bracket, out)
    return out


def count_of(tree: Tree, sizes: Collection[str]) -> Tree:
    """|n|, the number of values of an index without a range, where it was read as an absolute value."""
    match tree:
        case Call(function="abs", args=(Name(name=name, indices=()),)) if f"|{name}|" in sizes:
            return Name(f"|{name}|", (), tree.span)
    return tree


class _Reader:
    def __init__(self, truth: Truth):
        self.truth, self.program = truth, truth.steps
        self.sizes = frozenset(str(s) for s in size_symbols(self.program))
        self.placeholders: dict[str, Key] = {}
        self.span: Span | None = None

    def read(self, claim: Claim) -> Reading:
        assert isinstance(claim.left, Deriv)
        self.span = claim.span
        key = self.key(claim.left)
        _, trees = self.parts(claim.left)
        names = {n for tree in trees for n in names_in_order(tree)} - self.sizes - set(self.program.tensors)
        converter = self.converter(frozenset(names))
        left = tuple(converter.index(tree) for tree in trees)
        right = map_tree(claim.right, self.node)
        value = self.filled(converter.value(right), {})
        self.known(value, converter, claim)
        domain = self.domain(claim, key, left, converter)
        inside = {index.symbol for index in domain}
        free = tuple(s for s in free_indices(value) if s not in inside and str(s) not in self.sizes)
        return Reading(key, left, value, domain, dict(self.placeholders), free, bool(claim.loops))

    def converter(self, scope: frozenset[str]) -> Converter:
        layout = Layout.of(self.program)
        own = {
            name: Definition(tuple(map(str, f.parameters)), f.typed or layout.tree(f.body))
            for name, f in self.program.functions.items()
            if not name.endswith("_prime")
        }
        quantities = frozenset(self.program.tensors) | frozenset(self.placeholders)
        return Converter(scope, self.sizes, quantities, with_closed(own))

    # derivatives

    def key(self, tree: Deriv) -> Key:
        if tree.second is not None or not (isinstance(tree.top, Name) and isinstance(tree.bottom, Name)):
            raise SymgradError(
                "SG124", "not yet: a claim about a second derivative", tree.span, "claims are about first derivatives"
            )
        for name in (tree.top, tree.bottom):
            if name.name not in self.program.tensors:
                hint = did_you_mean(name.name, self.program.tensors) or f"the model has {', '.join(self.program.tensors)}"
                raise SymgradError("SG203", f"there is no quantity named {name.name}", name.span, hint)
            self.rank(name)
        top, bottom = tree.top.name, tree.bottom.name
        return top, bottom, top != self.truth.loss and top != bottom and not self.truth.is_local(top, bottom)

    def rank(self, name: Name) -> None:
        axes = self.program.tensors[name.name].axes
        if len(name.indices) != len(axes):
            shown = f"{name.name}[{','.join(str(a.symbol) for a in axes)}]" if axes else name.name
            message = f"{name.name} has {len(name.indices)} indices here, and in the model it is {shown}"
            raise SymgradError("SG303", message, name.span, f"write {shown}")

    def parts(self, tree: Deriv) -> tuple[Key, tuple[Tree, ...]]:
        assert isinstance(tree.top, Name)
        assert isinstance(tree.bottom, Name)
        return self.key(tree), (*tree.top.indices, *tree.bottom.indices)

    def node(self, tree: Tree) -> Tree:
        """Derivatives, and adjoints by their name in code, as accesses of arrays with names of ours."""
        if isinstance(tree, Name) and tree.name not in self.program.tensors and tree.name.endswith("_bar"):
            primal = tree.name.removesuffix("_bar")
            if primal in self.program.tensors and self.truth.loss:
                tree = Deriv(Name(self.truth.loss), replace(tree, name=primal), None, tree.span)
        if isinstance(tree, Name) and tree.name in self.program.tensors:
            self.rank(tree)
        tree = count_of(tree, self.sizes)
        if isinstance(tree, Transpose):
            raise SymgradError(
                "SG125", "a transpose stands beside indices", tree.span, "write the claim in indices, or all of it without"
            )
        if isinstance(tree, Prod):
            return _guarded(replace(tree, factors=tuple(("*" if op == "o" else op, factor) for op, factor in tree.factors)))
        if isinstance(tree, Bracket):
            return _brackets(tree.conditions)
        if isinstance(tree, Name) and tree.name == "delta" and len(tree.indices) == 2 and "delta" not in self.program.tensors:
            return _brackets((Compare("=", *tree.indices),))
        if not isinstance(tree, Deriv):
            return tree
        key, indices = self.parts(tree)
        name = f"{'D' if key[2] else 'd'}|{key[0]}|{key[1]}"
        self.placeholders[name] = key
        return Name(name, indices, tree.span)

    def known(self, value: Expr, converter: Converter, claim: Claim) -> None:
        for read in accesses(value):
            name = name_of(read)
            if name in self.placeholders:
                continue
            if name not in self.program.tensors:
                hint = did_you_mean(name, self.program.tensors) or f"the model has {', '.join(self.program.tensors)}"
                raise SymgradError("SG203", f"there is no quantity named {name}", converter.spans.get(read, claim.span), hint)

    # ranges

    def domain(self, claim: Claim, key: Key, left: tuple[Expr, ...], converter: Converter) -> tuple[Index, ...]:
        loops = {b.name: converter.ends(b.name, b.lo, b.hi) for b in claim.loops if b.lo is not None and b.hi is not None}
        axes = self.truth.tensor(key, "").axes
        out: dict[Any, Index] = {}
        for place, axis in zip(left, axes, strict=True):
            for symbol in sorted(place.free_symbols, key=str):
                if str(symbol) in self.sizes or is_access(symbol):
                    continue
                lo, hi = loops.get(str(symbol)) or ((axis.lo, axis.hi) if place == symbol else self.range(symbol, claim))
                before = out.get(symbol, Index(symbol, lo, hi))
                # on two axes it runs over what they share
                out[symbol] = Index(symbol, sp.Max(before.lo, lo), sp.Min(before.hi, hi))
        for binder in claim.loops:
            if binder.name not in map(str, out):
                raise SymgradError("SG310", f"{binder.name} is no index of the left side", binder.span)
        return tuple(out.values())

    def range(self, symbol: Any, claim: Claim) -> tuple[Expr, Expr]:
        declared = self.program.ranges.get(str(symbol))
        if declared is None:
            message = f"the range of {symbol} is not known"
            raise SymgradError("SG311", message, claim.span, f"write: … for {symbol} in 1..N")
        return declared.lo, declared.hi

    def filled(self, expr: Any, around: Mapping[Any, Any]) -> Any:
        """Open limits get the range of the index, declared or of the axis that it stands on."""
        if not expr.args or is_access(expr):
            return expr
        if not is_reduction(expr):
            return rebuild(expr, [self.filled(arg, around) for arg in expr.args])
        op, body, limits = split_reduction(expr)
        full = [tuple(l) if len(l) == 3 else (l[0], *self.axis_range(l[0], body)) for l in limits]
        body = self.filled(body, around)
        if op == "mean":
            return reduction("sum", body, full) / sp.Mul(*(hi - lo + 1 for _, lo, hi in full))
        return reduction(op, body, full)

    def axis_range(self, symbol: Any, body: Expr) -> tuple[Expr, Expr]:
        declared = self.program.ranges.get(str(symbol))
        if declared is not None:
            return declared.lo, declared.hi
        for node in nodes(body):
            if not is_access(node):
                continue
            name = name_of(node)
            tensor = (
                self.truth.tensor(self.placeholders[name], name) if name in self.placeholders else self.program.tensors.get(name)
            )
            for place, axis in zip(indices_of(node), tensor.axes if tensor else (), strict=False):
                if place == symbol:
                    return axis.lo, axis.hi
        raise SymgradError("SG311", f"the range of {symbol} is not known", self.span, f"write: … for {symbol} in 1..N")
