"""A graph with sizes → places on a page, in layers: the loss on top, what it needs below.

    layer of a node      the longest path from it up to the loss (edges that close a ring are turned round)
    order in a layer     barycentre sweeps, the order with the fewest crossings is kept (Sugiyama, Tagawa, Toda 1981)
    place in a layer     as near to the mean of the neighbours as its neighbours in the layer allow (least squares)

Labels of edges are nodes of layers between the others, so that they never lie on one another.

>>> placed = place({"J": (20, 10), "x": (20, 10)}, [("x", "J", (30, 8))])
>>> placed.boxes["J"].y < placed.stops[0][0].y < placed.boxes["x"].y
True
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from symgrad.core.graph import topological

Size: TypeAlias = tuple[float, float]
Key: TypeAlias = str | tuple[int, int]  # a node, or (edge, layer) for a stop on an edge
Wire: TypeAlias = tuple[str, str, Size | None]  # start, end, the size of the label

GAP_X, GAP_Y, STOP, MARGIN, SWEEPS, BESIDE = 26.0, 24.0, (14.0, 0.0), 16.0, 12, 10.0


@dataclass(frozen=True)
class Box:
    """A rectangle by its middle."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Placement:
    """`stops`: the boxes on the way of every edge from its lower to its upper end, the first is that of its label;
    none for a loop. `low` is the node at its lower end."""

    boxes: Mapping[str, Box]
    stops: tuple[tuple[Box, ...], ...]
    low: tuple[str, ...]
    width: float
    height: float


def place(sizes: Mapping[str, Size], edges: Sequence[Wire]) -> Placement:
    """Places of all nodes and labels; y grows downwards."""
    layer = layers(list(sizes), [(start, end) for start, end, _ in edges])
    rows: list[list[Key]] = [[] for _ in range(2 * max(layer.values(), default=0) + 1)]
    extent: dict[Key, Size] = {name: sizes[name] for name in sizes}
    for name in sizes:
        rows[2 * layer[name]].append(name)
    links: list[tuple[Key, Key]] = []
    lows = [max(start, end, key=lambda name: layer[name]) for start, end, _ in edges]
    for number, (start, end, label) in enumerate(edges):
        low, high = lows[number], end if lows[number] == start else start
        way: list[Key] = [(number, at) for at in range(2 * layer[low] - 1, 2 * layer[high], -1)]
        for key in way:
            rows[key[1]].append(key)  # type: ignore[index]
            extent[key] = label if key == way[0] and label else STOP
        chain: list[Key] = [low, *way, high] if way else []
        links += pairwise(chain)
    near = neighbours(extent, links)
    rows = untangled(rows, near)
    # the edge of a label runs along its left side
    aside: dict[Key, float] = {key: BESIDE - extent[key][0] / 2 for key in extent if isinstance(key, tuple) and extent[key] != STOP}
    x, y = abscissae(rows, extent, near, aside), ordinates(rows, extent)
    left = min((x[k] - extent[k][0] / 2 for k in extent), default=0) - MARGIN
    box = {k: Box(x[k] - left, y[k], *extent[k]) for k in extent}
    right = max((b.x + b.width / 2 for b in box.values()), default=0) + MARGIN
    bottom = max((b.y + b.height / 2 for b in box.values()), default=0) + MARGIN
    stops = tuple(tuple(box[k, at] for at in range(2 * layer[low] - 1, 0, -1) if (k, at) in box) for k, low in enumerate(lows))
    return Placement({name: box[name] for name in sizes}, stops, tuple(lows), right, bottom)


