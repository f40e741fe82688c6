"""Every row of the table of functions: values, derivatives, conventions and printed forms, against mpmath.

`POINTS` has a line for each row; a new row without one fails. One kernel holds all functions, so that a
backend and a type are compiled once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import mpmath
import numpy as np
import pytest

import symgrad as sg
from symgrad.core.functions import FUNCTIONS, ROWS, ScalarFunction
from symgrad.core.layout import Layout
from symgrad.core.program import Program
from symgrad.kernel import Kernel
from symgrad.printers.latex import LATEX
from symgrad.printers.text import TEXT
from tests.reference import adjoints, differences, error
from tests.test_gradients import squared_gradient

Point = tuple[float, ...]


@dataclass(frozen=True)
class Points:
    """`plain` points lie inside the domain and off the kinks; `extreme` ones where digits are lost."""

    plain: Sequence[Any]
    extreme: Sequence[Any] = ()

    @property
    def all(self) -> list[Point]:
        return [point if isinstance(point, tuple) else (float(point),) for point in (*self.plain, *self.extreme)]


LINE = (-2.5, -0.75, -0.125, 0.25, 1.0, 3.5)
WIDE = (-1e4, -800.0, -90.0, -40.0, -10.0, -1e-5, -1e-20, 1e-20, 1e-5, 10.0, 40.0, 90.0, 800.0, 1e4)
BOTH = Points(LINE, WIDE)
GAMMA = (1e-20, 1e-3, 0.999999, 1.000001, 1.5, 15.99, 40.0, 800.0, 1e4, -1e-20, -0.5, -1.999999, -40.5, -1000.25)

POINTS = {
    "exp": BOTH,
    "log": Points((0.25, 1.5, 40.0), (1e-38, 1e-20, 0.999999, 1.000001, 1e4, 1e30)),
    "sin": BOTH,
    "cos": BOTH,
    "tan": BOTH,
    "asin": Points((-0.75, -0.125, 0.5), (-0.9999999, -1e-20, 1e-20, 1e-5, 0.9999999)),
    "acos": Points((-0.75, -0.125, 0.5), (-0.9999999, -1e-20, 1e-20, 1e-5, 0.9999999)),
    "atan": BOTH,
    "asinh": Points(LINE, (*WIDE, -1e15, 1e15)),
    "acosh": Points((1.25, 3.5), (1.0000001, 1.001, 40.0, 1e4, 1e15)),
    "atanh": Points((-0.75, -0.125, 0.5), (-0.9999999, -1e-20, 1e-20, 1e-5, 0.9999999)),
    "sinh": BOTH,
    "cosh": BOTH,
    "tanh": BOTH,
    "sech": BOTH,
    "abs": BOTH,
    "sign": BOTH,
    "floor": Points(LINE, (*WIDE, -3.0, 0.0, 3.0)),
    "ceil": Points(LINE, (*WIDE, -3.0, 0.0, 3.0)),
    "stop": BOTH,
    "erf": BOTH,
    "erfc": BOTH,
    "lgamma": Points((0.25, 1.75, 3.5, -0.5, -2.25), (*GAMMA, 1e10, 1e30)),
    "digamma": Points((0.25, 1.75, 3.5, -0.5, -2.25), (*GAMMA, 1.4616321449683622, 1e10, 1e30)),
    "trigamma": Points((0.25, 1.75, 3.5, -0.5, -2.25), (*GAMMA, 1e10)),
    "polygamma2": Points((0.25, 1.75, 3.5, -0.25, -2.25), (*GAMMA, 1e10)),
    "polygamma3": Points((0.25, 1.75, 3.5, -0.25, -2.25), (*GAMMA, 1e10)),
    "expm1": BOTH,
    "log1p": Points((-0.75, 0.25, 3.5), (-0.9999999, -1e-5, -1e-20, 1e-20, 1e-5, 1e4, 1e30)),
    "logistic": BOTH,
    "softplus": BOTH,
    "logaddexp": Points([(u, 0.5) for u in LINE], [(u, -0.25) for u in WIDE]),
    "relu": BOTH,
    "leaky_relu": Points([(u, a) for u in LINE for a in (0.01, -0.5)], [(u, 0.01) for u in WIDE]),
    "elu": BOTH,
    "selu": BOTH,
    "gelu": BOTH,
    "silu": BOTH,
    "clip": Points([(u, -0.5, 2.0) for u in LINE], [(u, -20.0, 50.0) for u in WIDE]),
    "max": Points([(u, 0.5) for u in LINE], [(u, -0.25) for u in WIDE]),
    "min": Points([(u, 0.5) for u in LINE], [(u, -0.25) for u in WIDE]),
}
KINKED = {"abs", "sign", "floor", "ceil", "relu", "leaky_relu", "elu", "selu", "clip", "max", "min"}
# right to an ulp of 1: math.lgamma between its zeros at 1 and 2, and the derivatives 1 - y^2 and y (1 - y)
TO_AN_ULP_OF_ONE = {"lgamma": {"value"}, "tanh": {"slope"}, "logistic": {"slope"}}
ULPS = 8  # over the condition number
ROW = pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
ARGUMENTS = ("u", "v", "w")


def test_every_row_has_points() -> None:
    """A new function that no test sees."""
    assert set(POINTS) == {row.name for row in ROWS}
    assert all(len(point) == (row.arity or 2) for row in ROWS for point in POINTS[row.name].all)


def arity(row: ScalarFunction) -> int:
    return row.arity or 2


def call(row: ScalarFunction) -> str:
    return f"{row.name}({', '.join(ARGUMENTS[: arity(row)])})"


def one(row: ScalarFunction) -> Program:
    return sg.parse(f"J = {call(row)}")


def given(row: ScalarFunction, point: Point) -> dict[str, float]:
    return dict(zip(ARGUMENTS, point, strict=False))


# values and gradients of the kernels


@cache
def kernel(dtype: str, backend: str) -> Kernel:
    """All functions at all their points: y_exp[i] = exp(u_exp[i]), …; J is the sum of what has a derivative."""
    lines = []
    for row in ROWS:
        reads = ", ".join(f"{letter}_{row.name}[i]" for letter in ARGUMENTS[: arity(row)])
        lines.append(f"y_{row.name}[i] = {row.name}({reads})")
        if row.partial is not None:
            lines.append(f"J += sum(y_{row.name}[i] for i)")
    program = sg.parse("\n".join(lines))
    wrt = [name for name in program.free if FUNCTIONS[name[2:]].partial is not None]
    return sg.compile(program, "J", wrt, dtype=dtype, backend=backend)


@cache
def arrays(dtype: str) -> dict[str, Any]:
    """The points of every row, the last one repeated to a common length."""
    length = max(len(POINTS[row.name].all) for row in ROWS)
    out = {}
    for row in ROWS:
        points = POINTS[row.name].all
        columns = np.array(points + points[-1:] * (length - len(points)), dtype)
        out |= {f"{ARGUMENTS[k]}_{row.name}": np.ascontiguousarray(columns[:, k]) for k in range(arity(row))}
    return out


def exact_points(row: ScalarFunction, dtype: str) -> list[tuple[Any, ...]]:
    """The points as the kernel sees them."""
    columns = [arrays(dtype)[f"{letter}_{row.name}"] for letter in ARGUMENTS[: arity(row)]]
    return [tuple(mpmath.mpf(float(x)) for x in point) for point in zip(*columns, strict=True)][: len(POINTS[row.name].all)]


def neighbours(row: ScalarFunction, point: Sequence[Any], step: Any, place: int = 0) -> tuple[Any, Any, Any]:
    """f at u - step u, u, u + step u."""
    around = (point[place] * (1 + sign * step) for sign in (-1, 0, 1))
    low, here, high = (row.reference(*point[:place], u, *point[place + 1 :]) for u in around)
    return low, here, high


def value_and_condition(row: ScalarFunction, point: Sequence[Any]) -> tuple[Any, Any]:
    """f and |u f'/f|, by which a rounding of u grows, at least 1; 1 for rows of straight pieces."""
    step = mpmath.mpf(10) ** -25
    with mpmath.workdps(80):
        low, here, high = neighbours(row, point, step)
        kappa = abs((high - low) / (2 * step * here)) if here and row.name not in KINKED else 1
        return +here, max(1, kappa)


