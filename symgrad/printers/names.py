"""How the parts of a name are shown: letter, decoration, digits below.

>>> split("y_star")
Parts(letter='y', below='', marks=('star',))
>>> split("W2_bar")
Parts(letter='W', below='2', marks=('bar',))
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from symgrad.core.tree import Name, Num, Tree

MARKS = ("star", "prime", "bar", "dot", "hat")


@dataclass(frozen=True)
class Parts:
    letter: str
    below: str = ""
    marks: tuple[str, ...] = ()


def split(name: str) -> Parts:
    marks: list[str] = []
    while True:
        head, _, mark = name.rpartition("_")
        if not head or mark not in MARKS:
            break
        name = head
        marks.insert(0, mark)
    match = re.fullmatch(r"([A-Za-z]+)_?(\d+)", name)
    if match:
        return Parts(match[1], match[2], tuple(marks))
    letter, _, below = name.partition("_")
    return Parts(letter or name, below if letter else "", tuple(marks))


def plain_indices(indices: tuple[Tree, ...]) -> bool:
    """True when the indices may stand side by side: alpha_ji."""
    return all(
        (isinstance(i, Name) and not i.indices and len(i.name) == 1) or (isinstance(i, Num) and len(i.text) == 1) for i in indices
    )
