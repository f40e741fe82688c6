"""symgrad compile: a Python module with the kernel."""

from __future__ import annotations

from typing import Any

from symgrad.commands.given import choose, model
from symgrad.core.errors import SymgradError


def compile_module(options: Any) -> None:
    """Write the kernel's module."""
    from symgrad.compiler import compile as run
    from symgrad.compiler import explained

    optimizer = _optimizer(options)
    more = {"checkpoint": options.checkpoint, "stabilize": options.stabilize}
    k = run(
        model(options.model, options.language), options.loss, options.wrt, options.batch, options.dtype, options.backend, **more
    )
    if options.native:
        written = [*k.save_native(options.output, options.force)]
    else:
        written = [k.save(options.output, options.force, optimizer)]
    written += [written[0].with_suffix(".h")] if k.backend == "c" else []
    trains = f"; step and fit by {options.optimizer}" if optimizer else ""
    print(f"wrote {', '.join(map(str, written))}: {k.loss} and its gradients by {', '.join(k.wrt)}{trains}")
    if options.explain:
        print("\n".join(map(str, (*k.rules, explained(k)))))


def _optimizer(options: Any) -> Any:
    """The optimiser of `step` and `fit`, None where none is chosen."""
    from symgrad import optimizers

    if options.optimizer is None and options.learning_rate is None:
        return None
    given = "--optimizer" if options.optimizer is not None else "--learning-rate"
    if options.native:
        raise SymgradError(
            "SG706", f"{given} has no meaning with --native: machine code has no step and fit", hint=f"leave {given} out"
        )
    rules = {rule.__name__.lower(): rule for rule in optimizers.ALL}
    options.optimizer = choose("optimizer", options.optimizer or "sgd", tuple(rules))
    rule = rules[options.optimizer]
    return rule() if options.learning_rate is None else rule(options.learning_rate)
