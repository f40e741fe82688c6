"""Order among statements: which tensor needs which, cycles, and the loss.

>>> topological({"J": ["y"], "y": ["x"], "x": []})
['x', 'y', 'J']
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from symgrad.core.errors import SymgradError
from symgrad.core.program import Program, Statement
from symgrad.core.ranges import count


def topological(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """Names so that each follows what it needs, depth first in the given order; those that need each other stand together."""
    return [name for group in components(needs) for name in group]


def components(needs: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Groups of names that need each other (Tarjan 1972), each group after those it needs."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    finished: list[str] = []  # not yet in a group
    waiting: set[str] = set()
    out: list[list[str]] = []
    for root in needs:
        stack: list[tuple[str, bool]] = [(root, False)]
        while stack:
            name, done = stack.pop()
            if done:
                _lower(name, needs, low, waiting)
                finished.append(name)
                if low[name] == number[name]:
                    start = len(finished) - 1
                    while start and number[finished[start - 1]] >= number[name]:
                        start -= 1
                    out.append(finished[start:])
                    waiting.difference_update(out[-1])
                    del finished[start:]
            elif name not in number:
                number[name] = low[name] = len(number)
                waiting.add(name)
                stack.append((name, True))
                stack.extend((n, False) for n in reversed(needs[name]) if n in needs and n not in number)
    return out


def in_rings(program: Program) -> frozenset[str]:
    """The quantities that need themselves, directly or through others."""
    needs = program.needs
    return frozenset(n for group in components(needs) for n in group if len(group) > 1 or n in needs[n])


def _lower(name: str, needs: Mapping[str, Sequence[str]], low: dict[str, int], waiting: set[str]) -> None:
    for other in needs[name]:
        if other in waiting:
            low[name] = min(low[name], low[other])


def ordered(program: Program) -> list[Statement]:
    """The statements so that each follows the definitions it reads."""
    return [s for name in topological(program.needs) for s in program.definitions[name]]


def top_down(program: Program, loss: str) -> list[Statement]:
    """The statements from the loss down to the inputs, each before those it reads: the slides' order.

    The user's own order, or its reverse, is kept where it is such an order.
    """
    wanted = ancestors(program, [loss])
    written = [s for s in program.statements if s.name in wanted]
    for candidate in (written[::-1], written):
        seen: set[str] = set()
        for statement in candidate:
            if not seen.isdisjoint(statement.read_names):
                break
            seen.add(statement.name)
        else:
            return candidate
    needs = {name: reads[::-1] for name, reads in program.needs.items()}
    order = [name for name in reversed(topological({loss: needs[loss], **needs})) if name in wanted]
    return [s for name in order for s in program.definitions[name]]


def ancestors(program: Program, names: Iterable[str]) -> set[str]:
    """All that `names` depend on, themselves included."""
    needs = program.needs
    seen: set[str] = set()
    stack = list(names)
    while stack:
        name = stack.pop()
        if name not in seen:
            seen.add(name)
            stack.extend(needs.get(name, ()))
    return seen


def descendants(program: Program, names: Iterable[str]) -> set[str]:
    """All that depends on `names`, themselves included."""
    seen: set[str] = set()
    stack = list(names)
    while stack:
        name = stack.pop()
        if name not in seen:
            seen.add(name)
            stack.extend(s.name for s in program.users.get(name, ()))
    return seen


def find_loss(program: Program, loss: str | None = None) -> str:
    """The loss asked for, else the declared one, else the one defined scalar that nothing else uses."""
    if loss is not None:
        program.known(loss)
        if loss not in program.definitions:
            raise SymgradError(
                "SG402", f"{loss} is given, not defined, so it has no gradient", hint="name a defined scalar as the loss"
            )
    loss = loss or program.loss
    if loss is not None:
        if program.tensors[loss].axes:
            what = f"{loss}[{','.join(str(a.symbol) for a in program.tensors[loss].axes)}]"
            raise SymgradError(
                "SG403",
                f"the loss must be a scalar, and {what} has {count(len(program.tensors[loss].axes))}",
                program.definitions[loss][0].origin.span,
                f"sum it: J = sum({what} for …)",
            )
        return loss
    candidates = [n for n in program.defined if not program.tensors[n].axes and n not in program.users]
    if len(candidates) == 1:
        return candidates[0]
    found = "no defined scalar is left unused" if not candidates else f"{', '.join(candidates)} could each be it"
    raise SymgradError("SG402", f"there is no single loss: {found}", hint="write minimize J or maximize J, or pass loss=")
