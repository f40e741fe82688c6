"""The IR: a program is an unordered set of statements in index notation; its adjoint is one too.

    Index(symbol, lo, hi)                      lo <= symbol <= hi, ends symbolic
    Statement(target, value, domain, op)       target (op)= value for every point of the domain
    Program(statements, tensors, loss, goal)

An index of the domain that the target lacks is reduced by `op`. Several statements may define one
quantity: in parts that are disjoint, h[0,j] and h[t,j], or, with op "sum", cell by cell: each adds to a
cell that starts at 0. `str(program)` is the text language again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import is_
from types import MappingProxyType
from typing import Any

import sympy as sp
from sympy import Expr, Symbol

from symgrad.core.errors import Span, SymgradError, did_you_mean
from symgrad.core.expr import accesses, free_indices, gathers, indices_of, name_of
from symgrad.core.tree import Tree, names_in_order


@dataclass(frozen=True)
class Index:
    """An index with inclusive ends."""

    symbol: Symbol
    lo: Expr
    hi: Expr

    @property
    def extent(self) -> Expr:
        return self.hi - self.lo + 1

    @property
    def limit(self) -> tuple[Symbol, Expr, Expr]:
        return self.symbol, self.lo, self.hi

    @property
    def declared(self) -> bool:
        """False where the index runs over the whole axis, whatever the arrays' extent."""
        return not any(is_count(symbol) for symbol in self.hi.free_symbols)


def is_count(symbol: Any) -> bool:
    """True for |i|, the number of values of an index that no declaration gives a range."""
    return str(symbol).startswith("|")


def whole_axis(name: str) -> tuple[Expr, Expr]:
    return sp.S.Zero, Symbol(f"|{name}|", integer=True) - 1


@dataclass(frozen=True, eq=False)
class Tensor:
    """A named quantity; `axes` empty for a scalar. `adjoint_of` is (loss, primal) for dJ/dprimal; the first
    `rows` axes are then those of the loss, where that is no scalar.

    `role` is input, param, const or defined. `values` are the ends of an integer array's values, None for reals.
    Two are equal by name, role, and the ends of axes and values: by which letter an axis is known does not count.
    """

    name: str
    axes: tuple[Index, ...] = ()
    role: str = "input"
    values: tuple[Expr, Expr] | None = None
    adjoint_of: tuple[str, str] | None = None
    rows: int = 0
    span: Span | None = field(default=None, repr=False)
    declared: bool = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tensor) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[Any, ...]:
        return self.name, self.role, self.values, tuple((axis.lo, axis.hi) for axis in self.axes)

    @property
    def extents(self) -> tuple[Expr, ...]:
        return tuple(axis.extent for axis in self.axes)


@dataclass(frozen=True)
class Function:
    """A function that the user defined, sigma(u) = …, or a derivative of one; `typed` is the body as written."""

    parameters: tuple[Symbol, ...]
    body: Expr
    typed: Tree | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Contribution:
    """One term of the chain rule, `adjoint += sum over reduced of cotangent * partial`, its parts apart.

    `primal` is the statement it comes from; `target` is the adjoint's access, `read` the primal's.
    `cotangent` is the adjoint of the statement's target, 1 for the loss itself.
    """

    primal: Statement
    read: Expr
    result: Expr
    target: Expr
    cotangent: Expr
    partial: Expr
    reduced: tuple[Index, ...]
    kept: tuple[Index, ...] = ()  # the target's indices that run over a part of their axis here


@dataclass(frozen=True)
class Origin:
    """Where a statement comes from: the user's equation, or a chain-rule term of a primal statement."""

    span: Span | None = field(default=None, repr=False)
    written: tuple[Expr, Tree] | None = None  # the right-hand side as converted, and as typed
    spans: Mapping[Any, Span] = field(default_factory=dict)  # accesses to their places
    contributions: tuple[Contribution, ...] = ()
    invented: bool = False  # a step that the user did not name

    def place(self, expr: Any = None) -> Span | None:
        return self.spans.get(expr, self.span)


