"""The syntax tree shared by the parsers (with positions) and the printers, and how brackets are set.

A sum or a product is one node however long it is, so long equations do not nest deeply.

>>> tree = Prod((("*", Num("2")), ("*", Sum(((1, Name("a")), (-1, Name("b")))))))
>>> Format().show(tree)
'2*(a - b)'
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import TypeAlias

from symgrad.core.errors import Span

# how tightly a form binds; a child that binds less than its place asks for gets brackets
COMPARE, ADD, BIG, BARE, MUL, POW, ATOM = 10, 20, 22, 25, 30, 40, 100


@dataclass(frozen=True)
class Num:
    text: str
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Name:
    """A scalar, an index, or an access `name[indices]`."""

    name: str
    indices: tuple[Tree, ...] = ()
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Sum:
    """Terms with their signs, in the order they were written."""

    terms: tuple[tuple[int, Tree], ...]
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Prod:
    """Factors with "*", "/", "." (a product that is always shown, as in a chain rule) or "o" (entry by entry) before each."""

    factors: tuple[tuple[str, Tree], ...]
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Pow:
    base: Tree
    exponent: Tree
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Call:
    """A function of the table, `where(condition, a, b)`, or one that the user defined."""

    function: str
    args: tuple[Tree, ...]
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Binder:
    """`i in lo..hi`; both ends None when the range is declared or comes from the arrays."""

    name: str
    lo: Tree | None = None
    hi: Tree | None = None
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Reduce:
    op: str
    body: Tree
    binders: tuple[Binder, ...]
    guard: Tree | None = None
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Compare:
    """`left op right`; for print, `right` may be a comparison again: 0 <= n - 2i <= K - 1."""

    op: str
    left: Tree
    right: Tree
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Deriv:
    """`d top / d bottom`, or with `second` the second derivative; read in claims alone."""

    top: Name | Deriv
    bottom: Name | Deriv
    second: Name | None = None
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Bracket:
    """Iverson's bracket: 1 where all conditions hold, else 0; printed only."""

    conditions: tuple[Tree, ...]


@dataclass(frozen=True)
class Transpose:
    """A whole array transposed; printed, and read in claims."""

    base: Tree
    span: Span | None = field(default=None, compare=False)


ONES = "𝟏"  # the name of the vector of ones

Tree: TypeAlias = Num | Name | Sum | Prod | Pow | Call | Reduce | Compare | Deriv | Bracket | Transpose

Rendered: TypeAlias = tuple[str, int]


def names_in_order(tree: Tree) -> Iterator[str]:
    """Names as they stand from left to right."""
    stack: list[Tree] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, Name):
            yield node.name
        stack.extend(reversed(children(node)))


def place_of(tree: Tree, name: str) -> Span | None:
    """Where a function or a reduction is first called, as typed."""
    stack: list[Tree] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, Call | Reduce) and name == (node.function if isinstance(node, Call) else node.op):
            return node.span
        stack.extend(reversed(children(node)))
    return None


def children(tree: Tree) -> list[Tree]:
    match tree:
        case Name():
            return list(tree.indices)
        case Sum():
            return [term for _, term in tree.terms]
        case Prod():
            return [factor for _, factor in tree.factors]
        case Pow():
            return [tree.base, tree.exponent]
        case Call():
            return list(tree.args)
        case Reduce():
            ends = [end for b in tree.binders for end in (b.lo, b.hi) if end is not None]
            return [tree.body, *([tree.guard] if tree.guard is not None else []), *ends]
        case Compare():
            return [tree.left, tree.right]
        case Bracket():
            return list(tree.conditions)
        case Transpose():
            return [tree.base]
    return []


def depth(tree: Tree) -> int:
    """How deeply a tree nests."""
    deepest, stack = 0, [(tree, 1)]
    while stack:
        node, level = stack.pop()
        deepest = max(deepest, level)
        stack.extend((child, level + 1) for child in children(node))
    return deepest


def map_tree(tree: Tree, rule: Callable[[Tree], Tree]) -> Tree:
    """Bottom-up, `rule` on every node."""
    again = partial(map_tree, rule=rule)
    match tree:
        case Name():
            tree = replace(tree, indices=tuple(map(again, tree.indices)))
        case Sum():
            tree = replace(tree, terms=tuple((sign, again(term)) for sign, term in tree.terms))
        case Prod():
            tree = replace(tree, factors=tuple((op, again(factor)) for op, factor in tree.factors))
        case Pow():
            tree = replace(tree, base=again(tree.base), exponent=again(tree.exponent))
        case Call():
            tree = replace(tree, args=tuple(map(again, tree.args)))
        case Reduce():
            tree = replace(tree, body=again(tree.body), guard=tree.guard and again(tree.guard))
        case Compare():
            tree = replace(tree, left=again(tree.left), right=again(tree.right))
        case Transpose():
            tree = replace(tree, base=again(tree.base))
    return rule(tree)


