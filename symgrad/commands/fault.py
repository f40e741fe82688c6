"""A fault of symgrad → a report for its authors: versions, the command, where it happened.

>>> print(report(ZeroDivisionError("division by zero"), ["derive", "J = x^2"]).splitlines()[0])
symgrad: internal error, ZeroDivisionError: division by zero

The report is a new file in the folder for temporary files, so that it overwrites nothing; it holds the command line, thus equations
that stand on it, and no data.
"""

from __future__ import annotations

import os
import platform
import shlex
import sys
import tempfile
import traceback
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

LIBRARIES = ("symgrad", "sympy", "numpy", "numba")


def report(error: BaseException, argv: Sequence[str]) -> str:
    lines = [
        f"symgrad: internal error, {type(error).__name__}: {error}",
        "",
        *(f"{name} {_version(name)}" for name in LIBRARIES),
        f"Python {sys.version}",
        f"platform {platform.platform()}",
        f"command: symgrad {shlex.join(argv)}",
        "",
    ]
    return "\n".join(lines) + "\n" + "".join(traceback.format_exception(error))


def write(text: str) -> str | None:
    """The path of a new file that only its owner reads, or None where none can be written."""
    try:
        handle, path = tempfile.mkstemp(prefix="symgrad-fault-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError:
        return None
    return path


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
