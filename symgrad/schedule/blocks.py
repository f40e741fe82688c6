"""Forward and backward of some rows at a time: data that do not fit into a cache are read once and not by every equation.

    y[n] = sum(w[i]*x[n,i] for i)                     for every block of rows:
    g[n] = (y[n] - t[n])/N                    →           y, g of its rows, in arrays with no more rows than a block
    w_bar[i] = sum(g[n]*x[n,i] for n)                     w_bar[i] += sum(g[n]*x[n,i] for n of the block)

Equations go together that have one index in common, the first of each array that has it. What sums over it is not known
before the last block is done, so its readers come after all blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import sympy as sp
from sympy import Expr, Symbol

from symgrad.core.expr import accesses, gathers, indices_of, name_of, substitute
from symgrad.core.program import Index, Program, Tensor
from symgrad.schedule.contractions import Product, product
from symgrad.schedule.kernels import Blocks, Contract, Kernel, Map, Scan, Schedule, Touched, flat

Range: TypeAlias = tuple[Any, Any]
TRIES = 32  # how many equations may turn out to have no company


def blocked(schedule: Schedule) -> Schedule:
    """The same with blocks of rows where two equations or more share them."""
    done: list[Kernel] = []
    rest, tries, zeroed = list(schedule.kernels), TRIES, schedule.zeroed
    while rest and tries:
        regions = [_Region(schedule, rows).filled(rest) for rows in _ranges(rest, schedule.program)]
        best = max(regions, key=lambda region: len(region.inside), default=None)
        if best is None or best.first is None:
            break
        if best.pays():
            number = sum(isinstance(kernel, Blocks) for kernel in done) + 1
            others = [*done, *best.early, *best.late]
            done += [*best.early, best.blocks("_block" if number == 1 else f"_block_{number}", others)]
            rest, zeroed = best.late, zeroed | best.summed
        else:  # another first equation may have company
            place = rest.index(best.first)
            done, rest, tries = [*done, *rest[: place + 1]], rest[place + 1 :], tries - 1
    return replace(schedule, kernels=(*done, *rest), zeroed=zeroed)


def _ranges(kernels: Sequence[Kernel], program: Program) -> list[Range]:
    """What the first axes run over, where that is no fixed number."""
    names = dict.fromkeys(name for kernel in flat(kernels) for name in _touched(kernel))
    axes = [program.tensors[name].axes[0] for name in names if program.tensors[name].axes]
    return list(dict.fromkeys((axis.lo, axis.hi) for axis in axes if not axis.extent.is_Integer))


def _touched(kernel: Map | Contract) -> list[str]:
    return [kernel.statement.name, *kernel.statement.read_names]


def _reads(kernel: Map | Contract) -> list[Expr]:
    """All accesses of a kernel, those inside of indices too, its target last."""
    statement = kernel.statement
    inner = [read for index in indices_of(statement.target) for read in gathers(index)]
    return [*accesses(statement.value), *inner, statement.target]


@dataclass
class _Region:
    """Kernels sorted by whether they go into the blocks over one range, before, or after them."""

    schedule: Schedule
    rows: Range
    symbol: Symbol | None = None
    first: Kernel | None = None
    early: list[Kernel] = field(default_factory=list)
    inside: list[Kernel] = field(default_factory=list)
    late: list[Kernel] = field(default_factory=list)
    by_row: set[str] = field(default_factory=set)  # written inside, row by row
    summed: frozenset[str] = frozenset()  # written inside, complete after the last block

    def __post_init__(self) -> None:
        self.blocks_touch, self.late_touch = (Touched(self.schedule.aliases) for _ in range(2))

    def filled(self, kernels: Iterable[Kernel]) -> _Region:
        for kernel in kernels:
            found = self.fitting(kernel) or self.overtaking(kernel)
            if found is not None:
                self.first = self.first or kernel
                self.inside.append(found)
                self.blocks_touch.add(found)
                self.note(found)
            elif self.blocks_touch.before(kernel) or self.late_touch.before(kernel):
                self.late.append(kernel)
                self.late_touch.add(kernel)
            else:
                self.early.append(kernel)
        return self

    def fitting(self, kernel: Kernel) -> Kernel | None:
        """The kernel with the rows' index named as in the others, if it can be done for some rows at a time."""
        if self.late_touch.before(kernel):
            return None
        if isinstance(kernel, Scan):
            body = [self.fitting(inner) for inner in kernel.body]
            written = {k.statement.name for k in flat([kernel]) if not self.keeps(k)}
            sums_read = any(not written.isdisjoint(k.statement.read_names) for k in flat([kernel]))
            return None if None in body or sums_read else replace(kernel, body=tuple(body))  # type: ignore[arg-type]
        return None if isinstance(kernel, Blocks) else self.fitting_nest(kernel)

    def overtaking(self, kernel: Kernel) -> Kernel | None:
        """A sum over the rows, of which others that come after all blocks would set the cells: they add to them instead."""
        if not isinstance(kernel, Contract) or not kernel.adds:
            return None
        waiting = [k for k in self.late if isinstance(k, Map | Contract) and k.statement.name == kernel.statement.name]
        everyone, self.late_touch = self.late_touch, Touched(self.schedule.aliases)
        for other in self.late:
            if other not in waiting:
                self.late_touch.add(other)
        found = self.fitting(kernel)
        self.late_touch = everyone
        if not isinstance(found, Map | Contract) or self.keeps(found):
            return None
        self.late = [replace(k, adds=True) if isinstance(k, Map | Contract) and k in waiting else k for k in self.late]
        return found

    def fitting_nest(self, kernel: Map | Contract) -> Map | Contract | None:
        statement = kernel.statement
        own = [index.symbol for index in statement.domain if (index.lo, index.hi) == self.rows]
        plain = [symbol for symbol in own if self.is_row(symbol, kernel)]
        if not plain or any(plain[0] in (index.lo + index.hi).free_symbols for index in statement.domain):
            return None
        symbol, kept = plain[0], statement.target.has(plain[0]) and indices_of(statement.target)[0] == plain[0]
        if not kept and not (
            statement.op == "sum" and (symbol in {i.symbol for i in statement.reduced} or isinstance(kernel, Map))
        ):
            return None
        over = self.schedule.aliases.get(statement.name)  # the next block may need what is written over
        if (over and (not kept or over in self.blocks_touch.read)) or self.summed & set(statement.read_names):
            return None
        self.symbol = self.symbol or symbol
        return _renamed(kernel, symbol, self.symbol, self.schedule)

    def is_row(self, symbol: Symbol, kernel: Map | Contract) -> bool:
        """The index stands first and alone wherever it stands, and in all that is written row by row."""
        for read in _reads(kernel):
            indices, tensor = indices_of(read), self.schedule.program.tensors[name_of(read)]
            here = [place for place, index in enumerate(indices) if _bare(index).has(symbol)]
            first = bool(indices) and indices[0] == symbol and (tensor.axes[0].lo, tensor.axes[0].hi) == self.rows
            if (here and not (here == [0] and first)) or (name_of(read) in self.by_row and not first):
                return False
        return True

    def keeps(self, kernel: Map | Contract) -> bool:
        return bool(indices_of(kernel.statement.target)) and indices_of(kernel.statement.target)[0] == self.symbol

    def note(self, kernel: Kernel) -> None:
        for inner in flat([kernel]):
            if self.keeps(inner):
                self.by_row.add(inner.statement.name)
            else:
                self.summed |= {inner.statement.name}

    def pays(self) -> bool:
        """Two kernels touch the same rows of an array, of more than a number each: what is read twice is large."""
        seen: set[str] = set()
        tensors = self.schedule.program.tensors
        for kernel in flat(self.inside):
            names = {n for n in _touched(kernel) if self.has_rows(tensors[n]) and len(tensors[n].axes) > 1}
            if seen & names:
                return True
            seen |= names
        return False

    def has_rows(self, tensor: Tensor) -> bool:
        return bool(tensor.axes) and (tensor.axes[0].lo, tensor.axes[0].hi) == self.rows

    def blocks(self, name: str, others: Sequence[Kernel]) -> Blocks:
        program, symbol = self.schedule.program, self.symbol
        assert symbol is not None
        outside = {n for kernel in flat(others) for n in _touched(kernel)}
        touched = dict.fromkeys(n for kernel in flat(self.inside) for n in _touched(kernel))
        inner = frozenset(self.schedule.temporaries)
        short = [n for n in touched if n in inner and n in self.by_row and n not in outside]
        cells = sp.Add(*(sp.Mul(*program.tensors[n].extents[1:]) for n in touched if self.has_rows(program.tensors[n])))
        body = tuple(self.adding(kernel) for kernel in self.inside)
        least = dict.fromkeys(other for kernel in flat(body) for other in self.beside(kernel))
        axis = Index(symbol, *self.rows)
        return Blocks(name, axis, body, frozenset(short), cells, tuple(least))

    def adding(self, kernel: Kernel) -> Kernel:
        """What sums over the rows adds to the blocks before."""
        if isinstance(kernel, Scan):
            return replace(kernel, body=tuple(map(self.adding, kernel.body)))
        assert not isinstance(kernel, Blocks)
        return kernel if self.keeps(kernel) else replace(kernel, adds=True)

    def beside(self, kernel: Map | Contract) -> Iterator[Expr]:
        """What the rows come with in a product over them, which should sum over many; a quarter will do where they are its rows."""
        found = kernel.product if isinstance(kernel, Contract) else None
        if not isinstance(found, Product):
            return
        if any(index.symbol == self.symbol for index in found.summed):
            yield sp.Mul(*(index.extent for index in found.summed if index.symbol != self.symbol))
        elif any([index.symbol for index in group] == [self.symbol] for group in (found.rows, found.columns)):
            yield sp.Integer(4)


def _bare(index: Expr) -> Expr:
    """An index without the reads in it, whose own indices count for themselves."""
    return index.xreplace(dict.fromkeys(gathers(index), sp.S.Zero))


def _renamed(kernel: Map | Contract, old: Symbol, new: Symbol, schedule: Schedule) -> Map | Contract | None:
    """A kernel with another letter for an index; none where it has that letter for something else."""
    if old == new:
        return kernel
    statement, names = kernel.statement, {old: new}
    if any(index.symbol == new for index in statement.domain):
        return None

    def indices(given: Sequence[Index]) -> tuple[Index, ...]:
        return tuple(replace(index, symbol=names.get(index.symbol, index.symbol)) for index in given)

    value, target = substitute(statement.value, names), substitute(statement.target, names)
    renamed = replace(statement, value=value, target=target, domain=indices(statement.domain))
    if isinstance(kernel, Map):
        return replace(kernel, statement=renamed, loops=indices(kernel.loops))
    found = product(renamed, schedule.program, schedule.aliases) if isinstance(kernel.product, Product) else kernel.product
    return replace(kernel, statement=renamed, loops=indices(kernel.loops), product=found)
