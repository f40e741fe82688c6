"""Extents: which symbols a program needs, what the arrays say of them, and whether every range fits.

>>> from symgrad.frontend.text import parse
>>> program = parse("index i in 1..N; J = sum(x[i]^2 for i)")
>>> sizes_of(program, {"x": (3,)})
{N: 3}
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sympy as sp

from symgrad.core.affine import solved_sizes
from symgrad.core.errors import SymgradError
from symgrad.core.program import Index, Program, Statement, is_count

Sizes = dict[Any, Any]


def sizes_of(program: Program, shapes: Mapping[str, Sequence[int]]) -> Sizes:
    """Extent symbols from the shapes of the given arrays: an axis lo..hi has hi - lo + 1 values."""
    sizes: Sizes = {}
    extents = [
        (axis.extent, n) for name, shape in shapes.items() for axis, n in zip(program.tensors[name].axes, shape, strict=True)
    ]
    for symbol, extent, count in solved_sizes(extents):
        rest, factor = sp.expand(extent).subs(symbol, 0), extent.coeff(symbol)
        value = (count - rest.subs(sizes)) / factor
        if not value.is_Integer:
            raise SymgradError("SG604", f"{extent} = {count} has no whole number {symbol}")
        sizes[symbol] = int(value)
    return sizes


def check_known(program: Program, known: Collection[Any]) -> None:
    """SG311 where an extent is neither a number nor read off an array."""
    for symbol, user in program.needed_sizes.items():
        if symbol not in known:
            shown = str(symbol).strip("|").partition("_")[0] if is_count(symbol) else str(symbol)
            what = f"the range of the index {shown}" if is_count(symbol) else f"the extent {shown}"
            hint = f"declare it: index {shown} in 1..10" if is_count(symbol) else f"write a number for {shown}"
            message = f"{what} cannot be read off the arrays that are given"
            raise SymgradError("SG311", message, user.origin.span, f"{hint}, or give an input an axis with it")


def check_fits(program: Program, sizes: Mapping[Any, Any]) -> None:
    """SG606 where a range would end before it starts by more than one: a range may be empty, and no more."""
    for extent, (index, statement) in _outer_extents(program).items():
        if extent.subs(sizes) < 0:
            message = f"the arrays are too small, {index.symbol} would have {extent.subs(sizes)} values"
            raise SymgradError("SG606", message, statement.origin.span)


def _outer_extents(program: Program) -> dict[Any, tuple[Index, Statement]]:
    """The extents that use no index and read no array, those of what is defined too, each with the first range that has it."""
    found: dict[Any, tuple[Index, Statement]] = {}
    expanded: dict[tuple[Any, Any], Any] = {}
    for statement in program.statements:
        inner = {index.symbol for index in statement.domain}
        for index in statement.domain:
            ends = index.lo, index.hi
            extent = expanded[ends] = expanded[ends] if ends in expanded else sp.expand(index.extent)
            if inner.isdisjoint(extent.free_symbols) and not extent.has(sp.Function):
                found.setdefault(extent, (index, statement))
        for axis in program.tensors[statement.name].axes:
            if not (extent := sp.expand(axis.extent)).has(sp.Function):
                found.setdefault(extent, (axis, statement))
    return found
