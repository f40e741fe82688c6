"""Modules that are saved and loaded: the kernel's numbers without symgrad, the same bytes everywhere, and edits that show."""

from __future__ import annotations

import importlib
import inspect
import itertools
import os
import re
import subprocess
import sys
import tomllib
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad import optimizers
from symgrad.backends import gate, saved, signed
from symgrad.cli import main
from symgrad.saving import saved_text
from tests.models import MODELS
from tests.plain_python import import_text, module_of

LAYER = """
index i in 1..M, j in 1..D
input x[i], y^*
param lambda[j,i], c
J = (sum(tanh(sum(lambda[j,i]*x[i] for i)) for j) + c - y^*)^2
minimize J
"""
NETWORK = LAYER.replace("lambda", "alpha")
RULES = [rule() for rule in optimizers.ALL] + [sg.SGD("0.1/(1 + t/10)")]
random = np.random.default_rng(1)
DATA = {"x": random.normal(size=(13, 3)), "y_star": random.normal(size=13)}
START = {"alpha": random.normal(size=(4, 3)), "c": 0.5}


def kernel(text: str = NETWORK, backend: str = "numpy", **options: Any) -> Any:
    return sg.compile(sg.parse(text), batch=["x", "y_star"], backend=backend, **options)


def same(one: Any, other: Any) -> None:
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], strict=True)


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(sg.SymgradError) as caught:
        call()
    return caught.value.code


# what it computes


@pytest.mark.parametrize("rule", RULES, ids=range(len(RULES)))
def test_training_is_the_kernels(rule: Any, tmp_path: Path) -> None:
    """Another order of rows, another step for single rows, a rate that is not passed on."""
    k = kernel()
    net = import_text(tmp_path, saved_text(k, rule))
    for batch_size, shuffle in ((4, True), (1, True), (None, False)):
        wanted = k.fit(START, DATA, rule, 3, batch_size, shuffle, seed=7, progress=False)
        params, history = net.fit(START, DATA, epochs=3, batch_size=batch_size, shuffle=shuffle, seed=7)
        same(params, wanted.params)
        np.testing.assert_array_equal(history, wanted.history["J"], strict=True)
    state, params, losses = None, START, []
    for _ in range(3):
        loss, params, state = net.step(params, DATA, state)
        losses.append(loss)
    same(params, wanted.params)
    assert losses == list(wanted.history["J"])
    assert START["c"] == 0.5


def test_gradients_are_cut_as_the_kernel_cuts_them(tmp_path: Path) -> None:
    """A module that trains on whole gradients, or keeps the norm that it was saved with."""
    k = kernel()
    net = sg.load(k.save(tmp_path / "net.py", optimizer=sg.Momentum(0.1), clip_norm=0.3, clip_value=0.2))
    for cuts in ({}, {"clip_norm": 0.05}):
        wanted = k.fit(START, DATA, sg.Momentum(0.1), 3, 4, progress=False, **{"clip_norm": 0.3, "clip_value": 0.2, **cuts})
        same(net.fit(START, DATA, epochs=3, batch_size=4, progress=False, **cuts).params, wanted.params)
    assert "each cell cut to clip_value at most, all scaled to a norm of clip_norm at most" in net.source
    plain = sg.load(k.save(tmp_path / "plain.py"))
    assert refused(lambda: plain.fit(START, DATA, clip_norm=1.0)) == "SG713"
    assert refused(lambda: k.save(tmp_path / "none.py", clip_norm=-1.0)) == "SG608"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_nothing_is_trained_by_batches_where_there_are_no_rows(dtype: str, tmp_path: Path) -> None:
    k = sg.compile(sg.parse("param w[i]; input x[i]; J = sum((w[i]*x[i] - 1)^2 for i); maximize J"), backend="numpy", dtype=dtype)
    start, data = {"w": np.ones(3)}, {"x": np.array([1, 2, 3])}
    params, history = import_text(tmp_path, saved_text(k)).fit(start, data, epochs=4, learning_rate=0.001)
    wanted = k.fit(start, data, sg.SGD(0.001), epochs=4, progress=False)
    same(params, wanted.params)
    np.testing.assert_array_equal(history, wanted.history["J"])


