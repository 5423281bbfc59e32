"""Keras 3 on the torch backend."""

from peers.adapters._keras_common import KerasAdapter
from peers.adapters.base import Skip  # noqa: F401


class Adapter(KerasAdapter):
    backend = "torch"
