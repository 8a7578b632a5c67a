"""`tandem bench kernels`, `machine`, `model` and `train`: what they print, and what they refuse. That figures are good is nobody's test."""
import json
import os
import subprocess

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from conftest import BINARY, CONFIGS, environment, fails, tandem


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    """[batch, 64] @ [64, 32] + [32], Relu."""
    rng = np.random.default_rng(0)
    weights = [numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name) for name, shape in (("w", (64, 32)), ("b", (32,)))]
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["h"]), helper.make_node("Relu", ["h"], ["y"])]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 64])],
                              [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", 32])], weights)
    path = tmp_path_factory.mktemp("bench") / "dense.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_machine():
    shown = tandem("bench", "machine", "--json").json
    assert shown["isa"] in shown["isa_reason"] and shown["threads"] >= 1
    assert set(shown["bytes_per_second"]) == {"read", "write", "copy", "triad"}
    for rates in [*shown["operations_per_second"].values(), *shown["bytes_per_second"].values()]:
        assert rates["one"] > 0 and rates["all"] > 0
    if os.path.exists("/sys/devices/system/cpu/cpu0/cache/index0/size"):
        assert [cache["level"] for cache in shown["caches"]][:2] == [1, 2]
    forced = tandem("bench", "machine", env=environment({"TANDEM_ISA": "portable"})).out
    assert "portable: TANDEM_ISA asks for it" in forced


def test_kernels():
    shown = tandem("bench", "kernels", "--only", "MatMul 512", "--seconds", "0.01", "--json").json
    assert [one["type"] for one in shown["kernels"]] == ["f32", "bf16", "int8"]
    for one in shown["kernels"]:
        assert one["gop"] * 1e9 == 2 * 512**3 and one["runs"] >= 5
        assert one["gops"] == pytest.approx(one["gop"] / one["median_ms"] * 1e3) and one["share_of_ceiling"] > 0
    table = tandem("bench", "kernels", "--only", "Softmax", "--only", "f32", "--seconds", "0.01").out
    assert len(table.splitlines()) == 2 and "Softmax 5461 x 768" in table
    fails("bench", "kernels", "--only", "MatMul 513", says=["MatMul 513", "Conv", "int8"])
    fails("bench", "kernels", "--threads", 0, says="--threads")


@pytest.mark.parametrize("only", ["Conv 3x3 64", "384 groups", "Attention 1 ", "x 768, 85", "5461"])
def test_kernels_answer_by_their_definitions(only):
    """The command ends at the first that does not."""
    tandem("bench", "kernels", "--only", only, "--seconds", "0.001", timeout=600)


@pytest.fixture(scope="module")
def inverted_residual(tmp_path_factory):
    """A 3 x 3, then 1 x 1, depthwise, 1 x 1."""
    rng = np.random.default_rng(0)
    weights, nodes, name = [], [], "x"
    for filters, channels, k, groups in ((16, 16, 3, 1), (96, 16, 1, 1), (96, 96, 3, 96), (24, 96, 1, 1)):
        weights.append(numpy_helper.from_array(rng.standard_normal((filters, channels // groups, k, k)).astype(np.float32) / channels, f"w{len(nodes)}"))
        nodes.append(helper.make_node("Conv", [name, weights[-1].name], [f"y{len(nodes)}"], pads=[k // 2] * 4, group=groups))
        name = nodes[-1].output[0]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 16, 64, 64])],
                              [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)], weights)
    path = tmp_path_factory.mktemp("tune") / "inverted_residual.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_tune(inverted_residual, tmp_path):
    """What one command has measured the next one knows; the answers are right; a damaged file is told and left."""
    env = environment({"XDG_CACHE_HOME": str(tmp_path)})
    answers = tmp_path / "tandem/tuning.json"
    np.save(tmp_path / "x.npy", np.random.default_rng(1).standard_normal((1, 16, 64, 64)).astype(np.float32))
    given = np.load(tmp_path / "x.npy")
    first = tandem("bench", "model", inverted_residual, "--math", "fast", "--tune", "--seconds", "0.01", env=env)
    assert first.err.count("tuning ") == 2, "the 3 x 3 and the chain"
    (found,) = json.loads(answers.read_text())["machines"].values()
    assert set(found.values()) <= {"direct", "Winograd, tiles of 2", "Winograd, tiles of 4", "one by one", "together", "the first two together",
                                              "the last two together"}
    ran = tandem("run", inverted_residual, "--input", f"x={tmp_path / 'x.npy'}", "--math", "fast", "--tune", "--output", tmp_path / "y.npz", env=env)
    assert "tuning" not in ran.err
    session = onnxruntime.InferenceSession(str(inverted_residual), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(np.load(tmp_path / "y.npz")[session.get_outputs()[0].name], session.run(None, {"x": given})[0], rtol=1e-4, atol=1e-4)
    answers.write_text("{}")
    fails("bench", "model", inverted_residual, "--tune", env=env, says=["tuning.json", "holds no answers of --tune"])
    assert answers.read_text() == "{}"


def test_model(dense):
    shown = tandem("bench", "model", dense, "--batch", 8, "--seconds", "0.05", "--profile", "--json").json
    assert shown["min_ms"] <= shown["median_ms"] <= shown["p99_ms"] and shown["runs"] >= 5
    products = 2 * 8 * 64 * 32
    assert products <= shown["gflop"] * 1e9 <= 1.1 * products
    assert shown["gflops"] == pytest.approx(shown["gflop"] / shown["median_ms"] * 1e3)
    assert shown["share_of_ceiling"] == pytest.approx(shown["gflops"] * 1e9 / shown["ceilings"]["f32_per_second"])
    assert shown["peak_bytes"] >= 64 * 32 * 4 and shown["process_bytes"] > shown["peak_bytes"]
    assert sum(op["calls"] for op in shown["ops"]) == pytest.approx(1)
    assert "GFLOP/s" in tandem("bench", "model", dense, "--seconds", "0.01", "--profile").out


@pytest.mark.parametrize("op", ["MatMulInteger", "QLinearMatMul"])
def test_products_of_bytes_count(op, tmp_path):
    rng = np.random.default_rng(0)
    one, zero = numpy_helper.from_array(np.float32(0.02), "one"), numpy_helper.from_array(np.uint8(3), "zero")
    weights = [numpy_helper.from_array(rng.integers(-9, 9, (64, 32), dtype=np.int8), "w"), numpy_helper.from_array(np.int8(0), "w_zero")]
    inputs = ["x", "w", "zero", "w_zero"] if op == "MatMulInteger" else ["x", "one", "zero", "w", "one", "w_zero", "one", "zero"]
    result = onnx.TensorProto.INT32 if op == "MatMulInteger" else onnx.TensorProto.UINT8
    graph = helper.make_graph([helper.make_node(op, inputs, ["y"])], "g", [helper.make_tensor_value_info("x", onnx.TensorProto.UINT8, ["batch", 64])],
                              [helper.make_tensor_value_info("y", result, ["batch", 32])], [one, zero, *weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "bytes.onnx")
    shown = tandem("bench", "model", tmp_path / "bytes.onnx", "--batch", 8, "--seconds", "0.01", "--json").json
    assert shown["gflop"] * 1e9 == pytest.approx(2 * 8 * 64 * 32)
    assert shown["int8_share"] == pytest.approx(1)


def test_model_on_given_inputs(dense, tmp_path):
    rows = np.random.default_rng(1).random((5, 64), dtype=np.float32)
    np.savez(tmp_path / "in.npz", x=rows)
    tandem("bench", "model", dense, "--input", tmp_path / "in.npz", "--output", tmp_path / "out.npz", "--seconds", "0.01")
    session = onnxruntime.InferenceSession(dense, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(np.load(tmp_path / "out.npz")["y"], session.run(None, {"x": rows})[0], rtol=1e-4, atol=1e-5)


def test_rounds_on_request(dense):
    done = subprocess.run([BINARY, "bench", "model", dense, "--on-request"], input="0.01\n0.02\n", capture_output=True, text=True, timeout=60)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and lines[0]["ready"] and len(lines) == 3
    assert all(line["runs"] >= 5 for line in lines[1:])


def softmax_regression(x, labels, w, b, rate, steps):
    """Losses of plain gradient descent on the scores relu(x w + b), in double."""
    losses = []
    for _ in range(steps):
        h = x @ w + (0 if b is None else b)
        scores = np.maximum(h, 0)
        p = np.exp(scores - scores.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        hot = np.eye(w.shape[1])[labels]
        losses.append(-np.mean(np.log((p * hot).sum(-1))))
        d = (p - hot) / labels.size * (h > 0)
        w = w - rate * np.tensordot(x, d, (range(x.ndim - 1), range(x.ndim - 1)))
        b = None if b is None else b - rate * d.reshape(-1, w.shape[1]).sum(0)
    return losses


def test_train_a_file(dense, tmp_path):
    rng = np.random.default_rng(2)
    x, labels = rng.standard_normal((6, 64)).astype(np.float32) * 0.1, rng.integers(0, 32, 6)
    np.savez(tmp_path / "batch.npz", x=x, target=labels)
    w, b = (numpy_helper.to_array(weight).astype(np.float64) for weight in onnx.load(dense).graph.initializer)
    shown = tandem("bench", "train", dense, "--input", tmp_path / "batch.npz", "--momentum", 0, "--learning-rate", 0.05, "--losses", 4, "--seconds", "0.02",
                   "--profile", "--json").json
    np.testing.assert_allclose(shown["losses"], softmax_regression(x.astype(np.float64), labels, w, b, 0.05, 4), rtol=1e-5)
    assert shown["batch"] == 6 and shown["runs"] >= 5 and shown["min_ms"] <= shown["median_ms"] <= shown["p99_ms"]
    assert shown["share_of_ceiling"] == pytest.approx(shown["gflops"] * 1e9 / shown["ceilings"]["f32_per_second"])
    assert 2 * 2 * 6 * 64 * 32 <= shown["gflop"] * 1e9 <= 1.5 * 2 * 2 * 6 * 64 * 32  # scores and the weights' gradient
    assert any(op["op"] == "Sgd" for op in shown["ops"])
    assert all(op["calls"] == pytest.approx(round(op["calls"])) for op in shown["ops"])  # of whole steps
    assert "losses" in tandem("bench", "train", dense, "--batch", 4, "--seconds", "0.01").out


def test_train_on_words(tmp_path):
    """Scores with more axes than a batch: the last are the classes."""
    rng = np.random.default_rng(3)
    w = rng.standard_normal((8, 5)).astype(np.float32)
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])], "g",
                              [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 3, 8])],
                              [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", 3, 5])], [numpy_helper.from_array(w, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "words.onnx")
    x, labels = rng.standard_normal((4, 3, 8)).astype(np.float32), rng.integers(0, 5, (4, 3))
    np.savez(tmp_path / "batch.npz", x=x, target=labels)
    shown = tandem("bench", "train", tmp_path / "words.onnx", "--input", tmp_path / "batch.npz", "--momentum", 0, "--learning-rate", 0.05, "--losses", 3,
                   "--seconds", "0.01", "--json").json
    np.testing.assert_allclose(shown["losses"], softmax_regression(x.astype(np.float64), labels, w.astype(np.float64), None, 0.05, 3), rtol=1e-5)


def test_train_a_config():
    shown = tandem("bench", "train", CONFIGS / "digits.ini", "--batch", 32, "--seconds", "0.02", "--json").json
    assert shown["batch"] == 32 and shown["losses"][-1] < shown["losses"][0] < 5


def test_train_on_request(dense):
    done = subprocess.run([BINARY, "bench", "train", dense, "--on-request"], input="0.01\n", capture_output=True, text=True, timeout=60)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and lines[0]["ready"] and len(lines[0]["losses"]) == 5 and lines[1]["runs"] >= 5


def test_train_refusals(dense, tmp_path):
    fails("bench", "train", says="no model or config given")
    fails("bench", "train", dense, "--scores", "q", says=["no output", "q"])
    fails("bench", "train", dense, "--parameter", "v", says="v")
    fails("bench", "train", dense, "--optimizer", "lamb", says=["sgd", "lamb"])
    fails("bench", "train", dense, "--learning-rate", 0, says="--learning-rate")
    np.savez(tmp_path / "wrong.npz", x=np.zeros((2, 64), np.float32), target=np.array([1, 32]))
    fails("bench", "train", dense, "--input", tmp_path / "wrong.npz", says="32")


def test_refusals(dense, tmp_path):
    fails("bench", "modle", says=["modle", "model"])
    fails("bench", "model", says="no model given")
    fails("bench", "model", dense, "--dim", "batch", says="name=size")
    fails("bench", "model", dense, "--seconds", 0, says="--seconds")
    fails("bench", "model", dense, "--precision", "f8", says="--precision")
    fails("bench", "model", dense, "--batch", 2, "--input", tmp_path / "in.npz", says="--input")
    fails("bench", "machine", "--threads", -1, says="--threads")
