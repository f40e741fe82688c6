"""Kernels as functions of a vector and of a tree, and arrays of other libraries: against the kernel's own call and differences."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.kernel import Kernel
from tests.errors.rows import Tensor

NETWORK = """
index i in 1..M, j in 1..H, k, l in 1..K
input x[i], y^*[k]
param W[j,i], c[j], V[k,j], d
h[j] = tanh(sum(W[j,i]*x[i] for i) + c[j])
o[k] = sum(V[k,j]*h[j] for j) + d
y[k] = exp(o[k])/sum(exp(o[l]) for l)
J = sum(y^*[k]*log(y[k]) for k) - d^2
maximize J
"""
RECURRENT = """
index t in 1..T; input x[t]; param a, b
h[0] = b; h[t] = sin(a*h[t-1] + x[t]); J = sum(h[t]^2 for t); minimize J
"""
LABELS = """
index i in 1..M, k, l in 1..K
input x[i], c in 1..K; param W[k,i]; const lambda
o[k] = sum(W[k,i]*x[i] for i)
J = logsumexp(o[l] for l) - o[c] + lambda*sum(W[k,i]^2 for k, i)
minimize J
"""
LINEAR = "param w[i], c; input x[i]; J = sum(w[i]*x[i] for i) + 3*c"  # no curvature at all
R = np.random.default_rng(0)


@dataclass(frozen=True)
class Case:
    """A model, where its parameters start, and its data."""

    model: str
    params: dict[str, Any]
    data: dict[str, Any]
    batch: tuple[str, ...] = ()

    def kernel(self, **options: Any) -> Kernel:
        options = {"backend": "numpy", "wrt": [*self.params], **options}
        return sg.compile(sg.parse(self.model), batch=self.batch, **options)


CASES = {
    "network": Case(
        NETWORK,
        {"W": R.normal(size=(4, 3)), "c": R.normal(size=4), "V": R.normal(size=(2, 4)), "d": 0.3},
        {"x": R.normal(size=(6, 3)), "y_star": np.eye(2)[R.integers(0, 2, 6)]},
        ("x", "y_star"),
    ),
    "recurrent": Case(RECURRENT, {"b": 0.4, "a": 0.7}, {"x": R.normal(size=5)}),
    "labels": Case(
        LABELS,
        {"W": R.normal(size=(3, 2))},
        {"x": R.normal(size=(5, 2)), "c": R.integers(1, 4, 5), "lambda": 0.1},
        ("x", "c"),
    ),
    "linear": Case(LINEAR, {"w": R.normal(size=3), "c": 1.0}, {"x": R.normal(size=3)}),
}


@pytest.mark.parametrize("name", CASES)
def test_flat_is_the_kernel(name: str) -> None:
    """Parameters in another order or shape, a sign that is not the goal's, a result that a later call changes."""
    case = CASES[name]
    fun, theta0 = case.kernel().flat(case.params, **case.data)
    J, grads = case.kernel()(**case.params, **case.data)
    sign = -1 if "maximize" in case.model else 1
    value, gradient = fun(theta0)
    assert type(value) is float
    assert value == sign * J
    wanted = sign * np.concatenate([np.ravel(grads[each]) for each in case.params])
    assert np.array_equal(gradient, wanted)
    assert np.array_equal(theta0, np.concatenate([np.ravel(each) for each in case.params.values()]))
    fun(theta0 + 1)
    assert np.array_equal(gradient, wanted)
    back = fun.unflatten(theta0)
    assert {n: np.shape(each) for n, each in back.items()} == {n: np.shape(each) for n, each in case.params.items()}
    assert np.array_equal(fun.flatten(back), theta0)


@pytest.mark.parametrize("name", CASES)
def test_hvp_is_the_slope_of_the_gradient(name: str) -> None:
    """A batch that is left out, a parameter's part of the vector that goes to another, the sign of a goal."""
    case = CASES[name]
    fun, theta0 = case.kernel().flat(case.params, **case.data)
    vector = np.random.default_rng(1).normal(size=theta0.size)
    step = 1e-5
    slope = (fun(theta0 + step * vector)[1] - fun(theta0 - step * vector)[1]) / (2 * step)
    assert np.allclose(fun.hvp(theta0, vector), slope, rtol=1e-7, atol=1e-8)


