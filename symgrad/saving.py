"""A kernel → the text of a module that a colleague reads and runs with numpy and numba alone.

    docstring         forward and backward equations; shape, type and role of every argument and result; version and SHA-256
    forward, value_and_grad, step, fit        with annotations; the last two train by the optimiser that was chosen

The same kernel gives the same bytes in every process. The text goes through the gate as every module does.

>>> import symgrad as sg
>>> k = sg.compile(sg.parse("param w; J = (w - 3)^2; minimize J"), backend="numpy")
>>> print("".join(saved_text(k).splitlines(keepends=True)[:5]).rstrip())
\"""J and its gradients by w: a kernel for numpy in float64, made by symgrad.
<BLANKLINE>
Forward      │ Backward
─────────────┼─────────────────
J = (w − 3)² │ dJ/dw = 2(w − 3)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version

from symgrad.backends import saved, signed
from symgrad.backends.entry import Part, cell, result_type
from symgrad.backends.module import module_text, native_module
from symgrad.backends.pycode import python_name
from symgrad.core.errors import SymgradError
from symgrad.core.program import Index, Tensor, is_count
from symgrad.kernel import Kernel
from symgrad.optimizers import NEXT, SGD, Optimizer, an_optimizer
from symgrad.schedule.kernels import Schedule

LONG = 1000  # equations, beyond which the docstring has the model's own alone
UNITS = "Numbers are in the units in which the equations hold, angles in radians; nothing is converted."


def saved_text(kernel: Kernel, optimizer: Optimizer | None = None) -> str:
    """The whole module, with `step` and `fit` for an optimiser, `SGD()` where none is chosen.

    A kernel that cannot be trained has neither, and the docstring says why; where an optimiser was asked for, that is SG713.
    Raises SG608 (no optimiser).
    """
    chosen = an_optimizer(optimizer or SGD())
    fitting = fitting_of(kernel, chosen)
    if isinstance(fitting, str) and optimizer is not None:
        raise SymgradError("SG713", f"the module would have no step and fit: {fitting}")
    parts = [saved.names_text(arguments(kernel), kernel.loss, kernel.wrt)]
    parts += [f"{saved.VERSION}\n\n\n_needs_numba{saved.LEAST_NUMBA}"] if kernel.backend == "numba" else []
    parts += [saved.fitting_text(fitting, kernel.dtype, kernel.backend)] if not isinstance(fitting, str) else []
    how = [f"step and fit are left out: {fitting}."] if isinstance(fitting, str) else list(_how(kernel, chosen, fitting))
    doc = docstring(kernel, f"a kernel for {kernel.backend}", how)
    return signed.signed(module_text(kernel.program, kernel.parts, kernel.dtype, kernel.backend, "\n\n\n".join(parts), doc))


def native_text(kernel: Kernel, library: str) -> tuple[str, bytes]:
    """The text of a module that calls a shared library of that name beside it, and the library. Raises SG710."""
    doc = docstring(
        kernel,
        f"a kernel in machine code, beside this file in {library},",
        ["step and fit are left out: a module for numba has them."],
    )
    names = saved.names_text(arguments(kernel), kernel.loss, kernel.wrt)
    text, code = native_module(kernel.program, kernel.parts, kernel.dtype, kernel.module, library, names, doc)
    return signed.signed(text), code


def arguments(kernel: Kernel) -> dict[str, str]:
    """What Python calls each quantity that a module is given."""
    given = {name for part in kernel.parts for name in part.schedule.arguments}
    return {name: python_name(name) for name in kernel.program.free if name in given}


def fitting_of(kernel: Kernel, optimizer: Optimizer) -> saved.Fitting | str:
    """How a kernel trains, or why it does not."""
    from symgrad.train import plan

    if kernel.operator:
        return "this is no gradient of a loss"
    if kernel.checkpoint is not False:
        return "a kernel with checkpoint= does not train"
    params = trained(kernel)
    if not params:
        return f"the gradients are by {', '.join(kernel.wrt)}, and batched data are not trained"
    try:
        batches = plan(kernel, params, optimizer.rule, False)
        each = plan(kernel, params, optimizer.rule, True) if kernel.batch else batches
    except SymgradError as error:
        return error.message
    rates = tuple(zip(optimizer.rule.rates, optimizer.rates, strict=True))
    return saved.Fitting(batches, each, rates)


def trained(kernel: Kernel) -> tuple[str, ...]:
    """The parameters that the gradients are by; where the model declares none, all that they are by but batched data."""
    declared = tuple(name for name in kernel.wrt if kernel.program.tensors[name].role == "param")
    return declared or tuple(name for name in kernel.wrt if name not in kernel.batch)


# the docstring


def docstring(kernel: Kernel, what: str, more: Sequence[str]) -> str:
    """The text in quotes, with a place for the sum of the whole; `more` are lines below the functions' own."""
    gradient, front = kernel.parts
    blocks = [
        f"{gradient.doc.removesuffix('.')}: {what} in {kernel.dtype}, made by symgrad.",
        _equations(kernel),
        *_remarks(kernel),
        "\n".join(["Arguments, by name", *_table(kernel, _argument_rows(kernel))]),
        "\n".join(["Results", *_table(kernel, _result_rows(gradient, front))]),
        "\n".join([_signature(gradient), _signature(front), *more]),
        UNITS,
        signed.line(own_version()),
    ]
    text = "\n\n".join(blocks).replace("\\", "/")
    assert '"""' not in text
    return f'"""{text}\n"""'


