r"""SymPy equations → Program: every SymPy object has one row in a table, and what has none is refused.

>>> i, x, w = sp.Idx("i", (0, sp.Symbol("D"))), sp.IndexedBase("x"), sp.IndexedBase("w")
>>> print(from_sympy([sp.Eq(sp.Symbol("y"), sp.Sum(w[i] * x[i], i))], params=[w]))
index i in 0..D
param w[i]
y = sum(w[i]*x[i] for i)

Names are read as in the text language: `y^*`, `y^{*}` and `y_star` are one name, as are `α`, `\alpha` and `alpha`.
Nothing is executed, sympified or parsed: a Symbol's name is only ever compared with a pattern.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.logic.boolalg import BooleanAtom

from symgrad.core.affine import Ends
from symgrad.core.draft import Declaration, Draft, Equation
from symgrad.core.errors import SymgradError, did_you_mean
from symgrad.core.expr import accesses, indices_of, is_index, name_of
from symgrad.core.program import Program
from symgrad.core.resolve import resolve
from symgrad.frontend.sympy_functions import definitions
from symgrad.frontend.sympy_names import QUANTITIES, Names, Quantity, kind_of, leaves, quantity_name
from symgrad.frontend.sympy_rules import Reader
from symgrad.frontend.syntax import LIMITS

NODES = 200_000  # of one equation, shared parts counted each time they are used


def from_sympy(
    equations: Iterable[Any],
    params: Iterable[Quantity] = (),
    inputs: Iterable[Quantity] = (),
    loss: Quantity | None = None,
    minimize: Quantity | None = None,
    maximize: Quantity | None = None,
    integers: Mapping[Quantity, tuple[Any, Any]] | None = None,
) -> Program:
    """The program that a list of `Eq(Symbol, Indexed or f(u), expression)` means.

    `params` and `inputs` declare free quantities, each as IndexedBase, Symbol, Indexed or name; `integers` maps
    inputs to the least and the greatest of the whole numbers that they hold, to gather by. `minimize` or
    `maximize` names the loss with its goal, `loss` names it without one. Eq(f(u), …) defines the function f.
    Raises SymgradError: SG13x for what is no equation or has no counterpart here, SG2xx names, SG3xx indices,
    SG4xx graph, SG5xx size.
    """
    sides = [_sides(item, place) for place, item in enumerate(_items(equations, sp.Eq), 1)]
    pairs = [(place, *pair) for place, pair in enumerate(sides, 1) if not isinstance(pair[0], AppliedUndef)]
    functions = definitions(pair for pair in sides if isinstance(pair[0], AppliedUndef))
    whole = whole_numbers(integers)
    roles = roles_of(params, inputs, whole)
    models = [[leaf for side in pair for leaf in leaves(side, "value")] for _, *pair in pairs]
    models += [definition.leaves for definition in functions.values()]
    models += [list(leaves(end, "end")) for ends in whole.values() for end in ends]
    names = Names.of(models, [quantity_name(lhs) for _, lhs, _ in pairs], [name for group in roles.values() for name in group])
    _check_function_names(functions, names)
    reader = Reader(names, functions)
    ranges = {name: (*reader.ends(name, *ends), None) for name, ends in names.ranges.items()}
    read = tuple(_equation(place, lhs, rhs, reader) for place, lhs, rhs in pairs)
    goal, target = goal_of({"loss": loss, "minimize": minimize, "maximize": maximize}, [equation.name for equation in read])
    own = {name: reader.function(name) for name, definition in functions.items() if definition.closed}
    values = {name: reader.ends(name, *ends) for name, ends in whole.items()}
    draft = Draft(read, _gathered(read, values), ranges, target, goal, functions=own)
    program = resolve(draft)
    declared = declarations(program, roles, values)
    return resolve(replace(draft, declarations=declared)) if declared else program


def roles_of(params: Any, inputs: Any, whole: Mapping[str, Any]) -> dict[str, list[str]]:
    """The names of each role. SG211 for a parameter that holds whole numbers."""
    given = {"input": inputs, "param": params}
    roles = {role: [quantity_name(item) for item in _items(items, QUANTITIES)] for role, items in given.items()}
    for name in whole:
        if name in roles["param"]:
            raise SymgradError("SG211", f"{name} holds whole numbers, so it cannot be trained", hint="name it in inputs")
    roles["input"] += [name for name in whole if name not in roles["input"]]
    return roles


def whole_numbers(given: Any) -> dict[str, tuple[Any, Any]]:
    """SG130, SG311 where `integers` is no mapping of quantities to two ends."""
    if given is not None and not isinstance(given, Mapping):
        raise SymgradError("SG130", f"integers is {kind_of(given)}", hint="write integers={w: (1, V)}")
    out: dict[str, tuple[Any, Any]] = {}
    for item, ends in (given or {}).items():
        name = quantity_name(item)
        pair = tuple(sp.Integer(end) if isinstance(end, int) else end for end in ends) if isinstance(ends, (tuple, list)) else ()
        if len(pair) != 2 or not all(isinstance(end, sp.Expr) for end in pair):
            raise SymgradError(
                "SG311", f"the least and the greatest value of {name} are not given", hint="write integers={w: (1, V)}"
            )
        if out.setdefault(name, pair) != pair:
            raise SymgradError("SG202", f"{name} is declared twice")
    return out


def _check_function_names(functions: Iterable[str], names: Names) -> None:
    for name in functions:
        if name in names.quantities or name in names.indices or name in names.symbols:
            raise SymgradError("SG205", f"{name} is a function and a quantity", hint="rename one of them")


def _gathered(equations: Sequence[Equation], values: Mapping[str, Ends]) -> tuple[Declaration, ...]:
    """The integer arrays as far as reads tell: ranges are found only once it is known what may stand as an index."""
    ranks = {name_of(read): len(indices_of(read)) for equation in reversed(equations) for read in accesses(equation.value)}
    axes = {name: tuple(f"{name}:{place}" for place in range(ranks[name])) for name in values if name in ranks}
    return tuple(Declaration("input", name, axes[name], values=values[name]) for name in axes)


def _items(given: Any, single: Any) -> list[Any]:
    """A list, also of one object given alone."""
    if isinstance(given, single):
        return [given]
    try:
        return list(given)
    except TypeError:
        raise SymgradError("SG130", f"a list is expected, this is {kind_of(given)}", hint="write [Eq(y, …), Eq(J, …)]") from None


def _sides(item: Any, place: int) -> tuple[Any, Any]:
    if isinstance(item, (BooleanAtom, bool)):
        raise SymgradError("SG131", f"equation {place} is just {item}: SymPy found both sides the same, or never the same",
                           hint="the left side of Eq must be a new quantity")  # fmt: skip
    if not isinstance(item, sp.Eq):
        raise SymgradError("SG130", f"item {place} is no equation, it is {kind_of(item)}", hint="write Eq(left, right)")
    lhs, rhs = item.args
    if not isinstance(lhs, (sp.Symbol, sp.Indexed, AppliedUndef)):
        raise SymgradError(
            "SG121", f"an object {kind_of(lhs)} cannot stand left of = (equation {place})", hint="write a Symbol, x[i] or f(u)"
        )
    for side in (lhs, rhs):
        _check_extent(side, place)
    return lhs, rhs


def _check_extent(root: Any, place: int) -> None:
    """SG504 and SG507 for what nests too deeply or, with shared parts written out, is too large."""
    found: dict[int, tuple[int, int]] = {}
    stack = [(root, False)]
    while stack:
        node, done = stack.pop()
        parts = getattr(node, "args", ())
        if done:
            depths, sizes = zip(*(found[id(part)] for part in parts), strict=True) if parts else ((0,), (0,))
            found[id(node)] = 1 + max(depths), 1 + sum(sizes)
        elif id(node) not in found:
            stack.append((node, True))
            stack.extend((part, False) for part in parts)
    depth, size = found[id(root)]
    if depth > LIMITS["nesting"] + 1:
        raise SymgradError(
            "SG504", f"equation {place} nests {depth - 1} deep, more than {LIMITS['nesting']}", hint="name parts of it"
        )
    if size > NODES:
        raise SymgradError("SG507", f"equation {place} has {size:,} parts written out, more than {NODES:,}", hint="name parts")


def _equation(place: int, lhs: Any, rhs: Any, reader: Reader) -> Equation:
    name = quantity_name(lhs)
    try:
        indices = tuple(reader.expr(index) for index in (lhs.indices if isinstance(lhs, sp.Indexed) else ()))
        value = reader.value(rhs)
    except SymgradError as error:
        raise SymgradError(error.code, f"{error.message} (equation {place}, of {name})", hint=error.hint) from None
    _check_extent(value, place)
    return Equation(name, indices, value, sizes=reader.names.sizes)


def goal_of(given: Mapping[str, Any], defined: Sequence[str]) -> tuple[str | None, str | None]:
    """(goal, loss) of the one keyword that is given."""
    named = {goal: quantity_name(item) for goal, item in given.items() if item is not None}
    if len(named) > 1:
        raise SymgradError("SG404", "the goal is named twice: " + ", ".join(f"{goal} {name}" for goal, name in named.items()))
    for goal, name in named.items():
        if name not in defined:
            raise SymgradError("SG203", f"{goal} names {name}, which no equation defines", hint=did_you_mean(name, defined))
        return (None if goal == "loss" else goal), name
    return None, None


def declarations(program: Program, roles: Mapping[str, Sequence[str]], values: Mapping[str, Ends]) -> tuple[Declaration, ...]:
    """Declarations that give each axis the letter it is used with, or a new one where that means another range."""
    ranges = {name: (index.lo, index.hi) for name, index in program.ranges.items()}
    ranges |= {str(index.symbol): (index.lo, index.hi) for statement in program for index in statement.outer}
    extents = {str(symbol) for index in program.ranges.values() for end in (index.lo, index.hi) for symbol in end.free_symbols}
    taken = set(program.tensors) | extents
    uses = {name_of(read): indices_of(read) for statement in reversed(program.statements) for read in reversed(statement.reads)}
    out = []
    for role, names in roles.items():
        for name in names:
            axes: list[str] = []
            for index, axis in zip(uses.get(name, ()), program.tensors[program.known(name)].axes, strict=False):
                axes.append(_letter(str(index) if is_index(index) else "n", (axis.lo, axis.hi), ranges, taken | set(axes)))
            out.append(Declaration(role, name, tuple(axes), values=values.get(name)))
    return tuple(out)


def _letter(wanted: str, ends: Ends, ranges: dict[str, Ends], taken: set[str]) -> str:
    name, count = wanted, 1
    while name in taken or ranges.get(name, ends) != ends:
        count += 1
        name = f"{wanted}_{count}"
    ranges[name] = ends
    return name
