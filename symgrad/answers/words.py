"""What a verdict says beside the numbers: claims and tests as text, equality in symbols, a warning about the loss.

>>> from symgrad.frontend.text import parse
>>> log_likelihood_warning(parse("J = t*log(y); minimize J"))
()
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy as sp
from sympy import Expr

from symgrad.answers import expected
from symgrad.answers.reading import Reading
from symgrad.answers.truth import Truth
from symgrad.core.draft import Claim
from symgrad.core.expr import access, accesses, indices_of, is_reduction, name_of, nodes, replace_nodes, substitute, where
from symgrad.core.layout import Layout
from symgrad.core.program import Program
from symgrad.core.tree import Tree
from symgrad.printers.text import TEXT
from symgrad.transform.simplify import plain_bound, tidy


def same_in_symbols(truth: Truth, reading: Reading) -> bool:
    """The two sides are one expression once sums and products are written out, in the quantities that they name."""
    program, value = expected.expression(truth, reading)
    back = {n: program.tensors[n].adjoint_of for n in map(name_of, accesses(value))}
    named = {name_of(r) for r in accesses(reading.value)}
    if any(reading.derivatives[n][0] != truth.loss for n in named if n in reading.derivatives):
        return False
    bars = {f"d|{a[0]}|{a[1]}": n for n, a in back.items() if a}
    swap = {r: access(bars[name_of(r)], *indices_of(r)) for r in accesses(reading.value) if name_of(r) in bars}
    one = replace_nodes(reading.value, swap)
    if any(is_reduction(n) or n.func == where for side in (one, value) for n in nodes(side)):
        return bool(plain_bound(tidy(sp.expand(tidy(one)))) == plain_bound(tidy(sp.expand(tidy(value)))))
    return bool(sp.expand(one - value) == 0 or sp.cancel(sp.together(one - value)) == 0)


def claim_text(claim: Claim) -> str:
    return f"{tree_text(claim.left)} {claim.op} {tree_text(claim.right)}" if claim.span is None else claim.span.text


def tree_text(tree: Tree) -> str:
    return TEXT.show(tree)


def test_text(test: Any, program: Program) -> str:
    """A test in the model's own quantities: steps that it does not name are put in."""
    for use in accesses(test):
        found = program.definitions.get(name_of(use), ())
        if len(found) == 1 and found[0].origin.invented and not found[0].reduced:
            inner = substitute(found[0].value, dict(zip(indices_of(found[0].target), indices_of(use), strict=True)))
            test = replace_nodes(test, {use: inner})
    return TEXT.show(Layout.of(program, derivatives=True).tree(test))


def shown(given: Sequence[tuple[Expr, Expr]], program: Program) -> str:
    layout = Layout.of(program, derivatives=True)
    return " and ".join(f"{TEXT.show(layout.tree(a))} = {TEXT.show(layout.tree(b))}" for a, b in given)


def log_likelihood_warning(program: Program) -> tuple[str, ...]:
    """A sum of target times log of a probability that is minimised: it has no minus sign."""
    if program.goal != "minimize" or program.loss is None:
        return ()
    (statement, *rest) = program.definitions[program.loss]
    if rest or statement.op not in (None, "sum") or not all(_is_log_term(t) for t in sp.Add.make_args(statement.value)):
        return ()
    name = program.loss
    return (f"{name} is a log-likelihood and is minimised: cross-entropy has a minus sign before it, or write maximize {name}",)


def _is_log_term(term: Any) -> bool:
    factors = sp.Mul.make_args(term)
    logs = [f for f in factors if isinstance(f, sp.log)]
    return len(logs) == 1 and all(f in logs or f.is_positive is True or _is_target(f) for f in factors)


def _is_target(factor: Any) -> bool:
    """y* or 1 - y*."""
    reads = accesses(factor)
    return len(reads) == 1 and name_of(reads[0]).endswith("_star") and factor in (reads[0], 1 - reads[0])
