"""What was not finite in a step: the data, an equation of the model, a gradient, or the update; in that order.

The forward pass is run with the last good parameters on the examples of the step. The first equation whose value is not
finite though all that it reads is, is named: in `a = exp(w*x); b = log(a); J = b^2` an `a` beyond all numbers, not J.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from symgrad.backends.entry import Part
from symgrad.backends.load import load
from symgrad.backends.module import module_text
from symgrad.backends.pycode import python_name
from symgrad.compiler import gradient_part, optimize
from symgrad.core.errors import Span, SymgradError
from symgrad.core.graph import ancestors
from symgrad.core.layout import Layout
from symgrad.core.source import statement_text, written_name
from symgrad.kernel import Kernel
from symgrad.schedule.order import schedule

HINT = "try a lower learning rate, clip_norm=1, or scale the inputs; the parameters before this step are the error's .params"
Found = tuple[str, Span | None]


class Diverged(SymgradError):
    """A loss, a gradient or a parameter became infinite or nan. `.fit` is the `Fit` up to there, `.params` its parameters:
    those before the step that failed."""

    fit: Any = None

    @property
    def params(self) -> dict[str, Any]:
        found: dict[str, Any] = self.fit.params
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        return (*super().__reduce__(), {"fit": self.fit})


def finite(arrays: Iterable[Any]) -> bool:
    return all(bool(np.isfinite(array).all()) for array in arrays)


def diverged(
    kernel: Kernel, fit: Any, data: Mapping[str, Any], step: int, epoch: int, after: Callable[[], Mapping[str, Any]]
) -> Diverged:
    """The error for a step that fails from the parameters of `fit` on `data`. `after`: the parameters behind that step."""
    given = {**data, **fit.params}
    with np.errstate(all="ignore"):
        what, span = _given(given) or _equation(kernel, given) or _gradient(kernel, fit.params, given) or _update(after())
    error = Diverged("SG607", f"training broke off in step {step} (epoch {epoch}): {what}", span, HINT)
    error.fit = fit
    return error


def _given(given: Mapping[str, Any]) -> Found | None:
    wrong = [name for name, array in given.items() if not finite([array])]
    return (f"{written_name(wrong[0])} is given numbers that are not finite", None) if wrong else None


def _run(kernel: Kernel, part: Part, given: Mapping[str, Any]) -> Any:
    """NumPy: nothing is compiled for a single look."""
    module = load(module_text(kernel.program, [part], kernel.dtype, "numpy"))
    return getattr(module, part.name)(**{python_name(n): given[n] for n in part.schedule.arguments})


def _equation(kernel: Kernel, given: Mapping[str, Any]) -> Found | None:
    program, needed = kernel.program, ancestors(kernel.primal, [kernel.loss])
    names = [name for name in program.defined if name in needed and name in kernel.primal.definitions]
    arguments = [name for name in program.free if name in needed]
    planned = schedule(optimize(kernel.primal, names, stable=kernel.stabilize), arguments, names)
    values = _run(kernel, Part("forward", planned, {n: n for n in names}, "What the loss needs."), given)
    wrong = [name for name in names if not finite([values[name]])]
    first = [n for n in wrong if not any(r in wrong and r != n for s in program.definitions[n] for r in s.read_names)]
    if not wrong:
        return None
    name = (first or wrong)[0]
    statement = program.definitions[name][0]
    value = np.asarray(values[name])
    shown = value[~np.isfinite(value)][0] if value.ndim else value
    return f"{statement_text(statement, program, Layout.of(program))} became {shown}", statement.origin.span


def _gradient(kernel: Kernel, params: Mapping[str, Any], given: Mapping[str, Any]) -> Found | None:
    _, found = _run(kernel, gradient_part(kernel.primal, kernel.loss, tuple(params)), given)
    wrong = [name for name, array in found.items() if not finite([array])]
    what = f"{kernel.loss} is finite, but its gradient by"
    return (f"{what} {written_name(wrong[0])} is not", None) if wrong else None


def _update(after: Mapping[str, Any]) -> Found:
    wrong = [name for name, array in after.items() if not finite([array])]
    if wrong:
        return f"the loss and its gradients are finite, but the update of {written_name(wrong[0])} is not", None
    return "the loss was not finite", None
