"""Every workload, once, as plain data: inputs, a list of layer nodes, loss, batch size.

A workload is a dict:
  name, batch, loss ("softmax_ce" on integer labels | "bce" on 0/1 labels | "mse" on numbers like the output), classes,
  train (False: inference only), infer_batches,
  inputs: {name: {"shape": per-sample shape, channels last, "dtype": "float32"|"int32", "vocab": n}}; () is a number
  nodes:  a list of dicts {"op", "name", "in": [names], ...attributes}, in topological order;
          the last node is the output and holds logits (no softmax or sigmoid); labels have its shape but for the classes.

Layer semantics (the canonical layouts are those of params.py):
  dense(units, act, bias)              conv2d(filters, kernel, stride, pad, act, bias)
  conv1d(filters, kernel, stride, pad, act, bias)   depthwise2d(kernel, stride, pad, bias)
       pad is an int: that many zeros on both sides of each spatial axis
  conv2d_transpose(filters, kernel, stride, act, bias)  padding "same": the output is the input's size times the stride
  maxpool2d(size, stride, pad)  maxpool1d(size)  gap2d (mean over height, width)  gap1d (mean over time)
  flatten (row-major over height, width, channel)   batchnorm(eps, momentum: kept share)
  layernorm(eps)   relu   relu6   add (2 inputs)   concat (last axis)   sum (n inputs)
  lstm(units, seq)  gates i,f,g,o; tanh/sigmoid; one bias; seq: whole sequence or last output
  bilstm(units)     last outputs of a forward and a backward LSTM, concatenated
  gru(units, seq, reset_after)  gates z,r,h; tanh/sigmoid; z keeps the state; two biases (input, recurrent), or one if the
       reset gate comes before the recurrent product
  embedding(vocab, dim)    pos_embedding(length, dim): adds a learned table to its input
  mha(heads)        multi-head self-attention with biases, head size dim/heads
  column(index)     one column of a 2-D integer input
  time_distributed(nodes)  the nested nodes on every time step; their first "in" is "@"
"""

ADAM = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-7}
F32 = "float32"
I32 = "int32"


class _G:
    """Appends nodes; a convenience for writing the data below, not part of it."""

    def __init__(self, first):
        self.nodes, self.last = [], first

    def __call__(self, op, src=None, **attrs):
        src = self.last if src is None else src
        name = "%s_%d" % (op, len(self.nodes))
        node = {"op": op, "name": name, "in": [src] if isinstance(src, str) else list(src)}
        node.update(attrs)
        self.nodes.append(node)
        self.last = name
        return name

    def dense(self, units, act=None, src=None, bias=True):
        return self("dense", src, units=units, act=act, bias=bias)

    def conv(self, filters, kernel, stride=1, pad=0, act=None, bias=True, src=None):
        return self("conv2d", src, filters=filters, kernel=kernel, stride=stride, pad=pad, act=act, bias=bias)

    def up(self, filters, kernel, act=None, src=None):
        return self("conv2d_transpose", src, filters=filters, kernel=kernel, stride=2, act=act, bias=True)

    def bn(self, src=None):
        return self("batchnorm", src, eps=1e-3, momentum=0.99)


def _w(name, batch, inputs, g, loss, classes, train=True, infer_batches=(1,)):
    return {
        "name": name,
        "batch": batch,
        "inputs": inputs,
        "nodes": g.nodes,
        "loss": loss,
        "classes": classes,
        "train": train,
        "infer_batches": list(infer_batches),
    }


def _mlp():
    g = _G("x")
    g.dense(512, "relu"), g.dense(512, "relu"), g.dense(10)
    return _w("mlp", 128, {"x": {"shape": [784], "dtype": F32}}, g, "softmax_ce", 10)


def _lenet():
    g = _G("x")
    g.conv(32, 5, pad=2, act="relu")
    g("maxpool2d", size=2, stride=2, pad=0)
    g.conv(64, 5, pad=2, act="relu")
    g("maxpool2d", size=2, stride=2, pad=0)
    g("flatten")
    g.dense(1024, "relu"), g.dense(10)
    return _w("lenet", 64, {"x": {"shape": [28, 28, 1], "dtype": F32}}, g, "softmax_ce", 10)


