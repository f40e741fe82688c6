"""Recurrences in segments: the same gradients as of whole arrays, from arrays for about √T steps; what does not fit is refused.

The numpy backend and the numba text run as plain Python are held to the kernel without segments.
"""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.backends.module import module_text
from symgrad.compiler import explained, gradient_part, lower
from symgrad.core.dependence import recurrent
from symgrad.core.errors import SymgradError
from symgrad.core.graph import find_loss
from symgrad.schedule.checkpoint import checkpointed
from tests.gallery import GALLERY
from tests.models import MODELS, random_arrays
from tests.plain_python import import_text, plain_module

ROUNDING = 4e-15  # of the largest cell of a gradient: sums over time are added in another order

TANH = """
    index t in 1..T, i in 1..M, j, k in 1..H
    input x[t,i], y^*[t,j]
    param U[j,i], W[j,k], c[j]
    h[0,j] = 0
    h[t,j] = tanh(sum(U[j,i]*x[t,i] for i) + sum(W[j,k]*h[t-1,k] for k) + c[j])
    J = sum((h[t,j] - y^*[t,j])^2 for t, j)/(T*H)
"""
NUMBER = """
    index t in 1..T
    input x[t], y^*[t]
    param w, u, h_0
    h[0] = h_0
    h[t] = sin(w*h[t-1] + u*x[t])
    J = sum((h[t] - y^*[t])^2 for t)
"""
# two layers; words; states of two steps back; a loss and classes at fixed steps; a value that the next step reads too;
# log-sum-exps in time; states and steps of several kinds; a mean of all states; sums over parts of a row; ends that
# are numbers
OTHERS = {
    "layers": """
        index t in 1..T, i, k in 1..N, j, l in 1..M
        input x[t,i], y^*[t]
        param A[i,k], B[j,i], C[j,l]
        h[0,i] = 0
        h[t,i] = tanh(sum(A[i,k]*h[t-1,k] for k) + x[t,i])
        g[0,j] = 0
        g[t,j] = tanh(sum(C[j,l]*g[t-1,l] for l) + sum(B[j,i]*h[t,i] for i))
        J = sum((sum(g[t,j] for j) - y^*[t])^2 for t)
    """,
    "words": """
        index t in 1..T, i, k in 1..N
        input w[t] in 1..V, y^*[t]
        param E[v in 1..V,i], A[i,k]
        h[0,i] = 0
        h[t,i] = tanh(sum(A[i,k]*h[t-1,k] for k) + E[w[t],i])
        J = sum((sum(h[t,i] for i) - y^*[t])^2 for t)
    """,
    "two back": """
        index t in 2..T
        input x[t], y^*[t]
        param w, u, v, g[k in 0..1]
        h[0] = g[0]
        h[1] = g[1]
        h[t] = sin(w*h[t-1] + v*h[t-2] + u*x[t])
        J = sum((h[t] - y^*[t])^2 for t)
    """,
    "last": """
        index t in 1..T, i, k in 1..N, c, e in 1..M
        input x[t,i], y^*[c]
        param A[i,k], V[c,i]
        h[0,i] = 0
        h[t,i] = tanh(sum(A[i,k]*h[t-1,k] for k) + x[t,i])
        o[c] = sum(V[c,i]*h[T,i] for i)
        J = logsumexp(o[e] for e) - sum(y^*[c]*o[c] for c) + max(h[1,i] for i)*h[T,1]
    """,
    "next reads": """
        index t in 1..T
        input x[t], y^*[t]
        param w, u
        z[t] = exp(u*x[t])
        h[0] = 0
        h[t] = sin(w*h[t-1] + z[t])
        J = sum((h[t] - h[t-1]*y^*[t])^2 for t) + sum(z[t]^2 for t)
    """,
    "chain": """
        index t in 1..T, i, k in 1..N
        param A[i,k], x[t,i]
        h[0,i] = 0
        h[t,i] = logsumexp(A[i,k] + h[t-1,k] for k) + x[t,i]
        J = logsumexp(h[T,i] for i)
    """,
    "leapfrog": """
        index t in 1..T
        input q^*[t]
        param q_0, p_0, k, e
        q[0] = q_0
        p[0] = p_0
        p[t] = p[t-1] - e*k*sin(q[t-1])
        q[t] = q[t-1] + e*p[t]
        J = sum((q[t] - q^*[t])^2 for t)
    """,
    "mean": """
        index t in 1..T, i, k in 1..N
        input x[t,i], y^*
        param A[i,k], v[i]
        h[0,i] = 0
        h[t,i] = tanh(sum(A[i,k]*h[t-1,k] for k) + x[t,i])
        m[i] = sum(h[t,i] for t)/T
        J = (sum(v[i]*m[i] for i) - y^*)^2
    """,
    "triangle": """
        index t in 1..T, i in 1..N
        input y^*[t,i]
        param A[i,j in 1..N], x[t,i]
        s[t,i] = sum(x[t,i]*A[i,j] for j in 1..i)
        h[0,i] = 1
        h[t,i] = sin(sum(A[i,j]*h[t-1,j] for j in i..N) + s[t,i])
        J = sum((h[t,i] - y^*[t,i])^2 for t, i)
    """,
    "numbers": """
        index t in 1..30
        input x[t], y^*
        param w
        h[0] = 1
        h[t] = sin(w*h[t-1] + x[t])
        J = (h[30] - y^*)^2 + sum(h[t]^2 for t in 5..20)
    """,
}
REFUSED = {
    "no recurrence": ("index t in 1..T; input x[t]; param w; J = sum(w*x[t] for t)", "step by step"),
    "both ways": (
        """index t in 1..T; input x[t]; param w
        h[0] = 0
        h[t] = sin(w*h[t-1] + x[t])
        g[T+1] = 0
        g[t] = sin(w*g[t+1] + x[t])
        J = sum(h[t]*g[t] for t)""",
        "against the order",
    ),
    "each with each": (
        """index t, r in 1..T; input x[t]; param w
        h[0] = 0
        h[t] = sin(w*h[t-1] + x[t])
        J = sum(sin(h[t]*h[r]) for t, r)""",
        "h",
    ),
    "twice": (
        """index t in 1..T; input x[t]; param w
        h[0] = 0
        h[t] = sin(w*h[t-1] + x[t])
        m = sum(h[t] for t)/T
        J = sum((h[t] - m)^2 for t)""",
        "all steps at every step",
    ),
    "product": (
        """index t in 1..T; input x[t]; param w
        h[0] = 0
        h[t] = sin(w*h[t-1] + x[t])
        J = prod(h[t] for t)""",
        "prod",
    ),
    "later": (
        """index t in 1..T; input x[t]; param w
        h[0] = 0
        h[t] = sin(w*h[t-1] + x[t])
        J = sum(exp(d[t]) for t in 1..T-1)
        d[t] = sin(h[t+1]*h[t]) for t in 1..T-1""",
        "comes later",
    ),
}


