"""Learning rates as equations over the step, and two functions that write common ones.

    t        the step, from 1             steps    the number of steps of the whole run
    epoch    the epoch, from 1            epochs   the number of epochs of the whole run

An equation is read by the text language, never executed, and compiled into the step.

>>> staircase(0.1, 0.5, 10)
'0.1*0.5^floor((epoch - 1)/10)'
>>> print(rate_program("0.1/(1 + t/1000)"))
rate = 0.1/(1 + t/1000)
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from symgrad.core.errors import Source, SymgradError, did_you_mean
from symgrad.core.program import Program
from symgrad.core.resolve import resolve
from symgrad.core.tree import Name
from symgrad.frontend.lines import Lines, add_equation, draft
from symgrad.frontend.syntax import describe, tokenize
from symgrad.frontend.text import StatementParser

COUNTERS = ("t", "epoch", "steps", "epochs")
KNOWN = f"a rate may use {', '.join(COUNTERS)}"


@lru_cache(maxsize=256)
def rate_program(text: str) -> Program:
    """`rate = text`. Raises SG1xx (syntax), SG203 (a name that is no counter), SG301, SG401 (what is no number)."""
    source = Source(text, "<rate>")
    parser = StatementParser(tokenize(source))
    while parser.token.kind == "newline":
        parser.next()
    if parser.token.kind == "end":
        raise SymgradError("SG104", "an operand is missing: the rate is empty", parser.token.span, KNOWN)
    tree = parser.expression(0)
    while parser.token.kind == "newline":
        parser.next()
    if parser.token.kind != "end":
        found = describe(parser.token)
        raise SymgradError("SG105", f"expected the end of the rate, found {found}", parser.token.span, "write one expression")
    lines = Lines()
    add_equation(lines, Name("rate", (), source.span(0, len(text))), "=", tree, ())
    program = resolve(draft(lines))
    _check_counters(program, source)
    return program


def _check_counters(program: Program, source: Source) -> None:
    whole = source.span(0, len(source.text))
    (statement, *_) = program.statements
    for name in program.free:
        reads = statement.reads_of.get(name, ())
        if name not in COUNTERS or program.tensors[name].axes:
            known = name in COUNTERS
            hint = KNOWN if known else did_you_mean(name, COUNTERS) or KNOWN
            fact = "has no indices" if known else "is not known to a rate"
            raise SymgradError("SG203", f"{name} {fact}", statement.origin.place(reads[0] if reads else None) or whole, hint)
    for size in program.needed_sizes:
        raise SymgradError("SG203", f"{size} is not known to a rate", whole, KNOWN)


def cosine(peak: float, warm_up: int = 0, last: float = 0.0) -> str:
    """Linear from 0 to `peak` in `warm_up` steps (Goyal et al. 2017, section 2.2), then half a cosine down to `last` at
    the last step (Loshchilov & Hutter 2017, equation 5).

    >>> cosine(0.1)
    '(0.1 + 0.1*cos(pi*t/steps))/2'
    """
    peak, last = _number("peak", peak), _number("last", last)
    warm_up = int(_number("warm_up", warm_up))
    end = f"{last} + " if last else ""
    done = f"(t - {warm_up})/max(1, steps - {warm_up})" if warm_up else "t/steps"
    fall = f"{end}({peak - last} + {peak - last}*cos(pi*{done}))/2"
    return f"where(t <= {warm_up}, {peak}*t/{warm_up}, {fall})" if warm_up else fall


def staircase(start: float, factor: float, every: int) -> str:
    """`start`, times `factor` after every `every` epochs."""
    every = int(_number("every", every))
    if every < 1:
        raise SymgradError("SG608", f"every must be at least 1, and is {every}")
    return f"{_number('start', start)}*{_number('factor', factor)}^floor((epoch - 1)/{every})"


def positive(**values: Any) -> dict[str, float]:
    """Numbers that are finite and not negative. Raises SG608."""
    return {name: _number(name, value) for name, value in values.items()}


def _number(name: str, value: Any) -> float:
    good = isinstance(value, int | float | np.number) and not isinstance(value, bool | np.complexfloating)
    if not (good and np.isfinite(value) and value >= 0):
        raise SymgradError("SG608", f"{name} must be a number that is not negative, and is {value!r}")
    return float(value)
