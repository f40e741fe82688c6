# ruff: noqa: E501  (equations on one line)
r"""LaTeX in: the slides as slides write them, notation by notation, round trips, refusals, broken text."""

from __future__ import annotations

import contextlib
import io
import random
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.cli import main
from symgrad.core.evaluate import evaluate
from symgrad.core.program import Program
from symgrad.core.tree import Deriv, Format
from symgrad.frontend.latex import claims, looks_like_latex, parse_latex, read_latex
from symgrad.frontend.text import parse
from symgrad.printers.model import program_latex
from tests.models import MODELS, random_arrays
from tests.reference import adjoints, loss_of

LIKELIHOOD = r"J = y^* \log y + (1 - y^*) \log(1 - y)"
HIDDEN = r"z_j &= \frac{1}{1 + \exp(-a_j)} \\ a_j &= \sum_{i=0}^{M} \alpha_{ji} x_i"
OUTPUT = r"y &= \frac{1}{1 + \exp(-b)} \\ b &= \sum_{j=0}^{D} \beta_j z_j"

SLIDES = {
    "S1": [r"$$J = \cos(\sin(x^2) + 3x^2)$$", r"\[ J=\cos\left(\sin x^2+3 x^{2}\right). \]"],
    "S1 steps": [
        r"J = \cos u, \quad u = u_1 + u_2, \quad u_1 = \sin t, \quad u_2 = 3t, \quad t = x^2",
        r"\begin{gather*} J=\cos(u) \\ u=u_1+u_2 \\ u_{1}=\sin(t) \qquad u_{2}=3t \\ t=x^2 \end{gather*}",
    ],
    "S2": [
        r"\begin{align*} " + LIKELIHOOD.replace("=", "&=") + r" \\ y &= \frac{1}{1+e^{-a}} \\ a &= \sum_{j=0}^D \theta_j x_j \end{align*}",
        LIKELIHOOD + "\n" + r"y = \sigma(a)" + "\n" + r"a = \sum_{j=0}^{D} \boldsymbol{\theta}_j \, \mathbf{x}_j",
    ],
    "S3": [
        rf"\begin{{aligned}} {LIKELIHOOD.replace('=', '&=')} \\ {OUTPUT} \\ {HIDDEN} \end{{aligned}}",
        r"""The network of the slides, with $x_0 = 1$:
        \begin{equation} J = y^\star \log y + \bigl(1 - y^{*}\bigr) \log\left(1 - y\right) \label{eq:loss} \end{equation}
        where % the output unit
        \begin{align} y &= \frac1{1 + \exp(-b)}, & b &= \sum_{j = 0}^{D} \beta_j z_j, \nonumber \\
          z_j &= \sigma(a_j), \quad \forall j \in \{0, \ldots, D\}; & a_j &= \sum_{i=0}^{M} \alpha_{j,i} x_i. \end{align}""",
    ],
    "S4": [
        rf"$$J = \tfrac12 (y-y^*)^2$$ $$\begin{{aligned}}{OUTPUT}\end{{aligned}}$$ $$\begin{{split}}{HIDDEN}\end{{split}}$$",
        rf"J &= \frac{{1}}{{2}} \left(y - y^*\right)^2 \\ {OUTPUT} \\[4pt] {HIDDEN} \\ \text{{minimise }} J",
    ],
    "S5 logistic": [r"y = \frac{1}{1+\exp(-x)}", r"y \equiv \sigma(x)", r"y := 1/(1 + e^{-x})"],
    "S5 tanh": [r"y = \tanh x", r"y = \tanh{(x)}", r"y = \operatorname{tanh}(x)"],
    "S5 relu": [r"y = \max(0, w \cdot x + b)", r"y = \max\left\{0, w x + b\right\}", r"y = \mathrm{relu}(wx + b)",
                r"y = \begin{cases} wx + b & \text{if } wx + b > 0 \\ 0 & \text{otherwise} \end{cases}"],
    "S5 softplus": [r"y = \log(\exp(x) + 1)", r"y = \ln\!\left(e^{x} + 1\right)"],
    "S6 cross-entropy": [LIKELIHOOD, r"J = y^{*}\ln{y}+(1-y^{*})\ln{(1-y)}"],
    "S6 quadratic": [r"J = \frac12(y-y^*)^2", r"J = \frac{(y - y^\star)^2}{2}"],
    "S7": [
        rf"J &= \sum_k y_k^* \log y_k \\ y_k &= \frac{{\exp(b_k)}}{{\sum_{{l=1}}^K \exp(b_l)}} \\ b_k &= \sum_{{j=0}}^D \beta_{{kj}} z_j \\ {HIDDEN}",
        rf"J &= \sum_{{k=1}}^K y^*_k \log y_k \\ y_k &= \frac{{e^{{b_k}}}}{{\sum_{{l=1}}^K e^{{b_l}}}} \\ b_k &= \sum_{{j=0}}^D \beta_{{kj}} z_j \\ {HIDDEN}",
    ],
}  # fmt: skip
CASES = [pytest.param(name, latex, id=f"{name} {place}") for name, texts in SLIDES.items() for place, latex in enumerate(texts)]