@dataclass(frozen=True)
class Statement:
    target: Expr
    value: Expr
    domain: tuple[Index, ...] = ()
    op: str | None = None
    origin: Origin = field(default=Origin(), compare=False, repr=False)

    @cached_property
    def name(self) -> str:
        return name_of(self.target)

    @cached_property
    def ranges(self) -> Mapping[Symbol, tuple[Expr, Expr]]:
        """The ends of every index of the domain, outer indices first."""
        return {index.symbol: (index.lo, index.hi) for index in outer_first(self.domain)}

    @property
    def moving(self) -> tuple[Index, ...]:
        """The indices of the target whose ends use other indices: their cells are no box."""
        inner = {index.symbol for index in self.domain}
        return tuple(i for i in self.outer if not inner.isdisjoint(i.lo.free_symbols | i.hi.free_symbols))

    @cached_property
    def reduced(self) -> tuple[Index, ...]:
        if not self.domain:
            return ()
        kept = set(self.target.free_symbols)
        return tuple(index for index in self.domain if index.symbol not in kept)

    @cached_property
    def outer(self) -> tuple[Index, ...]:
        if not self.domain:
            return ()
        kept = set(self.target.free_symbols)
        return tuple(index for index in self.domain if index.symbol in kept)

    @cached_property
    def reads(self) -> tuple[Expr, ...]:
        return accesses(self.value)

    @cached_property
    def reads_of(self) -> Mapping[str, tuple[Expr, ...]]:
        """The accesses of each quantity that the value reads."""
        out: dict[str, tuple[Expr, ...]] = {}
        for read in self.reads:
            name = name_of(read)
            out[name] = (*out[name], read) if name in out else (read,)
        return out

    @cached_property
    def read_names(self) -> tuple[str, ...]:
        return tuple(self.reads_of)

    def with_value(self, value: Expr) -> Statement:
        return self if value is self.value or value == self.value else replace(self, value=value)


def outer_first(domain: Sequence[Index]) -> tuple[Index, ...]:
    """The domain with every index after those that its ends use."""
    out: list[Index] = []
    waiting = list(domain)
    while waiting:
        names = {index.symbol for index in waiting}
        index = next(i for i in waiting if names.isdisjoint((i.lo + i.hi).free_symbols - {i.symbol}))
        out.append(index)
        waiting.remove(index)
    return tuple(out)


def covers(statement: Statement, tensor: Tensor) -> bool:
    """True where every cell of the target's tensor is written once for each point of its own axes."""
    ranges = {index.symbol: (index.lo, index.hi) for index in statement.domain}
    targets = indices_of(statement.target)
    if not targets and not tensor.axes:
        return True
    whole = (ranges.get(index) == (axis.lo, axis.hi) for index, axis in zip(targets, tensor.axes, strict=True))
    return len(set(targets)) == len(targets) and all(whole)


def scatters(statement: Statement) -> bool:
    """True where points of the domain that differ in the target's indices may hit one cell, or come in no order.

    x_bar[i+k] and E_bar[w[t],d] do; y[i], h[t-1], x[2*i] and the diagonal A[i,i] do not.
    """
    if not statement.domain:
        return False
    kept = {index.symbol for index in statement.outer}
    alone = set()
    for target in indices_of(statement.target):
        inside = kept & target.free_symbols
        if len(inside) == 1 and not gathers(target):
            alone |= inside
    moving = {s for index in statement.outer for end in (index.lo, index.hi) for s in end.free_symbols}
    return alone != kept or not moving.isdisjoint(index.symbol for index in statement.reduced)


