import sys

import numpy as np
from tinygrad import Tensor, TinyJit, nn
from tinygrad.helpers import Context

d = np.load(sys.argv[1])
x, y = d["x"], d["y"]
l1, l2 = nn.Linear(64, 128), nn.Linear(128, 10)
opt = nn.optim.Adam([l1.weight, l1.bias, l2.weight, l2.bias], lr=1e-3)


@TinyJit
def step(a, b):
    opt.zero_grad()
    loss = l2(l1(a).relu()).sparse_categorical_crossentropy(b)
    loss.backward()
    return loss.realize(*opt.schedule_step())


perm = np.random.default_rng(0).permutation(len(x))
with Context(TRAINING=1):
    for i in range(0, len(x) - 31, 32):
        b = perm[i : i + 32]
        step(Tensor(x[b]).realize(), Tensor(y[b]).realize())
print("accuracy %.3f" % (l2(l1(Tensor(x)).relu()).argmax(1).numpy() == y).mean())
