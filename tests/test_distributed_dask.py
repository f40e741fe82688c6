"""Objectives on clusters of dask.distributed: the bits of one process, whatever workers do, and errors where there are none."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from tests.distributed_models import BATCH, NETWORK, SHARDS, bits, load, loaders, local, params, whole

distributed = pytest.importorskip("distributed")
dask = pytest.importorskip("dask")

ROOT = Path(__file__).parent.parent
# a kernel for NumPy takes the steps of a recurrence one by one: a second for some 1000 numbers
SLOW = """
index t in 1..T
input x[t]; param w
h[0] = 0
h[t] = sin(w*h[t-1] + x[t])
J = h[T]^2
minimize J
"""


def slow_shard(number: int, steps: int = 6_000) -> dict[str, Any]:
    return {"x": np.random.default_rng(number).normal(size=(2, steps))}


def objective(client: Any, shards: Any = None, **settings: Any) -> Any:
    shards = loaders() if shards is None else shards
    return sg.distributed.DaskObjective(sg.parse(NETWORK), shards, client, batch=BATCH, **{"backend": "numpy", **settings})


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Processes of one thread, and the scheduler in this one."""
    settings = {"distributed.worker.daemon": True, "distributed.nanny.environ.PYTHONPATH": str(ROOT)}
    with (
        dask.config.set(settings),
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0", memory_limit=0) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def client(cluster: Any) -> Iterator[Any]:
    with distributed.Client(cluster) as made:
        yield made


def scaled(cluster: Any, client: Any, count: int) -> None:
    cluster.scale(count)
    client.wait_for_workers(count, timeout=60)


def refused(code: str, *words: str) -> Any:
    return pytest.raises(sg.SymgradError, match=f"{code}.*" + ".*".join(words))


# the first test starts the workers that the others use


def test_bits_for_any_number_of_workers(cluster: Any, client: Any) -> None:
    """Sums in the order in which workers answer, blocks that depend on their number, a mode that adds otherwise."""
    wanted = bits(local()(**params()))
    for count in (1, 2, 3):
        scaled(cluster, client, count)
        for settings in ({}, {"mode": "actors"}, *([{"keep": False}] if count == 3 else [])):
            obj = objective(client, **settings)
            assert obj.rows == local().rows
            assert bits(obj(**params())) == wanted, (count, settings)
            assert bits(obj(**params())) == wanted, (count, settings)


def test_blocks_of_many_shards(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block of several shards that takes other shards' weights, and sums of sums."""
    monkeypatch.setattr("symgrad.distributed.dask.TASKS", 3)
    monkeypatch.setattr("symgrad.distributed.dask.FAN", 2)
    for settings in ({}, {"keep": False}):
        obj = objective(client, **settings)
        assert len(obj._blocks) == 6
        assert bits(obj(**params())) == bits(local()(**params()))


@pytest.mark.parametrize("mode", ["tasks", "actors"])
def test_training(client: Any, mode: str) -> None:
    """Steps on workers that start from other parameters than those of the driver, seeds that follow the worker."""
    obj = objective(client, mode=mode)
    for settings in ({"optimizer": sg.Adam(0.01)}, {"optimizer": sg.Momentum(0.05), "local_steps": 2, "batch_size": 9}):
        found, wanted = (each.fit(params(), epochs=2, progress=False, **settings) for each in (obj, local()))
        assert found.history["J"].tobytes() == wanted.history["J"].tobytes()
        assert {n: a.tobytes() for n, a in found.params.items()} == {n: a.tobytes() for n, a in wanted.params.items()}


def test_kernel_scipy_and_scikit_learn(client: Any) -> None:
    """`k.fit`, a minimizer and an estimator that take a cluster for something else than a kernel on all examples."""
    optimize, estimators = pytest.importorskip("scipy.optimize"), pytest.importorskip("symgrad.adapters.sklearn")
    obj, k = objective(client), sg.compile(sg.parse(NETWORK), batch=BATCH, backend="numpy")
    settings = {"optimizer": sg.Adam(0.05), "epochs": 20, "progress": False}
    found, wanted = k.fit(params(), objective=obj, **settings), k.fit(params(), whole(), batch_size=None, **settings)
    np.testing.assert_allclose(found.history["J"], wanted.history["J"], rtol=1e-9)
    (fun, theta), (one, _) = obj.flat(params()), k.flat(params(), **whole())
    found = optimize.minimize(fun, theta, jac=True, options={"maxiter": 15})
    assert found.fun == pytest.approx(optimize.minimize(one, theta, jac=True, options={"maxiter": 15}).fun, rel=1e-6)
    fitted = estimators.SymgradRegressor(optimizer=sg.Adam(0.05), epochs=30, sizes={"H": 3}, random_state=0).fit(obj)
    other = estimators.SymgradRegressor(
        NETWORK, optimizer=sg.Adam(0.05), epochs=30, sizes={"H": 3}, random_state=0, batch_size=None, backend="numpy"
    )
    other.fit(whole()["x"], whole()["y_star"])
    np.testing.assert_allclose(fitted.predict(load(50)["x"]), other.predict(load(50)["x"]), rtol=1e-6)


def test_compiled_kernels(client: Any) -> None:
    """A kernel for numba that rounds otherwise on a worker, or with more threads."""
    p, shards = (
        sg.parse("param w[j]; input x[j]; J = sin(sum(w[j]*x[j] for j))^2; minimize J"),
        [{"x": load(n)["x"]} for n in (0, 1)],
    )
    wanted = bits(sg.distributed.LocalObjective(p, shards, ["x"])(w=np.ones(4)))  # compiled here, for the workers' cache too
    assert bits(sg.distributed.DaskObjective(p, shards, client, ["x"])(w=np.ones(4))) == wanted


@pytest.mark.parametrize("mode", ["tasks", "actors"])
def test_dask_blocks(client: Any, mode: str) -> None:
    """Blocks in another order, columns that are cut, futures and delayed dicts that are not shards."""
    array = pytest.importorskip("dask.array")
    data = whole()
    arrays = {name: array.from_array(data[name], chunks=(100, *data[name].shape[1:])) for name in BATCH}
    obj = objective(client, arrays, mode=mode)
    assert obj.rows == tuple(arrays["x"].chunks[0])
    pieces = [{name: data[name][start : start + 100] for name in BATCH} for start in range(0, len(data["x"]), 100)]
    wanted = bits(sg.distributed.LocalObjective(sg.parse(NETWORK), pieces, BATCH, backend="numpy")(**params()))
    assert bits(obj(**params())) == wanted
    mixed = [dask.delayed(pieces[0]), client.submit(dict, pieces[1]), *pieces[2:]]
    assert bits(objective(client, mixed, mode=mode)(**params())) == wanted
    with refused("SG652", "x is cut along other axes"):
        objective(client, {**arrays, "x": arrays["x"].rechunk((100, 2))})
    with refused("SG652", "1 blocks of y_star"):
        objective(client, {**arrays, "y_star": arrays["y_star"].rechunk(10_000)})


# workers that are lost


def killed(client: Any, begun: Callable[[], bool]) -> tuple[threading.Thread, list[float]]:
    """A thread that kills one worker's process once the step has begun, and when it did."""
    victim = sorted(client.run(os.getpid).items())[0][1]
    moment: list[float] = []

    def kill() -> None:
        while not begun():
            time.sleep(0.02)
        os.kill(victim, signal.SIGKILL)
        moment.append(time.monotonic())

    return threading.Thread(target=kill), moment


@pytest.mark.parametrize("mode", ["tasks", "actors"])
def test_a_worker_is_killed_in_a_step(cluster: Any, client: Any, mode: str) -> None:
    """A gradient without the shards of a worker that died, or with them twice; a step that never ends."""
    scaled(cluster, client, 3)
    shards = [functools.partial(slow_shard, number) for number in range(3)]
    one = sg.distributed.LocalObjective(sg.parse(SLOW), shards, ["x"], backend="numpy")
    obj = sg.distributed.DaskObjective(sg.parse(SLOW), shards, client, ["x"], mode=mode, backend="numpy")
    if mode == "tasks":
        thread, moment = killed(client, lambda: any("-block-" in str(key) for keys in client.processing().values() for key in keys))
    else:  # what an actor does is not told: so long as the shortest part of the step takes
        thread, moment = killed(client, lambda: time.sleep(0.05) is None)
    thread.start()
    found = obj(w=0.9)
    assert moment
    assert moment[0] < time.monotonic()
    thread.join()
    assert bits(found) == bits(obj(w=0.9)) == bits(one(w=0.9))


def dawdles(number: int) -> dict[str, Any]:
    """A shard that one worker, whoever has the lowest address, reads ten times as slowly as it takes."""
    worker = distributed.get_worker()
    if worker.address == min(worker.client.scheduler_info()["workers"]):
        time.sleep(0.3)
    return load(number)


@pytest.mark.parametrize("settings", [{}, {"mode": "actors"}, {"keep": False}], ids=["tasks", "actors", "read every time"])
def test_a_worker_that_is_slow(cluster: Any, client: Any, settings: dict[str, Any]) -> None:
    """A sum in the order in which answers come; a worker that is given up because it has not answered yet."""
    scaled(cluster, client, 2)
    obj = objective(client, [functools.partial(dawdles, number) for number in range(SHARDS)], timeout=60.0, **settings)
    f = obj.fit(params(), epochs=2, progress=False)
    assert f.history["J"].tobytes() == local().fit(params(), epochs=2, progress=False).history["J"].tobytes()
    assert bits(obj(**params())) == bits(local()(**params()))


def fatal() -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def test_a_shard_that_ends_its_worker(cluster: Any, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that are started again and again for a shard that has no room in them."""
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 0)
    with refused("SG656", "1 workers ended while they did one task"):
        objective(client, [loaders()[0], fatal])


# shards and workers that are not as they should be


def broken(number: int) -> dict[str, Any]:
    raise OSError(f"no disk {number}")


def fails_once(marker: str) -> dict[str, Any]:
    if not Path(marker).exists():
        Path(marker).touch()
        raise OSError("not yet")
    return load(0)


def noise() -> dict[str, Any]:
    return {"x": np.random.default_rng().normal(size=(3, 4)), "y_star": np.ones(3)}


@pytest.mark.parametrize("mode", ["tasks", "actors"])
def test_shards_that_cannot_be_read(client: Any, mode: str, tmp_path: Path) -> None:
    """An error without the number of the shard, or as the traceback of a worker."""
    with refused("SG653", "shard 2 cannot be read: OSError: no disk 7"):
        objective(client, [*loaders()[:2], functools.partial(broken, 7)], mode=mode)
    with refused("SG653", "shard 1 cannot be read: OSError: no disk 8"):
        objective(client, [loaders()[0], dask.delayed(broken)(8)], mode=mode)
    with refused("SG654", "shard 1 does not fit the model: it does not hold y_star"):
        objective(client, [load(0), {"x": np.ones((2, 4))}], mode=mode)
    again = objective(client, [functools.partial(fails_once, str(tmp_path / "marker"))], mode=mode, retries=1)
    assert again.rows == (40,)


def test_a_shard_that_changes(client: Any) -> None:
    """A sum over two versions of the data."""
    obj = objective(client, [noise, noise], keep=False)
    with refused("SG657", "shard . was read again, and holds other numbers"):
        obj(**params())


def other_versions(own: bool) -> None:
    from symgrad.distributed import job

    job.versions = (lambda: job.versions_before()) if own else (lambda: {**job.versions_before(), "numpy": "1.0"})  # type: ignore[attr-defined]


def keep_versions() -> None:
    from symgrad.distributed import job

    job.versions_before = job.versions  # type: ignore[attr-defined]


def test_workers_with_other_versions(client: Any) -> None:
    """A worker with another NumPy that takes part."""
    client.run(keep_versions)
    client.run(other_versions, False)
    try:
        for mode in ("tasks", "actors"):
            with refused("SG655", "a worker has numpy 1.0, and the objective was made with numpy"):
                objective(client, mode=mode, wrt=["c"])
    finally:
        client.run(other_versions, True)
    assert bits(objective(client)(**params())) == bits(local()(**params()))


def test_settings(client: Any) -> None:
    """Settings that are not looked at before work is sent."""
    with refused("SG207", "there is no mode task"):
        objective(client, mode="task")
    with refused("SG652", "keep=False"):
        objective(client, keep=False, mode="actors")
    with refused("SG652", "keep=False"):
        objective(client, [load(0)], keep=False)
    with refused("SG652", "shard 1 is of type int"):
        objective(client, [load(0), 7])
    with refused("SG601", "x lies in the shards"):
        objective(client, [load(0)])(**params(), x=1.0)


def test_clients(cluster: Any) -> None:
    """A client that is none, or closed: an error of dask's, or a step that waits for ever."""
    with refused("SG651", "not str"):
        objective("tcp://127.0.0.1:8786")
    with distributed.Client(cluster) as client:
        obj = objective(client)
        assert repr(obj) == f"<DaskObjective of J over {sum(obj.rows)} examples in {SHARDS} shards; float64>"
        obj.close()
        assert bits(obj(**params())) == bits(local()(**params()))
        with distributed.Client(cluster):  # a later client, which ends earlier
            held = objective(client, mode="actors")
        assert bits(held(**params())) == bits(local()(**params()))
    with refused("SG651", "the client is closed"):
        obj(**params())
    with refused("SG651", "the client is closed"):
        objective(client)

    async def make() -> None:
        async with distributed.Client(cluster.scheduler_address, asynchronous=True) as waiting:
            objective(waiting)

    with refused("SG651", "asynchronous"):
        asyncio.run(make())


# a cluster of its own, which ends part by part


def started(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    file, quiet = str(folder / "scheduler.json"), {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = [sys.executable, "-m", "dask", *words, "--scheduler-file", file, "--no-dashboard"]
    return subprocess.Popen(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, **quiet)  # type: ignore[call-overload, no-any-return]


def test_a_cluster_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that hangs, no worker, no scheduler: a step that waits for ever, or half a sum."""
    monkeypatch.setattr("symgrad.distributed.dask.PATIENCE", 2.0)
    scheduler = started(tmp_path, "scheduler", "--port", "0", "--host", "127.0.0.1")
    worker = started(tmp_path, "worker", "--nthreads", "1", "--no-nanny", "--host", "127.0.0.1")
    try:
        while not (tmp_path / "scheduler.json").exists():
            assert scheduler.poll() is None
            time.sleep(0.1)
        with distributed.Client(scheduler_file=str(tmp_path / "scheduler.json"), timeout=60) as client:
            client.wait_for_workers(1, timeout=60)
            wanted = bits(local()(**params()))
            for mode in ("tasks", "actors"):
                obj = objective(client, mode=mode)
                assert bits(obj(**params())) == wanted
                worker.send_signal(signal.SIGSTOP)
                obj.timeout = 1.0
                with refused("SG656", "the step has not ended within 1.0 s"):
                    obj(**params())
                worker.send_signal(signal.SIGCONT)
                obj.timeout = None
                assert bits(obj(**params())) == wanted
            objs = [objective(client), obj]
            worker.kill()
            for each in objs:
                with refused("SG656", "the cluster has had no worker for 2 s"):
                    each(**params())
            scheduler.kill()
            scheduler.wait()
            for each in objs:
                with refused("SG656", "the connection to the scheduler is lost"):
                    each(**params())
    finally:
        for process in (worker, scheduler):
            process.kill()
            process.wait()
