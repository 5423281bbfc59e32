"""Elementary functions of float and double as IR, for any number of lanes: no library calls, no tables.

Each function takes the same steps whatever the number of lanes, so a number's bits do not depend on where in a vector it
stood. Errors are a few units in the last place; 0, inf and nan come out as IEEE 754 says. Subnormal results may be 0.
Sources: Cody and Waite 1980, "Software Manual for the Elementary Functions" (reduction of arguments); Sun's fdlibm
(logarithm); Moshier's Cephes (exponential in single precision, arc tangent); Cody 1969 (error function).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from layerkit.engines.llvm.codegen.builder import Function, Reg, literal
from layerkit.ops.elementwise import (
    ERF_MIDDLE,
    ERF_MIDDLE_Q,
    ERF_SMALL,
    ERF_SMALL_Q,
    ERFINV_CENTRE,
    ERFINV_STEPS,
    ERFINV_TAIL,
)

_EXP32 = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
_EXP64 = tuple(1 / math.factorial(k) for k in range(13, 1, -1))
_LOG32 = (0.24279078841, 0.28498786688, 0.40000972152, 0.66666662693)
_LOG64 = (
    1.479819860511658591e-01, 1.531383769920937332e-01, 1.818357216161805012e-01, 2.222219843214978396e-01,
    2.857142874366239149e-01, 3.999999999940941908e-01, 6.666666666666735130e-01,
)  # fmt: skip
_SIN = tuple((-1) ** k / math.factorial(2 * k + 1) for k in range(8, 0, -1))
_COS = tuple((-1) ** k / math.factorial(2 * k) for k in range(8, 0, -1))
_ATAN_P = (
    -8.750608600031904122785e-1, -1.615753718733365076637e1, -7.500855792314704667340e1, -1.228866684490136173410e2,
    -6.485021904942025371773e1,
)  # fmt: skip
_ATAN_Q = (
    1.0, 2.485846490142306297962e1, 1.650270098316988542046e2, 4.328810604912902668951e2, 4.853903996359136964868e2,
    1.945506571482613964425e2,
)  # fmt: skip


def _k(x: Reg, number: float) -> Reg:
    return literal(number, x.type)


def horner(f: Function, x: Reg, coefficients: Sequence[float]) -> Reg:
    """The polynomial with these coefficients, the highest power first."""
    total = _k(x, coefficients[0])
    for c in coefficients[1:]:
        total = f.fma(total, x, _k(x, c))
    return total


def _clamp(f: Function, x: Reg, low: float, high: float) -> Reg:
    """``x`` within bounds; nan stays nan."""
    x = f.select(f.compare("olt", x, _k(x, low)), _k(x, low), x)
    return f.select(f.compare("ogt", x, _k(x, high)), _k(x, high), x)


def _layout(x: Reg) -> tuple[int, int, str]:
    """Bits of the mantissa, bias of the exponent, type of the bits."""
    mantissa, bias, kind = (23, 127, "i32") if x.element == "float" else (52, 1023, "i64")
    return mantissa, bias, kind


def _power_of_two(f: Function, n: Reg, like: Reg) -> Reg:
    """2 to the power of an integer that a normal number can have."""
    mantissa, bias, _ = _layout(like)
    n = f.binary("shl", f.binary("add", n, literal(bias, n.type)), literal(mantissa, n.type))
    return f.convert("bitcast", n, like.element)


def _reduce_exp(f: Function, x: Reg) -> tuple[Reg, Reg]:
    """(n, exp(r) - 1) with x = n*ln(2) + r, n whole, |r| <= ln(2) / 2."""
    is_float = x.element == "float"
    mantissa, _, kind = _layout(x)
    magic = 1.5 * 2.0**mantissa  # adding it rounds to a whole number, which then stands in the low bits
    high, low = (0.693359375, -2.12194440e-4) if is_float else (6.93147180369123816490e-01, 1.90821492927058770002e-10)
    shifted = f.fma(x, _k(x, 1 / math.log(2)), _k(x, magic))
    whole = f.binary("fsub", shifted, _k(x, magic))
    n = f.binary("sub", f.convert("bitcast", shifted, kind), f.convert("bitcast", _k(x, magic), kind))
    r = f.fma(whole, _k(x, -high), x)
    r = f.fma(whole, _k(x, -low), r)
    tail = horner(f, r, _EXP32 if is_float else _EXP64)
    return n, f.fma(f.binary("fmul", r, r), tail, r)


def exp(f: Function, x: Reg) -> Reg:
    """e to the power of x."""
    x = _clamp(f, x, *((-104.0, 89.0) if x.element == "float" else (-746.0, 710.0)))
    n, q = _reduce_exp(f, x)
    half = f.binary("ashr", n, literal(1, n.type))
    y = f.binary("fmul", f.binary("fadd", q, _k(x, 1.0)), _power_of_two(f, half, x))
    return f.binary("fmul", y, _power_of_two(f, f.binary("sub", n, half), x))


def expm1(f: Function, x: Reg) -> Reg:
    """exp(x) - 1, exact near 0."""
    top = 80.0 if x.element == "float" else 700.0
    y = _clamp(f, x, -50.0, top)
    n, q = _reduce_exp(f, y)
    scale = _power_of_two(f, n, x)
    near = f.fma(scale, q, f.binary("fsub", scale, _k(x, 1.0)))
    near = f.select(f.compare("oeq", x, _k(x, 0.0)), x, near)  # keeps -0.0
    return f.select(f.compare("ogt", x, _k(x, top)), exp(f, x), near)


def exp_below(f: Function, x: Reg) -> Reg:
    """exp(x) for x <= 0, where subnormal results are 0: half of the work of ``exp``."""
    n, q = _reduce_exp(f, x)
    y = f.binary("fmul", f.binary("fadd", q, _k(x, 1.0)), _power_of_two(f, n, x))
    least = -87.3365 if x.element == "float" else -708.3964  # exp of it is the smallest normal number
    return f.select(f.compare("olt", x, _k(x, least)), _k(x, 0.0), y)


def log(f: Function, x: Reg) -> Reg:
    """Natural logarithm."""
    mantissa, _, kind = _layout(x)
    is_float = x.element == "float"
    raw = f.convert("bitcast", x, kind)
    root_half = literal(0x3F3504F3 if is_float else 0x3FE6A09E667F3BCD, raw.type)
    n = f.binary("ashr", f.binary("sub", raw, root_half), literal(mantissa, raw.type))
    m = f.convert("bitcast", f.binary("sub", raw, f.binary("shl", n, literal(mantissa, raw.type))), x.element)
    k = f.convert("sitofp", n, x.element)
    d = f.binary("fsub", m, _k(x, 1.0))
    s = f.binary("fdiv", d, f.binary("fadd", d, _k(x, 2.0)))
    z = f.binary("fmul", s, s)
    r = f.binary("fmul", z, horner(f, z, _LOG32 if is_float else _LOG64))
    half = f.binary("fmul", f.binary("fmul", d, d), _k(x, 0.5))
    high, low = (
        (6.9313812256e-01, 9.0580006145e-06) if is_float else (6.93147180369123816490e-01, 1.90821492927058770002e-10)
    )
    inner = f.fma(s, f.binary("fadd", half, r), f.binary("fmul", k, _k(x, low)))
    y = f.fma(k, _k(x, high), f.binary("fsub", d, f.binary("fsub", half, inner)))
    y = f.select(f.compare("oeq", x, _k(x, math.inf)), x, y)
    smallest = 2.0**-126 if is_float else 2.0**-1022
    y = f.select(f.compare("olt", x, _k(x, smallest)), _k(x, -math.inf), y)  # subnormal numbers count as 0
    is_defined = f.compare("oge", x, _k(x, 0.0))
    return f.select(is_defined, y, _k(x, math.nan))


def log1p(f: Function, x: Reg) -> Reg:
    """log(1 + x), exact near 0."""
    u = f.binary("fadd", x, _k(x, 1.0))
    lost = f.binary("fsub", x, f.binary("fsub", u, _k(x, 1.0)))
    y = f.binary("fadd", log(f, u), f.binary("fdiv", lost, u))
    is_plain = f.binary("and", f.compare("one", u, _k(x, 0.0)), f.compare("olt", u, _k(x, math.inf)))
    y = f.select(is_plain, y, log(f, u))
    return f.select(f.compare("oeq", x, _k(x, 0.0)), x, y)


def sqrt(f: Function, x: Reg) -> Reg:
    """Square root."""
    return f.intrinsic("sqrt", x)


def rsqrt(f: Function, x: Reg) -> Reg:
    """1 / sqrt(x)."""
    return f.binary("fdiv", _k(x, 1.0), sqrt(f, x))


def tanh(f: Function, x: Reg) -> Reg:
    """Hyperbolic tangent."""
    a = f.intrinsic("fabs", x)
    a = f.select(f.compare("ogt", a, _k(x, 22.0)), _k(x, 22.0), a)
    n, q = _reduce_exp(f, f.binary("fadd", a, a))
    scale = _power_of_two(f, n, x)
    e = f.fma(scale, q, f.binary("fsub", scale, _k(x, 1.0)))  # exp(2a) - 1
    return f.intrinsic("copysign", f.binary("fdiv", e, f.binary("fadd", e, _k(x, 2.0))), x)


def sigmoid(f: Function, x: Reg) -> Reg:
    """1 / (1 + exp(-x))."""
    e = exp_below(f, f.unary("fneg", f.intrinsic("fabs", x)))
    y = f.binary("fdiv", _k(x, 1.0), f.binary("fadd", e, _k(x, 1.0)))
    return f.select(f.compare("olt", x, _k(x, 0.0)), f.binary("fmul", e, y), y)


def erf(f: Function, x: Reg) -> Reg:
    """Error function."""
    y = f.intrinsic("fabs", x)
    t = f.binary("fmul", y, y)
    top = horner(f, t, (ERF_SMALL[4], *ERF_SMALL[:4]))
    near = f.binary("fmul", x, f.binary("fdiv", top, horner(f, t, (1.0, *ERF_SMALL_Q))))
    t = _clamp(f, y, 0.46875, 6.0)
    ratio = f.binary("fdiv", horner(f, t, (ERF_MIDDLE[8], *ERF_MIDDLE[:8])), horner(f, t, (1.0, *ERF_MIDDLE_Q)))
    tail = f.binary("fmul", exp_below(f, f.unary("fneg", f.binary("fmul", t, t))), ratio)
    far = f.intrinsic("copysign", f.binary("fsub", _k(x, 1.0), tail), x)
    return f.select(f.compare("ogt", y, _k(x, 0.46875)), far, near)


# Through double precision: rarely hot, so one implementation serves both types


def erfinv(f: Function, x: Reg) -> Reg:
    """Inverse of the error function: a guess that is exact enough for float; for double improved by Halley's method."""
    w = f.unary("fneg", log1p(f, f.unary("fneg", f.binary("fmul", x, x))))
    centre = horner(f, f.binary("fsub", w, _k(x, 2.5)), ERFINV_CENTRE)
    tail = horner(f, f.binary("fsub", f.intrinsic("sqrt", w), _k(x, 3.0)), ERFINV_TAIL)
    y = f.binary("fmul", x, f.select(f.compare("olt", w, _k(x, 5.0)), centre, tail))
    for _ in range(ERFINV_STEPS if x.element == "double" else 0):
        slope = f.binary("fmul", exp(f, f.binary("fmul", y, y)), _k(x, math.sqrt(math.pi) / 2))
        step = f.binary("fmul", f.binary("fsub", erf(f, y), x), slope)
        y = f.binary("fsub", y, f.binary("fdiv", step, f.fma(y, step, _k(x, 1.0))))
    is_end = f.compare("oeq", f.intrinsic("fabs", x), _k(x, 1.0))
    return f.select(is_end, f.intrinsic("copysign", _k(x, math.inf), x), y)


