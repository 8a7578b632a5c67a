#!/usr/bin/env python3
"""Tandem's CUDA benchmarks with torch beside them, in turns on one GPU: medians of rounds, one JSON object a case.

    python3 bench/peers/gpu_compare.py --bin FOLDER [--rounds 3] [--seconds 500]

FOLDER holds cuda_bench and model_bench. What torch runs for a case is made from the case's name ("softmax f32 65536x1024"), so that a case
whose op is known here gets its peer by itself; the others have none. torch's training steps run eagerly and as a captured CUDA graph.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time

import torch
from torch import nn
from torch.nn import functional

DTYPES = {"f64": torch.float64, "f32": torch.float32, "tf32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def normal(*shape, dtype=torch.float32):
    return torch.randn(*shape, device="cuda", dtype=torch.float32).to(dtype)


def gradient_of(forward, *inputs):
    """Only the backward pass of `forward`."""
    leaves = [x.requires_grad_() for x in inputs]
    y = forward(*leaves)
    dy = torch.randn_like(y)
    return lambda: torch.autograd.grad(y, leaves, dy, retain_graph=True)


def optimizer_step(make, n):
    p = nn.Parameter(normal(n))
    p.grad = normal(n)
    return make([p]).step


def conv_of(what, dtype, sizes):
    """conv f32 64x32x26x26x64x3x3: batch, channels, height, width, filters, kernel."""
    batch, channels, height, width, filters, *kernel = sizes
    x, w = normal(batch, channels, height, width, dtype=dtype), normal(filters, channels, *kernel, dtype=dtype)
    if what == "conv":
        return lambda: functional.conv2d(x, w)
    dy = torch.randn_like(functional.conv2d(x, w))
    gradient = torch.nn.grad.conv2d_input if what == "conv_input_grad" else torch.nn.grad.conv2d_weight
    return (lambda: gradient(x.shape, w, dy)) if what == "conv_input_grad" else (lambda: gradient(x, w.shape, dy))


def peer_of(case):
    """What torch does for a case, or None."""
    parts = case.split()
    if len(parts) != 3 or parts[1] not in DTYPES:
        return None
    what, dtype, sizes = parts[0], DTYPES[parts[1]], [int(n) for n in parts[2].split("x")]
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = parts[1] == "tf32"
    if what in ("gemm", "linear"):
        m, n, k = sizes
        a = normal(m, k, dtype=dtype)
        b = normal(n, k, dtype=dtype).t() if what == "linear" else normal(k, n, dtype=dtype)
        return lambda: torch.mm(a, b)
    if what.startswith("conv"):
        return conv_of(what, dtype, sizes)
    if what == "gather":
        table, width, picks = sizes
        weight, indices = normal(table, width, dtype=dtype), torch.randint(table, (picks,), device="cuda")
        return lambda: weight[indices]
    x = normal(*sizes, dtype=dtype)
    unary = {"relu": functional.relu, "gelu": functional.gelu, "softmax": lambda v: functional.softmax(v, 1),
             "cast_bf16": lambda v: v.to(torch.bfloat16), "sum_axis0": lambda v: v.sum(0), "sum_axis1": lambda v: v.sum(1),
             "max_pool": lambda v: functional.max_pool2d(v, 2), "dropout": lambda v: functional.dropout(v, 0.25),
             "transpose": lambda v: v.t().contiguous(), "layer_norm": lambda v: functional.layer_norm(v, v.shape[1:])}
    if what in unary:
        return lambda: unary[what](x)
    if what.removesuffix("_grad") in unary:
        return gradient_of(unary[what.removesuffix("_grad")], x)
    if what == "add":
        y = normal(*sizes, dtype=dtype)
        return lambda: x + y
    if what == "add_row":
        row = normal(sizes[1], dtype=dtype)
        return lambda: x + row
    if what in ("adam", "sgd"):
        return optimizer_step(lambda p: torch.optim.Adam(p, fused=True) if what == "adam" else torch.optim.SGD(p, 0.1, 0.9, fused=True), sizes[0])
    if what.startswith("batch_norm"):
        mean, var, scale, bias = (torch.ones(sizes[1], device="cuda") for _ in range(4))
        forward = lambda v: functional.batch_norm(v, mean, var, scale, bias, True)
        return gradient_of(forward, x) if what.endswith("grad") else lambda: forward(x)
    if what.startswith("cross_entropy"):
        labels = torch.randint(sizes[1], (sizes[0],), device="cuda")
        forward = lambda v: functional.cross_entropy(v, labels)
        return gradient_of(forward, x) if what.endswith("grad") else lambda: forward(x)
    return None


def median_us(run, seconds):
    """As cuda_bench does: events around groups of runs."""
    def group(count):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        for _ in range(count):
            run()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) * 1e3
    group(3)
    count = int(min(1000, max(1, 1000 / max(group(1), 0.1))))
    times, start = [], time.monotonic()
    while len(times) < 5 or time.monotonic() - start < seconds:
        times.append(group(count) / count)
    return statistics.median(times)


def wall_us(step, seconds):
    """As model_bench does: the wall clock around steps whose loss is waited for."""
    for _ in range(10):
        step()
    times, start = [], time.monotonic()
    while len(times) < 10 or time.monotonic() - start < seconds:
        before = time.perf_counter()
        step()
        times.append(1e6 * (time.perf_counter() - before))
    return statistics.median(times)


class TrainingStep:
    """The networks of bench/models/model_bench.cpp; like there the batch comes from the host, and the loss goes back."""

    def __init__(self, case):
        torch.manual_seed(0)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        if case == "train-mlp":
            self.model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
            self.x, self.y = torch.rand(128, 784), torch.arange(128) % 10
        else:
            self.model = nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                                       nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10))
            self.x, self.y = torch.rand(64, 1, 28, 28), torch.arange(64) % 10
        self.host = self.x.pin_memory(), self.y.pin_memory()
        self.model, self.x, self.y = self.model.cuda(), self.x.cuda(), self.y.cuda()
        parameters = self.model.parameters()
        self.optimizer = (torch.optim.Adam(parameters, 1e-3, fused=True, capturable=True) if case == "train-mlp" else
                          torch.optim.SGD(parameters, 0.01, 0.9, fused=True))

    def compute(self):
        self.optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(self.model(self.x), self.y)
        loss.backward()
        self.optimizer.step()
        return loss

    def feed(self):
        self.x.copy_(self.host[0], non_blocking=True)
        self.y.copy_(self.host[1], non_blocking=True)

    def eager(self):
        def step():
            self.feed()
            return self.compute().item()
        return step

    def captured(self):
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.compute()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            loss = self.compute()

        def step():
            self.feed()
            graph.replay()
            return loss.item()
        return step


def lines_of(command, seconds):
    result = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    if result.returncode:
        print(f"{' '.join(map(str, command))}: exit code {result.returncode}\n{result.stderr[-2000:]}", file=sys.stderr)
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")], result.returncode


class Rounds:
    def __init__(self, binaries, seconds):
        self.binaries, self.deadline = binaries, time.monotonic() + seconds
        self.rows, self.ours, self.torch, self.failed = {}, {}, {}, 0

    def left(self):
        return max(1.0, self.deadline - time.monotonic())

    def note(self, row, **more):
        self.rows[row["case"]] = row | more
        self.ours.setdefault(row["case"], []).append(row["us"])

    def note_torch(self, case, key, make, measure=median_us):
        try:
            self.torch.setdefault((case, key), []).append(measure(make(), 0.2 if measure is median_us else 1.0))
        except Exception as error:  # a peer that cannot run this case is no failure of ours
            print(f"torch, {case}: {error}", file=sys.stderr)

    def kernels(self):
        rows, code = lines_of([self.binaries / "cuda_bench"], self.left())
        self.failed |= code
        for row in rows:
            self.note(row)
            if self.left() > 5 and (peer := peer_of(row["case"])):
                self.note_torch(row["case"], "torch_us", lambda: peer)
                torch.cuda.empty_cache()

    def steps(self):
        for case in ("train-mlp", "train-cnn"):
            rows, code = lines_of([self.binaries / "model_bench", case, "1", "1", "--device", "cuda:0"], self.left())
            self.failed |= code
            for row in rows:
                self.note({"us": row["median_ms"] * 1e3} | row)
            self.note_torch(case, "torch_us", lambda: TrainingStep(case).eager(), wall_us)
            self.note_torch(case, "torch_graph_us", lambda: TrainingStep(case).captured(), wall_us)

    def results(self):
        for case, row in self.rows.items():
            row["us"] = statistics.median(self.ours[case])
            row["rounds"] = len(self.ours[case])
            row |= {key: statistics.median(times) for (name, key), times in self.torch.items() if name == case}
            yield row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=500)
    args = parser.parse_args()
    rounds, longest = Rounds(args.bin, args.seconds), 0.0
    for _ in range(args.rounds):
        start = time.monotonic()
        if rounds.left() < 1.2 * longest:
            break
        try:
            rounds.steps()
            rounds.kernels()
        except subprocess.TimeoutExpired as error:
            print(error, file=sys.stderr)
            break
        longest = max(longest, time.monotonic() - start)
    for row in rounds.results():
        print(json.dumps(row))
    sys.exit(1 if rounds.failed else 0)


if __name__ == "__main__":
    main()
