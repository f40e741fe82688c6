"""The text language: what it refuses and where, what it means, and that `str` of a program reads back as the same program."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import reduce
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from symgrad.core.errors import SymgradError
from symgrad.core.evaluate import evaluate
from symgrad.core.functions import FUNCTIONS
from symgrad.core.program import Program
from symgrad.core.source import SOURCE
from symgrad.core.tree import Binder, Call, Compare, Name, Num, Pow, Prod, Reduce, Sum, Tree
from symgrad.frontend.syntax import LIMITS, parse_expression
from symgrad.frontend.text import parse
from tests.models import MODELS, Model

RANDOM = settings(deadline=None, derandomize=True, database=None, max_examples=200)
LONG = "x" * 65

# text, code, line, column: the place is that of the caret
REFUSED = [
    # characters
    ("y = x\u202e", "SG101", 1, 6),
    ("y = a\n  + b\u200b", "SG101", 2, 6),
    ("y = x\0", "SG101", 1, 6),
    ("y = x + \u0445", "SG102", 1, 9),
    ("y = é", "SG102", 1, 5),
    ("y = x % 2", "SG103", 1, 7),
    ("y = $x$", "SG103", 1, 5),
    # structure
    ("y =", "SG104", 1, 3),
    ("y = x +", "SG104", 1, 8),
    ("y = * x", "SG104", 1, 5),
    ("y = x[]", "SG104", 1, 7),
    ("y = exp()", "SG104", 1, 9),
    ("a = 1\ny = for", "SG104", 2, 5),
    ("y = x)", "SG106", 1, 6),
    ("y = x z", "SG105", 1, 7),
    ("y == x", "SG105", 1, 3),
    ("assume x", "SG105", 1, 9),
    ("J = x; minimize 3", "SG105", 1, 17),
    ("y = sum(x[i] for i in 1)", "SG105", 1, 24),
    ("y = (x", "SG106", 1, 7),
    ("y = (x\n\n", "SG106", 3, 1),
    ("y = max(x, z]", "SG106", 1, 13),
    ("y = where(a < b < c, 1, 2)", "SG107", 1, 17),
    ("y = 1/2x", "SG108", 1, 8),
    ("y = y^* + y* + 1", "SG109", 1, 12),
    ("y = 1.2.3", "SG112", 1, 8),
    ("y = 2 3", "SG112", 1, 7),
    ("y = sum(x)", "SG113", 1, 5),
    ("y = exp(x)[1]", "SG114", 1, 11),
    ("index i; y = sum(x[i] for i)", "SG115", 1, 7),
    ("y = sum(x[i] for 3)", "SG115", 1, 18),
    ("y = a < b", "SG116", 1, 5),
    ("y = where(a, 1, 2)", "SG116", 1, 11),
    ("y = sum(x[i] for i if x[i])", "SG116", 1, 23),
    ("y = x/(2 - 2)", "SG117", 1, 7),
    ("y = 0^-1", "SG117", 1, 5),
    ("y = x + (-1)^0.5*x", "SG117", 1, 9),
    ("y = log(0)*x", "SG117", 1, 5),
    ("y = exp(x, z)", "SG118", 1, 5),
    ("y = max(x)", "SG118", 1, 5),
    ("y = where(a < b, 1)", "SG118", 1, 5),
    ("f(u) = u; y = f(x, x)", "SG118", 1, 15),
    ("", "SG120", 1, 1),
    ("# nothing here\n", "SG120", 1, 1),
    ("y + 1 = x", "SG121", 1, 1),
    ("f(2) = x", "SG121", 1, 1),
    # code
    ('__import__("os").system("echo hi")', "SG110", 1, 1),
    ("y = ().__class__", "SG111", 1, 7),
    ('y = open("/etc/passwd")', "SG110", 1, 5),
    ("y = x; import os", "SG110", 1, 8),
    ("y = eval(x)", "SG110", 1, 5),
    ("y = a__b", "SG110", 1, 5),
    ('y = f"{x}"', "SG111", 1, 6),
    ("y = lambda x: x", "SG111", 1, 13),
    ("y = x!", "SG111", 1, 6),
    ("y: x", "SG111", 1, 2),
    # names
    ("y = foo(x)", "SG201", 1, 5),
    ("p[k] = softmax(a[k])", "SG201", 1, 8),
    ("y = x\n  y = 2", "SG202", 2, 3),
    ("input x, x; y = x", "SG202", 1, 10),
    ("input y; y = 2", "SG202", 1, 10),
    ("f(u) = u; f(u) = 2; y = f(x)", "SG202", 1, 11),
    ("index i in 0..M, i in 0..D; y = sum(x[i] for i)", "SG202", 1, 18),
    ("J = x; minimize K", "SG203", 1, 17),
    ("exp = 3", "SG204", 1, 1),
    ("y = x; sum = 3", "SG204", 1, 8),
    ("exp(u) = u", "SG204", 1, 1),
    ("input sin; y = x", "SG204", 1, 7),
    ("index i in 1..N; i = 3", "SG205", 1, 7),
    ("f(u) = u; f = 3", "SG205", 1, 11),
    ("y = 2*exp", "SG206", 1, 7),
    # indices
    ("a[j] = alpha[j,i]*x[i]", "SG301", 1, 19),
    ("index i in 1..N; a[i] = sum(x[i] for i)", "SG302", 1, 38),
    ("y[i] = sum(A[i,j]*sum(B[j] for j) for j)", "SG302", 1, 32),
    ("y = A[1] + A[1,2]", "SG303", 1, 12),
    ("y = sum(A[i] for i) + sum(A[i,j] for i, j)", "SG303", 1, 27),
    ("y = sum(x[i] for i in 3..1)", "SG307", 1, 18),
    ("index i in 3..1; y = sum(x[i] for i)", "SG307", 1, 7),
    ("y[i,i] = x[i]", "SG306", 1, 1),
    ("y[i] = sum(x[i*j] for j)", "SG308", 1, 12),
    ("y = 1 + x[0.5]", "SG308", 1, 11),
    ("y = sum(x[i] for i in 0..z[1])", "SG311", 1, 26),
    ("y = sum(x[i] for i in 0..2.5)", "SG311", 1, 26),
    ("y = sum(x[i] for i in 1..i)", "SG302", 1, 26),
    ("index n in 0..4; input x[n]; y = x[5]", "SG309", 1, 34),
    ("index n in 0..4; input x[n]; y = sum(x[i-1] for i in 0..4)", "SG309", 1, 38),
    ("y[i] = x[i] for k in 1..3", "SG310", 1, 17),
    ("f(u) = u for i in 1..2; y = f(x)", "SG310", 1, 14),
    # graph
    ("x = x + 1", "SG401", 1, 1),
    ("x = y + 1\ny = 2*x", "SG401", 1, 1),
    ("f(u) = g(u); g(u) = f(u); y = f(x)", "SG401", 1, 21),
    ("J = x; minimize J; maximize J", "SG404", 1, 29),
    # size
    ("y = " + "1" * 41, "SG502", 1, 5),
    ("y = " + LONG, "SG503", 1, 5),
    ("y = 9**9**9", "SG505", 1, 5),
    ("y = x + 2^2000", "SG505", 1, 9),
]


@pytest.mark.parametrize(("text", "code", "line", "column"), REFUSED, ids=[f"{row[1]} {row[0][:30]!r}" for row in REFUSED])
def test_refusals_have_a_code_and_a_place(text: str, code: str, line: int | None, column: int | None) -> None:
    """Catches an accepted error, a changed code, and a caret below the wrong character."""
    with pytest.raises(SymgradError) as caught:
        parse(text)
    assert (caught.value.code, caught.value.line, caught.value.column) == (code, line, column)


def test_a_refusal_shows_the_line_and_a_caret() -> None:
    """Catches a message without its source line, file name or hint."""
    with pytest.raises(SymgradError) as caught:
        parse("a = 1\ny = sqr(x)", "model.sg")
    assert str(caught.value).splitlines() == [
        "SG201 model.sg:2:5: there is no function sqr",
        "    y = sqr(x)",
        "        ^^^",
        "hint: did you mean sqrt?",
    ]


def test_a_cycle_is_named_in_full() -> None:
    """Catches a cycle report that leaves out a member."""
    with pytest.raises(SymgradError, match="a → b → c → a"):
        parse("a = b; b = c; c = a")


def test_two_definitions_are_both_named() -> None:
    """Catches a message that gives one of the two places only."""
    with pytest.raises(SymgradError, match=r"y is defined twice.*line 1, column 1"):
        parse("y = x\ny = 2")


def test_two_ranges_of_one_axis_are_both_named() -> None:
    """Catches one of two contradicting ranges winning silently."""
    with pytest.raises(SymgradError) as caught:
        parse("y = sum(x[i] for i in 0..M) + sum(x[i] for i in 0..D)")
    assert caught.value.code == "SG305"
    assert {"0..M", "0..D"} <= set(re.findall(r"0\.\.\w", str(caught.value)))


@pytest.mark.parametrize("given_text", [None, 3, b"y = x", ["y = x"]])
def test_only_text_is_parsed(given_text: Any) -> None:
    """Catches a TypeError or AttributeError where a refusal belongs."""
    with pytest.raises(SymgradError) as caught:
        parse(given_text)
    assert caught.value.code == "SG119"


def outcome(text: str) -> Program | SymgradError:
    """What parsing gives; any other exception goes through."""
    try:
        return parse(text)
    except SymgradError as error:
        return error


# what it means

MEANINGS = [
    ("-x^2", "-(x^2)"),
    ("(-x)^2", "x^2"),
    ("2^3^2", "512"),
    ("x**2", "x^2"),
    ("x^-1", "1/x"),
    ("2^-2", "1/4"),
    ("a - b - c", "(a - b) - c"),
    ("a - (b - c)", "a - b + c"),
    ("a/b/c", "a/(b*c)"),
    ("a/b*c", "(a/b)*c"),
    ("a*b/c*d", "a*b*d/c"),
    ("-a*b", "-(a*b)"),
    ("a*-b", "-(a*b)"),
    ("-a + b", "b - a"),
    ("- -a", "a"),
    ("a - -b", "a + b"),
    ("3t", "3*t"),
    ("3t^2", "3*(t^2)"),
    ("2(a + b)", "2*a + 2*b"),
    ("2a*b", "2*a*b"),
    ("a·b × c − d", "a*b*c - d"),
    ("exp(a)*b", "b*exp(a)"),
    ("exp(-a^2/2)", "exp(-(a^2)/2)"),
    ("1/2*a", "a/2"),
    ("where(a + 1 > b*2, a, b)", "where((a + 1) > (b*2), a, b)"),
    ("where(a ≥ b, a, b)", "where(a >= b, a, b)"),
    ("sigmoid(a)", "logistic(a)"),
    ("ln(a)", "log(a)"),
    ("α + λ", "alpha + λ"),
    ("y^* * 2", "y_star*2"),
    ("y^**2", "y_star*2"),
    ("y^*^2", "y_star^2"),
    ("(y*)", "y_star"),
    ("x' + 1", "1 + x_prime"),
    ("sum(i, v[i])", "sum(v[i] for i)"),
    ("Sum(v[i], (i, 1, 3))", "sum(v[i] for i in 1..3)"),
    ("∑(v[i] for i)", "sum(v[i] for i)"),
    ("∏(v[i] for i in 1..3)", "prod(v[i] for i in 1..3)"),
    ("sum(v[i] for i if v[i] > 0)", "sum(where(v[i] > 0, v[i], 0) for i)"),
    ("sum(A[i,j] for i, j in 1..3)", "sum(A[i,j] for i in 1..3 for j in 1..3)"),
    ("mean(v[i] for i in 1..4)", "sum(v[i] for i in 1..4)/4"),
    ("sum(v[i] for i in 1..3)^2", "(sum(v[i] for i in 1..3))^2"),
]


@pytest.mark.parametrize(("short", "long"), MEANINGS)
def test_precedence_and_spellings(short: str, long: str) -> None:
    """Catches an operator that binds too tightly or too loosely, and an alias with another meaning."""
    assert parse(f"J = {short}").statements == parse(f"J = {long}").statements


def test_different_brackets_mean_different_things() -> None:
    """Catches a comparison of programs that calls everything equal, which would make the table above void."""
    texts = ["a - b - c", "a - (b - c)", "a - b*c", "(a - b)*c", "a^b^c", "(a^b)^c", "sum(v[i] for i)", "prod(v[i] for i)"]
    programs = [parse(f"J = {text}").statements for text in texts]
    assert all(one != two for place, one in enumerate(programs) for two in programs[:place])


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a = x; b = a", 2),
        ("y = (x\n + 1)", 1),
        ("y = sum(x[i]\n  for i\n in 1..3)", 1),
        ("y = x # + 1\n", 1),
        ("\n\n;;y = x;\n", 1),
        ("y = x[\n1]; z = 1", 2),
    ],
)
def test_lines(text: str, lines: int) -> None:
    """Catches a line break or a comment read wrongly."""
    assert len(parse(text).statements) == lines


# str(program) is the language


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
def test_str_of_a_program_reads_back(model: Model) -> None:
    """Catches a statement, range, declaration or goal that `str` writes differently from what it means."""
    program = model.program()
    again = parse(str(program))
    assert again == program
    assert str(again) == str(program)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
def test_what_reads_back_has_the_same_values(model: Model) -> None:
    """Catches an `==` of programs that overlooks a difference in meaning."""
    program, arrays = model.program(), model.arrays(np.random.default_rng(1))
    again = parse(str(program))
    for name, value in evaluate(program, arrays, 30).items():
        assert np.all(value == evaluate(again, arrays, 30)[name]), name


KEPT = [
    "J = c + a + b",
    "J = c - a + b",
    "J = -c + a*z - b",
    "J = (1 - y)*log(1 - y) + y*log(y)",
    "J = exp(x) + 1 + x",
    "J = 1 + x + exp(x)",
    "J = (y - y^*)^2/2",
    "J = y^* * log(y) + (1 - y^*)*log(1 - y)",
    "J = sum(b[i] + a[i] + 1 for i in 1..N)",
    "a[j] = sum(alpha[j,i]*x[i] for i)",
    "h[j] = z[j]*beta[j] + w[j]",
    "J = 1/(1 + exp(-b))",
    "J = 0.1*x + 1e-7",
]


@pytest.mark.parametrize("text", KEPT)
def test_terms_stay_in_the_order_they_were_written(text: str) -> None:
    """Catches SymPy's own order of terms or factors coming through."""
    assert str(parse(text)) == text


