"""A model in a file → Program; the file's name stands in errors."""

from __future__ import annotations

from pathlib import Path

from symgrad.core.errors import SymgradError
from symgrad.core.program import Program
from symgrad.frontend.syntax import LIMITS
from symgrad.frontend.text import parse


def read(path: str | Path) -> Program:
    """The model in a `.sg` file.

    Raises SG704 (missing or no file), SG705 (a kind that is not read), SG105 (no UTF-8), SG501 (too large), and what
    `parse` raises.
    """
    path = Path(path)
    if path.suffix == ".tex":
        raise SymgradError("SG705", f"not yet: {path} holds LaTeX", hint="write the model in the text language, as a .sg file")
    return parse(read_text(path), str(path))


def read_text(path: Path) -> str:
    """The text of a file. Raises SG704, SG105, SG501."""
    if path.is_dir():
        raise SymgradError("SG704", f"{path} is a folder, not a file")
    try:
        with path.open("rb") as file:
            data = file.read(4 * LIMITS["characters"] + 1)
    except OSError as error:
        raise SymgradError("SG704", f"{path} cannot be read: {error.strerror}") from None
    return decode(data, str(path))


def decode(data: bytes, name: str) -> str:
    """Bytes as UTF-8. Raises SG105 with the place of the byte that is none, SG501."""
    if len(data) > 4 * LIMITS["characters"]:
        raise SymgradError("SG501", f"{name} has more than {4 * LIMITS['characters']:,} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SymgradError(
            "SG105", f"{name} is no UTF-8: byte 0x{data[error.start]:02X} in line {line}", hint="save the file as UTF-8"
        ) from None
