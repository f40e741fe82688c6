"""Schedules → the text of a module that stands alone: checked, documented entry points around the kernels.

    value_and_grad(**arrays) -> (loss, {name: gradient})        forward(**arrays) -> {name: value}

The module needs numpy (and numba for that backend) and nothing else. Arrays are checked before a
kernel runs: rank, type, and every axis against the equation that uses it.
"""

from __future__ import annotations

import textwrap
from dataclasses import replace

from symgrad.backends import blas, entry, numba, numpy, threads
from symgrad.backends.checks import CHECKS
from symgrad.backends.entry import Part, array_buffers, scalar_results
from symgrad.backends.pycode import indent, python_name
from symgrad.core.program import Program
from symgrad.schedule.blocks import blocked

BACKENDS = ("numba", "numpy")


def module_text(program: Program, parts: list[Part], dtype: str, backend: str, extra: str = "") -> str:
    """The whole module. `extra` is further text that uses the kernels, such as a training loop."""
    if backend == "numba":
        parts = [replace(part, schedule=blocked(part.schedule)) for part in parts]
    functions = [text for part in parts for text in part_texts(program, part, dtype, backend)]
    own = numba if backend == "numba" else numpy
    used = "\n".join([*functions, extra])
    definitions = own.helpers(used, dtype)
    blocks = [
        header(program, dtype, backend),
        own.imports(used + definitions),
        definitions,
        CHECKS,
        entry.support(used),
        blas.support(used, dtype),
        *functions,
        extra,
    ]
    return "\n\n\n".join(block.strip("\n") for block in blocks if block) + "\n"


def part_texts(program: Program, part: Part, dtype: str, backend: str) -> list[str]:
    """The kernel, and its checked entry point."""
    kernel = kernel_text(part, dtype, backend)
    return [kernel, *entry.texts(program, part, dtype, backend, blas.given(kernel))]


def header(program: Program, dtype: str, backend: str) -> str:
    equations = textwrap.indent(str(program), "    ")
    return f'"""Kernels for {backend}, {dtype}, of the model\n\n{equations}\n"""'.replace("\\", "/")


def kernel_text(part: Part, dtype: str, backend: str) -> str:
    schedule = part.schedule
    sizes = [python_name(size.name) for size in schedule.counts]
    arguments = [python_name(name) for name in schedule.arguments]
    if backend == "numpy":
        body = numpy.body(schedule, dtype)
        out = ", ".join(python_name(name) for name in part.results.values())
        text = f"{numpy.QUIET}\ndef _{part.name}({', '.join([*sizes, *arguments])}):\n{indent(body)}\n    return ({out},)"
        return text
    buffers = [python_name(name) for name in array_buffers(schedule)]
    scalars = scalar_results(part)
    tables: list[str] = []
    cells = threads.cells(schedule)
    body = numba.body(schedule, dtype, cells, tables=tables)
    found = [f"{python_name(name)}[()]" if name in cells else python_name(name) for name in scalars]
    out = f"    return ({', '.join(found)},)" if scalars else "    return ()"
    before = "".join(f"{table}\n\n\n" for table in tables)
    first = [*threads.HEAD, *threads.block_names(schedule)] if schedule.blocks else []
    given = ", ".join([*first, *sizes, *arguments, *buffers, *blas.takes(body)])
    # a saved module may lie where nothing can be written
    decorator = numba.DECORATOR.replace("cache=True", "cache=_CACHED")
    return f"{before}{decorator}\ndef _{part.name}({given}):\n{indent(body)}\n{out}"
