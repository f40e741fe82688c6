"""Claims about derivatives, as text → `Claim`: what a student hands in.

    dJ/dbeta[j] = dJ/db*z[j]                            dJ and dbeta are no quantities: a derivative
    dJ/dx[i] = sum(dJ/da[j]*alpha[j,i] for j)           several lines, or several on one, with ; or , between
    dJ/dt += dJ/du_1*cos(t)                             one contribution
    dJ/dβ_j = dJ/db · z_j                               as this library prints it

>>> from symgrad.core.tree import Format
>>> claim, = claims("dJ/dbeta[j] = dJ/db*z[j]", {"J": 0, "beta": 1, "b": 0, "z": 1})
>>> claim.left.bottom.name, Format().show(claim.right)
('beta', 'dJ/db*z[j]')
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from symgrad.core.draft import Claim
from symgrad.core.errors import Source, SymgradError, did_you_mean
from symgrad.core.greek import LETTERS
from symgrad.core.tree import ONES, Call, Compare, Deriv, Name, Num, Prod, Tree, depth, map_tree
from symgrad.frontend.syntax import INFIX, LIMITS, Parser, Token, describe, span_of, tokenize

Ranks = Mapping[str, int]


def claims(text: str, ranks: Ranks, name: str = "<claims>") -> tuple[Claim, ...]:
    """All claims of a text about a model whose quantities have these numbers of indices.

    Raises SG1xx for syntax, SG123 where a left side is no derivative, SG203 for a derivative of or by what is no quantity.
    """
    tokens = tokenize(Source(plain(text, ranks), name))
    starred = frozenset(name for name in ranks if name.endswith("_star"))
    parser = _ClaimParser(tokens, starred, ranks)
    found = tuple(parser.lines())
    if not found:
        raise SymgradError("SG120", f"{name} holds no claim", hint="write one, such as dJ/dx = 2*x")
    return found


class _ClaimParser(Parser):
    def __init__(self, tokens: list[Token], starred: frozenset[str], ranks: Ranks):
        super().__init__(tokens, starred)
        self.ranks = ranks
        self.deepest //= 2  # a level takes more calls here, of which Python has 1000

    def lines(self) -> list[Claim]:
        out: list[Claim] = []
        while self.token.kind != "end":
            if self.token.kind == "newline" or self.sees(";", ","):
                self.next()
                continue
            out.append(self.line())
            if not (self.token.kind in ("newline", "end") or self.sees(";", ",")):
                raise self.unended("claim")
        return out

    def binding(self, left: Tree) -> int:
        return INFIX["*"] if self.sees("⊙") else super().binding(left)

    def infix(self, left: Tree, binds: int, grown: bool) -> Tree:
        """u ⊙ v too, entry by entry."""
        if not self.sees("⊙"):
            return super().infix(left, binds, grown)
        self.next()
        right = self.expression(binds)
        return Prod((("*", left), ("o", right)), span_of(left).to(span_of(right)))

    def prefix(self, least: int) -> Tree:
        """Iverson's bracket too, [u > 0]: 1 where it holds, else 0."""
        if not self.sees("["):
            return super().prefix(least)
        opening = self.next()
        self.open()
        condition = self.expression()
        if self.take("="):
            condition = Compare("=", condition, self.expression())
        end = self.close("]", opening)
        return Call("where", (condition, Num("1"), Num("0")), opening.span.to(end.span))

    def named(self) -> Tree:
        """m*[u > 0] is a product, where m* is no quantity with indices."""
        token = self.token
        starred = f"{token.text.removeprefix('d')}_star", f"{token.text}_star"
        if self.peek().text == "*" and self.peek(2).text == "[" and not any(self.ranks.get(name) for name in starred):
            self.next()
            return Name(token.text, (), token.span)
        return super().named()

    def line(self) -> Claim:
        left = self.expression(10)
        op = self.next()
        if op.kind != "op" or op.text not in ("=", "+="):
            raise SymgradError("SG105", f"expected = after the left side, found {describe(op)}", op.span)
        if self.token.kind in ("newline", "end") or self.sees(";", ","):
            raise SymgradError("SG104", "an operand is missing: nothing stands right of =", op.span)
        right = self.expression(10)
        loops = self.loops()
        for tree in (left, right):
            if depth(tree) > LIMITS["nesting"]:
                raise SymgradError("SG504", f"this nests more than {LIMITS['nesting']} deep", span_of(left), "name parts of it")
        reader = _Derivatives(self.ranks)
        target = reader.read(left)
        last = next((b.span for b in reversed(loops) if b.span), None) or span_of(right)
        span = span_of(left).to(last)
        if not isinstance(target, Deriv):
            shown = span_of(left)
            raise SymgradError(
                "SG123", f"{shown.text} is no derivative", shown, "a claim reads dJ/dx = …, J and x quantities of the model"
            )
        return Claim(target, op.text, reader.read(right), loops, span)


