"""The text language → Program: statements around the expression grammar of `frontend/syntax.py`.

>>> print(parse("y = sum(theta[j]*x[j] for j in 0..D); J = (y - t)^2/2"))
y = sum(theta[j]*x[j] for j in 0..D)
J = (y - t)^2/2

Line kinds: `index`, `input`, `param`, `const`, `assume`, `minimize`, `maximize`, a function definition
`sigma(u) = …`, and equations `a[j] = …` or `a[j] += …`. A line may go on inside brackets; `;` ends one too.
"""

from __future__ import annotations

from symgrad.core.collector import rare_collections
from symgrad.core.draft import Declaration
from symgrad.core.errors import Source, SymgradError
from symgrad.core.program import Program
from symgrad.core.resolve import no_equation, resolve
from symgrad.core.tree import Name, Tree
from symgrad.frontend.lines import Lines, add_equation, check_free_name, draft
from symgrad.frontend.syntax import LIMITS, Parser, Token, describe, span_of, starred_names, tokenize

DECLARATIONS = ("index", "input", "param", "const", "assume", "minimize", "maximize")


@rare_collections()
def parse(text: str, name: str = "<text>") -> Program:
    """Read a model in the text language.

    Raises SymgradError with the place: SG1xx syntax, SG2xx names, SG3xx indices, SG4xx graph, SG5xx size.
    """
    if not isinstance(text, str):
        raise SymgradError("SG119", f"a model is a text, not {type(text).__name__}", hint="use sg.from_sympy for SymPy equations")
    source = Source(text, name)
    tokens = tokenize(source)
    parser = StatementParser(tokens, starred_names(tokens))
    found = draft(parser.lines())
    if not found.equations:
        raise no_equation(source)
    return resolve(found)


class StatementParser(Parser):
    def lines(self) -> Lines:
        out = Lines()
        while self.token.kind != "end":
            if self.token.kind == "newline" or self.sees(";"):
                self.next()
                continue
            self.begin = self.token.span.start
            self.line(out)
            if len(out.equations) > LIMITS["statements"]:
                message = f"the text has more than {LIMITS['statements']:,} equations"
                raise SymgradError("SG501", message, out.equations[-1].span, "let one equation stand for many: give it indices")
            if not (self.token.kind in ("newline", "end") or self.sees(";")):
                raise self.unended("equation")
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
        check_free_name(tree)
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
        add_equation(out, left, op.text, right, loops)
