"""How large an expression is, where parts that stand in it twice are one object, and how deep it nests.

>>> import sympy as sp
>>> x = sp.Symbol("x")
>>> written_out(sp.sin(x) + sp.exp(sp.sin(x)))
6
>>> depth(sp.sin(x) + sp.exp(sp.sin(x)))
4
"""

from __future__ import annotations

from typing import Any

from symgrad.core.expr import nodes

# deeper values are cut into named parts before code is made of them: Python's own parser takes 200 brackets, and passes recurse
DEEPEST = 40


def written_out(expr: Any) -> int:
    """Parts of an expression with shared ones counted each time."""
    found: dict[Any, int] = {}
    for node in nodes(expr):
        found[node] = 1 + sum(found.get(arg, 0) for arg in node.args)
    return found[expr]


def depth(expr: Any) -> int:
    """Nodes on the longest way down."""
    found: dict[Any, int] = {}
    for node in nodes(expr):
        found[node] = 1 + max((found.get(arg, 0) for arg in node.args), default=0)
    return found[expr]


def is_deep(expr: Any) -> bool:
    return len(tuple(nodes(expr))) > DEEPEST and depth(expr) > DEEPEST
