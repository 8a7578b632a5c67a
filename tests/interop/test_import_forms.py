"""Rare but lawful forms of ONNX files, made with the onnx package: sparse tensors, defaults of inputs, stale shapes, old opsets,
gradients as nodes."""
import os
import pathlib
import subprocess

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.path.abspath(os.environ.get("TANDEM_BIN", ROOT / "build/release/bin/tandem"))
X = np.arange(6, dtype=np.float32).reshape(2, 3) - 2
W = np.array([[0, 3, 0], [0, 0, -5]], np.float32)


def info(name, array):
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)


def model(nodes, inputs, outputs, opset=18, ir_version=9, **rest):
    graph = helper.make_graph(nodes, "g", [info(*pair) for pair in inputs.items()], [info(*pair) for pair in outputs.items()], **rest)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)


def outcome(folder, proto, inputs, outputs):
    """What is wrong with the case, or ""."""
    data = folder / "case/test_data_set_0"
    data.mkdir(parents=True, exist_ok=True)
    for old in data.iterdir():
        old.unlink()
    (folder / "case/model.onnx").write_bytes(proto.SerializeToString())
    for kind, arrays in (("input", inputs), ("output", outputs)):
        for i, array in enumerate(arrays):
            (data / f"{kind}_{i}.pb").write_bytes(numpy_helper.from_array(np.asarray(array)).SerializeToString())
    done = subprocess.run([BINARY, "conformance", folder / "case", "--verbose"], capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, 1), done.stderr
    return "" if done.returncode == 0 else done.stdout.splitlines()[-1]


def sparse(name="w", values=(3, -5), indices=(1, 5), dims=(2, 3), dtype=np.float32):
    tensor = onnx.SparseTensorProto()
    tensor.values.CopyFrom(numpy_helper.from_array(np.array(values, dtype), name))
    tensor.indices.CopyFrom(numpy_helper.from_array(np.array(indices, np.int64), name + "_indices"))
    tensor.dims.extend(dims)
    return tensor


INT, FLOAT, TEXT = TensorProto.INT64, TensorProto.FLOAT, TensorProto.STRING
ADD = [helper.make_node("Add", ["x", "w"], ["y"])]


@pytest.mark.parametrize("indices", [[1, 5], [[0, 1], [1, 2]]], ids=["flat", "by axis"])
def test_sparse_initializers_and_constants(tmp_path, indices):
    proto = model(ADD, {"x": X}, {"y": X}, sparse_initializer=[sparse(indices=indices)])
    assert outcome(tmp_path, proto, [X], [X + W]) == ""
    constant = helper.make_node("Constant", [], ["w"], sparse_value=sparse(indices=indices))
    assert outcome(tmp_path, model([constant, *ADD], {"x": X}, {"y": X}), [X], [X + W]) == ""


@pytest.mark.parametrize("op", ["LayerNormalization", "RMSNormalization"])
@pytest.mark.parametrize("scale, bias, axis", [((1,), (6,), -1), ((), (1,), -1), ((1, 1, 6), (6,), -1), ((3, 6), (1, 6), 1), ((3, 1), (3, 6), -1),
                                               ((2, 1, 6), (2, 3, 1), -1), ((6,), (3, 6), 1)], ids=str)
def test_scales_of_a_normalization_broadcast(tmp_path, op, scale, bias, axis):
    """Lawful by the specification, beside the row that everybody writes."""
    random = np.random.default_rng(0)
    x, s, b = (random.normal(size=shape).astype(np.float32) for shape in ((2, 3, 6), scale, bias))
    axes = tuple(range(axis % 3, 3))
    centered = x - x.mean(axes, keepdims=True) if op[0] == "L" else x
    y = centered / np.sqrt((centered ** 2).mean(axes, keepdims=True) + 1e-5) * s + (b if op[0] == "L" else 0)
    node = helper.make_node(op, ["x", "s", "b"] if op[0] == "L" else ["x", "s"], ["y"], axis=axis)
    proto = model([node], {"x": x}, {"y": x}, opset=23, ir_version=11, initializer=[numpy_helper.from_array(s, "s"), numpy_helper.from_array(b, "b")])
    for dim in proto.graph.input[0].type.tensor_type.shape.dim[:2]:
        dim.Clear()
    assert outcome(tmp_path, proto, [x], [y.astype(np.float32)]) == ""


