"""The native model file: JSON documents and named tensors in, one safe, repeatable file out, and back.

Models call ``write``, ``read`` and ``check``; nothing here knows what a model is. ``archive`` says what the file holds,
``tensors`` how tensors lie in a member, ``container`` how members lie in the zip.
"""

from layerkit.saving.archive import TEMPORARY, Contents, check, read, write, write_whole

__all__ = ["TEMPORARY", "Contents", "check", "read", "write", "write_whole"]
