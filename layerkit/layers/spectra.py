"""Sounds as pictures of their frequencies over time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from layerkit import ops
from layerkit.errors import ArgumentError, ShapeError
from layerkit.fields import NonNegativeFloat, PositiveFloat, PositiveInt
from layerkit.ir import Array, show_shape
from layerkit.layers.base import Layer


class MelSpectrogram(Layer):
    """The power of a sound in bands that are as wide as the ear hears them, over time.

    Shapes:
        inputs: (batch, samples), or (samples,)    returns: (batch, num_mel_bins, samples // sequence_stride + 1), or without batch
    Args:
        fft_length: samples that are transformed together.
        sequence_stride: samples from one window to the next.
        sequence_length: samples of a window; ``fft_length`` unless given.
        window: "hann", "hamming", weights, or None.
        sampling_rate: samples in a second.
        num_mel_bins: how many bands.
        min_freq: where the first begins, in Hz.
        max_freq: where the last ends; half the sampling rate unless given.
        power_to_db: whether powers become decibels: 10 log10(power / ref_power).
        top_db: how far below the loudest decibels end.
        mag_exp: what magnitudes are raised to: 1 for magnitudes, 2 for powers.
        min_power: the least power, and the least ``ref_power``.
        ref_power: the power of 0 decibels.
    Source: Stevens, Volkmann and Newman 1937; mel = 1127 ln(1 + f / 700), O'Shaughnessy 1987.

    Example:
        >>> MelSpectrogram(256, 64, num_mel_bins=20)(np.sin(np.arange(640.0))).shape
        (20, 11)
    """

    fft_length: PositiveInt = 2048
    sequence_stride: PositiveInt = 512
    sequence_length: PositiveInt | None = None
    window: Any = "hann"
    sampling_rate: PositiveInt = 16000
    num_mel_bins: PositiveInt = 128
    min_freq: NonNegativeFloat = 20.0
    max_freq: PositiveFloat | None = None
    power_to_db: bool = True
    top_db: NonNegativeFloat = 80.0
    mag_exp: PositiveFloat = 2.0
    min_power: PositiveFloat = 1e-10
    ref_power: PositiveFloat = 1.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.min_freq < self.highest or (self.sequence_length or 1) > self.fft_length:
            raise ArgumentError(
                "the bands or the windows are none.", layer=type(self).__name__,
                expected="min_freq < max_freq, sequence_length <= fft_length",
                got=f"{self.min_freq}, {self.highest}; {self.sequence_length}, {self.fft_length}",
            )  # fmt: skip

    @property
    def highest(self) -> float:
        """Where the last band ends."""
        return self.max_freq or self.sampling_rate / 2

    def call(self, inputs: Any) -> Any:
        if inputs.ndim not in (1, 2):
            raise ShapeError("a sound is a row of samples.", expected="(batch, samples)", got=show_shape(inputs.shape))
        length = self.sequence_length or self.fft_length
        real, imaginary = ops.stft(inputs, length, self.sequence_stride, self.fft_length, self.window)
        power = ops.square(real) + ops.square(imaginary)
        power = power if self.mag_exp == 2 else ops.power(power, self.mag_exp / 2)
        bands = ops.swapaxes(ops.matmul(power, self._bands().astype(self.compute_dtype)), -1, -2)
        return self._decibels(bands) if self.power_to_db else bands

    def _bands(self) -> Array:
        """How much each frequency counts for each band, by triangles that overlap by half: (frequencies, bands)."""

        def mel(frequency: Any) -> Any:
            return 1127.0 * np.log1p(np.asarray(frequency) / 700.0)

        count = self.fft_length // 2 + 1
        at = mel(np.linspace(0.0, self.sampling_rate / 2, count))[:, None]
        edges = np.linspace(mel(self.min_freq), mel(self.highest), self.num_mel_bins + 2)
        low, middle, high = edges[:-2], edges[1:-1], edges[2:]
        weights = np.maximum(0.0, np.minimum((at - low) / (middle - low), (high - at) / (high - middle)))
        weights[0] = 0.0  # no frequency at all is no sound
        return weights

    def _decibels(self, power: Any) -> Any:
        found = ops.log10(ops.maximum(power, self.min_power)) * 10.0 - 10.0 * math.log10(
            max(self.min_power, self.ref_power)
        )
        return ops.maximum(found, ops.max(found) - self.top_db)


MelSpectrogram.__init__._is_declared = True  # type: ignore[attr-defined]
