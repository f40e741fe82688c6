"""What must hold of every program, as a table: `CHECKS[name](program, arrays)` raises where it does not.

All is measured along random directions: one difference of the oracle then tests every cell of a gradient at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

import mpmath
import numpy as np

import symgrad as sg
from symgrad.core.check import check, check_order
from symgrad.core.errors import SymgradError
from symgrad.core.evaluate import evaluate, sizes_of
from symgrad.core.program import Program
from symgrad.operators import Operator
from symgrad.transform.collect import Form, collect
from symgrad.transform.forward import forward, tangent_names
from symgrad.transform.functions import complete
from symgrad.transform.reverse import adjoint_names, reverse
from tests.models import random_arrays
from tests.random_programs import SIZES, Model
from tests.reference import STEP, reals

Arrays = Mapping[str, Any]
FORMS: tuple[Form, ...] = ("parts", "one", "apart")
COLUMNS = 3  # of a Hessian that are compared one by one
TIGHT = 1e-25  # of 50 digits; a difference with STEP is right to about 1e-35


def sample(program: Program, seed: int = 0) -> dict[str, Any]:
    return random_arrays(program, np.random.default_rng(seed), SIZES)


def direction(arrays: Arrays, names: list[str], seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {name: rng.uniform(-1, 1, np.shape(arrays[name])) for name in names}


def moved(arrays: Arrays, by: Arrays, step: Any) -> dict[str, Any]:
    with mpmath.workdps(50):
        return {**arrays, **{n: np.vectorize(mpmath.mpf, otypes=[object])(arrays[n]) + step * exact(v) for n, v in by.items()}}


def exact(value: Any) -> Any:
    return np.vectorize(mpmath.mpf, otypes=[object])(value)


def dot(one: Arrays, two: Arrays) -> Any:
    with mpmath.workdps(50):
        return mpmath.fsum(np.sum(exact(one[name]) * exact(two[name])) for name in two)


def close(found: Any, wanted: Any, least: float, scale: Any = 0) -> None:
    """Normwise: the largest difference beside the largest magnitude."""
    found, wanted = np.asarray(found, object), np.asarray(wanted, object)
    assert found.shape == wanted.shape, (found.shape, wanted.shape)
    with mpmath.workdps(50):
        size = max([abs(w) for w in wanted.flat] + [mpmath.mpf(scale), mpmath.mpf(10) ** -12])
        off = max([abs(mpmath.mpf(f) - w) for f, w in zip(found.flat, wanted.flat, strict=True)] + [mpmath.mpf(0)])
        assert off <= least * size, f"{mpmath.nstr(off, 5)} beside {mpmath.nstr(size, 5)}"


def gradient(program: Program, arrays: Arrays) -> dict[str, Any]:
    """By every real quantity that is given: the raw sums of reverse mode, evaluated by the oracle."""
    joint = reverse(program, "J", reals(program))
    return by_name(joint, evaluate(joint, arrays), program, arrays)


def by_name(joint: Program, found: Arrays, program: Program, arrays: Arrays) -> dict[str, Any]:
    bars = adjoint_names(joint, "J")
    return {n: found[bars[n]] if n in bars else 0 * np.asarray(arrays[n]) for n in reals(program)}


def difference(program: Program, arrays: Arrays, by: Arrays, of: Callable[[Arrays], Any]) -> Any:
    with mpmath.workdps(50):
        return (of(moved(arrays, by, STEP)) - of(moved(arrays, by, -STEP))) / (2 * STEP)


def reverse_mode(program: Program, arrays: Arrays) -> None:
    slope_is(program, arrays, gradient(program, arrays))


def slope_is(program: Program, arrays: Arrays, found: Arrays) -> None:
    """<gradient, v> is the difference of the loss along v."""
    if "stop(" in str(program):
        return  # a constant for the derivative only
    by = direction(arrays, reals(program), 1)
    wanted = difference(program, arrays, by, lambda a: evaluate(program, a)["J"])
    close(dot(found, by), wanted, TIGHT, largest(found))


def largest(found: Arrays) -> Any:
    return max([abs(v) for value in found.values() for v in np.asarray(value, object).flat] + [0])


def forward_mode(program: Program, arrays: Arrays) -> None:
    tangent_is(program, arrays, gradient(program, arrays))


def tangent_is(program: Program, arrays: Arrays, adjoints: Arrays) -> None:
    """<v, gradient> is the tangent of the loss for the tangents v."""
    names = reals(program)
    by, dots = direction(arrays, names, 1), tangent_names(program, names)
    tangents = forward(program, names)
    found = evaluate(tangents, {**arrays, **{dots[n]: by[n] for n in names if dots.get(n) in tangents.tensors}})
    close(found[dots["J"]], dot(adjoints, by), TIGHT, largest(adjoints))


def both_modes(program: Program, arrays: Arrays) -> None:
    """One gradient against a difference and against forward mode."""
    found = gradient(program, arrays)
    slope_is(program, arrays, found)
    tangent_is(program, arrays, found)


def same(found: Arrays, wanted: Arrays, least: float = TIGHT) -> None:
    scale = largest(wanted)
    for name in wanted:
        try:
            close(found[name], wanted[name], least, scale)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from None


def collected(program: Program, arrays: Arrays) -> None:
    """The gathered forms are valid programs; kernels and what is printed test their numbers."""
    raw = reverse(program, "J", reals(program))
    for form in FORMS:
        check_order(check(collect(raw, form)))


def compiled(program: Program, arrays: Arrays, backend: str = "numpy") -> None:
    """A kernel in float64 gives the oracle's value and gradient."""
    kernel = sg.compile(program, "J", reals(program), backend=backend)
    value, found = kernel(**{name: arrays[name] for name in kernel._arguments("value_and_grad")})
    close(value, evaluate(program, arrays)["J"], 1e-12)
    wanted = gradient(program, arrays)
    same(found, wanted, 1e-11)


