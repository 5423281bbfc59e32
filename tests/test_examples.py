"""The examples run, and reach what they say."""

from __future__ import annotations

import gzip
import runpy
import struct
from pathlib import Path

import numpy as np
import pytest

import layerkit

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_first_model(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / "01_first_model.py"))
    _, (x, y) = layerkit.datasets.digits()
    loaded = layerkit.load_model("digits.lk")
    assert loaded.evaluate(x, y, verbose=0)[1] > 0.95
    assert "Epoch 10/10" in capsys.readouterr().out


def example(name):
    return runpy.run_path(str(EXAMPLES / name))["main"]


def test_japanese_vowels_small(tmp_path):
    """On made series of the same form: the speaker is the mean of the channels."""
    rng = np.random.default_rng(0)
    for part in ("TRAIN", "TEST"):
        lines = ["@classlabel true 1 2 3", "@data"]
        for label in rng.integers(1, 4, 60):
            case = rng.standard_normal((12, rng.integers(7, 20))) * 0.3 + label
            lines.append(":".join(",".join(f"{v:.4f}" for v in channel) for channel in case) + f":{label}")
        (tmp_path / f"JapaneseVowels_{part}.ts").write_text("\n".join(lines))
    assert example("02_japanese_vowels.py")(tmp_path, epochs=15, units=8) > 0.9


def test_fashion_mnist_small(tmp_path):
    """On made images of the same form: a bright row at the height of the class."""
    rng = np.random.default_rng(0)
    for part, rows in (("train", 400), ("t10k", 100)):
        labels = rng.integers(0, 10, rows).astype("uint8")
        images = rng.integers(0, 60, (rows, 28, 28)).astype("uint8")
        for image, label in zip(images, labels, strict=True):
            image[2 + 2 * label : 5 + 2 * label] = 250
        for kind, array, rank in (("images-idx3", images, 3), ("labels-idx1", labels, 1)):
            head = struct.pack(f">BBBB{rank}I", 0, 0, 8, rank, *array.shape)
            (tmp_path / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(head + array.tobytes()))
    assert example("03_fashion_mnist.py")(tmp_path, epochs=6) > 0.8


def test_temperatures_small():
    found = example("04_temperatures.py")(epochs=12, units=16)
    assert found["model"] < found["persistence"] < found["climate"]


def test_basic_motions_small(tmp_path):
    """On made signals of the same form: each motion has its own rhythm."""
    rng = np.random.default_rng(0)
    for part in ("TRAIN", "TEST"):
        lines = ["@classlabel true 1 2 3 4", "@data"]
        for label in np.arange(40) % 4 + 1:
            time = np.arange(100) + rng.uniform(0, 20)
            case = np.sin(time * 0.15 * label) + rng.standard_normal((6, 100)) * 0.3
            lines.append(":".join(",".join(f"{v:.3f}" for v in channel) for channel in case) + f":{label}")
        (tmp_path / f"BasicMotions_{part}.ts").write_text("\n".join(lines))
    assert example("05_basic_motions.py")(tmp_path, epochs=12) > 0.9


@pytest.mark.slow
def test_moving_digits_small():
    digit, direction = example("06_moving_digits.py")(rows=400, epochs=4)
    assert direction > 0.5
    assert digit > 0.08


@pytest.mark.slow
def test_wide_and_deep_small():
    found = {k: v["auc"] for k, v in example("07_wide_and_deep.py")(rows=6000, epochs=6).items()}
    assert found["wide and deep"] > 0.68
    assert max(found.values()) == found["best possible"]


