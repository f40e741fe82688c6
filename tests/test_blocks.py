"""Blocks of rows: the emitted text run as plain Python with blocks of a row or two, against the numpy backend, which has none."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.backends import numba, threads
from symgrad.core.errors import SymgradError
from symgrad.core.program import Program
from symgrad.schedule.blocks import blocked
from symgrad.schedule.order import schedule
from symgrad.transform.normalize import normalize
from tests.models import MODELS, random_arrays
from tests.plain_python import plain_module

# a recurrence and a normalization over the examples; a sum that another equation reads; words; pooling, which starts at 0;
# rows counted from 1, read by their number, and reached from another row; a gradient with a term over the rows and one after them
OWN = {
    "recurrent": """
        index n in 1..N, t in 1..T, j, k in 1..H, i in 1..M
        input x[n,t,i], y[n]
        param U[j,i], W[j,k]
        h[n,0,j] = 0
        h[n,t,j] = tanh(sum(U[j,i]*x[n,t,i] for i) + sum(W[j,k]*h[n,t-1,k] for k)) for t in 1..T
        J = sum((sum(h[n,T,j] for j) - y[n])^2 for n)/N
    """,
    "normalized": """
        index n in 1..N, i in 1..M
        input x[n,i]
        param g[i], b[i]
        m[i] = sum(x[n,i] for n)/N
        v[i] = sum((x[n,i] - m[i])^2 for n)/N
        y[n,i] = g[i]*(x[n,i] - m[i])/sqrt(v[i] + 0.1) + b[i]
        J = sum(tanh(y[n,i]) for n, i)
    """,
    "counted": """
        index n, m in 1..N, i in 1..M
        input x[n,i], t[n]
        param w[i]
        a[n] = sum(w[i]*x[n,i] for i)*n
        z[n] = exp(-a[n]^2) + t[n]
        s = sum(z[n]*t[n]*x[n,i] for n, i)
        d[n] = sum((z[n] - z[m])^2 for m)
        J = s^2 + sum(d[n]*x[n,i]^2 for n, i) + sum(sin(d[n]*x[n,i]) for n, i)
    """,
    "pooled": """
        index n in 0..N-1, i in 0..M-1, p in 0..2, f in 1..F
        input x[n,i]
        param w[f,u]
        a[n,f,k] = relu(sum(w[f,u]*x[n,k+u] for u in 0..2) - 0.1) for k in 0..5
        q[n,f,p] = a[n,f,2*p] + a[n,f,2*p+1]^2
        J = sum(q[n,f,p]^2 for n, f, p)
    """,
    "mixture": """
        index n in 1..N, f in 1..F, i in 1..M
        input x[n,i]
        param m[f,i], s[f,i]
        r[n,f] = sum(((x[n,i] - m[f,i])*exp(-s[f,i]))^2 for i)
        q[n,f] = -sum(s[f,i] for i) - r[n,f]/2
        J = -sum(logsumexp(q[n,f] for f) for n)/N
    """,
}


def small_blocks(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """Blocks that all sizes of tests have some of, the last of two or three in a chunk of its own."""
    monkeypatch.setattr(numba, "BLOCK", 1)
    monkeypatch.setattr(numba, "SUMMED", 1)
    line = numba.block_line
    monkeypatch.setattr(numba, "block_line", lambda blocks, dtype: line(blocks, dtype).replace("max(1,", f"max({rows},", 1))
    monkeypatch.setattr(threads, "chunk_text", lambda blocks, schedule: str(2 * rows))
    monkeypatch.setattr(threads, "FEW", 2)


def assert_equal_to_whole(program: Program, arrays: dict[str, Any], tmp_path: Path, batch: tuple[str, ...] = ()) -> bool:
    """The kernel with blocks gives what the one of whole arrays does; whether it has blocks."""
    wrt = [name for name in program.free if program.tensors[name].values is None]
    one, other = (sg.compile(program, wrt=wrt, batch=batch, backend=backend) for backend in ("numba", "numpy"))
    module = plain_module(one.source, tmp_path)
    loss, grads = module.value_and_grad(
        **arrays, **({"_threads": 2} if "_threads" in signature(module.value_and_grad).parameters else {})
    )
    wanted, slopes = other(**arrays)
    assert loss == pytest.approx(wanted, rel=1e-12, nan_ok=True)
    for name, grad in grads.items():
        np.testing.assert_allclose(grad, slopes[name], rtol=1e-11, atol=1e-11 * np.abs(slopes[name]).max(initial=1.0), err_msg=name)
    return "_first" in one.source[: one.source.index("def _forward")]


@pytest.mark.parametrize("rows", [1, 2, 7])
@pytest.mark.parametrize("name", OWN)
def test_own_rows(name: str, rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum that is read before it is whole, a short array read at another row, zeros that are not set anew."""
    small_blocks(monkeypatch, rows)
    program = sg.parse(OWN[name])
    arrays = random_arrays(program, np.random.default_rng(3), {"N": 5, "T": 3, "H": 4, "M": 8, "F": 2})
    assert assert_equal_to_whole(program, arrays, tmp_path)