ALONE = """
import sys
sys.modules["symgrad"] = sys.modules["sympy"] = None
import numpy as np
import net
with np.load("given.npz") as given:
    arrays = dict(given)
data = {"x": arrays["x"], "y_star": arrays["y_star"]}
params = {"alpha": arrays["alpha"], "c": arrays["c"]}
J, grads = net.value_and_grad(**arrays)
rows, history = net.fit(params, data, epochs=2, batch_size=5, seed=3)
np.savez("found.npz", J=J, grad=grads["alpha"], history=history, **rows)
"""


def test_it_stands_alone(tmp_path: Path) -> None:
    """A module that imports more than numpy and numba, or computes something else.

    The last digits may differ: LLVM adds in an order that changes from one compilation of a text to the next.
    """
    k = kernel(backend="numba")
    k.save(tmp_path / "net.py", optimizer=sg.Adam(0.01))
    np.savez(tmp_path / "given.npz", **DATA, **START)
    ran = subprocess.run([sys.executable, "-W", "error", "-c", ALONE], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    J, grads = k(**DATA, **START)
    rows = k.fit(START, DATA, sg.Adam(0.01), epochs=2, batch_size=5, seed=3, progress=False)
    with np.load(tmp_path / "found.npz") as found:
        pairs = [(found["J"], J), (found["grad"], grads["alpha"]), (found["history"], rows.history["J"])]
        for one, other in [*pairs, *((found[name], rows.params[name]) for name in START)]:
            np.testing.assert_allclose(one, other, rtol=1e-12, strict=True)


# what stands in it


def test_people_can_read_it(tmp_path: Path) -> None:
    net = import_text(tmp_path, saved_text(kernel(LAYER), sg.Adam(0.01)))
    assert net.__doc__ is not None
    shown = sg.derive(sg.parse(LAYER), wrt=["lambda", "c"]).text()
    for part in (shown, "lambda_  parameter  float64  (D, M)", "x        input      float64  (N, M)", "theta_next = theta - eta*"):
        assert part in net.__doc__
    hints = typing.get_type_hints(net.value_and_grad, vars(net))
    array = np.ndarray[tuple[Any, ...], np.dtype[np.float64]]
    assert hints == {
        "x": array, "y_star": array, "lambda_": array, "c": float, "return": tuple[np.float64, dict[str, array | np.float64]],
    }  # fmt: skip
    for name in ("forward", "step", "fit"):
        assert set(typing.get_type_hints(getattr(net, name), vars(net))) == {
            *inspect.signature(getattr(net, name)).parameters,
            "return",
        }
    assert inspect.signature(net.fit).parameters["learning_rate"].default == 0.01


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_types_are_those_of_the_results(backend: str, tmp_path: Path) -> None:
    """Places of an argmax, which are whole numbers in some results and not in others."""
    text = (
        "input w[t] in 1..2; param E[v]; k = argmax(E[v] for v); p[t] = argmax(E[v]*t for v); J = sum(E[w[t]]^2 for t); minimize J"
    )
    k = sg.compile(sg.parse(text), backend=backend)
    doc = sg.load(k.save(tmp_path / "net.py")).module.__doc__ or ""
    rows = dict(re.findall(r"^    (\w+) +forward +(\w+) ", doc, re.MULTILINE))
    assert rows == {name: str(value.dtype) for name, value in k.forward(w=[1, 2, 1], E=[3.0, 4.0]).items()}
    assert re.search(r"^    w +input +int64 in 1\.\.2 +\(\|t\|,\)", doc, re.MULTILINE)


BYTES = """
import hashlib, sys
import symgrad as sg
from symgrad.cli import main
from symgrad.saving import saved_text
from tests.models import MODELS
for name in ("S7", "attention"):
    for backend in ("numba", "numpy"):
        text = saved_text(sg.compile(MODELS[name].program(), "J", backend=backend), sg.AdamW())
        print(hashlib.sha256(text.encode()).hexdigest())
"""


def test_the_same_bytes_in_every_process() -> None:
    """A text that depends on the order of a set."""
    runs = [
        subprocess.run(
            [sys.executable, "-c", BYTES], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert len(set(runs[0].split())) == 4


@pytest.mark.parametrize(("name", "backend"), [*itertools.product([*MODELS][::10], ["numpy", "numba"])])
def test_modules_pass_the_gate(name: str, backend: str) -> None:
    text = saved_text(sg.compile(MODELS[name].program(), backend=backend))
    gate.passed(text)
    assert signed.is_unchanged(text)


@pytest.mark.parametrize("name", ["step", "fit", "dict", "tuple", "bool", "NDArray", "Mapping", "ArrayLike", "params", "data"])
def test_names_that_a_module_uses(name: str, tmp_path: Path) -> None:
    """A quantity that hides a function of the module, which the gate would take for an attack."""
    k = sg.compile(sg.parse(f"param {name}; input x; J = ({name}*x - 1)^2"), backend="numpy")
    net = import_text(tmp_path, saved_text(k))
    params, _ = net.fit({name: 0.5}, {"x": 1.0}, epochs=1, learning_rate=0.25)
    assert params[name] == 0.75


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda: sg.jacobian(sg.parse("y[i] = x[i]^2"), "y", "x").compile(backend="numpy"), "this is no gradient of a loss"),
        (lambda: sg.compile(sg.parse("h[0] = 0; h[t] = sin(w*h[t-1]) for t in 1..9; J = h[9]"), backend="numpy", checkpoint=True),
         "a kernel with checkpoint= does not train"),
        (lambda: sg.compile(sg.parse("input x[i]; J = sum(x[i]^2 for i)"), batch=["x"], backend="numpy"), "batched data are not"),
    ],
)  # fmt: skip
def test_what_does_not_train_is_saved_without(made: Callable[[], Any], why: str, tmp_path: Path) -> None:
    path = made().save(tmp_path / "net.py")
    net = sg.load(path)
    assert why in (net.module.__doc__ or "")
    assert refused(lambda: net.fit({}, {})) == "SG713"
    assert refused(lambda: made().save(tmp_path / "other.py", optimizer=sg.Adam())) == "SG713"
    assert [each.name for each in tmp_path.glob("*.py")] == ["net.py"]


