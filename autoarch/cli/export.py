"""``autoarch export``: what a search found, for use elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from autoarch.cli.running import RUN
from autoarch.folder import BEST, LEADERBOARD, REPORT, RESULT, delivered_model
from layerkit.cli.shared import Verb, print_json


@click.command(cls=Verb)
@click.argument("run", type=RUN)
@click.argument("output", type=click.Path(path_type=Path))
def export(run: Path, output: Path, as_json: bool) -> None:
    """Write what RUN found to OUTPUT.

    The name of OUTPUT says what: .lk the model, .yaml its spec, .py the same as Python, .safetensors the weights alone;
    a folder gets all of them, with the results.
    """
    from autoarch.python import Result
    from layerkit.errors import ArgumentError

    result = Result(run)
    if output.suffix:
        if output.suffix not in WRITERS:
            raise click.BadParameter(f"'{output}' is none of {', '.join(WRITERS)}.", param_hint="OUTPUT")
        written = [output]
    else:
        if output.exists() and any(output.iterdir()):
            raise ArgumentError(f"'{output}' is not empty.", expected="a new folder", got=str(output))
        output.mkdir(parents=True, exist_ok=True)
        written = [output / f"model{suffix}" for suffix in WRITERS]
        for name in (RESULT, LEADERBOARD, REPORT):
            if (run / name).exists():
                shutil.copyfile(run / name, output / name)
                written.append(output / name)
    for path in written:
        if path.suffix in WRITERS:
            WRITERS[path.suffix](result.folder, path)
    if as_json:
        print_json({"written": [str(path) for path in written]})
    else:
        click.echo("\n".join(map(str, written)))


def _model(run: Path, path: Path) -> None:
    shutil.copyfile(delivered_model(run), path)


def _spec(run: Path, path: Path) -> None:
    shutil.copyfile(run / BEST, path)


def _python(run: Path, path: Path) -> None:
    import builders

    path.write_text(builders.to_python(builders.load(run / BEST)), encoding="utf-8")


def _weights(run: Path, path: Path) -> None:
    from layerkit.models import load_model

    load_model(delivered_model(run)).save_weights(path)


WRITERS: Mapping[str, Callable[[Path, Path], None]] = {
    ".lk": _model, ".yaml": _spec, ".py": _python, ".safetensors": _weights,
}  # fmt: skip
"""What writes which file, by its ending."""
