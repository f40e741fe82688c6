"""Faults are injected, and the next run is right: kills, damaged files, folders that cannot be written, processes and threads
at once, forks, Ctrl-C, and many cycles in one process.

    python -m tests.reliability faults              all rounds
    python -m tests.reliability.faults NAME ROUNDS  one kind, here: prints what went wrong as JSON

Each kind runs in a process of its own, which has no other threads. Every trial is a child that it forks when all is imported, so
that it takes no longer than compiling does. A trial tells its bits, warnings and how many functions were compiled.
"""

from __future__ import annotations

import errno
import io
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import symgrad as sg
from symgrad.backends import sealed
from tests.reliability.rows import Row

SMALL = "param w; input x; J = (w*x - 1)^2"
SHARED = "param w; input x; J = tanh(w*x - 1)^2"  # whose tanh is a file of its own
GIVEN = {"w": 0.3, "x": 0.7}
NOBODY = 65534
HELD = ExitStack()  # of a trial, to its end
PATIENCE = 60


@dataclass
class Outcome:
    """What a trial tells; `died`: the signal or exit that it ended by."""

    bits: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    compiled: int = 0
    error: str = ""
    died: int = 0


def bits(found: Any) -> list[str]:
    loss, grads = found
    return [np.asarray(loss).tobytes().hex(), *(np.asarray(grads[name]).tobytes().hex() for name in sorted(grads))]


def child(work: Callable[[], Any]) -> tuple[int, int]:
    """A forked process that does the work and writes what it gives, as JSON: its id and where to read."""
    here, there = os.pipe()
    process = os.fork()
    if process:
        os.close(there)
        return process, here
    status = 1
    try:
        os.close(here)
        with os.fdopen(there, "w") as file:
            json.dump(work(), file)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def result(process: int, pipe: int) -> tuple[Any, int]:
    """What a child wrote, and how it ended; one that hangs is ended, and says so."""
    watch = threading.Timer(PATIENCE, os.kill, (process, signal.SIGKILL))
    watch.start()
    with os.fdopen(pipe) as file:
        text = file.read()
    _, status = os.waitpid(process, 0)
    watch.cancel()
    return (json.loads(text) if text and not status else None), status


def told(kernel: Any, folder: Path | str | None, prepare: Callable[[], Any] | None = None) -> Callable[[], dict[str, Any]]:
    """The work of a trial: a call of the kernel with that cache folder."""

    def work() -> dict[str, Any]:
        from numba.core import event

        count: list[str] = []
        listener = mock.Mock(spec=event.Listener, notify=lambda e: e.is_start and count.append(""))
        event.register("numba:compile", listener)
        if folder is not None:
            os.environ["SYMGRAD_CACHE"] = str(folder)
        sys.dont_write_bytecode = False
        sealed._told.clear()
        found = Outcome()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                if prepare:
                    prepare()
                found.bits = bits(kernel(**GIVEN))
            except sg.SymgradError as error:
                found.error = error.code
            except Exception as error:
                found.error = f"{type(error).__name__}: {error}"
        found.warned = [str(each.message) for each in caught]
        found.compiled = len(count)
        return asdict(found)

    return work


def trial(kernel: Any, folder: Path | str | None, prepare: Callable[[], Any] | None = None) -> Outcome:
    found, status = result(*child(told(kernel, folder, prepare)))
    return Outcome(**found) if found else Outcome(died=status)


def compiled(model: str) -> tuple[Any, list[str]]:
    """The kernel, of which nothing is loaded, and its bits by another process without a cache. numba is made ready."""
    import numba

    numba.njit(lambda x: x + 1.0)(1.0)
    kernel = sg.compile(sg.parse(model))
    with tempfile.TemporaryDirectory() as folder:
        found = trial(kernel, folder)
    assert found.bits, found
    return kernel, found.bits


@contextmanager
def folders() -> Iterator[Callable[[], Path]]:
    """New empty folders."""
    with tempfile.TemporaryDirectory() as base:
        os.chmod(base, 0o755)
        count = iter(range(10**9))

        def new() -> Path:
            path = Path(base) / f"cache{next(count)}"
            path.mkdir(mode=0o700)
            return path

        yield new


