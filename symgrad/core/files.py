"""A file → its text, with a refusal that says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

from symgrad.core.errors import Source, SymgradError


def read_text(path: Path, most: int) -> str:
    """The text of a file of at most so many bytes. Raises SG704, SG122, SG501."""
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except FileNotFoundError:
        raise SymgradError("SG704", f"there is no file {path}") from None
    except IsADirectoryError:
        raise SymgradError("SG704", f"{path} is a folder", hint="name a file in it") from None
    except (OSError, ValueError) as error:
        raise SymgradError("SG704", f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return decode(data, str(path), most)


def decode(data: bytes, name: str, most: int) -> str:
    """Bytes as UTF-8. Raises SG122 with the place of the byte that is none, SG501."""
    if len(data) > most:
        raise SymgradError("SG501", f"{name} has more than {most:,} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        start = data[: error.start].decode("utf-8-sig")
        source = Source(start + data[error.start :].decode("utf-8", "replace"), name)
        message = f"the byte 0x{data[error.start]:02X} at offset {error.start} is no UTF-8"
        raise SymgradError("SG122", message, source.span(len(start), len(start) + 1), "save the file as UTF-8") from None
