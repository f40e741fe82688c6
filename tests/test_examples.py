"""The example programs: what they draw is what NumPy computes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def surfaces() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cost_surfaces", ROOT / "examples" / "cost_surfaces.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