def _resnet20():
    g = _G("x")
    g.conv(16, 3, pad=1, bias=False), g.bn()
    x = g("relu")
    for stage, width in enumerate((16, 32, 64)):
        for block in range(3):
            stride = 2 if stage and not block else 1
            short = x
            g.conv(width, 3, stride, 1, bias=False, src=x), g.bn(), g("relu")
            g.conv(width, 3, 1, 1, bias=False)
            y = g.bn()
            if stride == 2:
                g.conv(width, 1, 2, 0, bias=False, src=short)
                short = g.bn()
            g("add", [y, short])
            x = g("relu")
    g("gap2d"), g.dense(10)
    return _w("resnet20", 64, {"x": {"shape": [32, 32, 3], "dtype": F32}}, g, "softmax_ce", 10)


def _lstm():
    g = _G("x")
    g("lstm", units=128, seq=False), g.dense(10)
    return _w("lstm", 64, {"x": {"shape": [100, 32], "dtype": F32}}, g, "softmax_ce", 10)


def _sentiment():
    g = _G("x")
    g("embedding", vocab=20000, dim=128), g("bilstm", units=64), g.dense(1)
    return _w("sentiment", 32, {"x": {"shape": [200], "dtype": I32, "vocab": 20000}}, g, "bce", 2)


def _cnn_lstm_series():
    g = _G("x")
    g("conv1d", filters=64, kernel=5, stride=1, pad=0, act="relu", bias=True)
    g("conv1d", filters=64, kernel=5, stride=1, pad=0, act="relu", bias=True)
    g("maxpool1d", size=2), g("lstm", units=128, seq=False), g.dense(6)
    return _w("cnn_lstm_series", 64, {"x": {"shape": [128, 9], "dtype": F32}}, g, "softmax_ce", 6)


def _transformer():
    d, length = 256, 128
    g = _G("x")
    g("embedding", vocab=8000, dim=d)
    x = g("pos_embedding", length=length, dim=d)
    for _ in range(4):
        a = g("mha", x, heads=4)
        g("add", [x, a])
        x = g("layernorm", eps=1e-5)
        g.dense(1024, "relu"), g.dense(d)
        g("add", [x, g.last])
        x = g("layernorm", eps=1e-5)
    g("gap1d"), g.dense(2)
    return _w("transformer", 16, {"x": {"shape": [length], "dtype": I32, "vocab": 8000}}, g, "softmax_ce", 2)


def _attention():
    """Attention over long texts, with nothing but normalisation between."""
    d, length = 256, 512
    g = _G("x")
    g("embedding", vocab=8000, dim=d)
    x = g("pos_embedding", length=length, dim=d)
    for _ in range(3):
        g("add", [x, g("mha", x, heads=4)])
        x = g("layernorm", eps=1e-5)
    g("gap1d"), g.dense(2)
    return _w("attention_512", 8, {"x": {"shape": [length], "dtype": I32, "vocab": 8000}}, g, "softmax_ce", 2)


def _mobilenet():
    """MobileNetV2 for small images: inverted residuals (expansion, filters, stride)."""
    g = _G("x")
    g.conv(32, 3, pad=1, bias=False), g.bn()
    x, width = g("relu6"), 32
    blocks = [(1, 16, 1), (6, 24, 2), (6, 24, 1), (6, 32, 2), (6, 32, 1), (6, 64, 2), (6, 64, 1)]
    for expansion, filters, stride in blocks:
        short = x
        if expansion != 1:
            g.conv(expansion * width, 1, bias=False, src=x), g.bn(), g("relu6")
        g("depthwise2d", kernel=3, stride=stride, pad=1, bias=False), g.bn(), g("relu6")
        g.conv(filters, 1, bias=False)
        x = g.bn()
        if stride == 1 and width == filters:
            x = g("add", [short, x])
        width = filters
    g.conv(256, 1, bias=False), g.bn(), g("relu6")
    g("gap2d"), g.dense(10)
    return _w("mobilenet", 64, {"x": {"shape": [32, 32, 3], "dtype": F32}}, g, "softmax_ce", 10)


def _autoencoder():
    g = _G("x")
    for filters in (32, 64, 128):
        g.conv(filters, 4, 2, 1, act="relu")
    for filters in (64, 32):
        g.up(filters, 4, act="relu")
    g.up(3, 4)
    return _w("autoencoder", 64, {"x": {"shape": [32, 32, 3], "dtype": F32}}, g, "mse", 0)


def _unet():
    """A class for each pixel."""
    g = _G("x")
    shorts = []
    for filters in (16, 32, 64):
        g.conv(filters, 3, pad=1, act="relu")
        shorts.append(g.conv(filters, 3, pad=1, act="relu"))
        g("maxpool2d", size=2, stride=2, pad=0)
    g.conv(128, 3, pad=1, act="relu")
    for filters, short in zip((64, 32, 16), reversed(shorts), strict=True):
        g("concat", [g.up(filters, 3, act="relu"), short])
        g.conv(filters, 3, pad=1, act="relu")
    g.conv(5, 1)
    return _w("unet", 16, {"x": {"shape": [64, 64, 3], "dtype": F32}}, g, "softmax_ce", 5)