@np.errstate(over="ignore")  # in compiled code the bits of a number wrap around, in NumPy they warn
def test_all_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table's models, each for a batch of five examples in blocks of two."""
    small_blocks(monkeypatch, 2)
    found = 0
    for place, model in enumerate(MODELS.values()):
        program = model.program()
        batch = tuple(n for n in program.free if program.tensors[n].role == "input" and program.tensors[n].values is None)
        try:
            sg.compile(program, batch=batch, backend="numpy")
        except SymgradError:
            continue  # no input to batch, or its loss is no mean over examples
        rng = np.random.default_rng(place)
        examples = [model.arrays(rng) for _ in range(5)]
        arrays = {n: np.stack([e[n] for e in examples]) if n in batch else examples[0][n] for n in program.free}
        found += assert_equal_to_whole(program, arrays, tmp_path, batch)
    assert found >= 20


def test_empty_rows(tmp_path: Path) -> None:
    program = sg.parse(OWN["recurrent"])
    assert_equal_to_whole(program, random_arrays(program, np.random.default_rng(3), {"N": 1, "T": 2, "H": 3, "M": 0}), tmp_path)


def test_no_blocks_of_numbers() -> None:
    """A network of one example, whose every array is read once: nothing would be saved."""
    program = normalize(sg.parse("a[j] = sum(A[j,i]*x[i] for i); J = sum(b[j]*tanh(a[j]) for j)"))
    assert blocked(schedule(program, program.free, ["J"])).blocks == ()


def test_what_goes_together() -> None:
    """An equation that needs a whole sum follows the blocks; what is only needed inside has no more rows than a block."""
    program = normalize(sg.parse(OWN["counted"]))
    planned = blocked(schedule(program, program.free, ["J"]))
    first, second = [[kernel.statement.name for kernel in blocks.body] for blocks in planned.blocks]
    assert first == ["a_sum", "a", "z", "s"]
    assert second == ["d", "J_sum", "J_sum_2"]  # d[n] reads z of all rows
    assert [kernel.statement.name for kernel in planned.kernels[2:]] == ["J"]  # s² is known at the end
    assert [set(blocks.short) for blocks in planned.blocks] == [{"a_sum", "a"}, {"d"}]
    assert "with a, a_sum of a block" in str(planned)


def test_a_sum_over_the_rows_overtakes_what_sets_its_cells(tmp_path: Path) -> None:
    """A gradient's term over the rows that runs over all of them again, since another term waits for a sum that is whole."""
    program = sg.parse(OWN["mixture"])
    k = sg.compile(program, wrt=["m", "s"], backend="numba")
    inside, after = k.source[k.source.index("for _first in range") : k.source.index("def _checked")].split("if _part in (-1, 2):")
    assert "# s_bar[f,i] += sum(" in inside
    assert "s_bar[f, i] += " in after
    # two sums of rows over the same points stand in one nest
    lines = inside.split("\n")
    rows = [place for place, line in enumerate(lines) if "m_bar[f, i] +=" in line or "s_bar[f, i] +=" in line]
    assert len(rows) == 2
    assert rows[1] == rows[0] + 1
