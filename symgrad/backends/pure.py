"""Schedule → functions over whole arrays for libraries that differentiate, compile and batch them again: JAX and PyTorch.

The expressions are NumPy's (numpy.py), spelled for the library; what differs is here. Reads move along slices, so that a sum over
a product is an einsum also inside of a recurrence. Derivatives of what is emitted have the conventions of `core.functions`:
`puretext.py` has the functions that see to it.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from types import MappingProxyType
from typing import Any

import sympy as sp
from sympy import Symbol

from symgrad.backends.checks import CHECKS, check_lines
from symgrad.backends.entry import Part, as_tuple, describe_arguments, returned, unpacked
from symgrad.backends.nests import indent
from symgrad.backends.numba import scan_indices, within_scan
from symgrad.backends.numpy import OWN, Array, ArrayCode, allocated, replace_order, shape
from symgrad.backends.puretext import DEFINITIONS
from symgrad.backends.pycode import FOR_ARRAYS, HELPERS, affine, python_name, used_definitions
from symgrad.core.affine import Ends
from symgrad.core.errors import SymgradError
from symgrad.core.expr import accesses, gathers, indices_of, is_access, name_of, powers
from symgrad.core.functions import BY_HEAD, FUNCTIONS
from symgrad.core.layout import Layout
from symgrad.core.program import Index, Program
from symgrad.core.source import statement_text
from symgrad.schedule.kernels import Blocks, Contract, Kernel, Scan, Schedule, flat

# NumPy's code of a function whose slope the library takes otherwise, and the helper that has it right
SPELLINGS = {
    FUNCTIONS["relu"].code: "_relu({0})",
    FUNCTIONS["max"].code: "_maximum({0}, {1})",
    FUNCTIONS["min"].code: "_minimum({0}, {1})",
    FUNCTIONS["clip"].code: "_clip({0}, {1}, {2})",
    FUNCTIONS["abs"].code: "_abs({0})",
    FUNCTIONS["stop"].code: "_stop({0})",
}
# where a function has a finite value and slope, for the branch of a choice that is not taken
SAFE = {
    **dict.fromkeys(("log", "root", "xlogy", "lgamma", "digamma", "trigamma", "polygamma2"), "1.0"),
    **dict.fromkeys(("exp", "expm1", "log1p", "sinh", "cosh", "tan", "asin", "acos", "atanh"), "0.0"),
    "acosh": "2.0",
}
DIVISOR = "1.0"

NAME = re.compile(r"(?<![\w.])np\.(\w+)")
# what of the checks of NumPy's modules holds for any library
CHECKED = ("class DataError", "def _axes", "def _shape", "def _enough", "def _inside")


@dataclass(frozen=True)
class Library:
    """How a library differs from NumPy."""

    name: str
    imports: str
    prefix: str  # before its names
    words: Mapping[str, str]  # those of NumPy's functions that have another name, that name
    definitions: Mapping[str, str]
    checks: str
    array: type[PureArray]
    scan: Callable[[Walk, Scan, dict[Symbol, Ends], int], Iterator[str]]
    result: str  # how an entry point gives back a value, {}

    def spelled(self, text: str) -> str:
        """NumPy's names in the library's words; comments stay."""
        return "\n".join(line if line.lstrip().startswith("#") else NAME.sub(self._word, line) for line in text.split("\n"))

    def _word(self, found: re.Match[str]) -> str:
        return self.words.get(found[1], f"{self.prefix}{found[1]}")


@dataclass(frozen=True)
class PureCode(ArrayCode):
    """`under`: what stands around an argument inside of choices, so that it is safe where their branch is not taken."""

    under: tuple[tuple[str, bool], ...] = ()

    def where(self, expr: Any) -> str:
        condition = self(expr.args[0])
        yes, no = (replace(self, under=(*self.under, (condition, taken)))(expr.args[2 - taken]) for taken in (True, False))
        return f"np.where({condition}, {yes}, {no})"

    def safe(self, text: str, value: str) -> str:
        for condition, taken in self.under:
            text = f"np.where({condition}, {text}, {value})" if taken else f"np.where({condition}, {value}, {text})"
        return text

    def divisor(self, text: str) -> str:
        return self.safe(text, DIVISOR)

    def function(self, expr: Any) -> str:
        row = BY_HEAD[expr.func]
        code = "_root({0})" if row.name == "root" else SPELLINGS.get(row.code, row.code)
        args = [self.argument(arg) for arg in expr.args]
        if row.name in SAFE:
            args = [*args[:-1], self.safe(args[-1], SAFE[row.name])]
        if row.arity is None:
            out = args[0]
            for arg in args[1:]:
                out = code.format(out, arg)
            return out
        return code.format(*args)

    def argument(self, expr: Any) -> str:
        return self(expr)

    def value_of_index(self, expr: Any) -> str:
        text = self.index(expr)
        return text if "np.arange" in text else f"F({text})"


class PureArray(Array):
    """One kernel as lines without effects on arrays that others see."""

    code_type: type[PureCode] = PureCode
    unfinished: frozenset[str] = frozenset()  # arrays of which later kernels write more
    steps: Mapping[Symbol, Ends] = MappingProxyType({})  # the indices of the recurrences around it, with their ends

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.kernel, Contract) and self.kernel.statement.op == "sum" and not self.scatters and not self.guards:
            # the sum's axes stand where most reads have them; max skips those that are as good
            self.order = max((self.order, self.reduced + self.kept, *self.natural()), key=self.in_place)

    def natural(self) -> Iterator[list[Index]]:
        """The order of axes of a read that spans all loops, where those that are kept are in their order there."""
        index = {each.symbol: each for each in self.order}
        for read in self.kernel.statement.reads:
            found = [index[s] for s in self.moving_with(read)] if self.sliced(read) else []
            if len(found) == len(index) and [each for each in found if each in self.kept] == self.kept:
                yield found

    def in_place(self, order: Sequence[Index]) -> int:
        """How many axes are read in an order of loops without being turned."""
        symbols = [each.symbol for each in order]
        places = [[symbols.index(s) for s in self.moving_with(r)] for r in self.kernel.statement.reads if self.sliced(r)]
        return sum(len(each) for each in places if each == sorted(each))

    @property
    def dims(self) -> tuple[int, ...]:
        """The axes that are reduced."""
        return tuple(place for place, index in enumerate(self.order) if index in self.reduced)

    def code(self) -> PureCode:
        return self.code_type("float64", self.read, lambda symbol: self.line(symbol, ", dtype=F"), arrays=True)

    def elementwise(self) -> str:
        return self.whole_of(self.kernel.statement.value)

    def fills(self, value: Any) -> bool:
        """The reads span all loops together, so that the value does too."""
        spanned = {s for r in accesses(value) if self.sliced(r) for s in self.moving_with(r)}
        return spanned >= {index.symbol for index in self.order}

    def reduce(self) -> str:
        statement, op = self.kernel.statement, self.kernel.statement.op
        product = self.einsum() if op == "sum" and not self.ragged else None
        if product:
            return product
        value = self.whole_of(statement.value)
        if op in ("argmax", "argmin"):
            return self.first_of(f"np.{op}", value)
        return f"np.sum({value}, axis={self.dims})" if op == "sum" else f"_{op}({value}, {self.dims})"

    def first_of(self, find: str, value: str) -> str:
        points = "*".join(f"({self.extent(index)})" for index in self.reduced)
        place = f"_place({find}, {self.broadcast(value)}.reshape(({self.sizes(self.kept)}{points},)))"
        lo = self.reduced[0].lo if len(self.reduced) == 1 else sp.S.Zero
        return f"{place} + {affine(lo)}" if lo != 0 else place

    def einsum(self) -> str | None:
        """A sum of a product of arrays that are read along slices, and of scalars; or a sum of several products of matrices."""
        value = self.kernel.statement.value
        if not value.is_Add:
            return self.product(value)
        products = [self.product(term, True) for term in value.args]
        return None if None in products else f"({' + '.join(map(str, products))})"

    def product(self, value: Any, of_matrices: bool = False) -> str | None:
        factors = powers(value)
        symbols = [index.symbol for index in self.order]
        if len(symbols) > len(string.ascii_letters) or any(self.axes_values(b) for b in accesses(value) if indices_of(b)):
            return None
        arrays = [b for b in factors if is_access(b) and any(i.has(*symbols) for i in indices_of(b))]
        scalars = [b for b in factors if b not in arrays]
        if any(s.has(*symbols) for s in scalars) or any(factors[b] != 1 or not self.sliced(b) for b in arrays):
            return None if of_matrices else self.of_parts(factors)
        found = {a: self.moving_with(a) for a in arrays}
        if not arrays or not {s for each in found.values() for s in each} >= set(symbols):
            return None
        scale = sp.Mul(*(b ** factors[b] for b in scalars))
        if of_matrices and self.is_one_array(found):
            return None
        call = self.summed(arrays, found) if self.is_one_array(found) else self.contracted(arrays, found)
        return call if scale == 1 else f"{self.code()(scale, 2)}*{call}"

    def of_parts(self, factors: Mapping[Any, Any]) -> str | None:
        """The einsum of factors that are no arrays as they stand: those of the same loops are multiplied cell by cell before."""
        loops: dict[tuple[Index, ...], list[Any]] = {}
        for base, power in factors.items():
            loops.setdefault(tuple(index for index in self.order if base.has(index.symbol)), []).append(base**power)
        scale = sp.Mul(*loops.pop((), []))
        if len(loops) < 2 or {index for group in loops for index in group} < set(self.order):
            return None
        letters, kept = einsum_letters([index.symbol for index in self.order]), [index.symbol for index in self.kept]
        # libraries that contract from left to right lose the loops that are summed first
        groups = sorted(loops, key=lambda group: (not set(group) & set(self.reduced), -len(group)))
        subscripts = ",".join("".join(letters[index.symbol] for index in group) for group in groups)
        arrays = ", ".join(replace_order(self, group).whole_of(sp.Mul(*loops[group])) for group in groups)
        call = f'np.einsum("{subscripts}->{"".join(letters[s] for s in kept)}", {arrays})'
        return call if scale == 1 else f"{self.code()(scale, 2)}*{call}"

    def whole_of(self, value: Any) -> str:
        """A value as an array over all loops."""
        text = self.code()(value)
        return text if self.fills(value) else self.broadcast(text)

    def is_one_array(self, found: Mapping[Any, Sequence[Symbol]]) -> bool:
        """A sum over an array, or over a product of arrays cell by cell: no product of matrices."""
        kept = [index.symbol for index in self.kept]
        return len(found) == 1 or (bool(kept) and len({frozenset(each) for each in found.values()}) == 1)

    def summed(self, arrays: Sequence[Any], found: Mapping[Any, Sequence[Symbol]]) -> str:
        value = "*".join(self.read(a) for a in arrays)
        return f"np.sum({value}, axis={self.dims})"

    def contracted(self, arrays: Sequence[Any], found: Mapping[Any, Sequence[Symbol]]) -> str:
        """The einsum; first the array with the first of the axes that only one has, as products of matrices leave them."""
        letters = einsum_letters([index.symbol for index in self.order])
        kept = [index.symbol for index in self.kept]
        alone = [s for s in kept if sum(s in found[a] for a in arrays) == 1]
        arrays = sorted(arrays, key=lambda a: min((alone.index(s) for s in found[a] if s in alone), default=len(alone)))
        if len(arrays) == 2 and alone == [s for s in found[arrays[0]] if s in alone] and found[arrays[0]][-1] in alone:
            arrays = arrays[::-1] if not set(found[arrays[1]]) & set(alone) else arrays  # a vector stands before its matrix's rows
        subscripts = ",".join("".join(letters[s] for s in found[a]) for a in arrays)
        out = "".join(letters[s] for s in kept)
        return f'np.einsum("{subscripts}->{out}", {", ".join(self.kept_apart(self.part(a), a) for a in arrays)})'

    def axes_values(self, read: Any) -> bool:
        return self.schedule.program.tensors[name_of(read)].values is not None

    def sliced(self, read: Any) -> bool:
        """True where every index stays where it is or moves by 1 with a loop of its own, and surely along its axis."""
        found = [self.along(read, i, axis) for i, axis in zip(indices_of(read), self.axes(name_of(read)), strict=True)]
        used = [s for s in found if s is not None and s != 0]
        return None not in found and len(set(used)) == len(used) and bool(found)

    def along(self, read: Any, place: Any, axis: Index) -> Any:
        """The loop that a place moves with, 0 where it stays, None where it does otherwise."""
        inside = [index for index in self.order if place.has(index.symbol)]
        if len(inside) == 1 and (place, inside[0].lo, inside[0].hi) == (inside[0].symbol, axis.lo, axis.hi):
            return inside[0].symbol
        if gathers(place) or len(inside) > 1 or self.leaves(read, place, axis):
            return None
        if not inside:
            return 0
        return inside[0].symbol if not (place - inside[0].symbol).has(inside[0].symbol) else None

    def moving_with(self, read: Any) -> list[Symbol]:
        """The loops along the axes that a sliced read keeps, in their order."""
        symbols = [index.symbol for index in self.order]
        return [next(s for s in symbols if i.has(s)) for i in indices_of(read) if i.has(*symbols)] if symbols else []

    def part(self, read: Any) -> str:
        """The cells of a sliced read, its axes as they are."""
        out = []
        for place, axis in zip(indices_of(read), self.axes(name_of(read)), strict=True):
            index = next((i for i in self.order if place.has(i.symbol)), None)
            out.append(affine(place - axis.lo) if index is None else self.slice(place, index, axis))
        while out and out[-1] == ":":
            out.pop()
        return f"{python_name(name_of(read))}[{', '.join(out)}]" if out else python_name(name_of(read))

    def read(self, read: Any) -> str:
        if not indices_of(read):
            return self.kept_apart(python_name(name_of(read)), read)
        if not self.sliced(read):
            return Array.read(self, read)
        text, found = self.part(read), self.moving_with(read)
        symbols = [index.symbol for index in self.order]
        places = [symbols.index(s) for s in found]
        order = sorted(range(len(places)), key=places.__getitem__)
        if order != list(range(len(order))):
            text = self.turned(text, order)
        slots = [":" if k in places else "None" for k in range(min(places), len(symbols))] if places else []
        return self.kept_apart(f"{text}[{', '.join(slots)}]" if "None" in slots else text, read)

    def kept_apart(self, text: str, read: Any) -> str:
        """What later writes of the array must not change."""
        return text


def einsum_letters(symbols: Sequence[Symbol]) -> dict[Symbol, str]:
    """A letter for each index: its own, where all have one."""
    own = [str(symbol) for symbol in symbols]
    single = all(len(name) == 1 and name in string.ascii_letters for name in own)
    return dict(zip(symbols, own if single else string.ascii_letters, strict=False))


def body(library: Library, schedule: Schedule) -> list[str]:
    """The lines of a kernel's function."""
    names = dict.fromkeys([*allocated(schedule), *(n for k in schedule.kernels if isinstance(k, Scan) for n in written(k))])
    lines = [f"{python_name(name)} = np.zeros(({shape(schedule, name)}), dtype=F)" for name in names]
    walk = Walk(library, schedule, Layout.of(schedule.program))
    return [library.spelled(line) for line in [*lines, *walk.kernels(schedule.kernels, {})]]


