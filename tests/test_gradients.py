"""Gradients against 50-digit differences of the oracle, forward mode, and SymPy's own derivative."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.core.check import check, check_order
from symgrad.core.evaluate import evaluate
from symgrad.core.expr import access, is_reduction
from symgrad.core.program import Program, Statement, Tensor
from symgrad.core.sizes import sizes_of
from symgrad.transform.collect import Form, collect
from symgrad.transform.forward import forward
from symgrad.transform.linearize import derivative
from symgrad.transform.reverse import adjoint_names, reverse
from tests.models import INDEXED, MODELS, SLIDES, Model, random_arrays
from tests.reference import adjoints, assert_gradient, differences, error, loss_of, reals

ALL = pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
SLIDE = pytest.mark.parametrize("model", SLIDES, ids=[m.name for m in SLIDES])
SIZES = ({"M": 1, "D": 1, "K": 2}, {"M": 2, "D": 1, "K": 3}, {"M": 3, "D": 4, "K": 2})


@ALL
def test_reverse_equals_differences(model: Model) -> None:
    """A wrong sign, a lost sum, a captured index, a dropped contribution: any wrong gradient."""
    for seed in range(2):
        program = model.program()
        assert_gradient(program, model.arrays(np.random.default_rng(seed)), loss_of(program))


@pytest.mark.parametrize("form", ["one", "apart"])
@pytest.mark.parametrize("model", INDEXED, ids=[m.name for m in INDEXED])
def test_every_form_is_the_same_gradient(model: Model, form: Form) -> None:
    """A guard, a limit or a part of an axis that is right in one form of the adjoint only."""
    program = model.program()
    arrays, loss = model.arrays(np.random.default_rng(7)), loss_of(program)
    wanted = adjoints(program, arrays, loss)
    found = adjoints(program, arrays, loss, form)
    assert max(error(found[name], wanted[name]) for name in wanted) < 1e-30
    check_order(check(collect(reverse(program, loss, reals(program)), form)))


@pytest.mark.parametrize("model", INDEXED, ids=[m.name for m in INDEXED])
def test_text_of_what_is_derived_parses_back(model: Model) -> None:
    """A range, a guard or a part that is printed so that it reads as something else."""
    program = model.program()
    assert sg.parse(str(program)) == program
    backward = sg.derive(program, loss_of(program), reals(program)).backward
    again = sg.parse(str(backward))
    assert str(again) == str(backward)
    # a closed form that is one sum stands as a value; read again it is the sum of a statement
    assert again == backward or any(is_reduction(statement.value) for statement in backward.statements)


@SLIDE
def test_slides_at_twenty_points(model: Model) -> None:
    """A gradient that is right only at some point or some size."""
    program, rng = model.program(), np.random.default_rng(1)
    for place in range(20):
        arrays = random_arrays(program, rng, SIZES[place % 3], {n: (-1.5, 1.5) for n in program.free if not n.endswith("_star")})
        name = program.free[place % len(program.free)]
        got = adjoints(program, arrays, loss_of(program))[name]
        assert error(got, differences(program, arrays, loss_of(program), name)) < 1e-15


@ALL
def test_forward_mode_agrees(model: Model) -> None:
    """<J v, 1> = <v, J' 1>: a transposition that does not match the linearization."""
    program, rng = model.program(), np.random.default_rng(2)
    arrays, loss = model.arrays(rng), loss_of(program)
    tangents = {name: rng.normal(size=np.shape(arrays[name])) for name in reals(program)}
    got = adjoints(program, arrays, loss)
    dots = evaluate(forward(program, reals(program)), {**arrays, **{f"{name}_dot": t for name, t in tangents.items()}})
    pairing = mpmath.fsum(x for name in reals(program) for x in np.asarray(np.asarray(got[name], object) * tangents[name]).flat)
    assert error(dots[f"{loss}_dot"], pairing) < 1e-12


@pytest.mark.parametrize(
    "name", ["S1", "S5 logistic", "S5 tanh", "S5 softplus", "S6 cross-entropy", "S6 quadratic", "used many times"]
)
def test_sympy_agrees(name: str) -> None:
    """A wrong row of the table of functions, seen by an independent differentiator."""
    program = MODELS[name].program()
    (statement,) = program.statements
    for read in statement.reads:
        difference = derivative(statement.value, read) - sp.diff(statement.value, read)
        point = {r: sp.Rational(3, 7) + sp.Rational(k, 11) for k, r in enumerate(statement.reads)}
        assert abs(sp.N(difference.xreplace(point), 40)) < 1e-30


