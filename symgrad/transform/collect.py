"""Scatter → gather: `x_bar[i] += …` over any domain becomes an equation for each cell of x_bar.

Where the target's indices are indices of the domain they are renamed to those of the tensor's axes;
else (a shift, a diagonal, a part of an axis) the cell is found by a guard: x_bar[n] = sum over i, k of
[n = i + k] …, exact whatever the ranges. Contributions to one tensor are then merged: `+=` → `=`.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import sympy as sp
from sympy import Expr, Symbol

from symgrad.core.expr import access, fresh_index, index_symbol, indices_of, reduction, rename_bound, substitute, where
from symgrad.core.program import Contribution, Index, Program, Statement, Tensor, scatters

LETTERS = ("l", "m", "n", "p", "q", "r", "s", "t", *string.ascii_lowercase)


def collect(program: Program, gather_all: bool = True) -> Program:
    """Merge the `+=` statements of every tensor that has several, or that scatters.

    With `gather_all` each tensor ends with one equation (for print); without, shifted targets stay as
    scatters and different sums stay apart, each added to the cell (for kernels).
    """
    groups: dict[str, list[Statement]] = {}
    for statement in program.statements:
        groups.setdefault(statement.name, []).append(statement)
    out: list[Statement] = []
    for name, statements in groups.items():
        if all(s.op == "sum" for s in statements) and (program.tensors[name].adjoint_of or len(statements) > 1):
            out += _merge(program, program.tensors[name], [gather(s, program, gather_all) for s in statements], gather_all)
        else:
            out += statements
    return program.with_statements(out)


def gather(statement: Statement, program: Program, guarded: bool = True) -> Statement:
    """The statement over its target tensor's own axes, bound indices given readable names."""
    tensor = program.tensors[statement.name]
    ranges = {index.symbol: (index.lo, index.hi) for index in statement.domain}
    mapping: dict[Any, Any] = {}
    guards: list[Expr] = []
    axes: list[Index] = []
    for axis, index in zip(tensor.axes, indices_of(statement.target), strict=True):
        if index in ranges and index not in mapping and ranges[index] == (axis.lo, axis.hi):
            mapping[index] = axis.symbol
        elif guarded:
            guards.append(sp.Eq(axis.symbol, index, evaluate=False))
            axes.append(axis)
        else:
            return _named(statement, {}, program)
    return _named(_guard(statement, tensor, guards, axes, mapping), mapping, program)


def _guard(statement: Statement, tensor: Tensor, guards: list[Expr], axes: list[Index], mapping: Mapping[Any, Any]) -> Statement:
    if not guards:
        return statement
    # the axes' own symbols may be bound in the statement: give those fresh names first
    taken = {axis.symbol: fresh_index(axis.symbol.name) for axis in tensor.axes if axis.symbol not in mapping}
    domain = tuple(_rename(index, taken) for index in statement.domain)
    value = substitute(statement.value, taken)
    for guard in guards:
        value = where(sp.Eq(guard.args[0], substitute(guard.args[1], taken), evaluate=False), value, sp.S.Zero)
    inverse = {new: old for old, new in mapping.items()}
    target = access(statement.name, *(inverse.get(axis.symbol, axis.symbol) for axis in tensor.axes))
    parts = []
    for part in statement.origin.contributions:
        partial = substitute(part.partial, taken)
        for guard in guards:
            partial = where(sp.Eq(guard.args[0], substitute(guard.args[1], taken), evaluate=False), partial, sp.S.Zero)
        reduced = tuple(index for index in domain if index.symbol not in target.free_symbols)
        parts.append(replace(_renamed_part(part, taken, lambda e: e), target=target, partial=partial, reduced=reduced))
    origin = replace(statement.origin, contributions=tuple(parts))
    return replace(statement, target=target, value=value, domain=(*axes, *domain), origin=origin)


