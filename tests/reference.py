"""Second opinions that the tests share: differences of the oracle, adjoints evaluated by the oracle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mpmath
import numpy as np

from symgrad.core.evaluate import evaluate
from symgrad.core.graph import find_loss
from symgrad.core.program import Program
from symgrad.transform.collect import Form, collect
from symgrad.transform.reverse import adjoint_names, reverse

STEP = mpmath.mpf(10) ** -20  # at 50 digits a central difference is then right to about 1e-30


def loss_of(program: Program) -> str:
    return "J" if "J" in program.definitions else find_loss(program)


def reals(program: Program) -> list[str]:
    """All that is given, but whole numbers."""
    return [name for name in program.free if program.tensors[name].values is None]


def differences(program: Program, arrays: Mapping[str, Any], loss: str, name: str) -> Any:
    """Central differences of the oracle at 50 digits, one cell at a time."""
    value = np.asarray(arrays[name], dtype=object)
    out = np.empty(value.shape, dtype=object)
    with mpmath.workdps(50):
        for cell in np.ndindex(value.shape):
            ends = []
            for sign in (1, -1):
                moved = np.array(value, dtype=object)
                moved[cell] = mpmath.mpf(value[cell]) + sign * STEP
                ends.append(evaluate(program, {**arrays, name: moved})[loss])
            out[cell] = (ends[0] - ends[1]) / (2 * STEP)
    return out


def adjoints(program: Program, arrays: Mapping[str, Any], loss: str, form: Form = "parts") -> dict[str, Any]:
    """The gradient by every free quantity, reverse mode evaluated by the oracle."""
    joint = collect(reverse(program, loss, reals(program)), form)
    found, bars = evaluate(joint, arrays), adjoint_names(joint, loss)
    return {name: found[bars[name]] if name in bars else 0 * np.asarray(arrays[name]) for name in reals(program)}


def error(found: Any, wanted: Any) -> float:
    """Largest difference, relative to the largest magnitude."""
    found, wanted = (np.asarray(a, dtype=object) for a in (found, wanted))
    assert found.shape == wanted.shape, (found.shape, wanted.shape)
    if not wanted.size:
        return 0.0
    with mpmath.workdps(50):
        return _error(found, wanted)


def _error(found: Any, wanted: Any) -> float:
    scale = max([mpmath.mpf(1) * abs(w) for w in wanted.flat] + [mpmath.mpf(10) ** -30])
    return float(max(abs(mpmath.mpf(1) * (f - w)) for f, w in zip(found.flat, wanted.flat, strict=True)) / scale)


def assert_gradient(program: Program, arrays: Mapping[str, Any], loss: str, least: float = 1e-15) -> None:
    """Reverse mode equals differences by every free quantity."""
    got = adjoints(program, arrays, loss)
    for name in reals(program):
        assert error(got[name], differences(program, arrays, loss, name)) < least, name
