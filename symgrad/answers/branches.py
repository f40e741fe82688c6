"""Which cases points have met: the branches of where, relu, abs, max and floor in a model and in a claim about it.

An evaluation tells a `Trace` what decides, as numbers; the trace keeps which case that is, for each cell.

>>> from symgrad.core.evaluate import evaluate
>>> from symgrad.frontend.text import parse
>>> trace = Trace()
>>> found = evaluate(parse("J = relu(x) + y"), {"x": 3, "y": 1}, watch=trace)
>>> list(trace.cases.values()), [(str(test), count) for test, count in trace.counts.items()]
([True], [('x > 0', 2)])
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations, product
from typing import Any

import mpmath
import sympy as sp
from sympy import Expr

from symgrad.core.expr import is_access, is_reduction, where

SIGNED = ("abs", "sign", "relu", "leaky_relu", "elu", "selu")  # one formula above 0, another below
STEPS = ("floor", "ceil")  # of many cases, two show that it is no constant
EXTREMES = {"max": max, "argmax": max, "maximum": max, "min": min, "argmin": min, "minimum": min}
Place = tuple[Any, tuple[Any, ...]]


@dataclass
class Trace:
    """The case of each test at each cell. `counts`: how many different ones there should be."""

    cases: dict[Place, Any] = field(default_factory=dict)
    counts: dict[Any, int] = field(default_factory=dict)

    def __call__(self, expr: Expr, env: dict[Any, Any], by: Any) -> None:
        if (found := _case(expr, env, by)) is None:
            return
        test, case, count = found
        cell = tuple(v for k, v in sorted(env.items(), key=lambda item: str(item[0])) if isinstance(v, int | tuple))
        self.cases[test, cell] = case
        self.counts[test] = max(count, self.counts.get(test, 0))


PAIRS_OF = 24  # tests of which all pairs of cases are looked for


@dataclass
class Met:
    """The cases that many traces have met, and which of two tests together: relu(u) is 0 for every v where u < 0."""

    cases: dict[Any, set[Any]] = field(default_factory=dict)
    counts: dict[Any, int] = field(default_factory=dict)
    pairs: dict[tuple[Any, Any], set[Any]] = field(default_factory=dict)

    def add(self, trace: Trace) -> bool:
        """True where the trace has met what had not been met."""
        here: dict[Any, dict[Any, None]] = {}
        for (test, _), case in trace.cases.items():
            here.setdefault(test, {})[case] = None
        for test in here:
            self.counts[test] = max(trace.counts[test], self.counts.get(test, 0))
        new = [_put(self.cases.setdefault(test, set()), here[test], self.counts[test]) for test in here]
        for one, two in combinations(list(here)[:PAIRS_OF], 2):
            both = list(product(here[one], here[two]))
            new.append(_put(self.pairs.setdefault((one, two), set()), both, self.counts[one] * self.counts[two]))
        return any(new)

    def complete(self) -> bool:
        pairs = all(len(cases) >= self.counts[a] * self.counts[b] for (a, b), cases in self.pairs.items())
        return pairs and not self.missing()

    def missing(self) -> list[tuple[Any, tuple[Any, ...]]]:
        """Each test of which a case was never met, with those that were, in order of their text."""
        found = [(t, tuple(sorted(cases))) for t, cases in self.cases.items() if len(cases) < self.counts[t]]
        return sorted(found, key=lambda pair: str(pair[0]))


def _put(known: set[Any], cases: Iterable[Any], count: int) -> bool:
    """True where a case is new, of the first `count`."""
    new = [case for case in cases if case not in known][: max(0, count - len(known))]
    known.update(new)
    return bool(new)


def _case(expr: Any, env: dict[Any, Any], by: Any) -> tuple[Any, Any, int] | None:
    """(test, the case that these numbers are, how many cases there are)."""
    if expr.func == where:
        return None if _counted(expr.args[0], env) else (expr.args[0], by, 2)
    if is_access(expr) or is_reduction(expr):
        op, values = by
        if op not in EXTREMES or len(values) < 2:
            return None
        return expr, _first([value for _, value in values], op), 2
    name = expr.func.__name__
    if name in SIGNED:
        return above_zero(expr.args[0]), bool(by[0] > 0), 2
    if name in STEPS:
        return expr, int(mpmath.floor(by[0])), 2
    if name == "clip":
        return expr, int(by[0] > by[1]) + int(by[0] >= by[2]), 3
    return (expr, _first(by, name), len(by)) if name in EXTREMES else None


def _first(values: Sequence[Any], op: str) -> int:
    return list(values).index(EXTREMES[op](values))


@lru_cache(maxsize=10_000)
def above_zero(arg: Expr) -> Expr:
    found: Expr = sp.Gt(arg, 0, evaluate=False)
    return found


@lru_cache(maxsize=10_000)
def _symbols(test: Expr) -> tuple[Any, ...]:
    return tuple(test.free_symbols)


def _counted(test: Expr, env: dict[Any, Any]) -> bool:
    """True for a test of indices alone: all of its cases are met at every point."""
    return all(isinstance(env.get(symbol), int) for symbol in _symbols(test))


def apart(traces: Iterable[tuple[Any, Trace]]) -> dict[Any, tuple[Any, Any, Place]]:
    """For each test two points, of the same extents, that lie in different cases of it at one cell."""
    first: dict[tuple[Any, Place], list[tuple[Any, Any]]] = {}
    out: dict[Any, tuple[Any, Any, Place]] = {}
    for point, trace in traces:
        for place, case in trace.cases.items():
            if place[0] in out:
                continue
            known = first.setdefault((tuple(point.sizes.items()), place), [])
            other = next((p for p, c in known if c != case), None)
            if other is not None:
                out[place[0]] = other, point, place
            elif not known:
                known.append((point, case))
    return out
