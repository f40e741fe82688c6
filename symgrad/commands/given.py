"""What stands on the command line → a program, sizes, a choice; and whether a file can be written there.

>>> print(model("y = x^2; J = y"))
y = x^2
J = y
>>> sizes(["D=3", "K=2"])
{'D': 3, 'K': 2}
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from symgrad.core.errors import SymgradError, did_you_mean
from symgrad.core.program import Program

LANGUAGES = ("auto", "text", "latex")


def model(given: str, language: str = "auto") -> Program:
    """The program of a positional argument."""
    return reading(given, language)[0]


def reading(given: str, language: str = "auto") -> tuple[Program, tuple[str, ...]]:
    """The program of a positional argument, with notes on how LaTeX was read."""
    from symgrad.frontend.latex import looks_like_latex, read_latex
    from symgrad.frontend.text import parse

    choose("language", language, LANGUAGES)
    text, name = _given_text(given)
    tex = Path(name).suffix.lower() == ".tex" or (Path(name).suffix.lower() != ".sg" and looks_like_latex(text))
    if language == "latex" or (language == "auto" and tex):
        found = read_latex(text, name=name)
        return found.program, found.notes
    return parse(text, name), ()


def _given_text(given: str) -> tuple[str, str]:
    """The text and the name of a file, of standard input, or of equations."""
    from symgrad.frontend.files import decode, read_text
    from symgrad.frontend.syntax import LIMITS

    if given == "-":
        return decode(sys.stdin.buffer.read(4 * LIMITS["characters"] + 1), "<stdin>"), "<stdin>"
    if os.path.exists(given) or ("=" not in given and "\n" not in given and Path(given).suffix in (".sg", ".tex")):
        return read_text(Path(given)), given
    if "=" not in given and r"\equiv" not in given and given.strip():
        shown = given if len(given) < 80 else given[:77] + "…"
        hint = "give a file, - for standard input, or equations such as 'J = x^2'"
        raise SymgradError("SG704", f"there is no file {shown}, and it holds no equation", hint=hint)
    return given, "<equations>"


def choose(what: str, given: str, known: Sequence[str]) -> str:
    if given not in known:
        raise SymgradError("SG207", f"there is no {what} {given}", hint=did_you_mean(given, known) or f"choose {', '.join(known)}")
    return given


def sizes(given: Sequence[str]) -> dict[str, int]:
    out = {}
    for item in given:
        name, _, count = item.partition("=")
        if not (count.isascii() and count.isdigit() and len(count) < 16) or int(count) < 1:
            raise SymgradError("SG614", f"--size {item} is no size", hint="write --size D=32")
        out[name.strip()] = int(count)
    return out


def check_output(given: str, force: bool) -> None:
    """Raises SG701, SG702 for a file that could not be written."""
    path = Path(given)
    if path.is_dir() or not path.parent.is_dir():
        raise SymgradError(
            "SG702", f"{path} cannot be written: {'it is a folder' if path.is_dir() else 'its folder does not exist'}"
        )
    if (path.exists() or path.is_symlink()) and not force:
        raise SymgradError("SG701", f"{path} exists already", hint="choose another name, or --force")
