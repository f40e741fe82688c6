"""A kernel's parts → a shared library, and the text of what calls it with numpy alone: no numba to start, nothing to compile.

    net.py          checks, arrays, value_and_grad, forward: as in the module for numba
    net.kernel.so   the machine code, for processors that have what `FEATURES` says of the one it was made on

numba's functions for the kernels are compiled for all arrays being contiguous; beside each stands one that C can call, with
addresses of arrays in place of numba's own records of them. What can be seen from outside of the library are these alone.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from symgrad.backends import blas, numpy, threads
from symgrad.backends.entry import Part, array_buffers, scalar_results
from symgrad.core.errors import SymgradError

# NumPy's names for what LLVM's levels of x86-64 need, the highest first; another processor gets code for all of its kind
LEVELS = (
    ("x86-64-v4", ("AVX512F", "AVX512CD", "AVX512BW", "AVX512DQ", "AVX512VL")),
    ("x86-64-v3", ("AVX2", "FMA3")),
)
COMPILERS = ("cc", "gcc", "clang")
STANDARD = ("ctypes", "hashlib", "os")

# What numba's code calls for memory of its own: a record of count, two unused words, address and size, and then the cells.
# An array from C has no record, and nothing is let go.
MEMORY = """
declare ptr @malloc(i64)
declare void @free(ptr)

define void @NRT_MemInfo_call_dtor(ptr %record) {
  call void @free(ptr %record)
  ret void
}

define ptr @NRT_MemInfo_alloc_aligned(i64 %size, i32 %align) {
  %wide = zext i32 %align to i64
  %room = add i64 %wide, 64
  %all = add i64 %size, %room
  %record = call ptr @malloc(i64 %all)
  %none = icmp eq ptr %record, null
  br i1 %none, label %end, label %fill
fill:
  %start = ptrtoint ptr %record to i64
  %after = add i64 %start, %room
  %beyond = urem i64 %after, %wide
  %cells = sub i64 %after, %beyond
  %data = getelementptr i64, ptr %record, i64 3
  %sized = getelementptr i64, ptr %record, i64 4
  store i64 1, ptr %record
  store i64 %cells, ptr %data
  store i64 %size, ptr %sized
  br label %end
end:
  ret ptr %record
}
"""
OWN = ("NRT_MemInfo_call_dtor", "NRT_MemInfo_alloc_aligned")

SUPPORT = '''
def _loaded(name, digest, features):
    """The library beside this file; DataError SG708 where it is another than was made with it, SG709 where it cannot run here."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise DataError("SG708", f"{path} cannot be read: {error.strerror}", "keep it beside this module") from None
    if hashlib.sha256(data).hexdigest() != digest:
        raise DataError("SG708", f"{path} is not the library that was made with this module", "save the kernel again")
    try:
        from numpy._core._multiarray_umath import __cpu_features__ as known
    except ImportError:
        from numpy.core._multiarray_umath import __cpu_features__ as known
    missing = [feature for feature in features if not known.get(feature)]
    if missing:
        raise DataError("SG709", f"{path} needs a processor with {', '.join(missing)}", "save the kernel on this machine")
    probe = np.empty((3, 5))
    record = ctypes.cast(id(probe), ctypes.POINTER(ctypes.c_void_p))  # NumPy's fixed record: address, axes, extents
    if record[2] != probe.ctypes.data or ctypes.cast(record[4], ctypes.POINTER(ctypes.c_ssize_t))[:2] != [3, 5]:
        raise DataError("SG709", f"{path} does not know how this Python keeps arrays", "save the kernel as a module for numba")
    try:
        return ctypes.CDLL(path)
    except OSError as error:
        raise DataError("SG709", f"{path} cannot be loaded here: {error}", "save the kernel on this machine") from None


def _entry(name, kinds, results):
    """A function of the library: n whole numbers, r real ones, a arrays, b the BLAS; it leaves so many results as real numbers."""
    function = getattr(_LIBRARY, name)
    known = {"n": [ctypes.c_int64], "r": [ctypes.c_double], "a": [ctypes.py_object], "b": [ctypes.c_int64]*3}
    room = ctypes.c_double*results
    function.argtypes, function.restype = [*(each for kind in kinds for each in known[kind]), room], ctypes.c_int32

    def run(*given):
        found = room()
        if function(*(given if kinds[-1:] != "b" else (*given[:-1], *given[-1])), found):
            raise MemoryError
        return tuple(found)

    return run
