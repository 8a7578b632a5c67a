"""Subgraphs that optimizers look for, with their inner tensors left in the pool, so that others read them too; and subgraphs with bodies."""
import math

import numpy as np
from onnx import helper

from arithmetic import clip, partner, reduce, shuffled, within
from builder import Reject, element_type, type_of
from layers import batch_norm, conv, image, matmul, quantize_dequantize, quantized
from movement import unsqueeze


def number(b, like, x):
    return b.const(np.asarray(x, like.dtype) if b.chance(0.7) else np.full([1], x, like.dtype), fixed=True)


def activation(b, v):
    op = b.choice(["Relu", "Relu", "Sigmoid", "Tanh", "LeakyRelu", "Clip", "HardSwish", "Elu", "Gelu", "Silu", "HardSigmoid", "Softplus", "Mish"])
    if op == "Clip":
        return clip(b, v, 0, 6)
    if op == "Silu":
        return b.emit("Mul", [v, b.emit("Sigmoid", [v])[0]])[0]
    return b.emit(op, [v])[0]


def conv_block(b):
    """Conv, BatchNormalization, bias, residual and activation, each of them or not."""
    v = image(b, 3, 4)
    y = conv(b, v)[0]
    if b.chance(0.6):
        y = batch_norm(b, y)[0]
    if b.chance(0.3):
        y = b.emit(b.choice(["Add", "Mul", "Sub"]), [y, b.leaf([1, y.shape[1]] + [1] * (y.rank - 2) if b.chance(0.7) else [1] * y.rank)])[0]
    if b.chance(0.3):
        y = b.emit("Add", [y, v] if v.shape == y.shape else [y, b.leaf(y.shape)])[0]
    return [activation(b, y)]


def dense_block(b):
    y = matmul(b)[0]
    if y.rank and b.chance(0.85):
        bias = b.leaf(b.choice([[y.shape[-1]], [y.shape[-1]], [1], y.shape, [1, y.shape[-1]]]), y.dtype, 0.2)
        y = b.emit("Add", [y, bias] if b.chance(0.6) else [bias, y])[0]
    if b.chance(0.4):
        other = b.leaf(y.shape, y.dtype) if b.chance(0.4) else partner(b, y)
        y = b.emit("Add", [y, other] if b.chance(0.5) else [other, y])[0]
    return [activation(b, y)]


def mean_of(b, v, axes):
    """ReduceMean over some of the last axes, as the opset has it."""
    if b.opset >= 18:
        return b.emit("ReduceMean", [v, b.ints(axes)])[0]
    return b.emit("ReduceMean", [v], axes=axes if b.opset >= 11 else [a % v.rank for a in axes])[0]


def last_axes(b, v):
    count = 2 if v.rank > 1 and b.chance(0.2) else 1
    axes = [a if b.chance(0.7) else a + v.rank for a in range(-count, 0)]
    return [axes[i] for i in b.rng.permutation(count)], v.shape[v.rank - count:]


def square_of(b, v):
    return b.emit("Pow", [v, number(b, v, 2)])[0] if b.chance(0.7) else b.emit("Mul", [v, v])[0]


def over_root(b, v, square):
    """v / sqrt(square)"""
    if b.chance(0.6):
        return b.emit("Div", [v, b.emit("Sqrt", [square])[0]])[0]
    if b.chance(0.2):
        inverse = b.emit("Pow", [square, number(b, square, -0.5)])[0]
    else:
        root = b.emit("Sqrt", [square])[0]
        inverse = b.emit("Reciprocal", [root])[0] if b.chance(0.5) else b.emit("Div", [number(b, v, 1), root])[0]
    return b.emit("Mul", [v, inverse] if b.chance(0.5) else [inverse, v])[0]


def times_row(b, y, row):
    shape = b.choice([row, row, row, [1, *row], row[-1:], [1]])
    scale = b.leaf(shape, y.dtype, 0.1)
    return b.emit("Mul", [y, scale] if b.chance(0.5) else [scale, y])[0]


def layer_norm(b):
    v = b.any_float(1, 4)
    axes, row = last_axes(b, v)
    if v.shape[-1] < 2 or v.array.size == 0 or v.array.std(-1).min() < 0.05:
        raise Reject("no variance")
    twice, centred = b.chance(0.2), b.emit("Sub", [v, mean_of(b, v, axes)])[0]
    other = b.emit("Sub", [v, mean_of(b, v, axes)])[0] if twice else centred
    variance = b.emit("Add", [mean_of(b, square_of(b, other), axes), number(b, v, 1e-3)])[0]
    y = over_root(b, centred, variance)
    y = times_row(b, y, row) if b.chance(0.8) else y
    return b.emit("Add", [y, b.leaf(row, v.dtype, 0.1)]) if b.chance(0.8) else [y]


