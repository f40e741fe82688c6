"""Softmax cross-entropy by its logits, to the second order."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.published import Arrays, Result, draw, softmax


def softmax_cross_entropy_arrays(rng: np.random.Generator) -> dict[str, Any]:
    K = 5
    return {**draw(rng, a=(K,)), "t": rng.dirichlet(np.ones(K))}


def softmax_cross_entropy(arrays: Arrays) -> Result:
    """Bishop 2006, (4.108) and (4.109)."""
    y, t = softmax(arrays["a"]), arrays["t"]
    return float(-(t * np.log(y)).sum()), {"a": y - t}


def hessian(arrays: Arrays) -> Any:
    """(4.106), the derivative of y_k − t_k: H_kl = y_k δ_kl − y_k y_l, where Σ_k t_k = 1."""
    y = softmax(arrays["a"])
    return np.diag(y) - np.outer(y, y)


def hvp(arrays: Arrays, v: Any) -> Any:
    """(H v)_k = y_k (v_k − Σ_l y_l v_l), without H."""
    y = softmax(arrays["a"])
    return y * (v - y @ v)
