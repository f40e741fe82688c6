"""The memory that a value with its gradient takes at most, beside the peers: python -m tests.benchmarks.memory [workload …]

Each contender in a process of its own: all is imported and compiled and the data are there (a run with less data, or
compilation ahead of time); then one gradient. What counts is the peak of the resident memory during it less the resident memory
before it, as Linux reports them. An array that no page of was written does not count.
"""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.__main__ import environment, installed
from tests.benchmarks.peers import LOSSES, PARAMETERS, build
from tests.benchmarks.workloads import SOFTMAX, WORKLOADS, Data, Workload

CONTENDERS = ("symgrad", "jax", "torch")
KEYS = ("W3", "W5", "W7", "W9", "W10", "W11")


def workload(key: str) -> tuple[Workload, Data]:
    """W3 is an epoch: here one gradient over all of its examples."""
    w = WORKLOADS[key]
    if key == "W3":
        w = Workload(w.title, SOFTMAX, w.data, w.peers)
    return w, w.data()


def resident(row: str) -> int:
    """Kilobytes: VmRSS, what is in use; VmHWM, the most that was."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(row))


def few(d: Data) -> Data:
    return {name: value[:2] if name in ("x", "y_star") else value for name, value in d.items()}


def ready(contender: str, key: str) -> Callable[[], Any]:
    """A gradient of which all but its own arrays is there."""
    w, d = workload(key)
    if contender != "jax":
        build(contender, key, w, few(d))()  # code, and what libraries set up at a first call
        return build(contender, key, w, d) if contender == "torch" else _symgrad(key, w, d)
    import jax
    import jax.numpy as jnp

    from tests.benchmarks.peers import _jax_scan

    loss = LOSSES[key](jnp, jax.nn.sigmoid, jax.nn.softmax, _jax_scan)
    given = tuple(jnp.array(d[n]) for n in PARAMETERS[key]), jnp.array(d["x"]), jnp.array(d.get("y_star", 0))
    compiled = jax.jit(jax.value_and_grad(loss)).lower(*given).compile()
    return lambda: jax.block_until_ready(compiled(*given))


def _symgrad(key: str, w: Workload, d: Data) -> Callable[[], Any]:
    import symgrad as sg

    names, given = list(PARAMETERS[key]), [n for n in ("x", "y_star") if n in d]
    k = sg.compile(sg.parse(w.text(d)), wrt=names, batch=given, dtype=w.dtype)
    k(**{n: v for n, v in few(d).items() if n in (*given, *names)})
    return lambda: k(**{n: d[n] for n in (*given, *names)})


def measure(contender: str, key: str) -> float:
    run = ready(contender, key)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # else arrays would lie in what compilation left over
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
    before = resident("VmRSS")
    kept = run()
    peak = resident("VmHWM") - before
    del kept
    return peak / 1024


def main() -> None:
    for key in sys.argv[1:] or KEYS:
        found = {}
        for contender in filter(installed, CONTENDERS):
            command = [sys.executable, "-m", "tests.benchmarks.memory", "--of", contender, key]
            text = subprocess.run(command, capture_output=True, text=True, check=True, env=environment(1)).stdout
            found[contender] = float(text)
        print(key, ", ".join(f"{contender} {peak:.1f} MB" for contender, peak in found.items()), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--of"]:
        print(measure(*sys.argv[2:4]))
    else:
        main()
