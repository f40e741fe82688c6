r"""Graphs of models as TikZ, for LaTeX with amsmath.

The places are those of the SVG; the labels are set by LaTeX.

>>> from symgrad.core.drawing import Drawing, Node
>>> from symgrad.core.tree import Name
>>> tikz(Drawing((Node("x", Name("x")),), ())).splitlines()[-2]
'  \\node (n0) at (0.82,-0.96) {$x$};'
"""

from __future__ import annotations

from symgrad.core.drawing import Drawing, Edge, Node
from symgrad.printers import pages
from symgrad.printers.document import FIT
from symgrad.printers.latex import LATEX
from symgrad.printers.layering import BESIDE, Placement, Size
from symgrad.printers.svg import arranged

LETTER, LINE, CM = 6.4, 32.0, 0.03  # pixels a character and a line, centimetres a pixel


def size(text: str) -> Size:
    lines = text.split("\n")
    return max(map(len, lines)) * LETTER + 16, len(lines) * LINE


def stacked(lines: list[str]) -> str:
    """One formula, or several below each other."""
    if len(lines) == 1:
        return f"${lines[0]}$"
    return "$\\begin{array}{c} " + r" \\ ".join(lines) + " \\end{array}$"


def _node(node: Node) -> str:
    lines = [rf"\displaystyle {pages.equation(line, LATEX)}" for line in node.lines] or [LATEX.show(node.shown)]
    numbers = [f"{LATEX.show(tree)} = {LATEX.num(number)}" for tree, number in node.values]
    return stacked([*lines, *numbers])


def _label(edge: Edge) -> str:
    return stacked([f"{LATEX.show(left)} = {LATEX.show(right)}" for left, right in edge.partials])


def tikz(drawing: Drawing) -> str:
    """A tikzpicture; the library arrows.meta is not needed."""
    placed = arranged(drawing, size)
    ids = {node.name: f"n{k}" for k, node in enumerate(drawing.nodes)}
    out = [
        r"\begin{tikzpicture}[q/.style={draw, rounded corners}, back/.style={->, dashed, red!60!black}, "
        r"l/.style={red!60!black, font=\small}]"
    ]
    styles = {"given": "", "step": "[q]", "loss": "[q, very thick]"}
    for node in drawing.nodes:
        box = placed.boxes[node.name]
        style = styles[node.role] + " " * bool(styles[node.role])
        out.append(rf"  \node {style}({ids[node.name]}) at {_at(box.x, box.y)} {{{_node(node)}}};")
    for number, edge in enumerate(drawing.edges):
        out += _loop(edge, ids) if edge.start == edge.end else _edge(edge, number, placed, ids)
    return "\n".join([*out, "\\end{tikzpicture}\n"])


def _at(x: float, y: float) -> str:
    return f"({x * CM:.2f},{-y * CM:.2f})"


def _edge(edge: Edge, number: int, placed: Placement, ids: dict[str, str]) -> list[str]:
    stops = list(placed.stops[number])
    turned = placed.low[number] != edge.start
    if turned:
        stops.reverse()
    start, end = ids[edge.start], ids[edge.end]
    if not edge.partials:
        way = "".join(f" -- {_at(s.x, s.y)}" for s in stops)
        return [rf"  \draw[->] ({start}){way} -- ({end});"]
    label = placed.stops[number][0]
    wires = []
    for off in (-4, 4):
        points = [(s.x + (BESIDE - s.width / 2 if s == label else 0) + off, s) for s in stops]
        wires.append([_at(x, s.y + sign * s.height / 2) for x, s in points for sign in ((-1, 1) if turned else (1, -1))])
    up, down = " -- ".join(wires[0]), " -- ".join(wires[1][::-1])
    corner = _at(label.x - label.width / 2 + BESIDE + 8, label.y)
    return [
        rf"  \draw[->] ({start}) -- {up} -- ({end});",
        rf"  \draw[back] ({end}) -- {down} -- ({start});",
        rf"  \node[l, right] at {corner} {{{_label(edge)}}};",
    ]


def _loop(edge: Edge, ids: dict[str, str]) -> list[str]:
    name = ids[edge.start]
    label = f" node[right, l] {{{_label(edge)}}}" if edge.partials else ""
    return [rf"  \draw[->] ({name}.6) to[out=20, in=-20, looseness=6]{label} ({name}.-6);"]


def document(drawing: Drawing) -> str:
    """A whole document with the picture shrunk to its page."""
    return around(tikz(drawing))


def around(picture: str) -> str:
    return (
        "\\documentclass{article}\n\\usepackage[a4paper,landscape,margin=1cm]{geometry}\n\\usepackage{amsmath,graphicx,tikz}\n"
        f"{FIT}\n\\pagestyle{{empty}}\n\\begin{{document}}\n\\noindent\\fit{{0.95\\textheight}}{{%\n{picture}}}\n\\end{{document}}\n"
    )
