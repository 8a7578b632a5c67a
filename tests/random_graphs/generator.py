"""A random valid ONNX graph with inputs and the outputs that onnxruntime, nothing optimized, computes from them. All of it follows from a seed."""
import collections
import dataclasses
import os

import numpy as np
import onnx
from onnx import helper, numpy_helper

import arithmetic
import attentions
import layers
import layouts
import movement
import patterns
from builder import FIXED, Builder, Reject, element_type, run_onnxruntime, type_of

MAKERS = arithmetic.MAKERS + movement.MAKERS + layers.MAKERS + layouts.MAKERS + patterns.MAKERS + attentions.MAKERS
OPSETS = [7, 8, 9, 10, 11, 11, 12, 13, 13, 14, 15, 16, 17, 17, 18, 19, 20, 21, 22, 23]
LAX = {"Compress", "GroupNormalization", "PRelu"}  # onnxruntime takes sizes that ONNX does not allow
LARGE_ERROR = 2e-3  # of an output's largest number: a graph that turns 1e-6 at its inputs into this tells nothing


@dataclasses.dataclass
class Case:
    seed: int
    model: onnx.ModelProto
    inputs: list        # arrays in the model's order
    expected: list      # arrays or lists of them
    relative: float     # tolerance
    absolute: float
    values: dict        # every tensor of the graph, by name
    optimizer_differs: bool = False  # onnxruntime's own optimizer changes a result
    more: list = dataclasses.field(default_factory=list)  # (inputs, expected) of other sizes, run in the same session


class IllConditioned(Exception):
    """Rounding alone decides what comes out."""


def grow(rng):
    b = Builder(rng, OPSETS[int(rng.integers(len(OPSETS)))])
    weights = np.asarray([weight for _, weight in MAKERS])
    for _ in range(b.integer(1, 3)):
        b.leaf(b.shape(1, 4), input_share=1.0)
    target = b.integer(5, 40) if not b.chance(0.05) else b.integer(0, 2)
    for _ in range(4 * target):
        if len(b.nodes) >= target:
            break
        maker = MAKERS[int(rng.choice(len(MAKERS), p=weights / weights.sum()))][0]
        try:
            maker(b)
        except Reject as reason:
            if os.environ.get("SHOW_REJECTS"):
                print(maker.__name__, reason)
    return b


def choose_outputs(b):
    """Most of what nobody reads, some inner tensors, at times an input or an initializer."""
    outputs = [v for v in b.pool if v.kind == "node" and not v.users and not b.chance(0.1)]
    for v in b.pool:
        if v.kind == "node" and v.users and b.chance(0.12):
            outputs.append(v)
        elif v.kind != "node" and b.chance(0.03):
            outputs.append(v)
    outputs = list(dict.fromkeys(outputs)) or b.pool[-1:]
    return [outputs[i] for i in b.rng.permutation(len(outputs))[:12]]


def input_shape(b, array):
    """Its dims as a model declares them: numbers, names for some, or no name."""
    kind = b.choice(["fixed", "fixed", "named", "open", "batch"])
    if kind == "fixed" or array.ndim == 0:
        return array.shape
    if kind == "batch":
        return ["batch" if array.shape[0] == b.pool[0].array.shape[:1] else f"n{array.shape[0]}", *array.shape[1:]]
    return [f"d{d}" if kind == "named" else None if b.chance(0.5) else d for d in array.shape]


def assemble(b, outputs, shuffle):
    used = [v for v in b.root.by_name.values() if v.kind == "input"]
    inputs = [helper.make_value_info(v.name, type_of(v.array, shape=input_shape(b, v.array))) for v in used]
    initializers = [numpy_helper.from_array(v.array, v.name) for v in b.root.by_name.values() if v.kind == "initializer"]
    known = all(d.HasField("dim_value") for i in inputs for d in i.type.tensor_type.shape.dim) and b.chance(0.5)
    infos = [helper.make_value_info(v.name, type_of(v.array, known_shape=known)) for v in outputs]
    if shuffle and b.opset < 21 and b.chance(0.15):  # initializers that are inputs with a default
        inputs += [helper.make_value_info(i.name, helper.make_tensor_type_proto(i.data_type, list(i.dims))) for i in initializers]
    model = b.model_of(helper.make_graph(b.nodes, "random", inputs, infos, initializers))
    return model, used


def perturbed(array, rng):
    if array.dtype.kind != "f":
        return array
    size = 1e-3 if array.dtype == np.float16 else 1e-6
    return np.asarray(array * (1 + size * np.sign(rng.random(array.shape) - 0.5)), array.dtype)


def perturb_model(model, rng):
    other = onnx.ModelProto()
    other.CopyFrom(model)
    for tensor in other.graph.initializer:
        if not tensor.name.startswith(FIXED):
            tensor.CopyFrom(numpy_helper.from_array(perturbed(numpy_helper.to_array(tensor), rng), tensor.name))
    return other


def flat(values):
    return [np.asarray(a) for v in values for a in (v if isinstance(v, list) else [v])]


