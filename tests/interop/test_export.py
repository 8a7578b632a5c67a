"""`tandem export` and `tandem compile`: what they write is valid, and means what the model meant, to onnxruntime and to Tandem.

Needs the program tandem: $TANDEM_BIN, else build/release/bin/tandem.
"""
import json
import os
import pathlib
import shutil
import subprocess

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from test_onnx import FEEDS, cnn, encoder, mlp, model, run, tensor_info, weights  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.path.abspath(os.environ.get("TANDEM_BIN", ROOT / "build/release/bin/tandem"))
RANDOM = np.random.default_rng(3)


def tandem(*arguments):
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True)


def residual():
    """A residual sum and an activation that Tandem puts into the convolution."""
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"], pads=[1] * 4), helper.make_node("Add", ["c", "x"], ["s"]),
             helper.make_node("Relu", ["s"], ["r"]), helper.make_node("GlobalAveragePool", ["r"], ["y"])]
    return model(nodes, [tensor_info("x", ["n", 4, 6, 6])], [tensor_info("y", ["n", 4, 1, 1])], [weights("w", 4, 4, 3, 3)], opset=13)


def attention():
    """Scores, softmax and sums as exporters write them, in opset 13."""
    nodes = []
    for name in "qkv":
        nodes.append(helper.make_node("MatMul", ["x", f"w{name}"], [name]))
    nodes += [helper.make_node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]), helper.make_node("MatMul", ["q", "kt"], ["scores"]),
              helper.make_node("Mul", ["scores", "scale"], ["scaled"]), helper.make_node("Softmax", ["scaled"], ["p"], axis=-1),
              helper.make_node("MatMul", ["p", "v"], ["h"]), helper.make_node("Erf", ["h"], ["e"]), helper.make_node("Add", ["e", "x"], ["y"])]
    constants = [weights(f"w{name}", 8, 8, seed=i) for i, name in enumerate("qkv")] + [numpy_helper.from_array(np.float32(8**-0.5), "scale")]
    return model(nodes, [tensor_info("x", ["n", "t", 8])], [tensor_info("y", ["n", "t", 8])], constants, opset=13)


def branches():
    """A body that reads weights from around it."""
    def body(op, name):
        return helper.make_graph([helper.make_node(op, ["x", "w"], [name])], name, [], [tensor_info(name, None)])
    nodes = [helper.make_node("ReduceSum", ["x"], ["total"], keepdims=0), helper.make_node("Less", ["total", "zero"], ["flag"]),
             helper.make_node("If", ["flag"], ["y"], then_branch=body("Add", "a"), else_branch=body("Mul", "b"))]
    constants = [weights("w", 4), numpy_helper.from_array(np.float32(0), "zero")]
    return model(nodes, [tensor_info("x", ["n", 4])], [tensor_info("y", ["n", 4])], constants, opset=13)


def quantized():
    """Convolution, sum, activation, function of one tensor and product between Q and DQ, with every form of bias; scales are powers of two, so
    that f32 is exact and all runtimes agree."""
    nodes, constants = [], []

    def constant(array):
        constants.append(numpy_helper.from_array(np.asarray(array), f"c{len(constants)}"))
        return constants[-1].name

    def emit(op, *inputs, **attributes):
        nodes.append(helper.make_node(op, inputs, [f"v{len(nodes)}"], **attributes))
        return f"v{len(nodes) - 1}"

    def rounded(x, scale, zero=np.uint8(128)):
        numbers = [constant(np.float32(scale)), constant(zero)]
        return emit("DequantizeLinear", emit("QuantizeLinear", x, *numbers), *numbers)

    def filters(*shape):
        scales = constant((2.0 ** -RANDOM.integers(5, 8, shape[0])).astype(np.float32))
        return emit("DequantizeLinear", constant(RANDOM.integers(-90, 90, shape).astype(np.int8)), scales, constant(np.zeros(shape[0], np.int8)), axis=0)

    bias = emit("DequantizeLinear", constant(RANDOM.integers(-500, 500, 4).astype(np.int32)), constant(np.full(4, 2.0**-11, np.float32)),
                constant(np.zeros(4, np.int32)), axis=0)
    x = rounded("x", 2.0**-5)
    y = rounded(emit("Relu", emit("Conv", x, filters(4, 4, 3, 3), bias, pads=[1] * 4)), 2.0**-3, np.uint8(0))
    z = rounded(emit("Conv", y, filters(4, 1, 3, 3), pads=[1] * 4, group=4), 2.0**-2)
    both = rounded(emit("Add", z, x), 2.0**-2)
    curve = rounded(emit("HardSigmoid", both, alpha=0.125, beta=0.5), 2.0**-7, np.uint8(0))
    scaled = rounded(emit("Mul", curve, both), 2.0**-2)
    flat = emit("Flatten", rounded(emit("MaxPool", scaled, kernel_shape=[2, 2], strides=[2, 2]), 2.0**-2))
    weight = emit("DequantizeLinear", constant(RANDOM.integers(-90, 90, (36, 5)).astype(np.int8)), constant(np.float32(2.0**-7)), constant(np.int8(0)))
    nodes.append(helper.make_node("Identity", [rounded(emit("MatMul", flat, weight), 2.0**-1)], ["y"]))
    return model(nodes, [tensor_info("x", ["n", 4, 6, 6])], [tensor_info("y", ["n", 5])], constants, opset=13)


