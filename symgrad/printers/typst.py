"""Pages as documents of Typst, which becomes PDF without TeX.

    Section  →  the rows of one matrix without brackets, so that equations stand on one line; a frame where it has a caption
    Page     →  A4, on its side where tables are wide; a table is shrunk to the page and cut where it is long

>>> print(typst(Page((), notes=(("a #b ",),))).splitlines()[-1])
#"a #b ";

Words are strings, and each is ended by a semicolon, so that nothing after them is taken for a call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from symgrad.core.page import Line, Note, Page, Row, Section
from symgrad.printers import pages
from symgrad.printers.document import LANDSCAPE, PAGE, WIDE, chunks
from symgrad.printers.typst_math import PLUS_IS, TYPST, string

HEAD = """\
#set document(title: "Backward pass", date: none)
#set page(paper: "a4", margin: 2cm, flipped: {flipped})
#set text(font: "New Computer Modern", size: 10pt)
#show math.equation.where(block: true): set align(start)
#let adds = $class("relation", class("normal", +) class("normal", =))$
#let fit(body) = layout(page => {{
  let size = measure(body)
  let part = calc.min(1, page.width / size.width, page.height / size.height)
  scale(part * 100%, reflow: true, origin: top + left, body)
}})
#let rows(lines, ..cells) = $ #math.mat(
  delim: none, align: left, row-gap: 1.1em, column-gap: 1.6em,
  augment: (..lines, stroke: 0.5pt), ..cells.pos().map(row => row.map(math.display)),
) $
#let framed(lines, ..cells) = box(stroke: 0.5pt, inset: 0.8em, rows(lines, ..cells))
"""


def typst(page: Page) -> str:
    """A document on which nothing runs off the page."""
    wide = pages.width(page) > WIDE
    blocks = [f"#fit($ {equation(page.whole)} $)"] if page.whole else []
    for section in page.sections:
        caption = f"#block(sticky: true, strong({string(section.caption)}))\n" if section.caption else ""
        blocks += [
            caption * (not place) + table(section, rows) for place, rows in enumerate(chunks(section, LANDSCAPE if wide else PAGE))
        ]
    blocks += map(_sentence, page.notes)
    return "\n".join([HEAD.format(flipped=str(wide).lower()), "\n\n".join(blocks)]) + "\n"


def equation(line: Line) -> str:
    op = PLUS_IS if line.op == "+=" else line.op
    return f"{TYPST.show(line.left)} {op} {TYPST.show(line.right)}{_over(line)}"


def _over(line: Line) -> str:
    if not line.over:
        return ""
    shown = (f"{TYPST.show(i)} = {TYPST.show(first)}, …, {TYPST.show(last)}" for i, first, last in line.over)
    return f" quad ({'; '.join(shown)})"


def _sentence(note: Note) -> str:
    return "".join(f"#{string(part)};" if isinstance(part, str) else f"${equation(part)}$" for part in note)


def table(section: Section, rows: Sequence[Row]) -> str:
    """Some rows of a section under its titles."""
    two = len(section.titles) > 1
    local = any(line.beside for row in section.rows for line in row.backward)
    boxed = bool(section.caption)
    titles = [f"strong({string(title)})" for title in section.titles] + [""] * (two and local)
    cells = [titles, *(cells for row in rows for cells in _cells(row, two, local))]
    body = "".join(f"  ({', '.join(cell or '[]' for cell in row)},),\n" for row in cells)
    lines = "(hline: 1, vline: 1)" if boxed and two else "(hline: 1)"
    return f"#fit({'framed' if boxed else 'rows'}({lines},\n{body}))"


def _cells(row: Row, two: bool, local: bool) -> Iterator[list[str]]:
    forward = f"${equation(row.forward)}$" if row.forward else ""
    if not two:
        yield [forward]
        return
    for line in row.backward or (None,):
        cells = [forward, f"${equation(line)}{',' * bool(line.beside)}$" if line else ""]
        yield cells + [f"${_beside(line)}$" if line and line.beside else ""] * local
        forward = ""


def _beside(line: Line) -> str:
    assert line.beside is not None
    return " = ".join(map(TYPST.show, line.beside))
