"""A compiled kernel: call it with arrays by name.

>>> import symgrad as sg
>>> k = sg.compile(sg.parse("J = (w*x - y)^2/2"), wrt=["w"], backend="numpy")
>>> J, grads = k(w=2.0, x=3.0, y=5.0)
>>> float(J), float(grads["w"])
(0.5, 3.0)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from types import ModuleType
from typing import Any

from symgrad.backends import gate
from symgrad.backends.entry import Part
from symgrad.backends.exports import EXPORTED, check_own, files, loaded
from symgrad.backends.pycode import python_name
from symgrad.backends.sealed import write_whole
from symgrad.bind import Bound, in_place
from symgrad.calling import check_names, refusal, thread_option
from symgrad.core.errors import SymgradError
from symgrad.core.program import Program
from symgrad.core.source import written_name
from symgrad.transform.stabilize import Fired


@dataclass(frozen=True, eq=False)
class Kernel:
    """`source` is the emitted module's text; it is compiled on the first call. `threads` as in `compile`."""

    program: Program
    primal: Program
    loss: str
    wrt: tuple[str, ...]
    batch: tuple[str, ...]
    dtype: str
    backend: str
    source: str
    checkpoint: bool | int = False
    parts: tuple[Part, ...] = field(default=(), repr=False)  # what `source` was made from, before rows are cut into blocks
    threads: int | None = None  # None: what the environment says at each call
    stabilize: bool = True
    operator: bool = False  # what it computes beside `loss` is a Jacobian, a Hessian or a product with one

    @cached_property
    def module(self) -> ModuleType:
        return loaded(self.program, self.parts, self.dtype, self.backend, self.source)

    @cached_property
    def rules(self) -> tuple[Fired, ...]:
        """Which rules keep the formulas and their derivatives right in floating point, and at which quantities.

        >>> import symgrad as sg
        >>> for fired in sg.compile(sg.parse("J = log(1 + exp(x))"), backend="numpy").rules:
        ...     print(fired)
        J: log of products, powers and sums of e^g → sums, multiples and logsumexp of g (e^g may overflow or round to 0)
        """
        from symgrad.compiler import rules_of

        return rules_of(self) if self.stabilize else ()

    @cached_property
    def _value_and_grad(self) -> Any:
        return self._with_threads("value_and_grad")

    def _with_threads(self, entry: str) -> Any:
        function = getattr(self.module, entry)
        return partial(function, **self._threads(entry)) if self._threads(entry) else function

    def _threads(self, entry: str) -> dict[str, int]:
        return thread_option(getattr(self.module, entry), self.threads)

    def __call__(self, /, **arrays: Any) -> tuple[Any, dict[str, Any]]:
        """The loss, and its gradients by name in the shapes of the arrays.

        Raises SG601 (an array missing or unknown), SG602 (rank), SG603 (dtype), SG604 (shape), SG605 (index outside),
        SG606 (arrays too small), SG508 (not enough memory).
        """
        try:  # nothing stands between a caller and the module but this: a small kernel takes a microsecond or two
            found: tuple[Any, dict[str, Any]] = self._value_and_grad(**arrays)
        except (TypeError, ValueError, MemoryError) as error:
            found = self._refused("value_and_grad", arrays, error)
        return found

    @property
    def uphill(self) -> bool:
        """The model says `maximize` of this loss: who minimizes takes -J."""
        return self.program.goal == "maximize" and self.loss == self.program.loss

    @cached_property
    def arguments(self) -> tuple[str, ...]:
        """The names of the arrays that a call takes."""
        return tuple(self._arguments("value_and_grad"))

    def checked(self, /, **arrays: Any) -> dict[str, Any]:
        """The arrays as a call would read them: of the kernel's type, in one piece, the very same where they are so already.

        Raises as a call does, and runs nothing.
        """
        self.check_names([*self.arguments], arrays)
        entry = self.module._checked_value_and_grad
        own = {python_name(name): name for name in self.arguments}
        try:
            found = entry(**{spelt: arrays[name] for spelt, name in own.items()})
        except (ValueError, MemoryError) as error:
            raise self._refusal(error) from None
        order = entry.__code__.co_varnames[: len(own)]
        return {own[spelt]: array for spelt, array in zip(order, found[len(found) - len(own) :], strict=True)}

    def flat(self, params: Mapping[str, Any], /, **data: Any) -> tuple[Any, Any]:
        """(fun, theta0) for `scipy.optimize.minimize(fun, theta0, jac=True)`: J as a function of all parameters in one vector.

        params: where to start, by name; they are what is varied, one after the other in that order, each row by row. data: all
        other arrays, which are checked here, once. fun(theta) is (J, gradient), a float and a new float64 vector; for a model that
        says `maximize` both have the other sign. fun.unflatten(theta) gives the arrays by name, fun.hvp(theta, v) the Hessian
        times v, for `hessp=fun.hvp`.

        Raises as a call does, SG609 (not in wrt), SG633 (no dict, or a name in both); fun raises SG633 for another length.

        >>> import symgrad as sg
        >>> k = sg.compile(sg.parse("param w, c; J = (w*x + c)^2/2"), wrt=["w", "c"], backend="numpy")
        >>> fun, theta0 = k.flat({"w": 1.0, "c": 1.0}, x=2.0)
        >>> fun(theta0)
        (4.5, array([6., 3.]))
        """
        from symgrad.flat import flat

        return flat(self, self, self.checked, params, data)

    def tree(self, params: Mapping[str, Any], /, **data: Any) -> tuple[Any, dict[str, Any]]:
        """A call with the parameters in a dict of dicts: (J, gradients in a dict of the same form), as optax takes them.

        The last key of an array is the quantity's name. A model that says `maximize` gives -J, and gradients to go downhill by.
        Raises as a call does, SG609 (not in wrt), SG633 (no dict, a name twice or missing).
        """
        from symgrad.adapters.tree import value_and_grad

        return value_and_grad(self, params, **data)

    def forward(self, /, **arrays: Any) -> dict[str, Any]:
        """Every quantity that the model defines, by name."""
        try:
            found: dict[str, Any] = self._with_threads("forward")(**arrays)
        except (TypeError, ValueError, MemoryError) as error:
            found = self._refused("forward", arrays, error)
        return found

    def bind(self, /, **arrays: Any) -> Bound:
        """A call for inner loops: the arrays are checked here, once, and read where they lie at every call of the result.
        Arrays of other libraries that share their memory (DLPack) are too.

        They are changed in place between calls; nothing is converted, since a copy would not see the changes. Numbers
        become arrays without axes, `bound.arrays[name]`. One bound call is for one thread.
        Raises as a call does, and SG603 (another dtype), SG618 (no array that can be read where it lies), SG724 (an export).

        >>> import numpy as np, symgrad as sg
        >>> w, x = np.array([1.0, 2.0]), np.array([3.0, 4.0])
        >>> b = sg.compile(sg.parse("J = sum(w[i]*x[i] for i)^2"), wrt=["w"], backend="numpy").bind(w=w, x=x)
        >>> b()
        121.0
        >>> w -= 0.01*b.grads["w"]
        >>> b()
        30.25
        """
        check_own(self.backend, "bound")
        wanted = self._arguments("value_and_grad")
        self.check_names(wanted, arrays)
        indices = {name: self.program.tensors[name].values is not None for name in wanted}
        try:
            shared = {name: self.module._read(written_name(name), arrays[name]) for name in wanted}
        except ValueError as error:
            raise self._refusal(error) from None
        given = {name: in_place(name, shared[name], self.dtype, indices[name]) for name in wanted}
        names, threads = {name: python_name(name) for name in wanted}, self._threads("value_and_grad")
        try:
            return Bound(self.module, names, given, any(indices.values()), threads)
        except (ValueError, MemoryError) as error:
            raise self._refusal(error) from None

    def _refused(self, entry: str, arrays: Mapping[str, Any], error: Exception) -> Any:
        """What a call gives that did not go through: names such as lambda have another spelling in Python."""
        if not isinstance(error, TypeError):
            raise self._refusal(error) from None
        wanted = self._arguments(entry)
        self.check_names(wanted, arrays)
        if all(python_name(name) == name for name in wanted):
            raise error
        try:
            return self._with_threads(entry)(**{python_name(name): value for name, value in arrays.items()})
        except (ValueError, MemoryError) as error:
            raise self._refusal(error) from None

    def _refusal(self, error: Exception) -> Exception:
        return refusal(self.module, error)

    def _arguments(self, entry: str) -> list[str]:
        code = getattr(self.module, entry).__code__
        names = code.co_varnames[: code.co_argcount]
        return [name for name in self.program.free if python_name(name) in names]

    def check_names(self, wanted: list[str], arrays: Mapping[str, Any]) -> None:
        check_names(wanted, arrays)

    def fit(
        self,
        params: Mapping[str, Any],
        data: Mapping[str, Any] | None = None,
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
        objective: Any = None,
        local_steps: int | None = None,
    ) -> Any:
        """Train: the epoch loop, shuffling and updates run inside the compiled code.

        params: starting arrays by name, left untouched; they are what is trained. data: all other arrays;
        those that were batched hold one example a row. optimizer: sg.SGD(0.1), Momentum, Nesterov, Adagrad, RMSProp, Adam,
        AdamW; a rate is a number or an equation such as "0.1/(1 + t/1000)" (`symgrad.rates`).
        batch_size: examples a step, None for all. clip_value cuts every cell of the gradients to ±clip_value, clip_norm
        then scales them all to that norm at most. validation: data whose loss is found after every epoch.
        patience: stop after so many epochs without a better loss (of `validation`, else of the training), and
        return the parameters of the best epoch. A model that says `maximize` is trained uphill.

        objective: shards of examples on other machines (`symgrad.distributed`), for a kernel of the same model; `data` is then what
        no shard holds. An epoch is then one step from the gradient over all examples; with `local_steps` shards take so many steps
        on minibatches of `batch_size` by themselves before they are averaged.

        Returns a `symgrad.train.Fit`: `.params`, `.history[loss]` (an epoch's mean each), `.validation`, `.stopped`.
        Ctrl-C ends the training after the running step or within 0.2 s, and returns what is trained so far, with
        `.stopped == "interrupted"`; a second one breaks off a step of NumPy, and goes back to one of the second before.

        Raises as a call does, SG408 (a kernel with `checkpoint`), SG508 (memory), SG608 (a setting), SG609 (not in wrt), SG724 (an
        export), SG1xx to SG4xx (the equation of a rate), and `symgrad.train.Diverged`, an SG607, where a loss or a parameter is no
        longer finite: it names the step and the equation, and has the last good parameters, those before that step, as `.params`.
        """
        from symgrad.train import fit

        check_own(self.backend, "trained")
        if self.checkpoint is not False:
            message = "a kernel with checkpoint= does not train: the steps of fit keep whole arrays"
            raise SymgradError("SG408", message, hint="compile without checkpoint=, or update the parameters between calls")
        settings = (optimizer, epochs, batch_size, shuffle, seed, progress, clip_norm, clip_value, validation, patience)
        if objective is None and local_steps is None:
            return fit(self, params, data or {}, *settings)
        from symgrad.distributed.fitting import fit_kernel

        return fit_kernel(self, objective, params, data or {}, *settings, local_steps)

    def save(
        self,
        path: str | Path,
        force: bool = False,
        optimizer: Any = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> Path:
        """Write a module that runs with numpy and numba alone; an existing file is kept unless `force`.

        Its `value_and_grad` and `forward` are those of this kernel, its `step` and `fit` train by `optimizer`, sg.SGD() by
        default, with the numbers of `fit`, and cut gradients as there; its docstring has the equations, shapes and types
        (`symgrad.saving`). Of a kernel for JAX or PyTorch the module is `source`, without `step` and `fit`; of one for C, net.c and
        net.h are written.
        Raises SG701 (it exists), SG702 (it cannot be written), SG608 (no optimiser), SG713 (an optimiser for what does not train),
        SG722, SG723 (the name of a file).
        """
        from symgrad.optimizers import SGD, an_optimizer, clipped
        from symgrad.saving import saved_text

        path = Path(path)
        if clip_norm is not None or clip_value is not None:
            optimizer = clipped(an_optimizer(optimizer or SGD()), clip_value, clip_norm)
        exported = files(self.program, self.parts, self.dtype, self.backend, self.source, path)
        for each in exported:
            check_writable(each, force)
        if self.backend not in EXPORTED:
            return save_text(path, saved_text(self, optimizer), force)
        if optimizer is not None:
            raise SymgradError("SG713", f"the module would have no step and fit: it is an export for {self.backend}")
        for each, text in exported.items():
            save_text(each, text, force) if self.backend != "c" else save_bytes(each, text.encode(), force)
        return path

    def save_native(self, path: str | Path, force: bool = False) -> tuple[Path, Path]:
        """Write the kernel as machine code, net.kernel.so, and the module net.py that calls it and needs NumPy alone.

        Both have to stay in one folder. They start in the time that NumPy's import takes, and run on processors like this one;
        the module says where they do not (SG709), or where the library is another than was made with it (SG708).
        Raises SG701, SG702 as `save`, SG207 (a kernel for NumPy), SG710 (no C compiler to link with).
        """
        if self.backend != "numba":
            raise SymgradError("SG207", f"a kernel for {self.backend} has no machine code", hint='compile with backend="numba"')
        from symgrad.saving import native_text

        path = Path(path)
        beside = path.with_suffix(".kernel.so")
        for each in (path, beside):
            check_writable(each, force)
        text, library = native_text(self, beside.name)
        return save_text(path, text, force), save_bytes(beside, library, force)

    def __repr__(self) -> str:
        return f"<kernel of {self.loss} and its gradients by {', '.join(self.wrt)}; {self.backend}, {self.dtype}>"


def no_memory(error: MemoryError | ValueError) -> Exception:
    """SG508, with NumPy's words on what was asked for; it has a ValueError for what no address could reach."""
    beyond = isinstance(error, MemoryError) or "too big" in str(error) or "maximum allowed" in str(error).lower()
    if not beyond:
        return error
    return SymgradError("SG508", f"there is not enough memory for this: {error}", hint="smaller extents, or fewer examples")


def save_text(path: str | Path, text: str, force: bool = False) -> Path:
    """A module's text, as `save_bytes`, once it went through the gate."""
    gate.passed(text)
    return save_bytes(path, text.encode(), force)


def check_writable(path: Path, force: bool) -> None:
    """Raises SG701 (it exists), SG702 (it is a folder)."""
    if path.is_dir():
        raise SymgradError("SG702", f"{path} is a folder", hint="name a file in it")
    if (path.exists() or path.is_symlink()) and not force:
        raise SymgradError("SG701", f"{path} exists already", hint="choose another name, or force")


def save_bytes(path: str | Path, data: bytes, force: bool = False) -> Path:
    """Write a file whole. Raises SG701 (it exists), SG702 (it cannot be written)."""
    path = Path(path)
    check_writable(path, force)
    try:
        write_whole(path, data, 0o666)
    except OSError as error:
        raise SymgradError("SG702", f"{path} cannot be written: {error.strerror}") from None
    return path
