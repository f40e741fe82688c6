"""Scalar expressions of the IR: plain SymPy with reductions as binders, and the walks that respect them.

An access is `Symbol("J")` or `IndexedBase("alpha")[j, i]`; an index or an extent is an integer Symbol.
A reduction inside an expression is `reduce_sum(body, (i, lo, hi), ...)`, an applied undefined function, one
head for every row of `core/reductions.py`; its bound symbols are local, and `substitute` renames them
rather than capture. (SymPy's own derivative of a Sum captures indices, so SymPy's Sum is not used.)

>>> i, D = index_symbol("i"), index_symbol("D")
>>> node = reduction("sum", access("x", i), [(i, 0, D)])
>>> node.func.__name__, free_symbols(node)
('reduce_sum', (D, x))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cmp_to_key, lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import sympy as sp
from sympy import Expr, Function, Indexed, IndexedBase, Symbol
from sympy.core.function import AppliedUndef, UndefinedFunction

from symgrad.core.collector import MANY, remembered

REDUCE, CALL = "reduce_", "call_"  # prefixes of heads, so that no name of a user is a head of ours


@lru_cache
def head(name: str) -> Any:
    """The function `name`; said to commute, or SymPy keeps a product's factors in the order they came in."""
    return Function(name, commutative=True)


where, gradient = head("where"), head("gradient")


def is_where(expr: Any) -> bool:
    """A choice, `where(condition, a, b)`; SymPy compares two functions in far more steps."""
    return type(expr).__name__ == "where"


@lru_cache(maxsize=1 << 12)
def index_symbol(name: str) -> Symbol:
    return Symbol(name, integer=True)


def fresh_index(name: str) -> Symbol:
    """An index symbol equal to no other, shown under `name` until printing names are chosen."""
    return sp.Dummy(name, integer=True)


def is_index(symbol: Any) -> bool:
    return isinstance(symbol, Symbol) and bool(symbol.is_integer)


def access(name: str, *indices: Any) -> Expr:
    return IndexedBase(name)[indices] if indices else _scalar(name)


@lru_cache(maxsize=1 << 16)
def _scalar(name: str) -> Symbol:
    # SymPy remembers its last thousand symbols; a long program has more, and each costs its assumptions anew
    symbol = Symbol(name)
    getattr(symbol, "_assumptions", {}).update(_unknown())
    return symbol


@lru_cache(maxsize=1)
def _unknown() -> dict[str, bool | None]:
    """What SymPy finds out about a symbol that nothing is said of: it commutes, and all else is open.

    It would ask 30 questions of every symbol anew, which takes longer than what is then done with the symbol.
    """
    symbol = Symbol("x")
    for name in dir(symbol):
        if name.startswith("is_"):
            getattr(symbol, name)  # the answer stays with the symbol
    return dict(getattr(symbol, "_assumptions", {}))


def is_access(expr: Any) -> bool:
    return not expr.is_integer if isinstance(expr, Symbol) else isinstance(expr, Indexed)


def name_of(read: Expr) -> str:
    """The tensor's name in an access."""
    return (read if isinstance(read, Symbol) else read.base.label).name  # type: ignore[attr-defined, no-any-return]


def indices_of(read: Expr) -> tuple[Expr, ...]:
    return tuple(read.indices) if isinstance(read, Indexed) else ()


def gathers(index: Any) -> tuple[Expr, ...]:
    """The integer arrays that an index reads: w[t] in E[w[t], d], label in p[label]."""
    if is_access(index):
        return (index,)
    return tuple(dict.fromkeys(gather for arg in index.args for gather in gathers(arg)))


def reduction(op: str, body: Expr, limits: Sequence[Sequence[Any]]) -> Expr:
    """`op` over `body`; each limit is (index, lo, hi), or (index,) while its range is not known."""
    return head(REDUCE + op)(body, *(sp.Tuple(*limit) for limit in limits))


def powered(base: Any, exponent: Any) -> Any:
    """A power, equal to SymPy's, which asks base and exponent much: none of it has an answer for a name or a sum of names."""
    plain = base.is_Symbol or isinstance(base, Indexed) or (base.is_Add and not any(part.is_number for part in base.args[1:]))
    if plain and exponent.is_Integer and exponent is not sp.S.Zero and exponent is not sp.S.One and not _endless(base):
        return sp.Pow(base, exponent, evaluate=False)
    return base**exponent


def _endless(expr: Any) -> bool:
    return bool(expr.is_Add and expr.args[0].is_Number and not expr.args[0].is_finite)