def values(program: Program, arrays: dict[str, Any]) -> dict[str, Any]:
    """The loss and all gradients, by the oracle."""
    loss = loss_of(program)
    return {loss: evaluate(program, arrays)[loss]} | adjoints(program, arrays, loss)


@pytest.mark.parametrize(("name", "latex"), CASES)
def test_slides_are_read_as_slides_write_them(name: str, latex: str) -> None:
    """A swapped index, a decoration taken as a power, a log that takes too much: the loss or a gradient differs."""
    text, program = MODELS[name].program(), parse_latex(latex)
    arrays = random_arrays(text, np.random.default_rng(1), MODELS[name].sizes)
    assert set(program.free) == set(text.free)
    expected, found = values(text, arrays), values(program, arrays)
    assert set(found) == set(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(np.asarray(found[key], float), np.asarray(value, float), rtol=1e-12, err_msg=key)


READINGS = [
    (r"a_j = \sum_i \alpha_{ji} x_i", "a[j] = sum(alpha[j,i]*x[i] for i)"),
    (r"y = \log y_1 z + 1", "y = log(y_1*z) + 1"),
    (r"y = \log(a) z", "y = log(a)*z"),
    (r"y = \sin a \cos b", "y = sin(a)*cos(b)"),
    (r"y = \sin^2 a + \log(a)^2", "y = sin(a)^2 + log(a)^2"),
    (r"y = \sum_i x_i + c", "y = sum(x[i] for i) + c"),
    (r"y = \sum_i x_i \sum_j w_j \cdot 2", "y = sum(x[i]*sum(w[j]*2 for j) for i)"),
    (r"y = -\log \sum_{j=1}^N e^{x_j}", "y = -log(sum(exp(x[j]) for j in 1..N))"),
    (r"y = \prod_{i=1}^N (1 + x_i)", "y = prod(1 + x[i] for i in 1..N)"),
    (r"y = \max_j x_j - \min_{1 \le k \le K} w_k", "y = max(x[j] for j) - min(w[k] for k in 1..K)"),
    (r"y = \sum_{i=1, i \ne 2}^N x_i", "y = sum(x[i] for i in 1..N if i != 2)"),
    (r"y = \sum_{i=1}^N \sum_{j=i+1}^N (x_i - x_j)^2", "y = sum(sum((x[i] - x[j])^2 for j in i+1..N) for i in 1..N)"),
    (r"J = \sum_{1 \le i < j \le N} x_i x_j", "J = sum(x[i]*x[j] for i in 1..N for j in i+1..N)"),
    (r"J = \sum_{0 \le i < j < k < N} x_i x_j x_k", "J = sum(x[i]*x[j]*x[k] for i in 0..N-1 for j in i+1..N-1 for k in j+1..N-1)"),
    (r"y_t = x_t^2, \quad t = T, \dots, 1 \\ J = \sum_t y_t", "y[t] = x[t]^2 for t in 1..T; J = sum(y[t] for t)"),
    (r"y_t = x_t^2, \quad t = -2, \dots, 2 \\ J = \sum_{t=-2}^2 y_t", "y[t] = x[t]^2 for t in -2..2; J = sum(y[t] for t in -2..2)"),
    (r"J = \sum_{i<j} A_{ij}", "J = sum(A[i,j] for j for i if i < j)"),
    (r"s_j = \sum_{i<j} A_{ij} x_i", "s[j] = sum(A[i,j]*x[i] for i if i < j)"),
    (r"J = \sum_i \sum_{j \ne i} A_{ij}", "J = sum(sum(A[i,j] for j if j != i) for i)"),
    (r"J = \sum_{i < c} x_i \\ c = 2 d", "J = sum(x[i] for i if i < c); c = 2*d"),
    (r"J = 1/N \sum_{i=1}^N x_i", "J = 1/N*sum(x[i] for i in 1..N)"),
    (r"y = \operatorname{ReLU}(w x + b) - \mathrm{GELU}(x)", "y = relu(w*x + b) - gelu(x)"),
    (r"y = \sqrt{a} + \sqrt[3]{b}", "y = sqrt(a) + b^(1/3)"),
    (r"y = a^{-1} + 2^{x} + a^{b^c}", "y = a^(-1) + 2^x + a^(b^c)"),
    (r"y = |a| \, |b - 1| + \lvert c \rvert", "y = abs(a)*abs(b - 1) + abs(c)"),
    (r"y = x' + x^\prime + {x'}^{2}", "y = x' + x' + x'^2"),
    (r"\bar{x} = \frac1N \sum_{n=1}^N x_n", "x_bar = 1/N*sum(x[n] for n in 1..N)"),
    (r"J \mathrel{+}= x^2 \\ J += y", "J += x^2; J += y"),
    (r"\sigma(u) = \frac{1}{1+e^{-2u}} \\ y = \sigma(w x)", "sigma(u) = 1/(1 + exp(-2*u)); y = sigma(w*x)"),
    (r"y = \frac{x - \mu}{\sigma} + \sigma(a + b)", "y = (x - mu)/sigma + sigma*(a + b)"),
    (r"h_0 = 1 \\ h_t = w h_{t-1} \quad \forall t \in \{1, \dots, T\} \\ J = h_T", "h[0] = 1; h[t] = w*h[t-1] for t in 1..T; J = h[T]"),
    (r"h^{(0)} = 1 \\ h^{(t)} = w h^{(t-1)} \quad t = 1, \dots, T \\ J = h^{(T)}", "h[0] = 1; h[t] = w*h[t-1] for t in 1..T; J = h[T]"),
    (r"y = w^{[1]} x + b^{[1]}", "y = w_1*x + b_1"),
    (r"y = a_{\text{in}} + \mathrm{rate} \cdot b", "y = a_in + rate*b"),
    (r"y = \mathbb{1}[x > 0] x + [x < 1]", "y = where(x > 0, 1, 0)*x + where(x < 1, 1, 0)"),
    (r"y_i = \sum_k w_k x_{i+k} \\ J = y_0", "y[i] = sum(w[k]*x[i+k] for k); J = y[0]"),
    (r"y &= a \\ &\quad + b \\ z &= c", "y = a + b; z = c"),
    (r"y = 1 % a remark, = 2" + "\n" + r"z = 2\pi", "y = 1; z = 2*pi"),
    (r"y = \varepsilon + \frac{\lambda}{2} c", "y = epsilon + lambda/2*c"),
    ("y = α·x − 1", "y = alpha*x - 1"),
    (r"\text{input } x_i, w_t \in \{0, \dots, 3\} \\ J = \sum_t x_{w_t}", "input x[i], w[t] in 0..3; J = sum(x[w[t]] for t)"),
    (r"y = \frac{\frac{a}{b}}{c} d", "y = a/b/c*d"),
    (r"y = x_{2 \cdot i} \\ i = 3", None),
]  # fmt: skip


@pytest.mark.parametrize(("latex", "text"), READINGS)
def test_notation(latex: str, text: str | None) -> None:
    """Each line of the table in the documentation, and how it meets others."""
    if text is None:
        with pytest.raises(sg.SymgradError):
            parse_latex(latex)
    else:
        assert parse_latex(latex) == parse(text)


REFUSALS = [
    (r"y = \alpha_{12}", "SG137", 13), (r"y = f(x)", "SG137", 5), (r"y = x^T", "SG137", 7), (r"y = \theta^\top x", "SG139", 12),
    (r"y = 2^10", "SG137", 7), (r"y = \sin^{-1} x", "SG137", 10), (r"y = a/b c", "SG108", 9), (r"\input{a}", "SG135", 1),
    (r"\def\x{1}", "SG135", 1), (r"\newcommand{\x}{1}", "SG135", 1), (r"\write18{ls}", "SG135", 1), (r"y = \alfa", "SG135", 5),
    (r"y = {x", "SG106", 5), ("y = x}", "SG106", 6), (r"y = (x", "SG106", 7), (r"y = \left(x)", "SG136", 5), (r"y = x\right)", "SG136", 6),
    (r"\begin{foo}y\end{foo}", "SG136", 1), (r"\begin{aligned} y = x", "SG136", 1), ("$$ y = x", "SG136", 1), ("y = x\u200b", "SG101", 6),
    ("y = \u0445", "SG102", 5), (r"y = x = z", "SG141", 7), (r"\frac{dJ}{dy} = 2", "SG140", 1), (r"y = \frac{\partial J}{\partial x}", "SG140", 5),
    (r"y = \sum_j^D x_j", "SG115", 10), (r"y = \sum x_j", "SG113", 5), (r"y =", "SG104", 3), (r"y \le x", "SG105", 3),
    (r"y = |x", "SG105", 7), (r"y = \|x\|", "SG139", 5), (r"y = \epsilon + \varepsilon", "SG138", 16), (r"y = W_1 + W^{(1)}", "SG138", 11),
    (r"a_j = \alpha_{ji} x_i", "SG301", 19), (r"y = \frac{a}", "SG104", 13), (r"y = x \mathrm{open(1)}", "SG110", 7), ("", "SG120", 1),
]  # fmt: skip


@pytest.mark.parametrize(("latex", "code", "column"), REFUSALS)
def test_refusals_have_a_code_and_a_place(latex: str, code: str, column: int | None) -> None:
    """A guess instead of a refusal, or a caret at the wrong place."""
    with pytest.raises(sg.SymgradError) as caught:
        parse_latex(latex)
    assert (caught.value.code, caught.value.column) == (code, column), str(caught.value)


def test_both_readings_are_named() -> None:
    with pytest.raises(sg.SymgradError, match="a call of a function or a product"):
        parse_latex(r"y = f(x)")
    with pytest.raises(sg.SymgradError, match="the indices 1, 2 or the number 12"):
        parse_latex(r"y = \alpha_{12}")


def test_roles_and_goals() -> None:
    """What LaTeX has no words for comes as keyword arguments; \\min says both the goal and what is trained."""
    latex = r"a_j = \sum_i \alpha_{ji} x_i \\ J = \sum_j (a_j - y_j)^2"
    program = parse_latex(latex, params=["alpha"], minimize="J")
    assert (program.params, program.loss, program.goal) == (("alpha",), "J", "minimize")
    assert parse_latex(rf"\min_{{\alpha}} J \\ {latex}") == program
    assert parse_latex(rf"{latex} \\ \text{{maximise }} J").goal == "maximize"
    with pytest.raises(sg.SymgradError, match="no equation defines"):
        parse_latex(latex, minimize="K")


def test_claims() -> None:
    latex = r"y = x^2, \quad \frac{dJ}{dz_j} = \frac{\partial J}{\partial b} \cdot \beta_j, \quad dJ/dy = 2 dy/da"
    found = claims(latex).claims
    assert [Format().show(c.left) for c in found] == ["dJ/dz[j]", "dJ/dy"]
    assert [Format().show(c.right) for c in found] == ["dJ/db*beta[j]", "2*dy/da"]
    assert isinstance(found[0].left, Deriv)
    assert found[0].left.span is not None
    assert found[0].left.span.text == r"\frac{dJ}{dz_j}"


def test_notes_say_how_it_was_read() -> None:
    r"""--explain leaves out a rule that was applied."""
    text = r"Let $x$ be given. $$ y_k^* = \sigma(a_k) \quad \forall k $$ $$ a_k = \log w x_k $$"
    notes = "\n".join(read_latex(text).notes)
    for part in (
        "y_k^* read as y^*[k]",
        "logistic",
        "\\log takes the whole product w x_k",
        "prose ignored: Let be given.",
        "inside prose",
    ):
        assert part in notes


TEXTS = {name: model.text for name, model in MODELS.items()}
TEXTS |= {path.stem: path.read_text("utf-8") for path in sorted((Path(__file__).parent.parent / "examples").rglob("*.sg"))}


@pytest.mark.parametrize("name", TEXTS)
def test_a_program_reads_back_from_its_latex(name: str) -> None:
    """A name, a range, a role or a term that the printed LaTeX loses."""
    program = parse(TEXTS[name])
    latex = program_latex(program)
    again = parse_latex(latex)
    assert again == program
    assert {n: t.declared for n, t in again.tensors.items()} == {n: t.declared for n, t in program.tensors.items()}
    assert program_latex(again) == latex


JUNK = ["{", "}", "_", "^", "\\", "\\frac", "\\sum", "\\left", "\\right", "&", "\\\\", "$", "$$", "=", "d", "\\begin{cases}", "|", "'", "\\log",
        "\\mathrm", "(", ")", "\u202e", "\0", "12", ",", "\\forall", "\\in", "\\{", "\\dots", "\\text{for}", "[", "]", "\\min_", "^*", ":", "-"]  # fmt: skip
TOKENS = re.compile(r"\\[A-Za-z]+|\\.|\s+|\w|.", re.DOTALL)


def broken(text: str, rng: random.Random) -> str:
    tokens = TOKENS.findall(text)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(tokens) + 1)
        tokens[at : at + rng.choice((0, 1, 1, 2, 5))] = rng.choice(([], [rng.choice(JUNK)], [rng.choice(tokens or JUNK)] * 2))
        tokens = tokens or ["x"]
    return "".join(tokens)


