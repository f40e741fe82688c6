"""symgrad beside its peers: python -m tests.benchmarks [workload …] [--threads all] [--json FILE] [--picture FILE]

Each contender runs in a process of its own, in turns of random order, so that thread pools and caches do not disturb
each other. Results must agree to 2e-3 (float32) or 1e-9 (float64). Printed: the time until the first result, the median
of the following calls, the ratio fastest peer / symgrad, the memory that a process took for its first result, the share
of the machine's matrix peak or memory bandwidth where that bounds the work, and what a gradient costs beside the forward
pass. Then whole processes, the accuracy on digits, and how the time to derive grows with the number of statements
(alone: python -m tests.benchmarks derive). One thread, or with `--threads all` all of them. Peers that are not
installed are left out (extra `bench`). `python -m tests.benchmarks distributed` is about clusters (distributed.py), `exports`
about modules for JAX (exports.py).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks import distributed
from tests.benchmarks.peers import MODULES, PARAMETERS, build
from tests.benchmarks.workloads import CASE_2, SOFTMAX, WORKLOADS, Workload

ROUNDS, TURN = 6, 0.25
POOLS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
ONE_XLA = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def environment(threads: int) -> dict[str, str]:
    own = {**os.environ, **dict.fromkeys(POOLS, str(threads))}
    return own | ({"XLA_FLAGS": ONE_XLA} if threads == 1 else {})


def on_one_processor() -> None:
    """JAX's own settings for one thread leave it others: on an idle machine it multiplied matrices with two."""
    if os.environ.get(POOLS[0]) == "1" and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def serve(key: str, contender: str, out: str) -> None:
    """Build, run once, write the result, then time a turn for every line on standard input."""
    on_one_processor()
    w = WORKLOADS[key]
    data = w.data()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    run = build(contender, key, w, data)
    result = run()
    first = time.perf_counter() - start
    np.savez(out, *map(np.asarray, result))
    print(first, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, flush=True)
    for _ in sys.stdin:
        times: list[float] = []
        end = time.perf_counter() + TURN
        while time.perf_counter() < end or len(times) < 4:
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        print(float(np.median(times[1:])), flush=True)


class Contender:
    def __init__(self, key: str, name: str, folder: Path, threads: int):
        self.name, self.out = name, folder / f"{name}.npz"
        command = [sys.executable, "-m", "tests.benchmarks", "--serve", key, name, str(self.out)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(threads))
        self.first, self.memory = map(float, self.answer().split())
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


@dataclass(frozen=True)
class Found:
    """Of one contender: seconds until the first result and of the following ones, and megabytes for the first."""

    workload: str
    threads: int
    contender: str
    first: float
    seconds: float
    memory: float


def installed(name: str) -> bool:
    if name == "casadi_c" and not (shutil.which("gcc") or shutil.which("cc")):
        return False
    return name == "symgrad" or importlib.util.find_spec(MODULES.get(name, name)) is not None


def compare(key: str, w: Workload, threads: int) -> list[Found]:
    names = ["symgrad", *filter(installed, w.peers)]
    with tempfile.TemporaryDirectory() as folder:
        contenders = [Contender(key, name, Path(folder), threads) for name in names]
        for other in contenders[1:]:
            agree(key, w, contenders[0], other)
        for _ in range(ROUNDS):
            for contender in random.sample(contenders, len(contenders)):
                contender.turn()
        for contender in contenders:
            contender.close()
    return [Found(key, threads, c.name, c.first, float(np.median(c.times)), c.memory) for c in contenders]


def agree(key: str, w: Workload, ours: Contender, theirs: Contender) -> None:
    least = 2e-3 if w.dtype == "float32" else 1e-9
    for one, two in zip(ours.result(), theirs.result(), strict=True):
        error = np.abs(one - two).max() / (np.abs(two).max() + 1e-12)
        if not error < least:
            raise SystemExit(f"{key}: {theirs.name} differs by {error:.1e}")


