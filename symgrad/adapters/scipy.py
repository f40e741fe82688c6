"""A kernel as functions of one vector, for SciPy's optimizers and any other that wants them.

    k.flat(params, **data)   J(θ) and its gradient, and the Hessian times a vector, for `minimize` (`symgrad.flat`)
    residuals(p, "r", …)     r(θ) and its Jacobian, for `least_squares`

SciPy itself is not imported: these are functions of arrays of NumPy's.

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

from symgrad.core.program import Program
from symgrad.flat import Layout, together
from symgrad.kernel import Kernel
from symgrad.transform.reuse import prune


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
    found = kernel.checked(**together((*params,), params, data))
    layout = Layout.of({name: found[name] for name in params})
    fun = Residuals(kernel, layout, {name: found[name] for name in data})
    return fun, fun.jac, layout.vector(found)