CASES = FEEDS | {
    residual: {"x": RANDOM.normal(size=(2, 4, 6, 6)).astype(np.float32)},
    attention: {"x": RANDOM.normal(size=(2, 5, 8)).astype(np.float32)},
    branches: {"x": RANDOM.normal(size=(3, 4)).astype(np.float32)},
    quantized: {"x": RANDOM.normal(size=(2, 4, 6, 6)).astype(np.float32)},
}


def assert_same(source, written, feeds):
    onnx.checker.check_model(str(written), full_check=True)
    for expected, actual in zip(run(source, feeds), run(written, feeds), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("flags", [(), ("--optimized",), ("--external-data",), ("--optimized", "--external-data")], ids="".join)
@pytest.mark.parametrize("opset", range(13, 24))
@pytest.mark.parametrize("make", [residual, attention, branches, quantized], ids=lambda make: make.__name__)
def test_export_in_every_opset(tmp_path, make, opset, flags):
    source, written = tmp_path / "in.onnx", tmp_path / "out.onnx"
    onnx.save(make(), source)
    done = tandem("export", source, "-o", written, "--opset", opset, *flags)
    assert done.returncode == 0, done.stderr
    again = onnx.load(written)
    assert {o.domain: o.version for o in again.opset_import} == {"": opset}
    assert_same(source, written, CASES[make])


def test_the_rank_of_an_output_may_hang_on_arithmetic_on_constants(tmp_path):
    """torch.jit computes where a shape is cut: until that is folded, not even the rank of what has this shape is known."""
    constants = [numpy_helper.from_array(np.array([n], np.int64), name) for name, n in (("five", 5), ("four", 4), ("zero", 0), ("most", 99))]
    nodes = [helper.make_node("Shape", ["x"], ["shape"]), helper.make_node("Mod", ["five", "four"], ["one"]),
             helper.make_node("Slice", ["shape", "zero", "one"], ["first"]), helper.make_node("Slice", ["shape", "one", "most"], ["rest"]),
             helper.make_node("Concat", ["first", "one", "rest"], ["target"], axis=0), helper.make_node("Reshape", ["x", "target"], ["y"])]
    source, written = tmp_path / "in.onnx", tmp_path / "out.onnx"
    onnx.save(model(nodes, [tensor_info("x", ["n", 4, 6])], [tensor_info("y", ["n", 1, 4, 6])], constants, opset=17), source)
    done = tandem("export", source, "-o", written)
    assert done.returncode == 0, done.stderr
    assert_same(source, written, {"x": RANDOM.normal(size=(2, 4, 6)).astype(np.float32)})


def test_the_rank_of_an_output_may_follow_from_nothing(tmp_path):
    """Branches of different ranks: the rank that the file declares is written again."""
    def branch(op, name, *inputs, **attributes):
        return helper.make_graph([helper.make_node(op, inputs, [name], **attributes)], name, [], [tensor_info(name, None)])
    nodes = [helper.make_node("ReduceMax", ["x"], ["largest"], keepdims=0), helper.make_node("Less", ["largest", "zero"], ["flag"]),
             helper.make_node("If", ["flag"], ["y"], then_branch=branch("ReduceSum", "a", "x", "axes", keepdims=0), else_branch=branch("Identity", "b", "x"))]
    constants = [numpy_helper.from_array(np.float32(0), "zero"), numpy_helper.from_array(np.array([0]), "axes")]
    source, written = tmp_path / "in.onnx", tmp_path / "out.onnx"
    onnx.save(model(nodes, [tensor_info("x", ["n", 4])], [tensor_info("y", [None, None])], constants, opset=13), source)
    done = tandem("export", source, "-o", written)
    assert done.returncode == 0, done.stderr
    assert_same(source, written, {"x": np.abs(RANDOM.normal(size=(2, 4))).astype(np.float32)})


def moving(opset, samples):
    """Ops whose words changed between opsets: axes and sizes that became inputs, numbers of parts, names of modes; also within a body."""
    nodes, constants = [], [numpy_helper.from_array(np.array([1, 2, 2], np.int64), "sizes"), numpy_helper.from_array(np.float32(0), "zero")]

    def emit(op, *inputs, outputs=1, into=nodes, **attributes):
        into.append(helper.make_node(op, inputs, [f"{op}{len(nodes)}_{len(into)}_{i}" for i in range(outputs)], **attributes))
        return list(into[-1].output)

    def reduce(op, x, axes, since=18, into=nodes):
        if opset < since:
            return emit(op, x, axes=axes, keepdims=1, into=into)[0]
        constants.append(numpy_helper.from_array(np.array(axes, np.int64), f"axes{len(constants)}"))
        return emit(op, x, constants[-1].name, keepdims=1, into=into)[0]

    halves = emit("Split", "x", outputs=2, axis=2, **({"num_outputs": 2} if opset >= 18 else {}))
    parts = emit("Split", "x", "sizes", outputs=3, axis=1)
    uneven = emit("Split", "x", outputs=2, axis=1, num_outputs=2) if opset >= 18 else emit("Identity", "x")
    rows = [reduce("ReduceMean", halves[1], [2, 3]), reduce("ReduceL2", parts[1], [-1, -2]), reduce("ReduceSum", uneven[-1], [2, 3], since=13)]
    everything = emit("ReduceMax", "x", keepdims=0)[0]
    bodies = []
    for op in ("ReduceMin", "ReduceMean"):
        body = []
        result = reduce(op, "x", [2, 3], into=body)
        bodies.append(helper.make_graph(body, op, [], [helper.make_tensor_value_info(result, TensorProto.FLOAT, ["n", 5, 1, 1])]))
    rows += emit("If", emit("Greater", everything, "zero")[0], then_branch=bodies[0], else_branch=bodies[1])
    if samples:
        sampled = emit("GridSample", "x", "grid", mode="linear" if opset >= 20 else "bilinear", align_corners=1)
        rows.append(reduce("ReduceMean", sampled[0], [2, 3]))
    nodes.append(helper.make_node("Concat", rows, ["y"], axis=1))
    inputs = [tensor_info("x", ["n", 5, 6, 6]), tensor_info("grid", ["n", 3, 3, 2])][:2 if samples else 1]
    return model(nodes, inputs, [tensor_info("y", ["n", None, 1, 1])], constants, opset=opset)


@pytest.mark.parametrize("opset", [13, 16, 17, 18, 19, 20, 21, 23])
@pytest.mark.parametrize("source_opset", [13, 17, 18, 22])
def test_ops_whose_words_changed(tmp_path, source_opset, opset):
    samples = min(source_opset, opset) >= 16
    source, written = tmp_path / "in.onnx", tmp_path / "out.onnx"
    onnx.save(moving(source_opset, samples), source)
    done = tandem("export", source, "-o", written, "--opset", opset)
    assert done.returncode == 0, done.stderr
    feeds = {"x": RANDOM.normal(size=(2, 5, 6, 6)), "grid": RANDOM.uniform(-1, 1, (2, 3, 3, 2))}
    assert_same(source, written, {name: feeds[name].astype(np.float32) for name in ["x", "grid"][:2 if samples else 1]})


def single(op, opset, shape, lists, **attributes):
    """One node on x; `lists`: its other inputs, None where one is absent."""
    constants = [numpy_helper.from_array(np.array(values), f"c{i}") for i, values in enumerate(lists) if values is not None]
    names = ["x", *(f"c{i}" if values is not None else "" for i, values in enumerate(lists))]
    y = helper.make_empty_tensor_value_info("y")
    graph = helper.make_graph([helper.make_node(op, names, ["y"], name="node", **attributes)], "g", [tensor_info("x", shape)], [y], constants)
    return onnx.shape_inference.infer_shapes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10))


