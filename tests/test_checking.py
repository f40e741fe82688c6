"""`sg.check`: right answers in unusual forms pass, every wrong one is named by its slip, bad input is refused with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import symgrad as sg
from symgrad.answers.slips import SLIPS
from symgrad.cli import main
from tests import held_out_answers as held_out
from tests.answer_models import ASSUMES, MODELS, RIGHT, WRONG
from tests.models import MODELS as SLIDES

S3 = sg.parse(MODELS["S3"])


def together(model: str, table: list[tuple[str, ...]]) -> tuple[list[tuple[str, ...]], list[str]]:
    """The rows of one model that can be checked in one call, and all claims of the others: += belong together."""
    rows = [row for row in table if row[0] == model]
    return [r for r in rows if "+=" not in r[1]], [r[1] for r in rows if "+=" in r[1]]


def test_the_tables_are_large_and_name_known_slips() -> None:
    """A table that lost its rows would pass."""
    assert len(RIGHT) >= 60
    assert len(WRONG) >= 60
    assert {slip for _, _, slip in WRONG} == set(SLIPS) - {"other", "shape"}


@pytest.mark.parametrize("model", MODELS)
def test_right_in_unusual_forms(model: str) -> None:
    """Factored, expanded, in other quantities, under other letters."""
    program = sg.parse(MODELS[model])
    rows, apart = together(model, RIGHT)
    for text in ["\n".join(row[1] for row in rows), *apart]:
        assert [str(result) for result in (sg.check(program, text) if text else []) if result.verdict != "right"] == []


@pytest.mark.parametrize("model", MODELS)
def test_wrong_ones_are_named(model: str) -> None:
    """Each slip by its name, with the right line beside it."""
    program = sg.parse(MODELS[model])
    rows, apart = together(model, WRONG)
    results = sg.check(program, "\n".join(row[1] for row in rows)) if rows else []
    assert [(r.claim, r.verdict, r.slip) for r in results] == [(claim, "wrong", slip) for _, claim, slip in rows]
    assert all(result.expected.text() and result.expected.latex() for result in results)
    for text in apart:
        assert sg.check(program, text)[-1].slip == next(slip for _, claim, slip in WRONG if claim == text)


BETWEEN_ARRAYS = [
    (r"\frac{dJ}{d\alpha} = \frac{dJ}{da} x^\top", "right", None),
    (r"\frac{dJ}{dx} = \boldsymbol{\alpha}^{T} \frac{dJ}{da}", "right", None),
    (r"\frac{dJ}{d\alpha} = (\frac{dJ}{db} \beta \odot z \odot (1-z)) \mathbf{x}^{\top}", "right", None),
    ("dJ/dalpha = dJ/db*(beta ⊙ z ⊙ (ones - z))*x^T", "right", None),
    ("dJ/dalpha = diag(z)*diag(1 - z)*dJ/dz*x^T", "right", None),
    ("dJ/dbeta = (dJ/db*z^T)^T", "right", None),
    ("dJ/dx = alpha*dJ/da", "wrong", "shape"),
    ("dJ/dbeta = dJ/db*z^T", "wrong", "shape"),
    ("dJ/da = dJ/dz*z*(1 - z)", "wrong", "shape"),
    ("dJ/da = dJ/dz ⊙ x", "wrong", "shape"),
    ("dJ/da = -dJ/dz ⊙ z ⊙ (1 - z)", "wrong", "sign"),
    ("dJ/da = dJ/dz ⊙ (1 - z)", "wrong", "local derivative"),
]


@pytest.mark.parametrize(("claim", "verdict", "slip"), BETWEEN_ARRAYS)
def test_claims_between_whole_arrays(claim: str, verdict: str, slip: str | None) -> None:
    """A transpose that is lost or too many, a matrix product read entry by entry; the right line is one of arrays too."""
    (result,) = sg.check(sg.parse(MODELS["S3"]), claim)
    assert (result.verdict, result.slip) == (verdict, slip)
    assert "[" not in result.expected.text()
    assert "_" not in result.expected.text()


def test_arrays_are_not_mixed_with_indices() -> None:
    """A transpose beside indices, and a derivative of an array by an array, have no agreed meaning: said, not guessed."""
    for claim in (r"\frac{dJ}{dx_i} = \sum_j \alpha^\top \frac{dJ}{da_j}", "dz/da = z ⊙ (1 - z)"):
        with pytest.raises(sg.SymgradError) as caught:
            sg.check(sg.parse(MODELS["S3"]), claim)
        assert caught.value.code in ("SG125", "SG303")
        assert caught.value.span


@pytest.mark.parametrize("name", ["S4", "S7", "ranking", "mean of a grid", "attention", "transpose"])
@pytest.mark.parametrize("form", ["latex", "text"])
def test_printed_matrix_pages_are_right_claims(name: str, form: str) -> None:
    """What the matrix style prints must be read back with the same meaning."""
    program = SLIDES[name].program()
    page = getattr(sg.derive(program), form)("matrix")
    assert [str(result) for result in sg.check(program, page) if not result] == []


@pytest.mark.parametrize("style", ["slides", "steps", "closed"])
@pytest.mark.parametrize("name", ["S3", "S6 cross-entropy", "mean", "a function of a function", "lag two"])
def test_printed_pages_are_right_claims(name: str, style: str) -> None:
    """A bracket beside what does not exist, a partial of a user's function, |n|, dJ/dx = 0 at the start of the steps."""
    program = SLIDES[name].program()
    assert [str(result) for result in sg.check(program, sg.derive(program).latex(style)) if not result] == []


