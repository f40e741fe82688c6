"""Gradients are right: random programs against the oracle, by forward mode, in other words, with names that collide, in training.

Errors are normwise: the largest difference of a gradient's cells from the oracle's, beside the largest cell, in units u = 2⁻⁵³.
JAX has a column where it is installed: the same programs, walked over by `tests.array_programs`. SYMGRAD_PROGRAMS says how many
programs `full` measures; 100,000 before a release. A case is told by the seed that makes it again, `random_programs.program(seed)`.
"""

from __future__ import annotations

import importlib.util
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import numpy as np

import symgrad as sg
from symgrad.backends import module as emitted
from symgrad.backends import numba, threads
from symgrad.backends.pycode import python_name
from symgrad.core.program import Program
from tests.array_programs import jax_gradient
from tests.capture_programs import capture
from tests.models import random_arrays
from tests.plain_python import import_text, plain_module
from tests.program_checks import direction, gradient, largest, reverse_mode, sample
from tests.random_programs import Model, program
from tests.reference import reals
from tests.reliability.rows import Row

UNIT = 2.0**-53
MEDIAN, NINETY_NINE, SPREAD, FLOOR = 2, 32, 8, 8  # of symgrad's errors; at most SPREAD times JAX's or FLOOR units
SHORT, FULL, SCHEDULES = 24, 600, 3
JAX = 40  # programs for JAX's column, which takes seconds for each; beyond those, only what the floor does not allow
NUMBA = 12  # programs that are compiled
HAS_JAX = importlib.util.find_spec("jax") is not None
TIGHT = 1e-12


@dataclass(frozen=True)
class Case:
    """What a seed gave; `jax` is None where it was not asked."""

    seed: int
    off: float
    jax: float | None = None

    @property
    def right(self) -> bool:
        return math.isfinite(self.off) and self.off <= SPREAD * max(self.jax or 0.0, FLOOR)

    def __str__(self) -> str:
        beside = "" if self.jax is None else f", JAX {self.jax:.3g} u"
        return f"seed {self.seed}: {self.off:.3g} u{beside}"


