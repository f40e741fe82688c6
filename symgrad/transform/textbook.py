"""The rules that turn a derived formula into the one a textbook prints, with their names: table `RULES`.

Each rule looks at one node, after its arguments, and gives its replacement or the node itself; the rules go over an
expression until nothing changes. A rule is exact in the reals, and one that reorders is taken only where the result has
no more operations. Quantities that the model names are found in an expression and stand for it again.

>>> from symgrad.core.expr import access
>>> from symgrad.frontend.text import parse
>>> model = parse("index i in 1..m; mu = mean(x[i] for i); J = sum((x[i] - mu)^2*c[i] for i)")
>>> book = Textbook(model)
>>> i, m = index_symbol("i"), index_symbol("m")
>>> x, mu = access("x", i), access("mu")
>>> book(reduction("sum", 2*x - 2*mu, [(i, 1, m)]))
0
>>> [rule.name for rule in book.used]
['numbers leave a sum', 'a sum of sums']
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import sympy as sp
from sympy import Expr

from symgrad.core.affine import Ends, nonnegative
from symgrad.core.expr import (
    accesses,
    free_indices,
    free_symbols,
    index_symbol,
    is_access,
    is_reduction,
    name_of,
    nodes,
    powers,
    rebuild,
    reduction,
    rename_bound,
    split_reduction,
    substitute,
    where,
)  # fmt: skip
from symgrad.core.layout import Layout
from symgrad.core.page import Line, Note
from symgrad.core.program import Program, Tensor
from symgrad.transform.brackets import beside, pick
from symgrad.transform.gather import free_name
from symgrad.transform.named import Named, definitions, folded, summed
from symgrad.transform.simplify import assume, cancelled, common_factor, constants_out, operations, swapped, without_one

ROUNDS, LARGE, SHOWN = 20, 3_000, 8  # an expression of more nodes than LARGE gets the cheap rules alone


@dataclass(frozen=True)
class Scope:
    """What a rule may use: where a node stands, and what the model says."""

    ranges: Mapping[Any, Ends]
    facts: tuple[Expr, ...] = ()
    named: tuple[Named, ...] = ()
    kept: tuple[Named, ...] = ()
    assumptions: tuple[tuple[Expr, Expr], ...] = ()
    values: Mapping[str, Ends] = field(default_factory=dict)


@dataclass(frozen=True)
class Rule:
    """`before` = `after` because of `why`; `cheap` rules look at a node without searching."""

    name: str
    before: str
    after: str
    why: str
    apply: Callable[[Any, Scope], Any]
    cheap: bool = True


def _constants(node: Any, scope: Scope) -> Any:
    return constants_out(node) if is_reduction(node) else node


def _numbers(node: Any, scope: Scope) -> Any:
    """Numbers and signs common to the terms of a sum's body, or of a factor."""
    if node.is_Mul:
        node = without_one(node)
        if not node.is_Mul:
            return node
        found = [factor.primitive() if factor.is_Add else (sp.S.One, factor) for factor in node.args]
        return sp.Mul(*(number for number, _ in found), *(rest for _, rest in found))
    if not is_reduction(node) or split_reduction(node)[0] != "sum":
        return node
    op, body, limits = split_reduction(node)
    number: Any = sp.S.One
    factors: list[Any] = []
    for factor in sp.Mul.make_args(body):
        content, rest = factor.primitive() if factor.is_Add else (sp.S.One, factor)
        if rest.is_Add and all(term.could_extract_minus_sign() for term in rest.args):
            content, rest = -content, sp.Add(*(-term for term in rest.args))
        number, factors = number * content, [*factors, rest]
    return number * reduction(op, sp.Mul(*factors), limits) if number != 1 else node


def _constant_body(node: Any, scope: Scope) -> Any:
    """Σ_l c = c times the number of values of l."""
    if not is_reduction(node):
        return node
    op, body, limits = split_reduction(node)
    bound = {limit[0] for limit in limits}
    ends = {s for limit in limits for end in limit[1:] for s in end.free_symbols}
    if op != "sum" or not bound.isdisjoint(free_symbols(body)) or not bound.isdisjoint(ends):
        return node
    if not all(nonnegative(hi - lo + 1, scope.ranges, scope.facts) for _, lo, hi in limits):
        return node
    return body * sp.Mul(*(hi - lo + 1 for _, lo, hi in limits))


