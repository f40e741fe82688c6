"""The command line as a user meets it: each command's output, every refusal, real data.

`main(argv)` runs in this process, with what it prints captured; start-up, imports and pipes run in a process of their own.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.cli import main

EXAMPLES = Path(__file__).parent.parent / "examples"
LINE = "input x[j], y^*; param w[j], c; y = sum(w[j]*x[j] for j in 1..D) + c; J = (y - y^*)^2/2; minimize J"
LOGISTIC = str(EXAMPLES / "logistic.sg")
SOFTMAX = str(EXAMPLES / "softmax_digits.sg")

Capture = pytest.CaptureFixture[str]


def run(argv: list[str], capsys: Capture) -> tuple[int, str, str]:
    code = main(argv)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def process(argv: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *argv], capture_output=True, text=True, check=False, **options)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def regression(path: str, count: int = 200) -> None:
    """y = x·(1, 2, 3) + 1/2 without noise."""
    r = np.random.default_rng(0)
    x = r.normal(size=(count, 3))
    np.savez(path, X=x, y=x @ [1, 2, 3] + 0.5)


def accuracy(out: str, part: str) -> float:
    found = re.search(rf"^{part} (?:accuracy|R²) (\S+)$", out, re.MULTILINE)
    assert found, out
    return float(found.group(1))


# derive


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ([], "dJ/dθ_j = dJ/da · da/dθ_j"),
        (["--style", "steps"], "+="),
        (["--style", "closed"], "dJ/dx"),
        (["--style", "matrix"], "dJ/dx"),
        (["--style", "modules", "--explain"], "Module 1"),
        (["--format", "latex"], r"\frac{dJ}{d \theta_j}"),
        (["--format", "markdown"], "$$"),
        (["--gradient", "theta"], "dJ/dθ_j ="),
        (["--gradient", "θ", "--format", "latex"], r"\frac{dJ}{d \theta_j}"),
    ],
)
def test_derive_prints(options: list[str], wanted: str, capsys: Capture) -> None:
    """An option that is parsed but not passed on; output on the wrong stream."""
    code, out, err = run(["derive", LOGISTIC, *options], capsys)
    assert (code, err) == (0, "")
    assert wanted in out


def test_wrt_and_loss_are_passed_on(capsys: Capture) -> None:
    """A derivation by more, or of another loss, than was asked for; names with a star or Greek letter not understood."""
    code, out, _ = run(["derive", "J = a*α*y^*; L = J^2", "--loss", "J", "--wrt", "α,y^*"], capsys)
    assert code == 0
    assert "dJ/dα" in out
    assert "dJ/dy*" in out
    assert "dJ/da " not in out
    assert "dL" not in out


def test_equations_a_file_and_standard_input_are_the_same(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the three ways in that reads something else, or a file with a BOM or CRLF that is refused."""
    text = "J = cos(sin(x^2) + 3x^2)"
    Path("model.txt").write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    outputs = {run(["derive", given], capsys)[1] for given in (text, "model.txt", "-")}
    assert len(outputs) == 1
    assert "dJ/dx" in outputs.pop()


