"""Exports to JAX, PyTorch and C: every model against the oracle, derivatives of what is exported, what is refused, what is written.

SYMGRAD_PROGRAMS=2000 exports more random programs, and every model to JAX.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.backends import c
from symgrad.backends.ctext import c_name, comment
from symgrad.backends.pycode import python_name
from symgrad.core.evaluate import evaluate
from symgrad.kernel import Kernel
from tests.models import MODELS, random_arrays
from tests.program_checks import sample
from tests.random_programs import program as random_program
from tests.reference import adjoints, loss_of, reals
from tests.test_kernels import COMPILED, assert_close

BACKENDS = ("jax", "torch", "c")
COUNT = int(os.environ.get("SYMGRAD_PROGRAMS", "80")) // 40
WARNINGS = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror")
# compiled soon; what is compiled better computes the same
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


@pytest.fixture(autouse=True)
def _quickly_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c, "LEVEL", "-O0")


@cache
def needs(backend: str) -> Any:
    """The library, or the path of a C compiler; else the test is skipped."""
    if backend == "c":
        return shutil.which("cc") or pytest.skip("no C compiler is installed")
    return pytest.importorskip(backend)


@cache
def kernel(name: str, backend: str, dtype: str = "float64") -> Kernel:
    program = MODELS[name].program()
    return sg.compile(program, loss_of(program), wrt=reals(program), dtype=dtype, backend=backend)


@cache
def expected(name: str, dtype: str = "float64") -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Random arrays, all values and all slopes, of the oracle."""
    model = MODELS[name]
    program = model.program()
    given = random_arrays(program, np.random.default_rng(3), model.sizes, model.intervals)
    arrays = {n: np.asarray(a, dtype) if n in reals(program) else np.asarray(a) for n, a in given.items()}
    exact = {n: a.astype(float) if n in reals(program) else a for n, a in arrays.items()}
    return arrays, evaluate(program, exact), adjoints(program, exact, loss_of(program))


