"""What holds for everything, under the names of ``keras.config``; layers and functions have ``dtype=`` and ``data_format=``.

Nothing here can be changed: what a program computes is said where it is written. A setter takes what is so, and refuses
anything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from layerkit import absent
from layerkit.errors import ArgumentError
from layerkit.ops.normalization import EPSILON


def backend() -> str:
    """What computes: ``"layerkit"``. Which of its engines does is an argument of ``compile``.

    Example:
        >>> backend()
        'layerkit'
    """
    return "layerkit"


def floatx() -> str:
    """The dtype of floats where none is given.

    Example:
        >>> floatx()
        'float32'
    """
    return "float32"


def epsilon() -> float:
    """What keeps losses and normalizations from dividing by 0.

    Example:
        >>> epsilon()
        1e-07
    """
    return EPSILON


def image_data_format() -> str:
    """The order of the axes of images where none is given.

    Example:
        >>> image_data_format()
        'channels_last'
    """
    return "channels_last"


def set_floatx(value: Any) -> None:
    """Nothing for ``"float32"``.

    Raises:
        ArgumentError: another dtype.
    """
    _keep("floatx", value, floatx(), "write dtype= of the layers that compute in another")


def set_epsilon(value: Any) -> None:
    """Nothing for 1e-7.

    Raises:
        ArgumentError: another number.
    """
    _keep("epsilon", value, epsilon(), "write epsilon= of the layers and functions that have one")


def set_image_data_format(data_format: Any) -> None:
    """Nothing for ``"channels_last"``.

    Raises:
        ArgumentError: another order.
    """
    _keep("image_data_format", data_format, image_data_format(), "write data_format= of the layers that see images")


def _keep(what: str, value: Any, fixed: Any, fix: str) -> None:
    if value != fixed:
        raise ArgumentError(f"'{what}' is the same for all programs.", expected=repr(fixed), got=repr(value), fix=fix)


__all__ = ["backend", "epsilon", "floatx", "image_data_format", "set_epsilon", "set_floatx", "set_image_data_format"]

if not TYPE_CHECKING:  # else any name would do for a type checker
    __getattr__ = absent.getter(__name__)
