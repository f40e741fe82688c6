"""Syntax tree → expression: names become accesses, indices or extents, functions come from the table.

The order in which the terms of a sum were written is remembered, so that printers can keep it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import sympy as sp
from sympy import Expr

from symgrad.core.errors import Span, SymgradError
from symgrad.core.expr import access, applied, call, gradient, index_symbol, plus, powered, reduction, times, where
from symgrad.core.functions import FUNCTIONS, arguments, function_hint
from symgrad.core.graph import components
from symgrad.core.layout import shape
from symgrad.core.measure import written_out
from symgrad.core.program import Function
from symgrad.core.reductions import REDUCTIONS
from symgrad.core.tree import Binder, Call, Compare, Name, Num, Pow, Prod, Reduce, Sum, Tree, children, map_tree

LARGEST = 20_000  # parts of an expression that calls of the user's functions may grow to
GATHERS = 8  # E[w[v[…]]]
RELATIONS = {"=": sp.Eq, "!=": sp.Ne, "<": sp.Lt, "<=": sp.Le, ">": sp.Gt, ">=": sp.Ge}


@dataclass(frozen=True)
class Definition:
    """A function that the user defined, `sigma(u) = …`, as read.

    `closed` where it is one of its parameters alone: then its body, with the functions it calls put in, has
    `parts` and each parameter as often as `uses` says.
    """

    parameters: tuple[str, ...]
    body: Tree
    closed: bool = False
    parts: int = 0
    uses: tuple[int, ...] = ()


@dataclass
class Converter:
    """`scope` holds index names; `sizes` the names in ends of ranges; `spans` collects places of accesses."""

    scope: frozenset[str] = frozenset()
    sizes: frozenset[str] = frozenset()
    quantities: frozenset[str] = frozenset()
    functions: Mapping[str, Definition] = field(default_factory=dict)
    written: dict[Any, tuple[Any, ...]] = field(default_factory=dict)
    spans: dict[Any, Span] = field(default_factory=dict)
    values: Mapping[str, Expr] = field(default_factory=dict)  # arguments of a user's function being expanded
    expanding: tuple[str, ...] = ()
    gathering: int = 0  # how many indices are around
    declared: Mapping[str, tuple[Tree, Tree]] = field(default_factory=dict)  # ends of declared ranges
    bound: frozenset[str] = frozenset()  # letters of the left side and of the sums around

    def varied(self, **changes: Any) -> Converter:
        """As `replace`, which asks for all fields by name: every equation has a converter of its own."""
        other = object.__new__(Converter)
        other.__dict__.update(self.__dict__, **changes)
        return other

    def inside(self, names: Iterable[str]) -> Converter:
        return self.varied(scope=self.scope | set(names))

    def expr(self, tree: Tree) -> Any:
        match tree:
            case Num():
                return number(tree.text)
            case Name():
                return self.name(tree)
            case Sum():
                return self.sum(tree)
            case Prod():
                return self.prod(tree)
            case Pow():
                return self.pow(tree)
            case Call():
                return self.call(tree)
            case Reduce():
                return self.reduce(tree)
            case Compare():
                return RELATIONS[tree.op](self.expr(tree.left), self.expr(tree.right), evaluate=False)
        raise AssertionError(tree)

    def value(self, tree: Tree) -> Any:
        """An expression that is a number, not a comparison."""
        result = self.expr(tree)
        if isinstance(result, sp.core.relational.Relational):
            raise SymgradError("SG116", "a comparison stands where a number is needed", span(tree), "use where(condition, a, b)")
        if result.is_Rational or result.is_Float:
            return result
        try:
            if result.is_number:
                result.evalf(2)  # asked again, SymPy's assumptions would say nothing where they failed before
            if result.is_number and (result.is_real is False or result.is_finite is False or result is sp.nan):
                raise SymgradError("SG117", "this is no finite real number", span(tree))
        except OverflowError:  # its exponent has more digits than there is room
            raise SymgradError("SG505", "this number is too large to be found", span(tree)) from None
        return result

    def name(self, tree: Name) -> Expr:
        if not tree.indices:
            if tree.name in self.values:
                return self.values[tree.name]
            if tree.name in self.scope or tree.name in self.sizes or tree.name[0] == "|":
                return index_symbol(tree.name)
            if tree.name == "pi":
                return sp.pi
            if tree.name in FUNCTIONS or tree.name in self.functions or tree.name == "grad":
                raise SymgradError("SG206", f"{tree.name} is a function and needs an argument", tree.span, f"write {tree.name}(…)")
        result = access(tree.name, *(self.index(index) for index in tree.indices))
        if tree.span:
            self.spans.setdefault(result, tree.span)
        return result

    def index(self, tree: Tree) -> Expr:
        """Between brackets, a name that is no known quantity is an index."""
        if isinstance(tree, Num) and tree.text.isdigit():
            return number(tree.text)
        if self.gathering > GATHERS:
            raise SymgradError("SG504", f"indices stand inside indices more than {GATHERS} deep", span(tree))
        names = names_in(tree) - self.quantities
        result = self.inside(names).varied(gathering=self.gathering + 1).value(tree)
        if result.has(sp.Float) or result.is_integer is False:
            raise SymgradError("SG308", "an index must be a whole number", span(tree))
        return result

    def sum(self, tree: Sum) -> Expr:
        values = [(sign, self.value(term)) for sign, term in tree.terms]
        terms = [value if sign == 1 else -value for sign, value in values]
        return self.remember(sp.Add, terms)

    def remember(self, head: Any, parts: list[Any]) -> Expr:
        """The sum or product of the parts, their order noted for the printers."""
        total = times(*parts) if head is sp.Mul else plus(*parts)
        if total.func == head:
            order = tuple(dict.fromkeys(shape(p) for part in parts for p in head.make_args(part)))
            self.written.setdefault(shape(total), order)
        return total

    def prod(self, tree: Prod) -> Expr:
        factors = []
        for op, factor in tree.factors:
            value = self.value(factor)
            if op == "/" and value == 0:
                raise SymgradError("SG117", "division by zero", span(factor))
            factors.append(value if op != "/" else 1 / value if value.is_number else powered(value, sp.S.NegativeOne))
        return self.remember(sp.Mul, factors)

    def pow(self, tree: Pow) -> Expr:
        base, exponent = self.value(tree.base), self.value(tree.exponent)
        if exponent.is_Float and exponent == int(exponent):
            exponent = sp.Integer(int(exponent))
        if base.is_Rational and exponent.is_Rational:
            bits = abs(exponent) * max(abs(base.p), base.q).bit_length()
            if bits > 1024:
                raise SymgradError("SG505", f"this power has about {int(bits)} bits, more than 1024", span(tree))
        if base == 0 and exponent.is_negative:
            raise SymgradError("SG117", "division by zero", span(tree))
        return powered(base, exponent)

    def call(self, tree: Call) -> Any:
        if tree.function in self.functions:
            return self.own_function(tree)
        if self.derivative_of(tree.function):
            return call(tree.function, *map(self.value, tree.args))
        if tree.function in ("where", "grad"):
            return self.where(tree) if tree.function == "where" else self.gradient(tree)
        args = [self.value(arg) for arg in tree.args]
        if tree.function == "sqrt" and len(args) == 1:
            return sp.sqrt(args[0])
        row = FUNCTIONS.get(tree.function)
        if row is None:
            known = [*self.functions, "where", "sqrt", "sum", "prod", "mean", "logsumexp"]
            otherwise = f"for a product write {tree.function}*(…); or define {tree.function}(u) = …"
            hint = function_hint(tree.function, known, otherwise)
            raise SymgradError("SG201", f"there is no function {tree.function}", head(tree), hint)
        if (row.arity is not None and len(args) != row.arity) or (row.arity is None and len(args) < 2):
            wanted = row.arity if row.arity is not None else "at least 2"
            raise SymgradError("SG118", f"{tree.function} takes {arguments(wanted)}, here it has {len(args)}", span(tree))
        return applied(row.head, args)

    def where(self, tree: Call) -> Expr:
        if len(tree.args) != 3:
            raise SymgradError(
                "SG118", f"where takes 3 arguments, here it has {len(tree.args)}", span(tree), "write where(condition, a, b)"
            )
        condition = self.expr(tree.args[0])
        if not isinstance(condition, sp.core.relational.Relational):
            raise SymgradError(
                "SG116", "the first argument of where must be a comparison", span(tree.args[0]), "for instance x > 0"
            )
        return where(condition, self.value(tree.args[1]), self.value(tree.args[2]))

    def own_function(self, tree: Call) -> Expr:
        """A call of a user's function; one that uses more than its parameters is its body with the arguments put in."""
        name, definition = tree.function, self.functions[tree.function]
        if name in self.expanding:
            raise SymgradError("SG401", "these functions need each other: " + " → ".join([*self.expanding, name]), span(tree))
        if len(tree.args) != len(definition.parameters):
            raise SymgradError(
                "SG118", f"{name} takes {arguments(len(definition.parameters))}, here it has {len(tree.args)}", span(tree)
            )
        args = [self.value(arg) for arg in tree.args]
        if definition.closed:
            inside = sum(uses * written_out(arg) for uses, arg in zip(definition.uses, args, strict=True))
            if definition.parts + inside > LARGEST:
                raise self.grows(tree)
            return call(name, *args)
        values = dict(zip(definition.parameters, args, strict=True))
        inner = self.varied(values=values, expanding=(*self.expanding, name), scope=frozenset(), spans={})
        result = inner.value(self.apart(definition, args))
        if written_out(result) > LARGEST:
            raise self.grows(tree)
        return result

    def apart(self, definition: Definition, args: Iterable[Expr]) -> Tree:
        """A function's body, its own sums under letters that neither the arguments nor the sums around it have."""
        around = self.bound | {str(s) for arg in args for s in arg.free_symbols} | set(definition.parameters)
        taken = around | self.scope | self.sizes | self.quantities | set(self.declared) | names_in(definition.body)
        new: dict[str, str] = {}
        for node in all_nodes(definition.body):
            for name in [binder.name for binder in node.binders] if isinstance(node, Reduce) else []:
                if name in around and name not in (*new, *definition.parameters):
                    new[name] = next(n for k in itertools.count(1) if (n := f"{name}_{k}") not in taken)
                    taken |= {new[name]}
        return map_tree(definition.body, lambda node: self.rebound(node, new)) if new else definition.body

    def rebound(self, node: Tree, new: Mapping[str, str]) -> Tree:
        """A reduction with its letters renamed, each over the range that its old letter has."""
        here = {b.name: new[b.name] for b in node.binders if b.name in new} if isinstance(node, Reduce) else {}
        if not here or not isinstance(node, Reduce):
            return node

        def renamed(tree: Tree) -> Tree:
            swap = lambda n: replace(n, name=here[n.name]) if isinstance(n, Name) and not n.indices and n.name in here else n  # noqa: E731
            return map_tree(tree, swap)

        binders = []
        for binder in node.binders:
            lo, hi = (binder.lo, binder.hi) if binder.lo is not None else self.declared.get(binder.name, (None, None))
            ends = [end and renamed(end) for end in (lo, hi)]
            binders.append(replace(binder, name=here.get(binder.name, binder.name), lo=ends[0], hi=ends[1]))
        return replace(node, body=renamed(node.body), guard=node.guard and renamed(node.guard), binders=tuple(binders))

    def grows(self, tree: Call) -> SymgradError:
        message = f"with {tree.function} put in, this has more than {LARGEST:,} parts"
        return SymgradError("SG507", message, span(tree), "name parts of it")

    def derivative_of(self, name: str) -> bool:
        """s', s'' and f_2' of the user's functions s and f."""
        while name.endswith("_prime"):
            name = name.removesuffix("_prime")
            base, _, place = name.rpartition("_")
            for stem, arity in ((name, 1), (base, int(place) if place.isdigit() else 0)):
                own = self.functions.get(stem)
                if own is not None and own.closed and 1 <= arity <= len(own.parameters) and (arity > 1 or stem == name or place):
                    return True
            name = base if place.isdigit() else name
        return False

    def function(self, name: str) -> Function:
        """A user's function with its body as an expression."""
        definition = self.functions[name]
        symbols = tuple(sp.Symbol(parameter) for parameter in definition.parameters)
        values = dict(zip(definition.parameters, symbols, strict=True))
        inner = self.varied(values=values, expanding=(name,), scope=frozenset(), spans={})
        return Function(symbols, inner.value(definition.body), definition.body)

    def gradient(self, tree: Call) -> Expr:
        """grad(f, x[k]): the derivative of one quantity by another, as a value."""
        args = tree.args
        if len(args) != 2 or not all(isinstance(arg, Name) for arg in args) or args[0].indices:  # type: ignore[union-attr]
            raise SymgradError("SG118", "grad takes a scalar quantity and the one to differentiate by", span(tree), "grad(f, x[k])")
        return gradient(*map(self.value, args))

    def reduce(self, tree: Reduce) -> Expr:
        names = [binder.name for binder in tree.binders]
        for binder in tree.binders:
            if binder.name in self.values:
                raise SymgradError("SG302", f"the sum over {binder.name} stands inside another {binder.name}", binder.span)
        inner = self.inside(names).varied(bound=self.bound | set(names))
        limits = [self.limit(binder, inner) for binder in tree.binders]
        body = inner.value(tree.body)
        if tree.guard is not None:
            return self.guarded(tree.op, inner.expr(tree.guard), body, limits, tree.guard)
        return reduction(tree.op, body, limits)  # a mean is resolved with the ranges, which give its count

    def guarded(self, op: str, condition: Any, body: Expr, limits: list[Any], guard: Tree) -> Expr:
        """A guard leaves the reduction's identity where it does not hold; a mean counts where it does."""
        if not isinstance(condition, sp.core.relational.Relational):
            raise SymgradError("SG116", "a guard must be a comparison", span(guard), "for instance: if t[j] >= t[i]")
        if op == "mean":
            total, number = (where(condition, value, sp.S.Zero) for value in (body, sp.S.One))
            return reduction("sum", total, limits) / reduction("sum", number, limits)
        return reduction(op, where(condition, body, REDUCTIONS[op].identity), limits)

    def limit(self, binder: Binder, inner: Converter) -> tuple[Any, ...]:
        symbol = index_symbol(binder.name)
        if binder.span:
            self.spans[symbol] = binder.span  # of two with one letter, the inner one is what is wrong
        if binder.lo is None or binder.hi is None:
            return (symbol,)
        return symbol, *inner.ends(binder.name, binder.lo, binder.hi)

    def ends(self, name: str, lo: Tree, hi: Tree) -> tuple[Expr, Expr]:
        """The ends of a range: whole numbers, extents and outer indices."""
        sized = self.varied(sizes=self.sizes | names_in(lo) | names_in(hi))
        for end in (lo, hi):
            value = sized.value(end)
            if index_symbol(name) in value.free_symbols:
                raise SymgradError("SG302", f"the range of {name} uses {name} itself", span(end), "use another index")
            if value.has(sp.Float, sp.Indexed) or value.is_integer is False:
                raise SymgradError(
                    "SG311", f"an end of the range of {name} is no whole number", span(end), "ends are integers and extents"
                )
        return sized.value(lo), sized.value(hi)


