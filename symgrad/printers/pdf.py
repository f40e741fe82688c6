"""A LaTeX document → PDF through pdflatex, which is not part of symgrad.

It runs in a folder of its own that is removed afterwards, without shell escape, and is ended after a minute.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from symgrad.core.errors import SymgradError

SECONDS = 60


def pdf(document: str) -> bytes:
    """Raises SG611 (no pdflatex), SG707 (pdflatex fails or takes longer than a minute)."""
    program = shutil.which("pdflatex")
    if program is None:
        raise SymgradError(
            "SG611", "a PDF needs pdflatex, which is not installed", hint="install TeX Live, or print the html from a browser"
        )
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "page.tex").write_text(document, encoding="utf-8")
        command = [program, "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
        try:
            ran = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=SECONDS, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise SymgradError(
                "SG707", f"pdflatex was not done after {SECONDS} s", hint="print the latex and run it yourself"
            ) from None
        if ran.returncode:
            said = next((l for l in ran.stdout.decode("utf-8", "replace").splitlines() if l.startswith("!")), "no reason")
            raise SymgradError("SG707", f"pdflatex refuses the page: {said}", hint="is the package amsmath or beamer missing?")
        return (Path(folder) / "page.pdf").read_bytes()
