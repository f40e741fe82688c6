"""A recurrence over T steps that keeps about √T of them: states where segments start, and the steps of one segment.

    for every segment, in order:                          for every segment, from last to first:
        h_kept[segment] = h before its first step             h before its first step = h_kept[segment]
        its steps of h                                        its steps of h, again
        J += their part of the loss                           its steps of h_bar, from last to first
                                                              W_bar += their part of the sum

Two levels of checkpoints, each step computed twice (Griewank & Walther 2000, "Algorithm 799: Revolve"; √T of them for networks:
Chen, Xu, Zhang & Guestrin 2016, "Training deep nets with sublinear memory cost"). An array with an axis of time that no result
needs whole has, instead of it, the `length` steps from `first` on, and as many before and after as others are read from.
Sums over time add up segment by segment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import sympy as sp
from sympy import Expr, Symbol

from symgrad.core.affine import greatest_of, least_of
from symgrad.core.expr import access, index_symbol
from symgrad.core.program import Index, Program, Statement, Tensor
from symgrad.schedule.contractions import Product, product
from symgrad.schedule.kernels import Blocks, Contract, Kernel, Map, Scan, Schedule, Segments, flat
from symgrad.schedule.order import kernel as nest
from symgrad.schedule.times import Work, extents, refused, works


def checkpointed(schedule: Schedule, wanted: int | None = None) -> Schedule:
    """The same results with time in segments, `wanted` of them or √T. Raises SG408 where the model has no such order."""
    axes, found, program = works(schedule)
    copies = [name for name in program.defined if name not in schedule.program.tensors]
    with_copies = replace(schedule, program=program, temporaries=(*schedule.temporaries, *copies))
    return replace(_Plan(with_copies, wanted, axes, found).made(), whole=schedule)


@dataclass
class _Plan:
    schedule: Schedule
    wanted: int | None
    axes: dict[str, int]
    works: list[Work]

    # what comes when

    @cached_property
    def back(self) -> set[int]:
        """The places of kernels that need a step of the way back, or a sum over time."""
        late: set[int] = set()
        sums: set[str] = set()
        for place, work in enumerate(self.works):
            is_back = work.time is not None and isinstance(work.kernel, Scan) and work.kernel.descending
            if is_back or not late.isdisjoint(self.needs[place]) or not sums.isdisjoint(work.others_read):
                late.add(place)
            elif place in self.timed:
                sums |= set(work.others_written)
        return late

    @cached_property
    def needs(self) -> list[set[int]]:
        """Of each kernel those before it that write what it touches."""
        out = []
        for place, work in enumerate(self.works):
            before = enumerate(self.works[:place])
            out.append({k for k, other in before if not work.touched.isdisjoint({*other.written, *other.others_written})})
        return out

    @cached_property
    def timed(self) -> set[int]:
        return {place for place, work in enumerate(self.works) if work.time is not None}

    @cached_property
    def adding(self) -> set[int]:
        """Kernels with time whose result is whole at the end alone."""
        return {place for place in self.timed if self.works[place].others_written}

    @cached_property
    def second(self) -> list[int]:
        """The kernels of a segment on the way back, those that compute its steps again among them."""
        return sorted(self.with_needed(self.back & self.timed))

    @cached_property
    def first(self) -> list[int]:
        """The kernels of a segment on the way forward: for sums over time, and for states that are kept."""
        found = self.with_needed(self.adding - self.back)
        while True:
            before = {name for place in (*self.second, *found) for name, steps in self.works[place].read if steps < 0}
            states = {p for p in set(self.second) - self.back if not before.isdisjoint(self.works[p].written)}
            more = self.with_needed(found | states)
            if more == found:
                return sorted(found)
            found = more

    def with_needed(self, places: Iterable[int]) -> set[int]:
        """With the kernels that compute, for each step, what they read there; sums are there already."""
        out: set[int] = set()
        waiting = list(places)
        while waiting:
            place = waiting.pop()
            if place not in out:
                out.add(place)
                waiting += [p for p in self.needs[place] if p in self.timed and p not in self.adding]
        return out

    def after(self, places: set[int]) -> set[int]:
        """Kernels without time that need what these write, or one another's results."""
        out: set[int] = set()
        for place in range(len(self.works)):
            if place not in self.timed and not self.needs[place].isdisjoint(places | out):
                out.add(place)
        return out

    # may it be done

    def check(self) -> None:
        late = self.after(set(self.second) & self.adding)
        between = self.after(set(self.first) & self.adding)
        for places, not_yet in ((self.first, between | late), (self.second, late)):
            sums = set(places) & self.adding
            for place in places:
                if not self.needs[place].isdisjoint(not_yet) or any(self.reads_sum(place, other) for other in sums):
                    raise refused(f"{self.target(place)} needs a result of all steps at every step")
        for place in self.timed & set(self.first) | self.back & self.timed:
            self.check_direction(place, place in self.back)
        missing = self.timed - set(self.first) - set(self.second)
        assert not missing, [self.target(place) for place in missing]

    def reads_sum(self, place: int, other: int) -> bool:
        return place != other and not set(self.works[other].others_written).isdisjoint(self.works[place].others_read)

    def check_direction(self, place: int, back: bool) -> None:
        work = self.works[place]
        if isinstance(work.kernel, Scan) and (work.kernel.descending != back or (work.others_written and not back)):
            raise refused(f"{self.target(place)} is computed against the order of the other steps")
        computed = {n for p in self.back & self.timed for n in self.works[p].written}
        for name, steps in work.read:
            if (steps < 0 and back and name in computed) or (steps > 0 and not back):
                raise refused(f"{self.target(place)} reads {name} at a step that comes later")

    def target(self, place: int) -> Expr:
        return next(flat([self.works[place].kernel])).statement.target

    # what it is made of

    @cached_property
    def reach(self) -> dict[str, tuple[int, int]]:
        """How many steps of each array are read before and after a segment's own."""
        out = dict.fromkeys(self.axes, (0, 0))
        for place in self.timed:
            for name, steps in self.works[place].read:
                before, after = out[name]
                out[name] = max(before, -steps), max(after, steps)
        return out

    @cached_property
    def taken(self) -> set[str]:
        program = self.schedule.program
        symbols = {s for k in flat(self.schedule.kernels) for s in {*k.statement.ranges, *k.statement.value.free_symbols}}
        symbols |= {s for tensor in program.tensors.values() for axis in tensor.axes for s in (axis.lo + axis.hi).free_symbols}
        symbols |= {work.time for work in self.works if work.time is not None}
        return {*map(str, symbols), *program.taken}

    def symbol(self, wanted: str) -> Symbol:
        name, count = wanted, 1
        while name in self.taken:
            count += 1
            name = f"{wanted}_{count}"
        self.taken.add(name)
        return index_symbol(name)

    def made(self) -> Schedule:
        self.check()
        program = self.schedule.program
        lo, hi = extents([self.works[p] for p in sorted(self.timed)], [program.tensors[n].axes[a] for n, a in self.axes.items()])
        length, count = self.symbol("length"), self.symbol("segments")
        least = max(1, *(steps for reach in self.reach.values() for steps in reach))
        cut = Segments(lo, hi, length, count, least, self.wanted)
        return _Cut(self, cut, self.symbol("segment"), Index(self.symbol("first"), lo, hi), self.symbol("back")).made()


