"""What hostile clients send, to both front ends: refused in words, and the server is afterwards as it was before.

After each attack: alive, ready, no file descriptor and next to no memory kept, nothing in flight, the next answer right.
"""
import json
import os
import time

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
from test_serving import Server, mlp, owned, save, save_mlp, tensor
from tritonclient.grpc import service_pb2, service_pb2_grpc

from onnx import TensorProto, helper

STR = TensorProto.STRING


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("repository")
    save_mlp(root / "mlp/1/model.onnx", 1)
    save(root / "echo/1/model.onnx", [helper.make_node("Identity", ["text"], ["same"])], [("text", STR, ["n"])], [("same", STR, ["n"])])
    (root / "mlp/config.pbtxt").write_text("max_batch_size: 64 dynamic_batching { max_queue_delay_microseconds: 20000 }")
    server = Server(root, "--max-body", "16000000")
    server.grpc_url = f"127.0.0.1:{server.ready['grpc_port']}"
    for _ in range(3):
        check_answer(server)
    yield server
    assert server.stop() == 0


def check_answer(server):
    x = np.ones((2, 4), np.float32)
    np.testing.assert_allclose(server.client().infer("mlp", [tensor("x", x, "FP32")]).as_numpy("y"), mlp(x, 1), rtol=1e-4, atol=1e-5)


@pytest.fixture
def attacked(server):
    fds, memory = len(os.listdir(f"/proc/{server.process.pid}/fd")), owned(server)
    yield server
    assert server.process.poll() is None and server.client().is_server_ready()
    check_answer(server)
    deadline = time.monotonic() + 30
    def settled():
        idle = server.metric("tandem_inference_in_flight", model="mlp") == 0
        return idle and len(os.listdir(f"/proc/{server.process.pid}/fd")) <= fds + 2 and owned(server) - memory < getattr(server, "kept", 8 << 20)
    while not settled():
        assert time.monotonic() < deadline, (len(os.listdir(f"/proc/{server.process.pid}/fd")), fds, owned(server) - memory)
        time.sleep(0.02)


def body(**changes):
    given = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4], **changes}
    return json.dumps({"inputs": [given]}).encode()


def raw_data(text):
    return body(data=["DATA"]).replace(b'["DATA"]', text)


JSON_ATTACKS = {
    "100,000 levels": raw_data(b"[" * 100_000 + b"]" * 100_000), "a million levels, open": b"[" * 1_000_000, "objects": b'{"a":' * 100_000,
    "a million keys": b"{" + b",".join(b'"k%d":1' % i for i in range(1_000_000)) + b"}", "keys twice": b'{"inputs":[],"inputs":[]}',
    "1e400": raw_data(b"[1e400,2,3,4]"), "NaN": raw_data(b"[NaN,2,3,4]"), "Infinity": raw_data(b"[Infinity,2,3,4]"),
    "lone surrogate": b'{"id":"\\ud800","inputs":[]}', "no UTF-8": b'{"id":"\xff\xfe","inputs":[]}', "NUL": b'{"inputs":[]}\x00', "empty": b"",
    "trailing": body() + b"{}", "number": b"1", "comment": b"/* */" + body()}


@pytest.mark.parametrize("name", JSON_ATTACKS)
@pytest.mark.parametrize("path", ["infer", "generate"])
def test_a7_json(attacked, name, path):
    start = time.monotonic()
    status, text = attacked.post(f"/v2/models/mlp/{path}", JSON_ATTACKS[name])
    assert status == 400 and json.loads(text)["error"] and time.monotonic() - start < 5, text[:200]


SHAPES = [[2**32, 2**32], [-1, 4], [1] * 1000, [2**62, 4], [2**63, 1], [1.5, 4], ["1", 4], "1", None, {}, [1, 4, 2**40, 0], [3, 4]]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a8_shapes(attacked, shape):
    status, text = attacked.post("/v2/models/mlp/infer", body(shape=shape))
    assert status == 400 and "x" in json.loads(text)["error"]


@pytest.mark.parametrize("request_body, says", [
    (body(datatype="FP31"), "datatype"), (body(datatype=3), "datatype"), (body(name="z"), "'z'"), (body(name=""), "name"), (body(data=[1, 2, 3]), "x"),
    (body(data=[1, 2, 3, "4"]), "element 3"), (b'{"inputs": [%s, %s]}' % (body()[12:-2], body()[12:-2]), "already exists"), (b'{"inputs": []}', "expected 1 inputs"),
    (body()[:-1] + b', "outputs": [{"name": "y"}, {"name": "y"}]}', "already exists"), (body()[:-1] + b', "outputs": [{"name": "q"}]}', "'q'")])
def test_a8_tensors(attacked, request_body, says):
    status, text = attacked.post("/v2/models/mlp/infer", request_body)
    assert status == 400 and says in json.loads(text)["error"], text


