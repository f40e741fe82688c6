"""Emitted modules run as plain Python: nothing is compiled, every access is checked, and gemm is written with NumPy.

A kernel's text is the same for the interpreter as for numba, so wrong places and missing equations show here at no cost.
"""

from __future__ import annotations

import importlib.util
import re
import secrets
from pathlib import Path
from typing import Any

from symgrad.backends import joined, numba, vecmath

STAND_IN = """
def _sizes(*sizes):
    return sizes

def _rows(array, place, step):
    return array.reshape(-1)[place:], step, 0

def _columns(array, place, step):
    return array.reshape(-1)[place:], step, 1

def _from(flat, place):
    return flat[place:]

def _call_gemm(blas, rows, columns, summed, alpha, left, left_turned, left_step, right, right_turned, right_step, beta,
               target, step):
    def matrix(flat, turned, step, rows, columns):
        height, width = (columns, rows) if turned else (rows, columns)
        assert step >= width
        assert len(flat) >= (height - 1)*step + width
        found = np.lib.stride_tricks.as_strided(flat, (height, width), (step*flat.itemsize, flat.itemsize))
        return found.T if turned else found
    result = matrix(target, 0, step, rows, columns)
    product = matrix(left, left_turned, left_step, rows, summed) @ matrix(right, right_turned, right_step, summed, columns)
    result[...] = alpha*product + (beta*result if beta else 0)
    CALLS.append(rows)

CALLS = []
"""
JOINED = """
def _joined(array):
    assert array.flags.c_contiguous
    return array.reshape(*array.shape[:-2], array.shape[-2]*array.shape[-1])
"""
SINES = """
def _sine(u):
    return np.sin(u)

def _cosine(u):
    return np.cos(u)
"""


def plain_module(text: str, folder: Path) -> Any:
    """A kernel's module with no numba in it, which calls gemm wherever it can."""
    text = re.sub(r"^@njit.*\n|^from llvmlite.*\n|^from numba.*\n|^_(?:BLAS|CACHED|ALONE) = .*\n", "", text, flags=re.MULTILINE)
    text = text.replace(joined.SUPPORT.strip("\n"), JOINED).replace(numba.APART.strip("\n"), "")
    text = text.replace(vecmath.sines(), SINES)
    start = text.find("@intrinsic")
    if start >= 0:
        end = text.index("return signature, call", start) + len("return signature, call")
        text = text[:start] + STAND_IN + text[end:] + "\n_BLAS = _ALONE = (1, 2**63 - 1, 2**24)\n"
    return import_text(folder, text.replace("rows*columns*summed < 200", "False"))


def import_text(folder: Path, text: str) -> Any:
    """A text as a module, which no other run has seen."""
    path = folder / f"emitted_{secrets.token_hex(8)}.py"
    path.write_text(text, encoding="utf-8")
    return module_of(path)


def module_of(path: Path) -> Any:
    """A file as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
