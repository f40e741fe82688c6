"""Parameters by name ↔ one vector: where each of them begins and ends.

>>> import numpy as np
>>> layout = Layout.of({"W": np.eye(2), "c": np.float64(3)})
>>> theta = layout.vector({"W": np.eye(2), "c": 3.0})
>>> theta
array([1., 0., 0., 1., 3.])
>>> layout.views(theta)["W"].shape, float(layout.views(theta)["c"])
((2, 2), 3.0)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np

from symgrad.core.errors import SymgradError


@dataclass(frozen=True)
class Layout:
    """`shapes` of the parameters, in the order in which they follow each other in the vector, each row by row."""

    shapes: Mapping[str, tuple[int, ...]]

    @staticmethod
    def of(arrays: Mapping[str, Any]) -> Layout:
        return Layout({name: np.shape(array) for name, array in arrays.items()})

    @cached_property
    def _places(self) -> tuple[tuple[str, Any, Any], ...]:
        """(name, place or slice, shape where it has to be given one): what a call does for each parameter is little."""
        ends = list(accumulate(math.prod(shape) for shape in self.shapes.values()))
        starts = [0, *ends[:-1]]
        return tuple(
            (name, slice(start, end) if shape else start, shape if len(shape) > 1 else None)
            for (name, shape), start, end in zip(self.shapes.items(), starts, ends, strict=True)
        )

    @cached_property
    def size(self) -> int:
        return sum(math.prod(shape) for shape in self.shapes.values())

    def views(self, theta: Any) -> dict[str, Any]:
        """Each parameter as a view of the vector; one without axes is a number."""
        return {name: theta[at] if shape is None else theta[at].reshape(shape) for name, at, shape in self._places}

    def vector(self, arrays: Mapping[str, Any]) -> Any:
        """A new vector of all of them, float64."""
        out = np.empty(self.size)
        for name, at, shape in self._places:
            out[at] = arrays[name] if shape is None else arrays[name].reshape(-1)
        return out

    def check(self, theta: Any, dtype: str, name: str = "theta") -> Any:
        """A vector of that type and of the right length. Raises SG633."""
        try:
            found = np.asarray(theta, dtype)
        except (TypeError, ValueError):
            raise SymgradError("SG633", f"{name} is no vector of numbers, but a {type(theta).__name__}") from None
        if found.shape != (self.size,):
            parts = ", ".join(f"{name} {shape}" for name, shape in self.shapes.items())
            message = f"{name} has shape {found.shape}, and the parameters {parts} take ({self.size},)"
            raise SymgradError("SG633", message, hint="pass a vector of that length")
        return found