def test_a_start_at_zero_needs_what_is_added() -> None:
    """dJ/dx = 0 alone is a claim; before dJ/dx += …, it is where the sum starts."""
    program = sg.parse("y = x^2; J = y + 3*x")
    assert not sg.check(program, "dJ/dx = 0")[0]
    start, one, two = sg.check(program, "dJ/dx = 0; dJ/dx += dJ/dy*2*x; dJ/dx += 3")
    assert start
    assert one
    assert two


@pytest.mark.parametrize(("model", "claim", "assumption"), ASSUMES)
def test_right_with_an_assumption(model: str, claim: str, assumption: str) -> None:
    """Σ_k y*_k = 1, named though the model does not state it; a symmetric matrix that it states."""
    (result,) = sg.check(sg.parse(MODELS[model]), claim)
    assert result.verdict == "assumes"
    assert assumption in (result.assumption or "")
    assert result


@pytest.mark.parametrize("model", ["S1 steps", "S2", "S3", "S4", "S6 cross-entropy", "S7", "transpose", "convolution", "attention"])
def test_our_own_pages_read_as_claims(model: str) -> None:
    """What `derive` prints, both columns, is right."""
    program = SLIDES[model].program()
    results = sg.check(program, sg.derive(program).text())
    assert results
    assert [str(r) for r in results if r.verdict != "right"] == []


@pytest.mark.parametrize("claim", ["dJ/dbeta[j] = dJ/db*z[j] + 0.00000000000000000001", "dJ/db = (y^* - y)*1.00000000000000000001"])
def test_never_equal_by_accident(claim: str) -> None:
    """A difference far below float64 counts."""
    assert sg.check(S3, claim)[0].verdict == "wrong"


@pytest.mark.parametrize(
    ("model", "claim"),
    [
        ("u = w*x; g = relu(u); J = g*c", "dJ/du = c"),
        ("J = abs(x)", "dJ/dx = 1"),
        ("J = max(x, y)", "dJ/dx = 1"),
        ("J = (x^2)^0.5", "dJ/dx = 1"),
        ("index i in 1..N; J = sum(where(x[i] > y, x[i], 0) for i)", "dJ/dx[i] = 1"),
    ],
)  # fmt: skip
def test_all_cases_are_met(model: str, claim: str) -> None:
    """Right in one case of several is wrong."""
    assert not sg.check(sg.parse(model), claim)[0]


def test_contributions_add_up() -> None:
    """+= lines are contributions, and several are the whole."""
    p = sg.parse(MODELS["S1"])
    assert all(sg.check(p, "dJ/dt += dJ/du_1*cos(t); dJ/dt += 3*dJ/du_2"))
    assert sg.check(p, "dJ/dt += dJ/du_2*3")[0]
    assert [bool(r) for r in sg.check(p, "dJ/dt += dJ/du_1*cos(t); dJ/dt += dJ/du_2*2")] == [True, False]


