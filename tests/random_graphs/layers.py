"""Makers of the nodes of neural networks: products, convolutions, pools, normalizations, quantization."""
import numpy as np

from arithmetic import away_from_steps
from builder import Reject


def matmul(b):
    v = b.any_float(1, 4)
    shape = list(v.shape)
    inner, columns = shape[-1], b.choice([1, 2, 3, 5, 8, 16])
    if b.chance(0.3):
        fits = [w for w in b.values() if not w.is_sequence and w.dtype == v.dtype and w.rank == 2 and w.shape[0] == inner]
        if fits:
            return b.emit("MatMul", [v, b.choice(fits)])
    batch = shape[:-2] if b.chance(0.3) else []
    return b.emit("MatMul", [v, b.leaf([*batch, inner, columns] if b.chance(0.9) else [inner], v.dtype, 0.2)])


def gemm(b):
    v = b.any_float(2, 2)
    trans_a, trans_b = b.integer(0, 1), b.integer(0, 1)
    (rows, inner), columns = (v.shape[::-1] if trans_a else v.shape), b.choice([1, 2, 3, 5, 8])
    w = b.leaf([columns, inner] if trans_b else [inner, columns], v.dtype, 0.1)
    attributes = {"transA": trans_a, "transB": trans_b}
    if b.chance(0.3):
        attributes.update(alpha=0.5, beta=b.choice([0.25, 1.0, 0.0]))
    bias = b.leaf(b.choice([[columns], [1], [], [rows, 1], [rows, columns], [1, columns]]), v.dtype, 0.2)
    return b.emit("Gemm", [v, w] if b.chance(0.25) and b.opset >= 11 else [v, w, bias], **attributes)


def image(b, least=3, most=5, channels=None):
    """A tensor of batch, channels and some spatial axes."""
    return b.pick(lambda v: v.dtype == np.float32 and least <= v.rank <= most and 0 not in v.shape and (not channels or v.shape[1] % channels == 0),
                  lambda: b.leaf([b.integer(1, 2), b.choice([1, 2, 4, 8]) * (channels or 1), *[b.integer(3, 9) for _ in range(max(least - 2, b.choice([1, 2, 2])))]]))


def window(b, spatial, kernel_most=3, dilated=True):
    kernel = [b.integer(1, min(kernel_most, d)) for d in spatial]
    attributes = {"kernel_shape": kernel}
    if b.chance(0.5):
        attributes["strides"] = [b.integer(1, 2) for _ in spatial]
    if dilated and b.chance(0.2):
        attributes["dilations"] = [b.integer(1, 2) if 2 * k - 1 <= d else 1 for k, d in zip(kernel, spatial)]
    if b.chance(0.25):
        attributes["auto_pad"] = b.choice(["SAME_UPPER", "SAME_LOWER", "VALID"])
        attributes.pop("dilations", None)
    elif b.chance(0.6):
        attributes["pads"] = [b.integer(0, k - 1) for k in kernel * 2]
    return attributes


