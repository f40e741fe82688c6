"""One objective over shards of examples that lie on many machines: J and its gradients, as a kernel gives them on one.

`DaskObjective` runs on a cluster of dask.distributed, `MPIObjective` on the ranks of an MPI program, `LocalObjective` in this
process; all three give the same bits. The libraries are needed by those who use them: dask comes with the client that is passed,
and mpi4py is imported when an `MPIObjective` is made.
"""

from symgrad.distributed.dask import DaskObjective
from symgrad.distributed.mpi import MPIObjective
from symgrad.distributed.objective import LocalObjective

__all__ = ["DaskObjective", "LocalObjective", "MPIObjective"]
