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

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

import sympy as sp
from sympy import Indexed

from symgrad.core.collector import remembered
from symgrad.core.expr import (
    access,
    gradient,
    is_access,
    is_call,
    is_index,
    is_reduction,
    is_where,
    leaves,
    name_of,
    nodes,
    rewrite,
    split_call,
    split_reduction,
    where,
)  # fmt: skip
from symgrad.core.functions import BY_HEAD
from symgrad.core.program import Index, Program, whole_axis
from symgrad.core.reductions import REDUCTIONS
from symgrad.core.tree import Binder, Bracket, Call, Compare, Deriv, Name, Num, Pow, Prod, Reduce, Sum, Tree

COMPARISONS = {
    sp.Gt: ">", sp.Ge: ">=", sp.Lt: "<", sp.Le: "<=", sp.Eq: "=", sp.Ne: "!=",
}  # fmt: skip


# the order of factors in a product that nobody wrote
ADJOINT, PARAM, QUANTITY, DIFFERENCE, CALL, BRACKET, REDUCTION = range(7)


def shape(expr: Any) -> Any:
    """The expression with indices left out, so that z_j and z_l are ordered alike."""
    if not expr.args or not leaves(expr).indexed:
        return expr
    if isinstance(expr, Indexed):
        return access(name_of(expr))
    return rewrite(expr, lambda n: access(name_of(n)) if isinstance(n, Indexed) else n)


