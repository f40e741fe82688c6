"""Program with adjoints → a forward and a backward box for each module, as a layered network is cut into parts.

A module is one quantity: a_j = Σ_i α_ji x_i is one, z_j = 1/(1 + e^{-a_j}) the next; the start and the steps of a
recurrence are one together.

>>> from symgrad.frontend.text import parse
>>> from symgrad.transform.reverse import reverse
>>> model = parse("param w; y = 1/(1 + exp(-b)); b = w*x; J = (y - t)^2/2")
>>> [section.caption for section in modules(model, reverse(model, "J", ["w"]), "J")]
['Module 1', 'Module 2', 'Module 3']
"""

from __future__ import annotations

from symgrad.core.graph import top_down
from symgrad.core.page import Section
from symgrad.core.program import Program, Statement
from symgrad.transform.chain import slides

TITLES = ("Forward", "Backward")


def modules(primal: Program, raw: Program, loss: str) -> tuple[Section, ...]:
    """The slides' rows in boxes, the module nearest to the inputs first; what belongs to none follows below."""
    page, *below = slides(primal, raw, loss)
    down = top_down(primal, loss)
    groups = grouped(down)
    rows = dict(zip(map(id, down), page.rows, strict=False))
    boxes = [
        Section(TITLES, tuple(rows[id(statement)] for statement in group), f"Module {number}")
        for number, group in enumerate(reversed(groups), 1)
    ]
    functions = page.rows[len(down) :]
    return (*boxes, *([Section(TITLES, functions, "Functions")] if functions else []), *below)


def grouped(down: list[Statement]) -> list[list[Statement]]:
    """The statements from the loss down, those of one quantity together where the first of them stands."""
    groups: dict[str, list[Statement]] = {}
    for statement in down:
        groups.setdefault(statement.name, []).append(statement)
    return list(groups.values())
