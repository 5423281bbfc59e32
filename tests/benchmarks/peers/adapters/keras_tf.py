"""Keras 3 on the tensorflow backend."""

from peers.adapters._keras_common import KerasAdapter
from peers.adapters.base import Skip  # noqa: F401


class Adapter(KerasAdapter):
    backend = "tensorflow"

    @staticmethod
    def env(threads):
        return {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""}
