"""Products of matrices: which contractions are one, and that the calls of gemm give what the loops give."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.backends.blas import ALONE
from symgrad.core.program import Program
from symgrad.kernel import Kernel
from symgrad.schedule.contractions import Product, product
from symgrad.schedule.kernels import Contract, flat
from symgrad.schedule.order import schedule
from symgrad.transform.normalize import normalize
from tests.models import random_arrays
from tests.plain_python import import_text, plain_module

INDICES = "index n, m in 1..N, t in 1..T, i, k in 1..M, j in 1..D"
# the right side of a definition, and what it is: a product as printed, or why none
RECOGNISED = {
    "y[n,j] = sum(W[j,i]*x[n,i] for i)": "x·Wᵀ",
    "y[n,j] = sum(W[i,j]*x[n,i] for i)": "x·W",
    "y[n,j] = sum(W[j,i]*x[i,n] for i)": "xᵀ·Wᵀ",
    "y[j,n] = sum(W[j,i]*x[n,i] for i)": "W·xᵀ",
    "y[j,i] = sum(g[n,j]*x[n,i] for n)": "gᵀ·x",
    "y[n,j] = sum(-c*W[j,i]*x[n,i]/N for i)": "(-c/N)·x·Wᵀ",
    "y[n,t,j] = sum(W[j,i]*x[n,t,i] for i)": "x·Wᵀ",
    "y[n,m,t] = sum(q[t,n,i]*k_1[t,m,i] for i)": "the last axis of y is not in the product",
    "y[t,n,m] = sum(q[t,n,i]*k_1[t,m,i] for i)": "q·k_1ᵀ for each t",
    "y[j,i] = sum(g[n,t,j]*x[n,t,i] for n, t)": "gᵀ·x",
    "y[j,i] = sum(g[n,t,j]*x[t,n,i] for n, t)": "gᵀ·x added over n",
    "y[t,j,i] = sum(g[n,t,j]*x[n,t,i] for n)": "gᵀ·x for each t",
    "y[t,n,j] = sum(W[t,j,i]*x[n,i] for i)": "x·Wᵀ for each t",
    "y[n,j] = sum(W[j,i]*x[n,i]^2 for i)": "a factor is no array",
    "y[n,j] = sum(W[j,i]*x[n,i]*s[i] for i)": "no two factors",
    "y[n,j] = sum(W[j,i]*x[n,i] + c for i)": "no two factors",
    "y[n] = sum(b[i]*x[n,i] for i)": "a matrix times a vector",
    "y[n] = sum(g[n,i]*x[n,i] for i)": "no matrices",
    "y[n,j] = sum(W[j,i]*x[n,i+t] for i, t)": "x[n, i + t] has an index that is not plain",
    "y[n,j] = sum(W[j,i]*x[2*n,i] for i)": "x[2*n, i] has an index that is not plain",
    "y[n,j] = sum(W[j,i]*x[n,i] for i in n..M)": "a range moves",
    "y[n,j] = max(W[j,i]*x[n,i] for i)": "max is no sum",
    "y[n,j] = sum(W[j,j]*x[n,j] for i)": "W[j, j] is a diagonal",
}


@pytest.mark.parametrize(("text", "wanted"), RECOGNISED.items(), ids=list(RECOGNISED))
def test_recognised(text: str, wanted: str) -> None:
    """A product taken for loops, a transpose missed, or what is none taken for one."""
    program = normalize(sg.parse(f"{INDICES}\n{text}"))
    found = [product(s, program) for s in program if s.reduced]
    assert [str(f) for f in found] == [wanted]


def kernels(text: str, **options: Any) -> tuple[Kernel, Kernel]:
    program = sg.parse(text)
    wrt = [name for name in program.free if program.tensors[name].values is None]
    return tuple(sg.compile(program, "J", wrt, backend=backend, **options) for backend in ("numba", "numpy"))  # type: ignore


def products(program: Program) -> list[Product]:
    planned = schedule(program, program.free, program.defined)
    return [k.product for k in flat(planned.kernels) if isinstance(k, Contract) and isinstance(k.product, Product)]


# layers with all four layouts, a batch of products, a sum over two axes against their order, a factor and a recurrence
LAYOUTS = """
index n in 1..N, m in 1..N, t in 1..T, i in 1..M, j in 1..D, l in 1..D
input x[t,n,i]
param A[j,i], B[i,j], C[j,l], H0[n,j], c
q[t,n,j] = sum(A[j,i]*x[t,n,i] for i)
k[t,n,j] = sum(c*B[i,j]*x[t,n,i]/3 for i)
s[t,n,m] = sum(q[t,n,j]*k[t,m,j] for j)
p[j,i] = sum(q[t,n,j]*x[t,n,i] for t, n)
u[j,l] = sum(q[t,n,j]*q[t,n,l] for n, t)
h[0,n,j] = H0[n,j]
h[t,n,j] = tanh(sum(C[j,l]*h[t-1,n,l] for l) + q[t,n,j]) for t in 1..T
J = sum(tanh(s[t,n,m]) for t, n, m) + sum(tanh(p[j,i]) for j, i) + sum(cos(u[j,l]) for j, l) + sum(h[t,n,j]^2 for t, n, j)
"""
SIZES = [(4, 3, 5, 7), (8, 8, 8, 8), (2, 17, 9, 13), (1, 6, 1, 40), (1, 1, 33, 9), (3, 40, 1, 1)]
EMPTY = [(0, 6, 6, 6), (4, 0, 6, 6), (6, 6, 0, 6), (6, 6, 6, 0)]
LAYOUT_KERNELS: dict[str, tuple[Kernel, Kernel]] = {}


def layouts(dtype: str = "float64") -> tuple[Kernel, Kernel]:
    if dtype not in LAYOUT_KERNELS:
        LAYOUT_KERNELS[dtype] = kernels(LAYOUTS, dtype=dtype)
    return LAYOUT_KERNELS[dtype]


def assert_agree(one: Kernel, other: Kernel, arrays: dict[str, Any], least: float) -> None:
    (loss, grads), (wanted, slopes) = one(**arrays), other(**arrays)
    for name, found, right in (("J", loss, wanted), *((name, grads[name], slopes[name]) for name in grads)):
        assert np.abs(found - right).max(initial=0.0) <= least * max(1.0, np.abs(right).max(initial=0.0)), name


def test_every_layout_is_a_product() -> None:
    """A model whose values are tested, but whose contractions run as loops."""
    program = normalize(sg.parse(LAYOUTS))
    assert len(products(program)) == 6
    assert layouts()[0].source.count("_gemm(_blas") >= 12


@pytest.mark.parametrize("sizes", SIZES + EMPTY, ids=str)
def test_values(sizes: tuple[int, ...]) -> None:
    """A wrong transpose, step, place, alpha or beta; an empty sum that leaves what was there."""
    arrays = random_arrays(sg.parse(LAYOUTS), np.random.default_rng(0), dict(zip("TNMD", sizes, strict=True)))
    assert_agree(*layouts(), arrays, 1e-12)


def test_tiles() -> None:
    """A product in tiles whose places, rests or sums over the tiles are wrong."""
    arrays = random_arrays(sg.parse(LAYOUTS), np.random.default_rng(0), {"T": 2, "N": 70, "M": 67, "D": 130})
    small = {name: array / 50 for name, array in arrays.items()}  # no tanh where it is flat
    assert ALONE < 70 * 67 * 130
    assert_agree(*layouts(), small, 1e-12)


def test_without_blas(monkeypatch: pytest.MonkeyPatch) -> None:
    """No BLAS is found: the same kernel, in loops."""
    one, other = layouts()
    arrays = random_arrays(sg.parse(LAYOUTS), np.random.default_rng(1), {"T": 2, "N": 9, "M": 8, "D": 7})
    assert one.module._BLAS[0] != 0
    with_blas = one(**arrays)[1]
    monkeypatch.setattr(one.module, "_BLAS", (0, 0, 0))
    assert_agree(one, other, arrays, 1e-12)
    assert any(not np.array_equal(with_blas[name], grad) for name, grad in one(**arrays)[1].items())


# Random layouts, without compiling: the emitted text as plain Python, gemm written with NumPy


def random_contraction(rng: np.random.Generator) -> str:
    """A sum of products with two to five indices in any place, some over a part of their axis, some that add to what is there."""
    letters = [*"abcdef"][: rng.integers(3, 7)]
    roles = {s: ("left", "right", "summed", "each")[k if k < 3 else rng.integers(4)] for k, s in enumerate(letters)}
    have = {"left": ("y", "p"), "right": ("y", "q"), "summed": ("p", "q"), "each": ("y", "p", "q")}
    axes = {name: [str(s) for s in rng.permutation([s for s in letters if name in have[roles[s]]])] for name in "ypq"}
    part = {s: rng.random() < 0.2 and roles[s] == "summed" for s in letters}
    ranges = ", ".join(f"{s} in {'2..N_1' if part[s] else '1..N_1'}".replace("N_1", f"N_{s}") for s in letters)
    places = {name: ",".join(s + ("-1" if part[s] and name == "p" else "") for s in axes[name]) for name in "ypq"}
    declared = ", ".join(f"{name}[{', '.join(f'{s}_0 in 1..N_{s}' for s in axes[name])}]" for name in "pq")
    summed = ", ".join(s for s in letters if roles[s] == "summed")
    value = f"sum({rng.choice(['', '3*', 'w*'])}p[{places['p']}]*q[{places['q']}] for {summed})"
    cells = ", ".join(axes["y"])
    return f"index {ranges}\ninput {declared}, w\ny[{places['y']}] = {value}\nJ = sum(sin(y[{places['y']}])*w for {cells})"


def test_random_layouts(tmp_path: Path) -> None:
    """A place, a step or a group of axes that is right for the models above alone."""
    calls = 0
    for seed in range(24):
        rng = np.random.default_rng(seed)
        one, other = kernels(random_contraction(rng))
        module = plain_module(one.source, tmp_path)
        if "_gemm(" in one.source:
            sizes = {f"N_{s}": int(rng.integers(2, 5)) for s in "abcdef"}
            arrays = random_arrays(one.program, rng, sizes)
            loss, grads = module.value_and_grad(**arrays)
            wanted, slopes = other(**arrays)
            assert abs(loss - wanted) <= 1e-12 * max(1.0, abs(wanted)), seed
            for name, grad in grads.items():
                assert np.abs(grad - slopes[name]).max() <= 1e-12 * max(1.0, np.abs(slopes[name]).max()), (seed, name)
            calls += len(module.CALLS)
    assert calls > 20


TRAINED = """
index i in 1..M, j in 1..D, k in 1..K
input x[i], t[k]
param W[j,i], V[k,j], c[k]
z[j] = tanh(sum(W[j,i]*x[i] for i))
J = sum((sum(V[k,j]*z[j] for j) + c[k] - t[k])^2 for k)
"""


@pytest.mark.parametrize("shuffle", [False, True])
def test_training(shuffle: bool) -> None:
    """A last batch that is shorter than its buffers; an update that a product runs over."""
    rng = np.random.default_rng(0)
    data = {"x": rng.normal(size=(23, 9)), "t": rng.normal(size=(23, 4))}
    params = {"W": rng.normal(size=(8, 9)), "V": rng.normal(size=(4, 8)), "c": rng.normal(size=4)}
    fits = [
        sg.compile(sg.parse(TRAINED), batch=("x", "t"), backend=backend).fit(
            params, data, sg.Momentum(0.01), epochs=3, batch_size=10, shuffle=shuffle, progress=False
        )
        for backend in ("numba", "numpy")
    ]
    for name in params:
        assert np.abs(fits[0].params[name] - fits[1].params[name]).max() <= 1e-11
    assert np.abs(fits[0].history["J"] - fits[1].history["J"]).max() <= 1e-11


SECOND = """
import ctypes, sys
import numpy as np
import symgrad as sg
padding = [ctypes.create_string_buffer(1 << 22) for _ in range(int(sys.argv[1]))]
p = sg.parse("y[n,j] = sum(W[j,i]*x[n,i] for i); J = sum(y[n,j]^2 for n, j)")
k = sg.compile(p, wrt=["W"], dtype="float32")
W, x = np.ones((8, 9), np.float32), np.ones((7, 9), np.float32)
print(k(W=W, x=x)[1]["W"].sum(), sum(k.module._value_and_grad.stats.cache_misses.values()), k.module._BLAS[0])
"""


def test_cached_code_holds_no_address(tmp_path: Path) -> None:
    """Machine code kept with an address in it: a crash in the next process, where the library lies elsewhere."""
    runs = []
    for count in ("0", "3"):
        ran = subprocess.run(
            [sys.executable, "-c", SECOND, count],
            env={**os.environ, "SYMGRAD_CACHE": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        runs.append(ran.stdout.split())
    assert [run[:2] for run in runs] == [["9072.0", "1"], ["9072.0", "0"]]
    assert runs[0][2] != runs[1][2] or runs[0][2] == "0"  # the system places libraries at random


def test_scipy_in_place_of_numpy(tmp_path: Path) -> None:
    """A BLAS with integers of 32 bits, called with those of 64."""
    pytest.importorskip("scipy")
    one, other = layouts()
    text = one.source.replace('"*openblas64_*"', '"nothing"')
    assert text != one.source
    module = one.module
    found = import_text(tmp_path, text)._BLAS
    assert found[:2] != (0, 0)
    assert found[1] == 2**31 - 1
    before, module._BLAS = module._BLAS, found
    try:
        arrays = random_arrays(sg.parse(LAYOUTS), np.random.default_rng(2), {"T": 3, "N": 9, "M": 8, "D": 7})
        assert_agree(one, other, arrays, 1e-12)
    finally:
        module._BLAS = before


CONVOLUTIONS = """
index c in 1..2, f in 1..3, g in 1..2, u in 0..2, v in 0..1, m in 0..N-5, q in 0..M-4, r in 0..N-7, s in 0..M-5
input x[c,h,k], y[g,r,s]
param w[f,c,u,v], W[g,f,u,v], b[f]
a[f,m,q] = sum(w[f,c,u,v]*x[c,m+2*u,q+v+1] for c, u, v) + b[f]
z[f,m,q] = tanh(a[f,m,q])
o[g,r,s] = sum(W[g,f,u,v]*z[f,r+u,s+v] for f, u, v)
J = mean((o[g,r,s] - y[g,r,s])^2 for g, r, s)
"""


def test_windows() -> None:
    """A convolution of a convolution: a window with the wrong place, shared where it is another, or added in the wrong place."""
    one, other = kernels(CONVOLUTIONS, batch=["x", "y"])
    source = one.source[one.source.index("def _value_and_grad") : one.source.index("def value_and_grad")]
    # two forward, two derivatives by what is seen, two by the weights; each window is copied once
    assert source.count("_gemm(") == 6
    assert len(re.findall(r"# x_window\S* = ", source)) == len(re.findall(r"# z_window\S* = ", source)) == 1
    for sizes in ({"|h|": 9, "|k|": 8, "N": 9, "M": 8}, {"|h|": 14, "|k|": 7, "N": 12, "M": 8}):
        arrays = random_arrays(one.program, np.random.default_rng(2), {**sizes, "B": 3})
        arrays["x"], arrays["y"] = (np.stack([arrays[name]] * 3) * np.arange(1, 4)[:, None, None, None] for name in "xy")
        assert_agree(one, other, arrays, 1e-12)
