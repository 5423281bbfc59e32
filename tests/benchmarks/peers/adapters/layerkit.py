"""layerkit, driven like Keras."""

from peers.adapters._keras_common import KerasAdapter
from peers.adapters.base import Skip  # noqa: F401


class Adapter(KerasAdapter):
    notes = "train_on_batch; fit_step_s is model.fit"

    def __init__(self, threads):
        import layerkit

        if hasattr(layerkit, "set_threads"):
            layerkit.set_threads(threads)
        self.keras = layerkit
        self.versions = {"layerkit": layerkit.__version__}
