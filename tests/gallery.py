"""The models of examples/gallery and their published backward passes.

>>> lstm = GALLERY["lstm"]
>>> J, gradients = lstm.gradients(lstm.arrays(np.random.default_rng(0)))
>>> gradients["R_z"].shape, gradients["p_o"].shape
((5, 5), (5,))

The passes stand in tests/published, written out by hand in NumPy in the form of their papers. They know nothing of
symgrad; tests/test_gallery_references.py holds them to differences of their own losses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.published import attending, embeddings, images, likelihoods, networks, normalised, recurrent
from tests.published.likelihoods import hessian, hvp
from tests.published.normalised import batch_norm_adjoint

__all__ = ["GALLERY", "Published", "batch_norm_adjoint", "hessian", "hvp"]


@dataclass(frozen=True)
class Published:
    """A model's file from the project's root, small random arrays for it, and its published backward pass.

    `arrays` holds every input and param by its name in code (y_star, W_prime), axes of different lengths, integers as
    int64. `gradients` maps arrays to the loss and to the gradients by all params, and by real inputs where they are
    published; of the goal as written, so of L itself where L is maximised.
    """

    file: str
    arrays: Callable[[np.random.Generator], dict[str, Any]]
    gradients: Callable[[Mapping[str, Any]], tuple[float, dict[str, Any]]]


MODULES = {
    "lstm": recurrent,
    "gru": recurrent,
    "pendulum": recurrent,
    "batch_norm": normalised,
    "layer_norm": normalised,
    "attention": attending,
    "causal_attention": attending,
    "convolution": images,
    "max_pool": images,
    "vae": networks,
    "residual_mlp": networks,
    "cbow": embeddings,
    "masked_factorisation": embeddings,
    "softmax_cross_entropy": likelihoods,
}


def _published(name: str) -> Published:
    module = MODULES[name]
    return Published(f"examples/gallery/{name}.sg", getattr(module, f"{name}_arrays"), getattr(module, name))


GALLERY: dict[str, Published] = {name: _published(name) for name in MODULES}
