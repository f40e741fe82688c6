"""What `derive` returns: the forward and backward programs, and their printed forms.

>>> import symgrad as sg
>>> print(sg.derive(sg.parse("y = 1/(1 + exp(-a)); J = (y - t)^2/2"), wrt=["a"]).text())
Forward             │ Backward
────────────────────┼────────────────────────────────────────────────────────
J = (y − t)²/2      │ dJ/dy = y − t
y = 1/(1 + exp(−a)) │ dJ/da = dJ/dy · dy/da,   dy/da = exp(−a)/(1 + exp(−a))²
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp
from sympy import Expr

from symgrad.core.collector import rare_collections
from symgrad.core.drawing import Drawing
from symgrad.core.errors import SymgradError, did_you_mean
from symgrad.core.evaluate import evaluate
from symgrad.core.expr import access, free_indices, indices_of, is_index, name_of
from symgrad.core.graph import find_loss, top_down
from symgrad.core.layout import Layout
from symgrad.core.page import CLOSED, Line, Note, Page, Row, Section
from symgrad.core.program import Index, Program, Statement, Tensor, a_program, name_list
from symgrad.core.ranges import scoped
from symgrad.core.sizes import sizes_of
from symgrad.core.source import right_side
from symgrad.core.tree import names_in_order
from symgrad.printers import pages
from symgrad.printers.formats import DRAWINGS, NETWORKS, Printed, bundle, choose
from symgrad.printers.latex import LATEX
from symgrad.printers.text import TEXT
from symgrad.transform.chain import forward_line, slides, steps
from symgrad.transform.closed import closed_form, closed_forms
from symgrad.transform.collect import Form, collect
from symgrad.transform.drawing import drawing
from symgrad.transform.functions import complete
from symgrad.transform.gradients import expand_gradients
from symgrad.transform.matrix import matrix_page
from symgrad.transform.modules import modules
from symgrad.transform.network import network, size_name, with_numbers
from symgrad.transform.reverse import adjoint_names, reverse
from symgrad.transform.simplify import tidy
from symgrad.transform.steps import take_apart
from symgrad.transform.textbook import Textbook, rule_notes

Pages = Callable[[Program, Program, str], tuple[Section, ...]]
CHAIN: dict[str, Pages] = {"slides": slides, "steps": steps, "modules": modules}
STYLES = (*CHAIN, "closed", "matrix")
DRAWN = 10_000  # numbers in the arrays of a graph


@dataclass(frozen=True, eq=False)
class Gradient(Program, Printed):
    """A program of one statement, the closed form of one gradient; `used` are the assumptions it rests on."""

    used: tuple[tuple[Expr, Expr], ...] = ()

    __str__ = Program.__str__
    __hash__ = Program.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Program) and (self.statements, self.tensors, self.ranges) == (
            other.statements,
            other.tensors,
            other.ranges,
        )

    @rare_collections()
    def latex(self) -> str:
        """One equation, with the derivative written as a fraction."""
        return pages.equation(forward_line(self.statements[0], self), LATEX)

    @rare_collections()
    def text(self) -> str:
        """One line of Unicode text."""
        return pages.equation(forward_line(self.statements[0], self), TEXT)

    def page(self) -> Page:
        """The equation, and the assumptions it rests on as notes."""
        return Page((), forward_line(self.statements[0], self), tuple(("given ", line) for line in self.given()))

    def given(self) -> tuple[Line, ...]:
        """The assumptions it rests on, as equations."""
        layout = Layout.of(self, derivatives=True)
        return tuple(Line(layout.tree(left), "=", layout.tree(right)) for left, right in self.used)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {**bundle(self), "text/latex": f"$\\displaystyle {self.latex()}$"}


@dataclass(frozen=True)
class Derivation(Printed):
    """The backward pass of one loss. `program` is as given; `steps` is it as derived from.

    `text`, `latex` and the other formats take a style, and `explain`, as `page` does.
    """

    program: Program
    steps: Program
    loss: str
    wrt: tuple[str, ...]

    @cached_property
    def whole(self) -> Program:
        """Primal and adjoint statements in one program, one equation for each adjoint."""
        return self._collected("one")

    @cached_property
    @rare_collections()
    def raw(self) -> Program:
        """The model and the terms of the chain rule as `+=`, as reverse mode finds them."""
        return reverse(self.steps, self.loss, self.wrt)

    @rare_collections()
    def _collected(self, form: Form) -> Program:
        joint = collect(self.raw, form)
        return joint.with_statements(s.with_value(_readable(s.value, s, joint)) for s in joint.statements)

    @property
    def forward(self) -> Program:
        return self.steps

    @cached_property
    def backward(self) -> Program:
        """The adjoint equations, a recurrence with its boundary apart; the forward quantities they read are its inputs.

        Where contributions end at different cells, the parts assume that no range is empty.
        """
        primal = set(self.steps.defined)
        joint = self._collected("parts")
        return only(joint, [s for s in joint.statements if s.name not in primal])

    def graph(self, format: str = "svg", values: Mapping[str, Any] | None = None) -> str:
        """The graph of the model as "svg", "dot", "mermaid" or "tikz": forward edges, and backward ones with partials.

        `values` gives every input and parameter an array; scalars and their partials are then written on their nodes.
        Raises SG207 (no such format), SG601 to SG604 (arrays), SG509 (more than 10,000 numbers).

        >>> import symgrad as sg
        >>> d = sg.derive(sg.parse("y = 3x; J = y^2"))
        >>> print(d.graph("mermaid", values={"x": 2}).splitlines()[2])
          n1["y = 3x<br/>y = 6<br/>dJ/dy = 12"]
        """
        draw = DRAWINGS[choose(format, DRAWINGS)].write
        return draw(self.drawing(values))

    def drawing(self, values: Mapping[str, Any] | None = None) -> Drawing:
        """The graph that `graph` draws."""
        numbers = scalars(self.whole, values) if values is not None else {}
        return drawing(self.steps, self.raw, self.loss, numbers)

    def network(self, format: str = "svg", sizes: Mapping[str, int] | None = None, values: Mapping[str, Any] | None = None) -> str:
        """The network cell by cell as "svg" or "tikz": units in layers with the weights on their links.

        `sizes` are the extents to draw it with, 3 where none is given; parameters are what the model declares as `param`.
        `values` gives every input and parameter an array, which fixes its extents; the value of each unit, and the partial of
        the loss by it, are then written in it.
        Raises SG207 (no such format), SG614 (no such extent), SG509 (more than 120 units or 400 links),
        SG601 to SG604 (arrays).

        >>> import symgrad as sg
        >>> d = sg.derive(sg.parse("index i in 1..N; param w[i]; y = sum(w[i]*x[i] for i); J = y^2"))
        >>> d.network("svg", {"N": 2}).count("<circle")
        4
        """
        row = NETWORKS[choose(format, NETWORKS, "picture of the network")]
        if values is None:
            return row.write(network(self.program, self.loss, sizes))
        given = {self.program.known(name): _numbers(self.program, name, value) for name, value in values.items()}
        known = sizes_of(self.program, {name: array.shape for name, array in given.items()})
        drawn = network(self.program, self.loss, {**(sizes or {}), **{size_name(symbol): n for symbol, n in known.items()}})
        partials = adjoint_names(self.whole, self.loss)
        return row.write(with_numbers(drawn, self.program, computed(self.whole, given), partials, known))

    @rare_collections()
    def page(self, style: str = "slides", explain: bool = False) -> Page:
        """The equations in rows. Raises SG207 for an unknown style.

        slides and steps show the chain rule, modules cuts the slides' page into boxes, matrix writes whole arrays, closed
        gives one equation for each gradient.
        """
        if style not in STYLES:
            raise SymgradError(
                "SG207", f"there is no style {style}", hint=did_you_mean(style, STYLES) or f"the styles are {', '.join(STYLES)}"
            )
        if style == "closed":
            return self._closed_page(explain)
        if style == "matrix":
            return matrix_page(self.steps, self.whole, self.loss)
        whole = None if self.steps is self.program else forward_line(self.program.statements[0], self.program)
        return Page(CHAIN[style](self.steps, self.raw, self.loss), whole)

    @rare_collections()
    def gradient(self, name: str) -> Gradient:
        """dJ/dname in closed form, in forward quantities that have names.

        Rules: `transform/simplify.py`. Raises SG203 for an unknown name, SG506 where the closed form has more
        than 20,000 nodes.
        """
        self.program.known(name)
        if name not in self.wrt:
            return replace(self, wrt=(*self.wrt, name)).gradient(name)
        bar = adjoint_names(self.whole, self.loss).get(name)
        if bar is None:
            return self._zero(name)
        book = Textbook(self.steps)
        value = closed_form(bar, self.whole, self.steps, self._invented, book)
        return self._gradient(bar, value, book)

    @property
    def _invented(self) -> frozenset[str]:
        return frozenset(s.name for s in self.steps.statements if s.origin.invented)

    def _gradient(self, bar: str, value: Expr, book: Textbook) -> Gradient:
        tensor = self.whole.tensors[bar]
        statement = Statement(access(bar, *(axis.symbol for axis in tensor.axes)), value, tensor.axes)
        found = only(self.whole, [statement])
        return Gradient(
            found.statements,
            found.tensors,
            ranges=found.ranges,
            written=found.written,
            functions=found.functions,
            chain=self._chain(),
            used=book.assumed,
        )

    def _closed_page(self, explain: bool) -> Page:
        """One closed equation for each name of wrt, the adjoints before it that they are written in, and what they rest on."""
        book = Textbook(self.steps)
        bars = adjoint_names(self.whole, self.loss)
        forms = closed_forms([bars[n] for n in self.wrt if n in bars], self.whole, self.steps, self._invented, book)
        gradients = [self._gradient(bar, value, book) for bar, value in forms.items()]
        gradients += [self._zero(name) for name in self.wrt if name not in bars]
        lines = [forward_line(gradient.statements[0], gradient) for gradient in gradients]
        section = Section(CLOSED, tuple(Row(line) for line in lines))
        layout = Layout.of(self.whole, derivatives=True)
        notes: list[Note] = [("given ", Line(layout.tree(left), "=", layout.tree(right))) for left, right in book.assumed]
        return Page((section,), None, (*notes, *(rule_notes(book, self.whole) if explain else ())))

    def _zero(self, name: str) -> Gradient:
        """The gradient by a quantity that the loss does not depend on, or only through conditions."""
        tensor = self.program.tensors[name]
        bar = replace(tensor, name=self.whole.unused_name(f"{name}_bar"), role="defined", adjoint_of=(self.loss, name))
        target = access(bar.name, *(axis.symbol for axis in bar.axes))
        found = only(self.whole.with_statements([], [bar]), [Statement(target, sp.S.Zero, bar.axes)])
        return Gradient(found.statements, found.tensors, ranges=found.ranges)

    def _chain(self) -> tuple[str, ...]:
        """All names from the loss down."""
        layout = Layout.of(self.steps)
        names: dict[str, None] = {}
        for statement in top_down(self.steps, self.loss):
            names.update(dict.fromkeys(names_in_order(right_side(statement, layout))))
        return tuple(names)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return self.text()


def scalars(program: Program, arrays: Mapping[str, Any]) -> dict[str, float]:
    """The values of all quantities without indices. Raises SG509 for more than a picture needs."""
    return {name: float(value) for name, value in computed(program, arrays).items() if not np.shape(value)}


def computed(program: Program, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The values of all quantities, by the program's meaning. Raises SG509 for more than a picture needs, SG601 to SG604."""
    given = {program.known(name): _numbers(program, name, value) for name, value in arrays.items()}
    count = sum(array.size for array in given.values())
    if count > DRAWN:
        raise SymgradError(
            "SG509",
            f"a graph is drawn with at most {DRAWN:,} numbers, and these are {count:,}",
            hint="leave values out, or give fewer",
        )
    sizes = sizes_of(program, {name: array.shape for name, array in given.items()})
    for name, array in given.items():
        wanted = tuple(extent.subs(sizes) for extent in program.tensors[name].extents)
        if any(extent.is_number and extent != n for extent, n in zip(wanted, array.shape, strict=True)):
            shown = f"({', '.join(map(str, wanted))})"
            raise SymgradError("SG604", f"{name} has shape {array.shape}, and the others ask for {shown}")
    return {**given, **evaluate(program, given, digits=15)}