# what goes wrong


def test_wrong_data_are_told(tmp_path: Path) -> None:
    net = import_text(tmp_path, saved_text(kernel()))
    for call, code in (
        (lambda: net.fit(START, {"x": DATA["x"]}), "SG601"),
        (lambda: net.fit({**START, "z": 1.0}, DATA), "SG601"),
        (lambda: net.fit(START, None), "SG601"),
        (lambda: net.fit({**START, "c": np.ones(2)}, DATA), "SG602"),
        (lambda: net.fit(START, {**DATA, "x": np.ones((12, 3))}), "SG604"),
        (lambda: net.fit(START, {"x": np.ones((0, 3)), "y_star": np.ones(0)}), "SG606"),
        (lambda: net.fit(START, DATA, epochs=-1), "SG608"),
        (lambda: net.fit(START, DATA, epochs=10**15), "SG508"),
        (lambda: net.fit(START, DATA, epochs=10**30), "SG508"),
        (lambda: net.fit(START, DATA, batch_size=0), "SG608"),
        (lambda: net.fit(START, DATA, learning_rate=float("nan")), "SG608"),
        (lambda: net.step(START, DATA, {}), "SG601"),
        (lambda: net.step(START, DATA, {"t": "now"}), "SG608"),
    ):
        with pytest.raises(net.DataError) as caught:
            call()
        assert caught.value.code == code