def slope_and_condition(row: ScalarFunction, point: Sequence[Any], place: int) -> tuple[Any, Any]:
    """f' by one argument and |u f''/f'|; with digits enough for 1 - tanh(300)^2."""
    step = mpmath.mpf(10) ** -100
    with mpmath.workdps(500):
        low, here, high = neighbours(row, point, step, place)
        rise, bend = high - low, high - 2 * here + low
        kappa = abs(2 * bend / (step * rise)) if rise and row.name not in KINKED else 1
        return rise / (2 * step * point[place]), max(1, kappa)


def off(found: Any, exact: Any, kappa: Any, dtype: str, unit: float = 0.0) -> float:
    """The error in units of the last place of the exact value, or in larger ones, over the condition number."""
    info = np.finfo(dtype)
    if abs(exact) > float(info.max):
        return 0.0 if found == mpmath.sign(exact) * mpmath.inf else np.inf
    if not np.isfinite(found):
        return np.inf
    ulp = max(float(np.spacing(np.dtype(dtype).type(abs(float(exact))))), unit)
    return float(abs(mpmath.mpf(float(found)) - exact) / ulp / kappa)


def unit(row: ScalarFunction, what: str, dtype: str) -> float:
    return float(np.finfo(dtype).eps) if what in TO_AN_ULP_OF_ONE.get(row.name, ()) else 0.0


