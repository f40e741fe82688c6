"""Each peer's best form of a workload: JAX jitted, an epoch in `lax.scan`; torch eager; CasADi's virtual machine and its C.

`build(contender, key, workload, data)` gives a function without arguments that does a unit of work and returns its
results: the parameters after an epoch, or the value and the gradients in the order of the model's parameters.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.benchmarks.workloads import Data, Run, Workload

PARAMETERS: dict[str, Sequence[str]] = {
    "W1": "Ab", "W2": "WcVd", "W3": "WcVd", "W4": "w", "W5": "UWc", "W6": "WgVd", "W7": "QKV", "W8": "x", "C4": "Ab",
    "W9": [f"{name}_{gate}" for gate in "ifgo" for name in "UWb"], "W10": "msa",
    "W11": ["g", "b", "Q", "K", "V", "O", "g_2", "b_2", "A", "a", "B"],
}  # fmt: skip


def build(contender: str, key: str, w: Workload, d: Data) -> Run:
    return BUILDERS[contender](key, w, d)


# symgrad


def symgrad(key: str, w: Workload, d: Data, stabilize: bool = True) -> Run:
    import symgrad as sg

    names, given = list(PARAMETERS[key]), [n for n in ("x", "y_star") if n in d and n not in PARAMETERS[key]]
    k = sg.compile(sg.parse(w.text(d)), wrt=names, batch=given if w.batched else (), dtype=w.dtype, stabilize=stabilize)
    arrays = {n: d[n] for n in (*given, *names)}
    if w.batch_size is None:
        return lambda: _value_first(*k(**arrays))
    rule = sg.SGD(w.rate)

    def epoch() -> list[Any]:
        start, data = {n: d[n] for n in names}, {n: d[n] for n in given}
        f = k.fit(start, data, optimizer=rule, epochs=1, batch_size=w.batch_size, shuffle=False, progress=False)
        return [f.params[n] for n in names]

    return epoch


def _value_first(value: Any, grads: dict[str, Any]) -> list[Any]:
    return [value, *grads.values()]


# jax


def jax(key: str, w: Workload, d: Data) -> Run:
    import jax
    import jax.numpy as jnp

    if w.dtype == "float64":
        jax.config.update("jax_enable_x64", True)
    loss = LOSSES[key](jnp, jax.nn.sigmoid, jax.nn.softmax, _jax_scan)
    x, y = jnp.array(d["x"]), jnp.array(d.get("y_star", 0))
    p = tuple(jnp.array(d[n]) for n in PARAMETERS[key])
    if w.batch_size is None:
        both = jax.jit(jax.value_and_grad(loss))

        def run() -> list[Any]:
            value, grads = both(p, x, y)
            return [np.asarray(value), *map(np.asarray, grads)]

        return run

    def step(p: Any, row: Any) -> Any:
        return jax.tree.map(lambda a, g: a - np.float32(w.rate) * g, p, jax.grad(loss)(p, *row)), None

    xs, ys = (a.reshape(-1, w.batch_size, *a.shape[1:]) for a in (x, y))
    epoch = jax.jit(lambda p, xs, ys: jax.lax.scan(step, p, (xs, ys))[0])
    return lambda: [np.asarray(v) for v in epoch(p, xs, ys)]


def _jax_scan(step: Callable[[Any, Any], Any], start: Any, inputs: Any) -> Any:
    import jax

    def first(state: Any) -> Any:
        return state, state[0] if isinstance(state, tuple) else state

    return jax.lax.scan(lambda h, u: first(step(h, u)), start, inputs)[1]


# torch


def torch(key: str, w: Workload, d: Data) -> Run:
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    loss = LOSSES[key](torch, torch.sigmoid, lambda a: torch.softmax(a, -1), _torch_scan)
    tensor = torch.float64 if w.dtype == "float64" else torch.float32
    x, y = (torch.tensor(d.get(n, 0), dtype=tensor) for n in ("x", "y_star"))

    def parameters() -> Any:
        return tuple(torch.tensor(d[n], dtype=tensor, requires_grad=True) for n in PARAMETERS[key])

    kept = parameters()

    def gradient() -> list[Any]:
        value = loss(kept, x, y)
        return [value.detach().numpy(), *(g.numpy() for g in torch.autograd.grad(value, kept))]

    def epoch() -> list[Any]:
        p, size = parameters(), w.batch_size or 1
        for first in range(0, len(x), size):
            grads = torch.autograd.grad(loss(p, x[first : first + size], y[first : first + size]), p)
            with torch.no_grad():
                for a, g in zip(p, grads, strict=True):
                    a -= w.rate * g
        return [a.detach().numpy() for a in p]

    return gradient if w.batch_size is None else epoch


def _torch_scan(step: Callable[[Any, Any], Any], start: Any, inputs: Any) -> Any:
    import torch

    out = []
    for u in inputs:
        start = step(start, u)
        out.append(start)
    return torch.stack(out)


# the losses, over the functions of jax.numpy or torch


def _case_2(n: Any, sigmoid: Any, softmax: Any, scan: Any) -> Any:
    def loss(p: Any, x: Any, y: Any) -> Any:
        o = sigmoid(x @ p[0].T) @ p[1]
        return (n.logaddexp(0 * o, o) - y * o).mean()

    return loss


def _softmax(n: Any, sigmoid: Any, softmax: Any, scan: Any) -> Any:
    def loss(p: Any, x: Any, y: Any) -> Any:
        o = n.tanh(x @ p[0].T + p[1]) @ p[2].T + p[3]
        return (_logsumexp(n, o) - (y * o).sum(-1)).mean()

    return loss


def _logsumexp(n: Any, o: Any) -> Any:
    top = n.amax(o, -1)
    return top + n.log(n.exp(o - top[..., None]).sum(-1))


def _logistic(n: Any, sigmoid: Any, softmax: Any, scan: Any) -> Any:
    def loss(p: Any, x: Any, y: Any) -> Any:
        o = x @ p[0]
        return (n.logaddexp(0 * o, o) - y * o).mean()

    return loss


def _recurrent(n: Any, sigmoid: Any, softmax: Any, scan: Any) -> Any:
    def loss(p: Any, x: Any, y: Any) -> Any:
        inputs = n.swapaxes(x @ p[0].T + p[2], 0, 1)
        h = scan(lambda h, u: n.tanh(u + h @ p[1].T), 0 * inputs[0], inputs)
        return ((n.swapaxes(h, 0, 1) - y) ** 2).mean()

    return loss


def _convolution(n: Any, sigmoid: Any, softmax: Any, scan: Any) -> Any:
    def loss(p: Any, x: Any, y: Any) -> Any:
        f = _convolved(n, x, p[0]) + p[1][:, None, None]
        f = n.where(f > 0, f, 0 * f)
        m = f.reshape(*f.shape[:2], 4, 2, 4, 2).mean((3, 5))
        o = m.reshape(len(x), -1) @ p[2].reshape(p[2].shape[0], -1).T + p[3]
        return (_logsumexp(n, o) - (y * o).sum(-1)).mean()

    return loss


def _convolved(n: Any, x: Any, kernel: Any) -> Any:
    if n.__name__ == "torch":
        return n.nn.functional.conv2d(x[:, None], kernel[:, None])
    import jax

    return jax.lax.conv(x[:, None], kernel[:, None], (1, 1), "VALID")


def _attention(n: Any, sigmoid: Any, softmax: Any, scan: Any) -> Any:
    def loss(p: Any, x: Any, y: Any) -> Any:
        q, k, v = (x @ m.T for m in p)
        s = softmax(q @ n.swapaxes(k, 1, 2) / q.shape[-1] ** 0.5)
        return ((s @ v - y) ** 2).mean() / 2

    return loss


def _lstm(n: Any, sigmoid: Any, softmax: Any, scan: Any) -> Any:
    """The four gates in one product, which in torch is its own LSTM."""

    def step(state: Any, inputs: Any, weights: Any) -> Any:
        i, f, g, o = n.split(inputs + state[0] @ weights.T, 4, axis=-1)
        c = sigmoid(f) * state[1] + sigmoid(i) * n.tanh(g)
        return sigmoid(o) * n.tanh(c), c

    def loss(p: Any, x: Any, y: Any) -> Any:
        u, w, b = (n.concatenate(p[k::3]) for k in range(3))
        start = 0 * x[:, 0, :1] + 0 * b[: len(b) // 4]
        if n.__name__ == "torch":
            h = n.lstm(x, (start[None], start[None]), (u, w, b, 0 * b), True, 1, 0.0, True, False, True)[0]
        else:
            inputs = n.swapaxes(x @ u.T + b, 0, 1)
            h = n.swapaxes(scan(lambda state, row: step(state, row, w), (start, start), inputs), 0, 1)
        return ((h - y) ** 2).mean()

    return loss


def _mixture(n: Any, sigmoid: Any, softmax: Any, scan: Any) -> Any:
    """Squares multiplied out: products of matrices, which the peers are fastest with."""

    def loss(p: Any, x: Any, y: Any) -> Any:
        m, s, a = p
        weights = n.exp(-2 * s)
        r = x**2 @ weights.T - 2 * x @ (m * weights).T + (m**2 * weights).sum(-1)
        return _logsumexp(n, a) - _logsumexp(n, a - s.sum(-1) - r / 2).mean()

    return loss


def _transformer(n: Any, sigmoid: Any, softmax: Any, scan: Any) -> Any:
    def norm(x: Any, g: Any, b: Any) -> Any:
        centred = x - x.mean(-1)[..., None]
        return g * centred / n.sqrt((centred**2).mean(-1)[..., None] + 1e-5) + b

    def gelu(x: Any) -> Any:
        if n.__name__ == "torch":
            return n.nn.functional.gelu(x)
        import jax

        return jax.nn.gelu(x, approximate=False)

    def loss(p: Any, x: Any, y: Any) -> Any:
        g, b, q, k, v, o, g_2, b_2, a, c, d = p
        heads, part, width = q.shape
        u = norm(x, g, b)
        q, k, v = (n.swapaxes((u @ w.reshape(-1, width).T).reshape(*x.shape[:2], heads, part), 1, 2) for w in (q, k, v))
        s = softmax(q @ n.swapaxes(k, 2, 3) / part**0.5)
        z = x + n.swapaxes(s @ v, 1, 2).reshape(*x.shape[:2], -1) @ o.reshape(width, -1).T
        found = z + gelu(norm(z, g_2, b_2) @ a.T + c) @ d.T
        return ((found - y) ** 2).mean()

    return loss


def _tiny(n: Any, sigmoid: Any, softmax: Any, scan: Any) -> Any:
    return lambda p, x, y: (sigmoid(p[1] @ sigmoid(p[0] @ x)) - y) ** 2


LOSSES: dict[str, Any] = {"W1": _case_2, "W2": _softmax, "W3": _softmax, "W4": _logistic, "W5": _recurrent, "W6": _convolution,
                          "W7": _attention, "W9": _lstm, "W10": _mixture, "W11": _transformer, "C4": _tiny}  # fmt: skip


# by hand, and for scalars


def numpy(key: str, w: Workload, d: Data) -> Run:
    return {"W1": _case_2_by_hand, "W4": _logistic_by_hand}[key](w, d)


def _case_2_by_hand(w: Workload, d: Data) -> Run:
    def run() -> list[Any]:
        a, b, rate = d["A"].copy(), d["b"].copy(), np.float32(w.rate)
        for x, t in zip(d["x"], d["y_star"], strict=True):
            z = 1 / (1 + np.exp(-(a @ x)))
            g = 1 / (1 + np.exp(-(b @ z))) - t
            dz = g * b * z * (1 - z)
            b -= rate * g * z
            a -= rate * np.outer(dz, x)
        return [a, b]

    return run


def _logistic_by_hand(w: Workload, d: Data) -> Run:
    def run() -> list[Any]:
        x, y = d["x"], d["y_star"]
        o = x @ d["w"]
        g = (1 / (1 + np.exp(-o)) - y) / np.float32(len(y))
        return [(np.logaddexp(0, o) - y * o).mean(), g @ x]

    return run


def casadi(key: str, w: Workload, d: Data) -> Run:
    return _called(_casadi_function(d))


def casadi_c(key: str, w: Workload, d: Data) -> Run:
    """The C that CasADi writes, compiled with all optimisations: its fastest form."""
    import casadi as ca

    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise SystemExit("casadi_c needs a C compiler")
    folder = tempfile.mkdtemp()
    _casadi_function(d).generate("f.c", {"with_header": False})
    shutil.move("f.c", f"{folder}/f.c")
    command = [compiler, "-O3", "-march=native", "-fPIC", "-shared", f"{folder}/f.c", "-o", f"{folder}/f.so", "-lm"]
    subprocess.run(command, check=True)
    return _called(ca.external("f", f"{folder}/f.so"))


def _casadi_function(d: Data) -> Any:
    import casadi as ca

    x = ca.SX.sym("x", len(d["x"]))
    values = [x[k] for k in range(len(d["x"]))]
    for operation, i, j in d["steps"]:
        a, b = values[i], values[j]
        binary = {"add": 0.7 * a + 0.3 * b, "sub": 0.7 * a - 0.3 * b, "mul": a * b}
        values.append(binary[operation] if operation in binary else getattr(ca, operation)(a))
    total = sum(values[-8:])
    return ca.Function("f", [x], [total, ca.gradient(total, x)])


def _called(f: Any) -> Run:
    """Through CasADi's buffers, without its conversions."""
    d = scalar_input()
    buffer, trigger = f.buffer()
    value, gradient = np.zeros(1), np.zeros(len(d))
    buffer.set_arg(0, memoryview(d))
    buffer.set_res(0, memoryview(value))
    buffer.set_res(1, memoryview(gradient))

    def run() -> list[Any]:
        assert buffer is not None  # the buffer's owner must live
        trigger()
        return [value[0], gradient.copy()]

    return run


def scalar_input() -> Any:
    from tests.benchmarks.workloads import scalar_data

    return scalar_data()["x"]


def pytensor(key: str, w: Workload, d: Data) -> Run:
    import pytensor.tensor as pt
    from pytensor import config, function

    config.floatX = "float64"
    x, y, a, b = pt.vector("x"), pt.scalar("y"), pt.matrix("A"), pt.vector("b")
    loss = (pt.sigmoid(pt.dot(b, pt.sigmoid(pt.dot(a, x)))) - y) ** 2
    f = function([x, y, a, b], [loss, *pt.grad(loss, [a, b])], mode="NUMBA")
    return lambda: f(d["x"], d["y_star"], d["A"], d["b"])


BUILDERS: dict[str, Callable[[str, Workload, Data], Run]] = {
    "symgrad": symgrad, "jax": jax, "torch": torch, "numpy": numpy, "casadi": casadi, "casadi_c": casadi_c, "pytensor": pytensor,
}  # fmt: skip
MODULES = {"casadi_c": "casadi"}
