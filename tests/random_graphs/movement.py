"""Makers of nodes that move elements, and of shapes computed in the graph."""
import numpy as np
from onnx import numpy_helper

from builder import Reject


def split_dims(b, total, most=4):
    """A random shape of that many elements."""
    dims = []
    while total > 1 and len(dims) < most - 1:
        divisors = [d for d in range(1, total + 1) if total % d == 0]
        dims.append(b.choice(divisors))
        total //= dims[-1]
    return dims + [total] if total > 1 or not dims or b.chance(0.2) else dims


def computed_shape(b, v, dims):
    """The dims as the exporters compute them: Shape, Gather, Concat, with those dims taken from `v` that are its own."""
    shape = b.emit("Shape", [v])[0]
    parts = []
    for d in dims:
        if d in v.shape and b.chance(0.7):
            index = b.const(np.asarray(v.shape.index(d), np.int64), fixed=True)
            part = unsqueeze(b, b.emit("Gather", [shape, index], axis=0)[0], [0])
        else:
            part = b.const(np.asarray([d], np.int64), fixed=True)
        parts.append(part)
    if not parts:
        raise Reject("a scalar has no dims")
    return b.emit("Concat", parts, axis=0)[0]


def reshape(b):
    v = b.any_tensor(0, 6)
    if v.array.size == 0:
        return b.emit("Reshape", [v, b.ints([0] + [-1] * (v.shape[0] != 0))])
    dims = split_dims(b, v.array.size)
    if b.chance(0.3) and v.rank:
        return b.emit("Reshape", [v, computed_shape(b, v, dims)])
    if dims and b.chance(0.5):
        dims[b.integer(0, len(dims) - 1)] = -1
    for i in range(min(len(dims), v.rank)):
        if dims[i] == v.shape[i] and b.chance(0.3):
            dims[i] = 0
    if b.chance(0.07) and v.array.size == 1:
        dims = []
    return b.emit("Reshape", [v, b.ints(dims)])


def flatten(b):
    v = b.any_tensor(0, 6)
    return b.emit("Flatten", [v], axis=b.integer(-v.rank if b.opset >= 11 else 0, v.rank))


def transpose(b):
    v = b.any_tensor(0, 6)
    return b.emit("Transpose", [v], perm=None if b.chance(0.2) else [int(i) for i in b.rng.permutation(v.rank)] or None)


def unsqueeze(b, v, axes):
    return (b.emit("Unsqueeze", [v], axes=axes) if b.opset < 13 else b.emit("Unsqueeze", [v, b.ints(axes)]))[0]


def unsqueezes(b):
    v = b.any_tensor(0, 4)
    count = b.integer(1, 2)
    axes = sorted(int(a) for a in b.rng.permutation(v.rank + count)[:count])
    return [unsqueeze(b, v, [a - v.rank - count for a in axes] if b.opset >= 11 and b.chance(0.3) else axes)]


def squeezes(b):
    v = b.pick(lambda v: v.dtype != object and 1 in v.shape)
    ones = [i for i, d in enumerate(v.shape) if d == 1]
    axes = ones[:b.integer(1, len(ones))]
    if b.chance(0.15):
        return b.emit("Squeeze", [v])
    return b.emit("Squeeze", [v], axes=axes) if b.opset < 13 else b.emit("Squeeze", [v, b.ints(axes)])


