"""Which kernels work step by step along a recurrence's axis, and from how many steps away each reads.

    h[n,t,j] = tanh(h_sum[n,t,j])       time is axis 2 of h and of h_sum; the kernel is at t
    W_bar[j,k] = sum(h_sum_bar[n,t,j]*h[n,t - 1,k] for n, t)      reads h at -1
    J = (h[T] - y)^2                →   J = sum((h[t] - y)^2 for t in T..T), a kernel at t too

Time is the index of a forward `Scan`; it spreads to every array that is read or written at one of its values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp
from sympy import Expr, Symbol

from symgrad.core.errors import SymgradError
from symgrad.core.expr import access, accesses, gathers, index_symbol, indices_of, name_of, substitute
from symgrad.core.program import Index, Program, Statement, Tensor
from symgrad.schedule.kernels import Blocks, Contract, Kernel, Map, Scan, Schedule, flat
from symgrad.schedule.order import kernel as nest


@dataclass(frozen=True)
class Work:
    """A kernel whose steps are the values of `time`; those of a cell t + `shift` belong to the segment that has t.

    `read` and `written`: (array, how many steps after the cell's own) for arrays of `time_axes`, of others the names.
    """

    kernel: Kernel
    time: Symbol | None
    shift: int = 0
    read: tuple[tuple[str, int], ...] = ()
    written: tuple[str, ...] = ()
    others_read: tuple[str, ...] = ()
    others_written: tuple[str, ...] = ()

    @property
    def touched(self) -> set[str]:
        return {*(name for name, _ in self.read), *self.written, *self.others_read, *self.others_written}

    @property
    def range(self) -> Index | None:
        """Where its steps run, without the shift."""
        if isinstance(self.kernel, Scan):
            return self.kernel.index
        domain = self.kernel.statement.domain if isinstance(self.kernel, Map | Contract) else ()
        return next((index for index in domain if index.symbol == self.time), None)


def refused(reason: str) -> SymgradError:
    return SymgradError("SG408", f"checkpoint= does not fit this model: {reason}", hint="compile without checkpoint=")


def reads(kernel: Map | Contract) -> Iterator[Expr]:
    """All accesses of a kernel, those inside of indices too, its target last."""
    yield from accesses(kernel.statement.value)
    yield from (read for index in indices_of(kernel.statement.target) for read in gathers(index))
    yield kernel.statement.target


def works(schedule: Schedule) -> tuple[dict[str, int], list[Work], Program]:
    """The axis of time of each temporary that has one, the kernels, and the program with copies of single steps.

    Raises SG408 where steps cannot be told apart.
    """
    kernels = schedule.kernels
    scans = [kernel for kernel in kernels if isinstance(kernel, Scan)]
    forward = [scan for scan in scans if not scan.descending]
    if not forward or len(forward) == len(scans):
        raise refused("it needs a quantity that is computed step by step, and a gradient that goes back through it")
    found = _Axes(schedule, forward[0])
    made = [work for kernel in kernels for work in found.works(kernel)]
    return found.axes, made, schedule.program.with_statements([*schedule.program.statements, *found.copied], found.copies)


class _Axes:
    def __init__(self, schedule: Schedule, scan: Scan):
        self.schedule, self.axes, self.copies, self.copied = schedule, dict[str, int](), list[Tensor](), list[Statement]()
        self.temporaries = frozenset(schedule.temporaries)
        self.taken = {str(s) for k in flat(schedule.kernels) for s in {*k.statement.ranges, *k.statement.value.free_symbols}}
        self.spread(scan, scan.index.symbol)
        known = -1
        while known < len(self.axes):
            known = len(self.axes)
            for kernel in schedule.kernels:
                time = self.time(kernel)
                if time is not None:
                    self.spread(kernel, time)

    def spread(self, kernel: Kernel, time: Symbol) -> None:
        """Temporaries that a kernel has at its time have an axis of time."""
        for read in (read for inner in flat([kernel]) for read in reads(inner)):
            name, places = name_of(read), [place for place, index in enumerate(indices_of(read)) if index.has(time)]
            if name in self.temporaries and places and self.axes.setdefault(name, places[0]) != places[0]:
                raise refused(f"{name} has two axes of time")

    def time(self, kernel: Kernel) -> Symbol | None:
        own = {kernel.index.symbol} if isinstance(kernel, Scan) else set()
        for inner in flat([kernel]):
            symbols = own if isinstance(kernel, Scan) else inner.statement.ranges.keys()
            for index in self.places(inner):
                found = sorted(index.free_symbols & set(symbols), key=str)
                if found:
                    return found[0]
        return None

    def places(self, kernel: Map | Contract) -> Iterator[Expr]:
        """The indices of time in a kernel's accesses."""
        yield from (indices_of(read)[self.axes[name_of(read)]] for read in reads(kernel) if name_of(read) in self.axes)

    def works(self, kernel: Kernel) -> Iterator[Work]:
        """A kernel, after copies of what it reads at fixed steps."""
        if isinstance(kernel, Blocks):
            raise AssertionError("blocks come after segments")
        if isinstance(kernel, Scan):
            kernel = replace(kernel, body=tuple(self.guarded(inner, kernel.index.symbol) for inner in kernel.body))
        if not self.is_at_one_step(kernel):
            copies = [*self.fixed_reads(kernel)]
            names = {read: self.copy(read) for read in copies}
            for read in copies:
                yield from self.works(self.copying(read, names[read]))
            kernel = _reading(kernel, names)
        if self.is_at_one_step(kernel):
            kernel = self.at_one_step(kernel)
        time = self.time(kernel)
        if time is not None:
            yield self.timed(kernel, time)
        else:
            names_read = {n for inner in flat([kernel]) for n in (inner.statement.name, *inner.statement.read_names)}
            written = {inner.statement.name for inner in flat([kernel])}
            yield Work(kernel, None, 0, (), (), tuple(sorted(names_read)), tuple(sorted(written)))

    def is_at_one_step(self, kernel: Kernel) -> bool:
        """All that has time is at one and the same step, and what is not can be a sum."""
        if isinstance(kernel, Scan | Blocks) or self.time(kernel) is not None:
            return False
        return len(set(self.places(kernel))) == 1 and (kernel.statement.name in self.axes or kernel.statement.op in (None, "sum"))

    def fixed_reads(self, kernel: Kernel) -> dict[Expr, None]:
        """h[n,T,j], where the kernel does not compute h."""
        inside = list(flat([kernel]))
        written, time = {inner.statement.name for inner in inside}, self.time(kernel)
        found = dict[Expr, None]()
        for inner in inside:
            moving = {*inner.statement.ranges, time}
            for read in inner.statement.reads:
                place = self.axes.get(name_of(read)) if name_of(read) not in written else None
                if place is not None and moving.isdisjoint(indices_of(read)[place].free_symbols):
                    found[read] = None
        return found

    def copy(self, read: Expr) -> Expr:
        """The access to a copy of one step."""
        name, place = name_of(read), self.axes[name_of(read)]
        own = self.unused(f"{name}_at")
        axes = self.schedule.program.tensors[name].axes
        self.copies.append(Tensor(own, (*axes[:place], *axes[place + 1 :]), "defined"))
        return access(own, *(index for k, index in enumerate(indices_of(read)) if k != place))

    def copying(self, read: Expr, copy: Expr) -> Kernel:
        axes, place = self.schedule.program.tensors[name_of(read)].axes, self.axes[name_of(read)]
        own = [axis.symbol for axis in axes]
        own[place] = indices_of(read)[place]
        beside = (*axes[:place], *axes[place + 1 :])
        target = access(name_of(copy), *(axis.symbol for axis in beside))
        self.copied.append(Statement(target, access(name_of(read), *own), beside))
        return nest(self.copied[-1], False)

    def at_one_step(self, kernel: Kernel) -> Kernel:
        """h[T] as h[t] for t in T..T, what is not at that time as a sum over the one step."""
        assert isinstance(kernel, Map | Contract)
        statement, step = kernel.statement, next(self.places(kernel))
        time = index_symbol(self.unused("t"))
        at = {read: self.moved(read, time) for read in reads(kernel) if name_of(read) in self.axes}
        target = at.get(statement.target, statement.target)
        op = statement.op if target.has(time) else "sum"
        domain = (Index(time, step, step), *statement.domain)
        moved = replace(statement, target=target, value=substitute(statement.value, at), domain=domain, op=op)
        return nest(moved, kernel.adds, kernel.times)

    def guarded(self, kernel: Kernel, time: Symbol) -> Kernel:
        """In a scan, at one step alone: h[0] is h[t]."""
        if isinstance(kernel, Scan):
            return replace(kernel, body=tuple(self.guarded(inner, time) for inner in kernel.body))
        assert not isinstance(kernel, Blocks)
        only = {index.lo for index in kernel.times if index.symbol == time and index.lo == index.hi}
        at = {
            read: self.moved(read, time)
            for read in reads(kernel)
            if name_of(read) in self.axes and indices_of(read)[self.axes[name_of(read)]] in only
        }
        if not at:
            return kernel
        statement = kernel.statement
        moved = replace(statement, target=at.get(statement.target, statement.target), value=substitute(statement.value, at))
        return nest(moved, kernel.adds, kernel.times)

    def moved(self, read: Expr, time: Expr) -> Expr:
        place = self.axes[name_of(read)]
        return access(name_of(read), *(time if k == place else index for k, index in enumerate(indices_of(read))))

    def unused(self, wanted: str) -> str:
        name, count = wanted, 1
        while name in self.taken or name in self.schedule.program.taken:
            count += 1
            name = f"{wanted}_{count}"
        self.taken.add(name)
        return name

    def timed(self, kernel: Kernel, time: Symbol) -> Work:
        """What a kernel touches, and from where; every step of an array of time must be told from the others."""
        inside = list(flat([kernel]))
        targets = [k.statement.target for k in inside]
        shifts = {self.steps(target, time) for target in targets if name_of(target) in self.axes}
        if len(shifts) > 1 or (isinstance(kernel, Scan) and shifts - {0}):
            raise refused(f"{', '.join(map(str, targets))} are computed in one step")
        shift = shifts.pop() if shifts else 0
        found, others = dict[tuple[str, int], None](), dict[str, None]()
        for read in (read for k in inside for read in list(reads(k))[:-1]):
            if name_of(read) in self.axes:
                found[name_of(read), self.steps(read, time) - shift] = None
            else:
                others[name_of(read)] = None
        written = list(dict.fromkeys(name_of(t) for t in targets))
        if not isinstance(kernel, Scan):
            self.check_sum(kernel, time)
        return Work(
            kernel,
            time,
            shift,
            tuple(found),
            tuple(n for n in written if n in self.axes),
            tuple(others),
            tuple(n for n in written if n not in self.axes),
        )

    def steps(self, read: Expr, time: Symbol) -> int:
        """c of h[n,t + c]."""
        distance = sp.expand(indices_of(read)[self.axes[name_of(read)]] - time)
        if not distance.is_Integer:
            raise refused(f"{read} is read at a step that is not a fixed number from {time}")
        return int(distance)

    def check_sum(self, kernel: Kernel, time: Symbol) -> None:
        assert isinstance(kernel, Map | Contract)
        statement = kernel.statement
        if time in {index.symbol for index in statement.reduced} and statement.op not in (None, "sum"):
            raise refused(f"{statement.target} is a {statement.op} over {time}, which is not found piece by piece")
        own = statement.ranges[time]
        if not (own[0] + own[1]).free_symbols.isdisjoint(statement.ranges):
            raise refused(f"the range of {time} in {statement.target} moves")


def _reading(kernel: Kernel, names: Mapping[Expr, Expr]) -> Kernel:
    """A kernel that reads copies."""
    if not names or isinstance(kernel, Blocks):
        return kernel
    if isinstance(kernel, Scan):
        return replace(kernel, body=tuple(_reading(inner, names) for inner in kernel.body))
    return nest(kernel.statement.with_value(substitute(kernel.statement.value, names)), kernel.adds, kernel.times)


def extents(works: Sequence[Work], axes: Sequence[Index]) -> tuple[Expr, Expr]:
    """The first and the last step of all; SG408 where they cannot be compared."""
    ranges: list[tuple[Any, Any]] = [(axis.lo, axis.hi) for axis in axes]
    for work in works:
        own = work.range
        if own is not None and own.lo != own.hi:
            ranges.append((own.lo + work.shift, own.hi + work.shift))
    lo, hi = ranges[0]
    for low, high in ranges[1:]:
        below, above = sp.expand(low - lo), sp.expand(high - hi)
        if not (below.is_Integer and above.is_Integer):
            raise refused(f"the steps {lo}..{hi} and {low}..{high} cannot be compared")
        lo, hi = low if below < 0 else lo, high if above > 0 else hi
    return lo, hi