def _named(statement: Statement, mapping: dict[Any, Any], program: Program) -> Statement:
    """Apply the mapping of target indices and name all other bound indices so that nothing clashes."""
    used = {str(t) for t in program.tensors} | {str(symbol) for symbol in mapping.values()}
    used |= {str(s) for index in statement.domain for s in (index.hi - index.lo).free_symbols}
    targets = set(statement.target.free_symbols)
    names = dict(mapping)
    for index in statement.domain:
        if index.symbol not in names:
            kept = index.symbol in targets and not isinstance(index.symbol, sp.Dummy)
            names[index.symbol] = index.symbol if kept else free_name(index.symbol, used)
        used.add(str(names[index.symbol]))
    outer = {str(s) for s in names.values()} | {str(t) for t in program.tensors}

    def apply(expr: Any) -> Any:
        return rename_bound(substitute(expr, names), lambda symbol, around: free_name(symbol, around | outer))

    parts = tuple(_renamed_part(part, names, apply) for part in statement.origin.contributions)
    order = [names.get(symbol, symbol) for symbol in indices_of(statement.target)]
    domain = [_rename(index, names) for index in statement.domain]
    inner = {index.symbol for index in domain} - set(order)
    # an index comes after those that its ends use: where those are summed over, the order stays
    if not any((index.lo + index.hi).free_symbols & inner for index in domain if index.symbol in order):
        domain.sort(key=lambda index: order.index(index.symbol) if index.symbol in order else len(order))
    return replace(
        statement,
        target=substitute(statement.target, names),
        value=apply(statement.value),
        domain=tuple(domain),
        origin=replace(statement.origin, contributions=parts),
    )


def _renamed_part(part: Contribution, names: Mapping[Any, Any], apply: Callable[[Any], Any]) -> Contribution:
    return replace(
        part,
        read=substitute(part.read, names),
        result=substitute(part.result, names),
        target=substitute(part.target, names),
        cotangent=substitute(part.cotangent, names),
        partial=apply(part.partial),
        reduced=tuple(_rename(index, names) for index in part.reduced),
    )


def _rename(index: Index, names: Mapping[Any, Any]) -> Index:
    return Index(names.get(index.symbol, index.symbol), substitute(index.lo, names), substitute(index.hi, names))


def free_name(symbol: Symbol, used: set[str]) -> Symbol:
    """The symbol's own letter if nothing else has it, else the first free one."""
    for name in (symbol.name, *LETTERS):
        if name not in used:
            return index_symbol(name)
    return next(index_symbol(f"{symbol.name}{k}") for k in range(1, 10_000) if f"{symbol.name}{k}" not in used)


def _merge(program: Program, tensor: Tensor, statements: list[Statement], one: bool) -> list[Statement]:
    plain = [s for s in statements if not scatters(s, tensor)]
    groups: dict[tuple[Index, ...], list[Statement]] = {}
    for statement in plain:
        groups.setdefault(statement.reduced, []).append(statement)
    merged = [_add(group) for group in groups.values()] + [s for s in statements if scatters(s, tensor)]
    if len(merged) < 2:
        return merged
    if not one:
        return [replace(s, op="sum") for s in merged]
    outer = tensor.axes
    target = access(tensor.name, *(axis.symbol for axis in outer))
    value = sp.Add(*(reduction("sum", s.value, [i.limit for i in s.reduced]) if s.reduced else s.value for s in merged))
    parts = tuple(part for s in merged for part in s.origin.contributions)
    return [Statement(target, value, outer, None, replace(merged[0].origin, contributions=parts))]


def _add(group: list[Statement]) -> Statement:
    """Contributions over one domain are one sum."""
    first = group[0]
    if len(group) == 1:
        return replace(first, op="sum" if first.reduced else None)
    parts = tuple(part for s in group for part in s.origin.contributions)
    origin = replace(first.origin, contributions=parts)
    return Statement(first.target, sp.Add(*(s.value for s in group)), first.domain, "sum" if first.reduced else None, origin)
