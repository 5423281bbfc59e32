"""onnxruntime, inference only; the model is the torch one, exported with torch.onnx (offline)."""

import os
import tempfile
import time

from peers.adapters import _torch_common as C
from peers.adapters.base import Adapter as Base
from peers.adapters.base import Skip

EXPORTER = os.environ.get("BENCH_ONNX_EXPORTER", "auto")  # auto | dynamo | script


class Adapter(Base):
    def __init__(self, threads):
        import onnxruntime as ort

        self.ort, self.threads = ort, threads
        self.versions = {"onnxruntime": ort.__version__}

    def build(self, w, weights):
        import torch

        torch.set_num_threads(self.threads)
        torch.backends.mha.set_fastpath_enabled(False)  # the fused attention op has no ONNX form
        self.w, self.torch = w, torch
        self.net = C.build_net(w, weights).eval()
        self.count = sum(p.numel() for p in self.net.parameters())

    def param_count(self):
        return self.count

    def prepare_train(self, x, y):
        raise Skip("inference only")

    def prepare_infer(self, x):
        torch, t = self.torch, time.perf_counter()
        arrays = C.numpy_inputs(self.w, x)
        args = tuple(torch.from_numpy(a) for a in arrays)
        names = ["in_" + k for k in self.w["inputs"]]  # a bare "cat" collides with the exporter's name for torch.cat
        recurrent = any(n["op"] in ("lstm", "bilstm") for n in self.w["nodes"])
        how = EXPORTER if EXPORTER != "auto" else ("script" if recurrent else "dynamo")
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "m.onnx")
            with torch.no_grad():
                torch.onnx.export(
                    self.net,
                    args,
                    path,
                    input_names=names,
                    output_names=["y"],
                    dynamo=how == "dynamo",
                    **({} if how == "dynamo" else {"opset_version": 17}),
                )
            so = self.ort.SessionOptions()
            so.intra_op_num_threads, so.inter_op_num_threads = self.threads, 1
            so.graph_optimization_level = self.ort.GraphOptimizationLevel.ORT_ENABLE_ALL
            self.sess = self.ort.InferenceSession(path, so, providers=["CPUExecutionProvider"])
        self.feed = {i.name: a for i, a in zip(self.sess.get_inputs(), arrays, strict=False)}
        self.notes = "exporter %s, export+load %.1f s" % (how, time.perf_counter() - t)

    def infer_step(self):
        return self.sess.run(None, self.feed)[0]
