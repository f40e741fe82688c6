"""sin and cos of float64 in loops: functions of one number, and of as many as a vector holds, which LLVM takes in their place.

The functions below go into emitted modules as they stand. With pi/2 in three parts (Cody and Waite 1980) and polynomials S, C,

    u = n pi/2 + r + s, |r| <= pi/4, s below the last place of r       sin(r + s) = r + (r^3 S(r^2) + s)
                                                                       cos(r + s) = 1 - r^2/2 + (r^4 C(r^2) - r s)

for |u| < 2^40. Beyond, r is what a product with more than a thousand digits of 2/pi leaves of whole turns (Payne and Hanek 1983),
in integers of 192 bits: a vector with such a number is taken one by one. A number is worked out in the same way alone and in
a vector, so that its sine does not depend on its place. Errors are below 1 unit of the last place (tests/test_vecmath.py).

LLVM's vectorizer finds the functions of vectors through an attribute of the function of one number (LLVM Language Reference,
"vector-function-abi-variant"). They take a mask: where a loop has a choice, not every number of a vector is asked for.
"""

from typing import Any

from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.extending import intrinsic


def _splat(value: Any, kind: Any) -> Any:
    """A constant, in every lane of a vector."""
    return ir.Constant(kind, [value] * kind.count if isinstance(kind, ir.VectorType) else value)


