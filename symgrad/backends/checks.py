"""Arguments of a kernel → the lines of its module that check them: rank, type, every axis against the equation that uses it.

What is wrong is a `DataError` with a code of the family SG6xx; the functions that raise it stand in every module (`CHECKS`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sympy as sp

from symgrad.backends import numpy
from symgrad.backends.pycode import affine, python_name
from symgrad.core.affine import bounds
from symgrad.core.expr import gathers, indices_of, is_reduction, name_of, nodes, split_reduction
from symgrad.core.guards import on_places, stays_under
from symgrad.core.layout import Layout
from symgrad.core.parts import never_outside
from symgrad.core.program import Index, Program, Statement, scatters
from symgrad.core.ranges import scoped
from symgrad.core.source import statement_text, written_name
from symgrad.schedule.kernels import Schedule, Segments, Size

SHOWN = 160  # characters of an equation in an error

CHECKS = '''
_ndarray, _empty = np.ndarray, np.empty


class DataError(ValueError):
    """Arrays that do not fit the model: `code`, `message`, `hint`."""

    def __init__(self, code, message, hint=None):
        super().__init__(f"{code}: {message}" + (f"\\nhint: {hint}" if hint else ""))
        self.code, self.message, self.hint = code, message, hint


def _axes(axes):
    return f"{len(axes)} {'axis' if len(axes) == 1 else 'axes'} [{', '.join(axes)}]" if axes else "a single number"


_READABLE = {1, 3, 11, 13}  # of DLPack's kinds of devices, those whose memory the processor reads
_DEVICES = {2: "a CUDA device", 8: "a Metal device", 10: "a ROCm device", 14: "a oneAPI device"}


def _read(name, value):
    """An array of another library as one of NumPy's, on the same memory where that can be; DataError SG631 or SG632.

    All that does not speak DLPack is given back as it is.
    """
    if not hasattr(value, "__dlpack__") or isinstance(value, _ndarray):
        return value
    try:
        device = int(value.__dlpack_device__()[0])
    except Exception:  # a device that DLPack has no number for: the library says below why it gives no array
        device = 1
    if device not in _READABLE:
        where = _DEVICES.get(device, f"a device of DLPack's kind {device}")
        hint = f"copy it first, such as {name}.cpu()"
        raise DataError("SG631", f"{name} lies on {where}, and the kernel reads the memory of the processor", hint)
    try:
        return np.asarray(value) if hasattr(value, "__array__") else np.from_dlpack(value)
    except (TypeError, RuntimeError, ValueError, BufferError) as error:
        said = str(error).partition("\\n")[0]
        raise DataError("SG632", f"{name} is a {type(value).__name__} that gives no array: {said}") from None


def _array(name, value, axes, equation):
    """The value as a contiguous array of the kernel's type; DataError SG602 or SG603 where it cannot be."""
    value = value if type(value) is _ndarray else _read(name, value)
    try:
        array = np.asarray(value)
    except ValueError:
        raise DataError("SG602", f"{name} is no array: its rows differ in length, but {equation} needs {_axes(axes)}") from None
    if array.ndim != len(axes):
        raise DataError("SG602", f"{name} has shape {array.shape}, but {equation} needs {_axes(axes)}")
    if array.dtype != F and not np.can_cast(array.dtype, F, "same_kind"):
        message = f"{name} holds {array.dtype}, but {equation} needs {_D}"
        raise DataError("SG603", message, f"pass {name}.astype(np.{_D})")
    try:
        if array.dtype != F:
            array = array.astype(F, "C")
        elif not (array.flags.c_contiguous and array.flags.aligned):
            array = array.copy("C")
        return array if axes else array[()]
    except MemoryError:
        raise _no_room({name: array.shape}) from None


def _integers(name, value, axes, equation):
    """The value as a contiguous array of whole numbers; DataError SG602 or SG603 where it cannot be."""
    value = value if type(value) is _ndarray else _read(name, value)
    array = np.asarray(value)
    if array.ndim != len(axes):
        raise DataError("SG602", f"{name} has shape {array.shape}, but {equation} needs {_axes(axes)}")
    if array.dtype.kind not in "iu":
        raise DataError("SG603", f"{name} holds {array.dtype}, but {equation} needs whole numbers", f"pass {name}.astype(int)")
    return np.ascontiguousarray(array, np.int64) if axes else np.int64(array)