@dataclass(frozen=True)
class _Derivatives:
    """dJ/dbeta[j] in place of the quotient that the grammar reads, and z_j as z[j]."""

    ranks: Ranks

    def read(self, tree: Tree) -> Tree:
        return map_tree(tree, self._node)

    def _node(self, tree: Tree) -> Tree:
        if tree == Name("ones") and "ones" not in self.ranks:
            return Name(ONES, (), span_of(tree))
        if isinstance(tree, Name):
            return self._subscripts(tree)
        return self._product(tree) if isinstance(tree, Prod) else tree

    def _product(self, tree: Prod) -> Tree:
        out: list[tuple[str, Tree]] = []
        place = 0
        while place < len(tree.factors):
            op, factor = tree.factors[place]
            following = tree.factors[place + 1] if place + 1 < len(tree.factors) else None
            pair = self._pair(factor, following[1]) if following and following[0] == "/" else None
            out.append((op, pair or factor))
            place += 2 if pair else 1
        if len(out) == 1:
            return replace(out[0][1], span=tree.span)  # type: ignore[arg-type]
        return replace(tree, factors=tuple(out))

    def _pair(self, top: Tree, bottom: Tree) -> Deriv | None:
        if not (isinstance(top, Name) and isinstance(bottom, Name)):
            return None
        one, two = self._differential(top), self._differential(bottom)
        if one is None or two is None or (one.name not in self.ranks and two.name not in self.ranks):
            return None
        for name in (one, two):
            if name.name not in self.ranks:
                known = did_you_mean(name.name, self.ranks) or f"the model has {', '.join(self.ranks)}"
                raise SymgradError("SG203", f"there is no quantity named {name.name}", name.span, known)
        return Deriv(one, two, None, span_of(top).to(span_of(bottom)))

    def _differential(self, name: Name) -> Name | None:
        """z[j] for dz[j], where dz itself is no quantity."""
        if name.name in self.ranks or not name.name.startswith("d") or len(name.name) < 2:
            return None
        return self._subscripts(replace(name, name=name.name[1:]))

    def _subscripts(self, name: Name) -> Name:
        """z_j as z[j] and alpha_ji as alpha[j,i], where there is a z and no z_j."""
        base, _, below = name.name.rpartition("_")
        rank = 2 if base == "delta" else self.ranks.get(base, 0)
        if name.name in self.ranks or name.indices or not below or rank != len(below):
            return name
        letters: tuple[Tree, ...] = tuple(Num(c, name.span) if c.isdigit() else Name(c, (), name.span) for c in below)
        return Name(base, letters, name.span)


# what is printed in Unicode, rewritten in the language; indices and ranges inside { } first
BOUND = re.compile(r"Σ_(?:\{([^{}]*)\}|(\w))\s*")
PRINTED = re.compile(r"[│ΣΔ·−√ᵀ𝟏⁰¹²³⁴-⁹₀-₉]|\w\*?_\{|\*_\w")
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
BELOW = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")


def plain(text: str, ranks: Ranks) -> str:
    """The text with what `Derivation.text` prints beyond the language rewritten: columns, Σ_{i=0..M}, y*_k, x², log y."""
    if not PRINTED.search(text):
        return text
    lines = [line for line in text.split("Backward, collected")[0].splitlines() if not _decoration(line)]
    columns = [line for line in lines if "│" in line]
    return "\n".join(_plain_line(line, ranks) if columns or PRINTED.search(line) else line for line in columns or lines)


def _decoration(line: str) -> bool:
    return bool(line) and (set(line.strip()) <= set("─┼│ ") or line.lstrip().startswith(("Forward", "Backward")))


