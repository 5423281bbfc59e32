"""Image captioning: a CNN looks at a scene of two shapes, a GRU says what it sees, looking at one place after another.

The scenes and their captions are made: "a red circle left of a blue square". A caption is right if every word is.
"""

import numpy as np

import layerkit as keras
from layerkit import layers

COLOURS = {"red": (1, 0.1, 0.1), "green": (0.1, 0.9, 0.1), "blue": (0.2, 0.3, 1), "yellow": (1, 1, 0.2)}
SHAPES = "circle", "square", "triangle"
RELATIONS = "left of", "right of", "above", "below"
WORDS = ["", "<start>", "<end>", "a", *COLOURS, *SHAPES, *{w: None for r in RELATIONS for w in r.split()}]
LENGTH = 11  # words with start and end


def drawn(image, shape, colour, top, left):
    """Draw a shape of 7 by 7 pixels."""
    y, x = np.mgrid[-3:4, -3:4]
    inside = {
        "circle": y * y + x * x <= 10,
        "square": np.maximum(abs(y), abs(x)) <= 3,
        "triangle": 2 * abs(x) <= y + 3,
    }[shape]
    image[top : top + 7, left : left + 7][inside] = COLOURS[colour]


def numbers(*words):
    """A caption as numbers, padded with 0."""
    words = ["<start>", *" ".join(words).split(), "<end>"]
    return [WORDS.index(w) for w in words] + [0] * (LENGTH - len(words))


def scenes(rows, rng):
    """Images (rows, 20, 20, 3), a caption of each, and the other one that is true: what is left of a thing has it on its right."""
    images = rng.uniform(0, 0.15, (rows, 20, 20, 3)).astype("float32")
    captions, others = np.zeros((2, rows, LENGTH), "int32")
    for image, caption, other in zip(images, captions, others, strict=True):
        one, two = zip(rng.choice(list(COLOURS), 2, replace=False), rng.choice(SHAPES, 2), strict=True)
        which = rng.integers(4)
        near, far = rng.integers(0, 3), rng.integers(10, 13)
        along = (near, far) if which in (0, 2) else (far, near)
        across = np.clip(rng.integers(0, 13) + np.array([0, rng.integers(-3, 4)]), 0, 12)
        for (colour, shape), *place in zip((one, two), along, across, strict=True):
            drawn(image, shape, colour, *(place[::-1] if which < 2 else place))
        caption[:] = numbers("a", *one, RELATIONS[which], "a", *two)
        other[:] = numbers("a", *two, RELATIONS[which ^ 1], "a", *one)
    return images, captions, others


def main(rows=4000, epochs=15):
    """Train on some scenes, describe others; the share of captions that are right."""
    keras.utils.set_random_seed(0)
    x, y, _ = scenes(rows, np.random.default_rng(0))
    x_test, *true = scenes(500, np.random.default_rng(1))

    image, caption = keras.Input((20, 20, 3)), keras.Input((None,), dtype="int32")
    h = layers.Conv2D(32, 3, padding="same", activation="relu")(image)
    h = layers.MaxPooling2D(2)(h)
    h = layers.Conv2D(48, 3, padding="same", activation="relu")(h)
    h = layers.MaxPooling2D(2)(h)
    h = layers.Reshape((25, 48))(h)
    places = h + layers.Embedding(25, 48)(np.arange(25))  # where each place is
    words = layers.Embedding(len(WORDS), 48)(caption)
    said = layers.GRU(96, return_sequences=True)(words)
    seen = layers.MultiHeadAttention(2, 32)(said, places)
    h = layers.LayerNormalization()(layers.Concatenate()([said, seen]))
    h = layers.Dense(96, activation="relu")(h)
    model = keras.Model([image, caption], layers.Dense(len(WORDS), activation="softmax")(h))
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    model.fit([x, y[:, :-1]], y[:, 1:], batch_size=50, epochs=epochs, verbose=2)

    said = np.zeros_like(true[0])
    said[:, 0] = 1
    for t in range(LENGTH - 1):  # word by word, the likeliest
        said[:, t + 1] = model.predict([x_test, said[:, :-1]], batch_size=500)[:, t].argmax(-1)
    right = float(np.any([(said == y).all(1) for y in true], axis=0).mean())
    for row in said[:3]:
        print(" ".join(WORDS[i] for i in row[1:]).split(" <end>")[0])
    print(f"captions without a mistake: {right:.3f}")
    return right


if __name__ == "__main__":
    main()
