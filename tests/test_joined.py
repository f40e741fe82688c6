"""Loops that run as one, and the highest exponent with the logarithms of sums: the same numbers as NumPy's whole arrays give."""

import numpy as np
import pytest

import symgrad as sg

IMAGES = """
index r in 0..{R}, s in 0..{S}
input x[n, r, s]
param g[n], w[r, s]
f[n, r, s] = tanh(x[n, r, s]*g[n] + w[r, s])
m[n] = max(f[n, r, s] for r, s)
J = sum(f[n, r, s]^2 for n, r, s) + sum(m[n]*g[n] for n) + logsumexp(x[n, r, s] for n, r, s)
"""
APART = {
    "turned": "param x[r, s]; y[r, s] = x[s, r]; J = sum(y[r, s]^3 for r in 0..7, s in 0..7)",
    "shifted": "param x[r in 0..7, q in 0..7]; y[r, s] = x[r, s + 1]^2 for r in 0..7, s in 0..6; J = sum(y[r, s]^3 for r, s)",
    "one index alone": "param x[r, s], c[s]; y[r, s] = x[r, s]*c[s]; J = sum(y[r, s]^3 for r in 0..7, s in 0..7)",
    "a number of the index": "param x[r, s]; y[r, s] = r*x[r, s]; J = sum(y[r, s]^3 for r in 0..7, s in 0..7)",
    "a triangle": "param x[r, s]; J = sum(x[r, s]^3 for s in 0..r, r in 0..7)",
}


def both(text: str, dtype: str = "float64", **arrays: np.ndarray) -> str:
    """Compare the backends on a model; the source of numba's."""
    program = sg.parse(text)
    kernels = [sg.compile(program, dtype=dtype, backend=backend) for backend in ("numba", "numpy")]
    (one, grads), (other, theirs) = (kernel(**arrays) for kernel in kernels)
    tolerance = {"rtol": 1e-12, "atol": 1e-13} if dtype == "float64" else {"rtol": 2e-5, "atol": 1e-5}
    np.testing.assert_allclose(one, other, **tolerance)
    for name, grad in grads.items():
        np.testing.assert_allclose(grad, theirs[name], **tolerance)
    return kernels[0].source


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 3), (8, 8), (5, 17)])
def test_axes_that_lie_one_in_the_other_are_one_loop(rows, columns):
    r = np.random.default_rng(rows)
    x, g, w = r.normal(size=(3, rows, columns)), r.normal(size=3), r.normal(size=(rows, columns))
    source = both(IMAGES.format(R=rows - 1, S=columns - 1), x=x, g=g, w=w)
    assert rows * columns == 1 or "_rows[n, r_s] = _tanh" in source


def test_in_single_precision():
    r = np.random.default_rng(1)
    x, g, w = (r.normal(size=shape).astype("float32") for shape in ((4, 8, 8), (4,), (8, 8)))
    both(IMAGES.format(R=7, S=7), "float32", x=x, g=g, w=w)


@pytest.mark.parametrize("name", APART)
def test_other_accesses_keep_their_loops(name):
    r = np.random.default_rng(2)
    arrays = {"x": r.normal(size=(8, 8))} | ({"c": r.normal(size=8)} if "c[s]" in APART[name] else {})
    source = both(APART[name], **arrays)
    forward = source[source.index("def _forward") :]
    assert "x_r_s" not in forward


ROWS = {
    "a share of 1": [40.0, -40.0, 0.0],
    "equal": [3.0, 3.0, 3.0],
    "far up": [1e4, 1e4 - 1, -1e4],
    "one is masked": [-np.inf, 0.0, 1.0],
    "all are masked": [-np.inf, -np.inf, -np.inf],
    "nan": [np.nan, 0.0, 1.0],
}


@pytest.mark.parametrize("name", ROWS)
def test_the_highest_and_the_logarithms_are_found_together(name):
    text = """
    param a[n, k], t[n, k]
    L[n] = logsumexp(a[n, l] for l)
    y[n, k] = exp(a[n, k])/sum(exp(a[n, l]) for l)
    J = sum(t[n, k]*log(y[n, k]) for n, k) + sum(L[n]^2 for n)
    """
    a, t = np.array([ROWS[name], [0.5, -1.0, 2.0]]), np.array([[1.0, 0.0, 0.0], [0.0, 0.25, 0.75]])
    with np.errstate(all="ignore"):
        source = both(text, a=a, t=t)
    assert "_lost = _highest - _highest" in source
