"""Layers as every Keras user writes them, unchanged but for the import, and models trained with them."""

from __future__ import annotations

import numpy as np
import pytest

import layerkit as keras
from layerkit import Model, Sequential, layers, ops
from layerkit.errors import LayerkitWarning

RNG = np.random.default_rng(0)


class TransformerBlock(layers.Layer):
    def __init__(self, embed_dim, num_heads, ff_dim, rate=0.1, **kwargs):
        super().__init__(**kwargs)
        self.att = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
        self.ffn = keras.Sequential([layers.Dense(ff_dim, activation="relu"), layers.Dense(embed_dim)])
        self.layernorm1 = layers.LayerNormalization(epsilon=1e-6)
        self.layernorm2 = layers.LayerNormalization(epsilon=1e-6)
        self.dropout1 = layers.Dropout(rate)
        self.dropout2 = layers.Dropout(rate)

    def call(self, inputs):
        attn_output = self.att(inputs, inputs)
        attn_output = self.dropout1(attn_output)
        out1 = self.layernorm1(inputs + attn_output)
        ffn_output = self.ffn(out1)
        ffn_output = self.dropout2(ffn_output)
        return self.layernorm2(out1 + ffn_output)


class TokenAndPositionEmbedding(layers.Layer):
    def __init__(self, maxlen, vocab_size, embed_dim):
        super().__init__()
        self.token_emb = layers.Embedding(input_dim=vocab_size, output_dim=embed_dim)
        self.pos_emb = layers.Embedding(input_dim=maxlen, output_dim=embed_dim)

    def call(self, x):
        maxlen = ops.shape(x)[-1]
        positions = ops.arange(start=0, stop=maxlen, step=1)
        positions = self.pos_emb(positions)
        x = self.token_emb(x)
        return x + positions