SCALES = [None, np.float32([1, 1, 2, 2])]
# op, its opset, the first one that has the word, shape, other inputs, the word as good as left out, the word with a meaning
WORDS = [
    ("Resize", 18, 18, [1, 2, 4, 6], SCALES, {"antialias": 0, "mode": "linear"}, {"antialias": 1, "mode": "linear"}),
    ("Resize", 18, 18, [1, 2, 4, 6], [None, None, np.array([1, 2, 3, 3])], {"keep_aspect_ratio_policy": "stretch"}, {"keep_aspect_ratio_policy": "not_larger"}),
    ("AveragePool", 19, 19, [1, 2, 6, 6], [], {"kernel_shape": [2, 2], "dilations": [1, 1]}, {"kernel_shape": [2, 2], "dilations": [2, 2]}),
    ("LpPool", 18, 18, [1, 2, 6, 6], [], {"kernel_shape": [2, 2], "ceil_mode": 0}, {"kernel_shape": [2, 2], "strides": [3, 3], "ceil_mode": 1}),
    ("Cast", 19, 19, [2, 3], [], {"to": TensorProto.INT32, "saturate": 1}, {"to": TensorProto.INT32, "saturate": 0}),
    ("Reshape", 14, 14, [2, 3], [np.array([3, 2])], {"allowzero": 0}, {"allowzero": 1}),
    ("Shape", 15, 15, [2, 3, 4], [], {"start": 0}, {"start": 1}),
    ("LSTM", 14, 14, [2, 3, 4], [np.ones((1, 8, 4), np.float32), np.ones((1, 8, 2), np.float32)], {"hidden_size": 2, "layout": 0}, {"hidden_size": 2, "layout": 1}),
    ("QuantizeLinear", 19, 19, [2, 3], [np.float32(0.1), np.uint8(3)], {"saturate": 1}, {"saturate": 0}),
    ("QuantizeLinear", 21, 21, [2, 4], [np.float32(0.1), np.uint8(3)], {"block_size": 0}, {"output_dtype": TensorProto.UINT8}),
]


