"""Grows an ONNX graph node by node, each tried in onnxruntime as it is added: what onnxruntime refuses is not added.

So every value of the pool is known with its numbers, and generators can ask for "an f32 of rank 4" or stay clear of ties.
"""
import dataclasses
import os

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

MOST_ELEMENTS = 6000
LARGEST_FLOAT = 3e3
# Ops and element types to do without, as the program under test has none: $RANDOM_GRAPHS_WITHOUT="NonZero float16".
WITHOUT = set(os.environ.get("RANDOM_GRAPHS_WITHOUT", "").split())
FIXED = "fixed_"  # names of numbers that are no measured data (scales, bounds): never perturbed


class Reject(Exception):
    """This node or fragment cannot be had here; whoever drives the generator tries another."""


@dataclasses.dataclass(eq=False)
class Value:
    name: str
    array: object  # ndarray, or a list of them for a sequence
    kind: str      # "input", "initializer" or "node"
    users: int = 0

    @property
    def dtype(self):
        return None if self.is_sequence else self.array.dtype

    @property
    def shape(self):
        return self.array.shape

    @property
    def rank(self):
        return self.array.ndim

    @property
    def is_sequence(self):
        return isinstance(self.array, list)

    @property
    def is_float(self):
        return not self.is_sequence and self.array.dtype.kind == "f"


def type_of(array, shape=None, known_shape=True):
    """The TypeProto of an array or list of arrays; `shape` replaces its dims by names or None."""
    if isinstance(array, list):
        return helper.make_sequence_type_proto(helper.make_tensor_type_proto(element_type(array[0]), None))
    return helper.make_tensor_type_proto(element_type(array), (array.shape if shape is None else shape) if known_shape else None)


def element_type(array):
    return TensorProto.STRING if array.dtype == object else helper.np_dtype_to_tensor_dtype(array.dtype)


def session(model, optimized=False):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimized else levels.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run_onnxruntime(model, feeds, optimized=False):
    return session(model, optimized).run(None, feeds)


