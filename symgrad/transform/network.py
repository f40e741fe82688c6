"""A program and small extents → the picture of its network: a unit a cell, a weight on every link.

    a[j] = sum(alpha[j,i]*x[i] for i)    links x_i → a_j with the weight α_ji
    a[j] = … + b[j]                      a link from a unit 1 with the weight b_j: a bias
    z[j] = f(a[j])                       no unit of its own: z_j stands where a_j does, if nothing else reads a_j

Parameters are weights; what reads them in another way, as a penalty does, is not drawn.

>>> from symgrad.frontend.text import parse
>>> p = parse("index j in 1..D; param w[j]; a = sum(w[j]*x[j] for j); y = tanh(a); J = (y - t)^2")
>>> drawn = network(p, "J", {"D": 2})
>>> [unit.name for unit in drawn.units], len(drawn.links)
(['x[1]', 'x[2]', 'y', 't', 'J'], 4)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import sympy as sp
from sympy import Expr

from symgrad.core.drawing import Link, Network, Unit
from symgrad.core.errors import SymgradError, did_you_mean
from symgrad.core.expr import (
    access,
    accesses,
    gathers,
    indices_of,
    is_access,
    is_reduction,
    name_of,
    split_reduction,
    substitute,
    where,
)
from symgrad.core.graph import ancestors, ordered
from symgrad.core.layout import Layout
from symgrad.core.meaning import Env, Place, compiled, ranging
from symgrad.core.program import Program, Statement, outer_first
from symgrad.core.tree import Num, Tree
from symgrad.transform.drawing import number_text

EXTENT = 3  # of every size that is not given
UNITS, LINKS, READS = 120, 400, 20_000  # that a picture has room for, that are looked at for it
ONE = "1"


@dataclass(frozen=True)
class Flow:
    """A statement reads `read` at each point of `limits` where `conditions` are as they say, times `weights`.

    `read` is None for the constant 1.
    """

    read: Expr | None = None
    limits: tuple[Any, ...] = ()
    conditions: tuple[tuple[Expr, bool], ...] = ()
    weights: tuple[Expr, ...] = ()


Flows = Mapping[Statement, tuple[Flow, ...]]


def network(program: Program, loss: str, sizes: Mapping[str, int] | None = None) -> Network:
    """The units that the loss depends on. `sizes` are extents by name; every other is 3.

    Raises SG614 (no such extent, or one below 0), SG509 (more than 120 units or 400 links).
    """
    params = frozenset(program.params)
    wanted = ancestors(program, [loss])
    statements = [s for s in ordered(program) if s.name in wanted]
    flows = {s: tuple(_flows(s.value, params)) for s in statements}
    drawing = _Cells(program, _extents(program, sizes or {}), _merged(program, flows, loss))
    for name in program.tensors:
        if name in wanted - params:
            drawing.add_units(name, "loss" if name == loss else "step" if name in program.definitions else "given")
    for statement, found in flows.items():
        drawing.add_links(statement, found)
    links = tuple(Link(start, end, tuple(weights)) for (start, end), weights in drawing.links.items())
    return _leading_to(loss, Network(tuple(drawing.units.values()), links))


def with_numbers(drawn: Network, program: Program, arrays: Mapping[str, Any], partials: Mapping[str, str], sizes: Env) -> Network:
    """Each unit with its value, and with the partial by it where `partials` names the array that holds it."""

    def numbers(unit: Unit) -> Iterator[str]:
        axes = program.tensors[unit.quantity].axes if unit.quantity else ()
        at = tuple(k - int(compiled(axis.lo)(None, sizes)) for k, axis in zip(unit.place, axes, strict=True))
        for name in (unit.quantity, partials.get(unit.quantity, "")):
            if name in arrays:
                yield number_text(np.asarray(arrays[name])[at])

    return replace(drawn, units=tuple(replace(unit, numbers=tuple(numbers(unit))) for unit in drawn.units))


def _leading_to(loss: str, whole: Network) -> Network:
    """The cells that the loss depends on: the last of a recurrence may be read by none."""
    starts: dict[str, list[str]] = {}
    for link in whole.links:
        starts.setdefault(link.end, []).append(link.start)
    seen, stack = {loss}, [loss]
    while stack:
        more = [name for name in starts.get(stack.pop(), ()) if name not in seen]
        seen.update(more)
        stack += more
    return Network(
        tuple(unit for unit in whole.units if unit.name in seen), tuple(link for link in whole.links if link.end in seen)
    )


def _extents(program: Program, sizes: Mapping[str, int]) -> Env:
    """All extents: those given by name, |i| by the name of its index."""
    indices = [axis for tensor in program.tensors.values() for axis in tensor.axes]
    indices += [index for statement in program.statements for index in statement.domain]
    inside = [limit for s in program.statements for flow in _flows(s.value, ()) for limit in flow.limits]
    ends = [end for index in indices for end in (index.lo, index.hi)] + [end for limit in inside for end in limit[1:]]
    bound = {index.symbol for index in indices} | {limit[0] for limit in inside}
    symbols = sorted({s for end in ends for s in end.free_symbols if s.is_integer} - bound, key=str)
    named = {size_name(symbol): symbol for symbol in symbols}
    for name, count in sizes.items():
        if name not in named:
            hint = did_you_mean(name, named) or (f"the sizes are {', '.join(named)}" if named else "it has none")
            raise SymgradError("SG614", f"{name} is no size of the model", hint=hint)
        if count < 0:
            raise SymgradError("SG614", f"the size {name} must be at least 0, and is {count}", hint=f"leave it out for {EXTENT}")
    return {symbol: sizes.get(name, EXTENT) for name, symbol in named.items()}


def size_name(symbol: Any) -> str:
    return str(symbol).strip("|")


def _flows(node: Any, params: Collection[str], here: Flow = Flow(), bias: bool = False) -> Iterator[Flow]:
    """What a value reads; `bias` where `node` is a term beside one that reads more than parameters."""
    if is_access(node):
        yield from _reads(node, params, here, bias)
    elif is_reduction(node):
        op, body, limits = split_reduction(node)
        yield from _flows(body, params, replace(here, limits=(*here.limits, *limits)), bias and op == "sum")
    elif node.func == where:
        yield from _choices(node, params, here, bias)
    elif node.is_Mul:
        yield from _factors(node, params, here, bias)
    elif node.is_Add:
        more = any(name_of(read) not in params for read in accesses(node))
        for term in node.args:
            yield from _flows(term, params, here, bias or more)
    else:
        for arg in node.args:
            yield from _flows(arg, params, replace(here, weights=()))


def _reads(read: Expr, params: Collection[str], here: Flow, bias: bool) -> Iterator[Flow]:
    gathered = [gather for index in indices_of(read) for gather in gathers(index)]
    weight = name_of(read) in params
    for gather in gathered:
        yield replace(here, read=gather, weights=(*here.weights, read) if weight else ())
    if not weight:
        yield replace(here, read=read)
    elif bias and not gathered:
        yield replace(here, read=None, weights=(*here.weights, read))


def _choices(node: Any, params: Collection[str], here: Flow, bias: bool) -> Iterator[Flow]:
    condition, yes, no = node.args
    known = not accesses(condition)
    if not known:
        yield from _flows(condition, params, here)
    for branch, holds in ((yes, True), (no, False)):
        taken = replace(here, conditions=(*here.conditions, (condition, holds))) if known else here
        yield from _flows(branch, params, taken, bias)


def _factors(node: Any, params: Collection[str], here: Flow, bias: bool) -> Iterator[Flow]:
    weights = tuple(f for f in node.args if is_access(f) and name_of(f) in params)
    others = [f for f in node.args if f not in weights and accesses(f)]
    if not others and len(weights) == 1:
        others, weights = list(weights), ()
    for weight in weights:
        yield from _reads(weight, params, here, False)  # what it is gathered by
    for factor in others:
        yield from _flows(factor, params, replace(here, weights=(*here.weights, *weights)), bias and len(others) == 1)


def _merged(program: Program, flows: Flows, loss: str) -> dict[str, str]:
    """Quantities that stand in the unit of what alone reads them, cell by cell."""
    reads: dict[str, list[tuple[Statement, Flow]]] = {}
    for statement, found in flows.items():
        reads.setdefault(statement.name, []).extend((statement, flow) for flow in found)
    same: dict[str, str] = {}
    for name, pairs in reads.items():
        names = {name_of(flow.read) if flow.read is not None else name for _, flow in pairs}
        if name == loss or len(names) != 1:
            continue
        (only,) = names
        alone = only != name and only in program.definitions and {s.name for s in program.users[only]} == {name}
        if alone and all(_cell_by_cell(*pair) for pair in pairs):
            same[only] = name
    return same


def _cell_by_cell(statement: Statement, flow: Flow) -> bool:
    assert flow.read is not None
    return not flow.limits and not flow.weights and indices_of(flow.read) == indices_of(statement.target)


class _Cells:
    """The units and links found so far."""

    def __init__(self, program: Program, env: Env, same: Mapping[str, str]):
        self.program, self.env, self.same = program, env, same
        self.layout = Layout.of(program)
        self.units: dict[str, Unit] = {}
        self.links: dict[tuple[str, str], dict[Tree, None]] = {}
        self.looked = 0

    def add_units(self, name: str, role: str) -> None:
        if name in self.same:
            return
        axes = self.program.tensors[name].axes
        for point in ranging([axis.limit for axis in axes])(None, self.env):
            place = tuple(point[axis.symbol] for axis in axes)
            shown = self.layout.access(access(name, *place))
            self.units[_key(name, place)] = Unit(_key(name, place), shown, role, name, place)
            if len(self.units) > UNITS:
                raise _too_large(f"{UNITS} units")

    def add_links(self, statement: Statement, flows: Iterable[Flow]) -> None:
        domain = ranging([index.limit for index in outer_first(statement.domain)])
        for outer in domain(None, self.env):
            (place,) = self.places(statement.target, outer)
            end = _key(self.standing(statement.name), place)
            for flow in flows:
                for point in ranging(flow.limits)(None, outer):
                    self._look()
                    if all(bool(compiled(condition)(None, point)) == holds for condition, holds in flow.conditions):
                        self.add_link(flow, point, end, statement.name)

    def add_link(self, flow: Flow, point: Env, end: str, name: str) -> None:
        starts = (
            [_key(self.standing(name_of(flow.read)), p) for p in self.places(flow.read, point)] if flow.read is not None else []
        )
        if flow.read is None:
            starts = [f"{ONE} of {name}"]
            self.units.setdefault(starts[0], Unit(starts[0], Num(ONE), "bias"))
        for start in starts:
            if start in self.units and start != end:
                weights = self.links.setdefault((start, end), {})
                weights.update((self.weight(read, point), None) for read in flow.weights)
        if len(self.links) > LINKS:
            raise _too_large(f"{LINKS} links")

    def weight(self, read: Expr, point: Env) -> Tree:
        return self.layout.access(substitute(read, {symbol: sp.Integer(value) for symbol, value in point.items()}))

    def standing(self, name: str) -> str:
        while name in self.same:
            name = self.same[name]
        return name

    def places(self, read: Expr, point: Env) -> list[Place]:
        """The cell of an access; all along an axis where the data say which."""
        choices = []
        for index, axis in zip(indices_of(read), self.program.tensors[name_of(read)].axes, strict=True):
            if gathers(index):
                choices.append([found[axis.symbol] for found in ranging([axis.limit])(None, self.env)])
            else:
                choices.append([int(compiled(index)(None, point))])
        return list(product(*choices))

    def _look(self) -> None:
        self.looked += 1
        if self.looked > READS:
            raise _too_large(f"{READS:,} reads")


def _key(name: str, place: Place) -> str:
    return f"{name}{list(place)}" if place else name


def _too_large(room: str) -> SymgradError:
    return SymgradError("SG509", f"the picture of the network would have more than {room}", hint="give smaller sizes")