def written(scan: Scan) -> list[str]:
    """The quantities that the steps of a recurrence write."""
    return list(dict.fromkeys(kernel.statement.name for kernel in flat([scan])))


@dataclass
class Walk:
    """The kernels of a schedule in order."""

    library: Library
    schedule: Schedule
    layout: Layout
    steps: Iterator[int] = field(default_factory=lambda: count(1))

    @cached_property
    def last_written(self) -> dict[str, int]:
        """The place, among the kernels of the schedule, of the last that writes a quantity."""
        return {each.statement.name: place for place, kernel in enumerate(self.schedule.kernels) for each in flat([kernel])}

    def kernels(self, kernels: Sequence[Kernel], around: dict[Symbol, Ends], at: int | None = None) -> Iterator[str]:
        """`around`: the indices of the scans that these are in, with their ends; `at`: the place of the outermost scan."""
        for place, kernel in enumerate(kernels):
            assert not isinstance(kernel, Blocks)
            if isinstance(kernel, Scan):
                inside = within_scan(around, *scan_indices(kernel))
                yield from self.library.scan(self, kernel, inside, place if at is None else at)
                continue
            yield f"# {statement_text(kernel.statement, self.schedule.program, self.layout)}"
            array = self.library.array(self.schedule, kernel, "float64", within_scan(around, *kernel.times))
            now = place if at is None else at - 1  # inside of a scan another step comes
            array.steps = around
            array.unfinished = frozenset(name for name, last in self.last_written.items() if last > now)
            yield from array.lines()


