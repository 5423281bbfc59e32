"""What the processor offers: vector width, registers, caches, and the cores this process may use."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from layerkit.engines.llvm.codegen import tuner
from layerkit.records import dataclass

FEATURES = "LAYERKIT_LLVM_FEATURES"
"""Environment variable: features to switch off, for instance ``-avx512f``."""


@dataclass(frozen=True)
class Target:
    """A processor as the code generator sees it.

    Attributes:
        triple: LLVM's name of the platform.
        cpu: LLVM's name of the processor.
        features: LLVM's feature string, ``+avx2,-avx512f,...``.
        vector_bytes: width of the widest vectors that are worth using.
        registers: number of vector registers.
        l1, l2, l3: sizes of the caches in bytes, for one core (l3: shared).
        tiles: register tiles for panels of 1, 2, ... vectors.
    """

    triple: str
    cpu: str
    features: str
    vector_bytes: int
    registers: int
    l1: int
    l2: int
    l3: int
    tiles: tuple[tuner.Choice, ...]

    def lanes(self, element_bytes: int) -> int:
        """Elements in a vector."""
        return max(1, self.vector_bytes // element_bytes)

    @property
    def attributes(self) -> str:
        """Attributes of all functions in LLVM's text form."""
        return f'attributes #0 = {{ nounwind "prefer-vector-width"="{8 * self.vector_bytes}" "no-trapping-math"="true" }}\n'


def _cache_size(level: int, default: int) -> int:
    folder = Path("/sys/devices/system/cpu/cpu0/cache")
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    for index in range(6):
        try:
            at = folder / f"index{index}"
            if int((at / "level").read_text()) != level or (at / "type").read_text().strip() == "Instruction":
                continue
            text = (at / "size").read_text().strip()
            return int(text[:-1]) * units[text[-1]]
        except (OSError, ValueError, KeyError):
            continue
    return default


@cache
def host(switched_off: str | None = None) -> Target:
    """The processor that this process runs on, less the features switched off (default: by the environment)."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    found = llvm.get_host_cpu_features()
    for name in (switched_off if switched_off is not None else os.environ.get(FEATURES, "")).split(","):
        if name.strip():
            found[name.strip().lstrip("+-")] = False
    if not found.get("avx512f", False):
        for name in list(found):
            if name.startswith(("avx512", "evex512", "avx10")):
                found[name] = False
    if found.get("avx512f"):
        width, registers = 64, 32
    elif found.get("avx2") and found.get("fma"):
        width, registers = 32, 16
    else:
        width, registers = 16, (32 if found.get("neon") else 16)
    features = ",".join(f"{'+' if on else '-'}{name}" for name, on in sorted(found.items()))
    triple, cpu = llvm.get_process_triple(), llvm.get_host_cpu_name()
    return Target(
        triple, cpu, features, width, registers, _cache_size(1, 32 << 10), _cache_size(2, 1 << 20), _cache_size(3, 16 << 20),
        tuner.chosen((triple, cpu, features, _versions()), registers),
    )  # fmt: skip


def tune(choices: tuple[tuner.Choice, ...]) -> None:
    """Let programs that are started later use these tiles on this processor."""
    target = host()
    tuner.store((target.triple, target.cpu, target.features, _versions()), choices)


def _versions() -> str:
    """What makes the code that was measured."""
    import llvmlite

    return f"llvmlite {llvmlite.__version__}"


def available_cores() -> int:
    """Cores that this process may use: its affinity, and the limit of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = _container_limit()
    return cores if limit is None else min(cores, limit)


@cache
def _container_limit() -> int | None:
    """Cores that the container may use, if it says so; read once, as every step asks."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return None if quota == "max" else max(1, -(-int(quota) // int(period)))
    except (OSError, ValueError):
        return None
