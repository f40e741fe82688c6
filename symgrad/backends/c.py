"""Schedule → C99 with a header: loops, libm and malloc, nothing else.

    int net_value_and_grad(ptrdiff_t N, const double *x, double *J, double *x_bar)     net_forward in the same way

The loops are numba's (nests.py), translated (ctext.py); what numba leaves to its vectorised functions and to BLAS are loops
and libm here. Arrays lie row by row, and no result overlaps another array. A function returns 0, or a code of the header.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import sympy as sp

from symgrad.backends import entry, numpy
from symgrad.backends.checks import CHECKS, bound_lines, size_lines
from symgrad.backends.ctext import Arrays, Writer, c_name, comment, function_body, helper, support
from symgrad.backends.entry import Part, returned
from symgrad.backends.native import COMPILERS
from symgrad.backends.nests import Names, Nest, nested
from symgrad.backends.numba import first_line, scan_head, scan_indices, times_test, within_scan, zeros
from symgrad.backends.pycode import HELPERS, Code, affine, indent, python_name, used_definitions
from symgrad.core.affine import Ends
from symgrad.core.errors import SymgradError
from symgrad.core.layout import Layout
from symgrad.core.program import Index, Program
from symgrad.core.source import statement_text
from symgrad.schedule.fusion import Together, fused
from symgrad.schedule.kernels import Contract, Kernel, Map, Scan, Schedule
from symgrad.schedule.updates import is_kept

LEVEL = "-O2"  # at which the compiler works for calls from Python
REAL = {"float64": "double", "float32": "float"}
# code, name, what it means
CODES = (
    (0, "OK", "all went well"),
    (1, "NO_MEMORY", "there is no memory for what stands between arguments and results"),
    (2, "TOO_SMALL", "an extent is negative, or a range has no value where one is needed"),
    (3, "OUTSIDE", "a cell is read or written that its array does not have"),
)


class CNest(Nest):
    """Loops for what numba hands to BLAS, and a maximum that needs no bits."""

    def lines(self) -> list[str]:
        return self.loops()

    def extreme(self, total: str, inner: tuple[Index, ...], text: str, before: list[str], sign: str) -> Iterator[str]:
        """The largest, or smallest; nan if one is nan."""
        yield f"{total} = {self.code.number(-sp.oo if sign == '>' else sp.oo)}"
        test = f"{total} = _here if _here {sign} {total} or _here != _here else {total}"
        yield from self.nest(inner, [*before, f"_here = {text}", test], len(before))


def loops(schedule: Schedule, dtype: str, cells: frozenset[str]) -> list[str]:
    """The Python of the loops."""
    names = Names(schedule, dtype, cells)
    code = Code(dtype, names.value, lambda symbol: python_name(str(symbol)))
    lines = zeros(sorted(schedule.zeroed), names, code)
    return [*lines, *_kernels(schedule.kernels, names, code, Layout.of(schedule.program), {})]


def _kernels(kernels: Sequence[Kernel], names: Names, code: Code, layout: Layout, around: Mapping[Any, Ends]) -> Iterator[str]:
    """`around`: the indices of the scans that these are in, with their ends."""
    program, aliases = names.schedule.program, names.schedule.aliases
    for kernel in fused(list(kernels), program, aliases):
        if isinstance(kernel, Map) and is_kept(kernel.statement, aliases):
            continue
        if isinstance(kernel, Scan):
            yield scan_head(kernel)
            inside = within_scan(dict(around), *scan_indices(kernel))
            yield from _indented([*first_line(kernel), *_kernels(kernel.body, names, code, layout, inside)])
            continue
        assert isinstance(kernel, Together | Map | Contract)
        nests = kernel.kernels if isinstance(kernel, Together) else (kernel,)
        for nest in nests:
            yield f"# {statement_text(nest.statement, program, layout)}"
        lines = nested([CNest(nest, names, code, within_scan(dict(around), *nest.times)) for nest in nests])
        test = times_test(nests[0].times)
        yield from [f"if {test}:", *_indented(lines)] if test else lines


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]


@dataclass(frozen=True)
class _Function:
    """One entry point."""

    program: Program
    part: Part
    dtype: str
    prefix: str

    @property
    def schedule(self) -> Schedule:
        return self.part.schedule

    @property
    def real(self) -> str:
        return REAL[self.dtype]

    @cached_property
    def results(self) -> list[str]:
        return list(dict.fromkeys(self.part.results.values()))

    @cached_property
    def temporaries(self) -> list[str]:
        tensors = self.schedule.program.tensors
        return [n for n in self.schedule.temporaries if tensors[n].axes and n not in self.results]

    @cached_property
    def cells(self) -> frozenset[str]:
        """Results that are one number."""
        return frozenset(name for name in self.results if not self.schedule.program.tensors[name].axes)

    def is_whole(self, name: str) -> bool:
        return numpy.cell_type(self.schedule, name) != "F"

    def kind(self, name: str) -> str:
        """The C type of a quantity's numbers."""
        return "int64_t" if self.is_whole(name) else self.real

    def extents(self, name: str) -> list[str]:
        """The extents of an array, none below 0, as C."""
        return [self.whole(text) for text in _split(numpy.shape(self.schedule, name))]

    def whole(self, text: str) -> str:
        """An expression of sizes."""
        return Writer(Arrays({}, frozenset(), self.sizes, self.real))(ast.parse(text, mode="eval").body)

    @property
    def sizes(self) -> set[str]:
        return {python_name(size.name) for size in self.schedule.counts}

    def parameters(self) -> list[tuple[str, str]]:
        """(declaration, what it is) of each, sizes first."""
        tensors = self.schedule.program.tensors
        out = [
            (
                f"ptrdiff_t {c_name(python_name(size.symbol.name))}",
                f"{size.array} has {affine(size.extent)} values along axis {size.axis + 1}",
            )
            for size in self.schedule.sizes
        ]
        for name in self.schedule.arguments:
            own, kind = c_name(python_name(name)), self.kind(name)
            values = tensors[name].values
            what = f", whole numbers {affine(values[0])}..{affine(values[1])}" if values is not None else ""
            out.append((f"const {kind} *{own}" if tensors[name].axes else f"{kind} {own}", self.shown(name) + what))
        shown = {result: name for name, result in self.part.results.items()}
        for name in self.results:
            what = self.shown(name)
            derivative = shown[name] != name
            label = f"{what}: the gradient by {shown[name]}" if derivative else what
            out.append((f"{self.kind(name)} *{c_name(python_name(name))}", f"result, {label}"))
        return out

    def shown(self, name: str) -> str:
        extents = self.extents(name)
        return "".join(f"[{extent}]" for extent in extents) if extents else "a number"

    @property
    def name(self) -> str:
        return f"{self.prefix}_{self.part.name}"

    def prototype(self, restricted: bool) -> str:
        given = [text.replace("*", "*restrict ") if restricted else text for text, _ in self.parameters()]
        lines, line = [], f"int {self.name}("
        for place, text in enumerate(given or ["void"]):
            text += "," if place + 1 < len(given) else ")"
            if len(line) + len(text) > 110:
                lines.append(line.rstrip())
                line = "    "
            line += f"{text} "
        return "\n".join([*lines, line.rstrip()])

    def declaration(self) -> str:
        """The header's lines."""
        rows = [f" * {text.rpartition(' ')[2].lstrip('*')}: {what}" for text, what in self.parameters()]
        return "\n".join([f"/* {self.part.doc}", " *", *(_plain(row) for row in rows), " */", f"{self.prototype(False)};"])

    def definition(self) -> str:
        lines = [*self.checks(), *self.room(), *function_body("\n".join(self.loops()), self.arrays())]
        lines += [f"free({block});" for block, _, _ in self.blocks()] + [f"return {self.code('OK')};"]
        names = [text.rpartition(" ")[2].lstrip("*") for text, _ in self.parameters()]
        unused = [f"(void){name};" for name in names if not any(re.search(rf"\b{name}\b", line) for line in lines)]
        return "\n".join([self.prototype(True), "{", *map(indent, [*unused, *lines]), "}"])

    def loops(self) -> list[str]:
        return loops(self.schedule, self.dtype, self.cells)

    def code(self, word: str) -> str:
        return f"{self.prefix.upper()}_{word}"

    def arrays(self) -> Arrays:
        """What the loops use."""
        tensors = self.schedule.program.tensors
        held = [*self.schedule.arguments, *self.results, *self.temporaries]
        whole = {n for n in held if self.is_whole(n)}
        numbers = {python_name(n) for n in whole & set(self.schedule.arguments) if not tensors[n].axes}
        extents = {python_name(n): self.extents(n) for n in held if tensors[n].axes}
        cells = frozenset(map(python_name, self.cells))
        return Arrays(extents, frozenset(map(python_name, whole)), self.sizes | numbers, self.real, cells)

    def checks(self) -> Iterator[str]:
        """What the sizes and whole numbers must be, before anything is computed."""
        schedule, tensors = self.schedule, self.schedule.program.tensors
        given = dict.fromkeys(self.whole(affine(e)) for n in schedule.arguments for e in tensors[n].extents if not e.is_number)
        too_small = [f"{extent} < 0" for extent in given]
        outside = []
        for line in (
            *size_lines(schedule, Layout.of(schedule.program), self.program),
            *bound_lines(schedule, Layout.of(schedule.program)),
        ):
            call = ast.parse(line, mode="eval").body
            assert isinstance(call, ast.Call)
            found = [self.whole(ast.unparse(arg)) for arg in call.args[1:-1]]
            if len(found) == 2:
                too_small.append(f"{found[0]} < {found[1]}")
            else:
                outside.append(f"({found[0]}) <= ({found[1]}) && (({found[0]}) < 0 || ({found[1]}) >= {found[2]})")
        yield from self.refused(" || ".join(dict.fromkeys(too_small)), "TOO_SMALL")
        yield from (line for test in dict.fromkeys(outside) for line in self.refused(test, "OUTSIDE"))
        for name in schedule.arguments:
            if (values := tensors[name].values) is not None:
                yield from self.in_range(name, *(self.whole(affine(end)) for end in values))

    def refused(self, test: str, word: str) -> list[str]:
        return [f"if ({test}) {{", f"    return {self.code(word)};", "}"] if test else []

    def in_range(self, name: str, low: str, high: str) -> list[str]:
        """Every whole number of an argument is one of its range."""
        own, extents = c_name(python_name(name)), self.extents(name)
        cell = f"{own}[_k]" if extents else own
        test = self.refused(f"{cell} < {low} || {cell} > {high}", "OUTSIDE")
        return [f"for (ptrdiff_t _k = 0; _k < {_cells(extents)}; _k++) {{", *map(indent, test), "}"] if extents else test

    def blocks(self) -> list[tuple[str, str, list[str]]]:
        """(name, type, temporaries) of each piece of memory."""
        pieces = [("work", self.real), ("places", "int64_t")]
        found = [(block, kind, [n for n in self.temporaries if self.kind(n) == kind]) for block, kind in pieces]
        return [piece for piece in found if piece[2]]

    def room(self) -> Iterator[str]:
        """The temporaries, one after another."""
        taken: list[str] = []
        for block, kind, names in self.blocks():
            counts = [_cells(self.extents(name)) for name in names]
            cells = " + ".join(counts)
            wide = " + ".join("*".join(f"(double)({extent})" for extent in self.extents(name)) for name in names)
            freed = [f"    free({other});" for other in taken]
            refused = [*freed, f"    return {self.code('NO_MEMORY')};", "}"]
            yield from [f"if ({wide} >= (double)(PTRDIFF_MAX/sizeof({kind}))) {{", *refused]
            yield f"{kind} *{block} = malloc((size_t)({cells} + 1)*sizeof({kind}));"
            yield from [f"if ({block} == NULL) {{", *refused]
            start = block
            for name, count in zip(names, counts, strict=True):
                own = c_name(python_name(name))
                yield f"{kind} *restrict {own} = {start};"
                start = f"{own} + {count}"
            taken.append(block)


