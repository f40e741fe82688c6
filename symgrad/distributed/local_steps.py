"""Minibatch steps on one shard, from parameters that all shards share: the local part of averaging.

    round    every shard takes H steps on minibatches of its own; then θ ← Σ_s (m_s/M) θ_s

m_s of the M examples of a round are shard s's (McMahan et al. 2017, "Communication-efficient learning of deep networks from
decentralized data", algorithm 1; Stich 2019, "Local SGD converges fast and communicates little"). What an update rule keeps
is averaged as the parameters are (Yu, Jin & Yang 2019, algorithm 1). A shard goes through all its examples in every epoch, in
an order that follows from the seed, the epoch and its number, not from the worker; rates see the steps of the shard.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from symgrad.distributed.shards import Arrays, packed
from symgrad.kernel import Kernel
from symgrad.optimizers import Optimizer, Rule
from symgrad.running import Steps
from symgrad.train import ready

STATE = "state of the update rule "  # before the place of such an array: no quantity has a blank in its name


@dataclass(frozen=True)
class Rounds:
    """How shards of `rows` examples go through an epoch in rounds of `local_steps` steps."""

    rows: tuple[int, ...]
    batch_size: int | None
    local_steps: int

    def batch(self, shard: int) -> int:
        return max(1, min(self.batch_size or self.rows[shard], self.rows[shard]))

    def steps(self, shard: int) -> int:
        """In an epoch."""
        return -(-self.rows[shard] // self.batch(shard))

    @property
    def count(self) -> int:
        """Rounds of an epoch: until the shard with the most steps has done them."""
        return max(-(-self.steps(shard) // self.local_steps) for shard in range(len(self.rows)))

    def start(self, shard: int, number: int) -> int:
        """Where round `number` of an epoch starts among the examples of a shard."""
        return min(self.rows[shard], number * self.local_steps * self.batch(shard))

    def examples(self, number: int) -> Iterator[int]:
        """How many of each shard a round takes."""
        for shard in range(len(self.rows)):
            yield self.start(shard, number + 1) - self.start(shard, number)

    def settings(self, optimizer: Optimizer, params: tuple[str, ...], shuffle: bool, seed: int, epochs: int) -> dict[str, Any]:
        """What is the same in all rounds, in plain values: an update rule goes to the workers as its equations."""
        rule = asdict(replace(optimizer.rule))
        return {
            "rule": rule, "rates": optimizer.rates, "params": params, "shuffle": shuffle, "seed": seed, "epochs": epochs,
            "batch_size": self.batch_size, "limit": self.local_steps,
        }  # fmt: skip

    def place(self, shard: int, epoch: int, number: int) -> dict[str, int]:
        """Where a shard stands before a round."""
        start = self.start(shard, number)
        done = epoch * self.steps(shard) + -(-start // self.batch(shard))
        return {"shard": shard, "epoch": epoch, "start": start, "done": done}


def stepped(kernel: Kernel, given: Arrays, shard: Arrays, settings: Mapping[str, Any]) -> Any:
    """The steps of one round on one shard → the mean loss of their examples, the parameters, the state, as a vector."""
    rule = {name: _tuples(value) for name, value in settings["rule"].items()}
    optimizer = Optimizer(Rule(**rule), tuple(settings["rates"]))
    params = tuple(settings["params"])
    start = {name: given[name] for name in params}
    rest = {name: array for name, array in given.items() if name not in start and not name.startswith(STATE)}
    rows, first = len(next(iter(shard.values()))), settings["start"]
    if first >= rows:  # the epoch is done here; the weight of this vector is 0
        return packed([0.0, *start.values(), *(a for name, a in given.items() if name.startswith(STATE))], kernel.dtype)
    run = ready(kernel, start, {**rest, **shard}, optimizer, settings["batch_size"])
    epoch, seed = settings["epoch"], np.random.SeedSequence([settings["seed"], settings["epoch"], settings["shard"]])
    steps = Steps(run, settings["epochs"], settings["shuffle"], int(seed.generate_state(1)[0]))
    for place, array in enumerate(steps.state):
        np.copyto(array, given.get(f"{STATE}{place}", 0.0))
    if settings["shuffle"] and first:  # else the step itself shuffles
        run.module._shuffle(steps.order, steps.random)
    steps.clock[:3] = settings["done"], epoch, first
    fine = steps.steps(epoch + 1, settings["limit"])
    ended = steps.clock[1] > epoch
    loss = steps.history[epoch] * rows if ended else steps.sums[0]
    count = (rows if ended else int(steps.clock[2])) - first
    return packed([loss / count if fine else np.nan, *run.params.values(), *steps.state], kernel.dtype)


def _tuples(value: Any) -> Any:
    """Lists as the tuples that they were before they went through a text."""
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


def state_of(params: Arrays, optimizer: Optimizer) -> Arrays:
    """What the update rule keeps, before the first step: zeros, by the names that `stepped` looks for."""
    arrays = [np.zeros_like(array) for array in params.values() for _ in optimizer.rule.state]
    return {f"{STATE}{place}": array for place, array in enumerate(arrays)}
