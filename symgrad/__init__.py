"""symgrad: equations in index notation → their backward pass, printed and compiled."""

from symgrad import rates
from symgrad.checking import check
from symgrad.compiler import compile
from symgrad.core.errors import SymgradError
from symgrad.derivation import derive
from symgrad.frontend.files import read
from symgrad.frontend.latex import parse_latex
from symgrad.frontend.sympy import from_sympy
from symgrad.frontend.text import parse
from symgrad.operators import hessian, hvp, jacobian, jvp, vjp
from symgrad.printers.model import program_latex
from symgrad.train import SGD, Adagrad, Adam, AdamW, Diverged, Momentum, Nesterov, RMSProp

__all__ = [
    "SGD", "Adagrad", "Adam", "AdamW", "Diverged", "Momentum", "Nesterov", "RMSProp", "SymgradError", "check", "compile", "derive",
    "from_sympy", "hessian", "hvp", "jacobian", "jvp", "parse", "parse_latex", "program_latex", "rates", "read", "vjp",
]  # fmt: skip
