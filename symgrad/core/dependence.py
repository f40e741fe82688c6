"""An order for statements that need each other: recurrences become loops over time, found from distances.

A target cell h[t,j] that reads h[t-1,k] lies at distance 1 along its first axis: with all distances of a
group at least 0 along some axis, its cells can be computed in the order of that axis (or against it), and
what stays within one step is ordered in the same way along another axis: d[i,j] from d[i-1,j] and
d[i,j-1] is a loop in a loop. (Feautrier 1992 calls this a multidimensional schedule; here every
dimension is an axis.) Quantities may be shifted against each other (Bellman and Ford's algorithm).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import sympy as sp
from sympy import Expr, Symbol

from symgrad.core.affine import Ends, greatest_of, least_of, nonnegative
from symgrad.core.errors import SymgradError
from symgrad.core.expr import access, fresh_index, index_symbol, indices_of, is_index, name_of, substitute
from symgrad.core.graph import components
from symgrad.core.parts import conditions, contradict, hull, within
from symgrad.core.program import Index, Program, Statement
from symgrad.core.ranges import scoped


@dataclass(frozen=True)
class Step:
    """A statement at the times that `guards` give, where those are fewer than the loops' around it.

    `source` is the statement as it was before its indices became the loops'.
    """

    statement: Statement
    source: Statement
    guards: tuple[Index, ...] = ()


@dataclass(frozen=True)
class Loop:
    """`body` for every value of an index in order, or, `descending`, in reverse."""

    index: Index
    descending: bool
    body: tuple[Item, ...]

    @property
    def statements(self) -> tuple[Statement, ...]:
        found: list[Statement] = []
        for item in self.body:
            found += item.statements if isinstance(item, Loop) else [item.statement]
        return tuple(found)


Item: TypeAlias = Step | Loop


@dataclass(frozen=True)
class _Edge:
    """The statement at place `user` reads a quantity of its group; `ranges` are those of the indices around the read."""

    user: int
    read: Expr
    ranges: Mapping[Symbol, Ends]


@dataclass(frozen=True)
class _Clock:
    """One axis of every quantity as its time: a cell's index there plus the offset, counted up or down."""

    axes: Mapping[str, int]
    offsets: Mapping[str, int]
    descending: bool
    carried: frozenset[int]  # the edges, by place, that lead to an earlier time


def order(statements: Iterable[Statement], program: Program, after: Mapping[str, Sequence[str]] | None = None) -> tuple[Item, ...]:
    """The statements so that each cell follows those it reads; `after` names further quantities that one must follow.

    Raises SG401 where there is no such order.
    """
    steps = [Step(statement, statement) for statement in statements]
    names = {step.statement.name for step in steps}
    edges = []
    for place, step in enumerate(steps):
        for read, scope, _ in scoped(step.statement.value, step.statement.ranges):
            if name_of(read) in names:
                edges.append(_Edge(place, read, {s: ends for s, ends in scope.items() if ends is not None}))
    return _sequence(steps, edges, program, after or {})


def recurrent(program: Program) -> dict[str, bool]:
    """The quantities that are computed step by step, and whether that is against their index."""
    found: dict[str, bool] = {}
    for item in order(program.statements, program):
        if isinstance(item, Loop):
            found |= dict.fromkeys((statement.name for statement in item.statements), item.descending)
    return found


def _sequence(
    steps: Sequence[Step], edges: Sequence[_Edge], program: Program, after: Mapping[str, Sequence[str]]
) -> tuple[Item, ...]:
    needs: dict[str, dict[str, None]] = {step.statement.name: dict.fromkeys(after.get(step.statement.name, ())) for step in steps}
    places: dict[str, list[int]] = {}
    for place, step in enumerate(steps):
        places.setdefault(step.statement.name, []).append(place)
    for edge in edges:
        needs[steps[edge.user].statement.name][name_of(edge.read)] = None
    groups = components({name: list(found) for name, found in needs.items()})
    group_of = {name: k for k, group in enumerate(groups) for name in group}
    inner: list[list[_Edge]] = [[] for _ in groups]
    for edge in edges:
        group = group_of[steps[edge.user].statement.name]
        if group == group_of[name_of(edge.read)]:
            inner[group].append(edge)
    items: list[Item] = []
    for names, found in zip(groups, inner, strict=True):
        moving = {edge.user for edge in found}
        members = [place for name in names for place in places[name]]
        items += [steps[place] for place in members if place not in moving]
        if moving:
            items += _ordered([steps[p] for p in members if p in moving], _renumbered(found, members, moving), program)
    return tuple(items)


