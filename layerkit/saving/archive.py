"""The native model file (``.lk``): what it holds, how it is written at once or not at all, and how it is read.

In go documents and named tensors, out comes a file, and back; models call it and decide what they mean. The file is a zip
of stored members, which any zip tool and any safetensors reader opens:

    manifest.json          format version, library version, sha256 and size of each other member, signature
    config.json            a document
    preprocessing.json     a document, when given
    weights.safetensors    named tensors
    state.safetensors      named tensors, when given

Equal content gives equal bytes. Reading refuses a file that differs in a single byte from what ``write`` made, says
everything that is wrong with it at once, and allocates no more than the bytes that are really there.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import stat
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from layerkit.dtypes import canonical
from layerkit.errors import ArgumentError, FileFormatError, LayerkitError, did_you_mean, nearest
from layerkit.records import dataclass
from layerkit.saving import container, documents, tensors
from layerkit.saving.container import ALIGNMENT, Member

FORMAT = "layerkit"
FORMAT_VERSION = 1

MANIFEST, CONFIG, PREPROCESSING = "manifest.json", "config.json", "preprocessing.json"
WEIGHTS, STATE = "weights.safetensors", "state.safetensors"
REQUIRED, OPTIONAL = (MANIFEST, CONFIG, WEIGHTS), (PREPROCESSING, STATE)

Arrays = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Contents:
    """What a model file holds; ``manifest["signature"]`` is the signature that was written."""

    config: dict[str, Any]
    weights: Arrays
    state: Arrays | None
    preprocessing: dict[str, Any] | None
    manifest: dict[str, Any]


def write(
    path: str | os.PathLike[str],
    *,
    config: dict[str, Any],
    weights: Mapping[str, np.ndarray[Any, Any]],
    state: Mapping[str, np.ndarray[Any, Any]] | None = None,
    preprocessing: dict[str, Any] | None = None,
    signature: dict[str, Any] | None = None,
) -> None:
    """Write a model file; whatever happens meanwhile, ``path`` holds either the old file or the whole new one.

    Args:
        path: the file; its folder has to exist.
        config: a document of plain values (dict, list, str, int, finite float, bool, None); tuples become lists.
        weights: arrays of any shape and any dtype of ``layerkit.dtypes``, by name.
        state: further arrays, or None for no such member.
        preprocessing: a further document, or None for no such member.
        signature: a small document kept in the manifest.

    Raises:
        ArgumentError: a value that cannot be stored.
        DTypeError: an array of objects or text.
        LayerkitError: the file cannot be written there.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(f"{folder}/model.lk", config={"units": 3}, weights={"dense/bias": np.zeros(3, "float32")})
    ...     read(f"{folder}/model.lk").weights
    {'dense/bias': array([0., 0., 0.], dtype=float32)}
    """
    members: dict[str, list[tensors.Chunk]] = {CONFIG: [documents.encode(config, "config")]}
    if preprocessing is not None:
        members[PREPROCESSING] = [documents.encode(preprocessing, "preprocessing")]
    members[WEIGHTS] = tensors.encode(weights)
    if state is not None:
        members[STATE] = tensors.encode(state)
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "layerkit_version": _library_version(),
        "members": {name: {"sha256": _sha256(chunks), "size": _size(chunks)} for name, chunks in members.items()},
        "signature": signature,
    }
    members = {MANIFEST: [documents.encode(manifest, "manifest")], **members}
    parts, _ = container.layout([Member(name, _size(chunks), _crc32(chunks)) for name, chunks in members.items()])
    chunks: list[tensors.Chunk] = []
    for (_, header), data in zip(parts, [*members.values(), []], strict=True):
        chunks += [header, *data]
    write_whole(path, chunks)


def read(path: str | os.PathLike[str], *, verify: Literal["always", "lazy"] = "always") -> Contents:
    """Read a model file, after checking all that it says about itself.

    Args:
        path: the file.
        verify: "always" checks the hash of every member and gives arrays that are in memory and may be changed; "lazy"
            maps the tensors into memory, read-only and without their hash, so that only what is used is read. The file
            must then not be changed in place; ``write`` never does that.

    Raises:
        FileFormatError: the file is broken; ``problems`` lists everything found.
        LayerkitError: there is no such file, or it cannot be read.
    """
    if verify not in ("always", "lazy"):
        fix = did_you_mean(str(verify), ("always", "lazy"))
        raise ArgumentError("No such way to verify a file.", expected="'always' or 'lazy'", got=repr(verify), fix=fix)
    path = Path(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ArgumentError(f"{str(path)!r} is not a file.", expected="a model file", fix="give the path of a file")
        with path.open("rb") as file:
            return _Reader(path, file, lazy=verify == "lazy").contents()
    except FileNotFoundError as error:
        near = nearest(path.name, (p.name for p in path.parent.iterdir())) if path.parent.is_dir() else None
        fix = f"did you mean {near!r}?" if near else "check the path"
        raise LayerkitError(f"There is no file {str(path)!r}.", fix=fix) from error
    except OSError as error:
        fix = "check that you may read the file"
        raise LayerkitError(f"{str(path)!r} cannot be read.", got=str(error), fix=fix) from error


def check(expected: Mapping[str, tuple[str, tuple[int, ...]]], found: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Compare the tensors of a file with those that a model has.

    Args:
        expected: dtype and shape by name.
        found: arrays by name.

    Raises:
        FileFormatError: ``problems`` lists every tensor that is missing, not expected, or of another shape or dtype.

    >>> check({"dense/bias": ("float32", (3,))}, {"dense/bias": np.zeros(3, "float32")})
    """
    missing, unexpected = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    problems: list[str] = []
    for name in missing:
        near = nearest(name, unexpected)
        problems.append(f"tensor {name!r} is missing" + (f"; the file has {near!r}" if near else ""))
    for name in unexpected:
        near = nearest(name, missing)
        problems.append(f"tensor {name!r} is not expected" + (f"; did you mean {near!r}?" if near else ""))
    for name in sorted(expected.keys() & found.keys()):
        (dtype, shape), array = expected[name], found[name]
        if tuple(shape) != array.shape:
            problems.append(f"tensor {name!r} has shape {array.shape}, expected {tuple(shape)}")
        if canonical(dtype) != canonical(array.dtype):
            problems.append(f"tensor {name!r} has dtype {canonical(array.dtype)}, expected {canonical(dtype)}")
    if problems:
        raise FileFormatError(
            "The tensors of the file are not those of the model.",
            problems=problems,
            expected=f"{len(expected)} tensors",
            got=f"{len(found)} tensors",
            fix="load the file into the model that it was saved from",
        )


