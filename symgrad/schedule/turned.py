"""Recurrences read matrices row by row: what each step of one would take turned around is turned once, before the first.

    for t:                                                       W_turned[k,j] = W[j,k]
        a[n,t,j] = sum(W[j,k]*h[n,t-1,k] for k)    h·Wᵀ    →     for t:
                                                                     a[n,t,j] = sum(W_turned[k,j]*h[n,t-1,k] for k)

A product in which both matrices are read along the index that is summed is the slowest of the four kinds in BLAS, the more so
the smaller it is; turning costs about a tenth of one step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from symgrad.core.expr import access, indices_of, name_of, substitute
from symgrad.core.program import Program, Statement, Tensor, covers
from symgrad.schedule.contractions import Product, product
from symgrad.schedule.kernels import Contract, Kernel, Scan, Schedule, flat
from symgrad.schedule.order import kernel as planned


def turned(schedule: Schedule) -> Schedule:
    """The same, with a turned copy of every matrix that a recurrence reads against its rows and does not write."""
    copies: dict[str, Statement] = {}
    program, kernels = schedule.program, list[Kernel]()
    for kernel in schedule.kernels:
        if isinstance(kernel, Scan) and schedule.segments is None:
            known = set(copies)
            program, copies = _with_copies(kernel, program, schedule, copies)
            kernels += [planned(statement, False) for name, statement in copies.items() if name not in known]
            kernel = _reading(kernel, program, schedule, copies)
        kernels.append(kernel)
    if not copies:
        return schedule
    temporaries = (*schedule.temporaries, *(statement.name for statement in copies.values()))
    return replace(schedule, program=program, kernels=tuple(kernels), temporaries=temporaries)


def _with_copies(
    scan: Scan, program: Program, schedule: Schedule, copies: dict[str, Statement]
) -> tuple[Program, dict[str, Statement]]:
    """The program with a statement for each further copy; `copies` by the name of the matrix."""
    for contract in _against_rows(scan, program, schedule):
        assert isinstance(contract.product, Product)
        name, (column, summed) = name_of(contract.product.right), indices_of(contract.product.right)
        if name in copies:
            continue
        new = program.unused_name(f"{name}_turned")
        ends = {index.symbol: index for index in contract.statement.domain}
        domain = (ends[summed], ends[column])
        statement = Statement(access(new, summed, column), contract.product.right, domain)
        program = program.with_statements([*program.statements, statement], [Tensor(new, domain, "defined")])
        copies = {**copies, name: statement}
    return program, copies


def _against_rows(scan: Scan, program: Program, schedule: Schedule) -> Iterator[Contract]:
    """The products a·bᵀ, b a whole matrix that the recurrence leaves as it is."""
    stored = schedule.aliases.get
    written = {stored(kernel.statement.name, kernel.statement.name) for kernel in flat(scan.body)}
    for kernel in flat(scan.body):
        found = kernel.product if isinstance(kernel, Contract) else None
        if not (isinstance(kernel, Contract) and isinstance(found, Product) and found.right_turned and not found.left_turned):
            continue
        groups = found.columns, found.summed
        plain = all(len(group) == 1 for group in groups)
        name, symbols = name_of(found.right), tuple(group[-1].symbol for group in groups)
        if plain and indices_of(found.right) == symbols and stored(name, name) not in written:
            domain = tuple(group[-1] for group in groups)
            if covers(Statement(found.right, found.right, domain), program.tensors[name]):
                yield kernel


def _reading(scan: Scan, program: Program, schedule: Schedule, copies: dict[str, Statement]) -> Kernel:
    """The recurrence with the copies in place of the matrices."""
    found = {id(each): _copy_read(each, program, schedule, copies) for each in _against_rows(scan, program, schedule)}

    def rebuilt(kernel: Kernel) -> Kernel:
        if isinstance(kernel, Scan):
            return replace(kernel, body=tuple(map(rebuilt, kernel.body)))
        return found.get(id(kernel), kernel)

    return rebuilt(scan)


def _copy_read(kernel: Contract, program: Program, schedule: Schedule, copies: dict[str, Statement]) -> Kernel:
    assert isinstance(kernel.product, Product)
    right = kernel.product.right
    value = substitute(kernel.statement.value, {right: access(copies[name_of(right)].name, *reversed(indices_of(right)))})
    statement = kernel.statement.with_value(value)
    return replace(kernel, statement=statement, product=product(statement, program, schedule.aliases))
