"""Declared arguments: annotated fields of a class are its constructor, its config, its YAML keys and its schema.

    class Dense(Layer):
        units: PositiveInt
        use_bias: bool = True

A subclass of ``Configurable`` that writes no ``__init__`` gets one from its fields, in the order: own fields, then those
of its bases, so that a group of fields can be shared by inheritance; fields after ``_: KW_ONLY`` are by keyword. One that
does write ``__init__`` (Keras's way) is read from its signature. Either way the arguments given are kept: ``config`` is
what the object was made from.

Types carry their own check: ``PositiveInt`` is an ``int`` to a type checker, and refuses 0 when the object is made.
"""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY
from functools import cache
from os import PathLike
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import numpy as np

from layerkit.errors import ArgumentError, ArgumentTypeError, LayerkitError, UnknownArgumentError, did_you_mean, nearest
from layerkit.records import dataclass

REQUIRED = inspect.Parameter.empty


T = TypeVar("T")


def per_class(function: Callable[[type], T]) -> Callable[[type], T]:
    """Compute once for each class."""
    return cache(function)


class Check:
    """What a value must be: ``expected`` in words, and a call that returns the value as it is kept.

    The call raises a ValueError, or a TypeError where no value of that type would do.
    """

    expected: str

    def __call__(self, value: Any, owner: Any) -> Any:
        raise NotImplementedError


@dataclass(frozen=True)
class Number(Check):
    """A number of a kind within bounds."""

    kind: type
    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False

    @property
    def expected(self) -> str:  # type: ignore[override]
        word = "a whole number" if self.kind is int else "a number"
        bounds = [f"{'>' if self.open_low else '>='} {self.low}"] if self.low is not None else []
        bounds += [f"{'<' if self.open_high else '<='} {self.high}"] if self.high is not None else []
        return " ".join([word, " and ".join(bounds)]).strip()

    def __call__(self, value: Any, owner: Any) -> Any:
        if getattr(value, "shape", None) == ():  # a number in an array or a weight
            value = np.asarray(value).item()
        kinds = (int, np.integer) if self.kind is int else (int, float, np.integer, np.floating)
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise TypeError
        low = self.low is None or (value > self.low if self.open_low else value >= self.low)
        high = self.high is None or (value < self.high if self.open_high else value <= self.high)
        if not (low and high):
            raise ValueError
        return self.kind(value)


@dataclass(frozen=True)
class Instance(Check):
    """A value of one of these types."""

    kinds: tuple[type, ...]

    @property
    def expected(self) -> str:  # type: ignore[override]
        return " or ".join(
            {bool: "true or false", str: "text", type(None): "none"}.get(k, k.__name__) for k in self.kinds
        )

    def __call__(self, value: Any, owner: Any) -> Any:
        if not isinstance(value, self.kinds) or (isinstance(value, bool) and bool not in self.kinds):
            raise TypeError
        return value


@dataclass(frozen=True)
class OneOf(Check):
    """One of a few words."""

    choices: tuple[Any, ...]

    @property
    def expected(self) -> str:  # type: ignore[override]
        return " or ".join(map(repr, self.choices))

    def __call__(self, value: Any, owner: Any) -> Any:
        if not any(value is c or (type(value) is type(c) and value == c) for c in self.choices):
            raise ValueError
        return value


@dataclass(frozen=True)
class PerAxis(Check):
    """One whole number, or one for each of the owner's ``rank`` spatial axes."""

    low: int = 1
    optional: bool = False

    @property
    def expected(self) -> str:  # type: ignore[override]
        return f"a whole number >= {self.low}, or one for each axis" + (", or none" if self.optional else "")

    def __call__(self, value: Any, owner: Any) -> Any:
        if value is None and self.optional:
            return None
        number = Number(int, self.low)
        if isinstance(value, Sequence) and not isinstance(value, str):
            if len(value) != owner.rank:
                raise ValueError
            return tuple(number(v, owner) for v in value)
        return (number(value, owner),) * owner.rank


@dataclass(frozen=True)
class Shape(Check):
    """A sequence of sizes; ``low`` -1 allows one to be found, ``unknown`` allows none."""

    low: int = 0
    unknown: bool = False
    expected: str = "a list of sizes"

    def __call__(self, value: Any, owner: Any) -> Any:
        value = (value,) if isinstance(value, int) else value
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise ValueError
        return tuple(None if v is None and self.unknown else Number(int, self.low)(v, owner) for v in value)


