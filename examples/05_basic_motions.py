"""What is the wearer doing? Convolutions find short patterns in a smartwatch's signals, an LSTM their order.

BasicMotions: standing, walking, running, badminton; acceleration and rotation in 100 steps (Bagnall et al. 2018). The two
files are in the package aeon: ``pip download --no-deps aeon`` and unzip, then

    python examples/05_basic_motions.py aeon/datasets/data/BasicMotions
"""

import sys
from pathlib import Path

import layerkit as keras
from layerkit import layers
from layerkit.data import read_ts


def main(folder, epochs=40):
    """Train on 40 series, test on 40 others; the accuracy."""
    keras.utils.set_random_seed(0)
    train, test = (read_ts(Path(folder) / f"BasicMotions_{part}.ts") for part in ("TRAIN", "TEST"))
    mean, deviation = train.x.mean((0, 1)), train.x.std((0, 1))
    x, x_test = ((s.x - mean) / deviation for s in (train, test))

    model = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            layers.Conv1D(32, 5, activation="relu"),
            layers.MaxPooling1D(2),
            layers.Conv1D(48, 3, activation="relu"),
            layers.MaxPooling1D(2),
            layers.LSTM(48),
            layers.Dropout(0.3),
            layers.Dense(len(train.classes), activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, train.y, batch_size=10, epochs=epochs, verbose=2)
    accuracy = model.evaluate(x_test, test.y, verbose=0)[1]
    print(f"test accuracy {accuracy:.4f}")
    return accuracy


if __name__ == "__main__":
    main(sys.argv[1])
