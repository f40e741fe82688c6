"""A model in a file → Program; the file's name stands in errors."""

from __future__ import annotations

from pathlib import Path

from symgrad.core.errors import Source, SymgradError
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
    text = read_text(path)
    return read_latex(text, name=str(path)).program if path.suffix.lower() == ".tex" else parse(text, str(path))


def read_text(path: Path) -> str:
    """The text of a file. Raises SG704, SG122, SG501."""
    try:
        with path.open("rb") as file:
            data = file.read(4 * LIMITS["characters"] + 1)
    except FileNotFoundError:
        raise SymgradError("SG704", f"there is no file {path}") from None
    except IsADirectoryError:
        raise SymgradError("SG704", f"{path} is a folder", hint="name a file in it") from None
    except (OSError, ValueError) as error:
        raise SymgradError("SG704", f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return decode(data, str(path))


def decode(data: bytes, name: str) -> str:
    """Bytes as UTF-8. Raises SG122 with the place of the byte that is none, SG501."""
    if len(data) > 4 * LIMITS["characters"]:
        raise SymgradError("SG501", f"{name} has more than {4 * LIMITS['characters']:,} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        start = data[: error.start].decode("utf-8-sig")
        source = Source(start + data[error.start :].decode("utf-8", "replace"), name)
        message = f"the byte 0x{data[error.start]:02X} at offset {error.start} is no UTF-8"
        raise SymgradError("SG122", message, source.span(len(start), len(start) + 1), "save the file as UTF-8") from None
