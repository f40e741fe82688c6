r"""What all LaTeX grammar rests on: tokens side by side, arguments, exponents, brackets, conditions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from symgrad.core.errors import Span, SymgradError
from symgrad.core.functions import FUNCTIONS
from symgrad.core.reductions import REDUCERS
from symgrad.core.tree import Call, Compare, Name, Num, Pow, Prod, Sum, Transpose, Tree
from symgrad.frontend.latex_names import Known
from symgrad.frontend.latex_tokens import ACCENTS, BIG, FONTS, FUNCTION_COMMANDS, GREEK_COMMANDS
from symgrad.frontend.syntax import JUXTAPOSED, Parser, Token, describe, join, span_of

OPENERS = {"(": ")", "[": "]", r"\{": r"\}", r"\lvert": r"\rvert", r"\lfloor": r"\rfloor", r"\lceil": r"\rceil"}
FENCES = {r"\lvert": "abs", r"\lfloor": "floor", r"\lceil": "ceil"}
COMPARISONS = ("=", "<", ">", "<=", ">=", "!=")
BY_WORD = {name: name for name in (*FUNCTIONS, "sqrt", "grad")} | {
    "ReLU": "relu", "LeakyReLU": "leaky_relu", "ELU": "elu", "SELU": "selu", "GELU": "gelu", "SiLU": "silu", "Swish": "silu",
    "Softplus": "softplus", "Sigmoid": "sigmoid", "Tanh": "tanh",
}  # fmt: skip
BIG_WORDS = {**{name: name for name in REDUCERS}, "LSE": "logsumexp"}
QUALIFIERS = (
    "for",
    "for all",
    "for every",
    "for each",
    "where",
    "with",
    "if",
    "when",
    "otherwise",
    "else",
    "and",
    "given",
    "in",
    "over",
)
REFUSED = {
    r"\top": r"the transpose is matrix notation: write the sum over the index, \sum_j \theta_j x_j",
    r"\nabla": r"write the derivative as \frac{dJ}{d\theta_j}",
    r"\|": r"write a norm as a sum, \sum_j x_j^2", r"\lVert": r"write a norm as a sum, \sum_j x_j^2",
    r"\int": "integrals are no part of the language", r"\lim": "limits are no part of the language",
    r"\pm": "write the two equations", r"\mp": "write the two equations", r"\approx": "an equation has =",
    r"\sim": "distributions are no part of the language; write the likelihood", r"\propto": "an equation has =",
    r"\otimes": r"write indices: a_i b_j", r"\infty": "quantities are finite",
}  # fmt: skip
TOP = "⊤"
BODY = 22  # a sum's body is one term: what binds more than + and -
NAMES = frozenset({*GREEK_COMMANDS, *FONTS, *ACCENTS, r"\partial"})


class Grammar(Parser):
    """The expression grammar over the tokens of one statement."""

    def __init__(self, tokens: list[Token], known: Known):
        super().__init__(_without_spaces(tokens))
        self.known, self.bars, self.indexing = known, 0, 0
        self.slashed: Tree | None = None
        self.scope: frozenset[str] = frozenset()  # indices bound around what is read
        self.calls = True  # whether a name with brackets after it may be a call

    # what may follow side by side

    def starts(self) -> bool:
        token = self.token
        if token.kind in ("letter", "number", "upright", "begin"):
            return True
        if token.kind == "text":
            return token.text.strip().lower() not in QUALIFIERS
        opens = token.text in ("(", "[", "{", r"\{", r"\frac", r"\sqrt", r"\infty", *FENCES) or (
            token.text == "|" and not self.bars
        )
        commands = (GREEK_COMMANDS, FUNCTION_COMMANDS, BIG, FONTS, ACCENTS, REFUSED, (r"\arg",))
        return token.kind == "op" and (opens or any(token.text in table for table in commands))

    def binding(self, left: Tree) -> int:
        if self.token.kind == "op" and self.token.text in ("+", "-", "*", "/"):
            return {"+": 20, "-": 20, "*": 30, "/": 30}[self.token.text]
        return JUXTAPOSED if self.juxtaposed(left) else 0

    def juxtaposed(self, left: Tree) -> bool:
        if not self.starts():
            return False
        if left is self.slashed and self.token.text not in BIG:  # 1/N \sum_i … can mean one thing only
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
            return Prod((("*", left), ("*", right)), join(left, right))
        entrywise = self.known.model and self.token.span.text in (r"\odot", "⊙")
        tree = super().infix(left, binds, grown)
        if entrywise and isinstance(tree, Prod):
            tree = replace(tree, factors=(*tree.factors[:-1], ("o", tree.factors[-1][1])))
        self.slashed = tree if slash else None
        return tree

    def refuse_loose_star(self, name: Name, star: Token) -> None:
        """`y \\cdot …` is a product here; a star is a superscript."""

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
            return self.bare(self.next())
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

    def powers(self, tree: Tree) -> Tree:
        """A power of a group, a number or a call."""
        if not self.sees("^"):
            return tree
        self.next()
        if self.known.model and (end := self.transposed()):
            return self.powers(Transpose(tree, span_of(tree).to(end)))
        if self.sees("*", "'", r"\top") or (self.sees("{") and self.peek().text in ("*", "'", r"\top")):
            raise SymgradError("SG139", f"{self.token.span.text} decorates no single name", self.token.span)
        exponent = self.exponent()
        return Pow(tree, exponent, join(tree, exponent))

    def transposed(self) -> Span | None:
        r"""The end of ^\top or ^{\top}."""
        if self.sees(r"\top"):
            return self.next().span
        if self.sees("{") and self.peek().text == r"\top" and self.peek(2).text == "}":
            self.next()
            self.next()
            return self.next().span
        return None

    def arguments(self) -> tuple[list[Tree], Span]:
        opening = self.next()
        args = [self.condition()]
        while self.take(","):
            args.append(self.expression(10))
        return args, (self.close_fence(opening) if opening.text != "{" else self.need("}", "after the argument")).span

    def close_fence(self, opening: Token) -> Token:
        wanted = OPENERS[opening.text]
        if not self.sees(wanted):
            where = f"the {opening.span.text} at line {opening.span.line}, column {opening.span.column}"
            raise SymgradError("SG106", f"{where} is not closed: expected {wanted}, found {describe(self.token)}", self.token.span)
        return self.next()

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

    def iverson(self, conditions: Sequence[Compare], span: Span) -> Tree:
        """1 where all of them hold, else 0."""
        tree: Tree = Num("1", span)
        for one in reversed([one for condition in conditions for one in conjuncts(condition)]):
            tree = Call("where", (one, tree, Num("0", span)), span)
        return tree

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

    def bare(self, token: Token) -> Name:
        return Name(self.letter(token), (), token.span)

    def letter(self, token: Token) -> str:
        name = GREEK_COMMANDS.get(token.text, token.text) if token.kind == "op" else token.text
        if not name.replace("_", "a").isalnum() or not name.isascii() or "__" in name or name[0].isdigit():
            hint = "letters, digits and _ make a name"
            raise SymgradError("SG110", f"{token.span.text} is not a name here", token.span, hint)
        return name

    # what the modules above add

    def derivative(self, command: Token) -> Tree | None:
        """The derivative that a fraction is, or None."""
        raise NotImplementedError

    def word(self) -> Tree:
        """A name, a call, or a derivative."""
        raise NotImplementedError

    def function(self, token: Token, name: str) -> Tree:
        """A named function with its argument."""
        raise NotImplementedError

    def big(self, token: Token, op: str) -> Tree:
        """A reduction."""
        raise NotImplementedError


def _without_spaces(tokens: list[Token]) -> list[Token]:
    r"""New lines and wide spaces away; a wide space before a range, `\quad j = 1, \dots, K`, ends what stands before it."""
    found = [t for t in tokens if t.kind not in ("newline", "paragraph")]
    out: list[Token] = []
    for place, token in enumerate(found):
        if token.kind != "op" or token.text != "quad":
            out.append(token)
            continue
        after = found[place + 1 : place + 4]
        after = after[1:] if after and after[0].text == "(" else after
        if out and len(after) > 1 and after[0].kind == "letter" and after[1].text in ("=", r"\in"):
            out.append(Token("op", ",", token.span))
    return out


def conjuncts(condition: Compare) -> list[Compare]:
    """0 <= i <= N as two comparisons."""
    out: list[Compare] = []
    while isinstance(condition.right, Compare):
        out.append(Compare(condition.op, condition.left, condition.right.left, condition.span))
        condition = condition.right
    return [*out, condition]


def raised(base: Tree, exponent: Tree, span: Span) -> Tree:
    """A power, or the transpose."""
    return Transpose(base, span) if exponent == Name(TOP) else Pow(base, exponent, span)


def shifted(tree: Tree, sign: str, by: int) -> Tree:
    """The end of a range for < instead of <=."""
    return tree if sign == "<=" else Sum(((1, tree), (by, Num("1", span_of(tree)))), span_of(tree))
