# ruff: noqa: E501  (a model on one line)
"""Random programs are right: derived, printed, read back and compiled, each against the oracle.

SYMGRAD_PROGRAMS=2000 runs more of them, and SYMGRAD_CAPTURES; a failure prints the seed and the smallest program found that still fails.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

import symgrad as sg
from tests.capture_programs import capture
from tests.models import random_arrays
from tests.program_checks import (
    CHECKS,
    WHOLE,
    compiled,
    explained,
    fault,
    forward_mode,
    read_back,
    reverse_mode,
    sample,
    second_order,
)  # fmt: skip
from tests.random_programs import program, shrink

COUNT = int(os.environ.get("SYMGRAD_PROGRAMS", "80"))
CAPTURES = int(os.environ.get("SYMGRAD_CAPTURES", "800"))
LOTS, PAIRS, LONG = 8, 4, 8


def lane(seed: int, statements: int) -> tuple[str, ...]:
    """Both modes for every program; second derivatives for a quarter, of any size; all checks for a twentieth.

    Every entry of a Hessian for a few small ones, and the kernels of second derivatives for one.
    """
    if seed % 20 == 4:
        return WHOLE
    if seed % 20 == 14:
        return ("modes", "collect", "text")  # kernels of others are measured in test_right
    if seed % 5 != 1:
        return ("modes",)
    more = ("hessian",) if seed % 80 == 1 and statements <= 3 else ("curved",) if seed % 200 == 61 else ()
    return ("modes", "second", *more)


@pytest.mark.parametrize("lot", range(LOTS))
def test_random_programs(lot: int) -> None:
    """Whatever one pass gets wrong for a form that no model of the tables has."""
    for seed in range(lot, COUNT, LOTS):
        model = program(seed, most=1 + seed // 8 % 3 + (seed % 40 == 39) * 10)
        names = lane(seed, len(model.lines))
        found = fault(model, names)
        if found is not None:
            smaller = shrink(model, lambda m: fault(m, names) == found, tries=60)  # noqa: B023
            pytest.fail(f"seed {seed}, {found}\n{smaller.text()}")


@pytest.mark.parametrize("lot", range(LOTS))
def test_long_random_programs(lot: int) -> None:
    """Twenty to forty equations and more, each of which reads those before it."""
    for seed in range(lot, max(LONG, COUNT // 25), LOTS):
        model = program(1000 + seed, most=25, least=15)
        found = fault(model, ("modes",))
        if found is not None:
            smaller = shrink(model, lambda m: fault(m, ("modes",)) == found, tries=60)  # noqa: B023
            pytest.fail(f"seed {1000 + seed}, {found}\n{smaller.text()}")


@pytest.mark.parametrize("lot", range(LOTS))
def test_names_never_collide(lot: int) -> None:
    """An index captured by a sum around it, a name of ours that is the user's: CAPTURES equations, each full of sums."""
    for seed in range(lot, CAPTURES // (2 * PAIRS), LOTS):
        model = capture(seed, PAIRS)
        try:
            p = sg.parse(model.text())
            reverse_mode(p, random_arrays(p, np.random.default_rng(seed), {"N": 3}))
        except Exception as error:
            pytest.fail(f"seed {seed}: {error}\n{model.text()}")


@pytest.mark.parametrize("seed", range(CAPTURES // 250))
def test_names_never_collide_in_print_and_kernels(seed: int) -> None:
    p = sg.parse(capture(seed).text())
    arrays = random_arrays(p, np.random.default_rng(seed), {"N": 3})
    for check in (forward_mode, compiled, explained, read_back):
        check(p, arrays)


def test_a_sample_through_numba() -> None:
    """Loops that the NumPy backend does not have."""
    for seed in (1, 6):
        p = sg.parse(program(seed, 1).text())
        compiled(p, sample(p, seed), "numba")


# what such programs have shown, each as small as it can be
FOUND = {
    "second derivative of a function of two arguments": ("mix(u, v) = u*tanh(v) + v^2\nJ = mix(c, d) + c", ("second", "explain")),
    "chain rule at a shifted cell that two terms read": (
        "index i, j, m in 1..N, t in 1..T\ninput A[j,i], x[i], r[t]\nh[0,i] = x[i]\nh[t,i] = tanh(sum(h[t-1,j]*A[j,i] for j) + max(h[t-1,m] for m) + r[t])\nJ = sum(h[t,i]^2 for t, i)",
        ("reverse", "explain", "kernel"),
    ),
    "a sum over two choices": (
        "index l in 0..K, m in 1..N\ninput c, x[m], b[l]\ne[l] += sum(clip(c, -1, 1)*x[m] for m)\ne[l] += b[l]\nJ = sum(e[l]^2 for l)",
        ("reverse", "explain", "second"),
    ),
    "a choice that stands twice in a product": ("J = log(1 + where(c > 2, 1.25, c)^2) + d*c", ("second", "kernel")),
    "a linear part has no curvature of its own": (
        "index i in 1..N\nJ = sum(x[i]^2 for i) + sum(y[i] for i)",
        ("second", "forward"),
    ),
    "an undeclared axis read over a part first": (
        "index i, j in 1..N\ny[i] = sum(A[i,j]*x[j] for j in i+1..N)\nz[i] = sum(A[i,j] for j)*x[i]\nJ = sum(y[i]*z[i] for i)",
        ("reverse", "explain", "kernel", "text"),
    ),
    "a guard on one index protects no other": (
        "index i, m in 1..N\nt[m] = sum(x[i]*A[m,i] for i in m+1..N)\ny[i] = where(i > 1, sum(A[i,m]*t[m] for m), sum(t[m]^2 for m))\nJ = sum(y[i] for i)",
        ("reverse", "kernel", "text"),
    ),
    "the end of a range as an index, of an undeclared array": (
        "index j in 1..N, t in 1..T\ninput q[t], x[j]\ne[j] += x[j]^2\ne[j] += D[T,j]^2\nJ = sum(e[j]^2 for j) + sum(q[t] for t)",
        ("reverse", "text"),
    ),
    "an axis gets no letter that is a quantity": (
        "index k in 0..K, i, t in 1..N\ninput p in 1..N, x[i]\ne = mean(F[p,1,k,1] for k)\nJ = e*d + sum(x[i] for i)",
        ("reverse", "text"),
    ),
    "the sum of a function over the letter of its argument": (
        "index i, j in 1..N\ng(u) = sum(u*c[i] for i)\ny[i] = g(x[i])\nJ = sum(g(g(y[j])) for j) + g(sum(x[i] for i))",
        ("reverse", "explain", "kernel", "text"),
    ),
    "a comparison whose letters are chosen stays as it is": (
        "index i in 1..N\ninput x[i]\nJ = sum(where(min(max(x[i], c), mean(x[j] for j)) > 0.3, c*x[i]^2, 0.5) for i)^2",
        ("modes", "explain"),
    ),
    "what several points add to one cell is not its value": (
        "index i in 1..N, k in 0..K\ninput x[i], b[k]\ny[i+k] += tanh(x[i]*b[k])\nJ = sum(y[m]^2 for m in 1..N+K)",
        ("modes", "kernel", "explain", "second"),
    ),
    "a read past the end under a condition": (
        "index i in 1..N\ninput x[i]\ny[i] = where(i < N, x[i+1]^3, 0)\nJ = sum(y[i]^2 for i)",
        ("modes", "kernel", "explain", "second", "hessian", "curved"),
    ),
    "a strided read under a condition": (
        "index i in 1..N, k in 0..K\ninput x[i], b[k]\nJ = sum(where(2*k+i <= N, x[2*k+i]^2*b[k], 0) for k, i)",
        ("modes", "kernel", "explain", "second", "hessian", "curved"),
    ),
    "a read by data under a condition on it": (
        "index i in 1..N, t in 1..T\ninput x[i], w[t] in 1..N\nJ = sum(where(w[t] > 1, x[w[t]-1]^3, 0) for t)",
        ("modes", "kernel", "second", "hessian", "curved"),
    ),
    "a place that is read past its end under a condition": (
        "index i in 1..N, k in 0..K\ninput x[i], b[k], v[i] in 0..K\nJ = sum(where(i < N, b[v[i+1]]^2*x[i], 0) for i)",
        ("modes", "kernel", "second", "curved"),
    ),
    "a Hessian along a diagonal of cells": (
        "index i in 1..N, k in 0..K\ninput z[n in 0..N+K], b[k]\ny[k,i] = tanh(z[k+i]*b[k])\nJ = sum(y[k,i]^2 for k, i)",
        ("second", "hessian", "curved"),
    ),
    "a condition on two indices, one of them fixed": (
        "index i in 1..N, k in 0..K\ninput z[n in 0..N+K], b[k]\ny[i,k] = tanh(where(k == K, z[k+i], b[k]))\nJ = sum(y[i,k]^2 for i, k)",
        ("second", "hessian", "curved"),
    ),
    "the place of a maximum is no end of a range": (
        "index i in 1..N\ninput x[i]\nJ = max(y[N-i+1] for i in 2..N)^2 + sum(x[i]*c for i)",
        ("second", "curved"),
    ),
    "a call that is another kind of value once its argument has a name": (
        "index t in 1..T, j in 1..N\ninput x[j], q[t]\ne[t] = tanh(exp(-(logsumexp(x[j] for j))^2) - leaky_relu(q[t], 0.1))\nJ = sum(e[t]^2 for t)",
        ("second", "curved"),
    ),
    "a block that one form alone sees to be zero": (
        "index l in 0..K, i in 1..N\ninput b[l], x[i], q[i]\nJ = max(b[l] for l)*tanh(logsumexp(x[i] for i)) + sum(b[l]*c for l if b[l] < 0.5)",
        ("second", "hessian", "curved"),
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_found_by_random_programs(name: str) -> None:
    """Each was a wrong number, a refusal of a valid program, or a traceback."""
    text, checks = FOUND[name]
    p = sg.parse(text)
    arrays = sample(p)
    for check in checks:
        CHECKS[check](p, arrays)


def test_cells_that_a_kernel_does_not_write_are_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of H[i,i] the diagonal alone is written; memory that is not set must not show."""
    kernel = sg.hessian(sg.parse("index i in 1..N\ninput x[i]\nJ = sum(x[i]^3 for i)")).compile()
    x = np.array([1.0, 2.0, 3.0])
    kernel(x=x)  # compiled before memory is spoiled
    monkeypatch.setattr(np, "empty", lambda shape, dtype=float: np.full(shape, np.nan, dtype))
    assert np.array_equal(kernel(x=x)[1]["x"], np.diag(6 * x))


def test_a_fault_is_seen() -> None:
    """Checks that pass whatever they are given: the gradient of another program is refused."""
    right, wrong = sg.parse("J = c^2*d + c"), sg.parse("J = c^2*d + 1.0001*c")
    arrays = sample(right)
    with pytest.raises(AssertionError):
        fault_between(right, wrong, arrays)


def fault_between(right: sg.Program, wrong: sg.Program, arrays: dict[str, object]) -> None:
    from tests.program_checks import gradient, same

    same(gradient(wrong, arrays), gradient(right, arrays))


def test_the_hessian_is_symmetric_with_constants() -> None:
    """second_order is run on what it must refuse to compare: a stopped value is a constant."""
    p = sg.parse("J = stop(c)*c + d^2")
    second_order(p, sample(p))
    forward_mode(p, sample(p))


def test_shrinking_keeps_the_fault() -> None:
    """A shrunk program that no longer fails is no help."""
    small = shrink(program(4, 3), lambda m: "tanh" in m.text() and "J = " in m.text(), tries=200)
    assert "tanh" in small.text()
    assert len(small.text()) <= len(program(4, 3).text())
