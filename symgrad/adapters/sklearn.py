"""Estimators of scikit-learn around a model in index notation: fit, predict, score, in pipelines and searches.

Features are the input `x`, labels the input `y`, predictions the quantity `output`; what else the model is given is
`constants`. Extents come from the data, those that they do not tell from `sizes`.

    labels                    how the model has them          output, for a class label
    y^*[k]                    one-hot                         of one index: a number for each class, the largest wins
    c, c in 1..K              the place of the class          the same
    y^*                       0 or 1, two classes             of none: the probability of the second class

Training starts at normal numbers/√(fan in) for what multiplies another quantity, at zeros for what is only added, drawn by
`random_state` as the shuffling is.

>>> import numpy as np
>>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
>>> SymgradClassifier(epochs=200, random_state=0, backend="numpy").fit(X, ["a", "a", "b", "b"]).predict([[0.2], [2.9]])
array(['a', 'b'], dtype='<U1')
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import sympy as sp
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from symgrad.compiler import compile, front_kernel
from symgrad.core.errors import SymgradError, did_you_mean
from symgrad.core.graph import ancestors, find_loss
from symgrad.core.program import Index, Program, Tensor
from symgrad.core.source import written_name
from symgrad.data import Table
from symgrad.distributed.objective import Objective
from symgrad.frontend.files import read
from symgrad.frontend.latex import looks_like_latex, read_latex
from symgrad.frontend.text import parse
from symgrad.kernel import Kernel
from symgrad.optimizers import Adam, Optimizer
from symgrad.trainer import Job, Settings

LINEAR = """
index i in 1..M
input x[i], y^*
param w[i], c
y = sum(w[i]*x[i] for i) + c
J = (y - y^*)^2/2
minimize J
"""
SOFTMAX = """
index i in 1..M, k, l in 1..K
input x[i], y^*[k]
param W[k,i], c[k]
o[k] = sum(W[k,i]*x[i] for i) + c[k]
y[k] = exp(o[k])/sum(exp(o[l]) for l)
J = -sum(y^*[k]*log(y[k]) for k)
minimize J
"""


class Compiled(NamedTuple):
    """What a fitted estimator keeps of its model: plain values, so that it can be pickled."""

    text: str
    loss: str
    params: tuple[str, ...]
    batch: tuple[str, str]
    output: str
    dtype: str
    backend: str


@lru_cache(maxsize=32)
def _kernels(compiled: Compiled) -> tuple[Kernel, Kernel]:
    """The kernel that trains, and the one that predicts."""
    program = parse(compiled.text)
    kernel = compile(program, compiled.loss, compiled.params, compiled.batch, compiled.dtype, compiled.backend)
    return kernel, front_kernel(kernel, [compiled.output])


@dataclass(frozen=True)
class Match(Job):
    """A model, and the features and labels of an estimator: `given` by their names in the model."""

    names: tuple[str, str, str] = ("x", "y_star", "y")  # features, target, output
    given: Mapping[str, Any] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    wanted_loss: str | None = None
    kinds: int = 0  # of labels

    @cached_property
    def loss(self) -> str:
        return find_loss(self.program, self.wanted_loss)

    @cached_property
    def features(self) -> str:
        return self.input_of(self.names[0], "the features")

    @cached_property
    def target(self) -> str:
        return self.input_of(self.names[1], "the labels")

    @cached_property
    def output(self) -> str:
        name = self.program.known(self.names[2])
        shown, needs = written_name(name), ancestors(self.program, [name])
        why = {
            "is given, not computed": name not in self.program.definitions,
            "is the loss": name == self.loss,
            f"does not depend on the features {written_name(self.features)}": self.features not in needs,
            f"depends on the labels {written_name(self.target)}": self.target in needs,
        }
        wrong = next((text for text, found in why.items() if found), None)
        if wrong:
            raise SymgradError("SG613", f"{shown} {wrong}, so it is no prediction", hint="name the prediction: output=…")
        return name

    @cached_property
    def arrays(self) -> dict[str, Any]:
        return dict(self.given)

    @cached_property
    def params(self) -> tuple[str, ...]:
        others = {self.features, self.target, *self.constants}
        found = self.program.params or tuple(name for name in self.program.free if name not in others)
        if not found:
            raise SymgradError("SG613", "the model has no parameters to train", hint="declare them: param w[j]")
        missing = [name for name in self.program.free if name not in {*others, *found}]
        if missing:
            message = f"the model needs {written_name(missing[0])} beside features, labels and parameters"
            raise SymgradError("SG613", message, hint=f'pass constants={{"{missing[0]}": …}}, or declare it param')
        return found

    def input_of(self, name: str, what: str) -> str:
        if self.program.known(name) in self.program.definitions or name in self.program.params:
            kind = "a parameter" if name in self.program.params else "computed by the model"
            raise SymgradError("SG613", f"{written_name(name)} is {kind}, so it cannot hold {what}", hint="name an input")
        return name

    def measured(self) -> Iterator[tuple[str, Index, int]]:
        """The axes of features and labels; the range of labels that count classes, where no size tells it."""
        yield from super().measured()
        values = self.program.tensors[self.target].values
        if values is not None and str(values[1]) not in (self.settings.sizes or {}):
            yield self.target, Index(sp.Symbol(self.target), *values), self.kinds

    def check_output(self) -> None:
        """A prediction has a number for each class, or fits the labels. Raises SG613."""
        axes = self.program.tensors[self.output].axes
        known = {s: sp.Integer(n) for s, n in self.extents.items()}
        found = tuple(int(axis.extent.xreplace(known)) for axis in axes)
        labels = tuple(self.given[self.target].shape[1:])
        fits = found == (self.kinds,) or (found == () and self.kinds <= 2) if self.kinds else found == labels
        if not fits:
            needed = f"{self.kinds} classes" if self.kinds else f"labels {written_name(self.target)}"
            shape = f"shape {found}" if found else "no index"
            raise SymgradError("SG613", f"{written_name(self.output)} has {shape}, which does not fit {needed}")


class _Estimator(BaseEstimator):  # type: ignore[misc]
    default = LINEAR

    def __init__(
        self,
        model: str | Path | Program | None = None,
        loss: str | None = None,
        x: str = "x",
        y: str = "y_star",
        output: str = "y",
        optimizer: Optimizer | None = None,
        epochs: int = 100,
        batch_size: int | None = 32,
        random_state: Any = None,
        sizes: Mapping[str, int] | None = None,
        constants: Mapping[str, Any] | None = None,
        dtype: str = "float64",
        backend: str = "numba",
        local_steps: int | None = None,
    ):
        self.model, self.loss, self.x, self.y, self.output = model, loss, x, y, output
        self.optimizer, self.epochs, self.batch_size, self.random_state = optimizer, epochs, batch_size, random_state
        self.sizes, self.constants, self.dtype, self.backend = sizes, constants, dtype, backend
        self.local_steps = local_steps

    def _program(self) -> Program:
        if self.model is None or isinstance(self.model, Program):
            return parse(self.default) if self.model is None else self.model
        if isinstance(self.model, Path) or (isinstance(self.model, str) and "=" not in self.model):
            return read(self.model)
        return read_latex(self.model).program if isinstance(self.model, str) and looks_like_latex(self.model) else parse(self.model)

    def _trained(self, program: Program, given: Mapping[str, Any], kinds: int = 0, objective: Objective | None = None) -> None:
        """given: features and labels by name; of an objective, whose shards hold them, those of one example."""
        seed, constants = int(check_random_state(self.random_state).randint(2**31 - 1)), dict(self.constants or {})
        for name in constants:
            if name not in program.free:
                hint = did_you_mean(name, program.free) or f"it is given {', '.join(program.free)}"
                raise SymgradError("SG601", f"the model does not use an array named {name}", hint=hint)
        settings = Settings(self.optimizer or Adam(0.01), seed=seed, sizes=self.sizes)
        made = self if objective is None else objective.kernel
        loss, dtype, backend = made.loss, made.dtype, made.backend
        match = Match(program, Table(None, None), settings, (self.x, self.y, self.output), given, constants, loss, kinds)
        params = match.params
        match.check_output()
        compiled = Compiled(str(program), match.loss, params, (self.x, self.y), self.output, str(dtype), backend)
        kernel, _ = _kernels(compiled)
        fit = kernel.fit(
            match.start(), constants if objective else {**given, **constants}, settings.optimizer, self.epochs, self.batch_size,
            seed=seed, progress=False, objective=objective, local_steps=self.local_steps,
        )  # fmt: skip
        if fit.stopped == "interrupted":
            warnings.warn("training was interrupted", stacklevel=3)
        self.compiled_, self.constants_ = compiled, constants
        self.params_, self.loss_curve_ = fit.params, fit.history[match.loss]

    def _of_shards(self, objective: Objective) -> tuple[Program, dict[str, Any]]:
        """The model of an objective, with one example of its features and labels. Raises SG613 where they are not what is told."""
        program, example = objective.kernel.program, objective.example
        if self.model is not None and str(self._program()) != str(program):
            raise SymgradError("SG613", "the objective is of another model than the estimator", hint="leave model= out")
        for name, what in ((self.x, "the features"), (self.y, "the labels")):
            if name not in example:
                message = f"the shards hold {', '.join(example)}, and no {name} for {what}"
                raise SymgradError("SG613", message, hint="name what they hold: x=…, y=…")
        if len(example) > 2:
            message = f"the shards hold {', '.join(example)}, and an estimator has features and labels alone"
            raise SymgradError("SG613", message, hint="train with kernel.fit(…, objective=…)")
        features = example[self.x].reshape(1, -1)
        _columns(program, self.x, features)
        self.n_features_in_ = features.shape[1]
        return program, example

    def _found(self, features: Any) -> Any:
        check_is_fitted(self)
        features = validate_data(self, features, reset=False, dtype=np.float64)
        _, front = _kernels(self.compiled_)
        name = self.compiled_.batch[0]
        arrays = {name: _columns(front.program, name, features), **self.constants_, **self.params_}
        return front.forward(**{name: arrays[name] for name in front.parts[0].schedule.arguments})[self.compiled_.output]

    def _labels(self) -> Tensor | None:
        """The model's labels, for what scikit-learn asks before it fits; `fit` says what is wrong with a model."""
        try:
            return _labels_of(self._program(), self.y)
        except SymgradError:
            return None

    def __getstate__(self) -> dict[str, Any]:
        """A program is kept as its text, which reads back as the same."""
        state = super().__getstate__()
        return {**state, "model": str(self.model)} if isinstance(self.model, Program) else state


class SymgradRegressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    """A model that predicts numbers; without one, linear regression by least squares.

    model: a file, equations, LaTeX or a program. loss: as in `sg.compile`. x, y, output: features, labels and prediction in the
    model; labels have no index, or one for several targets. optimizer: `sg.Adam(0.01)` by default; epochs, batch_size as in
    `kernel.fit`. random_state: start and order of examples. sizes: extents that the data do not tell, by name. constants: other
    inputs. Fitted: `params_`, the trained arrays by name; `loss_curve_`, the mean loss of each epoch; `n_features_in_`.

    `fit(objective)` trains on shards of features and labels (`symgrad.distributed`), with the model, loss, type and backend of the
    objective; local_steps as in `kernel.fit`.

    `fit` raises SG1xx to SG4xx (the model), SG601 to SG608 (arrays and settings), SG613 (model and data do not fit), SG614 (sizes).
    """

    def fit(self, X: Any, y: Any = None) -> SymgradRegressor:
        on_shards = isinstance(X, Objective)
        program = X.kernel.program if on_shards else self._program()
        tensor = _labels_of(program, self.y)
        if not on_shards:
            X, y = validate_data(self, X, y, dtype=np.float64, multi_output=bool(tensor.axes), y_numeric=True)
        if tensor.values is not None:
            raise SymgradError("SG613", f"{written_name(self.y)} counts classes", hint="use SymgradClassifier")
        if on_shards:
            self._trained(*self._of_shards(X), objective=X)
            return self
        y = y[:, None] if tensor.axes and y.ndim == 1 else y
        self._trained(program, {self.x: _columns(program, self.x, X), self.y: y.astype(np.float64)})
        return self

    def predict(self, X: Any) -> Any:
        return self._found(X)

    def __sklearn_tags__(self) -> Any:
        tags, tensor = super().__sklearn_tags__(), self._labels()
        tags.target_tags.multi_output = tensor is not None and bool(tensor.axes)
        return tags


class SymgradClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """A model that predicts classes; without one, softmax regression by cross-entropy.

    Parameters and fitted values are those of `SymgradRegressor`, and `classes_`. Labels may be any that NumPy can sort; shards hold
    them as the model has them, and `classes_` are their numbers. `output` is to be the
    probability of the second class, or the probabilities of all; `predict` needs but the largest of them.
    """

    default = SOFTMAX

    def fit(self, X: Any, y: Any = None) -> SymgradClassifier:
        if isinstance(X, Objective):
            program, example = self._of_shards(X)
            self.classes_ = _counted(_labels_of(program, self.y), example[self.y], self.sizes or {})
            self._trained(program, example, len(self.classes_), X)
            return self
        program, (X, y) = self._program(), validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, places = np.unique(y, return_inverse=True)
        labels = _encoded(_labels_of(program, self.y), places, self.classes_)
        self._trained(program, {self.x: _columns(program, self.x, X), self.y: labels}, len(self.classes_))
        return self

    def predict_proba(self, X: Any) -> Any:
        """The output for each class, of shape (examples, classes)."""
        found = self._found(X)
        return found if found.ndim == 2 else np.stack([1 - found, found], axis=1)[:, : len(self.classes_)]

    def predict(self, X: Any) -> Any:
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def __sklearn_tags__(self) -> Any:
        tags, tensor = super().__sklearn_tags__(), self._labels()
        tags.classifier_tags.multi_class = tensor is None or bool(tensor.axes) or tensor.values is not None
        return tags


