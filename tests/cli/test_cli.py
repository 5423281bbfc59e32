"""The command as its user runs it: output, exit codes, no tracebacks."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import layerkit
from layerkit.cli import VERBS, cli
from layerkit.cli.predict import named
from layerkit.data import CSV, DataOptions, open_data
from layerkit.data.dataset import tensors
from layerkit.training.progress import show_number

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "examples" / "specs" / "digits_cnn.yaml"

SPEC = """\
layerkit: 1
name: flowers
inputs:
  x: {shape: [3]}
layers:
  - Dense: {units: 8, activation: relu}
    name: hidden
  - Dense: {units: 2, activation: softmax}
    name: kind
compile: {optimizer: {Adam: {learning_rate: 0.03}}, loss: sparse_categorical_crossentropy, metrics: [accuracy]}
fit: {epochs: 3, batch_size: 16}
data:
  csv: flowers.csv
  target: kind
  categories: one_hot
  standardize: true
  split: {validation: 0.2, test: 0.2}
"""


def run(*arguments: Any, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    command = [sys.executable, "-m", "layerkit", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, env=environment)


def call(*arguments: Any, code: int = 0) -> Result:
    """The command in this process: quick, and an exception that is not caught is one here."""
    result = CliRunner().invoke(cli, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


def call_json(*arguments: Any, code: int = 0) -> Any:
    return json.loads(call(*arguments, "--json", code=code).stdout)


def write_flowers(folder: Path) -> Path:
    """A spec and its table: the kind follows from the sum of petal and colour."""
    rng = np.random.default_rng(0)
    petal, colour = rng.normal(3, 2, 100).round(3), rng.integers(0, 2, 100)
    kind = np.where(petal - 3 + 2 * colour - 1 > 0, "rose", "daisy")
    rows = [f"{p},{('red', 'blue')[c]},{k}" for p, c, k in zip(petal, colour, kind, strict=True)]
    (folder / "flowers.csv").write_text("petal,colour,kind\n" + "\n".join(rows) + "\n")
    (folder / "flowers.yaml").write_text(SPEC)
    return folder / "flowers.yaml"


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    return write_flowers(tmp_path)


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    call("train", write_flowers(folder), "--run", folder / "run", "--quiet", "--set", "fit.epochs=40")
    return folder / "run"


@pytest.fixture
def trained(trained_once: Path, tmp_path: Path) -> Path:
    """A finished run, for this test alone."""
    return shutil.copytree(trained_once, tmp_path / "run")


# Training and what follows from it


@pytest.mark.slow
def test_train_reaches_98_percent_on_held_out_rows(tmp_path):
    done = run("train", DIGITS, "--run", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Epoch ") == 25
    row = next(line for line in done.stdout.splitlines() if "accuracy" in line and "│" in line)
    assert float(row.split("│")[-2]) >= 0.98
    _, (x, y) = layerkit.datasets.digits()
    accuracy = (layerkit.load_model(tmp_path / "run" / "model.lk").predict(x, verbose=0).argmax(-1) == y).mean()
    assert accuracy >= 0.98


def test_check_tells_what_is_wrong_with_the_layers_and_with_the_columns_at_once(flowers):
    text = flowers.read_text()
    flowers.write_text(text.replace("Dense: {units: 8", "Dens: {units: 8").replace("target: kind", "target: kinds\n  features: [petal, color]"))  # fmt: skip
    (found,) = call_json("check", flowers, code=1)["specs"]
    assert [(e["line"], e["got"]) for e in found["errors"]] == [(6, "Dens"), (14, "kinds"), (15, "color")]
    flowers.write_text(text.replace("Dense: {units: 8", "Dens: {units: 8").replace("target: kind", "target: x"))
    (found,) = call_json("check", flowers, code=1)["specs"]
    assert [e["got"] for e in found["errors"]] == ["Dens"]  # x is an input


@pytest.mark.parametrize("restores", [False, True])
def test_a_run_that_stops_early_says_which_epoch_was_best_and_where_it_is(restores, tmp_path):
    spec, folder = tmp_path / "digits.yaml", tmp_path / "run"
    spec.write_text(f"""\
