import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax

d = np.load(sys.argv[1])
x, y = d["x"], d["y"]
k = jax.random.split(jax.random.key(0), 2)
params = [
    (jax.random.normal(k[0], (64, 128)) * 0.125, jnp.zeros(128)),
    (jax.random.normal(k[1], (128, 10)) * 0.088, jnp.zeros(10)),
]


def net(p, x):
    return jax.nn.relu(x @ p[0][0] + p[0][1]) @ p[1][0] + p[1][1]


opt = optax.adam(1e-3)
state = opt.init(params)


@jax.jit
def step(p, s, x, y):
    g = jax.grad(lambda p: optax.softmax_cross_entropy_with_integer_labels(net(p, x), y).mean())(p)
    u, s = opt.update(g, s)
    return optax.apply_updates(p, u), s


perm = np.random.default_rng(0).permutation(len(x))
for i in range(0, len(x), 32):  # the short last batch compiles once more
    b = perm[i : i + 32]
    params, state = step(params, state, x[b], y[b])
print("accuracy %.3f" % (net(params, x).argmax(1) == y).mean())
