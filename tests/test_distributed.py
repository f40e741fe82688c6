"""Objectives over shards in this process: what every cluster has to compute."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symgrad as sg
from symgrad.distributed.shards import blocks_of, summed
from tests.distributed_models import BATCH, NETWORK, bits, load, loaders, local, params, whole

ROOT = Path(__file__).parent.parent


def one_machine(text: str = NETWORK, **settings: Any) -> Any:
    return sg.compile(sg.parse(text), batch=BATCH, backend="numpy", **settings)


# the sum


def by_levels(items: list[str]) -> str:
    """The tree written down as it is defined: pairs of neighbours, level by level."""
    while len(items) > 1:
        pairs = [f"({items[at]}{items[at + 1]})" for at in range(0, len(items) - 1, 2)]
        items = pairs + items[2 * len(pairs) :]
    return items[0]


@given(st.integers(1, 200), st.integers(1, 40))
def test_blocks_are_nodes_of_the_tree(count: int, wanted: int) -> None:
    """A sum that depends on who adds up what."""
    leaves = [f"{number}." for number in range(count)]
    add = lambda one, other: f"({one}{other})"  # noqa: E731
    blocks = blocks_of(count, wanted)
    assert len(blocks) >= min(wanted, count)
    assert [number for block in blocks for number in range(*block)] == list(range(count))
    assert summed(leaves, add) == by_levels(leaves)
    assert summed((summed(leaves[slice(*block)], add) for block in blocks), add) == by_levels(leaves)


# J and its gradients


@pytest.mark.parametrize("keep", [True, False])
def test_as_one_kernel_on_all_examples(keep: bool) -> None:
    """Shards with one weight each, a regulariser that counts once for each shard, an empty shard that counts."""
    J, grads = local(keep=keep)(**params())
    wanted, slopes = one_machine()(**params(), **whole())
    assert float(J) == pytest.approx(float(wanted), rel=1e-14)
    for name, slope in slopes.items():
        assert grads[name].shape == slope.shape
        np.testing.assert_allclose(grads[name], slope, rtol=1e-12, atol=1e-15)


def test_one_shard_is_the_kernel_itself() -> None:
    """Weights that round where there is nothing to weigh."""
    obj = sg.distributed.LocalObjective(sg.parse(NETWORK), [whole()], BATCH, backend="numpy")
    assert bits(obj(**params())) == bits(one_machine()(**params(), **whole()))


def test_types_and_settings() -> None:
    """float32 that becomes float64; `wrt` and `loss` that are not passed on; an order of names that decides."""
    text = f"{NETWORK.replace('minimize J', '')}\nK = J^2\nmaximize K"
    obj = sg.distributed.LocalObjective(sg.parse(text), loaders(), BATCH, wrt="v", loss="J", dtype="float32", backend="numpy")
    J, grads = obj(**dict(reversed(params().items())))
    assert list(grads) == ["v"]
    assert (J.dtype, grads["v"].dtype) == (np.float32, np.float32)
    wanted, slopes = one_machine(text, wrt=["v"], loss="J")(**params(), **whole())
    assert float(J) == pytest.approx(float(wanted), rel=1e-5)
    np.testing.assert_allclose(grads["v"], slopes["v"], rtol=1e-4)


def test_whole_numbers_and_what_all_share() -> None:
    """A batched index that is made a float, or an array without examples that is looked for in the shards."""
    p = sg.parse("index k in 0..2; input n in 0..2, t, scale[k]; param E[k]; J = scale[n]*(E[n] - t)^2; minimize J")
    n, t = np.array([0, 2, 1, 2, 2, 0]), np.arange(6.0)
    parts = [{"n": n[at : at + 2], "t": t[at : at + 2]} for at in (0, 2, 4)]
    given = {"E": np.array([1.0, 2.0, 3.0]), "scale": np.array([1.0, 0.5, 2.0])}
    obj = sg.distributed.LocalObjective(p, parts, ["n", "t"], backend="numpy")
    J, grads = obj(**given)
    wanted, slopes = sg.compile(p, batch=["n", "t"], backend="numpy")(n=n, t=t, **given)
    assert float(J) == pytest.approx(float(wanted))
    np.testing.assert_allclose(grads["E"], slopes["E"])


def test_names_that_python_keeps() -> None:
    """lambda is no argument of a Python function."""
    p = sg.parse("param lambda[j], c; input x[j]; J = (sum(lambda[j]*x[j] for j) + c)^2; minimize J")
    obj = sg.distributed.LocalObjective(p, [{"x": np.ones((2, 3))}, {"x": np.zeros((2, 3))}], "x", backend="numpy")
    J, grads = obj(c=1.0, **{"lambda": [1, 2, 3]})
    assert float(J) == 25.0
    assert grads["lambda"].tolist() == [7.0, 7.0, 7.0]


def test_vectors_for_scipy() -> None:
    """A gradient in another order than theta, or with the wrong sign where a model maximizes."""
    optimize = pytest.importorskip("scipy.optimize")
    text = NETWORK.replace("J = ", "J = -").replace(" + sum(v", " - sum(v").replace("minimize", "maximize")
    obj = sg.distributed.LocalObjective(sg.parse(text), loaders(), BATCH, backend="numpy")
    fun, theta = obj.flat(params())
    up, down = obj(**params()), local()(**params())
    assert fun(theta)[0] == pytest.approx(-up[0]) == pytest.approx(down[0])
    np.testing.assert_allclose(fun(theta)[1][:12].reshape(3, 4), down[1]["W"])
    assert optimize.check_grad(lambda t: fun(t)[0], lambda t: fun(t)[1], theta) < 1e-6
    found = optimize.minimize(fun, theta, jac=True, options={"maxiter": 30})
    assert local()(**fun.unflatten(found.x))[0] == pytest.approx(found.fun)
    assert found.fun < 0.5 * fun(theta)[0]


# training


@pytest.mark.parametrize("optimizer", [sg.Adam(0.01), sg.SGD("0.5/t"), sg.Momentum(0.1)], ids=["adam", "equation", "momentum"])
def test_fit_is_that_of_a_kernel(optimizer: Any) -> None:
    """An update rule of its own, a step that counts differently, clipping by parts, a history that starts after the first step."""
    settings = {"optimizer": optimizer, "epochs": 5, "clip_norm": 0.5, "progress": False}
    f = local().fit(params(), **settings)
    wanted = one_machine().fit(params(), whole(), batch_size=None, **settings)
    np.testing.assert_allclose(f.history["J"], wanted.history["J"], rtol=1e-12)
    for name, array in wanted.params.items():
        np.testing.assert_allclose(f.params[name], array, rtol=1e-9, atol=1e-12)
        assert np.shape(f.params[name]) == np.shape(array)


def test_a_kernel_trains_on_an_objective() -> None:
    """Settings that do not reach the shards, data that are left out, a model that is not the objective's."""
    k, obj = one_machine(), local()
    for settings in ({"optimizer": sg.Adam(0.01), "clip_norm": 0.5}, {"local_steps": 2, "batch_size": 9, "seed": 4}):
        found = k.fit(params(), objective=obj, epochs=3, progress=False, **settings)
        wanted = obj.fit(params(), epochs=3, progress=False, **settings)
        assert found.history["J"].tobytes() == wanted.history["J"].tobytes()
        assert {n: a.tobytes() for n, a in found.params.items()} == {n: a.tobytes() for n, a in wanted.params.items()}
    rest = {"c": 0.1, "v": params()["v"]}
    found = k.fit({"W": params()["W"]}, rest, objective=obj, epochs=3, validation=load(50), patience=1, progress=False)
    wanted = k.fit({"W": params()["W"]}, {**rest, **whole()}, batch_size=None, epochs=3, progress=False)
    np.testing.assert_allclose(found.history["J"], wanted.history["J"], rtol=1e-12)
    assert len(found.validation) == 3
    for settings, words in (
        ({"objective": whole()}, "of type dict"),
        ({"local_steps": 2}, "objective is not"),
        ({"objective": obj, "batch_size": 7}, "local_steps is not given"),
        ({"objective": objective(load(0), dtype="float32")}, "J and float32, and not J and float64"),
        ({"objective": objective(load(0), text=NETWORK.replace("/10", "/20"))}, "its program is not"),
    ):
        with refused("SG608", words):
            k.fit(params(), progress=False, **settings)