layerkit: 1
inputs: {{x: {{shape: [8, 8]}}}}
layers: [Flatten, {{Dense: {{units: 10, activation: softmax}}}}]
compile: {{optimizer: {{SGD: {{learning_rate: 30.0}}}}, loss: sparse_categorical_crossentropy, metrics: [accuracy]}}
fit: {{epochs: 30, callbacks: [{{EarlyStopping: {{patience: 2, restore_best_weights: {str(restores).lower()}}}}}]}}
data: {{dataset: digits, split: {{validation: 0.2}}}}
""")
    output = call("train", spec, "--run", folder, "--quiet").output
    with (folder / "history.csv").open() as file:
        losses = [float(row["val_loss"]) for row in csv.DictReader(file)]
    best = int(np.argmin(losses)) + 1
    assert best + 2 == len(losses) < 30
    results = json.loads((folder / "results.json").read_text())
    assert (results["last_epoch"], results["model_epoch"]) == (best + 2, best if restores else best + 2)
    assert (results["best"]["epoch"], results["best"]["validation"]["loss"]) == (best, min(losses))
    assert results["validation"]["loss"] == losses[-1]
    assert f"best.lk, with the weights of epoch {best}: val_loss {show_number(min(losses))}" in output
    assert (f"model.lk, with the weights of epoch {best}" in output) == restores
    is_equal = [np.array_equal(*pair) for pair in zip(*(layerkit.load_model(folder / f"{n}.lk").get_weights() for n in ("best", "model")), strict=True)]  # fmt: skip
    assert all(is_equal) == restores


def test_a_run_has_all_that_it_takes_to_repeat_it(flowers, trained):
    assert sorted(p.name for p in trained.iterdir()) == [
        "best.lk", "environment.json", "history.csv", "model.lk", "results.json", "run.json", "spec.yaml",
    ]  # fmt: skip
    assert "epochs: 40" in (trained / "spec.yaml").read_text()
    assert len((trained / "history.csv").read_text().splitlines()) == 41
    environment = json.loads((trained / "environment.json").read_text())
    assert environment["seed"] == 0
    assert environment["versions"]["numpy"] == np.__version__
    assert environment["threads"] >= 1
    results = json.loads((trained / "results.json").read_text())
    assert results["epochs"] == 40
    assert results["test"]["accuracy"] > 0.8
    again = flowers.parent / "again"
    call("train", flowers, "--run", again, "--quiet", "--set", "fit.epochs=40")
    assert (again / "model.lk").read_bytes() == (trained / "model.lk").read_bytes()
    assert call_json("train", flowers, "--run", flowers.parent / "other", "--seed", 1)["run"].endswith("other")


def test_test_rows_are_measured_with_the_weights_that_the_model_has(flowers):
    """Those of an early epoch: with so high a rate the loss soon rises again."""
    stop = "[{EarlyStopping: {patience: 3, restore_best_weights: true}}]"
    changes = (f"fit.callbacks={stop}", "fit.epochs=40", "compile.optimizer={Adam: {learning_rate: 1.0}}")
    folder = flowers.parent / "run"
    output = call(
        "train", flowers, "--run", folder, "--quiet", *(part for c in changes for part in ("--set", c))
    ).output
    losses = [float(row["val_loss"]) for row in csv.DictReader((folder / "history.csv").read_text().splitlines())]
    assert f"test (20 rows, epoch {losses.index(min(losses)) + 1})" in output


def test_no_epochs_are_no_traceback(flowers):
    found = call_json("train", flowers, "--run", flowers.parent / "run", "--set", "fit.epochs=0")
    assert found["epochs"] == 0
    assert "test (20 rows)" in call("train", "--resume", flowers.parent / "run").output


def test_the_next_free_folder_is_taken(flowers, monkeypatch):
    monkeypatch.chdir(flowers.parent)
    names = [call_json("train", flowers, "--set", "fit.epochs=1")["run"] for _ in range(2)]
    assert names == ["runs/flowers-1", "runs/flowers-2"]


def test_a_folder_with_something_in_it_is_left_alone(flowers, trained):
    before = {p: p.read_bytes() for p in trained.iterdir()}
    result = call("train", flowers, "--run", trained, code=1)
    assert f"layerkit train --resume {trained}" in result.stderr
    assert {p: p.read_bytes() for p in trained.iterdir()} == before


def test_a_run_that_never_began_leaves_nothing(flowers):
    for before, after, says in (
        ("shape: [3]", "shape: [5]", "shape [5] for each row"),
        ("sparse_categorical", "categorical", "needs one-hot targets"),
    ):
        flowers.write_text(SPEC.replace(before, after))
        result = call("train", flowers, "--run", flowers.parent / "run", "--quiet", code=1)
        assert says in result.stderr
        assert not (flowers.parent / "run").exists()


def test_a_finished_run_says_so(trained):
    assert "is finished" in call("train", "--resume", trained).stdout
    assert call_json("train", "--resume", trained)["already_finished"] is True


def test_other_data_are_not_gone_on_with(flowers):
    folder = flowers.parent / "run"
    call("train", flowers, "--run", folder, "--quiet")
    (folder / "results.json").unlink()  # as if it had not ended
    table = flowers.parent / "flowers.csv"
    table.write_text(table.read_text().replace("daisy", "tulip"))
    assert "the data are not those" in call("train", "--resume", folder, code=1).stderr


def test_data_are_prepared_as_in_training(flowers, trained, tmp_path):
    """One row, with other means and fewer categories than the training's, is predicted as among all others."""
    table = (flowers.parent / "flowers.csv").read_text().splitlines()
    everything = call("predict", trained, flowers.parent / "flowers.csv").stdout.splitlines()
    for row in (1, 17, 60):
        one = tmp_path / "one.csv"
        petal, colour, _ = table[row].split(",")
        one.write_text(f"colour,petal\n{colour},{petal}\n")  # no target, columns the other way round
        header, found = call("predict", trained, one).stdout.splitlines()
        assert header == everything[0] == "class,kind_daisy,kind_rose"
        label, *shares = found.split(",")
        assert label == everything[row].split(",")[0]
        np.testing.assert_allclose(
            [float(s) for s in shares], [float(s) for s in everything[row].split(",")[1:]], rtol=1e-5
        )
    right = sum(a.split(",")[0] == b.split(",")[-1] for a, b in zip(everything[1:], table[1:], strict=True))
    assert right > 85
    results = call_json("evaluate", trained, "--data", flowers.parent / "flowers.csv")
    assert results["rows"] == 100
    assert results["results"]["accuracy"] == pytest.approx(right / 100)
    assert call_json("evaluate", trained / "model.lk", "--data", flowers.parent / "flowers.csv") == {
        **results, "model": str(trained / "model.lk"),
    }  # fmt: skip


