"""Makers of what passes on layout look for: Transposes around and inside of chains, parts of parts put together again, views that outlive others."""
import numpy as np

from arithmetic import partner
from builder import Reject
from movement import unsqueeze

UNARY = ["Relu", "Neg", "Tanh", "Abs", "Sigmoid", "Identity"]


def order_of(b, rank):
    return [int(i) for i in b.rng.permutation(rank)]


def step(b, v):
    """An op behind a Transpose that may as well stand before it, or just not."""
    kind = b.choice(["unary", "unary", "binary", "binary", "reduce", "softmax", "slice", "concat", "pad", "squeeze", "where", "read"])
    axis = b.integer(0, v.rank - 1)
    if kind == "unary":
        return b.emit(b.choice(UNARY), [v])[0]
    if kind == "binary":
        other = b.choice([partner(b, v), v, b.const(b.random_array([d if b.chance(0.6) else 1 for d in v.shape[b.integer(0, v.rank):]], v.dtype))])
        return b.emit(b.choice(["Add", "Mul", "Sub", "Max"]), [v, other] if b.chance(0.7) else [other, v])[0]
    if kind == "reduce":
        op, keep = b.choice(["ReduceMean", "ReduceMax"]), b.integer(0, 1)
        return b.emit(op, [v], axes=[axis], keepdims=keep)[0] if b.opset < 18 else b.emit(op, [v, b.ints([axis])], keepdims=keep)[0]
    if kind == "softmax":
        return b.emit("Softmax", [v], axis=axis)[0]
    if kind == "slice":
        return part(b, v, axis)
    if kind == "concat":
        return b.emit("Concat", [v, b.choice([v, b.emit("Neg", [v])[0], b.leaf(v.shape, v.dtype)])], axis=axis)[0]
    if kind == "pad":
        pads = [b.integer(0, 1) for _ in range(2 * v.rank)]
        return b.emit("Pad", [v], pads=pads)[0] if b.opset < 11 else b.emit("Pad", [v, b.ints(pads)])[0]
    if kind == "squeeze":
        return unsqueeze(b, v, [axis])
    if kind == "where":
        return b.emit("Where", [b.leaf(v.shape, np.bool_), v, partner(b, v)])[0]
    b.emit(b.choice(["Neg", "Shape"]), [v])  # somebody else reads it here
    return v


def sandwich(b):
    """Transpose, a few ops, and a Transpose back, or nearly."""
    v = b.pick(lambda v: v.is_float and 2 <= v.rank <= 4)
    order = order_of(b, v.rank)
    w = b.emit("Transpose", [v], perm=order)[0]
    for _ in range(b.integer(0, 4)):
        if w.rank < 1 or w.rank > 5:
            raise Reject("no axes left")
        w = step(b, w)
    back = [order.index(a) for a in range(len(order))] if w.rank == len(order) and b.chance(0.8) else order_of(b, w.rank)
    return b.emit("Transpose", [w], perm=back or None)


def products(b):
    """Products of transposed operands."""
    v = b.pick(lambda v: v.is_float and 2 <= v.rank <= 4 and 0 not in v.shape)
    order = list(range(v.rank))
    order[-1], order[-2] = order[-2], order[-1]
    if v.rank > 2 and b.chance(0.3):
        order = order_of(b, v.rank)
    w = b.emit("Transpose", [v], perm=order)[0]
    if b.chance(0.5):
        return b.emit("MatMul", [b.leaf([*w.shape[:-2], b.integer(1, 4), w.shape[-2]], v.dtype), w])
    return b.emit("MatMul", [w, b.leaf([w.shape[-1], b.integer(1, 4)] if b.chance(0.5) else [*w.shape[:-2], w.shape[-1], 3], v.dtype)])


def part(b, v, axis, start=None, end=None):
    d = v.shape[axis]
    start = b.integer(0, max(0, d - 1)) if start is None else start
    end = b.integer(start, d) if end is None else end
    if b.opset < 10:
        return b.emit("Slice", [v], starts=[start], ends=[end], axes=[axis])[0]
    return b.emit("Slice", [v, b.ints([start]), b.ints([end]), b.ints([axis])])[0]


def parts_of_parts(b):
    """Slices of slices, some read more than once, and ops that could work in place behind them."""
    v = b.pick(lambda v: v.is_float and 1 <= v.rank <= 4 and v.array.size > 1)
    if b.chance(0.5):
        v = b.emit(b.choice(UNARY), [v])[0]  # memory that is nobody else's
    leading = [a for a, d in enumerate(v.shape) if all(e == 1 for e in v.shape[:a])]
    axis = b.choice(leading) if b.chance(0.7) else b.integer(0, v.rank - 1)
    parts = [part(b, v, axis) for _ in range(b.integer(1, 3))]
    parts += [part(b, p, b.choice([axis, b.integer(0, v.rank - 1)])) for p in parts if b.chance(0.5)]
    changed = [b.emit(b.choice(UNARY), [p])[0] if b.chance(0.6) else p for p in parts]
    if b.chance(0.5):
        b.emit("Add", [v, v])
    same = [c for c in changed if c.shape[:axis] + c.shape[axis + 1:] == changed[0].shape[:axis] + changed[0].shape[axis + 1:]]
    return b.emit("Concat", same + ([v] if v.shape[:axis] + v.shape[axis + 1:] == same[0].shape[:axis] + same[0].shape[axis + 1:] and b.chance(0.3) else []), axis=axis)


def whole_again(b):
    """Consecutive parts put together: the tensor itself, or with one part changed, left out or moved."""
    v = b.pick(lambda v: v.is_float and 1 <= v.rank <= 4)
    axis = b.integer(0, v.rank - 1)
    cuts = sorted({0, v.shape[axis], *[b.integer(0, v.shape[axis]) for _ in range(b.integer(0, 2))]})
    parts = [part(b, v, axis, i, j) for i, j in zip(cuts, cuts[1:])]
    if len(parts) > 1 and b.chance(0.4):
        at = b.integer(0, len(parts) - 1)
        parts[at] = b.choice([b.emit("Relu", [parts[at]])[0], parts[at - 1]])
    if not parts:
        raise Reject("nothing to cut")
    return b.emit("Concat", parts, axis=axis)


def grown(b):
    """Concats of Concats, as DenseNet grows its channels: each result may lie inside the next."""
    v = b.pick(lambda v: v.is_float and 2 <= v.rank <= 4 and v.array.size > 0)
    axis = b.choice([a for a in range(v.rank) if all(d == 1 for d in v.shape[:a])])
    for _ in range(b.integer(1, 4)):
        new = b.emit(b.choice(UNARY), [v])[0]
        shape = list(v.shape)
        shape[axis] = b.integer(1, 2)
        other = b.emit("Neg", [b.leaf(shape, v.dtype)])[0]
        v = b.emit("Concat", b.choice([[v, other], [other, v], [v, new, other], [new, v], [v, v]]), axis=axis)[0]
        if v.array.size > 400:
            break
    return [v]


MAKERS = [(sandwich, 4), (products, 1.5), (parts_of_parts, 3), (whole_again, 2), (grown, 2)]
