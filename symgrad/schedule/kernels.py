"""What a schedule consists of: kernels in order, buffers, and where the sizes come from.

    Map        elementwise: one loop nest, each cell written once
    Contract   a reduction over some indices of a loop nest
(A recurrence would be a third kind, `Scan`.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from sympy import Symbol

from symgrad.core.program import Index, Program, Statement


@dataclass(frozen=True)
class Map:
    """`adds`: the cell holds something already. `scatters`: cells are hit in any order, or not at all."""

    statement: Statement
    loops: tuple[Index, ...]
    adds: bool = False
    scatters: bool = False


@dataclass(frozen=True)
class Contract:
    """`loops` in order, innermost last; the sum is kept in a local where the innermost loop is reduced."""

    statement: Statement
    loops: tuple[Index, ...]
    adds: bool = False

    @property
    def in_register(self) -> bool:
        return bool(self.loops) and self.loops[-1] in self.statement.reduced


Kernel: TypeAlias = Map | Contract


@dataclass(frozen=True)
class Size:
    """An extent symbol read off an array: symbol = array.shape[axis] + shift."""

    symbol: Symbol
    array: str
    axis: int
    shift: int


@dataclass(frozen=True)
class Schedule:
    """`zeroed` are scattered into, so they start at 0; `aliases` name the array that a result is written over."""

    program: Program
    kernels: tuple[Kernel, ...]
    arguments: tuple[str, ...]
    outputs: tuple[str, ...]
    temporaries: tuple[str, ...]
    zeroed: frozenset[str]
    sizes: tuple[Size, ...]
    aliases: dict[str, str]

    def __str__(self) -> str:
        lines = [f"{size.symbol} = extent of axis {size.axis + 1} of {size.array}" for size in self.sizes]
        for kernel in self.kernels:
            loops = " ".join(str(index.symbol) for index in kernel.loops) or "scalar"
            lines.append(f"{type(kernel).__name__:8} [{loops}] {kernel.statement.target} {'+=' if kernel.adds else '='} …")
        return "\n".join(lines)
