"""Training against plain NumPy loops written by hand: every optimizer, batch form and backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.train import Optimizer

TEXT = """
index j in 0..D
input x[j], y^*
param theta[j], c
a = sum(theta[j]*x[j] for j) + c
y = 1/(1 + exp(-a))
J = y^* * log(y) + (1 - y^*)*log(1 - y)
maximize J
"""
RNG = np.random.default_rng(0)
X, T = RNG.normal(size=(23, 4)), (RNG.normal(size=23) > 0).astype(float)
START = {"theta": RNG.normal(size=4), "c": 0.3}

State = dict[str, Any]
Update = Callable[[Any, Any, State, int], Any]


def sgd(theta: Any, g: Any, state: State, t: int) -> Any:
    return theta - 0.1 * g


def momentum(theta: Any, g: Any, state: State, t: int) -> Any:
    state["v"] = 0.9 * state.get("v", 0.0) + g
    return theta - 0.05 * state["v"]


def adam(theta: Any, g: Any, state: State, t: int) -> Any:
    state["m"] = 0.9 * state.get("m", 0.0) + 0.1 * g
    state["s"] = 0.999 * state.get("s", 0.0) + 0.001 * g**2
    return theta - 0.02 * (state["m"] / (1 - 0.9**t)) / (np.sqrt(state["s"] / (1 - 0.999**t)) + 1e-8)


OPTIMIZERS: dict[str, tuple[Optimizer, Update]] = {
    "sgd": (sg.SGD(0.1), sgd),
    "momentum": (sg.Momentum(0.05, 0.9), momentum),
    "adam": (sg.Adam(0.02), adam),
}


def shuffled(order: Any, state: int) -> int:
    """The documented shuffle: Fisher and Yates with Park and Miller's generator."""
    for last in range(len(order) - 1, 0, -1):
        state = state * 48271 % 2147483647
        other = state * (last + 1) >> 31
        order[last], order[other] = order[other], order[last]
    return state


def by_hand(update: Update, epochs: int, size: int, shuffle: bool, seed: int) -> tuple[dict[str, Any], list[float]]:
    """Ascent on the mean log-likelihood of each batch."""
    params = {"theta": START["theta"].copy(), "c": np.float64(START["c"])}
    states: dict[str, State] = {name: {} for name in params}
    order, state, t, history = np.arange(len(X)), seed % 2147483646 + 1, 0, []
    for _ in range(epochs):
        if shuffle:
            state = shuffled(order, state)
        total = 0.0
        for start in range(0, len(X), size):
            t += 1
            rows = order[start : start + size]
            x, wanted = X[rows], T[rows]
            y = 1 / (1 + np.exp(-(x @ params["theta"] + params["c"])))
            total += np.sum(wanted * np.log(y) + (1 - wanted) * np.log(1 - y))
            slopes = {"theta": (wanted - y) @ x / len(rows), "c": np.mean(wanted - y)}
            params = {name: update(params[name], -slopes[name], states[name], t) for name in params}
        history.append(total / len(X))
    return params, history


def kernel(backend: str) -> Any:
    return sg.compile(sg.parse(TEXT), batch=("x", "y_star"), backend=backend)


