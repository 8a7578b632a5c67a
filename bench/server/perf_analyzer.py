"""Triton's perf_analyzer against `tandem serve`, beside `tandem load`:
python bench/server/perf_analyzer.py --perf-analyzer "chroot DIR /opt/perf_analyzer/bin/perf_analyzer"   (bench/server/perf_analyzer_root DIR makes it)

Over HTTP, gRPC and a gRPC stream. Two things must hold, or the exit code is 1: what the server counted in perf_analyzer's windows is what perf_analyzer counted (2%), and
of a model that takes milliseconds both load generators tell latencies in the same proportion to the time that the server tells of the same requests (10%), which a
machine that is faster in one run than in the next does not disturb. Of a small model the clients themselves are most of what is measured: its figures are shown, not
judged. perf_analyzer keeps payloads: its memory is bounded to 8 GB.
"""
import argparse
import json
import pathlib
import re
import shlex
import subprocess
import tempfile
import urllib.request

import numpy as np
from onnx import helper
from servers import load, make_repository, save, start_tandem

PROTOCOLS = {"http": ["-i", "http"], "grpc": ["-i", "grpc"], "stream": ["-i", "grpc", "--streaming", "-a"]}


def save_heavy(root):
    """Milliseconds in one core's own cache, so that neighbours disturb little: one 512 x 512 matrix, two hundred times."""
    weights = [("w", (np.random.default_rng(0).standard_normal((512, 512)) / 23).astype(np.float32))]
    nodes = [helper.make_node("MatMul", [f"h{i}" if i else "x", "w"], ["y" if i == 199 else f"h{i + 1}"]) for i in range(200)]
    save(root / "heavy/1/model.onnx", nodes, [("x", ["n", 512])], [("y", ["n", 512])], weights)


def number(text, pattern):
    found = re.search(pattern, text)
    return float(found[1]) if found else float("nan")


def perf_analyzer(command, server, model, protocol, connections, seconds):
    port = server.http if protocol == "http" else server.grpc
    flags = ["-m", model, "-u", f"127.0.0.1:{port}", *PROTOCOLS[protocol], "--concurrency-range", str(connections), "--measurement-interval",
             str(int(seconds * 1000)), "--stability-percentage", "999", "--max-trials", "6"]
    done = subprocess.run(["bash", "-c", f"ulimit -v 8000000; {shlex.join([*shlex.split(command), *flags])}"], capture_output=True, text=True, timeout=120)
    text = done.stdout
    if done.returncode != 0 or "Request count:" not in text:
        raise SystemExit(f"perf_analyzer failed on {model} over {protocol}:\n{text}{done.stderr}")
    return {"rate": number(text, r"Throughput: ([\d.]+)"), "p50_us": number(text, r"p50 latency: (\d+)"), "p99_us": number(text, r"p99 latency: (\d+)"),
            "sent": number(text, r"Request count: (\d+)"), "counted": number(text, r"Inference count: (\d+)"), "mean_us": number(text, r"Avg latency: (\d+)"), "server_us": number(text, r"Avg request latency: (\d+)")}


def tandem_load(build, server, model, protocol, connections, seconds):
    """With the server's mean of the same requests."""
    def success():
        stats = json.load(urllib.request.urlopen(f"http://127.0.0.1:{server.http}/v2/models/{model}/stats"))["model_stats"][0]["inference_stats"]
        return stats["success"]["count"], stats["success"]["ns"]
    count, ns = success()
    row = load(build, server.http if protocol == "http" else server.grpc, [model, "--protocol", protocol], connections, seconds)
    after = success()
    return {**row, "server_us": (after[1] - ns) / 1e3 / (after[0] - count)}


def compare(options, build, server, model, protocol, connections):
    best = {}
    for _ in range(options.rounds):
        theirs = perf_analyzer(options.perf_analyzer, server, model, protocol, connections, options.seconds)
        row = {"perf_analyzer": theirs}
        if protocol != "stream":
            row["tandem load"] = tandem_load(build, server, model, protocol, connections, options.seconds * 2)
        for name, one in row.items():
            if name not in best or one["rate"] > best[name]["rate"]:
                best[name] = one
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--perf-analyzer", required=True, metavar="COMMAND")
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--models", nargs="*", default=["heavy", "mlp"])
    parser.add_argument("--connections", nargs="*", type=int, default=[1, 8])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1)
    options = parser.parse_args()
    build, wrong = options.build.resolve(), []
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary) / "models"
        make_repository(root, {})
        save_heavy(root)
        server = start_tandem(build, root)
        print(f"{'model':<8} {'protocol':<8} {'connections':>11} {'client':<14} {'answers/s':>10} {'p50 us':>9} {'p99 us':>9} {'mean us':>9} {'server us':>9}  counted by client and server")
        try:
            for model in options.models:
                for protocol in PROTOCOLS:
                    for connections in options.connections:
                        case, rows = f"{model} {protocol} {connections}", compare(options, build, server, model, protocol, connections)
                        for name, one in rows.items():
                            counts = f"  {one['sent']:.0f} {one['counted']:.0f}" if "sent" in one else ""
                            print(f"{model:<8} {protocol:<8} {connections:>11} {name:<14} {one['rate']:>10.0f} {one['p50_us']:>9.0f} {one['p99_us']:>9.0f} {one['mean_us']:>9.0f} {one['server_us']:>9.0f}{counts}", flush=True)
                        theirs, ours = rows["perf_analyzer"], rows.get("tandem load")
                        if abs(theirs["sent"] / theirs["counted"] - 1) > 0.02:
                            wrong.append(f"{case}: perf_analyzer counted {theirs['sent']:.0f}, the server {theirs['counted']:.0f}")
                        if ours and model == "heavy" and abs(ours["mean_us"] / ours["server_us"] / (theirs["mean_us"] / theirs["server_us"]) - 1) > 0.1:
                            wrong.append(f"{case}: perf_analyzer tells {theirs['mean_us']:.0f} us where the server tells {theirs['server_us']:.0f}, "
                                         f"tandem load {ours['mean_us']:.0f} where it tells {ours['server_us']:.0f}")
        finally:
            server.stop()
    print("\n".join(wrong) if wrong else "both agree")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
