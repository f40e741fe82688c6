"""Optimisers, rates as equations, clipping, patience, Ctrl-C and divergence, against NumPy by hand and PyTorch."""

from __future__ import annotations

import _thread
import pickle
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.optimizers import Optimizer
from symgrad.train import Diverged

TEXT = """
param W[i,j], c[i]
input x[j], y[i]
o[i] = sum(W[i,j]*x[j] for j) + c[i]
J = sum((o[i] - y[i])^2 for i)
minimize J
"""
RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(24, 3)), RNG.normal(size=(24, 2))
DATA = {"x": X, "y": Y}
START = {"W": RNG.normal(size=(2, 3)), "c": RNG.normal(size=2)}
STEPS = 12

Slopes = dict[str, Any]


@cache
def kernel(backend: str = "numpy") -> Any:
    return sg.compile(sg.parse(TEXT), batch=("x", "y"), backend=backend)


def slopes(params: dict[str, Any]) -> Slopes:
    off = 2 * (X @ params["W"].T + params["c"] - Y) / len(X)
    return {"W": off.T @ X, "c": off.sum(0)}


def by_hand(update: Callable[..., Any], clip: Callable[[Slopes], Slopes] = lambda g: g, steps: int = STEPS) -> dict[str, Any]:
    params, states = dict(START), {name: {"v": 0.0, "m": 0.0, "s": 0.0} for name in START}
    for t in range(1, steps + 1):
        cut = clip(slopes(params))
        params = {name: update(value, cut[name], states[name], t) for name, value in params.items()}
    return params


def fitted(optimizer: Optimizer, steps: int = STEPS, backend: str = "numpy", **more: Any) -> Any:
    return kernel(backend).fit(START, DATA, optimizer, epochs=steps, batch_size=None, shuffle=False, progress=False, **more)


def sgd(p: Any, g: Any, s: Any, t: int) -> Any:
    return p - 0.1 * g


def nesterov(p: Any, g: Any, s: Any, t: int) -> Any:
    s["v"] = 0.8 * s["v"] + g
    return p - 0.05 * (g + 0.8 * s["v"])


def adagrad(p: Any, g: Any, s: Any, t: int) -> Any:
    s["s"] = s["s"] + g**2
    return p - 0.2 * g / (np.sqrt(s["s"]) + 1e-10)


def rmsprop(p: Any, g: Any, s: Any, t: int) -> Any:
    s["s"] = 0.95 * s["s"] + 0.05 * g**2
    return p - 0.02 * g / (np.sqrt(s["s"]) + 1e-8)


def adam(p: Any, g: Any, s: Any, t: int) -> Any:
    s["m"], s["s"] = 0.9 * s["m"] + 0.1 * g, 0.999 * s["s"] + 0.001 * g**2
    return p - 0.03 * (s["m"] / (1 - 0.9**t)) / (np.sqrt(s["s"] / (1 - 0.999**t)) + 1e-8)


def adamw(p: Any, g: Any, s: Any, t: int) -> Any:
    return adam((1 - 0.03 * 0.1) * p, g, s, t)


RULES: dict[str, tuple[Optimizer, Callable[..., Any], Callable[[Any, Any], Any]]] = {
    "nesterov": (sg.Nesterov(0.05, 0.8), nesterov, lambda o, p: o.SGD(p, lr=0.05, momentum=0.8, nesterov=True)),
    "adagrad": (sg.Adagrad(0.2), adagrad, lambda o, p: o.Adagrad(p, lr=0.2)),
    "rmsprop": (sg.RMSProp(0.02, 0.95), rmsprop, lambda o, p: o.RMSprop(p, lr=0.02, alpha=0.95)),
    "adam": (sg.Adam(0.03), adam, lambda o, p: o.Adam(p, lr=0.03)),
    "adamw": (sg.AdamW(0.03, weight_decay=0.1), adamw, lambda o, p: o.AdamW(p, lr=0.03, weight_decay=0.1)),
}


@pytest.mark.parametrize("name", RULES)
def test_each_step_of_a_rule(name: str) -> None:
    """A wrong formula, order of updates, count of steps or start of the state; in NumPy by hand, step by step."""
    optimizer, update, _ = RULES[name]
    for steps in range(1, STEPS + 1):
        found, wanted = fitted(optimizer, steps).params, by_hand(update, steps=steps)
        for param, value in wanted.items():
            np.testing.assert_allclose(found[param], value, rtol=1e-12, atol=1e-14)


