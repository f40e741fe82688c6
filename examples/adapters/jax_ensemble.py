"""Many starts of one network at once: JAX's jit, vmap and scan around a compiled kernel.

python examples/adapters/jax_ensemble.py
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

import symgrad as sg

NETWORK = """
index j in 1..H
input x, y^*
param v[j], w[j], c[j]
z[j] = tanh(w[j]*x + c[j])
y = sum(v[j]*z[j] for j)
J = (y - y^*)^2/2
minimize J
"""
Params = dict[str, Any]


def train(members: int = 6, hidden: int = 8, steps: int = 300, rate: float = 0.2) -> tuple[Params, Any]:
    """The networks' parameters, a member each row, and their losses, from random starts."""
    loss = sg.adapters.jax.function(sg.parse(NETWORK), batch=["x", "y_star"])
    x = jnp.linspace(-2, 2, 40)
    target = jnp.sin(2 * x)
    keys = jax.random.split(jax.random.key(0), 3)
    start = {name: jax.random.normal(key, (members, hidden)) for name, key in zip("vwc", keys, strict=True)}

    def one(params: Params) -> Any:
        return loss(**params, x=x, y_star=target)

    def step(params: Params, _: Any) -> tuple[Params, Any]:
        value, grads = jax.vmap(jax.value_and_grad(one))(params)
        return jax.tree.map(lambda p, g: p - rate * g, params, grads), value

    return jax.jit(lambda params: jax.lax.scan(step, params, None, length=steps))(start)


if __name__ == "__main__":
    _, losses = train()
    for member, (first, last) in enumerate(zip(losses[0], losses[-1], strict=True), 1):
        print(f"start {member}: J = {first:.3f} → {last:.4f}")
