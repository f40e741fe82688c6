# ruff: noqa: E501  (tables of texts)
"""Text from anyone is refused or understood, never run: the output gate, hostile names, mutated texts, limits."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

import symgrad as sg
from symgrad.backends import checks, gate, load, module, numba, numpy, pycode
from symgrad.backends.gate import Unsafe, passed
from symgrad.core.errors import SymgradError
from tests import hostile
from tests.models import MODELS
from tests.reliability import safe

MODEL = "a[i] = x[i]*w; J = sum(exp(a[i]) for i in 1..N)"
HEAD = "import numpy as np\n\nF = np.float64\n\n\ndef f(x):\n"


@pytest.mark.parametrize(
    "line",
    [
        "return open(x)", "return eval", "import os", "return np.load(x)", "return np.fromfile(x)", "return x.__class__", "return [k for k in x]",
        "return lambda: x", "return f'{x}'", "x.tofile('a')", "return globals()", "x", "return (x := 1)", "with x: pass", "del x", "def g(): pass",
        "class A: pass", "return b'x'", "np = x", "len = x", "return x(1)", "F = x; return F(1)", "return np.add.__call__", "yield x",
        "return type('A', (), {})", "return os.system", "return __import__('os')", "from os import system", "assert x", "return x.shape()()",
    ],
)  # fmt: skip
def test_the_gate_stops_what_no_kernel_needs(line: str) -> None:
    """A node, a name, a call, an attribute that a table should not have."""
    with pytest.raises(Unsafe):
        passed(f"{HEAD}    {line}\n")
    passed(f"{HEAD}    return np.exp(x)\n")


@pytest.mark.parametrize(
    "line", ["import socket", "from numpy import load", "x = open('a')", "@print\ndef g(x):\n    return x", "from . import x"]
)
def test_the_gate_reads_the_whole_module(line: str) -> None:
    with pytest.raises(Unsafe):
        passed(f"{HEAD}    return x\n\n\n{line}\n")


def test_the_gate_waits_for_other_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.11 breaks a parse off while another thread parses, and so a worker that loads a kernel meanwhile."""
    parse, left = gate.ast.parse, ["before=78, after=206"] * 3

    def disturbed(text: str) -> ast.Module:
        if left:
            raise SystemError(f"AST constructor recursion depth mismatch ({left.pop()})")
        return parse(text)

    monkeypatch.setattr(gate.ast, "parse", disturbed)
    passed(f"{HEAD}    return np.exp(x)\n")
    assert not left


def test_a_fixed_text_passes_only_as_it_is() -> None:
    """A text of the library with one more line in it, or a call of what it alone may use."""
    text = f"import numpy as np\n\nF = np.float64\n_D = np.dtype(F)\n\n\n{checks.CHECKS}\n"
    passed(text)
    with pytest.raises(Unsafe):
        passed(text.replace("\n    array = np.asarray(value)\n", "\n    array = np.asarray(value)\n    array.tofile('x')\n"))