@dataclass(frozen=True)
class Numbers(Check):
    """A number, or an array or nested list of numbers."""

    expected: str = "a number, or a list of numbers"

    def __call__(self, value: Any, owner: Any) -> Any:
        if isinstance(value, bool | str) or np.asarray(value).dtype.kind not in "iuf":
            raise ValueError
        return value


@dataclass(frozen=True)
class Resolved(Check):
    """Whatever ``resolve`` makes of the value; its own error says what is wrong."""

    resolve: Callable[[Any], Any]
    expected: str = "a name"
    registry: Any = None
    """The ``Registry`` whose classes it may name, if it is one."""

    def __call__(self, value: Any, owner: Any) -> Any:
        return self.resolve(value)


@dataclass(frozen=True)
class OfFile(Check):
    """The path of a file or folder, which is written; or one that is read, or what would be in it."""

    is_read: bool = False

    @property
    def expected(self) -> str:  # type: ignore[override]
        return "a list, or the path of a file" if self.is_read else "a path"

    def __call__(self, value: Any, owner: Any) -> Any:
        is_path = isinstance(value, str | PathLike)
        if not is_path and not (self.is_read and isinstance(value, list | tuple | np.ndarray)):
            raise ValueError
        return value


PositiveInt = Annotated[int, Number(int, 1)]
NonNegativeInt = Annotated[int, Number(int, 0)]
PositiveFloat = Annotated[float, Number(float, 0, open_low=True)]
NonNegativeFloat = Annotated[float, Number(float, 0)]
Fraction = Annotated[float, Number(float, 0, 1)]
Rate = Annotated[float, Number(float, 0, 1)]


@dataclass(frozen=True)
class Field:
    """One declared argument."""

    name: str
    default: Any
    is_keyword_only: bool
    check: Check | None

    @property
    def is_required(self) -> bool:
        """Whether it has to be given."""
        return self.default is REQUIRED


class _Signature:
    """Lets ``help``, editors and ``inspect.signature`` see the arguments of a class."""

    def __get__(self, instance: Any, owner: type) -> inspect.Signature:
        return signature(owner)


