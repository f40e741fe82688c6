"""SymPy equations mean what the same text means, and what has no meaning here is refused by name, never run."""

from __future__ import annotations

import builtins
import itertools
import os
import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from symgrad.core.errors import SymgradError
from symgrad.core.evaluate import evaluate
from symgrad.core.functions import FUNCTIONS
from symgrad.core.program import Program
from symgrad.derivation import derive
from symgrad.frontend.sympy import from_sympy
from symgrad.frontend.sympy_names import name_in_code
from symgrad.frontend.text import parse
from tests.models import SLIDES, Model

J, y, u, v, D, M, N = sp.symbols("J y u v D M N")
X, W, A, Y = (sp.IndexedBase(name) for name in "xwAy")
i, j, k = sp.symbols("i j k", integer=True)


def program(value: Any, **more: Any) -> Program:
    return from_sympy([sp.Eq(J, value, evaluate=False)], **more)


def code_of(build: Callable[[], Any]) -> str:
    with pytest.raises(SymgradError) as caught:
        build()
    return caught.value.code


# the same as text


@pytest.mark.parametrize("model", SLIDES, ids=lambda model: model.name)
def test_the_slides_models_have_the_values_of_their_text(model: Model) -> None:
    """Catches a sum over the wrong range, a transposed read, a lost factor: at random points, to 45 of 50 digits."""
    assert model.sympy is not None
    one, two = model.program(), model.sympy()
    for seed in range(3):
        arrays = model.arrays(np.random.default_rng(seed))
        expected, found = evaluate(one, arrays, 50), evaluate(two, arrays, 50)
        assert expected.keys() == found.keys()
        for name, value in expected.items():
            assert np.max(np.abs(found[name] - value)) <= 1e-45 * np.max(np.abs(value)), name


@pytest.mark.parametrize("model", SLIDES, ids=lambda model: model.name)
def test_the_slides_models_are_the_programs_of_their_text(model: Model) -> None:
    """Catches a lost role, range or goal, which values do not show; and what `str` writes wrongly."""
    assert model.sympy is not None
    found = model.sympy()
    assert found == model.program()
    assert parse(str(found)) == found


def test_the_slides_models_have_sympy_forms() -> None:
    """Catches a model without its SymPy form, on which the tests above would be silent."""
    assert [model.name for model in SLIDES if model.sympy is None] == []
    assert len(SLIDES) >= 12


a, b, J_2 = sp.symbols("a b J_2")
IDX = sp.Idx("i", (1, N))
SAME = [
    (sp.Sum(X[i], (i, 0, D)), "sum(x[i] for i in 0..D)"),
    (sp.Sum(X[i] * A[i, j], (i, 0, D), (j, 1, 3)), "sum(x[i]*A[i,j] for i in 0..D for j in 1..3)"),
    (sp.Sum(A[i, j], (j, i, N), (i, 1, N)), "sum(A[i,j] for i in 1..N for j in i..N)"),
    (sp.Product(1 + X[i], (i, 1, N)), "prod(1 + x[i] for i in 1..N)"),
    (sp.Sum(sp.Sum(A[i, j], (j, 1, M)) ** 2, (i, 1, N)), "sum(sum(A[i,j] for j in 1..M)^2 for i in 1..N)"),
    (sp.Sum(i * X[i], (i, 1, N)) / N, "sum(i*x[i] for i in 1..N)/N"),
    (sp.Max(u, 0), "max(0, u)"),
    (sp.Max(u, v), "max(u, v)"),
    (sp.Min(v, 2, u), "min(2, u, v)"),
    (sp.Piecewise((u, u > 0), (0, True)), "where(u > 0, u, 0)"),
    (sp.Piecewise((u, u > 1), (v, u < v), (1, True)), "where(u > 1, u, where(u < v, v, 1))"),
    (sp.Piecewise((u, sp.Ne(v, 2)), (1, True)), "where(v != 2, u, 1)"),
    (sp.Abs(u) + sp.sign(v), "abs(u) + sign(v)"),
    (sp.sqrt(u) * v ** sp.Rational(3, 2), "sqrt(u)*v^(3/2)"),
    (sp.exp(u) * sp.log(v) + sp.erf(u), "exp(u)*log(v) + erf(u)"),
    (sp.tan(u) + sp.atan(v) + sp.asin(u) + sp.acos(v), "tan(u) + arctan(v) + arcsin(u) + arccos(v)"),
    (sp.sinh(u) * sp.cosh(v) * sp.tanh(u), "sinh(u)*cosh(v)*tanh(u)"),
    (sp.coth(u) + sp.sec(v), "1/tanh(u) + 1/cos(v)"),
    (sp.pi * u + sp.E, "pi*u + exp(1)"),
    (0.1 * u + sp.Float("1e400") * v, "0.1*u + 1e400*v"),
    (sp.Float("0.1234567890123456789012345", 25) * u, "0.1234567890123456789012345*u"),
    (sp.Rational(1, 3) * u, "u/3"),
    (sp.Function("sigmoid")(u) + sp.Function("relu")(v), "sigmoid(u) + relu(v)"),
    (sp.Sum(sp.KroneckerDelta(i, 2) * X[i], (i, 0, N)), "sum(where(2 == i, 1, 0)*x[i] for i in 0..N)"),
    (sp.UnevaluatedExpr(u) * 2, "2*u"),
    (sp.Symbol("n", integer=True, positive=True) * u, "n*u"),
]