def module_text(library: Library, head: str, program: Program, parts: Sequence[Part], dtype: str) -> str:
    """The whole module, `head` its documentation. Raises SG721 where a part keeps some steps of a recurrence only."""
    if any(part.schedule.segments for part in parts):
        hint = "compile without checkpoint=; the library can checkpoint what it differentiates itself"
        raise SymgradError("SG721", f"checkpoint= is not for a module of {library.name}", hint=hint)
    functions = [text for part in parts for text in _functions(library, program, part)]
    own = definitions(library)
    used = used_definitions("\n".join(functions), own, own.__getitem__)
    blocks = [head, library.imports, f"F = {library.prefix}{dtype}", *checks(library), used, *functions]
    return "\n\n\n".join(block.strip("\n") for block in blocks if block) + "\n"


def definitions(library: Library) -> dict[str, str]:
    """The text of every helper: the library's own, else that of this file, else NumPy's, in the library's words."""
    known = {**HELPERS, **FOR_ARRAYS, **OWN, **DEFINITIONS, **library.definitions}
    return {name: library.spelled(text) for name, text in known.items()}


def checks(library: Library) -> list[str]:
    """The definitions that look at arguments."""
    shared = [text.strip() for text in CHECKS.split("\n\n\n") if text.strip().startswith(CHECKED)]
    return [*(text.replace("{array.shape}", "{tuple(array.shape)}") for text in shared), library.checks]


