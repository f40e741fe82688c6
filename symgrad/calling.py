"""What stands between a caller and an emitted module where a call does not go through: its errors as refusals, and names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any

from symgrad.core.errors import SymgradError, did_you_mean


def refusal(module: ModuleType, error: Exception) -> Exception:
    """An error of a module's as symgrad's own; others stay as they are."""
    if isinstance(error, module.DataError):
        return SymgradError(error.code, error.message, hint=error.hint)
    if isinstance(error, MemoryError):
        message = f"there is not enough memory{f': {error}' if str(error) else ''}"
        return SymgradError("SG508", message, hint="pass smaller arrays, or fewer examples at a time")
    return error


def check_names(wanted: Sequence[str], arrays: Mapping[str, Any]) -> None:
    """Raises SG601 for an array that nothing uses, or that is missing."""
    for name in arrays:
        if name not in wanted:
            needs = f"the kernel needs {', '.join(wanted)}"
            raise SymgradError("SG601", f"the model does not use an array named {name}", hint=did_you_mean(name, wanted) or needs)
    for name in missing(wanted, arrays):
        from symgrad.core.source import written_name

        raise SymgradError("SG601", f"no array is given for {written_name(name)}", hint=f"pass {name}=…")


def missing(wanted: Iterable[str], given: Iterable[str]) -> list[str]:
    """
    >>> missing(["x", "w"], {"w": 1.0})
    ['x']
    """
    there = set(given)
    return [name for name in wanted if name not in there]


def check_threads(threads: Any) -> None:
    """Raises SG207 for what is no number of threads."""
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
        raise SymgradError("SG207", f"there is no number of threads {threads!r}", hint="give a whole number of 1 or more")


def thread_option(function: Any, threads: int | None) -> dict[str, int]:
    """What an entry point is given that shares rows among threads."""
    return {"_threads": threads} if threads is not None and "_threads" in function.__code__.co_varnames else {}