def _bracket(node: Any, scope: Scope) -> Any:
    """Numbers and extents leave a bracket: they have a value where it is 0, too."""
    if node.func != where or node.args[2] != 0:
        return node
    condition, value, zero = node.args
    content, value = value.primitive() if value.is_Add else (sp.S.One, value)
    if content != 1:
        return content * where(condition, value, zero)
    out = [f for f in sp.Mul.make_args(value) if f != 1 and not accesses(f) and set(free_indices(f)).isdisjoint(scope.ranges)]
    rest = sp.Mul(*(f for f in sp.Mul.make_args(value) if f not in out))
    return sp.Mul(*out, where(condition, rest, zero)) if out else node


def _delta(node: Any, scope: Scope) -> Any:
    return pick(node, scope.ranges, scope.facts, scope.values) if is_reduction(node) else node


def _beside(node: Any, scope: Scope) -> Any:
    return beside(node, scope.ranges) if node.is_Mul else node


def _common(node: Any, scope: Scope) -> Any:
    return common_factor(node) if node.is_Add else node


def _denominators(node: Any, scope: Scope) -> Any:
    return cancelled(node) if node.is_Mul else node


def _common_denominator(node: Any, scope: Scope) -> Any:
    """a/s + b/(s m) + c/(s m) = (a m + b + c)/(s m)."""
    if not node.is_Add:
        return node
    terms = [powers(term) for term in node.args]
    below: dict[Any, list[Any]] = {}
    for term in terms:
        for base, exponent in term.items():
            if not base.is_number and exponent.is_number and exponent < 0:
                below.setdefault(base, []).append(-exponent)
    shared = {base: max(found) for base, found in below.items() if len(found) > 1}
    if not shared:
        return node
    factor = sp.Mul(*(base**most for base, most in shared.items()))
    total = sp.Add(*(term * factor for term in node.args)) / factor
    return total if operations(total) <= operations(node) else node


def _split(node: Any, scope: Scope) -> Any:
    """Σ_l (a_l + b_l) = Σ_l a_l + Σ_l b_l, where that is shorter once its parts are named."""
    if not is_reduction(node) or split_reduction(node)[0] != "sum":
        return node
    op, body, limits = split_reduction(node)
    totals = [factor for factor in sp.Mul.make_args(body) if factor.is_Add]
    if len(totals) != 1:
        return node
    parts = []
    for term in totals[0].args:
        part = constants_out(reduction(op, swapped(body, totals[0], term), limits))
        parts.append(sp.Mul(*(_part(factor, scope) for factor in sp.Mul.make_args(part))))
    spread = sp.expand(sp.Add(*parts), deep=False)
    spread = common_factor(spread) if spread.is_Add else spread
    return spread if operations(spread) < operations(node) else node


def _vanishing(node: Any, scope: Scope) -> Any:
    """Σ_l z_l = 0 where the model's z_l = (x_l - mu)/s, by its definition."""
    if not is_reduction(node) or split_reduction(node)[0] != "sum" or not is_access(split_reduction(node)[1]):
        return node
    read, limits = split_reduction(node)[1:]
    for one in scope.named:
        if name_of(one.target) == name_of(read):
            inner = constants_out(reduction("sum", one.put_in(read), limits))
            parts = [_split(f, scope) if is_reduction(f) else f for f in sp.Mul.make_args(inner)]
            return sp.S.Zero if sp.S.Zero in parts else node
    return node


def _part(factor: Any, scope: Scope) -> Any:
    if not is_reduction(factor):
        return factor
    found = summed(factor, scope.named, scope.ranges, scope.facts)
    found = _constant_body(factor, scope) if found == factor else found
    found = _vanishing(factor, scope) if found == factor else found
    return _split(factor, scope) if found == factor else found


def _named(node: Any, scope: Scope) -> Any:
    return folded(node, scope.named, scope.ranges, scope.facts)


def _named_sum(node: Any, scope: Scope) -> Any:
    return summed(node, scope.named, scope.ranges, scope.facts) if is_reduction(node) else node


def _reordered(node: Any, scope: Scope) -> Any:
    """Σ_l p_l p̄_l with p̄_l = Σ_e ō_e v_le is Σ_e ō_e o_e where o_e = Σ_l p_l v_le."""
    if not is_reduction(node):
        return node
    for name in scope.kept:
        inner = name.put_in(node)
        found = summed(inner, scope.named, scope.ranges, scope.facts) if inner != node else node
        if found not in (node, inner) and operations(found) <= operations(node):
            return found
    return node


