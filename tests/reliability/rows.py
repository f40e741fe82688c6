"""A row of the table of promises: what was measured, and what is wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """`wrong` tells each case that breaks the promise; `peers` what other tools reach, by name."""

    family: str
    promise: str
    found: str
    wanted: str
    wrong: Sequence[object] = ()
    peers: Mapping[str, str] = field(default_factory=dict)

    @property
    def kept(self) -> bool:
        return not self.wrong
