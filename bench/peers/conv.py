#!/usr/bin/env python3
"""The layers of conv_bench, and the same in onnxruntime: microseconds of each, and their ratio.

usage: conv.py [--threads N] [--seconds S] [--rounds R] [NAME]

Needs onnx and onnxruntime. conv_bench and onnxruntime take turns, layer by layer; the least time of each counts. onnxruntime's is that of the
convolution and its activation as its profiler says: the reordering of its blocked layout at the ends of a single-node model is left out.
"""
import argparse
import collections
import json
import os
import pathlib
import subprocess
import tempfile

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[2]
BENCH = ROOT / "build/release/bin/conv_bench"
Layer = collections.namedtuple("Layer", "name x w group stride pad activation count us gflops share gbytes")


def run_bench(args, only):
    text = subprocess.run([BENCH, str(args.threads), str(args.seconds), only], check=True, capture_output=True, text=True).stdout
    sizes = lambda field: [int(n) for n in field.strip("[]").replace("x", ",").split(",")]
    layers = []
    for line in text.splitlines():
        f = [field.strip() for field in line.split("\t")]
        layers.append(Layer(f[0], sizes(f[1]), sizes(f[2]), int(f[3]), int(f[4]), int(f[5]), f[6], int(f[7]), *(float(v.rstrip("%")) for v in f[8:])))
    return layers


def model_of(layer):
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["c"], group=layer.group, strides=[layer.stride] * 2, pads=[layer.pad] * 4)]
    constants = [numpy_helper.from_array(np.random.default_rng(1).random(layer.w, np.float32) - np.float32(0.5), "w"),
                 numpy_helper.from_array(np.zeros(layer.w[0], np.float32), "b")]
    if layer.activation == "relu":
        nodes.append(helper.make_node("Relu", ["c"], ["y"]))
    elif layer.activation == "relu6":
        constants += [numpy_helper.from_array(np.float32(0), "low"), numpy_helper.from_array(np.float32(6), "high")]
        nodes.append(helper.make_node("Clip", ["c", "low", "high"], ["y"]))
    elif layer.activation == "silu":
        nodes += [helper.make_node("Sigmoid", ["c"], ["s"]), helper.make_node("Mul", ["c", "s"], ["y"])]
    elif layer.activation == "gelu":
        nodes.append(helper.make_node("Gelu", ["c"], ["y"]))
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, layer.x)],
                              [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9).SerializeToString()


def peer_time(layer, threads, seconds):
    """Least microseconds of the layer's nodes, by the profiler."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = os.path.join(folder, "conv")
        session = onnxruntime.InferenceSession(model_of(layer), options, providers=["CPUExecutionProvider"])
        x = np.random.default_rng(2).random(layer.x, np.float32)
        for _ in range(max(8, min(300, int(seconds * 1e6 / max(1, layer.us))))):
            session.run(None, {"x": x})
        events = json.loads(pathlib.Path(session.end_profiling()).read_text())
    runs = collections.defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time") and "Reorder" not in event["args"]["op_name"]:
            runs[event["name"]].append(event["dur"])
    return sum(min(times) for times in runs.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.1)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("name", nargs="?", default="")
    args = parser.parse_args()
    totals = collections.defaultdict(lambda: [0.0, 0.0])
    for layer in run_bench(args, args.name):
        ours, peer = layer.us, float("inf")
        for i in range(args.rounds):
            peer = min(peer, peer_time(layer, args.threads, args.seconds))
            if i + 1 < args.rounds:
                again = [l for l in run_bench(args, layer.name) if l.name == layer.name]
                ours = min(ours, again[0].us)
        print(f"{layer.name:44} x{layer.count:<2} {ours:9.1f} us {layer.share:5.1f}%  onnxruntime {peer:9.1f} us  {peer / ours:5.2f}x", flush=True)
        total = totals[layer.name.split()[0]]
        total[0] += ours * layer.count
        total[1] += peer * layer.count
    for name, (ours, peer) in totals.items():
        print(f"{name}: {ours / 1e3:.2f} ms, onnxruntime {peer / 1e3:.2f} ms, {peer / ours:.2f}x")


if __name__ == "__main__":
    main()