def _labels_of(program: Program, name: str) -> Tensor:
    tensor = program.tensors[program.known(name)]
    if len(tensor.axes) > 1:
        raise SymgradError("SG613", f"{written_name(name)} has {len(tensor.axes)} indices; labels fill one or none")
    return tensor


def _columns(program: Program, name: str, features: Any) -> Any:
    """Features as the model's input has them: one with an index, or one that is a number."""
    axes = program.tensors[program.known(name)].axes
    if len(axes) > 1:
        raise SymgradError("SG613", f"{written_name(name)} has {len(axes)} indices; features fill one or none")
    if not axes and features.shape[1] != 1:
        message = f"{written_name(name)} is one number, and the data have {features.shape[1]} features"
        raise SymgradError("SG613", message, hint=f"give it an index: {written_name(name)}[i]")
    return features if axes else features[:, 0]


def _encoded(tensor: Tensor, places: Any, classes: Any) -> Any:
    """Labels as the model has them: one-hot, counted from the start of their range, or 0 and 1."""
    if tensor.values is not None:
        if not tensor.values[0].is_Integer:
            raise SymgradError("SG613", f"{written_name(tensor.name)} counts from {tensor.values[0]}", hint="let it count from 1")
        return places + int(tensor.values[0])
    if tensor.axes:
        return np.eye(len(classes))[places]
    if len(classes) > 2:
        message = f"{written_name(tensor.name)} is one number, and the labels are of {len(classes)} classes"
        raise SymgradError("SG613", message, hint="give the labels an index, y^*[k], or a range, input c in 1..K")
    return places.astype(np.float64)


def _counted(tensor: Tensor, labels: Any, sizes: Mapping[str, int]) -> Any:
    """The classes by the numbers that shards have for them: places in a row, values of a range, or 0 and 1."""
    if tensor.values is None:
        return np.arange(labels.shape[1] if tensor.axes else 2)
    low, high = (sizes.get(str(end), end) for end in tensor.values)
    if not (sp.S(low).is_Integer and sp.S(high).is_Integer):
        message = f"{written_name(tensor.name)} counts from {low} to {high}, and one example does not tell how far that is"
        raise SymgradError("SG613", message, hint=f'pass sizes={{"{high}": …}}, the number of classes')
    return np.arange(int(low), int(high) + 1)
