"""What is true of a model: its derivatives and contributions, as programs and, at random points, as numbers.

A derivative of the loss is the adjoint of the backward pass. dy/da of another quantity is the local derivative, of the
equations of y by the a they read, and `total` the one through all of the model in between.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import mpmath
import numpy as np
import sympy as sp
from sympy import Expr

from symgrad.answers.branches import Met, Place, Trace
from symgrad.core.affine import whole
from symgrad.core.errors import SymgradError
from symgrad.core.evaluate import evaluate
from symgrad.core.expr import access, accesses, indices_of, name_of, nodes, reduction, replace_nodes
from symgrad.core.program import Index, Program, Statement, Tensor
from symgrad.transform.collect import collect
from symgrad.transform.reverse import adjoint_names, jacobian, reverse
from symgrad.transform.simplify import tidy

DIGITS, MORE_DIGITS = 50, 250
TOLERANCE = mpmath.mpf(10) ** -30
INTERVALS = ((-1.5, 1.5), (0.1, 0.9), (-4.0, 4.0), (0.2, 2.5))  # of the values at a point: both signs, and logarithms exist
OTHERS = (*INTERVALS, (-0.05, 0.05), (-1.2, -0.1), (-12.0, 12.0), (2.0, 12.0), (-12.0, -2.0))  # tried for cases that are not met
PIECES = ("where", "abs", "sign", "relu", "leaky_relu", "elu", "selu", "clip", "maximum", "minimum", "floor", "ceil",
          "reduce_max", "reduce_min", "reduce_argmax", "reduce_argmin")  # fmt: skip
EXTREMES = ("max", "min", "argmax", "argmin")
TRIES, TRIES_WITH_CASES = 24, 120  # to meet what the first points have not
HALVINGS = 30
Arrays = dict[str, Any]
Key = tuple[str, str, bool]  # top, bottom, total


@dataclass
class Point:
    """Values of everything at one random point; `sizes` of the extents. `derivatives` fills as they are asked for.

    `trace`: the cases of the model that it lies in.
    """

    sizes: Mapping[Any, int]
    given: Arrays
    values: Arrays
    derivatives: dict[Key, Any] = field(default_factory=dict)
    trace: Trace = field(default_factory=Trace)
    digits: int = DIGITS


class Truth:
    """The derivatives of one model, `steps`, with this loss. The loss may be None where a claim never needs it."""

    def __init__(self, steps: Program, loss: str | None):
        self.steps, self.loss = steps, loss
        self.programs: dict[Key, tuple[Program, str] | None] = {}
        self.alone: dict[tuple[Statement, str], tuple[Program, str] | None] = {}

    @cached_property
    def raw(self) -> Program:
        reals = [name for name in self.steps.free if self.steps.tensors[name].values is None]
        try:
            return reverse(self.steps, self.loss or "", reals)
        except SymgradError as error:
            if error.code != "SG405":
                raise
        # what a floor reads has no derivative; claims about the others can be checked
        return reverse(self.steps, self.loss or "", [name for name in reals if self._differentiable(name)])

    def _differentiable(self, name: str) -> bool:
        try:
            reverse(self.steps, self.loss or "", [name])
        except SymgradError as error:
            if error.code in ("SG405", "SG406"):
                return False
            raise
        return True

    @cached_property
    def whole(self) -> Program:
        """Primal and adjoint statements, one for each adjoint."""
        joint = collect(self.raw, "one")
        return joint.with_statements(s.with_value(tidy(s.value)) if s.origin.contributions else s for s in joint.statements)

    @property
    def whole_functions(self) -> Mapping[str, Any]:
        """The user's functions and their derivatives."""
        return self.whole.functions if self.loss is not None else self.steps.functions

    @cached_property
    def bars(self) -> Mapping[str, str]:
        return adjoint_names(self.whole, self.loss or "")

    def tensor(self, key: Key, name: str) -> Tensor:
        """The array of a derivative: the axes of top, then those of bottom."""
        top, bottom, _ = key
        axes = (*self.steps.tensors[top].axes, *self.steps.tensors[bottom].axes)
        return Tensor(name, axes, "input")

    def program(self, key: Key) -> tuple[Program, str] | None:
        """The program that computes a derivative, and the derivative's name in it; None where it is 0 everywhere."""
        if key not in self.programs:
            self.programs[key] = self._program(key)
        return self.programs[key]

    def _program(self, key: Key) -> tuple[Program, str] | None:
        top, bottom, total = key
        if top == self.loss and not total:
            return (self.whole, self.bars[bottom]) if bottom in self.bars else None
        return self._jacobian(top, bottom, None if total else self.steps.definitions.get(top, ()))

    def _jacobian(self, top: str, bottom: str, local: Sequence[Statement] | None) -> tuple[Program, str] | None:
        """The derivative through the whole model, or through these equations of top alone."""
        program = self.steps
        if local is not None:
            program = program.with_statements(_reading_copy(s, top, bottom) for s in local)
            bottom = f"{bottom}_read" if top == bottom else bottom
            if bottom not in program.tensors and bottom.endswith("_read"):
                own = replace(self.steps.tensors[top], name=bottom, role="input")
                program = program.with_statements(program.statements, [own])
        try:
            joint = collect(jacobian(program, top, [bottom]), "one")
        except SymgradError as error:
            if error.code != "SG406":
                raise
            return None
        found = adjoint_names(joint, top).get(bottom)
        return None if found is None else (joint, found)

    def is_local(self, top: str, bottom: str) -> bool:
        """True where the equations of top read bottom."""
        return any(bottom in statement.read_names for statement in self.steps.definitions.get(top, ()))

    def values(self, key: Key, point: Point) -> Any:
        """The array of a derivative at a point."""
        if key not in point.derivatives:
            point.derivatives[key] = self._values(key, point)
        return point.derivatives[key]

    def _values(self, key: Key, point: Point) -> Any:
        top, bottom, total = key
        if top == bottom and (total or top == self.loss):
            return _identity(self.shape(top, point), point)
        return self._found(self.program(key), key, point)

    def _found(self, found: tuple[Program, str] | None, key: Key, point: Point) -> Any:
        top, bottom, total = key
        if found is None:
            return _zeros((*self.shape(top, point), *self.shape(bottom, point)))
        program, name = found
        if top == self.loss and not total:
            return point.values[name]
        known = {**point.given, **point.values}
        known[f"{bottom}_read"] = known[bottom]
        return evaluate(program, {n: known[n] for n in program.free}, point.digits, dict(point.sizes))[name]

    def equations(self, top: str, bottom: str) -> list[Statement]:
        """The equations of top that read bottom, where it has several equations."""
        found = self.steps.definitions.get(top, ())
        return [s for s in found if bottom in s.read_names] if len(found) > 1 else []

    def of_equation(self, statement: Statement, bottom: str, point: Point) -> Any:
        """The derivative of one equation of several; None where it defines no cell."""
        key = (statement.name, bottom, False)
        if (statement, bottom) not in self.alone:
            self.alone[statement, bottom] = self._jacobian(statement.name, bottom, [statement])
        array = np.array(self._found(self.alone[statement, bottom], key, point), dtype=object)
        inside = np.zeros(self.shape(statement.name, point), dtype=bool)
        axes = self.steps.tensors[statement.name].axes
        for env in points_of(statement.outer, dict(point.sizes)):
            place = zip(indices_of(statement.target), axes, strict=True)
            inside[tuple(whole(i, env) - whole(axis.lo, env) for i, axis in place)] = True
        array[~inside] = None
        return array[()]

    def shape(self, name: str, point: Point) -> tuple[int, ...]:
        return tuple(whole(extent, point.sizes) for extent in self.steps.tensors[name].extents)

    def contributions(self, name: str, point: Point) -> list[Any]:
        """What each equation of the model adds to the adjoint of `name`, as arrays of its shape."""
        bar = self.bars.get(name)
        by_equation: dict[int, list[Statement]] = {}
        for statement in self.raw.definitions.get(bar or "", ()):
            by_equation.setdefault(id(statement.origin.contributions[0].primal), []).append(statement)
        known = {**point.given, **point.values}
        out = []
        for group in [*([s] for found in by_equation.values() if len(found) > 1 for s in found), *by_equation.values()]:
            # under another name: in a recurrence the adjoint is read too, and is known
            program = self.raw.with_statements(replace(s, target=access("part_", *indices_of(s.target))) for s in group)
            arrays = {n: known[n] for n in {n: None for s in group for n in s.read_names}}
            tensors = {n: replace(program.tensors[n], role="input") for n in arrays}
            tensors["part_"] = replace(program.tensors[bar or ""], name="part_")
            out.append(evaluate(replace(program, tensors=tensors), arrays, point.digits, dict(point.sizes))["part_"])
        return out

    # points

    @cached_property
    def branches(self) -> bool:
        """True where a quantity has cases, all of which points must meet."""
        found = (node.func.__name__ for s in self.steps for node in nodes(s.value) if hasattr(node.func, "__name__"))
        return any(name in PIECES or name.startswith("call_") for name in found) or any(s.op in EXTREMES for s in self.steps)

    def points(self, count: int, seed: int = 0, given: Sequence[tuple[Expr, Expr]] = ()) -> list[Point]:
        """At least `count` points, if there are, at which every quantity is a finite real number.

        They have different extents, and more are tried until every case of the model has been met and every input has had
        both signs, each in an interval of its own; a logarithm elsewhere may allow a sign at few of the points.
        """
        rng = random.Random(seed)
        out: list[Point] = []
        extents = self.extents()
        if not extents:
            return out
        for attempt in range(6 * count):
            if len(out) == count:
                break
            low, high = INTERVALS[(attempt // len(extents)) % len(INTERVALS)]
            point = self._point(self._inputs(extents[attempt % len(extents)], rng, [(low, high)]), given)
            out += [point] if point is not None else []
        return [*out, *self.more(out, rng, given)]

    def more(self, found: Sequence[Point], rng: random.Random, given: Sequence[tuple[Expr, Expr]] = ()) -> Iterator[Point]:
        """Points that meet what those found have not."""
        met = Met()
        for known in found:
            self._meet(met, known)
        extents = self.extents()
        for attempt in range(TRIES_WITH_CASES if self.branches else TRIES):
            if met.complete():
                return
            wide = OTHERS if attempt >= TRIES // 2 else INTERVALS
            point = self._point(self._inputs(extents[attempt % len(extents)], rng, wide), given)
            if point is not None and self._meet(met, point):
                yield point

    def scattered(self) -> Iterator[Point]:
        """Points with every input in an interval of its own, among them far ones."""
        rng, extents = random.Random(2), self.extents()
        for attempt in range(TRIES_WITH_CASES):
            if (point := self._point(self._inputs(extents[attempt % len(extents)], rng, OTHERS), ())) is not None:
                yield point

    def _meet(self, met: Met, point: Point) -> bool:
        both = Trace(dict(point.trace.cases), dict(point.trace.counts))
        for name, array in point.given.items():
            for value in np.asarray(array, dtype=object).flat:
                both.cases[f"sign of {name}", (value > 0,)] = bool(value > 0)
            both.counts[f"sign of {name}"] = 1 if self.steps.tensors[name].values is not None else 2
        return met.add(both)

    def between(self, one: Point, two: Point, place: Place, case: Any) -> list[Point]:
        """Two points between these, close to one another, on the two sides of where a test changes at one cell."""
        if any(self.steps.tensors[n].values is not None and np.any(one.given[n] != two.given[n]) for n in one.given):
            return []
        first = case(one)
        for _ in range(HALVINGS):
            with mpmath.workdps(DIGITS):
                arrays = {n: (one.given[n] + two.given[n]) / 2 if self.steps.tensors[n].values is None else one.given[n]
                          for n in one.given}  # fmt: skip
            middle = self._at(arrays, one.sizes)
            if middle is None:
                return []
            one, two = (middle, two) if case(middle) == first else (one, middle)
        return [one, two]

    def sharper(self, point: Point) -> Point:
        """The same point with more digits: where 1 - y has lost most of 50, a difference means little."""
        return self._at(dict(point.given), point.sizes, MORE_DIGITS) or point

    def extents(self) -> list[dict[Any, int]]:
        """Two choices of small numbers for all extents; any two extents differ in one of them, if that can be."""
        symbols = _extent_symbols(self.steps)
        if not symbols:
            return [{}]
        if len(symbols) > 3 and (pair := self._small_extents(symbols)):
            return pair
        pool = range(2, 4 + len(symbols))
        found: list[dict[Any, int]] = []
        for numbers in itertools.islice(itertools.permutations(pool, len(symbols)), 2000):
            sizes = dict(zip(symbols, numbers, strict=True))
            if all(whole(fact, sizes) >= 2 for fact in self.steps.facts):
                found.append(sizes)
            if len(found) == 40:
                break
        found.sort(key=lambda sizes: sum(sizes.values()))
        return (
            [found[0], *(s for s in found[1:] if list(s.values()) == list(found[0].values())[::-1]), *found[1:]][:2]
            if found
            else []
        )

    def _small_extents(self, symbols: Sequence[Any]) -> list[dict[Any, int]]:
        """Two choices from 2, 3 and 4 for many extents: an array has as many cells as the product of its extents."""
        every = itertools.islice(itertools.product((2, 3, 4), repeat=len(symbols)), 20_000)
        fit = [n for n in every if all(whole(f, dict(zip(symbols, n, strict=True))) >= 2 for f in self.steps.facts)]
        fit.sort(key=math.prod)
        for one in [n for n in fit if max(map(n.count, n)) <= 3][:20]:
            for two in fit:
                if len(set(zip(one, two, strict=True))) == len(symbols):
                    return [dict(zip(symbols, n, strict=True)) for n in (one, two)]
        return []

    def _inputs(
        self, sizes: dict[Any, int], rng: random.Random, intervals: Sequence[tuple[float, float]]
    ) -> tuple[dict[Any, int], Arrays]:
        """Extents and random inputs, each in one of the intervals."""
        return sizes, {name: self._random(name, sizes, rng, *rng.choice(intervals)) for name in self.steps.free}

    def _point(self, inputs: tuple[dict[Any, int], Arrays], given: Any) -> Point | None:
        sizes, arrays = inputs
        with mpmath.workdps(DIGITS):
            if given and not satisfy(self.steps, given, arrays, sizes):
                return None
        return self._at(arrays, sizes)

    def _at(self, arrays: Arrays, sizes: Mapping[Any, int], digits: int = DIGITS) -> Point | None:
        trace = Trace()
        try:
            program = self.whole if self.loss is not None else self.steps
            values = evaluate(program, arrays, digits, dict(sizes), trace)
        except (ValueError, ZeroDivisionError, OverflowError, TypeError) as error:
            if isinstance(error, SymgradError) and error.code not in ("SG601", "SG605"):
                raise
            return None
        return Point(sizes, arrays, values, trace=trace, digits=digits) if all(map(_finite, values.values())) else None

    def _random(self, name: str, sizes: Mapping[Any, int], rng: random.Random, low: float, high: float) -> Any:
        tensor = self.steps.tensors[name]
        out = np.empty(tuple(whole(extent, sizes) for extent in tensor.extents), dtype=object)
        for cell in np.ndindex(out.shape):
            if tensor.values is not None:
                out[cell] = rng.randint(*(whole(end, sizes) for end in tensor.values))
            else:
                out[cell] = mpmath.mpf(rng.uniform(low, high))
        return out[()]


def satisfy(program: Program, given: Iterable[tuple[Expr, Expr]], arrays: Arrays, sizes: Mapping[Any, int]) -> bool:
    """Change given arrays so that the assumptions hold, an equality at a time by Newton's step on one entry."""
    tests = [_Assumption(program, left, right, sizes) for left, right in given]
    for _ in range(3):
        for test in tests:
            test.enforce(arrays)
        if all(abs(r) < TOLERANCE for test in tests for _, r in test.residuals(arrays)):
            return True
    return False


class _Assumption:
    def __init__(self, program: Program, left: Expr, right: Expr, sizes: Mapping[Any, int]):
        self.sizes = dict(sizes)
        value = left - right
        self.reads = tuple(dict.fromkeys(map(name_of, accesses(value))))
        self.names = [name for name in self.reads if name in program.free and program.tensors[name].values is None]
        self.program = program
        domain = []
        for symbol in sorted(value.free_symbols, key=str):
            axis = _axis_of(symbol, accesses(value), program)
            if symbol not in sizes and axis is not None and not isinstance(symbol, sp.IndexedBase):
                domain.append(axis)
        self.domain = tuple(domain)
        self.value = value

    def residuals(self, arrays: Arrays) -> Iterator[tuple[tuple[int, ...], Any]]:
        if not all(name in arrays for name in self.reads):
            raise SymgradError("SG616", f"the assumption on {', '.join(self.reads)} is about what is computed, not given")
        target = access("residual_", *(i.symbol for i in self.domain))
        tensors = {n: self.program.tensors[n] for n in self.reads}
        tensors["residual_"] = Tensor("residual_", self.domain, "defined")
        part = Program((Statement(target, self.value, self.domain),), tensors)
        found = np.asarray(evaluate(part, {n: arrays[n] for n in self.reads}, DIGITS, self.sizes)["residual_"], dtype=object)
        for cell in np.ndindex(found.shape):
            yield cell, found[cell]

    def enforce(self, arrays: Arrays) -> None:
        for cell in [cell for cell, _ in self.residuals(arrays)]:
            now = dict(self.residuals(arrays))[cell]
            if abs(now) >= TOLERANCE:
                self._newton(arrays, cell, now)

    def _newton(self, arrays: Arrays, cell: tuple[int, ...], now: Any) -> None:
        for name in self.names:
            array = np.array(arrays[name], dtype=object)
            for entry in np.ndindex(array.shape):
                array[entry] += 1
                slope = dict(self.residuals({**arrays, name: array[()]}))[cell] - now
                array[entry] -= 1
                if slope != 0:
                    array[entry] -= now / slope
                    arrays[name] = array[()]
                    return


def _axis_of(symbol: Any, reads: Iterable[Expr], program: Program) -> Any:
    for read in reads:
        for index, axis in zip(indices_of(read), program.tensors[name_of(read)].axes, strict=True):
            if index == symbol:
                return replace(axis, symbol=symbol)
    return None


def targets_sum_to_one(program: Program) -> list[tuple[Expr, Expr]]:
    """The textbook's Σ_k y*_k = 1, for every array of targets."""
    out = []
    for name in program.free:
        axes = program.tensors[name].axes
        if name.endswith("_star") and axes:
            last = axes[-1]
            out.append((reduction("sum", access(name, *(a.symbol for a in axes)), [last.limit]), sp.S.One))
    return out


def points_of(domain: Sequence[Index], env: dict[Any, int]) -> Iterator[dict[Any, int]]:
    """The values of the indices, added to those of the extents."""
    if not domain:
        yield env
        return
    lo, hi = (whole(end, env) for end in (domain[0].lo, domain[0].hi))
    for here in range(lo, hi + 1):
        yield from points_of(domain[1:], {**env, domain[0].symbol: here})


def _reading_copy(statement: Statement, top: str, bottom: str) -> Statement:
    """For dh/dh, the h that is read as another quantity than the h that is defined."""
    if top != bottom:
        return statement
    copies = {r: access(f"{top}_read", *indices_of(r)) for r in accesses(statement.value) if name_of(r) == top}
    return statement.with_value(replace_nodes(statement.value, copies))


def _extent_symbols(program: Program) -> list[Any]:
    indices = [axis for tensor in program.tensors.values() for axis in tensor.axes]
    indices += [*program.ranges.values(), *(index for statement in program for index in statement.domain)]
    inner = {index.symbol for index in indices}
    ends = {s for index in indices for s in (index.lo + index.hi).free_symbols}
    ends |= {s for tensor in program.tensors.values() for end in tensor.values or () for s in end.free_symbols}
    return sorted(ends - inner, key=str)


def _finite(array: Any) -> bool:
    return all(
        isinstance(v, int) or (isinstance(v, mpmath.mpf) and mpmath.isfinite(v)) for v in np.asarray(array, dtype=object).flat
    )


def _zeros(shape: tuple[int, ...]) -> Any:
    out = np.empty(shape, dtype=object)
    out.fill(mpmath.mpf(0))
    return out[()]


def _identity(shape: tuple[int, ...], point: Point) -> Any:
    out = np.asarray(_zeros(shape + shape), dtype=object)
    for cell in np.ndindex(shape):
        out[cell + cell] = mpmath.mpf(1)
    return out[()]


def size_symbols(program: Program) -> list[Any]:
    """The symbols of all extents, by name."""
    return _extent_symbols(program)
