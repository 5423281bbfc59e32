"""``layerkit doctor``: is this installation whole, and is it fast?"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import click
import numpy as np

import layerkit
from layerkit import engines
from layerkit.cli.shared import Verb, print_json
from layerkit.errors import LayerkitError

NEEDED = ("numpy", "llvmlite", "ml_dtypes", "safetensors", "pyyaml", "click", "rich")
EXTRAS = {
    "plot": ("igraph", "draws models (layerkit plot)"),
    "data": ("pyarrow", "reads Parquet"),
    "data (images)": ("PIL", "reads folders of images"),
}
"""What is optional: the module, and what it is for."""


@dataclass(frozen=True)
class Finding:
    """A line of the report.

    Attributes:
        topic: what was looked at.
        state: "ok", "slow" (works, but not as fast as it could), "missing" (optional), "broken".
        text: what was found.
        fix: how to mend it.
    """

    topic: str
    state: str
    text: str
    fix: str | None = None


@click.command(cls=Verb)
def doctor(as_json: bool) -> None:
    """Look at this installation: versions, engine, processor, threads, caches, extras; compile and run a small step.

    Exit code 1 if something is broken; what is missing or slow comes with how to mend it.
    """
    found = list(findings())
    bad = any(f.state == "broken" for f in found)
    if as_json:
        print_json({"ok": not bad, "findings": [asdict(f) for f in found]})
    else:
        marks = {"ok": "ok     ", "slow": "slow   ", "missing": "missing", "broken": "BROKEN "}
        for f in found:
            click.echo(f"{marks[f.state]}  {f.topic:<14}  {f.text}" + (f"\n{'':25}{f.fix}" if f.fix else ""))
    if bad:
        raise click.exceptions.Exit(1)


def findings() -> Iterator[Finding]:
    """All lines of the report."""
    yield _python()
    yield _packages()
    checks: list[Callable[[], Finding]] = [_engine, _processor, _threads, _cache, _tuning, _step]
    for check in checks:
        try:
            yield check()
        except (LayerkitError, OSError, ImportError, RuntimeError) as error:
            yield Finding(check.__name__.strip("_"), "broken", str(error).replace("\n", " "), "reinstall layerkit")
    for extra, (module, what) in EXTRAS.items():
        name = extra.split(" ", maxsplit=1)[0]
        if find_spec(module) is None:
            yield Finding(
                f"[{extra}]", "missing", f"{what}: {module} is not installed", f'pip install "layerkit[{name}]"'
            )
        else:
            yield Finding(f"[{extra}]", "ok", what)


def _python() -> Finding:
    text = f"Python {platform.python_version()}, {platform.platform()}"
    return Finding("python", "ok" if sys.version_info >= (3, 11) else "broken", text)


def _packages() -> Finding:
    versions, missing = [f"layerkit {layerkit.__version__}"], []
    for name in NEEDED:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        fix = f"pip install {' '.join(missing)}"
        return Finding("packages", "broken", f"not installed: {', '.join(missing)}", fix)
    return Finding("packages", "ok", ", ".join(versions))


def _engine() -> Finding:
    if find_spec("llvmlite") is None:
        return Finding("engine", "slow", "reference (NumPy) alone: llvmlite is not installed", "pip install llvmlite")
    return Finding("engine", "ok", f"{engines.default()}; there are {', '.join(engines.ENGINES)}")


def _processor() -> Finding:
    from layerkit.engines.llvm.codegen.machine import bandwidth, measure_again, peak
    from layerkit.engines.llvm.codegen.target import FEATURES, host

    target = host()
    measure_again()
    text = f"{target.cpu}, vectors of {8 * target.vector_bytes} bits; measured {peak():.0f} GFLOP/s and {bandwidth(1 << 26):.0f} GB/s for a core"
    if off := os.environ.get(FEATURES):
        return Finding("processor", "slow", f"{text}; features off: {off}", f"unset {FEATURES}")
    if target.vector_bytes < 32:
        return Finding("processor", "slow", f"{text}; no AVX2", "a processor with AVX2 is twice as fast or more")
    return Finding("processor", "ok", text)


def _threads() -> Finding:
    from layerkit.engines.llvm.codegen.target import available_cores
    from layerkit.engines.llvm.runtime.threads import VARIABLE, threads

    cores, used = available_cores(), threads()
    text = f"{used} for {cores} cores that this process may use, of {os.cpu_count()}"
    if used < cores:
        return Finding("threads", "slow", text, f"unset {VARIABLE}")
    return Finding("threads", "ok", text)


def _cache() -> Finding:
    from layerkit.engines.llvm.codegen.cache import ObjectCache
    from layerkit.models.cost import show_bytes

    found = ObjectCache.default()
    if found.reason is not None:
        fix = "let LAYERKIT_CACHE_DIR name a folder of your own, and LAYERKIT_CACHE be 1"
        return Finding("cache", "slow", f"off, so that each start compiles again: {found.reason}", fix)
    text = f"{found.folder}: {len(found.entries())} entries, {show_bytes(found.size)} of at most {show_bytes(found.most_bytes)}"
    return Finding("cache", "ok", text)


def _tuning() -> Finding:
    from layerkit.engines.llvm.codegen import tuner
    from layerkit.engines.llvm.codegen.target import host

    target = host()
    is_measured = target.tiles != tuner.model(target.registers)
    return Finding("tiles", "ok", "as measured here" if is_measured else "by the model (layerkit tune measures them)")


def _step() -> Finding:
    """Compile and run a training step, and compare it with the reference engine."""
    from layerkit import layers as L

    x = np.random.default_rng(0).standard_normal((16, 8, 8, 3)).astype("float32")
    y = np.arange(16) % 4
    losses, seconds = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for engine in ("reference", engines.default()):
            layerkit.utils.set_random_seed(0)
            model = layerkit.Sequential(
                [L.Input((8, 8, 3)), L.Conv2D(8, 3, activation="relu"), L.Flatten(), L.Dense(4)]
            )
            model.compile("adam", layerkit.losses.SparseCategoricalCrossentropy(from_logits=True), engine=engine)
            start = time.perf_counter()
            losses[engine] = [model.train_on_batch(x, y) for _ in range(3)]
            seconds[engine] = time.perf_counter() - start
        path = Path(folder) / "model.lk"
        model.save(path)
        same = np.array_equal(layerkit.load_model(path).predict(x, verbose=0), model.predict(x, verbose=0))
    fast, plain = (np.array(losses[e]) for e in (engines.default(), "reference"))
    if not np.allclose(fast, plain, rtol=1e-4) or not same:
        return Finding("a small step", "broken", f"losses {fast.tolist()} instead of {plain.tolist()}; file kept: {same}", "layerkit cache --clear, then report it")  # fmt: skip
    return Finding(
        "a small step", "ok", f"compiled and run in {seconds[engines.default()]:.2f} s; as the reference engine has it"
    )
