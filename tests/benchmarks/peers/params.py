"""Shapes, initial weights and data, the same numbers for every framework (numpy only).

Canonical layouts: dense kernel (in, out); conv2d kernel (kh, kw, in, out); depthwise2d kernel
(kh, kw, in); conv2d_transpose kernel (kh, kw, out, in); conv1d kernel (k, in, out); LSTM kernel (in, 4u), recurrent
(u, 4u), bias (4u), gates i,f,g,o; GRU the same with 3u, gates z,r,h, bias (2, 3u) if the reset comes after; embedding (vocab, dim); mha wq/wk/wv/wo (dim, dim) applied as x @ w, bq/bk/bv/bo (dim).
"""

import zlib

import numpy as np


def _conv_out(n, k, s, p):
    return (n + 2 * p - k) // s + 1


def infer_shapes(nodes, env):
    """{name: per-sample shape} for every node, given the shapes of what they read."""
    env = dict(env)
    for n in nodes:
        s = [tuple(env[i]) for i in n["in"]]
        a, op = s[0], n["op"]
        if op == "dense":
            out = (*a[:-1], n["units"])
        elif op == "conv2d":
            out = (*tuple(_conv_out(d, n["kernel"], n["stride"], n["pad"]) for d in a[:2]), n["filters"])
        elif op == "conv2d_transpose":
            out = (a[0] * n["stride"], a[1] * n["stride"], n["filters"])
        elif op == "depthwise2d":
            out = (*tuple(_conv_out(d, n["kernel"], n["stride"], n["pad"]) for d in a[:2]), a[2])
        elif op == "conv1d":
            out = (_conv_out(a[0], n["kernel"], n["stride"], n["pad"]), n["filters"])
        elif op == "maxpool2d":
            out = (*tuple(_conv_out(d, n["size"], n["stride"], n["pad"]) for d in a[:2]), a[2])
        elif op == "maxpool1d":
            out = (a[0] // n["size"], a[1])
        elif op in ("gap2d", "gap1d"):
            out = (a[-1],)
        elif op == "flatten":
            out = (int(np.prod(a)),)
        elif op in ("batchnorm", "layernorm", "relu", "relu6", "add", "sum", "mha", "pos_embedding"):
            out = a
        elif op == "concat":
            out = (*a[:-1], sum(x[-1] for x in s))
        elif op in ("lstm", "gru"):
            out = (a[0], n["units"]) if n["seq"] else (n["units"],)
        elif op == "bilstm":
            out = (2 * n["units"],)
        elif op == "embedding":
            out = (*a, n["dim"])
        elif op == "column":
            out = ()
        elif op == "time_distributed":
            inner = infer_shapes(n["nodes"], {"@": a[1:]})
            out = (a[0], *tuple(inner[n["nodes"][-1]["name"]]))
        else:
            raise ValueError("unknown op " + op)
        env[n["name"]] = out
    return env


def _glorot(rng, shape, fan_in, fan_out):
    lim = np.sqrt(6.0 / (fan_in + fan_out))
    return rng.uniform(-lim, lim, shape).astype(np.float32)


def _node_params(n, a, rng):
    op = n["op"]
    if op == "dense":
        p = {"kernel": _glorot(rng, (a[-1], n["units"]), a[-1], n["units"])}
        if n["bias"]:
            p["bias"] = np.zeros(n["units"], np.float32)
    elif op in ("conv2d", "conv1d"):
        k = (n["kernel"],) * (2 if op == "conv2d" else 1)
        f = int(np.prod(k))
        p = {"kernel": _glorot(rng, (*k, a[-1], n["filters"]), f * a[-1], f * n["filters"])}
        if n["bias"]:
            p["bias"] = np.zeros(n["filters"], np.float32)
    elif op == "conv2d_transpose":
        k, f = n["kernel"], n["kernel"] ** 2
        p = {"kernel": _glorot(rng, (k, k, n["filters"], a[-1]), f * a[-1], f * n["filters"])}
        if n["bias"]:
            p["bias"] = np.zeros(n["filters"], np.float32)
    elif op == "depthwise2d":
        k = n["kernel"]
        p = {"kernel": _glorot(rng, (k, k, a[-1]), k * k, k * k)}
    elif op == "batchnorm":
        c = a[-1]
        p = {"gamma": np.ones(c, np.float32), "beta": np.zeros(c, np.float32)}
    elif op == "layernorm":
        p = {"gamma": np.ones(a[-1], np.float32), "beta": np.zeros(a[-1], np.float32)}
    elif op in ("lstm", "bilstm"):
        u, i, p = n["units"], a[-1], {}
        for d in ("",) if op == "lstm" else ("f_", "b_"):
            p[d + "kernel"] = _glorot(rng, (i, 4 * u), i, 4 * u)
            p[d + "recurrent"] = _glorot(rng, (u, 4 * u), u, 4 * u)
            p[d + "bias"] = np.zeros(4 * u, np.float32)
            p[d + "bias"][u : 2 * u] = 1.0
    elif op == "gru":
        u, i = n["units"], a[-1]
        p = {"kernel": _glorot(rng, (i, 3 * u), i, 3 * u), "recurrent": _glorot(rng, (u, 3 * u), u, 3 * u)}
        p["bias"] = np.zeros((2, 3 * u) if n["reset_after"] else 3 * u, np.float32)
    elif op == "embedding":
        p = {"table": rng.uniform(-0.05, 0.05, (n["vocab"], n["dim"])).astype(np.float32)}
    elif op == "pos_embedding":
        p = {"table": rng.uniform(-0.05, 0.05, (n["length"], n["dim"])).astype(np.float32)}
    elif op == "mha":
        d, p = a[-1], {}
        for k in "qkvo":
            p["w" + k] = _glorot(rng, (d, d), d, d)
            p["b" + k] = np.zeros(d, np.float32)
    elif op == "time_distributed":
        return init_params(n["nodes"], {"@": a[1:]})
    else:
        return {}
    return p


def init_params(nodes, in_shapes, seed=0):
    """{node name: {parameter name: float32 array}}; a time_distributed node holds its nested nodes' dict."""
    env = infer_shapes(nodes, in_shapes)
    out = {}
    for n in nodes:
        rng = np.random.default_rng([seed, zlib.crc32(n["name"].encode())])
        p = _node_params(n, tuple(env[n["in"][0]]), rng)
        if p:
            out[n["name"]] = p
    return out


def workload_params(w, seed=0):
    return init_params(w["nodes"], {k: tuple(v["shape"]) for k, v in w["inputs"].items()}, seed)


def workload_shapes(w):
    return infer_shapes(w["nodes"], {k: tuple(v["shape"]) for k, v in w["inputs"].items()})


def batch_data(w, batch=None, seed=1):
    """(inputs, labels): fixed random data; softmax_ce labels int32 (batch, ...), bce labels float32 (batch, 1)."""
    batch = batch or w["batch"]
    rng = np.random.default_rng(seed)
    x = {}
    for k, v in w["inputs"].items():
        shape = (batch, *tuple(v["shape"]))
        if v["dtype"] == "int32":
            x[k] = rng.integers(0, v["vocab"], shape).astype(np.int32)
        else:
            x[k] = rng.standard_normal(shape).astype(np.float32)
    out = (batch, *workload_shapes(w)[w["nodes"][-1]["name"]])
    if w["loss"] == "bce":
        y = rng.integers(0, 2, out).astype(np.float32)
    elif w["loss"] == "mse":
        y = rng.standard_normal(out).astype(np.float32)
    else:
        y = rng.integers(0, w["classes"], out[:-1]).astype(np.int32)
    return x, y


def count(params):
    return sum(count(v) if isinstance(v, dict) else int(v.size) for v in params.values())
