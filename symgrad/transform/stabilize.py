"""Rules that keep a textbook formula right in floating point, applied before it is differentiated.

Every rule is exact in the reals. `RULES` is the table (name, before, after, why).

>>> from symgrad.frontend.text import parse
>>> print(stabilize(parse("y = 1/(1 + exp(-b)); J = log(y)")))
y = logistic(b)
J = -softplus(-b)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp
from sympy import Function

from symgrad.core.expr import (
    from_powers,
    indices_of,
    is_access,
    is_reduction,
    name_of,
    powers,
    reduction,
    rewrite,
    split_reduction,
    substitute,
)  # fmt: skip
from symgrad.core.program import Origin, Program, Statement

logistic, softplus = Function("logistic"), Function("softplus")
Definitions = Mapping[str, Statement]


@dataclass(frozen=True)
class Rule:
    name: str
    before: str
    after: str
    why: str
    apply: Callable[[Any, Definitions], Any]


def stabilize(program: Program) -> Program:
    """The program with every rule applied until none does."""
    definitions = {s.name: s for s in program.statements if len(program.definitions[s.name]) == 1}
    statements = []
    for statement in program.statements:
        value = rewrite(statement.value, lambda node: _apply(node, definitions))
        if value != statement.value:
            statement = replace(statement, value=value, origin=Origin(statement.origin.span, spans=statement.origin.spans))
        definitions[statement.name] = statement
        statements.append(statement)
    # a rule that looks into definitions may look into one rewritten after it
    again = program.with_statements(statements)
    return again if again.statements == program.statements else stabilize(again)


def _apply(node: Any, definitions: Definitions) -> Any:
    if not (node.is_Pow or node.is_Mul or isinstance(node, sp.log)):
        return node  # no rule begins with anything else
    for rule in RULES:
        new = rule.apply(node, definitions)
        if new is not None:
            return new
    return node


def _one_plus_exp(expr: Any) -> Any:
    """w of 1 + e^w, or None."""
    if expr.is_Add and len(expr.args) == 2:
        number, rest = expr.as_coeff_Add()
        if number == 1 and isinstance(rest, sp.exp):
            return rest.args[0]
    return None


def _logistic(node: Any, _: Definitions) -> Any:
    if not (node.is_Pow and node.exp == -1):
        return None
    w = _one_plus_exp(node.base)
    return logistic(-w) if w is not None else None


def _logistic_product(node: Any, _: Definitions) -> Any:
    if not node.is_Mul:
        return None
    for factor in node.args:
        if factor.func == logistic and sp.exp(-factor.args[0]) in node.args:
            return sp.Mul(*(f for f in node.args if f not in (factor, sp.exp(-factor.args[0]))), logistic(-factor.args[0]))
    return None


def _softplus(node: Any, _: Definitions) -> Any:
    if not isinstance(node, sp.log):
        return None
    w = _one_plus_exp(node.args[0])
    return softplus(w) if w is not None else None


def _sum_of_exps(node: Any) -> Any:
    """The reduction logsumexp g of sum e^g, or None."""
    if is_reduction(node):
        op, body, limits = split_reduction(node)
        if op == "sum" and isinstance(body, sp.exp):
            return reduction("logsumexp", body.args[0], limits)
    return None


def _softmax(node: Any, _: Definitions) -> Any:
    if not node.is_Mul:
        return None
    factors = powers(node)
    top = next((f for f in factors if isinstance(f, sp.exp)), None)
    for base, exponent in factors.items():
        total = _sum_of_exps(base)
        if top is not None and total is not None and exponent == -1:
            rest = {b: e for b, e in factors.items() if b not in (top, base)}
            return from_powers(rest) * sp.exp(top.args[0] - total)
    return None


def _log_sum_exp(node: Any, _: Definitions) -> Any:
    return _sum_of_exps(node.args[0]) if isinstance(node, sp.log) else None


def _value_of(read: Any, definitions: Definitions) -> Any:
    """What an access stands for, in its own indices; None for inputs and reductions."""
    if not is_access(read) or name_of(read) not in definitions:
        return None
    statement = definitions[name_of(read)]
    if statement.reduced:
        return None
    return substitute(statement.value, dict(zip(indices_of(statement.target), indices_of(read), strict=True)))


def _log_of_name(node: Any, definitions: Definitions) -> Any:
    if not isinstance(node, sp.log):
        return None
    value = _value_of(node.args[0], definitions)
    if isinstance(value, sp.exp):
        return value.args[0]
    return -softplus(-value.args[0]) if value is not None and value.func == logistic else None


def _log_of_rest(node: Any, definitions: Definitions) -> Any:
    if not isinstance(node, sp.log) or not node.args[0].is_Add:
        return None
    number, rest = node.args[0].as_coeff_Add()
    value = _value_of(-rest, definitions) if number == 1 else None
    return -softplus(value.args[0]) if value is not None and value.func == logistic else None


RULES: tuple[Rule, ...] = (
    Rule("logistic", "1/(1 + e^w)", "logistic(-w)", "one function, whose derivative y(1 - y) cannot overflow", _logistic),
    Rule("logistic", "e^w/(1 + e^w)", "logistic(w)", "e^w may overflow", _logistic_product),
    Rule("softplus", "log(1 + e^w)", "softplus(w)", "e^w may overflow, 1 + e^w may round to 1", _softplus),
    Rule("softmax", "e^f/sum_l e^g_l", "exp(f - logsumexp_l g_l)", "the largest exponent is taken out", _softmax),
    Rule("log-sum-exp", "log sum_l e^g_l", "logsumexp_l g_l", "the largest exponent is taken out", _log_sum_exp),
    Rule("log of exp", "log y, y = e^v", "v", "y may round to 0", _log_of_name),
    Rule("log of logistic", "log y, y = logistic(v)", "-softplus(-v)", "y may round to 0", _log_of_name),
    Rule("log of the rest", "log(1 - y), y = logistic(v)", "-softplus(v)", "1 - y cancels", _log_of_rest),
)
