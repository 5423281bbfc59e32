"""Layers around a layer, for series: one run in both directions, one applied to each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from layerkit import ops, tree
from layerkit.errors import ArgumentError, ShapeError
from layerkit.ir import show_shape, unify
from layerkit.layers.arguments import call_arguments
from layerkit.layers.base import LAYERS, Layer, LayerArgument
from layerkit.layers.recurrent import RNN
from layerkit.layers.wrapper import Wrapper
from layerkit.trace import set_mask


class Bidirectional(Layer):
    """A recurrent layer run forwards, and another backwards, over the same series.

    Both are made anew from the arguments of ``layer``, so that weights which it may have are not shared. Steps that a mask
    leaves out give zeros where all steps are returned.

    Shapes:
        sequences, mask: those of ``layer``    initial_state: the states of the forward layer, then those of the backward one
        returns: the merged outputs, two if they are not merged; with return_state a tuple of that and all states
    Args:
        layer: the forward layer: an RNN, or a layer with ``go_backwards``, ``return_sequences`` and ``return_state``.
        merge_mode: how the two outputs become one: "concat", "sum", "mul", "ave", or None for both.
        weights: not used; there for Keras's order of arguments.
        backward_layer: by default made like ``layer``, with ``go_backwards`` the other way round.
    Source: Schuster and Paliwal 1997.
    """

    def __init__(self, layer: LayerArgument, merge_mode: str | None = "concat", weights: Any = None, backward_layer: LayerArgument = None,
                 **kwargs: Any) -> None:  # fmt: skip
        super().__init__(**kwargs)
        if merge_mode not in ("concat", "sum", "mul", "ave", None):
            raise ArgumentError(
                "unknown merge_mode.",
                layer="Bidirectional",
                expected="concat, sum, mul, ave or none",
                got=repr(merge_mode),
            )
        self.merge_mode = merge_mode
        forward: Any = layer if isinstance(layer, Layer) else LAYERS.make(layer)
        for each in (forward, backward_layer):
            if isinstance(each, Layer) and not all(map(each.__dict__.__contains__, _WORDS)):
                raise ArgumentError(
                    "'Bidirectional' takes a recurrent layer.", layer="Bidirectional", expected="an LSTM, GRU or RNN",
                    got=type(each).__name__,
                )  # fmt: skip
        zeros = {"zero_output_for_mask": True} if isinstance(forward, RNN) and forward.return_sequences else {}
        self.forward_layer = _anew(forward)
        if backward_layer is None:
            self.backward_layer = _anew(forward, name=None, go_backwards=not forward.go_backwards)
        else:
            self.backward_layer = backward_layer if isinstance(backward_layer, Layer) else LAYERS.make(backward_layer)
        for side in (self.forward_layer, self.backward_layer):
            for name, value in zeros.items():
                setattr(side, name, value)
        self._check_sides()
        self.return_sequences, self.return_state = forward.return_sequences, forward.return_state
        self.stateful = getattr(forward, "stateful", False)

    def _check_sides(self) -> None:
        here, back = self.forward_layer, self.backward_layer
        if here.go_backwards == back.go_backwards:
            raise ArgumentError(
                "both layers go the same way.", layer="Bidirectional", expected="a backward_layer with another go_backwards",
                got=f"go_backwards={back.go_backwards} twice", fix=f"go_backwards={not here.go_backwards} in backward_layer",
            )  # fmt: skip
        for word in ("stateful", "return_sequences", "return_state"):
            a, b = getattr(here, word, False), getattr(back, word, False)
            if a != b:
                raise ArgumentError(
                    f"the two layers differ in '{word}'.", layer="Bidirectional", expected=f"{word}={a}", got=f"{word}={b}",
                )  # fmt: skip

    @property
    def output_names(self) -> Sequence[str]:
        sides = {"forward": self.forward_layer, "backward": self.backward_layer}
        merged = list(sides) if self.merge_mode is None else ["output"]
        return [*merged, *(f"{side}_{name}" for side, layer in sides.items() for name in layer.output_names[1:])]

    def build(self, sequences_shape: Any) -> None:
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer.build(sequences_shape)

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        first = second = None
        if initial_state is not None:
            if len(initial_state) % 2:
                raise ShapeError(
                    "'initial_state' has states for each of the two layers.", expected="an even number of tensors",
                    got=str(len(initial_state)),
                )  # fmt: skip
            half = len(initial_state) // 2
            first, second = initial_state[:half], initial_state[half:]
        y = self.forward_layer(sequences, initial_state=first, mask=mask, training=training)
        z = self.backward_layer(sequences, initial_state=second, mask=mask, training=training)
        states: Sequence[Any] = ()
        if self.return_state:
            (y, *s), (z, *t) = y, z
            states = *s, *t
        if self.return_sequences:
            z = ops.flip(z, 1)
        if self.merge_mode is None:
            return (y, z, *states)
        merged = self._merge(y, z)
        return (merged, *states) if self.return_state else merged

    def _merge(self, y: Any, z: Any) -> Any:
        if self.merge_mode == "concat":
            return ops.concatenate([y, z], -1)
        if self.merge_mode == "mul":
            return y * z
        return y + z if self.merge_mode == "sum" else (y + z) / 2

    def reset_state(self) -> None:
        """Let the next call of ``stateful`` layers begin with states of zero."""
        for layer in (self.forward_layer, self.backward_layer):
            layer.reset_state()

    reset_states = reset_state

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        found = tree.leaves(previous_mask)
        mask = found[0] if found and self.return_sequences else None
        outputs = [mask, mask] if self.merge_mode is None else [mask]
        if self.return_state:
            return [*outputs, *[None] * (2 * len(tree.leaves(self.forward_layer.state_size)))]
        return outputs if self.merge_mode is None else mask


_WORDS = "go_backwards", "return_sequences", "return_state"


def _anew(layer: Layer, **changes: Any) -> Any:
    """A layer made from the same arguments, but for ``changes``; layers among the arguments are made anew too."""

    def copied(value: Any) -> Any:
        if isinstance(value, Layer):
            return _anew(value)
        return [copied(v) for v in value] if isinstance(value, list | tuple) else value

    return type(layer)(**{k: copied(v) for k, v in {**layer._config, **changes}.items()})


class TimeDistributed(Wrapper):
    """A layer applied to each time step: (batch, time, ...) -> (batch, time, ...).

    All steps of all rows go through the layer as one batch, so statistics of a batch are over all of them. A layer that takes
    a mask gets the part of each step.
    """

    def build(self, input_shape: Any) -> None:
        if len(input_shape) >= 3:
            super().build((input_shape[0], *input_shape[2:]))

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        if inputs.ndim < 3:
            raise ShapeError(
                "'TimeDistributed' needs a time axis.", expected="(batch, time, ...)", got=show_shape(inputs.shape)
            )
        batch, time = inputs.shape[:2]
        if mask is not None:
            self._check_mask(inputs.shape, mask.shape)
        merged = ops.reshape(inputs, (batch * time, *inputs.shape[2:]))
        if mask is not None and call_arguments(type(self.layer)).mask:
            set_mask(merged, ops.reshape(mask, (batch * time, *mask.shape[2:])))
        y = self.layer(merged, training=training)
        return tree.map_leaves(lambda v: ops.reshape(v, (batch, time, *v.shape[1:])), y)

    def _check_mask(self, shape: Sequence[Any], mask_shape: Sequence[Any]) -> None:
        if len(mask_shape) < 2 or any(unify(m, n) is None for m, n in zip(mask_shape[:2], shape[:2], strict=True)):
            raise ShapeError(
                "the mask has other rows or steps than the series.", expected=f"{show_shape(shape[:2])}, with or without more axes",
                got=show_shape(mask_shape),
            )  # fmt: skip

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return previous_mask
