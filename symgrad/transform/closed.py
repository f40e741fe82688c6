"""One adjoint in closed form: the adjoints it is computed from put in, brought into textbook form.

>>> from symgrad.frontend.text import parse
>>> from symgrad.transform.collect import collect
>>> from symgrad.transform.reverse import reverse
>>> primal = parse("y = tanh(w*x); J = y^2")
>>> closed_form("w_bar", collect(reverse(primal, "J", ["w"]), "one"), primal)
2*x*y*(1 - y**2)
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sympy import Expr

from symgrad.core.errors import SymgradError
from symgrad.core.expr import is_access, rebuild, reduction, rename_bound
from symgrad.core.graph import in_rings
from symgrad.core.program import Program, Statement, Tensor
from symgrad.transform.gather import free_name
from symgrad.transform.simplify import cancel, inline, logistic_form, pick, size, tidy

LARGEST = 20_000  # nodes of a closed form that anyone would still read


def closed_form(bar: str, whole: Program, primal: Program, invented: Collection[str] = ()) -> Expr:
    """The adjoint with all other adjoints, and the steps that the user did not name, put in.

    An adjoint of a recurrence has no closed form: it stays as it is. Raises SG506 above 20,000 nodes.
    """
    values: dict[str, tuple[tuple[Any, ...], Expr]] = {}
    for name in _dependencies(bar, whole, primal, invented):
        statement = whole.definitions[name][0]
        sources = [part.primal for part in statement.origin.contributions if len(primal.definitions.get(part.primal.name, ())) == 1]
        value = statement.value
        for source in dict.fromkeys(sources):
            value = _by_result(value, source)
        if statement.reduced:
            value = reduction(statement.op or "sum", value, [index.limit for index in statement.reduced])
        value = renamed(inline(value, values), whole.tensors[name], whole)
        value = pick(value, {axis.symbol: (axis.lo, axis.hi) for axis in whole.tensors[name].axes}, whole.facts)
        value = tidy(cancel(tidy(value)))
        if size(value) > LARGEST:
            raise SymgradError(
                "SG506",
                f"the closed form of {name} has more than {LARGEST:,} nodes",
                hint="print the backward pass instead: text(), latex()",
            )
        values[name] = tuple(axis.symbol for axis in whole.tensors[name].axes), value
    return values[bar][1]


def _dependencies(bar: str, whole: Program, primal: Program, invented: Collection[str]) -> list[str]:
    """Adjoints and invented steps that `bar` needs, each after what it needs itself."""
    own = set(whole.defined) - (set(primal.defined) - set(invented)) - (in_rings(whole) - {bar})
    done: dict[str, None] = {}
    stack = [(bar, False)]
    while stack:
        name, finished = stack.pop()
        if finished:
            done[name] = None
        elif name not in done:
            stack.append((name, True))
            reads = [n for s in whole.definitions[name] for n in s.read_names if n != bar]
            stack.extend((n, False) for n in reads if n in own and n not in done)
    return list(done)


def _by_result(value: Any, primal: Statement) -> Any:
    if is_access(value) or not value.args:
        return value
    if value.is_Add:
        return rebuild(value, [_by_result(arg, primal) for arg in value.args])
    return logistic_form(value, primal) if value.is_Mul else value


def renamed(value: Any, tensor: Tensor, program: Program) -> Any:
    """Bound indices under letters that clash with nothing around."""
    used = {str(axis.symbol) for axis in tensor.axes} | set(program.tensors)
    return rename_bound(value, lambda symbol, around: free_name(symbol, around | used))
