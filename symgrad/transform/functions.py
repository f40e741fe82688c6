"""Functions that the user defined: their derivatives as functions too, and their bodies put in.

>>> from symgrad.frontend.text import parse
>>> print(expand(parse("s(u) = 1/(1 + exp(-u)); J = s(w*x)^2")))
J = 1/(exp(-w*x) + 1)^2
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from sympy import Expr

from symgrad.core.errors import SymgradError
from symgrad.core.expr import is_call, nodes, rewrite, split_call, substitute
from symgrad.core.program import Function, Origin, Program
from symgrad.transform.linearize import derivative


def complete(program: Program) -> Program:
    """The program with a body for every derivative of a function that it calls."""
    if not program.functions:
        return program
    functions = dict(program.functions)
    waiting = _called(statement.value for statement in program.statements)
    while waiting:
        name = waiting.pop()
        if name not in functions:
            functions[name] = _derivative(name, functions, waiting)
            waiting |= _called([functions[name].body])
    return program if len(functions) == len(program.functions) else replace(program, functions=functions)


def _called(values: Iterable[Expr]) -> set[str]:
    return {split_call(node)[0] for value in values for node in nodes(value) if is_call(node)}


def _derivative(name: str, functions: dict[str, Function], waiting: set[str]) -> Function:
    """f' from f, f'' from f', f_2' from f: the name says which."""
    stem = name.removesuffix("_prime")
    base, _, place = stem.rpartition("_")
    if stem in functions or not place.isdigit():
        base, place = stem, "1"  # f'' of f' that nothing calls
    if base not in functions:
        functions[base] = _derivative(base, functions, waiting)
    function = functions[base]
    return Function(function.parameters, derivative(function.body, function.parameters[int(place) - 1]))


def expand(program: Program) -> Program:
    """Every call of a user's function replaced by its body."""
    if not program.functions:
        return program
    functions = complete(program).functions
    statements = []
    for statement in program.statements:
        value = rewrite(statement.value, lambda node: _body(node, functions))
        origin = statement.origin if value == statement.value else Origin(statement.origin.span, spans=statement.origin.spans)
        statements.append(replace(statement, value=value, origin=origin))
    return replace(program.with_statements(statements), functions={})


def _body(node: Any, functions: Mapping[str, Function]) -> Any:
    if not is_call(node):
        return node
    name, args = split_call(node)
    function = functions[name]
    body = substitute(function.body, dict(zip(function.parameters, args, strict=True)))
    value = rewrite(body, lambda inner: _body(inner, functions)) if any(map(is_call, nodes(body))) else body
    if not value.is_finite and value.is_number:
        raise SymgradError("SG117", f"{name}({', '.join(map(str, args))}) is no finite real number")
    return value
