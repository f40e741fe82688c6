"""symgrad beside its peers: python -m tests.benchmarks [workload …]

Each contender runs in a process of its own on one thread, in turns of random order, so that thread pools and
caches do not disturb each other. Results must agree to 2e-3 (float32). Printed: the time until the
first result, the median of the following calls, and the ratio fastest peer / symgrad. Then the accuracy on
digits, the memory that a gradient takes beside its inputs and intermediates, and how the time to derive
grows with the number of statements (alone: python -m tests.benchmarks derive). Peers that are not
installed are left out (extra `bench`).
"""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.workloads import SOFTMAX, WORKLOADS, Workload, softmax_data

ROUNDS, TURN = 6, 0.25
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
XLA = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}


def serve(workload: str, contender: str, out: str) -> None:
    """Build, run once, write the result, then time a turn for every line on standard input."""
    w = WORKLOADS[workload]
    data = w.data()
    start = time.perf_counter()
    run = w.builders[contender](data)
    result = run()
    first = time.perf_counter() - start
    np.savez(out, *map(np.asarray, result))
    print(first, flush=True)
    for _ in sys.stdin:
        times: list[float] = []
        end = time.perf_counter() + TURN
        while time.perf_counter() < end or len(times) < 4:
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        print(float(np.median(times[1:])), flush=True)


class Contender:
    def __init__(self, workload: str, name: str, folder: Path):
        self.name, self.out = name, folder / f"{name}.npz"
        command = [sys.executable, "-m", "tests.benchmarks", "--serve", workload, name, str(self.out)]
        environment = {**os.environ, **ONE_THREAD, **XLA}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.first = float(self.answer())
        self.times: list[float] = []

    def answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} failed")
        return line

    def turn(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        self.times.append(float(self.answer()))

    def result(self) -> list[Any]:
        with np.load(self.out) as found:
            return [found[name] for name in found.files]

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def compare(key: str, w: Workload) -> None:
    names = [name for name in w.builders if name == "symgrad" or importlib.util.find_spec(name)]
    with tempfile.TemporaryDirectory() as folder:
        contenders = [Contender(key, name, Path(folder)) for name in names]
        for other in contenders[1:]:
            for ours, theirs in zip(contenders[0].result(), other.result(), strict=True):
                error = np.abs(ours - theirs).max() / (np.abs(theirs).max() + 1e-12)
                assert error < 2e-3, f"{other.name} differs by {error:.1e}"
        for _ in range(ROUNDS):
            for contender in random.sample(contenders, len(contenders)):
                contender.turn()
        for contender in contenders:
            contender.close()
    print(f"\n{w.title}")
    medians = {c.name: float(np.median(c.times)) for c in contenders}
    for c in contenders:
        print(f"  {c.name:8} {1e3 * medians[c.name]:9.3f} ms   ready in {c.first:.2f} s")
    peers = [medians[name] for name in medians if name != "symgrad"]
    if peers:
        aim = f" (aim: at least {w.aim:g})" if w.aim else ""
        print(f"  fastest peer / symgrad: {min(peers) / medians['symgrad']:.2f}{aim}")


def digits() -> None:
    """Seconds and test accuracy of the softmax network on scikit-learn's digits."""
    if not importlib.util.find_spec("sklearn"):
        return
    from sklearn.datasets import load_digits

    import symgrad as sg

    x, labels = load_digits(return_X_y=True)
    x, t = x / 16, np.eye(10)[labels]
    order = np.random.default_rng(0).permutation(len(x))
    train, test = order[:1437], order[1437:]
    r = np.random.default_rng(1)
    params = {"W": r.normal(size=(32, 64)) / 8, "c": np.zeros(32), "V": r.normal(size=(10, 32)) / 6, "d": np.zeros(10)}
    start = time.perf_counter()
    k = sg.compile(sg.parse(SOFTMAX), batch=("x", "y_star"))
    f = k.fit(params, {"x": x[train], "y_star": t[train]}, optimizer=sg.Adam(0.005), epochs=60, batch_size=32, progress=False)
    seconds = time.perf_counter() - start
    found = k.forward(x=x[test], y_star=t[test], **f.params)["y"].argmax(1)
    accuracy = (found == labels[test]).mean()
    print(f"\ndigits, S7 network with biases: test accuracy {accuracy:.3f} (aim: 0.95)")
    print(f"  {seconds:.1f} s for 60 epochs, compilation included")


def memory() -> None:
    """What value and gradient allocate at their peak, against inputs and intermediates."""
    import symgrad as sg

    d = softmax_data()
    arrays = {"x": d["x"], "y_star": d["t"], **{n: d[n] for n in "WcVd"}}
    k = sg.compile(sg.parse(SOFTMAX), batch=("x", "y_star"), dtype="float32")
    k(**arrays)
    given = sum(a.nbytes for a in arrays.values()) + sum(np.asarray(v).nbytes for v in k.forward(**arrays).values())
    tracemalloc.start()
    k(**arrays)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"\nmemory of a gradient: {peak / 1e6:.2f} MB at its peak")
    print(f"  {peak / given:.2f} × its inputs and intermediates (aim: at most 4)")


def derive() -> None:
    """Seconds of processor time to read, derive, print and lower programs of 10² to 10⁵ statements, and the most memory in use."""
    import resource

    from tests.test_growth import SHAPES, STAGES

    for count in (100, 1_000, 10_000, 100_000):
        for shape, (model, _) in SHAPES.items():
            if (shape == "arrays" and count > 1_000) or (shape != "chain" and count > 10_000):
                continue  # minutes
            given: Any = model(count)
            times = []
            for stage, run in STAGES.items():
                if stage in ("text", "lower") and count > 10_000:
                    continue
                start = time.process_time()
                result = run(given)
                times.append(f"{stage} {time.process_time() - start:.2f} s")
                given = result if stage == "read" else given
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(f"{count:6} statements, {shape:6}: {', '.join(times)}; up to {peak} MB", flush=True)


def main() -> None:
    if sys.argv[1:] == ["derive"]:
        derive()
        return
    wanted = sys.argv[1:] or list(WORKLOADS)
    for key in wanted:
        compare(key, WORKLOADS[key])
    digits()
    memory()
    derive()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(*sys.argv[2:5])
    else:
        main()
