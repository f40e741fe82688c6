"""An objective over shards: called as a kernel is, with all that the shards do not hold.

`Objective` is what users call; where shards lie and who adds them up is the affair of `LocalObjective` (this process),
`dask.DaskObjective` and `mpi.MPIObjective`. All of them add up by the same tree, so they agree to the last bit.

>>> import numpy as np, symgrad as sg
>>> p = sg.parse("param w; input x, y; J = (w*x - y)^2; minimize J")
>>> parts = [{"x": np.array([1.0, 2.0]), "y": np.array([2.0, 4.0])}, {"x": np.array([3.0]), "y": np.array([5.0])}]
>>> obj = LocalObjective(p, parts, batch=["x", "y"], backend="numpy")
>>> J, grads = obj(w=1.0)
>>> float(J), float(grads["w"])
(3.0, -7.333333333333333)
>>> fun, theta = obj.flat({"w": 1.0})
>>> value, slope = fun(theta)
>>> float(value), slope.tolist()
(3.0, [-7.333333333333333])
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from symgrad.core.errors import SymgradError
from symgrad.core.program import Program, a_program, name_list
from symgrad.core.source import written_name
from symgrad.distributed.job import job_of
from symgrad.distributed.shards import Arrays, Description, same_examples, summed, unpacked
from symgrad.distributed.worker import Held, Order, block, describe, read
from symgrad.flat import Flat, flat
from symgrad.running import Fit


class Objective(ABC):
    """The mean loss over all examples of all shards, and its gradients.

    `kernel`: the kernel of one shard. `rows`: how many examples each shard has. `example`: one of them, arrays of one row.
    """

    def __init__(self, program: Program, batch: Iterable[str], **settings: Any):
        """settings: as those of `sg.compile`. Raises as it does, and SG652 (`batch` names nothing)."""
        names = tuple(name_list(batch))
        if not names:
            message = "batch names nothing, so nothing tells what is an example"
            raise SymgradError("SG652", message, hint='name the inputs that the shards hold: batch=["x", "y_star"]')
        settings = {name: name_list(value) if name == "wrt" and value is not None else value for name, value in settings.items()}
        self.kernel, self.job = job_of(a_program(program), {"batch": names, **settings})
        self.wanted = [name for name in self.kernel.parts[0].schedule.arguments if name not in names]
        unused = [name for name in names if name not in self.kernel.parts[0].schedule.arguments]
        if unused:
            message = f"{self.kernel.loss} and its gradients do not depend on {written_name(unused[0])}"
            raise SymgradError("SG652", message, hint="leave it out of batch=, and of the shards")
        held = [name for name in self.kernel.wrt if name in names]
        if held:
            message = f"{written_name(held[0])} lies in the shards, so that there is no gradient by it here"
            raise SymgradError("SG652", message, hint="name in wrt what the shards do not hold")
        self.rows: tuple[int, ...] = ()
        self.digests: tuple[str, ...] = ()
        self.example: Arrays = {}

    def __call__(self, /, **arrays: Any) -> tuple[Any, dict[str, Any]]:
        """The loss and its gradients by name, in the shapes of the arrays. Raises as a kernel does, and what the shards raise."""
        given = self.checked(arrays)
        vector = self.sum_of(given, [rows / sum(self.rows) for rows in self.rows], None)
        return vector[0], unpacked(vector[1:], {name: given[name] for name in self.kernel.wrt})

    def flat(self, params: Mapping[str, Any], /, **data: Any) -> tuple[Flat, Any]:
        """`fun, theta0` as `Kernel.flat` gives them, without `hvp`; data: what the loss needs else.

        Raises SG609 (not in wrt), SG633, and as a call does.
        """
        return flat(self, self.kernel, lambda **arrays: self.checked(arrays), params, data)

    def fit(self, params: Mapping[str, Any], data: Mapping[str, Any] | None = None, optimizer: Any = None, **settings: Any) -> Fit:
        """Train `params`; `symgrad.distributed.fitting.fit` has the settings. The result is that of `Kernel.fit`."""
        from symgrad.distributed.fitting import fit

        return fit(self, params, data or {}, optimizer, **settings)

    def trains(self, params: Mapping[str, Any]) -> None:
        """Raises SG609 where there is no gradient by one of them."""
        foreign = [name for name in params if name not in self.kernel.wrt]
        if foreign:
            message = f"{foreign[0]} is not among the objective's wrt: {', '.join(self.kernel.wrt)}"
            raise SymgradError("SG609", message, hint="make the objective with wrt=[…] that names it")

    def checked(self, arrays: Mapping[str, Any]) -> Arrays:
        """The arrays as the kernel takes them, looked at beside a row of the data before anything is sent."""
        for name in arrays:
            if name in self.kernel.batch:
                raise SymgradError("SG601", f"{written_name(name)} lies in the shards", hint=f"pass {', '.join(self.wanted)}")
        self.kernel.check_names(self.wanted, arrays)
        found = self.kernel.checked(**arrays, **self.example)
        return {name: found[name] for name in self.wanted}

    def learn(self, found: Sequence[tuple[Description, Arrays]]) -> None:
        """Take note of what the shards are. Raises SG606, SG654."""
        shards = [each for each, _ in found]
        same_examples(shards)
        self.rows, self.digests = tuple(each.rows for each in shards), tuple(each.digest for each in shards)
        self.example = next(row for each, row in found if each.rows)

    def order(self, first: int, stop: int, weights: Sequence[float], steps: Sequence[Mapping[str, Any]] | None) -> Order:
        return first, list(weights[first:stop]), list(steps[first:stop]) if steps else None

    @abstractmethod
    def sum_of(self, given: Arrays, weights: Sequence[float], steps: Sequence[Mapping[str, Any]] | None) -> Any:
        """The sum by the tree of the shards' weighted vectors (`symgrad.distributed.worker`)."""

    def __repr__(self) -> str:
        kernel, count = self.kernel, len(self.rows)
        return f"<{type(self).__name__} of {kernel.loss} over {sum(self.rows):,} examples in {count} shards; {kernel.dtype}>"


