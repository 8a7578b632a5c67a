"""Attention written out in the ways of exporters, and in some that are nearly it: odd masks, other axes, readers in between."""
import math

import numpy as np

from builder import Reject
from patterns import number, scaled

LEAST = -1e3  # in place of -inf, which the builder takes for a mistake


def operand(b, batch, heads, rows, size, rank):
    """[batch, heads, rows, size], as it is or by Transpose or Reshape from another layout; at times one that is there already."""
    shape = [batch, heads, rows, size][4 - rank:]
    if b.chance(0.15):
        return b.pick(lambda v: v.dtype == np.float32 and list(v.shape) == shape, lambda: b.leaf(shape))
    if rank == 4 and b.chance(0.6):
        x = b.leaf([batch, rows, heads, size])
        if b.chance(0.5):
            x = b.emit("Reshape", [b.leaf([batch, rows, heads * size]), b.ints([0, 0, heads, size] if heads * size else [batch, rows, heads, size])])[0]
        return b.emit("Transpose", [x], perm=[0, 2, 1, 3])[0]
    if rank == 3 and b.chance(0.2):
        return b.emit("Transpose", [b.leaf([shape[1], shape[0], shape[2]])], perm=[1, 0, 2])[0]
    return b.leaf(shape)


def repeated(b, x, times):
    """Each head `times` times, as repeat_kv does; now and then the whole set of heads instead."""
    batch, heads, rows, size = x.shape
    axis = 2 if b.chance(0.85) else 1
    single = b.emit("Unsqueeze", [x, b.ints([axis])] if b.opset >= 13 else [x], axes=None if b.opset >= 13 else [axis])[0]
    wide = [batch, heads, times, rows, size] if axis == 2 else [batch, times, heads, rows, size]
    return b.emit("Reshape", [b.emit("Expand", [single, b.ints(wide)])[0], b.ints([batch, heads * times, rows, size])])[0]


def transposed(b, k):
    axes = list(range(k.rank))
    return b.emit("Transpose", [k], perm=[*axes[:-2], axes[-1], axes[-2]])[0]


def mask_shape(b, shape):
    """What broadcasts to the scores, and now and then makes them larger."""
    dims = [d if b.chance(0.6) else 1 for d in shape]
    if b.chance(0.06):
        dims = [b.choice([2, 3]) if d == 1 else d for d in dims]
    return dims[b.integer(0, len(dims)):]


def masked(b, scores):
    shape = mask_shape(b, scores.shape)
    kind = b.choice(["add", "add", "where", "where", "added where"])
    if kind == "add":
        mask = b.leaf(shape)
        return b.emit("Add", [scores, mask] if b.chance(0.6) else [mask, scores])[0]
    if b.opset < 9:
        raise Reject("no Where of this kind yet")
    seen = b.leaf(shape, np.bool_)
    hidden = number(b, scores, b.choice([LEAST, LEAST, -5.0]))
    if kind == "where":
        return b.emit("Where", [seen, scores, hidden] if b.chance(0.5) else [seen, hidden, scores])[0]
    zero = number(b, scores, 0.1 if b.chance(0.05) else 0.0)
    added = b.emit("Where", [seen, zero, hidden] if b.chance(0.5) else [seen, hidden, zero])[0]
    return b.emit("Add", [scores, added])[0]


def probabilities(b, scores):
    axis = scores.rank - 1
    if b.chance(0.06):
        axis = b.integer(0, scores.rank - 1)
    p = b.emit("Softmax", [scores], axis=axis if b.opset < 11 or b.chance(0.5) else axis - scores.rank)[0]
    if b.opset >= 9 and b.chance(0.3):
        p = b.emit("Where", [b.emit("IsNaN", [p])[0], number(b, p, 0 if b.chance(0.9) else 1), p])[0]
    return p


def attention(b):
    rank = b.choice([3, 4, 4, 4])
    batch, heads, rows, keys, size, value_size = (b.integer(1, n) for n in (3, 4, 6, 7, 5, 4))
    groups = b.choice([1, 1, 1, 2, 3]) if rank == 4 else 1
    q = operand(b, 1 if b.chance(0.1) else batch, heads * groups, rows, size, rank)
    k, v = (operand(b, 1 if b.chance(0.1) else batch, heads, keys, n, rank) for n in (size, value_size))
    if groups > 1:
        k, v = repeated(b, k, groups), repeated(b, v, groups)
    factor = 1 / math.sqrt(size)
    where = b.choice(["q", "k", "scores", "scores", "both", "none"])
    if where in ("q", "both"):
        q = scaled(b, q, math.sqrt(factor) if where == "both" else factor)
    if where in ("k", "both") and b.chance(0.5):
        k = scaled(b, k, factor)
        k = transposed(b, k)
    else:
        k = transposed(b, k)
        k = scaled(b, k, factor) if where in ("k", "both") else k
    scores = b.emit("MatMul", [q, k])[0]
    if where == "scores":
        scores = scaled(b, scores, factor)
    if b.chance(0.1):
        scores = scaled(b, b.emit("Tanh", [scaled(b, scores, 0.5)])[0], 2 if b.chance(0.8) else 3)
    for _ in range(b.choice([0, 1, 1, 1, 2, 3])):
        scores = masked(b, scores)
    if b.chance(0.06):
        scores = scaled(b, scores, 0.5)
    y = b.emit("MatMul", [probabilities(b, scores), v])[0]
    if rank == 4 and y.rank == 4 and b.chance(0.7):
        y = b.emit("Transpose", [y], perm=b.choice([[0, 2, 1, 3], [0, 2, 1, 3], [2, 0, 1, 3], [0, 1, 3, 2]]))[0]
        if b.chance(0.5) and 0 not in y.shape:
            return b.emit("Reshape", [y, b.ints([y.shape[0], y.shape[1], -1])])
    return [y]


MAKERS = [(attention, 2)]
