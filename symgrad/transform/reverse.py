"""Program → its adjoint statements, by the one rule of reverse mode.

For `T[f] op= v` and each read `R[g]` in `v`:  R_bar[g] += T_bar[f] * dv/dR[g] * rho  over the same domain.
The result is statements of the same IR, so reverse of reverse is a Hessian program. `collect` turns the
scattered `+=` into gathered `=`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp
from sympy import Expr

from symgrad.core.errors import SymgradError
from symgrad.core.expr import access, fresh_index, indices_of, name_of, times
from symgrad.core.graph import ancestors, descendants, in_rings, top_down
from symgrad.core.parts import around_points
from symgrad.core.program import Contribution, Index, Origin, Program, Statement, Tensor, outer_first
from symgrad.transform.functions import complete
from symgrad.transform.gather import free_name
from symgrad.transform.linearize import linearize, reals_of


@dataclass(frozen=True)
class _Seed:
    """Where the reverse pass starts. `outer`: the indices of a Jacobian's rows; `cotangent`: an input's name."""

    of: str
    outer: tuple[Index, ...] = ()
    cotangent: str | None = None
    within: bool = False  # other quantities of the pass read `of`, so that its adjoint is one like the others

    def start(self, statement: Statement) -> tuple[tuple[Any, ...], Expr]:
        """(outer indices, cotangent) of the statement that defines `of`."""
        targets = indices_of(statement.target)
        if self.cotangent is not None:
            return (), access(self.cotangent, *targets)
        return (targets if self.outer else ()), sp.S.One


def reverse(program: Program, loss: str, wrt: Iterable[str]) -> Program:
    """The program with the adjoints of all quantities between `wrt` and the loss added, as raw `+=`.

    The seed dJ/dJ = 1 is put in where it is used. Raises SG203 for an unknown name in `wrt`, SG405 for one that
    holds whole numbers, SG406 where the loss does not depend on it.
    """
    return _reverse(program, wrt, _Seed(loss))


def pullback(program: Program, of: str, wrt: Iterable[str], cotangent: str) -> Program:
    """The adjoints of a quantity with any indices, for a cotangent that is given: x_bar = J' v."""
    given = Tensor(cotangent, program.tensors[of].axes, "input")
    return _reverse(program.with_statements(program.statements, [given]), wrt, _Seed(of, (), cotangent))


def jacobian(program: Program, of: str, wrt: Iterable[str]) -> Program:
    """The derivatives of every cell of `of`: all adjoints have the indices of `of` before their own."""
    axes = program.tensors[of].axes
    return _reverse(program, wrt, _Seed(of, tuple(Index(fresh_index(a.symbol.name), a.lo, a.hi) for a in axes)))


def _reverse(program: Program, wrt: Iterable[str], seed: _Seed) -> Program:
    wrt = reals_of(program, wrt)
    active = ancestors(program, [seed.of]) & descendants(program, wrt)
    if not active - {seed.of}:
        message = f"{seed.of} does not depend on {' or '.join(wrt)}"
        place = next((s.origin.span for s in program.definitions.get(seed.of, ())), program.tensors[seed.of].span)
        raise SymgradError("SG406", message, place, f"name a quantity that {seed.of} uses in wrt")
    seed = replace(seed, within=seed.of in in_rings(program))
    inner = active if seed.within else active - {seed.of}
    names = {name: program.unused_name(f"{name}_bar") for name in program.tensors if name in inner}
    found = _reached(program, seed, names)
    statements = [adjoint for statement in top_down(program, seed.of) for adjoint in found.get(id(statement), ())]
    if seed.within:
        statements = [*_unit(program, seed, names), *statements]
    targets = {statement.name for statement in statements}
    tensors = [_adjoint_tensor(bar, program.tensors[name], seed) for name, bar in names.items() if bar in targets]
    return complete(program.with_statements([*program.statements, *statements], tensors))


def _adjoint_tensor(bar: str, primal: Tensor, seed: _Seed) -> Tensor:
    taken = {str(axis.symbol) for axis in primal.axes}
    outer = []
    for index in seed.outer:
        symbol = free_name(index.symbol, taken)
        taken.add(symbol.name)
        outer.append(Index(symbol, index.lo, index.hi))
    owner = None if seed.cotangent is not None else (seed.of, primal.name)
    return Tensor(bar, (*outer, *primal.axes), "defined", adjoint_of=owner, rows=len(outer))


def _unit(program: Program, seed: _Seed, names: dict[str, str]) -> list[Statement]:
    """The start of an adjoint that other adjoints add to as well: dy_i/dy_j = [i = j], or the cotangent."""
    axes = tuple(Index(fresh_index(a.symbol.name), a.lo, a.hi) for a in program.tensors[seed.of].axes)
    symbols = [axis.symbol for axis in axes]
    if seed.cotangent is not None:
        return [Statement(access(names[seed.of], *symbols), access(seed.cotangent, *symbols), axes, "sum")]
    outer = symbols if seed.outer else []
    return [Statement(access(names[seed.of], *outer, *symbols), sp.S.One, axes, "sum")]


def _reached(program: Program, seed: _Seed, names: dict[str, str]) -> dict[int, list[Statement]]:
    """The adjoints of every statement (by identity) that a change of the loss comes to: not of what is stopped."""
    found: dict[int, list[Statement]] = {}
    waiting, reached, active = [seed.of], {seed.of}, frozenset(names)
    while waiting:
        for statement in program.definitions.get(waiting.pop(), ()):
            adjoints = list(_adjoints(statement, seed, names, active, program))
            found[id(statement)] = adjoints
            new = {name_of(part.read): None for adjoint in adjoints for part in adjoint.origin.contributions}
            waiting += [name for name in new if name not in reached]
            reached |= set(new)
    return found


def _adjoints(
    statement: Statement, seed: _Seed, names: dict[str, str], active: frozenset[str], program: Program
) -> Iterable[Statement]:
    domain: tuple[Index, ...] = ()
    if statement.name == seed.of and not seed.within:
        outer, cotangent = seed.start(statement)
    else:
        domain, outer = seed.outer, tuple(index.symbol for index in seed.outer)
        cotangent = access(names[statement.name], *outer, *indices_of(statement.target))
    for term in linearize(statement, active, program.alone(statement)):
        target = access(names[name_of(term.read)], *outer, *indices_of(term.read))
        kept = target.free_symbols
        ranges = {index.symbol: (index.lo, index.hi) for index in outer_first(term.domain)}
        within = around_points(term.domain, [term.read], ranges, program)
        reduced = tuple(index for index in within if index.symbol not in kept)
        part = Contribution(statement, term.read, statement.target, target, cotangent, term.partial, reduced)
        origin = Origin(statement.origin.span, contributions=(part,))
        yield Statement(target, times(cotangent, term.partial), (*domain, *within), "sum", origin)


def adjoint_names(program: Program, loss: str) -> dict[str, str]:
    """Primal name → adjoint name, of the adjoints that `reverse` added for this loss."""
    return {t.adjoint_of[1]: t.name for t in program.tensors.values() if t.adjoint_of and t.adjoint_of[0] == loss}
