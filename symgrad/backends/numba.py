"""Schedule → the body of a numba function: one loop nest a kernel, its equation above it.

Values that do not change in the innermost loop are computed before it. Sums may be reassociated
(`FLAGS`), which leaves nan and inf as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import sympy as sp

from symgrad.backends import blas, threads, vecmath
from symgrad.backends.joined import SUPPORT, joined
from symgrad.backends.nests import Names, Nest, indent, nested, rows_name
from symgrad.backends.pycode import HELPERS, Code, affine, python_name, used_definitions
from symgrad.backends.straight import comments, own_text, runs, straight_lines
from symgrad.core.affine import Ends
from symgrad.core.expr import (
    accesses,
    gathers,
)
from symgrad.core.layout import Layout
from symgrad.core.program import Index
from symgrad.core.source import statement_text
from symgrad.schedule.fusion import Together, fused
from symgrad.schedule.kernels import Blocks, Contract, Kernel, Map, Scan, Schedule, flat
from symgrad.schedule.updates import is_kept

FLAGS = '{"reassoc", "contract", "arcp", "nsz"}'
DECORATOR = f'@njit(cache=True, nogil=True, error_model="numpy", fastmath={FLAGS})'
# a kernel: none of the arrays that it is given shares memory with one that it writes
APART_TOO = ", pipeline_class=_Apart"
KERNEL = f"{DECORATOR[:-1]}{APART_TOO})"
HELPER = f'@njit(inline="always", error_model="numpy", fastmath={FLAGS}, **_INNER)'
EXACT = ("_log_share", "_share_less")  # helpers whose sums are to be added in the order in which they are written
INTEGERS = {"float32": "np.int32", "float64": "np.int64"}
# the bytes of a block in all arrays; over how many numbers a product should sum at least
BLOCK, SUMMED = 2**18, 128
# functions that compiled code alone calls need no way in from Python, which would take a tenth of the time to compile
APART = '''
class _Apart(Compiler):
    """LLVM may know that no two arrays share memory (restrict in C): else it compares all addresses before every inner loop."""

    def define_pipelines(self):
        if hasattr(self.state.flags, "noalias"):
            self.state.flags.noalias = True
        return super().define_pipelines()
'''
INNER = '_INNER = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}'
IMPORTS = "import numpy as np\nfrom numba import njit"


def helpers(body: str, dtype: str) -> str:
    """The names of the types and the functions that a body uses."""

    def define(name: str) -> str:
        if name in vecmath.DEFINITIONS:
            return vecmath.decorated(name, dtype)
        if name in EXACT:
            return f"{vecmath.DECORATOR}\n{vecmath.vectorized(HELPERS[name])}"
        return f"{HELPER}\n{vecmath.vectorized(HELPERS[name])}"

    used = used_definitions(body, [*vecmath.DEFINITIONS, *HELPERS], define)
    types = f"F = np.{dtype}\n_D = np.dtype(F)" + (f"\n_I = {INTEGERS[dtype]}" if "_I(" in used else "")
    types += f"\n{INNER}" if used or "_gemm(" in body else ""
    tables = own_text() if "_straight(" in body else ""
    views = SUPPORT.strip("\n") if "_joined(" in body else ""
    apart = APART.strip("\n") if "=_Apart" in body else ""
    sines = vecmath.sines() if vecmath.calls_sines(used) else ""
    return "\n\n\n".join(text for text in (types, apart, used, sines, tables, views) if text)


def imports(text: str) -> str:
    """The imports of a module with this text."""
    calls = "_gemm(" in text
    more = (*(blas.STANDARD if calls else ()), *(["math"] if "math." in text else []))
    apart = "\nfrom numba.core.compiler import Compiler" if "=_Apart" in text else ""
    return standard_imports(text, more) + imports_of(text, calls or "_joined(" in text) + apart


def imports_of(text: str, intrinsics: bool) -> str:
    """The lines for NumPy and numba."""
    if vecmath.calls_sines(text):
        return vecmath.SINES_IMPORTS
    return blas.IMPORTS if intrinsics else IMPORTS


def standard_imports(text: str, more: Sequence[str]) -> str:
    """The lines for the standard library."""
    names = {*more, *(threads.IMPORTS if "_in_chunks(" in text else ())}
    lines = "".join(f"import {name}\n" for name in sorted(names))
    return lines + "\n" if lines else ""


def body(
    schedule: Schedule,
    dtype: str,
    cells: frozenset[str] = frozenset(),
    shorter: str | None = None,
    tables: list[str] | None = None,
) -> str:
    """The statements of the function, sizes and arrays taken as given names; `shorter` as in `Names`.

    Definitions that it needs go to `tables`.
    """
    names = Names(schedule, dtype, cells, shorter, [] if tables is None else tables)
    code = Code(dtype, names.value, lambda symbol: python_name(str(symbol)), call=vecmath.vectorized)
    layout = Layout.of(schedule.program)
    short = {name for blocks in schedule.blocks for name in blocks.short}
    lines = list(zeros(sorted(schedule.zeroed - short), names, code))
    if not schedule.blocks:
        return "\n".join([*lines, *_kernels(schedule.kernels, names, code, layout)])
    text: list[str] = []
    for number, part in enumerate(threads.parts(schedule.kernels)):
        lines += _kernels(part, names, code, layout)
        text += [f"if _part in (-1, {number}):", *indent(lines)] if lines else []
        lines = []
    return "\n".join(text)


def zeros(given: Sequence[str], names: Names, code: Code) -> Iterator[str]:
    """What is only added to starts at 0."""
    for name in given:
        cells = "" if names.is_local(name) else "[...]"
        yield f"{python_name(names.stored(name))}{cells} = {code.number(sp.S.Zero)}"


def block_line(blocks: Blocks, dtype: str) -> str:
    """How many rows a block has: they fit into a cache, and a product that sums over them has some work."""
    share = f"{BLOCK // np.dtype(dtype).itemsize}//max(1, {affine(blocks.cells)})"
    least = [str(SUMMED // int(e)) if e.is_Integer and e else f"{SUMMED}//max(1, {affine(e)})" for e in blocks.least]
    return f"{blocks.name} = max({', '.join(['1', share, *least])})"


def _blocks(blocks: Blocks, names: Names, code: Code, layout: Layout) -> Iterator[str]:
    inside = replace(names, blocks=blocks)
    yield f"_end = min(_stop, {affine(blocks.axis.extent)})"
    yield f"for _first in range(_start, _end, {blocks.name}):"
    lines = [f"_count = min({blocks.name}, _end - _first)"]
    seen = dict.fromkeys(inside.array(read) for kernel in flat(blocks.body) for read in _accesses(kernel) if inside.in_rows(read))
    whole = {rows_name(python_name(names.stored(name))): python_name(names.stored(name)) for name in names.schedule.program.tensors}
    lines += [f"{rows} = {whole[rows]}[_first:_first + _count]" for rows in seen]
    lines += zeros(sorted(names.schedule.zeroed & blocks.short), inside, code)
    symbol = blocks.axis.symbol
    place = {symbol: f"({python_name(str(symbol))} + _first)"}
    code = replace(code, read=inside.value, index=lambda index: place.get(index) or python_name(str(index)))
    yield from indent([*lines, *_kernels(blocks.body, inside, code, layout)])


def _accesses(kernel: Map | Contract) -> Iterator[Any]:
    yield from (*accesses(kernel.statement.value), kernel.statement.target)
    yield from gathers(kernel.statement.target)


def _kernels(
    kernels: Sequence[Kernel], names: Names, code: Code, layout: Layout, around: Mapping[Any, Ends] | None = None
) -> Iterator[str]:
    """`around`: the indices of the scans that these are in, with their ends."""
    around = dict(around or {})
    program, aliases = names.schedule.program, names.schedule.aliases
    for kernel in fused(list(runs(kernels, program)), program, aliases):
        if isinstance(kernel, tuple):
            yield from comments(kernel, names.schedule.program)
            yield from straight_lines(kernel, names.read, names.outside(kernel), names.tables)
            continue
        if isinstance(kernel, Map) and is_kept(kernel.statement, names.schedule.aliases):
            continue
        if isinstance(kernel, Blocks):
            yield from _blocks(kernel, names, code, layout)
            continue
        if isinstance(kernel, Scan):
            yield scan_head(kernel)
            inside = within_scan(around, *scan_indices(kernel))
            yield from indent([*first_line(kernel), *_kernels(kernel.body, names, code, layout, inside)])
            continue
        nests = kernel.kernels if isinstance(kernel, Together) else (kernel,)
        for nest in nests:
            yield f"# {statement_text(nest.statement, program, layout)}"
        merged, seen, views = joined(nests, names)
        own = replace(code, read=seen.value)
        lines = [*views, *nested([Nest(nest, seen, own, within_scan(around, *nest.times)) for nest in merged])]
        test = times_test(nests[0].times)
        yield from [f"if {test}:", *indent(lines)] if test else lines


def within_scan(around: Mapping[Any, Ends], *indices: Index) -> dict[Any, Ends]:
    """The ends of the indices of scans, with those of further ones or of a part of them."""
    return {**around, **{index.symbol: (index.lo, index.hi) for index in indices}}


def scan_head(scan: Scan) -> str:
    """The loop over the steps of a recurrence."""
    lo, hi, name = affine(scan.index.lo), affine(scan.index.hi), python_name(str(scan.index.symbol))
    ends = f"{hi}, {affine(scan.index.lo - 1)}, -1" if scan.descending else f"{lo}, {affine(scan.index.hi + 1)}"
    return f"for {name} in range({ends}):"


def scan_indices(scan: Scan) -> tuple[Index, ...]:
    return (scan.index, scan.first[0]) if scan.first else (scan.index,)


def first_line(scan: Scan) -> list[str]:
    """What a step starts with."""
    return [f"{python_name(str(scan.first[0].symbol))} = {affine(scan.first[1])}"] if scan.first else []


def times_test(times: Sequence[Index]) -> str:
    """When a kernel inside a scan runs."""
    tests = []
    for index in times:
        name = python_name(str(index.symbol))
        tests.append(
            f"{name} == {affine(index.lo)}" if index.lo == index.hi else f"{affine(index.lo)} <= {name} <= {affine(index.hi)}"
        )
    return " and ".join(tests)
