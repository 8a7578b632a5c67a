"""Shared memory, log settings and traces over gRPC and HTTP, with tritonclient, against `tandem serve`."""
import json
import time

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
import tritonclient.utils.shared_memory as shm
from test_serving import Server, mlp, save, save_mlp
from tritonclient.utils import InferenceServerException, serialize_byte_tensor, serialized_byte_size

from onnx import TensorProto, helper

STR = TensorProto.STRING


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root, logs = tmp_path_factory.mktemp("repository"), tmp_path_factory.mktemp("logs")
    save_mlp(root / "mlp/1/model.onnx", 1)
    save(root / "echo/1/model.onnx", [helper.make_node("Identity", ["text"], ["same"])], [("text", STR, ["n"])], [("same", STR, ["n"])])
    server = Server(root, "--allow-client-shm", "--allow-settings", "--trace-file", str(logs / "trace.json"), "--access-log", str(logs / "access"))
    server.trace_file, server.access_log = logs / "trace.json", logs / "access"
    server.grpc_url = f"127.0.0.1:{server.ready['grpc_port']}"
    yield server
    assert server.stop() == 0
    errors = server.process.stderr.read()
    assert "audit: grpc" in errors and "register region 'data': done" in errors, errors


@pytest.fixture
def grpc_client(server):
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        yield client


@pytest.fixture
def region(grpc_client):
    """A registered region of 4096 bytes, and how to place tensors in it."""
    handle = shm.create_shared_memory_region("data", "/tandem_grpc_interop", 4096)
    grpc_client.register_system_shared_memory("data", "/tandem_grpc_interop", 4096)
    yield grpc_client, handle
    grpc_client.unregister_system_shared_memory()
    shm.destroy_shared_memory_region(handle)


def both(server):
    return [(triton_http, server.client()), (triton_grpc, triton_grpc.InferenceServerClient(server.grpc_url))]


def test_tensors_go_both_ways(region):
    client, handle = region
    x = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    shm.set_shared_memory_region(handle, [x])
    given = triton_grpc.InferInput("x", x.shape, "FP32")
    given.set_shared_memory("data", x.nbytes)
    wanted = triton_grpc.InferRequestedOutput("y")
    wanted.set_shared_memory("data", 8 * 3 * 4, offset=1024)
    response = client.infer("mlp", [given], outputs=[wanted]).get_response()
    assert list(response.raw_output_contents) == [b""] and response.outputs[0].parameters["shared_memory_offset"].int64_param == 1024
    y = shm.get_contents_as_numpy(handle, np.float32, (8, 3), offset=1024)
    np.testing.assert_allclose(y, mlp(x, 1), rtol=1e-4, atol=1e-5)


def test_text_in_and_raw_out(region):
    client, handle = region
    texts = np.array([b"one", b"", "zw\u00f6lf".encode()], dtype=object)
    shm.set_shared_memory_region(handle, [serialize_byte_tensor(texts)])
    given = triton_grpc.InferInput("text", [3], "BYTES")
    given.set_shared_memory("data", serialized_byte_size(serialize_byte_tensor(texts)))
    assert list(client.infer("echo", [given]).as_numpy("same")) == list(texts)


def test_status_and_faults(region, server):
    client, _ = region
    regions = client.get_system_shared_memory_status(as_json=True)["regions"]
    assert regions["data"]["key"] == "/tandem_grpc_interop" and int(regions["data"]["byte_size"]) == 4096
    for name, key, size, message in [("data", "/tandem_grpc_interop", 64, "already in manager"), ("other", "/tandem_no_such_object", 64, "Unable to open"),
                                     ("other", "/tandem_grpc_interop", 4097, "Invalid offset"), ("other", "/../etc/passwd", 1, "must be a name")]:
        with pytest.raises(InferenceServerException, match=message):
            client.register_system_shared_memory(name, key, size)
    for name, size, offset, message in [("data", 16, 4090, "Invalid offset"), ("none", 16, 0, "Unable to find shared memory region"),
                                        ("data", 12, 0, "unexpected size")]:
        x = triton_grpc.InferInput("x", [1, 4], "FP32")
        x.set_shared_memory(name, size, offset)
        with pytest.raises(InferenceServerException, match=message):
            client.infer("mlp", [x])
    x = triton_grpc.InferInput("x", [1, 4], "FP32")
    x.set_shared_memory("data", 16)
    small = triton_grpc.InferRequestedOutput("y")
    small.set_shared_memory("data", 8, offset=64)
    with pytest.raises(InferenceServerException, match="should be at least 12 bytes to hold the results"):
        client.infer("mlp", [x], outputs=[small])
    assert client.get_cuda_shared_memory_status(as_json=True) == {}
    client.unregister_cuda_shared_memory()
    ours, theirs = client.get_server_metadata(as_json=True), server.client().get_server_metadata()
    assert ours == theirs and {"system_shared_memory", "trace", "logging"} <= set(ours["extensions"])


