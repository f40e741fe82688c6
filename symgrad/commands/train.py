"""symgrad train: a model trained on a data set or on arrays by name; its parameters and its loss curve as files."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symgrad.commands.given import check_output, choose, model, sizes
from symgrad.core.errors import SymgradError

if TYPE_CHECKING:
    from symgrad.trainer import Settings

RATES = {"adam": 0.005, "adamw": 0.005, "sgd": 0.1, "momentum": 0.02, "nesterov": 0.02, "rmsprop": 0.005, "adagrad": 0.05}
PICTURES = (".png", ".svg", ".pdf")


def train(options: Any) -> int:
    """Train, report, save; 130 where Ctrl-C ended it, with what was trained up to there."""
    from symgrad.data import load_table
    from symgrad.named import arrays_for, train_on_arrays
    from symgrad.trainer import Job, summary

    settings = _settings(options)
    _check_outputs(options)
    program = model(options.model, options.language)
    arrays = arrays_for(program, options.data)
    if arrays is not None:
        _check_whole(options)
        result, name = train_on_arrays(program, arrays, settings, print), ""
    else:
        job = Job(program, load_table(options.data, options.column), settings)
        summary(job, print)
        result, name = job.run(), job.score_name
    _report(result, name, settings.backend)
    _save(options, result)
    return 130 if result.fit.stopped == "interrupted" else 0


def _settings(options: Any) -> Settings:
    from symgrad import optimizers
    from symgrad.trainer import Settings

    rules = {rule.__name__.lower(): rule for rule in optimizers.ALL}
    chosen = choose("optimizer", options.optimizer, tuple(RATES))
    rate = RATES[chosen] if options.learning_rate is None else options.learning_rate
    batch_size = 32 if options.batch_size is None else options.batch_size
    test_fraction = 0.2 if options.test_fraction is None else options.test_fraction
    if not 0 <= test_fraction < 1:
        raise SymgradError("SG608", f"--test-fraction must be at least 0 and below 1, and is {test_fraction}")
    patience = 1 if options.patience is None else options.patience
    counts = (("epochs", options.epochs, 0), ("batch-size", batch_size, 1), ("seed", options.seed, 0), ("patience", patience, 1))
    for name, value, least in counts:
        if value < least:
            raise SymgradError("SG608", f"--{name} must be at least {least}, and is {value}")
    return Settings(
        optimizers.clipped(rules[chosen](rate), None, options.clip_norm),
        options.epochs,
        batch_size,
        options.seed,
        choose("dtype", options.dtype, ("float64", "float32")),
        test_fraction,
        options.target,
        options.prediction,
        options.bias_unit,
        sizes(options.size),
        choose("backend", options.backend, ("numba", "numpy")),
        options.patience,
    )


def _check_whole(options: Any) -> None:
    """Options for tables of examples, where the data are the model's own arrays."""
    for name in ("column", "target", "prediction", "size", "bias_unit", "batch_size", "test_fraction"):
        if getattr(options, name):
            option = f"--{name.replace('_', '-')}"
            message = f"{options.data} holds the model's arrays by name, so {option} has no meaning"
            raise SymgradError("SG706", message, hint=f"leave {option} out")


def _report(result: Any, score_name: str, backend: str) -> None:
    history = result.fit.history[result.loss]
    if len(history):
        values = " → ".join(f"{value:.6g}" for value in (history[0], history[-1])[: len(history)])
        epochs = f"{len(history)} epoch{'s' if len(history) > 1 else ''}"
        compiling = " with compiling" if backend == "numba" else ""
        print(f"{result.loss} {values} in {epochs}, {result.seconds:.1f} s{compiling}")
    if result.fit.stopped == "interrupted":
        print("interrupted: the parameters are those after the last step")
    elif result.fit.stopped == "patience":
        print(f"stopped early: the parameters are those of epoch {result.fit.best_epoch}")
    for part, score in (("training", result.train_score), ("test", result.test_score)):
        if score is not None:
            print(f"{part} {score_name} {score:.4f}")


def _check_outputs(options: Any) -> None:
    """Refuse before training what could not be written after it."""
    if options.picture is not None:
        choose("picture format", Path(options.picture).suffix.lower() or "without a suffix", PICTURES)
        _figure()
    if options.save and options.picture and os.path.abspath(options.save) == os.path.abspath(options.picture):
        raise SymgradError("SG701", f"{options.save} is asked for twice", hint="--save and --picture need two names")
    for given in (options.save, options.picture):
        if given is None:
            continue
        check_output(given, options.force)


def _save(options: Any, result: Any) -> None:
    if options.save:
        from symgrad.kernel import save_bytes

        print(f"wrote {save_bytes(options.save, _npz({**result.scaling, **result.fit.params}), options.force)}")
    if options.picture:
        from symgrad.kernel import save_bytes

        print(f"wrote {save_bytes(options.picture, _picture(result, Path(options.picture).suffix[1:].lower()), options.force)}")


def _npz(params: Any) -> bytes:
    import numpy as np

    out = io.BytesIO()
    np.savez(out, **params)
    return out.getvalue()


def _figure() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise SymgradError("SG611", "the picture needs matplotlib, which is not installed", hint="pip install matplotlib") from None
    return Figure(figsize=(6, 4), layout="constrained")


def _picture(result: Any, kind: str) -> bytes:
    """The loss over epochs."""
    figure = _figure()
    history = result.fit.history[result.loss]
    axes = figure.subplots()
    axes.plot(range(1, len(history) + 1), history)
    axes.set(xlabel="epoch", ylabel=f"mean {result.loss} of the training examples")
    axes.grid(alpha=0.3)
    out = io.BytesIO()
    figure.savefig(out, format=kind, dpi=150)
    return out.getvalue()
