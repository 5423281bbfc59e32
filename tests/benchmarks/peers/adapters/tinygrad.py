"""tinygrad on its CPU device, TinyJit around the whole step; recurrent workloads are left out."""

import numpy as np

from peers.adapters._torch_common import numpy_inputs
from peers.adapters.base import Adapter as Base
from peers.adapters.base import Skip
from peers.params import workload_shapes


class Adapter(Base):
    notes = "TinyJit, CPU device, no BEAM search"

    @staticmethod
    def env(threads):
        import os

        return {"NUM_CPU_THREADS": str(threads), "PARALLEL": "0", "DEV": os.environ.get("DEV", "CPU")}

    def __init__(self, threads):
        import importlib.metadata

        import tinygrad
        from tinygrad import Tensor, TinyJit

        self.T, self.Jit, self.tg = Tensor, TinyJit, tinygrad
        self.versions = {"tinygrad": importlib.metadata.version("tinygrad")}

    def build(self, w, weights):
        from tinygrad import nn

        T = self.T
        for n in w["nodes"]:
            if n["op"] in ("lstm", "bilstm"):
                raise Skip("tinygrad has no LSTM scan; the unrolled graph is too large")
            if n["op"] == "conv1d":
                raise Skip("not written")
        self.w, self.shapes, self.nn = w, workload_shapes(w), nn
        self.p, self.flat = {}, {}
        for n in w["nodes"]:
            p, name = weights.get(n["name"], {}), n["name"]
            q = {}
            for k, v in p.items():
                if n["op"] == "conv2d" and k == "kernel":
                    v = v.transpose(3, 2, 0, 1)
                if n["op"] == "depthwise2d":
                    v = v.transpose(2, 0, 1)[:, None]
                q[k] = T(np.ascontiguousarray(v)).contiguous().realize()
            if n["op"] == "batchnorm":
                m = nn.BatchNorm2d(len(p["gamma"]), eps=n["eps"], momentum=1 - n["momentum"])
                m.weight, m.bias = q["gamma"], q["beta"]
                self.flat[name] = m
            if q:
                self.p[name] = q
        self.params = [t for q in self.p.values() for t in q.values()]

    def param_count(self):
        return sum(int(np.prod(t.shape)) for t in self.params)

    def _node(self, n, a):
        op, x, p = n["op"], a[0], self.p.get(n["name"], {})

        def act(y):
            return y.relu() if n.get("act") else y

        if op == "dense":
            y = x @ p["kernel"]
            return act(y + p["bias"] if n["bias"] else y)
        if op in ("conv2d", "depthwise2d"):
            g = x.shape[1] if op == "depthwise2d" else 1
            return act(x.conv2d(p["kernel"], p.get("bias"), groups=g, stride=n["stride"], padding=n["pad"]))
        if op == "maxpool2d":
            return x.max_pool2d(n["size"], n["stride"], padding=n["pad"])
        if op == "gap2d":
            return x.mean((2, 3))
        if op == "gap1d":
            return x.mean(1)
        if op == "flatten":
            return x.permute(0, 2, 3, 1).flatten(1)
        if op == "batchnorm":
            return self.flat[n["name"]](x)
        if op == "layernorm":
            return x.layernorm(eps=n["eps"]) * p["gamma"] + p["beta"]
        if op == "relu":
            return x.relu()
        if op == "relu6":
            return x.relu6()
        if op in ("add", "sum"):
            y = a[0]
            for b in a[1:]:
                y = y + b
            return y
        if op == "concat":
            return a[0].cat(*a[1:], dim=-1)
        if op == "column":
            return x[:, n["index"]]
        if op == "embedding":
            return p["table"][x]
        if op == "pos_embedding":
            return x + p["table"]
        if op == "mha":
            b, t, d = x.shape
            h = n["heads"]
            q, k, v = ((x @ p["w" + c] + p["b" + c]).reshape(b, t, h, d // h).transpose(1, 2) for c in "qkv")
            y = q.scaled_dot_product_attention(k, v).transpose(1, 2).reshape(b, t, d)
            return y @ p["wo"] + p["bo"]
        raise Skip("no tinygrad layer for " + op)

    def _net(self, xs):
        env = dict(zip(self.w["inputs"], xs, strict=False))
        for n in self.w["nodes"]:
            env[n["name"]] = self._node(n, [env[i] for i in n["in"]])
        return env[self.w["nodes"][-1]["name"]]

    def prepare_train(self, x, y):
        from peers.workloads import ADAM as o

        T = self.T
        for t in self.params:
            t.requires_grad = True
        opt = self.nn.optim.Adam(self.params, lr=o["lr"], b1=o["beta1"], b2=o["beta2"], eps=o["eps"])
        self.xs = [T(a).realize() for a in numpy_inputs(self.w, x)]
        self.y = T(y).realize()
        bce = self.w["loss"] == "bce"

        @self.Jit
        def step(y, *xs):
            opt.zero_grad()
            out = self._net(xs)
            loss = out.binary_crossentropy_logits(y) if bce else out.sparse_categorical_crossentropy(y)
            loss.backward()
            return loss.realize(*opt.schedule_step())

        self.step = step

    def train_step(self):
        with self._training(True):
            return self.step(self.y, *self.xs).item()

    def _training(self, on):
        from tinygrad.helpers import Context

        try:
            return self.T.train(on)
        except (AttributeError, TypeError):
            return Context(TRAINING=int(on))

    def prepare_infer(self, x):
        self.nx = numpy_inputs(self.w, x)

        @self.Jit
        def fwd(*xs):
            return self._net(xs).realize()

        self.fwd = fwd

    def infer_step(self):
        with self._training(False):
            return self.fwd(*[self.T(a).realize() for a in self.nx]).numpy()