def test_hvp_of_compiled_kernels_of_both_types() -> None:
    """float32 that becomes the type of SciPy's vectors, or the other way round."""
    found = []
    for dtype in ("float64", "float32"):
        kernel = sg.compile(sg.parse("param a, b; J = sin(a*b)^2/3"), dtype=dtype)
        fun, theta0 = kernel.flat({"b": 0.4, "a": 0.7})
        value, gradient = fun(theta0)
        product = fun.hvp(theta0, np.array([1.0, -2.0]))
        assert theta0.dtype == gradient.dtype == product.dtype == np.float64
        found.append([value, *gradient, *product])
    assert np.allclose(found[0], found[1], rtol=1e-4)
    assert found[0] != found[1]


def test_some_parameters_vary_and_others_are_data() -> None:
    """Those that stay would move, or count in the vector."""
    case = CASES["network"]
    rest = {name: value for name, value in case.params.items() if name not in "Vd"}
    fun, theta0 = case.kernel().flat({"d": 0.3, "V": case.params["V"]}, **rest, **case.data)
    whole, theta = case.kernel().flat(case.params, **case.data)
    assert theta0.size == 9
    assert fun(theta0)[0] == whole(theta)[0]
    vector = np.arange(9.0)
    full = whole.flatten({"W": rest["W"] * 0, "c": rest["c"] * 0, "V": vector[1:].reshape(2, 4), "d": vector[0]})
    wanted = whole.unflatten(whole.hvp(theta, full))
    assert np.allclose(fun.hvp(theta0, vector), [wanted["d"], *np.ravel(wanted["V"])], rtol=1e-13)


def test_flat_reads_the_data_where_they_lie() -> None:
    """A copy of data that fit, or none of those that do not."""
    x = np.ones(3)
    fun, theta0 = CASES["linear"].kernel().flat({"w": np.zeros(3), "c": 0.0}, x=x)
    x[0] = 5.0
    assert fun(theta0)[1].tolist() == [5.0, 1.0, 1.0, 3.0]


FLAT_WRONG = {
    "unknown": ("SG609", {"w": np.ones(3), "z": 1.0}, {"c": 1.0, "x": np.ones(3)}),
    "data": ("SG609", {"x": np.ones(3)}, {"w": np.ones(3), "c": 1.0}),
    "twice": ("SG633", {"w": np.ones(3)}, {"w": np.ones(3), "c": 1.0, "x": np.ones(3)}),
    "empty": ("SG633", {}, {"w": np.ones(3), "c": 1.0, "x": np.ones(3)}),
    "no dict": ("SG633", np.ones(4), {"x": np.ones(3)}),
    "missing": ("SG601", {"w": np.ones(3)}, {"x": np.ones(3)}),
    "length": ("SG604", {"w": np.ones(2), "c": 1.0}, {"x": np.ones(3)}),
    "axes": ("SG602", {"w": np.ones((3, 1)), "c": 1.0}, {"x": np.ones(3)}),
}


@pytest.mark.parametrize("name", FLAT_WRONG)
def test_flat_refuses(name: str) -> None:
    """Found at the first step of an optimizer, or never."""
    code, params, data = FLAT_WRONG[name]
    with pytest.raises(sg.SymgradError) as error:
        CASES["linear"].kernel().flat(params, **data)
    assert error.value.code == code


@pytest.mark.parametrize("theta", [np.ones(3), np.ones((4, 1)), 1.0, "theta", None, [[1.0], [1.0, 2.0]]], ids=str)
def test_another_vector_is_refused(theta: Any) -> None:
    """A vector that is cut off, or that reaches beyond the last parameter."""
    fun, theta0 = CASES["linear"].kernel().flat({"w": np.ones(3), "c": 1.0}, x=np.ones(3))
    for call in (lambda: fun(theta), lambda: fun.hvp(theta, theta0), lambda: fun.hvp(theta0, theta), lambda: fun.unflatten(theta)):
        with pytest.raises(sg.SymgradError) as error:
            call()
        assert error.value.code == "SG633"
    for params in ({"w": np.ones(3)}, {"w": np.ones(4), "c": 1.0}, {"w": np.ones(3), "c": 1.0, "d": 1.0}):
        with pytest.raises(sg.SymgradError, match="are needed"):
            fun.flatten(params)


