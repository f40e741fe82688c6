"""A file → something to call: a module that was saved, or a model, which is compiled once for all processes.

    load("net.py")                      the module, if its text went through the gate; a warning where it was edited
    load("net.sg", batch=["x"])         what `Kernel.save` writes for the model, kept in the cache folder by all that it depends on

What is found in the cache is neither parsed nor derived: SymPy is not imported. Numba keeps its machine code as for any kernel.

>>> import pathlib, tempfile
>>> folder = tempfile.TemporaryDirectory()
>>> path = pathlib.Path(folder.name, "net.sg")
>>> _ = path.write_text("param w; J = (w - 3)^2; minimize J")
>>> net = load(path, backend="numpy")
>>> float(net(w=1.0)[0]), float(net.fit({"w": 0.0}, {}, learning_rate=0.5, progress=False).params["w"])
(4.0, 3.0)
>>> folder.cleanup()
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from symgrad.backends import sealed, signed
from symgrad.backends.load import load_parts, taken_apart
from symgrad.calling import check_names, check_threads, missing, refusal, thread_option
from symgrad.core.errors import SymgradError, SymgradWarning
from symgrad.core.files import read_text
from symgrad.fitted import Fit, progress_bar

if TYPE_CHECKING:
    from symgrad.core.program import Program
    from symgrad.kernel import Kernel

MOST = 1 << 28  # bytes of a file; a model is measured again when it is read
MACHINE_CODE = "\n_LIBRARY = _loaded("
WHOLE = ("_LOSS", "_WRT", "_ARGUMENTS", "DataError", "value_and_grad", "forward")
REMEMBERED = 64  # models


@dataclass(frozen=True)
class Options:
    """What a model is compiled with, as in `symgrad.compile`, and the optimiser of `step` and `fit`."""

    loss: str | None = None
    wrt: Any = None
    batch: Any = ()
    dtype: str = "float64"
    backend: str = "numba"
    checkpoint: bool | int = False
    stabilize: bool = True
    optimizer: Any = None


def load(
    path: str | Path,
    loss: str | None = None,
    wrt: Iterable[str] | None = None,
    batch: Iterable[str] = (),
    dtype: str = "float64",
    backend: str = "numba",
    checkpoint: bool | int = False,
    threads: int | None = None,
    stabilize: bool = True,
    optimizer: Any = None,
) -> Loaded:
    """A module that `Kernel.save` wrote (.py), or a model (.sg, .tex) compiled with these options, which are those of `compile`.

    optimizer: what `step` and `fit` train by, sg.SGD() by default. A module has been saved with all of this: only `threads` is for
    it too. A module that was edited is loaded with a `SymgradWarning`, SG711; one with code that symgrad does not write is
    refused, SG712, since loading runs it. Machine code beside a module cannot be looked through: load it from people you trust.

    Raises SG704, SG122, SG501 (the file), SG608 (an option for a module that is saved), SG703 (the cache folder), for a module
    SG708, SG709 (machine code), SG714 (numba is too old), and for a model what `read`, `compile` and `Kernel.save` raise.
    """
    path = Path(path)
    check_threads(threads)
    text = read_text(path, MOST)
    options = Options(loss, _names(wrt), _names(batch), dtype, backend, checkpoint, stabilize, optimizer)
    if path.suffix.lower() == ".py":
        return Loaded(path, *_saved(path, text, options), threads=threads)
    if optimizer is not None:
        from symgrad.optimizers import an_optimizer

        an_optimizer(optimizer)
    whole, texts = _emitted(text, str(path), options)
    return Loaded(path, whole, load_parts(texts), threads=threads, model=text, options=options)


def _names(given: Any) -> Any:
    """Names as a key; what is no list of names is left for `compile` to refuse."""
    return tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else given


# a module that was saved


def _saved(path: Path, text: str, options: Options) -> tuple[str, ModuleType]:
    """The text and the module of a file."""
    for name, value in asdict(Options()).items():
        if asdict(options)[name] != value:
            hint = f"leave {name} out, or load the model itself"
            raise SymgradError("SG608", f"{path} was saved with its options, so {name} cannot be chosen", hint=hint)
    unchanged = signed.is_unchanged(text)
    if unchanged is None:
        raise SymgradError("SG712", f"{path} is no module that symgrad saved")
    text = text.replace("\r\n", "\n")
    texts = _passed(path, text)
    if not unchanged:
        message = f"{path} was edited after symgrad saved it; it may compute something else than its docstring says"
        warnings.warn(SymgradWarning("SG711", message), stacklevel=3)
    try:
        module = _with_library(path) if MACHINE_CODE in text else load_parts(texts)
    except ValueError as error:
        told = vars(error)  # of a DataError, whose module is not there yet
        if "code" not in told:
            raise
        raise SymgradError(told["code"], told["message"], hint=told["hint"]) from None
    if lacks := missing(WHOLE, vars(module)):
        raise SymgradError("SG712", f"{path} is no whole module that symgrad saved: it has no {lacks[0]}")
    return text, module


def _passed(path: Path, text: str) -> dict[str, str]:
    from symgrad.backends.gate import Unsafe

    try:
        return taken_apart(text)
    except Unsafe as error:
        what = str(error).removeprefix("a module ").removesuffix(", which no kernel needs")
        raise SymgradError("SG712", f"{path} {what}, which symgrad does not write") from None


def _with_library(path: Path) -> ModuleType:
    """The module beside its machine code."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# a model