def _renumbered(edges: Sequence[_Edge], members: Sequence[int], moving: Collection[int]) -> list[_Edge]:
    places = {old: new for new, old in enumerate(p for p in members if p in moving)}
    return [replace(edge, user=places[edge.user]) for edge in edges]


def _ordered(steps: Sequence[Step], edges: Sequence[_Edge], program: Program) -> tuple[Item, ...]:
    """A loop over all of a group; where none has an order, its parts one after the other: a row, then its diagonal."""
    for clock in _clocks(steps, edges, program):
        found = _timed(steps, edges, clock, program)
        if found is not None:
            return (found,)
    feeds = [(edge, [p for p, step in enumerate(steps) if _feeds(step.statement, edge, program)]) for edge in edges]
    needs = {str(place): [str(p) for edge, places in feeds if edge.user == place for p in places] for place in range(len(steps))}
    groups = [sorted(map(int, group)) for group in components(needs)]
    if len(groups) == 1:
        raise _without_order([step.statement for step in steps], edges, program.facts)
    items: list[Item] = []
    for group in groups:
        inner = [edge for edge, places in feeds if edge.user in group and not set(group).isdisjoint(places)]
        here = [steps[place] for place in group]
        items += _ordered(here, _renumbered(inner, group, group), program) if inner else here
    return tuple(items)


def _feeds(statement: Statement, edge: _Edge, program: Program) -> bool:
    """False where the statement certainly defines none of the cells that an edge reads."""
    if name_of(edge.read) != statement.name:
        return False
    points = tuple(e for s, (lo, hi) in edge.ranges.items() for e in within(s, lo, hi))
    cells = conditions(statement, indices_of(edge.read))
    return not contradict((*points, *cells), list(reversed(edge.ranges)), program.facts)


def _without_order(statements: Sequence[Statement], edges: Sequence[_Edge], facts: Collection[Expr]) -> SymgradError:
    """The quantities in the order in which they need each other, from the one that is written first; of one, its cells."""
    if len({statement.name for statement in statements}) == 1 and indices_of(statements[0].target):
        return _cells_without_order(statements, edges, facts)
    names = list(dict.fromkeys(statement.name for statement in reversed(statements)))
    spans = [(s.origin.span.start, s) for s in statements if s.origin.span]
    first = min(spans, key=lambda pair: pair[0])[1] if spans else statements[0]
    start = names.index(first.name)
    names = [*names[start:], *names[:start], first.name]
    message = "these quantities need each other: " if len(names) > 2 else f"{first.name} needs its own value: "
    hint = "a recurrence needs an order: along some index it reads only earlier cells, or only later ones"
    return SymgradError(
        "SG401",
        message + " → ".join(names),
        first.origin.span,
        hint if indices_of(first.target) else None,
    )


def _cells_without_order(statements: Sequence[Statement], edges: Sequence[_Edge], facts: Collection[Expr]) -> SymgradError:
    """A quantity that reads itself: the cell that may need itself, or else what the first of its equations reads of it."""
    edge = next((e for e in edges if _own_cell(statements[e.user], e, facts)), edges[0])
    user = statements[edge.user]
    place, read = user.origin.place, edge.read
    if read == user.target:
        first, *others = indices_of(read)
        hint = f"read an earlier cell, such as {access(user.name, sp.expand(first - 1), *others)}, and define the first one"
        return SymgradError("SG401", f"{read} needs its own value", place(read), hint)
    if _own_cell(user, edge, facts):
        message = f"{user.target} needs {_with_ranges(edge, user)}, and that may be {user.target} itself"
        return SymgradError("SG401", message, place(read), "let it read earlier cells only, or later ones only")
    own = {e.read: e for e in edges if statements[e.user] is user}
    reads = sorted(own, key=lambda read: span.start if (span := place(read)) else 0)
    shown = " and ".join(_with_ranges(own[read], user) for read in reads)
    message = f"no order is found in which {user.name} can be computed: {user.target} needs {shown}"
    hint = "along some index all that it reads must be earlier, or all of it later"
    return SymgradError("SG401", message, place(reads[0]), hint)


