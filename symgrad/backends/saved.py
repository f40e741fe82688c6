"""A kernel that is saved → the text that follows its entry points: `step` and `fit`, which need nothing but numpy and numba.

    _checked_fit(x, y, w)                       sizes and arrays that fit, or a DataError
    _room_rows(_batch, sizes)                   sizes and further arrays that the loop takes, for so many rows a step
    _train_rows, _room_each, _train_each        the loop of `training.py` over batches of rows, and over single ones
    step, fit                                   what people call, with the rates of the optimiser as keywords

Both ways to train are there, since `Kernel.fit` has an own step for single rows: numbers are the same to the last bit.
`SUPPORT` is the same in every module.

>>> keyword("eta"), keyword("beta_1")
('learning_rate', 'beta_1')
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from symgrad.backends import numba, numpy
from symgrad.backends.entry import as_tuple
from symgrad.backends.pycode import python_name
from symgrad.backends.training import Training, check_text, loop_texts, shuffle_text, size_names

LEAST_NUMBA = (0, 61)  # as in pyproject.toml
KEYWORDS = {"eta": "learning_rate", "mu": "momentum", "lambda": "weight_decay"}  # rates that go by another name
RUN = {"epoch": "epoch", "steps": "steps", "epochs": "epochs"}  # what an equation of a rate reads of the whole run

VERSION = '''
def _needs_numba(*least):
    """DataError SG714 where the numba that is installed is too old for the code below."""
    from numba import __version__

    found = tuple(int(part) if part.isdecimal() else 0 for part in __version__.split(".")[:len(least)])
    if found < least:
        wanted = ".".join(map(str, least))
        hint = f"pip install 'numba>={wanted}'"
        raise DataError("SG714", f"this module needs numba {wanted} or later, and {__version__} is installed", hint)
'''.strip()

SUPPORT = '''
def _checked_names(what, wanted, given):
    """The arrays in the order of their names; DataError SG601 where one is missing or unknown."""
    if not hasattr(given, "keys"):
        raise DataError("SG601", f"{what} must be arrays by name, and are of type {type(given).__name__}")
    for name in given:
        if name not in wanted:
            raise DataError("SG601", f"{what} hold {name}, which is not among {', '.join(wanted) or 'them: there are none'}")
    for name in wanted:
        if name not in given:
            raise DataError("SG601", f"{what} hold no {name}", f"they are {', '.join(wanted)}")
    return [given[name] for name in wanted]


def _checked_count(name, value, least):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise DataError("SG608", f"{name} must be a whole number of at least {least}, and is {value!r}")
    return int(value)


def _checked_rate(name, value):
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 <= value < np.inf:
        raise DataError("SG608", f"{name} must be a number of at least 0, and is {value!r}")
    return F(value)


class _Run:
    """Checked arrays, and all that steps change; `clock`: steps, epochs, rows of this epoch done; steps, epochs in all."""

    def __init__(self, params, data, batch_size, rates, epochs, seed):
        rates = [_checked_rate(name, value) for name, value in rates.items()]
        given = [*_checked_names("the data", _GIVEN, data), *_checked_names("the parameters", _TRAINED, params)]
        sizes, arrays = _checked_fit(*given)
        rows = sizes[_ROWS] if _ROWS is not None else 1
        if rows < 1:
            raise DataError("SG606", "there are no examples in the data")
        self.batch = min(batch_size or rows, rows)
        room, self.train = _EACH if batch_size == 1 else _BATCHES
        try:
            self.params = {name: np.array(arrays[name], dtype=F, copy=True, order="C") for name in _TRAINED}
            self.state = {name: np.zeros_like(self.params[owner]) for name, owner in _STATE}
            self.sums, self.history = np.zeros(1), np.empty(epochs)
            self.order, self.random = np.arange(rows), np.array([seed % 2147483646 + 1], dtype=np.int64)
            self.clock = np.array([0, 0, 0, epochs*-(-rows//self.batch), epochs], dtype=np.int64)
            outer, carried, buffers = room(self.batch, *sizes)
        except (MemoryError, ValueError, OverflowError) as error:
            raise DataError("SG508", f"there is not enough memory for this: {error}", "fewer examples or epochs") from None
        self.rest = [*outer, *(arrays[name] for name in _GIVEN), *self.params.values(), *self.state.values(), *rates]
        self.rest += [*carried, *buffers]
        self.moving = [*self.params.values(), *self.state.values(), *carried, self.order, self.random, self.clock, self.sums]
        self.copy()

    def steps(self, epochs, limit, shuffle):
        """At most so many steps, at most up to the end of an epoch: whether the loss stayed finite."""
        head = (self.batch, shuffle, self.order, self.random, self.history, self.clock, self.sums)
        return bool(self.train(epochs, limit, *head, *self.rest))

    def finite(self):
        return all(bool(np.isfinite(array).all()) for array in self.params.values())

    def copy(self):
        self.kept = [array.copy() for array in self.moving]

    def back(self):
        for array, old in zip(self.moving, self.kept):
            np.copyto(array, old)

    def broken(self, shuffle):
        """The error where a number is no longer finite; its `params` are those before that step, which are found by halves."""
        good, bad = int(self.kept[-2][0]), int(self.clock[0])
        self.back()
        while bad - good > 1:
            middle = (good + bad)//2
            if self.steps(int(self.clock[4]), middle - good, shuffle) and self.finite():
                self.copy()
                good = middle
            else:
                self.back()
                bad = middle
        where = f"step {good + 1} (epoch {int(self.clock[1]) + 1})"
        hint = "try a lower learning rate, or scale the inputs; the parameters before this step are the error's .params"
        error = DataError("SG607", f"training broke off in {where}: {_LOSS} or a parameter is no longer finite", hint)
        error.params, error.history = self.params, self.history[:self.clock[1]].copy()
        return error


def _fitted(params, data, epochs, batch_size, shuffle, seed, rates, show=None):
    """`fit`: pieces of about 0.1 s, between which Ctrl-C is heard, and a copy each second to go back to.

    show: called with the number of epochs that are done and the last one's loss, after pieces that end some.
    """
    from time import perf_counter

    epochs, seed, shuffle = _checked_count("epochs", epochs, 0), _checked_count("seed", seed, 0), bool(shuffle)
    batch_size = None if batch_size is None else _checked_count("batch_size", batch_size, 1)
    run = _Run(params, data, batch_size, rates, epochs, seed)
    if epochs:
        run.steps(0, 0, shuffle)  # compiles
    limit, copied = 1, perf_counter()
    try:
        while run.clock[1] < epochs:
            start, before, ended = perf_counter(), int(run.clock[0]), int(run.clock[1])
            fine = run.steps(epochs, limit, shuffle)
            now = perf_counter()
            limit = max(1, int(0.1*(int(run.clock[0]) - before)/max(now - start, 1e-7)))
            if fine and now - copied > 1:
                fine, copied = run.finite(), now
                if fine:
                    run.copy()
            if not fine:
                raise run.broken(shuffle)
            if show is not None and run.clock[1] > ended:
                show(int(run.clock[1]), float(run.history[run.clock[1] - 1]))
        if not run.finite():
            raise run.broken(shuffle)
    except KeyboardInterrupt:  # a copy is of steps that were done whole
        run.back()
    return run.params, run.history[:run.clock[1]].copy()


def _stepped(params, data, state, rates, epoch=1, steps=1, epochs=1):
    """`step`: all rows are one batch."""
    run = _Run(params, data, None, rates, _checked_count("epoch", epoch, 1), 0)
    done = 0
    if state is not None:
        number, *arrays = _checked_names("the arrays of the state", ["t", *run.state], state)
        done = _checked_count("t of the state", np.asarray(number)[()], 0)
        for (name, own), array in zip(run.state.items(), arrays):
            array = _array(name, array, ("…",)*own.ndim, "the state")
            if np.shape(array) != own.shape:
                raise DataError("SG604", f"{name} has shape {np.shape(array)}, but the state needs {own.shape}")
            own[...] = array
    run.clock[:] = done, epoch - 1, 0, _checked_count("steps", steps, 1), _checked_count("epochs", epochs, 1)
    run.copy()
    if not run.steps(epoch, 1, False):
        raise run.broken(False)
    return float(run.history[epoch - 1]), run.params, {"t": np.array(done + 1), **run.state}
'''.strip()

STEP = '''
def step(
    params: Mapping[str, ArrayLike], data: Mapping[str, ArrayLike], state: Mapping[str, ArrayLike] | None = None{more}
) -> tuple[float, {params}, {state}]:
    """One step of the optimiser on all of `data`: the loss before it, the parameters after it, and the optimiser's state.

    Nothing that is given is changed. state: what the step before returned; None for the first.
    """
    return _stepped(params, data, state, {{{rates}}}{run})
'''.strip()

FIT = '''
def fit(
    params: Mapping[str, ArrayLike], data: Mapping[str, ArrayLike], epochs: int = 10, batch_size: int | None = 32,
    shuffle: bool = True, seed: int = 0{more},
) -> tuple[{params}, NDArray[np.float64]]:
    """Train: the parameters, and the mean loss of every epoch, each example's before its own step.

    Nothing that is given is changed. batch_size: examples a step, None for all. Ctrl-C returns what is trained up to about a
    second before, with the losses of the epochs that were done. DataError SG607 where a number is no longer finite; its
    `params` are those before that step.
    """
    return _fitted(params, data, epochs, batch_size, shuffle, seed, {{{rates}}})
'''.strip()


@dataclass(frozen=True)
class Fitting:
    """How a module trains: by `batches`, or by `each` row, which is the same where there are no rows.

    `rates`: the numbers of the update rule, in its order.
    """

    batches: Training
    each: Training
    rates: tuple[tuple[str, float], ...]

    @property
    def counters(self) -> list[str]:
        """What the step needs to know of the whole run."""
        used = {kind for way in (self.batches, self.each) for _, kind in way.counters}
        return [name for name in RUN if name in used]


def keyword(rate: str) -> str:
    """The keyword for a number of an update rule."""
    return KEYWORDS.get(rate, rate)


def names_text(arguments: Mapping[str, str], loss: str, wrt: tuple[str, ...]) -> str:
    """What `symgrad.load` has to know: the loss, what the gradients are by, and what Python calls the model's quantities."""
    rows = ", ".join(f'"{name}": "{own}"' for name, own in arguments.items())
    return f'_LOSS = "{loss}"\n_WRT = {_texts(wrt)}\n_ARGUMENTS = {{{rows}}}  # names of the model → of the functions below'


