"""Functions of each element that are made of others: inverse trigonometry, other bases, whole numbers, comparisons.

Names, defaults and dtypes are those of ``keras.ops``. Whole numbers become float32 where the result is a fraction. What
is not defined is nan, what is too large is inf.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from layerkit import dtypes
from layerkit.ops.core import Tensor, composite, dtype_of, example, operand, operands
from layerkit.ops.elementwise import (
    abs,
    add,
    arctan2,
    bitwise_not,
    cast,
    ceil,
    divide,
    equal,
    erf,
    exp,
    expm1,
    floor,
    isfinite,
    isinf,
    isnan,
    left_shift,
    less,
    log,
    log1p,
    logical_and,
    logical_or,
    maximum,
    minimum,
    mod,
    multiply,
    negative,
    power,
    right_shift,
    round_half_even,
    sign,
    sin,
    sqrt,
    subtract,
    view,
    where,
)
from layerkit.ops.reduction import all, broadcast_to

# Powers and roots ----------------------------------------------------------------------------------------------------


@composite(example((2, 3)))
def square(x: Tensor) -> Any:
    """x * x."""
    x = operand(x, "int32") if dtype_of(operand(x)) == "bool" else operand(x)
    return multiply(x, x)


@composite(example((2, 3), domain=(0.5, 2.0)))
def reciprocal(x: Tensor) -> Any:
    """1 / x."""
    return divide(1.0, operands(x, floating=True)[0])


@composite(example((2, 3), domain=(0.5, 2.0)), example((2, 3), domain=(-2.0, -0.5)))
def cbrt(x: Tensor) -> Any:
    """The number whose cube is ``x``."""
    (x,) = operands(x, floating=True)
    return sign(x) * power(abs(x), 1.0 / 3.0)


@composite(example((2, 3), (3,)))
def hypot(x1: Tensor, x2: Tensor) -> Any:
    """sqrt(x1^2 + x2^2), without overflow on the way; infinite where one is, whatever the other."""
    x1, x2 = operands(x1, x2, floating=True)
    large, small = maximum(abs(x1), abs(x2)), minimum(abs(x1), abs(x2))
    is_plain = logical_and(large > 0.0, isfinite(large))
    ratio = small / where(is_plain, large, 1.0)
    length = where(is_plain, large * sqrt(ratio * ratio + 1.0), large)
    return where(logical_or(isinf(x1), isinf(x2)), math.inf, length)


def true_divide(x1: Tensor, x2: Tensor) -> Any:
    """x1 / x2, floating."""
    return divide(x1, x2)


@composite(example((2, 3), (3,), domain=(0.5, 2.0)))
def divide_no_nan(x1: Tensor, x2: Tensor) -> Any:
    """x1 / x2, and 0 where x2 is 0."""
    x1, x2 = operands(x1, x2, floating=True)
    is_zero = equal(x2, 0.0)
    return where(is_zero, 0.0, divide(x1, where(is_zero, 1.0, x2)))


# Exponentials and logarithms -----------------------------------------------------------------------------------------


@composite(example((2, 3)))
def exp2(x: Tensor) -> Any:
    """2 to the power of x."""
    (x,) = operands(x, floating=True)
    return power(operand(2.0, dtype_of(x)), x)


@composite(example((2, 3), domain=(0.2, 3.0)))
def log2(x: Tensor) -> Any:
    """Logarithm to base 2."""
    return log(x) * (1 / math.log(2))


@composite(example((2, 3), domain=(0.2, 3.0)))
def log10(x: Tensor) -> Any:
    """Logarithm to base 10."""
    return log(x) * (1 / math.log(10))


@composite(example((2, 3), (3,)))
def logaddexp(x1: Tensor, x2: Tensor) -> Any:
    """log(exp(x1) + exp(x2)), without overflow on the way."""
    x1, x2 = operands(x1, x2, floating=True)
    gap = where(equal(x1, x2), 0.0, subtract(x1, x2))  # inf - inf counts as no gap
    return maximum(x1, x2) + log1p(exp(-abs(gap)))


@composite(example((2, 3), (3,)))
def logaddexp2(x1: Tensor, x2: Tensor) -> Any:
    """log2(2^x1 + 2^x2), without overflow on the way."""
    x1, x2 = operands(x1, x2, floating=True)
    return logaddexp(x1 * math.log(2), x2 * math.log(2)) * (1 / math.log(2))


def ldexp(x1: Tensor, x2: Tensor) -> Any:
    """x1 * 2^x2 for a whole x2."""
    (x1,) = operands(x1, floating=True)
    half = operand(x2) // 2  # in two steps, so that neither factor overflows before the product does
    return x1 * exp2(cast(half, dtype_of(x1))) * exp2(cast(operand(x2) - half, dtype_of(x1)))


# Trigonometry --------------------------------------------------------------------------------------------------------


@composite(example((2, 3)))
def arctan(x: Tensor) -> Any:
    """The angle in (-pi/2, pi/2) whose tangent is ``x``."""
    (x,) = operands(x, floating=True)
    return arctan2(x, 1.0)


@composite(example((2, 3), domain=(-0.9, 0.9)))
def arcsin(x: Tensor) -> Any:
    """The angle in [-pi/2, pi/2] whose sine is ``x``."""
    (x,) = operands(x, floating=True)
    return arctan2(x, sqrt((1.0 - x) * (1.0 + x)))


@composite(example((2, 3), domain=(-0.9, 0.9)))
def arccos(x: Tensor) -> Any:
    """The angle in [0, pi] whose cosine is ``x``."""
    (x,) = operands(x, floating=True)
    return arctan2(sqrt((1.0 - x) * (1.0 + x)), x)


@composite(example((2, 3)))
def sinh(x: Tensor) -> Any:
    """Hyperbolic sine: (exp(x) - exp(-x)) / 2, exact near 0."""
    (x,) = operands(x, floating=True)
    e = expm1(minimum(abs(x), 80.0))
    far = exp(abs(x) * 0.5)
    return sign(x) * where(abs(x) < 80.0, 0.5 * (e + e / (e + 1.0)), 0.5 * far * far)


@composite(example((2, 3)))
def cosh(x: Tensor) -> Any:
    """Hyperbolic cosine: (exp(x) + exp(-x)) / 2."""
    (x,) = operands(x, floating=True)
    half = exp(abs(x) * 0.5)
    return 0.5 * half * half + 0.5 / half / half


@composite(example((2, 3)))
def arcsinh(x: Tensor) -> Any:
    """The number whose hyperbolic sine is ``x``."""
    (x,) = operands(x, floating=True)
    size = abs(x)
    is_far = size > 1e8
    near = where(is_far, 1.0, size)
    close = log1p(near + near * near / (1.0 + sqrt(near * near + 1.0)))
    return sign(x) * where(is_far, log(where(is_far, size, 1.0)) + math.log(2), close)


@composite(example((2, 3), domain=(1.2, 3.0)))
def arccosh(x: Tensor) -> Any:
    """The number above 0 whose hyperbolic cosine is ``x``."""
    (x,) = operands(x, floating=True)
    is_far = x > 1e8
    over = where(is_far, 1.0, x) - 1.0
    return where(is_far, log(where(is_far, x, 1.0)) + math.log(2), log1p(over + sqrt(over * (over + 2.0))))


@composite(example((2, 3), domain=(-0.9, 0.9)))
def arctanh(x: Tensor) -> Any:
    """The number whose hyperbolic tangent is ``x``."""
    (x,) = operands(x, floating=True)
    return 0.5 * (log1p(x) - log1p(-x))


@composite(example((2, 3)))
def deg2rad(x: Tensor) -> Any:
    """Degrees as radians."""
    return operands(x, floating=True)[0] * (math.pi / 180)


@composite(example((2, 3)))
def rad2deg(x: Tensor) -> Any:
    """Radians as degrees."""
    return operands(x, floating=True)[0] * (180 / math.pi)


@composite(example((2, 3), domain=(0.2, 2.0)))
def sinc(x: Tensor) -> Any:
    """sin(pi x) / (pi x), and 1 at 0."""
    (x,) = operands(x, floating=True)
    angle = where(equal(x, 0.0), 1.0, x) * math.pi
    return where(equal(x, 0.0), 1.0, sin(angle) / angle)


# Special functions ---------------------------------------------------------------------------------------------------


@composite(example((2, 3)))
def erfc(x: Tensor) -> Any:
    """1 - erf(x). Its relative error grows where the result is small (x above 2)."""
    return subtract(1.0, erf(x))


_I0_SERIES = tuple(1 / math.factorial(k) ** 2 for k in range(44, -1, -1))
_I0_TAIL = tuple(
    math.prod((2 * j - 1) ** 2 for j in range(1, k + 1)) / (math.factorial(k) * 8.0**k) for k in range(20, -1, -1)
)


@composite(example((2, 3)), example((2, 3), domain=(21.0, 25.0)))
def i0(x: Tensor) -> Any:
    """The modified Bessel function of the first kind and order 0.

    Source: Abramowitz and Stegun 1964, 9.6.10 (up to 20) and 9.7.1 (above).
    """
    (x,) = operands(x, floating=True)
    size = abs(x)
    near, far = minimum(size, 20.0), maximum(size, 20.0)
    half = exp(far * 0.5)
    tail = _polynomial(1.0 / far, _I0_TAIL) / sqrt(far * (2 * math.pi))
    return where(size < 20.0, _polynomial(near * near * 0.25, _I0_SERIES), half * tail * half)


def _polynomial(x: Any, coefficients: tuple[float, ...]) -> Any:
    total = x * 0.0 + coefficients[0]
    for c in coefficients[1:]:
        total = total * x + c
    return total


# Rounding and signs --------------------------------------------------------------------------------------------------


def fabs(x: Tensor) -> Any:
    """Absolute value, floating."""
    return abs(operands(x, floating=True)[0])


def trunc(x: Tensor) -> Any:
    """``x`` without its fraction."""
    x = operand(x)
    return where(x < 0.0, ceil(x), floor(x)) if dtypes.is_floating(dtype_of(x)) else x


def round(x: Tensor, decimals: int = 0) -> Any:
    """Nearest number with so many ``decimals``; halves to even.

    Example:
        >>> round(np.array([0.5, 1.25, -2.55]), 1)
        array([ 0.5,  1.2, -2.6])
    """
    x = operand(x)
    if dtypes.is_floating(dtype_of(x)):
        return round_half_even(x) if decimals == 0 else round_half_even(x * 10.0**decimals) / 10.0**decimals
    if decimals >= 0:
        return x
    return cast(round_half_even(cast(x, "float64") / 10.0**-decimals) * 10.0**-decimals, dtype_of(x))


def signbit(x: Tensor) -> Any:
    """Whether the sign of ``x`` is minus; that of -0.0 is."""
    x = operand(x)
    kind = dtype_of(x)
    if dtypes.is_floating(kind):
        return less(view(x, {"float32": "int32", "float64": "int64"}[kind]), 0)
    return less(x, 0) if kind in ("int32", "int64") else broadcast_to(np.asarray(False), x.shape)


def copysign(x1: Any, x2: Any) -> Any:
    """The size of x1 with the sign of x2."""
    return where(signbit(x2), -abs(x1), abs(x1))


def nextafter(x1: Tensor, x2: Tensor) -> Any:
    """The floating number next to x1 on the way to x2."""
    x1, x2 = operands(x1, x2, floating=True)
    kind = dtype_of(x1)
    bits, one = ("int32", np.int32(1)) if kind == "float32" else ("int64", np.int64(1))
    raw = view(x1, bits)
    away = equal(x2 > x1, x1 > 0.0)
    moved = view(where(away, add(raw, one), subtract(raw, one)), kind)
    least = copysign(view(broadcast_to(one, x1.shape), kind), x2)
    result = where(equal(x1, 0.0), least, moved)
    return where(equal(x1, x2), x2, where(logical_or(isnan(x1), isnan(x2)), x1 + x2, result))


def heaviside(x1: Tensor, x2: Tensor) -> Any:
    """0 below 0, 1 above, and x2 at 0."""
    x1, x2 = operands(x1, x2, floating=True)
    return where(equal(x1, 0.0), x2, where(isnan(x1), x1, cast(x1 > 0.0, dtype_of(x1))))


# Remainders and whole numbers ----------------------------------------------------------------------------------------


def fmod(x1: Tensor, x2: Tensor) -> Any:
    """Remainder of the division towards 0, with the sign of x1."""
    x1, x2 = operands(x1, x2)
    if dtypes.is_floating(dtype_of(x1)):
        return copysign(mod(abs(x1), abs(x2)), x1)
    rest = mod(abs(x1), abs(x2))
    return where(x1 < 0, negative(rest), rest) if dtype_of(x1) in ("int32", "int64") else rest


def gcd(x1: Tensor, x2: Tensor) -> Any:
    """The greatest common divisor of whole numbers.

    Example:
        >>> gcd(np.array([12, -18]), 8)
        array([4, 2])
    """
    from layerkit.ops.control import fori_loop  # a loop is made of ops; this is the one op made of a loop

    x1, x2 = operands(x1, x2)
    shape = broadcast_to(x1 * 0 + x2 * 0, (x1 + x2).shape)
    steps = {"uint8": 13, "int64": 92}.get(dtype_of(x1), 47)  # Fibonacci numbers take longest (Lame 1844)

    def step(_: Any, pair: Any) -> Any:
        a, b = pair
        is_done = equal(b, 0)
        return where(is_done, a, b), where(is_done, b, mod(a, where(is_done, 1, b)))

    return fori_loop(0, steps, step, (abs(x1) + shape, abs(x2) + shape))[0]


def lcm(x1: Tensor, x2: Tensor) -> Any:
    """The least common multiple of whole numbers."""
    x1, x2 = operands(x1, x2)
    common = gcd(x1, x2)
    return abs(x1) // where(equal(common, 0), 1, common) * abs(x2)


# Choices between two -------------------------------------------------------------------------------------------------


def fmax(x1: Tensor, x2: Tensor) -> Any:
    """The larger; the other one where one is nan."""
    return _other_if_nan(maximum, x1, x2)


def fmin(x1: Tensor, x2: Tensor) -> Any:
    """The smaller; the other one where one is nan."""
    return _other_if_nan(minimum, x1, x2)


def _other_if_nan(choose: Any, x1: Tensor, x2: Tensor) -> Any:
    x1, x2 = operands(x1, x2)
    if not dtypes.is_floating(dtype_of(x1)):
        return choose(x1, x2)
    return where(isnan(x1), x2, where(isnan(x2), x1, choose(x1, x2)))


def clip(x: Tensor, x_min: Tensor, x_max: Tensor) -> Any:
    """``x`` kept within [x_min, x_max]."""
    return minimum(maximum(x, x_min), x_max)


# Comparisons ---------------------------------------------------------------------------------------------------------


def isclose(x1: Tensor, x2: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Whether x1 and x2 differ by at most atol + rtol times the size of x2, or are the same infinity."""
    x1, x2 = operands(x1, x2, floating=True)
    finite = logical_and(isfinite(x1), isfinite(x2))
    near = logical_and(finite, subtract(abs(subtract(x1, x2)), abs(x2) * rtol) <= atol)
    same = logical_or(near, equal(x1, x2))
    return logical_or(same, logical_and(isnan(x1), isnan(x2))) if equal_nan else same


