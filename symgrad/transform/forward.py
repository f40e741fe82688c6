"""Program → its tangent statements: forward mode, from the same triples as reverse mode.

T_dot[f] += partial * R_dot[g]. Used as the second opinion on reverse mode: <Jv, w> = <v, J'w>.
"""

from __future__ import annotations

from collections.abc import Iterable

from symgrad.core.expr import access, indices_of, name_of
from symgrad.core.graph import descendants
from symgrad.core.program import Program, Statement, Tensor
from symgrad.transform.functions import complete
from symgrad.transform.linearize import linearize


def forward(program: Program, wrt: Iterable[str]) -> Program:
    """The program with a tangent `…_dot` for all that depends on `wrt`; the tangents of `wrt` are inputs."""
    wrt = tuple(program.known(name) for name in wrt)
    active = descendants(program, wrt)
    names = {name: program.unused_name(f"{name}_dot") for name in program.tensors if name in active}
    statements = []
    for statement in program.statements:
        if statement.name not in active:
            continue
        target = access(names[statement.name], *indices_of(statement.target))
        alone = program.alone(statement)
        for term in linearize(statement, frozenset(names), alone):
            tangent = access(names[name_of(term.read)], *indices_of(term.read))
            statements.append(Statement(target, term.partial * tangent, term.domain, "sum"))
    tensors = [Tensor(dot, program.tensors[name].axes, "input" if name in wrt else "defined") for name, dot in names.items()]
    return complete(program.with_statements([*program.statements, *statements], tensors))
