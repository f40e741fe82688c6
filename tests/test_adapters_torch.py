"""Kernels among PyTorch's tensors: its own checks of gradients, and every refusal."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from tests.test_adapters import CASES, Case

torch = pytest.importorskip("torch")


def tensors(case: Case, **dtype: Any) -> dict[str, Any]:
    return {
        name: torch.tensor(value, requires_grad=True, **{"dtype": torch.float64, **dtype}) for name, value in case.params.items()
    }


@pytest.mark.parametrize("name", CASES)
def test_gradcheck_and_gradgradcheck(name: str) -> None:
    """A gradient or a second derivative that PyTorch's differences do not show."""
    case = CASES[name]
    f = sg.adapters.torch.function(case.kernel())

    def J(*given: Any) -> Any:
        return f(**dict(zip(case.params, given, strict=True)), **case.data)

    inputs = tuple(tensors(case).values())
    assert J(*inputs).item() == case.kernel()(**case.params, **case.data)[0]
    assert torch.autograd.gradcheck(J, inputs)
    assert torch.autograd.gradgradcheck(J, inputs)
    assert torch.autograd.gradgradcheck(lambda *given: torch.exp(J(*[2 * each for each in given]) / 3) ** 2, inputs)


def test_some_of_the_parameters() -> None:
    """Those that want no gradient, arrays of NumPy's, numbers and other tensors stand beside those that do."""
    case = CASES["network"]
    f = sg.adapters.torch.function(case.kernel())
    d = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    given = {**case.params, "W": torch.tensor(case.params["W"]), "x": torch.tensor(case.data["x"]), "y_star": case.data["y_star"]}
    J = f(**{**given, "d": d})
    (found,) = torch.autograd.grad(J, d, create_graph=True)
    _, grads = case.kernel()(**case.params, **case.data)
    assert found.item() == grads["d"]
    assert torch.autograd.gradcheck(lambda d: f(**{**given, "d": d}), d)
    assert torch.autograd.gradgradcheck(lambda d: f(**{**given, "d": d}), d)


def test_types() -> None:
    """J is of the kernel's type, a gradient of its tensor's."""
    k = sg.compile(sg.parse("param w[i], v[i]; J = sum(w[i]*v[i]^2 for i)"), backend="numpy")
    w, v = torch.ones(3, requires_grad=True), torch.ones(3, dtype=torch.float64, requires_grad=True)
    J = sg.adapters.torch.function(k)(w=w, v=v)
    found = torch.autograd.grad(J, (w, v), create_graph=True)
    assert [each.dtype for each in (J, *found)] == [torch.float64, torch.float32, torch.float64]
    assert [each.dtype for each in torch.autograd.grad(found[0].sum() + found[1].sum(), (w, v))] == [torch.float32, torch.float64]


def test_gradients_are_the_users_own() -> None:
    """Memory that two calls of backward share: what is added to one gradient is in the next."""
    f = sg.adapters.torch.function(sg.parse("param w[i]; J = sum(w[i]^2 for i)"), backend="numpy")
    w = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    J = f(w=w)
    for times in (1, 2, 3):
        J.backward(retain_graph=True)
        assert w.grad.tolist() == [2.0 * times, 4.0 * times]
    (f(w=w) * 10).backward()
    assert w.grad.tolist() == [26.0, 52.0]


def test_no_gradient_is_asked_for() -> None:
    """A graph that is built and never used."""
    f = sg.adapters.torch.function(CASES["recurrent"].kernel())
    with torch.no_grad():
        assert not f(**tensors(CASES["recurrent"]), **CASES["recurrent"].data).requires_grad
    assert not f(**CASES["recurrent"].params, **CASES["recurrent"].data).requires_grad


def test_nothing_stays_when_J_goes() -> None:
    """A ring of tensors and graphs that only a collection frees."""
    f = sg.adapters.torch.function(sg.parse("param w[i]; J = sum(w[i]^2 for i)"), backend="numpy")
    leaf = torch.ones(3, dtype=torch.float64, requires_grad=True)
    gc.disable()
    try:
        middle = 2 * leaf
        gone = weakref.ref(middle)
        J = f(w=middle)
        J.backward()
        del J, middle
        assert gone() is None
    finally:
        gc.enable()


