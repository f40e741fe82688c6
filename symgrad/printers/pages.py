"""Pages of a derivation as text, LaTeX and Markdown.

Columns line up in a terminal; LaTeX is an array for amsmath; Markdown holds the LaTeX in $$.
"""

from __future__ import annotations

from collections.abc import Iterator

from symgrad.core.page import CLOSED, Line, Note, Page, Row, Section
from symgrad.core.tree import Format
from symgrad.printers.latex import LATEX
from symgrad.printers.text import TEXT


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


def sentence(note: Note, fmt: Format, mark: str = "") -> str:
    """A note as one line, its mathematics between marks."""
    return "".join(part if isinstance(part, str) else f"{mark}{equation(part, fmt)}{mark}" for part in note)


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


# LaTeX


def latex(page: Page) -> str:
    blocks = [rf"\[ {equation(page.whole, LATEX)} \]"] if page.whole else []
    notes = [rf"\noindent {sentence(note, LATEX, '$')}\par" for note in page.notes]
    sections = [rf"\noindent\textbf{{{s.caption}}}" * bool(s.caption) + _latex_section(s) for s in page.sections]
    return "\n".join([*blocks, *sections, *notes])


def _latex_section(section: Section) -> str:
    """The rows as an array; a section with a caption is boxed."""
    boxed = bool(section.caption)
    two = len(section.titles) > 1
    local = any(line.beside for row in section.rows for line in row.backward)
    columns = "@{}l@{}" if not two else "@{}l@{\\qquad}l@{\\quad}l@{}" if local else "@{}l@{\\qquad}l@{}"
    if boxed:
        columns = "|l|" if not two else "|l|l@{\\quad}l|" if local else "|l|l|"
    titles = " & ".join(rf"\text{{{title}}}" for title in section.titles)
    rows = [r"\hline " * boxed + titles + " & " * (boxed and local) + r" \\ \hline"]
    for row in section.rows:
        rows += [line + r" \\" for line in _latex_cells(row, two, local)]
    rows[-1] += r" \hline" * boxed
    body = "\n  ".join(rows)
    # fractions in a row need more room than the array gives them
    stretch = "2.5" if two or section.titles == CLOSED else "1.6"
    return f"\\[\n\\renewcommand{{\\arraystretch}}{{{stretch}}}\n\\begin{{array}}{{{columns}}}\n  {body}\n\\end{{array}}\n\\]"


def _latex_cells(row: Row, two: bool, local: bool) -> list[str]:
    forward = rf"\displaystyle {equation(row.forward, LATEX)}" if row.forward else ""
    if not two:
        return [forward]
    out = []
    for line in row.backward or (None,):
        cells = [forward, rf"\displaystyle {equation(line, LATEX)}" + "," * bool(line.beside) if line else ""]
        if local:
            cells.append(rf"\displaystyle {beside(line, LATEX)}" if line and line.beside else "")
        out.append(" & ".join(cells).rstrip(" &"))
        forward = ""
    return out


def markdown(page: Page) -> str:
    blocks = [f"$$\n{equation(page.whole, LATEX)}\n$$"] if page.whole else []
    sections = [f"**{s.caption}**\n\n" * bool(s.caption) + _markdown_section(s) for s in page.sections]
    return "\n\n".join([*blocks, *sections, *(sentence(note, LATEX, "$") for note in page.notes)])


def _markdown_section(section: Section) -> str:
    body = _latex_section(section).removeprefix("\\[\n").removesuffix("\n\\]")
    return f"$$\n{body}\n$$"