def squared_gradient(program: Program, loss: str) -> Program:
    """G = the sum of squares of the first gradient's cells, on top of primal and adjoint."""
    joint = collect(reverse(program, loss, reals(program)))
    bars = adjoint_names(joint, loss)
    statements = []
    for name, bar in bars.items():
        if name in reals(program):
            axes = joint.tensors[bar].axes
            statements.append(Statement(access("G"), access(bar, *(a.symbol for a in axes)) ** 2, axes, "sum"))
    return check(joint.with_statements([*joint.statements, *statements], [Tensor("G", (), "defined")]))


@pytest.mark.parametrize(
    "name",
    [m.name for m in SLIDES]
    + [
        "quadratic form",
        "product",
        "maximum",
        "logsumexp",
        "convolution",
        "attention",
        "recurrence",
        "lag two",
        "gather",
        "triangle",
    ],
)
def test_reverse_of_reverse(name: str) -> None:
    """An adjoint program that is not a program like any other: second derivatives."""
    model = MODELS[name]
    second = squared_gradient(model.program(), loss_of(model.program()))
    arrays = random_arrays(model.program(), np.random.default_rng(3), {**SIZES[0], "N": 3, "T": 2, **model.sizes}, model.intervals)
    got = adjoints(second, arrays, "G")
    for free in reals(second):
        assert error(got[free], differences(second, arrays, "G", free)) < 1e-14, free


@ALL
def test_closed_forms(model: Model) -> None:
    """A rule of simplification that changes the value, an adjoint put in with the wrong index."""
    program = model.program()
    d = sg.derive(program, loss_of(program), reals(program))
    arrays = model.arrays(np.random.default_rng(4))
    wanted = adjoints(program, arrays, d.loss)
    values = {**arrays, **evaluate(d.whole, arrays)}
    sizes = sizes_of(d.whole, {n: np.shape(a) for n, a in arrays.items()})
    for name in d.wrt:
        gradient = d.gradient(name)
        found = evaluate(gradient, {free: values[free] for free in gradient.free}, sizes=sizes)[gradient.statements[0].name]
        assert error(found, wanted[name]) < 1e-15, name


def test_closed_form_with_an_assumption() -> None:
    """y* - y needs the targets to sum to 1: used, right where it holds, and named."""
    text = MODELS["S7"].text.replace("maximize", "assume sum(y^*[k] for k) = 1\nmaximize")
    program = sg.parse(text)
    gradient = sg.derive(program).gradient("beta")
    assert gradient.text() == "dJ/dβ_kj = (y*_k − y_k) z_j"
    assert len(gradient.used) == 1
    arrays = random_arrays(program, np.random.default_rng(5))
    arrays["y_star"] = arrays["y_star"] / arrays["y_star"].sum()
    values = evaluate(program, arrays)
    closed = evaluate(gradient, {"y_star": arrays["y_star"], "y": values["y"], "z": values["z"]})["beta_bar"]
    assert error(closed, adjoints(program, arrays, "J")["beta"]) < 1e-14


CAPTURES = {
    "the same letter in two sums": "J = sum(x[i]*y[i] for i in 1..N)*sum(x[i]^2 for i in 1..N)",
    "a sum over l beside its own index": "index k, l in 1..K; y[k] = x[k]*sum(x[l]^3 for l); J = sum(y[k]*sum(y[l] for l) for k)",
    "a sum of sums": "index i, j in 1..N; J = sum(x[i]*sum(exp(x[j]*x[i]) for j) for i)",
}


@pytest.mark.parametrize("text", CAPTURES.values(), ids=list(CAPTURES))
def test_no_index_is_captured(text: str) -> None:
    """The derivative of a sum over i by x_i, where SymPy's own captures the index."""
    program = sg.parse(text)
    assert_gradient(program, random_arrays(program, np.random.default_rng(6)), "J")


def test_a_letter_inside_itself_is_refused() -> None:
    """A sum over i inside a sum over i, of which a reader cannot tell which i is meant."""
    with pytest.raises(sg.SymgradError) as caught:
        sg.parse("J = sum(x[i]*sum(x[i]^2 for i in 1..N) for i in 1..N)")
    assert (caught.value.code, caught.value.column) == ("SG302", 29)