def too_far(errors: dict[Any, float]) -> dict[Any, float]:
    return {place: round(size, 1) for place, size in errors.items() if not size <= ULPS}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_values(dtype: str, backend: str) -> None:
    """A wrong spelling, a helper that overflows, cancels or loses a type."""
    with np.errstate(all="ignore"):  # exp(800) is inf
        found = kernel(dtype, backend).forward(**arrays(dtype))
    errors = {}
    for row in ROWS:
        values = found[f"y_{row.name}"]
        assert values.dtype == dtype, row.name
        for value, point in zip(values, exact_points(row, dtype), strict=False):
            if mpmath.isfinite(row.reference(*point)):  # in float32, 0.9999999 is no longer below 1 by much
                exact, kappa = value_and_condition(row, point)
                errors[row.name, *map(float, point)] = off(value, exact, kappa, dtype, unit(row, "value", dtype))
    assert too_far(errors) == {}
    assert len(errors) > 300


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_slopes(backend: str) -> None:
    """A partial that is nan, inf or without digits at a point where the derivative is a number."""
    inputs = {name: array for name, array in arrays("float64").items() if FUNCTIONS[name[2:]].partial is not None}
    with np.errstate(all="ignore"):
        _, found = kernel("float64", backend)(**inputs)
    errors = {}
    for row in ROWS:
        if row.partial is None or row.name == "stop":
            continue
        for letter, place in zip(ARGUMENTS, range(arity(row)), strict=False):
            slopes = found.get(f"{letter}_{row.name}", np.zeros(100))  # sign has no adjoint at all
            for slope, point in zip(slopes, exact_points(row, "float64"), strict=False):
                exact, kappa = slope_and_condition(row, point, place)
                errors[row.name, letter, *map(float, point)] = off(slope, exact, kappa, "float64", unit(row, "slope", "float64"))
    assert too_far(errors) == {}
    assert len(errors) > 300


QUIET = ["tanh", "erf", "erfc", "logistic", "softplus", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "clip"]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_nothing_overflows_on_the_way(dtype: str) -> None:
    """A finite value by way of an infinite one: a warning for every batch, in the end a nan."""
    more = {"leaky_relu": ", 0.01", "clip": ", -1, 1"}
    lines = [f"J += sum({name}(u[i]{more.get(name, '')}) for i)" for name in QUIET]
    k = sg.compile(sg.parse("\n".join(lines)), dtype=dtype, backend="numpy")
    with np.errstate(all="raise", under="ignore"):
        loss, grads = k(u=np.array([-1e4, -800.0, -90.0, -40.0, 0.0, 40.0, 90.0, 800.0, 1e4], dtype))
    assert np.isfinite(loss)
    assert np.isfinite(grads["u"]).all()


# the partials, exactly


@ROW
def test_partial(row: ScalarFunction) -> None:
    """A wrong derivative, seen at 50 digits."""
    if row.partial is None or row.name == "stop":
        return  # below
    for point in POINTS[row.name].plain:
        point = point if isinstance(point, tuple) else (point,)
        found = adjoints(one(row), given(row, point), "J")
        with mpmath.workdps(50):
            for place, letter in enumerate(ARGUMENTS[: arity(row)]):
                orders = tuple(int(k == place) for k in range(arity(row)))
                wanted = mpmath.diff(row.reference, tuple(map(mpmath.mpf, point)), orders)
                assert abs(found[letter] - wanted) <= mpmath.mpf(10) ** -25 * max(1, abs(wanted)), (letter, point)