PLAIN_NAMES = ["beta", "gamma", "S", "Q", "N", "E", "I", "lambda", "λ", "y^*", "x'", "x''^*", "x_star_prime", "y_star_star"]


@pytest.mark.parametrize("name", PLAIN_NAMES)
def test_plain_names_are_plain(name: str) -> None:
    """Catches a name with a meaning of its own in Python or SymPy, and one that is written as another."""
    program = parse(f"{name} = 2*u; J = {name}^2")
    assert parse(str(program)) == program
    assert [statement.read_names for statement in program] == [("u",), (program.defined[0],)]


def test_equal_programs_have_equal_hashes() -> None:
    """Catches a hash that sees the order of declarations, which `==` does not."""
    one, two = parse("input a, b; J = a + b"), parse("input b, a; J = a + b")
    assert one == two
    assert hash(one) == hash(two)


# random trees

NAMES = ["a", "b", "t", "y_star", "x_prime", "u_1", "beta", "lambda_2", "E", "I"]
SCALAR_FUNCTIONS = ["exp", "sin", "tanh", "abs", "arctan", "softplus", "relu"]


def numbers() -> st.SearchStrategy[Tree]:
    return st.one_of(st.integers(0, 99).map(str), st.sampled_from(["0.5", "2.25", "1e-3", "12.0e2"])).map(Num)


