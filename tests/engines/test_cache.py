"""The cache of compiled code: nothing on disk can break or fool a program."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from layerkit.engines.llvm.cache import ObjectCache, key_of

KEY = key_of("text", "cpu")


def test_what_was_put_is_found_and_keys_tell_parts_apart(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path / "cache")
    assert cache.get(KEY) is None
    cache.put(KEY, b"code")
    assert cache.get(KEY) == b"code"
    assert key_of("ab", "c") != key_of("a", "bc")
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "damage", [lambda d: d[:-1], lambda d: d[:20], lambda d: b"", lambda d: d[:-1] + b"X", lambda d: b"X" + d[1:]]
)
def test_damaged_entries_are_missing_and_deleted(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    cache = ObjectCache(tmp_path)
    os.chmod(tmp_path, 0o700)
    cache.put(KEY, b"code" * 100)
    (path,) = cache.entries()
    path.write_bytes(damage(path.read_bytes()))
    assert cache.get(KEY) is None
    assert not path.exists()
    assert cache.compiled(KEY, lambda: b"new") == b"new"
    assert cache.get(KEY) == b"new"


def test_a_folder_that_others_can_write_to_is_not_used(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o777)
    cache = ObjectCache(tmp_path)
    cache.put(KEY, b"code")
    assert cache.reason is not None
    assert cache.entries() == []


def test_no_folder_no_failure(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    cache = ObjectCache(file / "below")
    cache.put(KEY, b"code")
    assert cache.get(KEY) is None
    assert cache.compiled(KEY, lambda: b"code") == b"code"
    assert ObjectCache(tmp_path, is_on=False).reason is not None


def test_the_least_used_go_first(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o700)
    cache = ObjectCache(tmp_path, most_bytes=350)
    for i in range(3):
        cache.put(key_of(str(i)), b"x" * 100)
        os.utime(cache._path(key_of(str(i))), (i, i)) if cache._path(key_of(str(i))).exists() else None
    assert cache.get(key_of("2")) is not None
    assert cache.size <= 350
    assert cache.get(key_of("0")) is None


def test_many_writers_of_one_entry(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o700)
    cache = ObjectCache(tmp_path)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda i: cache.compiled(KEY, lambda: b"code" * 1000), range(64)))
    assert set(found) == {b"code" * 1000}
    assert len(cache.entries()) == 1
