"""What `tandem inspect --plan` says a process will hold, beside what `tandem run` did hold.

Needs the program tandem: $TANDEM_BIN, else build/release/bin/tandem.
"""
import json
import os
import pathlib
import subprocess

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.path.abspath(os.environ.get("TANDEM_BIN", ROOT / "build/release/bin/tandem"))
MIB = 1 << 20
WIDTH = 1536  # a layer has 9 MiB


def chain(folder, layers):
    """Products by square weights, one after the other, and a wide result."""
    weights = [numpy_helper.from_array(np.full((WIDTH, WIDTH), (1 + i) / WIDTH, np.float32), f"w{i}") for i in range(layers)]
    nodes = [helper.make_node("MatMul", [f"h{i}" if i else "x", f"w{i}"], [f"h{i + 1}"]) for i in range(layers)]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", WIDTH]) for name in ("x", f"h{layers}")]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "model.onnx")


def tandem(*arguments):
    done = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


# One layer: most is held while it is packed. Many rows: most is held while it runs.
@pytest.mark.parametrize("layers,rows", [(1, 1), (6, 1), (2, 4096)])
def test_the_figure_before_a_run_is_what_the_process_takes(tmp_path, layers, rows):
    chain(tmp_path, layers)
    np.savez(tmp_path / "feed.npz", x=np.ones((rows, WIDTH), np.float32))
    said = json.loads(tandem("inspect", tmp_path / "model.onnx", "--batch", rows, "--json"))["process"]
    ran = json.loads(tandem("run", tmp_path / "model.onnx", "--input", tmp_path / "feed.npz", "--output", tmp_path / "out.npz", "--memory", "--json"))
    measured = ran["memory"]["process_bytes"]
    assert abs(measured / said["peak_bytes"] - 1) <= 0.05, (measured / MIB, said)  # 3% are aimed at; where a program lies differs from run to run
    assert said["weight_bytes"] >= layers * 9 * MIB
    assert said["loading_bytes"] >= said["weight_bytes"] + 9 * MIB - MIB // 2
    assert "program and libraries" in tandem("inspect", tmp_path / "model.onnx", "--plan")
