"""Matrices that recurrences read against their rows: turned before the first step, where no step writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import symgrad as sg
from symgrad.compiler import explained
from tests.models import random_arrays
from tests.plain_python import plain_module

TEXTS = {
    "recurrent": """
        index n in 1..N, t in 1..T, j, k in 1..H, i in 1..M
        input x[n,t,i]
        param U[j,i], W[j,k], V[j,k]
        h[n,0,j] = 0
        g[n,t,j] = tanh(sum(V[j,k]*h[n,t-1,k] for k))
        h[n,t,j] = tanh(sum(U[j,i]*x[n,t,i] for i) + sum(W[j,k]*g[n,t,k] for k))
        J = sum(h[n,T,j]^2 for n, j)
    """,
    "written in the steps": """
        index n in 1..N, t in 1..4, j, k in 1..H
        input x[n,k]
        param A[j,k]
        W[0,j,k] = A[j,k]
        s[t,n,j] = sum(W[t-1,j,k]*x[n,k] for k)
        W[t,j,k] = W[t-1,j,k]*0.5 + sum(s[t,n,j]*x[n,k] for n)/N
        J = sum(W[4,j,k]^2 for j, k)
    """,
    "a scan in a scan": """
        index t in 1..3, u in 1..2, n in 1..N, j, k in 1..H
        input x[n,k]
        param A[j,k], B[j,k]
        W[0,j,k] = A[j,k]
        h[t,n,0,j] = sum(W[t-1,j,k]*x[n,k] for k)
        h[t,n,u,j] = tanh(sum(B[j,k]*h[t,n,u-1,k] for k))
        W[t,j,k] = W[t-1,j,k]*0.5 + sum(h[t,n,2,j]*x[n,k] for n)/N
        J = sum(W[3,j,k]^2 for j, k)
    """,
    "two scans": """
        index n in 1..N, t in 1..4, j, k in 1..H
        input x[n,j]
        param W[j,k]
        h[n,0,j] = x[n,j]
        h[n,t,j] = sin(sum(W[j,k]*h[n,t-1,k] for k))
        q[n,0,j] = h[n,4,j]
        q[n,t,j] = cos(sum(W[j,k]*q[n,t-1,k] for k))
        J = sum(q[n,4,j]^2 for n, j)
    """,
}


@pytest.mark.parametrize("name", TEXTS)
def test_equals_numpy(name: str, tmp_path: Path) -> None:
    """A copy with its axes as they were, of another matrix, or made after a step has read it."""
    program = sg.parse(TEXTS[name])
    arrays = random_arrays(program, np.random.default_rng(3), {"N": 5, "T": 3, "H": 4, "M": 8})
    k, other = (sg.compile(program, wrt=program.params, backend=backend) for backend in ("numba", "numpy"))
    loss, grads = plain_module(k.source, tmp_path).value_and_grad(**arrays)
    wanted, slopes = other(**arrays)
    assert loss == pytest.approx(wanted, rel=1e-12)
    for each, grad in grads.items():
        np.testing.assert_allclose(grad, slopes[each], rtol=1e-11, atol=1e-12)


def test_which_are_turned() -> None:
    """One copy for all recurrences, none of a matrix that changes or that no recurrence reads so."""
    names = {name: str(explained(sg.compile(sg.parse(text)))) for name, text in TEXTS.items()}
    assert names["recurrent"].count("Map      [k j] W_turned[k, j]") == 1
    assert names["recurrent"].count("Map      [k j] V_turned[k, j]") == 1
    assert "U_turned" not in names["recurrent"]
    assert "_turned" not in names["written in the steps"]
    assert names["a scan in a scan"].count("_turned[k, j] = ") == 1
    assert names["two scans"].count("] W_turned[k, j] = ") == 1


def test_training_steps_read_the_copy() -> None:
    """The copy of a parameter before its update."""
    program = sg.parse(TEXTS["recurrent"].replace("sum(h[n,4,j]^2 for n, j)", "sum(h[n,4,j]^2 for n, j)/N; minimize J"))
    arrays = random_arrays(program, np.random.default_rng(3), {"N": 5, "T": 3, "H": 4, "M": 8})
    start = {name: arrays[name] for name in program.params}
    options = {"epochs": 5, "batch_size": None, "progress": False}
    fits = [
        sg.compile(program, backend=backend).fit(start, {"x": arrays["x"]}, sg.Momentum(0.3), **options)
        for backend in ("numba", "numpy")
    ]
    for name in start:
        np.testing.assert_allclose(fits[0].params[name], fits[1].params[name], rtol=1e-10)