def judged(case: str, found: Outcome, wanted: list[str], warned: int | None = None, compiled: int | None = None) -> list[str]:
    """What is wrong about a trial."""
    if found.bits != wanted:
        return [f"{case}: {found}"]
    if warned is not None and len(found.warned) != warned:
        return [f"{case}: warned {found.warned}"]
    return [f"{case}: compiled {found.compiled}"] if compiled is not None and found.compiled != compiled else []


def files(write: Callable[[Callable[[bytes], Any], bytes], None]) -> Callable[[int, str], io.FileIO]:
    """In the place of os.fdopen: files whose writing is `write`, given the real one."""

    class File(io.FileIO):
        def write(self, data: Any) -> Any:
            write(super().write, data)

    return File


# killed


@contextmanager
def planted(place: int) -> Iterator[list[str]]:
    """The process ends at the place-th moment around a write or a rename; the moments that there were."""
    seen: list[str] = []

    def moment(name: str) -> None:
        seen.append(name)
        if len(seen) == place:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(function: Any, name: str) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            moment(f"before {name}")
            found = function(*given, **named)
            moment(f"after {name}")
            return found

        return call

    def halves(write: Callable[[bytes], Any], data: bytes) -> None:
        moment("before write")
        write(data[: len(data) // 2])
        moment("in write")
        write(data[len(data) // 2 :])
        moment("after write")

    with mock.patch.multiple(sealed.os, open=around(os.open, "open"), replace=around(os.replace, "rename"), fdopen=files(halves)):
        yield seen


def planted_exits(rounds: int) -> list[str]:
    """SIGKILL before and after each write and rename, one after another; all of them for many rounds."""
    wrong: list[str] = []
    kernel, wanted = compiled(SMALL if rounds < 100 else SHARED)
    with folders() as new:
        for place in range(1, rounds + 1):
            folder = new()

            def prepare(place: int = place) -> None:
                HELD.enter_context(planted(place))

            first = trial(kernel, folder, prepare)
            if not first.died:
                return wrong if place > 10 else [*wrong, f"only {place} moments: {first}"]
            wrong += judged(f"killed at moment {place}", trial(kernel, folder), wanted, 0)
    return wrong


def random_kills(rounds: int) -> list[str]:
    """SIGKILL at random into one folder, which is good all the time."""
    wrong: list[str] = []
    kernel, wanted = compiled(SMALL)
    chance = random.Random(1)
    with folders() as new:
        folder, start = new(), time.monotonic()
        trial(kernel, folder)
        longest = time.monotonic() - start
        for round_ in range(rounds):
            folder = new() if round_ % 3 == 0 else folder
            process, pipe = child(told(kernel, folder))
            time.sleep(chance.uniform(0, longest * 1.2))
            os.kill(process, signal.SIGKILL)
            result(process, pipe)
            if round_ % 3 == 2:
                wrong += judged(f"killed three times, up to round {round_}", trial(kernel, folder), wanted, 0)
    return wrong


# damaged


def damages(data: bytes, other: bytes, chance: random.Random, rounds: int) -> Iterator[tuple[str, bytes]]:
    yield "another entry", other
    for number in range(rounds):
        if number % 3 == 0:
            end = 0 if number == 0 else chance.randrange(len(data))
            yield f"cut off at {end}", data[:end]
        elif number % 3 == 1:
            place, bit = chance.randrange(len(data)), chance.randrange(8)
            yield f"bit {bit} of byte {place}", data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
        else:
            yield "garbled", chance.randbytes(len(data))


def damaged_files(rounds: int) -> list[str]:
    """Each file of a cache cut off, with a flipped bit, garbled, or another's: right with one warning, and then good again."""
    wrong: list[str] = []
    kernel, wanted = compiled(SHARED if rounds > 10 else SMALL)
    chance = random.Random(2)
    with folders() as new:
        warm = new()
        trial(kernel, warm)
        wrong += judged("warm", trial(kernel, warm), wanted, 0, 0)
        names = sorted(path.name for path in warm.iterdir())
        if {Path(name).suffix for name in names} != {".py", ".sealed", ".kernel"}:
            wrong.append(f"files {names}")
        for name in names:
            other = (warm / next(each for each in names if each != name and not each.endswith(".py"))).read_bytes()
            for what, data in damages((warm / name).read_bytes(), other, chance, rounds):
                folder = new()
                shutil.copytree(warm, folder, dirs_exist_ok=True)
                if name.endswith(".kernel"):  # the only one that is there to be read
                    for each in folder.glob("*.kernel"):
                        each.unlink()
                (folder / name).write_bytes(data)
                told_ = 0 if name.endswith(".py") else 1  # which nobody reads
                wrong += judged(f"{name}: {what}", trial(kernel, folder), wanted, told_)
                if chance.random() < 0.3:
                    wrong += judged(f"{name}: {what}, then", trial(kernel, folder), wanted, 0, 0)
                shutil.rmtree(folder)
    return wrong


# folders


def _full(_: Path) -> None:
    """A disk without room, whose files have some bytes already."""

    def little(write: Callable[[bytes], Any], data: bytes) -> None:
        write(data[:9])
        raise OSError(errno.ENOSPC, "No space left on device")

    mock.patch.object(sealed.os, "fdopen", files(little)).start()


def _limited(_: Path) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))


def _renamed(_: Path) -> None:
    mock.patch.object(sealed.os, "replace", side_effect=OSError(errno.EROFS, "Read-only file system")).start()


def _file(folder: Path) -> None:
    folder.rmdir()
    folder.write_text("")


def _read_only(folder: Path) -> None:
    if os.getuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    folder.chmod(0o500)


def _homeless(_: Path) -> None:
    os.environ.pop("SYMGRAD_CACHE")
    os.environ.pop("XDG_CACHE_HOME", None)
    os.environ.pop("HOME", None)
    mock.patch.object(Path, "home", side_effect=RuntimeError("Could not determine home directory.")).start()


def _no_device(_: Path) -> None:
    os.environ["SYMGRAD_CACHE"] = "/proc/none/symgrad"


def _long(_: Path) -> None:
    os.environ["SYMGRAD_CACHE"] = "/tmp/" + "x" * 5000


def _nul(folder: Path) -> None:
    mock.patch.object(sealed, "_wanted", return_value=folder / "a\0b").start()


UNWRITABLE = (_full, _limited, _renamed, _file, _read_only, _homeless, _no_device, _long, _nul)


def unwritable(_: int) -> list[str]:
    """No room, no right, no home: compiled in memory with one warning, and nothing left behind."""
    wrong: list[str] = []
    kernel, wanted = compiled(SMALL)
    with folders() as new:
        for fault in UNWRITABLE:
            folder = new()
            wrong += judged(fault.__name__, trial(kernel, folder, lambda fault=fault, folder=folder: fault(folder)), wanted, 1)
            if folder.is_dir() and os.listdir(folder):
                wrong.append(f"{fault.__name__} leaves {os.listdir(folder)}")
        missing = new() / "a" / "b"
        wrong += judged("missing", trial(kernel, missing), wanted, 0)
        wrong += judged("made", trial(kernel, missing), wanted, 0, 0)
        wrong += _between(kernel, wanted, new())
        open_ = new()
        open_.chmod(0o777)
        found = [("open to all", trial(kernel, open_))]
        if os.getuid() == 0:
            foreign = new()
            os.chown(foreign, NOBODY, NOBODY)
            found.append(("another's", trial(kernel, foreign)))
        wrong += [f"{case}: {each}" for case, each in found if each.error != "SG703"]
    return wrong


def _between(kernel: Any, wanted: list[str], folder: Path) -> list[str]:
    """The folder goes between loading and compiling."""

    def prepare() -> None:
        _ = kernel.module
        shutil.rmtree(folder)

    return judged("taken away", trial(kernel, folder, prepare), wanted, 1)


# at once


def processes(rounds: int) -> list[str]:
    """16 processes on one cold key; then all is there."""
    wrong: list[str] = []
    kernel, wanted = compiled(SMALL)
    with folders() as new:
        for _ in range(rounds):
            folder = new()
            here, there = os.pipe()

            def wait(here: int = here, there: int = there) -> None:
                os.close(there)
                os.read(here, 1)  # ends when the parent lets go

            started = [child(told(kernel, folder, wait)) for _ in range(16)]
            os.close(here)
            os.close(there)
            for number, each in enumerate(started):
                found, status = result(*each)
                wrong += judged(f"process {number}", Outcome(**found) if found else Outcome(died=status), wanted, 0)
            wrong += judged("after 16 processes", trial(kernel, folder), wanted, 0, 0)
    return wrong


def threads(rounds: int) -> list[str]:
    """8 threads on one kernel of which nothing is loaded, and on one that is; and equal kernels, one for each."""
    kernel, wanted = compiled(SHARED)
    several = [sg.compile(sg.parse(SMALL)) for _ in range(8)]

    def work() -> list[str]:
        wrong: list[str] = []
        gate = threading.Barrier(8)

        def run(number: int) -> None:
            gate.wait()
            try:
                for _ in range(50):
                    if bits(kernel(**GIVEN)) != wanted:
                        wrong.append(f"thread {number}: other bits")
                    several[number](**GIVEN)
            except Exception:
                wrong.append(traceback.format_exc())

        runs = [threading.Thread(target=run, args=(number,)) for number in range(8)]
        for each in runs:
            each.start()
        for each in runs:
            each.join()
        return wrong

    wrong: list[str] = []
    with folders() as new:
        for _ in range(rounds):
            os.environ["SYMGRAD_CACHE"] = str(new())
            found, status = result(*child(work))
            wrong += [f"died: {status}"] if found is None else found
    return wrong


# forks

WIDE = """
index n in 1..N, i in 1..M, j in 1..H
input x[n,i], t[n]
param W[j,i], v[j]
h[n,j] = tanh(sum(W[j,i]*x[n,i] for i))
y[n] = sum(v[j]*h[n,j] for j)
J = log(1 + sum((y[n] - t[n])^2 for n))
"""
ROWS, UNITS = 50_000, 16


def wide() -> tuple[Any, dict[str, Any]]:
    """A kernel that shares rows among threads."""
    kernel = sg.compile(sg.parse(WIDE), threads=4)
    shapes = {"x": (ROWS, UNITS), "t": (ROWS,), "W": (UNITS, UNITS), "v": (UNITS,)}
    return kernel, {name: np.linspace(-1, 1, int(np.prod(shape))).reshape(shape) for name, shape in shapes.items()}


def _called(_: Any = None) -> list[str]:
    kernel, given = wide()
    return bits(kernel(**given))


def forks(rounds: int) -> list[str]:
    """Children of a process that has shared work among threads, or whose other thread does so now, or loads a kernel."""
    wrong: list[str] = []
    with folders() as new:
        os.environ["SYMGRAD_CACHE"] = str(new())
        kernel, given = wide()
        wanted = bits(kernel(**given))
        if kernel.module._rows_value_and_grad(ROWS, UNITS, UNITS)[0]:
            wrong.append("no rows are shared")
        ended = threading.Event()

        def busy() -> None:
            while not ended.is_set():
                kernel(**given)
                sg.compile(sg.parse("J = (w*x)^2"), backend="numpy")(**GIVEN)

        for also in (False, True):
            other = threading.Thread(target=busy)
            if also:
                other.start()
            for number in range(rounds):
                found, status = result(*child(lambda: bits(kernel(**given)) if number % 2 else _called()))  # noqa: B023
                if found != wanted:
                    wrong.append(f"fork {number}{', while busy' if also else ''}: {status}, {found}")
            ended.set()
            if also:
                other.join()
        for kind in multiprocessing.get_all_start_methods():
            with multiprocessing.get_context(kind).Pool(1) as pool:
                if pool.map_async(_called, range(2)).get(PATIENCE) != [wanted, wanted]:
                    wrong.append(f"{kind}: other bits")
    return wrong


def forks_while_compiling(rounds: int) -> list[str]:
    """Children that are forked while another thread compiles, and then compile themselves."""
    kernel, wanted = compiled(SMALL)
    wrong: list[str] = []
    with folders() as new:
        for number in range(rounds):
            os.environ["SYMGRAD_CACHE"] = str(new())
            other = threading.Thread(target=sg.compile(sg.parse(f"J = tanh({number + 2}*w*x)^2")), kwargs=GIVEN)
            sg.compile(sg.parse(f"J = ({number + 2}*w*x)^2"))(**GIVEN)
            other.start()
            time.sleep(0.05 + 0.1 * (number % 7))
            wrong += judged(f"fork {number}", trial(kernel, new()), wanted, 0)
            other.join()
    return wrong


# Ctrl-C

FALL = "param w, v[i]; input x[n]; J = sum(x[n] for n)*(w + sum(v[i] for i)); minimize J"


def training(backend: str, step: float) -> Callable[[], dict[str, Any]]:
    """A training in which every parameter is less by 1 after each step: a step that is not whole shows."""

    def work() -> dict[str, Any]:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        kernel = sg.compile(sg.parse(FALL), loss="J", backend=backend)
        rows = {"x": np.array([1.0])}
        start = {"w": 0.0, "v": np.zeros(int(step))}
        kernel.fit(start, rows, sg.SGD(1.0), epochs=3, batch_size=None, progress=False)
        os.write(READY[1], b"!")
        found = kernel.fit(start, rows, sg.SGD(1.0), epochs=10**7, batch_size=None, progress=False)
        ended = time.monotonic()
        w, v = float(found.params["w"]), found.params["v"]
        return {"ended": ended, "w": w, "same": bool((v == w).all()), "stopped": found.stopped, "epochs": len(found.history["J"])}

    return work


READY = (-1, -1)


def interrupts(rounds: int) -> list[str]:
    """SIGINT at random in training; the answer within 0.5 s, with the parameters of a step that was done whole."""
    global READY
    wrong: list[str] = []
    chance = random.Random(3)
    slowest = {"numba": 0.0, "numpy": 0.0}
    with folders() as new:
        os.environ["SYMGRAD_CACHE"] = str(new())
        for number in range(rounds):
            backend = ("numba", "numpy")[number % 2]
            READY = os.pipe()
            process, pipe = child(training(backend, 10 ** chance.randrange(3, 6)))
            os.read(READY[0], 1)
            for end in READY:
                os.close(end)
            time.sleep(chance.uniform(0.05, 1.2))
            pressed = time.monotonic()
            os.kill(process, signal.SIGINT)
            if number % 4 > 1:
                time.sleep(chance.uniform(0, 0.05))
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGINT)
            found, status = result(process, pipe)
            if found is None and number % 4 > 1:
                continue  # the second came after the training
            if found is None or found["stopped"] != "interrupted" or not found["same"] or found["w"] != -found["epochs"]:
                wrong.append(f"{backend}, interrupt {number}: {status} {found}")
                continue
            late = found["ended"] - pressed
            slowest[backend] = max(slowest[backend], late)
            if late > LATE:
                wrong.append(f"{backend}, interrupt {number}: after {late:.2f} s")
    print(f"slowest answers to Ctrl-C: {slowest}", file=sys.stderr)
    return wrong


LATE = 0.5


def interrupted_compiling(rounds: int) -> list[str]:
    """SIGINT at random while a kernel is compiled: the next call is right, and so is the next process."""
    wrong: list[str] = []
    kernel, wanted = compiled(SHARED if rounds > 10 else SMALL)
    chance = random.Random(4)
    with folders() as new:
        start = time.monotonic()
        trial(kernel, new())
        longest = time.monotonic() - start
        for number in range(rounds):
            folder = new()

            def press(wait: float = chance.uniform(0, longest)) -> None:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                signal.setitimer(signal.ITIMER_REAL, max(wait, 1e-3))
                signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
                with suppress(KeyboardInterrupt):
                    kernel(**GIVEN)
                    signal.setitimer(signal.ITIMER_REAL, 0)

            wrong += judged(f"interrupt {number}", trial(kernel, folder, press), wanted, 0)
            wrong += judged(f"after interrupt {number}", trial(kernel, folder), wanted, 0)
    return wrong


# many cycles

PLENTY = tuple(f"param w, b; input x; y = {f}(w*x + b*{k}); J = (y - {k})^2" for f in ("tanh", "sin") for k in (1, 2, 3))


def resident() -> float:
    """MB of memory that the process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def cycle(number: int, backend: str) -> None:
    """Derive, compile, run: with NumPy another model each time, with numba one of half a dozen."""
    text = PLENTY[number % len(PLENTY)] if backend == "numba" else f"param w; input x; J = (tanh(w*x) - {number}/7)^2"
    program = sg.parse(text)
    sg.derive(program, "J").text()
    given = dict.fromkeys(program.free, 0.5)
    loss, _ = sg.compile(program, backend=backend)(**given)
    assert np.isfinite(loss)


def soak(cycles: int, backend: str, warm: int = 60) -> list[float]:
    """Memory, in MB, after some first cycles and then ten times until the end."""
    for number in range(warm):
        cycle(number, backend)
    found = [resident()]
    for number in range(warm, warm + cycles):
        cycle(number, backend)
        if (number - warm + 1) % max(1, cycles // 10) == 0:
            found.append(resident())
            print(f"{backend}, {number - warm + 1} cycles: {found[-1]:.0f} MB", file=sys.stderr, flush=True)
    return found


def grown(cycles: int, backend: str) -> list[str]:
    """Memory that grows: 50 MB in 10,000 cycles, with 15 MB for caches that fill up."""
    with folders() as new:
        os.environ["SYMGRAD_CACHE"] = str(new())
        found = soak(cycles, backend)
    most = min(50, 15 + 50 * cycles / 10_000)
    return [f"{backend}: {found[-1] - found[0]:.0f} MB more, {most:.0f} are allowed"] if found[-1] - found[0] > most else []


KINDS: dict[str, tuple[Callable[[int], list[str]], int, str]] = {
    "planted exits": (planted_exits, 200, "killed before and after each write and rename"),
    "random kills": (random_kills, 150, "killed at random"),
    "damaged files": (damaged_files, 30, "each cache file cut off, flipped, garbled, another's"),
    "unwritable": (unwritable, 1, "no room, no right, no home; a folder that is another's or open to all"),
    "processes": (processes, 5, "16 processes on a cold key"),
    "threads": (threads, 10, "8 threads on one kernel"),
    "forks": (forks, 20, "forked after and in the middle of shared work; spawned"),
    "forks while compiling": (forks_while_compiling, 20, "forked while another thread compiles"),
    "interrupts": (interrupts, 60, "Ctrl-C in training: in 0.5 s, a whole step"),
    "interrupted compiling": (interrupted_compiling, 40, "Ctrl-C while compiling"),
    "soak numpy": (lambda cycles: grown(cycles, "numpy"), 10_000, "cycles of derive, compile, run with NumPy: < 50 MB"),
    "soak numba": (lambda cycles: grown(cycles, "numba"), 10_000, "cycles of derive, compile, run with numba: < 50 MB"),
}
SHORT = {
    "planted exits": 24, "random kills": 3, "damaged files": 2, "unwritable": 1, "processes": 1, "threads": 1, "forks": 1,
    "forks while compiling": 1, "interrupts": 2, "interrupted compiling": 1, "soak numpy": 200, "soak numba": 200,
}  # fmt: skip


# what the test suite has the time for; the command does all of it
QUICK = ("damaged files", "unwritable", "processes", "threads", "forks", "interrupts")


def run(kind: str, rounds: int) -> list[str]:
    """A kind in a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.reliability.faults", kind, str(rounds)], stdout=subprocess.PIPE, text=True, check=False
    )
    lines = ran.stdout.strip().split("\n")
    return json.loads(lines[-1]) if ran.returncode == 0 else [f"{kind} ended with {ran.returncode}"]


def measure(full: bool) -> list[Row]:
    rows = []
    for kind, (_, rounds, promise) in KINDS.items():
        count = rounds if full else SHORT[kind]
        wrong = run(kind, count)
        rows.append(Row("faults", promise, f"{len(wrong)} wrong, {count} rounds", "none", wrong))
    return rows


if __name__ == "__main__":
    print(json.dumps(KINDS[sys.argv[1]][0](int(sys.argv[2]))))
