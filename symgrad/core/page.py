"""A derivation laid out as equations in rows, the same for every format: what the printers print."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from symgrad.core.tree import Tree


@dataclass(frozen=True)
class Line:
    """`left op right`, and beside it a local derivative `beside[0] = beside[1]`.

    `over`: (index, first, last) where the equation holds on a part of an axis only.
    """

    left: Tree
    op: str
    right: Tree
    beside: tuple[Tree, Tree] | None = None
    over: tuple[tuple[Tree, Tree, Tree], ...] = ()


@dataclass(frozen=True)
class Row:
    """A forward equation and the backward lines that belong to it."""

    forward: Line | None
    backward: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Section:
    """Rows under one title for each column; a section without backward lines has one column."""

    titles: tuple[str, ...]
    rows: tuple[Row, ...]
    caption: str = ""


CLOSED = ("Gradients in closed form",)  # the title of a section whose every row is a fraction

Note: TypeAlias = tuple[str | Line, ...]


@dataclass(frozen=True)
class Page:
    """`whole` is the one equation that was taken apart into the forward steps.

    `notes` are sentences below the equations, words and mathematics: an assumption that was used, a rule.
    """

    sections: tuple[Section, ...]
    whole: Line | None = None
    notes: tuple[Note, ...] = ()
