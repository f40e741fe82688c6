"""ns an element of the functions in a loop: NumPy's and math's names in numba beside symgrad's own.

python -m tests.benchmarks.elementwise: one thread, 4096 elements, all loops in turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from types import ModuleType

import numpy as np

from symgrad.backends import numba, vecmath
from symgrad.backends.load import load
from symgrad.backends.pycode import HELPERS, used_definitions
from symgrad.core.functions import FUNCTIONS

NAMES = ("exp", "expm1", "log", "log1p", "tanh", "logistic", "softplus", "silu", "elu", "gelu", "erf", "erfc", "sin", "cos")
LENGTH, ROUNDS, CALLS = 4096, 60, 10

LOOP = """
{decorator}
def {name}(x, y):
    for i in range(x.shape[0]):
        y[i] = {value}
"""


def module(dtype: str, own: bool, names: tuple[str, ...] = NAMES) -> ModuleType:
    """A loop for each function."""
    decorator = numba.DECORATOR.replace("cache=True, ", "")
    codes = {name: FUNCTIONS[name].code.format("x[i]") for name in names}
    if own:
        codes = {name: vecmath.vectorized(code) for name, code in codes.items()}
    loops = "".join(LOOP.format(decorator=decorator, name=name, value=code) for name, code in codes.items())
    calls = used_definitions(loops, HELPERS, lambda name: f"{numba.HELPER}\n{HELPERS[name]}")
    used = numba.helpers(loops, dtype) if own else f"F = np.{dtype}\n\n\n{calls}"
    return load(f"{numba.imports(used)}\n\n\n{used}\n\n\n{loops}")


def loops(dtype: str) -> dict[tuple[str, bool], Callable[[], None]]:
    both = {own: module(dtype, own) for own in (False, True)}
    x = np.random.default_rng(0).uniform(0.01, 8.0, LENGTH).astype(dtype)
    y = np.empty_like(x)
    return {(name, own): partial(getattr(both[own], name), x, y) for name in NAMES for own in both}


def measure(runs: dict[tuple[str, bool], Callable[[], None]]) -> dict[tuple[str, bool], float]:
    """Medians; every round calls every loop."""
    times: dict[tuple[str, bool], list[float]] = {key: [] for key in runs}
    for run in runs.values():
        run()
    for _ in range(ROUNDS):
        for key, run in runs.items():
            start = time.perf_counter()
            for _ in range(CALLS):
                run()
            times[key].append((time.perf_counter() - start) / CALLS / LENGTH * 1e9)
    return {key: float(np.median(found)) for key, found in times.items()}


def main() -> None:
    found = {dtype: measure(loops(dtype)) for dtype in ("float32", "float64")}
    print("| function | float32, a call | vectorized | float64, a call | vectorized |\n|---|---|---|---|---|")
    for name in NAMES:
        cells = [f"{found[dtype][name, own]:.2f}" for dtype in found for own in (False, True)]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
