"""Graphs of models as SVG: one self-contained picture, light and dark.

Forward edges are solid and run up to the loss; backward edges are dashed, run down, and carry the local derivative.

>>> from symgrad.core.drawing import Drawing, Node
>>> from symgrad.core.tree import Name
>>> svg(Drawing((Node("x", Name("x")),), ())).count("<text")
1
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from html import escape

from symgrad.core.drawing import Drawing, Edge
from symgrad.printers.labels import edge_label, node_label
from symgrad.printers.layering import BESIDE, Box, Placement, Size, place

LETTER, LINE, PAD, LOOP = 7.3, 20.0, 9.0, 40.0
PART = re.compile(r"_(\{[^{}]*\}|[^\W_⁰¹²³⁴⁵⁶⁷⁸⁹]+)")
BELOW = re.compile(rf"(?:{PART.pattern})+")
STYLE = """
  svg { color-scheme: light dark; }
  text { font: 14px "Latin Modern Math", "STIX Two Math", "Cambria Math", serif; fill: #1b1b1b; text-anchor: middle; }
  .small { font-size: 12.5px; text-anchor: start; fill: #a03022; }
  rect { fill: #f4f6fa; stroke: #49566b; }
  .given { fill: none; stroke: none; }
  .loss { stroke-width: 2; }
  path { fill: none; stroke: #49566b; }
  .back { stroke: #a03022; stroke-dasharray: 5 3; }
  .head { fill: #49566b; stroke: none; }
  .head.red { fill: #a03022; }
  .paper { fill: #fff; stroke: none; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e8e8e8; } .small { fill: #ff9d8a; } rect { fill: #202632; stroke: #9fb0c9; } .paper { fill: #161616; }
    .given { fill: none; }
    path { stroke: #9fb0c9; } .back { stroke: #ff9d8a; } .head { fill: #9fb0c9; } .head.red { fill: #ff9d8a; }
  }
"""
MARKERS = (
    '<marker id="{id}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path class="head{red}" d="M0 0 L8 4 L0 8 z"/></marker>'
)


def size(text: str) -> Size:
    """Room for lines of text; accents take none."""
    lines = text.split("\n")
    longest = max(sum(not unicodedata.combining(c) for c in line) for line in lines)
    return longest * LETTER + 2 * PAD, len(lines) * LINE + PAD


def arranged(drawing: Drawing, size: Callable[[str], Size] = size) -> Placement:
    """Places for all; a node that reads itself has room for the loop on both sides. `size` is that of a label."""
    loops = {edge.start: size(edge_label(edge)) for edge in drawing.edges if edge.start == edge.end}
    sizes: dict[str, Size] = {}
    for node in drawing.nodes:
        width, height = size(node_label(node))
        loop = loops.get(node.name)
        sizes[node.name] = (width + 2 * (LOOP + loop[0]), max(height, loop[1])) if loop else (width, height)
    return place(sizes, [(e.start, e.end, size(edge_label(e)) if e.partials else None) for e in drawing.edges])


def svg(drawing: Drawing) -> str:
    """A picture; its size is that of the graph."""
    placed = arranged(drawing)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{placed.width:.0f}" height="{placed.height:.0f}" '
        f'viewBox="0 0 {placed.width:.0f} {placed.height:.0f}" role="img">',
        f"<title>The graph of the model</title><style>{STYLE}</style>",
        f"<defs>{MARKERS.format(id='up', red='')}{MARKERS.format(id='down', red=' red')}</defs>",
        '<rect class="paper" width="100%" height="100%"/>',
    ]
    visible = {node.name: size(node_label(node))[0] for node in drawing.nodes}
    for number, edge in enumerate(drawing.edges):
        loop = edge.start == edge.end
        out += _loop(edge, placed.boxes[edge.start], visible) if loop else _edge(edge, number, placed, visible)
    for node in drawing.nodes:
        box, text = placed.boxes[node.name], node_label(node)
        out.append(_rect(Box(box.x, box.y, *size(text)), node.role))
        out.append(_text(text, box.x, box.y))
    return "\n".join([*out, "</svg>\n"])


def _rect(box: Box, kind: str) -> str:
    corner = f'x="{box.x - box.width / 2:.1f}" y="{box.y - box.height / 2:.1f}"'
    return f'<rect class="{kind}" {corner} width="{box.width:.1f}" height="{box.height:.1f}" rx="6"/>'


def _text(text: str, x: float, y: float, kind: str = "") -> str:
    lines = text.split("\n")
    top = y - (len(lines) - 1) * LINE / 2 + 4.8
    styled = f' class="{kind}"' if kind else ""
    return "\n".join(f'<text{styled} x="{x:.1f}" y="{top + k * LINE:.1f}">{lowered(line)}</text>' for k, line in enumerate(lines))


def lowered(line: str) -> str:
    """The text with what follows _ set lower, several such parts with a comma between."""
    out, end = "", 0
    for found in BELOW.finditer(line):
        below = ",".join(part.strip("{}") for part in PART.findall(found[0]))
        out += (
            f'{escape(line[end : found.start()])}<tspan dy="4" font-size="75%">{escape(below)}</tspan><tspan dy="-4">\u200b</tspan>'
        )
        end = found.end()
    return out + escape(line[end:])


def _curve(points: list[tuple[float, float]], kind: str) -> str:
    """Through all points, upright at each."""
    x, y = points[0]
    way = f"M{x:.1f} {y:.1f}"
    for a, b in points[1:]:
        middle = (y + b) / 2
        way += f" C{x:.1f} {middle:.1f} {a:.1f} {middle:.1f} {a:.1f} {b:.1f}"
        x, y = a, b
    marker = "down" if kind else "up"
    return f'<path{f" class={chr(34)}{kind}{chr(34)}" if kind else ""} d="{way}" marker-end="url(#{marker})"/>'


def _edge(edge: Edge, number: int, placed: Placement, visible: Mapping[str, float]) -> list[str]:
    """From the top of the lower box to the bottom of the upper one, forward left of backward, the label right of both."""
    lower = placed.low[number]
    turned = lower != edge.start
    upper = edge.start if turned else edge.end
    low, high, stops = placed.boxes[lower], placed.boxes[upper], placed.stops[number]
    at = [(s.x + BESIDE - s.width / 2 if edge.partials and k == 0 else s.x, s) for k, s in enumerate(stops)]
    foot, head = _lean(at[0][0], low, visible[lower]), _lean(at[-1][0], high, visible[upper])

    def wire(off: float) -> list[tuple[float, float]]:
        between = [(x + off, s.y + sign * s.height / 2) for x, s in at for sign in (1, -1)]
        points = [(foot + off, low.y - low.height / 2), *between, (head + off, high.y + high.height / 2)]
        return [p for k, p in enumerate(points) if k == 0 or p != points[k - 1]]

    if not edge.partials:
        return [_curve(wire(0)[::-1] if turned else wire(0), "")]
    first = stops[0]
    label = _text(edge_label(edge), first.x - first.width / 2 + BESIDE + 10, first.y, "small")
    return [_curve(wire(-4)[::-1] if turned else wire(-4), ""), _curve(wire(4) if turned else wire(4)[::-1], "back"), label]


def _lean(x: float, box: Box, width: float) -> float:
    """Where an edge meets a box: on the side it comes from, so that heads stay apart."""
    return box.x + max(-0.4, min(0.4, (x - box.x) / (width + 160))) * width


def _loop(edge: Edge, box: Box, visible: Mapping[str, float]) -> list[str]:
    """A quantity that reads itself at another index."""
    right = box.x + visible[edge.start] / 2
    far, y = right + LOOP, box.y
    shape = f"M{right:.1f} {y - 8:.1f} C{far:.1f} {y - 26:.1f} {far:.1f} {y + 26:.1f} {right:.1f} {y + 8:.1f}"
    path = f'<path d="{shape}" marker-end="url(#up)"/>'
    return [path, _text(edge_label(edge), far - 4, y, "small")] if edge.partials else [path]