def entry(k: Kernel, name: str, arrays: Mapping[str, Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """A function of the module and the arrays that it takes, by Python's names."""
    function = getattr(k.module, name)
    return function, {python_name(n): arrays[n] for n in k._arguments(name)}


def run(k: Kernel, arrays: Mapping[str, Any]) -> tuple[Any, Any]:
    """What both entry points return; JAX compiles them together."""
    (gradient, given), (forward, more) = (entry(k, name, arrays) for name in ("value_and_grad", "forward"))
    if k.backend != "jax":
        return gradient(**given), forward(**more)
    jax = needs("jax")

    def both(given: Any, more: Any) -> Any:
        return gradient(**given), forward(**more)

    with jax.enable_x64(k.dtype == "float64"):
        return jax.jit(both).lower(given, more).compile(compiler_options=QUICK)(given, more)  # type: ignore[no-any-return]


def assert_right(k: Kernel, found: tuple[Any, Any], arrays: Mapping[str, Any], values: Any, slopes: Any, least: float) -> None:
    (loss, grads), forward = found
    assert_close(loss, values[k.loss], least)
    assert set(grads) == set(k.wrt)
    for name in k.wrt:
        assert str(grads[name].dtype).endswith(k.dtype)
        assert_close(grads[name], slopes[name] if name in slopes else np.zeros(np.shape(arrays[name])), least)
    assert set(forward) == set(k.program.defined)
    for name, value in forward.items():
        assert_close(value, values[name], least)


def assert_agrees(name: str, backend: str, dtype: str, least: float) -> None:
    k, (arrays, values, slopes) = kernel(name, backend, dtype), expected(name, dtype)
    assert_right(k, run(k, arrays), arrays, values, slopes, least)


# what XLA compiles costs a second: the suite has a model of each kind, as for numba
CASES = [(name, backend) for backend in BACKENDS for name in MODELS if backend != "jax" or COUNT > 2 or name in COMPILED]


@pytest.mark.parametrize(("name", "backend"), CASES)
def test_models(name: str, backend: str) -> None:
    """A wrong slice, einsum, scan, scatter, loop or cell in the text of an export."""
    needs(backend)
    assert_agrees(name, backend, "float64", 1e-11)


@pytest.mark.parametrize("name", ["S7", "recurrence"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_single_precision(name: str, backend: str) -> None:
    """A number that lifts float32 to float64, or a function of the other type."""
    needs(backend)
    assert_agrees(name, backend, "float32", 1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_random_programs(backend: str) -> None:
    """Whatever goes wrong for a form that no model of the table has."""
    needs(backend)
    for seed in range(COUNT):
        program = sg.parse(random_program(seed, most=3).text())
        arrays = {n: np.asarray(a, float) if n in reals(program) else a for n, a in sample(program, seed).items()}
        one, two = (sg.compile(program, loss_of(program), wrt=reals(program), backend=b) for b in ("numpy", backend))
        ((loss, slopes), values), found = run(one, arrays), run(two, arrays)
        assert float(loss) == values[one.loss]
        assert_right(two, found, arrays, values, slopes, 1e-9)


def test_c_compiles_without_a_warning(tmp_path: Path) -> None:
    """A local that nobody uses, a comparison of signs, a header that does not stand alone, a name of the library."""
    compiler = needs("c")
    for place, name in enumerate([*MODELS][::3]):
        kernel(name, "c").save(tmp_path / f"net_{place}.c")
    sources = sorted(path.name for path in tmp_path.glob("*.c"))
    done = subprocess.run(
        [compiler, *WARNINGS, "-fsyntax-only", *sources], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    kernel("coupled recurrence", "c").save(tmp_path / "optimised.c")
    kernel("guards", "c", "float32").save(tmp_path / "single.c")
    command = [compiler, *WARNINGS, "-O2", "-c", "optimised.c", "single.c"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


PARTS = """
index n in 1..N, k in 1..K, d in 1..D
input x[n,d]; param m[k,d], w[k,d], r[n]
q[n,k] = sum((x[n,d] - m[k,d])^2*exp(w[k,d])/(1 + r[n]^2) for d)
J = sum(sin(q[n,k])*r[n]^2*cos(m[k,d]) for n, k, d)/3
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_sums_of_products_of_parts(backend: str) -> None:
    """A part that is computed over other loops than those of its letters, or left out, or taken twice."""
    needs(backend)
    program = sg.parse(PARTS)
    arrays = random_arrays(program, np.random.default_rng(5), {"N": 4, "K": 3, "D": 2}, {})
    k = sg.compile(program, wrt=reals(program), backend=backend)
    assert_right(k, run(k, arrays), arrays, evaluate(program, arrays), adjoints(program, arrays, "J"), 1e-12)
    contracted = {line.split()[0] for line in k.source.split("\n") if "einsum" in line}
    assert {"q", "J_sum", "x_bar", "w_bar"} <= contracted


MAIN = """
#include <stdio.h>
#include "net.h"

int main(void)
{
    const double E[6] = {1.0, 2.0, 3.0, 4.0, 5.0, 6.0};
    const int64_t right[2] = {3, 1}, wrong[2] = {3, 4};
    double J = 0.0, E_bar[6];
    int code = net_value_and_grad(2, 3, 2, right, E, &J, E_bar);
    printf("%d %g %g %g\\n", code, J, E_bar[0], E_bar[2]);
    printf("%d\\n", net_value_and_grad(2, 3, 2, wrong, E, &J, E_bar) == NET_OUTSIDE);
    printf("%d\\n", net_value_and_grad(-1, 3, 2, right, E, &J, E_bar) == NET_TOO_SMALL);
    return 0;
}
"""
GATHER = "index t in 1..T, v in 1..V, d in 1..D; input w[t] in 1..V; param E[v,d]; J = sum(E[w[t],d]^2 for t, d)"


def test_c_is_called_from_c(tmp_path: Path) -> None:
    """A header that says something else than the function does; a code that is not returned."""
    compiler = needs("c")
    sg.compile(sg.parse(GATHER), backend="c").save(tmp_path / "net.c")
    (tmp_path / "main.c").write_text(MAIN)
    subprocess.run([compiler, *WARNINGS, "-o", "main", "main.c", "net.c", "-lm"], cwd=tmp_path, check=True)
    ran = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["0", "66", "2", "0", "1", "1"]


CLASHES = "input double[j0], pow[j0]; J = sum(double[j0]*tanh(pow[j0]^1.5) for j0)*y0 + NAN*sg_fill + work + fabs^2 + errno*main"


def test_names_of_c_are_plain_names() -> None:
    """A keyword, a function of libm, a macro, or a name of the emitted text."""
    needs("c")
    program = sg.parse(CLASHES)
    arrays = random_arrays(program, np.random.default_rng(0))
    k = sg.compile(program, wrt=program.free, backend="c")
    loss, grads = k(**arrays)
    assert_close(loss, evaluate(program, arrays)["J"], 1e-14)
    assert set(grads) == set(program.free)
    assert c_name("exp") == "exp_"
    assert "*/" not in comment("a */ b \\")[:-2]


@pytest.mark.parametrize("backend", BACKENDS)
def test_functions_at_hard_places(backend: str) -> None:
    """A helper that loses digits, or that is another function left of 0."""
    needs(backend)
    names = [*("erf", "erfc", "lgamma", "digamma", "trigamma", "log1p", "expm1", "softplus"),
             *("logistic", "gelu", "silu", "elu", "selu", "sech", "tanh")]  # fmt: skip
    text = "; ".join(f"f_{n}[i] = {n}(x[i])" for n in names)
    program = sg.parse(f"index i in 1..N; input x[i]; {text}; J = {' + '.join(f'sum(f_{n}[i] for i)' for n in names)}")
    x = np.array([-0.7, -0.3, 1e-3, 0.4, 1.0, 3.5, 20.0])
    k = sg.compile(program, "J", wrt=["x"], backend=backend)
    arrays, exact = {"x": x}, evaluate(program, {"x": x})
    (_, grads), found = run(k, arrays)
    for name in names:
        wanted = exact[f"f_{name}"].astype(float)
        assert (np.abs(np.asarray(found[f"f_{name}"]) - wanted) <= 1e-12 * np.abs(wanted) + 1e-15).all(), name
    assert_close(grads["x"], adjoints(program, arrays, "J")["x"], 1e-12)


# derivatives of what is exported

SMOOTH = ("logsumexp", "recurrence", "functions")


def second(name: str, dtype: str = "float64") -> tuple[Kernel, dict[str, Any], dict[str, Any], list[str]]:
    """A kernel, what is varied and what is not, by Python's names, and the names of what is varied."""
    program = MODELS[name].program()
    arrays, k = expected(name, dtype)[0], kernel(name, "jax", dtype)
    _, given = entry(k, "value_and_grad", arrays)
    varied = [n for n in reals(program) if python_name(n) in given]
    moved = {python_name(n): given[python_name(n)] for n in varied}
    return k, moved, {n: a for n, a in given.items() if n not in moved}, varied


@pytest.mark.parametrize("name", SMOOTH)
def test_jax_differentiates_again(name: str) -> None:
    """A gradient that JAX has no derivative of, or a wrong one: Hessian times vector by JAX's forward mode is symgrad's."""
    jax = needs("jax")
    k, moved, fixed, varied = second(name)
    direction = {n: np.random.default_rng(5).normal(size=np.shape(a)) for n, a in moved.items()}

    def grads(moved: Any) -> Any:
        found = k.module.value_and_grad(**moved, **fixed)[1]
        return {python_name(n): found[n] for n in varied}

    def value(moved: Any) -> Any:
        return k.module.value_and_grad(**moved, **fixed)[0]

    def products(moved: Any) -> Any:
        forward = jax.jvp(grads, (moved,), (direction,))[1]
        return forward, jax.jvp(jax.grad(value), (moved,), (direction,))[1], jax.grad(value)(moved), grads(moved)

    with jax.enable_x64(True):
        of_grads, of_value, slopes, own = jax.jit(products).lower(moved).compile(compiler_options=QUICK)(moved)
    step, wanted = 1e-5, {}
    numpy = kernel(name, "numpy")
    for sign in (1, -1):
        there = {n: moved[n] + sign * step * direction[n] for n in moved}
        found = numpy.module.value_and_grad(**there, **fixed)[1]
        wanted = {n: wanted.get(n, 0) + sign * found[n] / (2 * step) for n in varied}
    for n in varied:
        assert_close(of_grads[python_name(n)], of_value[python_name(n)], 1e-10)
        assert_close(of_grads[python_name(n)], wanted[n], 1e-7)
        assert_close(own[python_name(n)], slopes[python_name(n)], 1e-11)


def test_jax_hessian_is_symgrads() -> None:
    """jax.jacrev of an exported gradient and the Hessian that symgrad derives."""
    jax = needs("jax")
    program = sg.parse("index i in 1..N; param w[i]; J = log(sum(exp(w[i]^2) for i)) + tanh(w[1])*w[2]")
    w = np.array([0.3, -0.2, 0.7])
    wanted = sg.hessian(program, "J", wrt=["w"]).compile(backend="numpy")(w=w)[1]
    k = sg.compile(program, wrt=["w"], backend="jax")
    with jax.enable_x64(True):
        found = jax.jit(jax.jacrev(lambda w: k.module.value_and_grad(w=w)[1]["w"]))(w)
    assert_close(found, next(iter(wanted.values())), 1e-13)


TIES = """
index i in 1..N; param x[i], u
m = max(x[i] for i)
y = relu(u) + abs(u) + leaky_relu(u, 0.1) + elu(u) + max(u, 2*u) + min(3*u, u) + clip(u, 0, 1) + softplus(u) + sech(u) + silu(u)
J = m^2 + min(x[i] for i) + y + sqrt(sum((x[i] - x[i])^2 for i)) + 0*sinc(u) + logsumexp(x[i] for i)
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_slopes_at_ties_are_those_of_symgrad(backend: str) -> None:
    """A maximum of which every tie has a share, a slope at 0 that is the mean of both sides: differentiating J again shows them."""
    needs(backend)
    program = sg.parse(TIES.replace("sinc(u)", "u"))
    k = sg.compile(program, wrt=["x", "u"], backend=backend)
    given = {"x": np.array([0.5, 0.5, -1.0, -1.0]), "u": np.array(0.0)}
    wanted = sg.compile(program, wrt=["x", "u"], backend="numpy")(**given)[1]
    found = _slopes(k, given)
    for name in given:
        assert_close(found[name], wanted[name], 1e-12)


def test_a_branch_that_is_not_taken_has_no_slope() -> None:
    """0 times the infinite slope of the other branch, which is nan."""
    text = "input x[i]; J = sum(where(x[i] > 0, sqrt(x[i])*log(x[i]) + 1/x[i] + x[i]^0.3, exp(-1000*x[i]*0)) for i)"
    for backend in ("jax", "torch"):
        needs(backend)
        k = sg.compile(sg.parse(text), wrt=["x"], backend=backend)
        found = _slopes(k, {"x": np.array([0.0, -2.0, 0.5])})["x"]
        assert np.isfinite(found).all()
        assert_close(found, sg.compile(sg.parse(text), wrt=["x"], backend="numpy")(x=np.array([0.0, -2.0, 0.5]))[1]["x"], 1e-12)


def _slopes(k: Kernel, given: Mapping[str, Any]) -> dict[str, Any]:
    """The derivatives of the exported loss by the library itself."""
    if k.backend == "jax":
        jax = needs("jax")
        with jax.enable_x64(True):
            return jax.jit(jax.grad(lambda given: k.module.value_and_grad(**given)[0]))(given)  # type: ignore[no-any-return]
    torch = needs("torch")
    tensors = {n: torch.tensor(a, requires_grad=True) for n, a in given.items()}
    k.module.value_and_grad(**tensors)[0].backward()
    return {n: tensor.grad.numpy() for n, tensor in tensors.items()}


@pytest.mark.parametrize("name", ["S7", "parts"])
def test_jax_maps_over_examples(name: str) -> None:
    """A kernel that mixes examples under vmap."""
    jax = needs("jax")
    k, moved, fixed, varied = second(name)
    rows = {n: np.stack([a, 0.5 * a, -a]) for n, a in moved.items()}
    with jax.enable_x64(True):
        found = jax.jit(jax.vmap(lambda moved: k.module.value_and_grad(**moved, **fixed)))(rows)
        one = k.module.value_and_grad(**{n: a[1] for n, a in rows.items()}, **fixed)
    assert_close(found[0][1], one[0], 1e-12)
    for n in varied:
        assert_close(found[1][n][1], one[1][n], 1e-12)


def test_a_recurrence_is_sharded() -> None:
    """Steps that carry what does not vary over a mesh, from which what does is made: shard_map refuses them."""
    jax = needs("jax")
    k = kernel("recurrence", "jax", "float32")
    given = {n: np.ones((2,) * len(k.program.tensors[n].axes), np.float32) for n in k._arguments("value_and_grad")}
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("rows",))
    rows, whole = jax.sharding.PartitionSpec("rows"), jax.sharding.PartitionSpec()

    def part(x: Any, others: Any) -> Any:
        return jax.lax.pmean(k.module.value_and_grad(x=x[0], **others)[0], "rows")

    others = {n: a for n, a in given.items() if n != "x"}
    found = jax.shard_map(part, mesh=mesh, in_specs=(rows, whole), out_specs=whole)(given["x"][None], others)
    assert_close(found, kernel("recurrence", "numpy", "float32")(**given)[0], 1e-6)


@pytest.mark.parametrize("name", ["logsumexp", "recurrence", "parts", "pick"])
def test_autograd_goes_through(name: str) -> None:
    """A tensor that autograd lost, or that was changed after it was kept: torch's own checks of two derivatives."""
    torch = needs("torch")
    k = kernel(name, "torch")
    _, given = entry(k, "value_and_grad", expected(name)[0])
    real = [n for n in given if given[n].dtype == float]
    tensors = [torch.tensor(given[n], requires_grad=True) for n in real]
    fixed = {n: torch.tensor(a) for n, a in given.items() if n not in real}

    def loss(*tensors: Any) -> Any:
        return k.module.value_and_grad(**dict(zip(real, tensors, strict=True)), **fixed)[0]

    def total(*tensors: Any) -> Any:
        grads = k.module.value_and_grad(**dict(zip(real, tensors, strict=True)), **fixed)[1]
        return sum((g**2).sum() for g in grads.values())

    assert torch.autograd.gradcheck(loss, tensors, fast_mode=True)
    assert torch.autograd.gradgradcheck(loss, tensors, fast_mode=True)
    assert torch.autograd.gradcheck(total, tensors, fast_mode=True)


# what is refused, and what is written

REFUSED = {
    "rank": ({"w": np.ones((2, 2))}, "SG602"),
    "rows": ({"w": [[1.0], [1.0, 2.0]]}, "SG602"),
    "shape": ({"w": np.ones(3)}, "SG604"),
    "complex": ({"w": np.ones(2) * 1j}, "SG603"),
    "missing": ({"w": None}, "SG601"),
    "unknown": ({"v": 1.0}, "SG601"),
    "outside": ({"k": np.array([1, 3])}, "SG605"),
    "real index": ({"k": np.array([1.0, 2.0])}, "SG603"),
}


@pytest.mark.parametrize(("change", "code"), REFUSED.values(), ids=list(REFUSED))
@pytest.mark.parametrize("backend", BACKENDS)
def test_arrays_are_checked(change: dict[str, Any], code: str, backend: str) -> None:
    """A wrong array that reaches a kernel, or an error of the library's instead of symgrad's."""
    library = needs(backend)
    program = sg.parse("index i in 1..N; input w[i], x[i], k[t] in 1..N; J = sum(w[i]*x[i] for i)^2 + sum(x[k[t]] for t)")
    k = sg.compile(program, wrt=["w"], backend=backend)
    arrays = {"w": np.ones(2), "x": np.ones(2), "k": np.array([1, 2]), **change}
    setting = library.enable_x64(True) if backend == "jax" else contextlib.nullcontext()
    with setting, pytest.raises(sg.SymgradError) as caught:
        k(**{n: a for n, a in arrays.items() if a is not None})
    assert caught.value.code == code


def test_float64_needs_jax_to_have_it() -> None:
    """Half of the digits lost in silence."""
    jax = needs("jax")
    k = sg.compile(sg.parse("J = x^2"), backend="jax")
    with jax.enable_x64(False):
        with pytest.raises(sg.SymgradError) as caught:
            k(x=1.0)
        assert caught.value.code == "SG207"
        assert float(sg.compile(sg.parse("J = x^2"), dtype="float32", backend="jax")(x=2.0)[0]) == 4.0


ALONE = """
import sys
for name in ("symgrad", "sympy", "numba"):
    sys.modules[name] = None
import net
loss, grads = net.value_and_grad(w=[1.0, 2.0], x=[3.0, 4.0])
print(float(loss), [float(g) for g in grads["w"]], float(net.forward(w=[1.0, 2.0], x=[3.0, 4.0])["J"]))
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_saved_modules_stand_alone(backend: str, tmp_path: Path) -> None:
    """A module that needs symgrad, or NumPy by name."""
    needs(backend)
    k = sg.compile(sg.parse("J = sum(w[i]*x[i] for i)^2"), wrt=["w"], dtype="float32", backend=backend)
    text = k.save(tmp_path / "net.py").read_text(encoding="utf-8")
    assert "numpy as np" not in text
    ran = subprocess.run([sys.executable, "-c", ALONE], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.stdout == "121.0 [66.0, 88.0] 121.0\n", ran.stderr


def test_exports_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """A header without its source, a file of the user's overwritten."""
    k = sg.compile(sg.parse("J = x^2"), backend="c")
    (tmp_path / "net.h").write_text("mine")
    with pytest.raises(sg.SymgradError) as caught:
        k.save(tmp_path / "net.c")
    assert caught.value.code == "SG701"
    assert not (tmp_path / "net.c").exists()
    k.save(tmp_path / "net.c", force=True)
    assert "int net_value_and_grad(double x, double *J, double *x_bar);" in (tmp_path / "net.h").read_text()
    assert '#include "net.h"' in (tmp_path / "net.c").read_text()
