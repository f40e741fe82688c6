"""An objective on the ranks of an MPI program: every rank makes it and calls it with the same arguments, and gets the same bits.

    mpiexec -n 4 python train.py        # in train.py: obj = sg.distributed.MPIObjective(p, shards, batch=["x", "y_star"])

Shards are read by the rank that they are dealt to. Each rank adds up its blocks, nodes of the tree (`shards.py`), into rows of an
array that is -0.0 elsewhere; the Allreduce thus adds nothing but -0.0, which changes no number in any order, and every rank
then adds up the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from symgrad.core.errors import SymgradError
from symgrad.core.program import Program
from symgrad.distributed.objective import Objective, shard_list
from symgrad.distributed.shards import Arrays, blocks_of, summed
from symgrad.distributed.worker import Held, block, describe, read


class MPIObjective(Objective):
    """J, grads = obj(**params) on every rank of `comm`, an mpi4py communicator (default: all ranks).

    shards: functions that return a dict of arrays, or such dicts, the same list on every rank. Settings as in `sg.compile`.
    Raises, on all ranks, SG611 (mpi4py), SG652 to SG654, SG655 (ranks differ), SG606, and as `sg.compile` does.
    """

    def __init__(self, program: Program, shards: Iterable[Any], comm: Any = None, *, batch: Iterable[str], **settings: Any):
        super().__init__(program, batch, **settings)
        self.comm = _world() if comm is None else comm
        sources = shard_list(shards)
        told = self.comm.allgather((self.job, len(sources)))
        differs = next((rank for rank, each in enumerate(told) if each != told[0]), None)
        if differs is not None:
            message = f"rank {differs} has another program, other versions or another number of shards than rank 0"
            raise SymgradError("SG655", message, hint="run the same program with the same libraries on every rank")
        self.blocks = blocks_of(len(sources), 4 * self.comm.size)
        own = range(self.comm.rank, len(self.blocks), self.comm.size)
        self._held: dict[int, Held] = self._together(lambda: {
            row: read(self.job, self.blocks[row][0], sources[slice(*self.blocks[row])]) for row in own
        })  # fmt: skip
        found = {
            row: pairs
            for each in self.comm.allgather({r: describe(h) for r, h in self._held.items()})
            for row, pairs in each.items()
        }
        self.learn([pair for row in sorted(found) for pair in found[row]])

    def sum_of(self, given: Arrays, weights: Sequence[float], steps: Sequence[Mapping[str, Any]] | None) -> Any:
        vectors = self._together(lambda: {
            row: block(self.job, self.order(*self.blocks[row], weights, steps), given, held) for row, held in self._held.items()
        })  # fmt: skip
        length = max(self.comm.allgather(max(map(len, vectors.values()), default=0)))
        rows = np.full((len(self.blocks), length), -0.0, self.kernel.dtype)
        for row, vector in vectors.items():
            rows[row] = vector
        found = np.empty_like(rows)
        self.comm.Allreduce(rows, found)
        return summed(found)

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
