"""Rules that keep a textbook formula right in floating point, applied before it is differentiated and to its derivatives.

Every rule is exact in the reals. `RULES` is the table (name, before, after, why). Those of `WHOLE` look at an expression
before its parts are changed, the others after.

>>> from symgrad.frontend.text import parse
>>> print(stabilize(parse("y = 1/(1 + exp(-b)); J = log(y)")))
y = logistic(b)
J = -softplus(-b)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import sympy as sp
from sympy import Function

from symgrad.core.expr import (
    is_access,
    is_reduction,
    plus,
    powers,
    rebuild,
    reduction,
    split_reduction,
    substitute,
    times,
)  # fmt: skip
from symgrad.core.program import Program
from symgrad.transform.exponentials import Definitions, logarithm, logistic, meaning, scaled, share

sech, expm1, log1p, root, xlogy, sinc = map(Function, ("sech", "expm1", "log1p", "root", "xlogy", "sinc"))


@dataclass(frozen=True)
class Rule:
    name: str
    before: str
    after: str
    why: str
    apply: Callable[[Any, Definitions], Any]
    heads: tuple[Any, ...]  # of the expressions that it may change


@dataclass(frozen=True)
class Fired:
    """A rule that changed the equation of a quantity."""

    rule: Rule
    name: str

    def __str__(self) -> str:
        return f"{self.name}: {self.rule.before} → {self.rule.after} ({self.rule.why})"


def stabilize(program: Program, fired: list[Fired] | None = None) -> Program:
    """The program with every rule applied until none does; what was done goes to `fired`."""
    fired = [] if fired is None else fired
    definitions = {s.name: s for s in program.statements if len(program.definitions[s.name]) == 1}
    statements = []
    for statement in program.statements:
        own = definitions.pop(statement.name, None)  # which is no meaning of a name in it
        value, rules = _rewritten(statement.value, definitions)
        fired += (Fired(rule, statement.name) for rule in rules)
        if value != statement.value:
            statement = replace(statement, value=value, origin=replace(statement.origin, written=None))
        if own is not None:
            definitions[statement.name] = statement
        statements.append(statement)
    # a rule that looks into definitions may look into one rewritten after it
    again = program.with_statements(statements)
    return again if again.statements == program.statements else stabilize(again, fired)


def _rewritten(expr: Any, definitions: Definitions) -> tuple[Any, list[Rule]]:
    """The expression, and the rules that changed it."""
    memo: dict[Any, Any] = {}
    used: list[Rule] = []

    def first(node: Any, rules: Mapping[Any, Sequence[Rule]]) -> Any:
        for rule in rules.get(node.func, ()):
            new = rule.apply(node, definitions)
            if new is not None:
                used.append(rule)
                return new
        return None

    def walk(node: Any) -> Any:
        if not node.args or is_access(node):
            return node
        if node not in memo:
            new = first(node, _WHOLE)
            if new is None:
                new = rebuild(node, [walk(arg) for arg in node.args])
                changed = first(new, _PARTS)
                memo[node] = new if changed is None else walk(changed)
            else:
                memo[node] = walk(new)
        return memo[node]

    return walk(expr), used


# sums of a number and one other term


def _complement(of: Callable[[Any, Any, Definitions], Any]) -> Callable[[Any, Definitions], Any]:
    """A rule for number + factor*function and more terms: `of` is given the factor for a number of 1."""

    def apply(node: Any, definitions: Definitions) -> Any:
        number = _constant(node)
        for term in node.args if number is not None else ():
            factor, function = term.as_coeff_Mul()
            new = None if term is number else of(factor / number, function, definitions)
            if new is not None:
                return plus(times(number, new), *(other for other in node.args if other is not term and other is not number))
        return None

    return apply


@lru_cache(maxsize=1 << 12)
def _constant(total: Any) -> Any:
    return next((term for term in total.args if term.is_number), None)


def _one_less(factor: Any, function: Any, definitions: Definitions) -> Any:
    """1 - y, y = logistic(v)."""
    value = meaning(function, definitions)
    return logistic(-value.args[0]) if factor == -1 and value is not None and value.func == logistic else None


def _one_less_twice(factor: Any, function: Any, definitions: Definitions) -> Any:
    """1 - 2 y, y = logistic(v)."""
    value = meaning(function, definitions)
    return -sp.tanh(value.args[0] / 2) if factor == -2 and value is not None and value.func == logistic else None


def _one_and_tanh(factor: Any, function: Any, definitions: Definitions) -> Any:
    value = meaning(function, definitions)
    return 2 * logistic(2 * factor * value.args[0]) if abs(factor) == 1 and isinstance(value, sp.tanh) else None


def _one_less_square(factor: Any, function: Any, definitions: Definitions) -> Any:
    if factor != -1 or not function.is_Pow or function.exp != 2:
        return None
    value = meaning(function.base, definitions)
    return sech(value.args[0]) ** 2 if isinstance(value, sp.tanh) else None


def _exp_less_one(factor: Any, function: Any, _: Definitions) -> Any:
    return -expm1(function.args[0]) if factor == -1 and isinstance(function, sp.exp) else None


def _one_less_cos(factor: Any, function: Any, _: Definitions) -> Any:
    return 2 * sp.sin(function.args[0] / 2) ** 2 if factor == -1 and isinstance(function, sp.cos) else None


def _difference(node: Any) -> tuple[Any, Any] | None:
    """(a, b) of e^a - e^b."""
    if not node.is_Add or len(node.args) != 2:
        return None
    logs = {}
    for term in node.args:
        sign, rest = (-1, -term) if term.could_extract_minus_sign() else (1, term)
        log = logarithm(rest, {})
        if log is None:
            return None
        logs[sign] = log
    return (logs[1], logs[-1]) if len(logs) == 2 else None


def _divided(node: Any) -> bool:
    """Something stands below the line."""
    return any(factor.is_Pow and factor.exp.is_Number and factor.exp.is_negative for factor in sp.Mul.make_args(node))


def _tanh(node: Any, _: Definitions) -> Any:
    if not _divided(node):
        return None
    factors = powers(node)
    for top in (base for base, power in factors.items() if power == 1):
        found = _difference(top)
        if found is None:
            continue
        a, b = found
        for below in (base for base, power in factors.items() if power == -1 and base.is_Add and len(base.args) == 2):
            if {logarithm(term, {}) for term in below.args} == {a, b}:
                rest = {base: power for base, power in factors.items() if base not in (top, below)}
                return times(sp.tanh(sp.expand(a - b) / 2), *(base**power for base, power in rest.items()))
    return None


def _share(node: Any, definitions: Definitions) -> Any:
    return share(node, definitions) if _divided(node) else None


def _scaled_share(node: Any, _: Definitions) -> Any:
    """a e^f/sum w e^g = a e^(f - M)/sum w e^(g - M)."""
    if not _divided(node):
        return None
    factors = powers(node)
    for total in (base for base, power in factors.items() if power == -1 and is_reduction(base)):
        top = next((base for base in factors if isinstance(base, sp.exp) and factors[base] == 1), None)
        found = scaled(total)
        if found is not None and top is not None:
            rest = [base**power for base, power in factors.items() if base not in (total, top)]
            return times(sp.exp(top.args[0] - found[0]), 1 / found[1], *rest)
    return None


def _log(node: Any, definitions: Definitions) -> Any:
    if node.is_number:
        return None
    found = logarithm(node.args[0], definitions)
    return None if found == node else found


def _log_scaled(node: Any, definitions: Definitions) -> Any:
    total = meaning(node.args[0], definitions)
    found = scaled(total) if total is not None else None
    return found[0] + sp.log(found[1]) if found else None


def _log_near_one(node: Any, _: Definitions) -> Any:
    if not node.args[0].is_Add:
        return None
    number, rest = node.args[0].as_coeff_Add()
    return log1p(rest) if number == 1 else None


def _is_square(expr: Any) -> bool:
    """Of a real number: 0 only where that is 0."""
    if expr.is_Mul:
        return all(arg.is_positive if arg.is_number else _is_square(arg) for arg in expr.args)
    return bool(expr.is_Pow and expr.exp.is_Integer and expr.exp.is_positive and expr.exp % 2 == 0)


def _root(node: Any, definitions: Definitions) -> Any:
    if node.exp != sp.S.Half or node.is_number:
        return None
    total = meaning(node.base, definitions)
    if total is None:
        return None
    if is_reduction(total):
        op, body, _ = split_reduction(total)
        return root(node.base) if op == "sum" and _is_square(body) else None
    terms = sp.Add.make_args(total)
    return root(node.base) if all(map(_is_square, terms)) else None


def _sinc(node: Any, _: Definitions) -> Any:
    """(sin(r b)/b)^m = (r sinc(r b))^m, r a number."""
    if not _divided(node):
        return None
    factors = powers(node)
    for base, power in factors.items():
        if not isinstance(base, sp.sin) or not power.is_Integer:
            continue
        for below, less in factors.items():
            ratio = base.args[0] / below
            if ratio.is_number and less.is_Integer and power > 0 > less:
                m = min(power, -less)
                left = {**factors, base: power - m, below: less + m}
                return times((ratio * sinc(base.args[0])) ** m, *(b**p for b, p in left.items()))
    return None


def _xlogy(node: Any, _: Definitions) -> Any:
    """a log b, a not a number."""
    logs = [arg for arg in node.args if isinstance(arg, sp.log) and not arg.is_number]
    rest = [arg for arg in node.args if arg not in logs and not arg.is_number]
    if len(logs) != 1 or not rest or not all(arg.is_Pow or is_access(arg) for arg in rest):
        return None
    numbers = (arg for arg in node.args if arg.is_number)
    return times(*numbers, xlogy(times(*rest), logs[0].args[0]))


def _variance(node: Any, definitions: Definitions) -> Any:
    """c sum f^2 - (c sum f)^2 = c sum (f - c sum f)^2, where c is 1 over the number of terms."""
    for term in node.args:
        for factor, total in _sums(term):
            op, body, limits = split_reduction(total)
            count = times(*(limit[2] - limit[1] + 1 for limit in limits))
            if op != "sum" or not body.is_Pow or body.exp != 2 or sp.expand(factor * count) != 1:
                continue
            mean = factor * reduction("sum", body.base, limits)
            for other in node.args:
                if other is not term and _same_square(-other, mean, definitions):
                    rest = (each for each in node.args if each not in (term, other))
                    return plus(*rest, factor * reduction("sum", (body.base - mean) ** 2, limits))
    return None


def _sums(term: Any) -> list[tuple[Any, Any]]:
    """(other factors, sum) of a product with one sum."""
    factors = sp.Mul.make_args(term)
    found = [factor for factor in factors if is_reduction(factor)]
    return [(times(*(factor for factor in factors if factor is not found[0])), found[0])] if len(found) == 1 else []


def _same_square(term: Any, mean: Any, definitions: Definitions) -> bool:
    """term = mean^2, whatever the letters of its sum are."""
    factors = powers(term)
    value = times(*(base ** (power / 2) for base, power in factors.items()))
    if len(factors) == 1 and is_access(next(iter(factors))):
        value = _value_or_name(value, definitions)
    ours, theirs = ([_sums(each)[0] for each in (mean, value) if _sums(each)] + [None, None])[:2]
    if ours is None or theirs is None or sp.expand(ours[0] - theirs[0]) != 0:
        return False
    (_, body, limits), (op, other, others) = split_reduction(ours[1]), split_reduction(theirs[1])
    if op != "sum" or [limit[1:] for limit in limits] != [limit[1:] for limit in others]:
        return False
    names = {theirs_[0]: ours_[0] for ours_, theirs_ in zip(limits, others, strict=True)}
    return bool(substitute(other, names) == body)


def _value_or_name(read: Any, definitions: Definitions) -> Any:
    found = meaning(read, definitions)
    return read if found is None else found


WHOLE = (
    Rule("tanh", "(e^a - e^b)/(e^a + e^b)", "tanh((a - b)/2)", "e^a may overflow, the difference cancels", _tanh, (sp.Mul,)),
    Rule(
        "share",
        "e^f/(e^f + e^g + …)",
        "logistic(f - log(e^g + …))",
        "e^f may overflow; 1 less it has a form of its own",
        _share,
        (sp.Mul, sp.Pow),
    ),
    Rule(
        "scaled share",
        "e^f/sum w e^g",
        "e^(f - M)/sum w e^(g - M), M = max g",
        "the largest exponent is taken out",
        _scaled_share,
        (sp.Mul,),
    ),
    Rule(
        "log",
        "log of products, powers and sums of e^g",
        "sums, multiples and logsumexp of g",
        "e^g may overflow or round to 0",
        _log,
        (sp.log,),
    ),
    Rule(
        "scaled log",
        "log sum w e^g",
        "M + log sum w e^(g - M), M = max g",
        "the largest exponent is taken out",
        _log_scaled,
        (sp.log,),
    ),
)
PARTS = (
    Rule(
        "rest of logistic",
        "1 - y, y = logistic(v)",
        "logistic(-v)",
        "the difference cancels where y is near 1",
        _complement(_one_less),
        (sp.Add,),
    ),
    Rule(
        "tanh of logistic",
        "1 - 2 y, y = logistic(v)",
        "-tanh(v/2)",
        "the difference cancels where v is near 0",
        _complement(_one_less_twice),
        (sp.Add,),
    ),
    Rule(
        "one and tanh",
        "1 ± y, y = tanh(v)",
        "2 logistic(±2 v)",
        "the sum cancels where y is near ∓1",
        _complement(_one_and_tanh),
        (sp.Add,),
    ),
    Rule(
        "rest of tanh²",
        "1 - y², y = tanh(v)",
        "sech(v)²",
        "the difference cancels where y² is near 1",
        _complement(_one_less_square),
        (sp.Add,),
    ),
    Rule("expm1", "1 - e^w", "-expm1(w)", "the difference cancels where w is near 0", _complement(_exp_less_one), (sp.Add,)),
    Rule(
        "rest of cos",
        "1 - cos(u)",
        "2 sin(u/2)²",
        "the difference cancels where u is near 0",
        _complement(_one_less_cos),
        (sp.Add,),
    ),
    Rule("log1p", "log(1 + x)", "log1p(x)", "1 + x rounds where x is small", _log_near_one, (sp.log,)),
    Rule("variance", "mean of f² - (mean of f)²", "mean of (f - mean of f)²", "the difference cancels", _variance, (sp.Add,)),
    Rule("root", "sqrt of a sum of squares", "its slope at 0 is taken for 0", "the slope is 0/0 where all are 0", _root, (sp.Pow,)),
    Rule("sinc", "sin(u)/u", "sinc(u), 1 at 0", "0/0 at 0, and its slope cancels near it", _sinc, (sp.Mul,)),
    Rule("xlogy", "a log b", "xlogy(a, b), 0 where a is 0", "0 log 0 is 0", _xlogy, (sp.Mul,)),
)
RULES: tuple[Rule, ...] = (*WHOLE, *PARTS)


def _by_head(rules: Sequence[Rule]) -> Mapping[Any, Sequence[Rule]]:
    """The rules for each kind of expression, in their order."""
    return {head: tuple(rule for rule in rules if head in rule.heads) for rule in rules for head in rule.heads}


_WHOLE, _PARTS = _by_head(WHOLE), _by_head(PARTS)
