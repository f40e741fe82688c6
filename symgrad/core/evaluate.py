"""The meaning of a program: every cell straight from its statements, in mpmath at 50 digits.

Nothing here is scheduled, rewritten or shared with the kernels; it is slow and it is the oracle.

>>> from symgrad.frontend.text import parse
>>> evaluate(parse("J = x^2 + y"), {"x": 3, "y": 0.5})["J"]
mpf('9.5')
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import mpmath
import numpy as np
import sympy as sp
from sympy import Expr

from symgrad.core.errors import SymgradError
from symgrad.core.expr import (
    indices_of,
    is_access,
    is_call,
    is_index,
    is_reduction,
    name_of,
    position,
    split_call,
    split_reduction,
    where,
)  # fmt: skip
from symgrad.core.functions import BY_HEAD
from symgrad.core.graph import components, tensor_needs
from symgrad.core.program import Index, Program, Statement
from symgrad.core.reductions import REDUCTIONS
from symgrad.core.sizes import check_fits, check_known, sizes_of

Env = dict[Any, Any]  # indices, extents and parameters of functions
Cell = tuple[str, tuple[int, ...]]
Watch = Callable[[Expr, Env, Any], None]  # an expression with cases, where, and what decides
COMPARE: dict[Any, Callable[[Any, Any], bool]] = {
    sp.Eq: lambda a, b: a == b, sp.Ne: lambda a, b: a != b, sp.Lt: lambda a, b: a < b,
    sp.Le: lambda a, b: a <= b, sp.Gt: lambda a, b: a > b, sp.Ge: lambda a, b: a >= b,
}  # fmt: skip


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
            return evaluator.value(expr, {**evaluator.sizes, **env})

    return value


class _Waits(Exception):
    """A cell is needed that has no value yet."""

    def __init__(self, name: str, place: tuple[int, ...]):
        super().__init__(name)
        self.cell = name, place


class _Evaluator:
    def __init__(self, program: Program, arrays: Mapping[str, Any], sizes: Env, watch: Watch | None = None):
        self.program = program
        self.watch = watch or _unwatched
        self.cells: dict[str, Any] = {}
        self.pending: dict[Cell, dict[int, tuple[Statement, list[Env]]]] = {}
        for name in program.free:
            if name not in arrays:
                raise SymgradError("SG601", f"no value is given for {name}")
            self.cells[name] = _to_mp(arrays[name])
        self.sizes = {**sizes, **sizes_of(program, {name: np.shape(arrays[name]) for name in program.free})}
        check_known(program, self.sizes)
        check_fits(program, self.sizes)

    def run(self) -> dict[str, Any]:
        for group in components(tensor_needs(self.program)):
            for name in group:
                shape = tuple(int(self.value(axis.extent, self.sizes)) for axis in self.program.tensors[name].axes)
                self.cells[name] = _full(shape, mpmath.mpf(0))
            self.define([statement for name in group for statement in self.program.definitions[name]])
        return {name: self.cells[name][()] for name in self.program.defined}

    def define(self, statements: Sequence[Statement]) -> None:
        """The cells of quantities that may need each other: one that waits for another is tried again after it."""
        for number, statement in enumerate(statements):
            for env in self.points(statement.domain, dict(self.sizes)):
                cell = statement.name, self.cell(statement.target, env)
                self.pending.setdefault(cell, {}).setdefault(number, (statement, []))[1].append(env)
            if statement.op in (None, "sum") or statement.moving:
                continue  # a sum starts at 0 anyway
            for env in self.points(statement.outer, dict(self.sizes)):
                # where nothing is reduced, the cell is the identity
                cell = statement.name, self.cell(statement.target, env)
                self.pending.setdefault(cell, {}).setdefault(number, (statement, []))
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
            place = position([index.limit for index in statement.reduced]) if statement.reduced else sp.S.Zero
            values = [(self.value(place, env), self.value(statement.value, env)) for env in points]
            if statement.op:
                self.watch(statement.target, {**self.sizes, "cell": cell[1]}, (statement.op, values))
            result = mpmath.mpmathify(REDUCTIONS[statement.op].of(values) if statement.op else values[-1][1])
            total = total + result if statement.op == "sum" else result
        del self.pending[cell]
        self.cells[cell[0]][cell[1]] = total

    def points(self, domain: Sequence[Index], env: Env) -> Iterator[Env]:
        if not domain:
            yield env
            return
        first, *rest = domain
        lo, hi = int(self.value(first.lo, env)), int(self.value(first.hi, env))
        for here in range(lo, hi + 1):
            yield from self.points(rest, {**env, first.symbol: here})

    def cell(self, read: Expr, env: Env) -> tuple[int, ...]:
        """The 0-based place of an access in its array."""
        axes = self.program.tensors[name_of(read)].axes
        return tuple(int(self.value(i - axis.lo, env)) for i, axis in zip(indices_of(read), axes, strict=True))

    def value(self, expr: Any, env: Env) -> Any:
        if is_index(expr):
            if expr not in env:
                raise SymgradError("SG311", f"the extent {expr} cannot be read off the arrays that are given")
            return env[expr]
        if expr in env:
            return env[expr]  # a parameter of a function
        if is_access(expr):
            place = self.cell(expr, env)
            if self.pending and (name_of(expr), place) in self.pending:
                raise _Waits(name_of(expr), place)
            if any(not 0 <= k < n for k, n in zip(place, np.shape(self.cells[name_of(expr)]), strict=True)):
                raise SymgradError("SG605", f"{expr} leaves its array")
            return self.cells[name_of(expr)][place]
        if is_reduction(expr):
            op, body, limits = split_reduction(expr)
            domain = [Index(*limit) for limit in limits]
            found = [(self.value(position(limits), e), self.value(body, e)) for e in self.points(domain, env)]
            self.watch(expr, env, (op, found))
            return REDUCTIONS[op].of(found)
        if is_call(expr):
            return self.call(*split_call(expr), env)
        if expr.func == where:
            holds = bool(self.value(expr.args[0], env))
            self.watch(expr, env, holds)
            return self.value(expr.args[1 if holds else 2], env)
        if expr.is_Rational:
            return expr.p if expr.q == 1 else mpmath.mpf(expr.p) / expr.q
        if expr in (sp.oo, -sp.oo):
            return mpmath.inf if expr is sp.oo else -mpmath.inf
        if expr.is_Number or expr in (sp.pi, sp.E):
            return mpmath.mpf(sp.N(expr, mpmath.mp.dps)._mpf_)
        args = [self.value(arg, env) for arg in expr.args]
        if type(expr) in COMPARE:
            return COMPARE[type(expr)](*args)
        if expr.is_Function:
            self.watch(expr, env, args)
        return self.apply(expr, args)

    def call(self, name: str, args: Sequence[Expr], env: Env) -> Any:
        """A function that the user defined."""
        function = self.program.functions[name]
        values = [self.value(arg, env) for arg in args]
        return self.value(function.body, dict(zip(function.parameters, values, strict=True)))

    def apply(self, expr: Any, args: list[Any]) -> Any:
        if expr.is_Add:
            return mpmath.fsum(args)
        if expr.is_Mul:
            return mpmath.fprod(args)
        if expr.is_Pow:
            return _power(mpmath.mpf(args[0]), args[1])
        return BY_HEAD[expr.func].reference(*(mpmath.mpf(a) if isinstance(a, int) else a for a in args))


def _unwatched(expr: Expr, env: Env, by: Any) -> None:
    pass


def _power(base: Any, exponent: Any) -> Any:
    """As in floating point, 1/0 is inf: a mean over nothing is 0/0, nan."""
    return mpmath.inf if base == 0 and exponent < 0 else base**exponent


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