def reads() -> st.SearchStrategy[Tree]:
    index = st.one_of(
        st.sampled_from(["i", "j"]).map(Name),
        st.integers(0, 3).map(lambda n: Num(str(n))),
        st.integers(1, 3).map(lambda n: Sum(((1, Name("i")), (-1, Num(str(n)))))),
    )
    scalars = st.sampled_from(NAMES).map(Name)
    return scalars | st.builds(Name, st.sampled_from(["v", "W", "p_star"]), st.lists(index, min_size=1, max_size=2).map(tuple))


def grown(inner: st.SearchStrategy[Tree], reducing: bool = True) -> st.SearchStrategy[Tree]:
    """One more level, each node as the parser builds it: a product stands in a product only below the line."""
    signed = st.tuples(st.sampled_from([1, -1]), inner)
    sums = st.lists(signed, min_size=2, max_size=4).map(lambda terms: Sum(tuple(terms))) | inner.map(lambda t: Sum(((-1, t),)))
    factor = inner.filter(lambda tree: not isinstance(tree, Prod))
    later = st.lists(st.tuples(st.just("*"), factor) | st.tuples(st.just("/"), inner), min_size=1, max_size=3)
    products = st.builds(lambda first, rest: Prod((("*", first), *rest)), factor, later)
    compare = st.builds(Compare, st.sampled_from(["<", "<=", ">", ">=", "=", "!="]), inner, inner)
    calls = st.builds(lambda f, u: Call(f, (u,)), st.sampled_from(SCALAR_FUNCTIONS), inner)
    extremes = st.builds(
        lambda f, args: Call(f, tuple(args)), st.sampled_from(["max", "min"]), st.lists(inner, min_size=2, max_size=3)
    )
    choices = st.builds(lambda c, a, b: Call("where", (c, a, b)), compare, inner, inner)
    options = [sums.filter(_as_parsed), products, st.builds(Pow, inner, inner), calls, extremes, choices]
    if reducing:
        binder = st.sampled_from([Binder("i", Num("1"), Name("N")), Binder("j"), Binder("k", Num("0"), Num("4"))])
        binders = st.lists(binder, min_size=1, max_size=2, unique_by=lambda b: b.name).map(tuple)
        options.append(st.builds(Reduce, st.sampled_from(["sum", "prod"]), inner, binders, st.none() | compare))
    return st.one_of(options)