class Configurable:
    """An object that is its arguments; see the module's text."""

    __signature__: ClassVar[Any] = _Signature()
    accepted_no_ops: ClassVar[frozenset[str]] = frozenset()
    _config: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = object.__new__(cls)
        kwargs = {k: v for k, v in kwargs.items() if k not in cls.accepted_no_ops}
        object.__setattr__(self, "_config", _bind(cls, args, kwargs))
        return self

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        cls = type(self)
        declared = fields(cls)
        if _own_init(cls) is None:
            kwargs = dict(self._config)
        else:  # called by a subclass's own __init__ with the common arguments
            kwargs |= _positional(cls, args)
            for name in kwargs:
                if name not in declared and name not in cls.accepted_no_ops:
                    raise unknown_argument(cls, name, declared)
        for field in declared.values():
            if field.name in kwargs:
                setattr(self, field.name, _checked(cls, self, field, kwargs[field.name]))
            elif not field.is_required:
                setattr(self, field.name, _checked(cls, self, field, field.default))
        self.check_together()

    def check_together(self) -> None:
        """Refuse arguments that are right by themselves, but not together; they are attributes by now."""

    @property
    def config(self) -> dict[str, Any]:
        """The arguments that were given and differ from their defaults."""
        defaults = {p.name: p.default for p in signature(type(self)).parameters.values()}
        return {k: v for k, v in self._config.items() if k not in defaults or not _same(v, defaults[k])}

    def get_config(self) -> dict[str, Any]:
        """All arguments, as Keras's ``get_config`` returns them; subclasses may add to it."""
        defaults = {p.name: p.default for p in signature(type(self)).parameters.values() if p.default is not REQUIRED}
        found = {**{k: v for k, v in defaults.items() if k not in ("args", "kwargs")}, **self._config}
        windows = {n for n, f in fields(type(self)).items() if isinstance(f.check, PerAxis)}
        return {k: getattr(self, k) if k in windows else v for k, v in found.items()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """An object from the arguments that ``get_config`` returned."""
        return cls(**config)

    def __reduce__(self) -> Any:
        """For ``pickle`` and ``copy``: what it holds, without making it anew from arguments."""
        return object.__new__, (type(self),), self.__getstate__()

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={v!r}" for k, v in self.config.items())
        return f"{type(self).__name__}({shown})"


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return type(a) is type(b) and bool(a == b) if not isinstance(a, np.ndarray) else a is b


@per_class
def _hints(cls: type) -> dict[str, Any]:
    """What the annotations that stand in a class itself mean; those of common bases are looked up once for all classes."""
    alone = type(cls.__name__, (), {"__annotations__": inspect.get_annotations(cls), "__module__": cls.__module__})
    module = getattr(sys.modules.get(cls.__module__), "__dict__", {})
    return typing.get_type_hints(
        alone, dict(vars(cls)), module, include_extras=True
    )  # a class may name what stands in it


@per_class
def fields(cls: type) -> dict[str, Field]:
    """The declared arguments of a class, in the order in which they are given."""
    hints = {name: hint for base in reversed(cls.__mro__) for name, hint in _hints(base).items()}
    found: dict[str, Field] = {}
    for base in cls.__mro__:
        keyword_only = False
        for name, annotation in inspect.get_annotations(base).items():
            if annotation is KW_ONLY or annotation in ("KW_ONLY", "dataclasses.KW_ONLY"):
                keyword_only = True
                continue
            hint = hints.get(name)
            if name.startswith("_") or typing.get_origin(hint) is ClassVar or name in found:
                continue
            default = getattr(cls, name, REQUIRED)
            if isinstance(default, property):  # a subclass computes it, and takes what is given by its setter
                default = base.__dict__.get(name, REQUIRED)
            found[name] = Field(name, default, keyword_only, check_of(hint))
    positional = {k: f for k, f in found.items() if not f.is_keyword_only}
    return {**positional, **{k: f for k, f in found.items() if f.is_keyword_only}}


def check_of(hint: Any) -> Check | None:
    """The check that a type annotation stands for."""
    origin = typing.get_origin(hint)
    if origin is Annotated:
        return next((a for a in typing.get_args(hint)[1:] if isinstance(a, Check)), None)
    if origin is Literal:
        return OneOf(typing.get_args(hint))
    if origin in (typing.Union, types.UnionType):
        parts = [a for a in typing.get_args(hint) if a is not type(None)]
        inner = [check_of(a) for a in parts]
        optional = len(parts) < len(typing.get_args(hint))
        return _Either(tuple(c for c in inner if c is not None), optional) if all(inner) else None
    if hint in (int, float):
        return Number(hint)
    if hint in (bool, str):
        return Instance((hint,))
    return None


@dataclass(frozen=True)
class _Either(Check):
    checks: tuple[Check, ...]
    optional: bool

    @property
    def expected(self) -> str:  # type: ignore[override]
        return ", or ".join([c.expected for c in self.checks] + ["none"] * self.optional)

    def __call__(self, value: Any, owner: Any) -> Any:
        if value is None and self.optional:
            return None
        for check in self.checks:
            try:
                return check(value, owner)
            except LayerkitError:
                raise
            except (ValueError, TypeError):
                continue
        raise ValueError


def _own_init(cls: type) -> Any:
    """The ``__init__`` that a class or one of its bases writes itself, if any."""
    for base in cls.__mro__:
        if base is Configurable:
            return None
        if "__init__" in base.__dict__ and not getattr(base.__dict__["__init__"], "_is_declared", False):
            return base.__dict__["__init__"]
    return None


def _positional(cls: type, args: tuple[Any, ...]) -> dict[str, Any]:
    """Arguments that an own ``__init__`` gives its base by position, by the names that the base has for them."""
    writer = next(b for b in cls.__mro__ if b.__dict__.get("__init__") is _own_init(cls))
    base = next(b for b in cls.__mro__[cls.__mro__.index(writer) + 1 :] if issubclass(b, Configurable))
    names = [f.name for f in fields(base).values() if not f.is_keyword_only]
    if len(args) > len(names):
        raise UnknownArgumentError(
            f"'{cls.__name__}' passes too many positional arguments to its base.", got=repr(args)
        )
    return dict(zip(names, args, strict=False))


@per_class
def signature(cls: type) -> inspect.Signature:
    """The arguments of a class, in either style of writing it, common ones included."""
    kinds = inspect.Parameter
    common = [
        kinds(f.name, kinds.KEYWORD_ONLY if f.is_keyword_only else kinds.POSITIONAL_OR_KEYWORD, default=f.default)
        for f in fields(cls).values()
    ]
    own = _own_init(cls)
    if own is None:
        return inspect.Signature(common)
    written = list(inspect.signature(own).parameters.values())[1:]
    if any(p.kind is kinds.VAR_KEYWORD for p in written):  # **kwargs go to the base: its arguments are arguments too
        taken = {p.name for p in written}
        written = [p for p in written if p.kind is not kinds.VAR_KEYWORD]
        written += [
            p.replace(kind=kinds.KEYWORD_ONLY) for p in common if p.name not in taken and p.default is not REQUIRED
        ]
    return inspect.Signature(written)


@per_class
def checks(cls: type) -> dict[str, Check | None]:
    """What each argument of a class must be, in either style of writing it; None where that is not declared."""
    found = {name: field.check for name, field in fields(cls).items()}
    own = _own_init(cls)
    if own is not None:
        found |= checks_of(own)
    return {name: found.get(name) for name in signature(cls).parameters}


def checks_of(function: Callable[..., Any]) -> dict[str, Check | None]:
    """What the annotations of a function say that its arguments must be."""
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError):  # names that only a type checker knows
        return {}
    return {name: check_of(hint) for name, hint in hints.items()}


