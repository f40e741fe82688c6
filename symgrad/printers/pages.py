"""Pages of a derivation as text, LaTeX and Markdown.

Columns line up in a terminal; LaTeX is an array for amsmath; Markdown holds the LaTeX in $$.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from symgrad.core.greek import GREEK
from symgrad.core.page import CLOSED, Line, Note, Page, Row, Section
from symgrad.core.tree import Format
from symgrad.printers.latex import LATEX, SPECIAL
from symgrad.printers.text import TEXT

Wrap: TypeAlias = Callable[[str, Line | None], str]


def equation(line: Line, fmt: Format) -> str:
    op = r"\mathrel{+}=" if line.op == "+=" and fmt is LATEX else line.op
    return f"{fmt.show(line.left)} {op} {fmt.show(line.right)}" + _over(line, fmt)


def _over(line: Line, fmt: Format) -> str:
    """Where the equation holds: (t = T-1, …, 0)."""
    if not line.over:
        return ""
    dots, gap, between = (r"\dots", r"\quad ", r",\; ") if fmt is LATEX else ("…", "  ", "; ")
    shown = between.join(f"{fmt.show(i)} = {fmt.show(first)}, {dots}, {fmt.show(last)}" for i, first, last in line.over)
    return f"{gap}({shown})"


def beside(line: Line, fmt: Format) -> str:
    return f"{fmt.show(line.beside[0])} = {fmt.show(line.beside[1])}" if line.beside else ""


def sentence(note: Note, fmt: Format, mark: str = "", words: Callable[[str], str] = str) -> str:
    """A note as one line, its mathematics between marks, its words made safe by `words`."""
    return "".join(words(part) if isinstance(part, str) else f"{mark}{equation(part, fmt)}{mark}" for part in note)


# text


def text(page: Page) -> str:
    blocks = [equation(page.whole, TEXT)] if page.whole else []
    notes = ["\n".join(sentence(note, TEXT) for note in page.notes)] if page.notes else []
    return "\n\n".join([*blocks, *("\n".join(_text_section(section)) for section in page.sections), *notes])


def _text_section(section: Section) -> Iterator[str]:
    if section.caption:
        yield section.caption
    cells = [cell for row in section.rows for cell in _text_cells(row)]
    width = [max((len(cell[k]) for cell in cells), default=0) for k in range(3)]
    if len(section.titles) == 1:
        yield section.titles[0]
        yield "─" * max(len(section.titles[0]), width[0])
    else:
        left = max(width[0], len(section.titles[0]))
        width[0] = left
        right = width[1] + 3 + width[2] if width[2] else width[1]
        yield f"{section.titles[0]:{left}} │ {section.titles[1]}".rstrip()
        yield "─" * (left + 1) + "┼" + "─" * (max(right, len(section.titles[1])) + 1)
    for cell in cells:
        line = f"{cell[0]:{width[0]}}"
        if len(section.titles) > 1:
            line += f" │ {cell[1]:{width[1]}}" + (f"   {cell[2]}" if cell[2] else "")
        yield line.rstrip()


def _text_cells(row: Row) -> list[tuple[str, str, str]]:
    forward = [equation(row.forward, TEXT)] if row.forward else [""]
    lines = [(equation(line, TEXT) + "," * bool(line.beside), beside(line, TEXT)) for line in row.backward] or [("", "")]
    forward += [""] * (len(lines) - 1)
    return [(f, *b) for f, b in zip(forward, lines, strict=True)]


def width(page: Page) -> int:
    """Characters in the widest row of a page, as text."""
    return max(map(_width, page.sections), default=0)


def _width(section: Section) -> int:
    rows = [
        [len(equation(row.forward, TEXT)) if row.forward else 0]
        + [max((len(text(line, TEXT)) for line in row.backward), default=0) for text in (equation, beside)]
        for row in section.rows
    ]
    return sum(max((row[k] for row in rows), default=0) for k in range(3))


# LaTeX

MARKED = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_{}[]<>$#|"} | {"&": "&amp;"})


def latex_words(text: str) -> str:
    """Words as LaTeX sets them; Greek letters of names become formulas."""
    return "".join(rf"$\{GREEK[c]}$" if c in GREEK and GREEK[c] != "omicron" else c for c in text.translate(SPECIAL))


def markdown_words(text: str) -> str:
    return text.translate(MARKED)


def latex(page: Page) -> str:
    """A fragment for amsmath."""
    return "\n".join([*_latex_whole(page), *map(_captioned, page.sections), *latex_notes(page)])


def _latex_whole(page: Page) -> list[str]:
    return [rf"\[ {equation(page.whole, LATEX)} \]"] if page.whole else []


def latex_notes(page: Page) -> list[str]:
    return [rf"\noindent {sentence(note, LATEX, '$', latex_words)}\par" for note in page.notes]


def _captioned(section: Section) -> str:
    caption = rf"\noindent\textbf{{{latex_words(section.caption)}}}\par" + "\n" if section.caption else ""
    return f"{caption}\\[\n{latex_table(section)}\n\\]"


def latex_table(section: Section, rows: Sequence[Row] | None = None, wrap: Wrap | None = None, stretch: str = "1.6") -> str:
    """The array of a section, or of some of its rows, boxed where it has a caption.

    `wrap(cell, line)` may put something around a cell of a line.
    `stretch` is the distance of lines where there is one column.
    """
    two = len(section.titles) > 1
    local = any(line.beside for row in section.rows for line in row.backward)
    columns = "@{}l@{}" if not two else "@{}l@{\\qquad}l@{\\quad}l@{}" if local else "@{}l@{\\qquad}l@{}"
    boxed = bool(section.caption)
    if boxed:
        columns = "|l|" if not two else "|l|l@{\\quad}l|" if local else "|l|l|"
    titles = " & ".join(rf"\text{{{latex_words(title)}}}" for title in section.titles)
    lines = [r"\hline " * boxed + titles + " & " * (boxed and local) + r" \\ \hline"]
    for row in section.rows if rows is None else rows:
        lines += [line + r" \\" for line in _latex_cells(row, two, local, wrap or (lambda cell, _: cell))]
    lines[-1] += r" \hline" * boxed
    body = "\n  ".join(lines)
    # fractions in a row need more room than the array gives them
    stretch = "2.5" if two or section.titles == CLOSED else stretch
    return f"\\renewcommand{{\\arraystretch}}{{{stretch}}}\n\\begin{{array}}{{{columns}}}\n  {body}\n\\end{{array}}"


def _latex_cells(row: Row, two: bool, local: bool, wrap: Wrap) -> list[str]:
    forward = rf"\displaystyle {equation(row.forward, LATEX)}" if row.forward else ""
    if not two:
        return [wrap(forward, row.forward)]
    out = []
    for line in row.backward or (None,):
        cells = [forward, wrap(rf"\displaystyle {equation(line, LATEX)}" + "," * bool(line.beside), line) if line else ""]
        if local:
            cells.append(wrap(rf"\displaystyle {beside(line, LATEX)}", line) if line and line.beside else "")
        out.append(" & ".join(cells).rstrip(" &"))
        forward = ""
    return out


def markdown(page: Page) -> str:
    blocks = [f"$$\n{equation(page.whole, LATEX)}\n$$"] if page.whole else []
    for section in page.sections:
        blocks += [f"**{markdown_words(section.caption)}**"] if section.caption else []
        blocks.append(f"$$\n{latex_table(section)}\n$$")
    return "\n\n".join([*blocks, *(sentence(note, LATEX, "$", markdown_words) for note in page.notes)])
