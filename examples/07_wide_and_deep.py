"""Who buys? A wide part remembers pairs of categories, a deep part generalises (Cheng et al. 2016, arXiv:1606.07792).

The customers are made up, and so is the rule: a few numbers matter, each category a little, and some pairs of region and
product much. A linear model cannot know the pairs; the best possible area under the curve is known.
"""

import numpy as np

import layerkit as keras
from layerkit import layers

SIZES = {"region": 12, "product": 15, "device": 4}


def customers(rows, seed):
    """Columns by name, whether each customer buys, and how likely that was."""
    rule, rng = np.random.default_rng(0), np.random.default_rng(seed)
    columns = {name: rng.integers(0, n, rows).astype("int32") for name, n in SIZES.items()}
    numbers = rng.standard_normal((rows, 4)).astype("float32")
    score = np.tanh(numbers[:, 0] * 2) + 0.5 * numbers[:, 1] * numbers[:, 2] - 0.5
    for name, n in SIZES.items():
        score += rule.normal(0, 0.4, n)[columns[name]]
    score += rule.choice([-2.5, 0, 2.5], (SIZES["region"], SIZES["product"]), p=[0.1, 0.8, 0.1])[
        columns["region"], columns["product"]
    ]
    chance = 1 / (1 + np.exp(-score))
    pair = columns["region"] * SIZES["product"] + columns["product"]
    return {**columns, "pair": pair, "numbers": numbers}, (rng.uniform(size=rows) < chance).astype("float32"), chance


def area(y, score):
    """Area under the ROC curve: how often a buyer gets a higher score than another."""
    rank = np.argsort(np.argsort(score, kind="stable")) + 1
    buyers = y.sum()
    return float((rank[y == 1].sum() - buyers * (buyers + 1) / 2) / (buyers * (len(y) - buyers)))


def build(wide, deep):
    """The model with one part, or with both."""
    inputs = {name: keras.Input((), dtype="int32", name=name) for name in (*SIZES, "pair")}
    inputs["numbers"] = keras.Input((4,), name="numbers")
    logits = []
    if wide:
        sizes = {**SIZES, "pair": SIZES["region"] * SIZES["product"]}
        logits += [layers.Embedding(n, 1, name=f"wide_{name}")(inputs[name]) for name, n in sizes.items()]
        logits.append(layers.Dense(1)(inputs["numbers"]))
    if deep:
        h = [layers.Embedding(n, 6, name=f"deep_{name}")(inputs[name]) for name, n in SIZES.items()]
        h = layers.Concatenate()([*h, inputs["numbers"]])
        for units in (64, 32):
            h = layers.Dense(units, activation="relu")(h)
        logits.append(layers.Dense(1)(h))
    chance = layers.Activation("sigmoid")(layers.Add()(logits) if len(logits) > 1 else logits[0])
    used = inputs if wide else {k: v for k, v in inputs.items() if k != "pair"}
    return keras.Model(used, chance)


def main(rows=20_000, epochs=8):
    """Areas under the curve of linear, deep, and wide and deep models, and the best possible."""
    x, y, _ = customers(rows, seed=1)
    x_test, y_test, chance = customers(10_000, seed=2)
    found = {}
    for name, wide, deep in (("wide", True, False), ("deep", False, True), ("wide and deep", True, True)):
        keras.utils.set_random_seed(0)
        model = build(wide, deep)
        model.compile({"Adam": {"learning_rate": 3e-3}}, "binary_crossentropy")
        given = {k: v for k, v in x.items() if wide or k != "pair"}
        model.fit(given, y, batch_size=256, epochs=epochs, verbose=0)
        score = model.predict({k: v for k, v in x_test.items() if k in given}, batch_size=1000)[:, 0]
        found[name] = area(y_test, score)
    found["best possible"] = area(y_test, chance)
    print("area under the curve: " + ", ".join(f"{name} {value:.4f}" for name, value in found.items()))
    return found


if __name__ == "__main__":
    main()
