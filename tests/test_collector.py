"""The setting of Python's collector is as it was, whoever leaves last and whatever happens inside."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest

import symgrad as sg
from symgrad.core import collector, expr
from symgrad.core.collector import RARE, rare_collections


@pytest.fixture(autouse=True)
def setting() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


def test_it_is_put_back_after_an_error() -> None:
    with pytest.raises(sg.SymgradError):
        sg.parse("y = (x")
    assert gc.get_threshold() == (700, 10, 10)
    assert collector._inside == 0


def test_reading_and_deriving_make_searches_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int, int]] = []
    plain = gc.set_threshold
    monkeypatch.setattr(collector.gc, "set_threshold", lambda *to: (seen.append(to), plain(*to)))
    program = sg.parse("y = x^2; J = y^2")
    assert seen == [RARE, (700, 10, 10)]
    assert sg.derive(program).backward.statements
    assert len(seen) > 2
    assert seen == [RARE, (700, 10, 10)] * (len(seen) // 2)


def test_the_last_thread_puts_it_back() -> None:
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with rare_collections():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=hold)
    with rare_collections(), rare_collections():
        thread.start()
        assert entered.wait(10)
    assert gc.get_threshold() == RARE
    leave.set()
    thread.join()
    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.parametrize("own", [(0, 10, 10), (500_000, 10, 10)])
def test_a_setting_that_is_rarer_or_off_stays(own: tuple[int, int, int]) -> None:
    gc.set_threshold(*own)
    with rare_collections():
        assert gc.get_threshold() == own
    assert gc.get_threshold() == own


def test_a_setting_changed_inside_stays() -> None:
    with rare_collections():
        gc.set_threshold(900, 5, 5)
    assert gc.get_threshold() == (900, 5, 5)


def test_what_is_remembered_ends_with_the_work() -> None:
    """Expressions of thousands of models that stay in memory; answers thrown away in the middle of the work."""
    sg.compile(sg.parse("y = exp(sum(x[i] for i)); J = y^2"), backend="numpy")
    assert nodes_kept() == 0
    with rare_collections():
        sg.parse("y = exp(sum(x[i] for i)); J = y^2")
        assert nodes_kept() > 0
    assert nodes_kept() == 0


def nodes_kept() -> int:
    return int(expr._all_nodes.cache_info().currsize)  # type: ignore[attr-defined]
