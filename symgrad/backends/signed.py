"""A module's text → the same with its own SHA-256 in it, so that an edit shows.

The sum is of the whole text with 64 zeros in the sum's own place, and of lines that end as on Linux: a checkout that turns
their ends is no edit. It tells an edit, not who made it.

>>> text = signed(f"# {line('0.1.0')}" + chr(10) + "x = 1" + chr(10))
>>> is_unchanged(text), is_unchanged(text.replace("1", "2")), is_unchanged("x = 1")
(True, False, None)
"""

from __future__ import annotations

import hashlib
import re

BLANK = "0" * 64
WORDS = "SHA-256 of this file with zeros in the sum's place:"
SUM = re.compile(rf"^(?:# )?symgrad (\S+)\. {re.escape(WORDS)} ([0-9a-f]{{64}})$", re.MULTILINE)


def line(version: str) -> str:
    """The line that `signed` fills in."""
    return f"symgrad {version}. {WORDS} {BLANK}"


def signed(text: str) -> str:
    """The text with its sum, in the first line that has a place for one."""
    start = _place(text)
    assert start is not None
    return text[:start] + _sum(text, start) + text[start + len(BLANK) :]


def is_unchanged(text: str) -> bool | None:
    """None where the text has no such line."""
    text = text.replace("\r\n", "\n")
    start = _place(text)
    return None if start is None else text[start : start + len(BLANK)] == _sum(text, start)


def _place(text: str) -> int | None:
    found = SUM.search(text)
    return found.start(2) if found else None


def _sum(text: str, start: int) -> str:
    return hashlib.sha256((text[:start] + BLANK + text[start + len(BLANK) :]).encode()).hexdigest()
