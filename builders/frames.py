"""Where ``expand`` stands: what names mean there, and what they mean in a turn of a repeat."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, MutableMapping
from dataclasses import field
from typing import Any

from builders.blocks import Block
from builders.steps import Ref, Use
from builders.values import Values
from layerkit.records import dataclass


@dataclass
class Frame:
    """What is known at one place: in the list of the spec, in a block that is used, in a turn of a repeat."""

    values: Values
    names: MutableMapping[str, Ref]
    blocks: Mapping[str, Block]
    last: Ref | None = None
    prefix: str = ""
    suffix: str = ""
    uses: tuple[Use, ...] = ()
    stack: tuple[str, ...] = ()
    """The blocks that we are in."""
    is_trainable: bool | None = None
    later: frozenset[str] = frozenset()
    """All names given in this list."""
    numbers: dict[str, int] = field(default_factory=dict)
    """How many uses without a name there were of each block."""
    shares: MutableMapping[str, Used] = field(default_factory=dict)

    def give(self, name: str | None, ref: Ref) -> Ref:
        """Give a tensor its name, if it has one."""
        if name is not None:
            self.names[name] = ref
        return ref

    def export(self, name: str | None, used: Used, outputs: dict[str, Ref]) -> Ref:
        """Give the outputs of a block their names; the first output."""
        if name is not None:
            for end, ref in outputs.items():
                self.names[name + end] = ref
            self.shares[name] = used
        return outputs[""]


@dataclass(frozen=True)
class Used:
    """A use of a block, to be shared."""

    steps: range
    inputs: tuple[Ref, ...]
    outputs: dict[str, Ref]


def own_names(names: MutableMapping[str, Ref]) -> MutableMapping[str, Ref]:
    """The names given in this place itself."""
    return names.maps[0] if isinstance(names, ChainMap) else names


def first(reads: Any) -> Ref:
    """The first of the tensors that are read."""
    found = reads if isinstance(reads, Ref) else next(iter(reads.values() if isinstance(reads, dict) else reads))
    return found if isinstance(found, Ref) else first(found)


def with_first(reads: Any, ref: Ref) -> Any:
    """``reads`` with another first tensor."""
    if isinstance(reads, dict):
        return {k: ref if i == 0 else v for i, (k, v) in enumerate(reads.items())}
    return ref if isinstance(reads, Ref) else [ref, *reads[1:]]


def numbered(name: str, turn: int, known: Mapping[str, Ref]) -> str:
    """``name_2`` for the second turn; of ``block/layer`` and ``block.output`` the block is numbered."""
    cuts = [i for i, c in enumerate(name) if c in "/." and name[:i] in known]
    cut = cuts[0] if cuts else len(name)
    return f"{name[:cut]}_{turn + 1}{name[cut:]}"
