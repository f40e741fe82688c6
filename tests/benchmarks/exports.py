"""Exports to JAX beside JAX written by hand: python -m tests.benchmarks exports

In one process and on one processor, in turns. Printed: the least and the median milliseconds of both, and the ratio of the least,
export / by hand; the same of an export with `stabilize=False`, which rounds as formulas by hand do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import symgrad as sg
from tests.benchmarks.peers import LOSSES, PARAMETERS, _jax_scan
from tests.benchmarks.workloads import WORKLOADS, Data, Workload

SECONDS = 10.0
Function = Callable[[dict[str, Any], Any, Any], tuple[Any, dict[str, Any]]]


def exported(key: str, w: Workload, d: Data, stabilize: bool) -> Function:
    names, given = list(PARAMETERS[key]), [name for name in ("x", "y_star") if name in d]
    k = sg.compile(sg.parse(w.text(d)), wrt=names, batch=given, dtype=w.dtype, backend="jax", stabilize=stabilize)
    return lambda p, x, y: k.module.value_and_grad(**p, **dict(zip(given, (x, y), strict=False)))


def by_hand(key: str) -> Function:
    import jax
    import jax.numpy as jnp

    loss = LOSSES[key](jnp, jax.nn.sigmoid, jax.nn.softmax, _jax_scan)
    return jax.value_and_grad(lambda p, x, y: loss(tuple(p[name] for name in PARAMETERS[key]), x, y))  # type: ignore[no-any-return]


def unit(function: Function, key: str, w: Workload, d: Data) -> Callable[[], Any]:
    """A unit of work, compiled: a gradient, or an epoch in `lax.scan`."""
    import jax

    x, y = jax.numpy.asarray(d["x"]), jax.numpy.asarray(d.get("y_star", 0))
    p = {name: jax.numpy.asarray(d[name]) for name in PARAMETERS[key]}
    if w.batch_size is None:
        both = jax.jit(function)
        return lambda: jax.block_until_ready(both(p, x, y))

    def step(p: Any, row: Any) -> Any:
        return jax.tree.map(lambda a, g: a - np.float32(w.rate) * g, p, function(p, *row)[1]), None

    rows = tuple(a.reshape(-1, w.batch_size, *a.shape[1:]) for a in (x, y))
    epoch = jax.jit(lambda p, rows: jax.lax.scan(step, p, rows)[0])
    return lambda: jax.block_until_ready(epoch(p, rows))


def in_turns(runs: dict[str, Callable[[], Any]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        for name in [*runs][:: 1 if len(found["by hand"]) % 2 else -1]:
            start = time.perf_counter()
            runs[name]()
            found[name].append(1e3 * (time.perf_counter() - start))
    return found


def main() -> None:
    for key, w in WORKLOADS.items():
        if key not in LOSSES or not w.batched:
            continue
        d = w.data()
        made = {"by hand": by_hand(key), "export": exported(key, w, d, True), "as written": exported(key, w, d, False)}
        found = in_turns({name: unit(function, key, w, d) for name, function in made.items()})
        least = {name: min(times) for name, times in found.items()}
        print(f"{key}  {w.title}")
        for name, times in found.items():
            ratio = least[name] / least["by hand"]
            print(f"  {name:10} {least[name]:9.3f} ms least, {float(np.median(times)):9.3f} median; {ratio:.2f}", flush=True)