@pytest.mark.parametrize(("value", "text"), SAME, ids=[text for _, text in SAME])
def test_an_expression_is_that_of_its_text(value: Any, text: str) -> None:
    """Catches a SymPy node with another meaning; for Max, that a constant comes first, so relu'(0) = 0."""
    found = program(value)
    assert found == parse(f"J = {text}")
    assert parse(str(found)) == found


def test_values_differ_where_programs_do() -> None:
    """Catches an `==` that calls all programs equal, which would make the table above void."""
    programs = [program(value) for value, _ in SAME]
    assert all(one != two for place, one in enumerate(programs) for two in programs[:place])


CONDITIONS = [
    sp.Piecewise((u, (u > 0) & (u < 1)), (v, True)),
    sp.Piecewise((u, (u < -1) | (u > 1)), (v, (v > 0) & ((u > 0) | (v > 1))), (u * v, True)),
    sp.Piecewise((1, sp.Or(u > v, sp.And(u < 0, v > 0, u + v < 1))), (2, True)),
]


@pytest.mark.parametrize("value", CONDITIONS, ids=str)
def test_and_or_choose_as_in_sympy(value: Any) -> None:
    """Catches a branch taken where SymPy takes the other, at points on each side of every condition."""
    found = program(value)
    for here in (-1.5, -0.5, 0.25, 0.75, 1.5):
        for there in (-1.25, -0.25, 0.5, 1.25):
            expected = float(value.subs({u: here, v: there}))
            assert evaluate(found, {"u": here, "v": there})["J"] == expected, (here, there)


def test_sympys_inner_index_may_depend_on_the_outer_one() -> None:
    """Catches the limits of a Sum read in the wrong order: SymPy puts the inner one first."""
    values = np.arange(1.0, 17.0).reshape(4, 4)
    found = program(sp.Sum(A[i, j], (j, i + 1, 4), (i, 1, 3)) + sp.Sum(A[i, j], (i, 1, 4), (j, 1, 4)))
    assert evaluate(found, {"A": values})["J"] == np.triu(values, 1).sum() + values.sum()


LEAVES = st.sampled_from([u, v, sp.Integer(2), sp.Integer(-3), sp.Rational(1, 2), sp.Rational(7, 4), sp.pi])
HEADS = [
    sp.exp,
    sp.sin,
    sp.cos,
    sp.tanh,
    sp.Abs,
    sp.atan,
    sp.erf,
    sp.sinh,
    lambda e: e**2,
    lambda e: 1 / (1 + e**2),
    lambda e: sp.sqrt(1 + e**2),
]
PAIRS = [
    lambda e, f: e + f,
    lambda e, f: e * f,
    lambda e, f: e - f,
    sp.Max,
    sp.Min,
    lambda e, f: sp.Piecewise((e, e < f), (f**2, True)),
]
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(lambda f, e: f(e), st.sampled_from(HEADS), inner)
        | st.builds(lambda f, e, g: f(e, g), st.sampled_from(PAIRS), inner, inner)
    ),
    max_leaves=8,
)


@settings(deadline=None, derandomize=True, database=None, max_examples=150)
@given(EXPRESSIONS)
def test_random_expressions_have_sympys_value(value: Any) -> None:
    """Catches any node whose conversion or printing changes its value, against SymPy's own evaluation."""
    expected = sp.N(sp.sympify(value).subs({u: sp.Rational(3, 8), v: sp.Rational(-5, 4)}), 40)
    assume(expected.is_Float and 1e-12 < abs(expected) < 1e12)
    found = program(value)
    for version in (found, parse(str(found))):
        result = evaluate(version, {name: {"u": 0.375, "v": -1.25}[name] for name in version.free}, 50)["J"]
        with mpmath.workdps(50):
            assert abs(result - mpmath.mpf(str(expected))) <= 1e-30 * abs(result)


# the whole language

h, h0, U, E, p, m = (sp.IndexedBase(name) for name in ("h", "h0", "U", "E", "p", "m"))
T, V, label = sp.symbols("T V label")
t, q, r = sp.Idx("t", (1, T)), sp.Idx("q", (1, N)), sp.Idx("r", (1, N))
sigma, f, g = (sp.Function(name) for name in ("sigma", "f", "g"))
MAX, MEAN, LSE, ARGMAX = (sp.Function(name) for name in ("max", "mean", "logsumexp", "argmax"))

