"""The published passes of tests/gallery.py against differences of their own losses, and the gallery's data against both.

Nothing here runs symgrad: these are the references that it is held to.
"""

from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.gallery import GALLERY, Published, batch_norm_adjoint, hessian, hvp

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "examples" / "gallery" / "data.py"
EACH = pytest.mark.parametrize("name", GALLERY)


def differences(function: Callable[[Any], Any], at: Any, step: float = 1e-5) -> Any:
    """Central differences [cell of `at`, …, cell of the value, …]."""
    at = np.asarray(at, float)
    rows = []
    for cell in np.ndindex(at.shape):
        ends = []
        for moved in (at[cell] + step, at[cell] - step):
            point = at.copy()
            point[cell] = moved
            ends.append(np.asarray(function(point)))
        rows.append((ends[0] - ends[1]) / (2 * step))
    return np.reshape(rows, (*at.shape, *rows[0].shape))


def assert_near(found: Any, wanted: Any, relative: float = 1e-6) -> None:
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= relative * np.abs(wanted).max()


def loss_by(model: Published, arrays: dict[str, Any], wrt: str) -> Callable[[Any], float]:
    return lambda value: model.gradients({**arrays, wrt: value})[0]


def declared(model: Published) -> dict[str, list[tuple[str, list[str]]]]:
    """input, const, param → the names in code with their indices, read from the file."""
    out: dict[str, list[tuple[str, list[str]]]] = {"input": [], "const": [], "param": []}
    for line in (ROOT / model.file).read_text(encoding="utf-8").splitlines():
        role, _, names = line.partition(" ")
        for name, indices in re.findall(r"([A-Za-z]\w*(?:\^\*|')?)(?:\[([^]]*)\])?", names.split(" in ")[0]) if role in out else []:
            code = name.replace("^*", "_star").replace("'", "_prime")
            out[role].append((code, indices.split(",") if indices else []))
    return out


def axes(model: Published) -> Iterator[tuple[str, list[str]]]:
    for found in declared(model).values():
        yield from found


@EACH
def test_published_pass_equals_differences(name: str) -> None:
    """A published equation copied wrongly, a loss that is not the one its gradients belong to."""
    model = GALLERY[name]
    for seed in range(2):
        arrays = model.arrays(np.random.default_rng(seed))
        _, gradients = model.gradients(arrays)
        for wrt, gradient in gradients.items():
            assert_near(gradient, differences(loss_by(model, arrays, wrt), arrays[wrt]))


@EACH
def test_arrays_fit_the_model(name: str) -> None:
    """A name that the model does not have, a param without its gradient, axes of one length that hide a transposition."""
    model = GALLERY[name]
    arrays = model.arrays(np.random.default_rng(0))
    assert sorted(arrays) == sorted(found for found, _ in axes(model))
    assert {found for found, _ in declared(model)["param"]} <= set(model.gradients(arrays)[1])
    ranges = dict(index_ends((ROOT / model.file).read_text(encoding="utf-8")))
    for found, indices in axes(model):
        array = np.asarray(arrays[found])
        assert array.ndim == len(indices)
        assert array.dtype in (np.float64, np.int64)
        assert len(set(array.shape)) == len({ranges[index] for index in indices})


def index_ends(text: str) -> Iterator[tuple[str, str]]:
    """Every declared index with its range."""
    for line in re.findall(r"^index (.*)$", text, re.MULTILINE):
        for names, ends in re.findall(r"((?:\w+, )*\w+) in ([^,]+)", line):
            yield from ((name, ends) for name in names.split(", "))


def test_batch_norm_in_one_line() -> None:
    """A term of the short form that the long one does not have."""
    rng = np.random.default_rng(0)
    x, dy, gamma, epsilon = rng.normal(size=(5, 3)), rng.normal(size=(5, 3)), rng.normal(size=3), 0.01

    def normalised(x: Any) -> tuple[Any, Any]:
        s = np.sqrt(x.var(axis=0) + epsilon)
        return s, (x - x.mean(axis=0)) / s

    assert_near(batch_norm_adjoint(gamma, *normalised(x), dy), differences(lambda x: (dy * gamma * normalised(x)[1]).sum(), x))


def test_second_order_of_softmax() -> None:
    """A Hessian that is not the derivative of the gradient, a product that is not with it."""
    model, rng = GALLERY["softmax_cross_entropy"], np.random.default_rng(0)
    arrays = model.arrays(rng)
    H, v = hessian(arrays), rng.normal(size=len(arrays["a"]))
    assert_near(H, differences(lambda a: model.gradients({**arrays, "a": a})[1]["a"], arrays["a"]))
    assert_near(hvp(arrays, v), H @ v, 1e-12)


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


@EACH
def test_data_trains(name: str, data: dict[str, Any]) -> None:
    """Data of another model's shape; starting values from which nothing can be learnt."""
    model, arrays = GALLERY[name], data["arrays"](name)
    small = model.arrays(np.random.default_rng(0))
    assert {key: (np.ndim(a), np.asarray(a).dtype) for key, a in arrays.items()} == {
        key: (np.ndim(a), np.asarray(a).dtype) for key, a in small.items()
    }
    loss, gradients = model.gradients(arrays)
    params = {param: gradients[param] for param, _ in declared(model)["param"]}
    sign = 1 if "\nmaximize " in (ROOT / model.file).read_text(encoding="utf-8") else -1
    step = sign * 1e-3 * abs(loss) / sum(np.sum(np.square(g)) for g in params.values())
    better = model.gradients({**arrays, **{param: arrays[param] + step * g for param, g in params.items()}})[0]
    assert 0.5e-3 * abs(loss) < sign * (better - loss) < 2e-3 * abs(loss)


@EACH
def test_data_is_written(name: str, data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays that differ from one run to the next, or that only pickle can hold."""
    out = tmp_path / "out.npz"
    monkeypatch.setattr(sys, "argv", ["data.py", name, str(out)])
    data["main"]()
    with np.load(out, allow_pickle=False) as found:
        again = data["arrays"](name)
        assert sorted(found.files) == sorted(again)
        assert all(np.array_equal(found[key], again[key]) for key in again)


@pytest.mark.parametrize(("name", "out", "why"), [("vae", "out.npz", "scikit-learn"), ("gru", "gone/out.npz", "cannot be written")])
def test_data_refused(
    name: str,
    out: str,
    why: str,
    data: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A traceback for a package or a folder that is not there."""
    monkeypatch.setattr(sys, "argv", ["data.py", name, str(tmp_path / out)])
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(SystemExit) as stopped:
        data["main"]()
    assert stopped.value.code == 2
    assert why in capsys.readouterr().err
