"""A model and its shards, for objectives over shards: here, on workers, and on MPI ranks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

import symgrad as sg

NETWORK = """
index i in 1..D, j in 1..H
input x[i], y_star
param W[j,i], v[j], c
z[j] = tanh(sum(W[j,i]*x[i] for i))
y = sum(v[j]*z[j] for j) + c
J = (y - y_star)^2/2 + sum(v[j]^2 for j)/10
minimize J
"""
BATCH, SHARDS = ("x", "y_star"), 11


def load(number: int) -> dict[str, Any]:
    """40 to 42 examples; none in the fourth shard."""
    random = np.random.default_rng(number)
    x = random.normal(size=(0 if number == 3 else 40 + number % 3, 4))
    return {"x": x, "y_star": np.sin(x[:, 0])}


def loaders(count: int = SHARDS) -> list[Callable[[], dict[str, Any]]]:
    return [functools.partial(load, number) for number in range(count)]


def whole(count: int = SHARDS) -> dict[str, Any]:
    """The examples of all shards in one."""
    return {name: np.concatenate([load(number)[name] for number in range(count)]) for name in BATCH}


def params() -> dict[str, Any]:
    random = np.random.default_rng(99)
    return {"W": random.normal(size=(3, 4)), "v": random.normal(size=3), "c": 0.1}


def bits(found: tuple[Any, dict[str, Any]]) -> str:
    """A loss and its gradients to the last bit."""
    loss, grads = found
    return b"".join(np.asarray(each).tobytes() for each in (loss, *(grads[name] for name in sorted(grads)))).hex()


def local(**settings: Any) -> Any:
    return sg.distributed.LocalObjective(sg.parse(NETWORK), loaders(), BATCH, backend="numpy", **settings)
