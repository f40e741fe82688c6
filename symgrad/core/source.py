"""Program → the text language. `str(program)` parses back to the same program.

>>> written_name("y_star"), written_name("x_prime")
('y^*', "x'")
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from sympy import Expr

from symgrad.core.collector import rare_collections
from symgrad.core.expr import reduction
from symgrad.core.functions import FUNCTIONS
from symgrad.core.layout import Layout
from symgrad.core.program import Program, Statement, Tensor, whole_axis
from symgrad.core.tree import Binder, Call, Format, Name, Tree, children


@lru_cache(maxsize=1 << 14)
def written_name(name: str) -> str:
    """A name as the text language writes it: primes, then at most one star."""
    stem = name.removesuffix("_star")
    star = "^*" if stem != name else ""
    primes = 0
    while stem.endswith("_prime"):
        stem, primes = stem.removesuffix("_prime"), primes + 1
    return name if not stem or stem.endswith("_star") else stem + "'" * primes + star


class SourceFormat(Format):
    def function_name(self, name: str) -> str:
        return written_name(name)

    def name(self, tree: Name) -> str:
        name = written_name(tree.name)
        return super().name(Name(name, tree.indices)) if tree.indices else name

    def binder(self, binder: Binder) -> str:
        return super().binder(replace(binder, name=written_name(binder.name)))

    def between(self, op: str, left: str, right: str, factor: Tree) -> str:
        # y^* * log(y): a star before a star would read as ^**
        return f"{left} * {right}" if op == "*" and left.endswith("*") else super().between(op, left, right, factor)


SOURCE = SourceFormat()


def right_side(statement: Statement, layout: Layout) -> Tree:
    """What the user typed, while the statement still means it; else the laid out value."""
    value, written = _whole(statement), statement.origin.written
    return written[1] if written and written[0] == value else layout.tree(value)


def _whole(statement: Statement) -> Expr:
    """The value, with the statement's own reduction around it."""
    if not statement.reduced:
        return statement.value
    return reduction(statement.op or "sum", statement.value, [index.limit for index in statement.reduced])


def adds_up(statement: Statement, program: Program) -> bool:
    """True where a statement is written with +=."""
    adds = statement.op == "sum" and (not statement.reduced or len(program.definitions[statement.name]) > 1)
    return adds and statement.name not in program.partitioned


def statement_text(statement: Statement, program: Program, layout: Layout) -> str:
    """One equation, e.g. `a[j] = sum(alpha[j,i]*x[i] for i)`."""
    left = SOURCE.show(layout.access(statement.target))
    ranges = []
    for index in statement.outer:
        declared = program.ranges.get(str(index.symbol))
        if declared != index and (index.lo, index.hi) != whole_axis(str(index.symbol)):
            ranges.append(f" for {SOURCE.binder(layout.binder(index.limit))}")
    op = "+=" if adds_up(statement, program) else "="
    return f"{left} {op} {SOURCE.show(right_source(statement, program, layout))}{''.join(ranges)}"


def right_source(statement: Statement, program: Program, layout: Layout) -> Tree:
    """As `right_side`, but with functions that use more than their parameters put in: the program does not keep those."""
    tree = right_side(statement, layout)
    return tree if all(_kept(name, program) for name in _called(tree)) else layout.tree(_whole(statement))


def _called(tree: Tree) -> Iterator[str]:
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, Call):
            yield node.function
        stack.extend(children(node))


def _kept(name: str, program: Program) -> bool:
    return name in FUNCTIONS or name in ("where", "sqrt", "grad") or name.endswith("_prime") or name in program.functions


def _declaration(tensor: Tensor, layout: Layout) -> str:
    indices = f"[{','.join(SOURCE.binder(layout.binder(axis.limit)) for axis in tensor.axes)}]" if tensor.axes else ""
    values = (
        f" in {SOURCE.show(layout.tree(tensor.values[0]))}..{SOURCE.show(layout.tree(tensor.values[1]))}" if tensor.values else ""
    )
    return written_name(tensor.name) + indices + values


@rare_collections()
def program_text(program: Program) -> str:
    """The whole program; declarations first, then the equations in the user's order."""
    layout = Layout.of(program)
    lines = []
    declared = [SOURCE.binder(layout.__class__(()).binder(index.limit)) for index in program.ranges.values()]
    if declared:
        lines.append("index " + ", ".join(declared))
    for role in ("input", "param", "const"):
        names = [
            _declaration(program.tensors[n], layout)
            for n in program.free
            if program.tensors[n].role == role and program.tensors[n].declared
        ]
        if names:
            lines.append(f"{role} " + ", ".join(names))
    for name, function in program.functions.items():
        if name.endswith("_prime"):
            continue  # the derivative of another
        body = function.typed or layout.tree(function.body)
        lines.append(f"{written_name(name)}({', '.join(written_name(p.name) for p in function.parameters)}) = {SOURCE.show(body)}")
    lines += [f"assume {SOURCE.show(layout.tree(left))} = {SOURCE.show(layout.tree(right))}" for left, right in program.assumptions]
    lines += [statement_text(statement, program, layout) for statement in program.statements]
    if program.loss and program.goal:
        lines.append(f"{program.goal} {written_name(program.loss)}")
    return "\n".join(lines)
