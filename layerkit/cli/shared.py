"""What verbs have in common: options, faults as text or JSON, how specs and models are read."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from builders import Spec
    from layerkit.errors import LayerkitError
    from layerkit.models import Model

F = TypeVar("F", bound=Callable[..., Any])

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
ANY_PATH = click.Path(exists=True, path_type=Path)
OUTPUT = click.Path(dir_okay=False, path_type=Path)
SPEC_SUFFIXES = (".yaml", ".yml")


class Verb(click.Command):
    """A verb: a fault becomes a message, or JSON, and exit code 1; no traceback."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(click.Option(["--json", "as_json"], is_flag=True, help="For machines: print JSON."))

    def invoke(self, ctx: click.Context) -> Any:
        from layerkit.errors import LayerkitError

        with warnings.catch_warnings():
            warnings.showwarning = _show_warning  # type: ignore[assignment]
            try:
                return super().invoke(ctx)
            except LayerkitError as error:
                fail([error], as_json=ctx.params["as_json"])
            except (OSError, MemoryError) as error:
                if isinstance(error, BrokenPipeError):
                    raise
                fail([_of_system(error)], as_json=ctx.params["as_json"])


def _show_warning(message: Warning | str, *_: Any) -> None:
    click.echo(f"warning: {message}", err=True)


def _of_system(error: OSError | MemoryError) -> LayerkitError:
    """An error of the system as one of ours."""
    from layerkit.errors import LayerkitError

    if isinstance(error, MemoryError):
        return LayerkitError(
            "there is not enough memory.", got=str(error) or None, fix="a smaller batch_size, or model"
        )
    what = f"'{error.filename}': " if error.filename else ""
    return LayerkitError(f"{what}{error.strerror or error}.", fix="check the path, the permissions and the free space")


def fail(errors: Iterable[LayerkitError], *, as_json: bool) -> None:
    """Print faults and end: with exit code 2 if one of them is in what ``--set`` gave, else 1."""
    errors = list(errors)
    if as_json:
        print_json({"ok": False, "errors": [fault_data(e) for each in errors for e in single(each)]})
    else:
        click.echo("\n\n".join(report(e) for e in errors), err=True)
    raise click.exceptions.Exit(code_of(f for e in errors for f in single(e)))


def code_of(faults: Iterable[LayerkitError]) -> int:
    """The exit code for some faults."""
    return 2 if any(f.where is not None and f.where.file.startswith("--set") for f in faults) else 1


def single(error: LayerkitError) -> tuple[LayerkitError, ...]:
    """The faults in an error that may be several."""
    return getattr(error, "errors", (error,))


def report(error: LayerkitError) -> str:
    """An error as people read it: faults of a spec with the line that they are in."""
    faults = single(error)
    shown = [_with_line(fault) for fault in faults]
    if len(faults) > 1:
        shown.append(f"{len(faults)} faults")
    return "\n\n".join(shown)


def _with_line(error: LayerkitError) -> str:
    from builders import source

    if error.where is None:
        return str(error)
    try:
        text = Path(error.where.file).read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return str(error)
    return source.report(error, text)


def fault_data(error: LayerkitError) -> dict[str, Any]:
    """An error for machines."""
    where = error.where
    found: dict[str, Any] = {
        "code": error.code, "summary": error.summary, "layer": error.layer,
        "file": where and where.file, "line": where and where.line, "column": where and where.column,
        "path": (where and where.path) or None,
    } | {name: value if value is None else str(value) for name in ("expected", "got", "fix") for value in [getattr(error, name)]}  # fmt: skip
    if problems := getattr(error, "problems", ()):
        found["problems"] = list(problems)
    return found


def print_json(data: Any) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False, default=str))


# Specs and models -----------------------------------------------------------------------------------------------------


plugin_option = click.option(
    "--plugin", "plugins", type=FILE, multiple=True, help="A Python file with layers of your own. It is executed."
)


def spec_options(function: F) -> F:
    """The options of verbs that read a spec: changes of values, and layers of one's own."""
    function = click.option(
        "--set", "changes", multiple=True, metavar="PATH=VALUE",
        help="Another value than the spec's, such as fit.epochs=3; may be given several times.",
    )(function)  # fmt: skip
    return plugin_option(function)


