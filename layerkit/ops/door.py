"""The door through which users reach the functions of ``layerkit.ops``.

On arrays a function computes without NumPy's warnings, for inf and nan are results; and what NumPy or Python say of wrong
arguments becomes an error of ours that names the function.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from layerkit.errors import ArgumentError, LayerkitError, UnknownArgumentError

F = TypeVar("F", bound=Callable[..., Any])

_FOREIGN = (TypeError, ValueError, IndexError, AttributeError, ZeroDivisionError, RuntimeError, MemoryError)
_CALL_BACK = ("layerkit.ops.control", "layerkit.ops.scan")  # they run the user's functions, whose errors are the user's


def public(function: F) -> F:
    """``function`` as users call it."""
    calls_back = function.__module__ in _CALL_BACK
    takes_dtype = "dtype" in _parameters(function)

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            with np.errstate(all="ignore"):
                result = function(*args, **kwargs)
            return result if takes_dtype else _as_short(result, args)
        except LayerkitError:
            raise
        except _FOREIGN as e:
            if calls_back:
                raise
            raise _explained(function, args, kwargs, e) from e

    return run  # type: ignore[return-value]


def _parameters(function: Callable[..., Any]) -> Sequence[str]:
    """The names of its parameters: a signature takes ten times as long, and there are hundreds of functions."""
    code = inspect.unwrap(function).__code__
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def _as_short(result: Any, args: Sequence[Any]) -> Any:
    """``result`` in the 16-bit float that all float arrays in ``args`` have: NumPy makes float32 of it with a Python number."""
    kinds = {a.dtype for a in args if type(a) is np.ndarray and a.dtype.kind in "fV"}
    if len(kinds) != 1 or (kind := kinds.pop()).itemsize != 2:
        return result
    if isinstance(result, tuple):
        return tuple(_as_short(part, args) for part in result)
    is_wide = isinstance(result, np.ndarray | np.generic) and result.dtype.kind == "f" and result.dtype != kind
    return result.astype(kind) if is_wide else result


def _explained(function: Callable[..., Any], args: Any, kwargs: Any, error: Exception) -> LayerkitError:
    signature = inspect.signature(function)
    bare = signature.replace(
        parameters=[p.replace(annotation=p.empty) for p in signature.parameters.values()],
        return_annotation=signature.empty,
    )
    expected = f"{function.__name__}{bare}"
    try:
        signature.bind(*args, **kwargs)
    except TypeError as e:
        return UnknownArgumentError(f"'{function.__name__}': {e}.", expected=expected)
    return ArgumentError(
        f"'{function.__name__}' cannot work with what it was given.", expected=expected, got=str(error)
    )