def _gru(name, reset_after):
    g = _G("x")
    for seq in (True, False):
        g("gru", units=128, seq=seq, reset_after=reset_after)
    g.dense(10)
    return _w(name, 64, {"x": {"shape": [64, 32], "dtype": F32}}, g, "softmax_ce", 10)


def _wide():
    """Wide and deep: embeddings of categories, a tower of dense layers, and one weight a category beside it."""
    g = _G("x")
    tables = [(100_000, 16), (100_000, 32), (50_000, 32), (20_000, 64), (10_000, 64), (10_000, 16)]
    inputs = {f"c{i}": {"shape": [], "dtype": I32, "vocab": vocab} for i, (vocab, _) in enumerate(tables)}
    inputs["x"] = {"shape": [13], "dtype": F32}
    deep = [g("embedding", f"c{i}", vocab=vocab, dim=dim) for i, (vocab, dim) in enumerate(tables)]
    wide = [g("embedding", f"c{i}", vocab=vocab, dim=1) for i, (vocab, _) in enumerate(tables)]
    g("concat", [*deep, "x"])
    g.dense(256, "relu"), g.dense(128, "relu")
    g("add", [g.dense(1), *wide, g.dense(1, src="x", bias=False)])
    return _w("wide", 256, inputs, g, "bce", 2)


def _dense(name, batch, sizes, classes=10):
    """An MLP of other widths."""
    g = _G("x")
    for n in sizes[1:]:
        g.dense(n, "relu")
    g.dense(classes)
    return _w(name, batch, {"x": {"shape": [sizes[0]], "dtype": F32}}, g, "softmax_ce", classes)


def _cnn(name, batch, shape, blocks, kernel, pool=True):
    """Convolutions, each with batch normalisation, relu and perhaps pooling."""
    g = _G("x")
    for filters in blocks:
        g.conv(filters, kernel, pad=kernel // 2, bias=False), g.bn(), g("relu")
        if pool:
            g("maxpool2d", size=2, stride=2, pad=0)
    g("gap2d"), g.dense(10)
    return _w(name, batch, {"x": {"shape": list(shape), "dtype": F32}}, g, "softmax_ce", 10)


def _recurrent(name, batch, length, features, units, layers=1):
    """LSTMs over series of other lengths."""
    g = _G("x")
    for i in range(layers):
        g("lstm", units=units, seq=i + 1 < layers)
    g.dense(5)
    return _w(name, batch, {"x": {"shape": [length, features], "dtype": F32}}, g, "softmax_ce", 5)


MAIN = [_mlp(), _lenet(), _resnet20(), _lstm(), _sentiment(), _cnn_lstm_series(), _transformer()]

MORE = [
    _mobilenet(),
    _autoencoder(),
    _unet(),
    _gru("gru", True),
    _gru("gru_reset_before", False),
    _wide(),
    _attention(),
]
"""What the layers beside those of the list above cost, in whole networks."""

VARIANTS = [
    _dense("mlp_small", 32, (32, 64, 64), 2), _dense("mlp_odd", 100, (300, 333, 77, 129)), _dense("mlp_wide", 256, (1024, 2048)),
    _dense("mlp_few_rows", 7, (784, 1000, 300)), _dense("mlp_deep", 64, (128,) * 9),
    _cnn("cnn_3_channels", 32, (32, 32, 3), (24, 40, 72), 3), _cnn("cnn_odd_image", 16, (45, 37, 1), (20, 50), 5),
    _cnn("cnn_few_filters", 64, (28, 28, 1), (8, 12), 3), _cnn("cnn_many_filters", 8, (14, 14, 128), (256, 256), 3, pool=False),
    _cnn("cnn_large_image", 4, (112, 112, 3), (32, 64, 64), 3), _cnn("cnn_7x7", 16, (40, 40, 3), (48, 48), 7),
    _recurrent("lstm_short", 32, 24, 9, 50), _recurrent("lstm_few_rows", 8, 200, 16, 64), _recurrent("lstm_wide", 128, 50, 64, 256),
    _recurrent("lstm_two", 64, 60, 12, 100, layers=2), _recurrent("lstm_tiny", 16, 30, 4, 16),
]  # fmt: skip
"""The same kinds of network in other sizes: what is fast for the list above has to be fast for the class."""

WORKLOADS = {w["name"]: w for w in (*MAIN, *MORE, *VARIANTS)}