def _widened(f: Function, x: Reg) -> Reg:
    return f.convert("fpext", x, "double") if x.element == "float" else x


def _narrowed(f: Function, x: Reg, like: Reg) -> Reg:
    return f.convert("fptrunc", x, "float") if like.element == "float" else x


def _sin_cos(f: Function, x: Reg) -> tuple[Reg, Reg]:
    """Sine and cosine of a double; right to a few units in the last place up to about 1e9."""
    magic = 1.5 * 2.0**52
    shifted = f.fma(x, _k(x, 2 / math.pi), _k(x, magic))
    whole = f.binary("fsub", shifted, _k(x, magic))
    quadrant = f.convert("bitcast", shifted, "i64")
    r = x
    for part in (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591833e-33):
        r = f.fma(whole, _k(x, -part), r)
    z = f.binary("fmul", r, r)
    s = f.fma(f.binary("fmul", r, z), horner(f, z, _SIN), r)
    c = f.fma(z, horner(f, z, _COS), _k(x, 1.0))
    is_odd = f.compare("ne", f.binary("and", quadrant, literal(1, quadrant.type)), literal(0, quadrant.type))
    sine, cosine = f.select(is_odd, c, s), f.select(is_odd, s, c)

    def signed(y: Reg, shift: int) -> Reg:
        turned = f.binary("add", quadrant, literal(shift, quadrant.type))
        is_negative = f.compare("ne", f.binary("and", turned, literal(2, quadrant.type)), literal(0, quadrant.type))
        return f.select(is_negative, f.unary("fneg", y), y)

    return signed(sine, 0), signed(cosine, 1)


