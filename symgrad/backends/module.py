"""Schedules → the text of a module that stands alone: checked, documented entry points around the kernels.

    value_and_grad(**arrays) -> (loss, {name: gradient})        forward(**arrays) -> {name: value}

The module needs numpy (and numba for that backend) and nothing else. Arrays are checked before a
kernel runs: rank, type, and every axis against the equation that uses it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType

from symgrad.backends import blas, entry, native, numba, numpy, threads
from symgrad.backends.checks import CHECKS
from symgrad.backends.entry import Part, array_buffers, scalar_results
from symgrad.backends.pycode import indent, python_name
from symgrad.core.program import Program
from symgrad.schedule.blocks import blocked
from symgrad.schedule.turned import turned

BACKENDS = ("numba", "numpy", "jax", "torch", "c")


def module_text(program: Program, parts: Sequence[Part], dtype: str, backend: str, extra: str = "", doc: str = "") -> str:
    """The whole module. `extra` is further text that uses the kernels, such as a training loop.

    doc: the docstring of a module that is saved for people, whose functions then have annotations.
    """
    if backend in ("jax", "torch", "c"):
        return _exported(program, parts, dtype, backend)
    if backend == "numba":
        parts = [replace(part, schedule=blocked(turned(part.schedule))) for part in parts]
    functions = [text for part in parts for text in part_texts(program, part, dtype, backend, bool(doc))]
    own = numba if backend == "numba" else numpy
    used = "\n".join([*functions, extra])
    definitions = own.helpers(used, dtype)
    blocks = [
        doc or header(program, backend, dtype),
        typing_imports(own.imports(used + definitions), extra) if doc else own.imports(used + definitions),
        definitions,
        CHECKS,
        entry.support(used),
        blas.support(used, dtype),
        *functions,
        extra,
    ]
    return "\n\n\n".join(block.strip("\n") for block in blocks if block) + "\n"


def _exported(program: Program, parts: Sequence[Part], dtype: str, backend: str) -> str:
    """What is for others to run; its backends are imported by those who ask for them."""
    if backend == "c":
        from symgrad.backends import c

        return c.files(program, parts, dtype, "net")[".c"]
    from symgrad.backends import jax, pure, torch

    library = jax.LIBRARY if backend == "jax" else torch.LIBRARY
    return pure.module_text(library, header(program, backend, dtype), program, parts, dtype)


def native_module(
    program: Program, parts: Sequence[Part], dtype: str, compiled: ModuleType, library: str, extra: str, doc: str
) -> tuple[str, bytes]:
    """The text of a module that calls a shared library of that name beside it, and the library; `compiled` is numba's module.

    Raises SG710 where no compiler links it.
    """
    parts = [replace(part, schedule=blocked(turned(part.schedule))) for part in parts]
    found, level = native.built(compiled, parts, dtype)
    functions: list[str] = []
    for part in parts:
        more = [name for name in ("_BLAS",) if "_blas" in getattr(compiled, f"_{part.name}").__code__.co_varnames]
        functions += [native.face(part, bool(more)), *entry.texts(program, part, dtype, "native", more, typed=True)]
    functions.append(extra)
    used = "\n".join(functions)
    blocks = [
        doc,
        typing_imports(
            numba.standard_imports(used, (*native.STANDARD, *(blas.STANDARD if "_BLAS" in used else ()))) + numpy.IMPORTS
        ),
        f"F = np.{dtype}\n_D = np.dtype(F)",
        CHECKS,
        entry.support(used),
        native.support(library, found, level, used, dtype),
        *functions,
    ]
    return "\n\n\n".join(block.strip("\n") for block in blocks if block) + "\n", found


def part_texts(program: Program, part: Part, dtype: str, backend: str, typed: bool = False) -> list[str]:
    """The kernel, and its checked entry point."""
    kernel = kernel_text(part, dtype, backend)
    return [kernel, *entry.texts(program, part, dtype, backend, blas.given(kernel), typed)]


def typing_imports(imports: str, text: str = "") -> str:
    """The imports of a module whose functions have annotations, which Python does not evaluate."""
    mapping = "from collections.abc import Mapping\n" if "Mapping[" in text else ""
    kinds = ["ArrayLike"] if "ArrayLike" in text else []
    return f"from __future__ import annotations\n\n{mapping}{imports}\nfrom numpy.typing import {', '.join([*kinds, 'NDArray'])}"


def header(program: Program, target: str, dtype: str) -> str:
    equations = textwrap.indent(str(program), "    ")
    return f'"""Kernels for {target}, {dtype}, of the model\n\n{equations}\n"""'.replace("\\", "/")


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
    decorator = numba.KERNEL.replace("cache=True", "cache=_CACHED")
    return f"{before}{decorator}\ndef _{part.name}({given}):\n{indent(body)}\n{out}"
