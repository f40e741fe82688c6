"""Training on arrays by name: the `.npz` file holds the model's inputs, and its parameters where they are to start.

Nothing is split, scaled or batched: the loss is that of the whole data, as the model says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from symgrad.compiler import compile
from symgrad.core.errors import SymgradError
from symgrad.core.graph import ancestors, find_loss
from symgrad.core.program import Program
from symgrad.core.sizes import sizes_of
from symgrad.core.source import written_name
from symgrad.data import arrays_of
from symgrad.running import Watch
from symgrad.train import ready
from symgrad.trainer import Result, Settings, shown_shapes


def arrays_for(program: Program, source: str) -> dict[str, Any] | None:
    """The arrays of a `.npz` file, if it holds every input of the model by name; else None."""
    path = Path(source)
    if path.suffix.lower() != ".npz" or not path.is_file():
        return None
    arrays = arrays_of(path)
    needed = ancestors(program, [find_loss(program)])
    inputs = [n for n in program.free if program.tensors[n].role != "param" and n in needed]
    missing = [name for name in inputs if name not in arrays]
    if missing and "X" not in arrays and any(name in arrays for name in program.free):
        hint = f"save every input by its name: {', '.join(inputs)}"
        raise SymgradError("SG612", f"{path} has no array {missing[0]}, which the model reads", hint=hint)
    return arrays if inputs and not missing else None


def train_on_arrays(
    program: Program, arrays: Mapping[str, Any], settings: Settings, show: Callable[[str], None] = lambda line: None
) -> Result:
    """Train the declared parameters; `show` is told what is trained on what, once all of it is known to fit.

    Raises SG613 where no parameters are declared, and what a kernel raises.
    """
    if not program.params:
        raise SymgradError("SG613", "the model has no parameters to train", hint="declare them: param w[j]")
    loss = find_loss(program)
    begun = time.perf_counter()
    kernel = compile(program, loss, program.params, (), settings.dtype, settings.backend)
    used = ancestors(program, [loss])
    data = {name: arrays[name] for name in program.free if name in used and name not in program.params}
    params = {name: np.asarray(value, settings.dtype) for name, value in start(program, arrays, settings.seed).items()}
    run = ready(kernel, params, data, settings.optimizer, None)
    for line in summary(program, loss, arrays, data, params):
        show(line)
    fit = run.epochs(settings.epochs, True, settings.seed, True, Watch.of(run, None, settings.patience))
    return Result(fit, loss, None, None, None, time.perf_counter() - begun, {})


def summary(
    program: Program, loss: str, arrays: Mapping[str, Any], data: Mapping[str, Any], params: Mapping[str, Any]
) -> Iterator[str]:
    """What is about to be trained, for people."""
    yield f"{program.goal or 'minimize'} {loss}; every step takes all of the data"
    yield f"data: {shown_shapes({name: np.shape(array) for name, array in data.items()})}"
    yield f"parameters: {shown_shapes({name: np.shape(array) for name, array in params.items()})}"
    drawn = [written_name(name) for name in params if name not in arrays]
    if drawn:
        yield f"started at random: {', '.join(drawn)}"
    unused = [name for name in arrays if name not in data and name not in params]
    if unused:
        yield f"not used: {', '.join(unused)}"


def start(program: Program, arrays: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Each parameter as it is given, else normal/√(fan in)."""
    given = {n: np.shape(a) for n, a in arrays.items() if n in program.tensors and len(np.shape(a)) == len(program.tensors[n].axes)}
    sizes = sizes_of(program, given)
    random = np.random.default_rng(seed)
    out = {}
    for name in program.params:
        if name in arrays:
            out[name] = arrays[name]
            continue
        extents = [axis.extent.subs(sizes) for axis in program.tensors[name].axes]
        unknown = [extent for extent in extents if not extent.is_Integer]
        if unknown:
            message = f"how long {written_name(name)} is cannot be seen from the arrays: {unknown[0]} is not known"
            raise SymgradError("SG613", message, hint=f"give it a start: an array {name} in the file")
        shape = tuple(int(extent) for extent in extents)
        out[name] = random.normal(size=shape) / np.sqrt(max(1, int(np.prod(shape[1:]))))
    return out
