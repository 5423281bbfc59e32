"""What elementwise ops mean for each dtype, as IR on registers of any number of lanes.

Numbers are float, double, i64, i32, i8 and i1 in registers; truth values take a byte in memory, and the two 16-bit
floats are integers that only a cast looks into. Meanings are NumPy's: nan wins in maxima, whole numbers wrap, division
of whole numbers by 0 gives 0, and no input traps.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from layerkit import dtypes
from layerkit.dtypes import UNSIGNED
from layerkit.engines.llvm.codegen.builder import Function, Reg, bits, literal, vector
from layerkit.engines.llvm.loops import vmath

TYPES = {
    "float32": "float", "float64": "double", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64", "bool": "i1",
    "uint8": "i8", "uint16": "i16", "uint32": "i32", "uint64": "i64", "float16": "half", "bfloat16": "i16",
}  # fmt: skip


def memory_type(dtype: str) -> str:
    """The type of one element in memory."""
    return "i8" if dtype == "bool" else TYPES[dtype]


# Memory --------------------------------------------------------------------------------------------------------------


def _loaded(f: Function, x: Reg, dtype: str) -> Reg:
    return f.compare("ne", x, literal(0, x.type)) if dtype == "bool" else x


def load(f: Function, pointer: Reg, dtype: str, lanes: int, mask: Reg | None = None) -> Reg:
    """Numbers that stand one after the other."""
    kind = vector(memory_type(dtype), lanes)
    if mask is not None and lanes == 1:
        raise AssertionError("a single number has no mask")
    return _loaded(f, f.load(pointer, kind, mask), dtype)


def take(f: Function, pointer: Reg, offsets: Reg, dtype: str, mask: Reg | None = None) -> Reg:
    """Numbers at offsets, counted in elements."""
    return _loaded(f, f.gather(pointer, offsets, memory_type(dtype), mask), dtype)


def store(f: Function, value: Reg, pointer: Reg, dtype: str, mask: Reg | None = None) -> None:
    """Numbers written one after the other."""
    f.store(f.convert("zext", value, "i8") if dtype == "bool" else value, pointer, mask)


# One operand ---------------------------------------------------------------------------------------------------------

_MATH = {
    "exp": vmath.exp, "expm1": vmath.expm1, "log": vmath.log, "log1p": vmath.log1p, "sqrt": vmath.sqrt, "rsqrt": vmath.rsqrt,
    "sin": vmath.sin, "cos": vmath.cos, "tan": vmath.tan, "tanh": vmath.tanh, "sigmoid": vmath.sigmoid, "erf": vmath.erf,
    "erfinv": vmath.erfinv,
}  # fmt: skip
_ROUNDING = {"floor": "floor", "ceil": "ceil", "round": "rint"}


def unary(f: Function, word: str, x: Reg, dtype: str) -> Reg:
    """A function of one number."""
    zero = literal(0, x.type)
    if word in _MATH:
        return _MATH[word](f, x)
    if word in _ROUNDING:
        return f.intrinsic(_ROUNDING[word], x)
    match word:
        case "negative":
            return f.unary("fneg", x) if x.is_float else f.binary("sub", zero, x)
        case "abs":
            if x.is_float:
                return f.intrinsic("fabs", x)
            return x if dtype in UNSIGNED else f.select(f.compare("slt", x, zero), f.binary("sub", zero, x), x)
        case "sign":
            return _sign(f, x, dtype)
        case "relu":
            if x.is_float:
                return f.select(f.compare("ole", x, zero), zero, x)
            return x if dtype in UNSIGNED else f.select(f.compare("slt", x, zero), zero, x)
        case "logical_not":
            return f.binary("xor", x, literal(1, x.type))
        case "bitwise_not":
            return f.binary("xor", x, literal(1 if dtype == "bool" else -1, x.type))
        case "isnan":
            return f.compare("uno", x, x)
        case "isinf":
            return f.compare("oeq", f.intrinsic("fabs", x), literal(math.inf, x.type))
        case "isfinite":
            return f.compare("olt", f.intrinsic("fabs", x), literal(math.inf, x.type))
    raise AssertionError(word)


def _sign(f: Function, x: Reg, dtype: str) -> Reg:
    zero, one = literal(0, x.type), literal(1, x.type)
    if x.is_float:
        s = f.select(f.compare("ogt", x, zero), one, f.select(f.compare("olt", x, zero), literal(-1, x.type), zero))
        return f.select(f.compare("uno", x, x), x, s)
    if dtype in UNSIGNED:
        return f.select(f.compare("ne", x, zero), one, zero)
    return f.select(f.compare("sgt", x, zero), one, f.select(f.compare("slt", x, zero), literal(-1, x.type), zero))


# Two operands --------------------------------------------------------------------------------------------------------

_ARITHMETIC = {"add": "add", "subtract": "sub", "multiply": "mul", "divide": "div"}
_COMPARE = {"equal": "eq", "not_equal": "ne", "less": "lt", "less_equal": "le", "greater": "gt", "greater_equal": "ge"}
_LOGIC = {"logical_and": "and", "logical_or": "or", "logical_xor": "xor",
          "bitwise_and": "and", "bitwise_or": "or", "bitwise_xor": "xor"}  # fmt: skip


def binary(f: Function, word: str, x: Reg, y: Reg, dtype: str) -> Reg:
    """A function of two numbers of one dtype."""
    if word in _ARITHMETIC:
        if dtype == "bool":
            return f.binary("or" if word == "add" else "and", x, y)
        return f.binary(("f" if x.is_float else "") + _ARITHMETIC[word], x, y)
    if word in _LOGIC:
        return f.binary(_LOGIC[word], x, y)
    if word in _COMPARE:
        return f.compare(_predicate(_COMPARE[word], x, dtype), x, y)
    match word:
        case "maximum" | "minimum":
            return _extreme(f, word == "maximum", x, y, dtype)
        case "left_shift" | "right_shift":
            return _shift(f, word == "left_shift", x, y, dtype)
        case "power":
            return vmath.power(f, x, y)
        case "arctan2":
            return vmath.arctan2(f, x, y)
        case "floor_divide":
            return _float_floor(f, x, y)[0] if x.is_float else _whole_floor(f, x, y, dtype)[0]
        case "mod":
            return _float_floor(f, x, y)[1] if x.is_float else _whole_floor(f, x, y, dtype)[1]
    raise AssertionError(word)


def _shift(f: Function, is_left: bool, x: Reg, y: Reg, dtype: str) -> Reg:
    """Bits moved; by more places than there are, nothing is left but the sign."""
    if dtype == "bool":
        raise AssertionError("truth values are not shifted")
    width = bits(x.type)
    fits = f.compare("ult", y, literal(width, y.type))
    if is_left or dtype in UNSIGNED:
        safe = f.select(fits, y, literal(0, y.type))
        return f.select(fits, f.binary("shl" if is_left else "lshr", x, safe), literal(0, x.type))
    return f.binary("ashr", x, f.select(fits, y, literal(width - 1, y.type)))


def view(f: Function, x: Reg, target: str) -> Reg:
    """The same bits in another dtype of the same width."""
    return x if TYPES[target] == x.element else f.convert("bitcast", x, TYPES[target])


def _predicate(order: str, x: Reg, dtype: str) -> str:
    if x.is_float:
        return "une" if order == "ne" else f"o{order}"
    return order if order in ("eq", "ne") else f"{'u' if dtype in UNSIGNED else 's'}{order}"


def _extreme(f: Function, largest: bool, x: Reg, y: Reg, dtype: str) -> Reg:
    if not x.is_float:
        return f.select(f.compare(_predicate("gt" if largest else "lt", x, dtype), x, y), x, y)
    best = f.select(f.compare("ogt" if largest else "olt", x, y), x, y)
    return f.select(f.compare("uno", x, x), x, best)  # a nan in y is chosen by the comparison that fails


def _whole_floor(f: Function, x: Reg, y: Reg, dtype: str) -> tuple[Reg, Reg]:
    zero, one = literal(0, x.type), literal(1, x.type)
    is_zero = f.compare("eq", y, zero)
    if dtype in UNSIGNED:
        by = f.select(is_zero, one, y)
        quotient, rest = f.binary("udiv", x, by), f.binary("urem", x, by)
        return f.select(is_zero, zero, quotient), f.select(is_zero, zero, rest)
    is_minus = f.compare("eq", y, literal(-1, x.type))  # the smallest number divided by -1 would trap
    by = f.select(f.binary("or", is_zero, is_minus), one, y)
    quotient, rest = f.binary("sdiv", x, by), f.binary("srem", x, by)
    differs = f.compare("slt", f.binary("xor", rest, by), zero)
    down = f.binary("and", f.compare("ne", rest, zero), differs)
    quotient = f.select(down, f.binary("sub", quotient, one), quotient)
    rest = f.select(down, f.binary("add", rest, by), rest)
    quotient = f.select(is_minus, f.binary("sub", zero, x), quotient)
    rest = f.select(f.binary("or", is_minus, is_zero), zero, rest)
    return f.select(is_zero, zero, quotient), rest


def _float_floor(f: Function, x: Reg, y: Reg) -> tuple[Reg, Reg]:
    """Quotient and remainder as NumPy takes them: from an exact remainder."""
    zero = literal(0.0, x.type)
    rest = f.binary("frem", x, y)
    quotient = f.binary("fdiv", f.binary("fsub", x, rest), y)
    differs = f.binary("xor", f.compare("olt", rest, zero), f.compare("olt", y, zero))
    down = f.binary("and", f.compare("one", rest, zero), differs)
    quotient = f.select(down, f.binary("fsub", quotient, literal(1.0, x.type)), quotient)
    rest = f.select(down, f.binary("fadd", rest, y), rest)
    rest = f.select(f.compare("oeq", rest, zero), f.intrinsic("copysign", zero, y), rest)
    floor = f.intrinsic("floor", quotient)
    above = f.binary("fsub", quotient, floor)
    floor = f.select(
        f.compare("ogt", above, literal(0.5, x.type)), f.binary("fadd", floor, literal(1.0, x.type)), floor
    )
    plain = f.binary("fdiv", x, y)
    floor = f.select(f.compare("oeq", floor, zero), f.intrinsic("copysign", zero, plain), floor)
    return f.select(f.compare("oeq", y, zero), plain, floor), rest


def where(f: Function, condition: Reg, x: Reg, y: Reg) -> Reg:
    """``x`` where the condition holds, else ``y``."""
    return f.select(condition, x, y)


# Casts ---------------------------------------------------------------------------------------------------------------


def cast(f: Function, x: Reg, source: str, target: str) -> Reg:
    """The same numbers in another dtype."""
    if source == target:
        return x
    if source == "bfloat16":
        wide = f.binary("shl", f.convert("zext", x, "i32"), literal(16, vector("i32", x.lanes)))
        return cast(f, f.convert("bitcast", wide, "float"), "float32", target)
    if source == "float16":
        return cast(f, f.convert("fpext", x, "float"), "float32", target)
    if target == "bfloat16":
        return _to_bfloat16(f, cast(f, x, source, "float32"))
    if target == "float16":
        return f.convert("fptrunc", cast(f, x, source, "float32"), "half")
    if target == "bool":
        return f.compare("une" if x.is_float else "ne", x, literal(0, x.type))
    kind = TYPES[target]
    if x.is_float and kind in ("float", "double"):
        return f.convert("fpext" if kind == "double" else "fptrunc", x, kind)
    if x.is_float:
        return _to_whole(f, x, target)
    if kind in ("float", "double"):
        return f.convert("uitofp" if source in UNSIGNED else "sitofp", x, kind)
    own, wanted = bits(x.type), bits(kind)
    if own == wanted:
        return x
    return f.convert("trunc" if own > wanted else "zext" if source in UNSIGNED else "sext", x, kind)


def _to_whole(f: Function, x: Reg, target: str) -> Reg:
    """Through i64, from which smaller types take the low bits, as NumPy does; what does not fit is the smallest i64."""
    wide = vector("i64", x.lanes)
    inside = f.compare("olt", f.intrinsic("fabs", x), literal(2.0**63, x.type))
    safe = f.select(inside, x, literal(0, x.type))
    whole = f.select(inside, f.convert("fptosi", safe, "i64"), literal(-(2**63), wide))
    if target == "int32":
        fits = f.binary(
            "and", f.compare("sge", whole, literal(-(2**31), wide)), f.compare("slt", whole, literal(2**31, wide))
        )
        whole = f.select(fits, whole, literal(-(2**31), wide))
    if target == "uint64":  # what is above the largest i64 is converted from there on
        half = literal(2.0**63, x.type)
        is_high = f.binary("and", f.compare("oge", x, half), f.compare("olt", x, literal(2.0**64, x.type)))
        above = f.convert("fptosi", f.select(is_high, f.binary("fsub", x, half), literal(0, x.type)), "i64")
        whole = f.select(is_high, f.binary("xor", above, literal(-(2**63), wide)), whole)
    return whole if TYPES[target] == "i64" else f.convert("trunc", whole, TYPES[target])


def _to_bfloat16(f: Function, x: Reg) -> Reg:
    """The nearest, ties to even."""
    raw = f.convert("bitcast", x, "i32")
    odd = f.binary("and", f.binary("lshr", raw, literal(16, raw.type)), literal(1, raw.type))
    rounded = f.binary("add", raw, f.binary("add", odd, literal(0x7FFF, raw.type)))
    quiet = f.binary("or", raw, literal(0x400000, raw.type))
    kept = f.select(f.compare("uno", x, x), quiet, rounded)
    return f.convert("trunc", f.binary("lshr", kept, literal(16, raw.type)), "i16")


# Reductions ----------------------------------------------------------------------------------------------------------


def reduce_identity(function: str, dtype: str) -> Any:
    """The number that changes nothing: 0, 1, the lowest, the highest."""
    if function in ("sum", "prod"):
        return int(function == "prod")
    if dtype == "bool":
        return function == "min"
    if dtypes.is_floating(dtype):
        return -math.inf if function == "max" else math.inf
    limits = np.iinfo(dtypes.numpy_dtype(dtype))
    return int(limits.min if function == "max" else limits.max)


def combine(f: Function, function: str, a: Reg, b: Reg, dtype: str) -> Reg:
    """Two partial results as one."""
    if function in ("sum", "prod"):
        return binary(f, "add" if function == "sum" else "multiply", a, b, dtype)
    return _extreme(f, function == "max", a, b, dtype)


def horizontal(f: Function, function: str, x: Reg, dtype: str) -> Reg:
    """All lanes as one number, by halves."""
    while x.lanes > 1:
        half = x.lanes // 2
        low, high = f.shuffle(x, None, range(half)), f.shuffle(x, None, range(half, 2 * half))
        if half == 1:
            low, high = f.extract(x, 0), f.extract(x, 1)
        x = combine(f, function, low, high, dtype)
    return x