class Layout:
    """Chooses the written form of expressions of one program.

    `chain` sorts factors along the chain rule, from the loss down, instead of by kind.
    `params` stand before other quantities in a product.
    `names` is the order of first appearance, `written` the remembered order of terms, `ranges` the declared
    index ranges (left out of the text language's reductions), `adjoints` names shown as derivatives.
    """

    def __init__(
        self,
        names: Sequence[str] = (),
        written: Mapping[Any, tuple[Any, ...]] | None = None,
        ranges: Mapping[str, Index] | None = None,
        adjoints: Mapping[str, tuple[str, str, int]] | None = None,
        chain: bool = False,
        params: Collection[str] = (),
    ):
        self.params = params
        self.chain = chain
        self.rank = {name: place for place, name in enumerate(names)}
        self.written = written or {}
        self.ranges = ranges
        self.display = ranges is None  # for people; else the text must read back as the same expression
        self.adjoints = adjoints or {}

    @classmethod
    def of(cls, program: Program, derivatives: bool = False) -> Layout:
        adjoints = {t.name: (*t.adjoint_of, t.rows) for t in program.tensors.values() if t.adjoint_of and derivatives}
        ranges = None if derivatives else program.ranges
        params = frozenset(n for n, tensor in program.tensors.items() if tensor.role == "param")
        return cls(program.chain or program.appearance, program.written, ranges, adjoints, bool(program.chain), params)

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
        if is_where(expr):
            return self._where(expr)
        if expr in (sp.pi, sp.E):
            return Name("pi") if expr is sp.pi else Call("exp", (Num("1"),))
        name = split_call(expr)[0] if is_call(expr) else "grad" if expr.func == gradient else BY_HEAD[expr.func].name
        return Call(name, tuple(map(self.tree, expr.args)))

    def access(self, expr: Any) -> Name | Deriv:
        if not isinstance(expr, Indexed):
            name, indices = expr.name if type(expr) is sp.Symbol else str(expr), tuple[Tree, ...]()
        else:
            name, indices = name_of(expr), tuple(self.tree(index) for index in expr.indices)
        if name in self.adjoints:
            return self._derivative(name, indices)
        return Name(name, indices)

    def _derivative(self, name: str, indices: tuple[Tree, ...]) -> Deriv:
        """dJ/dx_k; dy_i/dx_k with the indices of y first; d²J/dx_k dx_l where y is itself a derivative."""
        top, bottom, rank = self.adjoints[name]
        if bottom in self.adjoints:
            return Deriv(Name(top, indices[:rank]), self._derivative(bottom, indices[rank:]))
        if top in self.adjoints and self.adjoints[top][2] == 0:
            loss, first, _ = self.adjoints[top]
            return Deriv(Name(loss), Name(first, indices[:rank]), Name(bottom, indices[rank:]))
        return Deriv(Name(top, indices[:rank]), Name(bottom, indices[rank:]))

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
        content, primitive = expr.primitive() if self.display and not self.as_written(expr) else (sp.S.One, expr)
        if content.is_Integer and content != 1:
            return self._prod(sp.Mul(content, primitive, evaluate=False))
        terms = []
        for term in self.ordered_terms(expr):
            sign, rest = self._sign(term)
            terms.append((sign, self.tree(rest)))
        return Sum(tuple(terms))

    def _sign(self, term: Any) -> tuple[int, Any]:
        coefficient, rest = term.as_coeff_Mul()
        if is_where(term) and self._in_brackets(term):
            conditions, inner = _guards(term, sp.S.Zero)
            sign, inner = self._sign(inner)
            return sign, guarded(inner, conditions) if sign < 0 else term
        if not (coefficient.is_number and coefficient < 0):
            return 1, term
        flipped = _into_denominator(rest) if self.display else None
        return (1, -coefficient * flipped) if flipped is not None else (-1, -term)

    def as_written(self, expr: Any) -> list[Any] | None:
        """The parts of a sum or product in the user's order, where the same one was written."""
        places = {form: place for place, form in enumerate(self.written.get(shape(expr), ()))}
        forms = {part: shape(part) for part in expr.args}
        if not places or not set(forms.values()) <= set(places):
            return None
        return sorted(expr.args, key=lambda part: places[forms[part]])

    def ordered_terms(self, expr: Any) -> list[Any]:
        terms = self.as_written(expr)
        if terms is not None:
            return terms
        terms = list(expr.args)
        if all(map(is_index, expr.free_symbols)):
            # n - N + K: an index before extents, which have capitals
            terms.sort(key=lambda t: (bool(t.is_number), str(t.as_coeff_Mul()[1])[0].isupper(), str(t.as_coeff_Mul()[1])))
        else:
            keys = {term: (bool(term.is_number), self._first(term), len(tuple(nodes(term)))) for term in terms}
            if len(set(keys.values())) < len(terms):  # the text decides ties alone, and takes long
                terms.sort(key=_text_key)
            terms.sort(key=keys.__getitem__)
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
        above, below = self._split(rest)
        if not below:
            return _product(above)
        chain = [tree for tree in above if isinstance(tree, Deriv)]
        fraction = Prod((("*", _product([t for t in above if t not in chain])), ("/", _product(below))))
        return _product([*chain, fraction])

    def _split(self, expr: Any) -> tuple[list[Tree], list[Tree]]:
        number, rest = self._coefficient(expr)
        above: list[Tree] = []
        below: list[Tree] = []
        if number.is_Rational:
            above += [Num(str(number.p))] if number.p != 1 else []
            below += [Num(str(number.q))] if number.q != 1 else []
        elif number != 1:
            above.append(self._number(number))
        factors = self.as_written(rest) if rest.is_Mul else None
        for factor in factors or sorted(sp.Mul.make_args(rest), key=self._factor_key):
            if factor == 1:
                continue
            if factor.is_Pow and self._below(factor.exp):
                below.append(self.tree(factor.base ** (-factor.exp)))
            else:
                above.append(self.tree(factor))
        return above, below

    def _kind(self, factor: Any) -> int:
        base = factor.base if factor.is_Pow and factor.exp.is_number else factor
        if is_access(base):
            name = name_of(base)
            return ADJOINT if name in self.adjoints else PARAM if name in self.params else QUANTITY
        if is_reduction(factor):
            return REDUCTION
        return BRACKET if is_where(factor) else DIFFERENCE if base.is_Add else CALL

    def _coefficient(self, expr: Any) -> tuple[Any, Any]:
        """The number before a product; for print, those common to the terms of its sums included."""
        number, rest = expr.as_coeff_Mul()
        if not self.display or (rest.is_Mul and self.as_written(rest)):
            return number, rest
        factors = []
        for factor in sp.Mul.make_args(rest):
            content, primitive = factor.primitive() if factor.is_Add and not self.as_written(factor) else (sp.S.One, factor)
            number *= content if content.is_Integer else 1
            factors.append(primitive if content.is_Integer else factor)
        return number, factors[0] if len(factors) == 1 else sp.Mul(*factors)

    def _factor_key(self, factor: Any) -> tuple[Any, ...]:
        kind = self._kind(factor)
        first, count = self._first(factor)
        if self.chain:
            if kind == ADJOINT:
                return (kind, first, -count, kind, _Text(factor))
            return (max(kind, CALL), first, -count, kind, _Text(factor))
        return (kind, first, count, _Text(factor))

    # binders and cases

    def _reduction(self, expr: Any) -> Tree:
        op, body, limits = split_reduction(expr)
        guards, inner = _guards(body, REDUCTIONS[op].identity if op in REDUCTIONS else None)
        picks = [g for g in guards if self.display and _picks(g)]
        guards = [g for g in guards if g not in picks]
        if not self.display:
            # the language has one guard; others stay choices in the body
            guards, inner = guards[:1], body.args[1] if guards else body
        tree = self.tree(inner)
        if picks:
            bracket = Bracket(tuple(map(self.tree, picks)))
            tree = bracket if inner == 1 else Prod((("*", bracket), ("*", tree)))
        shown = self._conditions(guards)
        guard = None if not shown else shown[0] if len(shown) == 1 else Bracket(shown)
        return Reduce(op, tree, tuple(self.binder(limit) for limit in limits), guard)

    def _conditions(self, conditions: Sequence[Any]) -> tuple[Tree, ...]:
        """Conditions for print: both ends of one expression as a chain, 0 <= n - 2i <= K - 1."""
        out: list[Tree] = []
        waiting = list(conditions)
        while waiting:
            first = waiting.pop(0)
            pair = next((c for c in waiting if c.lhs == first.lhs and {type(c), type(first)} == {sp.Ge, sp.Le}), None)
            if pair is None:
                out.append(self.tree(first))
                continue
            waiting.remove(pair)
            low, high = (first, pair) if isinstance(first, sp.Ge) else (pair, first)
            out.append(Compare("<=", self.tree(low.rhs), Compare("<=", self.tree(low.lhs), self.tree(high.rhs))))
        return tuple(out)

    def binder(self, limit: Sequence[Any]) -> Binder:
        symbol, *ends = limit
        name = str(symbol.name)
        if not ends or tuple(ends) == whole_axis(name):
            return Binder(name)
        declared = self.ranges.get(name) if self.ranges is not None else None
        if declared is not None and (declared.lo, declared.hi) == tuple(ends):
            return Binder(name)
        if self.display and not Index(symbol, *ends).declared:
            return Binder(name)
        return Binder(name, self.tree(ends[0]), self.tree(ends[1]))

    def _bracket(self, conditions: Sequence[Any]) -> Tree:
        """Iverson's bracket; Kronecker's delta for two indices."""
        first = conditions[0]
        if len(conditions) == 1 and isinstance(first, sp.Eq) and all(map(is_index, first.args)) and "delta" not in self.rank:
            return Name("delta", tuple(map(self.tree, first.args)))
        return Bracket(self._conditions(conditions))

    def _where(self, expr: Any) -> Tree:
        if not self._in_brackets(expr):
            return Call("where", tuple(map(self.tree, expr.args)))
        sign, positive = self._sign(expr)
        conditions, inner = _guards(positive, sp.S.Zero)
        bracket = self._bracket(conditions)
        if sign < 0:
            return Sum(((-1, self._times(inner, bracket)),))
        return self._times(inner, bracket)

    def _in_brackets(self, choice: Any) -> bool:
        """A value or 0: the value times Iverson's bracket, where that reads better than a choice."""
        if not self.display or choice.args[2] != 0:
            return False
        conditions, inner = _guards(choice, sp.S.Zero)
        return inner in (1, -1) or _about_indices(conditions[0]) or _picks(conditions[0])

    def _times(self, value: Any, bracket: Tree) -> Tree:
        """A value and a bracket, which stands above the line of a fraction."""
        if value == 1:
            return bracket
        tree = self.tree(value)
        if isinstance(tree, Prod) and [op for op, _ in tree.factors[1:]] == ["/"]:
            (_, above), below = tree.factors
            return Prod((("*", bracket if above == Num("1") else Prod((("*", above), ("*", bracket)))), below))
        return Prod((("*", tree), ("*", bracket)))


