"""Metrics: numbers over all batches so far, whose state is part of the step's graph."""

from __future__ import annotations

from typing import Any

from layerkit import losses
from layerkit.errors import UnknownNameError, did_you_mean
from layerkit.losses import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from layerkit.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from layerkit.metrics.base import METRICS, Mean, MeanMetricWrapper, Metric, RootMeanSquaredError, Sum
from layerkit.metrics.confusion import (
    AUC,
    FalseNegatives,
    FalsePositives,
    Precision,
    PrecisionAtRecall,
    Recall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    TrueNegatives,
    TruePositives,
)
from layerkit.metrics.errors import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from layerkit.metrics.overlap import BinaryIoU, F1Score, FBetaScore, IoU, MeanIoU, OneHotIoU, OneHotMeanIoU
from layerkit.metrics.regression import (
    ConcordanceCorrelation,
    PearsonCorrelation,
    R2Score,
    concordance_correlation,
    pearson_correlation,
)
from layerkit.registry import named

_BY_SHAPE = {
    "accuracy": (BinaryAccuracy, SparseCategoricalAccuracy, CategoricalAccuracy),
    "acc": (BinaryAccuracy, SparseCategoricalAccuracy, CategoricalAccuracy),
    "crossentropy": (BinaryCrossentropy, SparseCategoricalCrossentropy, CategoricalCrossentropy),
    "ce": (BinaryCrossentropy, SparseCategoricalCrossentropy, CategoricalCrossentropy),
}


def check_name(identifier: Any) -> None:
    """Refuse a misspelt metric at once; the shapes that "accuracy" needs are known later.

    Raises:
        UnknownNameError: there is no metric or loss of that name.
    """
    if not isinstance(identifier, str) or identifier in _BY_SHAPE or _loss(identifier) is not None:
        return
    try:
        METRICS.find(identifier)
    except UnknownNameError as error:
        error.fix = did_you_mean(identifier, [*METRICS.classes, *METRICS.aliases, *_BY_SHAPE])
        raise


def _loss(name: str) -> Any:
    """The function of a loss that is no metric by the same name."""
    try:
        METRICS.find(name)
    except UnknownNameError:
        try:
            return losses.LOSSES.make(name).call
        except UnknownNameError:
            return None
    return None


def get(identifier: Any, target: Any = None, output: Any = None) -> Metric:
    """The metric that a name, a mapping, an object or a function stands for.

    "accuracy" and "crossentropy" depend on the shapes of target and output, as in Keras. Any loss is a metric too: the
    mean of its values.

    Example:
        >>> get("auc"), get("huber").name
        (AUC(), 'huber')
    """
    identifier = named(identifier)
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, losses.Loss):
        return MeanMetricWrapper(identifier.call, name=identifier.name)
    if isinstance(identifier, str) and identifier in _BY_SHAPE and output is not None:
        binary, sparse, categorical = _BY_SHAPE[identifier]
        is_sparse = len(target) < len(output) or (target[-1] == 1 and output[-1] != 1)
        return (binary if output[-1] == 1 else sparse if is_sparse else categorical)(name=identifier)
    if callable(identifier) and not isinstance(identifier, type):
        return MeanMetricWrapper(identifier)
    loss = _loss(identifier) if isinstance(identifier, str) else None
    found = METRICS.make(identifier) if loss is None else MeanMetricWrapper(loss)
    if isinstance(identifier, str):
        found.name = identifier
    return found  # type: ignore[no-any-return]


serialize, deserialize = METRICS.serialize, METRICS.deserialize
