"""The meaning of a program: every cell straight from its statements, in mpmath at 50 digits.

Nothing here is scheduled, rewritten or shared with the kernels; it is slow and it is the oracle.

>>> from symgrad.frontend.text import parse
>>> evaluate(parse("J = x^2 + y"), {"x": 3, "y": 0.5})["J"]
mpf('9.5')
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mpmath
import numpy as np
import sympy as sp
from sympy import Expr

from symgrad.core.errors import SymgradError
from symgrad.core.expr import gathers, indices_of, where
from symgrad.core.graph import components
from symgrad.core.guards import on_places
from symgrad.core.meaning import Env, Place, Watch, compiled, ranging
from symgrad.core.program import Program, Statement, outer_first
from symgrad.core.reductions import REDUCTIONS, position
from symgrad.core.sizes import check_fits, check_known, sizes_of

Cell = tuple[str, Place]


def evaluate(
    program: Program, arrays: Mapping[str, Any], digits: int = 50, sizes: Env | None = None, watch: Watch | None = None
) -> dict[str, Any]:
    """All defined quantities: mpf for a scalar, an object array of mpf for a tensor.

    `arrays` gives every free quantity, as number, mpf or array with one axis an index; `sizes` the extents
    that no array shows; `watch` is told of every condition, function call and reduction, with what it decides by.
    Raises SG601 (an array missing), SG311 (an extent that nothing fixes), SG606 (a range of
    fewer than no values), SG605 (a read outside), SG401 (a cell that needs itself). A reduction over nothing is its
    identity, argmax of nothing nan.
    """
    with mpmath.workdps(digits):
        return _Evaluator(program, arrays, sizes or {}, watch).run()


def valuer(
    program: Program, arrays: Mapping[str, Any], digits: int = 50, sizes: Env | None = None, watch: Watch | None = None
) -> Callable[[Expr, Env], Any]:
    """The value of an expression over given arrays: `program` declares them, the second argument gives the indices."""
    evaluator = _Evaluator(program, arrays, sizes or {}, watch)

    def value(expr: Expr, env: Env) -> Any:
        with mpmath.workdps(digits):
            return compiled(expr)(evaluator, {**evaluator.sizes, **env})

    return value


class _Waits(Exception):
    """A cell is needed that has no value yet."""

    def __init__(self, name: str, place: tuple[int, ...]):
        super().__init__(name)
        self.cell = name, place


class _Evaluator:
    def __init__(self, program: Program, arrays: Mapping[str, Any], sizes: Env, watch: Watch | None = None):
        self.program = program
        self.watch = watch
        self.cells: dict[str, Any] = {}
        self.found: dict[Any, Any] = {}
        self.pending: dict[Cell, dict[int, tuple[Statement, list[Env]]]] = {}
        for name in program.free:
            if name not in arrays:
                raise SymgradError("SG601", f"no value is given for {name}")
            self.cells[name] = _to_mp(arrays[name])
        self.sizes = {**sizes, **sizes_of(program, {name: np.shape(arrays[name]) for name in program.free})}
        check_known(program, self.sizes)
        check_fits(program, self.sizes)
        self.functions = program.functions
        self.lowest = {name: tuple(int(self.extent(a.lo)) for a in t.axes) for name, t in program.tensors.items()}

    def run(self) -> dict[str, Any]:
        for group in components(self.program.needs):
            for name in group:
                shape = tuple(int(self.extent(axis.extent)) for axis in self.program.tensors[name].axes)
                self.cells[name] = _full(shape, mpmath.mpf(0))
            self.define([statement for name in group for statement in self.program.definitions[name]])
        return {name: self.cells[name][()] for name in self.program.defined}

    def define(self, statements: Sequence[Statement]) -> None:
        """The cells of quantities that may need each other: one that waits for another is tried again after it."""
        for number, statement in enumerate(statements):
            cell, touched = self.cell_of(statement), self.touched_by(statement)
            for env in ranging([index.limit for index in outer_first(statement.domain)])(self, self.sizes):
                if (found := touched(env)) is not None:
                    self.pending.setdefault(found, {}).setdefault(number, (statement, []))[1].append(env)
            if statement.op in (None, "sum") or statement.moving:
                continue  # a sum starts at 0 anyway
            for env in ranging([index.limit for index in statement.outer])(self, self.sizes):
                # where nothing is reduced, the cell is the identity
                self.pending.setdefault(cell(env), {}).setdefault(number, (statement, []))
        for first in list(self.pending):
            stack = [first]
            while stack:
                try:
                    self.settle(stack[-1])
                    stack.pop()
                except _Waits as waits:
                    if waits.cell in stack:
                        raise SymgradError("SG401", f"{waits.cell[0]} needs its own value") from None
                    stack.append(waits.cell)

    def settle(self, cell: Cell) -> None:
        """The value of one cell from all statements that define it."""
        if cell not in self.pending:
            return
        total = mpmath.mpf(0)
        for statement, points in self.pending[cell].values():
            place = compiled(position([index.limit for index in statement.reduced]) if statement.reduced else sp.S.Zero)
            value = compiled(statement.value)
            values = [(place(self, env), value(self, env)) for env in points]
            if self.watch is not None and statement.op:
                self.watch(statement.target, {**self.sizes, "cell": cell[1]}, (statement.op, values))
            result = mpmath.mpmathify(REDUCTIONS[statement.op].of(values) if statement.op else values[-1][1])
            total = total + result if statement.op == "sum" else result
        del self.pending[cell]
        self.cells[cell[0]][cell[1]] = total

    def extent(self, expr: Expr) -> Any:
        return compiled(expr)(self, self.sizes)

    def cell_of(self, statement: Statement) -> Callable[[Env], Cell]:
        """The 0-based place of the target in its array, as a function of the indices."""
        name = statement.name
        indices = [(compiled(i), low) for i, low in zip(indices_of(statement.target), self.lowest[name], strict=True)]
        return lambda env: (name, tuple(int(index(self, env) - low) for index, low in indices))

    def has(self, cell: Cell) -> bool:
        name, place = cell
        return all(0 <= k < n for k, n in zip(place, self.cells[name].shape, strict=True))

    def touched_by(self, statement: Statement) -> Callable[[Env], Cell | None]:
        """The cell of a point; None outside of the array, where a condition must keep the statement from adding there."""
        cell, guards = self.cell_of(statement), [compiled(where(c, 1, 0)) for c in on_places(statement, self.program)]
        gathered = any(map(gathers, indices_of(statement.target)))

        def touched(env: Env) -> Cell | None:
            if gathered and not all(guard(self, env) for guard in guards):
                return None  # its place may have none either
            found = cell(env)
            if self.has(found):
                return found
            if all(guard(self, env) for guard in guards):
                raise SymgradError("SG605", f"{statement.target} leaves its array", statement.origin.span)
            return None

        return touched

    def read(self, name: str, place: Place, read: Expr) -> Any:
        if self.pending and (name, place) in self.pending:
            raise _Waits(name, place)
        if not self.has((name, place)):
            raise SymgradError("SG605", f"{read} leaves its array")
        return self.cells[name][place]


def _full(shape: tuple[int, ...], value: Any) -> Any:
    out = np.empty(shape, dtype=object)
    for cell in itertools.product(*map(range, shape)):
        out[cell] = value
    return out


def _to_mp(array: Any) -> Any:
    given = np.asarray(array, dtype=object)
    out = np.empty(given.shape, dtype=object)
    for cell in itertools.product(*map(range, given.shape)):
        out[cell] = mpmath.mpmathify(given[cell])
    return out
