"""Faults that are injected, each in a few rounds; `python -m tests.reliability faults` does many."""

from __future__ import annotations

import gc
import os
import sys
import time
from pathlib import Path

import pytest

import symgrad as sg
from symgrad.backends import load, sealed
from tests.reliability import faults

pytestmark = pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="trials are forked")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of which nothing has been told."""
    monkeypatch.setenv("SYMGRAD_CACHE", str(tmp_path))
    monkeypatch.setattr(sealed, "_told", set())
    return tmp_path


@pytest.mark.parametrize("kind", faults.QUICK)
def test_right_after_faults(kind: str) -> None:
    assert faults.run(kind, faults.SHORT[kind]) == []


def test_sums_are_of_names_too() -> None:
    """An entry in the place of another; one that grew or shrank; a head that is short or of another version."""
    data = sealed.seal("a", b"content")
    assert sealed.opened("a", data) == b"content"
    for other in (b"", data[:5], data[:-1], data + b"x", data.replace(b"1", b"2"), b"content"):
        assert sealed.opened("a", other) is None
    assert sealed.opened("b", data) is None


def test_what_was_killed_is_swept(own: Path) -> None:
    """Half-written files that stay for ever, or that are taken from a process that still writes."""
    old, young, mine = own / f".a.py-{'0' * 16}", own / f".b.py-{'1' * 16}", own / "c.py"
    for path in (old, young, mine):
        path.write_text("")
        os.utime(path, (time.time() - (10 if path == young else 1e5),) * 2)
    sealed.write(own, "d", b"")
    assert sorted(path.name for path in own.iterdir()) == [young.name, "c.py", "d"]


def test_modules_go_with_their_kernels(own: Path) -> None:
    """Every model that a process has ever compiled, in memory; or one in use that is loaded a second time."""
    kernels = [sg.compile(sg.parse(f"J = (x - {number}/8)^2"), backend="numpy") for number in range(8)]
    names = [kernel.module.__name__ for kernel in kernels]
    assert load.load(kernels[0].source) is kernels[0].module
    assert kernels[1](x=1.0)[0] == 0.765625
    assert all(name in load._alive for name in names)
    del kernels
    gc.collect()
    assert not any(name in load._alive or name in sys.modules for name in names)


def test_a_full_cache_is_told_once(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning for each of many files."""

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    square, cube = (sg.compile(sg.parse(f"J = x^{number}"), backend="numpy") for number in (2, 3))
    with pytest.warns(RuntimeWarning, match="No space left on device"):
        assert square(x=2.0)[0] == 4
    assert cube(x=2.0)[0] == 8  # another warning would be an error
    assert list(own.iterdir()) == []