_remembered: dict[str, tuple[str, Mapping[str, str]]] = {}


def _emitted(text: str, name: str, options: Options) -> tuple[str, Mapping[str, str]]:
    """The module of a model, whole and in the parts that are loaded: of this process, from the cache folder, else compiled."""
    key = _key(text, Path(name), options)
    found = _remembered.get(key) or _kept(key, text, name, options)
    if len(_remembered) >= REMEMBERED:
        _remembered.clear()
    _remembered[key] = found
    return found


def _kept(key: str, text: str, name: str, options: Options) -> tuple[str, Mapping[str, str]]:
    folder, entry = sealed.cache_folder(), f"model_{key}.sealed"
    kept = sealed.read(folder, entry)
    if kept is not None:
        found = json.loads(kept)
        return found["text"], found["parts"]
    whole = _compiled(text, name, options)
    parts = taken_apart(whole)
    sealed.write(folder, entry, json.dumps({"text": whole, "parts": parts}).encode())
    return whole, parts


def _key(text: str, path: Path, options: Options) -> str:
    """Of all that the module's text depends on."""
    versions = (_version_of_sympy(), _own_files())
    return hashlib.sha256(repr((text, path.suffix.lower() == ".tex", options, versions)).encode()).hexdigest()[:24]


@lru_cache(maxsize=1)
def _version_of_sympy() -> str:
    return version("sympy")


@lru_cache(maxsize=1)
def _own_files() -> str:
    """Which symgrad this is: versions that are worked on have one number and many texts."""
    root = Path(__file__).parent
    files = [(path.relative_to(root).as_posix(), path.stat()) for path in sorted(root.rglob("*.py"))]
    return hashlib.sha256(repr([(name, s.st_size, s.st_mtime_ns) for name, s in files]).encode()).hexdigest()


def _compiled(text: str, name: str, options: Options) -> str:
    from symgrad.saving import saved_text

    return saved_text(_kernel(text, name, options), options.optimizer)


def _kernel(text: str, name: str, options: Options, threads: int | None = None) -> Kernel:
    from symgrad.compiler import compile
    from symgrad.frontend.files import model

    given = {key: value for key, value in vars(options).items() if key != "optimizer"}
    return compile(model(text, Path(name)), **given, threads=threads)


# what is called


