"""What symgrad's own source must never call, since it could run a text that came from outside: found in the syntax trees.

>>> import ast
>>> [what for _, what in findings(ast.parse("import pickle; y = sympify('x'); z = eval(w)"), "any.py")]
['call of eval', 'call of sympify with text', 'import of pickle']
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "symgrad"
CALLS = {
    *("eval", "exec", "execfile", "parse_expr", "parse_latex", "lambdify", "__import__", "import_module", "run_path", "run_module"),
    *("system", "popen", "spawnl", "spawnv", "execv", "execve", "startfile", "interactive", "InteractiveInterpreter", "getoutput"),
}
SYMPIFY = {"sympify", "_sympify", "S", "simplify", "nsimplify", "N", "Poly", "solve"}  # each sympifies a text
MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "code", "codeop", "runpy", "imp", "pty"}
COMPUTED = "call of getattr with a computed name"
# (file, what): why that is no text from outside
ALLOWED = {
    ("__init__.py", "call of import_module"): "modules of the table of public names",
    ("__init__.py", COMPUTED): "names of that table",
    ("adapters/__init__.py", "call of import_module"): "modules of the table of adapters",
    ("answers/arrays.py", COMPUTED): "rows and columns",
    ("answers/report.py", COMPUTED): "fields of the report",
    ("backends/gate.py", COMPUTED): "fields of Python's own nodes",
    ("backends/module.py", COMPUTED): "the entry points",
    ("backends/native.py", COMPUTED): "the entry points, and the two types of numbers",
    ("backends/operations.py", COMPUTED): "add, sub, mul, div",
    ("backends/straight.py", COMPUTED): "functions of the table of functions",
    ("backends/numpy.py", "call of format on a computed text"): "a table of NumPy's reductions",
    ("commands/derive.py", COMPUTED): "names of options",
    ("commands/train.py", COMPUTED): "names of options",
    ("core/expr.py", COMPUTED): "SymPy's assumptions",
    ("core/program.py", COMPUTED): "fields of the program",
    ("data.py", COMPUTED): "data sets of a table",
    ("divergence.py", COMPUTED): "the entry points",
    ("kernel.py", COMPUTED): "the entry points",
    ("transform/collect.py", COMPUTED): "fields of a record",
}


def findings(tree: ast.AST, path: str) -> list[tuple[int, str]]:
    """(line, what), less what is allowed for that file."""
    own = {name.asname or name.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for name in node.names}
    own |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    calls = [(node.lineno, what) for node in ast.walk(tree) if isinstance(node, ast.stmt | ast.expr) for what in _of(node)]
    found = {(line, what) for line, what in calls if not (what == "call of compile" and "compile" in own)}
    return sorted(each for each in found if (path, each[1]) not in ALLOWED)


def lint() -> list[tuple[str, int, str]]:
    """All findings in the package."""
    return [
        (name, line, what)
        for path in sorted(PACKAGE.rglob("*.py"))
        for name in [path.relative_to(PACKAGE).as_posix()]
        for line, what in findings(ast.parse(path.read_text(encoding="utf-8")), name)
    ]


def _of(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            yield from (f"import of {name.name}" for name in names if name.name.split(".")[0] in {*MODULES, "ctypes"})
        case ast.ImportFrom(module=str(module)):
            if module.split(".")[0] in {*MODULES, "ctypes"}:
                yield f"import of {module}"
        case ast.Call():
            yield from _of_call(node)


def _of_call(node: ast.Call) -> Iterator[str]:
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    owner = node.func.value.id if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name) else ""
    first = node.args[0] if node.args else None
    if called in CALLS or (called == "compile" and isinstance(node.func, ast.Name)):
        yield f"call of {called}"
    if called in SYMPIFY and owner in ("sp", "sympy", "") and _is_text(first):
        yield f"call of {called} with text"
    if any(word.arg == "shell" and not _is(word.value, False) for word in node.keywords):
        yield "call with shell"
    if any(word.arg == "allow_pickle" and not _is(word.value, False) for word in node.keywords):
        yield "call with allow_pickle"
    if called == "load" and owner == "np" and not any(word.arg == "allow_pickle" for word in node.keywords):
        yield "call of np.load that may unpickle"
    if called in ("getattr", "setattr", "delattr") and isinstance(node.func, ast.Name) and not _is_fixed(node.args[1]):
        yield f"call of {called} with a computed name"
    if called == "format" and isinstance(node.func, ast.Attribute) and not owner and not _is_fixed(node.func.value):
        yield "call of format on a computed text"


def _is_text(node: ast.expr | None) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _is(node: ast.expr, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _is_fixed(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant)
