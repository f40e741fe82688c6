"""A kernel as functions of one vector, for SciPy's optimizers and any other that wants them.

    k.flat(params, **data)   J(θ) and its gradient, and the Hessian times a vector, for `minimize`
    residuals(p, "r", …)     r(θ) and its Jacobian, for `least_squares`

SciPy itself is not imported: these are functions of arrays of NumPy's. It minimizes, so that of a model that says `maximize`
they give -J, with the derivatives of that.

>>> import numpy as np, symgrad as sg
>>> k = sg.compile(sg.parse("param w[j]; J = sum((w[j] - x[j])^2 for j)/2"), backend="numpy")
>>> fun, theta0 = k.flat({"w": np.zeros(2)}, x=np.array([1.0, 2.0]))
>>> fun(theta0)
(2.5, array([-1., -2.]))
>>> fun.hvp(theta0, np.array([1.0, 3.0]))
array([1., 3.])
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from symgrad.adapters.layout import Layout
from symgrad.core.errors import SymgradError, did_you_mean
from symgrad.core.program import Program
from symgrad.kernel import Kernel
from symgrad.transform.reuse import prune


@dataclass(frozen=True)
class Flat:
    """`fun(theta)`: (J, its gradient as a vector), -J of a model that says `maximize`.

    Every call reads the data where they lie, so changes in place of arrays that have the kernel's type are seen. Calls from
    several threads do not disturb each other.
    """

    kernel: Kernel
    layout: Layout
    data: Mapping[str, Any] = field(repr=False)

    def __call__(self, theta: Any) -> tuple[float, Any]:
        """Raises SG633 (theta has another length) and as a call of the kernel does."""
        value, grads = self.kernel(**self._params(theta), **self.data)
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
        """d²J/dθ² times a vector, for `minimize(…, method="trust-ncg", hessp=fun.hvp)`; compiled at the first call."""
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


def flat(kernel: Kernel, params: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[Flat, Any]:
    """See `Kernel.flat`."""
    found = kernel.checked(**_all(kernel.wrt, params, data))
    layout = Layout.of({name: found[name] for name in params})
    return Flat(kernel, layout, {name: found[name] for name in data}), layout.vector(found)


def _all(wrt: tuple[str, ...], params: Any, data: Mapping[str, Any]) -> dict[str, Any]:
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


@dataclass(frozen=True)
class Residuals:
    """`r(theta)`: all cells of the quantity as one vector. `r.jac(theta)`: their derivatives, one row each."""

    kernel: Kernel
    layout: Layout
    data: Mapping[str, Any] = field(repr=False)

    def __call__(self, theta: Any) -> Any:
        given = self.layout.views(self.layout.check(theta, self.kernel.dtype))
        return np.asarray(self.kernel.forward(**given, **self.data)[self.kernel.loss], float).reshape(-1)

    def jac(self, theta: Any) -> Any:
        given = self.layout.views(self.layout.check(theta, self.kernel.dtype))
        value, blocks = self.kernel(**given, **self.data)
        rows = np.size(value)
        zeros = {name: np.zeros((rows, *shape)) for name, shape in self.layout.shapes.items() if name not in blocks}
        return np.hstack([np.asarray(({**zeros, **blocks})[name], float).reshape(rows, -1) for name in self.layout.shapes])

    def unflatten(self, theta: Any) -> dict[str, Any]:
        """The parameters by name, as arrays of their own."""
        return {name: np.array(each) for name, each in self.layout.views(self.layout.check(theta, self.kernel.dtype)).items()}


def residuals(
    program: Program, of: str, params: Mapping[str, Any], /, dtype: str = "float64", backend: str = "numba", **data: Any
) -> tuple[Residuals, Any, Any]:
    """(fun, jac, theta0) of a quantity for `scipy.optimize.least_squares(fun, theta0, jac)`.

    of: a defined quantity of any indices; its cells, row by row, are the residuals. params: where to start, by name; they are
    what is varied. data: the other arrays that the quantity needs. Raises SG203, SG402, SG405, SG406 as `sg.jacobian`, and
    as a call of a kernel does where arrays do not fit.

    >>> import symgrad as sg
    >>> p = sg.parse("param a, b; r[n] = a*exp(b*t[n]) - y[n]")
    >>> fun, jac, theta0 = residuals(p, "r", {"a": 1.0, "b": 0.0}, t=[0.0, 1.0], y=[1.0, 2.0], backend="numpy")
    >>> fun(theta0).tolist(), jac(theta0).tolist()
    ([0.0, -1.0], [[1.0, 0.0], [1.0, 1.0]])
    """
    from symgrad.operators import jacobian

    kernel = jacobian(prune(program, [program.known(of)]), of, [*params]).compile(dtype, backend)
    found = kernel.checked(**_all((*params,), params, data))
    layout = Layout.of({name: found[name] for name in params})
    fun = Residuals(kernel, layout, {name: found[name] for name in data})
    return fun, fun.jac, layout.vector(found)
