"""Products of matrices → calls of one function, which hands them to gemm in the BLAS that is there, by its address.

    _gemm(_blas, _sizes(N, D, M), alpha, _rows(x, 0, x.shape[1]), _columns(W, 0, W.shape[1]), beta, _rows(y, 0, y.shape[1]))

    C = alpha·A·B + beta·C, beta 0 or 1, of a matrix whose rows lie in memory from a place on, with a step from one to the
    next, and of one whose columns do

numpy's wheels bring OpenBLAS with integers of 64 bits, SciPy exports its own with 32; where neither is found, and for
the smallest, there are loops. The address is an argument of the kernel: compiled code that numba keeps for the next
process must not hold it. Matrices are made of pointers and sizes of one type, so that the function is compiled once and
not for all ranks of arrays and for every number that stands in a call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sympy as sp

from symgrad.backends.pycode import affine
from symgrad.core.expr import index_symbol, indices_of, substitute
from symgrad.core.program import Index
from symgrad.schedule.contractions import Product
from symgrad.schedule.kernels import Blocks

ROWS = index_symbol("number of rows")
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


# (address, largest number it takes, how many multiplications may be its own threads' matter)
_BLAS = (*_find_blas(), {large})
_ALONE = (*_BLAS[:2], 2**62)  # for products inside of threads
'''

# where the right matrix is turned, both are read along their rows; else rows are added to rows
LOOPS = '''
@njit(error_model="numpy", fastmath={"reassoc", "contract", "arcp", "nsz"}, **_INNER)
def _loops(rows, columns, summed, alpha, left, left_row, left_column, right, right_turned, right_step, beta, target, step):
    """The same in loops, for what is too small for gemm."""
    for row in range(rows):
        if beta == F(0):
            for column in range(columns):
                target[row*step + column] = F(0)
        if right_turned and left_column == 1:
            for column in range(columns):
                total = F(0)
                for inner in range(summed):
                    total += left[row*left_row + inner]*right[column*right_step + inner]
                target[row*step + column] += alpha*total
        elif right_turned:
            for column in range(columns):
                total = F(0)
                for inner in range(summed):
                    total += left[row*left_row + inner*left_column]*right[column*right_step + inner]
                target[row*step + column] += alpha*total
        else:
            for inner in range(summed):
                factor = alpha*left[row*left_row + inner*left_column]
                for column in range(columns):
                    target[row*step + column] += factor*right[inner*right_step + column]
'''

# up to 2^18 multiplications OpenBLAS keeps to the thread it is called by; where the processors are busy, its own
# threads make a product of 2^21 wait 50 times as long as it takes; tiles cost a tenth to a quarter. Larger ones are left to them.
ALONE, LARGE, TILE = 2**18, 2**24, 64

TILES = '''
@njit(**_INNER)
def _gemm(blas, sizes, alpha, left, right, beta, target):
    """target = alpha*left*right + beta*target, beta 0 or 1, by gemm in tiles for which no threads are started, or by loops."""
    rows, columns, summed = sizes
    left, left_step, left_turned = left
    right, right_step, right_turned = right
    target, step, _ = target
    left_row, left_column = (1, left_step) if left_turned else (left_step, 1)
    right_row, right_column = (1, right_step) if right_turned else (right_step, 1)
    small = min(rows, columns) < 2 or summed < 1 or rows*columns*summed < {least}
    if blas[0] == 0 or small or max(max(rows, columns, summed), max(left_step, right_step, step)) > blas[1]:
        _loops(rows, columns, summed, alpha, left, left_row, left_column, right, right_turned, right_step, beta, target, step)
        return
    tile = {tile} if {alone} < rows*columns*summed <= blas[2] else max(rows, columns, summed)
    for inner in range(0, summed, tile):
        factor = beta if inner == 0 else F(1)
        for row in range(0, rows, tile):
            for column in range(0, columns, tile):
                _call_gemm(
                    blas, min(tile, rows - row), min(tile, columns - column), min(tile, summed - inner), alpha,
                    _from(left, row*left_row + inner*left_column), left_turned, left_step,
                    _from(right, inner*right_row + column*right_column), right_turned, right_step,
                    factor, _from(target, row*step + column), step,
                )
'''

GEMM = '''
@intrinsic
def _sizes(typing, rows, columns, summed):
    whole = types.int64
    shape = types.UniTuple(whole, 3)
    return shape(whole, whole, whole), lambda context, builder, signature, args: context.make_tuple(builder, shape, args)


def _matrix(array, turned):
    """An array's type → (pointer, step, whether it lies there as its transpose) of a matrix in it."""
    whole = types.int64
    kind = types.Tuple((types.CPointer(array.dtype), whole, whole))

    def make(context, builder, signature, args):
        pointer = builder.gep(context.make_array(array)(context, builder, args[0]).data, [args[1]])
        return context.make_tuple(builder, kind, [pointer, args[2], args[2].type(turned)])

    return kind(array, whole, whole), make


