"""Formats that leave the terminal: HTML, documents, decks, PDF, graphs, notebooks."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from functools import cache
from inspect import signature
from itertools import combinations
from pathlib import Path

import pytest

import symgrad as sg
from symgrad.cli import main
from symgrad.core.drawing import Drawing, Edge, Node
from symgrad.core.page import Line, Page, Row, Section
from symgrad.core.tree import Deriv, Name
from symgrad.derivation import Derivation
from symgrad.operators import Operator
from symgrad.printers import document, dot, html, mermaid, pages, pdf, svg, tikz, typst
from symgrad.printers.formats import DRAWINGS, FORMATS, NETWORKS
from symgrad.printers.layering import GAP_X, layers, place, spread
from tests.golden_files import assert_golden
from tests.models import MODELS

ROOT = Path(__file__).parent.parent
NAMES = ("S1", "S3", "S7", "gru")
Capture = pytest.CaptureFixture[str]
PRINTED: dict[str, Callable[[Page], str]] = {
    "html": html.html,
    "beamer": document.beamer,
    "tex": document.article,
    "typst": typst.typst,
    "markdown": pages.markdown,
}
CASES = [(name, style, format) for name in NAMES for style in ("slides", "steps") for format in PRINTED]
# all styles in all formats for a scalar and a network
CASES += [(name, style, format) for name in ("S1", "S7") for style in ("modules", "closed", "matrix") for format in PRINTED]
CASES += [(name, style, "typst") for name in ("attention", "batch_norm", "lstm", "max_pool") for style in ("slides", "modules")]
CASES += [(name, "graph", format) for name in NAMES for format in DRAWINGS]
CASES += [(name, "network", format) for name in ("S3", "S7") for format in NETWORKS]


@cache
def derivation(name: str) -> Derivation:
    return sg.derive(MODELS[name].program() if name in MODELS else sg.read(ROOT / f"examples/gallery/{name}.sg"))


@cache
def printed(name: str, style: str, format: str) -> str:
    d = derivation(name)
    if style in ("graph", "network"):
        return d.graph(format) if style == "graph" else d.network(format, {"M": 2})
    return PRINTED[format](d.page(style))


@pytest.mark.parametrize(("name", "style", "format"), CASES, ids=["-".join(case) for case in CASES])
def test_goldens(name: str, style: str, format: str) -> None:
    """Any change of what is printed."""
    assert_golden(f"formats/{name}.{style}.{format}", printed(name, style, format))


# nothing reaches outside, nothing breaks out

XML = [case for case in CASES if case[2] in ("html", "svg")]


def assert_self_contained(text: str) -> None:
    for element in ElementTree.fromstring(text).iter():
        assert element.tag.rpartition("}")[2] not in {"script", "link", "img", "iframe", "object", "foreignObject", "a"}
        assert not {key for key in element.attrib if key.rpartition("}")[2] in {"src", "href"} or key.startswith("on")}
    assert "@import" not in text
    assert set(re.findall(r"url\([^)]*\)", text)) <= {"url(#up)", "url(#down)"}


@pytest.mark.parametrize(("name", "style", "format"), XML, ids=["-".join(case) for case in XML])
def test_pages_and_pictures_are_self_contained(name: str, style: str, format: str) -> None:
    """An element left open; a script or a thing to load from elsewhere."""
    assert_self_contained(printed(name, style, format))


HOSTILE = [
    '"><script>x</script>',
    "a&b",
    "a|b",
    'a"]',
    "a\\b",
    "x]]>",
    "</svg>",
    "a\\end{document}",
    "$x$",
    "a%b",
    "a#quot;b",
    "]]--> n9",
]


def hostile_drawing(name: str) -> Drawing:
    nodes = (Node("J", Name("J"), (Line(Name("J"), "=", Name(name)),), role="loss"), Node(name, Name(name, (Name(name),))))
    return Drawing(nodes, (Edge(name, "J", ((Deriv(Name("J"), Name(name)), Name(name)),)),))


def hostile_page(name: str) -> Page:
    line = Line(Name("J"), "=", Name(name), (Name(name), Name(name)))
    return Page((Section(("A", name), (Row(line, (line,)),), name),), line, ((name, line),))


@pytest.mark.parametrize("name", HOSTILE)
def test_names_stay_names(name: str) -> None:
    """A name or a word that ends its element, string or group: an injection."""
    page, graph = html.html(hostile_page(name)), svg.svg(hostile_drawing(name))
    assert_self_contained(page)
    assert_self_contained(graph)
    assert name in "".join(ElementTree.fromstring(page).itertext())
    string = r'"(?:[^"\\]|\\.)*"'
    for line in dot.dot(hostile_drawing(name)).splitlines()[4:-1]:
        assert re.fullmatch(rf"  n\d( -> n\d)?( \[label={string}[\w, =]*\])?;", line)
    for line in mermaid.mermaid(hostile_drawing(name)).splitlines()[1:]:
        assert re.fullmatch(r'  n\d(\(?\[{1,2}"[^"<>|`]*(<br/>[^"<>|`]*)*"\]{1,2}\)?|.* n\d)', line)
    for text in (pages.latex(hostile_page(name)), tikz.tikz(hostile_drawing(name))):
        bare = text.replace(r"\{", "").replace(r"\}", "").replace(r"\$", "").replace(r"\textbackslash{}", "")
        assert r"\end{document}" not in text
        assert bare.count("{") == bare.count("}")
        assert bare.count("$") % 2 == 0
        assert "%" not in bare.replace(r"\%", "")


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_reads_the_graphs(tmp_path: Path) -> None:
    """A string or an attribute that Graphviz refuses."""
    texts = [printed(name, "graph", "dot") for name in NAMES] + [dot.dot(hostile_drawing(name)) for name in HOSTILE]
    ran = subprocess.run(["dot", "-Tplain"], input="\n".join(texts), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("graph 1") == len(texts)


def body(text: str) -> str:
    return text.partition(r"\begin{document}")[2].partition(r"\end{document}")[0]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("format", ["tex", "beamer"])
def test_latex_compiles(format: str, tmp_path: Path) -> None:
    """An undefined command, a missing brace, a box that runs off the page; graphs are on the article's pages."""
    texts = [printed(*case) for case in CASES if case[2] == format]
    if format == "tex":
        texts += [tikz.around(printed(*case)) for case in CASES if case[2] == "tikz"]
        texts += [document.article(hostile_page(name)) for name in HOSTILE]
    else:
        # one slide a frame is quick, and each overlay holds the same boxes
        texts[0] = texts[0].replace("[aspectratio", "[handout,aspectratio")
    head = texts[0].partition(r"\begin{document}")[0] + (r"\usepackage{tikz}" if format == "tex" else "")
    text = head + r"\begin{document}" + "\n\\clearpage\n".join(map(body, texts)) + r"\end{document}"
    (tmp_path / "a.tex").write_text(text, encoding="utf-8")
    command = ["pdflatex", "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "a.tex"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert ran.returncode == 0, ran.stdout[-2000:]
    assert "Overfull" not in ran.stdout
    assert int(re.findall(r"\((\d+) pages", ran.stdout)[0]) >= len(texts)


# pages


@pytest.mark.parametrize("format", [*(name for name, row in FORMATS.items() if not row.binary), "standalone latex"])
def test_notes_and_captions_show(format: str) -> None:
    """A format that drops the words below the equations, or above a table."""
    line = Line(Name("q"), "=", Name("r"))
    page = Page((Section(("One",), (Row(line),), "Caption here"),), None, (("note & more ", line),))
    make = document.article if " " in format else FORMATS[format].write
    text = make(page)
    assert isinstance(text, str)
    assert "Caption here" in text
    assert "note" in text
    assert ("note & more" in text) == (format in ("text", "typst"))


def test_decks_show_every_line_once_and_one_by_one() -> None:
    """A line lost where a table goes on in the next frame; a frame with more lines than it has room for."""
    text = printed("gru", "slides", "beamer")
    page = derivation("gru").page()
    frames = text.split(r"\begin{frame}")[1:]
    lines = [line for section in page.sections for row in section.rows for line in row.backward]
    lines += [row.forward for section in page.sections[1:] for row in section.rows if row.forward]
    numbers = [[int(n) for n in re.findall(r"\\uncover<(\d+)->", frame)] for frame in frames]
    assert sum(len(set(found)) for found in numbers) == len(lines)
    for found in numbers:
        assert sorted(set(found)) == list(range(2, len(set(found)) + 2))
        assert len(set(found)) <= document.FRAME


def test_wide_pages_lie_on_their_side() -> None:
    """A wide table on a portrait page, unreadably small."""
    assert "landscape" in printed("gru", "slides", "tex")
    assert "landscape" not in printed("S1", "slides", "tex")


def test_matrix_nodes_have_mathml() -> None:
    """The elementwise product."""
    from symgrad.core.tree import Prod
    from symgrad.printers.mathml import MATHML

    assert "<mo>⊙</mo>" in MATHML.show(Prod((("*", Name("a")), ("o", Name("b")))))


# graphs


@pytest.mark.parametrize("name", NAMES)
def test_boxes_do_not_overlap(name: str) -> None:
    """A label on another, a node outside the picture."""
    placed = svg.arranged(derivation(name).drawing())
    boxes = [*placed.boxes.values(), *(stop for stops in placed.stops for stop in stops if stop.height)]
    for a, b in combinations(boxes, 2):
        apart = abs(a.x - b.x) * 2 >= a.width + b.width - 1e-6 or abs(a.y - b.y) * 2 >= a.height + b.height - 1e-6
        assert apart, (a, b)
    assert all(a.x >= a.width / 2 and a.x + a.width / 2 <= placed.width for a in boxes)


def test_layers_are_longest_paths() -> None:
    """A quantity beside or above what it is read by; a ring that never ends."""
    assert layers(["J", "y", "x"], [("y", "J"), ("x", "y"), ("x", "J")]) == {"J": 0, "y": 1, "x": 2}
    ring = layers(["J", "h", "z"], [("h", "J"), ("h", "h"), ("z", "h"), ("h", "z")])
    assert ring["J"] == 0
    assert len(set(ring.values())) == 3
    assert place({}, []).boxes == {}


def test_places_in_a_layer_are_the_nearest() -> None:
    """Boxes that move though they need not, or stop short of each other."""
    assert spread([0.0, 100.0], [10.0, 10.0]) == [0.0, 100.0]
    assert spread([5.0, 5.0, 5.0], [10.0, 10.0, 10.0]) == pytest.approx([-5 - GAP_X + 0.0, 5.0, 15 + GAP_X])


def test_graph_shows_every_read_and_partial() -> None:
    """An edge lost, or drawn to a quantity that is not differentiated."""
    edges = {(e.start, e.end): bool(e.partials) for e in derivation("S3").drawing().edges}
    assert edges == {
        ("y_star", "J"): False, ("y", "J"): True, ("b", "y"): True, ("beta", "b"): True, ("z", "b"): True,
        ("a", "z"): True, ("alpha", "a"): True, ("x", "a"): True,
    }  # fmt: skip


@pytest.mark.parametrize("format", DRAWINGS)
def test_numbers_on_nodes(format: str) -> None:
    """The forward value or the partial of a scalar missing or wrong."""
    d = sg.derive(sg.parse("index i in 1..N; a = sum(w[i]*x[i] for i); y = a^2; J = 3y"), wrt=["w"])
    text = d.graph(format, values={"w": [1.0, 2.0], "x": [3.0, -1.0]})
    plain = re.sub(r"\s+", " ", text).replace("\\frac{dJ}{da}", "dJ/da")
    assert "a = 1" in plain
    assert "dJ/da = 6" in plain


def test_numbers_are_few() -> None:
    """A picture that waits minutes for 50-digit arithmetic on a large array; missing arrays."""
    d = sg.derive(sg.parse("J = sum(x[i]^2 for i in 1..N)"))
    with pytest.raises(sg.SymgradError, match="10,000") as error:
        d.graph("svg", values={"x": [1.0] * 10_001})
    assert error.value.code == "SG509"
    with pytest.raises(sg.SymgradError) as error:
        d.graph("svg", values={})
    assert error.value.code == "SG601"
    with pytest.raises(sg.SymgradError) as error:
        d.graph("svgg")
    assert (error.value.code, error.value.hint) == ("SG207", "did you mean svg?")


@pytest.mark.parametrize("operator", [sg.jacobian, sg.vjp, sg.jvp, sg.hvp, sg.hessian])
@pytest.mark.parametrize("format", [*(name for name, row in FORMATS.items() if not row.binary), *DRAWINGS])
def test_operators_print_as_derivations_do(operator: Callable[[sg.Program], Operator], format: str) -> None:
    """A format that what has no loss lacks; a graph without its local derivatives."""
    shown = operator(sg.parse("index i in 1..N; u = sum(x[i]^3 for i); J = exp(u)"))
    if format in FORMATS:
        assert getattr(shown, format)() == FORMATS[format].write(shown.page())
    else:
        assert "3" in shown.graph(format)
        assert shown.graph(format) == sg.derive(shown.program).graph(format)


def test_methods_have_the_signature_of_their_page() -> None:
    """Help that names no style; a format without a method."""
    for name in FORMATS:
        method = getattr(derivation("S1"), name)
        assert (method.__name__, bool(method.__doc__)) == (name, True)
        assert {"style", "explain"} <= set(signature(method).parameters)


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"x": 3.0, "w": [1.0]}, "SG602"),
        ({"x": [[1.0]], "w": [1.0]}, "SG602"),
        ({"x": [[1.0], [1.0, 2.0]], "w": [1.0]}, "SG602"),
        ({"x": ["a"], "w": [1.0]}, "SG603"),
        ({"x": [1.0, 2.0], "w": [1.0]}, "SG604"),
        ({"x": [1.0]}, "SG601"),
        ({"q": 1.0}, "SG203"),
    ],
)
def test_numbers_that_are_not_the_model_s(values: dict[str, object], code: str) -> None:
    """A traceback of NumPy, or the picture of other numbers."""
    d = sg.derive(sg.parse("index i in 1..N; param w[i]; J = sum(w[i]*x[i] for i)^2"))
    for draw in (d.graph, d.network):
        with pytest.raises(sg.SymgradError) as error:
            draw("svg", values=values)
        assert error.value.code == code


