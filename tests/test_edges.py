"""Edges of index notation: ranges below 0, reads that only an empty range would put outside, refusals with their place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.core.evaluate import evaluate
from symgrad.core.program import Program
from tests.reference import adjoints, reals

BELOW = """
index s, q in -2..1, t in -3..N
input A[s,t], B[s,q], x[t], w
k_1[s] = stop(argmax(w*A[s,t] for t))
k_2[t] = stop(argmin(A[s,t]*w for s))
k_3 = stop(argmax(w*x[t-1] - x[t] for t in -2..N))
k_4[n] = stop(argmin(w*x[n+m] for m in -1..1)) for n in -2..N-1
k_5[s] = stop(argmax(B[s,q]*w for q in -2..s))
k_6 = stop(argmin(w*A[s,t] for s, t))
places = w*(sum(k_1[s]*s for s) + sum(k_2[t]*t for t) + k_3 + k_6 + sum(k_4[n]*n for n in -2..N-1) + sum(k_5[s] for s))
rows = sum(s*max(w*A[s,t] for t)^2 for s) + sum(t*min(w*A[s,t] for s)^2 for t) + sum(s*max(w*B[s,q] for q in -2..s)^2 for s)
windows = sum(n*max(w*x[n+m] for m in -1..1)^2 for n in -2..N-1) + min(x[t] - w*x[t-1] for t in -2..N)^2
J = places + rows + windows + max(w*A[s,t] for s, t)^2
"""

# read only where an inner range has points
INNER = [
    "index i, j in 0..N; input P[i,j]; y[i] = sum(P[i-1,j-1] for j in 1..i-1); J = sum(y[i]^2 for i)",
    "index i, j in 0..N; input P[i,j]; y[i,j] = P[i-1,j-1]  for j in 1..i-1; J = sum(y[i,j]^2 for i for j in 1..i-1)",
    "index i, j in 0..N; input x[i]; y[i] = sum(exp(x[i-1])*tanh(x[j]*x[i-1]) for j in 1..i-1); J = sum(y[i]^2 for i)",
    "index i in 0..N; input x[i]; y[i] = sum(log(1 + x[i+1]^2)*max(x[k+1]*x[i+1] for k in i..j-1) for j in i+1..N); J = sum(y[i]^2 for i)",
    "index i, j in 0..N; input x[i], P[i,j]; y[i] = sum(max(x[i-1]*x[k] for k in 0..N)*P[i,j] for j in 1..i-1); J = sum(y[i]^2 for i)",
    "index i, j in 0..N, k in 0..2; input x[i]; y[i] = sum(x[i+k-2]*x[j] for k for j in 1..i-2); J = sum(y[i]^2 for i)",
]  # fmt: skip


def whole(program: Program, rng: np.random.Generator, n: int, values: int) -> dict[str, Any]:
    """Arrays of few whole numbers, so that many are equal; every extent symbol is `n`."""
    out: dict[str, Any] = {}
    for name in program.free:
        shape = [int(extent.subs(dict.fromkeys(extent.free_symbols, n))) for extent in program.tensors[name].extents]
        out[name] = rng.integers(0, values, shape).astype(float) if shape else 2.0
    return out


def agrees(program: Program, kernel: Any, arrays: dict[str, Any]) -> None:
    """Every defined quantity and every gradient, the oracle's cells and its reverse mode against a kernel's."""
    wanted, slopes = evaluate(program, arrays), adjoints(program, arrays, "J", "one")
    (loss, found), values = kernel(**arrays), kernel.forward(**arrays)
    assert np.isclose(loss, float(wanted["J"]))
    for name in program.defined:
        assert np.allclose(values[name], np.asarray(wanted[name], dtype=float)), name
    for name in reals(program):
        assert np.allclose(found[name], np.asarray(slopes[name], dtype=float)), name


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_places_below_zero(backend: str) -> None:
    """A first place that is taken for none (-1), a place counted from 0, the last of equal values, a shifted row of slopes."""
    program = sg.parse(BELOW)
    kernel = sg.compile(program, loss="J", wrt=reals(program), backend=backend)
    for seed, values in enumerate((1, 2, 2, 3, 5, 9)):  # all equal, then fewer and fewer that are
        agrees(program, kernel, whole(program, np.random.default_rng(seed), 1, values))
    equal = whole(program, np.random.default_rng(0), 1, 1)
    places = kernel.forward(**equal)
    assert (places["k_1"], places["k_2"]) == (pytest.approx(-3), pytest.approx(-2))
    assert (places["k_3"], places["k_4"], places["k_5"]) == (-2, pytest.approx(-1), pytest.approx(-2))


@pytest.mark.parametrize(("text", "backend"), [(text, "numpy") for text in INNER] + [(text, "numba") for text in INNER[::2]])
def test_nothing_is_read_around_an_empty_range(text: str, backend: str) -> None:
    """SG309 at i = 0 of a sum over j in 1..i-1; a read or an adjoint moved out of the sum, to where it leaves its array."""
    program = sg.parse(text)
    kernel = sg.compile(program, loss="J", wrt=reals(program), backend=backend)
    for n in (0, 1, 2, 5):
        rng = np.random.default_rng(n)
        arrays = {name: rng.normal(size=np.shape(a)) for name, a in whole(program, rng, n, 2).items()}
        try:
            evaluate(program, arrays)
        except sg.SymgradError as refusal:
            assert refusal.code == "SG606"
            assert (n, "y[i,j]" in text) == (0, True), "y has an axis of -1 values, and only there"
            with pytest.raises(sg.SymgradError, match="SG606"):
                kernel(**arrays)
            continue
        agrees(program, kernel, arrays)
