"""A variational autoencoder: digits become points of a plane, and points of the plane digits (Kingma and Welling 2013).

A layer of our own draws the point; it adds to the loss how far its distribution is from the standard normal one.
"""

import numpy as np

import layerkit as keras
from layerkit import layers, ops


class Sampling(layers.Layer):
    """A point drawn from the normal distribution with that mean and logarithm of the variance."""

    def __init__(self, weight, **kwargs):
        super().__init__(**kwargs)
        self.weight = weight
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, inputs, training=False):
        mean, log_variance = inputs
        divergence = -0.5 * ops.sum(1 + log_variance - ops.square(mean) - ops.exp(log_variance), axis=-1)
        self.add_loss(self.weight * ops.mean(divergence))
        if not training:
            return mean
        return mean + ops.exp(0.5 * log_variance) * keras.random.normal(ops.shape(mean), seed=self.seed_generator)


def main(epochs=40, latent=2):
    """Train; the mean squared error of test digits that went through the plane, and that of the mean digit."""
    keras.utils.set_random_seed(0)
    (x, _), (x_test, _) = keras.datasets.digits()

    inputs = keras.Input((8, 8, 1))
    h = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(inputs)
    h = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(h)
    h = layers.Dense(64, activation="relu")(layers.Flatten()(h))
    z = Sampling(weight=0.5 / 64, name="z")([layers.Dense(latent)(h), layers.Dense(latent)(h)])
    encoder = keras.Model(inputs, z, name="encoder")

    point = keras.Input((latent,))
    h = layers.Dense(64, activation="relu")(point)
    h = layers.Reshape((2, 2, 32))(layers.Dense(2 * 2 * 32, activation="relu")(h))
    h = layers.Conv2DTranspose(32, 3, strides=2, padding="same", activation="relu")(h)
    h = layers.Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu")(h)
    decoder = keras.Model(point, layers.Conv2D(1, 3, padding="same", activation="sigmoid")(h), name="decoder")

    vae = keras.Model(inputs, decoder(encoder(inputs)), name="vae")
    vae.compile(keras.optimizers.Adam(2e-3), "binary_crossentropy")
    vae.fit(x, x, batch_size=64, epochs=epochs, verbose=2)

    error = float(np.square(vae.predict(x_test) - x_test).mean())
    of_mean = float(np.square(x.mean(0) - x_test).mean())
    digit = decoder.predict(np.zeros((1, latent), "float32"))[0, :, :, 0]
    print("\n".join("".join(" .:-=+*#%@"[int(v * 9.99)] for v in row) for row in digit))  # the middle of the plane
    print(f"mean squared error {error:.4f}, of the mean digit {of_mean:.4f}")
    return error, of_mean


if __name__ == "__main__":
    main()
