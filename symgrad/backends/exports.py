"""A compiled text → what is saved of it under a path, and the module that calls go to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from symgrad.backends import c
from symgrad.backends.entry import Part
from symgrad.backends.load import load
from symgrad.backends.module import header
from symgrad.core.errors import SymgradError
from symgrad.core.program import Program


def files(program: Program, parts: Sequence[Part], dtype: str, backend: str, source: str, path: Path) -> dict[Path, str]:
    """What is saved under a path: `source`, or C and its header, whose names begin with the file's. Raises SG723, SG724."""
    if backend != "c":
        return {path: source}
    if path.suffix != ".c":
        raise SymgradError(
            "SG724", f"{path.name} is no name of a file of C", hint=f"call it {path.stem}.c; {path.stem}.h stands beside it"
        )
    return {path.with_suffix(suffix): text for suffix, text in c.files(program, parts, dtype, path.stem).items()}


def loaded(program: Program, parts: Sequence[Part], dtype: str, backend: str, source: str) -> ModuleType:
    """The module that calls go to: of a text of Python itself, of C one that checks arrays and calls the compiled library."""
    if backend != "c":
        return load(source)
    found = c.library(program, parts, dtype)
    module = load(c.face(header(program, "C", dtype), program, parts, dtype))
    vars(module).update({f"_run_{name}": function for name, function in found.items()})
    return module
