"""All formats by name: one line a format, for the methods of derivations, notebooks and the command line.

>>> sorted({**FORMATS, **DRAWINGS})
['beamer', 'dot', 'html', 'latex', 'markdown', 'mermaid', 'pdf', 'svg', 'text', 'tikz', 'typst']
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from symgrad.core.drawing import Drawing
from symgrad.core.errors import SymgradError, did_you_mean
from symgrad.core.page import Page
from symgrad.printers import document, dot, html, mermaid, pages, pdf, svg, tikz, typst

FORMATS: dict[str, Callable[[Page], str | bytes]] = {
    "text": pages.text,
    "latex": pages.latex,
    "markdown": pages.markdown,
    "html": html.html,
    "beamer": document.beamer,
    "typst": typst.typst,
    "pdf": pdf.pdf,
}
# what is a fragment, as a document of its own
STANDALONE: dict[str, Callable[[Page], str]] = {"latex": document.article}
DRAWINGS: dict[str, Callable[[Drawing], str]] = {"svg": svg.svg, "dot": dot.dot, "mermaid": mermaid.mermaid, "tikz": tikz.tikz}


DRAWING_STANDALONE: dict[str, Callable[[Drawing], str]] = {"tikz": tikz.document}
BINARY = frozenset({"pdf"})


def choose(name: str, known: Collection[str]) -> str:
    """`name`, if it is a format. Raises SG207."""
    if name in known:
        return name
    hint = did_you_mean(name, known) or f"the formats are {', '.join(known)}"
    raise SymgradError("SG207", f"there is no format {name}", hint=hint)


class Shown(Protocol):
    """What a notebook shows."""

    def text(self) -> str: ...
    def latex(self) -> str: ...
    def markdown(self) -> str: ...
    def page(self) -> Page: ...


def bundle(shown: Shown) -> dict[str, str]:
    """The MIME types a notebook chooses from."""
    return {
        "text/plain": shown.text(),
        "text/html": html.fragment(shown.page()),
        "text/markdown": shown.markdown(),
        "text/latex": shown.latex(),
    }