def test_a_report_shows_the_slip_and_a_counterexample() -> None:
    """Slip 1 of the slides."""
    (result,) = sg.check(S3, "dJ/dy = y^*/y + (1 - y^*)/(1 - y)")
    assert result.slip == "sign"
    assert result.term == "(1 − y*)/(1 − y)"
    assert result.expected.text() == "dJ/dy = y*/y + (1 − y*)/(y − 1)"
    at = result.counterexample["at"]  # type: ignore[index]
    y, t = at["y"], at["y_star"]
    assert result.counterexample["claimed"] == pytest.approx(t / y + (1 - t) / (1 - y), rel=0.05)  # type: ignore[index]
    assert result.counterexample["true"] == pytest.approx(t / y - (1 - t) / (1 - y), rel=0.05)  # type: ignore[index]
    assert "sign" in str(result)
    assert "the claim gives" in str(result)


def test_proofs() -> None:
    """The same in symbols, or at all points."""
    assert [r.proof for r in sg.check(S3, "dJ/dy = y^*/y - (1 - y^*)/(1 - y); dJ/db = y^* - y")] == ["symbolic", "numeric"]


def test_a_log_likelihood_that_is_minimised_is_warned_of() -> None:
    """Slip 4 of the slides; the same with a minus sign, or maximised, is fine."""
    loss = "J = y^* * log(y) + (1 - y^*)*log(1 - y); y = 1/(1 + exp(-a)); {} J"
    assert "log-likelihood" in sg.check(sg.parse(loss.format("minimize")), "dJ/da = y^* - y")[0].warnings[0]
    assert sg.check(sg.parse(loss.format("maximize")), "dJ/da = y^* - y")[0].warnings == ()
    minus = loss.replace("J = ", "J = -(").replace("(1 - y);", "(1 - y));")
    assert sg.check(sg.parse(minus.format("minimize")), "dJ/da = y - y^*")[0].warnings == ()


@pytest.mark.parametrize(
    ("claims", "code", "column"),
    [
        ("dJ/dq = x", "SG203", 4),
        ("dJ/dbeta[j] = dJ/db*zz[j]", "SG203", 21),
        ("dQ/dy = 1", "SG203", 1),
        ("y = dJ/db", "SG123", 1),
        ("dJ/dbeta[j] = dJ/db*z", "SG303", 21),
        ("dJ/dbeta[j]", "SG105", 12),
        ("dJ/dbeta[j] =", "SG104", 13),
        ("dJ/db = (y", "SG106", 11),
        ("dJ/db = y y", "SG105", 11),
        ("", "SG120", None),
        ("dJ/db = __import__('os')", "SG110", 9),
        ("dJ/db = foo(y)", "SG201", 9),
        ("dJ/dbeta[j+1] = dJ/db*z[j+1] for j in 0..D", "SG309", 1),
        ("dJ/dbeta[j+100] = 7*z[0]", "SG309", 1),
        ("dJ/db = y^* - y for k in 1..2", "SG310", 21),
    ],
)  # fmt: skip
def test_refusals(claims: str, code: str, column: int | None) -> None:
    """Coded, with the place."""
    with pytest.raises(sg.SymgradError) as caught:
        sg.check(S3, claims)
    assert (caught.value.code, caught.value.column) == (code, column)


def test_quantities_named_like_differentials() -> None:
    """dJ is a quotient's part where the model has a dJ."""
    with pytest.raises(sg.SymgradError, match="SG123"):
        sg.check(sg.parse("J = dJ*x"), "dJ/dx = 1")


