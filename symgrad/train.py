"""Compiled training: update rules written as equations, the epoch loop inside the compiled code.

    SGD        θ ← θ - η g                                        (Robbins & Monro 1951)
    Momentum   v ← μ v + g,  θ ← θ - η v                          (Polyak 1964)
    Adam       m ← β₁ m + (1 - β₁) g,  s ← β₂ s + (1 - β₂) g²,
               θ ← θ - η m̂/(√ŝ + ε), m̂ = m/(1 - β₁ᵗ), ŝ = s/(1 - β₂ᵗ)   (Kingma & Ba 2015, algorithm 1)

A rule is a program in the text language over θ, g and its state; it is put in for every parameter and
compiled with the gradient. `maximize` trains uphill: g is then minus the gradient.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import ModuleType
from typing import Any

import numpy as np
from sympy import Expr

from symgrad.backends.load import load
from symgrad.backends.training import Training, training_text
from symgrad.compiler import adjoint, lower, optimize
from symgrad.core.errors import SymgradError
from symgrad.core.expr import access, substitute
from symgrad.core.graph import ancestors
from symgrad.core.program import Program, Statement, Tensor
from symgrad.frontend.text import parse
from symgrad.kernel import Kernel
from symgrad.schedule.order import schedule
from symgrad.transform.normalize import normalize
from symgrad.transform.reverse import adjoint_names

NEXT = "_next"


@dataclass(frozen=True)
class Rule:
    """`equations` define `theta_next` and the next state in θ (`theta`), `g`, the state, the rates by name and
    the number of the step `t`, which counts from 1; state starts at 0."""

    equations: str
    rates: tuple[str, ...]

    @cached_property
    def program(self) -> Program:
        return parse(self.equations)

    @property
    def state(self) -> tuple[str, ...]:
        return tuple(n.removesuffix(NEXT) for n in self.program.defined if n.endswith(NEXT) and n != "theta" + NEXT)


@dataclass(frozen=True)
class Optimizer:
    """An update rule and the values of its rates."""

    rule: Rule
    rates: tuple[float, ...]


def _optimizer(equations: str, **rates: float) -> Optimizer:
    values = _positive(**rates)
    return Optimizer(Rule(equations, tuple(values)), tuple(values.values()))


def _positive(**rates: float) -> dict[str, float]:
    for name, value in rates.items():
        if not (isinstance(value, int | float | np.number) and np.isfinite(value) and value >= 0):
            raise SymgradError("SG608", f"{name} must be a number that is not negative, and is {value!r}")
    return {name: float(value) for name, value in rates.items()}


def SGD(learning_rate: float = 0.01) -> Optimizer:
    """Stochastic gradient descent: θ ← θ - η g."""
    return _optimizer("theta_next = theta - eta*g", eta=learning_rate)


def Momentum(learning_rate: float = 0.01, momentum: float = 0.9) -> Optimizer:
    """Gradient descent with momentum (Polyak 1964): v ← μ v + g, θ ← θ - η v."""
    return _optimizer("v_next = mu*v + g; theta_next = theta - eta*v_next", eta=learning_rate, mu=momentum)


def Adam(learning_rate: float = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8) -> Optimizer:
    """Adam (Kingma & Ba 2015, algorithm 1)."""
    rule = """
        m_next = beta_1*m + (1 - beta_1)*g
        s_next = beta_2*s + (1 - beta_2)*g^2
        theta_next = theta - eta*(m_next/(1 - beta_1^t))/(sqrt(s_next/(1 - beta_2^t)) + epsilon)
    """
    return _optimizer(rule, eta=learning_rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)


@dataclass(frozen=True)
class Fit:
    """`params`: trained arrays by name. `history`: the mean loss of every epoch, under the loss's name."""

    params: dict[str, Any]
    history: dict[str, Any]


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
) -> Fit:
    """Train `params` on `data`; see `Kernel.fit`."""
    epochs, seed = _count("epochs", epochs, 0), _count("seed", seed, 0)
    return ready(kernel, params, data, optimizer or SGD(), batch_size).epochs(epochs, shuffle, seed, progress)


