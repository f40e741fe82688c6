"""What runs on workers: reading the shards of a block, their gradients or local steps, and adding up vectors.

A vector is the loss and then the gradients, in the order of `wrt`, all numbers in the kernel's type; for local steps it is the
loss, the parameters and the state of the update rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from symgrad.core.errors import SymgradError
from symgrad.distributed.job import kernel_of, kinds
from symgrad.distributed.local_steps import stepped
from symgrad.distributed.shards import Arrays, Description, described, opened, packed, summed, unchanged
from symgrad.kernel import Kernel

Held = list[Arrays]
# (number of the first shard, weights, settings of local steps or none) of a block, by each shard
Order = tuple[int, Sequence[float], Sequence[Mapping[str, Any]] | None]


def read(job: str, first: int, sources: Sequence[Any], digests: Sequence[str] = ()) -> Held:
    """The arrays of a block's shards. digests: of an earlier reading. Raises SG653, SG654, SG655, SG657."""
    return list(_each(kernel_of(job), first, sources, digests))


def _each(kernel: Kernel, first: int, sources: Sequence[Any], digests: Sequence[str]) -> Iterator[Arrays]:
    for number, source in enumerate(sources, first):
        arrays = opened(source, number, kernel.batch, kinds(kernel.program, kernel.batch, kernel.dtype))
        if digests:
            unchanged(arrays, number, digests[number - first])
        yield arrays


def describe(held: Iterable[Arrays]) -> list[tuple[Description, Arrays]]:
    """Each shard, with its first row."""
    return [(described(arrays), {name: array[:1].copy() for name, array in arrays.items()}) for arrays in held]


def describe_sources(job: str, first: int, sources: Sequence[Any]) -> list[tuple[Description, Arrays]]:
    """The same, and nothing is kept: one shard after the other."""
    return describe(_each(kernel_of(job), first, sources, ()))


def block(job: str, order: Order, given: Arrays, held: Iterable[Arrays]) -> Any:
    """The sum of a block's weighted vectors, a node of the tree."""
    kernel = kernel_of(job)
    return summed(_vectors(kernel, order, given, held))


def block_of_sources(job: str, order: Order, given: Arrays, sources: Sequence[Any], digests: Sequence[str]) -> Any:
    """The same of shards that are read now and not kept."""
    kernel = kernel_of(job)
    return summed(_vectors(kernel, order, given, _each(kernel, order[0], sources, digests)))


def _vectors(kernel: Kernel, order: Order, given: Arrays, held: Iterable[Arrays]) -> Iterator[Any]:
    first, weights, steps = order
    for place, (arrays, weight) in enumerate(zip(held, weights, strict=True)):
        try:
            yield _vector(kernel, given, arrays, weight, steps[place] if steps else None)
        except SymgradError as error:
            raise SymgradError(error.code, f"shard {first + place}: {error.message}", hint=error.hint) from None


def _vector(kernel: Kernel, given: Arrays, arrays: Arrays, weight: float, steps: Mapping[str, Any] | None) -> Any:
    kind = np.dtype(kernel.dtype).type
    if steps is not None:
        return stepped(kernel, given, arrays, steps) * kind(weight)
    if not weight:  # no examples; -0.0 is what changes no sum, 0.0 would make 0.0 of another -0.0
        return np.full(1 + sum(np.size(given[name]) for name in kernel.wrt), -0.0, kind)
    loss, grads = kernel(**given, **arrays)
    return packed([loss, *(grads[name] for name in kernel.wrt)], kind) * kind(weight)


def total(vectors: Sequence[Any]) -> Any:
    return summed(vectors)


def handed(given: Arrays) -> Arrays:
    """Arrays as they are: a task, so that a worker that is lost takes nothing with it."""
    return given


class Keeper:
    """An actor: holds blocks where it lives, and answers with their vectors."""

    def __init__(self, job: str, firsts: Sequence[int], *blocks: Held):
        self.job, self.blocks = job, dict(zip(firsts, blocks, strict=True))

    def describe(self) -> dict[int, list[tuple[Description, Arrays]]]:
        return {first: describe(held) for first, held in self.blocks.items()}

    def vectors(self, orders: Sequence[Order], given: Arrays) -> dict[int, Any]:
        return {order[0]: block(self.job, order, given, self.blocks[order[0]]) for order in orders}
