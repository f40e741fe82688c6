"""The output gate: a module's text is parsed again before it is written or loaded, and holds what kernels need, else nothing is.

    whole statements of fixed texts    the checks, the search for BLAS, threads, tables: line by line as they stand there
    all the rest                       the kinds of nodes, names, calls, attributes and imports of the tables below

What a model decides stands in the rest: a name that slipped through the mangling, an equation that ends its comment or its
docstring, would be a node, a name or a call that no table has. That is a fault of symgrad's, not of the model's: `Unsafe` is
no SymgradError, and the command line exits with 70.

>>> passed("import numpy as np\\n\\ndef f(x):\\n    return np.exp(x)\\n")
>>> passed("import numpy as np\\n\\ndef f(x):\\n    return open(x)\\n")
Traceback (most recent call last):
symgrad.backends.gate.Unsafe: a module has a call of open in line 4, which no kernel needs
"""

from __future__ import annotations

import ast
import time
from collections.abc import Callable, Iterator
from functools import cache

from symgrad.backends import blas, checks, entry, joined, native, numba, numpy, saved, straight, threads, training
from symgrad.backends.vecmath import sines

# kind of node → its parts, apart from operators and contexts, of which all are harmless; no lambda, class, with, comprehension
NODES: dict[type[ast.AST], tuple[str, ...]] = {
    ast.FunctionDef: ("args", "body", "decorator_list", "returns"), ast.Return: ("value",), ast.Assign: ("targets", "value"),
    ast.AugAssign: ("target", "value"), ast.For: ("target", "iter", "body", "orelse"), ast.While: ("test", "body", "orelse"),
    ast.If: ("test", "body", "orelse"), ast.Expr: ("value",), ast.Try: ("body", "handlers", "orelse", "finalbody"),
    ast.Raise: ("exc", "cause"), ast.ExceptHandler: ("type", "body"), ast.Global: (), ast.Pass: (), ast.Import: (),
    ast.ImportFrom: (), ast.arguments: ("posonlyargs", "args", "vararg", "kwonlyargs", "kw_defaults", "kwarg", "defaults"),
    ast.arg: ("annotation",), ast.keyword: ("value",), ast.Slice: ("lower", "upper", "step"), ast.Starred: ("value",),
    ast.Name: (), ast.Constant: (), ast.Tuple: ("elts",), ast.List: ("elts",), ast.Set: ("elts",), ast.Dict: ("keys", "values"),
    ast.Subscript: ("value", "slice"), ast.Attribute: ("value",), ast.Call: ("func", "args", "keywords"),
    ast.BinOp: ("left", "right"), ast.UnaryOp: ("operand",), ast.BoolOp: ("values",), ast.Compare: ("left", "comparators"),
    ast.IfExp: ("test", "body", "orelse"),
}  # fmt: skip
TRIES = 20
OUTSIDE = (ast.FunctionDef, ast.Import, ast.ImportFrom)  # as statements of the module alone
CONSTANTS = (int, float, str, bool, type(None), type(...))
BUILTINS = {"range", "len", "min", "max", "abs", "int", "float", "type", "MemoryError", "ValueError"}
IMPORTED = {
    *(("", name) for name in ("math", "ctypes", "glob", "hashlib", "os", "sys", "_thread")), ("", "numpy as np"),
    ("numba", "njit"), ("numba", "types"), ("numba.core", "cgutils"), ("numba.core", "types"), ("numba.extending", "intrinsic"),
    ("numba.core.compiler", "Compiler"),
    ("llvmlite", "ir"), ("llvmlite", "binding"), ("typing", "Any"), ("__future__", "annotations"), ("collections.abc", "Mapping"),
    ("numpy.typing", "ArrayLike"), ("numpy.typing", "NDArray"),
    ("", "jax"), ("", "jax.numpy as jnp"), ("jax", "lax"), ("", "torch"),
}  # fmt: skip
LIBRARIES = ("jax", "torch")  # what a module that is for others imports first
# of what is imported, what the rest may read: the others are for the fixed texts
READ = {"np", "math", "njit", "jnp", "lax", "torch", "Mapping", "ArrayLike", "NDArray"}
TYPES = {"dict", "tuple", "str", "bool"}  # that stand in annotations, and are not called
DECORATORS = {("njit",), ("np", "errstate")}
MATH = {"erf", "erfc", "lgamma", "log", "pi", "sin", "tan"}
NUMPY = {
    *("float32", "float64", "int32", "int64", "dtype", "inf", "nan", "ndarray", "errstate", "vectorize"),
    *("abs", "sign", "exp", "expm1", "log", "log1p", "sqrt", "floor", "ceil", "where", "positive", "isfinite", "clip"),
    *("sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh"),
    *("rint", "logaddexp"),
    *("maximum", "minimum", "max", "min", "sum", "prod", "argmax", "argmin", "einsum", "add"),
    *("zeros", "empty", "full", "arange", "asarray", "ascontiguousarray", "broadcast_to", "shape"),
}  # fmt: skip
# of libraries that differentiate, beyond NumPy's
LAX = {"scan", "stop_gradient", "logistic", "erf", "erfc", "lgamma", "digamma"}
TORCH = {"atleast_1d", "argmax", "argmin", "amax", "prod", "broadcast_to"}
MODULES = {"np": NUMPY, "math": MATH, "jnp": NUMPY, "lax": LAX, "torch": NUMPY | TORCH}
# of arrays, of their types and flags, and of the table of what is kept
ATTRIBUTES = {
    "shape",
    "reshape",
    "view",
    "astype",
    "dtype",
    "ndim",
    "flags",
    "carray",
    "T",
    "copy",
    "transpose",
    "pop",
    "at",
    "add",
    "set",
    "permute",
    "clone",
    "to",
}
# arguments and results of entry points, which call no function for matrices of that name
HIDE = {"_rows", "_sizes"}


