"""Step program → the text of a training module: the epoch loop around one step, which updates parameters in place.

    _train(…) -> bool                                       epochs, shuffling, minibatches
    _step(sizes, data rows, parameters, rates) -> loss      numpy alone; numba compiles the step's equations in the loop

A module that is saved has both ways to train, by batches of rows and by single ones: their functions have a `suffix`.

`_train` runs up to `_limit` steps and may stop anywhere in an epoch; `_clock` (steps done, epoch, examples done in it, steps
and epochs of the whole run) and `_sums` (the losses of this epoch so far) are where it goes on, so that a run in pieces is
the run in one, bit for bit. False: the loss of step `_clock[0]` is not finite.

Scalar parameters are arrays without axes, read and written as `c[()]`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from symgrad.backends import blas, numba, numpy
from symgrad.backends.checks import CHECKS, check_lines
from symgrad.backends.entry import array_buffers, as_tuple
from symgrad.backends.module import header
from symgrad.backends.pycode import indent, python_name
from symgrad.core.program import Program
from symgrad.schedule.kernels import Schedule

SHUFFLE = '''def _shuffle(order, state):
    """Fisher and Yates' shuffle; the generator of Park and Miller (1988) with the factor 48271."""
    for last in range(len(order) - 1, 0, -1):
        state[0] = state[0]*48271 % 2147483647
        other = state[0]*(last + 1) >> 31
        order[last], order[other] = order[other], order[last]'''


CLOCK = {"t": "_clock[0]", "epoch": "_clock[1] + 1", "steps": "_clock[3]", "epochs": "_clock[4]"}


@dataclass(frozen=True)
class First:
    """What the first step of an epoch is given, each step then computing it for the next (`schedule/ahead.py`).

    `examples`: the name of an example → that of the next one.
    """

    schedule: Schedule
    examples: Mapping[str, str]

    @property
    def carried(self) -> tuple[str, ...]:
        return self.schedule.outputs


@dataclass(frozen=True)
class Training:
    """`step` runs on a batch, on one example (`single`) or, where no input is batched, on all that is given.

    `checks` is the schedule whose arguments are the arrays as the user passes them.
    """

    program: Program
    step: Schedule
    checks: Schedule
    data: tuple[str, ...]
    batched: tuple[str, ...]
    params: tuple[str, ...]
    state: tuple[str, ...]
    owners: tuple[str, ...]
    rates: tuple[str, ...]
    counters: tuple[tuple[str, str], ...]  # a name of the step's, and which counter of `CLOCK` it is
    single: bool
    example_size: str | None
    loss: str
    first: First | None = None

    @property
    def cells(self) -> frozenset[str]:
        return frozenset(n for n in (*self.params, *self.state, *self.carried) if not self.step.program.tensors[n].axes)

    @property
    def carried(self) -> tuple[str, ...]:
        """What steps hand on to the next beside parameters and state."""
        return self.first.carried if self.first else ()


def training_text(training: Training, dtype: str, backend: str) -> str:
    """The module: `check`, `buffers` and `_train`, for numpy `_step` too."""
    compiled = backend == "numba"
    decorator = numba.KERNEL if compiled else numpy.QUIET
    made, functions = loop_texts(training, dtype, decorator if compiled else "")
    parts = [
        check_text(training),
        f"def buffers({', '.join(size_names(training.step))}):\n    return {made}",
        shuffle_text(decorator),
        *functions,
    ]
    own = numba if compiled else numpy
    used = "\n".join(parts)
    definitions = own.helpers(used, dtype)
    imports = own.imports(used + definitions)
    blocks = [header(training.program, dtype, backend), imports, definitions, CHECKS, blas.support(used, dtype), *parts]
    return "\n\n\n".join(block for block in blocks if block) + "\n"


def loop_texts(training: Training, dtype: str, decorator: str, suffix: str = "") -> tuple[str, list[str]]:
    """The text of the arrays that the loop takes beside its data, and the functions of the loop; no decorator: NumPy's."""
    if not decorator:
        return "(), ()", [step_text(training, dtype, suffix), f"{numpy.QUIET}\n{train_text(training, None, suffix)}"]
    tables: list[str] = []
    shorter = None if training.single else training.example_size
    step = numba.body(training.step, dtype, training.cells, shorter, tables)
    first = numba.body(training.first.schedule, dtype, training.cells, shorter, tables) if training.first else ""
    text = train_text(training, step, suffix, first)
    return buffers_text(training, blas.given(step + first)), [*tables, f"{decorator}\n{text}"]


def shuffle_text(decorator: str) -> str:
    """All modules share it, so that it knows no class of theirs."""
    return f"{decorator.replace(numba.APART_TOO, '')}\n{SHUFFLE}"


def names(items: tuple[str, ...] | list[str]) -> list[str]:
    return [python_name(name) for name in items]


def size_names(schedule: Schedule, without: str | None = None) -> list[str]:
    return [python_name(size.symbol.name) for size in schedule.sizes if size.symbol.name != without]


def check_text(training: Training, name: str = "check", doc: str = "") -> str:
    """Arrays as the user passes them → sizes and checked arrays."""
    arguments = names(training.checks.arguments)
    lines = check_lines(training.checks, training.program)
    sizes = "".join(f"{name}, " for name in size_names(training.checks))
    arrays = ", ".join(f"{name!r}: {python_name(name)}" for name in training.checks.arguments)
    out = f"return ({sizes}), {{{arrays}}}"
    return f"def {name}({', '.join(arguments)}):\n{indent(chr(10).join([*([doc] if doc else []), *lines, out]))}"


def buffers_text(training: Training, more: list[str]) -> str:
    """Two tuples: what steps carry on; and row buffers for shuffled data and the step's temporaries, for batches of N.

    `more` is passed on as it is.
    """

    def made(name: str) -> str:
        return f"np.empty(({numpy.shape(training.step, name)}), {numpy.cell_type(training.step, name)})"

    rows = () if training.single else training.batched
    lines = "".join(f"\n        {text}," for text in [*map(made, rows), *map(made, array_buffers(training.step)), *more])
    return f"{as_tuple(list(map(made, training.carried)))}, ({lines}\n    )"


def step_text(training: Training, dtype: str, suffix: str) -> str:
    """The step of the numpy backend, a function."""
    schedule = training.step
    arguments = [*size_names(schedule), *names(schedule.arguments)]
    body = numpy.body(schedule, dtype)
    writes = "\n".join(f"{python_name(old)}[...] = {python_name(new)}" for new, old in schedule.aliases.items())
    head = f"{numpy.QUIET}\ndef _step{suffix}({', '.join(arguments)}):"
    return f"{head}\n{indent(body)}\n{indent(writes)}\n    return {python_name(training.loss)}"


def train_text(training: Training, body: str | None, suffix: str, first: str = "") -> str:
    """Epochs over shuffled rows. `body`: the step's lines, which are compiled once in the loop's place; else it is called.

    `first`: the lines that compute what steps carry on, for an epoch's first example.
    """
    step = training.step
    outer = size_names(step, training.example_size)
    rows = [f"_{n}_rows" for n in names(training.batched)] if body is not None and not training.single else []
    buffers = [*names(array_buffers(step)), *blas.takes(body + first)] if body is not None else []
    arguments = [
        *("epochs", "_limit", "batch", "shuffle", "order", "random", "history", "_clock", "_sums"),
        *outer,
        *(_whole(n) if n in training.batched else python_name(n) for n in training.data),
        *names(training.params),
        *names(training.state),
        *names(training.rates),
        *names(training.carried),
        *rows,
        *buffers,
    ]
    stepped = partial(_stepped, training, suffix=suffix, body=body)
    inside = _single(training, stepped, first) if training.single else _minibatch(training, stepped, body is not None)
    lines = [
        "examples = len(order)",
        "while _limit > 0 and _clock[1] < epochs:",
        "    if shuffle and _clock[2] == 0:",
        "        _shuffle(order, random)",
        "    _first = _clock[2]",
        "    _last = min(examples, _first + _limit*batch)",
        "    total = _sums[0]",
        *("    " + line for line in inside),
        "    _limit -= (_last - _first + batch - 1)//batch",
        "    if _last < examples:",
        "        _clock[2] = _last",
        "        _sums[0] = total",
        "    else:",
        "        history[_clock[1]] = total/examples",
        "        _clock[1] += 1",
        "        _clock[2] = 0",
        "        _sums[0] = 0.0",
        "return True",
    ]
    return f"def _train{suffix}({', '.join(arguments)}):\n{indent(chr(10).join(lines))}"


def _whole(name: str) -> str:
    """All examples, where the quantity's own name stands for those of a step."""
    return f"_{python_name(name)}_all"


def _stepped(training: Training, places: dict[str, str], suffix: str, body: str | None) -> list[str]:
    """A step on what `places` give: the loss."""
    places = places | {name: f"F({CLOCK[kind]})" for name, kind in training.counters}
    loss = python_name(training.loss)
    if body is None:
        given = [places.get(n, python_name(n)) for n in training.step.arguments]
        return [f"    _loss = _step{suffix}({', '.join([*size_names(training.step), *given])})"]
    taken = [f"    {python_name(name)} = {place}" for name, place in places.items() if python_name(name) != place]
    return [*taken, *("    " + line if line else line for line in body.split("\n")), f"    _loss = {loss}"]


BAD = ["    if not np.isfinite(_loss):", "        return False"]


def _single(training: Training, stepped: Callable[[dict[str, str]], list[str]], first: str) -> list[str]:
    """One example a step; where nothing is batched, the whole is the one example."""
    places = {n: f"{_whole(n)}[order[place]]" for n in training.batched}
    start, advance = [], []
    if training.first:
        start = [f"{python_name(n)} = {_whole(n)}[order[0]]" for n in training.first.examples] + first.split("\n")
        start = ["if _clock[2] == 0:", *("    " + line for line in start)]
        advance = ["    _following = min(place + 1, examples - 1)"]
        places |= {new: f"{_whole(n)}[order[_following]]" for n, new in training.first.examples.items()}
    return [
        *start,
        "for place in range(_first, _last):",
        "    _clock[0] += 1",
        *advance,
        *stepped(places),
        *BAD,
        "    total += _loss",
    ]


def _copied(name: str, size: str, rank: int) -> list[str]:
    """The rows of a shuffled batch, number by number: to copy a row at once, numba compiles an error's text for four seconds."""
    axes = [f"_i{axis}" for axis in range(1, rank)]
    lines = [f"for row in range({size}):"]
    for depth, axis in enumerate(axes, 1):
        lines.append("    " * depth + f"for {axis} in range(_{name}_all.shape[{depth}]):")
    there = ", ".join(["order[start + row]", *axes])
    lines.append("    " * rank + f"_{name}_rows[{', '.join(['row', *axes])}] = _{name}_all[{there}]")
    return lines


def _minibatch(training: Training, stepped: Callable[[dict[str, str]], list[str]], compiled: bool) -> list[str]:
    size = python_name(training.example_size or "")
    copy, view = [], []
    for name in training.batched:
        own = python_name(name)
        if compiled:
            copy += _copied(own, size, len(training.checks.program.tensors[name].axes))
            copy.append(f"{own} = _{own}_rows[:{size}]")
        else:
            copy.append(f"{own} = {_whole(name)}[order[start:start + {size}]]")
        view.append(f"{own} = {_whole(name)}[start:start + {size}]")
    return [
        "for start in range(_first, _last, batch):",
        f"    {size} = min(batch, examples - start)",
        "    _clock[0] += 1",
        "    if shuffle:",
        *("        " + line for line in copy),
        "    else:",
        *("        " + line for line in view),
        *stepped({}),
        *BAD,
        f"    total += {size}*_loss",
    ]
