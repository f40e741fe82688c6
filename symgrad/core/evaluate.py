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
from symgrad.core.expr import indices_of, is_access, is_index, is_reduction, name_of, position, split_reduction, where
from symgrad.core.functions import BY_HEAD
from symgrad.core.graph import ordered
from symgrad.core.program import Index, Program, Statement
from symgrad.core.reductions import REDUCTIONS

Env = dict[Any, int]
COMPARE: dict[Any, Callable[[Any, Any], bool]] = {
    sp.Eq: lambda a, b: a == b, sp.Ne: lambda a, b: a != b, sp.Lt: lambda a, b: a < b,
    sp.Le: lambda a, b: a <= b, sp.Gt: lambda a, b: a > b, sp.Ge: lambda a, b: a >= b,
}  # fmt: skip


def sizes_of(program: Program, shapes: Mapping[str, Sequence[int]]) -> Env:
    """Extent symbols from the shapes of the given arrays: an axis lo..hi has hi - lo + 1 values."""
    sizes: Env = {}
    axes = [(axis, n) for name, shape in shapes.items() for axis, n in zip(program.tensors[name].axes, shape, strict=True)]
    for axis, n in axes:
        if len(axis.extent.free_symbols) == 1:
            (symbol,) = axis.extent.free_symbols
            if axis.extent.coeff(symbol) == 1:
                sizes.setdefault(symbol, n - int(axis.extent - symbol))
    return sizes


def evaluate(program: Program, arrays: Mapping[str, Any], digits: int = 50) -> dict[str, Any]:
    """All defined quantities: mpf for a scalar, an object array of mpf for a tensor.

    `arrays` gives every free quantity, as number, mpf or array with one axis an index.
    """
    with mpmath.workdps(digits):
        return _Evaluator(program, arrays).run()


class _Evaluator:
    def __init__(self, program: Program, arrays: Mapping[str, Any]):
        self.program = program
        self.cells: dict[str, Any] = {}
        for name in program.free:
            if name not in arrays:
                raise SymgradError("SG601", f"no value is given for {name}")
            self.cells[name] = _to_mp(arrays[name])
        self.sizes = sizes_of(program, {name: np.shape(arrays[name]) for name in program.free})

    def run(self) -> dict[str, Any]:
        out = {}
        for statement in ordered(self.program):
            tensor = self.program.tensors[statement.name]
            if statement.name not in self.cells:
                shape = tuple(int(axis.extent.subs(self.sizes)) for axis in tensor.axes)
                self.cells[statement.name] = _full(shape, mpmath.mpf(0))
            self.define(statement)
            out[statement.name] = self.cells[statement.name][()]
        return out

    def define(self, statement: Statement) -> None:
        store, adds = self.cells[statement.name], statement.op == "sum"
        groups: dict[tuple[int, ...], list[tuple[Any, Any]]] = {}
        place = position([index.limit for index in statement.reduced]) if statement.reduced else sp.S.Zero
        for env in self.points(statement.domain, dict(self.sizes)):
            cell = self.cell(statement.target, env)
            groups.setdefault(cell, []).append((self.value(place, env), self.value(statement.value, env)))
        for cell, values in groups.items():
            result = mpmath.mpmathify(REDUCTIONS[statement.op].reference(values) if statement.op else values[-1][1])
            store[cell] = store[cell] + result if adds else result

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
            return env[expr]
        if is_access(expr):
            place = self.cell(expr, env)
            if any(not 0 <= k < n for k, n in zip(place, np.shape(self.cells[name_of(expr)]), strict=True)):
                raise SymgradError("SG605", f"{expr} leaves its array")
            return self.cells[name_of(expr)][place]
        if is_reduction(expr):
            op, body, limits = split_reduction(expr)
            domain = [Index(*limit) for limit in limits]
            found = [(self.value(position(limits), e), self.value(body, e)) for e in self.points(domain, env)]
            return REDUCTIONS[op].reference(found)
        if expr.func == where:
            return self.value(expr.args[1 if self.value(expr.args[0], env) else 2], env)
        if expr.is_Rational:
            return expr.p if expr.q == 1 else mpmath.mpf(expr.p) / expr.q
        if expr.is_Number or expr in (sp.pi, sp.E):
            return mpmath.mpf(sp.N(expr, mpmath.mp.dps)._mpf_)
        args = [self.value(arg, env) for arg in expr.args]
        if type(expr) in COMPARE:
            return COMPARE[type(expr)](*args)
        return self.apply(expr, args)

    def apply(self, expr: Any, args: list[Any]) -> Any:
        if expr.is_Add:
            return mpmath.fsum(args)
        if expr.is_Mul:
            return mpmath.fprod(args)
        if expr.is_Pow:
            return mpmath.mpf(args[0]) ** args[1]
        return BY_HEAD[expr.func].reference(*(mpmath.mpf(a) if isinstance(a, int) else a for a in args))


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