def test_vectors_of_other_kinds() -> None:
    """Lists, whole numbers and every second cell of an array are vectors too."""
    fun, _ = CASES["linear"].kernel().flat({"w": np.ones(3), "c": 1.0}, x=np.ones(3))
    wanted = fun(np.array([1.0, 2.0, 3.0, 4.0]))
    for theta in ([1, 2, 3, 4], np.arange(1, 5), np.arange(2.0, 10.0)[::2] / 2, np.array([1, 2, 3, 4], ">f8")):
        found = fun(theta)
        assert found[0] == wanted[0]
        assert np.array_equal(found[1], wanted[1])


# SciPy


@pytest.mark.parametrize("method", ["trust-ncg", "Newton-CG", "L-BFGS-B"])
def test_scipy_minimizes(method: str) -> None:
    """An optimizer that goes uphill, or that is told another curvature."""
    optimize = pytest.importorskip("scipy.optimize")
    case = CASES["labels"]
    fun, theta0 = case.kernel().flat(case.params, **case.data)
    second = {} if method == "L-BFGS-B" else {"hessp": fun.hvp}
    found = optimize.minimize(fun, theta0, jac=True, method=method, **second)
    assert np.abs(fun(found.x)[1]).max() < 1e-4
    assert found.fun < fun(theta0)[0]


def test_scipy_maximizes_what_says_so() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    fun, theta0 = sg.compile(sg.parse("param w; J = 1 - (w - 2)^2; maximize J"), backend="numpy").flat({"w": 0.0})
    assert fun.unflatten(optimize.minimize(fun, theta0, jac=True).x)["w"] == pytest.approx(2.0)


def test_residuals_and_their_jacobian() -> None:
    """Rows and columns exchanged, a parameter that a residual does not depend on, a residual that is no vector."""
    text = "param a[k], b, c[k]; input t[n]; r[n,k] = a[k]*exp(b*t[n]) - y[n,k]; s[k] = c[k]^2; J = sum(r[n,k]*s[k] for n, k)"
    rng = np.random.default_rng(0)
    start = {"b": 0.3, "a": rng.normal(size=2)}
    data = {"t": rng.normal(size=4), "y": rng.normal(size=(4, 2))}
    fun, jac, theta0 = sg.adapters.scipy.residuals(sg.parse(text), "r", start, **data, backend="numpy")
    wanted = start["a"] * np.exp(0.3 * data["t"])[:, None] - data["y"]
    assert np.allclose(fun(theta0), wanted.reshape(-1), rtol=1e-14)
    step = 1e-6
    columns = [(fun(theta0 + step * e) - fun(theta0 - step * e)) / (2 * step) for e in np.eye(3)]
    assert np.allclose(jac(theta0), np.transpose(columns), atol=1e-8)
    assert fun.unflatten(theta0)["a"].tolist() == start["a"].tolist()
    with pytest.raises(sg.SymgradError) as error:
        fun(theta0[:2])
    assert error.value.code == "SG633"
    with pytest.raises(sg.SymgradError) as error:
        sg.adapters.scipy.residuals(sg.parse(text), "q", start, **data, backend="numpy")
    assert error.value.code == "SG203"


def test_scipy_fits_residuals() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    t = np.linspace(0, 3, 20)
    model = sg.parse("param a, b; r[n] = a*exp(-b*t[n]) - y[n]")
    fun, jac, theta0 = sg.adapters.scipy.residuals(model, "r", {"a": 1.0, "b": 0.5}, t=t, y=3 * np.exp(-2 * t), backend="numpy")
    found = optimize.least_squares(fun, theta0, jac)
    assert {name: round(float(value), 6) for name, value in fun.unflatten(found.x).items()} == {"a": 3.0, "b": 2.0}


# trees


