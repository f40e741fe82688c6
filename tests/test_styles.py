"""The closed, matrix and modules styles: right numbers, no more operations than published, and what they say of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.core.evaluate import evaluate, sizes_of
from symgrad.core.expr import access, index_symbol, reduction
from symgrad.core.program import Program
from symgrad.core.tree import ONES, Bracket, Call, Compare, Deriv, Name, Num, Pow, Prod, Sum, Transpose, Tree, children
from symgrad.derivation import STYLES, Derivation
from symgrad.printers.text import TEXT
from symgrad.transform.closed import closed_forms
from symgrad.transform.reverse import adjoint_names
from symgrad.transform.simplify import operations
from symgrad.transform.textbook import RULES, Textbook
from tests.golden_files import assert_golden
from tests.models import MODELS, SLIDES, random_arrays
from tests.reference import adjoints, error

ROOT = Path(__file__).parent.parent
GALLERY = tuple(f"gallery/{name}" for name in ("batch_norm", "layer_norm", "attention", "softmax_cross_entropy"))

BATCH_NORM = """
index i in 1..m
input c[i]
mu = mean(x[i] for i)
v = mean((x[i] - mu)^2 for i)
s = sqrt(v + epsilon)
xhat[i] = (x[i] - mu)/s
y[i] = gamma*xhat[i] + beta
J = sum(tanh(y[i])*c[i] for i)
"""
LAYER_NORM = """
index n in 1..N, i in 1..H
input c[n,i]
mu[n] = mean(x[n,i] for i)
s[n] = sqrt(mean((x[n,i] - mu[n])^2 for i) + epsilon)
xhat[n,i] = (x[n,i] - mu[n])/s[n]
y[n,i] = g[i]*xhat[n,i] + b[i]
J = sum(tanh(y[n,i])*c[n,i] for n, i)
"""
ATTENTION = """
index i, j, l in 1..T, d in 1..D, e in 1..E
input Q[i,d], K[j,d], V[j,e], c[i,e]
S[i,j] = sum(Q[i,d]*K[j,d] for d)/sqrt(D)
P[i,j] = exp(S[i,j])/sum(exp(S[i,l]) for l)
O[i,e] = sum(P[i,j]*V[j,e] for j)
J = sum(tanh(O[i,e])*c[i,e] for i, e)
"""
SOFTMAX = "index k, l in 1..K; input y^*[k]; param b[k]; {assume}; y[k] = exp(b[k])/sum(exp(b[l]) for l); {loss}"
LIKELIHOOD = "J = sum(y^*[k]*log(y[k]) for k); maximize J"
ENTROPY = "J = -sum(y^*[k]*log(y[k]) for k); minimize J"
LABEL = """
index n in 1..N, k, l in 1..K
input t[n] in 1..K
p[n,k] = exp(a[n,k])/sum(exp(a[n,l]) for l)
J = -mean(log(p[n,t[n]]) for n)
"""
NORMAL = "index i in 1..N; J = -sum(log(1/(sqrt(6.28)*sigma)*exp(-(x[i] - mu)^2/(2*sigma^2))) for i)"
GIVEN = "assume sum(y^*[k] for k) = 1"

# model, name, the line on the page, operations of the published form (Ioffe & Szegedy 2015; Dao et al. 2022; textbooks)
PUBLISHED = [
    (SOFTMAX.format(assume=GIVEN, loss=LIKELIHOOD), "b", "dJ/db_k = y*_k − y_k", 1),
    (SOFTMAX.format(assume=GIVEN, loss=ENTROPY), "b", "dJ/db_k = y_k − y*_k", 1),
    ("y = 1/(1 + exp(-a)); J = y^* * log(y) + (1 - y^*)*log(1 - y)", "a", "dJ/da = y* − y", 1),
    ("y = sigmoid(a); J = y^* * log(y) + (1 - y^*)*log(1 - y)", "a", "dJ/da = y* − y", 1),
    ("y = 1/(1 + exp(-a)); J = (y - y^*)^2/2", "a", "dJ/da = (y − y*) y (1 − y)", 4),
    ("z = tanh(a); J = z", "a", "dJ/da = 1 − z²", 2),
    ("z = max(0, a); J = (z - t)^2/2", "a", "dJ/da = (z − t) [a > 0]", 3),
    (
        "index k, l in 1..K; input t[k]; p[k] = exp(s[k])/sum(exp(s[l]) for l); J = logsumexp(s[k] for k) - sum(t[k]*s[k] for k)",
        "s",
        "dJ/ds_k = p_k − t_k",
        1,
    ),
    (LABEL, "a", "dJ/da_nk = (p_nk − [t_n = k])/N", 3),
    (NORMAL, "x", "dJ/dx_i = (x_i − μ)/σ²", 3),
    (BATCH_NORM, "x", "dJ/dx_i = γ (dJ/dy_i · m − xhat_i Σ_{l=1..m} dJ/dy_l · xhat_l − Σ_{l=1..m} dJ/dy_l)/(s m)", 10),
    (BATCH_NORM, "gamma", "dJ/dγ = Σ_{i=1..m} dJ/dy_i · xhat_i", 2),
    (ATTENTION, "S", "dJ/dS_ij = (dJ/dP_ij − Σ_{e=1..E} dJ/dO_ie · O_ie) P_ij", 4),
    (ATTENTION, "Q", "dJ/dQ_id = (Σ_{j=1..T} dJ/dS_ij · K_jd)/√D", 4),
]


def model_of(name: str) -> Program:
    """A model of the table, or one of the gallery."""
    return MODELS[name].program() if name in MODELS else sg.read(ROOT / f"examples/{name}.sg")


def derivation(program: Any) -> Derivation:
    return sg.derive(program, "J" if "J" in program.definitions else None)


def page_values(d: Derivation) -> dict[str, Any]:
    """The page's equations, by the name that each is the derivative by."""
    bars = adjoint_names(d.whole, d.loss)
    forms = closed_forms([bars[n] for n in d.wrt if n in bars], d.whole, d.steps, d._invented, Textbook(d.steps))
    return {name: forms[bar] for name, bar in bars.items() if bar in forms}


