"""Memory while a program is read, derived or lowered: Python's search for cycles made rarer, and what is found out remembered.

Expressions stay in use and hold no cycles, so that a search finds nothing; at Python's own settings it goes over new objects every
700, and took about a quarter of the time. It still runs, now and then, for what other threads leave behind.

What is found out about an expression is asked again by one pass after another, each of which goes over the whole program: a
memory that holds fewer expressions than the program has would remember none. So it is large, and emptied when the work is done.

>>> before = gc.get_threshold()
>>> with rare_collections():
...     gc.get_threshold() == RARE
True
>>> gc.get_threshold() == before
True
"""

from __future__ import annotations

import functools
import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

RARE = (100_000, 50, 50)
WORKING, RESTING = 1 << 18, 1 << 14  # expressions that are remembered during the work, and after it

T = TypeVar("T")

_lock = threading.Lock()
_inside = 0
_given: tuple[int, int, int] | None = None
_memories: list[functools._lru_cache_wrapper[Any]] = []


def remembered(function: Callable[..., T]) -> functools._lru_cache_wrapper[T]:
    """As `lru_cache`, for what is asked of every expression of a program."""
    memory = functools.lru_cache(maxsize=WORKING)(function)
    _memories.append(memory)
    return memory


@contextmanager
def rare_collections() -> Iterator[None]:
    """Search for cycles every 100,000 new objects, remember much; usable as a decorator, in several threads and within itself.

    The setting is the whole process's, so the last to leave puts it back. Where it is off or rarer already, or is changed
    meanwhile, it is left as it is.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _inside, _given
    with _lock:
        _inside += 1
        if _inside == 1 and 0 < gc.get_threshold()[0] < RARE[0]:
            _given = gc.get_threshold()
            gc.set_threshold(*RARE)


def _leave() -> None:
    global _inside, _given
    with _lock:
        _inside -= 1
        if _inside == 0 and _given:
            if gc.get_threshold() == RARE:
                gc.set_threshold(*_given)
            _given = None
        if _inside == 0:
            for memory in _memories:
                if memory.cache_info().currsize > RESTING:
                    memory.cache_clear()
