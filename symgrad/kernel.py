"""A compiled kernel: call it with arrays by name.

>>> import symgrad as sg
>>> k = sg.compile(sg.parse("J = (w*x - y)^2/2"), wrt=["w"], backend="numpy")
>>> J, grads = k(w=2.0, x=3.0, y=5.0)
>>> float(J), float(grads["w"])
(0.5, 3.0)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from symgrad.backends.load import load, write_whole
from symgrad.backends.pycode import python_name
from symgrad.core.errors import SymgradError, did_you_mean
from symgrad.core.program import Program
from symgrad.core.source import written_name


@dataclass(frozen=True, eq=False)
class Kernel:
    """`source` is the emitted module's text; it is compiled on the first call."""

    program: Program
    primal: Program
    loss: str
    wrt: tuple[str, ...]
    batch: tuple[str, ...]
    dtype: str
    backend: str
    source: str

    @cached_property
    def module(self) -> ModuleType:
        return load(self.source)

    def __call__(self, **arrays: Any) -> tuple[Any, dict[str, Any]]:
        """The loss, and its gradients by name in the shapes of the arrays.

        Raises SG601 (an array missing or unknown), SG602 (rank), SG603 (dtype), SG604 (shape), SG605 (index outside).
        """
        loss, grads = self._run("value_and_grad", arrays)
        return loss, grads

    def forward(self, **arrays: Any) -> dict[str, Any]:
        """Every quantity that the model defines, by name."""
        found: dict[str, Any] = self._run("forward", arrays)
        return found

    def _run(self, entry: str, arrays: Mapping[str, Any]) -> Any:
        module = self.module
        function = getattr(module, entry)
        try:
            return function(**arrays)
        except TypeError:
            wanted = self._arguments(entry)
            self.check_names(wanted, arrays)
            if all(python_name(name) == name for name in wanted):
                raise
            return self._run_mangled(function, arrays, module)
        except module.DataError as error:
            raise SymgradError(error.code, error.message, hint=error.hint) from None
        except (MemoryError, ValueError) as error:
            raise no_memory(error) from None

    def _run_mangled(self, function: Any, arrays: Mapping[str, Any], module: ModuleType) -> Any:
        """Names such as lambda have another spelling in Python."""
        try:
            return function(**{python_name(name): value for name, value in arrays.items()})
        except module.DataError as error:
            raise SymgradError(error.code, error.message, hint=error.hint) from None
        except (MemoryError, ValueError) as error:
            raise no_memory(error) from None

    def _arguments(self, entry: str) -> list[str]:
        code = getattr(self.module, entry).__code__
        names = code.co_varnames[: code.co_argcount]
        return [name for name in self.program.free if python_name(name) in names]

    def check_names(self, wanted: list[str], arrays: Mapping[str, Any]) -> None:
        for name in arrays:
            if name not in wanted:
                needs = f"the kernel needs {', '.join(wanted)}"
                raise SymgradError(
                    "SG601", f"the model does not use an array named {name}", hint=did_you_mean(name, wanted) or needs
                )
        for name in wanted:
            if name not in arrays:
                raise SymgradError("SG601", f"no array is given for {written_name(name)}", hint=f"pass {name}=…")

    def fit(
        self,
        params: Mapping[str, Any],
        data: Mapping[str, Any],
        optimizer: Any = None,
        epochs: int = 10,
        batch_size: int | None = 32,
        shuffle: bool = True,
        seed: int = 0,
        progress: bool = True,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        validation: Mapping[str, Any] | None = None,
        patience: int | None = None,
    ) -> Any:
        """Train: the epoch loop, shuffling and updates run inside the compiled code.

        params: starting arrays by name, left untouched; they are what is trained. data: all other arrays;
        those that were batched hold one example a row. optimizer: sg.SGD(0.1), Momentum, Nesterov, Adagrad, RMSProp, Adam,
        AdamW; a rate is a number or an equation such as "0.1/(1 + t/1000)" (`symgrad.rates`).
        batch_size: examples a step, None for all. clip_value cuts every cell of the gradients to ±clip_value, clip_norm
        then scales them all to that norm at most. validation: data whose loss is found after every epoch.
        patience: stop after so many epochs without a better loss (of `validation`, else of the training), and
        return the parameters of the best epoch. A model that says `maximize` is trained uphill.

        Returns a `symgrad.train.Fit`: `.params`, `.history[loss]` (an epoch's mean each), `.validation`, `.stopped`.
        Ctrl-C ends the training after the running step or within 0.2 s, and returns what is trained so far, with
        `.stopped == "interrupted"`; with NumPy a second one does not wait for the step to end.

        Raises as a call does, SG508 (memory), SG608 (a setting), SG609 (not in wrt), SG1xx to SG4xx (the equation of a
        rate), and `symgrad.train.Diverged`, an SG607, where a loss or a parameter is no longer finite: it names the step
        and the equation, and has the last good parameters, those before that step, as `.params`.
        """
        from symgrad.train import fit

        return fit(
            self, params, data, optimizer, epochs, batch_size, shuffle, seed, progress, clip_norm, clip_value, validation, patience
        )

    def save(self, path: str | Path, force: bool = False) -> Path:
        """Write the module, which runs without symgrad; an existing file is kept unless `force`."""
        return save_text(path, self.source, force)

    def __repr__(self) -> str:
        return f"<kernel of {self.loss} and its gradients by {', '.join(self.wrt)}; {self.backend}, {self.dtype}>"


def no_memory(error: MemoryError | ValueError) -> Exception:
    """SG508, with NumPy's words on what was asked for; it has a ValueError for what no address could reach."""
    beyond = isinstance(error, MemoryError) or "too big" in str(error) or "maximum allowed" in str(error).lower()
    if not beyond:
        return error
    return SymgradError("SG508", f"there is not enough memory for this: {error}", hint="smaller extents, or fewer examples")


def save_text(path: str | Path, text: str, force: bool = False) -> Path:
    return save_bytes(path, text.encode(), force)


def save_bytes(path: str | Path, data: bytes, force: bool = False) -> Path:
    """Write a file whole. Raises SG701 (it exists), SG702 (it cannot be written)."""
    path = Path(path)
    if path.is_dir():
        raise SymgradError("SG702", f"{path} is a folder", hint="name a file in it")
    if (path.exists() or path.is_symlink()) and not force:
        raise SymgradError("SG701", f"{path} exists already", hint="choose another name, or force")
    try:
        write_whole(path, data, 0o666)
    except OSError as error:
        raise SymgradError("SG702", f"{path} cannot be written: {error.strerror}") from None
    return path