@dataclass(frozen=True)
class Program:
    """`order` remembers the order in which the user wrote terms; `names` the order of first appearance."""

    statements: tuple[Statement, ...]
    tensors: Mapping[str, Tensor]
    loss: str | None = None
    goal: str | None = None
    ranges: Mapping[str, Index] = field(default_factory=dict)
    assumptions: tuple[tuple[Expr, Expr], ...] = ()
    written: Mapping[Any, tuple[Any, ...]] = field(default_factory=dict, compare=False)
    functions: Mapping[str, Function] = field(default_factory=dict, compare=False)
    chain: tuple[str, ...] = field(default=(), compare=False)  # names from the loss down, where products run along a chain

    def __post_init__(self) -> None:
        for name in ("tensors", "ranges", "written", "functions"):
            given = getattr(self, name)
            if type(given) is not MappingProxyType:  # one that comes from another program: nobody else has what is behind it
                object.__setattr__(self, name, MappingProxyType(dict(given)))

    def __str__(self) -> str:
        from symgrad.core.source import program_text

        return program_text(self)

    def __hash__(self) -> int:
        return hash((self.statements, frozenset(self.tensors.items()), self.loss, self.goal))

    def __iter__(self) -> Iterator[Statement]:
        return iter(self.statements)

    def __deepcopy__(self, memo: Any) -> Program:
        return self  # nothing in it changes

    @cached_property
    def defined(self) -> tuple[str, ...]:
        """Names of all defined tensors in the order of their first statement."""
        return tuple(dict.fromkeys(statement.name for statement in self.statements))

    @cached_property
    def free(self) -> tuple[str, ...]:
        """Names of all that is given, in the order of declaration or first use."""
        defined = set(self.defined)
        return tuple(name for name in self.tensors if name not in defined)

    @cached_property
    def definitions(self) -> Mapping[str, tuple[Statement, ...]]:
        out: dict[str, list[Statement]] = {}
        for statement in self.statements:
            out.setdefault(statement.name, []).append(statement)
        return {name: tuple(found) for name, found in out.items()}

    @cached_property
    def users(self) -> Mapping[str, tuple[Statement, ...]]:
        out: dict[str, list[Statement]] = {}
        for statement in self.statements:
            for name in statement.read_names:
                out.setdefault(name, []).append(statement)
        return {name: tuple(found) for name, found in out.items()}

    @cached_property
    def needs(self) -> Mapping[str, tuple[str, ...]]:
        """The quantities that each defined one reads."""
        needs: dict[str, dict[str, None]] = {name: {} for name in self.defined}
        for statement in self.statements:
            needs[statement.name].update(dict.fromkeys(statement.read_names))
        return {name: tuple(found) for name, found in needs.items()}

    @cached_property
    def needed_sizes(self) -> Mapping[Symbol, Statement]:
        """Every symbol of an extent that a statement uses, with the first that does."""
        out: dict[Symbol, Statement] = {}
        for statement in self.statements:
            indices = {index.symbol for index in statement.domain}
            ends = [end for index in statement.domain for end in (index.lo, index.hi)]
            for expr in dict.fromkeys((*ends, statement.value, statement.target)):
                for symbol in free_indices(expr):
                    if symbol not in indices:
                        out.setdefault(symbol, statement)
        return out

    @cached_property
    def facts(self) -> tuple[Expr, ...]:
        """Extents of axes and ranges: none is negative, which a call checks."""
        indices = [axis for tensor in self.tensors.values() for axis in tensor.axes] + list(self.ranges.values())
        indices += [index for statement in self.statements for index in statement.domain]
        inner = {index.symbol for index in indices}
        ends = dict.fromkeys((index.lo, index.hi) for index in indices)
        extents = dict.fromkeys(sp.expand(hi - lo + 1) for lo, hi in ends)
        return tuple(e for e in extents if not e.is_number and inner.isdisjoint(e.free_symbols) and not e.has(sp.Function))

    @cached_property
    def partitioned(self) -> frozenset[str]:
        """Quantities that several statements define, each its own cells."""
        from symgrad.core.parts import overlap

        return frozenset(name for name, found in self.definitions.items() if len(found) > 1 and overlap(self, name) is None)

    def alone(self, statement: Statement) -> bool:
        """True where the statement's value is the value of its target: no other adds to it, nor itself at other points."""
        if scatters(statement):
            return False
        return len(self.definitions[statement.name]) == 1 or statement.name in self.partitioned

    @property
    def params(self) -> tuple[str, ...]:
        return tuple(name for name in self.free if self.tensors[name].role == "param")

    def with_statements(self, statements: Iterable[Statement], more: Iterable[Tensor] = ()) -> Program:
        """The same program with other statements and further tensors; itself, with all it has found out, if there are none."""
        statements, more = tuple(statements), tuple(more)
        if not more and len(statements) == len(self.statements) and all(map(is_, statements, self.statements)):
            return self
        tensors = {**self.tensors, **{tensor.name: tensor for tensor in more}} if more else self.tensors
        return replace(self, statements=statements, tensors=tensors)

    def known(self, name: str) -> str:
        """`name`, if it is a quantity of the program; else SG203, or SG209 for what is no name at all."""
        if not isinstance(name, str):
            raise no_name(name)
        if name in self.tensors:
            return name
        raise SymgradError(
            "SG203",
            f"there is no quantity named {name}",
            hint=did_you_mean(name, self.tensors) or f"the model has {', '.join(self.tensors)}",
        )

    @cached_property
    def appearance(self) -> tuple[str, ...]:
        """All names in the order in which they first appear in the equations."""
        names: dict[str, None] = {}
        for statement in self.statements:
            written = statement.origin.written
            names.update(dict.fromkeys(names_in_order(written[1]) if written else ()))
            names.update(dict.fromkeys((*statement.read_names, statement.name)))
        return tuple(names)

    @cached_property
    def taken(self) -> frozenset[str]:
        """Names of quantities and declared indices."""
        return frozenset(self.tensors) | frozenset(self.ranges)

    def unused_name(self, wanted: str) -> str:
        taken = self.taken
        name, count = wanted, 1
        while name in taken:
            count += 1
            name = f"{wanted}_{count}"
        return name


def a_program(given: Any) -> Program:
    """What a function is given as a program; SG119 where it is something else, such as the text of one."""
    if isinstance(given, Program):
        return given
    hint = "read it first: sg.parse(text)" if isinstance(given, str) else "sg.parse, sg.parse_latex and sg.from_sympy make one"
    raise SymgradError("SG119", f"a program is needed, not {type(given).__name__}", hint=hint)


def name_list(given: Any) -> list[str]:
    """One name or several as a list. Raises SG209 for what is neither."""
    if isinstance(given, str):
        return [given]
    if not isinstance(given, Iterable):
        raise no_name(given)
    return list(given)


def no_name(given: Any) -> SymgradError:
    return SymgradError("SG209", f"a name is expected, and this is of type {type(given).__name__}", hint="give a str, such as 'x'")
