"""What ``expand`` makes of a spec and ``build`` makes layers of: single calls of layers, and the tensors between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any

from builders import nodes
from builders.blocks import Block
from builders.nodes import Node, Scalar
from layerkit.errors import Span
from layerkit.records import dataclass

if TYPE_CHECKING:
    from builders.expand import Expander


@dataclass(frozen=True)
class Ref:
    """A tensor: an output of a step or an input; ``span`` is where it is read."""

    id: int
    output: str | None = None
    span: Span | None = None


@dataclass(frozen=True)
class Use:
    """What led to a step: the use of a block, or a turn of a repeat."""

    name: str
    where: Span
    block: Block | None = None

    def __str__(self) -> str:
        return f"{self.name} at {self.where}" + (f", defined at {self.block.span}" if self.block else "")


@dataclass
class Step:
    """One call of a layer."""

    id: int
    kind: Scalar
    arguments: Node
    reads: Any
    """A ``Ref``, a list of them, or a dict of them by name."""
    call: dict[str, Any]
    """Further arguments of the call: tensors (``Ref``) and plain values, in lists too."""
    keys: dict[str, Span]
    """Where the arguments of ``call`` and the names in ``reads`` are written."""
    name: str = ""
    is_named: bool = False
    base: str = ""
    """What its name is made of, if it is given none."""
    share: int | None = None
    """The step whose layer is called again."""
    is_trainable: bool | None = None
    uses: tuple[Use, ...] = ()
    blocks: Mapping[str, Block] = field(default_factory=dict)
    """The blocks that are known where it is written."""
    stack: tuple[str, ...] = ()
    """The blocks that it stands in."""
    body: Expansion | None = None
    """The steps of the model that its layer is."""


@dataclass
class Expansion:
    """The ``inputs``, ``layers`` and ``outputs`` of a spec, or of a model in it, without blocks, repeats and ``$``."""

    inputs: dict[int, nodes.Entry]
    steps: list[Step]
    outputs: Any
    broken: set[int]
    """Tensors that a fault, or a hole, kept from being described."""
    expander: Expander
    """What made it, and makes more steps of blocks that are arguments."""
    uses: tuple[Use, ...] = ()
    """What led to it."""
    unused: Expansion | None = None
    """The steps of blocks that nothing uses, for their faults."""