def scaled(b, v, factor):
    """v * factor, spelled by Mul from either side or by Div."""
    if b.chance(0.4):
        return b.emit("Div", [v, number(b, v, 1 / factor)])[0]
    by = number(b, v, factor)
    return b.emit("Mul", [v, by] if b.chance(0.6) else [by, v])[0]


def off(b, x):
    """Mostly x; now and then a number that spoils the formula."""
    return x * b.choice([0.5, 1.1, 1.01]) if b.chance(0.06) else x


def product(b, factors, times):
    """The product of two values and a number, in some association."""
    one, two = factors if b.chance(0.5) else factors[::-1]
    kind = b.choice(["first", "second", "last"])
    if kind == "first":
        one = scaled(b, one, times)
    elif kind == "second":
        two = scaled(b, two, times)
    y = b.emit("Mul", [one, two])[0]
    return [scaled(b, y, times)] if kind == "last" else [y]


def gelu(b):
    v = within(b, b.any_float(), -8, 8)
    if b.chance(0.5):
        inner = b.emit("Erf", [scaled(b, v, off(b, math.sqrt(0.5)))])[0]
    else:
        inner = b.emit("Tanh", [tanh_angle(b, v)])[0]
    plus = b.emit("Add", [inner, number(b, v, off(b, 1))])[0]
    return product(b, [v, plus], off(b, 0.5))


def tanh_angle(b, v):
    if b.chance(0.2):  # x * (1 + c x^2)
        square = b.emit("Add", [scaled(b, b.emit("Mul", [v, v])[0], off(b, 0.044715)), number(b, v, 1)])[0]
        return product(b, [v, square], math.sqrt(2 / math.pi))[0]
    kind = b.choice(["pow", "pow", "cube", "square"])
    cube = b.emit("Pow", [v, number(b, v, 2 if kind == "square" else 3)])[0] if kind != "cube" else b.emit("Mul", [b.emit("Mul", [v, v])[0], v])[0]
    cube = b.emit("Mul", [cube, v])[0] if kind == "square" else cube
    sum_ = b.emit("Add", [v, scaled(b, cube, off(b, 0.044715))] if b.chance(0.6) else [scaled(b, cube, off(b, 0.044715)), v])[0]
    return scaled(b, sum_, off(b, math.sqrt(2 / math.pi)))


def swish(b):
    v = within(b, b.any_float(), -8, 8)
    other = b.emit("Identity", [v])[0] if b.chance(0.1) else v
    gate = b.emit("Sigmoid", [scaled(b, v, b.choice([1.702, 0.5, -1, 2])) if b.chance(0.4) else other])[0]
    return b.emit("Mul", [v, gate] if b.chance(0.5) else [gate, v])


def mish(b):
    v = within(b, b.any_float(), -8, 8)
    return b.emit("Mul", [v, b.emit("Tanh", [b.emit("Softplus", [v])[0]])[0]])