def largest_change(expected, other):
    """The largest difference of floats; refuses what else differs."""
    largest = 0.0
    for a, c in zip(flat(expected), flat(other), strict=True):
        if a.shape != c.shape or (a.dtype.kind != "f" and not np.array_equal(a, c)):
            raise IllConditioned("an integer or a shape changes")
        if a.dtype.kind == "f" and a.size:
            change, size = np.abs(a.astype(np.float64) - c).max(), max(float(np.abs(a).max()), 1e-3)
            if change > size * (LARGE_ERROR if a.dtype != np.float16 else 0.05):
                raise IllConditioned("a float changes much")
            largest = max(largest, float(change))
    return largest


def expect(model, used, rng):
    feeds = {v.name: v.array for v in used}
    expected = run_onnxruntime(model, feeds)
    change = 0.0
    for _ in range(2):
        other = run_onnxruntime(perturb_model(model, rng), {v.name: perturbed(v.array, rng) for v in used})
        change = max(change, largest_change(expected, other))
    halves = any(element_type(v) == onnx.TensorProto.FLOAT16 for v in flat(expected)) or "elem_type: 10" in str(model.graph)
    floats = [np.abs(a).max() for a in flat(expected) if a.dtype.kind == "f" and a.size]
    scale = float(max(floats, default=1.0))
    absolute = 30 * change + scale * (4e-3 if halves else 2e-6) + 1e-7
    if not np.isfinite(absolute):
        raise IllConditioned("a number is infinite: nothing could be told from it")
    return expected, (2e-2 if halves else 2e-4), absolute


def resized(model, used, rng):
    """The inputs with other sizes of the dimensions that are declared open, smaller ones mostly; rows are left out or come again."""
    sizes = {}
    others = []
    ops = {node.op_type for node in model.graph.node}
    given = {value.name for value in used}
    scaled = any(node.op_type in ("LayerNormalization", "RMSNormalization") and given & set(node.input[1:]) for node in model.graph.node)
    if ops & LAX or scaled:  # scales that begin to broadcast
        return None
    grows = any("Pool" in op or op == "Einsum" for op in ops)  # windows are not to stick out, nor an Einsum to repeat
    for info, value in zip(model.graph.input, used):
        if value.array.ndim == 1 and value.array.dtype.kind in "iu":  # axes and sizes are as many as they are
            sizes.update({dim.dim_param or (info.name, 0): value.array.shape[0] for dim in info.type.tensor_type.shape.dim})
    for info, value in zip(model.graph.input, used):
        array = value.array
        for axis, dim in enumerate(info.type.tensor_type.shape.dim):
            if dim.HasField("dim_value"):
                continue
            key = dim.dim_param or (info.name, axis)
            if key not in sizes:
                smaller = [] if grows else [1, array.shape[axis] - 1]
                sizes[key] = max(1, int(rng.choice([*smaller, array.shape[axis], array.shape[axis] + 1])))
            array = np.take(array, np.arange(sizes[key]) % max(1, array.shape[axis]), axis) if array.shape[axis] else array
        others.append(dataclasses.replace(value, array=array))
    return others if any(o.array.shape != v.array.shape for o, v in zip(others, used)) else None


def with_sizes(model, used):
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for info, value in zip(fixed.graph.input, used):
        info.CopyFrom(helper.make_value_info(value.name, type_of(value.array)))
    return fixed


def add_sizes(case, used, rng, tries=3):
    """Most graphs are made for their sizes: those that take others run with them too."""
    for _ in range(tries):
        others = resized(case.model, used, rng)
        if others is None:
            continue
        try:
            onnx.shape_inference.infer_shapes(with_sizes(case.model, others), strict_mode=True)  # onnxruntime lets more pass
            expected, _, absolute = expect(case.model, others, rng)
        except Exception:  # noqa: BLE001 (sizes that do not fit, or rounding alone decides)
            continue
        case.more.append(([v.array for v in others], expected))
        case.absolute = max(case.absolute, absolute)
    return case


def optimizer_differs(case):
    feeds = {i.name: a for i, a in zip(case.model.graph.input, case.inputs)}
    try:
        got = run_onnxruntime(case.model, feeds, optimized=True)
    except Exception:  # noqa: BLE001
        return True
    for a, c in zip(flat(case.expected), flat(got), strict=True):
        same = a.shape == c.shape and (np.allclose(a, c, case.relative, case.absolute, equal_nan=True) if a.dtype.kind == "f" else np.array_equal(a, c))
        if not same:
            return True
    return False


def generate(seed):
    """The case of a seed, or None where it leads to none that is worth running."""
    rng = np.random.default_rng(seed)
    b = grow(rng)
    outputs = choose_outputs(b)
    model, used = assemble(b, outputs, shuffle=True)
    try:
        expected, relative, absolute = expect(model, used, rng)
    except IllConditioned:
        return None
    except Exception as error:  # noqa: BLE001
        if os.environ.get("SHOW_REJECTS"):
            print("seed", seed, str(error)[:300])
        return None
    values = {name: v.array for name, v in b.by_name.items()}
    if any(node.op_type == "Relu" and np.isnan(values.get(node.input[0], 0)).any() for node in model.graph.node):
        return None  # onnxruntime makes 0 of NaN here
    inputs = [v.array for v in used]  # what else is an input has a default
    return add_sizes(Case(seed, model, inputs, expected, relative, absolute, values), used, rng)


def op_counts(cases):
    counts = collections.Counter()
    for case in cases:
        counts.update(node.op_type for node in case.model.graph.node)
    return counts
