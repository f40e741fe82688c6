"""What training returns and shows; a module that was saved trains without the rest of symgrad."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Show = Callable[[int, float, float | None], None]


@dataclass(frozen=True)
class Fit:
    """`params`: trained arrays by name. `history`: the mean loss of every finished epoch, under the loss's name, each
    example's before its own step. `validation`: the loss of the validation data after every epoch; None without such data.
    `stopped`: "" at the end, "patience" or "interrupted". `best_epoch`: whose parameters they are, from 1, where patience
    chooses; else None."""

    params: dict[str, Any]
    history: dict[str, Any]
    validation: Any = None
    stopped: str = ""
    best_epoch: int | None = None


def progress_bar(epochs: int, loss: str) -> Show:
    """Progress on standard error: one line that is rewritten in a terminal, ten lines elsewhere."""
    terminal = sys.stderr.isatty()
    shown = [0]

    def show(done: int, value: float, validation: float | None) -> None:
        text = f"epoch {done:>{len(str(epochs))}}/{epochs}  {loss} = {value:.6g}"
        text += "" if validation is None else f", validation {validation:.6g}"
        if terminal:
            filled = 30 * done // epochs
            end = "\n" if done == epochs else ""
            print(f"\r[{'█' * filled}{'·' * (30 - filled)}] {text} ", end=end, file=sys.stderr, flush=True)
        elif done == epochs or done * 10 // epochs > shown[0]:
            shown[0] = done * 10 // epochs
            print(text, file=sys.stderr, flush=True)

    return show
