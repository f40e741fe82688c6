"""Trees as the mathematics of Typst.

>>> from symgrad.core.tree import *
>>> TYPST.show(Prod((("*", Num("1")), ("/", Num("2")), ("*", Name("alpha", (Name("j"), Name("i")))))))
'(1)/(2) alpha_(j i)'

A word in Typst's mathematics is the name of something, so a name that is no letter is a string, and no name can end one.
Groups stand in ( ), which Typst removes around the parts of fractions and scripts; all parts stand apart, since a group that
touches what is before it would be the arguments of a call.
"""

from __future__ import annotations

from types import MappingProxyType

from symgrad.core.functions import FUNCTIONS
from symgrad.core.greek import GREEK, LETTERS
from symgrad.core.tree import (
    ATOM,
    BARE,
    BIG,
    MUL,
    ONES,
    POW,
    Binder,
    Call,
    Deriv,
    Format,
    Name,
    Num,
    Pow,
    Prod,
    Reduce,
    Rendered,
    Transpose,
    Tree,
    inside,
)
from symgrad.printers.names import plain_indices, split
from symgrad.printers.text import is_simple

ACCENTS = {"bar": "macron", "dot": "dot", "hat": "hat"}
OPERATORS = {"exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan"}  # that Typst names so
BIG_SIGNS = {"sum": "sum", "prod": "product"}
WITH_LIMITS = BIG_SIGNS | {"max": "max", "min": "min"}
PLUS_IS = "adds"  # the relation +=, which the page defines
ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t"})


def string(text: str) -> str:
    """A string of Typst: nothing in it has a meaning.

    >>> print(string('#a "b"'))
    "#a \\"b\\""
    """
    return f'"{text.translate(ESCAPES)}"'


class TypstFormat(Format):
    times, dot, entrywise, top = " ", " ⋅ ", " ⊙ ", "^⊤"
    compare_signs = MappingProxyType({"!=": "≠", "<=": "≤", ">=": "≥"})

    def letter(self, name: str) -> str:
        if name == ONES:
            return "bold(1)"
        if name in LETTERS:
            return name
        return name if len(name) == 1 and name.isalpha() else string(name)

    def letters(self, name: str, below: str = "") -> str:
        if name.startswith("|"):
            return f"lr(| {self.letter(name.strip('|'))} |)"
        parts = split(name)
        out = self.letter(parts.letter)
        for mark in parts.marks:
            out = f"{ACCENTS[mark]}({out})" if mark in ACCENTS else out
        first = parts.below if parts.below.isdecimal() else self.letter(parts.below) if parts.below else ""
        under = ", ".join(part for part in (first, below) if part)
        above = " ".join(["*"] * parts.marks.count("star") + ["prime"] * parts.marks.count("prime"))
        return out + script("_", under) + script("^", above)

    def name(self, tree: Name) -> str:
        if tree.name in ("inf", "pi") and not tree.indices:
            return {"inf": "∞", "pi": "pi"}[tree.name]
        joint = " " if plain_indices(tree.indices) else ", "
        return self.letters(tree.name, joint.join(map(self.show, tree.indices)))

    def num(self, text: str) -> str:
        mantissa, _, exponent = text.lower().partition("e")
        return f"{mantissa} ⋅ 10^({exponent})" if exponent else text

    def prod(self, tree: Prod) -> Rendered:
        out, binds, last = "", MUL, len(tree.factors) - 1
        for place, (op, factor) in enumerate(tree.factors):
            if op == "/":
                above = self.show(tree.factors[0][1]) if place == 1 else out
                out, binds = f"({above})/({self.show(factor)})", MUL
                continue
            text, end = self.fit(factor, inside(factor, tree, place == last))
            out = self.between(op, out, text, factor) if place else text
            binds = min(MUL, end)
        return out, binds

    def between(self, op: str, left: str, right: str, factor: Tree) -> str:
        if op == "*" and (right[0].isdigit() or isinstance(factor, Num)):
            return f"{left}{self.dot}{right}"
        return super().between(op, left, right, factor)

    def pow(self, tree: Pow) -> Rendered:
        base = self.show(tree.base, ATOM)
        if isinstance(tree.base, Name) and "^" in base:
            base = self.brackets(base)
        return base + script("^", self.show(tree.exponent)), POW

    def transpose(self, tree: Transpose) -> str:
        base = self.show(tree.base, ATOM)
        # a star is a superscript already
        return f"attach({base}, t: ⊤)" if isinstance(tree.base, Name) and "^" in base else super().transpose(tree)

    def call(self, tree: Call) -> Rendered:
        row = FUNCTIONS.get(tree.function)
        if row and row.simple and is_simple(tree.args[0]):
            return f"{row.name} {self.show(tree.args[0])}", BARE
        if tree.function == "where":
            condition, yes, no = map(self.show, tree.args)
            return f'cases({yes} & "if " {condition}, {no} & "otherwise")', ATOM
        return self.closed_call(tree), ATOM

    def closed_call(self, tree: Call) -> str:
        args = ", ".join(map(self.show, tree.args))
        if tree.function == "sqrt":
            return f"sqrt({args})"
        row = FUNCTIONS.get(tree.function)
        if row is None:
            return f"{self.letters(tree.function)} ({args})"
        shown = row.text or row.name
        if "{}" in shown:
            left, right = shown.split("{}")
            return f"lr({left} {args} {right})"
        return f"{operator(shown)} ({args})"

    def reduce(self, tree: Reduce) -> Rendered:
        out, left = "", []
        sign = WITH_LIMITS.get(tree.op) or f"op({string(tree.op)}, limits: #true)"
        for binder in tree.binders:
            if binder.lo is None or binder.hi is None:
                left.append(self.letters(binder.name))
            elif tree.op in BIG_SIGNS and tree.guard is None:
                out += f"{sign}_({self.letters(binder.name)} = {self.show(binder.lo)})^({self.show(binder.hi)}) "
            else:
                left.append(self.between_ends(binder))
        if left:
            guard = f" : {self.guard(tree.guard)}" if tree.guard else ""
            out += f"{sign}_({', '.join(left)}{guard}) "
        return out + self.show(tree.body, BIG), BIG

    def between_ends(self, binder: Binder) -> str:
        assert binder.lo is not None
        assert binder.hi is not None
        return f"{self.show(binder.lo)} ≤ {self.letters(binder.name)} ≤ {self.show(binder.hi)}"

    def deriv(self, tree: Deriv) -> str:
        bottom = f"d {self._after_d(tree.bottom)}"
        if tree.second is None:
            return f"(d {self._after_d(tree.top)})/({bottom})"
        return f"(d^2 {self._after_d(tree.top)})/({bottom} thin d {self._after_d(tree.second)})"

    def _after_d(self, name: Name | Deriv) -> str:
        text = self.show(name)
        return text if isinstance(name, Name) else self.brackets(text)


def script(mark: str, text: str) -> str:
    return "" if not text else mark + text if len(text) == 1 else f"{mark}({text})"


def operator(name: str) -> str:
    return name if name in OPERATORS else GREEK.get(name) or f"op({string(name)})"


TYPST = TypstFormat()
