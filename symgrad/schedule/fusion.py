"""Loop nests that run over the same points go together: what one computes, the next finds in a register.

    z[n,j] = tanh(a[n,j])                     for n:
    s[n] = sum(z[n,j]^2 for j)           →        total = 0
    g[n,j] = z[n,j]*t[n]                          for j:
                                                      z[n,j] = tanh(a[n,j])
                                                      total += z[n,j]^2
                                                      g[n,j] = z[n,j]*t[n]
                                                  s[n] = total

    L[n] = logsumexp(a[n,l] for l)            the exponentials of the sum are stored, and divided by the sum
    p[n,k] = exp(a[n,k] - L[n])

    top[n] = max(a[n,l] for l)                one search for the highest and one sum of exponentials give all three
    excess[n] = logsumexp(a[n,l] - top[n] for l)
    L[n] = logsumexp(a[n,l] for l)

A nest joins an earlier one where nothing that stands between must come before it, and where both touch a quantity that
one of them computes, they touch the very same cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import sympy as sp

from symgrad.core.expr import accesses, gathers, indices_of, name_of, substitute
from symgrad.core.guards import needed
from symgrad.core.program import Program
from symgrad.schedule.contractions import Product
from symgrad.schedule.kernels import Contract, Kernel, Map, Touched

Run: TypeAlias = tuple[Map, ...]  # scalar equations that a backend takes as one
LOOK_BACK = 32  # nests


@dataclass(frozen=True)
class Together:
    """Nests that share their loops."""

    kernels: tuple[Map | Contract, ...]


def fused(kernels: Sequence[Kernel | Run], program: Program, aliases: Mapping[str, str]) -> list[Kernel | Run | Together]:
    """The kernels, in an order that brings nests together."""
    places: list[_Place] = []
    divided = _divided(kernels)
    for kernel in kernels:
        place = _earlier(kernel, places, program, divided) if isinstance(kernel, Map | Contract) and kernel.loops else None
        if place is not None and _is_softmax(place.kernels[0], kernel):
            place.kernels[0] = _named_as(place.kernels[0], kernel)  # type: ignore[arg-type]
        elif place is not None and _is_logsumexp(place.kernels[0]):
            kernel = _named_as(kernel, place.kernels[0])  # type: ignore[arg-type]
        if place is None:
            places.append(_Place([kernel], Touched(aliases)))
            place = places[-1]
        else:
            place.kernels.append(kernel)
        for each in kernel if isinstance(kernel, tuple) else [kernel]:
            place.touched.add(each)
    return [place.result() for place in places]


@dataclass
class _Place:
    kernels: list[Kernel | Run]
    touched: Touched

    def result(self) -> Kernel | Run | Together:
        return self.kernels[0] if len(self.kernels) == 1 else Together(tuple(self.kernels))  # type: ignore[arg-type]


def _divided(kernels: Sequence[Kernel | Run]) -> frozenset[str]:
    """Logarithms of sums whose exponentials are divided by the sum: the nest of a softmax has them."""
    sums = {k.statement.name: k for k in kernels if isinstance(k, Contract) and k.statement.op == "logsumexp"}
    maps = [k for k in kernels if isinstance(k, Map) and isinstance(k.statement.value, sp.exp)] if sums else []
    return frozenset(n for k in maps for n in k.statement.read_names if n in sums and k.loops and _is_softmax(sums[n], k))


def _earlier(kernel: Map | Contract, places: Sequence[_Place], program: Program, divided: frozenset[str]) -> _Place | None:
    """The last place that the kernel can join."""
    simple = _simple(kernel, program)
    if not (simple or _is_logsumexp(kernel)):
        return None
    for place in places[: -LOOK_BACK - 1 : -1]:
        first = place.kernels[0]
        if (len(place.kernels) == 1 and _is_softmax(first, kernel)) or _is_part(place.kernels, kernel, divided):
            return place
        alike = simple and isinstance(first, Map | Contract) and _same_loops(first, kernel) and _simple(first, program)
        if alike and all(_same_cells(other, kernel, place.touched.aliases) for other in place.kernels):  # type: ignore[arg-type]
            return place
        if place.touched.before(kernel):
            return None
    return None


def _simple(kernel: Map | Contract, program: Program) -> bool:
    """One value a point, stored or added up."""
    if needed(kernel.statement, program):
        return False
    if isinstance(kernel, Map):
        return not kernel.scatters
    if kernel.statement.op != "sum" or isinstance(kernel.product, Product):
        return False
    return _kept_first(kernel) if kernel.in_register else kernel.adds


def _kept_first(kernel: Contract) -> bool:
    """The loops over the result's cells stand outside of those that are summed."""
    reduced = [index in kernel.statement.reduced for index in kernel.loops]
    return reduced == sorted(reduced)