def errors(found: Any, wanted: Any) -> float:
    """The largest difference, of what each gradient's largest cell is."""
    pairs = [(found[0], wanted[0]), *((found[1][name], wanted[1][name]) for name in wanted[1])]
    return max(float(np.abs(a - b).max(initial=0) / (np.abs(b).max(initial=0) + 1e-300)) for a, b in pairs)


def same(
    program: sg.Program,
    arrays: list[dict[str, Any]],
    folder: Path,
    checkpoints: tuple[int | None, ...] = (None, 2),
    batch: tuple[str, ...] = (),
    wrt: Sequence[str] = (),
) -> None:
    """Segments of √T and of so many change nothing, in either backend."""
    loss = find_loss(program, None)
    part = gradient_part(lower(program, loss, batch), loss, tuple(wrt or program.params))
    cut = [replace(part, schedule=checkpointed(part.schedule, wanted)) for wanted in checkpoints]
    for backend, load in (("numpy", import_from), ("numba", plain_module)):
        whole, *others = (load(module_text(program, [one], "float64", backend), folder) for one in (part, *cut))
        for given in arrays:
            wanted = whole.value_and_grad(**given)
            for other in others:
                assert errors(other.value_and_grad(**given), wanted) < ROUNDING


def import_from(text: str, folder: Path) -> Any:
    return import_text(folder, text)


@pytest.mark.parametrize("text", [TANH, NUMBER], ids=["tanh", "number"])
def test_lengths(text: str, tmp_path: Path) -> None:
    """One step, fewer than segments, and lengths that are no multiple of the segments'."""
    program = sg.parse(text)
    sizes = [1, 2, 3, 4, 8, 17, 100]
    arrays = [random_arrays(program, np.random.default_rng(T), {"T": T, "H": 3, "M": 2}) for T in sizes]
    same(program, arrays, tmp_path, (None, 1, 3, 1000))


def test_batch(tmp_path: Path) -> None:
    """Examples are rows of the products; in numba's text they come in blocks."""
    program = sg.parse(TANH)
    r = np.random.default_rng(0)
    shapes = {"x": (4, 11, 2), "y_star": (4, 11, 3), "U": (3, 2), "W": (3, 3), "c": (3,)}
    arrays = {name: r.normal(size=shape) for name, shape in shapes.items()}
    same(program, [arrays], tmp_path, batch=("x", "y_star"))
    same(program, [arrays], tmp_path, batch=("x", "y_star"), wrt=["x", "W"])


@pytest.mark.parametrize("name", OTHERS)
def test_others(name: str, tmp_path: Path) -> None:
    program = sg.parse(OTHERS[name])
    arrays = [random_arrays(program, np.random.default_rng(T), {"T": T, "N": 3, "M": 2, "V": 5}) for T in (2, 5, 13)]
    same(program, arrays, tmp_path)


@pytest.mark.parametrize("name", ["lstm", "gru", "pendulum"])
def test_gallery(name: str, tmp_path: Path) -> None:
    model = GALLERY[name]
    arrays = [model.arrays(np.random.default_rng(0))]
    program = sg.read(model.file)
    if name == "lstm":
        arrays.append(random_arrays(program, np.random.default_rng(0), {"T": 100, "S": 2, "M": 2, "N": 3}))
    same(program, arrays, tmp_path)


