"""`symgrad train`: a model, a data set → trained parameters, with the accuracy on a part held back.

The target is the starred input (or --target), its labels one-hot where it has an index and 0/1 where it has none;
the features are the other input. What the data do not tell, such as a hidden layer's extent, is a size.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp

from symgrad.compiler import compile
from symgrad.core.errors import SymgradError
from symgrad.core.expr import indices_of, name_of
from symgrad.core.graph import find_loss
from symgrad.core.program import Index, Program, Tensor, is_count
from symgrad.core.source import written_name
from symgrad.data import Scaling, Table, classes_of, split
from symgrad.kernel import Kernel
from symgrad.train import Fit, Optimizer

HIDDEN = 32  # values of an index whose extent nothing gives


@dataclass(frozen=True)
class Settings:
    optimizer: Optimizer
    epochs: int = 50
    batch_size: int | None = 32
    seed: int = 0
    dtype: str = "float64"
    test_fraction: float = 0.2
    target: str | None = None
    prediction: str | None = None
    bias_unit: bool = False
    sizes: Mapping[str, int] | None = None
    backend: str = "numba"
    patience: int | None = None


@dataclass(frozen=True)
class Result:
    fit: Fit
    loss: str
    prediction: str | None
    train_score: float | None
    test_score: float | None
    seconds: float
    scaling: Mapping[str, Any]


@dataclass(frozen=True)
class Job:
    """A model and a data set, matched."""

    program: Program
    table: Table
    settings: Settings

    @cached_property
    def loss(self) -> str:
        return find_loss(self.program)

    @cached_property
    def target(self) -> str:
        """The input that holds the labels."""
        inputs = [n for n in self.program.free if self.program.tensors[n].role != "param"]
        wanted = self.settings.target
        if wanted is not None:
            if self.program.known(wanted) not in inputs:
                what = "computed by the model" if wanted in self.program.definitions else "a parameter"
                raise SymgradError("SG613", f"{written_name(wanted)} is {what}, so it cannot hold the labels")
            return wanted
        starred = [n for n in inputs if n.endswith("_star")]
        if len(starred) != 1:
            found = f"{len(starred)} inputs are starred" if starred else "no input is starred"
            raise SymgradError("SG613", f"which input holds the labels is not clear: {found}", hint="name it: --target y_star")
        return starred[0]

    @cached_property
    def features(self) -> str:
        others = [n for n in self.program.free if self.program.tensors[n].role == "input" and n != self.target]
        if len(others) != 1 or len(self.program.tensors[others[0]].axes) > 1:
            shown = ", ".join(map(written_name, others)) or "none"
            raise SymgradError(
                "SG613",
                f"the features need one input with one index or none, and the model has {shown}",
                hint="declare parameters with param",
            )
        return others[0]

    @cached_property
    def classes(self) -> Any:
        return classes_of(np.asarray(self.table.target))

    @cached_property
    def parts(self) -> tuple[Any, Any]:
        return split(len(self.table.target), self.settings.test_fraction, self.settings.seed)

    @cached_property
    def arrays(self) -> dict[str, Any]:
        """Features and labels of all examples, scaled by the training part's mean and standard deviation."""
        x = self.scaling(self.table.features.reshape(len(self.table.target), -1))
        if self.settings.bias_unit:
            x = np.concatenate([np.ones((len(x), 1)), x], axis=1)
        if not self.program.tensors[self.features].axes:
            if x.shape[1] != 1:
                message = f"{written_name(self.features)} is one number, and the data have {x.shape[1]} features"
                raise SymgradError("SG613", message, hint=f"give it an index: {written_name(self.features)}[i]")
            x = x[:, 0]
        return {self.features: x, self.target: self.labels()}

    @cached_property
    def scaling(self) -> Scaling:
        return Scaling.of(self.table.features[self.parts[0]].reshape(len(self.parts[0]), -1))

    def labels(self) -> Any:
        tensor, values = self.program.tensors[self.target], np.asarray(self.table.target)
        if len(tensor.axes) > 1:
            raise SymgradError("SG613", f"{written_name(self.target)} has {len(tensor.axes)} indices; labels fill one or none")
        if tensor.axes:
            if self.classes is None:
                raise SymgradError("SG613", f"{written_name(self.target)} has an index, but the target column is not classes")
            return (values[:, None] == self.classes[None, :]).astype(float)
        if self.classes is not None and len(self.classes) == 2:
            return (values == self.classes[1]).astype(float)
        if values.dtype.kind not in "biuf" or (self.classes is not None and self.logistic()):
            count = len(self.classes) if self.classes is not None else "many"
            hint = "give the target an index: y^*[k]"
            raise SymgradError("SG613", f"{written_name(self.target)} is one number, and the data have {count} classes", hint=hint)
        return values.astype(float)

    def logistic(self) -> bool:
        """True where the prediction is a probability: the loss takes the logarithm of it."""
        return any(isinstance(n, sp.log) for s in self.program.definitions[self.loss] for n in sp.preorder_traversal(s.value))

    # sizes and parameters

    @cached_property
    def extents(self) -> dict[Any, int]:
        """Every size: from the data, from --size, else 32."""
        given: dict[Any, int] = {}
        for name, axis, count in self.measured():
            _learn(axis.extent, count, given)
            self.check_extent(name, axis, count, given)
        free = {name: symbol for symbol in self.unknown(given) for name in self.names_of(symbol)}
        for name, count in (self.settings.sizes or {}).items():
            if name not in free:
                taken = any(name in self.names_of(symbol) for symbol in given)
                why = "is known from the data" if taken else "is no size of the model"
                hint = f"sizes that are free: {', '.join(free)}" if free else "the data give all sizes"
                raise SymgradError("SG614", f"{name} {why}", hint=hint)
            _learn(self.extent_of(free[name]), count, given)
        for symbol in self.unknown(given):
            _learn(self.extent_of(symbol), HIDDEN, given)
        return given

    def measured(self) -> Iterator[tuple[str, Index, int]]:
        """Every axis whose length the data tell."""
        for name in (self.features, self.target):
            for axis, count in zip(self.program.tensors[name].axes, self.arrays[name].shape[1:], strict=True):
                yield name, axis, count

    def names_of(self, symbol: Any) -> list[str]:
        """What --size may call an extent: its name, or an index that it ends."""
        axes = [axis for tensor in self.program.tensors.values() for axis in tensor.axes]
        own = [] if is_count(symbol) else [symbol.name]
        return list(dict.fromkeys([*own, *(str(axis.symbol) for axis in axes if symbol in axis.extent.free_symbols)]))

    def check_extent(self, name: str, axis: Index, count: int, given: Mapping[Any, int]) -> None:
        wanted = axis.extent.xreplace({s: sp.Integer(n) for s, n in given.items()})
        if wanted.is_Integer and wanted != count:
            what = "features" if name == self.features else "classes"
            hint = "a bias unit counts too" if self.settings.bias_unit and name == self.features else None
            found = f"{written_name(name)}: the data have {count} {what}"
            raise SymgradError("SG613", f"{found}, and {axis.symbol} in {axis.lo}..{axis.hi} takes {wanted} values", hint=hint)

    def unknown(self, given: Mapping[Any, int]) -> list[Any]:
        axes = [axis for tensor in self.program.tensors.values() for axis in tensor.axes]
        return list(dict.fromkeys(s for axis in axes for s in sorted(axis.extent.free_symbols, key=str) if s not in given))

    def extent_of(self, symbol: Any) -> Any:
        """The number of values of the index whose range ends with this symbol."""
        axes = [axis for tensor in self.program.tensors.values() for axis in tensor.axes]
        return next(axis.extent for axis in axes if symbol in axis.extent.free_symbols)

    def shape(self, tensor: Tensor) -> tuple[int, ...]:
        return tuple(int(axis.extent.xreplace({s: sp.Integer(n) for s, n in self.extents.items()})) for axis in tensor.axes)

    @cached_property
    def params(self) -> tuple[str, ...]:
        found = self.program.params or tuple(n for n in self.program.free if n not in (self.features, self.target))
        if not found:
            raise SymgradError("SG613", "the model has no parameters to train", hint="declare them: param w[j]")
        return found

    def start(self) -> dict[str, Any]:
        """Seeded start: normal/√(fan in) for what multiplies another quantity, zeros for what is only added."""
        sizes = {name: math.prod(self.shape(self.program.tensors[name])) for name in self.params}
        largest = max(sizes, key=lambda name: sizes[name])
        if 8 * sizes[largest] > _memory() // 2:
            message = f"{written_name(largest)} would take {8 * sizes[largest] / 2**30:,.0f} GiB, more than half of the memory"
            raise SymgradError("SG508", message, hint="choose smaller extents with --size")
        r = np.random.default_rng(self.settings.seed)
        out = {}
        for name in self.params:
            shape = self.shape(self.program.tensors[name])
            fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else int(np.prod(shape)) if shape else 1
            scaled = len(shape) > 1 or self.multiplies(name)
            out[name] = r.normal(size=shape) / np.sqrt(fan_in) if scaled else np.zeros(shape)
        return out

    def multiplies(self, name: str) -> bool:
        products = [n for s in self.program.users.get(name, ()) for n in sp.preorder_traversal(s.value) if n.is_Mul]
        return any(any(_reads(f, name) for f in p.args) and sum(bool(f.free_symbols) for f in p.args) > 1 for p in products)

    # training and scores

    @cached_property
    def prediction(self) -> str | None:
        """The defined quantity that the loss reads together with the target and that has its axes."""
        wanted = self.settings.prediction
        axes = [axis.extent for axis in self.program.tensors[self.target].axes]
        if wanted is not None:
            tensor = self.program.tensors[self.program.known(wanted)]
            if wanted not in self.program.definitions or [a.extent for a in tensor.axes] != axes or wanted == self.loss:
                message = f"{written_name(wanted)} is no prediction of {written_name(self.target)}"
                raise SymgradError("SG613", message, hint="name a defined quantity with the same indices")
            return wanted
        for statement in self.program.statements:
            if self.target not in statement.read_names:
                continue
            for name in statement.read_names:
                tensor = self.program.tensors[name]
                if name in self.program.definitions and [axis.extent for axis in tensor.axes] == axes:
                    return name
        return None

    @cached_property
    def kernel(self) -> Kernel:
        batch, settings = (self.features, self.target), self.settings
        return compile(self.program, self.loss, self.params, batch, settings.dtype, settings.backend)

    def part(self, places: Any) -> dict[str, Any]:
        return {name: array[places].astype(self.settings.dtype) for name, array in self.arrays.items()}

    def run(self) -> Result:
        settings = self.settings
        _ = self.prediction  # refused before training, not after it
        start = time.perf_counter()
        params = {name: array.astype(settings.dtype) for name, array in self.start().items()}
        fit = self.kernel.fit(
            params,
            self.part(self.parts[0]),
            settings.optimizer,
            settings.epochs,
            settings.batch_size,
            seed=settings.seed,
            patience=settings.patience,
        )
        seconds = time.perf_counter() - start
        scores = [self.score(fit.params, places) if len(places) else None for places in self.parts]
        scaling = {f"{self.features}_shift": self.scaling.shift, f"{self.features}_scale": self.scaling.scale}
        return Result(fit, self.loss, self.prediction, scores[0], scores[1], seconds, scaling)

    def score(self, params: Mapping[str, Any], places: Any) -> float | None:
        """Accuracy for classes, else the coefficient of determination R²; None without a prediction."""
        if self.prediction is None:
            return None
        data = self.part(places)
        found, wanted = self.kernel.forward(**data, **params)[self.prediction], data[self.target]
        if wanted.ndim > 1:
            return float((found.argmax(1) == wanted.argmax(1)).mean())
        if self.classes is not None and len(self.classes) == 2:
            return float(((found >= 0.5) == (wanted >= 0.5)).mean())
        return float(1 - ((found - wanted) ** 2).mean() / max(wanted.var(), 1e-300))

    @property
    def score_name(self) -> str:
        binary = self.classes is not None and len(self.classes) == 2
        return "accuracy" if self.program.tensors[self.target].axes or binary else "R²"


