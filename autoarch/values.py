"""What went into the holes, in few words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def short_values(values: Mapping[str, Any]) -> dict[str, str]:
    """Names and values as a person says them: the last word of a path, with the ones before it where two are alike.

    Example:
        >>> short_values({"let.width": 24, "layers.3": {"Dense": {"units": {"!int": {}}}}, "layers.3.Dense.units": 8})
        {'width': '24', 'layers.3': 'Dense', 'units': '8'}
        >>> short_values({"layers.0.repeat": 1, "layers.2.repeat": 2})
        {'layers.0.repeat': '1', 'layers.2.repeat': '2'}
    """
    return dict(zip(short_names(list(values)), map(short_value, values.values()), strict=True))


def short_names(paths: list[str]) -> list[str]:
    """As few of the last words of each path as tell it from the others; a number is not a name."""
    parts = [path.split(".") for path in paths]
    names = []
    for own in parts:
        for count in range(1, len(own) + 1):
            name = own[-count:]
            alike = [p for p in parts if p is not own and p[-count:] == name]
            if not alike and not name[0].isdigit() and not name[-1].isdigit():
                break
        names.append(".".join(name if not name[-1].isdigit() else own))
    return names


def short_value(value: Any) -> str:
    """A value, a layer by its name where holes of its own follow.

    Example:
        >>> short_value(0.0021), short_value({"MaxPooling2D": 2}), short_value([1, 2]), short_value(None)
        ('0.0021', 'MaxPooling2D 2', '[1, 2]', 'none')
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict) and len(value) == 1:
        ((name, inside),) = value.items()
        text = json.dumps(inside, ensure_ascii=False)
        return name if "!" in text or len(text) > 40 else f"{name} {short_value(inside)}"
    if isinstance(value, dict | list):
        text = json.dumps(value, ensure_ascii=False)
        return text if len(text) <= 60 else f"{text[:57]}…"
    return str(value)