def test_read_names_the_file(capsys: Capture) -> None:
    """An error in a file that is shown as one of <text>."""
    Path("bad.sg").write_text("a = 1\nb = 2 +\n", encoding="utf-8")
    with pytest.raises(sg.SymgradError) as error:
        sg.read("bad.sg")
    assert (error.value.filename, error.value.line) == ("bad.sg", 2)
    assert str(sg.read(LOGISTIC)) == str(sg.parse(Path(LOGISTIC).read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.sg")), ids=lambda path: path.stem)
def test_examples_derive(path: Path, capsys: Capture) -> None:
    """An example that the language no longer reads, or whose first lines do not say how to run it."""
    code, out, _ = run(["derive", str(path)], capsys)
    assert code == 0
    assert "Backward" in out
    assert f"symgrad derive examples/{path.name}" in (head := path.read_text("utf-8")) or f"train examples/{path.name}" in head


# compile


def test_compile_writes_a_module_that_stands_alone() -> None:
    """A module that imports symgrad, lacks an entry point, or was written for another wrt, batch or dtype."""
    options = ["--batch", "x,y^*", "--dtype", "float32", "--backend", "numpy"]
    assert main(["compile", LOGISTIC, "-o", "net.py", *options]) == 0
    program = "\n".join(
        [
            "import sys, numpy as np, net",
            "x = np.ones((5, 3), np.float32)",
            "J, grads = net.value_and_grad(x=x, y_star=np.ones(5, np.float32), theta=np.zeros(3, np.float32))",
            "print(list(grads), grads['theta'].dtype, round(float(J), 4), 'symgrad' in sys.modules)",
        ]
    )
    ran = process(["-c", program], cwd=os.getcwd(), env={**os.environ, "PYTHONPATH": os.getcwd()})
    assert ran.stdout.strip() == "['theta'] float32 -0.6931 False", ran.stderr


def test_nothing_is_overwritten(capsys: Capture) -> None:
    """A module, parameters or a picture written over a file, through a link, or before the refusal."""
    Path("kept").write_text("mine", encoding="utf-8")
    Path("link").symlink_to("kept")
    regression("data.npz", 20)
    train = ["train", LINE, "--data", "data.npz", "--epochs", "1"]
    for name in ("kept", "link"):
        for argv in (["compile", "J = w*x", "-o", name], [*train, "--save", name]):
            code, out, err = run(argv, capsys)
            assert (code, out) == (2, "")
            assert err.startswith("SG701")
    assert Path("kept").read_text(encoding="utf-8") == "mine"
    assert run(["compile", "J = w*x", "-o", "kept", "--backend", "numpy", "--force"], capsys)[0] == 0
    assert "def value_and_grad" in Path("kept").read_text(encoding="utf-8")


# refusals

BAD = {
    "no command": ([], "SG706"),
    "unknown command": (["derivee", "J = x"], "SG706"),
    "unknown option": (["derive", "J = x", "--color"], "SG706"),
    "syntax": (["derive", "y = (x"], "SG106"),
    "code": (["derive", "J = __import__('os')"], "SG110"),
    "empty": (["derive", ""], "SG120"),
    "defined twice": (["derive", "y = x; y = 2*x"], "SG202"),
    "unknown name": (["derive", "J = x", "--wrt", "q"], "SG203"),
    "unknown loss": (["derive", "J = x", "--loss", "L"], "SG203"),
    "unknown gradient": (["derive", "J = x", "--gradient", "q"], "SG203"),
    "unknown style": (["derive", "J = x", "--style", "slide"], "SG207"),
    "unknown format": (["derive", "J = x", "--format", "htmm"], "SG207"),
    "unknown dtype": (["compile", "J = x", "-o", "n.py", "--dtype", "float16"], "SG207"),
    "unknown backend": (["compile", "J = x", "-o", "n.py", "--backend", "fortran"], "SG207"),
    "free index": (["derive", "index i in 0..M; a = w*x[i]; J = a"], "SG301"),
    "cycle": (["derive", "x = y + 1; y = 2*x; J = x"], "SG401"),
    "no loss": (["derive", "a = x; b = 2*x"], "SG402"),
    "loss with an index": (["derive", "index i in 0..M; a[i] = 2*x[i]; minimize a"], "SG403"),
    "power": (["derive", "J = 9^9^9"], "SG505"),
    "long name": (["derive", "J = " + "a" * 5000], "SG503"),
    "missing file": (["derive", "no.sg"], "SG704"),
    "folder for a module": (["compile", "J = x", "-o", "."], "SG702"),
    "missing folder": (["compile", "J = x", "-o", "no/n.py"], "SG702"),
    "batch by an unknown name": (["compile", "J = w*x", "-o", "n.py", "--batch", "q"], "SG203"),
    "batch by what is defined": (["compile", "y = w*x; J = y", "-o", "n.py", "--batch", "y"], "SG210"),
    "unknown data": (["train", SOFTMAX, "--data", "digit"], "SG610"),
    "missing data": (["train", SOFTMAX, "--data", "no.csv"], "SG704"),
    "classes for one number": (["train", LOGISTIC, "--data", "digits"], "SG613"),
    "no target": (["train", "param w; J = w*x", "--data", "breast_cancer"], "SG613"),
    "unknown optimizer": (["train", SOFTMAX, "--data", "digits", "--optimizer", "sdg"], "SG207"),
    "negative rate": (["train", SOFTMAX, "--data", "digits", "--learning-rate", "-1"], "SG608"),
    "rate with an unknown name": (["train", SOFTMAX, "--data", "digits", "--learning-rate", "0.1*k"], "SG203"),
    "clipping to nothing": (["train", SOFTMAX, "--data", "digits", "--clip-norm", "0"], "SG608"),
    "no patience": (["train", SOFTMAX, "--data", "digits", "--patience", "0"], "SG608"),
    "all for the test": (["train", SOFTMAX, "--data", "digits", "--test-fraction", "1"], "SG608"),
    "size of nothing": (["train", SOFTMAX, "--data", "digits", "--size", "Q=3"], "SG614"),
    "size without a number": (["train", SOFTMAX, "--data", "digits", "--size", "D"], "SG614"),
    "picture in no folder": (["train", SOFTMAX, "--data", "digits", "--picture", "no/loss.png"], "SG702"),
    "a word that is neither file nor equation": (["derive", "model.txt"], "SG704"),
    "a folder": (["derive", "/"], "SG704"),
    "a file name too long": (["derive", "a" * 300], "SG704"),
    "no name for the loss": (["derive", "J = x", "--loss", ","], "SG706"),
    "no name for the gradient": (["derive", "J = x", "--gradient", ""], "SG706"),
    "two names for the loss": (["derive", "J = x", "--loss", "J,L"], "SG706"),
    "size of the features": (["train", SOFTMAX, "--data", "digits", "--size", "M=10"], "SG614"),
    "size beyond the memory": (["train", SOFTMAX, "--data", "digits", "--size", "D=1000000000000"], "SG508"),
    "too few values for the classes": (
        ["train", Path(SOFTMAX).read_text("utf-8").replace("1..K", "1..9"), "--data", "digits"],
        "SG613",
    ),
    "prediction of another shape": (["train", SOFTMAX, "--data", "digits", "--prediction", "z"], "SG613"),
    "the loss as prediction": (["train", LOGISTIC, "--data", "breast_cancer", "--prediction", "J"], "SG613"),
    "a parameter as target": (["train", SOFTMAX, "--data", "digits", "--target", "alpha"], "SG613"),
    "negative seed": (["train", SOFTMAX, "--data", "digits", "--seed", "-1"], "SG608"),
    "negative epochs": (["train", SOFTMAX, "--data", "digits", "--epochs", "-1"], "SG608"),
    "picture of an unknown kind": (["train", SOFTMAX, "--data", "digits", "--picture", "loss.xyz"], "SG207"),
    "two outputs of one name": (["train", SOFTMAX, "--data", "digits", "--picture", "a.png", "--save", "./a.png"], "SG701"),
}


@pytest.mark.parametrize("case", BAD)
def test_refusals(case: str, capsys: Capture) -> None:
    """A traceback, a wrong exit status or code, a refusal on standard output, a file left behind."""
    argv, wanted = BAD[case]
    code, _, err = run(argv, capsys)
    assert code == 2
    assert err.startswith(wanted), err
    assert "Traceback" not in err
    assert list(Path().iterdir()) == []


CSV = {
    "empty": (b"", "SG612"),
    "no rows": (b"a,y\n", "SG612"),
    "short row": (b"a,y\n1,2\n3\n", "SG612"),
    "a word among numbers": (b"a,y\n1,2\nfoo,3\n", "SG612"),
    "a missing number": (b"a,y\nnan,2\n1,3\n", "SG612"),
    "no header": (b"1,2\n3,4\n5,6\n", "SG612"),
    "two columns of one name": (b"a,a,y\n1,2,3\n4,5,6\n", "SG612"),
    "semicolons": (b"a;y\n1;2\n3;4\n", "SG612"),
    "an infinite target": (b"a,y\n1,inf\n2,0\n3,0\n", "SG612"),
    "not UTF-8": (b"a,y\n\xff,1\n2,3\n", "SG612"),
    "one example": (b"a,y\n1,2\n", "SG606"),
}


@pytest.mark.parametrize("case", CSV)
def test_bad_csv(case: str, capsys: Capture) -> None:
    """A file that is half read, or trained on as if it were whole."""
    content, wanted = CSV[case]
    Path("data.csv").write_bytes(content)
    code, _, err = run(["train", LINE, "--data", "data.csv"], capsys)
    assert (code, err[:5]) == (2, wanted), err


def test_objects_are_never_unpickled(capsys: Capture) -> None:
    """A .npz file that runs code."""

    class Bomb:
        def __reduce__(self) -> Any:
            return Path.touch, (Path("ran"),)

    np.savez("data.npz", X=np.array([Bomb()], dtype=object), y=np.ones(1))
    code, _, err = run(["train", LINE, "--data", "data.npz"], capsys)
    assert (code, err[:5]) == (2, "SG612")
    assert not Path("ran").exists()


def test_a_fault_of_ours_is_reported(capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A bare traceback, or a bug that is taken for bad input; Ctrl-C that looks like either."""

    def broken(*_: Any) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.delenv("SYMGRAD_DEBUG", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("symgrad.commands.derive.reading", broken)
    code, _, err = run(["derive", "J = x"], capsys)
    assert code == 70
    assert "planted" in err
    assert "report" in err
    assert "Traceback" not in err
    monkeypatch.setenv("SYMGRAD_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["derive", "J = x"])

    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("symgrad.commands.derive.reading", stopped)
    assert main(["derive", "J = x"]) == 130


# processes

LOADED = """
import sys
from symgrad.cli import main
code = main(["derive", "J = cos(sin(x^2) + 3x^2)", "--format", "latex"])
heavy = [name for name in ("numba", "llvmlite", "sklearn", "matplotlib", "jax", "torch") if name in sys.modules]
print(code, heavy, file=sys.stderr)
"""


def test_derive_loads_nothing_heavy() -> None:
    """An import at the top of a module that makes every `symgrad derive` wait for numba or scikit-learn."""
    assert process(["-c", LOADED]).stderr.strip() == "0 []"


def test_the_module_is_the_command() -> None:
    """`python -m symgrad` that is not there, or that loses the exit status."""
    ran = process(["-m", "symgrad", "--version"])
    assert (ran.returncode, ran.stdout.split()[0]) == (0, "symgrad")
    ran = process(["-m", "symgrad", "derive", "y = (x"])
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("SG106 <equations>:1:7:")


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes of this kind")
def test_a_reader_that_goes_away() -> None:
    """`symgrad derive … | head -1` that ends in a BrokenPipeError."""
    command = [sys.executable, "-m", "symgrad", "derive", LOGISTIC]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b""


# real data


def test_digits(capsys: Capture) -> None:
    """A kernel, a start, a scaling or a one-hot target with which the network of the slides does not learn."""
    code, out, _ = run(["train", SOFTMAX, "--data", "digits"], capsys)
    assert code == 0
    assert accuracy(out, "test") >= 0.95


def test_breast_cancer_and_what_is_saved(capsys: Capture) -> None:
    """0/1 labels the wrong way round; saved parameters that are not those that were scored; a picture that is none."""
    argv = ["train", LOGISTIC, "--data", "breast_cancer", "--bias-unit", "--epochs", "40"]
    code, out, _ = run([*argv, "--save", "p.npz", "--picture", "loss.png"], capsys)
    assert code == 0
    assert accuracy(out, "test") >= 0.93
    assert Path("loss.png").read_bytes().startswith(b"\x89PNG")
    with np.load("p.npz") as saved:
        theta = saved["theta"]
    datasets = pytest.importorskip("sklearn.datasets")
    x, labels = datasets.load_breast_cancer(return_X_y=True)
    x = np.column_stack([np.ones(len(x)), (x - x.mean(0)) / x.std(0)])
    assert np.mean((x @ theta > 0) == labels) >= 0.95


def test_one_seed_one_result(capsys: Capture) -> None:
    """A split, a start or an order of the examples that the seed does not fix, or that does not depend on it."""
    scores = []
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        argv = ["train", LOGISTIC, "--data", "breast_cancer", "--epochs", "2", "--seed", seed, "--save", f"{name}.npz"]
        assert run(argv, capsys)[0] == 0
        with np.load(f"{name}.npz") as saved:
            scores.append(saved["theta"])
    assert np.array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


def test_words_in_a_csv_are_classes(capsys: Capture) -> None:
    """A target column found by its place though it is named; words that are not coded; columns out of order."""
    r = np.random.default_rng(1)
    x = r.normal(size=(300, 3))
    rows = [f"{a},{'yes' if a - 2 * c > 0 else 'no'},{b},{c}" for a, b, c in x]
    Path("data.csv").write_text("\n".join(["a,label,b,c", *rows]), encoding="utf-8")
    argv = ["train", LOGISTIC, "--data", "data.csv", "--column", "label", "--bias-unit", "--learning-rate", "0.05"]
    code, out, _ = run([*argv, "--save", "p.npz"], capsys)
    assert code == 0
    assert accuracy(out, "test") >= 0.95
    with np.load("p.npz") as saved:
        _, a, b, c = saved["theta"]
    assert a > 0 > c
    assert abs(b) < 0.3 * a


def test_a_bad_byte_has_a_place(capsys: Capture) -> None:
    """A message without line and column, for which a user has to search the file."""
    Path("bad.sg").write_bytes(b"a = 1\nb = \xffa\n")
    code, _, err = run(["derive", "bad.sg"], capsys)
    assert code == 2
    assert err.startswith("SG122 bad.sg:2:5: the byte 0xFF")


def test_a_truncated_archive(capsys: Capture) -> None:
    """An archive error that passes for a fault of symgrad."""
    regression("data.npz")
    Path("half.npz").write_bytes(Path("data.npz").read_bytes()[:300])
    code, _, err = run(["train", LINE, "--data", "half.npz"], capsys)
    assert (code, err[:5]) == (2, "SG612")


def test_regression(capsys: Capture) -> None:
    """A target of numbers that is taken for classes; a bias that is not trained; saved numbers without their scaling."""
    regression("data.npz")
    argv = ["train", LINE, "--data", "data.npz", "--learning-rate", "0.05", "--save", "p.npz"]
    code, out, _ = run(argv, capsys)
    assert code == 0
    assert accuracy(out, "test") > 0.999
    with np.load("p.npz") as p:
        np.testing.assert_allclose(p["w"] / p["x_scale"], [1, 2, 3], rtol=1e-2)
        np.testing.assert_allclose(p["c"] - (p["w"] * p["x_shift"] / p["x_scale"]).sum(), 0.5, atol=1e-2)


MEAN = "index n in 1..N, j in 1..D; input x[n,j], y^*[n]; param w[j], c; J = mean((sum(w[j]*x[n,j] for j) + c - y^*[n])^2 for n)"


def test_arrays_by_name(capsys: Capture) -> None:
    """A start in the file that is not taken; an array that is passed over in silence; shapes that nobody is told."""
    np.savez("data.npz", x=np.eye(3, 2), y_star=np.ones(3), w=np.zeros(2), extra=np.ones(4))
    argv = ["train", MEAN, "--data", "data.npz", "--backend", "numpy", "--epochs", "1"]
    code, out, _ = run(argv, capsys)
    assert code == 0
    assert out.splitlines()[:5] == [
        "minimize J; every step takes all of the data",
        "data: x 3 × 2, y^* 3",
        "parameters: w 2, c 1",
        "started at random: c",
        "not used: extra",
    ]
    c = np.random.default_rng(0).normal()
    assert re.fullmatch(rf"J {(c - 1) ** 2:.6g} in 1 epoch, \d+\.\d s", out.splitlines()[5])


@pytest.mark.parametrize(
    ("arrays", "option", "refusal"),
    [
        ({"x": (3, 2)}, "--seed=1", "SG612: data.npz has no array y_star, which the model reads"),
        ({"x": (3, 2), "y_star": (4,)}, "--seed=1", "SG604"),
        ({"x": (3, 2), "y_star": (3,)}, "--batch-size=2", "SG706: data.npz holds the model's arrays by name, so --batch-size"),
        ({"x": (3, 2), "y_star": (3,)}, "--backend=cuda", "SG207: there is no backend cuda"),
    ],
)
def test_arrays_by_name_refused(arrays: dict[str, tuple[int, ...]], option: str, refusal: str, capsys: Capture) -> None:
    """A wish for X that no model has; an option that does nothing; half a report before a refusal."""
    np.savez("data.npz", **{name: np.ones(shape) for name, shape in arrays.items()})
    code, out, err = run(["train", MEAN, "--data", "data.npz", "--backend", "numpy", option], capsys)
    assert (code, out) == (2, "")
    assert err.startswith(refusal)


def test_a_single_feature(capsys: Capture) -> None:
    """A model of one number x that is refused for want of an index."""
    rows = [f"{i / 10},{i / 5 + 1}" for i in range(60)]
    Path("data.csv").write_text("\n".join(["x,y", *rows]), encoding="utf-8")
    model = "input x, y^*; param w, c; y = w*x + c; J = (y - y^*)^2/2"
    code, out, _ = run(["train", model, "--data", "data.csv", "--epochs", "200", "--learning-rate", "0.05"], capsys)
    assert code == 0
    assert accuracy(out, "test") > 0.999


def test_sizes_by_index_and_by_end(capsys: Capture) -> None:
    """--size j=8 that is not understood, or that means another number of values than --size D=8."""
    argv = ["train", SOFTMAX, "--data", "digits", "--epochs", "0"]
    shown = {run([*argv, "--size", size], capsys)[1] for size in ("D=8", "j=8")}
    assert len(shown) == 1
    assert "alpha 8 × 64" in shown.pop()


def test_extreme_test_fractions_leave_both_parts(capsys: Capture) -> None:
    """A training part without an example, with NumPy's warnings about it."""
    regression("data.npz", 10)
    for fraction in ("0.9999", "0.0001"):
        code, out, err = run(["train", LINE, "--data", "data.npz", "--epochs", "1", "--test-fraction", fraction], capsys)
        assert code == 0
        assert "Warning" not in err
        assert "0 to test" not in out
        assert " 0 examples" not in out


def test_a_terminal_without_unicode() -> None:
    """A UnicodeEncodeError in place of the derivation."""
    ran = process(["-m", "symgrad", "derive", "J = alpha^2"], env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert ran.returncode == 0, ran.stderr
    assert r"\u03b1" in ran.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_written_files_have_the_usual_permissions() -> None:
    """A module that colleagues cannot read, because temporary files are private."""
    assert main(["compile", "J = w*x", "-o", "net.py", "--backend", "numpy"]) == 0
    Path("other").touch()
    assert Path("net.py").stat().st_mode == Path("other").stat().st_mode


@pytest.mark.parametrize(("option", "package"), [("--data=digits", "sklearn"), ("--picture=loss.png", "matplotlib")])
def test_a_missing_package_is_named(option: str, package: str, tmp_path: Path) -> None:
    """An ImportError, or a refusal that comes only after the training."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nclass Gone:\n    def find_spec(self, name, *_):\n"
        f"        if name.split('.')[0] == {package!r}:\n            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Gone())\n",
        encoding="utf-8",
    )
    regression("data.npz", 20)
    argv = ["train", LINE, "--data=data.npz", "--save=p.npz", option]
    root = str(Path(sg.__file__).parent.parent)
    path = os.pathsep.join([str(tmp_path), root])
    ran = process(["-m", "symgrad", *argv], env={**os.environ, "PYTHONPATH": path}, cwd=tmp_path)
    assert ran.returncode == 2, ran.stderr
    assert ran.stderr.startswith("SG611")
    assert "pip install" in ran.stderr
    assert not Path("p.npz").exists()
