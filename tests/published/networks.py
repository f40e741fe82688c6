"""Variational autoencoder and residual network."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.published import Arrays, Result, draw, erf, sigmoid, softplus


def vae_arrays(rng: np.random.Generator) -> dict[str, Any]:
    N, D, J, H, G = 3, 6, 2, 5, 4
    shapes = {"W_3": (H, D), "b_3": (H,), "W_4": (J, H), "b_4": (J,), "W_5": (J, H), "b_5": (J,)}
    shapes |= {"W_1": (G, J), "b_1": (G,), "W_2": (D, G), "b_2": (D,), "epsilon": (N, J)}
    return {**draw(rng, **shapes), "x": rng.uniform(0.1, 0.9, (N, D))}


def vae(arrays: Arrays) -> Result:
    """Kingma & Welling 2014: L of equation 10 with one draw a point, networks (11) and (12); its gradients by the chain rule."""
    x, epsilon = arrays["x"], arrays["epsilon"]
    W, b = ([None, *(arrays[f"{letter}_{i}"] for i in range(1, 6))] for letter in "Wb")
    N = len(x)
    h = np.tanh(x @ W[3].T + b[3])
    mu, s = h @ W[4].T + b[4], h @ W[5].T + b[5]  # s = log σ²
    sigma = np.exp(s / 2)
    z = mu + sigma * epsilon
    g = np.tanh(z @ W[1].T + b[1])
    y = sigmoid(g @ W[2].T + b[2])
    likelihood = (x * np.log(y) + (1 - x) * np.log(1 - y)).sum(axis=1)
    bound = likelihood + (1 + s - mu**2 - sigma**2).sum(axis=1) / 2

    # decoder: log p(x|z) by the logits of y is x − y
    d2 = (x - y) / N
    d1 = d2 @ W[2] * (1 - g**2)
    dz = d1 @ W[1]
    # encoder: z carries the likelihood, the Kullback-Leibler term adds −μ and (1 − σ²)/2
    d4 = dz - mu / N
    d5 = dz * epsilon * sigma / 2 + (1 - sigma**2) / (2 * N)
    d3 = (d4 @ W[4] + d5 @ W[5]) * (1 - h**2)
    layers = ((1, d1, z), (2, d2, g), (3, d3, x), (4, d4, h), (5, d5, h))
    gradients = {f"W_{i}": d.T @ below for i, d, below in layers} | {f"b_{i}": d.sum(axis=0) for i, d, _ in layers}
    return float(bound.mean()), gradients


def residual_mlp_arrays(rng: np.random.Generator) -> dict[str, Any]:
    N, L, M, D, H = 6, 3, 2, 4, 5
    shapes = {"u": (N, M), "A": (D, M), "V": (L, H, D), "b": (L, H), "W": (L, D, H), "c": (L, D), "w": (D,), "w_0": ()}
    return {**draw(rng, **shapes), "t": rng.integers(0, 2, N).astype(float)}


def gelu_parts(a: Any) -> tuple[Any, Any]:
    """Hendrycks & Gimpel 2016: a Φ(a), and its derivative Φ(a) + a φ(a)."""
    Phi = (1 + erf(a / np.sqrt(2))) / 2
    return a * Phi, Phi + a * np.exp(-(a**2) / 2) / np.sqrt(2 * np.pi)


def residual_mlp(arrays: Arrays) -> Result:
    """He et al. 2016, (4) and (5): the adjoint at the top reaches every block unchanged, and each block adds its own part."""
    u, t, V, b, W, c, w = (arrays[name] for name in ("u", "t", "V", "b", "W", "c", "w"))
    N, L = len(u), len(V)
    x = [u @ arrays["A"].T]
    h, slope = [], []
    for l in range(L):
        value, derivative = gelu_parts(x[l] @ V[l].T + b[l])
        h.append(value)
        slope.append(derivative)
        x.append(x[l] + value @ W[l].T + c[l])  # (4), one block
    o = x[L] @ w + arrays["w_0"]

    do = (sigmoid(o) - t) / N
    dV, db, dW, dc = (np.zeros_like(of) for of in (V, b, W, c))
    dx = np.outer(do, w)
    for l in reversed(range(L)):
        dnet = dx @ W[l] * slope[l]
        dW[l], dc[l], dV[l], db[l] = dx.T @ h[l], dx.sum(axis=0), dnet.T @ x[l], dnet.sum(axis=0)
        dx = dx + dnet @ V[l]  # (5): 1 + dF/dx
    gradients = {"A": dx.T @ u, "V": dV, "b": db, "W": dW, "c": dc, "w": do @ x[L], "w_0": do.sum(), "u": dx @ arrays["A"]}
    return float((softplus(o) - t * o).mean()), gradients
