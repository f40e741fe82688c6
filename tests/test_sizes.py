"""Axes of no value and of one, along every axis of every model: values, gradients, forward mode, curvature."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.core.evaluate import evaluate
from symgrad.core.program import Program
from tests.models import MODELS, extent_symbols, random_arrays
from tests.reference import adjoints, loss_of, reals

GALLERY = sorted((Path(__file__).parent.parent / "examples" / "gallery").glob("*.sg"))
PROGRAMS: dict[str, Callable[[], Program]] = {name: model.program for name, model in MODELS.items()}
PROGRAMS |= {path.stem + ".sg": lambda path=path: sg.read(path) for path in GALLERY}
TWICE = ["S7", "product of rows", "convolution", "recurrence", "prefix sums"]
# a third of the gallery, every third by name; one kernel stands for all sizes, so each model is compiled once
COMPILED = [*MODELS, *(path.stem + ".sg" for path in GALLERY[::3])]


def edges(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Arrays in which one extent after the other is 0 and 1, where such arrays exist: w in 1..V needs a V."""
    model, program = MODELS.get(name), PROGRAMS[name]()
    given = dict(model.sizes) if model else {}
    symbols = [str(symbol) for symbol in extent_symbols(program)]
    for symbol in symbols:
        for size in (0, 1):
            sizes = {**dict.fromkeys(symbols, 2), **given, symbol: size}
            try:
                arrays = random_arrays(program, np.random.default_rng(size), sizes, model.intervals if model else {})
            except ValueError:  # a whole number out of none, an axis of -1 values
                continue
            yield f"{symbol} = {size}", arrays


def outcome(run: Callable[[], Any]) -> Any:
    try:
        return run()
    except sg.SymgradError as refusal:
        return refusal.code


def same(found: Any, wanted: Any) -> bool:
    """Equal to rounding, inf and nan as themselves."""
    found, wanted = np.asarray(found, dtype=float), np.asarray(wanted, dtype=float)
    return found.shape == wanted.shape and np.allclose(found, wanted, rtol=1e-9, atol=1e-9, equal_nan=True)


def assert_edges(name: str, backend: str) -> None:
    program = PROGRAMS[name]()
    kernel = sg.compile(program, loss_of(program), wrt=reals(program), backend=backend)
    for case, arrays in edges(name):
        found, values = outcome(lambda a=arrays: kernel(**a)), outcome(lambda a=arrays: evaluate(program, a))
        if isinstance(found, str):
            assert found in ("SG605", "SG606"), (case, found)
            # a constant place is refused whether or not anything reads it
            assert values == found or found == "SG605", (case, found, values)
            continue
        assert same(found[0], values[kernel.loss]), (case, found[0], values[kernel.loss])
        slopes = adjoints(program, arrays, kernel.loss, "one")
        for each, gradient in found[1].items():
            assert same(gradient, slopes[each]), (case, each)
        # the collected equations, written for ranges that are not empty, are right or refused, never something else
        parts = outcome(lambda a=arrays: adjoints(program, a, kernel.loss, "parts"))
        assert parts == "SG606" or all(same(parts[each], slopes[each]) for each in slopes), case


@pytest.mark.parametrize("name", MODELS)
def test_no_value_and_one_value_along_every_axis(name: str) -> None:
    """An axis without a value or with one: any wrong result, crash, or refusal of what has a meaning."""
    assert_edges(name, "numpy")


def moved(arrays: dict[str, Any], direction: dict[str, Any], step: float) -> dict[str, Any]:
    return {n: np.asarray(a) + step * direction[n] if n in direction else a for n, a in arrays.items()}


@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.stem)
def test_the_gallery(path: Path) -> None:
    """The same of large models: gradients against differences of the value along one direction."""
    name = path.stem + ".sg"
    program = PROGRAMS[name]()
    kernel = sg.compile(program, loss_of(program), wrt=reals(program), backend="numpy")
    for case, arrays in edges(name):
        found = outcome(lambda a=arrays: kernel(**a))
        if isinstance(found, str):
            assert found in ("SG605", "SG606"), (case, found)
            continue
        rng = np.random.default_rng(3)
        along = {n: rng.normal(size=np.shape(arrays[n])) for n in found[1]}
        slope = sum(np.sum(found[1][n] * along[n]) for n in along)
        up, down = (kernel(**moved(arrays, along, sign * 1e-5))[0] for sign in (1, -1))
        # of a mean over nothing, nan, the gradient is nan or a sum over nothing
        nothing = np.isnan(found[0]) and (np.isnan(slope) or slope == 0)
        assert nothing or np.isclose((up - down) / 2e-5, slope, rtol=1e-5, atol=1e-6), (case, up, down, slope)


@pytest.mark.parametrize("name", TWICE)
def test_forward_mode_and_curvature(name: str) -> None:
    """A tangent, or a Hessian times one, that is wrong at an edge: against the gradient and its differences."""
    program = PROGRAMS[name]()
    loss, wrt = loss_of(program), reals(program)
    kernel = sg.compile(program, loss, wrt=wrt, backend="numpy")
    tangents, curvature = sg.jvp(program, loss, wrt), sg.hvp(program, loss, wrt)
    products = tangents.compile(backend="numpy"), curvature.compile(backend="numpy")
    for case, arrays in edges(name):
        if isinstance(outcome(lambda a=arrays: kernel(**a)), str):
            continue
        along = {n: np.random.default_rng(3).normal(size=np.shape(arrays[n])) for n in wrt}
        dots = {f"{n}_dot": along[n] for n in wrt}
        forward, second = (
            product(**arrays, **{n: dots[n] for n in operator.inputs if n in dots})[1]
            for product, operator in zip(products, (tangents, curvature), strict=True)
        )
        slopes = kernel(**arrays)[1]
        assert same(*forward.values(), sum(np.sum(slopes[n] * along[n]) for n in slopes)), case
        ends = [kernel(**moved(arrays, along, sign * 1e-5))[1] for sign in (1, -1)]
        for each, column in second.items():
            assert np.allclose(column, (ends[0][each] - ends[1][each]) / 2e-5, rtol=1e-4, atol=1e-5), (case, each)


def assert_as_numpy(name: str) -> None:
    """The compiled kernel gives at every edge what the one of whole arrays does."""
    program = PROGRAMS[name]()
    one, two = (sg.compile(program, loss_of(program), wrt=reals(program), backend=backend) for backend in ("numpy", "numba"))
    for case, arrays in edges(name):
        wanted, found = outcome(lambda a=arrays: one(**a)), outcome(lambda a=arrays: two(**a))
        if isinstance(wanted, str) or isinstance(found, str):
            assert found == wanted, (case, found, wanted)
            continue
        assert same(found[0], wanted[0]), (case, found[0], wanted[0])
        for each, gradient in wanted[1].items():
            assert same(found[1][each], gradient), (case, each)


@pytest.mark.parametrize("name", COMPILED)
def test_compiled(name: str) -> None:
    """Memory read before it is set, a loop that runs once too often, a row of nothing: in compiled code alone."""
    if name in MODELS:
        assert_edges(name, "numba")
    else:
        assert_as_numpy(name)
