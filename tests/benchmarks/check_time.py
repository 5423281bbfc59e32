"""What ``layerkit check`` of a deep spec costs, from the start of the process to its end: the aim is 0.5 s for 150 layers.

Each run has a fresh process and an empty cache of layerkit's own (bytecode is there). With ``--accuracy`` each spec's
predicted memory and time, which for so many layers come from an outline of the step, are set beside those of the whole step:

    python tests/benchmarks/check_time.py [--runs 7] [--accuracy]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
SPEC = """
layerkit: 1
inputs: {{{inputs}}}
layers:
{layers}
  - Dense: 10
compile: {{optimizer: adam, loss: {{SparseCategoricalCrossentropy: {{from_logits: true}}}}}}
fit: {{batch_size: 32}}
"""


def repeated(*blocks: tuple[str, int]) -> str:
    """Blocks, each so many times."""
    return "\n".join(f"  - {block}\n    repeat: {times}" if times > 1 else f"  - {block}" for block, times in blocks)


CONV = "Conv2D: {filters: %d, kernel_size: 3, padding: same, activation: relu}"
DEEP = {
    "resnet, 144 layers": ("image: {shape: [16, 16, 3]}", repeated((CONV % 16, 1), ("residual: {filters: 16}", 20), ("GlobalAveragePooling2D", 1))),
    "wide resnet, 74 layers": ("image: {shape: [8, 8, 3]}", repeated((CONV % 256, 1), ("residual: {filters: 256}", 10), ("GlobalAveragePooling2D", 1))),
    "resnet, 88 layers": ("image: {shape: [32, 32, 3]}", repeated((CONV % 64, 1), ("residual: {filters: 64}", 12), ("GlobalAveragePooling2D", 1))),
    "inception, 98 layers": (
        "image: {shape: [32, 32, 3]}",
        repeated(("inception: {filters: 16}", 6), ("MaxPooling2D", 1), ("inception: {filters: 32}", 6), ("GlobalAveragePooling2D", 1)),
    ),
    "convolutions, 123 layers": ("image: {shape: [32, 32, 3]}", repeated((CONV % 16, 60), ("MaxPooling2D", 1), (CONV % 32, 60), ("Flatten", 1))),
    "transformer, 24 blocks": (
        "words: {shape: [32], dtype: int32}",
        repeated(
            ("token_and_position: {vocabulary: 1000, length: 32, width: 64}", 1), ("transformer_encoder: {width: 64}", 24),
            ("GlobalAveragePooling1D", 1),
        ),
    ),
    "dense, 152 layers": ("x: {shape: [100]}", repeated(("Dense: {units: 256, activation: relu}", 150))),
}  # fmt: skip


def cold(path: Path) -> tuple[float, float]:
    """Seconds of one run: wall time, and processor time."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment |= {"LAYERKIT_CACHE_DIR": cache, "PYTHONPATH": str(ROOT)}
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        command = [sys.executable, "-m", "layerkit", "check", str(path)]
        subprocess.run(command, check=True, capture_output=True, env=environment, cwd=path.parent)
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ratios(path: Path) -> tuple[float, float]:
    """Memory and time by the outline, as shares of those by the whole step."""
    import builders
    from layerkit.models import cost

    model, found = builders.load(path).build(), []
    for cost.LARGE in (0, 10**9):
        found.append(cost.training_cost(model, 32))
    outline, whole = found
    assert outline is not None
    assert whole is not None
    return outline.peak_bytes / whole.peak_bytes, (outline.seconds or 0) / (whole.seconds or 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--accuracy", action="store_true")
    parser.add_argument("specs", nargs="*", type=Path, help="these specs instead")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = {path.stem: path.resolve() for path in given.specs}
        for number, (name, (inputs, layers)) in enumerate(DEEP.items() if not paths else ()):
            paths[name] = Path(folder) / f"{number}.yaml"
            paths[name].write_text(SPEC.format(inputs=inputs, layers=layers))
        for name, path in paths.items():
            if given.accuracy:
                memory, seconds = ratios(path)
                print(f"{name:26} memory {memory:.3f}   time {seconds:.3f} of the whole step's", flush=True)
                continue
            cold(path)  # writes bytecode
            walls, processor = zip(*(cold(path) for _ in range(given.runs)), strict=True)
            print(
                f"{name:26} wall {statistics.median(walls):.2f} s (least {min(walls):.2f})   "
                f"processor {statistics.median(processor):.2f} s (least {min(processor):.2f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