SMOOTH = [row for row in ROWS if row.name not in KINKED | {"stop", "polygamma3"}]


@pytest.mark.parametrize("row", SMOOTH, ids=[row.name for row in SMOOTH])
def test_second_derivative(row: ScalarFunction) -> None:
    """A partial that cannot be differentiated again."""
    second = squared_gradient(one(row), "J")
    if row.name == "polygamma2":  # whose derivative has none in the table
        with pytest.raises(sg.SymgradError) as caught:
            adjoints(second, {"u": 0.5}, "G")
        assert caught.value.code == "SG405"
        return
    for point in POINTS[row.name].all[:2]:
        given = dict(zip(ARGUMENTS, point, strict=False))
        found = adjoints(second, given, "G")["u"]
        assert error(found, differences(second, given, "G", "u")) < 1e-14, point


@pytest.mark.parametrize(
    ("text", "reference", "points"),
    [
        ("J = sin(x)/x", mpmath.sinc, (0.0, 1e-5, 0.7, 3.0)),
        ("J = trigamma(x)", lambda x: mpmath.polygamma(1, x), (0.3, 1.3, 20.0)),
    ],
)
def test_hessian_of_special_functions(text: str, reference: Any, points: tuple[float, ...]) -> None:
    """A stable form, or a derivative's derivative, that stops at the first order."""
    k = sg.hessian(sg.parse(text), "J", ["x"]).compile(backend="numpy")
    for point in points:
        with mpmath.workdps(50):
            wanted = mpmath.diff(reference, mpmath.mpf(point), 2)
        assert float(k(x=point)[1]["x"]) == pytest.approx(float(wanted), rel=1e-14)


# conventions

KINKS: dict[str, tuple[str, dict[str, float], dict[str, float]]] = {
    "relu": ("relu(u)", {"u": 0}, {"u": 0}),
    "abs": ("abs(u)", {"u": 0}, {"u": 0}),
    "sign": ("u*sign(u)", {"u": 0}, {"u": 0}),
    "leaky_relu": ("leaky_relu(u, v)", {"u": 0, "v": 0.25}, {"u": 0.25, "v": 0}),
    "elu": ("elu(u)", {"u": 0}, {"u": 1}),
    "selu": ("selu(u)", {"u": 0}, {"u": 1.7580993408473768}),
    "max, a tie": ("max(u, v)", {"u": 2, "v": 2}, {"u": 1, "v": 0}),
    "min, a tie": ("min(u, v)", {"u": 2, "v": 2}, {"u": 1, "v": 0}),
    "clip, inside": ("clip(u, v, w)", {"u": 0, "v": -1, "w": 1}, {"u": 1, "v": 0, "w": 0}),
    "clip, at the lower end": ("clip(u, v, w)", {"u": -1, "v": -1, "w": 1}, {"u": 0, "v": 1, "w": 0}),
    "clip, at the upper end": ("clip(u, v, w)", {"u": 1, "v": -1, "w": 1}, {"u": 0, "v": 0, "w": 1}),
    "clip, beyond": ("clip(u, v, w)", {"u": 5, "v": -1, "w": 1}, {"u": 0, "v": 0, "w": 1}),
    "clip, before": ("clip(u, v, w)", {"u": -5, "v": -1, "w": 1}, {"u": 0, "v": 1, "w": 0}),
    "clip, one end": ("clip(u, v, w)", {"u": 3, "v": 3, "w": 3}, {"u": 0, "v": 0, "w": 1}),
    "clip, ends crossed": ("clip(u, v, w)", {"u": 0, "v": 2, "w": -2}, {"u": 0, "v": 0, "w": 1}),
    "stop": ("stop(u)*v", {"u": 3, "v": 2}, {"u": 0, "v": 3}),
    "stop inside": ("exp(stop(u)*u)", {"u": 0}, {"u": 0}),
    "u - floor u": ("u - stop(floor(u))", {"u": 2.5}, {"u": 1}),
    "floor in a condition": ("where(floor(u) > 1, 3*u, u)", {"u": 2.5}, {"u": 3}),
    "x^p at 0": ("u^v", {"u": 0, "v": 2}, {"u": 0, "v": 0}),
    "x^p at 0, a line": ("u^v", {"u": 0, "v": 1}, {"u": 1, "v": 0}),
    "x^p at 0, twice": ("(u^v + 3)^2", {"u": 0, "v": 1.5}, {"u": 0, "v": 0}),
    "x^p, negative x": ("stop(v) + u^stop(v)", {"u": -2, "v": 3}, {"u": 12, "v": 0}),
    "x^-2, negative x": ("u^(-2)", {"u": -2}, {"u": 0.25}),
    "e^x to the p": ("exp(u)^v*w", {"u": 0, "v": 3, "w": 2}, {"u": 6, "v": 0, "w": 1}),
    "p^x": ("2^u", {"u": 0}, {"u": float(np.log(2.0))}),
}


