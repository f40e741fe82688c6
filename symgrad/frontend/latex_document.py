r"""A LaTeX text → its equations as runs of tokens: what is displayed counts, prose between displays does not.

In a text without displays all is mathematics, or, where there is some between single $, what stands there and has an =.
Equations end at \\, ;, an empty line or the end of a display; also at a comma, a wide space, & or a new
line before a further equation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from symgrad.core.errors import Source, Span, SymgradError
from symgrad.frontend.latex_names import Known
from symgrad.frontend.latex_tokens import tokenize
from symgrad.frontend.syntax import LIMITS, Token

DISPLAYS = ("equation", "align", "alignat", "gather", "multline", "eqnarray", "displaymath", "flalign", "math")
DELIMITER = re.compile(
    r"(?P<skip>\\\\|\\\$|%[^\n]*)|(?P<dollars>\$\$)|(?P<dollar>\$)|(?P<open>\\\[)|(?P<inline>\\\()"
    r"|\\begin\{(?P<env>(?:" + "|".join(DISPLAYS) + r")\*?)\}|\\begin\{(?P<verbatim>verbatim|comment|lstlisting)\}"
)
JOINS = frozenset(["+", "-", "*", "/", ")", "]", r"\}"])
RELATIONS = ("=", "+=")
CASES = ("cases", "dcases")  # whose columns are values and conditions
HARD, SOFT = ("paragraph",), ("quad", ",", "&", ".")
OPENING, CLOSING = frozenset(["{", "(", "[", r"\{"]), frozenset(["}", ")", "]", r"\}"])


def equations(source: Source, known: Known) -> list[list[Token]]:
    """The tokens of each statement, each closed by an "end"."""
    if len(source.text) > LIMITS["latex"]:
        raise SymgradError("SG501", f"the text has {len(source.text):,} characters, more than {LIMITS['latex']:,}")
    out = []
    for start, end in displays(source, known):
        for row in rows(tokenize(source, start, end)[:-1]):
            out += pieces(row)
    found = [piece for piece in map(trimmed, out) if piece and not _heading(piece, known)]
    return [[*piece, Token("end", "", after(piece[-1]))] for piece in found]


def _heading(piece: Sequence[Token], known: Known) -> bool:
    r"""True for words alone, the \text{Forward} above a column."""
    if any(token.kind != "text" and token.text not in SOFT for token in piece) or keyword(piece[0].text):
        return False
    known.note(f"heading ignored: {' '.join(token.text.strip() for token in piece if token.kind == 'text')}")
    return True


def displays(source: Source, known: Known) -> list[tuple[int, int]]:
    """The places of mathematics. Raises SG136 for a display that does not end."""
    shown: list[tuple[int, int]] = []
    inline: list[tuple[int, int]] = []
    for kind, start, end in delimited(source):
        (inline if kind == "inline" else shown).append((start, end))
    if not shown and not inline:
        return [(0, len(source.text))]
    found = shown or [(a, b) for a, b in inline if "=" in source.text[a:b]]
    if shown and inline:
        known.note(f"{len(inline)} formula(s) inside prose ignored: only displays are equations")
    words = _prose(source, shown, inline)
    if words:
        known.note(f"prose ignored: {words}")
    return found


def _prose(source: Source, shown: Sequence[tuple[int, int]], inline: Sequence[tuple[int, int]]) -> str:
    """What stands outside, shortened."""
    out, at = [], 0
    for start, end in sorted([*shown, *inline]):
        out.append(source.text[at:start])
        at = end
    text = re.sub(r"%[^\n]*|\\(?:begin|end)\{[a-z*]+\}|\\[\[\]()]|\$", " ", " ".join([*out, source.text[at:]]))
    words = " ".join(text.split())
    return words if len(words) <= 60 else words[:57] + "…"


def delimited(source: Source) -> Iterator[tuple[str, int, int]]:
    text, at = source.text, 0
    while match := DELIMITER.search(text, at):
        at = match.end()
        if match["skip"]:
            continue
        name = match["env"] or match["verbatim"]
        closing = {"$$": "$$", "$": "$", r"\[": r"\]", r"\(": r"\)"}.get(match[0]) or rf"\end{{{name}}}"
        end = _closing(text, closing, at)
        if end < 0:
            message = f"{match[0]} is not closed"
            raise SymgradError("SG136", message, source.span(match.start(), match.end()), f"end it with {closing}")
        if not match["verbatim"]:
            kind = "inline" if match["dollar"] or match["inline"] else "display"
            start = match.start() if name and "alignat" in name else at
            yield (kind, start, end + len(closing)) if name and "alignat" in name else (kind, at, end)
        at = end + len(closing)


def _closing(text: str, closing: str, at: int) -> int:
    for match in re.compile(rf"%[^\n]*|\\\\|\\\$|{re.escape(closing)}").finditer(text, at):
        if match[0] == closing:
            return match.start()
    return -1


def rows(tokens: Sequence[Token]) -> list[list[Token]]:
    """Rows, joined again where one goes on in the next: x = a \\\\ + b."""
    out: list[list[Token]] = [[]]
    depth, inner = 0, 0
    for place, token in enumerate(tokens):
        inner += {"begin": token.text.startswith(("cases", "dcases")), "close": -token.text.startswith(("cases", "dcases"))}.get(
            token.kind, 0
        )
        depth += (token.kind == "op") * ((token.text in OPENING) - (token.text in CLOSING))
        ends = token.kind == "paragraph" or (token.kind == "op" and token.text in (r"\\", ";"))
        if (
            inner > 0
            or (token.kind not in ("begin", "close") and not (ends and depth <= 0))
            or (inner == 0 and token.kind == "close" and token.text.startswith(("cases", "dcases")))
        ):
            out[-1].append(token)
        elif ends and goes_on(out[-1], tokens[place + 1 :]):
            continue
        else:
            out.append([])
            depth = 0
    return [row for row in out if row]


def goes_on(row: Sequence[Token], after: Sequence[Token]) -> bool:
    """True where the row ends, or the next one begins, with an operator."""
    last = next((t for t in reversed(row) if t.text not in ("&", "quad") and t.kind not in ("newline", "paragraph")), None)
    if last is not None and last.kind == "op" and last.text in ("+", "-", "*", "/", "=", "+="):
        return True
    following = next((t for t in after[:8] if t.text not in ("&", "quad") and t.kind not in ("newline", "paragraph")), None)
    return last is not None and following is not None and following.kind == "op" and following.text in ("+", "-", "*", "/")


def pieces(row: Sequence[Token]) -> list[list[Token]]:
    """A row cut at commas, wide spaces, & and new lines where a further equation begins."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in row:
        depth += (token.kind in ("op",)) * ((token.text in OPENING) - (token.text in CLOSING))
        depth += {"begin": 1, "close": -1}.get(token.kind, 0)
        if depth <= 0 and (token.kind == "newline" or (token.kind == "op" and token.text in SOFT)):
            parts.append([token])
        else:
            parts[-1].append(token)
    out: list[list[Token]] = []
    parts = _with_left_sides(parts)
    for place, part in enumerate(parts):
        dotted = any(t.text == r"\dots" for later in parts[place + 1 : place + 3] for t in later[:2])
        if out and (dotted or not (begins(part) and complete(out[-1]))):
            out[-1] += part
        else:
            out.append(list(part))
    return out