@pytest.mark.parametrize("size, length", [(16, None), (16, "99999"), (16, "-1"), (16, "x"), (16, "1e3"), (16, str(2**64)), (17, "exact"), (15, "exact"), (2**62, "exact"), (-1, "exact"), (16, "short")])
def test_a9_binary_sections(attacked, size, length):
    head = json.dumps({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "parameters": {"binary_data_size": size}}]}).encode()
    headers = {} if length is None else {"Inference-Header-Content-Length": {"exact": str(len(head)), "short": str(len(head) - 1)}.get(length, length)}
    status, text = attacked.post("/v2/models/mlp/infer", head + np.ones(4, np.float32).tobytes(), headers)
    assert status == 400 and json.loads(text)["error"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e-45, -0.0, 3.4e38])
def test_a10_odd_numbers_stay_in_their_row(attacked, value):
    with triton_grpc.InferenceServerClient(attacked.grpc_url) as client:
        x = np.random.default_rng(1).normal(size=(8, 4)).astype(np.float32)
        def given(array):
            one = triton_grpc.InferInput("x", array.shape, "FP32")
            one.set_data_from_numpy(array)
            return [one]
        before = client.infer("mlp", given(x)).as_numpy("y")
        odd = x.copy()
        odd[3] = value
        after = client.infer("mlp", given(odd)).as_numpy("y")
        others = [0, 1, 2, 4, 5, 6, 7]
        np.testing.assert_array_equal(after[others], before[others])


def test_a12_streams_and_calls_that_are_left(attacked):
    message = service_pb2.ModelInferRequest(model_name="mlp", raw_input_contents=[np.ones(4, np.float32).tobytes()])
    message.inputs.add(name="x", datatype="FP32", shape=[1, 4])
    with grpc.insecure_channel(attacked.grpc_url) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        for round in range(300):
            stream = stub.ModelStreamInfer(iter([message] * (round % 5)))
            call = stub.ModelInfer.future(message)
            if round % 3 == 0:
                next(stream, None)
            stream.cancel()
            call.cancel()
    check_answer(attacked)
    assert attacked.metric("tandem_grpc_requests_total", code="INTERNAL") == 0


@pytest.mark.parametrize("timeout", [0, 1, 2**62, 2**63 - 1])
def test_a13_times(attacked, timeout):
    status, text = attacked.post("/v2/models/mlp/infer", body()[:-1] + b', "parameters": {"timeout": %d}}' % timeout)
    assert status in (200, 503, 504), text  # within 1 us or not
    with triton_grpc.InferenceServerClient(attacked.grpc_url) as client:
        given = triton_grpc.InferInput("x", [1, 4], "FP32")
        given.set_data_from_numpy(np.ones((1, 4), np.float32))
        try:
            client.infer("mlp", [given], timeout=timeout)
        except triton_grpc.InferenceServerException as error:
            assert timeout == 1 and ("DEADLINE_EXCEEDED" in error.status() or "UNAVAILABLE" in error.status()), error
    assert attacked.post("/v2/models/mlp/infer", body()[:-1] + b', "parameters": {"timeout": -1}}')[0] == 400


@pytest.mark.parametrize("message", [b"\x0a" * 1000, b"\x2a\x80\x80\x80\x80\x08", b"\x13" * 200_000, b"\xff" * 1000], ids=range(4))
def test_a17_messages(attacked, message):
    with grpc.insecure_channel(attacked.grpc_url) as channel:
        for name in ("ModelInfer", "RepositoryIndex", "LogSettings", "SystemSharedMemoryRegister"):
            with pytest.raises(grpc.RpcError) as error:
                channel.unary_unary(f"/inference.GRPCInferenceService/{name}")(message)
            assert error.value.code().name in ("INVALID_ARGUMENT", "NOT_FOUND", "UNIMPLEMENTED"), error.value
        for path in ("/", "/inference.GRPCInferenceService/", "/inference.GRPCInferenceService/../ModelInfer", "/x" * 1000):
            with pytest.raises(grpc.RpcError) as error:
                channel.unary_unary(path)(b"")
            assert error.value.code().name in ("UNIMPLEMENTED", "UNKNOWN", "INTERNAL", "RESOURCE_EXHAUSTED"), error.value


def test_a22_names_make_no_series(attacked):
    before = len(attacked.get("/metrics").splitlines())
    for i in range(300):
        assert attacked.post(f"/v2/models/made_up_{i}/infer", b"{}")[0] == 404
    assert len(attacked.get("/metrics").splitlines()) <= before + 2


@pytest.mark.parametrize("name", ["../mlp", "..%2fmlp", "%2e%2e", "%252e%252e", "mlp%00", "%2fetc", "a%20b", "x" * 300, "m%c3%bclp", ".hidden", "con%2f."])
def test_a21_names(attacked, name):
    for method in ("infer", "generate", "config"):
        status, text = attacked.post(f"/v2/models/{name}/{method}", b"{}")
        assert status in (400, 404, 405) and "tmp" not in text
