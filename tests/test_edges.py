# ruff: noqa: E501  (a model on one line)
"""Edges of index notation: ranges below 0, reads that only an empty range would put outside, refusals with their place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.core.evaluate import evaluate
from symgrad.core.program import Program
from tests.reference import adjoints, reals

BELOW = """
index s, q in -2..1, t in -3..N
input A[s,t], B[s,q], x[t], w
k_1[s] = stop(argmax(w*A[s,t] for t))
k_2[t] = stop(argmin(A[s,t]*w for s))
k_3 = stop(argmax(w*x[t-1] - x[t] for t in -2..N))
k_4[n] = stop(argmin(w*x[n+m] for m in -1..1)) for n in -2..N-1
k_5[s] = stop(argmax(B[s,q]*w for q in -2..s))
k_6 = stop(argmin(w*A[s,t] for s, t))
places = w*(sum(k_1[s]*s for s) + sum(k_2[t]*t for t) + k_3 + k_6 + sum(k_4[n]*n for n in -2..N-1) + sum(k_5[s] for s))
rows = sum(s*max(w*A[s,t] for t)^2 for s) + sum(t*min(w*A[s,t] for s)^2 for t) + sum(s*max(w*B[s,q] for q in -2..s)^2 for s)
windows = sum(n*max(w*x[n+m] for m in -1..1)^2 for n in -2..N-1) + min(x[t] - w*x[t-1] for t in -2..N)^2
J = places + rows + windows + max(w*A[s,t] for s, t)^2
"""

# read only where an inner range has points
INNER = [
    "index i, j in 0..N; input P[i,j]; y[i] = sum(P[i-1,j-1] for j in 1..i-1); J = sum(y[i]^2 for i)",
    "index i, j in 0..N; input P[i,j]; y[i,j] = P[i-1,j-1]  for j in 1..i-1; J = sum(y[i,j]^2 for i for j in 1..i-1)",
    "index i, j in 0..N; input x[i]; y[i] = sum(exp(x[i-1])*tanh(x[j]*x[i-1]) for j in 1..i-1); J = sum(y[i]^2 for i)",
    "index i in 0..N; input x[i]; y[i] = sum(log(1 + x[i+1]^2)*max(x[k+1]*x[i+1] for k in i..j-1) for j in i+1..N); J = sum(y[i]^2 for i)",
    "index i, j in 0..N; input x[i], P[i,j]; y[i] = sum(max(x[i-1]*x[k] for k in 0..N)*P[i,j] for j in 1..i-1); J = sum(y[i]^2 for i)",
    "index i, j in 0..N, k in 0..2; input x[i]; y[i] = sum(x[i+k-2]*x[j] for k for j in 1..i-2); J = sum(y[i]^2 for i)",
]


def whole(program: Program, rng: np.random.Generator, n: int, values: int) -> dict[str, Any]:
    """Arrays of few whole numbers, so that many are equal; every extent symbol is `n`."""
    out: dict[str, Any] = {}
    for name in program.free:
        shape = [int(extent.subs(dict.fromkeys(extent.free_symbols, n))) for extent in program.tensors[name].extents]
        out[name] = rng.integers(0, values, shape).astype(float) if shape else 2.0
    return out


def agrees(program: Program, kernel: Any, arrays: dict[str, Any]) -> None:
    """Every defined quantity and every gradient, the oracle's cells and its reverse mode against a kernel's."""
    wanted, slopes = evaluate(program, arrays), adjoints(program, arrays, "J", "one")
    (loss, found), values = kernel(**arrays), kernel.forward(**arrays)
    assert np.isclose(loss, float(wanted["J"]))
    for name in program.defined:
        assert np.allclose(values[name], np.asarray(wanted[name], dtype=float)), name
    for name in reals(program):
        assert np.allclose(found[name], np.asarray(slopes[name], dtype=float)), name


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_places_below_zero(backend: str) -> None:
    """A first place that is taken for none (-1), a place counted from 0, the last of equal values, a shifted row of slopes."""
    program = sg.parse(BELOW)
    kernel = sg.compile(program, loss="J", wrt=reals(program), backend=backend)
    for seed, values in enumerate((1, 2, 2, 3, 5, 9)):  # all equal, then fewer and fewer that are
        agrees(program, kernel, whole(program, np.random.default_rng(seed), 1, values))
    equal = whole(program, np.random.default_rng(0), 1, 1)
    places = kernel.forward(**equal)
    assert (places["k_1"], places["k_2"]) == (pytest.approx(-3), pytest.approx(-2))
    assert (places["k_3"], places["k_4"], places["k_5"]) == (-2, pytest.approx(-1), pytest.approx(-2))


@pytest.mark.parametrize(("text", "backend"), [(text, "numpy") for text in INNER] + [(text, "numba") for text in INNER[::2]])
def test_nothing_is_read_around_an_empty_range(text: str, backend: str) -> None:
    """SG309 at i = 0 of a sum over j in 1..i-1; a read or an adjoint moved out of the sum, to where it leaves its array."""
    program = sg.parse(text)
    kernel = sg.compile(program, loss="J", wrt=reals(program), backend=backend)
    for n in (0, 1, 2, 5):
        rng = np.random.default_rng(n)
        arrays = {name: rng.normal(size=np.shape(a)) for name, a in whole(program, rng, n, 2).items()}
        try:
            evaluate(program, arrays)
        except sg.SymgradError as refusal:
            assert refusal.code == "SG606"
            assert (n, "y[i,j]" in text) == (0, True), "y has an axis of -1 values, and only there"
            with pytest.raises(sg.SymgradError, match="SG606"):
                kernel(**arrays)
            continue
        agrees(program, kernel, arrays)


T, D, X = "index t in 1..T; ", "index i in 0..D; ", "index i in 0..D; input x[i]; "
OVER = "let the index run over less"

# text, wrt, code, the line and what stands above the caret (the first such place; a final ; is not part of it), words of the message, words of the hint
REFUSED = {
    "a square as an index": ("J = sum(x[i^2] for i in 0..3)", None, "SG308", 1, "x[i^2]", "i**2 is not affine", "integer factors"),
    "a product as an index": (
        "a = 2\nJ = sum(x[i*j] for i, j in 0..3)",
        None,
        "SG308",
        2,
        "x[i*j]",
        "i*j is not affine",
        "integer factors",
    ),
    "half an index": ("J = sum(x[i/2] for i in 0..3)", None, "SG308", 1, "x[i/2]", "i/2 is not affine", "integer factors"),
    "a target that skips cells": (D + "y[2*i] = x[i]\nJ = y[0]", None, "SG308", 1, "y[2*i]", "factor 2", "every cell"),
    "a gather by real numbers": (
        T + "J = sum(E[w[t]] for t)",
        None,
        "SG391",
        1,
        "E[w[t]]",
        "w is not declared to hold whole numbers",
        "input w[t] in 1..N",
    ),
    "a gather by what is computed": (
        "w[t] = 2*u[t]\nJ = sum(E[w[t]] for t in 1..T)",
        None,
        "SG391",
        2,
        "E[w[t]]",
        "w[t] stands as an index",
        "input w[t]",
    ),
    "an index that is nothing yet": ("J = x[z]", None, "SG301", 1, "x[z]", "z is free", "input z in 1..N"),
    "no start": (T + "h[t] = w*h[t-1]; J = h[T]", None, "SG309", 1, "h[t-1]", "h[t] needs h[0]", "its start: h[0]"),
    "no second start": (
        T + "h[1] = 1; h[t] = h[t-1] + h[t-2] for t in 2..T; J = h[T]",
        None,
        "SG309",
        1,
        "h[t-2]",
        "h[t] needs h[0]",
        "its start: h[0]",
    ),
    "no end": (T + "h[t] = w*h[t+1]; J = h[1]", None, "SG309", 1, "h[t+1]", "h[t] needs h[T + 1]", "its end: h[T + 1]"),
    "itself": (T + "h[0] = 1\nh[t] = w*h[t]; J = h[T]", None, "SG401", 2, "h[t];", "h[t] needs its own value", "h[t - 1]"),
    "itself in a sum": (
        T + "h[0] = 1; h[t] = sum(h[s] for s in 0..t); J = h[T]",
        None,
        "SG401",
        1,
        "h[s]",
        "h[t] needs h[s] for s in 0..t",
        "earlier",
    ),
    "both sides": (
        T + "h[0] = 1; h[T+1] = 0; h[t] = h[t-1] + h[t+1]; J = h[T]",
        None,
        "SG401",
        1,
        "h[t-1]",
        "h[t] needs h[t - 1] and h[t + 1]",
        "earlier",
    ),
    "mirrored": (
        T + "h[0] = 1; h[t] = h[T-t]; J = h[T]",
        None,
        "SG401",
        1,
        "h[T-t]",
        "h[t] needs h[T - t], and that may be h[t] itself",
        "earlier cells only",
    ),
    "in a ring": (T + "h[0] = 1\nh[t] = h[t-1] + g[t]; g[t] = h[t]; J = h[T]", None, "SG401", 2, "h[t]", "h → g → h", "order"),
    "one before the first": (
        X + "J = sum(x[i-1]*x[i] for i)",
        None,
        "SG309",
        1,
        "x[i-1]",
        "runs over -1..D - 1, outside of 0..D",
        OVER,
    ),
    "one after the last": (
        X + "J = sum(x[i+1]*x[i] for i)",
        None,
        "SG309",
        1,
        "x[i+1]",
        "runs over 1..D + 1, outside of 0..D",
        "where(i + 1 <= D, x[i + 1], 0)",
    ),
    "after the last in a triangle": (
        X + "J = sum(sum(x[i+1]*x[j] for j in i..D) for i)",
        None,
        "SG309",
        1,
        "x[i+1]",
        "runs over 1..D + 1",
        OVER,
    ),
    "a stride over the end": (
        X + "J = sum(x[2*i+k] for i for k in 0..2)",
        None,
        "SG309",
        1,
        "x[2*i+k]",
        "runs over 0..2*D + 2, outside of 0..D",
        OVER,
    ),
    "a window over the end": (
        D + "index n in 0..2*D; input x[n]\nJ = sum(x[2*i+k] for i for k in 0..2)",
        None,
        "SG309",
        2,
        "x[2*i+k]",
        "outside of 0..2*D",
        OVER,
    ),
    "a cell after the last": (
        "index n in 0..4; input x[n]; J = x[5]",
        None,
        "SG309",
        1,
        "x[5]",
        "the index 5 of x[5] is outside of 0..4",
        "cells 0..4",
    ),
    "by a class": (
        T + "input w[t] in 1..V; J = sum(E[w[t]] for t)",
        ["E", "w"],
        "SG405",
        1,
        "w[t]",
        "w holds whole numbers",
        "what is real is E",
    ),
    "by a power": ("input k in 1..9\nJ = x^k", "k", "SG405", 1, "k", "k holds whole numbers", "leave k out of wrt"),
    "through an argmax": (
        X + "\nk = 2*argmax(x[i] for i); J = k^2",
        None,
        "SG405",
        2,
        "argmax(x[i] for i)",
        "argmax has no derivative",
        "stop(argmax(…))",
    ),
    "through an argmin alone": (
        X + "J = a*argmin(x[i] for i)",
        "x",
        "SG405",
        1,
        "argmin(x[i] for i)",
        "argmin has no derivative",
        "stop(argmin(…))",
    ),
    "through a floor": ("y = 2*x\nJ = y*floor(y)", "x", "SG405", 2, "floor(y)", "floor has no derivative", "stop(floor(…))"),
    "through a ceil alone": ("J = a*ceil(b)", ["a", "b"], "SG405", 1, "ceil(b)", "ceil has no derivative", "stop(ceil(…))"),
    "an index with the name of a quantity": (
        "k = w^2\nJ = k*sum(x[k]^2 for k in 0..2)",
        None,
        "SG205",
        2,
        "k in 0..2",
        "k is an index here and a quantity elsewhere",
        "another letter",
    ),
    "an index with the name of an input": (
        "y[k] = k*x[k]; J = sum(y[k] for k) + k",
        None,
        "SG205",
        1,
        "y[k]",
        "k is an index here and a quantity",
        "another letter",
    ),
    "an index with the name of an end": (
        "J = sum(x[i] for i in 1..N) + sum(y[N] for N in 1..3)",
        None,
        "SG205",
        1,
        "N in 1..3",
        "N is an index here and the end of a range",
        "another letter",
    ),
}


def refusal_of(text: str, wrt: Any = None, parse: Any = sg.parse) -> sg.SymgradError:
    with pytest.raises(sg.SymgradError) as caught:
        sg.derive(parse(text), wrt=wrt).text()
    return caught.value


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_point_at_their_cause(name: str) -> None:
    """A caret below the whole equation or the wrong part, a fact left out, a hint that helps nobody."""
    text, wrt, code, line, above, message, hint = REFUSED[name]
    found = refusal_of(text, wrt)
    assert (found.code, found.line) == (code, line)
    column = text.split("\n")[line - 1].index(above) + 1
    assert (found.column, found.span and found.span.text) == (column, above.rstrip(";")), str(found)
    assert message in found.message
    assert hint in (found.hint or "")


LATEX = [
    (r"J = \sum_{i=0}^{3} x_{i^2}", "SG308", "x_{i^2}"),
    (r"J = \sum_{t=1}^{T} E_{w_t}", "SG391", "E_{w_t}"),
    (r"h_t = w h_{t-1} \quad t = 1, \dots, T \\ J = h_T", "SG309", "h_{t-1}"),
    (r"h_0 = 1 \\ h_t = w h_{t} \quad t = 1, \dots, T \\ J = h_T", "SG401", "h_{t}"),
    (r"\text{index } i \in \{0, \dots, D\} \\ \text{input } x_i \\ J = \sum_i x_{i-1} x_i", "SG309", "x_{i-1}"),
    (r"k = 2 \arg\max_{1 \le i \le N} x_i \\ J = k^2", "SG405", r"\arg\max_{1 \le i \le N} x_i"),
    (r"J = a \lfloor b \rfloor", "SG405", r"\lfloor b \rfloor"),
    (r"J = k \sum_{k=1}^{3} x_k", "SG205", "k=1"),
]


@pytest.mark.parametrize(("text", "code", "above"), LATEX)
def test_the_same_in_latex(text: str, code: str, above: str) -> None:
    """A place in the text that the LaTeX was turned into, not in the user's."""
    found = refusal_of(text, parse=sg.parse_latex)
    assert (found.code, found.span and found.span.text) == (code, above)
    assert found.column == text.index(above) + 1
    assert found.hint


