"""Tandem beside its peers: the same work in turns, each contestant in a process of its own, ratios of medians.

    python bench/peers/compare.py --bench build/release/bin/model_bench [--rounds 5] [--seconds 2] [--threads 2]

Peers: torch for training steps, onnxruntime for inference (called through Python, whose own cost is a few microseconds; it is also
measured, as an empty model, and printed). Prints a table, and with --json one object.
"""
import argparse
import json
import os
import pathlib
import platform
import statistics
import sys

from contestant import Contestant, measure_in_turns

PEER = r"""
import sys
case, threads = sys.argv[1], int(sys.argv[2])
sys.path.insert(0, sys.argv[3])
import peer_process

def measure(run):
    for _ in range(10): run()
    peer_process.answer(run)

if case.startswith("train"):
    import torch
    torch.manual_seed(0); torch.set_num_threads(threads)
    from torch import nn
    if case == "train-mlp":
        model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
        x, y = torch.rand(128, 784), torch.arange(128) % 10
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    else:
        model = nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                              nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10))
        x, y = torch.rand(64, 1, 28, 28), torch.arange(64) % 10
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    loss_of = nn.CrossEntropyLoss()
    def step():
        optimizer.zero_grad(); loss = loss_of(model(x), y); loss.backward(); optimizer.step(); return loss.item()
    first = step()
    for _ in range(20): step()
    assert step() < first
    measure(step)
else:
    import numpy as np, onnx, onnxruntime
    from onnx import helper, numpy_helper, TensorProto
    rng, nodes, init, previous = np.random.default_rng(0), [], [], "x"
    def layer(i, n_in, n_out, relu):
        global previous
        init.append(numpy_helper.from_array((rng.standard_normal((n_out, n_in)) / n_in ** 0.5).astype(np.float32), f"w{i}"))
        init.append(numpy_helper.from_array(np.zeros(n_out, np.float32), f"b{i}"))
        nodes.append(helper.make_node("Gemm", [previous, f"w{i}", f"b{i}"], [f"h{i}"], transB=1)); previous = f"h{i}"
        if relu: nodes.append(helper.make_node("Relu", [previous], [f"r{i}"])); previous = f"r{i}"
    if case == "infer-empty": nodes.append(helper.make_node("Identity", ["x"], ["y"]))
    else:
        layer(1, 30, 256, True); layer(2, 256, 256, True); layer(3, 256, 2, False)
        nodes.append(helper.make_node("Softmax", [previous], ["y"], axis=1))
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 30])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], init)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]); model.ir_version = 8
    options = onnxruntime.SessionOptions(); options.intra_op_num_threads = threads; options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {"x": rng.random((64 if case == "infer-64" else 1, 30), dtype=np.float32)}
    if case != "infer-empty": assert abs(session.run(None, feed)[0].sum(axis=1) - 1).max() < 1e-5
    measure(lambda: session.run(None, feed))
"""

CASES = [("train-cnn", "torch", None), ("train-mlp", "torch", None), ("infer-1", "onnxruntime", 1), ("infer-64", "onnxruntime", 1)]


def peer_of(case, threads):
    return Contestant("peer", [sys.executable, "-c", PEER, case, threads, pathlib.Path(__file__).resolve().parent], threads)


def medians(contestants, rounds, seconds):
    """Of each contestant, in ms; they are closed."""
    try:
        for contestant in contestants:
            contestant.wait_until_ready()
        measure_in_turns(contestants, rounds, seconds)
        return [statistics.median(answer["median_ms"] for answer in contestant.rounds) for contestant in contestants]
    finally:
        for contestant in contestants:
            contestant.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", default="build/release/bin/model_bench")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="of the training steps; inference uses one")
    parser.add_argument("--case", action="append", help="only this case; may be repeated")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows = []
    for case, peer, fixed in CASES:
        if args.case and case not in args.case:
            continue
        threads = fixed or args.threads
        contestants = [Contestant("Tandem", [args.bench, case, threads, 0, "--on-request"], threads), peer_of(case, threads)]
        ours, theirs = medians(contestants, args.rounds, args.seconds)
        row = {"case": case, "threads": threads, "peer": peer, "tandem_ms": ours, "peer_ms": theirs}
        row["ratio"] = row["peer_ms"] / row["tandem_ms"]
        if case == "infer-1":
            row["python_call_ms"] = medians([peer_of("infer-empty", 1)], 1, 0.5)[0]
        rows.append(row)
    if args.json:
        print(json.dumps({"machine": platform.processor() or platform.machine(), "rows": rows}))
        return
    print(f"{'case':<12} {'threads':>7} {'Tandem ms':>11} {'peer':>12} {'peer ms':>11} {'ratio':>7}")
    for row in rows:
        print(f"{row['case']:<12} {row['threads']:>7} {row['tandem_ms']:>11.4f} {row['peer']:>12} {row['peer_ms']:>11.4f} {row['ratio']:>6.2f}x")
        if "python_call_ms" in row:
            print(f"{'':<12} (of the peer's time {row['python_call_ms']:.4f} ms is an empty model's call through Python)")


if __name__ == "__main__":
    main()
