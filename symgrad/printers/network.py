r"""Pictures of networks, as SVG and as TikZ: units in layers, what is given below, the loss on top, a weight beside each link.

    row of a unit      the longest path from it to the loss, as in the graph
    place in a row     in the order of quantities and indices, the row in the middle of the picture
    weight             on its link, at a height of its own for each unit above, so that weights of one unit stand in a row

>>> from symgrad.core.tree import Name
>>> from symgrad.core.drawing import Link, Network, Unit
>>> pair = Network((Unit("x", Name("x")), Unit("J", Name("J"))), (Link("x", "J", (Name("w"),)),))
>>> svg(pair).count("<circle"), tikz(pair).count(r"\draw")
(2, 1)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

from symgrad.core.drawing import Link, Network, Unit
from symgrad.printers import tikz as graph
from symgrad.printers.latex import LATEX
from symgrad.printers.layering import layers
from symgrad.printers.svg import lowered, size
from symgrad.printers.text import TEXT

RADIUS, BETWEEN, MARGIN = 19.0, 26.0, 24.0
NEAR, FAR = 0.32, 0.68  # the part of a link, from below, where its weight stands
NUMBER, SMALL = 14.0, 0.8  # from one number in a unit to the next, the size of its letters beside those of names
LINE, GAP = 21.0, 95.0  # from one height of weights to the next, from one row to the next
CM = 0.026  # centimetres a pixel
Point = tuple[float, float]
Way = tuple[Point, Point, Point, Point]  # a Bézier curve from the lower unit to the upper one
STYLE = """
  svg { color-scheme: light dark; --ink: #1b1b1b; --line: #7d8798; --weight: #a03022; --fill: #eef2f9; --paper: #fff; }
  @media (prefers-color-scheme: dark) {
    svg { --ink: #e8e8e8; --line: #77849a; --weight: #ff9d8a; --fill: #202632; --paper: #161616; }
  }
  text { font: 14px "Latin Modern Math", "STIX Two Math", "Cambria Math", serif; fill: var(--ink); text-anchor: middle; }
  .weight { font-size: 12.5px; fill: var(--weight); stroke: var(--paper); stroke-width: 4px; paint-order: stroke; }
  .value, .partial { font-size: 11.5px; }
  .partial { fill: var(--weight); }
  circle { fill: var(--fill); stroke: var(--ink); }
  .given, .bias { fill: var(--paper); }
  .bias { stroke-dasharray: 3 2; }
  .loss { stroke-width: 2; }
  path { fill: none; stroke: var(--line); }
  .paper { fill: var(--paper); }
"""


@dataclass(frozen=True)
class Placed:
    """Middles of units by name; the way of each link, and where its weights stand. y grows downwards."""

    places: Mapping[str, Point]
    ways: tuple[Way, ...]
    weights: tuple[Point, ...]
    radius: float
    width: float
    height: float


def placed(network: Network) -> Placed:
    layer = layers([unit.name for unit in network.units], [(link.start, link.end) for link in network.links])
    rows = _rows(network, layer)
    radius = max([RADIUS, *(_radius(unit) for unit in network.units)])
    widest = max((size(_weight(link))[0] - 12 for link in network.links if link.weights), default=0.0)
    step = max(2 * radius + BETWEEN, widest / (1 - FAR))
    heights = _heights(rows, radius)
    places = {name: ((k - (len(row) - 1) / 2) * step, heights[layer[name]]) for row in rows for k, name in enumerate(row)}
    ways = tuple(_way(link, places, rows, layer, step) for link in network.links)
    weighed = {link.end for link in network.links if link.weights}
    part = dict(chain.from_iterable(_parts([name for name in row if name in weighed]) for row in rows))
    spots = tuple(at(way, NEAR + (FAR - NEAR) * part.get(link.end, 0)) for way, link in zip(ways, network.links, strict=True))
    reach = [x + side * radius for x, _ in places.values() for side in (-1, 1)] + [at(way, 0.5)[0] for way in ways]
    reach += [x + side * widest / 2 for x, _ in spots for side in (-1, 1)]
    left = min(reach, default=0.0) - MARGIN
    moved = partial(_moved, left)
    return Placed(
        {name: moved(point) for name, point in places.items()},
        tuple((moved(a), moved(b), moved(c), moved(d)) for a, b, c, d in ways),
        tuple(map(moved, spots)),
        radius,
        max(reach, default=0.0) + MARGIN - left,
        heights[-1] + radius + MARGIN,
    )


def _radius(unit: Unit) -> float:
    """Room for its name, and for numbers on two lines below it."""
    wide = size(TEXT.show(unit.shown))[0] / 2 - 3
    return max([wide, *(size(number)[0] * SMALL / 2 + 5 for number in unit.numbers)])


def _moved(left: float, point: Point) -> Point:
    return point[0] - left, point[1]


def _rows(network: Network, layer: Mapping[str, int]) -> list[list[str]]:
    """The units of each layer: what is computed stands over what it is computed from, what is given on the right of it."""
    rows: list[list[str]] = [[] for _ in range(max(layer.values(), default=0) + 1)]
    for unit in sorted(network.units, key=lambda unit: unit.role == "given"):
        rows[layer[unit.name]].append(unit.name)
    return rows


def _parts(names: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Names with places from 0 to 1, one alone in the middle."""
    return ((name, k / (len(names) - 1) if len(names) > 1 else 0.5) for k, name in enumerate(names))


def _heights(rows: Sequence[Sequence[str]], radius: float) -> list[float]:
    """Of each row from the top; below a row there is room for the weights of each of its units at a height of their own."""
    out = [MARGIN + radius]
    for row in rows[:-1]:
        out.append(out[-1] + max(GAP + 2 * radius, LINE * (len(row) - 1) / (FAR - NEAR)))
    return out


def _way(link: Link, places: Mapping[str, Point], rows: Sequence[Sequence[str]], layer: Mapping[str, int], step: float) -> Way:
    """Straight to the next row, else round the rows between on the nearer side."""
    (x, y), (a, b) = places[link.start], places[link.end]
    between = rows[min(layer[link.start], layer[link.end]) + 1 : max(layer[link.start], layer[link.end])]
    if not between:
        return (x, y), (x + (a - x) / 3, y + (b - y) / 3), (x + (a - x) * 2 / 3, y + (b - y) * 2 / 3), (a, b)
    far = max(len(row) for row in between) * step / 2 + step / 4
    side = 1 if x + a >= 0 else -1
    # a Bézier curve is in the middle at an eighth of each end and three eighths of each point between
    bow = (side * far - (x + a) / 8) * 4 / 3
    return (x, y), (bow, y + (b - y) / 4), (bow, y + (b - y) * 3 / 4), (a, b)


def at(way: Way, t: float) -> Point:
    """The point of a curve.

    >>> at(((0, 0), (1, 0), (2, 0), (3, 0)), 0.5)
    (1.5, 0.0)
    """
    parts = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3
    return sum(p * x for p, (x, _) in zip(parts, way, strict=True)), sum(p * y for p, (_, y) in zip(parts, way, strict=True))


def _weight(link: Link) -> str:
    return ", ".join(map(TEXT.show, link.weights))


def svg(network: Network) -> str:
    """One self-contained picture, light and dark."""
    all_ = placed(network)
    width, height = f"{all_.width:.0f}", f"{all_.height:.0f}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">'
    paper = '<rect class="paper" width="100%" height="100%"/>'
    return "\n".join(
        [head, f"<title>The network of the model</title><style>{STYLE}</style>", paper, *_svg_lines(network, all_), "</svg>\n"]
    )


def _svg_lines(network: Network, all_: Placed) -> Iterator[str]:
    for (x, y), b, c, d in all_.ways:
        yield f'<path d="M{x:.1f} {y:.1f} C{" ".join(f"{p:.1f} {q:.1f}" for p, q in (b, c, d))}"/>'
    for link, (x, y) in zip(network.links, all_.weights, strict=True):
        if link.weights:
            yield f'<text class="weight" x="{x:.1f}" y="{y + 4:.1f}">{lowered(_weight(link))}</text>'
    for unit in network.units:
        x, y = all_.places[unit.name]
        yield f'<circle class="{unit.role}" cx="{x:.1f}" cy="{y:.1f}" r="{all_.radius:.1f}"/>'
        top = y + 4.5 - NUMBER * len(unit.numbers) / 2
        yield f'<text x="{x:.1f}" y="{top:.1f}">{lowered(TEXT.show(unit.shown))}</text>'
        for k, (kind, number) in enumerate(zip(("value", "partial"), unit.numbers, strict=False)):
            yield f'<text class="{kind}" x="{x:.1f}" y="{top + NUMBER * (k + 1):.1f}">{number.replace("-", "−")}</text>'


def tikz(network: Network) -> str:
    """A tikzpicture without further libraries."""
    all_ = placed(network)
    styles = {"given": "given", "step": "unit", "loss": "unit, very thick", "bias": "given, densely dashed"}
    out = [
        r"\begin{tikzpicture}[unit/.style={draw, circle, align=center, fill=blue!6, inner sep=0pt, "
        f"minimum size={2 * all_.radius * CM:.2f}cm}}, given/.style={{unit, fill=white}},",
        r"  weight/.style={fill=white, inner sep=1pt, font=\small, text=red!60!black}]",
    ]
    out += [rf"  \draw[gray] {_at(a)} .. controls {_at(b)} and {_at(c)} .. {_at(d)};" for a, b, c, d in all_.ways]
    for link, place in zip(network.links, all_.weights, strict=True):
        if link.weights:
            out.append(rf"  \node[weight] at {_at(place)} {{${', '.join(map(LATEX.show, link.weights))}$}};")
    for unit in network.units:
        out.append(rf"  \node[{styles[unit.role]}] at {_at(all_.places[unit.name])} {{{_inside(unit)}}};")
    return "\n".join([*out, "\\end{tikzpicture}\n"])


def _inside(unit: Unit) -> str:
    """The name of a unit, below it its value and, in red, the partial."""
    colours = ("", r"\color{red!60!black}")
    numbers = (rf"\\[-1pt]\scriptsize{colour}${LATEX.num(n)}$" for colour, n in zip(colours, unit.numbers, strict=False))
    return f"${LATEX.show(unit.shown)}$" + "".join(numbers)


def _at(point: Point) -> str:
    return f"({point[0] * CM:.2f},{-point[1] * CM:.2f})"


def document(network: Network) -> str:
    """A whole document with the picture shrunk to its page."""
    return graph.around(tikz(network))