def torch_run(make: Callable[[Any, Any], Any], clip: Callable[[Any, Any], Any] = lambda nn, p: None) -> dict[str, Any]:
    torch = pytest.importorskip("torch")
    params = {name: torch.tensor(value, requires_grad=True) for name, value in START.items()}
    optimizer, x, y = make(torch.optim, list(params.values())), torch.tensor(X), torch.tensor(Y)
    for _ in range(STEPS):
        optimizer.zero_grad()
        ((x @ params["W"].T + params["c"] - y) ** 2).sum(1).mean().backward()
        clip(torch.nn.utils, list(params.values()))
        optimizer.step()
    return {name: value.detach().numpy() for name, value in params.items()}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_that_of_pytorch(name: str) -> None:
    """Another variant or other defaults than people know by the name."""
    optimizer, _, make = RULES[name]
    found = fitted(optimizer).params
    for param, value in torch_run(make).items():
        np.testing.assert_allclose(found[param], value, rtol=1e-10, atol=1e-13)


def by_norm(g: Slopes) -> Slopes:
    norm = np.sqrt(sum(np.sum(v**2) for v in g.values()))
    return {name: v * min(1.0, 0.5 / (norm + 1e-6)) for name, v in g.items()}


def by_value(g: Slopes) -> Slopes:
    return {name: np.clip(v, -0.2, 0.2) for name, v in g.items()}


CLIPS: dict[str, tuple[dict[str, float], Callable[[Slopes], Slopes]]] = {
    "norm": ({"clip_norm": 0.5}, by_norm),
    "value": ({"clip_value": 0.2}, by_value),
    "both": ({"clip_value": 0.2, "clip_norm": 0.5}, lambda g: by_norm(by_value(g))),
}


@pytest.mark.parametrize("name", CLIPS)
def test_clipping(name: str) -> None:
    """A norm of one parameter alone, a cut on one side, the wrong one first, or none."""
    options, clip = CLIPS[name]
    found, wanted = fitted(sg.SGD(0.1), **options).params, by_hand(sgd, clip)
    assert not np.allclose(found["W"], by_hand(sgd)["W"])
    for param, value in wanted.items():
        np.testing.assert_allclose(found[param], value, rtol=1e-12, atol=1e-14)


