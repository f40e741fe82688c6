"""The two innermost loops of a nest as one, where its arrays lie in memory as it goes through them.

    for r in range(8):                              f_sum_r_s = _joined(f_sum)
        for s in range(8):                    →     for r_s in range(f_sum_r_s.shape[2]):
            f[n, c, r, s] = f_sum[n, c, r, s]           f_r_s[n, c, r_s] = f_sum_r_s[n, c, r_s]

LLVM finds vectors along the innermost loop, and in eight steps there is none of sixteen numbers. Every access must have both
indices last, over the whole axes, or neither of them; nothing else in the value may depend on them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import sympy as sp

from symgrad.backends.nests import Names
from symgrad.core.expr import access, accesses, index_symbol, indices_of, name_of, substitute
from symgrad.core.guards import needed
from symgrad.core.program import Index, Program
from symgrad.schedule.contractions import Product
from symgrad.schedule.kernels import Contract, Map

SUPPORT = '''
@intrinsic
def _joined(typing, array):
    """The cells of an array with its last two axes as one."""
    kind = array.copy(ndim=array.ndim - 1)

    def make(context, builder, signature, args):
        old, new = context.make_array(array)(context, builder, args[0]), context.make_array(kind)(context, builder)
        shape, strides = (cgutils.unpack_tuple(builder, part) for part in (old.shape, old.strides))
        new.data, new.itemsize, new.nitems = old.data, old.itemsize, old.nitems
        new.shape = cgutils.pack_array(builder, [*shape[:-2], builder.mul(shape[-2], shape[-1])])
        new.strides = cgutils.pack_array(builder, [*strides[:-2], strides[-1]])
        new.meminfo, new.parent = (cgutils.get_null_value(part.type) for part in (new.meminfo, new.parent))
        return new._getvalue()

    return kind(array), make
'''


def joined(kernels: Sequence[Map | Contract], names: Names) -> tuple[list[Map | Contract], Names, list[str]]:
    """Nests that share their loops, with as few of them as can be; what then stands for the arrays, and the lines that say so."""
    kernels, lines = list(kernels), list[str]()
    while len(kernels[0].loops) > 1 and all(_fits(kernel, names) for kernel in kernels):
        kernels, names, more = _once(kernels, names)
        lines += more
    return kernels, names, lines


def _fits(kernel: Map | Contract, names: Names) -> bool:
    statement, program = kernel.statement, names.schedule.program
    outer, inner = kernel.loops[-2:]
    symbols = {outer.symbol, inner.symbol}
    if (outer in statement.reduced) != (inner in statement.reduced) or names.is_row(outer) or names.is_row(inner):
        return False
    ends = {s for index in statement.domain for s in (index.lo + index.hi).free_symbols}
    moves = not ends.isdisjoint(symbols) or not ends.isdisjoint({index.symbol for index in statement.domain})
    if moves or names.shorter in {str(s) for s in ends} or needed(statement, program):
        return False
    if (isinstance(kernel, Map) and kernel.scatters) or statement.op in ("argmax", "argmin"):
        return False
    if isinstance(kernel, Contract) and isinstance(kernel.product, Product):
        return False
    reads = list(_touching(kernel, symbols))
    rest = substitute(statement.value, {read: sp.Dummy() for read in reads})
    return symbols.isdisjoint(rest.free_symbols) and all(_is_last(read, outer, inner, program) for read in reads)


def _touching(kernel: Map | Contract, symbols: set[Any]) -> Iterator[Any]:
    """The accesses, the target among them, that have one of the indices."""
    every = dict.fromkeys((kernel.statement.target, *accesses(kernel.statement.value)))
    return (read for read in every if not symbols.isdisjoint(read.free_symbols))


def _is_last(read: Any, outer: Index, inner: Index, program: Program) -> bool:
    """An access has the two as its last indices and nowhere else, and they run over the whole axes."""
    indices, axes = indices_of(read), program.tensors[name_of(read)].axes
    if len(indices) < 2 or tuple(indices[-2:]) != (outer.symbol, inner.symbol):
        return False
    whole = all((axis.lo, axis.hi) == (index.lo, index.hi) for axis, index in zip(axes[-2:], (outer, inner), strict=True))
    return whole and not any(index.has(outer.symbol, inner.symbol) for index in indices[:-2])


def _once(kernels: Sequence[Map | Contract], names: Names) -> tuple[list[Map | Contract], Names, list[str]]:
    outer, inner = kernels[0].loops[-2:]
    program = names.schedule.program
    both = Index(index_symbol(_unused(f"{outer.symbol}_{inner.symbol}", names)), sp.S.Zero, outer.extent * inner.extent - 1)
    views: dict[str, Any] = {}
    reads: dict[Any, Any] = {}
    for read in (read for kernel in kernels for read in _touching(kernel, {outer.symbol, inner.symbol})):
        if name_of(read) not in views:
            tensor, base = program.tensors[name_of(read)], name_of(read).removesuffix(f"_{inner.symbol}")
            name = _unused(f"{base}_{both.symbol}", names)
            views[name_of(read)] = replace(tensor, name=name, axes=(*tensor.axes[:-2], both))
        reads[read] = access(views[name_of(read)].name, *indices_of(read)[:-2], both.symbol)
    known = replace(program, tensors={**program.tensors, **{view.name: view for view in views.values()}})
    after = replace(names, schedule=replace(names.schedule, program=known))
    lines = dict.fromkeys(f"{after.array(new)} = _joined({names.array(old)})" for old, new in reads.items())
    return [_renamed(kernel, reads, both) for kernel in kernels], after, list(lines)


def _renamed(kernel: Map | Contract, reads: dict[Any, Any], both: Index) -> Map | Contract:
    statement, (outer, inner) = kernel.statement, kernel.loops[-2:]
    domain = tuple(both if index == outer else index for index in statement.domain if index != inner)
    made = replace(statement, target=substitute(statement.target, reads), value=substitute(statement.value, reads), domain=domain)
    return replace(kernel, statement=made, loops=(*kernel.loops[:-2], both))


def _unused(wanted: str, names: Names) -> str:
    sizes = {str(size) for size in names.schedule.counts}
    name = names.schedule.program.unused_name(wanted)
    return name if name not in sizes else _unused(f"{wanted}_", names)