@pytest.mark.parametrize("rule", OPTIMIZERS)
@pytest.mark.parametrize("size", [1, 5, None])
@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_equals_a_loop_by_hand(rule: str, size: int | None, backend: str) -> None:
    """A wrong update, sign, mean, ragged last batch, step count, order of rows, or scalar parameter."""
    optimizer, update = OPTIMIZERS[rule]
    found = kernel(backend).fit(START, {"x": X, "y_star": T}, optimizer, epochs=4, batch_size=size, seed=7, progress=False)
    params, history = by_hand(update, 4, size or len(X), True, 7)
    for name, value in params.items():
        np.testing.assert_allclose(found.params[name], value, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(found.history["J"], history, rtol=1e-12)


def test_order_is_kept_without_shuffle() -> None:
    """Shuffling that happens unasked."""
    found = kernel("numba").fit(START, {"x": X, "y_star": T}, sg.SGD(0.1), epochs=3, batch_size=5, shuffle=False, progress=False)
    params, _ = by_hand(sgd, 3, 5, False, 0)
    np.testing.assert_allclose(found.params["theta"], params["theta"], rtol=1e-12)


def test_a_seed_is_a_run() -> None:
    """A run that cannot be repeated, or a seed without effect."""
    runs = [
        kernel("numba").fit(START, {"x": X, "y_star": T}, sg.SGD(0.1), epochs=2, batch_size=4, seed=s, progress=False)
        for s in (1, 1, 2)
    ]
    assert np.array_equal(runs[0].params["theta"], runs[1].params["theta"])
    assert not np.array_equal(runs[0].params["theta"], runs[2].params["theta"])


def test_inputs_are_untouched() -> None:
    """Parameters or data trained in place."""
    start, x = {"theta": START["theta"].copy(), "c": np.array(0.3)}, X.copy()
    kernel("numba").fit(start, {"x": x, "y_star": T}, epochs=2, progress=False)
    assert np.array_equal(start["theta"], START["theta"])
    assert start["c"] == 0.3
    assert np.array_equal(x, X)


def test_minimize_goes_down_and_maximize_up() -> None:
    """A goal that is read the wrong way."""
    for goal, sign in (("minimize", 1), ("maximize", -1)):
        k = sg.compile(sg.parse(f"param w; J = {sign}*(w - 3)^2; {goal} J"), backend="numba")
        f = k.fit({"w": 0.0}, {}, sg.SGD(0.1), epochs=50, batch_size=None, progress=False)
        assert abs(float(f.params["w"]) - 3) < 1e-3


def test_one_parameter_of_two() -> None:
    """A parameter that is data here, and must stay as it is."""
    k = kernel("numba")
    f = k.fit({"theta": START["theta"]}, {"x": X, "y_star": T, "c": 0.3}, sg.SGD(0.1), epochs=2, progress=False)
    assert set(f.params) == {"theta"}


def test_progress(capsys: pytest.CaptureFixture[str]) -> None:
    """A bar that is silent, or on standard output."""
    kernel("numpy").fit(START, {"x": X, "y_star": T}, epochs=20)
    out, err = capsys.readouterr()
    assert out == ""
    assert "epoch 20/20  J = " in err


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no number of epochs": ({"epochs": 1.5}, "SG608"),
    "batch of none": ({"batch_size": 0}, "SG608"),
    "negative seed": ({"seed": -1}, "SG608"),
    "not in wrt": ({"params": {"x": X}}, "SG609"),
    "missing data": ({"data": {"x": X}}, "SG601"),
    "misshapen data": ({"data": {"x": X, "y_star": T[:5]}}, "SG604"),
    "misshapen parameter": ({"params": {"theta": np.ones(9), "c": 0.0}}, "SG604"),
    "no examples": ({"data": {"x": X[:0], "y_star": T[:0]}}, "SG606"),
    "diverges": ({"optimizer": sg.SGD(1e200), "data": {"x": X * 1e150, "y_star": T}}, "SG607"),
}


@pytest.mark.parametrize(("change", "code"), REFUSED.values(), ids=list(REFUSED))
def test_refusals(change: dict[str, Any], code: str) -> None:
    """A traceback, or training on what does not fit."""
    given: dict[str, Any] = {"params": START, "data": {"x": X, "y_star": T}, "progress": False, **change}
    with pytest.raises(sg.SymgradError) as caught, np.errstate(all="ignore"):
        kernel("numba").fit(**given)
    assert caught.value.code == code


def test_rates_are_checked() -> None:
    """A learning rate that is no number."""
    with pytest.raises(sg.SymgradError) as caught:
        sg.SGD(float("nan"))
    assert caught.value.code == "SG608"


def test_learns_digits() -> None:
    """The whole way: a network that does not learn real data."""
    datasets = pytest.importorskip("sklearn.datasets")
    x, labels = datasets.load_digits(return_X_y=True)
    text = """
    index i in 1..M, j in 1..H, k in 1..K
    input x[i], y^*[k]
    param W[j,i], V[k,j]
    h[j] = tanh(sum(W[j,i]*x[i] for i))
    o[k] = sum(V[k,j]*h[j] for j)
    y[k] = exp(o[k])/sum(exp(o[l]) for l in 1..K)
    J = -sum(y^*[k]*log(y[k]) for k)
    minimize J
    """
    k = sg.compile(sg.parse(text), batch=("x", "y_star"), dtype="float32")
    x, t = (x / 16).astype("float32"), np.eye(10, dtype="float32")[labels]
    start = {"W": (RNG.normal(size=(32, 64)) / 8).astype("float32"), "V": (RNG.normal(size=(10, 32)) / 6).astype("float32")}
    f = k.fit(start, {"x": x[:1400], "y_star": t[:1400]}, sg.Adam(0.01), epochs=40, progress=False)
    found = k.forward(x=x[1400:], y_star=t[1400:], **f.params)["y"].argmax(1)
    assert (found == labels[1400:]).mean() > 0.92