def _values(name, array, low, high, equation):
    """All numbers lie in their range; DataError SG605 with the first that does not."""
    wrong = np.argwhere(np.atleast_1d((array < low) | (array > high)))
    if len(wrong):
        place = tuple(int(k) for k in wrong[0])
        found = np.atleast_1d(array)[place]
        raise DataError("SG605", f"{name} holds {found} at {list(place)}, but {equation} needs {low}..{high}")


def _no_room(shapes):
    """The error for arrays of which the largest is more than the memory that is left, SG508."""
    cells = {name: 1 for name in shapes}
    for name, shape in shapes.items():
        for extent in shape:
            cells[name] *= int(extent)
    name = max(cells, key=cells.get)
    size = f"{cells[name]*_D.itemsize/2**30:,.1f} GiB"
    message = f"{name} with shape {shapes[name]} takes {size}, more than is left of the memory"
    return DataError("SG508", message, "pass smaller arrays, or fewer examples at a time")


def _shape(name, array, shape, equation, sizes):
    """An axis is not as long as the equation says: DataError SG604."""
    known = ", ".join(f"{size} = {value} from {source}" for size, (value, source) in sizes.items())
    raise DataError("SG604", f"{name} has shape {array.shape}, but {equation} needs {shape}" + (f" ({known})" if known else ""))


def _enough(index, extent, least, equation):
    """A range is long enough; DataError SG606."""
    if extent < least:
        has = f"would have {extent} values" if extent < 0 else "has no value"
        raise DataError("SG606", f"{equation}: the arrays are too small, {index} {has}")


def _inside(name, low, high, extent, equation):
    """A shifted index stays inside its array; DataError SG605."""
    if low <= high and (low < 0 or high >= extent):
        at = low if low == high else f"{low}..{high}"
        raise DataError("SG605", f"counted from 0, {equation} reads {name} at {at}, but that axis has places 0..{extent - 1}")
