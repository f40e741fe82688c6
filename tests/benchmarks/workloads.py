"""What is timed: models and data. A unit of work is an epoch of training or one value with its gradient.

Losses are means over the batch; the networks' layers and sizes stand in the titles. The peers' forms of the same work are in
`peers.py`; results are compared as well as timed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
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

LOGISTIC = """
index i in 1..M
input x[i], y^*
param w[i]
o = sum(w[i]*x[i] for i)
J = softplus(o) - y^* * o
minimize J
"""

RECURRENT = """
index t in 1..T, i in 1..M, j, k in 1..H
input x[t,i], y^*[t,j]
param U[j,i], W[j,k], c[j]
h[0,j] = 0
h[t,j] = tanh(sum(U[j,i]*x[t,i] for i) + sum(W[j,k]*h[t-1,k] for k) + c[j])
J = sum((h[t,j] - y^*[t,j])^2 for t, j)/(T*H)
minimize J
"""

CONVOLUTION = """
index r, s in 0..7, u, v in 0..4, p, q in 0..3, c in 1..C, k in 1..K
input x[a in 0..11,b in 0..11], y^*[k]
param W[c,u,v], g[c], V[k,c,p,q], d[k]
f[c,r,s] = relu(sum(W[c,u,v]*x[r+u,s+v] for u, v) + g[c])
m[c,p,q] = (f[c,2*p,2*q] + f[c,2*p+1,2*q] + f[c,2*p,2*q+1] + f[c,2*p+1,2*q+1])/4
o[k] = sum(V[k,c,p,q]*m[c,p,q] for c, p, q) + d[k]
J = logsumexp(o[k] for k) - sum(y^*[k]*o[k] for k)
minimize J
"""

ATTENTION = """
index i, j in 1..T, e in 1..E, d in 1..D
input x[i,e], y^*[i,d]
param Q[d,e], K[d,e], V[d,e]
q[i,d] = sum(Q[d,e]*x[i,e] for e)
k[i,d] = sum(K[d,e]*x[i,e] for e)
v[i,d] = sum(V[d,e]*x[i,e] for e)
s[i,j] = sum(q[i,d]*k[j,d] for d)/sqrt(D)
p[i,j] = exp(s[i,j])/sum(exp(s[i,l]) for l in 1..T)
o[i,d] = sum(p[i,j]*v[j,d] for j)
J = sum((o[i,d] - y^*[i,d])^2 for i, d)/(2*T*D)
minimize J
"""

LSTM = """
index t in 1..T, m in 1..M, j, k in 1..H
input x[t,m], y^*[t,j]
param U_i[j,m], W_i[j,k], b_i[j], U_f[j,m], W_f[j,k], b_f[j], U_g[j,m], W_g[j,k], b_g[j], U_o[j,m], W_o[j,k], b_o[j]
h[0,j] = 0
c[0,j] = 0
i[t,j] = sigmoid(sum(U_i[j,m]*x[t,m] for m) + sum(W_i[j,k]*h[t-1,k] for k) + b_i[j])
f[t,j] = sigmoid(sum(U_f[j,m]*x[t,m] for m) + sum(W_f[j,k]*h[t-1,k] for k) + b_f[j])
g[t,j] = tanh(sum(U_g[j,m]*x[t,m] for m) + sum(W_g[j,k]*h[t-1,k] for k) + b_g[j])
o[t,j] = sigmoid(sum(U_o[j,m]*x[t,m] for m) + sum(W_o[j,k]*h[t-1,k] for k) + b_o[j])
c[t,j] = f[t,j]*c[t-1,j] + i[t,j]*g[t,j]
h[t,j] = o[t,j]*tanh(c[t,j])
J = sum((h[t,j] - y^*[t,j])^2 for t, j)/(T*H)
minimize J
"""

MIXTURE = """
index k in 1..K, d in 1..D
input x[d]
param m[k,d], s[k,d], a[k]
r[k] = sum(((x[d] - m[k,d])*exp(-s[k,d]))^2 for d)
q[k] = a[k] - sum(s[k,d] for d) - r[k]/2
J = logsumexp(a[k] for k) - logsumexp(q[k] for k)
minimize J
"""

TRANSFORMER = """
index t, s, r in 1..T, e in 1..E, h in 1..H, d in 1..D, j in 1..F
input x[t,e], y^*[t,e]
param g[e], b[e], Q[h,d,e], K[h,d,e], V[h,d,e], O[e,h,d], g_2[e], b_2[e], A[j,e], a[j], B[e,j]
m[t] = sum(x[t,e] for e)/E
v[t] = sum((x[t,e] - m[t])^2 for e)/E
u[t,e] = g[e]*(x[t,e] - m[t])/sqrt(v[t] + 1e-5) + b[e]
q[h,t,d] = sum(Q[h,d,e]*u[t,e] for e)
k[h,t,d] = sum(K[h,d,e]*u[t,e] for e)
w[h,t,d] = sum(V[h,d,e]*u[t,e] for e)
c[h,t,s] = sum(q[h,t,d]*k[h,s,d] for d)/sqrt(D)
p[h,t,s] = exp(c[h,t,s])/sum(exp(c[h,t,r]) for r)
o[h,t,d] = sum(p[h,t,s]*w[h,s,d] for s)
z[t,e] = x[t,e] + sum(O[e,h,d]*o[h,t,d] for h, d)
m_2[t] = sum(z[t,e] for e)/E
v_2[t] = sum((z[t,e] - m_2[t])^2 for e)/E
u_2[t,e] = g_2[e]*(z[t,e] - m_2[t])/sqrt(v_2[t] + 1e-5) + b_2[e]
n[t,j] = gelu(sum(A[j,e]*u_2[t,e] for e) + a[j])
y[t,e] = z[t,e] + sum(B[e,j]*n[t,j] for j)
J = sum((y[t,e] - y^*[t,e])^2 for t, e)/(T*E)
minimize J
"""

TINY = """
index i in 0..3, j in 0..2
input x[i], y^*
param A[j,i], b[j]
z[j] = sigmoid(sum(A[j,i]*x[i] for i))
y = sigmoid(sum(b[j]*z[j] for j))
J = (y - y^*)^2
minimize J
"""


def normal(seed: int, **shapes: tuple[int, ...]) -> Data:
    """Arrays that keep a layer's values of order one."""
    r = np.random.default_rng(seed)
    return {name: (r.normal(size=shape) / np.sqrt(shape[-1])).astype(F) for name, shape in shapes.items()}


