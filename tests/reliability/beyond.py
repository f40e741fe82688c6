"""Formulas beyond the slides, at points where the textbook's form overflows, cancels or is 0/0.

Value and gradient are compared with the oracle's at 400 digits, or with the limit where the formula has none there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import mpmath
import numpy as np

import symgrad as sg
from symgrad.core.evaluate import evaluate
from symgrad.kernel import Kernel
from symgrad.transform.collect import collect
from symgrad.transform.reverse import adjoint_names, reverse
from tests.reliability.rows import Row

CLOSE = 1e-12  # relative to the largest number of an array
DIGITS = 400


@dataclass(frozen=True)
class Case:
    """`limit`: what the value (J) and slopes are where the formula itself is 0/0 or 0 log 0."""

    name: str
    text: str
    arrays: dict[str, Any]
    limit: dict[str, Any] = field(default_factory=dict)


def _a(*numbers: float) -> Any:
    return np.array(numbers)


BIG = np.array([[1000.0, 999.0], [-1000.0, 0.0]])
CASES = (
    Case("log of a double sum", "J = log(sum(exp(x[i,j]) for i, j))", {"x": BIG}),
    Case("log of a sum of sums", "J = log(sum(sum(exp(x[i,j]) for j) for i))", {"x": BIG}),
    Case("log of a sum with a name", "s[i] = sum(exp(x[i,j]) for j); J = log(sum(s[i] for i))", {"x": BIG}),
    Case("likelihood as a product", "p[n] = 1/(1 + exp(-x[n])); J = -log(prod(p[n] for n))", {"x": _a(-900, 800, 0)}),
    Case("gaussian likelihood", "J = -log(prod(exp(-(x[n] - m)^2/(2*s^2))/sqrt(2*pi*s^2) for n))",
         {"x": _a(-900, 800, 0), "m": 1.0, "s": 0.1}),
    Case("mixture of gaussians", "J = -log(sum(w[k]*exp(-(x - m[k])^2/2) for k))",
         {"w": _a(0.25, 0.75), "x": 100.0, "m": _a(0, 1)}),
    Case("responsibilities", "r[j] = w[j]*exp(-(x - m[j])^2/2)/sum(w[k]*exp(-(x - m[k])^2/2) for k); J = sum(j*r[j] for j)",
         {"w": _a(0.25, 0.75), "x": 40.0, "m": _a(0, 0.01)}),
    Case("log-softmax of a label",
         "index k in 1..K\ninput c in 1..K\ny[k] = exp(o[k])/sum(exp(o[l]) for l in 1..K); J = -log(y[c])",
         {"o": _a(800, 0, -5), "c": 2}),
    Case("softmax with a named sum", "z = sum(exp(b[k]) for k); y[k] = exp(b[k])/z; J = -sum(t[k]*log(y[k]) for k)",
         {"b": _a(40, 0, -900), "t": _a(1, 0, 0)}),
    Case("softmax with named terms", "a[k] = exp(b[k]); y[k] = a[k]/sum(a[l] for l); J = -sum(t[k]*log(y[k]) for k)",
         {"b": _a(40, 0, -900), "t": _a(1, 0, 0)}),
    Case("attention with a mask",
         "a[i,j] = exp(s[i,j] + m[i,j])/sum(exp(s[i,l] + m[i,l]) for l); J = sum(a[i,j]*v[j] for i, j)",
         {"s": np.zeros((2, 2)), "m": np.array([[0, -np.inf], [0, 0.0]]), "v": _a(1, 2)},
         {"J": 2.5, "s": [[0, 0], [-0.25, 0.25]], "v": [1.5, 0.5]}),
    Case("variance", "J = mean(x[i]^2 for i) - mean(x[i] for i)^2", {"x": _a(1e8 + 1, 1e8 + 2, 1e8 + 4)}),
    Case("variance with a mean", "m = mean(x[i] for i); J = mean(x[i]^2 for i) - m^2", {"x": _a(1e8 + 1, 1e8 + 2, 1e8 + 4)}),
    Case("norm at 0", "J = sqrt(sum(x[i]^2 for i))", {"x": np.zeros(3)}, {"J": 0, "x": [0, 0, 0]}),
    Case("norm with a name at 0", "r = sum(x[i]^2 for i); J = sqrt(r)", {"x": np.zeros(3)}, {"J": 0, "x": [0, 0, 0]}),
    Case("distance at 0", "J = sqrt((x - y)^2 + z^2)", {"x": 2.0, "y": 2.0, "z": 0.0}, {"J": 0, "x": 0, "y": 0, "z": 0}),
    Case("cosine of parallel rows", "J = sum(x[i]*y[i] for i)/(sqrt(sum(x[i]^2 for i))*sqrt(sum(y[i]^2 for i)))",
         {"x": _a(3, 4), "y": _a(6, 8.5)}),
    Case("sin(x)/x at 0", "J = sin(x)/x", {"x": 0.0}, {"J": 1, "x": 0}),
    Case("sin(x)/x near 0", "J = sin(x)/x", {"x": 1e-5}),
    Case("1 - cos x", "J = 1 - cos(x)", {"x": 1e-9}),
    Case("(1 - cos x)/x^2", "J = (1 - cos(x))/x^2", {"x": 1e-4}),
    Case("e^x - 1", "J = (exp(x) - 1)*y", {"x": 1e-12, "y": 3.0}),
    Case("log(1 + x)", "J = log(1 + x)*y", {"x": 1e-20, "y": 3.0}),
    Case("power with base 0", "J = x^p", {"x": 0.0, "p": 2.0}, {"J": 0, "x": 0, "p": 0}),
    Case("entropy", "J = -sum(p[i]*log(p[i]) for i)", {"p": _a(0, 1)}, {"J": 0, "p": [np.inf, -1]}),
    Case("cross-entropy with a share of 0", "J = -sum(t[i]*log(p[i]) for i)", {"t": _a(0, 1), "p": _a(0, 1)},
         {"J": 0, "t": [np.inf, 0], "p": [0, -1]}),
    Case("logistic as a derivative", "J = exp(-x)/(1 + exp(-x))^2", {"x": -60.0}),
    Case("odds", "p = 1/(1 + exp(-x)); J = p/(1 - p)", {"x": 30.0}),
    Case("1 - tanh", "J = 1 - tanh(x)", {"x": 30.0}),
    Case("2 logistic - 1", "J = 2/(1 + exp(-2*x)) - 1", {"x": 1e-10}),
)  # fmt: skip


# a label is a place: what reads there is added to one cell of the softmax's derivative
LABELS = {
    "a label": "index k in 1..K; input c in 1..K; y[k] = exp(o[k])/sum(exp(o[l]) for l in 1..K); J = -log(y[c])",
    "a label of each row": "index n in 1..N, k in 1..K; input c[n] in 1..K\n"
    "y[n,k] = exp(o[n,k])/sum(exp(o[n,l]) for l in 1..K); J = -mean(log(y[n,c[n]]) for n)",
    "several labels of one softmax": "index n in 1..N, k in 1..K; input c[n] in 1..K\n"
    "y[k] = exp(o[k])/sum(exp(o[l]) for l in 1..K); J = -sum(log(y[c[n]]) for n)",
}
SIZES = (1.0, 20.0, 40.0, 100.0, 800.0, 1e4)


def labelled(name: str) -> Iterator[Case]:
    """A model of LABELS with logits of all sizes, 0.5 and -1, and each of the three as the label."""
    for logit in (sign * size for size in SIZES for sign in (1, -1)):
        for label in (1, 2, 3):
            row = [logit, 0.5, -1.0]
            several = {"o": np.array([row, row[::-1]]), "c": np.array([label, 4 - label])}
            arrays = {"o": np.array(row), "c": label} if name == "a label" else several
            if name == "several labels of one softmax":
                arrays = {"o": np.array(row), "c": np.array([label, label])}
            yield Case(f"{name}, logit {logit:g}, label {label}", LABELS[name], arrays)


def wrong_labels(name: str, backend: str = "numpy") -> Iterator[str]:
    cases = list(labelled(name))
    kernel = compiled(cases[0], backend)
    for case in cases:
        yield from compared(case, kernel)


def exact(case: Case) -> dict[str, Any]:
    """The value and the slopes of the formula as it is written."""
    if case.limit:
        return case.limit
    program = sg.parse(case.text)
    wrt = reals(case)
    joint = collect(reverse(program, "J", wrt), "parts")
    bars = adjoint_names(joint, "J")
    with mpmath.workdps(DIGITS):
        found = evaluate(joint, case.arrays, digits=DIGITS)
        return {"J": found["J"], **{name: found[bars[name]] for name in wrt}}


def reals(case: Case) -> list[str]:
    program = sg.parse(case.text)
    return [name for name in program.free if program.tensors[name].values is None]


def wrong(case: Case, backend: str = "numpy") -> Iterator[str]:
    yield from compared(case, compiled(case, backend))


def compiled(case: Case, backend: str) -> Kernel:
    return sg.compile(sg.parse(case.text), "J", wrt=reals(case), backend=backend)


def compared(case: Case, kernel: Kernel) -> Iterator[str]:
    value, grads = kernel(**case.arrays)
    for name, number in exact(case).items():
        found, wanted = (np.asarray(each, float) for each in (value if name == "J" else grads[name], number))
        finite = np.isfinite(wanted)
        scale = np.max(np.abs(wanted[finite]), initial=0.0)
        off = np.max(np.abs(found[finite] - wanted[finite]), initial=0.0)
        if not np.array_equal(found[~finite], wanted[~finite]) or not off <= CLOSE * scale + 1e-300:
            yield f"{case.name}: {name} is {found.tolist()}, not {wanted.tolist()}"


def measure(full: bool) -> list[Row]:
    backend = "numba" if full else "numpy"
    found = [text for case in CASES for text in wrong(case, backend)]
    right = len(CASES) - len({text.partition(":")[0] for text in found})
    labels = [text for name in LABELS for text in wrong_labels(name, backend)]
    count = sum(len(list(labelled(name))) for name in LABELS)
    return [
        Row(
            "stable", "formulas beyond the slides, where they overflow, cancel or are 0/0", f"{right} of {len(CASES)}", "all", found
        ),
        Row("stable", f"softmax's entropy by labels, logits in ±{SIZES[-1]:g}", f"{len(labels)} of {count} wrong", "none", labels),
    ]
