"""The naive formulas of `tests.reliability.stable` as other tools compute them: value and slope at a logit, as it is written.

Each peer is imported on use (extra `bench`); a tool that is not installed has no column.

>>> text_value("p = x^2; y = p + 1", 3.0, {})
10.0
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

Functions = Mapping[str, Callable[[Any], Any]]
Slopes = Callable[[float], tuple[float, float]]
BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv, ast.Pow: operator.pow,
}  # fmt: skip
NAMES = ("exp", "log", "tanh")


def text_value(text: str, x: Any, functions: Functions) -> Any:
    """y of equations `a = …; y = …` over x, operation by operation."""
    names = {"x": x}

    def value(node: ast.expr) -> Any:
        match node:
            case ast.BinOp(left, op, right):
                return BINARY[type(op)](value(left), value(right))
            case ast.UnaryOp(ast.USub(), operand):
                return -value(operand)
            case ast.Call(ast.Name(name), [argument]):
                return functions[name](value(argument))
            case ast.Constant(number):
                return number
            case ast.Name(name):
                return names[name]
        raise NotImplementedError(ast.dump(node))

    for line in ast.parse(text.replace("^", "**").replace("; ", "\n")).body:
        assert isinstance(line, ast.Assign)
        assert isinstance(line.targets[0], ast.Name)
        names[line.targets[0].id] = value(line.value)
    return names["y"]


def _jax(text: str) -> Slopes:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    both = jax.jit(jax.value_and_grad(lambda x: text_value(text, x, {name: getattr(jnp, name) for name in NAMES})))

    def run(logit: float) -> tuple[float, float]:
        value, slope = both(logit)
        return float(value), float(slope)

    return run


def _torch(text: str) -> Slopes:
    import torch

    def of_tensors(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda value: function(torch.as_tensor(value, dtype=torch.float64))

    functions = {name: of_tensors(getattr(torch, name)) for name in NAMES}

    def run(logit: float) -> tuple[float, float]:
        x = torch.tensor(logit, dtype=torch.float64, requires_grad=True)
        y = text_value(text, x, functions)
        y.backward()
        return float(y.detach()), float(x.grad)

    return run


def _casadi(text: str) -> Slopes:
    import casadi

    x = casadi.SX.sym("x")
    y = text_value(text, x, {name: getattr(casadi, name) for name in NAMES})
    both = casadi.Function("both", [x], [y, casadi.gradient(y, x)])

    def run(logit: float) -> tuple[float, float]:
        value, slope = both(logit)
        return float(value), float(slope)

    return run


def _pytensor(text: str) -> Slopes:
    import pytensor
    import pytensor.tensor as pt

    x = pt.dscalar("x")
    y = text_value(text, x, {name: getattr(pt, name) for name in NAMES})
    both = pytensor.function([x], [y, pytensor.grad(y, x)])

    def run(logit: float) -> tuple[float, float]:
        value, slope = both(logit)
        return float(value), float(slope)

    return run


PEERS: dict[str, Callable[[str], Slopes]] = {"jax": _jax, "torch": _torch, "casadi": _casadi, "pytensor": _pytensor}
