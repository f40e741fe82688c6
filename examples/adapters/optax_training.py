"""optax's optimizers on a kernel: parameters in a tree of layers, gradients in the same tree.

python examples/adapters/optax_training.py
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import optax

import symgrad as sg

NETWORK = """
index i in 1..M, j in 1..H
input x[i], y^*
param W[j,i], c[j], v[j], d
z[j] = tanh(sum(W[j,i]*x[i] for i) + c[j])
y = sigmoid(sum(v[j]*z[j] for j) + d)
J = y^* * log(y) + (1 - y^*)*log(1 - y)
maximize J
"""


def train(steps: int = 200) -> tuple[dict[str, Any], list[float]]:
    """The trained tree and -J at every step: the model says maximize, optax goes downhill, so `tree` gives -J."""
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, size=(200, 2))
    target = (x[:, 0] * x[:, 1] > 0).astype(float)
    params: Any = {
        "hidden": {"W": jnp.asarray(random.normal(size=(8, 2))), "c": jnp.zeros(8)},
        "output": {"v": jnp.asarray(random.normal(size=8) / 8), "d": jnp.zeros(())},
    }
    kernel = sg.compile(sg.parse(NETWORK), batch=["x", "y_star"])
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(0.1, steps)))
    state, losses = optimizer.init(params), []
    for _ in range(steps):
        loss, grads = kernel.tree(params, x=x, y_star=target)
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        losses.append(float(loss))
    return params, losses


if __name__ == "__main__":
    _, losses = train()
    print(f"-J: {losses[0]:.3f} → {losses[-1]:.3f}")
