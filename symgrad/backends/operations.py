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
LONG = 50_000  # operations of a table: beyond, LLVM translates them as they stand: in half the time, to code a quarter slower
FLAGS = "reassoc nsz arcp contract"
TESTS = {">": "ogt", ">=": "oge", "<": "olt", "<=": "ole", "==": "oeq", "!=": "une"}


def _rows(table: str) -> list[tuple[str, tuple[str, ...]]]:
    """(operation, operands) of each row; places count the rows."""
    return [(row[0], tuple(row[1:])) for line in table.replace(";", "\n").splitlines() if (row := line.split())]


class _Lines(ir.Function):  # type: ignore[misc]
    """A function that is LLVM's text already: objects for instructions would take longer to make and print than LLVM takes."""

    lines: tuple[str, ...] = ()
    attributes_of_text = "noinline nounwind"

    def __str__(self) -> str:
        (array,) = self.args
        head = f"define internal void {self.get_reference()}({array.type} %array) {self.attributes_of_text}"
        return "\n".join([head, "{", *self.lines, "  ret void", "}", ""])


class _Chunk:
    """One function of the operations start..end: what it needs of other chunks comes through the array."""

    def __init__(self, module: Any, real: Any, name: str, rows: Any, spilled: dict[int, int], later: dict[int, int]):
        self.module, self.real, self.rows, self.spilled, self.later = module, real, rows, spilled, later
        self.function = _Lines(module, ir.FunctionType(ir.VoidType(), [real.as_pointer()]), name)
        self.pointer = str(real.as_pointer())
        self.kind = "" if isinstance(real, ir.DoubleType) else "f"
        self.values: dict[int, str] = {}
        self.lines = [f"  %{place} = alloca {real}" for place in (("sine", "cosine") if later else ())]

    def line(self, place: Any, text: str) -> str:
        self.lines.append(f"  %{place} = {text}")
        return f"%{place}"

    def cell(self, place: int) -> str:
        return self.line(f"p{len(self.lines)}", f"getelementptr {self.real}, {self.pointer} %array, i64 {place}")

    def load(self, pointer: str) -> str:
        return self.line(f"l{len(self.lines)}", f"load {self.real}, {self.pointer} {pointer}")

    def value(self, row: int) -> str:
        if row not in self.values:
            self.values[row] = self.load(self.cell(self.spilled[row]))
        return self.values[row]

    def number(self, text: str) -> str:
        return str(ir.Constant(self.real, float(text)).get_reference())

    def known(self, name: str, *arguments: Any) -> str:
        """A function of the C library."""
        result = self.real if all(kind is self.real for kind in arguments) else ir.VoidType()
        name += self.kind
        cgutils.get_or_insert_function(self.module, ir.FunctionType(result, arguments), name)
        return f"call {result} @{name}"

    def call(self, row: int, name: str, *values: str) -> str:
        given = ", ".join(f"{self.real} {value}" for value in values)
        return self.line(f"v{row}", f"{self.known(name, *[self.real] * len(values))}({given})")

    def sine_and_cosine(self, row: int, operation: str, operand: int) -> None:
        """This row and the later one that takes the other of the same number, in about the time of one."""
        known = self.known("sincos", self.real, *[self.real.as_pointer()] * 2)
        self.lines.append(f"  {known}({self.real} {self.value(operand)}, {self.pointer} %sine, {self.pointer} %cosine)")
        rows = (row, self.later[row]) if operation == "sin" else (self.later[row], row)
        for each, place in zip(rows, ("%sine", "%cosine"), strict=True):
            self.values[each] = self.load(place)
        self.keep(self.later[row])

    def keep(self, row: int) -> None:
        if row in self.spilled:
            self.store(row, self.spilled[row])

    def store(self, row: int, place: int) -> None:
        value = self.value(row)
        self.lines.append(f"  store {self.real} {value}, {self.pointer} {self.cell(place)}")

    def carry_out(self, row: int, operation: str, operands: tuple[str, ...]) -> None:
        if operation in ("add", "sub", "mul", "div"):
            one, other = (self.value(int(k)) for k in operands)
            self.values[row] = self.line(f"v{row}", f"f{operation} {FLAGS} {self.real} {one}, {other}")
        elif operation == "const":
            self.values[row] = self.number(operands[0])
        elif operation == "load":
            self.values[row] = self.load(self.cell(int(operands[0])))
        elif operation == "store":
            self.store(int(operands[0]), int(operands[1]))
        elif row in self.later:
            self.sine_and_cosine(row, operation, int(operands[0]))
        elif operation == "neg":
            self.values[row] = self.line(f"v{row}", f"fneg {self.real} {self.value(int(operands[0]))}")
        elif operation == "pick":
            self.values[row] = self.pick(row, operands[0], *(self.value(int(k)) for k in operands[1:]))
        else:
            self.values[row] = self.call(row, operation, *(self.value(int(k)) for k in operands))
        self.keep(row)

    def pick(self, row: int, sign: str, left: str, right: str, yes: str, no: str) -> str:
        test = self.line(f"t{row}", f"fcmp {TESTS[sign]} {self.real} {left}, {right}")
        return self.line(f"v{row}", f"select i1 {test}, {self.real} {yes}, {self.real} {no}")

    def finished(self, first: int, pairs: dict[int, int]) -> Any:
        for row, (operation, operands) in enumerate(self.rows, first):
            if row not in pairs:
                self.carry_out(row, operation, operands)
        self.function.lines = tuple(self.lines)
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
            chunk.function.attributes_of_text += " optnone" if len(rows) > LONG else ""
            builder.call(chunk.finished(first, pairs), [array.data])
        return context.get_dummy_value()

    @intrinsic  # type: ignore[untyped-decorator]
    def run(typingctx: Any, array: Any) -> Any:
        return types.void(array), code

    return run, cells + len(spilled)
