"""Pages as HTML with MathML: one file without scripts and without anything from elsewhere.

    Section  →  table, one line a row: forward equation, chain rule, local derivative
    Page     →  the tables in order, its notes as paragraphs

>>> html(Page((), notes=(("by hand & by rule",),))).count("by hand &amp; by rule")
1
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from symgrad.core.page import Line, Note, Page, Row, Section
from symgrad.printers import pages
from symgrad.printers.mathml import beside, equation

STYLE = """
.symgrad { color-scheme: light dark; --ink: #1b1b1b; --rule: #9a9a9a; --paper: #fff; color: var(--ink); line-height: 1.4; }
.symgrad table { border-collapse: collapse; margin: 1.2em 0; }
.symgrad caption { text-align: left; font-weight: 600; padding: 0 0 .5em; }
.symgrad th { text-align: left; font-weight: 600; padding: .3em 2.2em .3em 0; border-bottom: 1px solid var(--rule); }
.symgrad td { text-align: left; padding: .35em 2.2em .35em 0; vertical-align: middle; white-space: nowrap; }
.symgrad .wide { overflow-x: auto; }
.symgrad math { font-size: 1.1em; }
.symgrad mtd.l { text-align: left; }
@media (prefers-color-scheme: dark) { .symgrad { --ink: #e8e8e8; --rule: #777; --paper: #161616; } }
@media print {
  .symgrad { --ink: #000; --paper: #fff; font-size: 9pt; }
  .symgrad .wide { overflow: visible; }
  .symgrad tr { break-inside: avoid; }
}
"""
PAGE_STYLE = """
body { margin: 0; }
body > .symgrad { background: var(--paper); min-height: 100vh; padding: 1.5em 2em; box-sizing: border-box; font-family: serif; }
@page { size: %s; margin: 12mm; }
@media print { body > .symgrad { padding: 0; min-height: 0; } }
"""
PAPERS = ((220, "A2 landscape"), (150, "A3 landscape"), (90, "A4 landscape"), (0, "A4"))  # from how many characters


def html(page: Page) -> str:
    """A whole document, well-formed as XML too."""
    return (
        '<!DOCTYPE html>\n<html lang="en" xmlns="http://www.w3.org/1999/xhtml">\n<head>\n<meta charset="utf-8"/>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        f"<title>Backward pass</title>\n<style>{PAGE_STYLE % _paper(page)}</style>\n</head>\n"
        f"<body>\n{fragment(page)}\n</body>\n</html>\n"
    )


def _paper(page: Page) -> str:
    """What the rows fit on when printed."""
    wide = pages.width(page)
    return next(paper for least, paper in PAPERS if wide >= least)


def fragment(page: Page) -> str:
    """The tables with their style, to stand inside another page."""
    whole = [f"<p>{equation(page.whole)}</p>"] if page.whole else []
    notes = [f"<p>{_sentence(note)}</p>" for note in page.notes]
    body = "\n".join([*whole, *map(_section, page.sections), *notes])
    return f'<div class="symgrad">\n<style>{STYLE}</style>\n{body}\n</div>'


def _sentence(note: Note) -> str:
    return "".join(escape(part) if isinstance(part, str) else equation(part) for part in note)


def _section(section: Section) -> str:
    caption = f"<caption>{escape(section.caption)}</caption>\n" if section.caption else ""
    local = any(line.beside for row in section.rows for line in row.backward)
    *first, last = section.titles
    span = ' colspan="2"' if local else ""
    heads = "".join(f'<th scope="col">{escape(title)}</th>' for title in first) + f'<th scope="col"{span}>{escape(last)}</th>'
    rows = "\n".join(row for r in section.rows for row in _rows(r, len(section.titles) > 1, local))
    table = f"<table>\n{caption}<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>"
    return f'<div class="wide">{table}</div>'


def _rows(row: Row, two: bool, local: bool) -> Iterator[str]:
    cells = [equation(row.forward) if row.forward else ""]
    lines: tuple[Line | None, ...] = (row.backward or (None,)) if two else (None,)
    for line in lines:
        if two:
            cells += [equation(line) if line else ""] + ([beside(line) if line else ""] if local else [])
        yield "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
        cells = [""]