def attention(b):
    v = b.pick(lambda v: v.dtype == np.float32 and v.rank == 3 and 0 not in v.shape, lambda: b.leaf([b.integer(1, 2), b.integer(1, 5), 8]))
    width, heads = v.shape[2], b.choice([1, 2])
    if width % heads:
        raise Reject("heads do not divide the width")
    def project():
        y = b.emit("MatMul", [v, b.leaf([width, width], v.dtype, 0)])[0]
        y = b.emit("Add", [y, b.leaf([width], v.dtype, 0)])[0] if b.chance(0.7) else y
        y = b.emit("Reshape", [y, b.ints([0, 0, heads, width // heads])])[0]
        return y
    q, k, value = b.emit("Transpose", [project()], perm=[0, 2, 1, 3])[0], project(), b.emit("Transpose", [project()], perm=[0, 2, 1, 3])[0]
    k = b.emit("Transpose", [k], perm=[0, 2, 3, 1])[0]
    scores = b.emit("MatMul", [q, k])[0]
    scores = b.emit("Div", [scores, number(b, v, math.sqrt(width // heads))])[0] if b.chance(0.6) else b.emit("Mul", [scores, number(b, v, 0.5)])[0]
    if b.chance(0.5):
        scores = b.emit("Add", [scores, b.leaf([v.shape[0], 1, 1, v.shape[1]] if b.chance(0.7) else [v.shape[1]] * 2)])[0]
    weights = b.emit("Softmax", [scores], axis=3)[0]
    y = b.emit("Transpose", [b.emit("MatMul", [weights, value])[0]], perm=[0, 2, 1, 3])[0]
    return b.emit("Reshape", [y, b.ints([0, 0, width])])


def rms_norm(b):
    v = b.any_float(1, 4)
    axes, row = last_axes(b, v)
    if v.array.size == 0:
        raise Reject("the mean of nothing is not defined")
    mean = b.emit("Add", [mean_of(b, square_of(b, v), axes), number(b, v, 1e-2)])[0]
    y = over_root(b, v, mean)
    return [times_row(b, y, row)] if b.chance(0.8) else [y]


def hard_swish(b):
    v = b.any_float()
    if b.chance(0.3):
        return b.emit("Mul", [v, b.emit("HardSigmoid", [v], alpha=off(b, 1 / 6), beta=0.5)[0]])
    if b.chance(0.2):
        return b.emit("Mul", [v, clip(b, b.emit("Add", [scaled(b, v, 1 / 6), number(b, v, 0.5)])[0], 0, 1)])
    shifted = b.emit("Add", [v, number(b, v, off(b, 3))])[0]
    if b.chance(0.3):
        gate = b.emit("Min", [b.emit("Relu", [shifted])[0], number(b, v, 6)])[0]
    else:
        gate = clip(b, shifted, 0, off(b, 6))
    return product(b, [v, gate], 1 / 6)


def quantized_layer(b):
    """QDQ around a product or convolution; also around its weight."""
    v = b.tensor(2, 4)
    d = quantize_dequantize(b, v)[0]
    y = conv(b, d)[0] if d.rank >= 3 and 0 not in d.shape and b.chance(0.5) else b.emit("MatMul", [d, quantize_dequantize(b, b.leaf([d.shape[-1], 3], input_share=0))[0]])[0]
    y = activation(b, y) if b.chance(0.5) else y
    return quantize_dequantize(b, y) if b.chance(0.7) else [y]


def quantized_region(b):
    """DequantizeLinear, movement or arithmetic, QuantizeLinear; what lies between is now and then read by others, or the same integers twice."""
    v = b.any_float(2, 4)
    if v.dtype != np.float32 or 0 in v.shape or b.opset < 10:
        raise Reject("quantized from f32, and something")
    q, scale, zero = quantized(b, v)
    d = b.emit("DequantizeLinear", [q, scale, zero])[0]
    kind = b.choice(["move", "move", "function", "gate", "pair", "rows"])
    if kind == "move":
        for _ in range(b.integer(1, 3)):
            op = b.choice(["Transpose", "Reshape", "Slice", "Concat", "Identity"])
            if op == "Transpose":
                d = b.emit(op, [d], perm=[int(i) for i in b.rng.permutation(d.rank)])[0]
            elif op == "Reshape":
                d = b.emit(op, [d, b.ints([-1, d.shape[-1]])])[0]
            elif op == "Slice":
                d = b.emit(op, [d, b.ints([0]), b.ints([max(1, d.shape[0] - 1)]), b.ints([0])])[0]
            elif op == "Concat":
                d = b.emit(op, [d, d if b.chance(0.5) else b.emit("DequantizeLinear", [q, scale, zero])[0]], axis=0)[0] if d.shape == v.shape else d
            else:
                d = b.emit(op, [d])[0]
        return b.emit("QuantizeLinear", [d, scale, zero]) if b.chance(0.7) else quantize_dequantize(b, d)
    if kind == "function":
        y = b.emit(b.choice(["Sigmoid", "Tanh", "Relu", "LeakyRelu", "Abs", "Neg"]), [d])[0]
    elif kind == "gate":
        y = b.emit("Mul", [d, b.emit("Sigmoid", [b.emit("DequantizeLinear", [q, scale, zero])[0] if b.chance(0.5) else d])[0]])[0]
    elif kind == "pair":
        other = quantize_dequantize(b, b.leaf([1] * b.integer(0, 1) + v.shape[1:] if b.chance(0.3) else v.shape))[0]
        y = b.emit(b.choice(["Add", "Mul"]), [d, other] if b.chance(0.5) else [other, d])[0]
        y = b.emit("Relu", [y])[0] if b.chance(0.4) else y
    else:
        y = b.emit("Add", [d, b.leaf([v.shape[-1]], input_share=0)])[0]
    return quantize_dequantize(b, y)


def there_and_back(b):
    """Pairs that undo each other, nearly or wholly."""
    v = b.any_tensor(2, 4)
    kind = b.choice(["transpose", "reshape", "cast", "split", "identity", "squeeze"])
    if kind == "transpose":
        perm = [int(i) for i in b.rng.permutation(v.rank)]
        y = b.emit("Transpose", [v], perm=perm)[0]
        y = b.emit(b.choice(["Identity", "Neg", "Abs"]), [y])[0] if b.chance(0.5) else y
        return b.emit("Transpose", [y], perm=[int(i) for i in np.argsort(perm)] if b.chance(0.7) else perm)
    if kind == "reshape":
        return b.emit("Reshape", [b.emit("Reshape", [v, b.ints([-1])])[0], b.ints(v.shape)])
    if kind == "cast":
        if v.dtype not in (np.float32, np.int32):
            raise Reject("only widening")
        wide, back = (np.float64, np.float32) if v.is_float else (np.int64, np.int32)
        to = [int(helper.np_dtype_to_tensor_dtype(np.dtype(t))) for t in (wide, back)]
        return b.emit("Cast", [b.emit("Cast", [v], to=to[0])[0]], to=to[1])
    if kind == "split":
        axis = b.integer(0, v.rank - 1)
        if v.shape[axis] % 2 or v.shape[axis] == 0:
            raise Reject("odd")
        parts = b.emit("Split", [v], 2, axis=axis, num_outputs=2 if b.opset >= 18 else None)
        return b.emit("Concat", parts if b.chance(0.6) else parts[::-1], axis=axis)
    if kind == "squeeze":
        y = unsqueeze(b, v, [1])
        return b.emit("Squeeze", [y], axes=[1]) if b.opset < 13 else b.emit("Squeeze", [y, b.ints([1])])
    y = b.emit("Identity", [b.emit("Identity", [v])[0]])[0]
    return b.emit("Dropout", [y]) if v.is_float else [y]


def twins(b):
    """The same node twice, then both used; once in a while with an attribute that tells them apart."""
    v = b.any_float(1)
    if b.chance(0.5):
        one, two = (b.emit("Softmax", [v], axis=v.rank - 1)[0] for _ in range(2))
    else:
        slopes = [0.1, 0.1 if b.chance(0.5) else 0.2]
        one, two = (b.emit("LeakyRelu", [v], alpha=a)[0] for a in slopes)
    return b.emit(b.choice(["Add", "Sub", "Mul", "Concat"]), [one, two], **{})


def constants_only(b):
    v = b.const(b.random_array(b.shape(1, 3)))
    y = b.emit(b.choice(["Abs", "Exp", "Sin"]), [v])[0]
    y = b.emit("Transpose", [y])[0]
    return b.emit("Add", [y, partner(b, b.any_float())])


def branch(b, dtype=None, shape=None):
    """A subgraph without inputs that reads outer values; its builder and output."""
    inner = b.child()
    v = inner.pick(lambda v: v.is_float and (dtype is None or v.dtype == dtype))
    y = inner.emit(b.choice(["Tanh", "Neg", "Identity", "Abs"]), [v])[0]
    for _ in range(b.integer(0, 2)):
        y = inner.emit(b.choice(["Add", "Mul"]), [y, inner.const(inner.random_array([], y.dtype))])[0]
    if b.chance(0.3):
        y = reduce(inner)[0]
    return inner, y


def graph_of(inner, inputs, outputs):
    return helper.make_graph(inner.nodes, inner.name("body"), [helper.make_value_info(v.name, type_of(v.array)) for v in inputs],
                             [helper.make_value_info(v.name, type_of(v.array, known_shape=False)) for v in outputs])


def if_(b):
    one, y = branch(b)
    two, z = branch(b, y.dtype)
    if y.dtype != z.dtype:
        raise Reject("branches differ")
    condition = b.pick(lambda v: v.dtype == np.bool_ and v.array.size == 1, lambda: b.leaf([], np.bool_))
    return b.emit("If", [condition], then_branch=graph_of(one, [], [y]), else_branch=graph_of(two, [], [z]))


def loop(b):
    state = b.any_float(0, 3)
    inner = b.child()
    count, going = inner.add_value(inner.name("i"), np.asarray(0, np.int64), "node"), inner.add_value(inner.name("g"), np.asarray(True), "node", pooled=False)
    carried = inner.add_value(inner.name("s"), state.array, "node")
    outer = partner(b, state)
    y = inner.emit(b.choice(["Add", "Mul", "Sub"]), [carried, outer])[0]
    if y.shape != state.shape:
        raise Reject("the state's shape must stay")
    y = inner.emit(b.choice(["Tanh", "Sigmoid", "Sin"]), [y])[0]
    scanned = inner.emit("Cast", [count], to=1)[0] if b.chance(0.3) else inner.emit("Neg", [y])[0]
    going_on = inner.emit("Identity", [going])[0]
    body = graph_of(inner, [count, going, carried], [going_on, y, scanned])
    trips = b.const(np.asarray(b.choice([1, 2, 3]), np.int64), fixed=True) if b.chance(0.8) else b.add_value(b.name("x"), np.asarray(2, np.int64), "input")
    return b.emit("Loop", [trips, b.const(np.asarray(True), fixed=True) if b.chance(0.5) else None, state], 2, body=body)


def scan(b):
    v = b.any_float(1, 3)
    if v.shape[0] == 0:
        raise Reject("nothing to scan")
    inner = b.child()
    start = b.leaf(v.shape[1:], v.dtype)
    state, row = inner.add_value(inner.name("s"), start.array, "node"), inner.add_value(inner.name("r"), v.array[0], "node")
    y = inner.emit("Add", [state, row])[0]
    z = inner.emit("Tanh", [y])[0]
    return b.emit("Scan", [start, v], 2, num_scan_inputs=1, body=graph_of(inner, [state, row], [y, z]))


def sequence(b):
    """Through a sequence of tensors and back."""
    v = b.any_float(1, 3)
    kind = b.choice(["split", "construct"])
    if kind == "split":
        s = b.emit("SplitToSequence", [v] + ([b.const(np.asarray(1 if b.chance(0.5) else 2, np.int64), fixed=True)] if b.chance(0.6) else []), axis=0)[0]
    else:
        s = b.emit("SequenceConstruct", [v, *[b.emit("Neg", [v])[0] for _ in range(b.integer(0, 2))]])[0]
    if b.chance(0.3):
        s = b.emit("SequenceInsert", [s, v] + [b.const(np.asarray(0, np.int64), fixed=True)] * b.chance(0.5))[0]
    if b.chance(0.2):
        s = b.emit("SequenceErase", [s])[0]
    if b.chance(0.3):
        b.emit("SequenceLength", [s])
    if b.chance(0.5):
        return b.emit("SequenceAt", [s, b.const(np.asarray(b.choice([0, -1]), np.int64), fixed=True)])
    return b.emit("ConcatFromSequence", [s], axis=0, new_axis=b.integer(0, 1))


def elementwise_net(b):
    """Elementwise nodes of one shape, which an optimizer runs in one sweep: values read twice, paths that leave the shape and come back."""
    made = [within(b, b.any_float(), -4, 4)]
    for _ in range(b.integer(3, 9)):
        x, kind = b.choice(made[-3:]), b.integer(0, 7)
        if kind <= 2:
            y = b.emit(b.choice(["Sigmoid", "Tanh", "Neg", "Abs", "Relu", "Erf", "Softplus", "Cos"]), [x])[0]
        elif kind <= 4:
            other = b.choice(made) if b.chance(0.5) else partner(b, x)
            y = within(b, b.emit(b.choice(["Add", "Sub", "Mul", "Max", "Min"]), shuffled(b, x, other))[0], -40, 40)
        elif kind == 5:
            above = b.emit("Greater", [x, number(b, x, 0.123)])[0]
            if np.abs(x.array - np.asarray(0.123, x.dtype)).min(initial=1) < 2e-3:
                raise Reject("near a tie")
            y = b.emit("Where", [above, x, b.choice(made)])[0] if b.opset >= 9 else b.emit("Cast", [above], to=element_type(x.array))[0]
        elif kind == 6:
            y = b.emit("Cast", [b.emit("Cast", [x], to=1 if x.dtype == np.float64 else 11)[0]], to=element_type(x.array))[0]
        else:
            y = b.emit("Sub", [x, reduce_last(b, x)])[0] if x.rank and x.shape[-1] else x
        made.append(y)
    return [made[-1]]


def reduce_last(b, x):
    return (b.emit("ReduceMax", [x, b.ints([-1])]) if b.opset >= 18 else b.emit("ReduceMax", [x], axes=[x.rank - 1]))[0]


MAKERS = [(elementwise_net, 3), (conv_block, 4), (dense_block, 4), (layer_norm, 2), (gelu, 2), (attention, 1.5), (rms_norm, 1),
          (swish, 1.5), (mish, 0.7), (hard_swish, 1), (quantized_layer, 2), (there_and_back, 3), (twins, 1.5),
          (constants_only, 1), (if_, 1.5), (loop, 1.5), (scan, 0.7), (sequence, 1.2), (quantized_region, 2)]