'''


def kinds(part: Part) -> list[tuple[str, int]]:
    """What each argument of a part's kernel is, with the rank of arrays: n, r, a (of real numbers), i (of whole ones)."""
    schedule = part.schedule
    tensors, cells = schedule.program.tensors, threads.cells(schedule)
    found = [("n", 0)] * len([*threads.HEAD, *threads.block_names(schedule)] if schedule.blocks else [])
    found += [("n", 0)] * len(schedule.counts)
    for name in schedule.arguments:
        whole, rank = tensors[name].values is not None, len(tensors[name].axes)
        found.append(("i" if whole else "a", rank) if rank else ("n" if whole else "r", 0))
    for name in array_buffers(schedule):
        found.append(("a" if numpy.cell_type(schedule, name) == "F" else "i", len(tensors[name].axes)))
    assert cells <= set(array_buffers(schedule))
    return found


def face(part: Part, takes_blas: bool) -> str:
    """The line that stands for a part's kernel."""
    text = "".join("a" if kind == "i" else kind for kind, _ in kinds(part)) + "b" * takes_blas
    return f'_run_{part.name} = _entry("{part.name}", "{text}", {len(scalar_results(part))})'


def support(name: str, library: bytes, level: str, used: str, dtype: str) -> str:
    """What the text of a module uses, and its library."""
    features = dict(LEVELS).get(level, ())
    digest = hashlib.sha256(library).hexdigest()
    look_up = blas.look_up(dtype) if "_BLAS" in used else ""
    load = f"_LIBRARY = _loaded({name!r}, {digest!r}, {features!r})"
    return "\n\n\n".join(text.strip("\n") for text in (look_up, SUPPORT, load) if text)


def built(module: ModuleType, parts: Sequence[Part], dtype: str) -> tuple[bytes, str]:
    """The shared library of a module's kernels, and the level of processor that it is for.

    Raises SG710 where no compiler links it.
    """
    level, machine = _machine()
    import llvmlite.binding as llvm

    seen = {part.name for part in parts}
    whole = llvm.parse_assembly(MEMORY)
    for part in parts:
        whole.link_in(llvm.parse_assembly(_with_entry(getattr(module, f"_{part.name}"), part, dtype)))
        _hide(whole, seen | set(OWN))
    _hide(whole, seen)
    _without(whole, machine)
    return _linked(machine.emit_object(whole)), level


def _hide(module: Any, seen: set[str]) -> None:
    for each in (*module.functions, *module.global_variables):
        if not each.is_declaration and each.name not in seen:
            each.linkage = "internal"


def _machine() -> tuple[str, Any]:
    import llvmlite.binding as llvm

    has = llvm.get_host_cpu_features()
    wanted = {"x86-64-v4": ("avx512f", "avx512vl", "avx512bw", "avx512dq", "avx512cd"), "x86-64-v3": ("avx2", "fma", "bmi2")}
    level = next((name for name, _ in LEVELS if all(has.get(feature) for feature in wanted[name])), "")
    target = llvm.Target.from_default_triple()
    return level, target.create_target_machine(cpu=level, opt=3, reloc="pic", codemodel="default")


def _without(module: Any, machine: Any) -> None:
    """Drops what no entry needs."""
    import llvmlite.binding as llvm

    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2)))


def _with_entry(kernel: Any, part: Part, dtype: str) -> str:
    """LLVM's text of numba's function and of the one that C can call: the arguments, then where the results go."""
    from llvmlite import ir
    from numba.core import cgutils, types
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.registry import cpu_target

    real = getattr(types, dtype)
    types_of = [_type(kind, rank, real) for kind, rank in kinds(part)]
    if "_blas" in kernel.py_func.__code__.co_varnames:
        types_of.append(types.containers.UniTuple(types.int64, 3))
    kernel.compile(tuple(types_of))
    compiled = kernel.overloads[tuple(types_of)]
    context = cpu_target.target_context
    library = context.codegen().create_library(part.name)
    library.add_linking_library(compiled.library)
    module = library.create_ir_module(part.name)
    whole, wide = ir.IntType(64), ir.DoubleType()
    slots = [slot for each in types_of for slot in _slots(each, whole, wide)]
    function = ir.Function(module, ir.FunctionType(ir.IntType(32), [*slots, whole]), part.name)
    builder = ir.IRBuilder(function.append_basic_block())
    given = iter(function.args)
    values = [_value(context, builder, each, given) for each in types_of]
    native = cgutils.get_or_insert_function(
        module, context.call_conv.get_function_type(compiled.signature.return_type, types_of), compiled.fndesc.mangled_name
    )
    status, result = context.call_conv.call_function(builder, native, compiled.signature.return_type, types_of, values)
    out = builder.inttoptr(function.args[-1], wide.as_pointer())
    for place, kind in enumerate(compiled.signature.return_type):
        number = context.cast(builder, builder.extract_value(result, place), kind, types.float64)
        builder.store(number, builder.gep(out, [ir.Constant(whole, place)]))
    builder.ret(status.code)
    with global_compiler_lock:
        library.add_ir_module(module)
        library.finalize()
    return str(library.get_llvm_str())


def _type(kind: str, rank: int, real: Any) -> Any:
    from numba.core import types

    scalars = {"n": types.int64, "r": real}
    return scalars.get(kind) or types.Array(types.int64 if kind == "i" else real, rank, "C")


def _slots(each: Any, whole: Any, wide: Any) -> list[Any]:
    """How C passes it: arrays as the address of NumPy's record."""
    from numba.core import types

    if isinstance(each, types.containers.UniTuple):
        return [whole] * each.count
    return [wide if isinstance(each, types.Float) else whole]


def _value(context: Any, builder: Any, each: Any, given: Iterator[Any]) -> Any:
    """An argument as numba has it."""
    from numba.core import types

    match each:
        case types.Array():
            return _array(context, builder, each, next(given))
        case types.containers.UniTuple():
            return context.make_tuple(builder, each, [next(given) for _ in range(each.count)])
        case types.Float():
            return context.cast(builder, next(given), types.float64, each)
    return next(given)


def _array(context: Any, builder: Any, each: Any, record: Any) -> Any:
    """numba's record of a contiguous array from NumPy's: its third word is the address of the cells, its fifth of the extents."""
    from llvmlite import ir

    whole = ir.IntType(64)

    def word(start: Any, place: int) -> Any:
        return builder.load(builder.gep(builder.inttoptr(start, whole.as_pointer()), [ir.Constant(whole, place)]))

    extents = word(record, 4)
    shape = [word(extents, axis) for axis in range(each.ndim)]
    size = context.get_abi_sizeof(context.get_data_type(each.dtype))
    strides = [ir.Constant(whole, size)]
    for extent in reversed(shape[1:]):
        strides.insert(0, builder.mul(strides[0], extent))
    made = context.make_array(each)(context, builder)
    pointer = builder.inttoptr(word(record, 2), context.get_value_type(each.dtype).as_pointer())
    last = {"strides": strides[: each.ndim], "itemsize": ir.Constant(whole, size), "meminfo": None}
    context.populate_array(made, data=pointer, shape=shape, **last)
    return made._getvalue()


def _linked(code: bytes) -> bytes:
    """An object file as a shared library."""
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        hint = "install gcc or clang, or save the kernel as a module for numba"
        raise SymgradError("SG710", f"a library needs a C compiler to be linked, and there is no {', '.join(COMPILERS)}", hint=hint)
    with tempfile.TemporaryDirectory(prefix="symgrad-") as folder:
        given, made = Path(folder, "kernel.o"), Path(folder, "kernel.so")
        given.write_bytes(code)
        strict = ["-s", "-Wl,-z,defs"] if sys.platform.startswith("linux") else []
        done = subprocess.run([compiler, "-shared", *strict, "-o", made, given, "-lm"], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SymgradError("SG710", f"{compiler} cannot link the library: {done.stderr.strip().splitlines()[-1:]}")
        return made.read_bytes()