def test_fit_validates_and_stops() -> None:
    """Validation data that are not used; patience that does not give back the best parameters."""
    f = local().fit(params(), optimizer=sg.SGD(0.05), epochs=200, validation=load(50), patience=3, progress=False)
    assert f.stopped == "patience" or len(f.validation) == 200
    best = one_machine()(**f.params, **load(50))[0]
    assert best == pytest.approx(min(f.validation), rel=1e-12)
    assert len(local().fit(params(), epochs=0, progress=False).history["J"]) == 0


def test_one_local_step_on_whole_shards_is_gradient_descent() -> None:
    """Averages with other weights than the examples'; a first loss that is not the mean."""
    f = local().fit(params(), optimizer=sg.SGD(0.1), epochs=4, local_steps=1, progress=False)
    wanted = local().fit(params(), optimizer=sg.SGD(0.1), epochs=4, progress=False)
    np.testing.assert_allclose(f.history["J"], wanted.history["J"], rtol=1e-12)
    np.testing.assert_allclose(f.params["W"], wanted.params["W"], rtol=1e-10)


@pytest.mark.parametrize("optimizer", [sg.SGD(0.1), sg.Adam("0.01/sqrt(t)")], ids=["sgd", "adam"])
def test_local_steps_on_one_shard_are_those_of_a_kernel(optimizer: Any) -> None:
    """Steps left out between rounds, state that starts again, rates that do: rounds of 3 steps of 7 give 7 + 7 steps."""
    data = {name: array[:20] for name, array in whole().items()}
    obj = sg.distributed.LocalObjective(sg.parse(NETWORK), [data], BATCH, backend="numpy")
    settings = {"optimizer": optimizer, "epochs": 2, "batch_size": 3, "shuffle": False, "progress": False}
    f = obj.fit(params(), local_steps=3, **settings)
    wanted = one_machine().fit(params(), data, **settings)
    np.testing.assert_allclose(f.history["J"], wanted.history["J"], rtol=1e-12)
    for name, array in wanted.params.items():
        np.testing.assert_allclose(f.params[name], array, rtol=1e-12)