def explained(program: Program, arrays: Arrays) -> None:
    """What is printed, the backward pass and each closed form, is the same gradient, and reads back."""
    names = reals(program)
    wanted, d = gradient(program, arrays), sg.derive(program, "J", names)
    sizes = sizes_of(program, {n: np.shape(arrays[n]) for n in program.free})
    values = {**arrays, **evaluate(d.forward, arrays)}
    assert d.text()
    assert d.latex()
    again = complete(sg.parse(str(d.backward)))
    assert str(again) == str(d.backward), "the backward pass reads back as another program"
    bars = evaluate(again, {n: values[n] for n in again.free}, sizes=sizes)
    same(by_name(d.whole, bars, program, arrays), wanted)
    for name in names:
        try:
            closed = d.gradient(name)
        except SymgradError as error:
            assert error.code == "SG506", error
            continue
        closed_form_is(closed, {**values, **bars}, sizes, wanted[name], largest(wanted))


def closed_form_is(closed: Program, values: Arrays, sizes: Any, wanted: Any, scale: Any) -> None:
    again = complete(sg.parse(str(closed)))
    target = closed.statements[0].name
    assert str(again) == str(closed), f"{target} in closed form reads back as another"
    for each in (closed, again):
        close(evaluate(each, {n: values[n] for n in each.free}, sizes=sizes)[target], wanted, TIGHT, scale)


def read_back(program: Program, arrays: Arrays) -> None:
    """str() is the language again."""
    again = sg.parse(str(program))
    assert again == program, "the program reads back as another"
    close(evaluate(again, arrays)["J"], evaluate(program, arrays)["J"], TIGHT)


def second_order(program: Program, arrays: Arrays) -> None:
    """Hv is the tangent of the gradient and its difference along v, and <u, Hv> = <v, Hu>."""
    names = reals(program)
    u, v = direction(arrays, names, 2), direction(arrays, names, 3)
    operator = curvature("hvp", program)
    hu, hv = (times(operator, program, arrays, by) for by in (u, v))
    close(dot(hu, v), dot(hv, u), TIGHT, largest(hv))
    same(hv, tangent_of_gradient(program, arrays, v))
    if "stop(" in str(program):
        return  # what is stopped is a constant for the derivatives, not for a difference
    with mpmath.workdps(50):
        ends = [gradient(program, moved(arrays, v, step)) for step in (STEP, -STEP)]
        wanted = {n: (np.asarray(ends[0][n], object) - ends[1][n]) / (2 * STEP) for n in names}
    same(hv, wanted)


def curvature(kind: str, program: Program) -> Operator | None:
    """`hvp` or `hessian` by all that is given; None where it says that all second derivatives are 0."""
    try:
        return {"hvp": sg.hvp, "hessian": sg.hessian}[kind](program, "J", reals(program))
    except SymgradError as error:
        if error.code != "SG406":
            raise
        return None


def times(operator: Operator | None, program: Program, arrays: Arrays, by: Arrays) -> dict[str, Any]:
    """The Hessian times a vector, as `hvp` has it before sums are collected."""
    results = operator.results if operator else {}
    found = along(operator.raw, arrays, by) if operator else {}
    return {n: found[results[n]] if n in results else 0 * np.asarray(by[n]) for n in reals(program)}


def along(program: Program, arrays: Arrays, by: Arrays) -> dict[str, Any]:
    """A program evaluated for the tangents `by`."""
    return evaluate(program, {**arrays, **{n: by[n.removesuffix("_dot")] for n in program.free if n not in arrays}})


