"""A kernel as a function of JAX, with derivatives of the first and second order, under `jit` and `vmap`.

    f(**arrays) -> J                  J(θ) by a callback to the processor; its gradients are found in the same one
    vjp of f                          g · dJ/dθ, no further call
    vjp of (J, dJ/dθ)                 J_bar dJ/dθ + (d²J/dθ²) v, by the kernel of the Hessian times a vector

Both are `jax.custom_vjp`: reverse mode, so that a Hessian is `jax.jacrev(jax.grad(f))`. Under `vmap` one callback gets the
whole batch and runs the kernel for each. J is J, also of a model that says `maximize`.

JAX has float32 unless `jax_enable_x64` is set. J has the kernel's type as far as JAX has it, gradients those of their arguments;
the kernel computes in its own.

>>> import jax, symgrad as sg
>>> f = function(sg.parse("param w[j]; J = sum(w[j]*x[j] for j)^2"), backend="numpy")
>>> float(f(w=jax.numpy.array([1.0, 2.0]), x=jax.numpy.array([3.0, 4.0])))
121.0
>>> jax.jit(jax.grad(lambda w: f(w=w, x=[3.0, 4.0])))(jax.numpy.array([1.0, 2.0])).tolist()
[66.0, 88.0]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from symgrad.compiler import compile
from symgrad.core.errors import SymgradError
from symgrad.core.program import Program
from symgrad.kernel import Kernel

Arrays = Mapping[str, Any]


def function(model: Program | Kernel, **options: Any) -> Function:
    """J as a function of JAX's arrays, `f(**arrays)`.

    model: a kernel, or a program that is compiled with the options of `sg.compile`. Raises as `sg.compile` does.
    """
    return Function(model if isinstance(model, Kernel) else compile(model, **options))


@dataclass(frozen=True, eq=False)
class Function:
    """`f(**arrays)`: J of arrays or numbers by name. A gradient by what is not in the kernel's `wrt` is refused."""

    kernel: Kernel
    _fitting: set[Any] = field(default_factory=set, repr=False)  # shapes and types that were found to fit

    def __call__(self, /, **arrays: Any) -> Any:
        """Raises as a call of the kernel does; what shapes do not tell, such as an index outside, only where nothing is traced."""
        given = {name: jnp.asarray(value) for name, value in arrays.items()}
        if any(isinstance(each, jax.core.Tracer) for each in given.values()):
            self._check_shapes(given)
        else:
            self.kernel.checked(**{name: np.asarray(each) for name, each in given.items()})
        params = {name: _real(given.pop(name), self._dtype) for name in self.kernel.wrt if name in given}
        return self._value(params, given)

    def _check_shapes(self, given: Arrays) -> None:
        """Raises as a call would for any arrays of these shapes and types; what indices there are nobody knows yet."""
        key = tuple((name, each.shape, str(each.dtype)) for name, each in given.items())
        if key not in self._fitting:
            try:
                self.kernel.checked(**{n: np.broadcast_to(np.zeros((), each.dtype), each.shape) for n, each in given.items()})
            except SymgradError as error:
                if error.code != "SG605":
                    raise
            self._fitting.add(key)

    @property
    def _dtype(self) -> Any:
        """The kernel's type as far as JAX has it."""
        return jax.dtypes.canonicalize_dtype(self.kernel.dtype)

    # J and its gradients; the pair of both is what second derivatives go through

    @cached_property
    def _value(self) -> Callable[[Arrays, Arrays], Any]:
        def value(params: Arrays, data: Arrays) -> Any:
            return self._both(params, data)[0]

        def ahead(params: Arrays, data: Arrays) -> tuple[Any, Any]:
            params, data = self._wanted(params, data)
            found, grads = self._both(params, data)
            return found, (grads, data)

        def back(kept: Any, slope: Any) -> tuple[Any, Any]:
            grads, data = kept
            slope = _filled(slope)
            return {name: (slope * each).astype(each.dtype) for name, each in grads.items()}, _nothing(data)

        made: Any = jax.custom_vjp(value)
        made.defvjp(ahead, back, symbolic_zeros=True)
        return cast(Callable[[Arrays, Arrays], Any], made)

    @cached_property
    def _both(self) -> Callable[[Arrays, Arrays], Any]:
        def both(params: Arrays, data: Arrays) -> Any:
            out = (jax.ShapeDtypeStruct((), self._dtype), _structure(params))
            return jax.pure_callback(self._called, out, params, data, vmap_method="expand_dims")

        def ahead(params: Arrays, data: Arrays) -> tuple[Any, Any]:
            params, data = self._wanted(params, data)
            found = both(params, data)
            return found, (found[1], params, data)

        def back(kept: Any, slopes: Any) -> tuple[Any, Any]:
            grads, params, data = kept
            slope, along = _filled(slopes[0]), {name: _filled(each) for name, each in slopes[1].items()}
            products = jax.pure_callback(self._bent, _structure(params), params, along, data, vmap_method="expand_dims")
            return {name: (slope * grads[name] + each).astype(each.dtype) for name, each in products.items()}, _nothing(data)

        made: Any = jax.custom_vjp(both)
        made.defvjp(ahead, back, symbolic_zeros=True)
        return cast(Callable[[Arrays, Arrays], Any], made)

    def _wanted(self, params: Arrays, data: Arrays) -> tuple[Arrays, Arrays]:
        """The values of what JAX wants derivatives by. Raises SG609 where the kernel has none."""
        for name, each in data.items():
            if each.perturbed and jnp.issubdtype(each.value.dtype, jnp.inexact):
                hint = f"compile with wrt=[…] that names it, or pass jax.lax.stop_gradient({name})"
                raise SymgradError("SG609", f"the kernel has no gradient by {name}, but by {', '.join(self.kernel.wrt)}", hint=hint)
        return tuple({name: each.value for name, each in group.items()} for group in (params, data))  # type: ignore[return-value]

    # what runs outside of JAX: every argument has the axes of `vmap` first, each of length 1 or that of the batch

    def _called(self, params: Arrays, data: Arrays) -> Any:
        outer, places = self._places(params, data)
        value, grads = np.empty(outer, self._dtype), self._room(outer, params)
        for place, arrays in places:
            value[place], found = self.kernel(**arrays[0], **arrays[1])
            for name, each in grads.items():
                each[place] = found[name]
        return value, grads

    def _bent(self, params: Arrays, along: Arrays, data: Arrays) -> Any:
        from symgrad.operators import curvature

        outer, places = self._places(params, along, data)
        products = self._room(outer, params)
        for place, arrays in places:
            found = curvature(self.kernel)(*arrays)
            for name, each in products.items():
                each[place] = found[name]
        return products

    def _places(self, *groups: Arrays) -> tuple[tuple[int, ...], Iterator[tuple[tuple[int, ...], list[Arrays]]]]:
        """The lengths of the axes of `vmap`, and for each of their places the arrays there."""
        arrays = [{name: np.asarray(each) for name, each in group.items()} for group in groups]
        outer = np.broadcast_shapes(*(each.shape[: each.ndim - self._rank(n)] for group in arrays for n, each in group.items()))

        def at(place: tuple[int, ...], array: Any) -> Any:
            return array[tuple(min(k, length - 1) for k, length in zip(place, array.shape, strict=False))]

        return outer, ((p, [{n: at(p, each) for n, each in group.items()} for group in arrays]) for p in np.ndindex(*outer))

    def _room(self, outer: tuple[int, ...], params: Arrays) -> dict[str, Any]:
        return {n: np.empty((*outer, *each.shape[each.ndim - self._rank(n) :]), each.dtype) for n, each in params.items()}

    def _rank(self, name: str) -> int:
        return len(self.kernel.primal.tensors[name].axes)


def _real(array: Any, dtype: Any) -> Any:
    return array if jnp.issubdtype(array.dtype, jnp.inexact) else array.astype(dtype)


def _filled(slope: Any) -> Any:
    """A cotangent as an array, where JAX knows that it is zero."""
    return jnp.zeros(slope.shape, slope.dtype) if isinstance(slope, jax.custom_derivatives.SymbolicZero) else slope


def _structure(arrays: Arrays) -> dict[str, Any]:
    return {name: jax.ShapeDtypeStruct(each.shape, each.dtype) for name, each in arrays.items()}


def _nothing(data: Arrays) -> dict[str, Any]:
    """Cotangents of data: zeros, for whole numbers those without a type that JAX asks for."""
    return {
        name: jnp.zeros_like(each) if jnp.issubdtype(each.dtype, jnp.inexact) else np.zeros(each.shape, jax.dtypes.float0)
        for name, each in data.items()
    }
