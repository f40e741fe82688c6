"""The table and its examples → docs/errors.md."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from symgrad.core.catalogue import CATALOGUE, FAMILIES
from tests.errors.examples import EXAMPLES
from tests.errors.rows import Example
from tests.errors.run import Answer, answer

PATH = Path(__file__).parent.parent.parent / "docs" / "errors.md"
HEAD = """# Errors

Every refusal has a code that keeps its meaning, the place where there is a text, what is wrong, and a hint. From Python it is a
`SymgradError` with `.code`, `.message`, `.filename`, `.line`, `.column` and `.hint`; `.as_dict()` has them all as plain values,
with `end_column` and `source_line` too. `symgrad … --json` prints that as one JSON object on standard error. Lines and columns
count from 1. A saved module stands alone, so it raises a `DataError` of its own with `.code`, `.message` and `.hint`.

| exit status of `symgrad` | |
|---|---|
| 0 | done |
| 1 | `symgrad check`: a claim is wrong |
| 2 | a refusal, told on standard error; nothing was written |
| 70 | a fault of symgrad, which names a report to send |
| 130 | ended by Ctrl-C; `symgrad train` saves first what was trained |

The report is a new file in the folder for temporary files, with the versions, the command line and the traceback, but no data; with
`SYMGRAD_DEBUG=1` the traceback is shown instead. With `--json` a fault is an object whose code is null.

Below is every code, each with what symgrad answers to an example; an answer repeats the line that is wrong. This page is made by
`python -m tests.errors` from the table `symgrad/core/catalogue.py` and the tested examples in `tests/errors`.
"""


@cache
def answers(code: str) -> tuple[tuple[Example, Answer], ...]:
    """The examples of a code with what symgrad says."""
    return tuple((example, answer(example)) for example in EXAMPLES if example.code == code)


def page() -> str:
    out = [HEAD]
    for digit, family in FAMILIES.items():
        codes = [code for code in CATALOGUE if code[2] == digit]
        links = " ".join(f"[{code}](#{code.lower()})" for code in codes)
        out.append(f"## SG{digit}xx {family.title}\n\n{family.intro}\n\n{links}\n")
        out += [_entry(code) for code in codes]
    return "\n".join(out)


def _entry(code: str) -> str:
    meaning = CATALOGUE[code]
    lines = [f"### {code}", "", meaning.cause, ""]
    for example, given in answers(code):
        asked = [] if example.shown() in given.shown.split("\n    ") else ["```text", example.shown(), "```"]
        lines += [*asked, "```text", given.shown, "```", ""]
    lines = [line.rstrip() for block in lines for line in block.split("\n")]
    return "\n".join([*lines, f"Fix: {meaning.fix}.", ""])
