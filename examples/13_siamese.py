"""Are these two the same? One network puts both images on a sphere; what belongs together is drawn together.

It learns from pairs with a contrastive loss (Hadsell, Chopra and LeCun 2006), and is asked about pairs of other images.
"""

import numpy as np

import layerkit as keras
from layerkit import layers, ops


class Distance(layers.Layer):
    """Distances between the rows of two tensors."""

    def call(self, inputs):
        a, b = inputs
        return ops.sqrt(ops.sum(ops.square(a - b), axis=-1, keepdims=True) + 1e-7)


def contrastive(same, distance, margin=1.0):
    """Near, if the pair is the same; at least ``margin`` apart, if not."""
    same = ops.cast(same, "float32")
    return ops.mean(same * ops.square(distance) + (1 - same) * ops.square(ops.relu(margin - distance)), axis=-1)


def pairs(images, labels, rows, rng):
    """Pairs of images, half of them of one class, and whether they are."""
    same = np.arange(rows) % 2
    first = rng.integers(0, len(labels), rows)
    second = np.empty_like(first)
    for i, (a, s) in enumerate(zip(first, same, strict=True)):
        second[i] = rng.choice(np.flatnonzero((labels == labels[a]) == bool(s)))
    return [images[first], images[second]], same.astype("float32")[:, None]


def main(rows=6000, epochs=6):
    """Train on pairs of the training digits; the accuracy on pairs of the others."""
    keras.utils.set_random_seed(0)
    (x, y), (x_test, y_test) = keras.datasets.digits()
    rng = np.random.default_rng(0)
    given, same = pairs(x, y, rows, rng)
    asked, truth = pairs(x_test, y_test, 1000, rng)

    look = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(32),
            layers.UnitNormalization(),
        ],
        name="look",
    )
    a, b = keras.Input((8, 8, 1)), keras.Input((8, 8, 1))
    model = keras.Model([a, b], Distance()([look(a), look(b)]))  # the same weights, twice
    model.compile(keras.optimizers.Adam(1e-3), contrastive)
    model.fit(given, same, batch_size=64, epochs=epochs, verbose=2)

    accuracy = float(((model.predict(asked) < 0.5) == (truth == 1)).mean())
    print(f"same or not: accuracy {accuracy:.4f}")
    return accuracy


if __name__ == "__main__":
    main()
