"""The invariants of every program: scopes, ranks, bounds, every cell defined once, an order that exists.

`check(program)` is what holds after every pass; tests run it there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sympy as sp
from sympy import Dummy, Expr, Symbol

from symgrad.core.affine import bounds, nonnegative
from symgrad.core.dependence import order
from symgrad.core.errors import SymgradError
from symgrad.core.expr import (
    binds,
    free_indices,
    gathers,
    index_symbol,
    indices_of,
    is_access,
    is_reduction,
    name_of,
    split_reduction,
)
from symgrad.core.parts import conditions, crooked, gap, never_outside, overlap, region, uncovered, within
from symgrad.core.program import Index, Program, Statement
from symgrad.core.ranges import also, count, limits, scoped


def check(program: Program) -> Program:
    """The invariants of every program; returns it. Raises SG301, SG302, SG303, SG309."""
    sizes = _sizes(program)
    for statement in program.statements:
        place = statement.origin.place
        symbols = [index.symbol for index in statement.domain]
        if len(set(symbols)) < len(symbols):
            raise SymgradError(
                "SG302",
                f"the sum over {_twice(symbols)} stands inside 'for every {_twice(symbols)}'",
                place(index_symbol(_twice(symbols))),
                "use another index in the sum",
            )
        if binds(statement.value):
            _check_shadow(statement, statement.value, frozenset(symbols))
        for symbol in free_indices(statement.value):
            if symbol not in symbols and symbol not in sizes:
                raise _free_index(statement, symbol, program)
        for read, scope, guarded in scoped(statement.value, statement.ranges):
            tensor = program.tensors[name_of(read)]
            if len(indices_of(read)) != len(tensor.axes):
                raise SymgradError("SG303", f"{read} does not fit {tensor.name}, which has {count(len(tensor.axes))}", place(read))
            for index, axis in zip(indices_of(read), tensor.axes, strict=True):
                # a condition may protect a read that moves, a fixed cell exists or not
                if scope.get(index) != (axis.lo, axis.hi) and (not guarded or _is_cell(index, guarded, sizes, statement)):
                    _check_bounds(read, index, axis, scope, statement, program)
    return program


def check_defined_once(program: Program, names: Collection[str]) -> Program:
    """SG202 and SG313: the parts of a quantity are disjoint and leave no cell of its axes out."""
    for name, found in program.definitions.items():
        if name not in names or (len(found) == 1 and not indices_of(found[0].target)):
            continue
        both = overlap(program, name) if len(found) > 1 else None
        if both:
            one, two = both
            same = "is defined twice" if region(one) == region(two) else f"and {one.target} may be one cell, so it is defined twice"
            raise SymgradError(
                "SG202", f"{two.target} {same}{also(one.origin.span)}", two.origin.span,
                "give the second one another name, other ranges, or write += in both",
            )  # fmt: skip
        if any(map(crooked, found)):
            _check_reads(name, found, program)
            continue
        missing = gap([region(s) for s in found], [(a.lo, a.hi) for a in program.tensors[name].axes], program.facts)
        if missing is not None:
            cell = f"{name}[{','.join(map(str, missing))}]"
            raise SymgradError("SG313", f"no equation defines {cell}", found[-1].origin.span, f"add one: {cell} = …")
    return program


def _check_reads(name: str, found: Sequence[Statement], program: Program) -> None:
    """SG313: of a quantity whose parts need not fill a box, as a triangle does not, only defined cells are read."""
    for user in program.users.get(name, ()):
        for read, scope, _ in scoped(user.value, user.ranges):
            if name_of(read) != name:
                continue
            ranges = {s: ends for s, ends in scope.items() if ends is not None}
            inside = tuple(e for s, (lo, hi) in ranges.items() for e in within(s, lo, hi))
            parts = [conditions(statement, indices_of(read)) for statement in found]
            if uncovered(inside, parts, list(reversed(ranges)), program.facts):
                cells = ", ".join(f"{s} in {lo}..{hi}" for s, (lo, hi) in ranges.items() if read.has(s))
                message = f"{read} is read{' for ' if cells else ''}{cells}, and no equation defines all of these cells"
                hint = f"define the others too, as 0 perhaps, or read only what is defined{also(found[0].origin.span)}"
                raise SymgradError("SG313", message, user.origin.place(read), hint)


def check_order(program: Program) -> Program:
    """SG401: the cells can be computed one after the other."""
    order(program.statements, program)
    return program


def _twice(symbols: list[Symbol]) -> str:
    return next(str(s) for s in symbols if symbols.count(s) > 1)


def _check_shadow(statement: Statement, expr: Any, around: frozenset[Symbol]) -> None:
    if is_reduction(expr):
        _, body, limits = split_reduction(expr)
        bound = [limit[0] for limit in limits]
        for symbol in bound:
            if symbol in around or bound.count(symbol) > 1:
                raise SymgradError(
                    "SG302",
                    f"the sum over {symbol} stands inside another {symbol}",
                    statement.origin.place(symbol),
                    "use another index in the sum",
                )
        _check_shadow(statement, body, around | set(bound))
    elif not is_access(expr):
        for arg in expr.args:
            _check_shadow(statement, arg, around)


def _sizes(program: Program) -> set[Any]:
    """The symbols of extents."""
    axes = [axis for tensor in program.tensors.values() for axis in tensor.axes] + list(program.ranges.values())
    bound = [limit for statement in program.statements for limit in limits(statement.value)]
    ends = [end for axis in axes for end in (axis.lo, axis.hi)] + [end for limit in bound for end in limit[1:]]
    indices = {index.symbol for statement in program.statements for index in statement.domain}
    return {symbol for end in ends for symbol in end.free_symbols} - indices


def _free_index(statement: Statement, symbol: Symbol, program: Program) -> SymgradError:
    where = next((read for read in statement.reads if symbol in read.free_symbols), None)
    left = str(statement.target)
    other = f"or write {statement.name}[…,{symbol}] on the left"
    if not indices_of(statement.target) and str(symbol) not in program.ranges:
        other = f"or declare it, if it is a given whole number: input {symbol} in 1..N"
    message = f"the index {symbol} is free on the right, but {left} on the left does not have it"
    return SymgradError("SG301", message, statement.origin.place(where), f"sum over it: sum(… for {symbol}), {other}")


def _is_cell(index: Expr, guards: Sequence[Any], sizes: Collection[Any], statement: Statement) -> bool:
    """True for the 1 of C[l,1] in an equation as written: in one that was derived, conditions may be known to fail."""
    written = not statement.origin.contributions and not statement.origin.invented
    return written and not gathers(index) and index.free_symbols <= set(sizes) and all(g.free_symbols for g in guards)


def _check_bounds(
    read: Expr, index: Expr, axis: Index, scope: Mapping[Symbol, Any], statement: Statement, program: Program
) -> None:
    ranges = {s: e for s, e in scope.items() if e is not None}
    inside = {gather: Dummy(integer=True) for gather in gathers(index)}
    for gather, symbol in inside.items():
        values = program.tensors[name_of(gather)].values
        if values is None:
            raise SymgradError("SG391", f"{gather} stands as an index and holds real numbers", statement.origin.place(read))
        ranges[symbol] = values
    plain = index.xreplace(inside)
    low, high = bounds(plain, ranges)
    below, above = (_negative(room, program.facts) for room in (low - axis.lo, axis.hi - high))
    if (below or above) and not never_outside(plain, axis, ranges, program.facts):
        raise _outside(read, index, (low, high), axis, below, statement)


def _negative(expr: Any, facts: Sequence[Expr]) -> bool:
    """True where expr < 0 is certain."""
    return bool(sp.expand(expr).is_negative) or nonnegative(-expr - 1, None, facts)


def _outside(read: Expr, index: Expr, ends: tuple[Any, Any], axis: Index, below: bool, statement: Statement) -> SymgradError:
    name, place = name_of(read), statement.origin.place(read)
    if name == statement.name:
        cell = read.xreplace({index: ends[0] if below else ends[1]})
        return SymgradError(
            "SG309", f"{statement.target} needs {cell}, and no equation defines it", place,
            f"give the recurrence its {'start' if below else 'end'}: {cell} = …",
        )  # fmt: skip
    if ends[0] == ends[1]:
        message = f"the index {index} of {read} is outside of {axis.lo}..{axis.hi}"
        return SymgradError("SG309", message, place, f"{name} has cells {axis.lo}..{axis.hi} along that axis")
    message = f"the index {index} of {read} runs over {ends[0]}..{ends[1]}, outside of {axis.lo}..{axis.hi}"
    inside = f"{index} >= {axis.lo}" if below else f"{index} <= {axis.hi}"
    hint = f"let the index run over less, or guard the read: where({inside}, {read}, 0)"
    return SymgradError("SG309", message, place, hint)