def show(w: Workload, found: list[Found], limits: tuple[float, float]) -> None:
    print(f"\n{found[0].workload}  {w.title}, {'one thread' if found[0].threads == 1 else f'{found[0].threads} threads'}")
    for f in found:
        print(f"  {f.contender:9} {1e3 * f.seconds:10.4f} ms   first result {f.first:6.2f} s   memory {f.memory:6.0f} MB")
    ratio = ratio_of(found)
    if ratio:
        print(f"  fastest peer / symgrad: {ratio:.2f}" + (f" (aim: at least {w.aim:g})" if w.aim else ""))
    ours = found[0].seconds
    if w.flops and found[0].threads == 1:
        print(
            f"  {w.flops / ours / 1e9:.1f} GF/s, {w.flops / ours / limits[0]:.0%} of a large matrix product's {limits[0] / 1e9:.0f}"
        )
    if w.bytes and found[0].threads == 1:
        share = w.bytes / ours / limits[1]
        print(f"  {w.bytes / ours / 1e9:.1f} GB/s, {share:.0%} of what a sum reads, {limits[1] / 1e9:.0f}")


def ratio_of(found: list[Found]) -> float | None:
    peers = [f.seconds for f in found[1:]]
    return min(peers) / found[0].seconds if peers else None


MEASURE_LIMITS = """
import time, numpy as np
def best(f):
    times = []
    for _ in range(7):
        start = time.perf_counter(); f(); times.append(time.perf_counter() - start)
    return min(times)
a = np.ones((1024, 1024), np.float32); out = np.empty_like(a); x = np.ones(2**25, np.float32)
print(2 * 1024**3 / best(lambda: np.dot(a, a, out)), x.nbytes / best(x.sum))
"""


def machine() -> tuple[float, float]:
    """Multiply-adds a second, counted twice, of a large matrix product, and bytes a second of reading, on one thread."""
    text = subprocess.run([sys.executable, "-c", MEASURE_LIMITS], capture_output=True, text=True, check=True, env=environment(1))
    flops, speed = map(float, text.stdout.split())
    return flops, speed


def forward_costs(wanted: list[str]) -> None:
    """What a value with its gradient costs beside the forward pass (Baur and Strassen: at most 4 to 5 times)."""
    print("\ngradient / forward")
    for key in wanted:
        text = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks", "--cost", key],
            capture_output=True,
            text=True,
            check=True,
            env=environment(1),
        )
        print(f"  {key}: {float(text.stdout):.2f}")


def cost(key: str) -> float:
    import symgrad as sg

    w = WORKLOADS[key]
    d = w.data()
    names = list(PARAMETERS[key])
    given = [n for n in ("x", "y_star") if n in d and n not in names]
    k = sg.compile(sg.parse(w.text(d)), wrt=names, batch=given if w.batched else (), dtype=w.dtype)
    arrays = {n: d[n] for n in (*given, *names)}
    times: dict[Any, list[float]] = {k: [], k.forward: []}
    for run in times:
        run(**arrays)
    for _ in range(15):
        for run, seconds in times.items():
            start = time.perf_counter()
            run(**arrays)
            seconds.append(time.perf_counter() - start)
    both, front = (float(np.median(seconds)) for seconds in times.values())
    return both / front


PROCESSES = {
    "symgrad": f"""
import numpy as np, symgrad as sg
k = sg.compile(sg.parse({CASE_2!r}), dtype="float32")
k(x=np.ones(64, "f4"), y_star=np.float32(1), A=np.ones((32, 64), "f4"), b=np.ones(32, "f4"))""",
    "jax": """
import jax, jax.numpy as jnp
def loss(p, x, t):
    o = p[1] @ jax.nn.sigmoid(p[0] @ x)
    return jnp.logaddexp(0.0, o) - t*o
jax.block_until_ready(jax.jit(jax.value_and_grad(loss))((jnp.ones((32, 64)), jnp.ones(32)), jnp.ones(64), 1.0))""",
    "torch": """
import torch
a, b, x = torch.ones(32, 64, requires_grad=True), torch.ones(32, requires_grad=True), torch.ones(64)
o = b @ torch.sigmoid(a @ x)
torch.autograd.grad(torch.nn.functional.binary_cross_entropy_with_logits(o, torch.tensor(1.0)), [a, b])""",
}
SAVED = """
import numpy as np, NAME
NAME.value_and_grad(x=np.ones(64, "f4"), y_star=np.float32(1), A=np.ones((32, 64), "f4"), b=np.ones(32, "f4"))"""