@pytest.mark.parametrize(("text", "name", "line", "most"), PUBLISHED, ids=[line.partition(" = ")[0] for _, _, line, _ in PUBLISHED])
def test_published_forms(text: str, name: str, line: str, most: int) -> None:
    """A form that no textbook prints, or one with more operations."""
    d = derivation(sg.parse(text))
    assert line in d.text("closed").splitlines()
    assert operations(page_values(d)[name]) <= most


def test_layer_norm_is_batch_norm_by_rows() -> None:
    """A gain inside the sums."""
    d = derivation(sg.parse(LAYER_NORM))
    (line,) = [line for line in d.text("closed").splitlines() if line.startswith("dJ/dx")]
    assert "xhat_ni Σ_{l=1..H}" in line
    assert operations(page_values(d)["x"]) <= 13  # g_i stands beside each of the three adjoints


def test_operations_are_counted_as_on_paper() -> None:
    """A count that lets a longer form pass."""
    x, y, m, k = sp.Symbol("x"), sp.Symbol("y"), index_symbol("m"), index_symbol("k")
    total = reduction("sum", access("a", k) * x, [(k, 1, m)])
    cases = {x - y: 1, x / y: 1, x / 2: 1, -x: 0, 1 / (x * y): 2, x**2: 1, 3 * x / (2 * y): 3, sp.exp(-x): 1, total: 2}
    assert {expr: operations(expr) for expr in cases} == cases


@pytest.mark.parametrize("text", [text for text, *_ in PUBLISHED[:1]] + [BATCH_NORM, LAYER_NORM, ATTENTION, LABEL], ids=str.split)
def test_a_page_equals_the_derivative(text: str) -> None:
    """A rule that changes the value: the page is evaluated as it stands, kept adjoints and all."""
    d = derivation(sg.parse(text))
    arrays = random_arrays(d.program, np.random.default_rng(2))
    if d.program.assumptions:
        arrays["y_star"] = arrays["y_star"] / arrays["y_star"].sum()
    values = {**arrays, **evaluate(d.whole, arrays)}
    wanted = adjoints(d.program, arrays, d.loss)
    sizes = sizes_of(d.whole, {n: np.shape(a) for n, a in arrays.items()})
    bars = adjoint_names(d.whole, d.loss)
    for name, value in page_values(d).items():
        gradient = d._gradient(bars[name], value, Textbook(d.steps))
        found = evaluate(gradient, {free: values[free] for free in gradient.free}, sizes=sizes)[bars[name]]
        assert error(found, wanted[name] if name in wanted else values[bars[name]]) < 1e-15, name


def test_assumptions_are_cited_where_they_are_used() -> None:
    """y* − y without its condition."""
    page = sg.derive(sg.parse(SOFTMAX.format(assume=GIVEN, loss=LIKELIHOOD))).text("closed")
    assert page.endswith("given Σ_{k=1..K} y*_k = 1")
    unused = "index k in 1..K; input t[k]; param a[k]; assume sum(t[k] for k) = 1; J = sum(a[k]^2*t[k] for k)"
    assert "given" not in sg.derive(sg.parse(unused)).text("closed")


