"""Machine code beside a module: the same numbers to the last bit, no numba to start, and clear words where it does not fit."""

from __future__ import annotations

import inspect
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.backends import native
from tests.plain_python import module_of

pytestmark = pytest.mark.skipif(not any(map(shutil.which, native.COMPILERS)), reason="no C compiler to link with")

SCALAR = "J = (w*x - y)^2 + sin(w)"
LAYERS = """
input x[i], t[k]; param W[j,i], c[j], V[k,j]
h[j] = tanh(sum(W[j,i]*x[i] for i) + c[j]); o[k] = sum(V[k,j]*h[j] for j); y[k] = exp(o[k])/sum(exp(o[l]) for l)
J = -sum(t[k]*log(y[k]) for k)
"""
GATHER = "input w[t] in 1..V; param E[v,d]\nJ = sum(E[w[t],d]^2 for t, d)"
CHOSEN = "s[i] = x[i]^2; k = argmax(s[i] for i); J = sum(s[i] for i)*stop(k)"
LONG = "\n".join(["u_0 = x", *(f"u_{k + 1} = sin(u_{k})*cos(u_{k}) + {k}/100" for k in range(150)), "J = u_150"])


def equal(one: Any, other: Any) -> None:
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


CASES: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {
    "scalar": (SCALAR, (), {"w": 2.0, "x": 3.0, "y": 1.0}),
    "layers, few rows": (LAYERS, ("x", "t"), {"x": (5, 4), "t": (5, 3), "W": (6, 4), "c": (6,), "V": (3, 6)}),
    "layers, many rows": (LAYERS, ("x", "t"), {"x": (9000, 40), "t": (9000, 10), "W": (64, 40), "c": (64,), "V": (10, 64)}),
    "whole numbers": (GATHER, (), {"w": np.array([1, 3, 3, 2]), "E": (3, 2)}),
    "a place as a result": (CHOSEN, (), {"x": (7,)}),
    "a long program": (LONG, (), {"x": 0.7}),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_same_numbers(case: str, dtype: str, tmp_path: Path) -> None:
    text, batch, given = CASES[case]
    rng = np.random.default_rng(0)
    arrays = {
        name: rng.standard_normal(value).astype(dtype) if isinstance(value, tuple) else value for name, value in given.items()
    }
    k = sg.compile(sg.parse(text), batch=batch, dtype=dtype)
    path, library = k.save_native(tmp_path / "net.py")
    assert (path.name, library.name) == ("net.py", "net.kernel.so")
    net = module_of(path)
    (loss, grads), (own_loss, own_grads) = net.value_and_grad(**arrays), k(**arrays)
    assert loss == own_loss
    assert type(loss) is type(own_loss)
    equal(grads, own_grads)
    needed = inspect.signature(net.forward).parameters
    some = {name: value for name, value in arrays.items() if name in needed}
    equal(net.forward(**some), k.forward(**some))
    again = sg.compile(sg.parse(text), batch=batch, dtype=dtype).save_native(path, force=True)
    assert library.read_bytes() == again[1].read_bytes()


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, Path]:
    return sg.compile(sg.parse(SCALAR), wrt=["w"]).save_native(tmp_path / "net.py")


def test_it_needs_numpy_alone(saved: tuple[Path, Path]) -> None:
    lines = "import sys; sys.modules['numba'] = sys.modules['llvmlite'] = sys.modules['symgrad'] = None; import net"
    code = f"{lines}; print(net.value_and_grad(w=2.0, x=3.0, y=1.0)[1]['w'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=saved[0].parent, capture_output=True, text=True, check=True)
    assert abs(float(done.stdout) - (30 + np.cos(2))) < 1e-12


def test_a_library_of_another_kernel(saved: tuple[Path, Path]) -> None:
    saved[1].write_bytes(saved[1].read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match="is not the library that was made with this module"):
        module_of(saved[0])
    saved[1].unlink()
    with pytest.raises(ValueError, match=r"net\.kernel\.so cannot be read"):
        module_of(saved[0])


def test_a_processor_without_what_it_needs(saved: tuple[Path, Path]) -> None:
    text = saved[0].read_text()
    line = next(line for line in text.splitlines() if line.startswith("_LIBRARY"))
    saved[0].write_text(text.replace(line, f"{line.rpartition('(')[0]}('AVX9000',))"))
    with pytest.raises(ValueError, match="needs a processor with AVX9000"):
        module_of(saved[0])


def test_checks_come_first(saved: tuple[Path, Path]) -> None:
    with pytest.raises(ValueError, match="w has shape"):
        module_of(saved[0]).value_and_grad(w=np.ones(2), x=3.0, y=1.0)


def test_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    k = sg.compile(sg.parse(SCALAR), wrt=["w"])
    (tmp_path / "net.kernel.so").write_text("mine")
    for call, code in (
        (lambda: k.save_native(tmp_path / "net.py"), "SG701"),
        (lambda: sg.compile(sg.parse(SCALAR), backend="numpy").save_native(tmp_path / "n.py"), "SG207"),
    ):
        with pytest.raises(sg.SymgradError) as refusal:
            call()
        assert refusal.value.code == code
    assert (tmp_path / "net.kernel.so").read_text() == "mine"
    assert not (tmp_path / "net.py").exists()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(sg.SymgradError, match="SG710"):
        k.save_native(tmp_path / "other.py")
    assert [path.name for path in tmp_path.iterdir()] == ["net.kernel.so"]