def _guards(body: Any, identity: Any) -> tuple[list[Any], Any]:
    """The conditions around a value that else is the identity, outermost first, and the value."""
    conditions = []
    while is_where(body) and body.args[2] == identity:
        conditions.append(body.args[0])
        body = body.args[1]
    return conditions, body


def guarded(value: Any, conditions: Sequence[Any]) -> Any:
    """The value where all conditions hold, else 0."""
    for condition in reversed(conditions):
        value = where(condition, value, sp.S.Zero)
    return value


def _picks(condition: Any) -> bool:
    """w_t = v, the bracket of a gather."""
    return isinstance(condition, sp.Eq) and is_index(condition.rhs) and is_access(condition.lhs)


def _about_indices(condition: Any) -> bool:
    return all(is_index(symbol) for symbol in condition.free_symbols)


def _into_denominator(product: Any) -> Any:
    """-product with the sign put into a denominator that is a difference, or None."""
    for factor in sp.Mul.make_args(product):
        if factor.is_Pow and factor.exp == -1 and factor.base.is_Add and len(factor.base.args) == 2:
            number, other = factor.base.as_coeff_Add()
            if number.is_number and number > 0 and other.could_extract_minus_sign():
                return product / factor / (-other - number)
    return None


def _product(factors: list[Tree]) -> Tree:
    if len(factors) < 2:
        return factors[0] if factors else Num("1")
    return Prod(tuple(("*", factor) for factor in factors))


@lru_cache(maxsize=1 << 12)
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


class _Text:
    """The last part of a key: it is written only where all before it is equal, since that takes long."""

    __slots__ = ("expr",)

    def __init__(self, expr: Any):
        self.expr = expr

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Text) and bool(self.expr == other.expr)

    def __hash__(self) -> int:
        return hash(self.expr)

    def __lt__(self, other: _Text) -> bool:
        return _text_key(self.expr) < _text_key(other.expr)


@remembered(1 << 12)
def _text_key(expr: Any) -> str:
    # sort_key of SymPy compares by class first; the text is stable and independent of creation order
    return sp.srepr(expr) if len(expr.args) < 8 else str(expr)
