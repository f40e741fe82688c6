r"""LaTeX tokens → syntax trees, by the Pratt parser of `frontend/syntax.py` with the notation of slides and papers.

    \frac{a}{b}  \sqrt{a}  e^{a}          quotient, root, exponential
    3x^2  w \cdot x  \alpha_{ji} x_i      products, also side by side
    \log y z                              a named function takes the product after it, up to + - or the next function
    \sum_{i=0}^M \alpha_i x_i + c         the body of a sum is one term
    \frac{dJ}{dz_j}                       a derivative, never a quotient
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from symgrad.core.errors import Span, SymgradError
from symgrad.core.functions import FUNCTIONS
from symgrad.core.reductions import REDUCERS
from symgrad.core.tree import Binder, Call, Compare, Deriv, Name, Num, Pow, Prod, Reduce, Sum, Tree
from symgrad.frontend.latex_names import Element, Known, note_name, resolved
from symgrad.frontend.latex_tokens import ACCENTS, BIG, FONTS, FUNCTION_COMMANDS, GREEK_COMMANDS
from symgrad.frontend.syntax import JUXTAPOSED, Parser, Token, describe, join, span_of

OPENERS = {"(": ")", "[": "]", r"\{": r"\}", r"\lvert": r"\rvert", r"\lfloor": r"\rfloor", r"\lceil": r"\rceil"}
FENCES = {r"\lvert": "abs", r"\lfloor": "floor", r"\lceil": "ceil"}
COMPARISONS = ("=", "<", ">", "<=", ">=", "!=")
BY_WORD = {**{name: row.name for name, row in FUNCTIONS.items()}, "sqrt": "sqrt", "grad": "grad", "lrelu": "leaky_relu"}
BIG_WORDS = {**{name: name for name in REDUCERS}, "LSE": "logsumexp"}
QUALIFIERS = ("for", "for all", "for every", "for each", "where", "with", "if", "when", "otherwise", "else", "and", "given", "in", "over")
REFUSED = {
    r"\top": r"the transpose is matrix notation: write the sum over the index, \sum_j \theta_j x_j",
    r"\nabla": r"write the derivative as \frac{dJ}{d\theta_j}",
    r"\|": r"write a norm as a sum, \sum_j x_j^2", r"\lVert": r"write a norm as a sum, \sum_j x_j^2",
    r"\int": "integrals are no part of the language", r"\lim": "limits are no part of the language",
    r"\pm": "write the two equations", r"\mp": "write the two equations", r"\approx": "an equation has =",
    r"\sim": "distributions are no part of the language; write the likelihood", r"\propto": "an equation has =",
    r"\otimes": r"write indices: a_i b_j", r"\infty": "quantities are finite",
}  # fmt: skip


class LatexParser(Parser):
    """The expression grammar over the tokens of one statement."""

    def __init__(self, tokens: list[Token], known: Known):
        super().__init__([t for t in tokens if t.kind not in ("newline", "paragraph") and (t.text != "quad" or t.kind != "op")])
        self.known, self.bars, self.slashed, self.indexing = known, 0, None, 0
        self.slashed: Tree | None

    # what may follow side by side

    def starts(self) -> bool:
        token = self.token
        if token.kind in ("letter", "number", "upright", "begin"):
            return True
        if token.kind == "text":
            return token.text.strip().lower() not in QUALIFIERS
        opens = token.text in ("(", "[", "{", r"\{", r"\frac", r"\sqrt", r"\infty", *FENCES) or (token.text == "|" and not self.bars)
        commands = (GREEK_COMMANDS, FUNCTION_COMMANDS, BIG, FONTS, ACCENTS, REFUSED, (r"\arg",))
        return token.kind == "op" and (opens or any(token.text in table for table in commands))

    def binding(self, left: Tree) -> int:
        if self.token.kind == "op" and self.token.text in ("+", "-", "*", "/"):
            return {"+": 20, "-": 20, "*": 30, "/": 30}[self.token.text]
        return JUXTAPOSED if self.juxtaposed(left) else 0

    def juxtaposed(self, left: Tree) -> bool:
        if not self.starts():
            return False
        if left is self.slashed:
            raise SymgradError("SG108", "what is divided by is not clear here", self.token.span, r"write \frac{a}{b} or brackets")
        if isinstance(left, Num) and self.token.kind == "number":
            raise SymgradError("SG112", "two numbers stand side by side", self.token.span, r"put \cdot between them, or write one")
        if self.indexing and not isinstance(left, Num):
            hint = "put a comma between indices: x_{i,j+1}"
            raise SymgradError("SG137", "these may be two indices or a product", join(left, left).to(self.token.span), hint)
        return True

    def infix(self, left: Tree, binds: int, grown: bool) -> Tree:
        slash = self.token.kind == "op" and self.token.text == "/"
        beside = not (self.token.kind == "op" and self.token.text in ("+", "-", "*", "/"))
        if beside:
            right = self.expression(binds)
            factors = left.factors if grown and isinstance(left, Prod) else (("*", left),)
            return Prod((*factors, ("*", right)), join(left, right))
        tree = super().infix(left, binds, grown)
        self.slashed = tree if slash else None
        return tree

    def refuse_loose_star(self, name: Name, star: Token) -> None:
        """`y \\cdot …` is a product here; a star is a superscript."""

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
            return self.scripts(tree.name, tree.indices, opening.span, self.tokens[self.at - 1].span, opening.span.text)
        return self.powers(replace(tree, span=opening.span.to(end.span)))  # type: ignore[arg-type]

    def fenced(self) -> Tree:
        """A group in brackets, or Iverson's bracket where it holds a condition."""
        opening = self.next()
        inner = self.condition()
        end = self.close_fence(opening)
        span = opening.span.to(end.span)
        if isinstance(inner, Compare):
            return self.iverson(inner, span)
        tree: Tree = Call(FENCES[opening.text], (inner,), span) if opening.text in FENCES else replace(inner, span=span)  # type: ignore[arg-type]
        return self.powers(tree)

    def close_fence(self, opening: Token) -> Token:
        wanted = OPENERS[opening.text]
        if not self.sees(wanted):
            where = f"the {opening.span.text} at line {opening.span.line}, column {opening.span.column}"
            raise SymgradError("SG106", f"{where} is not closed: expected {wanted}, found {describe(self.token)}", self.token.span)
        return self.next()

    def iverson(self, condition: Compare, span: Span) -> Tree:
        tree: Tree = Num("1", span)
        for one in reversed(conjuncts(condition)):
            tree = Call("where", (one, tree, Num("0", span)), span)
        return tree

    def bar(self) -> Tree:
        opening = self.next()
        self.bars += 1
        inner = self.expression(10)
        self.bars -= 1
        end = self.need("|", "after the absolute value")
        return self.powers(Call("abs", (inner,), opening.span.to(end.span)))

    def condition(self) -> Tree:
        """An expression, or comparisons, a chain of which holds all at once."""
        tree = self.expression(10)
        operands, signs = [tree], []
        while self.token.kind == "op" and self.token.text in COMPARISONS:
            signs.append(self.next().text)
            operands.append(self.expression(10))
        for place in reversed(range(len(signs))):
            right = tree if place < len(signs) - 1 else operands[place + 1]
            tree = Compare(signs[place], operands[place], right, join(operands[place], operands[-1]))
        return tree

    def single_condition(self) -> Compare:
        tree = self.condition()
        if not isinstance(tree, Compare):
            raise SymgradError("SG116", "a condition must be a comparison", span_of(tree), "for instance x > 0")
        return tree

    # arguments

    def argument(self) -> Tree:
        r"""{…}, or the one token after \frac."""
        if self.sees("{"):
            opening = self.next()
            tree = self.expression(10)
            end = self.need("}", "after the argument")
            return replace(tree, span=opening.span.to(end.span))  # type: ignore[arg-type]
        token = self.token
        if token.kind == "number":
            return self.digit(token)
        if token.kind in ("letter", "upright") or token.text in GREEK_COMMANDS:
            self.next()
            return self.quantity(token, token.span, self.spelling(token))
        raise SymgradError("SG104", f"an argument is missing before {describe(token)}", token.span, "put it in braces")

    def digit(self, token: Token) -> Tree:
        r"""\frac12: TeX takes one digit."""
        text, span = token.text, token.span
        if len(text) > 2 or not text.isdigit():
            raise SymgradError("SG137", f"TeX would take only the first digit of {text} here", span, "put arguments in braces")
        if len(text) == 1:
            self.next()
        else:
            self.tokens[self.at] = Token("number", text[1:], Span(span.source, span.start + 1, span.end))
        return Num(text[0], Span(span.source, span.start, span.start + 1))

    def fraction(self) -> Tree:
        command = self.next()
        derivative = self.derivative(command)
        if derivative is not None:
            return self.powers(derivative)
        above = self.argument()
        below = self.argument()
        return self.powers(Prod((("*", above), ("/", below)), command.span.to(span_of(below))))

    def root(self) -> Tree:
        command = self.next()
        order = None
        if self.take("["):
            order = self.expression(10)
            self.need("]", "after the order of the root")
        inner = self.argument()
        span = command.span.to(span_of(inner))
        if order is None:
            return self.powers(Call("sqrt", (inner,), span))
        return self.powers(Pow(inner, Prod((("*", Num("1", span)), ("/", order)), span), span))

    # derivatives

    def attempt(self, rule: Callable[[], Tree | None]) -> Tree | None:
        """What `rule` reads, or None with the cursor where it was."""
        start, depth = self.at, self.depth
        try:
            tree = rule()
        except SymgradError:
            tree = None
        if tree is None:
            self.at, self.depth = start, depth
        return tree

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

    calls = True  # whether a name with brackets after it may be a call

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
                raise SymgradError("SG139", "a partial derivative needs both parts", token.span, r"write \frac{\partial J}{\partial x}")
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

    def exponent(self) -> Tree:
        if self.token.kind == "number" and len(self.token.text) > 1:
            raise SymgradError(
                "SG137", f"TeX raises only the first digit of {self.token.text}", self.token.span, f"write ^{{{self.token.text}}}"
            )
        if self.sees("-", "+"):
            raise SymgradError("SG104", "an exponent is missing before the sign", self.token.span, "put it in braces: ^{-1}")
        bars, self.bars, indexing, self.indexing = self.bars, 0, self.indexing, 0
        tree = self.argument()
        self.bars, self.indexing = bars, indexing
        return tree

    def font(self, command: Token) -> Tree:
        r"""\mathbf{x} is x; \mathbb{1} is an indicator."""
        wrapped = self.take("{")
        token = self.next()
        if wrapped:
            self.need("}", f"after the letter of {command.text}")
        span = command.span.to(self.tokens[self.at - 1].span)
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
        return self.iverson(condition, span.to(end.span))

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

    def bare(self, token: Token) -> Name:
        return Name(self.letter(token), (), token.span)

    def letter(self, token: Token) -> str:
        name = GREEK_COMMANDS.get(token.text, token.text) if token.kind == "op" else token.text
        if not name.replace("_", "a").isalnum() or not name.isascii() or "__" in name or name[0].isdigit():
            hint = "letters, digits and _ make a name"
            raise SymgradError("SG110", f"{token.span.text} is not a name here", token.span, hint)
        return name

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
        self.known.spelled(name, form + ("^" if where and not found else ""), span_of(tree))
        note_name(tree, self.known)
        if power is not None:
            self.known.quantities.add(name)
            return Pow(tree, power, start.to(span_of(power)))
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
            hint = rf"write {shown} \cdot (…) for the product, or define {shown}(u) = …"
            raise SymgradError("SG137", f"{shown}(…) may be a call of a function or a product", span_of(tree), hint)
        known.note(f"{span_of(tree).text}(…) read as a product, since {tree.name} is a quantity")
        return tree

    def arguments(self) -> tuple[list[Tree], Span]:
        opening = self.next()
        args = [self.condition()]
        while self.take(","):
            args.append(self.expression(10))
        return args, (self.close_fence(opening) if opening.text != "{" else self.need("}", "after the argument")).span

    def subscript(self, mark: Token) -> tuple[Element, ...]:
        if not self.sees("{"):
            token = self.token
            if token.kind == "number" and len(token.text) > 1:
                raise SymgradError("SG137", f"TeX lowers only the first digit of {token.text}", token.span, f"write _{{{token.text}}}")
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
            return Element((), self.letter(replace(token, text=token.text.strip())), token.span)
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
                raise SymgradError("SG137", f"the subscript {token.text} may be several indices", token.span, "put commas between them")
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

    def powers(self, tree: Tree) -> Tree:
        """A power of a group, a number or a call."""
        if not self.sees("^"):
            return tree
        self.next()
        if self.sees("*", "'", r"\top") or (self.sees("{") and self.peek().text in ("*", "'", r"\top")):
            raise SymgradError("SG139", f"{self.token.span.text} decorates no single name", self.token.span)
        exponent = self.exponent()
        return Pow(tree, exponent, join(tree, exponent))

    # functions

    def function(self, token: Token, name: str) -> Tree:
        r"""\log y, \log(y), \exp b, \max(0, u), \sin^2 x."""
        if self.sees("_") and name in ("max", "min"):
            return self.big(token, name)
        if self.sees("_"):
            raise SymgradError("SG139", f"{token.span.text} has no subscript here", self.token.span, "logarithms are natural")
        power = self.function_power(token)
        if self.sees("(", "[", r"\{", "{"):
            args, end = self.arguments()
            tree: Tree = Call(name, tuple(args), token.span.to(end))
        else:
            arg = self.bare_argument(token)
            tree = Call(name, (arg,), token.span.to(span_of(arg)))
        if power is not None:
            return Pow(tree, power, span_of(tree))
        return self.powers(tree)

    def function_power(self, token: Token) -> Tree | None:
        if not self.sees("^"):
            return None
        self.next()
        power = self.exponent()
        if isinstance(power, Sum):
            raise SymgradError("SG137", f"{token.span.text}^{{-1}} may be the inverse function or 1/{token.span.text}", span_of(power))
        return power

    def bare_argument(self, token: Token) -> Tree:
        """The product that stands side by side, up to + or - or the next function or sum."""
        if self.sees("-"):
            sign = self.next()
            arg = self.bare_argument(token)
            return Sum(((-1, arg),), sign.span.to(span_of(arg)))
        factors = [self.expression(JUXTAPOSED)]
        while self.starts() and not self.ends_argument():
            factors.append(self.expression(JUXTAPOSED))
        if len(factors) == 1:
            return factors[0]
        tree = Prod(tuple(("*", factor) for factor in factors), join(factors[0], factors[-1]))
        self.known.note(f"{token.span.text} takes the whole product {' '.join(span_of(tree).text.split())}")
        return tree

    def ends_argument(self) -> bool:
        token = self.token
        return token.text in FUNCTION_COMMANDS or token.text in BIG or (token.kind == "upright" and token.text in BY_WORD)

    # sums and their like

    def arg(self) -> Tree:
        token = self.next()
        which = self.next()
        if which.text not in (r"\max", r"\min"):
            raise SymgradError("SG105", f"expected \\max or \\min after \\arg, found {describe(which)}", which.span)
        return self.big(token, "arg" + which.text[1:])

    def big(self, token: Token, op: str) -> Tree:
        r"""\sum_{i=0}^M body, \max_j body; \max(0, u) is a function."""
        if op in ("max", "min") and not self.sees("_"):
            return self.function(token, op)
        binders, guards, top = [], list[Tree](), None
        while self.sees("_", "^"):
            if self.take("_"):
                binders, guards = self.limits()
            else:
                self.next()
                top = self.exponent()
        binders = self.finished(binders, top, token)
        body = self.expression(BODY)
        tree: Tree = Reduce(op, body, tuple(binders), guards[0] if guards else None, token.span.to(span_of(body)))
        return self.guarded(tree, guards) if len(guards) > 1 else tree

    def guarded(self, tree: Reduce, guards: list[Tree]) -> Tree:
        """The language has one guard; others become choices in the body, which only a sum may leave as 0."""
        if tree.op not in ("sum", "prod"):
            raise SymgradError("SG139", "one condition is read here", span_of(guards[1]), "put them in one comparison")
        body = tree.body
        for guard in guards[1:]:
            body = Call("where", (guard, body, Num("0" if tree.op == "sum" else "1", tree.span)), tree.span)
        return replace(tree, body=body)

    def finished(self, binders: list[Binder], top: Tree | None, token: Token) -> list[Binder]:
        if not binders:
            raise SymgradError("SG113", f"{token.span.text} needs an index to run over", token.span, rf"write \sum_{{i=1}}^N")
        half = [b for b in binders if b.lo is not None and b.hi is None]
        if top is None and half:
            raise SymgradError("SG115", f"the upper end of {half[0].name} is missing", half[0].span, rf"write \sum_{{i=1}}^N")
        if top is not None and not half:
            raise SymgradError("SG115", "the lower end is missing", binders[0].span, r"write \sum_{i=1}^N")
        return [replace(b, hi=top) if b in half else b for b in binders]

    def limits(self) -> tuple[list[Binder], list[Tree]]:
        """The index or indices below a sum, and its conditions."""
        if not self.sees("{"):
            name = self.index_letter()
            assert isinstance(name, Name)
            return [Binder(name.name, span=name.span)], []
        self.next()
        nested = bool(self.take(r"\substack")) and bool(self.take("{"))
        binders: list[Binder] = []
        guards: list[Tree] = []
        while True:
            self.limit_item(binders, guards)
            if not (self.take(",") or self.take(":") or self.take("|") or self.take(r"\\") or self.take(";")):
                break
        if nested:
            self.need("}", "after the indices")
        self.need("}", "after the indices")
        return binders, guards

    def limit_item(self, binders: list[Binder], guards: list[Tree]) -> None:
        bars, self.bars = self.bars, 1
        calls, self.calls = self.calls, False
        left = self.expression(10)
        if self.take(r"\in"):
            binders.append(self.range_of(left))
        elif isinstance(left, Name) and not left.indices and self.token.text not in COMPARISONS:
            binders.append(Binder(left.name, span=left.span))
        else:
            self.compared(left, binders, guards)
        self.bars, self.calls = bars, calls

    def compared(self, left: Tree, binders: list[Binder], guards: list[Tree]) -> None:
        """i = 0 (the upper end stands above), 0 <= i <= D, or a condition."""
        names = {b.name for b in binders}
        sign = self.token.text
        if sign not in COMPARISONS:
            raise SymgradError("SG115", f"expected an index, found {span_of(left).text}", span_of(left))
        self.next()
        middle = self.expression(10)
        if sign == "=" and isinstance(left, Name) and not left.indices and left.name not in names:
            if self.sees(",") and self.peek().text == r"\dots":
                binders.append(self.dotted(left, middle))
                return
            binders.append(Binder(left.name, middle, None, span_of(left).to(span_of(middle))))
            return
        if sign in ("<=", "<") and isinstance(middle, Name) and self.sees("<=", "<") and middle.name not in names:
            above = self.next().text
            right = self.expression(10)
            binders.append(Binder(middle.name, shifted(left, sign, 1), shifted(right, above, -1), join(left, right)))
            return
        guards.append(Compare(sign, left, middle, join(left, middle)))

    def range_of(self, left: Tree) -> Binder:
        r"""i \in \{1, \dots, K\}."""
        if not isinstance(left, Name) or left.indices:
            raise SymgradError("SG115", f"expected the name of an index, found {span_of(left).text}", span_of(left))
        self.need(r"\{", r"after \in")
        binder = self.dotted(left, self.expression(10))
        self.need(r"\}", "after the range")
        return binder

    def dotted(self, name: Name, lo: Tree) -> Binder:
        r"""1, \dots, K or 1, 2, \dots, K."""
        self.need(",", "after the least value")
        if not self.sees(r"\dots"):
            self.expression(10)
            self.need(",", "in the range")
        self.need(r"\dots", "in the range")
        self.need(",", "in the range")
        hi = self.expression(10)
        return Binder(name.name, lo, hi, span_of(name).to(span_of(hi)))

    # cases

    def cases(self) -> Tree:
        opening = self.next()
        if opening.text not in ("cases", "dcases"):
            raise SymgradError("SG136", f"the environment {opening.text} cannot stand inside a formula", opening.span)
        rows: list[tuple[Tree, Compare | None]] = []
        while self.token.kind != "close":
            rows.append(self.case())
            self.skip_breaks()
            if len(rows) > 1 and rows[-2][1] is None:
                raise SymgradError("SG139", "nothing is reached after the case without a condition", span_of(rows[-1][0]))
        end = self.next()
        span = opening.span.to(end.span)
        if not rows or rows[-1][1] is not None:
            raise SymgradError("SG134", "the cases say nothing where none of the conditions holds", span, r"end with & \text{otherwise}")
        tree = rows[-1][0]
        for value, condition in reversed(rows[:-1]):
            assert condition is not None
            branch = value
            for one in reversed(conjuncts(condition)):
                branch = Call("where", (one, branch, tree), span)
            tree = branch
        return tree

    def skip_breaks(self) -> None:
        while self.sees(r"\\"):
            self.next()

    def case(self) -> tuple[Tree, Compare | None]:
        value = self.expression(10)
        self.take(",")
        self.take("&")
        word = self.next().text.strip().lower() if self.token.kind in ("text", "upright") else ""
        if word in ("otherwise", "else", "otherwise.") or (not word and (self.sees(r"\\") or self.token.kind == "close")):
            return value, None
        condition = self.single_condition()
        self.take(",")
        return value, condition


BODY = 22  # a sum's body is one term: what binds more than + and -
NAMES = frozenset({*GREEK_COMMANDS, *FONTS, *ACCENTS, r"\partial"})


def conjuncts(condition: Compare) -> list[Compare]:
    """0 <= i <= N as two comparisons."""
    out: list[Compare] = []
    while isinstance(condition.right, Compare):
        out.append(Compare(condition.op, condition.left, condition.right.left, condition.span))
        condition = condition.right
    return [*out, condition]


def shifted(tree: Tree, sign: str, by: int) -> Tree:
    """The end of a range for < instead of <=."""
    return tree if sign == "<=" else Sum(((1, tree), (by, Num("1", span_of(tree)))), span_of(tree))
