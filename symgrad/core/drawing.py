"""The graph of a model, the same for every format that draws it.

Nodes are quantities with the equations that define them; an edge runs from what is read to what reads it,
and carries the local derivative that the backward pass multiplies by on the way back.
"""

from __future__ import annotations

from dataclasses import dataclass

from symgrad.core.page import Line
from symgrad.core.tree import Tree


@dataclass(frozen=True)
class Node:
    """`shown` is the quantity, `lines` its equations, none for what is given; `values` are numbers to write below.

    `role` is "given", "step" or "loss".
    """

    name: str
    shown: Tree
    lines: tuple[Line, ...] = ()
    values: tuple[tuple[Tree, str], ...] = ()
    role: str = "given"


@dataclass(frozen=True)
class Edge:
    """`end` reads `start`; `partials` are the derivatives of `end` by `start`, none where nothing flows back."""

    start: str
    end: str
    partials: tuple[tuple[Tree, Tree], ...] = ()


@dataclass(frozen=True)
class Drawing:
    """Nodes from the loss down."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True)
class Unit:
    """One cell of a quantity, or the constant 1 that a bias comes from; `role` is "given", "step", "loss" or "bias".

    `quantity` and `place` say which cell; `numbers` are its value and the partial of the loss by it, where they are known.
    """

    name: str
    shown: Tree
    role: str = "step"
    quantity: str = ""
    place: tuple[int, ...] = ()
    numbers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Link:
    """`end` reads `start`, times `weights`: parameters, none where it reads it in another way."""

    start: str
    end: str
    weights: tuple[Tree, ...] = ()


@dataclass(frozen=True)
class Network:
    """A model at small extents, cell by cell, in the order of quantities and their indices."""

    units: tuple[Unit, ...]
    links: tuple[Link, ...]
