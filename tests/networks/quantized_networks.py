"""Networks that onnxruntime has quantized to 8 bits: statically, as QLinear ops or between QuantizeLinear and DequantizeLinear, and dynamically.

Sums of bytes are exact, but a result that lies near a tie may fall to either side, and LSTMs are computed on floats here: hence the wider bound.
"""
import logging
import os
import tempfile


from catalog import Built, network
from light_networks import FLOAT, Nodes, lstm_words, transformer_block

ROUNDED = 2e-2


class Feeds:
    """What a static quantization measures on."""

    def __init__(self, feeds):
        self.left = iter(feeds)

    def get_next(self):
        return next(self.left, None)


def quantized(built, how):
    """`how(quantization, path, target, feeds)` writes the quantized model."""
    import onnxruntime.quantization
    logging.getLogger().setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        path, target = os.path.join(folder, "whole.onnx"), os.path.join(folder, "bytes.onnx")
        with open(path, "wb") as file:
            file.write(built.model)
        how(onnxruntime.quantization, path, target, Feeds(built.feeds))
        with open(target, "rb") as file:
            return Built(file.read(), built.feeds)


def static(form, **options):
    def how(quantization, path, target, feeds):
        types = quantization.QuantType
        quantization.quantize_static(path, target, feeds, quant_format=quantization.QuantFormat[form], activation_type=types.QUInt8,
                                     weight_type=types.QInt8, **options)
    return how


def dynamic(quantization, path, target, feeds):
    quantization.quantize_dynamic(path, target, weight_type=quantization.QuantType.QInt8)


@network("onnxruntime", (13, 17), l2=ROUNDED)
def transformer_of_bytes(opset):
    """QLinearMatMul of two tensors, neither of them weights: lengths vary."""
    return quantized(transformer_block(opset), static("QOperator"))


@network("onnxruntime", (17,), l2=ROUNDED)
def transformer_between_bytes(opset):
    return quantized(transformer_block(opset), static("QDQ", per_channel=True))


@network("onnxruntime", (17,), l2=ROUNDED)
def transformer_by_the_way(opset):
    """Each product quantizes what it is given."""
    return quantized(transformer_block(opset), dynamic)


@network("onnxruntime", (14,), l2=ROUNDED)
def words_by_the_way(opset):
    """onnxruntime's DynamicQuantizeLSTM."""
    return quantized(lstm_words(opset), dynamic)


@network("onnxruntime", (17,), l2=ROUNDED)
def sound_between_bytes(opset):
    """Convolutions of a line, strided, then in groups of whose channels a patch is 64 bytes, as wav2vec 2.0 places its positions."""
    g = Nodes(opset)
    x = g.add("Relu", g.add("Conv", "x", g.weight(32, 1, 10), g.weight(32), strides=[5]))
    x = g.add("Relu", g.add("Conv", x, g.weight(32, 32, 3), g.weight(32), strides=[2]))
    y = g.add("Conv", x, g.weight(32, 8, 8), g.weight(32), group=4, pads=[4, 4])
    y = g.add("Slice", y, g.ints(0), g.ints(-1), g.ints(2))
    y = g.add("ReduceMean", g.add("Add", x, g.add("Relu", y)), axes=[2], keepdims=0)
    return quantized(g.built({"x": (FLOAT, ["n", 1, "t"])}, {y: FLOAT}, [{"x": g.normal(n, 1, t)} for n, t in ((2, 400), (1, 700), (1, 650))]),
                     static("QDQ", per_channel=True))


@network("helper", (17,))
def shared_keys(opset):
    """Heads of queries that share one head of keys and values, batches of several and of one: in f32, before anything is quantized."""
    g = Nodes(opset)
    scores = g.add("MatMul", "q", g.add("Transpose", "k", perm=[0, 1, 3, 2]))
    y = g.add("MatMul", g.add("Softmax", g.add("Tanh", scores), axis=-1), "v")
    y = g.add("MatMul", g.add("Concat", y, "q", axis=-1), g.weight(128, 16))
    rows = {name: (FLOAT, ["n", heads, "t", 64]) for name, heads in (("q", 4), ("k", 1), ("v", 1))}
    feeds = [{name: g.normal(n, heads, t, 64) for name, heads in (("q", 4), ("k", 1), ("v", 1))} for n, t in ((3, 70), (1, 70), (2, 9), (1, 5))]
    return g.built(rows, {y: FLOAT, scores: FLOAT}, feeds)
