"""Gradient → training step: primal, adjoint, clipping, learning rate and update rule as the equations of one program.

    clip_value   g ← clip(g, -c, c)
    clip_norm    g ← g min(1, c/(‖g‖ + 10⁻⁶)), ‖g‖ over all parameters     (Pascanu, Mikolov & Bengio 2013, algorithm 1)

with PyTorch's 10⁻⁶. `maximize` trains uphill: g is then minus the gradient.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import sympy as sp
from sympy import Expr

from symgrad.compiler import adjoint
from symgrad.core.expr import access, substitute
from symgrad.core.functions import FUNCTIONS
from symgrad.core.program import Program, Statement, Tensor
from symgrad.kernel import Kernel
from symgrad.optimizers import NEXT, Rule
from symgrad.rates import COUNTERS, rate_program
from symgrad.transform.normalize import normalize
from symgrad.transform.reverse import adjoint_names


@dataclass
class Step:
    """The program of one step as it grows, and its own names for what the rule names."""

    program: Program
    rates: dict[str, str] = field(default_factory=dict)
    counters: dict[str, str] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)  # whose state each name is
    aliases: dict[str, str] = field(default_factory=dict)  # next value to the array that it overwrites

    def new(self, wanted: str, like: Tensor | None = None, role: str = "defined") -> str:
        """A further quantity, with the axes of another."""
        name = self.program.unused_name(wanted)
        tensor = Tensor(name, like.axes if like else (), role)
        self.program = self.program.with_statements(self.program.statements, [tensor])
        return name

    def add(self, statements: Iterable[Statement]) -> None:
        self.program = self.program.with_statements([*self.program.statements, *statements])

    def cell(self, name: str) -> Expr:
        return access(name, *(axis.symbol for axis in self.program.tensors[name].axes))

    def define(self, name: str, value: Expr) -> str:
        self.add([Statement(self.cell(name), value, self.program.tensors[name].axes)])
        return name

    @property
    def scalars(self) -> dict[Expr, Expr]:
        return {access(name): access(own) for name, own in (self.rates | self.counters).items()}


def step_program(primal: Program, kernel: Kernel, params: tuple[str, ...], rule: Rule) -> Step:
    """Primal, adjoint and update statements in one program."""
    joint = adjoint(primal, kernel.loss, params, kernel.stabilize)
    bars = adjoint_names(joint, kernel.loss)
    step = Step(joint)
    step.counters = {name: step.new(name, role="input") for name in _counters(rule)}
    step.rates = {name: step.new(name, role="input") for name in rule.rates}
    step.rates |= {name: _rate(step, name, text) for name, text in rule.equations_of_rates}
    slopes = _clipped(step, {param: bars[param] for param in params if param in bars}, rule.clips)
    for param, slope in slopes.items():
        _update(step, param, step.cell(slope), rule, kernel.program.goal == "maximize")
    step.program = normalize(step.program)
    return step


def _counters(rule: Rule) -> list[str]:
    programs = [rule.program, *(rate_program(text) for _, text in rule.equations_of_rates)]
    return [name for name in COUNTERS if any(name in program.free for program in programs)]


def _rate(step: Step, name: str, text: str) -> str:
    own = step.new(name)
    made = (replace(s, target=access(own), value=substitute(s.value, step.scalars)) for s in rate_program(text).statements)
    step.add(made)
    return own


def _clipped(step: Step, bars: dict[str, str], clips: tuple[str, ...]) -> dict[str, str]:
    """Parameters to the names of their gradients, cut as asked."""
    if "clip_value" in clips:
        most = access(step.rates["clip_value"])
        cut = FUNCTIONS["clip"].head
        bars = {p: step.define(_like(step, p, "cut"), cut(step.cell(bar), -most, most)) for p, bar in bars.items()}
    if "clip_norm" in clips:
        squares = [access(_square(step, p, bar)) for p, bar in bars.items()]
        norm = sp.sqrt(sp.Add(*squares)) + sp.Rational(1, 10**6)
        least = FUNCTIONS["min"].head
        scale = step.define(step.new("scale"), least(sp.S.One, access(step.rates["clip_norm"]) / norm))
        bars = {p: step.define(_like(step, p, "scaled"), access(scale) * step.cell(bar)) for p, bar in bars.items()}
    return bars


def _like(step: Step, param: str, what: str) -> str:
    return step.new(f"{param}_{what}", step.program.tensors[param])


def _square(step: Step, param: str, bar: str) -> str:
    name, axes = step.new(f"{param}_square"), step.program.tensors[param].axes
    step.add([Statement(access(name), step.cell(bar) ** 2, axes, "sum" if axes else None)])
    return name


def _update(step: Step, param: str, slope: Expr, rule: Rule, uphill: bool) -> None:
    """The rule's equations for one parameter, over its axes."""
    defined = rule.program.defined
    names = {"theta": param}
    for name in rule.state:
        names[name] = step.new(f"{param}_{name}", step.program.tensors[param], "input")
        step.owners[names[name]] = param
    for name in defined:
        names[name] = _like(step, param, name.removeprefix("theta_"))
    step.aliases |= {names[f"{name}{NEXT}"]: names[name] for name in ("theta", *rule.state)}
    mapping = {access(name): step.cell(own) for name, own in names.items()} | step.scalars
    mapping[access("g")] = -slope if uphill else slope
    axes = step.program.tensors[param].axes
    step.add(Statement(step.cell(names[s.name]), substitute(s.value, mapping), axes) for s in rule.program.statements)
