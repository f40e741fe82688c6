"""Program → Schedule: an order of statements, an order of loops for each, buffers, and the sizes' sources.

The innermost loop is the one along which most accesses are contiguous; a loop that is contiguous and
reduced sums in a register, one that is contiguous and kept adds rows to rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sympy as sp
from sympy import Expr

from symgrad.core.affine import Ends, bounds, solved_sizes
from symgrad.core.dependence import Item, Loop, Step, order
from symgrad.core.expr import accesses, binds, indices_of, where
from symgrad.core.guards import needed
from symgrad.core.parts import crooked, gap, region
from symgrad.core.program import Index, Program, Statement, Tensor, covers, outer_first, scatters
from symgrad.core.reductions import REDUCTIONS
from symgrad.core.sizes import check_known
from symgrad.schedule.contractions import product, with_named_factors
from symgrad.schedule.kernels import Contract, Kernel, Map, Scan, Schedule, Size
from symgrad.schedule.updates import with_updates_in_products
from symgrad.schedule.windows import with_windows


def schedule(
    program: Program, arguments: Sequence[str], outputs: Sequence[str], aliases: Mapping[str, str] | None = None
) -> Schedule:
    """Order a normalized program. `aliases`: result → argument it overwrites, once all others have read it.

    Raises SG311 where an extent cannot be read off the arguments.
    """
    aliases = dict(aliases or {})
    program = with_updates_in_products(with_windows(with_named_factors(program)), aliases)
    after = {
        result: [s.name for s in program.users.get(overwritten, ()) if s.name != result] for result, overwritten in aliases.items()
    }
    # what covers an array sets its cells, the others then add to them
    statements = [s for name in program.defined for s in _covering_first(program.definitions[name], program.tensors[name])]
    items = order(statements, program, after)
    shown = frozenset(outputs)
    zeroed, adding = _starts(program, items)
    return Schedule(
        program,
        tuple(_kernels(items, adding, program, aliases)),
        tuple(arguments),
        tuple(outputs),
        tuple(n for n in program.defined if n not in shown),
        frozenset(zeroed),
        sizes(program, arguments),
        aliases,
    )


def _covering_first(statements: Sequence[Statement], tensor: Tensor) -> Sequence[Statement]:
    return statements if len(statements) < 2 else sorted(statements, key=lambda s: not covers(s, tensor))


def _starts(program: Program, items: Sequence[Item]) -> tuple[set[str], set[int]]:
    """The quantities that start at 0, and the statements (by identity) that add to what is there."""
    zeroed: set[str] = set()
    adding: set[int] = set()
    firsts = {step.source.name: step.source for step in reversed(list(_steps(items)))}
    for name, statements in program.definitions.items():
        tensor = program.tensors[name]
        if program.alone(statements[0]) and not any(map(scatters, statements)):
            box = [(axis.lo, axis.hi) for axis in tensor.axes]
            # of H[i,i] the diagonal alone is written
            in_boxes = not any(crooked(s) or needed(s, program) for s in statements)
            if not (in_boxes and gap([region(s) for s in statements], box, program.facts) is None):
                zeroed.add(name)
            continue
        first = firsts[name]
        sets = covers(first, tensor) and not scatters(first)
        zeroed |= set() if sets else {name}
        adding |= {id(statement) for statement in statements if not (sets and statement is first)}
    return zeroed, adding


def _steps(items: Sequence[Item]) -> Iterator[Step]:
    for item in items:
        if isinstance(item, Loop):
            yield from _steps(item.body)
        else:
            yield item


def _kernels(items: Sequence[Item], adding: set[int], program: Program, aliases: Mapping[str, str]) -> Iterator[Kernel]:
    for item in items:
        if isinstance(item, Loop):
            yield Scan(item.index, item.descending, tuple(_kernels(item.body, adding, program, aliases)))
        else:
            found = kernel(item.statement, id(item.source) in adding, item.guards)
            if isinstance(found, Contract):
                found = replace(found, product=product(found.statement, program, aliases))
            yield found


def kernel(statement: Statement, adds: bool, times: tuple[Index, ...] = ()) -> Map | Contract:
    if binds(statement.value):
        raise AssertionError(f"not normalized: {statement}")
    if scatters(statement):
        return Map(statement, outer_first(statement.domain), True, True, times)
    loops = loop_order(statement)
    return Contract(statement, loops, adds, times) if statement.reduced else Map(statement, loops, adds, False, times)


def loop_order(statement: Statement) -> tuple[Index, ...]:
    """The domain with the best innermost index last; an index comes after those its ends use."""
    domain = list(statement.domain)
    reduced = set(statement.reduced)
    if not domain:
        return ()
    candidates = [i for i in domain if not any(i.symbol in (o.lo + o.hi).free_symbols for o in domain)]
    if statement.op not in (None, "sum"):
        candidates = [i for i in candidates if i in reduced] or candidates
    best = max(candidates, key=lambda index: (contiguity(index, statement), domain.index(index)))
    rest = [index for index in domain if index != best]
    if best in reduced or not reduced:
        rest.sort(key=lambda index: index in reduced)
    # a kept innermost loop adds row to row: the other kept loops stay outside, reduced ones between
    kept, others = outer_first([i for i in rest if i not in reduced]), outer_first([i for i in rest if i in reduced])
    return (*kept, *others, best)


def rectangular(statement: Statement, around: Mapping[Any, Ends] | None = None) -> Statement:
    """Ranges that depend on outer indices, or those of `around`, become the box around them, with a guard that keeps the points."""
    value, domain = statement.value, []
    ranges: dict[Any, tuple[Any, Any]] = dict(around or {})
    op = statement.op or "sum"
    for index in outer_first(statement.domain):
        inner = set(ranges) & (index.lo + index.hi).free_symbols
        lo, hi = bounds(index.symbol, {**ranges, index.symbol: (index.lo, index.hi)})
        if inner:
            identity = REDUCTIONS[op].identity
            for guard in (sp.Ge(index.symbol, index.lo, evaluate=False), sp.Le(index.symbol, index.hi, evaluate=False)):
                value = where(guard, value, identity)
        ranges[index.symbol] = (lo, hi)
        domain.append(Index(index.symbol, lo, hi))
    order = {index.symbol: place for place, index in enumerate(statement.domain)}
    domain.sort(key=lambda index: order[index.symbol])
    return replace(statement, value=value, domain=tuple(domain))


def contiguity(index: Index, statement: Statement) -> int:
    """How many accesses move by one cell along this index, against those that jump."""
    score = 0
    for access, weight in [(statement.target, 2), *((read, 1) for read in accesses(statement.value))]:
        indices = indices_of(access)
        uses = [i for i in indices if index.symbol in i.free_symbols]
        if not uses:
            score += weight
        elif indices[-1].coeff(index.symbol) == 1 and len(uses) == 1:
            score += 2 * weight
        else:
            score -= 3 * weight
    return score


def sizes(program: Program, arguments: Sequence[str]) -> tuple[Size, ...]:
    """Where every extent symbol is read from: an axis with lo..hi has hi - lo + 1 values."""
    axes = [(axis.extent, (name, place)) for name in arguments for place, axis in enumerate(program.tensors[name].axes)]
    # an axis that is one symbol long is the clearest source
    found = {s: Size(s, name, place, extent) for s, extent, (name, place) in solved_sizes(sorted(axes, key=_complexity))}
    check_known(program, found)
    return tuple(found.values())


def _complexity(axis: tuple[Expr, Any]) -> int:
    extent = axis[0]
    return len(extent.free_symbols) + sum(bool(abs(extent.coeff(s)) != 1) for s in extent.free_symbols)
