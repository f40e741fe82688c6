"""What symgrad promises, measured: python -m tests.reliability [family …] [--short] [--json FILE]

A row is a promise, what was found, and what is wanted; cases that break it are told below the table. Families are the modules
beside this one. `--short` is the form that the test suite runs. Peers have columns where they are installed (extra `bench`).
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.reliability.rows import Row

FAMILIES = tuple(
    path.stem for path in sorted(Path(__file__).parent.glob("*.py")) if path.stem not in ("__init__", "__main__", "rows")
)
SHOWN = 10  # cases that are told of a row


def measured(families: Sequence[str], full: bool) -> list[Row]:
    return [row for name in families for row in importlib.import_module(f"tests.reliability.{name}").measure(full)]


def table(rows: Sequence[Row]) -> str:
    peers = list(dict.fromkeys(name for row in rows for name in row.peers))
    lines = [["", "promise", "wanted", "symgrad", *peers]]
    lines += [[row.family, row.promise, row.wanted, row.found, *(row.peers.get(name, "") for name in peers)] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("families", nargs="*", metavar="family", help=", ".join(FAMILIES))
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    unknown = [name for name in options.families if name not in FAMILIES]
    if unknown:
        parser.error(f"there is no family {unknown[0]}; choose {', '.join(FAMILIES)}")
    rows = measured(options.families or FAMILIES, not options.short)
    print(table(rows))
    for row in rows:
        for case in row.wrong[:SHOWN]:
            print(f"{row.promise}: {case}")
    if options.json:
        Path(options.json).write_text(
            json.dumps([{**asdict(row), "wrong": [str(case) for case in row.wrong]} for row in rows], indent=1)
        )
    return 0 if all(row.kept for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
