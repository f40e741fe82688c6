"""Value numbering, copies, dead code and fusion of elementwise statements, over primal and adjoint alike.

merge    of two equations with one right-hand side the second becomes a copy
reuse    a function of the table that is computed twice is named once; a sum of what has a name reads that
inline   a copy, a number, or an elementwise value with one reader of the same size goes into its reader
prune    statements that no output needs are dropped
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from sympy import Expr, Symbol

from symgrad.core.expr import (
    access,
    accesses,
    binds,
    free_indices,
    index_symbol,
    indices_of,
    is_access,
    is_index,
    is_reduction,
    is_where,
    name_of,
    nodes,
    replace_nodes,
    substitute,
)  # fmt: skip
from symgrad.core.functions import BY_HEAD
from symgrad.core.graph import ancestors, topological
from symgrad.core.measure import is_deep
from symgrad.core.parts import around_points
from symgrad.core.program import Index, Origin, Program, Statement, Tensor, covers

WIDEST = 200  # parts of a value that goes into its reader: a chain of thousands would else be built up anew at each step
CHEAP = {"abs", "sign", "relu", "max", "min"}


def merge(program: Program) -> Program:
    """An equation whose right-hand side stands in an earlier one, whatever the indices are called, becomes a copy of it."""
    known: dict[Any, str] = {}
    statements: list[Statement] = []
    for statement in program.statements:
        indices = indices_of(statement.target)
        if not statement.reads or is_access(statement.value) or not _whole(statement, program) or _chooses(statement.value):
            statements.append(statement)
            continue
        first = known.setdefault(_statement_key(statement), statement.name)
        if first != statement.name:
            statement = replace(statement, value=access(first, *indices), domain=statement.outer, op=None)
        statements.append(statement)
    return program.with_statements(statements)


def _chooses(value: Expr) -> bool:
    return any(map(is_where, nodes(value)))


def _whole(statement: Statement, program: Program) -> bool:
    """The only equation of its quantity, for all of its cells."""
    return len(program.definitions[statement.name]) == 1 and covers(statement, program.tensors[statement.name])


def _statement_key(statement: Statement) -> Any:
    """Value, ranges and kind, with the indices of the target by their place and the others after them."""
    if not statement.domain and not indices_of(statement.target):
        return statement.value, (), statement.op
    order = [*indices_of(statement.target), *(index.symbol for index in statement.reduced)]
    names = {symbol: index_symbol(f"_{place}") for place, symbol in enumerate(order)}
    ends = tuple(tuple(substitute(end, names) for end in statement.ranges[symbol]) for symbol in order)
    return substitute(statement.value, names), ends, statement.op, len(indices_of(statement.target))


def reuse(program: Program) -> Program:
    """Name the calls of functions that occur more than once, whatever their indices are called."""
    counts: Counter[Any] = Counter()
    for statement in program.statements:
        counts.update(_key(call, statement) for call in _calls(statement.value))
    known = _named(program)
    numbers: Counter[str] = Counter()  # the last one tried for each function
    statements: list[Statement] = []
    tensors: list[Tensor] = []
    for statement in program.statements:
        mapping: dict[Any, Expr] = {}
        for call in _calls(statement.value):
            key, free = _key(call, statement), _free(call, statement)
            if counts[key] < 2 or _moves(free, statement) or known.get(key, ("",))[0] == statement.name:
                continue
            head = BY_HEAD[call.func].name
            call = replace_nodes(call, mapping)  # exp(log(a) + b) is no exp once log(a) has a name
            if key not in known:
                name = _unused(program, numbers, head)
                known[key] = name, tuple(range(len(free)))
                axes = tuple(_index(s, statement) for s in free)
                tensors.append(Tensor(name, axes, "defined"))
                reads = [read for read in accesses(call) if name_of(read) in program.tensors]
                domain = around_points(axes, reads, statement.ranges, program)
                statements.append(Statement(access(name, *free), call, domain, None, Origin(invented=True)))
            name, places = known[key]
            mapping[call] = access(name, *(free[place] for place in places))
        statements.append(statement.with_value(replace_nodes(statement.value, mapping)) if mapping else statement)
    return program.with_statements(list(map(_sums_named(statements, program), statements)), tensors)


def _named(program: Program) -> dict[Any, tuple[str, tuple[int, ...]]]:
    """The calls that are the whole of an equation: the name they have, and which of the call's indices its axes are."""
    known: dict[Any, tuple[str, tuple[int, ...]]] = {}
    for statement in program.statements:
        if statement.op is None and statement.value in _calls(statement.value):
            _know(statement, program, known)
    return known


def _know(statement: Statement, program: Program, known: dict[Any, tuple[str, tuple[int, ...]]]) -> None:
    value, indices = statement.value, indices_of(statement.target)
    free = _free(value, statement)
    if set(free) == set(indices) and _whole(statement, program):
        known.setdefault(_key(value, statement), (statement.name, tuple(free.index(i) for i in indices)))


def _sums_named(statements: list[Statement], program: Program) -> Callable[[Statement], Statement]:
    """What makes of sum(v[n,j] for n) the sum of x[n,j], where x[n,j] = v[n,j] is an equation: a bias' gradient of a layer's."""
    known: dict[Any, tuple[str, tuple[int, ...]]] = {}
    for statement in statements:
        if statement.op is None and statement.domain and statement.name in program.definitions and _computes(statement.value):
            _know(statement, program, known)

    def named(statement: Statement) -> Statement:
        value = statement.value
        if statement.op != "sum" or not known or not _computes(value):
            return statement
        name, places = known.get(_key(value, statement), ("", ()))
        free = _free(value, statement)
        same = name and set(free) == {index.symbol for index in statement.domain}
        return statement.with_value(access(name, *(free[place] for place in places))) if same else statement

    return named


