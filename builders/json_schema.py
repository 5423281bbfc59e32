"""A JSON Schema (draft 7) of the language, for completion and hints in editors.

Everything in it comes from the signatures, the checks and the docstrings of the library's own classes; nothing is written
twice. It is an editor's help: ``layerkit check`` finds more (names of tensors, shapes, arguments that contradict each other).
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from layerkit import activations, constraints, initializers, losses, metrics, optimizers, regularizers
from layerkit.data import SOURCES, DataOptions, Split, Window, Words
from layerkit.fields import (
    Check,
    Instance,
    Number,
    Numbers,
    OneOf,
    PerAxis,
    Resolved,
    Shape,
    check_of,
    fields,
    signature,
)
from layerkit.layers import LAYERS, Input, Layer
from layerkit.models import Model
from layerkit.optimizers.schedules import SCHEDULES
from layerkit.registry import Registry
from layerkit.training.callbacks import CALLBACKS

URL = "http://json-schema.org/draft-07/schema#"
Schema = dict[str, Any]
VALUE: Schema = {"$ref": "#/definitions/value"}
HOLE: Schema = {"$ref": "#/definitions/hole"}
LATER: Schema = {"$ref": "#/definitions/later"}

_ITEM_KEYS: dict[str, Schema] = {
    "name": {"type": "string", "description": "The name of the layer and of its output."},
    "from": {
        "description": "The tensors that it reads, by name: one, a list, or a mapping. Without it: the item before."
    },
    "as": {
        "type": "string",
        "description": "The name of the number of a repeat's turn, from 0: $name, $(16 * 2 ** name).",
    },
    "share": {"type": "string", "description": "The name of a layer that is called again."},
    "call": {"type": "object", "description": "Arguments of the call, such as mask or initial_state."},
    "trainable": {"type": "boolean", "description": "Whether training changes its weights."},
}
_REGISTRIES: dict[str, Registry] = {
    "initializer": initializers.INITIALIZERS,
    "regularizer": regularizers.REGULARIZERS,
    "constraint": constraints.CONSTRAINTS,
    "loss": losses.LOSSES,
    "metric": metrics.METRICS,
    "optimizer": optimizers.OPTIMIZERS,
    "schedule": SCHEDULES,
    "callback": CALLBACKS,
}
_RESOLVERS: dict[Any, str] = {
    activations.get: "activation",
    initializers.get: "initializer",
    regularizers.get: "regularizer",
    constraints.get: "constraint",
    optimizers.get: "optimizer",
}
_NOT_WRITTEN = {"self", "x", "y", "sample_weight", "validation_data", "initial_epoch", "engine"}


def json_schema(layers: Iterable[type[Layer]] = ()) -> Schema:
    """The schema of a spec.

    Args:
        layers: layer classes of your own, which specs may then use (``load(path, layers=...)``).

    Example:
        >>> schema = json_schema()
        >>> schema["definitions"]["Dense"]["anyOf"][0]["properties"]["units"]["anyOf"][0]["type"]
        'integer'
    """
    return _schema(tuple(layers))


@cache
def _schema(own: tuple[type[Layer], ...]) -> Schema:
    classes = LAYERS.classes | {cls.__name__: cls for cls in own}
    definitions: dict[str, Schema] = {
        "value": {"type": "string", "pattern": r"^\$", "description": "$name or $(expression)"},
        "hole": {
            "description": "!choice [...], !int {low, high, step, log} or !float {low, high, log}: filled by a search",
            "anyOf": [{"type": "array", "minItems": 1}, _object({k: {} for k in ("low", "high", "step", "log", "each")}, ["low", "high"])],
        },
        "later": {"anyOf": [VALUE, HOLE]},
        "activation": {"enum": [None, *activations.ACTIVATIONS]},
        "layers": {"type": "array", "items": {"$ref": "#/definitions/item"}, "minItems": 1},
    }  # fmt: skip
    for kind, registry in _REGISTRIES.items():
        definitions |= {name: _thing(cls) for name, cls in registry.classes.items()}
        definitions[kind] = _one_of(registry)
    definitions["metric"]["anyOf"][0]["enum"] += [n for n in ("accuracy", "acc", "ce", "crossentropy") if n not in definitions["metric"]["anyOf"][0]["enum"]]  # fmt: skip
    definitions |= {name: _thing(cls) for name, cls in classes.items()}
    definitions["item"] = {
        "anyOf": [
            {"enum": list(classes), "description": "A layer without arguments."},
            {"type": "string", "pattern": "^[a-z_]", "description": "A block without arguments."},
            {
                "type": "object",
                "properties": {
                    **{name: {"$ref": f"#/definitions/{name}"} for name in classes},
                    **_ITEM_KEYS,
                    "repeat": {"type": ["integer", "string", "object", "array"], "minimum": 0, "description": "How many times, one after another."},
                    "layers": {"$ref": "#/definitions/layers"},
                },
                "additionalProperties": False,
                "patternProperties": {"^[a-z_][a-z0-9_]*$": {"description": "A block with its arguments."}},
            },
            HOLE,
        ],
    }  # fmt: skip
    return {"$schema": URL, "title": "layerkit spec", **_spec(), "definitions": definitions}


def _spec() -> Schema:
    inputs: Schema = {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": _call(Input, lambda: inspect.signature(Input), {"name"}),
    }
    block = _object(
        {
            "name": {"type": "string", "description": "The name of the model that it is; the block's unless given."},
            "parameters": {"type": ["object", "array", "null"], "description": "Names, with their defaults."},
            "inputs": {
                "description": "The names of the tensors that it reads, 'input' unless given; with shapes it is a model of its own.",
                **_any(_or_list({"type": "string"}), inputs),
            },
            "layers": {"$ref": "#/definitions/layers"},
            "outputs": {"description": "The tensors that it makes; the last layer unless given."},
        },
        ["layers"],
    )
    return _object(
        {
            "layerkit": {"const": 1, "description": "The version of the language."},
            "name": {"type": "string", "description": "The name of the model."},
            "let": {"type": "object", "description": "Named values, used as $name or $(name * 2)."},
            "inputs": inputs,
            "include": {"description": "Files of blocks, in the folder of the spec.", **_or_list({"type": "string"})},
            "blocks": {"type": "object", "additionalProperties": block},
            "layers": {"$ref": "#/definitions/layers"},
            "outputs": {"description": "A tensor, a list or a mapping; the last layer unless given."},
            "compile": _method(Model.compile, {
                "optimizer": _ref("optimizer"),
                "loss": _by_output("loss"),
                "metrics": _by_output("metric", nested=True),
                "weighted_metrics": _by_output("metric", nested=True),
            }),
            "fit": _method(Model.fit, {"callbacks": {"type": "array", "items": _ref("callback")}}),
            "data": _object({
                **{key: _source(cls) for key, cls in SOURCES.items()},
                **_call(DataOptions, lambda: signature(DataOptions))["properties"],
                "split": _call(Split, lambda: signature(Split)),
                "window": _any({"type": "integer", "minimum": 1}, _call(Window, lambda: signature(Window)), LATER),
                "words": _any({"type": "integer", "minimum": 1}, _call(Words, lambda: signature(Words)), LATER),
            }),
        },
        ["layerkit", "inputs", "layers"],
    )  # fmt: skip


# Classes and functions -------------------------------------------------------------------------------------------------


def _thing(cls: type) -> Schema:
    """What may stand behind the name of a class: its arguments, its first argument alone, or nothing."""
    return {"description": _summary(cls), "anyOf": [_call(cls, lambda: signature(cls), {"name"}), {"type": ["null", "number", "string", "boolean", "array"]}, _nested()]}  # fmt: skip


def _nested() -> Schema:
    """A layer as the only argument of a layer."""
    return {"type": "object", "minProperties": 1, "maxProperties": 1, "propertyNames": {"pattern": "^[A-Z]"}}


def _call(owner: Any, read: Callable[[], inspect.Signature], left_out: set[str] = frozenset()) -> Schema:  # type: ignore[assignment]
    checks = {name: f.check for name, f in fields(owner).items()} if isinstance(owner, type) else {}
    hints = {} if isinstance(owner, type) else _hints(owner)
    texts, properties, required = _arguments_text(owner), {}, []
    for parameter in read().parameters.values():
        if parameter.name in _NOT_WRITTEN or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        check = checks[parameter.name] if parameter.name in checks else check_of(hints.get(parameter.name))
        found = _any(_type(check, parameter.name), LATER)
        if parameter.name in texts:
            found["description"] = texts[parameter.name]
        if parameter.default is not parameter.empty and _is_plain(parameter.default):
            found["default"] = list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
        properties[parameter.name] = found
        if parameter.default is parameter.empty and parameter.name not in left_out:
            required.append(parameter.name)
    return _object(properties, required)


def _method(function: Callable[..., Any], known: dict[str, Schema]) -> Schema:
    made = _call(function, lambda: inspect.signature(function))
    for name, schema in known.items():
        made["properties"][name] = {
            **made["properties"][name],
            **_any(schema, VALUE),
        }  # a hole would let any list through
    return made


def _type(check: Check | None, name: str) -> Schema:
    """What a check lets through."""
    if check is None:
        return _any({"type": "number"}, _ref("schedule")) if name == "learning_rate" else {}
    if isinstance(check, Number):
        kind: Schema = {"type": "integer" if check.kind is int else "number"}
        for value, closed, opened, is_open in (
            (check.low, "minimum", "exclusiveMinimum", check.open_low),
            (check.high, "maximum", "exclusiveMaximum", check.open_high),
        ):
            if value is not None:
                kind[opened if is_open else closed] = value
        return kind
    if isinstance(check, Instance):
        return {
            "type": [{bool: "boolean", str: "string", type(None): "null"}.get(kind, "object") for kind in check.kinds]
        }
    if isinstance(check, OneOf):
        return {"enum": list(check.choices)}
    if isinstance(check, PerAxis):
        whole = {"type": "integer", "minimum": check.low}
        return _any(
            whole, {"type": "array", "items": _any(whole, VALUE)}, *([{"type": "null"}] if check.optional else [])
        )
    if isinstance(check, Shape):
        size = {"type": ["integer", "null"] if check.unknown else "integer", "minimum": check.low}
        return _any({"type": "array", "items": _any(size, VALUE)}, size)
    if isinstance(check, Numbers):
        return {"type": ["number", "array"]}
    if isinstance(check, Resolved):
        return _ref(_RESOLVERS[check.resolve]) if check.resolve in _RESOLVERS else {}
    if (words := getattr(check, "words", None)) is not None:
        return {"enum": list(words)}
    parts = getattr(check, "checks", None)
    if parts is not None:
        return _any(
            *(_type(part, name) for part in parts), *([{"type": "null"}] if getattr(check, "optional", False) else [])
        )
    return {}


def _one_of(registry: Registry) -> Schema:
    """A name, or ``{name: arguments}``."""
    names = list(dict.fromkeys([*registry.classes, *registry.aliases]))
    named = {name: {"$ref": f"#/definitions/{registry.aliases.get(name, name)}"} for name in names}
    found: Schema = _any({"enum": names}, {**_object(named), "minProperties": 1, "maxProperties": 1})
    if registry is initializers.INITIALIZERS:
        found["anyOf"].append({"type": "number"})
    if registry is not optimizers.OPTIMIZERS:
        found["anyOf"].append({"type": "null"})
    return found


def _by_output(kind: str, nested: bool = False) -> Schema:
    """One for all outputs, a list, or a mapping from outputs."""
    one = _ref(kind)
    inner = _or_list(one) if nested else one
    return _any(one, {"type": "array", "items": inner}, {"type": "object", "additionalProperties": inner})


def _source(cls: type) -> Schema:
    """A source of data: its arguments, or its first argument alone."""
    first = next(iter(fields(cls)))
    alone = {"type": "string", "description": _arguments_text(cls).get(first, "")}
    return {"description": _summary(cls), **_any(alone, _call(cls, lambda: signature(cls)))}


# Small pieces ----------------------------------------------------------------------------------------------------------


def _object(properties: dict[str, Schema], required: Iterable[str] = ()) -> Schema:
    found: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    needed = list(required)
    return found | {"required": needed} if needed else found


def _any(*schemas: Schema) -> Schema:
    """One of these; an empty one allows everything."""
    parts = [part for schema in schemas for part in (schema["anyOf"] if set(schema) == {"anyOf"} else [schema])]
    return {} if {} in parts else {"anyOf": parts}


def _or_list(schema: Schema) -> Schema:
    return _any(schema, {"type": "array", "items": schema})


def _ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def _hints(function: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(inspect.unwrap(function), include_extras=True)
    except (NameError, TypeError):
        return {}


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _summary(cls: Any) -> str:
    return inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].replace("\n", " ").replace("``", "")


def _arguments_text(owner: Any) -> dict[str, str]:
    """What the docstrings of a class and its bases say of each argument."""
    found: dict[str, str] = {}
    for part in reversed(owner.__mro__) if isinstance(owner, type) else (owner,):
        text = inspect.cleandoc(part.__doc__ or "")
        listed = re.search(r"^Args:\n((?:[ ]+.*\n?|\n)*)", text, re.MULTILINE)
        for names, meaning in re.findall(
            r"^ {4}([\w, ]+): (.*(?:\n {5,}.*)*)", listed[1] if listed else "", re.MULTILINE
        ):
            for name in names.split(","):
                found[name.strip()] = " ".join(meaning.split()).replace("``", "")
    return found
