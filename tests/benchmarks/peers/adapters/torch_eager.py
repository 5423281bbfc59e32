"""torch, eager, as a plain script would write it: default Adam, channels-first."""

from peers.adapters import _torch_common as C
from peers.adapters.base import Adapter as Base
from peers.adapters.base import Skip  # noqa: F401


class Adapter(Base):
    fused = False
    channels_last = False
    compile = False
    notes = "eager; Adam default (for-loop)"

    def __init__(self, threads):
        import torch

        torch.set_num_threads(threads)
        torch.manual_seed(0)
        self.torch = torch
        self.versions = {"torch": torch.__version__}

    def build(self, w, weights):
        torch = self.torch
        self.w, self.net = w, C.build_net(w, weights)
        if self.channels_last and any(len(v["shape"]) >= 3 for v in w["inputs"].values()):
            self.net = self.net.to(memory_format=torch.channels_last)
        self.call = self.net

    def param_count(self):
        return sum(p.numel() for p in self.net.parameters() if p.requires_grad)

    def _tensor(self, a):
        t = self.torch.from_numpy(a)
        if self.channels_last and t.dim() == 4:
            t = t.contiguous(memory_format=self.torch.channels_last)
        return t

    def prepare_train(self, x, y):
        torch, w = self.torch, self.w
        from peers import workloads

        o = workloads.ADAM
        self.net.train()
        kw = {"fused": True} if self.fused else {}
        self.opt = torch.optim.Adam(
            self.net.parameters(), lr=o["lr"], betas=(o["beta1"], o["beta2"]), eps=o["eps"], **kw
        )
        self.xs = [self._tensor(a) for a in C.numpy_inputs(w, x)]
        self.y = torch.from_numpy(y)
        if w["loss"] == "bce":
            lossf = torch.nn.BCEWithLogitsLoss()
        elif w["loss"] == "mse":
            self.y, lossf = self._tensor(C.to_first(y.ndim - 1, y)), torch.nn.MSELoss()
        else:
            self.y, lossf = self.y.long(), torch.nn.CrossEntropyLoss()
        net = self.net

        def fwd(xs, y):
            return lossf(net(*xs), y)

        self.fwd = torch.compile(fwd) if self.compile else fwd

    def train_step(self):
        self.opt.zero_grad(set_to_none=True)
        loss = self.fwd(self.xs, self.y)
        loss.backward()
        self.opt.step()
        return loss.item()

    def prepare_infer(self, x):
        self.net.eval()
        if self.compile:
            self.call = self.torch.compile(self.net)
        self.nx = C.numpy_inputs(self.w, x)

    def infer_step(self):
        with self.torch.inference_mode():
            return self.call(*[self._tensor(a) for a in self.nx]).numpy()