def _as_parsed(tree: Tree) -> bool:
    """-a + b is one sum whose first term is negative, never the sum of the sum -a and b."""
    return isinstance(tree, Sum) and not (
        tree.terms[0][0] > 0 and isinstance(tree.terms[0][1], Sum) and len(tree.terms[0][1].terms) == 1
    )


TREES = st.recursive(numbers() | reads(), grown, max_leaves=12)


@RANDOM
@given(TREES)
def test_a_tree_reads_back_from_its_text(tree: Tree) -> None:
    """Catches a missing bracket, a star that joins a name, and a lost sign."""
    assert parse_expression(SOURCE.show(tree)) == tree


PLAIN = st.recursive(
    st.integers(0, 9).map(lambda n: Num(str(n))) | st.sampled_from(["a", "b", "c", "y_star"]).map(Name),
    lambda inner: grown(inner, reducing=False),
    max_leaves=8,
)
VALUES = {"a": 0.75, "b": -1.5, "c": 2.25, "y_star": 0.4}
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
    "=": lambda a, b: a == b, "!=": lambda a, b: a != b,
}  # fmt: skip


def meaning(tree: Any) -> Any:
    """The value of a tree, straight from its shape."""
    match tree:
        case Num():
            return mpmath.mpf(tree.text)
        case Name():
            return mpmath.mpf(VALUES[tree.name])
        case Sum():
            return mpmath.fsum(sign * meaning(term) for sign, term in tree.terms)
        case Prod():
            return reduce(lambda acc, f: acc / meaning(f[1]) if f[0] == "/" else acc * meaning(f[1]), tree.factors, mpmath.mpf(1))
        case Pow():
            return meaning(tree.base) ** meaning(tree.exponent)
        case Call(function="where"):
            condition, yes, no = tree.args
            return meaning(yes if COMPARE[condition.op](meaning(condition.left), meaning(condition.right)) else no)
        case Call():
            return FUNCTIONS[tree.function].reference(*map(meaning, tree.args))
    raise AssertionError(tree)


