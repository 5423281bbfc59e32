import sys
import warnings

import numpy as np
from sklearn.neural_network import MLPClassifier

warnings.simplefilter("ignore")
d = np.load(sys.argv[1])
m = MLPClassifier((128,), batch_size=32, max_iter=1, random_state=0).fit(d["x"], d["y"])
print("accuracy %.3f" % m.score(d["x"], d["y"]))