def _cells(extents: Sequence[str]) -> str:
    """The product of extents."""
    return "*".join(extent if extent.isalnum() else f"({extent})" for extent in extents) or "1"


def _split(shape: str) -> list[str]:
    """The extents in the text of a shape."""
    return [ast.unparse(each) for each in ast.parse(f"({shape})", mode="eval").body.elts] if shape else []  # type: ignore[attr-defined]


def files(program: Program, parts: Sequence[Part], dtype: str, name: str) -> dict[str, str]:
    """The text of the C file and of its header, by suffix. Raises SG721 (checkpoint=), SG722 (no name for C)."""
    if any(part.schedule.segments for part in parts):
        raise SymgradError("SG721", "checkpoint= is not for C", hint="compile without checkpoint=")
    if not name.isidentifier() or not name.isascii() or c_name(name) != name or name.startswith("_"):
        raise SymgradError(
            "SG722", f"{name!r} cannot begin the names of C functions", hint="a name of letters, digits and _, such as net.c"
        )
    found = [_Function(program, part, dtype, name) for part in parts]
    return {".c": _source(program, found, dtype, name), ".h": _header(program, found, dtype, name)}


def _about(program: Program, dtype: str) -> str:
    lines = ["", *str(program).split("\n"), "", "Arrays lie row by row. No result may overlap another array, nor an argument."]
    head = f"Value and gradients in {REAL[dtype]} of the model"
    return "\n".join(["/* " + _plain(head), *(f" * {_plain(line)}".rstrip() for line in lines), " */"])