@RANDOM
@given(PLAIN)
def test_a_program_has_the_value_of_its_tree(tree: Tree) -> None:
    """Catches a tree that is converted or printed with another meaning, against a second evaluator."""
    with mpmath.workdps(50):
        try:
            expected = meaning(tree)
        except (ArithmeticError, ValueError, TypeError):  # complex numbers have no order
            assume(False)
        assume(isinstance(expected, mpmath.mpf) and mpmath.isfinite(expected) and 1e-9 < abs(expected) < 1e9)
    program = outcome(f"J = {SOURCE.show(tree)}")
    if isinstance(program, SymgradError):
        assert program.code in ("SG117", "SG505"), program  # what stands in a branch never taken may still be refused
        return
    for version in (program, parse(str(program))):
        found = evaluate(version, {name: VALUES[name] for name in version.free}, 50)["J"]
        assert abs(found - expected) <= 1e-20 * abs(expected)


# broken text

TOKENS = re.compile(r"\s+|\w+|.", re.DOTALL)
JUNK = [
    *"()[]{}=+-*/^,;.<>'\"\\|#@\n\0",
    " for i",
    " in 1..N",
    " if ",
    "^*",
    "..",
    "+=",
    "1e9",
    "0",
    "x",
    "sum(",
    "i",
    "\u202e",
    "==",
]
EDITS = st.lists(
    st.tuples(st.sampled_from(["drop", "swap", "double", "insert", "replace"]), st.integers(0, 999), st.sampled_from(JUNK)),
    max_size=4,
)