def applied(head: Any, args: Sequence[Any]) -> Any:
    """A function of arguments.

    SymPy looks for a value at each: 0, pi, i x, … An access is none of these, since nothing is known of it.
    """
    if all(map(is_access, args)) and not isinstance(head, UndefinedFunction):
        return head(*args, evaluate=False)
    return head(*args)


def times(*factors: Any) -> Any:
    """The product, equal to SymPy's; where nothing can combine it is only put in order.

    Nothing but fractions does with at most one decimal number, a number that is not alone with a sum, and bases that all differ.
    SymPy asks each factor much more.
    """
    number, bases = sp.S.One, set()
    parts: list[Any] = []
    for part in (part for factor in factors for part in (factor.args if factor.is_Mul else (factor,))):
        if part.is_Rational or part.is_Float:
            both = number.is_Rational and part.is_Rational
            if part is not sp.S.One and (not part or not (both or number is sp.S.One)):
                return sp.Mul(*factors)
            number = number * part if both else number if part is sp.S.One else part
            continue
        base = _base(part)
        if base is None or base in bases:
            return sp.Mul(*factors)
        bases.add(base)
        parts.append(part)
    if not parts or (len(parts) == 1 and number is sp.S.One):
        return parts[0] if parts else number
    if len(parts) == 1 and parts[0].is_Add:
        return sp.Mul(*factors)
    parts.sort(key=_BY_SYMPY)
    return sp.Mul._from_args(parts if number is sp.S.One else [number, *parts])  # type: ignore[attr-defined]


def plus(*terms: Any) -> Any:
    """The sum, equal to SymPy's; where nothing can combine it is only put in order.

    Nothing does with at most one number and terms that differ in more than their number.
    """
    number, kinds = sp.S.Zero, set()
    parts: list[Any] = []
    for term in terms:
        if term.is_Rational or term.is_Float:
            if number is not sp.S.Zero or (not term and term is not sp.S.Zero):
                return sp.Add(*terms)
            number = term
            continue
        kind = term.as_coeff_Mul()[1] if term.is_Mul and term.is_commutative else term if _base(term) is not None else None
        if kind is None or kind.is_Add or term.is_Add or kind in kinds:
            return sp.Add(*terms)
        kinds.add(kind)
        parts.append(term)
    if len(parts) + (number is not sp.S.Zero) < 2:
        return sp.Add(*terms)
    parts.sort(key=_BY_SYMPY)
    return sp.Add._from_args(parts if number is sp.S.Zero else [number, *parts])  # type: ignore[attr-defined]


_BY_SYMPY: Callable[[Any], Any] = cmp_to_key(sp.Basic.compare)


def _base(factor: Any) -> Any:
    """What a factor is a rational power of, all exponentials one base; None where SymPy should be asked."""
    if factor.is_Symbol or factor.is_Add or isinstance(factor, Indexed):
        return factor
    if factor.is_Pow:
        own = factor.base.is_Symbol or factor.base.is_Add or isinstance(factor.base, Indexed)
        return factor.base if own and factor.exp.is_Rational else None
    if isinstance(factor, sp.exp):
        return sp.E
    return factor if isinstance(factor, Function) and factor.is_commutative else None


def is_reduction(expr: Any) -> bool:
    return isinstance(expr, AppliedUndef) and expr.func.__name__.startswith(REDUCE)


def split_reduction(node: Expr) -> tuple[str, Expr, tuple[Any, ...]]:
    """(op, body, limits) of a reduction node."""
    return node.func.__name__.removeprefix(REDUCE), node.args[0], tuple(node.args[1:])  # type: ignore


def call(name: str, *args: Expr) -> Expr:
    """A call of a function that the user defined."""
    return head(CALL + name)(*args)


def is_call(expr: Any) -> bool:
    return isinstance(expr, AppliedUndef) and expr.func.__name__.startswith(CALL)


def split_call(node: Expr) -> tuple[str, tuple[Expr, ...]]:
    """(name, arguments) of a call."""
    return node.func.__name__.removeprefix(CALL), tuple(node.args)  # type: ignore


def rebuild(expr: Any, args: Sequence[Any]) -> Any:
    """The same head over other arguments; comparisons are not evaluated."""
    if tuple(args) == expr.args:
        return expr
    if isinstance(expr, sp.core.relational.Relational):
        return expr.func(*args, evaluate=False)
    return times(*args) if expr.is_Mul else plus(*args) if expr.is_Add else expr.func(*args)


def rewrite(expr: Any, rule: Callable[[Any], Any], enter: Callable[[Any], bool] = lambda _: True) -> Any:
    """Bottom-up: apply `rule` to every node after its arguments; do not go into nodes where not `enter`."""
    memo: dict[Any, Any] = {}

    def walk(node: Any) -> Any:
        if node in memo:
            return memo[node]
        inside = node.args and enter(node) and not isinstance(node, IndexedBase)
        memo[node] = rule(rebuild(node, [walk(arg) for arg in node.args]) if inside else node)
        return memo[node]

    return walk(expr)


