"""Text → tokens → syntax tree: a tokenizer and a Pratt parser, every node with its position.

>>> from symgrad.core.tree import Format
>>> Format().show(parse_expression("-3x^2 + sum(a[i]*b[i] for i in 1..N)"))
'-3*x^2 + sum(a[i]*b[i] for i in 1..N)'

Nothing here evaluates: numbers stay text, names stay names.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from typing import Any, NamedTuple

from symgrad.core.errors import Source, Span, SymgradError
from symgrad.core.functions import FUNCTIONS
from symgrad.core.greek import GREEK
from symgrad.core.reductions import REDUCERS
from symgrad.core.tree import Binder, Call, Compare, Name, Num, Pow, Prod, Reduce, Sum, Tree

# sizes that an input may not change; a caller may. A text has room for 200,000 plain equations, one equation or line for what
# takes as long as some thousand; `latex` are the characters of a document
LIMITS = {
    "characters": 1 << 23, "line": 1 << 20, "latex": 1 << 20, "statements": 200_000, "nesting": 200, "identifier": 64, "digits": 40,
}  # fmt: skip

TOKEN = re.compile(
    r"(?P<blank>[ \t\r]+|\#[^\n]*)|(?P<newline>\n[ \t\r\n]*)"
    r"|(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)"
    r"|(?P<name>\|[A-Za-z]\w*\||[A-Za-z_α-ωΑ-Ω][A-Za-z0-9_α-ωΑ-Ω]*'*(?:\^\*(?!\*)|\^\*(?=\*\s*\w))?)"
    r"|(?P<op>\.\.|\*\*|\+=|:=|==|!=|<=|>=|[-+*/^()\[\],;=<>≤≥≠·×⊙−∑∏])"
)
SAME = {"**": "^", "·": "*", "×": "*", "−": "-", "≤": "<=", "≥": ">=", "≠": "!=", ":=": "="}
KEYWORDS = ("for", "in", "if", "index", "input", "param", "const", "assume", "minimize", "maximize")
CODE_WORDS = ("import", "exec", "eval", "open", "__import__", "def", "class")


INFIX = {"==": 10, "!=": 10, "<": 10, "<=": 10, ">": 10, ">=": 10, "+": 20, "-": 20, "*": 30, "/": 30, "^": 40}
NEGATE, JUXTAPOSED = 25, 30


class Token(NamedTuple):
    kind: str  # number, name, op, newline, end
    text: str
    span: Span


def canonical(text: str) -> str:
    """The name in code: Greek letters by name, y^* as y_star, x' as x_prime."""
    if text.isascii() and text.isidentifier():
        return text
    starred = text.endswith("^*")
    text = text.removesuffix("^*")
    primes = len(text) - len(text.rstrip("'"))
    text = "".join(GREEK.get(c, c) for c in text.rstrip("'"))
    return text + "_prime" * primes + "_star" * starred


def tokenize(source: Source) -> list[Token]:
    """All tokens, closed by an "end"; SG10x for characters that are no part of the language."""
    if len(source.text) > LIMITS["characters"]:
        raise SymgradError("SG501", f"the text has {len(source.text):,} characters, more than {LIMITS['characters']:,}")
    if len(source.text) > LIMITS["line"]:
        _check_lines(source)
    tokens: list[Token] = []
    words: dict[str, str] = dict(SAME)  # as they stand in tokens, once they are looked at
    text, at = source.text, 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise _bad_character(source, at)
        kind, start, at = match.lastgroup or "", at, match.end()
        if kind == "blank":
            continue
        word, span = match.group(), Span(source, start, at)
        if word not in words:
            words[word] = _word(kind, word, span)
        tokens.append(Token(kind, words[word], span))
    tokens.append(Token("end", "", source.span(at, at)))
    return tokens


def _check_lines(source: Source) -> None:
    start = 0
    for number, line in enumerate(source.text.split("\n"), 1):
        if len(line) > LIMITS["line"]:
            message = f"line {number} has {len(line):,} characters, more than {LIMITS['line']:,}"
            raise SymgradError("SG501", message, source.span(start, start), "begin a new line for each equation")
        start += len(line) + 1


