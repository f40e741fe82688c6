"""Module text → module. What Python and numba make of a text is kept in the cache folder, by what it was made from.

    symgrad_<hash>.py                        the text, for people and tracebacks: nobody else reads it
    symgrad_<hash>.cpython-311.pyc.sealed    its code
    symgrad_<hash>.<function>.<key>.kernel   machine code of a function, by types, processor, versions and settings

The last two are sealed (sealed.py): their sums are verified before Python or numba unpacks anything. The functions that any
model may have are taken out first (shared.py), and are files of their own.
"""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.util
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any
from weakref import WeakValueDictionary

from symgrad.backends import sealed
from symgrad.backends.sealed import module_name
from symgrad.core.collector import rare_collections

SETTINGS = (
    *("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "ENABLE_AVX", "DISABLE_INTEL_SVML", "LLVM_REFPRUNE_PASS"),
    *("BOUNDSCHECK", "DEBUGINFO_DEFAULT", "FULL_TRACEBACKS", "INLINE_CUTOFF"),
)
_alive: WeakValueDictionary[str, ModuleType] = WeakValueDictionary()
_loading = threading.RLock()


def _unlock() -> None:
    """A forked child has no other thread that would free it."""
    global _loading
    _loading = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)


@lru_cache(maxsize=1)
def _between_compilations() -> None:
    """A fork waits until no other thread compiles: numba's lock would be held for ever in the child, its work half done."""
    from numba.core.compiler_lock import global_compiler_lock as lock

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)


def load(text: str) -> ModuleType:
    """The module of a text that symgrad emitted; what other models have too is a module of its own. Raises SG703."""
    return load_parts(taken_apart(text))


@rare_collections()
def taken_apart(text: str) -> dict[str, str]:
    """The texts of a module's files, once it went through the gate."""
    from symgrad.backends import gate, shared  # which bring SymPy; what is in the cache went through them

    gate.passed(text)
    return shared.apart(text)


@rare_collections()
def load_parts(texts: Mapping[str, str]) -> ModuleType:
    """The module of texts that `taken_apart` made. Raises SG703."""
    module = None
    with _loading:
        for name, part in texts.items():
            module = _load(part, shared=bool(name))
    assert module is not None
    return module


def _load(text: str, shared: bool) -> ModuleType:
    """The module of a file. One process holds each text once, and those of models no longer than somebody has them."""
    name = module_name(text)
    known = _alive.get(name)
    if known is not None:
        return known
    folder = sealed.cache_folder()
    loader = _Loader(name, text.encode(), folder)
    if folder is not None and not loader.is_written():
        sealed.keep(folder, loader.path.name, loader.source)
    spec = importlib.util.spec_from_file_location(name, loader.path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    _alive[name] = module
    compiled = [f for f in vars(module).values() if getattr(f, "enable_caching", None) and f.py_func.__module__ == name]
    for function in compiled:
        function._cache = Kept(function.py_func, module, folder)
        _between_compilations()
    if not (compiled or shared):  # nobody asks for it by name, so that it goes with its kernel; numba does, and keeps its own
        del sys.modules[name]
    return module


class _Loader(importlib.abc.SourceLoader):
    """Python's way from text to code, with the text at hand and sealed code."""

    def __init__(self, name: str, source: bytes, folder: Path | None):
        self.name, self.source, self.folder = name, source, folder
        self.path = (folder or Path("<symgrad>")) / f"{name}.py"

    def is_written(self) -> bool:
        try:
            return self.path.read_bytes() == self.source
        except OSError:
            return False

    def get_filename(self, fullname: str) -> str:
        return str(self.path)

    def path_stats(self, path: Any) -> dict[str, Any]:
        return {"mtime": 0, "size": len(self.source)}  # the text is in the name

    def get_data(self, path: Any) -> bytes:
        if str(path) == str(self.path):
            return self.source
        found = sealed.read(self.folder, self._entry(path))
        if found is None:
            raise FileNotFoundError(path)
        return found

    def set_data(self, path: Any, data: Any, *, _mode: int = 0o600) -> None:
        sealed.write(self.folder, self._entry(path), bytes(data))

    def _cache_bytecode(self, source_path: Any, bytecode_path: Any, data: Any) -> None:
        self.set_data(bytecode_path, data)

    def _entry(self, path: Any) -> str:
        return f"{Path(path).name}.sealed"


@dataclass
class Kept:
    """The place of numba's own cache in a function: the same machine code, in sealed files, one for each key.

    numba's has an index beside them, in which two processes may give one number to two of them.
    """

    function: Any
    module: ModuleType
    folder: Path | None

    @property
    def cache_path(self) -> str:
        return str(self.folder)

    def load_overload(self, signature: Any, target: Any) -> Any:
        """What numba made of the function for these types, or None."""
        from numba.core import compiler, serialize

        target.refresh()
        key = self._key(signature, target.codegen())
        content = sealed.read(self.folder, self._entry(key))
        if content is None or self.folder is None:
            return None
        try:
            found, parts = serialize.loads(content)
            return compiler.CompileResult._rebuild(target, *parts) if found == key else None
        except Exception:  # whole, but made by something else than the versions in its key say
            sealed.damaged(self.folder, self._entry(key))
            return None

    def save_overload(self, signature: Any, result: Any) -> None:
        from numba.core import serialize

        if self.folder is None or result.library.has_dynamic_globals or any(not each.can_cache for each in result.lifted):
            return
        key = self._key(signature, result.codegen)
        sealed.write(self.folder, self._entry(key), serialize.dumps((key, result._reduce())))

    def _key(self, signature: Any, codegen: Any) -> tuple[str, ...]:
        """All that machine code depends on but the text, whose hash is the module's name; callees' are in the text."""
        import llvmlite
        import numba
        import numpy

        settings = {name: vars(numba.config).get(name) for name in SETTINGS}
        versions = (numba.__version__, llvmlite.__version__, numpy.__version__, sys.version)
        code: CodeType = self.function.__code__
        return tuple(map(repr, (code.co_firstlineno, signature, codegen.magic_tuple(), versions, settings)))

    def _entry(self, key: Sequence[str]) -> str:
        sum_ = hashlib.sha256("\0".join(key).encode()).hexdigest()[:24]
        return f"{self.module.__name__}.{self.function.__name__[:60]}.{sum_}.kernel"

    def enable(self) -> None:
        """numba asks for these three, of which nothing is needed here."""

    def disable(self) -> None: ...

    def flush(self) -> None: ...