@pytest.mark.parametrize("op, opset, since, shape, lists, neutral, meaning", WORDS, ids=lambda value: value if isinstance(value, str) else "")
def test_words_that_an_older_opset_lacks(tmp_path, op, opset, since, shape, lists, neutral, meaning):
    """They are left out where they say what goes without saying; else the node is named."""
    source, written = tmp_path / "in.onnx", tmp_path / "out.onnx"
    onnx.save(single(op, opset, shape, lists, **neutral), source)
    done = tandem("export", source, "-o", written, "--opset", since - 1)
    assert done.returncode == 0, done.stderr
    assert_same(source, written, {"x": RANDOM.normal(size=shape).astype(np.float32)})
    onnx.save(single(op, opset, shape, lists, **meaning), source)
    done = tandem("export", source, "-o", tmp_path / "none.onnx", "--opset", since - 1)
    assert done.returncode == 2 and "node" in done.stderr and str(since - 1) in done.stderr and not (tmp_path / "none.onnx").exists()


@pytest.mark.parametrize("axis, inverse", [(1, 0), (2, 1), (-2, 0)])
@pytest.mark.parametrize("source_opset, opset", [(17, 20), (17, 23), (20, 17), (22, 19)])
def test_the_axis_of_a_fourier_transform_moves(tmp_path, source_opset, opset, axis, inverse):
    """onnxruntime counts an attribute from the front only."""
    new = source_opset >= 20
    source, written = tmp_path / "in.onnx", tmp_path / "out.onnx"
    shape = [2, 5, 6, 2 if inverse else 1]
    front = axis % 4
    onnx.save(single("DFT", source_opset, shape, [None, np.int64(axis)] if new else [], inverse=inverse, **({} if new else {"axis": front})), source)
    done = tandem("export", source, "-o", written, "--opset", opset)
    assert done.returncode == 0, done.stderr
    assert_same(source, written, {"x": RANDOM.normal(size=shape).astype(np.float32)})


@pytest.mark.parametrize("source_opset, opset", [(17, 20), (20, 17)])
def test_the_usual_axis_of_a_fourier_transform(tmp_path, source_opset, opset):
    """The first one behind the batch before 20, the last one of the signal from then on."""
    source, written = tmp_path / "in.onnx", tmp_path / "out.onnx"
    onnx.save(single("DFT", source_opset, [2, 5, 6, 1], []), source)
    done = tandem("export", source, "-o", written, "--opset", opset)
    assert done.returncode == 0, done.stderr
    assert_same(source, written, {"x": RANDOM.normal(size=(2, 5, 6, 1)).astype(np.float32)})


