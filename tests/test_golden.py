"""What is printed for the slides' models, byte for byte: one file a model and a source (text or SymPy).

What stands in any golden file is LaTeX or Typst that compiles, where pdflatex and Typst are installed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import symgrad as sg
from symgrad.core.program import Program
from symgrad.printers.pdf import by_typst
from tests.golden_files import GOLDENS, assert_golden
from tests.models import SLIDES, Model

CASES = [(model, source) for model in SLIDES for source in ("text", "sympy")]
# displays, and the lines of captions and notes
FRAGMENT = re.compile(r"^\\\[$.*?^\\\]$|^\\\[ [^\n]* \\\]$|^\\noindent[^\n]*\\par$", re.MULTILINE | re.DOTALL)
DOCUMENT = r"\documentclass{article}\usepackage{amsmath}\begin{document}%s\end{document}"


def program_of(model: Model, source: str) -> Program:
    if source == "text":
        return model.program()
    assert model.sympy is not None
    return model.sympy()


def printed(program: Program) -> str:
    """Every printed form of a model."""
    d = sg.derive(program)
    blocks = {"program": str(program), "backward program": str(d.backward)}
    for style in ("slides", "steps"):
        blocks[f"{style}, text"] = d.text(style)
        blocks[f"{style}, latex"] = d.latex(style)
    blocks["slides, markdown"] = d.markdown()
    for name in d.wrt:
        gradient = d.gradient(name)
        blocks[f"gradient by {name}"] = f"{gradient}\n{gradient.text()}\n{gradient.latex()}"
    return "\n\n".join(f"==== {title}\n{text}" for title, text in blocks.items()) + "\n"


@pytest.mark.parametrize(("model", "source"), CASES, ids=[f"{m.name}-{s}" for m, s in CASES])
def test_printed_forms(model: Model, source: str) -> None:
    """Any change of order, bracket, name, sign or layout."""
    assert_golden(f"{model.name}.{source}.txt", printed(program_of(model, source)))


SLIDE_LINES = {
    "S1": ["dJ/du += −sin u", "dJ/du₁ += dJ/du · du/du₁", "du/du₁ = 1", "du₁/dt = cos t", "du₂/dt = 3", "dt/dx = 2x"],
    "S2": ["dJ/dy = y*/y + (1 − y*)/(y − 1)", "dJ/da = dJ/dy · dy/da", "dy/da = exp(−a)/(1 + exp(−a))²", "da/dθ_j = x_j"],
    "S3": ["db/dβ_j = z_j", "db/dz_j = β_j", "da_j/dα_ji = x_i", "dJ/dx_i = Σ_{j=0..D} dJ/da_j · da_j/dx_i", "da_j/dx_i = α_ji"],
    "S4": ["dJ/dy = y − y*"],
    "S5 tanh": ["dy/dx = 1 − y²"],
    "S5 relu": ["dy/du = [u > 0]"],
    "S6 cross-entropy": ["dJ/dy = y*/y + (1 − y*)/(y − 1)"],
    "S6 quadratic": ["dJ/dy = y − y*"],
    "S7": ["dy_l/db_k = y_k (δ_lk − y_l)", "dJ/dβ_kj = dJ/db_k · db_k/dβ_kj", "dJ/dz_j = Σ_{k=1..K} dJ/db_k · db_k/dz_j"],
}


@pytest.mark.parametrize("name", SLIDE_LINES)
def test_lines_of_the_slides(name: str) -> None:
    """A golden accepted by mistake: these lines are the lecture's own, and the order is the loss first."""
    model = next(m for m in SLIDES if m.name == name)
    text = sg.derive(model.program()).text()
    assert [line for line in SLIDE_LINES[name] if line not in text] == []
    places = [text.index(line) for line in SLIDE_LINES[name]]
    assert places == sorted(places)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(tmp_path: Path) -> None:
    """A missing brace, an undefined command, an array with too many columns, in a golden file that was accepted."""
    parts = [part for path in sorted(GOLDENS.rglob("*.txt")) for part in FRAGMENT.findall(path.read_text(encoding="utf-8"))]
    assert len(parts) > 150
    (tmp_path / "a.tex").write_text(DOCUMENT % "\n".join(parts), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert ran.returncode == 0, ran.stdout[-2000:]


def test_typst_compiles() -> None:
    """The same of Typst."""
    pytest.importorskip("typst")
    paths = sorted(GOLDENS.rglob("*.typst"))
    assert paths
    for path in paths:
        assert by_typst(path.read_text(encoding="utf-8")).startswith(b"%PDF"), path.name


@pytest.mark.parametrize("style", ["slides", "steps"])
def test_latex_is_balanced(style: str) -> None:
    """What pdflatex would refuse, where it is not installed: braces and environments that do not match."""
    for model in SLIDES:
        text = sg.derive(model.program()).latex(style)
        assert text.count("{") == text.count("}")
        assert text.count(r"\left") == text.count(r"\right")
        assert text.count(r"\begin") == text.count(r"\end")
