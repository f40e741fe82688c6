"""Module text → module: a real file named by the hash of its content, compiled once and cached beside it.
The functions that any model may have are taken out first (shared.py).

The folder is `SYMGRAD_CACHE`, else `symgrad` in the user's cache folder. Where it cannot be written a
temporary one serves this process, with one warning. Files are written whole or not at all.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import secrets
import shutil
import sys
import tempfile
import warnings
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from symgrad.backends import gate
from symgrad.backends.shared import apart, module_name
from symgrad.core.errors import SymgradError


def cache_folder() -> Path:
    """Where modules are kept; created readable by this user alone."""
    given = os.environ.get("SYMGRAD_CACHE")
    base = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "symgrad"
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(base, os.W_OK | os.X_OK):
            raise PermissionError(base)
    except (OSError, RuntimeError):
        return _temporary(str(base))
    if hasattr(os, "getuid") and base.stat().st_uid != os.getuid():
        raise SymgradError(
            "SG703", f"the cache folder {base} belongs to another user", hint="set SYMGRAD_CACHE to a folder of your own"
        )
    if base.stat().st_mode & 0o002:
        raise SymgradError("SG703", f"anyone may write to the cache folder {base}", hint=f"chmod o-w {base}, or set SYMGRAD_CACHE")
    return base


@lru_cache(maxsize=1)
def _temporary(wanted: str) -> Path:
    warnings.warn(f"symgrad cannot write to {wanted}; kernels are compiled for this process only", RuntimeWarning, stacklevel=4)
    folder = Path(tempfile.mkdtemp(prefix="symgrad-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def load(text: str) -> ModuleType:
    """The module of a text that symgrad emitted; what other models have too lies in files of its own."""
    gate.passed(text)
    module = None
    for part in apart(text).values():
        module = _load(part)
    assert module is not None
    return module


def _load(text: str) -> ModuleType:
    """The module of a file. One process holds each text once."""
    name = module_name(text)
    if name in sys.modules:
        return sys.modules[name]
    path = cache_folder() / f"{name}.py"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_whole(path, text.encode())
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def write_whole(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write beside and rename, so that a reader never sees half a file; `mode` is less the user's umask."""
    temporary = path.with_name(f".{path.name[:100]}-{secrets.token_hex(8)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
