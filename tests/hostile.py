# ruff: noqa: E501  (tables of texts)
"""Texts and names that someone might send who wants more than a gradient: mutations of good texts, and names of all kinds.

>>> name(3) == name(3), len({name(seed) for seed in range(100)}) > 60
(True, True)
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from random import Random

import symgrad as sg
from symgrad.core.errors import SymgradError
from tests.models import MODELS

ROOT = Path(__file__).parent.parent
CANARY = "symgrad_canary"
CODE = (
    f"open('{CANARY}','w')", f"x);open('{CANARY}','w');(", f"__import__('os').system('touch {CANARY}')", "x);import os;(", "().__class__",
    f"x\nopen('{CANARY}','w')", f'"""\nopen("{CANARY}","w")\n"""', "x#", "x;y=1", "{x}", "{0.__class__}", "%s", "$(touch x)", "`id`", "x\\", "lambda: 0",
)  # fmt: skip
MARKUP = (
    "<script>alert(1)</script>", "x<b>", "a&b", '"><img src=x onerror=alert(1)>', "]]>", "<!--", '"];x[label="', "#import", "#read(\"x\")", "$x$",
)  # fmt: skip
TEX = (
    r"\write18{touch x}", r"\input{/etc/passwd}", r"\immediate\write18", r"\def\x{y}", r"\catcode`\%=0", r"\csname end\endcsname", r"\openout1=x",
    r"\directlua{x}", r"\end{document}", "^^5cinput", "a%b", "a#1", "~", r"\\", r"\usepackage{x}", r"\newcommand{\sin}{x}", r"\special{x}", r"\alpha", r"x_{\alpha}",
)  # fmt: skip
OWN = (
    "_gemm", "_BLAS", "F", "_D", "np", "math", "njit", "N_bar", "x_bar", "_c1", "_rows", "check", "forward", "value_and_grad", "buffers", "self",
    "_KEPT", "_work", "_run_value_and_grad", "DataError", "_array", "_count", "_first", "symgrad", "type", "range", "next", "x_rows", "t", "n_N_",
)  # fmt: skip
DUNDER = ("__class__", "__import__", "__builtins__", "__file__", "__name__", "__init__", "__globals__", "a__b", "_", "__", "x_")
CHARACTERS = (
    *"'\"\n\r\t\0\\ \u202e\u200b\u2066\u00ad\ufeff\u0301\u2028\u0430\u0445\u212f\uff4e\U0001f600\U0001d465\ud800αβθΩ′²₁*^_{}[]()<>&#%$;:,.|/@!?~`",
)
GOOD = ("x", "theta", "alpha", "x_1", "y_star", "W", "hidden", "lambda", "beta", "S", "Q", "E", "I", "N")
KEYWORDS = (
    *keyword.kwlist,
    *keyword.softkwlist,
    *(name for name in dir(__builtins__) if name.isidentifier()),
    "open",
    "eval",
    "print",
    "len",
)
POOLS: Sequence[Sequence[str]] = (CODE, MARKUP, TEX, OWN, DUNDER, CHARACTERS, GOOD, KEYWORDS)


def name(seed: int) -> str:
    """A name: one of a pool, two with something between, or one with characters put in; some are very long."""
    rng = Random(seed)
    found = rng.choice(rng.choice(POOLS))
    match rng.randrange(6):
        case 0:
            found += rng.choice(rng.choice(POOLS))
        case 1:
            place = rng.randrange(len(found) + 1)
            found = found[:place] + rng.choice(CHARACTERS) + found[place:]
        case 2:
            found = rng.choice(GOOD) + rng.choice(("", "_", "^", "_{")) + found
        case 3 if rng.random() < 0.1:
            found *= rng.choice((10, 100, 10_000))
    return found


@cache
def texts() -> tuple[str, ...]:
    """The examples, the equations of the docs and the models of the tests."""
    found = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "examples").rglob("*.sg"))]
    for path in sorted((ROOT / "docs").rglob("*.md")):
        found += [block for block in re.findall(r"```\w*\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL) if "=" in block]
    return tuple(dict.fromkeys((*found, *(model.text for model in MODELS.values()))))


@cache
def latex_texts() -> tuple[str, ...]:
    """The same models as LaTeX, and what there is of LaTeX in the examples."""
    found = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "examples").rglob("*.tex"))]
    return tuple(dict.fromkeys((*found, *(sg.program_latex(model.program()) for model in MODELS.values()))))


def tokens(text: str) -> list[str]:
    return re.findall(r"\\?\w+|\s+|[^\w\s]", text)


def mutated(good: Sequence[str], seed: int) -> str:
    """One of the good texts after one to four changes."""
    rng = Random(seed)
    text = rng.choice(good)
    for _ in range(rng.randint(1, 4)):
        text = rng.choice(CHANGES)(text, rng, good)
    return text


def _bytes(text: str, rng: Random, good: Sequence[str]) -> str:
    data = bytearray(text.encode("utf-8", "surrogatepass") or b"x")
    for _ in range(rng.randint(1, 3)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return data.decode("utf-8", "replace")


def _characters(text: str, rng: Random, good: Sequence[str]) -> str:
    place = rng.randrange(len(text) + 1)
    return text[:place] + rng.choice(CHARACTERS) + text[place + rng.randrange(2) :]


def _tokens(text: str, rng: Random, good: Sequence[str]) -> str:
    found, other = tokens(text) or ["x"], tokens(rng.choice(good)) or ["x"]
    place = rng.randrange(len(found))
    match rng.randrange(4):
        case 0:
            found[place] = rng.choice(other)
        case 1:
            found.insert(place, rng.choice(other))
        case 2:
            del found[place]
        case 3:
            there = rng.randrange(len(found))
            found[place], found[there] = found[there], found[place]
    return "".join(found)


def _lines(text: str, rng: Random, good: Sequence[str]) -> str:
    found = text.split("\n")
    place, there = rng.randrange(len(found)), rng.randrange(len(found))
    match rng.randrange(4):
        case 0:
            found[place], found[there] = found[there], found[place]
        case 1:
            found.insert(there, found[place])
        case 2:
            del found[place]
        case 3:
            found.insert(there, rng.choice(rng.choice(good).split("\n")))
    return "\n".join(found)


def _nested(text: str, rng: Random, good: Sequence[str]) -> str:
    found = tokens(text) or ["x"]
    place, times = rng.randrange(len(found)), rng.choice((1, 2, 10, 150, 500, 5000))
    left, right = rng.choice(
        (("(", ")"), ("exp(", ")"), ("[", "]"), ("{", "}"), (r"\frac{", "}{2}"), ("-", ""), ("", "^2"), ("|", "|"))
    )
    found[place] = left * times + found[place] + right * times
    return "".join(found)


def _cut(text: str, rng: Random, good: Sequence[str]) -> str:
    return text[: rng.randrange(len(text) + 1)]


def _hostile(text: str, rng: Random, good: Sequence[str]) -> str:
    found = tokens(text) or ["x"]
    found[rng.randrange(len(found))] = name(rng.randrange(10**9))
    return "".join(found)


CHANGES: tuple[Callable[[str, Random, Sequence[str]], str], ...] = (
    _bytes,
    _characters,
    _tokens,
    _tokens,
    _lines,
    _nested,
    _cut,
    _hostile,
)


def shrunk(text: str, fails: Callable[[str], bool], tries: int = 300) -> str:
    """A shorter text that still fails: halves, lines, tokens taken out while that is so."""
    size = max(1, len(text) // 2)
    while size and tries > 0:
        for smaller in _shorter(text, size):
            tries -= 1
            if fails(smaller):
                text = smaller
                break
            if tries <= 0:
                break
        else:
            size //= 2
    return text


def _shorter(text: str, size: int) -> Iterator[str]:
    return (text[:place] + text[place + size :] for place in range(0, len(text), size))


def answered(run: Callable[[], object]) -> BaseException | None:
    """What a run raises that is no refusal of symgrad's."""
    try:
        run()
    except SymgradError as refusal:
        str(refusal)
        return None
    except (Exception, RecursionError) as error:
        return error
    return None
