"""The verdict on one claim, and how it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from symgrad.answers.slips import SLIPS
from symgrad.core.errors import Span
from symgrad.core.page import Line
from symgrad.printers import pages
from symgrad.printers.latex import LATEX
from symgrad.printers.text import TEXT


@dataclass(frozen=True)
class Expected:
    """The right line."""

    line: Line

    def text(self) -> str:
        return pages.equation(self.line, TEXT)

    def latex(self) -> str:
        return pages.equation(self.line, LATEX)

    def __str__(self) -> str:
        return self.text()


@dataclass(frozen=True)
class Check:
    """Whether one claim is right.

    verdict: "right", "assumes" (right if `assumption` holds) or "wrong". slip: what kind of mistake, a key of
    `answers.slips.SLIPS`; `why` says it in words and `term` is the first wrong part, or the missing one. counterexample: the
    `at` values of what the claim speaks of, `cell` the indices, and the `claimed` and `true` values there. proof: "symbolic" or
    "numeric". A Check is true unless the claim is wrong.
    """

    claim: str
    verdict: str
    expected: Expected
    slip: str | None = None
    why: str = ""
    term: str | None = None
    counterexample: Mapping[str, Any] | None = None
    assumption: str | None = None
    proof: str | None = None
    warnings: tuple[str, ...] = ()
    span: Span | None = field(default=None, compare=False)

    def __bool__(self) -> bool:
        return self.verdict != "wrong"

    def __str__(self) -> str:
        lines = [f"{MARKS[self.verdict]} {self.claim}"]
        if self.verdict == "assumes":
            lines.append(f"  right, given {self.assumption}")
        if self.verdict == "wrong":
            lines.append(
                f"  wrong: {self.slip}: {self.why or SLIPS[self.slip or 'other']}" + (f": {self.term}" if self.term else "")
            )
            lines.append(f"  right: {self.expected.text()}")
            if self.counterexample:
                lines.append(f"  {_example(self.counterexample)}")
        return "\n".join([*lines, *(f"  warning: {warning}" for warning in self.warnings)])

    def json(self) -> dict[str, Any]:
        """The same as plain data."""
        names = ("claim", "verdict", "slip", "why", "term", "counterexample", "assumption", "proof")
        out = {name: getattr(self, name) for name in names}
        place = {"line": self.span.line, "column": self.span.column} if self.span else {}
        return {
            **out,
            "expected": self.expected.text(),
            "expected_latex": self.expected.latex(),
            "warnings": list(self.warnings),
            **place,
        }


MARKS = {"right": "✓", "assumes": "✓", "wrong": "✗"}


def _example(example: Mapping[str, Any]) -> str:
    at = ", ".join(f"{name} = {value}" for name, value in example["at"].items())
    where = f" at {example['cell']}" if example["cell"] else ""
    given = f", with {at}" if at else ""
    return f"for instance{where}{given}: the claim gives {example['claimed']}, the derivative is {example['true']}"