def test_sparse_integers_and_an_empty_one(tmp_path):
    x = X.astype(np.int64)
    assert outcome(tmp_path, model(ADD, {"x": x}, {"y": x}, sparse_initializer=[sparse(dtype=np.int64)]), [x], [x + W.astype(np.int64)]) == ""
    assert outcome(tmp_path, model(ADD, {"x": X}, {"y": X}, sparse_initializer=[sparse(values=[], indices=[])]), [X], [X]) == ""


@pytest.mark.parametrize("wrong, says", [
    (dict(indices=[1, 6]), "outside"),
    (dict(indices=[-1, 5]), "outside"),
    (dict(indices=[[0, 1], [2, 2]]), "outside"),
    (dict(indices=[5, 1]), "rise"),
    (dict(indices=[1, 1]), "rise"),
    (dict(indices=[1, 2, 3]), "another shape"),
    (dict(indices=[[0, 1, 1], [1, 2, 2]]), "another shape"),
    (dict(dims=(1 << 20, 1 << 20)), "too large"),
    (dict(dims=(1 << 40, 1 << 40)), "elements"),
])
def test_wrong_sparse_tensors(tmp_path, wrong, says):
    text = outcome(tmp_path, model(ADD, {"x": X}, {"y": X}, sparse_initializer=[sparse(**wrong)]), [X], [X])
    assert says in text and "sparse tensor 'w'" in text


@pytest.mark.parametrize("ir_version", [3, 8])
def test_an_initializer_is_the_default_of_an_input(tmp_path, ir_version):
    proto = model(ADD, {"x": X, "w": W}, {"y": X}, initializer=[numpy_helper.from_array(W, "w")], ir_version=ir_version)
    assert outcome(tmp_path, proto, [X], [X + W]) == ""
    assert outcome(tmp_path, proto, [X, 10 * W], [X + 10 * W]) == ""
    assert "elements differ" in outcome(tmp_path, proto, [X, 10 * W], [X + W])
    first = model(ADD, {"w": W, "x": X}, {"y": X}, initializer=[numpy_helper.from_array(W, "w")], ir_version=ir_version)
    assert outcome(tmp_path, first, [10 * W, X], [X + 10 * W]) == ""


def test_run_takes_the_default_or_what_is_given(tmp_path):
    proto = model(ADD, {"x": X, "w": W}, {"y": X}, initializer=[numpy_helper.from_array(W, "w")])
    onnx.save(proto, tmp_path / "m.onnx")
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "w.npy", 10 * W)
    np.savez(tmp_path / "both.npz", x=X, w=10 * W)

    def run(*inputs):
        arguments = [part for spec in inputs for part in ("--input", spec)]
        subprocess.run([BINARY, "run", tmp_path / "m.onnx", *arguments, "--output", tmp_path / "y.npz"], check=True, timeout=60, capture_output=True)
        return np.load(tmp_path / "y.npz")["y"]
    np.testing.assert_array_equal(run(f"x={tmp_path / 'x.npy'}"), X + W)
    np.testing.assert_array_equal(run(f"x={tmp_path / 'x.npy'}", f"w={tmp_path / 'w.npy'}"), X + 10 * W)
    np.testing.assert_array_equal(run(tmp_path / "both.npz"), X + 10 * W)


def test_a_stale_shape_of_an_output_is_advice(tmp_path):
    stale = model(ADD, {"x": X}, {"y": np.zeros((7, 3), np.float32)}, initializer=[numpy_helper.from_array(W, "w")])
    assert outcome(tmp_path, stale, [X], [X + W]) == ""
    wrong = model(ADD, {"x": X}, {"y": np.zeros((2, 3), np.int64)}, initializer=[numpy_helper.from_array(W, "w")])
    assert "another type" in outcome(tmp_path, wrong, [X], [X + W])


