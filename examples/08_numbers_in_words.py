"""Translation: English numbers in words into French ones, by a GRU that reads, and one that writes and looks back.

"four hundred eighty one" becomes "quatre cent quatre vingt un". French counts in scores above sixty, so words do not match one to
one. What counts is how many numbers that were not seen in training come out right to the last word.
"""

import numpy as np

import layerkit as keras
from layerkit import layers

SMALL = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
SMALL += [f"{word}teen" for word in ("thir", "four", "fif", "six", "seven", "eigh", "nine")]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
PETITS = ["zero", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix"]
PETITS += ["onze", "douze", "treize", "quatorze", "quinze", "seize"]
DIZAINES = {20: "vingt", 30: "trente", 40: "quarante", 50: "cinquante", 60: "soixante", 80: "quatre vingt"}


def english(n):
    """The number as a list of words."""
    if n < 20:
        return [SMALL[n]]
    for size, word in ((1000, "thousand"), (100, "hundred")):
        if n >= size:
            return [*english(n // size), word, *(english(n % size) if n % size else [])]
    return [TENS[n // 10 - 2], *([SMALL[n % 10]] if n % 10 else [])]


def french(n):
    """The number as a list of words."""
    if n <= 16:
        return [PETITS[n]]
    for size, word in ((1000, "mille"), (100, "cent")):
        if n >= size:  # one thousand is "mille" alone
            return [*(french(n // size) if n // size > 1 else []), word, *(french(n % size) if n % size else [])]
    if n < 20:
        return ["dix", PETITS[n - 10]]
    base = n // 20 * 20 if n >= 60 else n // 10 * 10
    joined = ["et"] if n - base in (1, 11) and base < 80 else []
    return [*DIZAINES[base].split(), *joined, *(french(n - base) if n > base else [])]


def numbered(sentences):
    """Words as whole numbers, padded with 0; and the words by number. 1 begins a sentence, 2 ends it."""
    words = ["", "<start>", "<end>", *sorted({w for s in sentences for w in s})]
    number = {w: i for i, w in enumerate(words)}
    x = np.zeros((len(sentences), max(map(len, sentences)) + 2), "int32")
    for row, sentence in zip(x, sentences, strict=True):
        row[: len(sentence) + 2] = [1, *(number[w] for w in sentence), 2]
    return x, words


def main(train_rows=2000, units=96, epochs=30):
    """Train on some numbers below 10,000, translate others; the share that is right."""
    keras.utils.set_random_seed(0)
    order = np.random.default_rng(0).permutation(10_000)
    source, _ = numbered([english(n) for n in range(10_000)])
    target, words = numbered([french(n) for n in range(10_000)])
    train, test = order[:train_rows], order[-500:]

    encoder_in, decoder_in = (keras.Input((None,), dtype="int32") for _ in range(2))
    read = layers.Embedding(source.max() + 1, units, mask_zero=True)(encoder_in)
    read, forward, backward = layers.Bidirectional(layers.GRU(units // 2, return_sequences=True, return_state=True))(
        read
    )
    state = layers.Concatenate()([forward, backward])
    write = layers.Embedding(len(words), units, mask_zero=True)(decoder_in)
    write = layers.GRU(units, return_sequences=True)(write, initial_state=state)
    seen = layers.Attention(use_scale=True)([write, read])
    h = layers.Dense(units, activation="tanh")(layers.Concatenate()([write, seen]))
    model = keras.Model([encoder_in, decoder_in], layers.Dense(len(words), activation="softmax")(h))
    model.compile(keras.optimizers.Adam(4e-3), "sparse_categorical_crossentropy")
    model.fit([source[train], target[train, :-1]], target[train, 1:], batch_size=64, epochs=epochs, verbose=2)

    written = np.zeros((len(test), target.shape[1]), "int32")
    written[:, 0] = 1
    for t in range(target.shape[1] - 1):  # word by word, the likeliest
        written[:, t + 1] = model.predict([source[test], written[:, :-1]], batch_size=500)[:, t].argmax(-1)
    ended = np.cumsum(written == 2, 1) - (written == 2) > 0
    right = float((np.where(ended, 0, written) == target[test]).all(1).mean())
    for n, row in zip(test[:3], written, strict=False):
        print(n, " ".join(english(n)), "->", " ".join(words[i] for i in row[1:]).split(" <end>")[0])
    print(f"numbers translated without a mistake: {right:.3f}")
    return right


if __name__ == "__main__":
    main()
