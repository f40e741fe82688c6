"""Arrays of any library that speaks DLPack, in and out of a kernel without a copy.

In: every kernel takes them, `k(w=tensor)`, and reads them where they lie, in the processor's memory; others are refused (SG631).
Out: `function(k, torch.from_dlpack)` gives J and gradients as arrays of that library, on the memory of NumPy's.

>>> import numpy as np, symgrad as sg
>>> k = sg.compile(sg.parse("param w[j]; J = sum(w[j]^2 for j)"), backend="numpy")
>>> J, grads = function(k, np.from_dlpack)(w=np.array([3.0, 4.0]))
>>> J.shape, float(J), grads["w"]
((), 25.0, array([6., 8.]))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from symgrad.kernel import Kernel


def function(kernel: Kernel, from_dlpack: Callable[[Any], Any]) -> Callable[..., tuple[Any, dict[str, Any]]]:
    """The kernel with results of another library: from_dlpack is its function of that name, `jax.dlpack.from_dlpack` say.

    Numbers become arrays without axes. No derivative is known to that library: see `sg.adapters.torch` and `sg.adapters.jax`.
    """

    def value_and_grad(**arrays: Any) -> tuple[Any, dict[str, Any]]:
        value, grads = kernel(**arrays)
        return from_dlpack(np.asarray(value)), {name: from_dlpack(np.asarray(each)) for name, each in grads.items()}

    return value_and_grad
