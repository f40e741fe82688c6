"""Draft → Program: what a frontend read becomes a checked program, or a refusal that names the place.

Ranges that were left open are found, top-level reductions become the statement's own, and names, parts,
cycles and all that `check` looks at are checked.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

import sympy as sp
from sympy import Expr, Symbol

from symgrad.core.affine import coefficients
from symgrad.core.check import check, check_defined_once, check_order
from symgrad.core.draft import Declaration, Draft, Equation
from symgrad.core.errors import Source, Span, SymgradError, did_you_mean
from symgrad.core.expr import (
    access,
    accesses,
    binds,
    index_symbol,
    indices_of,
    is_access,
    is_index,
    is_reduction,
    name_of,
    rebuild,
    reduction,
    split_reduction,
)
from symgrad.core.program import Index, Program, Statement, Tensor
from symgrad.core.ranges import Ranges, also, limits


def resolve(draft: Draft) -> Program:
    """The program that a draft means. Raises SG2xx (names), SG3xx (indices), SG4xx (graph)."""
    if not draft.equations:
        raise no_equation()
    parts = Counter(equation.name for equation in draft.equations)
    for equation in draft.equations:
        _check_target(equation, diagonal=parts[equation.name] > 1)
    _check_names(draft)
    ranges = Ranges(draft)
    statements = tuple(_statement(equation, ranges) for equation in draft.equations)
    tensors = _tensors(draft, ranges, statements)
    assumptions = tuple((fill(left, ranges), fill(right, ranges)) for left, right in draft.assumptions)
    declared = {name: Index(index_symbol(name), lo, hi) for name, (lo, hi, _) in draft.ranges.items()}
    program = Program(statements, tensors, draft.loss, draft.goal, declared, assumptions, draft.written, draft.functions)
    if draft.loss is not None and draft.loss not in tensors:
        hint = did_you_mean(draft.loss, program.defined) or f"defined are {', '.join(program.defined)}"
        raise SymgradError("SG203", f"{draft.goal} names {draft.loss}, which no equation defines", draft.goal_span, hint)
    check_defined_once(program, {equation.name for equation in draft.equations if equation.op == "="})
    return check_order(check(program))


def no_equation(source: Source | None = None) -> SymgradError:
    place = source.span(0, 0) if source else None
    return SymgradError("SG120", "there is no equation", place, "write at least one, such as J = x^2")


def _check_names(draft: Draft) -> None:
    first: dict[str, Equation] = {}
    for equation in draft.equations:
        before = first.setdefault(equation.name, equation)
        parts = bool(equation.indices and before.indices) or equation.op == "+="
        if before is not equation and not (equation.op == before.op and parts):
            raise SymgradError(
                "SG202",
                f"{equation.name} is defined twice{also(before.origin.span)}",
                equation.origin.span,
                "give the second one another name, or write += in both",
            )
    for name, span in _all_names(draft):
        _check_ending(name, span)
    declared: dict[str, Declaration] = {}
    for declaration in draft.declarations:
        name, span = declaration.name, declaration.span
        if name in declared:
            raise SymgradError("SG202", f"{name} is declared twice{also(declared[name].span)}", span, "keep one of them")
        declared[name] = declaration
        if name in first:
            raise SymgradError(
                "SG202",
                f"{name} is declared as {declaration.role} and defined{also(span)}",
                first[name].origin.span,
                "remove the declaration or the equation",
            )
    for name, (_, _, span) in draft.ranges.items():
        clash = declared.get(name) or first.get(name)
        if clash:
            raise SymgradError("SG205", f"{name} is an index and a quantity", span, "rename one of them")
    _check_index_names(draft, {*declared, *first})
    for name in _size_names(draft):
        if name in declared or name in first:
            raise SymgradError(
                "SG304",
                f"{name} is the end of a range and a quantity",
                declared[name].span if name in declared else first[name].origin.span,
                "write its number in the range, or rename one of them",
            )


def _all_names(draft: Draft) -> Iterator[tuple[str, Span | None]]:
    """Quantities, indices and extents, with their places."""
    for equation in draft.equations:
        yield equation.name, equation.origin.span
        yield from ((name_of(read), equation.origin.place(read)) for read in accesses(equation.value))
        indices = (*equation.every, *(limit[0] for limit in limits(equation.value)), *_free_in_ends(equation))
        yield from ((str(symbol), equation.origin.place(symbol)) for symbol in indices)
    for declaration in draft.declarations:
        yield declaration.name, declaration.span
        for lo, hi in (*declaration.ranges.values(), *([declaration.values] if declaration.values else [])):
            yield from ((str(symbol), declaration.span) for symbol in sorted((lo + hi).free_symbols, key=str))
    for name, (lo, hi, span) in draft.ranges.items():
        yield name, span
        yield from ((str(symbol), span) for symbol in sorted((lo + hi).free_symbols, key=str))


def _check_index_names(draft: Draft, quantities: Collection[str]) -> None:
    """SG205: no index, one of a sum alone neither, has the name of a quantity or of an extent.

    `k*x[k]` would mean two things in what is printed, and loops have no scope of their own in emitted code.
    """
    taken = dict.fromkeys([*quantities, *(name_of(read) for e in draft.equations for read in accesses(e.value))], "a quantity")
    declared = {index_symbol(name) for name in draft.ranges}
    ends = [s for lo, hi, _ in draft.ranges.values() for s in sorted((lo + hi).free_symbols - declared, key=str)]
    ends += [symbol for equation in draft.equations for symbol in _free_in_ends(equation)]
    taken |= dict.fromkeys(map(str, ends), "the end of a range")
    for equation in draft.equations:
        for symbol in (*equation.every, *(limit[0] for limit in limits(equation.value))):
            if str(symbol) in taken:
                message = f"{symbol} is an index here and {taken[str(symbol)]} elsewhere"
                raise SymgradError("SG205", message, equation.origin.place(symbol), f"give the index {symbol} another letter")


def _free_in_ends(equation: Equation) -> Iterator[Symbol]:
    """What the ends of an equation's ranges use but indices around them: extents."""
    outer = frozenset(equation.every)
    own = [s for ends in equation.ranges.values() for end in ends for s in sorted(end.free_symbols - outer, key=str)]
    yield from own
    stack = [(equation.value, outer)] if binds(equation.value) else []
    while stack:
        node, around = stack.pop()
        if is_reduction(node):
            _, body, limits = split_reduction(node)
            around = around | {limit[0] for limit in limits}
            yield from (s for limit in limits for end in limit[1:] for s in sorted(end.free_symbols - around, key=str))
            stack.append((body, around))
        elif not is_access(node):
            stack += [(arg, around) for arg in node.args]


