# ruff: noqa: E501  (a model on one line)
"""Definitions of triangles and diagonals, their gaps and overlaps, and orders from distances of certain sign."""

from __future__ import annotations

import numpy as np
import pytest

import symgrad as sg
from symgrad.core.evaluate import evaluate
from tests.models import random_arrays
from tests.reference import adjoints, differences, error, reals

RIGHT = {
    "lower triangle": "index i, j in 1..N; L[i,j] = x[i]*x[j]^2 for j in 1..i; J = sum(L[i,j]^3 for i for j in 1..i)",
    "upper triangle": "index i, j in 1..N; U[i,j] = x[i]*x[j]^2 for j in i..N; J = sum(U[i,j]*y[j] for i for j in i..N)",
    "both triangles": "index i, j in 1..N; L[i,j] = x[i]*x[j] for j in 1..i; L[i,j] = x[i] for j in i+1..N; J = sum(L[i,j]^2 for i, j)",
    "and a diagonal": "index i, j in 1..N; L[i,i] = x[i]; L[i,j] = x[i]*x[j]^2 for j in 1..i-1; L[i,j] = 0 for j in i+1..N; J = sum(L[i,j]^2*x[j] for i, j)",
    "maxima": "index i, j, k in 1..N; L[i,j] = max(x[k]*x[j]*w[i] for k in 1..i) for j in 1..i; L[i,j] = x[i] for j in i+1..N; J = sum(L[i,j]^2 for i, j)",
    "heap": "index t in 1..N-1; input x[n in 0..N-1]; s[t] = s[2*t]*s[2*t+1]; s[i] = x[i-N] for i in N..2*N-1; J = s[1]",
    "column of a triangle": "index i, j in 1..N; input x[j], A[i,j]; s[i] = sum(A[i,j]*x[j] for j in 1..i); J = sum(s[i]^2 for i)",
}


@pytest.mark.parametrize(
    ("backend", "name"), [*(("numpy", name) for name in RIGHT), ("numba", "and a diagonal"), ("numba", "heap")]
)
def test_values_and_gradients(backend: str, name: str) -> None:
    """A part written over another, a cell that no part covers, an order against the data."""
    program = sg.parse(RIGHT[name])
    assert sg.parse(str(program)) == program
    kernel = sg.compile(program, "J", wrt=reals(program), backend=backend)
    for n in (1, 3):
        arrays = random_arrays(program, np.random.default_rng(n), {"N": n})
        value, found = kernel(**arrays)
        assert abs(value - evaluate(program, arrays)["J"]) < 1e-14
        slopes = adjoints(program, arrays, "J")
        for each in reals(program):
            wanted = differences(program, arrays, "J", each)
            assert error(np.asarray(found[each], object), wanted) < 1e-13
            assert error(slopes[each], wanted) < 1e-15


CHOLESKY = {
    "row by row": """
        L[i,i] = sqrt(A[i,i] - sum(L[i,k]^2 for k in 1..i-1))
        L[i,j] = (A[i,j] - sum(L[i,k]*L[j,k] for k in 1..j-1))/L[j,j] for j in 1..i-1
        """,
    "column by column": """
        L[i,j] = (A[i,j] - sum(L[i,k]*L[j,k] for k in 1..j-1))/L[j,j] for i in j+1..N
        L[j,j] = sqrt(A[j,j] - sum(L[j,k]^2 for k in 1..j-1))
        """,
}
LIKELIHOOD = """
    z[i] = (y[i] - m - sum(L[i,k]*z[k] for k in 1..i-1))/L[i,i]
    J = sum(log(L[i,i]) for i) + sum(z[i]^2 for i)/2
    """


@pytest.mark.parametrize(("backend", "name"), [*(("numpy", name) for name in CHOLESKY), ("numba", "row by row")])
def test_a_factor_and_its_diagonal(backend: str, name: str) -> None:
    """A row before its diagonal, each of which needs the other's earlier cells: the likelihood of a Gaussian process."""
    program = sg.parse("index i, j in 1..N; input A[i,j], y[i]; param m\n" + CHOLESKY[name] + LIKELIHOOD)
    assert sg.parse(str(program)) == program
    kernel = sg.compile(program, "J", wrt=["A", "y", "m"], backend=backend)
    for n in (0, 1, 2, 5):
        rng = np.random.default_rng(n)
        B, y = rng.normal(size=(n, n)), rng.normal(size=n)
        A, r = B @ B.T + n * np.eye(n), y - 0.3
        loss, slopes = kernel(A=A, y=y, m=0.3)
        z = np.linalg.solve(A, r)
        assert np.isclose(loss, np.linalg.slogdet(A)[1] / 2 + r @ z / 2)
        assert np.allclose(kernel.forward(A=A, y=y, m=0.3)["L"], np.linalg.cholesky(A))
        # of A only the lower triangle is read: what the upper one has by symmetry is added below
        whole = (np.linalg.inv(A) - np.outer(z, z)) / 2
        assert np.allclose(slopes["A"], np.tril(2 * whole, -1) + np.diag(np.diag(whole)))
        assert np.allclose(slopes["y"], z)
        assert np.isclose(slopes["m"], -z.sum())
    arrays = {"A": np.array([[2.0, 0.5], [0.5, 1.0]]), "y": np.array([0.2, -0.4]), "m": 0.1}
    for form in ("one", "parts"):
        found = adjoints(program, arrays, "J", form)
        for each in reals(program):
            assert error(found[each], differences(program, arrays, "J", each)) < 1e-15


