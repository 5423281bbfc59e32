"""The Keras 3 adapter; keras_jax, keras_torch and keras_tf only choose its backend.

step: model.train_on_batch(numpy, numpy); fit_step_s: model.fit on n batches of NumPy arrays.
infer: model.predict_on_batch(numpy).
"""

import os

import numpy as np

from peers.adapters.base import Adapter as Base
from peers.params import workload_shapes


class KerasAdapter(Base):
    backend = None
    notes = "train_on_batch, jit_compile=auto; fit_step_s is model.fit"

    @staticmethod
    def env(threads):
        return {}

    def __init__(self, threads):
        os.environ["KERAS_BACKEND"] = self.backend
        self.versions = {}
        if self.backend == "torch":
            import torch

            torch.set_num_threads(threads)
            self.versions["torch"] = torch.__version__
        if self.backend == "tensorflow":
            import tensorflow as tf

            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
            self.versions["tensorflow"] = tf.__version__
        import keras

        keras.utils.set_random_seed(0)
        self.keras = keras
        self.versions["keras"] = keras.__version__

    # model ---------------------------------------------------------------------------------------

    def build(self, w, weights):
        k, _L = self.keras, self.keras.layers
        self.w = w
        self.shapes = workload_shapes(w)
        ins = {n: k.Input(v["shape"], dtype=v["dtype"], name=n) for n, v in w["inputs"].items()}
        self.load = []
        out = self._graph(w["nodes"], dict(ins), weights)
        single = len(ins) == 1
        self.model = k.Model(next(iter(ins.values())) if single else list(ins.values()), out)
        for layer, ws in self.load:
            layer.set_weights([np.ascontiguousarray(a) for a in ws])

    def _graph(self, nodes, env, weights):
        for n in nodes:
            a = [env[i] for i in n["in"]]
            env[n["name"]] = self._node(n, a, weights.get(n["name"], {}))
        return env[nodes[-1]["name"]]

    def _node(self, n, a, p):
        k, L, op, x, name = self.keras, self.keras.layers, n["op"], a[0], n["name"]

        def use(layer, x, *ws):
            y = layer(x)
            if ws:
                self.load.append((layer, ws))
            return y

        if op == "dense":
            return use(
                L.Dense(n["units"], activation=n["act"], use_bias=n["bias"], name=name),
                x,
                *([p["kernel"], p["bias"]] if n["bias"] else [p["kernel"]]),
            )
        if op in ("conv2d", "depthwise2d", "conv1d"):
            pad, how = n["pad"], "valid"
            if pad and n["stride"] == 1 and 2 * pad + 1 == n["kernel"]:
                how = "same"
            elif pad:
                x = L.ZeroPadding2D(pad)(x)
            kw = {"strides": n["stride"], "padding": how, "use_bias": n["bias"], "name": name}
            if op == "depthwise2d":
                return use(L.DepthwiseConv2D(n["kernel"], **kw), x, p["kernel"][..., None])
            cls = L.Conv2D if op == "conv2d" else L.Conv1D
            return use(
                cls(n["filters"], n["kernel"], activation=n["act"], **kw),
                x,
                *([p["kernel"], p["bias"]] if n["bias"] else [p["kernel"]]),
            )
        if op == "conv2d_transpose":
            layer = L.Conv2DTranspose(
                n["filters"], n["kernel"], n["stride"], "same", activation=n["act"], use_bias=n["bias"], name=name
            )
            return use(layer, x, *([p["kernel"], p["bias"]] if n["bias"] else [p["kernel"]]))
        if op == "maxpool2d":
            if n["pad"]:
                x = L.ZeroPadding2D(n["pad"])(x)  # its input is never negative in these workloads
            return L.MaxPooling2D(n["size"], n["stride"])(x)
        if op == "maxpool1d":
            return L.MaxPooling1D(n["size"])(x)
        if op == "gap2d":
            return L.GlobalAveragePooling2D()(x)
        if op == "gap1d":
            return L.GlobalAveragePooling1D()(x)
        if op == "flatten":
            return L.Flatten()(x)
        if op == "batchnorm":
            c = len(p["gamma"])
            return use(
                L.BatchNormalization(momentum=n["momentum"], epsilon=n["eps"], name=name),
                x,
                p["gamma"],
                p["beta"],
                np.zeros(c, np.float32),
                np.ones(c, np.float32),
            )
        if op == "layernorm":
            return use(L.LayerNormalization(epsilon=n["eps"], name=name), x, p["gamma"], p["beta"])
        if op == "relu":
            return L.ReLU()(x)
        if op == "relu6":
            return L.ReLU(6.0)(x)
        if op in ("add", "sum"):
            return L.Add()(a)
        if op == "concat":
            return L.Concatenate()(a)
        if op == "column":
            return x[:, n["index"]]
        if op == "lstm":
            return use(
                L.LSTM(n["units"], return_sequences=n["seq"], name=name), x, p["kernel"], p["recurrent"], p["bias"]
            )
        if op == "gru":
            layer = L.GRU(n["units"], return_sequences=n["seq"], reset_after=n["reset_after"], name=name)
            return use(layer, x, p["kernel"], p["recurrent"], p["bias"])
        if op == "bilstm":
            return use(
                L.Bidirectional(L.LSTM(n["units"]), name=name),
                x,
                p["f_kernel"],
                p["f_recurrent"],
                p["f_bias"],
                p["b_kernel"],
                p["b_recurrent"],
                p["b_bias"],
            )
        if op == "embedding":
            return use(L.Embedding(n["vocab"], n["dim"], name=name), x, p["table"])
        if op == "pos_embedding":

            class PosEmb(L.Layer):
                def build(s, shape):
                    s.table = s.add_weight(shape=(n["length"], n["dim"]), name="table")

                def call(s, x):
                    return x + s.table

            return use(PosEmb(name=name), x, p["table"])
        if op == "mha":
            d, h = p["wq"].shape[0], n["heads"]
            s = d // h
            m = L.MultiHeadAttention(h, s, name=name)
            y = m(x, x)
            ws = []
            for c in "qkv":
                ws += [p["w" + c].reshape(d, h, s), p["b" + c].reshape(h, s)]
            order = {"q": 0, "k": 2, "v": 4}
            names = [v.path.split("/")[-2] for v in m.weights]
            ws = [
                ws[order[names[i][0]] + (0 if v.path.endswith("kernel") else 1)]
                if names[i] in ("query", "key", "value")
                else (p["wo"].reshape(h, s, d) if v.path.endswith("kernel") else p["bo"])
                for i, v in enumerate(m.weights)
            ]
            self.load.append((m, ws))
            return y
        if op == "time_distributed":
            inp = k.Input(tuple(x.shape[2:]))
            sub = k.Model(inp, self._graph(n["nodes"], {"@": inp}, p))
            return L.TimeDistributed(sub, name=name)(x)
        raise ValueError("no keras layer for " + op)

    def param_count(self):
        return sum(int(np.prod(v.shape)) for v in self.model.trainable_weights)

    # steps ---------------------------------------------------------------------------------------

    def prepare_train(self, x, y):
        from peers.workloads import ADAM as o

        k = self.keras
        loss = {
            "bce": k.losses.BinaryCrossentropy(from_logits=True),
            "mse": k.losses.MeanSquaredError(),
            "softmax_ce": k.losses.SparseCategoricalCrossentropy(from_logits=True),
        }[self.w["loss"]]
        self.model.compile(optimizer=k.optimizers.Adam(o["lr"], o["beta1"], o["beta2"], o["eps"]), loss=loss)
        xs = list(x.values())
        self.x, self.y = (xs[0] if len(xs) == 1 else xs), y
        self.calls, self.big = 0, {}

    def train_step(self):
        if self.calls < 6:  # the returned loss is a running mean: start it anew while losses are compared
            self.calls += 1
            self.model.reset_metrics()
        return float(np.asarray(self.model.train_on_batch(self.x, self.y)))

    def fit_epoch(self, n):
        if n not in self.big:

            def rep(a):
                return np.concatenate([a] * n)

            self.big = {n: ([rep(a) for a in self.x] if isinstance(self.x, list) else rep(self.x), rep(self.y))}
        x, y = self.big[n]
        self.model.fit(x, y, batch_size=len(y) // n, epochs=1, shuffle=False, verbose=0)

    def prepare_infer(self, x):
        xs = list(x.values())
        self.x = xs[0] if len(xs) == 1 else xs

    def infer_step(self):
        return np.asarray(self.model.predict_on_batch(self.x))
