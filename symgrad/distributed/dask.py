"""An objective on a cluster of dask.distributed: dask moves, schedules and recomputes, symgrad says what and in which order.

    mode="tasks"    a task for each block of shards, then tasks that add up 16 vectors each; dask runs again what a lost worker had
    mode="actors"   an actor on each worker holds its blocks: a step is one message to each, and the answers are added up here;
                    the blocks of an actor that is lost are read again elsewhere

Both add by the tree of `shards.py`, so neither the number of workers, nor which of them did what, changes a bit. Workers get
the program as a text (`job.py`). dask itself sends arrays and functions pickled: a scheduler is to be reached by its users only.

    from distributed import Client, LocalCluster
    client = Client(LocalCluster(n_workers=2, threads_per_worker=1))
    obj = sg.distributed.DaskObjective(p, [functools.partial(load, n) for n in range(100)], client, batch=["x", "y_star"])
    J, grads = obj(**params)
"""

from __future__ import annotations

import itertools
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from typing import Any, NamedTuple

from symgrad.compiler import choose
from symgrad.core.errors import SymgradError
from symgrad.core.program import Program, name_list
from symgrad.distributed import worker
from symgrad.distributed.objective import Objective, shard_list
from symgrad.distributed.shards import Arrays, Block, Description, blocks_of, summed, unreadable

MODES = ("tasks", "actors")
FAN = 16  # vectors that one task adds up: a power of two, so that a task's sum is a node of the tree
TASKS = 64  # blocks at least where there are so many shards, in "tasks": a task costs the scheduler about a millisecond
# seconds between two looks at a step, for an answer of the scheduler, and without a worker until that is an error
LOOK, ANSWER, PATIENCE = 1.0, 30.0, 30.0
ATTEMPTS = 5  # of actors that are lost in one step

Steps = Sequence[Mapping[str, Any]] | None


