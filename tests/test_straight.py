"""Long runs of scalar equations: the table of operations gives the same numbers as NumPy, whatever the chunks."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numba import njit

import symgrad as sg
from symgrad.backends import operations
from symgrad.backends.straight import LEAST

FORMS = (
    "sin({a})", "cos({a}) + {b}", "exp(-{a}^2)", "log(1 + {a}^2)*{b}", "tanh({a}) - {b}", "sigmoid({a})", "softplus({a})*{b}/2",
    "relu({a}) - {b}", "{a}*{b} + 0.3*{a}", "{a}/(1 + {b}^2)", "where({a} > {b}, {a}, 2*{b})", "max({a}, {b}, 0.1)",
    "min({a}, 2*{b})", "abs({a}) + sign({b})", "(1 + {a}^2)^1.5/(2 + {b}^2)^2", "sqrt(1 + {a}^4)", "erf({a}) - erfc({b})",
    "stop({a})*{b}", "log1p({a}^2) + expm1(-{b}^2)", "atan({a}) + sinh({b}/4)",
)  # fmt: skip


def long_model(count: int, seed: int = 0) -> str:
    """A program of scalar equations over three inputs and an array; each is kept small by a tanh."""
    rng = random.Random(seed)
    names = ["u", "v", "x[0]", "x[2]"]
    lines = ["minimize J", "input x[i in 0..3]"]
    for k in range(count):
        a, b = rng.choice(names[-9:]), rng.choice(names)
        lines.append(f"y_{k} = tanh({rng.choice(FORMS).format(a=a, b=b)})")
        names.append(f"y_{k}")
    return "\n".join([*lines, f"J = {' + '.join(names[-5:])} + u*sum(x[i]^2 for i)"])


ARRAYS = {"u": 0.3, "v": -0.7, "x": np.array([0.5, 1.0, -0.2, 2.0])}


@pytest.mark.parametrize(("dtype", "least"), [("float64", 1e-12), ("float32", 1e-4)])
def test_equals_numpy(dtype: str, least: float) -> None:
    """A wrong operation, operand order, sign of a power, or a value that is needed outside and not given out."""
    program = sg.parse(long_model(LEAST))
    kernel = sg.compile(program, wrt=["u", "v", "x"], dtype=dtype)
    assert "_straight(" in kernel.source
    value, grads = kernel(**ARRAYS)
    wanted, slopes = sg.compile(program, wrt=["u", "v", "x"], dtype=dtype, backend="numpy")(**ARRAYS)
    assert abs(value - wanted) <= least * abs(wanted)
    for name in grads:
        assert np.abs(grads[name] - slopes[name]).max() <= least * max(1, np.abs(slopes[name]).max())


def test_short_programs_stay_readable() -> None:
    """A table where a person could read equations."""
    assert "_straight(" not in sg.compile(sg.parse(long_model(10)), wrt="x").source


def carried_out(table: str, cells: list[float], dtype: str = "float64") -> Any:
    run, length = operations._straight(table, len(cells))

    @njit
    def f(w: Any) -> None:
        run(w)

    w = np.zeros(length, dtype)
    w[: len(cells)] = cells
    f(w)
    return w


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
def test_chunks_hand_values_on(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    """A value of an earlier function that is read in a later one, or a cell that is stored and loaded again."""
    monkeypatch.setattr(operations, "CHUNK", chunk)
    w = carried_out("load 0; const 2.0; mul 0 1; sin 2; load 1; sub 3 4; store 5 1; neg 2; store 7 2", [0.7, 0.25, 0.0])
    assert w[:3] == pytest.approx([0.7, math.sin(1.4) - 0.25, -1.4], rel=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_longest_tables_are_translated_as_they_stand(monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    """Another number where LLVM does not improve the code; here the smallest counts as the longest."""
    table = "load 0; const 0.1; div 0 1; exp 2; pick <= 3 1 3 0; pick != 3 3 1 3; pow 4 5; fmax 6 1; sin 7; cos 7; neg 8; "
    table += "store 10 1; store 9 2"
    wanted = carried_out(table, [-0.7, 0.0, 0.0], dtype)
    monkeypatch.setattr(operations, "LONG", 1)
    monkeypatch.setattr(operations, "CHUNK", 4)
    found = carried_out(table, [-0.7, 0.0, 0.0], dtype)
    assert wanted[1] != 0
    np.testing.assert_allclose(found[:3], wanted[:3], 4 * np.finfo(dtype).eps)


def test_additions_to_cells_are_rows() -> None:
    """A loop of one step for every cell of an array's gradient, each compiled by numba."""
    lines = [f"v_{k} = sin(v_{k - 1}) + {k}*x[{k % 7}]/9" for k in range(1, LEAST)]
    program = sg.parse("\n".join(["input x[i in 0..6]", "v_0 = x[3]*x[4]", *lines, f"J = v_{LEAST - 1}", "minimize J"]))
    kernel = sg.compile(program, wrt=["x"])
    entry = kernel.source.partition("def _value_and_grad(")[2].partition("return (")[0]
    assert "for " not in entry
    assert "x_bar[...] = 0.0" in entry
    x = np.linspace(0.1, 0.7, 7)
    value, grads = kernel(x=x)
    wanted, slopes = sg.compile(program, wrt=["x"], backend="numpy")(x=x)
    assert value == pytest.approx(wanted, rel=1e-12)
    np.testing.assert_allclose(grads["x"], slopes["x"], 1e-10)


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sines_with_cosines(monkeypatch: pytest.MonkeyPatch, chunk: int, dtype: str) -> None:
    """Sine and cosine of a number, taken at once by an earlier function, exchanged, lost, or of another number."""
    monkeypatch.setattr(operations, "CHUNK", chunk)
    table = "load 0; sin 0; load 1; cos 2; add 1 3; cos 0; sin 2; cos 0; sin 4; " + "".join(
        f"store {row} {2 + k}; " for k, row in enumerate((1, 3, 5, 6, 7, 8))
    )
    w = carried_out(table, [0.7, 0.25, *[0.0] * 6], dtype)
    a, b = 0.7, 0.25
    wanted = [math.sin(a), math.cos(b), math.cos(a), math.sin(b), math.cos(a), math.sin(math.sin(a) + math.cos(b))]
    assert w[2:8] == pytest.approx(wanted, rel=1e-15 if dtype == "float64" else 1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extremes_and_choices_at_nan(dtype: str) -> None:
    """max that loses a nan, a comparison that holds for one."""
    equations = "\n".join(f"z_{k} = {k}*z_{k - 1}/{k}" for k in range(1, LEAST + 1))
    text = f"minimize J\nz_0 = u\n{equations}\nm = max(z_{LEAST}, v)\nw = where(u < v, 1, 2)\nJ = m + w + abs(sign(u))"
    kernel = sg.compile(sg.parse(text), wrt=["v"], dtype=dtype)
    assert "_straight(" in kernel.source
    for u, v in ((np.nan, 1.0), (1.0, np.nan), (-0.0, 0.0), (np.inf, 1.0)):
        with np.errstate(invalid="ignore"):
            wanted = float(np.maximum(u, v)) + (1 if u < v else 2) + abs(float(np.sign(u)))
        assert kernel(u=u, v=v)[0] == pytest.approx(wanted, nan_ok=True)


def test_a_second_process_reads_the_cache() -> None:
    """Machine code that holds an address of the process that made it."""
    model = f"sg.compile(sg.parse({long_model(LEAST)!r}), wrt='u')"
    code = f"import symgrad as sg; print(repr({model}(u=0.3, v=-0.7, x=[0.5, 1, -0.2, 2])[0]))"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert runs[0] == runs[1] != ""