@intrinsic
def _rows(typing, array, place, step):
    return _matrix(array, 0)


@intrinsic
def _columns(typing, array, place, step):
    return _matrix(array, 1)


@intrinsic
def _from(typing, pointer, place):
    """So many numbers further on."""
    return pointer(pointer, types.int64), lambda context, builder, signature, args: builder.gep(args[0], [args[1]])


@intrinsic
def _call_gemm(typing, blas, rows, columns, summed, alpha, left, left_turned, left_step, right, right_turned, right_step, beta,
               target, step):
    """gemm itself. Fortran takes rows for columns, so it is given the transposed equation: the factors in the other order."""
    whole, real = types.int64, target.dtype
    signature = types.void(blas, whole, whole, whole, real, left, whole, whole, right, whole, whole, real, target, whole)

    def call(context, builder, signature, args):
        blas, rows, columns, summed, alpha, left, left_turned, left_step, right, right_turned, right_step, beta, target, step = args
        byte = ir.IntType(8)
        pointer = byte.as_pointer()

        def stored(value):
            return builder.bitcast(cgutils.alloca_once_value(builder, value), pointer)

        def letter(turned):
            letters = [ir.Constant(byte, ord(one)) for one in "TN"]
            return stored(builder.select(builder.icmp_signed("!=", turned, turned.type(0)), *letters))

        def cell(value):
            return builder.bitcast(value, pointer)

        turned = [letter(right_turned), letter(left_turned)]
        sizes = [stored(value) for value in (columns, rows, summed, alpha)]
        factors = [cell(right), stored(right_step), cell(left), stored(left_step)]
        result = [stored(beta), cell(target), stored(step)]
        function = ir.FunctionType(ir.VoidType(), [pointer]*13).as_pointer()
        builder.call(builder.inttoptr(builder.extract_value(blas, 0), function), [*turned, *sizes, *factors, *result])
        return context.get_dummy_value()

    return signature, call
'''


def support(used: str, dtype: str) -> str:
    """What a module needs whose kernels, the text `used`, call gemm."""
    return _filled((LOOK_UP, GEMM, LOOPS, TILES), dtype) if "_gemm(" in used else ""


def look_up(dtype: str) -> str:
    """What finds gemm's address."""
    return _filled((LOOK_UP,), dtype)


def _filled(texts: Sequence[str], dtype: str) -> str:
    letter = {"float32": "s", "float64": "d"}[dtype]
    values = {"letter": letter, "least": LEAST, "tile": TILE, "alone": ALONE, "large": LARGE}
    text = "\n\n\n".join(block.strip("\n") for block in texts)
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


class Call:
    """The texts of one product. `read` writes an access to a whole number, `stored` the name of a quantity's array."""

    def __init__(
        self,
        product: Product,
        target: Any,
        shift: Mapping[Any, Any],
        axes: Any,
        stored: Any,
        read: Any,
        blocks: Blocks | None = None,
    ):
        self.product, self.shift, self.axes, self.stored, self.read, self.blocks = product, shift, axes, stored, read, blocks
        inside = (*product.rows, *product.columns, *product.summed)
        self.starts = {index.symbol: index.lo for index in inside}
        self.target = target

    def sizes(self) -> list[str]:
        groups = (self.product.rows, self.product.columns, self.product.summed)
        here = self.blocks.axis.symbol if self.blocks else None
        extents = [sp.Mul(*(ROWS if index.symbol == here else index.extent for index in group)) for group in groups]
        return [affine(extent, {ROWS: "_count"}) for extent in extents]

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

    def line(self, alpha: str, beta: str) -> str:
        product, sizes = self.product, ", ".join(self.sizes())
        steps = self.steps()
        turned = (product.left_turned, product.right_turned, False)
        left, right, target = map(self.matrix, (product.left, product.right, self.target), steps, turned)
        return f"_gemm(_blas, _sizes({sizes}), {alpha}, {left}, {right}, {beta}, {target})"

    def matrix(self, read: Any, step: str, turned: bool) -> str:
        return f"{'_columns' if turned else '_rows'}({self.stored(read)}, {self.place(read)}, {step})"


def takes(text: str) -> list[str]:
    """The argument that a function with this body has last, if any."""
    return ["_blas"] if "_blas" in text else []


def given(text: str) -> list[str]:
    """What is passed for it, by one who is not compiled."""
    return ["_BLAS"] if "_blas" in text else []
