"""The compiled steps of a model, as the loops run them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from layerkit import tree
from layerkit.engines import Batches
from layerkit.errors import NonFiniteError
from layerkit.models.nonfinite import Step, Watch, explained
from layerkit.training.data import Arrays, Batch

if TYPE_CHECKING:
    from layerkit.models.trainer import Trainer


class CompiledStep:
    """The compiled ``train_step``, ``test_step`` or ``predict_step`` of a model."""

    def __init__(self, model: Trainer, kind: str) -> None:
        self.model, self.kind = model, kind
        self.watch = Watch(model)

    def __call__(self, batch: Batch) -> Any:
        arguments = self._arguments(batch)
        function = self.model._function(self.kind)
        try:
            found = function(*arguments)
        except NonFiniteError as error:
            raise explained(self.model, function, Step(batch), error, None) from None
        self.model.steps_done += self.kind == "train"
        return self._result(found)

    def repeat(self, data: Arrays, batches: Batches) -> Any:
        """One step for each of the batches."""
        arguments = self._arguments((data.x, data.y, data.sample_weight))
        function = self.model._function(self.kind)
        if self.kind == "train":
            self.watch.add(function, data, batches)
        try:
            found = function.repeat(arguments, batches)
        except NonFiniteError as error:
            step = Step.of(data, batches, error.step)
            raise explained(self.model, function, step, error, self.watch) from None
        self.model.steps_done += batches.steps if self.kind == "train" else 0
        return self._result(found)

    def compile(self, data: Arrays, rows: int) -> None:
        """Trace and compile for batches of so many rows of such data, and run nothing."""
        batch = tree.map_leaves(lambda a: a[:rows], (data.x, data.y, data.sample_weight))
        arrays, structure = tree.flatten(self._arguments(batch))
        self.model._function(self.kind).trace(arrays, structure)

    def _arguments(self, batch: Batch) -> tuple[Any, ...]:
        self.model._ensure_ready(batch[0])
        return (batch[0],) if self.kind == "predict" else (batch,)

    def _result(self, found: Any) -> Any:
        return found if self.kind == "predict" else {k: v if v.ndim else float(v) for k, v in found.items()}
