"""A kernel bound to arrays: checked once, called without checks on the memory that they have.

>>> import numpy as np, symgrad as sg
>>> x = np.array([3.0, 4.0])
>>> b = sg.compile(sg.parse("J = sum(w*x[i]^2 for i)"), backend="numpy").bind(w=2, x=x)
>>> b()
50.0
>>> x[0] = 0.0
>>> b.arrays["w"][...] = 1.0
>>> b(), b.grads["x"]
(16.0, array([0., 8.]))
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np

from symgrad.core.errors import SymgradError
from symgrad.core.source import written_name


class Bound:
    """`b()` runs the kernel and returns the loss as a float. One thread at a time may call it: it has one set of buffers.

    `b.arrays`: what it reads, by name: the very arrays that were given, and numbers as arrays without axes.
    `b.grads`: the gradients by name, arrays that every call overwrites; copy what is to be kept.

    Nothing is looked at in a call except whole numbers that other arrays are indexed by: one out of its range would
    reach into other memory, so a model that has such an input is checked every time.
    """

    def __init__(
        self, module: ModuleType, names: Mapping[str, str], arrays: Mapping[str, Any], indexed: bool, threads: dict[str, int]
    ) -> None:
        """`names`: how a quantity is called in the module. `indexed`: some array holds indices. `threads`: for chunks of rows."""
        self.arrays = dict(arrays)
        self._module, self._indexed, self._threads = module, indexed, threads
        # views: the machine code relies on the shapes, and those of the user's arrays may be set
        self._given = {own: arrays[name].view() for name, own in names.items()}
        made = self._compiled() if hasattr(module, "_bound_value_and_grad") else self._whole()
        self._run, self._arguments, self.grads, self._places = made

    def __call__(self) -> float:
        if self._indexed:
            self._check()
        found = self._run(*self._arguments)
        for array, place in self._places:
            array[...] = found[place]
        loss: float = found[0]
        return loss

    def __repr__(self) -> str:
        return f"<a call bound to {', '.join(self.arrays)}>"

    def _check(self) -> None:
        try:
            self._module._checked_value_and_grad(**self._given)
        except self._module.DataError as error:
            raise SymgradError(error.code, error.message, hint=error.hint) from None

    def _compiled(self) -> tuple[Any, ...]:
        """The machine code with all that it takes; numbers are read off arrays without axes, as Python's `float` does."""
        sizes, arguments, rest, results = self._module._bound_value_and_grad(**self._given, **self._threads)
        run = getattr(self._module, "_chunked_value_and_grad", None)
        if run is None:
            run = self._module._compiled(self._module._value_and_grad, (*sizes, *arguments, *rest))
        else:  # compiled for numbers, which are arrays from now on
            run(*sizes, *arguments, *rest)
        _, *found = results.items()
        places = [(name, place) for name, place in found if isinstance(place, int)]
        grads = {name: np.empty((), self._module.F) if isinstance(place, int) else place.view() for name, place in found}
        return run, (*sizes, *self._in_order(), *rest), grads, [(grads[name], place) for name, place in places]

    def _whole(self) -> tuple[Any, ...]:
        """A kernel that works on whole arrays and makes its results anew: they are copied."""
        _, found = self._module.value_and_grad(**self._given)
        grads = {name: np.array(value) for name, value in found.items()}
        sizes = self._module._checked_value_and_grad(**self._given)[: -len(self._given)]

        def run(*arguments: Any) -> tuple[Any, ...]:
            loss, *rest = self._module._value_and_grad(*sizes, *(array[()] for array in arguments))
            return (float(loss), *rest)

        return run, self._in_order(), grads, list(zip(grads.values(), range(1, len(grads) + 1), strict=True))

    def _in_order(self) -> list[Any]:
        code = self._module.value_and_grad.__code__
        return [self._given[own] for own in code.co_varnames[: code.co_argcount]]


def in_place(name: str, value: Any, dtype: str, whole: bool) -> Any:
    """The array to read at every call: the one that is given, or a new one for a number. Raises SG603, SG618.

    dtype: the kernel's; `whole`: the kernel wants whole numbers.
    """
    wanted, shown = np.dtype(np.int64 if whole else dtype), written_name(name)
    if isinstance(value, np.ndarray):
        array = np.asarray(value)
        if array.dtype != wanted:
            message = f"{shown} holds {array.dtype}, but the kernel reads {wanted}"
            raise SymgradError(
                "SG603", message, hint=f"bind {name}.astype(np.{wanted}): a copy made here would not see later changes"
            )
        if not (array.flags.c_contiguous and array.flags.aligned):
            message = f"the numbers of {shown} do not lie one after the other, as the kernel reads them"
            raise SymgradError("SG618", message, hint=f"bind np.ascontiguousarray({name}), and change that one")
        return array
    if not isinstance(value, int | float | complex | np.number):
        message = f"{shown} is of type {type(value).__name__}, but a bound call reads arrays of NumPy's where they lie"
        raise SymgradError("SG618", message, hint=f"bind an array of np.{wanted}, and change its numbers")
    if not np.can_cast(np.asarray(value).dtype, wanted, "same_kind"):
        raise SymgradError("SG603", f"{shown} is {value!r}, but the kernel reads {wanted}")
    return np.array(value, wanted)
