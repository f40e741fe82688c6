"""Trees as Unicode text for a terminal.

>>> from symgrad.core.tree import *
>>> TEXT.show(Prod((("*", Num("3")), ("*", Pow(Name("alpha", (Name("j"), Name("i"))), Num("2"))))))
'3α_ji²'
"""

from __future__ import annotations

from types import MappingProxyType

from symgrad.core.functions import FUNCTIONS
from symgrad.core.greek import LETTERS
from symgrad.core.reductions import REDUCTIONS
from symgrad.core.tree import ATOM, BARE, BIG, POW, Binder, Call, Deriv, Format, Name, Num, Pow, Prod, Reduce, Rendered, Tree
from symgrad.printers.names import plain_indices, split

BELOW = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
ABOVE = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
MARKS = {"star": "*", "prime": "′", "bar": "\u0304", "dot": "\u0307", "hat": "\u0302"}


def is_simple(tree: Tree) -> bool:
    """What may follow log or sin without brackets."""
    return isinstance(tree, Name | Num) or (
        isinstance(tree, Prod)
        and len(tree.factors) == 2
        and isinstance(tree.factors[0][1], Num)
        and isinstance(tree.factors[1][1], Name)
        and tree.factors[1][0] == "*"
    )


class TextFormat(Format):
    times, dot, minus = " ", " · ", "−"
    compare_signs = MappingProxyType({"!=": "≠", "<=": "≤", ">=": "≥"})

    def letters(self, name: str) -> str:
        parts = split(name)
        letter = LETTERS.get(parts.letter, parts.letter)
        below = parts.below.translate(BELOW) if parts.below.isdigit() else f"_{parts.below}" * bool(parts.below)
        return letter + "".join(MARKS[m] for m in parts.marks if m != "star") + below + "*" * parts.marks.count("star")

    def name(self, tree: Name) -> str:
        if not tree.indices:
            return self.letters(tree.name)
        if plain_indices(tree.indices):
            return f"{self.letters(tree.name)}_{''.join(map(self.show, tree.indices))}"
        return f"{self.letters(tree.name)}_{{{','.join(self.show(i).replace(' ', '') for i in tree.indices)}}}"

    def between(self, op: str, left: str, right: str, factor: Tree) -> str:
        if op != "*":
            return super().between(op, left, right, factor)
        digits = left[-1:].isdigit() and left.replace(".", "").isdigit()
        if isinstance(factor, Num):
            return f"{left}·{right}"
        if isinstance(factor, Deriv) or (left.startswith("d") and "/d" in left.rpartition(" ")[2]):
            return f"{left} · {right}"
        return left + ("" if digits and (isinstance(factor, Name | Pow) or right[0] == "(") else " ") + right

    def pow(self, tree: Pow) -> Rendered:
        exponent = self.show(tree.exponent)
        plain = exponent.replace("−", "-")
        if plain.lstrip("-").isdigit():
            return self.show(tree.base, ATOM) + plain.translate(ABOVE), POW
        return f"{self.show(tree.base, ATOM)}^{self.show(tree.exponent, ATOM)}", POW

    def call(self, tree: Call) -> Rendered:
        row = FUNCTIONS.get(tree.function)
        if row and row.simple and is_simple(tree.args[0]):
            return f"{row.name} {self.show(tree.args[0])}", BARE
        if tree.function == "where":
            condition, yes, no = map(self.show, tree.args)
            return f"({yes} if {condition} else {no})", ATOM
        return self.closed_call(tree), ATOM

    def closed_call(self, tree: Call) -> str:
        row = FUNCTIONS.get(tree.function)
        if tree.function == "sqrt" and isinstance(tree.args[0], Name | Num):
            return f"√{self.show(tree.args[0])}"
        name = (row.text or row.name) if row else "√" if tree.function == "sqrt" else self.letters(tree.function)
        args = ", ".join(map(self.show, tree.args))
        return name.format(args) if "{}" in name else f"{name}({args})"

    def binder(self, binder: Binder) -> str:
        if binder.lo is None or binder.hi is None:
            return self.letters(binder.name)
        return f"{self.letters(binder.name)}={self.show(binder.lo)}..{self.show(binder.hi)}"

    def reduce(self, tree: Reduce) -> Rendered:
        sign = REDUCTIONS[tree.op].text if tree.op in REDUCTIONS else tree.op
        limits = ", ".join(map(self.binder, tree.binders)) + (f": {self.guard(tree.guard)}" if tree.guard else "")
        limits = f"_{limits}" if limits.isalpha() and len(limits) == 1 else f"_{{{limits}}}"
        return f"{sign}{limits} {self.show(tree.body, BIG)}", BIG

    def deriv(self, tree: Deriv) -> str:
        if tree.second is not None:
            return f"d²{self.show(tree.top)}/d{self.show(tree.bottom)}d{self.show(tree.second)}"
        top, bottom = (self.brackets(self.show(t)) if isinstance(t, Deriv) else self.show(t) for t in (tree.top, tree.bottom))
        return f"d{top}/d{bottom}"


TEXT = TextFormat()
