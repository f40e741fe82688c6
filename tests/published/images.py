"""Convolution with stride 2, and max-pooling."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.published import Arrays, Result, draw, one_hot, sigmoid, softmax, softplus

STRIDE = 2


def convolution_arrays(rng: np.random.Generator) -> dict[str, Any]:
    N, I, L, P, Q, A, B, C = 3, 5, 2, 2, 3, 3, 4, 4
    shapes = {"V": (N, L, 2 * P + A - 2, 2 * Q + B - 2), "K": (I, L, A, B), "b": (I,), "W": (C, I, P, Q), "d": (C,)}
    return {**draw(rng, **shapes), "label": rng.integers(1, C + 1, N)}


def convolve(K: Any, V: Any, P: int, Q: int) -> Any:
    """Goodfellow et al. 2016, (9.8), for every image."""
    Z = np.zeros((len(V), len(K), P, Q))
    for j in range(P):
        for k in range(Q):
            field = V[:, :, STRIDE * j : STRIDE * j + K.shape[2], STRIDE * k : STRIDE * k + K.shape[3]]
            Z[:, :, j, k] = np.einsum("elmn,ilmn->ei", field, K)
    return Z


def kernel_gradient(G: Any, V: Any, K: Any) -> Any:
    """(9.11): dK_ilmn = Σ_jk G_ijk V_(l, sj + m, sk + n), summed over images."""
    dK = np.zeros_like(K)
    for m in range(K.shape[2]):
        for n in range(K.shape[3]):
            for j in range(G.shape[2]):
                for k in range(G.shape[3]):
                    dK[:, :, m, n] += G[:, :, j, k].T @ V[:, :, STRIDE * j + m, STRIDE * k + n]
    return dK


def image_gradient(K: Any, G: Any, V: Any) -> Any:
    """(9.13): dV_lrs = Σ_(j, m: sj + m = r) Σ_(k, n: sk + n = s) Σ_i K_ilmn G_ijk."""
    dV = np.zeros_like(V)
    for j in range(G.shape[2]):
        for m in range(K.shape[2]):
            for k in range(G.shape[3]):
                for n in range(K.shape[3]):
                    dV[:, :, STRIDE * j + m, STRIDE * k + n] += G[:, :, j, k] @ K[:, :, m, n]
    return dV


def convolution(arrays: Arrays) -> Result:
    V, K, W = (arrays[name] for name in "VKW")
    N, C, P, Q = len(V), len(W), *W.shape[2:]
    Z = convolve(K, V, P, Q) + arrays["b"][:, None, None]
    H = np.maximum(Z, 0)
    y, t = softmax(np.einsum("cijk,eijk->ec", W, H) + arrays["d"]), one_hot(arrays["label"], C)
    do = (y - t) / N
    G = np.einsum("ec,cijk->eijk", do, W) * (Z > 0)
    gradients = {"K": kernel_gradient(G, V, K), "V": image_gradient(K, G, V), "b": G.sum(axis=(0, 2, 3))}
    gradients |= {"W": np.einsum("ec,eijk->cijk", do, H), "d": do.sum(axis=0)}
    return float(-np.log((y * t).sum(axis=1)).mean()), gradients


def max_pool_arrays(rng: np.random.Generator) -> dict[str, Any]:
    N, K, A, B, P, Q = 5, 4, 3, 2, 2, 3
    shapes = {"x": (N, 2 * P + A - 1, 2 * Q + B - 1), "w": (K, A, B), "c": (K,), "v": (K, P, Q), "v_0": ()}
    return {**draw(rng, **shapes), "t": rng.integers(0, 2, N).astype(float)}


def max_pool(arrays: Arrays) -> Result:
    """Scherer et al. 2010: the error of a field goes to its maximum, to the first of several; relu'(0) = 0."""
    x, t, w, v = (arrays[name] for name in "xtwv")
    N, (_, P, Q) = len(x), v.shape
    net = correlate(x, w, 2 * P, 2 * Q) + arrays["c"][:, None, None]
    y, winner = pooled(np.maximum(net, 0), P, Q)
    z = np.einsum("kpq,nkpq->n", v, y) + arrays["v_0"]

    dz = (sigmoid(z) - t) / N
    dnet = unpooled(np.einsum("n,kpq->nkpq", dz, v), winner) * (net > 0)
    dw, dx = correlate_adjoint(x, w, dnet)
    gradients = {"w": dw, "c": dnet.sum(axis=(0, 2, 3)), "v": np.einsum("n,nkpq->kpq", dz, y), "v_0": dz.sum(), "x": dx}
    return float((softplus(z) - t * z).mean()), gradients


def correlate(x: Any, w: Any, R: int, S: int) -> Any:
    """Σ_ij w_kij x_(n, r + i, s + j)."""
    _, A, B = w.shape
    return sum(w[:, i, j][:, None, None] * x[:, None, i : i + R, j : j + S] for i in range(A) for j in range(B))


def correlate_adjoint(x: Any, w: Any, dnet: Any) -> tuple[Any, Any]:
    (_, A, B), (R, S) = w.shape, dnet.shape[2:]
    dw, dx = np.zeros_like(w), np.zeros_like(x)
    for i in range(A):
        for j in range(B):
            dw[:, i, j] = np.einsum("nkrs,nrs->k", dnet, x[:, i : i + R, j : j + S])
            dx[:, i : i + R, j : j + S] += np.einsum("nkrs,k->nrs", dnet, w[:, i, j])
    return dw, dx


def pooled(u: Any, P: int, Q: int) -> tuple[Any, Any]:
    """The maximum of every 2 x 2 field, and its place 2a + b in the field."""
    fields = u.reshape(*u.shape[:2], P, 2, Q, 2).swapaxes(3, 4).reshape(*u.shape[:2], P, Q, 4)
    return fields.max(axis=-1), fields.argmax(axis=-1)


def unpooled(dy: Any, winner: Any) -> Any:
    """du is dy at the maximum of a field and 0 elsewhere."""
    N, K, P, Q = dy.shape
    du = np.zeros((N, K, 2 * P, 2 * Q))
    for n, k, p, q in np.ndindex(dy.shape):
        a, b = divmod(int(winner[n, k, p, q]), 2)
        du[n, k, 2 * p + a, 2 * q + b] = dy[n, k, p, q]
    return du
