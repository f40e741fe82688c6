"""Softmax attention, over whole sequences and over what came before."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.published import Arrays, Result, draw, one_hot, softmax


def head(Q: Any, K: Any, V: Any, visible: Any) -> tuple[Any, Any]:
    """O and P of one sequence; `visible` [i, j] says where row i may look."""
    P = softmax(np.where(visible, Q @ K.T / np.sqrt(Q.shape[1]), -np.inf))
    return P @ V, P


def head_adjoint(Q: Any, K: Any, V: Any, P: Any, O: Any, dO: Any) -> tuple[Any, Any, Any]:
    """dQ, dK, dV by Dao et al. 2022, appendix B.2, with the scale 1/√d of S put in. Where P_ij = 0, dS_ij = 0."""
    rows, d = Q.shape
    D = (dO * O).sum(axis=1)  # D_i = Σ_d dO_id O_id, in place of Σ_j P_ij dP_ij
    dQ, dK, dV = np.zeros_like(Q), np.zeros_like(K), np.zeros_like(V)
    for i in range(rows):
        for j in range(rows):
            dV[j] += P[i, j] * dO[i]
            dP_ij = dO[i] @ V[j]
            dS_ij = P[i, j] * (dP_ij - D[i])
            dQ[i] += dS_ij * K[j] / np.sqrt(d)
            dK[j] += dS_ij * Q[i] / np.sqrt(d)
    return dQ, dK, dV


def attention_arrays(rng: np.random.Generator) -> dict[str, Any]:
    N, T, C, D, E = 2, 6, 5, 4, 3
    return draw(rng, x=(N, T, C), y_star=(N, E), W_Q=(D, C), W_K=(D, C), W_V=(E, C))


def attention(arrays: Arrays) -> Result:
    names = ("W_Q", "W_K", "W_V")
    x, y_star = arrays["x"], arrays["y_star"]
    (N, T, _), E = x.shape, y_star.shape[1]
    loss = 0.0
    gradients = {name: np.zeros_like(arrays[name]) for name in ("x", *names)}
    for n in range(N):
        Q, K, V = (x[n] @ arrays[name].T for name in names)
        O, P = head(Q, K, V, np.full((T, T), True))
        loss += float(((O - y_star[n]) ** 2).sum()) / (2 * N * T * E)
        adjoints = head_adjoint(Q, K, V, P, O, (O - y_star[n]) / (N * T * E))
        for name, adjoint in zip(names, adjoints, strict=True):
            gradients[name] += adjoint.T @ x[n]
            gradients["x"][n] += adjoint @ arrays[name]
    return loss, gradients


def causal_attention_arrays(rng: np.random.Generator) -> dict[str, Any]:
    N, T, C, D, F, A = 2, 5, 4, 3, 6, 7
    arrays = draw(rng, E=(A, C), R=(T, C), W_Q=(D, C), W_K=(D, C), W_V=(F, C), U=(A, F))
    return {**arrays, "w": rng.integers(1, A + 1, (N, T)), "next": rng.integers(1, A + 1, (N, T))}


def causal_attention(arrays: Arrays) -> Result:
    names = ("W_Q", "W_K", "W_V")
    w, E, R, U = (arrays[name] for name in ("w", "E", "R", "U"))
    (N, T), A = w.shape, len(U)
    loss = 0.0
    gradients = {name: np.zeros_like(arrays[name]) for name in ("E", "R", *names, "U")}
    for n in range(N):
        x = E[w[n] - 1] + R
        Q, K, V = (x @ arrays[name].T for name in names)
        O, P = head(Q, K, V, np.tril(np.full((T, T), True)))
        y, t = softmax(O @ U.T), one_hot(arrays["next"][n], A)
        loss -= float(np.log((y * t).sum(axis=1)).sum()) / (N * T)
        du = (y - t) / (N * T)
        gradients["U"] += du.T @ O
        adjoints = head_adjoint(Q, K, V, P, O, du @ U)
        for name, adjoint in zip(names, adjoints, strict=True):
            gradients[name] += adjoint.T @ x
        dx = sum(adjoint @ arrays[name] for name, adjoint in zip(names, adjoints, strict=True))
        gradients["R"] += dx
        for i in range(T):
            gradients["E"][w[n, i] - 1] += dx[i]  # a letter that occurs twice gets both
    return loss, gradients
