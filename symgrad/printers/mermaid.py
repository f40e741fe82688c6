"""Graphs of models as Mermaid, which Markdown pages show.

>>> from symgrad.core.drawing import Drawing, Node
>>> from symgrad.core.tree import Name
>>> print(mermaid(Drawing((Node("x", Name("x")),), ())))
flowchart BT
  n0(["x"])
<BLANKLINE>
"""

from __future__ import annotations

from symgrad.core.drawing import Drawing
from symgrad.printers.labels import edge_label, node_label

# what could end a label or be read as markup; # first opens an entity
ENTITIES = str.maketrans({mark: f"#{ord(mark)};" for mark in '"#&<>|`*_\\[]{}'})
BRACKETS = {"given": ('(["', '"])'), "step": ('["', '"]'), "loss": ('[["', '"]]')}


def label(text: str) -> str:
    return "<br/>".join(line.translate(ENTITIES) for line in text.split("\n"))


def mermaid(drawing: Drawing) -> str:
    """Forward edges solid, backward edges dotted with their local derivative."""
    ids = {node.name: f"n{place}" for place, node in enumerate(drawing.nodes)}
    out = ["flowchart BT"]
    for node in drawing.nodes:
        left, right = BRACKETS[node.role]
        out.append(f"  {ids[node.name]}{left}{label(node_label(node))}{right}")
    for edge in drawing.edges:
        start, end = ids[edge.start], ids[edge.end]
        out.append(f"  {start} --> {end}")
        if edge.partials:
            out.append(f'  {end} -. "{label(edge_label(edge))}" .-> {start}')
    return "\n".join(out) + "\n"