Case = tuple[list[Any], str, str, dict[str, Any]]
# SymPy writes j > i in a Piecewise as i < j
CASES: dict[str, Case] = {
    "recurrence": (
        [
            sp.Eq(h[0, q], h0[q]),
            sp.Eq(h[t, q], sp.tanh(sp.Sum(U[q, r] * h[t - 1, r], r) + X[t])),
            sp.Eq(J, sp.Sum(h[T, q] ** 2, q)),
        ],
        "index q, r in 1..N, t in 1..T; h[0,q] = h0[q]; h[t,q] = tanh(sum(U[q,r]*h[t-1,r] for r in 1..N) + x[t]); "
        "J = sum(h[T,q]^2 for q in 1..N)",
        "U",
        {},
    ),
    "shifted target": (
        [sp.Eq(h[1], u), sp.Eq(h[sp.Idx("t", (1, T - 1)) + 1], h[sp.Idx("t", (1, T - 1))] * v), sp.Eq(J, h[T])],
        "index t in 1..T-1; h[1] = u; h[t+1] = h[t]*v; J = h[T]",
        "v",
        {},
    ),
    "last cell on the left": (
        [sp.Eq(h[T], u), sp.Eq(h[sp.Idx("t", (1, T - 1))], v * h[sp.Idx("t", (1, T - 1)) + 1]), sp.Eq(J, h[1])],
        "index t in 1..T-1; h[T] = u; h[t] = v*h[t+1]; J = h[1]",
        "v",
        {},
    ),
    "gather": (
        [sp.Eq(J, sp.Sum(E[W[t], q] ** 2 * X[W[t]], t, q))],
        "index t in 1..T, q in 1..N; input w[t] in 1..V; J = sum(E[w[t],q]^2*x[w[t]] for t in 1..T for q in 1..N)",
        "E",
        {"integers": {W: (1, V)}},
    ),
    "pick": (
        [sp.Eq(p[q], sp.exp(X[q])), sp.Eq(J, -sp.log(p[label]))],
        "index q in 1..N; input label in 1..N; p[q] = exp(x[q]); J = -log(p[label])",
        "x",
        {"integers": {"label": (1, N)}},
    ),
    "gather with a role": (
        [sp.Eq(Y[t], E[W[t] + 1]), sp.Eq(J, sp.Sum(Y[t], t))],
        "index t in 1..T; input w[t] in 0..3; param E[n]; y[t] = E[w[t]+1]; J = sum(y[t] for t in 1..T)",
        "E",
        {"integers": {W[t]: (0, 3)}, "inputs": [W], "params": [E]},
    ),
    "max": ([sp.Eq(J, MAX(X[i], (i, 1, N)) * v)], "J = max(x[i] for i in 1..N)*v", "x", {}),
    "min of two": (
        [sp.Eq(J, sp.Function("min")(A[q, r], (q,), (r,)))],
        "index q, r in 1..N; J = min(A[q,r] for q for r)",
        "A",
        {},
    ),
    "mean": ([sp.Eq(J, MEAN((X[i] - u) ** 2, (i, 0, N)))], "J = mean((x[i] - u)^2 for i in 0..N)", "x", {}),
    "logsumexp": (
        [sp.Eq(Y[q], LSE(A[q, r], (r,))), sp.Eq(J, sp.Sum(Y[q], q))],
        "index q, r in 1..N; y[q] = logsumexp(A[q,r] for r); J = sum(y[q] for q in 1..N)",
        "A",
        {},
    ),
    "argmax": (
        [sp.Eq(Y[q], u * ARGMAX(A[q, r], (r,)) + sp.Function("argmin")(X[i], (i, 1, 3))), sp.Eq(J, sp.Sum(Y[q], q))],
        "index q, r in 1..N; y[q] = u*argmax(A[q,r] for r) + argmin(x[i] for i in 1..3); J = sum(y[q] for q in 1..N)",
        "u",
        {},
    ),
    "open range": (
        [sp.Eq(J, sp.Function("sum")(X[i] ** 2, (i,)) + MAX(W[i], (i,)))],
        "J = sum(x[i]^2 for i) + max(w[i] for i)",
        "x",
        {},
    ),
    "guarded sum": (
        [sp.Eq(J, sp.Sum(sp.Piecewise((A[i, j], j > i), (0, True)), (i, 1, N), (j, 1, N)))],
        "J = sum(A[i,j] for i in 1..N for j in 1..N if i < j)",
        "A",
        {},
    ),
    "guarded product": (
        [sp.Eq(J, sp.Product(sp.Piecewise((X[i], X[i] > u), (1, True)), (i, 1, N)))],
        "J = prod(x[i] for i in 1..N if u < x[i])",
        "x",
        {},
    ),
    "guarded max": (
        [sp.Eq(J, MAX(sp.Piecewise((X[i], i < 4), (-sp.oo, True)), (i, 1, 6)))],
        "J = max(x[i] for i in 1..6 if i < 4)",
        "x",
        {},
    ),
    "guarded logsumexp": (
        [sp.Eq(J, LSE(sp.Piecewise((X[i], X[i] > u), (-sp.oo, True)), (i, 1, 6)))],
        "J = logsumexp(x[i] for i in 1..6 if u < x[i])",
        "x",
        {},
    ),
    "triangle": (
        [sp.Eq(J, sp.Sum(A[i, j], (j, i + 1, N), (i, 1, N - 1)))],
        "J = sum(A[i,j] for i in 1..N-1 for j in i+1..N)",
        "A",
        {},
    ),
    "moving end of an inner sum": (
        [sp.Eq(Y[q], sp.Sum(X[j] ** 2, (j, 1, q))), sp.Eq(J, sp.Sum(Y[q] ** 2, q))],
        "index q in 1..N; y[q] = sum(x[j]^2 for j in 1..q); J = sum(y[q]^2 for q in 1..N)",
        "x",
        {},
    ),
    "function": (
        [sp.Eq(sigma(u), 1 / (1 + sp.exp(-u))), sp.Eq(Y[q], sigma(X[q] * v)), sp.Eq(J, sp.Sum(Y[q], q))],
        "index q in 1..N; sigma(u) = 1/(1 + exp(-u)); y[q] = sigma(x[q]*v); J = sum(y[q] for q in 1..N)",
        "x",
        {},
    ),
    "functions of functions": (
        [sp.Eq(J, g(u, v) + f(u)), sp.Eq(g(a, b), f(a) * f(b) ** 2), sp.Eq(f(a), sp.sin(a) + sp.pi)],
        "J = g(u, v) + f(u); g(a, b) = f(a)*f(b)^2; f(a) = sin(a) + pi",
        "u",
        {},
    ),
    "function of more than its arguments": (
        [sp.Eq(f(a), a * v + sp.Sum(X[i] * a, (i, 1, N))), sp.Eq(J, f(u) ** 2)],
        "f(a) = a*v + sum(x[i]*a for i in 1..N); J = f(u)^2",
        "u",
        {},
    ),
    "gradient inside": (
        [sp.Eq(y, sp.Sum(X[q] ** 3, q)), sp.Eq(m[q], sp.Derivative(y, X[q])), sp.Eq(J, sp.Sum(m[q] ** 2, q))],
        "index q in 1..N; y = sum(x[q]^3 for q in 1..N); m[q] = grad(y, x[q]); J = sum(m[q]^2 for q in 1..N)",
        "x",
        {},
    ),
    "gradient by a scalar": (
        [sp.Eq(y, u**3 * v), sp.Eq(J, sp.Derivative(y, u) ** 2)],
        "y = u^3*v; J = grad(y, u)^2",
        "v",
        {},
    ),
}


