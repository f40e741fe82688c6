"""Threads over rows: the same bits for any number of threads, and nothing that forks, errors or Ctrl-C could leave behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.backends import numba, threads
from tests.models import random_arrays
from tests.plain_python import import_text
from tests.test_blocks import OWN

# products, a sum of sums, a function of a sum, and rows that are all returned
NETWORK = """
index n in 1..N, i in 1..M, j in 1..H
input x[n,i], t[n]
param W[j,i], v[j]
h[n,j] = tanh(sum(W[j,i]*x[n,i] for i))
y[n] = sum(v[j]*h[n,j] for j)
J = log(1 + sum((y[n] - t[n])^2 for n))
"""
SIZES = {"T": 3, "H": 6, "M": 9, "F": 2}


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 3 rows, chunks of 6."""
    monkeypatch.setattr(numba, "block_line", lambda blocks, dtype: f"{blocks.name} = 3")
    monkeypatch.setattr(threads, "chunk_text", lambda blocks, schedule: "6")
    monkeypatch.setattr(threads, "FEW", 2)


def kernel(text: str, **settings: Any) -> tuple[sg.Program, Any]:
    program = sg.parse(text)
    wrt = [name for name in program.free if program.tensors[name].values is None]
    return program, sg.compile(program, wrt=wrt, **settings)


def bits(found: Any) -> list[bytes]:
    loss, grads = found
    return [np.asarray(loss).tobytes(), *(np.asarray(grads[name]).tobytes() for name in sorted(grads))]


@pytest.mark.usefixtures("cut")
@pytest.mark.parametrize(("name", "dtype"), [("network", "float32"), ("recurrent", "float64"), ("counted", "float64")])
def test_bits(name: str, dtype: str) -> None:
    """Sums in the order in which threads end, temporaries that two of them write, rows at the end that belong to no chunk."""
    program, k = kernel(NETWORK if name == "network" else OWN[name], dtype=dtype)
    whole = sg.compile(program, wrt=k.wrt, dtype=dtype, backend="numpy")
    for rows in (0, 1, 6, 7, 50, 301):
        arrays = random_arrays(program, np.random.default_rng(rows), {**SIZES, "N": rows})
        wanted = bits(k.module.value_and_grad(**arrays, _threads=1))
        for count in (2, 3, 8, 8, 8):
            assert bits(k.module.value_and_grad(**arrays, _threads=count)) == wanted
        loss, grads = whole(**arrays)
        found = k(**arrays)
        assert bits(found) == wanted
        close = 1e-4 if dtype == "float32" else 1e-11
        assert found[0] == pytest.approx(loss, rel=close, nan_ok=True)
        for each, grad in grads.items():
            np.testing.assert_allclose(found[1][each], grad, rtol=close, atol=close * np.abs(grad).max(initial=1.0))
    forward = [k.module.forward(**arrays, _threads=count) for count in (1, 4)]
    assert all(np.array_equal(forward[0][each], forward[1][each]) for each in forward[0])


@pytest.mark.usefixtures("cut")
def test_other_threads_take_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread that does all."""
    program, k = kernel(NETWORK)
    arrays = random_arrays(program, np.random.default_rng(0), {**SIZES, "N": 100})
    wanted, module, seen = bits(k(**arrays)), k.module, set()
    run, both = module._run_value_and_grad, threading.Barrier(2)

    def watched(part: int, start: int, stop: int, *given: Any) -> Any:
        seen.add(threading.get_ident())
        if part == 1 and start in (0, 6):
            both.wait(20)
        return run(part, start, stop, *given)

    monkeypatch.setattr(module, "_run_value_and_grad", watched)
    assert bits(module.value_and_grad(**arrays, _threads=2)) == wanted
    assert len(seen) == 2


@pytest.mark.usefixtures("cut")
def test_calls_at_once_and_bound_calls() -> None:
    """Two calls that share sums or temporaries; another result of a bound call."""
    program, k = kernel(NETWORK, threads=3)
    jobs = [random_arrays(program, np.random.default_rng(seed), {**SIZES, "N": 40 + seed}) for seed in range(4)]
    wanted = [bits(k(**job)) for job in jobs]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(10):
            assert list(pool.map(lambda job: bits(k(**job)), jobs)) == wanted
    bound = k.bind(**jobs[0])
    for _ in range(3):
        assert bits((k.module.F(bound()), bound.grads)) == wanted[0]


@pytest.mark.usefixtures("cut")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # JAX warns of forks, once another test loaded it
def test_fork() -> None:
    """A child that waits for threads that only its parent has."""
    program, k = kernel(NETWORK, threads=4)
    arrays = random_arrays(program, np.random.default_rng(1), {**SIZES, "N": 200})
    wanted = bits(k(**arrays))
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=lambda: results.put(bits(k(**arrays))))
    child.start()
    assert results.get(timeout=60) == wanted
    child.join(60)
    assert child.exitcode == 0


@pytest.mark.usefixtures("cut")
@pytest.mark.parametrize("error", [MemoryError, RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("here", [True, False])
def test_errors(error: type[BaseException], here: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in one of the threads that the others wait for, or that nobody hears of."""
    program, k = kernel(NETWORK)
    arrays = random_arrays(program, np.random.default_rng(1), {**SIZES, "N": 200})
    wanted, module, own = bits(k(**arrays)), k.module, threading.get_ident()
    run, failed = module._run_value_and_grad, threading.Event()

    def failing(part: int, start: int, stop: int, *given: Any) -> Any:
        if part == 1 and (threading.get_ident() == own) == here:
            failed.set()
            raise error
        assert part != 1 or failed.wait(20)
        return run(part, start, stop, *given)

    monkeypatch.setattr(module, "_run_value_and_grad", failing)
    with pytest.raises(module.DataError if error is MemoryError else error):
        module.value_and_grad(**arrays, _threads=3)
    monkeypatch.setattr(module, "_run_value_and_grad", run)
    assert bits(module.value_and_grad(**arrays, _threads=3)) == wanted


