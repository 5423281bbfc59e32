"""``Trainer``: how a model is compiled, trained, evaluated and asked for predictions.

One training step is one program: ``train_step`` is traced by ``layerkit.functions`` and holds forward pass, loss, gradients,
optimizer and metrics. Where to follow a number: ``fit`` -> ``_step`` -> ``train_step`` -> ``Function.__call__`` ->
``ReferenceProgram.__call__`` -> ``Op.reference``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import wraps
from inspect import signature
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from layerkit import engines, ops, tree
from layerkit.errors import (
    ArgumentError,
    DataError,
    NonFiniteError,
    StateError,
    placed,
    warn,
)
from layerkit.fields import NonNegativeInt, Number, OneOf, PositiveInt, Resolved
from layerkit.functions import Function, RandomState, value_and_grad
from layerkit.ir import Array
from layerkit.layers.base import Layer
from layerkit.metrics import Mean, Metric
from layerkit.models.compiled import CompiledLoss, CompiledMetrics
from layerkit.models.functional import LayerGraph, activation_of, maker
from layerkit.models.steps import CompiledStep
from layerkit.optimizers import Optimizer
from layerkit.optimizers import get as get_optimizer
from layerkit.registry import serialize
from layerkit.trace import Weight, current
from layerkit.training import checks
from layerkit.training.callbacks import CallbackList, History, Logs, TerminateOnNaN
from layerkit.training.data import Arrays, Stream, adapt, as_arrays, class_weights, split_off, with_class_weight
from layerkit.training.loop import (
    check_batch_size,
    check_validation_freq,
    epochs_in_pass,
    fit_epochs,
    run_predict,
    run_test,
    steps_of,
)
from layerkit.training.progress import Progress, show_logs
from layerkit.utils import pack_x_y_sample_weight, unpack_x_y_sample_weight

if TYPE_CHECKING:
    from layerkit.data import Preparation

    _Base = Layer
else:
    _Base = object


class Trainer(_Base):
    """The part of a ``Model`` that trains it; what it needs of the model's structure is declared here."""

    if TYPE_CHECKING:
        optimizer: Optimizer | None
        _graph: LayerGraph | None
        layers: list[Layer]
        output: Any
        output_names: list[str]
        preparation: Preparation | None

        def _match_inputs(self, inputs: Any, graph: LayerGraph) -> list[Any]: ...
        def _on_host(self, x: Any) -> Any: ...
        def _builds_itself(self) -> bool: ...

    def _prepare_training(self) -> None:
        """The state of training before there is any."""
        self.stop_training = self.stop_evaluating = self.stop_predicting = self.has_finished = False
        self.resume_at = (0, 0)
        """The epoch, and the batch in it, with which ``fit`` begins; callbacks may set it before the first epoch."""
        self.optimizer = None
        self.engine: Any = None
        self._steps_per_execution = 1
        self._compiled: dict[str, Any] | None = None
        self._functions: dict[str, Function] = {}
        self._added: dict[str, Mean] = {}
        """The means of what layers add to the logs."""
        self._held: tuple[object, list[Metric]] = None, []
        """``Layer.latest`` when they were last looked for, and the metrics that layers hold."""
        self._flat: list[Layer] | None = None
        """All layers, once they are built."""
        self._ready: Any = None
        """The mode for which everything is built."""
        self._seen: Any = None
        """What told that this is so, when it was last looked at."""
        self._random: RandomState | None = None
        self._epochs_done = self.steps_done = 0
        self.history: History | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_functions": {}, "_ready": None, "_seen": None, "_flat": None}  # type: ignore[dict-item]

    # Compiling --------------------------------------------------------------------------------------------------------

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: PositiveInt = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
        engine: Any = None,
    ) -> None:
        """Choose how to train.

        Args:
            optimizer: its name, ``{name: arguments}``, or an optimizer.
            loss: one for all outputs, or a list or dict with one for each.
            loss_weights: numbers by which the losses of several outputs count.
            metrics: names, objects or functions; for several outputs lists or a dict of lists.
            weighted_metrics: metrics that count sample weights.
            run_eagerly: accepted, does nothing.
            steps_per_execution: batches between two calls of callbacks; with 1, callbacks that do not look at single batches
                are called about twenty times a second. The last execution of an epoch is shorter where batches are left over,
                and its number is that of its last batch.
            jit_compile: accepted, does nothing.
            auto_scale_loss: accepted, does nothing.
            engine: the name of the engine; by default the best available.

        Raises:
            UnknownNameError: a misspelt optimizer, loss, metric or engine.
        """
        self.optimizer = get_optimizer(optimizer)
        self._loss = CompiledLoss(loss, loss_weights)
        self._metrics = CompiledMetrics(metrics, weighted_metrics)
        engines.get(engine)
        if type(steps_per_execution) is not int or steps_per_execution < 1:
            raise ArgumentError(
                "steps_per_execution is a number of batches.",
                expected="a whole number >= 1",
                got=repr(steps_per_execution),
            )
        self.engine, self._steps_per_execution = engine, steps_per_execution
        self._compiled = {
            "optimizer": optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
        }
        self._functions = {}
        self._ready = None

    def _require_compiled(self, what: str) -> None:
        if self._compiled is None:
            raise StateError(
                f"'{what}' needs to know how to train.", fix="call model.compile(optimizer=..., loss=...) first"
            )

    @property
    def metrics(self) -> list[Any]:
        """The metrics, the loss first, once they are made."""
        own = [*self._loss.trackers, *self._metrics.all] if self._compiled else []
        return [*own, *self._added.values(), *self._held_metrics()]

    @property
    def compiled(self) -> bool:
        """Whether ``compile`` has been called."""
        return self._compiled is not None

    @property
    def loss(self) -> Any:
        """The loss that ``compile`` was given."""
        return None if self._compiled is None else self._compiled["loss"]

    def get_compile_config(self) -> dict[str, Any]:
        """What ``compile`` was given, as plain data."""
        return {k: serialize(v) for k, v in (self._compiled or {}).items()}

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """``compile`` with what ``get_compile_config`` returned."""
        self.compile(**config)

    @property
    def metrics_names(self) -> list[str]:
        """Their names."""
        return [str(m.name) for m in self.metrics]

    # One step ---------------------------------------------------------------------------------------------------------

    def train_step(self, data: Any) -> dict[str, Any]:
        """One training step, traced into one program: loss, gradients, update, metrics. Override it for your own.

        Args:
            data: the batch as it was given to ``fit``: x alone, (x, y), or (x, y, sample_weight).
        """
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        assert self.optimizer is not None
        optimizer = self.optimizer

        def compute(weights: Any) -> tuple[Any, Any]:
            y_pred = self(x, training=True)
            loss = self._loss_of(x, y, y_pred, sample_weight, training=True)
            return optimizer.scale_loss(loss), (loss, y_pred)

        weights = self.trainable_weights
        if weights:
            (_, (loss, y_pred)), gradients = value_and_grad(compute, has_aux=True)(weights)
            optimizer.apply(gradients, weights)
        else:
            warn(f"'{self.name}' has no weights to train: its loss stays.")
            _, (loss, y_pred) = compute(weights)
        return self._logs_of(x, y, y_pred, sample_weight, ops.require_finite(loss))

    def test_step(self, data: Any) -> dict[str, Any]:
        """Loss and metrics of one batch, given as to ``train_step``."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self(x, training=False)
        loss = self._loss_of(x, y, y_pred, sample_weight, training=False)
        return self._logs_of(x, y, y_pred, sample_weight, loss)

    def predict_step(self, data: Any) -> Any:
        """Predictions for one batch, given as to ``train_step``."""
        return self(unpack_x_y_sample_weight(data)[0], training=False)

    def _loss_of(self, x: Any, y: Any, y_pred: Any, sample_weight: Any, *, training: bool) -> Any:
        """``compute_loss``; one that was written without ``training`` is called without it."""
        taken = signature(self.compute_loss).parameters.values()
        takes_mode = any(p.name == "training" or p.kind is p.VAR_KEYWORD for p in taken)
        return self.compute_loss(x, y, y_pred, sample_weight, **({"training": training} if takes_mode else {}))

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The scalar to be made small: losses of the outputs, and what layers added."""
        return self._loss(y, y_pred, sample_weight, self._target_names(y_pred), self.losses)

    def _logs_of(self, x: Any, y: Any, y_pred: Any, sample_weight: Any, loss: Any) -> dict[str, Any]:
        """Add the batch to the means of the losses and to the metrics; their values so far."""
        logs = self._loss.track(loss, tree.leaves(x)[0].shape[0])
        return logs | self.compute_metrics(x, y, y_pred, sample_weight)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Add the batch to the metrics; their values so far. Those of the losses stand before them in the logs."""
        names = self._target_names(y_pred)
        logs = self._metrics(self._loss.targets(y, names), y_pred, sample_weight, names)
        trace = current()
        for name, value in trace.metrics if trace is not None else []:
            self._added.setdefault(name, Mean(name=name)).update_state(value)
        return logs | {str(m.name): m.result() for m in (*self._added.values(), *self._held_metrics())}

    def _held_metrics(self) -> list[Metric]:
        """The metrics in attributes of the model and its layers, which these update themselves."""
        if self._held[0] is not Layer.latest:
            latest = Layer.latest
            held = {m: None for layer in self.flatten_layers() for m in vars(layer).values() if isinstance(m, Metric)}
            self._held = latest, list(held)
        return self._held[1]

    def _target_names(self, y_pred: Any) -> list[str]:
        """The names by which targets, losses and metrics of several outputs are given."""
        leaves = tree.leaves(y_pred)
        if isinstance(y_pred, Mapping) and len(y_pred) == len(leaves):
            return list(y_pred)
        if self._graph is not None:
            return self.output_names
        return ["output"] if len(leaves) == 1 else [f"output_{i + 1}" for i in range(len(leaves))]

    def _function(self, kind: str) -> Function:
        """The compiled form of ``train_step``, ``test_step`` or ``predict_step``."""
        if kind not in self._functions:
            step: Callable[[Any], Any] = getattr(self, f"{kind}_step")

            @wraps(step)
            def on_batch(batch: Any) -> Any:
                return step(pack_x_y_sample_weight(*([batch] if kind == "predict" else batch)))

            self._functions[kind] = Function(
                on_batch,
                engine=self.engine,
                symbolic_batch=True,
                training=kind == "train",
                random=self.random_state,
                state=lambda: self._ready,
            )
        return self._functions[kind]

    def _mode(self) -> Any:
        """What a program depends on besides its arguments: which layers are frozen, and the schedule."""
        if self._flat is None:
            self._flat = list(self.flatten_layers())
        rate = None if self.optimizer is None else self.optimizer._rate
        schedule = "" if isinstance(rate, Weight) else repr(rate)  # a number is an input of the program
        return tuple([layer.trainable for layer in self._flat]), schedule

    @property
    def random_state(self) -> RandomState:
        """The seed and count of runs from which dropout and its like draw."""
        if self._random is None:
            self._random = RandomState(self._root_seed())
        return self._random

    def _ensure_ready(self, x: Any) -> None:
        """Build a model that gets its shapes from data, and give the optimizer its slots."""
        latest = Layer.latest, None if self.optimizer is None else self.optimizer._rate
        if self._ready is not None:
            if latest == self._seen:
                return
            if self._ready == self._mode():
                self._seen = latest if latest[1] is None or isinstance(latest[1], Weight) else None
                return
        self._flat = None
        if self._builds_itself():
            self.built = True
        elif not self.built or not all(layer.built for layer in self.layers):
            self(tree.map_leaves(lambda a: a[:1], x))
            self.built = True
            self._example = tree.map_leaves(lambda a: {"dtype": a.dtype.name, "shape": list(a.shape[1:])}, x)
        if self.optimizer is not None:
            self.optimizer.build(self.trainable_weights)
        self._ready = self._mode()

    @property
    def has_own_step(self) -> bool:
        """Whether its class says itself what a training step is."""
        return type(self).train_step is not Trainer.train_step

    # fit, evaluate, predict -------------------------------------------------------------------------------------------

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: PositiveInt | None = None,
        epochs: NonNegativeInt = 1,
        verbose: Annotated[Any, OneOf(("auto", 0, 1, 2))] = "auto",
        callbacks: Sequence[Any] | None = None,
        validation_split: Annotated[float, Number(float, 0, 1, open_high=True)] = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict[Any, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: NonNegativeInt = 0,
        steps_per_epoch: PositiveInt | None = None,
        validation_steps: PositiveInt | None = None,
        validation_batch_size: PositiveInt | None = None,
        validation_freq: Annotated[
            int | Collection[int], Resolved(check_validation_freq, "a whole number >= 1, or several")
        ] = 1,
        check_data: bool = True,
    ) -> History:
        """Train; returns the history of losses and metrics.

        Args:
            x: arrays in any nesting, a data frame, or an iterable of batches ``(x, y)`` or ``(x, y, sample_weight)``.
            y: targets, like ``x``.
            batch_size: rows in a step; 32 unless given.
            epochs: times to go through the data.
            verbose: 0 silent, 1 live, 2 one line for each epoch; "auto" is 1.
            callbacks: called around epochs and batches.
            validation_split: share of the last rows that is held out.
            validation_data: ``(x, y)`` or ``(x, y, sample_weight)`` to evaluate after each epoch, or an iterable of batches.
            shuffle: whether each epoch has another order; it follows from the seed.
            class_weight: how much each class counts, by its number, or its name where the data have names.
            sample_weight: how much each row counts.
            initial_epoch: the epoch to start with.
            steps_per_epoch: steps in an epoch, for iterables without end; over data of a known size an epoch goes on where the one before ended.
            validation_steps: batches of an evaluation.
            validation_batch_size: rows in them.
            validation_freq: evaluate after every so many epochs, or after those in a list, counted from 1.
            check_data: whether mistakes in the data are looked for before the first step.

        Raises:
            DataError: data that cannot be meant; it says where and how to mend it.
            ShapeError: data that does not fit the model.
        """
        self._require_compiled("fit")
        batch_size = check_batch_size(batch_size)
        if type(epochs) is bool or not isinstance(epochs, int | np.integer) or epochs < 0:
            raise ArgumentError("epochs is a whole number.", expected="epochs >= 0", got=repr(epochs))
        validation_freq = check_validation_freq(validation_freq)
        data = adapt(self._on_host(x), y, sample_weight)
        held_out: Arrays | Stream | None = None
        if validation_data is not None:
            held_out = self._adapted(validation_data)
        elif validation_split:
            if not isinstance(data, Arrays):
                raise DataError(
                    "validation_split needs arrays.", expected="arrays", got="an iterable", fix="pass validation_data"
                )
            data, held_out = split_off(data, validation_split)
        if isinstance(data, Arrays):
            self._check(data, check_data)
        if isinstance(held_out, Arrays):
            self._check(held_out, check_data)
        history = History()
        given = list(callbacks or [])
        hooks = CallbackList(
            [*given, history, *([Progress(verbose)] if verbose else [])],
            self,
            {
                "epochs": epochs,
                "steps": steps_of(data, batch_size, steps_per_epoch),
                "verbose": verbose,
                "do_validation": held_out is not None,
            },
        )
        self.stop_training = self.has_finished = False
        self.history = history
        self.resume_at = (initial_epoch, 0)

        def validate(epoch: int) -> Logs:
            is_due = (
                epoch + 1 in validation_freq
                if isinstance(validation_freq, Collection)
                else not (epoch + 1) % validation_freq
            )
            if held_out is None or not is_due:
                return {}
            self._metrics_reset()
            logs = run_test(
                self._step("test"), held_out, validation_batch_size or batch_size, validation_steps,
                self._steps_per_execution, hooks,
            )  # fmt: skip
            return {f"val_{k}": v for k, v in logs.items()}

        def count_epoch(epoch: int) -> Logs:
            self._epochs_done += 1
            return validate(epoch)

        step = self._step("train")

        def begin_epoch() -> None:
            self._metrics_reset()
            step.watch.begin_epoch()

        logs: Logs = {}
        hooks.on_train_begin()
        if isinstance(data, Stream) and self.resume_at != (initial_epoch, 0):
            passes = (self.resume_at[0] - initial_epoch) // epochs_in_pass(data, batch_size, steps_per_epoch)
            data.begin_at(initial_epoch + passes)
        try:
            logs = fit_epochs(
                step,
                data,
                batch_size=batch_size,
                epochs=range(self.resume_at[0], epochs),
                first=initial_epoch,
                skip=self.resume_at[1],
                order=self._order if shuffle else None,
                class_weight=self._class_weights(class_weight),
                steps=steps_per_epoch,
                steps_per_execution=self._steps_per_execution,
                callbacks=hooks,
                begin_epoch=begin_epoch,
                validate=count_epoch,
                is_stopped=lambda: self.stop_training,
            )
            step.watch.end(self._function("train"))
            if self.optimizer is not None:
                self.optimizer.finalize_variable_values(self.trainable_weights)
            self.has_finished = True
        except NonFiniteError as error:
            if not any(isinstance(c, TerminateOnNaN) and not c.raise_error for c in hooks.callbacks):
                raise
            print(error)
            self.stop_training = True
        finally:
            hooks.on_train_end(logs)
        return history

    def _order(self, ago: int, rows: int) -> Array:
        """The order of the rows since ``ago`` epochs; it depends on the seed and the number of epochs trained before."""
        key = [self.random_state.seed, self._epochs_done - ago]
        return np.random.Generator(np.random.Philox(key=key)).permutation(rows)

    def _step(self, kind: str) -> CompiledStep:
        return CompiledStep(self, kind)

    def compile_steps(self, x: Any, y: Any = None, batch_size: int | None = None) -> None:
        """Compile what ``fit`` and ``evaluate`` run for such arrays, and run nothing; they do it themselves if need be."""
        self._require_compiled("compile_steps")
        data, size = adapt(self._on_host(x), y), check_batch_size(batch_size)
        if isinstance(data, Arrays):
            for kind in ("train", "test"):
                self._step(kind).compile(data, size)

    def _metrics_reset(self) -> None:
        for metric in self.metrics:
            metric.reset_state()

    reset_metrics = _metrics_reset

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Sequence[Any] | None = None,
        return_dict: bool = False,
        check_data: bool = True,
    ) -> Any:
        """Loss and metrics over all rows: a number, a list, or a dict with ``return_dict``."""
        self._require_compiled("evaluate")
        data = adapt(self._on_host(x), y, sample_weight)
        if isinstance(data, Arrays):
            self._check(data, check_data)
        self._metrics_reset()
        hooks = CallbackList(callbacks or [], self, {"verbose": verbose})
        size = check_batch_size(batch_size)
        logs = run_test(self._step("test"), data, size, steps, self._steps_per_execution, hooks)
        if verbose not in (0, False):
            print(show_logs(logs))
        return _listed(logs, return_dict)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Sequence[Any] | None = None,
    ) -> Any:
        """Outputs for all rows, as arrays."""
        data = adapt(self._on_host(x))
        size = check_batch_size(batch_size)
        if isinstance(data, Arrays) and not callbacks and steps is None and data.rows <= size:
            return self._step("predict")((data.x, None, None))
        hooks = CallbackList(callbacks or [], self, {"verbose": verbose})
        return run_predict(self._step("predict"), data, size, steps, self._steps_per_execution, hooks)

    def _class_weights(self, given: Any) -> dict[int, float] | None:
        return class_weights(given, None if self.preparation is None else self.preparation.classes)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict[Any, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One training step; loss and metrics of this batch alone."""
        self._require_compiled("train_on_batch")
        self._metrics_reset()
        batch = with_class_weight(
            (as_arrays(self._on_host(x), "x"), as_arrays(y, "y"), as_arrays(sample_weight, "sample_weight")),
            self._class_weights(class_weight),
        )
        return _listed(self._step("train")(batch), return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Loss and metrics of one batch."""
        self._require_compiled("test_on_batch")
        self._metrics_reset()
        batch = (as_arrays(self._on_host(x), "x"), as_arrays(y, "y"), as_arrays(sample_weight, "sample_weight"))
        return _listed(self._step("test")(batch), return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """Outputs for one batch."""
        x = as_arrays(self._on_host(x), "x")
        self._ensure_ready(x)
        return self._function("predict")(x)

    def _adapted(self, data: Any) -> Arrays | Stream:
        """``(x, y)``, ``(x, y, sample_weight)`` or an iterable of batches, as they are used."""
        x, *rest = data if isinstance(data, tuple | list) else (data,)
        return adapt(self._on_host(x), *rest)

    # Checks -----------------------------------------------------------------------------------------------------------

    def check_data(self, x: Any, y: Any = None) -> None:
        """What ``fit`` looks at before the first step: mistakes in the data that would train something else in silence.

        Raises:
            DataError: numbers that are not finite, or targets that do not fit their loss.
            ShapeError: inputs that do not fit.
        """
        self._require_compiled("check_data")
        data = self._adapted((x, y))
        if isinstance(data, Arrays):
            self._check(data, True)

    def check_losses(self) -> None:
        """Warn of an output whose activation does not suit its loss, as ``fit`` does."""
        if self._graph is None or self._compiled is None:
            return
        names = self._target_names(self.output)
        for value, loss, name in zip(self._graph.outputs, self._loss.losses(names), names, strict=True):
            if loss is not None:
                checks.check_activation(loss, activation_of(value), name, value.shape[-1] if value.shape else None)

    def _check(self, data: Arrays, thorough: bool) -> None:
        """Refuse data that cannot be meant, before the first step."""
        self._ensure_ready(data.x)
        if self._graph is not None:
            self._match_inputs(data.x, self._graph)
        if not thorough:
            return
        checks.check_finite(data.x, "x")
        checks.check_finite(data.y, "y")
        checks.check_finite(data.sample_weight, "sample_weight")
        if self._graph is None or data.y is None:
            return
        self.check_targets(data.y)
        self.check_losses()

    def check_targets(self, y: Any) -> None:
        """Refuse targets that do not fit their losses, as ``fit`` does before the first step.

        Raises:
            DataError: wrong classes, one-hot against class numbers, shapes that would broadcast.
        """
        self._require_compiled("check_targets")
        assert self._graph is not None
        names = self._target_names(self.output)
        targets, losses = self._loss.targets(y, names), self._loss.losses(names)
        for value, target, loss, name in zip(self._graph.outputs, targets, losses, names, strict=True):
            if loss is None or target is None:
                continue
            shape = tuple(n if isinstance(n, int) else None for n in value.shape)
            with placed(where=getattr(maker(value), "_span", None)):
                checks.check_target(target, shape, loss, name)


def _listed(logs: Logs, return_dict: bool) -> Any:
    if return_dict:
        return logs
    values = list(logs.values())
    return values[0] if len(values) == 1 else values


__all__ = ["Trainer"]
