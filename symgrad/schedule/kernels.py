"""What a schedule consists of: kernels in order, buffers, and where the sizes come from.

Map        elementwise: one loop nest, each cell written once
Contract   a reduction over some indices of a loop nest; where it is a product of matrices, that too
Scan       a recurrence: kernels repeated for every value of an index, in order or against it
Blocks     kernels repeated for some rows of their arrays at a time
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from sympy import Expr, Symbol

from symgrad.core.program import Index, Program, Statement
from symgrad.schedule.contractions import Product


@dataclass(frozen=True)
class Map:
    """`adds`: the cell holds something already. `scatters`: cells are hit in any order, or not at all.

    `times`: inside a scan, the values of its index at which the kernel runs, where those are not all.
    """

    statement: Statement
    loops: tuple[Index, ...]
    adds: bool = False
    scatters: bool = False
    times: tuple[Index, ...] = ()


@dataclass(frozen=True)
class Contract:
    """`loops` in order, innermost last; the sum is kept in a local where the innermost loop is reduced.

    `product`: the product of matrices that the statement is, for a backend that has one, or why it is none.
    """

    statement: Statement
    loops: tuple[Index, ...]
    adds: bool = False
    times: tuple[Index, ...] = ()
    product: Product | str = ""

    @property
    def in_register(self) -> bool:
        return bool(self.loops) and self.loops[-1] in self.statement.reduced


@dataclass(frozen=True)
class Scan:
    """`first`: a symbol and its value, which every step starts with: where its segment of another scan begins."""

    index: Index
    descending: bool
    body: tuple[Kernel, ...]
    first: tuple[Index, Expr] | None = None


@dataclass(frozen=True)
class Blocks:
    """`axis` is the whole range; the arrays in `short` have no more rows than a block.

    `cells`: how many numbers a row has in all arrays of the body. `least`: products sum over the rows times these extents.
    """

    name: str
    axis: Index
    body: tuple[Kernel, ...]
    short: frozenset[str]
    cells: Expr
    least: tuple[Expr, ...]


Kernel: TypeAlias = Map | Contract | Scan | Blocks


def flat(kernels: Sequence[Kernel]) -> Iterator[Map | Contract]:
    """All loop nests, those inside scans and blocks too."""
    for kernel in kernels:
        if isinstance(kernel, Scan | Blocks):
            yield from flat(kernel.body)
        else:
            yield kernel


class Touched:
    """What kernels read and write, by the names of the arrays."""

    def __init__(self, aliases: Mapping[str, str]):
        self.aliases = aliases
        self.read: set[str] = set()
        self.written: set[str] = set()

    def add(self, kernel: Kernel) -> None:
        self.read |= self.reads(kernel)
        self.written |= self.writes(kernel)

    def reads(self, kernel: Kernel) -> set[str]:
        return {self.aliases.get(n, n) for k in flat([kernel]) for n in k.statement.read_names}

    def writes(self, kernel: Kernel) -> set[str]:
        return {self.aliases.get(k.statement.name, k.statement.name) for k in flat([kernel])}

    def before(self, kernel: Kernel) -> bool:
        """True where the kernel must come after these: it reads what they write, or writes what they touch."""
        reads, writes = self.reads(kernel), self.writes(kernel)
        return not (reads | writes).isdisjoint(self.written) or not writes.isdisjoint(self.read)


@dataclass(frozen=True)
class Size:
    """An extent symbol read off an array, the extent of whose axis is `extent`; other symbols in it come before."""

    symbol: Symbol
    array: str
    axis: int
    extent: Expr


@dataclass(frozen=True)
class Segments:
    """A time axis lo..hi in `count` segments of `length` steps, at least `least`: `wanted` of them, or √T."""

    lo: Expr
    hi: Expr
    length: Symbol
    count: Symbol
    least: int
    wanted: int | None


@dataclass(frozen=True)
class Schedule:
    """`zeroed` are only added to, so they start at 0; `aliases` name the array that a result is written over.

    Where time goes in `segments`, `whole` is the schedule without them.
    """

    program: Program
    kernels: tuple[Kernel, ...]
    arguments: tuple[str, ...]
    outputs: tuple[str, ...]
    temporaries: tuple[str, ...]
    zeroed: frozenset[str]
    sizes: tuple[Size, ...]
    aliases: dict[str, str]
    segments: Segments | None = None
    whole: Schedule | None = None

    @property
    def counts(self) -> tuple[Symbol, ...]:
        """All sizes that a kernel is given."""
        cut = self.segments
        return (*(size.symbol for size in self.sizes), *((cut.length, cut.count) if cut else ()))

    @cached_property
    def kept(self) -> frozenset[str]:
        """What is there before or after: arguments and outputs, of which a program of many equations has many."""
        return frozenset(self.arguments) | frozenset(self.outputs)

    @cached_property
    def blocks(self) -> tuple[Blocks, ...]:
        return tuple(kernel for kernel in self.kernels if isinstance(kernel, Blocks))

    def __str__(self) -> str:
        lines = [f"{size.extent} = extent of axis {size.axis + 1} of {size.array}" for size in self.sizes]
        return "\n".join([*lines, *_lines(self.kernels)])


def _lines(kernels: Sequence[Kernel]) -> Iterator[str]:
    for kernel in kernels:
        if isinstance(kernel, Scan):
            index = kernel.index
            ends = (index.hi, index.lo) if kernel.descending else (index.lo, index.hi)
            first = f" from {kernel.first[0].symbol} = {kernel.first[1]}" if kernel.first else ""
            yield f"Scan     {index.symbol} = {ends[0]}, …, {ends[1]}{first}"
            yield from ("  " + line for line in _lines(kernel.body))
        elif isinstance(kernel, Blocks):
            short = ", ".join(sorted(kernel.short))
            yield f"Blocks   of {kernel.axis.symbol} = {kernel.axis.lo}, …, {kernel.axis.hi}" + (
                f" with {short} of a block" if short else ""
            )
            yield from ("  " + line for line in _lines(kernel.body))
        else:
            yield _line(kernel)


def _line(kernel: Map | Contract) -> str:
    loops = " ".join(str(index.symbol) for index in kernel.loops) or "scalar"
    found = kernel.product if isinstance(kernel, Contract) else ""
    head = f"{'Product' if isinstance(found, Product) else type(kernel).__name__:8} [{loops}] {kernel.statement.target}"
    op = "+=" if kernel.adds else "="
    if isinstance(found, Product):
        return f"{head} {op} {found}"
    return f"{head} {op} …" + (f"    loops: {found}" if found else "")