def sin(f: Function, x: Reg) -> Reg:
    """Sine of radians."""
    y = _narrowed(f, _sin_cos(f, _widened(f, x))[0], x)
    return f.select(f.compare("oeq", x, _k(x, 0.0)), x, y)


def cos(f: Function, x: Reg) -> Reg:
    """Cosine of radians."""
    return _narrowed(f, _sin_cos(f, _widened(f, x))[1], x)


def tan(f: Function, x: Reg) -> Reg:
    """Tangent of radians."""
    s, c = _sin_cos(f, _widened(f, x))
    y = _narrowed(f, f.binary("fdiv", s, c), x)
    return f.select(f.compare("oeq", x, _k(x, 0.0)), x, y)


def power(f: Function, x: Reg, y: Reg) -> Reg:
    """x to the power of y; of negative x for whole y only, else nan."""
    a, b = _widened(f, x), _widened(f, y)
    magnitude = f.intrinsic("fabs", a)
    result = exp(f, f.binary("fmul", b, log(f, magnitude)))
    is_whole = f.compare("oeq", f.intrinsic("floor", b), b)
    half = f.binary("fmul", b, _k(b, 0.5))
    is_odd = f.binary("and", is_whole, f.compare("one", f.intrinsic("floor", half), half))
    is_minus = f.compare("olt", f.intrinsic("copysign", _k(a, 1.0), a), _k(a, 0.0))
    result = f.select(f.binary("and", is_odd, is_minus), f.unary("fneg", result), result)
    is_undefined = f.binary(
        "and", f.compare("olt", a, _k(a, 0.0)), f.binary("xor", is_whole, literal(1, is_whole.type))
    )
    is_finite = f.compare("olt", magnitude, _k(a, math.inf))
    result = f.select(f.binary("and", is_undefined, is_finite), _k(a, math.nan), result)
    one = _k(a, 1.0)
    is_one = f.binary("or", f.compare("oeq", b, _k(b, 0.0)), f.compare("oeq", a, one))
    is_endless = f.compare("oeq", f.intrinsic("fabs", b), _k(b, math.inf))
    is_one = f.binary("or", is_one, f.binary("and", is_endless, f.compare("oeq", magnitude, one)))
    return _narrowed(f, f.select(is_one, one, result), x)


