r"""Names with all that stands around them, and derivatives: \alpha_{ji}, y_k^*, h^{(t)}, \frac{dJ}{dz_j}."""

from __future__ import annotations

from symgrad.core.errors import Span, SymgradError
from symgrad.core.functions import function_hint
from symgrad.core.tree import ONES, Call, Deriv, Name, Num, Tree
from symgrad.frontend.latex_grammar import (
    BIG_WORDS,
    BY_WORD,
    NAMES,
    OPENERS,
    TOP,
    Grammar,
    raised,
)
from symgrad.frontend.latex_names import Element, note_name, resolved
from symgrad.frontend.latex_tokens import ACCENTS, FONTS, GREEK_COMMANDS
from symgrad.frontend.syntax import Token, describe, span_of


class Symbols(Grammar):
    """Names and derivatives."""

    # derivatives

    def derivative(self, command: Token) -> Tree | None:
        r"""\frac{dJ}{dz_j}, \frac{\partial J}{\partial z_j}, \frac{d^2J}{dx_k \, dx_l}."""

        def read() -> Tree | None:
            if not self.take("{") or not self.differential():
                return None
            second = self.sees("^")
            if second:
                self.next()
                wrapped = self.take("{")
                if self.next().text != "2" or (wrapped and not self.take("}")):
                    return None
            top = self.differentiated()
            if not self.take("}") or not self.take("{") or not self.differential():
                return None
            bottom, other = self.differentiated(), None
            if second:
                other = self.other(bottom)
            end = self.take("}")
            return Deriv(top, bottom, other, command.span.to(end.span)) if end and (other is not None) == second else None

        return self.attempt(read)

    def other(self, bottom: Name) -> Name | None:
        """The second differential below."""
        return self.differentiated() if self.differential() else None

    def differential(self) -> bool:
        if self.token.text in ("d", r"\partial") and self.token.kind in ("letter", "op", "upright"):
            self.next()
            return True
        return False

    def differentiated(self) -> Name:
        self.calls = False
        tree = self.word()
        self.calls = True
        if not isinstance(tree, Name):
            raise SymgradError("SG105", "expected a quantity after d", span_of(tree))
        return tree

    def inline_derivative(self) -> Tree | None:
        """dJ/dy."""
        start = self.token

        def read() -> Tree | None:
            if not self.differential() or not self.starts():
                return None
            top = self.differentiated()
            if not self.take("/") or not self.differential() or not self.starts():
                return None
            bottom = self.differentiated()
            return Deriv(top, bottom, None, start.span.to(span_of(bottom)))

        return self.attempt(read)

    # names

    def word(self) -> Tree:
        token = self.token
        if token.text in ("d", r"\partial"):
            derivative = self.inline_derivative() if self.calls else None
            if derivative is not None:
                return derivative
            if token.text == r"\partial":
                raise SymgradError(
                    "SG139", "a partial derivative needs both parts", token.span, r"write \frac{\partial J}{\partial x}"
                )
        self.next()
        if token.kind == "upright":
            if token.text in BIG_WORDS and (self.sees("_") or token.text not in BY_WORD):
                return self.big(token, BIG_WORDS[token.text])
            if token.text in BY_WORD and self.known_function(token.text):
                return self.function(token, BY_WORD[token.text])
        if token.text in FONTS:
            return self.font(token)
        if token.text in ACCENTS:
            return self.accent(token)
        if token.text == "e" and token.kind == "letter" and self.sees("^") and "e" not in self.known.quantities:
            return self.exponential(token)
        return self.quantity(token, token.span, self.spelling(token))

    def known_function(self, name: str) -> bool:
        return self.sees("(", "{", "^") or (self.starts() and name not in self.known.quantities)

    def exponential(self, e: Token) -> Tree:
        start = self.at
        self.next()
        if self.sees("*", "'") or (self.sees("{") and self.peek().text in ("*", "'", r"\top")):
            self.at = start
            return self.quantity(e, e.span, "e")
        exponent = self.exponent()
        self.known.note("e^{…} read as the exponential function")
        return Call("exp", (exponent,), e.span.to(span_of(exponent)))

    def font(self, command: Token) -> Tree:
        r"""\mathbf{x} is x; \mathbb{1} is an indicator."""
        wrapped = self.take("{")
        token = self.next()
        if wrapped:
            self.need("}", f"after the letter of {command.text}")
        span = command.span.to(self.tokens[self.at - 1].span)
        if token.text == "1" and self.known.model and not self.sees("_", "[", "(", r"\{", "{"):
            return self.powers(Name(ONES, (), span))
        if token.text == "1":
            return self.indicator(span)
        if token.kind not in ("letter", "upright", "text") and token.text not in GREEK_COMMANDS:
            raise SymgradError("SG139", f"{command.text} holds no single name", span, r"write \mathbf{x}_i")
        form = command.text if command.text in (r"\mathcal", r"\mathbb", r"\mathfrak", r"\mathscr", r"\mathds") else ""
        return self.quantity(token, span, f"{form}{{{token.text}}}" if form else self.spelling(token))

    def indicator(self, span: Span) -> Tree:
        if self.take("_"):
            self.need("{", "before the condition")
            condition, end = self.single_condition(), self.need("}", "after the condition")
        else:
            opening = self.token
            if not self.sees("[", "(", r"\{", "{"):
                raise SymgradError("SG105", f"expected a condition after the indicator, found {describe(opening)}", opening.span)
            self.next()
            condition = self.single_condition()
            end = self.need({**OPENERS, "{": "}"}[opening.text], "after the condition")
        return self.iverson([condition], span.to(end.span))

    def accent(self, command: Token) -> Tree:
        r"""\bar{x}_i is x_bar[i]."""
        self.calls, before = False, self.calls
        wrapped = self.take("{")
        inner = self.word() if wrapped else self.bare(self.next())
        if wrapped:
            self.need("}", f"after {command.text}")
        self.calls = before
        if not isinstance(inner, Name):
            raise SymgradError("SG139", f"{command.text} stands over no single name", command.span)
        end = self.tokens[self.at - 1].span
        return self.scripts(f"{inner.name}_{ACCENTS[command.text]}", inner.indices, command.span, end, command.text)

    def spelling(self, token: Token) -> str:
        return token.text if token.kind == "op" else self.letter(token) if token.kind in ("letter", "upright", "text") else ""

    def quantity(self, token: Token, span: Span, form: str) -> Tree:
        return self.scripts(self.letter(token), (), span, span, form)

    def scripts(self, base: str, indices: tuple[Tree, ...], start: Span, end: Span, form: str) -> Tree:
        """A name with what is above and below it, then a power, indices in brackets, or arguments."""
        marks, first, elements, power = "", tuple[Element, ...](), tuple[Element, ...](), None
        while self.sees("_", "^", "'"):
            if self.take("'"):
                marks += "_prime"
            elif self.sees("_"):
                if elements:
                    raise SymgradError("SG139", "two subscripts stand below one name", self.token.span)
                elements = self.subscript(self.next())
            else:
                mark, above, power = self.superscript(self.next(), base)
                marks, first = marks + mark, first + above
            if power is not None:
                break
            end = self.tokens[self.at - 1].span
        where = "^" if first else ""
        name, found = resolved(base, (*first, *elements), self.known)
        name += marks
        tree = Name(name, indices + found, start.to(end))
        tree = self.bracketed(tree, end)
        if form:
            self.known.spelled(name, form + ("^" if where and not found else ""), span_of(tree))
        note_name(tree, self.known)
        if power is not None:
            self.known.quantities.add(name)
            return raised(tree, power, start.to(span_of(power)))
        return self.applied(tree)

    def bracketed(self, tree: Name, end: Span) -> Name:
        """x[i], as the text language writes it."""
        if tree.indices or not self.sees("[") or self.token.span.start != end.end:
            return tree

        def read() -> Tree | None:
            self.next()
            found = [self.expression(10)]
            while self.take(","):
                found.append(self.expression(10))
            close = self.take("]")
            return Name(tree.name, tuple(found), span_of(tree).to(close.span)) if close else None

        read_tree = self.attempt(read)
        if isinstance(read_tree, Name):
            self.known.ranks.setdefault(tree.name, set()).add(len(read_tree.indices))
            return read_tree
        return tree

    def applied(self, tree: Name) -> Tree:
        """f(x): a call of a known function, a product with a known quantity, else a question."""
        known = self.known
        if not self.sees("(") or not self.calls or tree.indices:
            if self.calls and not self.indexing:
                known.quantities.add(tree.name)
            return tree
        logistic = tree.name == "sigma" and tree.name not in known.quantities and tree.name not in known.functions
        if tree.name in known.functions or logistic or tree.name.removesuffix("_prime") in known.functions:
            args, end = self.arguments()
            if logistic:
                known.note(r"\sigma(…) read as the logistic function, since \sigma is neither defined nor used as a quantity")
            function = "sigmoid" if logistic else tree.name
            return self.powers(Call(function, tuple(args), span_of(tree).to(end)))
        if tree.name not in known.quantities and known.final:
            shown = span_of(tree).text
            otherwise = rf"write {shown} \cdot (…) for the product, or define {shown}(u) = …"
            hint = function_hint(tree.name, (), otherwise, latex=True) if len(tree.name) > 1 else otherwise
            raise SymgradError("SG137", f"{shown}(…) may be a call of a function or a product", span_of(tree), hint)
        known.note(f"{span_of(tree).text}(…) read as a product, since {tree.name} is a quantity")
        return tree

    def subscript(self, mark: Token) -> tuple[Element, ...]:
        if not self.sees("{"):
            token = self.token
            if token.kind == "number" and len(token.text) > 1:
                raise SymgradError(
                    "SG137", f"TeX lowers only the first digit of {token.text}", token.span, f"write _{{{token.text}}}"
                )
            return (self.element(("",), single=True),)
        self.next()
        found = [self.element((",", "}"))]
        while self.take(","):
            found.append(self.element((",", "}")))
        self.need("}", "after the subscript")
        return tuple(found)

    def element(self, ends: tuple[str, ...], single: bool = False) -> Element:
        token = self.token
        if token.kind in ("upright", "text") and (single or self.peek().text in ends):
            self.next()
            return Element((), self.letter(token._replace(text=token.text.strip())), token.span)
        if single:
            atom = self.number() if token.kind == "number" else self.index_letter()
            return Element((atom,), span=span_of(atom))
        calls, self.calls, self.indexing = self.calls, False, self.indexing + 1
        start = self.at
        atoms = self.beside(ends)
        if atoms is None:
            self.at = start
            atoms = [self.expression(10)]
        self.calls, self.indexing = calls, self.indexing - 1
        return Element(tuple(atoms), span=span_of(atoms[0]).to(self.tokens[self.at - 1].span))

    def beside(self, ends: tuple[str, ...]) -> list[Tree] | None:
        """Indices side by side, or None where operators stand between them."""
        atoms: list[Tree] = []
        while not self.sees(*ends):
            token = self.token
            if token.kind == "number" and (not atoms or len(token.text) == 1):
                atoms.append(self.number() if not atoms else Num(self.next().text, token.span))
            elif token.kind == "number":
                raise SymgradError(
                    "SG137", f"the subscript {token.text} may be several indices", token.span, "put commas between them"
                )
            elif token.kind in ("letter", "upright") or token.text in NAMES:
                atoms.append(self.word())
            else:
                return None
        if not atoms:
            raise SymgradError("SG104", f"an index is missing before {describe(self.token)}", self.token.span)
        return atoms

    def index_letter(self) -> Tree:
        token = self.next()
        if token.kind in ("letter", "upright") or token.text in GREEK_COMMANDS:
            return Name(self.letter(token), (), token.span)
        raise SymgradError("SG104", f"an index is missing before {describe(token)}", token.span, "put indices in braces: x_{t-1}")

    def superscript(self, caret: Token, base: str) -> tuple[str, tuple[Element, ...], Tree | None]:
        """(marks, elements in round or square brackets, exponent), of which one is given."""
        wrapped = self.take("{")
        token = self.token
        if token.text in ("*", "'"):
            marks = ""
            while self.sees("*", "'"):
                marks += "_star" if self.next().text == "*" else "_prime"
                if not wrapped:
                    break
            if wrapped:
                self.need("}", "after the decoration")
            return marks, (), None
        if self.known.model and (token.text == r"\top" or (token.text == "T" and (not wrapped or self.peek().text == "}"))):
            self.next()
            end = self.need("}", "after the transpose").span if wrapped else token.span
            return "", (), Name(TOP if token.text == r"\top" else "T", (), token.span.to(end))
        if token.text in (r"\top", r"\dagger") or (token.text == "T" and (not wrapped or self.peek().text == "}")):
            raise SymgradError("SG137" if token.text == "T" else "SG139",
                f"^{token.span.text} may be a transpose or a power" if token.text == "T" else "the transpose is matrix notation",
                token.span, rf"write the sum over the index, \sum_j {base}_j x_j; for a power, ({base})^T")  # fmt: skip
        if wrapped and token.text in ("(", "["):
            found = self.attempt_layer(token)
            if found is not None:
                return "", found, None
        if wrapped:
            self.at -= 1
        return "", (), self.exponent()

    def attempt_layer(self, opening: Token) -> tuple[Element, ...] | None:
        """^{(t)} and ^{[l]}: an index above, or None where the bracket is a part of an exponent."""
        start = self.at
        self.next()
        try:
            element = self.element((OPENERS[opening.text],))
        except SymgradError:
            self.at = start
            return None
        if not self.take(OPENERS[opening.text]) or not self.take("}"):
            self.at = start
            return None
        self.known.note(f"^{{{opening.text}…{OPENERS[opening.text]}}} read as an index, not a power")
        return (element,)