def ready(kernel: Kernel, params: Mapping[str, Any], data: Mapping[str, Any], optimizer: Optimizer, batch_size: int | None) -> Run:
    """A run whose arrays are checked, before the first step and before anything is compiled. Raises as `Kernel.fit` does."""
    batch_size = None if batch_size is None else _count("batch_size", batch_size, 1)
    missing = [name for name in params if name not in kernel.wrt]
    if missing:
        raise SymgradError(
            "SG609",
            f"{missing[0]} is not among the kernel's wrt: {', '.join(kernel.wrt)}",
            hint="compile with wrt=[…] that names it",
        )
    training, module = prepare(kernel, tuple(params), optimizer.rule, batch_size == 1)
    return Run(kernel, training, module, optimizer, {**data, **params}, batch_size)


def _count(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise SymgradError("SG608", f"{name} must be a whole number of at least {least}, and is {value!r}")
    return int(value)


@lru_cache(maxsize=64)
def prepare(kernel: Kernel, params: tuple[str, ...], rule: Rule, single: bool) -> tuple[Training, ModuleType]:
    """The training module of a kernel for one update rule; kept for the next call."""
    training = plan(kernel, params, rule, single)
    return training, load(training_text(training, kernel.dtype, kernel.backend))


def plan(kernel: Kernel, params: tuple[str, ...], rule: Rule, single: bool) -> Training:
    """The step program scheduled, and how its arguments come from the data."""
    single = single or not kernel.batch
    primal = lower(kernel.program, kernel.loss, ()) if single else kernel.primal
    step, owners, rates = step_program(primal, kernel, params, rule)
    state = tuple(owners)
    data = [name for name in kernel.program.free if name not in params and name in ancestors(primal, [kernel.loss])]
    aliases = {f"{name}{NEXT}": name for name in (*params, *state) if f"{name}{NEXT}" in step.definitions}
    outputs = [kernel.loss, *aliases]
    step = optimize(step, outputs, pinned=(*params, *state))
    planned = schedule(step, [*data, *params, *state, *rates], outputs, aliases)
    checks = schedule(optimize(kernel.primal, [kernel.loss]), [*data, *params], [kernel.loss])
    batched = tuple(name for name in kernel.batch if name in data)
    size = str(checks.program.tensors[batched[0]].axes[0].extent) if batched else None
    return Training(
        kernel.program,
        planned,
        checks,
        tuple(data),
        batched,
        params,
        state,
        tuple(owners.values()),
        rates,
        single,
        size,
        kernel.loss,
    )


def step_program(
    primal: Program, kernel: Kernel, params: tuple[str, ...], rule: Rule
) -> tuple[Program, dict[str, str], tuple[str, ...]]:
    """Primal, adjoint and update statements in one program; whose state each name is, and the names of the rates."""
    joint = adjoint(primal, kernel.loss, params)
    bars = adjoint_names(joint, kernel.loss)
    rates = {name: joint.unused_name(name) for name in (*rule.rates, "t")}
    tensors = [Tensor(name) for name in rates.values()]
    statements: list[Statement] = []
    owners: dict[str, str] = {}
    for param in params:
        if param not in bars:
            continue
        made, more = _update(joint, param, bars[param], rule, rates, kernel.program.goal == "maximize")
        statements += made
        tensors += more
        owners |= {t.name: param for t in more if t.role == "input"}
    return normalize(joint.with_statements([*joint.statements, *statements], tensors)), owners, tuple(rates.values())


def _update(
    joint: Program, param: str, bar: str, rule: Rule, rates: dict[str, str], uphill: bool
) -> tuple[list[Statement], list[Tensor]]:
    """The rule's equations for one parameter, over its axes."""
    axes = joint.tensors[param].axes
    symbols = [axis.symbol for axis in axes]

    def cell(name: str) -> Expr:
        return access(name, *symbols)

    names = {"theta": param, "theta_next": f"{param}{NEXT}"}
    for name in rule.state:
        names[name] = f"{param}_{name}"
        names[f"{name}{NEXT}"] = f"{param}_{name}{NEXT}"
    mapping = {access(name): cell(own) for name, own in names.items()} | {access(name): access(own) for name, own in rates.items()}
    mapping[access("g")] = -cell(bar) if uphill else cell(bar)
    for name in rule.program.defined:
        if name not in names:
            names[name] = f"{param}_{name}"
            mapping[access(name)] = cell(names[name])
    statements = [Statement(cell(names[s.name]), substitute(s.value, mapping), axes) for s in rule.program.statements]
    tensors = [
        Tensor(own, axes, "defined" if wanted in rule.program.defined else "input")
        for wanted, own in names.items()
        if wanted != "theta"
    ]
    return statements, tensors


@dataclass
class Run:
    """Checked arrays and the loop that trains on them."""

    kernel: Kernel
    training: Training
    module: ModuleType
    optimizer: Optimizer
    arrays: Mapping[str, Any]
    batch_size: int | None

    def __post_init__(self) -> None:
        self.kernel.check_names(list(self.training.checks.arguments), self.arrays)
        try:
            sizes, arrays = self.module.check(*(self.arrays[name] for name in self.training.checks.arguments))
        except self.module.DataError as error:
            raise SymgradError(error.code, error.message, hint=error.hint) from None
        self.sizes = dict(zip([s.symbol.name for s in self.training.checks.sizes], sizes, strict=True))
        self.params = {name: np.array(arrays[name], dtype=self.kernel.dtype, copy=True, order="C") for name in self.training.params}
        self.data = [arrays[name] for name in self.training.data]
        self.examples = self.sizes[self.training.example_size] if self.training.example_size else 1
        if self.examples < 1:
            raise SymgradError("SG606", "there are no examples in the data")

    def epochs(self, epochs: int, shuffle: bool, seed: int, progress: bool) -> Fit:
        history = np.empty(epochs)
        fixed = self.fixed(seed)
        done = 0
        show = _bar(epochs, self.kernel.loss) if progress else lambda done, loss: None
        for done in self.chunks(epochs, history, fixed, shuffle):
            show(done, history[done - 1])
            if not np.isfinite(history[done - 1]):
                raise SymgradError(
                    "SG607",
                    f"{self.kernel.loss} became {history[done - 1]} in epoch {done}",
                    hint="try a lower learning rate, or scale the inputs",
                )
        return Fit(self.params, {self.kernel.loss: history[:done]})

    def fixed(self, seed: int) -> tuple[Any, ...]:
        """Everything but the number of epochs: order, generator, arrays, rates, buffers."""
        kind = np.dtype(self.kernel.dtype).type
        step = self.training.step
        batch = min(self.batch_size or self.examples, self.examples)
        here = {**self.sizes, **({self.training.example_size: batch} if self.training.example_size else {})}
        sizes = [here[size.symbol.name] for size in step.sizes]
        outer = [here[s.symbol.name] for s in step.sizes if s.symbol.name != self.training.example_size]
        state = [np.zeros_like(self.params[owner]) for owner in self.training.owners]
        rates = [kind(value) for value in self.optimizer.rates] + [kind(0)]
        order, random = np.arange(self.examples), np.array([seed % 2147483646 + 1], dtype=np.int64)
        buffers = self.module.buffers(*sizes)
        return (
            batch,
            order,
            random,
            np.zeros(1, dtype=np.int64),
            outer,
            [*self.data, *self.params.values(), *state, *rates],
            buffers,
        )

    def chunks(self, epochs: int, history: Any, fixed: tuple[Any, ...], shuffle: bool) -> Any:
        """Runs of epochs inside compiled code, about 0.1 s each, so that progress shows and Ctrl-C is heard."""
        batch, order, random, steps, sizes, arrays, buffers = fixed
        done, count = 0, 1
        while done < epochs:
            start = time.perf_counter()
            count = min(count, epochs - done)
            ran = self.module._train(count, batch, bool(shuffle), order, random, history[done:], steps, *sizes, *arrays, *buffers)
            done += ran
            yield done
            count = max(1, int(count * min(8.0, 0.1 / max(time.perf_counter() - start, 1e-6))))


def _bar(epochs: int, loss: str) -> Callable[[int, float], None]:
    """Progress on standard error: one line that is rewritten in a terminal, ten lines elsewhere."""
    terminal = sys.stderr.isatty()
    shown = [0]

    def show(done: int, value: float) -> None:
        text = f"epoch {done:>{len(str(epochs))}}/{epochs}  {loss} = {value:.6g}"
        if terminal:
            filled = 30 * done // epochs
            end = "\n" if done == epochs else ""
            print(f"\r[{'█' * filled}{'·' * (30 - filled)}] {text} ", end=end, file=sys.stderr, flush=True)
        elif done == epochs or done * 10 // epochs > shown[0]:
            shown[0] = done * 10 // epochs
            print(text, file=sys.stderr, flush=True)

    return show
