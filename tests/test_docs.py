"""Every code block of README and docs runs, and shows what it says.

```python blocks are doctests, one namespace a file; ```console blocks are commands after `$` with their standard
output, where a line `…` stands for any lines; ```sh blocks are commands that install or test the
project: those of README run in CI, here their files and modules must exist.
"""

from __future__ import annotations

import doctest
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXTRAS = {"scipy", "sklearn", "torch", "jax", "optax"}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(path: Path, kind: str) -> list[str]:
    return [body for language, body in BLOCK.findall(path.read_text(encoding="utf-8")) if language == kind]


@pytest.mark.parametrize("path", PAGES, ids=[p.name for p in PAGES])
def test_kinds(path: Path) -> None:
    """A block of a kind that no test runs."""
    kinds = {language for language, _ in BLOCK.findall(path.read_text(encoding="utf-8"))}
    assert kinds <= {"python", "console", "sh", "latex"} | ({"text"} if path.name == "errors.md" else set())


def _can_run(block: str) -> bool:
    """What it imports is installed: the libraries of the extras need not be."""
    names = re.findall(r"^>>> (?:import|from) (.+)$", block, re.MULTILINE)
    wanted = {word for line in names for word in re.findall(r"\w+", line)} & EXTRAS
    return all(importlib.util.find_spec(name) for name in wanted)


@pytest.mark.parametrize("path", PAGES, ids=[p.name for p in PAGES])
def test_python_blocks(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An example that fails or prints something else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    text = "\n".join(block for block in blocks(path, "python") if _can_run(block))
    examples = doctest.DocTestParser().get_doctest(text, {}, path.name, str(path), 0)
    out: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
    runner.run(examples, out=out.append)
    assert runner.failures == 0, "".join(out)


def commands(path: Path) -> list[tuple[str, str]]:
    """(command, expected output) of every console block."""
    found = []
    for body in blocks(path, "console"):
        for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


COMMANDS = [(path, *pair) for path in PAGES for pair in commands(path)]


@pytest.mark.parametrize(("path", "command", "expected"), COMMANDS, ids=[c[1][:50] for c in COMMANDS])
def test_console_blocks(path: Path, command: str, expected: str, tmp_path: Path) -> None:
    """A command line that fails or prints something else."""
    bin_folder = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    ran = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    pattern = re.escape(expected.strip()).replace("…", ".*")
    assert re.fullmatch(pattern, ran.stdout.strip(), re.DOTALL), ran.stdout + ran.stderr


def test_readme_begins_with_the_two_commands() -> None:
    """The main job and the tests are the first two shell blocks, and CI runs the same test command."""
    first, second = blocks(ROOT / "README.md", "sh")[:2]
    assert "symgrad derive" in first
    assert "symgrad train" in first
    assert "python -m pytest" in second
    for block in (first, second):
        assert "venv" in block
        assert "pip install" in block
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "README.md" in script
    for example in re.findall(r"examples/[\w.]+", first):
        assert (ROOT / example).exists()
