"""Memory while a program is read, derived or lowered: searches for cycles are rare, answers about expressions are kept.

Expressions stay in use and hold no cycles, so that a search finds nothing; at Python's own settings it goes over new objects every
700, and took about a quarter of the time. It still runs, now and then, for what other threads leave behind.

>>> before = gc.get_threshold()
>>> with rare_collections():
...     gc.get_threshold() == RARE
True
>>> gc.get_threshold() == before
True

Passes ask the same of the same expressions, such as what their symbols are, and each goes over the whole program: a memory of
fewer expressions than the program has would remember none. So `remembered` keeps many answers, and only until the work is done:
for good they would hold on to the expressions of thousands of models.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, ParamSpec, TypeVar, cast

from symgrad.core.errors import SymgradError

RARE = (100_000, 50, 50)
MANY = 1 << 18  # expressions
CALLS = 3000  # one within another: several for each level of an expression that nests as deep as a text may

_lock = threading.Lock()
_inside = 0
_given: tuple[int, int, int] | None = None
_calls: int | None = None
_forget: list[Callable[[], None]] = []

Given = ParamSpec("Given")
Answer = TypeVar("Answer")


def remembered(most: int) -> Callable[[Callable[Given, Answer]], Callable[Given, Answer]]:
    """An `lru_cache` of that size, emptied when the last that is inside `rare_collections` leaves."""

    def decorate(function: Callable[Given, Answer]) -> Callable[Given, Answer]:
        kept: Any = lru_cache(maxsize=most)(function)
        _forget.append(kept.cache_clear)
        return cast(Callable[Given, Answer], kept)

    return decorate


@contextmanager
def rare_collections() -> Iterator[None]:
    """Search for cycles every 100,000 new objects; usable as a decorator, in several threads and within itself.

    The setting is the whole process's, so the last to leave puts it back. Where it is off or rarer already, or is changed
    meanwhile, it is left as it is. So is the limit of calls within each other, which is higher meanwhile; what is still too deep
    is SG504.
    """
    _enter()
    try:
        yield
    except RecursionError:
        message = f"this nests too deep for Python's limit of {sys.getrecursionlimit()} calls"
        raise SymgradError("SG504", message, hint="name parts of it: u = …") from None
    finally:
        _leave()


def _enter() -> None:
    global _inside, _given, _calls
    with _lock:
        _inside += 1
        if _inside == 1 and sys.getrecursionlimit() < CALLS:
            _calls = sys.getrecursionlimit()
            sys.setrecursionlimit(CALLS)
        if _inside == 1 and 0 < gc.get_threshold()[0] < RARE[0]:
            _given = gc.get_threshold()
            gc.set_threshold(*RARE)


def _leave() -> None:
    global _inside, _given, _calls
    with _lock:
        _inside -= 1
        if _inside:
            return
        if _calls and sys.getrecursionlimit() == CALLS:
            sys.setrecursionlimit(_calls)
        _calls = None
        if _given and gc.get_threshold() == RARE:
            gc.set_threshold(*_given)
        _given = None
        for forget in _forget:
            forget()