'''.strip()


def segment_lines(segments: Segments | None) -> list[str]:
    """How long the segments of a time axis are, and how many."""
    if segments is None:
        return []
    length, count = (python_name(symbol.name) for symbol in (segments.length, segments.count))
    steps = f"max(1, {affine(segments.hi - segments.lo + 1)})"
    chosen = f"int(np.ceil(np.sqrt({steps})))" if segments.wanted is None else f"-(-{steps}//{segments.wanted})"
    return [f"{length} = max({segments.least}, {chosen})", f"{count} = -(-{steps}//{length})"]


def check_lines(schedule: Schedule, model: Program, in_place: bool = True) -> list[str]:
    """The lines of a check; `in_place`: NumPy's arrays that fit are taken as they are, without a call."""
    program, layout = schedule.program, Layout.of(schedule.program)
    lines, sources = [], {}
    for name in schedule.arguments:
        axes = tuple(str(axis.symbol) for axis in program.tensors[name].axes)
        own, equation = python_name(name), where_used(program, name, layout)
        if program.tensors[name].values:
            lines.append(f'{own} = _integers("{written_name(name)}", {own}, {axes!r}, {equation!r})')
        else:
            call = f'_array("{written_name(name)}", {own}, {axes!r}, {equation!r})'
            given = fixed_shape(schedule, name)
            convert = [
                unfit_line(own, len(axes), given),
                f"    {own} = {call if axes else scalar(own, call)}",
                *([f"    if {own}.shape != {given}:", f"    {shape_line(schedule, name, equation, {})}"] if given else []),
            ]
            lines += convert if in_place else [f"{own} = {call}"]
    for size in schedule.sizes:
        lines.append(size_line(size))
        sources[size.symbol] = size.array
    for name in schedule.arguments:
        seen = in_place and fixed_shape(schedule, name)
        if program.tensors[name].axes and not seen and not _is_source_only(schedule, name):
            wrong = shape_line(schedule, name, where_used(program, name, layout), sources)
            lines += [f"if {misfit(schedule, name)}:", wrong]
    for name in schedule.arguments:
        if (values := program.tensors[name].values) is not None:
            ends = ", ".join(affine(end) for end in values)
            lines.append(f'_values("{written_name(name)}", {python_name(name)}, {ends}, {where_used(program, name, layout)!r})')
    return lines + size_lines(schedule, layout, model) + bound_lines(schedule, layout)


def unfit_line(name: str, rank: int, shape: str = "") -> str:
    """Where an argument is not yet what the kernel takes; asked in place, since a call of a function costs more."""
    if rank == 0:
        return f"if type({name}) is not F:"
    fits = f"{name}.shape == {shape}" if shape else f"{name}.ndim == {rank}"
    return f"if not (type({name}) is _ndarray and {name}.dtype is _D and {fits} and {name}.flags.carray):"


def scalar(name: str, otherwise: str) -> str:
    """A number in the kernel's own type; Python's, and an array without axes, take no call of a function."""
    array = f"type({name}) is _ndarray and {name}.dtype is _D and {name}.ndim == 0"
    return f"F({name}) if type({name}) is float else {name}[()] if {array} else {otherwise}"


def misfit(schedule: Schedule, name: str) -> str:
    """Where the shape of an argument, whose rank is known, is another; a length is asked for in a third of a shape's time."""
    own, shape = python_name(name), numpy.shape(schedule, name)
    return f"{own}.shape != ({shape})" if len(schedule.program.tensors[name].axes) > 1 else f"len({own}) != {shape.rstrip(', ')}"


def fixed_shape(schedule: Schedule, name: str) -> str:
    """The shape of an array of numbers whose extents are all known before."""
    tensor = schedule.program.tensors[name]
    known = tensor.axes and not tensor.values and not any(extent.free_symbols for extent in tensor.extents)
    return f"({numpy.shape(schedule, name)})" if known else ""


def shape_line(schedule: Schedule, name: str, equation: str, sources: Mapping[Any, str]) -> str:
    used = {s for extent in schedule.program.tensors[name].extents for s in extent.free_symbols}
    known = ", ".join(f'"{s}": ({python_name(str(s))}, "{written_name(sources[s])}")' for s in sorted(used, key=str))
    own, shape = python_name(name), f"({numpy.shape(schedule, name)})"
    return f'    _shape("{written_name(name)}", {own}, {shape}, {equation!r}, {{{known}}})'


def size_line(size: Size) -> str:
    """extent = length, solved for the symbol; what is left over shows as a wrong shape."""
    factor = size.extent.coeff(size.symbol)
    rest = sp.expand(size.extent - factor * size.symbol)
    array = python_name(size.array)
    length = f"{array}.shape[{size.axis}]" if size.axis else f"len({array})"
    total = length + ("" if rest == 0 else f" + {affine(-rest)}")
    name = python_name(size.symbol.name)
    if factor == 1:
        return f"{name} = {total}".replace("+ -", "- ")
    return f"{name} = ({total})//{factor}".replace("+ -", "- ") if factor > 0 else f"{name} = -({total})//{-factor}"


def _is_source_only(schedule: Schedule, name: str) -> bool:
    """Every axis of the array gave a size and is right by that, so there is nothing left to check."""
    found = {size.axis for size in schedule.sizes if size.array == name and abs(size.extent.coeff(size.symbol)) == 1}
    return found == set(range(len(schedule.program.tensors[name].axes)))


def where_used(program: Program, name: str, layout: Layout) -> str:
    """The equation that reads a quantity, as text; the user's rather than a derived one."""
    users = program.users.get(name, ())
    user = next((s for s in users if s.origin.span and not s.origin.contributions), users[0] if users else None)
    if user is None:
        return "its declaration"
    span = user.origin.span
    return line_of(span) if span else short(statement_text(user, program, layout))


def line_of(span: Any) -> str:
    """The user's equation around a place."""
    text = span.source.text
    first = max(text.rfind("\n", 0, span.start), text.rfind(";", 0, span.start)) + 1
    ends = [at for at in (text.find("\n", span.start), text.find(";", span.start), text.find("#", span.start)) if at >= 0]
    return short(" ".join(text[first : min(ends, default=len(text))].split()))


def short(equation: str) -> str:
    """A line of an error: the text of a sum of a thousand terms does not go into the checks of each of them."""
    return equation if len(equation) <= SHOWN else equation[: SHOWN - 2].rstrip() + " …"


def _placed(program: Program) -> set[tuple[str, Any]]:
    """(op, extent) of every argmax and argmin: over nothing they are no index, so that is refused."""
    out = {(s.op, sp.expand(index.extent)) for s in program if s.op in ("argmax", "argmin") for index in s.reduced}
    for statement in program:
        for node in nodes(statement.value):
            if is_reduction(node) and split_reduction(node)[0] in ("argmax", "argmin"):
                op, _, limits = split_reduction(node)
                out |= {(op, sp.expand(Index(*limit).extent)) for limit in limits}
    return out


def size_lines(schedule: Schedule, layout: Layout, model: Program) -> list[str]:
    """Run-time checks that an argmax which the model asks for is of something and that no extent of the model is negative.

    A range that only a derivative has may end early: it then has no point.
    """
    program, placed = schedule.program, _placed(model)
    given = {axis.extent for name in schedule.arguments for axis in program.tensors[name].axes}
    stored = [(program.definitions[n][0], axis) for n in program.defined if n in model.tensors for axis in program.tensors[n].axes]
    asked = {sp.expand(extent) for extent in model.facts}
    out: dict[str, None] = {}
    for statement, index in [*((s, i) for s in program.statements for i in s.domain), *stored]:
        extent = sp.expand(index.extent)
        least = int((statement.op, extent) in placed and index in statement.reduced)
        known = extent.is_Integer and extent >= least
        inner = {index.symbol for index in statement.domain}
        if known or extent.free_symbols & inner or (least == 0 and (index.extent in given or extent not in asked)):
            continue
        text = _readable_equation(statement, program, layout)
        out[f"_enough({str(index.symbol)!r}, {affine(extent)}, {least}, {text!r})"] = None
    return list(out)


def bound_lines(schedule: Schedule, layout: Layout) -> list[str]:
    """Run-time checks of shifted or constant indices whose bounds are not certain before."""
    program = schedule.program
    out: dict[str, None] = {}
    for statement in program.statements:
        if not any(map(indices_of, (statement.target, *statement.reads))):
            continue
        found = list(_uncertain(statement, program))
        text = _readable_equation(statement, program, layout) if found else ""
        out |= dict.fromkeys(f"_inside({place}, {text!r})" for place in found)
    return list(out)


def _uncertain(statement: Statement, program: Program) -> Iterator[str]:
    """The quantity, the ends and the extent of every place that may lie outside of its axis."""
    for read, scope, narrow, guards in _touched(statement, program):
        for index, axis in zip(indices_of(read), program.tensors[name_of(read)].axes, strict=True):
            if any(stays_under(index, (axis.lo, axis.hi), around, guards, program) for around in (narrow, scope)):
                continue
            plain, around = _with_values(index, narrow, program)
            if not never_outside(plain, axis, around, program.facts):
                ends = ", ".join(affine(end - axis.lo) for end in bounds(plain, around))
                yield f"{written_name(name_of(read))!r}, {ends}, {affine(axis.extent)}"


def _touched(statement: Statement, program: Program) -> Iterator[tuple[Any, Mapping[Any, Any], Mapping[Any, Any], Sequence[Any]]]:
    """(access, ranges around it, the same narrowed by its guards, guards) of all reads and of the target."""
    plain, narrowed = (scoped(statement.value, statement.ranges, narrow) for narrow in (False, True))
    for (read, scope, guards), (_, narrow, _) in zip(plain, narrowed, strict=True):
        yield read, _known(scope), _known(narrow), guards
    # a cell is written also where nothing is reduced, if not point by point
    kept = {s: ends for s, ends in statement.ranges.items() if statement.target.has(s) or scatters(statement)}
    yield statement.target, kept, kept, on_places(statement, program)


def _known(scope: Mapping[Any, Any]) -> dict[Any, Any]:
    return {symbol: ends for symbol, ends in scope.items() if ends is not None}


def _with_values(index: Any, ranges: Mapping[Any, Any], program: Program) -> tuple[Any, dict[Any, Any]]:
    """An index whose gathers are symbols with the ranges of their values."""
    inside = {gather: sp.Dummy(integer=True) for gather in gathers(index)}
    values = {symbol: program.tensors[name_of(gather)].values for gather, symbol in inside.items()}
    return index.xreplace(inside), {**values, **ranges}


def _readable_equation(statement: Statement, program: Program, layout: Layout) -> str:
    return line_of(statement.origin.span) if statement.origin.span else short(statement_text(statement, program, layout))