@pytest.mark.parametrize(("text", "point", "slopes"), KINKS.values(), ids=list(KINKS))
def test_convention(text: str, point: dict[str, float], slopes: dict[str, float]) -> None:
    """Another choice at a kink than the one documented."""
    found = adjoints(sg.parse(f"J = {text}"), point, "J")
    assert {name: float(slope) for name, slope in found.items()} == slopes


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_conventions_of_kernels(backend: str) -> None:
    """The same choices in emitted code, all in one kernel."""
    lines, inputs, slopes = [], {}, {}
    for k, (text, point, wanted) in enumerate(KINKS.values()):
        lines.append("J += " + re.sub(r"\b[uvw]\b", lambda name, k=k: f"{name[0]}_{k}", text))  # type: ignore[misc]
        inputs |= {f"{name}_{k}": float(value) for name, value in point.items()}
        slopes |= {f"{name}_{k}": value for name, value in wanted.items()}
    with np.errstate(all="ignore"):  # NumPy computes log 0 before it is not chosen
        found = sg.compile(sg.parse("\n".join(lines)), backend=backend)(**inputs)[1]
    assert {name: float(found.get(name, 0)) for name in slopes} == slopes


@pytest.mark.parametrize("name", ["floor", "ceil", "polygamma3"])
def test_no_silent_derivative(name: str) -> None:
    """A slope of 0 that makes training stand still without a word."""
    message = f"{name} has no derivative that training could use"
    hint = f"write stop({name}(…)) to treat it as a constant"
    for start in (sg.compile, lambda program, wrt: sg.derive(program, wrt=wrt).text()):
        with pytest.raises(sg.SymgradError) as caught:
            start(sg.parse(f"J = w*{name}(w*x)"), wrt=["w"])
        found = caught.value
        assert (found.code, found.message, found.hint, found.line) == ("SG405", message, hint, 1)
    assert sg.compile(sg.parse(f"J = w*{name}(x)"), wrt=["w"], backend="numpy")(w=3.0, x=1.0)[1].keys() == {"w"}


def test_what_is_stopped_is_not_looked_into() -> None:
    """A sum of floors inside stop that is refused, or counted."""
    found = adjoints(sg.parse("J = sum(x[i] for i)*stop(sum(floor(x[i]) for i))"), {"x": np.array([1.5, 2.5])}, "J")
    assert list(found["x"]) == [3, 3]


NAMED = {
    "n = floor(w); J = w*stop(n)": 2.0,
    "n = stop(floor(w)); J = w*n": 2.0,
    "J = w*stop(floor(w))": 2.0,
    "u = w*x; J = stop(u)*w": 7.5,
    "u = w*x; v = u^2; J = sign(v)*w": 1.0,
    "u = w*x; v = u*w; J = w*stop(v) + u": 21.75,
}


@pytest.mark.parametrize(("text", "slope"), NAMED.items(), ids=list(NAMED))
def test_what_is_stopped_may_have_a_name(text: str, slope: float) -> None:
    """An adjoint that is read and never written, or a refusal of what stands under stop."""
    program, values = sg.parse(text), {"w": 2.5, "x": 3.0}
    point = {name: values[name] for name in program.free}
    assert adjoints(program, point, "J")["w"] == slope
    assert sg.compile(program, wrt=["w"], backend="numpy")(**point)[1]["w"] == slope
    d = sg.derive(program, wrt=["w"])
    assert "\u0304" not in d.text() + d.gradient("w").text()  # no bar is left over