def of_seed(seed: int) -> Model:
    """The model of a seed: most are small, one in forty has ten to twenty equations and more."""
    return program(seed, most=1 + seed // 8 % 3 + (seed % 40 == 39) * 10)


@lru_cache(maxsize=512)
def given(seed: int) -> tuple[Program, dict[str, Any], dict[str, Any]]:
    """Program, arrays, and the gradient at 50 digits."""
    model = sg.parse(of_seed(seed).text())
    arrays = sample(model, seed)
    return model, arrays, gradient(model, arrays)


def units(found: dict[str, Any], wanted: dict[str, Any]) -> float:
    """Normwise, over all arrays of a gradient."""
    if not all(np.all(np.isfinite(np.asarray(found[name], float))) for name in wanted):
        return math.inf
    pairs = [pair for name in wanted for pair in zip(flat(found[name]), flat(wanted[name]), strict=True)]
    off, size = max(abs(f - w) for f, w in pairs), largest(wanted)
    return float(off / size / UNIT) if size else float(off / UNIT)


def flat(value: Any) -> Any:
    return np.asarray(value, object).ravel()


def call(kernel: Any, arrays: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    value, found = kernel(**{name: arrays[name] for name in kernel._arguments("value_and_grad")})
    return value, found


def measured(seed: int, backend: str, ask_jax: bool) -> Case:
    model, arrays, wanted = given(seed)
    off = units(call(sg.compile(model, "J", reals(model), backend=backend), arrays)[1], wanted)
    ask = HAS_JAX and (ask_jax or not off <= SPREAD * FLOOR)
    return Case(seed, off, units(jax_gradient(model, arrays, "J", reals(model))[1], wanted) if ask else None)


def shown(errors: Iterable[float]) -> str:
    errors = sorted(errors)
    if not errors:
        return ""
    median, high = (errors[min(len(errors) - 1, int(part * len(errors)))] for part in (0.5, 0.99))
    return f"median {median:.1f}, p99 {high:.1f}, max {errors[-1]:.0f} u of {len(errors)}"


def fuzz(seeds: Sequence[int], backend: str, jax: int) -> Row:
    cases = [measured(seed, backend, place < jax) for place, seed in enumerate(seeds)]
    wrong: list[object] = [case for case in cases if not case.right]
    errors = sorted(case.off for case in cases)
    if errors[len(errors) // 2] > MEDIAN or errors[min(len(errors) - 1, int(0.99 * len(errors)))] > NINETY_NINE:
        wrong.append(shown(errors))
    asked = [case.jax for case in cases[:jax] if case.jax is not None]
    endless = sum(not math.isfinite(case.off) for case in cases)
    wanted = f"median ≤ {MEDIAN}, p99 ≤ {NINETY_NINE} u, each ≤ {SPREAD}·max(JAX's, {FLOOR} u)"
    found = f"{shown(errors)}, {endless} not finite"
    return Row("right", f"gradients of random programs, {backend}", found, wanted, wrong, {"JAX": shown(asked)} if asked else {})


# <w, J v> = <v, J' w>


def operators(seed: int) -> tuple[Any, Any, Any]:
    """jvp and vjp of one of the model's quantities with their kernels; of J where the others show no extents or do not depend."""
    model, _, _ = given(seed)
    names = [*Random(seed).sample(model.defined, len(model.defined)), "J"]
    for of in names:
        try:
            push, pull = (kind(model, of, reals(model)) for kind in (sg.jvp, sg.vjp))
            return push.compile(backend="numpy"), pull, pull.compile(backend="numpy")
        except sg.SymgradError as error:
            if error.code not in ("SG406", "SG311") or of == names[-1]:
                raise
    raise AssertionError(seed)


def turned(seed: int) -> float:
    """|<w, J v> - <v, J'w>| beside the sum of the magnitudes of the terms, at float64, of a quantity of the model."""
    model, arrays, _ = given(seed)
    push_kernel, pull, pull_kernel = operators(seed)
    v = direction(arrays, reals(model), seed)
    y, moved = call(push_kernel, {**arrays, **{f"{name}_dot": v[name] for name in v}})
    w = np.random.default_rng(seed).uniform(-1, 1, np.shape(y))
    _, back = call(pull_kernel, {**arrays, pull.inputs[0]: w})
    one = w * next(iter(moved.values()))
    two = np.concatenate([np.ravel(back[name] * v[name]) for name in back])
    scale = max(np.sum(np.abs(one)), np.sum(np.abs(two)), 1e-300)
    return float(abs(np.sum(one) - np.sum(two)) / scale)


def dot_products(seeds: Sequence[int]) -> Row:
    found = {seed: turned(seed) for seed in seeds}
    worst = max(found.values(), default=0.0)
    wrong = [f"seed {seed}: {off:.3g}" for seed, off in found.items() if not off <= TIGHT]
    return Row(
        "right", "⟨w, Jv⟩ = ⟨v, Jᵀw⟩ by forward and reverse mode", f"worst {worst:.1e} of {len(found)}", f"≤ {TIGHT:g}·κ", wrong
    )


# the same in other words


def close(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return units(found, wanted) * UNIT <= TIGHT


RENAMED = {"i": "m", "m": "j", "j": "i", "k": "l", "l": "k", "t": "s", "s": "t"}


def renamed_indices(seed: int) -> bool:
    _, arrays, wanted = given(seed)
    model = sg.parse(of_seed(seed).renamed(RENAMED))
    return close(call(sg.compile(model, "J", reals(model), backend="numpy"), arrays)[1], wanted)


def other_order(seed: int) -> bool:
    _, arrays, wanted = given(seed)
    first = of_seed(seed)
    lines = list(first.lines)
    Random(seed).shuffle(lines)
    model = sg.parse(Model(seed, tuple(lines), first.header, first.functions).text())
    return close(call(sg.compile(model, "J", reals(model), backend="numpy"), arrays)[1], wanted)


def as_written(seed: int) -> bool:
    """No rule of stability: the same number where nothing overflows."""
    model, arrays, wanted = given(seed)
    return close(call(sg.compile(model, "J", reals(model), backend="numpy", stabilize=False), arrays)[1], wanted)


def saved(seed: int) -> bool:
    """A saved module run on its own, to the last bit."""
    model, arrays, _ = given(seed)
    kernel = sg.compile(model, "J", reals(model), backend="numpy")
    with tempfile.TemporaryDirectory() as folder:
        text = kernel.save(Path(folder) / "saved.py").read_text(encoding="utf-8")
        module = import_text(Path(folder), text)
        found = module.value_and_grad(**{python_name(name): arrays[name] for name in kernel._arguments("value_and_grad")})[1]
    return all(np.array_equal(found[name], value) for name, value in call(kernel, arrays)[1].items())


def one_by_one(seed: int) -> bool:
    """Statements as they come from reverse mode: nothing merged, put in, named or dropped."""
    from symgrad import compiler

    model, arrays, wanted = given(seed)
    true = compiler.optimize
    compiler.optimize = lambda joint, *given, **more: joint
    try:
        return close(call(sg.compile(model, "J", reals(model), backend="numpy"), arrays)[1], wanted)
    finally:
        compiler.optimize = true


# numba's text run as plain Python, where a switch turns off or cuts small what a schedule does for speed


@contextmanager
def small_blocks() -> Iterator[None]:
    """Blocks of one row, chunks of two, so that the few rows of random programs fill several."""
    with (
        mock.patch.object(numba, "block_line", lambda blocks, dtype: f"{blocks.name} = 1"),
        mock.patch.object(threads, "chunk_text", return_value="2"),
        mock.patch.object(threads, "FEW", 1),
    ):
        yield


def _apart() -> Any:
    return mock.patch.object(numba, "fused", lambda kernels, program, aliases: list(kernels))


def _whole() -> Any:
    return mock.patch.object(emitted, "blocked", lambda planned: planned)


def plainly(seed: int, switch: Callable[[], Any] = nullcontext, share: int = 1) -> tuple[str, dict[str, Any]]:
    """The text of a seed's kernel and the gradient that it gives as plain Python, its rows shared among `share` threads."""
    model, arrays, _ = given(seed)
    with switch():
        kernel = sg.compile(model, "J", reals(model))
    with tempfile.TemporaryDirectory() as folder:
        run = plain_module(kernel.source, Path(folder)).value_and_grad
        more = {"_threads": share} if "_threads" in run.__code__.co_varnames else {}
        values = {python_name(name): arrays[name] for name in kernel._arguments("value_and_grad")}
        with np.errstate(all="ignore"):  # whole numbers that wrap, as they do in machine code
            return kernel.source, run(**values, **more)[1]


def without(switch: Callable[[], Any]) -> Callable[[int], bool | None]:
    """The gradient with the switch is that without it; None where the text is the same, so that nothing was compared."""

    def same(seed: int) -> bool | None:
        (text, found), (other, wanted) = plainly(seed, switch), plainly(seed)
        return close(found, wanted) if text != other else None

    return same


def shared(seed: int) -> bool | None:
    """The same bits by one thread and by three."""
    (text, wanted), (_, found) = (plainly(seed, small_blocks, share) for share in (1, 3))
    return all(np.array_equal(found[name], value) for name, value in wanted.items()) if "_in_chunks(" in text else None


SWITCHES: dict[str, Callable[[int], bool | None]] = {
    "fuse off": without(_apart), "blocks off": without(_whole), "blocks of a row": without(small_blocks), "three threads": shared,
}  # fmt: skip


def switched(seeds: Sequence[int]) -> Row:
    """Each switch must change some kernel, or nothing is shown."""
    wrong, shown = [], []
    for name, same in SWITCHES.items():
        found = {seed: same(seed) for seed in seeds}
        compared = [seed for seed, equal in found.items() if equal is not None]
        wrong += [f"{name}: seed {seed}" for seed in compared if not found[seed]] if compared else [f"{name} changes no kernel"]
        shown.append(f"{name} {sum(bool(found[seed]) for seed in compared)} of {len(compared)}")
    return Row("right", f"the same by other schedules, {len(seeds)} programs", ", ".join(shown), "all", wrong)


METAMORPHIC: dict[str, Callable[[int], bool]] = {
    "indices renamed": renamed_indices, "equations in another order": other_order, "stabilize off": as_written,
    "saved module": saved, "reuse off": one_by_one,
}  # fmt: skip


def metamorphic(seeds: Sequence[int]) -> Row:
    wrong = [f"{name}: seed {seed}" for name, same in METAMORPHIC.items() for seed in seeds if not same(seed)]
    count = len(METAMORPHIC) * len(seeds)
    return Row("right", "the same in other words: " + ", ".join(METAMORPHIC), f"{count - len(wrong)} of {count}", "all", wrong)


def captures(seeds: Iterable[int], pairs: int = 4) -> Row:
    """Equations of sums whose letters and names collide, against a difference of the oracle."""
    wrong, count = [], 0
    for seed in seeds:
        model, count = capture(seed, pairs), count + 2 * pairs
        try:
            p = sg.parse(model.text())
            reverse_mode(p, random_arrays(p, np.random.default_rng(seed), {"N": 3}))
        except Exception as error:
            wrong.append(f"seed {seed}: {error}")
    return Row("right", "equations with colliding names", f"{count - 2 * pairs * len(wrong)} of {count}", "all", wrong)


# what other tests hold, counted


def planted(names: Sequence[str] | None = None) -> Row:
    from tests.planted_bugs import BUGS
    from tests.test_planted import caught

    names = list(BUGS) if names is None else names
    wrong = [name for name in names if not caught(name)]
    return Row("right", "planted bugs of the compiler caught", f"{len(names) - len(wrong)} of {len(names)}", "all", wrong)


def training(names: Sequence[str] | None = None) -> Row:
    """50 steps of fit beside those of JAX's gradients, step by step."""
    from tests.test_training_jax import RUNS, STEPS, TOLERANCE, furthest

    names = list(RUNS) if names is None else names
    found = {name: furthest(name) for name in names}
    wrong = [f"{name}: {off:.3g}" for name, off in found.items() if not off <= TOLERANCE]
    text = f"{len(found) - len(wrong)} of {len(found)}, worst {max(found.values(), default=0.0):.1e}"
    return Row("right", f"{STEPS} training steps equal JAX's step by step", text, f"≤ {TOLERANCE:g}", wrong)


def measure(full: bool) -> list[Row]:
    count = int(os.environ.get("SYMGRAD_PROGRAMS", FULL)) if full else SHORT
    seeds = range(1, count + 1)
    rows = [fuzz(seeds, "numpy", JAX if full and HAS_JAX else 0)]
    if full:
        rows.append(fuzz(range(1, min(count, NUMBA) + 1), "numba", 0))
    some = seeds[: max(4, count // 10)] if full else seeds[:4]
    rows += [dot_products(seeds[: count // 4]), metamorphic(some), switched(some if full else seeds[:SCHEDULES])]
    if full:  # test_random_programs and test_planted hold these
        rows += [captures(range(1000, 1250)), planted()]
    if full and HAS_JAX:
        rows.append(training())
    return rows