def _with_left_sides(parts: list[list[Token]]) -> list[list[Token]]:
    """`b & = c` is one part."""
    out: list[list[Token]] = []
    for part in parts:
        inside = trimmed(part)
        if out and inside and inside[0].text in RELATIONS:
            out[-1] += part
        else:
            out.append(part)
    return out


def relation(tokens: Sequence[Token]) -> int:
    """The place of the first = outside brackets, or -1."""
    depth = 0
    for place, token in enumerate(tokens):
        if token.kind == "op":
            depth += (token.text in OPENING) - (token.text in CLOSING)
            if depth <= 0 and token.text in RELATIONS:
                return place
        depth += {"begin": 1, "close": -1}.get(token.kind, 0)
    return -1


def begins(part: Sequence[Token]) -> bool:
    """True where a part is an equation or a goal of its own, no qualifier such as \\forall j = 1."""
    inside = trimmed(part)
    if not inside:
        return False
    first = inside[0]
    if first.kind == "text":
        return keyword(first.text) != "" or (relation(inside) > 0 and first.text.strip().lower() not in WORDS)
    if first.text in (r"\forall", "(", r"\dots") and relation(inside) >= 0:
        return False
    return relation(inside) > 0


def complete(tokens: Sequence[Token]) -> bool:
    inside = trimmed(tokens)
    return bool(inside) and (inside[0].kind == "text" or relation(inside) > 0) and inside[-1].text not in RELATIONS


WORDS = ("for", "for all", "for every", "for each", "where", "with", "and", "if", "when", "all", "over", "given")
KEYWORDS = {
    "minimize": "minimize", "minimise": "minimize", "min": "minimize", "maximize": "maximize", "maximise": "maximize",
    "max": "maximize", "assume": "assume", "assuming": "assume", "input": "input", "inputs": "input", "param": "param",
    "params": "param", "parameters": "param", "const": "const", "index": "index", "indices": "index",
}  # fmt: skip


def keyword(text: str) -> str:
    return KEYWORDS.get(text.strip().rstrip(":").lower(), "")


def trimmed(tokens: Sequence[Token]) -> list[Token]:
    """Without separators at its ends."""
    found, inner = [], 0
    for token in tokens:
        inner += {"begin": 1, "close": -1}.get(token.kind, 0) if token.text in CASES else 0
        spacing = token.kind == "op" and (token.text == "!" or (token.text == "&" and not inner))
        if token.kind not in ("newline", "paragraph") and not spacing:
            found.append(token)
    while found and found[0].text in SOFT:
        found.pop(0)
    while found and found[-1].text in (*SOFT, ";"):
        found.pop()
    return found


def after(token: Token) -> Span:
    """The place behind a token."""
    return Span(token.span.source, token.span.end, token.span.end)
