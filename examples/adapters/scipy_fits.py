"""SciPy's optimizers on equations: logistic regression by a trust region with exact curvature, a decay by least squares.

python examples/adapters/scipy_fits.py
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import OptimizeResult, least_squares, minimize

import symgrad as sg

LOGISTIC = """
index i in 1..M
input x[i], y^*
param w[i], c
a = sum(w[i]*x[i] for i) + c
J = softplus(a) - y^* * a + lambda*sum(w[i]^2 for i)/2
minimize J
"""
DECAY = "param a, b, c; r[n] = a*exp(-b*t[n]) + c - y[n]"


def logistic(examples: int = 400) -> tuple[dict[str, np.ndarray], OptimizeResult]:
    """The weights, and what SciPy says of the way there."""
    random = np.random.default_rng(0)
    x = random.normal(size=(examples, 3))
    y = (random.random(examples) < 1 / (1 + np.exp(-x @ [2.0, -1.0, 0.5]))).astype(float)
    kernel = sg.compile(sg.parse(LOGISTIC), wrt=["w", "c"], batch=["x", "y_star"])
    fun, theta0 = kernel.flat({"w": np.zeros(3), "c": 0.0}, x=x, y_star=y, **{"lambda": 0.01})
    found = minimize(fun, theta0, jac=True, hessp=fun.hvp, method="trust-ncg", options={"gtol": 1e-8})
    return fun.unflatten(found.x), found


def decay() -> tuple[dict[str, np.ndarray], OptimizeResult]:
    """a exp(-b t) + c through noisy points, with the exact Jacobian."""
    t = np.linspace(0, 4, 60)
    y = 2.5 * np.exp(-1.3 * t) + 0.5 + 0.02 * np.random.default_rng(1).normal(size=60)
    fun, jac, theta0 = sg.adapters.scipy.residuals(sg.parse(DECAY), "r", {"a": 1.0, "b": 1.0, "c": 0.0}, t=t, y=y)
    found = least_squares(fun, theta0, jac)
    return fun.unflatten(found.x), found


if __name__ == "__main__":
    for name, (params, found) in {"logistic regression": logistic(), "decay": decay()}.items():
        print(f"{name}: {found.nfev} evaluations")
        for key, value in params.items():
            print(f"  {key} = {np.round(value, 3)}")