def _word(kind: str, text: str, span: Span) -> str:
    """What a token says. SG110, SG502, SG503 for what no number and no name may be."""
    if kind == "number" and len(text) > LIMITS["digits"] < sum(map(str.isdigit, text)):
        raise SymgradError("SG502", f"this number has more than {LIMITS['digits']} digits", span)
    if kind == "name":
        if len(text) > LIMITS["identifier"]:
            raise SymgradError("SG503", f"this name has more than {LIMITS['identifier']} characters", span)
        if "__" in text or text in CODE_WORDS:
            raise SymgradError("SG110", f"{text} is not part of the language", span, "a model is equations; it runs no code")
        return canonical(text)
    return text


def _bad_character(source: Source, at: int) -> SymgradError:
    character = source.text[at]
    name = unicodedata.name(character, f"U+{ord(character):04X}")
    span = source.span(at, at + 1)
    if not character.isprintable():
        return SymgradError("SG101", f"an invisible or control character stands here: {name}", span)
    if character.isalpha():
        return SymgradError("SG102", f"{name} cannot be part of a name", span, "names use a-z, A-Z, digits, _ and Greek letters")
    if character in "\"'.{}`@!\\&|~?:":
        return SymgradError("SG111", f"{character} is not part of the language", span)
    return SymgradError("SG103", f"{name} is not part of the language", span)