def _plain(text: str) -> str:
    """Text inside of a comment, which it cannot end."""
    return comment(text)[3:-3]


def _header(program: Program, functions: Sequence[_Function], dtype: str, name: str) -> str:
    guard, width = f"{name.upper()}_H", max(len(word) for _, word, _ in CODES) + len(name) + 1
    codes = [f"    {f'{name.upper()}_{word}':{width}} = {code}, /* {what} */" for code, word, what in CODES]
    blocks = [
        _about(program, dtype),
        f"#ifndef {guard}\n#define {guard}\n\n#include <stddef.h>\n#include <stdint.h>",
        '#ifdef __cplusplus\nextern "C" {\n#endif',
        "\n".join(["/* what the functions return */", "enum {", *codes[:-1], codes[-1].replace(",", "", 1), "};"]),
        *(function.declaration() for function in functions),
        "#ifdef __cplusplus\n}\n#endif\n\n#endif",
    ]
    return "\n\n".join(blocks) + "\n"


def _source(program: Program, functions: Sequence[_Function], dtype: str, name: str) -> str:
    bodies = [function.definition() for function in functions]
    used = used_definitions("\n".join("\n".join(function.loops()) for function in functions), HELPERS, HELPERS.__getitem__)
    helpers = [helper(text) for text in used.split("\n\n\n") if text]
    blocks = [
        _about(program, dtype),
        f'#include "{name}.h"\n\n#include <math.h>\n#include <stdlib.h>',
        *support("\n".join([*helpers, *bodies]), REAL[dtype]),
        *helpers,
        *bodies,
    ]
    return "\n\n".join(blocks) + "\n"


