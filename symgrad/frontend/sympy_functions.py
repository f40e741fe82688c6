"""Functions that a user defines in SymPy: Eq(Function("sigma")(u), 1/(1 + exp(-u))).

>>> sigma, u = sp.Function("sigma"), sp.Symbol("u")
>>> definitions([(sigma(u), 1 / (1 + sp.exp(-u)))])["sigma"].closed
True
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef

from symgrad.core.errors import SymgradError
from symgrad.core.graph import components
from symgrad.frontend.sympy_names import called_name, is_reducing, kind_of, leaves, name_in_code, quantity_name


@dataclass(frozen=True)
class Definition:
    """A function as SymPy has it. `closed`, `parts` and `uses` as in the text language: `frontend/convert.py`."""

    name: str
    parameters: tuple[str, ...]
    body: Any
    closed: bool = False
    parts: int = 0
    uses: tuple[int, ...] = ()

    @property
    def leaves(self) -> list[tuple[Any, str]]:
        """Those of the body that are no parameters."""
        found = leaves(self.body, "value")
        return [(leaf, place) for leaf, place in found if place in ("base", "access") or quantity_name(leaf) not in self.parameters]


def definitions(pairs: Iterable[tuple[Any, Any]]) -> dict[str, Definition]:
    """Functions by name. SG121, SG202, SG204, SG209; SG401 for functions that need each other."""
    out: dict[str, Definition] = {}
    for left, body in pairs:
        name = name_in_code(left.func.__name__)
        if name in out:
            raise SymgradError("SG202", f"the function {name} is defined twice", hint="give the second one another name")
        out[name] = Definition(name, _parameters(name, left.args), body)
    for name in out:
        if f"{name}_prime" in out:
            raise SymgradError("SG204", f"{name}' is the derivative of {name}", hint="choose another name")
    return _with_closed(out)


def _parameters(name: str, args: Sequence[Any]) -> tuple[str, ...]:
    for arg in args:
        if not isinstance(arg, sp.Symbol):
            hint = "a function is defined as Eq(f(u), …), with a Symbol for each argument"
            raise SymgradError("SG121", f"an argument of {name} on the left is {kind_of(arg)}", hint=hint)
    found = tuple(quantity_name(arg) for arg in args)
    if len(set(found)) < len(found) or not found:
        raise SymgradError("SG121", f"the function {name} needs a name of its own for each argument", hint="write Eq(f(u, v), …)")
    return found


def _with_closed(functions: Mapping[str, Definition]) -> dict[str, Definition]:
    """Which functions are of their parameters alone."""
    out: dict[str, Definition] = {}
    needs = {name: _called(definition.body, functions) for name, definition in functions.items()}
    for name, *others in components(needs):
        if others or name in needs[name]:
            group = [name, *others]
            ring = " → ".join([*reversed(group), group[-1]])
            raise SymgradError(
                "SG401", f"these functions need each other: {ring}", hint="a recurrence is an array: h[t] and h[t-1]"
            )
        definition = functions[name]
        if not definition.leaves and _is_plain(definition.body) and all(out[other].closed for other in needs[name]):
            parts, *uses = _weight(definition, out)
            definition = replace(definition, closed=True, parts=parts, uses=tuple(uses))
        out[name] = definition
    return {name: out[name] for name in functions}


def _called(body: Any, functions: Mapping[str, Definition]) -> list[str]:
    found = (called_name(node) for node in _nodes(body) if isinstance(node, AppliedUndef))
    return [name for name in dict.fromkeys(found) if name in functions]


def _is_plain(body: Any) -> bool:
    return not any(isinstance(node, (sp.Sum, sp.Product, sp.Derivative)) or is_reducing(node) for node in _nodes(body))


def _nodes(root: Any) -> list[Any]:
    """Every distinct node, arguments after what they stand in."""
    found: dict[Any, None] = {}
    stack = [root]
    while stack:
        node = stack.pop()
        if node not in found:
            found[node] = None
            stack.extend(reversed(node.args))
    return list(found)


def _weight(definition: Definition, known: Mapping[str, Definition]) -> list[int]:
    """How many parts the body has with functions put in, and how often it then holds each parameter."""
    found: dict[Any, list[int]] = {}

    def walk(node: Any) -> list[int]:
        if isinstance(node, sp.Symbol):
            return [0, *(int(quantity_name(node) == name) for name in definition.parameters)]
        if node not in found:
            inner = [walk(arg) for arg in node.args]
            own = known.get(called_name(node)) if isinstance(node, AppliedUndef) else None
            factors = own.uses if own and len(own.uses) == len(inner) else [1] * len(inner)
            sums = [sum(f * row[k] for f, row in zip(factors, inner, strict=True)) for k in range(len(definition.parameters) + 1)]
            found[node] = [(own.parts if own else 1) + sums[0], *sums[1:]]
        return found[node]

    return walk(definition.body)
