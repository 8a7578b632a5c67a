"""`tandem bench machine` and `tandem bench model`: what they print, and what they refuse. That figures are good is nobody's test."""
import json
import os
import subprocess

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from conftest import BINARY, environment, fails, tandem


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


def test_refusals(dense, tmp_path):
    fails("bench", "modle", says=["modle", "model"])
    fails("bench", "model", says="no model given")
    fails("bench", "model", dense, "--dim", "batch", says="name=size")
    fails("bench", "model", dense, "--seconds", 0, says="--seconds")
    fails("bench", "model", dense, "--precision", "f8", says="--precision")
    fails("bench", "model", dense, "--batch", 2, "--input", tmp_path / "in.npz", says="--input")
    fails("bench", "machine", "--threads", -1, says="--threads")