def test_tree_is_the_kernel() -> None:
    """A gradient on another branch, or of another type than its parameter."""
    case = CASES["network"]
    J, grads = case.kernel()(**case.params, **case.data)
    params = {
        "first": {"W": case.params["W"].astype("f4"), "c": case.params["c"]},
        "second": {"out": {"V": case.params["V"]}, "d": 0.3},
    }
    value, found = case.kernel().tree(params, **case.data)
    assert value == pytest.approx(-float(J), rel=1e-6)  # W is rounded
    assert found["first"]["W"].dtype == np.float32
    for name, each in {"c": found["first"]["c"], "V": found["second"]["out"]["V"], "d": found["second"]["d"]}.items():
        assert np.allclose(each, -grads[name], atol=1e-6)
    assert [*found] == ["first", "second"]


TREES_WRONG = {
    "missing": ("SG633", {"w": np.ones(3)}, {}),
    "twice": ("SG633", {"a": {"w": np.ones(3)}, "w": np.ones(3), "c": 1.0}, {}),
    "both": ("SG633", {"w": np.ones(3), "c": 1.0}, {"c": 1.0}),
    "not trained": ("SG609", {"w": np.ones(3), "c": 1.0, "b": {"x": np.ones(3)}}, {}),
    "list": ("SG633", [np.ones(3)], {}),
    "number": ("SG633", {1: np.ones(3)}, {}),
    "shape": ("SG604", {"w": np.ones(4), "c": 1.0}, {}),
}


@pytest.mark.parametrize("name", TREES_WRONG)
def test_wrong_trees(name: str) -> None:
    code, params, data = TREES_WRONG[name]
    with pytest.raises(sg.SymgradError) as error:
        CASES["linear"].kernel().tree(params, **{"x": np.ones(3), **data})  # type: ignore[arg-type]
    assert error.value.code == code


def test_a_tree_that_holds_itself() -> None:
    tree: dict[str, Any] = {"w": np.ones(3)}
    tree["again"] = tree
    with pytest.raises(sg.SymgradError) as error:
        CASES["linear"].kernel().tree(tree, x=np.ones(3))
    assert error.value.code == "SG633"


def test_optax_trains_as_fit_does() -> None:
    """Gradients of another scale or sign: Adam's steps beside those of the compiled loop."""
    optax, jax = pytest.importorskip("optax"), pytest.importorskip("jax")
    case = CASES["network"]
    kernel, steps, rate = case.kernel(), 15, 0.05
    optimizer = optax.adam(rate)
    params: Any = {"hidden": {"W": case.params["W"], "c": case.params["c"]}, "out": {"V": case.params["V"], "d": np.float64(0.3)}}
    params = jax.tree.map(lambda each: np.asarray(each, np.float32), params)
    state = optimizer.init(params)
    for _ in range(steps):
        _, grads = kernel.tree(params, **case.data)
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    fit = kernel.fit(case.params, case.data, sg.Adam(rate), steps, None, shuffle=False, progress=False)
    for name, each in {**params["hidden"], **params["out"]}.items():
        assert np.allclose(each, fit.params[name], atol=1e-4), name


# DLPack


class Only:
    """An array of which nothing but DLPack is known."""

    def __init__(self, array: Any):
        self.array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        found: tuple[int, int] = self.array.__dlpack_device__()
        return found


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_arrays_of_another_library(backend: str) -> None:
    """Copied where it need not be, or taken for an object without numbers."""
    k = sg.compile(
        sg.parse("index i in 1..3; param w[i]; input x[i], c in 1..3; J = sum(w[i]*x[i] for i)^2/2 + w[c]"), backend=backend
    )
    w, x = np.array([1.0, 2.0, 3.0]), np.array([1, 1, 1], np.float32)
    wanted = k(w=w, x=x, c=2)
    found = k(w=Only(w), x=Only(x), c=Only(np.asarray(2)))
    assert found[0] == wanted[0]
    assert np.array_equal(found[1]["w"], wanted[1]["w"])
    assert np.shares_memory(k.checked(w=Only(w), x=x, c=2)["w"], w)
    assert not np.shares_memory(k.checked(w=w, x=Only(x), c=2)["x"], x)  # float32, which the kernel does not read


