"""Makers of nodes that compute element by element, along axes, or over products: each adds one node (or a few) to a builder."""
import numpy as np

from builder import Reject

MARGIN = 2e-3


def away_from_steps(v, offset=0.0, scale=1.0):
    """Refuses values so near to where a step function jumps that rounding decides the result."""
    if not v.is_float:
        return v
    x = v.array.astype(np.float64) / scale
    near = np.abs(x - offset - np.round(x - offset)) < MARGIN * (1 if v.dtype != np.float16 else 8)
    if (near & (x != 0) if offset == 0 else near).any():
        raise Reject("near a step")
    return v


def distinct(v, axis=None):
    """Refuses values of which two along an axis are so alike that rounding decides which is the greater."""
    if v.array.size > 1:
        flat = np.sort(v.array.astype(np.float64), axis=None if axis is None else axis)
        gaps = np.diff(flat, axis=-1 if axis is None else axis)
        if gaps.size and gaps.min() < MARGIN:
            raise Reject("near a tie")
    return v


def within(b, v, low, high):
    """The value, brought into a range by a Clip, if it is not there."""
    if v.array.size == 0 or (v.array.min() >= low and v.array.max() <= high):
        return v
    return clip(b, v, low, high)


def clip(b, v, low, high):
    if b.opset < 11:
        return b.emit("Clip", [v], min=float(low), max=float(high))[0]
    low, high = (b.const(np.asarray(x, v.dtype), fixed=True) for x in (low, high))
    if b.chance(0.15):
        return b.emit("Clip", [v, None, high])[0] if b.chance(0.5) else b.emit("Clip", [v, low])[0]
    return b.emit("Clip", [v, low, high])[0]


ANYWHERE = ["Abs", "Neg", "Relu", "Sigmoid", "Tanh", "Erf", "Sin", "Cos", "Softplus", "Softsign", "Identity", "HardSwish", "Mish", "Gelu", "Atan",
            "Asinh", "Elu", "Selu", "LeakyRelu", "HardSigmoid", "Celu", "Identity", "Swish"]
RANGES = {"Exp": (-6, 4), "Log": (0.05, 50), "Sqrt": (0.01, 1e3), "Reciprocal": (0.1, 50), "Tan": (-1.2, 1.2), "Asin": (-0.9, 0.9),
          "Acos": (-0.9, 0.9), "Sinh": (-4, 4), "Cosh": (-4, 4), "Acosh": (1.1, 40), "Atanh": (-0.9, 0.9)}
ATTRIBUTES = {"Elu": ["alpha"], "Selu": ["alpha", "gamma"], "LeakyRelu": ["alpha"], "HardSigmoid": ["alpha", "beta"], "Celu": ["alpha"]}


def unary(b):
    v = b.any_float()
    if b.chance(0.3):
        op = b.choice(list(RANGES))
        return b.emit(op, [within(b, v, *RANGES[op])])
    op = b.choice(ANYWHERE)
    attributes = {name: round(float(b.rng.uniform(0.05, 1.2)), 3) for name in ATTRIBUTES.get(op, []) if b.chance(0.6)}
    if op == "Gelu" and b.chance(0.5):
        attributes["approximate"] = "tanh"
    return b.emit(op, [v], **attributes)


def stepped(b):
    op = b.choice(["Floor", "Ceil", "Round", "Sign", "IsNaN", "IsInf", "ThresholdedRelu"])
    if op == "ThresholdedRelu":
        return b.emit(op, [away_from_steps(b.any_float(), 0.3)], alpha=0.3)
    return b.emit(op, [away_from_steps(b.any_float(), 0.5 if op == "Round" else 0.0)])


def integer_unary(b):
    v = b.pick(lambda v: v.dtype.kind in "iu", lambda: b.leaf(b.shape(0, 4), b.choice([np.int64, np.int32, np.int8, np.uint8])))
    return b.emit(b.choice(["Abs", "Neg", "Sign", "Identity", "BitwiseNot", "Relu"]), [v])


def broadcast_shape(b, shape):
    """A shape that broadcasts with this one."""
    dims = [1 if b.chance(0.3) else d for d in shape]
    if dims and b.chance(0.35):
        dims = dims[b.integer(0, len(dims)):]
    elif len(dims) < 4 and b.chance(0.1):
        dims = [b.choice([1, 2, 3])] + dims
    return dims


def compatible(a, b):
    return all(x == y or x == 1 or y == 1 for x, y in zip(a[::-1], b[::-1]))