def test_clipping_is_that_of_pytorch() -> None:
    """Another norm than clip_grad_norm_ takes."""
    found = fitted(sg.SGD(0.1), clip_norm=0.5).params
    wanted = torch_run(lambda o, p: o.SGD(p, lr=0.1), lambda nn, p: nn.clip_grad_norm_(p, 0.5))
    for param, value in wanted.items():
        np.testing.assert_allclose(found[param], value, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_clipping_keeps_a_gradient_that_is_no_number(backend: str) -> None:
    """A nan that min and max swallow, so that training goes on from wrong numbers."""
    k = sg.compile(sg.parse("param w; input x; J = sqrt(w*x); minimize J"), backend=backend)
    with pytest.raises(Diverged) as caught:
        k.fit({"w": 1.0}, {"x": 0.0}, sg.SGD(0.1), epochs=3, progress=False, clip_norm=1.0, clip_value=1.0)
    assert "in step 1 (epoch 1): J is finite, but its gradient by w is not" in caught.value.message


RATES: dict[str, tuple[str, Callable[[int, int, int, int], float]]] = {
    "over the step": ("0.1/(1 + t/3)", lambda t, epoch, steps, epochs: 0.1 / (1 + t / 3)),
    "over the epoch": ("0.1*0.5^(epoch - 1)", lambda t, epoch, steps, epochs: 0.1 * 0.5 ** (epoch - 1)),
    "choices": (
        "where(t < 4, max(0.01, 0.02*t), min(0.1, t/steps)*0.1) + 0.01*epoch/epochs",
        lambda t, epoch, steps, epochs: (max(0.01, 0.02 * t) if t < 4 else min(0.1, t / steps) * 0.1) + 0.01 * epoch / epochs,
    ),
    "cosine": (
        sg.rates.cosine(0.1, 3, 0.01),
        lambda t, epoch, steps, epochs: 0.1 * t / 3 if t <= 3 else 0.01 + 0.09 * (1 + np.cos(np.pi * (t - 3) / (steps - 3))) / 2,
    ),
    "staircase": (sg.rates.staircase(0.1, 0.5, 2), lambda t, epoch, steps, epochs: 0.1 * 0.5 ** ((epoch - 1) // 2)),
}


@pytest.mark.parametrize("name", RATES)
def test_rates_as_equations(name: str) -> None:
    """Steps, epochs or totals that count from elsewhere, and functions that the step reads otherwise."""
    text, rate = RATES[name]
    params = dict(START)
    t, size, epochs = 0, 10, 5
    for epoch in range(1, epochs + 1):
        for first in range(0, len(X), size):
            t += 1
            x, y = X[first : first + size], Y[first : first + size]
            off = 2 * (x @ params["W"].T + params["c"] - y) / len(x)
            here = rate(t, epoch, epochs * 3, epochs)
            params = {"W": params["W"] - here * off.T @ x, "c": params["c"] - here * off.sum(0)}
    found = kernel().fit(START, DATA, sg.SGD(text), epochs=epochs, batch_size=size, shuffle=False, progress=False)
    for param, value in params.items():
        np.testing.assert_allclose(found.params[param], value, rtol=1e-12, atol=1e-14)


def test_all_of_it_compiled() -> None:
    """Numba's loop: rates, clipping and patience, that are other equations or other numbers than NumPy's."""
    options: dict[str, Any] = {"clip_norm": 0.5, "clip_value": 0.3, "epochs": 6, "batch_size": 5, "progress": False, "seed": 3}
    optimizer = sg.RMSProp("0.1/(1 + t/10)*where(epoch < 3, 1, cos(t/steps))")
    runs = [kernel(b).fit(START, DATA, optimizer, validation={"x": X[:5], "y": Y[:5]}, **options) for b in ("numba", "numpy")]
    np.testing.assert_allclose(runs[0].params["W"], runs[1].params["W"], rtol=1e-11)
    np.testing.assert_allclose(runs[0].validation, runs[1].validation, rtol=1e-11)
    assert len(runs[0].validation) == 6


BAD_RATES = {
    "no end": ("0.1/", "SG104", 5),
    "an unknown name": ("0.1*k", "SG203", 5),
    "an index": ("t[1]", "SG203", 1),
    "two": ("0.1; 2", "SG105", 4),
    "nothing": ("", "SG104", 1),
    "code": ("__import__('os')", "SG110", 1),
    "an extent": ("sum(k for k in 1..N)", "SG203", 1),
    "not closed": ("exp(-t", "SG106", 7),
}


@pytest.mark.parametrize("name", BAD_RATES)
def test_a_rate_that_is_none(name: str) -> None:
    """A traceback, or an error that does not show the place."""
    text, code, column = BAD_RATES[name]
    with pytest.raises(sg.SymgradError) as caught:
        sg.Adam(text)
    assert (caught.value.code, caught.value.column) == (code, column)


def test_a_number_as_text_is_a_number() -> None:
    """A rate from the command line that compiles anew."""
    assert sg.SGD("0.1") == sg.SGD(0.1)


def test_names_of_the_model_that_a_rule_uses_too() -> None:
    """A model's w_next, eta or t that is taken for the rule's."""
    text = "param w; input w_next, eta, t, w_v, scale; J = (w*w_next - eta + t*w_v + scale)^2; minimize J"
    given = {"w_next": 2.0, "eta": 1.0, "t": 0.5, "w_v": 0.5, "scale": 0.25}
    f = sg.compile(sg.parse(text), wrt=["w"], backend="numpy").fit(
        {"w": 0.0}, given, sg.Momentum(0.1, 0.0), epochs=1, progress=False, clip_norm=1.0
    )
    assert float(f.params["w"]) == pytest.approx(0.1, rel=1e-5)


# patience


def test_patience_keeps_the_best() -> None:
    """Going on for ever, stopping too soon, or returning the last parameters."""
    held = {"x": X[:6], "y": Y[:6]}
    rest = {"x": X[6:], "y": Y[6:]}
    k = kernel()
    f = k.fit(START, rest, sg.SGD(0.05), epochs=400, batch_size=4, validation=held, patience=5, progress=False)
    assert f.stopped == "patience"
    assert len(f.validation) == len(f.history["J"]) == f.best_epoch + 5
    assert f.best_epoch == 1 + int(np.argmin(f.validation))
    assert float(k.forward(**held, **f.params)["J"]) == f.validation.min()
    same = k.fit(START, rest, sg.SGD(0.05), epochs=f.best_epoch, batch_size=4, progress=False)
    assert np.array_equal(same.params["W"], f.params["W"])


def test_patience_without_validation_watches_the_training_loss() -> None:
    """A rate so high that it gets worse from the first epoch."""
    f = kernel().fit(START, DATA, sg.SGD("where(epoch < 3, 0.05, 0.6)"), epochs=50, patience=2, batch_size=4, progress=False)
    assert f.stopped == "patience"
    assert f.validation is None
    assert len(f.history["J"]) == f.best_epoch + 2


def test_patience_uphill() -> None:
    """A goal that is maximized, watched as a loss."""
    k = sg.compile(sg.parse("param w; J = -(w - 3)^2; maximize J"), backend="numpy")
    f = k.fit({"w": 0.0}, {}, sg.SGD(0.1), epochs=30, patience=2, progress=False)
    assert f.stopped == ""
    assert f.best_epoch == 30


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"patience": 0}, "SG608"), ({"patience": 1.5}, "SG608"), ({"clip_norm": 0}, "SG608"), ({"clip_value": -1}, "SG608"),
        ({"clip_norm": float("nan")}, "SG608"), ({"optimizer": "sgd"}, "SG608"), ({"validation": {"z": X}}, "SG601"),
        ({"validation": {"x": X[:, :2], "y": Y}}, "SG604"), ({"validation": {"x": X[:0], "y": Y[:0]}}, "SG606"),
    ],
)  # fmt: skip
def test_settings_are_checked(options: dict[str, Any], code: str) -> None:
    """A traceback, or training with what has no meaning."""
    with pytest.raises(sg.SymgradError) as caught:
        kernel().fit(START, DATA, epochs=2, progress=False, **options)
    assert caught.value.code == code


