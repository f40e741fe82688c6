"""Program with adjoints → the pages that show the chain rule.

    slides   one row a statement from the loss down: forward | dJ/da = dJ/dy · dy/da, dy/da = …, and where
             contributions end at different cells, as in a recurrence, the collected equations below
    steps    the algorithm as it runs: nodes in order, partials from 0, reverse order and every +=

Several reads of one tensor in one statement are one derivative: with y_k = e^{b_k}/Σ_l e^{b_l},
dJ/db_k = Σ_l dJ/dy_l · dy_l/db_k and dy_l/db_k = y_l (δ_lk - y_k).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sympy as sp
from sympy import Expr

from symgrad.core.dependence import recurrent
from symgrad.core.expr import (
    access,
    call,
    free_indices,
    fresh_index,
    indices_of,
    is_index,
    name_of,
    reduction,
    rename_bound,
    split_call,
    substitute,
    where,
)  # fmt: skip
from symgrad.core.graph import ordered, top_down
from symgrad.core.layout import Layout
from symgrad.core.page import Line, Row, Section
from symgrad.core.program import Contribution, Index, Program, Statement
from symgrad.core.source import right_side
from symgrad.core.tree import Call, Deriv, Name, Num, Prod, Reduce, Tree, map_tree, names_in_order
from symgrad.transform.collect import at_cell, collect
from symgrad.transform.gather import free_name, gather
from symgrad.transform.linearize import derivative, derivative_call
from symgrad.transform.simplify import logistic_form, tidy


def forward_line(statement: Statement, program: Program, layout: Layout | None = None, descending: bool = False) -> Line:
    """The user's equation, terms in the user's order, the ends of its sums filled in."""
    layout = layout or Layout.of(program, derivatives=True)
    ranges = {name: layout.binder(index.limit) for name, index in program.ranges.items()}

    def with_ends(tree: Tree) -> Tree:
        if not isinstance(tree, Reduce):
            return tree
        return Reduce(tree.op, tree.body, tuple(ranges.get(b.name, b) if b.lo is None else b for b in tree.binders), tree.guard)

    adds = len(program.definitions[statement.name]) > 1 and statement.name not in program.partitioned
    right = map_tree(right_side(statement, layout), with_ends)
    over = _over(_part_of_axes(statement, program), descending, layout)
    return Line(layout.access(statement.target), "+=" if adds else "=", right, over=over)


def _part_of_axes(statement: Statement, program: Program) -> tuple[Index, ...]:
    """The indices of the target that run over a part of their axis."""
    axes = zip(indices_of(statement.target), program.tensors[statement.name].axes, strict=True)
    whole = {(index, axis.lo, axis.hi) for index, axis in axes}
    return tuple(index for index in statement.outer if index.limit not in whole)


def _over(indices: Sequence[Index], descending: bool, layout: Layout) -> tuple[tuple[Tree, Tree, Tree], ...]:
    """(index, first, last) as they are gone through."""
    ends = ((i.symbol, i.hi, i.lo) if descending else (i.symbol, i.lo, i.hi) for i in indices)
    return tuple((layout.tree(symbol), layout.tree(first), layout.tree(last)) for symbol, first, last in ends)


def function_rows(program: Program) -> tuple[Row, ...]:
    """The user's functions and, beside them, their derivatives."""
    layout, rows = Layout.of(program, derivatives=True), []
    for name, function in program.functions.items():
        if name.endswith("_prime"):
            continue
        args = tuple(Name(parameter.name) for parameter in function.parameters)
        value = Statement(call(name, *function.parameters), function.body)
        slopes = []
        for place, parameter in enumerate(function.parameters):
            slope = split_call(derivative_call(value.target, place))[0]
            body = logistic_form(tidy(derivative(function.body, parameter)), value)
            slopes.append(Line(Call(slope, args), "=", layout.tree(body)))
        rows.append(Row(Line(Call(name, args), "=", function.typed or layout.tree(function.body)), tuple(slopes)))
    return tuple(rows)