class Unsafe(RuntimeError):
    """A fault of symgrad: text that it made and will neither write nor load."""


def passed(text: str) -> None:
    """Nothing, or `Unsafe` with what is wrong and where. Linear in the text."""
    try:
        tree = parsed(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Unsafe(f"a module cannot be parsed: {error}") from None
    own, lines, known = _defined(tree.body), text.split("\n"), fixed()
    if any(isinstance(node, ast.Import) and node.names[0].name in LIBRARIES for node in tree.body):
        known |= fixed_of_exports()
    for node in tree.body:
        if not _is_fixed(node, lines, known) and (wrong := next(_wrong(node, own), None)):
            raise Unsafe(f"a module has {wrong[1]} in line {wrong[0]}, which no kernel needs")


def parsed(text: str) -> ast.Module:
    """The tree. Python 3.11 counts how deep it is in one place for all threads, and errs where two of them parse at a time."""
    for _ in range(TRIES):
        try:
            return ast.parse(text)
        except SystemError:
            time.sleep(0.001)
    return ast.parse(text)


@cache
def fixed() -> frozenset[str]:
    """The statements of the texts that are the same in every module with them, for either type of numbers."""
    texts = [checks.CHECKS, entry.COMPILED, entry.CACHED, entry.KEPT, threads.SUPPORT, native.SUPPORT, straight.own_text()]
    texts += [numba.APART, training.SHUFFLE, saved.SUPPORT, saved.VERSION, joined.SUPPORT, sines(), *numpy.OWN.values()]
    texts += [blas.support("_gemm(", dtype) for dtype in ("float32", "float64")]
    return _statements(texts)


@cache
def fixed_of_exports() -> frozenset[str]:
    """The same of modules for JAX and PyTorch, whose backends most programs never load."""
    from symgrad.backends import jax, pure, torch

    libraries = (jax.LIBRARY, torch.LIBRARY)
    return _statements([text for each in libraries for text in (*pure.checks(each), *pure.definitions(each).values())])


def _statements(texts: list[str]) -> frozenset[str]:
    return frozenset(_lines(node, text.split("\n")) for text in texts for node in parsed(text).body)


def _is_fixed(node: ast.stmt, lines: list[str], known: frozenset[str]) -> bool:
    """The same lines are the same statement: it starts with the first of them and ends with the last."""
    return isinstance(node, ast.FunctionDef | ast.ClassDef | ast.ImportFrom | ast.Assign) and _lines(node, lines) in known


def _lines(node: ast.stmt, lines: list[str]) -> str:
    first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
    return "\n".join(lines[first - 1 : node.end_lineno])


def _defined(body: list[ast.stmt]) -> frozenset[str]:
    """The functions, classes and settings of the module itself: what may be called by name, and no argument may hide."""
    found: set[str] = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {part.id for target in node.targets for part in ast.walk(target) if isinstance(part, ast.Name)}
    return frozenset(found)


def _walk(root: ast.AST) -> Iterator[ast.AST]:
    """The nodes that a table names the parts of; another kind itself, without its parts."""
    stack: list[ast.AST] = [root]
    while stack:
        node = stack.pop()
        yield node
        for part in NODES.get(type(node), ()):
            value = getattr(node, part)
            if isinstance(value, list):
                stack.extend(each for each in value if each is not None)
            elif value is not None:
                stack.append(value)


def _wrong(root: ast.stmt, own: frozenset[str]) -> Iterator[tuple[int, str]]:
    """(line, what) of what no table has."""
    nodes = list(_walk(root))
    changed = {name for node in nodes if isinstance(node, ast.Global) for name in node.names}
    bound = {_binds(node) for node in nodes} - changed if isinstance(root, ast.FunctionDef) else set()
    for node in nodes:
        check = RULES.get(type(node))
        if type(node) not in NODES or (isinstance(node, OUTSIDE) and node is not root and not _is_step(node)):
            what: str | None = f"a {type(node).__name__}"
        else:
            what = check(node, own, bound) if check else None
        if what:
            yield getattr(node, "lineno", root.lineno), what


def _is_step(node: ast.AST) -> bool:
    """A step of a recurrence, which is a function inside of its kernel."""
    return isinstance(node, ast.FunctionDef) and node.name.startswith("_step_") and not node.decorator_list


def _binds(node: ast.AST) -> str | None:
    if isinstance(node, ast.FunctionDef) and _is_step(node):
        return node.name
    if isinstance(node, ast.arg):
        return node.arg
    return node.id if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) else None


