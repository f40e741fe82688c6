"""Bugs put into the compiler, by its text: `planted("core.affine.bounds", "+ 1", "+ 2")` while a check runs.

The function's text is compiled with one place changed, and its code takes the place of its own, so that whoever imported the
function runs it too. What the library remembers from before is forgotten, and again afterwards.

>>> from symgrad.core.program import whole_axis
>>> with planted("core.program.whole_axis", "- 1", "- 2"):
...     whole_axis("i")
(0, |i| - 2)
>>> whole_axis("i")
(0, |i| - 1)
"""

from __future__ import annotations

import __future__

import gc
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from functools import _lru_cache_wrapper, cached_property
from types import CodeType, FunctionType
from typing import Any

import symgrad


@contextmanager
def planted(where: str, old: str, new: str) -> Iterator[None]:
    """`where`: a module of symgrad, then a function or a class and its method. The text `old` stands there once."""
    function = found(where)
    code = changed(function, old, new)
    true = function.__code__
    forget()
    function.__code__ = code
    try:
        yield
    finally:
        function.__code__ = true
        forget()


def found(where: str) -> FunctionType:
    """The function behind its cache, property or class."""
    here: Any = symgrad
    for name in where.split("."):
        here = importlib.import_module(f"{here.__name__}.{name}") if hasattr(here, "__path__") else inspect.getattr_static(here, name)
    for inner in ("__func__", "func", "fget", "__wrapped__"):
        if isinstance(here, cached_property | property) or not isinstance(here, FunctionType):
            here = getattr(here, inner, here)
    assert isinstance(here, FunctionType), where
    return here


def changed(function: FunctionType, old: str, new: str) -> CodeType:
    """The code of a function whose text has `new` where it had `old`."""
    text = textwrap.dedent(inspect.getsource(function))
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {function.__qualname__}"
    flags = __future__.annotations.compiler_flag
    module = compile(text.replace(old, new), function.__code__.co_filename, "exec", flags, dont_inherit=True)
    codes = [const for const in module.co_consts if isinstance(const, CodeType) and const.co_name == function.__name__]
    code: CodeType = codes[0]
    assert code.co_code != function.__code__.co_code or code.co_consts != function.__code__.co_consts or (
        code.co_names != function.__code__.co_names
    ), f"nothing changes in {function.__qualname__}"
    return code


def forget() -> None:
    """Empty the caches of the library's functions."""
    for cached in caches():
        if str(getattr(cached, "__module__", "")).startswith("symgrad"):
            cached.cache_clear()


def caches() -> list[Any]:
    return [each for each in gc.get_objects() if isinstance(each, _lru_cache_wrapper)]