def test_all_models(tmp_path: Path) -> None:
    """Each recurrence of the table is done or refused."""
    done = 0
    for place, model in enumerate(MODELS.values()):
        program = model.program()
        if not recurrent(program):
            continue
        wrt = [name for name in program.free if program.tensors[name].values is None]
        try:
            same(program, [model.arrays(np.random.default_rng(place))], tmp_path, (None,), wrt=wrt)
            done += 1
        except SymgradError as error:
            assert error.code == "SG408", model.name
    assert done >= 5


def test_compiled() -> None:
    """What numba makes of it."""
    program = sg.parse(NUMBER)
    arrays = random_arrays(program, np.random.default_rng(0), {"T": 50})
    whole, kept = (sg.compile(program, backend=b, checkpoint=c, dtype="float32") for b, c in (("numpy", False), ("numba", True)))
    assert errors(kept(**arrays), whole(**arrays)) < 2e-6


# memory


def made(kernel: Any, **sizes: int) -> dict[str, tuple[int, ...]]:
    """The shapes of the arrays that a call makes."""
    shapes = kernel.module._shapes_value_and_grad
    names = shapes.__code__.co_varnames[: shapes.__code__.co_argcount]
    given = {"length": 101, "segments": 100, **sizes}
    found: dict[str, tuple[int, ...]] = shapes(**{name: given[name] for name in names})
    return found


def test_arrays_are_short() -> None:
    """T = 10,000: no array that a call makes has a cell for each step, and all have 2·101 at most."""
    program = sg.parse(TANH)
    whole, kept = (made(sg.compile(program, backend="numpy", checkpoint=c), T=10_000, M=2, H=8) for c in (False, True))
    assert {name for name, shape in whole.items() if 10_000 in shape or 10_001 in shape} == {
        *("h", "h_sum", "h_sum_2", "h_bar", "h_sum_bar")
    }
    assert max(max(shape, default=0) for shape in kept.values()) <= 102
    cells = [sum(int(np.prod(shape)) for shape in shapes.values()) for shapes in (whole, kept)]
    assert cells[0] > 40 * cells[1]  # 5 arrays of T steps; 5 of √T, and the states


def test_peak() -> None:
    """What NumPy takes at most, beside the data, for T = 10,000."""
    program = sg.parse(NUMBER)
    arrays = random_arrays(program, np.random.default_rng(0), {"T": 10_000})
    peaks, found = [], []
    for checkpoint in (False, True):
        kernel = sg.compile(program, backend="numpy", checkpoint=checkpoint)
        kernel(**{name: np.asarray(a)[:2] if np.ndim(a) and len(a) == 10_000 else a for name, a in arrays.items()})  # loaded
        tracemalloc.start()
        found.append(kernel(**arrays))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert errors(found[1], found[0]) < 1e-13
    assert peaks[0] > 20 * peaks[1]


# what it says


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    text, reason = REFUSED[name]
    program = sg.parse(text)
    sg.compile(program, backend="numpy")
    with pytest.raises(SymgradError, match="checkpoint= does not fit") as caught:
        sg.compile(program, backend="numpy", checkpoint=True)
    assert caught.value.code == "SG408"
    assert reason in str(caught.value)


@pytest.mark.parametrize("wrong", [0, -1, 2.5, "yes", None])
def test_no_number_of_segments(wrong: Any) -> None:
    with pytest.raises(SymgradError, match="checkpoint must be True, False or a number") as caught:
        sg.compile(sg.parse(NUMBER), backend="numpy", checkpoint=wrong)
    assert caught.value.code == "SG608"


def test_training_is_refused() -> None:
    kernel = sg.compile(sg.parse(NUMBER), backend="numpy", checkpoint=True)
    with pytest.raises(SymgradError, match="does not train") as caught:
        kernel.fit({"w": 1.0, "u": 1.0, "h_0": 0.0}, {"x": np.ones(3), "y_star": np.ones(3)})
    assert caught.value.code == "SG408"


def test_shown() -> None:
    lines = str(explained(sg.compile(sg.parse(NUMBER), backend="numpy", checkpoint=True))).splitlines()
    assert "Scan     segment = 0, …, segments - 1 from first = length*segment" in lines
    assert "Scan     segment = segments - 1, …, 0 from first = length*segment" in lines
    assert lines.count("    Map      [scalar] h[t] = …") == 2  # forward, and again on the way back


def test_a_models_own_names() -> None:
    """A model may call its quantities as the segments are called."""
    names = {"h": "first", "h_0": "segments", "u": "length", "w": "back", "t": "segment"}
    text = re.sub(r"\b\w+\b", lambda word: names.get(word[0], word[0]), NUMBER)
    program = sg.parse(text)
    arrays = random_arrays(program, np.random.default_rng(0), {"T": 10})
    whole, kept = (sg.compile(program, backend="numpy", checkpoint=checkpoint) for checkpoint in (False, True))
    assert errors(kept(**arrays), whole(**arrays)) < ROUNDING
