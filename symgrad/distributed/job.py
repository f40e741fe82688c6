"""What a worker is told about the model, as a text, and the kernel that it compiles from it, once.

The text holds the program in the language, which is read and compiled on the worker like any other: no code is sent. The
worker's libraries must have the driver's versions, and the module that it emits must be the driver's to the letter; else
two machines could round in two ways, and it refuses (SG655).

>>> import symgrad as sg
>>> p = sg.parse("input x; param w; J = (w*x)^2; minimize J")
>>> kernel, job = job_of(p, {"batch": ["x"], "backend": "numpy"})
>>> J, grads = kernel_of(job)(w=2.0, x=[1.0, 3.0])
>>> float(J), float(grads["w"])
(20.0, 20.0)
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from symgrad.compiler import compile
from symgrad.core.errors import SymgradError
from symgrad.core.program import Program
from symgrad.frontend.text import parse
from symgrad.kernel import Kernel

LIBRARIES = ("symgrad", "numpy", "numba")
_compiling = threading.Lock()  # a worker may have several threads, and one of them is enough


def versions() -> dict[str, str]:
    return {name: _version(name) for name in LIBRARIES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # run from its folder
        return "unknown"


def job_of(program: Program, settings: Mapping[str, Any]) -> tuple[Kernel, str]:
    """The kernel, with the settings of `sg.compile`, and the text from which a worker makes the same.

    The program goes through its text here too, since the checks of a module quote the equations as they were written.
    """
    text = str(program)
    try:
        kernel = compile(parse(text), **settings)
    except SymgradError:
        compile(program, **settings)  # the same refusal, with places in the text that the user wrote
        raise
    told = {
        "program": text, "loss": kernel.loss, "wrt": kernel.wrt, "batch": kernel.batch, "dtype": kernel.dtype,
        "backend": kernel.backend, "checkpoint": kernel.checkpoint, "threads": kernel.threads, "stabilize": kernel.stabilize,
    }  # fmt: skip
    return kernel, json.dumps({"versions": versions(), "module": _digest(kernel.source), **told})


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def kernel_of(job: str) -> Kernel:
    """The kernel of a job; compiled on the first call in this process. Raises SG655 (not the driver's)."""
    with _compiling:
        return _kernel_of(job)


@lru_cache(maxsize=16)
def _kernel_of(job: str) -> Kernel:
    given: dict[str, Any] = json.loads(job)
    wanted, module = given.pop("versions"), given.pop("module")
    for name, found in versions().items():
        if found != wanted.get(name):
            message = f"a worker has {name} {found}, and the objective was made with {name} {wanted.get(name)}"
            raise SymgradError("SG655", message, hint=f"install the same {name} on all machines")
    kernel = compile(parse(given.pop("program")), **given)
    if _digest(kernel.source) != module:
        message = "a worker makes another kernel of the program than was made where the objective is"
        raise SymgradError("SG655", message)
    _ = kernel.module  # loaded here, by one thread
    return kernel


def kinds(program: Program, batch: tuple[str, ...], dtype: str) -> dict[str, str]:
    """The types of the batched arrays as the kernel takes them."""
    return {name: "int64" if program.tensors[name].values is not None else dtype for name in batch}