def _ends(equation: Equation) -> list[Expr]:
    bound = [end for limit in limits(equation.value) for end in limit[1:]]
    return [*(end for ends in equation.ranges.values() for end in ends), *bound]


def _size_names(draft: Draft) -> tuple[str, ...]:
    """The names in the ends of all ranges, declared or given in place, in their order."""
    ends = [end for lo, hi, _ in draft.ranges.values() for end in (lo, hi)]
    ends += [end for equation in draft.equations for end in _ends(equation)]
    return tuple(dict.fromkeys(str(s) for end in ends for s in sorted(end.free_symbols, key=str)))


def _check_ending(name: str, span: Span | None) -> None:
    # names with a final _ are how emitted code tells a model's `lambda` from Python's
    if name.endswith("_"):
        raise SymgradError("SG209", f"the name {name} ends with _", span, f"write {name.rstrip('_') or 'x'}")


def _check_target(equation: Equation, diagonal: bool) -> None:
    """Each index stands once on the left, with factor 1 or -1, so that a cell is defined once; L[i,i] may be a part."""
    place = equation.origin.place()
    for index in equation.indices:
        known = {s for s in index.free_symbols if is_index(s)}
        found = coefficients(index, known)
        if found is None or index.free_symbols - known:
            raise SymgradError(
                "SG308",
                f"the index {index} of {equation.left} is not affine",
                place,
                "an equation defines cells by indices, such as h[t+1]",
            )
        skips = [s for s, factor in found.items() if s in equation.every and abs(factor) != 1]
        if skips:
            message = f"{equation.left} skips cells: {skips[0]} has the factor {found[skips[0]]}"
            raise SymgradError("SG308", message, place, "define every cell of a range")
    for symbol in equation.every:
        if not diagonal and sum(symbol in index.free_symbols for index in equation.indices) > 1:
            raise SymgradError(
                "SG306",
                f"{equation.left} uses an index twice on the left",
                place,
                "use two indices, or define the cells beside the diagonal too",
            )