def _name(node: ast.Name, own: frozenset[str], bound: set[str | None]) -> str | None:
    name = node.id
    if not isinstance(node.ctx, ast.Load):
        return _binding(name, own, bound)
    return None if name in bound or name in own or name in BUILTINS | READ | TYPES else f"the name {name!r}"


def _argument(node: ast.arg, own: frozenset[str], bound: set[str | None]) -> str | None:
    return _binding(node.arg, own, bound)


def _binding(name: str, own: frozenset[str], bound: set[str | None]) -> str | None:
    hides = name in bound and name in own and name not in HIDE
    return None if _free(name) and not hides else f"a value for {name!r}"


def _free(name: str) -> bool:
    """A name that a module may bind."""
    plain = name.isascii() and ("__" not in name or name == "__")  # which stands for a model's _
    return plain and name not in BUILTINS | READ | TYPES


def _call(node: ast.Call, own: frozenset[str], bound: set[str | None]) -> str | None:
    function = node.func
    if isinstance(function, ast.Attribute):
        return None
    if not isinstance(function, ast.Name):
        return f"a call of a {type(function).__name__}"
    if function.id == "type" and (len(node.args) != 1 or node.keywords):
        return "a class made by a call"
    known = function.id in own or function.id in BUILTINS or function.id == "njit"
    return None if known and function.id not in bound else f"a call of {function.id}"


def _attribute(node: ast.Attribute, own: frozenset[str], bound: set[str | None]) -> str | None:
    base = node.value.id if isinstance(node.value, ast.Name) else ""
    known = MODULES.get(base, ATTRIBUTES)
    return None if node.attr in known else f"the attribute {node.attr!r}"


def _constant(node: ast.Constant, own: frozenset[str], bound: set[str | None]) -> str | None:
    return None if type(node.value) in CONSTANTS else f"a constant {node.value!r}"


def _unused(node: ast.Expr, own: frozenset[str], bound: set[str | None]) -> str | None:
    value = node.value
    text = isinstance(value, ast.Constant) and isinstance(value.value, str)
    return None if text or isinstance(value, ast.Call) else "a value that is not used"


def _import(node: ast.Import | ast.ImportFrom, own: frozenset[str], bound: set[str | None]) -> str | None:
    module = node.module or "." if isinstance(node, ast.ImportFrom) else ""
    wrong = [ast.unparse(name) for name in node.names if (module, ast.unparse(name)) not in IMPORTED]
    return f"an import of {wrong[0]}" if wrong else None


def _function(node: ast.FunctionDef, own: frozenset[str], bound: set[str | None]) -> str | None:
    known = all(
        isinstance(each, ast.Call) and tuple(ast.unparse(each.func).split(".")) in DECORATORS for each in node.decorator_list
    )
    return None if known and _free(node.name) else f"a function {node.name!r}"


RULES: dict[type[ast.AST], Callable[..., str | None]] = {
    ast.Name: _name, ast.arg: _argument, ast.Call: _call, ast.Attribute: _attribute, ast.Constant: _constant,
    ast.Expr: _unused, ast.Import: _import, ast.ImportFrom: _import, ast.FunctionDef: _function,
}  # fmt: skip
