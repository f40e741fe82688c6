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
    return _checked(readers[path.suffix](path, column), str(path))


def _sklearn(name: str) -> Table:
    try:
        from sklearn import datasets
    except ImportError:
        hint = "pip install 'symgrad[demo]'"
        raise SymgradError("SG611", f"the data set {name} comes with scikit-learn, which is not installed", hint=hint) from None
    found = getattr(datasets, f"load_{name}")()
    return Table(np.asarray(found.data, float), np.asarray(found.target))


def _npz(path: Path, column: str | None) -> Table:
    try:
        with np.load(path, allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
    except (OSError, ValueError) as error:
        raise SymgradError("SG612", f"{path} is no .npz file of plain arrays: {error}") from None
    target = column or "y"
    missing = [name for name in ("X", target) if name not in arrays]
    if missing:
        raise SymgradError("SG612", f"{path} has no array {missing[0]}, but {', '.join(arrays) or 'nothing'}", hint="save X and y")
    return Table(arrays["X"], arrays[target])


def _csv(path: Path, column: str | None) -> Table:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if row]
    if len(rows) < 2:
        raise SymgradError("SG612", f"{path} has no rows below its header")
    names = [name.strip() for name in rows[0]]
    target = column or names[-1]
    if target not in names:
        raise SymgradError(
            "SG612", f"{path} has no column {target}", hint=did_you_mean(target, names) or f"it has {', '.join(names)}"
        )
    at = names.index(target)
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(names):
            raise SymgradError("SG612", f"row {number} of {path} has {len(row)} values, its header {len(names)}")
    others = [k for k in range(len(names)) if k != at]
    features = np.array([[_number(row[k], path, r, names[k]) for k in others] for r, row in enumerate(rows[1:], 2)], float)
    values = [row[at].strip() for row in rows[1:]]
    return Table(features.reshape(len(rows) - 1, len(others)), _numbers_or_words(values), tuple(names[k] for k in others))


def _number(text: str, path: Path, row: int, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SymgradError("SG612", f"row {row} of {path}: {name} is {text!r}, not a number") from None


def _numbers_or_words(values: list[str]) -> Any:
    try:
        return np.array([float(value) for value in values])
    except ValueError:
        return np.array(values)


def _checked(table: Table, name: str) -> Table:
    features, target = np.asarray(table.features), np.asarray(table.target)
    if features.ndim < 2 or len(features) != len(target) or target.ndim != 1:
        shapes = f"X has shape {features.shape} and y {target.shape}"
        raise SymgradError("SG612", f"{name}: {shapes}; examples must be the first axis of both")
    if features.dtype.kind not in "biuf":
        raise SymgradError("SG612", f"{name}: the features hold {features.dtype}, not numbers")
    if not np.isfinite(features.astype(float)).all():
        raise SymgradError("SG612", f"{name}: a feature is missing or not finite")
    return Table(features.astype(float), target, table.names)


def split(examples: int, fraction: float, seed: int) -> tuple[Any, Any]:
    """Places of the training part and of the test part, shuffled by the seed."""
    order = np.random.default_rng(seed).permutation(examples)
    held = round(examples * fraction)
    return order[held:], order[:held]


def classes_of(target: Any) -> Any:
    """The distinct classes, or None for a regression target: numbers that are not whole, or very many of them."""
    if target.dtype.kind in "OUS":
        return np.unique(target)
    found = np.unique(target)
    whole = np.all(found == np.round(found))
    return found if whole and len(found) <= max(20, len(target) // 50) else None