class _Reader:
    """One reading of one file; faults are collected in ``problems`` and raised together."""

    def __init__(self, path: Path, file: BinaryIO, *, lazy: bool) -> None:
        self.path, self.file, self.lazy = path, file, lazy
        scan = container.scan(file)
        self.problems, self.exact = scan.problems, scan.exact
        self.members = {member.name: member for member in scan.members}
        self.hashes: dict[str, str] = {}

    def contents(self) -> Contents:
        manifest = self._manifest()
        config, preprocessing = self._document(CONFIG), self._document(PREPROCESSING)
        weights, state = self._tensors(WEIGHTS), self._tensors(STATE)
        if not self.problems and not self.exact:
            self.problems.append("bytes between the members are not as layerkit writes them")
        if self.problems:
            raise FileFormatError(
                f"{str(self.path)!r} is not a whole model file.",
                problems=self.problems,
                expected=f"a layerkit model file of format {FORMAT_VERSION}",
                got=f"{len(self.problems)} problem{'s' * (len(self.problems) != 1)}",
                fix="fetch or save the file again",
            )
        return Contents(config or {}, weights or {}, state, preprocessing, manifest)

    def _manifest(self) -> dict[str, Any]:
        """The manifest, after comparing it with the members that are there."""
        member = self.members.get(MANIFEST)
        manifest: dict[str, Any] = {}
        if member is not None:
            data = self._bytes(member).tobytes() if member.size <= documents.MAX_BYTES else b""
            if zlib.crc32(data) != member.crc:
                self.problems.append(f"{MANIFEST} does not match its checksum")
            else:
                manifest, faults = documents.decode(data)
                self.problems += [f"{MANIFEST}: {fault}" for fault in faults]
        self._refuse_newer(manifest)
        for name in REQUIRED:
            if name not in self.members and not any(repr(name) in problem for problem in self.problems):
                self.problems.append(f"member {name!r} is missing")
        for name in self.members:
            if name not in REQUIRED + OPTIONAL:
                self.problems.append(f"member {name!r} does not belong here")
        if manifest:
            self._compare(manifest)
        return manifest

    def _refuse_newer(self, manifest: dict[str, Any]) -> None:
        version = manifest.get("format_version")
        if manifest.get("format") == FORMAT and type(version) is int and version > FORMAT_VERSION:
            problem = f"the file has format version {version}, this layerkit reads up to {FORMAT_VERSION}"
            raise FileFormatError(
                f"{str(self.path)!r} was written by a newer layerkit.",
                problems=[problem],
                expected=f"format version {FORMAT_VERSION}",
                got=f"format version {version}",
                fix="upgrade: pip install --upgrade layerkit",
            )

    def _compare(self, manifest: dict[str, Any]) -> None:
        """Check the manifest's own form, and the names and sizes that it lists; keep the hashes for later."""
        keys = {"format", "format_version", "layerkit_version", "members", "signature"}
        if set(manifest) != keys or manifest["format"] != FORMAT or type(manifest["format_version"]) is not int:
            self.problems.append(f"{MANIFEST} does not describe a layerkit model file")
            return
        if manifest["format_version"] != FORMAT_VERSION:
            self.problems.append(f"{MANIFEST} has the unknown format version {manifest['format_version']}")
        signature, listed = manifest["signature"], manifest["members"]
        if not isinstance(manifest["layerkit_version"], str) or not isinstance(signature, dict | None):
            self.problems.append(f"{MANIFEST} has a version or signature of the wrong kind")
        if not isinstance(listed, dict) or not all(_is_listing(entry) for entry in listed.values()):
            self.problems.append(f"{MANIFEST} does not list sha256 and size of each member")
            return
        for name in sorted(listed.keys() | self.members.keys() - {MANIFEST}):
            if name not in listed:
                self.problems.append(f"member {name!r} is not in the manifest")
            elif name not in self.members:
                if not any(repr(name) in problem for problem in self.problems):
                    self.problems.append(f"member {name!r} is missing")
            elif listed[name]["size"] != self.members[name].size:
                expected, got = listed[name]["size"], self.members[name].size
                self.problems.append(f"member {name!r} has {got} bytes, the manifest says {expected}")
            else:
                self.hashes[name] = listed[name]["sha256"]

    def _document(self, name: str) -> dict[str, Any] | None:
        data = self._verified(name)
        if data is None:
            return None
        document, faults = documents.decode(data.tobytes())
        self.problems += [f"{name}: {fault}" for fault in faults]
        return document

    def _tensors(self, name: str) -> Arrays | None:
        data = self._verified(name, unless=self.lazy)
        if data is None:
            return None
        arrays, faults = tensors.decode(data)
        self.problems += [f"{name}: {fault}" for fault in faults]
        return arrays

    def _verified(self, name: str, *, unless: bool = False) -> np.ndarray[Any, Any] | None:
        """The bytes of a member whose size fits the manifest, and whose hash does so too."""
        if name not in self.hashes or (name.endswith(".json") and self.members[name].size > documents.MAX_BYTES):
            if name in self.hashes:
                self.problems.append(f"{name} is larger than {documents.MAX_BYTES} bytes")
            return None
        data = self._bytes(self.members[name], mapped=unless)
        if not unless and hashlib.sha256(data.data).hexdigest() != self.hashes[name]:
            self.problems.append(f"member {name!r} does not match its hash")
            return None
        return data

    def _bytes(self, member: Member, *, mapped: bool = False) -> np.ndarray[Any, Any]:
        """The bytes of a member that ``scan`` found inside the file: uint8, rank 1, aligned."""
        if mapped:
            whole = mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_READ)
            return np.frombuffer(whole, np.uint8, member.size, member.start)
        buffer = np.empty(member.size + ALIGNMENT, np.uint8)
        skip = -buffer.ctypes.data % ALIGNMENT
        data = buffer[skip : skip + member.size]
        self.file.seek(member.start)
        if self.file.readinto(data.data) != member.size:  # type: ignore[attr-defined]
            raise FileFormatError(
                f"{str(self.path)!r} became shorter while it was read.",
                problems=[f"member {member.name!r} is cut off"],
                fix="read it again when nobody writes it",
            )
        return data