def batch_norm(x, scale, bias, mean, var):
    shape = (1, -1, 1, 1)
    scale, bias, mean, var = (v.reshape(shape) for v in (scale, bias, mean, var))
    return ((x - mean) / np.sqrt(var + 1e-5) * scale + bias).astype(np.float32)


CHANNELS = [np.array(v, np.float32) for v in ([1, 2], [3, -4], [0.5, 0.25], [4, 9])]


@pytest.mark.parametrize("opset, attributes", [(6, dict(is_test=1)), (6, dict(is_test=1, spatial=1)), (7, dict(spatial=1)), (8, {}), (9, {})])
def test_batch_normalization_of_old(tmp_path, opset, attributes):
    x = np.random.default_rng(3).normal(size=(2, 2, 3, 1)).astype(np.float32)
    node = helper.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"], **attributes)
    weights = [numpy_helper.from_array(v, n) for v, n in zip(CHANNELS, "sbmv")]
    proto = model([node], {"x": x}, {"y": x}, opset=opset, initializer=weights)
    assert outcome(tmp_path, proto, [x], [batch_norm(x, *CHANNELS)]) == ""


def test_batch_normalization_6_trains_unless_told_otherwise(tmp_path):
    x = np.random.default_rng(3).normal(size=(2, 2, 3, 1)).astype(np.float32)
    node = helper.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"])
    weights = [numpy_helper.from_array(v, n) for v, n in zip(CHANNELS, "sbmv")]
    expected = batch_norm(x, *CHANNELS[:2], x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3)))
    assert outcome(tmp_path, model([node], {"x": x}, {"y": x}, opset=6, initializer=weights), [x], [expected]) == ""
    node = helper.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"], spatial=0, is_test=1)
    assert "spatial" in outcome(tmp_path, model([node], {"x": x}, {"y": x}, opset=6, initializer=weights), [x], [expected])


def test_batch_normalization_with_statistics_trains(tmp_path):
    """Before 14 the outputs tell; the last two, for a gradient, nobody may read."""
    x = np.random.default_rng(3).normal(size=(2, 2, 3, 1)).astype(np.float32)
    node = helper.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y", "mean", "var", "saved_mean", "saved_var"], momentum=0.75)
    weights = [numpy_helper.from_array(v, n) for v, n in zip(CHANNELS, "sbmv")]
    mean, var = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
    outputs = {"y": x, "mean": mean, "var": var}
    expected = [batch_norm(x, *CHANNELS[:2], mean, var), 0.75 * CHANNELS[2] + 0.25 * mean, 0.75 * CHANNELS[3] + 0.25 * var]
    assert outcome(tmp_path, model([node], {"x": x}, outputs, opset=9, initializer=weights), [x], expected) == ""
    reader = helper.make_node("Neg", ["saved_mean"], ["z"])
    assert "saved_mean" in outcome(tmp_path, model([node, reader], {"x": x}, {"z": mean}, opset=9, initializer=weights), [x], [mean])


def test_gemm_6(tmp_path):
    b, c = W.T.copy(), np.array([1, 2], np.float32)
    node = helper.make_node("Gemm", ["x", "b", "c"], ["y"], broadcast=1, alpha=2.0)
    proto = model([node], {"x": X}, {"y": X @ b}, opset=6, initializer=[numpy_helper.from_array(b, "b"), numpy_helper.from_array(c, "c")])
    assert outcome(tmp_path, proto, [X], [2 * X @ b + c]) == ""


def gradient_model(nodes, outputs, **rest):
    proto = model(nodes, {"a": X, "b": X}, {name: X for name in outputs}, **rest)
    proto.opset_import.append(helper.make_opsetid("ai.onnx.preview.training", 1))
    return proto


def gradient(inputs, outputs, **attributes):
    return helper.make_node("Gradient", inputs, outputs, domain="ai.onnx.preview.training", **attributes)