def test_changed_between() -> None:
    """A second derivative at other numbers than the first; the first is found in the call already."""
    f = sg.adapters.torch.function(sg.parse("param w[i]; input x[i]; J = sum(w[i]^3*x[i] for i)"), backend="numpy")
    w, x = torch.ones(2, dtype=torch.float64, requires_grad=True), torch.ones(2, dtype=torch.float64)
    J = f(w=w, x=x)
    x.mul_(2)
    (slope,) = torch.autograd.grad(J, w, create_graph=True)
    assert slope.tolist() == [3.0, 3.0]
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        slope.sum().backward()


def test_refusals() -> None:
    """A gradient that is silently none, a tensor that lies elsewhere."""
    case = CASES["network"]
    f = sg.adapters.torch.function(case.kernel())
    good = {**tensors(case), "x": torch.tensor(case.data["x"]), "y_star": torch.tensor(case.data["y_star"])}
    wrong = {
        "SG609": {"x": good["x"].clone().requires_grad_()},
        "SG631": {"W": torch.empty(4, 3, device="meta", requires_grad=True)},
        "SG632": {"x": good["x"].to_sparse()},
        "SG601": {"z": 1.0},
        "SG604": {"W": torch.ones(4, 2, requires_grad=True)},
        "SG602": {"c": torch.ones(())},
        "SG603": {"c": torch.ones(4, dtype=torch.complex64)},
    }
    for code, change in wrong.items():
        with pytest.raises(sg.SymgradError) as error:
            f(**{**good, **change})
        assert error.value.code == code
    assert ".cpu()" in str(_refused(f, {**good, "x": torch.empty(6, 3, device="meta")}))
    assert ".detach()" in str(_refused(f, {**good, "x": good["x"].clone().requires_grad_()}))


def _refused(f: Any, arrays: dict[str, Any]) -> sg.SymgradError:
    with pytest.raises(sg.SymgradError) as error:
        f(**arrays)
    return error.value


def test_a_third_derivative_is_refused() -> None:
    """Numbers that are zero where they are not."""
    f = sg.adapters.torch.function(sg.parse("J = w^4"), wrt=["w"], backend="numpy")
    w = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(f(w=w), w, create_graph=True)
    (second,) = torch.autograd.grad(first, w, create_graph=True)
    assert second.item() == 12.0
    with pytest.raises(RuntimeError):
        torch.autograd.grad(second, w)


def test_module() -> None:
    """Parameters that an optimizer does not find, a name that PyTorch has, a start that is changed."""
    start = {"W": np.zeros((2, 2)), "half": 0.0}
    text = "param W[j,i], half; input x[i], y[j]; J = sum((sum(W[j,i]*x[i] for i) + half - y[j])^2 for j); minimize J"
    loss = sg.adapters.torch.Loss(sg.parse(text), start, batch=["x", "y"], backend="numpy")
    assert sorted(loss.state_dict()) == ["W", "half_"]
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.05)
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = x @ torch.tensor([[1.0, 2.0], [0.0, -1.0]], dtype=torch.float64).T + 0.5
    for _ in range(300):
        optimizer.zero_grad()
        loss(x=x, y=y).backward()
        optimizer.step()
    assert loss.W.detach().numpy().round(1).tolist() == [[1.0, 2.0], [0.0, -1.0]]
    assert round(loss.half_.item(), 1) == 0.5
    assert not start["W"].any()
    with pytest.raises(sg.SymgradError) as error:
        sg.adapters.torch.Loss(sg.parse(text), {"x": np.zeros(2)}, backend="numpy")
    assert error.value.code == "SG609"
    for wrong in ({"W": "zero"}, {"W": [[1.0], [1.0, 2.0]]}, [1.0]):
        with pytest.raises(sg.SymgradError) as error:
            sg.adapters.torch.Loss(sg.parse(text), wrong, backend="numpy")
        assert error.value.code == "SG633"
