"""Text from anyone is refused or understood, never run: the lint, the output gate, hostile names, and mutated texts.

lint       calls in symgrad's source that could run a text
modules    emitted modules through the gate
names      hostile names through text, LaTeX, SymPy and claims, and through all that is printed of what is accepted
fuzz       mutations of good texts; what fails is shrunk and told with its seed
data       mutations of good data files, as `symgrad train --data` takes them
deep       a chain of equations, each of which reads the one before, through all passes
"""

from __future__ import annotations

import math
import re
import time
import warnings
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

import sympy as sp

import symgrad as sg
from symgrad.backends import gate
from symgrad.core.errors import SymgradError
from symgrad.core.program import Program
from symgrad.data import load_table
from symgrad.named import arrays_for, train_on_arrays
from symgrad.trainer import Job, Settings, summary
from tests import hostile
from tests.hostile_data import data_file
from tests.models import MODELS
from tests.reliability.rows import Row
from tests.source_lint import lint

SECONDS = 2.0  # of a processor, for one text
NAMES, FUZZED = {True: 100_000, False: 1_500}, {True: 20_000, False: 1_500}
FILES, DEEP = {True: 10_000, False: 300}, {True: 10_000, False: 1_050}
EMITTED = 40  # every so manieth accepted name is printed and compiled
TEX_RUNS = re.compile(
    r"\\(?:write|input|include|immediate|def|edef|gdef|let|catcode|csname|open|special|directlua|usepackage|newcommand)"
)


def by_text(name: str) -> Program:
    return sg.parse(f"J = 2*{name} + {name}^2")


def by_index(name: str) -> Program:
    return sg.parse(f"J = sum(x[{name}]^2 for {name} in 1..N)")


def by_latex(name: str) -> Program:
    return sg.parse_latex(f"J = 2 {name} + {{{name}}}^2")


def by_symbol(name: str) -> Program:
    return sg.from_sympy([sp.Eq(sp.Symbol("J"), 2 * sp.Symbol(name) + sp.Symbol(name) ** 2)])


def by_array(name: str) -> Program:
    i, base = sp.Symbol("i", integer=True), sp.IndexedBase(sp.Symbol(name))
    return sg.from_sympy([sp.Eq(sp.Symbol("J"), sp.Sum(base[i] ** 2, (i, 1, sp.Symbol("n", integer=True))))])


ROUTES: dict[str, Callable[[str], Program]] = {
    "text": by_text, "index": by_index, "LaTeX": by_latex, "SymPy symbol": by_symbol, "SymPy array": by_array,
}  # fmt: skip


def broken_names(seeds: range) -> Iterator[str]:
    """What is wrong with some name on some route: another error, a program that does not read back, markup, code."""
    printed = 0
    for seed in seeds:
        name = hostile.name(seed)
        for route, build in ROUTES.items():
            found: list[Program] = []
            error = hostile.answered(lambda build=build, name=name, found=found: found.append(build(name)))  # type: ignore[misc]
            if error:
                yield f"seed {seed}, {route}, {name!r}: {error!r}"
            printed += len(found)
            for program in found:
                if wrong := _told(program, printed % EMITTED == 0):
                    yield f"seed {seed}, {route}, {name!r}: {wrong}"
        if error := hostile.answered(lambda name=name: sg.check(CHECKED, f"dJ/dx = {name}")):  # type: ignore[misc]
            yield f"seed {seed}, claim, {name!r}: {error!r}"
    if Path(hostile.CANARY).exists():
        yield "a name was run as code"


CHECKED = sg.parse("J = x^2")


def _told(program: Program, prints: bool) -> str | None:
    """What is wrong about a program, an error of any kind included."""
    try:
        return next(_wrong(program, prints), None)
    except Exception as error:
        return f"{error!r} for {str(program)!r}"