def _numbers(program: Program, name: str, value: Any) -> np.ndarray[Any, Any]:
    """The array of a quantity. Raises SG602, SG603 where it cannot be."""
    rank = len(program.tensors[name].axes)
    try:
        array = np.asarray(value)
    except ValueError:
        raise SymgradError("SG602", f"{name} is no array: its rows differ in length, and it needs {rank} axes") from None
    if array.ndim != rank:
        raise SymgradError("SG602", f"{name} has shape {array.shape}, and it needs {rank} axes")
    if array.dtype.kind not in "biuf":
        raise SymgradError("SG603", f"{name} holds {array.dtype}, and numbers are needed")
    return array


@rare_collections()
def derive(program: Program, loss: str | None = None, wrt: Iterable[str] | None = None) -> Derivation:
    """The backward pass of a program.

    loss: default the goal that the program names, else the one defined scalar that nothing else uses.
    wrt: names; default all that is not defined, but for starred names: those are targets, which are given.
    A program of one equation is taken apart into named steps first.

    Raises SG203 (unknown name), SG402 (no single loss), SG403 (loss not a scalar), SG406 (no dependence).

    >>> import symgrad as sg
    >>> d = sg.derive(sg.parse("J = cos(sin(x^2) + 3x^2)"))
    >>> print(d.gradient("x").text())
    dJ/dx = −2x (cos(x²) + 3) sin(sin(x²) + 3x²)
    """
    program = expand_gradients(a_program(program))
    loss = find_loss(program, loss)
    names = differentiable(program) if wrt is None else name_list(wrt)
    return Derivation(program, take_apart(program), loss, tuple(program.known(name) for name in names))


