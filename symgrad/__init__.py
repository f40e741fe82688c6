"""symgrad: equations in index notation → their backward pass, printed and compiled.

The names below are imported when they are first used: a program that compiles a kernel need not wait for the printers.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symgrad import adapters, distributed, rates
    from symgrad.checking import check
    from symgrad.compiler import compile
    from symgrad.core.errors import SymgradError, SymgradWarning
    from symgrad.derivation import derive
    from symgrad.frontend.files import read
    from symgrad.frontend.latex import parse_latex
    from symgrad.frontend.sympy import from_sympy
    from symgrad.frontend.text import parse
    from symgrad.loading import load
    from symgrad.operators import hessian, hvp, jacobian, jvp, vjp
    from symgrad.printers.model import program_latex
    from symgrad.train import SGD, Adagrad, Adam, AdamW, Diverged, Momentum, Nesterov, RMSProp

__all__ = [
    "SGD", "Adagrad", "Adam", "AdamW", "Diverged", "Momentum", "Nesterov", "RMSProp", "SymgradError", "SymgradWarning", "adapters",
    "check", "compile", "derive", "distributed", "from_sympy", "hessian", "hvp", "jacobian", "jvp", "load", "parse",
    "parse_latex", "program_latex", "rates", "read", "vjp",
]  # fmt: skip

_HOMES = {
    "adapters": ("adapters",),
    "checking": ("check",),
    "compiler": ("compile",),
    "core.errors": ("SymgradError", "SymgradWarning"),
    "derivation": ("derive",),
    "distributed": ("distributed",),
    "frontend.files": ("read",),
    "frontend.latex": ("parse_latex",),
    "frontend.sympy": ("from_sympy",),
    "frontend.text": ("parse",),
    "loading": ("load",),
    "operators": ("hessian", "hvp", "jacobian", "jvp", "vjp"),
    "printers.model": ("program_latex",),
    "rates": ("rates",),
    "train": ("SGD", "Adagrad", "Adam", "AdamW", "Diverged", "Momentum", "Nesterov", "RMSProp"),
}
_MODULES = ("adapters", "distributed", "rates")  # public names that are modules themselves
_HOME = {name: f"symgrad.{module}" for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'symgrad' has no attribute {name!r}")
    home = import_module(_HOME[name])
    value = globals()[name] = home if name in _MODULES else getattr(home, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
