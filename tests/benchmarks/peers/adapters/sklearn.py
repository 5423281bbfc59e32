"""scikit-learn's MLPClassifier, partial_fit on one batch; the two mlp workloads only."""

import numpy as np

from peers.adapters.base import Adapter as Base
from peers.adapters.base import Skip


class Adapter(Base):
    notes = "MLPClassifier.partial_fit; losses are not comparable before its own first step; eps 1e-8"

    def __init__(self, threads):
        import sklearn
        from sklearn.neural_network import MLPClassifier

        self.MLP, self.versions = MLPClassifier, {"scikit-learn": sklearn.__version__}

    def build(self, w, weights):
        if any(n["op"] != "dense" for n in w["nodes"]):
            raise Skip("MLPClassifier has dense layers only")
        self.w, self.weights = w, weights
        hidden = [n["units"] for n in w["nodes"][:-1]]
        self.m = self.MLP(hidden, alpha=0.0, learning_rate_init=1e-3, batch_size=w["batch"], random_state=0)

    def param_count(self):
        from peers.params import count

        return count(self.weights)

    def prepare_train(self, x, y):
        self.x, self.y = x["x"], y
        self.classes = np.arange(self.w["classes"])

    def _load(self):
        for i, n in enumerate(self.w["nodes"]):
            p = self.weights[n["name"]]
            if self.m.coefs_[i].shape != p["kernel"].shape:  # two classes: it keeps one logistic output
                continue
            self.m.coefs_[i][...], self.m.intercepts_[i][...] = p["kernel"], p["bias"]

    def train_step(self):
        self.m.partial_fit(self.x, self.y, classes=self.classes)
        return self.m.loss_

    def prepare_infer(self, x):
        self.x = x["x"]
        y = np.arange(max(self.w["classes"], 2)) % self.w["classes"]
        rows = np.zeros((len(y), self.x.shape[1]), np.float32)
        self.m.partial_fit(rows, y, classes=np.arange(self.w["classes"]))
        self._load()

    def infer_step(self):
        return self.m.predict_proba(self.x)