def _computes(value: Expr) -> bool:
    return bool(value.args) and not is_access(value) and not _chooses(value)


def _unused(program: Program, numbers: Counter[str], base: str) -> str:
    while True:
        numbers[base] += 1
        if (name := f"{base}_{numbers[base]}") not in program.taken:
            return name


def _calls(expr: Any) -> list[Any]:
    """Calls worth naming, inner ones first; those in a branch of `where` are computed only when taken."""
    open_ = not binds(expr) and not _chooses(expr)
    found = nodes(expr) if open_ else nodes(expr, lambda n: not is_where(n) and not is_reduction(n))
    return [n for n in found if n.args and n.func in BY_HEAD and BY_HEAD[n.func].name not in CHEAP and not n.is_number]


def _free(call: Expr, statement: Statement) -> list[Symbol]:
    if not statement.domain:
        return []
    domain = {index.symbol for index in statement.domain}
    # in the order of the widest array: f(a[j] + x[n,j]) lies beside x, and not across it
    reads = sorted(accesses(call), key=lambda read: -len(domain & read.free_symbols))
    seen = [s for read in reads for i in indices_of(read) for s in sorted(i.free_symbols, key=str)]
    return list(dict.fromkeys(s for s in [*seen, *free_indices(call)] if s in domain))


def _index(symbol: Symbol, statement: Statement) -> Index:
    return next(index for index in statement.domain if index.symbol == symbol)


def _moves(free: list[Symbol], statement: Statement) -> bool:
    """True where an end of the call's indices moves with another index: its cells would be no array."""
    inner = {index.symbol for index in statement.domain}
    return any(not inner.isdisjoint(end.free_symbols) for s in free for end in (_index(s, statement).lo, _index(s, statement).hi))


def _key(call: Expr, statement: Statement) -> Any:
    free = _free(call, statement)
    if not free:
        return call, ()
    body = substitute(call, {symbol: index_symbol(f"_{place}") for place, symbol in enumerate(free)})
    return body, tuple((_index(s, statement).lo, _index(s, statement).hi) for s in free)


def prune(program: Program, outputs: Iterable[str]) -> Program:
    """Only what the outputs need."""
    needed = ancestors(program, outputs)
    dropped = set(program.defined) - needed
    if not dropped:
        return program
    tensors = {name: tensor for name, tensor in program.tensors.items() if name not in dropped}
    return replace(program, statements=tuple(s for s in program.statements if s.name in needed), tensors=tensors)


def inline(program: Program, keep: frozenset[str], pinned: frozenset[str] = frozenset()) -> Program:
    """Put copies and single-reader elementwise values into their readers.

    `keep` are outputs; a value that reads `pinned` (quantities updated in place) goes into no output, which may be written over it.
    """
    gone: dict[str, Statement] = {}
    for name in topological(program.needs):
        first = _resolved(program.definitions[name][0], gone)
        if name not in keep and _goes(first, program, pinned, keep):
            gone[name] = first
    if not gone:
        return program
    statements = [_resolved(s, gone) for s in program.statements if s.name not in gone]
    tensors = {name: tensor for name, tensor in program.tensors.items() if name not in gone}
    return replace(program, statements=tuple(statements), tensors=tensors)


def _resolved(user: Statement, gone: dict[str, Statement]) -> Statement:
    """A statement with the reads of inlined quantities replaced by their values, those of a recurrence in turn."""
    while True:
        mapping = {}
        for read in user.reads:
            if name_of(read) in gone:
                inner = gone[name_of(read)]
                mapping[read] = substitute(inner.value, dict(zip(indices_of(inner.target), indices_of(read), strict=True)))
        if not mapping:
            return user
        user = user.with_value(substitute(user.value, mapping))


def _goes(statement: Statement, program: Program, pinned: frozenset[str], keep: frozenset[str]) -> bool:
    single = len(program.definitions[statement.name]) == 1
    if not single or statement.reduced or statement.op is not None or not covers(statement, program.tensors[statement.name]):
        return False
    users = program.users.get(statement.name, ())
    if any(name in pinned for name in statement.read_names) and any(user.name in keep for user in users):
        return False
    if _twin(statement, program):
        return True
    if is_access(statement.value) or is_index(statement.value) or not statement.reads:
        return all(_plain(read, statement) for user in users for read in user.reads_of[statement.name])
    if len(users) != 1 or users[0].op in ("max", "min", "argmax", "argmin", "logsumexp"):
        return False
    if len(tuple(nodes(statement.value))) > WIDEST or is_deep(statement.value):
        return False
    reads = users[0].reads_of[statement.name]
    same = len(reads) == 1 and len(indices_of(reads[0])) == len(users[0].domain) and len(statement.domain) > 0
    return same and _plain(reads[0], statement) and not _under_where(users[0].value, reads[0])


def _twin(statement: Statement, program: Program) -> bool:
    """A copy, cell for cell: it may be read at any place."""
    value, axes = statement.value, program.tensors[statement.name].axes
    if not is_access(value) or indices_of(value) != indices_of(statement.target):
        return False
    own = program.tensors[name_of(value)].axes
    return [(axis.lo, axis.hi) for axis in own] == [(axis.lo, axis.hi) for axis in axes]


def _plain(read: Expr, statement: Statement) -> bool:
    indices = indices_of(read)
    return all(is_index(i) for i in indices) and len(set(indices)) == len(indices)


def _under_where(expr: Any, read: Expr) -> bool:
    return any(is_where(n) and n.has(read) for n in nodes(expr))
