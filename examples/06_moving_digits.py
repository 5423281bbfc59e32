"""A video: which digit moves, and where to? A small CNN looks at each frame, a GRU at the frames in turn.

Real digits (8 by 8 pixels) glide over a dark field of 16 by 16 in one of eight directions. One model answers both questions.
"""

import numpy as np

import layerkit as keras
from layerkit import layers

SIZE, FRAMES = 16, 6
DIRECTIONS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]


def videos(images, rng):
    """A video of each image: (n, frames, 16, 16, 1), and the number of its direction."""
    direction = rng.integers(0, len(DIRECTIONS), len(images))
    x = np.zeros((len(images), FRAMES, SIZE, SIZE, 1), "float32")
    for video, image, d in zip(x, images, direction, strict=True):
        step = np.array(DIRECTIONS[d])
        start = rng.integers(0, SIZE - 8 - (FRAMES - 1) * abs(step) + 1) + (FRAMES - 1) * (step < 0)
        for t in range(FRAMES):
            top, left = start + t * step
            video[t, top : top + 8, left : left + 8] = image
    return x, direction.astype("int32")


def main(rows=None, epochs=12):
    """Train on videos of the training digits, test on those of others; the accuracies for digit and direction."""
    keras.utils.set_random_seed(0)
    (images, digits), (test_images, test_digits) = keras.datasets.digits()
    x, direction = videos(images[:rows], np.random.default_rng(0))
    x_test, test_direction = videos(test_images, np.random.default_rng(1))

    look = keras.Sequential(
        [
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
        ],
        name="look",
    )
    inputs = keras.Input((FRAMES, SIZE, SIZE, 1))
    h = layers.TimeDistributed(look)(inputs)
    h = layers.GRU(64)(h)
    outputs = {
        "digit": layers.Dense(10, activation="softmax", name="digit")(h),
        "direction": layers.Dense(len(DIRECTIONS), activation="softmax", name="direction")(h),
    }
    model = keras.Model(inputs, outputs)
    entropy = "sparse_categorical_crossentropy"
    model.compile(
        keras.optimizers.Adam(2e-3),
        loss={"digit": entropy, "direction": entropy},
        metrics={"digit": ["accuracy"], "direction": ["accuracy"]},
    )
    model.fit(x, {"digit": digits[:rows], "direction": direction}, batch_size=32, epochs=epochs, verbose=2)
    found = model.evaluate(x_test, {"digit": test_digits, "direction": test_direction}, verbose=0, return_dict=True)
    print(f"test accuracy: digit {found['digit_accuracy']:.4f}, direction {found['direction_accuracy']:.4f}")
    return found["digit_accuracy"], found["direction_accuracy"]


if __name__ == "__main__":
    main()
