"""Program → its tangent statements: forward mode, from the same triples as reverse mode.

T_dot[f] += partial * R_dot[g]. Used as the second opinion on reverse mode: <Jv, w> = <v, J'w>.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from symgrad.core.errors import SymgradError
from symgrad.core.expr import access, indices_of, name_of
from symgrad.core.graph import descendants, topological
from symgrad.core.program import Program, Statement, Tensor
from symgrad.transform.functions import complete
from symgrad.transform.linearize import inside, linearize, reals_of


def forward(program: Program, wrt: Iterable[str]) -> Program:
    """The program with a tangent `…_dot` for all that depends on `wrt`, as raw `+=`; the tangents of `wrt` are inputs."""
    wrt = tuple(wrt)
    names = tangent_names(program, wrt)
    found = _reached(program, wrt, names)
    statements = [tangent for statement in program.statements for tangent in found.get(id(statement), ())]
    moved = {*wrt, *(statement.name for statement in program.statements if found.get(id(statement)))}
    tensors = [Tensor(dot, program.tensors[n].axes, "input" if n in wrt else "defined") for n, dot in names.items() if n in moved]
    return complete(program.with_statements([*program.statements, *statements], tensors))


def tangent_names(program: Program, wrt: Iterable[str]) -> dict[str, str]:
    """Quantity → its tangent, for all that depends on `wrt`. Raises SG203, SG405."""
    wrt = reals_of(program, wrt)
    active = descendants(program, wrt)
    return {name: program.unused_name(f"{name}_dot") for name in program.tensors if name in active}


def _reached(program: Program, wrt: tuple[str, ...], names: dict[str, str]) -> dict[int, list[Statement]]:
    """The tangents of every statement (by identity) that a change of `wrt` comes to: not through stop or sign."""
    found: dict[int, list[Statement]] = {}
    failed: dict[str, SymgradError] = {}
    active = frozenset(names)
    order = [s for name in topological(program.needs) if name in names for s in program.definitions.get(name, ())]
    for statement in order:
        try:
            found[id(statement)] = list(_tangents(statement, names, active, program))
        except SymgradError as error:
            failed[names[statement.name]] = error  # no matter, where nothing reads it
    live = {names[name] for name in wrt}
    grown = True
    while grown:  # once for what is no recurrence
        new = {s.name for tangents in found.values() for s in tangents if not live.isdisjoint(s.read_names)} - live
        grown, live = bool(new), live | new
    kept = {k: [t for t in tangents if not live.isdisjoint(t.read_names)] for k, tangents in found.items()}
    for tangent in (t for tangents in kept.values() for t in tangents):
        for name in tangent.read_names:
            if name in failed:
                raise failed[name]
    return kept


def _tangents(statement: Statement, names: dict[str, str], active: frozenset[str], program: Program) -> Iterator[Statement]:
    target = access(names[statement.name], *indices_of(statement.target))
    for term in linearize(statement, active, program.alone(statement)):
        tangent = access(names[name_of(term.read)], *indices_of(term.read))
        yield Statement(target, inside(term.partial, tangent), term.domain, "sum")
