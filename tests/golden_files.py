"""What is printed, byte for byte, in files of tests/goldens: model × style × format, and one switch that accepts a change.

    SYMGRAD_UPDATE_GOLDEN=1 python -m pytest -k "printed or golden"

writes all of them; the diff is what to read before it is committed.
"""

from __future__ import annotations

import os
from pathlib import Path

GOLDENS = Path(__file__).parent / "goldens"


def assert_golden(name: str, now: str) -> None:
    """`now` is what stands in the file of that name; with the switch it is written there first."""
    path = GOLDENS / name.replace(" ", "_")
    if os.environ.get("SYMGRAD_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(now, encoding="utf-8")
    assert now == path.read_text(encoding="utf-8")