@pytest.mark.usefixtures("cut")
def test_no_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that has no more threads."""
    program, k = kernel(NETWORK, threads=5)
    arrays = random_arrays(program, np.random.default_rng(1), {**SIZES, "N": 200})
    wanted = bits(k(**arrays))

    def refuse(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("_thread.start_new_thread", refuse)
    assert bits(k(**arrays)) == wanted


LONG = f"""
import numpy as np
import symgrad as sg
k = sg.compile(sg.parse({NETWORK!r}), threads=2)
given = {{"W": np.ones((64, 64)), "v": np.ones(64), "x": np.ones((100_000, 64)), "t": np.ones(100_000)}}
k(**{{**given, "x": np.ones((1, 64)), "t": np.ones(1)}})
assert not k.module._rows_value_and_grad(100_000, 64, 64)[0]
print("ready", flush=True)
try:
    while True:
        k(**given)
except KeyboardInterrupt:
    print("stopped")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c() -> None:
    """A call that does not return, or a process that does not end."""
    with subprocess.Popen([sys.executable, "-c", LONG], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        threading.Event().wait(0.3)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    assert out == "stopped\n"
    assert process.returncode == 0


def test_how_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The argument before the environment, one's own name before those of others, processors that are allowed last."""
    _, k = kernel(NETWORK)
    count = import_text(tmp_path, k.source)._thread_count
    for name in ("SYMGRAD_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    if hasattr(os, "sched_getaffinity"):
        assert 1 <= count(None) <= len(os.sched_getaffinity(0))
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert count(None) == 3
    monkeypatch.setenv("SYMGRAD_THREADS", "5")
    assert (count(None), count(2)) == (5, 2)
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(sg.SymgradError, match="SG207"):
            sg.compile(sg.parse(NETWORK), threads=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("own", "files", "wanted"),
    [
        ("0::/", {"cpu.max": "150000 100000"}, 2),
        ("0::/", {"cpu.max": "max 100000"}, 8),
        ("0::/", {"cpu.max": "1000 100000"}, 1),
        ("0::/", {"cpu.max": "nonsense"}, 8),
        ("0::/", {"cpu.max": "100000 0"}, 8),
        ("0::/", {}, 8),
        ("", {"cpu.max": "100000 100000"}, 8),
        ("0::/pod/box", {"pod/cpu.max": "300000 100000", "pod/box/cpu.max": "500000 100000"}, 3),
        ("0::/seen/from/outside", {"cpu.max": "400000 100000"}, 4),
        ("12:memory:/\n3:cpu,cpuacct:/box", {"cpu/box/cpu.cfs_quota_us": "250000", "cpu/box/cpu.cfs_period_us": "100000"}, 3),
        ("3:cpu,cpuacct:/box", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        ("3:cpuset:/box", {"cpu/box/cpu.cfs_quota_us": "250000", "cpu/box/cpu.cfs_period_us": "100000"}, 8),
    ],
)
def test_quota_of_a_container(own: str, files: dict[str, str], wanted: int, tmp_path: Path) -> None:
    """Eight threads on the time of two processors; files of the system that are missing or say something else."""
    space: dict[str, Any] = {"os": os}
    exec(threads.SUPPORT, space)
    (tmp_path / "own").write_text(own)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert space["_quota"](str(tmp_path / "own"), str(tmp_path), 8) == wanted
    assert space["_quota"](str(tmp_path / "missing"), str(tmp_path), 8) == 8


def test_little_work_is_not_cut() -> None:
    """Small calls that pay for threads; chunks that depend on anything but sizes."""
    _, k = kernel(NETWORK)
    rows = k.module._rows_value_and_grad
    assert rows(1000, 9, 6)[0]
    whole, blocks, chunks = rows(1_000_000, 9, 6)
    assert not whole
    assert len(blocks) == 2  # the sum is known before its derivative
    for block, (count, chunk) in zip(blocks, chunks, strict=True):
        assert chunk % block == 0
        assert 4 <= -(-count // chunk) <= 32