@dataclass(frozen=True, eq=False, repr=False)
class Loaded:
    """Called as a `Kernel` is: `net(x=…, w=…)`, `net.forward(…)`, `net.fit(…)`; and `net.step(…)`.

    `source` is the module's text, `module` the module itself. Of a model there are `program` and `kernel` too, made when they are
    first asked for.
    """

    path: Path
    source: str
    module: ModuleType
    threads: int | None = None
    model: str | None = None
    options: Options = Options()

    @property
    def loss(self) -> str:
        return str(self.module._LOSS)

    @property
    def wrt(self) -> tuple[str, ...]:
        """What the gradients are by."""
        names: tuple[str, ...] = self.module._WRT
        return names

    @cached_property
    def kernel(self) -> Kernel:
        """The model's kernel with all that it can do. Raises SG713 for a module that was saved, which holds no model."""
        if self.model is None:
            raise SymgradError("SG713", f"{self.path} is a saved module, which holds no model to compile again")
        return _kernel(self.model, str(self.path), self.options, self.threads)

    @property
    def program(self) -> Program:
        """The model. Raises as `kernel`."""
        return self.kernel.program

    def __call__(self, /, **arrays: Any) -> tuple[Any, dict[str, Any]]:
        """The loss, and its gradients by name in the shapes of the arrays. Raises as `Kernel.__call__`."""
        try:
            found: tuple[Any, dict[str, Any]] = self._value_and_grad(**arrays)
        except (TypeError, ValueError, MemoryError) as error:
            found = self._refused(self._value_and_grad, arrays, error)
        return found

    def forward(self, /, **arrays: Any) -> dict[str, Any]:
        """Every quantity that the model defines, by name."""
        try:
            found: dict[str, Any] = self._forward(**arrays)
        except (TypeError, ValueError, MemoryError) as error:
            found = self._refused(self._forward, arrays, error)
        return found

    @cached_property
    def _value_and_grad(self) -> Any:
        return partial(self.module.value_and_grad, **thread_option(self.module.value_and_grad, self.threads))

    @cached_property
    def _forward(self) -> Any:
        return partial(self.module.forward, **thread_option(self.module.forward, self.threads))

    def _refused(self, call: Any, arrays: Mapping[str, Any], error: Exception) -> Any:
        """What a call gives that did not go through: names such as lambda have another spelling in Python."""
        if not isinstance(error, TypeError):
            raise refusal(self.module, error) from None
        names: dict[str, str] = self.module._ARGUMENTS
        code = call.func.__code__
        check_names([name for name, own in names.items() if own in code.co_varnames[: code.co_argcount]], arrays)
        if all(names[name] == name for name in arrays):
            raise error
        try:
            return call(**{names[name]: array for name, array in arrays.items()})
        except (ValueError, MemoryError) as second:
            raise refusal(self.module, second) from None

    def step(
        self, params: Mapping[str, Any], data: Mapping[str, Any], state: Mapping[str, Any] | None = None, **rates: Any
    ) -> tuple[float, dict[str, Any], dict[str, Any]]:
        """One step of the optimiser on all of `data`: the loss before it, the parameters after it, the optimiser's state.

        rates: numbers of the update rule such as learning_rate, in place of those that were chosen.
        Raises as `fit` does; a step whose loss is not finite is an SG607.
        """
        function = self._trainer("step")
        self._check_rates(function, rates)
        try:
            found: tuple[float, dict[str, Any], dict[str, Any]] = function(params, data, state, **rates)
        except (ValueError, MemoryError) as error:
            raise refusal(self.module, error) from None
        return found

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
        **rates: Any,
    ) -> Fit:
        """Train, as `Kernel.fit` with the optimiser of `load` or `save`; with NumPy the numbers are the same to the last bit.

        rates: numbers of the update rule such as learning_rate, in place of those that were chosen. Another optimiser, clipping
        that the module was not saved with, validation, patience and fewer parameters need the model: then this is `kernel.fit`.
        Raises as `Kernel.fit`, SG608 for a number that the rule does not have, SG713 where the module cannot do it.
        """
        more: dict[str, Any] = {"clip_norm": clip_norm, "clip_value": clip_value, "validation": validation, "patience": patience}
        fewer = self.model is not None and set(params) != set(vars(self.module).get("_TRAINED", params))
        alone = not fewer and optimizer is None and validation is None and patience is None
        own = _numbers(vars(self.module).get("fit")) if alone else {}
        rates |= {name: more.pop(name) for name in [*more] if name in own and more[name] is not None}
        if not alone or any(value is not None for value in more.values()):
            if rates:
                raise SymgradError("SG608", f"{next(iter(rates))} is a number of the optimiser", hint="give it to the optimiser")
            chosen = optimizer or self.options.optimizer
            return self._fitter().fit(params, data, chosen, epochs, batch_size, shuffle, seed, progress, **more)  # type: ignore[no-any-return]
        function = self._trainer("fit")
        names = self._check_rates(function, rates)
        bar = progress_bar(epochs, self.loss) if progress and isinstance(epochs, int) else None
        show = None if bar is None else lambda done, loss: bar(done, loss, None)
        try:
            found, history = self.module._fitted(params, data, epochs, batch_size, shuffle, seed, {**names, **rates}, show)
        except (ValueError, MemoryError) as error:
            raise self._ended(error) from None
        return Fit(found, {self.loss: history}, stopped="interrupted" if len(history) < epochs else "")

    def _fitter(self) -> Kernel:
        if self.model is None:
            message = (
                f"{self.path} is a saved module: it trains by the optimiser that it was saved with, without clipping or validation"
            )
            raise SymgradError("SG713", message)
        return self.kernel

    def _trainer(self, name: str) -> Any:
        found = vars(self.module).get(name)
        if found is None:
            hint = "its docstring says why"
            raise SymgradError("SG713", f"{self.path} has no {name}", hint=hint)
        return found

    def _check_rates(self, function: Any, rates: Mapping[str, Any]) -> dict[str, Any]:
        """The numbers of the update rule, with those that were chosen."""
        names = _numbers(function)
        for name in rates:
            if name not in names:
                known = f"they are {', '.join(names)}" if names else "it has none"
                raise SymgradError("SG608", f"{name} is no number of the update rule", hint=known)
        for name in missing([name for name, value in names.items() if value is inspect.Parameter.empty], rates):
            raise SymgradError("SG608", f"the learning rate is an equation over {name}, which is not given", hint=f"pass {name}=…")
        return names

    def _ended(self, error: Exception) -> Exception:
        """An SG607 as `Kernel.fit` raises it, with what is trained up to there."""
        found = refusal(self.module, error)
        params = vars(error).get("params")
        if not isinstance(found, SymgradError) or params is None:
            return found
        from symgrad.divergence import Diverged

        ended = Diverged(found.code, found.message, hint=found.hint)
        ended.fit = Fit(params, {self.loss: vars(error)["history"]}, None, "diverged")
        return ended

    def __repr__(self) -> str:
        return f"<{self.path}: {self.loss} and its gradients by {', '.join(self.wrt)}>"


def _numbers(function: Any) -> dict[str, Any]:
    """The numbers of the update rule that a module's `step` or `fit` takes, with those that were chosen."""
    given = inspect.signature(function).parameters.values() if function else ()
    return {each.name: each.default for each in given if each.kind is each.KEYWORD_ONLY}