def _is_softmax(total: Kernel | Run, kernel: Kernel | Run) -> bool:
    """exp(a - logsumexp(a)), over the very points of the sum."""
    if not (isinstance(total, Contract) and isinstance(kernel, Map) and total.statement.op == "logsumexp" and total.in_register):
        return False
    ends = [[(index.lo, index.hi) for index in each.loops] for each in (total, kernel)]
    kept = len(total.loops) - len(total.statement.reduced)
    if ends[0] != ends[1] or total.loops[:kept] != kernel.loops[:kept] or total.times != kernel.times or kernel.adds or total.adds:
        return False
    value = _named_as(total, kernel).statement.value
    return bool(kernel.statement.value == sp.exp(value - total.statement.target))


def _is_logsumexp(kernel: Kernel | Run) -> bool:
    """The logarithm of a sum of exponentials, or the highest exponent in it."""
    return isinstance(kernel, Contract) and kernel.statement.op in ("max", "logsumexp") and kernel.in_register and not kernel.adds


def _is_part(others: Sequence[Kernel | Run], kernel: Map | Contract, divided: frozenset[str]) -> bool:
    """Of max a, logsumexp a and logsumexp(a - max a) one that is not among the others."""
    first = others[0]
    if not (isinstance(first, Contract) and isinstance(kernel, Contract) and _is_logsumexp(first) and _is_logsumexp(kernel)):
        return False
    ends = [[(index.lo, index.hi) for index in each.loops] for each in (first, kernel)]
    kept = len(first.loops) - len(first.statement.reduced)
    if ends[0] != ends[1] or first.loops[:kept] != kernel.loops[:kept] or first.times != kernel.times:
        return False
    if any(not isinstance(each, Contract) or each.statement.name in divided for each in (*others, kernel)):
        return False
    statement, value = _named_as(kernel, first).statement, first.statement.value
    tops = [other.statement.target for other in others if isinstance(other, Contract) and other.statement.op == "max"]
    if statement.op == "max":
        return not tops and bool(statement.value == value)
    return any(bool(statement.value == value - top) for top in tops) or (
        bool(statement.value == value) and all(other.statement.op == "max" for other in others)  # type: ignore[union-attr]
    )


def _named_as(total: Contract, kernel: Map | Contract) -> Contract:
    """A reduction with the letters of a nest over the same points."""
    names = {old.symbol: new.symbol for old, new in zip(total.loops, kernel.loops, strict=True)}
    statement = total.statement
    domain = tuple(replace(index, symbol=names[index.symbol]) for index in statement.domain)
    loops = tuple(replace(index, symbol=names[index.symbol]) for index in total.loops)
    return replace(total, statement=replace(statement, value=substitute(statement.value, names), domain=domain), loops=loops)


def _same_loops(one: Map | Contract, other: Map | Contract) -> bool:
    return [i.limit for i in one.loops] == [i.limit for i in other.loops] and one.times == other.times


def _same_cells(one: Map | Contract, other: Map | Contract, aliases: Mapping[str, str]) -> bool:
    """Of what either computes the other reads no cell but that of the same point; a sum is known only after its loops."""
    for writer, reader in ((one, other), (other, one)):
        target = writer.statement.target
        name = aliases.get(name_of(target), name_of(target))
        reads = [*accesses(reader.statement.value), *gathers(reader.statement.target), reader.statement.target]
        for read in reads:
            if aliases.get(name_of(read), name_of(read)) == name and (
                isinstance(writer, Contract) or reader.statement.target == read or indices_of(read) != indices_of(target)
            ):
                return False
    return True
