r"""LaTeX tokens → syntax trees, by the Pratt parser of `frontend/syntax.py` with the notation of slides and papers.

\frac{a}{b}  \sqrt{a}  e^{a}          quotient, root, exponential
3x^2  w \cdot x  \alpha_{ji} x_i      products, also side by side
\log y z                              a named function takes the product after it, up to + - or the next function
\sum_{i=0}^M \alpha_i x_i + c         the body of a sum is one term
\frac{dJ}{dz_j}                       a derivative, never a quotient
"""

from __future__ import annotations

from dataclasses import replace

from symgrad.core.errors import SymgradError
from symgrad.core.tree import Call, Compare, Name, Sum, Tree
from symgrad.frontend.latex_grammar import (
    FENCES,
    NAMES,
    OPENERS,
    REFUSED,
)
from symgrad.frontend.latex_reductions import Reductions
from symgrad.frontend.latex_tokens import BIG, FUNCTION_COMMANDS
from symgrad.frontend.syntax import describe, span_of


class LatexParser(Reductions):
    """The expression grammar over the tokens of one statement."""

    # operands

    def prefix(self, least: int) -> Tree:
        token = self.token
        if self.sees("+", "-"):
            self.next()
            tree = self.expression(max(least, 25))
            return Sum(((-1, tree),), token.span.to(span_of(tree))) if token.text == "-" else tree
        if token.kind == "number":
            return self.powers(self.number())
        if token.kind in ("letter", "upright", "text") or (token.kind == "op" and token.text in NAMES):
            return self.word()
        for table, rule in ((BIG, self.big), (FUNCTION_COMMANDS, self.function)):
            if token.kind == "op" and token.text in table:
                return rule(self.next(), table[token.text])
        special = {r"\frac": self.fraction, r"\sqrt": self.root, "|": self.bar, r"\arg": self.arg, "{": self.braces}.get(token.text)
        if token.kind == "op" and special:
            return special()
        if token.kind == "op" and token.text in OPENERS:
            return self.fenced()
        if token.kind == "begin":
            return self.cases()
        if token.text in REFUSED:
            raise SymgradError("SG139", f"{token.span.text} cannot be read as a part of a formula", token.span, REFUSED[token.text])
        found = "at the end" if token.kind == "end" else f"before {describe(token)}"
        raise SymgradError("SG104", f"an operand is missing {found}", token.span)

    def braces(self) -> Tree:
        r"""{…}: a group that TeX does not show."""
        opening = self.next()
        tree = self.expression(10)
        end = self.need("}", "after this group")
        if isinstance(tree, Name) and self.sees("'", "^", "_"):
            return self.scripts(tree.name, tree.indices, opening.span, self.tokens[self.at - 1].span, "")
        return self.powers(replace(tree, span=opening.span.to(end.span)))  # type: ignore[arg-type]

    def fenced(self) -> Tree:
        """A group in brackets, or Iverson's bracket where it holds a condition."""
        opening = self.next()
        inner = self.condition()
        conditions = [inner] if isinstance(inner, Compare) else []
        while conditions and opening.text == "[" and self.take(","):
            conditions.append(self.single_condition())
        end = self.close_fence(opening)
        span = opening.span.to(end.span)
        if conditions:
            return self.iverson(conditions, span)
        tree: Tree = Call(FENCES[opening.text], (inner,), span) if opening.text in FENCES else replace(inner, span=span)  # type: ignore[arg-type]
        return self.powers(tree)

    def bar(self) -> Tree:
        opening = self.next()
        self.bars += 1
        inner = self.expression(10)
        self.bars -= 1
        end = self.need("|", "after the absolute value")
        return self.powers(Call("abs", (inner,), opening.span.to(end.span)))
