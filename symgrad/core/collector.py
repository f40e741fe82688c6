"""Python's search for cycles, made rarer while a program is read or derived.

Expressions stay in use and hold no cycles, so that a search finds nothing; at Python's own settings it goes over new objects every
700, and took about a quarter of the time. It still runs, now and then, for what other threads leave behind.

>>> before = gc.get_threshold()
>>> with rare_collections():
...     gc.get_threshold() == RARE
True
>>> gc.get_threshold() == before
True
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

RARE = (100_000, 50, 50)

_lock = threading.Lock()
_inside = 0
_given: tuple[int, int, int] | None = None


@contextmanager
def rare_collections() -> Iterator[None]:
    """Search for cycles every 100,000 new objects; usable as a decorator, in several threads and within itself.

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
