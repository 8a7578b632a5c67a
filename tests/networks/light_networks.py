"""Small networks node by node, as exporters write them: blocks of a ResNet, a transformer with free sizes, a tagger, detection, decoding."""
import numpy as np
from onnx import TensorProto, helper, numpy_helper

from catalog import Built, network

FLOAT, INT = TensorProto.FLOAT, TensorProto.INT64


class Nodes:
    """A graph that grows; names are made on the way."""

    def __init__(self, opset, seed=0):
        self.opset, self.nodes, self.weights = opset, [], []
        self.random = np.random.default_rng(seed)

    def constant(self, array):
        name = f"c{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def weight(self, *shape):
        return self.constant((self.random.normal(size=shape) / np.sqrt(np.prod(shape[1:]) or 1)).astype(np.float32))

    def ints(self, *values):
        return self.constant(np.array(values, np.int64))

    def add(self, op, *inputs, outputs=1, **attributes):
        names = [f"{op.lower()}{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def built(self, inputs, outputs, feeds):
        """`inputs`: name -> (type, shape); `outputs`: name -> type."""
        infos = [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()]
        results = [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()]
        graph = helper.make_graph(self.nodes, "network", infos, results, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=9)
        return Built(model.SerializeToString(), feeds)

    def normal(self, *shape):
        return self.random.normal(size=shape).astype(np.float32)


def convolution(g, x, channels_in, channels, kernel=3, stride=1, relu=True):
    """Conv -> BatchNormalization -> Relu."""
    pad = kernel // 2
    x = g.add("Conv", x, g.weight(channels, channels_in, kernel, kernel), strides=[stride] * 2, pads=[pad] * 4, kernel_shape=[kernel] * 2)
    scale, shift, mean = (g.constant(g.normal(channels) * 0.1 + offset) for offset in (np.float32(1), np.float32(0), np.float32(0)))
    x = g.add("BatchNormalization", x, scale, shift, mean, g.constant(np.abs(g.normal(channels)) + np.float32(0.5)))
    return g.add("Relu", x) if relu else x


@network("helper", (11, 17, 21))
def residual_blocks(opset):
    g = Nodes(opset)
    x = convolution(g, "x", 3, 8, kernel=7, stride=2)
    x = g.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    for a, b, stride in ((8, 8, 1), (8, 16, 2)):
        y = convolution(g, convolution(g, x, a, b, stride=stride), b, b, relu=False)
        x = x if stride == 1 else convolution(g, x, a, b, kernel=1, stride=2, relu=False)
        x = g.add("Relu", g.add("Add", y, x))
    x = g.add("Flatten", g.add("GlobalAveragePool", x))
    y = g.add("Gemm", x, g.weight(10, 16), g.weight(10), transB=1)
    return g.built({"x": (FLOAT, ["n", 3, "h", "w"])}, {y: FLOAT}, [{"x": g.normal(n, 3, h, w)} for n, h, w in ((2, 32, 40), (1, 48, 32), (3, 33, 35))])


def layer_normalization(g, x, width):
    """As exporters write it before opset 17."""
    if g.opset >= 17:
        return g.add("LayerNormalization", x, g.constant(g.normal(width)), g.constant(g.normal(width)), axis=-1, epsilon=1e-5)
    away = g.add("Sub", x, g.add("ReduceMean", x, axes=[-1]))
    spread = g.add("ReduceMean", g.add("Pow", away, g.constant(np.float32(2))), axes=[-1])
    unit = g.add("Div", away, g.add("Sqrt", g.add("Add", spread, g.constant(np.float32(1e-5)))))
    return g.add("Add", g.add("Mul", unit, g.constant(g.normal(width))), g.constant(g.normal(width)))


def size_of(g, x, axis):
    """As a list of one."""
    return g.add("Unsqueeze", g.add("Gather", g.add("Shape", x), g.constant(np.int64(axis)), axis=0), g.ints(0))


def heads_of(g, x, shape, width, heads, transposed):
    x = g.add("Add", g.add("MatMul", x, g.weight(width, width)), g.constant(g.normal(width) * np.float32(0.1)))
    return g.add("Transpose", g.add("Reshape", x, shape), perm=[0, 2, 3, 1] if transposed else [0, 2, 1, 3])


@network("helper", (13, 17, 21))
def transformer_block(opset):
    """Words and a mask -> embedding, attention with shapes taken from the input, GELU by Erf; batch and length vary."""
    g, width, heads = Nodes(opset), 16, 4
    x = g.add("Gather", g.constant(g.normal(40, width)), "words")
    places = g.add("Slice", g.constant(g.normal(1, 32, width)), g.ints(0), size_of(g, "words", 1), g.ints(1))
    x = layer_normalization(g, g.add("Add", x, places), width)
    batch, length = size_of(g, x, 0), size_of(g, x, 1)
    apart = g.add("Concat", batch, length, g.ints(heads), g.ints(width // heads), axis=0)
    query, key, value = (heads_of(g, x, apart, width, heads, transposed) for transposed in (False, True, False))
    scores = g.add("Div", g.add("MatMul", query, key), g.constant(np.float32(2)))
    hidden = g.add("Sub", g.constant(np.float32(1)), g.add("Cast", g.add("Unsqueeze", "mask", g.ints(1, 2)), to=FLOAT))
    scores = g.add("Add", scores, g.add("Mul", hidden, g.constant(np.float32(-1e4))))
    y = g.add("Transpose", g.add("MatMul", g.add("Softmax", scores, axis=-1), value), perm=[0, 2, 1, 3])
    y = g.add("Reshape", y, g.add("Concat", batch, length, g.ints(width), axis=0))
    x = g.add("Add", x, g.add("MatMul", y, g.weight(width, width)))
    y = g.add("Add", g.add("MatMul", layer_normalization(g, x, width), g.weight(width, 32)), g.constant(g.normal(32)))
    bell = g.add("Add", g.add("Erf", g.add("Div", y, g.constant(np.float32(np.sqrt(2))))), g.constant(np.float32(1)))
    y = g.add("Mul", g.add("Mul", y, bell), g.constant(np.float32(0.5)))
    x = g.add("Add", x, g.add("MatMul", y, g.weight(32, width)))
    feeds = [{"words": g.random.integers(0, 40, size), "mask": (g.random.random(size) < 0.8).astype(np.int64)} for size in ((2, 7), (1, 3), (4, 12))]
    return g.built({"words": (INT, ["batch", "length"]), "mask": (INT, ["batch", "length"])}, {x: FLOAT}, feeds)


@network("helper", (14, 21))
def lstm_words(opset):
    """Both directions, lengths by row."""
    g, width, hidden = Nodes(opset), 6, 5
    x = g.add("Transpose", g.add("Gather", g.constant(g.normal(30, width)), "words"), perm=[1, 0, 2])
    y, h, c = g.add("LSTM", x, g.weight(2, 4 * hidden, width), g.weight(2, 4 * hidden, hidden), g.weight(2, 8 * hidden), "lengths", outputs=3,
                    hidden_size=hidden, direction="bidirectional")
    y = g.add("Reshape", g.add("Transpose", y, perm=[2, 0, 1, 3]), g.ints(0, 0, -1))
    tags = g.add("LogSoftmax", g.add("MatMul", y, g.weight(2 * hidden, 4)), axis=-1)
    feeds = [{"words": g.random.integers(0, 30, (n, t)), "lengths": np.maximum(t - np.arange(n), 1).astype(np.int32)} for n, t in ((3, 6), (1, 4))]
    return g.built({"words": (INT, ["batch", "time"]), "lengths": (TensorProto.INT32, ["batch"])}, {tags: FLOAT, h: FLOAT, c: FLOAT}, feeds)


@network("helper", (13, 18))
def detection_tail(opset):
    """Boxes and scores -> NonMaxSuppression -> the boxes that are left, the best first: all sizes hang on the data."""
    g = Nodes(opset)
    scores = g.add("Transpose", g.add("Sigmoid", "logits"), perm=[0, 2, 1])
    chosen = g.add("NonMaxSuppression", "boxes", scores, g.constant(np.array([20], np.int64)), g.constant(np.array([0.5], np.float32)),
                   g.constant(np.array([0.4], np.float32)))
    box = g.add("Gather", chosen, g.ints(2), axis=1)
    boxes = g.add("GatherND", g.add("Squeeze", "boxes", g.ints(0)), box)
    values = g.add("GatherND", scores, chosen)
    count = g.add("ReduceMin", g.add("Concat", g.add("Shape", values), g.ints(8), axis=0), keepdims=1)
    best, order = g.add("TopK", values, count, outputs=2)
    corners = g.random.random((1, 30, 2)).astype(np.float32)
    feeds = []
    for shift in (0.0, 1.5, -9.0):  # with -9 nothing is found
        boxes_in = np.concatenate([corners, corners + g.random.random((1, 30, 2)).astype(np.float32) * 0.4], 2)
        feeds.append({"boxes": boxes_in.astype(np.float32), "logits": g.normal(1, 30, 3) + np.float32(shift)})
    return g.built({"boxes": (FLOAT, [1, "count", 4]), "logits": (FLOAT, [1, "count", 3])},
                   {g.add("Gather", boxes, order): FLOAT, best: FLOAT, g.add("Gather", chosen, order): INT}, feeds)


@network("helper", (13, 19))
def greedy_decoding(opset):
    """A Loop that takes the most probable word until the end sign, or until the limit that is an input."""
    g = Nodes(opset)
    body = [helper.make_node("Gather", ["table", "word"], ["row"]), helper.make_node("Add", ["row", "state"], ["sum"]),
            helper.make_node("Tanh", ["sum"], ["new_state"]), helper.make_node("MatMul", ["new_state", "head"], ["scores"]),
            helper.make_node("ArgMax", ["scores"], ["next"], axis=-1, keepdims=0), helper.make_node("Equal", ["next", "end"], ["stop"]),
            helper.make_node("Not", ["stop"], ["go_on"]), helper.make_node("Identity", ["next"], ["told"])]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(body, "step", [info("i", INT, []), info("go", TensorProto.BOOL, []), info("word", INT, []), info("state", FLOAT, [6])],
                              [info("go_on", TensorProto.BOOL, []), info("next", INT, []), info("new_state", FLOAT, [6]), info("told", INT, [])])
    for name, array in (("table", g.normal(12, 6)), ("head", g.normal(6, 12)), ("end", np.int64(3))):
        g.weights.append(numpy_helper.from_array(np.asarray(array), name))
    _, state, words = g.add("Loop", "limit", g.constant(np.array(True)), "first", "start", outputs=3, body=graph)
    feeds = [{"limit": np.array(limit, np.int64), "first": np.array(first, np.int64), "start": g.normal(6)} for limit, first in ((9, 1), (4, 5), (0, 2))]
    return g.built({"limit": (INT, []), "first": (INT, []), "start": (FLOAT, [6])}, {words: INT, state: FLOAT}, feeds)


@network("helper", (13, 21))
def windows_of_any_size(opset):
    """Pads an image to whole windows of 4 x 4 and turns each into a row, as Swin does with free height and width."""
    g = Nodes(opset)
    four = g.ints(4)
    short = [g.add("Mod", g.add("Sub", four, g.add("Mod", size_of(g, "x", axis), four)), four) for axis in (2, 3)]
    x = g.add("Pad", "x", g.add("Concat", g.ints(0, 0, 0, 0, 0, 0), *short, axis=0))
    tall, wide = (g.add("Div", size_of(g, x, axis), four) for axis in (2, 3))
    shape = g.add("Concat", size_of(g, x, 0), g.ints(2), tall, four, wide, four, axis=0)
    x = g.add("Transpose", g.add("Reshape", x, shape), perm=[0, 2, 4, 3, 5, 1])
    x = g.add("Reshape", x, g.ints(-1, 32))
    y = g.add("Softmax", g.add("MatMul", x, g.weight(32, 6)), axis=-1)
    total = g.add("ReduceSum", y, g.ints(0), keepdims=0)
    return g.built({"x": (FLOAT, ["n", 2, "h", "w"])}, {y: FLOAT, total: FLOAT}, [{"x": g.normal(n, 2, h, w)} for n, h, w in ((1, 7, 9), (2, 8, 4), (1, 5, 11))])


@network("helper", (13, 21))
def decoder_with_cache(opset):
    """A step of attention over keys and values so far. Three free sizes, of which one is the sum of the others: the largest of each never meet."""
    g, width = Nodes(opset), 8
    x = g.add("Gather", g.constant(g.normal(20, width)), "words")
    before, all_words = size_of(g, "past_key", 1), size_of(g, "mask", 1)
    places = g.add("Range", g.add("Squeeze", before, g.ints(0)), g.add("Squeeze", all_words, g.ints(0)), g.constant(np.int64(1)))
    x = g.add("Add", x, g.add("Gather", g.constant(g.normal(40, width)), places))
    query = g.add("MatMul", x, g.weight(width, width))
    key = g.add("Concat", "past_key", g.add("MatMul", x, g.weight(width, width)), axis=1)
    value = g.add("Concat", "past_value", g.add("MatMul", x, g.weight(width, width)), axis=1)
    scores = g.add("MatMul", query, g.add("Transpose", key, perm=[0, 2, 1]))
    kept = g.add("Cast", g.add("Unsqueeze", "mask", g.ints(1)), to=TensorProto.BOOL)
    y = g.add("MatMul", g.add("Softmax", g.add("Where", kept, scores, g.constant(np.float32(-1e9))), axis=-1), value)
    feeds = []
    for batch, old, new in ((2, 0, 7), (1, 9, 1), (3, 4, 3), (1, 10, 1)):
        past = [g.normal(batch, old, width) for _ in range(2)]
        mask = (g.random.random((batch, old + new)) < 0.8).astype(np.int64)
        feeds.append({"words": g.random.integers(0, 20, (batch, new)), "mask": mask, "past_key": past[0], "past_value": past[1]})
    inputs = {"words": (INT, ["batch", "new"]), "mask": (INT, ["batch", "all"]), "past_key": (FLOAT, ["batch", "before", width]),
              "past_value": (FLOAT, ["batch", "before", width])}
    return g.built(inputs, {y: FLOAT, key: FLOAT, value: FLOAT}, feeds)


@network("helper", (13,))
def positions_between(opset):
    """As many rows as one size is larger than the other: most where neither is at its largest."""
    g = Nodes(opset)
    first, last = (g.add("Squeeze", size_of(g, name, 0), g.ints(0)) for name in ("old", "all"))
    y = g.add("Tanh", g.add("Gather", g.constant(g.normal(20, 3)), g.add("Range", first, last, g.constant(np.int64(1)))))
    feeds = [{"old": g.normal(old), "all": g.normal(everything)} for old, everything in ((9, 10), (0, 8), (5, 5), (2, 9))]
    return g.built({"old": (FLOAT, ["o"]), "all": (FLOAT, ["a"])}, {y: FLOAT}, feeds)
