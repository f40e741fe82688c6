"""The picture of a network: which units, which links, what stands on them, and where."""

from __future__ import annotations

import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import pytest

import symgrad as sg
from symgrad.core.drawing import Link, Network, Unit
from symgrad.core.evaluate import evaluate
from symgrad.core.graph import find_loss
from symgrad.core.tree import Name
from symgrad.printers import network as printed
from symgrad.printers import tikz as graph
from symgrad.printers.svg import size
from symgrad.printers.text import TEXT
from symgrad.transform.network import network
from tests.models import MODELS

ROOT = Path(__file__).parent.parent
SMALL: dict[str, Mapping[str, int]] = {"S3": {"M": 2, "D": 2}, "S7": {"M": 2, "D": 1, "K": 2}, "S2": {"D": 3}}


def drawn(text: str, sizes: Mapping[str, int] | None = None) -> Network:
    program = MODELS[text].program() if text in MODELS else sg.parse(text)
    return network(program, find_loss(program), sizes or SMALL.get(text))


def links(of: Network) -> dict[str, str]:
    return {f"{link.start} → {link.end}": ", ".join(map(TEXT.show, link.weights)) for link in of.links}


def test_the_lecture_s_network() -> None:
    """A weight on the wrong link, its indices turned round, a pre-activation as a unit of its own."""
    weights = {f"x[{i}] → z[{j}]": f"α_{j}{i}" for j in range(3) for i in range(3)} | {f"z[{j}] → y": f"β_{j}" for j in range(3)}
    assert links(drawn("S3")) == weights | {"y_star → J": "", "y → J": ""}
    assert {unit.name: unit.role for unit in drawn("S3").units if unit.name in ("x[0]", "z[0]", "J")} == {
        "x[0]": "given",
        "z[0]": "step",
        "J": "loss",
    }


@pytest.mark.parametrize(
    ("text", "sizes", "found"),
    [
        # a bias; a factor that is a number
        (
            "index i in 1..N; param w[i], b; y = tanh(sum(w[i]*x[i] for i) + 2b); J = y^2",
            {"N": 2},
            {"x[1] → y": "w₁", "x[2] → y": "w₂", "1 of y → y": "b", "y → J": ""},
        ),
        # one weight on many links; a range that moves
        (
            "index n in 0..N-1; index k in 0..1; param w[k]; y[n] = sum(w[k]*x[n-k] for k if k <= n); J = sum(y[n]^2 for n)",
            {"N": 2},
            {"x[0] → y[0]": "w_0", "x[1] → y[1]": "w_0", "x[0] → y[1]": "w_1", "y[0] → J": "", "y[1] → J": ""},
        ),
        # time unrolled
        (
            "param w; h[0] = 0; h[t] = w*h[t-1] + x[t] for t in 1..2; J = h[2]^2",
            {},
            {"h[0] → h[1]": "w", "x[1] → h[1]": "", "h[1] → h[2]": "w", "x[2] → h[2]": "", "h[2] → J": ""},
        ),
        # what is read twice is no pre-activation; a penalty is not drawn
        (
            "param w; a = w*x; y = tanh(a); J = (y - t)^2 + a^2 + w^2",
            {},
            {"x → a": "w", "a → y": "", "y → J": "", "t → J": "", "a → J": ""},
        ),
        # rows of a table chosen by the data
        (
            "index v in 1..V; index t, d in 1..1; input w[t] in 1..V; param E[v,d]; J = sum(E[w[t],d]*x[d] for t, d)",
            {"V": 2},
            {"w[1] → J": "E_{w_1,1}", "x[1] → J": "E_{w_1,1}"},
        ),
        # a condition on data, not on indices
        ("param w; y = where(u > 0, w*x, v); J = y^2", {}, {"u → y": "", "x → y": "w", "v → y": "", "y → J": ""}),
    ],
)
def test_links(text: str, sizes: Mapping[str, int], found: Mapping[str, str]) -> None:
    """A link too many or too few, a wrong weight."""
    shown = {key: value.replace("₁", "_1").replace("₂", "_2") for key, value in links(drawn(text, sizes)).items()}
    assert shown == {key: value.replace("₁", "_1").replace("₂", "_2") for key, value in found.items()}


@pytest.mark.parametrize("name", SMALL)
def test_nothing_lies_on_another(name: str) -> None:
    """Weights on one another or on a unit, units on one another, a mark outside the picture."""
    of = drawn(name)
    placed = printed.placed(of)
    boxes = [(x, y, 2 * placed.radius, 2 * placed.radius) for x, y in placed.places.values()]
    for link, (x, y) in zip(of.links, placed.weights, strict=True):
        if link.weights:
            boxes.append((x, y, size(", ".join(map(TEXT.show, link.weights)))[0] - 18, 13))
    for a, b in combinations(boxes, 2):
        assert 2 * abs(a[0] - b[0]) >= a[2] + b[2] - 1e-6 or 2 * abs(a[1] - b[1]) >= a[3] + b[3] - 1e-6, (a, b)
    assert all(w / 2 <= x <= placed.width - w / 2 and h / 2 <= y <= placed.height - h / 2 for x, y, w, h in boxes)


