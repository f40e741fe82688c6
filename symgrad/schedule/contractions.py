"""Which contractions are products of matrices: their operands, and the indices that act as rows, columns and sum.

    C[..m..n] (+)= alpha * sum over k of A[..m..k..] * B[..k..n..]

An index of C and A alone is one of rows, of C and B alone one of columns, of A and B alone one that is summed; one of
all three, and what cannot be laid out with the others, is a loop around the product. Several axes act as one where
they are neighbours in both arrays and the inner ones are whole: x[n,t,i] is a matrix with rows (n, t). Of every
array the last axis is part of the product, so that a row or a column of it lies in one piece.

>>> import symgrad as sg
>>> p = sg.parse("y[n,j] = sum(W[j,i]*x[n,i] for i) for n in 1..N; J = sum(y[n,j]^2 for n, j)")
>>> found = product(p.statements[0], p)
>>> print(found)
x·Wᵀ
>>> [str(index.symbol) for group in (found.rows, found.columns, found.summed) for index in group]
['n', 'j', 'i']
>>> print(product(p.statements[1], p))
no two factors
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp
from sympy import Expr, Symbol

from symgrad.core.expr import access, accesses, gathers, indices_of, is_access, name_of, where
from symgrad.core.guards import needed
from symgrad.core.program import Index, Program, Statement, Tensor

Plain = tuple[Symbol | None, ...]  # the index of each axis of an access, None where it is fixed


@dataclass(frozen=True)
class Product:
    """C = alpha·A·B. `left` and `right` are accesses; the flags say that their last axis is one of rows, of the sum.

    `around` are the loops over separate products, `over` those whose products add up in one C.
    """

    left: Expr
    right: Expr
    alpha: Expr
    rows: tuple[Index, ...]
    columns: tuple[Index, ...]
    summed: tuple[Index, ...]
    around: tuple[Index, ...]
    over: tuple[Index, ...]
    left_turned: bool
    right_turned: bool

    def __str__(self) -> str:
        factors = [(self.left, self.left_turned), (self.right, self.right_turned)]
        text = "·".join(name_of(read) + ("ᵀ" if turned else "") for read, turned in factors)
        text = text if self.alpha == 1 else f"({self.alpha})·{text}"
        each = ", ".join(str(index.symbol) for index in self.around)
        over = ", ".join(str(index.symbol) for index in self.over)
        return text + (f" for each {each}" if each else "") + (f" added over {over}" if over else "")


def product(statement: Statement, program: Program, aliases: Mapping[str, str] | None = None) -> Product | str:
    """The product that a statement is, or why it is none."""
    if statement.op != "sum":
        return f"{statement.op} is no sum"
    if needed(statement, program):
        return "not all places are cells"
    symbols = {index.symbol for index in statement.domain}
    if any(symbols & (index.lo + index.hi).free_symbols for index in statement.domain):
        return "a range moves"
    alpha, factors = _split(statement.value, symbols)
    reason = _unfit(statement, factors, symbols, program, aliases or {})
    if reason:
        return reason
    shapes = [_plain(read, symbols) for read in (statement.target, *factors)]
    kinds = _kinds(statement, shapes)
    if isinstance(kinds, str):
        return kinds
    if kinds.get(shapes[0][-1]) == "left":  # the target's last axis is one of columns
        factors.reverse()
        shapes[1:] = reversed(shapes[1:])
        kinds = {s: {"left": "right", "right": "left"}.get(kind, kind) for s, kind in kinds.items()}
    return _laid_out(statement, alpha, factors, shapes, kinds, program)


def with_named_factors(program: Program) -> Program:
    """The same program with names for what stands around and inside of products of matrices.

    sum(2*x[n,i]*g[n,j]*(1 - z[n,j]^2)*c[i,j] for n) reads four arrays, and no two matrices. With f[n,j] = g[n,j]*(1 - z[n,j]^2)
    and s[i,j] = sum(x[n,i]*f[n,j] for n) it is 2*c[i,j]*s[i,j]. A name costs work over two of the three groups of
    indices, where the product saves some over all three.
    """
    tensors: dict[str, Tensor] = {}
    statements: list[Statement] = []
    for statement in program.statements:
        made, new = _named(statement, program, tensors) or ([statement], {})
        statements += made
        tensors |= new
    return program.with_statements(statements, tensors.values()) if tensors else program


def _named(statement: Statement, program: Program, taken: Mapping[str, Tensor]) -> tuple[list[Statement], dict[str, Tensor]] | None:
    """The statements in place of one, a product among them; None where it is none or needs no names."""
    if statement.op != "sum" or statement.value.has(where) or statement.moving or not statement.reduced:
        return None
    symbols, reduced = ({index.symbol for index in indices} for indices in (statement.domain, statement.reduced))
    alpha, factors = _split(statement.value, symbols)
    outside = [factor for factor in factors if reduced.isdisjoint(factor.free_symbols)]
    groups = _by_indices([factor for factor in factors if factor not in outside], symbols)
    if len(groups) != 2 or not all(accesses(group) for group in groups) or (not outside and all(map(is_access, groups))):
        return None
    new: dict[str, Tensor] = {}
    made: list[Statement] = []

    def name(kind: str, value: Expr, axes: tuple[Index, ...], inner: tuple[Index, ...] = ()) -> Expr:
        unused = _unused(f"{statement.name}_{kind}", program, {**taken, **new})
        new[unused] = Tensor(unused, axes, "defined")
        read = access(unused, *(axis.symbol for axis in axes))
        made.append(Statement(read, value, (*axes, *inner), "sum" if inner else None, statement.origin))
        return read

    reads = [group if is_access(group) else name("factor", group, _axes(group, statement)) for group in groups]
    if outside:
        total = name("sum", sp.Mul(*reads), statement.outer, statement.reduced)
        op = None if program.alone(statement) else "sum"
        whole = replace(statement, value=sp.Mul(alpha, *outside, total), domain=statement.outer, op=op)
    else:
        whole = statement.with_value(sp.Mul(alpha, *reads))
    found = made[-1] if outside else whole
    read_or_written = {n: {**program.tensors, **new}[n] for n in (found.name, *found.read_names)}
    is_product = isinstance(product(found, replace(program, statements=(found,), tensors=read_or_written)), Product)
    return ([*made, whole], new) if is_product and not needed(statement, program) else None


def _unused(wanted: str, program: Program, more: Mapping[str, Tensor]) -> str:
    name, count = wanted, 1
    while name in program.taken or name in more:
        count += 1
        name = f"{wanted}_{count}"
    return name


def _by_indices(factors: Sequence[Expr], symbols: set[Symbol]) -> list[Expr]:
    """Factors with the same indices, or with fewer, as one."""
    groups: dict[frozenset[Any], list[Expr]] = {}
    for factor in sorted(factors, key=lambda f: -len(symbols & f.free_symbols)):
        own = frozenset(symbols & factor.free_symbols)
        wider = next((indices for indices in groups if own <= indices), own)
        groups.setdefault(wider, []).append(factor)
    return [sp.Mul(*group) for group in groups.values()]


def _axes(value: Expr, statement: Statement) -> tuple[Index, ...]:
    """The indices of a value as axes, in the order of the widest array that it reads."""
    symbols = {index.symbol for index in statement.domain} & value.free_symbols
    widest = max(accesses(value), key=lambda read: len(symbols & read.free_symbols))
    first = [symbol for symbol in _plain(widest, symbols) if symbol is not None]
    ends = {index.symbol: index for index in statement.domain if index.symbol in symbols}
    return tuple(ends[s] for s in dict.fromkeys([*(s for s in ends if s not in first), *first]))


def _split(value: Expr, symbols: set[Symbol]) -> tuple[Expr, list[Expr]]:
    """The factors without an index of the domain as one, and the others."""
    alpha: list[Expr] = []
    factors: list[Expr] = []
    for factor in sp.Mul.make_args(value):
        (factors if symbols & factor.free_symbols else alpha).append(factor)
    return sp.Mul(*alpha), factors


def _unfit(
    statement: Statement, factors: Sequence[Expr], symbols: set[Symbol], program: Program, aliases: Mapping[str, str]
) -> str | None:
    """Why the factors are no two arrays with plain indices."""
    if len(factors) != 2:
        return "no two factors"
    for factor in factors:
        if not is_access(factor):
            return "a factor is no array"
        if program.tensors[name_of(factor)].values is not None:
            return f"{name_of(factor)} holds whole numbers"
        if name_of(factor) == aliases.get(statement.name):
            return f"{name_of(factor)} is written over"
    for read in (statement.target, *factors):
        plain = _plain(read, symbols)
        used = [symbol for symbol in plain if symbol is not None]
        if any(index.free_symbols & symbols - {own} for index, own in zip(indices_of(read), plain, strict=True)):
            return f"{read} has an index that is not plain"
        if len(set(used)) < len(used):
            return f"{read} is a diagonal"
    return None


def _plain(read: Expr, symbols: set[Symbol]) -> Plain:
    """i of x[i], x[i-1]; None of x[0], and of x[2*i] and x[w[i]], which are none."""
    out: list[Symbol | None] = []
    for index in indices_of(read):
        inside = sorted(symbols & index.free_symbols, key=str)
        plain = len(inside) == 1 and not gathers(index) and not (index - inside[0]).has(inside[0])
        out.append(inside[0] if plain else None)
    return tuple(out)


def _kinds(statement: Statement, shapes: Sequence[Plain]) -> dict[Any, str] | str:
    """What every index of the domain is: of the left, of the right operand, summed, or of all (`each`)."""
    names = {(1, 1, 0): "left", (1, 0, 1): "right", (0, 1, 1): "summed", (1, 1, 1): "each"}
    out = {}
    for index in statement.domain:
        key = tuple(int(index.symbol in shape) for shape in shapes)
        if key not in names:
            return f"{index.symbol} is an index of {'no array' if key == (0, 0, 0) else 'one array alone'}"
        out[index.symbol] = names[key]
    missing = {"left", "right", "summed"} - set(out.values())
    if missing == {"left"} or missing == {"right"}:
        return "a matrix times a vector"
    return "no matrices" if missing else out


def _laid_out(
    statement: Statement, alpha: Expr, factors: Sequence[Expr], shapes: Sequence[Plain], kinds: Mapping[Any, str], program: Program
) -> Product | str:
    """The groups of axes that act as one, the innermost first, each last axis among them."""
    target, left, right = shapes
    lasts = [kinds.get(shape[-1]) for shape in shapes]
    allowed = ({"right"}, {"left", "summed"}, {"right", "summed"})
    for read, last, wanted in zip((statement.target, *factors), lasts, allowed, strict=True):
        if last not in wanted:
            return f"the last axis of {name_of(read)} is not in the product"
    inner = {target[-1], left[-1], right[-1]}
    groups: dict[str, tuple[Index, ...]] = {}
    accesses = dict(zip(("target", "left", "right"), (statement.target, *factors), strict=True))
    for kind, one, other in (("left", "target", "left"), ("right", "target", "right"), ("summed", "left", "right")):
        firsts = [s for s in inner if kinds[s] == kind]
        if len(firsts) > 1:
            return f"the last axes of {name_of(accesses[one])} and {name_of(accesses[other])} do not meet"
        reads = accesses[one], accesses[other]
        groups[kind] = _group(kind, firsts, reads, kinds, statement, program)
    taken = {index for group in groups.values() for index in group}
    rest = [index for index in statement.domain if index not in taken]
    return Product(
        factors[0],
        factors[1],
        alpha,
        groups["left"],
        groups["right"],
        groups["summed"],
        tuple(index for index in rest if kinds[index.symbol] != "summed"),
        tuple(index for index in rest if kinds[index.symbol] == "summed"),
        lasts[1] == "left",
        lasts[2] == "summed",
    )


def _group(
    kind: str, firsts: Sequence[Any], reads: tuple[Expr, Expr], kinds: Mapping[Any, str], statement: Statement, program: Program
) -> tuple[Index, ...]:
    """The innermost index of a kind and those outside of it that run on with it in both arrays."""
    symbols = set(kinds)
    one, other = (_plain(read, symbols) for read in reads)
    ends = {index.symbol: index for index in statement.domain}
    inner = firsts[0] if firsts else next(s for s in reversed(one) if s is not None and kinds[s] == kind)
    group = [ends[inner]]
    places = [one.index(inner), other.index(inner)]
    while all(_whole(read, place, group[0], program.tensors[name_of(read)]) for read, place in zip(reads, places, strict=True)):
        places = [place - 1 for place in places]
        if min(places) < 0 or one[places[0]] != other[places[1]] or kinds.get(one[places[0]]) != kind:
            break
        group.insert(0, ends[one[places[0]]])  # type: ignore[index]
    return tuple(group)


def _whole(read: Expr, place: int, index: Index, tensor: Tensor) -> bool:
    """True where the index runs over the whole axis at that place."""
    axis, shift = tensor.axes[place], indices_of(read)[place] - index.symbol
    return all(sp.expand(end + shift - edge) == 0 for end, edge in ((index.lo, axis.lo), (index.hi, axis.hi)))


def joined(product: Product) -> Iterator[tuple[Expr, Index]]:
    """(extent, index) of every axis that must be as long in memory as it is read, for others to run on with it."""
    for group in (product.rows, product.columns, product.summed):
        yield from ((index.extent, index) for index in group[1:])