def _statement(equation: Equation, ranges: Ranges) -> Statement:
    outer = tuple(Index(s, *(equation.ranges.get(str(s)) or ranges.range(str(s)))) for s in equation.every)
    value = fill(equation.value, ranges)
    origin = equation.origin
    if origin.written:
        spans = {fill(key, ranges): span for key, span in origin.spans.items()}
        origin = replace(origin, written=(value, origin.written[1]), spans=spans)
    target = access(equation.name, *equation.indices)
    if not is_reduction(value) or (equation.op == "+=" and split_reduction(value)[0] != "sum"):
        return Statement(target, value, outer, "sum" if equation.op == "+=" else None, origin)
    op, body, limits = split_reduction(value)
    return Statement(target, body, (*outer, *(Index(*limit) for limit in limits)), op, origin)


def fill(expr: Any, ranges: Ranges) -> Any:
    """Open limits `(i,)` become `(i, lo, hi)`."""
    if not binds(expr) or is_access(expr):
        return expr
    if is_reduction(expr):
        op, body, limits = split_reduction(expr)
        filled = [tuple(limit) if len(limit) == 3 else (limit[0], *ranges.range(str(limit[0]))) for limit in limits]
        body = fill(body, ranges)
        return mean(body, filled) if op == "mean" else reduction(op, body, filled)
    return rebuild(expr, [fill(arg, ranges) for arg in expr.args])


def _tensors(draft: Draft, ranges: Ranges, statements: tuple[Statement, ...]) -> dict[str, Tensor]:
    roles = {d.name: d for d in draft.declarations}
    defined = {s.name: s for s in reversed(statements)}
    reads: dict[str, list[tuple[Expr, ...]]] = {}
    targets: dict[str, list[tuple[Expr, ...]]] = {}
    for statement in statements:
        targets.setdefault(statement.name, []).append(indices_of(statement.target))
    indices = {index.symbol for statement in statements for index in statement.domain}
    for statement in statements:
        for read in statement.reads:
            reads.setdefault(name_of(read), []).append(indices_of(read))
    out: dict[str, Tensor] = {}
    names = dict.fromkeys([*roles, *(n for s in statements for n in (*s.read_names, s.name))])
    for name in names:
        keys = ranges.axes[name]
        if name in defined:
            letters = [next((str(t[place]) for t in targets[name] if t[place] in indices), ":") for place in range(len(keys))]
            symbols = _axis_symbols(tuple(letters), names)
            axes = tuple(Index(s, *ranges.range(k)) for s, k in zip(symbols, keys, strict=True))
            out[name] = Tensor(name, axes, "defined", span=defined[name].origin.span)
            continue
        symbols = _axis_symbols(roles[name].indices if name in roles else _letters(reads[name], len(keys), draft), names)
        axes = tuple(Index(s, *ranges.range(k)) for s, k in zip(symbols, keys, strict=True))
        declared = roles.get(name)
        out[name] = Tensor(
            name,
            axes,
            declared.role if declared else "input",
            declared.values if declared else None,
            span=declared.span if declared else None,
            declared=declared is not None,
        )
    return out


def _letters(reads: list[tuple[Expr, ...]], rank: int, draft: Draft) -> tuple[str, ...]:
    """For each axis of an undeclared tensor the first letter, by the alphabet, of those it is read with; or none."""
    sizes = draft.equations[0].sizes
    plain = [sorted(str(r[k]) for r in reads if is_index(r[k]) and str(r[k]) not in sizes) for k in range(rank)]
    return tuple(letters[0] if letters else ":" for letters in plain)


def _axis_symbols(wanted: tuple[str, ...], names: Collection[str]) -> list[Symbol]:
    """A distinct index symbol for each axis; one that is only read with shifts gets a letter of its own."""
    used = set(wanted)
    out: list[Symbol] = []
    for letter in wanted:
        if ":" in letter or index_symbol(letter) in out:
            choices = itertools.chain(("n", "m", "p", "q", "r", "s", "u", "v"), (f"n{k}" for k in itertools.count(1)))
            letter = next(c for c in choices if c not in used and c not in names)
            used.add(letter)
        out.append(index_symbol(letter))
    return out


def mean(body: Expr, limits: Sequence[Sequence[Any]]) -> Expr:
    """A mean is a sum over its count."""
    return reduction("sum", body, limits) / sp.Mul(*(hi - lo + 1 for _, lo, hi in limits))
