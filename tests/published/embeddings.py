"""Word vectors, and matrix factorisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.published import Arrays, Result, draw, one_hot, softmax


def cbow_arrays(rng: np.random.Generator) -> dict[str, Any]:
    N, C, D, V = 5, 4, 3, 6
    words = {"w_I": rng.integers(1, V + 1, (N, C)), "w_O": rng.integers(1, V + 1, N)}
    return {**draw(rng, W=(V, D), W_prime=(D, V)), **words}


def cbow(arrays: Arrays) -> Result:
    """Rong 2014, section 1.2: one training pair at a time, the mean over all."""
    w_I, w_O, W, W_prime = (arrays[name] for name in ("w_I", "w_O", "W", "W_prime"))
    (N, C), V = w_I.shape, len(W)
    loss, dW, dW_prime = 0.0, np.zeros_like(W), np.zeros_like(W_prime)
    for context, word in zip(w_I - 1, w_O, strict=True):
        h = sum(W[c] for c in context) / C  # (18)
        u = h @ W_prime
        y = softmax(u)
        loss += float(np.log(np.exp(u).sum()) - u[word - 1]) / N  # (20)
        e = y - one_hot(word, V)  # (8)
        EH = W_prime @ e  # (12)
        dW_prime += np.outer(h, e) / N  # (22)
        for c in context:
            dW[c] += EH / C / N  # (23), once for every time the word stands in the context
    return loss, {"W": dW, "W_prime": dW_prime}


def masked_factorisation_arrays(rng: np.random.Generator) -> dict[str, Any]:
    U, I, F = 5, 4, 3
    return {**draw(rng, r=(U, I), p=(U, F), q=(I, F)), "m": rng.integers(0, 2, (U, I)).astype(float), "lambda": 0.3}


def masked_factorisation(arrays: Arrays) -> Result:
    """Koren et al. 2009, (2), and the steps of its descent: e_ui p_u − λ q_i for q_i, e_ui q_i − λ p_u for p_u."""
    r, m, p, q, lam = (arrays[name] for name in ("r", "m", "p", "q", "lambda"))
    loss, dp, dq = 0.0, np.zeros_like(p), np.zeros_like(q)
    for u, i in np.argwhere(m > 0):
        e = r[u, i] - q[i] @ p[u]
        loss += float(e**2 + lam * (q[i] @ q[i] + p[u] @ p[u]))
        dq[i] -= 2 * (e * p[u] - lam * q[i])
        dp[u] -= 2 * (e * q[i] - lam * p[u])
    return loss, {"p": dp, "q": dq}
