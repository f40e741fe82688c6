"""Work grows in proportion to the program: counted in calls, not in seconds.

n statements more beside 2n others may cost at most 1% more than beside n. Counted are the calls that symgrad's
own functions make and receive. What a single call of a builtin goes through, as `set(names)` does, is not
seen here: the benchmark `python -m tests.benchmarks derive` is for that.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.compiler import adjoint, lower, optimize
from symgrad.core.collector import rare_collections
from symgrad.core.expr import nodes
from symgrad.frontend.syntax import Parser, parse_expression
from symgrad.transform.reuse import WIDEST

MOST = 1.01


def chain(n: int) -> str:
    lines = [f"x_{k} = sin(x_{k - 1}) + {k % 7 + 2}*x_{k - 1}" for k in range(1, n)]
    return "\n".join(["x_0 = a", *lines, f"J = x_{n - 1}^2"])


def fan_out(n: int) -> str:
    """Values with two readers, one of them far away."""
    forms = ("sin({0})*{1}", "{0} + 2*{1}", "exp(-{0})/(1 + {1}^2)", "{0}*{1} - c")
    lines = [f"x_{k} = " + forms[k % 4].format(f"x_{k - 1}", f"x_{k // 2}") for k in range(2, n)]
    return "\n".join(["x_0 = a", "x_1 = a*b", *lines, f"J = x_{n - 1}^2"])


def arrays(n: int) -> str:
    lines = [f"h_{k}[j] = tanh(sum(W[j,i]*h_{k - 1}[i] for i) + b[j])" for k in range(1, n)]
    return "\n".join(["index i in 0..D, j in 0..D", "h_0[j] = x[j]", *lines, f"J = sum(h_{n - 1}[j]^2 for j)"])


def users(n: int) -> str:
    """Many statements read one quantity, and one sum reads them all."""
    lines = [f"u_{k} = sin({k + 2}*x)*y_{k}" for k in range(n)]
    return "\n".join([*lines, "J = " + " + ".join(f"u_{k}" for k in range(n))])


SHAPES: dict[str, tuple[Callable[[int], str], int]] = {
    "chain": (chain, 16),
    "fan": (fan_out, 16),
    "arrays": (arrays, 4),
    "users": (users, 16),
}


def lowered(program: sg.Program) -> None:
    sg.compile(program, "J", program.free, backend="numpy")


STAGES: dict[str, Callable[[Any], Any]] = {
    "read": sg.parse,
    "derive": lambda program: sg.derive(program, "J").backward,
    "text": lambda program: sg.derive(program, "J").text(),
    "lower": lowered,
}


def forget() -> None:
    """Empty what symgrad's functions keep of earlier calls: it would make the second of two programs cheaper."""
    for name, module in list(sys.modules.items()):
        if name.startswith("symgrad"):
            for kept in vars(module).values():
                if hasattr(kept, "cache_clear"):
                    kept.cache_clear()


def calls(work: Callable[[], Any]) -> int:
    """Calls of symgrad's functions, and those of builtins that they make."""
    forget()
    count = 0

    def note(frame: Any, event: str, _: Any) -> None:
        nonlocal count
        if event in ("call", "c_call") and "symgrad" in frame.f_globals.get("__name__", ""):
            count += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def growth(work: Callable[[int], Callable[[], Any]], n: int) -> float:
    """What n more statements cost beside 2n others, against what they cost beside n: 1 where work is linear."""
    work(n)()  # modules are imported when first used, which is no part of the work
    few, more, most = (calls(work(size)) for size in (n, 2 * n, 3 * n))
    return (most - more) / (more - few)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_stage_is_linear(shape: str, stage: str) -> None:
    model, n = SHAPES[shape]

    def work(size: int) -> Callable[[], Any]:
        text = model(size)
        given = text if stage == "read" else sg.parse(text)
        return lambda: STAGES[stage](given)

    assert growth(work, n) < MOST


@pytest.mark.parametrize("shape", SHAPES)
def test_the_backward_pass_is_no_longer_than_the_forward_pass_allows(shape: str) -> None:
    """No expression swell: printed text of twice the statements is about twice as long."""
    model, n = SHAPES[shape]
    few, many = (len(str(sg.derive(sg.parse(model(size)), "J").backward)) for size in (n, 2 * n))
    assert many < 2.3 * few


