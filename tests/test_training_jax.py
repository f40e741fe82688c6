"""Fifty steps of training equal those that JAX's gradients make, step by step: an error that grows would show, or one that cancels.

`fit` starts anew for every number of steps, so that the parameters after each are compared. The update rules are written out here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from tests.array_programs import jax_slopes
from tests.models import MODELS
from tests.reference import loss_of, reals

STEPS, TOLERANCE = 50, 1e-9
SGD, ADAM = 0.01, 0.005  # learning rates
EXAMPLES = 7


@dataclass(frozen=True)
class Run:
    """A model of the table, the rule, and which inputs hold an example a row."""

    model: str
    rule: str
    backend: str = "numpy"
    batch: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        rows = " of many rows" if self.batch else ""
        return f"{self.model}{rows}, {self.rule}, {self.backend}"


ONE = ("S2", "S3", "S4", "S7", "transpose", "convolution", "max pooling", "logsumexp", "mean", "regularised", "product of rows",
       "matrix factorisation", "attention", "triangular sum", "prefix sums", "lag two", "gather", "pick",
       "softmax by logsumexp", "own functions", "parts", "used many times")  # fmt: skip
ROWS = ("x", "y_star")
RUNS = {
    run.name: run
    for run in (
        *(Run(model, ("sgd", "adam")[place % 2]) for place, model in enumerate(ONE)),
        Run("S7", "adam", batch=ROWS), Run("S3", "sgd", batch=ROWS),
        Run("S2", "adam", "numba", ROWS), Run("two layers", "sgd", "numba"), Run("recurrence", "adam", "numba"),
    )
}  # fmt: skip


@cache
def problem(name: str) -> tuple[Any, tuple[str, ...], dict[str, Any]]:
    """Program, parameters, and all arrays."""
    run = RUNS[name]
    model = MODELS[run.model].program()
    rng = np.random.default_rng(len(run.model))
    arrays = MODELS[run.model].arrays(rng)
    for given in run.batch:
        arrays[given] = rng.uniform(0.1, 0.9, (EXAMPLES, *np.shape(arrays[given])))
    return model, model.params or tuple(reals(model)), arrays


@cache
def by_jax(name: str) -> list[dict[str, Any]]:
    """The parameters after each step."""
    run, (model, params, arrays) = RUNS[name], problem(name)
    slopes = jax_slopes(model, arrays, loss_of(model), params, run.batch, jit=True)
    sign = -1 if model.goal == "maximize" else 1
    theta = {n: np.asarray(arrays[n], float) for n in params}
    m, s = ({n: np.zeros_like(theta[n]) for n in params} for _ in range(2))
    out = []
    for t in range(1, STEPS + 1):
        g = {n: sign * np.asarray(slope) for n, slope in slopes(theta)[1].items()}
        if run.rule == "sgd":
            theta = {n: theta[n] - SGD * g[n] for n in params}
        else:
            m = {n: 0.9 * m[n] + 0.1 * g[n] for n in params}
            s = {n: 0.999 * s[n] + 0.001 * g[n] ** 2 for n in params}
            theta = {n: theta[n] - ADAM * (m[n] / (1 - 0.9**t)) / (np.sqrt(s[n] / (1 - 0.999**t)) + 1e-8) for n in params}
        out.append(theta)
    return out


def by_symgrad(name: str) -> list[dict[str, Any]]:
    run, (model, params, arrays) = RUNS[name], problem(name)
    kernel = sg.compile(model, wrt=params, batch=run.batch, backend=run.backend)
    start, rule = {n: arrays[n] for n in params}, sg.SGD(SGD) if run.rule == "sgd" else sg.Adam(ADAM)
    data = {n: a for n, a in arrays.items() if n not in params}
    fits = (kernel.fit(start, data, rule, steps, None, shuffle=False, progress=False) for steps in range(1, STEPS + 1))
    return [fit.params for fit in fits]


def furthest(name: str) -> float:
    """The largest difference of a parameter array after any step, beside its largest cell."""
    pairs = [(ours[n], theirs[n]) for ours, theirs in zip(by_symgrad(name), by_jax(name), strict=True) for n in theirs]
    return max(float(np.max(np.abs(one - other)) / max(np.max(np.abs(other)), 1e-300)) for one, other in pairs)


def test_there_are_twenty_models() -> None:
    assert len({run.model for run in RUNS.values()}) >= 20


@pytest.mark.parametrize("name", RUNS)
def test_equals_jax_step_by_step(name: str) -> None:
    pytest.importorskip("jax")
    start, steps = problem(name)[2], by_jax(name)
    assert any(np.max(np.abs(steps[-1][n] - start[n])) > 1e-4 for n in steps[-1]), "nothing is trained"
    assert all(np.all(np.isfinite(value)) for value in steps[-1].values())
    assert furthest(name) <= TOLERANCE
