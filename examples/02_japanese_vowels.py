"""Who is speaking? A masked LSTM on series of unequal length.

JapaneseVowels: 9 speakers, 12 cepstral coefficients a step, 7 to 29 steps (Kudo, Toyama and Shimbo 1999). The two files are
in the package aeon: ``pip download --no-deps aeon`` and unzip, then

    python examples/02_japanese_vowels.py aeon/datasets/data/JapaneseVowels
"""

import sys
from pathlib import Path

import numpy as np

import layerkit as keras
from layerkit import layers
from layerkit.data import read_ts


def main(folder, epochs=60, units=64):
    """Train on the first file, test on the second; the accuracy."""
    keras.utils.set_random_seed(0)
    train, test = (read_ts(Path(folder) / f"JapaneseVowels_{part}.ts") for part in ("TRAIN", "TEST"))
    time = max(train.x.shape[1], test.x.shape[1])
    x, x_test = (np.pad(s.x, ((0, 0), (0, time - s.x.shape[1]), (0, 0))) for s in (train, test))

    inputs = keras.Input((None, x.shape[-1]))
    h = layers.Masking()(inputs)  # padding is all zeros
    h = layers.Bidirectional(layers.LSTM(units, dropout=0.2))(h)
    h = layers.Dropout(0.3)(h)
    model = keras.Model(inputs, layers.Dense(len(train.classes), activation="softmax")(h))
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, train.y, batch_size=32, epochs=epochs, verbose=2)
    accuracy = model.evaluate(x_test, test.y, verbose=0)[1]
    print(f"test accuracy {accuracy:.4f}")
    return accuracy


if __name__ == "__main__":
    main(sys.argv[1])