@dataclass
class _Cut:
    """The schedule in segments: `first` is where the segment begins, `step` counts steps before it."""

    plan: _Plan
    cut: Segments
    segment: Symbol
    first: Index
    step: Symbol

    @property
    def schedule(self) -> Schedule:
        return self.plan.schedule

    @property
    def last(self) -> Expr:
        return self.first.symbol + self.cut.length - 1

    @cached_property
    def kept(self) -> dict[str, str]:
        """Arrays whose state before each segment is kept, and the names of what is kept."""
        written = dict.fromkeys(n for place in self.plan.first for n in self.plan.works[place].written)
        out = {}
        for name in written:
            if self.plan.reach[name][0]:
                if any(s.op in ("argmax", "argmin") for s in self.schedule.program.definitions[name]):
                    raise refused(f"{name} holds places, which are not kept")
                out[name] = str(self.plan.symbol(f"{name}_kept"))
        return out

    @cached_property
    def program(self) -> Program:
        """The model's quantities, of those with time a part, and what is kept."""
        tensors = dict(self.schedule.program.tensors)
        for name, place in self.plan.axes.items():
            axes = list(tensors[name].axes)
            before, after = self.plan.reach[name]
            if name in self.kept:
                own = (Index(self.segment, sp.S.Zero, self.cut.count - 1), Index(self.step, sp.S.One, sp.Integer(before)))
                tensors[self.kept[name]] = Tensor(self.kept[name], (*axes[:place], *own, *axes[place + 1 :]), "defined")
            axes[place] = Index(axes[place].symbol, self.first.symbol - before, self.last + after)
            tensors[name] = replace(tensors[name], axes=tuple(axes))
        return replace(self.schedule.program, tensors=tensors)

    def made(self) -> Schedule:
        plan = self.plan
        sums = {p for places in (plan.first, plan.second) for p in places} & plan.adding
        middle = plan.after(set(plan.first) & plan.adding)
        late = plan.after(set(plan.second) & plan.adding)
        others = [place for place in range(len(plan.works)) if place not in plan.timed]
        kernels = [
            *(plan.works[place].kernel for place in others if place not in middle | late),
            *self.scan(plan.first, False),
            *(plan.works[place].kernel for place in others if place in middle - late),
            *self.scan(plan.second, True),
            *(plan.works[place].kernel for place in others if place in late),
        ]
        started = {n for p in sums if self.adds_up(p) for n in plan.works[p].others_written}
        names = set(plan.axes)
        return replace(
            self.schedule,
            program=self.program,
            kernels=tuple(kernels),
            temporaries=(*self.schedule.temporaries, *self.kept.values()),
            zeroed=frozenset((self.schedule.zeroed | started) - names),
            segments=self.cut,
        )

    def adds_up(self, place: int) -> bool:
        """A sum over time: not a cell for each step, as the gradient by the inputs has."""
        work = self.plan.works[place]
        if isinstance(work.kernel, Scan):
            return False
        assert isinstance(work.kernel, Map | Contract)
        return not any(index.symbol == work.time for index in work.kernel.statement.outer)

    def scan(self, places: Sequence[int], back: bool) -> Iterator[Scan]:
        if not places:
            return
        body = [*(self.from_later(places) if back else self.from_earlier(places)), *self.zeros(places)]
        body += [self.part(place) for place in places]
        start = self.cut.lo + self.cut.length * self.segment
        yield Scan(Index(self.segment, sp.S.Zero, self.cut.count - 1), back, tuple(body), (self.first, start))

    # what a segment starts with

    def from_earlier(self, places: Sequence[int]) -> Iterator[Kernel]:
        """The last steps of the segment before, which lie `length` further on, are kept and go before the first."""
        for name in self.written(places):
            if name in self.kept:
                yield self.copy(name, self.own(name, self.first.symbol - self.step + self.cut.length), True)
                yield self.restored(name)

    def from_later(self, places: Sequence[int]) -> Iterator[Kernel]:
        """The first steps of the segment after, which this one reads, and the state before it."""
        for name in self.written(places):
            for step in range(self.plan.reach[name][1]):
                ours = self.first.symbol + step
                yield self.assigned(self.own(name, ours + self.cut.length), self.own(name, ours), self.beside(name))
            if name in self.kept:
                yield self.restored(name)

    def written(self, places: Sequence[int]) -> list[str]:
        return list(dict.fromkeys(name for place in places for name in self.plan.works[place].written))

    def copy(self, name: str, value: Expr, keep: bool) -> Kernel:
        steps = Index(self.step, sp.S.One, sp.Integer(self.plan.reach[name][0]))
        kept = self.own(name, self.segment, self.step, self.kept[name])
        target, read = (kept, value) if keep else (value, kept)
        return self.assigned(target, read, (steps, *self.beside(name)))

    def restored(self, name: str) -> Kernel:
        return self.copy(name, self.own(name, self.first.symbol - self.step), False)

    def own(self, name: str, *at: Expr | str) -> Expr:
        """An access with these in the place of time; the last may be another name."""
        place = self.plan.axes[name]
        indices = [axis.symbol for axis in self.schedule.program.tensors[name].axes]
        other = at[-1] if isinstance(at[-1], str) else name
        return access(other, *indices[:place], *(index for index in at if not isinstance(index, str)), *indices[place + 1 :])

    def beside(self, name: str) -> tuple[Index, ...]:
        axes = self.schedule.program.tensors[name].axes
        return tuple(axis for place, axis in enumerate(axes) if place != self.plan.axes[name])

    def assigned(self, target: Expr, value: Expr, domain: Sequence[Index]) -> Kernel:
        return nest(Statement(target, value, tuple(domain)), False)

    def zeros(self, places: Sequence[int]) -> Iterator[Kernel]:
        """What is added to starts at 0; so does what is written in a triangle, which whole arrays add to 0."""
        ragged = {k.statement.name for place in places for k in flat([self.plan.works[place].kernel]) if _moves(k.statement)}
        for name in self.written(places):
            if name in self.schedule.zeroed or name in ragged:
                place = self.plan.axes[name]
                axis = self.schedule.program.tensors[name].axes[place]
                domain = (Index(axis.symbol, self.first.symbol, self.last), *self.beside(name))
                yield self.assigned(self.own(name, axis.symbol), sp.S.Zero, domain)

    # its share of a kernel

    def part(self, place: int) -> Kernel:
        work = self.plan.works[place]
        if isinstance(work.kernel, Scan):
            body = tuple(self.again(inner) for inner in work.kernel.body)
            return replace(work.kernel, index=self.within(work.kernel.index, 0), body=body)
        assert isinstance(work.kernel, Map | Contract)
        statement, time = work.kernel.statement, work.range
        assert time is not None
        own = self.within(time, work.shift)
        here = replace(statement, domain=tuple(own if i.symbol == own.symbol else i for i in statement.domain))
        loops = tuple(own if i.symbol == own.symbol else i for i in work.kernel.loops)
        adds = work.kernel.adds or (place in self.plan.adding and self.adds_up(place))
        return self.again(replace(work.kernel, statement=here, loops=loops, adds=adds))

    def within(self, time: Index, shift: int) -> Index:
        """The steps of a range that the segment has."""
        lo, hi = self.first.symbol - shift, self.last - shift
        low = lo if sp.expand(time.lo - self.cut.lo + shift).is_zero else greatest_of(time.lo, lo)
        return Index(time.symbol, low, least_of(time.hi, hi))

    def again(self, kernel: Kernel) -> Kernel:
        """The kernel with its product found for the arrays as they are now."""
        if isinstance(kernel, Scan):
            return replace(kernel, body=tuple(map(self.again, kernel.body)))
        if isinstance(kernel, Contract) and isinstance(kernel.product, Product):
            return replace(kernel, product=product(kernel.statement, self.program, self.schedule.aliases))
        assert not isinstance(kernel, Blocks)
        return kernel


def _moves(statement: Statement) -> bool:
    own = statement.ranges.keys()
    return any(not own.isdisjoint((lo + hi).free_symbols) for lo, hi in statement.ranges.values())