def load_spec(path: Path, changes: Iterable[str] = (), plugins: Iterable[Path] = ()) -> Spec:
    """The spec in a file, with what ``--set`` changed.

    Raises:
        click.UsageError: a change that is none.
        SpecErrors: faults of the file, or a change that leads nowhere.
    """
    import builders

    spec = builders.load(path, layers=plugin_layers(plugins))
    given = dict(_change(text) for text in changes)
    return spec.override(given) if given else spec


def _change(text: str) -> tuple[str, str]:
    path, equals, value = text.partition("=")
    if not equals or not path.strip():
        raise click.BadParameter(f"'{text}' is no PATH=VALUE, such as fit.epochs=3.", param_hint="--set")
    return path.strip(), value.strip()


def plugin_layers(paths: Iterable[Path]) -> list[type[Any]]:
    """The layer classes that Python files define; the files are executed.

    Raises:
        ArgumentError: a file that does not run, or defines no layer.
    """
    import runpy
    import traceback

    from layerkit.errors import ArgumentError, Span
    from layerkit.layers import Layer

    found: list[type[Any]] = []
    for path in paths:
        try:
            names = runpy.run_path(str(path), run_name=path.stem)
        except Exception as error:
            line = next(
                (f.lineno for f in reversed(traceback.extract_tb(error.__traceback__)) if f.filename == str(path)), 1
            )
            line = getattr(error, "lineno", None) or line
            raise ArgumentError(
                "the plugin does not run.", where=Span(str(path), line or 1, 1), got=f"{type(error).__name__}: {error}"
            ) from error
        own = [v for v in names.values() if isinstance(v, type) and issubclass(v, Layer) and v.__module__ == path.stem]
        if not own:
            raise ArgumentError(
                "the plugin defines no layer.", where=Span(str(path), 1, 1), expected="a class that extends layerkit.Layer",
                got="none", fix="derive it from layerkit.Layer",
            )  # fmt: skip
        found += own
    return found


def load_any(path: Path, plugins: Iterable[Path] = (), changes: Iterable[str] = ()) -> Model:
    """The model of a spec, of a model file, or of a run.

    Raises:
        LayerkitError: what is there is none of them.
    """
    if path.suffix in SPEC_SUFFIXES:
        return load_spec(path, changes, plugins).build()
    if next(iter(changes), None) is not None:
        raise click.BadParameter("only the values of a spec can be changed.", param_hint="--set")
    return load_trained(path, plugins)


def rows_of_step(path: Path, plugins: Iterable[Path] = (), changes: Iterable[str] = ()) -> int:
    """The batch size that a spec says, or the spec of a run; a model file does not know it."""
    from layerkit.cli.runs import Run

    if path.suffix in SPEC_SUFFIXES:
        return load_spec(path, changes, plugins).batch_size
    return Run.find(path).spec(plugin_layers(plugins)).batch_size if path.is_dir() else 32


def load_trained(path: Path, plugins: Iterable[Path] = (), *, best: bool = False) -> Model:
    """The trained model in a file or a run."""
    from layerkit.cli.runs import Run
    from layerkit.errors import ArgumentError
    from layerkit.models import load_model

    layers = {cls.__name__: cls for cls in plugin_layers(plugins)}
    if path.is_dir():
        run = Run.find(path)
        return load_model(run.trained(best=best), custom_objects=layers)
    if best:
        raise click.BadParameter("a model file holds one set of weights; give a run.", param_hint="--best")
    if path.suffix in SPEC_SUFFIXES:
        raise ArgumentError(
            "a spec is not trained.", expected="a model (.lk) or the folder of a run", got=str(path),
            fix=f"layerkit train {path}",
        )  # fmt: skip
    return load_model(path, custom_objects=layers)


def show_table(columns: Mapping[str, Any], rows: Iterable[Iterable[str]], title: str | None = None) -> None:
    """Print a table; ``columns`` maps headings to "left" or "right"."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for name, side in columns.items():
        table.add_column(name, justify=side)
    for row in rows:
        table.add_row(*row)
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    console.print(table)
