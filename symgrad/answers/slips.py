"""The table of slips: each row edits a wrong right side in one place; the edit that makes it right names the slip.

    sign              y*/y + (1 - y*)/(1 - y)      a term, or all of it, has the other sign
    sum               alpha[j,i]*dJ/da[j]          a Σ is missing, too many, or around the wrong factors
    index             alpha[i,j] for alpha[j,i]    an index is another one, two are exchanged
    factor            (y - t)/2                    a number or a count is missing
    power             1 - z for 1 - z^2            an exponent is another one
    local derivative  dJ/dz[j]*z[j]                the derivative of one step is wrong
    chain             dJ/db*z[j]                   a factor of the chain rule is missing
    contribution      one of two paths             a term is missing
    extra factor      dJ/db*z[j]*beta[j]           a factor too many
    shift             h[t] for h[t-1]              an index or the end of a Σ is off by one

Rows are tried in this order. Trees are edited, so that the term is shown as it was written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import TypeVar

from symgrad.core.tree import Binder, Call, Deriv, Name, Num, Pow, Prod, Reduce, Sum, Tree, map_tree

T = TypeVar("T")
Put = Callable[[Tree], Tree]


@dataclass(frozen=True)
class Edit:
    """`right` is the right side after the edit, `term` what was wrong in it, `why` the sentence for the reader."""

    slip: str
    why: str
    term: Tree
    right: Tree


@dataclass(frozen=True)
class Context:
    """What edits may put in, as trees in the letters of the claim.

    `letters`: indices in use; `free`: those on the right alone; `chain`: factors of the chain rule; `local`: factors of one
    local derivative; `terms`: those of the right line; `counts`: extents.
    """

    letters: tuple[str, ...] = ()
    free: tuple[str, ...] = ()
    chain: tuple[Tree, ...] = ()
    local: tuple[Tree, ...] = ()
    terms: tuple[Tree, ...] = ()
    counts: tuple[Tree, ...] = ()


def edits(right: Tree, context: Context) -> Iterator[Edit]:
    """Every edit of the table, in its order."""
    for row in TABLE:
        yield from row(right, context)


def spots(tree: Tree, put: Put = lambda new: new) -> Iterator[tuple[Tree, Put]]:
    """Every part of a tree, outermost first, with the function that puts another in its place."""
    yield tree, put
    match tree:
        case Sum():
            for k, (sign, term) in enumerate(tree.terms):
                yield from spots(term, lambda new, k=k, sign=sign: put(replace(tree, terms=_at(tree.terms, k, (sign, new)))))  # type: ignore[misc]
        case Prod():
            for k, (op, factor) in enumerate(tree.factors):
                yield from spots(factor, lambda new, k=k, op=op: put(replace(tree, factors=_at(tree.factors, k, (op, new)))))  # type: ignore[misc]
        case Pow():
            yield from spots(tree.base, lambda new: put(replace(tree, base=new)))
            yield from spots(tree.exponent, lambda new: put(replace(tree, exponent=new)))
        case Reduce():
            yield from spots(tree.body, lambda new: put(replace(tree, body=new)))
    if isinstance(tree, Call):
        for k, arg in enumerate(tree.args):
            yield from spots(arg, lambda new, k=k: put(replace(tree, args=_at(tree.args, k, new))))  # type: ignore[misc]


def _at(parts: tuple[T, ...], place: int, new: T) -> tuple[T, ...]:
    return (*parts[:place], new, *parts[place + 1 :])


def negated(tree: Tree) -> Tree:
    return Sum(((-1, tree),))


def times(tree: Tree, factor: Tree) -> Tree:
    return Prod((("*", tree), ("*", factor)))


def _bodies(right: Tree) -> Iterator[tuple[Tree, Put]]:
    """Where a factor may be missing: the whole, a term of it, the body of a Σ."""
    yield right, lambda new: new
    for node, put in spots(right):
        if isinstance(node, Reduce):
            yield node.body, lambda new, node=node, put=put: put(replace(node, body=new))  # type: ignore[misc]
        elif isinstance(node, Sum) and len(node.terms) > 1:
            for k, (sign, term) in enumerate(node.terms):
                yield term, partial(_with_term, node, put, k, sign)


def _with_term(node: Sum, put: Put, place: int, sign: int, new: Tree) -> Tree:
    return put(replace(node, terms=_at(node.terms, place, (sign, new))))


def _signs(right: Tree, context: Context) -> Iterator[Edit]:
    yield Edit("sign", "the sign is wrong", right, negated(right))
    for node, put in spots(right):
        if isinstance(node, Sum):
            for k, (sign, term) in enumerate(node.terms):
                yield Edit(
                    "sign", "the sign of this term is wrong", term, put(replace(node, terms=_at(node.terms, k, (-sign, term))))
                )


def _sums(right: Tree, context: Context) -> Iterator[Edit]:
    for body, put in _bodies(right):
        for count in range(1, len(context.free) + 1):
            for names in combinations(context.free, count):
                why = f"the Σ over {', '.join(names)} is missing"
                yield Edit("sum", why, body, put(Reduce("sum", body, tuple(map(Binder, names)))))
    for node, put in spots(right):
        if isinstance(node, Reduce):
            over = ", ".join(b.name for b in node.binders)
            yield Edit("sum", f"there is no Σ over {over} here", node, put(node.body))
            if node.op in ("sum", "mean"):
                other = "mean" if node.op == "sum" else "sum"
                yield Edit("sum", f"here stands a {node.op}, and it is a {other}", node, put(replace(node, op=other)))
        elif isinstance(node, Prod):
            yield from _misplaced(node, put)


def _misplaced(node: Prod, put: Put) -> Iterator[Edit]:
    """Σ around some factors of a product only, or around each apart."""
    inside = [(op, f.body if isinstance(f, Reduce) else f) for op, f in node.factors]
    found = [f for _, f in node.factors if isinstance(f, Reduce)]
    if found:
        binders = tuple(dict.fromkeys(b for f in found for b in f.binders))
        names = ", ".join(b.name for b in binders)
        yield Edit(
            "sum",
            f"the Σ over {names} is around all of the product",
            node,
            put(Reduce(found[0].op, replace(node, factors=tuple(inside)), binders)),
        )


def _accesses(right: Tree) -> Iterator[tuple[Tree, tuple[Tree, ...], Callable[[Sequence[Tree]], Tree]]]:
    """(access, its indices, the right side with other indices in it)."""
    for node, put in spots(right):
        if isinstance(node, Name) and node.indices:
            yield node, node.indices, lambda new, node=node, put=put: put(replace(node, indices=tuple(new)))  # type: ignore[misc]
        elif isinstance(node, Deriv) and isinstance(node.top, Name) and isinstance(node.bottom, Name):
            cut = len(node.top.indices)
            if cut + len(node.bottom.indices):
                yield (
                    node,
                    (*node.top.indices, *node.bottom.indices),
                    lambda new, node=node, put=put, cut=cut: put(  # type: ignore[misc]
                        replace(
                            node,
                            top=replace(node.top, indices=tuple(new[:cut])),
                            bottom=replace(node.bottom, indices=tuple(new[cut:])),
                        )
                    ),
                )


def _indices(right: Tree, context: Context) -> Iterator[Edit]:
    for node, indices, again in _accesses(right):
        for one, two in combinations(range(len(indices)), 2):
            new = list(indices)
            new[one], new[two] = new[two], new[one]
            if new != list(indices):
                yield Edit("index", "two indices are exchanged (a transpose)", node, again(new))
    for a, b in combinations(context.letters, 2):
        names = {a: b, b: a}
        new_right = map_tree(right, partial(_renamed, names=names))
        yield Edit("index", f"{a} and {b} are exchanged (a transpose)", right, new_right)
    for node, indices, again in _accesses(right):
        for place, letter in ((p, l) for p in range(len(indices)) for l in context.letters):
            if indices[place] != Name(letter):
                yield Edit("index", f"this index must be {letter}", node, again(_at(indices, place, Name(letter))))


def _renamed(tree: Tree, names: Mapping[str, str]) -> Tree:
    """A tree under other letters; map_tree does not go into derivatives."""
    if isinstance(tree, Deriv) and isinstance(tree.top, Name) and isinstance(tree.bottom, Name):
        top, bottom = (replace(t, indices=tuple(_renamed(i, names) for i in t.indices)) for t in (tree.top, tree.bottom))
        return replace(tree, top=top, bottom=bottom)
    if isinstance(tree, Reduce):
        return replace(tree, binders=tuple(replace(b, name=names.get(b.name, b.name)) for b in tree.binders))
    return replace(tree, name=names[tree.name]) if isinstance(tree, Name) and not tree.indices and tree.name in names else tree


def _factors(right: Tree, context: Context) -> Iterator[Edit]:
    for body, put in _bodies(right):
        for number in map(Num, ("2", "3", "4")):
            yield Edit("factor", f"the factor {number.text} is missing", body, put(times(body, number)))
            written = isinstance(body, Prod) and ("*", number) in body.factors
            why = f"the factor {number.text} is too many" if written else f"the factor 1/{number.text} is missing"
            yield Edit("factor", why, body, put(Prod((("*", body), ("/", number)))))
        for count in context.counts:
            yield Edit("factor", "the factor 1/N of the mean is missing", body, put(Prod((("*", body), ("/", count)))))
            yield Edit("factor", "the factor 1/N of a mean is too many", body, put(times(body, count)))


def _powers(right: Tree, context: Context) -> Iterator[Edit]:
    for node, put in spots(right):
        if isinstance(node, Pow) and isinstance(node.exponent, Num) and node.exponent.text.isdigit():
            for step in (1, -1):
                new = int(node.exponent.text) + step
                yield Edit(
                    "power", f"the exponent must be {new}", node, put(Pow(node.base, Num(str(new))) if new != 1 else node.base)
                )
        elif not isinstance(node, Num | Prod | Reduce):
            yield Edit("power", "this must be squared", node, put(Pow(node, Num("2"))))


def _chain(right: Tree, context: Context) -> Iterator[Edit]:
    for factor in context.chain:
        for body, put in _bodies(right):
            yield Edit("chain", "this factor of the chain rule is missing", factor, put(times(body, factor)))


def _local(right: Tree, context: Context) -> Iterator[Edit]:
    for factor in context.local:
        for body, put in _bodies(right):
            yield Edit("local derivative", "the derivative of this step is wrong", body, put(times(body, factor)))


def _terms(right: Tree, context: Context) -> Iterator[Edit]:
    for term in context.terms:
        for body, put in _bodies(right):
            yield Edit("contribution", "this term is missing", term, put(Sum(((1, body), (1, term)))))


def _extra(right: Tree, context: Context) -> Iterator[Edit]:
    for node, put in spots(right):
        if isinstance(node, Prod):
            for k, (_, factor) in enumerate(node.factors):
                rest = (*node.factors[:k], *node.factors[k + 1 :])
                rest = (("*", Num("1")), *rest) if not rest or rest[0][0] == "/" else rest
                slip = "factor" if isinstance(factor, Num) else "extra factor"
                yield Edit(slip, "this factor is too many", factor, put(Prod(rest)))
        elif isinstance(node, Sum) and len(node.terms) > 1:
            for k, (_, term) in enumerate(node.terms):
                yield Edit(
                    "extra term", "this term is too many", term, put(replace(node, terms=(*node.terms[:k], *node.terms[k + 1 :])))
                )


def _shifts(right: Tree, context: Context) -> Iterator[Edit]:
    for node, indices, again in _accesses(right):
        for place, step in ((p, s) for p in range(len(indices)) for s in (1, -1)):
            moved = Sum(((1, indices[place]), (step, Num("1"))))
            yield Edit("shift", "this index is off by one", node, again(_at(indices, place, moved)))
        for place, letter in ((p, l) for p in range(len(indices)) for l in context.letters):
            moved = Sum(((1, indices[place]), (1, Name(letter))))
            yield Edit("index", f"the index must be moved by {letter}", node, again(_at(indices, place, moved)))
    for node, put in spots(right):
        if isinstance(node, Reduce):
            for k, binder in enumerate(node.binders):
                for new in _other_ends(binder):
                    yield Edit(
                        "shift",
                        f"the range of {binder.name} is off by one",
                        node,
                        put(replace(node, binders=_at(node.binders, k, new))),
                    )


def _other_ends(binder: Binder) -> Iterator[Binder]:
    if binder.lo is not None and binder.hi is not None:
        for step in (1, -1):
            yield replace(binder, lo=Sum(((1, binder.lo), (step, Num("1")))))
            yield replace(binder, hi=Sum(((1, binder.hi), (step, Num("1")))))


TABLE = (_signs, _sums, _indices, _factors, _powers, _local, _chain, _terms, _extra, _shifts)
SLIPS = {
    "sign": "a sign is wrong",
    "sum": "a Σ is missing, too many, or in the wrong place",
    "index": "an index is wrong",
    "factor": "a number is missing or too many",
    "power": "an exponent is wrong",
    "chain": "a factor of the chain rule is missing",
    "local derivative": "the derivative of one step is wrong",
    "contribution": "a contribution is missing",
    "extra factor": "a factor is too many",
    "extra term": "a term is too many",
    "shift": "an index or the end of a Σ is off by one",
    "shape": "the shapes of the arrays do not fit",
    "free index": "an index stands on one side only",
    "other": "it is wrong in more than one place",
}
