"""The loop around compiled steps: progress, Ctrl-C, validation, patience, and the way back to the last good parameters.

Steps run inside compiled code for about 0.03 s at a time, so that Ctrl-C is answered within 0.5 s even where other work takes
most of the processor. All that they change is held in arrays, copied every second: where a loss is not finite, the steps since
the last copy are run again up to the one that fails, which is the same run.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from symgrad.backends.entry import Part
from symgrad.backends.module import module_text
from symgrad.backends.training import Training
from symgrad.core.errors import SymgradError
from symgrad.divergence import Diverged, diverged, finite
from symgrad.fitted import Fit, Show, progress_bar
from symgrad.kernel import Kernel, no_memory
from symgrad.optimizers import Optimizer

PIECE, COPIED = 0.03, 1.0  # seconds of compiled work at a time, and between copies


@dataclass
class Run:
    """Checked arrays and the loop that trains on them. `pace`: seconds a step, by sizes, from earlier runs."""

    kernel: Kernel
    training: Training
    module: ModuleType
    optimizer: Optimizer
    arrays: Mapping[str, Any]
    batch_size: int | None
    pace: dict[Any, float]

    def __post_init__(self) -> None:
        self.kernel.check_names(list(self.training.checks.arguments), self.arrays)
        try:
            sizes, arrays = self.module.check(*(self.arrays[name] for name in self.training.checks.arguments))
            kind = self.kernel.dtype
            self.params = {name: np.array(arrays[name], dtype=kind, copy=True, order="C") for name in self.training.params}
        except self.module.DataError as error:
            raise SymgradError(error.code, error.message, hint=error.hint) from None
        except (MemoryError, ValueError) as error:
            raise no_memory(error) from None
        self.sizes = dict(zip([s.symbol.name for s in self.training.checks.sizes], sizes, strict=True))
        self.data = {name: arrays[name] for name in self.training.data}
        self.examples = self.sizes[self.training.example_size] if self.training.example_size else 1
        if self.examples < 1:
            raise SymgradError("SG606", "there are no examples in the data")
        self.batch = min(self.batch_size or self.examples, self.examples) if not self.training.single else 1

    def epochs(self, epochs: int, shuffle: bool, seed: int, progress: bool, watch: Watch | None = None) -> Fit:
        try:
            steps = Steps(self, epochs, bool(shuffle), seed)
        except (MemoryError, ValueError) as error:
            raise no_memory(error) from None
        watch = watch or Watch()
        show = progress_bar(epochs, self.kernel.loss) if progress else lambda done, loss, validation: None
        steps.compile()
        with held() as pressed:
            try:
                self._loop(steps, watch, show, pressed)
            except KeyboardInterrupt:  # a second one, anywhere in a step: the last copy is of a step that was done whole
                steps.back()
                pressed.append(True)
            if not finite(self.params.values()):
                self._fail(steps)
        reason = "interrupted" if pressed else "patience" if watch.ended else ""
        return self._fit(steps, watch, reason)

    def _loop(self, steps: Steps, watch: Watch, show: Show, pressed: list[bool]) -> None:
        while steps.epoch < steps.planned and not (pressed or watch.ended):
            before = steps.epoch
            if not steps.advance(before + 1 if watch.watches else steps.planned):
                self._fail(steps)
            if steps.epoch > before:
                show(steps.epoch, steps.history[steps.epoch - 1], watch.after(self.params, steps.history[: steps.epoch]))

    def _fit(self, steps: Steps, watch: Watch, stopped: str) -> Fit:
        history = {self.kernel.loss: steps.history[: steps.epoch].copy()}
        validation = np.array(watch.losses[: steps.epoch]) if watch.value else None
        params = watch.best if watch.best is not None else self.params
        return Fit(params, history, validation, stopped, watch.best_epoch)

    def _fail(self, steps: Steps) -> None:
        steps.last_good()
        fit = Fit(self.params, {self.kernel.loss: steps.history[: steps.epoch].copy()}, None, "diverged")
        rows = steps.next_rows()
        data = {n: a[rows] if n in self.training.batched else a for n, a in self.data.items()}
        raise diverged(self.kernel, fit, data, int(steps.clock[0]) + 1, steps.epoch + 1, steps.one_more)


class Steps:
    """The arrays that steps change, and running them. `clock`: steps, epochs, examples of this epoch done; steps, epochs in all."""

    def __init__(self, run: Run, epochs: int, shuffle: bool, seed: int):
        self.run, self.planned, self.shuffle = run, epochs, shuffle
        training, kind = run.training, np.dtype(run.kernel.dtype).type
        here = {**run.sizes, **({training.example_size: run.batch} if training.example_size else {})}
        sizes = [here[size.symbol.name] for size in training.step.sizes]
        outer = [here[s.symbol.name] for s in training.step.sizes if s.symbol.name != training.example_size]
        self.state = [np.zeros_like(run.params[owner]) for owner in training.owners]
        self.order, self.random = np.arange(run.examples), np.array([seed % 2147483646 + 1], dtype=np.int64)
        self.clock = np.array([0, 0, 0, epochs * -(-run.examples // run.batch), epochs], dtype=np.int64)
        self.sums, self.history = np.zeros(1), np.empty(epochs)
        rates = [kind(value) for value in run.optimizer.rates]
        carried, buffers = run.module.buffers(*sizes)
        self.rest = [*outer, *run.data.values(), *run.params.values(), *self.state, *rates, *carried, *buffers]
        self.moving = [*run.params.values(), *self.state, *carried, self.order, self.random, self.clock, self.sums]
        self.key = tuple(sizes)
        self.copy()

    @property
    def epoch(self) -> int:
        """The number of epochs that are done."""
        return int(self.clock[1])

    def copy(self) -> None:
        self.kept, self.copied = [array.copy() for array in self.moving], time.perf_counter()

    def back(self) -> None:
        for array, old in zip(self.moving, self.kept, strict=True):
            np.copyto(array, old)

    def steps(self, epochs: int, limit: int) -> bool:
        head = (self.run.batch, self.shuffle, self.order, self.random, self.history, self.clock, self.sums)
        return bool(self.run.module._train(epochs, limit, *head, *self.rest))

    def compile(self) -> None:
        """Before Ctrl-C is held, so that it may break compiling off."""
        if self.planned and self.key not in self.run.pace:
            self.steps(0, 0)

    def advance(self, epochs: int) -> bool:
        """A piece of the run, at most up to the end of `epochs`: whether all is finite."""
        pace = self.run.pace.get(self.key)
        limit = max(1, int(PIECE / pace)) if pace else 1
        start, before = time.perf_counter(), int(self.clock[0])
        fine = self.steps(epochs, limit)
        now = time.perf_counter()
        self.run.pace[self.key] = max(now - start, 1e-7) / max(1, int(self.clock[0]) - before)
        if fine and now - self.copied > COPIED:
            fine = finite(self.run.params.values())
            if fine:
                self.copy()
        return fine

    def last_good(self) -> None:
        """Go back to the last step after which all parameters are finite and before a loss that is not.

        Between a copy that is good and the step that is not, halves are run again: less than all steps since the copy.
        """
        clock = next(old for array, old in zip(self.moving, self.kept, strict=True) if array is self.clock)
        good, bad = int(clock[0]), int(self.clock[0])
        self.back()
        while bad - good > 1:
            middle = (good + bad) // 2
            if self.steps(int(self.clock[4]), middle - good) and finite(self.run.params.values()):
                self.copy()
                good = middle
            else:
                self.back()
                bad = middle

    def next_rows(self) -> Any:
        """The examples of the next step."""
        order, random, first = self.order.copy(), self.random.copy(), int(self.clock[2])
        if self.shuffle and first == 0:
            self.run.module._shuffle(order, random)
        return order[first : first + self.run.batch]

    def one_more(self) -> dict[str, Any]:
        """The parameters after the next step, which is not kept."""
        self.copy()
        self.steps(int(self.clock[4]), 1)
        after = {name: array.copy() for name, array in self.run.params.items()}
        self.back()
        return after


@dataclass
class Watch:
    """The loss after each epoch, and whether it has stopped getting better."""

    value: Callable[[Mapping[str, Any]], float] | None = None
    patience: int | None = None
    uphill: bool = False

    def __post_init__(self) -> None:
        self.losses: list[float] = []
        self.best: dict[str, Any] | None = None
        self.best_epoch: int | None = None
        self.ended = False

    @staticmethod
    def of(run: Run, validation: Mapping[str, Any] | None, patience: int | None) -> Watch:
        """Raises as a call of the kernel does where the validation data do not fit."""
        value = None if validation is None else _loss_of(run, validation)
        return Watch(value, patience, run.kernel.program.goal == "maximize")

    @property
    def watches(self) -> bool:
        return self.value is not None or self.patience is not None

    def after(self, params: Mapping[str, Any], history: Any) -> float | None:
        """The loss of the validation data, where there are any; takes note of whether it is the best so far."""
        if not self.watches:
            return None
        found = self.value(params) if self.value else None
        self.losses.append(float(history[-1]) if found is None else found)
        if self.patience is not None:
            here, best = self.losses[-1], self.losses[(self.best_epoch or 1) - 1]
            if (here > best if self.uphill else here < best) or (self.best_epoch is None and np.isfinite(here)):
                self.best, self.best_epoch = {name: array.copy() for name, array in params.items()}, len(self.losses)
            self.ended = len(self.losses) - (self.best_epoch or 0) >= self.patience
        return found


def _loss_of(run: Run, validation: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], float]:
    """The compiled loss of the validation data, checked now; what it does not give is as in the training data."""
    kernel, loss = run.kernel, run.kernel.loss
    kernel.check_names([*run.training.data], {**run.data, **validation})
    part = Part("forward", run.training.checks, {loss: loss}, f"{loss} alone.")
    alone = Kernel(kernel.program, kernel.primal, loss, kernel.wrt, kernel.batch, kernel.dtype, kernel.backend, module_text(
        kernel.program, [part], kernel.dtype, kernel.backend
    ))  # fmt: skip
    whole = {n: np.array(a, kernel.dtype) if np.asarray(a).dtype.kind == "f" else a for n, a in validation.items()}
    if any(np.shape(whole[name])[:1] == (0,) for name in run.training.batched if name in whole):
        raise SymgradError("SG606", "there are no examples in the validation data")
    given = {**run.data, **whole}

    def value(params: Mapping[str, Any]) -> float:
        return float(alone.forward(**given, **params)[loss])

    value(run.params)
    return value


@contextmanager
def held() -> Iterator[list[bool]]:
    """Ctrl-C is noted, so that a step of NumPy is done whole; a second one is not held."""
    found: list[bool] = []
    if threading.current_thread() is not threading.main_thread():
        yield found  # no Ctrl-C comes here
        return

    def note(number: int, frame: Any) -> None:
        if found or before is not signal.default_int_handler:
            before(number, frame) if callable(before) else None
        found.append(True)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield found
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)


__all__ = ["Diverged", "Fit", "Run", "Watch"]