def slice_(b):
    v = b.any_tensor(1, 6)
    axes = [int(a) for a in b.rng.permutation(v.rank)[:b.integer(1, v.rank)]]
    starts, ends, steps = [], [], []
    for a in axes:
        d = v.shape[a]
        if b.opset >= 10 and b.chance(0.2):
            starts.append(b.choice([d - 1, -1, 2**31, d + 3])), ends.append(b.choice([-d - 1, -2**31, 0, -2**63 + 1])), steps.append(-b.integer(1, 2))
        else:
            start = b.integer(0, max(0, d - 1))
            end = b.integer(start + (not b.chance(0.03)), d) if d > start else d
            starts.append(start - d if b.chance(0.3) and d else start)
            ends.append(b.choice([2**31 - 1, 2**63 - 1, d + 5]) if end == d else end - d if b.chance(0.3) else end)
            steps.append(b.choice([1, 1, 1, 2, 3]) if b.opset >= 10 else 1)
    if b.opset < 10:
        return b.emit("Slice", [v], starts=starts, ends=ends, axes=axes)
    if axes == list(range(len(axes))) and b.chance(0.3):
        return b.emit("Slice", [v, b.ints(starts), b.ints(ends)])
    inputs = [v, b.ints(starts), b.ints(ends), b.ints(axes)]
    return b.emit("Slice", inputs + ([b.ints(steps)] if set(steps) != {1} or b.chance(0.3) else []))


def split(b):
    v = b.any_tensor(1, 5)
    axis = b.integer(0, v.rank - 1)
    d = v.shape[axis]
    count = b.integer(1, 3)
    if d < 2:
        raise Reject("nothing to split")
    cuts = sorted(int(c) for c in b.rng.integers(0, d + 1, count - 1))
    sizes = [int(s) for s in np.diff([0, *cuts, d])]
    axis = axis - v.rank if b.chance(0.3) and b.opset >= 11 else axis
    flags = [True] * count  # onnxruntime crashes if the name of one is left empty
    if d % count == 0 and b.chance(0.4):
        return b.emit("Split", [v], flags, axis=axis, num_outputs=count if b.opset >= 18 else None)
    if b.opset >= 18 and b.chance(0.3):
        return b.emit("Split", [v], flags, axis=axis, num_outputs=count)
    return b.emit("Split", [v], flags, axis=axis, split=sizes) if b.opset < 13 else b.emit("Split", [v, b.ints(sizes)], flags, axis=axis)


def concat(b):
    v = b.any_tensor(1, 5)
    axis = b.integer(0, v.rank - 1)
    parts = [v]
    for _ in range(b.integer(0, 3)):
        def fits(w):
            return w.dtype == v.dtype and w.rank == v.rank and all(i == axis or x == y for i, (x, y) in enumerate(zip(v.shape, w.shape)))
        shape = list(v.shape)
        shape[axis] = b.choice([1, 2, 3, 0] if b.chance(0.1) else [1, 2, 3])
        parts.append(b.pick(fits) if b.chance(0.7) else b.leaf(shape, v.dtype))
    order = [parts[i] for i in b.rng.permutation(len(parts))]
    return b.emit("Concat", order, axis=axis - v.rank if b.chance(0.3) and b.opset >= 11 else axis)


def expand(b):
    v = b.any_tensor(0, 4)
    dims = [b.choice([2, 3, 4]) if d == 1 and b.chance(0.6) else 1 if b.chance(0.2) else d for d in v.shape]
    dims = [b.choice([1, 2])] * (len(dims) < 5 and b.chance(0.3)) + dims
    if v.rank and b.chance(0.25) and dims:
        return b.emit("Expand", [v, computed_shape(b, v, dims)])
    return b.emit("Expand", [v, b.ints(dims)])


def tile(b):
    v = b.any_tensor(1, 4)
    return b.emit("Tile", [v, b.ints([b.choice([1, 1, 2, 3]) for _ in v.shape])])


def pad(b):
    v = b.any_float(1, 5) if b.chance(0.9) else b.tensor(1, 4, np.int64)
    mode = b.choice(["constant", "constant", "reflect", "edge"] + ["wrap"] * (b.opset >= 19))
    if mode != "constant" and 0 in v.shape:
        raise Reject("nothing to repeat")
    most = [2 if mode in ("constant", "edge") else min(2, d - 1) for d in v.shape]
    pads = [b.integer(0, m) for m in most * 2]
    if mode == "constant" and b.chance(0.15):
        pads = [-1 if v.shape[i % v.rank] > 3 and b.chance(0.3) else p for i, p in enumerate(pads)]
    attributes = {} if mode == "constant" and b.chance(0.4) else {"mode": mode}
    if b.opset < 11:
        return b.emit("Pad", [v], pads=pads, **({"value": 0.5} if b.chance(0.4) else {}), **attributes)
    value = [b.const(np.asarray(3, v.dtype), fixed=True)] if mode == "constant" and b.chance(0.5) else []
    return b.emit("Pad", [v, b.ints(pads), *value], **attributes)