@pytest.mark.parametrize(
    ("model", "claims"),
    [
        ("J=x^2; K=x^3", "dJ/dx=2*x; dK/dx=3*x^2"),
        ("y[i]=x[i]^2", "dy[i]/dx[j]=2*x[i]*delta[i,j]"),
        ("J=floor(x)*y", "dJ/dy=floor(x)"),
        ("m = max(x[i] for i); J=m^2", "dJ/dm=2*m; dJ/dx[i]=2*m*[x[i]=m]"),
        ("input w[t] in 1..V; index t in 1..T, v in 1..V; J = sum(E[w[t]]^2 for t)", "dJ/dE[v]=2*sum([w[t]=v]*E[v] for t)"),
        ("sigma(u)=1/(1+exp(-u)); y=sigma(w*x); J=(y-t)^2", "dJ/dw=2*(y-t)*y*(1-y)*x; dJ/dw=dJ/dy*sigma'(w*x)*x"),
        ("f = sin(w*x); J = (grad(f, x) - t)^2", "dJ/dw = 2*(df/dx - t)*(cos(w*x) - w*x*sin(w*x))"),
    ],
)  # fmt: skip
def test_beyond_the_lecture(model: str, claims: str) -> None:
    """No single loss, steps, gathers, own functions, a derivative in an equation."""
    assert [str(r) for r in sg.check(sg.parse(model), claims) if r.verdict != "right"] == []


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 0, 1, 2; a folder of submissions as a table; JSON."""
    model, folder = "J = (y - t)^2/2; y = w*x", tmp_path / "class"
    folder.mkdir()
    for name, text in {"ann": "dJ/dy = y - t\ndJ/dw = dJ/dy*x", "bob": "dJ/dy = t - y", "cy": "dJ/dy ="}.items():
        (folder / f"{name}.txt").write_text(text)
    assert main(["check", model, str(folder / "ann.txt")]) == 0
    assert main(["check", model, "dJ/dy = t - y"]) == 1
    assert main(["check", model, "dJ/dq = 1"]) == 2
    capsys.readouterr()
    assert main(["check", model, str(folder)]) == 2
    out = capsys.readouterr().out
    assert "ann.txt       2      2      0" in out
    assert "sign" in out
    assert "cannot be read: SG104" in out
    assert main(["check", model, str(folder / "bob.txt"), "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert found["claims"][0]["slip"] == "sign"
    assert found["claims"][0]["line"] == 1
    assert main(["check", model, "dJ/dy = y - t", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["check", model, str(tmp_path / "none.txt")]) == 2


@pytest.mark.parametrize("model", held_out.MODELS)
def test_held_out_claims(model: str) -> None:
    """Claims that the table of slips was not made for: every verdict is right, and so are the names of nearly all slips."""
    program = sg.parse(held_out.MODELS[model])
    rows = [(c, None) for m, c in held_out.RIGHT if m == model] + [(c, s) for m, c, s in held_out.WRONG if m == model]
    for latex in (False, True):
        some = [(c, s) for c, s in rows if ("\\" in c) == latex]
        results = sg.check(program, "\n\n".join(c for c, _ in some)) if some else []
        verdicts = [("wrong" if s else "right", c) for c, s in some]
        assert [(r.verdict, c) for r, (c, _) in zip(results, some, strict=True)] == verdicts
        named = [(r.slip, c) for r, (c, s) in zip(results, some, strict=True) if s and c not in held_out.MISNAMED]
        assert named == [(s, c) for c, s in some if s and c not in held_out.MISNAMED]


@pytest.mark.parametrize(
    ("model", "claim", "verdict", "warned"),
    [
        ("u = w*x; J = relu(u)*c + log(x)", "dJ/du = c", "wrong", False),
        ("u = w*x; J = relu(u)*c + log(x)", "dJ/du = c*[u > 0]", "right", False),
        ("u = w*x; J = relu(u)*c + log(x)", "dJ/du = c*[u > 0.001]", "wrong", False),
        ("u = w*x; J = relu(u)*c + log(x)", "dJ/du = where(u > 100, 3, c*[u > 0])", "wrong", False),
        ("u = w*x; J = relu(u)*c + log(x)", "dJ/du = where(u > 100000, 3, c*[u > 0])", "right", True),
        ("J = relu(u)*c + log(u)", "dJ/du = c + 1/u", "right", True),
        ("J = log(x)*abs(y)*relu(x - 3)", "dJ/dy = log(x)*relu(x - 3)", "wrong", False),
        ("J = floor(x)*y + log(x)", "dJ/dy = 0", "wrong", False),
        ("J = sqrt(x^2)*log(y)*log(z)", "dJ/dx = log(y)*log(z)", "wrong", False),
        ("J = clip(x, -3, 3)*log(y)", "dJ/dx = log(y)", "wrong", False),
        ("J = max(x, y - 6)", "dJ/dx = 1", "wrong", False),
        ("J = relu(x^2 + 1)", "dJ/dx = 2*x", "right", True),
    ],
)
def test_branches_are_reached_or_it_is_said(model: str, claim: str, verdict: str, warned: bool) -> None:
    """A logarithm leaves few points, a test differs a little, a branch is far away or nowhere."""
    (result,) = sg.check(sg.parse(model), claim)
    assert (result.verdict, any("never reached" in w for w in result.warnings)) == (verdict, warned)


def test_points_that_lose_digits_do_not_make_a_claim_wrong() -> None:
    """1 - y is 0 but for some of its last digits there."""
    p = sg.parse("J = t*log(y) + (1 - t)*log(1 - y); y = 1/(1 + exp(-a)); a = sum(w[i]*x[i] for i in 1..9)*9")
    assert sg.check(p, "dJ/da = t - y")[0].verdict == "right"


@pytest.mark.parametrize("model", ["added up", "added up by rows", "lag two"])
def test_contributions_of_several_equations(model: str) -> None:
    """dy/db beside a += is that of one equation."""
    program = SLIDES[model].program()
    assert [str(r) for r in sg.check(program, sg.derive(program).text()) if r.verdict != "right"] == []


@pytest.mark.parametrize(
    ("claims", "verdicts"),
    [
        ("dy/db = 2", ["wrong"]),
        ("dJ/db += dJ/dy*dy/db; dy/db = 2", ["right", "right"]),
        ("dJ/db += dJ/dy*dy/db; dy/db = 3", ["right", "wrong"]),
        ("dJ/db = dJ/dy*dy/db; dy/db = 2", ["right", "wrong"]),
    ],
)
def test_one_equation_of_several_only_beside_its_contribution(claims: str, verdicts: list[str]) -> None:
    """Alone, dy/db is the derivative of all of y."""
    assert [r.verdict for r in sg.check(SLIDES["added up"].program(), claims)] == verdicts


@pytest.mark.parametrize("style", ["slides", "modules", "closed"])
def test_our_own_latex_reads_as_claims(style: str) -> None:
    """The forward column is no claim, and that is said."""
    results = sg.check(S3, sg.derive(S3).latex(style=style))
    assert [str(r) for r in results if r.verdict != "right"] == []
    assert len(results) == {"slides": 13, "modules": 13, "closed": 3}[style]
    assert any("5 equations are no claims" in w for w in results[0].warnings) == (style != "closed")


def test_the_slips_of_the_slides_in_latex() -> None:
    """A sign and a sum, in a box beside the forward equation."""
    box = r"\begin{array}{|l|l|} \hline \text{Forward} & \text{Backward} \\ \hline %s \\ \hline \end{array}"
    one = box % r"b = \sum_{j=0}^D \beta_j z_j & \frac{dJ}{dy} = \frac{y^*}{y} + \frac{(1-y^*)}{(1-y)}"
    two = box % r"& \frac{da_j}{dx_i} = \sum_{j=0}^D \alpha_{ji}, & \frac{dJ}{dx_i} = \sum_{j=0}^D \frac{dJ}{da_j} \alpha_{ji}"
    results = sg.check(S3, rf"\[ \renewcommand{{\arraystretch}}{{2.5}} {one} \] and \[ {two} \]")
    assert [(r.verdict, r.slip) for r in results] == [("wrong", "sign"), ("wrong", "sum"), ("right", None)]
    assert "one equation is no claim" in results[0].warnings[0]


@pytest.mark.parametrize("macro", [r"\renewcommand{\frac}{2}", r"\renewcommand{\arraystretch}{\input{x}}", r"\newcommand{\a}{2}"])
def test_only_the_height_of_rows_is_set(macro: str) -> None:
    """No macro is defined."""
    with pytest.raises(sg.SymgradError, match="SG135"):
        sg.check(S3, rf"{macro} \frac{{dJ}}{{db}} = y^* - y")