def test_bound_to_another_library() -> None:
    """A bound call that reads a copy."""
    w = np.array([1.0, 2.0])
    bound = sg.compile(sg.parse("param w[i]; J = sum(w[i]^2 for i)"), backend="numpy").bind(w=Only(w))
    assert bound() == 5.0
    w *= 2
    assert bound() == 20.0
    with pytest.raises(sg.SymgradError) as error:
        sg.compile(sg.parse("param w[i]; J = sum(w[i]^2 for i)"), backend="numpy").bind(w=Tensor("cuda", 2))
    assert error.value.code == "SG631"


@pytest.mark.parametrize(("value", "code"), [
    (Tensor("cuda", 2), "SG631"), (Tensor("metal", 8), "SG631"), (Tensor("other", 99), "SG631"), (Tensor("grad", 1, "no"), "SG632"),
    (Only(np.ones(3)), "SG604"), (Only(np.ones((2, 1))), "SG602"), (Only(np.ones(2, complex)), "SG603"),
])  # fmt: skip
def test_arrays_of_another_library_that_do_not_fit(value: Any, code: str) -> None:
    """Numbers that lie elsewhere are no segmentation fault, and no traceback."""
    k = sg.compile(sg.parse("param w[i]; input x[i]; J = sum(w[i]*x[i] for i)"), wrt=["w"], backend="numpy")
    for call in (k, k.forward, lambda w, x: k.flat({"w": w}, x=x), lambda w, x: k.tree({"w": w}, x=x)):
        with pytest.raises(sg.SymgradError) as error:
            call(w=value, x=np.ones(2))
        assert error.value.code == code


def test_arrays_of_pytorch_and_jax() -> None:
    """The two that people have."""
    k = sg.compile(sg.parse("param w[i]; input x[i]; J = sum(w[i]*x[i] for i)"), wrt=["w"], backend="numpy")
    torch, jnp = pytest.importorskip("torch"), pytest.importorskip("jax.numpy")
    w = torch.tensor([1.0, 2.0], dtype=torch.float64)
    J, grads = sg.adapters.dlpack.function(k, torch.from_dlpack)(w=w, x=jnp.array([3.0, 4.0]))
    assert J.item() == 11.0
    assert grads["w"].tolist() == [3.0, 4.0]
    given = k.checked(w=w, x=np.ones(2))["w"]
    w[0] = 7.0
    assert given[0] == 7.0
    for value in (w.to_sparse(), w.clone().requires_grad_(), w.to(torch.bfloat16), torch.empty(2, device="meta")):
        with pytest.raises(sg.SymgradError) as error:
            k(w=value, x=np.ones(2))
        assert error.value.code == "SG632"


def test_a_saved_module_takes_them_too(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that stands alone has errors of its own."""
    k = sg.compile(sg.parse("param w[i]; J = sum(w[i]^2 for i)"), backend="numpy")
    k.save(tmp_path / "net_of_adapters.py")
    monkeypatch.syspath_prepend(tmp_path)
    import net_of_adapters as net  # type: ignore[import-not-found]

    assert net.value_and_grad(Only(np.array([3.0, 4.0])))[0] == 25.0
    with pytest.raises(net.DataError, match="SG631"):
        net.value_and_grad(Tensor("cuda", 2))


# what is imported when


def test_an_adapter_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """A traceback in place of what to install."""
    for name in ("torch", "jax", "sklearn"):
        for each in [name, *(each for each in sys.modules if each.startswith(f"{name}."))]:
            monkeypatch.setitem(sys.modules, each, None)
        monkeypatch.delitem(sys.modules, f"symgrad.adapters.{name}", raising=False)
        monkeypatch.delitem(vars(sg.adapters), name, raising=False)
        with pytest.raises(sg.SymgradError) as error:
            getattr(sg.adapters, name)
        assert error.value.code == "SG611"
        assert "pip install" in str(error.value)
    with pytest.raises(AttributeError):
        sg.adapters.tensorflow  # noqa: B018


def test_only_what_is_asked_for_is_imported() -> None:
    """Seconds of start-up for adapters that nobody uses."""
    code = """
import sys, symgrad as sg
dir(sg.adapters)
k = sg.compile(sg.parse("param w; J = w^2"), backend="numpy")
fun, theta0 = k.flat({"w": 1.0}); fun(theta0); k.tree({"w": 1.0})
print(sorted(set(sys.modules) & {"torch", "jax", "sklearn", "scipy", "optax", "symgrad.operators"}))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