# divergence


def test_the_equation_that_was_first_is_named() -> None:
    """The loss named where an equation before it overflowed; parameters that are lost, or of another step."""
    text = "param w; input x; a = w*x; p = exp(a); q = p - 1; J = q^2; minimize J"
    k = sg.compile(sg.parse(text), batch=("x",), backend="numpy")
    x = np.array([1.0, 1.0, 1.0, 1.0, 2000.0, 1.0])
    options: dict[str, Any] = {"batch_size": 1, "shuffle": False, "progress": False}
    with pytest.raises(Diverged) as caught:
        k.fit({"w": 0.5}, {"x": x}, sg.SGD(0.01), epochs=3, **options)
    assert "in step 5 (epoch 1): p = exp(a) became inf" in caught.value.message
    before = k.fit({"w": 0.5}, {"x": x[:4]}, sg.SGD(0.01), epochs=1, **options)
    assert np.array_equal(caught.value.params["w"], before.params["w"])
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.code == "SG607"
    assert np.array_equal(again.params["w"], before.params["w"])


WRONG: dict[str, tuple[str, Any, dict[str, Any], str]] = {
    "data": ("param w; input x; J = (w*x)^2; minimize J", sg.SGD(0.1), {"x": np.array([1.0, np.nan, 1.0])}, "step 2 (epoch 1): x"),
    "gradient": ("param w; input x; J = sqrt(w*x); minimize J", sg.SGD(0.1), {"x": np.array([1.0, 0.0, 1.0])}, "its gradient by w"),
    "update": ("param w; input x; J = w*x; minimize J", sg.SGD("1/(t - 2)"), {"x": np.ones(3)}, "step 2 (epoch 1): the loss and"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("batch_size", [1, 1000])
def test_what_was_not_finite(name: str, batch_size: int) -> None:
    """A gradient, an update or data that are not finite while no equation is."""
    text, optimizer, data, shown = WRONG[name]
    if batch_size > 1:
        shown = shown.removeprefix("step 2 (epoch 1): ")
    k = sg.compile(sg.parse(text), batch=("x",), backend="numpy")
    with pytest.raises(Diverged) as caught:
        k.fit({"w": 0.5}, data, optimizer, epochs=3, batch_size=batch_size, shuffle=False, progress=False)
    assert shown in caught.value.message
    assert np.isfinite(caught.value.params["w"])


def test_the_way_back_over_many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search among steps that were run again that ends one beside the right one."""
    monkeypatch.setattr("symgrad.running.COPIED", 1e9)
    k = sg.compile(sg.parse("param w, v; input x; J = w*x + v; minimize J"), backend="numba", batch=("x",))
    data, options = {"x": RNG.normal(size=40)}, {"batch_size": 1, "progress": False, "seed": 2}
    with pytest.raises(Diverged) as caught:
        k.fit({"w": 0.5, "v": 1.0}, data, sg.SGD("0.01 + 0.000001/(t - 1234)"), epochs=100, **options)
    assert "in step 1234 (epoch 31)" in caught.value.message
    assert len(caught.value.fit.history["J"]) == 30


# Ctrl-C, and runs in pieces


def test_a_run_in_pieces_is_the_run_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows, sums or steps that are lost where a piece ends within an epoch."""
    k, options = kernel(), {"epochs": 5, "batch_size": 5, "progress": False, "seed": 4}
    whole = k.fit(START, DATA, sg.Adam(0.01), **options)
    monkeypatch.setattr("symgrad.running.PIECE", 1e-9)
    pieces = k.fit(START, DATA, sg.Adam(0.01), **options)
    assert np.array_equal(whole.params["W"], pieces.params["W"])
    assert np.array_equal(whole.history["J"], pieces.history["J"])


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_an_interrupt_returns_what_is_trained(backend: str) -> None:
    """Ctrl-C that is not heard within a long epoch, or that throws the parameters away."""
    k = kernel(backend)
    rows = {"x": np.tile(X, (4000, 1)), "y": np.tile(Y, (4000, 1))}
    k.fit(START, DATA, sg.SGD(1e-7), epochs=1, batch_size=1, progress=False)
    pressed = []

    def press() -> None:
        pressed.append(time.perf_counter())
        _thread.interrupt_main()

    timer = threading.Timer(0.3, press)
    timer.start()
    f = k.fit(START, rows, sg.SGD(1e-7), epochs=1000, batch_size=1, progress=False)
    assert f.stopped == "interrupted"
    assert time.perf_counter() - pressed[0] < 1
    assert np.isfinite(f.params["W"]).all()
    assert not np.array_equal(f.params["W"], START["W"])


# bad input


def test_arrays_as_they_come() -> None:
    """Parameters or data that are read-only, share memory, are of another type, or in no order that the kernel takes."""
    k = sg.compile(sg.parse("param a[i], b[i]; input x[i]; J = sum((a[i]*x[i] - b[i])^2 for i); minimize J"), backend="numba")
    base = RNG.normal(size=6)
    options: dict[str, Any] = {"epochs": 4, "progress": False}
    wanted = k.fit({"a": base[:3].copy(), "b": base[:3].copy()}, {"x": base[:3].copy()}, **options)
    frozen = base.copy()
    frozen.flags.writeable = False
    same = k.fit({"a": frozen[:3], "b": frozen[:3]}, {"x": frozen[:3]}, **options)
    strided = np.repeat(base, 2)[::2]
    also = k.fit({"a": strided[:3], "b": strided[:3]}, {"x": strided[:3]}, **options)
    for found in (same, also):
        assert np.array_equal(found.params["a"], wanted.params["a"])
        assert np.array_equal(found.params["b"], wanted.params["b"])
    assert np.array_equal(frozen, base)
    assert found.params["a"].flags.writeable
    single = k.fit({"a": base[:3].astype("float32"), "b": base[:3]}, {"x": base[:3].astype("float32")}, **options)
    assert single.params["a"].dtype == np.float64
    with pytest.raises(sg.SymgradError) as caught:
        k.fit({"a": base[:3], "b": base[:3] + 1j}, {"x": base[:3]}, **options)
    assert caught.value.code == "SG603"


def test_more_than_there_is() -> None:
    """A batch beyond the data that is no full batch, and no epochs that compile, or change anything."""
    k, options = kernel(), {"epochs": 3, "progress": False, "shuffle": False}
    found = [k.fit(START, DATA, sg.SGD(0.1), batch_size=size, **options) for size in (None, 10**9)]
    assert np.array_equal(found[0].params["W"], found[1].params["W"])
    none = k.fit(START, DATA, sg.SGD(0.1), epochs=0, progress=False, patience=2, validation=DATA)
    assert np.array_equal(none.params["W"], START["W"])
    assert len(none.history["J"]) == len(none.validation) == 0


@pytest.mark.parametrize("extent", [10**5, 3 * 10**6])
def test_more_than_the_memory_holds(extent: int) -> None:
    """NumPy's MemoryError or ValueError from inside a call."""
    text = "param a[i], b[j], c[k]; w[i,j,k] = a[i]*b[j]*c[k]; J = sum(sin(w[i,j,k])*w[i,j,k] for i, j, k); minimize J"
    k = sg.compile(sg.parse(text), backend="numba")
    given = dict.fromkeys("abc", np.zeros(extent))
    for run in (lambda: k(**given), lambda: k.forward(**given), lambda: k.fit(given, {}, progress=False)):
        with pytest.raises(sg.SymgradError) as caught:
            run()
        assert caught.value.code == "SG508"