def fitting_text(fitting: Fitting, dtype: str, backend: str) -> str:
    """All of the training."""
    compiled = backend == "numba"
    decorator = numba.KERNEL.replace("cache=True", "cache=_CACHED") if compiled else numpy.QUIET
    blocks = [
        check_text(fitting.batches, "_checked_fit", '"""Sizes and arrays that fit, for `fit`."""'),
        shuffle_text(decorator),
        *_way(fitting.batches, dtype, decorator if compiled else "", "_rows"),
    ]
    if fitting.each is not fitting.batches:
        blocks += _way(fitting.each, dtype, decorator if compiled else "", "_each")
    return "\n\n\n".join([*blocks, _table(fitting), SUPPORT, *_public(fitting, dtype)])


def _way(training: Training, dtype: str, decorator: str, suffix: str) -> list[str]:
    """The loop of a way to train, and the function that makes room for it."""
    made, functions = loop_texts(training, dtype, decorator, suffix)
    size = "" if training.single else training.example_size or ""
    shorter = f"    {python_name(size)} = _batch\n" if size else ""
    outer = as_tuple(size_names(training.step, training.example_size))
    doc = '    """Sizes that the steps take, and arrays, for so many rows at a time."""\n'
    head = f"def _room{suffix}({', '.join(['_batch', *size_names(training.checks)])}):\n"
    return [f"{head}{doc}{shorter}    return {outer}, {made}", *functions]