def test_evaluate_on_the_rows_held_out(trained):
    results = json.loads((trained / "results.json").read_text())
    found = call_json("evaluate", trained)
    assert found["rows"] == results["test_rows"] == 20
    assert found["results"] == pytest.approx(results["test"])
    assert call_json("evaluate", trained, "--best")["rows"] == 20


def test_rows_come_from_the_standard_input(flowers, trained):
    data = flowers.parent / "flowers.csv"
    piped = CliRunner().invoke(cli, ["predict", str(trained), "-"], input=data.read_text())
    assert piped.stdout == call("predict", trained, data).stdout


def test_weights_of_classes_have_their_names(flowers, tmp_path):
    def accuracy(change):
        return call_json("train", flowers, "--run", tmp_path / change, "--set", f"fit.class_weight={change}")[
            "training"
        ]

    kinds = sorted({line.split(",")[-1] for line in (flowers.parent / "flowers.csv").read_text().splitlines()[1:]})
    named, numbered = (accuracy(f"{{{key}: 5}}") for key in (kinds[1], 1))
    assert named == numbered
    assert "has no class 'oak'" in call("train", flowers, "--set", "fit.class_weight={oak: 5}", code=1).stderr


def test_the_memory_of_a_step_is_told_for_the_batch_size_of_the_spec(flowers, tmp_path):
    for words in (["summary"], ["explain"], ["train", "--run", tmp_path / "run"]):
        said = call(words[0], flowers, *words[1:], "--set", "fit.batch_size=24").stdout
        assert "step of 24 rows" in said or "batch size 24" in said
    assert call_json("summary", tmp_path / "run")["batch_size"] == 24
    assert call_json("summary", tmp_path / "run", "--batch-size", 8)["batch_size"] == 8


