"""The model file against outside oracles: ``zipfile`` and ``safetensors`` read it, and damage of any kind is refused."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from layerkit.dtypes import SHORT, canonical, numpy_dtype
from layerkit.errors import ArgumentError, DTypeError, FileFormatError, LayerkitError
from layerkit.saving import Contents, check, container, documents, read, tensors, write
from layerkit.saving.archive import CONFIG, MANIFEST, PREPROCESSING, STATE, WEIGHTS

Arrays = dict[str, np.ndarray[Any, Any]]


def example() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "config": {"layers": [{"Dense": {"units": 5, "activation": None}}], "name": "größe"},
        "weights": {"dense/kernel": rng.normal(size=(3, 5)).astype("f4"), "dense/bias": np.arange(5, dtype="f4")},
        "state": {"step": np.array(7, "i8"), "empty": np.zeros((0, 4), "f8"), "on": np.array([True, False])},
        "preprocessing": {"vocabulary": ["a", "b"]},
        "signature": {"inputs": [[None, 3]]},
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write(tmp_path / "model.lk", **example())
    return tmp_path / "model.lk"


def same(a: Arrays | None, b: Arrays | None) -> bool:
    """Equal names, dtypes, shapes and bits."""
    if a is None or b is None:
        return a is b
    facts = [{k: (canonical(v.dtype), v.shape, v.tobytes()) for k, v in x.items()} for x in (a, b)]
    return facts[0] == facts[1]


def problems(path: Path, verify: Any = "always") -> tuple[str, ...]:
    with pytest.raises(FileFormatError) as caught:
        read(path, verify=verify)
    assert caught.value.problems
    assert caught.value.fix
    return caught.value.problems


def rebuild(path: Path, members: list[tuple[str, bytes]]) -> None:
    """A file with the right envelope around the given members."""
    parts, _ = container.layout([container.Member(name, len(data), zlib.crc32(data)) for name, data in members])
    path.write_bytes(b"".join(part + data for (_, part), (_, data) in zip(parts, [*members, ("", b"")], strict=True)))


def forge(path: Path, **changes: bytes | None) -> None:
    """Replace members (None drops one) and make hashes, sizes and checksums fit, as a forger would."""
    with zipfile.ZipFile(path) as z:
        members = {name: z.read(name) for name in z.namelist()}
    manifest = json.loads(members.pop(MANIFEST))
    names = {"config": CONFIG, "weights": WEIGHTS, "state": STATE, "preprocessing": PREPROCESSING}
    for key, data in changes.items():
        if data is None:
            del members[names[key]], manifest["members"][names[key]]
        else:
            members[names[key]] = data
            manifest["members"][names[key]] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    rebuild(path, [(MANIFEST, json.dumps(manifest).encode()), *members.items()])


def edit_manifest(path: Path, **changes: Any) -> None:
    with zipfile.ZipFile(path) as z:
        members = {name: z.read(name) for name in z.namelist()}
    members[MANIFEST] = json.dumps(json.loads(members[MANIFEST]) | changes).encode()
    rebuild(path, list(members.items()))


def blob(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % 64)
    return len(text).to_bytes(8, "little") + text + data


# What goes in comes out


@pytest.mark.parametrize("verify", ["always", "lazy"])
def test_round_trip(file: Path, verify: Any) -> None:
    want, got = example(), read(file, verify=verify)
    assert isinstance(got, Contents)
    assert (got.config, got.preprocessing) == (want["config"], want["preprocessing"])
    assert same(got.weights, want["weights"])
    assert same(got.state, want["state"])
    assert got.manifest["signature"] == want["signature"]
    assert got.manifest["format_version"] == 1


def test_absent_is_not_empty(tmp_path: Path) -> None:
    write(tmp_path / "a.lk", config={}, weights={})
    write(tmp_path / "b.lk", config={}, weights={}, state={}, preprocessing={})
    a, b = read(tmp_path / "a.lk"), read(tmp_path / "b.lk")
    assert (a.weights, a.state, a.preprocessing) == ({}, None, None)
    assert (b.weights, b.state, b.preprocessing) == ({}, {}, {})


arrays = st.sampled_from([d for d in SHORT if d != "bfloat16"]).flatmap(
    lambda d: hnp.arrays(np.dtype(d), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=60)
@given(
    config=st.dictionaries(names, plain, max_size=4),
    weights=st.dictionaries(names, arrays, max_size=5),
    state=st.none() | st.dictionaries(names, arrays, max_size=3),
)
def test_any_content_round_trips(tmp_path: Path, config: dict[str, Any], weights: Arrays, state: Arrays | None) -> None:
    write(tmp_path / "x.lk", config=config, weights=weights, state=state)
    for verify in ("always", "lazy"):
        got = read(tmp_path / "x.lk", verify=verify)
        assert got.config == config
        assert same(got.weights, weights)
        assert same(got.state, state)
    with zipfile.ZipFile(tmp_path / "x.lk") as z:  # two independent readers agree
        theirs = safetensors.numpy.load(z.read(WEIGHTS))
    assert same({k: v for k, v in theirs.items() if not k.startswith(tensors.PADDING)}, weights)


def test_bfloat16_and_foreign_memory_orders(tmp_path: Path) -> None:
    base = np.arange(12, dtype="f4").reshape(3, 4)
    given_ = {"b": base.astype(numpy_dtype("bfloat16")), "big": base.astype(">f4"), "t": base.T, "step": base[:, ::2]}
    write(tmp_path / "x.lk", config={}, weights=given_)
    got = read(tmp_path / "x.lk").weights
    assert got["b"].dtype == numpy_dtype("bfloat16")
    for name, array in given_.items():
        np.testing.assert_array_equal(got[name].astype("f4"), array.astype("f4"))


def test_memory_and_access(file: Path) -> None:
    loaded, mapped = read(file).weights["dense/kernel"], read(file, verify="lazy").weights["dense/kernel"]
    loaded[0, 0] = 3.0
    assert not mapped.flags.writeable
    assert loaded.ctypes.data % 64 == mapped.ctypes.data % 64 == 0


# The bytes of the file


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    want = example()
    write(tmp_path / "a.lk", **want)
    write(tmp_path / "b.lk", **{**want, "weights": dict(reversed(want["weights"].items()))})
    assert (tmp_path / "a.lk").read_bytes() == (tmp_path / "b.lk").read_bytes()


def test_keys_of_documents_keep_their_order(tmp_path: Path) -> None:
    config = {"z": 1, "a": {"y": 2, "b": 3}}
    write(tmp_path / "a.lk", config=config, weights={})
    found = read(tmp_path / "a.lk").config
    assert (list(found), list(found["a"])) == (["z", "a"], ["y", "b"])


def test_every_tensor_is_aligned_in_the_file(tmp_path: Path) -> None:
    want = {f"w{i}": np.full(i, i, "u1") for i in range(70)}
    write(tmp_path / "x.lk", config={}, weights=want)
    data = (tmp_path / "x.lk").read_bytes()
    with zipfile.ZipFile(tmp_path / "x.lk") as z:
        info = z.getinfo(WEIGHTS)
        name_size, extra_size = struct.unpack("<2H", data[info.header_offset + 26 :][:4])
    start = info.header_offset + 30 + name_size + extra_size
    size = int.from_bytes(data[start : start + 8], "little")
    header = json.loads(data[start + 8 : start + 8 + size])
    for name, array in want.items():
        begin, end = (start + 8 + size + o for o in header[name]["data_offsets"])
        assert begin % 64 == 0
        assert data[begin:end] == array.tobytes()


def test_other_zip_readers_find_nothing_wrong(file: Path) -> None:
    with zipfile.ZipFile(file) as z:
        assert z.testzip() is None
        assert z.namelist() == [MANIFEST, CONFIG, PREPROCESSING, WEIGHTS, STATE]
        assert all(i.compress_type == zipfile.ZIP_STORED and i.date_time == (1980, 1, 1, 0, 0, 0) for i in z.infolist())
        listed = json.loads(z.read(MANIFEST))["members"]
        for name, entry in listed.items():
            assert entry == {"sha256": hashlib.sha256(z.read(name)).hexdigest(), "size": len(z.read(name))}


def test_sizes_beyond_32_bits(tmp_path: Path) -> None:
    size = 5 << 30  # a sparse file: it takes no room on disk
    members = [container.Member("a", size, 0), container.Member("b", 3, zlib.crc32(b"xyz"))]
    parts, placed = container.layout(members)
    with (tmp_path / "big.zip").open("wb") as f:
        for place, part in parts:
            f.seek(place)
            f.write(part)
        f.seek(placed[1].start)
        f.write(b"xyz")
    with (tmp_path / "big.zip").open("rb") as f:
        scan = container.scan(f)
    assert scan == (placed, [], True)
    with zipfile.ZipFile(tmp_path / "big.zip") as z:
        assert [i.file_size for i in z.infolist()] == [size, 3]
        assert z.read("b") == b"xyz"


# Damage


def test_truncation_anywhere_is_refused(file: Path) -> None:
    whole = file.read_bytes()
    for n in sorted({*range(0, len(whole), 41), len(whole) - 1}):
        file.write_bytes(whole[:n])
        assert problems(file)
        assert problems(file, "lazy")


def test_every_flipped_byte_is_refused(file: Path) -> None:
    whole = file.read_bytes()
    for at in range(0, len(whole), 3):
        broken = bytearray(whole)
        broken[at] ^= 1 << at % 8
        file.write_bytes(broken)
        assert problems(file)


def test_lazy_reading_refuses_a_flip_or_shows_it_in_tensors_alone(file: Path) -> None:
    whole, want = file.read_bytes(), example()
    for at in range(0, len(whole), 7):
        broken = bytearray(whole)
        broken[at] ^= 1 << at % 8
        file.write_bytes(broken)
        try:
            got = read(file, verify="lazy")
        except FileFormatError:
            continue
        assert (got.config, got.preprocessing) == (want["config"], want["preprocessing"])
    file.write_bytes(whole)
    assert read(file, verify="lazy").config == want["config"]


@settings(max_examples=150)
@given(
    data=st.data(), cut=st.integers(0, 4000), insert=st.binary(max_size=40), verify=st.sampled_from(["always", "lazy"])
)
def test_any_bytes_end_in_the_content_or_a_format_error(
    tmp_path: Path, data: st.DataObject, cut: int, insert: bytes, verify: Any
) -> None:
    path = tmp_path / "fuzz.lk"
    write(path, **example())
    whole = path.read_bytes()
    cut = min(cut, len(whole))
    skip = data.draw(st.integers(0, min(60, len(whole) - cut)))
    path.write_bytes(whole[:cut] + insert + whole[cut + skip :])
    changed = path.read_bytes() != whole
    try:
        got = read(path, verify=verify)
    except FileFormatError as error:
        assert changed
        assert error.problems  # noqa: PT017  (both outcomes are right, each with its own conditions)
    else:
        assert got.config == example()["config"]
        assert not changed or verify == "lazy"


@pytest.mark.parametrize("junk", [b"", b"PK", b"hello" * 100, b"PK\5\6" + bytes(18), b"\x89HDF\r\n\x1a\n" + bytes(99)])
def test_other_files_are_refused(tmp_path: Path, junk: bytes) -> None:
    (tmp_path / "x.lk").write_bytes(junk)
    assert problems(tmp_path / "x.lk")


def test_members_that_should_not_be_so(file: Path) -> None:
    with zipfile.ZipFile(file) as z:
        members = [(name, z.read(name)) for name in z.namelist()]

    rebuild(file, [*members, ("../../etc/passwd", b"x"), ("/abs", b"y")])
    found = "\n".join(problems(file))
    assert "'../../etc/passwd' does not belong" in found
    assert "'/abs' does not belong" in found

    rebuild(file, [*members, members[1]])
    assert any("'config.json' is there twice" in p for p in problems(file))

    rebuild(file, [m for m in members if m[0] not in (CONFIG, WEIGHTS)])
    assert {f"member {n!r} is missing" for n in (CONFIG, WEIGHTS)} <= set(problems(file))

    rebuild(file, [m for m in members if m[0] != STATE])
    assert problems(file) == ("member 'state.safetensors' is missing",)

    rebuild(file, [(n, d + b" " if n == CONFIG else d) for n, d in members])
    assert any("'config.json' has" in p for p in problems(file))

    rebuild(file, [(n, d[:-1] + b"\x01" if n in (WEIGHTS, STATE) else d) for n, d in members])
    assert {f"member {n!r} does not match its hash" for n in (WEIGHTS, STATE)} == set(problems(file))


def test_compressed_members_are_named(file: Path) -> None:
    with zipfile.ZipFile(file) as z:
        members = [(name, z.read(name)) for name in z.namelist()]
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in members:
            z.writestr(name, data)
    found = problems(file)
    assert [p for p in found if "is compressed" in p] == list(found)
    assert len(found) == len(members)


def test_newer_format_says_upgrade(file: Path) -> None:
    edit_manifest(file, format_version=2, something_new=1)
    with pytest.raises(FileFormatError) as caught:
        read(file)
    assert "upgrade" in str(caught.value.fix)
    assert (caught.value.expected, caught.value.got) == ("format version 1", "format version 2")


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"format_version": 0},
        {"format_version": "1"},
        {"format_version": True},
        {"members": []},
        {"members": {CONFIG: {"sha256": 1, "size": 2}}},
        {"members": {}},
        {"signature": [1]},
        {"layerkit_version": None},
        {"more": 1},
    ],
    ids=str,
)
def test_manifests_that_lie(file: Path, change: dict[str, Any]) -> None:
    edit_manifest(file, **change)
    assert problems(file)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b'{"a": 1, "a": 2}', "'a' is there twice"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "deeper than 200"),
        (b'{"a": "\\ud800"}', "surrogates"),
        (b'{"a": "\xff"}', "utf-8"),
        (b'{"a": ' + b"9" * 5000 + b"}", "digits"),
        (b"[1]", "not an object"),
        (b"{", "Expecting"),
        (b"", "Expecting"),
        (b'"' + b'\\"' * 200_000, "Unterminated"),
    ],
    ids=lambda v: str(v)[:24],
)
def test_json_that_is_refused(file: Path, text: bytes, problem: str) -> None:
    forge(file, config=text)
    assert any(p.startswith(f"{CONFIG}: ") and problem in p for p in problems(file))


def test_json_size_is_limited(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_BYTES", 10_000)
    forge(file, config=b'{"a": "' + b"x" * 10_000 + b'"}')
    assert problems(file) == ("config.json is larger than 10000 bytes",)


def entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize("verify", ["always", "lazy"])
@pytest.mark.parametrize(
    ("header", "data", "problem"),
    [
        ({"w": entry(shape=[1 << 40], offsets=[0, 1 << 42])}, bytes(8), "claims bytes 0 to"),
        ({"w": entry(shape=[1 << 40])}, bytes(8), "claims 8 bytes"),
        ({"w": entry(shape=[1 << 62] * 32)}, bytes(8), "claims 8 bytes"),
        ({"w": entry(shape=[0, 1 << 62, 1 << 62], offsets=[0, 0])}, b"", "claims 0 bytes"),
        ({"w": entry(shape=[1] * 33)}, bytes(8), "shape"),
        ({"w": entry(shape=[-2])}, bytes(8), "shape"),
        ({"w": entry(shape=[True, 2])}, bytes(8), "shape"),
        ({"w": entry(shape=[2.0])}, bytes(8), "shape"),
        ({"w": entry(shape="2")}, bytes(8), "shape"),
        ({"w": entry(offsets=[8, 0])}, bytes(8), "claims bytes 8 to 0"),
        ({"w": entry(offsets=[-8, 0])}, bytes(8), "data_offsets"),
        ({"w": entry(offsets=[0])}, bytes(8), "data_offsets"),
        ({"w": entry(dtype="C64")}, bytes(8), "dtype"),
        ({"w": entry(dtype=["F32"])}, bytes(8), "dtype"),
        ({"w": entry() | {"more": 1}}, bytes(8), "alone"),
        ({"w": 1}, bytes(8), "alone"),
        ({"": entry()}, bytes(8), "name"),
        ({"v": entry(), "w": entry()}, bytes(8), "overlaps"),
        ({"w": entry()}, bytes(12), "belong to no tensor"),
        ({"w": entry(offsets=[64, 72])}, bytes(72), "belong to no tensor"),
        ({"v": entry(), "w": entry(offsets=[8, 16])}, bytes(16), "multiple of 64"),
        ({"w": entry("BOOL", offsets=[0, 2])}, b"\1\2", "not a bool"),
        (b'{"w": 1, "w": 2}', b"", "twice"),
        (b"[]", b"", "object"),
    ],
    ids=lambda v: str(v)[:40],
)
def test_tensor_headers_that_lie(file: Path, header: object, data: bytes, problem: str, verify: Any) -> None:
    forge(file, weights=blob(header, data))
    found = problems(file, verify)
    assert all(p.startswith(f"{WEIGHTS}: ") for p in found)
    assert any(problem in p for p in found)


@pytest.mark.parametrize("data", [b"", b"1234567", b"\xff" * 8, (1 << 60).to_bytes(8, "little") + b"{}"])
def test_tensor_members_too_short_for_their_header(file: Path, data: bytes) -> None:
    forge(file, weights=data)
    assert any("header claims" in p for p in problems(file))


def test_faults_of_several_members_come_at_once(file: Path) -> None:
    forge(file, config=b"{", weights=blob({"v": entry(dtype="X"), "w": 1}), state=b"")
    found = problems(file)
    assert [p.split(":")[0] for p in found] == [CONFIG, WEIGHTS, WEIGHTS, STATE]


@pytest.mark.parametrize("verify", ["always", "lazy"])
def test_huge_claims_cost_no_memory(file: Path, verify: Any) -> None:
    whole = file.read_bytes()
    claims = [(1 << 40).to_bytes(8, "little") + b"{}", blob({"w": entry(shape=[1 << 38], offsets=[0, 1 << 40])})]
    variants = []
    for claim in claims:
        forge(file, weights=claim)
        variants.append(file.read_bytes())
        file.write_bytes(whole)
    end = len(whole) - 22
    variants.append(whole[:end] + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 60000, 60000, 0xFFFFFFF0, 0, 0))
    directory = struct.unpack_from("<I", whole, end + 16)[0]
    for big in (0x7FFFFFF0, 0xFFFFFFFE):  # member sizes in the directory
        lie = bytearray(whole)
        struct.pack_into("<2I", lie, directory + 20, big, big)
        variants.append(bytes(lie))
    read(file)  # so that imports are not counted
    for data in variants:
        file.write_bytes(data)
        tracemalloc.start()
        try:
            assert problems(file, verify)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 500_000


# Writing: all or nothing


def test_a_crash_before_the_rename_leaves_the_old_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_bytes()
    for crash, kind in ((KeyboardInterrupt(), KeyboardInterrupt), (OSError(28, "No space left"), LayerkitError)):
        for name in ("fsync", "replace"):

            def fail(*_: Any, crash: BaseException = crash) -> None:
                raise crash

            with monkeypatch.context() as patch:
                patch.setattr(os, name, fail)
                with pytest.raises(kind):
                    write(file, config={"new": 1}, weights={})
            assert file.read_bytes() == before
            assert [p.name for p in file.parent.iterdir()] == [file.name]
    write(file, config={"new": 1}, weights={})
    assert read(file).config == {"new": 1}


def test_a_killed_process_leaves_the_old_file(file: Path) -> None:
    before = file.read_bytes()
    code = (
        "import os, sys, numpy as np\nfrom layerkit.saving import write\n"
        "os.replace = lambda *_: os._exit(9)\nwrite(sys.argv[1], config={}, weights={'w': np.ones(1000)})"
    )
    done = subprocess.run([sys.executable, "-c", code, str(file)], check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 9
    assert file.read_bytes() == before
    assert read(file).config == example()["config"]


def test_bad_values_are_refused_before_the_file_is_touched(file: Path) -> None:
    before = file.read_bytes()
    deep: Any = {}
    for _ in range(300):
        deep = {"d": deep}
    wrong: list[tuple[type[LayerkitError], dict[str, Any]]] = [
        (ArgumentError, {"config": {"a": float("nan")}}),
        (ArgumentError, {"config": {1: 2}}),
        (ArgumentError, {"config": {"a": np.float32(1)}}),
        (ArgumentError, {"config": {"a": "\ud800"}}),
        (ArgumentError, {"config": deep}),
        (ArgumentError, {"config": [1]}),
        (ArgumentError, {"config": {"a": 10**5000}}),
        (ArgumentError, {"weights": {"w": [1.0]}}),
        (ArgumentError, {"weights": {"": np.ones(1)}}),
        (ArgumentError, {"weights": {3: np.ones(1)}}),
        (ArgumentError, {"weights": {"__metadata__": np.ones(1)}}),
        (ArgumentError, {"weights": {"__padding__/0": np.ones(1)}}),
        (ArgumentError, {"weights": {"\ud800": np.ones(1)}}),
        (DTypeError, {"weights": {"w": np.array([None])}}),
        (DTypeError, {"weights": {"w": np.array(["text"])}}),
        (DTypeError, {"weights": {"w": np.ones(1, "c8")}}),
        (ArgumentError, {"signature": {"a": object()}}),
    ]
    for kind, change in wrong:
        with pytest.raises(kind):
            write(file, **(example() | change))
        assert file.read_bytes() == before
    assert [p.name for p in file.parent.iterdir()] == [file.name]


def test_the_path_of_a_bad_value_is_named() -> None:
    with pytest.raises(ArgumentError) as caught:
        documents.encode({"layers": [{"rate": np.float32(1)}]}, "config")
    assert "config.layers[0].rate" in caught.value.summary
    assert caught.value.got == "float32"


def test_paths_that_cannot_be_written(tmp_path: Path, file: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", tmp_path / "none" / "x.lk", file / "x.lk"):
        with pytest.raises(LayerkitError) as caught:
            write(path, config={}, weights={})
        assert caught.value.fix
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["folder", "model.lk"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(LayerkitError) as caught:
            write(tmp_path / "x.lk", config={}, weights={})
    finally:
        tmp_path.chmod(0o700)
    assert caught.value.fix


def test_links_and_permissions_are_kept(tmp_path: Path, file: Path) -> None:
    (tmp_path / "link.lk").symlink_to(file)
    file.chmod(0o640)
    write(tmp_path / "link.lk", config={"new": 1}, weights={})
    assert (tmp_path / "link.lk").is_symlink()
    assert read(file).config == {"new": 1}
    assert file.stat().st_mode & 0o777 == 0o640


def test_mapped_tensors_outlive_the_file_that_replaces_theirs(file: Path) -> None:
    mapped = read(file, verify="lazy").weights
    write(file, config={}, weights={})
    assert same(mapped, example()["weights"])


def test_paths_that_cannot_be_read(tmp_path: Path, file: Path) -> None:
    with pytest.raises(LayerkitError) as caught:
        read(tmp_path / "modle.lk")
    assert caught.value.fix == "did you mean 'model.lk'?"
    with pytest.raises(ArgumentError):
        read(tmp_path)
    with pytest.raises(ArgumentError):
        read(file, verify="never")  # type: ignore[arg-type]


# Comparing tensors


def test_check_lists_everything() -> None:
    found = {
        "dense/kernal": np.ones((2, 3), "f4"),
        "a": np.ones(3, "f8"),
        "b": np.ones((3, 1), "f4"),
        "zzz": np.ones(1),
    }
    with pytest.raises(FileFormatError) as caught:
        check(
            {"dense/kernel": ("float32", (2, 3)), "a": ("float32", (3,)), "b": ("float32", (3,)), "q": ("bool", ())},
            found,
        )
    assert caught.value.problems == (
        "tensor 'dense/kernel' is missing; the file has 'dense/kernal'",
        "tensor 'q' is missing",
        "tensor 'dense/kernal' is not expected; did you mean 'dense/kernel'?",
        "tensor 'zzz' is not expected",
        "tensor 'a' has dtype float64, expected float32",
        "tensor 'b' has shape (3, 1), expected (3,)",
    )
    assert str(caught.value).count("\n  problem  ") == 6


def test_check_passes_equal_tensors() -> None:
    check({"a": ("bfloat16", (2,)), "s": ("int64", ())}, {"a": np.ones(2, numpy_dtype("bfloat16")), "s": np.array(1)})
