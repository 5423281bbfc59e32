"""Numbers brought to a common scale, and numbers turned into categories."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import numpy as np

from layerkit import ops
from layerkit.errors import ArgumentError, DataError, ShapeError, StateError
from layerkit.fields import Numbers, OneOf, PositiveFloat, PositiveInt
from layerkit.ir import Size
from layerkit.layers.base import Layer
from layerkit.ops.core import axes_of, dtype_of
from layerkit.trace import Weight

EPSILON = 1e-7  # the least standard deviation that is divided by

OutputMode = Annotated[str, OneOf(("int", "one_hot", "multi_hot", "count"))]
NotSparse = Annotated[bool, OneOf((False,))]


class Rescaling(Layer):
    """inputs * scale + offset, each a number or one for each channel.

    Example:
        >>> Rescaling(1 / 255)(np.array([0, 255], "uint8"))
        array([0., 1.], dtype=float32)
    """

    scale: Annotated[Any, Numbers()]
    offset: Annotated[Any, Numbers()] = 0.0

    def call(self, inputs: Any) -> Any:
        kind = self.compute_dtype
        return ops.cast(inputs, kind) * np.asarray(self.scale, kind) + np.asarray(self.offset, kind)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return previous_mask


class Normalization(Layer):
    """(inputs - mean) / standard deviation, both known beforehand, or learned by ``adapt`` from data.

    Shapes:
        inputs: any with known sizes along ``axis``    returns: the same
        mean, variance: the sizes along ``axis``    count: ()
    Args:
        axis: the axes with a mean and variance of their own for each place; None: one of all.
        mean: the mean, if it is known; then there are no weights.
        variance: the variance, if it is known.
        invert: whether normal numbers are brought back: inputs * standard deviation + mean.

    Example:
        >>> layer = Normalization()
        >>> layer.adapt(np.array([[0.0], [2.0]]))
        >>> layer(np.array([[4.0]]))
        array([[3.]], dtype=float32)
    """

    axis: Any = -1
    mean: Any = None
    variance: Any = None
    invert: bool = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if (self.mean is None) != (self.variance is None):
            raise ArgumentError("mean and variance go together.", expected="both or neither", got=repr(self))

    def build(self, input_shape: Any) -> None:
        if self.is_given:
            kept = self._kept(len(input_shape))
            wide = tuple(n if i in kept else 1 for i, n in enumerate(input_shape))
            self.mean, self.variance = (
                np.broadcast_to(np.asarray(self.config[k], self.compute_dtype), [wide[a] for a in kept]).reshape(wide)
                for k in ("mean", "variance")
            )
            return
        shape = tuple(input_shape[a] for a in self._kept(len(input_shape)))
        self.adapted_mean = self.add_weight(shape, "zeros", trainable=False, name="mean")
        self.adapted_variance = self.add_weight(shape, "ones", trainable=False, name="variance")
        self.count = self.add_weight((), "zeros", "int32", trainable=False, name="count")

    @property
    def is_given(self) -> bool:
        """Whether mean and variance were arguments."""
        return self.config.get("mean") is not None

    def _kept(self, rank: int) -> tuple[int, ...]:
        return () if self.axis is None else axes_of(self.axis, rank, "Normalization")

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Learn mean and variance from ``data``: an array, or an iterable of batches. What was learned before is forgotten.

        Args:
            data: arrays with the batch in front.
            batch_size: accepted, does nothing.
            steps: batches to look at, by default all.

        Raises:
            StateError: mean and variance were given.
        """
        if self.is_given:
            raise StateError("mean and variance are given.", layer=self.describe(), fix="leave them out to adapt")
        count, total, squares = 0, np.float64(0), np.float64(0)
        shape: tuple[int, ...] = ()
        for batch in batches_of(data, steps):
            x = np.asarray(batch, "float64")
            self._check_batch(x.shape, shape)
            if not x.size:
                continue
            kept = self._kept(x.ndim)
            gone = tuple(i for i in range(x.ndim) if i not in kept)
            if not self.built:
                self.build((None, *x.shape[1:]) if 0 not in kept else x.shape)
            n = int(np.prod([x.shape[i] for i in gone]))
            mean, variance = x.mean(gone), x.var(gone)
            shape = tuple(m if i in kept else 1 for i, m in enumerate(x.shape))
            delta = mean - total  # Chan, Golub and LeVeque 1979: moments of two parts joined
            squares = squares + variance * n + delta**2 * (count * n / (count + n))
            total = total + delta * (n / (count + n))
            count += n
        if not count:
            raise DataError("there is no data.", expected="at least one row", got="none")
        self.adapted_mean.array, self.adapted_variance.array = total, squares / count
        self.count.array = np.asarray(count)
        self.mean, self.variance = (w.numpy().reshape(shape) for w in (self.adapted_mean, self.adapted_variance))

    def _check_batch(self, shape: tuple[int, ...], before: tuple[int, ...]) -> None:
        """Batches have rows, and the same places along ``axis``."""
        if not shape:
            raise ArgumentError("a batch is an array of rows.", expected="at least one axis", got="a number")
        kept = self._kept(len(shape))
        if before and tuple(n if i in kept else 1 for i, n in enumerate(shape)) != before:
            raise ShapeError("batches differ in shape.", expected=f"as {before} along axis={self.axis}", got=str(shape))

    def call(self, inputs: Any) -> Any:
        kind, kept = self.compute_dtype, self._kept(inputs.ndim)
        along = tuple(n if i in kept else 1 for i, n in enumerate(inputs.shape))
        mean, variance = self.mean, self.variance
        if not self.is_given:
            mean, variance = (ops.reshape(w, along) for w in (self.adapted_mean, self.adapted_variance))
        deviation = ops.maximum(ops.sqrt(variance), EPSILON)
        x = ops.cast(inputs, kind)
        return x * deviation + mean if self.invert else (x - mean) / deviation

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return previous_mask