def _assumed(node: Any, scope: Scope) -> Any:
    return assume(node, scope.assumptions)[0] if scope.assumptions and not is_access(node) else node


RULES = (
    Rule("numbers leave a sum", "Σ_l 2 v_l", "2 Σ_l v_l", "a sum is linear", _numbers),
    Rule("constants leave a sum", "Σ_l c v_l", "c Σ_l v_l", "c does not depend on l", _constants),
    Rule("numbers leave a bracket", "2 v [c]", "2 (v [c])", "0 times 2 is 0", _bracket),
    Rule("a delta picks a term", "Σ_l [l = i] v_l", "v_i", "all other terms are 0", _delta),
    Rule("a factor beside a bracket", "p_k [k = c]/p_c", "[k = c]", "p_k is p_c where k = c", _beside),
    Rule("a sum of equal terms", "Σ_{l=1..m} c", "m c", "c does not depend on l", _constant_body),
    Rule("assumption", "the left side of an assume line", "its right side", "the model says so", _assumed),
    Rule("a name for a part", "v", "z, where the model has z = v", "the forward pass has it", _named, False),
    Rule("a name for a sum", "Σ_l p_l v_l", "o, where the model has o = Σ_l p_l v_l", "the forward pass has it", _named_sum, False),
    Rule("sums change places", "Σ_l p_l Σ_e b_e v_le", "Σ_e b_e o_e, o_e = Σ_l p_l v_le", "sums commute", _reordered, False),
    Rule("a sum that is 0", "Σ_l z_l", "0, where z_l = (x_l - mu)/s and mu is the mean", "by the definition", _vanishing, False),
    Rule("a sum of sums", "Σ_l (a_l + b_l)", "Σ_l a_l + Σ_l b_l", "a sum is linear, and this is shorter", _split, False),
    Rule("a common factor", "a c + b c", "(a + b) c", "multiplication distributes", _common),
    Rule("denominators cancel", "(a/y + b) y", "a + b y", "y/y = 1", _denominators),
    Rule("one denominator", "a/s + b/(s m) + c/(s m)", "(m a + b + c)/(s m)", "m/m = 1", _common_denominator),
)  # fmt: skip


@dataclass(frozen=True)
class Use:
    """One place where a rule was used, with the ranges of the indices around it."""

    before: Any
    after: Any
    ranges: Mapping[Any, Ends]


@dataclass
class Textbook:
    """The rules over expressions of one model; remembers each rule's shortest use."""

    program: Program
    kept: tuple[Named, ...] = ()
    uses: dict[str, list[Use]] = field(default_factory=dict)
    resting: set[tuple[Expr, Expr]] = field(default_factory=set)

    def __post_init__(self) -> None:
        values = {name: tensor.values for name, tensor in self.program.tensors.items() if tensor.values is not None}
        self.scope = Scope({}, self.program.facts, definitions(self.program), self.kept, self.program.assumptions, values)

    @property
    def used(self) -> tuple[Rule, ...]:
        return tuple(rule for rule in RULES if rule.name in self.uses)

    @property
    def assumed(self) -> tuple[tuple[Expr, Expr], ...]:
        """The assumptions that were used."""
        return tuple(pair for pair in self.program.assumptions if pair in self.resting)

    def __call__(self, expr: Any, ranges: Mapping[Any, Ends] | None = None) -> Any:
        cheap = sum(1 for _ in nodes(expr)) > LARGE
        scope = replace(self.scope, ranges=dict(ranges or {}), kept=self.kept)
        seen: set[Any] = set()
        expr = by_depth(expr)
        while expr not in seen and len(seen) < ROUNDS:
            seen.add(expr)
            expr = by_depth(self.walk(expr, scope, cheap))
        return expr

    def walk(self, node: Any, scope: Scope, cheap: bool) -> Any:
        if is_access(node) or not node.args or isinstance(node, sp.core.relational.Relational):
            return node
        if is_reduction(node):
            op, body, limits = split_reduction(node)
            inner = replace(scope, ranges={**scope.ranges, **{limit[0]: tuple(limit[1:]) for limit in limits}})
            node = reduction(op, self.walk(body, inner, cheap), limits)
        elif node.func == where:
            node = where(node.args[0], *(self.walk(arg, scope, cheap) for arg in node.args[1:]))
        else:
            node = rebuild(node, [self.walk(arg, scope, cheap) for arg in node.args])
        # to the end here before the node around it is looked at
        for _ in range(ROUNDS):
            new = self.once(node, scope, cheap)
            if new == node:
                break
            node = new
        return node

    def once(self, node: Any, scope: Scope, cheap: bool) -> Any:
        """The first rule that changes a node."""
        for rule in RULES:
            if rule.cheap or not cheap:
                new = rule.apply(node, scope)
                if new != node:
                    self.remember(rule, Use(node, new, scope.ranges))
                    return new
        return node

    def remember(self, rule: Rule, use: Use) -> None:
        if rule.apply is _assumed:
            self.resting |= set(assume(use.before, self.program.assumptions)[1])
        found = self.uses.setdefault(rule.name, [])
        if len(found) < SHOWN or operations(use.before) < operations(found[-1].before):
            found.append(use)
            found.sort(key=lambda each: operations(each.before))
            del found[SHOWN:]


