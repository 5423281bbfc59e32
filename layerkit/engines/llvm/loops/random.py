"""Philox numbers as IR: neighbours share the blocks of four words in which they lie; a lane apart computes its own.

The meaning is ``layerkit.ops.random``; its docstring names the source.
"""

from __future__ import annotations

import math

from layerkit.engines.llvm.codegen.builder import INT, Function, Reg, literal, vector
from layerkit.engines.llvm.loops import vmath
from layerkit.records import dataclass

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_STEPS = (0x9E3779B9, 0xBB67AE85)


@dataclass(frozen=True)
class Place:
    """Which numbers of a stream: one in each lane.

    Attributes:
        numbers: i64 lanes.
        first: the first of them, if they follow one another and it is a multiple of 4: then no block is computed twice.
    """

    numbers: Reg
    first: Reg | None = None

    @property
    def lanes(self) -> int:
        """How many numbers."""
        return self.numbers.lanes


def words(f: Function, key: list[Reg], place: Place) -> Reg:
    """Words of the stream of a key of four u32: i32 lanes."""
    if place.first is not None:
        return _following(f, key, place.first, place.lanes)
    wide = place.numbers.type
    c = _blocks(f, key, f.binary("lshr", place.numbers, literal(2, wide)))
    which = f.binary("and", place.numbers, literal(3, wide))
    word = c[3]
    for i in (2, 1, 0):
        word = f.select(f.compare("eq", which, literal(i, wide)), c[i], word)
    return f.convert("trunc", word, "i32")


def _following(f: Function, key: list[Reg], first: Reg, count: int) -> Reg:
    """``count`` words from number ``first`` on: the four words of each block, block after block."""
    blocks = count // 4
    numbers = f.binary("add", f.splat(f.reg(f.div(first, 4)), blocks), f.lane_numbers(INT, blocks))
    a, b, c, d = (f.convert("trunc", x, "i32") for x in _blocks(f, key, numbers))
    half = [i for pair in zip(range(blocks), range(blocks, 2 * blocks), strict=True) for i in pair]
    low, high = f.shuffle(a, b, half), f.shuffle(c, d, half)
    order = [at for i in range(0, 2 * blocks, 2) for at in (i, i + 1, 2 * blocks + i, 2 * blocks + i + 1)]
    return f.shuffle(low, high, order)


def _blocks(f: Function, key: list[Reg], block: Reg) -> list[Reg]:
    """The four words of each block, as i64 lanes."""
    wide, lanes = block.type, block.lanes
    mask = literal(0xFFFFFFFF, wide)
    spread = [f.splat(f.convert("zext", f.extract(k, 0), "i64"), lanes) for k in key]
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
    return c


def uniform(f: Function, key: list[Reg], place: Place, element: str) -> Reg:
    """A number in [0, 1): 24 bits of one word, or 53 bits of two."""
    lanes = place.lanes
    if element == "float":
        bits = f.binary("lshr", words(f, key, place), literal(8, vector("i32", lanes)))
        return f.binary("fmul", f.convert("uitofp", bits, "float"), literal(2.0**-24, vector("float", lanes)))
    if place.first is not None:
        both = _following(f, key, f.reg(f.mul(place.first, 2)), 2 * lanes)
        pair = [f.shuffle(both, None, range(i, 2 * lanes, 2)) for i in range(2)]
    else:
        twice = f.binary("shl", place.numbers, literal(1, place.numbers.type))
        pair = [words(f, key, Place(f.binary("add", twice, literal(i, twice.type)))) for i in range(2)]
    first, second = (f.convert("zext", x, "i64") for x in pair)
    high = f.convert("uitofp", f.binary("lshr", first, literal(5, first.type)), "double")
    low = f.convert("uitofp", f.binary("lshr", second, literal(6, first.type)), "double")
    kind = vector("double", lanes)
    return f.binary("fmul", f.fma(high, literal(2.0**26, kind), low), literal(2.0**-53, kind))


def normal(f: Function, key: list[Reg], place: Place, element: str) -> Reg:
    """Mean 0, variance 1: each pair of uniform numbers gives two."""

    def pair(even: Reg, odd: Reg) -> tuple[Reg, Reg]:
        """Cosine and sine of an angle, times a radius."""
        kind = vector("double", even.lanes)
        if element == "float":
            even, odd = f.convert("fpext", even, "double"), f.convert("fpext", odd, "double")
        logarithm = vmath.log1p(f, f.unary("fneg", even))
        radius = f.intrinsic("sqrt", f.binary("fmul", logarithm, literal(-2.0, kind)))
        angle = f.binary("fmul", odd, literal(2 * math.pi, kind))
        return f.binary("fmul", radius, vmath.cos(f, angle)), f.binary("fmul", radius, vmath.sin(f, angle))

    lanes = place.lanes
    if place.first is not None:
        drawn = uniform(f, key, place, element)
        two = pair(*(f.shuffle(drawn, None, range(i, lanes, 2)) for i in range(2)))
        y = f.shuffle(*two, [i // 2 + i % 2 * (lanes // 2) for i in range(lanes)])
    else:
        numbers = place.numbers
        even = f.binary("and", numbers, literal(-2, numbers.type))
        odd = f.binary("or", numbers, literal(1, numbers.type))
        cosine, sine = pair(uniform(f, key, Place(even), element), uniform(f, key, Place(odd), element))
        y = f.select(f.compare("eq", even, numbers), cosine, sine)
    return f.convert("fptrunc", y, "float") if element == "float" else y
