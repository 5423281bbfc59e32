"""The blocks that ship, and the sizes of the example specs built on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import builders
from builders import source
from builders.blocks import LIBRARY
from layerkit.errors import SpecErrors

SPECS = Path(__file__).parents[2] / "examples/specs"


def test_specs_are_short():
    for path in SPECS.glob("*.yaml"):
        assert len(path.read_text().splitlines()) < 40, path


def test_sizes_are_those_of_the_papers():
    built = {name: builders.load(SPECS / f"{name}.yaml").build() for name in ("mobilenet_v2", "resnet20")}
    assert built["mobilenet_v2"].count_params() == 2_257_984 + 1280 * 10 + 10  # Keras's without its top, and ours
    assert round(built["resnet20"].count_params() / 1e6, 2) == 0.27  # He et al., table 6
    assert [v.shape[1:] for v in [built["mobilenet_v2"].layers[-3].output]] == [(7, 7, 1280)]


USES = {
    "residual": ((8, 8, 4), "{filters: 4}", (8, 8, 4)),
    "bottleneck": ((8, 8, 4), "{filters: 4, strides: 2, project: true}", (4, 4, 16)),
    "depthwise_separable": ((8, 8, 4), "{filters: 6, strides: 2}", (4, 4, 6)),
    "inverted_residual": ((8, 8, 4), "{channels: 4, filters: 4}", (8, 8, 4)),
    "squeeze_excite": ((8, 8, 32), "{filters: 32}", (8, 8, 32)),
    "inception": ((8, 8, 4), "{filters: 6}", (8, 8, 24)),
    "dense_layer": ((8, 8, 4), "{growth: 5}", (8, 8, 9)),
    "dense_block": ((8, 8, 4), "{depth: 3, growth: 5}", (8, 8, 19)),
    "wide_and_deep": ((8,), "{outputs: 3}", (3,)),
    "token_and_position": ((8,), "{vocabulary: 10, length: 8, width: 4}", (8, 4)),
    "feed_forward": ((8, 4), "{width: 4}", (8, 4)),
    "transformer_encoder": ((8, 4), "{width: 4, heads: 2}", (8, 4)),
    "transformer_decoder": ((8, 4), "{width: 4, heads: 2}", (8, 4)),
    "cnn_lstm": ((16, 3), "{filters: 4, units: 5}", (5,)),
    "since_last": ((8, 3), "{length: 8}", (8, 6)),
    "plus_linear": ((5,), "{outputs: 5}", (5,)),
    "column_vectors": ((6,), "{numbers: 2, offsets: [0, 3, 5, 9], values: 12, width: 4}", (6, 4)),
    "image_features": ((8, 8, 3), "{filters: 4}", (4,)),
    "video_cnn_lstm": ((5, 8, 8, 3), "{filters: 4, units: 6}", (6,)),
    "double_conv": ((8, 8, 4), "{filters: 6}", (8, 8, 6)),
    "unet_down": ((8, 8, 4), "{filters: 6}", (4, 4, 6)),
}
TWO_INPUTS = {"wide_and_deep", "plus_linear", "transformer_decoder"}


@pytest.mark.parametrize("name", USES)
def test_blocks(name):
    shape, arguments, out = USES[name]
    dtype = ", dtype: int32" if name == "token_and_position" else ""
    reads = "\n    from: [x, x]" if name in TWO_INPUTS else ""
    text = f"layerkit: 1\ninputs: {{x: {{shape: {list(shape)}{dtype}}}}}\nlayers:\n  - {name}: {arguments}\n    name: it{reads}\noutputs: it\n"
    model = builders.loads(text).build()
    assert model.output.shape[1:] == out
    assert all(w.path.startswith("it/") for w in model.weights)


def test_every_block_is_used():
    known = {name for path in LIBRARY.glob("*.yaml") for name in source.read(path).get("blocks").plain()}
    assert known == {*USES, "unet_up", "plus_last"}


def test_a_forecast_takes_the_last_values_away_and_gives_that_of_the_first_channel_back():
    model = builders.loads("""\
layerkit: 1
inputs: {series: {shape: [3, 2]}}
layers:
  - since_last: 3
    name: changes
  - Flatten:
    name: flat
  - plus_last: {length: 3, channels: 2}
    from: [flat, series]
    name: made
outputs: {changes: changes, made: made}
""").build()
    found = model.predict(np.array([[[1, 10], [2, 30], [4, 20]]], "float32"), verbose=0)
    assert found["changes"].tolist() == [[[-3, -10, 0, 0], [-2, 10, 1, 20], [0, 0, 2, -10]]]
    assert found["made"].tolist() == [[1, -6, 4, 4, 2, 14, 5, 24, 4, 4, 6, -6]]


def test_a_wrong_argument_of_a_block_is_placed():
    text = "layerkit: 1\ninputs: {x: {shape: [8, 8, 4]}}\nlayers:\n  - residual: {filters: 5}\n  - residual: {filtres: 5}\n"
    with pytest.raises(SpecErrors) as caught:
        builders.loads(text, "a.yaml").build()
    first, second = caught.value.errors
    assert "did you mean 'filters'" in str(first if first.where.line == 5 else second)
    shapes = str(second if first.where.line == 5 else first)
    assert "residual (residual) at a.yaml:4:5, defined at library/residual.yaml" in shapes
