"""One equation → named steps, as a person takes a formula apart for the chain rule.

>>> from symgrad.frontend.text import parse
>>> print(take_apart(parse("J = cos(sin(x^2) + 3x^2)")))
J = cos(u)
u = u_1 + u_2
u_1 = sin(t)
u_2 = 3*t
t = x^2

Each step is one operation. A part used twice is named once: t; the argument of a function gets the next
letter u, v, w, …; the parts of a named sum or product u are u_1, u_2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sympy import Expr

from symgrad.core.expr import access, free_indices, is_access, is_reduction, name_of, nodes, replace_nodes, split_reduction, where
from symgrad.core.layout import Layout, shape
from symgrad.core.program import Index, Origin, Program, Statement, Tensor

LETTERS, SHARED = ("u", "v", "w", "p", "q", "r", "s", "f", "g", "h"), ("t",)


def take_apart(program: Program) -> Program:
    """The steps of a program of one equation whose functions are nested; any other is left as its author wrote it."""
    if len(program.statements) != 1 or not is_nested(program.statements[0].value):
        return program
    return _Steps(program).run()


def is_nested(expr: Any) -> bool:
    """True when a function or power is taken of something that is not affine: the chain rule has work to do."""
    for node in nodes(expr, lambda n: n.func != where):
        if isinstance(node, Expr) and is_curved(node) and any(map(bends, (a for a in node.args if isinstance(a, Expr)))):
            return True
    return False


def is_curved(node: Any) -> bool:
    return not (node.is_Add or node.is_Mul or is_access(node) or is_reduction(node) or not node.args)


def bends(expr: Any) -> bool:
    """Contains a function, a power or a product of quantities."""
    return any(
        isinstance(n, Expr) and not n.is_number and (is_curved(n) or (n.is_Mul and sum(not a.is_number for a in n.args) > 1))
        for n in nodes(expr)
    )


def is_leaf(expr: Expr) -> bool:
    """Nothing to name: a quantity, a number, or minus a quantity."""
    if expr.is_Mul and len(expr.args) == 2 and expr.args[0] == -1:
        return is_leaf(expr.args[1])
    return is_access(expr) or not expr.args or expr.is_number


def operands(expr: Any, shared: frozenset[Any] = frozenset()) -> list[Any]:
    """The parts of one operation that may be steps of their own; what is shared is always one."""
    coefficient, rest = expr.as_coeff_Mul()
    if coefficient != 1 and not rest.is_Mul:
        return [rest] if rest in shared else [] if is_leaf(rest) else operands(rest, shared)
    if expr.is_Add:
        return [term.as_coeff_Mul()[1] if term.as_coeff_Mul()[0] == -1 else term for term in expr.args]
    if expr.is_Mul:
        return [f.base if f.is_Pow and f.exp.is_number and f not in shared else f for f in expr.args]
    if expr.is_Pow:
        return [expr.base] if expr.exp.is_number else [expr.base, expr.exp]
    if is_reduction(expr):
        body = split_reduction(expr)[1]
        return [body] if body in shared else [] if is_leaf(body) else operands(body, shared)
    # both branches of a `where` must not be computed outside of it
    return [] if expr.func == where or is_leaf(expr) else list(expr.args)


def shared_parts(expr: Any) -> frozenset[Any]:
    """Operations that more than one other uses."""
    uses = Counter(
        arg for node in nodes(expr, lambda n: n.func != where) for arg in dict.fromkeys(node.args) if not is_access(node)
    )
    return frozenset(n for n, count in uses.items() if count > 1 and isinstance(n, Expr) and not is_leaf(n) and not n.is_number)


class _Steps:
    def __init__(self, program: Program):
        self.program, (self.whole,) = program, program.statements
        self.value, self.layout = self.whole.value, Layout.of(program)
        self.ranges, self.ambiguous = _ranges(self.whole)
        self.taken = set(program.tensors) | set(program.ranges) | set(program.functions) | {str(s) for s in self.ranges}
        self.names: dict[Any, Expr] = {}
        self.statements: list[Statement] = []
        self.tensors: list[Tensor] = []
        self.shared = shared_parts(self.value)
        self.written = dict(program.written)

    def run(self) -> Program:
        self.step(self.whole.target, self.value, self.whole)
        queue = list(self.names)
        for part in queue:  # grows while it is gone through
            self.step(self.names[part], part, None, queue)
        if len(self.statements) == 1:
            return self.program
        # what is shared comes after all that uses it
        shared = {name_of(self.names[part]) for part in self.names if part in self.shared}
        order = sorted(self.statements, key=lambda s: s.name in shared)
        return replace(self.program.with_statements(order, self.tensors), written=self.written)

    def step(self, target: Expr, value: Any, whole: Statement | None, queue: list[Any] | None = None) -> None:
        parts = [p for p in dict.fromkeys(self.in_order(value)) if not is_leaf(p) and not self.local(p)]
        single = [p for p in parts if p not in self.shared]
        for part in parts:
            if part not in self.names:
                numbered = whole is None and len(single) > 1 and part in single
                self.names[part] = self.name(part, f"{name_of(target)}_{single.index(part) + 1}" if numbered else None)
                if queue is not None:
                    queue.append(part)
        value = self.named(value, parts)
        if whole is not None:
            origin = Origin(whole.origin.span)
            self.statements.append(replace(whole, value=value, origin=origin if parts else whole.origin))
            return
        self.statements.append(self.peeled(target, value))

    def named(self, value: Any, parts: Sequence[Any]) -> Any:
        """The operation on the names of its parts, its terms still in the user's order."""
        mapping = {part: self.names[part] for part in parts}
        for node in nodes(value):
            order = self.layout.as_written(node) if node.is_Add or node.is_Mul else None
            if order:
                self.written[shape(replace_nodes(node, mapping))] = tuple(shape(replace_nodes(p, mapping)) for p in order)
        return replace_nodes(value, mapping)

    def in_order(self, value: Any) -> list[Any]:
        """Operands in the order the user wrote them."""
        order = [part for node in nodes(value) if node.is_Add or node.is_Mul for part in self.layout.as_written(node) or ()]
        return sorted(operands(value, self.shared), key=lambda p: next((k for k, o in enumerate(order) if o.has(p)), len(order)))

    def local(self, part: Expr) -> bool:
        """A part under a bound index whose range is not the same everywhere stays where it is."""
        return any(symbol in self.ambiguous for symbol in free_indices(part))

    def name(self, part: Expr, numbered: str | None) -> Expr:
        if numbered is not None and numbered not in self.taken:
            name = numbered
        else:
            letters = SHARED if part in self.shared else LETTERS
            name = next((c for c in letters if c not in self.taken), None) or self.counted(letters[0])
        self.taken.add(name)
        axes = tuple(self.ranges[s] for s in self.ranges if s in free_indices(part))
        self.tensors.append(Tensor(name, axes, "defined"))
        return access(name, *(axis.symbol for axis in axes))

    def counted(self, letter: str) -> str:
        return next(f"{letter}_{k}" for k in range(2, 10_000) if f"{letter}_{k}" not in self.taken)

    def peeled(self, target: Expr, value: Any) -> Statement:
        axes = tuple(self.ranges[s] for s in self.ranges if s in target.free_symbols)
        origin = Origin(self.whole.origin.span, invented=True)
        if not is_reduction(value):
            return Statement(target, value, axes, None, origin)
        op, body, limits = split_reduction(value)
        return Statement(target, body, (*axes, *(Index(*limit) for limit in limits)), op, origin)


def _ranges(statement: Statement) -> tuple[dict[Any, Index], set[Any]]:
    """Index by symbol, outer ones first, and the symbols bound twice with different ranges, or with moving ends."""
    found: dict[Any, Index] = {}
    ambiguous: set[Any] = set()
    for index in (*statement.domain, *_limits(statement.value)):
        if found.setdefault(index.symbol, index) != index:
            ambiguous.add(index.symbol)
    # an array has no axis whose end moves with another index
    ambiguous |= {s for s, index in found.items() if not set(found).isdisjoint(index.lo.free_symbols | index.hi.free_symbols)}
    return found, ambiguous


def _limits(expr: Any) -> Sequence[Index]:
    return [Index(*limit) for node in nodes(expr) if is_reduction(node) for limit in split_reduction(node)[2]]
