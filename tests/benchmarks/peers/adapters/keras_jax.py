"""Keras 3 on the jax backend."""

from peers.adapters._keras_common import KerasAdapter
from peers.adapters.base import Skip  # noqa: F401


class Adapter(KerasAdapter):
    backend = "jax"

    @staticmethod
    def env(threads):
        e = {"JAX_PLATFORMS": "cpu"}
        if threads == 1:
            e["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
        return e
