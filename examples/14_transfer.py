"""Transfer: a network that can read digits learns from thirty examples which of them have a hole.

The digits lie anywhere in a dark field. First a new end alone is trained, on frozen layers; then everything, slowly. A network that
starts from nothing sees the same examples.
"""

import numpy as np

import layerkit as keras
from layerkit import layers

SIZE = 14
HOLES = 0, 6, 8, 9


def placed(images, rng):
    """Each image at a random place of a field of 14 by 14."""
    x = np.zeros((len(images), SIZE, SIZE, 1), "float32")
    for field, image, (top, left) in zip(x, images, rng.integers(0, SIZE - 7, (len(images), 2)), strict=True):
        field[top : top + 8, left : left + 8] = image
    return x


def backbone():
    """Convolutions that turn an image into features, wherever they are."""
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 1)),
            layers.Conv2D(24, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Conv2D(48, 3, activation="relu"),
            layers.Conv2D(96, 3, activation="relu"),
            layers.GlobalMaxPooling2D(),
        ],
        name="backbone",
    )


def with_hole(body):
    """A model that says how likely a hole is, on top of ``body``."""
    inputs = keras.Input((SIZE, SIZE, 1))
    h = body(inputs, training=False)  # batch normalisation keeps its averages, also when it is thawed
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(h))


def train(model, x, y, rate, epochs):
    """Compile anew, so that what is frozen now counts; fit."""
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=10, epochs=epochs, verbose=0)


def main(first_epochs=15, epochs=40):
    """Accuracies after three examples of each digit: frozen, fine-tuned, from nothing."""
    keras.utils.set_random_seed(0)
    (x, y), (x_test, y_test) = keras.datasets.digits()
    rng = np.random.default_rng(0)
    x, x_test = placed(x, rng), placed(x_test, rng)

    body = backbone()
    inputs = keras.Input((SIZE, SIZE, 1))
    reader = keras.Model(inputs, layers.Dense(10, activation="softmax")(body(inputs)))
    reader.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    reader.fit(x, y, batch_size=32, epochs=first_epochs, verbose=2)

    few = np.concatenate([np.flatnonzero(y == digit)[:3] for digit in range(10)])
    hole, hole_test = (np.isin(labels, HOLES).astype("float32") for labels in (y[few], y_test))
    body.trainable = False
    model, kept = with_hole(body), body.get_weights()
    train(model, x[few], hole, 1e-2, epochs)
    assert all(np.array_equal(a, b) for a, b in zip(kept, body.get_weights(), strict=True))
    found = {"frozen": model.evaluate(x_test, hole_test, verbose=0)[1]}

    body.trainable = True
    train(model, x[few], hole, 1e-4, epochs)
    found["fine-tuned"] = model.evaluate(x_test, hole_test, verbose=0)[1]

    scratch = with_hole(backbone())
    train(scratch, x[few], hole, 1e-3, epochs)
    found["from nothing"] = scratch.evaluate(x_test, hole_test, verbose=0)[1]
    print("accuracy: " + ", ".join(f"{name} {value:.4f}" for name, value in found.items()))
    return found


if __name__ == "__main__":
    main()
