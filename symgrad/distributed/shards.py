"""Shards: parts of the examples, each checked once, and sums over them in an order that no number of workers changes.

    J = Σ_s (n_s/N) J_s,   dJ/dθ = Σ_s (n_s/N) dJ_s/dθ      (J_s: the mean loss of shard s with its n_s of all N examples)

Each example's loss has the same weight, 1/N; what does not depend on the data, such as a regulariser, has Σ_s n_s/N = 1.
The sum is a fixed tree of pairs over the numbers of the shards, 0 + 1, 2 + 3, …, (0 + 1) + (2 + 3), …; a block of 2ᵏ
neighbours, from a multiple of 2ᵏ on, is one node of it, so whoever has added up such a block has the bits of the tree.

>>> summed(["a", "b", "c", "d", "e"], add=lambda one, other: f"({one}{other})")
'(((ab)(cd))e)'
>>> blocks_of(10, 2)
((0, 4), (4, 8), (8, 10))
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.core.errors import SymgradError

Arrays = dict[str, Any]
Block = tuple[int, int]  # from the first shard to before the last


@dataclass(frozen=True)
class Description:
    """What is known of a shard where it does not lie: its number of examples, what an example looks like, a digest of all."""

    rows: int
    examples: Mapping[str, tuple[tuple[int, ...], str]]
    digest: str


def summed(items: Iterable[Any], add: Callable[[Any, Any], Any] = operator.add) -> Any:
    """The sum by the tree; of what came so far, only one item for each power of two is kept."""
    nodes: list[tuple[int, Any]] = []
    for item in items:
        level = 0
        while nodes and nodes[-1][0] == level:
            item, level = add(nodes.pop()[1], item), level + 1
        nodes.append((level, item))
    found = nodes.pop()[1]
    while nodes:
        found = add(nodes.pop()[1], found)
    return found


def blocks_of(count: int, wanted: int) -> tuple[Block, ...]:
    """`count` shards in blocks that are nodes of the tree: as large as they can be with `wanted` of them or more."""
    size = 1
    while count >= 2 * size * wanted:
        size *= 2
    return tuple((first, min(first + size, count)) for first in range(0, count, size))


def opened(source: Any, number: int, batch: Sequence[str], kinds: Mapping[str, str]) -> Arrays:
    """The arrays of a shard as the kernel takes them; `source` is such arrays, or a function that returns them.

    kinds: the type of each. Raises SG653 (it cannot be read), SG654 (it does not hold what it should).
    """
    if callable(source):
        try:
            source = source()
        except Exception as error:
            raise unreadable(number, error) from error
    if not isinstance(source, Mapping):
        raise _unfit(number, f"it is of type {type(source).__name__}", "let the loader return a dict of arrays by name")
    for name in [*source, *batch]:
        if name not in batch:
            raise _unfit(number, f"it holds {name}", f"a shard holds {', '.join(batch)}; what all share is passed at the call")
        if name not in source:
            raise _unfit(number, f"it does not hold {name}", f"a shard holds {', '.join(batch)}")
    arrays = {name: _array(source[name], name, number, kinds[name]) for name in batch}
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{count} of {name}" for name, count in counts.items())
        raise _unfit(number, f"its arrays have different numbers of examples: {shown}", "one row an example in each of them")
    return arrays


def _array(value: Any, name: str, number: int, kind: str) -> Any:
    try:
        array = np.asarray(value)
    except ValueError:
        raise _unfit(number, f"the rows of {name} differ in length", "give a shard arrays") from None
    if array.ndim == 0:
        raise _unfit(number, f"{name} is a single number", "an array with one row an example is needed")
    whole, wanted = kind == "int64", np.dtype(kind)
    if (whole and array.dtype.kind not in "iu") or not np.can_cast(array.dtype, wanted, "same_kind"):
        message = f"{name} holds {array.dtype}, but the kernel needs {'whole numbers' if whole else kind}"
        raise _unfit(number, message, f"convert it in the loader, with .astype(np.{kind})")
    array = np.ascontiguousarray(array, wanted)
    return array if array.flags.writeable and array.flags.aligned else array.copy()


def unreadable(number: int, error: BaseException) -> SymgradError:
    found = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return SymgradError("SG653", f"shard {number} cannot be read: {found}")


def _unfit(number: int, message: str, hint: str) -> SymgradError:
    return SymgradError("SG654", f"shard {number} does not fit the model: {message}", hint=hint)


def described(arrays: Arrays) -> Description:
    digest = hashlib.blake2b(digest_size=16)
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype} {array.shape} ".encode())
        digest.update(array.data)
    rows = len(next(iter(arrays.values())))
    return Description(rows, {name: (a.shape[1:], str(a.dtype)) for name, a in arrays.items()}, digest.hexdigest())


def same_examples(found: Sequence[Description]) -> None:
    """All shards hold examples of one kind, and at least one. Raises SG654, SG606."""
    for number, each in enumerate(found):
        for name, (shape, _) in each.examples.items():
            wanted = found[0].examples[name][0]
            if shape != wanted:
                message = f"an example's {name} has shape {shape}, and shape {wanted} in shard 0"
                raise _unfit(number, message, "all shards hold the same columns")
    if not sum(each.rows for each in found):
        raise SymgradError("SG606", "there are no examples in the shards")


def unchanged(arrays: Arrays, number: int, digest: str) -> None:
    """The shard holds what it held when it was read first; else a sum would mix two data sets. Raises SG657."""
    if described(arrays).digest != digest:
        raise SymgradError("SG657", f"shard {number} was read again, and holds other numbers than at first")


def packed(arrays: Iterable[Any], dtype: Any) -> Any:
    """One vector of all numbers, in order."""
    return np.concatenate([np.asarray(array, dtype).reshape(-1) for array in arrays])


def unpacked(vector: Any, like: Mapping[str, Any]) -> Arrays:
    """The arrays of a vector, by name, in the shapes of others; numbers without axes are numbers."""
    return dict(_pieces(vector, like))


def _pieces(vector: Any, like: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    start = 0
    for name, array in like.items():
        shape = np.shape(array)
        stop = start + int(np.prod(shape, dtype=np.int64))
        yield name, vector[start:stop].reshape(shape)[()]
        start = stop