class Parser:
    """A cursor over tokens with the expression grammar; `frontend/text.py` adds the statements."""

    def __init__(self, tokens: list[Token], starred: frozenset[str] = frozenset()):
        self.tokens, self.at, self.depth, self.starred = tokens, 0, 0, starred
        self.brackets, self.deepest = 0, LIMITS["nesting"]
        self.begin = 0  # of the equation that is read

    # the cursor; inside brackets a line goes on

    @property
    def token(self) -> Token:
        while self.brackets and self.tokens[self.at].kind == "newline":
            self.at += 1
        return self.tokens[self.at]

    def next(self) -> Token:
        token = self.token
        if token.kind != "end":
            self.at += 1
        return token

    def peek(self, ahead: int = 1) -> Token:
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)]

    def sees(self, *texts: str) -> bool:
        token = self.token
        return token.text in texts and token.kind in ("op", "name")

    def take(self, text: str) -> Token | None:
        return self.next() if self.sees(text) else None

    def need(self, text: str, why: str) -> Token:
        token = self.take(text)
        if token is None:
            raise SymgradError("SG105", f"expected {text} {why}, found {describe(self.token)}", self.token.span)
        return token

    def open(self) -> None:
        self.brackets += 1

    def close(self, text: str, opening: Token) -> Token:
        if not self.sees(text):
            where = f"the {opening.text} at line {opening.span.line}, column {opening.span.column}"
            raise SymgradError("SG106", f"{where} is not closed: expected {text}, found {describe(self.token)}", self.token.span)
        token = self.next()
        self.brackets -= 1
        return token

    def unended(self, what: str) -> SymgradError:
        """The error of what goes on where it is complete."""
        before = self.tokens[max(0, self.at - 1)]
        if self.sees(")", "]"):
            return SymgradError("SG106", f"the {self.token.text} closes nothing", self.token.span, "remove it, or open it before")
        hint = f"one {what} a line; put an operator between factors"
        if self.sees("if"):
            hint = "write where(condition, a, b)"
        elif before.text in FUNCTIONS and self.token.kind in ("name", "number"):
            hint = f"write {before.text}({self.token.span.text})"
        return SymgradError("SG105", f"expected the end of the {what}, found {describe(self.token)}", self.token.span, hint)

    # expressions

    def expression(self, least: int = 0) -> Tree:
        """An expression of operators that bind tighter than `least`: Pratt's loop."""
        self.depth += 1
        span = self.token.span
        if self.depth > self.deepest:
            raise SymgradError("SG504", f"more than {self.deepest} levels of nesting", span)
        if span.start - self.begin > LIMITS["line"]:
            message = f"this equation has more than {LIMITS['line']:,} characters"
            raise SymgradError("SG501", message, span, "name parts of it")
        left, kind, run, grown = self.prefix(least), 0, 0, False
        while (binds := self.binding(left)) > least:
            if binds != kind:
                left, kind, run = flat(left, run), binds, 0
            left, run, grown = self.infix(left, binds, grown), run + 1, True
        self.depth -= 1
        return flat(left, run)

    def prefix(self, least: int) -> Tree:
        token = self.token
        if token.kind == "name" and token.text not in KEYWORDS:
            return self.named()
        if token.kind == "number":
            return self.number()
        if self.sees("+", "-"):
            self.next()
            tree = self.expression(max(least, NEGATE))
            return Sum(((-1, tree),), token.span.to(span_of(tree))) if token.text == "-" else tree
        if self.sees("∑", "∏"):
            self.next()
            return self.call(Token("name", "sum" if token.text == "∑" else "prod", token.span))
        if self.sees("("):
            opening = self.next()
            self.open()
            tree = self.expression()
            end = self.close(")", opening)
            return replace(tree, span=opening.span.to(end.span))  # type: ignore[arg-type]
        found = "at the end" if token.kind == "end" else f"before {describe(token)}"
        raise SymgradError("SG104", f"an operand is missing {found}", token.span)

    def binding(self, left: Tree) -> int:
        token = self.token
        binds = INFIX.get(token.text, 0) if token.kind == "op" else 0
        return binds or (JUXTAPOSED if self.juxtaposed(left) else 0)

    def juxtaposed(self, left: Tree) -> bool:
        """A number before a name or a bracket: 3t, 2(a + b)."""
        last = left.factors[-1][1] if isinstance(left, Prod) else left
        if not isinstance(last, Num):
            return False
        follows = (self.token.kind == "name" and self.token.text not in KEYWORDS) or self.sees("(", "∑", "∏")
        if follows and isinstance(left, Prod) and left.factors[-1][0] == "/":
            raise SymgradError("SG108", "what is divided by is not clear here", self.token.span, "write a/(2*x) or (a/2)*x")
        return follows

    def infix(self, left: Tree, binds: int, grown: bool) -> Tree:
        """`left op right`, which `flat` makes one node with the rest of its run; `grown` if this loop made `left`."""
        op = self.next() if self.token.text in INFIX else Token("op", "*", self.token.span)
        if op.text == "*" and isinstance(left, Name):
            self.refuse_loose_star(left, op)
        right = self.expression(binds - 1 if op.text == "^" else binds)
        span = join(left, right)
        if op.text == "^":
            return Pow(left, right, span)
        if op.text in "+-":
            terms: tuple[tuple[int, Tree], ...] = ((1, left),)
            if not grown and isinstance(left, Sum) and len(left.terms) == 1 and span_of(left).text[:1] == "-":
                terms = left.terms
            return Sum((*terms, (1 if op.text == "+" else -1, right)), span)
        if op.text in "*/":
            return Prod((("*", left), (op.text, right)), span)
        if isinstance(left, Compare) and grown:
            raise SymgradError("SG107", "comparisons cannot be chained", op.span, "write where(a < b, where(b < c, …, …), …)")
        return Compare("=" if op.text == "==" else op.text, left, right, span)

    def refuse_loose_star(self, name: Name, star: Token) -> None:
        if f"{name.name}_star" in self.starred and self.sees("+", "-"):
            hint = f"write {name.name}^* for the name, {name.name}*(…) for the product"
            raise SymgradError("SG109", f"{name.name}* may be the starred name or a product", star.span, hint)

    def number(self) -> Tree:
        token = self.next()
        if self.token.kind == "number":
            raise SymgradError(
                "SG112", "two numbers stand side by side", self.token.span, "write one number, or an operator between them"
            )
        return Num(token.text, token.span)

    def named(self) -> Tree:
        token = self.next()
        if self.token.text not in ("(", "[", "*"):
            return Name(token.text, (), token.span)
        if self.sees("("):
            return self.call(token)
        if self.sees("[") or (self.sees("*") and self.peek().text == "[" and self.peek().kind == "op"):
            token = self.starred_name(token)
            opening = self.next()
            self.open()
            indices = [self.expression(10)]
            while self.take(","):
                indices.append(self.expression(10))
            end = self.close("]", opening)
            return Name(token.text, tuple(indices), token.span.to(end.span))
        if self.sees("*") and (self.peek().kind in ("newline", "end") or self.peek().text in (")", ",", "]", "=", ";", "*", "/")):
            token = self.starred_name(token)
        return Name(token.text, (), token.span)

    def starred_name(self, token: Token) -> Token:
        """`y*` where it cannot be a product."""
        if not self.sees("*"):
            return token
        star = self.next()
        return Token("name", token.text + "_star", token.span.to(star.span))

    def call(self, name: Token) -> Tree:
        opening = self.need("(", f"after {name.text}")
        self.open()
        op = name.text.lower() if name.text in ("Sum", "Prod", "Product") else name.text
        op = "prod" if op == "product" else op
        first = self.expression()
        if op in REDUCERS and self.sees("for"):
            return self.generator(op, first, name, opening)
        args: list[Tree] = [first]
        limits: list[Binder] = []
        while self.take(","):
            if op in REDUCERS and self.sees("(") and self.peek().kind == "name" and self.peek(2).text == ",":
                limits.append(self.limit())
            else:
                args.append(self.expression())
        end = self.close(")", opening)
        span = name.span.to(end.span)
        if limits and len(args) == 1:
            return Reduce(op, args[0], tuple(limits), None, span)
        if (op not in ("max", "min") and op in REDUCERS) or limits:
            if op in REDUCERS and len(args) == 2 and isinstance(args[0], Name) and not args[0].indices:
                return Reduce(op, args[1], (Binder(args[0].name, span=args[0].span),), None, span)
            raise SymgradError("SG113", f"{op} needs an index to run over", span, f"write {op}(… for i) or {op}(… for i in 1..N)")
        if self.sees("["):
            raise SymgradError("SG114", "only a name can be indexed", self.token.span)
        return Call(name.text, tuple(args), span)

    def limit(self) -> Binder:
        """`(i, lo, hi)` of Sum(expr, (i, lo, hi))."""
        opening = self.next()
        self.open()
        name = self.next()
        self.need(",", "after the index")
        lo = self.expression(10)
        self.need(",", "between the ends")
        hi = self.expression(10)
        end = self.close(")", opening)
        return Binder(name.text, lo, hi, opening.span.to(end.span))

    def generator(self, op: str, body: Tree, name: Token, opening: Token) -> Tree:
        binders = self.loops()
        guard = self.expression() if self.take("if") else None
        end = self.close(")", opening)
        return Reduce(op, body, binders, guard, name.span.to(end.span))

    def loops(self) -> tuple[Binder, ...]:
        """One or more `for i, j in lo..hi`; a range holds for the names before it."""
        binders: list[Binder] = []
        while self.take("for"):
            binders += self.ranges()
        return tuple(binders)

    def ranges(self) -> list[Binder]:
        """`i in 0..M, j, k in 1..K`: a range holds for the names since the one before."""
        out: list[Binder] = []
        group: list[Token] = []
        while True:
            token = self.next()
            if token.kind != "name" or token.text in KEYWORDS:
                raise SymgradError("SG115", f"expected the name of an index, found {describe(token)}", token.span)
            group.append(token)
            if self.take("in"):
                lo = self.expression(10)
                self.need("..", "between the ends of the range")
                hi = self.expression(10)
                out += [Binder(t.text, lo, hi, t.span.to(span_of(hi))) for t in group]
                group = []
            if not self.take(","):
                return out + [Binder(t.text, None, None, t.span) for t in group]


