"""Order among statements: which tensor needs which, cycles, and the loss.

>>> topological({"J": ["y"], "y": ["x"], "x": []})
['x', 'y', 'J']
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from symgrad.core.errors import SymgradError
from symgrad.core.program import Program, Statement


def topological(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """Names so that each follows what it needs, depth first in the given order; SG401 names a cycle."""
    done: set[str] = set()
    out: list[str] = []
    for root in needs:
        path: dict[str, None] = {}
        stack: list[tuple[str, bool]] = [(root, False)]
        while stack:
            name, finished = stack.pop()
            if finished:
                del path[name]
                done.add(name)
                out.append(name)
            elif name in path:
                cycle = [*list(path)[list(path).index(name) :], name]
                raise SymgradError("SG401", "these quantities need each other: " + " → ".join(cycle))
            elif name not in done:
                path[name] = None
                stack.append((name, True))
                stack.extend((n, False) for n in reversed(needs[name]) if n in needs and n not in done)
    return out


def tensor_needs(program: Program) -> dict[str, list[str]]:
    needs: dict[str, dict[str, None]] = {name: {} for name in program.defined}
    for statement in program.statements:
        needs[statement.name].update(dict.fromkeys(statement.read_names))
    return {name: list(found) for name, found in needs.items()}


def ordered(program: Program) -> list[Statement]:
    """The statements so that each follows the definitions it reads."""
    return [s for name in topological(tensor_needs(program)) for s in program.definitions[name]]


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
    needs = {name: reads[::-1] for name, reads in tensor_needs(program).items()}
    order = [name for name in reversed(topological({loss: needs[loss], **needs})) if name in wanted]
    return [s for name in order for s in program.definitions[name]]


def ancestors(program: Program, names: Iterable[str]) -> set[str]:
    """All that `names` depend on, themselves included."""
    needs = tensor_needs(program)
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
                f"the loss must be a scalar, and {what} has {len(program.tensors[loss].axes)} index(es)",
                hint=f"sum it: J = sum({what} for …)",
            )
        return loss
    candidates = [n for n in program.defined if not program.tensors[n].axes and n not in program.users]
    if len(candidates) == 1:
        return candidates[0]
    found = "no defined scalar is left unused" if not candidates else f"{', '.join(candidates)} could each be it"
    raise SymgradError("SG402", f"there is no single loss: {found}", hint="write minimize J or maximize J, or pass loss=")