def conv(b, v=None):
    v = v or image(b)
    channels = v.shape[1]
    groups = b.choice([1, 1, channels] + [g for g in (2,) if channels % 2 == 0])
    out = groups * b.choice([1, 2, 3])
    attributes = window(b, v.shape[2:])
    w = b.leaf([out, channels // groups, *attributes["kernel_shape"]], v.dtype, 0.1)
    if b.chance(0.2):
        del attributes["kernel_shape"]
    if groups > 1 or b.chance(0.2):
        attributes["group"] = groups
    return b.emit("Conv", [v, w] + [b.leaf([out], v.dtype, 0.1)] * b.chance(0.6), **attributes)


def conv_transpose(b):
    v = image(b, 3, 4)
    attributes = window(b, [3] * (v.rank - 2))
    attributes.pop("auto_pad", None)
    out = b.choice([1, 2, 3])
    w = b.leaf([v.shape[1], out, *attributes["kernel_shape"]], v.dtype, 0.1)
    return b.emit("ConvTranspose", [v, w] + [b.leaf([out], v.dtype, 0.1)] * b.chance(0.5), **attributes)


def pool(b):
    v = image(b)
    op = b.choice(["MaxPool", "AveragePool", "MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool"])
    if op.startswith("Global"):
        return b.emit(op, [v])
    dilated = b.opset >= {"MaxPool": 10, "AveragePool": 19, "LpPool": 18}[op]
    attributes = window(b, v.shape[2:], dilated=dilated)
    if op != "LpPool" and b.opset >= 10 and b.chance(0.3) and "auto_pad" not in attributes:
        attributes["ceil_mode"] = 1
    if op == "AveragePool" and b.chance(0.5):
        attributes["count_include_pad"] = b.integer(0, 1)
    indices = op == "MaxPool" and b.opset >= 8 and b.chance(0.2)
    return b.emit(op, [v], 2 if indices else 1, **attributes)


def batch_norm(b, v=None):
    v = v or b.pick(lambda v: v.dtype == np.float32 and v.rank >= 2 and 0 not in v.shape, lambda: image(b))
    c = v.shape[1]
    def numbers(low, high):
        return b.const(b.rng.uniform(low, high, [c]).astype(np.float32))
    attributes = {"epsilon": 1e-3} if b.chance(0.5) else {}
    return b.emit("BatchNormalization", [v, numbers(0.5, 1.5), numbers(-1, 1), numbers(-1, 1), numbers(0.5, 2)], **attributes)


def normalize(b):
    op = b.choice(["LayerNormalization", "LayerNormalization", "InstanceNormalization", "GroupNormalization", "LRN", "LpNormalization",
                   "MeanVarianceNormalization", "RMSNormalization"])
    if op in ("LayerNormalization", "RMSNormalization"):
        v = b.any_float(1)
        axis = b.integer(-v.rank, -1)
        shape = list(v.shape[axis:])
        if np.prod(shape) < 2 or v.array.std() < 0.05:
            raise Reject("no variance")
        bias = [b.leaf(shape, v.dtype, 0.1)] if op[0] == "L" and b.chance(0.7) else []
        return b.emit(op, [v, b.leaf(shape, v.dtype, 0.1), *bias], axis=axis, epsilon=1e-3)
    if op == "MeanVarianceNormalization" and b.opset < 9:
        raise Reject("onnxruntime has one that ONNX has not")
    v = image(b, 4 if op in ("LRN", "MeanVarianceNormalization") else 3, 4, channels=2 if op == "GroupNormalization" else None)
    if op == "InstanceNormalization":
        return b.emit(op, [v, b.leaf([v.shape[1]]), b.leaf([v.shape[1]])], epsilon=1e-2)
    if op == "GroupNormalization":
        size = v.shape[1] if b.opset >= 21 else 2
        return b.emit(op, [v, b.leaf([size]), b.leaf([size])], num_groups=2, epsilon=1e-2)
    if op == "LRN":
        return b.emit(op, [v], size=b.choice([1, 3, 5]), alpha=0.01)
    if v.array.std() < 0.05 or min(v.shape[2:]) < 2:
        raise Reject("no variance")
    return b.emit(op, [v], **({"axis": b.integer(-1, v.rank - 1), "p": b.integer(1, 2)} if op[0] == "L" else {}))


def dropout(b):
    v = b.any_float()
    if b.opset < 12:
        return b.emit("Dropout", [v], **({"ratio": 0.3} if b.chance(0.6) else {}))  # its mask is not defined yet
    ratio = b.const(np.asarray(0.4, np.float32), fixed=True) if b.chance(0.6) else None
    training = b.const(np.asarray(False), fixed=True) if b.chance(0.3) else None
    return b.emit("Dropout", [v, ratio, training][:1 + (ratio is not None or training is not None) + (training is not None)], b.choice([[True], [True, True]]))


def einsum(b):
    v = b.tensor(2, 3)
    letters = "abc"[:v.rank]
    w = b.leaf([v.shape[-1], 3])
    return b.emit("Einsum", [v, w], equation=b.choice([f"{letters},{letters[-1]}d->{letters[:-1]}d", f"{letters},{letters[-1]}d->d{letters[:-1]}"]))


def recurrent(b):
    v = b.pick(lambda v: v.dtype == np.float32 and v.rank == 3 and 0 not in v.shape, lambda: b.leaf([b.integer(1, 4), b.integer(1, 2), b.integer(1, 4)]))
    op, gates = b.choice([("LSTM", 4), ("GRU", 3), ("RNN", 1)])
    directions, hidden = b.choice([("forward", 1), ("reverse", 1), ("bidirectional", 2)]), b.integer(1, 4)
    def weights(*shape):
        return b.const(b.rng.uniform(-0.5, 0.5, [directions[1], *shape]).astype(np.float32))
    inputs = [v, weights(gates * hidden, v.shape[2]), weights(gates * hidden, hidden)]
    if b.chance(0.6):
        inputs.append(weights(2 * gates * hidden))
        if b.chance(0.4):
            inputs += [None, b.leaf([directions[1], v.shape[1], hidden])]
    attributes = {"linear_before_reset": 1} if op == "GRU" and b.chance(0.5) else {}
    flags = b.choice([[True], [True, True], [False, True]] + [[True, True, True], [True, False, True]] * (op == "LSTM"))
    return b.emit(op, inputs, flags, hidden_size=hidden, direction=directions[0], **attributes)


def quantized(b, v, dtype=None):
    """QuantizeLinear of a value: its output, the scale and the zero point."""
    dtype = dtype or b.choice([np.uint8, np.int8])
    scale = np.float32(max(float(np.abs(v.array).max()) if v.array.size else 1, 0.1) / b.choice([60, 100, 127]))
    zero = dtype(b.choice([0, 3]) if dtype == np.int8 else 128)
    away_from_steps(v, 0.5, float(scale))
    scale, zero = b.const(scale, fixed=True), b.const(zero, fixed=True)
    return b.emit("QuantizeLinear", [v, scale, zero])[0], scale, zero


def quantize_dequantize(b, v=None):
    if b.opset < 10:
        raise Reject("no quantization yet")
    q, scale, zero = quantized(b, v or b.tensor(0, 5))
    d = b.emit("DequantizeLinear", [q, scale, zero])
    return d + (b.emit("DequantizeLinear", [q, scale, zero]) if b.chance(0.2) else [])


def integer_product(b):
    v = b.tensor(2, 3, b.choice([np.uint8, np.int8]))
    w = b.leaf([v.shape[-1], b.integer(1, 5)], b.choice([np.uint8, np.int8]), 0.1)
    return b.emit("MatMulInteger", [v, w] + [b.const(np.asarray(2, v.dtype), fixed=True)] * b.chance(0.5))


def dynamic_quantize(b):
    return b.emit("DynamicQuantizeLinear", [b.tensor(1, 4)], 3)


MAKERS = [(matmul, 4), (gemm, 3), (conv, 3), (conv_transpose, 1), (pool, 3), (batch_norm, 2), (normalize, 3), (dropout, 1.5), (einsum, 1), (recurrent, 1.5),
          (quantize_dequantize, 2), (integer_product, 0.7)]
