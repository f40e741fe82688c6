"""Schedule → a module for JAX: pure functions that `jax.jit`, `jax.grad`, `jax.vmap` and `shard_map` take.

A recurrence is a `lax.scan` that carries the arrays its steps write: `_carried` lets them vary over the axes of a mesh, under
`shard_map`, as what the steps read does. Shapes are looked at while JAX traces, so that checks cost a compiled call nothing;
the values of whole numbers are looked at where they are known then.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from symgrad.backends.nests import indent
from symgrad.backends.pure import Library, PureArray, Walk, written
from symgrad.backends.pycode import affine, named, python_name
from symgrad.core.affine import Ends
from symgrad.core.program import Index, Statement
from symgrad.schedule.kernels import Scan, flat
from symgrad.schedule.order import rectangular

IMPORTS = "import jax\nimport jax.numpy as jnp\nfrom jax import lax"
DEFINITIONS = named("""
def _stop(u):
    return lax.stop_gradient(u)

def _logistic(u):
    return lax.logistic(jnp.asarray(u, F))

def _softplus(u):
    return jnp.logaddexp(u, 0.0)

def _erf(u):
    return lax.erf(jnp.asarray(u, F))

def _erfc(u):
    return lax.erfc(jnp.asarray(u, F))

def _lgamma(u):
    return lax.lgamma(jnp.asarray(u, F))

def _digamma(u):
    return lax.digamma(jnp.asarray(u, F))

def _carried(arrays, *reads):
    nothing = sum(jnp.zeros_like(each, F, ()) for each in (*arrays, *reads))
    return tuple(each - nothing for each in arrays)

def _prod(values, axis):
    return jnp.prod(values, axis=axis)

def _max(values, axis, keepdims=False):
    count = 1
    for k in axis:
        count = count*values.shape[k]
    top = _largest(values.reshape((*values.shape[:axis[0]], count)))
    return jnp.expand_dims(top, axis) if keepdims else top

def _min(values, axis):
    return -_max(-values, axis)

def _place(find, values):
    if values.shape[-1] == 0:
        return jnp.full(values.shape[:-1], -1.0, F)
    return find(values, axis=-1).astype(F)

def _add_at(array, places, values):
    return array.at[places].add(values) if array.size else array
""")
LARGEST = '''
@jax.custom_jvp
def _largest(rows):
    """The largest number of each row; the first of them has all of the slope."""
    return jnp.max(rows, axis=-1, initial=-jnp.inf)


@_largest.defjvp
def _slope_of_largest(rows, slopes):
    (rows,), (slopes,) = rows, slopes
    if rows.shape[-1] == 0:
        return _largest(rows), jnp.zeros(rows.shape[:-1], F)
    first = jnp.argmax(rows, axis=-1)[..., None]
    return _largest(rows), jnp.take_along_axis(slopes, first, -1)[..., 0]
'''.strip()
CHECKS = '''
def _array(name, value, axes, equation):
    """The value as an array of the module's type; DataError SG207, SG602 or SG603 where it cannot be."""
    if F == jnp.float64 and not jax.config.jax_enable_x64:
        hint = 'call jax.config.update("jax_enable_x64", True) first, or compile with dtype="float32"'
        raise DataError("SG207", "this module computes in float64, and there is none: JAX is set to float32", hint)
    try:
        array = jnp.asarray(value)
    except ValueError:
        raise DataError("SG602", f"{name} is no array: its rows differ in length, but {equation} needs {_axes(axes)}") from None
    except TypeError:
        raise DataError("SG603", f"{name} holds no numbers, but {equation} needs {F.dtype}") from None
    if array.ndim != len(axes):
        raise DataError("SG602", f"{name} has shape {array.shape}, but {equation} needs {_axes(axes)}")
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise DataError("SG603", f"{name} holds {array.dtype}, but {equation} needs {F.dtype}", f"pass {name}.astype({F.dtype})")
    return array.astype(F)


