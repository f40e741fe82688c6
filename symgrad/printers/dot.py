"""Graphs of models as DOT, for Graphviz.

>>> from symgrad.core.drawing import Drawing, Node
>>> from symgrad.core.tree import Name
>>> print(dot(Drawing((Node("x", Name("x")),), ())))
digraph model {
  rankdir=BT;
  node [shape=box, style=rounded, fontname="serif"];
  edge [fontname="serif", fontsize=11];
  n0 [label="x", shape=plaintext];
}
<BLANKLINE>
"""

from __future__ import annotations

from symgrad.core.drawing import Drawing
from symgrad.printers.labels import edge_label, node_label


def quoted(text: str) -> str:
    r"""A string of DOT; a line break is \n."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def dot(drawing: Drawing) -> str:
    """Forward edges solid, backward edges dashed with their local derivative."""
    ids = {node.name: f"n{place}" for place, node in enumerate(drawing.nodes)}
    out = ["digraph model {", "  rankdir=BT;", '  node [shape=box, style=rounded, fontname="serif"];']
    out.append('  edge [fontname="serif", fontsize=11];')
    shapes = {"given": ", shape=plaintext", "loss": ", penwidth=2"}
    for node in drawing.nodes:
        out.append(f"  {ids[node.name]} [label={quoted(node_label(node))}{shapes.get(node.role, '')}];")
    for edge in drawing.edges:
        start, end = ids[edge.start], ids[edge.end]
        out.append(f"  {start} -> {end};")
        if edge.partials:
            out.append(f"  {end} -> {start} [label={quoted(edge_label(edge))}, style=dashed, constraint=false];")
    return "\n".join([*out, "}\n"])
