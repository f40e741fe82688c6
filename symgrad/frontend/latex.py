r"""LaTeX, as slides and papers write it → Program.

>>> print(parse_latex(r"y = \sum_{j=0}^D \theta_j x_j \\ J = \tfrac12 (y - y^*)^2"))
y = sum(theta[j]*x[j] for j in 0..D)
J = 1/2*(y - y^*)^2

The text is read twice: the first reading finds which names are quantities, functions and arrays, the second
decides by that what alone could mean two things. Nothing of it is executed, no macro expanded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from symgrad.core.draft import Claim, Declaration
from symgrad.core.errors import Source, Span, SymgradError
from symgrad.core.program import Program
from symgrad.core.resolve import no_equation, resolve
from symgrad.core.tree import Binder, Compare, Deriv, Name, Tree
from symgrad.frontend.convert import all_nodes
from symgrad.frontend.latex_document import RELATIONS, WORDS, equations, keyword, relation
from symgrad.frontend.latex_expressions import LatexParser
from symgrad.frontend.latex_grammar import COMPARISONS
from symgrad.frontend.latex_names import Known
from symgrad.frontend.latex_reductions import index_names
from symgrad.frontend.lines import Lines, add_equation, check_free_name, draft
from symgrad.frontend.sympy import declarations, goal_of, roles_of
from symgrad.frontend.syntax import Token, describe, span_of


@dataclass(frozen=True)
class Reading:
    """A program with notes on how each rule of reading was applied to its text."""

    program: Program
    notes: tuple[str, ...]


def parse_latex(
    latex: str,
    params: Iterable[str] = (),
    inputs: Iterable[str] = (),
    loss: str | None = None,
    minimize: str | None = None,
    maximize: str | None = None,
    name: str = "<latex>",
) -> Program:
    r"""The program that displayed equations mean.

    `params` and `inputs` give quantities their role, `minimize` or `maximize` names the loss with its goal, `loss`
    without one, as in `from_sympy`. Raises SymgradError with the place: SG10x to SG12x and SG135 to SG139 for LaTeX
    that cannot be read or means two things, SG2xx names, SG3xx indices, SG4xx graph, SG5xx size.

    >>> print(parse_latex(r"a_j = \sum_{i=0}^M \alpha_{ji} x_i \qquad \forall j \in \{0, \dots, D\}", params=["alpha"]))
    param alpha[j in 0..D,i in 0..M]
    a[j] = sum(alpha[j,i]*x[i] for i in 0..M) for j in 0..D
    """
    return read_latex(latex, params, inputs, loss, minimize, maximize, name).program


def read_latex(
    latex: str,
    params: Iterable[str] = (),
    inputs: Iterable[str] = (),
    loss: str | None = None,
    minimize: str | None = None,
    maximize: str | None = None,
    name: str = "<latex>",
) -> Reading:
    """As `parse_latex`, with notes on how the text was read."""
    lines, claims, trained, known = _read(latex, name)
    if claims:
        hint = "take it out of the model; sg.check compares such claims with the model's derivatives"
        raise SymgradError("SG140", "this states a derivative, it defines no quantity", claims[0].span, hint)
    roles = roles_of([*params, *(n for n in trained if n not in params)], inputs, {})
    found = draft(lines)
    if not found.equations:
        raise no_equation(Source(latex, name))
    goal, target = goal_of({"loss": loss, "minimize": minimize, "maximize": maximize}, [e.name for e in found.equations])
    if target is not None:
        found = replace(found, loss=target, goal=goal, goal_span=None)
    program = resolve(found)
    given = {d.name for d in found.declarations}
    roles = {role: [n for n in names if n not in given] for role, names in roles.items()}
    added = declarations(program, roles, {})
    if added:
        program = resolve(replace(found, declarations=(*found.declarations, *added)))
    return Reading(program, tuple(known.notes))


def looks_like_latex(text: str) -> bool:
    r"""True for what the text language cannot be: a command, $ or a brace.

    >>> looks_like_latex(r"y = \tanh a"), looks_like_latex("y = tanh(a)  # \\tanh")
    (True, False)
    """
    return any(mark in line.partition("#")[0] for line in text.split("\n") for mark in ("\\", "$", "{"))


@dataclass(frozen=True)
class Answers:
    """The claims of a page, and the places of its other equations."""

    claims: tuple[Claim, ...]
    others: tuple[Span, ...]


def claims(
    latex: str, name: str = "<latex>", quantities: Mapping[str, int] | None = None, functions: Iterable[str] = ()
) -> Answers:
    r"""The equations of a text whose left side is a derivative, and the places of the others.

    `quantities` of the model, with their number of indices, and its `functions` decide what could mean two things.

    >>> found = claims(r"y = x^2, \quad \frac{dJ}{dx} = \frac{dJ}{dy} \cdot 2x")
    >>> found.claims[0].span.text, found.others[0].text
    ('\\frac{dJ}{dx} = \\frac{dJ}{dy} \\cdot 2x', 'y = x^2')
    """
    lines, found, _, _ = _read(latex, name, Known.of_model(quantities or {}, functions))
    return Answers(tuple(found), tuple(lines.whole))


def _read(latex: str, name: str, known: Known | None = None) -> tuple[Lines, list[Claim], list[str], Known]:
    if not isinstance(latex, str):
        raise SymgradError("SG119", f"a model is a text, not {type(latex).__name__}", hint="use sg.from_sympy for SymPy equations")
    source = Source(latex, name)
    first = known or Known()
    _defined(equations(source, first), first)
    _Statements(first).all(equations(source, first))
    known = first.again()
    statements = _Statements(known)
    statements.all(equations(source, known))
    return statements.lines, statements.claims, statements.trained, known


def _defined(found: list[list[Token]], known: Known) -> None:
    r"""Functions that the text defines, \sigma(u) = …: a name, brackets, and = behind them."""
    for tokens in found:
        place = relation(tokens)
        if place < 4 or tokens[place].text != "=" or tokens[place - 1].text != ")":
            continue
        parser = LatexParser([*tokens[:place], tokens[-1]], Known())
        parser.calls = False
        try:
            left = parser.word()
        except SymgradError:
            continue
        if isinstance(left, Name) and not left.indices and parser.sees("("):
            known.functions.add(left.name)


class _Statements:
    """Statements of one reading."""

    def __init__(self, known: Known):
        self.known = known
        self.lines = Lines()
        self.claims: list[Claim] = []
        self.trained: list[str] = []

    def all(self, found: list[list[Token]]) -> None:
        for tokens in found:
            parser = StatementParser(tokens, self.known)
            parser.statement(self)
            if parser.token.kind != "end":
                hint = "one equation a line; a further = would be another equation" if parser.sees(*RELATIONS) else None
                message = f"expected the end of the equation, found {describe(parser.token)}"
                raise SymgradError("SG105", message, parser.token.span, hint)


class StatementParser(LatexParser):
    def statement(self, out: _Statements) -> None:
        token = self.token
        word = keyword(token.text) if token.kind == "text" or relation(self.tokens) < 0 else ""
        if word:
            self.next()
            self.declaration(word, token, out)
        elif token.text in (r"\min", r"\max") and relation(self.tokens) < 0:
            self.next()
            self.goal({r"\min": "minimize", r"\max": "maximize"}[token.text], token, out)
        else:
            if token.kind == "text" and token.text.strip().lower() in WORDS:
                self.next()
            self.equation(out)

    def declaration(self, word: str, token: Token, out: _Statements) -> None:
        if word in ("minimize", "maximize"):
            self.goal(word, token, out)
        elif word == "assume":
            left = self.expression(10)
            self.need("=", "between the two sides")
            out.lines.assumptions.append((left, self.expression(10)))
        elif word == "index":
            out.lines.binders += self.ranges()
        else:
            out.lines.declarations.append(self.declared(word, out))
            while self.take(","):
                out.lines.declarations.append(self.declared(word, out))

    def goal(self, word: str, token: Token, out: _Statements) -> None:
        r"""\text{minimize } J, \min_{\theta} J."""
        if self.take("_"):
            self.variables(out)
        self.calls = False
        target = self.expression(10)
        self.calls = True
        if self.sees("("):
            self.next()
            while not self.take(")"):
                self.next_inside()
        if not isinstance(target, Name) or target.indices:
            raise SymgradError("SG105", "expected the name of the loss", span_of(target))
        if out.lines.goal:
            raise SymgradError("SG404", "the goal is named twice", token.span)
        out.lines.goal = (word, Token("name", target.name, span_of(target)))

    def next_inside(self) -> Token:
        if self.token.kind == "end":
            raise SymgradError("SG106", "the ( is not closed", self.token.span)
        return self.next()

    def variables(self, out: _Statements) -> None:
        """What is trained, below min."""
        wrapped = self.take("{")
        self.calls = False
        while True:
            tree = self.word() if wrapped else self.index_letter()
            if not isinstance(tree, Name):
                raise SymgradError("SG105", "expected the name of a parameter", span_of(tree))
            out.trained.append(tree.name)
            self.known.note(f"{tree.name} read as a parameter: it stands below {self.tokens[0].span.text}")
            if not (wrapped and self.take(",")):
                break
        if wrapped:
            self.need("}", "after the parameters")

    def declared(self, role: str, out: _Statements) -> Declaration:
        r"""x_i, or with whole numbers w_t \in \{1, \dots, V\}, or with ranges of its axes x[n \in \{0, \dots, N\}, i]."""
        self.calls = False
        ranges: dict[int, tuple[Tree, Tree]] = {}
        tree = self.axes(ranges) if self.own_axes() else self.word()
        self.calls = True
        if not isinstance(tree, Name) or not all(isinstance(i, Name) and not i.indices for i in tree.indices):
            raise SymgradError("SG105", f"expected a name such as x or x_i after {role}", span_of(tree))
        check_free_name(tree)
        if ranges:
            out.lines.axes[tree.name] = ranges
        if self.take(r"\in"):
            binder = self.range_of(Name("", (), tree.span))
            assert binder.lo is not None
            assert binder.hi is not None
            if role == "param":
                raise SymgradError(
                    "SG211", f"{tree.name} holds whole numbers, so it cannot be trained", tree.span, "declare it as input"
                )
            out.lines.values[tree.name] = (binder.lo, binder.hi)
        self.known.quantities.add(tree.name)
        return Declaration(role, tree.name, tuple(i.name for i in tree.indices if isinstance(i, Name)), tree.span)

    def own_axes(self) -> bool:
        """True where the name that follows has ranges in its brackets."""
        for token in self.tokens[self.at :]:
            if token.text == ",":
                return False
            if token.text == "[":
                return True
        return False

    def axes(self, ranges: dict[int, tuple[Tree, Tree]]) -> Tree:
        opened = next(place for place in range(self.at, len(self.tokens)) if self.tokens[place].text == "[")
        inner = LatexParser([*self.tokens[self.at : opened], self.tokens[-1]], self.known)
        name = inner.word()
        self.at = opened + 1
        indices: list[Tree] = []
        while True:
            index = self.expression(10)
            if self.take(r"\in"):
                binder = self.range_of(index)
                assert binder.lo is not None
                assert binder.hi is not None
                ranges[len(indices)] = (binder.lo, binder.hi)
            indices.append(index)
            if not self.take(","):
                break
        end = self.need("]", "after the axes")
        if not isinstance(name, Name):
            raise SymgradError("SG105", "expected a name", span_of(name))
        return Name(name.name, tuple(indices), span_of(name).to(end.span))

    def equation(self, out: _Statements) -> None:
        left = self.expression(10)
        op = self.relation()
        if self.token.kind == "end":
            raise SymgradError("SG104", "an operand is missing: nothing stands right of =", op.span)
        self.scope = index_names(left)
        right = self.expression(10)
        if self.token.kind == "op" and self.token.text in COMPARISONS:
            hint = "write one = in an equation, and a further equation on its own line"
            raise SymgradError("SG141", "a second relation stands in this equation", self.token.span, hint)
        loops = self.qualifiers()
        if isinstance(left, Deriv):
            out.claims.append(Claim(left, op.text, right, loops, span_of(left).to(span_of(right))))
            return
        for node in all_nodes(right):
            if isinstance(node, Deriv):
                hint = r"write \operatorname{grad}(f, x_k) for a derivative that is a part of a model"
                raise SymgradError("SG140", "a derivative stands in an equation of the model", node.span, hint)
        out.lines.whole.append(span_of(left).to(span_of(right)))
        add_equation(out.lines, left, op.text, right, loops)
        if isinstance(left, Name):
            self.known.quantities.add(left.name)

    def relation(self) -> Token:
        r"""=, := and \equiv; += and \mathrel{+}=."""
        op = self.next()
        if op.text == r"\mathrel" and self.take("{") and self.take("+") and self.take("}") and self.take("="):
            return op._replace(text="+=")
        if op.text == "+" and self.take("="):
            return op._replace(text="+=")
        if op.kind != "op" or op.text not in RELATIONS:
            raise SymgradError("SG105", f"expected = after the left side, found {describe(op)}", op.span)
        return op

    def qualifiers(self) -> tuple[Binder, ...]:
        r"""\forall j \in \{1, \dots, K\}; for j = 1, \dots, K; (j = 1, \dots, K)."""
        found: list[Binder] = []
        while True:
            while self.take(",") or self.take(";"):
                pass
            word = self.token.kind == "text" and self.token.text.strip().lower() in WORDS
            if word or self.sees(r"\forall"):
                self.next()
                found += self.ranges()
            elif self.sees("(") or (self.token.kind == "letter" and self.peek().text in ("=", r"\in")):
                wrapped = self.take("(")
                found += self.ranges()
                if wrapped:
                    self.need(")", "after the range")
            else:
                return tuple(b for b in found if b.lo is not None)

    def ranges(self) -> list[Binder]:
        r"""i = 0, \dots, M, j, k \in \{1, \dots, K\}: a range holds for the names before it."""
        out: list[Binder] = []
        group: list[Name] = []
        while True:
            self.take(r"\forall")
            low = self.attempt(lambda: self.low_end())
            if low is not None:
                assert isinstance(low, Compare)
                name, lo, hi = low.left, low.right, self.last_end
                assert isinstance(name, Name)
                out.append(Binder(name.name, lo, hi, span_of(low)))
            else:
                self.group(group, out)
            if not self.take(","):
                return out + [Binder(n.name, None, None, n.span) for n in group]

    last_end: Tree

    def low_end(self) -> Tree | None:
        r"""1 \le k \le K."""
        left = self.expression(10)
        if not self.sees("<=", "<"):
            return None
        binders: list[Binder] = []
        self.compared(left, binders, [])
        if len(binders) != 1 or binders[0].lo is None or binders[0].hi is None:
            return None
        self.last_end = binders[0].hi
        return Compare("=", Name(binders[0].name, (), binders[0].span), binders[0].lo, binders[0].span)

    def group(self, group: list[Name], out: list[Binder]) -> None:
        self.calls = False
        name = self.word() if self.starts() else self.index_letter()
        self.calls = True
        if not isinstance(name, Name) or name.indices:
            raise SymgradError("SG115", f"expected the name of an index, found {span_of(name).text}", span_of(name))
        group.append(name)
        if self.take("="):
            binder = self.dotted(name, self.expression(10))
        elif self.take(r"\in"):
            binder = self.range_of(name)
        else:
            return
        out += [replace(binder, name=n.name) for n in group]
        group.clear()
