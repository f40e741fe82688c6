"""A model in a file → Program; the file's name stands in errors."""

from __future__ import annotations

from pathlib import Path

from symgrad.core import files
from symgrad.core.program import Program
from symgrad.frontend.latex import read_latex
from symgrad.frontend.syntax import LIMITS
from symgrad.frontend.text import parse


def read(path: str | Path) -> Program:
    """The model in a file: LaTeX where it ends in `.tex`, else the text language.

    Of LaTeX the displayed equations are read, not the prose around them. Raises SG704 (missing or no file), SG122
    (no UTF-8), SG501 (too large), and what `parse` or `parse_latex` raises.
    """
    path = Path(path)
    return model(read_text(path), path)


def model(text: str, path: Path) -> Program:
    """The model in the text of a file of that name."""
    return read_latex(text, name=str(path)).program if path.suffix.lower() == ".tex" else parse(text, str(path))


def read_text(path: Path) -> str:
    """The text of a file. Raises SG704, SG122, SG501."""
    return files.read_text(path, 4 * LIMITS["characters"])


def decode(data: bytes, name: str) -> str:
    """Bytes as UTF-8. Raises SG122 with the place of the byte that is none, SG501."""
    return files.decode(data, name, 4 * LIMITS["characters"])
