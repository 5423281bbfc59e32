"""``layerkit train``: a spec becomes a trained model in the folder of a run."""

from __future__ import annotations

import shlex
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from layerkit.cli.runs import Best, Epochs, Run, fingerprint, told
from layerkit.cli.shared import FILE, Verb, load_spec, plugin_layers, print_json, show_table, spec_options
from layerkit.errors import ArgumentError, DataError, LayerkitError, ShapeError, warn
from layerkit.training.callbacks import EarlyStopping, Logs
from layerkit.training.progress import show_logs, show_number
from layerkit.utils import set_random_seed

if TYPE_CHECKING:
    from builders import Spec
    from layerkit.data import DataSet
    from layerkit.models import Model


@click.command(cls=Verb)
@click.argument("spec", type=FILE, required=False)
@spec_options
@click.option(
    "--data", type=click.Path(), help="A file, a folder, or the name of data that ship, instead of the spec's."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Same seed, same result.")
@click.option("--run", "folder", type=click.Path(file_okay=False, path_type=Path), help="Instead of runs/<name>-<n>.")
@click.option("--resume", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Go on with this run.")
@click.option("--quiet", is_flag=True, help="No progress, only the final table.")
@click.pass_context
def train(
    ctx: click.Context, spec: Path | None, changes: tuple[str, ...], plugins: tuple[Path, ...], data: str | None, seed: int,
    folder: Path | None, resume: Path | None, quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Train the model that SPEC describes on the data that it names.

    The folder of the run gets the model, its best weights, the history, and all that it takes to repeat the run. A run
    that was interrupted, however it was, goes on with --resume to the same weights, bit for bit.
    """
    if (spec is None) == (resume is None):
        raise click.UsageError("give a spec, or --resume with the folder of a run.")
    with _ended_like_ctrl_c():
        if resume is not None:
            options = {"seed": "--seed", "changes": "--set", "folder": "--run"}
            fixed = [option for name, option in options.items() if _is_given(ctx, name)]
            if fixed:
                raise click.UsageError(f"a run that goes on is what it was: leave out {', '.join(fixed)}.")
            run = Run.find(resume)
            facts = run.facts
            loaded = _spec_of(run, facts, plugins)
        else:
            assert spec is not None
            loaded, run = load_spec(spec, changes, plugins), None
            facts = told(spec, data, seed, plugins)
            data = facts["data"]
        finished = _train(loaded, run, facts, data, folder, quiet=quiet, as_json=as_json)
        _print(finished, as_json=as_json)


def _is_given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _spec_of(run: Run, facts: dict[str, Any], plugins: tuple[Path, ...]) -> Spec:
    """The spec of a run, with the layers that it was started with."""
    if len(plugins) != len(facts["plugins"]):
        again = " ".join(f"--plugin {shlex.quote(p)}" for p in facts["plugins"])
        raise ArgumentError(
            "the run was started with other plugins.", expected=again or "no --plugin", got=str(len(plugins)),
            fix=f"layerkit train --resume {run.folder} {again}",
        )  # fmt: skip
    return run.spec(plugin_layers(plugins))


def _train(
    spec: Spec, run: Run | None, facts: dict[str, Any], data: str | None, folder: Path | None, *, quiet: bool, as_json: bool
) -> dict[str, Any]:  # fmt: skip
    """Train, or go on, to the end; the results."""
    if run is not None and run.is_finished:
        return {"run": str(run.folder), "already_finished": True, **run.read("results.json")}
    set_random_seed(int(facts["seed"]))
    model = spec.build()
    spec.check_trainable(model)
    dataset = spec.dataset(data if data is not None else facts["data"], folder=facts["data_folder"], model=model)
    _warn_of_classes(model, dataset)
    found = fingerprint(dataset)
    if run is None:
        run = Run.start(folder, spec, {**facts, "data_sha256": found})
    elif found != facts["data_sha256"]:
        raise DataError(
            "the data are not those that the run was started with.", expected=facts["data_sha256"][:16], got=found[:16],
            fix="give the same data with --data, or start a new run",
        )  # fmt: skip
    shows = not quiet and not as_json
    if shows:
        click.echo(dataset.describe())
        model.summary(print_fn=click.echo, batch_size=spec.batch_size)
        click.echo(f"run      {run.folder}")
    model.preparation = dataset.preparation
    try:
        with run.alone():
            return _fit(model, spec, dataset, run, shows=shows)
    except KeyboardInterrupt:
        click.echo(f"\ninterrupted; go on with: layerkit train --resume {shlex.quote(str(run.folder))}", err=True)
        raise click.exceptions.Exit(1) from None


def _warn_of_classes(model: Model, dataset: DataSet) -> None:
    """Warn of data of one class, and of a last layer that counts other classes."""
    classes, units = dataset.classes, model.outputs[0].shape[-1] if len(model.outputs) == 1 else None
    if classes is not None and len(classes) == 1:
        warn(f"all rows are of the class '{classes[0]}': there is nothing to learn.")
    elif classes is not None and isinstance(units, int) and units not in (1, len(classes)):
        warn(f"the last layer has {units} units, and the data have {len(classes)} classes: {', '.join(classes[:10])}.")


def _fit(model: Model, spec: Spec, dataset: DataSet, run: Run, *, shows: bool) -> dict[str, Any]:
    arguments = dict(spec.fit)
    verbose = arguments.pop("verbose", "auto") if shows else 0
    own = arguments.pop("callbacks", None) or []
    if dataset.validation is not None:
        if arguments.pop("validation_split", 0):
            raise DataError(
                "rows are held out twice.", where=spec.root.span, expected="data: {split: ...} or fit: {validation_split: ...}",
                got="both", fix="remove one of them",
            )  # fmt: skip
        arguments["validation_data"] = dataset.validation
    validates = bool(dataset.validation is not None or arguments.get("validation_split"))
    x, y = dataset.train if dataset.in_memory else (dataset.train, None)
    epochs = Epochs()
    start = time.perf_counter()
    try:
        callbacks = [*run.callbacks(list(own), validates=validates), epochs]
        history = model.fit(x, y, verbose=verbose, callbacks=callbacks, **arguments)
    except (LayerkitError, OSError) as error:
        if not epochs.done and isinstance(error, ShapeError | ArgumentError | DataError):
            run.discard()  # nothing was trained, and nothing is gained by trying again
        elif epochs.done:
            click.echo(
                f"when that is mended, go on with: layerkit train --resume {shlex.quote(str(run.folder))}", err=True
            )
        raise
    seconds = time.perf_counter() - start
    model.save(run.folder / "model.lk")
    results: dict[str, Any] = {"name": spec.name, "epochs": len(history.epoch), "seconds": round(seconds, 3)}
    results |= _parts({name: values[-1] for name, values in history.history.items()})
    best = next(c for c in callbacks if isinstance(c, Best))
    if best.best_epoch is not None:
        results["best"] = {"epoch": best.best_epoch + 1, "monitor": best.monitor, **_parts(best.best_logs)}
    restored = [c.best_epoch for c in history.others if isinstance(c, EarlyStopping) and c.is_restored]
    if history.epoch:  # fit: {epochs: 0} trains none
        results["last_epoch"], results["model_epoch"] = history.epoch[-1] + 1, (restored or history.epoch)[-1] + 1
    if dataset.test is not None:
        results["test"] = evaluate_on(model, dataset.test)
        results["test_rows"] = dataset.rows["test"]
    run.finish(results)
    return {"run": str(run.folder), "already_finished": False, **run.read("results.json")}


def _parts(logs: Logs) -> dict[str, Logs]:
    """The logs of an epoch, of the rows to train on and of those to validate on."""
    return {
        "training": {n: v for n, v in logs.items() if not n.startswith("val_")},
        "validation": {n.removeprefix("val_"): v for n, v in logs.items() if n.startswith("val_")},
    }


def evaluate_on(model: Model, part: Any, batch_size: int | None = None) -> dict[str, Any]:
    """Loss and metrics over a part of a data set."""
    x, y = part if isinstance(part, tuple) else (part, None)
    found: dict[str, Any] = model.evaluate(x, y, batch_size=batch_size, verbose=0, return_dict=True)
    return found


def _print(results: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(results)
        return
    if results["already_finished"]:
        click.echo(f"the run {results['run']} is finished: there is nothing to go on with.")
    folder, last = Path(results["run"]), results.get("last_epoch")
    kept, best = results.get("model_epoch"), results.get("best")
    columns = {"": "left", "training": "right", "validation": "right"}
    parts = [results["training"], results["validation"]]
    if "test" in results:
        rows = f"{results['test_rows']} rows"
        columns[f"test ({rows})" if kept == last else f"test ({rows}, epoch {kept})"] = "right"
        parts.append(results["test"])
    names = [n for n in results["training"] if any(n in p for p in parts[1:]) or n != "learning_rate"]
    show_table(
        columns,
        ([name, *(_shown(part.get(name)) for part in parts)] for name in names),
        title=f"{results['name']}: {results['epochs']} epochs in {results['seconds']:.1f} s; figures of the last",
    )
    click.echo(f"model    {folder / 'model.lk'}" + (f", with the weights of epoch {kept}" if kept != last else ""))
    if best is not None and best["epoch"] != last:
        shown = {f"val_{n}": v for n, v in best["validation"].items()} or best["training"]
        click.echo(f"best     {folder / 'best.lk'}, with the weights of epoch {best['epoch']}: {show_logs(shown)}")


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return show_number(value) if isinstance(value, float) else str(value)


@contextmanager
def _ended_like_ctrl_c() -> Iterator[None]:
    """A request to end (SIGTERM, as batch systems send it) does what Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
