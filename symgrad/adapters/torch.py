"""A kernel as a differentiable function of PyTorch's tensors, and as a module with parameters.

    forward    J and all gradients, one call of the kernel
    backward   g · dJ/dθ, no further call
    twice      dL/dθ = g · (d²J/dθ²) v and dL/dg = ⟨dJ/dθ, v⟩, the kernel of the Hessian times a vector

Tensors lie in the processor's memory; NumPy and the kernel read them there. J is J, also of a model that says `maximize`:
`torch.optim` has an option `maximize=True`. Compiling by `torch.compile` and `torch.func` are not offered.

>>> import torch, symgrad as sg
>>> f = function(sg.parse("param w[j]; J = sum(w[j]*x[j] for j)^2"), backend="numpy")
>>> w = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
>>> J = f(w=w, x=[3.0, 4.0])
>>> J.backward()
>>> J.item(), w.grad.tolist()
(121.0, [66.0, 88.0])
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from symgrad.compiler import compile
from symgrad.core.errors import SymgradError, did_you_mean
from symgrad.core.program import Program
from symgrad.kernel import Kernel

CHANGED = "one of the variables needed for gradient computation has been modified by an inplace operation"  # as PyTorch says it
_from_numpy, _asarray, _Tensor, _grad_enabled = torch.from_numpy, np.asarray, torch.Tensor, torch.is_grad_enabled
DTYPES = {"float64": torch.float64, "float32": torch.float32}


def function(model: Program | Kernel, **options: Any) -> Function:
    """J as a function of tensors, `f(**arrays)`, with first and second derivatives by autograd.

    model: a kernel, or a program that is compiled with the options of `sg.compile`. Raises as `sg.compile` does.
    """
    return Function(model if isinstance(model, Kernel) else compile(model, **options))


@dataclass(frozen=True)
class Function:
    """`f(**arrays)`: tensors, arrays of NumPy's or numbers by name → J, a tensor without axes of the kernel's type.

    What requires a gradient must be in the kernel's `wrt`; gradients have the type of their tensors. A third derivative is refused
    by PyTorch.
    """

    kernel: Kernel

    def __call__(self, /, **arrays: Any) -> Any:
        """Raises as a call of the kernel does, SG609 (a gradient that the kernel does not have), SG631 (a GPU), SG632."""
        numbers, tensors, versions, wrt, differentiates = arrays.copy(), {}, [], self._wrt, _grad_enabled()
        for name, value in arrays.items():
            if isinstance(value, _Tensor):
                numbers[name] = array_of(name, value)
                versions.append((value, value._version))
                if differentiates and value.requires_grad:
                    if name not in wrt:
                        raise _no_gradient(name, self.kernel)
                    tensors[name] = value
        if not tensors:
            return _tensor(self.kernel(**numbers)[0])
        return _apply((self.kernel, tensors, numbers, versions), *tensors.values())

    @cached_property
    def _wrt(self) -> frozenset[str]:
        return frozenset(self.kernel.wrt)


class Loss(torch.nn.Module):
    """J as a module: `loss(**data)`. params: where to start, by name; they become `torch.nn.Parameter`s of these names.

    A name that modules of PyTorch's have for something else gets a `_` behind it. Raises SG609 (not in wrt), SG633 (no numbers).

    >>> import symgrad as sg
    >>> loss = Loss(sg.parse("param w; J = (w*x - 1)^2"), {"w": 0.0}, backend="numpy")
    >>> step = torch.optim.SGD(loss.parameters(), 0.1)
    >>> loss(x=2.0).backward()
    >>> step.step()
    >>> loss.w
    Parameter containing:
    tensor(0.4000, dtype=torch.float64, requires_grad=True)
    """

    def __init__(self, model: Program | Kernel, params: Mapping[str, Any], **options: Any):
        super().__init__()
        self.function = function(model, **options)
        self._names: dict[str, str] = {}
        if not isinstance(params, Mapping):
            raise SymgradError("SG633", f"the parameters are a {type(params).__name__}, not a dict of arrays by name")
        for name, value in params.items():
            if name not in self.function.kernel.wrt:
                raise _no_gradient(name, self.function.kernel)
            own = f"{name}_" if hasattr(self, name) else name
            dtype = value.dtype if isinstance(value, torch.Tensor) else DTYPES[self.function.kernel.dtype]
            try:
                start = torch.as_tensor(value, dtype=dtype).detach().clone()
            except (TypeError, ValueError, RuntimeError) as error:
                raise SymgradError("SG633", f"{name} cannot start at that: {error}", hint="pass an array of numbers") from None
            self.register_parameter(own, torch.nn.Parameter(start))
            self._names[name] = own

    def forward(self, /, **data: Any) -> Any:
        own = dict(self.named_parameters(recurse=False))
        return self.function(**{name: own[spelt] for name, spelt in self._names.items()}, **data)


def array_of(name: str, tensor: Any) -> Any:
    """The tensor's numbers where they lie; one without axes is a number. Raises SG631 (another device), SG632 (no array).

    Half of what the function of a small kernel takes beside it: `force` is PyTorch's quickest way past a gradient.
    """
    if not tensor.is_cpu:
        message = f"{name} lies on {tensor.device}, and the kernel reads the memory of the processor"
        raise SymgradError("SG631", message, hint=f"copy it first: {name}.cpu()")
    try:
        if not tensor.ndim:
            return tensor.item()
        return tensor.numpy(force=True) if tensor.requires_grad else tensor.numpy()
    except (TypeError, RuntimeError) as error:
        said = str(error).partition("\n")[0]
        raise SymgradError("SG632", f"{name} is a tensor that gives no array: {said}") from None


def _tensor(found: Any) -> Any:
    return _from_numpy(_asarray(found))


def _no_gradient(name: str, kernel: Kernel) -> SymgradError:
    known = f"it has gradients by {', '.join(kernel.wrt)}; compile with wrt=[…] that names it, or pass {name}.detach()"
    return SymgradError("SG609", f"the kernel has no gradient by {name}", hint=did_you_mean(name, kernel.wrt) or known)


# the kernel; tensors that want a gradient; what the kernel reads, in the memory of all tensors; how often each of them was
# changed in place before the call. A plain tuple, since a call of a small kernel makes one.
_Call = tuple[Kernel, Mapping[str, Any], Mapping[str, Any], list[tuple[Any, int]]]


class _Value(torch.autograd.Function):
    """J of the tensors, with their gradients found in the same call, so that they need not be saved for these."""

    @staticmethod
    def forward(ctx: Any, call: _Call, *tensors: Any) -> Any:
        value, grads = call[0](**call[2])
        ctx.kept = call, grads
        return _from_numpy(_asarray(value))

    @staticmethod
    def backward(ctx: Any, slope: Any) -> Any:
        call, grads = ctx.kept
        if _grad_enabled():
            return None, *_Gradient.apply(call, grads, slope, *call[1].values())
        return None, *_scaled(grads, call[1], slope)


# `_Value.apply` without what it does for `torch.func`, whose tensors give no array anyway: a tenth of a small kernel's call
_apply = super(torch.autograd.Function, _Value).apply


class _Gradient(torch.autograd.Function):
    """slope · dJ/dθ, which can be differentiated once more."""

    @staticmethod
    def forward(ctx: Any, call: _Call, grads: Any, slope: Any, *tensors: Any) -> Any:
        ctx.kept = call, grads
        ctx.save_for_backward(slope)
        return tuple(_scaled(grads, call[1], slope))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *along: Any) -> Any:
        from symgrad.operators import curvature

        ((kernel, tensors, numbers, versions), grads), (slope,) = ctx.kept, ctx.saved_tensors
        if any(tensor._version != version for tensor, version in versions):
            raise RuntimeError(CHANGED)
        kind = kernel.dtype
        vector = {name: np.asarray(array_of(name, each), kind) for name, each in zip(tensors, along, strict=True)}
        params = {name: np.asarray(numbers[name], kind) for name in vector}
        data = {name: each for name, each in numbers.items() if name not in params}
        products = curvature(kernel)(params, vector, data)
        level = sum(float(np.vdot(grads[name], each)) for name, each in vector.items())
        return None, None, slope.new_tensor(level), *_scaled(products, tensors, slope)


def _scaled(grads: Mapping[str, Any], tensors: Mapping[str, Any], slope: Any) -> list[Any]:
    """New arrays, since whoever gets them may change them; PyTorch gives each the type of its tensor."""
    factor = slope.item()
    return [_tensor(grads[name] * factor) for name in tensors]
