"""Tandem's server beside others, measured with `tandem load`: python bench/server/servers.py [--build build/release] [--json FILE]

Cases: health, Identity as JSON, over gRPC and with 64 KiB, an MLP 30-256-256-2, and networks (--networks NAME=model.onnx, with @INPUT=1,3,224,224 behind it for one with open
dimensions); 1, 8, 32 and 256 connections.
Beside them in the same rounds, where they are there: nginx answering a POST with 200 static bytes (--nginx), a bare gRPC echo (target grpc_echo), and MLServer with
onnxruntime (--mlserver PYTHON, whose environment has both). Client and server share the processors. Rounds of all contestants are interleaved, each
figure is that of the best round. `of cpus` is what all processors would answer by the processor time that server and client took, where other
programs had some of them. Start to ready, resident memory and the processors that one connection keeps busy are measured besides.
"""
import argparse
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# A model of MLServer that runs ONNX files, as its documentation has users write them.
MLSERVER_RUNTIME = '''
import numpy
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceResponse


def decoded(tensor):
    if tensor.datatype == "BYTES":
        return numpy.array(StringCodec.decode_input(tensor), dtype=object).reshape(tensor.shape)
    return NumpyCodec.decode_input(tensor)


def encoded(name, value):
    output = StringCodec.encode_output(name, list(value.reshape(-1))) if value.dtype == object else NumpyCodec.encode_output(name, value)
    output.shape = list(value.shape)
    return output


class OnnxModel(MLModel):
    async def load(self):
        self.session = onnxruntime.InferenceSession(self.settings.parameters.uri, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, request):
        names = [one.name for one in request.outputs or self.session.get_outputs()]
        outputs = self.session.run(names, {one.name: decoded(one) for one in request.inputs})
        return InferenceResponse(id=request.id, model_name=self.name, outputs=[encoded(*one) for one in zip(names, outputs)])
'''
WIRE_NAMES = {TensorProto.FLOAT: "FP32", TensorProto.DOUBLE: "FP64", TensorProto.FLOAT16: "FP16", TensorProto.STRING: "BYTES"}


def save(path, nodes, inputs, outputs, constants=()):
    info = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in side] for side in (inputs, outputs)]
    graph = helper.make_graph(nodes, "g", *info, [numpy_helper.from_array(value, name) for name, value in constants])
    path.parent.mkdir(parents=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def make_repository(root, networks):
    for name, width in (("identity", 1), ("identity64k", 16384)):
        save(root / name / "1/model.onnx", [helper.make_node("Identity", ["x"], ["y"])], [("x", ["n", width])], [("y", ["n", width])])
    rng = np.random.default_rng(0)
    widths, nodes, constants, value = [30, 256, 256, 2], [], [], "x"
    for i in range(3):
        constants += [(f"w{i}", (rng.standard_normal(widths[i:i + 2]) / 16).astype(np.float32)), (f"b{i}", np.zeros(widths[i + 1], np.float32))]
        nodes.append(helper.make_node("Gemm", [value, f"w{i}", f"b{i}"], ["y" if i == 2 else f"g{i}"]))
        if i < 2:
            nodes.append(helper.make_node("Relu", [f"g{i}"], [f"r{i}"]))
            value = f"r{i}"
    save(root / "mlp/1/model.onnx", nodes, [("x", ["n", 30])], [("y", ["n", 2])], constants)
    for name, file in networks.items():
        (root / name / "1").mkdir(parents=True)
        shutil.copy(file.split("@")[0], root / name / "1/model.onnx")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def status(pid, key):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1])


def family(pid):
    """The process and its children, which is how MLServer and nginx do their work."""
    found = [pid]
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += family(int(child))
    return found


def resident_mib(pid):
    return sum(status(one, "VmRSS:") for one in family(pid)) / 1024


def cpu_seconds(pid):
    ticks = os.sysconf("SC_CLK_TCK")
    return sum(sum(map(int, pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()[11:13])) for one in family(pid)) / ticks


class Server:
    """One that runs: how to reach it, and how long it took to be ready."""

    def __init__(self, command, ready_path=None, port=None, environment=None, cwd=None):
        begin = time.perf_counter()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment, cwd=cwd)
        self.http, self.grpc = port, None
        if ready_path is None:
            self.said = self.process.stdout.readline()
        else:
            self.wait(f"http://127.0.0.1:{port}{ready_path}")
        self.ready_ms = (time.perf_counter() - begin) * 1e3

    def wait(self, url):
        for _ in range(3000):
            try:
                return urllib.request.urlopen(url, timeout=1).read()
            except OSError:
                time.sleep(0.01)
        raise SystemExit(f"{url} does not answer")

    def stop(self):
        self.process.stdin.close()
        self.process.terminate()
        self.process.wait(30)


