"""The project's own rules, read from its source: who imports whom, what is never called."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.source_lint import findings, lint

PACKAGE = Path(__file__).parent.parent / "symgrad"
FILES = sorted(PACKAGE.rglob("*.py"))
LAYERS = {
    "core": {"core"},
    "frontend": {"core", "frontend"},
    "transform": {"core", "transform"},
    "schedule": {"core", "schedule"},
    "printers": {"core", "printers"},
    "backends": {"core", "schedule", "backends"},
    "answers": {"core", "frontend", "transform", "printers", "answers"},
    "adapters": {
        *("core", "frontend", "transform", "adapters", "compiler", "data", "distributed", "flat", "kernel", "operators"),
        *("optimizers", "trainer"),
    },
    "distributed": {
        *("core", "frontend", "compiler", "divergence", "fitted", "flat", "kernel", "optimizers", "running", "train"),
        "distributed",
    },
    "commands": {folder.stem for folder in PACKAGE.iterdir()},
}
HEAVY = {"numba", "llvmlite", "jax", "torch", "sklearn", "matplotlib", "scipy", "dask", "distributed", "mpi4py"}


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in FILES:
        yield path.relative_to(PACKAGE), ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def test_imports_point_one_way() -> None:
    """A folder that imports a sibling, or what stands above it."""
    wrong = [
        (str(path), module)
        for path, tree in trees()
        if len(path.parts) > 1
        for module in imports(tree)
        if module.startswith("symgrad.") and module.split(".")[1] not in LAYERS[path.parts[0]]
    ]
    assert wrong == []


EMITTED = {Path("backends/operations.py"), Path("backends/sines.py")}  # go into emitted modules as they are


OWN = {Path("adapters/jax.py"), Path("adapters/sklearn.py"), Path("adapters/torch.py")}  # imported by nobody but who asks for them


def test_heavy_imports_are_lazy() -> None:
    """numba and the extras cost a second at start-up: emitted modules and functions import them."""
    wrong = [
        (str(path), module)
        for path, tree in trees()
        for node in tree.body
        for module in imports(ast.Module([node], []))
        if isinstance(node, ast.Import | ast.ImportFrom) and module.split(".")[0] in HEAVY
        if path not in EMITTED | OWN
    ]
    assert wrong == []


def test_user_text_is_never_executed() -> None:
    """A call that could run text: eval and its relatives, SymPy's string parsers, pickle, shells, computed names."""
    assert lint() == []


@pytest.mark.parametrize("line", ["eval(x)", "sp.sympify('x')", "sp.sympify(f'{x}')",
    "compile(x, '', 'exec')", "import pickle", "import ctypes",
    "subprocess.run(x, shell=True)", "np.load(x)", "np.load(x, allow_pickle=True)", "getattr(a, x)", "(a + b).format(x)",
    "os.system(x)", "sp.lambdify(x, y)", "__import__(x)", "from runpy import run_path"])  # fmt: skip
def test_the_lint_sees_what_runs_text(line: str) -> None:
    assert len(findings(ast.parse(line), "any.py")) == 1


def test_no_unsafe_fast_math() -> None:
    """fastmath=True lets nan and inf be optimised away."""
    assert [str(path) for path in FILES if "fastmath=True" in path.read_text(encoding="utf-8").replace(" ", "")] == []


@pytest.mark.parametrize("code", ["import symgrad", "import symgrad as sg; sg.derive(sg.parse('J = x^2')).latex()"])
def test_deriving_does_not_load_numba(code: str) -> None:
    """A second of start-up for printing a formula."""
    check = f"{code}; import sys; print(sorted(set(sys.modules) & {HEAVY!r}))"
    ran = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_modules_and_functions_are_short() -> None:
    """Two things in one room."""
    long = []
    for path, tree in trees():
        lines = (PACKAGE / path).read_text(encoding="utf-8").count("\n")
        long += [(str(path), lines)] if lines > 480 else []
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= 60:
                long.append((f"{path}:{node.name}", (node.end_lineno or 0) - node.lineno))
    assert long == []


def test_public_names_have_a_home() -> None:
    """A name that is promised and cannot be had, or that only a type checker sees."""
    import symgrad as sg

    assert sorted(sg._HOME) == sorted(sg.__all__)
    assert [name for name in sg.__all__ if not callable(getattr(sg, name))] == ["adapters", "distributed", "rates"]
    assert set(sg.__all__) <= set(dir(sg))
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    (known,) = [node for node in tree.body if isinstance(node, ast.If)]
    shown = {name.name: node.module for node in known.body if isinstance(node, ast.ImportFrom) for name in node.names}
    assert shown == sg._HOME | dict.fromkeys(sg._MODULES, "symgrad")  # a module is a name of its package


IMPORTED = "import symgrad as sg, sys; sg.compile(sg.parse('J = x^2')); print([m for m in sys.modules if m.startswith({!r})])"


@pytest.mark.parametrize("module", ["symgrad.printers", "symgrad.answers", "symgrad.train"])
def test_a_kernel_needs_no_printers(module: str) -> None:
    """Start-up that waits for what a compiled kernel does not use."""
    ran = subprocess.run([sys.executable, "-c", IMPORTED.format(module)], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