def test_doubling_definitions_do_not_swell() -> None:
    """60 levels of e_k = e_{k-1}^2 + e_{k-1}: written out this has more than 2^60 parts."""
    lines = [f"e_{k} = e_{k - 1}*e_{k - 1} + e_{k - 1}" for k in range(1, 61)]
    program = sg.parse("\n".join(["e_0 = a", *lines, "J = e_60"]))
    assert len(str(sg.derive(program, "J").backward)) < 20 * len(str(program))
    primal = lower(program, "J", ())
    assert len(adjoint(primal, "J", ("a",)).statements) < 4 * len(program.statements)


def test_a_quadratic_pass_is_seen() -> None:
    """The measure itself: a pass over all statements for each statement breaks the bound."""

    def work(size: int) -> Callable[[], Any]:
        return lambda: [[sg.core.expr.name_of(symbol) for _ in range(size)] for symbol in [sp.Symbol("x")] * size]

    assert growth(work, 16) > MOST


@pytest.mark.parametrize("op", ["+", "*"])
def test_a_long_sum_is_not_copied_for_each_term(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    plain = Parser.infix

    def noted(self: Parser, *args: Any) -> Any:
        tree: Any = plain(self, *args)
        made.append(len(tree.terms if op == "+" else tree.factors))
        return tree

    monkeypatch.setattr(Parser, "infix", noted)
    tree: Any = parse_expression(op.join(f"a_{k}" for k in range(60)))
    assert made == [2] * 59
    assert len(tree.terms if op == "+" else tree.factors) == 60


def test_values_that_have_grown_are_not_put_into_their_readers() -> None:
    """A chain of arrays that goes into one equation is built up anew at each of its steps."""
    lines = [f"y_{k}[i] = floor(y_{k - 1}[i])*c[i]" for k in range(1, 200)]
    program = sg.parse("\n".join(["y_0[i] = c[i]", *lines, "J = sum(y_199[i] for i)"]))
    merged = optimize(lower(program, "J", ()), ["J"])
    assert 1 < len(merged.statements) < 50
    assert max(len(tuple(nodes(s.value))) for s in merged.statements) < 2 * WIDEST


def test_a_closed_form_is_measured_as_it_would_be_read() -> None:
    """Parts that stand in it many times count each time."""
    lines = [f"e_{k} = sin(e_{k - 1}*e_{k - 2})*e_{k - 1}/(1 + e_{k - 2}^2)" for k in range(2, 18)]
    derived = sg.derive(sg.parse("\n".join(["e_0 = x", "e_1 = cos(x)", *lines, "J = e_17"])))
    with pytest.raises(sg.SymgradError) as caught:
        derived.gradient("x")
    assert caught.value.code == "SG506"


@pytest.mark.parametrize(("backend", "depth"), [("numpy", 198), ("numba", 70)])  # LLVM takes minutes for the deepest
def test_an_expression_nests_as_deep_as_a_text_may(backend, depth):
    """Passes and printers that call themselves too often for Python, and brackets that its parser does not take."""
    limit = sys.getrecursionlimit()
    program = sg.parse(f"input x[i]; J = sum({'sin(' * (depth - 1)}x[i]{')' * (depth - 1)} for i)")
    d = sg.derive(program)
    assert d.text().count("sin") > depth
    assert d.latex().count(r"\sin") > depth
    x = np.array([0.5, 2.0])
    value, slope = x, np.ones(2)
    for _ in range(depth - 1):
        value, slope = np.sin(value), slope * np.cos(value)
    J, grads = sg.compile(program, wrt="x", backend=backend)(x=x)
    assert float(J) == pytest.approx(value.sum(), rel=1e-12)
    np.testing.assert_allclose(grads["x"], slope, rtol=1e-12)
    assert sys.getrecursionlimit() == limit


def test_what_nests_deeper_than_python_calls_is_refused():
    """A traceback of the interpreter's."""
    with pytest.raises(sg.SymgradError, match="SG504"), rare_collections():
        raise RecursionError
