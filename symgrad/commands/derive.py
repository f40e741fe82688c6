"""symgrad derive: the backward pass, printed or written, or a picture of the model."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from symgrad.commands.given import check_output, choose, reading, sizes
from symgrad.core.errors import SymgradError

if TYPE_CHECKING:
    from symgrad.core.page import Page
    from symgrad.derivation import Derivation

PICTURED = ("graph", "network")  # styles of a picture of the model


def derive(options: Any) -> None:
    """Print or write the backward pass."""
    from symgrad.derivation import derive as run
    from symgrad.kernel import save_bytes
    from symgrad.printers.formats import DRAWINGS, FORMATS

    choose("format", options.format, (*FORMATS, *DRAWINGS))
    _check_derive(options, [name for name, row in FORMATS.items() if row.binary], DRAWINGS)
    if options.output is not None:
        check_output(options.output, options.force)
    program, notes = reading(options.model, options.language)
    d = run(program, options.loss, options.wrt)
    shown = _drawn(d, options) if options.format in DRAWINGS else _printed(d, options)
    if options.explain:
        # what a program reads next stays alone on standard output
        print("\n".join([f"{program}\n", *notes, ""]), file=sys.stdout if options.format == "text" else sys.stderr)
    if options.output is None:
        assert isinstance(shown, str)
        print(shown.removesuffix("\n"))
        return
    data = shown if isinstance(shown, bytes) else f"{shown.removesuffix(chr(10))}\n".encode()
    print(f"wrote {save_bytes(options.output, data, options.force)}")


def _check_derive(options: Any, binary: Collection[str], drawings: Collection[str]) -> None:
    """Options that do not go together."""
    if options.format in binary and options.output is None:
        raise SymgradError("SG706", f"{options.format} is not for a terminal", hint=f"write it to a file: -o page.{options.format}")
    pictured = options.format in drawings
    if pictured and options.style is not None:
        choose("style of a picture", options.style, PICTURED)
    meant = {"--gradient": not pictured, "--size": pictured and options.style == "network"}
    for option, meaning in meant.items():
        if getattr(options, option[2:]) and not meaning:
            what = f"{options.format} in the style {options.style or (PICTURED[0] if pictured else 'slides')}"
            raise SymgradError("SG706", f"{option} has no meaning for {what}", hint=f"leave {option} out")


def _drawn(d: Derivation, options: Any) -> str:
    """The graph, or the network."""
    from symgrad.printers.formats import DRAWINGS, NETWORKS
    from symgrad.printers.formats import choose as choose_row
    from symgrad.transform.network import network

    if options.style == "network":
        row = NETWORKS[choose_row(options.format, NETWORKS, "picture of the network")]
        return row.writer(options.standalone)(network(d.program, d.loss, sizes(options.size)))
    return DRAWINGS[options.format].writer(options.standalone)(d.drawing())


def _printed(d: Derivation, options: Any) -> str | bytes:
    from symgrad.printers.formats import FORMATS
    from symgrad.printers.latex import LATEX
    from symgrad.printers.pages import equation

    make: Callable[[Page], str | bytes] = FORMATS[options.format].writer(options.standalone)
    if not options.gradient:
        return make(d.page(options.style or "slides", options.explain))
    gradient = d.gradient(options.gradient)
    if options.format == "latex" and not options.standalone:
        # one formula, to stand in a formula
        return "\n".join([gradient.latex(), *(rf"\quad \text{{given }} {equation(line, LATEX)}" for line in gradient.given())])
    return make(gradient.page())
