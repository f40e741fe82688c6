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

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp
from sympy import Expr
from sympy.codegen import cfunctions
from sympy.core.function import AppliedUndef
from sympy.core.relational import Relational
from sympy.functions.elementary.piecewise import ExprCondPair
from sympy.logic.boolalg import BooleanAtom, BooleanTrue

from symgrad.core.affine import Ends
from symgrad.core.draft import Declaration, Draft, Equation
from symgrad.core.errors import SymgradError, did_you_mean
from symgrad.core.expr import access, accesses, index_symbol, indices_of, is_index, name_of, reduction, where
from symgrad.core.functions import BY_HEAD, FUNCTIONS
from symgrad.core.program import Program
from symgrad.core.resolve import resolve
from symgrad.frontend.convert import number
from symgrad.frontend.sympy_names import QUANTITIES, Names, Quantity, kind_of, quantity_name, shown
from symgrad.frontend.syntax import LIMITS

NODES = 200_000  # of one equation, shared parts counted each time they are used
BITS = 1024

Rule = Callable[["Reader", Any, list[Any]], Any]


def from_sympy(
    equations: Iterable[Any],
    params: Iterable[Quantity] = (),
    inputs: Iterable[Quantity] = (),
    loss: Quantity | None = None,
    minimize: Quantity | None = None,
    maximize: Quantity | None = None,
) -> Program:
    """The program that a list of `Eq(Symbol or Indexed, expression)` means.

    `params` and `inputs` declare free quantities, each as IndexedBase, Symbol, Indexed or name. `minimize` or
    `maximize` names the loss with its goal, `loss` names it without one.
    Raises SymgradError: SG13x for what is no equation or has no counterpart here, SG2xx names, SG3xx indices,
    SG4xx graph, SG5xx size.
    """
    pairs = [_sides(item, place) for place, item in enumerate(_items(equations, sp.Eq), 1)]
    given = {"input": inputs, "param": params}
    roles = {role: [quantity_name(item) for item in _items(items, QUANTITIES)] for role, items in given.items()}
    names = Names.of(pairs, [name for group in roles.values() for name in group])
    reader = Reader(names)
    ranges = {name: (*reader.ends(name, *ends), None) for name, ends in names.ranges.items()}
    read = tuple(_equation(place, lhs, rhs, reader) for place, (lhs, rhs) in enumerate(pairs, 1))
    goal, target = _goal({"loss": loss, "minimize": minimize, "maximize": maximize}, [equation.name for equation in read])
    draft = Draft(read, (), ranges, target, goal)
    program = resolve(draft)
    declarations = _declarations(program, roles)
    return resolve(replace(draft, declarations=declarations)) if declarations else program


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
    if not isinstance(lhs, (sp.Symbol, sp.Indexed)):
        raise SymgradError(
            "SG121", f"an object {kind_of(lhs)} cannot stand left of = (equation {place})", hint="write a Symbol or x[i]"
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


# expressions


@dataclass(frozen=True)
class Reader:
    """SymPy expression → expression of the IR, arguments first, by the table RULES."""

    names: Names

    def expr(self, root: Any) -> Any:
        """SG116, SG132, SG133, SG134, SG201, SG209, SG311, SG505."""
        done: dict[Any, Any] = {}
        stack = [root]
        while stack:
            node = stack[-1]
            rule, parts = _rule(node), _parts(node)
            waiting = [part for part in parts if part not in done]
            if waiting:
                stack.extend(reversed(waiting))
                continue
            stack.pop()
            if node not in done:
                done[node] = rule(self, node, [done[part] for part in parts])
        return done[root]

    def ends(self, name: str, lo: Any, hi: Any) -> Ends:
        """The ends of a range: whole numbers, extents and outer indices."""
        ends = _as_number(self.expr(lo)), _as_number(self.expr(hi))
        for end in ends:
            if end.is_integer is False or end.is_Float or accesses(end):
                hint = "ends are integers, extents and outer indices"
                raise SymgradError("SG311", f"an end of the range of {name} is no whole number", hint=hint)
            if index_symbol(name) in end.free_symbols:
                raise SymgradError("SG302", f"an end of the range of {name} uses {name} itself", hint="use another index")
        return ends


def _parts(node: Any) -> tuple[Any, ...]:
    if isinstance(node, (sp.Symbol, sp.Idx)):
        return ()
    return tuple(node.args[1:] if isinstance(node, sp.Indexed) else node.args)


def _rule(node: Any) -> Rule:
    rule = next((RULES[kind] for kind in type(node).__mro__ if kind in RULES), None)
    if rule is None:
        kind = type(node).__name__
        code = "SG133" if isinstance(node, sp.Number) or node is sp.I or node is sp.zoo else "SG132"
        raise SymgradError(code, f"{shown(kind)} has no counterpart in the language", hint=HINTS.get(kind, OTHERWISE))
    return rule


def _apply(head: Callable[..., Any]) -> Rule:
    def rule(reader: Reader, node: Any, args: list[Any]) -> Any:
        result = head(*map(_as_number, args))
        if result in (sp.zoo, sp.nan, sp.oo, -sp.oo) or (result.is_number and result.is_real is False):
            raise SymgradError("SG133", f"{shown(type(node).__name__)} of {', '.join(map(str, args))} is no finite real number")
        return result

    return rule


def _as_number(value: Any) -> Any:
    if isinstance(value, Expr):
        return value
    raise SymgradError("SG116", "a condition stands where a number is needed", hint="write Piecewise((a, condition), (b, True))")


def _exact(reader: Reader, node: Any, args: list[Any]) -> Any:
    if max(abs(node.p), node.q).bit_length() > BITS:
        raise SymgradError("SG505", f"a number has more than {BITS} bits")
    return node


def _decimal(reader: Reader, node: Any, args: list[Any]) -> Any:
    """The shortest decimal that SymPy reads as this Float, as if it had been typed."""
    texts = [str(sp.Float(node, digits)) for digits in range(1, LIMITS["digits"] + 1)]
    return number(next((text for text in texts if sp.Float(text, precision=node._prec) == node), texts[-1]))


def _as_it_is(reader: Reader, node: Any, args: list[Any]) -> Any:
    return node


def _symbol(reader: Reader, node: Any, args: list[Any]) -> Any:
    name = quantity_name(node)
    return index_symbol(name) if name in reader.names.indices else access(name)


def _indexed(reader: Reader, node: Any, args: list[Any]) -> Any:
    for index, given in zip(args, node.indices, strict=True):
        if _as_number(index).is_integer is False or index.is_Float:
            raise SymgradError("SG308", f"{given} is no index of {quantity_name(node)}", hint="indices are whole numbers")
    return access(quantity_name(node), *args)


def _power(base: Any, exponent: Any) -> Any:
    if base.is_Rational and exponent.is_Rational and abs(exponent) * max(abs(base.p), base.q).bit_length() > BITS:
        raise SymgradError("SG505", f"a power has more than {BITS} bits")
    return base**exponent


def _extreme(name: str) -> Rule:
    """SymPy forgets the order of arguments; a constant first wins a tie, which makes relu'(0) = 0."""

    def rule(reader: Reader, node: Any, args: list[Any]) -> Any:
        args = [_as_number(arg) for arg in args]
        return FUNCTIONS[name].head(*sorted(args, key=lambda arg: not arg.is_number))

    return rule


def _reduction(op: str) -> Rule:
    def rule(reader: Reader, node: Any, args: list[Any]) -> Any:
        body, limits = _as_number(args[0]), args[1:]
        read = []
        for (symbol, *_), limit in zip(limits, node.args[1:], strict=True):
            if len(limit) != 3:
                raise SymgradError("SG311", f"the range of {symbol} is not given", hint="write (i, lower, upper)")
            read.append((symbol, *reader.ends(str(symbol), *limit[1:])))
        # SymPy's inner index stands first, the language's outer one; where none depends on another keep the order
        bound = {symbol for symbol, *_ in read}
        nested = any(bound & end.free_symbols for _, *ends in read for end in ends)
        return reduction(op, body, read[::-1] if nested else read)

    return rule


def _tuple(reader: Reader, node: Any, args: list[Any]) -> Any:
    return tuple(args)


def _relation(head: Any) -> Rule:
    return lambda reader, node, args: head(*map(_as_number, args), evaluate=False)


def _connective(reader: Reader, node: Any, args: list[Any]) -> Any:
    return (node.func, args)


def _piecewise(reader: Reader, node: Any, args: list[Any]) -> Any:
    *branches, (value, last) = args
    if last is not sp.true:
        raise SymgradError("SG134", "a Piecewise says nothing where none of its conditions holds", hint="end it with (value, True)")
    value = _as_number(value)
    for branch, condition in reversed(branches):
        value = _choose(condition, _as_number(branch), value)
    return value


def _choose(condition: Any, yes: Expr, no: Expr) -> Expr:
    """where(condition, yes, no), with "and" and "or" as nested choices."""
    if isinstance(condition, Relational):
        return where(condition, yes, no)
    if not isinstance(condition, tuple):
        raise SymgradError("SG116", "a condition of Piecewise is no comparison", hint="for instance x > 0")
    connective, parts = condition
    for part in reversed(parts):
        if connective is sp.And:
            yes = _choose(part, yes, no)
        else:
            no = _choose(part, yes, no)
    return yes if connective is sp.And else no


def _named_function(reader: Reader, node: Any, args: list[Any]) -> Any:
    """Function("relu")(x) and others of the table, by name."""
    name = node.func.__name__
    row = FUNCTIONS.get(name)
    if row is None:
        raise SymgradError("SG201", f"there is no function {shown(name)}", hint=did_you_mean(name, FUNCTIONS))
    if len(args) != row.arity and (row.arity is not None or len(args) < 2):
        raise SymgradError("SG118", f"{name} takes {row.arity or 'at least 2'} argument(s), here it has {len(args)}")
    return row.head(*map(_as_number, args))


def _delta(i: Expr, j: Expr) -> Expr:
    return where(sp.Eq(i, j, evaluate=False), sp.S.One, sp.S.Zero)


RULES: Mapping[Any, Rule] = {
    sp.Rational: _exact, sp.Float: _decimal, type(sp.pi): _as_it_is, type(sp.E): _as_it_is, BooleanTrue: _as_it_is,
    sp.Symbol: _symbol, sp.Idx: _symbol, sp.Indexed: _indexed,
    sp.Add: _apply(sp.Add), sp.Mul: _apply(sp.Mul), sp.Pow: _apply(_power), sp.UnevaluatedExpr: _apply(lambda u: u),
    **{row.head: _apply(row.head) for row in BY_HEAD.values() if not issubclass(row.head, AppliedUndef)},
    sp.sec: _apply(lambda u: 1 / sp.cos(u)), sp.csc: _apply(lambda u: 1 / sp.sin(u)), sp.cot: _apply(lambda u: 1 / sp.tan(u)),
    sp.sech: _apply(lambda u: 1 / sp.cosh(u)), sp.csch: _apply(lambda u: 1 / sp.sinh(u)), sp.coth: _apply(lambda u: 1 / sp.tanh(u)),
    cfunctions.expm1: _apply(FUNCTIONS["expm1"].head), cfunctions.log1p: _apply(FUNCTIONS["log1p"].head),
    AppliedUndef: _named_function, sp.KroneckerDelta: _apply(_delta),
    sp.Max: _extreme("max"), sp.Min: _extreme("min"), sp.Sum: _reduction("sum"), sp.Product: _reduction("prod"), sp.Tuple: _tuple,
    sp.Piecewise: _piecewise, ExprCondPair: _tuple, sp.And: _connective, sp.Or: _connective,
    **{head: _relation(head) for head in (sp.Eq, sp.Ne, sp.Lt, sp.Le, sp.Gt, sp.Ge)},
}  # fmt: skip

OTHERWISE = "the functions are " + ", ".join(sorted(row.name for row in BY_HEAD.values()))
HINTS = {
    "Derivative": "write the derivative out, or let symgrad derive it",
    "Integral": "write its closed form, or a Sum",
    "Heaviside": "write Piecewise((0, x < 0), (1, True)); the step has no slope to learn from",
    "ImaginaryUnit": "all quantities are real numbers",
    "Infinity": "numbers and ranges are finite",
    "NegativeInfinity": "numbers and ranges are finite",
    "ComplexInfinity": "something was divided by zero",
    "NaN": "a number was undefined before it came here",
    "Not": "write the opposite comparison",
    "IndexedBase": "give it its indices, x[i]",
    **dict.fromkeys(("ImmutableDenseMatrix", "MatrixSymbol", "MatrixElement", "MatMul", "MatAdd", "MatPow", "Transpose", "Trace"),
                    "write it in index notation: Sum(A[i, j]*x[j], (j, 1, N))"),
}  # fmt: skip


# statements


def _equation(place: int, lhs: Any, rhs: Any, reader: Reader) -> Equation:
    name = quantity_name(lhs)
    try:
        indices = tuple(reader.expr(index) for index in _parts(lhs))
        value = _as_number(reader.expr(rhs))
    except SymgradError as error:
        raise SymgradError(error.code, f"{error.message} (equation {place}, of {name})", hint=error.hint) from None
    _check_extent(value, place)
    return Equation(name, indices, value)


def _goal(given: Mapping[str, Any], defined: Sequence[str]) -> tuple[str | None, str | None]:
    """(goal, loss) of the one keyword that is given."""
    named = {goal: quantity_name(item) for goal, item in given.items() if item is not None}
    if len(named) > 1:
        raise SymgradError("SG404", "the goal is named twice: " + ", ".join(f"{goal} {name}" for goal, name in named.items()))
    for goal, name in named.items():
        if name not in defined:
            raise SymgradError("SG203", f"{goal} names {name}, which no equation defines", hint=did_you_mean(name, defined))
        return (None if goal == "loss" else goal), name
    return None, None


def _declarations(program: Program, roles: Mapping[str, Sequence[str]]) -> tuple[Declaration, ...]:
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
            out.append(Declaration(role, name, tuple(axes)))
    return tuple(out)


def _letter(wanted: str, ends: Ends, ranges: dict[str, Ends], taken: set[str]) -> str:
    name, count = wanted, 1
    while name in taken or ranges.get(name, ends) != ends:
        count += 1
        name = f"{wanted}_{count}"
    ranges[name] = ends
    return name
