"""Backward passes as their papers print them, written out by hand in NumPy: one module for models of a kind.

Every pass maps arrays by name to the loss and the gradients by name. An adjoint is named d… after its quantity, as in
δW or dW, unless its paper has a letter of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

Arrays = Mapping[str, Any]
Result = tuple[float, dict[str, Any]]

erf = np.vectorize(math.erf, otypes=[float])


def draw(rng: np.random.Generator, scale: float = 0.7, **shapes: tuple[int, ...]) -> dict[str, Any]:
    """Normal arrays by name; a float for the shape ()."""
    arrays = {name: rng.normal(scale=scale, size=shape) for name, shape in shapes.items()}
    return {name: array if shapes[name] else float(array) for name, array in arrays.items()}


def sigmoid(u: Any) -> Any:
    return 1 / (1 + np.exp(-u))


def softplus(u: Any) -> Any:
    return np.logaddexp(0, u)


def softmax(u: Any) -> Any:
    """Along the last axis."""
    e = np.exp(u - u.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def one_hot(label: Any, K: int) -> Any:
    """t[…, k] = 1 where label[…] = k in 1..K."""
    return (np.asarray(label)[..., None] == np.arange(1, K + 1)).astype(float)