def rows(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(F)


def one_hot(seed: int, count: int, classes: int) -> Any:
    return np.eye(classes, dtype=F)[np.random.default_rng(seed).integers(classes, size=count)]


def case_2_data(examples: int = 1797, inputs: int = 64, hidden: int = 32) -> Data:
    x = rows(0, examples, inputs)
    t = (x @ rows(1, inputs) > 0).astype(F)
    return {"x": x, "y_star": t, **normal(2, A=(hidden, inputs), b=(hidden,))}


def softmax_data(examples: int = 1024, inputs: int = 64, hidden: int = 32, classes: int = 10) -> Data:
    weights = normal(3, W=(hidden, inputs), V=(classes, hidden))
    start = {"c": np.zeros(hidden, F), "d": np.zeros(classes, F)}
    return {"x": rows(4, examples, inputs), "y_star": one_hot(5, examples, classes), **weights, **start}


def logistic_data(examples: int = 500_000, inputs: int = 32) -> Data:
    x = rows(6, examples, inputs)
    return {"x": x, "y_star": (x @ rows(7, inputs) > 0).astype(F), **normal(8, w=(inputs,))}


def recurrent_data(batch: int = 16, steps: int = 100, inputs: int = 16, hidden: int = 64) -> Data:
    weights = normal(9, U=(hidden, inputs), W=(hidden, hidden))
    return {"x": rows(10, batch, steps, inputs), "y_star": rows(11, batch, steps, hidden), **weights, "c": np.zeros(hidden, F)}


def convolution_data(batch: int = 32, channels: int = 8, classes: int = 10) -> Data:
    weights = normal(12, W=(channels, 5, 5), V=(classes, channels, 4, 4))
    start = {"g": np.zeros(channels, F), "d": np.zeros(classes, F)}
    return {"x": rows(13, batch, 12, 12), "y_star": one_hot(14, batch, classes), **weights, **start}


def attention_data(batch: int = 8, steps: int = 64, width: int = 32) -> Data:
    shapes = dict.fromkeys("QKV", (width, width))
    return {"x": rows(15, batch, steps, width), "y_star": rows(16, batch, steps, width), **normal(17, **shapes)}


def lstm_data(batch: int = 16, steps: int = 50, inputs: int = 32, hidden: int = 64) -> Data:
    shapes = {f"{name}_{gate}": shape for gate in "ifgo" for name, shape in (("U", (hidden, inputs)), ("W", (hidden, hidden)))}
    start = {f"b_{gate}": np.zeros(hidden, F) for gate in "ifgo"}
    return {"x": rows(21, batch, steps, inputs), "y_star": rows(22, batch, steps, hidden), **normal(23, **shapes), **start}


def mixture_data(examples: int = 20_000, kinds: int = 16, width: int = 8) -> Data:
    start = {"s": (rows(26, kinds, width) / 10).astype(F), "a": (rows(27, kinds) / 10).astype(F)}
    return {"x": 2 * rows(24, examples, width), "m": rows(25, kinds, width), **start}


def transformer_data(batch: int = 8, steps: int = 64, width: int = 64, heads: int = 4, hidden: int = 128) -> Data:
    part = width // heads
    shapes = {**dict.fromkeys("QKV", (heads, part, width)), "A": (hidden, width), "B": (width, hidden), "O": (width, width)}
    found = normal(30, **shapes)
    found["O"] = found["O"].reshape(width, heads, part)
    ones, zeros = dict.fromkeys(("g", "g_2"), np.ones(width, F)), dict.fromkeys(("b", "b_2"), np.zeros(width, F))
    return {
        "x": rows(28, batch, steps, width), "y_star": rows(29, batch, steps, width), **found, **ones, **zeros,
        "a": np.zeros(hidden, F),
    }  # fmt: skip


def tiny_data() -> Data:
    r = np.random.default_rng(18)
    return {"x": r.normal(size=4), "y_star": 0.3, "A": r.normal(size=(3, 4)), "b": r.normal(size=3)}


OPERATIONS = {"add": "0.7*{a} + 0.3*{b}", "sub": "0.7*{a} - 0.3*{b}", "mul": "{a}*{b}", "sin": "sin({a})", "cos": "cos({a})",
              "tanh": "tanh({a})"}  # fmt: skip
SHARES = (0.25, 0.15, 0.3, 0.1, 0.1, 0.1)


def scalar_steps(count: int = 2_000, inputs: int = 16) -> list[tuple[str, int, int]]:
    """A reproducible program: value inputs + k is an operation on two of the forty values before it."""
    r = np.random.default_rng(19)
    steps = []
    for k in range(count):
        least = max(0, inputs + k - 40)
        operation = list(OPERATIONS)[r.choice(len(SHARES), p=SHARES)]
        steps.append((operation, int(r.integers(least, inputs + k)), int(r.integers(least, inputs + k))))
    return steps


def scalar_model(steps: list[tuple[str, int, int]], inputs: int = 16) -> str:
    def name(k: int) -> str:
        return f"x[{k}]" if k < inputs else f"v_{k - inputs}"

    lines = [f"v_{k} = {OPERATIONS[op].format(a=name(i), b=name(j))}" for k, (op, i, j) in enumerate(steps)]
    total = " + ".join(name(inputs + k) for k in range(len(steps) - 8, len(steps)))
    return "\n".join([f"input x[i in 0..{inputs - 1}]", *lines, f"J = {total}", "minimize J"])


def scalar_data() -> Data:
    return {"steps": scalar_steps(), "x": np.random.default_rng(20).normal(size=16)}


@dataclass(frozen=True)
class Workload:
    """`aim`: how many times faster than the fastest peer it should be. `batch_size`: of an epoch; None for a gradient.

    `flops` of a unit, or the `bytes` it has to read, where one of them bounds it.
    """

    title: str
    model: str | Callable[[Data], str]
    data: Callable[[], Data]
    peers: tuple[str, ...]
    aim: float | None = None
    batch_size: int | None = None
    rate: float = 0.01
    batched: bool = True
    dtype: str = "float32"
    flops: float = 0.0
    bytes: float = 0.0

    def text(self, d: Data) -> str:
        return self.model if isinstance(self.model, str) else self.model(d)


def _layers(examples: int, *widths: int) -> float:
    """Multiply-adds of forward and backward through dense layers, twice each; none for the inputs' own gradient."""
    pairs = list(pairwise(widths))
    return 2.0 * examples * sum(a * b * (2 if k == 0 else 3) for k, (a, b) in enumerate(pairs))


USUAL = ("jax", "torch")
WORKLOADS = {
    "W1": Workload(
        "network 64-32-1, per-sample descent, an epoch of 1797", CASE_2, case_2_data, ("jax", "torch", "numpy"), 5, batch_size=1
    ),
    "W2": Workload(
        "network 64-32-10, minibatches of 32, an epoch of 1792", SOFTMAX, lambda: softmax_data(1792), USUAL, 2.5,
        batch_size=32, rate=0.05, flops=_layers(1792, 64, 32, 10),
    ),
    "W3": Workload(
        "network 784-256-10, minibatches of 128, an epoch of 2560", SOFTMAX, lambda: softmax_data(2560, 784, 256), USUAL, 1.05,
        batch_size=128, rate=0.05, flops=_layers(2560, 784, 256, 10),
    ),
    "W4": Workload(
        "logistic regression 500,000 x 32, value and gradient", LOGISTIC, logistic_data, ("jax", "torch", "numpy"), 2,
        bytes=500_000 * 33 * 4.0,
    ),
    "W5": Workload(
        "tanh RNN, 100 steps of 64 units, batch 16, value and gradient", RECURRENT, recurrent_data, USUAL, 2.8,
        flops=2.0 * 100 * 16 * 64 * (16 * 2 + 64 * 3),
    ),
    "W6": Workload(
        "convolution 12x12 to 8 of 5x5, relu, mean pool, dense 10, batch 32", CONVOLUTION, convolution_data, USUAL, 6
    ),
    "W7": Workload("attention, 64 steps of width 32, batch 8, value and gradient", ATTENTION, attention_data, USUAL, 1.7),
    "W8": Workload(
        "2,000 scalar operations, value and gradient, float64", lambda d: scalar_model(d["steps"]), scalar_data,
        ("casadi", "casadi_c"), 1, batched=False, dtype="float64",
    ),
    "W9": Workload(
        "LSTM, 50 steps of 64 units, batch 16, value and gradient", LSTM, lstm_data, USUAL,
        flops=2.0 * 50 * 16 * 4 * 64 * (32 * 2 + 64 * 3),
    ),
    "W10": Workload("mixture of 16 normal densities in 8 dimensions, 20,000 examples", MIXTURE, mixture_data, USUAL),
    "W11": Workload("transformer block, 64 steps of width 64, 4 heads, batch 8", TRANSFORMER, transformer_data, USUAL),
    "C4": Workload(
        "a call of a network 4-3-1 with all checks, float64", TINY, tiny_data, ("jax", "torch", "pytensor"), 5, batched=False,
        dtype="float64",
    ),
}  # fmt: skip
