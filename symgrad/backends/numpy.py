"""Schedule → the body of a NumPy function: one array expression a kernel.

A product of accesses summed over indices is an einsum; everything else is broadcast over the kernel's
loops and reduced. Shifted accesses become index grids.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import sympy as sp
from sympy import Symbol

from symgrad.backends.nests import indent
from symgrad.backends.numba import first_line, scan_head, scan_indices, times_test, within_scan
from symgrad.backends.pycode import FOR_ARRAYS, HELPERS, Code, affine, named, python_name, used_definitions
from symgrad.core.affine import Ends, nonnegative
from symgrad.core.expr import accesses, gathers, indices_of, is_access, name_of, powers
from symgrad.core.guards import needed
from symgrad.core.layout import Layout
from symgrad.core.parts import stays
from symgrad.core.program import Index, Statement, covers
from symgrad.core.ranges import scoped
from symgrad.core.source import statement_text
from symgrad.schedule.kernels import Blocks, Contract, Kernel, Map, Scan, Schedule
from symgrad.schedule.order import rectangular

IMPORTS = "import numpy as np"
# a branch that is not taken is computed all the same
QUIET = '@np.errstate(all="ignore")'
# a maximum and a minimum of nothing are their identity, as a sum and a product are without a word
REDUCE = {
    "sum": "np.sum({}, axis={})", "prod": "np.prod({}, axis={})",
    "max": "np.max({}, axis={}, initial=-np.inf)", "min": "np.min({}, axis={}, initial=np.inf)",
}  # fmt: skip


def imports(text: str) -> str:
    """The imports of a module with this text."""
    return ("import math\n\n" if "math." in text else "") + IMPORTS


def body(schedule: Schedule, dtype: str) -> str:
    """The statements of the function, sizes and arrays taken as given names."""
    lines = []
    for name in allocated(schedule):
        lines.append(f"{python_name(name)} = np.zeros(({shape(schedule, name)}), {cell_type(schedule, name)})")
    lines += _kernels(schedule.kernels, schedule, dtype, Layout.of(schedule.program))
    return "\n".join(lines)


def allocated(schedule: Schedule) -> list[str]:
    """Arrays that are written in several pieces, so that they must be there before."""
    program = schedule.program
    whole = {
        k.statement.name
        for k in schedule.kernels
        if isinstance(k, Map | Contract) and covers(k.statement, program.tensors[k.statement.name]) and not k.adds
    }
    made = dict.fromkeys((*program.defined, *schedule.temporaries))
    return [name for name in made if name in schedule.zeroed or (program.tensors[name].axes and name not in whole)]


def cell_type(schedule: Schedule, name: str) -> str:
    ops = {s.op for s in schedule.program.definitions.get(name, ())}
    return "np.int64" if ops & {"argmax", "argmin"} or schedule.program.tensors[name].values else "F"


def _kernels(
    kernels: Sequence[Kernel], schedule: Schedule, dtype: str, layout: Layout, around: Mapping[Symbol, Ends] | None = None
) -> Iterator[str]:
    """`around`: the indices of the scans that these are in, with their ends."""
    around = dict(around or {})
    for kernel in kernels:
        if isinstance(kernel, Scan):
            yield scan_head(kernel)
            inside = within_scan(around, *scan_indices(kernel))
            yield from indent([*first_line(kernel), *_kernels(kernel.body, schedule, dtype, layout, inside)])
            continue
        assert not isinstance(kernel, Blocks)
        yield f"# {statement_text(kernel.statement, schedule.program, layout)}"
        lines = Array(schedule, kernel, dtype, within_scan(around, *kernel.times)).lines()
        test = times_test(kernel.times)
        yield from [f"if {test}:", *indent(lines)] if test else lines


def shape(schedule: Schedule, name: str) -> str:
    """The extents of an array; of what is stored on the way one may be below 0, which is none."""
    program = schedule.program
    facts = [e for n in schedule.arguments for e in program.tensors[n].extents]
    stored = name in program.definitions and any(s.origin.invented or s.origin.contributions for s in program.definitions[name])
    extents = []
    for extent in program.tensors[name].extents:
        known = not stored or nonnegative(extent, None, facts)
        extents.append(affine(extent) if known else f"max({affine(extent)}, 0)")
    for blocks in schedule.blocks:
        if name in blocks.short:
            extents[0] = f"min({extents[0]}, {blocks.name})"
    return ", ".join(extents) + "," * (len(extents) == 1)


@dataclass
class Array:
    """One kernel as lines over whole arrays. Other libraries have their own `box`, `stored`, `added_at`, `whole` and `turned`."""

    schedule: Schedule
    kernel: Map | Contract
    dtype: str
    around: Mapping[Symbol, Ends]

    def __post_init__(self) -> None:
        self.in_part = not covers(self.kernel.statement, self.schedule.program.tensors[self.kernel.statement.name])
        # reads that a condition on indices protects are computed all the same, at places inside the array
        scopes = scoped(self.kernel.statement.value, self.kernel.statement.ranges)
        self.protected = {read for read, _, guards in scopes if guards}
        statement, self.moving = self.box(self.kernel.statement)
        self.guards = needed(statement, self.schedule.program)
        self.ragged = statement != self.kernel.statement
        self.kernel = replace(self.kernel, statement=statement)
        self.scatters = isinstance(self.kernel, Map) and self.kernel.scatters
        self.targets = list(indices_of(statement.target))
        reduced = [index for index in statement.domain if index in statement.reduced]
        kept = [index for index in statement.domain if index not in statement.reduced]
        if not self.scatters:
            kept.sort(key=lambda index: next(k for k, t in enumerate(self.targets) if t.has(index.symbol)))
        self.order: list[Index] = kept + reduced
        self.kept, self.reduced = kept, reduced

    def box(self, statement: Statement) -> tuple[Statement, tuple[Index, ...]]:
        """The statement over a box, and the indices of its target whose ends move with others."""
        return rectangular(statement), statement.moving

    def lines(self) -> list[str]:
        statement = self.kernel.statement
        name = python_name(statement.name)
        if self.scatters:
            return [self.scattered(self.code()(statement.value))]
        value = self.reduce() if isinstance(self.kernel, Contract) else self.elementwise()
        if self.guards:
            return [replace_order(self, self.kept).scattered(value)]
        if self.in_part:
            # a part that is no box is written as one: beside it, where other parts may be, it adds 0
            value = self.inside(value)
            return [self.stored(name, self.cells(), value, self.kernel.adds or self.ragged)]
        return [self.whole(name, value)]

    def stored(self, name: str, cells: str, value: str, adds: bool) -> str:
        return f"{name}[{cells}] {'+=' if adds else '='} {value}"

    def whole(self, name: str, value: str) -> str:
        return f"{name} = {name} + {value}" if self.kernel.adds else f"{name} = {value}"

    def added_at(self, name: str, cells: str, value: str) -> str:
        add = "_add_at" if "np.clip" in cells else "np.add.at"
        return f"{add}({name}, ({cells},), {value})"

    def scattered(self, value: str) -> str:
        """The value added to cells in any order; what guards keep outside of the array is 0, and added at its edge."""
        name, axes = self.kernel.statement.name, self.axes(self.kernel.statement.name)
        target = self.kernel.statement.target
        places = [self.place(target, i, axis) for i, axis in zip(self.targets, axes, strict=True)]
        cells = ", ".join(map(self.broadcast, places))
        return self.added_at(python_name(name), cells, self.broadcast(value))

    def inside(self, value: str) -> str:
        """The value of a reduction with an identity of its own, 0 beside the cells that the statement defines."""
        if self.kernel.statement.op in (None, "sum"):
            return value
        code = replace_order(self, self.kept).code()
        zero = "0" if cell_type(self.schedule, self.kernel.statement.name) == "np.int64" else code(sp.S.Zero)
        for index in self.moving:
            for guard in (sp.Ge(index.symbol, index.lo, evaluate=False), sp.Le(index.symbol, index.hi, evaluate=False)):
                value = f"np.where({code(guard)}, {value}, {zero})"
        return value

    def cells(self) -> str:
        """The part of the target that the kernel writes: slices where the indices move with the loops, else places."""
        symbols = [index.symbol for index in self.kept]
        moving = [[s for s in symbols if target.has(s)] for target in self.targets]
        if [s for found in moving for s in found] != symbols or any(
            target - found[0] != sp.expand(target - found[0]).subs(found[0], 0)
            for target, found in zip(self.targets, moving, strict=True)
            if found
        ):
            kept = replace_order(self, self.kept)
            return ", ".join(
                kept.grid(t - axis.lo) for t, axis in zip(self.targets, self.axes(self.kernel.statement.name), strict=True)
            )
        out = []
        for target, axis, found in zip(self.targets, self.axes(self.kernel.statement.name), moving, strict=True):
            if not found:
                out.append(affine(target - axis.lo))
                continue
            index = next(i for i in self.kept if i.symbol == found[0])
            out.append(self.slice(target, index, axis))
        return ", ".join(out)

    def slice(self, place: Any, index: Index, axis: Index) -> str:
        """The places along an axis of an index that moves by 1 with `index`."""
        lo, hi = (sp.expand(place.subs(index.symbol, end) - axis.lo) for end in (index.lo, index.hi))
        whole = lo == 0 and sp.expand(hi - axis.hi + axis.lo) == 0
        return ":" if whole else f"{affine(lo)}:{self.size(index, affine(lo), affine(hi + 1))}"

    def size(self, index: Index, lo: str, end: str) -> str:
        """The end of a slice, not before its start."""
        return end if nonnegative(index.extent, None, self.facts) else f"max({lo}, {end})"

    @property
    def facts(self) -> Any:
        return tuple(e for name in self.schedule.arguments for e in self.schedule.program.tensors[name].extents)

    def axes(self, name: str) -> Sequence[Index]:
        return self.schedule.program.tensors[name].axes

    def code(self) -> Code:
        return ArrayCode(self.dtype, self.read, self.line, arrays=True)

    def elementwise(self) -> str:
        value = self.code()(self.kernel.statement.value)
        if is_access(self.kernel.statement.value) and self.order:  # else a result would be a view of an input
            return f"{self.broadcast(value)}.copy()"
        reads_all = any(self.plain(r) and len(indices_of(r)) == len(self.order) for r in accesses(self.kernel.statement.value))
        return value if reads_all or not self.order else f"{self.broadcast(value)}.copy()"

    def reduce(self) -> str:
        statement, op = self.kernel.statement, self.kernel.statement.op
        product = self.einsum() if op == "sum" and not self.ragged else None
        if product:
            return product
        value = self.broadcast(self.code()(statement.value))
        dims = tuple(range(len(self.kept), len(self.order)))
        if op in REDUCE:
            return REDUCE[op].format(value, dims)
        if op == "logsumexp":
            return f"_logsumexp({value}, {dims})"
        points = "*".join(f"({self.extent(index)})" for index in self.reduced)
        place = f"_place(np.{op}, {value}.reshape(({self.sizes(self.kept)}{points},)))"
        lo = self.reduced[0].lo if len(self.reduced) == 1 else sp.S.Zero
        return f"{place} + {affine(lo)}" if lo != 0 else place

    def einsum(self) -> str | None:
        """A sum of a product of plain accesses and scalars."""
        factors = powers(self.kernel.statement.value)
        if any(e != 1 or not (b.is_number or (is_access(b) and self.plain(b))) for b, e in factors.items()):
            return None
        arrays = [b for b in factors if is_access(b) and indices_of(b)]
        scalars = [b for b in factors if b not in arrays]
        if not arrays or len(self.order) > len(string.ascii_letters):
            return None
        used = {s for a in arrays for s in indices_of(a)}
        if not {index.symbol for index in self.order} <= used or any(
            i.lo.free_symbols & used or i.hi.free_symbols & used for i in self.order
        ):
            return None
        if any(self.partly(a) for a in arrays):
            return None
        letters = dict(zip([index.symbol for index in self.order], string.ascii_letters, strict=False))
        subscripts = ",".join("".join(letters[i] for i in indices_of(a)) for a in arrays)
        out = "".join(letters[index.symbol] for index in self.kept)
        names = ", ".join(python_name(name_of(a)) for a in arrays)
        call = f'np.einsum("{subscripts}->{out}", {names}, optimize=True)'
        return "*".join([*(self.code()(s, 2) for s in scalars), call])

    def partly(self, read: Any) -> bool:
        """True where an index runs over a part of the axis only."""
        ranges = {index.symbol: (index.lo, index.hi) for index in self.order}
        return any(ranges[i] != (axis.lo, axis.hi) for i, axis in zip(indices_of(read), self.axes(name_of(read)), strict=True))

    def plain(self, read: Any) -> bool:
        symbols = [index.symbol for index in self.order]
        return all(i in symbols for i in indices_of(read)) and len(set(indices_of(read))) == len(indices_of(read))

    def place(self, read: Any, index: Any, axis: Index) -> str:
        """Where a read goes along one axis of its array."""
        place = self.grid(index - axis.lo)
        return f"np.clip({place}, 0, {affine(axis.extent - 1)})" if self.leaves(read, index, axis) else place

    def leaves(self, read: Any, index: Any, axis: Index) -> bool:
        """True where a place that is computed may be outside: by a condition, or where an inner range is empty, nothing is read."""
        if read in self.protected or self.ragged or self.guards:
            return True
        ranges = {**self.around, **self.kernel.statement.ranges}
        return bool(self.around) and not gathers(index) and not stays(index, axis, ranges, self.schedule.program.facts)

    def read(self, read: Any) -> str:
        """The array with its axes placed along the kernel's loops."""
        name, indices = python_name(name_of(read)), indices_of(read)
        if not indices:
            return name
        if not self.plain(read) or self.partly(read):
            cells = ", ".join(self.place(read, i, axis) for i, axis in zip(indices, self.axes(name_of(read)), strict=True))
            return f"_at({name}, {cells})" if "np.clip" in cells else f"{name}[{cells}]"
        symbols = [index.symbol for index in self.order]
        places = [symbols.index(i) for i in indices]
        order = sorted(range(len(places)), key=places.__getitem__)
        if order != list(range(len(order))):
            name = self.turned(name, order)
        slots = [":" if k in places else "None" for k in range(min(places), len(symbols))]
        return name if "None" not in slots else f"{name}[{', '.join(slots)}]"

    def turned(self, name: str, order: Sequence[int]) -> str:
        return f"{name}.transpose({', '.join(map(str, order))})"

    def line(self, symbol: Symbol, kind: str = "") -> str:
        """An index as numbers along its own axis; an extent as it is."""
        found = [k for k, index in enumerate(self.order) if index.symbol == symbol]
        if not found:
            return python_name(str(symbol))
        index = self.order[found[0]]
        slots = [":"] + ["None"] * (len(self.order) - found[0] - 1)
        arange = f"np.arange({affine(index.lo)}, {affine(sp.expand(index.hi + 1))}{kind})"
        return arange if len(slots) == 1 else f"{arange}[{', '.join(slots)}]"

    def grid(self, expr: Any) -> str:
        expr = sp.expand(expr)
        lines = {index.symbol: self.line(index.symbol) for index in self.order if expr.has(index.symbol)}
        return affine(expr, lines, self.gathered)

    def gathered(self, read: Any) -> str:
        """An integer array at the places of the loops."""
        axes = self.axes(name_of(read))
        cells = ", ".join(self.place(read, i, axis) for i, axis in zip(indices_of(read), axes, strict=True))
        name = python_name(name_of(read))
        return f"_at({name}, {cells})" if "np.clip" in cells else f"{name}[{cells}]" if cells else name

    def sizes(self, indices: Sequence[Index]) -> str:
        return "".join(f"{self.extent(i)}, " for i in indices)

    def extent(self, index: Index) -> str:
        known = nonnegative(index.extent, None, self.facts)
        return affine(index.extent) if known else f"max({affine(index.extent)}, 0)"

    def broadcast(self, value: str) -> str:
        return f"np.broadcast_to({value}, ({self.sizes(self.order)}))"