def _own_cell(user: Statement, edge: _Edge, facts: Collection[Expr]) -> bool:
    """True where an equation may read the very cell that it defines."""
    same = [e for a, b in zip(indices_of(edge.read), indices_of(user.target), strict=True) for e in within(a, b, b)]
    points = [e for s, (lo, hi) in edge.ranges.items() for e in within(s, lo, hi)]
    return name_of(edge.read) == user.name and not contradict((*points, *same), list(reversed(edge.ranges)), facts)


def _with_ranges(edge: _Edge, user: Statement) -> str:
    """h[s] for s in 0..t, where s is no index of the equation."""
    inner = [f"{s} in {lo}..{hi}" for s, (lo, hi) in edge.ranges.items() if edge.read.has(s) and not user.target.has(s)]
    return f"{edge.read} for {', '.join(inner)}" if inner else str(edge.read)


# the search for a clock


def _clocks(steps: Sequence[Step], edges: Sequence[_Edge], program: Program) -> Iterator[_Clock]:
    tried: list[dict[str, int]] = []
    # a quantity of fewer axes, as the sum beside a diagonal, does not lead to all axes of the others
    ranks = {step.statement.name: len(indices_of(step.statement.target)) for step in steps}
    for name, axis in [(name, axis) for name, rank in ranks.items() for axis in range(rank)]:
        axes = _axes(name, axis, steps, edges)
        if axes is None or axes in tried:
            continue
        tried.append(axes)
        for descending in (False, True):
            distances = [_distance(edge, steps, axes, descending, program.facts) for edge in edges]
            clock = _clock(steps, edges, axes, distances, descending)
            if clock is not None:
                yield clock


def _axes(name: str, axis: int, steps: Sequence[Step], edges: Sequence[_Edge]) -> dict[str, int] | None:
    """The axis of every quantity that goes with one axis of one of them: those whose indices move together."""
    axes = {name: axis}
    for _ in steps:
        for edge in edges:
            target, read = steps[edge.user].statement.target, edge.read
            for known, other in ((target, read), (read, target)):
                if name_of(known) in axes and name_of(other) not in axes:
                    here = indices_of(known)[axes[name_of(known)]]
                    found = next((k for k, there in enumerate(indices_of(other)) if _together(here, there)), None)
                    if found is not None:
                        axes[name_of(other)] = found
    return axes if all(step.statement.name in axes for step in steps) else None


def _together(one: Expr, two: Expr) -> bool:
    """The difference is a number, and it is not that of two constants."""
    return bool(sp.expand(one - two).is_Integer and any(map(is_index, one.free_symbols)))


def _distance(edge: _Edge, steps: Sequence[Step], axes: Mapping[str, int], descending: bool, facts: Collection[Expr]) -> int | None:
    """How many steps before the target the read cell is, at least."""
    target = steps[edge.user].statement.target
    ahead = indices_of(target)[axes[name_of(target)]] - indices_of(edge.read)[axes[name_of(edge.read)]]
    ahead = sp.expand(-ahead if descending else ahead)
    if ahead.is_Integer:
        return int(ahead)
    return next((k for k in (1, 0, -1, -2) if nonnegative(ahead - k, edge.ranges, facts)), None)


def _clock(
    steps: Sequence[Step], edges: Sequence[_Edge], axes: Mapping[str, int], distances: Sequence[int | None], descending: bool
) -> _Clock | None:
    """Offsets with which no cell is read before it is there (Bellman and Ford), and what then lies in the past."""
    offsets = dict.fromkeys(axes, 0)
    for _ in range(len(axes) + 1):
        late = False
        for edge, distance in zip(edges, distances, strict=True):
            user, read = steps[edge.user].statement.name, name_of(edge.read)
            if distance is None:
                return None
            if offsets[read] > offsets[user] + distance:
                offsets[read], late = offsets[user] + distance, True
        if not late:
            break
    else:
        return None
    waits = [
        d + offsets[steps[e.user].statement.name] - offsets[name_of(e.read)]
        for e, d in zip(edges, distances, strict=True)
        if d is not None
    ]
    carried = frozenset(place for place, wait in enumerate(waits) if wait > 0)
    sign = -1 if descending else 1
    return _Clock(axes, {name: sign * offset for name, offset in offsets.items()}, descending, carried) if carried else None


# the loop for a clock


