"""A schedule → the text of its entry point: arrays by name are checked, the kernel is called, what it found is named.

    _checked_value_and_grad(x, A)   sizes and arrays that fit, or a DataError
    value_and_grad(x, A)            checks, outputs and temporaries, the call, the results by name
    _bound_value_and_grad(x, A)     all that a call takes, made once, for calls without checks (numba alone)

Compiled code is called by its entry point, which numba's dispatcher would look up from the types of all arguments, a third of
the time of a small kernel's call. Small temporaries wait in `_KEPT` for the next call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from symgrad.backends import numba, numpy, threads
from symgrad.backends.checks import check_lines, segment_lines
from symgrad.backends.pycode import affine, indent, python_name
from symgrad.core.program import Program
from symgrad.core.source import written_name
from symgrad.schedule.kernels import Schedule

KEEP = 8192  # cells of temporaries that are kept between calls; making larger ones costs little beside their work
LARGE = 2**24  # cells, from which on a known shape may be more than there is memory

COMPILED = '''
def _compiled(kernel, arguments):
    """The kernel's machine code for arguments of these types: it looks at no type itself, so that only such may reach it."""
    if not hasattr(kernel, "compile"):  # NUMBA_DISABLE_JIT: it runs as Python
        return kernel
    from numba import typeof, types

    given = [typeof(each) for each in arguments]
    return kernel.compile(tuple(types.Array(t.dtype, t.ndim, "C") if isinstance(t, types.Array) else t for t in given))
'''

CACHED = '''
def _cached():
    """Compiled code can be kept for the next process, beside this file or in the user's folder; else numba refuses."""
    try:
        njit(cache=True)(_cached)
    except RuntimeError:
        return False
    return True


