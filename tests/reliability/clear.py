"""Clear: every refusal has a code with a tested example, a place where there is a text, and a hint; none takes long."""

from __future__ import annotations

from symgrad.core.catalogue import CATALOGUE
from tests.errors.page import answers
from tests.errors.rows import Example
from tests.errors.run import Answer
from tests.reliability.rows import Row

FAMILY = "clear"
LIMIT = 1.0  # seconds for a text of any size


def measure(full: bool) -> list[Row]:
    """The same rows in both forms: all examples take some seconds."""
    pairs = [pair for code in CATALOGUE for pair in answers(code)]
    codes = {example.code for example, given in pairs if given.code == example.code}
    promised = [pair for pair in pairs if pair[0].promised]
    placed = [pair for pair in pairs if pair[0].placed]
    large = [pair for pair in pairs if pair[0].code.startswith("SG5") and pair[0].promised]
    return [
        _row("codes with a tested example", sorted(CATALOGUE), [code for code in CATALOGUE if code not in codes]),
        _row("examples answered with their code", pairs, [p for p in pairs if p[1].code != p[0].code]),
        _row("refusals of a text that have a place", placed, [p for p in placed if not p[1].fields["line"]]),
        _row("refusals that have a hint", pairs, [p for p in pairs if not p[1].fields["hint"]]),
        _row("examples of the promises answered as promised", promised, [p for p in promised if p[1].code != p[0].code]),
        _row(f"refusals of what is too large within {LIMIT:g} s", large, [p for p in large if p[1].seconds > LIMIT]),
        _row("refused commands that exit with 2 and write nothing", _commands(pairs), list(filter(_writes, _commands(pairs)))),
    ]


def _commands(pairs: list[tuple[Example, Answer]]) -> list[tuple[Example, Answer]]:
    return [pair for pair in pairs if pair[0].argv]


def _writes(pair: tuple[Example, Answer]) -> bool:
    return pair[1].status != 2 or bool(pair[1].output) or bool(pair[1].left)


def _row(promise: str, cases: object, wrong: list[object] | list[str] | list[tuple[Example, Answer]]) -> Row:
    count = len(cases)  # type: ignore[arg-type]
    shown = [_told(case) for case in wrong]
    return Row(FAMILY, promise, f"{count - len(wrong)} of {count}", f"{count} of {count}", shown)


def _told(case: object) -> str:
    return f"{case[0].shown()} → {case[1].shown}" if isinstance(case, tuple) else str(case)