def test_explained_rules_are_equations() -> None:
    """A rule that is named but not shown, an index that no reader knows."""
    text = derivation(sg.parse(BATCH_NORM)).text("closed", explain=True)
    names = {rule.name for rule in RULES}
    notes = [line for line in text.splitlines() if line.partition(":")[0] in names]
    assert len(notes) >= 3
    for note in notes:
        before, equals, after = note.partition(": ")[2].rpartition(" (")[0].partition(" = ")
        assert equals
        assert before != after
    assert "{_" not in text


# matrices

LENGTH = 3  # of every axis, so that a vector of ones has one length; a transposed array still shows, its numbers differ


def value_of(tree: Tree, values: Mapping[str, Any]) -> Any:
    """A matrix tree in NumPy: vectors are columns, * is the matrix product, a number alone fits any shape."""
    match tree:
        case Num():
            return float(tree.text)
        case Name() | Deriv():
            return values[key(tree)]
        case Transpose():
            return value_of(tree.base, values).T
        case Sum():
            parts = [(sign, value_of(term, values)) for sign, term in tree.terms]
            assert len({np.shape(part) for _, part in parts} - {()}) < 2, "arrays of different shapes are added"
            return sum(sign * part for sign, part in parts)
        case Prod():
            return product([(op, value_of(factor, values)) for op, factor in tree.factors])
        case Pow():
            base = value_of(tree.base, values)
            assert np.shape(base) == ()
            return base ** value_of(tree.exponent, values)
        case Bracket():
            (compare,) = tree.conditions
            assert isinstance(compare, Compare)
            assert compare.op == ">"
            return (value_of(compare.left, values) > value_of(compare.right, values)) * 1.0
        case Call():
            (inner,) = (value_of(arg, values) for arg in tree.args)
            return FUNCTIONS[tree.function](inner)
    raise AssertionError(tree)


FUNCTIONS: dict[str, Any] = {
    "exp": np.exp, "log": np.log, "tanh": np.tanh, "sqrt": np.sqrt, "sin": np.sin, "cos": np.cos,
    "logistic": lambda u: 1 / (1 + np.exp(-u)), "relu": lambda u: np.maximum(u, 0), "softplus": lambda u: np.log1p(np.exp(u)),
    "diag": lambda u: np.diag(u[:, 0]),
}  # fmt: skip


def key(tree: Any) -> str:
    return f"d{key(tree.top)}/d{key(tree.bottom)}" if isinstance(tree, Deriv) else str(tree.name)


def product(factors: list[tuple[str, Any]]) -> Any:
    """Entry by entry, or from left to right with the matrix product between arrays."""
    if any(op == "o" for op, _ in factors):
        assert len({np.shape(factor) for _, factor in factors}) == 1
        return np.prod([factor for _, factor in factors], axis=0)
    total: Any = 1.0
    for op, factor in factors:
        if op == "/":
            assert np.shape(factor) == () or np.shape(total) in ((), np.shape(factor))
            total = total / factor
        else:
            total = total * factor if () in (np.shape(total), np.shape(factor)) else total @ factor
            total = float(total[0, 0]) if np.shape(total) == (1, 1) else total
    return total


def in_indices(tree: Tree) -> bool:
    return bool(isinstance(tree, Name) and tree.indices) or any(map(in_indices, children(tree)))


def columns(program: Any) -> tuple[dict[str, Any], dict[str, int]]:
    """Arrays whose every axis has LENGTH values."""
    extents = {axis.extent for tensor in program.tensors.values() for axis in tensor.axes}
    sizes = {str(s): LENGTH - int(e.subs(s, 0)) for e in extents for s in e.free_symbols if len(e.free_symbols) == 1}
    return random_arrays(program, np.random.default_rng(3), sizes), sizes


@pytest.mark.parametrize(
    "name", ["S2", "S3", "S4", "S7", "S1 steps", "quadratic form", "attention", "transpose", "gallery/batch_norm"]
)
def test_matrix_forms_are_right(name: str) -> None:
    """A transpose too many, ⊙ for a matrix product, a sum on the wrong side: every equation in NumPy."""
    d = derivation(model_of(name))
    arrays, sizes = columns(d.program)
    found = {**arrays, **evaluate(d.whole, arrays)}
    values: dict[str, Any] = {ONES: np.ones((LENGTH, 1)), **{size: float(count) for size, count in sizes.items()}}
    for each, array in found.items():
        owner = d.whole.tensors[each].adjoint_of
        array = np.array(array, dtype=float)
        label = f"d{owner[0]}/d{owner[1]}" if owner else each
        values[label] = float(array) if array.ndim == 0 else array.reshape(len(array), -1)
    lines = [line for s in d.page("matrix").sections for row in s.rows for line in (row.forward, *row.backward) if line]
    assert len(lines) == len(d.whole.defined)
    for line in lines:
        assert not in_indices(line.right), TEXT.show(line.right)
        wanted = values[key(line.left)]
        got = value_of(line.right, values)
        assert np.shape(got) == np.shape(wanted), TEXT.show(line.left)
        assert np.allclose(got, wanted, rtol=1e-12), TEXT.show(line.left)


