r"""Trees as LaTeX (amsmath).

>>> from symgrad.core.tree import *
>>> LATEX.show(Prod((("*", Num("1")), ("/", Num("2")), ("*", Name("alpha", (Name("j"), Name("i")))))))
'\\frac{1}{2} \\alpha_{ji}'
"""

from __future__ import annotations

from types import MappingProxyType

from symgrad.core.functions import FUNCTIONS
from symgrad.core.greek import LETTERS
from symgrad.core.reductions import REDUCTIONS
from symgrad.core.tree import (
    ATOM,
    BARE,
    BIG,
    MUL,
    ONES,
    POW,
    Binder,
    Bracket,
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

ACCENTS = {"bar": r"\bar", "dot": r"\dot", "hat": r"\hat"}
OPERATORS = {"exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh"}
SPECIAL = str.maketrans({
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
})  # fmt: skip
TALL = (r"\frac", r"\sum", r"\prod", r"\begin", r"\sqrt")


class LatexFormat(Format):
    times, dot, entrywise, top = " ", r" \cdot ", r" \odot ", r"^\top"
    compare_signs = MappingProxyType({"!=": r"\ne", "<=": r"\le", ">=": r"\ge"})

    def brackets(self, text: str) -> str:
        return rf"\left({text}\right)" if any(t in text for t in TALL) else f"({text})"

    def letter(self, name: str) -> str:
        if name == ONES:
            return r"\mathbf{1}"
        if name in LETTERS:
            return name[0] if name == "omicron" else rf"\{name}"
        safe = name.translate(SPECIAL)
        return safe if len(name) == 1 else rf"\mathrm{{{safe}}}"

    def letters(self, name: str, below: str = "") -> str:
        if name.startswith("|"):
            return rf"|{name.strip('|')}|"
        parts = split(name)
        out = self.letter(parts.letter)
        for mark in parts.marks:
            out = f"{ACCENTS[mark]}{{{out}}}" if mark in ACCENTS else out
        safe = parts.below.translate(SPECIAL)
        first = safe if parts.below.isdigit() or len(parts.below) < 2 else rf"\mathrm{{{safe}}}"
        under = ",".join(part for part in (first, below) if part)
        above = "*" * parts.marks.count("star") + r"\prime" * parts.marks.count("prime")
        return (
            out
            + (f"_{under}" if len(under) == 1 else f"_{{{under}}}" if under else "")
            + (f"^{above}" if len(above) == 1 else f"^{{{above}}}" if above else "")
        )

    def name(self, tree: Name) -> str:
        if tree.name in ("inf", "pi") and not tree.indices:
            return {"inf": r"\infty", "pi": r"\pi"}[tree.name]
        joint = "" if plain_indices(tree.indices) else ","
        return self.letters(tree.name, joint.join(self.show(i).replace(" ", "") for i in tree.indices))

    def num(self, text: str) -> str:
        mantissa, _, exponent = text.lower().partition("e")
        return rf"{mantissa} \cdot 10^{{{exponent}}}" if exponent else text

    def prod(self, tree: Prod) -> Rendered:
        out, binds, last = "", MUL, len(tree.factors) - 1
        for place, (op, factor) in enumerate(tree.factors):
            if op == "/":
                out = rf"\frac{{{self._numerator(tree, place, out)}}}{{{self.show(factor)}}}"
                binds = MUL
                continue
            text, end = self.fit(factor, inside(factor, tree, place == last))
            out = self.between(op, out, text, factor) if place else text
            binds = min(MUL, end)
        return out, binds

    def _numerator(self, tree: Prod, place: int, out: str) -> str:
        """What stands before the bar; a single term needs no brackets there."""
        return self.show(tree.factors[0][1]) if place == 1 else out

    def between(self, op: str, left: str, right: str, factor: Tree) -> str:
        if op == "*" and (right[0].isdigit() or isinstance(factor, Num)):
            return rf"{left} \cdot {right}"
        return left + {".": self.dot, "o": self.entrywise}.get(op, " ") + right

    def pow(self, tree: Pow) -> Rendered:
        base = self.show(tree.base, ATOM)
        if isinstance(tree.base, Name) and "^" in base:
            base = f"({base})"
        exponent = self.show(tree.exponent)
        return f"{base}^{exponent}" if len(exponent) == 1 else f"{base}^{{{exponent}}}", POW

    def call(self, tree: Call) -> Rendered:
        row = FUNCTIONS.get(tree.function)
        if row and row.simple and is_simple(tree.args[0]):
            return rf"\{row.name} {self.show(tree.args[0])}", BARE
        if tree.function == "where":
            condition, yes, no = map(self.show, tree.args)
            return rf"\begin{{cases}} {yes} & \text{{if }} {condition} \\ {no} & \text{{otherwise}} \end{{cases}}", ATOM
        return self.closed_call(tree), ATOM

    def closed_call(self, tree: Call) -> str:
        row = FUNCTIONS.get(tree.function)
        args = ", ".join(map(self.show, tree.args))
        if tree.function == "sqrt":
            return rf"\sqrt{{{args}}}"
        if row is None:
            return self.letters(tree.function) + self.brackets(args)
        head = row.latex or (rf"\{row.name}" if row.name in OPERATORS else rf"\operatorname{{{row.name}}}")
        return head.format(args) if "{}" in head else head + self.brackets(args)

    def transpose(self, tree: Transpose) -> str:
        base = self.show(tree.base, ATOM)
        # a star is a superscript already
        return f"{{{base}}}{self.top}" if isinstance(tree.base, Name) and "^" in base else super().transpose(tree)

    def binder(self, binder: Binder) -> str:
        return self.letters(binder.name)

    def reduce(self, tree: Reduce) -> Rendered:
        out, left = "", []
        sign = REDUCTIONS[tree.op].latex if tree.op in REDUCTIONS else rf"\operatorname{{{tree.op}}}"
        stacked = sign in (r"\sum", r"\prod") and tree.guard is None
        for binder in tree.binders:
            if binder.lo is None or binder.hi is None:
                left.append(self.letters(binder.name))
            elif stacked:
                out += rf"{sign}_{{{self.letters(binder.name)}={self.show(binder.lo)}}}^{{{self.show(binder.hi)}}} "
            else:
                left.append(rf"{self.show(binder.lo)} \le {self.letters(binder.name)} \le {self.show(binder.hi)}")
        if left:
            guard = f" : {self.guard(tree.guard)}" if tree.guard else ""
            out += rf"{sign}_{{{', '.join(left)}{guard}}} "
        return out + self.show(tree.body, BIG), BIG

    def deriv(self, tree: Deriv) -> str:
        if tree.second is not None:
            below = rf"d{self._after_d(tree.bottom)} \, d{self._after_d(tree.second)}"
            return rf"\frac{{d^2{self._after_d(tree.top)}}}{{{below}}}"
        return rf"\frac{{d{self._after_d(tree.top)}}}{{d{self._after_d(tree.bottom)}}}"

    def _after_d(self, name: Name | Deriv) -> str:
        text = self.show(name) if isinstance(name, Name) else self.brackets(self.show(name))
        return f" {text}" if text[0] == "\\" else text

    def render(self, tree: Tree) -> Rendered:
        if isinstance(tree, Bracket):
            return rf"\left[{', '.join(map(self.show, tree.conditions))}\right]", ATOM
        return super().render(tree)


LATEX = LatexFormat()
