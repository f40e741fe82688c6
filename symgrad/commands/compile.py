"""symgrad compile: a Python module with the kernel."""

from __future__ import annotations

from typing import Any

from symgrad.commands.given import model


def compile_module(options: Any) -> None:
    """Write the kernel's module."""
    from symgrad.compiler import compile as run
    from symgrad.compiler import explained

    more = {"checkpoint": options.checkpoint, "stabilize": options.stabilize}
    k = run(
        model(options.model, options.language), options.loss, options.wrt, options.batch, options.dtype, options.backend, **more
    )
    written = [*k.save_native(options.output, options.force)] if options.native else [k.save(options.output, options.force)]
    written += [written[0].with_suffix(".h")] if k.backend == "c" else []
    print(f"wrote {', '.join(map(str, written))}: {k.loss} and its gradients by {', '.join(k.wrt)}")
    if options.explain:
        print("\n".join(map(str, (*k.rules, explained(k)))))
