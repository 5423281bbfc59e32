"""The calls of layers of which a model consists, as they would be written down; ``outline`` makes them of a model."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from builders.build import call_parameters
from layerkit import tree
from layerkit.layers import Layer
from layerkit.models import Model
from layerkit.records import dataclass


class Word(str):
    """The word of a block, as an argument."""


class Formula(str):
    """What an argument is in each turn of a repeat: ``8 * 2 ** i``; it means the same in a spec and in Python."""


@dataclass
class Call:
    """One call of a layer.

    ``kind`` is the name of its class, or of a block where the layer is a model; ``reads`` names the tensors of the first
    argument (None: what the call before made), ``named`` those of further arguments; ``name`` is None where the automatic
    one is right.
    """

    kind: str
    arguments: dict[str, Any]
    layer: Layer = field(compare=False)
    out: str
    outs: list[str] = field(default_factory=list)
    """The names of all tensors that it makes; ``out`` is the first."""
    structure: Any = tree.LEAF
    """Their nesting."""
    name: str | None = None
    reads: Any = None
    named: dict[str, Any] = field(default_factory=dict)
    share: str | None = None
    is_frozen: bool = False

    @property
    def reads_apart(self) -> bool:
        """Whether the tensors of ``reads`` are an argument each, not one list."""
        return isinstance(self.reads, list) and len(call_parameters(type(self.layer))[1]) > 1

    @property
    def may_repeat(self) -> bool:
        """Whether it could stand in a repeat: it needs nothing but the call before it."""
        needs_nothing = self.name is None and self.reads is None and not self.named and self.share is None
        return needs_nothing and not isinstance(self.layer, Model)


@dataclass
class Repeat:
    """Calls that are made several times, one after another, with layers of their own each time."""

    times: int
    body: list[Call | Repeat]
    turn: str | None = None
    """The name of the number of the turn, from 0, where arguments depend on it."""