def start_tandem(build, repository):
    server = Server([build / "bin/tandem", "serve", "--repository", repository, "--http-port", "0", "--json"])
    ready = json.loads(server.said)
    server.http, server.grpc = ready["port"], ready["grpc_port"]
    return server


def start_nginx(program, folder):
    port = free_port()
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/nginx.pid; error_log /dev/null; events {{ worker_connections 2048; }}\n"
        f"http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;\n"
        f"scgi_temp_path {folder}/s; keepalive_requests 1000000000; server {{ listen 127.0.0.1:{port}; location / {{ return 200 '{'a' * 200}'; }} }} }}\n")
    return Server([program, "-p", str(folder), "-c", str(folder / "nginx.conf")], "/", port)


def start_mlserver(python, repository, folder, names):
    http, grpc, metrics = free_port(), free_port(), free_port()
    (folder / "onnx_model.py").write_text(MLSERVER_RUNTIME)
    settings = {"debug": False, "parallel_workers": 0, "host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics, "use_structured_logging": False}
    (folder / "settings.json").write_text(json.dumps(settings))
    for name in names:
        graph = onnx.load(repository / name / "1/model.onnx", load_external_data=False).graph
        face = lambda one: {"name": one.name, "datatype": WIRE_NAMES.get(one.type.tensor_type.elem_type, TensorProto.DataType.Name(one.type.tensor_type.elem_type)), "shape": [dim.dim_value or -1 for dim in one.type.tensor_type.shape.dim]}
        (folder / name).mkdir()
        (folder / name / "model-settings.json").write_text(json.dumps({
            "name": name, "implementation": "onnx_model.OnnxModel", "parameters": {"uri": str(repository / name / "1/model.onnx")},
            "inputs": [face(one) for one in graph.input if one.name not in {i.name for i in graph.initializer}], "outputs": [face(one) for one in graph.output]}))
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    server = Server([pathlib.Path(python).parent / "mlserver", "start", str(folder)], "/v2/health/ready", http, environment, folder)
    server.grpc = grpc
    return server


def load(build, port, flags, connections, seconds):
    command = [build / "bin/tandem", "load", *flags, "--url", f"127.0.0.1:{port}", "--connections", str(connections), "--time", str(seconds), "--warmup", "0.2", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else {"rate": 0, "error": (done.stdout or done.stderr).strip()[:200]}


def contests(servers, networks):
    """Case, its contestants as (name, port, flags), connections."""
    tandem, nginx, echo, mlserver = (servers.get(name) for name in ("tandem", "nginx", "echo", "mlserver"))

    def both(flags, protocol):
        port = lambda server: server.http if protocol == "http" else server.grpc
        flags = [*flags, "--protocol", protocol]
        tensors = ["--json-tensors"] if protocol == "http" and "--json-tensors" not in flags else []  # MLServer takes no binary ones
        return [("tandem", port(tandem), flags)] + ([("mlserver", port(mlserver), [*flags, *tensors])] if mlserver else [])

    static = [("nginx static", nginx.http, ["--path", "/"])] if nginx else []
    bare = [("bare echo", echo.grpc, ["identity", "--protocol", "grpc"])] if echo else []
    all_counts = (1, 8, 32, 256)
    yield "health", [("tandem", tandem.http, ["--path", "/v2/health/live"]), *static], all_counts
    yield "identity JSON", both(["identity", "--json-tensors"], "http"), all_counts
    yield "identity gRPC", both(["identity"], "grpc") + bare, all_counts
    yield "MLP HTTP", both(["mlp"], "http"), all_counts
    yield "MLP gRPC", both(["mlp"], "grpc"), all_counts
    yield "64 KiB HTTP", both(["identity64k"], "http"), all_counts
    yield "64 KiB gRPC", both(["identity64k"], "grpc"), all_counts
    for name, file in networks.items():
        shape = ["--shape", file.split("@")[1]] if "@" in file else []
        for protocol in ("http", "grpc"):
            yield f"{name} {protocol}", both([name, *shape], protocol), (1, 8)


SERVER_OF = {"nginx static": "nginx", "bare echo": "echo"}


def spent(server):
    """Processor seconds of the server and of all clients that have ended."""
    return cpu_seconds(server.process.pid) + sum(os.times()[2:4])


def measure(build, servers, networks, only, rounds, seconds):
    best = {}
    for _ in range(rounds):
        for case, contestants, counts in contests(servers, networks):
            if only and case not in only:
                continue
            for connections in counts:
                for name, port, flags in contestants:
                    before = spent(servers[SERVER_OF.get(name, name)])
                    row = load(build, port, flags, connections, seconds)
                    busy = spent(servers[SERVER_OF.get(name, name)]) - before
                    row["rate_of_cpus"] = row["rate"] * (seconds + 0.2) / max(busy, 1e-3) * len(os.sched_getaffinity(0))
                    key = (case, name, connections)
                    if key not in best or row["rate"] > best[key]["rate"]:
                        best[key] = row
    return best


def idle_cost(build, servers, seconds):
    """Processors kept busy by an MLP at one connection, the client's own left out, and resident memory afterwards."""
    rows = {}
    for name, server in servers.items():
        if name in ("tandem", "mlserver"):
            before = cpu_seconds(server.process.pid)
            row = load(build, server.http, ["mlp", "--json-tensors"], 1, seconds)
            rows[name] = {"cpus": (cpu_seconds(server.process.pid) - before) / (seconds + 0.2), "us_a_request": None}
            if row["rate"]:
                rows[name]["us_a_request"] = rows[name]["cpus"] / row["rate"] * 1e6
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--networks", nargs="*", default=[], metavar="NAME=FILE")
    parser.add_argument("--nginx", help="the program")
    parser.add_argument("--mlserver", metavar="PYTHON", help="a Python with mlserver and onnxruntime")
    parser.add_argument("--cases", nargs="*", default=[], metavar="CASE", help="only these, such as 'identity JSON'")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    build, networks = options.build.resolve(), dict(one.split("=", 1) for one in options.networks)
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        make_repository(folder / "models", networks)
        servers = {"tandem": start_tandem(build, folder / "models")}
        first = {"tandem": resident_mib(servers["tandem"].process.pid)}
        if (build / "bin/grpc_echo").exists():
            servers["echo"] = Server([build / "bin/grpc_echo", "0"])
            servers["echo"].grpc = int(servers["echo"].said)
        for name in ("nginx", "mlserver"):
            if getattr(options, name):
                (folder / name).mkdir()
        if options.nginx:
            servers["nginx"] = start_nginx(options.nginx, folder / "nginx")
        if options.mlserver:
            names = ["identity", "identity64k", "mlp", *networks]
            servers["mlserver"] = start_mlserver(options.mlserver, folder / "models", folder / "mlserver", names)
            first["mlserver"] = resident_mib(servers["mlserver"].process.pid)
        try:
            cpu = idle_cost(build, servers, options.seconds)
            rows = measure(build, servers, networks, options.cases, options.rounds, options.seconds)
            print(f"{'case':<18} {'server':<14} {'connections':>11} {'answers/s':>10} {'of cpus/s':>10} {'p50 us':>10} {'p99 us':>10}")
            for (case, name, connections), row in rows.items():
                if "error" in row:
                    print(f"{case:<18} {name:<14} {connections:>11}   {row['error']}")
                else:
                    print(f"{case:<18} {name:<14} {connections:>11} {row['rate']:>10.0f} {row['rate_of_cpus']:>10.0f} {row['p50_us']:>10.1f} {row['p99_us']:>10.1f}")
            for name, one in first.items():
                pid = servers[name].process.pid
                print(f"{name}: ready after {servers[name].ready_ms:.0f} ms, resident {one:.1f} MiB, {resident_mib(pid):.1f} MiB after the load; "
                      f"an MLP at one connection keeps {cpu[name]['cpus']:.2f} processors busy ({cpu[name]['us_a_request'] or 0:.0f} us a request)")
            if options.json:
                table = [{"case": case, "server": name, "connections": connections, **row} for (case, name, connections), row in rows.items()]
                options.json.write_text(json.dumps({"rows": table, "cpu": cpu, "resident_mib": first}, indent=1))
        finally:
            for server in servers.values():
                server.stop()


if __name__ == "__main__":
    main()
