"""A small GPT: a transformer reads Python's own manual letter by letter and guesses the next one (Radford et al. 2018).

The text is in every Python (``pydoc_data.topics``, what ``help()`` shows). The figure is the number of bits it takes to say the
next letter of pages that were not read, beside what the frequencies of letters alone give.
"""

from pydoc_data.topics import topics

import numpy as np

import layerkit as keras
from layerkit import layers, ops


class Block(layers.Layer):
    """Attention to what came before, then a small network at each place; both are added to what goes in."""

    def __init__(self, width, heads, rate=0.1, **kwargs):
        super().__init__(**kwargs)
        self.norm1, self.norm2 = layers.LayerNormalization(epsilon=1e-5), layers.LayerNormalization(epsilon=1e-5)
        self.attention = layers.MultiHeadAttention(heads, width // heads, dropout=rate)
        self.network = keras.Sequential([layers.Dense(4 * width, activation="gelu"), layers.Dense(width)])
        self.dropout = layers.Dropout(rate)

    def call(self, x):
        h = self.norm1(x)
        x = x + self.dropout(self.attention(h, h, use_causal_mask=True))
        return x + self.dropout(self.network(self.norm2(x)))


class Places(layers.Layer):
    """Letters as vectors, with a vector for each place added."""

    def __init__(self, letters, length, width, **kwargs):
        super().__init__(**kwargs)
        self.letter = layers.Embedding(letters, width)
        self.place = layers.Embedding(length, width)
        self.length = length

    def call(self, x):
        return self.letter(x) + self.place(ops.arange(self.length))


def main(steps=600, context=64, width=64, blocks=2, batch_size=32, letters_to_write=200):
    """Train; bits for each letter of unread text, from the model and from frequencies."""
    keras.utils.set_random_seed(0)
    text = "\n".join(topics[k] for k in sorted(topics))
    letters = sorted(set(text))
    numbers = np.array([letters.index(c) for c in text], "int32")
    read, unread = numbers[: len(numbers) * 9 // 10], numbers[len(numbers) * 9 // 10 :]

    def pieces(numbers, rows, rng):
        starts = rng.integers(0, len(numbers) - context - 1, rows)
        return np.stack([numbers[s : s + context + 1] for s in starts])

    inputs = keras.Input((context,), dtype="int32")
    h = Places(len(letters), context, width)(inputs)
    for _ in range(blocks):
        h = Block(width, heads=4)(h)
    h = layers.Dense(len(letters))(layers.LayerNormalization(epsilon=1e-5)(h))
    model = keras.Model(inputs, h)
    model.compile(
        keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(3e-3, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    rows = pieces(read, steps * batch_size, np.random.default_rng(0))
    model.fit(rows[:, :-1], rows[:, 1:], batch_size=batch_size, epochs=1, verbose=2)

    rows = pieces(unread, 500, np.random.default_rng(1))
    bits = float(model.evaluate(rows[:, :-1], rows[:, 1:], verbose=0) / np.log(2))
    counts = np.bincount(read, minlength=len(letters)) + 1
    of_frequencies = float(-np.log2(counts / counts.sum())[unread].mean())

    rng, written = np.random.default_rng(2), list(rows[0, :context])
    for _ in range(letters_to_write):
        logits = model.predict(np.array([written[-context:]], "int32"))[0, -1] / 0.7
        p = np.exp(logits - logits.max())
        written.append(rng.choice(len(letters), p=p / p.sum()))
    print("".join(letters[i] for i in written))
    print(f"bits for each letter {bits:.3f}, by frequencies {of_frequencies:.3f}")
    return bits, of_frequencies


if __name__ == "__main__":
    main()