def partner(b, v, dtype=None):
    """A second operand that broadcasts with the first: from the pool, or new."""
    dtype = dtype or v.dtype
    if b.chance(0.15) and dtype == v.dtype:
        return v
    return b.pick(lambda w: w.dtype == dtype and compatible(v.shape, w.shape) and w is not v,
                  lambda: b.leaf(broadcast_shape(b, v.shape), dtype)) if b.chance(0.7) else b.leaf(broadcast_shape(b, v.shape), dtype)


def shuffled(b, v, w):
    return [w, v] if b.chance(0.4) else [v, w]


def binary(b):
    v = b.any_float()
    op = b.choice(["Add", "Add", "Mul", "Mul", "Sub", "Div", "Pow", "Min", "Max", "PRelu"])
    if op == "Div":
        w = partner(b, v)
        return b.emit(op, [v, within(b, b.emit("Abs", [w])[0], 0.2, 40)])
    if op == "Pow":
        if b.chance(0.5):
            return b.emit("Pow", [within(b, v, -6, 6), b.const(np.asarray(b.choice([2, 2, 3, 1, 0]), v.dtype), fixed=True)])
        w = partner(b, v)
        return b.emit("Pow", [within(b, b.emit("Abs", [v])[0], 0.1, 5), within(b, w, -2, 2)])
    if op == "PRelu":
        slope = [1 if b.chance(0.4) else d for d in v.shape][b.integer(0, v.rank):]
        return b.emit(op, [v, b.leaf(slope, v.dtype)])
    return b.emit(op, shuffled(b, v, partner(b, v)))


def neutral(b):
    """Adds zero, multiplies by one and the like: what an optimizer takes out, also where it must not (broadcasts, minus zero aside)."""
    v = b.any_float()
    op, number = b.choice([("Add", 0), ("Sub", 0), ("Mul", 1), ("Div", 1), ("Mul", 0), ("Pow", 1)])
    shape = b.choice([[], [1], [1, 1], broadcast_shape(b, v.shape), [1] * (v.rank + 1)])
    c = b.const(np.full(shape, number, v.dtype), fixed=True)
    return b.emit(op, shuffled(b, v, c) if op in ("Add", "Mul") else [v, c])


def integer_binary(b):
    v = b.pick(lambda v: v.dtype in (np.int64, np.int32), lambda: b.leaf(b.shape(0, 4), b.choice([np.int64, np.int32])))
    op = b.choice(["Add", "Sub", "Mul", "Min", "Max", "Mod", "Div", "BitwiseAnd", "BitwiseOr", "BitwiseXor"])
    if op in ("Mod", "Div"):
        divisor = b.random_array(broadcast_shape(b, v.shape), v.dtype)
        fmod = {"fmod": 1} if op == "Mod" and b.chance(0.3) else {}
        return b.emit(op, [v, b.const(np.where(divisor == 0, 3, divisor).astype(v.dtype))], **fmod)
    return b.emit(op, shuffled(b, v, partner(b, v)))


def shift(b):
    v = b.pick(lambda v: v.dtype.kind == "u", lambda: b.leaf(b.shape(0, 3), b.choice([np.uint8, np.uint32, np.uint64])))
    return b.emit("BitShift", [v, b.const(b.rng.integers(0, 4, broadcast_shape(b, v.shape)).astype(v.dtype))], direction=b.choice(["LEFT", "RIGHT"]))


def variadic(b):
    v = b.any_float()
    return b.emit(b.choice(["Sum", "Mean", "Min", "Max"]), [v] + [partner(b, v) for _ in range(b.integer(0, 3))])


def comparison(b):
    ordered = ["Less", "Greater", "LessOrEqual", "GreaterOrEqual"]
    if b.chance(0.5):
        v = b.pick(lambda v: v.dtype in (np.int64, np.int32), lambda: b.leaf(b.shape(0, 4), b.choice([np.int64, np.int32])))
        return b.emit(b.choice([*ordered, "Equal"]), shuffled(b, v, partner(b, v)))
    v = b.any_float()
    w = partner(b, v)
    if w is not v and (np.abs(v.array.astype(np.float64) - w.array) < MARGIN).any():
        raise Reject("near a tie")
    return b.emit(b.choice(ordered), shuffled(b, v, w))


def logic(b):
    v = b.tensor(0, 5, np.bool_)
    op = b.choice(["And", "Or", "Xor", "Not", "Equal"])
    return b.emit(op, [v] if op == "Not" else shuffled(b, v, partner(b, v)))