def indices(b, shape, limit):
    if limit < 1:
        raise Reject("nothing to index")
    low = -limit if b.opset >= 11 and b.chance(0.5) else 0
    array = np.asarray(b.rng.integers(low, limit, shape)).astype(b.choice([np.int64, np.int32]))
    return b.input(array) if b.chance(0.3) else b.const(array)


def gather(b):
    v = b.any_tensor(1, 5)
    axis = b.integer(-v.rank, v.rank - 1)
    return b.emit("Gather", [v, indices(b, b.shape(0, 2), v.shape[axis])], **({} if axis == 0 and b.chance(0.5) else {"axis": axis}))


def gather_elements(b):
    v = b.any_tensor(1, 4)
    axis = b.integer(-v.rank, v.rank - 1)
    shape = [b.integer(1, max(1, d)) for d in v.shape]
    return b.emit("GatherElements", [v, indices(b, shape, v.shape[axis])], axis=axis)


def gather_nd(b):
    v = b.any_tensor(1, 4)
    depth = b.integer(1, v.rank)
    array = np.stack([b.rng.integers(0, max(1, d), 4) for d in v.shape[:depth]], -1).astype(np.int64)
    return b.emit("GatherND", [v, b.const(array)])


def scatter(b):
    v = b.any_tensor(1, 4)
    axis = b.integer(-v.rank, v.rank - 1)
    shape = list(v.shape)
    shape[axis] = b.integer(1, max(1, v.shape[axis]))
    if 0 in v.shape:
        raise Reject("nothing to scatter into")
    order = np.argsort(b.rng.random(v.shape), axis=axis)  # no index twice
    index = b.const(np.take(order, range(shape[axis]), axis=axis).astype(np.int64))
    return b.emit("ScatterElements" if b.opset >= 11 else "Scatter", [v, index, b.leaf(shape, v.dtype)], axis=axis)


def scatter_nd(b):
    v = b.any_tensor(1, 4)
    if 0 in v.shape:
        raise Reject("nothing to scatter into")
    rows = b.rng.permutation(v.shape[0])[:b.integer(1, v.shape[0])].astype(np.int64)
    return b.emit("ScatterND", [v, b.const(rows[:, None]), b.leaf([len(rows), *v.shape[1:]], v.dtype)])


