"""Give an example of a refusal to symgrad, in a folder of its own, and keep the answer."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import json
import operator
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import symgrad as sg
from symgrad.backends.checks import CHECKS
from symgrad.backends.native import SUPPORT
from symgrad.cli import main
from tests.errors.rows import Array, Call, Example, Link


@dataclass(frozen=True)
class Answer:
    """`shown` is what the user reads; `fields` are those of `SymgradError.as_dict`."""

    shown: str
    fields: dict[str, Any]
    status: int | None = None
    output: str = ""
    seconds: float = 0.0
    left: tuple[str, ...] = ()  # files that were not there before

    @property
    def code(self) -> str:
        return str(self.fields.get("code"))


def answer(example: Example) -> Answer:
    """The refusal of an example. An error of another kind, or none, is one of the test."""
    warned = warnings.catch_warnings(action="error", category=sg.SymgradWarning)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), _installed(example), warned:
        for name, content in example.files.items():
            _write(Path(name), content)
        start = time.perf_counter()
        found = _commanded(example) if example.argv else _called(example)
        seconds = time.perf_counter() - start
        left = tuple(sorted(p.name for p in Path().iterdir() if p.name not in {Path(n).parts[0] for n in example.files}))
        shown = found.shown.replace(f"{os.path.realpath(folder)}{os.sep}", "").replace(f"{folder}{os.sep}", "")
        return Answer(shown, found.fields, found.status, found.output, seconds, left)


def _write(path: Path, content: str | bytes | Link | None) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    if isinstance(content, Link):
        path.symlink_to(content.to)
    elif content is None:
        path.mkdir()
        path.chmod(0o777)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(0o755)


@contextlib.contextmanager
def _installed(example: Example) -> Iterator[None]:
    """Without some libraries; programs of the folder bin come first, and there are no others where some are missing."""
    hidden = {*example.without, *(name for name in sys.modules if name.partition(".")[0] in example.without)}
    kept = {name: sys.modules.get(name) for name in hidden}
    path = "bin" if example.without else f"bin{os.pathsep}{os.environ.get('PATH', '')}"
    variables = {"PATH": path} | ({"SYMGRAD_CACHE": "cache"} if "cache" in example.files else {})
    with contextlib.ExitStack() as settings:
        settings.enter_context(mock.patch.dict(os.environ, variables))
        if example.numba:
            settings.enter_context(mock.patch("numba.__version__", example.numba))
        sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
        try:
            yield
        finally:
            for name, module in kept.items():
                sys.modules.pop(name)
                if module is not None:
                    sys.modules[name] = module


def _called(example: Example) -> Answer:
    try:
        if example.library:
            _load(*example.library)
            raise AssertionError("nothing is refused")
        found = sg if example.model is None else getattr(sg, example.reader)(example.model, **example.options)
        for place, call in enumerate(example.calls):
            owner, given = (sg, (found,)) if place == 0 and found is not sg else (found, ())
            found = operator.attrgetter(call.name)(owner)(
                *given, *map(_value, call.args), **{k: _value(v) for k, v in call.options.items()}
            )
        raise AssertionError(f"nothing is refused, here is a {type(found).__name__}")
    except (sg.SymgradError, sg.SymgradWarning) as error:
        return Answer(str(error), error.as_dict())
    except ValueError as error:  # a module that stands alone has an error of its own
        assert type(error).__name__ == "DataError", error
        fields = {name: getattr(error, name) for name in ("code", "message", "hint")}  # type: ignore[attr-defined]
        return Answer(f"net.DataError: {error}".replace(os.getcwd() + os.sep, ""), fields)


def _value(value: Any) -> Any:
    if isinstance(value, Array):
        return np.full(value.shape, value.of, value.dtype)
    if isinstance(value, Call):
        return operator.attrgetter(value.name)(sg)(*map(_value, value.args), **{k: _value(v) for k, v in value.options.items()})
    if isinstance(value, list):
        return [_value(each) for each in value]
    return {name: _value(each) for name, each in value.items()} if isinstance(value, dict) else value


def _load(name: str, digest: str, features: tuple[str, ...]) -> None:
    """A module that loads machine code as saved ones do."""
    digest = digest or hashlib.sha256(Path(name).read_bytes()).hexdigest()
    head = "import ctypes, hashlib, os\nimport numpy as np\n"
    Path("net.py").write_text(f"{head}{CHECKS}\n{SUPPORT}\n_LIBRARY = _loaded({name!r}, {digest!r}, {features!r})\n", "utf-8")
    spec = importlib.util.spec_from_file_location("net", "net.py")
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


def _commanded(example: Example) -> Answer:
    status, output, shown = _main(example.argv)
    again, _, said = _main((*example.argv, "--json"))
    assert again == status
    return Answer(shown.rstrip("\n"), json.loads(said), status, output)


def _main(argv: tuple[str, ...]) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(argv)
    return status, out.getvalue(), err.getvalue()