def substitute(expr: Any, mapping: Mapping[Any, Any]) -> Any:
    """Replace symbols and accesses at once; bound indices that would capture are renamed first."""
    if not mapping:
        return expr
    incoming = frozenset().union(*(new.free_symbols for new in mapping.values()))
    memo: dict[Any, Any] = {}

    def walk(node: Any) -> Any:
        if node in mapping:
            return mapping[node]
        if not node.args:
            return node
        if node not in memo:
            memo[node] = under_binder(node) if is_reduction(node) else rebuild(node, [walk(a) for a in node.args])
        return memo[node]

    def under_binder(node: Any) -> Any:
        op, body, limits = split_reduction(node)
        ends = [list(limit[1:]) for limit in limits]
        bound = [limit[0] for limit in limits]
        inner = {old: new for old, new in mapping.items() if old not in bound}
        if not any(symbol in incoming for symbol in bound):
            names = bound
        else:
            names = [fresh_index(b.name) if b in incoming else b for b in bound]
            body = substitute(body, dict(zip(bound, names, strict=True)))
            ends = [[substitute(e, dict(zip(bound, names, strict=True))) for e in end] for end in ends]
        body = substitute(body, inner)
        return reduction(op, body, [(n, *map(walk, e)) for n, e in zip(names, ends, strict=True)])

    return walk(expr)


def replace_nodes(expr: Any, mapping: Mapping[Any, Any]) -> Any:
    """Replace nodes as they stand, outermost first, bound indices and all: for naming parts of an expression."""
    memo: dict[Any, Any] = {}

    def walk(node: Any) -> Any:
        if node in mapping:
            return mapping[node]
        if not node.args or is_access(node):
            return node
        if node not in memo:
            memo[node] = rebuild(node, [walk(arg) for arg in node.args])
        return memo[node]

    return walk(expr)


class Leaves(NamedTuple):
    """What one walk finds out about an expression; of an access it sees only what its indices gather by."""

    reads: tuple[Expr, ...]  # the distinct accesses, in the order in which `nodes` has them
    binds: bool  # a reduction stands in it
    indexed: bool  # an access with indices does
    plain: bool  # it has neither, nor an index by itself, nor a choice: numbers and functions of scalars


_NONE = Leaves((), False, False, True)


def leaves(expr: Any) -> Leaves:
    if expr.args:
        return _leaves(expr)
    return _leaf(expr) if isinstance(expr, Symbol) else _NONE


@remembered(MANY)
def _leaf(symbol: Symbol) -> Leaves:
    index = is_index(symbol)
    return Leaves(() if index else (symbol,), False, False, not index)


@remembered(MANY)
def _leaves(expr: Any) -> Leaves:
    """Nodes are told apart as objects: to ask which are equal, as `nodes` does, takes longer than all else."""
    reads: dict[Any, None] = {}
    binds = indexed = special = False
    seen: set[int] = set()
    stack: list[Any] = [expr]
    while stack:
        node = stack.pop()
        args = node.args
        if not args:
            if isinstance(node, Symbol):
                if node.is_integer:
                    special = True
                else:
                    reads[node] = None
        elif isinstance(node, Indexed):
            indexed = True
            for gather in reversed([gather for index in node.indices for gather in gathers(index)]):
                reads.update(dict.fromkeys(leaves(gather).reads))
            reads[node] = None
        elif id(node) not in seen:
            seen.add(id(node))
            stack.extend(args[::-1])
            if isinstance(node, AppliedUndef):
                binds = binds or is_reduction(node)
                special = special or is_where(node)
    return Leaves(tuple(reads), binds, indexed, not (special or binds or indexed))


def binds(expr: Any) -> bool:
    """True where a reduction stands in the expression."""
    return leaves(expr).binds


def rename_bound(expr: Any, names: Callable[[Any, set[str]], Any]) -> Any:
    """Give every bound index of `expr` the symbol that `names(symbol, names in use around it)` chooses."""
    if not binds(expr):
        return expr

    def walk(node: Any, used: set[str]) -> Any:
        if not node.args:
            return node
        if not is_reduction(node):
            return rebuild(node, [walk(arg, used) for arg in node.args])
        op, body, limits = split_reduction(node)
        inner, mapping = set(used), {}
        for limit in limits:
            mapping[limit[0]] = new = names(limit[0], inner)
            inner.add(new.name)
        body = walk(substitute(body, mapping), inner)
        return reduction(op, body, [(mapping[l[0]], *(substitute(e, mapping) for e in l[1:])) for l in limits])

    return walk(expr, {str(s) for s in free_symbols(expr)})


