"""Ten times what a server with a target can do, and what comes of it: python bench/server/overload.py [--seconds 60] [--slo 200] [--protocol grpc]
[--network FILE.onnx@images=1,3,224,224]

A model whose rows take milliseconds, or a network of a file, served with `--slo p99=...`. Peak: the best rate of answers within the target in closed loops of 8 to 64 connections, which no
server is lost in. Then ten times that for --seconds, from 512 connections, in an open loop: latency counts from when a request was due. Then half the peak: after two
seconds nothing may be refused or late any more. Exit code 1 unless goodput is at least 90% of the peak, the p99 of what was accepted is within the target, and it recovers.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import numpy as np
from onnx import helper
from servers import Server, save, spent


def save_model(root, layers):
    weights = [("w", (np.random.default_rng(0).standard_normal((512, 512)) / 23).astype(np.float32))]
    nodes = [helper.make_node("MatMul", [f"h{i}" if i else "x", "w"], ["y" if i == layers - 1 else f"h{i + 1}"]) for i in range(layers)]
    save(root / "deep/1/model.onnx", nodes, [("x", ["n", 512])], [("y", ["n", 512])], weights)


def copy_model(root, file):
    (root / "deep/1").mkdir(parents=True)
    shutil.copy(file, root / "deep/1/model.onnx")


def offer(build, server, slo, seconds, flags, warmup=0.5):
    """What came of it, with the rate of answers within the target."""
    command = [build / "bin/tandem", "load", "deep", "--protocol", server.protocol, "--url", f"127.0.0.1:{server.port}", "--time", str(seconds), "--warmup", str(warmup), "--within", str(slo), "--json", *server.shapes, *flags]
    before = spent(server)
    row = json.loads(subprocess.run(command, capture_output=True, text=True).stdout)
    row["goodput"] = row["within"] / seconds
    row["had"] = (spent(server) - before) / (seconds + warmup) / len(os.sched_getaffinity(0))
    print(f"{' '.join(flags)} for {seconds:g} s: {row['goodput']:.0f} a second within {slo:g} ms, p50 {row['p50_us'] / 1e3:.1f} ms, p99 {row['p99_us'] / 1e3:.1f} ms, "
          f"refused {row['shed']}, late {row['late']}, failed {row['failed'] + row['unanswered']}; server and client had {row['had']:.0%} of the processors", flush=True)
    return row


def open_loop(rate):
    return ["--rate", f"{rate:.0f}", "--connections", "512"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--slo", type=float, default=200, help="milliseconds")
    parser.add_argument("--protocol", choices=["http", "grpc"], default="http")
    parser.add_argument("--layers", type=int, default=800)
    parser.add_argument("--network", metavar="FILE[@INPUT=SHAPE...]")
    options = parser.parse_args()
    build, slo = options.build.resolve(), options.slo
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary)
        file, *shapes = (options.network or "").split("@")
        copy_model(root, file) if file else save_model(root, options.layers)
        server = Server([build / "bin/tandem", "serve", "--repository", root, "--http-port", "0", "--json", "--slo", f"p99={slo:g}ms"])
        ready = json.loads(server.said)
        server.protocol, server.port = options.protocol, ready["port" if options.protocol == "http" else "grpc_port"]
        server.shapes = [word for shape in shapes for word in ("--shape", shape)]
        try:
            peak = max(offer(build, server, slo, 3, ["--connections", str(n)])["goodput"] for n in (8, 16, 32, 64))
            crowd = offer(build, server, slo, options.seconds, open_loop(10 * peak))
            after = offer(build, server, slo, 2, open_loop(peak / 2), warmup=2)
        finally:
            server.stop()
    wrong = []
    if crowd["goodput"] < 0.9 * peak:
        wrong.append(f"goodput is {crowd['goodput'] / peak:.0%} of the peak")
    if crowd["p99_us"] > slo * 1e3:
        wrong.append(f"p99 of what was accepted is {crowd['p99_us'] / 1e3:.0f} ms")
    if after["shed"] + after["late"] > 0 or after["p99_us"] > slo * 1e3:
        wrong.append("it has not recovered after two seconds")
    print("\n".join(wrong) if wrong else f"goodput {crowd['goodput'] / peak:.0%} of the peak of {peak:.0f} a second; recovered")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
