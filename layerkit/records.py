"""``dataclass`` as Python has it, for a program that has hundreds of them and uses a few.

Python writes and compiles six methods for each class, which takes half a millisecond: a tenth of the time in which a spec is
checked went into that. Here only ``__init__`` is compiled, when the first object is made; the other methods are the same
functions for all classes, or know the names of the fields. Threads that make the first object at one time write the same
``__init__`` twice. To Python all these classes are not frozen: one of ``dataclasses.dataclass(frozen=True)`` derives from none.
There is no ``InitVar`` here, and a field that ``__init__`` does not take has a default, or its class an ``__init__`` of its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(
        cls: type | None = None, *, frozen: bool = False, eq: bool = True, init: bool = True
    ) -> type | Callable[[type], type]:
        """``dataclasses.dataclass``; what stands in the class itself stays."""

        def wrap(cls: type) -> type:
            own = dict(vars(cls))
            cls.__doc__ = cls.__doc__ or cls.__name__  # else Python looks for a signature to put there
            dataclasses.dataclass(init=False, repr=False, eq=False)(cls)
            for name, method in _methods(cls, frozen=frozen, eq=eq, init=init).items():
                if own.get(name) is None:  # beside an own __eq__ Python puts a __hash__ that is None
                    setattr(cls, name, method)
            return cls

        return wrap if cls is None else wrap(cls)


def _methods(cls: Any, *, frozen: bool, eq: bool, init: bool) -> dict[str, Any]:
    """The methods that a class gets, unless it has its own."""
    made: dict[str, Any] = {"__repr__": _repr}
    if init:
        made["__init__"] = _first_init(cls, frozen)
    if frozen:
        made |= {"__setattr__": _refuse, "__delattr__": _refuse}
    if eq:
        key = _key([f.name for f in dataclasses.fields(cls) if f.compare])
        made["__eq__"] = lambda self, other: (
            self is other or (key(self) == key(other) if type(other) is type(self) else NotImplemented)
        )
        made["__hash__"] = (lambda self: hash(key(self))) if frozen else None
    return made


def _key(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    """The values of some fields of an object."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda self: tuple([getattr(self, name) for name in names])


@recursive_repr()
def _repr(self: Any) -> str:
    shown = [f"{f.name}={getattr(self, f.name)!r}" for f in dataclasses.fields(self) if f.repr]
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _refuse(self: Any, name: str, *_: Any) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"the field {name!r} is frozen")


def _first_init(cls: Any, frozen: bool) -> Callable[..., None]:
    """An ``__init__`` that puts the one that it writes in its place."""

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        cls.__init__ = written = _written_init(cls, frozen)
        written(self, *args, **kwargs)

    return init


def _written_init(cls: Any, frozen: bool) -> Callable[..., None]:
    """The function that takes the fields and sets them."""
    fields = [f for f in dataclasses.fields(cls) if f.init]
    known: dict[str, Any] = {"_put": object.__setattr__, "_UNSET": object()}
    usual: list[str] = ["self"]
    by_keyword: list[str] = []
    body: list[str] = []
    for f in fields:
        taken, value, default = f.name, f.name, f"_default_{f.name}"
        if f.default is not dataclasses.MISSING:
            known[default] = f.default
            taken = f"{f.name}={default}"
        elif f.default_factory is not dataclasses.MISSING:
            known[default] = f.default_factory
            taken, value = f"{f.name}=_UNSET", f"{default}() if {f.name} is _UNSET else {f.name}"
        (by_keyword if f.kw_only else usual).append(taken)
        body.append(f"_put(self, {f.name!r}, {value})" if frozen else f"self.{f.name} = {value}")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    head = ", ".join([*usual, *["*"][: len(by_keyword)], *by_keyword])
    exec(f"def __init__({head}):\n " + "\n ".join(body or ["pass"]), known)
    written: Callable[..., None] = known["__init__"]
    written.__qualname__ = f"{cls.__qualname__}.__init__"
    written.__annotations__ = {f.name: f.type for f in fields} | {"return": None}
    return written