def test_broken_latex_is_refused_or_read() -> None:
    """3,000 mutations: any exception but a refusal."""
    rng = random.Random(5)
    sources = [text for texts in SLIDES.values() for text in texts] + [latex for latex, _ in READINGS]
    for _ in range(3000):
        text = broken(rng.choice(sources), rng)
        try:
            assert isinstance(parse_latex(text), Program)
        except sg.SymgradError as error:
            assert re.fullmatch(r"SG[1-5]\d\d", error.code)
        except Exception as error:  # what it was is no use without the text
            raise AssertionError(text) from error


@pytest.mark.parametrize("text", ["y = " + "{" * 5000, "y = " + "(" * 5000, "y=" + "-" * 5000 + "x", "y = x" + "^{x" * 5000, "y=" + r"\log " * 5000 + "x",
    "y = " + r"\frac{d" * 3000, "y=" + r"\bar{" * 150 + "x" + "}" * 150, "y=" + "|" * 4001, "$" * 9999, "y = x" + "_{x" * 150 + "}" * 150,
    "y = " + "x^{(" * 60 + "x" + ")}" * 60, "y=" + "d" * 1000 + "/d", "x=1," * 1000, "y=" + "+".join(["a"] * 2500), r"\begin{array}{" + "{" * 5000])  # fmt: skip
