"""Hashes of texts: the same number in every run and on every machine."""

from __future__ import annotations

from collections.abc import Sequence

_WORD = (1 << 64) - 1


def hashed(value: object, bins: int, salt: int | Sequence[int] | None) -> int:
    """A text, or a number as a text, as one of [0, bins): by SipHash with a salt (one number stands twice), else by FarmHash."""
    text = str(value).encode("utf-8")
    if salt is None:
        return farmhash(text) % bins
    return siphash(text, (salt, salt) if isinstance(salt, int) else (int(salt[0]), int(salt[1]))) % bins


# SipHash -------------------------------------------------------------------------------------------------------------


def _turned(x: int, bits: int) -> int:
    return ((x << bits) | (x >> (64 - bits))) & _WORD


def _rounds(v: list[int], count: int) -> None:
    for _ in range(count):
        v[0] = (v[0] + v[1]) & _WORD
        v[2] = (v[2] + v[3]) & _WORD
        v[1], v[3] = _turned(v[1], 13) ^ v[0], _turned(v[3], 16) ^ v[2]
        v[0] = _turned(v[0], 32)
        v[2] = (v[2] + v[1]) & _WORD
        v[0] = (v[0] + v[3]) & _WORD
        v[1], v[3] = _turned(v[1], 17) ^ v[2], _turned(v[3], 21) ^ v[0]
        v[2] = _turned(v[2], 32)


def siphash(data: bytes, key: tuple[int, int]) -> int:
    """SipHash-2-4 of ``data``: 64 bits. Source: Aumasson and Bernstein 2012, "SipHash: a fast short-input PRF".

    >>> hex(siphash(bytes(range(15)), (0x0706050403020100, 0x0F0E0D0C0B0A0908)))  # the paper's appendix A
    '0xa129ca6149be45e5'
    """
    first, second = key[0] & _WORD, key[1] & _WORD
    v = [
        first ^ 0x736F6D6570736575,
        second ^ 0x646F72616E646F6D,
        first ^ 0x6C7967656E657261,
        second ^ 0x7465646279746573,
    ]
    whole = len(data) // 8 * 8
    words = [int.from_bytes(data[i : i + 8], "little") for i in range(0, whole, 8)]
    words.append(int.from_bytes(data[whole:], "little") | (len(data) & 0xFF) << 56)
    for word in words:
        v[3] ^= word
        _rounds(v, 2)
        v[0] ^= word
    v[2] ^= 0xFF
    _rounds(v, 4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


# FarmHash ------------------------------------------------------------------------------------------------------------

_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F


def farmhash(data: bytes) -> int:
    """FarmHash's 64-bit fingerprint of ``data``. Source: Pike and Alakuijala 2014, "FarmHash", github.com/google/farmhash.

    >>> farmhash(b"") == 0x9AE16A3B2F90404F
    True
    """
    n = len(data)
    if n <= 16:
        return _short(data, n)
    return _middle(data, n) if n <= 64 else _long(data, n)


def _at(data: bytes, place: int, size: int = 8) -> int:
    """The bytes at a place, from the end if it is negative, as a number."""
    start = place + len(data) if place < 0 else place
    return int.from_bytes(data[start : start + size], "little")


def _back(x: int, bits: int) -> int:
    x &= _WORD
    return ((x >> bits) | (x << (64 - bits))) & _WORD


def _mixed(x: int) -> int:
    x &= _WORD
    return x ^ (x >> 47)


def _joined(u: int, v: int, factor: int) -> int:
    return _mixed((v ^ _mixed((u ^ v) * factor)) * factor) * factor & _WORD


def _short(data: bytes, n: int) -> int:
    factor = _K2 + 2 * n
    if n >= 8:
        a, b = _at(data, 0) + _K2, _at(data, -8)
        return _joined(_back(b, 37) * factor + a, (_back(a, 25) + b) * factor, factor)
    if n >= 4:
        return _joined(n + (_at(data, 0, 4) << 3), _at(data, -4, 4), factor)
    if n:
        y, z = data[0] + (data[n >> 1] << 8), n + (data[n - 1] << 2)
        return _mixed(y * _K2 ^ z * _K0) * _K2 & _WORD
    return _K2


def _middle(data: bytes, n: int) -> int:
    factor = _K2 + 2 * n
    a, b = _at(data, 0) * (_K1 if n <= 32 else _K2), _at(data, 8)
    c, d = _at(data, -8) * factor, _at(data, -16) * _K2
    y = _back(a + b, 43) + _back(c, 30) + d
    z = _joined(y, a + _back(b + _K2, 18) + c, factor)
    if n <= 32:
        return z
    e, f = _at(data, 16) * factor, _at(data, 24)
    g, h = (y + _at(data, -32)) * factor, (z + _at(data, -24)) * factor
    return _joined(_back(e + f, 43) + _back(g, 30) + h, e + _back(f + a, 18) + g, factor)


def _weak(data: bytes, place: int, a: int, b: int) -> tuple[int, int]:
    """32 bytes and two numbers as two numbers."""
    w, x, y, z = (_at(data, place + i) for i in (0, 8, 16, 24))
    a += w
    b = _back(b + a + z, 21)
    middle = a + x + y
    return (middle + z) & _WORD, (b + _back(middle, 44) + a) & _WORD


def _long(data: bytes, n: int) -> int:
    y = 81 * _K1 + 113
    z = _mixed(y * _K2 + 113) * _K2
    x, v, w = 81 * _K2 + _at(data, 0), (0, 0), (0, 0)

    def block(place: int, factor: int, x: int, y: int, z: int, times: int) -> tuple[int, int, int]:
        nonlocal v, w
        x = _back(x + y + v[0] + _at(data, place + 8), 37) * factor
        y = _back(y + v[1] + _at(data, place + 48), 42) * factor
        x = (x ^ w[1] * times) & _WORD
        y += v[0] * times + _at(data, place + 40)
        z = _back(z + w[0], 33) * factor
        v = _weak(data, place, v[1] * factor, x + w[0])
        w = _weak(data, place + 32, z + w[1], y + _at(data, place + 16))
        return z & _WORD, y & _WORD, x

    end = (n - 1) // 64 * 64
    for place in range(0, end, 64):
        x, y, z = block(place, _K1, x, y, z, 1)
    factor = _K1 + ((z & 0xFF) << 1)
    w = (w[0] + (n - 1) % 64, w[1])
    v = (v[0] + w[0], v[1])
    w = (w[0] + v[0], w[1])
    x, y, z = block(n - 64, factor, x, y, z, 9)
    return _joined(_joined(v[0], w[0], factor) + _mixed(y) * _K0 + z, _joined(v[1], w[1], factor) + x, factor)


_CROSSING = 0xC6A4A7935BD1E995


def crossed(first: int, second: int) -> int:
    """Two fingerprints as one, as features are crossed in TensorFlow, and so in Keras."""
    x = first ^ _CROSSING ^ (_mixed(second * _CROSSING) * _CROSSING & _WORD)
    return _mixed(_mixed(x * _CROSSING) * _CROSSING)
