"""Schedule → a module for PyTorch: functions of tensors through which autograd goes again.

A recurrence is a loop of Python. What is written in parts is written in place, in arrays that nobody else has: a read of an array
that is not finished is a copy, which autograd may keep. Tensors are made on torch's default device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from symgrad.backends.nests import indent
from symgrad.backends.numba import first_line, scan_head, times_test
from symgrad.backends.pure import Library, PureArray, PureCode, Walk
from symgrad.backends.pycode import named
from symgrad.core.affine import Ends
from symgrad.core.expr import indices_of, is_access, is_index, name_of, nodes
from symgrad.schedule.kernels import Scan

WORDS = {"broadcast_to": "_broadcast", "clip": "_bounded"}
DEFINITIONS = named("""
def _number(value):
    return torch.as_tensor(value, dtype=F)

def _broadcast(value, shape):
    return torch.broadcast_to(torch.as_tensor(value, dtype=F) if type(value) is float else torch.as_tensor(value), shape)

def _bounded(place, low, high):
    return min(max(place, low), high) if type(place) is int else torch.clip(place, low, high)

def _stop(u):
    return u.detach()

def _maximum(u, v):
    return torch.where((v > u) | (v != v), v, u)

def _minimum(u, v):
    return torch.where((v < u) | (v != v), v, u)

def _logistic(u):
    return torch.sigmoid(u)

def _softplus(u):
    return torch.logaddexp(u, torch.zeros_like(u))

def _erf(u):
    return torch.special.erf(u)

def _erfc(u):
    return torch.special.erfc(u)

def _lgamma(u):
    return torch.special.gammaln(u)

def _digamma(u):
    return torch.special.digamma(u)

def _rows(values, axis):
    count = 1
    for k in axis:
        count = count*values.shape[k]
    return values.reshape((*values.shape[:axis[0]], count))

def _prod(values, axis):
    return torch.prod(_rows(values, axis), -1)

def _max(values, axis, keepdims=False):
    rows = _rows(values, axis)
    if rows.shape[-1] == 0:
        top = torch.full(rows.shape[:-1], -torch.inf, dtype=F)
    else:
        top = torch.gather(rows, -1, torch.argmax(rows, -1, keepdim=True))[..., 0]
    return top.reshape((*top.shape, *(1 for _ in axis))) if keepdims else top

def _min(values, axis):
    return -_max(-values, axis)

def _place(find, values):
    if values.shape[-1] == 0:
        return torch.full(values.shape[:-1], -1.0, dtype=F)
    return find(values, -1).to(F)

def _at(array, *places):
    if array.numel() == 0:
        shapes = [place.shape if isinstance(place, torch.Tensor) else () for place in places]
        return torch.zeros(torch.broadcast_shapes(*shapes), dtype=array.dtype)
    return array[places]

def _add_at(array, places, values):
    return array.index_put(places, values, accumulate=True) if array.numel() else array
""")
CHECKS = '''
def _tensor(value, whole):
    """A tensor as it is, so that autograd goes through; numbers of Python in the module's type, unless they are to be whole."""
    if isinstance(value, torch.Tensor):
        return value
    return torch.tensor(value) if whole or hasattr(value, "dtype") else torch.tensor(value, dtype=F)


def _array(name, value, axes, equation):
    """The value as a tensor of the module's type; DataError SG602 or SG603 where it cannot be."""
    try:
        array = _tensor(value, False)
    except ValueError:
        raise DataError("SG602", f"{name} is no array: its rows differ in length, but {equation} needs {_axes(axes)}") from None
    except (TypeError, RuntimeError):
        raise DataError("SG603", f"{name} holds no real numbers, but {equation} needs {F}") from None
    if array.ndim != len(axes):
        raise DataError("SG602", f"{name} has shape {tuple(array.shape)}, but {equation} needs {_axes(axes)}")
    if array.dtype.is_complex:
        raise DataError("SG603", f"{name} holds {array.dtype}, but {equation} needs {F}", f"pass {name}.to({F})")
    return array.to(F)


