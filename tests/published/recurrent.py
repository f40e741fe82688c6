"""Backward passes through time: peephole LSTM, GRU, Runge-Kutta steps of a pendulum."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.published import Arrays, Result, draw, sigmoid


def lstm_arrays(rng: np.random.Generator) -> dict[str, Any]:
    S, T, M, N = 2, 4, 3, 5
    shapes: dict[str, tuple[int, ...]] = {"x": (S, T, M), "q_star": (S,), "v": (N,), "v_0": ()}
    shapes |= {f"W_{gate}": (N, M) for gate in "zifo"} | {f"R_{gate}": (N, N) for gate in "zifo"}
    shapes |= {f"p_{gate}": (N,) for gate in "ifo"} | {f"b_{gate}": (N,) for gate in "zifo"}
    return draw(rng, **shapes)


def lstm(arrays: Arrays) -> Result:
    """Greff et al. 2015, section II, one row a sequence; q reads the last step off."""
    s = lstm_forward(arrays)
    S, v, last = len(arrays["x"]), arrays["v"], s["y"][-1]
    error = last @ v + arrays["v_0"] - arrays["q_star"]
    Delta = np.zeros_like(s["y"])  # what the layer above hands down
    Delta[-1] = error[:, None] * v / S
    gradients = lstm_gradients(arrays, s, lstm_deltas(arrays, s, Delta))
    return float((error**2).mean() / 2), {**gradients, "v": error @ last / S, "v_0": error.mean()}


def lstm_forward(arrays: Arrays) -> dict[str, Any]:
    """x, z, i, f, c, o, y over the steps 0..T; step 0 holds the zeros that the recurrence starts from."""
    W, R, b = ({gate: arrays[f"{letter}_{gate}"] for gate in "zifo"} for letter in "WRb")
    x = from_step_0(arrays["x"])
    z, i, f, c, o, y = np.zeros((6, *x.shape[:2], len(arrays["v"])))
    for t in range(1, len(x)):
        net = {gate: x[t] @ W[gate].T + y[t - 1] @ R[gate].T + b[gate] for gate in "zifo"}
        z[t] = np.tanh(net["z"])
        i[t] = sigmoid(net["i"] + arrays["p_i"] * c[t - 1])
        f[t] = sigmoid(net["f"] + arrays["p_f"] * c[t - 1])
        c[t] = z[t] * i[t] + c[t - 1] * f[t]
        o[t] = sigmoid(net["o"] + arrays["p_o"] * c[t])
        y[t] = np.tanh(c[t]) * o[t]
    return {"x": x, "z": z, "i": i, "f": f, "c": c, "o": o, "y": y}


def lstm_deltas(arrays: Arrays, s: Arrays, Delta: Any) -> dict[str, Any]:
    """δz, δi, δf, δo (before their units) over 0..T+1; those of step T + 1 are 0."""
    z, i, f, c, o = (with_step_after(s[name]) for name in "zifco")
    R = {gate: arrays[f"R_{gate}"] for gate in "zifo"}
    d = {gate: np.zeros_like(c) for gate in "zifo"}
    dc = np.zeros_like(c)
    for t in range(len(Delta) - 1, 0, -1):
        dy = Delta[t] + sum(d[gate][t + 1] @ R[gate] for gate in "zifo")
        d["o"][t] = dy * np.tanh(c[t]) * o[t] * (1 - o[t])
        dc[t] = dy * o[t] * (1 - np.tanh(c[t]) ** 2) + arrays["p_o"] * d["o"][t]
        dc[t] += arrays["p_i"] * d["i"][t + 1] + arrays["p_f"] * d["f"][t + 1] + dc[t + 1] * f[t + 1]
        d["f"][t] = dc[t] * c[t - 1] * f[t] * (1 - f[t])
        d["i"][t] = dc[t] * z[t] * i[t] * (1 - i[t])
        d["z"][t] = dc[t] * i[t] * (1 - z[t] ** 2)
    return d


def lstm_gradients(arrays: Arrays, s: Arrays, d: Arrays) -> dict[str, Any]:
    """Sums over t of δ at t with x, and of δ at t + 1 with y and c; those of the output's peephole at t."""
    x, y, c = (s[name][1:] for name in "xyc")
    now, later = ({gate: d[gate][start : start + len(x)] for gate in "zifo"} for start in (1, 2))
    gradients = {f"W_{gate}": np.einsum("tsn,tsm->nm", now[gate], x) for gate in "zifo"}
    gradients |= {f"R_{gate}": np.einsum("tsn,tsk->nk", later[gate], y) for gate in "zifo"}
    gradients |= {f"b_{gate}": now[gate].sum(axis=(0, 1)) for gate in "zifo"}
    gradients |= {f"p_{gate}": (c * later[gate]).sum(axis=(0, 1)) for gate in "if"}
    gradients["p_o"] = (c * now["o"]).sum(axis=(0, 1))
    dx = sum(now[gate] @ arrays[f"W_{gate}"] for gate in "zifo")
    return {**gradients, "x": np.moveaxis(np.asarray(dx), 0, 1)}


