"""Expression → syntax tree: signs, fractions and the order of terms, decided once for every format.

The order in which the user wrote the terms of a sum is kept wherever the same sum turns up again; else
terms stand in the order in which their quantities first appear, a positive one first. A product has its
number first, then adjoints, then the rest in order of appearance; factors with negative exponents go
below the line, and a minus sign goes into a difference there: -(1 - t)/(1 - y) is (1 - t)/(y - 1).

>>> from symgrad.core.tree import Format
>>> y, t = sp.symbols("y t")
>>> Format().show(Layout(("t", "y")).tree(t / y - (1 - t) / (1 - y)))
't/y + (1 - t)/(y - 1)'
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sympy as sp
from sympy import Expr, Indexed

from symgrad.core.expr import is_access, is_index, is_reduction, name_of, nodes, rewrite, split_reduction, where
from symgrad.core.functions import BY_HEAD
from symgrad.core.program import Index, Program, whole_axis
from symgrad.core.tree import Binder, Bracket, Call, Compare, Deriv, Name, Num, Pow, Prod, Reduce, Sum, Tree

COMPARISONS = {
    sp.Gt: ">", sp.Ge: ">=", sp.Lt: "<", sp.Le: "<=", sp.Eq: "=", sp.Ne: "!=",
}  # fmt: skip


def shape(expr: Any) -> Any:
    """The expression with indices left out, so that z_j and z_l are ordered alike."""
    return rewrite(expr, lambda n: sp.Symbol(name_of(n)) if isinstance(n, Indexed) else n)


def _flat(expr: Any) -> bool:
    return bool(expr.is_Add) and len(expr.args) == 2 and sum(bool(a.could_extract_minus_sign()) for a in expr.args) == 1


class Layout:
    """Chooses the written form of expressions of one program.

    `names` is the order of first appearance, `written` the remembered order of terms, `ranges` the declared
    index ranges (left out of the text language's reductions), `adjoints` names shown as derivatives.
    """

    def __init__(
        self,
        names: Sequence[str] = (),
        written: Mapping[Any, tuple[Any, ...]] | None = None,
        ranges: Mapping[str, Index] | None = None,
        adjoints: Mapping[str, tuple[str, str]] | None = None,
    ):
        self.rank = {name: place for place, name in enumerate(names)}
        self.written = written or {}
        self.ranges = ranges
        self.adjoints = adjoints or {}

    @classmethod
    def of(cls, program: Program, derivatives: bool = False) -> Layout:
        adjoints = {t.name: t.adjoint_of for t in program.tensors.values() if t.adjoint_of} if derivatives else {}
        return cls(appearance(program), program.written, None if derivatives else program.ranges, adjoints)

    def tree(self, expr: Any) -> Tree:
        if expr.is_Add:
            return self._sum(expr)
        if expr.is_Mul or (expr.is_Pow and self._below(expr.exp)):
            return self._prod(expr)
        if expr.is_Number:
            return self._number(expr)
        if is_access(expr) or is_index(expr):
            return self.access(expr)
        if is_reduction(expr):
            return self._reduction(expr)
        if expr.is_Pow:
            if expr.exp == sp.S.Half:
                return Call("sqrt", (self.tree(expr.base),))
            return Pow(self.tree(expr.base), self.tree(expr.exp))
        if isinstance(expr, sp.core.relational.Relational):
            return Compare(COMPARISONS[type(expr)], self.tree(expr.lhs), self.tree(expr.rhs))
        if expr.func == where:
            return self._where(expr)
        if expr in (sp.pi, sp.E):
            return Name("pi") if expr is sp.pi else Call("exp", (Num("1"),))
        return Call(BY_HEAD[expr.func].name, tuple(map(self.tree, expr.args)))

    def access(self, expr: Any) -> Name | Deriv:
        if not isinstance(expr, Indexed):
            name, indices = str(expr), ()
        else:
            name, indices = name_of(expr), tuple(self.tree(index) for index in expr.indices)
        if name in self.adjoints:
            top, bottom = self.adjoints[name]
            below = self.access(sp.Symbol(bottom)) if bottom in self.adjoints else Name(bottom, indices)
            return Deriv(Name(top), below if isinstance(below, Name) else Name(name, indices))
        return Name(name, indices)

    def _number(self, number: Any) -> Tree:
        if number < 0:
            return Sum(((-1, self._number(-number)),))
        if number.is_Rational and not number.is_Integer:
            return Prod((("*", Num(str(number.p))), ("/", Num(str(number.q)))))
        if number.is_Float:
            return Num(float_text(number))
        return Name("inf") if number is sp.oo else Num(str(number))

    def _below(self, exponent: Any) -> bool:
        return bool(exponent.is_number and exponent.is_negative)

    # sums

    def _sum(self, expr: Any) -> Tree:
        terms = []
        for term in self.ordered_terms(expr):
            sign, rest = self._sign(term)
            terms.append((sign, self.tree(rest)))
        return Sum(tuple(terms))

    def _sign(self, term: Any) -> tuple[int, Any]:
        coefficient, rest = term.as_coeff_Mul()
        if not (coefficient.is_number and coefficient < 0):
            return 1, term
        flipped = _into_denominator(rest)
        return (1, -coefficient * flipped) if flipped is not None else (-1, -term)

    def ordered_terms(self, expr: Any) -> list[Any]:
        remembered = self.written.get(shape(expr))
        terms = list(expr.args)
        if remembered:
            places = {form: place for place, form in enumerate(remembered)}
            forms = {term: shape(term) for term in terms}
            if set(forms.values()) <= set(places):
                return sorted(terms, key=lambda t: places[forms[t]])
        terms.sort(key=lambda t: (bool(t.is_number), self._first(t), _text_key(t)))
        for place, term in enumerate(terms):
            if self._sign(term)[0] > 0:
                return [terms.pop(place), *terms]
        return terms

    def _first(self, expr: Any) -> tuple[int, int]:
        ranks = sorted(self.rank.get(name_of(n), len(self.rank)) for n in nodes(expr) if is_access(n))
        return (ranks[0], len(ranks)) if ranks else (len(self.rank) + 1, 0)

    # products

    def _prod(self, expr: Any) -> Tree:
        sign, rest = self._sign(expr)
        if sign < 0:
            return Sum(((-1, self.tree(rest)),))
        above, below = (_product(trees) for trees in self._split(rest))
        if below == Num("1"):
            return above
        return Prod((("*", above), ("/", below)))

    def _split(self, expr: Any) -> tuple[list[Tree], list[Tree]]:
        number, rest = expr.as_coeff_Mul()
        above: list[Tree] = []
        below: list[Tree] = []
        if number.is_Rational:
            above += [Num(str(number.p))] if number.p != 1 else []
            below += [Num(str(number.q))] if number.q != 1 else []
        elif number != 1:
            above.append(self._number(number))
        for factor in sorted(sp.Mul.make_args(rest), key=self._factor_key):
            if factor == 1:
                continue
            if factor.is_Pow and self._below(factor.exp):
                below.append(self.tree(factor.base ** (-factor.exp)))
            else:
                above.append(self.tree(factor))
        return above, below

    def _factor_key(self, factor: Any) -> tuple[Any, ...]:
        if is_access(factor):
            kind = 1 if name_of(factor) in self.adjoints else 2
        elif is_reduction(factor):
            kind = 5
        else:
            kind = {True: 4}.get(bool(factor.is_Add), 3)
        return (kind, self._first(factor), _text_key(factor))

    # binders and cases

    def _reduction(self, expr: Any) -> Tree:
        op, body, limits = split_reduction(expr)
        guard = None
        if body.func == where and body.args[2] == (1 if op == "prod" else 0) and op in ("sum", "prod"):
            guard, body = self.tree(body.args[0]), body.args[1]
        return Reduce(op, self.tree(body), tuple(self.binder(limit) for limit in limits), guard)

    def binder(self, limit: Sequence[Any]) -> Binder:
        symbol, *ends = limit
        name = str(symbol.name)
        if not ends or tuple(ends) == whole_axis(name):
            return Binder(name)
        declared = self.ranges.get(name) if self.ranges is not None else None
        if declared is not None and (declared.lo, declared.hi) == tuple(ends):
            return Binder(name)
        if self.ranges is None and not Index(symbol, *ends).declared:
            return Binder(name)
        return Binder(name, self.tree(ends[0]), self.tree(ends[1]))

    def _where(self, expr: Any) -> Tree:
        condition, yes, no = expr.args
        if self.ranges is None and yes == 1 and no == 0:
            return Bracket((self.tree(condition),))
        return Call("where", (self.tree(condition), self.tree(yes), self.tree(no)))


def _into_denominator(product: Any) -> Any:
    """-product with the sign put into a denominator that is a difference, or None."""
    for factor in sp.Mul.make_args(product):
        if factor.is_Pow and factor.exp == -1 and _flat(factor.base) and factor.base.could_extract_minus_sign() is False:
            base = sp.Add(*(-term for term in factor.base.args))
            number_first = any(term.is_number and term > 0 for term in factor.base.args)
            if number_first:
                return product / factor / base
    return None


def _product(factors: list[Tree]) -> Tree:
    if len(factors) < 2:
        return factors[0] if factors else Num("1")
    return Prod(tuple(("*", factor) for factor in factors))


def float_text(number: Any) -> str:
    """The shortest decimal text that reads back as the same number."""
    for digits in range(1, 41):
        text = str(sp.Float(number, digits))
        if sp.Float(text, 40) == number:
            break
    mantissa, _, exponent = text.partition("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return mantissa + (f"e{exponent.lstrip('+')}" if exponent else "")


def _text_key(expr: Any) -> str:
    # sort_key of SymPy compares by class first; the text is stable and independent of creation order
    return sp.srepr(expr) if len(expr.args) < 8 else str(expr)


def appearance(program: Program) -> tuple[str, ...]:
    """All names in the order in which they first appear in the equations."""
    names: dict[str, None] = {}
    for statement in program.statements:
        names.update(dict.fromkeys([*statement.read_names, statement.name]))
    return tuple(names)