A, B = X, np.random.default_rng(9).normal(size=X.shape).astype(np.float32)
PRODUCT = [helper.make_node("Mul", ["a", "b"], ["h"]), helper.make_node("Sin", ["h"], ["y"])]  # y = sin(a b)


def test_gradients(tmp_path):
    slope = np.cos(A * B)
    both = gradient_model([*PRODUCT, gradient(["a", "b"], ["da", "db"], xs=["a", "b"], y="y")], ["da", "db"])
    assert outcome(tmp_path, both, [A, B], [slope * B, slope * A]) == ""
    unordered = gradient_model([gradient(["a", "b"], ["da", "db"], xs=["a", "b"], y="y"), *PRODUCT], ["da", "db"])
    assert outcome(tmp_path, unordered, [A, B], [slope * B, slope * A]) == ""
    one = gradient_model([*PRODUCT, gradient(["a", "b"], ["da"], xs=["a"], zs=["b"], y="y")], ["da"])
    assert outcome(tmp_path, one, [A, B], [slope * B]) == ""
    second = gradient_model([*PRODUCT, gradient(["a", "b"], ["", "db"], xs=["a", "b"], y="y")], ["db"])
    assert outcome(tmp_path, second, [A, B], [slope * A]) == ""
    inner = gradient_model([*PRODUCT, gradient(["h"], ["dh"], xs=["h"], y="y")], ["dh"])
    assert outcome(tmp_path, inner, [A, B], [slope]) == ""


def test_gradients_elsewhere_of_second_order_and_of_nothing(tmp_path):
    elsewhere = gradient_model([*PRODUCT, gradient(["b", "b"], ["da", "db"], xs=["a", "b"], y="y")], ["da", "db"])  # at a = b
    assert outcome(tmp_path, elsewhere, [A, B], [np.cos(B * B) * B, np.cos(B * B) * B]) == ""
    inner = gradient_model([*PRODUCT, gradient(["a"], ["dh"], xs=["h"], y="y")], ["dh"])  # at h = a
    assert outcome(tmp_path, inner, [A, B], [np.cos(A)]) == ""
    twice = gradient_model([*PRODUCT, gradient(["a", "b"], ["da"], xs=["a"], zs=["b"], y="y"),
                            gradient(["a", "b"], ["daa"], xs=["a"], zs=["b"], y="da")], ["daa"])
    assert outcome(tmp_path, twice, [A, B], [-np.sin(A * B) * B * B]) == ""
    nothing = gradient_model([helper.make_node("Sin", ["a"], ["y"]), gradient(["b"], ["db"], xs=["b"], y="y")], ["db"])
    assert outcome(tmp_path, nothing, [A, B], [0 * B]) == ""


def test_gradients_that_cannot_be(tmp_path):
    missing = gradient_model([*PRODUCT, gradient(["a"], ["da"], xs=["a"], y="z")], ["da"])
    assert "nothing makes" in outcome(tmp_path, missing, [A, B], [A])
    few = gradient_model([*PRODUCT, gradient(["a"], ["da"], xs=["a", "b"], y="y")], ["da"])
    assert "one input for each name" in outcome(tmp_path, few, [A, B], [A])
    many = gradient_model([*PRODUCT, gradient(["a"], ["da", "db"], xs=["a"], y="y")], ["da", "db"])
    assert "more outputs" in outcome(tmp_path, many, [A, B], [A, A])
    without = gradient_model([*PRODUCT, gradient(["a"], ["da"], xs=["a"])], ["da"])
    assert "xs and y" in outcome(tmp_path, without, [A, B], [A])


def untyped(name):
    return onnx.ValueInfoProto(name=name)


