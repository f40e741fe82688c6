"""Data sets → the arrays a model's inputs need, for `symgrad train`.

`digits` and `breast_cancer` are the real data inside scikit-learn's wheel (extra `demo`); a `.npz` file holds X and y,
a `.csv` file a header line and one example a row.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from symgrad.core.errors import SymgradError, did_you_mean

NAMED = ("digits", "breast_cancer")
LARGEST = 1e150


@dataclass(frozen=True)
class Table:
    """`features` [example, feature] and `target` [example]: numbers, or classes as they are named."""

    features: Any
    target: Any
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scaling:
    """(x - shift)/scale, from the training part."""

    shift: Any
    scale: Any

    @classmethod
    def of(cls, features: Any) -> Scaling:
        spread = features.std(axis=0)
        return cls(features.mean(axis=0), np.where(spread > 0, spread, 1.0))

    def __call__(self, features: Any) -> Any:
        return (features - self.shift) / self.scale


def load_table(source: str, column: str | None = None) -> Table:
    """A named data set or a file. Raises SG610 (unknown), SG611 (extra missing), SG612 (contents), SG704 (file)."""
    if source in NAMED:
        return _sklearn(source)
    path = Path(source)
    readers = {".npz": _npz, ".csv": _csv}
    if path.suffix not in readers:
        hint = did_you_mean(source, NAMED) or "give digits, breast_cancer, a .npz or a .csv file"
        raise SymgradError("SG610", f"there is no data set {source}", hint=hint)
    if not path.is_file():
        raise SymgradError("SG704", f"{path} cannot be read: no such file")
    try:
        return _checked(readers[path.suffix](path, column), str(path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SymgradError("SG612", f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _sklearn(name: str) -> Table:
    try:
        from sklearn import datasets
    except ImportError:
        hint = "pip install scikit-learn"
        raise SymgradError("SG611", f"the data set {name} comes with scikit-learn, which is not installed", hint=hint) from None
    found = getattr(datasets, f"load_{name}")()
    return Table(np.asarray(found.data, float), np.asarray(found.target))


def arrays_of(path: Path) -> dict[str, Any]:
    """All arrays of a `.npz` file. Raises SG612."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except MemoryError:
        raise SymgradError("SG612", f"{path} says that it holds more numbers than the memory has room for") from None
    except Exception as error:  # a damaged one: NumPy, zip and each way of packing have errors of their own, and some have Python's
        raise SymgradError("SG612", f"{path} is no .npz file of plain arrays: {error}") from None


def _npz(path: Path, column: str | None) -> Table:
    arrays = arrays_of(path)
    target = column or "y"
    missing = [name for name in ("X", target) if name not in arrays]
    if missing:
        raise SymgradError("SG612", f"{path} has no array {missing[0]}, but {', '.join(arrays) or 'nothing'}", hint="save X and y")
    return Table(arrays["X"], arrays[target])


def _csv(path: Path, column: str | None) -> Table:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if row]
    if len(rows) < 2:
        raise SymgradError("SG612", f"{path} has no rows below its header", hint="the first line names the columns")
    names = [name.strip() for name in rows[0]]
    _check_header(names, path)
    target = column or names[-1]
    if target not in names:
        raise SymgradError(
            "SG612", f"{path} has no column {target}", hint=did_you_mean(target, names) or f"it has {', '.join(names)}"
        )
    at = names.index(target)
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(names):
            message = f"row {number} of {path} has {len(row)} values, its header {len(names)}"
            raise SymgradError("SG612", message, hint="give each row one value for each column, also where it is missing")
    others = [k for k in range(len(names)) if k != at]
    features = np.array([[_number(row[k], path, r, names[k]) for k in others] for r, row in enumerate(rows[1:], 2)], float)
    values = [row[at].strip() for row in rows[1:]]
    return Table(features.reshape(len(rows) - 1, len(others)), _numbers_or_words(values), tuple(names[k] for k in others))


def _check_header(names: list[str], path: Path) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if _numbers_or_words(names).dtype.kind == "f":
        raise SymgradError("SG612", f"{path} begins with numbers, not with a header", hint="name the columns in its first line")
    if twice is not None:
        raise SymgradError("SG612", f"{path} has two columns named {twice}", hint="rename one of them")
    if len(names) < 2:
        hint = "separate the columns by commas" if ";" in names[0] or "\t" in names[0] else None
        raise SymgradError("SG612", f"{path} has one column, and a target and a feature make two", hint=hint)


def _number(text: str, path: Path, row: int, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        message = f"row {row} of {path}: {name} is {text[:40]!r}, not a number"
        raise SymgradError(
            "SG612", message, hint="features are numbers; the target, which may be words, is named by --column"
        ) from None


def _numbers_or_words(values: list[str]) -> Any:
    try:
        return np.array([float(value) for value in values])
    except ValueError:
        return np.array(values)


def _checked(table: Table, name: str) -> Table:
    features, target = np.asarray(table.features), np.asarray(table.target)
    features = features[:, None] if features.ndim == 1 else features
    if features.ndim < 2 or target.ndim != 1 or len(features) != len(target):
        shapes = f"X has shape {features.shape} and y {target.shape}"
        raise SymgradError("SG612", f"{name}: {shapes}; examples must be the first axis of both")
    if features.dtype.kind not in "biuf":
        raise SymgradError("SG612", f"{name}: the features hold {features.dtype}, not numbers")
    if not np.isfinite(features.astype(float)).all():
        raise SymgradError("SG612", f"{name}: a feature is missing or not finite", hint="leave such examples out, or fill them in")
    if np.abs(features.astype(float)).max(initial=0.0) > LARGEST:
        raise SymgradError(
            "SG612", f"{name}: a feature is beyond {LARGEST:g}, its square no number", hint="give it in another unit"
        )
    if target.dtype.kind not in "biufUS":
        raise SymgradError("SG612", f"{name}: the target holds {target.dtype}, not numbers or words")
    if target.dtype.kind == "f" and not np.isfinite(target).all():
        place = int(np.argmin(np.isfinite(target)))
        raise SymgradError("SG612", f"{name}: the target of example {place + 1} is {target[place]}, not a finite number")
    if len(target) < 2:
        raise SymgradError("SG606", f"{name} holds {len(target)} example{'' if len(target) == 1 else 's'}, and two are needed")
    return Table(features.astype(float), target, table.names)


def split(examples: int, fraction: float, seed: int) -> tuple[Any, Any]:
    """Places of the training part and of the test part, shuffled by the seed; neither is empty unless fraction is 0.

    >>> [len(part) for part in split(10, 0.2, seed=0)], [len(part) for part in split(10, 0.999, seed=0)]
    ([8, 2], [1, 9])
    """
    order = np.random.default_rng(seed).permutation(examples)
    held = min(max(round(examples * fraction), 1), examples - 1) if fraction > 0 else 0
    return order[held:], order[:held]


def classes_of(target: Any) -> Any:
    """The distinct classes, or None for a regression target: numbers that are not whole, or very many of them."""
    if target.dtype.kind in "OUS":
        return np.unique(target)
    found = np.unique(target)
    whole = np.all(found == np.round(found))
    return found if whole and len(found) <= max(20, len(target) // 50) else None
