"""Update rules as equations of the text language; a training step is compiled from them and the gradient.

    SGD        θ ← θ - η g                                        (Robbins & Monro 1951)
    Momentum   v ← μ v + g,  θ ← θ - η v                          (Polyak 1964)
    Nesterov   v ← μ v + g,  θ ← θ - η (g + μ v)                  (Nesterov 1983; Sutskever et al. 2013, as PyTorch writes it)
    Adagrad    s ← s + g²,  θ ← θ - η g/(√s + ε)                  (Duchi, Hazan & Singer 2011)
    RMSProp    s ← α s + (1 - α) g²,  θ ← θ - η g/(√s + ε)        (Tieleman & Hinton 2012, lecture 6.5)
    Adam       m ← β₁ m + (1 - β₁) g,  s ← β₂ s + (1 - β₂) g²,
               θ ← θ - η m̂/(√ŝ + ε), m̂ = m/(1 - β₁ᵗ), ŝ = s/(1 - β₂ᵗ)   (Kingma & Ba 2015, algorithm 1)
    AdamW      as Adam, from (1 - η λ) θ in place of θ            (Loshchilov & Hutter 2019, algorithm 2)

The learning rate η is a number or an equation over the step (`symgrad.rates`). Numbers are arguments of the compiled step, so
another number compiles nothing; an equation is a part of it. State starts at 0. Each rule is PyTorch's of that name, and so
are the defaults but for SGD's rate of 0.01 and Momentum's 0.9.

>>> AdamW(0.002).rates
(0.002, 0.9, 0.999, 1e-08, 0.01)
>>> SGD("0.1/(1 + t/1000)").rule.equations_of_rates
(('eta', '0.1/(1 + t/1000)'),)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from symgrad.core.errors import SymgradError
from symgrad.core.program import Program
from symgrad.frontend.text import parse
from symgrad.rates import positive, rate_program

NEXT = "_next"
Rate = float | str


@dataclass(frozen=True)
class Rule:
    """`equations` define `theta_next` and the next state in θ (`theta`), `g`, the state, the rates by name and
    the number of the step `t`, which counts from 1; state starts at 0.

    `rates` are numbers given at the call; `equations_of_rates` are compiled in. `clips` names how g is cut before.
    """

    equations: str
    rates: tuple[str, ...]
    equations_of_rates: tuple[tuple[str, str], ...] = ()
    clips: tuple[str, ...] = ()

    @property
    def program(self) -> Program:
        return _program(self.equations)

    @property
    def state(self) -> tuple[str, ...]:
        return tuple(n.removesuffix(NEXT) for n in self.program.defined if n.endswith(NEXT) and n != "theta" + NEXT)


@lru_cache(maxsize=64)
def _program(equations: str) -> Program:
    """Kept here: a rule with its program in it could not be pickled, nor what holds an optimiser."""
    return parse(equations)


@dataclass(frozen=True)
class Optimizer:
    """An update rule and the values of its rates."""

    rule: Rule
    rates: tuple[float, ...]


def an_optimizer(given: Any) -> Optimizer:
    """What is given, if it is an optimiser. Raises SG608."""
    if isinstance(given, Optimizer):
        return given
    raise SymgradError("SG608", f"optimizer must be one such as sg.SGD(0.1), and is of type {type(given).__name__}")


def _optimizer(equations: str, eta: Rate, **rates: float) -> Optimizer:
    """A text that is a plain number is that number, so that a rate from a command line compiles nothing anew."""
    number = _number(eta) if isinstance(eta, str) else eta
    if isinstance(number, str):
        rate_program(number)
        values = positive(**rates)
        return Optimizer(Rule(equations, tuple(values), (("eta", number),)), tuple(values.values()))
    values = {"eta": positive(learning_rate=number)["learning_rate"], **positive(**rates)}
    return Optimizer(Rule(equations, tuple(values)), tuple(values.values()))


def _number(text: str) -> Rate:
    try:
        return float(text)
    except ValueError:
        return text


def clipped(optimizer: Optimizer, clip_value: float | None, clip_norm: float | None) -> Optimizer:
    """The same rule on a gradient that is cut, by value first where both are given. Raises SG608."""
    if clip_value is None and clip_norm is None:
        return optimizer
    given = {"clip_value": clip_value, "clip_norm": clip_norm}
    values = positive(**{name: value for name, value in given.items() if value is not None})
    for name, value in values.items():
        if value == 0:
            raise SymgradError("SG608", f"{name} must be more than 0, and is {value}")
    rule = optimizer.rule
    rule = replace(rule, rates=(*rule.rates, *values), clips=tuple(values))
    return Optimizer(rule, (*optimizer.rates, *values.values()))


def SGD(learning_rate: Rate = 0.01) -> Optimizer:
    """Stochastic gradient descent: θ ← θ - η g.

    >>> SGD("0.1/(1 + t/1000)").rates
    ()
    """
    return _optimizer("theta_next = theta - eta*g", learning_rate)


def Momentum(learning_rate: Rate = 0.01, momentum: float = 0.9) -> Optimizer:
    """Gradient descent with momentum (Polyak 1964): v ← μ v + g, θ ← θ - η v."""
    return _optimizer("v_next = mu*v + g; theta_next = theta - eta*v_next", learning_rate, mu=momentum)


def Nesterov(learning_rate: Rate = 0.01, momentum: float = 0.9) -> Optimizer:
    """Nesterov's accelerated gradient (1983) in the form of Sutskever et al. 2013: v ← μ v + g, θ ← θ - η (g + μ v)."""
    return _optimizer("v_next = mu*v + g; theta_next = theta - eta*(g + mu*v_next)", learning_rate, mu=momentum)


def Adagrad(learning_rate: Rate = 0.01, epsilon: float = 1e-10) -> Optimizer:
    """Adagrad (Duchi, Hazan & Singer 2011, diagonal): s ← s + g², θ ← θ - η g/(√s + ε)."""
    return _optimizer("s_next = s + g^2; theta_next = theta - eta*g/(sqrt(s_next) + epsilon)", learning_rate, epsilon=epsilon)


def RMSProp(learning_rate: Rate = 0.01, alpha: float = 0.99, epsilon: float = 1e-8) -> Optimizer:
    """RMSProp (Tieleman & Hinton 2012): s ← α s + (1 - α) g², θ ← θ - η g/(√s + ε)."""
    rule = "s_next = alpha*s + (1 - alpha)*g^2; theta_next = theta - eta*g/(sqrt(s_next) + epsilon)"
    return _optimizer(rule, learning_rate, alpha=alpha, epsilon=epsilon)


ADAM = """
    m_next = beta_1*m + (1 - beta_1)*g
    s_next = beta_2*s + (1 - beta_2)*g^2
    theta_next = {start} - eta*(m_next/(1 - beta_1^t))/(sqrt(s_next/(1 - beta_2^t)) + epsilon)
"""


def Adam(learning_rate: Rate = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8) -> Optimizer:
    """Adam (Kingma & Ba 2015, algorithm 1)."""
    return _optimizer(ADAM.format(start="theta"), learning_rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)


def AdamW(
    learning_rate: Rate = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8, weight_decay: float = 0.01
) -> Optimizer:
    """Adam with weight decay apart from the gradient (Loshchilov & Hutter 2019): every parameter, biases too, shrinks."""
    rule = ADAM.format(start="(1 - eta*lambda)*theta")
    values = {"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon, "lambda": weight_decay}
    return _optimizer(rule, learning_rate, **values)


ALL = (SGD, Momentum, Nesterov, Adagrad, RMSProp, Adam, AdamW)