def slides(primal: Program, raw: Program, loss: str) -> tuple[Section, ...]:
    """Forward beside backward. Where any partial gathers from several places, all are written with +=."""
    table = by_statement(raw, loss)
    sources: dict[str, set[int]] = {}
    for parts in table.values():
        for part in parts:
            sources.setdefault(name_of(part.target), set()).add(id(part.primal))
    op = "+=" if any(len(found) > 1 for found in sources.values()) else "="
    above, below, source = Layout.of(primal, derivatives=True), Layout.of(raw, derivatives=True), Layout.of(primal)
    rows = []
    for statement in top_down(primal, loss):
        groups: dict[Any, list[Contribution]] = {}
        for part in _in_written_order(table.get(id(statement), []), statement, source):
            groups.setdefault(_group(part), []).append(part)
        several = Counter(name_of(parts[0].target) for parts in groups.values())
        lines = tuple(
            _product_rule(statement, parts, raw, loss, "+=" if several[name_of(parts[0].target)] > 1 else op, below)
            for parts in groups.values()
        )
        rows.append(Row(forward_line(statement, primal, above), lines))
    sections = [Section(("Forward", "Backward"), (*rows, *function_rows(primal)))]
    return (*sections, *_collected(raw, loss))


def _group(part: Contribution) -> Any:
    """Contributions that are one derivative: to one quantity, on the same cells, from plain cells of the statement."""
    plain = all(is_index(index) for index in indices_of(part.result))
    return name_of(part.target), part.target, part.kept, None if plain else part.result


def _collected(raw: Program, loss: str) -> tuple[Section, ...]:
    """The equations of adjoints that differ from part to part, a recurrence against its index with its end first."""
    adjoint = collect(raw)
    order = recurrent(adjoint)
    layout = Layout.of(adjoint, derivatives=True)
    rows: list[Row] = []
    for name, statements in adjoint.definitions.items():
        tensor = adjoint.tensors[name]
        if not tensor.adjoint_of or tensor.adjoint_of[0] != loss or (len(statements) == 1 and name not in order):
            continue
        descending = order.get(name, False)
        for statement in reversed(statements) if descending else statements:
            value = statement.with_value(tidy(statement.value))
            rows.append(Row(forward_line(value, adjoint, layout, descending)))
    return (Section(("Backward, collected",), tuple(rows)),) if rows else ()


def by_statement(raw: Program, loss: str) -> dict[int, list[Contribution]]:
    """The chain-rule terms of every primal statement (by identity), each solved for the cell it goes to."""
    table: dict[int, list[Contribution]] = {}
    for statement in raw.statements:
        owner = raw.tensors[statement.name].adjoint_of
        if statement.origin.contributions and owner and owner[0] == loss:
            (part,) = at_cell(gather(statement, raw)).origin.contributions
            outer = frozenset(part.target.free_symbols) - frozenset(part.read.free_symbols)
            part = replace(part, reduced=tuple(index for index in part.reduced if index.symbol not in outer))
            table.setdefault(id(part.primal), []).append(part)
    return table


def _in_written_order(parts: Sequence[Contribution], statement: Statement, layout: Layout) -> list[Contribution]:
    order = dict.fromkeys(names_in_order(right_side(statement, layout)))
    rank = {name: place for place, name in enumerate(order)}
    return sorted(parts, key=lambda p: rank.get(name_of(p.read), len(rank)))


def _product_rule(statement: Statement, parts: list[Contribution], adjoint: Program, loss: str, op: str, layout: Layout) -> Line:
    target = parts[0].target
    left = layout.access(target)
    over = _over(parts[0].kept, False, layout)
    if parts[0].cotangent == 1:
        total = sp.Add(*(_summed(part.partial, part.reduced) for part in parts))
        return Line(left, op, layout.tree(_readable(total, target, adjoint)), over=over)
    result, partial, reduced = _joint(statement, parts, adjoint) if len(parts) > 1 else _single(parts[0], adjoint)
    assert isinstance(left, Deriv)
    here = Deriv(layout.access(result), left.bottom)
    chain: Tree = Prod((("*", Deriv(left.top, here.top)), (".", here)))
    if reduced:
        chain = Reduce("sum", chain, tuple(layout.binder(index.limit) for index in reduced))
    return Line(left, op, chain, (here, layout.tree(partial)), over)


def _summed(expr: Expr, reduced: Sequence[Index]) -> Expr:
    return reduction("sum", expr, [index.limit for index in reduced]) if reduced else expr


def _single(part: Contribution, program: Program) -> tuple[Expr, Expr, tuple[Index, ...]]:
    """(T[f], dT[f]/dR[g], the indices of f to sum over) of one read."""
    outer, inner = _split(part)
    partial = _readable(_summed(part.partial, inner), part.result * part.target, program)
    return part.result, partial, outer


def _split(part: Contribution) -> tuple[tuple[Index, ...], tuple[Index, ...]]:
    """The reduced indices of the result, and those inside the partial alone; all outside where their ends need it."""
    inner = tuple(index for index in part.reduced if index.symbol not in part.result.free_symbols)
    outer = tuple(index for index in part.reduced if index not in inner)
    ends = {s for index in outer for end in (index.lo, index.hi) for s in end.free_symbols}
    return (part.reduced, ()) if any(index.symbol in ends for index in inner) else (outer, inner)


