"""What is timed: one unit of work, and each peer's best form of it.

A builder takes the data and returns a function without arguments that does the work once and returns
arrays, so that results are compared as well as timed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Data = dict[str, Any]
Run = Callable[[], list[Any]]
F = np.float32

CASE_2 = """
index i in 1..M, j in 1..D
input x[i], y^*
param A[j,i], b[j]
a[j] = sum(A[j,i]*x[i] for i)
z[j] = 1/(1 + exp(-a[j]))
o = sum(b[j]*z[j] for j)
y = 1/(1 + exp(-o))
J = -(y^* * log(y) + (1 - y^*)*log(1 - y))
minimize J
"""

SOFTMAX = """
index i in 1..M, j in 1..H, k in 1..K
input x[i], y^*[k]
param W[j,i], c[j], V[k,j], d[k]
h[j] = tanh(sum(W[j,i]*x[i] for i) + c[j])
o[k] = sum(V[k,j]*h[j] for j) + d[k]
y[k] = exp(o[k])/sum(exp(o[l]) for l in 1..K)
J = -sum(y^*[k]*log(y[k]) for k)
minimize J
"""


def case_2_data(examples: int = 1797, inputs: int = 64, hidden: int = 32) -> Data:
    r = np.random.default_rng(0)
    x = r.normal(size=(examples, inputs)).astype(F)
    t = (x @ r.normal(size=inputs) > 0).astype(F)
    return {"x": x, "t": t, "A": (0.1 * r.normal(size=(hidden, inputs))).astype(F), "b": (0.1 * r.normal(size=hidden)).astype(F)}


def case_2_symgrad(d: Data) -> Run:
    import symgrad as sg

    k = sg.compile(sg.parse(CASE_2), batch=("x", "y_star"), dtype="float32")
    data, rule = {"x": d["x"], "y_star": d["t"]}, sg.SGD(0.01)

    def run() -> list[Any]:
        f = k.fit({"A": d["A"], "b": d["b"]}, data, optimizer=rule, epochs=1, batch_size=1, shuffle=False, progress=False)
        return [f.params["A"], f.params["b"]]

    return run


def case_2_jax(d: Data) -> Run:
    """Jitted, the epoch in lax.scan: JAX's fastest form of per-sample descent."""
    import jax
    import jax.numpy as jnp

    def loss(p: Any, x: Any, t: Any) -> Any:
        o = p[1] @ jax.nn.sigmoid(p[0] @ x)
        return jnp.logaddexp(0.0, o) - t * o

    def step(p: Any, row: Any) -> Any:
        g = jax.grad(loss)(p, *row)
        return jax.tree.map(lambda a, b: a - F(0.01) * b, p, g), None

    epoch = jax.jit(lambda p, x, t: jax.lax.scan(step, p, (x, t))[0])
    x, t, p = jnp.array(d["x"]), jnp.array(d["t"]), (jnp.array(d["A"]), jnp.array(d["b"]))
    return lambda: [np.asarray(v) for v in epoch(p, x, t)]


def case_2_numpy(d: Data) -> Run:
    """The gradient by hand, a row at a time."""

    def run() -> list[Any]:
        a, b = d["A"].copy(), d["b"].copy()
        for x, t in zip(d["x"], d["t"], strict=True):
            z = 1 / (1 + np.exp(-(a @ x)))
            g = 1 / (1 + np.exp(-(b @ z))) - t
            dz = g * b * z * (1 - z)
            b -= F(0.01) * g * z
            a -= F(0.01) * np.outer(dz, x)
        return [a, b]

    return run


def softmax_data(examples: int = 1024, inputs: int = 64, hidden: int = 32, classes: int = 10) -> Data:
    r = np.random.default_rng(1)
    return {
        "x": r.normal(size=(examples, inputs)).astype(F),
        "t": np.eye(classes, dtype=F)[r.integers(classes, size=examples)],
        "W": (r.normal(size=(hidden, inputs)) / 8).astype(F),
        "c": np.zeros(hidden, F),
        "V": (r.normal(size=(classes, hidden)) / 6).astype(F),
        "d": np.zeros(classes, F),
    }


def softmax_symgrad(d: Data) -> Run:
    import symgrad as sg

    k = sg.compile(sg.parse(SOFTMAX), batch=("x", "y_star"), dtype="float32")

    def run() -> list[Any]:
        loss, g = k(x=d["x"], y_star=d["t"], **{n: d[n] for n in "WcVd"})
        return [loss, *(g[n] for n in "WcVd")]

    return run


def softmax_jax(d: Data) -> Run:
    import jax
    import jax.numpy as jnp

    def loss(p: Any, x: Any, t: Any) -> Any:
        h = jnp.tanh(x @ p[0].T + p[1])
        return -(t * jax.nn.log_softmax(h @ p[2].T + p[3])).sum(-1).mean()

    f = jax.jit(jax.value_and_grad(loss))
    x, t, p = jnp.array(d["x"]), jnp.array(d["t"]), tuple(jnp.array(d[n]) for n in "WcVd")

    def run() -> list[Any]:
        value, g = f(p, x, t)
        return [np.asarray(value), *map(np.asarray, g)]

    return run


@dataclass(frozen=True)
class Workload:
    """`aim`: how many times faster than the fastest peer it should be, where a figure was set."""

    title: str
    data: Callable[[], Data]
    builders: dict[str, Callable[[Data], Run]]
    aim: float | None = None


WORKLOADS = {
    "case2": Workload(
        "S3 network 64-32-1, per-sample SGD, an epoch of 1797",
        case_2_data,
        {"symgrad": case_2_symgrad, "jax": case_2_jax, "numpy": case_2_numpy},
        aim=2.0,
    ),
    "softmax": Workload(
        "S7 network 64-32-10 with biases, value and gradient of 1024",
        softmax_data,
        {"symgrad": softmax_symgrad, "jax": softmax_jax},
    ),
}