def test_predictions_in_files(flowers, trained, tmp_path):
    data = flowers.parent / "flowers.csv"
    printed = call("predict", trained, data).stdout
    call("predict", trained, data, "-o", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == printed
    call("predict", trained, data, "-o", tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as arrays:
        assert arrays["kind"].shape == (100, 2)
        assert arrays["class"].tolist() == [line.split(",")[0] for line in printed.splitlines()[1:]]
    found = call_json("predict", trained, data)
    assert found["rows"] == 100
    assert set(found["predictions"]) == {"class", "kind"}
    assert call("predict", trained, data, "-o", tmp_path / "out.txt", code=2).stderr.count("neither .csv nor .npz") == 1


def test_a_model_saved_in_python_takes_arrays(tmp_path):
    model = layerkit.Sequential([layerkit.Input((2,)), layerkit.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.layers[-1].set_weights([np.array([[2.0], [3.0]], "float32"), np.ones(1, "float32")])
    model.save(tmp_path / "m.lk")
    np.savez(tmp_path / "d.npz", x=np.array([[1, 0], [0, 1]], "float32"), y=np.array([[3], [5]], "float32"))
    lines = call("predict", tmp_path / "m.lk", tmp_path / "d.npz").stdout.splitlines()
    assert [float(v) for v in lines[1:]] == [3.0, 4.0]
    assert call_json("evaluate", tmp_path / "m.lk", "--data", tmp_path / "d.npz")["results"]["loss"] == pytest.approx(
        0.5
    )
    np.savez(tmp_path / "none.npz", x=np.zeros((0, 2), "float32"), y=np.zeros((0, 1), "float32"))
    for words in (["predict", tmp_path / "m.lk", tmp_path / "none.npz"], ["evaluate", tmp_path / "m.lk", "--data", tmp_path / "none.npz"]):  # fmt: skip
        assert "the data have no rows" in call(*words, code=1).stderr
    (tmp_path / "d.csv").write_text("a,b\n1,0\nsome,1\n")
    assert "holds texts" in call("predict", tmp_path / "m.lk", tmp_path / "d.csv", code=1).stderr


def test_each_output_is_named_and_turned_back(tmp_path):
    (tmp_path / "flats.csv").write_text("size,town,price\n" + "".join(f"{i},{'ab'[i % 2]},{i * 10}.5\n" for i in range(9)))  # fmt: skip
    x = layerkit.Input((1,), name="size")
    outputs = {"place": 2, "early": 1, "late": 1}

    def found(columns):
        ends = [layerkit.layers.Dense(outputs[name], name=name)(x) for name in columns]
        model = layerkit.Model(x, ends)
        options = DataOptions(target=columns, features="size", standardize_target=True)
        preparation = open_data(CSV(tmp_path / "flats.csv"), options, **tensors(model)).preparation
        return named(model, preparation, [np.zeros((1, outputs[name]), "float32") for name in columns])

    both, _ = found({"early": "price", "late": "price"})
    assert {name: values.item() for name, values in both.items()} == {"early": 40.5, "late": 40.5}
    for columns in ({"place": "town", "early": "price"}, {"early": "price", "place": "town"}):
        mixed, labels = found(columns)
        assert (mixed["price"].item(), mixed["place_class"].tolist()) == (40.5, ["a"])
        assert labels == {"place": ("place_a", "place_b")}


def test_an_output_of_several_columns_names_them(tmp_path):
    (tmp_path / "flats.csv").write_text("size,rooms,price\n" + "".join(f"{i},{i % 3},{i / 10}\n" for i in range(9)))
    (tmp_path / "flats.yaml").write_text(
        "layerkit: 1\ninputs: {a: {shape: [1]}}\nlayers:\n  - Dense: {units: 2, kernel_initializer: zeros}\n"
        "compile: {optimizer: {SGD: {learning_rate: 0}}, loss: mse}\nfit: {epochs: 1}\n"
        "data: {csv: flats.csv, features: size, target: [rooms, price], standardize_target: true}\n"
    )
    call("train", tmp_path / "flats.yaml", "--run", tmp_path / "run")
    assert call("predict", tmp_path / "run", tmp_path / "flats.csv").stdout.splitlines()[:2] == [
        "rooms,price",
        "1.0,0.4",
    ]


MIXED = """\
layerkit: 1
inputs:
  sizes: {shape: [1]}
  colour: {shape: [], dtype: int32}
layers:
  - Embedding: {input_dim: 4, output_dim: 2}
    from: colour
    name: vector
  - Concatenate:
    from: [sizes, vector]
  - Dense: 1
    name: price
compile: {optimizer: adam, loss: mse}
fit: {epochs: 1}
data:
  csv: toys.csv
  target: price
  features: {sizes: size, colour: colour}
"""


def test_categories_that_training_did_not_know_are_told(tmp_path):
    (tmp_path / "toys.yaml").write_text(MIXED)
    rows = "".join(f"{i},{('red', 'blue', 'green')[i % 3]},{i / 2}\n" for i in range(30))
    (tmp_path / "toys.csv").write_text("size,colour,price\n" + rows)
    (tmp_path / "new.csv").write_text("size,colour\n1,red\n2,mauve\n3,\n4,mauve\n5,ochre\n")
    call("train", tmp_path / "toys.yaml", "--run", tmp_path / "run", "--quiet")
    result = call("predict", tmp_path / "run", tmp_path / "new.csv")
    assert "column 'colour': 3 of 5 rows have a category that training did not know" in result.stderr
    assert "mauve (2), ochre (1)" in result.stderr
    assert len(result.stdout.splitlines()) == 6
    assert call_json("predict", tmp_path / "run", tmp_path / "new.csv")["unseen"] == {
        "colour": {"mauve": 2, "ochre": 1}
    }
    assert call("predict", tmp_path / "run", tmp_path / "toys.csv").stderr == ""
    (tmp_path / "new.csv").write_text("size,colour,price\n1,red,1\n2,mauve,2\n")
    assert "mauve (1)" in call("evaluate", tmp_path / "run", "--data", tmp_path / "new.csv").stderr


IMAGES = """\
layerkit: 1
inputs:
  photo: {shape: [6, 5, 1]}
layers:
  - Rescaling: $(1 / 255)
  - Flatten
  - Dense: {units: 2, activation: softmax}
compile: {optimizer: adam, loss: sparse_categorical_crossentropy}
fit: {epochs: 1}
data:
  images: {path: photos, size: [6, 5], channels: 1}
"""


def test_images_are_predicted_for_by_name(tmp_path):
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "photos.yaml").write_text(IMAGES)
    for i in range(8):
        folder = tmp_path / "photos" / ("cat", "dog")[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        image.fromarray(np.full((9, 7, 3), 30 * i, "uint8")).save(folder / f"{i}.png")
    call("train", tmp_path / "photos.yaml", "--run", tmp_path / "run", "--quiet")
    rows = list(csv.DictReader(io.StringIO(call("predict", tmp_path / "run", tmp_path / "photos" / "dog").stdout)))
    assert [row["file"] for row in rows] == ["1.png", "3.png", "5.png", "7.png"]
    (one,) = csv.DictReader(
        io.StringIO(call("predict", tmp_path / "run" / "model.lk", tmp_path / "photos" / "dog" / "3.png").stdout)
    )
    assert one["file"] == "3.png"
    assert one["class"] == rows[1]["class"]
    np.testing.assert_allclose([float(one[k]) for k in one if k not in ("file", "class")],
                               [float(rows[1][k]) for k in one if k not in ("file", "class")], rtol=1e-6)  # fmt: skip
    whole = list(csv.DictReader(io.StringIO(call("predict", tmp_path / "run", tmp_path / "photos").stdout)))
    assert [row["file"] for row in whole][:2] == ["cat/0.png", "cat/2.png"]


# Looking at models


def test_check(flowers, tmp_path):
    shown = call("check", flowers, DIGITS).stdout
    assert re.search(
        r"flowers.yaml: ok; 3 layers, 50 parameters, 40 multiply-adds for one sample, a step of 16 rows takes", shown
    )
    found = call_json("check", flowers, DIGITS)
    assert found["ok"] is True
    assert [s["parameters"] for s in found["specs"]] == [50, 21770]
    assert all(s["peak_training_bytes"] > 0 and s["seconds_per_step"] > 0 for s in found["specs"])


def test_check_reports_all_faults_of_all_files(flowers, tmp_path):
    bad, worse = tmp_path / "bad.yaml", tmp_path / "worse.yaml"
    bad.write_text(SPEC.replace("Dense: {units: 8", "Dens: {units: 8").replace("Adam", "Adm"))
    worse.write_text(SPEC.replace("units: 2", "units: two"))
    result = call("check", bad, flowers, worse, code=1)
    assert f"{bad}:6:5" in result.stdout
    assert "did you mean 'Dense'?" in result.stdout
    assert "did you mean 'Adam'?" in result.stdout
    assert f"{bad}: 2 faults" in result.stdout
    assert f"{flowers}: ok" in result.stdout
    assert f"{worse}: 1 fault\n" in result.stdout
    found = call_json("check", bad, flowers, worse, code=1)
    assert [len(s["errors"]) for s in found["specs"]] == [2, 0, 1]
    first = found["specs"][0]["errors"][0]
    assert (first["file"], first["line"], first["column"]) == (str(bad), 6, 5)
    assert first["fix"] == "did you mean 'Dense'?"


def test_check_looks_at_the_names_of_columns_and_for_files(flowers):
    (name,) = re.findall(r"csv: (\S+)", SPEC)
    flowers.write_text(SPEC.replace("target: kind", "target: kidn"))
    result = call("check", flowers, code=1)
    assert "did you mean 'kind'?" in result.stdout
    flowers.write_text(SPEC.replace(f"csv: {name}", "csv: flwers.csv"))
    result = call("check", flowers)  # the data may come from --data
    assert ": ok" in result.stdout
    assert f"did you mean '{name}'?" in result.stdout
    found = call_json("check", flowers)
    assert found["ok"] is True
    assert [note["got"] for note in found["specs"][0]["notes"]] == ["flwers.csv"]
    assert "there is no file or folder 'flwers.csv'" in call("train", flowers, code=1).stderr


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("loss: sparse_categorical_crossentropy", "loss: mse", "class numbers need loss='sparse_categorical_crossentropy'"),
        ("loss: sparse_categorical_crossentropy", "loss: categorical_crossentropy", "needs one-hot targets"),
        ("units: 10", "units: 5", "give the last layer 10 units"),
        ("  - Flatten\n", "", "expected shape (rows, 2, 2)"),
        ("[8, 8, 1]", "[9, 8, 1]", "fix      inputs: {image: {shape: [8, 8, 1]}}"),
    ],
)  # fmt: skip
def test_check_holds_data_that_ship_against_the_model(before, after, says, tmp_path):
    call("new", "images", "-o", tmp_path / "images.yaml")
    text = (tmp_path / "images.yaml").read_text()
    (tmp_path / "images.yaml").write_text(text.replace(before, after))
    result = call("check", tmp_path / "images.yaml", code=1)
    assert says in result.stdout
    assert ": 1 fault\n" in result.stdout


ARRAYS = """\
layerkit: 1
inputs: {image: {shape: [8, 8]}}
layers:
  - Flatten
  - Dense: {units: 3, activation: softmax}
compile: {optimizer: sgd, loss: sparse_categorical_crossentropy}
fit: {epochs: 1}
data:
  npz: a.npz
  split: {validation: 0.5}
"""


@pytest.mark.parametrize(
    ("before", "after", "line", "column", "says"),
    [
        ("[8, 8]", "[9, 8]", 9, 3, "expected shape [9, 8] for each row\n  got      shape [8, 8]"),
        ("loss: sparse_categorical_crossentropy", "loss: mse", 5, 5, "class numbers need loss='sparse_categorical_crossentropy'"),
        ("  - Flatten\n", "", 5, 5, "expected shape (rows, 8)"),
        ("0.5}", "0.5, by: group}", 10, 28, "'group' needs a column"),
        ("npz: a.npz", "npz: {path: a.npz, y: z}", 9, 25, "use one of x, y"),
        ("0.5}", "0.0001}", 10, 11, "the validation part is empty"),
        ("  split: {validation: 0.5}", "  in_memory: false", 7, 36, "'validation_split' needs data that are read whole"),
        ("epochs: 1", "validation_freq: 0", 7, 24, "counts epochs, from 1"),
        ("compile: {optimizer: sgd, loss: sparse_categorical_crossentropy}\n", "", 1, 1, "the spec does not say how to train"),
    ],
)  # fmt: skip
def test_check_finds_what_train_refuses_before_the_first_step(before, after, line, column, says, tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((20, 8, 8), "float32"), y=np.arange(20) % 3)
    text = ARRAYS.replace(before, after)
    if "in_memory" in after:
        text = text.replace("epochs: 1", "epochs: 1, validation_split: 0.1")
    (tmp_path / "a.yaml").write_text(text)
    is_note = "compile" in before  # a model may also be looked at
    shown = call_json("check", tmp_path / "a.yaml", code=0 if is_note else 1)["specs"][0]
    (fault,) = shown["notes" if is_note else "errors"]
    line -= "Flatten" in before  # that line is gone
    assert (fault["line"], fault["column"]) == (line, column)
    told = call("train", tmp_path / "a.yaml", "--run", tmp_path / "run", code=1).stderr
    assert says in told
    assert f"a.yaml:{line}:{column}" in told
    assert not (tmp_path / "run").exists()


def test_check_counts_the_folders_of_images(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for label in ("bee", "cat", "dog", "eel"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        image.new("RGB", (8, 8)).save(tmp_path / f"photos/{label}/0.png")
    text = ARRAYS.replace("[8, 8]", "[8, 8, 3]").replace("npz: a.npz", "images: photos")
    (tmp_path / "a.yaml").write_text(text)
    (fault,) = call_json("check", tmp_path / "a.yaml", code=1)["specs"][0]["errors"]
    assert (fault["line"], fault["fix"]) == (5, "give the last layer 4 units, or count the classes from 0")
    (tmp_path / "a.yaml").write_text(text.replace("units: 3", "units: 4"))
    assert ": ok" in call("check", tmp_path / "a.yaml").stdout


def test_check_warns_of_a_last_activation_that_does_not_suit_its_loss(flowers):
    flowers.write_text(SPEC.replace(", activation: softmax", ""))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert "expects probabilities" in call("check", flowers).stderr


@pytest.mark.parametrize(
    ("spec", "table", "says"),
    [
        (SPEC.replace("units: 2", "units: 3"), None, "the last layer has 3 units, and the data have 2 classes: daisy, rose"),
        (SPEC, "petal,colour,kind\n" + "1,red,rose\n2,blue,rose\n" * 20, "all rows are of the class 'rose'"),
    ],
)  # fmt: skip
def test_classes_that_do_not_fit_are_told(flowers, tmp_path, spec, table, says):
    flowers.write_text(spec)
    if table:
        (tmp_path / "flowers.csv").write_text(table)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert says in call("train", flowers, "--run", tmp_path / "run", "--quiet").stderr


def test_check_of_a_spec_with_holes(flowers):
    holes = SPEC.replace("units: 8", "units: !choice [8, 16]").replace(
        "learning_rate: 0.03", "learning_rate: !float {low: 1e-3, high: 1e-1}"
    )
    flowers.write_text(holes)
    shown = call("check", flowers).stdout
    assert "2 holes for a search: layers.hidden.units, compile.optimizer.Adam.learning_rate" in shown
    found = call_json("check", flowers)["specs"][0]
    assert (found["least"]["parameters"], found["most"]["parameters"]) == (50, 98)
    assert "hole" in call("train", flowers, code=1).stderr
    flowers.write_text(holes.replace("activation: relu", "activation: !choice [relu, rulu]"))
    assert "rulu" in call("check", flowers, code=1).stdout


def test_summary_of_a_spec_and_of_a_run(flowers, trained):
    assert "hidden (Dense)" in call("summary", flowers).stdout
    assert call_json("summary", trained)["parameters"] == call_json("summary", flowers)["parameters"] == 50
    assert "2,650" in call("summary", ROOT / "examples/specs/digits_residual.yaml").stdout


def test_explain(flowers):
    assert "hidden" in call("explain", flowers).stdout
    assert "measured peak of a core" in call("explain", flowers, "--analyze").stdout
    assert "matmul" in call("explain", flowers, "--show", "graph").stdout
    assert "hidden" in call_json("explain", flowers)["text"]
    call("explain", flowers, "--show", "picture", code=2)


def test_diff(flowers, trained, tmp_path):
    other = tmp_path / "other.yaml"
    wider = SPEC.replace("units: 8, activation: relu", "units: 16").replace(
        "  - Dense: {units: 2", "  - Dropout: 0.5\n  - Dense: {units: 2"
    )
    other.write_text(wider.replace("{Adam: {learning_rate: 0.03}}", "sgd"))
    shown = call("diff", flowers, other).stdout
    assert "~ hidden (Dense)  activation: relu -> None, units: 8 -> 16, " in shown
    assert "output shape: (None, 8) -> (None, 16), parameters: 32 -> 64" in shown
    assert "~ kind (Dense)  parameters: 18 -> 34, inputs: hidden -> dropout" in shown
    assert "+ dropout (Dropout)  (None, 16), 0 parameters" in shown
    assert "~ compile: optimizer: {'Adam': {'learning_rate': 0.03}} -> sgd" in shown
    assert shown.endswith("4 differences; 50 -> 98 parameters\n")
    assert "- dropout (Dropout)" in call("diff", other, flowers).stdout
    assert call_json("diff", flowers, trained) == {"equal": True, "parameters": [50, 50], "differences": []}
    changes = {d["name"]: d for d in call_json("diff", flowers, other)["differences"]}
    assert changes["hidden"]["from_to"]["units"] == [8, 16]


def test_schema(tmp_path):
    found = json.loads(call("schema").stdout)
    assert found["$schema"].startswith("http://json-schema.org/")
    assert "yaml-language-server: $schema=" in call("schema", "-o", tmp_path / "s.json").stdout
    assert json.loads((tmp_path / "s.json").read_text()) == found


def test_doctor():
    found = call_json("doctor")
    assert found["ok"] is True
    topics = {f["topic"]: f for f in found["findings"]}
    assert topics["a small step"]["state"] == "ok"
    assert str(np.__version__) in topics["packages"]["text"]
    assert call("doctor").stdout.count("\n") >= len(topics)


def test_doctor_says_how_to_mend_what_is_slow(monkeypatch):
    monkeypatch.setenv("LAYERKIT_CACHE", "0")
    monkeypatch.setattr("layerkit.cli.doctor.EXTRAS", {"plot": ("no_such_module", "draws models")})
    topics = {f["topic"]: f for f in call_json("doctor")["findings"]}
    assert topics["cache"]["state"] == "slow"
    assert "LAYERKIT_CACHE" in topics["cache"]["fix"]
    assert topics["[plot]"] == {
        "topic": "[plot]", "state": "missing", "text": "draws models: no_such_module is not installed", "fix": 'pip install "layerkit[plot]"',
    }  # fmt: skip


def test_cache_is_shown_and_cleared(tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERKIT_CACHE_DIR", str(tmp_path / "cache"))
    assert str(tmp_path / "cache") in call("cache").stdout
    assert "entries  0" in call("cache").stdout
    (tmp_path / "cache" / ("0" * 64 + ".object")).write_bytes(b"x" * 2_000_000)
    assert "entries  1" in call("cache").stdout
    assert "removed 2.0 MB" in call("cache", "--clear").stdout
    assert call_json("cache")["entries"] == 0


# Plugins


PLUGIN = """\
import layerkit

class Doubled(layerkit.layers.Layer):
    def call(self, inputs):
        return inputs * 2.0
"""


def test_layers_of_ones_own_come_by_plugin_only(flowers, tmp_path):
    (tmp_path / "mine.py").write_text(PLUGIN)
    spec = tmp_path / "own.yaml"
    spec.write_text(SPEC.replace("layers:\n", "layers:\n  - Doubled\n"))
    assert "there is no layer 'Doubled'" in call("check", spec, code=1).stdout
    call("check", spec, "--plugin", tmp_path / "mine.py")
    folder = tmp_path / "own"
    call("train", spec, "--plugin", tmp_path / "mine.py", "--run", folder, "--quiet")
    assert "Doubled" in call("summary", folder, "--plugin", tmp_path / "mine.py").stdout
    assert "Doubled" in call_json("schema", "--plugin", tmp_path / "mine.py")["definitions"]["item"]["anyOf"][0]["enum"]
    assert "Traceback" not in call("evaluate", folder, code=1).stderr
    call("evaluate", folder, "--plugin", tmp_path / "mine.py")
    (folder / "results.json").unlink()
    assert "--plugin" in call("train", "--resume", folder, code=1).stderr
    call("train", "--resume", folder, "--plugin", tmp_path / "mine.py", "--quiet")


@pytest.mark.parametrize(
    ("text", "said"),
    [("import nothing_here\n", "ModuleNotFoundError"), ("def f(:\n", "SyntaxError"), ("x = 1\n", "defines no layer")],
)
def test_a_plugin_that_does_not_run(flowers, tmp_path, text, said):
    (tmp_path / "mine.py").write_text("\n" + text)
    result = call("check", flowers, "--plugin", tmp_path / "mine.py", code=1)
    assert said in result.output
    assert f"{tmp_path / 'mine.py'}:" in result.output


# Wrong use and bad input


@pytest.mark.parametrize(
    "arguments",
    [
        ("trian",), ("train",), ("train", "none.yaml"), ("train", "examples"), ("check",), ("check", "none.yaml"), ("summary", "none.lk"),
        ("predict", "none", "none.csv"), ("new", "everything"), ("train", "--resume", "none"), ("diff", DIGITS),
        ("train", DIGITS, "--seed", "one"), ("explain", DIGITS, "--batch-size", "0"), ("evaluate", "none"), ("plot", DIGITS, "-o", "x.png"),
        ("train", DIGITS, "--set", "epochs"), ("check", DIGITS, "--set", "=3"),
    ],
    ids=lambda a: " ".join(map(str, a)).replace(str(ROOT), ""),
)  # fmt: skip
def test_wrong_use(arguments):
    assert "Error: " in call(*arguments, code=2).stderr


def test_a_misspelt_verb():
    assert "did you mean 'train'?" in call("trian", code=2).stderr


@pytest.mark.parametrize("change", ["fit.epoch=3", "fit.epochs=many", "fitt.epochs=3", "layers.hiden.units=3"])
def test_a_change_that_does_not_fit(flowers, change):
    result = call("train", flowers, "--set", change, "--run", flowers.parent / "run", code=2)
    assert "--set" in result.stderr
    assert not (flowers.parent / "run").exists()


def test_changes_reach_the_model(flowers):
    found = call_json("summary", flowers, "--set", "layers.hidden.units=5")
    assert next(layer for layer in found["layers"] if layer["name"] == "hidden")["parameters"] == 20


def test_broken_files(flowers, trained, tmp_path):
    broken = tmp_path / "broken.lk"
    broken.write_bytes((trained / "model.lk").read_bytes()[:-200])
    for verb in (
        ("summary", broken),
        ("predict", broken, "x.csv"),
        ("evaluate", broken, "--data", "x.csv"),
        ("diff", flowers, broken),
        ("plot", broken),
    ):
        assert "is not a whole model file" in call(*verb, code=1).stderr
    (tmp_path / "text.lk").write_text("hello")
    assert "is not a whole model file" in call("summary", tmp_path / "text.lk", code=1).stderr
    (tmp_path / "empty").mkdir()
    for verb in (
        ("summary", tmp_path / "empty"),
        ("train", "--resume", tmp_path / "empty"),
        ("predict", tmp_path / "empty", "x.csv"),
    ):
        assert "holds no run" in call(*verb, code=1).stderr
    error = call_json("summary", broken, code=1)["errors"][0]
    assert error["code"] == "file-invalid"
    assert error["problems"]
    (trained / "run.json").write_text("{")
    assert "is no JSON" in call("train", "--resume", trained, code=1).stderr


def test_wrong_columns(flowers, trained, tmp_path):
    (tmp_path / "odd.csv").write_text("petals,colour\n1,red\n")
    result = call("predict", trained, tmp_path / "odd.csv", code=1)
    assert "there is no column 'petal'" in result.stderr
    assert "expected the columns of the training: petal" in result.stderr
    (tmp_path / "odd.csv").write_text("width,colour\n1,red\n")
    assert "call the column 'petal' in these data too" in call("predict", trained, tmp_path / "odd.csv", code=1).stderr
    assert "did you mean 'petals'?" in result.stderr
    (tmp_path / "ragged.csv").write_text("petal,colour\n1,red\n2\n")
    assert f"{tmp_path / 'ragged.csv'}:3" in call("predict", trained, tmp_path / "ragged.csv", code=1).stderr
    (tmp_path / "text.csv").write_text("petal,colour\nlong,red\n")
    assert "'petal' holds texts" in call("predict", trained, tmp_path / "text.csv", code=1).stderr
    (tmp_path / "new.csv").write_text("petal,colour,kind\n1,red,tulip\n")
    assert (
        "a class that training does not know"
        in call("evaluate", trained, "--data", tmp_path / "new.csv", code=1).stderr
    )


def test_no_permission(flowers, trained, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o500)
    if os.access(locked, os.W_OK):
        pytest.skip("this user may write everywhere")
    call("predict", trained, flowers.parent / "flowers.csv", "-o", locked / "out.csv", code=1)
    call("train", flowers, "--run", locked / "run", code=1)


def test_a_full_disk(flowers, tmp_path, monkeypatch):
    """The third write of the training fails as it does where no room is left."""
    real, count = os.fsync, [0]

    def fsync(descriptor: int) -> None:
        count[0] += 1
        if count[0] > 8:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr("os.fsync", fsync)
    result = call("train", flowers, "--run", tmp_path / "run", "--quiet", code=1)
    assert "No space left on device" in result.stderr
    monkeypatch.setattr("os.fsync", real)
    call("train", "--resume", tmp_path / "run", "--quiet")
    call("train", flowers, "--run", tmp_path / "whole", "--quiet")
    assert (tmp_path / "run" / "model.lk").read_bytes() == (tmp_path / "whole" / "model.lk").read_bytes()


def test_a_spec_is_no_model(flowers):
    assert f"layerkit train {flowers}" in call("predict", flowers, "x.csv", code=1).stderr
    assert "two faults" not in call("evaluate", flowers, code=1).stderr


# The command itself


def test_help_names_every_verb():
    shown = call("--help").stdout
    for verb in VERBS:
        assert re.search(rf"^  {verb} ", shown, re.M)
        assert "--json" in call(verb, "--help").stdout


def test_help_imports_nothing_heavy():
    code = "import sys; from layerkit.cli import cli; cli(['--help'], standalone_mode=False); print(sorted(set(sys.modules) & {'numpy', 'yaml', 'rich', 'llvmlite', 'builders', 'optuna'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_shell_completion(tmp_path):
    def complete(words: str) -> list[str]:
        environment = {
            **os.environ,
            "_LAYERKIT_COMPLETE": "zsh_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        }
        done = subprocess.run(
            [sys.executable, "-m", "layerkit"], capture_output=True, text=True, cwd=ROOT, env=environment, check=True
        )
        return done.stdout.splitlines()

    assert complete("layerkit ev")[:2] == ["plain", "evaluate"]
    assert set(VERBS) <= set(complete("layerkit "))
    assert complete("layerkit check exa")[0] == "file"
    assert "--resume" in complete("layerkit train --re")
    assert {"images", "video"} <= set(complete("layerkit new "))


def test_errors_show_the_line_and_no_traceback(tmp_path):
    spec = tmp_path / "bad.yaml"
    spec.write_text("layerkit: 1\ninputs:\n  x: {shape: [8]}\nlayers:\n  - Dens: 3\n")
    done = run("summary", spec)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"{spec}:5:5" in done.stderr
    assert "  - Dens: 3" in done.stderr
    assert "did you mean 'Dense'?" in done.stderr


def test_a_closed_pipe_is_no_fault():
    line = f"{sys.executable} -m layerkit explain {DIGITS} --show code | head -1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=ROOT, check=False)
    assert "Traceback" not in done.stderr


def test_the_module_is_the_command():
    assert run("--version").stdout.startswith("layerkit, version ")
    assert shutil.which("layerkit") is None or run("nothing").returncode == 2
