"""A compiled text → what is saved of it under a path, and the module that calls go to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from symgrad.backends.entry import Part
from symgrad.backends.load import load
from symgrad.backends.module import header
from symgrad.core.errors import SymgradError
from symgrad.core.program import Program

EXPORTED = ("jax", "torch", "c")  # backends whose kernels are for others to run


def files(program: Program, parts: Sequence[Part], dtype: str, backend: str, source: str, path: Path) -> dict[Path, str]:
    """What is saved under a path: `source`, or C and its header, whose names begin with the file's. Raises SG722, SG723."""
    if backend == "c" and path.suffix != ".c":
        hint = f"call it {path.stem}.c; {path.stem}.h is written beside it"
        raise SymgradError("SG723", f"{path.name} is no name of a file of C", hint=hint)
    if backend != "c" and path.suffix in (".c", ".h"):
        hint = f'call it {path.stem}.py, or compile with backend="c"'
        raise SymgradError("SG723", f"{path.name} is a name of C, and a kernel for {backend} is a module of Python", hint=hint)
    if backend != "c":
        return {path: source}
    from symgrad.backends import c

    return {path.with_suffix(suffix): text for suffix, text in c.files(program, parts, dtype, path.stem).items()}


def loaded(program: Program, parts: Sequence[Part], dtype: str, backend: str, source: str) -> ModuleType:
    """The module that calls go to: of a text of Python itself, of C one that checks arrays and calls the compiled library.

    Raises SG611 (JAX or PyTorch is not installed), SG710 (C cannot be compiled).
    """
    if backend == "c":
        from symgrad.backends import c

        found = c.library(program, parts, dtype)
        module = load(c.face(header(program, "C", dtype), program, parts, dtype))
        vars(module).update({f"_run_{name}": function for name, function in found.items()})
        return module
    try:
        return load(source)
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        if missing != backend:
            raise
        raise SymgradError("SG611", f"a kernel for {backend} needs {backend}", hint=f"pip install {backend}") from None


def check_own(backend: str, what: str) -> None:
    """Raises SG724 for what kernels that symgrad runs itself do alone."""
    if backend in EXPORTED:
        hint = 'compile with backend="numba"; an export is trained by what its library has'
        raise SymgradError("SG724", f"a kernel for {backend} cannot be {what}", hint=hint)
