"""Files and folders of answers → a table and a report, as text or JSON: `symgrad check MODEL ANSWERS …`.

One file is one submission. A folder is all its .txt, .sg, .md and .tex files, by name. A submission that cannot be read is
reported and the others are checked all the same.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symgrad.answers.report import Check
from symgrad.core.errors import SymgradError
from symgrad.frontend.files import decode, read_text
from symgrad.frontend.syntax import LIMITS

SUFFIXES = (".txt", ".sg", ".md", ".tex")
Checker = Callable[[str, str], list[Check]]


@dataclass(frozen=True)
class Submission:
    """The results of one file, or why it cannot be read."""

    name: str
    checks: tuple[Check, ...] = ()
    error: SymgradError | None = None

    @property
    def wrong(self) -> int:
        return sum(not check for check in self.checks)


def submissions(given: Sequence[str], check: Checker) -> tuple[Submission, ...]:
    """The results for each file; SG704 where there is none."""
    return tuple(_submission(name, text, check) for item in given for name, text in _texts(item))


def _submission(name: str, text: str | SymgradError, check: Checker) -> Submission:
    try:
        if isinstance(text, SymgradError):
            raise text
        return Submission(name, tuple(check(text, name)))
    except SymgradError as error:
        return Submission(name, error=error)


def _texts(given: str) -> Iterator[tuple[str, str | SymgradError]]:
    """(name, text) of a file, of all files in a folder, of standard input, of a claim itself."""
    if given == "-":
        yield "<stdin>", decode(sys.stdin.buffer.read(4 * LIMITS["characters"] + 1), "<stdin>")
    elif os.path.isdir(given):
        paths = sorted(p for p in Path(given).iterdir() if p.suffix.lower() in SUFFIXES)
        if not paths:
            raise SymgradError("SG704", f"the folder {given} holds no answers", hint=f"files end with {', '.join(SUFFIXES)}")
        for path in paths:
            yield str(path), _file(path)
    elif "=" in given and not os.path.exists(given):
        yield "<claims>", given
    else:
        yield given, _file(Path(given))


def _file(path: Path) -> str | SymgradError:
    try:
        return read_text(path)
    except SymgradError as error:
        return error


def status(found: Sequence[Submission]) -> int:
    """2 if a submission cannot be read, else 1 if a claim is wrong, else 0."""
    return 2 if any(s.error for s in found) else 1 if any(s.wrong for s in found) else 0


def as_json(found: Sequence[Submission]) -> str:
    out: list[dict[str, Any]] = []
    for s in found:
        error = None
        if s.error:
            error = {
                "code": s.error.code,
                "message": s.error.message,
                "line": s.error.line,
                "column": s.error.column,
                "hint": s.error.hint,
            }
        out.append({"file": s.name, "error": error, "claims": [check.json() for check in s.checks]})
    return json.dumps(out, indent=2, ensure_ascii=False)


def as_text(found: Sequence[Submission], quiet: bool = False) -> str:
    """What is wrong in each file, and for several files a table first."""
    blocks = [_table(found)] if len(found) > 1 else []
    for s in found:
        shown = [str(check) for check in s.checks if not (quiet and check)]
        if s.error is not None:
            shown = [str(s.error)]
        if shown:
            blocks.append("\n".join([*([f"{s.name}:"] if len(found) > 1 else []), *shown]))
    return "\n\n".join(blocks)


def _table(found: Sequence[Submission]) -> str:
    width = max(len("answers"), *(len(s.name) for s in found))
    lines = [f"{'answers':{width}}  claims  right  wrong  slips"]
    for s in found:
        slips = ", ".join(dict.fromkeys(check.slip for check in s.checks if check.slip))
        if s.error is not None:
            slips = f"cannot be read: {s.error.code}"
        right = len(s.checks) - s.wrong
        lines.append(f"{s.name:{width}}  {len(s.checks):6}  {right:5}  {s.wrong:5}  {slips}".rstrip())
    return "\n".join(lines)
