"""One loop nest, or several that share their loops → the lines of them.

Values that do not change in the innermost loop are computed before it. `Names` says how quantities are stored and read:
whole arrays, views of a block's rows, scalars that are locals or cells.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import sympy as sp

from symgrad.backends import blas
from symgrad.backends.pycode import Code, affine, python_name
from symgrad.core.affine import Ends
from symgrad.core.expr import gathers, indices_of, is_access, is_index, is_where, name_of, nodes, substitute
from symgrad.core.guards import needed
from symgrad.core.parts import never_outside, stays
from symgrad.core.program import Index, outer_first
from symgrad.core.reductions import position
from symgrad.schedule.contractions import Product, joined
from symgrad.schedule.kernels import Blocks, Contract, Map, Schedule, flat

# the least length of a loop that is left to run as a loop: fewer steps are faster one after another
UNROLLED = 6


@dataclass(frozen=True)
class Names:
    """How quantities are stored: `cells` are scalars kept in arrays without axes, `scalars` are locals.

    Of axes that are `shorter` long only a first part of the buffer is used. Inside of `blocks` the index of the rows counts
    the `_count` rows from `_first` on, in views of the arrays.
    """

    schedule: Schedule
    dtype: str
    cells: frozenset[str]
    shorter: str | None = None
    tables: list[str] = field(default_factory=list)
    blocks: Blocks | None = None

    @cached_property
    def touched(self) -> Counter[str]:
        """By how many kernels each quantity is read or written."""
        return Counter(name for kernel in flat(self.schedule.kernels) for name in _touches(kernel))

    def outside(self, run: Sequence[Map]) -> Callable[[Any], bool]:
        """Which targets of a run of scalar equations are needed beyond it."""
        inside = Counter(name for kernel in run for name in _touches(kernel))
        return lambda target: self._is_needed(target, inside)

    def _is_needed(self, target: Any, inside: Counter[str]) -> bool:
        name = name_of(target)
        return bool(indices_of(target)) or name in self.schedule.kept or self.touched[name] > inside[name]

    def array(self, read: Any) -> str:
        """The array that an access looks into: in blocks, that of its rows."""
        name = python_name(self.stored(name_of(read)))
        return rows_name(name) if self.in_rows(read) else name

    def in_rows(self, read: Any) -> bool:
        blocks, indices = self.blocks, indices_of(read)
        if blocks is None or not indices or name_of(read) in blocks.short:
            return False
        return indices[0].has(blocks.axis.symbol) and not gathers(indices[0])

    def is_row(self, index: Index) -> bool:
        return self.blocks is not None and index.symbol == self.blocks.axis.symbol

    def is_local(self, name: str) -> bool:
        return not self.schedule.program.tensors[name].axes and self.stored(name) not in self.cells

    def stored(self, name: str) -> str:
        return self.schedule.aliases.get(name, name)

    def value(self, expr: Any) -> str:
        """An access as a number to compute with."""
        tensor = self.schedule.program.tensors.get(name_of(expr))
        return f"F({self.read(expr)})" if tensor is not None and tensor.values else self.read(expr)

    def read(self, expr: Any) -> str:
        if name_of(expr) not in self.schedule.program.tensors:
            return name_of(expr)  # a local of the nest
        name = self.stored(name_of(expr))
        if not indices_of(expr):
            return f"{python_name(name)}[()]" if name in self.cells else python_name(name)
        axes = self.schedule.program.tensors[name_of(expr)].axes
        places = [affine(i - axis.lo, None, self.read) for i, axis in zip(indices_of(expr), axes, strict=True)]
        return f"{self.array(expr)}[{', '.join(places)}]"


def _touches(kernel: Map | Contract) -> set[str]:
    return {kernel.statement.name, *kernel.statement.read_names}


def rows_name(array: str) -> str:
    return f"_{array}_rows"


def nested(nests: Sequence[Nest]) -> list[str]:
    """The lines of nests that share their loops: what a sum needs before and after them stands around those it sums over."""
    if len(nests) == 1:
        return nests[0].lines()
    if nests[0].op in ("max", "logsumexp"):
        return nests[0].softmax(nests[1]) if isinstance(nests[1].kernel, Map) else nests[0].log_of_sum_and_top(nests)
    loops, hoisted = nests[0].kernel.loops, iter(range(1, 10_000))
    parts = [nest.part(place, hoisted) for place, nest in enumerate(nests)]

    def level(depth: int) -> list[str]:
        if depth == len(loops):
            return [line for part in parts for line in part.inner]
        here = [part for part in parts if part.kept == depth]
        hoists = [line for part in parts for line in part.before] if depth == len(loops) - 1 else []
        inside = nests[0].nest((loops[depth],), level(depth + 1))
        return [*(p.start for p in here if p.start), *hoists, *inside, *(p.end for p in here if p.end)]

    return level(0)


@dataclass(frozen=True)
class _Part:
    """One nest of several: the lines before the innermost loop, in it, and, of a sum, before and after `kept` loops."""

    before: list[str]
    inner: list[str]
    kept: int
    start: str = ""
    end: str = ""


class Nest:
    def __init__(self, kernel: Map | Contract, names: Names, code: Code, around: Mapping[Any, Ends]):
        self.kernel, self.names, self.code, self.around = kernel, names, code, around
        # loops run over places in the arrays, from 0; an end may use outer indices, which are shifted too
        shift: dict[Any, Any] = {}
        for index in outer_first(kernel.loops):
            if index.lo != 0:
                shift[index.symbol] = index.symbol + substitute(index.lo, shift)
        self.value = substitute(kernel.statement.value, shift)
        self.target = substitute(kernel.statement.target, shift)
        self.shift = shift
        self.guards = [substitute(c, shift) for c in needed(kernel.statement, names.schedule.program)]
        self.op = kernel.statement.op
        self.hoisted: Iterator[int] = iter(range(1, 10_000))

    def lines(self) -> list[str]:
        found = self.kernel.product if isinstance(self.kernel, Contract) else None
        if isinstance(found, Product) and not any(str(s) == self.names.shorter for e, _ in joined(found) for s in e.free_symbols):
            return self.by_product(found)
        return self.loops()

    def by_product(self, product: Product) -> list[str]:
        """A call of gemm. What adds up over several products starts at 0."""
        axes = self.names.schedule.program.tensors
        call = blas.Call(
            product,
            self.kernel.statement.target,
            self.shift,
            lambda read: axes[name_of(read)].axes,
            self.names.array,
            self.names.read,
            self.names.blocks,
        )
        one, zero = self.code.number(sp.S.One), self.code.number(sp.S.Zero)
        adds = self.kernel.adds or bool(product.over)
        lines = self.nest(product.over, [call.line(self.code(product.alpha), one if adds else zero)])
        if product.over and not self.kernel.adds:
            lines = [*self.nest((*product.rows, *product.columns), [f"{self.names.read(self.target)} = {zero}"]), *lines]
        return self.nest(product.around, lines)

    def loops(self) -> list[str]:
        reduced = isinstance(self.kernel, Contract)
        if reduced and self.kernel.in_register:  # type: ignore[union-attr]
            return self.in_register()
        if reduced:
            return self.row_by_row()
        value, before = self.hoist(self.value, self.kernel.loops)
        op = "+=" if self.kernel.adds else "="
        store = self.guarded([f"{self.names.read(self.target)} {op} {self.code(value)}"])
        return self.nest(self.kernel.loops, [*before, *store], inner=len(before))

    def part(self, place: int, hoisted: Iterator[int]) -> _Part:
        """This nest as one of several, the `place`-th."""
        self.hoisted = hoisted
        value, before = self.hoist(self.value, self.kernel.loops)
        store = self.names.read(self.target)
        op = "+=" if self.kernel.adds else "="
        if isinstance(self.kernel, Map) or not self.kernel.in_register:  # a sum of rows adds to rows that hold something
            return _Part(before, [f"{store} {op} {self.code(value)}"], len(self.kernel.loops))
        total = f"_total_{place}"
        kept = sum(index not in self.kernel.statement.reduced for index in self.kernel.loops)
        zero = self.code.number(sp.S.Zero)
        return _Part(before, [f"{total} += {self.code(value)}"], kept, f"{total} = {zero}", f"{store} {op} {total}")

    def guarded(self, lines: list[str]) -> list[str]:
        """What is done only where the target is a cell of its array."""
        for guard in reversed(self.guards):
            left, right = (affine(side, None, self.names.read) for side in guard.args)  # exact in every dtype
            lines = [f"if {left} {guard.rel_op} {right}:", *indent(lines)]
        return lines

    def nest(self, loops: tuple[Index, ...], lines: list[str], inner: int = 0) -> list[str]:
        """`lines` inside loops; the first `inner` of them before the innermost one."""
        before, lines = lines[:inner], lines[inner:]
        for place, index in enumerate(reversed(loops)):
            ends = "_count" if self.names.is_row(index) else self.extent(index, innermost=place == 0)
            lines = [f"for {python_name(str(index.symbol))} in range({ends}):", *indent(lines)]
            if place == 0:
                lines = [*before, *lines]
        return lines if loops else [*before, *lines]

    def extent(self, index: Index, innermost: bool = False) -> str:
        """How often a loop runs. LLVM unrolls a short innermost loop whose number it knows, and then finds no vectors in it."""
        length = substitute(index.extent, self.shift)
        if length.is_Integer and (length >= UNROLLED or not innermost):
            return self.shape(index) or affine(length)
        return affine(length)

    def shape(self, index: Index) -> str | None:
        """The length of an axis that an index runs over, as the array has it."""
        statement, tensors = self.kernel.statement, self.names.schedule.program.tensors
        for read in (statement.target, *statement.reads):
            for place, own in enumerate(indices_of(read)):
                whole = (own - index.symbol).is_Integer and tensors[name_of(read)].axes[place].extent == index.extent
                if whole and not (place == 0 and self.names.in_rows(read)):
                    return f"{self.names.array(read)}.shape[{place}]"
        return None

    def hoist(self, value: Any, loops: tuple[Index, ...]) -> tuple[Any, list[str]]:
        """Parts that do not change along the innermost loop become locals."""
        if not loops:
            return value, []
        symbol, lines, known, inner = loops[-1].symbol, [], {}, self.only_inside(loops[-1])

        def local(part: Any) -> Any:
            if part not in known:
                known[part] = sp.Symbol(f"_c{next(self.hoisted)}")
                lines.append(f"{known[part]} = {self.code(part)}")
            return known[part]

        def walk(node: Any) -> Any:
            if not _worth(node) or self.is_scalar(node):
                return node
            if not node.has(symbol) and not node.has(*inner):
                return local(node)
            if is_where(node) or is_access(node):
                return node
            if node.is_Mul or node.is_Add:
                fixed = [a for a in node.args if not a.has(symbol, *inner)]
                moving = [walk(a) for a in node.args if a.has(symbol, *inner)]
                part = node.func(*fixed)
                part = local(part) if fixed and _worth(part) and not self.is_scalar(part) else part
                return node.func(part, *moving)
            return node.func(*(walk(a) for a in node.args)) if isinstance(node, sp.Expr) else node

        return walk(value), lines

    def only_inside(self, innermost: Index) -> list[Any]:
        """Reads that do not change along a loop and leave their arrays where it has no step: x[i-1] above j in 1..i-1."""
        statement, program = self.kernel.statement, self.names.schedule.program
        ranges = {**self.around, **statement.ranges}
        around = {s: ends for s, ends in ranges.items() if s != innermost.symbol}
        return [
            substitute(read, self.shift)
            for read in statement.reads
            if not read.has(innermost.symbol)
            for index, axis in zip(indices_of(read), program.tensors[name_of(read)].axes, strict=True)
            if not gathers(index)
            and not stays(index, axis, around, program.facts)
            and not never_outside(index, axis, around, program.facts)
            and never_outside(index, axis, ranges, program.facts)
        ]

    def is_scalar(self, node: Any) -> bool:
        return isinstance(node, sp.Symbol) and (is_index(node) or name_of(node) not in self.names.cells)

    def in_register(self) -> list[str]:
        """Kept loops outside; the reduced ones inside, the result in a local."""
        kept = tuple(index for index in self.kernel.loops if index not in self.kernel.statement.reduced)
        inner = tuple(index for index in self.kernel.loops if index in self.kernel.statement.reduced)
        store = self.names.read(self.target)
        local = self.names.is_local(self.kernel.statement.name) and not self.kernel.adds
        total = store if local else "_total"
        lines = list(self.reduction(total, inner))
        if not local:
            lines.append(f"{store} {'+=' if self.kernel.adds else '='} {total}")
        return self.nest(kept, self.guarded(lines))

    def reduction(self, total: str, inner: tuple[Index, ...]) -> Iterator[str]:
        value, before = self.hoist(self.value, inner)
        text, number = self.code(value), self.code.number
        if self.op in ("sum", "prod"):
            yield f"{total} = {number(sp.S.Zero if self.op == 'sum' else sp.S.One)}"
            yield from self.nest(inner, [*before, f"{total} {'+' if self.op == 'sum' else '*'}= {text}"], len(before))
        elif self.op in ("max", "min"):
            yield from self.extreme(total, inner, text, before, ">" if self.op == "max" else "<")
        elif self.op == "logsumexp":
            yield from self.extreme("_highest", inner, text, before, ">")
            yield self.finite_top()
            yield from (f"{name} = {number(sp.S.Zero)}" for name in ("_rest", "_tops"))
            yield from self.nest(inner, [*before, f"_here = {text}", *self.besides_the_top()], len(before))
            yield from self.log_of_sum(total)
        else:
            sign = ">" if self.op == "argmax" else "<"
            place = substitute(position([index.limit for index in inner]), self.shift)
            before_all = affine(place.subs({index.symbol: 0 for index in inner}) - 1)
            yield f"{total} = {before_all}"
            yield f"_best = {number(-sp.oo if sign == '>' else sp.oo)}"
            test = [
                f"_here = {text}",
                f"if {total} == {before_all} or _here {sign} _best:",
                "    _best = _here",
                f"    {total} = {affine(place)}",
            ]
            yield from self.nest(inner, [*before, *test], len(before))

    def softmax(self, shares: Nest) -> list[str]:
        """The logarithm of a sum of exponentials, and each of them divided by the sum."""
        statement, loops, exp = self.kernel.statement, self.kernel.loops, self.code.call("np.exp")
        kept, inner = (tuple(index for index in loops if (index in statement.reduced) == reduced) for reduced in (False, True))
        value, before = self.hoist(self.value, inner)
        text, share, total = self.code(value), self.names.read(shares.target), self.names.read(self.target)
        lines = [*self.extreme("_highest", inner, text, before, ">"), self.finite_top(), f"_sum = {self.code.number(sp.S.Zero)}"]
        each = [*before, f"_share = {exp}({text} - _highest)", f"{share} = _share", "_sum += _share"]
        lines += [
            *self.nest(inner, each, len(before)),
            f"_total = _highest + {self.code.call('np.log')}(_sum)",
            f"{total} = _total",
        ]
        scaled = [f"_scale = {self.code.number(sp.S.One)}/_sum", *self.nest(inner, [f"{share} *= _scale"])]
        again = self.nest(inner, [*before, f"{share} = {exp}({text} - _total)"], len(before))
        lines += ["if np.isfinite(_sum):", *indent(scaled), "else:", *indent(again)]
        return self.nest(kept, lines)

    def log_of_sum_and_top(self, nests: Sequence[Nest]) -> list[str]:
        """The highest of some exponents, and the logarithm of the sum of their exponentials, whole or less the highest.

        The logarithms are taken in a loop of their own over all sums, where LLVM finds vectors.
        """
        statement, loops = self.kernel.statement, self.kernel.loops
        kept, inner = (tuple(index for index in loops if (index in statement.reduced) == reduced) for reduced in (False, True))
        value, before = self.hoist(self.value, inner)
        text, zero = self.code(value), self.code.number(sp.S.Zero)
        top = next(self.names.read(nest.target) for nest in nests if nest.op == "max")
        sums = [(self.names.read(nest.target), nest.value == self.value) for nest in nests if nest.op == "logsumexp"]
        lines = [*self.extreme("_highest", inner, text, before, ">"), f"{top} = _highest", self.finite_top()]
        lines += [f"{name} = {zero}" for name in ("_rest", "_tops")]
        lines += self.nest(inner, [*before, f"_here = {text}", *self.besides_the_top()], len(before))
        lines += [self.less_one(), f"{sums[0][0]} = _rest"]
        # inf and nan less themselves are nan: they have no excess
        ends = [f"_excess = {self.code.call('np.log1p')}({sums[0][0]})", f"_highest = {top}", "_lost = _highest - _highest"]
        ends += [self.finite_top(), *(f"{store} = _excess + {'_highest' if whole else '_lost'}" for store, whole in sums)]
        return [*self.nest(kept, lines), *self.nest(kept, ends)]

    def finite_top(self) -> str:
        """Of nothing at all the highest is -inf, and inf - inf would be nan."""
        return f"_highest = _highest if np.isfinite(_highest) else {self.code.number(sp.S.Zero)}"

    def besides_the_top(self) -> list[str]:
        """The exponential of what is `_here`, added to the sum of those below the highest; those as high are counted.

        A factor of 0 or 1, since LLVM finds no vectors where a sum is chosen to change or not.
        """
        return [
            f"_share = {self.code.call('np.exp')}(_here - _highest)",
            "_rest += _share*F(_here != _highest)",
            "_tops += F(_here == _highest)",
        ]

    def log_of_sum(self, total: str) -> list[str]:
        """The highest and log(1 + rest), which keeps its digits where the rest is small; but for one, the highest belong to it."""
        return [self.less_one(), f"{total} = _highest + {self.code.call('np.log1p')}(_rest)"]

    def less_one(self) -> str:
        more = "int(_tops) - 1"
        return f"_rest += F({more})" if self.code.dtype == "float32" else f"_rest += {more}"

    def extreme(self, total: str, inner: tuple[Index, ...], text: str, before: list[str], sign: str) -> Iterator[str]:
        """The maximum, or minus that of what is negated; nan if one is nan."""
        least, minus = self.code.number(-sp.oo), "" if sign == ">" else "-"
        yield f"_top = _rank({least})"
        value = f"{minus}({text})" if minus else text
        yield from self.nest(inner, [*before, f"_here = _rank({value})", "_top = _here if _here > _top else _top"], len(before))
        yield f"{total} = {minus}_of_rank(_top)"

    def row_by_row(self) -> list[str]:
        """A kept innermost loop: rows are added to the target's row, which starts at 0."""
        loops, reduced = self.kernel.loops, self.kernel.statement.reduced
        kept = tuple(index for index in loops[:-1] if index not in reduced)
        value, before = self.hoist(self.value, loops)
        store = self.names.read(self.target)
        lines = [] if self.kernel.adds else self.nest(loops[-1:], self.guarded([f"{store} = {self.code.number(sp.S.Zero)}"]))
        inside = (*(index for index in loops if index in reduced), loops[-1])
        lines += self.nest(inside, [*before, *self.guarded([f"{store} += {self.code(value)}"])], len(before))
        return self.nest(kept, lines)


def _worth(node: Any) -> bool:
    """Reads an array or calls a function: worth computing once."""
    return isinstance(node, sp.Expr) and any(is_access(n) or isinstance(n, sp.Function) for n in nodes(node))


def indent(lines: list[str]) -> list[str]:
    return textwrap.indent("\n".join(lines), "    ").split("\n")