Normalization.__init__._is_declared = True  # type: ignore[attr-defined]


def batches_of(data: Any, steps: int | None = None) -> Iterable[Any]:
    """An array, or a list of rows, as one batch; batches, or tuples (inputs, ...) of them, as the first ``steps`` of them."""
    if hasattr(data, "to_numpy"):
        data = data.to_numpy()
    is_batches = isinstance(data, Sequence) and any(
        isinstance(x, np.ndarray | tuple) and len(x) and np.ndim(x[0]) for x in data
    )
    if isinstance(data, np.ndarray | Sequence) and not is_batches:
        yield np.asarray(data)
        return
    for i, batch in enumerate(data):
        if steps is not None and i >= steps:
            return
        yield np.asarray(batch[0] if isinstance(batch, tuple) else batch)


# Categories ----------------------------------------------------------------------------------------------------------


def encoded(numbers: Any, tokens: int, mode: str, dtype: str, weights: Any = None) -> Any:
    """Categories as vectors of ``tokens``: one for each number ("one_hot"), or one for all along the last axis.

    >>> encoded(np.array([[0, 2, 2]]), 3, "multi_hot", "float32"), encoded(np.array([[0, 2, 2]]), 3, "count", "float32")
    (array([[1., 0., 1.]], dtype=float32), array([[1., 0., 2.]], dtype=float32))
    """
    if numbers.ndim == 0:
        numbers = ops.reshape(numbers, (1,))
    if mode == "one_hot":
        lone = numbers.ndim > 1 and isinstance(numbers.shape[-1], int) and numbers.shape[-1] == 1
        return ops.one_hot(ops.squeeze(numbers, -1) if lone else numbers, tokens, dtype=dtype)
    hot = ops.one_hot(numbers, tokens, dtype=dtype)
    if weights is not None:
        hot = hot * ops.expand_dims(ops.cast(weights, dtype), -1)
    counts = ops.sum(hot, -2)
    return ops.minimum(counts, 1) if mode == "multi_hot" else counts


def encoded_shape(shape: tuple[Size, ...], tokens: int, mode: str) -> tuple[Size, ...]:
    """The shape of ``encoded`` numbers of that shape."""
    if mode == "int":
        return shape
    if mode == "one_hot":
        return (*(shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape), tokens)
    return (*shape[:-1], tokens)