def _joint(statement: Statement, parts: list[Contribution], program: Program) -> tuple[Expr, Expr, tuple[Index, ...]]:
    """(T[f], dT[f]/dR[g], the indices of f to sum over) for all reads of R in one statement."""
    kept = set(parts[0].target.free_symbols)
    symbols = [_common([indices_of(p.result)[axis] for p in parts], kept) for axis in range(len(indices_of(parts[0].result)))]
    total: Expr = sp.S.Zero
    ranges: dict[Any, Index] = {}
    for part in parts:
        mapping = {old: new for old, new in zip(indices_of(part.result), symbols, strict=True) if old not in kept and old != new}
        inner = [index for index in part.reduced if index.symbol not in part.result.free_symbols]
        apart = {index.symbol: fresh_index(index.symbol.name) for index in inner if index.symbol in symbols}
        partial = substitute(substitute(part.partial, apart), mapping)
        partial = _summed(partial, [Index(apart.get(i.symbol, i.symbol), i.lo, i.hi) for i in inner])
        for old, new in zip(indices_of(part.result), symbols, strict=True):
            if old in kept and old != new:
                partial *= where(sp.Eq(new, old, evaluate=False), sp.S.One, sp.S.Zero)
        for index in part.reduced:
            ranges.setdefault(mapping.get(index.symbol, index.symbol), index)
        total += partial
    result = access(statement.name, *symbols)
    whole = dict(zip(symbols, program.tensors[statement.name].axes, strict=True))
    found = {s: ranges.get(s) or whole.get(s) for symbol in symbols for s in free_indices(symbol) if s not in kept}
    # what is neither bound nor an axis is an extent, as T in h[T]
    reduced = tuple(Index(symbol, index.lo, index.hi) for symbol, index in found.items() if index)
    return result, _readable(total, access("_", *kept, *symbols) if kept or symbols else sp.S.One, program), reduced


def _common(options: list[Any], kept: set[Any]) -> Any:
    """One symbol for an axis of the statement's target: the shared one, else one that is summed over."""
    if len(set(options)) == 1:
        return options[0]
    summed = [symbol for symbol in options if symbol not in kept]
    return summed[0] if summed else fresh_index(options[0].name)


def _readable(expr: Expr, around: Expr, program: Program) -> Expr:
    """Tidied, bound indices named so that they clash with nothing around."""
    used = {str(s) for s in around.free_symbols}
    return rename_bound(tidy(expr), lambda symbol, inner: free_name(symbol, inner | used, program.tensors))


def steps(primal: Program, raw: Program, loss: str) -> tuple[Section, ...]:
    """The four steps of the algorithm: nodes, start at 0, reverse topological order, add."""
    layout, above, source = Layout.of(raw, derivatives=True), Layout.of(primal, derivatives=True), Layout.of(primal)
    table = by_statement(raw, loss)
    down = top_down(primal, loss)
    needed = {statement.name for statement in down}
    forward = tuple(Row(forward_line(s, primal, above)) for s in ordered(primal) if s.name in needed)
    written = [(s, _in_written_order(table[id(s)], s, source)) for s in down if id(s) in table]
    seen = dict.fromkeys(_plain_target(name_of(part.target), raw) for _, parts in written for part in parts)
    seed = Deriv(Name(loss), Name(loss))
    start = [Row(Line(seed, "=", Num("1")))] + [Row(Line(layout.access(target), "=", Num("0"))) for target in seen]
    visits = [
        Row(forward_line(s, primal, above), tuple(_addition(part, raw, loss, layout) for part in parts)) for s, parts in written
    ]
    return (
        Section(("Forward: the nodes in topological order",), (*forward, *function_rows(primal))),
        Section(("Partials before the backward pass",), tuple(start)),
        Section(("Backward: the nodes in reverse order", "each adds to the partials of what it reads"), tuple(visits)),
    )


def _plain_target(name: str, program: Program) -> Expr:
    return access(name, *(axis.symbol for axis in program.tensors[name].axes))


def _addition(part: Contribution, program: Program, loss: str, layout: Layout) -> Line:
    top = Deriv(Name(loss), layout.access(part.result))
    outer, inner = _split(part)
    partial = layout.tree(_readable(_summed(part.partial, inner), part.target, program))
    right: Tree = Prod((("*", top), (".", partial)))
    if outer:
        right = Reduce("sum", right, tuple(layout.binder(index.limit) for index in outer))
    return Line(layout.access(part.target), "+=", right, over=_over(part.kept, False, layout))
