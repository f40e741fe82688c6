"""Updates that ride in a product of matrices: gemm adds to what is there.

    G[j,i] = sum(a[n,j]*x[n,i] for n)                       W' = W
    W'[j,i] = W[j,i] - eta*G[j,i],  W' written over W   →   W'[j,i] += -eta*a[n,j]*x[n,i], summed over n

where nothing else reads G; mu*v + G likewise. The copy W' = W is none where both are one array. Sums that are no products
stay: their terms would be rounded one by one against the larger W.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import sympy as sp
from sympy import Expr, IndexedBase

from symgrad.core.expr import access, accesses, indices_of, name_of, substitute
from symgrad.core.program import Program, Statement, covers
from symgrad.schedule.contractions import Product, product


def with_updates_in_products(program: Program, aliases: Mapping[str, str]) -> Program:
    """`aliases`: result → argument that it is written over."""
    gone: dict[str, Statement] = {}
    statements: list[Statement] = []
    for statement in program.statements:
        found = _ridden(statement, program, aliases)
        if found is None:
            statements.append(statement)
            continue
        rest, factor, read = found
        inner = program.definitions[name_of(read)][0]
        gone[inner.name] = inner
        names = dict(zip(indices_of(inner.target), indices_of(read), strict=True))
        added = replace(inner, target=statement.target, value=factor * substitute(inner.value, names), origin=statement.origin)
        domain = tuple(replace(index, symbol=names.get(index.symbol, index.symbol)) for index in inner.domain)
        statements += [statement.with_value(rest), replace(added, domain=domain)]
    if not gone:
        return program
    tensors = {name: tensor for name, tensor in program.tensors.items() if name not in gone}
    return replace(program, statements=tuple(s for s in statements if s.name not in gone), tensors=tensors)


def is_kept(statement: Statement, aliases: Mapping[str, str]) -> bool:
    """W' = W, one array for both: nothing to do."""
    return statement.name in aliases and statement.op is None and statement.value == _own(statement, aliases)


def _own(statement: Statement, aliases: Mapping[str, str]) -> Expr:
    return access(aliases[statement.name], *indices_of(statement.target))


def _ridden(statement: Statement, program: Program, aliases: Mapping[str, str]) -> tuple[Expr, Expr, Expr] | None:
    """(rest, factor, read) of a statement that is rest + factor·read, the read of a product that is read nowhere else."""
    indices = indices_of(statement.target)
    if statement.name not in aliases or statement.op is not None or len(program.definitions[statement.name]) > 1:
        return None
    for read in accesses(statement.value):
        if indices and sorted(indices_of(read), key=str) == sorted(indices, key=str) and _is_product(read, statement, program):
            value = sp.expand(statement.value)
            factor = value.coeff(read)
            rest = value - factor * read
            if not rest.has(IndexedBase(name_of(read))) and not factor.has(*indices) and factor != 0:
                return rest, factor, read
    return None


def _is_product(read: Expr, user: Statement, program: Program) -> bool:
    definitions = program.definitions.get(name_of(read), ())
    if len(definitions) != 1 or program.users.get(name_of(read), ()) != (user,):
        return False
    inner = definitions[0]
    whole = covers(inner, program.tensors[inner.name]) and covers(user, program.tensors[user.name])
    return whole and isinstance(product(inner, program), Product)