@pytest.mark.slow
def test_wide_and_deep_takes_the_census(tmp_path, monkeypatch):
    """A table of the same form, as pandas reads it from the file."""
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    table = {
        name: rng.choice(["a", "b", "?"], 300)
        for name in ("education", "occupation", "relationship", "marital-status", "gender")
    }
    table |= {"age": rng.integers(17, 90, 300), "fnlwgt": rng.integers(0, 1000, 300)}
    table["income"] = np.where(table["age"] > 50, ">50K", "<=50K")
    monkeypatch.setattr(pandas, "read_parquet", lambda path: pandas.DataFrame(table))
    run = runpy.run_path(str(EXAMPLES / "07_wide_and_deep.py"))
    columns, y, pairs = run["read"]("adult.parquet")
    model = run["build"](columns, pairs, wide=True, deep=True)
    model.compile("adam", "binary_crossentropy", metrics=[layerkit.metrics.AUC(name="auc")])
    model.fit(columns, y, epochs=10, verbose=0)
    assert model.evaluate(columns, y, verbose=0, return_dict=True)["auc"] > 0.9


def test_numbers_in_words_follow_the_rules_of_both_languages():
    run = runpy.run_path(str(EXAMPLES / "08_numbers_in_words.py"))
    assert " ".join(run["english"](7316)) == "seven thousand three hundred sixteen"
    spelled = {
        71: "soixante et onze", 80: "quatre vingt", 81: "quatre vingt un", 97: "quatre vingt dix sept", 21: "vingt et un",
        1100: "mille cent", 2000: "deux mille", 500: "cinq cent", 16: "seize", 17: "dix sept", 0: "zero",
    }  # fmt: skip
    assert {n: " ".join(run["french"](n)) for n in spelled} == spelled


@pytest.mark.slow
def test_numbers_in_words_small():
    assert 0 <= example("08_numbers_in_words.py")(train_rows=300, units=16, epochs=1) <= 1


@pytest.mark.slow
def test_captions_small():
    assert 0 <= example("09_captions.py")(rows=300, epochs=1) <= 1


@pytest.mark.slow
def test_vae_small():
    error, of_mean = example("10_vae.py")(epochs=16)
    assert error < of_mean


@pytest.mark.slow
def test_gan_small():
    found = example("11_gan.py")(epochs=12)
    assert found["real"] < found["generated"] < found["noise"]


@pytest.mark.slow
def test_small_gpt():
    bits, of_frequencies = example("12_small_gpt.py")(steps=60, context=16, width=16, blocks=1, letters_to_write=3)
    assert bits < of_frequencies


@pytest.mark.slow
def test_siamese_small():
    assert example("13_siamese.py")(rows=1500, epochs=4) > 0.8


@pytest.mark.slow
def test_transfer_small():
    found = example("14_transfer.py")(first_epochs=4, epochs=15)
    assert found["frozen"] > 0.6


@pytest.mark.slow
def test_mails_small():
    found = example("15_mails.py")()
    assert found["reading"]["auc"] > 0.9
    assert found["all wanted"]["accuracy"] < 0.6


def test_mails_are_read_as_they_are_seen(tmp_path):
    """Two parts, an encoded text, tags; the same mail twice counts once."""
    mail = (
        "From: a@b\nSubject: Buy\nContent-Type: text/html\nContent-Transfer-Encoding: base64\n\n"
        "PGI+Tm93PC9iPiE8YnI+"  # <b>Now</b>!<br>
    )
    for group, name, text in (
        ("spam-1", "1", mail),
        ("spam-1", "2", mail.replace("a@b", "c@d")),
        ("easy-ham-1", "1", "Subject: Hi\n\nHow are\nyou?"),
    ):
        (tmp_path / group).mkdir(exist_ok=True)
        (tmp_path / group / f"{name}.txt").write_text(text)
    texts, unwanted = runpy.run_path(str(EXAMPLES / "15_mails.py"))["read"](tmp_path)
    assert texts.tolist() == ["Hi How are you?", "Buy Now !"]
    assert unwanted.tolist() == [0, 1]


def test_every_example_has_its_test():
    named = Path(__file__).read_text()
    assert [p.name for p in EXAMPLES.glob("[0-9]*.py") if p.name not in named] == []


@pytest.fixture(autouse=True)
def _repeatable():
    layerkit.utils.set_random_seed(0)