def test_a_state_of_another_shape(tmp_path: Path) -> None:
    net = import_text(tmp_path, saved_text(kernel(), sg.Momentum()))
    _, _, state = net.step(START, DATA)
    with pytest.raises(net.DataError, match=r"alpha_v has shape \(2, 2\), but the state needs \(4, 3\)"):
        net.step(START, DATA, {**state, "alpha_v": np.ones((2, 2))})


def test_what_is_not_finite_breaks_off(tmp_path: Path) -> None:
    """Parameters of a step too far; those before it are the kernel's."""
    k = kernel()
    data = {**DATA, "x": np.where(np.arange(13)[:, None] == 8, np.nan, DATA["x"])}
    with pytest.raises(sg.Diverged) as wanted:
        k.fit(START, data, sg.SGD(0.01), batch_size=2, shuffle=False, progress=False)
    net = sg.load(k.save(tmp_path / "net.py", optimizer=sg.SGD(0.01)))
    with pytest.raises(sg.Diverged, match=r"step 5 \(epoch 1\)") as found:
        net.fit(START, data, batch_size=2, shuffle=False, progress=False)
    same(found.value.params, wanted.value.params)
    with pytest.raises(net.module.DataError, match="step 1 "):
        net.module.step(START, data)


def test_ctrl_c_returns_what_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step half done, or nothing at all."""
    net = import_text(tmp_path, saved_text(kernel()))
    monkeypatch.setattr("time.perf_counter", itertools.count(0, 2).__next__)  # a copy after every piece

    def show(done: int, loss: float) -> None:
        if done == 3:
            raise KeyboardInterrupt

    params, history = net._fitted(START, DATA, 9, 4, True, 0, {"learning_rate": 0.1}, show)
    wanted, losses = net.fit(START, DATA, epochs=3, batch_size=4, learning_rate=0.1)
    same(params, wanted)
    np.testing.assert_array_equal(history, losses)


# loading a module


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Path(kernel(LAYER).save(tmp_path / "net.py", optimizer=sg.Adam(0.01)))


GIVEN = {**DATA, "lambda": START["alpha"], "c": 0.5}


def test_a_loaded_module_is_called_as_its_kernel(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net, k = sg.load(path), kernel(LAYER)
    (J, grads), (own, own_grads) = net(**GIVEN), k(**GIVEN)
    assert own == J
    same(grads, own_grads)
    same(net.forward(**GIVEN), k.forward(**GIVEN))
    params = {"lambda": START["alpha"], "c": 0.5}
    found, wanted = net.fit(params, DATA, epochs=4), k.fit(params, DATA, sg.Adam(0.01), epochs=4, progress=False)
    same(found.params, wanted.params)
    same(found.history, wanted.history)
    assert "epoch 4/4  J = " in capsys.readouterr().err
    same(net.step(params, DATA, learning_rate=0.5)[1], k.fit(params, DATA, sg.Adam(0.5), 1, None, False, progress=False).params)
    assert (net.loss, net.wrt, repr(net)) == ("J", ("lambda", "c"), f"<{path}: J and its gradients by lambda, c>")


def test_what_a_module_cannot_do_is_refused(path: Path) -> None:
    net = sg.load(path)
    params = {"lambda": START["alpha"], "c": 0.5}
    assert refused(lambda: net(**{**GIVEN, "c": np.ones(2)})) == "SG602"
    assert refused(lambda: net(**DATA)) == "SG601"
    assert refused(lambda: net(**GIVEN, z=1)) == "SG601"
    assert refused(lambda: net.fit(params, DATA, sg.SGD())) == "SG713"
    assert refused(lambda: net.fit(params, DATA, patience=2)) == "SG713"
    assert refused(lambda: net.fit(params, DATA, momentum=0.1)) == "SG608"
    assert refused(lambda: net.kernel) == "SG713"
    assert refused(lambda: sg.load(path, dtype="float32")) == "SG608"
    assert refused(lambda: sg.load(path, threads=0)) == "SG207"
    assert refused(lambda: sg.load(path.with_name("missing.py"))) == "SG704"


def test_an_edit_shows(path: Path) -> None:
    """Another number in the kernel, another word in the docstring; and no warning for what is no edit."""
    text = path.read_text(encoding="utf-8")
    for old, new in (("learning_rate: float = 0.01", "learning_rate: float = 0.02"), ("angles in radians", "angles in degrees")):
        path.write_text(text.replace(old, new), encoding="utf-8")
        with pytest.warns(sg.SymgradWarning, match=r"(?s)SG711: .*net\.py was edited") as warned:
            net = sg.load(path)
        assert warned[0].filename == __file__
        assert net(**GIVEN)[0] == kernel(LAYER)(**GIVEN)[0]
    path.write_bytes(text.replace("\n", "\r\n").encode())
    assert sg.load(path).source == text


@pytest.mark.parametrize("code", ["import subprocess", "open('x', 'w')", "_LOSS.__class__", "def f(x):\n    return eval(x)"])
def test_other_code_is_not_run(code: str, path: Path) -> None:
    path.write_text(signed.signed(path.read_text(encoding="utf-8") + f"\n\n{code}\n"), encoding="utf-8")
    assert refused(lambda: sg.load(path)) == "SG712"


def test_half_a_module_is_refused(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: text.index("\n\n\ndef forward")] + "\n", encoding="utf-8")
    with pytest.warns(sg.SymgradWarning, match="SG711"):
        assert refused(lambda: sg.load(path)) == "SG712"


def test_a_rate_over_the_whole_run(tmp_path: Path) -> None:
    """A step that knows neither how many there are nor in which epoch it is."""
    net = sg.load(kernel().save(tmp_path / "net.py", optimizer=sg.SGD("0.1/(epoch + t/steps)")))
    assert refused(lambda: net.step(START, DATA)) == "SG608"
    state, params, k = None, START, kernel()
    for epoch in (1, 2):
        _, params, state = net.step(params, DATA, state, epoch=epoch, steps=2)
    same(params, k.fit(START, DATA, sg.SGD("0.1/(epoch + t/steps)"), 2, None, False, progress=False).params)


def test_another_python_file_is_no_module_of_symgrads(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("raise SystemExit\n")
    assert refused(lambda: sg.load(tmp_path / "own.py")) == "SG712"


def test_a_numba_that_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numba

    path = sg.compile(sg.parse("J = x^2")).save(tmp_path / "net.py")
    monkeypatch.setattr(numba, "__version__", "0.60.1")
    with pytest.raises(ValueError, match=r"SG714: this module needs numba 0\.61 or later, and 0\.60\.1 is installed"):
        module_of(path)
    assert refused(lambda: sg.load(path)) == "SG714"
    for newer in ("0.61.0rc1", "0.100", "1.0.dev3"):
        monkeypatch.setattr(numba, "__version__", newer)
        assert sg.load(path).loss == "J"


def test_the_numba_that_is_asked_for_is_the_projects() -> None:
    text = (Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert f"numba>={'.'.join(map(str, saved.LEAST_NUMBA))}" in tomllib.loads(text)["project"]["dependencies"]


def test_machine_code_for_another_processor(tmp_path: Path) -> None:
    pytest.importorskip("numba")
    try:
        path, _ = sg.compile(sg.parse("param w; J = (w - 3)^2")).save_native(tmp_path / "net.py")
    except sg.SymgradError as error:
        assert error.code == "SG710"
        pytest.skip("no C compiler to link with")
    assert sg.load(path)(w=1.0)[0] == 4
    text = path.read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("_LIBRARY"))
    text = text.replace(line, f"{line.rpartition('(')[0]}('AVX9000',))")
    path.write_text(signed.signed(re.sub(r"[0-9a-f]{64}(?=\n\"{3})", signed.BLANK, text)), encoding="utf-8")
    assert refused(lambda: sg.load(path)) == "SG709"


# loading a model

SECOND = """
import sys
sys.modules["sympy"] = None
import symgrad as sg
net = sg.load("net.sg", batch=["x", "y_star"], backend="numpy")
fit = net.fit({"alpha": [[0.5]], "c": 0.0}, {"x": [[1.0], [2.0]], "y_star": [1.0, 2.0]}, epochs=3, progress=False)
print(float(fit.history["J"][-1]))
"""


def test_a_second_process_needs_no_sympy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is compiled again, or an old text for a model that has changed."""
    monkeypatch.setenv("SYMGRAD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("symgrad.loading._remembered", {})
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "net.sg"
    model.write_text(NETWORK)
    net = sg.load("net.sg", batch=["x", "y_star"], backend="numpy")
    given = {"x": [[1.0], [2.0]], "y_star": [1.0, 2.0]}
    wanted = kernel().fit({"alpha": [[0.5]], "c": 0.0}, given, epochs=3, progress=False)
    monkeypatch.setenv("PYTHONPATH", str(Path(sg.__file__).parent.parent))  # an installed symgrad is another one, by its files
    ran = subprocess.run([sys.executable, "-c", SECOND], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert float(ran.stdout) == wanted.history["J"][-1]
    model.write_text(NETWORK.replace("tanh", "sin"))
    other = sg.load("net.sg", batch=["x", "y_star"], backend="numpy")
    assert other(**DATA, **START)[0] == kernel(NETWORK.replace("tanh", "sin"))(**DATA, **START)[0] != net(**DATA, **START)[0]
    (entry, *_) = (tmp_path / "cache").glob("model_*.sealed")
    assert b'"text"' in entry.read_bytes()


def test_a_model_has_its_kernel_too(tmp_path: Path) -> None:
    (tmp_path / "net.sg").write_text(NETWORK)
    net = sg.load(tmp_path / "net.sg", batch=["x", "y_star"], backend="numpy")
    assert net.kernel.batch == ("x", "y_star")
    assert net.program == sg.parse(NETWORK)
    found = net.fit(START, DATA, sg.Adam(0.1), epochs=2, progress=False)
    same(found.params, kernel().fit(START, DATA, sg.Adam(0.1), epochs=2, progress=False).params)
    some = net.fit({"c": 0.5}, {**DATA, "alpha": START["alpha"]}, epochs=2, progress=False)
    same(some.params, kernel().fit({"c": 0.5}, {**DATA, "alpha": START["alpha"]}, epochs=2, progress=False).params)
    assert refused(lambda: sg.load(tmp_path / "net.sg", backend="nump")) == "SG207"
    assert refused(lambda: sg.load(tmp_path / "net.sg", wrt=5)) == "SG209"  # type: ignore[arg-type]
    assert refused(lambda: sg.load(tmp_path / "net.sg", dtype=["float32"])) == "SG207"  # type: ignore[arg-type]
    assert refused(lambda: sg.load(tmp_path / "net.sg", optimizer="adam")) == "SG608"
    (tmp_path / "net.tex").write_text(r"\[ J = (w - 3)^2 \]")
    assert sg.load(tmp_path / "net.tex", backend="numpy")(w=1.0)[0] == 4


# importing a model


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on sys.path, and the hook for the length of a test."""
    before, known = [*sys.meta_path], set(sys.modules)
    importhook = importlib.import_module("symgrad.importhook")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.reload(importhook)
    assert sum(type(each).__module__ == importhook.__name__ for each in sys.meta_path) == 1
    yield tmp_path
    sys.meta_path[:] = before
    for name in set(sys.modules) - known:
        if name.startswith(("hooked", "symgrad.importhook")):
            del sys.modules[name]


def test_a_model_is_imported(folder: Path) -> None:
    (folder / "hooked.sg").write_text("param w; J = (w - 3)^2; minimize J")
    hooked: Any = importlib.import_module("hooked")
    J, grads = hooked.value_and_grad(w=1.0)
    assert (J, grads["w"]) == (4, -4)
    assert hooked.forward(w=1.0) == {"J": 4}
    assert hooked.fit({"w": 0.0}, {}, learning_rate=0.5, epochs=1)[0]["w"] == 3
    assert hooked.kernel(w=1.0)[0] == 4
    assert hooked.program == sg.parse("param w; J = (w - 3)^2; minimize J")
    assert hooked.__doc__.startswith("J and its gradients by w")
    assert Path(hooked.__file__) == folder / "hooked.sg"
    with pytest.raises(AttributeError, match="module 'hooked' has no attribute 'kernels'"):
        _ = hooked.kernels
    (folder / "hooked.sg").write_text("J = x")
    importlib.reload(hooked)
    assert hooked.value_and_grad(x=2.0)[0] == 2


def test_a_model_in_a_package(folder: Path) -> None:
    (folder / "hooked_package" / "inner").mkdir(parents=True)
    (folder / "hooked_package" / "__init__.py").write_text("from . import net\n")
    for place in ("net.sg", "inner/net.sg", "both.sg"):
        (folder / "hooked_package" / place).write_text(f"J = x^{len(place)}")
    (folder / "hooked_package" / "both.py").write_text("ours = True\n")
    assert importlib.import_module("hooked_package").net.value_and_grad(x=2.0)[0] == 2**6
    assert importlib.import_module("hooked_package.inner.net").value_and_grad(x=2.0)[0] == 2**12
    assert importlib.import_module("hooked_package.both").ours


def test_a_model_that_cannot_be_read_says_where(folder: Path) -> None:
    (folder / "hooked_bad.sg").write_text("y = x^2\nJ = y + foo(x)\n")
    with pytest.raises(sg.SymgradError) as caught:
        importlib.import_module("hooked_bad")
    error = caught.value
    assert (error.code, error.filename, error.line, error.column) == ("SG201", str(folder / "hooked_bad.sg"), 2, 9)
    assert "hooked_bad" not in sys.modules
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("hooked_missing")


# the command line


def test_the_command_writes_what_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An option that does not reach the module, or is silently dropped."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.sg").write_text(NETWORK)
    options = ["compile", "net.sg", "--batch", "x,y^*", "--backend", "numpy", "-o", "net.py"]
    assert main([*options, "--optimizer", "momentum", "--rate", "0.02"]) == 0
    assert capsys.readouterr().out == "wrote net.py: J and its gradients by alpha, c; step and fit by momentum\n"
    k = kernel()
    found = sg.load("net.py").fit(START, DATA, epochs=2, progress=False)
    same(found.params, k.fit(START, DATA, sg.Momentum(0.02), epochs=2, progress=False).params)
    assert k.save("again.py", optimizer=sg.Momentum(0.02)).read_bytes() == (tmp_path / "net.py").read_bytes()
    assert main([*options, "--force", "--learning-rate", "1/(1 + t)"]) == 0
    assert capsys.readouterr().out == "wrote net.py: J and its gradients by alpha, c; step and fit by sgd\n"
    for more, code in (
        (["--optimizer", "adm", "--force"], "SG207"),
        (["--rate", "-1", "--force"], "SG608"),
        (["--rate", "1/(1 + tt)", "--force"], "SG203"),
        (["--optimizer", "sgd", "--native", "--backend", "numba", "--force"], "SG706"),
        (["--optimizer", "sgd"], "SG701"),
    ):
        assert main([*options, *more]) == 2
        assert capsys.readouterr().err.startswith(code)