def test_the_factor_is_printed_backwards() -> None:
    """The adjoint of a triangle in an order that goes with it, or without the bracket that keeps the diagonal apart."""
    program = sg.parse("index i, j in 1..N; input A[i,j], y[i]; param m\n" + CHOLESKY["row by row"] + LIKELIHOOD)
    text = sg.derive(program, wrt=["A"]).text()
    assert "dL_ii/dA_ij = δ_ji/(2L_ii)" in text
    assert "dL_ij/dA_ij = [j ≤ i − 1]/L_jj" in text
    assert text.rstrip().endswith("(i = N − 1, …, 1)")


REFUSED = {
    "a cell and a range": (
        "index t in 1..T\nh[0] = 1\nh[1] = 2\nh[t] = w*h[t-1]\nJ = h[T]",
        "SG202",
        4,
        ["h[1] is defined twice", "line 3"],
        "leave that cell out",
    ),
    "triangles that share the diagonal": (
        "index i, j in 1..N\nL[i,j] = x[i] for j in 1..i\nL[i,j] = 0 for j in i..N\nJ = sum(L[i,j] for i, j)",
        "SG202",
        3,
        ["L[i, j] is defined twice", "line 2"],
        "other ranges",
    ),
    "a read beside the triangle": (
        "index i, j in 1..N\nL[i,j] = x[i] for j in 1..i\nJ = sum(L[i,j] for i, j)",
        "SG313",
        3,
        ["L[i, j] is read for i in 1..N, j in 1..N", "line 2"],
        "define the others",
    ),
    "no diagonal": (
        "index i, j in 1..N\nL[i,j] = x[i] for j in 1..i-1\nL[i,j] = 0 for j in i+1..N\nJ = sum(L[i,j] for i, j)",
        "SG313",
        4,
        ["L[i, j] is read"],
        "define the others",
    ),
    "a diagonal alone": (
        "index i in 1..N\nL[i,i] = x[i]\nJ = sum(L[i,i] for i)",
        "SG306",
        2,
        ["twice on the left"],
        "beside the diagonal",
    ),
    "ranges that need each other": (
        "index i in 1..j, j in 1..i\nJ = sum(x[i,j] for i, j)",
        "SG312",
        2,
        ["i and j need each other", "1..j"],
        "i in 1..N",
    ),
    "a range that moves with an open index": (
        "s[j] = sum(x[j,d] for d in 1..j)\nJ = sum(s[j] for j)",
        "SG312",
        1,
        ["range of d moves with j"],
        "index j in 1..N",
    ),
    "an index that is not affine": ("index i in 1..N\nJ = sum(x[i*i] for i)", "SG308", 2, ["i**2"], "integer factors"),
    "a gather by a real number": ("index i in 1..N\nJ = sum(x[y[i]] for i)", "SG391", 2, ["y[i]"], "input y[i] in 1..N"),
    "a computed index": (
        "index i in 1..N\nJ = sum(p[argmax(x[l] for l in 1..N)]*x[i] for i)",
        "SG391",
        2,
        ["argmax(…) stands as an index"],
        "input k in 1..N",
    ),
    "a shift out of range": (
        "index i in 1..N\ninput x[i]\nJ = sum(x[i+1] for i)",
        "SG309",
        3,
        ["runs over 2..N + 1, outside of 1..N"],
        "run over less",
    ),
    "an end that is computed": (
        "J = sum(x[i] for i in 1..N)\nN = 3",
        "SG304",
        2,
        ["N is the end of a range and a quantity"],
        "rename",
    ),
    "no order": ("index t in 1..T\nh[0] = 1\nh[t] = w*h[t]\nJ = h[T]", "SG401", 3, ["h[t] needs its own value"], "h[t - 1]"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    """Half a program, or a refusal that does not say where, what and how to go on."""
    text, code, line, facts, hint = REFUSED[name]
    with pytest.raises(sg.SymgradError) as refusal:
        sg.parse(text)
    assert (refusal.value.code, refusal.value.line) == (code, line)
    assert all(fact in str(refusal.value) for fact in facts)
    assert hint in refusal.value.hint


def test_an_order_that_doubles_is_printed() -> None:
    """The root of a heap, which no equation of indices reaches, in a ring with itself."""
    text = sg.derive(sg.parse(RIGHT["heap"]), "J").text()
    assert "dJ/ds_1 = 1\n" in text
    assert "[t = 2l + 1])  (t = 2, …, 2N − 1)" in text
