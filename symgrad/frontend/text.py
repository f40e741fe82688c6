"""The text language → Program: statements around the expression grammar of `frontend/syntax.py`.

>>> print(parse("y = sum(theta[j]*x[j] for j in 0..D); J = (y - t)^2/2"))
y = sum(theta[j]*x[j] for j in 0..D)
J = (y - t)^2/2

Line kinds: `index`, `input`, `param`, `const`, `assume`, `minimize`, `maximize`, a function definition
`sigma(u) = …`, and equations `a[j] = …` or `a[j] += …`. A line may go on inside brackets; `;` ends one too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sympy import Expr

from symgrad.core.draft import Declaration, Draft, Equation
from symgrad.core.errors import Source, Span, SymgradError
from symgrad.core.expr import nodes
from symgrad.core.functions import FUNCTIONS
from symgrad.core.program import Origin, Program
from symgrad.core.reductions import REDUCERS
from symgrad.core.resolve import resolve
from symgrad.core.tree import Binder, Call, Name, Reduce, Tree, depth
from symgrad.frontend.convert import Converter, Definition, names_in, walk, with_closed
from symgrad.frontend.syntax import LIMITS, Parser, Token, describe, span_of, starred_names, tokenize

OTHER_FUNCTIONS = ("where", "sqrt", "grad")
DECLARATIONS = ("index", "input", "param", "const", "assume", "minimize", "maximize")


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
    functions: dict[str, Definition] = field(default_factory=dict)
    function_spans: dict[str, Span] = field(default_factory=dict)
    binders: list[Binder] = field(default_factory=list)
    declarations: list[Declaration] = field(default_factory=list)
    values: dict[str, tuple[Tree, Tree]] = field(default_factory=dict)  # of integer inputs
    axes: dict[str, dict[int, tuple[Tree, Tree]]] = field(default_factory=dict)  # ranges declared in place
    assumptions: list[tuple[Tree, Tree]] = field(default_factory=list)
    goal: tuple[str, Token] | None = None


def parse(text: str, name: str = "<text>") -> Program:
    """Read a model in the text language.

    Raises SymgradError with the place: SG1xx syntax, SG2xx names, SG3xx indices, SG4xx graph, SG5xx size.
    """
    if not isinstance(text, str):
        raise SymgradError("SG119", f"a model is a text, not {type(text).__name__}", hint="use sg.from_sympy for SymPy equations")
    source = Source(text, name)
    tokens = tokenize(source)
    parser = StatementParser(tokens, starred_names(tokens))
    return resolve(_draft(parser.lines(), source))


class StatementParser(Parser):
    def lines(self) -> Lines:
        out = Lines()
        while self.token.kind != "end":
            if self.token.kind == "newline" or self.sees(";"):
                self.next()
                continue
            self.line(out)
            if not (self.token.kind in ("newline", "end") or self.sees(";")):
                raise SymgradError(
                    "SG105",
                    f"expected the end of the equation, found {describe(self.token)}",
                    self.token.span,
                    "one equation a line; put an operator between factors",
                )
        return out

    def line(self, out: Lines) -> None:
        keyword = self.token
        if keyword.kind == "name" and keyword.text in DECLARATIONS and not self.defines():
            self.next()
            self.declaration(keyword, out)
        else:
            self.equation(out)

    def defines(self) -> bool:
        """`index = …` defines a quantity of that name."""
        return self.peek().text in ("=", "+=", "[")

    def declaration(self, keyword: Token, out: Lines) -> None:
        if keyword.text == "index":
            out.binders += self.ranges()
        elif keyword.text == "assume":
            left = self.expression(10)
            self.need("=", "between the two sides")
            out.assumptions.append((left, self.expression(10)))
        elif keyword.text in ("minimize", "maximize"):
            self.goal(keyword, out)
        else:
            out.declarations.append(self.declared(keyword.text, out))
            while self.take(","):
                out.declarations.append(self.declared(keyword.text, out))

    def goal(self, keyword: Token, out: Lines) -> None:
        target = self.next()
        if target.kind != "name":
            raise SymgradError("SG105", f"expected the name of the loss, found {describe(target)}", target.span)
        if out.goal:
            raise SymgradError(
                "SG404", f"the goal is named twice: {out.goal[0]} {out.goal[1].text}, {keyword.text} {target.text}", target.span
            )
        out.goal = (keyword.text, target)

    def declared(self, role: str, out: Lines) -> Declaration:
        ranges: dict[int, tuple[Tree, Tree]] = {}
        tree = self.named_axes(ranges) if self.token.kind == "name" else self.prefix(0)
        if not isinstance(tree, Name) or not all(isinstance(i, Name) and not i.indices for i in tree.indices):
            raise SymgradError("SG105", f"expected a name such as x or x[i] after {role}", span_of(tree))
        if ranges:
            out.axes[tree.name] = ranges
        _check_free_name(tree)
        if self.sees("in"):
            self.whole_numbers(tree, role, out)
        return Declaration(role, tree.name, tuple(i.name for i in tree.indices if isinstance(i, Name)), tree.span)

    def named_axes(self, ranges: dict[int, tuple[Tree, Tree]]) -> Tree:
        """`h[t in 0..T,j]`: a name with its axes, some with a range of their own."""
        name = self.starred_name(self.next()) if self.peek().text in ("[", "*") else self.next()
        if not self.sees("["):
            self.at -= 1
            return self.named()
        opening = self.next()
        self.open()
        indices: list[Tree] = []
        while True:
            indices.append(self.expression(10))
            if self.take("in"):
                lo = self.expression(10)
                self.need("..", "between the ends of the range")
                ranges[len(indices) - 1] = (lo, self.expression(10))
            if not self.take(","):
                break
        end = self.close("]", opening)
        return Name(name.text, tuple(indices), name.span.to(end.span))

    def whole_numbers(self, tree: Name, role: str, out: Lines) -> None:
        """`input w[t] in 1..V`: an array of whole numbers, to gather by."""
        word = self.next()
        if role == "param":
            raise SymgradError(
                "SG211", f"{tree.name} holds whole numbers, so it cannot be trained", word.span, "declare it as input"
            )
        lo = self.expression(10)
        self.need("..", "between the least and the greatest value")
        out.values[tree.name] = (lo, self.expression(10))

    def equation(self, out: Lines) -> None:
        left = self.expression(10)
        op = self.next()
        if op.kind != "op" or op.text not in ("=", "+="):
            raise SymgradError("SG105", f"expected = after the left side, found {describe(op)}", op.span)
        if self.token.kind in ("newline", "end") or self.sees(";"):
            raise SymgradError("SG104", "an operand is missing: nothing stands right of =", op.span)
        right = self.expression(0)
        loops = self.loops()
        span = span_of(left)
        if isinstance(left, Call):
            self.function(left, op, right, loops, out)
            return
        if not isinstance(left, Name):
            raise SymgradError("SG121", f"{span.text} cannot stand left of =", span, "a name, or a name with indices")
        _check_free_name(left)
        out.equations.append(Line(left, op.text, right, loops, span))

    def function(self, left: Call, op: Token, right: Tree, loops: tuple[Binder, ...], out: Lines) -> None:
        if loops:
            raise SymgradError("SG310", "a function has no indices to run over", loops[0].span)
        parameters = tuple(arg.name for arg in left.args if isinstance(arg, Name) and not arg.indices)
        if len(parameters) < len(left.args) or op.text != "=" or len(set(parameters)) < len(parameters):
            raise SymgradError("SG121", "a function is defined as f(u) = …, with a name for each argument", left.span)
        if left.function in FUNCTIONS or left.function in REDUCERS or left.function in OTHER_FUNCTIONS:
            raise SymgradError("SG204", f"{left.function} is a function of the language already", left.span, "choose another name")
        if left.function in out.functions:
            raise SymgradError("SG202", f"the function {left.function} is defined twice", left.span)
        check_depth(right, left.span)
        out.functions[left.function] = Definition(parameters, right)
        out.function_spans[left.function] = span_of(left)


def _check_free_name(name: Name) -> None:
    if name.name in FUNCTIONS or name.name in REDUCERS or name.name in (*OTHER_FUNCTIONS, "pi") or name.name[0] == "|":
        raise SymgradError(
            "SG204", f"{name.name} is a function of the language already", name.span, "choose another name for the quantity"
        )


def _draft(lines: Lines, source: Source) -> Draft:
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
            raise SymgradError("SG202", f"the index {binder.name} is declared twice", binder.span)
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


def check_depth(tree: Tree, span: Span | None) -> None:
    """SG504: what follows goes down a tree by recursion."""
    if depth(tree) > LIMITS["nesting"]:
        raise SymgradError("SG504", f"this nests more than {LIMITS['nesting']} deep", span, "name parts of it")


def expression_depth(expr: Any) -> int:
    found: dict[Any, int] = {}
    for node in nodes(expr):
        found[node] = 1 + max((found.get(arg, 0) for arg in node.args), default=0)
    return found[expr]


def _equation(line: Line, base: Converter) -> Equation:
    left = list(line.left.indices)
    names = {name for index in left for name in names_in(index)} - base.sizes - base.quantities
    spans: dict[Any, Span] = {}
    check_depth(line.right, line.span)
    inner = replace(base, scope=base.scope | names, spans=spans, bound=frozenset(names))
    value = inner.value(line.right)
    ranges: Mapping[str, tuple[Expr, Expr]] = {
        b.name: base.ends(b.name, b.lo, b.hi) for b in line.loops if b.lo is not None and b.hi is not None
    }
    for binder in line.loops:
        if binder.name not in names:
            raise SymgradError("SG310", f"{binder.name} is no index of the left side", binder.span)
    if expression_depth(value) > 2 * LIMITS["nesting"]:
        raise SymgradError(
            "SG504", f"with the functions put in, this nests more than {2 * LIMITS['nesting']} deep", line.span, "name parts of it"
        )
    origin = Origin(line.span, (value, line.right), spans)
    return Equation(line.left.name, tuple(inner.index(i) for i in left), value, line.op, ranges, origin, base.sizes)
