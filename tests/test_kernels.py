"""Compiled kernels against the oracle, on every model; what they check; how they are stored."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.core.evaluate import evaluate
from symgrad.kernel import Kernel
from tests.models import MODELS, Model, random_arrays
from tests.reference import adjoints, loss_of, reals

ALL = pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
COMPILED = """S1|S2|S4|S7|constant index|convolution|stride|product of rows|minimum|max pooling|logsumexp|ranking|where
|triangular sum|added up by rows|attention|functions|diagonal|coupled recurrence|two axes|all before|gather|guards|parts
|sums in moving ranges|strided kernel""".replace("\n", "").split("|")
SINGLE = ["S3", "S7", "attention"]


@cache
def kernel(name: str, backend: str, dtype: str) -> Kernel:
    program = MODELS[name].program()
    return sg.compile(program, loss_of(program), wrt=reals(program), dtype=dtype, backend=backend)


def arrays_for(model: Model, seed: int, **sizes: int) -> dict[str, Any]:
    return random_arrays(model.program(), np.random.default_rng(seed), {**model.sizes, **sizes}, model.intervals)


def assert_close(found: Any, wanted: Any, least: float) -> None:
    found, wanted = np.asarray(found), np.asarray(wanted, dtype=float)
    assert found.shape == wanted.shape
    same = np.isinf(wanted) & (found == wanted)  # a maximum of nothing
    found, wanted = np.where(same, 0.0, found), np.where(same, 0.0, wanted)
    assert np.abs(found - wanted).max(initial=0.0) <= least * max(1.0, np.abs(wanted).max(initial=0.0))


def assert_agrees(name: str, backend: str, dtype: str, least: float) -> None:
    """Value, gradients and forward values equal the oracle's, at two sizes with one kernel object."""
    model, k = MODELS[name], kernel(name, backend, dtype)
    program, kind = model.program(), np.dtype(dtype).type
    for seed, sizes in ((0, {}), (1, {} if model.sizes else {"N": 5, "M": 6, "D": 3, "K": 4})):
        arrays = arrays_for(model, seed, **sizes)
        arrays |= {n: kind(arrays[n]) if np.ndim(arrays[n]) == 0 else arrays[n].astype(dtype) for n in reals(program)}
        given = {n: np.asarray(a, dtype=float if n in reals(program) else None) for n, a in arrays.items()}
        loss, grads = k(**arrays)
        wanted, slopes = evaluate(program, given), adjoints(program, given, k.loss)
        assert_close(loss, wanted[k.loss], least)
        for free in reals(program):
            if free in grads:
                assert grads[free].dtype == dtype
                assert_close(grads[free], slopes[free], least)
        for defined, value in k.forward(**arrays).items():
            assert_close(value, wanted[defined], least)


@ALL
def test_numpy_backend(model: Model) -> None:
    """A wrong axis, einsum, grid or scatter in the NumPy text."""
    assert_agrees(model.name, "numpy", "float64", 1e-12)


@pytest.mark.parametrize("name", COMPILED)
def test_numba_backend(name: str) -> None:
    """A wrong loop, place, order of updates or reduction in the compiled code."""
    assert_agrees(name, "numba", "float64", 1e-12)


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_single_precision(name: str, backend: str) -> None:
    """A constant or a literal that lifts float32 to float64, or loses it."""
    assert_agrees(name, backend, "float32", 2e-5)


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_batch_is_the_mean_over_examples(backend: str) -> None:
    """A batch that sums, or mixes examples."""
    program = MODELS["S7"].program()
    k = sg.compile(program, batch=("x", "y_star"), backend=backend)
    one = kernel("S7", "numpy", "float64")
    rng = np.random.default_rng(0)
    arrays = random_arrays(program, rng)
    x, t = rng.normal(size=(6, *np.shape(arrays["x"]))), rng.uniform(size=(6, *np.shape(arrays["y_star"])))
    params = {n: arrays[n] for n in ("alpha", "beta")}
    loss, grads = k(x=x, y_star=t, **params)
    each = [one(x=row, y_star=target, **params) for row, target in zip(x, t, strict=True)]
    assert_close(loss, np.mean([value for value, _ in each]), 1e-13)
    for name in params:
        assert_close(grads[name], np.mean([g[name] for _, g in each], axis=0), 1e-13)
    assert k.forward(x=x, y_star=t, **params)["y"].shape == t.shape