def from_step_0(x: Any) -> Any:
    """[s, t, …] over 1..T → [t, s, …] over 0..T."""
    return np.concatenate([np.zeros((1, *x[:, 0].shape)), np.moveaxis(x, 1, 0)])


def with_step_after(states: Any) -> Any:
    return np.concatenate([states, np.zeros_like(states[:1])])


def gru_arrays(rng: np.random.Generator) -> dict[str, Any]:
    T, M, H = 5, 2, 3
    shapes: dict[str, tuple[int, ...]] = {"x": (T, M), "y_star": (T,), "h0": (H,), "v": (H,), "v_0": ()}
    for gate in ("", "_r", "_z"):
        shapes |= {f"W{gate}": (H, M), f"U{gate}": (H, H), f"b{gate}": (H,)}
    return draw(rng, **shapes)


GATES = {"g": "", "r": "_r", "z": "_z"}  # W, U, b of the candidate g have no subscript


def gru(arrays: Arrays) -> Result:
    """Cho et al. 2014; its backward pass as in Li, "A tutorial on backward propagation through time in the GRU RNN" (2016)."""
    v = arrays["v"]
    s = gru_forward(arrays)
    error = s["h"][1:] @ v + arrays["v_0"] - arrays["y_star"]
    gradients = gru_backward(arrays, s, np.outer(error, v) / len(error))
    gradients |= {"v": error @ s["h"][1:] / len(error), "v_0": error.mean()}
    return float((error**2).mean() / 2), gradients


def gru_forward(arrays: Arrays) -> dict[str, Any]:
    """r, z, g, h over 0..T."""
    W, U, b = ({gate: arrays[letter + suffix] for gate, suffix in GATES.items()} for letter in "WUb")
    x = np.concatenate([np.zeros_like(arrays["x"][:1]), arrays["x"]])
    r, z, g, h = np.zeros((4, len(x), len(arrays["v"])))
    h[0] = arrays["h0"]
    for t in range(1, len(x)):
        r[t] = sigmoid(W["r"] @ x[t] + U["r"] @ h[t - 1] + b["r"])  # (5)
        z[t] = sigmoid(W["z"] @ x[t] + U["z"] @ h[t - 1] + b["z"])  # (6)
        g[t] = np.tanh(W["g"] @ x[t] + U["g"] @ (r[t] * h[t - 1]) + b["g"])  # (8)
        h[t] = z[t] * h[t - 1] + (1 - z[t]) * g[t]  # (7)
    return {"r": r, "z": z, "g": g, "h": h, "x": x}