def test_a_branch_that_is_not_taken_may_be_wrong_for_the_shapes(tmp_path):
    """As in function bodies that ask for the rank first: the other branch reshapes or splits what is not there."""
    fits = helper.make_graph([helper.make_node("Neg", ["x"], ["r"])], "fits", [], [untyped("r")])
    splits = helper.make_graph([helper.make_node("Split", ["x"], ["r", *(f"s{i}" for i in range(8))], num_outputs=9)], "splits", [], [untyped("r")])
    node = helper.make_node("If", ["c"], ["y"], then_branch=fits, else_branch=splits)
    c = np.array(True)
    proto = model([node], {"x": X, "c": c}, {"y": X})
    assert outcome(tmp_path, proto, [X, c], [-X]) == ""
    assert "Split" in outcome(tmp_path, proto, [X, ~c], [-X])
    wrong = helper.make_graph([helper.make_node("Neg", ["x", "x"], ["r"])], "wrong", [], [untyped("r")])  # in every shape
    node = helper.make_node("If", ["c"], ["y"], then_branch=fits, else_branch=wrong)
    assert "number of inputs" in outcome(tmp_path, model([node], {"x": X, "c": c}, {"y": X}), [X, c], [-X])


def test_bodies_that_leave_types_out(tmp_path):
    """The running sum of the rows, by Scan and by Loop."""
    add = [helper.make_node("Add", ["sum", "row"], ["next"]), helper.make_node("Identity", ["next"], ["each"])]
    zero = numpy_helper.from_array(np.zeros(3, np.float32), "zero")
    body = helper.make_graph(add, "body", [untyped("sum"), untyped("row")], [untyped("next"), untyped("each")])
    scan = helper.make_node("Scan", ["zero", "x"], ["last", "y"], body=body, num_scan_inputs=1)
    expected = np.cumsum(X, axis=0)
    assert outcome(tmp_path, model([scan], {"x": X}, {"y": X, "last": X[0]}, initializer=[zero]), [X], [expected, expected[-1]]) == ""
    gather = [helper.make_node("Gather", ["x", "i"], ["row"]), *add, helper.make_node("Identity", ["go"], ["on"])]
    body = helper.make_graph(gather, "body", [untyped("i"), untyped("go"), untyped("sum")], [untyped("on"), untyped("next"), untyped("each")])
    loop = helper.make_node("Loop", ["rows", "", "zero"], ["last", "y"], body=body)
    rows = numpy_helper.from_array(np.array(2, np.int64), "rows")
    assert outcome(tmp_path, model([loop], {"x": X}, {"y": X, "last": X[0]}, initializer=[zero, rows]), [X], [expected, expected[-1]]) == ""


def sizes_model(op, declared, x):
    """The sizes of what the body of a Loop, Scan or SequenceMap is given, by Shape; its input is declared as an array of the sizes `declared`."""
    sizes = [helper.make_node("Shape", ["s"], ["sizes"]), helper.make_node("Identity", ["s"], ["kept"])]
    s, kept = (helper.make_tensor_value_info(name, FLOAT, declared) for name in ("s", "kept"))
    made = helper.make_tensor_value_info("sizes", INT, [len(declared)])
    i, go, on = (helper.make_tensor_value_info(name, kind, []) for name, kind in (("i", INT), ("go", TensorProto.BOOL), ("on", TensorProto.BOOL)))
    two = numpy_helper.from_array(np.array(2, np.int64), "two")
    if op == "Loop":
        body = helper.make_graph([*sizes, helper.make_node("Identity", ["go"], ["on"])], "body", [i, go, s], [on, kept, made])
        nodes = [helper.make_node("Loop", ["two", "", "x"], ["last", "y"], body=body)]
    elif op == "growing Loop":
        grow = [sizes[0], helper.make_node("Concat", ["s", "s"], ["kept"], axis=0), helper.make_node("Identity", ["go"], ["on"])]
        body = helper.make_graph(grow, "body", [i, go, s], [on, helper.make_tensor_value_info("kept", FLOAT, None), made])
        nodes = [helper.make_node("Loop", ["two", "", "x"], ["last", "y"], body=body)]
    elif op == "Scan":
        body = helper.make_graph(sizes, "body", [s], [made])
        nodes = [helper.make_node("Scan", ["x"], ["y"], body=body, num_scan_inputs=1, scan_input_axes=[-1])]
    else:
        body = helper.make_graph(sizes, "body", [s], [made])
        nodes = [helper.make_node("SplitToSequence", ["x"], ["parts"], axis=0),
                 helper.make_node("SequenceMap", ["parts"], ["all"], body=body),
                 helper.make_node("ConcatFromSequence", ["all"], ["y"], axis=0, new_axis=1)]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", FLOAT, x)], [helper.make_tensor_value_info("y", INT, ["n", None])], [two])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.parametrize("op, declared, x, expected", [
    ("Loop", [2, 3], ["rows", 3], [[4, 3], [4, 3]]), ("Loop", ["n", "n"], ["rows", "columns"], [[4, 3], [4, 3]]),
    ("growing Loop", [4, 3], [4, 3], [[4, 3], [8, 3]]), ("Scan", [2], ["rows", 3], [[4]] * 3), ("SequenceMap", [1, 5], ["rows", "columns"], [[1, 3]] * 4)])
