"""Engines compile graphs and run them. The table below names them; each loads when it is first asked for."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

from layerkit.engines.base import Batches, Cost, Engine, Program
from layerkit.errors import UnknownNameError, did_you_mean


def _reference() -> Any:
    from layerkit.engines.reference import ReferenceEngine

    return ReferenceEngine()


def _llvm() -> Any:
    from layerkit.engines.llvm import LLVMEngine

    return LLVMEngine()


ENGINES: dict[str, Callable[[], Any]] = {"llvm": _llvm, "reference": _reference}


@cache
def default() -> str:
    """The name of the best engine that works here; says once if it is not the fast one."""
    if find_spec("llvmlite") is not None:
        return "llvm"
    warnings.warn("llvmlite is not installed: models run on the slow engine 'reference'.", UserWarning, stacklevel=2)
    return "reference"


def get(engine: str | Engine | None = None) -> Engine:
    """The engine of that name, or the best available.

    Raises:
        UnknownNameError: there is no engine of that name.
    """
    if engine is not None and not isinstance(engine, str):
        return engine
    name = engine or default()
    if name not in ENGINES:
        raise UnknownNameError(f"there is no engine '{name}'.", got=name, fix=did_you_mean(name, ENGINES))
    found: Engine = ENGINES[name]()
    return found


__all__ = ["ENGINES", "Batches", "Cost", "Engine", "Program", "default", "get"]
