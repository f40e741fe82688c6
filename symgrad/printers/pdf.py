"""A page → PDF through pdflatex where it is installed, else through Typst, the extra `pdf`.

pdflatex runs in a folder of its own that is removed afterwards, without shell escape, and is ended after a minute. Typst runs
in this process; it reads no file and no fonts but its own. Neither writes the hour: the same page has the same bytes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from symgrad.core.errors import SymgradError
from symgrad.core.page import Page
from symgrad.printers.document import article
from symgrad.printers.typst import typst

SECONDS = 60


def pdf(page: Page) -> bytes:
    """Raises SG611 (neither pdflatex nor Typst), SG707 (it fails, or pdflatex takes longer than a minute)."""
    program = shutil.which("pdflatex")
    return by_typst(typst(page)) if program is None else by_pdflatex(program, article(page))


def by_typst(document: str) -> bytes:
    """Raises SG611 (Typst is not installed), SG707 (it refuses the page)."""
    compiler = _typst()
    with tempfile.TemporaryDirectory() as folder:
        try:
            # an empty folder is all that a page could read
            made: bytes = compiler.compile(document.encode(), root=folder, ignore_system_fonts=True)
        except compiler.TypstError as error:
            hint = "print the typst and run it yourself"
            raise SymgradError("SG707", f"Typst refuses the page: {error}", hint=hint) from None
    return made


def _typst() -> Any:
    try:
        import typst as compiler
    except ImportError:
        message = "a PDF needs pdflatex or the Python package typst, and neither is installed"
        hint = "pip install 'symgrad[pdf]', or install TeX Live, or print the html from a browser"
        raise SymgradError("SG611", message, hint=hint) from None
    return compiler


def by_pdflatex(program: str, document: str) -> bytes:
    """Raises SG707 (pdflatex fails or takes longer than a minute)."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "page.tex").write_text(document, encoding="utf-8")
        command = [os.path.abspath(program), "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
        undated = {**os.environ, "SOURCE_DATE_EPOCH": "0"}
        try:
            ran = subprocess.run(
                command, cwd=folder, env=undated, capture_output=True, check=False, timeout=SECONDS, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired:
            raise SymgradError(
                "SG707", f"pdflatex was not done after {SECONDS} s", hint="print the latex and run it yourself"
            ) from None
        except OSError as error:
            raise SymgradError("SG707", f"pdflatex cannot be run: {error.strerror}") from None
        if ran.returncode:
            said = next((l for l in ran.stdout.decode("utf-8", "replace").splitlines() if l.startswith("!")), "no reason")
            raise SymgradError("SG707", f"pdflatex refuses the page: {said}", hint="is the package amsmath or beamer missing?")
        return (Path(folder) / "page.pdf").read_bytes()
