"""Trees as MathML, the mathematics of HTML.

>>> from symgrad.core.tree import *
>>> MATHML.show(Prod((("*", Num("1")), ("/", Name("x")))))
'<mfrac><mn>1</mn><mi>x</mi></mfrac>'

Every text is escaped where it becomes an element, so no name can end one.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from types import MappingProxyType

from symgrad.core.functions import FUNCTIONS
from symgrad.core.greek import LETTERS
from symgrad.core.page import Line
from symgrad.core.reductions import REDUCTIONS
from symgrad.core.tree import (
    ADD,
    ATOM,
    BARE,
    BIG,
    COMPARE,
    MUL,
    POW,
    Binder,
    Bracket,
    Call,
    Compare,
    Deriv,
    Format,
    Name,
    Num,
    Pow,
    Prod,
    Reduce,
    Rendered,
    Sum,
    Transpose,
    Tree,
)
from symgrad.printers.names import plain_indices, split
from symgrad.printers.text import is_simple

ACCENTS = {"bar": "¯", "dot": "˙", "hat": "^"}
APPLY, TIMES, COMMA = "<mo>\u2061</mo>", "<mo>\u2062</mo>", '<mo separator="true">,</mo>'
THIN, GAP = '<mspace width="0.17em"></mspace>', '<mspace width="1em"></mspace>'
TALL = ("<mfrac>", "<munder", "<mtable", "<msqrt>")
SIGNS = {"+=": "+=", "=": "=", "!=": "≠", "<=": "≤", ">=": "≥"}


def mi(text: str) -> str:
    return f"<mi>{escape(text)}</mi>"


def mo(text: str) -> str:
    return f"<mo>{escape(text)}</mo>"


def mn(text: str) -> str:
    return f"<mn>{escape(text)}</mn>"


def row(*parts: str) -> str:
    """Parts as one child, as fractions, roots and scripts ask for."""
    text = "".join(parts)
    return text if _single(text) else f"<mrow>{text}</mrow>"


def _single(text: str) -> bool:
    """One token already."""
    return text.count("<") == 2 and text.startswith(("<mi>", "<mn>"))


def fenced(text: str, left: str = "(", right: str = ")") -> str:
    """Brackets as tall as what they hold where that is tall, else plain ones."""
    tight = 'fence="true" lspace="0" rspace="0"' + ("" if any(tag in text for tag in TALL) else ' stretchy="false"')
    return f"<mrow><mo {tight}>{left}</mo>{text}<mo {tight}>{right}</mo></mrow>"


def script(base: str, below: str = "", above: str = "") -> str:
    if below and above:
        return f"<msubsup>{base}{row(below)}{row(above)}</msubsup>"
    if below:
        return f"<msub>{base}{row(below)}</msub>"
    return f"<msup>{base}{row(above)}</msup>" if above else base


class MathMLFormat(Format):
    compare_signs = MappingProxyType(SIGNS)

    def brackets(self, text: str) -> str:
        return fenced(text)

    def num(self, text: str) -> str:
        mantissa, _, exponent = text.lower().partition("e")
        return mn(mantissa) + (f"{mo('·')}<msup>{mn('10')}{mn(exponent.replace('-', '−'))}</msup>" if exponent else "")

    def letters(self, name: str, below: str = "") -> str:
        """A name with what its parts mean: Greek letter, accents, digits and indices below, stars above."""
        if name.startswith("|"):
            return fenced(mi(name.strip("|")), "|", "|")
        parts = split(name)
        out = mi(LETTERS.get(parts.letter, parts.letter))
        for mark in parts.marks:
            if mark in ACCENTS:
                out = f'<mover accent="true">{out}<mo stretchy="false">{ACCENTS[mark]}</mo></mover>'
        first = "" if not parts.below else mn(parts.below) if parts.below.isdigit() else mi(parts.below)
        above = "*" * parts.marks.count("star") + "′" * parts.marks.count("prime")
        return script(out, COMMA.join(part for part in (first, below) if part), mo(above) if above else "")

    def name(self, tree: Name) -> str:
        if tree.name in ("inf", "pi") and not tree.indices:
            return mi({"inf": "∞", "pi": "π"}[tree.name])
        joint = "" if plain_indices(tree.indices) else COMMA
        return self.letters(tree.name, joint.join(map(self.show, tree.indices)))

    def sum(self, tree: Sum) -> str:
        out = ""
        for place, (sign, term) in enumerate(tree.terms):
            out += mo("−" if sign < 0 else "+") if place or sign < 0 else ""
            out += self.show(term, BIG)
        return f"<mrow>{out}</mrow>"

    def prod(self, tree: Prod) -> Rendered:
        out, binds, last = "", MUL, len(tree.factors) - 1
        for place, (op, factor) in enumerate(tree.factors):
            if op == "/":
                above = self.show(tree.factors[0][1]) if place == 1 else out
                out, binds = f"<mfrac>{row(above)}{row(self.show(factor))}</mfrac>", MUL
                continue
            text, end = self.fit(factor, BIG if place == last else MUL)
            out = self.between(op, out, text, factor) if place else text
            binds = min(MUL, end)
        return out, binds

    def between(self, op: str, left: str, right: str, factor: Tree) -> str:
        if op == "o":
            return f"{left}{mo('⊙')}{right}"
        if op == "." or right.startswith(("<mn>", "<msup><mn>")) or isinstance(factor, Num):
            return f"{left}{mo('·')}{right}"
        return f"{left}{TIMES}{THIN}{right}"

    def pow(self, tree: Pow) -> Rendered:
        base = self.show(tree.base, ATOM)
        if isinstance(tree.base, Name) and split(tree.base.name).marks:
            base = fenced(base)
        return f"<msup>{row(base)}{row(self.show(tree.exponent))}</msup>", POW

    def call(self, tree: Call) -> Rendered:
        known = FUNCTIONS.get(tree.function)
        if known and known.simple and is_simple(tree.args[0]):
            return f"{mi(known.name)}{APPLY}{THIN}{self.show(tree.args[0])}", BARE
        if tree.function == "where":
            return self.cases(*map(self.show, tree.args)), ATOM
        return self.closed_call(tree), ATOM

    def cases(self, condition: str, yes: str, no: str) -> str:
        words = "<mtext>if\u00a0</mtext>", "<mtext>otherwise</mtext>"
        rows = ((yes, words[0] + condition), (no, words[1]))
        table = "".join(f'<mtr><mtd class="l">{value}</mtd><mtd class="l">{when}</mtd></mtr>' for value, when in rows)
        return f'<mrow><mo fence="true">{{</mo><mtable displaystyle="true">{table}</mtable></mrow>'

    def closed_call(self, tree: Call) -> str:
        args = COMMA.join(map(self.show, tree.args))
        if tree.function == "sqrt":
            return f"<msqrt>{args}</msqrt>"
        known = FUNCTIONS.get(tree.function)
        if known is None:
            return self.letters(tree.function) + APPLY + fenced(args)
        shown = known.text or known.name
        if "{}" in shown:
            left, right = shown.split("{}")
            return fenced(args, escape(left), escape(right))
        return mi(shown) + APPLY + fenced(args)

    def guard(self, tree: Tree) -> str:
        return COMMA.join(map(self.show, tree.conditions)) if isinstance(tree, Bracket) else self.show(tree)

    def reduce(self, tree: Reduce) -> Rendered:
        known = REDUCTIONS.get(tree.op)
        big = known is not None and known.text in ("Σ", "Π")
        sign = f'<mo largeop="true" movablelimits="false">{"∑" if tree.op == "sum" else "∏"}</mo>' if big else mi(tree.op)
        out, left = "", []
        for binder in tree.binders:
            if binder.lo is None or binder.hi is None:
                left.append(self.letters(binder.name))
            elif big and tree.guard is None:
                start = row(self.letters(binder.name), mo("="), self.show(binder.lo))
                out += f"<munderover>{sign}{start}{row(self.show(binder.hi))}</munderover>"
            else:
                left.append(self.between_ends(binder))
        if left:
            guard = mo(":") + self.guard(tree.guard) if tree.guard else ""
            out += f"<munder>{sign}{row(COMMA.join(left), guard)}</munder>"
        return f"{out}{THIN}{self.show(tree.body, BIG)}", BIG

    def between_ends(self, binder: Binder) -> str:
        assert binder.lo is not None
        assert binder.hi is not None
        return f"{self.show(binder.lo)}{mo('≤')}{self.letters(binder.name)}{mo('≤')}{self.show(binder.hi)}"

    def deriv(self, tree: Deriv) -> str:
        bottom = f"{mi('d')}{self._after_d(tree.bottom)}"
        if tree.second is None:
            return f"<mfrac>{row(mi('d'), self._after_d(tree.top))}{row(bottom)}</mfrac>"
        above = row(f"<msup>{mi('d')}{mn('2')}</msup>", self._after_d(tree.top))
        return f"<mfrac>{above}{row(bottom, THIN, mi('d'), self._after_d(tree.second))}</mfrac>"

    def _after_d(self, name: Name | Deriv) -> str:
        text = self.show(name)
        return text if isinstance(name, Name) else fenced(text)

    def compare(self, tree: Compare) -> str:
        right = self.show(tree.right, COMPARE if isinstance(tree.right, Compare) else ADD)
        return f"{self.show(tree.left, ADD)}{mo(SIGNS.get(tree.op, tree.op))}{right}"

    def render(self, tree: Tree) -> Rendered:
        if isinstance(tree, Compare):
            return self.compare(tree), COMPARE
        if isinstance(tree, Bracket):
            return fenced(COMMA.join(map(self.show, tree.conditions)), "[", "]"), ATOM
        return super().render(tree)

    def transpose(self, tree: Transpose) -> str:
        base = self.show(tree.base, ATOM)
        return f"<msup>{self.brackets(base) if isinstance(tree.base, Deriv) else row(base)}{mo('⊤')}</msup>"


MATHML = MathMLFormat()


def math(parts: Iterable[str]) -> str:
    """One formula, in the size of a displayed one."""
    return f'<math xmlns="http://www.w3.org/1998/Math/MathML" displaystyle="true"><mrow>{"".join(parts)}</mrow></math>'


def equation(line: Line) -> str:
    """`left op right`, and where it holds."""
    return math((MATHML.show(line.left), mo(SIGNS.get(line.op, line.op)), MATHML.show(line.right), *_over(line)))


def _over(line: Line) -> Iterable[str]:
    if line.over:
        shown = (
            f"{MATHML.show(i)}{mo('=')}{MATHML.show(first)}{COMMA}{mo('…')}{COMMA}{MATHML.show(last)}"
            for i, first, last in line.over
        )
        yield GAP + fenced('<mo separator="true">;</mo>'.join(shown))


def beside(line: Line) -> str:
    """The local derivative; empty where there is none."""
    if not line.beside:
        return ""
    left, right = line.beside
    return math((MATHML.show(left), mo("="), MATHML.show(right)))
