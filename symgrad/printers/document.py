r"""Pages as whole LaTeX documents: an article, a deck of slides for Beamer.

    article   every table shrunk to the width of the page, turned to landscape where it is wide, cut where it is long
    beamer    a frame a table, the lines of the backward pass one by one

>>> article(Page((), notes=(("a & b",),))).splitlines()[-2]
'\\noindent a \\& b\\par'
"""

from __future__ import annotations

from collections.abc import Iterator

from symgrad.core.page import Line, Page, Row, Section
from symgrad.printers import pages
from symgrad.printers.latex import LATEX

WIDE = 95  # characters of text in a line that a portrait page has no room for
PAGE, LANDSCAPE, FRAME = 20, 13, 7  # lines of equations that fit
APART = "2.3"  # of lines, so that fractions do not touch
# no larger than the line and the page, and no larger than it is
FIT = r"""\newsavebox{\symgradbox}
\newcommand{\fit}[2]{\sbox{\symgradbox}{#2}%
  \ifdim\dimexpr\ht\symgradbox+\dp\symgradbox\relax>#1\relax
    \sbox{\symgradbox}{\resizebox*{!}{#1}{\usebox{\symgradbox}}}\fi
  \ifdim\wd\symgradbox>\linewidth\resizebox{\linewidth}{!}{\usebox{\symgradbox}}\else\usebox{\symgradbox}\fi}"""


def article(page: Page) -> str:
    """A document for pdflatex on which nothing runs off the page."""
    wide = pages.width(page) > WIDE
    blocks = [_shrunk(f"\\displaystyle {pages.equation(page.whole, LATEX)}")] if page.whole else []
    for section in page.sections:
        blocks += [rf"\medskip\noindent\textbf{{{pages.latex_words(section.caption)}}}\par\smallskip"] if section.caption else []
        blocks += [
            _shrunk(pages.latex_table(section, rows, stretch=APART)) for rows in chunks(section, LANDSCAPE if wide else PAGE)
        ]
    body = "\n".join([*blocks, *pages.latex_notes(page)])
    return (
        f"\\documentclass{{article}}\n\\usepackage[a4paper{',landscape' * wide},margin=2cm]{{geometry}}\n"
        f"\\usepackage{{amsmath,graphicx}}\n{FIT}\n\\begin{{document}}\n{body}\n\\end{{document}}\n"
    )


def beamer(page: Page) -> str:
    """A deck for pdflatex and Beamer. Sections too long for a frame go on in the next."""
    whole = _frame("Forward", [_shrunk(f"\\displaystyle {pages.equation(page.whole, LATEX)}", FRAME_HEIGHT)]) if page.whole else ""
    frames = [frame for section in page.sections for frame in _frames(section)]
    notes = _frame("Notes", pages.latex_notes(page)) if page.notes else ""
    body = "\n".join(part for part in (whole, *frames, notes) if part)
    return (
        "\\documentclass[aspectratio=169]{beamer}\n\\usepackage{amsmath,graphicx}\n\\setbeamertemplate{navigation symbols}{}\n"
        f"{FIT}\n\\begin{{document}}\n{body}\n\\end{{document}}\n"
    )


PAGE_HEIGHT, FRAME_HEIGHT = r"0.9\textheight", r"0.72\textheight"


def _shrunk(table: str, height: str = PAGE_HEIGHT) -> str:
    return f"\\par\\medskip\\noindent\\fit{{{height}}}{{$\n{table}\n$}}\\par"


def chunks(section: Section, room: int) -> Iterator[tuple[Row, ...]]:
    """The rows in groups of at most `room` lines; a row with more of its own goes on without its forward equation."""
    group: list[Row] = []
    used = 0
    for whole in section.rows:
        for row in _pieces(whole, room):
            lines = max(1, len(row.backward))
            if used + lines > room and group:
                yield tuple(group)
                group, used = [], 0
            group.append(row)
            used += lines
    yield tuple(group)


def _pieces(row: Row, room: int) -> Iterator[Row]:
    yield Row(row.forward, row.backward[:room])
    for start in range(room, len(row.backward), room):
        yield Row(None, row.backward[start : start + room])


def _frame(title: str, blocks: list[str]) -> str:
    return "\n".join([rf"\begin{{frame}}{{{title}}}", *blocks, r"\end{frame}"])


def _frames(section: Section) -> Iterator[str]:
    title = pages.latex_words(section.caption or " – ".join(section.titles))
    for rows in chunks(section, FRAME):
        number: dict[int, int] = {}

        def one_by_one(cell: str, line: Line | None, number: dict[int, int] = number) -> str:
            shown = number.setdefault(id(line), len(number) + 1)
            return rf"\uncover<{shown + 1}->{{{cell}}}"

        yield _frame(title, [_shrunk(pages.latex_table(section, rows, one_by_one, APART), FRAME_HEIGHT)])
