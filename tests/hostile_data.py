# ruff: noqa: E501  (tables of texts)
"""Data files that someone might send: mutations of good `.csv` and `.npz` files, and files that promise more than they hold.

>>> data_file("csv", 3) == data_file("csv", 3), data_file("npz", 3) == data_file("npz", 3)
(True, True)
"""

from __future__ import annotations

import io
import pickle
import zipfile
from functools import cache
from pathlib import Path
from random import Random

import numpy as np

from tests.hostile import CANARY, CHARACTERS, CODE

CSV = (
    "width,height,kind\n1,2,a\n3,4.5,b\n-1e3,0,a\n2,2,b\n",
    'x,y\n"1",2\n3,"4"\n5,6\n',
    "\ufeffa,b,c\n1,2,0.5\n1,3,0.25\n2,2,1e-3\n",
)
CELLS = (
    "", "nan", "inf", "-inf", "1e999", "1e308", "0x10", "1_0", "١", "1.2.3", "=1+1", '"', '""', "'", ",", ";", "\t", "\0", "\r", "1" * 5000, "-", "True",
    *CODE, *CHARACTERS,
)  # fmt: skip
# what stands in the head of an array, and what may stand there instead
HEADS = (b"'<f8'", b"'<i8'", b"False", b"(4, 2)", b"(4,)", b"'descr'")
SWAPS = (
    b"'|O'", b"'<f2'", b"'>f8'", b"'|V9'", b"'<U9'", b"'<M8[s]'", b"'<c16'", b"True", b"(40000000000, 200000)", b"(-1,)", b"()", b"(4, 2, 0)", b"(1,)*9**9",
    b"[('a', '<f8')]", b"{}", b"((((", b"'x' + 'y'", b"__import__('os')", b"9**9**9", b"None",
)  # fmt: skip


class _Touch:
    """Unpickling it makes the canary's file."""

    def __reduce__(self) -> tuple[type[Path], tuple[str]]:
        return _made, (CANARY,)  # type: ignore[return-value]


def _made(name: str) -> None:
    Path(name).touch()


@cache
def members() -> tuple[tuple[str, bytes], ...]:
    """The arrays of good files, each as the bytes of a `.npy` file, and one that only pickle could read."""
    arrays = {"X": np.arange(8.0).reshape(4, 2), "y": np.array([0, 1, 0, 1]), "t": np.array(["a", "b", "a", "b"])}
    found = []
    for name, array in arrays.items():
        out = io.BytesIO()
        np.save(out, array)
        found.append((name, out.getvalue()))
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "|O", "fortran_order": False, "shape": (1,)})
    return (*found, ("pickled", out.getvalue() + pickle.dumps([_Touch()])))


def data_file(kind: str, seed: int) -> bytes:
    """One good file after some changes."""
    random = Random(seed)
    return _csv(random) if kind == "csv" else _npz(random)


def _csv(random: Random) -> bytes:
    rows = [line.split(",") for line in random.choice(CSV).split("\n")]
    for _ in range(random.randint(1, 3)):
        row = random.choice(rows)
        match random.randrange(5):
            case 0:
                row[random.randrange(len(row))] = random.choice(CELLS)
            case 1:
                row.insert(random.randrange(len(row) + 1), random.choice(CELLS))
            case 2 if len(row) > 1:
                row.pop()
            case 3:
                rows.insert(random.randrange(len(rows)), list(random.choice(rows)))
            case _:
                rows = rows[: random.randrange(len(rows) + 1)] or [[""]]
    data = "\n".join(",".join(row) for row in rows).encode("utf-8", "surrogatepass")
    return _bytes(data, random) if random.random() < 0.3 else data


def _npz(random: Random) -> bytes:
    chosen = {name: data for name, data in members() if name != "pickled" or random.random() < 0.2}
    for _ in range(random.randint(0, 2)):
        name = random.choice(list(chosen))
        match random.randrange(4):
            case 0:
                chosen[name] = _headed(chosen[name], random)
            case 1:
                chosen[name] = _bytes(chosen[name], random)
            case 2:
                chosen[random.choice(("X", "y", "a/b", "../z"))] = chosen[name]
            case _ if len(chosen) > 1:
                del chosen[name]
    out = io.BytesIO()
    kept = random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(out, "w", kept) as file:
        for name, data in chosen.items():
            file.writestr(name + random.choice((".npy", ".npy", ".npy", ".npy", "", ".txt")), data)
    return _bytes(out.getvalue(), random) if random.random() < 0.4 else out.getvalue()


def _headed(data: bytes, random: Random) -> bytes:
    """Another type, order or shape in the head of an array, whose length is kept by its padding."""
    before, after = random.choice(HEADS), random.choice((*SWAPS, *HEADS))
    start, end = 10, 10 + int.from_bytes(data[8:10], "little")
    head = data[start:end].replace(before, after)
    head = head.rstrip()[: 2**16 - 2].ljust(end - start - 1) + b"\n"
    return data[:8] + len(head).to_bytes(2, "little") + head + data[end:]


def _bytes(data: bytes, random: Random) -> bytes:
    found = bytearray(data or b"x")
    for _ in range(random.randint(1, 4)):
        place = random.randrange(len(found))
        match random.randrange(4):
            case 0:
                found[place] ^= 1 << random.randrange(8)
            case 1:
                found[place : place + random.randint(1, 8)] = random.randbytes(random.randint(0, 8))
            case 2 if len(found) > 1:
                del found[place:]
            case _:
                found += found[place : place + 64]
        found = found or bytearray(b"x")
    return bytes(found)
