"""Expressions that are made of exponentials, by their logarithms: these do not overflow.

    e^w                 w                     Π_k a_k       Σ_k log a_k
    a b, a^n            log a + log b, n log a    Σ_k a_k   logsumexp_k (log a_k)
    1 + a               softplus(log a)       a + b         logaddexp(log a, log b)
    logistic(v)         -softplus(-v)         a name        of what it is defined as

>>> a, b = sp.symbols("a b")
>>> logarithm(sp.exp(a)*(1 + sp.exp(b)), {})
a + softplus(b)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy as sp
from sympy import Function

from symgrad.core.expr import (
    indices_of,
    is_access,
    is_reduction,
    name_of,
    plus,
    powers,
    reduction,
    split_reduction,
    substitute,
    times,
)  # fmt: skip
from symgrad.core.program import Statement

logistic, softplus, logaddexp = Function("logistic"), Function("softplus"), Function("logaddexp")
Definitions = Mapping[str, Statement]
FOLLOWED = 20  # copies after one another
NAMES = 3  # names within the meaning of names, so that a chain of equations is not followed to its start


def value_of(read: Any, definitions: Definitions) -> Any:
    """What an access stands for, in its own indices, a sum as a sum; None for what is given, and for other reductions."""
    for _ in range(FOLLOWED):
        if not is_access(read) or name_of(read) not in definitions:
            break
        statement = definitions[name_of(read)]
        value = statement.value
        if statement.reduced:
            if statement.op not in ("sum", "prod"):
                return None
            value = reduction(statement.op, value, [index.limit for index in statement.reduced])
        read = substitute(value, dict(zip(indices_of(statement.target), indices_of(read), strict=True)))
    return None if is_access(read) else read


def meaning(expr: Any, definitions: Definitions) -> Any:
    """The expression, or what it is the name of."""
    return value_of(expr, definitions) if is_access(expr) else expr


def logarithm(expr: Any, definitions: Definitions, squares: bool = True, names: int = NAMES) -> Any:
    """log of the expression; None where a part of it is no exponential or its sign is not known.

    `squares`: the log of a square may be a part, which among terms it may not: log(1 + x^2) is not 2 log x and more.
    """
    if is_access(expr):
        names -= 1
        expr = meaning(expr, definitions) if names >= 0 else None
    if expr is None:
        return None
    if expr.is_number:
        return sp.log(expr) if expr.is_positive else None
    if isinstance(expr, sp.exp):
        return expr.args[0]
    if expr.func == logistic:
        return -softplus(-expr.args[0])
    if is_reduction(expr):
        return _of_reduction(*split_reduction(expr), definitions, squares, names)
    if not (expr.is_Mul or expr.is_Pow or expr.is_Add):
        return None
    if expr.is_Pow:
        inner = logarithm(expr.base, definitions, squares, names)
        square = squares and expr.exp.is_Integer and expr.exp % 2 == 0
        return times(expr.exp, inner) if inner is not None else sp.log(expr) if square else None
    parts = []
    for arg in expr.args:
        parts.append(logarithm(arg, definitions, squares and expr.is_Mul, names))
        if parts[-1] is None:
            return None
    return plus(*parts) if expr.is_Mul else of_sum(parts)


def _of_reduction(op: str, body: Any, limits: Any, definitions: Definitions, squares: bool, names: int) -> Any:
    if op not in ("sum", "prod") or body.is_number:
        return None
    inner = logarithm(body, definitions, squares and op == "prod", names)
    return None if inner is None else reduction({"sum": "logsumexp", "prod": "sum"}[op], inner, limits)


def of_sum(parts: list[Any]) -> Any:
    """log of the sum of e^part."""
    rest = [part for part in parts if part != 0]
    if not rest:
        return sp.log(len(parts))
    total = rest[-1]
    for part in reversed(rest[:-1]):
        total = logaddexp(part, total)
    ones = len(parts) - len(rest)
    return total if not ones else softplus(total) if ones == 1 else logaddexp(sp.log(ones), total)


def is_sum(expr: Any, definitions: Definitions) -> bool:
    """A sum, by index or of several terms, of exponentials."""
    found = meaning(expr, definitions)
    if found is None or not (found.is_Add or (is_reduction(found) and split_reduction(found)[0] == "sum")):
        return False
    return not found.is_number and logarithm(found, definitions) is not None


def share(product: Any, definitions: Definitions) -> Any:
    """a e^f/(sum e^g)^n without e^f and e^g: by logistic, where the terms are written out; None for other products."""
    factors = powers(product)
    total = next((b for b, n in factors.items() if n.is_Integer and n < 0 and is_sum(b, definitions)), None)
    if total is None:
        return None
    exponents = {base: meaning(base, definitions) for base in factors}
    above = {base: found.args[0] for base, found in exponents.items() if isinstance(found, sp.exp)}
    rest = times(*(base**power for base, power in factors.items() if base != total and base not in above))
    exponent = plus(*(times(factors[base], found) for base, found in above.items()))
    return times(rest, _of_all(exponent, total, factors[total], definitions))


def _of_all(exponent: Any, total: Any, power: Any, definitions: Definitions) -> Any:
    found = meaning(total, definitions)
    if found.is_Add and power == -1:
        parts = [logarithm(arg, definitions) for arg in found.args]
        for place, part in enumerate(parts):
            others = [other for at, other in enumerate(parts) if at != place]
            if sp.expand(part - exponent) == 0:
                return logistic(exponent - of_sum(others))
    return sp.exp(exponent + times(power, logarithm(total, definitions)))


def apart(product: Any) -> tuple[Any, Any]:
    """(e^g, the other factors) of a product with one exponential, else (None, product)."""
    factors = sp.Mul.make_args(product)
    top = [factor for factor in factors if isinstance(factor, sp.exp)]
    if len(top) != 1:
        return None, product
    return top[0], times(*(factor for factor in factors if factor is not top[0]))


def scaled(total: Any) -> tuple[Any, Any] | None:
    """(M, sum w e^(g - M)) of a sum w e^g whose weights may have any sign, M the largest g, taken for a constant."""
    if not is_reduction(total):
        return None
    op, body, limits = split_reduction(total)
    top, weight = apart(body)
    if op != "sum" or top is None or weight == 1 or top.has(Function("stop")):  # which it is once that is done
        return None
    highest = Function("stop")(reduction("max", top.args[0], limits))
    return highest, reduction("sum", times(weight, sp.exp(top.args[0] - highest)), limits)
