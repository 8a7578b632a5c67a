"""Rows of a table that are gathered and summed, averaged or masked: beside onnxruntime, with the pass that makes bags of them and without."""
import os
import pathlib
import subprocess

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.path.abspath(os.environ.get("TANDEM_BIN", ROOT / "build/release/bin/tandem"))
ROWS, WIDTH = 300, 70


def make_model(op, axis, integers, weighted, keepdims, opset):
    """Of words [a, b] and, for sums, weights [a, b, 1]."""
    constants = [numpy_helper.from_array(np.random.default_rng(1).normal(size=(ROWS, WIDTH)).astype(np.float32), "table")]
    inputs = [helper.make_tensor_value_info("words", integers, ["a", "b"])]
    nodes = [helper.make_node("Gather", ["table", "words"], ["rows"])]
    if weighted:
        inputs.append(helper.make_tensor_value_info("weights", TensorProto.FLOAT, ["a", "b", 1]))
        nodes.append(helper.make_node("Mul", ["rows", "weights"], ["weighed"]))
    if opset >= 18:
        constants.append(numpy_helper.from_array(np.array([axis]), "axes"))
        nodes.append(helper.make_node(op, [nodes[-1].output[0], "axes"], ["y"], keepdims=keepdims))
    else:
        nodes.append(helper.make_node(op, [nodes[-1].output[0]], ["y"], axes=[axis], keepdims=keepdims))
    graph = helper.make_graph(nodes, "g", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], constants)
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", opset)])


@pytest.mark.parametrize("op, axis, integers, weighted, keepdims, opset", [
    ("ReduceSum", 1, TensorProto.INT64, False, 0, 18),
    ("ReduceSum", -2, TensorProto.INT32, True, 0, 18),
    ("ReduceSum", 0, TensorProto.INT64, True, 1, 18),
    ("ReduceMean", 1, TensorProto.INT32, False, 1, 17),
    ("ReduceMean", 0, TensorProto.INT64, False, 0, 18),
    ("ReduceMax", 1, TensorProto.INT64, False, 0, 17),
    ("ReduceMax", -3, TensorProto.INT32, False, 0, 18),
])
@pytest.mark.parametrize("a, b", [(5, 40), (64, 1), (1, 33)])
def test_same_as_onnxruntime(tmp_path, op, axis, integers, weighted, keepdims, opset, a, b):
    rng = np.random.default_rng(2)
    model = make_model(op, axis, integers, weighted, keepdims, opset).SerializeToString()
    feed = {"words": rng.integers(-ROWS, ROWS, (a, b)).astype(helper.tensor_dtype_to_np_dtype(integers))}
    if weighted:
        feed["weights"] = rng.normal(size=(a, b, 1)).astype(np.float32)
    expected = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, feed)[0]
    (tmp_path / "model.onnx").write_bytes(model)
    np.savez(tmp_path / "in.npz", **feed)
    for options in ([], ["--threads", "2"], ["--disable-pass", "embedding_bag_fusion"]):
        subprocess.run([BINARY, "run", tmp_path / "model.onnx", "--input", tmp_path / "in.npz", "--output", tmp_path / "out.npz", *options],
                       check=True, timeout=120, capture_output=True)
        np.testing.assert_allclose(np.load(tmp_path / "out.npz")["y"], expected, rtol=1e-5, atol=2e-5, err_msg=str(options))


def test_the_pass_makes_one_node(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(make_model("ReduceMean", 1, TensorProto.INT64, False, 0, 18).SerializeToString())
    shown = [subprocess.run([BINARY, "inspect", path, "--plan", *options], check=True, capture_output=True, text=True, timeout=60).stdout
             for options in ([], ["--disable-pass", "embedding_bag_fusion"])]
    assert "EmbeddingBag" in shown[0] and "Gather" not in shown[0]
    assert "EmbeddingBag" not in shown[1] and "Gather" in shown[1]
