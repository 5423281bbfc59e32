"""The zip around the members of a model file: stored, 64-byte aligned, the same bytes for the same members.

In go names, sizes and checksums (``layout``) or a file (``scan``); out come the bytes between the members, or the
members found and what is wrong with them. ``archive`` calls both. The zip is laid out here and not by ``zipfile``, whose
headers differ between Python versions and whose reader trusts sizes. There is one right envelope for given
members, so ``scan`` reads the directory, lays it out anew and compares: a changed byte has no place to hide.
Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.3.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

ALIGNMENT = 64  # a cache line, and the widest vector register
MAX_MEMBERS = 16
MAX_DIRECTORY_BYTES = 1 << 16
ZIP64_FROM = 0xFFFFFFFF  # sizes and offsets from here on go into 64-bit fields; this value marks the 32-bit ones

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_PADDING_FIELD = 0xD935  # the id that Android's zipalign uses for the same purpose
_DATE_1980 = 0x21
_ATTRIBUTES = 0o100644 << 16


class Member(NamedTuple):
    """A stored member: ``start`` is where its bytes begin in the file."""

    name: str
    size: int
    crc: int
    start: int = 0


def layout(members: Sequence[Member]) -> tuple[list[tuple[int, bytes]], list[Member]]:
    """The bytes before, between and after the members with their places in the file, and the members with theirs.

    >>> parts, placed = layout([Member("config.json", 2, 0), Member("weights.safetensors", 100, 0)])
    >>> [m.start for m in placed], [place for place, _ in parts]
    ([64, 128], [0, 66, 228])
    """
    parts: list[tuple[int, bytes]] = []
    placed: list[Member] = []
    directory, offset, any_big = b"", 0, False
    for member in members:
        name, size = member.name.encode(), member.size
        big = size >= ZIP64_FROM or offset >= ZIP64_FROM
        any_big |= big
        size32, offset32 = (0xFFFFFFFF, 0xFFFFFFFF) if big else (size, offset)
        common = (45 if big else 20, 0, 0, 0, _DATE_1980, member.crc, size32, size32, len(name))
        extra = struct.pack("<2H2Q", 1, 16, size, size) if big else b""
        padding = -(offset + _LOCAL.size + len(name) + len(extra) + 4) % ALIGNMENT
        extra += struct.pack("<2H", _PADDING_FIELD, padding) + bytes(padding)
        header = _LOCAL.pack(b"PK\3\4", *common, len(extra)) + name + extra
        extra64 = struct.pack("<2H3Q", 1, 24, size, size, offset) if big else b""
        made_by = 3 << 8 | common[0]  # 3: Unix, so that the attributes mean a plain file
        directory += _CENTRAL.pack(b"PK\1\2", made_by, *common, len(extra64), 0, 0, 0, _ATTRIBUTES, offset32)
        directory += name + extra64
        parts.append((offset, header))
        placed.append(member._replace(start=offset + len(header)))
        offset += len(header) + size
    count, length, tail = len(members), len(directory), b""
    if any_big or offset >= ZIP64_FROM:
        tail += _END64.pack(b"PK\6\6", 44, 3 << 8 | 45, 45, 0, 0, count, count, length, offset)
        tail += _LOCATOR.pack(b"PK\6\7", 0, offset + length, 1)
        tail += _END.pack(b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    else:
        tail += _END.pack(b"PK\5\6", 0, 0, count, count, length, offset, 0)
    parts.append((offset, directory + tail))
    return parts, placed


class Scan(NamedTuple):
    """What ``scan`` found; ``exact`` is False when any byte outside the members is not as ``layout`` writes it."""

    members: list[Member]
    problems: list[str]
    exact: bool


def scan(file: BinaryIO) -> Scan:
    """Find the members of a model file without trusting a number in it.

    The members returned lie inside the file and together are no larger than it.
    """
    file_size = file.seek(0, os.SEEK_END)
    problems: list[str] = []
    found = _directory(file, file_size)
    if isinstance(found, str):
        return Scan([], [found], exact=False)
    count, offset, directory = found
    members: list[Member] = []
    at = 0
    for index in range(count):
        entry = _at(_CENTRAL, directory, at, b"PK\1\2")
        if entry is None:
            problems.append(f"the directory of the zip breaks off at entry {index + 1} of {count}")
            break
        _, _, _, flags, method, _, _, crc, packed, size, n_name, n_extra, n_comment, _, _, _, start = entry
        raw_name, at = directory[at + _CENTRAL.size :][:n_name], at + _CENTRAL.size + n_name
        extra, at = directory[at : at + n_extra], at + n_extra + n_comment
        if 0xFFFFFFFF in (packed, size, start) and len(extra) == 28 and extra[:4] == b"\1\0\x18\0":
            size, packed, start = struct.unpack("<3Q", extra[4:])
        name = raw_name.decode("utf-8", "backslashreplace")
        if any(name == other.name for other in members):
            problems.append(f"member {name!r} is there twice")
        elif flags & 1:
            problems.append(f"member {name!r} is encrypted")
        elif method or packed != size:
            problems.append(f"member {name!r} is compressed; members are stored as they are")
        else:
            local = _at(_LOCAL, _read(file, start, _LOCAL.size, file_size), 0, b"PK\3\4")
            begin = start + _LOCAL.size + local[-2] + local[-1] if local else 0
            if local is None:
                problems.append(f"member {name!r} has no header at byte {start}")
            elif begin + size > offset:
                problems.append(f"member {name!r} claims {size} bytes from byte {begin}; the file has {offset - begin}")
            else:
                members.append(Member(name, size, crc, begin))
    if sum(m.size for m in members) > file_size:
        return Scan([], [*problems, "members overlap"], exact=False)
    parts, placed = layout(members)
    end = parts[-1][0] + len(parts[-1][1])
    exact = placed == members and end == file_size
    exact = exact and all(_read(file, place, len(part), file_size) == part for place, part in parts)
    return Scan(members, problems, exact)


def _directory(file: BinaryIO, file_size: int) -> tuple[int, int, bytes] | str:
    """Number of members, offset and bytes of the central directory; or what is wrong."""
    is_zip = _read(file, 0, 4, file_size) == b"PK\3\4"
    tail = file_size - _END.size
    end = _at(_END, _read(file, tail, _END.size, file_size), 0, b"PK\5\6")
    if end is None:
        return "the file is cut off, or has bytes added at its end" if is_zip else "the file is not a zip archive"
    count, length, offset, comment = end[4:]
    if 0xFFFFFFFF in (length, offset) or count == 0xFFFF:
        tail -= _LOCATOR.size + _END64.size
        end64 = _at(_END64, _read(file, tail, _END64.size, file_size), 0, b"PK\6\6")
        if end64 is None:
            return "the 64-bit end record of the zip is missing"
        count, length, offset = end64[-3:]
    if comment:
        return "the zip carries a comment"
    if count > MAX_MEMBERS or length > MAX_DIRECTORY_BYTES:
        return f"the zip claims {count} members in {length} bytes; at most {MAX_MEMBERS} in {MAX_DIRECTORY_BYTES}"
    if offset + length != tail:
        return f"the directory of the zip claims bytes {offset} to {offset + length}; it ends at byte {tail}"
    return count, offset, _read(file, offset, length, file_size)


def _at(record: struct.Struct, data: bytes, at: int, signature: bytes) -> tuple[int, ...] | None:
    """The record at ``at`` in ``data``, or None when it is cut off or starts with another signature."""
    if at + record.size > len(data) or data[at : at + 4] != signature:
        return None
    return record.unpack_from(data, at)


def _read(file: BinaryIO, start: int, size: int, file_size: int) -> bytes:
    if not 0 <= start <= start + size <= file_size:
        return b""
    file.seek(start)
    return file.read(size)
