"""Differences with the log of a sum of exponentials that keep their digits: softmax's cross-entropy and its derivative.

With L[n] = logsumexp(a[n,l] for l), top[n] = max(a[n,l] for l) and excess[n] = L[n] - top[n] computed without the difference:

    a[n,k] - L[n]                 (a[n,k] - top[n]) - excess[n]
    c e^(a[n,k] - L[n]) - d       (c - d) + c (e^(-excess[n]) - 1) at the top, where both terms are near c; else as it stands

A label of 1 and a share of almost 1 leave what the share lacks of 1. A label that is a place, as in log y[c], comes as two
contributions, c e^(a[k] - L) to each cell and -d to that of the label: they are one equation here, with [k = c] d for d. The last
pass before a schedule: these have no derivatives.

>>> from symgrad.frontend.text import parse
>>> print(shares(parse("index k, l in 1..K; L = logsumexp(a[l] for l); J[k] = 2*(a[k] - L)")))
index k in 1..K, l in 1..K
L = logsumexp(a[l] for l)
L_top = max(a[l] for l)
L_excess = logsumexp(a[l] - L_top for l)
J[k] = 2*log_share(a[k], L_top, L_excess)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import sympy as sp
from sympy import Function

from symgrad.core.expr import access, indices_of, is_access, is_reduction, name_of, nodes, plus, rebuild, substitute, times
from symgrad.core.program import Origin, Program, Statement, Tensor, covers
from symgrad.transform.collect import as_one
from symgrad.transform.exponentials import Definitions
from symgrad.transform.gather import gather

log_share, share_less = Function("log_share"), Function("share_less")


def shares(program: Program) -> Program:
    """The program with such differences in the form that keeps their digits."""
    sums = {s.name: s for s in program.statements if s.op == "logsumexp" and len(program.definitions[s.name]) == 1}
    if not sums:
        return program
    return _Pass(_Pass(program, sums).merged(), sums).run()


class _Pass:
    def __init__(self, program: Program, sums: dict[str, Statement]):
        self.program, self.sums = program, sums
        self.definitions: Definitions = {s.name: s for s in program.statements if len(program.definitions[s.name]) == 1}
        self.names: dict[str, tuple[str, str]] = {}
        self.added: dict[str, list[Statement]] = {}
        self.tensors: list[Tensor] = []

    def merged(self) -> Program:
        """The program with a share and what is added to some cells of it in one equation."""
        statements: list[Statement] = []
        for name, contributions in self.program.definitions.items():
            statements += self.one(self.program.tensors[name], contributions) if len(contributions) > 1 else contributions
        return self.program.with_statements(statements, self.tensors)

    def one(self, tensor: Tensor, statements: Sequence[Statement]) -> Sequence[Statement]:
        """One equation for all contributions, where that is a share less something; what adds up in a cell has a name."""
        whole = [s for s in statements if s.op == "sum" and not s.reduced and covers(s, tensor)]
        if len(whole) != 1 or any(s.op != "sum" for s in statements) or self.lone(whole[0].value) is None:
            return statements
        gathered = [gather(s, self.program) for s in statements]
        # many contributions to a cell: each is added once, and not looked for in every cell
        apart = [s for s, found in zip(statements, gathered, strict=True) if found.reduced]
        parts = [found for found in gathered if not found.reduced]
        added: list[Statement] = []
        if apart:
            cells, name = [axis.symbol for axis in tensor.axes], self.program.unused_name(f"{tensor.name}_less")
            self.tensors.append(Tensor(name, tensor.axes, "defined"))
            added = [replace(s, target=access(name, *indices_of(s.target)), origin=Origin(invented=True)) for s in apart]
            parts.append(Statement(access(tensor.name, *cells), access(name, *cells), tensor.axes, "sum"))
        total = as_one(tensor, parts)
        return statements if self.lone(total.value) is None else [*added, total]

    def run(self) -> Program:
        statements = []
        for statement in self.program.statements:
            self.walk(statement.value, False)  # where a logarithm has other readers, shares alone are left as they are
        for statement in self.program.statements if self.names else ():
            value = self.walk(statement.value, True) if statement.op != "logsumexp" else statement.value
            changed = value != statement.value
            origin = replace(statement.origin, written=None) if changed else statement.origin
            statements += [replace(statement, value=value, origin=origin), *self.added.get(statement.name, ())]
        return self.program.with_statements(statements, self.tensors) if self.names else self.program

    def walk(self, node: Any, alone: bool) -> Any:
        """The expression with its differences changed; `alone`: also those that are just the exponent of a share."""
        if not node.args or is_access(node) or is_reduction(node):
            return node
        found = self.sum(node, alone) if node.is_Add else None
        if found is not None:
            return found
        if isinstance(node, sp.exp) and node.args[0].is_Add:
            found = self.share(node)
            if found is None or not alone or name_of(found[1]) not in self.names:
                return node
        return rebuild(node, [self.walk(arg, alone) for arg in node.args])

    def sum(self, node: Any, alone: bool) -> Any:
        """A sum with a share in it, or with the logarithm of one; None for others."""
        found = self.lone(node)
        if found is None:
            return self.logarithm(node, alone)
        factor, difference, rest = found
        less = plus(*(self.walk(other, alone) for other in rest))
        return share_less(self.walk(factor, alone), -less, *self.named(*difference))

    def lone(self, node: Any) -> tuple[Any, Any, list[Any]] | None:
        """(c, (a, L), the other terms) of the only term c e^(a - L) of a sum that has a share."""
        terms = sp.Add.make_args(node)
        for term in terms:
            for factor, top in _apart(term):
                found = self.share(top)
                # of attention's P (v - sum P v) each term has a share: it is a difference of the v
                if found is not None and not self.has_share(rest := [other for other in terms if other is not term]):
                    return factor, found, rest
        return None

    def has_share(self, terms: list[Any]) -> bool:
        return any(self.share(part) for term in terms for part in nodes(term))

    def share(self, exp: Any) -> Any:
        """The difference that is the exponent of e^(a - L), written out or by name."""
        if is_access(exp) and name_of(exp) in self.definitions:
            statement = self.definitions[name_of(exp)]
            if not statement.reduced:
                exp = substitute(statement.value, dict(zip(indices_of(statement.target), indices_of(exp), strict=True)))
        if not isinstance(exp, sp.exp) or not exp.args[0].is_Add or len(exp.args[0].args) != 2:
            return None
        return self.difference(exp.args[0].args)

    def logarithm(self, node: Any, alone: bool) -> Any:
        """c a - c L, c a number, and more terms."""
        totals = [term for term in node.args if self.is_total(term.as_coeff_Mul()[1])]
        for one, other in ((a, b) for b in totals for a in node.args if a is not b):
            (factor, a), (minus, total) = one.as_coeff_Mul(), other.as_coeff_Mul()
            found = self.difference((a, -total)) if factor == -minus else None
            if found is not None and found[0] == a:
                rest = [self.walk(term, alone) for term in node.args if term is not one and term is not other]
                return plus(times(factor, log_share(*self.named(*found))), *rest)
        return None

    def is_total(self, expr: Any) -> bool:
        return is_access(expr) and name_of(expr) in self.sums

    def difference(self, terms: tuple[Any, ...]) -> Any:
        """(a, L) of a - L, where a is one of the terms of L."""
        for a, minus in (terms, terms[::-1]):
            total = -minus
            if self.is_total(total) and is_access(a):
                statement = self.sums[name_of(total)]
                kept = dict(zip(indices_of(statement.target), indices_of(total), strict=True))
                if self.belongs(a, substitute(statement.value, kept), statement):
                    return a, total
        return None

    def belongs(self, a: Any, body: Any, statement: Statement) -> bool:
        """One of the terms: the body at some values of the indices that are summed over."""
        if not is_access(body) or name_of(a) != name_of(body):
            return False
        summed = {index.symbol for index in statement.reduced}
        pairs = zip(indices_of(a), indices_of(body), strict=True)
        return all(ours == theirs or theirs in summed for ours, theirs in pairs)

    def named(self, a: Any, total: Any) -> tuple[Any, ...]:
        """(a, top, excess) of a - L; both get equations."""
        name, statement = name_of(total), self.sums[name_of(total)]
        if name not in self.names:
            self.names[name] = (self.program.unused_name(f"{name}_top"), self.program.unused_name(f"{name}_excess"))
            self.added[name] = list(self.parts(statement, *self.names[name]))
        return a, *(access(each, *indices_of(total)) for each in self.names[name])

    def parts(self, statement: Statement, top: str, excess: str) -> Iterator[Statement]:
        indices, origin = indices_of(statement.target), Origin(statement.origin.span, invented=True)
        less = statement.value - access(top, *indices)
        for name, value, op in ((top, statement.value, "max"), (excess, less, "logsumexp")):
            self.tensors.append(Tensor(name, self.program.tensors[statement.name].axes, "defined"))
            yield Statement(access(name, *indices), value, statement.domain, op, origin)


def _apart(term: Any) -> Iterator[tuple[Any, Any]]:
    """(other factors, e^u or what may be the name of one) of a product."""
    factors = sp.Mul.make_args(term)
    for top in factors:
        if isinstance(top, sp.exp) or is_access(top):
            yield times(*(factor for factor in factors if factor is not top)), top