def nodes(expr: Any, enter: Callable[[Any], bool] | None = None) -> Iterable[Any]:
    """Every distinct node, arguments first, in a fixed order; of an access only what its indices gather by."""
    if not expr.args:
        return (expr,)
    return _all_nodes(expr) if enter is None else _nodes(expr, enter)


@remembered(MANY)
def _all_nodes(expr: Any) -> tuple[Any, ...]:
    return tuple(_nodes(expr, lambda _: True))


def _nodes(expr: Any, enter: Callable[[Any], bool]) -> Iterator[Any]:
    seen: set[Any] = set()
    stack: list[tuple[Any, bool]] = [(expr, False)]
    while stack:
        node, done = stack.pop()
        if done:
            yield node
            continue
        # SymPy makes a number of Python's of a decimal for each hash, which takes longer than the rest of this loop
        own = (node._mpf_, node._prec) if isinstance(node, sp.Float) else node
        if own not in seen:
            seen.add(own)
            args = node.args
            if not args:
                yield node
                continue
            stack.append((node, True))  # comes back once its arguments are done
            if isinstance(node, Indexed):
                stack.extend((gather, False) for index in node.indices for gather in gathers(index))
            elif enter(node):
                stack.extend([(arg, False) for arg in reversed(args)])


def accesses(expr: Any, enter: Callable[[Any], bool] | None = None) -> tuple[Expr, ...]:
    """The distinct accesses, in a fixed order, those inside reductions too."""
    return leaves(expr).reads if enter is None else tuple(node for node in nodes(expr, enter) if is_access(node))


def outermost(expr: Any) -> Iterable[Any]:
    """As `nodes`, without going into reductions."""
    return nodes(expr, lambda node: not is_reduction(node)) if binds(expr) else nodes(expr)


def reductions(expr: Any) -> tuple[Expr, ...]:
    """The outermost reduction nodes."""
    return tuple(n for n in outermost(expr) if is_reduction(n)) if binds(expr) else ()


@remembered(1 << 13)
def free_symbols(expr: Any) -> tuple[Symbol, ...]:
    """Symbols that are free in `expr` (tensors by their label), bound indices left out; sorted by name."""
    if not expr.args:
        return (expr,) if isinstance(expr, Symbol) else ()
    known = leaves(expr)
    if known.plain:
        found: Iterable[Any] = known.reads
    elif known.binds:
        found = _free(expr)
    else:
        found = {s for n in nodes(expr) if is_access(n) or is_index(n) for s in _symbols(n)}
    out = tuple(sorted(found, key=lambda s: str(s.name)))
    if all(one.name != two.name for one, two in pairwise(out)):
        return out
    return tuple(sorted(out, key=lambda s: (s.name, s.sort_key())))


def _symbols(leaf: Any) -> Iterable[Any]:
    return (leaf,) if isinstance(leaf, Symbol) else (s for s in leaf.free_symbols if isinstance(s, Symbol))


def _free(expr: Any) -> frozenset[Any]:
    memo: dict[Any, frozenset[Any]] = {}
    for node in nodes(expr):
        if is_access(node):
            memo[node] = frozenset(_symbols(node))
        elif is_reduction(node):
            _, body, limits = split_reduction(node)
            ends = frozenset().union(*(memo[limit] for limit in limits))
            bound = {limit[0] for limit in limits}
            memo[node] = (memo[body] | ends) - bound
        elif isinstance(node, sp.Tuple) and node.args:
            memo[node] = frozenset().union(*(memo[arg] for arg in node.args[1:]))
        elif isinstance(node, Symbol):
            memo[node] = frozenset({node})
        else:
            memo[node] = frozenset().union(*(memo.get(arg, frozenset()) for arg in node.args))
    return memo[expr]


def free_indices(expr: Any) -> tuple[Symbol, ...]:
    """Integer symbols (indices and extents) that are free in `expr`."""
    return () if leaves(expr).plain else tuple(s for s in free_symbols(expr) if is_index(s))


def powers(expr: Expr) -> dict[Expr, Expr]:
    """Factors of a product with their exponents; numbers stay whole."""
    out: dict[Expr, Expr] = {}
    for factor in sp.Mul.make_args(expr):
        whole = factor.is_Symbol or factor.is_number or isinstance(factor, sp.exp)
        base, exponent = (factor, sp.S.One) if whole else factor.as_base_exp()
        out[base] = out[base] + exponent if base in out else exponent
    return out


def from_powers(factors: Mapping[Expr, Expr]) -> Expr:
    return times(*(powered(base, exponent) for base, exponent in factors.items()))
