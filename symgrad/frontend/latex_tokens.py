r"""LaTeX → tokens with positions: commands, single letters, numbers, words; what only spaces out is left away.

>>> [token.text for token in tokenize(Source(r"\alpha_{ji} \, x_i"))]
['\\alpha', '_', '{', 'j', 'i', '}', 'x', '_', 'i', '']

A command that would read files, define macros or run programs is refused, and so is one that is not known.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import islice

from symgrad.core.errors import Source, Span, SymgradError, did_you_mean
from symgrad.core.functions import ROWS
from symgrad.core.greek import GREEK, LETTERS
from symgrad.frontend.syntax import LIMITS, Token

TOKEN = re.compile(
    r"(?P<blank>[ \t\r~]+|%[^\n]*)|(?P<paragraph>\n[ \t\r]*\n\s*)|(?P<newline>\n)"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?|\.[0-9]+)|(?P<letter>[A-Za-zα-ωΑ-Ωϵϕϑ∂ℓ])"
    r"|(?P<command>\\(?:[A-Za-z]+\*?|.))|(?P<op>\.\.|\+=|:=|[-+*/^_{}()\[\]|,;:.=<>&'!≤≥≠·×⊙−∑∏∀∈…])",
    re.DOTALL,
)
SYMBOLS = 10_000  # of one display; reading takes some seconds for more
BREAK = re.compile(r"\*?\[-?[0-9.]+[a-z]{2}\]")  # the space after \\\\
STRETCH = re.compile(r"\s*(?:\{\s*\\arraystretch\s*\}|\\arraystretch)\s*\{\s*[0-9]+(?:\.[0-9]+)?\s*\}")  # of rows: space alone
# what stands for the same token
SAME = {
    r"\cdot": "*", r"\times": "*", r"\odot": "*", "⊙": "*", r"\ast": "*", "·": "*", "×": "*", "−": "-", r"\div": "/",
    r"\le": "<=", r"\leq": "<=", r"\leqslant": "<=", "≤": "<=", r"\ge": ">=", r"\geq": ">=", r"\geqslant": ">=", "≥": ">=",
    r"\lt": "<", r"\gt": ">", r"\ne": "!=", r"\neq": "!=", "≠": "!=", r"\equiv": "=", r"\triangleq": "=", r"\coloneqq": "=",
    r"\doteq": "=", ":=": "=", r"\leftarrow": "=", r"\gets": "=", "∑": r"\sum", "∏": r"\prod", "∀": r"\forall", "∈": r"\in",
    r"\lbrace": r"\{", r"\rbrace": r"\}", r"\lbrack": "[", r"\rbrack": "]", r"\lparen": "(", r"\rparen": ")",
    r"\vert": "|", r"\mid": "|", r"\ldots": r"\dots", r"\cdots": r"\dots", r"\dotsc": r"\dots", "…": r"\dots", r"\colon": ":",
    r"\dfrac": r"\frac", r"\tfrac": r"\frac", r"\cfrac": r"\frac", "∂": r"\partial", "ℓ": r"\ell", r"\ln": r"\log",
    r"\prime": "'", r"\star": "*", r"\intercal": r"\top", r"\textstyle": "", r"\quad": "quad", r"\qquad": "quad",
    r"\newline": r"\\", r"\tabularnewline": r"\\", r"\cr": r"\\", r"\lgroup": "(", r"\rgroup": ")", r"\sp": "^", r"\sb": "_",
    "ϵ": r"\epsilon", "ϕ": r"\phi", "ϑ": r"\vartheta",
}  # fmt: skip
SKIPPED = frozenset((r"\,", r"\;", r"\:", r"\!", r"\>", r"\/", r"\nonumber", r"\notag", r"\displaystyle", r"\textstyle",
    r"\scriptstyle", r"\limits", r"\nolimits", r"\hline", r"\centering", r"\big", r"\Big", r"\bigg", r"\Bigg", r"\bigl",
    r"\bigr", r"\Bigl", r"\Bigr", r"\biggl", r"\biggr", r"\Biggl", r"\Biggr", r"\bigm", r"\noindent", r"\allowbreak",
    r"\nobreak", r"\ ", "\\\n", "\\\t"))  # fmt: skip
SKIPPED_WITH_ARGUMENT = {r"\label", r"\tag", r"\tag*", r"\vspace", r"\vspace*", r"\hspace", r"\hspace*", r"\phantom", r"\hphantom",
                         r"\vphantom", r"\eqref", r"\color"}  # fmt: skip
WORDS = {r"\text", r"\mbox", r"\textrm", r"\textit", r"\textbf", r"\textnormal", r"\intertext"}
UPRIGHT = {r"\mathrm", r"\operatorname", r"\operatorname*", r"\mathit", r"\mathsf", r"\mathtt", r"\rm"}
VARIANTS = ("epsilon", "theta", "phi", "rho", "sigma", "kappa", "pi")
FONTS = {r"\mathbf", r"\boldsymbol", r"\bm", r"\vec", r"\mathcal", r"\mathbb", r"\mathfrak", r"\mathscr", r"\pmb", r"\mathds"}
ACCENTS = {r"\bar": "bar", r"\overline": "bar", r"\hat": "hat", r"\widehat": "hat", r"\dot": "dot", r"\tilde": "tilde",
           r"\widetilde": "tilde"}  # fmt: skip
GREEK_COMMANDS = {rf"\{name}": name for name in LETTERS} | {rf"\var{name}": name for name in VARIANTS}
GREEK_COMMANDS |= {r"\ell": "ell", r"\hbar": "hbar", r"\lambda": "lambda"}
FUNCTION_COMMANDS = {rf"\{row.name}": row.name for row in ROWS} | {rf"\{s}": row.name for row in ROWS for s in row.spellings}
BIG = {r"\sum": "sum", r"\prod": "prod", r"\max": "max", r"\min": "min", r"\argmax": "argmax", r"\argmin": "argmin"}
OTHER = {r"\frac", r"\sqrt", r"\forall", r"\in", r"\dots", r"\infty", r"\{", r"\}", r"\lvert", r"\rvert", r"\lfloor",
         r"\rfloor", r"\lceil", r"\rceil", r"\partial", r"\mathrel", r"\mathbin", r"\substack", r"\top", r"\\", r"\arg",
         r"\nabla", r"\colon", r"\lVert", r"\rVert", r"\|", r"\_", r"\dagger", r"\sim", r"\to", r"\approx", r"\propto",
         r"\int", r"\lim", r"\pm", r"\mp", r"\otimes", r"\Rightarrow", r"\implies", r"\left", r"\right", r"\middle",
         r"\begin", r"\end", r"\stackrel", r"\overset", r"\underset", r"\underbrace", r"\overbrace", r"\mathrm", r"\circ",
         r"\dotsb", r"\det", r"\binom", r"\iff"}  # fmt: skip
KNOWN = frozenset({*SAME, *SKIPPED, *SKIPPED_WITH_ARGUMENT, *WORDS, *UPRIGHT, *FONTS, *ACCENTS, *GREEK_COMMANDS,
                   *FUNCTION_COMMANDS, *BIG, *OTHER})  # fmt: skip
DANGEROUS = frozenset((r"\input", r"\include", r"\includegraphics", r"\write", r"\openin", r"\openout", r"\read",
    r"\immediate", r"\def", r"\edef", r"\gdef", r"\xdef", r"\let", r"\newcommand", r"\renewcommand", r"\providecommand",
    r"\DeclareMathOperator", r"\catcode", r"\csname", r"\expandafter", r"\loop", r"\usepackage", r"\documentclass",
    r"\special", r"\directlua", r"\verb", r"\newenvironment", r"\futurelet", r"\obeylines", r"\lowercase", r"\uppercase",
    r"\newread", r"\newwrite"))  # fmt: skip
ROWS_OF = ("align", "alignat", "aligned", "alignedat", "gather", "gathered", "equation", "split", "multline", "eqnarray",
           "displaymath", "math", "flalign", "array", "cases", "dcases", "subequations", "center")  # fmt: skip
COLUMNS = ("array", "alignat", "alignedat")  # have an argument of columns


def tokenize(source: Source, start: int = 0, end: int | None = None) -> list[Token]:
    r"""The tokens between two places, closed by an "end".

    Raises SG501 to SG503 (size), SG101 to SG103 (characters), SG106 and SG136 (braces, environments, `\left`), SG135 (commands).
    """
    if len(source.text) > LIMITS["latex"]:
        raise SymgradError("SG501", f"the text has {len(source.text):,} characters, more than {LIMITS['latex']:,}")
    end = len(source.text) if end is None else end
    found = list(islice(_balanced(_Scanner(source, start, end).tokens()), SYMBOLS + 1))
    if len(found) > SYMBOLS:
        raise SymgradError("SG501", f"these formulas have more than {SYMBOLS:,} symbols", found[-1].span, "read them in parts")
    return [*found, Token("end", "", source.span(end, end))]


class _Scanner:
    def __init__(self, source: Source, start: int, end: int):
        self.source, self.at, self.end = source, start, end

    def tokens(self) -> Iterator[Token]:
        while self.at < self.end:
            match = TOKEN.match(self.source.text, self.at, self.end)
            if match is None:
                raise bad_character(self.source, self.at)
            kind, start = match.lastgroup or "", self.at
            self.at = match.end()
            if kind == "command":
                yield from self.command(match.group(), start)
            elif kind != "blank":
                yield self.token(kind, match.group(), start)

    def token(self, kind: str, text: str, start: int) -> Token:
        span = self.source.span(start, self.at)
        if kind == "number" and sum(map(str.isdigit, text)) > LIMITS["digits"]:
            raise SymgradError("SG502", f"this number has more than {LIMITS['digits']} digits", span)
        if text in SAME:
            kind, text = "op", SAME[text]
        if text in GREEK:
            kind, text = "op", rf"\{GREEK[text]}"
        return Token(kind, text, span)

    def command(self, text: str, start: int) -> Iterator[Token]:
        if text.endswith("*") and text not in KNOWN:
            text, self.at = text[:-1], self.at - 1
        span = self.source.span(start, self.at)
        if text == r"\renewcommand" and (stretch := STRETCH.match(self.source.text, self.at, self.end)):
            self.at = stretch.end()
            return
        if text in DANGEROUS:
            hint = "paste the equations alone; nothing is defined, included or run"
            raise SymgradError("SG135", f"{text} is not read", span, hint)
        if text not in KNOWN:
            near = did_you_mean(text, KNOWN)
            raise SymgradError("SG135", f"{text} is not known here", span, near or r"write names as \mathrm{name}")
        if text in SKIPPED:
            return
        if text == r"\\" and (space := BREAK.match(self.source.text, self.at, self.end)):
            self.at = space.end()
        if text in SKIPPED_WITH_ARGUMENT:
            self.argument(span)
        elif text in WORDS or text in UPRIGHT:
            yield from self.words(text, span)
        elif text in (r"\begin", r"\end"):
            yield self.environment(text, span)
        else:
            yield self.token("op", text, start)

    def argument(self, span: Span) -> str:
        """The text between the braces that follow, which hold no further ones."""
        match = re.compile(r"\s*\{((?:[^{}\\\n]|\\.)*)\}", re.DOTALL).match(self.source.text, self.at, self.end)
        if match is None:
            raise SymgradError("SG105", f"expected plain words in braces after {span.text}", span)
        self.at = match.end()
        return match[1]

    def words(self, command: str, span: Span) -> Iterator[Token]:
        given = self.argument(span)
        for character in given:
            if not (character.isprintable() or character in "\t"):
                raise bad_character(self.source, span.start + self.source.text[span.start : self.at].index(character))
        text = re.sub(r"\\[,;:! ]", "", given).replace(r"\_", "_")
        text = text if command in WORDS else text.replace(" ", "")
        if len(text) > LIMITS["identifier"] and command in UPRIGHT:
            raise SymgradError(
                "SG503", f"this name has more than {LIMITS['identifier']} characters", self.source.span(span.start, self.at)
            )
        if text.strip():
            kind = "text" if command in WORDS else "upright"
            one = re.fullmatch(r"[A-Za-z]", text) and command != r"\text"
            yield Token("letter" if one else kind, text, self.source.span(span.start, self.at))

    def environment(self, command: str, span: Span) -> Token:
        name = self.argument(span).strip()
        place = self.source.span(span.start, self.at)
        if name.rstrip("*") not in ROWS_OF:
            hint = did_you_mean(name, ROWS_OF) or "equation, align, aligned, gather, split, array and cases are read"
            raise SymgradError("SG136", f"the environment {name} is not read", place, hint)
        if command == r"\begin" and name.rstrip("*") in COLUMNS:
            self.columns(place)
        return Token("begin" if command == r"\begin" else "close", name, place)

    def columns(self, span: Span) -> None:
        """The column specification, which may hold braces."""
        match = re.compile(r"\s*(?:\[[a-z]\])?\s*\{").match(self.source.text, self.at, self.end)
        at, depth = (match.end(), 1) if match else (self.at, 0)
        while depth and at < self.end:
            depth += {"{": 1, "}": -1}.get(self.source.text[at], 0)
            at += 1
        if depth or match is None:
            raise SymgradError("SG136", "the columns of this environment are missing", span, r"write \begin{array}{ll}")
        self.at = at


def _balanced(tokens: Iterator[Token]) -> Iterator[Token]:
    r"""The tokens without \left, \right and \middle; SG106, SG136 where braces, environments or these do not pair."""
    opened: list[Token] = []
    waiting = False
    for token in tokens:
        if waiting and token.text == ".":
            waiting = False
            continue
        waiting = False
        if token.text in (r"\left", r"\right", r"\middle") and token.kind == "op":
            waiting = True
        if token.text in ("{", r"\left") or token.kind == "begin":
            opened.append(token)
        elif token.text in ("}", r"\right") or token.kind == "close":
            _close(opened, token)
        if len(opened) > LIMITS["nesting"]:
            raise SymgradError("SG504", f"more than {LIMITS['nesting']} levels of nesting", token.span)
        if not waiting:
            yield token
    if opened:
        last = opened[-1]
        code = "SG106" if last.text == "{" else "SG136"
        raise SymgradError(code, f"{last.span.text} is not closed", last.span, f"end it with {_partner(last)}")


def _partner(token: Token) -> str:
    return {"{": "}", r"\left": r"\right"}.get(token.text) or rf"\end{{{token.text}}}"


def _close(opened: list[Token], token: Token) -> None:
    if not opened:
        code = "SG106" if token.text == "}" else "SG136"
        raise SymgradError(code, f"{token.span.text} closes nothing", token.span)
    last = opened.pop()
    here = token.span.text if token.kind == "close" else token.text
    wanted = _partner(last)
    if (token.kind == "close" and (last.kind != "begin" or last.text != token.text)) or (token.kind != "close" and here != wanted):
        code = "SG106" if "{" in (last.text, token.text) else "SG136"
        message = f"the {last.span.text} at line {last.span.line}, column {last.span.column} is not closed: "
        raise SymgradError(code, f"{message}expected {wanted}, found {token.span.text}", token.span)


def bad_character(source: Source, at: int) -> SymgradError:
    character = source.text[at]
    name = unicodedata.name(character, f"U+{ord(character):04X}")
    span = source.span(at, at + 1)
    if not character.isprintable():
        return SymgradError("SG101", f"an invisible or control character stands here: {name}", span)
    if character.isalpha():
        return SymgradError("SG102", f"{name} cannot be part of a name", span, r"names use a-z, A-Z and commands such as \alpha")
    return SymgradError("SG103" if ord(character) > 127 else "SG111", f"{character} is not part of an equation", span)