@pytest.mark.parametrize("kind, since", [(TensorProto.UINT16, 21), (TensorProto.INT16, 21), (TensorProto.INT4, 21), (TensorProto.FLOAT8E4M3FN, 19)])
def test_element_types_that_an_older_opset_lacks(tmp_path, kind, since):
    source, written = tmp_path / "in.onnx", tmp_path / "out.onnx"
    bytes_of_x = helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"], name="rounds")
    constants = [numpy_helper.from_array(np.float32(0.5), "scale"), helper.make_tensor("zero", kind, [], [0])]
    again = helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"])
    onnx.save(model([bytes_of_x, again], [tensor_info("x", [3])], [tensor_info("y", [3])], constants, opset=21), source)
    assert tandem("export", source, "-o", written, "--opset", since).returncode == 0
    onnx.checker.check_model(onnx.load(written), full_check=True)
    done = tandem("export", source, "-o", tmp_path / "none.onnx", "--opset", since - 1)
    assert done.returncode == 2 and "in this opset" in done.stderr and not (tmp_path / "none.onnx").exists()


def test_axes_of_a_pad_have_no_older_form(tmp_path):
    onnx.save(single("Pad", 18, [2, 3], [np.array([1, 1]), None, np.array([1])]), tmp_path / "in.onnx")
    done = tandem("export", tmp_path / "in.onnx", "-o", tmp_path / "out.onnx", "--opset", 17)
    assert done.returncode == 2 and "axes" in done.stderr


@pytest.mark.parametrize("opset", [13, 17, 22])
def test_parts_of_a_size_that_only_the_run_knows(tmp_path, opset):
    source, written = tmp_path / "in.onnx", tmp_path / "out.onnx"
    nodes = [helper.make_node("Split", ["x"], ["a", "b", "c"], axis=-1, num_outputs=3), helper.make_node("Concat", ["c", "a", "b"], ["y"], axis=1)]
    onnx.save(model(nodes, [tensor_info("x", [2, "n"])], [tensor_info("y", [2, None])], opset=18), source)
    assert tandem("export", source, "-o", written, "--opset", opset).returncode == 0
    for n in (6, 7, 8):
        assert_same(source, written, {"x": RANDOM.normal(size=(2, n)).astype(np.float32)})


@pytest.mark.parametrize("opset", [13, 17, 22])
@pytest.mark.parametrize("mask", [None, TensorProto.FLOAT, TensorProto.BOOL])
def test_attention_before_its_opset(tmp_path, mask, opset):
    source, written = tmp_path / "in.onnx", tmp_path / "out.onnx"
    sizes = {"q": (2, 4, 3, 8), "k": (2, 2, 5, 8), "v": (2, 2, 5, 6), "m": (3, 5)}
    names = list(sizes)[:3 if mask is None else 4]
    inputs = [tensor_info(name, ["n", *sizes[name][1:]]) for name in names[:3]]
    if mask is not None:
        inputs.append(tensor_info("m", [3, 5], mask))
    onnx.save(model([helper.make_node("Attention", names, ["y"], softcap=3.0)], inputs, [tensor_info("y", ["n", 4, 3, 6])], opset=23, ir_version=11), source)
    feeds = {name: RANDOM.normal(size=sizes[name]).astype(np.float32) for name in names}
    if mask == TensorProto.BOOL:
        feeds["m"] = np.array([[1, 1, 0, 1, 0], [0, 0, 1, 0, 0], [1, 1, 1, 1, 1]], bool)
    done = tandem("export", source, "-o", written, "--opset", opset)
    assert done.returncode == 0, done.stderr
    assert_same(source, written, feeds)


OPEN = {"q": ["n", "h", "t", "d"], "k": ["n", "g", "s", "d"], "v": ["n", "g", "s", "e"]}
HEADS = {"q": (2, 4, 3, 8), "k": (2, 2, 5, 8), "v": (2, 2, 5, 6)}
ROWS = {"q": (2, 3, 32), "k": (2, 5, 16), "v": (2, 5, 12)}
PAST = {"pk": (2, 2, 4, 8), "pv": (2, 2, 4, 6)}


