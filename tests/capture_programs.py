"""Small random programs in which names collide as they may: one letter in many sums, names like those that symgrad chooses.

>>> print(capture(3).text())  # doctest: +SKIP
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

# names that passes choose for what they add, and letters that they choose for bound indices
OURS = (
    "u", "t", "u_1", "J_bar", "x_bar", "a_bar", "n", "l", "y_sum", "y_logsumexp", "_c1", "J_each", "J_sum", "J_sum_2", "y_prod",
    "m", "p", "q", "x_dot", "y_max", "l1", "n_1", "_1", "x_bar_2", "i_1", "y_bar", "J_dot", "k1", "s_1", "_t", "_n", "w_bar",
)  # fmt: skip
INDICES = ("i", "j", "k", "l", "m", "n", "p", "q", "u", "t", "u_1", "l1", "n_1", "i_1", "k1", "s_1")
BODIES = (
    "{x}[{i}]*sum({A}[{i},{j}]*{x}[{j}] for {j})",
    "{x}[{i}]*{y}[{i}] + sum({A}[{j},{i}]*sum({x}[{k}]*{A}[{j},{k}] for {k}) for {j})",
    "exp({x}[{i}]/3)/sum(exp({x}[{j}]/3) for {j})",
    "logsumexp({x}[{j}]*{A}[{i},{j}] for {j}) - {x}[{i}]",
    "sum({x}[{j}]*{A}[{i},{j}] for {j} in {i}+1..N)",
    "sum({x}[{j}]*sum({y}[{k}]*{x}[{k}] for {k} in {j}..N) for {j} in 1..{i})",
    "prod(1 + {x}[{j}]*{A}[{j},{i}] for {j})*{x}[{i}]",
    "max({x}[{j}]*{A}[{i},{j}] for {j}) + max({x}[{k}]*{A}[{k},{i}] for {k})",
    "sum({x}[{j}]^2 for {j} if {j} != {i})*{A}[{i},{i}]",
    "where({i} > 1, sum({A}[{i},{j}]*{x}[{j}] for {j}), sum({x}[{k}]^2 for {k}))",
    "{f}(sum({A}[{i},{j}]*{x}[{j}] for {j}), {x}[{i}])",
    "{f}({x}[{i}], {f}(sum({x}[{j}]^2 for {j}), mean({A}[{k},{i}] for {k})))",
    "{g}({x}[{i}])",
    "{g}(sum({A}[{i},{j}]*{x}[{j}] for {j}))",
    "sum({x}[{j}] for {j})*sum({x}[{j}]^2*{A}[{i},{j}] for {j})",
)  # fmt: skip
LOSSES = (
    "sum({y}[{i}]*{x}[{i}] for {i})", "sum({y}[{j}]^2 for {j}) + sum({x}[{i}]*{y}[{i}] for {i})", "logsumexp({y}[{k}] for {k})",
    "sum({A}[{i},{j}]*{y}[{i}]*{y}[{j}] for {i}, {j})", "sum(sum({A}[{j},{i}]*{y}[{j}] for {j})^2 for {i})",
    "prod(1 + {y}[{l}]^2/9 for {l})", "sum({y}[{j}]*{y}[{i}] for {i} for {j} in {i}+1..N)",
    "max({y}[{m}] for {m})*mean({x}[{m}] for {m})",
)  # fmt: skip


@dataclass(frozen=True)
class Capture:
    seed: int
    lines: tuple[str, ...]

    def text(self) -> str:
        return "\n".join(self.lines)


def capture(seed: int, pairs: int = 1) -> Capture:
    """Vectors {z} from {x} and {A}, {y} from {z}, and a loss of them, in pairs that share names and letters."""
    rng = Random(seed)
    letters = rng.sample(INDICES, rng.choice((3, 3, 4, 5)))
    names = [name for name in (*OURS, "x", "y", "A", "w") if name not in letters]
    x, a, f, g, *others = rng.sample(names, 4 + 2 * pairs)
    parameters = rng.sample([*letters[:2], "u", "x", "t", "v"], 4)
    u, v = list(dict.fromkeys(parameters))[:2]
    bound = next(c for c in letters[::-1] if c not in (u, v))
    lines = [
        f"index {', '.join(letters)} in 1..N",
        f"{f}({u}, {v}) = {u}*sin({v})",
        f"{g}({u}) = sum({u}*{x}[{bound}] for {bound})",
    ]
    losses = []
    for z, y in zip(others[::2], others[1::2], strict=True):
        one, two = rng.sample(BODIES, 2)
        left, again = rng.choice(letters), rng.choice(letters)
        lines.append(f"{z}[{left}] = {targeted(one, left, letters, rng, x=x, y=x, A=a, f=f, g=g)}")
        lines.append(f"{y}[{again}] = {targeted(two, again, letters, rng, x=z, y=x, A=a, f=f, g=g)}")
        losses.append(looped(rng.choice(LOSSES), letters, rng, x=x, y=y, A=a))
    return Capture(seed, (*lines, f"J = {' + '.join(losses)}", "minimize J"))


def looped(form: str, letters: list[str], rng: Random, **names: str) -> str:
    i, j, k = rng.sample(letters, 3)
    return form.format(i=i, j=j, k=k, l=i, m=i, **names)


def targeted(form: str, left: str, letters: list[str], rng: Random, **names: str) -> str:
    j, k = rng.sample([letter for letter in letters if letter != left], 2)
    return form.format(i=left, j=j, k=k, **names)