def rule_notes(book: Textbook, program: Program) -> tuple[Note, ...]:
    """Each rule that was used and shows, at the shortest place where it was."""
    layout = Layout.of(program, derivatives=True)
    notes: list[Note] = []
    for rule in book.used:
        for use in book.uses[rule.name]:
            names = _around(use, program)
            before, after = (
                layout.tree(substitute(lettered(side, Tensor("", ()), program, names), names)) for side in (use.before, use.after)
            )
            if before != after:
                notes.append((f"{rule.name}: ", Line(before, "=", after), f" ({rule.why})"))
                break
    return tuple(notes)


def _around(use: Use, program: Program) -> dict[Any, Any]:
    """Letters for the indices that the sums around a place bind."""
    letters, names = _letters(program), dict[Any, Any]()
    used = {str(s) for side in (use.before, use.after) for s in free_indices(side)} | set(program.tensors)
    for symbol in free_indices(sp.Tuple(use.before, use.after)):
        if symbol.name.startswith("_"):
            known = letters.get(tuple(use.ranges.get(symbol, ())), ["l"])
            names[symbol] = free_name(index_symbol(next((letter for letter in known if letter not in used), known[0])), used)
            used.add(names[symbol].name)
    return names


def by_depth(expr: Any) -> Any:
    """Bound indices named by how deep they stand, so that equal sums compare equal and none hides another."""

    def name(symbol: Any, used: set[str]) -> Any:
        return index_symbol(next(f"_{k}" for k in range(len(used) + 1) if f"_{k}" not in used))

    return rename_bound(expr, name)


def _letters(program: Program) -> dict[tuple[Any, ...], list[str]]:
    """The model's letters for each range."""
    letters: dict[tuple[Any, ...], list[str]] = {}
    for index in _indices(program):
        if str(index.symbol) not in letters.setdefault((index.lo, index.hi), []):
            letters[index.lo, index.hi].append(str(index.symbol))
    return letters


def lettered(expr: Any, tensor: Tensor, program: Program, names: Mapping[Any, Any] | None = None) -> Any:
    """Bound indices under the model's letters for their ranges, clashing with nothing around, nor with `names`."""
    letters = _letters(program)
    around = {str(axis.symbol) for axis in tensor.axes} | set(program.tensors) | {str(s) for s in (names or {}).values()}

    def walk(node: Any, used: set[str]) -> Any:
        if is_access(node) or not node.args:
            return node
        if not is_reduction(node):
            return rebuild(node, [walk(arg, used) for arg in node.args])
        op, body, limits = split_reduction(node)
        mapping: dict[Any, Any] = {}
        for symbol, lo, hi in limits:
            known = letters.get((lo, hi), [])
            inside = {str(s) for s in free_indices(body)} & used
            free = [letter for letter in known if letter not in used]
            new = index_symbol(free[0]) if free else free_name(index_symbol(known[0] if known else "l"), used | inside)
            mapping[symbol] = new
            used = used | {new.name}
        body = substitute(body, mapping)
        return reduction(op, walk(body, used), [(mapping[s], *(substitute(end, mapping) for end in ends)) for s, *ends in limits])

    return walk(by_depth(expr), around | {str(s) for s in free_indices(expr)})


def _indices(program: Program) -> Iterator[Any]:
    yield from program.ranges.values()
    for statement in program.statements:
        yield from statement.domain
    for tensor in program.tensors.values():
        yield from tensor.axes
