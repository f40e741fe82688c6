"""SymPy expression → expression of the IR: arguments first, one row a SymPy head in the table RULES.

What has no row is refused; nothing is executed, sympified or parsed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sympy as sp
from sympy import Expr
from sympy.codegen import cfunctions
from sympy.core.function import AppliedUndef
from sympy.core.relational import Relational
from sympy.functions.elementary.piecewise import ExprCondPair
from sympy.logic.boolalg import BooleanTrue

from symgrad.core.affine import Ends
from symgrad.core.errors import SymgradError
from symgrad.core.expr import (
    access,
    accesses,
    call,
    gradient,
    index_symbol,
    is_access,
    is_reduction,
    reduction,
    split_reduction,
    where,
)  # fmt: skip
from symgrad.core.functions import BY_HEAD, FUNCTIONS, arguments, function_hint
from symgrad.core.measure import written_out
from symgrad.core.program import Function
from symgrad.core.reductions import REDUCTIONS
from symgrad.frontend.convert import LARGEST, number
from symgrad.frontend.sympy_functions import Definition
from symgrad.frontend.sympy_names import Names, called_name, is_reducing, quantity_name, shown
from symgrad.frontend.syntax import LIMITS

BITS = 1024
INFINITE = (sp.oo, -sp.oo)

Rule = Callable[["Reader", Any, list[Any]], Any]


@dataclass(frozen=True)
class Reader:
    """SymPy expression → expression of the IR, arguments first, by the table RULES."""

    names: Names
    functions: Mapping[str, Definition] = field(default_factory=dict)
    values: Mapping[str, Expr] = field(default_factory=dict)  # arguments of a user's function being read

    def value(self, root: Any) -> Expr:
        """A right-hand side: a finite number."""
        value = _as_number(self.expr(root))
        _check_finite(value)
        return value

    def function(self, name: str) -> Function:
        """A user's function of its parameters alone."""
        definition = self.functions[name]
        symbols = tuple(sp.Symbol(parameter) for parameter in definition.parameters)
        return Function(symbols, self.applied(definition, symbols))

    def applied(self, definition: Definition, args: Sequence[Expr]) -> Expr:
        """The body with the arguments put in."""
        return replace(self, values=dict(zip(definition.parameters, args, strict=True))).value(definition.body)

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
        raise _refusal(node)
    return rule


def _refusal(node: Any) -> SymgradError:
    kind = type(node).__name__
    code = "SG133" if isinstance(node, sp.Number) or node is sp.I or node is sp.zoo else "SG132"
    return SymgradError(code, f"{shown(kind)} has no counterpart in the language", hint=HINTS.get(kind, OTHERWISE))


def _apply(head: Callable[..., Any]) -> Rule:
    def rule(reader: Reader, node: Any, args: list[Any]) -> Any:
        result = head(*map(_as_number, args))
        if result in (sp.zoo, sp.nan, sp.oo, -sp.oo) or (result.is_number and result.is_real is False):
            raise SymgradError("SG133", f"{shown(type(node).__name__)} of {', '.join(map(str, args))} is no finite real number")
        return result

    return rule


def _as_number(value: Any) -> Any:
    if value in INFINITE:
        raise _refusal(value)
    if isinstance(value, Expr):
        return value
    raise SymgradError("SG116", "a condition stands where a number is needed", hint="write Piecewise((a, condition), (b, True))")


def _check_finite(value: Any) -> None:
    """SG133 for an infinity that is not what a guard of max, min, logsumexp, argmax or argmin leaves."""
    if not value.has(*INFINITE):
        return
    stack, seen = [value], set()
    while stack:
        node = stack.pop()
        if node in INFINITE:
            raise _refusal(node)
        if node in seen:
            continue
        seen.add(node)
        if not is_reduction(node):
            stack.extend(node.args)
            continue
        op, body, limits = split_reduction(node)
        while body.func == where and op in REDUCTIONS and body.args[2] == REDUCTIONS[op].identity:
            stack.append(body.args[0])
            body = body.args[1]
        stack += [body, *limits]


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
    if name in reader.values:
        return reader.values[name]
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
            if quantity_name(limit[0]) in reader.values:
                raise SymgradError("SG302", f"{quantity_name(limit[0])} is an argument and an index", hint="use another index")
            if len(limit) not in (1, 3):
                raise SymgradError("SG311", f"the range of {symbol} is not given", hint="write (i, lower, upper)")
            read.append((symbol, *(reader.ends(str(symbol), *limit[1:]) if len(limit) == 3 else ())))
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
    value = value if value in INFINITE else _as_number(value)
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
    """Function("relu")(x) and others of the table, Function("max")(x[i], (i, 1, N)), and functions of the user, by name."""
    name = called_name(node)
    if is_reducing(node):
        return _reduction(name)(reader, node, args)
    if name in reader.functions:
        return _own(reader, reader.functions[name], args)
    row = FUNCTIONS.get(name)
    if row is None:
        hint = function_hint(name, reader.functions, "define it: Eq(f(u), …)")
        raise SymgradError("SG201", f"there is no function {shown(node.func.__name__)}", hint=hint)
    if len(args) != row.arity and (row.arity is not None or len(args) < 2):
        raise SymgradError("SG118", f"{name} takes {arguments(row.arity or 'at least 2')}, here it has {len(args)}")
    return row.head(*map(_as_number, args))


