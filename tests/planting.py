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
from functools import _lru_cache_wrapper
from types import CodeType, FunctionType
from typing import Any
from unittest import mock

import symgrad


@contextmanager
def planted(where: str, old: str, new: str) -> Iterator[None]:
    """`where`: a module of symgrad, then a function, a class and its method, a text, or a table of texts and its row.

    The text `old` stands there once.
    """
    above, name = owner(where)
    here = above[name] if isinstance(above, dict) else inspect.getattr_static(above, name)
    forget()
    try:
        if isinstance(here, str):
            with text_planted(above, name, replaced(here, old, new, where)):
                yield
        else:
            with code_planted(function_of(here), old, new):
                yield
    finally:
        forget()


@contextmanager
def text_planted(above: Any, name: str, text: str) -> Iterator[None]:
    if isinstance(above, dict):
        with mock.patch.dict(above, {name: text}):
            yield
    else:
        with mock.patch.object(above, name, text):
            yield


@contextmanager
def code_planted(function: FunctionType, old: str, new: str) -> Iterator[None]:
    true, function.__code__ = function.__code__, changed(function, old, new)
    try:
        yield
    finally:
        function.__code__ = true


def owner(where: str) -> tuple[Any, str]:
    """What holds the last of the names, and that name."""
    *above, last = where.split(".")
    here: Any = symgrad
    for name in above:
        here = (
            importlib.import_module(f"{here.__name__}.{name}") if hasattr(here, "__path__") else inspect.getattr_static(here, name)
        )
    return here, last


def function_of(here: Any) -> FunctionType:
    """The function behind its cache or property."""
    for inner in ("__func__", "func", "fget", "__wrapped__"):
        if not isinstance(here, FunctionType):
            here = getattr(here, inner, here)
    assert isinstance(here, FunctionType), here
    return here


def replaced(text: str, old: str, new: str, where: str) -> str:
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {where}"
    assert old != new, where
    return text.replace(old, new)


def changed(function: FunctionType, old: str, new: str) -> CodeType:
    """The code of a function whose text has `new` where it had `old`."""
    text = replaced(textwrap.dedent(inspect.getsource(function)), old, new, function.__qualname__)
    flags = __future__.annotations.compiler_flag
    module = compile(text, function.__code__.co_filename, "exec", flags, dont_inherit=True)
    codes = [const for const in module.co_consts if isinstance(const, CodeType) and const.co_name == function.__name__]
    code: CodeType = codes[0]
    same = all(
        getattr(code, part) == getattr(function.__code__, part) for part in ("co_code", "co_consts", "co_names", "co_varnames")
    )
    assert not same, f"nothing changes in {function.__qualname__}"
    return code


def forget() -> None:
    """Empty the caches of the library's functions."""
    for cached in caches():
        if str(getattr(cached, "__module__", "")).startswith("symgrad"):
            cached.cache_clear()


def caches() -> list[Any]:
    return [each for each in gc.get_objects() if type(each) is _lru_cache_wrapper]  # a proxy of what is gone has no class
