#!/usr/bin/env python3
"""Chains of elementwise nodes: Tandem with its regions and node by node, and onnxruntime, as milliseconds and as GB/s of inputs and outputs.

usage: elementwise.py [--threads N] [--seconds S] [NAME...]

Needs onnx and onnxruntime. Runs region_bench of build/release, which validates its outputs; onnxruntime runs before and after it, and the
better of the two counts.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile
import time

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLOAT, HALF, DOUBLE = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE


class Net:
    """Nodes written one after the other; the last one makes the output."""

    def __init__(self, inputs, element_type=FLOAT):
        self.type, self.nodes, self.constants = element_type, [], []
        self.inputs = [helper.make_tensor_value_info(name, element_type, shape) for name, shape in inputs.items()]

    def __call__(self, op, *operands, **attributes):
        names = [o if isinstance(o, str) else self.constant(o) for o in operands]
        self.nodes.append(helper.make_node(op, names, [f"t{len(self.nodes)}"], **attributes))
        return self.nodes[-1].output[0]

    def constant(self, value):
        array = np.asarray(value, helper.tensor_dtype_to_np_dtype(self.type) if np.asarray(value).dtype.kind == "f" else None)
        self.constants.append(numpy_helper.from_array(array, f"c{len(self.constants)}"))
        return self.constants[-1].name

    def model(self):
        output = helper.make_tensor_value_info(self.nodes[-1].output[0], self.type, None)
        graph = helper.make_graph(self.nodes, "g", self.inputs, [output], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def swish_chain(element_type=FLOAT, shape=(1024, 1024)):
    f = Net({"x": shape, "y": shape, "z": shape}, element_type)
    f("Add", f("Mul", f("Mul", "x", f("Sigmoid", "x")), "y"), "z")
    return f


def scaler():
    """Imputed, standardized, clipped rows, as scikit-learn pipelines are exported."""
    rng = np.random.default_rng(1)
    f = Net({"x": [100_000, 30]})
    filled = f("Where", f("IsNaN", "x"), rng.random(30), "x")
    f("Clip", f("Div", f("Sub", filled, rng.random(30)), rng.random(30) + 0.5), -3.0, 3.0)
    return f


def boxes():
    """The boxes of a one-stage detector from its raw outputs."""
    f = Net({"x": [1, 3, 80, 80, 2], "grid": [1, 1, 80, 80, 2]})
    f("Mul", f("Add", f("Sub", f("Mul", f("Sigmoid", "x"), 2.0), 0.5), "grid"), 8.0)
    return f


def lstm_gates():
    f = Net({name: [256, 512] for name in ["i", "f", "o", "g", "c"]})
    cell = f("Add", f("Mul", f("Sigmoid", "f"), "c"), f("Mul", f("Sigmoid", "i"), f("Tanh", "g")))
    f("Mul", f("Sigmoid", "o"), f("Tanh", cell))
    return f


def channel_scale():
    """Layer scale and residual of a ConvNeXt block."""
    f = Net({"x": [8, 96, 56, 56], "r": [8, 96, 56, 56]})
    f("Add", "r", f("Mul", "x", np.ones([96, 1, 1])))
    return f


def rows_and_columns():
    f = Net({"x": [2048, 512], "column": [2048, 1]})
    f("Add", f("Mul", f("Mul", f("Sub", "x", "column"), f("Reciprocal", f("Sqrt", f("Add", f("Abs", "column"), 1e-5)))), np.ones(512)), np.ones(512))
    return f


CASES = {"swish-chain": swish_chain, "swish-chain-f16": lambda: swish_chain(HALF), "swish-chain-f64": lambda: swish_chain(DOUBLE),
         "swish-chain-small": lambda: swish_chain(FLOAT, (64, 64)), "scaler": scaler, "boxes": boxes, "lstm-gates": lstm_gates,
         "channel-scale": channel_scale, "rows-and-columns": rows_and_columns}


def run_onnxruntime(path, threads, seconds):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feed = {i.name: np.random.default_rng(1).random(i.shape).astype({"tensor(float16)": np.float16, "tensor(double)": np.float64}.get(i.type, np.float32))
            for i in session.get_inputs()}
    times = []
    start = time.perf_counter()
    while time.perf_counter() - start < seconds or len(times) < 5:
        before = time.perf_counter()
        session.run(None, feed)
        times.append(1e3 * (time.perf_counter() - before))
    return sorted(times)[len(times) // 20]  # of the fastest tenth, as region_bench has it


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    print(f"{'case':<20} {'steps':>5} {'apart':>5} {'ms':>9} {'apart':>9} {'ort':>9} {'x apart':>8} {'x ort':>6} {'GB/s':>6} {'stream':>6}")
    for name in arguments.names or CASES:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "model.onnx"
            onnx.save(CASES[name]().model(), path)
            peer = run_onnxruntime(path, arguments.threads, arguments.seconds)
            done = subprocess.run([ROOT / "build/release/bin/region_bench", path, str(arguments.threads), str(arguments.seconds)],
                                  capture_output=True, text=True, check=True)
            ours = json.loads(done.stdout)
            peer = min(peer, run_onnxruntime(path, arguments.threads, arguments.seconds))
        ms, apart = ours["ms"], ours["node_by_node_ms"]
        print(f"{name:<20} {ours['steps']:>5} {ours['steps_node_by_node']:>5} {ms:>9.4f} {apart:>9.4f} {peer:>9.4f} {apart / ms:>8.2f} "
              f"{peer / ms:>6.2f} {ours['gb_per_s']:>6.1f} {ours['stream_gb_per_s']:>6.1f}")


if __name__ == "__main__":
    main()
