"""The gallery: our gradients against the published backward passes, and what is printed, byte for byte."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.cli import main
from symgrad.core.graph import find_loss
from tests.gallery import GALLERY, batch_norm_adjoint, hessian, hvp
from tests.golden_files import assert_golden

ROOT = Path(__file__).parent.parent
ALL = pytest.mark.parametrize("name", GALLERY)
COMPILED = ["gru", "causal_attention", "convolution", "cbow", "batch_norm"]


def assert_published(name: str, backend: str) -> None:
    published = GALLERY[name]
    program = sg.read(ROOT / published.file)
    for seed in range(2):
        arrays = published.arrays(np.random.default_rng(seed))
        loss, wanted = published.gradients(arrays)
        found, gradients = sg.compile(program, wrt=list(wanted), backend=backend)(**arrays)
        assert abs(found - loss) <= 1e-10 * max(1.0, abs(loss))
        for each, array in wanted.items():
            assert gradients[each].shape == np.shape(array)
            assert np.abs(gradients[each] - array).max() <= 1e-10 * max(1.0, np.abs(array).max())


@ALL
def test_equals_the_published_backward_pass(name: str) -> None:
    """A derived backward pass that is not the paper's."""
    assert_published(name, "numpy")


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_equals_the_published_backward_pass(name: str) -> None:
    """Scans, gathers and strided loops in compiled code."""
    assert_published(name, "numba")


@ALL
def test_printed_forms(name: str) -> None:
    """Any change of what a reader sees."""
    d = sg.derive(sg.read(ROOT / GALLERY[name].file))
    assert_golden(f"gallery/{name}.txt", f"{d.text()}\n\n{d.latex()}\n\n{d.backward}\n")


@ALL
def test_the_printed_backward_pass_is_linear_in_the_model(name: str) -> None:
    """Expression swell: a backward pass that repeats what has a name."""
    d = sg.derive(sg.read(ROOT / GALLERY[name].file))
    assert len(str(d.backward)) < 14 * len(str(d.forward))


LINES = {
    "lstm": ["dJ/dy_sTn = dJ/dq_s · v_n", "(t = T − 1, …, 1)", "dJ/dc_stn += dJ/dc_{s,t+1,n} · dc_{s,t+1,n}/dc_stn"],
    "gru": ["dJ/dh_Tj = dJ/dy_T · v_j", "(t = T − 1, …, 1)"],
    "attention": ["dP_nil/dS_nij = P_nij (δ_lj − P_nil)"],
    "cbow": ["[w_I_nc = j]", "[w_O_n = j]"],
    "convolution": ["dZ_eijk/dK_ilmn = V_{e,l,2j+m,2k+n}"],
    "causal_attention": ["dJ/dV_njf += Σ_{i=j..T} dJ/dO_nif · dO_nif/dV_njf"],
}


@pytest.mark.parametrize("name", LINES)
def test_lines_of_the_papers(name: str) -> None:
    """A golden accepted by mistake: recurrences with their boundary, brackets of gathers, limits of sums."""
    text = sg.derive(sg.read(ROOT / GALLERY[name].file)).text()
    assert [line for line in LINES[name] if line not in text] == []


def test_convolution_by_its_input_reads_as_a_transposed_one() -> None:
    """Guards that say which outputs an input cell reaches."""
    d = sg.derive(sg.read(ROOT / "examples/gallery/convolution.sg"), wrt=["V"])
    assert "[0 ≤ r − 2j ≤ A − 1, 0 ≤ s − 2k ≤ B − 1]" in d.text()


def test_softmax_cross_entropy_to_the_second_order() -> None:
    """p_k δ_kl − p_k p_l, printed and run, and its product with a vector."""
    program = sg.read(ROOT / "examples/gallery/softmax_cross_entropy.sg")
    h, product = sg.hessian(program), sg.hvp(program)
    assert h.closed("a").text() == "d²E/da_lda_k = y_k (δ_kl − y_l)"
    assert "y_k (" in product.closed("a").text()
    rng = np.random.default_rng(0)
    arrays = GALLERY["softmax_cross_entropy"].arrays(rng)
    v = rng.normal(size=arrays["a"].shape)
    assert np.allclose(h.compile(backend="numpy")(**arrays)[1]["a"], hessian(arrays), atol=1e-13)
    assert np.allclose(product.compile(backend="numpy")(**arrays, a_dot=v)[1]["a"], hvp(arrays, v), atol=1e-13)


