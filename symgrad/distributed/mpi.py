"""An objective on the ranks of an MPI program: every rank makes it and calls it with the same arguments, and gets the same bits.

    mpiexec -n 4 python train.py        # in train.py: obj = sg.distributed.MPIObjective(p, shards, batch=["x", "y_star"])

Shards are read by the rank that they are dealt to. Each rank adds up its blocks, nodes of the tree (`shards.py`), and gets those
of all others, of which every rank adds up the same tree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from symgrad.core.errors import SymgradError
from symgrad.core.program import Program
from symgrad.distributed.objective import Objective, shard_list
from symgrad.distributed.shards import Arrays, Block, blocks_of, summed
from symgrad.distributed.worker import block, describe, read


class MPIObjective(Objective):
    """J, grads = obj(**params) on every rank of `comm`, an mpi4py communicator (default: all ranks).

    shards: functions that return a dict of arrays, or such dicts, the same list on every rank. Settings as in `sg.compile`.
    Raises, on all ranks, SG611 (mpi4py), SG652 to SG654, SG655 (ranks differ), SG606, and as `sg.compile` does.
    """

    def __init__(self, program: Program, shards: Iterable[Any], comm: Any = None, *, batch: Iterable[str], **settings: Any):
        super().__init__(program, batch, **settings)
        self.comm, sources = _world() if comm is None else comm, shard_list(shards)
        told = self.comm.allgather((self.job, len(sources)))
        differs = next((rank for rank, each in enumerate(told) if each != told[0]), None)
        if differs is not None:
            message = f"rank {differs} has another program, other versions or another number of shards than rank 0"
            raise SymgradError("SG655", message, hint="run the same program with the same libraries on every rank")
        self.blocks = blocks_of(len(sources), 4 * self.comm.size)[self.comm.rank :: self.comm.size]
        self._held = self._together(lambda: {each: read(self.job, each[0], sources[slice(*each)]) for each in self.blocks})
        self.learn([pair for pairs in self._of_all({each: describe(held) for each, held in self._held.items()}) for pair in pairs])

    def sum_of(self, given: Arrays, weights: Sequence[float], steps: Sequence[Mapping[str, Any]] | None) -> Any:
        orders = {each: self.order(*each, weights, steps) for each in self.blocks}
        return summed(self._of_all(self._together(
            lambda: {each: block(self.job, orders[each], given, held) for each, held in self._held.items()}
        )))  # fmt: skip

    def _of_all(self, found: dict[Block, Any]) -> list[Any]:
        """What all ranks found for their blocks, in the order of these."""
        everything = {each: value for own in self.comm.allgather(found) for each, value in own.items()}
        return [everything[each] for each in sorted(everything)]

    def _together(self, work: Callable[[], Any]) -> Any:
        """The work of this rank; an error of any rank is raised on all, so that none waits for ever."""
        try:
            found, error = work(), None
        except SymgradError as refused:
            found, error = None, refused
        for each in self.comm.allgather(error):
            if each is not None:
                raise each
        return found


def _world() -> Any:
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # no mpi4py, or no MPI library that it finds
        raise SymgradError("SG611", f"mpi4py is needed for an MPIObjective: {error}", hint="pip install 'symgrad[mpi]'") from None
    return MPI.COMM_WORLD
