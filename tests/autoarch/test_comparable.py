"""Specs whose trials cannot be compared are refused before anything is trained."""

from __future__ import annotations

import pytest

from autoarch.options import prepare
from layerkit.errors import ArgumentError

TEXT = """\
layerkit: 1
name: NAME
inputs: {image: {shape: [8, 8, 1]}}
layers: [Flatten, {Dense: {units: !choice [10, 20]}}, {Dense: {units: 10, activation: softmax}}]
compile:
  optimizer: adam
  loss: LOSS
  metrics: METRICS
fit: {epochs: 3}
data: {dataset: digits}
"""
CROSS = "sparse_categorical_crossentropy"


def prepared(tmp_path, *parts: tuple[str, str]) -> list[str]:
    """What is said of specs with these losses and metrics."""
    paths, said = [], []
    for i, (loss, metrics) in enumerate(parts):
        path = tmp_path / f"{'abc'[i]}.yaml"
        path.write_text(TEXT.replace("NAME", path.stem).replace("LOSS", loss).replace("METRICS", metrics))
        paths.append(path)
    prepare(paths, None, say=said.append, trials=3)
    return said


@pytest.mark.parametrize(
    "parts",
    [
        [("mse", "[mae]"), ("mean_squared_error", "[]"), ("{MeanSquaredError: {}}", "[mae]")],
        [(CROSS, "[accuracy]"), ("SparseCategoricalCrossentropy", "[{SparseCategoricalAccuracy: {name: accuracy}}]")],
        [(CROSS, "!choice [[accuracy], [mae, accuracy]]")],
        [
            (CROSS, "[accuracy]"),
            (f"{{dense_1: {CROSS}}}", "{dense_1: [mae, accuracy]}"),
            (f"[{CROSS}]", "[[accuracy]]"),
        ],
        [(CROSS, "[accuracy]"), (CROSS, "[]\n  weighted_metrics: [accuracy]")],
    ],
)
def test_what_is_alike_is_searched_together(tmp_path, parts):
    assert prepared(tmp_path, *parts) == []


def test_accuracy_beside_no_accuracy(tmp_path):
    with pytest.raises(ArgumentError) as caught:
        prepared(tmp_path, (CROSS, "[accuracy]"), (CROSS, "[acc]"))  # scores called acc rank nothing
    assert (
        caught.value.got
        == "a.yaml:7: accuracy and SparseCategoricalCrossentropy; b.yaml:7: SparseCategoricalCrossentropy"
    )
    assert f"metrics: [accuracy] in the section compile: at {tmp_path / 'b.yaml'}:7" in caught.value.fix


def test_accuracy_of_one_output_of_several_ranks_nothing(tmp_path):
    """Its score is called dense_1_accuracy."""
    text = TEXT.replace("METRICS", "[accuracy]").replace("LOSS", CROSS)
    (tmp_path / "a.yaml").write_text(text.replace("NAME", "a"))
    (tmp_path / "b.yaml").write_text(text.replace("NAME", "b\noutputs: [dense, dense_1]"))
    with pytest.raises(ArgumentError, match="measure accuracy"):
        prepare([tmp_path / "a.yaml", tmp_path / "b.yaml"], None, trials=3)


@pytest.mark.parametrize(
    ("parts", "got"),
    [
        ([("mse", "[]"), ("mae", "[]")], "a.yaml:7: MeanSquaredError; b.yaml:7: MeanAbsoluteError"),
        ([("!choice [mse, mae]", "[]")], "a.yaml:7: MeanSquaredError; a.yaml:7: MeanAbsoluteError"),
        (
            [("!choice [mse, {Huber: {delta: !choice [1.5, 2.0]}}]", "[]")],
            "a.yaml:7: MeanSquaredError; a.yaml:7: Huber(delta=1.5); a.yaml:7: Huber(delta=2.0)",
        ),
    ],
)
def test_unlike_losses(tmp_path, parts, got):
    with pytest.raises(ArgumentError, match="unlike losses") as caught:
        prepared(tmp_path, *parts)
    assert caught.value.got == got


def test_unlike_losses_decide_between_equals_of_accuracy_alone(tmp_path):
    (said,) = prepared(tmp_path, (f"!choice [{CROSS}, kl_divergence]", "[accuracy]"))
    assert "trials of equal accuracy" in said


def test_one_loss_by_name(tmp_path):
    """A hole in ``let`` is one where the name is used."""
    path = tmp_path / "a.yaml"
    path.write_text(
        TEXT.replace("name: NAME", "name: a\nlet: {kind: !choice [mse, mae]}")
        .replace("LOSS", "$kind")
        .replace("METRICS", "[]")
    )
    with pytest.raises(ArgumentError, match="unlike losses"):
        prepare([path], None, trials=3)
