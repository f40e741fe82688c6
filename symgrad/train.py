"""Compiled training: gradient, update rule and epoch loop run inside the compiled code.

The rules stand in `optimizers.py`, learning rates as equations in `rates.py`, the step that is made of them in `update.py`;
`running.py` is the loop around the compiled steps, `divergence.py` finds what was not finite.

>>> import symgrad as sg
>>> k = sg.compile(sg.parse("param w; J = (w - 3)^2; minimize J"), backend="numpy")
>>> f = fit(k, {"w": 0.0}, {}, sg.SGD("1/(1 + t)"), epochs=20, progress=False)
>>> round(float(f.params["w"]), 3)
3.0
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np

from symgrad.backends.load import load
from symgrad.backends.training import First, Training, training_text
from symgrad.compiler import lower, optimize
from symgrad.core.errors import SymgradError
from symgrad.core.graph import ancestors
from symgrad.divergence import Diverged
from symgrad.kernel import Kernel
from symgrad.optimizers import SGD, Adagrad, Adam, AdamW, Momentum, Nesterov, Optimizer, RMSProp, Rule, an_optimizer, clipped
from symgrad.running import Fit, Run, Watch
from symgrad.schedule.ahead import ahead
from symgrad.schedule.order import schedule
from symgrad.schedule.turned import turned
from symgrad.update import step_program

__all__ = [
    "SGD", "Adagrad", "Adam", "AdamW", "Diverged", "Fit", "Momentum", "Nesterov", "Optimizer", "RMSProp", "fit", "plan", "ready",
]  # fmt: skip


def fit(
    kernel: Kernel,
    params: Mapping[str, Any],
    data: Mapping[str, Any],
    optimizer: Optimizer | None = None,
    epochs: int = 10,
    batch_size: int | None = 32,
    shuffle: bool = True,
    seed: int = 0,
    progress: bool = True,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    validation: Mapping[str, Any] | None = None,
    patience: int | None = None,
) -> Fit:
    """Train `params` on `data`; see `Kernel.fit`."""
    epochs, seed = whole_number("epochs", epochs, 0), whole_number("seed", seed, 0)
    patience = None if patience is None else whole_number("patience", patience, 1)
    run = ready(kernel, params, data, clipped(optimizer or SGD(), clip_value, clip_norm), batch_size)
    return run.epochs(epochs, shuffle, seed, progress, Watch.of(run, validation, patience))


def ready(kernel: Kernel, params: Mapping[str, Any], data: Mapping[str, Any], optimizer: Optimizer, batch_size: int | None) -> Run:
    """A run whose arrays are checked, before the first step and before anything is compiled. Raises as `Kernel.fit` does."""
    optimizer = an_optimizer(optimizer)
    batch_size = None if batch_size is None else whole_number("batch_size", batch_size, 1)
    missing = [name for name in params if name not in kernel.wrt]
    if missing:
        raise SymgradError(
            "SG609",
            f"{missing[0]} is not among the kernel's wrt: {', '.join(kernel.wrt)}",
            hint="compile with wrt=[…] that names it",
        )
    training, module, pace = prepare(kernel, tuple(params), optimizer.rule, batch_size == 1)
    return Run(kernel, training, module, optimizer, {**data, **params}, batch_size, pace)


def whole_number(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise SymgradError("SG608", f"{name} must be a whole number of at least {least}, and is {value!r}")
    return int(value)


@lru_cache(maxsize=64)
def prepare(kernel: Kernel, params: tuple[str, ...], rule: Rule, single: bool) -> tuple[Training, ModuleType, dict[Any, float]]:
    """The training module of a kernel for one update rule, and the seconds a step took by sizes; kept for the next call."""
    training = plan(kernel, params, rule, single)
    return training, load(training_text(training, kernel.dtype, kernel.backend)), {}


def plan(kernel: Kernel, params: tuple[str, ...], rule: Rule, single: bool) -> Training:
    """The step program scheduled, and how its arguments come from the data."""
    single = single or not kernel.batch
    primal = lower(kernel.program, kernel.loss, (), kernel.stabilize) if single else kernel.primal
    made = step_program(primal, kernel, params, rule)
    state, rates, counters = tuple(made.owners), tuple(made.rates[name] for name in rule.rates), made.counters
    data = [name for name in kernel.program.free if name not in params and name in ancestors(primal, [kernel.loss])]
    outputs = [kernel.loss, *made.aliases]
    step = optimize(made.program, outputs, pinned=(*params, *state), stable=kernel.stabilize)
    batched = tuple(name for name in kernel.batch if name in data)
    early = ahead(step, set(batched), made.aliases) if single and kernel.backend == "numba" else None
    given = [*data, *params, *state, *rates, *counters.values()]
    if early is None:
        planned = schedule(step, given, outputs, made.aliases)
    else:
        aliases = {**made.aliases, **early.aliases}
        given += [*early.examples.values(), *early.carried]
        planned = schedule(early.program, given, [*outputs, *early.aliases], aliases)
    checks = schedule(optimize(kernel.primal, [kernel.loss], stable=kernel.stabilize), [*data, *params], [kernel.loss])
    size = str(checks.program.tensors[batched[0]].axes[0].extent) if batched else None
    return Training(
        kernel.program,
        turned(planned) if kernel.backend == "numba" else planned,
        checks,
        tuple(data),
        batched,
        params,
        state,
        tuple(made.owners.values()),
        rates,
        tuple((own, kind) for kind, own in counters.items()),
        single,
        size,
        kernel.loss,
        First(schedule(early.first, [*data, *params], early.carried), early.examples) if early else None,
    )