def test_sizes_that_a_body_declares_are_not_those_of_a_run(tmp_path, op, declared, x, expected):
    proto = sizes_model(op, declared, x)
    assert outcome(tmp_path, proto, [np.ones((4, 3), np.float32)], [np.array(expected, np.int64)]) == ""


def test_the_export_of_a_scan_says_what_sizes_it_makes(tmp_path):
    """Though the file leaves them out and another node reads them: onnx.checker wants a rank of each output."""
    proto = sizes_model("Scan", [4], [4, "columns"])
    proto.graph.output.append(helper.make_tensor_value_info("kept", INT, None))
    proto.graph.node.append(helper.make_node("Neg", ["y"], ["kept"]))
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    (tmp_path / "scan.onnx").write_bytes(proto.SerializeToString())
    done = subprocess.run([BINARY, "export", tmp_path / "scan.onnx", "-o", tmp_path / "written.onnx"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    written = onnx.load(tmp_path / "written.onnx")
    onnx.checker.check_model(written, full_check=True)
    for output in written.graph.output:
        assert [dim.dim_param or dim.dim_value for dim in output.type.tensor_type.shape.dim] == ["columns", 1]


def test_the_export_of_a_loop_says_what_rank_it_makes(tmp_path):
    """Rows of which half are kept in each iteration, and their numbers."""
    i, go, on = (helper.make_tensor_value_info(name, kind, []) for name, kind in (("i", INT), ("go", TensorProto.BOOL), ("on", TensorProto.BOOL)))
    s, kept = (helper.make_tensor_value_info(name, FLOAT, ["some", 3]) for name in ("s", "kept"))
    nodes = [helper.make_node("Compress", ["s", "odd"], ["kept"], axis=0), helper.make_node("Identity", ["go"], ["on"])]
    odd = numpy_helper.from_array(np.array([False, True]), "odd")
    body = helper.make_graph(nodes, "body", [i, go, s], [on, kept], [odd])
    loop = helper.make_node("Loop", ["one", "", "x"], ["last"], body=body)
    proto = model([loop, helper.make_node("Neg", ["last"], ["y"])], {"x": X}, {"y": X, "last": X}, initializer=[numpy_helper.from_array(np.array(1, np.int64), "one")])
    for output in proto.graph.output:
        output.type.tensor_type.ClearField("shape")
    (tmp_path / "loop.onnx").write_bytes(proto.SerializeToString())
    done = subprocess.run([BINARY, "export", tmp_path / "loop.onnx", "-o", tmp_path / "written.onnx"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    onnx.checker.check_model(onnx.load(tmp_path / "written.onnx"), full_check=True)
    assert outcome(tmp_path, proto, [X], [-X[1:], X[1:]]) == ""


def test_a_wrong_body_within_many_is_read_few_times(tmp_path):
    """Each branch around it is read again without shapes, but not each of those within it."""
    inner = [helper.make_node("Neg", ["x", "x"], ["r"])]
    for _ in range(28):
        branch = helper.make_graph(inner, "branch", [], [untyped("r")])
        fits = helper.make_graph([helper.make_node("Neg", ["x"], ["r"])], "fits", [], [untyped("r")])
        inner = [helper.make_node("If", ["c"], ["r"], then_branch=fits, else_branch=branch)]
    inner[0].output[0] = "y"
    c = np.array(True)
    assert "number of inputs" in outcome(tmp_path, model(inner, {"x": X, "c": c}, {"y": X}), [X, c], [-X])


def test_ops_of_onnxruntime_without_an_import(tmp_path):
    """As its transformer optimizer writes them; its domain has one version."""
    onnxruntime = pytest.importorskip("onnxruntime")
    proto = model([helper.make_node("BiasGelu", ["x", "b"], ["y"], domain="com.microsoft")], {"x": X}, {"y": X},
                  initializer=[numpy_helper.from_array(np.float32([1, 2, 3]), "b")])
    assert [entry.domain for entry in proto.opset_import] == [""]
    expected = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": X})
    (tmp_path / "case").mkdir()
    (tmp_path / "case/data.json").write_text('{"rtol": 1e-5, "atol": 1e-6}')
    assert outcome(tmp_path, proto, [X], expected) == ""


@pytest.mark.parametrize("coordinates", ["asymmetric", "half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn"])
def test_the_nearest_pixel_is_onnxruntimes(tmp_path, coordinates):
    """Positions next to a tie: their quotients in float decide."""
    onnxruntime = pytest.importorskip("onnxruntime")
    x = np.arange(600, dtype=np.float32).reshape(1, 1, 20, 30)
    for rounding in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"):
        for scales in ((1.7, 2.3), (0.7, 1.1), (3.3, 1.9)):
            node = helper.make_node("Resize", ["x", "", "scales"], ["y"], mode="nearest", coordinate_transformation_mode=coordinates, nearest_mode=rounding)
            proto = model([node], {"x": x}, {}, initializer=[numpy_helper.from_array(np.float32([1, 1, *scales]), "scales")])
            proto.graph.output.append(helper.make_tensor_value_info("y", FLOAT, [1, 1, None, None]))
            expected = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})
            assert outcome(tmp_path, proto, [x], expected) == "", (rounding, scales)


def map_model(op, key, value, result, **attributes):
    x = helper.make_value_info("x", helper.make_map_type_proto(key, helper.make_tensor_type_proto(value, [])))
    graph = helper.make_graph([helper.make_node(op, ["x"], ["y"], domain="ai.onnx.ml", **attributes)], "g", [x],
                              [helper.make_tensor_value_info("y", result, None)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 1)], ir_version=8)


MAPS = {
    "words": (map_model("DictVectorizer", TEXT, FLOAT, FLOAT, string_vocabulary=["b", "a", "b", "zz", ""]), {"a": 1.5, "q": 3.0, "b": -2.0}),
    "numbers": (map_model("DictVectorizer", INT, FLOAT, FLOAT, int64_vocabulary=[4, -2, 9]), {-2: 1.5, 77: 3.0, 4: 2.5}),
    "unknown words": (map_model("DictVectorizer", TEXT, FLOAT, FLOAT, string_vocabulary=["b"]), {"a": 1.5}),
    "dense": (map_model("CastMap", INT, FLOAT, FLOAT, map_form="DENSE"), {30: 1.5, 1: -2.25, -7: 7.9}),
    "dense whole": (map_model("CastMap", INT, FLOAT, INT, cast_to="TO_INT64"), {30: 1.5, 1: -2.25, -7: 7.9}),
    "sparse": (map_model("CastMap", INT, FLOAT, FLOAT, map_form="SPARSE", max_map=5), {3: 1.5, 1: -2.25, 0: 7.9}),
    "sparse and cut": (map_model("CastMap", INT, FLOAT, INT, cast_to="TO_INT64", map_form="SPARSE", max_map=2), {3: 1.5, 1: -2.25, 900: 7.9}),
}


def map_as_arrays(given):
    keys = list(given)
    return [np.array(keys, object if isinstance(keys[0], str) else np.int64), np.array(list(given.values()), np.float32)]


@pytest.mark.parametrize("name", MAPS)
def test_a_map_is_two_inputs_keys_and_values(tmp_path, name):
    onnxruntime = pytest.importorskip("onnxruntime")
    proto, given = MAPS[name]
    expected = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"x": given})
    assert outcome(tmp_path, proto, map_as_arrays(given), expected) == ""
    # What is written has the two inputs, and needs no maps.
    written = tmp_path / "plain.onnx"
    done = subprocess.run([BINARY, "export", tmp_path / "case/model.onnx", "-o", written], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    onnx.checker.check_model(str(written))
    arrays = dict(zip(["x.keys", "x.values"], map_as_arrays(given)))
    np.testing.assert_array_equal(onnxruntime.InferenceSession(written).run(None, arrays)[0], expected[0])


def test_what_a_map_must_not_be(tmp_path):
    sparse_map = map_model("CastMap", INT, FLOAT, FLOAT, map_form="SPARSE", max_map=5)
    assert "index" in outcome(tmp_path, sparse_map, map_as_arrays({-1: 2.0}), [np.zeros((1, 5), np.float32)])
    proto, given = MAPS["dense"]
    other = onnx.ModelProto()
    other.CopyFrom(proto)
    other.graph.node[0].CopyFrom(helper.make_node("Relu", ["x"], ["y"]))
    assert "only CastMap and DictVectorizer take a map" in outcome(tmp_path, other, map_as_arrays(given), [X])


@pytest.mark.parametrize("opset", [7, 9, 10])
def test_thresholded_relu_is_older_than_onnx_says(tmp_path, opset):
    """onnxruntime has had it under ONNX's name from opset 1 on."""
    onnxruntime = pytest.importorskip("onnxruntime")
    proto = model([helper.make_node("ThresholdedRelu", ["x"], ["y"], alpha=0.5)], {"x": X}, {"y": X}, opset=opset, ir_version=8)
    expected = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"x": X})
    assert outcome(tmp_path, proto, [X], expected) == ""


