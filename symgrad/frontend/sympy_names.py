r"""The names in SymPy equations: what each one means in the language, and whether it is a quantity, an index or an extent.

>>> name_in_code(r"\alpha"), name_in_code("y^{*}"), name_in_code("θ_{1}")
('alpha', 'y_star', 'theta_1')

A Symbol's name is only ever compared with a pattern; it is never executed, sympified or parsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef

from symgrad.core.affine import Ends
from symgrad.core.errors import SymgradError
from symgrad.core.functions import FUNCTIONS
from symgrad.core.greek import GREEK
from symgrad.core.reductions import REDUCERS
from symgrad.frontend.syntax import CODE_WORDS, KEYWORDS, LIMITS

MARKS = {
    "^*": "_star", "^{*}": "_star", r"^\star": "_star", r"^{\star}": "_star", r"^\ast": "_star", r"^{\ast}": "_star", "*": "_star",
    "'": "_prime", r"^\prime": "_prime", r"^{\prime}": "_prime",
}  # fmt: skip
SUBSCRIPT = re.compile(r"_\{([A-Za-z0-9]+)\}")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
RESERVED = {*FUNCTIONS, *REDUCERS, *KEYWORDS, *CODE_WORDS, "where", "sqrt", "grad", "pi"}

Quantity = Any  # an IndexedBase, a Symbol, an Indexed or a name


def kind_of(thing: Any) -> str:
    return f"of type {shown(type(thing).__name__)}"


def shown(name: str) -> str:
    """A name from outside as it may stand in a message."""
    return repr(name if len(name) <= 40 else name[:40] + "…")


def name_in_code(name: str) -> str:
    r"""The name in the language of a SymPy name: `y^{*}` is y_star, `\theta_{1}` is theta_1. SG204, SG209, SG503."""
    if len(name) > LIMITS["identifier"]:
        raise SymgradError("SG503", f"the name {shown(name)} has {len(name):,} characters, more than {LIMITS['identifier']}")
    result = _normal(name)
    if not NAME.fullmatch(result) or "__" in result:
        raise SymgradError("SG209", f"{shown(name)} cannot be a name", hint="a name has letters, digits and single _")
    if result in RESERVED:
        raise SymgradError("SG204", f"{result} has a meaning in the language already", hint="choose another name for the quantity")
    return result


def _normal(name: str) -> str:
    stem, ending = name, ""
    while mark := next((mark for mark in MARKS if stem.endswith(mark)), None):
        stem, ending = stem.removesuffix(mark), MARKS[mark] + ending
    stem = SUBSCRIPT.sub(r"_\1", stem.removeprefix("\\"))
    return "".join(GREEK.get(c, c) for c in stem) + ending


def called_name(call: Any) -> str:
    """The name in the language of what an applied undefined function calls, whether or not there is such a function."""
    name = call.func.__name__
    return _normal(name) if len(name) <= LIMITS["identifier"] else name


def is_reducing(node: Any) -> bool:
    """True of a reduction other than Sum and Product: Function("max")(body, (i, lo, hi))."""
    if not isinstance(node, AppliedUndef) or called_name(node) not in REDUCERS:
        return False
    return len(node.args) > 1 and all(isinstance(limit, sp.Tuple) for limit in node.args[1:])


def quantity_name(item: Quantity) -> str:
    """The name of an IndexedBase, a Symbol, an Indexed or a str."""
    if isinstance(item, str):
        return name_in_code(item)
    label = item
    if isinstance(label, sp.Indexed):
        label = label.base
    if isinstance(label, (sp.IndexedBase, sp.Idx)):
        label = label.label
    if not isinstance(label, sp.Symbol):
        raise SymgradError("SG209", f"a name is expected, this is {kind_of(label)}", hint="give a Symbol, an IndexedBase or a str")
    return name_in_code(label.name)


QUANTITIES = (str, sp.Symbol, sp.Indexed, sp.IndexedBase)


def leaves(root: Any, place: str) -> Iterator[tuple[Any, str]]:
    """Every Symbol, Idx and IndexedBase of an expression with its place: "value", "index", "bound", "open", "end" or "base".

    The Indexed themselves come with "access"; an index bound without ends is "open".
    """
    stack, seen = [(root, place)], set()
    while stack:
        here = node, place = stack.pop()
        if here in seen:
            continue
        seen.add(here)
        parts: list[tuple[Any, str]] = [(arg, place) for arg in node.args]
        if isinstance(node, (sp.Symbol, sp.Idx, sp.IndexedBase)):
            yield node, "base" if isinstance(node, sp.IndexedBase) else place
            parts = [(end, "end") for end in (_range(node) or getattr(node, "shape", None) or ())]
        elif isinstance(node, sp.Indexed):
            yield node, "access"
            parts = [(arg, "index") for arg in node.args]
        elif isinstance(node, (sp.Sum, sp.Product)) or is_reducing(node):
            parts = [(node.args[0], place)]
            for limit in node.args[1:]:
                parts += [(arg, "end" if k else "bound" if len(limit) > 1 else "open") for k, arg in enumerate(limit)]
        stack.extend(reversed(parts))


def _range(node: Any) -> tuple[Any, ...]:
    return () if not isinstance(node, sp.Idx) or node.lower is None or node.upper is None else (node.lower, node.upper)


@dataclass
class Names:
    """What each name of a model is: a quantity, or an index or extent."""

    quantities: set[str]
    defined: frozenset[str] = frozenset()
    indices: set[str] = field(default_factory=set)
    ranges: dict[str, Ends] = field(default_factory=dict)  # as SymPy has them
    bound: set[str] = field(default_factory=set)
    loops: set[str] = field(default_factory=set)  # what certainly runs, and is the end of no range
    ends: set[str] = field(default_factory=set)
    symbols: dict[str, Any] = field(default_factory=dict)  # the Symbol behind each quantity

    @classmethod
    def of(cls, models: Sequence[Sequence[tuple[Any, str]]], defined: Iterable[str], declared: Iterable[str]) -> Names:
        """From the leaves of every equation, function and declared end."""
        bases = {quantity_name(leaf) for leaves in models for leaf, place in leaves if place == "base"}
        names = cls({*defined, *declared, *bases}, frozenset(defined))
        for leaves in models:
            names.collect_indices(leaves)
        names.collect_shapes([leaf for leaves in models for leaf, place in leaves if place == "access"])
        for leaves in models:
            names.collect_symbols(leaves)
        return names

    @property
    def sizes(self) -> frozenset[str]:
        """Names in the ends of ranges that are no index: left of =, h[T] is one cell."""
        return frozenset(self.ends - self.loops - set(self.ranges))

    def collect_indices(self, leaves: Iterable[tuple[Any, str]]) -> None:
        """SG205, SG208, SG304, SG305 where a name cannot be an index."""
        here: dict[str, Any] = {}
        for leaf, place in leaves:
            if place in ("base", "access") or (place == "value" and not isinstance(leaf, sp.Idx)):
                continue
            name = quantity_name(leaf)
            if name in self.quantities and (place != "index" or isinstance(leaf, sp.Idx)):
                code, what = ("SG304", "the end of a range") if place == "end" else ("SG205", "an index")
                raise SymgradError(code, f"{name} is {what} and a quantity", hint="rename one of them")
            if here.setdefault(name, leaf) != leaf:
                raise SymgradError("SG208", f"two SymPy objects in one equation are named {name}", hint="use one for both")
            if name not in self.quantities:
                self.indices.add(name)
            self.note(name, leaf, place)
            self.declare(name, _range(leaf))

    def note(self, name: str, leaf: Any, place: str) -> None:
        if place == "bound":
            self.bound.add(name)
        elif place == "end":
            self.ends.add(name)
        if place in ("bound", "open") or isinstance(leaf, sp.Idx):
            self.loops.add(name)

    def collect_shapes(self, reads: Iterable[Any]) -> None:
        """A shape gives the range of an index that has none; h[T] of the shape T + 1 is a cell."""
        ranged = self.bound | set(self.ranges)
        for read in reads:
            for index, extent in zip(read.indices, read.base.shape or (), strict=False):
                if not isinstance(index, (sp.Symbol, sp.Idx)) or index in extent.free_symbols:
                    continue
                if quantity_name(index) in self.indices - ranged:
                    self.declare(quantity_name(index), (sp.S.Zero, extent - 1))

    def declare(self, name: str, ends: tuple[Any, ...]) -> None:
        if ends and self.ranges.setdefault(name, (ends[0], ends[1])) != ends:
            both = " and over ".join("..".join(map(str, pair)) for pair in (self.ranges[name], ends))
            raise SymgradError("SG305", f"the index {name} runs over {both}", hint="use two indices")

    def collect_symbols(self, leaves: Iterable[tuple[Any, str]]) -> None:
        """SG208 where Symbols that SymPy holds apart would become one quantity."""
        for leaf, place in leaves:
            symbol = leaf.label if place == "base" else leaf
            if place not in ("base", "value") or isinstance(leaf, sp.Idx) or quantity_name(symbol) in self.indices:
                continue
            if not symbol.is_commutative:
                raise SymgradError("SG132", f"{shown(symbol.name)} does not commute", hint="all quantities are real numbers")
            name = quantity_name(symbol)
            if _identity(self.symbols.setdefault(name, symbol)) != _identity(symbol):
                raise SymgradError("SG208", f"two different SymPy symbols are named {name}", hint="give both the same assumptions")


def _identity(symbol: Any) -> Any:
    """What tells Symbols apart besides the name."""
    return symbol if isinstance(symbol, sp.Dummy) else symbol.assumptions0
