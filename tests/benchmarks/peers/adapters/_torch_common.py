"""The torch model that the torch and onnxruntime adapters share (imports torch when called)."""

import numpy as np

from peers.adapters.base import Skip
from peers.params import infer_shapes, workload_shapes


def to_first(shape_rank, a):
    """Channels-last NumPy input to torch's channels-first, for images (rank 4) and videos (rank 5)."""
    if shape_rank in (3, 4):
        axes = list(range(a.ndim))
        axes = [*axes[:-3], axes[-1], *axes[-3:-1]]
        return np.ascontiguousarray(a.transpose(axes))
    return a


def build_net(w, weights):
    import torch
    import torch.nn as nn
    import torch.nn.functional as F

    def T(a):
        return torch.from_numpy(np.ascontiguousarray(a))

    def put(param, a):
        with torch.no_grad():
            assert tuple(param.shape) == tuple(a.shape), (param.shape, a.shape)
            param.copy_(T(a))

    class Act(nn.Module):
        def __init__(self, mod, act):
            super().__init__()
            self.mod = mod
            assert act == "relu"

        def forward(self, x):
            return F.relu(self.mod(x))

    class PosEmb(nn.Module):
        def __init__(self, length, dim):
            super().__init__()
            self.table = nn.Parameter(torch.zeros(length, dim))

        def forward(self, x):
            return x + self.table

    class MHA(nn.Module):
        def __init__(self, d, heads):
            super().__init__()
            self.mha = nn.MultiheadAttention(d, heads, batch_first=True)

        def forward(self, x):
            return self.mha(x, x, x, need_weights=False)[0]

    class LSTM(nn.Module):
        def __init__(self, i, u, seq):
            super().__init__()
            self.rnn, self.seq = nn.LSTM(i, u, batch_first=True), seq

        def forward(self, x):
            y = self.rnn(x)[0]
            return y if self.seq else y[:, -1]

    class GRU(nn.Module):
        def __init__(self, i, u, seq):
            super().__init__()
            self.rnn, self.seq = nn.GRU(i, u, batch_first=True), seq

        def forward(self, x):
            y = self.rnn(x)[0]
            return y if self.seq else y[:, -1]

    class BiLSTM(nn.Module):
        def __init__(self, i, u):
            super().__init__()
            self.rnn = nn.LSTM(i, u, batch_first=True, bidirectional=True)

        def forward(self, x):
            h = self.rnn(x)[1][0]
            return torch.cat((h[0], h[1]), -1)

    class Fn(nn.Module):
        def __init__(self, f):
            super().__init__()
            self.f = f

        def forward(self, *a):
            return self.f(*a)

    class TimeDist(nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, x):
            b, t = x.shape[0], x.shape[1]
            return self.net(x.flatten(0, 1)).unflatten(0, (b, t))

    def load_lstm(rnn, p, prefix, suffix):
        put(getattr(rnn, "weight_ih_l0" + suffix), p[prefix + "kernel"].T)
        put(getattr(rnn, "weight_hh_l0" + suffix), p[prefix + "recurrent"].T)
        put(getattr(rnn, "bias_ih_l0" + suffix), p[prefix + "bias"])
        put(getattr(rnn, "bias_hh_l0" + suffix), np.zeros_like(p[prefix + "bias"]))

    def load_gru(rnn, p):
        def gates(a):  # z, r, h to r, z, n
            z, r, h = np.split(a, 3, axis=-1)
            return np.concatenate([r, z, h], axis=-1).T

        put(rnn.weight_ih_l0, gates(p["kernel"])), put(rnn.weight_hh_l0, gates(p["recurrent"]))
        put(rnn.bias_ih_l0, gates(p["bias"][0])), put(rnn.bias_hh_l0, gates(p["bias"][1]))

    def make(n, shapes, p, layout, flat_from):
        """(module, layout of the output) for one node; layout: 1 channels first, 0 as is."""
        op, a = n["op"], tuple(shapes[n["in"][0]])
        lay = layout[n["in"][0]]
        if op == "dense":
            m = nn.Linear(a[-1], n["units"], bias=n["bias"])
            k, src = p["kernel"], flat_from.get(n["in"][0])
            if src:  # rows after a flatten: (h, w, c) order to torch's (c, h, w)
                k = k.reshape((*src, -1)).transpose(2, 0, 1, 3).reshape(k.shape)
            put(m.weight, k.T)
            if n["bias"]:
                put(m.bias, p["bias"])
            return (Act(m, n["act"]) if n["act"] else m), 0
        if op == "conv2d":
            m = nn.Conv2d(a[-1], n["filters"], n["kernel"], n["stride"], n["pad"], bias=n["bias"])
            put(m.weight, p["kernel"].transpose(3, 2, 0, 1))
            if n["bias"]:
                put(m.bias, p["bias"])
            return (Act(m, n["act"]) if n["act"] else m), 1
        if op == "conv2d_transpose":
            k, s = n["kernel"], n["stride"]
            before = (k - s) // 2  # what "same" takes away at the beginning; it takes the rest at the end
            m = nn.ConvTranspose2d(a[-1], n["filters"], k, s, before, bias=n["bias"])
            put(m.weight, p["kernel"].transpose(3, 2, 0, 1))
            if n["bias"]:
                put(m.bias, p["bias"])
            more = k - s - 2 * before
            if more:
                m = nn.Sequential(m, Fn(lambda x: x[:, :, :-more, :-more]))
            return (Act(m, n["act"]) if n["act"] else m), 1
        if op == "depthwise2d":
            m = nn.Conv2d(a[-1], a[-1], n["kernel"], n["stride"], n["pad"], groups=a[-1], bias=False)
            put(m.weight, p["kernel"].transpose(2, 0, 1)[:, None])
            return m, 1
        if op == "conv1d":
            m = nn.Conv1d(a[-1], n["filters"], n["kernel"], n["stride"], n["pad"], bias=n["bias"])
            put(m.weight, p["kernel"].transpose(2, 1, 0))
            if n["bias"]:
                put(m.bias, p["bias"])
            m = Act(m, n["act"]) if n["act"] else m
            return (m if lay else nn.Sequential(Fn(lambda x: x.transpose(1, 2)), m)), 1
        if op == "maxpool2d":
            return nn.MaxPool2d(n["size"], n["stride"], n["pad"]), 1
        if op == "maxpool1d":
            assert lay
            return nn.MaxPool1d(n["size"]), 1
        if op == "gap2d":
            return Fn(lambda x: x.mean((2, 3))), 0
        if op == "gap1d":
            return Fn((lambda x: x.mean(2)) if lay else (lambda x: x.mean(1))), 0
        if op == "flatten":
            if lay:
                flat_from[n["name"]] = a
            return nn.Flatten(), 0
        if op == "batchnorm":
            m = nn.BatchNorm2d(a[-1], eps=n["eps"], momentum=1 - n["momentum"])
            put(m.weight, p["gamma"]), put(m.bias, p["beta"])
            return m, lay
        if op == "layernorm":
            m = nn.LayerNorm(a[-1], eps=n["eps"])
            put(m.weight, p["gamma"]), put(m.bias, p["beta"])
            return m, lay
        if op == "relu":
            return nn.ReLU(), lay
        if op == "relu6":
            return nn.ReLU6(), lay
        if op == "add":
            return Fn(lambda x, *more: sum(more, x)), lay
        if op == "sum":
            return Fn(lambda *v: torch.cat(v, -1).sum(-1, keepdim=True)), lay
        if op == "concat":
            return Fn(lambda *v: torch.cat(v, 1 if lay else -1)), lay
        if op == "column":
            return Fn(lambda x, i=n["index"]: x[:, i]), 0
        if op in ("lstm", "bilstm"):
            if op == "lstm":
                m = LSTM(a[-1], n["units"], n["seq"])
                load_lstm(m.rnn, p, "", "")
            else:
                m = BiLSTM(a[-1], n["units"])
                load_lstm(m.rnn, p, "f_", ""), load_lstm(m.rnn, p, "b_", "_reverse")
            return (nn.Sequential(Fn(lambda x: x.transpose(1, 2)), m) if lay else m), 0
        if op == "gru":
            if not n["reset_after"]:
                raise Skip("torch's GRU resets after the recurrent product")
            m = GRU(a[-1], n["units"], n["seq"])
            load_gru(m.rnn, p)
            return m, 0
        if op == "embedding":
            m = nn.Embedding(n["vocab"], n["dim"])
            put(m.weight, p["table"])
            return m, 0
        if op == "pos_embedding":
            m = PosEmb(n["length"], n["dim"])
            put(m.table, p["table"])
            return m, 0
        if op == "mha":
            m = MHA(a[-1], n["heads"])
            put(m.mha.in_proj_weight, np.concatenate([p["wq"].T, p["wk"].T, p["wv"].T]))
            put(m.mha.in_proj_bias, np.concatenate([p["bq"], p["bk"], p["bv"]]))
            put(m.mha.out_proj.weight, p["wo"].T), put(m.mha.out_proj.bias, p["bo"])
            return m, 0
        if op == "time_distributed":
            sub = infer_shapes(n["nodes"], {"@": a[1:]})
            return TimeDist(Net(n["nodes"], ["@"], {"@": 1}, sub, p)), 0
        raise ValueError("no torch layer for " + op)

    class Net(nn.Module):
        def __init__(self, nodes, inputs, layout, shapes, weights):
            super().__init__()
            self.inputs, self.mods, self.plan = inputs, nn.ModuleList(), []
            slot, layout, flat_from = {k: i for i, k in enumerate(inputs)}, dict(layout), {}
            for n in nodes:
                m, layout[n["name"]] = make(n, shapes, weights.get(n["name"], {}), layout, flat_from)
                self.mods.append(m)
                self.plan.append([slot[i] for i in n["in"]])
                slot[n["name"]] = len(slot)

        def forward(self, *xs):
            v = list(xs)
            for m, ins in zip(self.mods, self.plan, strict=False):
                v.append(m(v[ins[0]]) if len(ins) == 1 else m(*[v[i] for i in ins]))
            return v[-1]

    layout = {k: int(len(v["shape"]) == 3) for k, v in w["inputs"].items()}
    return Net(w["nodes"], list(w["inputs"]), layout, workload_shapes(w), weights)


def numpy_inputs(w, x):
    return [to_first(len(w["inputs"][k]["shape"]), v) for k, v in x.items()]
