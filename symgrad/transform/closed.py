"""Adjoints in closed form: the adjoints they are computed from put in, brought into textbook form.

>>> from symgrad.frontend.text import parse
>>> from symgrad.transform.collect import collect
>>> from symgrad.transform.reverse import reverse
>>> primal = parse("y = tanh(w*x); J = y^2")
>>> closed_form("w_bar", collect(reverse(primal, "J", ["w"]), "one"), primal)
2*x*y*(1 - y**2)

A page of closed forms (`closed_forms`) keeps an adjoint under its name where putting it in would make an equation longer
than it and the adjoint's own equation together, as dJ/dy_i three times in batch normalisation.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sympy import Expr

from symgrad.core.errors import SymgradError
from symgrad.core.expr import access, is_access, is_reduction, name_of, rebuild, reduction, rename_bound
from symgrad.core.graph import in_rings
from symgrad.core.measure import written_out
from symgrad.core.program import Program, Statement, Tensor
from symgrad.transform.gather import free_name
from symgrad.transform.named import Named
from symgrad.transform.simplify import inline, logistic_form, operations, size
from symgrad.transform.textbook import Textbook, lettered

LARGEST = 20_000  # nodes of a closed form that anyone would still read
MOST_TRIALS = 60  # forms of an equation that are compared, with and without an adjoint's name


def closed_form(bar: str, whole: Program, primal: Program, invented: Collection[str] = (), book: Textbook | None = None) -> Expr:
    """The adjoint with all other adjoints, and the steps that the user did not name, put in.

    An adjoint of a recurrence has no closed form: it stays as it is. Raises SG506 above 20,000 nodes.
    """
    forms = _Forms(whole, primal, frozenset(invented), book or Textbook(primal))
    return lettered(forms.value(bar, in_rings(whole) - {bar}), whole.tensors[bar], whole)


def closed_forms(
    bars: Sequence[str], whole: Program, primal: Program, invented: Collection[str], book: Textbook
) -> dict[str, Expr]:
    """The equations of a page: those asked for, and the adjoints that keep a name, each before those that read it."""
    kept = _Forms(whole, primal, frozenset(invented), Textbook(primal)).kept(bars)
    forms = _Forms(whole, primal, frozenset(invented), book)
    order = forms.order([*bars, *kept])
    names = [name for name in order if name in kept and name not in bars]
    return {name: lettered(forms.value(name, kept - {name}), whole.tensors[name], whole) for name in [*names, *bars]}


class _Forms:
    """Closed forms of one program's adjoints, for different choices of those that keep their names."""

    def __init__(self, whole: Program, primal: Program, invented: frozenset[str], book: Textbook):
        self.whole, self.primal, self.book = whole, primal, book
        self.adjoints = set(whole.defined) - set(primal.defined)
        self.own = self.adjoints | invented
        self.memo: dict[tuple[str, frozenset[str]], Expr] = {}
        self.trials = 0

    def needs(self, name: str) -> list[str]:
        reads = dict.fromkeys(n for s in self.whole.definitions[name] for n in s.read_names)
        return [n for n in reads if n in self.own and n != name]

    def order(self, names: Sequence[str], keep: Collection[str] = ()) -> list[str]:
        """What `names` need, each after what it needs itself; not beyond what is kept."""
        done: dict[str, None] = {}
        stack = [(name, False) for name in reversed(names)]
        opened: set[str] = set()
        while stack:
            name, finished = stack.pop()
            if finished:
                done[name] = None
            elif name not in opened:
                opened.add(name)
                stack.append((name, True))
                stack += [(n, False) for n in self.needs(name) if n not in opened and n not in keep]
        return list(done)

    def value(self, name: str, keep: Collection[str]) -> Expr:
        """The adjoint with all but the kept ones put in."""
        below = {each: frozenset(self.order([each])) & frozenset(keep) for each in self.order([name], keep)}
        for each, here in below.items():
            if (each, here) not in self.memo:
                values = {n: self.memo[n, below[n]] for n in self.needs(each) if n not in keep}
                self.memo[each, here] = self._put_in(each, values, here)
        return self.memo[name, below[name]]

    def _put_in(self, name: str, values: Mapping[str, Expr], keep: frozenset[str]) -> Expr:
        statement, tensor = self.whole.definitions[name][0], self.whole.tensors[name]
        parts = statement.origin.contributions
        value = statement.value
        for source in dict.fromkeys(p.primal for p in parts if len(self.primal.definitions.get(p.primal.name, ())) == 1):
            value = _by_result(value, source)
        if statement.reduced:
            value = reduction(statement.op or "sum", value, [index.limit for index in statement.reduced])
        value = inline(value, {n: (self._axes(n), v) for n, v in values.items()})
        # parts that stand in it twice are read twice, and each of the rules goes over both
        if written_out(value) > LARGEST or size(value) > LARGEST:
            raise SymgradError(
                "SG506",
                f"the closed form of {name} has more than {LARGEST:,} nodes",
                hint="print the backward pass instead: text(), latex()",
            )
        self.book.kept = tuple(map(self._named, sorted(keep)))
        return self.book(value, {axis.symbol: (axis.lo, axis.hi) for axis in tensor.axes})

    def _named(self, name: str) -> Named:
        """A kept adjoint, whose equation may be put in where that helps."""
        axes = self.whole.tensors[name].axes
        statement = self.whole.definitions[name][0]
        value = statement.value
        if statement.reduced:
            value = reduction(statement.op or "sum", value, [index.limit for index in statement.reduced])
        return Named(access(name, *self._axes(name)), value, tuple((axis.lo, axis.hi) for axis in axes))

    def _axes(self, name: str) -> tuple[Any, ...]:
        return tuple(axis.symbol for axis in self.whole.tensors[name].axes)

    # which adjoints keep their names

    def kept(self, bars: Sequence[str]) -> frozenset[str]:
        """Those of recurrences, and those that would make an equation longer than with their own beside it."""
        keep = in_rings(self.whole) & self.adjoints
        order = [n for n in self.order(list(bars)) if n in self.adjoints]
        named = set(keep)
        for name in order:
            readers = [r for r in order if r not in named and r != name and self._paths(r, name, named) > 1]
            if name not in named and any(self._longer(r, name, named) for r in readers[:3]):
                named.add(name)
        if named - keep:
            for name in order:
                if name not in named and self._shorter_apart(name, [n for n in order if n in named or n in bars], named):
                    named.add(name)
        for name in order:
            if name in named - keep and name not in bars and self._readers(name, bars, named) < 2 and not self._is_sum(name, named):
                named.discard(name)
        return frozenset(named)

    def _longer(self, reader: str, name: str, named: set[str]) -> bool:
        """Putting `name` into `reader` costs more operations than keeping its equation apart."""
        own = operations(self.value(name, named))
        if own < 2:
            return False
        self.trials += 1
        if self.trials > MOST_TRIALS:
            return True
        apart = operations(self.value(reader, named | {name})) + own
        return operations(self.value(reader, named)) > apart

    def _shorter_apart(self, name: str, page: Sequence[str], named: set[str]) -> bool:
        """A page that has names for adjoints anyway spares this one's operations, or is as long with it, a sum of products."""
        readers = [r for r in page if r != name and self._paths(r, name, named)]
        own = operations(self.value(name, named))
        self.trials += len(readers)
        if own < 2 or self.trials > MOST_TRIALS:
            return own > 1 and len(readers) > 1
        apart = own + sum(operations(self.value(r, named | {name})) for r in readers)
        here = sum(operations(self.value(r, named)) for r in readers)
        return here - apart >= own or (here == apart and self._is_sum(name, named))

    def _is_sum(self, name: str, named: Collection[str]) -> bool:
        return is_reduction(self.value(name, named))

    def _readers(self, name: str, bars: Sequence[str], named: set[str]) -> int:
        """The places at which the page's other equations read a kept adjoint."""
        return sum(self._paths(reader, name, named - {name}) for reader in {*bars, *named} - {name})

    def _paths(self, reader: str, name: str, named: Collection[str]) -> int:
        """In how many places `name` comes into `reader` once all that is not named is put in."""
        count: dict[str, int] = {name: 1}
        for each in self.order([reader], {*named, name} - {reader}):
            if each != name:
                reads = [name_of(r) for s in self.whole.definitions[each] for r in s.reads]
                count[each] = sum(count.get(n, 0) for n in reads if n == name or n not in named)
        return count.get(reader, 0)


def _by_result(value: Any, primal: Statement) -> Any:
    if is_access(value) or not value.args:
        return value
    if value.is_Add:
        return rebuild(value, [_by_result(arg, primal) for arg in value.args])
    return logistic_form(value, primal) if value.is_Mul else value


def renamed(value: Any, tensor: Tensor, program: Program) -> Any:
    """Bound indices under letters that clash with nothing around."""
    used = {str(axis.symbol) for axis in tensor.axes} | set(program.tensors)
    return rename_bound(value, lambda symbol, around: free_name(symbol, around | used))