def _wrong(program: Program, prints: bool) -> Iterator[str]:
    text = str(program)
    again = str(sg.parse(text))
    if again != text:
        yield f"{text!r} reads back as {again!r}"
    names = [name for name in program.tensors if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*|\|[A-Za-z]\w*\|", name, re.ASCII)]
    if names:
        yield f"a quantity is named {names[0]!r}"
    if prints:
        yield from _printed_wrong(program)


def _printed_wrong(program: Program) -> Iterator[str]:
    """All that is printed of a program, and its modules."""
    try:
        d = sg.derive(program)
        shown = {"latex": d.latex(), "html": d.html(), "typst": d.typst(), "markdown": d.markdown(), "beamer": d.beamer()}
        graphs = {each: d.graph(each) for each in ("svg", "dot", "tikz", "mermaid")}
        modules = [sg.compile(program, backend=backend).source for backend in ("numpy", "numba")]
    except SymgradError:
        return
    for module in modules:
        if error := hostile.answered(lambda module=module: gate.passed(module)):  # type: ignore[misc]
            yield f"its module: {error}"
    yield from _markup_wrong(shown, graphs)


def _markup_wrong(shown: dict[str, str], graphs: dict[str, str]) -> Iterator[str]:
    for each in ("latex", "markdown"):
        if found := TEX_RUNS.search(shown[each]):
            yield f"{each} has {found.group()}"
    tags = _Tags()
    tags.feed(shown["html"])
    if tags.wrong:
        yield f"HTML has {tags.wrong}"
    if re.search(r"#(?:read|eval|plugin|include)\b", shown["typst"]):
        yield "Typst has code"
    if '"' in re.sub(r'"(?:\\.|[^"\\])*"', "", graphs["dot"]):
        yield "DOT has an open string"
    if any(element.tag.endswith("script") for element in ElementTree.fromstring(graphs["svg"]).iter()):
        yield "SVG has a script"


class _Tags(HTMLParser):
    """Elements and attributes that run or load something."""

    wrong = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "img", "iframe", "object", "embed", "link", "a", "b") or any(key.startswith("on") for key, _ in attrs):
            self.wrong = f"<{tag}>"


READERS: dict[str, Callable[[str], object]] = {
    "text": lambda text: _used(sg.parse(text)),
    "LaTeX": lambda text: _used(sg.parse_latex(text)),
    "claims": lambda text: sg.check(CHAIN, text),
}
CHAIN = sg.parse("a[j] = sum(W[j,i]*x[i] for i in 1..N); J = sum(exp(a[j])*v[j] for j in 1..M)")
CLAIMS = (
    "dJ/da[j] = exp(a[j])*v[j]",
    "dJ/dx[i] = sum(dJ/da[j]*W[j,i] for j)",
    "dJ/dW[j,i] = dJ/da[j]*x[i]\ndJ/dv[j] = exp(a[j])",
    "dJ/da[j] += v[j]",
)


def _used(program: Program) -> object:
    """It prints, and reads back."""
    return sg.parse(str(program))


def good(kind: str) -> tuple[str, ...]:
    return {"text": hostile.texts, "LaTeX": hostile.latex_texts, "claims": lambda: CLAIMS}[kind]()


def broken_texts(kind: str, seeds: range) -> tuple[list[str], float, int]:
    """(what is wrong, the slowest in seconds of a processor, its seed)."""
    wrong, slowest, which = [], 0.0, 0
    for seed in seeds:
        text = hostile.mutated(good(kind), seed)
        begun = time.process_time()
        error = hostile.answered(lambda text=text: READERS[kind](text))  # type: ignore[misc]
        taken = time.process_time() - begun
        slowest, which = max((slowest, which), (taken, seed))
        if error:
            small = hostile.shrunk(
                text, lambda smaller, error=error: type(hostile.answered(lambda: READERS[kind](smaller))) is type(error)
            )  # type: ignore[misc]
            wrong.append(f"{kind}, seed {seed}: {error!r} for {small[:300]!r}")
        if taken > SECONDS:
            wrong.append(f"{kind}, seed {seed}: {taken:.1f} s")
    return wrong, slowest, which


MODEL = sg.parse("input x[i], y^*; param w[i], b; y = sum(w[i]*x[i] for i) + b; J = (y - y^*)^2")
ARRAYS = sg.parse("input X[n,i], y[n]; param w[i]; J = sum((sum(w[i]*X[n,i] for i) - y[n])^2 for n)")


def trained(path: Path) -> None:
    """What `symgrad train` does with a data file before it trains: a table for one model, arrays by name for the other."""
    settings = Settings(sg.SGD(0.1), epochs=0, backend="numpy")
    if arrays := arrays_for(ARRAYS, str(path)):
        train_on_arrays(ARRAYS, arrays, settings)
    summary(Job(MODEL, load_table(str(path)), settings), lambda line: None)


