"""Names for objects: ``"adam"``, ``"Adam"`` and ``{"Adam": {"learning_rate": 0.01}}`` all mean an ``Adam``.

A registry knows its classes by their own names and by lower-case aliases. The one-key mapping is the form that YAML
files and model files use.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, TypeVar

from layerkit.errors import ArgumentError, UnknownNameError, did_you_mean
from layerkit.fields import Configurable

T = TypeVar("T", bound=type)

_OWN: ContextVar[Mapping[str, Any]] = ContextVar("own", default={})  # noqa: B039  (never changed)
_REGISTERED: dict[str, Any] = {}


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[Any], Any]:
    """A decorator for classes and functions of one's own: models that use them are read without ``custom_objects``.

    Args:
        package: stands in front of the name: "package>name" means it too.
        name: the name in files, by default its own.
    """

    def register(thing: Any) -> Any:
        _REGISTERED[name or thing.__name__] = _REGISTERED[f"{package}>{name or thing.__name__}"] = thing
        return thing

    return register


def own(name: Any) -> Any:
    """What the user calls so (``knowing``, ``register_keras_serializable``); None if there is nothing."""
    return (_OWN.get().get(name) or _REGISTERED.get(name)) if isinstance(name, str) else None


def named(identifier: Any) -> Any:
    """The user's own function of that name, where there is one; else ``identifier`` as it is."""
    found = own(identifier)
    return identifier if found is None or isinstance(found, type) else found


def with_own(plain: Any) -> Any:
    """What ``serialize`` made plain, with the user's own functions and objects in place of their names."""
    if isinstance(plain, list):
        return [with_own(v) for v in plain]
    if not isinstance(plain, Mapping):
        return named(plain)
    mine = own(next(iter(plain))) if len(plain) == 1 else None
    if isinstance(mine, type):
        return mine(**next(iter(plain.values())))
    return {k: with_own(v) for k, v in plain.items()}


@contextmanager
def knowing(custom_objects: Mapping[str, Any] | None) -> Iterator[None]:
    """Inside, registries find users' own classes by these names too."""
    token = _OWN.set({**_OWN.get(), **(custom_objects or {})})
    try:
        yield
    except UnknownNameError as error:
        hint = (
            f"your own go into custom_objects={{{error.got!r}: ...}}, or are registered (register_keras_serializable)"
        )
        error.fix = f"{error.fix}; {hint}" if error.fix else hint
        raise
    finally:
        _OWN.reset(token)


_WORD, _CASE, _ODD = re.compile(r"(.)([A-Z][a-z]+)"), re.compile(r"([a-z])([A-Z])"), re.compile(r"\W+")


@cache
def snake_case(name: str) -> str:
    """A class name as Keras turns it into a default name.

    >>> snake_case("Conv2D"), snake_case("MaxPooling2D"), snake_case("LSTM"), snake_case("GlobalAveragePooling1D")
    ('conv2d', 'max_pooling2d', 'lstm', 'global_average_pooling1d')
    """
    name = _WORD.sub(r"\1_\2", _ODD.sub("", name).lstrip("_"))
    return _CASE.sub(r"\1_\2", name).lower()


class Registry:
    """The classes of one kind of thing."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.classes: dict[str, type] = {}
        self.aliases: dict[str, str] = {}

    def add(self, cls: T, *aliases: str) -> T:
        """Know ``cls`` by its name, in any case and with underscores, and by ``aliases``."""
        self.classes[cls.__name__] = cls
        for alias in (snake_case(cls.__name__), *aliases):
            self.aliases[alias] = cls.__name__
        return cls

    @property
    def names(self) -> list[str]:
        """All names of classes, with their aliases."""
        return [*self.classes, *self.aliases]

    @property
    def base(self) -> type:
        """The class of which all are subclasses, users' own too."""
        bases = next(iter(self.classes.values())).__mro__
        return bases[bases.index(Configurable) - 1]

    def find(self, name: str) -> type:
        """The class of that name.

        Raises:
            UnknownNameError: there is none; the fix names the nearest.
        """
        mine = own(name)
        if isinstance(mine, type) and issubclass(mine, self.base):
            return mine
        found = self.classes.get(name) or self.classes.get(self.aliases.get(name, ""))
        if found is None:
            folded = {k.lower(): k for k in self.classes}
            found = self.classes.get(folded.get(name.lower().replace("_", ""), ""))
        if found is None:
            raise UnknownNameError(f"there is no {self.kind} '{name}'.", got=name, fix=did_you_mean(name, self.names))
        return found

    def make(self, identifier: Any) -> Any:
        """The object that ``identifier`` names: an object, a class, a name, or ``{name: arguments}``."""
        if isinstance(identifier, str):
            return self.find(identifier)()
        if isinstance(identifier, Mapping):
            if set(identifier) >= {"class_name", "config"}:  # Keras's form
                return self.find(identifier["class_name"]).from_config(identifier["config"])  # type: ignore[attr-defined]
            if len(identifier) == 1:
                ((name, arguments),) = identifier.items()
                cls = self.find(name)
                if isinstance(arguments, Mapping):
                    return cls(**arguments)
                return cls() if arguments is None else cls(arguments)
        if isinstance(identifier, type) and issubclass(identifier, self.base):
            return identifier()
        if isinstance(identifier, self.base):
            return identifier
        raise ArgumentError(
            f"this is no {self.kind}.",
            expected=f"a name, or {{name: arguments}}, of a {self.kind}",
            got=repr(identifier),
        )

    def serialize(self, thing: Any) -> Any:
        """``thing`` as plain data in Keras's form: its class's name and its arguments; a function as its name."""
        if isinstance(thing, Configurable):
            return {"class_name": type(thing).__name__, "config": serialize(thing.get_config())}
        return serialize(thing)

    def deserialize(self, config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
        """What ``serialize`` made plain; classes of your own are given by name."""
        name = config.get("class_name") if isinstance(config, Mapping) else config
        mine = (custom_objects or {}).get(str(name))
        if mine is None:
            return self.make(config)
        return mine.from_config(config["config"]) if isinstance(config, Mapping) else mine


def serialize(value: Any) -> Any:
    """``value`` as plain data: objects become ``{name: arguments}``, functions their names.

    Raises:
        ArgumentError: a function or an object that has no name.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [serialize(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): serialize(v) for k, v in value.items()}
    if isinstance(value, Configurable):
        as_item = getattr(value, "as_item", None)  # a model says more than its arguments
        return as_item() if as_item is not None else {type(value).__name__: serialize(value.config)}
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        return value.item()
    if hasattr(value, "tolist"):
        return value.tolist()
    if callable(value) and getattr(value, "__name__", "<lambda>") != "<lambda>":
        return value.__name__
    raise ArgumentError(
        "this cannot be written to a file.",
        expected="a name, number, list, an object of layerkit, or a function that has a name",
        got=repr(value),
        fix="write it with def, or as a class, and give that to load_model(custom_objects=...)",
    )