def _reads(expr: Any, name: str) -> bool:
    return any(str(getattr(n, "name", "")) == name or (indices_of(n) and name_of(n) == name) for n in sp.preorder_traversal(expr))


def _learn(extent: Any, count: int, given: dict[Any, int]) -> None:
    """extent = count, solved for the one symbol in it."""
    free = [s for s in extent.free_symbols if s not in given]
    if len(free) == 1 and extent.coeff(free[0]) == 1:
        rest = (extent - free[0]).xreplace({s: sp.Integer(n) for s, n in given.items()})
        given[free[0]] = count - int(rest)


def _label(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float | np.number) else str(value)


def _memory() -> int:
    """Bytes of the machine's memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 1 << 34


def summary(job: Job, show: Callable[[str], None]) -> None:
    """What is about to be trained, for people."""
    goal = job.program.goal or "minimize"
    train, test = job.parts
    count = len(job.scaling.scale)
    bias = ", after a bias unit of 1" if job.settings.bias_unit else ""
    features = f"{count} feature{'s, each' if count > 1 else ','} scaled to mean 0 and deviation 1{bias}"
    _ = job.extents  # whatever does not fit is refused before anything is said
    show(f"{goal} {job.loss}; {len(train)} examples to train, {len(test)} to test")
    show(f"{written_name(job.features)}: {features}")
    kind = (
        f"{len(job.classes)} classes, one-hot"
        if job.program.tensors[job.target].axes
        else f"0 for {_label(job.classes[0])}, 1 for {_label(job.classes[1])}"
        if job.score_name == "accuracy"
        else "numbers"
    )
    show(f"{written_name(job.target)}: {kind}")
    show(f"parameters: {shown_shapes({n: job.shape(job.program.tensors[n]) for n in job.params})}")


def shown_shapes(shapes: Mapping[str, Sequence[int]]) -> str:
    """
    >>> shown_shapes({"W_1": (3, 2), "y_star": ()})
    'W_1 3 × 2, y^* 1'
    """
    return ", ".join(f"{written_name(name)} {' × '.join(map(str, shape)) or '1'}" for name, shape in shapes.items())
