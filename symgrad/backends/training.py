"""Step program → the text of a training module: the epoch loop around one compiled step.

    _step(sizes, data rows, parameters, state, rates, buffers) -> (loss,)   updates parameters in place
    _train(…) -> bool                                                       epochs, shuffling, minibatches

`_train` runs up to `_limit` steps and may stop anywhere in an epoch; `_clock` (steps done, epoch, examples done in it, steps
and epochs of the whole run) and `_sums` (the losses of this epoch so far) are where it goes on, so that a run in pieces is
the run in one, bit for bit. False: the loss of step `_clock[0]` is not finite.

Scalar parameters are arrays without axes, read and written as `c[()]`. The loop is the same text for
both backends; only the decorator differs.
"""

from __future__ import annotations

from dataclasses import dataclass

from symgrad.backends import blas, numba, numpy
from symgrad.backends.checks import CHECKS, check_lines
from symgrad.backends.entry import array_buffers
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

    @property
    def cells(self) -> frozenset[str]:
        return frozenset(n for n in (*self.params, *self.state) if not self.step.program.tensors[n].axes)


def training_text(training: Training, dtype: str, backend: str) -> str:
    """The module: `check`, `buffers`, `_step` and `train`."""
    compiled = backend == "numba"
    decorator = numba.DECORATOR + "\n" if compiled else numpy.QUIET + "\n"
    step = step_text(training, dtype, backend)
    parts = [
        check_text(training),
        buffers_text(training, blas.given(step)) if compiled else "def buffers(*sizes):\n    return ()",
        step,
        decorator + SHUFFLE,
        decorator + train_text(training, compiled, blas.takes(step)),
    ]
    own = numba if compiled else numpy
    used = "\n".join(parts)
    definitions = own.helpers(used, dtype)
    imports = own.imports(used + definitions)
    blocks = [header(training.program, dtype, backend), imports, definitions, CHECKS, blas.support(used, dtype), *parts]
    return "\n\n\n".join(block for block in blocks if block) + "\n"


def names(items: tuple[str, ...] | list[str]) -> list[str]:
    return [python_name(name) for name in items]


def size_names(schedule: Schedule, without: str | None = None) -> list[str]:
    return [python_name(size.symbol.name) for size in schedule.sizes if size.symbol.name != without]


def check_text(training: Training) -> str:
    """Arrays as the user passes them → sizes and checked arrays."""
    arguments = names(training.checks.arguments)
    lines = check_lines(training.checks, training.program)
    sizes = "".join(f"{name}, " for name in size_names(training.checks))
    arrays = ", ".join(f"{name!r}: {python_name(name)}" for name in training.checks.arguments)
    out = f"return ({sizes}), {{{arrays}}}"
    return f"def check({', '.join(arguments)}):\n{indent(chr(10).join([*lines, out]))}"


def buffers_text(training: Training, more: list[str]) -> str:
    """Row buffers for shuffled data and the step's temporaries, for batches of N; `more` is passed on as it is."""
    rows = (
        []
        if training.single
        else [f"np.empty(({numpy.shape(training.step, n)}), {numpy.cell_type(training.step, n)})" for n in training.batched]
    )
    inner = [
        f"np.empty(({numpy.shape(training.step, n)}), {numpy.cell_type(training.step, n)})" for n in array_buffers(training.step)
    ]
    made = "".join(f"\n        {text}," for text in [*rows, *inner, *more])
    return f"def buffers({', '.join(size_names(training.step))}):\n    return ({made}\n    )"


def step_text(training: Training, dtype: str, backend: str) -> str:
    schedule = training.step
    arguments = [*size_names(schedule), *names(schedule.arguments)]
    loss = python_name(training.loss)
    if backend == "numba":
        tables: list[str] = []
        body = numba.body(schedule, dtype, training.cells, None if training.single else training.example_size, tables)
        arguments += [*names(array_buffers(schedule)), *blas.takes(body)]
        before = "".join(f"{table}\n\n\n" for table in tables)
        return f"{before}{numba.DECORATOR}\ndef _step({', '.join(arguments)}):\n{indent(body)}\n    return {loss}"
    body = numpy.body(schedule, dtype)
    writes = "\n".join(f"{python_name(old)}[...] = {python_name(new)}" for new, old in schedule.aliases.items())
    return f"{numpy.QUIET}\ndef _step({', '.join(arguments)}):\n{indent(body)}\n{indent(writes)}\n    return {loss}"


def train_text(training: Training, compiled: bool, more: list[str]) -> str:
    """Epochs over shuffled rows. `more`: what the step takes last."""
    step = training.step
    outer = size_names(step, training.example_size)
    rows = [f"_{n}_rows" for n in names(training.batched)] if compiled and not training.single else []
    buffers = [*names(array_buffers(step)), *more] if compiled else []
    arguments = [
        *("epochs", "_limit", "batch", "shuffle", "order", "random", "history", "_clock", "_sums"),
        *outer,
        *names(training.data),
        *names(training.params),
        *names(training.state),
        *names(training.rates),
        *rows,
        *buffers,
    ]
    inside = _single(training, buffers) if training.single else _minibatch(training, buffers, bool(rows))
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
    return f"def _train({', '.join(arguments)}):\n{indent(chr(10).join(lines))}"


def _call(training: Training, places: dict[str, str], sizes: list[str], buffers: list[str]) -> str:
    places = places | {name: f"F({CLOCK[kind]})" for name, kind in training.counters}
    given = [places.get(n, python_name(n)) for n in training.step.arguments]
    return f"_step({', '.join([*sizes, *given, *buffers])})"


BAD = ["    if not np.isfinite(_loss):", "        return False"]


def _single(training: Training, buffers: list[str]) -> list[str]:
    """One example a step; where nothing is batched, the whole is the one example."""
    places = {n: f"{python_name(n)}[order[place]]" for n in training.batched}
    return [
        "for place in range(_first, _last):",
        "    _clock[0] += 1",
        f"    _loss = {_call(training, places, size_names(training.step), buffers)}",
        *BAD,
        "    total += _loss",
    ]


def _minibatch(training: Training, buffers: list[str], rows: bool) -> list[str]:
    size = python_name(training.example_size or "")
    places = {n: f"_{python_name(n)}_batch" for n in training.batched}
    copy, view = [], []
    for name in names(training.batched):
        if rows:
            copy += [f"        for row in range({size}):", f"            _{name}_rows[row] = {name}[order[start + row]]"]
        copy.append(
            f"        _{name}_batch = _{name}_rows[:{size}]"
            if rows
            else f"        _{name}_batch = {name}[order[start:start + {size}]]"
        )
        view.append(f"        _{name}_batch = {name}[start:start + {size}]")
    return [
        "for start in range(_first, _last, batch):",
        f"    {size} = min(batch, examples - start)",
        "    _clock[0] += 1",
        "    if shuffle:",
        *copy,
        "    else:",
        *view,
        f"    _loss = {_call(training, places, size_names(training.step), buffers)}",
        *BAD,
        f"    total += {size}*_loss",
    ]