@pytest.mark.parametrize("opset", [13, 17, 22])
@pytest.mark.parametrize("sizes, dims, outputs, attributes", [
    (HEADS, OPEN, 1, {}), (HEADS, {}, 1, dict(is_causal=1, scale=0.3)), (HEADS, OPEN, 1, dict(is_causal=1)),
    (ROWS, {}, 1, dict(q_num_heads=4, kv_num_heads=2)), (ROWS | {"m": (3, 5)}, {}, 1, dict(q_num_heads=4, kv_num_heads=2, is_causal=1, softcap=2.0)),
    (ROWS, {"q": ["n", "t", None], "k": ["n", "s", None], "v": ["n", "s", None]}, 1, dict(q_num_heads=4, kv_num_heads=2)),
    (HEADS | {"m": (1, 1, 3, 9)} | PAST, {}, 3, {}), (HEADS | {"m": (3, 9)} | PAST, OPEN | {"m": ["t", None]}, 3, dict(is_causal=1)),
    (ROWS | {"m": ()} | PAST, {}, 3, dict(q_num_heads=4, kv_num_heads=2, is_causal=1)),
], ids=["open", "causal", "open causal", "rows", "rows, mask", "open rows", "past", "open past", "rows, past"])
def test_attention_of_any_form_before_its_opset(tmp_path, sizes, dims, outputs, attributes, opset):
    source, written = tmp_path / "in.onnx", tmp_path / "out.onnx"
    sizes = {name: size for name, size in sizes.items() if size}
    names = [name if name in sizes else "" for name in ("q", "k", "v", "m", "pk", "pv")]
    made = ["y", "present_key", "present_value"][:outputs]
    inputs = [tensor_info(name, dims.get(name, size)) for name, size in sizes.items()]
    ranks = [[None] * len(sizes["q"]), [None] * 4, [None] * 4]
    onnx.save(model([helper.make_node("Attention", names, made, **attributes)], inputs, [tensor_info(*info) for info in zip(made, ranks)], opset=23, ir_version=11), source)
    done = tandem("export", source, "-o", written, "--opset", opset)
    assert done.returncode == 0, done.stderr
    assert "Attention" not in {node.op_type for node in onnx.load(written).graph.node}
    assert_same(source, written, {name: RANDOM.normal(size=size).astype(np.float32) for name, size in sizes.items()})


@pytest.mark.parametrize("opset", [13, 17, 20])
@pytest.mark.parametrize("dims", [("n", 6, 5), ("n", 6, "h", "w"), (None, None, None, None)])
def test_group_normalization_before_its_opset(tmp_path, dims, opset):
    source, written = tmp_path / "in.onnx", tmp_path / "out.onnx"
    node = helper.make_node("GroupNormalization", ["x", "s", "b"], ["y"], num_groups=3, epsilon=1e-3)
    onnx.save(model([node], [tensor_info("x", dims)], [tensor_info("y", dims)], [weights("s", 6), weights("b", 6, seed=1)], opset=21), source)
    done = tandem("export", source, "-o", written, "--opset", opset)
    assert done.returncode == 0, done.stderr
    assert_same(source, written, {"x": RANDOM.normal(size=(2, 6, 5, 4)[:len(dims)]).astype(np.float32)})


