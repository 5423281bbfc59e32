"""What a spec's section ``data`` says beside its source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from layerkit.data.splits import Split
from layerkit.data.windows import Window
from layerkit.data.words import Words
from layerkit.errors import DataError
from layerkit.fields import Check, Configurable, Resolved


def _split(value: Any) -> Split:
    if isinstance(value, Split):
        return value
    if not isinstance(value, Mapping):
        raise DataError(
            "'split' says which shares are held out.", expected="{validation: 0.1, test: 0.2}", got=repr(value)
        )
    return Split(**value)


def _window(value: Any) -> Window | None:
    if value is None or isinstance(value, Window):
        return value
    if not isinstance(value, Mapping | int):
        raise DataError(
            "'window' says which rows are one sample.", expected="{length: 24, horizon: 1}", got=repr(value)
        )
    return Window(**value) if isinstance(value, Mapping) else Window(value)


def _words(value: Any) -> Words | None:
    if value is None or isinstance(value, Words):
        return value
    if not isinstance(value, Mapping | int):
        raise DataError("'words' says how texts are read.", expected="{length: 60, count: 5000}", got=repr(value))
    return Words(**value) if isinstance(value, Mapping) else Words(value)


class _Columns(Check):
    """A column, several, or a mapping from inputs (outputs) to columns; None takes what the source says."""

    expected = "a column, a list of columns, or a mapping from names of inputs to columns"

    def __call__(self, value: Any, owner: Any) -> Any:
        if value is None or isinstance(value, str):
            return value
        parts = list(value.values()) if isinstance(value, Mapping) else [value]
        for part in parts:
            for name in [part] if isinstance(part, str) else part if isinstance(part, list | tuple) else [None]:
                if not isinstance(name, str):
                    raise ValueError
        return value


class DataOptions(Configurable):
    """What is done with the columns of a source; the keys of a spec's section ``data`` beside the source itself.

    Args:
        target: the column to predict; a list; the name of an input of the model, which is then to be given back as it comes
            in; or a mapping from outputs of the model to these.
        features: the columns to predict from, all others unless given (in windows those of numbers, the target's past too);
            or a mapping from inputs of the model to columns.
        window: how many rows that follow one another in time are one sample, as ``Window`` takes it.
        split: which shares of the rows are held out, as ``Split`` takes it.
        standardize: numbers get mean 0 and deviation 1, as the rows to train on have them.
        standardize_target: numbers to predict do too; loss and metrics then count in deviations, and ``layerkit predict`` gives
            back numbers as the column has them.
        categories: a category becomes its number (from 1; 0 for one that is missing or new), or a number for each category.
        words: texts to predict from become the numbers of their words, as ``Words`` takes it; they are no categories then.
        missing: whether a missing number is an error, becomes the mean of the rows to train on, or drops its row; a row
            without its target is an error, or dropped.
        task: whether whole numbers in the target are classes.
        in_memory: whether the data are read whole; by size unless given.
    """

    target: Annotated[Any, _Columns()] = None
    features: Annotated[Any, _Columns()] = None
    window: Annotated[Any, Resolved(_window, "{length: 24, horizon: 1}")] = None
    split: Annotated[Any, Resolved(_split, "shares: {validation: 0.1, test: 0.2}")] = Split()
    standardize: bool = False
    standardize_target: bool = False
    categories: Literal["index", "one_hot"] = "index"
    words: Annotated[Any, Resolved(_words, "{length: 60, count: 5000}")] = None
    missing: Literal["error", "mean", "drop"] = "error"
    task: Literal["auto", "classification", "regression"] = "auto"
    in_memory: bool | None = None

    def check_together(self) -> None:
        """Refuse a split that no data could have."""
        by = self.split.by
        if by == "group" and self.split.column is None and (self.window is None or self.window.group is None):
            raise DataError(
                "'group' needs a column.", expected="column: the one that names the group", got="none", argument="by"
            )
        if self.window is not None and by in ("random", "stratified"):
            raise DataError("windows overlap: at random, rows to train on would also be rows to test on.", expected="by: time, or by: group",
                            got=f"by: {by}", fix="remove 'by': the latest rows are held out", argument="by")  # fmt: skip