def differentiable(program: Program) -> list[str]:
    """All that is given, but for targets, whose names are starred, and whole numbers."""
    real = [name for name in program.free if program.tensors[name].values is None]
    return [name for name in real if not name.endswith("_star")] or real


def _readable(value: Expr, statement: Statement, program: Program) -> Expr:
    return tidy(value) if statement.origin.contributions else value


def only(program: Program, statements: list[Statement]) -> Program:
    """A program of these statements, with just the tensors and ranges they use."""
    names = {name for s in statements for name in (*s.read_names, s.name)}
    # d²J/dx dw is shown by what dJ/dx is
    tops = {tensor.adjoint_of[0] for name, tensor in program.tensors.items() if name in names and tensor.adjoint_of}
    names |= {name for name in tops if program.tensors[name].adjoint_of}
    defined = {s.name for s in statements}
    tensors = {
        name: replace(tensor, role="defined" if name in defined else "input", declared=False)
        for name, tensor in program.tensors.items()
        if name in names
    }
    used = {str(index.symbol) for s in statements for index in s.domain}
    used |= {str(axis.symbol) for tensor in tensors.values() for axis in tensor.axes}
    ranges = {name: index for name, index in program.ranges.items() if name in used}
    ranges |= _extents(statements, ranges, program)
    partly = {name for s in statements for name in _read_in_part(s, tensors)}
    tensors = {n: replace(t, declared=t.role == "input" and (n in partly or _unclear(t, ranges))) for n, t in tensors.items()}
    return complete(Program(tuple(statements), tensors, ranges=ranges, written=program.written, functions=program.functions))


