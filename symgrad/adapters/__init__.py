"""Kernels in other libraries: one module for each, imported when it is first used.

    sg.adapters.scipy     minimize, least_squares, Hessian times vector        (k.flat)
    sg.adapters.sklearn   SymgradClassifier, SymgradRegressor
    sg.adapters.torch     autograd functions and modules
    sg.adapters.jax       functions with a custom derivative, under jit and vmap
    sg.adapters.dlpack    results as arrays of any library that reads DLPack
    sg.adapters.tree      parameters in nested dicts, as optax has them        (k.tree)

>>> import symgrad as sg
>>> sg.adapters.scipy.__name__
'symgrad.adapters.scipy'
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from symgrad.core.errors import SymgradError

if TYPE_CHECKING:
    from symgrad.adapters import dlpack, jax, scipy, sklearn, torch, tree

# module → what `pip install` calls the library that it imports; those without one need NumPy alone
LIBRARIES = {"dlpack": "", "jax": "jax", "scipy": "", "sklearn": "scikit-learn", "torch": "torch", "tree": ""}
__all__ = ["dlpack", "jax", "scipy", "sklearn", "torch", "tree"]


def __getattr__(name: str) -> Any:
    """Raises SG611 where the library is not installed."""
    if name not in LIBRARIES:
        raise AttributeError(f"module 'symgrad.adapters' has no attribute {name!r}")
    try:
        return import_module(f"symgrad.adapters.{name}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != name:
            raise
        library = LIBRARIES[name]
        message = f"sg.adapters.{name} needs {library}, which is not installed"
        raise SymgradError("SG611", message, hint=f"pip install {library}") from None


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
