"""Batch and layer normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.published import Arrays, Result, draw, one_hot, sigmoid, softmax, softplus


def batch_norm_arrays(rng: np.random.Generator) -> dict[str, Any]:
    m, K, L = 5, 3, 4
    arrays = draw(rng, u=(m, L), W=(K, L), gamma=(K,), beta=(K,), w=(K,), b=())
    return {**arrays, "t": rng.integers(0, 2, m).astype(float), "epsilon": 0.01}


def batch_norm(arrays: Arrays) -> Result:
    """Ioffe & Szegedy 2015: algorithm 1, and the derivatives in section 3 in their order."""
    u, t, W, gamma, w, epsilon = (arrays[name] for name in ("u", "t", "W", "gamma", "w", "epsilon"))
    m = len(u)
    x = u @ W.T
    mu = x.mean(axis=0)
    var = ((x - mu) ** 2).mean(axis=0)
    xhat = (x - mu) / np.sqrt(var + epsilon)
    y = gamma * xhat + arrays["beta"]
    a = np.maximum(y, 0) @ w + arrays["b"]

    da = (sigmoid(a) - t) / m
    dy = np.outer(da, w) * (y > 0)
    dxhat = dy * gamma
    dvar = (dxhat * (x - mu)).sum(axis=0) * -1 / 2 * (var + epsilon) ** (-3 / 2)
    dmu = (dxhat * -1 / np.sqrt(var + epsilon)).sum(axis=0) + dvar * (-2 * (x - mu)).sum(axis=0) / m
    dx = dxhat / np.sqrt(var + epsilon) + dvar * 2 * (x - mu) / m + dmu / m
    gradients = {"gamma": (dy * xhat).sum(axis=0), "beta": dy.sum(axis=0)}
    gradients |= {"W": dx.T @ u, "u": dx @ W, "w": da @ np.maximum(y, 0), "b": da.sum()}
    return float((softplus(a) - t * a).mean()), gradients


def batch_norm_adjoint(gamma: Any, s: Any, xhat: Any, dy: Any) -> Any:
    """dx_i = γ/(m s) (m dy_i − Σ_j dy_j − x̂_i Σ_j dy_j x̂_j) with s = √(σ² + ε): the same in one line."""
    m = len(dy)
    return gamma / (m * s) * (m * dy - dy.sum(axis=0) - xhat * (dy * xhat).sum(axis=0))


def layer_norm_arrays(rng: np.random.Generator) -> dict[str, Any]:
    N, H, M, K = 6, 5, 4, 3
    return {**draw(rng, x=(N, M), W=(H, M), g=(H,), b=(H,), V=(K, H), c=(K,)), "label": rng.integers(1, K + 1, N)}


def layer_norm(arrays: Arrays) -> Result:
    """Ba et al. 2016, equation 3; the adjoint of a is centred and scaled as Xu et al. 2019 write it."""
    x, label, W, g, V = (arrays[name] for name in ("x", "label", "W", "g", "V"))
    N, H, K = len(x), len(g), len(V)
    a = x @ W.T
    mu = a.mean(axis=1, keepdims=True)
    sigma = np.sqrt(((a - mu) ** 2).mean(axis=1, keepdims=True))
    ahat = (a - mu) / sigma
    h = np.tanh(g * ahat + arrays["b"])
    p, t = softmax(h @ V.T + arrays["c"]), one_hot(label, K)

    do = (p - t) / N
    dnet = do @ V * (1 - h**2)
    # one example at a time: (I − (1 1ᵀ + â âᵀ)/H)/σ
    da = np.zeros_like(a)
    for n in range(N):
        one = np.ones(H)
        centre = np.eye(H) - (np.outer(one, one) + np.outer(ahat[n], ahat[n])) / H
        da[n] = centre @ (g * dnet[n]) / sigma[n]
    gradients = {"W": da.T @ x, "g": (dnet * ahat).sum(axis=0), "b": dnet.sum(axis=0), "V": do.T @ h, "c": do.sum(axis=0)}
    return float(-np.log((p * t).sum(axis=1)).mean()), {**gradients, "x": da @ W}