def _extents(statements: list[Statement], ranges: Mapping[str, Index], program: Program) -> dict[str, Index]:
    """Ranges that say what a symbol in an index is, as T in h[T], where no other range does."""
    if not program.ranges:
        return {}
    known = {symbol for index in ranges.values() for symbol in (index.lo + index.hi).free_symbols}
    read = {symbol for s in statements for symbol in free_indices(s.value)} - known
    return {name: index for name, index in program.ranges.items() if not read.isdisjoint((index.lo + index.hi).free_symbols)}


def _read_in_part(statement: Statement, tensors: Mapping[str, Tensor]) -> Iterator[str]:
    """The arrays of which a statement reads a part, or shifted."""
    for read, scope, _ in scoped(statement.value, statement.ranges):
        axes = zip(indices_of(read), tensors[name_of(read)].axes, strict=True)
        if not all(is_index(index) and scope.get(index) == (axis.lo, axis.hi) for index, axis in axes):
            yield name_of(read)


def _unclear(tensor: Tensor, ranges: Mapping[str, Index]) -> bool:
    """True where an array's axes must be declared, since its indices alone would mean other ranges."""
    axes = (axis for axis in tensor.axes if axis.declared and ranges.get(str(axis.symbol)) != axis)
    return tensor.values is not None or any(True for _ in axes)
