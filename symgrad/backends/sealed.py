"""The cache folder: entries that are whole and unchanged, or are not there.

    name → SHA-256 of name and content, content        a file is written beside and renamed

An entry that was cut off, garbled or is another's does not match its sum: it counts as missing, before anybody unpacks it.
Where nothing can be written, nothing is kept. Either is told in one warning, and never an error.

>>> opened("a", seal("a", b"content")), opened("b", seal("a", b"content")), opened("a", seal("a", b"content")[:-1])
(b'content', None, None)

The folder is `SYMGRAD_CACHE`, else `symgrad` in the user's cache folder.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
import warnings
from contextlib import suppress
from pathlib import Path

from symgrad.core.errors import SymgradError

MAGIC = b"symgrad sealed 1\n"
START = len(MAGIC) + hashlib.sha256().digest_size
LEFT = 3600.0  # seconds, after which a file that was not renamed is what a process that was killed has left
_told: set[str] = set()


def seal(name: str, content: bytes) -> bytes:
    return MAGIC + _sum(name, content) + content


def opened(name: str, data: bytes) -> bytes | None:
    """The content that was sealed under that name."""
    content = data[START:]
    return content if data[:START] == MAGIC + _sum(name, content) else None


def _sum(name: str, content: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\0" + content).digest()


def module_name(text: str) -> str:
    """A file is named by what it holds: numba's own index tells versions apart by time and size alone."""
    return f"symgrad_{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def cache_folder() -> Path | None:
    """Where entries are kept, created readable by this user alone; None where that cannot be.

    Raises SG703 (the folder is another user's, or anyone may write to it).
    """
    base = None
    try:
        base = _wanted()
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = base.stat()
        if not os.access(base, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(13, "it is read-only")
    except (OSError, RuntimeError, ValueError) as error:
        _unwritten(base, error)
        return None
    if hasattr(os, "getuid") and found.st_uid != os.getuid():
        raise SymgradError(
            "SG703", f"the cache folder {base} belongs to another user", hint="set SYMGRAD_CACHE to a folder of your own"
        )
    if found.st_mode & 0o002 and os.name == "posix":
        raise SymgradError("SG703", f"anyone may write to the cache folder {base}", hint=f"chmod o-w {base}, or set SYMGRAD_CACHE")
    return base


def _wanted() -> Path:
    if given := os.environ.get("SYMGRAD_CACHE"):
        return Path(given).absolute()
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "symgrad"
    if not base.is_absolute():
        raise RuntimeError("there is no home folder")
    return base


def read(folder: Path | None, name: str) -> bytes | None:
    """The content of an entry, or None."""
    if folder is None:
        return None
    try:
        data = (folder / name).read_bytes()
    except OSError:
        return None
    content = opened(name, data)
    if content is None:
        damaged(folder, name)
    return content


def damaged(folder: Path, name: str) -> None:
    """An entry is not what was written: it is made again."""
    _tell("damaged", f"symgrad found damaged files in its cache {folder}, such as {name}, and compiles those again")


def write(folder: Path | None, name: str, content: bytes) -> None:
    """Keep an entry, if it can be kept."""
    keep(folder, name, seal(name, content))


def keep(folder: Path | None, name: str, data: bytes) -> None:
    """Write a file of the folder, if it can be written."""
    if folder is None:
        return
    _sweep(folder)
    try:
        write_whole(folder / name, data)
    except OSError as error:
        _unwritten(folder, error)


def _unwritten(folder: Path | None, error: Exception) -> None:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    where = f"to {folder}" if folder else "a cache"
    _tell("unwritten", f"symgrad cannot write {where} ({reason}); kernels are compiled for this process only")


def _tell(kind: str, message: str) -> None:
    """Once in a process, wherever the caller stands."""
    if kind not in _told:
        _told.add(kind)
        warnings.warn(message, RuntimeWarning, stacklevel=2)


def _sweep(folder: Path) -> None:
    """Remove what killed processes left half written; once in a process, which has something to write and so has time."""
    if "swept" in _told:
        return
    _told.add("swept")
    with suppress(OSError):
        for path in folder.glob(".*-" + "[0-9a-f]" * 16):
            with suppress(OSError):  # another process removes it too
                if time.time() - path.stat().st_mtime > LEFT:
                    path.unlink()


def write_whole(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write beside and rename, so that a reader never sees half a file; `mode` is less the user's umask."""
    temporary = path.with_name(f".{path.name[:100]}-{secrets.token_hex(8)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
