"""Training on single examples: what a step begins with is computed at the end of the step before, beside the update.

    a[j] = sum(A[j,i]*x[i] for i)              a is given
    ...                                   →    ...
    A'[j,i] = A[j,i] - eta*d[j]*x[i]           A'[j,i] = A[j,i] - eta*d[j]*x[i]
                                               a'[j] = sum(A'[j,i]*x'[i] for i)

x' is the next example, and a' is written over a: one loop that reads A once in place of two. The first example's a is computed
before the steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from sympy import Expr

from symgrad.core.expr import access, accesses, gathers, indices_of, name_of, substitute
from symgrad.core.program import Program, Statement, covers


@dataclass(frozen=True)
class Ahead:
    """`program` is the step with the sums moved to its end, `first` what it is given the first time.

    `examples`: name of an example → that of the next one. `aliases`: result → the argument that it is written over.
    """

    program: Program
    first: Program
    examples: Mapping[str, str]
    aliases: Mapping[str, str]

    @property
    def carried(self) -> tuple[str, ...]:
        """What a step is given by the one before."""
        return tuple(self.aliases.values())


def ahead(program: Program, examples: AbstractSet[str], aliases: Mapping[str, str]) -> Ahead | None:
    """None where a step begins with no such sum. `aliases`: next value → the parameter or state that it is written over."""
    following = {old: new for new, old in aliases.items()}
    early = [s for s in program.statements if s.name != program.loss and _is_early(s, program, examples, following)]
    if not early:
        return None
    tensors = dict(program.tensors)

    def named(name: str, role: str) -> str:
        new = replace(program, tensors=tensors).unused_name(f"{name}_next")
        tensors[new] = replace(tensors[name], name=new, role=role)
        return new

    read = dict.fromkeys(name for s in early for name in s.read_names if name in examples)
    nexts = {name: named(name, "input") for name in read}
    results = {s.name: named(s.name, "defined") for s in early}
    names = {**following, **nexts, **results}
    moved = [replace(s, target=_named(s.target, names), value=_renamed(s, names)) for s in early]
    first = replace(program, statements=tuple(early))
    tensors |= {s.name: replace(tensors[s.name], role="input") for s in early}
    rest = [s for s in program.statements if s not in early]
    step = replace(program, statements=(*rest, *moved), tensors=tensors)
    return Ahead(step, first, nexts, {new: name for name, new in results.items()})


def _is_early(s: Statement, program: Program, examples: AbstractSet[str], following: Mapping[str, str]) -> bool:
    """A sum over cells of one parameter times what is given, where one equation for every cell updates that parameter."""
    own = [name for name in s.read_names if name in following]
    given = set(program.free)
    if s.op != "sum" or len(own) != 1 or not given.issuperset(s.read_names) or examples.isdisjoint(s.read_names):
        return False
    if any(gathers(index) for read in s.reads for index in indices_of(read)):
        return False
    reads = s.reads_of[own[0]]
    symbols = [index.symbol for index in s.domain]
    if len(reads) != 1 or sorted(map(str, indices_of(reads[0]))) != sorted(map(str, symbols)):
        return False
    whole = len(program.definitions[s.name]) == 1 and covers(s, program.tensors[s.name])
    return whole and _is_cell_by_cell(program, following[own[0]])


def _is_cell_by_cell(program: Program, name: str) -> bool:
    found = program.definitions.get(name, ())
    return len(found) == 1 and found[0].op is None and covers(found[0], program.tensors[name])


def _named(read: Expr, names: Mapping[str, str]) -> Expr:
    return access(names.get(name_of(read), name_of(read)), *indices_of(read))


def _renamed(s: Statement, names: Mapping[str, str]) -> Expr:
    return substitute(s.value, {read: _named(read, names) for read in accesses(s.value)})