def processes() -> None:
    """Start, first gradient of W1's network, exit: without a cache, then with what the first run left."""
    print("\nwhole process: start, first gradient of 64-32-1, exit")
    with tempfile.TemporaryDirectory() as folder:
        own = {
            **environment(1),
            "SYMGRAD_CACHE": folder,
            "NUMBA_CACHE_DIR": folder,
            "PYTHONPATH": os.pathsep.join([folder, os.getcwd()]),
        }
        codes = [*((name, code) for name, code in PROCESSES.items() if installed(name)), *saved(folder)]
        for label in ("cold", "again", "again", "again"):
            for name, code in codes:
                start = time.perf_counter()
                subprocess.run([sys.executable, "-c", code], check=True, env=own, capture_output=True)
                print(f"  {label:5} {name:15} {time.perf_counter() - start:.2f} s")


def saved(folder: str) -> list[tuple[str, str]]:
    """The same from a saved module, and from one with machine code beside it where there is a compiler to link that."""
    import symgrad as sg

    k = sg.compile(sg.parse(CASE_2), dtype="float32")
    k.save(Path(folder, "plain.py"), force=True)
    found = [("saved", SAVED.replace("NAME", "plain"))]
    with contextlib.suppress(sg.SymgradError):
        k.save_native(Path(folder, "native.py"), force=True)
        found.append(("saved, native", SAVED.replace("NAME", "native")))
    return found


def picture(found: list[Found], file: str) -> None:
    """The ratios as bars; above 1 symgrad is faster."""
    from matplotlib import pyplot

    groups: dict[tuple[str, int], list[Found]] = {}
    for f in found:
        groups.setdefault((f.workload, f.threads), []).append(f)
    bars = {f"{key}{'' if threads == 1 else f' x{threads}'}": ratio_of(group) for (key, threads), group in groups.items()}
    shown = {label: ratio for label, ratio in bars.items() if ratio}
    figure, axes = pyplot.subplots(figsize=(1 + 0.8 * len(shown), 3.5))
    axes.bar(list(shown), list(shown.values()), color=["#2a6f4e" if r >= 1 else "#a33" for r in shown.values()])
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_yscale("log")
    for axis in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        axis("{x:g}")
    axes.set_ylabel("fastest peer / symgrad")
    figure.tight_layout()
    figure.savefig(file)


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


def exported() -> None:
    """XLA reads its settings when it is first used, so in a process that is started with them."""
    code = "from tests.benchmarks import __main__ as own, exports; own.on_one_processor(); exports.main()"
    subprocess.run([sys.executable, "-c", code], check=True, env=environment(1))


def main() -> None:
    reader = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    reader.add_argument(
        "workloads", nargs="*", help=f"{', '.join(WORKLOADS)}, or derive, exports, distributed; all if none is named"
    )
    reader.add_argument("--threads", choices=("1", "all", "both"), default="1")
    reader.add_argument("--json", help="a file for the figures")
    reader.add_argument("--picture", help="a file for the ratios as bars, .png or .svg")
    asked = reader.parse_args()
    if asked.workloads == ["derive"]:
        derive()
        return
    if asked.workloads == ["exports"]:
        exported()
        return
    if asked.workloads == ["distributed"]:
        distributed.main()
        return
    wanted = asked.workloads or list(WORKLOADS)
    cores = os.cpu_count() or 1
    limits, found = machine(), list[Found]()
    for threads in {"1": (1,), "all": (cores,), "both": (1, cores)}[asked.threads]:
        for key in wanted:
            here = compare(key, WORKLOADS[key], threads)
            show(WORKLOADS[key], here, limits)
            found += here
    if asked.json:
        Path(asked.json).write_text(json.dumps([asdict(f) for f in found], indent=1), encoding="utf-8")
    if asked.picture:
        picture(found, asked.picture)
    forward_costs([key for key in wanted if key != "C4"])
    if not asked.workloads:
        processes()
        digits()
        derive()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(*sys.argv[2:5])
    elif sys.argv[1:2] == ["--cost"]:
        print(cost(sys.argv[2]))
    else:
        main()
