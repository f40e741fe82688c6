"""An example of a refusal is data: what a user gives, and the code of the answer. `run.py` knows how to give each kind.

>>> text("SG104", "y =").shown()
'y ='
>>> made("SG203", "y = x^2", Call("derive", wrt="z")).shown()
"y = x^2\\n\\nsg.derive(model, wrt='z')"
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

LONGEST, LINES = 100, 8  # characters of a line and lines of a text that the page shows


@dataclass(frozen=True)
class Array:
    """An array of numbers by its shape: of ones, or of what is given."""

    shape: tuple[int, ...]
    dtype: str = "float64"
    of: float = 1.0

    def __repr__(self) -> str:
        kind = "" if self.dtype == "float64" else f", {self.dtype!r}"
        return f"np.full({self.shape}, {self.of}{kind})" if self.of != 1 else f"np.ones({self.shape}{kind})"


@dataclass(frozen=True)
class Tensor:
    """An array of a library that need not be there: on a device (DLPack's number of its kind), or one that gives no array."""

    shown: str
    device: int = 1
    why: str = ""

    def __dlpack__(self, **_: Any) -> Any:
        raise BufferError(self.why)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device, 0

    def __repr__(self) -> str:
        return self.shown


@dataclass(frozen=True)
class Link:
    """A symbolic link to another name."""

    to: str


@dataclass(frozen=True)
class File:
    """A loader of a shard's file."""

    path: str

    def __call__(self) -> Any:
        return np.load(self.path)

    def __repr__(self) -> str:
        return f"lambda: np.load({self.path!r})"


class Noise:
    """A loader whose numbers are others at every call."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(0)

    def __call__(self) -> Any:
        return {"x": self.random.random(3)}

    def __repr__(self) -> str:
        return "lambda: {'x': np.random.random(3)}"


class Ranks:
    """An MPI communicator of two ranks, the second of which tells something else."""

    rank, size = 0, 2

    def allgather(self, told: Any) -> list[Any]:
        return [told, None]

    def __repr__(self) -> str:
        return "MPI.COMM_WORLD"


class Call:
    """A function of symgrad on the model, or a method of what the call before returned; an argument may be a `Call` itself."""

    def __init__(self, name: str, *args: Any, **options: Any):
        self.name, self.args, self.options = name, args, options

    def __repr__(self) -> str:
        return f"sg.{self.name}({self.arguments()})"

    def arguments(self) -> str:
        return ", ".join([*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.options.items())])


@dataclass(frozen=True)
class Example:
    """`model` is read by the function `reader`, then `calls` follow one another; or `argv` is a command line.

    `files`: what stands in the folder, None for a folder. `without`: libraries and programs that are not installed.
    `numba`: the version that is installed.
    `library`: (name, its digest or "" for the right one, processor features) of machine code that a module loads.
    """

    code: str
    model: Any = None
    reader: str = "parse"
    options: Mapping[str, Any] = field(default_factory=dict)
    calls: tuple[Call, ...] = ()
    argv: tuple[str, ...] = ()
    files: Mapping[str, str | bytes | Link | None] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    numba: str = ""
    library: tuple[str, str, tuple[str, ...]] | None = None
    promised: bool = False  # stands in the table of promises
    what: str = ""  # for the page, where the example does not show it

    @property
    def placed(self) -> bool:
        """True where the refusal is about a text, so that it has a place."""
        return isinstance(self.model, str) and not self.calls

    def shown(self) -> str:
        lines = [f"({self.what})"] if self.what else []
        lines += [f"{name}: {_file(text)}" for name, text in self.files.items() if text is not None and not self.library]
        if self.library:
            return "\n".join([*lines, "import net"])
        if self.argv:
            return "\n".join([*lines, "$ symgrad " + shlex.join(map(visible, self.argv))])
        lines.append(visible(self.model) if isinstance(self.model, str) else "")
        if self.model is None:
            return "\n".join([*lines[:-1], *map(repr, self.calls)])
        if not isinstance(self.model, str) or (self.options and not self.calls):
            given = "".join(f", {name}={value}" for name, value in self.options.items())
            lines[-1:] = [f"sg.{self.reader}({self.model}{given})"]
        if self.calls:
            first, *rest = self.calls
            head = f"sg.{first.name}({', '.join(filter(None, ['model', first.arguments()]))})"
            lines += ["", head + "".join(f".{call.name}({call.arguments()})" for call in rest)]
        return "\n".join(lines).replace(".__call__(", "(")


def visible(text: str) -> str:
    """Characters that do not show by their number, long lines cut."""
    seen = "".join(c if c.isprintable() or c == "\n" else f"\\u{ord(c):04x}" for c in text)
    lines = [line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} … ({len(line):,} characters)" for line in seen.split("\n")]
    if len(lines) > LINES:
        lines[3:-1] = [f"… ({len(lines) - 4} lines)"]
    return "\n".join(lines)


def _file(text: str | bytes | Link) -> str:
    if isinstance(text, Link):
        return f"a link to {text.to}"
    return repr(text) if isinstance(text, bytes) else visible(text.strip()).replace("\n", " ⏎ ")


def text(code: str, model: str, promised: bool = False, what: str = "") -> Example:
    return Example(code, model, promised=promised, what=what)


def latex(code: str, model: Any) -> Example:
    return Example(code, model, "parse_latex")


def equations(code: str, model: Any, what: str = "", **options: Any) -> Example:
    """SymPy objects."""
    return Example(code, model, "from_sympy", options, what=what)


def made(code: str, model: str, *calls: Call, promised: bool = False, what: str = "") -> Example:
    return Example(code, model, calls=calls, promised=promised, what=what)


def command(
    code: str,
    *argv: str,
    files: Mapping[str, str | bytes | Link | None] | None = None,
    without: Sequence[str] = (),
    promised: bool = False,
    what: str = "",
) -> Example:
    return Example(code, argv=argv, files=files or {}, without=tuple(without), promised=promised, what=what)
