"""What stands on the nodes and edges of a graph, as lines of Unicode text."""

from __future__ import annotations

from symgrad.core.drawing import Edge, Node
from symgrad.printers import pages
from symgrad.printers.text import TEXT


def node_label(node: Node) -> str:
    """The equations of a node, or its name, and the numbers known."""
    lines = [pages.equation(line, TEXT) for line in node.lines] or [TEXT.show(node.shown)]
    return "\n".join([*lines, *(f"{TEXT.show(tree)} = {number}".replace("= -", "= −") for tree, number in node.values)])


def edge_label(edge: Edge) -> str:
    return "\n".join(f"{TEXT.show(left)} = {TEXT.show(right)}" for left, right in edge.partials)
