# ruff: noqa: E501  (a model on one line)
"""Jacobians, their products, Hessians and gradients inside equations: against differences of the oracle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

import symgrad as sg
from symgrad.core.check import check, check_order
from symgrad.core.evaluate import evaluate
from symgrad.core.program import Program
from symgrad.operators import Operator
from symgrad.transform.collect import collect
from symgrad.transform.gradients import expand_gradients
from tests.models import random_arrays
from tests.reference import STEP, adjoints, assert_gradient, error, reals

VECTORS = {
    "chain": "index i in 1..M, j in 1..H, k in 1..N; y[i] = tanh(u[i]); u[i] = sum(A[i,j]*v[j] for j); v[j] = exp(sum(B[j,k]*x[k] for k))",
    "softmax": "index k, l in 1..K; y[k] = exp(x[k])/sum(exp(x[l]) for l)",
    "convolution": "index i in 0..N-K, k in 0..K-1, n in 0..N-1; input x[n], w[k]; y[i] = sum(w[k]*x[i+k] for k)^2",
    "recurrence": "index t in 1..T; input x[t], a; y[0] = 1; y[t] = tanh(a*y[t-1] + x[t])",
    "matrix": "index i, j, m in 1..N; y[i,j] = sum(x[i,m]*x[m,j] for m)",
    "rows": "index i, j in 1..N; input x[i,j]; y[i] = max(x[i,j]^2 for j) + x[i,i]",
}
SCALARS = {
    "cross-entropy": "index k, l in 1..K; input y[k]; param b[k]; J = -sum(y[k]*log(p[k]) for k); p[k] = exp(b[k])/sum(exp(b[l]) for l)",
    "network": "index i, j in 1..N; input x[i]; param W[i,j], c[i]; h[i] = tanh(sum(W[i,j]*x[j] for j) + c[i]); J = sum(h[i]^2 for i)",
    "recurrence": "index t in 1..T; input x[t]; param a, b; h[0] = b; h[t] = sin(a*h[t-1] + x[t]); J = sum(h[t]^2 for t)",
    "shift": "index n in 0..N; param x[n]; J = sum((x[n+1] - x[n])^2*x[n]^2 for n in 0..N-1)",
}
SIZES = {"N": 4, "K": 3, "T": 3, "M": 2, "H": 3}


def arrays_of(program: Program) -> dict[str, Any]:
    return random_arrays(program, np.random.default_rng(0), SIZES)


def columns(program: Program, arrays: dict[str, Any], of: str, name: str) -> Any:
    """d of / d name by central differences at 50 digits, the axes of `of` first."""
    value = np.asarray(arrays[name], object)
    out = []
    with mpmath.workdps(50):
        for cell in np.ndindex(value.shape):
            ends = []
            for sign in (1, -1):
                moved = np.array(value, object)
                moved[cell] = mpmath.mpf(value[cell]) + sign * STEP
                ends.append(np.asarray(evaluate(program, {**arrays, name: moved})[of], object))
            out.append((ends[0] - ends[1]) / (2 * STEP))
    return (
        np.moveaxis(
            np.array(out, object).reshape(*value.shape, *np.shape(out[0])), list(range(value.ndim)), list(range(-value.ndim, 0))
        )
        if value.ndim
        else out[0]
    )


def evaluated(operator: Operator, arrays: dict[str, Any]) -> dict[str, Any]:
    found = evaluate(check_order(check(collect(operator.raw, "one", operator._added))), arrays)
    return {name: found[own] for name, own in operator.results.items()}


@pytest.mark.parametrize("name", VECTORS)
def test_jacobian_and_its_products(name: str) -> None:
    """A row where a column belongs, a lost sum over what lies between, a cotangent on the wrong side."""
    program = sg.parse(VECTORS[name])
    arrays = arrays_of(program)
    free = reals(program)
    found = evaluated(sg.jacobian(program, "y", free), arrays)
    wanted = {each: columns(program, arrays, "y", each) for each in free}
    for each in found:
        assert error(found[each], wanted[each]) < 1e-15, each
    rng = np.random.default_rng(1)
    shape = np.shape(evaluate(program, arrays)["y"])
    bar, dots = rng.normal(size=shape), {f"{each}_dot": rng.normal(size=np.shape(arrays[each])) for each in free}
    pulled = evaluated(sg.vjp(program, "y", free), {**arrays, "y_bar": bar})
    for each in pulled:
        assert error(pulled[each], np.tensordot(bar, wanted[each], axes=bar.ndim)) < 1e-14
    pushed = evaluated(sg.jvp(program, "y", free), {**arrays, **dots})["y_dot"]
    total = sum(np.tensordot(wanted[each], dots[f"{each}_dot"], axes=np.ndim(arrays[each])) for each in free)
    assert error(pushed, total) < 1e-14


@pytest.mark.parametrize("name", SCALARS)
def test_hessian_and_its_product(name: str) -> None:
    """Second derivatives, the blocks between parameters, and their product with a vector."""
    program = sg.parse(SCALARS[name])
    arrays = arrays_of(program)
    h = sg.hessian(program, "J")
    found = evaluated(h, arrays)
    gradient = sg.derive(program, "J", program.params).whole
    bars = {p: f"{p}_bar" for p in program.params}
    wanted = {(a, b): columns(gradient, arrays, bars[a], b) for a in program.params for b in program.params}
    for block in found:
        a, _, b = block.partition(",")
        assert error(found[block], wanted[a, b or a]) < 1e-14, block
    dots = {f"{p}_dot": np.random.default_rng(2).normal(size=np.shape(arrays[p])) for p in program.params}
    product = evaluated(sg.hvp(program, "J"), {**arrays, **dots})
    for p in product:
        total = sum(np.tensordot(wanted[p, q], dots[f"{q}_dot"], axes=np.ndim(arrays[q])) for q in program.params)
        assert error(product[p], total) < 1e-14


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_compiled_operators_agree_with_the_oracle(backend: str) -> None:
    """A kernel of a derivative that is not that derivative."""
    program = sg.parse(VECTORS["recurrence"])
    arrays = arrays_of(program)
    for make in (sg.jacobian, sg.vjp, sg.jvp):
        operator = make(program, "y", ["x", "a"])
        more = {n: np.asarray(0.3) if n == "a_dot" else 0.1 * np.arange(3 if n == "x_dot" else 4) for n in operator.inputs}
        value, found = operator.compile(backend=backend)(**arrays, **more)
        wanted = evaluated(operator, {**arrays, **more})
        assert np.allclose(value, np.asarray(evaluate(program, arrays)["y"], float), atol=1e-14)
        assert all(error(np.asarray(found[n], object), wanted[n]) < 1e-13 for n in wanted)
    program = sg.parse(SCALARS["network"])
    arrays = arrays_of(program)
    hessian = sg.hessian(program)
    found = hessian.compile(backend=backend)(**arrays)[1]
    wanted = evaluated(hessian, arrays)
    assert set(found) == {"W", "W,c", "c"}
    assert all(error(np.asarray(found[n], object), wanted[n]) < 1e-13 for n in wanted)


def test_the_chain_rule_is_shown_with_its_sum() -> None:
    """S11: dy_i/dx_k = Σ_j dy_i/du_j · du_j/dx_k."""
    text = sg.jacobian(
        sg.parse("index i in 1..M, j in 1..H, k in 1..N; y[i] = sum(A[i,j]*u[j]^2 for j); u[j] = sum(B[j,k]*x[k] for k)"), "y", "x"
    ).text()
    assert "dy_i/dx_k = Σ_{j=1..H} dy_i/du_j · du_j/dx_k" in text
    assert "dy_i/du_j = 2A_ij u_j" in text


PENALTY = """
index k in 1..N
input x[k]
param w[k], b
f = tanh(sum(w[k]*x[k] for k) + b)^2
P = sum(grad(f, x[k])^2 for k)
J = f^2 + lambda*P
minimize J
"""


def test_gradient_of_a_gradient_penalty() -> None:
    """A second derivative that forgets how the first depends on the parameters."""
    program = sg.parse(PENALTY)
    assert sg.parse(str(program)) == program
    expanded = expand_gradients(program)
    arrays = arrays_of(expanded)
    assert_gradient(expanded, arrays, "J")
    wanted = adjoints(expanded, arrays, "J")
    found = sg.compile(program, backend="numpy")(**arrays)[1]
    assert set(found) == {"w", "b"}
    assert all(error(np.asarray(found[n], object), wanted[n]) < 1e-13 for n in found)
    assert "dP/d(df/dx_k)" in sg.derive(program).text()


REFUSED = {
    "unknown": (lambda p: sg.jacobian(p, "z"), "SG203"),
    "given": (lambda p: sg.vjp(p, "x"), "SG402"),
    "no dependence": (lambda p: sg.jacobian(p, "y", ["q"]), "SG406"),
    "whole numbers": (lambda p: sg.jvp(p, "y", ["w"]), "SG405"),
    "no curvature": (lambda p: sg.hessian(p, "s", ["x"]), "SG406"),
    "not a scalar": (lambda p: sg.hvp(p, "y"), "SG403"),
    "which": (lambda p: sg.jacobian(p), "SG402"),
}


@pytest.mark.parametrize(("make", "code"), REFUSED.values(), ids=list(REFUSED))
def test_operators_refuse(make: Any, code: str) -> None:
    """A traceback, or a derivative of something else."""
    program = sg.parse("index t in 1..T; input x[t], q, w[t] in 1..T; y[t] = x[w[t]]^2; s = sum(3*x[t] for t); r = q")
    with pytest.raises(sg.SymgradError) as caught:
        make(program)
    assert caught.value.code == code


@pytest.mark.parametrize("kind", [sg.jvp, sg.vjp, sg.jacobian])
@pytest.mark.parametrize("of", ["constant", "stopped", "steps"])
def test_a_derivative_that_is_zero_is_refused(kind: Callable[..., Operator], of: str) -> None:
    """A traceback, or a page of nothing."""
    p = sg.parse("constant = 0.5; stopped = stop(x); steps = sign(x); J = constant*stopped*steps*x")
    with pytest.raises(sg.SymgradError) as refused:
        kind(p, of, ["x"])
    assert refused.value.code == "SG406"
