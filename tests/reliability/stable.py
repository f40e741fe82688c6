"""A naive formula gives the right number: value and slope of textbook losses at logits from 0 to 10⁴, cell by cell.

A cell is right when it is within 8·max(1, κ) units of the last place of the exact number, κ the condition of the number
for a relative change of the logit: then no formula could do much better from a rounded logit.

    scalars    one logit, one call
    arrays     all logits as one array
    network    the formula behind a hidden layer, whose last weight makes the logit; the slope is that by this weight
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np

import symgrad as sg
from tests.reliability.rows import Row
from tests.stable_peers import PEERS

LOGITS = (0.0, *(sign * size for size in (1.0, 20.0, 40.0, 100.0, 800.0, 1e4) for sign in (1, -1)))
FORMATS = {"float64": (53, -1022), "float32": (24, -126)}
SETTINGS = ("scalars", "arrays", "network")
ULPS = 8
DIGITS = 60


Exact = tuple[Any, Any, Any]  # value, slope, and the slope of the slope


def _logistic(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


def _softplus(x: Any) -> Any:
    return mpmath.log1p(mpmath.exp(x))


def _both(x: Any) -> tuple[Any, Any]:
    return _logistic(x), _logistic(-x)


def _cross_entropy(label: float) -> Callable[[Any], Exact]:
    def exact(x: Any) -> Exact:
        s, c = _both(x)
        return label * _softplus(-x) + (1 - label) * _softplus(x), (1 - label) * s - label * c, s * c

    return exact


def _softmax_entropy(label: float) -> Callable[[Any], Exact]:
    """Over the logits x, 0.5 and -1; the labels of these are equal, and all labels add up to 1."""

    def exact(x: Any) -> Exact:
        rest = mpmath.log(mpmath.exp(0.5) + mpmath.exp(-1))
        s, c = _both(x - rest)
        value = _softplus(rest - x) if label == 1 else rest + _softplus(x - rest) - label * x + (1 - label) / 4
        return value, -c if label == 1 else s - label, s * c

    return exact


def _softplus_exact(x: Any) -> Exact:
    s, c = _both(x)
    return _softplus(x), s, s * c


def _logistic_exact(x: Any) -> Exact:
    s, c = _both(x)
    return s, s * c, s * c * (c - s)


def _tanh_exact(x: Any) -> Exact:
    t, slope = mpmath.tanh(x), mpmath.sech(x) ** 2
    return t, slope, -2 * t * slope


def _quadratic(label: int) -> Callable[[Any], Exact]:
    def exact(x: Any) -> Exact:
        s, c = _both(-x if label else x)
        return s**2 / 2, (-1) ** label * s**2 * c, 2 * s**2 * c**2 - s**3 * c

    return exact


@dataclass(frozen=True)
class Formula:
    """The text of y over the logit x, as a student writes it, and what it means."""

    name: str
    text: str
    exact: Callable[[Any], Exact]
    labels: tuple[float, ...] = ()  # of a softmax over x, 0.5 and -1: as arrays it is written with an index


def _loss(label: str) -> str:
    return f"p = 1/(1 + exp(-x)); y = -({label}*log(p) + (1 - {label})*log(1 - p))"


def _softmax(*labels: str) -> str:
    logits = ("x", "0.5", "-1")
    total = " + ".join(f"exp({logit})" for logit in logits)
    shares = "; ".join(f"q_{k} = exp({logit})/({total})" for k, logit in enumerate(logits, 1))
    terms = " + ".join(f"{label}*log(q_{k})" for k, label in enumerate(labels, 1) if label != "0")
    return f"{shares}; y = -({terms})"


FORMULAS = (
    Formula("cross-entropy of logistic, label 1", "p = 1/(1 + exp(-x)); y = -log(p)", _cross_entropy(1)),
    Formula("cross-entropy of logistic, label 0", "p = 1/(1 + exp(-x)); y = -log(1 - p)", _cross_entropy(0)),
    Formula("cross-entropy of logistic, label 1/4", _loss("0.25"), _cross_entropy(0.25)),
    Formula("cross-entropy of softmax, hard label", _softmax("1", "0", "0"), _softmax_entropy(1), (1, 0, 0)),
    Formula(
        "cross-entropy of softmax, soft label",
        _softmax("0.5", "0.25", "0.25"),
        _softmax_entropy(0.5),
        (0.5, 0.25, 0.25),
    ),
    Formula("softplus", "y = log(1 + exp(x))", _softplus_exact),
    Formula("logistic", "y = 1/(1 + exp(-x))", _logistic_exact),
    Formula("tanh", "y = tanh(x)", _tanh_exact),
    Formula("tanh from exps", "y = (exp(x) - exp(-x))/(exp(x) + exp(-x))", _tanh_exact),
    Formula("quadratic through logistic, label 1", "p = 1/(1 + exp(-x)); y = (1 - p)^2/2", _quadratic(1)),
    Formula("quadratic through logistic, label 0", "p = 1/(1 + exp(-x)); y = p^2/2", _quadratic(0)),
)


@dataclass(frozen=True)
class Cell:
    formula: str
    part: str  # value or slope
    logit: float
    found: float
    exact: Any
    allowed: float  # in units of the last place
    off: float

    @property
    def right(self) -> bool:
        return self.off <= self.allowed

    def __str__(self) -> str:
        exact = mpmath.nstr(mpmath.mpf(self.exact), 10) if self.exact and abs(self.exact) > 1e-320 else "0"
        off = f"{self.off:.3g} ulp where {self.allowed:.3g} are allowed"
        return f"{self.formula}: {self.part} at {self.logit:g} is {self.found:.9g}, not {exact}: {off}"


def cells(
    setting: str, dtype: str, backend: str = "numba", stabilize: bool = True, formulas: Sequence[Formula] = FORMULAS
) -> list[Cell]:
    """All cells of a setting."""
    found: list[Cell] = []
    for formula in formulas:
        for logit, value, slope in RUNS[setting](formula, {"dtype": dtype, "backend": backend, "stabilize": stabilize}):
            exact, first, second = exactly(formula, logit)
            with mpmath.workdps(DIGITS):
                found.append(_cell(formula.name, "value", logit, value, exact, first, dtype))
                found.append(_cell(formula.name, "slope", logit, slope, first, second, dtype))
    return found


def exactly(formula: Formula, logit: float) -> Exact:
    with mpmath.workdps(DIGITS):
        return formula.exact(mpmath.mpf(logit))


def _cell(name: str, part: str, logit: float, found: float, exact: Any, slope: Any, dtype: str) -> Cell:
    condition = abs(mpmath.mpf(logit) * slope / exact) if exact else 0
    return Cell(name, part, logit, float(found), exact, float(ULPS * max(1, condition)), ulps(found, exact, dtype))


def ulps(found: float, exact: Any, dtype: str) -> float:
    """How far a number is from the exact one, in units of the last place of the exact one."""
    digits, least = FORMATS[dtype]
    if not np.isfinite(found):
        return float("inf")
    exponent = max(least, int(mpmath.floor(mpmath.log(abs(exact), 2)))) if exact else least
    return float(abs(mpmath.mpf(float(found)) - exact) / mpmath.mpf(2) ** (exponent - digits + 1))


Rows = Iterator[tuple[float, float, float]]
Options = dict[str, Any]  # of compile


def _scalars(formula: Formula, options: Options) -> Rows:
    k = sg.compile(sg.parse(formula.text), loss="y", wrt=["x"], **options)
    for logit in LOGITS:
        value, grads = k(x=np.dtype(options["dtype"]).type(logit))
        yield logit, float(value), float(grads["x"])


def over_rows(text: str, name: str = "n") -> str:
    """The same equations for every row: x, y and what lies between get an index."""
    names = ["x", *(part.split("=")[0].strip() for part in text.split(";"))]
    for each in names:
        text = "".join(f"{each}[{name}]" if word == each else word for word in _words(text))
    return text


def _words(text: str) -> Iterator[str]:
    word = ""
    for letter in text:
        if letter.isalnum() or letter == "_":
            word += letter
            continue
        yield from (word, letter)
        word = ""
    yield word


def _softmax_rows(formula: Formula, options: Options) -> Rows:
    """The logits of all rows as a matrix, the slope by its first column."""
    text = "q[n,k] = exp(o[n,k])/sum(exp(o[n,l]) for l); y[n] = -sum(t[k]*log(q[n,k]) for k); J = sum(y[n] for n)"
    k = sg.compile(sg.parse(text), loss="J", wrt=["o"], **options)
    logits = np.array([[logit, 0.5, -1] for logit in LOGITS], options["dtype"])
    given = {"o": logits, "t": np.array(formula.labels, options["dtype"])}
    yield from zip(LOGITS, map(float, k.forward(**given)["y"]), map(float, k(**given)[1]["o"][:, 0]), strict=True)


def _arrays(formula: Formula, options: Options) -> Rows:
    if formula.labels:
        yield from _softmax_rows(formula, options)
        return
    text = formula.text
    k = sg.compile(sg.parse(f"{over_rows(text)}; J = sum(y[n] for n)"), loss="J", wrt=["x"], **options)
    x = np.array(LOGITS, options["dtype"])
    values, slopes = k.forward(x=x)["y"], k(x=x)[1]["x"]
    yield from zip(LOGITS, map(float, values), map(float, slopes), strict=True)


def _network(formula: Formula, options: Options) -> Rows:
    """Hidden units of which one is 1 and the others 0; their weights by the logit make it."""
    layers = "h[j] = relu(sum(W[j,i]*u[i] for i)); x = sum(v[j]*h[j] for j)"
    k = sg.compile(sg.parse(f"{layers}; {formula.text}"), loss="y", wrt=["v", "W"], **options)
    dtype = options["dtype"]
    W, u = np.array([[1, 0], [0, 0], [0, -1]], dtype), np.array([1, 1], dtype)
    for logit in LOGITS:
        value, grads = k(W=W, u=u, v=np.array([logit, 3, 5], dtype))
        yield logit, float(value), float(grads["v"][0])


def _peers() -> dict[str, str]:
    """Right cells of what is installed beside: scalars in float64, each formula as it is written."""
    found = {}
    for name, slopes in PEERS.items():
        if importlib.util.find_spec(name) is not None:
            right = [cell.right for formula in FORMULAS for cell in _peer_cells(formula, slopes(formula.text))]
            found[name] = f"{sum(right)} of {len(right)}"
    return found


def _peer_cells(formula: Formula, slopes: Callable[[float], tuple[float, float]]) -> Iterator[Cell]:
    for logit in LOGITS:
        exact, first, second = exactly(formula, logit)
        value, slope = slopes(logit)
        with mpmath.workdps(DIGITS):
            yield _cell(formula.name, "value", logit, value, exact, first, "float64")
            yield _cell(formula.name, "slope", logit, slope, first, second, "float64")


def measure(full: bool) -> list[Row]:
    """Right cells of all, for each setting and format; in full with numba, and with peers where they are installed."""
    rows = []
    for dtype in FORMATS:
        for setting in SETTINGS:
            found = cells(setting, dtype, "numba" if full else "numpy")
            wrong = [cell for cell in found if not cell.right]
            beside = _peers() if full and (dtype, setting) == ("float64", "scalars") else {}
            shown = f"{len(found) - len(wrong)} of {len(found)}"
            rows.append(Row("stable", f"naive formulas, {setting}, {dtype}", shown, "all", wrong, beside))
    return rows


RUNS: dict[str, Callable[[Formula, Options], Rows]] = {"scalars": _scalars, "arrays": _arrays, "network": _network}
