r"""Program → LaTeX that reads back as the same program: `parse_latex(program_latex(p)) == p`.

Names and indices are written so that they have one reading: \alpha_{ji}, u_1 where u has no index, and \mathrm{h0}[0] where a
subscript would not be clear. Declarations stand as words: \text{input } x_i, y^*.

>>> from symgrad.core.tree import *
>>> ModelFormat(frozenset()).show(Name("alpha", (Name("j"), Name("i"))))
'\\alpha_{ji}'
"""

from __future__ import annotations

import re

from symgrad.core.greek import LETTERS
from symgrad.core.layout import Layout
from symgrad.core.program import Program, Statement, Tensor, a_program, whole_axis
from symgrad.core.source import adds_up, right_source
from symgrad.core.tree import ATOM, POW, Binder, Call, Name, Num, Pow, Reduce, Rendered, Tree
from symgrad.printers.latex import LatexFormat

MARKS = {"bar": r"\bar", "hat": r"\hat", "dot": r"\dot", "tilde": r"\tilde"}
LETTER_NAMES = frozenset(LETTERS) - {"omicron", "sigma", "pi"}


class ModelFormat(LatexFormat):
    r"""As `LatexFormat`, with names that have one reading. `indexed` are those that have indices somewhere."""

    def __init__(self, indexed: frozenset[str]):
        self.indexed = indexed

    def stem(self, name: str) -> str:
        head, _, mark = name.rpartition("_")
        if head and mark in MARKS and not head.endswith("_"):
            return rf"{MARKS[mark]}{{{self.stem(head)}}}"
        if head and mark in ("star", "prime") and not head.endswith("_"):
            inner = self.stem(head)
            inner = f"{{{inner}}}" if inner.endswith("^*") else inner
            return f"{inner}^*" if mark == "star" else f"{inner}'"
        if (name in LETTER_NAMES or name == "sigma") or (len(name) == 1 and name.isalpha() and name != "d"):
            return rf"\{name}" if name in LETTERS else name
        split = re.fullmatch(r"([A-Za-z])_([0-9])", name)
        if split and split[1] not in self.indexed and split[1] not in ("d", "e"):
            return f"{split[1]}_{split[2]}"
        return rf"\mathrm{{{name.replace('_', chr(92) + '_')}}}"

    def letters(self, name: str, below: str = "") -> str:
        return self.stem(name)

    def name(self, tree: Name) -> str:
        if tree.name == "pi" and not tree.indices:
            return r"\pi"
        stem = self.stem(tree.name)
        if not tree.indices:
            return stem
        inside = [self.show(index) for index in tree.indices]
        letters = all(isinstance(i, Name) and not i.indices and re.fullmatch(r"[A-Za-z]|\\[a-z]+", t) and i.name in (*LETTERS, t)
                      for i, t in zip(tree.indices, inside, strict=True))  # fmt: skip
        if letters and "_" not in stem:
            below = "".join(text if text[0] != "\\" else f"{text} " for text in inside).strip()
            return f"{self.under(stem, below)}"
        return f"{stem}[{', '.join(inside)}]"

    def under(self, stem: str, below: str) -> str:
        return f"{stem}_{below}" if len(below) == 1 else f"{stem}_{{{below}}}"

    def num(self, text: str) -> str:
        mantissa, _, exponent = text.lower().partition("e")
        return rf"({mantissa} \cdot 10^{{{exponent}}})" if exponent else text

    def pow(self, tree: Pow) -> Rendered:
        base = self.show(tree.base, ATOM)
        if isinstance(tree.base, Name) and (set("^'[") & set(base) or base == "e" or self.show(tree.exponent) == "T"):
            base = f"({base})"
        return f"{base}^{{{self.show(tree.exponent)}}}", POW

    def call(self, tree: Call) -> Rendered:
        if tree.function == "where":
            return super().call(tree)
        return self.closed_call(tree), ATOM

    def closed_call(self, tree: Call) -> str:
        args = ", ".join(map(self.show, tree.args))
        if tree.function == "sqrt" and len(tree.args) == 1:
            return rf"\sqrt{{{args}}}"
        if tree.function in ("exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "max", "min"):
            return rf"\{tree.function}{self.brackets(args)}"
        if tree.function in self.functions:
            return self.stem(tree.function) + self.brackets(args)
        return rf"\operatorname{{{tree.function.replace('_', chr(92) + '_')}}}" + self.brackets(args)

    functions: frozenset[str] = frozenset()

    def between(self, op: str, left: str, right: str, factor: Tree) -> str:
        r"""A \cdot where what stands side by side would read as a call or as indices."""
        if op == "*" and (
            right[0].isdigit() or isinstance(factor, Num) or right.startswith((r"\left", "(", "[")) or left[-1:].isdigit()
        ):
            return rf"{left} \cdot {right}"
        return super().between(op, left, right, factor)

    def compared(self, tree: Tree | None) -> str:
        return f" : {self.guard(tree)}" if tree is not None else ""

    def reduce(self, tree: Reduce) -> Rendered:
        """Every range below the sign, so that all reductions are written alike."""
        sign = {"sum": r"\sum", "prod": r"\prod", "max": r"\max", "min": r"\min"}.get(tree.op, rf"\operatorname{{{tree.op}}}")
        if tree.op in ("sum", "prod") and len(tree.binders) == 1 and tree.guard is None and tree.binders[0].lo is not None:
            one = tree.binders[0]
            assert one.lo is not None
            assert one.hi is not None
            below = rf"_{{{self.stem(one.name)}={self.show(one.lo)}}}^{{{self.show(one.hi)}}}"
        else:
            below = rf"_{{{', '.join(map(self.binder, tree.binders))}{self.compared(tree.guard)}}}"
        return rf"{sign}{below} {self.show(tree.body, 22)}", 22

    def binder(self, binder: Binder) -> str:
        if binder.lo is None or binder.hi is None:
            return self.stem(binder.name)
        return rf"{self.stem(binder.name)} \in \{{{self.show(binder.lo)}, \dots, {self.show(binder.hi)}\}}"


def program_latex(program: Program) -> str:
    r"""A whole program as one `aligned` display: words for declarations, then the equations in the user's order."""
    fmt = ModelFormat(frozenset(_indexed(a_program(program))))
    fmt.functions = frozenset(program.functions)
    layout = Layout.of(program)
    lines = []
    if program.ranges:
        ranges = ", ".join(fmt.binder(Binder(str(i.symbol), layout.tree(i.lo), layout.tree(i.hi))) for i in program.ranges.values())
        lines.append(rf"& \text{{index }} {ranges}")
    for role in ("input", "param", "const"):
        chosen = [t for n in program.free if (t := program.tensors[n]).role == role and t.declared]
        if chosen:
            lines.append(rf"& \text{{{role} }} {', '.join(_declared(t, layout, fmt) for t in chosen)}")
    for name, function in program.functions.items():
        if not name.endswith("_prime"):
            parameters = ", ".join(fmt.stem(p.name) for p in function.parameters)
            lines.append(f"{fmt.stem(name)}({parameters}) &= {fmt.show(function.typed or layout.tree(function.body))}")
    for left, right in program.assumptions:
        lines.append(rf"& \text{{assume }} {fmt.show(layout.tree(left))} = {fmt.show(layout.tree(right))}")
    lines += [_statement(statement, program, layout, fmt) for statement in program]
    if program.loss and program.goal:
        lines.append(rf"& \text{{{program.goal} }} {fmt.stem(program.loss)}")
    return "\\begin{aligned}\n  " + " \\\\\n  ".join(lines) + "\n\\end{aligned}"


def _indexed(program: Program) -> list[str]:
    names = [name for name, tensor in program.tensors.items() if tensor.axes]
    return [*names, *(str(index.symbol) for index in program.ranges.values())]


def _declared(tensor: Tensor, layout: Layout, fmt: ModelFormat) -> str:
    binders = [layout.binder(axis.limit) for axis in tensor.axes]
    if any(b.lo is not None for b in binders):
        text = f"{fmt.stem(tensor.name)}[{', '.join(map(fmt.binder, binders))}]"
    else:
        text = fmt.show(Name(tensor.name, tuple(Name(b.name) for b in binders)))
    if tensor.values is None:
        return text
    low, high = (fmt.show(layout.tree(end)) for end in tensor.values)
    return rf"{text} \in \{{{low}, \dots, {high}\}}"


def _statement(statement: Statement, program: Program, layout: Layout, fmt: ModelFormat) -> str:
    ranges = []
    for index in statement.outer:
        declared = program.ranges.get(str(index.symbol))
        if declared != index and (index.lo, index.hi) != whole_axis(str(index.symbol)):
            ranges.append(fmt.binder(layout.binder(index.limit)))
    every = rf" \quad \forall {', '.join(ranges)}" if ranges else ""
    op = r"\mathrel{+}=" if adds_up(statement, program) else "="
    return f"{fmt.show(layout.access(statement.target))} &{op} {fmt.show(right_source(statement, program, layout))}{every}"