def _timed(steps: Sequence[Step], edges: Sequence[_Edge], clock: _Clock, program: Program) -> Loop | None:
    """The loop over time with what stays within one step ordered inside it; None where that fails."""
    time = fresh_index(_letter(steps, clock))
    solved = [_solved(step.statement, clock, time) for step in steps]
    if any(s is None for s in solved):
        return None
    mappings = [{} if s is None else s[0] for s in solved]
    own = [(time, time) if s is None else s[1] for s in solved]
    lo, hi = hull(own, program.facts) or (least_of(*(a for a, _ in own)), greatest_of(*(b for _, b in own)))
    body = [_fixed(s, m, Index(time, *e), (lo, hi)) for s, m, e in zip(steps, mappings, own, strict=True)]
    left = [
        _Edge(edge.user, substitute(edge.read, mappings[edge.user]), _moved(edge.ranges, mappings[edge.user], time, own[edge.user]))
        for place, edge in enumerate(edges)
        if place not in clock.carried
    ]
    try:
        loop = Loop(Index(time, lo, hi), clock.descending, _sequence(body, left, program, {}))
    except SymgradError:
        return None
    return _plainly_named(loop)


def _letter(steps: Sequence[Step], clock: _Clock) -> str:
    index = indices_of(steps[0].statement.target)[clock.axes[steps[0].statement.name]]
    return next((s.name for s in sorted(index.free_symbols, key=str)), "t")


def _solved(statement: Statement, clock: _Clock, time: Symbol) -> tuple[dict[Symbol, Expr], Ends] | None:
    """The statement's own index in terms of the time, and the times at which it holds."""
    index = indices_of(statement.target)[clock.axes[statement.name]] + clock.offsets[statement.name]
    ranges = {i.symbol: (i.lo, i.hi) for i in statement.domain}
    own = [s for s in ranges if index.has(s)]
    if not own:
        return {}, (index, index)
    (symbol, *others), factor = own, index.coeff(own[0])
    lo, hi = ranges[symbol]
    if others or abs(factor) != 1 or any(end.has(*ranges) for end in (lo, hi)):
        return None
    ends = [sp.expand(index.subs(symbol, end)) for end in ((lo, hi) if factor > 0 else (hi, lo))]
    return {symbol: sp.expand(factor * (time - index) + symbol)}, (ends[0], ends[1])


def _fixed(step: Step, mapping: Mapping[Symbol, Expr], here: Index, ends: Ends) -> Step:
    statement = step.statement
    domain = tuple(
        Index(i.symbol, substitute(i.lo, mapping), substitute(i.hi, mapping)) for i in statement.domain if i.symbol not in mapping
    )
    fixed = replace(
        statement, target=substitute(statement.target, mapping), value=substitute(statement.value, mapping), domain=domain
    )
    return Step(fixed, step.source, step.guards if (here.lo, here.hi) == ends else (*step.guards, here))


def _moved(ranges: Mapping[Symbol, Ends], mapping: Mapping[Symbol, Expr], time: Symbol, ends: Ends) -> dict[Symbol, Ends]:
    inner = {s: (substitute(lo, mapping), substitute(hi, mapping)) for s, (lo, hi) in ranges.items() if s not in mapping}
    return {time: ends, **inner}


def _plainly_named(loop: Loop) -> Loop:
    """The loop's index under its own letter, where nothing inside uses that."""
    old, new = loop.index.symbol, index_symbol(loop.index.symbol.name)
    if any(new in _symbols(statement) for statement in loop.statements):
        return loop
    renamed: Loop = _renamed(loop, {old: new})
    return renamed


def _symbols(statement: Statement) -> set[Any]:
    ends: set[Any] = {s for index in statement.domain for s in (index.symbol, *index.lo.free_symbols, *index.hi.free_symbols)}
    return {*ends, *statement.target.atoms(Symbol), *statement.value.atoms(Symbol)}


def _renamed(item: Any, names: Mapping[Symbol, Symbol]) -> Any:
    if isinstance(item, Index):
        return Index(names.get(item.symbol, item.symbol), substitute(item.lo, names), substitute(item.hi, names))
    if isinstance(item, Loop):
        return Loop(_renamed(item.index, names), item.descending, tuple(_renamed(i, names) for i in item.body))
    statement = item.statement
    domain = tuple(_renamed(index, names) for index in statement.domain)
    target, value = substitute(statement.target, names), substitute(statement.value, names)
    return Step(
        replace(statement, target=target, value=value, domain=domain), item.source, tuple(_renamed(g, names) for g in item.guards)
    )
