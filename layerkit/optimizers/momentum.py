"""Rules that follow the gradient itself, its running mean, its sign, or its orthogonal form."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Annotated, Any

from layerkit import ops
from layerkit.fields import Fraction, NonNegativeFloat, Number, PositiveFloat, PositiveInt
from layerkit.ops.core import dtype_of
from layerkit.optimizers.adam import correction, means
from layerkit.optimizers.base import OPTIMIZERS, Optimizer, slot
from layerkit.optimizers.schedules import LearningRate
from layerkit.trace import Weight


@OPTIMIZERS.add
class SGD(Optimizer):
    """w - lr * g; with momentum v' = momentum * v - lr * g and w + v', or w + momentum * v' - lr * g (Nesterov).

    Args:
        momentum: the share of the last step that is taken again.
        nesterov: whether momentum is Nesterov's.
    """

    learning_rate: LearningRate = 0.01
    momentum: Fraction = 0.0
    nesterov: bool = False

    def make_slots(self, w: Weight) -> dict[str, Weight]:
        return {"momentum": slot(w, "momentum")} if self.momentum else {}

    def update(self, g: Any, w: Any, lr: Any, slots: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if not self.momentum:
            return w - lr * g, {}
        v = slots["momentum"] * self.momentum - lr * g
        return (w + v * self.momentum - lr * g if self.nesterov else w + v), {"momentum": v}


@OPTIMIZERS.add
class Lion(Optimizer):
    """Steps of equal length, by the sign of a running mean of gradients. Source: arXiv:2302.06675.

    Args:
        beta_1: the share of the mean in what the sign is taken of.
        beta_2: the share of the old mean in the new one.
    """

    slot_names = ("momentum",)

    learning_rate: LearningRate = 0.001
    beta_1: Annotated[float, Number(float, 0, 1, open_low=True)] = 0.9
    beta_2: Fraction = 0.99

    def update(self, g: Any, w: Any, lr: Any, slots: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        m = slots["momentum"]
        step = ops.sign(m * self.beta_1 + g * (1.0 - self.beta_1))
        return w - lr * step, {"momentum": m * self.beta_2 + g * (1.0 - self.beta_2)}


@OPTIMIZERS.add
class Muon(Optimizer):
    """Steps for matrices by the nearest orthogonal matrix of their momentum; all other weights go by AdamW.

    Source: Jordan et al. 2024, kellerjordan.github.io/posts/muon; ``rms_rate`` from arXiv:2502.16982.

    Args:
        adam_beta_1: AdamW's share of the old mean of gradients in the new one.
        adam_beta_2: AdamW's share of the old mean of squares in the new one.
        adam_weight_decay: weight decay of the weights that go by AdamW.
        epsilon: AdamW's small number.
        exclude_layers: weights whose path has one of these words in it go by AdamW; name the output layer here.
        exclude_embeddings: whether embeddings go by AdamW.
        muon_a: first coefficient of the polynomial that makes a matrix orthogonal.
        muon_b: second coefficient.
        muon_c: third coefficient.
        adam_lr_ratio: AdamW's learning rate as a multiple of ``learning_rate``.
        momentum: the share of the old momentum in the new one.
        ns_steps: how often the polynomial is applied.
        nesterov: whether momentum is Nesterov's.
        rms_rate: makes steps as large as AdamW's; None turns it off.
    """

    learning_rate: LearningRate = 0.001
    adam_beta_1: Fraction = 0.9
    adam_beta_2: Fraction = 0.999
    adam_weight_decay: NonNegativeFloat | None = 0.004
    epsilon: PositiveFloat = 1e-7
    weight_decay: NonNegativeFloat | None = 0.004
    clipnorm: PositiveFloat | None
    clipvalue: PositiveFloat | None
    global_clipnorm: PositiveFloat | None
    use_ema: bool
    ema_momentum: Fraction
    ema_overwrite_frequency: PositiveInt | None
    loss_scale_factor: PositiveFloat | None
    gradient_accumulation_steps: PositiveInt | None
    name: str | None
    exclude_layers: Any = None
    exclude_embeddings: bool = True
    muon_a: float = 3.4445
    muon_b: float = -4.775
    muon_c: float = 2.0315
    adam_lr_ratio: float = 1
    momentum: Fraction = 0.95
    ns_steps: PositiveInt = 5
    nesterov: bool = True
    rms_rate: float | None = 0.2

    def is_by_adam(self, w: Weight) -> bool:
        """Whether the weight goes by AdamW."""
        words: Sequence[str] = self.exclude_layers or ()
        is_table = self.exclude_embeddings and "embedding" in w.path.lower()
        return w.ndim != 2 or is_table or any(re.search(word, w.path) for word in words)

    def make_slots(self, w: Weight) -> dict[str, Weight]:
        names = ("adam_momentum", "adam_velocity") if self.is_by_adam(w) else ("momentum",)
        return {n: slot(w, n) for n in names}

    def decay_of(self, w: Weight) -> float | None:
        own = super().decay_of(w)
        return own if own is None or not self.is_by_adam(w) else self.adam_weight_decay

    def update(self, g: Any, w: Any, lr: Any, slots: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if "adam_velocity" in slots:
            m, v = means(g, slots["adam_momentum"], slots["adam_velocity"], self.adam_beta_1, self.adam_beta_2)
            rate = lr * self.adam_lr_ratio
            rate = rate * correction(self.adam_beta_1, self.adam_beta_2, ops.cast(self.iterations + 1, dtype_of(g)))
            return w - m * rate / (ops.sqrt(v) + self.epsilon), {"adam_momentum": m, "adam_velocity": v}
        m = slots["momentum"] * self.momentum + g
        step = self._orthogonal(g + m * self.momentum if self.nesterov else m)
        size = 1.0 if self.rms_rate is None else self.rms_rate * math.sqrt(max(w.shape))
        return w - lr * step * size, {"momentum": m}

    def _orthogonal(self, x: Any) -> Any:
        """A matrix near the nearest orthogonal one, by a polynomial in its products (Newton and Schulz)."""
        is_tall = x.shape[0] > x.shape[1]
        x = ops.transpose(x) if is_tall else x
        x = x / (ops.sqrt(ops.sum(ops.square(x))) + 1e-7)
        for _ in range(self.ns_steps):
            a = ops.matmul(x, ops.transpose(x))
            x = self.muon_a * x + ops.matmul(self.muon_b * a + self.muon_c * ops.matmul(a, a), x)
        return ops.transpose(x) if is_tall else x
