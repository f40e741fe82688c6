"""Calls of compiled kernels: what is kept between them, arrays as they come, bound calls, no memory."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.kernel import Kernel

NETWORK = "a[j] = sum(A[j,i]*x[i] for i); y = w*sum(b[j]*tanh(a[j]) for j); J = (y - t)^2"
GATHER = "index v in 1..V; input t[n] in 1..V; param E[v,d], w; J = sum(w*E[t[n],d]^2 for n, d)"


@cache
def network(backend: str = "numba", dtype: str = "float64") -> Kernel:
    return sg.compile(sg.parse(NETWORK), backend=backend, dtype=dtype)


@cache
def gather(backend: str) -> Kernel:
    return sg.compile(sg.parse(GATHER), backend=backend)


def data(seed: int, rows: int = 3, columns: int = 4, dtype: str = "float64") -> dict[str, Any]:
    r = np.random.default_rng(seed)
    arrays = {"A": r.normal(size=(rows, columns)), "x": r.normal(size=columns), "b": r.normal(size=rows)}
    return {**{name: array.astype(dtype) for name, array in arrays.items()}, "w": 0.5 + seed, "t": 1.0}


def assert_same(found: tuple[Any, dict[str, Any]], wanted: tuple[Any, dict[str, Any]]) -> None:
    assert found[0] == wanted[0]
    assert {n: g.tolist() for n, g in found[1].items()} == {n: g.tolist() for n, g in wanted[1].items()}


def assert_near(found: tuple[Any, dict[str, Any]], wanted: tuple[Any, dict[str, Any]]) -> None:
    np.testing.assert_allclose(found[0], wanted[0], 1e-12)
    for name, gradient in wanted[1].items():
        np.testing.assert_allclose(found[1][name], gradient, 1e-12, 1e-14)


def test_sizes_change_between_calls() -> None:
    """Temporaries of another size used again; large ones kept."""
    k, reference = network(), network("numpy")
    for seed, shape in enumerate([(3, 4), (3, 4), (5, 2), (2, 5), (9000, 3), (3, 4)]):
        assert_near(k(**data(seed, *shape)), reference(**data(seed, *shape)))
    assert sum(array.size for _, arrays in k.module._KEPT.values() for array in arrays) <= 8192


def test_threads_share_no_temporaries() -> None:
    """Two calls at once in the same memory."""
    k = network()
    jobs = [data(seed, 40 + seed % 2, 30) for seed in range(8)]
    wanted = [k(**job) for job in jobs]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            for found, one in zip(pool.map(lambda job: k(**job), jobs), wanted, strict=True):
                assert_same(found, one)


def unaligned(array: Any) -> Any:
    raw = np.zeros(array.nbytes + 1, np.uint8)[1:]
    raw[:] = np.frombuffer(array.tobytes(), np.uint8)
    return raw.view(array.dtype).reshape(array.shape)


def test_one_compilation_serves_all_arrays() -> None:
    """Read-only or unaligned arrays that compile the kernel anew or reach it as they are."""
    k, arrays = network(), data(1)
    wanted = k(**arrays)
    fixed = arrays["A"].copy()
    fixed.setflags(write=False)
    for form in (fixed, unaligned(arrays["A"]), np.asfortranarray(arrays["A"]), arrays["A"].view(np.ma.MaskedArray)):
        assert_same(k(**{**arrays, "A": form}), wanted)
    assert len(k.module._value_and_grad.signatures) == 1


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_arrays_that_no_memory_holds(backend: str) -> None:
    """A MemoryError, or one that does not say of what."""
    k = sg.compile(sg.parse("z[i,j] = exp(x[i]*y[j]); s[i] = sum(z[i,j]*z[j,i] for j); J = sum(s[i]^2 for i)"), backend=backend)
    many = np.ones(3_000_000)
    with pytest.raises(sg.SymgradError) as caught:
        k(x=many, y=many)
    assert caught.value.code == "SG508"
    assert [word for word in ("z", "(3000000, 3000000)", "67,055.2 GiB") if word not in str(caught.value)] == []


# bound calls


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_bound_calls_see_changes(backend: str, dtype: str) -> None:
    """A bound call that computes from a copy, or whose gradients are not the arrays it gave."""
    k, arrays = network(backend, dtype), data(2, dtype=dtype)
    b = k.bind(**arrays)
    grads = dict(b.grads)
    for name in ("A", "x", "w"):
        b.arrays[name][...] *= 1.5
        changed = {**arrays, "w": b.arrays["w"]}
        assert_same((b(), b.grads), k(**changed))
    assert all(b.arrays[name] is arrays[name] for name in ("A", "x", "b"))
    assert all(b.grads[name] is grads[name] for name in grads)


def test_bound_calls_read_what_is_read_only_or_shared() -> None:
    """Arrays that overlap or may not be written, refused though they are only read."""
    k = sg.compile(sg.parse("J = sum(x[i]*y[i]^2 for i)"))
    whole = np.arange(6.0)
    x, y = whole[:4], whole[2:]
    x.setflags(write=False)
    b = k.bind(x=x, y=y)
    assert_same((b(), b.grads), k(x=x.copy(), y=y.copy()))
    y += 1.0
    assert_same((b(), b.grads), k(x=x.copy(), y=y.copy()))


REFUSED = {
    "another dtype": ({"A": np.ones((3, 4), int)}, "SG603", ["A", "int64", "float64", "a copy"]),
    "single precision": ({"A": np.ones((3, 4), "f4")}, "SG603", ["A", "float32", "float64"]),
    "columns": ({"A": np.ones((4, 3)).T}, "SG618", ["A", "ascontiguousarray"]),
    "a list": ({"x": [1.0, 2.0, 3.0, 4.0]}, "SG618", ["x", "list"]),
    "a complex number": ({"w": 1j}, "SG603", ["w", "1j"]),
    "nothing": ({"w": None}, "SG618", ["w", "NoneType"]),
    "shape": ({"b": np.ones(5)}, "SG604", ["b", "(5,)", "(3,)"]),
    "rank": ({"b": np.ones((3, 1))}, "SG602", ["b", "(3, 1)"]),
    "unknown": ({"c": 1.0}, "SG601", ["c"]),
}


@pytest.mark.parametrize(("change", "code", "words"), REFUSED.values(), ids=list(REFUSED))
def test_what_cannot_be_bound(change: dict[str, Any], code: str, words: list[str]) -> None:
    """A conversion in silence, after which changes are not seen."""
    with pytest.raises(sg.SymgradError) as caught:
        network("numpy").bind(**{**data(0), **change})
    assert caught.value.code == code
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_bound_indices_are_checked_at_every_call(backend: str) -> None:
    """An index that is changed to one outside of its array reads other memory."""
    rows, table = np.array([1, 3, 2]), np.ones((4, 2))
    b = gather(backend).bind(t=rows, E=table, w=2)
    assert b() == 12.0
    rows[0] = 4
    assert b() == 12.0
    assert b.grads["E"][:, 0].tolist() == [0.0, 4.0, 4.0, 4.0]
    rows[0] = 5
    with pytest.raises(sg.SymgradError) as caught:
        b()
    assert caught.value.code == "SG605"


def test_saved_module_where_nothing_can_be_written(tmp_path: Path) -> None:
    """A module that cannot be imported since numba has no place for its compiled code."""
    sg.compile(sg.parse("J = x^2")).save(tmp_path / "net.py")
    (tmp_path / "__pycache__").write_text("no folder")
    nowhere = str(tmp_path / "net.py" / "cache")
    own = {**os.environ, "HOME": nowhere, "XDG_CACHE_HOME": nowhere, "LOCALAPPDATA": nowhere}
    own.pop("NUMBA_CACHE_DIR", None)
    code = "import net; print(float(net.value_and_grad(x=3.0)[0]), net._CACHED)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=own, capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    assert ran.stdout.split() == ["9.0", "False"]
