"""Losses as metrics: their mean over all samples."""

from __future__ import annotations

from typing import Any, ClassVar

from layerkit import losses, ops
from layerkit.losses.base import match
from layerkit.losses.regression import unit
from layerkit.metrics.base import METRICS, MeanOf


class _MeanLoss(MeanOf):
    _direction = "down"
    loss: ClassVar[Any]

    def values(self, y_true: Any, y_pred: Any) -> Any:
        return type(self).loss(y_true, y_pred)


def _of_loss(cls_name: str, loss: Any, *aliases: str, **settings: Any) -> type[MeanOf]:
    cls = type(
        cls_name,
        (_MeanLoss,),
        {
            "loss": staticmethod(loss),
            "__doc__": f"Mean of the loss {loss.__name__}.",
            "__module__": __name__,
            **settings,
        },
    )
    return METRICS.add(cls, *aliases)


MeanSquaredError = _of_loss("MeanSquaredError", losses.mean_squared_error, "mse", "MSE")
MeanAbsoluteError = _of_loss("MeanAbsoluteError", losses.mean_absolute_error, "mae", "MAE")
MeanAbsolutePercentageError = _of_loss(
    "MeanAbsolutePercentageError", losses.mean_absolute_percentage_error, "mape", "MAPE"
)
MeanSquaredLogarithmicError = _of_loss(
    "MeanSquaredLogarithmicError", losses.mean_squared_logarithmic_error, "msle", "MSLE"
)
LogCoshError = _of_loss("LogCoshError", losses.log_cosh, "logcosh", name="logcosh")
Hinge = _of_loss("Hinge", losses.hinge)
SquaredHinge = _of_loss("SquaredHinge", losses.squared_hinge)
CategoricalHinge = _of_loss("CategoricalHinge", losses.categorical_hinge)
KLDivergence = _of_loss("KLDivergence", losses.kl_divergence, "kld", "KLD")
Poisson = _of_loss("Poisson", losses.poisson)


class BinaryCrossentropy(MeanOf):
    """Mean of the loss binary_crossentropy.

    Args:
        name: its name in logs.
        dtype: not used; there for Keras.
        from_logits: whether the prediction is before the sigmoid.
        label_smoothing: moves targets this share of the way to 0.5.
    """

    _direction = "down"

    name: str | None = "binary_crossentropy"
    dtype: Any = None
    from_logits: bool = False
    label_smoothing: float = 0

    def values(self, y_true: Any, y_pred: Any) -> Any:
        return losses.binary_crossentropy(y_true, y_pred, self.from_logits, self.label_smoothing)


class CategoricalCrossentropy(MeanOf):
    """Mean of the loss categorical_crossentropy.

    Args:
        name: its name in logs.
        dtype: not used; there for Keras.
        from_logits: whether the prediction is before the softmax.
        label_smoothing: moves targets this share of the way to equal probabilities.
        axis: the axis of the classes.
    """

    _direction = "down"

    name: str | None = "categorical_crossentropy"
    dtype: Any = None
    from_logits: bool = False
    label_smoothing: float = 0
    axis: int = -1

    def values(self, y_true: Any, y_pred: Any) -> Any:
        return losses.categorical_crossentropy(y_true, y_pred, self.from_logits, self.label_smoothing, self.axis)


class SparseCategoricalCrossentropy(MeanOf):
    """Mean of the loss sparse_categorical_crossentropy.

    Args:
        name: its name in logs.
        dtype: not used; there for Keras.
        from_logits: whether the prediction is before the softmax.
        ignore_class: a target that does not count.
        axis: the axis of the classes.
    """

    _direction = "down"

    name: str | None = "sparse_categorical_crossentropy"
    dtype: Any = None
    from_logits: bool = False
    ignore_class: int | None = None
    axis: int = -1

    def values(self, y_true: Any, y_pred: Any) -> Any:
        return losses.sparse_categorical_crossentropy(y_true, y_pred, self.from_logits, self.ignore_class, self.axis)


class CosineSimilarity(MeanOf):
    """Mean cosine of the angle between target and prediction: 1 is alike, -1 is opposite (the loss has the other sign).

    Args:
        name: its name in logs.
        dtype: not used; there for Keras.
        axis: the axis of the vectors.

    Example:
        >>> float(CosineSimilarity()([[1.0, 0.0]], [[3.0, 0.0]]))
        1.0
    """

    _direction = "up"

    name: str | None = "cosine_similarity"
    dtype: Any = None
    axis: int = -1

    def values(self, y_true: Any, y_pred: Any) -> Any:
        y_true, y_pred = match(y_true, y_pred, str(self.name))
        return ops.sum(unit(y_true, self.axis) * unit(y_pred, self.axis), self.axis)


METRICS.add(BinaryCrossentropy, "bce", "BCE")
METRICS.add(CategoricalCrossentropy)
METRICS.add(SparseCategoricalCrossentropy)
METRICS.add(CosineSimilarity)
