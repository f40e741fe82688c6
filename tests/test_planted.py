"""Planted bugs: each is put into the compiler, and the check named beside it must fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import sympy as sp

import symgrad as sg
from symgrad.backends import nests, numba
from symgrad.core import functions, reductions
from symgrad.core.expr import access, indices_of
from symgrad.core.program import Program, Statement
from symgrad.transform import collect as collecting
from symgrad.transform import gather as gathering
from symgrad.transform import linearize, reverse, simplify
from tests.models import MODELS
from tests.planted_bugs import BUGS
from tests.planted_checks import CHECKS, prepare
from tests.planting import planted
from tests.reference import adjoints, assert_gradient, error, loss_of

Plant = Callable[[pytest.MonkeyPatch], None]


def gradient(name: str) -> None:
    program = MODELS[name].program()
    assert_gradient(program, MODELS[name].arrays(np.random.default_rng(0)), loss_of(program))


def kernel(name: str) -> None:
    """The compiled gradient against the oracle's."""
    program = MODELS[name].program()
    arrays = MODELS[name].arrays(np.random.default_rng(0))
    found = sg.compile(program, loss_of(program), wrt=program.free)(**arrays)[1]
    wanted = adjoints(program, arrays, loss_of(program))
    assert all(error(np.asarray(found[n], object), wanted[n]) < 1e-12 for n in found)


def closed(name: str) -> None:
    from tests.test_gradients import test_closed_forms

    test_closed_forms(MODELS[name])


def row(name: str, partial: Any) -> Plant:
    """A wrong row of the table of functions."""
    found = functions.FUNCTIONS[name]
    return lambda m: m.setitem(functions.BY_HEAD, found.head, replace(found, partial=partial))


def weight(name: str, rho: Any) -> Plant:
    return lambda m: m.setitem(reductions.REDUCTIONS, name, replace(reductions.REDUCTIONS[name], weight=rho))


def wrong_sign(m: pytest.MonkeyPatch) -> None:
    def rule(node: Any, dbase: Any, dexponent: Any, result: Any) -> Any:
        return -node.exp * node.base ** (node.exp - 1) * dbase

    m.setattr(linearize, "_power_rule", rule)


def lost_transpose(m: pytest.MonkeyPatch) -> None:
    """Where a target has two indices, they are exchanged."""
    true = reverse.access

    def exchanged(name: str, *indices: Any) -> Any:
        return true(name, *(indices[::-1] if name == "A_bar" else indices))

    m.setattr(reverse, "access", exchanged)


def set_for_add(m: pytest.MonkeyPatch) -> None:
    """`=` for `+=`: the last contribution alone is kept."""
    true = collecting._grouped
    m.setattr(collecting, "_grouped", lambda statements: true(statements[-1:]))


def captured_index(m: pytest.MonkeyPatch) -> None:
    """The product of the others runs over the very index it should differ from."""
    m.setattr(reductions, "fresh_index", lambda name: sp.Symbol(name, integer=True))


def missing_sum(m: pytest.MonkeyPatch) -> None:
    """Reduced indices of an adjoint are dropped."""
    true = collecting._add

    def first_only(group: list[Statement]) -> Statement:
        merged = true(group)
        kept = tuple(replace(i, hi=i.lo) if i in merged.reduced else i for i in merged.domain)
        return replace(merged, domain=kept)

    m.setattr(collecting, "_add", first_only)


def dropped_contribution(m: pytest.MonkeyPatch) -> None:
    true = linearize._terms

    def fewer(value: Any, names: frozenset[str], result: Any = None) -> Any:
        found = list(true(value, names, result))
        return found[:-1] if len(found) > 1 else found

    m.setattr(linearize, "_terms", fewer)


def reuse_of_a_partial_definition(m: pytest.MonkeyPatch) -> None:
    """A partial that uses the target's value although several statements add to it."""
    true = reverse.linearize
    m.setattr(reverse, "linearize", lambda statement, names, whole: true(statement, names, True))


def unguarded(m: pytest.MonkeyPatch) -> None:
    """A shifted target gathered without the limits that keep the solved index in its range."""
    m.setattr(gathering, "_require", lambda condition, guard, out, facts: None)


def off_by_one(m: pytest.MonkeyPatch) -> None:
    true = nests.Nest.extent
    m.setattr(nests.Nest, "extent", lambda self, index: f"({true(self, index)}) - 1")


def sum_not_started(m: pytest.MonkeyPatch) -> None:
    """Rows are added to whatever the buffer holds; NumPy's fresh memory is not always 0."""
    true, before = nests.Nest.row_by_row, numba.zeros

    def lines(self: Any) -> list[str]:
        return [line.replace("= 0.0", "= 1.0") for line in true(self)]

    m.setattr(nests.Nest, "row_by_row", lines)
    m.setattr(numba, "zeros", lambda *given: (line.replace("= 0.0", "= 1.0") for line in before(*given)))


