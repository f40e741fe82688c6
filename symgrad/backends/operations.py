"""Operations from a table → LLVM, for a module's long runs of scalar equations.

This text goes into emitted modules as it is. numba's own compilation of straight-line code takes minutes for thousands
of equations; a table of operations becomes machine code in seconds. A row is an operation with its operands: places of
rows before it, of a cell of the array (`load`, `store`), or a number (`const`).

>>> rows = _rows("load 0; const 2.0; mul 0 1; sin 2; store 3 1")
>>> rows[2:4]
[('mul', ('0', '1')), ('sin', ('2',))]
"""

from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

CHUNK = 2_000  # operations of one function: LLVM needs more than linear time for longer ones


def _rows(table: str) -> list[tuple[str, tuple[str, ...]]]:
    """(operation, operands) of each row; places count the rows."""
    return [(row[0], tuple(row[1:])) for line in table.replace(";", "\n").splitlines() if (row := line.split())]


class _Chunk:
    """One function of the operations start..end: what it needs of other chunks comes through the array."""

    def __init__(self, module: Any, real: Any, name: str, rows: Any, spilled: dict[int, int], later: dict[int, int]):
        self.module, self.real, self.rows, self.spilled, self.later = module, real, rows, spilled, later
        kind = ir.FunctionType(ir.VoidType(), [real.as_pointer()])
        self.function = ir.Function(module, kind, name)
        self.function.linkage = "internal"
        self.function.attributes.add("noinline")
        self.build = ir.IRBuilder(self.function.append_basic_block())
        self.values: dict[int, Any] = {}
        self.both = [self.build.alloca(real) for _ in range(2 if later else 0)]

    def cell(self, place: int) -> Any:
        return self.build.gep(self.function.args[0], [ir.Constant(ir.IntType(64), place)])

    def value(self, row: int) -> Any:
        if row not in self.values:
            self.values[row] = self.build.load(self.cell(self.spilled[row]))
        return self.values[row]

    def number(self, text: str) -> Any:
        return ir.Constant(self.real, float(text))

    def call(self, name: str, *values: Any) -> Any:
        name += "" if isinstance(self.real, ir.DoubleType) else "f"
        kind = ir.FunctionType(self.real, [self.real] * len(values))
        return self.build.call(cgutils.get_or_insert_function(self.module, kind, name), values)

    def sine_and_cosine(self, row: int, operation: str, operand: int) -> None:
        """This row and the later one that takes the other of the same number, in about the time of one."""
        name = "sincos" if isinstance(self.real, ir.DoubleType) else "sincosf"
        kind = ir.FunctionType(ir.VoidType(), [self.real, *(place.type for place in self.both)])
        self.build.call(cgutils.get_or_insert_function(self.module, kind, name), [self.value(operand), *self.both])
        rows = (row, self.later[row]) if operation == "sin" else (self.later[row], row)
        for each, place in zip(rows, self.both, strict=True):
            self.values[each] = self.build.load(place)
        self.keep(self.later[row])

    def keep(self, row: int) -> None:
        if row in self.spilled:
            self.build.store(self.values[row], self.cell(self.spilled[row]))

    def carry_out(self, row: int, operation: str, operands: tuple[str, ...]) -> None:
        build = self.build
        if operation in ("add", "sub", "mul", "div"):
            self.values[row] = getattr(build, "f" + operation)(*(self.value(int(k)) for k in operands))
        elif operation == "const":
            self.values[row] = self.number(operands[0])
        elif operation == "load":
            self.values[row] = build.load(self.cell(int(operands[0])))
        elif operation == "store":
            build.store(self.value(int(operands[0])), self.cell(int(operands[1])))
        elif row in self.later:
            self.sine_and_cosine(row, operation, int(operands[0]))
        elif operation == "neg":
            self.values[row] = build.fneg(self.value(int(operands[0])))
        elif operation in ("pow", "fmax", "fmin"):
            self.values[row] = self.call(operation, *(self.value(int(k)) for k in operands))
        elif operation == "pick":
            sign, *places = operands
            left, right, yes, no = (self.value(int(k)) for k in places)
            test = build.fcmp_unordered if sign == "!=" else build.fcmp_ordered
            self.values[row] = build.select(test(sign, left, right), yes, no)
        else:
            self.values[row] = self.call(operation, self.value(int(operands[0])))
        self.keep(row)

    def finished(self, first: int, pairs: dict[int, int]) -> Any:
        for row, (operation, operands) in enumerate(self.rows, first):
            if row not in pairs:
                self.carry_out(row, operation, operands)
        self.build.ret_void()
        return self.function


def _operands(operation: str, operands: tuple[str, ...]) -> tuple[int, ...]:
    """The rows that an operation reads."""
    if operation in ("const", "load"):
        return ()
    return tuple(map(int, operands[:1] if operation == "store" else operands[1:] if operation == "pick" else operands))


def _pairs(rows: Any) -> dict[int, int]:
    """A row that takes the sine of what an earlier row takes the cosine of, or the other way round → that row.

    A gradient has both of nearly all; the C library may have no function for both.
    """
    if binding.address_of_symbol("sincos") is None or binding.address_of_symbol("sincosf") is None:
        return {}
    out: dict[int, int] = {}
    seen: dict[tuple[str, ...], int] = {}
    for row, (operation, operands) in enumerate(rows):
        if operation in ("sin", "cos"):
            other = seen.pop(("cos" if operation == "sin" else "sin", *operands), None)
            if other is None:
                seen[operation, *operands] = row
            else:
                out[row] = other
    return out


def _spilled(rows: Any, cells: int, pairs: dict[int, int]) -> dict[int, int]:
    """The places in the array of the values that another chunk reads, after the `cells` that are in use."""
    out: dict[int, int] = {}
    for row, (operation, operands) in enumerate(rows):
        for other in () if row in pairs else _operands(operation, operands):
            if pairs.get(other, other) // CHUNK != row // CHUNK and other not in out:
                out[other] = cells + len(out)
    return out


def _straight(table: str, cells: int) -> tuple[Any, int]:
    """(what carries out a table of operations over an array, the length of that array)."""
    rows = _rows(table)
    pairs = _pairs(rows)
    later = {first: second for second, first in pairs.items()}
    spilled = _spilled(rows, cells, pairs)

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        real = context.get_value_type(signature.args[0].dtype)
        for first in range(0, len(rows), CHUNK):
            name = builder.module.get_unique_name("straight")
            chunk = _Chunk(builder.module, real, name, rows[first : first + CHUNK], spilled, later)
            builder.call(chunk.finished(first, pairs), [array.data])
        return context.get_dummy_value()

    @intrinsic  # type: ignore[untyped-decorator]
    def run(typingctx: Any, array: Any) -> Any:
        return types.void(array), code

    return run, cells + len(spilled)