def fault_of(owner: type, name: str, value: Any, check: Check | None, default: Any = REQUIRED) -> LayerkitError | None:
    """What is wrong with the value of an argument, before anything is made of it.

    Example:
        >>> class Scale(Configurable):
        ...     factor: PositiveInt
        >>> print(fault_of(Scale, "factor", 0, checks(Scale)["factor"]))
        [argument-invalid] 'factor' of Scale cannot be 0.
          layer    Scale
          expected a whole number >= 1
          got      0
    """
    try:
        _checked(owner, owner, Field(name, default, False, check), value)
    except LayerkitError as error:
        return error
    return None


def _bind(cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments by name; missing, surplus and misspelt ones are errors."""
    sig = signature(cls)
    needed = _needed(cls)
    if not args and needed is not None and needed <= kwargs.keys() <= sig.parameters.keys():
        return {name: kwargs[name] for name in sig.parameters if name in kwargs}  # as bind does, which takes longer
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in sig.parameters.values())
    for name in kwargs:
        if name not in sig.parameters and not takes_any:
            raise unknown_argument(cls, name)
    try:
        bound = sig.bind(*args, **kwargs)
    except TypeError as error:
        missing = [p.name for p in sig.parameters.values() if p.default is REQUIRED and p.name not in kwargs][
            len(args) :
        ]
        expected = (
            f"{cls.__name__}({', '.join(str(p) for p in sig.parameters.values() if p.default is REQUIRED) or ''}, ...)"
        )
        summary = f"'{cls.__name__}' needs '{missing[0]}'." if missing else f"'{cls.__name__}' got {error}."
        raise UnknownArgumentError(
            summary,
            layer=cls.__name__,
            expected=expected,
            got=", ".join([*map(repr, args), *(f"{k}=..." for k in kwargs)]) or "nothing",
        ) from None
    return dict(bound.arguments)


@per_class
def _needed(cls: type) -> frozenset[str] | None:
    """The arguments that have to be given; None where some are not taken by name."""
    parameters = signature(cls).parameters.values()
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    if any(p.kind not in by_name for p in parameters):
        return None
    return frozenset(p.name for p in parameters if p.default is REQUIRED or p.default is inspect.Parameter.empty)


def unknown_argument(cls: type, name: str, more: Iterable[str] = ()) -> UnknownArgumentError:
    """That a class has no argument of this name, with the one that is meant where that is seen."""
    names = [*signature(cls).parameters, *more]
    match = nearest(name, names)
    error = UnknownArgumentError(
        f"'{cls.__name__}' has no argument '{name}'.",
        layer=cls.__name__,
        expected=", ".join(names),
        got=name,
        fix=did_you_mean(name, names) if match else "remove it",
    )
    error.argument = name
    return error


def _checked(cls: type, owner: Any, field: Field, value: Any) -> Any:
    if field.check is None:
        return value
    if value is None and field.default is None:
        return field.check(None, owner) if isinstance(field.check, Resolved) else None
    try:
        return field.check(value, owner)
    except LayerkitError as error:
        error.layer, error.argument = error.layer or cls.__name__, error.argument or field.name
        raise
    except (ValueError, TypeError) as error:
        wrong = (ArgumentTypeError if isinstance(error, TypeError) else ArgumentError)(
            f"'{field.name}' of {cls.__name__} cannot be {value!r}.",
            layer=cls.__name__,
            expected=field.check.expected,
            got=repr(value),
            argument=field.name,
        )
        raise wrong from None


Configurable.__init__._is_declared = True  # type: ignore[attr-defined]
