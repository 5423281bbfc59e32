"""torch.compile (inductor, needs a C++ compiler) of forward and loss, fused Adam."""

from peers.adapters.base import Skip  # noqa: F401
from peers.adapters.torch_eager import Adapter as Eager


class Adapter(Eager):
    fused = True
    compile = True
    notes = "inductor, default mode; fused Adam outside the compiled graph"
