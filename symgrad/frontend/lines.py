"""Statements as trees → Draft: what the text and the LaTeX frontend share once their grammar is read.

>>> from symgrad.core.errors import Source
>>> from symgrad.core.tree import Num
>>> source, out = Source("y = 2"), Lines()
>>> add_equation(out, Name("y", (), source.span(0, 1)), "=", Num("2"), ())
>>> draft(out).equations[0].left
'y'
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sympy import Expr

from symgrad.core.draft import Declaration, Draft, Equation
from symgrad.core.errors import Span, SymgradError
from symgrad.core.expr import nodes
from symgrad.core.functions import FUNCTIONS
from symgrad.core.program import Origin
from symgrad.core.ranges import also
from symgrad.core.reductions import REDUCERS
from symgrad.core.tree import Binder, Call, Name, Reduce, Tree, depth
from symgrad.frontend.convert import Converter, Definition, names_in, walk, with_closed
from symgrad.frontend.syntax import LIMITS, Token, span_of

OTHER_FUNCTIONS = ("where", "sqrt", "grad")


@dataclass
class Line:
    """An equation as read: `left op right for loops`."""

    left: Name
    op: str
    right: Tree
    loops: tuple[Binder, ...]
    span: Span


@dataclass
class Lines:
    """All statements of a text, still as trees."""

    equations: list[Line] = field(default_factory=list)
    whole: list[Span] = field(default_factory=list)  # the text of each equation, in order
    functions: dict[str, Definition] = field(default_factory=dict)
    function_spans: dict[str, Span] = field(default_factory=dict)
    binders: list[Binder] = field(default_factory=list)
    declarations: list[Declaration] = field(default_factory=list)
    values: dict[str, tuple[Tree, Tree]] = field(default_factory=dict)  # of integer inputs
    axes: dict[str, dict[int, tuple[Tree, Tree]]] = field(default_factory=dict)  # ranges declared in place
    assumptions: list[tuple[Tree, Tree]] = field(default_factory=list)
    goal: tuple[str, Token] | None = None


def add_equation(out: Lines, left: Tree, op: str, right: Tree, loops: tuple[Binder, ...]) -> None:
    """`left op right for loops`. Raises SG121 for a left side that is no name, SG204 for a name that is taken."""
    if isinstance(left, Call):
        add_function(out, left, op, right, loops)
        return
    span = span_of(left)
    if not isinstance(left, Name):
        raise SymgradError("SG121", f"{span.text} cannot stand left of =", span, "write a name there, or a name with indices")
    check_free_name(left)
    out.equations.append(Line(left, op, right, loops, span))


def add_function(out: Lines, left: Call, op: str, right: Tree, loops: tuple[Binder, ...]) -> None:
    """A function that the user defines: f(u) = …"""
    if loops:
        raise SymgradError("SG310", "a function has no indices to run over", loops[0].span)
    parameters = tuple(arg.name for arg in left.args if isinstance(arg, Name) and not arg.indices)
    if len(parameters) < len(left.args) or op != "=" or len(set(parameters)) < len(parameters):
        raise SymgradError(
            "SG121", "a function is defined with = and a name of its own for each argument", left.span, "write f(u) = …"
        )
    if left.function in FUNCTIONS or left.function in REDUCERS or left.function in OTHER_FUNCTIONS:
        raise SymgradError("SG204", f"{left.function} is a function of the language already", left.span, "choose another name")
    if left.function in out.functions:
        message = f"the function {left.function} is defined twice{also(out.function_spans[left.function])}"
        raise SymgradError("SG202", message, left.span, "give the second one another name")
    check_depth(right, left.span)
    out.functions[left.function] = Definition(parameters, right)
    out.function_spans[left.function] = span_of(left)


def check_free_name(name: Name) -> None:
    if name.name in FUNCTIONS or name.name in REDUCERS or name.name in (*OTHER_FUNCTIONS, "pi") or name.name[0] == "|":
        raise SymgradError(
            "SG204", f"{name.name} is a function of the language already", name.span, "choose another name for the quantity"
        )


def draft(lines: Lines) -> Draft:
    sizes = _size_names(lines)
    quantities = {line.left.name for line in lines.equations} | {d.name for d in lines.declarations}
    for name in lines.functions:
        if name in quantities:
            raise SymgradError(
                "SG205",
                f"{name} is a function and a quantity",
                next(l.span for l in lines.equations + lines.declarations if _name(l) == name),
            )  # type: ignore[operator]
    scope = frozenset(binder.name for binder in lines.binders) - quantities
    declared = {b.name: (b.lo, b.hi) for b in lines.binders if b.lo is not None and b.hi is not None}
    base = Converter(scope, sizes, frozenset(quantities), _functions(lines), declared=declared)
    ranges: dict[str, tuple[Expr, Expr, Span | None]] = {}
    for binder in lines.binders:
        if binder.name in ranges:
            message = f"the index {binder.name} is declared twice{also(ranges[binder.name][2])}"
            raise SymgradError("SG202", message, binder.span, "keep one of them, or use another index")
        if binder.lo is None or binder.hi is None:
            raise SymgradError("SG115", f"the index {binder.name} needs a range", binder.span, f"write index {binder.name} in 1..N")
        ranges[binder.name] = (*base.ends(binder.name, binder.lo, binder.hi), binder.span)
    equations = tuple(_equation(line, base) for line in lines.equations)
    values = {name: base.ends(name, *ends) for name, ends in lines.values.items()}
    goal, target = lines.goal if lines.goal else (None, None)
    return Draft(
        equations,
        tuple(replace(d, values=values.get(d.name), ranges=_axes(d, lines, base)) for d in lines.declarations),
        ranges,
        target.text if target else None,
        goal,
        target.span if target else None,
        tuple((base.value(a), base.value(b)) for a, b in lines.assumptions),
        base.written,
        {name: base.function(name) for name, definition in base.functions.items() if definition.closed},
    )


def _axes(declaration: Declaration, lines: Lines, base: Converter) -> dict[int, tuple[Expr, Expr]]:
    found = lines.axes.get(declaration.name, {})
    return {place: base.ends(declaration.indices[place], *ends) for place, ends in found.items()}


def _functions(lines: Lines) -> dict[str, Definition]:
    for name in lines.functions:
        if f"{name}_prime" in lines.functions:
            span = lines.function_spans[f"{name}_prime"]
            raise SymgradError("SG204", f"{name}' is the derivative of {name}", span, "choose another name")
    return with_closed(lines.functions)


def _name(item: Line | Declaration) -> str:
    return item.left.name if isinstance(item, Line) else item.name


def _size_names(lines: Lines) -> frozenset[str]:
    """Names in the ends of ranges: extents, unless they are indices themselves."""
    binders = list(lines.binders)

    def visit(node: Any) -> None:
        if isinstance(node, Reduce):
            binders.extend(node.binders)

    for line in lines.equations:
        walk(line.right, visit)
        binders.extend(line.loops)
    for pair in lines.assumptions:
        for side in pair:
            walk(side, visit)
    binders += [Binder(name, *ends) for name, ends in lines.values.items()]
    binders += [Binder("", *ends) for axes in lines.axes.values() for ends in axes.values()]
    names = {name for binder in binders for end in (binder.lo, binder.hi) for name in names_in(end)}
    return frozenset(names - {binder.name for binder in binders})


def check_depth(tree: Tree, span: Span | None) -> int:
    """How deep it nests. SG504: what follows goes down a tree by recursion."""
    found = depth(tree)
    if found > LIMITS["nesting"]:
        raise SymgradError("SG504", f"this nests more than {LIMITS['nesting']} deep", span, "name parts of it")
    return found


def expression_depth(expr: Any) -> int:
    found: dict[Any, int] = {}
    for node in nodes(expr):
        found[node] = 1 + max((found.get(arg, 0) for arg in node.args), default=0)
    return found[expr]


def _equation(line: Line, base: Converter) -> Equation:
    left = list(line.left.indices)
    names = {name for index in left for name in names_in(index)} - base.sizes - base.quantities
    spans: dict[Any, Span] = {}
    typed = check_depth(line.right, line.span)
    inner = base.varied(scope=base.scope | names, spans=spans, bound=frozenset(names))
    value = inner.value(line.right)
    ranges: Mapping[str, tuple[Expr, Expr]] = {
        b.name: base.ends(b.name, b.lo, b.hi) for b in line.loops if b.lo is not None and b.hi is not None
    }
    for binder in line.loops:
        if binder.name not in names:
            raise SymgradError("SG310", f"{binder.name} is no index of the left side", binder.span)
    # without functions a level of the tree is at most four of the expression: a mean with a guard
    if (base.functions or 2 * typed > LIMITS["nesting"]) and expression_depth(value) > 2 * LIMITS["nesting"]:
        raise SymgradError(
            "SG504", f"with the functions put in, this nests more than {2 * LIMITS['nesting']} deep", line.span, "name parts of it"
        )
    origin = Origin(line.span, (value, line.right), spans)
    return Equation(line.left.name, tuple(inner.index(i) for i in left), value, line.op, ranges, origin, base.sizes)
