"""A program and its raw adjoint → the graph of the model, for print.

    quantity             →  node with its equations
    statement reads x    →  edge x → target, with the local derivative of the chain rule

>>> from symgrad.frontend.text import parse
>>> from symgrad.transform.reverse import reverse
>>> p = parse("y = x^2; J = y + 1")
>>> [(e.start, e.end) for e in drawing(p, reverse(p, "J", ["x"]), "J").edges]
[('y', 'J'), ('x', 'y')]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from symgrad.core.drawing import Drawing, Edge, Node
from symgrad.core.expr import access
from symgrad.core.graph import top_down
from symgrad.core.layout import Layout
from symgrad.core.page import Line
from symgrad.core.program import Program
from symgrad.core.tree import Deriv, Name, Tree
from symgrad.transform.chain import slides
from symgrad.transform.reverse import adjoint_names

Values = Mapping[str, Any]


def drawing(primal: Program, raw: Program, loss: str, values: Values | None = None) -> Drawing:
    """`values` are numbers of scalars by their names, adjoints among them; they are written on the nodes."""
    statements = top_down(primal, loss)
    # the rows of the first section are the statements in this order, functions of the user after them
    rows = slides(primal, raw, loss)[0].rows[: len(statements)]
    lines: dict[str, list[Line]] = {}
    edges: dict[tuple[str, str], list[tuple[Tree, Tree]]] = {}
    for statement, row in zip(statements, rows, strict=True):
        assert row.forward is not None
        lines.setdefault(statement.name, []).append(row.forward)
        for read in statement.read_names:
            edges.setdefault((read, statement.name), [])
        for line in row.backward:
            if isinstance(line.left, Deriv) and isinstance(line.left.bottom, Name):
                edges[line.left.bottom.name, statement.name].append(line.beside or (line.left, line.right))
    names = dict.fromkeys([*lines, *(start for start, _ in edges)])
    layout = Layout.of(raw, derivatives=True)
    adjoints = adjoint_names(raw, loss)
    nodes = []
    for name in names:
        tensor = primal.tensors[name]
        shown = layout.access(access(name, *(axis.symbol for axis in tensor.axes)))
        numbers = [(layout.access(access(n)), n) for n in (name, adjoints.get(name)) if n is not None and n in (values or {})]
        role = "loss" if name == loss else "step" if name in lines else "given"
        written = tuple((tree, number_text((values or {})[n])) for tree, n in numbers)
        nodes.append(Node(name, shown, tuple(lines.get(name, ())), written, role))
    return Drawing(tuple(nodes), tuple(Edge(start, end, tuple(found)) for (start, end), found in edges.items()))


def number_text(value: Any) -> str:
    return f"{float(value):.4g}"
