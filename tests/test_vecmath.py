"""The functions that vectorize, in numba's loops: errors in units of the last place, special values, vector code.

SYMGRAD_POINTS=1000000 looks at more points, `python -m tests.test_vecmath` prints the largest errors.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any

import mpmath
import numpy as np
import pytest
from numba import njit

import symgrad as sg
from symgrad.backends import numba, vecmath
from symgrad.backends.load import load
from symgrad.core.functions import FUNCTIONS

MOST = {"erfc": 4.0, "logistic": 2.5, "tanh": 2.5}  # ulp; 2 for the others
NAMES = ("exp", "expm1", "log", "log1p", "tanh", "erf", "erfc", "logistic", "softplus", "sin", "cos")
LIKE_THEIR_ARGUMENT = ("expm1", "log1p", "tanh", "sin")  # near 0
TYPES = ("float32", "float64")
IN_LLVM = (("sin", "float64"), ("cos", "float64"))  # functions of vectors, not lines in the loop
POINTS = int(os.environ.get("SYMGRAD_POINTS", "1500"))
LOOP = """
{decorator}
def {name}(x, y):
    for i in range(x.shape[0]):
        y[i] = {code}
"""


@cache
def loops(dtype: str) -> Any:
    """A module with a loop for each function, as kernels have it."""
    decorator = numba.DECORATOR.replace("cache=True, ", "")
    text = "".join(
        LOOP.format(decorator=decorator, name=name, code=vecmath.vectorized(FUNCTIONS[name].code.format("x[i]"))) for name in NAMES
    )
    used = numba.helpers(text, dtype)
    return load(f"{numba.imports(used)}\n\n\n{used}\n\n\n{text}")


def run(name: str, x: Any) -> Any:
    x = np.ascontiguousarray(x)
    y = np.empty_like(x)
    getattr(loops(str(x.dtype)), name)(x, y)
    return y


def ulps(found: Any, exact: Any) -> Any:
    """|found - exact| in units of the last place of the exact value (in more digits); inf where one is no number of its kind."""
    dtype = found.dtype
    with np.errstate(all="ignore"):
        near = exact.astype(dtype)
        ulp = np.spacing(np.minimum(np.abs(near), np.finfo(dtype).max)).astype(exact.dtype)
        out = np.abs(found.astype(exact.dtype) - exact) / ulp
    same = ((found == near) & ~np.isfinite(near)) | (np.isnan(found) & np.isnan(near))
    out = np.where(same, 0, np.where(np.isfinite(found) & np.isfinite(near), out, np.inf))
    edge = np.isfinite(found) != np.isfinite(near)  # the largest number, or beyond it
    return np.where(edge & (np.abs(np.where(np.isfinite(found), found, near)) == np.finfo(dtype).max), 1.0, out)


def wide(name: str, x: Any) -> Any:
    """The function of float32 numbers in float64, by NumPy."""
    with np.errstate(all="ignore"):
        if name in ("erf", "erfc"):
            import math

            return np.array([getattr(math, name)(float(u)) for u in x])
        if name == "logistic":
            return np.where(x < 0, np.exp(x) / (1 + np.exp(x)), 1 / (1 + np.exp(-x)))
        return np.logaddexp(0, x) if name == "softplus" else getattr(np, name)(x)


def dense() -> Any:
    """float32 numbers of every sign and exponent, subnormal ones too, with POINTS/10 significands each."""
    step = max(2**23 // max(POINTS // 10, 1), 1) | 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.arange(0, 2**32, step, dtype=np.uint64).astype(np.uint32).view(np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_float32(name: str) -> None:
    """An interval where a polynomial, a reduction or a scale is wrong."""
    x = dense()
    x = x[:: 20 if name in ("erf", "erfc") and POINTS < 10**5 else 1]
    assert len(x) > 1000
    with np.errstate(invalid="ignore"):
        errors = ulps(run(name, x), wide(name, x.astype(np.float64)))
    assert errors.max() <= MOST.get(name, 2.0), (x[errors.argmax()], errors.max())


def scattered(name: str, seed: int) -> Any:
    """float64 numbers of every size, and more of them where the function bends and where it ends."""
    rng = np.random.default_rng(seed)
    parts = [
        rng.integers(0, 2**64, POINTS // 4, dtype=np.uint64).view(np.float64),
        rng.uniform(-1, 1, POINTS) * rng.choice([0.5, 1, 3, 10, 30, 745], POINTS),
        np.exp(rng.uniform(-45, 3, POINTS // 4)) * rng.choice([-1, 1], POINTS // 4),
        1 + rng.uniform(-1, 1, POINTS // 4) * 2.0 ** -rng.integers(0, 52, POINTS // 4),
    ]
    x = np.concatenate(parts)
    x = x[np.isfinite(x)]
    return np.abs(x) if name == "log" else np.where(x > -1, x, -x) if name == "log1p" else x


def exact(name: str, u: float) -> Any:
    if name == "softplus":
        return mpmath.log1p(mpmath.exp(-abs(mpmath.mpf(u)))) + max(u, 0)
    if name == "logistic":
        return 1 / (1 + mpmath.exp(-mpmath.mpf(u)))
    return getattr(mpmath, name)(mpmath.mpf(u))


def off(name: str, u: float, found: float) -> float:
    """In units of the last place of the exact value; beyond the largest number nothing but inf is right."""
    value = exact(name, u)
    if abs(value) > np.finfo(float).max:
        return 0.0 if found == float(mpmath.sign(value)) * np.inf else 1.0 if abs(found) == np.finfo(float).max else np.inf
    return float(abs(mpmath.mpf(found) - value) / float(np.spacing(abs(float(value))))) if np.isfinite(found) else np.inf


def errors_of(name: str, seed: int) -> Iterator[tuple[float, float]]:
    x = scattered(name, seed)
    with mpmath.workprec(120):
        # a function is the same beyond these, and mpmath takes long for e^(10^300)
        near = x[np.abs(x) < 1e5] if name not in ("log", "log1p", "sin", "cos") else x
        yield from ((off(name, float(u), float(y)), float(u)) for u, y in zip(near, run(name, near), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_float64(name: str) -> None:
    """The same against mpmath."""
    errors = list(errors_of(name, POINTS))
    assert len(errors) > POINTS
    assert max(errors)[0] <= MOST.get(name, 2.0), max(errors)


INF, NAN = np.inf, np.nan
SPECIAL = {
    "exp": {-INF: 0, INF: INF, NAN: NAN, 0.0: 1, 1e-45: 1, 1e5: INF, -1e5: 0},
    "expm1": {-INF: -1, INF: INF, NAN: NAN, 1e5: INF, -1e5: -1},
    "log": {-INF: NAN, INF: INF, NAN: NAN, 0.0: -INF, 1.0: 0, -1.0: NAN, -1e-45: NAN},
    "log1p": {-INF: NAN, INF: INF, NAN: NAN, -1.0: -INF, -1.5: NAN},
    "tanh": {-INF: -1, INF: 1, NAN: NAN, 1e30: 1, -1e30: -1},
    "erf": {0.0: 0.0, -INF: -1, INF: 1, NAN: NAN, 1e30: 1, -1e30: -1},
    "erfc": {-INF: 2, INF: 0, NAN: NAN, 0.0: 1, 1e30: 0, -1e30: 2},
    "logistic": {-INF: 0, INF: 1, NAN: NAN, 0.0: 0.5, 1e30: 1, -1e30: 0},
    "sin": {0.0: 0.0, -INF: NAN, INF: NAN, NAN: NAN},
    "cos": {0.0: 1, -INF: NAN, INF: NAN, NAN: NAN, 1e-30: 1},
    "softplus": {-INF: 0, INF: INF, NAN: NAN, 1e30: 1e30, -1e30: 0},
}


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", NAMES)
def test_special_values(name: str, dtype: str) -> None:
    """A nan that is lost, an infinity that becomes nan, a zero without its sign, a subnormal number without its digits."""
    # a dict holds 0 and -0 as one
    zeros = [(-0.0, -y if y == 0 else y) for x, y in SPECIAL[name].items() if x == 0]
    pairs = [*SPECIAL[name].items(), *zeros]
    tiny = np.finfo(dtype).smallest_subnormal
    small = [sign * k * tiny for k in (0, 1, 2, 3, 7, 12345) for sign in (1.0, -1.0)]
    pairs += [(u, u) for u in small] if name in LIKE_THEIR_ARGUMENT else []
    x = np.array([u for u, _ in pairs], dtype)
    wanted = np.array([y for _, y in pairs], dtype)
    found = run(name, x)
    assert np.array_equal(found, wanted, equal_nan=True), (x, found, wanted)
    assert np.array_equal(np.signbit(found[wanted == 0]), np.signbit(wanted[wanted == 0]))


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_near_multiples(name: str) -> None:
    """Too few digits of 1/(2 pi): where a multiple of pi/2 lies next to a number, most of them cancel."""
    k = np.arange(1, 200 * POINTS, dtype=np.float64) * (np.pi / 2)
    near = k.astype(np.float32)
    worst = np.ldexp(np.float32(16367173), range(40, 104)).astype(np.float32)  # at 2^72 the nearest of all float32 numbers
    x = np.concatenate([near, -near, *(np.ldexp(near[::97], power) for power in (25, 60, 100)), worst])
    errors = ulps(run(name, x), wide(name, x.astype(np.float64)))
    assert errors.max() <= 1.0, (x[errors.argmax()], errors.max())


def reductions(count: int) -> Any:
    """float64 numbers next to whole numbers of pi/4 and near the largest whose n is held, and those nearest to pi/2 of all."""
    rng = np.random.default_rng(count)
    with mpmath.workprec(1200):
        quarter = mpmath.pi / 4
        whole = [mpmath.nint(mpmath.mpf(2) ** float(power)) for power in rng.uniform(0, 1020, count)]
        near = [float(k * quarter) for k in whole]
        low = [float(int(k) * quarter) for k in np.exp2(rng.uniform(0, 42, 4 * count))]
    edge = 2.0**40 + np.arange(-20, 20) * 2.0**-13
    worst = np.ldexp(6381956970095103.0, np.arange(-60, 960, max(1, 4000 // count)))  # at 2^797 the nearest
    x = np.concatenate([near, low, edge, worst, [6381956970095103.0 * 2.0**797, np.finfo(float).max]])
    return np.concatenate([x, -x])


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_near_multiples_in_float64(name: str) -> None:
    """A part of pi/2 that is missing, a quadrant that is the next one, a vector that is not taken one by one."""
    x = reductions(POINTS // 3)
    with mpmath.workprec(200):
        errors = [(off(name, float(u), float(y)), float(u)) for u, y in zip(x, run(name, x), strict=True)]
    assert max(errors)[0] <= 0.9, max(errors)


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_a_number_has_one_sine(name: str) -> None:
    """A last digit that depends on the numbers beside it."""
    x = np.concatenate([reductions(40), scattered(name, 40)])
    x = np.random.default_rng(0).permutation(x)
    alone = np.concatenate([run(name, x[k : k + 1]) for k in range(len(x))])
    np.testing.assert_array_equal(run(name, x), alone)
    small = x[np.abs(x) < 1e9]
    np.testing.assert_array_equal(run(name, small), alone[np.abs(x) < 1e9])


def test_coefficients_of_sines() -> None:
    """A digit of a polynomial or of pi/2 that is another than was fitted."""
    numbers = {float(word) for word in re.findall(r"\b\d[\d.]*(?:e[-+]\d+)?\b", vecmath.sines())}
    rows = [vecmath.POLYNOMIALS[name] for name in ("sine of r", "cosine of r")]
    fitted = [abs(float(c)) for row in rows for c in vecmath.coefficients(row, "float64")]
    with mpmath.workprec(300):
        parts = [float(mpmath.pi / 2)]
        parts += [float(mpmath.pi / 2 - parts[0])]
        parts += [abs(float(mpmath.pi / 2 - parts[0] - parts[1])), float(2 / mpmath.pi)]
    assert {*fitted, *parts, 2.0**40, 1.5 * 2.0**52, 2.0**-27} <= numbers


@pytest.mark.parametrize("choice", ["{0}", "({0}/x[i] if x[i] != 0.0 else 1.0)"])
@pytest.mark.parametrize("name", ["sin", "cos"])
def test_loops_call_functions_of_vectors(name: str, choice: str) -> None:
    """A loop that LLVM leaves with one number at a time: the functions of vectors are not found, or have no mask."""
    code = choice.format(vecmath.vectorized(f"np.{name}(x[i])"))
    text = LOOP.format(decorator=numba.DECORATOR.replace("cache=True, ", ""), name="loop", code=code)
    used = numba.helpers(text, "float64")
    kept = load(f"{numba.imports(used)}\n\n\n{used}\n\n\n{text}").loop
    loop = njit(error_model="numpy", fastmath={"reassoc", "contract", "arcp", "nsz"})(kept.py_func)
    x = np.linspace(-3.0, 3.0, 31)
    y = np.empty_like(x)
    loop(x, y)
    found = getattr(np, name)(x)
    np.testing.assert_allclose(y, found if choice == "{0}" else np.where(x, found / np.where(x, x, 1), 1), 1e-15, 1e-16)
    (text,) = loop.inspect_llvm().values()
    assert re.search(rf"call .*<\d+ x double> @symgrad\.{name}\.\d+\(", text)


@pytest.mark.parametrize(("name", "dtype"), [(name, dtype) for name in NAMES for dtype in TYPES if (name, dtype) not in IN_LLVM])
def test_loops_vectorize(name: str, dtype: str) -> None:
    """A branch, a call or a conversion that leaves a loop with one number at a time."""
    kept = getattr(loops(dtype), name)  # whose machine code may be another process', without its text
    loop = njit(error_model="numpy", fastmath={"reassoc", "contract", "arcp", "nsz"})(kept.py_func)
    loop(np.ones(3, dtype), np.empty(3, dtype))
    (text,) = loop.inspect_llvm().values()
    products = [line for line in text.splitlines() if " fmul " in line or "fma" in line]
    kind = "float" if dtype == "float32" and name not in ("sin", "cos") else "double"  # those are computed in float64
    assert any(f"x {kind}>" in line for line in products)
    assert not any(f"@{name}" in line for line in text.splitlines() if " call " in line)


def test_source_has_what_it_uses() -> None:
    """A definition in every module, or NumPy's spelling left in one: then its loop is slow."""
    source = sg.compile(sg.parse("J = sum(silu(x[i])*exp(x[i]) for i)")).source
    assert "def _exp(" in source
    assert "np.exp" not in source
    assert "def _tanh(" not in source
    assert "_I = np.int64" in source
    plain = sg.compile(sg.parse("J = sum(x[i]^2 for i)")).source
    assert "_I" not in plain
    assert "forceinline" not in plain
    arrays = sg.compile(sg.parse("J = sum(silu(x[i])*exp(x[i]) for i)"), backend="numpy").source
    assert "np.exp" in arrays