TEMPORARY = ".layerkit-*.tmp"
"""Names of files that are being written; what is left of one was written by a process that was killed."""


def chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a file in parts, for ``write_whole``: a copy of any size takes little memory."""
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            yield part


def write_whole(path: str | os.PathLike[str], chunks: Iterable[tensors.Chunk]) -> None:
    """Write ``chunks`` to a file, which holds either what it held or all of them, whatever happens meanwhile.

    They are written under a temporary name in the same folder, forced to disk, and given their name.

    Raises:
        LayerkitError: the file cannot be written there.
    """
    path = Path(os.path.realpath(path))
    if path.is_dir() or (path.exists() and not path.is_file()):
        fix = f"give a file name, such as {str(path / 'model.lk')!r}"
        raise ArgumentError(f"{str(path)!r} is not a file.", expected="the path of a file", got="a folder", fix=fix)
    temporary = path.with_name(f".layerkit-{os.urandom(8).hex()}.tmp")  # short: names have at most 255 bytes
    ours = False
    try:
        try:
            with temporary.open("xb") as file:
                ours = True
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            with suppress(OSError):  # a file that others could read stays so
                temporary.chmod(stat.S_IMODE(path.stat().st_mode))
            os.replace(temporary, path)
        except BaseException:  # also Ctrl-C: no half-written files are left behind
            if ours:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        where = "the folder does not exist" if not path.parent.is_dir() else str(error)
        fix = f"check that the folder {str(path.parent)!r} exists, may be written to, and has room"
        raise LayerkitError(f"{str(path)!r} cannot be written.", got=where, fix=fix) from error
    with suppress(OSError):  # best effort: not every system lets one open a folder
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _is_listing(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and set(entry) == {"sha256", "size"}
        and isinstance(entry["sha256"], str)
        and type(entry["size"]) is int
    )


def _library_version() -> str:
    from importlib import metadata  # which loads much that nothing else needs

    try:
        return metadata.version("layerkit")
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return "0+unknown"


def _size(chunks: Iterable[tensors.Chunk]) -> int:
    return sum(len(chunk) for chunk in chunks)


def _sha256(chunks: Iterable[tensors.Chunk]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _crc32(chunks: Iterable[tensors.Chunk]) -> int:
    crc = 0
    for chunk in chunks:
        crc = zlib.crc32(chunk, crc)
    return crc