class Sampling(layers.Layer):
    """Uses (z_mean, z_log_var) to sample z, the vector encoding a digit."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(1337)

    def call(self, inputs):
        z_mean, z_log_var = inputs
        batch = ops.shape(z_mean)[0]
        dim = ops.shape(z_mean)[1]
        epsilon = keras.random.normal(shape=(batch, dim), seed=self.seed_generator)
        self.add_loss(-0.5 * ops.mean(1 + z_log_var - ops.square(z_mean) - ops.exp(z_log_var)))
        return z_mean + ops.exp(0.5 * z_log_var) * epsilon


class MinimalRNNCell(layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.state_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), initializer="uniform", name="kernel")
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, self.units), initializer="uniform", name="recurrent_kernel"
        )
        self.built = True

    def call(self, inputs, states):
        prev_output = states[0]
        h = ops.matmul(inputs, self.kernel)
        output = h + ops.matmul(prev_output, self.recurrent_kernel)
        return output, [output]


class Linear(layers.Layer):
    def __init__(self, units=32, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="random_normal", trainable=True)
        self.b = self.add_weight(shape=(self.units,), initializer="random_normal", trainable=True)

    def call(self, inputs):
        return ops.matmul(inputs, self.w) + self.b

    def get_config(self):
        config = super().get_config()
        config.update({"units": self.units})
        return config


def falling(model, x, y, loss="sparse_categorical_crossentropy", epochs=8):
    model.compile("adam", loss)
    losses = model.fit(x, y, epochs=epochs, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    return losses


def test_transformer_block_in_a_text_classifier(tmp_path):
    inputs = layers.Input(shape=(12,), dtype="int32")
    x = TokenAndPositionEmbedding(12, 20, 8)(inputs)
    x = TransformerBlock(8, 2, 16)(x)
    x = layers.GlobalAveragePooling1D()(x)
    outputs = layers.Dense(2, activation="softmax")(x)
    model = Model(inputs=inputs, outputs=outputs)
    x = RNG.integers(0, 20, (64, 12))
    y = (x == 3).any(1).astype("int32")
    falling(model, x, y)
    paths = [w.path for w in model.weights]
    assert "transformer_block/att/query/kernel" in paths
    assert "transformer_block/ffn/dense/kernel" in paths
    assert len(set(paths)) == len(paths)
    model.save(tmp_path / "m.lk")
    mine = {"TransformerBlock": TransformerBlock, "TokenAndPositionEmbedding": TokenAndPositionEmbedding}
    loaded = keras.load_model(tmp_path / "m.lk", custom_objects=mine)
    np.testing.assert_array_equal(loaded.predict(x), model.predict(x))
    with pytest.raises(ValueError, match="TokenAndPositionEmbedding"):
        keras.load_model(tmp_path / "m.lk")


def test_vae_with_sampling_layer():
    latent_dim = 2
    encoder_inputs = keras.Input(shape=(8, 8, 1))
    x = layers.Conv2D(8, 3, activation="relu", strides=2, padding="same")(encoder_inputs)
    x = layers.Flatten()(x)
    z_mean = layers.Dense(latent_dim, name="z_mean")(x)
    z_log_var = layers.Dense(latent_dim, name="z_log_var")(x)
    z = Sampling()([z_mean, z_log_var])
    encoder = keras.Model(encoder_inputs, [z_mean, z_log_var, z], name="encoder")
    latent_inputs = keras.Input(shape=(latent_dim,))
    decoder_outputs = layers.Reshape((8, 8, 1))(layers.Dense(64, activation="sigmoid")(latent_inputs))
    decoder = keras.Model(latent_inputs, decoder_outputs, name="decoder")
    vae = keras.Model(encoder_inputs, decoder(encoder(encoder_inputs)[2]))
    images = RNG.uniform(0, 1, (32, 8, 8, 1)).astype("float32")
    falling(vae, images, images, "mse")
    first, second = encoder.predict(images)[2], encoder.predict(images)[2]
    assert not np.array_equal(first, second)  # every run draws anew
    assert vae.get_layer("encoder").get_layer("z_mean") is encoder.get_layer("z_mean")


def test_custom_rnn_cell():
    inputs = keras.Input((None, 5))
    outputs = layers.Dense(1)(layers.RNN(MinimalRNNCell(8))(inputs))
    model = keras.Model(inputs, outputs)
    x = RNG.standard_normal((64, 6, 5)).astype("float32")
    falling(model, x, x.sum((1, 2)), "mse")
    assert model.predict(x[:, :3]).shape == (64, 1)  # another length is another program
    cell = model.layers[1].cell
    h = np.zeros((64, 8), "float32")
    for t in range(6):
        h = x[:, t] @ cell.kernel.numpy() + h @ cell.recurrent_kernel.numpy()
    np.testing.assert_allclose(layers.RNN.__call__(model.layers[1], x), h, rtol=1e-4, atol=1e-5)


def test_autoencoder_with_a_separate_encoder():
    input_img = keras.Input(shape=(64,))
    encoded = layers.Dense(8, activation="relu")(input_img)
    decoded = layers.Dense(64, activation="sigmoid")(encoded)
    autoencoder = keras.Model(input_img, decoded)
    encoder = keras.Model(input_img, encoded)
    encoded_input = keras.Input(shape=(8,))
    decoder_layer = autoencoder.layers[-1]
    decoder = keras.Model(encoded_input, decoder_layer(encoded_input))
    x = RNG.uniform(0, 1, (64, 64)).astype("float32")
    falling(autoencoder, x, x, "binary_crossentropy")
    np.testing.assert_allclose(decoder.predict(encoder.predict(x)), autoencoder.predict(x), rtol=1e-6)


class Autoencoder(Model):
    def __init__(self, latent_dim, shape):
        super().__init__()
        self.encoder = Sequential([layers.Flatten(), layers.Dense(latent_dim, activation="relu")])
        self.decoder = Sequential([layers.Dense(int(np.prod(shape)), activation="sigmoid"), layers.Reshape(shape)])

    def call(self, x):
        return self.decoder(self.encoder(x))


def test_subclassed_autoencoder(tmp_path):
    model = Autoencoder(4, (6, 6))
    x = RNG.uniform(0, 1, (32, 6, 6)).astype("float32")
    falling(model, x, x, "mse")
    assert model.encoder(x).shape == (32, 4)
    model.save(tmp_path / "a.lk")
    loaded = keras.load_model(tmp_path / "a.lk", custom_objects={"Autoencoder": Autoencoder})
    np.testing.assert_array_equal(loaded.predict(x), model.predict(x))


def test_config_of_a_keras_style_layer():
    layer = Linear(4, name="mine")
    assert layer.get_config()["units"] == 4
    assert Linear.from_config(layer.get_config()).name == "mine"
    y = layer(np.ones((2, 3), "float32"))
    np.testing.assert_allclose(y, np.ones((2, 3)) @ layer.w.numpy() + layer.b.numpy(), rtol=1e-6)
    assert [w.path for w in layer.weights] == ["mine/w", "mine/b"]
    with pytest.raises(TypeError, match="unit"):
        Linear(unit=3)


def test_a_layer_that_needs_a_mask_has_it_when_the_model_is_written():
    class MaskedMean(layers.Layer):
        def call(self, x, mask=None):
            weight = ops.cast(ops.expand_dims(mask, -1), x.dtype)
            return ops.sum(x * weight, 1) / ops.sum(weight, 1)

        def compute_mask(self, x, mask=None):
            return None

    inputs = keras.Input((None,), dtype="int32")
    h = layers.Dropout(0.5)(layers.Embedding(5, 2, mask_zero=True, embeddings_initializer="ones")(inputs))
    inner = keras.Input((None, 2))
    model = keras.Model(inputs, keras.Model(inner, layers.Identity()(inner))(MaskedMean()(h)[:, None]))
    assert model.predict(np.array([[1, 2, 0, 0], [1, 1, 1, 1]])).tolist() == [[[1, 1]], [[1, 1]]]


def test_a_mask_that_ends_is_warned_of_once_where_the_layer_is_called():
    class Sum(layers.Layer):
        def call(self, x):
            return ops.sum(x, 1)

    inputs = keras.Input((4,), dtype="int32")
    h = layers.Embedding(5, 2, mask_zero=True)(inputs)
    with pytest.warns(LayerkitWarning, match="does not support masks") as found:
        h = Sum()(h)
    assert [w.filename for w in found] == [__file__]
    keras.Model(inputs, h).predict(np.ones((2, 4)))


def test_own_train_step_is_one_program():
    class Doubled(Model):
        def train_step(self, data):
            x, y = data

            def loss(weights):
                return 2.0 * ops.mean(ops.square(self(x, training=True) - y))

            value, grads = keras.value_and_grad(loss)(self.trainable_weights)
            self.optimizer.apply(grads, self.trainable_weights)
            return {"loss": value, "double": value * 2.0}

    inputs = keras.Input((3,))
    model = Doubled(inputs, layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    x = RNG.standard_normal((32, 3)).astype("float32")
    history = model.fit(x, x[:, :1], epochs=4, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    np.testing.assert_allclose(history["double"], 2 * np.array(history["loss"]), rtol=1e-6)


def test_weights_in_numpys_functions_and_behind_arrays() -> None:
    layer = layers.Dense(2, kernel_initializer="ones")
    layer.build((None, 3))
    w, x = layer.kernel, np.array([[2.0, 4.0]], "float32")
    assert (np.sum(w), np.min(w), np.abs(w).shape, np.add(w, 1.0).max()) == (6.0, 1.0, (3, 2), 2.0)
    for found in (
        lambda: (x + w, x - w, np.float32(2) * w, x / w, x**w, x @ ops.transpose(w), x > w, np.float64(1) == w),
        lambda: (x * w, ops.sum(w)),
    ):
        for a, b in zip(keras.function(found)(), found(), strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(x - w, np.array([[1.0, 3.0]] * 3))
    np.testing.assert_array_equal(x > w, np.ones((3, 2), bool))
    with pytest.raises(keras.errors.StateError, match="exp"):
        keras.function(lambda: np.exp(w))()