def _fma(build: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c, rounded once."""
    kind = a.type
    name = f"llvm.fma.v{kind.count}f64" if isinstance(kind, ir.VectorType) else "llvm.fma.f64"
    return build.call(cgutils.get_or_insert_function(build.module, ir.FunctionType(kind, [kind] * 3), name), [a, b, c])


def _series(build: Any, z: Any, numbers: Any) -> Any:
    """A polynomial, its lowest power first."""
    value = _splat(numbers[-1], z.type)
    for number in reversed(numbers[:-1]):
        value = _fma(build, value, z, _splat(number, z.type))
    return value


def _reduced(build: Any, u: Any, whole: Any) -> Any:
    """(r, s, n): u = n pi/2 + r + s; the first product leaves what can be held, so that no more than the others is rounded."""
    first, second, third = (_splat(-part, u.type) for part in (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33))
    rounds = _splat(6755399441055744.0, u.type)  # 1.5 2^52: a sum with it is a whole number, in its lowest bits
    turns = _fma(build, u, _splat(0.6366197723675814, u.type), rounds)
    n = build.fsub(turns, rounds)
    left, next_part = _fma(build, n, first, u), build.fmul(n, second)
    rest = _fma(build, n, third, _fma(build, n, second, build.fneg(next_part)))
    r = build.fadd(left, next_part)
    added = build.fsub(r, left)
    lost = build.fadd(build.fsub(left, build.fsub(r, added)), build.fsub(next_part, added))
    return r, build.fadd(lost, rest), build.bitcast(turns, whole)


def _sine_near_0(build: Any, r: Any, s: Any, z: Any) -> Any:
    series = _series(build, z, (
        -0.16666666666666666, 0.008333333333330946, -0.00019841269836753985, 2.755731610017207e-06,
        -2.5051131348960252e-08, 1.5918093561437795e-10))  # fmt: skip
    return build.fadd(r, _fma(build, build.fmul(r, z), series, s))


def _cosine_near_0(build: Any, r: Any, s: Any, z: Any) -> Any:
    """1 - z/2 is rounded, and what it lost is added to the rest."""
    series = _series(build, z, (
        0.041666666666666664, -0.0013888888888887395, 2.4801587298762816e-05, -2.755731727024068e-07,
        2.087614595808494e-09, -1.1382610070998325e-11))  # fmt: skip
    one, half = _splat(1.0, z.type), build.fmul(_splat(0.5, z.type), z)
    top = build.fsub(one, half)
    lost = build.fsub(build.fsub(one, top), half)
    rest = _fma(build, build.fmul(z, z), series, lost)
    return build.fadd(top, build.fsub(rest, build.fmul(r, s)))


def _reduced_by_digits(build: Any, u: Any, whole: Any) -> Any:
    """The same for |u| >= 2^40, a number m 2^e of 53 digits m: of 2^e 2/pi the 192 digits from 2 on, times m, less whole turns."""
    digits, wide = ir.IntType(1216), ir.IntType(192)
    bits = build.bitcast(u, whole)
    power = build.and_(build.lshr(bits, whole(52)), whole(2047))  # e + 1075
    m = build.or_(build.and_(bits, whole(2**52 - 1)), whole(2**52))
    window = build.lshr(digits(_two_over_pi()), build.zext(build.sub(whole(2101), power), digits))
    product = build.mul(build.trunc(window, wide), build.zext(m, wide))  # 2^190 times the quarters of a turn
    turned = build.add(product, wide(2**189))
    left = build.sub(build.and_(turned, wide(2**190 - 1)), wide(2**189))
    n = build.trunc(build.lshr(turned, wide(190)), whole)
    r, s = _sum_of_two(build, left, wide, u.type, whole)
    below = build.icmp_signed("<", bits, whole(0))
    signed = [build.select(below, build.fneg(part), part) for part in (r, s)]
    return *signed, build.select(below, build.neg(n), n)


def _two_over_pi() -> Any:
    """1216 binary digits after the point."""
    value = 0
    for word in (
        0xA2F9836E4E441529, 0xFC2757D1F534DDC0, 0xDB6295993C439041, 0xFE5163ABDEBBC561, 0xB7246E3A424DD2E0,
        0x06492EEA09D1921C, 0xFE1DEB1CB129A73E, 0xE88235F52EBB4484, 0xE99C7026B45F7E41, 0x3991D639835339F4,
        0x9C845F8BBDF9283B, 0x1FF897FFDE05980F, 0xEF2F118B5A0A6D1F, 0x6D367ECF27CB09B7, 0x4F463F669E5FEA2D,
        0x7527BAC7EBE5F17B, 0x3D0739F78A5292EA, 0x6BFB5FB11F8D5D08, 0x56033046FC7B6BAB):  # fmt: skip
        value = value << 64 | word
    return value


def _sum_of_two(build: Any, left: Any, wide: Any, real: Any, whole: Any) -> Any:
    """pi/2 left/2^190 as r + s, of the first 53 digits of `left` and the next 53."""
    negative = build.icmp_signed("<", left, wide(0))
    size = build.select(negative, build.neg(left), left)
    zeros = build.ctlz(size, ir.IntType(1)(0))
    first = build.shl(size, zeros)
    power = build.shl(build.sub(whole(972), build.trunc(zeros, whole)), whole(52))  # of 2^(-51 - zeros)
    scale = build.bitcast(build.or_(power, build.select(negative, whole(-(2**63)), whole(0))), real)
    high = build.fmul(build.uitofp(build.trunc(build.lshr(first, wide(139)), whole), real), scale)
    next_digits = build.and_(build.trunc(build.lshr(first, wide(86)), whole), whole(2**53 - 1))
    low = build.fmul(build.fmul(build.uitofp(next_digits, real), scale), real(2.0**-53))
    half_turn, rest = real(1.5707963267948966), real(6.123233995736766e-17)
    top = build.fmul(high, half_turn)
    more = build.fadd(_fma(build, high, half_turn, build.fneg(top)), _fma(build, high, rest, build.fmul(low, half_turn)))
    r = build.fadd(top, more)
    return r, build.fsub(more, build.fsub(r, top))


def _in_quadrant(build: Any, r: Any, s: Any, n: Any, quarter: Any) -> Any:
    """The sine of (n + quarter) pi/2 + r + s: of the two near 0 by the lowest bit, with the sign of the next one."""
    whole = n.type
    n, z = build.add(n, _splat(quarter, whole)), build.fmul(r, r)
    odd = build.trunc(n, ir.VectorType(ir.IntType(1), whole.count) if isinstance(whole, ir.VectorType) else ir.IntType(1))
    value = build.select(odd, _cosine_near_0(build, r, s, z), _sine_near_0(build, r, s, z))
    sign = build.shl(build.and_(n, _splat(2, whole)), _splat(62, whole))
    return build.bitcast(build.xor(build.bitcast(value, whole), sign), r.type)


def _of_near(build: Any, u: Any, size: Any, whole: Any, quarter: Any) -> Any:
    """sin(u + quarter pi/2); the smallest are their own sines, -0 with its sign."""
    r, s, n = _reduced(build, u, whole)
    value = _in_quadrant(build, r, s, n, quarter)
    return value if quarter else build.select(build.fcmp_ordered("<", size, _splat(7.450580596923828e-09, u.type)), u, value)


def _magnitude(build: Any, u: Any, whole: Any) -> Any:
    """(|u|, whether it is below 2^40)"""
    size = build.bitcast(build.and_(build.bitcast(u, whole), _splat(2**63 - 1, whole)), u.type)
    return size, build.fcmp_ordered("<", size, _splat(1099511627776.0, u.type))


def _open_function(module: Any, name: Any, result: Any, *arguments: Any) -> Any:
    function = ir.Function(module, ir.FunctionType(result, arguments), name)
    function.linkage = "linkonce_odr"
    function.attributes.add("noinline")
    function.attributes.add("nounwind")
    return function, ir.IRBuilder(function.append_basic_block())


def _one_number(module: Any, name: Any, quarter: Any, lanes: Any) -> Any:
    """The sine (quarter = 0) or cosine (1) of a number; `lanes`: of how many there are functions of vectors."""
    real, whole = ir.DoubleType(), ir.IntType(64)
    function, build = _open_function(module, f"symgrad.{name}", real, real)
    variants = ",".join(f"_ZGV_LLVM_M{n}v_symgrad.{name}(symgrad.{name}.{n})" for n in lanes)
    function.attributes.add("readnone")
    for attribute in ("willreturn", f'"vector-function-abi-variant"="{variants}"'):
        set.add(function.attributes, attribute)  # llvmlite's own add knows a few words alone
    u = function.args[0]
    size, near = _magnitude(build, u, whole)
    with build.if_then(near):
        build.ret(_of_near(build, u, size, whole, quarter))
    r, s, n = _reduced_by_digits(build, u, whole)
    value = _in_quadrant(build, r, s, n, quarter)
    build.ret(build.select(build.fcmp_ordered("<", size, real(float("inf"))), value, build.fsub(u, u)))
    return function


def _many_numbers(module: Any, name: Any, quarter: Any, lanes: Any) -> Any:
    """The same of a vector, with a mask of those that are asked for."""
    real, whole, mask = (ir.VectorType(kind, lanes) for kind in (ir.DoubleType(), ir.IntType(64), ir.IntType(1)))
    function, build = _open_function(module, f"symgrad.{name}.{lanes}", real, real, mask)
    u, asked = function.args
    size, near = _magnitude(build, u, whole)
    value = _of_near(build, u, size, whole, quarter)
    far = build.bitcast(build.and_(asked, build.not_(near)), ir.IntType(lanes))
    with build.if_then(build.icmp_unsigned("!=", far, far.type(0)), likely=False):
        alone = u
        for lane in range(lanes):
            place = ir.IntType(32)(lane)
            one = build.call(module.globals[f"symgrad.{name}"], [build.extract_element(u, place)])
            alone = build.insert_element(alone, one, place)
        build.ret(alone)
    build.ret(value)
    return function


def _not_dropped(module: Any, functions: Any) -> Any:
    """Functions that nothing calls until a loop is vectorized."""
    byte = ir.IntType(8).as_pointer()
    kept = ir.GlobalVariable(module, ir.ArrayType(byte, len(functions)), "llvm.compiler.used")
    kept.linkage, kept.section = "appending", "llvm.metadata"
    kept.initializer = ir.Constant(kept.value_type, [each.bitcast(byte) for each in functions])


def _vector_lanes() -> Any:
    """How many numbers LLVM takes at once on this processor."""
    has = binding.get_host_cpu_features()
    return (4, 8) if has.get("avx512f") else (4,) if has.get("avx") else (2,)


def _sine_or_cosine(u: Any, name: Any, quarter: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        lanes = _vector_lanes()
        one = _one_number(builder.module, name, quarter, lanes)
        _not_dropped(builder.module, [_many_numbers(builder.module, name, quarter, n) for n in lanes])
        return builder.call(one, args)

    return types.float64(u), code


@intrinsic  # type: ignore[untyped-decorator]
def _sine(typingctx: Any, u: Any) -> Any:
    return _sine_or_cosine(u, "sin", 0)


@intrinsic  # type: ignore[untyped-decorator]
def _cosine(typingctx: Any, u: Any) -> Any:
    return _sine_or_cosine(u, "cos", 1)
