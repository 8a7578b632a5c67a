"""Targets of latency and cancellation on a running server: refusals say when to come again, and work that nobody waits for ends.

TANDEM_BIN names the program (default: build/release/bin/tandem). Run with: pytest tests/interop/test_slo.py
"""
import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
from test_serving import BINARY, Server, mlp, save, save_mlp
from tritonclient.utils import InferenceServerException

from onnx import TensorProto, helper

WIDTH, LAYERS = 1024, 48
CROWD = "512"  # clients that ask at once: 51 GFLOP, more than two cores do in the 100 ms of the target


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A deep network: 100 MFLOP a row, in steps of 2 MFLOP a row each."""
    root = tmp_path_factory.mktemp("slo")
    weight = (np.random.default_rng(0).standard_normal((WIDTH, WIDTH)) / 32).astype(np.float32)
    nodes = []
    for layer in range(LAYERS):
        nodes.append(helper.make_node("MatMul", ["x" if layer == 0 else f"r{layer - 1}", "w"], [f"m{layer}"]))
        nodes.append(helper.make_node("Relu", [f"m{layer}"], ["y" if layer == LAYERS - 1 else f"r{layer}"]))
    save(root / "deep/1/model.onnx", nodes, [("x", TensorProto.FLOAT, ["n", WIDTH])], [("y", TensorProto.FLOAT, ["n", WIDTH])], [("w", weight)])
    return root


@pytest.fixture(scope="module")
def plain(repository):
    server = Server(repository, "--lanes", "1", "--max-batch", "4096")
    yield server
    assert server.stop() == 0


def wait_until(holds, seconds=20):
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def is_computing(server):
    return server.metric("tandem_inference_in_flight", model="deep") == 1


def saved(server):
    return server.metric("tandem_saved_seconds_total", model="deep") or 0


def ask_over_http(server, rows):
    data = np.zeros((rows, WIDTH), np.float32).tobytes()
    head = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [rows, WIDTH], "parameters": {"binary_data_size": len(data)}}],
                       "outputs": [{"name": "y", "parameters": {"binary_data": True}}]}).encode()
    request = urllib.request.Request(server.url + "/v2/models/deep/infer", data=head + data, headers={"Inference-Header-Content-Length": str(len(head))})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return len(answer.read())


def test_a_client_that_hangs_up_ends_its_computation(plain):
    rows = 2048
    begin = time.monotonic()
    ask_over_http(plain, rows)
    whole = time.monotonic() - begin
    before = saved(plain)
    data = np.zeros((rows, WIDTH), np.float32).tobytes()
    head = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [rows, WIDTH], "parameters": {"binary_data_size": len(data)}}]}).encode()
    with socket.create_connection(("127.0.0.1", plain.port)) as connection:
        connection.sendall(f"POST /v2/models/deep/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(head) + len(data)}\r\n"
                           f"Inference-Header-Content-Length: {len(head)}\r\n\r\n".encode() + head + data)
        assert wait_until(lambda: is_computing(plain))
        time.sleep(0.1 * whole)
    assert wait_until(lambda: plain.metric("tandem_inference_in_flight", model="deep") == 0)
    assert wait_until(lambda: saved(plain) > before + 0.1 * whole), (saved(plain), before, whole)
    assert plain.metric("tandem_inference_failures_total", model="deep", reason="cancelled") >= 1
    assert ask_over_http(plain, 1) > 0


def test_a_deadline_of_grpc_ends_its_computation(plain):
    begin = time.monotonic()
    ask_over_http(plain, 2048)
    whole = time.monotonic() - begin
    before = saved(plain)
    with triton_grpc.InferenceServerClient(f"127.0.0.1:{plain.ready['grpc_port']}") as client:
        x = triton_grpc.InferInput("x", [2048, WIDTH], "FP32")
        x.set_data_from_numpy(np.zeros((2048, WIDTH), np.float32))
        for share in (0.5, 0.25, 0.12):  # again where the machine is faster than it was just now
            try:
                client.infer("deep", [x], client_timeout=share * whole)
            except InferenceServerException as error:
                assert "deadline" in str(error).lower()
                break
        else:
            pytest.fail("answered beyond its deadline, or the machine became eight times as fast")
    assert wait_until(lambda: plain.metric("tandem_inference_in_flight", model="deep") == 0)
    assert wait_until(lambda: saved(plain) > before)


@pytest.fixture(scope="module")
def targeted(repository, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        server = Server(repository, "--slo", "p99=100ms", "--max-batch", "64")
    server.cache = cache
    yield server
    assert server.stop() == 0


def load(port, *flags):
    done = subprocess.run([BINARY, "load", "deep", "--url", f"127.0.0.1:{port}", "--json", "--warmup", "0.5", "--time", "1.5", *flags], capture_output=True,
                          text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_batches_cost_is_kept_for_the_next_start(targeted):
    files = list((targeted.cache / "tandem/costs").glob("*.cost"))
    alone = f"-{targeted.ready['lanes']}x1.cost"
    assert sum(file.name.endswith(alone) for file in files) == 1, files  # others are of lanes together, where that promised something
    for file in files:
        points = [[float(word) for word in line.split()] for line in file.read_text().splitlines()]
        assert points[0][0] == 1 and all(a[0] < b[0] for a, b in zip(points, points[1:]))


def test_beyond_what_it_can_do_the_server_refuses_at_once(targeted):
    alone = load(targeted.port, "--connections", "1")
    assert alone["shed"] == 0 and alone["ok"] > 0
    crowd = load(targeted.port, "--connections", CROWD)
    assert crowd["shed"] > 0 and crowd["ok"] > 0 and crowd["failed"] == 0
    assert crowd["first_problem"].startswith("429") and "p99=100ms" in crowd["first_problem"]
    grpc_crowd = load(targeted.ready["grpc_port"], "--protocol", "grpc", "--connections", CROWD)
    assert grpc_crowd["shed"] > 0 and grpc_crowd["first_problem"].startswith("8 ")  # RESOURCE_EXHAUSTED


def test_a_refusal_says_when_to_come_again(targeted):
    crowd = subprocess.Popen([BINARY, "load", "deep", "--url", f"127.0.0.1:{targeted.port}", "--connections", CROWD, "--time", "120", "--warmup", "0"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, WIDTH], "data": [0] * WIDTH}]}).encode()

    def refused():
        try:
            urllib.request.urlopen(urllib.request.Request(targeted.url + "/v2/models/deep/infer", data=body), timeout=30).read()
        except urllib.error.HTTPError as error:
            return error.code == 429 and int(error.headers["Retry-After"]) >= 1
        return False

    try:
        assert wait_until(refused, 60)
        assert crowd.poll() is None
    finally:
        crowd.kill()
        crowd.wait()


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor makes one lane")
def test_lanes_run_a_batch_together_where_the_target_needs_it(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    save_mlp(tmp_path / "models/team/1/model.onnx", 1)
    assert Server(tmp_path / "models", "--lanes", "2", "--slo", "p99=60s").stop() == 0
    costs = tmp_path / "cache/tandem/costs"
    [measured] = costs.glob("*.cost")
    key, _, lanes = measured.stem.partition("-")
    assert lanes == "2x1"
    (costs / f"{key}-2x1.cost").write_text("1 0.080 0 10\n")  # as if a row took so long: two do not fit into the target
    (costs / f"{key}-1x2.cost").write_text("1 0.042 0 10\n")

    save_mlp(tmp_path / "models/single/1/model.onnx", 2)
    server = Server(tmp_path / "models", "--lanes", "2", "--slo", "p99=100ms")
    try:
        def told(path):
            with urllib.request.urlopen(server.url + path, timeout=30) as answer:
                return json.loads(answer.read())

        assert told("/v2/models/team")["parameters"] == {"slo": "p99=100ms", "lanes_per_batch": 2}
        assert told("/v2/models/single")["parameters"] == {"slo": "p99=100ms", "lanes_per_batch": 1}
        assert [told(f"/v2/models/{name}/config")["instance_group"][0]["count"] for name in ("team", "single")] == [1, 2]

        def ask(i):
            name, seed = (("team", 1), ("single", 2))[i % 2]
            x = np.random.default_rng(i).standard_normal((1 + i % 3, 4)).astype(np.float32)
            body = {"inputs": [{"name": "x", "shape": list(x.shape), "datatype": "FP32", "data": x.ravel().tolist()}], "parameters": {"explain": True}}
            request = urllib.request.Request(f"{server.url}/v2/models/{name}/infer", data=json.dumps(body).encode())
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    answer = json.loads(answer.read())
            except urllib.error.HTTPError as error:
                assert error.code == 429  # as long as a row is taken to last 42 ms
                return None
            np.testing.assert_allclose(np.reshape(answer["outputs"][0]["data"], (-1, 3)), mlp(x, seed), rtol=1e-5, atol=1e-5)
            return name, answer["parameters"]["lane"], answer["parameters"]["lanes"]

        with ThreadPoolExecutor(8) as clients:
            ways = set(clients.map(ask, range(400)))
        assert {way[::2] for way in ways if way} == {("team", 2), ("single", 1)}
        assert ("team", 0, 2) in ways and ("team", 1, 2) not in ways  # the first of the lanes runs it
        server.get("/v2/health/ready")
    finally:
        assert server.stop() == 0
    server.process.stderr.seek(0)
    assert "runs each batch on 2 lanes together for p99=100ms" in server.process.stderr.read()