def test_batch_norm_in_one_line() -> None:
    """x̄_i = γ/(m s)(m ȳ_i − Σ ȳ_j − x̂_i Σ ȳ_j x̂_j) for any cotangent ȳ."""
    program = sg.parse(
        """
        index i in 1..m
        mu = mean(x[i] for i)
        v = mean((x[i] - mu)^2 for i)
        xhat[i] = (x[i] - mu)/sqrt(v + epsilon)
        y[i] = gamma*xhat[i] + beta
        """
    )
    rng = np.random.default_rng(1)
    x, bar = rng.normal(size=7), rng.normal(size=7)
    found = sg.vjp(program, "y", "x").compile(backend="numpy")(x=x, gamma=1.3, beta=0.2, epsilon=1e-3, y_bar=bar)[1]["x"]
    s = np.sqrt(x.var() + 1e-3)
    assert np.allclose(found, batch_norm_adjoint(1.3, s, (x - x.mean()) / s, bar), atol=1e-13)


@pytest.fixture(scope="module")
def write_data() -> Callable[[str, Path], dict[str, Any]]:
    """The gallery's own script: a model's arrays, also written to a file."""
    script = runpy.run_path(str(ROOT / "examples/gallery/data.py"))

    def write(name: str, path: Path) -> dict[str, Any]:
        arrays: dict[str, Any] = script["arrays"](name)
        np.savez(path, **arrays)
        return arrays

    return write


def trained(argv: list[str], loss: str, capsys: pytest.CaptureFixture[str]) -> tuple[float, float]:
    """The first and the last loss that `symgrad train` prints."""
    assert main(["train", *argv]) == 0
    out = capsys.readouterr().out
    found = re.search(rf"^{loss} (\S+) → (\S+) in \d+ epochs, ", out, re.MULTILINE)
    assert found, out
    return float(found.group(1)), float(found.group(2))


@ALL
def test_the_command_line_descends(
    name: str, write_data: Callable[[str, Path], dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Arrays by name that do not reach the model; a step that is not along the published gradient, or goes the wrong way."""
    published, file = GALLERY[name], tmp_path / "data.npz"
    program, arrays = sg.read(ROOT / published.file), write_data(name, file)
    loss, gradients = published.gradients(arrays)
    rate = 1e-2 * abs(loss) / sum(np.sum(np.square(gradients[param])) for param in program.params)
    argv = [str(ROOT / published.file), "--data", str(file), "--backend", "numpy", "--optimizer", "sgd", "--epochs", "2"]
    before, after = trained([*argv, "--learning-rate", repr(float(rate))], find_loss(program), capsys)
    step = rate if program.goal == "maximize" else -rate
    moved = {param: arrays[param] + step * gradients[param] for param in program.params}
    assert before == pytest.approx(loss, rel=1e-5)
    assert after == pytest.approx(published.gradients({**arrays, **moved})[0], rel=1e-5)
    assert (after - before) / step > 0
    assert abs(after - before) > 0.5e-2 * abs(loss)


ROW = re.compile(r"^\| `(\w+)` \|[^|]*\| (min|max) \| (\S+) \| (\S+) \|", re.MULTILINE)


def test_the_page_of_trained_models(write_data: Callable[[str, Path], dict[str, Any]], tmp_path: Path) -> None:
    """A model that the page leaves out, a goal the wrong way, a first loss of other data or other starting values."""
    rows = ROW.findall((ROOT / "docs/gallery_models.md").read_text(encoding="utf-8"))
    assert sorted(name for name, *_ in rows) == sorted(GALLERY)
    for name, goal, first, last in rows:
        loss, _ = GALLERY[name].gradients(write_data(name, tmp_path / "data.npz"))
        assert sg.read(ROOT / GALLERY[name].file).goal == f"{goal}imize"
        assert float(first) == pytest.approx(loss, rel=1e-5)
        assert (float(last) > loss) is (goal == "max")


def test_the_command_line_trains(
    write_data: Callable[[str, Path], dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A compiled loop that reads gathers otherwise than NumPy does."""
    file = tmp_path / "cbow.npz"
    write_data("cbow", file)
    argv = [str(ROOT / "examples/gallery/cbow.sg"), "--data", str(file), "--epochs", "100", "--learning-rate", "0.05"]
    before, after = trained(argv, "E", capsys)
    assert after < before / 2
