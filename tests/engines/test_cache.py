"""The cache of compiled code: nothing on disk can break or fool a program."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from layerkit.engines.llvm import LLVMEngine
from layerkit.engines.llvm.codegen import jit
from layerkit.engines.llvm.codegen.cache import BLOCK, COUNT, ObjectCache, key_of
from layerkit.engines.llvm.codegen.jit import to_object
from layerkit.engines.llvm.codegen.target import host
from layerkit.engines.llvm.runtime import compilation
from layerkit.engines.llvm.runtime.compilation import Compilation
from layerkit.engines.llvm.runtime.driver import driver
from layerkit.engines.llvm.runtime.plan import Plan
from layerkit.engines.llvm.runtime.program import LLVMProgram
from layerkit.ir import Graph, Op, TensorType, apply, parse
from layerkit.ir.fingerprint import fingerprint

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
    cache = ObjectCache(tmp_path, most_bytes=5 * BLOCK // 2)  # each takes a block
    for i in range(3):
        cache.put(key_of(str(i)), b"x" * 100)
        os.utime(cache._path(key_of(str(i))), (i, i)) if cache._path(key_of(str(i))).exists() else None
    assert cache.get(key_of("2")) is not None
    assert cache.size == BLOCK
    assert cache.get(key_of("0")) is None
    before = cache.entries()
    cache.put(KEY, b"x" * 2 * BLOCK)
    assert cache.entries() == before


def test_a_folder_is_looked_through_once_and_then_when_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever process writes: what was written stands in a file."""
    os.chmod(tmp_path, 0o700)
    looks = []
    usual = ObjectCache._stats
    monkeypatch.setattr(ObjectCache, "_stats", lambda self: looks.append(1) or usual(self))
    for i in range(8):
        ObjectCache(tmp_path, most_bytes=8 * BLOCK).put(key_of(str(i)), b"x" * 100)
    assert len(looks) == 1
    ObjectCache(tmp_path, most_bytes=8 * BLOCK).put(key_of("8"), b"x" * 100)
    assert len(looks) == 2
    assert ObjectCache(tmp_path).size == 6 * BLOCK  # three quarters
    looks.clear()
    for i in range(2):
        ObjectCache(tmp_path, most_bytes=8 * BLOCK).put(key_of(f"more {i}"), b"x" * 100)
    assert not looks
    assert ObjectCache(tmp_path).clear() == 8 * BLOCK
    assert ObjectCache(tmp_path).size == 0


def test_a_process_that_ends_while_it_looks_leaves_no_wrong_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.chmod(tmp_path, 0o700)
    cache = ObjectCache(tmp_path, most_bytes=8 * BLOCK)
    for i in range(8):
        cache.put(key_of(str(i)), b"x" * 100)
    (tmp_path / COUNT).unlink()

    def ended(self: ObjectCache) -> NoReturn:
        raise KeyboardInterrupt

    usual = ObjectCache._stats
    monkeypatch.setattr(ObjectCache, "_stats", ended)
    with pytest.raises(KeyboardInterrupt):
        cache.put(key_of("8"), b"x" * 100)
    monkeypatch.setattr(ObjectCache, "_stats", usual)
    cache.put(key_of("9"), b"x" * 100)
    assert cache.size == 6 * BLOCK


@pytest.mark.parametrize("wrong", [b"", b"x" * 1000, None], ids=["empty", "long", "a folder"])
def test_a_wrong_count_is_mended_when_the_folder_is_looked_through(tmp_path: Path, wrong: bytes | None) -> None:
    os.chmod(tmp_path, 0o700)
    cache = ObjectCache(tmp_path, most_bytes=8 * BLOCK)
    cache.put(KEY, b"x" * 100)
    (tmp_path / COUNT).unlink()
    (tmp_path / COUNT).mkdir() if wrong is None else (tmp_path / COUNT).write_bytes(wrong)
    for i in range(20):
        cache.put(key_of(str(i)), b"x" * 100)
        assert cache.size <= 8 * BLOCK
    assert wrong is None or (tmp_path / COUNT).stat().st_size * BLOCK == cache.size


def test_many_writers_of_one_entry(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o700)
    cache = ObjectCache(tmp_path)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda i: cache.compiled(KEY, lambda: b"code" * 1000), range(64)))
    assert set(found) == {b"code" * 1000}
    assert len(cache.entries()) == 1


# Plans: with the plan in the cache, nothing is lowered again -----------------------------------------------------------

