"""A program evaluated on whole arrays, by NumPy or by jax.numpy: a second opinion that shares no pass, schedule or kernel.

`evaluated(program, arrays, xp)` walks the statements. An index is an array along an axis of its own, a new one in front of those
that are there, so that all that is read broadcasts; a range whose ends move is the whole of it under a mask. A recurrence is
swept over until nothing changes, as often under JAX as it took NumPy. `jax_gradient` is JAX's derivative of that.

>>> import symgrad as sg
>>> float(evaluated(sg.parse("J = sum(x[i]^2 for i)"), {"x": np.array([1.0, 2.0])}, np)[0]["J"])
5.0
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
import sympy as sp

from symgrad.core.expr import (
    indices_of,
    is_access,
    is_call,
    is_index,
    is_reduction,
    is_where,
    name_of,
    split_call,
    split_reduction,
)  # fmt: skip
from symgrad.core.functions import BY_HEAD
from symgrad.core.graph import components
from symgrad.core.program import Program, Statement, outer_first
from symgrad.core.reductions import REDUCTIONS
from symgrad.core.sizes import sizes_of

Env = dict[Any, Any]
COMPARE: dict[Any, Callable[[Any, Any], Any]] = {
    sp.Eq: lambda a, b: a == b, sp.Ne: lambda a, b: a != b, sp.Lt: lambda a, b: a < b,
    sp.Le: lambda a, b: a <= b, sp.Gt: lambda a, b: a > b, sp.Ge: lambda a, b: a >= b,
}  # fmt: skip


def _erf(x: Any, xp: Any) -> Any:
    if xp is np:
        from math import erf

        return np.vectorize(erf, otypes=[float])(x)
    from jax.scipy.special import erf as its

    return its(x)


def _stopped(x: Any, xp: Any) -> Any:
    if xp is np:
        return x
    from jax.lax import stop_gradient

    return stop_gradient(x)


def _sigmoid(x: Any, xp: Any) -> Any:
    return 0.5 * (xp.tanh(x / 2) + 1) if xp is np else _nn("sigmoid")(x)


def _nn(name: str) -> Any:
    import jax

    return getattr(jax.nn, name)


def _normal(x: Any, xp: Any) -> Any:
    return x * 0.5 * (1 + _erf(x / np.sqrt(2), xp)) if xp is np else _nn("gelu")(x, approximate=False)


SCALAR: dict[str, Callable[..., Any]] = {
    **{name: (lambda x, xp, name=name: getattr(xp, name)(x)) for name in
       ("exp", "log", "sin", "cos", "tan", "tanh", "sinh", "cosh", "expm1", "log1p", "abs", "sign", "floor", "ceil")},
    "atan": lambda x, xp: xp.arctan(x), "stop": _stopped, "erf": _erf, "logistic": _sigmoid,
    "softplus": lambda x, xp: xp.logaddexp(x, 0.0), "relu": lambda x, xp: xp.where(x > 0, x, 0.0),
    "leaky_relu": lambda x, a, xp: xp.where(x > 0, x, a * x),
    "elu": lambda x, xp: xp.where(x > 0, x, xp.expm1(xp.where(x > 0, 0.0, x))),
    "gelu": _normal, "silu": lambda x, xp: x * _sigmoid(x, xp),
    "clip": lambda x, lo, hi, xp: xp.where(x > lo, xp.where(x < hi, x, hi), lo),
    "max": lambda *args, xp: reduce(lambda a, b: xp.where(a >= b, a, b), args),
    "min": lambda *args, xp: reduce(lambda a, b: xp.where(a <= b, a, b), args),
}  # fmt: skip


@dataclass
class Walk:
    """`cells` are the arrays as they are now; of a group that is swept over, those of the sweep before."""

    program: Program
    xp: Any
    sizes: Mapping[Any, int]
    cells: dict[str, Any]
    lowest: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def number(self, expr: Any) -> int:
        return int(expr.subs(self.sizes))

    def value(self, node: Any, env: Env, depth: int) -> Any:
        if node in env:
            return env[node]
        if is_access(node):
            return self.read(node, env, depth)
        if is_index(node):
            return self.sizes[node]
        if is_reduction(node):
            op, body, limits = split_reduction(node)
            return self.reduced(op, body, limits, env, depth)
        if is_call(node):
            name, args = split_call(node)
            function = self.program.functions[name]
            given = dict(zip(function.parameters, (self.value(a, env, depth) for a in args), strict=True))
            return self.value(function.body, given, depth)
        if node.is_Number or node in (sp.pi, sp.E):
            return int(node) if node.is_Integer else float(node)
        return self.applied(node, [self.value(arg, env, depth) for arg in node.args])

    def applied(self, node: Any, args: Sequence[Any]) -> Any:
        xp = self.xp
        if is_where(node):
            return xp.where(args[0], args[1] * 1.0, args[2] * 1.0)
        if type(node) in COMPARE:
            return COMPARE[type(node)](*args)
        if node.is_Add:
            return reduce(lambda a, b: a + b, args)
        if node.is_Mul:
            return reduce(lambda a, b: a * b, args)
        if node.is_Pow:
            return xp.sqrt(args[0] * 1.0) if node.exp == sp.Rational(1, 2) else (xp.asarray(args[0]) * 1.0) ** args[1]
        return SCALAR[BY_HEAD[node.func].name](*(xp.asarray(arg) * 1.0 for arg in args), xp=xp)

    def read(self, node: Any, env: Env, depth: int) -> Any:
        name = name_of(node)
        array, indices = self.cells[name], [self.value(i, env, depth) for i in indices_of(node)]
        places = [self.xp.clip(i - low, 0, max(n - 1, 0)) for i, low, n in self.at(name, indices, array)]
        return array[tuple(places)] if places else array

    def at(self, name: str, indices: Sequence[Any], array: Any) -> list[tuple[Any, int, int]]:
        return list(zip(indices, self.lowest[name], array.shape, strict=True))

    def spread(self, limits: Sequence[Any], env: Env, depth: int) -> tuple[Env, Any, int]:
        """Indices along new axes in front, and where they are within their ends."""
        env, mask = dict(env), np.True_
        for symbol, lo, hi in limits:
            low, high = (np.asarray(self.value(end, env, depth)) for end in (lo, hi))
            first, last = (int(low.min()), int(high.max())) if low.size and high.size else (0, -1)
            here = np.arange(first, last + 1).reshape(-1, *(1,) * depth)
            env[symbol], depth = here, depth + 1
            mask = mask & (low <= here) & (here <= high)
        return env, mask, depth

    def reduced(self, op: str, body: Any, limits: Sequence[Any], env: Env, depth: int) -> Any:
        inner, mask, deep = self.spread(limits, env, depth)
        return self.fold(op, self.value(body, inner, deep), mask, inner, limits, deep - depth)

    def fold(self, op: str, value: Any, mask: Any, env: Env, limits: Sequence[Any], count: int) -> Any:
        """The first `count` axes reduced, the last of them that was put there being the innermost."""
        xp = self.xp
        symbols = [limit[0] for limit in limits]
        shape = np.broadcast_shapes(np.shape(value), np.shape(mask), *(env[s].shape for s in symbols))
        value = xp.where(mask, value, float(REDUCTIONS[op].identity)) + xp.zeros(shape)
        if op == "sum":
            return xp.sum(value, axis=tuple(range(count)))
        if op == "prod":
            return xp.prod(value, axis=tuple(range(count)))
        if op == "logsumexp":
            top = _stopped(xp.max(value, axis=tuple(range(count))), xp)
            return top + xp.log(xp.sum(xp.exp(value - top), axis=tuple(range(count))))
        flat = xp.reshape(xp.transpose(value, (*range(count - 1, -1, -1), *range(count, len(shape)))), (-1, *shape[count:]))
        best = (xp.argmax if op.endswith("max") else xp.argmin)(flat, axis=0)
        if op.startswith("arg"):
            return best + int(np.min(env[symbols[0]]))
        return xp.take_along_axis(flat, best[None], axis=0)[0]

    def add(self, statement: Statement, before: Any) -> Any:
        """The array of the target with what a statement writes to it."""
        outer = [index.limit for index in outer_first(statement.domain) if index in statement.outer]
        inner = [index.limit for index in outer_first(statement.domain) if index not in statement.outer]
        apart = {i.symbol for i in statement.reduced}
        moving = any(apart & (lo.free_symbols | hi.free_symbols) for _, lo, hi in outer)
        env, mask, depth = self.spread([i.limit for i in outer_first(statement.domain)] if moving else outer, {}, 0)
        if inner and not moving:
            value = self.reduced(statement.op or "sum", statement.value, inner, env, depth)
        else:
            value = self.value(statement.value, env, depth)
        places = [np.asarray(self.value(i, env, depth)) for i in indices_of(statement.target)]
        return self.written(before, self.at(statement.name, places, before), value, mask, env, statement.op == "sum")

    def written(self, array: Any, places: Any, value: Any, mask: Any, env: Env, adds: bool) -> Any:
        if not places:
            return array + self.xp.sum(value * self.xp.asarray(mask, float)) if adds else self.xp.asarray(value) * 1.0
        shape = np.broadcast_shapes(np.shape(value), np.shape(mask), *(np.shape(e) for e in env.values()))
        inside = mask & reduce(lambda a, b: a & b, ((i >= low) & (i < low + n) for i, low, n in places))
        kept = np.broadcast_to(inside, shape)
        value = (self.xp.asarray(value) + self.xp.zeros(shape))[kept]
        cells = tuple(np.broadcast_to(i - low, shape)[kept] for i, low, _ in places)
        if self.xp is not np:
            return array.at[cells].add(value) if adds else array.at[cells].set(value)
        array = np.array(array)
        if adds:
            np.add.at(array, cells, value)
        else:
            array[cells] = value
        return array


def evaluated(
    program: Program, arrays: Mapping[str, Any], xp: Any, sweeps: Mapping[tuple[str, ...], int] | None = None
) -> tuple[dict[str, Any], dict[tuple[str, ...], int]]:
    """All quantities, and how many sweeps each recurrence took; `sweeps` says how many where that is known."""
    sizes = sizes_of(program, {n: np.shape(arrays[n]) for n in program.free})
    walk = Walk(program, xp, sizes, {n: xp.asarray(a) for n, a in arrays.items() if n in program.tensors})
    walk.lowest = {n: tuple(walk.number(a.lo) for a in t.axes) for n, t in program.tensors.items()}
    counts: dict[tuple[str, ...], int] = {}
    for group in map(tuple, components(program.needs)):
        shapes = {n: tuple(walk.number(axis.extent) for axis in program.tensors[n].axes) for n in group}
        again = len(group) > 1 or any(n in program.needs[n] for n in group)
        most = (sweeps or {}).get(group) or (sum(int(np.prod(s)) for s in shapes.values()) + 1 if again else 1)
        walk.cells |= {n: xp.zeros(shape) for n, shape in shapes.items()}
        for counts[group] in range(1, most + 1):
            new = {n: xp.zeros(shape) for n, shape in shapes.items()}
            for name in group:
                for statement in program.definitions[name]:
                    new[name] = walk.add(statement, new[name])
            same = xp is np and all(np.array_equal(walk.cells[n], new[n], equal_nan=True) for n in group)
            walk.cells |= new
            if same:
                break
    return walk.cells, counts


def jax_gradient(program: Program, arrays: Mapping[str, Any], loss: str, names: Sequence[str]) -> tuple[Any, dict[str, Any]]:
    """The value in float64 and its gradient by reverse mode of JAX."""
    found, slopes = jax_slopes(program, arrays, loss, names)({n: np.asarray(arrays[n], float) for n in names})
    return float(found), {n: np.asarray(slopes[n]) for n in names}


def jax_slopes(
    program: Program, arrays: Mapping[str, Any], loss: str, names: Sequence[str], batch: Sequence[str] = (), jit: bool = False
) -> Callable[[Mapping[str, Any]], Any]:
    """What gives value and gradients for values of `names`; of batched inputs the mean over their first axis."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    first = {n: a[0] if n in batch else a for n, a in arrays.items()}
    _, sweeps = evaluated(program, first, np)

    def of_one(rows: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
        return evaluated(program, {**first, **rows, **given}, jnp, sweeps)[0][loss]

    def value(given: Mapping[str, Any]) -> Any:
        rows = {n: jnp.asarray(arrays[n]) for n in batch}
        return jnp.mean(jax.vmap(lambda one: of_one(one, given))(rows)) if batch else of_one({}, given)

    slopes: Callable[[Mapping[str, Any]], Any] = jax.value_and_grad(value)
    return jax.jit(slopes) if jit else slopes
