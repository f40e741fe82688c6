"""Claims beside the truth: at which points the two are compared, and whether they are equal there.

Points meet all cases of a claim and of the model, and lie on both sides of every boundary between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import mpmath
import numpy as np
from sympy import Expr

from symgrad.answers.branches import SIGNED, Met, Trace, above_zero, apart
from symgrad.answers.reading import Reading, read
from symgrad.answers.truth import TOLERANCE, Point, Truth, targets_sum_to_one
from symgrad.answers.words import test_text
from symgrad.core.draft import Claim
from symgrad.core.errors import SymgradError
from symgrad.core.expr import nodes
from symgrad.transform.simplify import plain_bound

POINTS, POINTS_WITH_CASES = 6, 24  # each case of a where or relu must be met
Array = Any
Wanted = Callable[[Point], Array]


@dataclass
class Case:
    """A claim being judged: it is right if it equals one of `wanted` at all points."""

    claim: Claim
    reading: Reading
    wanted: list[Wanted]
    points: list[Point]
    alone: bool = False
    met: Met | None = None
    traces: dict[int, tuple[Point, Trace]] = field(default_factory=dict)


class Comparing:
    """Comparisons of the claims on one model."""

    def __init__(self, truth: Truth):
        self.truth = truth
        self.count = POINTS_WITH_CASES if truth.branches else POINTS
        self.places = truth.points(self.count)
        self.edges: dict[Any, list[Point]] = {}
        self.under: dict[tuple[tuple[Expr, Expr], ...], list[Point]] = {}
        if len(self.places) < 3:
            raise SymgradError("SG616", "the model has no finite value at any of the random points that were tried")

    def case(self, claim: Claim, local: bool = False) -> Case:
        """What a claim is compared with; `local`: beside a contribution, where it may speak of one of several equations."""
        reading = read(claim, self.truth)
        wanted: list[Wanted] = [lambda point: self.truth.values(reading.key, point)]
        if not any(True for point in self.places for _ in reading.cells(self.truth, point)):
            raise SymgradError("SG309", "no cell of the left side exists at the extents that are tried", claim.span)
        top, bottom, total = reading.key
        if claim.op == "+=" and top == self.truth.loss:
            count = len(self.truth.contributions(bottom, self.places[0]))
            wanted += [lambda point, k=k: self.contribution(bottom, k, point) for k in range(count)]  # type: ignore[misc]
        elif top != self.truth.loss and top != bottom and not total:
            wanted.append(lambda point: self.truth.values((top, bottom, True), point))
        alone = self.truth.equations(top, bottom) if local and not total else []
        wanted += [lambda point, s=s: self.truth.of_equation(s, bottom, point) for s in alone]  # type: ignore[misc]
        return Case(claim, reading, wanted, self.places, bool(alone))

    def contribution(self, name: str, place: int, point: Point) -> Array:
        key = (f"+{place}", name, False)
        if key not in point.derivatives:
            for k, array in enumerate(self.truth.contributions(name, point)):
                point.derivatives[f"+{k}", name, False] = array
        return point.derivatives[key]

    def equal(self, reading: Reading, wanted: Wanted, points: Sequence[Point]) -> bool:
        return all(self.difference(reading, wanted, point) is None for point in points)

    def surely(self, reading: Reading, wanted: Wanted, points: Sequence[Point]) -> bool:
        """As `equal`, where a difference has to be one with more digits too."""
        for point in points:
            if self.difference(reading, wanted, point) and self.difference(reading, wanted, self.truth.sharper(point)):
                return False
        return True

    def difference(self, reading: Reading, wanted: Wanted, point: Point) -> tuple[Any, Any, Any] | None:
        """(cell, claimed, true) of the first cell where they differ."""
        array = np.asarray(wanted(point), dtype=object)
        scale = max([abs(v) for v in array.flat if v is not None] + [mpmath.mpf(10) ** -10])
        compared = False
        for cell, value in reading.claimed(self.truth, point):
            if any(not 0 <= k < n for k, n in zip(cell, array.shape, strict=True)):
                raise SymgradError("SG605", f"the left side leaves the array: cell {cell} of {array.shape}")
            true = array[cell]
            if true is None:
                continue
            compared = True
            if value is None or isinstance(value, mpmath.mpc) or not abs(value - true) <= TOLERANCE * max(scale, abs(value)):
                return cell, value, true
        return None if compared or not any(v is None for v in array.flat) else ((), None, None)

    def traced(self, case: Case, point: Point) -> Trace:
        """The cases that a point lies in, of the model and of the claim."""
        if id(point) not in case.traces:
            trace = Trace(dict(point.trace.cases), dict(point.trace.counts))
            for _ in case.reading.claimed(self.truth, point, trace):
                pass
            case.traces[id(point)] = point, trace  # the point too, so that no other gets its id
        return case.traces[id(point)][1]

    def has_cases(self, case: Case) -> bool:
        return any(self.traced(case, point).cases for point in self.places[:2])

    def beside(self, case: Case) -> list[Point]:
        """Points in cases that only the claim has, and on both sides of every boundary, where two tests that differ show it."""
        if not self.has_cases(case):
            return []
        out = self.meeting(case)
        for test, (one, two, place) in apart((p, self.traced(case, p)) for p in [*self.places, *out]).items():
            if test not in self.edges:
                found = self.truth.between(one, two, place, lambda p, at=place: self.traced(case, p).cases.get(at))  # type: ignore[misc]
                self.edges[test] = found
            out += self.edges[test]
        case.points = [*self.places, *out]
        case.met = self.met(case, case.points)
        return out

    def met(self, case: Case, points: Iterable[Point]) -> Met:
        met = Met()
        for point in points:
            met.add(self.traced(case, point))
        return met

    def meeting(self, case: Case) -> list[Point]:
        met = self.met(case, self.places)
        out: list[Point] = []
        if not met.complete():
            for point in self.truth.scattered():
                if met.add(self.traced(case, point)):
                    out.append(point)
        return out

    def unmet(self, case: Case) -> tuple[str, ...]:
        """What the verdict says nothing of: cases that no point has met, of the claim or of what it is compared with."""
        if case.met is None:
            return ()
        top, _, total = case.reading.key
        statements = self.truth.steps.statements if top == self.truth.loss or total else self.truth.steps.definitions.get(top, ())
        inside = {n for value in (case.reading.value, *(s.value for s in statements)) for n in nodes(value)}
        tests = {a for n in inside for a in (n, *(above_zero(x) for x in n.args[:1] if n.func.__name__ in SIGNED))}
        tests |= {s.target for s in statements if s.op}
        return tuple(self.never(test, cases) for test, cases in case.met.missing() if test in tests)

    def never(self, test: Any, cases: Sequence[Any]) -> str:
        said = test_text(test, self.truth.steps)
        if cases in ((True,), (False,)):
            value = str(cases[0]).lower()
            return f"{said} was {value} at all points that were tried: the other branch was never reached"
        return f"of the cases of {said} some were never reached at the points that were tried"

    def satisfying(self, given: tuple[tuple[Expr, Expr], ...]) -> list[Point]:
        if given not in self.under:
            self.under[given] = self.truth.points(self.count, 1, given)
        return self.under[given]

    def assumptions(self) -> list[tuple[tuple[Expr, Expr], ...]]:
        stated = tuple(self.truth.steps.assumptions)
        sets = [*((one,) for one in stated), *([stated] if len(stated) > 1 else [])]
        sets += [
            (one,) for one in targets_sum_to_one(self.truth.steps) if plain_bound(one[0]) not in [plain_bound(a) for a, _ in stated]
        ]
        return sets
