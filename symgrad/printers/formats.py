"""The one table of formats: a row makes a method of all that prints and a choice of the command line.

    Printed   pages: a row is an attribute, `shown.html(...)` takes what `shown.page(...)` takes and prints that page
    DRAWINGS  pictures of the graph, which `shown.graph("svg")` draws
    NETWORKS  pictures of the network, which `shown.network("svg")` draws

>>> [*FORMATS, *DRAWINGS]
['text', 'latex', 'markdown', 'html', 'beamer', 'typst', 'pdf', 'svg', 'dot', 'mermaid', 'tikz']
>>> FORMATS["latex"].standalone is document.article
True
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from inspect import Parameter, Signature, signature
from typing import Any, Generic, ParamSpec, Protocol, Self, TypeVar, overload

from symgrad.core.collector import rare_collections
from symgrad.core.drawing import Drawing, Network
from symgrad.core.errors import SymgradError, did_you_mean
from symgrad.core.page import Page
from symgrad.printers import document, dot, html, mermaid, network, pages, pdf, svg, tikz, typst

P = ParamSpec("P")
Picture = TypeVar("Picture")
Out = TypeVar("Out", str, bytes, covariant=True)


class HasPage(Protocol[P]):
    def page(self, *args: P.args, **how: P.kwargs) -> Page: ...


class PageFormat(Generic[Out]):
    """A row: `write` prints a page, `standalone` prints what is a fragment as a document; `binary` is not for a terminal."""

    def __init__(
        self, write: Callable[[Page], Out], doc: str, standalone: Callable[[Page], str] | None = None, binary: bool = False
    ) -> None:
        self.write: Callable[[Page], Out] = write
        self.standalone, self.binary = standalone, binary
        self.__doc__ = doc

    def writer(self, standalone: bool) -> Callable[[Page], Out | str]:
        return self.standalone if standalone and self.standalone else self.write

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, shown: None, owner: type) -> Self: ...
    @overload
    def __get__(self, shown: HasPage[P], owner: type) -> Callable[P, Out]: ...
    def __get__(self, shown: HasPage[P] | None, owner: type) -> Self | Callable[P, Out]:
        if shown is None:
            return self

        @rare_collections()
        def printed(*args: P.args, **how: P.kwargs) -> Out:
            return self.write(shown.page(*args, **how))

        _as_method(printed, self, shown.page)
        return printed


class Fragment(PageFormat[str]):
    """A row whose method takes `standalone` too: a document on which nothing runs off the page."""

    def __get__(self, shown: Any, owner: type) -> Any:
        if shown is None:
            return self

        @rare_collections()
        def printed(*args: Any, standalone: bool = False, **how: Any) -> str:
            return self.writer(standalone)(shown.page(*args, **how))

        _as_method(printed, self, shown.page, Parameter("standalone", Parameter.KEYWORD_ONLY, default=False))
        return printed


def _as_method(printed: Callable[..., Any], row: PageFormat[Any], page: Callable[..., Page], *more: Parameter) -> None:
    """`printed` with the name and the words of its row, and the parameters of `page`."""
    printed.__name__, printed.__doc__ = row.name, row.__doc__
    vars(printed)["__signature__"] = Signature([*signature(page).parameters.values(), *more])


class Printed:
    """What has a `page`, in every format."""

    text = PageFormat(pages.text, "Unicode text that lines up in a terminal.")
    latex = Fragment(pages.latex, "A LaTeX fragment for amsmath; `standalone`: a document.", document.article)
    markdown = PageFormat(pages.markdown, "Markdown with the mathematics in $$.")
    html = PageFormat(html.html, "A document with MathML that needs nothing else: no script, no font, no network.")
    beamer = PageFormat(document.beamer, "A deck for LaTeX's Beamer that shows the backward pass line by line.")
    typst = PageFormat(typst.typst, "A document for Typst.")
    pdf = PageFormat(pdf.pdf, "PDF, by pdflatex or else by Typst. Raises SG611 (neither is there), SG707 (it fails).", binary=True)

    def _repr_mimebundle_(self: Shown, include: object = None, exclude: object = None) -> dict[str, str]:
        return bundle(self)


@dataclass(frozen=True)
class PictureFormat(Generic[Picture]):
    """A row: `write` draws a picture, `standalone` makes a document of it."""

    write: Callable[[Picture], str]
    standalone: Callable[[Picture], str] | None = None

    def writer(self, standalone: bool) -> Callable[[Picture], str]:
        return self.standalone if standalone and self.standalone else self.write


DRAWINGS: dict[str, PictureFormat[Drawing]] = {
    "svg": PictureFormat(svg.svg),
    "dot": PictureFormat(dot.dot),
    "mermaid": PictureFormat(mermaid.mermaid),
    "tikz": PictureFormat(tikz.tikz, tikz.document),
}
NETWORKS: dict[str, PictureFormat[Network]] = {
    "svg": PictureFormat(network.svg),
    "tikz": PictureFormat(network.tikz, network.document),
}
FORMATS: dict[str, PageFormat[Any]] = {name: row for name, row in vars(Printed).items() if isinstance(row, PageFormat)}


def choose(name: str, known: Collection[str], of: str = "") -> str:
    """`name`, if it is a format of what `of` says. Raises SG207."""
    if name in known:
        return name
    hint = did_you_mean(name, known) or f"the formats are {', '.join(known)}"
    raise SymgradError("SG207", f"there is no {of and f'{of} in the '}format {name}", hint=hint)


class Shown(Protocol):
    """What a notebook shows."""

    @property
    def text(self) -> Callable[[], str]: ...
    @property
    def latex(self) -> Callable[[], str]: ...
    @property
    def markdown(self) -> Callable[[], str]: ...
    def page(self) -> Page: ...


def bundle(shown: Shown) -> dict[str, str]:
    """The MIME types a notebook chooses from."""
    return {
        "text/plain": shown.text(),
        "text/html": html.fragment(shown.page()),
        "text/markdown": shown.markdown(),
        "text/latex": shown.latex(),
    }
