"""Products of matrices one of which is seen through a window: convolutions.

    a[n,f,m,q] = sum(w[f,u,v]*x[n,m+u,q+v] for u, v)   →   x_window[n,u,v,m,q] = x[n,m+u,q+v]
                                                           a[n,f,m,q] = sum(w[f,u,v]*x_window[n,u,v,m,q] for u, v)

The copy has a cell for every pair that is multiplied, and each is used for every f (im2col: Chellapilla, Puri & Simard 2006).
What adds to places m+u, the derivative by x, is a product of the same form that is added through the window afterwards.

>>> import symgrad as sg
>>> p = sg.parse("a[f,m] = sum(w[f,u]*x[m+u] for u in 0..4) for m in 0..7")
>>> for statement in with_windows(p).statements:
...     print(statement.target, "=", statement.value)
x_window[u, m] = x[m + u]
a[f, m] = w[f, u]*x_window[u, m]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sympy as sp
from sympy import Expr, Symbol

from symgrad.core.expr import access, gathers, index_symbol, indices_of, is_access, name_of, substitute
from symgrad.core.guards import needed
from symgrad.core.program import Index, Program, Statement, Tensor
from symgrad.schedule.contractions import Product, product


def with_windows(program: Program) -> Program:
    """The same program with names for what its products see through windows."""
    windows = _Windows(program)
    statements = [made for statement in program.statements for made in windows.seen(statement)]
    return program.with_statements(statements, windows.tensors.values()) if windows.tensors else program


@dataclass
class _Windows:
    program: Program
    tensors: dict[str, Tensor] = field(default_factory=dict)
    known: dict[Any, tuple[str, tuple[int, ...]]] = field(default_factory=dict)

    def seen(self, statement: Statement) -> list[Statement]:
        """The statements in place of one."""
        if statement.op != "sum" or not statement.reduced or statement.moving or needed(statement, self.program):
            return [statement]
        factors = [f for f in sp.Mul.make_args(statement.value) if f.free_symbols & set(statement.ranges)]
        if (
            len(factors) != 2
            or not all(map(is_access, factors))
            or any(self.program.tensors[name_of(f)].values is not None for f in factors)
        ):
            return [statement]
        crooked = [read for read in (*factors, statement.target) if _is_crooked(read, statement)]
        if len(crooked) != 1:
            return [statement]
        return self.added(statement) if crooked[0] == statement.target else self.copied(statement, crooked[0])

    def copied(self, statement: Statement, read: Expr) -> list[Statement]:
        """Two statements: the copy, if it is none that is there, and the product."""
        symbols = _symbols(read, statement)
        reduced = {index.symbol for index in statement.reduced}
        outer = [s for s in symbols if s not in reduced]
        # what stands around the product, the sum's indices, the columns: rows of the copy lie as those of the result
        other = {s for f in sp.Mul.make_args(statement.value) if f != read for s in f.free_symbols}
        target = [s for index in indices_of(statement.target) for s in index.free_symbols if s in statement.ranges]
        around = target[: next((place for place, s in enumerate(target) if s in other), 0)]
        first = [s for s in outer if s in other or s in around]
        order = [*first, *(s for s in symbols if s in reduced), *(s for s in outer if s not in first)]
        key, made = _key(read, symbols, statement), []
        name, places = self.known.get(key, ("", ()))
        if not name:
            name, places = self.unused(f"{name_of(read)}_window"), tuple(symbols.index(s) for s in order)
            axes = tuple(Index(s, *statement.ranges[s]) for s in order)
            made = [Statement(access(name, *order), read, axes, None, statement.origin)]
        copy = access(name, *(symbols[place] for place in places))
        whole = statement.with_value(statement.value.subs(read, copy))
        tensor = Tensor(name, tuple(Index(symbols[p], *statement.ranges[symbols[p]]) for p in places), "defined")
        if not self.is_product(whole, tensor):
            return [statement]
        self.known[key] = name, places
        self.tensors.setdefault(name, tensor)
        return [*made, whole]

    def added(self, statement: Statement) -> list[Statement]:
        """Two statements: the product, and what adds it to the places of the target."""
        symbols = _symbols(statement.target, statement)
        factors = [f for f in sp.Mul.make_args(statement.value) if is_access(f) and indices_of(f)]
        # weights are few and data are many: rows of the product are as long as those of the data
        right = min(factors, key=lambda f: self.program.tensors[name_of(f)].role == "param")
        around = [s for place, s in enumerate(symbols) if all(right.has(t) for t in symbols[: place + 1])]
        order = sorted(symbols, key=lambda s: (s not in around, right.has(s)))
        name = self.unused(f"{statement.name}_window")
        tensor = Tensor(name, tuple(Index(s, *statement.ranges[s]) for s in order), "defined")
        found = replace(statement, target=access(name, *order))
        if not self.is_product(found, tensor):
            return [statement]
        self.tensors[name] = tensor
        return [found, replace(statement, value=access(name, *order), domain=tensor.axes)]

    def is_product(self, statement: Statement, tensor: Tensor) -> bool:
        program = replace(
            self.program,
            statements=(statement,),
            tensors={n: {**self.program.tensors, tensor.name: tensor}[n] for n in (statement.name, *statement.read_names)},
        )
        return isinstance(product(statement, program), Product)

    def unused(self, wanted: str) -> str:
        name, count = wanted, 1
        while name in self.program.taken or name in self.tensors:
            count += 1
            name = f"{wanted}_{count}"
        return name


def _is_crooked(read: Expr, statement: Statement) -> bool:
    """m+u or 2*m among its indices."""
    own = set(statement.ranges)
    return any(
        len(own & index.free_symbols) > 1 or any(index.coeff(s) != 1 for s in own & index.free_symbols)
        for index in indices_of(read)
        if not gathers(index)
    )


def _symbols(read: Expr, statement: Statement) -> list[Symbol]:
    """Those of the statement's indices that an access has, in the order of its axes; of m+u by their names."""
    own = set(statement.ranges)
    return list(dict.fromkeys(s for index in indices_of(read) for s in sorted(own & index.free_symbols, key=str)))


def _key(read: Expr, symbols: Sequence[Symbol], statement: Statement) -> Any:
    """The same for the same window, whatever its indices are called."""
    names = {symbol: index_symbol(f"_{place}") for place, symbol in enumerate(symbols)}
    return substitute(read, names), tuple(statement.ranges[symbol] for symbol in symbols)