def test_links_go_round_the_rows_between() -> None:
    """A link that runs through a unit."""
    of = drawn("param w, v, u; a = w*x; b = v*a; c = u*b; J = (c + x)^2")
    placed = printed.placed(of)
    for link, way in zip(of.links, placed.ways, strict=True):
        for name, (x, y) in placed.places.items():
            if name not in (link.start, link.end):
                near = min((x - p) ** 2 + (y - q) ** 2 for p, q in (printed.at(way, k / 100) for k in range(101)))
                assert near > placed.radius**2, (link, name)


def test_units_hold_their_value_and_partial() -> None:
    """A number of another cell, the partial of another quantity, a target with a partial."""
    arrays = {"x": [0.5, -1.0], "y_star": 1.0, "alpha": [[0.1, 0.2], [0.3, -0.4], [0.5, 0.6]], "beta": [1.0, -2.0, 0.5]}
    d = sg.derive(MODELS["S3"].program())
    found = evaluate(d.whole, arrays, digits=15)
    text = d.network("svg", values=arrays)
    shown = re.findall(r'<circle.*\n<text .*?>(.*)</text>((?:\n<text class="(?:value|partial)".*)*)', text)
    numbers = {re.sub("<.*?>|\u200b", "", name): re.findall(">(.*?)<", more.replace("−", "-")) for name, more in shown}
    wanted = {"J": (found["J"],), "y": (found["y"], found["y_bar"]), "y*": (1.0,)}
    wanted |= {f"z{j}": (found["z"][j], found["z_bar"][j]) for j in range(3)}
    wanted |= {f"x{i}": (arrays["x"][i], found["x_bar"][i]) for i in range(2)}  # type: ignore[index]
    assert numbers == {name: [f"{float(number):.4g}" for number in pair] for name, pair in wanted.items()}
    with pytest.raises(sg.SymgradError) as error:
        d.network("svg", values={"x": [0.5]})
    assert error.value.code == "SG601"


HOSTILE = ['"><script>x</script>', "a&b", "</svg>", "a\\end{document}", "$x$", "a%b", "#1"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_stay_names(name: str) -> None:
    """A name that ends its element or its group."""
    of = Network((Unit("a", Name(name)), Unit("J", Name("J"), "loss")), (Link("a", "J", (Name(name),)),))
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(printed.svg(of)).iter()}
    assert tags <= {"svg", "title", "style", "rect", "path", "text", "tspan", "circle"}
    text = printed.tikz(of)
    bare = re.sub(r"\\[{}$%#]|\\textbackslash\{\}", "", text)
    assert (bare.count("{"), bare.count("$") % 2, "%" in bare, r"\end{document}" in text) == (bare.count("}"), 0, False, False)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(tmp_path: Path) -> None:
    """A missing brace, a style that TikZ does not know."""
    pictures = "".join(printed.tikz(drawn(name)) for name in SMALL)
    (tmp_path / "a.tex").write_text(graph.around(pictures), encoding="utf-8")
    command = ["pdflatex", "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "a.tex"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert ran.returncode == 0, ran.stdout[-2000:]


@pytest.mark.parametrize(
    ("text", "sizes", "code"),
    [
        ("S3", {"M": 200}, "SG509"),
        ("S3", {"M": 50, "D": 50}, "SG509"),
        ("index i in 1..N; param w[i]; J = sum(w[i]*x for i)", {"N": 10**9}, "SG509"),
        ("S3", {"Q": 2}, "SG614"),
        ("S3", {"M": -1}, "SG614"),
    ],
)
def test_what_cannot_be_drawn(text: str, sizes: Mapping[str, int], code: str) -> None:
    """A picture that nobody could read, after a minute; a size passed over in silence."""
    with pytest.raises(sg.SymgradError) as error:
        drawn(text, sizes)
    assert error.value.code == code
    assert error.value.hint


def test_every_model_has_a_picture_or_a_reason() -> None:
    """A traceback, a hang; a unit that no way leads from to the loss."""
    for path in sorted((ROOT / "examples/gallery").glob("*.sg")):
        program = sg.read(path)
        try:
            of = network(program, find_loss(program))
        except sg.SymgradError as error:
            assert error.code == "SG509"
            continue
        assert {unit.name for unit in of.units} - {link.start for link in of.links} == {find_loss(program)}