@pytest.mark.parametrize(("equations", "text", "wrt", "more"), CASES.values(), ids=CASES)
def test_a_model_is_that_of_its_text(equations: list[Any], text: str, wrt: str, more: dict[str, Any]) -> None:
    """Catches a construct of the language that SymPy input loses or changes, and a gradient that it does not have."""
    found, wanted = from_sympy(equations, loss=J, **more), replace(parse(text), loss="J")
    if "integers" in more:  # declares the arrays that the text leaves open, so the letters of axes may differ
        assert found.statements == wanted.statements
        assert {n: (x.role, x.values, x.extents) for n, x in found.tensors.items()} == {
            n: (x.role, x.values, x.extents) for n, x in wanted.tensors.items()
        }
    else:
        assert found == wanted
    assert dict(found.functions) == dict(wanted.functions)
    assert parse(str(found)).statements == found.statements
    assert wrt in derive(found, wrt=wrt).gradient(wrt).text()
    assert derive(found, wrt=wrt).backward.statements == derive(wanted, wrt=wrt).backward.statements


def test_a_case_that_reads_the_wrong_cell_is_seen() -> None:
    """Catches an `==` of programs that overlooks recurrences, gathers and calls."""
    programs = [from_sympy(equations, loss=J, **more) for equations, _, _, more in CASES.values()]
    assert all(one != two for place, one in enumerate(programs) for two in programs[:place])


def test_guards_print_as_guards() -> None:
    """Catches a Piecewise in a sum that is printed as a choice of 0."""
    for name in ("guarded sum", "guarded product"):
        assert " if " in str(from_sympy(CASES[name][0])), name
        assert "else" not in derive(from_sympy(CASES[name][0])).text().split("Backward")[0]


HEADS_OF_SYMPY = [
    (sp.erfc(u) + sp.loggamma(v), "erfc(u) + lgamma(v)"),
    (
        sp.digamma(u) + sp.trigamma(v) + sp.polygamma(2, u) + sp.polygamma(3, v),
        "digamma(u) + trigamma(v) + polygamma2(u) + polygamma3(v)",
    ),
    (sp.floor(u) * sp.ceiling(v), "floor(u)*ceil(v)"),
    (sp.asinh(u) + sp.acosh(v) + sp.atanh(u), "asinh(u) + acosh(v) + atanh(u)"),
    (sp.sign(u * sp.exp(v)), "sign(u*exp(v))"),
    (sp.Abs(sp.exp(u)), "exp(u)"),
    (sp.Abs(sp.exp(u * v) * v), "exp(u*v)*abs(v)"),
    (sp.Abs(u + sp.exp(v)), "abs(u + exp(v))"),
    (sp.Function("clip")(u, 0, v), "clip(u, 0, v)"),
    (sp.Function("stop")(sp.floor(u)) + u, "stop(floor(u)) + u"),
    (sp.Function("lrelu")(u, v) + sp.Function("gelu")(u), "leaky_relu(u, v) + gelu(u)"),
]


@pytest.mark.parametrize(("value", "text"), HEADS_OF_SYMPY, ids=[text for _, text in HEADS_OF_SYMPY])
def test_a_head_of_sympy_is_a_function_of_the_table(value: Any, text: str) -> None:
    """Catches a function of the language that SymPy has under another name and that is refused or confused."""
    found = program(value)
    assert found == parse(f"J = {text}")
    assert parse(str(found)) == found


@pytest.mark.parametrize("name", sorted({row.name for row in FUNCTIONS.values()}))
def test_every_function_of_the_table_is_called_by_its_name(name: str) -> None:
    """Catches a row that SymPy input does not reach."""
    args = (u, v, a)[: FUNCTIONS[name].arity or 3]
    found = program(sp.Function(name)(*args))
    assert found == parse(f"J = {name}({', '.join(map(str, args))})")


def test_abs_of_what_sympy_would_split_is_read_in_text() -> None:
    """Catches abs(exp(x)) turned into exp(re(x)), for which nothing has a row."""
    found = parse("J = abs(exp(x) - y)*sign(exp(x))")
    assert parse(str(found)) == found
    assert evaluate(found, {"x": 0.0, "y": 3.0})["J"] == 2
    assert derive(found, wrt="x").gradient("x").text() == "dJ/dx = sign(exp(x) − y) sign(exp(x)) exp(x)"


ASSUMPTIONS: list[dict[str, Any]] = [
    {},
    {"real": True},
    {"positive": True},
    {"integer": True},
    {"nonnegative": True, "integer": True},
]