def tangent_of_gradient(program: Program, arrays: Arrays, by: Arrays) -> dict[str, Any]:
    """Forward mode over the raw sums of reverse mode: no closed form, nothing collected."""
    names = reals(program)
    joint = reverse(program, "J", names)
    bars, dots, raw = adjoint_names(joint, "J"), tangent_names(joint, names), forward(joint, names)
    found = along(raw, arrays, by)
    return {n: found[dots[bars[n]]] if n in bars and dots.get(bars[n]) in found else 0 * np.asarray(by[n]) for n in names}


def gradient_of_tangent(program: Program, arrays: Arrays, by: Arrays) -> dict[str, Any]:
    """Reverse mode over forward mode: the gradient of the slope of J along `by`."""
    names = reals(program)
    slope = tangent_names(program, names)["J"]
    joint = reverse(forward(program, names), slope, names)
    bars, found = adjoint_names(joint, slope), along(joint, arrays, by)
    return {n: found[bars[n]] if n in bars else 0 * np.asarray(by[n]) for n in names}


def hessian_entries(program: Program, arrays: Arrays) -> None:
    """Every entry, times v, is the gradient of the slope along v; columns are products with unit vectors."""
    names = reals(program)
    operator, product = curvature("hessian", program), curvature("hvp", program)
    found = evaluate(operator.raw, arrays) if operator else {}
    blocks = {key: found[name] for key, name in operator.results.items()} if operator else {}
    v = direction(arrays, names, 3)
    same(contracted(blocks, v), gradient_of_tangent(program, arrays, v))
    cells = [(name, cell) for name in names for cell in np.ndindex(np.shape(arrays[name]))]
    for name, cell in Random(len(cells)).sample(cells, min(COLUMNS, len(cells))):
        unit = {n: np.zeros(np.shape(arrays[n])) for n in names}
        unit[name][cell] = 1
        same(contracted(blocks, unit), times(product, program, arrays, unit))


def contracted(blocks: Arrays, by: Arrays) -> dict[str, Any]:
    """The blocks of a Hessian, "x" and "x,w", times a vector."""
    out = {n: exact(0 * np.asarray(v)) for n, v in by.items()}
    with mpmath.workdps(50):
        for key, block in blocks.items():
            one, _, two = key.partition(",")
            block, right = exact(block), exact(by[two or one])
            out[one] = out[one] + np.tensordot(block, right, np.ndim(right))
            if two:
                left = exact(by[one])
                out[two] = out[two] + np.tensordot(left, block, np.ndim(left))
    return out


def curved_kernels(program: Program, arrays: Arrays, backend: str = "numpy") -> None:
    """Kernels of `hvp` and `hessian` in float64 give what the oracle gives."""
    names = reals(program)
    v = direction(arrays, names, 3)
    wanted = tangent_of_gradient(program, arrays, v)
    given = {**arrays, **{f"{n}_dot": v[n] for n in names}}
    for kind in ("hvp", "hessian"):
        operator = curvature(kind, program)
        if operator is None:
            continue
        kernel = operator.compile(backend=backend)
        _, found = kernel(**{name: given[name] for name in kernel._arguments("value_and_grad")})
        assert list(found) == list(operator.results)
        zeros = {n: 0 * np.asarray(v[n]) for n in names}
        same({**zeros, **found} if kind == "hvp" else contracted(found, v), wanted, 1e-11)


CHECKS: dict[str, Callable[[Program, Arrays], None]] = {
    "modes": both_modes, "reverse": reverse_mode, "forward": forward_mode, "collect": collected, "kernel": compiled,
    "explain": explained, "text": read_back, "second": second_order, "hessian": hessian_entries, "curved": curved_kernels,
}  # fmt: skip
WHOLE = ("modes", "collect", "kernel", "explain", "text", "second")


def metamorphic(model: Model, program: Program, arrays: Arrays) -> None:
    """Other letters, another order of the equations: the same numbers."""
    names = {"i": "m", "m": "j", "j": "i", "k": "l", "l": "k", "t": "s", "s": "t"}
    lines = list(model.lines)
    Random(model.seed).shuffle(lines)
    other = sg.parse(Model(model.seed, tuple(lines), model.header, model.functions).renamed(names))
    close(evaluate(other, arrays)["J"], evaluate(program, arrays)["J"], TIGHT)
    same(gradient(other, arrays), gradient(program, arrays))


def fault(model: Model, names: Sequence[str] = WHOLE) -> str | None:
    """What is wrong with a model: None, or the check and the kind of failure."""
    stage = "parse"
    try:
        program = sg.parse(model.text())
        arrays = sample(program, model.seed)
        for stage in names:
            CHECKS[stage](program, arrays)
        if "text" in names:
            stage = "metamorphic"
            metamorphic(model, program, arrays)
    except SymgradError as error:
        return f"{stage}: {error.code}"
    except Exception as error:
        return f"{stage}: {type(error).__name__}"
    return None