AnArray = TypeVar("AnArray", bound=Array)


def replace_order(array: AnArray, indices: Sequence[Index]) -> AnArray:
    """The same kernel seen over fewer loops."""
    other = copy(array)
    other.order = list(indices)
    return other


class ArrayCode(Code):
    def value_of_index(self, expr: Any) -> str:
        """Never Python's own number, whose division by 0 is an error."""
        text = self.index(expr)
        if "np.arange" not in text:
            return f"F({text})"
        return text if self.dtype == "float64" else f"np.asarray({text}, F)"


_AT = """def _at(array, *places):
    if array.size == 0:
        return np.zeros(np.broadcast_shapes(*map(np.shape, places)), array.dtype)
    return array[places]"""
_ADD_AT = """def _add_at(array, places, values):
    if array.size:
        np.add.at(array, places, values)"""
_PLACE = """def _place(find, values):
    if values.shape[-1] == 0:
        return np.full(values.shape[:-1], -1)
    return find(values, axis=-1)"""
_LOGSUMEXP = """def _logsumexp(values, axis):
    top = np.max(values, axis=axis, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, F(0))
    highest = values == top
    rest = np.sum(np.where(highest, F(0), np.exp(values - top)), axis=axis) + (np.sum(highest, axis=axis) - 1).astype(F)
    return np.squeeze(top, axis) + np.log1p(rest)"""


OWN = named("\n\n".join((_AT, _ADD_AT, _LOGSUMEXP, _PLACE)))


def _define(name: str) -> str:
    if name in OWN:
        return OWN[name]
    text = FOR_ARRAYS.get(name, HELPERS[name])
    return f"{text}\n\n\n{name} = np.vectorize({name}, otypes=[F])" if "math." in text else text


def helpers(body: str, dtype: str) -> str:
    """The name of the type and the functions that a body uses."""
    used = used_definitions(body, [*HELPERS, *OWN], _define)
    types = f"F = np.{dtype}\n_D = np.dtype(F)"
    return f"{types}\n\n\n{used}" if used else types
