"""torch, eager, with the two usual settings: fused Adam and channels_last for images."""

from peers.adapters.base import Skip  # noqa: F401
from peers.adapters.torch_eager import Adapter as Eager


class Adapter(Eager):
    fused = True
    channels_last = True
    notes = "eager; fused Adam, channels_last"