@pytest.mark.parametrize("opset", [13, 17])
@pytest.mark.parametrize("image, block, attributes", [
    ([4, 6], [2, 3], dict(strides=[2, 3])), ([5, 5], [3, 2], {}), ([7, 6], [2, 3], dict(strides=[2, 2], pads=[1, 0, 1, 1])),
    ([8, 7], [2, 2], dict(dilations=[3, 2], strides=[2, 1])), ([9], [4], dict(strides=[2], pads=[1, 0])),
], ids=["apart", "overlapping", "padded", "dilated", "a line"])
def test_columns_become_an_image_before_their_opset(tmp_path, image, block, attributes, opset):
    source, written = tmp_path / "in.onnx", tmp_path / "out.onnx"
    rank, area = len(image), int(np.prod(block))
    strides, dilations, pads = (attributes.get(name, [value] * count) for name, value, count in (("strides", 1, rank), ("dilations", 1, rank), ("pads", 0, 2 * rank)))
    blocks = int(np.prod([(image[i] + pads[i] + pads[rank + i] - dilations[i] * (block[i] - 1) - 1) // strides[i] + 1 for i in range(rank)]))
    sizes = [numpy_helper.from_array(np.array(values, np.int64), name) for name, values in (("image", image), ("block", block))]
    node = helper.make_node("Col2Im", ["x", "image", "block"], ["y"], **attributes)
    onnx.save(model([node], [tensor_info("x", ["n", 3 * area, blocks])], [tensor_info("y", ["n", 3, *image])], sizes, opset=18), source)
    done = tandem("export", source, "-o", written, "--opset", opset)
    assert done.returncode == 0, done.stderr
    assert_same(source, written, {"x": RANDOM.normal(size=(2, 3 * area, blocks)).astype(np.float32)})


@pytest.mark.parametrize("opset", [17, 18])
def test_an_optional_value_that_is_not_there(tmp_path, opset):
    """Before 18 the op has an input."""
    source, written = tmp_path / "in.onnx", tmp_path / "out.onnx"
    answer = helper.make_tensor_value_info("y", TensorProto.BOOL, [])
    onnx.save(model([helper.make_node("OptionalHasElement", [], ["y"])], [], [answer], opset=18), source)
    done = tandem("export", source, "-o", written, "--opset", opset)
    assert done.returncode == 0, done.stderr
    onnx.checker.check_model(str(written), full_check=True)
    assert run(written, {}) == [np.False_]


def test_axes_that_the_run_computes_have_no_older_form(tmp_path):
    source, written = tmp_path / "in.onnx", tmp_path / "out.onnx"
    axes = helper.make_tensor_value_info("axes", TensorProto.INT64, [1])
    onnx.save(model([helper.make_node("ReduceMean", ["x", "axes"], ["y"], name="mean")], [tensor_info("x", [2, 4]), axes], [tensor_info("y", [None, None])],
                    [], opset=18), source)
    done = tandem("export", source, "-o", written, "--opset", 17)
    assert done.returncode == 2 and "mean" in done.stderr and "17" in done.stderr and not written.exists()


def test_quantized_nodes_are_fused_before_they_are_written_out(tmp_path):
    """Else the test above compares nothing."""
    onnx.save(quantized(), tmp_path / "in.onnx")
    ops = {"QuantizedConv", "QuantizedMatMul", "QuantizedAdd", "ByteTable"}
    for flags, expected in [((), ops), (("--disable-pass", "byte_table_fusion"), ops | {"QuantizedMul"})]:
        fused = tandem("inspect", tmp_path / "in.onnx", "--text", *flags).stdout
        assert not [op for op in expected if op not in fused], fused


def test_a_node_that_has_no_form_in_the_opset_is_named(tmp_path):
    source = tmp_path / "in.onnx"
    normalization = helper.make_node("LayerNormalization", ["x", "s"], ["y"], name="norm")
    onnx.save(model([normalization], [tensor_info("x", [2, 4])], [tensor_info("y", [2, 4])], [weights("s", 4)]), source)
    done = tandem("export", source, "-o", tmp_path / "out.onnx", "--opset", 11)
    if done.returncode == 0:  # written in older ops
        return assert_same(source, tmp_path / "out.onnx", {"x": RANDOM.normal(size=(2, 4)).astype(np.float32)})
    assert done.returncode == 2 and "norm" in done.stderr and "11" in done.stderr
    assert not (tmp_path / "out.onnx").exists()


def test_external_data_lies_at_page_boundaries(tmp_path):
    source, written = tmp_path / "in.onnx", tmp_path / "out.onnx"
    big = [weights("w1", 500, 700), weights("w2", 700, 3), weights("small", 3)]
    nodes = [helper.make_node("MatMul", ["x", "w1"], ["h"]), helper.make_node("MatMul", ["h", "w2"], ["m"]), helper.make_node("Add", ["m", "small"], ["y"])]
    onnx.save(model(nodes, [tensor_info("x", ["n", 500])], [tensor_info("y", ["n", 3])], big), source)
    assert tandem("export", source, "-o", written, "--external-data").returncode == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.onnx", "out.onnx", "out.onnx.data"]
    offsets = [int(entry.value) for tensor in onnx.load(written, load_external_data=False).graph.initializer
               for entry in tensor.external_data if entry.key == "offset"]
    assert len(offsets) == 2 and all(offset % 4096 == 0 for offset in offsets)
    feeds = {"x": RANDOM.normal(size=(2, 500)).astype(np.float32)}
    assert_same(source, written, feeds)
    np.savez(tmp_path / "feeds.npz", **feeds)
    for name in ("in.onnx", "out.onnx"):
        assert tandem("run", tmp_path / name, "--input", tmp_path / "feeds.npz", "--output", tmp_path / f"{name}.npz").returncode == 0
    np.testing.assert_array_equal(np.load(tmp_path / "in.onnx.npz")["y"], np.load(tmp_path / "out.onnx.npz")["y"])


@pytest.mark.parametrize("make", [mlp, cnn, residual, attention, branches, quantized], ids=lambda make: make.__name__)
def test_a_compiled_model_computes_the_same_bits(tmp_path, make):
    source, compiled, back = tmp_path / "in.onnx", tmp_path / "in.tdm", tmp_path / "back.onnx"
    onnx.save(make(), source)
    done = tandem("compile", source)
    assert done.returncode == 0, done.stderr
    np.savez(tmp_path / "feeds.npz", **CASES[make])
    for name in ("in.onnx", "in.tdm"):
        done = tandem("run", tmp_path / name, "--input", tmp_path / "feeds.npz", "--output", tmp_path / f"{name}.npz")
        assert done.returncode == 0, done.stderr
    ours, theirs = np.load(tmp_path / "in.tdm.npz"), np.load(tmp_path / "in.onnx.npz")
    assert ours.files == theirs.files
    for name in ours.files:
        np.testing.assert_array_equal(ours[name], theirs[name])
    held = json.loads(tandem("inspect", compiled, "--json").stdout)["compiled"]
    assert held["panels_fit"] and held["panels_taken"] == held["panels"] and held["panels_packed"] == 0
    assert held["source"] == str(source) and held["file_bytes"] == compiled.stat().st_size
    assert tandem("export", compiled, "-o", back, "--opset", 17).returncode == 0
    assert_same(source, back, CASES[make])


def test_a_compiled_model_of_another_instruction_set_says_how_to_make_it_anew(tmp_path):
    source = tmp_path / "in.onnx"
    onnx.save(mlp(), source)
    made = subprocess.run([BINARY, "compile", source], env=os.environ | {"TANDEM_ISA": "portable"}, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    done = subprocess.run([BINARY, "inspect", tmp_path / "in.tdm"], env=os.environ | {"TANDEM_ISA": "avx2"}, capture_output=True, text=True)
    if "lacks" in done.stderr:
        pytest.skip("this machine has one instruction set only")
    assert done.returncode == 2 and f"tandem compile {source.name} -o" in done.stderr


def test_more_than_two_gigabytes(tmp_path):
    """Weights of 2.2 GB that are mostly holes in a file, read and written again."""
    if os.environ.get("TANDEM_NETWORKS") != "all":
        pytest.skip("moves 5 GB: scripts/test --all does it")
    free = shutil.disk_usage(tmp_path).free
    memory = next(int(line.split()[1]) << 10 for line in open("/proc/meminfo") if line.startswith("MemAvailable:"))
    if free < 6 << 30 or memory < 6 << 30:
        pytest.skip(f"needs 6 GB of disk and of memory, has {free >> 30} and {memory >> 30}")
    rows, columns = 1 << 19, 1 << 10  # 2 GiB of f32
    source, written = tmp_path / "in.onnx", tmp_path / "out.onnx"
    table = TensorProto(name="table", dims=[rows, columns], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    for key, value in {"location": "in.bin", "offset": "0", "length": str(rows * columns * 4)}.items():
        table.external_data.add(key=key, value=value)
    with open(tmp_path / "in.bin", "wb") as file:
        file.truncate(rows * columns * 4)
        file.seek((rows - 1) * columns * 4)
        file.write(np.arange(columns, dtype=np.float32).tobytes())
    graph = helper.make_graph([helper.make_node("Gather", ["table", "i"], ["y"])], "g", [tensor_info("i", ["n"], TensorProto.INT64)],
                              [tensor_info("y", ["n", columns])], [table])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), source)
    done = tandem("export", source, "-o", written)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.onnx.data").stat().st_size >= 2 << 30
    feeds = {"i": np.array([rows - 1, 0], np.int64)}
    np.savez(tmp_path / "feeds.npz", **feeds)
    done = tandem("run", written, "--input", tmp_path / "feeds.npz", "--output", tmp_path / "y.npz")
    assert done.returncode == 0, done.stderr
    expected = np.stack([np.arange(columns, dtype=np.float32), np.zeros(columns, np.float32)])
    np.testing.assert_array_equal(np.load(tmp_path / "y.npz")["y"], expected)
    np.testing.assert_array_equal(run(written, feeds)[0], expected)