class CategoryEncoding(Layer):
    """Whole numbers in [0, num_tokens) as vectors.

    Args:
        num_tokens: how many categories there are.
        output_mode: "one_hot" makes a vector of each number, "multi_hot" and "count" one of all along the last axis.
        sparse: not available.

    Example:
        >>> CategoryEncoding(3, "one_hot")(np.array([2, 0]))
        array([[0., 0., 1.],
               [1., 0., 0.]], dtype=float32)
    """

    num_tokens: PositiveInt
    output_mode: Annotated[str, OneOf(("one_hot", "multi_hot", "count"))] = "multi_hot"
    sparse: NotSparse = False

    def call(self, inputs: Any, count_weights: Any = None) -> Any:
        if count_weights is not None and self.output_mode != "count":
            raise ArgumentError(
                "'count_weights' are for counting.", expected='output_mode="count"', got=repr(self.output_mode)
            )
        numbers = inputs if dtype_of(inputs) in ("int32", "int64") else ops.cast(inputs, "int32")
        return encoded(numbers, self.num_tokens, self.output_mode, self.compute_dtype, count_weights)


class Discretization(Layer):
    """Numbers as the numbers of the bins in which they lie.

    Bin i holds x with bin_boundaries[i - 1] <= x < bin_boundaries[i]; the first and last are open.

    Args:
        bin_boundaries: where a bin ends and the next begins, increasing.
        num_bins: in place of boundaries: how many bins ``adapt`` makes, with as many numbers in each.
        epsilon: accepted; quantiles are exact.
        output_mode: "int", or a vector as ``CategoryEncoding`` makes it.
        sparse: not available.

    Example:
        >>> Discretization([0.0, 1.0])(np.array([-1.0, 0.0, 5.0]))
        array([0, 1, 2], dtype=int32)
    """

    bin_boundaries: Any = None
    num_bins: PositiveInt | None = None
    epsilon: PositiveFloat = 0.01
    output_mode: OutputMode = "int"
    sparse: NotSparse = False

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls, *args, **kwargs)
        given, bins = (self._config.get(k) for k in ("bin_boundaries", "num_bins"))
        if (given is None) == (bins is None):
            raise ArgumentError(
                "bins are given by their boundaries or their number.",
                expected="bin_boundaries or num_bins", got=str(self._config),
            )  # fmt: skip
        return self

    def build(self, input_shape: Any) -> None:
        if self.num_bins is not None:  # kept as a weight is, so that programs see what adapt changes
            self.boundaries = Weight(
                (self.num_bins - 1,), self.compute_dtype, path=lambda: f"{self.path}/boundaries", trainable=False
            )

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Choose boundaries between which equally many of the numbers lie.

        Args:
            data: an array, or an iterable of batches.
            batch_size: accepted, does nothing.
            steps: batches to look at, by default all.

        Raises:
            StateError: the boundaries were given.
        """
        if self.num_bins is None:
            raise StateError("the boundaries are given.", layer=self.describe(), fix="give num_bins to adapt")
        x = np.sort(np.concatenate([np.ravel(b).astype("float64") for b in batches_of(data, steps)]))
        if not x.size:
            raise DataError("there is no data.", expected="at least one number", got="none")
        shares = np.arange(1, self.num_bins) / self.num_bins
        self.set_state(np.interp(shares, np.arange(1, x.size + 1) / x.size, x).tolist())

    def call(self, inputs: Any) -> Any:
        if self.bin_boundaries is None:
            raise StateError("the bins are not known yet.", layer=self.describe(), fix="call adapt(data) first")
        bounds: Any = np.asarray(self.bin_boundaries, self.compute_dtype)
        if self.num_bins is not None:
            bounds = self.boundaries.value
        x = ops.expand_dims(ops.cast(inputs, self.compute_dtype), -1)
        numbers = ops.sum(ops.cast(x >= bounds, "int32"), -1)
        if self.output_mode == "int":
            return numbers
        return encoded(numbers, bounds.shape[0] + 1, self.output_mode, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the output, before ``adapt`` too."""
        return encoded_shape(tuple(input_shape), self.num_bins or len(self.bin_boundaries) + 1, self.output_mode)

    def get_state(self) -> Any:
        """What ``adapt`` learned, for files."""
        return None if self.num_bins is None else self.bin_boundaries

    def set_state(self, state: Any) -> None:
        """Take over what ``get_state`` returned."""
        if not self.built:
            self.build(None)
        self.bin_boundaries = list(state)
        self.boundaries.array = self.bin_boundaries
