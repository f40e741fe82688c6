"""The right line in the letters of a claim, and what edits of a wrong one may put in: its factors and terms."""

from __future__ import annotations

from typing import Any

import sympy as sp
from sympy import Expr

from symgrad.answers.reading import Reading
from symgrad.answers.slips import Context, negated
from symgrad.answers.truth import Truth
from symgrad.core.draft import Claim
from symgrad.core.expr import (
    accesses,
    index_symbol,
    indices_of,
    is_access,
    is_reduction,
    name_of,
    reduction,
    rename_bound,
    split_reduction,
    substitute,
)
from symgrad.core.layout import Layout
from symgrad.core.page import Line
from symgrad.core.program import Program
from symgrad.core.tree import Deriv, Name, Num, Prod, Reduce, Sum, Tree, children
from symgrad.transform.closed import closed_form
from symgrad.transform.matrix import NoMatrix, by_result, matrix_line
from symgrad.transform.simplify import tidy


def expression(truth: Truth, reading: Reading, letters: tuple[str, ...] = ()) -> tuple[Program, Expr]:
    """The right side, over the quantities and adjoints of the program that comes with it."""
    found = truth.program(reading.key)
    if found is None:
        return truth.steps, sp.S.One if reading.key[0] == reading.key[1] else sp.S.Zero
    program, name = found
    value, symbols = _value(truth, program, name)
    around = {str(s) for i in reading.left for s in i.free_symbols}
    value = substitute(tidy(value), dict(zip(symbols, reading.left, strict=True)))
    wanted = [name for name in letters if name not in around]

    def choose(symbol: Any, used: set[str]) -> Any:
        names = [*wanted, str(symbol.name), *"lmpqrsuvw"]
        return index_symbol(next(n for n in names if n not in used and n not in around and n not in truth.steps.tensors))

    return program, rename_bound(value, choose)


def _value(truth: Truth, program: Program, name: str) -> tuple[Expr, tuple[Expr, ...]]:
    """The value of a derivative with the symbols of its axes; steps that the model does not name are put in."""
    (statement,) = program.definitions[name]
    invented = frozenset(s.name for s in truth.steps.statements if s.origin.invented)
    if invented and truth.loss is not None and program is truth.whole and name != truth.bars.get(truth.loss or ""):
        bottom = program.tensors[name].adjoint_of
        if bottom and bottom[1] not in invented:
            return closed_form(name, program, truth.steps, invented), tuple(a.symbol for a in program.tensors[name].axes)
    value = statement.value
    if statement.reduced:
        value = reduction(statement.op or "sum", value, [index.limit for index in statement.reduced])
    return value, indices_of(statement.target)


def line(truth: Truth, claim: Claim, reading: Reading) -> Line:
    """The right line, printed as `derive` prints it."""
    program, value = expression(truth, reading, _bound(claim.right))
    return Line(claim.left, "=", Layout.of(program, derivatives=True).tree(value))


def array_line(truth: Truth, claim: Claim) -> Line | None:
    """The right line between whole arrays; None where they cannot say it."""
    assert isinstance(claim.left, Deriv)
    assert isinstance(claim.left.top, Name)
    assert isinstance(claim.left.bottom, Name)
    found = truth.program((claim.left.top.name, claim.left.bottom.name, False))
    if found is None or claim.left.top.name != truth.loss:
        return None
    program, name = found
    (statement,) = program.definitions[name]
    try:
        return matrix_line(by_result(statement, truth.steps), program, Layout.of(program, derivatives=True))
    except NoMatrix:
        return None


def _bound(tree: Tree) -> tuple[str, ...]:
    out: dict[str, None] = {}
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, Reduce):
            out.update(dict.fromkeys(b.name for b in node.binders))
        stack.extend(children(node))
    return tuple(out)


