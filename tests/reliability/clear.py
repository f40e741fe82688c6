"""Clear: every refusal has a code with a tested example, a place where there is a text, and a hint; none takes long.

What other tools take for their own is a plain name here, and a chain of squares is no larger than its text.
"""

from __future__ import annotations

import symgrad as sg
from symgrad.core.catalogue import CATALOGUE
from tests.errors.page import answers
from tests.errors.rows import Example
from tests.errors.run import Answer
from tests.reliability.rows import Row

FAMILY = "clear"
LIMIT = 1.0  # seconds for a text of any size
PLAIN = ("beta", "gamma", "S", "Q", "N", "E", "I", "lambda", "zeta", "pi_1", "O", "C")
SQUARES = 60


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
        _row("names of other tools that are plain names", PLAIN, [name for name in PLAIN if not _plain(name)]),
        _row(f"{SQUARES} definitions e = e*e + e compile", [SQUARES], [] if _squares() else ["another value or gradient"]),
        _row("refused commands that exit with 2 and write nothing", _commands(pairs), list(filter(_writes, _commands(pairs)))),
    ]


def _plain(name: str) -> bool:
    """J = name² has the slope 2·name, at 3."""
    loss, slopes = sg.compile(sg.parse(f"J = {name}^2"), backend="numpy")(**{name: 3.0})
    return loss == 9 and slopes == {name: 6}


def _squares() -> bool:
    """At 0 the value is 0 and the slope 1, the product of 1 + 2·0."""
    lines = ["e1 = x*x + x", *(f"e{k} = e{k - 1}*e{k - 1} + e{k - 1}" for k in range(2, SQUARES + 1)), f"J = e{SQUARES}"]
    loss, slopes = sg.compile(sg.parse("\n".join(lines)), backend="numpy")(x=0.0)
    return loss == 0 and slopes == {"x": 1}


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
