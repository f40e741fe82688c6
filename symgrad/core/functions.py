"""The table of scalar functions: one row each, used by parsers, reverse mode, oracle, printers and backends.

A partial is written in the arguments and the result `y` of the call, so that tanh' is 1 - y**2 and
nothing is computed twice. Conventions: relu'(0) = 0, abs'(0) = 0, a tie of max or min goes to the first.

>>> FUNCTIONS["tanh"].partial(0, (sp.Symbol("u"),), sp.Symbol("y"))
1 - y**2
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import sympy as sp
from sympy import Expr, Function

from symgrad.core.expr import where

Args = tuple[Expr, ...]
Partial = Callable[[int, Args, Expr], Expr]


@dataclass(frozen=True)
class ScalarFunction:
    """One row. `partial(place, args, y)` is the derivative by one argument. `code` is the NumPy
    spelling, the same for numba's scalars and for whole arrays.

    `arity` None means two or more arguments. `latex` None means an operator name.
    """

    name: str
    head: Any
    partial: Partial
    reference: Callable[..., Any]
    code: str
    arity: int | None = 1
    spellings: tuple[str, ...] = ()
    latex: str | None = None
    text: str | None = None
    simple: bool = False  # written without brackets before a simple argument, as in log y


def _undefined(name: str) -> Any:
    return Function(name)


def _chosen(place: int, args: Args, beats: Any) -> Expr:
    """1 where argument `place` is the first extreme one."""
    value: Expr = sp.S.One
    for other, arg in enumerate(args):
        if other != place:
            # an earlier argument keeps a tie, so a later one must be strictly better
            strict = sp.Gt if beats is sp.Ge else sp.Lt
            test = (strict if other < place else beats)(args[place], arg, evaluate=False)
            value = where(test, value, sp.S.Zero)
    return value


_SQRT2, _SQRT_PI = sp.sqrt(2), sp.sqrt(sp.pi)


def _phi(u: Expr) -> Expr:
    return sp.exp(-(u**2) / 2) / sp.sqrt(2 * sp.pi)


def _row(name: str, head: Any, partial: Callable[[Expr, Expr], Expr], reference: Any, code: str, **more: Any) -> ScalarFunction:
    return ScalarFunction(name, head, lambda place, args, y: partial(args[0], y), reference, code, **more)


def _logistic(u: Any) -> Any:
    return 1 / (1 + mpmath.exp(-u))


def _gelu(u: Any) -> Any:
    return u * mpmath.ncdf(u)


ROWS: tuple[ScalarFunction, ...] = (
    _row("exp", sp.exp, lambda u, y: y, mpmath.exp, "np.exp({0})"),
    _row("log", sp.log, lambda u, y: 1 / u, mpmath.log, "np.log({0})", spellings=("ln",), simple=True),
    _row("sin", sp.sin, lambda u, y: sp.cos(u), mpmath.sin, "np.sin({0})", simple=True),
    _row("cos", sp.cos, lambda u, y: -sp.sin(u), mpmath.cos, "np.cos({0})", simple=True),
    _row("tan", sp.tan, lambda u, y: 1 + y**2, mpmath.tan, "np.tan({0})", simple=True),
    _row(
        "asin",
        sp.asin,
        lambda u, y: 1 / sp.sqrt(1 - u**2),
        mpmath.asin,
        "np.arcsin({0})",
        spellings=("arcsin",),
        latex=r"\arcsin",
        text="arcsin",
    ),
    _row(
        "acos",
        sp.acos,
        lambda u, y: -1 / sp.sqrt(1 - u**2),
        mpmath.acos,
        "np.arccos({0})",
        spellings=("arccos",),
        latex=r"\arccos",
        text="arccos",
    ),
    _row(
        "atan",
        sp.atan,
        lambda u, y: 1 / (1 + u**2),
        mpmath.atan,
        "np.arctan({0})",
        spellings=("arctan",),
        latex=r"\arctan",
        text="arctan",
    ),
    _row("sinh", sp.sinh, lambda u, y: sp.cosh(u), mpmath.sinh, "np.sinh({0})", simple=True),
    _row("cosh", sp.cosh, lambda u, y: sp.sinh(u), mpmath.cosh, "np.cosh({0})", simple=True),
    _row("tanh", sp.tanh, lambda u, y: 1 - y**2, mpmath.tanh, "np.tanh({0})", simple=True),
    _row("abs", sp.Abs, lambda u, y: sp.sign(u), mpmath.fabs, "np.abs({0})"),
    _row("sign", sp.sign, lambda u, y: sp.S.Zero, mpmath.sign, "np.sign({0})", spellings=("sgn",)),
    _row("erf", sp.erf, lambda u, y: 2 * sp.exp(-(u**2)) / _SQRT_PI, mpmath.erf, "_erf({0})"),
    _row("expm1", _undefined("expm1"), lambda u, y: y + 1, mpmath.expm1, "np.expm1({0})"),
    _row("log1p", _undefined("log1p"), lambda u, y: 1 / (1 + u), mpmath.log1p, "np.log1p({0})"),
    _row(
        "logistic",
        _undefined("logistic"),
        lambda u, y: y * (1 - y),
        _logistic,
        "_logistic({0})",
        spellings=("sigmoid", "expit"),
        latex=r"\sigma",
        text="σ",
    ),
    _row(
        "softplus",
        _undefined("softplus"),
        lambda u, y: Function("logistic")(u),
        lambda u: mpmath.log1p(mpmath.exp(u)),
        "_softplus({0})",
    ),
    _row(
        "relu",
        _undefined("relu"),
        lambda u, y: where(sp.Gt(u, 0, evaluate=False), sp.S.One, sp.S.Zero),
        lambda u: u if u > 0 else mpmath.mpf(0),
        "np.maximum({0}, {zero})",
    ),
    _row("gelu", _undefined("gelu"), lambda u, y: (1 + sp.erf(u / _SQRT2)) / 2 + u * _phi(u), _gelu, "_gelu({0})"),
    _row(
        "silu",
        _undefined("silu"),
        lambda u, y: Function("logistic")(u) * (1 + u * (1 - Function("logistic")(u))),
        lambda u: u * _logistic(u),
        "_silu({0})",
        spellings=("swish",),
    ),
    ScalarFunction(
        "max",
        _undefined("maximum"),
        lambda place, args, y: _chosen(place, args, sp.Ge),
        max,
        "np.maximum({0}, {1})",
        arity=None,
        latex=r"\max",
        spellings=("maximum",),
    ),
    ScalarFunction(
        "min",
        _undefined("minimum"),
        lambda place, args, y: _chosen(place, args, sp.Le),
        min,
        "np.minimum({0}, {1})",
        arity=None,
        latex=r"\min",
        spellings=("minimum",),
    ),
)

FUNCTIONS: dict[str, ScalarFunction] = {spelling: row for row in ROWS for spelling in (row.name, *row.spellings)}
BY_HEAD: dict[Any, ScalarFunction] = {row.head: row for row in ROWS}