def with_closed(functions: Mapping[str, Definition]) -> dict[str, Definition]:
    """Which functions are of their parameters alone. Raises SG401 for functions that need each other."""
    out: dict[str, Definition] = {}
    needs = {name: list(_called(definition, functions)) for name, definition in functions.items()}
    for group in components(needs):
        name = group[0]
        if len(group) > 1 or name in needs[name]:
            ring = [*reversed(group), group[-1]]
            place = next(n for n in all_nodes(functions[ring[-2]].body) if isinstance(n, Call) and n.function == ring[0])
            raise SymgradError("SG401", "these functions need each other: " + " → ".join(ring), place.span)
        parameters, inside = (*functions[name].parameters, "pi"), list(all_nodes(functions[name].body))
        named = all(not n.indices and n.name in parameters for n in inside if isinstance(n, Name))
        plain = not any(isinstance(n, Reduce) or (isinstance(n, Call) and n.function == "grad") for n in inside)
        if named and plain and all(out[other].closed for other in needs[name]):
            parts, *uses = _weight(functions[name].body, functions[name].parameters, out)
            out[name] = replace(functions[name], closed=True, parts=parts, uses=tuple(uses))
        else:
            out[name] = functions[name]
    return out


def _weight(tree: Tree, parameters: tuple[str, ...], known: Mapping[str, Definition]) -> list[int]:
    """How many parts a tree has with functions put in, and how often it then holds each parameter."""
    if isinstance(tree, Name) and tree.name in parameters:
        return [0, *(int(tree.name == p) for p in parameters)]
    inner = [_weight(child, parameters, known) for child in children(tree)]
    own = known.get(tree.function) if isinstance(tree, Call) else None
    factors = own.uses if own else [1] * len(inner)
    first = own.parts if own else 1
    sums = [sum(factor * row[k] for factor, row in zip(factors, inner, strict=True)) for k in range(len(parameters) + 1)]
    return [first + sums[0], *sums[1:]]