def shard_list(shards: Any) -> list[Any]:
    """Raises SG652 for none at all."""
    if isinstance(shards, str | Mapping) or not isinstance(shards, Iterable):
        message = f"shards are a list, one item each, and this is of type {type(shards).__name__}"
        raise SymgradError("SG652", message, hint="give functions that return a dict of arrays, one function a shard")
    found = list(shards)
    if not found:
        raise SymgradError("SG652", "there are no shards", hint="give functions that return a dict of arrays, one function a shard")
    return found


class LocalObjective(Objective):
    """The shards one after the other in this process: what a cluster computes, to the last bit, without one.

    shards: functions that return a dict of arrays, or such dicts. keep=False reads a shard whenever it is needed, so that one
    is in memory at a time. Other settings as in `sg.compile`.
    Raises SG652 to SG654, SG606, and as `sg.compile` does.
    """

    def __init__(self, program: Program, shards: Iterable[Any], batch: Iterable[str], keep: bool = True, **settings: Any):
        super().__init__(program, batch, **settings)
        self.sources = shard_list(shards)
        self._held: list[Held | None] = []
        found = []
        for number in range(len(self.sources)):
            held = read(self.job, number, [self.sources[number]])
            found += describe(held)
            self._held.append(held if keep else None)
        self.learn(found)

    def sum_of(self, given: Arrays, weights: Sequence[float], steps: Sequence[Mapping[str, Any]] | None) -> Any:
        return summed(self._vector(number, given, weights, steps) for number in range(len(self.rows)))

    def _vector(self, number: int, given: Arrays, weights: Sequence[float], steps: Sequence[Mapping[str, Any]] | None) -> Any:
        held = self._held[number]
        if held is None:
            held = read(self.job, number, [self.sources[number]], [self.digests[number]])
        return block(self.job, self.order(number, number + 1, weights, steps), given, held)