if __name__ == "__main__":
    for name in NAMES:
        singles = dense()
        with np.errstate(invalid="ignore"):
            errors = ulps(run(name, singles), wide(name, singles.astype(np.float64)))
        print(f"{name:9} float32 {errors.max():.2f} at {singles[errors.argmax()]!r}", end="  ")
        print("float64 {:.2f} at {}".format(*max(errors_of(name, POINTS))), flush=True)


EXTREMES = """
index n in 1..N, k, l in 1..K
input x[n,k]
top[n] = max(x[n,k] for k)
low[n] = min(x[n,k] for k)
all[n] = log(sum(exp(x[n,k]) for k))
p[n,k] = exp(x[n,k] - log(sum(exp(x[n,l]) for l)))
J = sum(top[n] for n)
"""
ROWS = [
    *([1, 2, 3], [-1, -2, -3], [0.0, -0.0, 0.0], [INF, 1, 200], [-INF, -INF, -INF], [NAN, 1, 2], [1, -NAN, 0], [3e38, -3e38, 0]),
    *([1e-40, -1e-40, 0], [-5e-45, -1e-44, -1e-43], [1000, 999, -INF]),
]


@pytest.mark.parametrize("dtype", TYPES)
def test_extremes(dtype: str) -> None:
    """A maximum of whole numbers that stand for others: nan lost, signs turned; a softmax where an exponential is infinite."""
    x = np.array(ROWS, dtype)
    x = np.concatenate([x, np.random.default_rng(0).normal(size=(20, 3)).astype(dtype)])
    k = sg.compile(sg.parse(EXTREMES), loss="J", dtype=dtype)
    assert "_share" in k.source  # the softmax takes the exponentials of its sum
    found = k.forward(x=x)
    np.testing.assert_array_equal(found["top"], x.max(1))
    np.testing.assert_array_equal(found["low"], x.min(1))
    with np.errstate(all="ignore"):
        wanted = np.logaddexp.reduce(x.astype("float64"), 1)
        exact = x.astype("float64") - np.where(np.isfinite(wanted), x.max(1), 0)[:, None]
        shares = np.exp(exact - np.logaddexp.reduce(exact, 1)[:, None])
    close = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(found["all"], wanted.astype(dtype), close, close)
    np.testing.assert_allclose(found["p"], shares.astype(dtype), 4 * close, close)
