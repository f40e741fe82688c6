"""What models have in common lies in files of its own in the cache, is compiled once, and gives the same numbers."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import symgrad as sg
from symgrad.backends.shared import apart

ONE = "index i in 1..N\ninput x[i]\nparam w\nJ = sum(tanh(w*x[i]) for i)\nminimize J"
OTHER = "index i in 1..N\ninput x[i], t[i]\nparam w\nJ = sum(exp(t[i]*w) + tanh(w*x[i])^2 for i)\nminimize J"
LAYER = """
index n in 1..N, i in 1..M, j in 1..K
input x[n,i]
param W[i,j]
z[n,j] = sum(x[n,i]*W[i,j] for i)
J = sum(tanh(z[n,j]) for n, j)
minimize J
"""


def texts(model: str, dtype: str = "float32") -> dict[str, str]:
    return apart(sg.compile(sg.parse(model), dtype=dtype).source)


def test_models_share_files() -> None:
    one, other, layer = texts(ONE), texts(OTHER), texts(LAYER)
    assert one["_tanh"] == other["_tanh"] == layer["_tanh"]
    assert {"_gemm", "_loops"} <= layer.keys()
    assert "_gemm" not in one
    assert texts(ONE, "float64")["_tanh"] != one["_tanh"]
    for parts in (one, other, layer):
        assert "def _tanh(" not in parts[""]
        assert all(text.count("@njit(") == 1 for name, text in parts.items() if name)


def test_without_shared_functions_a_text_stays() -> None:
    source = sg.compile(sg.parse(ONE), backend="numpy").source
    assert apart(source) == {"": source}


COMPILED = """
import sys
import numba.core.event as event
import numpy as np
import symgrad as sg

class Seen(event.Listener):
    def on_start(self, found):
        print(found.data["dispatcher"].py_func.__name__)

    def on_end(self, found):
        pass

event.register("numba:compile", Seen())
kernel = sg.compile(sg.parse(sys.argv[1]), dtype="float32")
kernel(w=0.5, **{name: np.ones(3, np.float32) for name in sys.argv[2]})
"""


def compiled(folder: Path, model: str, inputs: str) -> list[str]:
    ran = subprocess.run(
        [sys.executable, "-c", COMPILED, model, inputs],
        env={**os.environ, "SYMGRAD_CACHE": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.split()


def test_next_model_compiles_its_kernel_alone(tmp_path: Path) -> None:
    assert {"_tanh", "_value_and_grad"} <= set(compiled(tmp_path, ONE, "x"))
    second = compiled(tmp_path, OTHER, "xt")
    assert "_value_and_grad" in second
    assert not {"_tanh", "_exp", "_expm1_near_0"} & set(second)


def test_bits_of_a_saved_module(tmp_path: Path) -> None:
    """A module that stands alone, and the one that loads what it shares."""
    kernel = sg.compile(sg.parse(OTHER), dtype="float32")
    spec = importlib.util.spec_from_file_location("alone", kernel.save(tmp_path / "alone.py"))
    assert spec is not None
    assert spec.loader is not None
    alone = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(alone)
    x = np.linspace(-3, 3, 101, dtype=np.float32)
    arrays = {"x": x, "t": x[::-1].copy(), "w": np.float32(0.7)}
    value, grads = kernel(**arrays)
    other, others = alone.value_and_grad(**arrays)
    assert value == other
    assert grads["w"] == others["w"]