@pytest.mark.parametrize(
    "name", ["x);open('y','w');(", "x\nimport os\n#", "__class__", "np", "x.tofile", "open('x')", "(lambda: 0)()", "len"]
)
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_a_hole_in_the_mangling_is_stopped(name: str, backend: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The gate behind a table of names that lets everything through: nothing is written, nothing is loaded."""
    monkeypatch.setenv("SYMGRAD_CACHE", str(tmp_path))
    for each in (pycode, numpy, numba, module, module.entry, checks):
        monkeypatch.setattr(each, "python_name", lambda given: name if given == "w" else pycode_name(given))
    kernel = sg.compile(sg.parse(MODEL), backend=backend)
    with pytest.raises(Unsafe):
        kernel.save(tmp_path / "net.py")
    with pytest.raises(Unsafe):
        kernel(x=1, w=1)
    assert not list(tmp_path.iterdir())


pycode_name = pycode.python_name


def test_an_equation_cannot_end_its_docstring(monkeypatch: pytest.MonkeyPatch) -> None:
    program = sg.parse("J = x^2")
    monkeypatch.setattr(module, "header", lambda *_: '"""Kernels\n"""\nopen("x", "w")\n"""\n"""')
    with pytest.raises(Unsafe):
        load.load(sg.compile(program, backend="numpy").source)


@pytest.mark.parametrize(("name", "dtype"), list(product([*MODELS][::9], ["float32", "float64"])))
def test_modules_of_models_pass_the_gate(name: str, dtype: str) -> None:
    """A table that lacks what a kernel needs."""
    for backend in ("numpy", "numba"):
        passed(sg.compile(MODELS[name].program(), dtype=dtype, backend=backend).source)


def test_hostile_names_are_refused_or_harmless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert list(safe.broken_names(range(200))) == []
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("kind", "count"), [("text", 1_500), ("LaTeX", 150), ("claims", 80)])
def test_mutated_texts_are_refused_or_read(kind: str, count: int) -> None:
    """Another error than a refusal, a hang; 20,000 of them by `python -m tests.reliability safe`."""
    wrong, slowest, seed = safe.broken_texts(kind, range(count))
    print(f"{kind}: slowest {slowest:.2f} s with seed {seed}")
    assert wrong == []


@pytest.mark.parametrize(
    ("read", "text", "code"),
    [
        (sg.parse, "J = x*" + "exp(" * 10 + "2" + ")" * 10, "SG505"),  # SymPy's OverflowError
        (sg.parse, "J = sum(i*A[i,j] for i in 1..N, j in 1..a*i)", "SG308"),  # a comparison that SymPy cannot decide
        (sg.parse_latex, r"J = x " + r"\exp(" * 10 + "2" + ")" * 10, "SG505"),
        (lambda text: sg.check(safe.CHAIN, text), "dJ/dx[i] = " + "exp(" * 190 + "x[i]" + ")" * 190, "SG504"),  # too deep for Python
        (lambda text: sg.check(safe.CHAIN, text), "dJ/dx[i] = " + "x[" * 190 + "i" + "]" * 190, "SG504"),
    ],
)  # fmt: skip
def test_what_mutations_found_is_refused(read: Callable[[str], object], text: str, code: str) -> None:
    """Errors that were Python's or SymPy's own."""
    with pytest.raises(SymgradError) as caught:
        read(text)
    with pytest.raises(SymgradError):  # a second time too
        read(text)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "text",
    [
        "J = sum(x[Q_']^2 for Q_' in 1..N)",
        "index k_' in 1..N\ny[k_'] = x[k_']^2\nJ = sum(y[k_'] for k_')",
        "f(u_') = u_'^2\nJ = f(x)",
    ],
)
def test_primed_names_read_back_wherever_they_stand(text: str) -> None:
    """An index or a parameter that is printed with __, which no name may have."""
    program = sg.parse(text)
    assert str(sg.parse(str(program))) == str(program)
    assert sg.parse(str(sg.derive(program, "J").backward))


def test_a_magnitude_of_a_number_as_a_place_is_no_fault() -> None:
    """No name to solve for: min() of nothing."""
    text = r"h[|0|, j] = g_j \\ h_{tj} = h[t - 1, j] \quad \forall t \in \{1, \dots, T\}"
    assert hostile.answered(lambda: sg.parse_latex(text)) is None


def test_a_long_chain_needs_no_deep_recursion() -> None:
    """A pass that calls itself once for every statement; 10,000 of them by `python -m tests.reliability safe`."""
    assert sys.getrecursionlimit() <= 1000
    assert safe.deep(1_050) == []


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_mutated_data_files_are_refused_or_read(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors of NumPy's, of zip's or of Python's, warnings, a pickle that is unpacked; 10,000 of them by the command."""
    monkeypatch.chdir(tmp_path)
    assert safe.broken_data(kind, range(400))[0] == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("y = x" + " " * (1 << 23), "SG501"),
        ("y = " + "1" * 41, "SG502"),
        ("y = " + "a" * 65, "SG503"),
        ("y = " + "(" * 201 + "x" + ")" * 201, "SG504"),
        ("y = 2^1025", "SG505"),
    ],
)
def test_limits(text: str, code: str) -> None:
    with pytest.raises(SymgradError) as caught:
        sg.parse(text)
    assert caught.value.code == code