def arctan2(f: Function, y: Reg, x: Reg) -> Reg:
    """Angle of the point (x, y), in radians."""
    b, a = _widened(f, y), _widened(f, x)
    up, right = f.intrinsic("fabs", b), f.intrinsic("fabs", a)
    is_steep = f.compare("ogt", up, right)
    small, large = f.select(is_steep, right, up), f.select(is_steep, up, right)
    t = f.binary("fdiv", small, large)
    is_same = f.compare("oeq", small, large)
    t = f.select(is_same, f.select(f.compare("oeq", large, _k(a, 0.0)), _k(a, 0.0), _k(a, 1.0)), t)
    is_high = f.compare("ogt", t, _k(a, 0.66))
    turned = f.binary("fdiv", f.binary("fsub", t, _k(a, 1.0)), f.binary("fadd", t, _k(a, 1.0)))
    r = f.select(is_high, turned, t)
    z = f.binary("fmul", r, r)
    series = f.binary("fdiv", f.binary("fmul", z, horner(f, z, _ATAN_P)), horner(f, z, _ATAN_Q))
    angle = f.fma(r, series, r)
    angle = f.select(is_high, f.binary("fadd", angle, _k(a, math.pi / 4)), angle)
    angle = f.select(is_steep, f.binary("fsub", _k(a, math.pi / 2), angle), angle)
    is_left = f.compare("olt", f.intrinsic("copysign", _k(a, 1.0), a), _k(a, 0.0))
    angle = f.select(is_left, f.binary("fsub", _k(a, math.pi), angle), angle)
    angle = f.intrinsic("copysign", angle, b)
    is_nan = f.compare("uno", a, b)
    return _narrowed(f, f.select(is_nan, _k(a, math.nan), angle), x)
