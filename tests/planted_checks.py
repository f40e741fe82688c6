"""Quick checks, one a lane of the compiler: each compares what it is given with numbers that were found before a bug is planted.

oracle     collected adjoints, evaluated at 50 digits            plain      numba's text, run as plain Python
forward    tangents, likewise                                    fit        two steps of training
arrays     a kernel on whole arrays                              checkpoint the same in segments
closed     what is printed, and read back                        refuses    data that do not fit
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import mpmath
import numpy as np

import symgrad as sg
from symgrad.core.evaluate import evaluate
from symgrad.core.program import Program
from tests.models import MODELS, random_arrays
from tests.plain_python import import_text, plain_module
from tests.program_checks import close, difference, direction, dot, explained, forward_mode, largest, same
from tests.reference import adjoints, loss_of, reals

FORMS = ("parts", "one")
ALL: Any = slice(None)


@cache
def case(text: str) -> tuple[Program, dict[str, Any], Any]:
    """Program and arrays of a text, or of a model of the table, and its loss."""
    model = MODELS.get(text)
    program = model.program() if model else sg.parse(text)
    rng = np.random.default_rng(3)
    arrays = model.arrays(rng) if model else random_arrays(program, rng, {"N": 4, "K": 3})
    return program, arrays, loss_of(program)


@cache
def slope(text: str) -> Any:
    """The difference of the loss along a direction."""
    program, arrays, loss = case(text)
    return difference(program, arrays, direction(arrays, reals(program), 1), lambda a: evaluate(program, a)[loss])


@cache
def wanted(text: str) -> tuple[Any, dict[str, Any]]:
    program, arrays, loss = case(text)
    return evaluate(program, arrays)[loss], adjoints(program, arrays, loss)


def prepare(name: str, text: str) -> None:
    """What a check compares with, found while nothing is planted."""
    if name in ("oracle",):
        slope(text)
    elif name in ("arrays", "plain", "chunks", "checkpoint", "batched"):
        wanted(text)
    elif name == "fit":
        by_hand(text)


def oracle(text: str) -> None:
    program, arrays, loss = case(text)
    by = direction(arrays, reals(program), 1)
    for form in FORMS:
        found = adjoints(program, arrays, loss, form)  # type: ignore[arg-type]
        close(dot(found, by), slope(text), 1e-25, largest(found))


def forward(text: str) -> None:
    program, arrays, _ = case(text)
    forward_mode(program, arrays)


def closed(text: str) -> None:
    program, arrays, _ = case(text)
    explained(program, arrays)


def called(function: Any, kernel: Any, arrays: dict[str, Any]) -> Any:
    return function(**{name: arrays[name] for name in kernel._arguments("value_and_grad")})


def right(found: Any, text: str) -> None:
    value, slopes = found
    close(value, wanted(text)[0], 1e-12)
    same(slopes, {name: wanted(text)[1][name] for name in slopes}, 1e-12)


def arrays(text: str, **options: Any) -> None:
    program, given, loss = case(text)
    kernel = sg.compile(program, loss, reals(program), backend="numpy", **options)
    right(called(kernel, kernel, given), text)


def checkpoint(text: str) -> None:
    arrays(text, checkpoint=2)


def plain(text: str, chunks: bool = False) -> None:
    """New memory holds nan, blocks have two rows, and gemm is called wherever it can be."""
    program, given, loss = case(text)
    kernel = sg.compile(program, loss, reals(program))
    with tempfile.TemporaryDirectory() as folder:
        module = plain_module(kernel.source, Path(folder))
        if hasattr(module, "_empty"):
            module._empty = spoiled
        if hasattr(module, "_rows_value_and_grad"):
            module._rows_value_and_grad = in_twos(module._rows_value_and_grad, chunks)
        right(called(module.value_and_grad, kernel, given), text)


def chunked(text: str) -> None:
    """Rows in chunks of one, one after the other, into sums of their own."""
    plain(text, chunks=True)


def in_twos(rows: Callable[..., Any], in_chunks: bool) -> Callable[..., Any]:
    """Blocks of two rows, so that there are several."""

    def small(*sizes: Any) -> Any:
        whole, blocks, chunks = rows(*sizes)
        if in_chunks:
            return False, tuple(1 for _ in blocks), tuple((count, 1) for count, _ in chunks)
        return whole, tuple(min(block, 2) for block in blocks), chunks

    return small


def spoiled(shape: Any, dtype: Any) -> Any:
    return np.full(shape, np.nan if np.dtype(dtype).kind == "f" else 77, dtype)


def batched(text: str) -> None:
    """The mean over two examples, the same one twice."""
    program, given, loss = case(text)
    kernel = sg.compile(program, loss, reals(program), batch=("x",), backend="numpy")
    twice = {**given, "x": np.stack([given["x"]] * 2)}
    value, slopes = called(kernel, kernel, twice)
    close(value, wanted(text)[0], 1e-12)
    same({n: np.sum(s, 0) if n == "x" else s for n, s in slopes.items()}, wanted(text)[1], 1e-12)


RATE = 0.25


@cache
def by_hand(text: str) -> dict[str, Any]:
    program, given, loss = case(text)
    sign = 1 if program.goal == "maximize" else -1
    for _ in range(2):
        slopes = adjoints(program, given, loss)
        given = {**given, **{n: np.asarray(given[n], object) + sign * RATE * slopes[n] for n in program.params}}
    return {n: given[n] for n in program.params}


def fit(text: str) -> None:
    program, given, loss = case(text)
    kernel = sg.compile(program, loss, backend="numpy")
    start, data = ({n: a for n, a in given.items() if (n in program.params) == chosen} for chosen in (True, False))
    found = kernel.fit(start, data, sg.SGD(RATE), epochs=2, batch_size=None, progress=False)
    same(found.params, by_hand(text), 1e-12)


REFUSED = {  # a text, data that do not fit, and the code
    "a class beyond the last":
        ("input label in 1..3; input b[k in 1..3]; J = b[label]^2", {"label": 7, "b": [1.0, 2.0, 3.0]}, "SG605"),
    "two lengths of one axis": ("J = sum(x[i]*y[i] for i in 1..N)", {"x": [1.0, 2.0], "y": [1.0, 2.0, 3.0]}, "SG604"),
    "a read past the end": ("input x[n in 1..N]; J = sum(x[i+2]^2 for i in 1..3)", {"x": [1.0, 2.0, 3.0]}, "SG605"),
    "an axis too many": ("J = sum(x[i]^2 for i in 1..N)", {"x": [[1.0, 2.0]]}, "SG602"),
}  # fmt: skip


def refuses(name: str) -> None:
    text, data, code = REFUSED[name]
    kernel = sg.compile(sg.parse(text), "J", backend="numpy")
    try:
        kernel(**{n: np.asarray(a) for n, a in data.items()})
    except sg.SymgradError as error:
        assert error.code == code, error
        return
    raise AssertionError(f"{name} is taken")


def claims(text: str) -> None:
    """A page of claims, each with its verdict: `model | right claim | wrong claim`."""
    model, *lines = text.split(" | ")
    verdicts = [sg.check(sg.parse(model), line)[0].verdict for line in lines]
    assert verdicts == ["right", "wrong"][: len(lines)], verdicts


EXACT = {"_exp": mpmath.exp, "_expm1": mpmath.expm1, "_log": mpmath.log, "_log1p": mpmath.log1p, "_tanh": mpmath.tanh,
         "_erf": mpmath.erf, "_erfc": mpmath.erfc, "_sin": mpmath.sin, "_cos": mpmath.cos}  # fmt: skip
POINTS = (1e-9, 0.003, 0.11, 0.34, 0.5, 0.71, 0.93, 1.4, 2.2, 3.7, 5.9, 9.0, 17.3)


def vecmath(name: str) -> None:
    """Within 8 units of the last place at points of every branch; `name` is "_exp float64"."""
    from symgrad.backends.vecmath import DEFINITIONS, definition

    function, dtype = name.split()
    whole = {"float64": "int64", "float32": "int32"}[dtype]
    body = "\n\n".join(
        definition(each, dtype) for each in DEFINITIONS if dtype == "float32" or not re.search("sin|cos|quarters", each)
    )
    head = f"import numpy as np\nF, _I = np.{dtype}, np.{whole}\n"
    with tempfile.TemporaryDirectory() as folder, np.errstate(all="ignore"):
        module = import_text(Path(folder), head + body)
        real = getattr(np, dtype)
        for point in map(real, POINTS):
            for u in (point,) if function in ("_log", "_log1p") else (point, -point):
                found, exact = float(getattr(module, function)(u)), EXACT[function](mpmath.mpf(float(u)))
                ulp = float(np.spacing(real(abs(exact))))
                assert abs(found - exact) <= 8 * ulp, f"{function}({u}) = {found}, not {exact}"


CHECKS: dict[str, Callable[[str], None]] = {
    "oracle": oracle, "forward": forward, "closed": closed, "arrays": arrays, "checkpoint": checkpoint, "plain": plain,
    "chunks": chunked,
    "batched": batched, "fit": fit, "refuses": refuses, "claims": claims, "vecmath": vecmath,
}  # fmt: skip
