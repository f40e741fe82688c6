r"""Names in LaTeX: letters, subscripts and decorations → names and indices of the language.

    \alpha_{ji}        alpha[j,i]          u_1            u_1, unless u is used with an index elsewhere
    y_k^*              y^*[k]              h^{(t)}_j      h[t,j]
    x'                 x'                  a_{\text{in}}  a_in

What may be read in two ways is decided by how the same name is used elsewhere (`Known`), else refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from symgrad.core.errors import Span, SymgradError
from symgrad.core.source import SOURCE
from symgrad.core.tree import Name, Num, Prod, Tree


@dataclass
class Known:
    """What a first reading found; the second (`final`) relies on it. `notes` says how rules were applied, in order.

    `model`: the quantities of the model that a claim is about, with their number of indices.
    """

    final: bool = False
    functions: set[str] = field(default_factory=set)
    quantities: set[str] = field(default_factory=set)
    ranks: dict[str, set[int]] = field(default_factory=dict)
    spellings: dict[str, dict[str, Span]] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    model: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of_model(cls, quantities: Mapping[str, int], functions: Iterable[str]) -> Known:
        """What is known before a claim about a model is read."""
        ranks = {name: {rank} for name, rank in quantities.items()}
        return cls(functions=set(functions), quantities=set(quantities), ranks=ranks, model=quantities)

    def note(self, text: str) -> None:
        if self.final:
            self.notes.setdefault(text)

    def again(self) -> Known:
        """For the second reading."""
        return Known(True, self.functions, self.quantities, self.ranks, model=self.model)

    def spelled(self, name: str, form: str, span: Span) -> None:
        """SG138 where two notations would become one name."""
        found = self.spellings.setdefault(name, {})
        found.setdefault(form, span)
        if len(found) > 1:
            (first, place), (second, _) = list(found.items())[:2]
            message = f"{second} and {first} (line {place.line}, column {place.column}) would both be named {name}"
            raise SymgradError("SG138", message, span, "rename one of them")


@dataclass(frozen=True)
class Element:
    """What stands between commas in a subscript: `atoms` side by side, or one expression with operators."""

    atoms: tuple[Tree, ...]
    words: str = ""
    span: Span | None = None

    @property
    def lone_number(self) -> str:
        atom = self.atoms[0] if len(self.atoms) == 1 else None
        return atom.text if isinstance(atom, Num) and atom.text.isdigit() else ""


def resolved(base: str, elements: tuple[Element, ...], known: Known) -> tuple[str, tuple[Tree, ...]]:
    """The name and the indices that a subscript gives."""
    words = "".join(f"_{e.words}" for e in elements if e.words)
    plain = tuple(e for e in elements if not e.words)
    base += words
    if not plain:
        return base, ()
    if known.model:
        base, plain = _named(base, plain, known.model)
        if not plain:
            return base, ()
    ranks = known.ranks.get(base, set())
    if len(plain) == 1 and plain[0].lone_number:
        return _number(base, plain[0], ranks, known)
    indices: list[Tree] = []
    certain = True
    for element in plain:
        found, sure = _indices(base, element, len(plain), ranks, known)
        indices, certain = indices + found, certain and sure
    if certain:
        known.ranks.setdefault(base, set()).add(len(indices))
    return base, tuple(indices)


def _named(base: str, elements: tuple[Element, ...], model: Mapping[str, int]) -> tuple[str, tuple[Element, ...]]:
    """W_{K,dc} is W_K[d,c] where the model has W_K, and no W with as many indices."""
    first, *others = elements
    atom = first.atoms[0] if len(first.atoms) == 1 else None
    letter = atom.name if isinstance(atom, Name) and not atom.indices else first.lone_number
    longer = f"{base}_{letter}"
    count = sum(len(element.atoms) for element in others)
    if letter and model.get(longer) == count and model.get(base) != count + 1:
        return longer, tuple(others)
    return base, elements


def _number(base: str, element: Element, ranks: set[int], known: Known) -> tuple[str, tuple[Tree, ...]]:
    """u_1 is a name of its own, x_0 beside x_i a cell of x."""
    digits = element.lone_number
    if 1 in ranks:
        known.note(f"{base}_{digits} read as the cell {digits} of {base}, which has an index elsewhere")
        return base, element.atoms
    if len(digits) == 1:
        known.note(f"{base}_{digits} read as a name of its own, since {base} has no index elsewhere")
        return f"{base}_{digits}", ()
    if len(ranks) == 1 and len(digits) in ranks:
        return base, tuple(Num(digit, element.span) for digit in digits)
    if known.final:
        hint = f"write {base}_{{{','.join(digits)}}} for indices, or \\mathrm{{{base}{digits}}} for a name"
        message = f"the subscript {digits} may be the indices {', '.join(digits)} or the number {digits}"
        raise SymgradError("SG137", message, element.span, hint)
    return base, element.atoms


def _indices(base: str, element: Element, parts: int, ranks: set[int], known: Known) -> tuple[list[Tree], bool]:
    """The indices of one element, and whether there was no other reading."""
    first = element.atoms[0]
    if len(element.atoms) == 1 or not isinstance(first, Num) or first.text == "0":
        return list(element.atoms), True
    two = len(element.atoms) == 2
    product: Tree = Prod(tuple(("*", atom) for atom in element.atoms), element.span)
    if (two and parts > 1) or (two and ranks == {1}):
        return [product], parts > 1
    if len(ranks) == 1 and len(element.atoms) in ranks and len(first.text) == 1:
        return list(element.atoms), False
    if known.final:
        shown = element.span.text if element.span else first.text
        message = f"the subscript {shown} may be {len(element.atoms)} indices or a product"
        raise SymgradError("SG137", message, element.span, f"write {base}_{{{first.text},…}} or {base}_{{{first.text} \\cdot …}}")
    return list(element.atoms), False


def note_name(name: Name, known: Known) -> None:
    """For --explain: how a name with a subscript or a decoration was read."""
    if known.final and name.span is not None and name.span.text != SOURCE.show(name):
        shown = " ".join(name.span.text.split())
        known.note(f"{shown} read as {SOURCE.show(name)}")