def allclose(x1: Tensor, x2: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Whether ``isclose`` holds everywhere."""
    return all(isclose(x1, x2, rtol, atol, equal_nan))


def isposinf(x: Tensor) -> Any:
    """Whether x is inf."""
    return equal(operands(x, floating=True)[0], math.inf)


def isneginf(x: Tensor) -> Any:
    """Whether x is -inf."""
    return equal(operands(x, floating=True)[0], -math.inf)


def nan_to_num(x: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Any:
    """``x`` with numbers in the place of nan, inf (by default the largest number) and -inf (the lowest).

    Example:
        >>> nan_to_num(np.array([np.nan, 2.0, np.inf]), posinf=9.0)
        array([0., 2., 9.])
    """
    x = operand(x)
    kind = dtype_of(x)
    if not dtypes.is_floating(kind):
        return x
    limits = np.finfo(kind)
    top = float(limits.max) if posinf is None else posinf
    bottom = float(limits.min) if neginf is None else neginf
    return where(isnan(x), nan, where(equal(x, math.inf), top, where(equal(x, -math.inf), bottom, x)))


def saturate_cast(x: Tensor, dtype: str) -> Any:
    """``x`` in another dtype; what does not fit becomes the nearest number that does.

    Example:
        >>> saturate_cast(np.array([-5.0, 99.5, 300.0]), "uint8")
        array([  0,  99, 255], dtype=uint8)
    """
    x, dtype = operand(x), dtypes.canonical(dtype)
    kind = dtype_of(x)
    if dtype == "bool" or (dtypes.is_floating(dtype) and not dtypes.is_floating(kind)):
        return cast(x, dtype)
    low, high = _limits(dtype)
    own_low, own_high = _limits(kind) if kind != "bool" else (0, 1)
    if low > own_low:
        x = maximum(x, np.asarray(low).astype(dtypes.numpy_dtype(kind)))
    if high < own_high:
        top = np.asarray(high).astype(dtypes.numpy_dtype(kind))
        if dtypes.is_floating(kind) and float(top) > high:  # rounded up: the number below still fits
            top = np.nextafter(top, np.asarray(0, top.dtype))
        return where(x >= top, np.asarray(high, dtypes.numpy_dtype(dtype)), cast(minimum(x, top), dtype))
    return cast(x, dtype)


def _limits(dtype: str) -> tuple[Any, Any]:
    kind = dtypes.numpy_dtype(dtype)
    if dtypes.is_floating(dtype):
        import ml_dtypes

        floats: Any = ml_dtypes.finfo(kind)  # type: ignore[no-untyped-call]
        return float(floats.min), float(floats.max)
    whole = np.iinfo(kind)
    return int(whole.min), int(whole.max)


# Numbers that are real -----------------------------------------------------------------------------------------------


def real(x: Tensor) -> Any:
    """The real part: ``x`` itself, there are no complex numbers."""
    return operand(x)


def imag(x: Tensor) -> Any:
    """The imaginary part: 0."""
    x = operand(x)
    return broadcast_to(cast(0, dtype_of(x)), x.shape)


def conjugate(x: Tensor) -> Any:
    """The complex conjugate: ``x`` itself."""
    return operand(x)


def angle(x: Tensor) -> Any:
    """The angle of a number in the complex plane: 0, or pi for those below 0."""
    (x,) = operands(x, floating=True)
    return where(isnan(x), x, where(x < 0.0, math.pi, 0.0 * x))


def isreal(x: Tensor) -> Any:
    """Whether a number has no imaginary part: always."""
    return broadcast_to(np.asarray(True), operand(x).shape)


absolute = abs
bitwise_invert = bitwise_not
bitwise_left_shift = left_shift
bitwise_right_shift = right_shift
conj = conjugate
