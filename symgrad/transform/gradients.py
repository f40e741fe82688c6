"""grad(f, x[k]) in an equation, as in a gradient penalty: the derivative is derived and takes its place.

>>> from symgrad.frontend.text import parse
>>> print(expand_gradients(parse("f = sin(w*x); J = (grad(f, x) - t)^2")))
f = sin(w*x)
J = (x_bar - t)^2
x_bar = w*cos(w*x)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sympy import Expr

from symgrad.core.errors import SymgradError
from symgrad.core.expr import access, gradient, indices_of, name_of, nodes, replace_nodes
from symgrad.core.graph import ancestors
from symgrad.core.program import Origin, Program
from symgrad.transform.collect import collect
from symgrad.transform.reverse import adjoint_names, reverse


def expand_gradients(program: Program) -> Program:
    """The program with every grad(…) derived, inner ones first. Raises SG402, SG403, SG406, and SG407 for a ring."""
    while waiting := _gradients(program):
        ready = [loss for loss in waiting if not any(program.known(n) in _users(program) for n in ancestors(program, [loss]))]
        if not ready:
            raise SymgradError("SG407", f"grad({next(iter(waiting))}, …) needs its own value")
        program = _expanded(program, ready[0], waiting[ready[0]])
    return program


def _gradients(program: Program) -> dict[str, list[Expr]]:
    """The grad(…) of every quantity that is differentiated."""
    found: dict[str, list[Expr]] = {}
    for statement in program.statements:
        for node in nodes(statement.value):
            if node.func == gradient:
                found.setdefault(_loss(node, program), []).append(node)
    return found


def _users(program: Program) -> set[str]:
    return {s.name for s in program.statements if any(node.func == gradient for node in nodes(s.value))}


def _loss(node: Any, program: Program) -> str:
    name = program.known(name_of(node.args[0]))
    if name not in program.definitions:
        raise SymgradError("SG402", f"{name} is given, not defined, so it has no gradient")
    if program.tensors[name].axes:
        raise SymgradError("SG403", f"grad takes a scalar, and {name} has indices", hint=f"sum it first: s = sum({name}[…] for …)")
    return name


def _expanded(program: Program, loss: str, found: list[Expr]) -> Program:
    names = list(dict.fromkeys(name_of(node.args[1]) for node in found))
    joint = collect(reverse(program, loss, names), "one")
    bars = adjoint_names(joint, loss)
    for name in names:
        if name not in bars:
            raise SymgradError("SG406", f"{loss} does not depend on {name}")
    mapping = {node: access(bars[name_of(node.args[1])], *indices_of(node.args[1])) for node in found}
    statements = []
    for statement in joint.statements:
        value = replace_nodes(statement.value, mapping)
        changed = Origin(statement.origin.span, spans=statement.origin.spans)
        statements.append(statement if value == statement.value else replace(statement, value=value, origin=changed))
    return joint.with_statements(statements)