_CACHED = _cached()
'''

KEPT = """
# temporaries of the last call while they are small, by kernel; a call takes them out, so that no other has the same
_KEPT = {}
"""


@dataclass(frozen=True)
class Part:
    """One entry point: its schedule, and which of its outputs are shown under which name."""

    name: str
    schedule: Schedule
    results: dict[str, str]
    doc: str


def array_buffers(schedule: Schedule) -> list[str]:
    """Outputs and temporaries that are arrays and not written over an argument."""
    program = schedule.program
    names, cells = [*schedule.outputs, *schedule.temporaries], threads.cells(schedule)
    return [n for n in names if (program.tensors[n].axes or n in cells) and n not in schedule.aliases]


def scalar_results(part: Part) -> list[str]:
    return [name for name in part.results.values() if not part.schedule.program.tensors[name].axes]


def support(used: str) -> str:
    """What the text of entry points uses."""
    known = {"=_CACHED": CACHED, "_KEPT": KEPT, "_compiled(": COMPILED, "_in_chunks(": threads.SUPPORT}
    return "\n\n\n".join(text.strip("\n") for word, text in known.items() if word in used)


def texts(program: Program, part: Part, dtype: str, backend: str, more: Sequence[str] = (), typed: bool = False) -> list[str]:
    """The functions around a kernel; `more` are arguments of it that stand last. `typed`: with annotations, for people."""
    entry = _Entry(program, part, dtype, tuple(more), typed)
    if backend == "numpy":
        return [entry.checked(), *entry.shapes(), entry.arrays()]
    if backend == "native":
        return [entry.checked(), *entry.rows(), *entry.shapes(), *entry.chunked(), entry.compiled()]
    bound = [] if part.name == "forward" else [entry.bound()]
    return [entry.checked(), *entry.rows(), *entry.shapes(), entry.first_call(), *entry.chunked(), entry.compiled(), *bound]


@dataclass(frozen=True)
class _Entry:
    program: Program
    part: Part
    dtype: str
    more: tuple[str, ...]
    typed: bool = False

    @property
    def schedule(self) -> Schedule:
        return self.part.schedule

    @cached_property
    def arguments(self) -> list[str]:
        return [python_name(name) for name in self.schedule.arguments]

    @cached_property
    def sizes(self) -> list[str]:
        return [python_name(size.name) for size in self.schedule.counts]

    @cached_property
    def buffers(self) -> list[str]:
        return array_buffers(self.schedule)

    @cached_property
    def temporaries(self) -> list[str]:
        cells = threads.cells(self.schedule)  # their numbers are returned, not they
        return [name for name in self.buffers if name not in self.schedule.outputs or name in cells]

    @cached_property
    def scalars(self) -> list[str]:
        return [python_name(name) for name in scalar_results(self.part)]

    @property
    def given(self) -> list[str]:
        return [*self.sizes, *self.arguments]

    def checked(self) -> str:
        """The function that checks."""
        lines = [*check_lines(self.schedule.whole or self.schedule, self.program), *segment_lines(self.schedule.segments)]
        doc = f'"""Sizes and arrays that fit, for `{self.part.name}`."""'
        return self.function(f"_checked_{self.part.name}", [doc, *lines, f"return {as_tuple(self.given)}"])

    def check(self) -> list[str]:
        call = f"_checked_{self.part.name}({', '.join(self.arguments)})"
        return [unpacked(self.given, call), *self.block_lines]

    @cached_property
    def block_lines(self) -> list[str]:
        if not self.schedule.blocks:
            return []
        blocks = as_tuple(threads.block_names(self.schedule))
        return [f"_rows = _, {blocks}, _ = _rows_{self.part.name}({', '.join(self.sizes)})"]

    def rows(self) -> list[str]:
        """The function that cuts rows into blocks and chunks."""
        if not self.schedule.blocks:
            return []
        doc = '"""Whether no rows need chunks; the rows of a block; all rows and those of a chunk."""'
        lines = threads.rows_lines(self.schedule, [numba.block_line(blocks, self.dtype) for blocks in self.schedule.blocks])
        return [f"def _rows_{self.part.name}({', '.join(self.sizes)}):\n{indent(chr(10).join([doc, *lines]))}"]

    def chunked(self) -> list[str]:
        """The function that stands for a kernel of rows."""
        if not self.schedule.blocks:
            return []
        name, given = self.part.name, [*self.sizes, *self.arguments, *map(python_name, self.buffers)]
        places = threads.places(self.schedule, given)
        inner = "(*given[:-1], _ALONE)" if self.more else "given"
        lines = [
            f"def _chunked_{name}(threads, rows, *given):",
            f'    """`_{name}`, many rows in chunks; where in `given` are what a chunk has its own of, sums and temporaries."""',
            "    whole, blocks, chunks = rows",
            "    if whole:",
            f"        return _run_{name}(-1, 0, _ALL, *blocks, *given)",
            f"    return _in_chunks(_run_{name}, threads, blocks, chunks, given, {inner}, ({places}))",
        ]
        return ["\n".join(lines)]

    def public(self, lines: list[str], more: str = "", real: bool = False) -> str:
        """The entry point itself; `real`: places, of an argmax, are returned as numbers of the kernel's type too."""
        if not self.typed:
            return self.function(self.part.name, lines, more)
        kinds = {name: annotation(self.schedule, name, self.dtype) for name in self.schedule.arguments}
        given = [*(f"{python_name(name)}: {kind}" for name, kind in kinds.items()), *([more] if more else [])]
        return f"def {self.part.name}({', '.join(given)}) -> {self.returns(real)}:\n{indent(chr(10).join(lines))}"

    def returns(self, real: bool) -> str:
        kinds = [result_type(self.schedule, name, self.dtype, real) for name in self.part.results.values()]
        if self.part.name == "forward":
            return named_arrays(kinds)
        return f"tuple[{kinds[0]}, {named_arrays(kinds[1:])}]"

    def function(self, name: str, lines: list[str], more: str = "") -> str:
        return f"def {name}({', '.join([*self.arguments, *([more] if more else [])])}):\n{indent(chr(10).join(lines))}"

    @property
    def keyword(self) -> str:
        return ("*, _threads=None" if self.arguments else "_threads=None") if self.schedule.blocks else ""

    @property
    def threads(self) -> str:
        return self.keyword.replace("_threads=None", "_threads: int | None = None") if self.typed else self.keyword

    @property
    def doc(self) -> str:
        return f'"""{self.part.doc}\n\n{describe_arguments(self.schedule)}\n"""'

    def arrays(self) -> str:
        """The entry point of a kernel that works on whole arrays and returns all that it found."""
        results = {shown: python_name(name) for shown, name in self.part.results.items()}
        call = [unpacked(list(results.values()), f"_{self.part.name}({', '.join(self.given)})")]
        lines = [*self.check(), *self.with_room(call, "MemoryError")]
        return self.public([self.doc, *lines, self.results({n: f"np.asarray({v}, F)[()]" for n, v in results.items()})], real=True)

    def first_call(self) -> str:
        run = f"_run_{self.part.name}"
        lines = [
            f"def {run}(*arguments):",
            f'    """Compiles `_{self.part.name}`, once; the name then stands for the machine code."""',
            f"    global {run}",
            f"    {run} = _compiled(_{self.part.name}, arguments)",
            f"    return {run}(*arguments)",
        ]
        return "\n".join(lines)

    def compiled(self) -> str:
        """The entry point of a compiled kernel."""
        outputs = [name for name in self.buffers if name not in self.temporaries]
        made = [*map(self.made, outputs), *self.take()]
        call = [unpacked(self.scalars, f"_run_{self.part.name}({self.call})")]
        if self.schedule.blocks:  # chunks make arrays too
            given = f"_chunked_{self.part.name}(_threads, _rows, {self.call})"
            call = self.with_room([unpacked(self.scalars, given)], "MemoryError")
        lines = [
            *self.check(),
            *self.with_room(made, "(MemoryError, ValueError)"),
            *call,
            *self.keep(),
        ]
        axes = self.schedule.program.tensors
        shown = {
            shown: python_name(name) if axes[name].axes else f"F({python_name(name)})" for shown, name in self.part.results.items()
        }
        return self.public([self.doc, *lines, self.results(shown)], self.threads)

    def bound(self) -> str:
        """The function that makes all that a call takes, and says where the results are: arrays, or places in what is returned."""
        lines = self.with_room(list(map(self.made, self.buffers)), "(MemoryError, ValueError)")
        where = [
            f'"{shown}": {self.scalars.index(python_name(name)) if python_name(name) in self.scalars else python_name(name)}'
            for shown, name in self.part.results.items()
        ]
        doc = '"""All that the kernel takes: sizes, arguments, the rest; and its results, arrays or places in what it returns."""'
        first = ["_threads", "_rows"] if self.schedule.blocks else []
        groups = ([*first, *self.sizes], self.arguments, [*map(python_name, self.buffers), *self.more])
        out = f"return {', '.join(map(as_tuple, groups))}, {{{', '.join(where)}}}"
        return self.function(f"_bound_{self.part.name}", [doc, *self.check(), *lines, out], self.keyword)

    @property
    def call(self) -> str:
        return ", ".join([*self.sizes, *self.arguments, *map(python_name, self.buffers), *self.more])

    def made(self, name: str) -> str:
        return f"{python_name(name)} = {self.empty(name)}"

    def empty(self, name: str) -> str:
        kind = numpy.cell_type(self.schedule, name)
        return f"_empty(({numpy.shape(self.schedule, name)}), {'_D' if kind == 'F' else kind})"

    def cells(self, names: Sequence[str]) -> sp.Expr:
        return sp.Add(*(sp.Mul(*self.schedule.program.tensors[name].extents) for name in names))

    def may_be_large(self, name: str) -> bool:
        cells = self.cells([name])
        return bool(cells.free_symbols) or bool(cells > LARGE)

    @cached_property
    def guarded(self) -> bool:
        """Some array may be more than there is memory."""
        return any(map(self.may_be_large, self.buffers))

    def shapes(self) -> list[str]:
        """The function that tells the arrays of a call, for the error where they cannot be made."""
        if not self.guarded:
            return []
        rows = "".join(
            f'\n        "{self.label(name)}": ({numpy.shape(self.schedule, name)}),'
            for name in self.buffers
            if name not in threads.cells(self.schedule)
        )
        head = f"def _shapes_{self.part.name}({', '.join(self.sizes)}):"
        before = "".join(f"    {line}\n" for line in self.block_lines)
        return [f'{head}\n    """The arrays that a call makes."""\n{before}    return {{{rows}\n    }}']

    def with_room(self, lines: list[str], errors: str) -> list[str]:
        """Lines that make arrays, or an error that names the largest."""
        if not self.guarded:
            return lines
        shapes = f"_shapes_{self.part.name}({', '.join(self.sizes)})"
        return ["try:", *indent("\n".join(lines)).split("\n"), f"except {errors}:", f"    raise _no_room({shapes}) from None"]

    def label(self, name: str) -> str:
        """How an error names a quantity that the kernel makes."""
        shown = next((shown for shown, result in self.part.results.items() if result == name), name)
        return written_name(name) if shown == name else f"the gradient by {written_name(shown)}"

    # temporaries

    def take(self) -> Iterator[str]:
        """Temporaries, those of the last call if they were kept; of other sizes they are of no use."""
        if not self.temporaries:
            return
        made = as_tuple([*map(self.empty, self.temporaries)])
        cells = self.cells(self.temporaries)
        if cells.free_symbols:
            yield f'_sizes, _work = _KEPT.pop("{self.part.name}", (None, None))'
            yield f"if _sizes != {as_tuple(self.sizes)}:"
            yield f"    _work = {made}"
        elif cells <= KEEP:
            yield f'_work = _KEPT.pop("{self.part.name}", None) or {made}'
        else:
            yield f"_work = {made}"
        yield unpacked([*map(python_name, self.temporaries)], "_work")

    def keep(self) -> Iterator[str]:
        cells = self.cells(self.temporaries)
        if cells.free_symbols:
            yield f"if {affine(cells)} <= {KEEP}:"
            yield f'    _KEPT["{self.part.name}"] = {as_tuple(self.sizes)}, _work'
        elif self.temporaries and cells <= KEEP:
            yield f'_KEPT["{self.part.name}"] = _work'

    def results(self, shown: dict[str, str]) -> str:
        return returned(self.part.name, shown)


def returned(part: str, shown: Mapping[str, str]) -> str:
    """What an entry point returns: values by name, or the loss and gradients by name."""
    items = [f'"{name}": {value}' for name, value in shown.items()]
    if part == "forward":
        return f"return {{{', '.join(items)}}}"
    return f"return {next(iter(shown.values()))}, {{{', '.join(items[1:])}}}"


def cell(schedule: Schedule, name: str, dtype: str) -> str:
    """NumPy's type of a quantity's numbers: what is given counts as whole numbers where it has a range of them."""
    return "np.int64" if numpy.cell_type(schedule, name) == "np.int64" else f"np.{dtype}"


def annotation(schedule: Schedule, name: str, dtype: str) -> str:
    """What an argument is."""
    kind = cell(schedule, name, dtype)
    plain = "int" if kind == "np.int64" else "float"
    return f"NDArray[{kind}]" if schedule.program.tensors[name].axes else plain


def result_type(schedule: Schedule, name: str, dtype: str, real: bool = False) -> str:
    """What a result is; `real` as in `_Entry.public`."""
    kind = f"np.{dtype}" if real else cell(schedule, name, dtype)
    return f"NDArray[{kind}]" if schedule.program.tensors[name].axes else f"np.{dtype}"


def named_arrays(kinds: Sequence[str]) -> str:
    return f"dict[str, {' | '.join(dict.fromkeys(kinds)) or 'NDArray'}]"


def as_tuple(items: Sequence[str]) -> str:
    return f"({', '.join(items)}{',' * (len(items) == 1)})"


def unpacked(items: Sequence[str], value: str) -> str:
    """What a tuple is unpacked to, which may be nothing."""
    return f"{', '.join(items)}{',' * (len(items) == 1)} = {value}" if items else value


def describe_arguments(schedule: Schedule) -> str:
    rows = []
    for name in schedule.arguments:
        tensor = schedule.program.tensors[name]
        axes = ", ".join(f"{axis.symbol} = {affine(axis.lo)}..{affine(axis.hi)}" for axis in tensor.axes)
        rows.append(f"{python_name(name)}: {f'array over [{axes}]' if axes else 'number'}")
    return "\n".join(rows)