# calls from Python


def face(head: str, program: Program, parts: Sequence[Part], dtype: str) -> str:
    """A module that checks arrays as NumPy's does, and calls `_run_…`, which `library` puts there."""
    texts = [text for part in parts for text in _face(program, part, dtype)]
    return "\n\n\n".join([head, numpy.IMPORTS, f"F = np.{dtype}\n_D = np.dtype(F)", CHECKS, *texts]) + "\n"


def _face(program: Program, part: Part, dtype: str) -> list[str]:
    schedule, tensors = part.schedule, part.schedule.program.tensors
    arguments = [python_name(name) for name in schedule.arguments]
    given = [*(python_name(size.name) for size in schedule.counts), *arguments]
    results = list(dict.fromkeys(part.results.values()))
    made = [f"{python_name(n)} = np.zeros(({numpy.shape(schedule, n)}), {numpy.cell_type(schedule, n)})" for n in results]
    plain = {python_name(n): "int" if tensors[n].values is not None else "float" for n in schedule.arguments if not tensors[n].axes}
    call = [f"{plain[n]}({n})" if n in plain else n for n in [*given, *map(python_name, results)]]
    shown = {name: f"np.asarray({python_name(n)}, F)[()]" for name, n in part.results.items()}
    lines = [
        f'"""{part.doc}\n\n{entry.describe_arguments(schedule)}\n"""',
        entry.unpacked(given, f"_checked_{part.name}({', '.join(arguments)})"),
        *made,
        f"_run_{part.name}({', '.join(call)})",
        returned(part.name, shown),
    ]
    head = f"def {part.name}({', '.join(arguments)}):"
    return [entry.texts(program, part, dtype, "numpy")[0], f"_run_{part.name} = None", "\n".join([head, *map(indent, lines)])]


