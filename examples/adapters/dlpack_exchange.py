"""Arrays of another library in and out of a kernel, without a copy: here PyTorch's, else NumPy's own.

python examples/adapters/dlpack_exchange.py
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import symgrad as sg

MODEL = "index i in 1..N; param w[i]; input x[i]; J = sum(w[i]*x[i] for i)^2/2; minimize J"


def exchange(from_dlpack: Callable[[Any], Any]) -> tuple[Any, dict[str, Any]]:
    """J and its gradient as arrays of the library whose `from_dlpack` this is, from arrays of that library."""
    kernel = sg.adapters.dlpack.function(sg.compile(sg.parse(MODEL)), from_dlpack)
    return kernel(w=from_dlpack(np.arange(3.0)), x=from_dlpack(np.ones(3)))


if __name__ == "__main__":
    try:
        from torch import from_dlpack
    except ImportError:
        from_dlpack = np.from_dlpack
    print(exchange(from_dlpack))
