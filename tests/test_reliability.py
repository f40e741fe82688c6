"""The short form of what `python -m tests.reliability` measures."""

from __future__ import annotations

from pathlib import Path

import mpmath
import pytest

from symgrad.transform.stabilize import RULES
from tests.reliability.beyond import CASES, LABELS, Case, wrong, wrong_labels
from tests.reliability.rules import EXAMPLES, SHORT, differences, fires, of_any_size
from tests.reliability.stable import DIGITS, FORMATS, FORMULAS, LOGITS, SETTINGS, Formula, cells
from tests.stable_peers import PEERS


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("setting", SETTINGS)
def test_naive_formulas_are_right(setting: str, dtype: str) -> None:
    found = cells(setting, dtype, "numpy")
    assert len(found) == 286
    assert not [str(cell) for cell in found if not cell.right]


def test_naive_formulas_compiled() -> None:
    """The two whose kernels have the most of their own."""
    some = [formula for formula in FORMULAS if formula.name in ("cross-entropy of softmax, hard label", "tanh from exps")]
    assert not [str(cell) for cell in cells("arrays", "float32", formulas=some) if not cell.right]


@pytest.mark.parametrize("formula", FORMULAS, ids=[formula.name for formula in FORMULAS])
def test_the_exact_numbers_are_exact(formula: Formula) -> None:
    """Value and slopes against mpmath's differences."""
    for logit in (0.0, 1.0, -1.0, 20.0, -20.0):
        with mpmath.workdps(DIGITS):
            value, slope, curve = formula.exact(mpmath.mpf(logit))
            series = mpmath.taylor(lambda x: formula.exact(x)[0], mpmath.mpf(logit), 2)
            for one, other in zip((value, slope, curve), (series[0], series[1], 2 * series[2]), strict=True):
                assert abs(one - other) < mpmath.mpf(10) ** -35


@pytest.mark.parametrize("peer", ["jax", "casadi"])
def test_peers_compute_the_same_formulas(peer: str) -> None:
    """A column of another tool that is poor because its formula is another."""
    pytest.importorskip(peer)
    for formula in FORMULAS:
        exact = formula.exact(mpmath.mpf(1))
        assert PEERS[peer](formula.text)(1.0) == pytest.approx([float(number) for number in exact[:2]], rel=1e-13)


def test_without_rules_most_large_logits_are_wrong() -> None:
    """What the rules are for; the check sees what is wrong."""
    from tests.reliability import stable

    literal = [cell for cell in cells("scalars", "float64", "numpy", stabilize=False) if not cell.right]
    assert len(literal) > 80
    assert len(stable.LOGITS) == len(LOGITS) == 13


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_beyond_the_slides(case: Case) -> None:
    assert not list(wrong(case))


@pytest.mark.parametrize("name", LABELS)
def test_labels_that_are_places(name: str) -> None:
    """A share and a label that are added apart: all digits are lost where the share is almost 1."""
    assert not list(wrong_labels(name))


def test_labels_that_are_places_compiled() -> None:
    assert not list(wrong_labels("a label of each row", "numba"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_rules_are_exact(name: str) -> None:
    assert fires(name)
    assert not list(differences(name, SHORT))


def test_the_docs_have_every_rule() -> None:
    rows = [f"| {rule.name} | {rule.before} | {rule.after} | {rule.why} |" for rule in RULES]
    table = "\n".join(["| rule | before | after | why |", "|---|---|---|---|", *rows])
    assert table in (Path(__file__).parent.parent / "docs" / "stability.md").read_text(encoding="utf-8")


def test_formulas_at_logits_of_any_size() -> None:
    assert not list(of_any_size(50))