def test_local_steps_take_every_example_once() -> None:
    """An epoch in rounds that leaves out examples, or takes them twice: the loss before steps of no length is the mean."""
    f = local().fit(params(), optimizer=sg.SGD(0.0), epochs=2, local_steps=2, batch_size=7, progress=False)
    assert f.history["J"] == pytest.approx(float(local()(**params())[0]), rel=1e-12)
    seeds = [
        local().fit(params(), optimizer=sg.SGD(0.1), epochs=1, local_steps=2, batch_size=7, seed=s, progress=False)
        for s in (0, 0, 1)
    ]
    first, same, other = (f.params["W"].tobytes() for f in seeds)
    assert first == same != other


def test_training_that_breaks_off() -> None:
    """A loss that is not finite and goes on; parameters that are lost with it."""
    for settings in ({}, {"local_steps": 2, "batch_size": 5}):
        with pytest.raises(sg.Diverged) as caught:
            local().fit(params(), optimizer=sg.SGD(1e6), epochs=80, progress=False, **settings)
        assert caught.value.code == "SG607"
        assert all(np.isfinite(array).all() for array in caught.value.params.values())


def test_ctrl_c_ends_with_a_whole_step() -> None:
    """Parameters of half a step, or a traceback in place of what is trained."""
    calls = []

    def pressed() -> dict[str, Any]:
        calls.append(1)
        if len(calls) == 4:  # the first call is made with the objective: this is in the third step
            signal.raise_signal(signal.SIGINT)
        return load(1)

    obj = sg.distributed.LocalObjective(sg.parse(NETWORK), [load(0), pressed], BATCH, keep=False, backend="numpy")
    f = obj.fit(params(), optimizer=sg.SGD(0.1), epochs=50, progress=False)
    assert (f.stopped, len(f.history["J"])) == ("interrupted", 3)
    wanted = obj.fit(params(), optimizer=sg.SGD(0.1), epochs=3, progress=False)
    assert f.params["W"].tobytes() == wanted.params["W"].tobytes()


# refusals


def refused(code: str, *words: str) -> Any:
    return pytest.raises(sg.SymgradError, match=f"{code}.*" + ".*".join(words))


def objective(*shards: Any, batch: Any = BATCH, text: str = NETWORK, **settings: Any) -> Any:
    return sg.distributed.LocalObjective(sg.parse(text), shards, batch, backend="numpy", **settings)


def broken() -> dict[str, Any]:
    raise OSError("the disk is gone")