def test_deep_and_long_latex_is_refused_or_read(text: str) -> None:
    """A RecursionError, or a hang of the whole suite."""
    with contextlib.suppress(sg.SymgradError):
        assert parse_latex(text).statements


def test_files_and_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The language is recognised; a file's name stands in errors."""
    latex = r"y = \tanh(w x) \\ J = \frac12 (y - y^*)^2"
    expected = sg.derive(parse_latex(latex)).text() + "\n"
    path = tmp_path / "model.tex"
    path.write_text(
        rf"\documentclass{{article}} \begin{{document}} Text, $x > 0$. \[ {latex} \] \end{{document}}", encoding="utf-8"
    )
    assert sg.read(path) == parse_latex(latex)
    for given in (latex, str(path), "-"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(latex.encode())))
        assert main(["derive", given]) == 0
        assert capsys.readouterr().out == expected
    assert main(["derive", "J = x_i", "--from", "latex"]) == 2
    assert "SG301 <equations>:1:5" in capsys.readouterr().err
    assert main(["derive", "J = x_i"]) == 0
    assert main(["derive", latex, "--explain"]) == 0
    assert "y^* read as" not in capsys.readouterr().out
    path.write_text("$$ y = \\foo $$", encoding="utf-8")
    assert main(["derive", str(path)]) == 2
    assert "model.tex:1:8" in capsys.readouterr().err


def test_text_is_not_taken_for_latex() -> None:
    assert not any(map(looks_like_latex, TEXTS.values()))