def context(truth: Truth, claim: Claim, reading: Reading) -> Context:
    """What may be missing in a claim."""
    bound = tuple(dict.fromkeys((*_bound(claim.right), *map(str, reading.free))))
    program, value = expression(truth, reading, bound)
    layout = Layout.of(program, derivatives=True)
    chain: list[Tree] = []
    local: list[Tree] = []
    for term in _terms(value):
        factors = sp.Mul.make_args(_body(term))
        adjoints = [f for f in factors if _is_adjoint(f, program)]
        rest = [f for f in factors if f not in adjoints]
        chain += [layout.tree(f) for f in adjoints]
        chain += [layout.tree(sp.Mul(*rest))] if adjoints and rest else []
        inner = [f for f in rest if not f.is_number] if len(rest) > 1 or not adjoints else []
        chain += [layout.tree(f) for f in inner if is_access(f)]
        local += [layout.tree(f) for f in inner if not is_access(f)]
        local += [t for f in adjoints for t in _of_result(layout.tree(f))]
    assert isinstance(claim.left, Deriv)
    local += _of_result(Deriv(claim.left, claim.left.top)) if isinstance(claim.left.top, Name) else []
    letters = tuple(dict.fromkeys([*(str(i.symbol) for i in reading.domain), *bound]))
    terms = [layout.tree(t) for form in (value, sp.expand(value)) for t in _terms(form)]
    signed = [t for term in terms for t in (term, negated(term))] if len(terms) > 2 else []
    counts = [layout.tree(i.extent) for i in dict.fromkeys(truth.steps.ranges.values())] or _extents(truth.steps, layout)
    return Context(
        letters,
        tuple(map(str, reading.free)),
        _unique([*chain, *_edges(truth, letters)]),
        _unique(local),
        _unique(signed),
        _unique(counts),
    )


def _extents(program: Program, layout: Layout) -> list[Tree]:
    return [layout.tree(axis.extent) for tensor in program.tensors.values() for axis in tensor.axes]


def _terms(value: Expr) -> tuple[Any, ...]:
    return tuple(sp.Add.make_args(value))


def _body(term: Any) -> Any:
    """The factors of a term, those under its Σ among them."""
    out = []
    for factor in sp.Mul.make_args(term):
        out.append(_body(split_reduction(factor)[1]) if is_reduction(factor) else factor)
    return sp.Mul(*out)


def _is_adjoint(factor: Any, program: Program) -> bool:
    reads = accesses(factor)
    return len(reads) == 1 and reads[0] == factor and program.tensors[name_of(factor)].adjoint_of is not None


def _of_result(tree: Tree) -> list[Tree]:
    """Factors in the result y of a step, by which textbook slips differ from its derivative: y, 1 - y, 1 + y, 1/y."""
    if not (isinstance(tree, Deriv) and isinstance(tree.bottom, Name)):
        return []
    y, one = tree.bottom, Num("1")
    plus, minus = Sum(((1, one), (1, y))), Sum(((1, one), (-1, y)))
    below = [Prod((("*", one), ("/", factor))) for factor in (y, minus)]
    return [y, minus, plus, *below, Prod((("*", minus), ("/", y)))]


def _edges(truth: Truth, letters: tuple[str, ...]) -> list[Tree]:
    """All local derivatives and quantities that the letters of a claim can name, for a claim that spans several steps."""
    program, out = truth.steps, list[Tree]()
    for statement in program.statements:
        for name in statement.read_names:
            if program.tensors[name].values is None:
                top, bottom = (_named(n, program) for n in (statement.name, name))
                if all(str(i) in letters for t in (top, bottom) for i in map(_letter, t.indices)):
                    out += [bottom] if statement.name == truth.loss else [Deriv(top, bottom), bottom]
    return out


def _named(name: str, program: Program) -> Name:
    return Name(name, tuple(Name(str(axis.symbol)) for axis in program.tensors[name].axes))


def _letter(tree: Tree) -> str:
    return tree.name if isinstance(tree, Name) else ""


def _unique(trees: list[Tree]) -> tuple[Tree, ...]:
    return tuple(dict.fromkeys(trees))