UNFIT: dict[str, tuple[Any, str]] = {
    "no dict": (lambda: [1, 2], "of type list"),
    "missing": ({"x": np.ones((2, 4))}, "does not hold y_star"),
    "more": ({**load(0), "W": np.ones(3)}, "it holds W"),
    "rows": ({"x": np.ones((2, 4)), "y_star": np.ones(3)}, "2 of x, 3 of y_star"),
    "a number": ({"x": np.ones((2, 4)), "y_star": 1.0}, "y_star is a single number"),
    "complex": ({"x": np.ones((2, 4), complex), "y_star": np.ones(2)}, "x holds complex128"),
    "words": ({"x": np.ones((2, 4)), "y_star": np.array(["a", "b"])}, "y_star holds <U1"),
    "ragged": ({"x": [[1.0], [1.0, 2.0]], "y_star": np.ones(2)}, "differ in length"),
    "columns": ({"x": np.ones((2, 5)), "y_star": np.ones(2)}, "shape \\(5,\\), and shape \\(4,\\) in shard 0"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_shards_that_do_not_fit(case: str) -> None:
    """A shard that is used in part, or refused without its number."""
    shard, words = UNFIT[case]
    with refused("SG654", "shard 1 ", words):
        objective(load(0), shard)


def test_refusals() -> None:
    """Refusals with a traceback of another library, or only when a step runs."""
    with refused("SG653", "shard 1 cannot be read: OSError: the disk is gone"):
        objective(load(0), broken)
    with refused("SG606", "no examples"):
        objective(load(3))
    with refused("SG652", "of type dict"):
        sg.distributed.LocalObjective(sg.parse(NETWORK), load(0), BATCH)
    with refused("SG652", "no gradient by it"):
        objective(load(0), wrt=["x"])
    with refused("SG203", "there is no quantity named q"):
        objective(load(0), batch=["q"])
    with refused("SG119"):
        sg.distributed.LocalObjective(NETWORK, [load(0)], BATCH)  # type: ignore[arg-type]
    with refused("SG652", "do not depend on u"):
        sg.distributed.LocalObjective(sg.parse("input x, u; param w; q = u^2; J = (w*x)^2; minimize J"), [load(0)], ["x", "u"])


def test_refusals_at_a_call() -> None:
    """Arrays that are sent though they do not fit."""
    obj = local()
    with refused("SG601", "x lies in the shards"):
        obj(**params(), x=1.0)
    with refused("SG601", "no array is given for c"):
        obj(W=params()["W"], v=params()["v"])
    with refused("SG604", "W has shape \\(3, 5\\)"):
        obj(**{**params(), "W": np.ones((3, 5))})
    with refused("SG608", "local_steps is not given"):
        obj.fit(params(), batch_size=5)
    with refused("SG608", "local_steps"):
        obj.fit(params(), local_steps=0)
    with refused("SG608", "optimizer"):
        obj.fit(params(), optimizer="adam", clip_norm=1.0)
    with refused("SG609", "x is not among"):
        obj.fit({"x": 1.0})
    with refused("SG609", "no gradient by x"):
        obj.flat({"x": 1.0})
    fun, theta = obj.flat(params())
    with refused("SG633", "shape \\(3,\\)"):
        fun(theta[:3])
    with refused("SG652", "no Hessian times a vector"):
        fun.hvp(theta, theta)


def test_places_are_those_of_the_users_text() -> None:
    """A refusal that points into a text which the user has not written."""
    p = sg.parse("input x\nparam   w\nq[i] = w*x*i for i in 1..3")
    with pytest.raises(sg.SymgradError) as caught:
        sg.distributed.LocalObjective(p, [{"x": np.ones(3)}], ["x"], loss="q")
    assert (caught.value.code, caught.value.line) == ("SG403", 3)


# MPI

TRAIN = """
import sys
import numpy as np
import symgrad as sg
from tests.distributed_models import BATCH, NETWORK, bits, loaders, params
from mpi4py import MPI

obj = sg.distributed.MPIObjective(sg.parse(NETWORK), loaders(), batch=BATCH, backend="numpy")
f = obj.fit(params(), optimizer=sg.Momentum(0.05), epochs=2, local_steps=2, batch_size=9, progress=False)
told = MPI.COMM_WORLD.gather((bits(obj(**params())), f.params["W"].tobytes().hex()))
broken = loaders()
broken[-1] = lambda: 1/0
try:
    sg.distributed.MPIObjective(sg.parse(NETWORK), broken, batch=BATCH, backend="numpy")
    error = "none"
except sg.SymgradError as refused:
    error = str(refused).splitlines()[0]
errors = MPI.COMM_WORLD.gather(error)
if told:
    print(*(word for each in told for word in each))
    print(*errors, sep="|")
"""


@pytest.fixture
def mpi() -> str:
    pytest.importorskip("mpi4py")
    run = shutil.which("mpiexec")
    if run is None:
        pytest.skip("no mpiexec")
    return run


@pytest.mark.parametrize("ranks", [2])
def test_ranks(ranks: int, mpi: str) -> None:
    """Other bits for another number of ranks, ranks that differ, ranks that wait for ever for one that has failed."""
    command = [mpi, "--allow-run-as-root", "--oversubscribe", "-n", str(ranks), sys.executable, "-c", TRAIN]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    if "--allow-run-as-root" in ran.stderr and ran.returncode:  # another MPI than Open MPI
        ran = subprocess.run([mpi, *command[3:]], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stderr
    told, errors = ran.stdout.strip().split("\n")
    f = local().fit(params(), optimizer=sg.Momentum(0.05), epochs=2, local_steps=2, batch_size=9, progress=False)
    assert told.split() == [bits(local()(**params())), f.params["W"].tobytes().hex()] * ranks
    assert errors.split("|") == ["SG653: shard 10 cannot be read: ZeroDivisionError: division by zero"] * ranks
