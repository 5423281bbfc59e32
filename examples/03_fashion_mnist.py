"""Ten kinds of clothing: a small CNN on Fashion-MNIST (Xiao, Rasul and Vollgraf 2017), read from IDX files.

Debian has the files: ``apt-get install dataset-fashion-mnist``, then

    python examples/03_fashion_mnist.py /usr/share/datasets/fashion-mnist [rows [epochs]]
"""

import sys
from pathlib import Path

import layerkit as keras
from layerkit import layers
from layerkit.data import read_idx


def main(folder, rows=10_000, epochs=8):
    """Train on the first rows, test on all 10,000 test images; the accuracy."""
    keras.utils.set_random_seed(0)
    images, labels, test_images, test_labels = (
        read_idx(Path(folder) / f"{part}-{kind}-ubyte.gz")
        for part in ("train", "t10k")
        for kind in ("images-idx3", "labels-idx1")
    )
    x, x_test = (i[..., None].astype("float32") / 255 for i in (images[:rows], test_images))

    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, labels[:rows].astype("int32"), batch_size=64, epochs=epochs, verbose=2)
    accuracy = model.evaluate(x_test, test_labels.astype("int32"), batch_size=250, verbose=0)[1]
    print(f"test accuracy {accuracy:.4f}")
    return accuracy


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:4]))