BY_HAND = {
    "S3": ["b = βᵀ z", "a = α x", "z = σ(a)", "dJ/da = dJ/dz ⊙ z ⊙ (1 − z)", "dJ/dα = dJ/da · xᵀ", "dJ/dx = αᵀ · dJ/da"],
    "gallery/batch_norm": ["x = u Wᵀ", "dJ/db = 𝟏ᵀ · dJ/da", "dJ/dW = (dJ/dx)ᵀ u", "dJ/dw = relu(y)ᵀ · dJ/da"],
}


@pytest.mark.parametrize("name", BY_HAND)
def test_matrix_forms_of_the_lecture(name: str) -> None:
    """S9, and a batch of examples as rows."""
    text = derivation(model_of(name)).text("matrix")
    assert [line for line in BY_HAND[name] if line not in text] == []


REFUSED = {
    "shift": ("index n in 0..N; input x[n]; J = sum((x[i+1] - x[i])^2 for i in 0..N-1)", "shifts or gathers"),
    "part": ("index n in 0..N; input x[n]; J = sum(x[i]^2 for i in 1..N)", "a part of an array"),
    "count": ("index i in 1..N; input x[i]; J = sum(i*x[i]^2 for i)", "counts with an index"),
    "rank": ("index i, j, k in 1..N; input A[i,j,k]; J = sum(A[i,j,k]^2 for i, j, k)", "more than two indices"),
    "diagonal": ("index i in 1..N; J = sum(A[i,i]^2 for i)", "a diagonal"),
    "gather": ("index t in 1..T, v in 1..V; input w[t] in 1..V; param E[v]; J = sum(E[w[t]]^2 for t)", "shifts or gathers"),
    "maximum": ("J = max(x[i]^2 for i in 1..N)", "it is a max"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_matrices_cannot_say_stays_in_indices(case: str) -> None:
    """An equation that is printed wrong rather than in indices, or without a word."""
    text, why = REFUSED[case]
    printed = derivation(sg.parse(text)).text("matrix")
    notes = [line for line in printed.splitlines() if line.startswith("in indices, since")]
    assert any(why in note for note in notes), printed


# modules


def test_modules_of_case_2() -> None:
    """S8: five modules, a forward and a backward box each, from the inputs to the loss."""
    page = sg.derive(MODELS["S3"].program()).page("modules")
    assert [section.caption for section in page.sections] == [f"Module {k}" for k in range(1, 6)]
    assert [key(section.rows[0].forward.left) for section in page.sections] == ["a", "z", "b", "y", "J"]  # type: ignore[union-attr]
    assert all(section.titles == ("Forward", "Backward") and section.rows[0].backward for section in page.sections)
    latex = sg.derive(MODELS["S3"].program()).latex("modules")
    assert latex.count(r"\textbf{Module ") == 5
    assert latex.count(r"\begin{array}{|l|") == 5


def test_a_recurrence_is_one_module() -> None:
    """The start of a recurrence in a box of its own."""
    text = "h[0] = a; h[t] = tanh(w*h[t-1]) for t in 1..T; J = h[T]^2"
    page = sg.derive(sg.parse(text)).page("modules")
    assert len([section for section in page.sections if section.caption]) == 2


# what is printed

PRINTED = (*GALLERY, *(f"gallery/{name}" for name in ("cbow", "convolution", "gru", "lstm", "max_pool")))
# slides and steps of the lecture's models, and slides of the gallery, stand in files of their own
PAGES = [(model.name, style) for model in SLIDES for style in ("closed", "matrix", "modules")]
PAGES += [(name, style) for name in PRINTED for style in STYLES if style != "slides"]


@pytest.mark.parametrize(("name", "style"), PAGES, ids=[f"{n}-{s}" for n, s in PAGES])
def test_printed_styles(name: str, style: str) -> None:
    """Any change of what a reader sees."""
    d = derivation(model_of(name))
    assert_golden(f"styles/{name.replace('/', '_')}.{style}.txt", f"{d.text(style, explain=True)}\n\n{d.latex(style)}\n")