def library(program: Program, parts: Sequence[Part], dtype: str) -> dict[str, Callable[..., None]]:
    """The functions of the compiled C by the names of parts. Raises SG710 where there is no compiler, or it refuses."""
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        hint = "install gcc or clang, or save the source with k.save"
        raise SymgradError("SG710", f"C needs a compiler to be called, and there is no {', '.join(COMPILERS)}", hint=hint)
    with tempfile.TemporaryDirectory(prefix="symgrad-") as folder:
        for suffix, text in files(program, parts, dtype, "net").items():
            Path(folder, f"net{suffix}").write_text(text, encoding="utf-8")
        command = [compiler, "-std=c99", LEVEL, "-fPIC", "-shared", "-o", "net.so", "net.c", "-lm"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SymgradError("SG710", f"{compiler} cannot compile the kernel: {done.stderr.strip().splitlines()[-1:]}")
        loaded = np.ctypeslib.load_library("net.so", folder)
    return {part.name: _callable(loaded[f"net_{part.name}"], part, dtype) for part in parts}


def _callable(function: Any, part: Part, dtype: str) -> Callable[..., None]:
    """A function of the library that takes NumPy's arrays, and raises what its code means."""
    schedule, tensors = part.schedule, part.schedule.program.tensors
    real, whole = (np.ctypeslib.as_ctypes_type(kind) for kind in (dtype, np.int64))

    def array(kind: Any) -> Any:
        return np.ctypeslib.ndpointer(kind, flags="C_CONTIGUOUS")

    kinds: list[Any] = [np.ctypeslib.c_intp] * len(schedule.counts)
    for name in schedule.arguments:
        is_whole = tensors[name].values is not None
        number, cells = (whole, array(np.int64)) if is_whole else (real, array(dtype))
        kinds.append(cells if tensors[name].axes else number)
    kinds += [array(dtype if numpy.cell_type(schedule, n) == "F" else np.int64) for n in dict.fromkeys(part.results.values())]
    function.argtypes = kinds

    def run(*given: Any) -> None:
        if code := function(*given):
            if code == 1:
                raise MemoryError
            raise RuntimeError(CODES[code][2])  # the checks before have let through what C's do not

    return run
