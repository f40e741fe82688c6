"""Products of matrices → calls of gemm in the BLAS that is there, by its address.

    if _worth(_blas, N, D, M, x.shape[1], …):     enough to do, and a BLAS to do it
        _gemm(_blas, N, D, M, …)                  C = alpha·A·B + beta·C
    else:
        …                                         the loops

numpy's wheels bring OpenBLAS with integers of 64 bits, SciPy exports its own with 32; where neither is found
the loops serve. The address is an argument of the kernel: compiled code that numba keeps for the next
process must not hold it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import sympy as sp

from symgrad.backends.pycode import affine
from symgrad.core.expr import indices_of, substitute
from symgrad.core.program import Index
from symgrad.schedule.contractions import Product

STANDARD = ("ctypes", "glob", "os", "sys")
IMPORTS = """
import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import cgutils, types
from numba.extending import intrinsic
""".strip()
# below this many multiplications a call costs more than the loops: 4 x 4 x 4 takes 30 ns in loops and 80 in gemm
LEAST = 200

LOOK_UP = '''
def _find_blas():
    """(address of gemm, largest number it takes): numpy's own BLAS, else SciPy's, else nothing, which is (0, 0)."""
    root = os.path.dirname(np.__file__)
    for folder in (os.path.join(os.path.dirname(root), "numpy.libs"), os.path.join(root, ".libs"), os.path.join(root, ".dylibs")):
        for path in sorted(glob.glob(os.path.join(glob.escape(folder), "*openblas64_*"))):
            try:
                library = ctypes.CDLL(path)
            except OSError:
                continue
            for name in ("scipy_{letter}gemm_64_", "{letter}gemm_64_"):
                if hasattr(library, name):
                    return ctypes.cast(getattr(library, name), ctypes.c_void_p).value, 2**63 - 1
    try:
        from scipy.linalg import cython_blas

        capsule = cython_blas.__pyx_capi__["{letter}gemm"]
    except (ImportError, AttributeError, KeyError):
        return 0, 0
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype, api.PyCapsule_GetName.argtypes = ctypes.c_char_p, [ctypes.py_object]
    api.PyCapsule_GetPointer.restype, api.PyCapsule_GetPointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    name = api.PyCapsule_GetName(capsule)
    # its integers have 32 bits, which are the first of 64 in memory
    if not name.startswith(b"void (char *, char *, int *,") or sys.byteorder != "little":
        return 0, 0
    return api.PyCapsule_GetPointer(capsule, name), 2**31 - 1


_BLAS = _find_blas()
'''

# a function of its own: put into every place that asks, it lengthens the time to compile by a third
WORTH = '''
@njit
def _worth(blas, rows, columns, summed, left_step, right_step, step):
    """There is a BLAS, it takes these numbers, and a call of it is faster than the loops; never for nothing at all."""
    if blas[0] == 0 or min(rows, columns) < 2 or summed < 1 or rows*columns*summed < {least}:
        return False
    return max(max(rows, columns, summed), max(left_step, right_step, step)) <= blas[1]
'''

# up to 2^18 multiplications OpenBLAS keeps to the thread it is called by; where the processors are busy, its own
# threads make a product of 2^21 wait 50 times as long as it takes; tiles cost a tenth to a quarter. Larger ones are left to them.
ALONE, LARGE, TILE = 2**18, 2**24, 64

TILES = '''
@njit
def _gemm(blas, rows, columns, summed, alpha, left, left_turned, left_place, left_step,
          right, right_turned, right_place, right_step, beta, target, place, step):
    """target = alpha*left*right + beta*target, in tiles for which no threads are started."""
    tile = {tile} if {alone} < rows*columns*summed <= {large} else max(rows, columns, summed)
    left_row, left_column = (1, left_step) if left_turned else (left_step, 1)
    right_row, right_column = (1, right_step) if right_turned else (right_step, 1)
    for inner in range(0, summed, tile):
        factor = beta if inner == 0 else F(1)
        for row in range(0, rows, tile):
            for column in range(0, columns, tile):
                _call_gemm(
                    blas, min(tile, rows - row), min(tile, columns - column), min(tile, summed - inner), alpha,
                    left, left_turned, left_place + row*left_row + inner*left_column, left_step,
                    right, right_turned, right_place + inner*right_row + column*right_column, right_step,
                    factor, target, place + row*step + column, step,
                )
'''

GEMM = '''
@intrinsic
def _call_gemm(typing, blas, rows, columns, summed, alpha, left, left_turned, left_place, left_step,
               right, right_turned, right_place, right_step, beta, target, place, step):
    """target = alpha*left*right + beta*target: matrices in the rows of arrays, from a place on, `step` numbers from row to row.

    One that is turned lies in memory as its transpose. Fortran takes rows for columns, so it is given
    the transposed equation: the factors in the other order.
    """
    whole, real = types.int64, target.dtype
    operand = (whole, whole, whole)
    signature = types.void(blas, whole, whole, whole, real, left, *operand, right, *operand, real, target, whole, whole)

    def call(context, builder, signature, args):
        blas, rows, columns, summed, alpha, left, left_turned, left_place, left_step, *args = args
        right, right_turned, right_place, right_step, beta, target, place, step = args
        byte = ir.IntType(8)
        pointer = byte.as_pointer()

        def stored(value):
            return builder.bitcast(cgutils.alloca_once_value(builder, value), pointer)

        def letter(turned):
            return stored(builder.trunc(builder.select(turned, whole_of(ord("T")), whole_of(ord("N"))), byte))

        def whole_of(number):
            return ir.Constant(ir.IntType(64), number)

        def cell(position, value, place):
            data = context.make_array(signature.args[position])(context, builder, value).data
            return builder.bitcast(builder.gep(data, [place]), pointer)

        turned = [letter(builder.icmp_signed("!=", flag, whole_of(0))) for flag in (right_turned, left_turned)]
        sizes = [stored(value) for value in (columns, rows, summed, alpha)]
        factors = [cell(9, right, right_place), stored(right_step), cell(5, left, left_place), stored(left_step)]
        result = [stored(beta), cell(14, target, place), stored(step)]
        function = ir.FunctionType(ir.VoidType(), [pointer]*13).as_pointer()
        address = builder.inttoptr(builder.extract_value(blas, 0), function)
        builder.call(address, [*turned, *sizes, *factors, *result])
        return context.get_dummy_value()

    return signature, call
'''


def support(used: str, dtype: str) -> str:
    """What a module needs whose kernels, the text `used`, call gemm."""
    if "_gemm(" not in used:
        return ""
    letter = {"float32": "s", "float64": "d"}[dtype]
    values = {"letter": letter, "least": LEAST, "tile": TILE, "alone": ALONE, "large": LARGE}
    text = "\n\n\n".join(block.strip("\n") for block in (LOOK_UP, WORTH, GEMM, TILES))
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


class Call:
    """The texts of one product. `read` writes an access to a whole number, `stored` the name of a quantity's array."""

    def __init__(self, product: Product, target: Any, shift: Mapping[Any, Any], axes: Any, stored: Any, read: Any):
        self.product, self.shift, self.axes, self.stored, self.read = product, shift, axes, stored, read
        inside = (*product.rows, *product.columns, *product.summed)
        self.starts = {index.symbol: index.lo for index in inside}
        self.target = target

    def sizes(self) -> list[str]:
        groups = (self.product.rows, self.product.columns, self.product.summed)
        return [affine(sp.Mul(*(index.extent for index in group))) for group in groups]

    def steps(self) -> list[str]:
        """How far apart in memory the rows of the left, the right and the target's matrix are."""
        left = self.product.summed[-1] if self.product.left_turned else self.product.rows[-1]
        right = self.product.columns[-1] if self.product.right_turned else self.product.summed[-1]
        pairs = ((self.product.left, left), (self.product.right, right), (self.target, self.product.rows[-1]))
        return ["*".join(self.beyond(read, self.axis(read, index))) for read, index in pairs]

    def axis(self, read: Any, index: Index) -> int:
        return next(place for place, own in enumerate(indices_of(read)) if own.has(index.symbol))

    def beyond(self, read: Any, axis: int) -> list[str]:
        """The lengths of the axes after one: their product is the step from a place on it to the next."""
        return [f"{self.stored(read)}.shape[{later}]" for later in range(axis + 1, len(indices_of(read)))]

    def place(self, read: Any) -> str:
        """Where the matrix starts in the array, counted in numbers."""
        terms = []
        for axis, (index, bounds) in enumerate(zip(indices_of(read), self.axes(read), strict=True)):
            first = sp.expand(substitute(substitute(index, self.starts), self.shift) - bounds.lo)
            if first != 0:
                text = affine(first, None, self.read)
                steps = self.beyond(read, axis)
                terms.append("*".join([f"({text})" if steps and first.is_Add else text, *steps]))
        return " + ".join(terms) or "0"

    def lines(self, alpha: str, beta: str) -> Iterator[str]:
        """The call, one operand a line where it does not fit."""
        left_step, right_step, step = self.steps()
        product = self.product
        operands = [
            (self.stored(product.left), str(int(product.left_turned)), self.place(product.left), left_step),
            (self.stored(product.right), str(int(product.right_turned)), self.place(product.right), right_step),
        ]
        texts = [", ".join(operand) for operand in operands]
        result = ", ".join([beta, self.stored(self.target), self.place(self.target), step])
        yield f"_gemm(_blas, {', '.join(self.sizes())}, {alpha}, {texts[0]}, {texts[1]}, {result})"

    def test(self) -> str:
        return f"_worth(_blas, {', '.join([*self.sizes(), *self.steps()])})"


def takes(text: str) -> list[str]:
    """The argument that a function with this body has last, if any."""
    return ["_blas"] if "_blas" in text else []


def given(text: str) -> list[str]:
    """What is passed for it, by one who is not compiled."""
    return ["_BLAS"] if "_blas" in text else []
