"""Text IR to machine code in this process."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from threading import Lock
from typing import Any

from layerkit.engines.llvm.codegen.builder import Module
from layerkit.engines.llvm.codegen.cache import ObjectCache, key_of
from layerkit.engines.llvm.codegen.target import Target

SWITCHED = (22,)
"""Versions of LLVM in which passes of the code generator are switched on and off."""


PIECE = 256_000
"""Characters of IR after which another piece begins: each costs some milliseconds, and is loaded whole."""


class Library:
    """Machine code that was loaded; addresses of its exported functions by name.

    The code stays loaded as long as this object lives: keep it beside every address taken from it.
    """

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def address(self, name: str) -> int:
        """The address of an exported function."""
        found: int = self._engine.get_function_address(name)
        if not found:
            raise KeyError(name)
        return found

    def function(self, name: str, *arguments: Any, result: Any = None) -> Any:
        """A ctypes function; calling it releases the interpreter's lock."""
        call: Any = ctypes.CFUNCTYPE(result, *arguments)(self.address(name))
        call.library = self
        return call


def _machine(target: Target, level: int) -> Any:
    import llvmlite.binding as llvm

    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=level, jit=True
    )


def to_object(text: str, target: Target, level: int = 1) -> bytes:
    """Machine code for IR, as an object file."""
    import llvmlite.binding as llvm

    module = llvm.parse_assembly(text)
    module.verify()
    with _without_strength_reduction():
        code: bytes = _machine(target, level).emit_object(module)
    return code


@cache
def _switch() -> AbstractContextManager[bool]:
    return Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_switch.cache_clear)  # whoever holds it may not come along


@contextmanager
def _without_strength_reduction() -> Iterator[None]:
    """Leave out the pass that rewrites the counters of loops.

    It takes a third of the time and makes nothing faster here: pointers are carried from turn to turn where that pays.
    The switch is one for the whole process, so it is put back at once: others may compile here too. A switch that LLVM
    does not know would end the process, so it is used with versions that it was tried with.
    """
    import llvmlite.binding as llvm

    if llvm.llvm_version_info[0] not in SWITCHED:
        yield
        return
    with _switch():
        llvm.set_option("", "-disable-lsr=true")
        try:
            yield
        finally:
            llvm.set_option("", "-disable-lsr=false")


def compiled(text: str, target: Target) -> bytes:
    """Machine code for IR, from the cache on disk if it has been compiled before."""
    return ObjectCache.default().compiled(key(text, target), lambda: to_object(text, target))


def compiled_parts(module: Module, names: Sequence[str], target: Target) -> dict[str, bytes]:
    """Object files that together have these functions, by their names in the cache.

    What other modules had too is in the cache already; the rest is compiled in pieces, so that others can use them.
    """
    objects = ObjectCache.default()
    found: dict[str, bytes] = {}
    missing = []
    for name in names:
        known = objects.get(_place(name, target))
        place = "" if known is None else known.decode()
        if place and place not in found and (code := objects.get(place)) is not None:
            found[place] = code
        if place not in found:
            missing.append(name)
    for piece in _pieces(module, missing):
        text = module.part(piece)
        place = key(text, target)
        found[place] = objects.compiled(place, lambda text=text: to_object(text, target))  # type: ignore[misc]
        for name in piece:
            objects.put(_place(name, target), place.encode())
    return found


def _place(name: str, target: Target) -> str:
    """The name in the cache of what tells where a function was compiled."""
    return key(f"function {name}", target)


def _pieces(module: Module, names: Sequence[str]) -> list[list[str]]:
    pieces: list[list[str]] = []
    size = PIECE
    for name in names:
        if size >= PIECE:
            pieces.append([])
            size = 0
        pieces[-1].append(name)
        size += module.size(name)
    return pieces


def key(text: str, target: Target) -> str:
    """The name in the cache of the machine code for IR."""
    import llvmlite

    return key_of(text, target.triple, target.cpu, target.features, llvmlite.__version__)


def load(codes: Sequence[bytes], target: Target) -> Library:
    """Object files, loaded into this process together."""
    import llvmlite.binding as llvm

    empty = llvm.parse_assembly("")
    empty.triple = target.triple
    engine = llvm.create_mcjit_compiler(empty, _machine(target, 1))
    for code in codes:
        engine.add_object_file(llvm.object_file.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return Library(engine)