@pytest.mark.parametrize("given", ASSUMPTIONS, ids=str)
def test_assumptions_change_nothing(given: dict[str, Any]) -> None:
    """Catches a quantity taken for an index because it is an integer, and symbols that stay apart by assumptions."""
    x, n, size = (sp.Symbol(name, **given) for name in ("x", "n", "N"))
    k = sp.Symbol("k", **{**given, "integer": True})
    model = [sp.Eq(u, x * n + sp.tanh(x) / n), sp.Eq(J, u * sp.Sum(W[k] ** 2 * x, (k, 1, size)))]
    assert from_sympy(model) == parse("u = x*n + tanh(x)/n; J = u*sum(w[k]^2*x for k in 1..N)")


REFUSED: list[tuple[str, list[Any], dict[str, Any], str]] = [
    ("recursion", [sp.Eq(f(u), f(u - 1) + 1), sp.Eq(J, f(v))], {}, "SG401"),
    ("mutual recursion", [sp.Eq(f(u), g(u)), sp.Eq(g(u), f(u) + 1), sp.Eq(J, f(v))], {}, "SG401"),
    ("arity", [sp.Eq(f(u), u**2), sp.Eq(J, f(u, v))], {}, "SG118"),
    ("function twice", [sp.Eq(f(u), u**2), sp.Eq(f(v), v**3), sp.Eq(J, f(u))], {}, "SG202"),
    ("function of the table", [sp.Eq(sp.Function("tanh")(u), u**2), sp.Eq(J, u)], {}, "SG204"),
    ("reduction as a function", [sp.Eq(sp.Function("mean")(u), u**2), sp.Eq(J, u)], {}, "SG204"),
    ("derivative as a function", [sp.Eq(f(u), u), sp.Eq(sp.Function("f'")(u), u), sp.Eq(J, u)], {}, "SG204"),
    ("function and quantity", [sp.Eq(f(u), u**2), sp.Eq(J, f(u) + sp.Symbol("f"))], {}, "SG205"),
    ("argument twice", [sp.Eq(f(u, u), u**2), sp.Eq(J, u)], {}, "SG121"),
    ("argument that is no name", [sp.Eq(f(u + 1), u**2), sp.Eq(J, u)], {}, "SG121"),
    ("argument bound again", [sp.Eq(f(k), sp.Sum(X[k], (k, 1, 3))), sp.Eq(J, f(u))], {}, "SG302"),
    ("hostile function", [sp.Eq(sp.Function("x; import os")(u), u**2), sp.Eq(J, u)], {}, "SG209"),
    ("only functions", [sp.Eq(f(u), u**2)], {}, "SG120"),
    ("second derivative", [sp.Eq(y, u**3), sp.Eq(J, sp.Derivative(y, u, u))], {}, "SG132"),
    ("derivative of what is given", [sp.Eq(J, sp.Derivative(y, u))], {}, "SG132"),
    ("derivative of an expression", [sp.Eq(y, u**3), sp.Eq(J, sp.Derivative(y * u, u))], {}, "SG132"),
    ("infinity where no guard leaves it", [sp.Eq(J, sp.Sum(sp.Piecewise((X[i], i < 4), (-sp.oo, True)), (i, 1, 6)))], {}, "SG133"),
    ("other infinity", [sp.Eq(J, MAX(sp.Piecewise((X[i], i < 4), (sp.oo, True)), (i, 1, 6)))], {}, "SG133"),
    ("infinity outside", [sp.Eq(J, sp.Piecewise((u, u < 4), (-sp.oo, True)))], {}, "SG133"),
    ("infinity in a function", [sp.Eq(f(u), sp.Piecewise((u, u < 4), (-sp.oo, True))), sp.Eq(J, f(u))], {}, "SG133"),
    ("half a range", [sp.Eq(J, MAX(X[i], (i, N)))], {}, "SG311"),
    ("max without a range", [sp.Eq(J, MEAN(u))], {}, "SG201"),
    ("imaginary part", [sp.Eq(J, sp.im(u))], {}, "SG132"),
    ("polygamma", [sp.Eq(J, sp.polygamma(4, u))], {}, "SG132"),
    ("no start", [sp.Eq(h[t], h[t - 1] * u), sp.Eq(J, h[T])], {}, "SG309"),
    ("cell defined twice", [sp.Eq(h[1], u), sp.Eq(h[sp.Idx("t", (1, 4))], v), sp.Eq(J, h[2])], {}, "SG202"),
    ("trained whole numbers", [sp.Eq(J, E[W[1]])], {"integers": {W: (1, V)}, "params": [W]}, "SG211"),
    ("whole numbers of what is computed", [sp.Eq(label, u), sp.Eq(J, E[label])], {"integers": {label: (1, V)}}, "SG202"),
    ("whole numbers not used", [sp.Eq(J, u)], {"integers": {label: (1, V)}}, "SG203"),
    ("whole numbers without ends", [sp.Eq(J, E[label])], {"integers": {label: 3}}, "SG311"),
    ("fraction as an end", [sp.Eq(J, E[label])], {"integers": {label: (1, sp.Rational(7, 2))}}, "SG311"),
    ("no mapping", [sp.Eq(J, E[label])], {"integers": [label]}, "SG130"),
]