class DaskObjective(Objective):
    """J, grads = obj(**params) over all shards of a cluster.

    shards: functions without arguments that return a dict of arrays by name, one example a row; or `dask.delayed` objects or
    futures of such dicts, or dicts; or one dict of dask arrays by name, whose blocks along the first axis are the shards. A shard
    may be read again at any time, on any worker, and must then hold the same (SG657).
    client: a `distributed.Client`. batch: the names that shards hold. Other settings as in `sg.compile`.
    keep: shards stay in the workers' memory; False reads them at every step, so that one of a block is in memory at a time.
    timeout: seconds that a step may take, None for any time. retries: how often a shard that cannot be read is tried again.

    Raises SG651 (client), SG652 (shards), SG653 (a shard that cannot be read), SG654 (one that does not fit), SG655 (versions),
    SG656 (the cluster), SG606, and as `sg.compile` does.
    """

    def __init__(
        self,
        program: Program,
        shards: Any,
        client: Any,
        batch: Iterable[str],
        mode: str = "tasks",
        keep: bool = True,
        timeout: float | None = None,
        retries: int = 0,
        **settings: Any,
    ):
        self.client = a_client(client)
        choose("mode", mode, MODES)
        batch = name_list(batch)
        super().__init__(program, batch, **settings)
        self.mode, self.timeout, self.retries = mode, timeout, retries
        self.sources = _sources(shards, batch)
        if not keep and (mode == "actors" or not all(map(_is_plain, self.sources))):
            message = "keep=False reads shards in each task, which needs functions as shards, and mode='tasks'"
            raise SymgradError("SG652", message, hint="keep the shards, or give functions that read them")
        self.keep = keep
        self._name, self._count = f"symgrad-{uuid.uuid4().hex[:12]}", itertools.count()
        self._held: dict[Block, Any] = {}
        self._actors: list[_Actor] = []
        self._computed: dict[int, Any] = {}  # what dask computes shards from, while it is waited for
        self._blocks = blocks_of(len(self.sources), TASKS if mode == "tasks" else 4 * len(self._workers()))
        self.learn(self._tasks_start() if mode == "tasks" else self._actors_start())

    def sum_of(self, given: Arrays, weights: Sequence[float], steps: Steps) -> Any:
        """Raises SG651, SG656; SG655 and SG657 of a worker that came later, or a shard that was read again."""
        a_client(self.client)
        orders = {block: self.order(*block, weights, steps) for block in self._blocks}
        return self._sum_by_tasks(given, orders) if self.mode == "tasks" else self._sum_by_actors(given, orders)

    def close(self) -> None:
        """Give the workers' memory back; a further call reads the shards again."""
        self._held, self._actors = {}, []

    # tasks

    def _tasks_start(self) -> list[tuple[Description, Arrays]]:
        if self.keep:
            found = [self._submit(worker.describe, held) for held in self._kept()]
        else:
            sources = self._futures_of(self.sources, self._blocks)
            found = [self._submit(worker.describe_sources, self.job, each[0], sources[each]) for each in self._blocks]
        return [pair for pairs in self._results(found, found) for pair in pairs]

    def _kept(self) -> Iterable[Any]:
        """The shards of all blocks in the workers' memory."""
        if not self._held:
            sources = self._futures_of(self.sources, self._blocks)
            self._held = {each: self._read(each, sources[each]) for each in self._blocks}
        return self._held.values()

    def _read(self, block: Block, sources: Sequence[Any], **where: Any) -> Any:
        digests = self.digests[slice(*block)] if self.digests else ()
        return self._submit(worker.read, self.job, block[0], sources, digests, retries=self.retries, **where)

    def _sum_by_tasks(self, given: Arrays, orders: Mapping[Block, worker.Order]) -> Any:
        with _large_graphs():
            if self.keep:
                self._kept()
            shared = self._submit(worker.handed, given)
            level = [self._block_task(each, order, shared) for each, order in orders.items()]
            made = [shared, *level]
            while len(level) > 1:
                level = [self._submit(worker.total, level[start : start + FAN]) for start in range(0, len(level), FAN)]
                made += level
        return self._results(level, made)[0]

    def _block_task(self, block: Block, order: worker.Order, shared: Any) -> Any:
        if self.keep:
            return self._submit(worker.block, self.job, order, shared, self._held[block])
        sources, digests = self.sources[slice(*block)], self.digests[slice(*block)]
        return self._submit(worker.block_of_sources, self.job, order, shared, sources, digests, retries=self.retries)

    # actors

    def _actors_start(self) -> list[tuple[Description, Arrays]]:
        found: dict[int, list[tuple[Description, Arrays]]] = {}
        for answers in self._asked(lambda actor: actor.remote.describe()):
            found |= answers
        return [pair for first in sorted(found) for pair in found[first]]

    def _sum_by_actors(self, given: Arrays, orders: Mapping[Block, worker.Order]) -> Any:
        vectors: dict[int, Any] = {}
        for answers in self._asked(lambda actor: actor.remote.vectors([orders[each] for each in actor.blocks], given)):
            vectors |= answers
        return summed(vectors[first] for first in sorted(vectors))

    def _asked(self, ask: Callable[[_Actor], Any]) -> Iterator[Any]:
        """The answers of actors that hold all blocks; where one is lost, others are made for its blocks and asked."""
        deadline, done, lost = self._deadline(), set[Block](), ""
        for _ in range(ATTEMPTS):
            held = {block for actor in self._actors for block in actor.blocks}
            lost = self._hold([block for block in self._blocks if block not in held], deadline) or lost
            asked = [(actor, _begun(ask, actor)) for actor in self._actors if not done.issuperset(actor.blocks)]
            for actor, answer in asked:
                try:
                    found = self._answer(actor, answer, deadline)
                except _Lost as error:
                    self._actors.remove(actor)
                    lost = str(error)
                else:
                    done.update(actor.blocks)
                    yield found
            if done.issuperset(self._blocks):
                return
        raise SymgradError("SG656", f"workers were lost {ATTEMPTS} times in one step, the last time {lost}")

    def _hold(self, blocks: Sequence[Block], deadline: float | None) -> str:
        """Actors for these blocks, dealt out among the workers that there are; what was lost in that."""
        if not blocks:
            return ""
        workers, lost = sorted(self._workers(deadline)), ""
        made = []
        for place, address in enumerate(workers[: len(blocks)]):
            share, where = blocks[place :: len(workers)], {"workers": [address], "allow_other_workers": False}
            sources = self._futures_of(self.sources, share, **where)
            held = [self._read(each, sources[each], **where) for each in share]
            future = self._submit(worker.Keeper, self.job, [first for first, _ in share], *held, actor=True, **where)
            made.append((tuple(share), address, future))
        with self._waits([future for *_, future in made]):
            for share, address, future in made:
                self._done([future], deadline, {address})
                refusal = self._refusal(future)
                if future.status == "finished":
                    with self.client.as_current():  # an actor asks through the client that is there when it comes
                        self._actors.append(_Actor(share, address, future.result()))
                elif refusal is not None and refusal.code != "SG656":
                    raise refusal
                else:
                    lost = f"{address}: {refusal.message if refusal else 'it has left the cluster'}"
        return lost

    def _answer(self, actor: _Actor, answer: Any, deadline: float | None) -> Any:
        if answer is None:
            self._running()
            raise _Lost(f"{actor.address} had left the cluster before")
        while True:
            try:
                return answer.result(timeout=LOOK)
            except SymgradError:
                raise
            except TimeoutError:
                if actor.address not in self._workers(deadline):
                    raise _Lost(f"{actor.address} has left the cluster") from None
            except (OSError, RuntimeError) as error:
                self._running()
                raise _Lost(f"{actor.address}: {error}") from None

    # the cluster

    def _submit(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        key = f"{self._name}-{function.__name__}-{next(self._count)}"
        return self.client.submit(function, *args, key=key, pure=False, **options)

    def _futures_of(self, sources: Sequence[Any], blocks: Sequence[Block], **where: Any) -> dict[Block, list[Any]]:
        """The sources of blocks, futures for what dask computes."""
        delayed = [number for block in blocks for number in range(*block) if _is_collection(sources[number])]
        futures = dict(zip(delayed, self.client.compute([sources[n] for n in delayed], retries=self.retries, **where), strict=True))
        self._computed |= futures
        return {block: [futures.get(number, sources[number]) for number in range(*block)] for block in blocks}

    def _deadline(self) -> float | None:
        return None if self.timeout is None else time.monotonic() + self.timeout

    def _running(self) -> None:
        running(self.client.status)

    def _workers(self, deadline: float | None = None) -> set[str]:
        """The addresses of all workers; waits a while for one. Raises SG651, SG656 (also where it is past the deadline)."""
        until = time.monotonic() + PATIENCE
        while True:
            self._running()
            if deadline is not None and time.monotonic() > deadline:
                raise SymgradError("SG656", f"the step has not ended within {self.timeout} s")
            try:
                found = set(self.client.sync(self.client.scheduler.ncores, callback_timeout=ANSWER))
            except (OSError, TimeoutError) as error:
                self._running()
                raise SymgradError("SG656", f"the scheduler does not answer: {error}") from None
            if found:
                return found
            if time.monotonic() > until:
                raise SymgradError(
                    "SG656",
                    f"the cluster has had no worker for {PATIENCE:.0f} s",
                    hint="start one: dask worker ADDRESS; the log of one that left says why",
                )
            time.sleep(LOOK)

    def _done(self, futures: Sequence[Any], deadline: float | None, bound: Set[str] = frozenset()) -> None:
        """Wait until all are done, or a worker that they are bound to has left."""
        from distributed import CancelledError
        from distributed.client import wait

        while True:
            try:
                wait(futures, timeout=LOOK)
                return
            except TimeoutError:
                if not bound <= self._workers(deadline):
                    return
            except CancelledError:  # with the connection to the scheduler, or with data that nothing can compute again
                self._running()
                raise SymgradError("SG656", "the cluster has dropped the step: data that cannot be read again was lost") from None

    def _results(self, futures: Sequence[Any], made: Sequence[Any] = ()) -> list[Any]:
        """What futures are; they, and those that were made for them, are given back."""
        with self._waits(futures, made):
            self._done(futures, self._deadline())
            refusals = [refusal for future in futures if (refusal := self._refusal(future)) is not None]
            if refusals:
                raise refusals[0]
            return [future.result() for future in futures]

    def _refusal(self, future: Any) -> SymgradError | None:
        """Why a task failed, if it did."""
        from distributed import KilledWorker

        if future.status != "error":
            return None
        error = future.exception()
        unread = [(number, each) for number, each in self._computed.items() if each.status == "error"]
        match error:
            case SymgradError():
                return error
            case KilledWorker():
                count, last = 1 + error.allowed_failures, error.last_worker.address
                message = f"{count} workers ended while they did one task, the last of them {last}"
                return SymgradError("SG656", message, hint="is there memory for a shard? smaller shards need less")
            case ModuleNotFoundError() if (error.name or "").startswith("symgrad"):
                return SymgradError("SG655", "a worker has no symgrad", hint="install symgrad where workers start")
            case RuntimeError() if "deserialization of the task graph" in str(error):
                message = "the scheduler cannot read a task, since it has other libraries than the client, or no symgrad"
                return SymgradError("SG655", message, hint="install the same versions for the scheduler too")
            case _ if unread:
                return unreadable(unread[0][0], unread[0][1].exception())
        return SymgradError("SG656", f"a task failed on a worker: {type(error).__name__}: {error}")

    @contextmanager
    def _waits(self, futures: Sequence[Any], made: Sequence[Any] = ()) -> Iterator[None]:
        """What is not waited for any longer is not computed. made: is given back in the end."""
        try:
            yield
        except BaseException:
            if self.client.status == "running":
                self.client.cancel(futures)
            raise
        finally:
            self._computed = {}
            for future in made:  # now: the frames of a wait that was broken off hold theirs until Python looks for cycles
                future.release()


class _Lost(Exception):
    """An actor is gone."""


class _Actor(NamedTuple):
    blocks: tuple[Block, ...]
    address: str
    remote: Any


def _begun(ask: Callable[[_Actor], Any], actor: _Actor) -> Any:
    """The answer that is to come, or None where the actor is known to be lost."""
    try:
        return ask(actor)
    except RuntimeError:
        return None


def a_client(given: Any) -> Any:
    """Raises SG651 for what is no client, or one that is closed."""
    library = sys.modules.get("distributed")  # where there is a client, it is there
    if library is None or not isinstance(given, library.Client):
        message = f"a client of dask.distributed is needed, not {type(given).__name__}"
        raise SymgradError("SG651", message, hint="make one: distributed.Client(address)")
    if given.asynchronous:
        raise SymgradError("SG651", "the client is asynchronous, and an objective waits", hint="make it with asynchronous=False")
    running(given.status)
    return given


def running(status: str) -> None:
    """Raises SG651 (the client is closed), SG656 (it has lost its scheduler)."""
    if status in ("closed", "closing"):
        raise SymgradError("SG651", "the client is closed", hint="make another one: distributed.Client(address)")
    if status != "running":
        message = f"the connection to the scheduler is lost (the client is {status})"
        raise SymgradError("SG656", message, hint="start the scheduler again, then make a client and an objective anew")


@contextmanager
def _large_graphs() -> Iterator[None]:
    """Without dask's warning that there is more than 10 MB in a graph: parameters may be so large."""
    import dask

    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TiB"}):
        yield


def _is_collection(source: Any) -> bool:
    dask = sys.modules.get("dask")
    return dask is not None and bool(dask.is_dask_collection(source))


def _is_plain(source: Any) -> bool:
    return callable(source) and not _is_collection(source)


def _sources(shards: Any, batch: Sequence[str]) -> list[Any]:
    if isinstance(shards, Mapping) and shards and all(map(_is_collection, shards.values())):
        return _blocks(shards, batch)
    found = shard_list(shards)
    for number, source in enumerate(found):
        if not (callable(source) or isinstance(source, Mapping) or _is_future(source)):
            message = f"shard {number} is of type {type(source).__name__}"
            raise SymgradError("SG652", message, hint="a shard is a function that returns a dict of arrays, or one delayed by dask")
    return found


def _is_future(source: Any) -> bool:
    library = sys.modules.get("distributed")
    return library is not None and isinstance(source, library.Future)


def _blocks(arrays: Mapping[str, Any], batch: Sequence[str]) -> list[Any]:
    """Dask arrays by name → a delayed dict for each block of rows."""
    from dask.delayed import delayed

    for name, array in arrays.items():
        if any(count != 1 for count in array.numblocks[1:]):
            message = f"{name} is cut along other axes than the first: {array.numblocks} blocks"
            raise SymgradError("SG652", message, hint=f"rechunk it: {name}.rechunk({{1: -1}})")
    counts = {name: array.numblocks[0] for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{count} blocks of {name}" for name, count in counts.items())
        raise SymgradError("SG652", f"the arrays are cut into rows in different ways: {shown}", hint="rechunk them alike")
    parts = {name: array.to_delayed().reshape(-1) for name, array in arrays.items()}
    count = next(iter(counts.values()))
    return [delayed(dict)(**{name: parts[name][number] for name in parts}) for number in range(count)]