def broken(text: str, edits: list[tuple[str, int, str]]) -> str:
    tokens = TOKENS.findall(text)
    for kind, place, junk in edits:
        at = place % len(tokens)
        change = {"drop": [], "double": [tokens[at]] * 2, "insert": [junk, tokens[at]], "replace": [junk]}
        if kind == "swap":
            other = (place * 7 + 1) % len(tokens)
            tokens[at], tokens[other] = tokens[other], tokens[at]
        else:
            tokens[at : at + 1] = change[kind]
        if not tokens:
            break
    return "".join(tokens)


@settings(RANDOM, max_examples=600)
@given(st.sampled_from(sorted(MODELS)), EDITS)
def test_broken_text_is_refused_or_read(name: str, edits: list[tuple[str, int, str]]) -> None:
    """Catches any exception but a refusal, a refusal without a place in the text, and a program that `str` cannot write."""
    text = broken(MODELS[name].text, edits)
    program = outcome(text)
    if isinstance(program, SymgradError):
        assert re.fullmatch(r"SG[1-5]\d\d", program.code)
        assert program.line is None or 1 <= program.line <= text.count("\n") + 1
        return
    assert isinstance(program, Program)
    assert parse(str(program)) == program


@RANDOM
@given(st.text(max_size=60))
def test_any_text_is_refused_or_read(text: str) -> None:
    """Catches a character that the tokenizer does not foresee."""
    found = outcome(text)
    assert isinstance(found, Program) or str(found).startswith(found.code)


# size

NESTED = {
    "brackets": ("(", "x", ")"),
    "minus": ("-", "x", ""),
    "calls": ("sin(", "x", ")"),
    "powers": ("x^", "x", ""),
    "squares": ("(", "x", " + 1)^2"),
    "fractions": ("1/(1 + ", "x", ")"),
    "conditions": ("where(", "x", " < 1, 2, 3)"),
    "branches": ("where(x < 1, ", "x", ", 2)"),
    "indices": ("x[", "1", "]"),
}


def nested(kind: str, levels: int) -> str:
    left, inside, right = NESTED[kind]
    return "y = " + left * levels + inside + right * levels


