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
    statements: list[Statement] = []
    reached = {loss}  # what is only read under stop or sign has no adjoint
    for statement in top_down(program, loss):
        if statement.name in active & reached:
            whole = len(program.definitions[statement.name]) == 1
            for adjoint in _adjoints(statement, loss, names, whole):
                statements.append(adjoint)
                reached.update(name_of(part.read) for part in adjoint.origin.contributions)
    tensors = [
        Tensor(bar, program.tensors[name].axes, "defined", adjoint_of=(loss, name))
        for name, bar in names.items()
        if any(s.name == bar for s in statements)
    ]
    return program.with_statements([*program.statements, *statements], tensors)


def _adjoints(statement: Statement, loss: str, names: dict[str, str], whole: bool) -> Iterable[Statement]:
    cotangent = sp.S.One if statement.name == loss else access(names[statement.name], *indices_of(statement.target))
    for term in linearize(statement, frozenset(names), whole):
        target = access(names[name_of(term.read)], *indices_of(term.read))
        kept = target.free_symbols
        reduced = tuple(index for index in term.domain if index.symbol not in kept)
        part = Contribution(statement, term.read, statement.target, target, cotangent, term.partial, reduced)
        yield Statement(target, cotangent * term.partial, term.domain, "sum", Origin(statement.origin.span, contributions=(part,)))


def adjoint_names(program: Program, loss: str) -> dict[str, str]:
    """Primal name → adjoint name, of the adjoints that `reverse` added for this loss."""
    return {t.adjoint_of[1]: t.name for t in program.tensors.values() if t.adjoint_of and t.adjoint_of[0] == loss}
