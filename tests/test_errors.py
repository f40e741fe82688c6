"""Every refusal as the user meets it: the table of codes, its examples, the page that is made from them, exit status and --json."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import symgrad as sg
from symgrad.cli import main
from symgrad.core.catalogue import CATALOGUE, FAMILIES
from symgrad.core.errors import Source, SymgradError, did_you_mean
from tests.errors.examples import EXAMPLES
from tests.errors.page import PATH, answers, page
from tests.errors.rows import Example
from tests.reliability.clear import measure

PACKAGE = Path(sg.__file__).parent
SECOND = 1.0
Capture = pytest.CaptureFixture[str]


def used() -> dict[str, list[str]]:
    """The codes in the package but its table, with the files that have them."""
    found: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name != "catalogue.py":
            for code in re.findall(r"\bSG\d{3}\b", path.read_text(encoding="utf-8")):
                found.setdefault(code, []).append(path.name)
    return found


def test_every_code_has_a_row_and_every_row_a_code() -> None:
    """A code that nobody explains, or an explanation of what is never said."""
    assert sorted(used()) == sorted(CATALOGUE)
    assert {code[2] for code in CATALOGUE} == set(FAMILIES)
    assert list(CATALOGUE) == sorted(CATALOGUE)


def test_every_row_has_an_example_and_reads_well() -> None:
    """A row without a test, a sentence without an end, two codes of one meaning."""
    assert sorted({example.code for example in EXAMPLES}) == sorted(CATALOGUE)
    for code, meaning in CATALOGUE.items():
        assert re.fullmatch(r"[A-Z].*\.", meaning.cause), code
        assert not meaning.fix.endswith("."), code
    causes = [meaning.cause for meaning in CATALOGUE.values()]
    assert len(set(causes)) == len(causes)


@pytest.mark.parametrize("code", CATALOGUE)
def test_examples(code: str) -> None:
    """Another code than the table says, no place, source line or caret where there is a text, no hint, a file left behind."""
    for example, given in answers(code):
        assert given.code == code, given.shown
        assert given.fields["hint"], given.shown
        assert given.fields["message"]
        assert "Traceback" not in given.shown
        assert given.shown.removeprefix("net.DataError: ").startswith(code)
        assert example.library or given.left == ()
        if example.argv:
            assert given.status == 2
            assert given.output == ""
        if example.placed:
            _has_a_place(example, given.shown, given.fields)


def _has_a_place(example: Example, shown: str, fields: dict[str, Any]) -> None:
    assert isinstance(example.model, str)
    line, column, end = fields["line"], fields["column"], fields["end_column"]
    assert shown.startswith(f"{fields['code']} {fields['file']}:{line}:{column}: ")
    text = (example.model.split("\n"))[line - 1]
    assert fields["source_line"] == text
    assert 1 <= column < end <= len(text) + 2  # the end of a line has a place too
    if text:
        source, caret = shown.split("\n")[1:3]
        assert source.startswith("    ")
        assert re.fullmatch(r" +\^+", caret)
        if len(text) < 100:
            assert source[4:] == "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
            assert (caret.index("^") - 3, len(caret) - 3) == (column, end)


def test_promises() -> None:
    """An example of the table of promises that is answered otherwise, or late."""
    rows = measure(False)
    assert [(row.promise, list(row.wrong)) for row in rows if not row.kept] == []
    assert all(not row.found.startswith("0 ") for row in rows)


def test_the_page_is_made_from_the_table() -> None:
    """docs/errors.md says what symgrad no longer says: `python -m tests.errors` writes it again."""
    assert PATH.read_text(encoding="utf-8") == page()
    anchors = re.findall(r"^### (SG\d{3})$", page(), re.MULTILINE)
    assert anchors == sorted(CATALOGUE)


# the object


def test_as_dict() -> None:
    """Places that do not point at what the caret points at; two lines; what has no text."""
    span = Source("a = 1\nbb = (c +\n d)", "m.sg").span(11, 18)
    error = SymgradError("SG105", "a message", span, "a hint")
    assert error.as_dict() == {
        "code": "SG105", "message": "a message", "file": "m.sg", "line": 2, "column": 6, "end_column": 10,
        "source_line": "bb = (c +", "hint": "a hint",
    }  # fmt: skip
    bare = SymgradError("SG203", "no place").as_dict()
    assert [name for name, value in bare.items() if value is None] == ["file", "line", "column", "end_column", "source_line"]
    assert bare["hint"] == CATALOGUE["SG203"].fix


def test_an_error_of_an_unknown_code_has_no_hint() -> None:
    """A code of somebody else's that cannot be made."""
    assert SymgradError("XX1", "message").hint is None


# did you mean