def _integers(name, value, axes, equation):
    """The value as a tensor of whole numbers; DataError SG602 or SG603 where it cannot be."""
    array = _tensor(value, True)
    if array.ndim != len(axes):
        raise DataError("SG602", f"{name} has shape {tuple(array.shape)}, but {equation} needs {_axes(axes)}")
    if array.dtype.is_floating_point or array.dtype.is_complex or array.dtype == torch.bool:
        raise DataError("SG603", f"{name} holds {array.dtype}, but {equation} needs whole numbers", f"pass {name}.long()")
    return array.long()


def _values(name, array, low, high, equation):
    """All numbers lie in their range; DataError SG605."""
    if array.numel() and (int(array.min()) < low or int(array.max()) > high):
        found = int(array.min()) if int(array.min()) < low else int(array.max())
        raise DataError("SG605", f"{name} holds {found}, but {equation} needs {low}..{high}")
'''


@dataclass(frozen=True)
class TorchCode(PureCode):
    """Functions take tensors, not Python's numbers, and a choice of two numbers would be one of float32."""

    def where(self, expr: Any) -> str:
        if any(map(_is_tensor, expr.args[1:])):
            return super().where(expr)
        condition, yes, no = map(self, expr.args)
        return f"np.where({condition}, _number({yes}), {no})"

    def argument(self, expr: Any) -> str:
        return self(expr) if _is_tensor(expr) else f"_number({self(expr)})"

    def value_of_index(self, expr: Any) -> str:
        text = self.index(expr)
        return text if "np.arange" in text else f"_number({text})"


def _is_tensor(expr: Any) -> bool:
    """Anything but numbers is."""
    return any(is_access(node) or is_index(node) for node in nodes(expr))


class TorchArray(PureArray):
    code_type = TorchCode

    def lines(self) -> list[str]:
        test = times_test(self.kernel.times)
        return [f"if {test}:", *indent(super().lines())] if test else super().lines()

    def elementwise(self) -> str:
        """A value of its own: no view of an argument, nor one in which all cells of an axis are one."""
        value = super().elementwise()
        if not self.order and not _is_tensor(self.kernel.statement.value):
            return f"_number({value})"
        view = is_access(self.kernel.statement.value) or value.startswith("np.broadcast_to(")
        return f"{value}.clone()" if view and not value.endswith(".clone()") else value

    def whole(self, name: str, value: str) -> str:
        """What more is written into must not be what autograd has kept."""
        again = self.targets and self.kernel.statement.name in self.unfinished and not value.endswith(".clone()")
        return super().whole(name, f"({value}).clone()" if again and not self.kernel.adds else value)

    def turned(self, name: str, order: Sequence[int]) -> str:
        return f"{name}.permute({', '.join(map(str, order))})"

    def added_at(self, name: str, cells: str, value: str) -> str:
        return f"{name} = _add_at({name}, ({cells},), {value})"

    def kept_apart(self, text: str, read: Any) -> str:
        """A copy of what is not finished, and whole numbers as real ones."""
        if self.axes_values(read):
            return f"{text}.to(F)"
        return f"{text}.clone()" if indices_of(read) and name_of(read) in self.unfinished else text

    def read(self, read: Any) -> str:
        text = super().read(read)
        return f"{text}.to(F)" if self.axes_values(read) and not text.endswith(".to(F)") else text


def scan(walk: Walk, kernel: Scan, around: dict[Any, Ends], at: int) -> Iterator[str]:
    """A recurrence: a loop of Python."""
    yield scan_head(kernel)
    yield from indent([*first_line(kernel), *walk.kernels(kernel.body, around, at)])


LIBRARY = Library("PyTorch", "import torch", "torch.", WORDS, DEFINITIONS, CHECKS.strip(), TorchArray, scan, "_number({})")
