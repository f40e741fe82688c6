"""Sums, products and calls that are built without asking SymPy are what SymPy would have built."""

from __future__ import annotations

import random
from typing import Any

import pytest
import sympy as sp

from symgrad.core.expr import access, applied, head, index_symbol, plus, reduction, times, where
from symgrad.core.functions import ROWS

x, y, z = map(access, "xyz")
i = index_symbol("i")
A = [access("A", i), access("A", i + 1)]
LOGISTIC = sp.Function("logistic")
PARTS: list[Any] = [
    x, y, z, *A, i, i + 1, sp.sin(x), sp.exp(x), sp.exp(-y), sp.log(x), LOGISTIC(x), LOGISTIC(-y), sp.tanh(x) ** 2, sp.Max(x, y),
    x + y, 1 - x, x - 1, -x - y, 2 * x + 2 * y, 1 / x, x**2, sp.sqrt(x), 1 / sp.sqrt(y), 1 / (1 + x), (1 + x) ** 2, 1 / (2 * x + 2),
    x**y, 2**x, sp.S.Zero, sp.S.One, sp.S.NegativeOne, sp.Integer(2), sp.S.Half, sp.Float("0.1", 40), sp.Float(1), sp.Float(0),
    sp.sqrt(2), sp.pi, sp.oo, where(sp.Gt(x, 0, evaluate=False), y, sp.S.Zero), reduction("sum", x * A[0], [(i, 0, 3)]),
    head("maximum")(x, y), sp.Function("minimum")(x, y), sp.Abs(x),
]  # fmt: skip


@pytest.mark.parametrize(("quick", "slow"), [(times, sp.Mul), (plus, sp.Add)], ids=["times", "plus"])
def test_nothing_combines_that_sympy_would_combine(quick: Any, slow: Any) -> None:
    chance = random.Random(4)
    composed = [op(*chance.sample(PARTS, chance.randint(2, 4))) for op in (sp.Mul, sp.Add) for _ in range(100)]
    for _ in range(600):
        parts = [chance.choice(PARTS + composed) for _ in range(chance.choice((1, 2, 2, 3, 4)))]
        found, wanted = quick(*parts), slow(*parts)
        assert sp.srepr(found) == sp.srepr(wanted), parts
        assert found.is_commutative == wanted.is_commutative


def test_most_products_and_sums_take_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above compares SymPy with itself."""
    asked: list[Any] = []
    monkeypatch.setattr(sp.Mul, "flatten", classmethod(lambda _, parts: asked.append(parts) or ([], [], None)))
    monkeypatch.setattr(sp.Add, "flatten", classmethod(lambda _, parts: asked.append(parts) or ([], [], None)))
    a, b = access("a_short"), access("b_short")
    assert times(sp.Integer(3), a, sp.Pow(b, -1)).args[0] == 3
    assert plus(sp.Integer(3), a, b).args[0] == 3
    assert asked == []


@pytest.mark.parametrize("row", [row for row in ROWS if row.arity == 1], ids=lambda row: str(row.name))
def test_a_call_of_an_access_has_no_value_to_look_for(row: Any) -> None:
    for read in (x, A[0], access("a_name_that_nothing_asked_before")):
        assert sp.srepr(applied(row.head, [read])) == sp.srepr(row.head(read))


def test_what_is_known_of_a_symbol_is_what_sympy_finds() -> None:
    """The answers that are put beside a new symbol, fact by fact."""
    ours, sympys = access("known_of_ours"), sp.Symbol("known_of_sympys")
    names = [name for name in dir(sp.Symbol) if name.startswith("is_") and isinstance(getattr(sp.Symbol, name), property)]
    assert len(names) > 20
    assert {name: getattr(ours, name) for name in names} == {name: getattr(sympys, name) for name in names}
