"""symgrad: equations in index notation → their backward pass, printed and compiled."""

from symgrad.compiler import compile
from symgrad.core.errors import SymgradError
from symgrad.derivation import derive
from symgrad.frontend.text import parse

__all__ = ["SymgradError", "compile", "derive", "parse"]