def test_results_are_fresh_and_inputs_untouched() -> None:
    """Outputs that alias each other or an input."""
    k = kernel("S2", "numba", "float64")
    arrays = arrays_for(MODELS["S2"], 0)
    copies = {n: np.copy(a) for n, a in arrays.items()}
    _, first = k(**arrays)
    kept = first["theta"].copy()
    _, second = k(**{**arrays, "x": arrays["x"] * 2})
    assert np.array_equal(first["theta"], kept)
    assert not np.shares_memory(first["theta"], second["theta"])
    assert all(np.array_equal(arrays[n], copies[n]) for n in arrays)


def test_any_layout_and_exact_type() -> None:
    """A kernel that reads strides or bytes as if they were its own."""
    k = kernel("S4", "numba", "float64")
    arrays = arrays_for(MODELS["S4"], 0)
    wanted = k(**arrays)[1]["alpha"]
    alpha = arrays["alpha"]
    wide = np.zeros((2 * alpha.shape[0], alpha.shape[1]))
    wide[::2] = alpha
    for form in (np.asfortranarray(alpha), wide[::2], alpha.astype(">f8"), alpha.tolist()):
        assert np.array_equal(k(**{**arrays, "alpha": form})[1]["alpha"], wanted)
    ones = np.ones_like(alpha)
    assert np.array_equal(k(**{**arrays, "alpha": ones.astype(int)})[1]["alpha"], k(**{**arrays, "alpha": ones})[1]["alpha"])


REFUSED = {
    "missing": ({"theta": None}, "SG601", ["theta"]),
    "unknown": ({"thet": 1.0}, "SG601", ["thet", "theta"]),
    "rank": ({"theta": np.ones((2, 2))}, "SG602", ["theta", "(2, 2)", "a = sum(theta[j]*x[j] for j)"]),
    "scalar for array": ({"theta": 1.0}, "SG602", ["theta", "()"]),
    "array for scalar": ({"y_star": np.ones(3)}, "SG602", ["y^*", "(3,)", "a single number"]),
    "shape": ({"theta": np.ones(9)}, "SG604", ["theta", "(9,)", "(4,)", "a = sum(theta[j]*x[j] for j)"]),
    "complex": ({"theta": np.ones(4) * 1j}, "SG603", ["theta", "complex128", "float64"]),
    "words": ({"theta": np.array(list("abcd"))}, "SG603", ["theta", "float64"]),
    "objects": ({"theta": np.array([None] * 4)}, "SG603", ["theta", "object"]),
}


@pytest.mark.parametrize(("change", "code", "words"), REFUSED.values(), ids=list(REFUSED))
@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_arrays_are_checked(change: dict[str, Any], code: str, words: list[str], backend: str) -> None:
    """A wrong array that reaches a kernel, or a message that does not say which, where and how."""
    k = kernel("S2", backend, "float64")
    arrays = {**random_arrays(MODELS["S2"].program(), np.random.default_rng(0), {"D": 3}), **change}
    with pytest.raises(sg.SymgradError) as caught:
        k(**{name: array for name, array in arrays.items() if array is not None})
    assert caught.value.code == code
    assert [word for word in words if word not in str(caught.value)] == []


def test_shifted_reads_stay_inside() -> None:
    """A shifted index that leaves its array is refused before the kernel runs."""
    k = sg.compile(sg.parse("index i in 0..9, k in 0..2; y[i] = sum(w[k]*x[i+k] for k); J = sum(y[i] for i)"), backend="numba")
    with pytest.raises(sg.SymgradError) as caught:
        k(w=np.ones(3), x=np.ones(11))
    assert caught.value.code == "SG605"
    assert float(k(w=np.ones(3), x=np.ones(12))[0]) == 30.0


def test_unknown_extent_is_refused() -> None:
    """An extent that no array gives."""
    with pytest.raises(sg.SymgradError) as caught:
        sg.compile(sg.parse("y[i] = sum(w[k]*x[i+k] for k in 0..4); J = sum(y[i]^2 for i)"))
    assert caught.value.code == "SG311"


RAGGED = (
    "J = sum(prod(x[i]+x[j] for j in i+1..N) for i in 1..N)",
    "index m in 1..N; input x[m]; J = sum(exp(sum(x[j] for j in 1..i))*x[i] for i in 1..N)",
)