def test_stop_is_a_copy() -> None:
    """A result that is a view of an input."""
    x = np.arange(3.0)
    found = sg.compile(sg.parse("y[i] = stop(x[i]); J = sum(x[i]*y[i] for i)"), backend="numpy").forward(x=x)
    assert not np.shares_memory(found["y"], x)


# spellings and printed forms


@ROW
def test_spellings(row: ScalarFunction) -> None:
    """A second name that means something else, or a text that does not read back."""
    program = one(row)
    assert sg.parse(str(program)) == program
    for spelling in row.spellings:
        assert sg.parse(str(program).replace(row.name, spelling, 1)) == program


@pytest.mark.parametrize("text", ["leaky_relu(u)", "clip(u, 0)", "elu(u, 1)", "max(u)"])
def test_arity(text: str) -> None:
    """An argument left out or too many."""
    with pytest.raises(sg.SymgradError) as caught:
        sg.parse(f"J = {text}")
    assert caught.value.code == "SG118"


WORDS = {"dJ", "du", "dv", "dw", "if", "else", *(word for row in ROWS for word in (row.text or row.name).split())}


def printed(row: ScalarFunction) -> list[tuple[str, str]]:
    """The call and its derivatives, as text and LaTeX."""
    tree = Layout(ARGUMENTS).tree(one(row).statements[0].value)
    forms = [(TEXT.show(tree), LATEX.show(tree))]
    if row.partial is not None:
        gradients = [sg.derive(one(row)).gradient(letter) for letter in ARGUMENTS[: arity(row)]]
        forms += [(gradient.text(), gradient.latex()) for gradient in gradients]
    return forms


@ROW
def test_text(row: ScalarFunction) -> None:
    """A name of Python, or of the table, where a person reads."""
    for text, _ in printed(row):
        assert set(re.findall(r"[A-Za-z_]{2,}[A-Za-z_0-9]*", text)) <= WORDS
    assert printed(row)[0][0].startswith((row.text or row.name).partition("{}")[0])


@ROW
def test_latex(row: ScalarFunction) -> None:
    """What LaTeX would refuse, or set as a product of letters."""
    for _, latex in printed(row):
        assert latex.count("{") == latex.count("}")
        assert latex.count(r"\left") == latex.count(r"\right")
        assert "_" not in latex
        plain = re.sub(r"\\(operatorname|text|begin|end)\{[a-z0-9 ]+\}|\\[A-Za-z]+", " ", latex)
        assert set(re.findall(r"[A-Za-z]{2,}", plain)) <= {"dJ", "du", "dv", "dw"}


PRINTED = {
    "floor(u + v)*stop(v)": ("⌊u + v⌋ stop(v)", r"\left\lfloor u + v \right\rfloor \operatorname{stop}(v)"),
    "lgamma(u)^2": ("log Γ(u)²", r"\log\Gamma(u)^2"),
    "digamma(u) - trigamma(v)": ("ψ(u) − ψ′(v)", r"\psi(u) - \psi'(v)"),
    "leaky_relu(u, 0.01)": ("lrelu(u, 0.01)", r"\operatorname{lrelu}(u, 0.01)"),
    "arcsinh(u)": ("arsinh(u)", r"\operatorname{arsinh}(u)"),
    "abs(u/v)": ("|u/v|", r"\left|\frac{u}{v}\right|"),
}


@pytest.mark.parametrize(("source", "forms"), PRINTED.items(), ids=list(PRINTED))
def test_printed_form(source: str, forms: tuple[str, str]) -> None:
    """Another name or fence than a textbook's."""
    tree = Layout(("u", "v")).tree(sg.parse(f"J = {source}").statements[0].value)
    assert (TEXT.show(tree), LATEX.show(tree)) == forms


POWERS = {
    "x^n": "dJ/dx = n x^(n − 1)",
    "x^2": "dJ/dx = 2x",
    "x^5": "dJ/dx = 5x⁴",
    "1/x": "dJ/dx = −1/x²",
    "x^(-3)": "dJ/dx = −3/x⁴",
    "2^x": "dJ/dx = J log 2",
}


@pytest.mark.parametrize(("text", "form"), POWERS.items(), ids=list(POWERS))
def test_powers_print_as_in_a_textbook(text: str, form: str) -> None:
    """A case for x = 0 where nobody needs one."""
    assert form in [line.partition("│ ")[2].strip() for line in sg.derive(sg.parse(f"J = {text}"), wrt=["x"]).text().split("\n")]
