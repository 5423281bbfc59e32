"""Plain jax: hand-written layers, one jitted train step with optax.adam, buffers donated."""

import numpy as np

from peers.adapters.base import Adapter as Base
from peers.adapters.base import Skip  # noqa: F401


def make_apply(jax):
    jnp, lax = jax.numpy, jax.lax

    def lstm(x, k, r, b, seq, reverse=False):
        # the input product stays inside the scan: taken out of it, the step was 1.7 times slower on XLA's CPU
        h0 = jnp.zeros((x.shape[0], r.shape[0]), x.dtype)

        def step(c, xt):
            h, s = c
            i, f, g, o = jnp.split(xt @ k + h @ r + b, 4, axis=1)
            s = jax.nn.sigmoid(f) * s + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(s)
            return (h, s), (h if seq else None)

        (h, _), ys = lax.scan(step, (h0, h0), jnp.swapaxes(x, 0, 1), reverse=reverse)
        return jnp.swapaxes(ys, 0, 1) if seq else h

    def gru(x, k, r, b, seq, after):
        u = r.shape[0]
        h0 = jnp.zeros((x.shape[0], u), x.dtype)

        def step(h, xt):
            a = xt @ k + (b[0] if after else b)
            if after:
                c = h @ r + b[1]
                z, s = jnp.split(jax.nn.sigmoid(a[:, : 2 * u] + c[:, : 2 * u]), 2, axis=1)
                new = jnp.tanh(a[:, 2 * u :] + s * c[:, 2 * u :])
            else:
                z, s = jnp.split(jax.nn.sigmoid(a[:, : 2 * u] + h @ r[:, : 2 * u]), 2, axis=1)
                new = jnp.tanh(a[:, 2 * u :] + (s * h) @ r[:, 2 * u :])
            h = z * h + (1 - z) * new
            return h, (h if seq else None)

        h, ys = lax.scan(step, h0, jnp.swapaxes(x, 0, 1))
        return jnp.swapaxes(ys, 0, 1) if seq else h

    def act(n, x):
        return jax.nn.relu(x) if n.get("act") else x

    def node(n, p, st, a, train, new):
        op, x = n["op"], a[0]
        if op == "dense":
            y = x @ p["kernel"]
            return act(n, y + p["bias"] if n["bias"] else y)
        if op in ("conv2d", "depthwise2d", "conv1d"):
            k, pad, s = p["kernel"], n["pad"], n["stride"]
            nd = 1 if op == "conv1d" else 2
            dn = ("NHC", "HIO", "NHC") if nd == 1 else ("NHWC", "HWIO", "NHWC")
            groups = 1
            if op == "depthwise2d":
                k, groups = k[:, :, None, :], x.shape[-1]
            y = lax.conv_general_dilated(
                x, k, (s,) * nd, [(pad, pad)] * nd, dimension_numbers=dn, feature_group_count=groups
            )
            return act(n, y + p["bias"] if n["bias"] else y)
        if op == "conv2d_transpose":
            y = lax.conv_transpose(x, p["kernel"], (n["stride"],) * 2, "SAME", transpose_kernel=True)
            return act(n, y + p["bias"] if n["bias"] else y)
        if op == "maxpool2d":
            z, s, q = n["size"], n["stride"], n["pad"]
            return lax.reduce_window(x, -jnp.inf, lax.max, (1, z, z, 1), (1, s, s, 1), ((0, 0), (q, q), (q, q), (0, 0)))
        if op == "maxpool1d":
            z = n["size"]
            return lax.reduce_window(x, -jnp.inf, lax.max, (1, z, 1), (1, z, 1), "VALID")
        if op == "gap2d":
            return x.mean((1, 2))
        if op == "gap1d":
            return x.mean(1)
        if op == "flatten":
            return x.reshape(x.shape[0], -1)
        if op == "batchnorm":
            if train:
                ax = tuple(range(x.ndim - 1))
                m = x.mean(ax)
                v = jnp.maximum((x * x).mean(ax) - m * m, 0)
                k = n["momentum"]
                new[n["name"]] = {"mean": st["mean"] * k + m * (1 - k), "var": st["var"] * k + v * (1 - k)}
            else:
                m, v = st["mean"], st["var"]
            return (x - m) * (lax.rsqrt(v + n["eps"]) * p["gamma"]) + p["beta"]
        if op == "layernorm":
            m = x.mean(-1, keepdims=True)
            v = ((x - m) ** 2).mean(-1, keepdims=True)
            return (x - m) * lax.rsqrt(v + n["eps"]) * p["gamma"] + p["beta"]
        if op == "relu":
            return jax.nn.relu(x)
        if op == "relu6":
            return jax.nn.relu6(x)
        if op in ("add", "sum"):
            return sum(a[1:], a[0])
        if op == "concat":
            return jnp.concatenate(a, -1)
        if op == "column":
            return x[:, n["index"]]
        if op == "lstm":
            return lstm(x, p["kernel"], p["recurrent"], p["bias"], n["seq"])
        if op == "gru":
            return gru(x, p["kernel"], p["recurrent"], p["bias"], n["seq"], n["reset_after"])
        if op == "bilstm":
            return jnp.concatenate(
                [
                    lstm(x, p["f_kernel"], p["f_recurrent"], p["f_bias"], False),
                    lstm(x, p["b_kernel"], p["b_recurrent"], p["b_bias"], False, True),
                ],
                -1,
            )
        if op == "embedding":
            return p["table"][x]
        if op == "pos_embedding":
            return x + p["table"]
        if op == "mha":
            b, t, d = x.shape
            q, k, v = ((x @ p["w" + c] + p["b" + c]).reshape(b, t, n["heads"], d // n["heads"]) for c in "qkv")
            return jax.nn.dot_product_attention(q, k, v).reshape(b, t, d) @ p["wo"] + p["bo"]
        if op == "time_distributed":
            b, t = x.shape[:2]
            y = apply(n["nodes"], p, {}, {"@": x.reshape((b * t, *x.shape[2:]))}, train, new)
            return y.reshape((b, t, *y.shape[1:]))
        raise ValueError("no jax layer for " + op)

    def apply(nodes, params, state, inputs, train, new):
        env = dict(inputs)
        for n in nodes:
            env[n["name"]] = node(
                n, params.get(n["name"], {}), state.get(n["name"]), [env[i] for i in n["in"]], train, new
            )
        return env[nodes[-1]["name"]]

    return apply


class Adapter(Base):
    notes = "one jitted step, optax.adam, donated buffers"

    @staticmethod
    def env(threads):
        e = {"JAX_PLATFORMS": "cpu"}
        if threads == 1:
            e["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
        return e

    def __init__(self, threads):
        import jax
        import optax

        self.jax, self.optax = jax, optax
        self.versions = {"jax": jax.__version__, "optax": optax.__version__}

    def build(self, w, weights):
        jax = self.jax
        self.w = w
        self.params = jax.tree.map(jax.numpy.asarray, weights)
        self.state = {
            n["name"]: {
                "mean": jax.numpy.zeros_like(self.params[n["name"]]["gamma"]),
                "var": jax.numpy.ones_like(self.params[n["name"]]["gamma"]),
            }
            for n in w["nodes"]
            if n["op"] == "batchnorm"
        }
        self.apply = make_apply(jax)

    def param_count(self):
        return sum(v.size for v in self.jax.tree.leaves(self.params))

    def prepare_train(self, x, y):
        from peers.workloads import ADAM as o

        jax, optax, w, apply = self.jax, self.optax, self.w, self.apply
        opt = optax.adam(o["lr"], o["beta1"], o["beta2"], o["eps"])
        self.opt_state = opt.init(self.params)
        self.x, self.y = jax.device_put(x), jax.device_put(y)

        def lossf(params, state, x, y):
            new = {}
            out = apply(w["nodes"], params, state, x, True, new)
            if w["loss"] == "bce":
                loss = optax.sigmoid_binary_cross_entropy(out, y).mean()
            elif w["loss"] == "mse":
                loss = ((out - y) ** 2).mean()
            else:
                loss = optax.softmax_cross_entropy_with_integer_labels(out, y).mean()
            return loss, new

        def step(params, state, opt_state, x, y):
            (loss, new), g = jax.value_and_grad(lossf, has_aux=True)(params, state, x, y)
            up, opt_state = opt.update(g, opt_state, params)
            return optax.apply_updates(params, up), new, opt_state, loss

        self.step = jax.jit(step, donate_argnums=(0, 1, 2))

    def train_step(self):
        self.params, self.state, self.opt_state, loss = self.step(
            self.params, self.state, self.opt_state, self.x, self.y
        )
        self.jax.block_until_ready((self.params, loss))
        return float(loss)

    def prepare_infer(self, x):
        self.nx, w, apply = x, self.w, self.apply
        self.fwd = self.jax.jit(lambda p, s, x: apply(w["nodes"], p, s, x, False, {}))

    def infer_step(self):
        return np.asarray(self.fwd(self.params, self.state, self.nx))
