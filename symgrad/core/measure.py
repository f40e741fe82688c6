"""How large an expression is, where parts that stand in it twice are one object.

>>> import sympy as sp
>>> x = sp.Symbol("x")
>>> written_out(sp.sin(x) + sp.exp(sp.sin(x)))
6
"""

from __future__ import annotations

from typing import Any

from symgrad.core.expr import nodes


def written_out(expr: Any) -> int:
    """Parts of an expression with shared ones counted each time."""
    found: dict[Any, int] = {}
    for node in nodes(expr):
        found[node] = 1 + sum(found.get(arg, 0) for arg in node.args)
    return found[expr]
