"""Named tensors as the bytes of a safetensors file, each tensor on a 64-byte boundary, and back without a copy.

``archive`` calls ``encode`` to write and ``decode`` to read. The safetensors library neither aligns tensors nor allows
gaps between them, so the header is written here and gaps are filled by uint8 tensors named ``__padding__/<number>``;
any safetensors reader loads the result. ``decode`` believes nothing: every number of the header is checked against the
bytes that are there before a tensor is made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from layerkit.dtypes import canonical, numpy_dtype
from layerkit.errors import ArgumentError
from layerkit.saving import documents
from layerkit.saving.container import ALIGNMENT

MAX_HEADER_BYTES = 1 << 24
MAX_TENSORS = 200_000
MAX_NAME = 1024
MAX_RANK = 32
PADDING = "__padding__/"

CODES = {
    "bool": "BOOL",
    "uint8": "U8",
    "uint16": "U16",
    "uint32": "U32",
    "uint64": "U64",
    "int8": "I8",
    "int16": "I16",
    "int32": "I32",
    "int64": "I64",
    "bfloat16": "BF16",
    "float16": "F16",
    "float32": "F32",
    "float64": "F64",
}
NAMES = {code: name for name, code in CODES.items()}

Chunk = bytes | memoryview


def encode(tensors: Mapping[str, np.ndarray[Any, Any]]) -> list[Chunk]:
    """The bytes of ``tensors`` in the order of their names; arrays that are contiguous are not copied.

    Raises:
        ArgumentError: a name that cannot be stored, or a value that is not an array.
        DTypeError: an array of objects, text or another dtype that tensors do not have.

    >>> chunks = encode({"bias": np.zeros(3, "float32"), "kernel": np.ones((2, 3), "float32")})
    >>> [len(chunk) for chunk in chunks]
    [256, 12, 52, 24]
    """
    header: dict[str, dict[str, Any]] = {}
    chunks: list[Chunk] = []
    end = 0
    for name in sorted(tensors, key=_checked_name):
        array = tensors[name]
        if not isinstance(array, (np.ndarray, np.generic)):
            raise ArgumentError(f"Tensor {name!r} is not an array.", expected="a NumPy array", got=type(array).__name__)
        dtype = canonical(array.dtype)
        if array.ndim > MAX_RANK:
            raise ArgumentError(f"Tensor {name!r} has too many axes.", expected=f"at most {MAX_RANK}", got=array.ndim)
        if padding := -end % ALIGNMENT:
            header[f"{PADDING}{len(chunks)}"] = _entry("uint8", (padding,), end, padding)
            chunks.append(bytes(padding))
            end += padding
        header[name] = _entry(dtype, array.shape, end, array.nbytes)
        little = np.asarray(array, numpy_dtype(dtype).newbyteorder("<"), order="C")
        chunks.append(little.reshape(-1).view(np.uint8).data)
        end += array.nbytes
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    if len(text) > MAX_HEADER_BYTES or len(tensors) > MAX_TENSORS:
        raise ArgumentError(
            "There are too many tensors, or their names are too long.",
            expected=f"at most {MAX_TENSORS} tensors, {MAX_HEADER_BYTES} bytes of header",
            got=f"{len(tensors)} tensors, {len(text)} bytes",
        )
    return [len(text).to_bytes(8, "little") + text, *chunks]


def decode(data: np.ndarray[Any, Any]) -> tuple[dict[str, np.ndarray[Any, Any]], list[str]]:
    """The tensors in ``data`` (uint8, rank 1) as views of it, and what is wrong with those that are missing.

    >>> tensors, problems = decode(np.frombuffer(b"".join(encode({"bias": np.zeros(3, "float32")})), np.uint8))
    >>> tensors["bias"], problems
    (array([0., 0., 0.], dtype=float32), [])
    """
    length = int.from_bytes(data[:8].tobytes(), "little")
    if data.size < 8 or length > min(data.size - 8, MAX_HEADER_BYTES):
        room = min(max(data.size - 8, 0), MAX_HEADER_BYTES)
        return {}, [f"the tensor header claims {length} bytes, at most {room} are possible"]
    header, problems = documents.decode(data[8 : 8 + length].tobytes().rstrip(b" "), max_bytes=MAX_HEADER_BYTES)
    if problems:
        return {}, [f"tensor header: {problem}" for problem in problems]
    header.pop("__metadata__", None)
    if len(header) > 2 * MAX_TENSORS:
        return {}, [f"the tensor header names {len(header)} tensors, at most {2 * MAX_TENSORS} are possible"]
    body = data[8 + length :]
    tensors: dict[str, np.ndarray[Any, Any]] = {}
    ranges: list[tuple[int, int, str]] = []
    for name, entry in header.items():
        problem = _fault(name, entry, body.size)
        if problem is None:
            begin, end = entry["data_offsets"]
            ranges.append((begin, end, name))
            if name.startswith(PADDING):
                continue
            if entry["dtype"] == "BOOL" and (body[begin:end] > 1).any():
                problem = "has a byte that is neither 0 nor 1 and is not a bool"
            else:
                dtype = numpy_dtype(NAMES[entry["dtype"]]).newbyteorder("<")
                tensors[name] = np.ndarray(tuple(entry["shape"]), dtype, body, begin)
        if problem is not None:
            problems.append(f"tensor {name!r} {problem}")
    return tensors, problems if problems else list(_gaps(sorted(ranges), body.size))


def _entry(dtype: str, shape: tuple[int, ...], begin: int, size: int) -> dict[str, Any]:
    return {"dtype": CODES[dtype], "shape": list(shape), "data_offsets": [begin, begin + size]}


def _checked_name(name: object) -> str:
    """``name``, if a file can hold it."""
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        raise ArgumentError(
            "A tensor needs a name.", expected=f"text of 1 to {MAX_NAME} characters", got=repr(name)[:80]
        )
    if name == "__metadata__" or name.startswith(PADDING):
        raise ArgumentError(f"The tensor name {name!r} is used by the file format.", fix="choose another name")
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ArgumentError(f"The tensor name {name!r} is not valid Unicode.", got=str(error)) from error
    return name


def _fault(name: str, entry: object, room: int) -> str | None:
    """What is wrong with the header's ``entry`` for a tensor, given ``room`` bytes of data."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        return "is not described by dtype, shape and data_offsets alone"
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not 0 < len(name) <= MAX_NAME:
        return f"has a name of {len(name)} characters, 1 to {MAX_NAME} are possible"
    if not isinstance(dtype, str) or dtype not in NAMES:
        return f"has the unknown dtype {str(dtype)[:80]!r}"
    if not _sizes(shape) or len(shape) > MAX_RANK:
        return "has a shape that is not a short list of sizes"
    if not _sizes(offsets) or len(offsets) != 2:
        return "has data_offsets that are not two places"
    begin, end = offsets
    if not begin <= end <= room:
        return f"claims bytes {begin} to {end} of {room}"
    size = extent = numpy_dtype(NAMES[dtype]).itemsize
    for n in shape:
        size *= n
        extent *= max(n, 1)  # NumPy refuses (0, 2**62, 2**62), though it is empty
    if extent >= 2**63 or size != end - begin:
        return f"of dtype {NAMES[dtype]} and shape {tuple(shape)} claims {end - begin} bytes"
    if begin % ALIGNMENT and not name.startswith(PADDING):
        return f"starts at byte {begin}, which is no multiple of {ALIGNMENT}"
    return None


def _sizes(value: object) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 2**63 for n in value)


def _gaps(ranges: list[tuple[int, int, str]], room: int) -> Iterator[str]:
    """Tensors that overlap, and bytes that belong to none."""
    end = 0
    for begin, stop, name in [*ranges, (room, room, "")]:
        if begin < end:
            yield f"tensor {name!r} overlaps the one before it by {end - begin} bytes"
        elif begin > end:
            yield f"bytes {end} to {begin} of the tensor data belong to no tensor"
        end = max(end, stop)
