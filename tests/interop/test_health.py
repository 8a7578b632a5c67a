"""Health that tells the truth: lanes that are stuck, servers without a model, and what a probe says; labels of versions; the flag of every limit.

Run with: pytest tests/interop/test_health.py
"""
import json
import re
import signal
import socket
import subprocess
import threading
import time

import numpy as np
import onnx
import pytest
import tritonclient.grpc as triton_grpc
from onnx import TensorProto, helper
from test_serving import BINARY, F32, Server, mlp, save, save_mlp
from tritonclient.utils import InferenceServerException


def save_loop(path):
    """Runs as many rounds as it is told: a batch that holds its lane."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Add", ["sum", "one"], ["more"])], "body",
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("sum", TensorProto.FLOAT, [1])],
        [value("go_on", TensorProto.BOOL, []), value("more", TensorProto.FLOAT, [1])],
        [onnx.numpy_helper.from_array(np.ones(1, np.float32), "one")])
    graph = helper.make_graph(
        [helper.make_node("Squeeze", ["rounds"], ["n"]), helper.make_node("Loop", ["n", "", "zero"], ["y"], body=body)], "g",
        [value("rounds", TensorProto.INT64, [1])], [value("y", TensorProto.FLOAT, [1])],
        [onnx.numpy_helper.from_array(np.zeros(1, np.float32), "zero")])
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def status(server, path):
    import urllib.error
    import urllib.request
    try:
        with urllib.request.urlopen(server.url + path, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_stuck_lane_is_told_and_forgotten(tmp_path):
    save_loop(tmp_path / "loop/1/model.onnx")
    server = Server(tmp_path, "--stuck-after", "0.4", "--lanes", "1")
    grpc = triton_grpc.InferenceServerClient(f"127.0.0.1:{server.ready['grpc_port']}")
    assert status(server, "/v2/health/ready")[0] == 200 and grpc.is_server_ready()

    def ask(rounds):
        body = {"inputs": [{"name": "rounds", "shape": [1], "datatype": "INT64", "data": [rounds]}]}
        begun = time.monotonic()
        server.post("/v2/models/loop/infer", json.dumps(body).encode())
        return time.monotonic() - begun
    ask(10)
    rounds = int(2_000 * 6 / max(ask(2_000), 1e-4))  # some 6 s; fewer, if others computed just now
    asking = threading.Thread(target=ask, args=(rounds,))
    asking.start()
    wait_for(lambda: status(server, "/v2/health/ready")[0] != 200)
    code, text = status(server, "/v2/health/ready")
    if code != 200:  # it may have ended by now
        assert "lane 0 has been at a batch of 'loop'" in text and "--stuck-after" in text
    asking.join()
    wait_for(lambda: status(server, "/v2/health/ready")[0] == 200 and status(server, "/v2/health/live")[0] == 200)
    endless = threading.Thread(target=lambda: pytest.raises(Exception, ask, 10**15))
    endless.start()
    wait_for(lambda: status(server, "/v2/health/live")[0] == 503)
    assert not grpc.is_server_ready() and not grpc.is_server_live()
    assert server.metric("tandem_lane_healthy", lane="0") == 0
    assert "lane 0 has been at a batch" in json.loads(status(server, "/status.json")[1])["server"]["reason"]
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    endless.join()


def test_an_endless_loop_ends_when_its_client_has_gone(tmp_path):
    save_loop(tmp_path / "loop/1/model.onnx")
    server = Server(tmp_path, "--lanes", "1")
    body = json.dumps({"inputs": [{"name": "rounds", "shape": [1], "datatype": "INT64", "data": [10**15]}]}).encode()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"POST /v2/models/loop/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        wait_for(lambda: server.metric("tandem_inference_in_flight", model="loop") == 1)
    wait_for(lambda: server.metric("tandem_inference_in_flight", model="loop") == 0)
    assert server.metric("tandem_inference_failures_total", model="loop", reason="cancelled") == 1
    code, text = server.post("/v2/models/loop/infer", body.replace(b"1" + b"0" * 15, b"7"))
    assert code == 200 and json.loads(text)["outputs"][0]["data"] == [7]
    assert server.stop() == 0


def test_a_server_without_a_model_is_not_ready(tmp_path):
    server = Server(tmp_path)
    assert status(server, "/v2/health/ready") == (400, '{"error":"there is no model in the repository"}')
    assert status(server, "/v2/health/live")[0] == 200
    assert server.stop() == 0
    server = Server(tmp_path, "--model-control", "explicit")
    assert status(server, "/v2/health/ready")[0] == 200, "it waits to be told what to load"
    assert server.stop() == 0


def test_labels(tmp_path):
    for version in (1, 2, 3):
        save_mlp(tmp_path / f"mlp/{version}/model.onnx", version)
    (tmp_path / "mlp/config.pbtxt").write_text('parameters { key: "labels" value { string_value: "stable=1, canary=2" } }')
    server = Server(tmp_path, "--label", "mlp:newest=3", "--label", "mlp:canary=3")
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    given = triton_grpc.InferInput("x", [2, 4], "FP32")
    given.set_data_from_numpy(x)
    grpc = triton_grpc.InferenceServerClient(f"127.0.0.1:{server.ready['grpc_port']}")
    body = json.dumps({"inputs": [{"name": "x", "shape": [2, 4], "datatype": "FP32", "data": x.tolist()}]}).encode()
    for name, version in (("stable", 1), ("canary", 3), ("newest", 3), ("1", 1)):
        code, text = server.post(f"/v2/models/mlp/versions/{name}/infer", body)
        answer = json.loads(text)
        assert code == 200 and answer["model_version"] == str(version)
        assert np.allclose(answer["outputs"][0]["data"], mlp(x, version).ravel(), rtol=1e-4, atol=1e-4)
        result = grpc.infer("mlp", [given], model_version=name)
        assert result.get_response().model_version == str(version)
        assert json.loads(server.get(f"/v2/models/mlp/versions/{name}"))["versions"] == [str(version)]
        assert grpc.is_model_ready("mlp", name)
        assert grpc.get_inference_statistics("mlp", name).model_stats[0].version == str(version)
        assert json.loads(server.get(f"/v2/models/mlp/versions/{name}/stats"))["model_stats"][0]["version"] == str(version)
    code, text = server.post("/v2/models/mlp/versions/beta/infer", body)
    assert code == 400 and "or one of its labels: canary, newest, stable" in text
    with pytest.raises(InferenceServerException, match="StatusCode.INVALID_ARGUMENT"):
        grpc.infer("mlp", [given], model_version="beta")
    assert server.stop() == 0
    (tmp_path / "mlp/config.pbtxt").write_text('parameters { key: "labels" value { string_value: "stable" } }')
    server = Server(tmp_path)
    assert "stable=3" in status(server, "/v2/health/ready")[1]
    assert server.stop() == 0


def test_every_limit_names_its_flag(tmp_path):
    save_mlp(tmp_path / "mlp/1/model.onnx", 1)
    save(tmp_path / "open/1/model.onnx", [helper.make_node("Neg", ["x"], ["y"])], [("x", F32, ["n", "length"])], [("y", F32, ["n", "length"])])
    shown = subprocess.run([BINARY, "serve", "--limits", "--max-tensors", "7"], capture_output=True, text=True, check=True).stdout
    flags = dict(re.findall(r"^(\w+) +\d+ +(--[\w-]+)", shown, re.M))
    known = subprocess.run([BINARY, "serve", "--help"], capture_output=True, text=True, check=True).stdout
    assert len(flags) == 12 and all(flag in known for flag in flags.values()) and re.search(r"request_tensors +7 ", shown)
    assert subprocess.run([BINARY, "serve", str(tmp_path), "--max-headers", "0"], capture_output=True).returncode == 2
    server = Server(tmp_path, "--max-tensors", "1", "--json-depth", "5", "--max-body", "2000", "--max-headers", "8", "--max-header-bytes", "1000", "--max-dimension", "3")
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}
    path = "/v2/models/mlp/infer"
    for body, headers, code, flag in ((json.dumps({"inputs": [tensor, tensor]}).encode(), {}, 400, "--max-tensors"),
                                      (json.dumps({"inputs": [tensor], "outputs": [{"name": "y"}] * 2}).encode(), {}, 400, "--max-tensors"),
                                      (b'{"inputs": [[[[[[[]]]]]]]}', {}, 400, "--json-depth"),
                                      (b"x" * 2001, {}, 413, "--max-body"),
                                      (b"", {f"h{i}": "1" for i in range(9)}, 431, "--max-headers"),
                                      (b"", {"h": "1" * 1200}, 431, "--max-header-bytes")):
        answer = server.post(path, body, headers)
        assert answer[0] == code and flag in answer[1], answer
    assert "--max-dimension" in server.post("/v2/models/open/infer", json.dumps({"inputs": [tensor]}).encode())[1]
    answer = server.post("/" + "a" * 1200)
    assert answer[0] == 414 and "--max-header-bytes" in answer[1], answer
    assert server.stop() == 0
