"""Parameters by name ↔ one vector, and a kernel or an objective over shards as a function of that vector.

    Layout    where each parameter begins and ends
    Flat      θ → J(θ) and its gradient, and the Hessian times a vector, for optimizers that know vectors only

>>> import numpy as np
>>> layout = Layout.of({"W": np.eye(2), "c": np.float64(3)})
>>> theta = layout.vector({"W": np.eye(2), "c": 3.0})
>>> theta
array([1., 0., 0., 1., 3.])
>>> layout.views(theta)["W"].shape, float(layout.views(theta)["c"])
((2, 2), 3.0)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np

from symgrad.core.errors import SymgradError, did_you_mean
from symgrad.kernel import Kernel


@dataclass(frozen=True)
class Layout:
    """`shapes` of the parameters, in the order in which they follow each other in the vector, each row by row."""

    shapes: Mapping[str, tuple[int, ...]]

    @staticmethod
    def of(arrays: Mapping[str, Any]) -> Layout:
        return Layout({name: np.shape(array) for name, array in arrays.items()})

    @cached_property
    def _places(self) -> tuple[tuple[str, Any, Any], ...]:
        """(name, place or slice, shape where it has to be given one): what a call does for each parameter is little."""
        ends = list(accumulate(math.prod(shape) for shape in self.shapes.values()))
        starts = [0, *ends[:-1]]
        return tuple(
            (name, slice(start, end) if shape else start, shape if len(shape) > 1 else None)
            for (name, shape), start, end in zip(self.shapes.items(), starts, ends, strict=True)
        )

    @cached_property
    def size(self) -> int:
        return sum(math.prod(shape) for shape in self.shapes.values())

    def views(self, theta: Any) -> dict[str, Any]:
        """Each parameter as a view of the vector; one without axes is a number."""
        return {name: theta[at] if shape is None else theta[at].reshape(shape) for name, at, shape in self._places}

    def vector(self, arrays: Mapping[str, Any]) -> Any:
        """A new vector of all of them, float64."""
        out = np.empty(self.size)
        for name, at, shape in self._places:
            out[at] = arrays[name] if shape is None else arrays[name].reshape(-1)
        return out

    def check(self, theta: Any, dtype: str, name: str = "theta") -> Any:
        """A vector of that type and of the right length. Raises SG633."""
        try:
            found = np.asarray(theta, dtype)
        except (TypeError, ValueError):
            raise SymgradError("SG633", f"{name} is no vector of numbers, but a {type(theta).__name__}") from None
        if found.shape != (self.size,):
            parts = ", ".join(f"{name} {shape}" for name, shape in self.shapes.items())
            message = f"{name} has shape {found.shape}, and the parameters {parts} take ({self.size},)"
            raise SymgradError("SG633", message, hint="pass a vector of that length")
        return found


@dataclass(frozen=True)
class Flat:
    """`fun(theta)`: (J, its gradient as a vector), -J of a model that says `maximize`.

    `call` gives J and its gradients by name: the kernel itself, or an objective over shards whose kernel it is. Every call reads
    the data where they lie, so changes in place of arrays that have the kernel's type are seen. Calls from several threads do
    not disturb each other.
    """

    call: Callable[..., tuple[Any, dict[str, Any]]]
    kernel: Kernel
    layout: Layout
    data: Mapping[str, Any] = field(repr=False)

    def __call__(self, theta: Any) -> tuple[float, Any]:
        """Raises SG633 (theta has another length) and as a call of the kernel does."""
        value, grads = self.call(**self._params(theta), **self.data)
        gradient = self.layout.vector(grads)
        return (-float(value), np.negative(gradient, gradient)) if self.kernel.uphill else (float(value), gradient)

    def unflatten(self, theta: Any) -> dict[str, Any]:
        """The parameters by name, as arrays of their own."""
        return {name: np.array(each) for name, each in self._params(theta).items()}

    def flatten(self, params: Mapping[str, Any]) -> Any:
        """The vector of parameters by name. Raises SG633."""
        found = Layout.of(params)
        if found.shapes != self.layout.shapes:
            shapes = [", ".join(f"{name} {shape}" for name, shape in each.shapes.items()) for each in (found, self.layout)]
            raise SymgradError("SG633", f"the parameters are {shapes[0] or 'none'}, and {shapes[1]} are needed")
        return self.layout.vector({name: np.asarray(each) for name, each in params.items()})

    def hvp(self, theta: Any, vector: Any) -> Any:
        """d²J/dθ² times a vector, for `minimize(…, method="trust-ncg", hessp=fun.hvp)`; compiled at the first call.

        Raises SG633 (another length), SG652 (an objective over shards has none).
        """
        if self.call is not self.kernel:
            hint = "use a method that needs gradients alone, such as L-BFGS-B"
            raise SymgradError("SG652", "an objective over shards gives no Hessian times a vector", hint=hint)
        from symgrad.operators import curvature  # with all that prints, which optimizers of the first order do without

        theta = self._params(theta)
        along = self.layout.views(self.layout.check(vector, self.kernel.dtype, "the vector"))
        found = curvature(self.kernel)(theta, along, self.data)
        product = self.layout.vector(found)
        return np.negative(product, product) if self.kernel.uphill else product

    def _params(self, theta: Any) -> dict[str, Any]:
        if not (type(theta) is np.ndarray and theta.dtype == self.kernel.dtype and theta.shape == (self.layout.size,)):
            theta = self.layout.check(theta, self.kernel.dtype)
        return self.layout.views(theta)


def flat(
    call: Callable[..., tuple[Any, dict[str, Any]]],
    kernel: Kernel,
    checked: Callable[..., dict[str, Any]],
    params: Mapping[str, Any],
    data: Mapping[str, Any],
) -> tuple[Flat, Any]:
    """`Flat`, and where to start. checked: gives the arrays as a call reads them, or raises as a call does."""
    found = checked(**together(kernel.wrt, params, data))
    layout = Layout.of({name: found[name] for name in params})
    return Flat(call, kernel, layout, {name: found[name] for name in data}), layout.vector(found)


def together(wrt: tuple[str, ...], params: Any, data: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters and data together. Raises SG609 (not in wrt), SG633 (no dict, an empty one, a name in both)."""
    if not isinstance(params, Mapping) or not params:
        what = "empty" if isinstance(params, Mapping) else f"a {type(params).__name__}, not a dict of arrays by name"
        raise SymgradError("SG633", f"the dict of parameters is {what}", hint='pass {"w": …} with the arrays to start from')
    for name in params:
        if name not in wrt:
            known = f"it has gradients by {', '.join(wrt)}; pass {name} as data, or compile with wrt=[…] that names it"
            raise SymgradError("SG609", f"the kernel has no gradient by {name}", hint=did_you_mean(name, wrt) or known)
        if name in data:
            raise SymgradError("SG633", f"{name} stands among the parameters and among the data", hint="pass it once")
    return {**params, **data}
