"""Two networks against each other: one draws digits, the other tells them from real ones (Goodfellow et al. 2014).

The model has a training step of its own. It is traced once, both updates together, and compiled to one program, as every step is.
"""

import numpy as np

import layerkit as keras
from layerkit import layers, ops


class GAN(keras.Model):
    """A generator and a discriminator, each with its optimizer."""

    def __init__(self, generator, discriminator, latent):
        super().__init__()
        self.generator, self.discriminator, self.latent = generator, discriminator, latent
        self.seed_generator = keras.random.SeedGenerator()

    def compile(self, g_optimizer, d_optimizer):
        """Keep the optimizers, and make room for what they remember of each weight."""
        super().compile()
        self.g_optimizer, self.d_optimizer = g_optimizer, d_optimizer
        self.g_optimizer.build(self.generator.trainable_weights)
        self.d_optimizer.build(self.discriminator.trainable_weights)

    def train_step(self, real):
        points = keras.random.normal((ops.shape(real)[0], self.latent), seed=self.seed_generator)

        def d_loss(weights):
            fake = self.generator(points, training=True)
            scores = self.discriminator(real, training=True), self.discriminator(fake, training=True)
            return ops.mean(ops.softplus(-scores[0]) + ops.softplus(scores[1]))

        def g_loss(weights):
            return ops.mean(ops.softplus(-self.discriminator(self.generator(points, training=True), training=True)))

        d_value, grads = keras.value_and_grad(d_loss)(self.discriminator.trainable_weights)
        self.d_optimizer.apply(grads, self.discriminator.trainable_weights)
        g_value, grads = keras.value_and_grad(g_loss)(self.generator.trainable_weights)
        self.g_optimizer.apply(grads, self.generator.trainable_weights)
        return {"d_loss": d_value, "g_loss": g_value}


def nearest(images, real):
    """The mean distance from each image to the nearest real one."""
    a, b = images.reshape(len(images), -1), real.reshape(len(real), -1)
    square = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T
    return float(np.sqrt(np.maximum(square, 0).min(1)).mean())


def main(epochs=80, latent=16):
    """Train; how far generated images, other real digits and noise are from the nearest training digit."""
    keras.utils.set_random_seed(0)
    (x, _), (x_test, _) = keras.datasets.digits()
    generator = keras.Sequential(
        [
            keras.Input((latent,)),
            layers.Dense(96),
            layers.BatchNormalization(),
            layers.LeakyReLU(0.2),
            layers.Dense(96),
            layers.BatchNormalization(),
            layers.LeakyReLU(0.2),
            layers.Dense(64, activation="sigmoid"),
            layers.Reshape((8, 8, 1)),
        ]
    )
    discriminator = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Flatten(),
            layers.Dense(128),
            layers.LeakyReLU(0.2),
            layers.Dropout(0.3),
            layers.Dense(64),
            layers.LeakyReLU(0.2),
            layers.Dropout(0.3),
            layers.Dense(1),
        ]
    )
    gan = GAN(generator, discriminator, latent)
    gan.compile(*(keras.optimizers.Adam(rate, beta_1=0.5) for rate in (1e-3, 5e-4)))
    gan.fit(x, batch_size=64, epochs=epochs, verbose=0)

    rng = np.random.default_rng(0)
    made = generator.predict(rng.standard_normal((300, latent)).astype("float32"))
    found = {
        "generated": nearest(made, x),
        "real": nearest(x_test, x),
        "noise": nearest(rng.permuted(x_test, axis=1), x),
    }
    for top in range(8):
        print("  ".join("".join(" .:-=+*#%@"[int(v * 9.99)] for v in image[top, :, 0]) for image in made[:8]))
    print("distance to the nearest digit: " + ", ".join(f"{name} {value:.3f}" for name, value in found.items()))
    return found


if __name__ == "__main__":
    main()