@pytest.mark.parametrize(
    ("given", "known", "wanted"),
    [
        ("sigmod", ["sin", "sigmoid"], "sigmoid"),
        (r"\alfa", [r"\nabla", r"\alpha"], r"\alpha"),
        ("Latex", ["latex", "text"], "latex"),
        ("--fromat", ["--format", "--force", "--from"], "--format"),
    ],
)
def test_did_you_mean(given: str, known: list[str], wanted: str) -> None:
    """The nearest name is another one, or the order of the names decides."""
    assert did_you_mean(given, known) == did_you_mean(given, known[::-1]) == f"did you mean {wanted}?"


def test_nothing_is_near() -> None:
    assert did_you_mean("q", ["sigmoid"]) is None


MISSPELT = {
    "command": (["deriv", "J = x"], "derive"),
    "option": (["train", "J = x", "--data", "d.csv", "--epoch-s", "3"], "--epochs"),
    "format": (["derive", "J = x", "--format", "latx"], "latex"),
    "style": (["derive", "J = x", "--style", "slide"], "slides"),
    "style of a picture": (["derive", "J = x", "--format", "svg", "--style", "grap"], "graph"),
    "language": (["derive", "J = x", "--from", "late"], "latex"),
    "backend": (["compile", "J = x", "-o", "n.py", "--backend", "numb"], "numba"),
    "dtype": (["compile", "J = x", "-o", "n.py", "--dtype", "float63"], "float64"),
    "optimizer": (["train", "J = x", "--data", "digits", "--optimizer", "adma"], "adam"),
    "data set": (["train", "J = x", "--data", "digit"], "digits"),
    "name": (["derive", "J = zeta^2", "--wrt", "zetta"], "zeta"),
}


@pytest.mark.parametrize("case", MISSPELT)
def test_misspelt(case: str, capsys: Capture) -> None:
    """A choice that is misspelt, without the word that was meant."""
    argv, wanted = MISSPELT[case]
    assert main(argv) == 2
    assert f"hint: did you mean {wanted}?" in capsys.readouterr().err


# the command line


def test_json_of_every_command(capsys: Capture) -> None:
    """A subcommand whose refusal is text in spite of --json, or more than one object."""
    for argv in (["derive", "y = (x"], ["check", "y = (x", "dJ/dx = 1"], ["compile", "y = (x", "-o", "n.py"],
                 ["train", "y = (x", "--data", "digits"]):  # fmt: skip
        assert main([*argv, "--json"]) == 2
        captured = capsys.readouterr()
        found = json.loads(captured.err)
        assert captured.out == ""
        assert {**found, "message": ""} == {
            "code": "SG106", "message": "", "file": "<equations>", "line": 1, "column": 7, "end_column": 8,
            "source_line": "y = (x", "hint": CATALOGUE["SG106"].fix,
        }  # fmt: skip
        assert captured.err.isascii()


def test_json_of_a_command_line_that_cannot_be_read(capsys: Capture) -> None:
    """--json that is not seen because another option is wrong."""
    assert main(["derive", "J = x", "--fromat", "latex", "--json"]) == 2
    assert json.loads(capsys.readouterr().err)["code"] == "SG706"


@pytest.fixture
def _fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.delenv("SYMGRAD_DEBUG", raising=False)
    monkeypatch.setattr("symgrad.commands.derive.reading", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.mark.usefixtures("_fault")
def test_the_report_of_a_fault(capsys: Capture, tmp_path: Path) -> None:
    """A report that cannot be acted on, or that replaces another one."""
    for count in (1, 2):
        assert main(["derive", "J = x^2"]) == 70
        said = capsys.readouterr().err
        reports = sorted(tmp_path.iterdir())
        assert len(reports) == count
        assert any(str(path) in said for path in reports)
        assert "Traceback" not in said
    text = reports[0].read_text(encoding="utf-8")
    for wanted in ("planted", "Traceback", "in broken", "command: symgrad derive 'J = x^2'", "Python ", "numpy ", "platform "):
        assert wanted in text
    assert reports[0].stat().st_mode & 0o077 == 0 or sys.platform == "win32"


@pytest.mark.usefixtures("_fault")
def test_a_fault_as_an_object(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault that is no object with --json, or that ends in another one where no report can be written."""
    assert main(["derive", "J = x^2", "--json"]) == 70
    found = json.loads(capsys.readouterr().err)
    assert found["code"] is None
    assert "planted" in found["message"]
    assert Path(found["report"]).exists()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    assert main(["derive", "J = x^2"]) == 70
    assert "SYMGRAD_DEBUG=1 shows where" in capsys.readouterr().err


def test_statuses() -> None:
    """The exit status of a process: done, a wrong claim, a refusal."""
    for argv, wanted in ((["derive", "J = x^2"], 0), (["check", "J = x^2", "dJ/dx = x"], 1), (["derive", "J = x^2 +"], 2)):
        ran = subprocess.run([sys.executable, "-m", "symgrad", *argv], capture_output=True, text=True, check=False)
        assert ran.returncode == wanted, ran.stderr
        assert (ran.stderr == "") == (wanted != 2)