def where(b):
    c = b.tensor(0, 5, np.bool_)
    dtype = b.choice([np.float32, np.float32, np.int64, np.int32, np.float64, np.uint8])
    v = partner(b, c, np.dtype(dtype))
    return b.emit("Where", [c, *shuffled(b, v, partner(b, v))])


def cast(b):
    v = b.any_tensor()
    to = b.choice([np.float32, np.float32, np.float64, np.int64, np.int32, np.bool_, np.uint8, np.int8, np.float16])
    if v.is_float and np.dtype(to).kind in "iub":
        if v.array.size and (np.abs(v.array).max() > 120 or (np.dtype(to).kind == "u" and v.array.min() < 0)):
            raise Reject("not in range")
        away_from_steps(v)
    if b.chance(0.1):
        return b.emit("CastLike", [v, b.const(np.zeros([1], to), fixed=True)])
    from onnx import helper
    return b.emit("Cast", [v], to=int(helper.np_dtype_to_tensor_dtype(np.dtype(to))))


def axes_of(b, rank, least=1):
    count = b.integer(least, rank) if rank >= least else 0
    axes = [int(a) for a in b.rng.permutation(rank)[:count]]
    return [a - rank if b.chance(0.3) else a for a in axes]


def reduce(b):
    op = b.choice(["ReduceSum", "ReduceSum", "ReduceMean", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
                   "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"])
    simple = op in ("ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd")
    v = b.tensor(0, 5, b.choice([np.int64, np.int32])) if simple and b.chance(0.2) else b.any_float()
    if op == "ReduceLogSum":
        v = within(b, b.emit("Abs", [v])[0], 0.1, 50)
    attributes = {"keepdims": b.integer(0, 1)} if b.chance(0.8) else {}
    axes = None if b.chance(0.15) else axes_of(b, v.rank)
    if b.opset < (13 if op == "ReduceSum" else 18):
        return b.emit(op, [v], axes=axes or None, **attributes)
    if b.chance(0.1):
        attributes["noop_with_empty_axes"] = b.integer(0, 1)
    return b.emit(op, [v] if axes is None else [v, b.ints(axes)], **attributes)


def arg_reduce(b):
    v = b.any_float(1)
    if v.array.size == 0:
        raise Reject("onnxruntime gets the shape wrong")
    axis = b.integer(-v.rank, v.rank - 1)
    distinct(v, axis)
    last = {"select_last_index": b.integer(0, 1)} if b.opset >= 12 and b.chance(0.3) else {}
    return b.emit(b.choice(["ArgMax", "ArgMin"]), [v], axis=axis, keepdims=b.integer(0, 1), **last)


def top_k(b):
    v = b.any_float(1)
    axis = b.integer(-v.rank, v.rank - 1)
    distinct(v, axis)
    k = b.integer(0 if b.chance(0.03) else 1, max(1, v.shape[axis]))
    outputs = b.choice([[True, True], [True, False], [False, True], [True, True]])
    if b.opset < 10:
        return b.emit("TopK", [v], [True, True], axis=axis, k=max(k, 1))
    kinds = {"largest": b.integer(0, 1)} if b.opset >= 11 else {}
    return b.emit("TopK", [v, b.ints([k])], outputs, axis=axis, **kinds)


def cumulate(b):
    v = b.any_float(1) if b.chance(0.7) else b.tensor(1, 4, b.choice([np.int64, np.int32]))
    axis = b.const(np.asarray(b.integer(-v.rank, v.rank - 1), np.int64), fixed=True)
    return b.emit("CumSum", [v, axis], exclusive=b.integer(0, 1), reverse=b.integer(0, 1))


def softmax(b):
    v = b.any_float(1)
    op = b.choice(["Softmax", "Softmax", "LogSoftmax", "Hardmax"])
    axis = b.integer(-v.rank if b.opset >= 11 else 0, v.rank - 1)
    if op == "Hardmax":
        distinct(v)
    return b.emit(op, [v], **({} if b.chance(0.2) else {"axis": axis}))


MAKERS = [(unary, 8), (stepped, 1), (integer_unary, 1), (binary, 9), (neutral, 2), (integer_binary, 2), (shift, 0.5), (variadic, 1.5), (comparison, 2),
          (logic, 1.5), (where, 2), (cast, 3), (reduce, 4), (arg_reduce, 1), (top_k, 1), (cumulate, 1), (softmax, 2)]