def _integers(name, value, axes, equation):
    """The value as an array of whole numbers; DataError SG602 or SG603 where it cannot be."""
    array = jnp.asarray(value)
    if array.ndim != len(axes):
        raise DataError("SG602", f"{name} has shape {array.shape}, but {equation} needs {_axes(axes)}")
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise DataError("SG603", f"{name} holds {array.dtype}, but {equation} needs whole numbers", f"pass {name}.astype(int)")
    return array


def _values(name, array, low, high, equation):
    """All numbers lie in their range, where they are known; DataError SG605."""
    if isinstance(array, jax.core.Tracer) or not array.size:
        return
    known = jax.device_get(array)
    least, most = int(known.min()), int(known.max())
    if least < low or most > high:
        found = least if least < low else most
        raise DataError("SG605", f"{name} holds {found}, but {equation} needs {low}..{high}")
'''


class JaxArray(PureArray):
    """Places and ranges that move with the step of a recurrence are not known to JAX: a box and conditions stand for them."""

    def box(self, statement: Statement) -> tuple[Statement, tuple[Index, ...]]:
        """The statement over a box that no step changes."""
        steps = set(self.around)
        moving = [i for i in statement.outer if i in statement.moving or steps & (i.lo + i.hi).free_symbols]
        return rectangular(statement, self.around), tuple(moving)

    def along(self, read: Any, place: Any, axis: Index) -> Any:
        """Where a slice would start with the step, places are computed."""
        found = super().along(read, place, axis)
        return None if found and set(self.around) & place.free_symbols else found

    @property
    def test(self) -> str:
        """When the kernel runs, of the steps of the recurrence around it."""
        tests = []
        for index in self.kernel.times:
            name, lo, hi = python_name(str(index.symbol)), affine(index.lo), affine(index.hi)
            first, last = self.steps.get(index.symbol, (None, None))
            if index.lo == index.hi:
                tests.append(f"{name} == {lo}")
                continue
            tests += [f"{name} >= {lo}"] if first != index.lo else []
            tests += [f"{name} <= {hi}"] if last != index.hi else []
        return tests[0] if len(tests) == 1 else " & ".join(f"({test})" for test in tests)

    def chosen(self, value: str, otherwise: str) -> str:
        return f"np.where({self.test}, {value}, {otherwise})" if self.test else value

    def stored(self, name: str, cells: str, value: str, adds: bool) -> str:
        if adds:
            return f"{name} = {name}.at[{cells}].add({self.chosen(value, '0.0')})"
        return f"{name} = {name}.at[{cells}].set({self.chosen(value, f'{name}[{cells}]')})"

    def whole(self, name: str, value: str) -> str:
        if self.kernel.adds:
            return f"{name} = {name} + {self.chosen(value, '0.0')}"
        return f"{name} = {self.chosen(value, name)}"

    def added_at(self, name: str, cells: str, value: str) -> str:
        value = self.chosen(value, "0.0")
        return f"{name} = _add_at({name}, ({cells},), {value})"


def scan(walk: Walk, kernel: Scan, around: dict[Any, Ends], at: int) -> Iterator[str]:
    """A recurrence: a function of one step, and the loop over all of them."""
    index, step = kernel.index, f"_step_{next(walk.steps)}"
    own = written(kernel)
    names, comma = ", ".join(map(python_name, own)), "," * (len(own) == 1)
    reads = dict.fromkeys(name for each in flat([kernel]) for name in each.statement.read_names if name not in own)
    start = f"_carried({', '.join([f'({names}{comma})', *map(python_name, reads)])})"
    carried = f"({names}{comma})"
    lo, hi = affine(index.lo), affine(index.hi)
    steps = f"np.arange({hi}, {affine(index.lo - 1)}, -1)" if kernel.descending else f"np.arange({lo}, {affine(index.hi + 1)})"
    lines = [f"{carried} = carry", *walk.kernels(kernel.body, around, at), f"return {carried}, None"]
    yield from [f"def {step}(carry, {python_name(str(index.symbol))}):", *indent(lines)]
    yield f"{carried}, _ = lax.scan({step}, {start}, {steps})"


LIBRARY = Library(
    "JAX", IMPORTS, "jnp.", {}, {**DEFINITIONS, "_largest": LARGEST}, CHECKS.strip(), JaxArray, scan, "jnp.asarray({}, F)"
)
