"""Every refusal of symgrad: a stable code, a place in the source, both facts and one hint.

>>> source = Source("a = b +")
>>> print(SymgradError("SG104", "an operand is missing", source.span(7, 7)))
SG104 <text>:1:8: an operand is missing
    a = b +
           ^
hint: write a number, a name or a bracket there

Families: SG1xx syntax, SG2xx names, SG3xx indices and shapes, SG4xx graph,
SG5xx size, SG6xx data at the call, SG7xx files. `core/catalogue.py` tells what each code means; its fix is the hint of an
error that has none of its own.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from symgrad.core.catalogue import CATALOGUE

__all__ = ["Source", "Span", "SymgradError", "SymgradWarning", "did_you_mean"]


@dataclass(frozen=True)
class Source:
    """A text given by the user, with the name it is shown under."""

    text: str
    name: str = "<text>"

    def span(self, start: int, end: int) -> Span:
        return Span(self, start, end)


class Span(NamedTuple):
    """A half-open range of characters of a source."""

    source: Source
    start: int
    end: int

    @property
    def line(self) -> int:
        return self.source.text.count("\n", 0, self.start) + 1

    @property
    def column(self) -> int:
        return self.start - (self.source.text.rfind("\n", 0, self.start) + 1) + 1

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    @property
    def end_column(self) -> int:
        """The column behind the last character that stands on the first line of the range; at least one is pointed at."""
        stop = self.source.text.find("\n", self.start)
        last = min(self.end, stop if stop >= 0 else len(self.source.text))
        return self.column + max(1, last - self.start)

    @property
    def source_line(self) -> str:
        """The whole line that the range starts on."""
        first = self.source.text.rfind("\n", 0, self.start) + 1
        last = self.source.text.find("\n", first)
        return self.source.text[first : last if last >= 0 else None]

    def to(self, other: Span) -> Span:
        return Span(self.source, self.start, other.end)

    def show(self) -> str:
        """The source line and a caret line below it, nothing for an empty one; long lines are cut around the place."""
        line = self.source_line.replace("\t", " ")
        if not line.strip():
            return ""
        at, width = self.column - 1, self.end_column - self.column
        cut = max(0, at - 60)
        line = line[cut : cut + 120]
        line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
        return f"    {line}\n    {' ' * (at - cut)}{'^' * min(width, max(1, len(line) - at + cut))}"


class SymgradError(ValueError):
    """A refusal: `.code`, `.message`, `.line`, `.column`, `.filename`, `.hint`.

    `line` and `column` count from 1 and are None where the input has no text (SymPy, arrays).
    """

    def __init__(self, code: str, message: str, span: Span | None = None, hint: str | None = None):
        super().__init__(message)
        self.code, self.message, self.span = code, message, span
        self.hint = hint or (CATALOGUE[code].fix if code in CATALOGUE else None)
        self.line = span.line if span else None
        self.column = span.column if span else None
        self.filename = span.source.name if span else None

    def as_dict(self) -> dict[str, Any]:
        """The refusal as plain values: what `symgrad --json` prints.

        `code`, `message`, `file`, `line`, `column`, `end_column`, `source_line`, `hint`; places count from 1, `end_column` is the
        first one behind, and all five of the place are None where the input has no text.

        >>> SymgradError("SG104", "an operand is missing", Source("a = b +").span(7, 7)).as_dict()["end_column"]
        9
        """
        span = self.span
        return {
            "code": self.code,
            "message": self.message,
            "file": self.filename,
            "line": self.line,
            "column": self.column,
            "end_column": span.end_column if span else None,
            "source_line": span.source_line if span else None,
            "hint": self.hint,
        }

    def __str__(self) -> str:
        place = f" {self.filename}:{self.line}:{self.column}" if self.span else ""
        lines = [f"{self.code}{place}: {self.message}"]
        if self.span and (shown := self.span.show()):
            lines.append(shown)
        if self.hint:
            lines.append(f"hint: {self.hint}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), (self.code, self.message, self.span, self.hint)


class SymgradWarning(UserWarning):
    """What is no reason to refuse: `.code`, `.message`, `.hint`, as `SymgradError` has them."""

    def __init__(self, code: str, message: str, hint: str | None = None):
        super().__init__(message)
        self.code, self.message = code, message
        self.hint = hint or (CATALOGUE[code].fix if code in CATALOGUE else None)

    def as_dict(self) -> dict[str, Any]:
        return SymgradError(self.code, self.message, hint=self.hint).as_dict()

    def __str__(self) -> str:
        return str(SymgradError(self.code, self.message, hint=self.hint))

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), (self.code, self.message, self.hint)


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A hint with the nearest known name, or None."""
    given = str(name).lower()
    names = {other.lower(): other for other in sorted(known, reverse=True)}
    near = difflib.get_close_matches(given, names, n=3, cutoff=0.6)
    if not near:
        return None

    def likeness(other: str) -> tuple[float, int]:
        """Of two that are as near, the one that begins alike: alfa is alpha rather than nabla."""
        pairs = enumerate(zip(other, given, strict=False))
        alike = next((place for place, (one, two) in pairs if one != two), min(len(other), len(given)))
        return difflib.SequenceMatcher(None, other, given).ratio(), alike

    return f"did you mean {names[max(near, key=likeness)]}?"