def _table(fitting: Fitting) -> str:
    """What `SUPPORT` has to know."""
    training = fitting.batches
    sizes = [size.symbol.name for size in training.checks.sizes]
    state = as_tuple([f'("{name}", "{owner}")' for name, owner in zip(training.state, training.owners, strict=True)])
    each = "_BATCHES" if fitting.each is training else "(_room_each, _train_each)"
    lines = [
        f"_TRAINED = {_texts(training.params)}",
        f"_GIVEN = {_texts(training.data)}",
        f"_STATE = {state}  # of the optimiser, and which parameter each array belongs to",
        f"_ROWS = {sizes.index(training.example_size) if training.example_size else None}  # which size counts the examples",
        "_BATCHES = (_room_rows, _train_rows)",
        f"_EACH = {each}",
    ]
    return "\n".join(lines)


def _texts(items: tuple[str, ...]) -> str:
    return as_tuple([f'"{item}"' for item in items])


def _public(fitting: Fitting, dtype: str) -> list[str]:
    given = [(keyword(name), value) for name, value in fitting.rates]
    rates = ", ".join(f'"{name}": {name}' for name, _ in given)
    typed = [f"{name}: float = {value!r}" for name, value in given]
    run = [f"{name}: int" for name in fitting.counters]
    arrays = f"dict[str, NDArray[np.{dtype}]]"
    state = f"dict[str, NDArray[np.{dtype}] | NDArray[np.int64]]"
    passed = "".join(f", {name}={name}" for name in fitting.counters)
    step = STEP.format(more=_keywords([*run, *typed]), params=arrays, state=state, rates=rates, run=passed)
    return [step, FIT.format(more=_keywords(typed), params=arrays, rates=rates)]


def _keywords(items: list[str]) -> str:
    return f",\n    *, {', '.join(items)}" if items else ""