@pytest.mark.parametrize("text", RAGGED)
@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_a_reduction_inside_a_moving_range(text: str, backend: str) -> None:
    """A ragged array taken for a box: a wrong gradient in silence. Right, or refused."""
    program = sg.parse(text)
    arrays = {"x": np.random.default_rng(0).uniform(0.2, 0.9, 4)}
    try:
        found = sg.compile(program, "J", wrt=program.free, backend=backend)(**arrays)[1]["x"]
    except sg.SymgradError as refusal:
        assert refusal.code in ("SG312", "SG393")
        return
    assert_close(found, adjoints(program, arrays, "J")["x"], 1e-12)


NAMES = "lambda = x*np; F = lambda + total; J = F*start + batch*len_1 + print"


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_names_of_python_are_plain_names(backend: str) -> None:
    """A quantity named as a keyword, a built-in or a name of the emitted module."""
    program = sg.parse(NAMES)
    arrays = {name: 0.1 * (k + 2) for k, name in enumerate(program.free)}
    k = sg.compile(program, wrt=program.free, backend=backend)
    loss, grads = k(**arrays)
    assert_close(loss, evaluate(program, arrays)["J"], 1e-14)
    assert set(grads) == set(program.free)
    f = k.fit({n: arrays[n] for n in program.free[:2]}, {n: arrays[n] for n in program.free[2:]}, epochs=2, progress=False)
    assert set(f.params) == set(program.free[:2])


# storing

ALONE = """
import sys
for name in ("symgrad", "sympy"):
    sys.modules[name] = None
import numpy as np, net
arrays = dict(np.load("arrays.npz"))
loss, grads = net.value_and_grad(**arrays)
np.savez("out.npz", loss=loss, **grads)
np.savez("forward.npz", **net.forward(**arrays))
try:
    net.value_and_grad(**{**arrays, "beta": np.ones(1)})
except ValueError as error:
    print(error.code)
"""


def test_saved_module_stands_alone(tmp_path: Path) -> None:
    """A module that needs symgrad or SymPy, or computes something else; a file overwritten unasked."""
    k = kernel("S3", "numba", "float64")
    arrays = arrays_for(MODELS["S3"], 0)
    path = k.save(tmp_path / "net.py")
    np.savez(tmp_path / "arrays.npz", **arrays)
    ran = subprocess.run([sys.executable, "-c", ALONE], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "SG604"
    loss, grads = k(**arrays)
    with np.load(tmp_path / "out.npz") as found:
        assert found["loss"] == loss
        assert all(np.array_equal(found[name], grads[name]) for name in grads)
    with np.load(tmp_path / "forward.npz") as found:
        assert all(np.array_equal(found[name], value) for name, value in k.forward(**arrays).items())
    with pytest.raises(sg.SymgradError) as caught:
        k.save(path)
    assert caught.value.code == "SG701"
    with pytest.raises(sg.SymgradError) as caught:
        k.save(tmp_path)
    assert caught.value.code == "SG702"
    assert k.save(path, force=True) == path


CACHED = """
import os, time, sys
import symgrad as sg
k = sg.compile(sg.parse("J = exp(x)*w"), backend="numba")
k(x=1.0, w=2.0)
print(k.module.__file__)
print(sum(k.module._value_and_grad.stats.cache_misses.values()))
"""


def test_compiled_once(tmp_path: Path) -> None:
    """A second process that compiles again what the first one did."""
    runs = []
    for _ in range(2):
        ran = subprocess.run(
            [sys.executable, "-c", CACHED],
            env={**os.environ, "SYMGRAD_CACHE": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        runs.append(ran.stdout.split())
    assert runs[0][0] == runs[1][0]
    assert [run[1] for run in runs] == ["1", "0"]


def test_cache_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A read-only or missing folder: one warning, a right result."""
    (tmp_path / "file").write_text("")
    code = "import symgrad as sg\nfor n in (2, 3):\n    print(sg.compile(sg.parse(f'J = x^{n}'))(x=3.0)[0])"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "SYMGRAD_CACHE": str(tmp_path / "file" / "x")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == ["9.0", "27.0"]
    assert ran.stderr.count("RuntimeWarning") == 1


EMIT = """
import symgrad as sg
from tests.models import MODELS
for name in ("S7", "attention", "ranking"):
    p = MODELS[name].program()
    print(sg.compile(p, "J").source, sg.derive(p, "J").latex())
"""


def test_emission_is_deterministic() -> None:
    """Text that depends on the order of a set: the cache would never hit, bytes would differ."""
    texts = {
        subprocess.run(
            [sys.executable, "-c", EMIT], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(texts) == 1
