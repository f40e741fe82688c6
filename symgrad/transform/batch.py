"""Program of one example → program of many: the example index n on all that depends on batched data.

>>> from symgrad.frontend.text import parse
>>> print(batch(parse("input x; param w; J = (w*x)^2"), ["x"], "J"))
input x[n in 0..N - 1]
param w
J_each[n] = w^2*x[n]^2 for n in 0..N - 1
J = sum(J_each[n]/N for n in 0..N - 1)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import sympy as sp

from symgrad.core.errors import SymgradError
from symgrad.core.expr import access, index_symbol, indices_of, is_access, name_of, nodes, rewrite
from symgrad.core.graph import descendants
from symgrad.core.program import Index, Program, Statement, Tensor


def batch(program: Program, names: Iterable[str], loss: str) -> Program:
    """Add the example axis, first, to `names` and all that depends on them; the loss is the mean.

    Raises SG203 for an unknown name, SG210 for one that is defined or a parameter.
    """
    names = tuple(names)
    for name in names:
        if program.known(name) not in program.free:
            message = f"{name} is computed by the model, so it cannot be batched data"
            raise SymgradError("SG210", message, program.definitions[name][0].origin.span, "batch names inputs")
    batched = descendants(program, names)
    if not names or loss not in batched:
        return program
    index = _example_index(program)
    each = program.unused_name(f"{loss}_each")
    statements = [_each(s, index, batched, {loss: each}) if s.name in batched else s for s in program.statements]
    mean = access(each, index.symbol) / index.extent
    statements.append(Statement(access(loss), mean, (index,), "sum", program.definitions[loss][0].origin))
    tensors = {n: replace(t, axes=(index, *t.axes)) if n in batched and n != loss else t for n, t in program.tensors.items()}
    tensors[each] = Tensor(each, (index,), "defined")
    return replace(program, statements=tuple(statements), tensors=tensors)


def _example_index(program: Program) -> Index:
    taken = {str(s) for s in _symbols(program)} | set(program.tensors) | set(program.ranges)
    letter = next(c for c in ("n", "m", "e", "ex", "example", "example_index") if c not in taken)
    size = next(c for c in ("N", "B", "N_examples", "number_of_examples") if c not in taken)
    return Index(index_symbol(letter), sp.S.Zero, index_symbol(size) - 1)


def _symbols(program: Program) -> set[Any]:
    found: set[Any] = set()
    for statement in program.statements:
        found |= {n for n in nodes(statement.value) if isinstance(n, sp.Symbol)} | {i.symbol for i in statement.domain}
        found |= {s for read in statement.reads for s in read.free_symbols}
    for tensor in program.tensors.values():
        found |= {s for axis in tensor.axes for s in (axis.symbol, *axis.lo.free_symbols, *axis.hi.free_symbols)}
    return found


def _each(statement: Statement, index: Index, batched: set[str], renamed: dict[str, str]) -> Statement:
    def rule(node: Any) -> Any:
        if not is_access(node) or name_of(node) not in batched:
            return node
        name = name_of(node)
        return access(renamed.get(name, name), index.symbol, *indices_of(node))

    return replace(
        statement, target=rule(statement.target), value=rewrite(statement.value, rule), domain=(index, *statement.domain)
    )
