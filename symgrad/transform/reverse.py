"""Program → its adjoint statements, by the one rule of reverse mode.

For `T[f] op= v` and each read `R[g]` in `v`:  R_bar[g] += T_bar[f] * dv/dR[g] * rho  over the same domain.
The result is statements of the same IR, so reverse of reverse is a Hessian program. `collect` turns the
scattered `+=` into gathered `=`.
"""

from __future__ import annotations

from collections.abc import Iterable

import sympy as sp

from symgrad.core.errors import SymgradError
from symgrad.core.expr import access, indices_of, name_of
from symgrad.core.graph import ancestors, descendants, top_down
from symgrad.core.program import Contribution, Origin, Program, Statement, Tensor
from symgrad.transform.functions import complete
from symgrad.transform.linearize import linearize


def reverse(program: Program, loss: str, wrt: Iterable[str]) -> Program:
    """The program with the adjoints of all quantities between `wrt` and the loss added, as raw `+=`.

    The seed dJ/dJ = 1 is put in where it is used. Raises SG203 for an unknown name in `wrt`.
    """
    wrt = tuple(program.known(name) for name in wrt)
    active = ancestors(program, [loss]) & descendants(program, wrt)
    if not active - {loss}:
        raise SymgradError(
            "SG406", f"{loss} does not depend on {' or '.join(wrt)}", hint="name a quantity that the loss uses in wrt"
        )
    names = {name: program.unused_name(f"{name}_bar") for name in program.tensors if name in active - {loss}}
    found = _reached(program, loss, names)
    statements = [adjoint for statement in top_down(program, loss) for adjoint in found.get(id(statement), ())]
    targets = {statement.name for statement in statements}
    tensors = [
        Tensor(bar, program.tensors[name].axes, "defined", adjoint_of=(loss, name)) for name, bar in names.items() if bar in targets
    ]
    return complete(program.with_statements([*program.statements, *statements], tensors))


def _reached(program: Program, loss: str, names: dict[str, str]) -> dict[int, list[Statement]]:
    """The adjoints of every statement (by identity) that a change of the loss comes to: not of what is stopped."""
    found: dict[int, list[Statement]] = {}
    waiting, reached = [loss], {loss}
    while waiting:
        for statement in program.definitions.get(waiting.pop(), ()):
            adjoints = list(_adjoints(statement, loss, names, program.alone(statement)))
            found[id(statement)] = adjoints
            new = {name_of(part.read): None for adjoint in adjoints for part in adjoint.origin.contributions}
            waiting += [name for name in new if name not in reached]
            reached |= set(new)
    return found


def _adjoints(statement: Statement, loss: str, names: dict[str, str], alone: bool) -> Iterable[Statement]:
    cotangent = sp.S.One if statement.name == loss else access(names[statement.name], *indices_of(statement.target))
    for term in linearize(statement, frozenset(names), alone):
        target = access(names[name_of(term.read)], *indices_of(term.read))
        kept = target.free_symbols
        reduced = tuple(index for index in term.domain if index.symbol not in kept)
        part = Contribution(statement, term.read, statement.target, target, cotangent, term.partial, reduced)
        yield Statement(target, cotangent * term.partial, term.domain, "sum", Origin(statement.origin.span, contributions=(part,)))


def adjoint_names(program: Program, loss: str) -> dict[str, str]:
    """Primal name → adjoint name, of the adjoints that `reverse` added for this loss."""
    return {t.adjoint_of[1]: t.name for t in program.tensors.values() if t.adjoint_of and t.adjoint_of[0] == loss}