# notebooks


def test_notebooks_choose_from_four_types() -> None:
    """A type missing, or one that shows something else than the method of its name."""
    d = derivation("S1")
    p = sg.parse("index i, k in 1..N; y[i] = tanh(sum(A[i,k]*x[k] for k))")
    from symgrad.operators import jacobian

    for shown in (d, d.gradient("x"), jacobian(p, "y", "x")):
        found = shown._repr_mimebundle_()
        assert sorted(found) == ["text/html", "text/latex", "text/markdown", "text/plain"]
        assert found["text/plain"] == shown.text()
        assert found["text/markdown"] == shown.markdown()
        assert shown.latex() in found["text/latex"]
        assert "<math" in found["text/html"]
        assert "<html" not in found["text/html"]


# the command line


def test_files_are_written_once(tmp_path: Path, capsys: Capture) -> None:
    """A file overwritten without being asked to; text and file that differ."""
    path = tmp_path / "page.html"
    command = ["derive", "J = x^2", "--format", "html", "-o", str(path)]
    assert main(command) == 0
    assert path.read_text(encoding="utf-8") == sg.derive(sg.parse("J = x^2")).html()
    assert main(command) == 2
    assert "SG701" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0
    assert main([*command[:-1], str(tmp_path / "no" / "page.html")]) == 2
    assert "SG702" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--format", "pdf"], "SG706"),
        (["--format", "dot", "--style", "steps"], "SG207"),
        (["--format", "dot", "--style", "network"], "SG207"),
        (["--format", "html", "--style", "network"], "SG207"),
        (["--format", "svg", "--size", "D=2"], "SG706"),
        (["--format", "svg", "--style", "network", "--size", "D=2"], "SG614"),
        (["--format", "svg", "--gradient", "x"], "SG706"),
        (["--format", "html", "--style", "none"], "SG207"),
        (["--format", "graph"], "SG207"),
    ],
)
def test_options_that_have_no_meaning(options: list[str], code: str, capsys: Capture) -> None:
    """An option passed over in silence; binary in a terminal."""
    assert main(["derive", "J = x^2", *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert code in err


@pytest.mark.parametrize("format", [name for name, row in {**FORMATS, **DRAWINGS}.items() if row.standalone])
def test_standalone_is_a_document(format: str, capsys: Capture) -> None:
    """The option not passed on."""
    assert main(["derive", "J = x^2", "--format", format]) == 0
    assert "documentclass" not in capsys.readouterr().out
    assert main(["derive", "J = x^2", "--format", format, "--standalone"]) == 0
    assert capsys.readouterr().out.startswith("\\documentclass")


def test_pdf_with_neither(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture) -> None:
    """A traceback where pdflatex and Typst are missing; a hint at one way only; an empty file left behind."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setitem(sys.modules, "typst", None)
    assert main(["derive", "J = x^2", "--format", "pdf", "-o", str(tmp_path / "a.pdf")]) == 2
    said = capsys.readouterr().err
    assert [word for word in ("SG611", "symgrad[pdf]", "TeX") if word not in said] == []
    assert list(tmp_path.iterdir()) == []


def test_pdf_by_typst(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No PDF without TeX; bytes that depend on the hour."""
    pytest.importorskip("typst")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert main(["derive", "J = x^2", "--format", "pdf", "-o", str(tmp_path / "a.pdf")]) == 0
    assert (tmp_path / "a.pdf").read_bytes() == sg.derive(sg.parse("J = x^2")).pdf()
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")


def test_typst_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Typst's own words for what is wrong lost; a page that reads a file."""
    pytest.importorskip("typst")
    with pytest.raises(sg.SymgradError, match="unknown variable: nonsense") as error:
        pdf.by_typst("$nonsense$")
    assert error.value.code == "SG707"
    with pytest.raises(sg.SymgradError) as error:
        pdf.by_typst(f'#read("{Path(__file__).resolve()}")')
    assert error.value.code == "SG707"


TO_TYPST = [
    *HOSTILE,
    '#read("a")',
    '"#x"',
    "x\\",
    "//x",
    "/*",
    "a.len()",
    "∑",
    "e\u0301",
    "_",
    "@a",
    "x\ny",
]


@pytest.mark.parametrize("name", TO_TYPST)
def test_typst_takes_names_for_text(name: str) -> None:
    """A name or a word that ends its string, and so runs."""
    text = typst.typst(hostile_page(name)).removeprefix(typst.HEAD.format(flipped="false"))
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "STRING", text, flags=re.DOTALL)
    assert set(re.findall(r"#\w*|@|<|//|/\*|`|\\", bare)) <= {"#fit", "#block", "#STRING"}
    assert [bare.count(mark) for mark in "([{"] == [bare.count(mark) for mark in ")]}"]
    assert bare.count("$") % 2 == 0
    assert '"' not in bare


def test_typst_compiles() -> None:
    """A word without quotes, a group that does not close, a name that breaks out."""
    pytest.importorskip("typst")
    for name in TO_TYPST:
        assert pdf.by_typst(typst.typst(hostile_page(name))).startswith(b"%PDF")


def test_pdf_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """pdflatex's own words for what is wrong lost."""
    fake = tmp_path / "pdflatex"
    fake.write_text("#!/bin/sh\necho '! Undefined control sequence.'\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda _: str(fake))
    with pytest.raises(sg.SymgradError, match="Undefined control sequence") as error:
        derivation("S1").pdf()
    assert error.value.code == "SG707"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_pdf(tmp_path: Path) -> None:
    """What is written is no PDF; bytes that depend on the hour."""
    jacobian = sg.jacobian(sg.parse("y = x^2"))
    assert jacobian.pdf() == jacobian.pdf()
    assert main(["derive", "J = x^2", "--format", "pdf", "-o", str(tmp_path / "a.pdf")]) == 0
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
