"""Answers a second within a target of latency: python bench/server/throughput_at_slo.py --slo 100 --network resnet50=FILE.onnx@images=1,3,224,224 [--mlserver PYTHON]

Contestants, over gRPC with raw tensors: Tandem with `--slo p99=...`; Tandem that runs each request alone (max_batch_size: 1); MLServer with onnxruntime. Each is asked in
closed loops of 1, 2, 4 ... connections, in turns; what counts is the best rate of answers within the target of a loop whose p99 is within it. What no
batcher can exceed: `tandem bench model FILE --batch N --threads T`.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

from servers import Server, load, make_repository, start_mlserver


def start_tandem(build, repository, *flags):
    server = Server([build / "bin/tandem", "serve", "--repository", repository, "--http-port", "0", "--json", *flags])
    ready = json.loads(server.said)
    server.http, server.grpc = ready["port"], ready["grpc_port"]
    return server


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--network", required=True, metavar="NAME=FILE@INPUT=SHAPE[@INPUT=SHAPE]")
    parser.add_argument("--mlserver", metavar="PYTHON", help="a Python with mlserver and onnxruntime")
    parser.add_argument("--slo", type=float, default=100, help="milliseconds, of the p99")
    parser.add_argument("--connections", type=int, nargs="*", default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    build, (name, rest) = options.build.resolve(), options.network.split("=", 1)
    file, *shapes = rest.split("@")
    flags = [name, "--protocol", "grpc", "--within", str(options.slo), *[word for shape in shapes for word in ("--shape", shape)]]
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        for repository in ("batches", "one"):
            make_repository(folder / repository, {name: file})
            for other in ("identity", "identity64k", "mlp"):
                subprocess.run(["rm", "-r", folder / repository / other], check=True)
        (folder / "one" / name / "config.pbtxt").write_text("max_batch_size: 1")
        servers = {"tandem --slo": start_tandem(build, folder / "batches", "--slo", f"p99={options.slo:g}ms"), "tandem, one by one": start_tandem(build, folder / "one")}
        if options.mlserver:
            (folder / "mlserver").mkdir()
            servers["mlserver"] = start_mlserver(options.mlserver, folder / "batches", folder / "mlserver", [name])
        best = {}
        try:
            for _ in range(options.rounds):
                for connections in options.connections:
                    for which, server in servers.items():
                        row = load(build, server.grpc, flags, connections, options.seconds)
                        if "error" in row:
                            print(f"{which:<20} {connections:>4}  {row['error']}", flush=True)
                            continue
                        row["goodput"] = row["within"] / options.seconds
                        keeps = row["p99_us"] <= options.slo * 1e3
                        print(f"{which:<20} {connections:>4} connections: {row['rate']:8.1f} a second, p50 {row['p50_us'] / 1e3:.1f} ms, p99 {row['p99_us'] / 1e3:.1f} ms, "
                              f"refused {row['shed']}{'' if keeps else ', beyond the target'}", flush=True)
                        if keeps and row["goodput"] > best.get(which, 0):
                            best[which] = row["goodput"]
        finally:
            for server in servers.values():
                server.stop()
    for which, rate in best.items():
        print(f"{which}: {rate:.1f} a second with p99 within {options.slo:g} ms ({rate / max(best.values()):.2f} of the best)")


if __name__ == "__main__":
    main()