def captured_names(node):
    """What a node reads: its inputs and what its subgraphs take from outside."""
    names = [name for name in node.input if name]
    for attribute in node.attribute:
        for graph in [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else []:
            inside = {i.name for i in graph.input} | {i.name for i in graph.initializer}
            for inner in graph.node:
                names += [name for name in captured_names(inner) if name not in inside]
                inside |= set(inner.output)
            names += [o.name for o in graph.output if o.name not in inside]
    return list(dict.fromkeys(names))


class Builder:
    def __init__(self, rng, opset, parent=None):
        self.rng, self.opset, self.parent = rng, opset, parent
        self.nodes, self.pool, self.outputs = [], [], []
        self.root = parent.root if parent else self
        if not parent:
            self.by_name, self.count = {}, 0

    # Names and values

    def name(self, prefix):
        self.root.count += 1
        return f"{prefix}{self.root.count}"

    def add_value(self, name, array, kind, pooled=True):
        value = Value(name, array, kind)
        self.root.by_name[name] = value
        if pooled:
            self.pool.append(value)
        return value

    def chance(self, p):
        return self.rng.random() < p

    def choice(self, items):
        return items[int(self.rng.integers(len(items)))]

    def integer(self, low, high):
        """From low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def random_array(self, shape, dtype=np.float32):
        dtype = np.dtype(dtype)
        if dtype.kind == "f":
            size = self.choice([0.05, 1.0, 1.0, 1.0, 2.0, 4.0])
            return np.asarray(self.rng.uniform(-size, size, shape)).astype(dtype)
        if dtype.kind == "b":
            return np.asarray(self.rng.random(shape) < 0.5)
        return np.asarray(self.rng.integers(0 if dtype.kind == "u" else -9, 10, shape)).astype(dtype)

    def const(self, array, fixed=False):
        """A number known when the graph is built, in one of the ways that models have."""
        array = np.asarray(array)
        name = self.name(FIXED if fixed else "c")
        if self.parent is None and self.chance(0.75):
            return self.add_value(name, array, "initializer", pooled=not fixed)
        self.nodes.append(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array, name)))
        return self.add_value(name, array, "node", pooled=not fixed)

    def input(self, array):
        if self.parent is not None:
            return self.const(array)
        return self.add_value(self.name("x"), np.asarray(array), "input")

    def leaf(self, shape, dtype=np.float32, input_share=0.5):
        array = self.random_array(shape, dtype)
        return self.input(array) if self.chance(input_share) else self.const(array)

    def ints(self, numbers):
        """A list of whole numbers for a shape, axes and the like: mostly constant, at times fed or computed."""
        array = np.asarray(numbers, np.int64)
        draw = self.rng.random()
        if draw < 0.06 and self.parent is None:
            return self.add_value(self.name("x"), array, "input")
        constant = self.const(array, fixed=True)
        if draw < 0.12:
            return self.emit("Identity", [constant])[0]
        if draw < 0.18 and array.ndim == 1 and array.size:
            return self.emit("Concat", [self.const(array[:1], fixed=True), self.const(array[1:], fixed=True)], axis=0)[0] if array.size > 1 else constant
        return constant

    # Choosing

    def values(self):
        return self.pool + (self.parent.values() if self.parent else [])

    def pick(self, accept, make=None):
        """A value that is accepted, the latest ones preferred, or a new one by make()."""
        found = [v for v in self.values() if not v.is_sequence and accept(v)]
        if not found or (make and self.chance(0.1)):
            if make is None:
                raise Reject("nothing fits")
            return make()
        latest = max(0, len(found) - 6) if self.chance(0.7) else 0
        return found[self.integer(latest, len(found) - 1)]

    def shape(self, least=0, most=4):
        dims = [1, 2, 3, 4, 5, 7, 8]
        return [0 if self.chance(0.01) else self.choice(dims) for _ in range(self.integer(least, most))]

    def tensor(self, least=0, most=5, dtype=None):
        dtype = np.dtype(dtype or np.float32)
        return self.pick(lambda v: v.dtype == dtype and least <= v.rank <= most,
                         lambda: self.leaf(self.shape(least, min(most, max(4, least))), dtype))

    def any_float(self, least=0, most=5):
        return self.pick(lambda v: v.is_float and least <= v.rank <= most, lambda: self.tensor(least, most))

    def any_tensor(self, least=0, most=5):
        return self.pick(lambda v: least <= v.rank <= most and v.dtype != object, lambda: self.tensor(least, most))

    # Nodes

    def emit(self, op, inputs, outputs=1, domain="", node_name=False, **attributes):
        """Adds a node; the values of its outputs. `outputs` is a count, or a list of flags: False leaves that output's name empty."""
        if op in WITHOUT or any(v and str(v.dtype) in WITHOUT for v in inputs):
            raise Reject("not wanted")
        if op in ("MatMul", "Gemm") and 0 in inputs[0].shape:
            raise Reject("onnxruntime leaves memory as it was, or forgets beta")
        if op.startswith("Reduce") and 0 in inputs[0].shape and (op != "ReduceSum" or inputs[0].rank > 1):
            raise Reject("not defined (a mean of nothing), or onnxruntime gets the shape wrong (axes that are not sorted, or -1)")
        flags = [True] * outputs if isinstance(outputs, int) else outputs
        names = [self.name("t") if flag else "" for flag in flags]
        node = helper.make_node(op, [v.name if v else "" for v in inputs], names, domain=domain,
                                **({"name": self.name("n")} if node_name or self.chance(0.7) else {}),
                                **{k: v for k, v in attributes.items() if v is not None})
        arrays = self.try_node(node)
        self.nodes.append(node)
        for name in captured_names(node):
            self.root.by_name[name].users += 1
        return [self.add_value(n, a, "node") for n, a in zip([n for n in names if n], arrays)]

    def try_node(self, node):
        read = [self.root.by_name[name] for name in captured_names(node)]
        inputs = [helper.make_value_info(v.name, type_of(v.array)) for v in read if v.kind != "initializer"]
        initializers = [numpy_helper.from_array(v.array, v.name) for v in read if v.kind == "initializer"]
        graph = helper.make_graph([node], "g", inputs, [onnx.ValueInfoProto(name=n) for n in node.output if n], initializers)
        try:
            results = run_onnxruntime(self.model_of(graph), {v.name: v.array for v in read if v.kind != "initializer"})
        except Exception as error:  # noqa: BLE001 (onnxruntime has a dozen kinds)
            raise Reject(f"{node.op_type}: {str(error)[:200]}") from error
        for array in results:
            check_moderate(array)
        return results

    def model_of(self, graph):
        imports = [helper.make_opsetid("", self.root.opset), helper.make_opsetid("ai.onnx.ml", 3), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=imports, ir_version=8 if self.root.opset < 21 else 10)

    def child(self):
        """A builder of a subgraph: sees all values of this one, adds nodes and values of its own."""
        return Builder(self.rng, self.opset, self)


def check_moderate(array):
    if isinstance(array, list):
        if not array or len(array) > 20:
            raise Reject("sequence too long, or empty")
        for element in array:
            check_moderate(element)
        return
    array = np.asarray(array)
    if array.size > MOST_ELEMENTS or array.ndim > 7:
        raise Reject("too large")
    if array.dtype.kind == "f" and array.size and not (np.abs(array.astype(np.float64)) <= LARGEST_FLOAT).all():
        raise Reject("too large a number, or none")
    if array.dtype.kind in "iu" and array.itemsize > 2 and array.size and np.abs(array.astype(np.float64)).max() > 2**24:
        raise Reject("too large an integer")