def gru_backward(arrays: Arrays, s: Arrays, from_above: Any) -> dict[str, Any]:
    """`from_above` [t - 1] is the derivative by h_t through its own output."""
    r, z, g, h, x = (s[name] for name in "rzghx")
    U = {gate: arrays[f"U{suffix}"] for gate, suffix in GATES.items()}
    out = {letter + suffix: np.zeros_like(arrays[letter + suffix]) for letter in "WUb" for suffix in GATES.values()}
    dh = np.zeros_like(h[0])  # from the steps after t
    for t in range(len(from_above), 0, -1):
        dh = dh + from_above[t - 1]
        d = {"g": dh * (1 - z[t]) * (1 - g[t] ** 2), "z": dh * (h[t - 1] - g[t]) * z[t] * (1 - z[t])}
        reset = U["g"].T @ d["g"]  # the adjoint of r_t h_(t-1)
        d["r"] = reset * h[t - 1] * r[t] * (1 - r[t])
        reads = {"g": r[t] * h[t - 1], "r": h[t - 1], "z": h[t - 1]}
        for gate, suffix in GATES.items():
            out[f"W{suffix}"] += np.outer(d[gate], x[t])
            out[f"U{suffix}"] += np.outer(d[gate], reads[gate])
            out[f"b{suffix}"] += d[gate]
        dh = dh * z[t] + reset * r[t] + U["r"].T @ d["r"] + U["z"].T @ d["z"]
    return {**out, "h0": dh}


def pendulum_arrays(rng: np.random.Generator) -> dict[str, Any]:
    N, T = 2, 4
    arrays = draw(rng, theta_star=(N, T), theta_0=(N,), omega_0=(N,))
    return {**arrays, "h": 0.2, "gamma": 0.3, "kappa": 1.7}


# the tableau of the method of order 4: the weights a_ij of earlier stages, and b_i
A = np.array([[0, 0, 0, 0], [1 / 2, 0, 0, 0], [0, 1 / 2, 0, 0], [0, 0, 1, 0]])
B = np.array([1 / 6, 1 / 3, 1 / 3, 1 / 6])


def pendulum(arrays: Arrays) -> Result:
    """Hager 2000: the adjoint of a Runge-Kutta scheme is a scheme with the weights b_j a_ji/b_i, run backward."""
    u, stages = pendulum_forward(arrays)
    error = u[1:, 0] - arrays["theta_star"].T
    gradients = pendulum_backward(arrays, stages, error / error.size)
    return float((error**2).mean() / 2), gradients


def pendulum_forward(arrays: Arrays) -> tuple[Any, Any]:
    """u = (θ, ω) of every trajectory over 0..T, and the four stages of every step."""
    h, gamma, kappa = (arrays[name] for name in ("h", "gamma", "kappa"))
    N, T = arrays["theta_star"].shape
    u, stages = np.zeros((T + 1, 2, N)), np.zeros((T + 1, 4, 2, N))
    u[0] = arrays["theta_0"], arrays["omega_0"]
    for t in range(1, T + 1):
        slope = np.zeros((4, 2, N))
        for i in range(4):
            theta, omega = stages[t, i] = u[t - 1] + h * np.tensordot(A[i], slope, 1)
            slope[i] = omega, -gamma * omega - kappa * np.sin(theta)
        u[t] = u[t - 1] + h * np.tensordot(B, slope, 1)
    return u, stages


def pendulum_backward(arrays: Arrays, stages: Any, from_above: Any) -> dict[str, Any]:
    """`from_above` [t - 1] is the derivative by θ_t through its own error. `pulled` is fᵤᵀ times the adjoint at a stage."""
    h, gamma, kappa = (arrays[name] for name in ("h", "gamma", "kappa"))
    dgamma = dkappa = 0.0
    psi = np.zeros_like(stages[0, 0])  # the adjoint of u_t
    for t in range(len(from_above), 0, -1):
        psi[0] += from_above[t - 1]
        pulled = np.zeros_like(stages[t])
        for i in reversed(range(4)):
            theta, omega = stages[t, i]
            to_theta, to_omega = psi + h * np.tensordot(B * A[:, i] / B[i], pulled, 1)
            pulled[i] = -kappa * np.cos(theta) * to_omega, to_theta - gamma * to_omega
            dgamma += h * B[i] * np.sum(-omega * to_omega)
            dkappa += h * B[i] * np.sum(-np.sin(theta) * to_omega)
        psi = psi + h * np.tensordot(B, pulled, 1)
    return {"gamma": dgamma, "kappa": dkappa, "theta_0": psi[0], "omega_0": psi[1]}
