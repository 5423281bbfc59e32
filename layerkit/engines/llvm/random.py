"""Philox numbers as IR: each lane computes the block of four words in which its word lies, and takes that word.

The meaning is ``layerkit.ops.random``; its docstring names the source.
"""

from __future__ import annotations

import math

from layerkit.engines.llvm import vmath
from layerkit.engines.llvm.builder import Function, Reg, literal, vector

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_STEPS = (0x9E3779B9, 0xBB67AE85)


def words(f: Function, key: list[Reg], place: Reg) -> Reg:
    """Word number ``place`` (i64 lanes) of the stream of a key of four u32: i32 lanes."""
    wide, lanes = place.type, place.lanes
    mask = literal(0xFFFFFFFF, wide)
    block = f.binary("lshr", place, literal(2, wide))
    spread = [f.convert("zext", f.splat(k, lanes) if k.lanes == 1 else k, "i64") for k in key]
    c = [f.binary("and", block, mask), f.binary("lshr", block, literal(32, wide)), spread[2], spread[3]]
    k0, k1 = spread[0], spread[1]
    for _ in range(10):
        p0 = f.binary("mul", c[0], literal(_MULTIPLIERS[0], wide))
        p1 = f.binary("mul", c[2], literal(_MULTIPLIERS[1], wide))

        def high(p: Reg) -> Reg:
            return f.binary("lshr", p, literal(32, wide))

        c = [
            f.binary("xor", f.binary("xor", high(p1), c[1]), k0),
            f.binary("and", p1, mask),
            f.binary("xor", f.binary("xor", high(p0), c[3]), k1),
            f.binary("and", p0, mask),
        ]
        k0 = f.binary("and", f.binary("add", k0, literal(_STEPS[0], wide)), mask)
        k1 = f.binary("and", f.binary("add", k1, literal(_STEPS[1], wide)), mask)
    which = f.binary("and", place, literal(3, wide))
    word = c[3]
    for i in (2, 1, 0):
        word = f.select(f.compare("eq", which, literal(i, wide)), c[i], word)
    return f.convert("trunc", word, "i32")


def uniform(f: Function, key: list[Reg], place: Reg, element: str) -> Reg:
    """A number in [0, 1): 24 bits of one word, or 53 bits of two."""
    if element == "float":
        bits = f.binary("lshr", words(f, key, place), literal(8, vector("i32", place.lanes)))
        return f.binary("fmul", f.convert("uitofp", bits, "float"), literal(2.0**-24, vector("float", place.lanes)))
    twice = f.binary("shl", place, literal(1, place.type))
    first = f.convert("zext", words(f, key, twice), "i64")
    second = f.convert("zext", words(f, key, f.binary("add", twice, literal(1, place.type))), "i64")
    high = f.convert("uitofp", f.binary("lshr", first, literal(5, place.type)), "double")
    low = f.convert("uitofp", f.binary("lshr", second, literal(6, place.type)), "double")
    kind = vector("double", place.lanes)
    return f.binary("fmul", f.fma(high, literal(2.0**26, kind), low), literal(2.0**-53, kind))


def normal(f: Function, key: list[Reg], place: Reg, element: str) -> Reg:
    """Mean 0, variance 1: each pair of uniform numbers gives two."""
    even = f.binary("and", place, literal(-2, place.type))
    odd = f.binary("or", place, literal(1, place.type))
    kind = vector("double", place.lanes)

    def wide(at: Reg) -> Reg:
        u = uniform(f, key, at, element)
        return f.convert("fpext", u, "double") if element == "float" else u

    logarithm = vmath.log1p(f, f.unary("fneg", wide(even)))
    radius = f.intrinsic("sqrt", f.binary("fmul", logarithm, literal(-2.0, kind)))
    angle = f.binary("fmul", wide(odd), literal(2 * math.pi, kind))
    is_even = f.compare("eq", even, place)
    y = f.binary("fmul", radius, f.select(is_even, vmath.cos(f, angle), vmath.sin(f, angle)))
    return f.convert("fptrunc", y, "float") if element == "float" else y
