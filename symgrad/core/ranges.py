"""The range of every index and axis of a draft, by union of those that are used together.

A range is declared, given in place, or left open: an index declared nowhere runs over the whole axis, and
all its uses must agree. A quantity that is defined in parts has the least axis that holds them all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import sympy as sp
from sympy import Dummy, Expr, Symbol

from symgrad.core.affine import Ends, bounds, coefficients, greatest_of, least_of, nonnegative
from symgrad.core.collector import remembered
from symgrad.core.draft import Draft, Equation
from symgrad.core.errors import Span, SymgradError
from symgrad.core.expr import (
    binds,
    gathers,
    indices_of,
    is_access,
    is_index,
    is_reduction,
    is_where,
    leaves,
    name_of,
    nodes,
    split_reduction,
)
from symgrad.core.parts import hull
from symgrad.core.program import whole_axis

Scope = Mapping[Symbol, Ends | None]


class Ranges:
    def __init__(self, draft: Draft):
        self.parent: dict[str, str] = {}
        self.found: set[str] = set()  # axes whose range comes from their uses, and is the widest of them
        self.ends: dict[str, Ends] = {name: (lo, hi) for name, (lo, hi, _) in draft.ranges.items()}
        self.axes: dict[str, tuple[str, ...]] = {}
        self.first_use: dict[str, Span | None] = {}
        self.values = {d.name: d.values for d in draft.declarations if d.values is not None}
        self.defined: dict[str, list[Equation]] = {}
        for name, (lo, hi, span) in draft.ranges.items():
            check_ends(name, lo, hi, span)
        for declaration in draft.declarations:
            keys = list(declaration.indices)
            for place, ends in declaration.ranges.items():
                keys[place] = f"{declaration.name}:{place}"
                self.ends[keys[place]] = ends
            self.axes[declaration.name] = tuple(keys)
        for equation in draft.equations:
            self.defined.setdefault(equation.name, []).append(equation)
        local = [ends for equation in draft.equations for ends in equation.ranges.values()]
        local += [ends for declaration in draft.declarations for ends in declaration.ranges.values()]
        extents = [sp.expand(hi - lo + 1) for lo, hi in [*self.ends.values(), *local]]
        self.facts = tuple(dict.fromkeys(e for e in extents if not e.is_number))
        for name, equations in self.defined.items():
            self._define(name, equations)
        for equation in draft.equations:
            self._read(equation)

    def root(self, key: str) -> str:
        while self.parent.get(key, key) != key:
            key = self.parent[key]
        return key

    def range(self, key: str) -> Ends:
        root = self.root(key)
        return self.ends.get(root) or whole_axis(root.replace(":", "_"))

    # what is defined

    def _define(self, name: str, equations: Sequence[Equation]) -> None:
        rank = len(equations[0].indices)
        for equation in equations:
            if len(equation.indices) != rank:
                there = f"{rank} and with {len(equation.indices)} indices"
                raise SymgradError("SG303", f"{name} is defined with {there}", equation.origin.span)
        self.axes[name] = tuple(self._axis_of_definitions(name, place, equations) for place in range(rank))

    def _axis_of_definitions(self, name: str, place: int, equations: Sequence[Equation]) -> str:
        """The key of an axis: the index that all definitions have there, else the hull of their parts."""
        here = [(equation, equation.indices[place]) for equation in equations]
        keys = [str(i) if i in e.every and str(i) not in e.ranges else "" for e, i in here]
        own = f"{name}:{place}"
        if all(keys) and (len(set(keys)) == 1 or equations[0].op == "+=" or not all(self.root(k) in self.ends for k in keys)):
            for key, equation in zip(keys, equations, strict=True):
                self._join(key, keys[0], equation.origin.span)
            return keys[0]
        found = hull([self._ends(index, equation) for equation, index in here], self.facts)
        if found is None:
            self._check_twice(name, equations)
            raise SymgradError(
                "SG313", f"where the axis {place + 1} of {name} starts and ends is not certain", equations[-1].origin.span,
                "declare ranges whose order is clear, such as 1..T",
            )  # fmt: skip
        self.ends[own] = found
        return own

    def _check_twice(self, name: str, equations: Sequence[Equation]) -> None:
        """SG202 for a cell of its own, h[1], that a range which is not empty holds too."""
        full = tuple(sp.expand(fact - 1) for fact in self.facts)
        regions = [(e, tuple(self._ends(index, e) for index in e.indices)) for e in equations]
        for (one, here), (two, there) in combinations(regions, 2):
            if all(
                nonnegative(b - c, None, full) and nonnegative(d - a, None, full)
                for (a, b), (c, d) in zip(here, there, strict=True)
            ):
                first, second = sorted((one, two), key=lambda e: bool(e.every))  # the cell, then the range
                raise SymgradError(
                    "SG202", f"{first.left} is defined twice{also(first.origin.span)}", second.origin.span,
                    f"let {second.left} leave that cell out, or write += in both",
                )  # fmt: skip

    def _ends(self, index: Expr, equation: Equation) -> Ends:
        known: dict[Symbol, Ends] = {}
        every = {s: equation.ranges.get(str(s)) or self.ends.get(self.root(str(s))) for s in equation.every}
        needed = set(index.free_symbols)
        for symbol, ends in reversed(outwards(every, equation.origin.span)):
            if symbol in needed:
                needed |= set() if ends is None else ends[0].free_symbols | ends[1].free_symbols
                if ends is None:
                    raise SymgradError(
                        "SG311", f"the range of {symbol} is not known, and {equation.left} defines a part of {equation.name}",
                        equation.origin.span, f"declare it: index {symbol} in 1..T",
                    )  # fmt: skip
                known = {symbol: ends, **known}
        return bounds(index, known)

    # what is read

    def _read(self, equation: Equation) -> None:
        around: Scope = {s: equation.ranges.get(str(s)) for s in equation.every}
        self._check_scope(around, equation.origin.span)
        for node in nodes(equation.value) if binds(equation.value) else ():
            if is_reduction(node):
                bound = {limit[0]: (tuple(limit[1:]) or None) for limit in split_reduction(node)[2]}
                self._check_scope({**around, **bound}, equation.origin.span)
        for read, scope, guards in scoped(equation.value, around, narrow=False):
            guarded = {s for guard in guards for s in guard.free_symbols}
            span, name, indices = equation.origin.place(read), name_of(read), indices_of(read)
            axes = self.axes.setdefault(name, tuple(self._axis(name, place, i, scope) for place, i in enumerate(indices)))
            if len(axes) != len(indices):
                message = f"{name} has {count(len(axes))}, here it is used with {count(len(indices))}"
                raise SymgradError(
                    "SG303", message + also(self.first_use.get(name)), span, f"give {name} {count(len(axes))} everywhere"
                )
            self.first_use.setdefault(name, span)
            for axis, index in zip(axes, indices, strict=True):
                # what a condition on indices protects may run over more than the axis
                strict = guarded.isdisjoint(index.free_symbols) or self.root(axis) not in self.ends
                self._use(axis, index, scope, span, strict)
        for limit in limits(equation.value):
            if len(limit) == 3:
                check_ends(str(limit[0]), limit[1], limit[2], equation.origin.place(limit[0]))

    def _check_scope(self, scope: Scope, span: Span | None) -> None:
        outwards({s: ends or self.ends.get(self.root(str(s))) for s, ends in scope.items()}, span)

    def _axis(self, name: str, place: int, index: Expr, scope: Scope) -> str:
        """The key of an undeclared axis: that of the index it is first used with, where it is plain."""
        if index in scope and scope[index] is None:  # an extent, as in h[T], is no letter of the axis
            return str(index)
        return f"{name}:{place}"

    def _use(self, axis: str, index: Expr, scope: Scope, span: Span | None, strict: bool) -> None:
        found = gathers(index)
        computed = next((node for node in nodes(index) if is_reduction(node)), None)
        if computed is not None:
            op = split_reduction(computed)[0]
            message = f"{op}(…) stands as an index, and the model computes it: which cells are read must be known before"
            raise SymgradError("SG391", message, span, "pass the place as data, input k in 1..N, and read by k")
        for gather in found:
            if name_of(gather) not in self.values:
                message = f"{gather} stands as an index, and {name_of(gather)} is not declared to hold whole numbers"
                hint = f"declare it: input {gather} in 1..N; an index that the model computes cannot be used"
                raise SymgradError("SG391", message, span, hint)
        if not is_index(index):
            self._check_affine(index, found, scope, span)
        if not strict:
            return
        if found == (index,):
            self._hold(axis, str(index), self.values[name_of(index)] or (sp.S.Zero, sp.S.Zero), span)
        elif is_index(index) and index in scope:
            if scope[index] is None:
                self._join(str(index), axis, span)
            else:
                self._hold(axis, str(index), self._widest(index, scope, span), span)
        # bounds of a shifted or constant index are checked once all ranges are known

    def _check_affine(self, index: Expr, found: Sequence[Expr], scope: Scope, span: Span | None) -> None:
        plain = index.xreplace({gather: Dummy(integer=True) for gather in found})
        if coefficients(plain, {s for s in plain.free_symbols if s in scope or str(s) in self.ends}) is None:
            raise SymgradError(
                "SG308", f"the index {index} is not affine", span, "an index may be a sum of indices with integer factors"
            )

    def _widest(self, index: Expr, scope: Scope, span: Span | None) -> Ends:
        """All that an index can be: an end may use outer indices, as in j in i+1..N."""
        known = outwards({s: ends or self.ends.get(self.root(str(s))) for s, ends in scope.items()}, span)
        bent = [end for _, ends in known for end in ends or () for s in scope if not end.expand().coeff(s).is_number]
        if bent:
            hint = "an end may be a sum of indices with integer factors"
            raise SymgradError("SG308", f"{bent[0]}, an end of a range, is not affine", span, hint)
        here = bounds(index, {s: ends for s, ends in known if ends is not None})
        open_ = [s for s in scope for end in here if s in end.free_symbols]
        if open_:
            raise SymgradError(
                "SG312", f"the range of {index} moves with {open_[0]}, whose own range is not known", span,
                f"declare it: index {open_[0]} in 1..N",
            )  # fmt: skip
        return here

    def _hold(self, axis: str, shown: str, local: Ends, span: Span | None) -> None:
        """An axis holds a range: one that nothing declares grows with its uses."""
        root = self.root(axis)
        if root not in self.ends or (root in self.found and _within(self.ends[root], local, self.facts)):
            self.ends[root] = local
            self.found.add(root)
        else:
            self._agree(shown, local, axis, self.ends[root], span)

    def _join(self, index: str, axis: str, span: Span | None) -> None:
        one, two = self.root(index), self.root(axis)
        if one == two:
            return
        if one in self.ends and two in self.ends:
            if two in self.found:  # an axis that nothing declares, read over a part of it first
                self._hold(axis, index, self.ends[one], span)
            else:
                self._agree(index, self.ends[one], axis, self.ends[two], span)
            return
        if one in self.ends or (two not in self.ends and ":" in two):
            one, two = two, one
        self.parent[one] = two

    def _agree(self, index: str, here: Ends, axis: str, there: Ends, span: Span | None) -> None:
        """An index may run over a part of an axis, where that is certain."""
        if _within(here, there, self.facts):
            return
        name, _, place = axis.partition(":")
        owner = f"the axis {int(place) + 1} of {name}" if place else f"the axis it is used on ({name})"
        before = self.first_use.get(name)
        first = also(before) if before != span else ""
        raise SymgradError(
            "SG305",
            f"{index} runs over {here[0]}..{here[1]}, but {owner} over {there[0]}..{there[1]}{first}",
            span,
            "declare both with one range, or use another index",
        )


def outwards(scope: Scope, span: Span | None = None) -> list[tuple[Symbol, Ends | None]]:
    """The indices with their ranges, each after those that its ends use. SG312 where ranges use each other."""
    out: list[tuple[Symbol, Ends | None]] = []
    waiting = dict(scope)
    while waiting:
        free = next((s for s, e in waiting.items() if e is None or waiting.keys().isdisjoint((e[0] + e[1]).free_symbols)), None)
        if free is None:
            (one, (lo, hi)), *_ = [(s, e) for s, e in waiting.items() if e is not None]
            shown = " and ".join(map(str, waiting))
            raise SymgradError(
                "SG312", f"the ranges of {shown} need each other: {one} runs over {lo}..{hi}", span,
                f"let one of them stand alone: {one} in 1..N",
            )  # fmt: skip
        out.append((free, waiting.pop(free)))
    return out


def _within(here: Ends, there: Ends, facts: Sequence[Expr]) -> bool:
    """True when the first range is certainly a part of the second."""
    return nonnegative(here[0] - there[0], None, facts) and nonnegative(there[1] - here[1], None, facts)


def count(rank: int) -> str:
    return {0: "no index", 1: "1 index"}.get(rank, f"{rank} indices")


def also(span: Span | None) -> str:
    return f" (first at line {span.line}, column {span.column})" if span else ""


def check_ends(name: str, lo: Expr, hi: Expr, span: Span | None) -> None:
    if (sp.expand(hi - lo)).is_negative:
        raise SymgradError("SG307", f"the range of {name} is empty: {lo}..{hi}", span, "write the lower end first")


def scoped(expr: Any, scope: Scope, narrow: bool = True) -> Iterator[tuple[Expr, Scope, tuple[Any, ...]]]:
    """(access, the indices around it with their ranges or None for an open one, guards), accesses inside indices too.

    Guards are the conditions on indices that choose the branch it stands in; `narrow` takes those on one into account.
    """
    known = leaves(expr)
    if known.plain:
        yield from ((read, scope, ()) for read in known.reads)
        return
    stack: list[tuple[Any, Scope, tuple[Any, ...]]] = [(expr, scope, ())]
    while stack:
        node, around, under = stack.pop()
        if not node.args:
            if is_access(node):
                yield node, around, under
        elif is_access(node):
            yield node, around, under
            stack.extend((gather, around, under) for index in indices_of(node) for gather in gathers(index))
        elif is_reduction(node):
            _, body, ends = split_reduction(node)
            stack.append((body, {**around, **{limit[0]: (tuple(limit[1:]) or None) for limit in ends}}, under))
        elif is_where(node):
            condition, yes, no = node.args
            guards = any(map(is_index, condition.free_symbols))
            stack += [
                (yes, narrowed(around, condition) if narrow else around, (*under, condition) if guards else under),
                (no, around, (*under, condition.negated) if guards else under),
                (condition, around, under),
            ]
        elif node.args:
            stack.extend((arg, around, under) for arg in reversed(node.args))


def narrowed(scope: Scope, condition: Any) -> Scope:
    """The ranges where a condition on one index holds: i = 0, i <= N - 1, n <= i - 1 with i around n."""
    symbol, end = condition.args
    ends = scope.get(symbol) if is_index(symbol) else None
    if ends is None or gathers(end):  # a number that is data, or computed, is no end that others could use
        return scope
    lo, hi = ends
    new = {
        sp.Eq: (end, end), sp.Ge: (greatest_of(lo, end), hi), sp.Gt: (greatest_of(lo, end + 1), hi),
        sp.Le: (lo, least_of(hi, end)), sp.Lt: (lo, least_of(hi, end - 1)),
    }.get(type(condition), ends)  # fmt: skip
    if not any(end.has(s) for s in scope):
        return {**scope, symbol: new}
    return _moving(scope, symbol, new) if is_affine(end, scope) else scope


def _moving(scope: Scope, symbol: Symbol, ends: Ends) -> Scope:
    """An index whose ends now use others comes after those, and before what uses it; no other way, no narrower range."""
    used = [s for s in scope if (ends[0] + ends[1]).has(s)]
    if any(scope[s] is None for s in used):
        return scope
    try:
        return dict(outwards({**scope, symbol: ends}))
    except SymgradError:
        return scope


def is_affine(expr: Expr, scope: Scope) -> bool:
    return not gathers(expr) and coefficients(expr, list(scope)) is not None


def limits(expr: Any) -> tuple[Any, ...]:
    """The limits of all reductions in an expression, outer ones first."""
    return _limits(expr) if binds(expr) else ()


@remembered(1 << 12)
def _limits(expr: Any) -> tuple[Any, ...]:
    return tuple(limit for node in sp.preorder_traversal(expr) if is_reduction(node) for limit in split_reduction(node)[2])
