"""What a server keeps: python bench/server/memory.py --network MobileNetV2=FILE.onnx@1,3,224,224 [--cycles 50]

Resident memory after the start with an empty repository; after --cycles of load, infer and unload of the network, against the first; and what a second name for the same
file takes.
"""
import argparse
import json
import pathlib
import shutil
import statistics
import tempfile
import urllib.request

from servers import Server, load, status


def start(build, repository):
    server = Server([build / "bin/tandem", "serve", "--repository", repository, "--http-port", "0", "--json", "--model-control", "explicit"])
    ready = json.loads(server.said)
    server.http, server.grpc = ready["port"], ready["grpc_port"]
    return server


def resident(server):
    """MiB: all, and without pages of files, which the system has once for all that map them."""
    return tuple(status(server.process.pid, key) / 1024 for key in ("VmRSS:", "RssAnon:"))


def shown(size):
    return f"{size[0]:.1f} ({size[1]:.1f})"


def control(server, verb, name):
    request = urllib.request.Request(f"http://127.0.0.1:{server.http}/v2/repository/models/{name}/{verb}", data=b"{}")
    urllib.request.urlopen(request, timeout=60).read()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--network", required=True, metavar="NAME=FILE@SHAPE")
    parser.add_argument("--input", default="images")
    parser.add_argument("--cycles", type=int, default=50)
    options = parser.parse_args()
    build, (name, rest) = options.build.resolve(), options.network.split("=", 1)
    file, shape = rest.split("@")
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary)
        for one in (name, name + "2"):
            (root / one / "1").mkdir(parents=True)
            shutil.copy(file, root / one / "1/model.onnx")
        begins = []
        for _ in range(5):
            server = start(build, root)
            begins.append((server.ready_ms, *resident(server)))
            server.stop()
        print(f"no model: ready after {statistics.median(b[0] for b in begins):.0f} ms ({min(begins)[0]:.0f} at best), resident {shown([statistics.median(b[i] for b in begins) for i in (1, 2)])} MiB, without pages of files in brackets")
        server = start(build, root)
        def cycle():
            control(server, "load", name)
            load(build, server.http, [name, "--shape", f"{options.input}={shape}"], 1, 0.01)
            control(server, "unload", name)
        try:
            sizes = [resident(server)]
            for _ in range(options.cycles):
                cycle()
                sizes.append(resident(server))
            print(f"resident MiB before, after 1, 5, 10 ... cycles: {shown(sizes[0])}; {', '.join(shown(sizes[i]) for i in (1, 5, *range(10, options.cycles + 1, 10)))}")
            before = resident(server)
            control(server, "load", name)
            once = resident(server)
            control(server, "load", name + "2")
            print(f"loaded {once[0] - before[0]:+.1f} MiB, under a second name {resident(server)[0] - once[0]:+.1f} MiB")
        finally:
            server.stop()


if __name__ == "__main__":
    main()
