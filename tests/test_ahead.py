"""Training on single examples, where a step computes what the next begins with: against NumPy's steps, which do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.train import Diverged, plan

LAYERS = """
index i in 1..M, j in 1..H
input x[i], y^*
param A[j,i], c[j], b[j]
a[j] = sum(A[j,i]*x[i] for i) + c[j]
o = sum(b[j]*tanh(a[j]) for j)
J = (o - y^*)^2/2
minimize J
"""
LINE = "input x[i], y^*; param w[i]; o = sum(w[i]*x[i] for i); J = (o - y^*)^2/2; minimize J"
TURNED = "input x[i], y^*; param A[i,j], b[j]; J = (sum(b[j]*sin(sum(x[i]*A[i,j] for i)) for j) - y^*)^2; minimize J"
DECAY = LINE.replace("J = (o - y^*)^2/2", "J = (o - y^*)^2/2 + 0.1*sum(w[i]^2 for i)")
TWICE = "input x[i], y^*; param A[j,i]; J = (sum(sum(A[j,i]*x[i] for i)*tanh(sum(A[j,i]*x[i]^2 for i)) for j) - y^*)^2; minimize J"
TWO = "input x[i], z[i], y^*; param w[i], v[i]; J = (sum(w[i]*x[i] for i)*sum(v[i]*z[i] for i) - y^*)^2; minimize J"
MODELS = {"layers": LAYERS, "line": LINE, "turned": TURNED, "decay": DECAY, "twice": TWICE, "two": TWO}
SHAPES = {"x": (3,), "z": (3,), "y_star": (), "A": (4, 3), "b": (4,), "c": (4,), "w": (3,), "v": (3,)}
RULES = {"sgd": sg.SGD(0.05), "momentum": sg.Momentum(0.02), "adam": sg.Adam(0.02), "rate": sg.SGD("0.1/(1 + t/5)")}


def case(text: str, rows: int = 7) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    program, r = sg.parse(text), np.random.default_rng(5)
    shapes = SHAPES | ({"A": (3, 4)} if text == TURNED else {})
    start = {name: 0.5 * r.normal(size=shapes[name]) for name in program.params}
    data = {name: r.normal(size=(rows, *shapes[name])) for name in program.free if name not in start}
    return program, start, data


def kernel(program: Any, data: dict[str, Any], backend: str = "numba") -> Any:
    return sg.compile(program, batch=tuple(data), backend=backend)


@pytest.mark.parametrize(
    ("name", "rule"), [*((name, "sgd") for name in MODELS), *(("layers", rule) for rule in RULES if rule != "sgd")]
)
def test_equals_steps_of_numpy(name: str, rule: str) -> None:
    """The next example in place of this one, the parameter before its update, a first example that is left out."""
    program, start, data = case(MODELS[name])
    options: dict[str, Any] = {"epochs": 3, "batch_size": 1, "seed": 3, "progress": False}
    found, wanted = (kernel(program, data, backend).fit(start, data, RULES[rule], **options) for backend in ("numba", "numpy"))
    for each in start:
        np.testing.assert_allclose(found.params[each], wanted.params[each], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.history["J"], wanted.history["J"], rtol=1e-10)


@pytest.mark.parametrize("rows", [1, 2])
def test_few_examples(rows: int) -> None:
    """An example beyond the last."""
    program, start, data = case(LAYERS, rows)
    options: dict[str, Any] = {"epochs": 4, "batch_size": 1, "progress": False}
    found, wanted = (kernel(program, data, backend).fit(start, data, sg.SGD(0.05), **options) for backend in ("numba", "numpy"))
    np.testing.assert_allclose(found.params["A"], wanted.params["A"], rtol=1e-10)


def test_a_run_in_pieces_is_the_run_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is carried on is lost, or computed anew in another order, where a piece ends within an epoch."""
    program, start, data = case(LAYERS, 40)
    k, options = kernel(program, data), {"epochs": 5, "batch_size": 1, "seed": 4, "progress": False}
    whole = k.fit(start, data, sg.SGD(0.01), **options)
    monkeypatch.setattr("symgrad.running.PIECE", 1e-9)
    pieces = k.fit(start, data, sg.SGD(0.01), **options)
    assert np.array_equal(whole.params["A"], pieces.params["A"])
    assert np.array_equal(whole.history["J"], pieces.history["J"])


def test_the_way_back_has_what_is_carried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Halves that are run again from a copy begin with another sum than the steps did."""
    program, start, data = case(LINE, 50)
    data["x"][37] = 1e200
    k, options = kernel(program, data), {"epochs": 2, "batch_size": 1, "shuffle": False, "progress": False}
    with pytest.raises(Diverged) as caught:
        k.fit(start, data, sg.SGD(0.01), **options)
    rows = {name: array[:37] for name, array in data.items()}
    good = k.fit(start, rows, sg.SGD(0.01), **{**options, "epochs": 1})
    assert "in step 38 (epoch 1)" in caught.value.message
    np.testing.assert_array_equal(caught.value.params["w"], good.params["w"])


def first(text: str, single: bool = True, backend: str = "numba") -> Any:
    program, start, data = case(text)
    return plan(kernel(program, data, backend), tuple(start), sg.SGD().rule, single).first


def test_which_sums_are_computed_ahead() -> None:
    """Work for nothing in batches and with NumPy; a sum that reads a parameter which no equation updates cell by cell."""
    assert first(LAYERS).examples == {"x": "x_next"}
    assert first(TWO).examples == {"x": "x_next", "z": "z_next"}
    assert first(LAYERS, single=False) is None
    assert first(LAYERS, backend="numpy") is None
    # nor a sum whose places the example tells
    rows = "input label in 1..3, y^*; param E[k in 1..3,d]; J = (sum(E[label,d] for d) - y^*)^2; minimize J"
    program = sg.parse(rows)
    k = sg.compile(program, batch=("label", "y_star"))
    assert plan(k, ("E",), sg.SGD().rule, True).first is None


def test_rows_chosen_by_the_example() -> None:
    """The next sum with this example's row of a table."""
    text = "input label in 1..3, y^*, B[k in 1..3,i]; param w[i]; o = sum(w[i]*B[label,i] for i); J = (o - y^*)^2; minimize J"
    program, r = sg.parse(text), np.random.default_rng(2)
    data = {"label": r.integers(1, 4, size=9), "y_star": r.normal(size=9)}
    given, start = {**data, "B": r.normal(size=(3, 4))}, {"w": r.normal(size=4)}
    options: dict[str, Any] = {"epochs": 3, "batch_size": 1, "progress": False}
    found, wanted = (kernel(program, data, backend).fit(start, given, sg.SGD(0.05), **options) for backend in ("numba", "numpy"))
    np.testing.assert_allclose(found.params["w"], wanted.params["w"], rtol=1e-10)


def test_names_of_the_model_are_left_alone() -> None:
    text = LAYERS.replace("x[i]", "x_next[i]").replace("a[j]", "A_next_2[j]")
    program, start, data = sg.parse(text), *case(LAYERS)[1:]
    data = {"x_next": data["x"], "y_star": data["y_star"]}
    options: dict[str, Any] = {"epochs": 2, "batch_size": 1, "progress": False}
    found, wanted = (kernel(program, data, backend).fit(start, data, sg.SGD(0.05), **options) for backend in ("numba", "numpy"))
    np.testing.assert_allclose(found.params["A"], wanted.params["A"], rtol=1e-10)
