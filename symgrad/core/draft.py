"""What a frontend hands over: equations, declarations and index ranges, before anything is checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from sympy import Expr, Symbol

from symgrad.core.affine import Ends
from symgrad.core.errors import Span
from symgrad.core.expr import is_index
from symgrad.core.program import Function, Origin
from symgrad.core.tree import Binder, Tree

Range = tuple[Expr, Expr, Span | None]


@dataclass(frozen=True)
class Equation:
    """`name[indices] op value`, the value with open ranges as one-element limits `(i,)`.

    `every` are the indices that the equation holds for all of; other symbols left of = are extents.
    """

    name: str
    indices: tuple[Expr, ...]
    value: Expr
    op: str = "="
    ranges: Mapping[str, Ends] = field(default_factory=dict)
    origin: Origin = field(default_factory=Origin)
    sizes: frozenset[str] = frozenset()

    @cached_property
    def every(self) -> tuple[Symbol, ...]:
        found = [s for index in self.indices for s in sorted(index.free_symbols, key=str)]
        return tuple(dict.fromkeys(s for s in found if is_index(s) and str(s) not in self.sizes))

    @property
    def left(self) -> str:
        return f"{self.name}[{','.join(map(str, self.indices))}]" if self.indices else self.name


@dataclass(frozen=True)
class Claim:
    """An equation about a derivative, `dJ/dbeta[j] = dJ/db*z[j]`, as read: `left` and the derivatives in `right` are `Deriv`."""

    left: Tree
    op: str
    right: Tree
    loops: tuple[Binder, ...] = ()
    span: Span | None = None


@dataclass(frozen=True)
class Declaration:
    """`values` are the ends of an integer input's values, `ranges` those of axes that are declared in place."""

    role: str
    name: str
    indices: tuple[str, ...] = ()
    span: Span | None = None
    values: Ends | None = None
    ranges: Mapping[int, Ends] = field(default_factory=dict)


@dataclass(frozen=True)
class Draft:
    """What a frontend read. `ranges` are the declared index ranges with their places."""

    equations: tuple[Equation, ...]
    declarations: tuple[Declaration, ...] = ()
    ranges: Mapping[str, Range] = field(default_factory=dict)
    loss: str | None = None
    goal: str | None = None
    goal_span: Span | None = None
    assumptions: tuple[tuple[Expr, Expr], ...] = ()
    written: Mapping[object, tuple[object, ...]] = field(default_factory=dict)
    functions: Mapping[str, Function] = field(default_factory=dict)