@pytest.mark.parametrize("kind", NESTED)
def test_nesting_up_to_the_limit_is_no_recursion_error(kind: str) -> None:
    """Catches a pass that recurses deeper than the limit allows, at every depth around it."""
    for levels in (LIMITS["nesting"] // 2, LIMITS["nesting"] - 2, LIMITS["nesting"]):
        found = outcome(nested(kind, levels))
        if isinstance(found, SymgradError):
            assert found.code in ("SG504", "SG391")  # an index inside an index is a gather
        else:
            assert str(found).startswith("y = ")


@pytest.mark.parametrize("kind", NESTED)
def test_nesting_beyond_the_limit_is_refused(kind: str) -> None:
    """Catches a crash, or a refusal that takes its time."""
    with pytest.raises(SymgradError) as caught:
        parse(nested(kind, 5000))
    assert caught.value.code == "SG504"


def test_functions_of_functions_are_refused_when_they_grow() -> None:
    """Catches an expansion that doubles with every line of definitions: thirty of them would never end."""
    doubling = ["f0(u) = u + sin(u)", *(f"f{n + 1}(u) = f{n}(f{n}(u))" for n in range(30)), "y = f30(x)"]
    with pytest.raises(SymgradError) as caught:
        parse("\n".join(doubling))
    assert caught.value.code == "SG507"


def test_a_long_chain_of_equations() -> None:
    """Catches an equation lost in a long chain, and a pass that recurses along it."""
    program = parse("\n".join(f"x_{n + 1} = x_{n} + 1" for n in range(1500)))
    assert len(program.statements) == 1500


def test_printing_takes_time_in_proportion_to_the_text() -> None:
    """Catches a printer that shows each last factor twice, which doubles with every level."""
    text = "y = " + "".join(f"a*sum(w[i{n}]*" for n in range(40)) + "x" + "".join(f" for i{n} in 1..2)" for n in range(39, -1, -1))
    program = parse(text)
    assert str(program) == text


def test_a_long_sum_is_no_deep_one() -> None:
    """Catches a sum that nests with its terms, and one that loses a term or its order."""
    count = 10_000
    text = "y = " + " + ".join(f"{n}*x_{count + 2 - n}" for n in range(2, count + 2))
    program = parse(text)
    assert str(program) == text
    assert evaluate(program, dict.fromkeys(program.free, 1.0), 20)["y"] == sum(range(2, count + 2))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("y = " + "x + " * (1 << 18) + "x", "SG501"),
        ("y = " + "a" * 1_000_000, "SG503"),
        ("y = 9**9**9**9", "SG505"),
        ("y = 2^10^9", "SG505"),
    ],
    ids=["text", "name", "power", "tower"],
)
def test_too_much_is_refused_at_once(text: str, code: str) -> None:
    """Catches work that grows with what is refused."""
    with pytest.raises(SymgradError) as caught:
        parse(text)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("limit", "most", "text"),
    [
        ("characters", 20, "y = x\n" * 4),
        ("line", 20, "y = x\nz = x + x + x + x + x + x"),
        ("line", 20, "y = x\nz = (x\n + x\n + x\n + x\n + x\n + x)"),
        ("statements", 3, "a = x; b = x; c = x; d = x"),
    ],
)
def test_each_size_has_a_limit(monkeypatch: pytest.MonkeyPatch, limit: str, most: int, text: str) -> None:
    """A text may hold many equations, and none of them is long."""
    monkeypatch.setitem(LIMITS, limit, most)
    with pytest.raises(SymgradError) as caught:
        parse(text)
    assert caught.value.code == "SG501"


def test_a_hundred_thousand_equations_fit() -> None:
    """The promise is of statements, so the characters must have room for them."""
    text = "\n".join(f"x_{k} = exp(-x_{k - 1})/(1 + x_{k // 2}^2) + 0.25*x_{k // 3}" for k in range(1, 100_001))
    assert len(text) < LIMITS["characters"]
    assert LIMITS["statements"] >= 100_000