def _plain_line(line: str, ranks: Ranks) -> str:
    """One printed line; a range behind its first equation is one of the further equations too."""
    line, over, further = _range(line.rpartition("│")[2])
    out = [_plain_equation(line, ranks) + over]
    if further:
        name = over.split()[1]
        inside = re.search(rf"(?<![^\W_]){name}(?![^\W_])", further.partition("=")[0])
        out.append(_plain_equation(further, ranks) + (over if inside else ""))
    return "; ".join(out)


def _plain_equation(line: str, ranks: Ranks) -> str:
    for name in sorted((n.removesuffix("_star") for n in ranks if n.endswith("_star")), key=len, reverse=True):
        letter = LETTERS.get(name, name)
        star = f"{letter}^*"
        line = re.sub(rf"(?<![^\Wd]){letter}\*_(\{{[^{{}}]*\}}|\w+)", lambda m, star=star: f"{star}[{_indices(m[1])}]", line)  # type: ignore[misc]
        line = re.sub(rf"(?<![^\Wd]){letter}\*(?!\*)(?=\s+\w|\s*(?:[-−+)/,=·⊙]|$))", f"{letter}^*", line)
    line = re.sub(r"(\w)_\{([^{}]*)\}", lambda m: m[0] if m[1] == "Σ" else f"{m[1]}[{m[2]}]", line)
    line = re.sub(r"[₀-₉]+", lambda m: "_" + m[0].translate(BELOW), line)
    line = re.sub(r"[⁻⁰¹²³⁴-⁹]+", lambda m: "^" + m[0].translate(SUPERSCRIPTS), line)
    return _spaced(_sums(line.replace(ONES, "ones").replace("ᵀ", "^T")))


def _range(line: str) -> tuple[str, str, str]:
    """`… (t = 1, …, T)` behind an equation as `for t in 1..T`, and what stands after it; it may run downwards."""
    match = re.search(r"  \((\w) = ([^,()]+), …, ([^()]+)\)(.*)", line)
    if match is None:
        return line.split("  (")[0], "", ""
    name, one, two, further = match.groups()
    lo, hi = one, two
    if two.strip().isdigit() and not (one.strip().isdigit() and int(one) <= int(two)):
        lo, hi = two, one
    return line[: match.start()], f" for {name} in {lo}..{hi}", further.strip(" ,") if "=" in further else ""


def _indices(below: str) -> str:
    return below.strip("{}") if below.startswith("{") else ",".join(below)


OPERAND = r"(?:\d+(?:\.\d+)?|[A-Za-zα-ωΑ-ΡΤ-Ω][\wα-ω]*(?:\^\*)?(?:\[[^][]*\])?)"


def _spaced(line: str) -> str:
    """Juxtaposed factors get their *, and log y its brackets."""
    line = re.sub(rf"\b(log|sin|cos|tan|exp|tanh|sinh|cosh)\s+({OPERAND})", r"\1(\2)", line)
    line = re.sub(r"√\((?=[^()]*\))|√(\w+)", lambda m: f"sqrt({m[1]})" if m[1] else "sqrt(", line.replace("′", "'"))
    return re.sub(r"(?:(?<=[\w\])])|(?<=\^\*))(?<!\bfor)(?<!\bin)(?<!\bif) +(?=[\wα-ω(Σ\[])(?!for\b|in\b|if\b)", " * ", line)


def _sums(line: str) -> str:
    """Σ_{i=0..M} body, to the end of the term, as sum(body for i in 0..M)."""
    while found := list(BOUND.finditer(line)):
        match = found[-1]  # the innermost
        end = _end_of_term(line, match.end())
        limits = (match[1] or match[2]).split(":")[0]
        loops = " ".join("for " + part.strip().replace("=", " in ") for part in re.split(r",(?![^()]*\))", limits) if part.strip())
        guard = (match[1] or "").partition(":")[2]
        body = line[match.end() : end].strip()
        line = f"{line[: match.start()]}sum({body} {loops}{' if' + guard if guard else ''}){line[end:]}"
    return line


def _end_of_term(line: str, start: int) -> int:
    depth = 0
    for at in range(start, len(line)):
        if line[at] in "([":
            depth += 1
        elif line[at] in ")]":
            depth -= 1
        if depth < 0 or (depth == 0 and line[at] in "+−,;=" and line[start:at].strip()):
            return at
    return len(line)
