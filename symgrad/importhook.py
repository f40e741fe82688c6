"""`import net` where there is a net.sg: import this module once, and models are modules.

    import symgrad.importhook
    import net                          # net.sg beside the program, or anywhere on sys.path; in packages too
    J, grads = net.value_and_grad(x=x, w=w)

Such a module has the `value_and_grad`, `forward`, `step` and `fit` of a module that is saved, `program`, and `kernel`, with all
that a `Kernel` can do; `symgrad.load` takes options. Python's own files come first. A model that cannot be read is a `SymgradError`
with its file, line and column. `importlib.reload(net)` reads the file again.

>>> FINDER.find_spec("no_such_model") is None
True
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["FINDER", "SUFFIX", "Finder"]

SUFFIX = ".sg"


class Finder(MetaPathFinder):
    """Models on the path of a package, or on sys.path."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        name = fullname.rpartition(".")[2] + SUFFIX
        for folder in sys.path if path is None else path:
            file = os.path.join(folder or os.curdir, name) if isinstance(folder, str) else ""
            if os.path.isfile(file):  # false too where nothing may be looked at
                model = Path(file).absolute()
                return spec_from_file_location(fullname, model, loader=_Model(model))
        return None


class _Model(Loader):
    def __init__(self, path: Path):
        self.path = path

    def create_module(self, spec: ModuleSpec) -> None:
        """Python makes the module."""

    def exec_module(self, module: ModuleType) -> None:
        from symgrad.loading import load

        loaded = load(self.path)
        names = ("value_and_grad", "forward", "step", "fit", "DataError")
        found = {name: value for name, value in vars(loaded.module).items() if name in names}
        for name in names:  # of a module that is loaded again
            vars(module).pop(name, None)

        def more(name: str) -> Any:
            """`kernel` and `program`, when they are asked for."""
            if name == "kernel":
                return loaded.kernel
            if name == "program":
                return loaded.program
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

        vars(module).update(found, __doc__=loaded.module.__doc__, __getattr__=more)


FINDER = Finder()
# once, also where this module is loaded again
sys.meta_path[:] = [
    *(each for each in sys.meta_path if type(each).__qualname__ != "Finder" or type(each).__module__ != __name__),
    FINDER,
]