def _functions(library: Library, program: Program, part: Part) -> list[str]:
    """The checks, the kernel and the entry point of a part."""
    schedule, results = part.schedule, {shown: python_name(name) for shown, name in part.results.items()}
    arguments = [python_name(name) for name in schedule.arguments]
    given = [*(python_name(size.name) for size in schedule.counts), *arguments]
    doc = f'"""Sizes and arrays that fit, for `{part.name}`."""'
    checked = [doc, *check_lines(schedule, program, in_place=False), f"return {as_tuple(given)}"]
    kernel = [*body(library, schedule), f"return {as_tuple(list(results.values()))}"]
    shown = {name: library.result.replace("{}", value) for name, value in results.items()}
    entry = [
        f'"""{part.doc}\n\n{describe_arguments(schedule)}\n"""',
        unpacked(given, f"_checked_{part.name}({', '.join(arguments)})"),
        unpacked(list(results.values()), f"_{part.name}({', '.join(given)})"),
        returned(part.name, shown),
    ]
    heads = (f"_checked_{part.name}", arguments, checked), (f"_{part.name}", given, kernel), (part.name, arguments, entry)
    return [_function(*each) for each in heads]


def _function(name: str, arguments: Sequence[str], lines: Sequence[str]) -> str:
    return "\n".join([f"def {name}({', '.join(arguments)}):", *indent(list(lines))])