def made(b):
    """Values that come from shapes and numbers alone."""
    kind = b.choice(["ConstantOfShape", "Range", "EyeLike", "OneHot", "Shape", "Size", "NonZero", "Compress", "Trilu", "Unique"])
    if kind == "ConstantOfShape":
        filler = b.choice([np.float32(0.5), np.int64(2), np.float32(0), np.bool_(True)])
        value = {} if b.chance(0.2) else {"value": numpy_helper.from_array(np.asarray([filler]))}
        return b.emit(kind, [b.ints(b.shape(0, 3))], **value)
    if kind == "Range":
        start, limit, delta = b.choice([(0, 5, 1), (3, -4, -2), (1, 1, 1), (2, 9, 3)])
        return b.emit(kind, [b.const(np.asarray(x, b.choice([np.int64])), fixed=True) for x in (start, limit, delta)])
    if kind == "EyeLike":
        return b.emit(kind, [b.tensor(2, 2)], k=b.integer(-1, 1))
    if kind == "OneHot":
        depth = b.choice([np.asarray(4, np.int64), np.asarray([4], np.int64)])
        return b.emit(kind, [indices(b, b.shape(1, 2), 4), b.const(depth, fixed=True), b.const(np.asarray([0, 1.5], np.float32), fixed=True)],
                      axis=b.choice([-1, 0, 1]))
    if kind == "Shape":
        v = b.any_tensor()
        bounds = {"start": b.integer(-2, 1), "end": b.integer(-1, 4)} if b.opset >= 15 and b.chance(0.4) else {}
        return b.emit(kind, [v], **bounds)
    if kind == "NonZero":
        return b.emit(kind, [b.tensor(1, 3, np.bool_)])
    if kind == "Compress":
        v = b.any_tensor(1, 4)
        axis = b.integer(0, v.rank - 1)
        return b.emit(kind, [v, b.leaf([v.shape[axis]], np.bool_)], axis=axis)
    if kind == "Trilu":
        v = b.any_tensor(2, 4)
        diagonal = [b.const(np.asarray(b.integer(-2, 2), np.int64), fixed=True)] if b.chance(0.5) else []
        return b.emit(kind, [v, *diagonal], upper=b.integer(0, 1))
    if kind == "Unique":
        return b.emit(kind, [b.tensor(1, 2, np.int64)], b.choice([[True], [True, True, True, True], [True, False, True]]), sorted=1)
    return b.emit(kind, [b.any_tensor()])


def depth_space(b):
    v = b.tensor(4, 4)
    if v.shape[1] % 4 == 0 and v.shape[1]:
        return b.emit("DepthToSpace", [v], blocksize=2, **({"mode": b.choice(["DCR", "CRD"])} if b.opset >= 11 and b.chance(0.6) else {}))
    return b.emit("SpaceToDepth", [v], blocksize=b.choice([1, 2]))


def resize(b):
    v = b.tensor(3, 5)
    scales = np.asarray([1.0, 1.0] + [b.choice([1.0, 2.0, 0.5, 3.0]) for _ in v.shape[2:]], np.float32)
    mode = b.choice(["nearest", "nearest", "linear"] if v.rank < 5 else ["nearest"])
    if b.opset < 9:
        return b.emit("Upsample", [v], mode=mode, scales=[float(max(1, s)) for s in scales])
    if b.opset == 9:
        return b.emit("Upsample", [v, b.const(np.maximum(scales, 1), fixed=True)], mode=mode)
    if b.opset == 10:
        return b.emit("Resize", [v, b.const(scales, fixed=True)], mode=mode)
    transforms = ["half_pixel", "asymmetric", "pytorch_half_pixel"]
    if all(d * float(s) % 1 == 0 for d, s in zip(v.shape, scales)):  # else onnxruntime differs from the public suite
        transforms.append("align_corners")
    attributes = {"coordinate_transformation_mode": b.choice(transforms)}
    if mode == "nearest":
        attributes.update(coordinate_transformation_mode="asymmetric", nearest_mode=b.choice(["floor", "ceil"]))
    roi = None if b.opset >= 13 else b.const(np.zeros([0], np.float32), fixed=True)
    if b.chance(0.3):
        sizes = [*v.shape[:2], *[b.integer(1, 2 * max(1, d)) for d in v.shape[2:]]]
        return b.emit("Resize", [v, roi, None if b.opset >= 13 else b.const(np.zeros([0], np.float32), fixed=True), b.ints(sizes)], mode=mode, **attributes)
    return b.emit("Resize", [v, roi, b.const(scales, fixed=True)], mode=mode, **attributes)


MAKERS = [(reshape, 4), (flatten, 1), (transpose, 4), (unsqueezes, 2), (squeezes, 2), (slice_, 4), (split, 3), (concat, 4), (expand, 2), (tile, 1),
          (pad, 2), (gather, 3), (gather_elements, 1), (gather_nd, 1), (scatter, 1), (scatter_nd, 1), (made, 4), (depth_space, 0.7), (resize, 1.2)]
