import sys

import numpy as np
import torch
from torch import nn

torch.set_num_threads(int(sys.argv[2]))
torch.manual_seed(0)
d = np.load(sys.argv[1])
x, y = torch.from_numpy(d["x"]), torch.from_numpy(d["y"]).long()
model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
opt, lossf = torch.optim.Adam(model.parameters(), 1e-3), nn.CrossEntropyLoss()
perm = torch.randperm(len(x))
for i in range(0, len(x), 32):
    b = perm[i : i + 32]
    opt.zero_grad()
    loss = lossf(model(x[b]), y[b])
    loss.backward()
    opt.step()
with torch.no_grad():
    print("accuracy %.3f" % (model(x).argmax(1) == y).float().mean().item())
