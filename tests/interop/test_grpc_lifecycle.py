"""What happens to calls that are cancelled or late, when models come and go, when the server drains or has no room.

TANDEM_BIN names the program (default: build/release/bin/tandem). Run with: pytest tests/interop/test_grpc_lifecycle.py
"""
import os
import queue
import resource
import signal
import socket
import threading
import time

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_server import client, code_of, rows, server, tensor  # noqa: F401 - fixtures
from test_serving import Server, mlp, save, save_mlp
from tritonclient.grpc import service_pb2_grpc
from tritonclient.utils import InferenceServerException

from onnx import TensorProto, helper


@pytest.fixture
def slow(tmp_path):
    """A model that takes about a tenth of a second, on one lane."""
    n = 700
    weight = np.eye(n, dtype=np.float32)
    nodes = [helper.make_node("MatMul", [f"h{i}", "w"], [f"h{i + 1}"]) for i in range(40)]
    save(tmp_path / "slow/1/model.onnx", nodes, [("h0", TensorProto.FLOAT, ["n", n])], [("h40", TensorProto.FLOAT, ["n", n])], [("w", weight)])
    server = Server(tmp_path, "--lanes", "1")
    server.grpc_url = f"127.0.0.1:{server.ready['grpc_port']}"
    server.input = tensor("h0", np.ones((512, n), np.float32), "FP32")
    yield server
    server.process.poll() is None and server.process.kill()


def test_cancelled_requests_are_not_run(slow):
    with triton.InferenceServerClient(slow.grpc_url) as client:
        done = queue.Queue()
        calls = [client.async_infer("slow", [slow.input], callback=lambda result, error: done.put(error)) for _ in range(20)]
        time.sleep(0.02)
        for call in calls[1:]:
            call.cancel()
        errors = [done.get(timeout=30) for _ in calls]
        assert sum(error is not None and "CANCELLED" in str(error.status()) for error in errors) >= 15
        client.infer("slow", [slow.input])
        statistics = client.get_inference_statistics("slow", as_json=True)["model_stats"][0]
        assert int(statistics["execution_count"]) <= 6


def test_deadlines(slow):
    with triton.InferenceServerClient(slow.grpc_url) as client:
        start = time.monotonic()
        calls = [threading.Thread(target=lambda: client.infer("slow", [slow.input])) for _ in range(3)]
        for call in calls:
            call.start()
        code, _ = code_of(lambda: client.infer("slow", [slow.input], client_timeout=0.001))
        assert code == "StatusCode.DEADLINE_EXCEEDED" and time.monotonic() - start < 5
        for call in calls:
            call.join()
        assert code_of(lambda: client.infer("slow", [slow.input], client_timeout=1e-9))[0] == "StatusCode.DEADLINE_EXCEEDED"
        assert client.infer("slow", [slow.input], client_timeout=60).as_numpy("h40").shape == (512, 700)
        assert int(client.get_inference_statistics("slow", as_json=True)["model_stats"][0]["execution_count"]) <= 5


def test_drain_answers_what_was_begun_and_ends_idle_streams(slow):
    with triton.InferenceServerClient(slow.grpc_url) as client, grpc.insecure_channel(slow.grpc_url) as channel:
        client.infer("slow", [slow.input])
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        idle, wait = service_pb2_grpc.GRPCInferenceServiceStub(channel), threading.Event()
        stream = idle.ModelStreamInfer(wait.wait() or item for item in [0])
        done = queue.Queue()
        for _ in range(3):
            client.async_infer("slow", [slow.input], callback=lambda result, error: done.put((result, error)))
        time.sleep(0.05)
        slow.process.send_signal(signal.SIGTERM)
        for _ in range(3):
            assert done.get(timeout=20)[1] is None
        assert slow.process.wait(timeout=20) == 0
        with pytest.raises(grpc.RpcError) as error:
            next(stream)
        assert error.value.code() == grpc.StatusCode.UNAVAILABLE
        wait.set()


def test_load_and_unload(tmp_path):
    save_mlp(tmp_path / "m/1/model.onnx", 1)
    server = Server(tmp_path, "--model-control", "explicit")
    with triton.InferenceServerClient(f"127.0.0.1:{server.ready['grpc_port']}") as client:
        assert client.get_model_repository_index(as_json=True) == {"models": [{"name": "m"}]}
        client.load_model("m")
        np.testing.assert_allclose(client.infer("m", [tensor("x", rows(2), "FP32")]).as_numpy("y"), mlp(rows(2), 1), rtol=1e-4, atol=1e-5)
        content = (tmp_path / "m/1/model.onnx").read_bytes()
        client.load_model("sent", config='{"max_batch_size": "4"}', files={"file:3/model.onnx": content})
        assert client.get_model_config("sent").config.max_batch_size == 4
        np.testing.assert_allclose(client.infer("sent", [tensor("x", rows(2), "FP32")]).as_numpy("y"), mlp(rows(2), 1), rtol=1e-4, atol=1e-5)
        for wrong in ({"config": "{}", "files": {"file:1/../../escape": b"x"}}, {"files": {"file:1/model.onnx": content}}, {"config": "{"}):
            assert code_of(lambda: client.load_model("wrong", **wrong))[0] == "StatusCode.INVALID_ARGUMENT"
        client.unload_model("m")
        assert not client.is_model_ready("m")
        code, text = code_of(lambda: client.load_model("none"))
        assert "failed to load 'none'" in text
        assert "explicit" not in text
    assert server.stop() == 0


def test_loading_is_off_unless_asked_for(client):
    code, text = code_of(lambda: client.load_model("mlp"))
    assert code == "StatusCode.UNAVAILABLE" and "--model-control explicit" in text


def fds_of(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))


def test_more_connections_than_descriptors(tmp_path):
    """Twice: gRPC's own listener would accept nobody after the first time."""
    save_mlp(tmp_path / "m/1/model.onnx", 1)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]), resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    server = Server(tmp_path, limit_fds=128)
    url, before = f"127.0.0.1:{server.ready['grpc_port']}", fds_of(server.process)
    for _ in range(2):
        idle = [socket.create_connection(("127.0.0.1", server.ready["grpc_port"])) for _ in range(300)]
        time.sleep(0.2)
        assert server.client().is_server_live()  # the other door is open all the while
        for connection in idle:
            connection.close()
        deadline = time.monotonic() + 5
        while True:
            try:
                with triton.InferenceServerClient(url) as client:
                    assert client.infer("m", [tensor("x", rows(2), "FP32")], client_timeout=2).as_numpy("y").shape == (2, 3)
                break
            except InferenceServerException:
                assert time.monotonic() < deadline
        while fds_of(server.process) > before + 4:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert server.stop() == 0


def test_more_connections_than_allowed(tmp_path):
    save_mlp(tmp_path / "m/1/model.onnx", 1)
    server = Server(tmp_path, "--connections", "5")
    port = server.ready["grpc_port"]
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    time.sleep(0.2)
    def is_closed(connection):
        connection.settimeout(0.2)
        try:
            return connection.recv(1000) == b""
        except TimeoutError:
            return False
        except ConnectionResetError:
            return True
    assert sum(not is_closed(connection) for connection in idle) <= 5
    for connection in idle:
        connection.close()
    with triton.InferenceServerClient(f"127.0.0.1:{port}") as client:
        time.sleep(0.3)
        assert client.is_server_live()
    assert server.stop() == 0