@pytest.mark.parametrize(("equations", "more", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_the_language_refuses_is_refused(equations: list[Any], more: dict[str, Any], code: str) -> None:
    """Catches a traceback, and a model read in another way than it was meant."""
    assert code_of(lambda: from_sympy(equations, **more)) == code


def test_calls_may_not_grow_without_end() -> None:
    """Catches time that grows with what 60 functions, each calling the one before twice, have put in."""
    names = [sp.Function(f"f{n}") for n in range(60)]
    chain = [sp.Eq(two(u), one(u) + one(u) ** 2) for one, two in itertools.pairwise(names)]
    start = time.perf_counter()
    assert code_of(lambda: from_sympy([sp.Eq(names[0](u), sp.sin(u)), *chain, sp.Eq(J, names[-1](u))])) == "SG507"
    assert time.perf_counter() - start < 5


def test_a_shape_with_the_extent_as_an_index() -> None:
    """Catches h[T] of an array of the shape T + 1 taken for h of every T."""
    state = sp.IndexedBase("h", shape=(T + 1,))
    found = from_sympy([sp.Eq(state[0], u), sp.Eq(state[t], state[t - 1] * v), sp.Eq(J, state[T])])
    assert found == parse("index t in 1..T; h[0] = u; h[t] = h[t-1]*v; J = h[T]")


# names

NAMES = {
    "y^*": "y_star", "y^{*}": "y_star", "y_star": "y_star", r"y^\star": "y_star", r"y^{\ast}": "y_star", "x'^*": "x_prime_star",
    "x'": "x_prime", "x''": "x_prime_prime", r"x^{\prime}": "x_prime", "α": "alpha", r"\alpha": "alpha", "alpha": "alpha",
    r"\theta_{1}": "theta_1", "u_1": "u_1", "Ω_2": "Omega_2", "lambda": "lambda", r"\lambda": "lambda", "beta": "beta",
    "E": "E", "I": "I", "N": "N", "S": "S",
}  # fmt: skip


@pytest.mark.parametrize(("name", "wanted"), NAMES.items())
def test_names(name: str, wanted: str) -> None:
    """Catches a spelling of a name that becomes another quantity, as a scalar and as an array."""
    assert name_in_code(name) == wanted
    assert program(sp.Symbol(name) + 1).free == (wanted,)
    assert program(sp.IndexedBase(name)[2] + 1).free == (wanted,)


HOSTILE = [
    "__import__('os')", "__import__('os').system('touch hacked')", "x; import os", "x\nimport os", "x)", "a b", "a.b", "a-b", "a+b",
    "x[0]", "2x", "", "_x", "a__b", "__class__", "x\0", "x\u202e", "x\u200b", "\u0445", "é", "f'{x}'", "lambda: 0", "\U0001d431",
    "x\\", r"\frac{1}{2}", "y^2", "{x}", "'", "*", "^*",
]  # fmt: skip
RESERVED = ["exp", "max", "sum", "where", "sqrt", "pi", "π", "for", "in", "if", "import", "eval", "exec", "open", "minimize"]


@pytest.fixture
def no_running(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails the test when anything is run or parsed by SymPy."""

    def refuse(*args: Any, **more: Any) -> None:
        raise AssertionError("something was run")

    for owner, names in ((builtins, ("eval", "exec")), (os, ("system",)), (sp, ("parse_expr", "lambdify"))):
        for name in names:
            monkeypatch.setattr(owner, name, refuse)


@pytest.mark.usefixtures("no_running")
@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_hostile_names_are_refused_wherever_they_stand(name: str) -> None:
    """Catches a name that reaches code or a message as it is."""
    symbol = sp.Symbol(name)
    places: list[Callable[[], Any]] = [
        lambda: program(symbol + 1),
        lambda: from_sympy([sp.Eq(symbol, u)]),
        lambda: program(sp.IndexedBase(symbol)[1]),
        lambda: program(X[symbol]),
        lambda: program(sp.Sum(X[i], (i, 0, symbol))),
        lambda: program(sp.Sum(X[symbol], (symbol, 0, 3))),
        lambda: program(u, params=[name]),
        lambda: program(u, minimize=name),
    ]
    for build in places:
        with pytest.raises(SymgradError) as caught:
            build()
        assert caught.value.code == "SG209"
        assert str(caught.value).isprintable() or str(caught.value).replace("\n", "").isprintable()


@pytest.mark.usefixtures("no_running")
@pytest.mark.parametrize("name", [name for name in HOSTILE if "\0" not in name], ids=ascii)
def test_hostile_functions_are_unknown(name: str) -> None:
    """Catches an undefined function called by its name."""
    assert code_of(lambda: program(sp.Function(name)(u))) == "SG201"


@pytest.mark.parametrize("name", RESERVED)
def test_words_of_the_language_are_no_quantities(name: str) -> None:
    """Catches a program whose text would not read back."""
    assert code_of(lambda: program(sp.Symbol(name) + 1)) == "SG204"
    assert code_of(lambda: program(sp.IndexedBase(name)[1])) == "SG204"


def test_a_long_name() -> None:
    """Catches a name beyond the limit of the language, and a message that repeats it all."""
    with pytest.raises(SymgradError) as caught:
        program(sp.Symbol("x" * 10_000))
    assert caught.value.code == "SG503"
    assert len(str(caught.value)) < 200


def test_symbols_that_sympy_holds_apart_stay_apart() -> None:
    """Catches two symbols of one name merged silently."""
    assert code_of(lambda: program(sp.Symbol("x", positive=True) + sp.Symbol("x"))) == "SG208"
    assert code_of(lambda: program(sp.Dummy("x") + sp.Symbol("x"))) == "SG208"
    assert code_of(lambda: program(sp.Sum(X[sp.Idx("i")], (sp.Symbol("i"), 0, 3)))) == "SG208"
    assert program(sp.Dummy("x") + 1).free == ("x",)
    assert program(sp.Symbol("y^*") * sp.Symbol("y_star")).free == ("y_star",)


# what is refused

UNSUPPORTED = [
    ("Derivative", sp.Derivative(u**2 * v, u), "SG132"),
    ("Integral", sp.Integral(u, (u, 0, v)), "SG132"),
    ("Matrix", sp.Matrix([u, v]), "SG132"),
    ("MatrixSymbol", sp.MatrixSymbol("B", 2, 2), "SG132"),
    ("matrix element", sp.MatrixSymbol("B", 2, 2)[0, 1], "SG132"),
    ("Heaviside", sp.Heaviside(u), "SG132"),
    ("Mod", sp.Mod(u, 2), "SG132"),
    ("gamma", sp.gamma(u), "SG132"),
    ("factorial", sp.factorial(u), "SG132"),
    ("atan2", sp.atan2(u, v), "SG132"),
    ("conjugate", sp.conjugate(u), "SG132"),
    ("Lambda", sp.Lambda(u, u), "SG132"),
    ("Subs", sp.Subs(sp.Function("f")(u), u, v), "SG132"),
    ("Interval", sp.Interval(0, 1), "SG132"),
    ("Order", sp.Order(u), "SG132"),
    ("Not", sp.Piecewise((1, sp.Not(sp.And(u > 0, v > 0), evaluate=False)), (0, True)), "SG132"),
    ("EulerGamma", sp.EulerGamma * u, "SG132"),
    ("non-commuting", sp.Symbol("q", commutative=False) * u, "SG132"),
    ("base without indices", X, "SG132"),
    ("imaginary unit", sp.I * u, "SG133"),
    ("nan", sp.nan, "SG133"),
    ("zoo", sp.zoo, "SG133"),
    ("infinity", sp.oo, "SG133"),
    ("maximum with minus infinity", sp.Max(u, -sp.oo, evaluate=False), "SG133"),
    ("infinite sum", sp.Sum(X[i], (i, 0, sp.oo)), "SG133"),
    ("root of a negative number", sp.Pow(-8, sp.Rational(1, 3), evaluate=False) * u, "SG133"),
    ("logarithm of a negative number", sp.log(-3, evaluate=False) * u, "SG133"),
    ("division by zero", sp.Pow(0, -1, evaluate=False) * u, "SG133"),
    ("half a Piecewise", sp.Piecewise((u, u > 0)), "SG134"),
    ("unknown function", sp.Function("f")(u), "SG201"),
    ("known function, wrong arity", sp.Function("relu")(u, v), "SG118"),
    ("comparison", u > v, "SG116"),
    ("truth", sp.true, "SG116"),
    ("tuple", sp.Tuple(u, v), "SG116"),
    ("free index", X[i], "SG301"),
    ("product as an index", sp.Sum(A[i * j, j], (i, 0, 3), (j, 0, 3)), "SG308"),
    ("fraction as an index", X[sp.Rational(1, 2)], "SG308"),
    ("decimal as an index", X[1.5], "SG308"),
    ("gather by an array", X[W[1]], "SG391"),
    ("gather by a scalar", X[J], "SG391"),
    ("decimal end", sp.Sum(X[i], (i, 0, 2.5)), "SG311"),
    ("fraction as an end", sp.Sum(X[i], (i, 0, sp.Rational(5, 2))), "SG311"),
    ("value as an end", sp.Sum(X[i], (i, 0, W[1])), "SG311"),
    ("end that uses its own index", sp.Sum(X[i], (i, 0, i)), "SG302"),
    ("index used twice", sp.Sum(X[i] * sp.Sum(W[i], (i, 1, 3)), (i, 1, 3)), "SG302"),
    ("empty range", sp.Sum(X[i], (i, 3, 0)), "SG307"),
    ("two ranks", X[1] + X[1, 2], "SG303"),
    ("two ranges", X[sp.Idx("i", 3)] + W[sp.Idx("i", 4)], "SG208"),
    ("quantity as an end", sp.Sum(X[i], (i, 0, J)), "SG304"),
    ("quantity as an index", sp.Sum(X[J], (J, 0, 3)), "SG205"),
    ("itself", J + 1, "SG401"),
    ("huge number", sp.Integer(10) ** 400 * u, "SG505"),
    ("huge power", sp.Pow(9, sp.Pow(9, 9, evaluate=False), evaluate=False) * u, "SG505"),
]


@pytest.mark.parametrize(("value", "code"), [row[1:] for row in UNSUPPORTED], ids=[row[0] for row in UNSUPPORTED])
def test_what_has_no_counterpart_is_refused(value: Any, code: str) -> None:
    """Catches a traceback, and anything dropped or misread in silence."""
    with pytest.raises(SymgradError) as caught:
        program(value)
    assert caught.value.code == code


ITEMS = [
    ("number", [3], "SG130"),
    ("text", "J = x", "SG130"),
    ("pair", [(J, u)], "SG130"),
    ("expression", [J + u], "SG130"),
    ("inequality", [sp.Lt(J, u)], "SG130"),
    ("no list", 3, "SG130"),
    ("None", None, "SG130"),
    ("always true", [sp.Eq(u, u)], "SG131"),
    ("never true", [sp.Eq(1, 2)], "SG131"),
    ("True", [True], "SG131"),
    ("sum on the left", [sp.Eq(u + v, J)], "SG121"),
    ("number on the left", [sp.Eq(3, u, evaluate=False)], "SG121"),
    ("index on the left", [sp.Eq(sp.Idx("i"), u)], "SG121"),
    ("empty", [], "SG120"),
    ("twice", [sp.Eq(J, u), sp.Eq(J, v)], "SG202"),
    ("cycle", [sp.Eq(u, v + 1), sp.Eq(v, 2 * u)], "SG401"),
    ("index twice on the left", [sp.Eq(A[i, i], u)], "SG306"),
    ("shift on the left", [sp.Eq(X[i + 1], u)], "SG311"),
    ("two ranges of one index", [sp.Eq(X[sp.Idx("i", 3)], 1), sp.Eq(Y[sp.Idx("i", 4)], 2)], "SG305"),
    ("two shapes of one index", [sp.Eq(Y[i], sp.IndexedBase("x", shape=(3,))[i] + sp.IndexedBase("w", shape=(4,))[i])], "SG305"),
]


@pytest.mark.parametrize(("items", "code"), [row[1:] for row in ITEMS], ids=[row[0] for row in ITEMS])
def test_what_is_no_equation_is_refused(items: Any, code: str) -> None:
    """Catches a TypeError or AttributeError where a refusal belongs."""
    assert code_of(lambda: from_sympy(items)) == code


def test_a_refusal_names_the_equation_and_gives_a_hint() -> None:
    """Catches a message that leaves the user to search a long list."""
    with pytest.raises(SymgradError) as caught:
        from_sympy([sp.Eq(y, u), sp.Eq(J, sp.Heaviside(y))])
    assert re.fullmatch(r"SG132: 'Heaviside' .*\(equation 2, of J\)\nhint: .*Piecewise.*", str(caught.value))


# declarations, ranges and goals


def test_roles_in_every_form() -> None:
    """Catches a form of naming a quantity that is not understood, and a role that is lost."""
    forms: list[list[Any]] = [[W, u], [sp.Symbol("w"), "u"], [W[i], u], ["w", u]]
    for params in forms:
        found = from_sympy([sp.Eq(J, u * sp.Sum(W[i] * X[i], (i, 0, D)))], params=params, inputs=X)
        assert {name: tensor.role for name, tensor in found.tensors.items()} == {
            "x": "input",
            "w": "param",
            "u": "param",
            "J": "defined",
        }
        assert parse(str(found)) == found


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"params": ["q"]}, "SG203"),
        ({"params": ["u"], "inputs": [u]}, "SG202"),
        ({"params": ["J"]}, "SG202"),
        ({"params": [3]}, "SG209"),
        ({"params": 3}, "SG130"),
        ({"minimize": "u"}, "SG203"),
        ({"loss": "q"}, "SG203"),
        ({"minimize": J, "maximize": J}, "SG404"),
        ({"minimize": 3}, "SG209"),
    ],
)
def test_bad_declarations(more: dict[str, Any], code: str) -> None:
    """Catches a misspelt parameter or loss that goes unnoticed."""
    assert code_of(lambda: program(u + 1, **more)) == code


def test_goals() -> None:
    """Catches a goal under another name, or one that a plain loss brings along."""
    assert [(p.loss, p.goal) for p in (program(u), program(u, minimize=J), program(u, maximize="J"), program(u, loss=J))] == [
        (None, None), ("J", "minimize"), ("J", "maximize"), ("J", None),
    ]  # fmt: skip


def test_one_letter_for_two_ranges_is_kept_apart() -> None:
    """Catches declared arrays tied together by a letter that two sums use for different ranges."""
    B, C = sp.IndexedBase("B"), sp.IndexedBase("C")
    found = program(sp.Sum(B[i], (i, 1, 3)) + sp.Sum(C[i], (i, 0, 7)) + sp.Sum(B[j] * W[j], (j, 1, 3)), params=[B, C, W])
    assert {name: found.tensors[name].extents for name in found.params} == {"B": (3,), "C": (8,), "w": (3,)}
    assert parse(str(found)) == found


def test_a_range_is_taken_from_idx_or_from_a_shape() -> None:
    """Catches a range that SymPy knows and the program forgets."""
    by_idx = from_sympy([sp.Eq(Y[IDX], X[IDX] ** 2)])
    by_shape = from_sympy([sp.Eq(Y[i], sp.IndexedBase("x", shape=(N,))[i] ** 2)])
    assert program(sp.Sum(X[sp.Idx("i", 4)], sp.Idx("i", 4))) == parse("index i in 0..3; J = sum(x[i] for i)")
    assert by_idx == parse("index i in 1..N; y[i] = x[i]^2")
    assert by_shape == parse("index i in 0..N-1; y[i] = x[i]^2")


# size


def chain(levels: int) -> Any:
    value: Any = u
    for _ in range(levels):
        value = sp.sin(value, evaluate=False)
    return value


def test_nesting() -> None:
    """Catches a RecursionError below the limit, and a deeper expression let through."""
    assert str(program(chain(200))).count("sin(") == 200
    assert evaluate(program(chain(200)), {"u": 0.5})["J"] > 0
    for levels in (201, 1000):
        assert code_of(lambda levels=levels: program(chain(levels))) == "SG504"


def test_a_long_sum_is_no_deep_one() -> None:
    """Catches a sum read term inside term."""
    terms = [sp.Symbol(f"x_{n}") * n for n in range(1, 2001)]
    assert len(program(sp.Add(*terms)).free) == 2000


def test_shared_parts_written_out_are_refused_at_once() -> None:
    """Catches time that grows with the written-out size: 60 doublings."""
    value: Any = u
    for _ in range(60):
        value = sp.sin(value) + sp.cos(value)
    start = time.perf_counter()
    assert code_of(lambda: program(value)) == "SG507"
    assert time.perf_counter() - start < 1
