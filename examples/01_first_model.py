"""A first model: a small CNN learns to read handwritten digits in a few seconds, and is saved to digits.lk."""

import layerkit
from layerkit import layers

layerkit.utils.set_random_seed(0)
(x_train, y_train), (x_test, y_test) = layerkit.datasets.digits()

model = layerkit.Sequential([layers.Conv2D(32, 3, activation="relu"), layers.Flatten(), layers.Dense(10)])
model.compile("adam", layerkit.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
model.fit(x_train, y_train, epochs=10, verbose=2)
model.save("digits.lk")
print(model.evaluate(x_test, y_test, return_dict=True))
