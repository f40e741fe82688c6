"""Every rule of stability is exact: value and gradient with it and without are the same number, at 50 digits, at random points.

And logits of any size, up to where a float64 ends, give numbers that are finite and right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import mpmath
import numpy as np

import symgrad as sg
from symgrad.compiler import adjoint, lower, optimize
from symgrad.core.evaluate import evaluate
from symgrad.core.program import Program
from symgrad.transform.reverse import adjoint_names
from symgrad.transform.stabilize import RULES
from tests.reliability.rows import Row
from tests.reliability.stable import FORMULAS, ULPS, exactly, ulps

CLOSE = mpmath.mpf(10) ** -30
SHORT, FULL = 20, 10_000


@dataclass(frozen=True)
class Example:
    """A program that a rule changes; its inputs are numbers, or rows of `terms` of them, between `low` and `high`."""

    text: str
    low: float = -3.0
    high: float = 3.0
    terms: int = 3
    loss: str = "J"


EXAMPLES: dict[str, Example] = {
    "tanh": Example("J = (exp(x) - exp(-x))/(exp(x) + exp(-x))*y"),
    "share": Example("J = exp(x)/(exp(x) + exp(y) + 2)"),
    "scaled share": Example("r[j] = w[j]*exp(g[j])/sum(w[k]*exp(g[k]) for k); J = sum(r[j]^3 for j)", 0.5, 3),
    "log": Example("J = log(exp(x)*sum(exp(a[i]) for i)) + log(1 + exp(x))"),
    "scaled log": Example("J = log(sum(w[k]*exp(g[k]) for k))", 0.5, 3),
    "rest of logistic": Example("p = 1/(1 + exp(-x)); J = (1 - p)^2*y"),
    "tanh of logistic": Example("p = 1/(1 + exp(-x)); J = (1 - 2*p)*y"),
    "one and tanh": Example("J = (1 + tanh(x))*(1 - tanh(y))"),
    "rest of tanh²": Example("z = tanh(x); J = (1 - z^2)*y"),
    "expm1": Example("J = (exp(x) - 1)*y"),
    "rest of cos": Example("J = (1 - cos(x))*y"),
    "log1p": Example("J = log(1 + x)*y", 0.1, 3),
    "variance": Example("m = mean(a[i] for i); J = mean(a[i]^2 for i) - m^2"),
    "root": Example("J = sqrt(sum(a[i]^2 for i)) + sqrt(x^2 + y^2)"),
    "sinc": Example("J = sin(x)/x + sin(2*y)^2/y"),
    "xlogy": Example("J = x*log(y) + 2^x*3^y", 0.1, 3),
}


def arrays_of(program: Program, example: Example, random: Random) -> dict[str, Any]:
    def number() -> float:
        return random.uniform(example.low, example.high)

    tensors = program.tensors
    return {name: np.array([number() for _ in range(example.terms)]) if tensors[name].axes else number() for name in program.free}


def differences(name: str, points: int) -> Iterator[str]:
    """Points at which a rule's example is another number without the rules, or has another gradient."""
    example = EXAMPLES[name]
    program = sg.parse(example.text)
    sides = []
    for stable in (True, False):
        joint = adjoint(lower(program, "J", (), stable), "J", program.free, stable)
        bars = adjoint_names(joint, "J")
        sides.append((optimize(joint, ["J", *bars.values()], stable=stable), bars))
    random = Random(name)
    for _ in range(points):
        arrays = arrays_of(program, example, random)
        found = [(evaluate(joint, arrays), bars) for joint, bars in sides]
        for quantity in ("J", *program.free):
            one, other = (np.asarray(values[bars.get(quantity, quantity)], object).ravel() for values, bars in found)
            if any(abs(a - b) > CLOSE * (1 + abs(b)) for a, b in zip(one, other, strict=True)):
                yield f"{name}: {quantity} at {arrays}"


def fires(name: str) -> bool:
    program = sg.parse(EXAMPLES[name].text)
    return any(fired.rule.name == name for fired in sg.compile(program, "J", backend="numpy").rules)


def of_any_size(points: int, most: float = 745.0) -> Iterator[str]:
    """Formulas at random logits between ±most that are not finite or off by more than ULPS times the condition."""
    random = Random(1)
    logits = [random.uniform(-most, most) for _ in range(points)]
    for formula in FORMULAS:
        k = sg.compile(sg.parse(formula.text), loss="y", wrt=["x"], backend="numpy")
        for logit in logits:
            value, grads = k(x=logit)
            exact, slope, curve = exactly(formula, logit)
            for what, found, wanted, change in (("value", value, exact, slope), ("slope", grads["x"], slope, curve)):
                with mpmath.workdps(60):
                    allowed = float(ULPS * max(1, abs(mpmath.mpf(logit) * change / wanted) if wanted else 0))
                    if ulps(float(found), wanted, "float64") > allowed:
                        yield f"{formula.name}: {what} at {logit!r} is {float(found)!r}"


def measure(full: bool) -> list[Row]:
    points = FULL if full else SHORT
    silent = [f"{rule.name} changes nothing" for rule in RULES if not fires(rule.name)]
    wrong = [case for name in EXAMPLES for case in differences(name, points)]
    off = list(of_any_size(points))
    return [
        Row("stable", "rules that are exact and used", f"{len(RULES) - len(silent)} of {len(RULES)}", "all", silent),
        Row("stable", f"rules, value and gradient at {points:,} points", f"{len(wrong)} differ", "none", wrong),
        Row("stable", f"{len(FORMULAS)} formulas at {points:,} logits in ±745", f"{len(off)} bad", "none", off),
    ]
