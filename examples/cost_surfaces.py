"""Cross-entropy beside quadratic cost as functions of two weights, one in each layer of a small network.

The picture of Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks" (2010), figure 5:
the quadratic cost has wide plateaus where the cross-entropy still has a slope.

    python examples/cost_surfaces.py cost_surfaces.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import symgrad as sg

NETWORK = """
input x, y^*
param w, v
z = tanh(w*x)
y = 1/(1 + exp(-v*z))
"""
LOSSES = {
    "cross-entropy": "J = -(y^* * log(y) + (1 - y^*)*log(1 - y)); minimize J",
    "quadratic cost": "J = (y - y^*)^2/2; minimize J",
}
REACH, POINTS, EXAMPLES = 5.0, 61, 64


def data(seed: int = 0) -> dict[str, np.ndarray]:
    """Inputs and targets that one weight in each layer can fit, but for one label in ten."""
    random = np.random.default_rng(seed)
    x = random.normal(size=EXAMPLES)
    return {"x": x, "y_star": np.where(random.random(EXAMPLES) < 0.1, x <= 0, x > 0).astype(float)}


def surface(loss: str, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean loss and the length of its gradient at every pair (w, v), each of shape (len(weights), len(weights))."""
    kernel = sg.compile(sg.parse(NETWORK + LOSSES[loss]), batch=["x", "y_star"])
    examples = data()
    pairs = [[kernel(w=w, v=v, **examples) for v in weights] for w in weights]
    value = [[J for J, _ in row] for row in pairs]
    slope = [[np.hypot(grads["w"], grads["v"]) for _, grads in row] for row in pairs]
    return np.array(value, dtype=float), np.array(slope, dtype=float)


def picture(path: Path) -> None:
    """Both surfaces in one frame, and beside them the lengths of their gradients along w = v."""
    from matplotlib.figure import Figure

    weights = np.linspace(-REACH, REACH, POINTS)
    w, v = np.meshgrid(weights, weights, indexing="ij")
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    space, plane = figure.add_subplot(1, 2, 1, projection="3d"), figure.add_subplot(1, 2, 2)
    for loss, colour in zip(LOSSES, ("black", "tab:red"), strict=True):
        value, slope = surface(loss, weights)
        space.plot_wireframe(w, v, value, rcount=25, ccount=25, color=colour, linewidth=0.6, label=loss)
        plane.plot(weights, np.diagonal(slope), color=colour, label=loss)
    space.set(xlabel="w (first layer)", ylabel="v (second layer)", zlabel="mean loss")
    space.view_init(elev=22, azim=-60)
    space.legend(loc="upper left")
    plane.set(xlabel="w = v", ylabel="length of the gradient")
    plane.grid(alpha=0.3)
    plane.legend()
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/cost_surfaces.py PICTURE.png")
    if Path(sys.argv[1]).exists():
        sys.exit(f"{sys.argv[1]} exists already")
    picture(Path(sys.argv[1]))