def lost_factor(m: pytest.MonkeyPatch) -> None:
    m.setattr(simplify, "common_factor", lambda expr: sp.Add(*expr.args[1:]))


def swapped_axes(m: pytest.MonkeyPatch) -> None:
    """A read with its indices exchanged in the emitted text."""
    true = nests.Names.read

    def read(self: Any, expr: Any) -> str:
        indices = indices_of(expr)
        return true(self, access("alpha", *indices[::-1]) if str(expr).startswith("alpha[") and len(set(indices)) > 1 else expr)

    m.setattr(nests.Names, "read", read)


PLANTS: dict[str, tuple[Plant, Callable[[str], None], str]] = {
    "wrong sign of a power": (wrong_sign, gradient, "S4"),
    "wrong sign of a function": (row("cos", lambda place, args, y: sp.sin(args[0])), gradient, "S1"),
    "tanh' = 1 - y": (row("tanh", lambda place, args, y: 1 - y), gradient, "S5 tanh"),
    "lost transpose": (lost_transpose, gradient, "transpose"),
    "= for +=": (set_for_add, gradient, "S1 steps"),
    "captured index": (captured_index, gradient, "product"),
    "missing sum": (missing_sum, gradient, "mean"),
    "dropped contribution": (dropped_contribution, gradient, "quadratic form"),
    "value of a partial definition": (reuse_of_a_partial_definition, gradient, "added up"),
    "guard left out": (unguarded, gradient, "convolution"),
    "product's weight with itself": (weight("prod", lambda body, limits, result: result), gradient, "product"),
    "every maximum counts": (weight("max", lambda body, limits, result: sp.S.One), gradient, "maximum"),
    "log-sum-exp without its shift": (weight("logsumexp", lambda body, limits, result: sp.exp(body)), gradient, "logsumexp"),
    "loop ends one early": (off_by_one, kernel, "S2"),
    "sum does not start at 0": (sum_not_started, kernel, "S7"),
    "exchanged axes in the text": (swapped_axes, kernel, "S4"),
    "factor lost in simplifying": (lost_factor, closed, "S7"),
}


CAUGHT = (AssertionError, IndexError, TypeError, ValueError, sg.SymgradError)


@pytest.mark.parametrize(("plant", "check", "name"), PLANTS.values(), ids=list(PLANTS))
def test_is_caught(plant: Plant, check: Callable[[str], None], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check passes without the plant, and not with it."""
    check(name)
    plant(monkeypatch)
    with pytest.raises(CAUGHT):
        check(name)


@cache
def passes(check: str, on: str) -> None:
    """A check as long as nothing is planted; what it compares with is found then."""
    prepare(check, on)
    CHECKS[check](on)


def caught(name: str) -> bool:
    """The check of a bug of the table passes without it, and fails with it."""
    bug = BUGS[name]
    passes(bug.check, bug.on)
    with planted(bug.where, bug.old, bug.new):
        try:
            CHECKS[bug.check](bug.on)
        except CAUGHT:
            return True
    return False


@pytest.mark.parametrize("name", BUGS)
def test_bug_in_the_text_is_caught(name: str) -> None:
    assert caught(name)


def test_there_are_many_bugs() -> None:
    """Each at a place, or with a text, of its own: none is counted twice."""
    assert len({(bug.where, bug.old, bug.new) for bug in BUGS.values()}) == len(BUGS)
    assert len(BUGS) + len(PLANTS) >= 60


def test_what_is_no_bug_is_not_caught() -> None:
    """Planting by itself breaks nothing: a check that fails for any other text would catch all."""
    for check, on in (("oracle", "S4"), ("plain", "S4"), ("arrays", "S4"), ("chunks", "two layers")):
        passes(check, on)
        with planted(
            "transform.linearize._rule", "inner = [memo[arg] for arg in node.args]", "inner = list(memo[arg] for arg in node.args)"
        ):
            CHECKS[check](on)
    with pytest.raises(AssertionError, match="times"), planted("transform.linearize._rule", "no such text", ""):
        pass


def test_tie_goes_to_the_first() -> None:
    """A tie of max that goes to the second, or to both; relu'(0) that is not 0."""
    program: Program = sg.parse("J = max(0, u) + max(v, w) + max(x[i] for i)")
    found = adjoints(program, {"u": 0.0, "v": 1.0, "w": 1.0, "x": np.array([2.0, 5.0, 5.0])}, "J")
    assert (found["u"], found["v"], found["w"]) == (0, 1, 0)
    assert list(found["x"]) == [0, 1, 0]
