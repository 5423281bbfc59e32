"""The native model file: JSON documents and named tensors in, one safe, repeatable file out, and back.

Models call ``write``, ``read`` and ``check``; nothing here knows what a model is. ``archive`` says what the file holds,
``tensors`` how tensors lie in a member, ``container`` how members lie in the zip.
"""

from importlib import import_module
from typing import Any

from layerkit import absent
from layerkit.registry import knowing as custom_object_scope
from layerkit.registry import register_keras_serializable
from layerkit.saving.archive import TEMPORARY, Contents, check, chunks, read, write, write_whole

__all__ = [
    "TEMPORARY", "Contents", "check", "chunks", "custom_object_scope", "read", "register_keras_serializable", "write", "write_whole",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Keras has ``load_model`` and ``save_model`` here too; models stand above, and are looked up when they are asked for."""
    if name in ("load_model", "save_model"):
        return getattr(import_module("layerkit.models"), name)
    raise absent.error(__name__, name)