@pytest.mark.parametrize("declared", [[], [1]])
def test_a_loop_counts_in_the_form_that_its_body_declares(tmp_path, declared):
    """A scalar or an array of one number, as onnxruntime; so does what is exported."""
    onnxruntime = pytest.importorskip("onnxruntime")
    i, go, on = (helper.make_tensor_value_info(name, kind, declared) for name, kind in (("i", INT), ("go", TensorProto.BOOL), ("on", TensorProto.BOOL)))
    row = helper.make_tensor_value_info("row", FLOAT, [*declared, 3])
    nodes = [helper.make_node("Gather", ["x", "i"], ["row"], axis=0), helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Not", ["go"], ["not"])]
    body = helper.make_graph(nodes, "body", [i, go], [on, row, helper.make_tensor_value_info("not", TensorProto.BOOL, declared)])
    expected = [X.reshape(2, *declared, 3), np.zeros([2, *declared], bool)]
    two = numpy_helper.from_array(np.array(2, np.int64), "two")
    proto = model([helper.make_node("Loop", ["two", ""], ["y", "n"], body=body)], {"x": X}, {"y": expected[0], "n": expected[1]}, initializer=[two])
    assert outcome(tmp_path, proto, [X], expected) == ""
    (tmp_path / "loop.onnx").write_bytes(proto.SerializeToString())
    subprocess.run([BINARY, "export", tmp_path / "loop.onnx", "-o", tmp_path / "written.onnx"], check=True, capture_output=True)
    for file in ("loop.onnx", "written.onnx"):
        for got, wanted in zip(onnxruntime.InferenceSession(str(tmp_path / file)).run(["y", "n"], {"x": X}), expected):
            np.testing.assert_array_equal(got, wanted)