def test_the_same_in_sympy() -> None:
    """A traceback of SymPy's, or another code than for the same model as text."""
    J, a, b, T, D = sp.symbols("J a b T D")
    x, h, E, w = map(sp.IndexedBase, ("x", "h", "E", "w"))
    i, j, t = sp.Idx("i", (0, D)), sp.Idx("j", (0, D)), sp.Idx("t", (1, T))
    refused = {
        "SG308": [sp.Eq(J, sp.Sum(x[i * j], i, j))],
        "SG391": [sp.Eq(J, sp.Sum(E[w[t]], t))],
        "SG309": [sp.Eq(h[t], a * h[t - 1]), sp.Eq(J, h[T])],
        "SG401": [sp.Eq(h[0], 1), sp.Eq(h[t], a * h[t]), sp.Eq(J, h[T])],
        "SG405": [sp.Eq(J, a * sp.floor(b))],
    }
    for code, equations in refused.items():
        found = refusal_of("", parse=lambda _, equations=equations: sg.from_sympy(equations))
        assert (found.code, found.span) == (code, None)
        assert found.hint
    assert refusal_of("", parse=lambda _: sg.from_sympy([sp.Eq(J, sp.Sum(x[i - 1] * x[i], i))])).code == "SG309"


def test_the_guard_that_a_hint_names_is_accepted() -> None:
    """A hint that is refused in turn."""
    for shift in ("i - 1", "i + 1", "i - 3"):
        text = X + f"J = sum(x[{shift}]*x[i] for i)"
        hint = refusal_of(text).hint or ""
        guard = hint[hint.index("where(") :]
        sg.derive(sg.parse(text.replace(f"x[{shift}]", guard))).text()


def test_a_step_that_the_user_stopped_has_slope_zero() -> None:
    """A refusal, or a slope, for what `stop` says is a constant."""
    program = sg.parse("J = a*stop(floor(b)) + a*b^2*stop(b)")
    _, slopes = sg.compile(program, loss="J", wrt=["a", "b"], backend="numpy")(a=2.0, b=1.5)
    assert slopes == {"a": pytest.approx(1 + 1.5**3), "b": pytest.approx(2 * 2 * 1.5 * 1.5)}