def _called(definition: Definition, functions: Mapping[str, Definition]) -> dict[str, None]:
    return {n.function: None for n in all_nodes(definition.body) if isinstance(n, Call) and n.function in functions}


@lru_cache(maxsize=1 << 10)
def number(text: str) -> Expr:
    """An integer, or a decimal kept to 40 digits as it was written."""
    if text.isdigit():
        return sp.Integer(int(text))
    value = sp.Float(text, 40)
    return sp.S.Zero if value == 0 else value


def span(tree: Tree) -> Span | None:
    return getattr(tree, "span", None)


def head(call: Call) -> Span | None:
    """The name of a function that is called, as it is written."""
    if call.span is None or "(" not in call.span.text:
        return call.span
    return Span(call.span.source, call.span.start, call.span.start + call.span.text.index("("))


def names_in(tree: Tree | None) -> frozenset[str]:
    """Names without indices in an end of a range: extents."""
    found: set[str] = set()
    walk(tree, lambda node: found.add(node.name) if isinstance(node, Name) and not node.indices else None)
    return frozenset(found)


def all_nodes(tree: Tree | None) -> Iterator[Tree]:
    stack = [tree] if tree is not None else []
    while stack:
        node = stack.pop()
        yield node
        stack.extend(children(node))


def walk(tree: Tree | None, visit: Callable[[Tree], Any]) -> None:
    """Visit every node of a tree."""
    for node in all_nodes(tree):
        visit(node)