def describe(token: Token) -> str:
    return {"end": "the end", "newline": "the end of the line"}.get(token.kind, token.span.text)


def span_of(tree: Tree) -> Span:
    span = getattr(tree, "span", None)
    assert isinstance(span, Span)
    return span


def flat(tree: Tree, run: int) -> Tree:
    """One sum or product for the `run` of operators that ends with `tree`: a copy at each term would be quadratic."""
    if run < 2:
        return tree
    late: list[Any] = []
    node: Any = tree
    for _ in range(run - 1 if isinstance(tree, Sum | Prod) else 0):
        (_, node), last = node.terms if isinstance(node, Sum) else node.factors
        late.append(last)
    if not late:
        return tree
    parts = (*(node.terms if isinstance(node, Sum) else node.factors), *reversed(late))
    return Sum(parts, span_of(tree)) if isinstance(tree, Sum) else Prod(parts, span_of(tree))


def join(left: Tree, right: Tree) -> Span:
    return span_of(left).to(span_of(right))


def starred_names(tokens: list[Token]) -> frozenset[str]:
    return frozenset(t.text for t in tokens if t.kind == "name" and t.text.endswith("_star"))


def parse_expression(text: str) -> Tree:
    """One expression, nothing after it."""
    tokens = tokenize(Source(text))
    parser = Parser(tokens, starred_names(tokens))
    tree = parser.expression()
    if parser.token.kind != "end":
        raise SymgradError("SG105", f"expected the end, found {describe(parser.token)}", parser.token.span)
    return tree
