"""Layers that read texts. The numbers are those of Keras 3.15 on TensorFlow, where these layers run there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import layerkit
from layerkit import layers as L
from layerkit import regularizers
from layerkit.errors import ArgumentError, DataError, DTypeError, GraphError, LayerkitError, ShapeError, StateError
from layerkit.layers.hashes import farmhash, siphash
from layerkit.models.config import model_config


def adapted(layer: Any, data: Any) -> Any:
    layer.adapt(data)
    return layer


WORDS = ["b", "a", "b", "c", "a", "b"]
ROWS = np.array([["a", "b", "a"], ["a", "c", "c"], ["d", "d", "a"]])


def test_string_lookup_numbers_texts_by_frequency() -> None:
    layer = adapted(L.StringLookup(), WORDS)
    assert layer.get_vocabulary() == ["[UNK]", "b", "a", "c"]
    assert layer.get_vocabulary(include_special_tokens=False) == ["b", "a", "c"]
    assert layer.vocabulary_size() == 4
    assert layer(["a", "z", "c"]).tolist() == [2, 0, 3]
    assert layer(np.array([b"a"])).dtype == "int64"
    assert adapted(L.StringLookup(), ["b", "a", "c", "é", "Z"]).get_vocabulary()[1:] == ["é", "c", "b", "a", "Z"]
    assert adapted(L.StringLookup(max_tokens=3), [*WORDS, "c"]).get_vocabulary() == ["[UNK]", "b", "c"]
    assert adapted(L.StringLookup(), iter([np.array(WORDS[:2]), np.array(WORDS[2:])])).get_vocabulary()[1] == "b"


def test_string_lookup_has_a_mask_and_several_unknown_numbers() -> None:
    layer = L.StringLookup(vocabulary=["x", "y"], mask_token="", num_oov_indices=2)
    assert layer.get_vocabulary() == ["", "[UNK]", "[UNK]", "x", "y"]
    found = layer([["x", "", "q1", "q2", "y"]]).tolist()[0]
    assert (found[0], found[1], found[4]) == (3, 0, 4)
    assert set(found[2:4]) <= {1, 2}
    assert L.StringLookup(vocabulary=["x", "y"], invert=True)([0, 1, 2, 3]).tolist() == ["[UNK]", "x", "y", "[UNK]"]
    none = L.StringLookup(vocabulary=["x"], num_oov_indices=0)
    assert none(["x"]).tolist() == [0]
    with pytest.raises(DataError, match="not in the vocabulary"):
        none(["q"])


@pytest.mark.parametrize(
    ("mode", "pairs", "columns", "row", "one"),
    [
        ("one_hot", [[[0, 1, 0], [0, 0, 1]], [[0, 1, 0], [1, 0, 0]]], [[0, 1, 0], [0, 0, 1]], [[0, 1, 0], [0, 0, 1]], [[0, 1, 0]]),
        ("multi_hot", [[0, 1, 1], [1, 1, 0]], [[0, 1, 0], [0, 0, 1]], [0, 1, 1], [0, 1, 0]),
        ("count", [[0, 1, 1], [1, 1, 0]], [[0, 1, 0], [0, 0, 1]], [0, 1, 1], [0, 1, 0]),
    ],
)  # fmt: skip
def test_string_lookup_makes_vectors(mode: str, pairs: Any, columns: Any, row: Any, one: Any) -> None:
    layer = L.StringLookup(vocabulary=["x", "y"], output_mode=mode)
    assert layer([["x", "y"], ["x", "q"]]).tolist() == pairs
    assert layer([["x"], ["y"]]).tolist() == columns
    assert layer(["x", "y"]).tolist() == row
    assert layer("x").tolist() == one
    assert layer.compute_output_shape((None, 2)) == (None, *np.shape(pairs)[1:])
    padded = L.StringLookup(6, vocabulary=["x", "y"], output_mode=mode, pad_to_max_tokens=True)
    assert padded([["x"]]).tolist() == [[0, 1, 0, 0, 0, 0]]


def test_tf_idf_weighs_rare_texts_more() -> None:
    layer = adapted(L.StringLookup(output_mode="tf_idf"), ROWS)
    assert layer.get_vocabulary() == ["[UNK]", "a", "d", "c", "b"]
    np.testing.assert_allclose(layer([["a", "a", "z"]]), [[0.82712203, 1.1192316, 0, 0, 0]], rtol=1e-6)
    given = L.StringLookup(vocabulary=["x", "y"], idf_weights=[0.5, 0.7], output_mode="tf_idf")
    np.testing.assert_allclose(given([["x", "x", "q", "y"]]), [[0.6, 1.0, 0.7]], rtol=1e-6)


def test_integer_lookup() -> None:
    layer = adapted(L.IntegerLookup(), [5, 5, 3, 9, 9, 9])
    assert layer.get_vocabulary() == [-1, 9, 5, 3]
    assert layer([[5, 3, 7]]).tolist() == [[2, 3, 0]]
    spread = L.IntegerLookup(vocabulary=[12, 36, 1138, 42], num_oov_indices=2)
    assert spread([[12, 1138, 42], [42, 1000, 36], [37, -5, -6]]).tolist() == [[2, 4, 5], [5, 0, 3], [1, 1, 0]]
    masked = L.IntegerLookup(vocabulary=[12, 36], mask_token=0)
    assert masked.get_vocabulary() == [0, -1, 12, 36]
    assert masked([0, 12, 36, 99]).tolist() == [0, 2, 3, 1]
    assert L.IntegerLookup(vocabulary=[12, 36], invert=True)([0, 1, 2]).tolist() == [-1, 12, 36]
    assert L.IntegerLookup(vocabulary=[12, 36], output_mode="multi_hot")([[12, 99]]).tolist() == [[1, 1, 0]]


TEXTS = ["Hello, World!", "hello   there <b>x</b>", "it's a_b c-d"]


def test_text_vectorization() -> None:
    layer = adapted(L.TextVectorization(), TEXTS)
    assert layer.get_vocabulary() == ["", "[UNK]", "hello", "world", "there", "its", "cd", "bxb", "ab"]
    assert layer(["hello it's world a_b c-d unknown"]).tolist() == [[2, 5, 3, 8, 6, 1]]
    pairs = adapted(L.TextVectorization(10, ngrams=2, output_sequence_length=4), ["a b c", "a b d"])
    assert pairs.get_vocabulary() == ["", "[UNK]", "b", "a b", "a", "d", "c", "b d", "b c"]
    assert pairs(["a b c d e", "a"]).tolist() == [[4, 2, 6, 5], [4, 0, 0, 0]]
    assert adapted(L.TextVectorization(ngrams=(1, 3)), ["a b c"]).get_vocabulary()[2:] == ["c", "b", "a b c", "a"]
    letters = adapted(L.TextVectorization(split="character"), ["ab c"])
    assert letters.get_vocabulary() == ["", "[UNK]", "c", "b", "a", " "]
    assert letters(["cab"]).tolist() == [[2, 4, 3]]
    whole = adapted(L.TextVectorization(split=None, standardize="lower"), ["Ab C", "x"])
    assert whole(["ab c", "X", "y"]).tolist() == [3, 2, 1]
    kept = adapted(L.TextVectorization(standardize="strip_punctuation"), ["Ab, C!"])
    assert kept.get_vocabulary()[2:] == ["C", "Ab"]
    given = L.TextVectorization(vocabulary=["a", "b"])
    assert given([["a b"], ["c"]]).tolist() == [[2, 3], [1, 0]]
    assert given("a b").tolist() == [2, 3]
    assert given.compute_output_shape((None, 1)) == (None, None)


def test_text_vectorization_makes_vectors() -> None:
    data = [" ".join(row) for row in ROWS]
    for mode, expected in {
        "multi_hot": [[1, 1, 0, 0, 0], [0, 0, 0, 0, 1]],
        "count": [[1, 2, 0, 0, 0], [0, 0, 0, 0, 1]],
        "tf_idf": [[0.8271220326423645, 1.1192315816879272, 0, 0, 0], [0, 0, 0, 0, 0.9162907600402832]],
    }.items():
        layer = adapted(L.TextVectorization(output_mode=mode), data)
        assert layer.get_vocabulary() == ["[UNK]", "a", "d", "c", "b"]
        np.testing.assert_allclose(layer(["a a z", "b"]), expected, rtol=1e-6)
        np.testing.assert_array_equal(layer(["", "b"])[0], np.zeros(5))
    wide = L.TextVectorization(6, vocabulary=["a", "b"], output_mode="count", pad_to_max_tokens=True)
    assert wide(["a b"]).tolist() == [[0, 1, 1, 0, 0, 0]]


def test_hashing() -> None:
    letters, numbers = np.array([["A"], ["B"], ["C"], ["D"], ["E"]]), np.array([[1], [2], [3]])
    layer = L.Hashing(3, salt=133)
    assert layer(letters).ravel().tolist() == [0, 0, 2, 1, 0]
    assert layer(numbers).ravel().tolist() == [2, 0, 1]
    wide = L.Hashing(1000003, salt=[133, 137])
    assert wide(["A", "B", "hello world, this is long", ""]).tolist() == [212495, 973574, 481068, 953272]
    assert wide([1, -2, 30000]).tolist() == [544600, 79822, 545074]
    assert L.Hashing(4, salt=1, output_mode="one_hot")(letters[:2]).tolist() == [[0, 1, 0, 0], [1, 0, 0, 0]]
    masked = L.Hashing(3, mask_value="")(["A", "", "B"])
    assert masked[1] == 0
    assert set(masked[[0, 2]].tolist()) <= {1, 2}
    assert set(L.Hashing(3)(letters).ravel().tolist()) <= {0, 1, 2}
    assert (
        siphash(b"", (0x0706050403020100, 0x0F0E0D0C0B0A0908)) == 0x726FDB47DD0E0E31
    )  # the authors' first test vector


OF_ALL_LENGTHS = [
    "", "A", "word", "a longer one", "seventeen letters!", "between thirty-three and sixty-four bytes",
    "more than sixty-four bytes are taken in blocks, whose last one overlaps the one before it",
]  # fmt: skip


def test_hashes_without_a_salt_are_those_of_keras_on_tensorflow() -> None:
    wide = L.Hashing(1000003)
    assert wide(OF_ALL_LENGTHS).tolist() == [377723, 127888, 180300, 877755, 194730, 77944, 577056]
    assert wide([1, -2, 30000]).tolist() == [361198, 770841, 109704]
    assert L.Hashing(1000003, dtype="int32")(["A"]).dtype == np.int32
    assert L.StringLookup(vocabulary=["a"], num_oov_indices=5)(["x", "y", "z", "hello"]).tolist() == [0, 0, 2, 1]
    numbers = L.IntegerLookup(vocabulary=[1], num_oov_indices=5, oov_method="farmhash")
    assert numbers([7, 8, 9, 10]).tolist() == [3, 2, 0, 2]
    assert farmhash(b"") == 0x9AE16A3B2F90404F


def test_hashed_crossing() -> None:
    layer = L.HashedCrossing(1000)
    i, j = np.array([1, 2, 3, 100, 7]), np.array([5, 4, 3, 2, 1])
    texts = np.array(["a", "bb", "ccc", "hello world", ""])
    assert layer((i, j)).tolist() == [733, 547, 185, 673, 645]  # as Keras on TensorFlow
    assert layer((texts, j)).tolist() == [463, 989, 860, 532, 911]
    assert layer((texts[:, None], texts[::-1, None], j[:, None])).ravel().tolist() == [477, 18, 13, 658, 539]
    assert L.HashedCrossing(5, "one_hot")((i[:, None], j[:, None])).shape == (5, 5)
    for wrong in ([i, j[:2]], [i], [i, j / 2], np.array(1), [i.reshape(1, 1, 5)] * 2):
        with pytest.raises(ArgumentError, match="one shape"):
            layer(wrong)


def test_arguments_that_do_not_fit_are_refused_at_once() -> None:
    for make in (
        lambda: L.Hashing(3, salt=[1]),
        lambda: L.Hashing(3, salt="sugar"),
        lambda: L.Hashing(3, dtype="float32"),
        lambda: L.StringLookup(max_tokens=1),
        lambda: L.TextVectorization(ngrams="two"),
        lambda: L.TextVectorization(split="spaces"),
        lambda: L.TextVectorization(output_mode="count", output_sequence_length=3),
        lambda: L.Normalization(mean=1.0),
        lambda: regularizers.L2(-0.1),
        lambda: regularizers.L1L2(float("nan")),
    ):
        with pytest.raises(ArgumentError):
            make()


def test_whole_texts_keep_their_shape() -> None:
    layer = L.TextVectorization(split=None, vocabulary=["foo", "bar baz"])
    assert layer(["foo", "Bar baz!"]).tolist() == [2, 3]
    assert layer([["foo"], ["x"]]).tolist() == [[2], [1]]


def test_normalization_adapts_to_batches() -> None:
    x = np.random.default_rng(0).normal(size=(12, 3, 2))
    whole = adapted(L.Normalization(axis=(1, 2)), x)
    for batches in ([x[:4], x[4:]], iter([x[:4], x[4:]]), [(x[:4], np.zeros(4)), (x[4:], np.zeros(8))]):
        np.testing.assert_allclose(adapted(L.Normalization(axis=(1, 2)), batches)(x), whole(x), atol=1e-6)
    with pytest.raises(ShapeError, match="batches differ"):
        L.Normalization().adapt(iter([x[:2, 0], x[:2, :, 0]]))
    with pytest.raises(DataError, match="no data"):
        L.Normalization().adapt([])
    with pytest.raises(ArgumentError, match="array of rows"):
        L.Normalization().adapt(iter([42]))
    given = L.Normalization(axis=(1, 2), mean=[1.0, 2.0], variance=4.0)
    given.build((None, 3, 2))
    assert given.mean.shape == given.variance.shape == (1, 3, 2)
    np.testing.assert_allclose(given(x), (x - [1.0, 2.0]) / 2, atol=1e-6)


def test_discretization_adapts_to_quantiles() -> None:
    def bounds(data: Any, **arguments: Any) -> Any:
        return adapted(L.Discretization(**arguments), data).bin_boundaries

    np.testing.assert_allclose(bounds(np.arange(100.0), num_bins=4), [24, 49, 74], rtol=1e-6)
    np.testing.assert_allclose(bounds(np.arange(1.0, 11), num_bins=4), [2.5, 5, 7.5], rtol=1e-6)
    assert bounds([1.0, 2, 3, 4], num_bins=2) == [2.0]
    assert bounds([[1.0, 2, 3, 4, 1, 1, 1, 2]], num_bins=3) == [1.0, 2.0]
    assert L.Discretization(num_bins=4, output_mode="count").compute_output_shape((None, 5)) == (None, 4)
    with pytest.raises(ArgumentError, match="bins are given"):
        L.Discretization()
    with pytest.raises(StateError, match="not known yet"):
        L.Discretization(num_bins=3)(np.ones(3))


@pytest.mark.parametrize(
    "make",
    [
        lambda: L.StringLookup(vocabulary=["a", "a"]),
        lambda: L.StringLookup(2, vocabulary=["a", "b"]),
        lambda: L.StringLookup(vocabulary=["a"], output_mode="tf_idf"),
        lambda: L.StringLookup(vocabulary=["a"], idf_weights=[1.0]),
        lambda: L.TextVectorization(ragged=True),
        lambda: L.StringLookup(output_mode="binary"),
    ],
)
def test_what_cannot_be_meant_is_refused(make: Any) -> None:
    with pytest.raises(ArgumentError):
        make()


# In models -----------------------------------------------------------------------------------------------------------

SENTENCES = ["good film", "bad film", "good", "bad bad", "so good", "so bad", "a good one", "a bad one"] * 4
LIKED = np.array(["good" in s for s in SENTENCES], "float32")


def sentiment(vectorizer: Any) -> Any:
    text = L.Input((), dtype="string")
    x = L.Embedding(20, 4)(vectorizer(text))
    return layerkit.Model(text, L.Dense(1, activation="sigmoid")(L.GlobalAveragePooling1D()(x)))


def test_a_model_learns_from_texts_and_comes_back_from_its_file(tmp_path: Any) -> None:
    layerkit.utils.set_random_seed(1)
    model = sentiment(adapted(L.TextVectorization(output_sequence_length=4), SENTENCES))
    model.compile({"Adam": {"learning_rate": 0.1}}, "binary_crossentropy", metrics=["accuracy"])
    texts = np.array(SENTENCES)
    history = model.fit(texts, LIKED, epochs=10, verbose=0, validation_data=(SENTENCES, LIKED)).history
    assert history["val_accuracy"][-1] == 1.0
    assert model.evaluate(list(texts), LIKED, verbose=0, return_dict=True)["accuracy"] == 1.0
    expected = model.predict(texts, verbose=0)
    np.testing.assert_allclose(model(texts), expected, rtol=1e-5)
    np.testing.assert_allclose(model.predict(iter([texts[:5], texts[5:]]), verbose=0), expected, rtol=1e-5)
    model.train_on_batch(texts[:4], LIKED[:4])
    assert "good" not in str(model_config(model))
    model.save(tmp_path / "m.lk")
    loaded = layerkit.load_model(tmp_path / "m.lk")
    np.testing.assert_array_equal(loaded.predict(texts, verbose=0), model.predict(texts, verbose=0))
    assert loaded.layers[1].get_vocabulary() == model.layers[1].get_vocabulary()
    loaded.summary(print_fn=lambda line: None)


def test_a_sequential_begins_with_texts_or_with_categories(tmp_path: Any) -> None:
    lookup = adapted(L.StringLookup(output_mode="multi_hot"), ROWS)
    model = layerkit.Sequential([lookup, L.Dense(2)])
    assert model.predict(ROWS, verbose=0).shape == (3, 2)
    model.save(tmp_path / "m.lk")
    loaded = layerkit.load_model(tmp_path / "m.lk")
    np.testing.assert_array_equal(loaded.predict(ROWS, verbose=0), model.predict(ROWS, verbose=0))


def test_batches_of_texts_and_a_vocabulary_from_a_file(tmp_path: Any) -> None:
    (tmp_path / "words.txt").write_text("good\nbad\n", "utf-8")
    layer = L.TextVectorization(output_mode="count", vocabulary=str(tmp_path / "words.txt"))
    (tmp_path / "words.txt").unlink()
    model = layerkit.Sequential([layer, L.Dense(1)])
    model.compile("sgd", "mse")
    model.fit([(np.array(SENTENCES[:4]), LIKED[:4]), (np.array(SENTENCES[4:8]), LIKED[4:8])].__iter__(), verbose=0)
    model.save(tmp_path / "m.lk")
    loaded = layerkit.load_model(tmp_path / "m.lk")
    texts = np.array(SENTENCES)
    np.testing.assert_array_equal(loaded.predict(texts, verbose=0), model.predict(texts, verbose=0))


def test_programs_see_what_adapt_changes(tmp_path: Any) -> None:
    x = L.Input((2,))
    bins, normal = L.Discretization(num_bins=3, output_mode="count"), L.Normalization()
    data = np.random.default_rng(0).normal(size=(40, 2)).astype("float32")
    bins.adapt(data)
    model = layerkit.Model(x, L.Concatenate()([bins(x), normal(x)]))
    before = model.predict(data, verbose=0)
    assert abs(before[:, :3].sum(0) - 80 / 3).max() <= 1.0
    np.testing.assert_allclose(before[:, 3:], data, rtol=1e-5)  # not adapted: nothing changes
    bins.adapt(data * 2)
    normal.adapt(data)
    after = model.predict(data, verbose=0)
    assert after[:, 1].sum() > before[:, 1].sum() + 5
    np.testing.assert_allclose(after[:, 3:].std(0), 1.0, rtol=1e-4)
    model.save(tmp_path / "m.lk")
    loaded = layerkit.load_model(tmp_path / "m.lk")
    np.testing.assert_array_equal(loaded.predict(data, verbose=0), after)
    assert [w.shape for w in loaded.weights] == [(2,), (2,), ()]


def test_texts_and_numbers_enter_side_by_side() -> None:
    color, size = L.Input((1,), dtype="string", name="color"), L.Input((2,), name="size")
    known = L.StringLookup(vocabulary=["red", "blue"], output_mode="one_hot")(color)
    crossed = L.HashedCrossing(4, "one_hot")([color, color])
    joined = L.Concatenate()([layerkit.ops.cast(known, "float32"), layerkit.ops.cast(crossed, "float32"), size])
    model = layerkit.Model([color, size], L.Dense(1)(joined))
    data = {"color": np.array([["red"], ["blue"], ["?"]]), "size": np.ones((3, 2), "float32")}
    first = model.predict(data, verbose=0)
    assert first.shape == (3, 1)
    np.testing.assert_array_equal(model.predict([data["color"], data["size"]], verbose=0), first)
    with pytest.raises(DataError, match="size"):
        model.predict({"color": data["color"]}, verbose=0)


def test_texts_that_no_layer_reads_are_refused() -> None:
    text = L.Input((3,), dtype="string")
    with pytest.raises(LayerkitError):
        layerkit.Model(text, L.Flatten()(text))
    inner = sentiment(L.TextVectorization(vocabulary=["a"]))
    with pytest.raises(StateError, match="reads texts"):
        inner(L.Input((), dtype="string"))
    number = L.Input((3,), dtype="int32")
    with pytest.raises(GraphError, match="before a program runs"):
        layerkit.Model(number, L.IntegerLookup(vocabulary=[1])(L.Flatten()(number)))


def test_lambda_stays_in_python(tmp_path: Any) -> None:
    x = L.Input((3,))
    model = layerkit.Model(x, L.Lambda(layerkit.ops.tanh)(x))
    np.testing.assert_allclose(model.predict(np.ones((2, 3)), verbose=0), np.tanh(np.ones((2, 3))), rtol=1e-6)
    with pytest.raises(ArgumentError, match="holds Python code"):
        model.save(tmp_path / "m.lk")
    with pytest.raises(ArgumentError) as caught:
        L.Lambda("x * 2")
    assert "files cannot hold one" in str(caught.value.expected)


def test_a_column_of_texts_fits_an_input_of_one_text() -> None:
    layer = adapted(L.TextVectorization(output_sequence_length=2), ["a b", "b"])
    model = layerkit.Sequential([L.Input((1,), dtype="string"), layer])
    for texts in (np.array(["b a", "c"]), np.array([["b a"], ["c"]]), np.array(["b a", "c"], object)):
        assert model.predict(texts).tolist() == [[2, 3], [1, 0]]


def test_one_long_text_does_not_cost_the_others_its_length() -> None:
    texts = np.array(["the cat"] * 2000 + ["x" * 1_000_000], object)  # as an array of equally long texts: 8 GB
    layer = adapted(L.TextVectorization(output_sequence_length=2), texts)
    assert layer(texts)[[0, 2000]].tolist() == [[2, 3], [4, 0]]
    counts = adapted(L.TextVectorization(output_mode="count"), texts)
    assert counts(texts).sum(0).tolist() == [0, 2000, 2000, 1]
    assert L.StringLookup(vocabulary=["the cat"])(texts).sum() == 2000
    assert L.Hashing(1)(texts).sum() == 0


def test_own_functions_of_texts_get_an_array_that_numpy_understands() -> None:
    def clean(texts: Any) -> Any:
        return np.char.replace(np.char.lower(texts), "<br />", " ")

    layer = adapted(L.TextVectorization(standardize=clean, split=lambda texts: np.char.split(texts)), ["A<br />b", "B"])
    assert layer.get_vocabulary() == ["", "[UNK]", "b", "a"]
    assert layer(["b<br />A"]).tolist() == [[2, 3]]


@pytest.mark.parametrize("cls", [L.StringLookup, L.TextVectorization])
def test_numbers_are_no_texts(cls):
    layer = cls(vocabulary=["a", "1"])
    for given in (np.ones((2, 1), "float32"), np.ones(2, "int64"), layerkit.Input((), dtype="float32")):
        with pytest.raises(DTypeError, match="looks up texts"):
            layer(given)
    assert layer(layerkit.Input((), dtype="string")).dtype == "int64"
    assert len(layer([])) == 0  # no texts, which NumPy takes for numbers
