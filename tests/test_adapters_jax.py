"""Kernels as functions of JAX: its own checks of gradients under jit and vmap, both of its types, every refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from tests.test_adapters import CASES, Case

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")
check_grads = pytest.importorskip("jax.test_util").check_grads
x64 = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64


def loss(case: Case) -> Callable[..., Any]:
    f = sg.adapters.jax.function(case.kernel())
    return lambda params: f(**params, **case.data)


@pytest.mark.parametrize("name", CASES)
def test_check_grads(name: str) -> None:
    """First and second derivatives as JAX's differences have them, alone, under jit, under vmap and both."""
    case = CASES[name]
    J = loss(case)
    with x64(True):
        params = {name: jnp.asarray(value) for name, value in case.params.items()}
        many = {name: jnp.stack([each, 0.5 * each, -each]) for name, each in params.items()}
        assert float(J(params)) == case.kernel()(**case.params, **case.data)[0]
        if name == "recurrent":
            check_grads(J, (params,), order=2, modes=["rev"])
        check_grads(jax.jit(J), (params,), order=2, modes=["rev"])
        check_grads(jax.jit(lambda given: (jax.vmap(J)(given) ** 2).sum()), (many,), order=2, modes=["rev"])


def test_check_grads_in_float32() -> None:
    """JAX's own type of numbers: the kernel computes in float64, and nothing warns."""
    case = CASES["network"]
    params = {name: jnp.asarray(value, jnp.float32) for name, value in case.params.items()}
    with x64(False):
        value, grads = jax.jit(jax.value_and_grad(loss(case)))(params)
        assert {str(each.dtype) for each in jax.tree.leaves((value, grads))} == {"float32"}
        check_grads(loss(case), (params,), order=2, modes=["rev"], atol=2e-2, rtol=2e-2, eps=1e-2)


def test_batches_of_every_kind() -> None:
    """A batch of some arguments only, of data, of two axes: each place with the arrays of another."""
    case = CASES["labels"]
    f = sg.adapters.jax.function(case.kernel())
    W, x, c = case.params["W"], case.data["x"], case.data["c"]
    rest = {"lambda": 0.1}

    def J(W: Any, x: Any, c: Any) -> Any:
        return f(W=W, x=x, c=c, **rest)

    with x64(True):
        labels = jnp.stack([c, c[::-1]])
        found = jax.vmap(J, (None, None, 0))(W, x, labels)
        assert np.allclose(found, [J(W, x, each) for each in labels], rtol=1e-14)
        found = jax.jit(jax.vmap(jax.vmap(J, (None, None, 0)), (0, 0, None)))(
            jnp.stack([W, 2 * W, -W]), jnp.stack([x, x, x + 1]), labels
        )
        wanted = [[J(a * W, x + b, each) for each in labels] for a, b in ((1, 0), (2, 0), (-1, 1))]
        assert np.allclose(found, wanted, rtol=1e-13)
        slopes = jax.vmap(jax.grad(J), (None, 0, 0))(W, x[:, None], c[:, None])  # of every example
        assert slopes.shape == (5, 3, 2)
        assert np.allclose(slopes.mean(axis=0), jax.grad(J)(W, x, c), rtol=1e-12)


def test_hessian_and_scan() -> None:
    """A Hessian that is not symmetric, a gradient through many steps of descent."""
    case = CASES["recurrent"]
    J = loss(case)
    with x64(True):
        start = jnp.array([0.4, 0.7])

        def of(theta: Any) -> Any:
            return J({"b": theta[0], "a": theta[1]})

        hessian = jax.jit(jax.jacrev(jax.grad(of)))(start)
        fun, theta0 = case.kernel().flat(case.params, **case.data)
        assert np.allclose(hessian, [fun.hvp(theta0, each) for each in np.eye(2)], rtol=1e-13)

        def descended(theta: Any) -> Any:
            return of(jax.lax.scan(lambda p, _: (p - 0.1 * jax.grad(of)(p), None), theta, None, length=3)[0])

        check_grads(jax.jit(descended), (start,), order=1, modes=["rev"])


def test_refusals() -> None:
    """A gradient that is silently zero; shapes that do not fit, also where they are traced."""
    case = CASES["labels"]
    f = sg.adapters.jax.function(case.kernel())
    good = {**case.params, **case.data}
    wrong = {
        "SG604": {"W": np.ones((3, 4))},
        "SG602": {"x": np.ones(5)},
        "SG603": {"c": np.ones(5)},
        "SG601": {"z": 1.0},
        "SG605": {"c": np.full(5, 9)},
    }
    for code, change in wrong.items():
        for call in (f, jax.jit(lambda **given: f(**given))) if code != "SG605" else (f,):
            with pytest.raises(sg.SymgradError) as error:
                call(**{**good, **change})
            assert error.value.code == code
    for wrap in (lambda g: g, jax.jit):
        with pytest.raises(sg.SymgradError) as error:
            wrap(jax.grad(lambda x: f(**{**good, "x": x})))(jnp.asarray(good["x"]))
        assert error.value.code == "SG609"
    with pytest.raises(Exception, match="SG605"):  # seen at the run only
        jax.block_until_ready(jax.jit(lambda c: f(**{**good, "c": c}))(jnp.full(5, 9)))


def test_large_arrays_in_a_callback() -> None:
    """A callback that waits for the thread it runs on."""
    f = sg.adapters.jax.function(sg.parse("param w[i]; J = sum(w[i]^2 for i)"), backend="numpy")
    found = jax.jit(jax.grad(lambda w: f(w=2 * w)))(jnp.ones(1_000_000))
    assert float(found.sum()) == 8_000_000.0