def broken_data(kind: str, seeds: range) -> tuple[list[str], float]:
    """(what is wrong with some file, the slowest in seconds of a processor): an error that is no refusal, a warning, a pickle."""
    wrong, slowest = [], 0.0
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"data.{kind}"
        for seed in seeds:
            path.write_bytes(data_file(kind, seed))
            begun = time.process_time()
            with warnings.catch_warnings(action="error"):
                error = hostile.answered(lambda: trained(path))
            taken = time.process_time() - begun
            slowest = max(slowest, taken)
            if error or taken > SECONDS:
                wrong.append(f"{kind}, seed {seed}: {error!r}, {taken:.1f} s")
    if Path(hostile.CANARY).exists():
        wrong.append("a data file was unpickled")
    return wrong, slowest


def chain(length: int) -> str:
    """A chain of equations that ends in J, the slope of which is not 0."""
    return "\n".join(["e_0 = x", *(f"e_{k} = sin(e_{k - 1})" for k in range(1, length)), f"J = e_{length - 1}^2"])


def deep(length: int) -> list[str]:
    """What fails of a chain at Python's own limit of recursion, stage by stage; each is tried where the one before failed."""
    program = sg.parse(chain(length))
    stages: dict[str, Callable[[], object]] = {
        "text": lambda: sg.parse(str(program)),
        "derive": lambda: sg.derive(program, "J").backward,
        "numpy": lambda: gate.passed(sg.compile(program, backend="numpy").source),
        "numba": lambda: gate.passed(sg.compile(program).source),
        "gradient": lambda: _sloped(program),
    }
    return [f"{name}: {error!r:.200}" for name, run in stages.items() if (error := hostile.answered(run))]


def _sloped(program: Program) -> None:
    """The chain's slope at 1, against the product of cosines."""
    value, found = sg.compile(program, backend="numpy")(x=1.0)
    point, slope = 1.0, 1.0
    for _ in range(sum(s.name.startswith("e_") for s in program.statements) - 1):
        point, slope = math.sin(point), slope * math.cos(point)
    if not math.isclose(found["x"], 2 * point * slope, rel_tol=1e-9) or not math.isclose(value, point**2, rel_tol=1e-9):
        raise AssertionError(f"value {value}, slope {found['x']}, not {point**2}, {2 * point * slope}")


def stopped_modules() -> list[str]:
    """Modules of all models, for both backends, that the gate does not let through."""
    wrong = []
    for name, model in MODELS.items():
        for backend in ("numpy", "numba"):
            source = sg.compile(model.program(), backend=backend).source
            if error := hostile.answered(lambda source=source: gate.passed(source)):  # type: ignore[misc]
                wrong.append(f"{name}, {backend}: {error}")
    return wrong


def measure(full: bool) -> list[Row]:
    found = lint()
    rows = [Row("safe", "calls that could run a text", str(len(found)), "0", found)]
    if full:
        stopped, count = stopped_modules(), 2 * len(MODELS)
        rows.append(Row("safe", "modules through the gate", f"{count - len(stopped)} of {count}", "all", stopped))
    names = list(broken_names(range(NAMES[full])))
    rows.append(Row("safe", "hostile names refused or harmless", f"{NAMES[full] - len(names):,} of {NAMES[full]:,}", "all", names))
    for kind, share in (("text", 0.6), ("LaTeX", 0.3), ("claims", 0.1)):
        count = int(share * FUZZED[full])
        wrong, slowest, seed = broken_texts(kind, range(count))
        shown = f"{count - len(wrong):,} of {count:,}, slowest {slowest:.2f} s (seed {seed})"
        rows.append(Row("safe", f"mutated {kind} refused or read", shown, f"all, <= {SECONDS:g} s", wrong))
    for kind in ("csv", "npz"):
        wrong, slowest = broken_data(kind, range(FILES[full]))
        shown = f"{FILES[full] - len(wrong):,} of {FILES[full]:,}, slowest {slowest:.2f} s"
        rows.append(Row("safe", f"mutated .{kind} files refused or read", shown, f"all, <= {SECONDS:g} s", wrong))
    failed = deep(DEEP[full])
    rows.append(Row("safe", f"a chain of {DEEP[full]:,} equations", f"{5 - len(failed)} of 5 stages", "all", failed))
    return rows
