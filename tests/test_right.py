"""The short form of `tests.reliability.right`, and its measures on what they must see."""

from __future__ import annotations

import math

import numpy as np
import pytest

import symgrad as sg
from tests.array_programs import evaluated, jax_gradient
from tests.models import MODELS
from tests.program_checks import gradient, largest, same
from tests.reference import loss_of, reals
from tests.reliability import right


def test_promises_are_kept() -> None:
    """All rows of the short form, one after the other: they share the programs and what the oracle says of them."""
    rows = right.measure(False)
    assert len(rows) >= 3
    for row in rows:
        assert row.kept, "\n".join([row.promise, row.found, *map(str, row.wrong)])


def test_errors_are_told() -> None:
    """Units that are none, a nan that is no error, a seed that is not named."""
    wanted = {"x": np.array([1.0, 4.0])}
    assert right.units({"x": np.array([1.0, 4.0 + 4 * 2.0**-52])}, wanted) == 2
    assert right.units({"x": np.array([math.nan, 4.0])}, wanted) == math.inf
    assert not right.Case(7, math.inf, math.inf).right
    assert not right.Case(7, 65.0).right
    assert right.Case(7, 65.0, 9.0).right
    assert str(right.Case(7, 65.0)) == "seed 7: 65 u"


def test_arrays_mean_what_the_oracle_says() -> None:
    """The second opinion itself: values of every model of the table that fits, by NumPy."""
    from symgrad.core.evaluate import evaluate

    for name in (
        "recurrence",
        "backward recurrence",
        "two axes",
        "all before",
        "gather of a gather",
        "stride",
        "maximum",
        "logsumexp",
    ):
        program, arrays = MODELS[name].program(), MODELS[name].arrays(np.random.default_rng(0))
        loss = loss_of(program)
        found, exact = float(evaluated(program, arrays, np)[0][loss]), float(evaluate(program, arrays)[loss])
        assert abs(found - exact) <= 1e-13 * abs(exact), name


def test_jax_agrees() -> None:
    """JAX's gradient is that of the oracle."""
    pytest.importorskip("jax")
    program = sg.parse("h[0] = w; h[1] = tanh(w*h[0] + x[1]); J = max(h[t]*x[t] for t in 0..1)")
    arrays = {"w": 0.3, "x": np.array([0.1, -0.4])}
    wanted = gradient(program, arrays)
    assert largest(wanted) > 0
    same(jax_gradient(program, arrays, "J", reals(program))[1], wanted, 1e-14)
