"""Training on an objective over shards, with the settings and the result of `Kernel.fit`.

Each epoch is one step of the update rule from the gradient over all examples, as `Kernel.fit` does with batch_size=None. With
`local_steps` each shard takes so many minibatch steps by itself, and the parameters are averaged (`local_steps.py`).

>>> import numpy as np, symgrad as sg
>>> p = sg.parse("param w; input x, y; J = (w*x - y)^2; minimize J")
>>> parts = [{"x": np.full(8, x), "y": np.full(8, 3*x)} for x in (1.0, 2.0)]
>>> obj = sg.distributed.LocalObjective(p, parts, batch=["x", "y"], backend="numpy")
>>> f = obj.fit({"w": 0.0}, optimizer=sg.Momentum(0.02), epochs=200, progress=False)
>>> round(float(f.params["w"]), 3)
3.0
>>> f = obj.fit({"w": 0.0}, optimizer=sg.SGD(0.05), epochs=20, local_steps=2, batch_size=2, progress=False)
>>> round(float(f.params["w"]), 3)
3.0
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from symgrad.compiler import compile
from symgrad.core.errors import SymgradError
from symgrad.distributed.local_steps import Rounds, state_of
from symgrad.distributed.objective import Objective
from symgrad.distributed.shards import Arrays, packed, unpacked
from symgrad.divergence import HINT, Diverged, finite
from symgrad.fitted import Fit, progress_bar
from symgrad.frontend.text import parse
from symgrad.kernel import Kernel
from symgrad.optimizers import SGD, Optimizer, clipped
from symgrad.running import Steps, Watch, held
from symgrad.train import ready, whole_number

BATCH = 32  # the batch_size of `Kernel.fit`, which has nothing to choose where a step takes all examples
# its gradient by p is g, so that a step on it is the update rule
UPDATE = "param p[i]; input g[i]; J = sum(p[i]*g[i] for i); {goal} J"


def fit(
    objective: Objective,
    params: Mapping[str, Any],
    data: Mapping[str, Any],
    optimizer: Optimizer | None = None,
    epochs: int = 10,
    batch_size: int | None = None,
    shuffle: bool = True,
    seed: int = 0,
    progress: bool = True,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    validation: Mapping[str, Any] | None = None,
    patience: int | None = None,
    local_steps: int | None = None,
) -> Fit:
    """params: what is trained, left untouched. data: what the loss needs else, and no shard holds.

    local_steps: steps that a shard takes between two averages, on minibatches of `batch_size` of its examples (None: all);
    without it, there is one step an epoch, and `batch_size`, `shuffle` and `seed` have nothing to choose. All else as in
    `Kernel.fit`. validation: batched data, in this process. Ctrl-C ends the training after the running step or round.
    Raises as `Kernel.fit` and the objective do, `Diverged` (an SG607) among them.
    """
    epochs, seed = whole_number("epochs", epochs, 0), whole_number("seed", seed, 0)
    patience = None if patience is None else whole_number("patience", patience, 1)
    if batch_size is not None and local_steps is None:
        message = "batch_size is the minibatch of local steps, and local_steps is not given"
        raise SymgradError(
            "SG608", message, hint="pass local_steps=1 for one minibatch of each shard a step, or leave batch_size out"
        )
    objective.trains(params)
    given = objective.checked({**data, **params})
    optimizer = SGD() if optimizer is None else optimizer
    if not isinstance(optimizer, Optimizer):
        raise SymgradError("SG608", f"optimizer must be one such as sg.SGD(0.1), and is of type {type(optimizer).__name__}")
    rule = clipped(optimizer, clip_value, clip_norm)
    run = _Run(objective, given, tuple(params), rule, epochs)
    if local_steps is None:
        step = run.whole()
    else:
        batch_size = None if batch_size is None else whole_number("batch_size", batch_size, 1)
        step = run.rounds(Rounds(objective.rows, batch_size, whole_number("local_steps", local_steps, 1)), bool(shuffle), seed)
    watch = Watch(_loss_of(objective, given, validation), patience, objective.kernel.program.goal == "maximize")
    return run.epoch_loop(step, watch, progress)


def fit_kernel(
    kernel: Kernel,
    objective: Any,
    params: Mapping[str, Any],
    data: Mapping[str, Any],
    optimizer: Optimizer | None,
    epochs: int,
    batch_size: int | None,
    *settings: Any,
) -> Fit:
    """`Kernel.fit` over the shards of an objective. Raises as `fit`, SG608 where it is none, or one of another model."""
    if objective is None:
        raise SymgradError("SG608", "local_steps is given, and objective is not", hint="pass the objective over shards")
    if not isinstance(objective, Objective):
        message = f"objective must be one such as sg.distributed.LocalObjective, and is of type {type(objective).__name__}"
        raise SymgradError("SG608", message, hint="pass the shards' objective, and other arrays as data")
    own, other = ((str(each.program), each.loss, each.dtype) for each in (kernel, objective.kernel))
    if own != other:
        what = (
            "its program is not the kernel's"
            if own[0] != other[0]
            else f"{' and '.join(other[1:])}, and not {' and '.join(own[1:])}"
        )
        raise SymgradError("SG608", f"the objective is of another model: {what}", hint="make both from one program")
    whole = settings[-1] is None and batch_size == BATCH  # as it stands in `Kernel.fit`
    return fit(objective, params, data, optimizer, epochs, None if whole else batch_size, *settings)


def _loss_of(
    objective: Objective, given: Arrays, validation: Mapping[str, Any] | None
) -> Callable[[Mapping[str, Any]], float] | None:
    if validation is None:
        return None
    kernel, rest = objective.kernel, {**given, **validation}

    def value(params: Mapping[str, Any]) -> float:
        return float(kernel(**{**rest, **params})[0])

    value({})
    return value


@dataclass
class _Run:
    """Parameters as the last whole step left them."""

    objective: Objective
    given: Arrays
    names: tuple[str, ...]
    optimizer: Optimizer
    epochs: int
    history: list[float] = field(default_factory=list)
    steps: int = 0

    @property
    def params(self) -> Arrays:
        return {name: np.array(self.given[name]) for name in self.names}

    def epoch_loop(self, step: Callable[[int], float], watch: Watch, progress: bool) -> Fit:
        kernel = self.objective.kernel
        show = progress_bar(self.epochs, kernel.loss) if progress else lambda done, loss, validation: None
        with held() as pressed:
            try:
                for epoch in range(self.epochs):
                    if pressed or watch.ended:
                        break
                    self.history.append(step(epoch))
                    show(epoch + 1, self.history[-1], watch.after(self.params, self.history))
            except KeyboardInterrupt:  # a second one; parameters change between steps only
                pressed.append(True)
        stopped = "interrupted" if pressed else "patience" if watch.ended else ""
        return self.found(stopped, watch)

    def found(self, stopped: str, watch: Watch | None = None) -> Fit:
        losses, best = np.array(self.history), watch and watch.best
        validation = np.array(watch.losses) if watch and watch.value else None
        history = {self.objective.kernel.loss: losses}
        return Fit(best or self.params, history, validation, stopped, watch.best_epoch if watch else None)

    def whole(self) -> Callable[[int], float]:
        """One step an epoch, from the gradient over all examples."""
        kernel = self.objective.kernel
        like = {name: self.given[name] for name in self.names}
        vector = packed(like.values(), kernel.dtype)
        program = parse(UPDATE.format(goal=kernel.program.goal or "minimize"))
        plain = compile(program, wrt=["p"], dtype=kernel.dtype, backend=kernel.backend)
        slope = np.zeros_like(vector)
        run = ready(plain, {"p": vector}, {"g": slope}, self.optimizer, None)
        steps = Steps(run, self.epochs, False, 0)

        def step(epoch: int) -> float:
            loss, grads = self.objective(**self.given)
            np.copyto(slope, packed([grads[name] for name in self.names], kernel.dtype))
            self.steps += 1
            self.require([loss], epoch, f"{kernel.loss} became {loss}")
            for name in self.names:
                self.require([grads[name]], epoch, f"{kernel.loss} is finite, but its gradient by {name} is not")
            steps.steps(steps.planned, 1)
            self.require([run.params["p"]], epoch, "the loss and its gradients are finite, but the update is not")
            self.given |= {name: np.array(array) for name, array in unpacked(run.params["p"], like).items()}
            return float(loss)

        return step

    def rounds(self, rounds: Rounds, shuffle: bool, seed: int) -> Callable[[int], float]:
        """Local steps and averages until every shard has gone through its examples."""
        kernel = self.objective.kernel
        if kernel.checkpoint is not False:
            message = "an objective with checkpoint= takes no local steps: they keep whole arrays"
            raise SymgradError("SG408", message, hint="leave local_steps= out, or checkpoint=")
        settings = rounds.settings(self.optimizer, self.names, shuffle, seed, self.epochs)
        state = state_of({name: self.given[name] for name in self.names}, self.optimizer)

        def step(epoch: int) -> float:
            total = 0.0
            for number in range(rounds.count):
                examples = list(rounds.examples(number))
                weights = [count / sum(examples) for count in examples]
                orders = [{**settings, **rounds.place(shard, epoch, number)} for shard in range(len(examples))]
                vector = self.objective.sum_of({**self.given, **state}, weights, orders)
                self.steps += 1
                self.require([vector[0]], epoch, f"{kernel.loss} became {vector[0]}")
                self.require([vector], epoch, "the loss is finite, but the parameters are not")
                found = unpacked(vector[1:], {**{name: self.given[name] for name in self.names}, **state})
                found = {name: np.array(array) for name, array in found.items()}
                self.given |= {name: found.pop(name) for name in self.names}
                state.update(found)
                total += float(vector[0]) * sum(examples)
            return total / sum(rounds.rows)

        return step

    def require(self, arrays: list[Any], epoch: int, what: str) -> None:
        if not finite(arrays):
            error = Diverged("SG607", f"training broke off in step {self.steps} (epoch {epoch + 1}): {what}", None, HINT)
            error.fit = self.found("diverged")
            raise error