def inside(factor: Tree, product: Prod, last: bool) -> int:
    """What a factor must bind: ⊙ and the matrix product stand in brackets within one another."""
    ops = [{op for op, _ in each.factors[1:]} for each in (factor, product) if isinstance(each, Prod)]
    if len(ops) > 1 and ops[0] != ops[1] and "o" in ops[0] | ops[1]:
        return POW
    return BIG if last else MUL


class Format:
    """One-line rendering in the text language; other formats override what they write differently."""

    times, dot, minus, entrywise, top = "*", "*", "-", " ⊙ ", "ᵀ"
    compare_signs: Mapping[str, str] = MappingProxyType({"=": "=="})

    def show(self, tree: Tree, least: int = 0) -> str:
        """The text of a tree, in brackets where it binds less than `least`."""
        # no call of `fit`: a deep tree has no frame to spare
        text, binds = self.render(tree)
        return text if binds >= least else self.closed(tree, text)

    def fit(self, tree: Tree, least: int) -> Rendered:
        """As `show`, with how tightly the text binds as it now stands."""
        text, binds = self.render(tree)
        return (text, binds) if binds >= least else (self.closed(tree, text), ATOM)

    def closed(self, tree: Tree, text: str) -> str:
        return self.closed_call(tree) if isinstance(tree, Call) else self.brackets(text)

    def render(self, tree: Tree) -> Rendered:
        match tree:
            case Num():
                return self.num(tree.text), ATOM
            case Name():
                return self.name(tree), ATOM
            case Sum():
                return self.sum(tree), ADD
            case Prod():
                return self.prod(tree)
            case Pow():
                return self.pow(tree)
            case Call():
                return self.call(tree)
            case Reduce():
                return self.reduce(tree)
            case Compare():
                sign = self.compare_signs.get(tree.op, tree.op)
                right = self.show(tree.right, COMPARE if isinstance(tree.right, Compare) else ADD)
                return f"{self.show(tree.left, ADD)} {sign} {right}", COMPARE
            case Deriv():
                return self.deriv(tree), ATOM
            case Bracket():
                return f"[{', '.join(map(self.show, tree.conditions))}]", ATOM
            case Transpose():
                return self.transpose(tree), POW

    def transpose(self, tree: Transpose) -> str:
        base = self.show(tree.base, ATOM)
        return (self.brackets(base) if isinstance(tree.base, Deriv) else base) + self.top

    def guard(self, tree: Tree) -> str:
        """The condition of a reduction; several stand side by side."""
        return ", ".join(map(self.show, tree.conditions)) if isinstance(tree, Bracket) else self.show(tree)

    def brackets(self, text: str) -> str:
        return f"({text})"

    def num(self, text: str) -> str:
        return text

    def name(self, tree: Name) -> str:
        if not tree.indices:
            return tree.name
        return f"{tree.name}[{','.join(map(self.show, tree.indices))}]"

    def sum(self, tree: Sum) -> str:
        (sign, first), *rest = tree.terms
        out = (self.minus if sign < 0 else "") + self.show(first, BIG)
        for sign, term in rest:
            out += f" {self.minus if sign < 0 else '+'} {self.show(term, BIG)}"
        return out

    def prod(self, tree: Prod) -> Rendered:
        """Only the last factor may be left open at its end, as `log y` and a big sum are."""
        out, binds, last = "", MUL, len(tree.factors) - 1
        for place, (op, factor) in enumerate(tree.factors):
            text, end = self.fit(factor, POW if op == "/" else inside(factor, tree, place == last))
            out = self.between(op, out, text, factor) if place else text
            binds = MUL if op == "/" else min(MUL, end)
        return out, binds

    def between(self, op: str, left: str, right: str, factor: Tree) -> str:
        """The product so far with one more factor."""
        return left + {"*": self.times, ".": self.dot, "/": "/", "o": self.entrywise}[op] + right

    def pow(self, tree: Pow) -> Rendered:
        return f"{self.show(tree.base, ATOM)}^{self.show(tree.exponent, POW)}", POW

    def call(self, tree: Call) -> Rendered:
        return f"{self.function_name(tree.function)}({', '.join(map(self.show, tree.args))})", ATOM

    def function_name(self, name: str) -> str:
        return name

    def closed_call(self, tree: Call) -> str:
        """A call with its brackets, where it must not run into what follows."""
        return self.call(tree)[0]

    def binder(self, binder: Binder) -> str:
        if binder.lo is None or binder.hi is None:
            return binder.name
        return f"{binder.name} in {self.show(binder.lo)}..{self.show(binder.hi)}"

    def reduce(self, tree: Reduce) -> Rendered:
        # one "for" each: a range after several names would be read as the range of them all
        loops = " ".join(f"for {self.binder(b)}" for b in tree.binders)
        guard = f" if {self.guard(tree.guard)}" if tree.guard else ""
        return f"{tree.op}({self.show(tree.body)} {loops}{guard})", ATOM

    def deriv(self, tree: Deriv) -> str:
        if tree.second is not None:
            return f"d^2{self.show(tree.top)}/(d{self.show(tree.bottom)} d{self.show(tree.second)})"
        return f"d{self.show(tree.top)}/d{self.show(tree.bottom)}"