def own_version() -> str:
    try:
        return version("symgrad")
    except PackageNotFoundError:  # run from a folder
        return "of-no-version"


def _equations(kernel: Kernel) -> str:
    """The forward and the backward pass as `derive` prints them, else the model as the text language writes it."""
    if kernel.operator or len(kernel.program.statements) > LONG:
        return f"Model\n{saved_model(kernel)}"
    from symgrad.derivation import derive

    try:
        return derive(kernel.program, kernel.loss, kernel.wrt).text()
    except SymgradError:  # beyond a limit of what is printed
        return f"Model\n{saved_model(kernel)}"


def saved_model(kernel: Kernel) -> str:
    return "\n".join(f"    {line}" for line in str(kernel.program).split("\n"))


def _remarks(kernel: Kernel) -> Iterator[str]:
    lines = []
    if kernel.batch:
        names = ", ".join(map(python_name, kernel.batch))
        rows = kernel.primal.tensors[kernel.batch[0]].extents[0]
        lines.append(f"Each of the {rows} rows of {names} is an example; {kernel.loss} is then the mean over them.")
    if kernel.stabilize and not kernel.operator:
        lines.append("Where these formulas overflow or lose digits, equal ones that do not are computed.")
    tensors = kernel.program.tensors.values()
    counts = {str(symbol) for each in tensors for extent in each.extents for symbol in extent.free_symbols if is_count(symbol)}
    lines += [f"{', '.join(sorted(counts))}: how many values the index has."] if counts else []
    if lines:
        yield "\n".join(lines)


Row = tuple[str, str, Schedule, str]  # a name, what it is, where its axes are found and as which quantity


def _argument_rows(kernel: Kernel) -> Iterator[Row]:
    for name in arguments(kernel):
        part = next(part for part in kernel.parts if name in part.schedule.arguments)
        role = "parameter" if kernel.program.tensors[name].role == "param" else "input"
        yield python_name(name), role, part.schedule, name


def _result_rows(gradient: Part, front: Part) -> Iterator[Row]:
    (loss, own), *grads = gradient.results.items()
    yield loss, "value", gradient.schedule, own
    for name, own in grads:
        yield name, "gradient", gradient.schedule, own
    for name, own in front.results.items():
        yield name, "forward", front.schedule, own


def _table(kernel: Kernel, rows: Iterator[Row]) -> Iterator[str]:
    real = kernel.backend == "numpy"
    cells = [(name, what, *_described(schedule, own, kernel.dtype, real)) for name, what, schedule, own in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(5)]
    for row in cells:
        yield ("    " + "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))).rstrip()


def _described(schedule: Schedule, name: str, dtype: str, real: bool) -> tuple[str, str, str]:
    """Type, shape and indices of an array; a number has no shape. `real` as in `result_type`."""
    tensor = schedule.program.tensors[name]
    given = name in schedule.arguments
    kind = cell(schedule, name, dtype) if given else result_type(schedule, name, dtype, real).removeprefix("NDArray[")
    kind = kind.removeprefix("np.").removesuffix("]")
    kind += f" in {tensor.values[0]}..{tensor.values[1]}" if tensor.values else ""
    if not tensor.axes:
        return kind, "a number", ""
    return kind, _shape(tensor), ", ".join(map(_range, tensor.axes))


def _shape(tensor: Tensor) -> str:
    extents = [str(extent) for extent in tensor.extents]
    return f"({', '.join(extents)}{',' * (len(extents) == 1)})"


def _range(axis: Index) -> str:
    return f"{axis.symbol} = {axis.lo}..{axis.hi}"


def _signature(part: Part) -> str:
    given = ", ".join(map(python_name, part.schedule.arguments))
    if part.name == "forward":
        return f"forward({given}) -> all that is defined, by name"
    (loss, _), *grads = part.results.items()
    return f"{part.name}({given}) -> {loss}, {{{', '.join(name for name, _ in grads)}}}"


def _how(kernel: Kernel, optimizer: Optimizer, fitting: saved.Fitting) -> Iterator[str]:
    """What `step` and `fit` do."""
    names = ", ".join(fitting.batches.params)
    yield "step(params, data, state) -> loss, params, state of the optimiser after one step on all of the data"
    yield "fit(params, data, epochs, batch_size, shuffle, seed) -> params, losses of the epochs"
    yield f"    params = {{{names}}}, data = {{{', '.join(fitting.batches.data)}}}"
    yield f"    each of {names} is the theta of"
    for line in str(optimizer.rule.program).split("\n"):
        if "=" in line:
            yield f"        {line}"
    yield from (f"        {name} = {text}" for name, text in optimizer.rule.equations_of_rates)
    sign = "minus its gradient, since the model is to be maximised" if kernel.program.goal == "maximize" else "its gradient"
    state = f"; {', '.join(name for name in optimizer.rule.state)} start at 0" if optimizer.rule.state else ""
    cuts = {"clip_value": "each cell cut to clip_value at most", "clip_norm": "all scaled to a norm of clip_norm at most"}
    sign += "".join(f", {cuts[name]}" for name in optimizer.rule.clips)
    yield f"    where g is {sign}{state}; what ends in {NEXT} is what it becomes"
    numbers = [f"{name} is {saved.keyword(name)}" for name in optimizer.rule.rates if saved.keyword(name) != name]
    numbers += ["t is the number of the step, from 1"] if fitting.batches.counters else []
    yield from [f"    {'; '.join(numbers)}"] if numbers else []
