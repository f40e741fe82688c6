"""exp, log, tanh, … as text that vectorizes: `np.exp` in a loop of numba's is a call for every number, this is not.

A definition is a straight line of sums, products, choices and bits, for float32 and float64 from one text.
With u = n log 2 + r, |r| <= log(2)/2, and polynomials P fitted by Chebyshev interpolation:

    exp(u) = 2^n (1 + r + r^2 P(r))            log(2^k (1 + f)) = k log 2 + f - s (f - z P(z)),  s = f/(2 + f), z = s^2

    sin(u) = sin(pi/2 (q + n)), 4 u/(2 pi) = 4 (whole number) + n + q, |q| <= 1/2, float32 alone and computed in float64

sin and cos of float64 would need more than a thousand digits of 1/(2 pi) in such a line; they are functions in LLVM (sines.py).

(Muller et al., Handbook of Floating-Point Arithmetic, ch. 10; the form of log: Tang 1990.) Errors are below 2 units
of the last place, of tanh and logistic below 2.5, of erfc below 4 (tests/test_vecmath.py), and infinities, nan, -0 and
subnormal numbers have their values.
The functions are not to be reassociated, as the loops that use them are: `(u + big) - big` rounds u.

>>> vectorized("np.exp({0})")
'_exp({0})'
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import mpmath
import numpy as np

from symgrad.backends.pycode import named

# compiled apart, so that the flags of a caller do not reach them, and then inlined by LLVM
DECORATOR = '@njit(forceinline=True, error_model="numpy", fastmath={"contract"}, **_INNER)'
# a flag that says nothing where nothing is divided keeps those of a caller away
DECORATOR_OF_SINES = '@njit(forceinline=True, error_model="numpy", fastmath={"arcp"}, **_INNER)'

# NumPy's spelling, and the definition below that stands for it
SPELLINGS = {f"np.{name}": f"_{name}" for name in ("exp", "expm1", "log", "log1p", "tanh", "sin", "cos")}

_DEFINITIONS = '''
def _rank(u):
    """A whole number that is the larger the larger u is, the largest for nan: the maximum of such vectorizes."""
    bits = F(u if u == u else {nan}).view(_I)
    return _I(bits ^ ((bits >> {place_sign}) & {all_but_sign}))

def _of_rank(k):
    return _I(k ^ ((k >> {place_sign}) & {all_but_sign})).view(F)

def _expm1_near_0(r):
    """r + r^2 P(r), |r| <= log(2)/2."""
    p = {exp}
    return r + r*r*p

def _exp_sum(u, c):
    """2^n e^r, u + c = n log 2 + r, c of more digits than u; 2^n in two factors, since it may be subnormal."""
    x = {exp_least} if u < {exp_least} else u
    x = {exp_most} if x > {exp_most} else x
    t = (x + c)*{log2e} + {round_exp}
    n = t - {round_exp}
    r = ((x - n*{ln2_high}) - n*{ln2_low}) + c
    half = _I((F(t).view(_I) << {place_half}) & {exponent})
    rest = _I(_I(F(t).view(_I) << {place}) - half)
    return ({one} + _expm1_near_0(r))*_I(half).view(F)*_I(rest).view(F)

def _exp(u):
    return _exp_sum(u, -{zero})

def _expm1(u):
    """2^n (e^r - 1) + (2^n - 1), half of it first: 2^n may be too large."""
    x = {expm1_least} if u < {expm1_least} else u
    x = {exp_most} if x > {exp_most} else x
    t = x*{log2e} + {round_expm1}
    n = t - {round_expm1}
    r = (x - n*{ln2_high}) - n*{ln2_low}
    half = _I(F(t).view(_I) << {place}).view(F)
    y = {two}*(_expm1_near_0(r)*half + (half - {one_half}))
    return u if abs(u) < {tiny} else y

def _log_near_1(f, k):
    """log(1 + f) + k log 2, where 1 + f lies between sqrt(1/2) and sqrt(2)."""
    s = f/({two} + f)
    z = s*s
    square = {one_half}*f*f
    p = {log}
    return k*{ln2_high} + (f - (square - (s*(square + z*p) + k*{ln2_low})))

def _log(u):
    """u = 2^k (1 + f); the exponent counts from sqrt(1/2) on."""
    small = u < {normal}
    bits = F(u*{to_normal} if small else u).view(_I)
    power = (bits + {from_sqrt_half}) & {exponent}
    k = _I((power >> {place}) | {as_number}).view(F) - {number_bias}
    f = _I(bits - power + {bits_of_1}).view(F) - {one}
    y = _log_near_1(f, k - {normal_power} if small else k)
    y = y if u < {inf} else u
    y = y if u >= {zero} else {nan}
    return -{inf} if u == {zero} else y

def _log1p(u):
    """1 + u is rounded for its power 2^k alone: f = u/2^k + (1/2^k - 1)."""
    power = (F({one} + u).view(_I) + {from_sqrt_half}) & {exponent}
    k = _I((power >> {place}) | {as_number}).view(F) - {number_bias}
    scale = _I({exponent} - power + {bits_of_least}).view(F)  # 4/2^k, a normal number
    y = _log_near_1({quarter}*(u*scale + (scale - {four})), k)
    y = u if abs(u) < {tiny} else y
    y = y if u < {inf} else u
    y = y if u >= -{one} else {nan}
    return -{inf} if u == -{one} else y

def _tanh(u):
    """t/(2 + t), t = e^(2 |u|) - 1 = 2^n (e^r - 1) + (2^n - 1); beyond the largest that is taken it is 1."""
    a = abs(u)
    x = {two}*({tanh_most} if a > {tanh_most} else a)
    t = x*{log2e} + {round_tanh}
    n = t - {round_tanh}
    r = (x - n*{ln2_high}) - n*{ln2_low}
    scale = _I(F(t).view(_I) << {place}).view(F)
    e = _expm1_near_0(r)*scale + (scale - {one})
    y = e/({two} + e)
    y = u if a < {tiny} else (-y if u < {zero} else y)
    return y if a <= {inf} else u

def _erf_near_0(u):
    """u + u P(u^2), |u| <= 1."""
    z = u*u
    p = {erf}
    return u + u*p

def _erfc_above(a):
    """exp(-a^2) P(t)/(a + 1/2), t = (a - 3)/(a + 3), a >= 0.8; b has half the digits of a, so that b^2 is exact."""
    a = {erfc_most} if a > {erfc_most} else a
    b = _I(F(a).view(_I) & {first_half}).view(F)
    e = _exp_sum(-b*b, (b - a)*(b + a))
    t = (a - {three})/(a + {three})
    p = {erfc}
    return e*p/(a + {one_half})

def _erf(u):
    a = abs(u)
    far = {one} - _erfc_above(a)
    return _erf_near_0(u) if a < {one} else (-far if u < {zero} else far)

def _erfc(u):
    a = abs(u)
    far = _erfc_above(a)
    return {one} - _erf_near_0(u) if a < {erfc_near} else ({two} - far if u < {zero} else far)

def _part(p):
    """What is left of the nearest whole number, exactly."""
    return p - np.rint(p)

def _quarters(u):
    """4 u/(2 pi) less a multiple of 4, float64: a product with 29 digits of 1/(2 pi) is exact, and whole turns go."""
    x = np.float64(u)
    s = _part(x*{turn_0}) + _part(x*{turn_1}) + _part(x*{turn_2})
    s = _part(s) + _part(x*{turn_3}) + _part(x*{turn_4}) + _part(x*{turn_5})
    return 4.0*_part(s)

def _sin_of_quarters(q, n, odd):
    """sin(pi/2 (q + n)), |q| <= 1/2, n = -2..3."""
    z = q*q
    sine = {sine}
    cosine = {cosine}
    y = cosine if odd else q*sine
    return F(-y if abs(n - 0.5) > 1.0 else y)

def _sin(u):
    s = _quarters(u)
    n = np.rint(s)
    y = _sin_of_quarters(s - n, n, abs(n) == 1.0)
    return u if abs(u) < {tiny} else y

def _cos(u):
    s = _quarters(u)
    n = np.rint(s)
    return _sin_of_quarters(s - n, n + 1.0, abs(n) != 1.0)
'''
DEFINITIONS = named(_DEFINITIONS)
# of float64, by the functions of sines.py
SINES = {name: f"def {name}(u):\n    return {call}(u)" for name, call in (("_sin", "_sine"), ("_cos", "_cosine"))}
SINES_IMPORTS = """
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import njit
from numba.core import cgutils, types
from numba.extending import intrinsic
""".strip()


@dataclass(frozen=True)
class Format:
    """A binary floating-point format: digits of the significand with the leading 1, bias of the exponent."""

    dtype: str
    digits: int
    bias: int

    @property
    def place(self) -> int:
        """The lowest bit of the exponent."""
        return self.digits - 1

    def rounding(self, offset: int) -> int:
        """Added to a number and taken off again it rounds; between, the lowest bits are the integer + offset."""
        return 3 * (1 << (self.digits - 2)) + offset

    def number(self, value: Any) -> str:
        """A literal of the format."""
        if self.dtype == "float64":
            return repr(float(value))
        single = np.float32(value)
        plain = not single or 1e-4 < abs(single) < 1e9
        return f"F({np.format_float_positional(single, trim='-') if plain else np.format_float_scientific(single, trim='-')})"


FORMATS = {"float32": Format("float32", 24, 127), "float64": Format("float64", 53, 1023)}


@dataclass(frozen=True)
class Polynomial:
    """A function over an interval, how it is written in the definitions, and how many terms each format needs.

    `within`: the format it is computed in, if that is not the definition's.
    """

    function: Callable[[Any], Any]
    variable: str
    interval: tuple[Any, Any]
    terms: dict[str, int]
    within: str = ""


def _after_r(r: Any) -> Any:
    """(e^r - 1 - r)/r^2."""
    return (mpmath.expm1(r) - r) / r**2 if r else mpmath.mpf(1) / 2


def _erf_over_u(z: Any) -> Any:
    """erf(u)/u - 1, z = u^2."""
    u = mpmath.sqrt(z)
    return mpmath.erf(u) / u - 1


def _scaled_erfc(t: Any) -> Any:
    """exp(a^2) erfc(a) (a + 1/2), t = (a - 3)/(a + 3)."""
    a = 3 * (1 + t) / (1 - t)
    return mpmath.exp(a**2) * mpmath.erfc(a) * (a + 0.5)


def _after_2s(z: Any) -> Any:
    """(log((1 + s)/(1 - s)) - 2 s)/s^3, z = s^2."""
    s = mpmath.sqrt(z)
    return 2 * (mpmath.atanh(s) - s) / s**3 if z else mpmath.mpf(2) / 3


def _sine_over_q(z: Any) -> Any:
    """sin(pi/2 q)/q, z = q^2."""
    q = mpmath.sqrt(z)
    return mpmath.sin(mpmath.pi / 2 * q) / q if z else mpmath.pi / 2


def _cosine(z: Any) -> Any:
    """cos(pi/2 q), z = q^2."""
    return mpmath.cos(mpmath.pi / 2 * mpmath.sqrt(z))


def _sine_after_r(z: Any) -> Any:
    """(sin(r) - r)/r^3, z = r^2."""
    r = mpmath.sqrt(z)
    return (mpmath.sin(r) / r - 1) / z if z else -mpmath.mpf(1) / 6


def _cosine_after_square(z: Any) -> Any:
    """(cos(r) - 1 + r^2/2)/r^4, z = r^2."""
    return (mpmath.cos(mpmath.sqrt(z)) - 1 + z / 2) / z**2 if z else mpmath.mpf(1) / 24


EIGHTH_TURN = (mpmath.pi / 4 + 1e-4) ** 2
POLYNOMIALS = {
    "exp": Polynomial(_after_r, "r", (-0.34658, 0.34658), {"float32": 6, "float64": 11}),
    "erf": Polynomial(_erf_over_u, "z", (0, 1), {"float32": 8, "float64": 13}),
    "erfc": Polynomial(_scaled_erfc, "t", (-0.579, 0.8065), {"float32": 10, "float64": 22}),
    "log": Polynomial(_after_2s, "z", (0, 0.02944), {"float32": 4, "float64": 7}),
    "sine": Polynomial(_sine_over_q, "z", (0, 0.25), {"float32": 4}, "float64"),
    "cosine": Polynomial(_cosine, "z", (0, 0.25), {"float32": 5}, "float64"),
    # those of sines.py
    "sine of r": Polynomial(_sine_after_r, "z", (0, EIGHTH_TURN), {"float64": 6}),
    "cosine of r": Polynomial(_cosine_after_square, "z", (0, EIGHTH_TURN), {"float64": 6}),
}


def coefficients(row: Polynomial, dtype: str) -> list[Any]:
    """The polynomial through the Chebyshev nodes of the interval, lowest power first."""
    with mpmath.workdps(40):
        return list(reversed(mpmath.chebyfit(row.function, row.interval, row.terms[dtype])))


def horner(variable: str, numbers: Sequence[str]) -> str:
    """(a + x*(b + x*(c + …))) in short lines."""
    text = numbers[-1]
    for number in reversed(numbers[:-1]):
        text = f"({number} + {variable}*{text})"
    return textwrap.fill(text.replace("+ -", "- "), 110, subsequent_indent=" " * 9, break_on_hyphens=False)


def _split(value: Any, digits: int) -> tuple[Any, Any]:
    """A number of so many binary digits after the point, and the rest."""
    high = mpmath.floor(value * 2**digits) / 2**digits
    return high, value - high


def _numbers(form: Format) -> dict[str, Any]:
    """What the definitions call by name, as numbers of the format."""
    high, low = _split(mpmath.ln2, form.digits - 11 if form.digits > 24 else 15)
    least = 2 - form.bias - form.digits  # 2^least/2 is rounded to 0, 2^(bias + 1) to inf
    return {
        "zero": 0, "one_half": 0.5, "quarter": 0.25, "one": 1, "two": 2, "three": 3, "four": 4,
        "tiny": 2.0 ** -(form.digits + 1), "normal": 2.0 ** (1 - form.bias),
        "to_normal": 2.0**form.digits, "normal_power": form.digits,
        "log2e": 1 / mpmath.ln2, "ln2_high": high, "ln2_low": low,
        "exp_least": mpmath.floor((least - 1) * mpmath.ln2), "exp_most": mpmath.ceil((form.bias + 1) * mpmath.ln2),
        "expm1_least": mpmath.floor(-(form.digits + 1) * mpmath.ln2),
        "round_exp": form.rounding(2 * form.bias), "round_expm1": form.rounding(form.bias - 1),
        "tanh_most": mpmath.ceil((form.digits + 2) * mpmath.ln2 / 2), "round_tanh": form.rounding(form.bias),
        "erfc_near": 0.8, "erfc_most": mpmath.ceil(mpmath.sqrt(-least * mpmath.ln2)),
        "number_bias": 2**form.place + form.bias,
    }  # fmt: skip


def _turns(digits: int = 29, pieces: int = 6) -> dict[str, str]:
    """1/(2 pi) as a sum of float64 numbers of so many binary digits, rounded to the nearest: a sign stands for one more.

    The six reach 182 digits down: 128 for the largest float32, and 54 for what is left where a multiple of pi/2 lies near.
    """
    with mpmath.workprec(2 * digits * pieces):
        rest, out, place = 1 / (2 * mpmath.pi), {}, 2 + digits  # its first two digits are 0
        for k in range(pieces):
            piece = mpmath.nint(rest * 2**place) / 2**place
            rest, place = rest - piece, place + digits + 1
            out[f"turn_{k}"] = repr(float(piece))
    return out


def _bits(form: Format) -> dict[str, int]:
    """What the definitions call by name, as bits."""
    one = form.bias << form.place
    sqrt_half = int(mpmath.floor(mpmath.sqrt(2) * 2**form.place)) - 2**form.place + ((form.bias - 1) << form.place)
    return {
        "place_sign": form.place + (2 * form.bias + 1).bit_length(),
        "all_but_sign": (1 << form.place + (2 * form.bias + 1).bit_length()) - 1,
        "place": form.place, "place_half": form.place - 1, "exponent": (2 * form.bias + 1) << form.place,
        "bits_of_1": one, "bits_of_least": 1 << form.place, "from_sqrt_half": one - sqrt_half,
        "first_half": ((2 * form.bias + 2) << form.place) - (1 << (form.digits - form.digits // 2)),
        "as_number": (form.bias + form.place) << form.place,
    }  # fmt: skip


def decorated(name: str, dtype: str) -> str:
    """The definition as it stands in a module."""
    exact = dtype == "float64" and name in SINES
    return f"{DECORATOR_OF_SINES if exact else DECORATOR}\n{definition(name, dtype)}"


@lru_cache
def definition(name: str, dtype: str) -> str:
    """The text of a function for one type."""
    if dtype == "float64" and name in SINES:
        return SINES[name]
    form, text = FORMATS[dtype], DEFINITIONS[name]
    with mpmath.workdps(40):
        words = {word: form.number(value) for word, value in _numbers(form).items()}
        for word, row in POLYNOMIALS.items():
            if f"{{{word}}}" in text:  # a fit takes up to a tenth of a second
                within = FORMATS[row.within or dtype]
                words[word] = horner(row.variable, [within.number(c) for c in coefficients(row, dtype)])
        bits = {word: str(value) if value < 100 else hex(value) for word, value in _bits(form).items()}
    infinity, nan = ("F(np.inf)", "F(np.nan)") if dtype == "float32" else ("np.inf", "np.nan")
    return text.format(**words, **_turns(), **bits, inf=infinity, nan=nan)


def vectorized(text: str) -> str:
    """NumPy's functions in code for one number, replaced by the definitions here."""
    return re.sub(r"\bnp\.\w+\b", lambda found: SPELLINGS.get(found[0], found[0]), text)


def calls_sines(text: str) -> bool:
    """Whether a text needs `sines()`, and its imports."""
    return "_sine(" in text or "_cosine(" in text


@lru_cache
def sines() -> str:
    """The functions in LLVM for float64, as they go into modules."""
    text = Path(__file__).with_name("sines.py").read_text(encoding="utf-8")
    return text[text.index("def _splat(") :].strip("\n")