def test_log_settings(server):
    for module, client in both(server):
        form = {"as_json": True} if module is triton_grpc else {}
        def plain(answer):
            if module is triton_http:
                return answer
            return {key: next(iter(value.values())) for key, value in answer["settings"].items()}
        before = plain(client.get_log_settings(**form))
        assert before["log_info"] is True and before["log_verbose_level"] == 0 and before["log_format"] == "default"
        changed = plain(client.update_log_settings({"log_verbose_level": 1, "log_format": "ISO8601"}, **form))
        assert changed["log_verbose_level"] == 1 and changed["log_format"] == "ISO8601" and changed["log_info"] is True
        assert plain(client.update_log_settings({"log_verbose_level": 0, "log_format": "default"}, **form)) == before
        for wrong, message in [({"log_file": "x"}, "can not be updated"), ({"log_info": 3}, "true or false"), ({"nothing": True}, "unknown log setting"),
                               ({"log_format": "other"}, "default or ISO8601")]:
            if module is triton_grpc and "log_info" in wrong:
                continue  # the client itself makes it a truth
            with pytest.raises(InferenceServerException, match=message):
                client.update_log_settings(wrong)


def infer_over(module, client, count=1):
    given = module.InferInput("x", [1, 4], "FP32")
    given.set_data_from_numpy(np.ones((1, 4), np.float32))
    for _ in range(count):
        client.infer("mlp", [given], request_id="r1")


def test_traces(server):
    names = ["REQUEST_START", "QUEUE_START", "COMPUTE_START", "COMPUTE_INPUT_END", "COMPUTE_OUTPUT_START", "COMPUTE_END", "REQUEST_END"]
    for module, client in both(server):
        before = len(json.loads(server.trace_file.read_text() or "[]"))
        client.update_trace_settings(model_name="mlp", settings={"trace_level": ["TIMESTAMPS"], "trace_rate": "2", "trace_count": "3"})
        infer_over(module, client, 10)
        time.sleep(0.1)
        traces = json.loads(server.trace_file.read_text())[before:]
        assert len(traces) == 6, "every second request, three at most"
        for about, times in zip(traces[::2], traces[1::2]):
            assert (about["model_name"], about["model_version"], about["request_id"]) == ("mlp", 1, "r1") and about["id"] == times["id"]
            assert [entry["name"] for entry in times["timestamps"]] == names
            stamps = [entry["ns"] for entry in times["timestamps"]]
            assert stamps == sorted(stamps) and stamps[-1] - stamps[0] < 10e9
        client.update_trace_settings(model_name="mlp", settings={"trace_level": None, "trace_rate": None, "trace_count": None})
        form = {"as_json": True} if module is triton_grpc else {}
        settings = client.get_trace_settings(model_name="mlp", **form)
        settings = {key: value["value"] for key, value in settings["settings"].items()} if form else settings
        assert settings["trace_level"] == ["OFF"] and settings["trace_rate"] in ("1000", ["1000"])
        for wrong, message in [({"trace_rate": "0"}, "at least 1"), ({"trace_rate": "x"}, "whole number"), ({"trace_level": ["ALL"]}, "OFF or TIMESTAMPS"),
                               ({"trace_file": "/etc/passwd"}, "can not be updated"), ({"other": "1"}, "unknown trace setting")]:
            with pytest.raises(InferenceServerException, match=message):
                client.update_trace_settings(settings=wrong)
        with pytest.raises(InferenceServerException, match="unknown model"):
            client.update_trace_settings(model_name="none", settings={"trace_rate": "5"})


def test_access_log(server):
    before = len(server.access_log.read_text().splitlines())
    for module, client in both(server):
        infer_over(module, client)
    server.post("/v2/models/none/infer", b"{}", {"Host": "a\tb"})
    lines = [json.loads(line) for line in server.access_log.read_text().splitlines()[before:]]
    assert [(line["protocol"], line["status"]) for line in lines] == [("http", "200"), ("grpc", "OK"), ("http", "404")]
    assert lines[0]["request"] == "POST /v2/models/mlp/infer" and lines[1]["request"] == "ModelInfer mlp"
    assert all(line["us"] > 0 and "127.0.0.1" in line["peer"] and line["bytes_in"] > 0 and line["bytes_out"] > 0 for line in lines[:2])


def test_settings_are_closed_unless_allowed(tmp_path):
    save_mlp(tmp_path / "mlp/1/model.onnx", 1)
    server = Server(tmp_path)
    server.grpc_url = f"127.0.0.1:{server.ready['grpc_port']}"
    for _, client in both(server):
        assert client.get_log_settings() and client.get_trace_settings()
        for change in (lambda: client.update_log_settings({"log_info": False}), lambda: client.update_trace_settings(settings={"trace_rate": "1"})):
            with pytest.raises(InferenceServerException, match="--allow-settings"):
                change()
        assert not {"trace", "logging", "system_shared_memory"} & set(server.client().get_server_metadata()["extensions"])
    assert server.stop() == 0
    assert "audit: grpc" in server.process.stderr.read()
