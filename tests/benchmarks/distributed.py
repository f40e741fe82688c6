"""Objectives over shards on a local cluster: python -m tests.benchmarks distributed

Printed: two workers beside one, steps in turns, where a shard takes about so many milliseconds; what a step costs beside its
work, by the number of shards, for both modes; data sets larger than the memory of a worker. Least and median seconds each.
"""

from __future__ import annotations

import functools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Any

import numpy as np

import symgrad as sg

NETWORK = """
index i in 1..D, j in 1..H
input x[i], y_star
param W[j,i], v[j]
z[j] = tanh(sum(W[j,i]*x[i] for i))
J = (sum(v[j]*z[j] for j) - y_star)^2/2 + sum(v[j]^2 for j)/1000
minimize J
"""
D, H, BATCH = 100, 300, ("x", "y_star")
TURNS = 6


def shard(number: int, rows: int) -> dict[str, Any]:
    random = np.random.default_rng(number)
    x = random.normal(size=(rows, D))
    return {"x": x, "y_star": np.sin(x[:, 0])}


def shards(count: int, rows: int) -> list[Callable[[], dict[str, Any]]]:
    return [functools.partial(shard, number, rows) for number in range(count)]


def params() -> dict[str, Any]:
    random = np.random.default_rng(0)
    return {"W": random.normal(size=(H, D)) / 10, "v": random.normal(size=H) / 10}


@contextmanager
def cluster(workers: int, memory: str | int = 0) -> Iterator[Any]:
    """Workers in sessions of their own: Linux shares a busy machine among sessions, and two workers of one would get no more."""
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=0, dashboard_address=":0") as made, Client(made) as client:
        command = [sys.executable, "-m", "dask", "worker", made.scheduler_address, "--nthreads", "1", "--memory-limit", str(memory)]
        processes = [
            subprocess.Popen([*command, "--no-dashboard"], stderr=subprocess.DEVNULL, start_new_session=True)
            for _ in range(workers)
        ]
        try:
            client.wait_for_workers(workers, timeout=120)
            yield client
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait()


def objective(client: Any, sources: Any, **settings: Any) -> Any:
    return sg.distributed.DaskObjective(sg.parse(NETWORK), sources, client, BATCH, **settings)


def in_turns(runs: dict[str, Callable[[], Any]], turns: int = TURNS) -> dict[str, list[float]]:
    """Seconds of each, one after the other, so that other work on the machine disturbs all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(turns):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def shown(seconds: list[float]) -> str:
    return f"{min(seconds) * 1000:8.1f} ms least, {median(seconds) * 1000:8.1f} ms median"


def speed_up() -> None:
    """Both clusters are there all the time; the one whose turn it is not waits."""
    print("two workers beside one, 8 shards")
    with ExitStack() as open_:
        clients = {"one worker": open_.enter_context(cluster(1)), "two workers": open_.enter_context(cluster(2))}
        alone = sg.compile(sg.parse(NETWORK), batch=BATCH, threads=1)
        for rows in (1_000, 80_000):
            data, start = shard(0, rows), params()
            whole = min(in_turns({"": lambda data=data, start=start: alone(**data, **start)}, 5)[""])  # type: ignore[misc]
            for mode in ("tasks", "actors"):
                made = {name: objective(client, shards(8, rows), mode=mode) for name, client in clients.items()}
                calls = {name: functools.partial(obj, **start) for name, obj in made.items()}
                assert len({call()[0].tobytes() for call in calls.values()}) == 1
                before = {name: client.run(time.process_time) for name, client in clients.items()}
                found = in_turns(calls)
                ratio = min(found["one worker"]) / min(found["two workers"])
                print(
                    f"  {mode:6} {rows:6} rows, {whole * 1000:6.1f} ms a shard on one thread: two workers {ratio:.2f} times as fast"
                )
                for name, seconds in found.items():
                    spent = [after - before[name][at] for at, after in clients[name].run(time.process_time).items()]
                    busy = ", ".join(f"{1000 * each / (TURNS + 1):.1f}" for each in spent)
                    print(f"    {name:11} {shown(seconds)}; processor {busy} ms a step")
                for obj in made.values():
                    obj.close()


def overhead() -> None:
    print("a step on shards of one example, two workers: nothing but what the cluster costs")
    with cluster(2) as client:
        for count in (2, 10, 100, 1000):
            for mode in ("tasks", "actors"):
                start = time.perf_counter()
                obj = objective(client, shards(count, 1), mode=mode)
                ready = time.perf_counter() - start
                seconds = in_turns({"": functools.partial(obj, **params())})[""]
                blocks = len(obj._blocks)
                print(f"  {mode:6} {count:5} shards in {blocks:3} blocks: {shown(seconds)}; made in {ready:.2f} s")


def memory() -> None:
    print("larger than a worker's memory: two workers")
    start = params()
    for limit, count, keep in (("800MB", 20, True), ("500MB", 40, False)):
        rows = 60_000
        size = count * rows * (D + 1) * 8 / 1e9
        with cluster(2, limit) as client:
            made = objective(client, shards(count, rows), keep=keep)
            begun = time.perf_counter()
            found = made(**start)
            seconds = time.perf_counter() - begun
        one = sg.distributed.LocalObjective(sg.parse(NETWORK), shards(count, rows), BATCH, keep=False)(**start)
        same = found[0].tobytes() == one[0].tobytes() and all(found[1][name].tobytes() == one[1][name].tobytes() for name in start)
        kept = "kept" if keep else "read at every step"
        print(f"  {size:.2f} GB {kept}, limit {limit} a worker: {seconds:.1f} s a step, bit-equal to one process: {same}")


def main() -> None:
    speed_up()
    overhead()
    memory()
