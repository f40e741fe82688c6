"""What being right costs: checks of a call, and the forms that keep their digits. In full alone: no test asserts a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import symgrad as sg
from tests.benchmarks.peers import symgrad as workload
from tests.benchmarks.workloads import WORKLOADS
from tests.reliability.rows import Row

TINY = "h[j] = tanh(sum(W[j,i]*x[i] for i) + c[j]); y = sum(v[j]*h[j] for j); J = (y - t)^2"
SECONDS = 4.0


def least(runs: list[Callable[[], Any]]) -> list[float]:
    """The least time of each, in turns."""
    found = [float("inf")] * len(runs)
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        for place, run in enumerate(runs):
            start = time.perf_counter()
            run()
            found[place] = min(found[place], time.perf_counter() - start)
    return found


def checks() -> Row:
    k = sg.compile(sg.parse(TINY))
    arrays: dict[str, Any] = {"W": np.ones((3, 4)), "x": np.ones(4), "c": np.ones(3), "v": np.ones(3), "t": np.array(1.0)}
    k(**arrays)
    checked = k.module._checked_value_and_grad
    names = checked.__code__.co_varnames[: checked.__code__.co_argcount]

    given = {name: arrays[name] for name in names}

    def nothing(W: Any, x: Any, c: Any, v: Any, t: Any) -> None:
        """What passing the arrays takes."""

    with_checks, without = least([lambda: checked(**given), lambda: nothing(**given)])
    return Row("fast", "checks of a call of a 4-3-1 network", f"{1e6 * (with_checks - without):.2f} µs", "at most 1 µs")


def stabilized(key: str) -> Row:
    w = WORKLOADS[key]
    data = w.data()
    runs = [workload(key, w, data, stabilize) for stabilize in (True, False)]
    for run in runs:
        run()
    stable, literal = least(runs)
    return Row("fast", f"{key}, an epoch: stable over literal", f"{stable / literal:.2f}", "at most 1.2")


def measure(full: bool) -> list[Row]:
    return [checks(), stabilized("W1"), stabilized("W2")] if full else []
