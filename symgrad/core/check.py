"""Draft → Program: what a frontend read becomes a checked program, or a refusal that names the place.

A frontend hands over equations, declarations and index ranges; here the ranges that were left open are
found (an index declared nowhere runs over the whole axis, and all its uses must agree), top-level
reductions become the statement's own, and ranks, scopes, double definitions and cycles are checked.
`check(program)` is the part that holds for every program; tests run it after every pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import sympy as sp
from sympy import Expr, Symbol

from symgrad.core.affine import bounds, coefficients
from symgrad.core.errors import Span, SymgradError
from symgrad.core.expr import (
    access,
    accesses,
    free_indices,
    index_symbol,
    indices_of,
    is_access,
    is_index,
    is_reduction,
    mean,
    name_of,
    rebuild,
    reduction,
    split_reduction,
)
from symgrad.core.graph import tensor_needs, topological
from symgrad.core.program import Index, Origin, Program, Statement, Tensor, whole_axis
from symgrad.core.tree import Definition

Ends = tuple[Any, Any]


@dataclass(frozen=True)
class Equation:
    """`name[indices] op value`, the value with open ranges as one-element limits `(i,)`."""

    name: str
    indices: tuple[Expr, ...]
    value: Expr
    op: str = "="
    ranges: Mapping[str, Ends] = field(default_factory=dict)
    origin: Origin = field(default_factory=Origin)


@dataclass(frozen=True)
class Declaration:
    role: str
    name: str
    indices: tuple[str, ...] = ()
    span: Span | None = None


@dataclass(frozen=True)
class Draft:
    """What a frontend read. `ranges` are the declared index ranges with their places."""

    equations: tuple[Equation, ...]
    declarations: tuple[Declaration, ...] = ()
    ranges: Mapping[str, tuple[Expr, Expr, Span | None]] = field(default_factory=dict)
    loss: str | None = None
    goal: str | None = None
    goal_span: Span | None = None
    assumptions: tuple[tuple[Expr, Expr], ...] = ()
    written: Mapping[Any, tuple[Any, ...]] = field(default_factory=dict)
    functions: Mapping[str, Definition] = field(default_factory=dict)


def resolve(draft: Draft) -> Program:
    """The program that a draft means. Raises SG2xx (names), SG3xx (indices), SG4xx (graph)."""
    if not draft.equations:
        raise SymgradError("SG120", "there is no equation", hint="write at least one, such as J = x^2")
    for equation in draft.equations:
        _check_target(equation)
    _check_names(draft)
    ranges = _Ranges(draft)
    statements = tuple(ranges.statement(equation) for equation in draft.equations)
    tensors = _tensors(draft, ranges, statements)
    assumptions = tuple((ranges.fill(left), ranges.fill(right)) for left, right in draft.assumptions)
    declared = {name: Index(index_symbol(name), lo, hi) for name, (lo, hi, _) in draft.ranges.items()}
    program = Program(statements, tensors, draft.loss, draft.goal, declared, assumptions, draft.written, draft.functions)
    if draft.loss is not None and draft.loss not in tensors:
        raise SymgradError("SG203", f"{draft.goal} names {draft.loss}, which no equation defines", draft.goal_span)
    topological_check(program)
    return check(program)


def _check_names(draft: Draft) -> None:
    first: dict[str, Equation] = {}
    for equation in draft.equations:
        before = first.setdefault(equation.name, equation)
        if before is not equation and not (equation.op == before.op == "+="):
            raise SymgradError(
                "SG202",
                f"{equation.name} is defined twice{_also(before.origin.span)}",
                equation.origin.span,
                "give the second one another name, or write += in both",
            )
    for equation in draft.equations:
        _check_ending(equation.name, equation.origin.span)
        for read in accesses(equation.value):
            _check_ending(name_of(read), equation.origin.place(read))
    declared: dict[str, Declaration] = {}
    for declaration in draft.declarations:
        name, span = declaration.name, declaration.span
        if name in declared:
            raise SymgradError("SG202", f"{name} is declared twice{_also(declared[name].span)}", span)
        declared[name] = declaration
        if name in first:
            raise SymgradError(
                "SG202",
                f"{name} is declared as {declaration.role} and defined{_also(span)}",
                first[name].origin.span,
                "remove the declaration or the equation",
            )
    for name, (_, _, span) in draft.ranges.items():
        clash = declared.get(name) or first.get(name)
        if clash:
            raise SymgradError("SG205", f"{name} is an index and a quantity", span, "rename one of them")
    for name in {str(s) for lo, hi, _ in draft.ranges.values() for s in (lo + hi).free_symbols}:
        if name in declared or name in first:
            raise SymgradError(
                "SG304",
                f"{name} is the end of a range and a quantity",
                declared[name].span if name in declared else first[name].origin.span,
                "rename one of them",
            )


def _check_ending(name: str, span: Span | None) -> None:
    # names with a final _ are how emitted code tells a model's `lambda` from Python's
    if name.endswith("_"):
        raise SymgradError("SG209", f"the name {name} ends with _", span, f"write {name.rstrip('_')}")


def _also(span: Span | None) -> str:
    return f" (first at line {span.line}, column {span.column})" if span else ""


def _check_target(equation: Equation) -> None:
    indices, place = equation.indices, equation.origin.place()
    shown = f"{equation.name}[{','.join(map(str, indices))}]"
    if any(not is_index(i) for i in indices):
        raise SymgradError(
            "SG390",
            f"not yet: {shown} defines a part of {equation.name} (a recurrence's start or step)",
            place,
            "define the whole array with plain indices",
        )
    if len(set(indices)) < len(indices):
        raise SymgradError("SG306", f"{shown} uses an index twice on the left", place, "use two indices")
    if indices and any(name_of(read) == equation.name for read in accesses(equation.value)):
        raise SymgradError("SG390", f"not yet: {equation.name} is a recurrence, it reads itself", place)


class _Ranges:
    """Finds the range of every index and axis by union of those that are used together."""

    def __init__(self, draft: Draft):
        self.parent: dict[str, str] = {}
        self.found: set[str] = set()  # axes whose range comes from their uses, and is the widest of them
        self.ends: dict[str, Ends] = {name: (lo, hi) for name, (lo, hi, _) in draft.ranges.items()}
        self.axes: dict[str, tuple[str, ...]] = {}
        self.first_use: dict[str, tuple[Expr, Span | None]] = {}
        for name, (lo, hi, span) in draft.ranges.items():
            _check_ends(name, lo, hi, span)
        for declaration in draft.declarations:
            self.axes[declaration.name] = declaration.indices
        for equation in draft.equations:
            self._define(equation)
        for equation in draft.equations:
            self._read(equation)

    def root(self, key: str) -> str:
        while self.parent.get(key, key) != key:
            key = self.parent[key]
        return key

    def range(self, key: str) -> Ends:
        root = self.root(key)
        return self.ends.get(root) or whole_axis(root.replace(":", "_"))

    def _define(self, equation: Equation) -> None:
        keys = []
        for place, symbol in enumerate(equation.indices):
            key = str(symbol)
            if key in equation.ranges:
                key = f"{equation.name}:{place}"
                self.ends[key] = equation.ranges[str(symbol)]
            keys.append(key)
        known = self.axes.setdefault(equation.name, tuple(keys))
        if len(known) != len(keys):
            raise SymgradError(
                "SG303", f"{equation.name} is defined with {len(known)} and with {len(keys)} indices", equation.origin.span
            )
        if equation.op == "+=":
            for here, there in zip(keys, known, strict=True):
                self._join(here, there, equation, equation.origin.span)

    def _read(self, equation: Equation) -> None:
        left = set(equation.indices)
        local = {index_symbol(name): ends for name, ends in equation.ranges.items()}
        for read, scope in _scoped(equation.value, local):
            span = equation.origin.place(read)
            name, indices = name_of(read), indices_of(read)
            axes = self.axes.setdefault(name, tuple(self._axis(name, place, i, scope) for place, i in enumerate(indices)))
            if len(axes) != len(indices):
                where = self.first_use.get(name)
                raise SymgradError(
                    "SG303",
                    f"{name} has {_count(len(axes))}, here it is used with {_count(len(indices))}{_also(where and where[1])}",
                    span,
                )
            self.first_use.setdefault(name, (read, span))
            for axis, index in zip(axes, indices, strict=True):
                self._use(axis, index, scope, equation, span, left)
        for limit in _limits(equation.value):
            if len(limit) == 3:
                _check_ends(str(limit[0]), limit[1], limit[2], equation.origin.span)

    def _axis(self, name: str, place: int, index: Expr, scope: Mapping[Symbol, Ends | None]) -> str:
        """The key of an undeclared axis: that of the index it is first used with, where it is plain."""
        if is_index(index) and scope.get(index) is None:
            return str(index)
        return f"{name}:{place}"

    def _use(
        self, axis: str, index: Expr, scope: Mapping[Symbol, Ends | None], equation: Equation, span: Span | None, left: set[Expr]
    ) -> None:
        if any(is_access(node) for node in index.free_symbols if not is_index(node)) or index.has(sp.Indexed):
            raise SymgradError("SG391", f"not yet: {index} gathers by an array", span)
        symbols = {s for s in index.free_symbols if s in scope or s in left or str(s) in self.ends}
        if coefficients(index, dict.fromkeys(symbols)) is None:
            raise SymgradError(
                "SG308", f"the index {index} is not affine", span, "an index may be a sum of indices with integer factors"
            )
        if not is_index(index) or (index not in scope and index not in left):
            return  # bounds of a shifted or constant index are checked once all ranges are known
        local = scope.get(index)
        if local is None:
            self._join(str(index), axis, equation, span)
            return
        # an end may use outer indices (j in i+1..N): the axis holds all that j can be
        known = {symbol: ends for symbol, ends in scope.items() if ends is not None}
        local = bounds(index, known)
        root = self.root(axis)
        if root not in self.ends or (root in self.found and _within(self.ends[root], local)):
            self.ends[root] = local
            self.found.add(root)
        else:
            self._agree(str(index), local, axis, self.ends[root], span)

    def _join(self, index: str, axis: str, equation: Equation, span: Span | None) -> None:
        one, two = self.root(index), self.root(axis)
        if one == two:
            return
        if one in self.ends and two in self.ends:
            self._agree(index, self.ends[one], axis, self.ends[two], span)
            return
        if one in self.ends or (two not in self.ends and ":" in two):
            one, two = two, one
        self.parent[one] = two

    def _agree(self, index: str, here: Ends, axis: str, there: Ends, span: Span | None) -> None:
        """An index may run over a part of an axis, where that is certain."""
        if _within(here, there):
            return
        name, _, place = axis.partition(":")
        owner = f"the axis {int(place) + 1} of {name}" if place else f"the axis it is used on ({name})"
        raise SymgradError(
            "SG305",
            f"{index} runs over {here[0]}..{here[1]}, but {owner} over {there[0]}..{there[1]}",
            span,
            "declare both with one range, or use another index",
        )

    # the statements, all ranges known

    def statement(self, equation: Equation) -> Statement:
        ends = [equation.ranges.get(str(s)) or self.range(str(s)) for s in equation.indices]
        outer = tuple(Index(s, *e) for s, e in zip(equation.indices, ends, strict=True))
        value = self.fill(equation.value)
        origin = equation.origin
        if origin.written:
            origin = replace(origin, written=(value, origin.written[1]), spans={self.fill(k): v for k, v in origin.spans.items()})
        target = access(equation.name, *equation.indices)
        if not is_reduction(value):
            return Statement(target, value, outer, "sum" if equation.op == "+=" else None, origin)
        op, body, limits = split_reduction(value)
        if equation.op == "+=" and op != "sum":
            return Statement(target, value, outer, "sum", origin)
        return Statement(target, body, (*outer, *(Index(*limit) for limit in limits)), op, origin)

    def fill(self, expr: Any) -> Any:
        """Open limits `(i,)` become `(i, lo, hi)`."""
        if not expr.args or is_access(expr):
            return expr
        if is_reduction(expr):
            op, body, limits = split_reduction(expr)
            filled = [tuple(limit) if len(limit) == 3 else (limit[0], *self.range(str(limit[0]))) for limit in limits]
            body = self.fill(body)
            return mean(body, filled) if op == "mean" else reduction(op, body, filled)
        return rebuild(expr, [self.fill(arg) for arg in expr.args])


def _within(here: Ends, there: Ends) -> bool:
    """True when the first range is certainly a part of the second."""
    below, above = sp.expand(here[0] - there[0]), sp.expand(there[1] - here[1])
    return bool(below.is_Integer and below >= 0 and above.is_Integer and above >= 0)


def _count(rank: int) -> str:
    return {0: "no index", 1: "1 index"}.get(rank, f"{rank} indices")


def _check_ends(name: str, lo: Expr, hi: Expr, span: Span | None) -> None:
    if (sp.expand(hi - lo)).is_negative:
        raise SymgradError("SG307", f"the range of {name} is empty: {lo}..{hi}", span, "write the lower end first")


def _scoped(expr: Any, scope: Mapping[Symbol, Ends | None]) -> Iterator[tuple[Expr, Mapping[Symbol, Ends | None]]]:
    """Every access with the bound indices around it and their local ranges (None: the declared or open one)."""
    stack: list[tuple[Any, Mapping[Symbol, Ends | None]]] = [(expr, scope)]
    while stack:
        node, around = stack.pop()
        if is_access(node):
            yield node, around
            if any(index.has(sp.Indexed) for index in indices_of(node)):
                stack.extend((index, around) for index in indices_of(node))
        elif is_reduction(node):
            _, body, limits = split_reduction(node)
            inner = {**around, **{limit[0]: (tuple(limit[1:]) or None) for limit in limits}}
            stack.append((body, inner))
        elif node.args:
            stack.extend((arg, around) for arg in reversed(node.args))


def _limits(expr: Any) -> Iterator[Any]:
    for node in sp.preorder_traversal(expr):
        if is_reduction(node):
            yield from split_reduction(node)[2]


def _tensors(draft: Draft, ranges: _Ranges, statements: tuple[Statement, ...]) -> dict[str, Tensor]:
    roles = {d.name: d for d in draft.declarations}
    defined = {s.name: s for s in reversed(statements)}
    reads: dict[str, list[tuple[Expr, ...]]] = {}
    for statement in statements:
        for read in statement.reads:
            reads.setdefault(name_of(read), []).append(indices_of(read))
    out: dict[str, Tensor] = {}
    for name in dict.fromkeys([*roles, *(n for s in statements for n in (*s.read_names, s.name))]):
        if name in defined:
            out[name] = Tensor(name, defined[name].outer, "defined", span=defined[name].origin.span)
            continue
        keys = ranges.axes[name]
        symbols = _axis_symbols(keys if name in roles else _letters(reads[name], len(keys)))
        axes = tuple(Index(s, *ranges.range(k)) for s, k in zip(symbols, keys, strict=True))
        declared = roles.get(name)
        out[name] = Tensor(
            name,
            axes,
            declared.role if declared else "input",
            span=declared.span if declared else None,
            declared=declared is not None,
        )
    return out


def _letters(reads: list[tuple[Expr, ...]], rank: int) -> tuple[str, ...]:
    """For each axis of an undeclared tensor the first letter, by the alphabet, of those it is read with; or none."""
    plain = [sorted(str(read[place]) for read in reads if is_index(read[place])) for place in range(rank)]
    return tuple(letters[0] if letters else ":" for letters in plain)


def _axis_symbols(wanted: tuple[str, ...]) -> list[Symbol]:
    """A distinct index symbol for each axis; one that is only read with shifts gets a letter of its own."""
    used = set(wanted)
    out: list[Symbol] = []
    for letter in wanted:
        if ":" in letter or index_symbol(letter) in out:
            letter = next(c for c in ("n", "m", "p", "q", "r", "s", "u", "v") if c not in used)
            used.add(letter)
        out.append(index_symbol(letter))
    return out


def topological_check(program: Program) -> None:
    try:
        topological(tensor_needs(program))
    except SymgradError as error:
        name = error.message.split(": ")[1].split(" → ")[0]
        raise SymgradError(error.code, error.message, program.definitions[name][0].origin.span) from None


def check(program: Program) -> Program:
    """The invariants of every program; returns it. Raises SG301, SG302, SG303, SG309."""
    sizes = _sizes(program)
    for statement in program.statements:
        place = statement.origin.place
        symbols = [index.symbol for index in statement.domain]
        if len(set(symbols)) < len(symbols):
            raise SymgradError(
                "SG302",
                f"the sum over {_twice(symbols)} stands inside 'for every {_twice(symbols)}'",
                place(index_symbol(_twice(symbols))),
                "use another index in the sum",
            )
        _check_shadow(statement, statement.value, frozenset(symbols))
        for symbol in free_indices(statement.value):
            if symbol not in symbols and symbol not in sizes:
                raise _free_index(statement, symbol)
        for read, scope in _scoped(statement.value, {i.symbol: (i.lo, i.hi) for i in statement.domain}):
            tensor = program.tensors[name_of(read)]
            if len(indices_of(read)) != len(tensor.axes):
                raise SymgradError("SG303", f"{read} does not fit {tensor.name}, which has {_count(len(tensor.axes))}", place(read))
            for index, axis in zip(indices_of(read), tensor.axes, strict=True):
                _check_bounds(read, index, axis, scope, statement)
    return program


def _twice(symbols: list[Symbol]) -> str:
    return next(str(s) for s in symbols if symbols.count(s) > 1)


def _check_shadow(statement: Statement, expr: Any, around: frozenset[Symbol]) -> None:
    if is_reduction(expr):
        _, body, limits = split_reduction(expr)
        bound = [limit[0] for limit in limits]
        for symbol in bound:
            if symbol in around or bound.count(symbol) > 1:
                raise SymgradError(
                    "SG302",
                    f"the sum over {symbol} stands inside another {symbol}",
                    statement.origin.place(symbol),
                    "use another index in the sum",
                )
        _check_shadow(statement, body, around | set(bound))
    elif not is_access(expr):
        for arg in expr.args:
            _check_shadow(statement, arg, around)


def _sizes(program: Program) -> set[Any]:
    """The symbols of extents."""
    axes = [axis for tensor in program.tensors.values() for axis in tensor.axes] + list(program.ranges.values())
    bound = [limit for statement in program.statements for limit in _limits(statement.value)]
    ends = [end for axis in axes for end in (axis.lo, axis.hi)] + [end for limit in bound for end in limit[1:]]
    indices = {index.symbol for statement in program.statements for index in statement.domain}
    return {symbol for end in ends for symbol in end.free_symbols} - indices


def _free_index(statement: Statement, symbol: Symbol) -> SymgradError:
    where = next((read for read in statement.reads if symbol in read.free_symbols), None)
    left = str(statement.target)
    return SymgradError(
        "SG301",
        f"the index {symbol} is free on the right, but {left} on the left does not have it",
        statement.origin.place(where),
        f"sum over it: sum(… for {symbol}), or write {statement.name}[…,{symbol}] on the left",
    )


def _check_bounds(read: Expr, index: Expr, axis: Index, scope: Mapping[Symbol, Any], statement: Statement) -> None:
    low, high = bounds(index, {s: e for s, e in scope.items() if e is not None})
    below, above = sp.expand(low - axis.lo), sp.expand(axis.hi - high)
    if below.is_negative or above.is_negative:
        raise SymgradError(
            "SG309",
            f"the index {index} of {read} runs over {low}..{high}, outside of {axis.lo}..{axis.hi}",
            statement.origin.place(read),
        )