def _own(reader: Reader, definition: Definition, args: list[Any]) -> Expr:
    """A call of a user's function; one that uses more than its parameters is its body with the arguments put in."""
    name, wanted = definition.name, len(definition.parameters)
    if len(args) != wanted:
        raise SymgradError("SG118", f"{name} takes {arguments(wanted)}, here it has {len(args)}")
    args = [_as_number(arg) for arg in args]
    if definition.closed:
        result = call(name, *args)
        parts = definition.parts + sum(uses * written_out(arg) for uses, arg in zip(definition.uses, args, strict=True))
    else:
        result = reader.applied(definition, args)
        parts = written_out(result)
    if parts > LARGEST:
        raise SymgradError("SG507", f"with {name} put in, this has more than {LARGEST:,} parts", hint="name parts of it")
    return result


def _derivative(reader: Reader, node: Any, args: list[Any]) -> Any:
    """Derivative(f, x[k]) of a quantity f that the model defines."""
    loss, (by, times) = args[0], args[1]
    whole = isinstance(node.expr, sp.Symbol) and quantity_name(node.expr) in reader.names.defined
    if not whole or len(args) > 2 or times != 1 or not is_access(by):
        raise _refusal(node)
    return gradient(loss, by)


def _polygamma(order: Any, u: Expr) -> Expr:
    names = ("digamma", "trigamma", "polygamma2", "polygamma3")
    if order not in range(len(names)):
        raise SymgradError("SG132", f"polygamma({order}, …) has no counterpart in the language", hint="the order is 0, 1, 2 or 3")
    return FUNCTIONS[names[int(order)]].head(u)


def _delta(i: Expr, j: Expr) -> Expr:
    return where(sp.Eq(i, j, evaluate=False), sp.S.One, sp.S.Zero)


# heads of SymPy that the language has under another head
NAMED = {
    sp.Abs: "abs", sp.sign: "sign", sp.floor: "floor", sp.ceiling: "ceil", sp.erfc: "erfc", sp.loggamma: "lgamma",
    cfunctions.expm1: "expm1", cfunctions.log1p: "log1p",
}  # fmt: skip

RULES: Mapping[Any, Rule] = {
    sp.Rational: _exact, sp.Float: _decimal, type(sp.pi): _as_it_is, type(sp.E): _as_it_is, BooleanTrue: _as_it_is,
    sp.Symbol: _symbol, sp.Idx: _symbol, sp.Indexed: _indexed,
    sp.Add: _apply(sp.Add), sp.Mul: _apply(sp.Mul), sp.Pow: _apply(_power), sp.UnevaluatedExpr: _apply(lambda u: u),
    **{row.head: _apply(row.head) for row in BY_HEAD.values() if not issubclass(row.head, AppliedUndef)},
    sp.sec: _apply(lambda u: 1 / sp.cos(u)), sp.csc: _apply(lambda u: 1 / sp.sin(u)), sp.cot: _apply(lambda u: 1 / sp.tan(u)),
    sp.sech: _apply(lambda u: 1 / sp.cosh(u)), sp.csch: _apply(lambda u: 1 / sp.sinh(u)), sp.coth: _apply(lambda u: 1 / sp.tanh(u)),
    **{head: _apply(FUNCTIONS[name].head) for head, name in NAMED.items()}, sp.polygamma: _apply(_polygamma),
    sp.re: _apply(lambda u: u), sp.Derivative: _derivative, **{type(infinite): _as_it_is for infinite in INFINITE},
    AppliedUndef: _named_function, sp.KroneckerDelta: _apply(_delta),
    sp.Max: _extreme("max"), sp.Min: _extreme("min"), sp.Sum: _reduction("sum"), sp.Product: _reduction("prod"), sp.Tuple: _tuple,
    sp.Piecewise: _piecewise, ExprCondPair: _tuple, sp.And: _connective, sp.Or: _connective,
    **{head: _relation(head) for head in (sp.Eq, sp.Ne, sp.Lt, sp.Le, sp.Gt, sp.Ge)},
}  # fmt: skip

OTHERWISE = "the functions are " + ", ".join(sorted({row.name for row in FUNCTIONS.values()}))
HINTS = {
    "Derivative": "Derivative(f, x[k]) is of a scalar Symbol that an equation defines; else write it out",
    "im": "all quantities are real numbers; symbols with real=True keep SymPy from splitting them",
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
