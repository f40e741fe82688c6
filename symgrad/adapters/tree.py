"""Parameters in nested dicts, as optax and other libraries hold them ↔ arrays by name.

The last key of an array is the name of the quantity; the dicts around it are the user's own.

>>> import symgrad as sg
>>> k = sg.compile(sg.parse("param w, c; J = (w*x + c)^2"), wrt=["w", "c"], backend="numpy")
>>> J, grads = value_and_grad(k, {"layer": {"w": 2.0}, "c": 1.0}, x=3.0)
>>> float(grads["layer"]["w"]), float(grads["c"])
(42.0, 14.0)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from symgrad.core.errors import SymgradError, did_you_mean
from symgrad.kernel import Kernel

DEEPEST = 100


def value_and_grad(kernel: Kernel, params: Mapping[str, Any], /, **data: Any) -> tuple[Any, dict[str, Any]]:
    """See `Kernel.tree`."""
    given = leaves(kernel, params)
    twice = next((name for name in data if name in given), None)
    if twice is not None:
        raise SymgradError("SG633", f"{twice} stands in the tree and among the data", hint="pass it once")
    value, grads = kernel(**given, **data)
    if kernel.uphill:
        value, grads = -value, {name: -each for name, each in grads.items()}
    found: dict[str, Any] = like(params, grads)
    return value, found


def leaves(kernel: Kernel, params: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays of a tree by name. Raises SG609 (not in wrt), SG633 (no dict, no name, twice or missing)."""
    found: dict[str, Any] = {}
    for path, value in _walk(params, ()):
        name = path[-1]
        if name in found:
            raise SymgradError("SG633", f"{name} stands in the tree twice, again at {'.'.join(path)}", hint="give each once")
        if name not in kernel.wrt:
            known = f"it has gradients by {', '.join(kernel.wrt)}"
            message = f"the tree has {'.'.join(path)}, and the kernel has no gradient by {name}"
            raise SymgradError("SG609", message, hint=did_you_mean(name, kernel.wrt) or known)
        found[name] = value
    missing = [name for name in kernel.wrt if name not in found]
    if missing:
        hint = f"it needs {', '.join(kernel.wrt)}; compile with wrt=[…] to train fewer"
        raise SymgradError("SG633", f"the tree of parameters has no {missing[0]}", hint=hint)
    return found


def like(tree: Mapping[str, Any], arrays: Mapping[str, Any]) -> dict[str, Any]:
    """A tree of the same form with the arrays of those names, each of its leaf's type: optimizers keep their state in that."""
    return {key: like(value, arrays) if isinstance(value, Mapping) else _typed(arrays[key], value) for key, value in tree.items()}


def _typed(array: Any, leaf: Any) -> Any:
    dtype = getattr(leaf, "dtype", None)
    plain = not isinstance(dtype, np.dtype) or dtype == array.dtype or dtype.kind in "biuO"
    return array if plain else array.astype(dtype)


def _walk(tree: Any, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not isinstance(tree, Mapping):
        message = f"the parameters are a {type(tree).__name__}, not a dict of arrays by name"
        raise SymgradError("SG633", message, hint='pass {"w": …}, dicts in dicts if you like')
    if len(above) > DEEPEST:
        raise SymgradError("SG633", f"the tree of parameters is more than {DEEPEST} dicts deep", hint="does it hold itself?")
    for key, value in tree.items():
        if not isinstance(key, str):
            raise SymgradError("SG633", f"the tree of parameters has the key {key!r}, which is no name", hint="name quantities")
        path = (*above, key)
        if isinstance(value, Mapping):
            yield from _walk(value, path)
        else:
            yield path, value