def layers(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The longest path from each node to the top; rings are cut where they close."""
    needs: dict[str, list[str]] = {name: [] for name in names}
    for start, end in edges:
        needs[end].append(start)
    rank = {name: place for place, name in enumerate(topological(needs))}
    above: dict[str, list[str]] = {name: [] for name in names}
    for start, end in edges:
        if start != end:
            low, high = sorted((start, end), key=rank.__getitem__)
            above[low].append(high)
    out: dict[str, int] = {}
    for name in sorted(names, key=rank.__getitem__, reverse=True):
        out[name] = max((out[other] + 1 for other in above[name]), default=0)
    return out


def neighbours(extent: Mapping[Key, Size], links: Sequence[tuple[Key, Key]]) -> dict[Key, tuple[list[Key], list[Key]]]:
    """Of every key those above and those below."""
    near: dict[Key, tuple[list[Key], list[Key]]] = {key: ([], []) for key in extent}
    for low, high in links:
        near[low][0].append(high)
        near[high][1].append(low)
    return near


Near: TypeAlias = Mapping[Key, tuple[list[Key], list[Key]]]


def untangled(rows: list[list[Key]], near: Near) -> list[list[Key]]:
    """The rows in the order with the fewest crossings met."""
    best, fewest = [list(row) for row in rows], crossings(rows, near)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        order = range(1, len(rows)) if down else range(len(rows) - 2, -1, -1)
        for at in order:
            other = {key: place for place, key in enumerate(rows[at - 1 if down else at + 1])}
            here = {key: place for place, key in enumerate(rows[at])}
            side = 0 if down else 1

            def middle(key: Key, other: Mapping[Key, int] = other, here: Mapping[Key, int] = here, side: int = side) -> float:
                found = [other[k] for k in near[key][side]]
                return sum(found) / len(found) if found else float(here[key])

            rows[at].sort(key=middle)
        if (count := crossings(rows, near)) < fewest:
            best, fewest = [list(row) for row in rows], count
    return best


def crossings(rows: Sequence[Sequence[Key]], near: Near) -> int:
    """Pairs of links that cross."""
    total = 0
    for upper, lower in pairwise(rows):
        place = {key: k for k, key in enumerate(upper)}
        ends = [sorted(place[k] for k in near[key][0]) for key in lower]
        seen: list[int] = []
        for group in ends:
            total += sum(other > here for here in group for other in seen)
            seen += group
    return total


def abscissae(
    rows: Sequence[Sequence[Key]], extent: Mapping[Key, Size], near: Near, aside: Mapping[Key, float]
) -> dict[Key, float]:
    """The middle of each box; its edges pass `aside` of it."""
    x: dict[Key, float] = {}
    for row in rows:
        for key, at in zip(row, spread([0.0] * len(row), [extent[k][0] for k in row]), strict=True):
            x[key] = at
    for sweep in range(2 * SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = [_wanted(key, x, near, aside) for key in row]
            x.update(zip(row, spread(wanted, [extent[k][0] for k in row]), strict=True))
    return x


def _wanted(key: Key, x: Mapping[Key, float], near: Near, aside: Mapping[Key, float]) -> float:
    places = [x[k] + aside.get(k, 0.0) for side in near[key] for k in side]
    return sum(places) / len(places) - aside.get(key, 0.0) if places else x[key]


def spread(wanted: Sequence[float], widths: Sequence[float]) -> list[float]:
    """The places nearest to `wanted` in least squares at which no two overlap: monotone regression by pooling.

    >>> spread([0, 0], [10, 10])
    [-18.0, 18.0]
    """
    shifts, total = [], 0.0
    for k, width in enumerate(widths):
        total += (width + widths[k - 1]) / 2 + GAP_X if k else 0
        shifts.append(total)
    pools: list[tuple[float, int]] = []  # mean, count
    for want, shift in zip(wanted, shifts, strict=True):
        mean, count = want - shift, 1
        while pools and pools[-1][0] > mean:
            other, more = pools.pop()
            mean, count = (mean * count + other * more) / (count + more), count + more
        pools.append((mean, count))
    flat = [mean for mean, count in pools for _ in range(count)]
    return [at + shift for at, shift in zip(flat, shifts, strict=True)]


def ordinates(rows: Sequence[Sequence[Key]], extent: Mapping[Key, Size]) -> dict[Key, float]:
    out: dict[Key, float] = {}
    top = MARGIN
    for row in rows:
        height = max((extent[key][1] for key in row), default=0.0)
        out.update((key, top + height / 2) for key in row)
        top += height + GAP_Y
    return out