TEXT = """f(x: f32[b,6], w: f32[6,5]) {
  %0 = const{array=f32[5] 0x0000803f000000400000404000008040000000c0}() : f32[5]
  %1 = matmul(x, w) : f32[b,5]
  %2 = broadcast{shape=(b, 5)}(%0) : f32[b,5]
  %3 = multiply(%1, %2) : f32[b,5]
  %4 = reduce_sum{axes=(0), keepdims=false}(%3) : f32[5]
  return %3, %4
}"""
X, W = np.arange(18, dtype="float32").reshape(3, 6), np.arange(30, dtype="float32").reshape(6, 5) - 15
SCALE = np.array([1, 2, 3, 4, -2], "float32")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    driver()  # which has an entry of its own
    monkeypatch.setenv("LAYERKIT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def made(text: str = TEXT) -> Compilation:
    return Compilation(parse(text), LLVMEngine().pipeline(), host(), {}, (1,))


def check(wanted: Compilation) -> None:
    product, total = LLVMProgram(wanted)(X, W)
    np.testing.assert_array_equal(product, (X @ W) * SCALE)
    np.testing.assert_array_equal(total, ((X @ W) * SCALE).sum(0))


def test_a_plan_reads_back_as_it_was(folder: Path) -> None:
    plan = made().lowered().plan()
    again = Plan.decoded(plan.encoded())
    assert replace(again, constants=()) == replace(plan, constants=())
    assert [c.tobytes() for c in again.constants] == [SCALE.tobytes()]
    assert plan.layout({"b": 7}) == again.layout({"b": 7})


def test_what_is_in_the_cache_is_not_lowered_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(made())
    functions = made().lowered().plan().functions
    assert len(ObjectCache.default().entries()) == 1 + 1 + len(functions)  # the plan, the code, where each function is
    monkeypatch.setattr(Compilation, "lowered", None)
    check(made())
    check(made(TEXT.replace("w", "v").replace("f(", "g(")))  # names do not count


@pytest.mark.parametrize(
    "damage",
    [
        lambda plan: b"",
        lambda plan: plan[:64],
        lambda plan: plan[:-1],
        lambda plan: plan[:64] + b"\xff" * 100,
        lambda plan: b"\xff" * 64 + plan[64:],
        lambda plan: b"0" * 64 + plan[64:],  # code that is not there
        lambda plan: plan.replace(b'"slots"', b'"plots"'),
        lambda plan: plan.replace(b'*b"', b'*(b"'),
        lambda plan: plan[:65] + (2).to_bytes(8, "little") + b"[]",
    ],
)
def test_a_plan_that_is_none_is_made_again(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    check(made())
    cache, key = ObjectCache.default(), made().key()
    assert key is not None
    plan = cache.get(key)
    assert plan is not None
    assert damage(plan) != plan
    cache.put(key, damage(plan))
    check(made())
    assert cache.get(key) == plan


def test_code_that_was_removed_is_compiled_again(folder: Path) -> None:
    check(made())
    cache, key = ObjectCache.default(), made().key()
    before = {path.stem for path in cache.entries()}
    for path in cache.entries():
        if path.stem != key:
            path.unlink()
    check(made())
    assert {path.stem for path in cache.entries()} == before


def test_code_that_is_named_but_gone_is_compiled_again(folder: Path) -> None:
    check(made())
    cache, key = ObjectCache.default(), made().key()
    assert key is not None
    plan = cache.get(key)
    assert plan is not None
    for path in cache.entries():
        if path.stem == key or path.stem.encode() in plan.partition(b"\n")[0]:
            path.unlink()
    check(made())


def test_functions_that_another_graph_had_are_not_compiled_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(made())
    known = set(made().lowered().plan().functions)
    more = made(TEXT.replace("  return %3, %4", "  %5 = tanh(%4) : f32[5]\n  return %3, %4, %5"))
    assert known & set(more.lowered().plan().functions)
    compiled: list[str] = []
    monkeypatch.setattr(jit, "to_object", lambda text, target: compiled.append(text) or to_object(text, target))
    _, total, squashed = LLVMProgram(more)(X, W)
    np.testing.assert_array_equal(total, ((X @ W) * SCALE).sum(0))
    np.testing.assert_allclose(squashed, np.tanh(total), rtol=1e-5)
    for text in compiled:
        assert not any(f"@{name}(" in text for name in known)


def test_parts_with_the_same_functions_load_together(folder: Path) -> None:
    """Two processes may compile the same at the same time."""
    module, plan = made().lowered().module, made().lowered().plan()
    text = module.part(plan.functions)
    library = jit.load([to_object(text, host()), to_object(text, host())], host())
    assert all(library.address(name) for name in plan.functions)


def test_keys_tell_apart_what_makes_other_code(monkeypatch: pytest.MonkeyPatch) -> None:
    first = made()
    others = [
        replace(first, kept=()),
        replace(first, donated={1: 0}),
        replace(first, pipeline=type(first.pipeline).parse("fold")),
        replace(first, target=replace(first.target, l2=1 << 30)),
        made(TEXT.replace("0000803f", "00008040")),
        made(TEXT.replace("f32[b,6], w", "f32[3,6], w").replace("[b,", "[3,").replace("(b,", "(3,")),
        made(TEXT.replace("return %3, %4", "return %4, %3")),
    ]
    keys = {each.key() for each in (first, *others)}
    assert len(keys) == 1 + len(others)
    monkeypatch.setattr(compilation, "sources", lambda: "another version")
    assert first.key() not in keys


def test_zeros_of_either_sign_are_told_apart() -> None:
    one, other = (parse(f"f() {{ %0 = const{{array=f32[] {x}}}() : f32[] return %0 }}") for x in ("0.0", "-0.0"))
    assert fingerprint(one) != fingerprint(other)


def test_ops_of_others_have_no_key() -> None:
    class Foreign(Op):
        name = "foreign"

        def infer(self, x: TensorType) -> TensorType:
            return x

    del Op.registry["foreign"]
    (x,) = parse("f(x: f32[2]) { return x }").inputs
    graph = Graph((x,), (apply(Foreign(), x),))
    assert Compilation(graph, LLVMEngine().pipeline(), host(), {}).key() is None
