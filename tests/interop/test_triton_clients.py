"""All four clients of tritonclient, HTTP and gRPC, plain and aio, ask the same things of one `tandem serve`: every datatype in every form, shared
memory, compression, cancellation, timeouts, loading and unloading.

TANDEM_BIN names the program (default: build/release/bin/tandem). Run with: pytest tests/interop/test_triton_clients.py
"""
import asyncio
import contextlib
import os
import queue
import time

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.grpc.aio as triton_grpc_aio
import tritonclient.http as triton_http
import tritonclient.http.aio as triton_http_aio
import tritonclient.utils.shared_memory as shm
from google.protobuf import json_format
from grpc_server import ONNX_TYPES, rows, sample, TYPES
from test_serving import Server, mlp, save, save_mlp
from tritonclient.utils import InferenceServerException, serialize_byte_tensor

from onnx import TensorProto, helper

CLIENTS = {"http": (triton_http, triton_http), "http.aio": (triton_http, triton_http_aio), "grpc": (triton_grpc, triton_grpc),
           "grpc.aio": (triton_grpc, triton_grpc_aio)}
WIDTH = 700


class Client:
    """One of the four, with tensors of its protocol; `asked` waits for the answer of those that only promise it."""

    def __init__(self, name, server):
        self.name, self.is_http, self.is_aio = name, name.startswith("http"), name.endswith("aio")
        self.tensors, self.library = CLIENTS[name]
        self.url = f"127.0.0.1:{server.port if self.is_http else server.ready['grpc_port']}"
        self.loop = asyncio.new_event_loop() if self.is_aio else None
        self.client = self.asked(self.opened()) if self.is_aio else self.library.InferenceServerClient(self.url)

    async def opened(self, **options):  # aio's clients belong to a loop that runs
        return self.library.InferenceServerClient(self.url, **options)

    def asked(self, answer):
        return self.loop.run_until_complete(answer) if self.is_aio else answer

    def __getattr__(self, method):
        return lambda *arguments, **options: self.asked(getattr(self.client, method)(*arguments, **options))

    def tensor(self, name, value, datatype, **options):
        given = self.tensors.InferInput(name, value.shape, datatype)
        given.set_data_from_numpy(value, **options)
        return given

    def close(self):
        self.asked(self.client.close())
        if self.is_aio:
            self.loop.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("repository")
    save_mlp(root / "mlp/1/model.onnx", 1)
    for name, number in ONNX_TYPES.items():
        save(root / f"same_{name}/1/model.onnx", [helper.make_node("Identity", ["x"], ["y"])], [("x", number, ["n"])], [("y", number, ["n"])])
    weight = np.eye(WIDTH, dtype=np.float32)  # 40 GFLOP for 1,024 rows, in 40 steps
    nodes = [helper.make_node("MatMul", [f"h{i}", "w"], [f"h{i + 1}"]) for i in range(40)]
    save(root / "slow/1/model.onnx", nodes, [("h0", TensorProto.FLOAT, ["n", WIDTH])], [("h40", TensorProto.FLOAT, ["n", WIDTH])], [("w", weight)])
    server = Server(root, "--model-control", "explicit", "--load-model", "*", "--allow-client-shm", "--lanes", "1")
    yield server
    assert server.stop() == 0


@pytest.fixture(params=CLIENTS)
def client(request, server):
    client = Client(request.param, server)
    yield client
    client.close()


def holds_soon(condition):
    deadline = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def in_flight(server, model):
    return server.metric("tandem_inference_in_flight", model=model) or 0


def failed(server, reason):
    return server.metric("tandem_inference_failures_total", model="same_FP32", reason=reason) or 0


@pytest.mark.parametrize("datatype, kind", [case[:2] for case in TYPES])
def test_every_type(client, datatype, kind):
    value = sample(datatype, kind)
    forms = [{}]
    if client.is_http:
        forms = [{"binary_data": True}, {"binary_data": False}]
        if datatype == "BF16":
            forms.pop()  # the client has no JSON for it
    for form in forms:
        if datatype == "BYTES" and form == {"binary_data": False}:
            value = np.array([b"", b"a", "ä".encode(), b'"\\\n', b"x" * 300], dtype=np.object_)
        wanted = client.tensors.InferRequestedOutput("y", **form)
        got = client.infer(f"same_{datatype}", [client.tensor("x", value, datatype, **form)], outputs=[wanted]).as_numpy("y")
        if datatype == "BYTES":
            got = [text.encode() if isinstance(text, str) else text for text in got.tolist()]
            value = value.tolist()
        np.testing.assert_array_equal(got, value)


def test_what_is_asked_of_the_server_and_of_models(client, server):
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("mlp", "1")
    client.infer("mlp", [client.tensor("x", rows(2), "FP32")])
    answers = [client.get_server_metadata(), client.get_model_metadata("mlp"), client.get_model_config("mlp"), client.get_model_repository_index(),
               client.get_inference_statistics("mlp"), client.get_log_settings(), client.get_trace_settings(), client.get_system_shared_memory_status()]
    if not client.is_http:
        answers = [json_format.MessageToDict(answer, preserving_proto_field_name=True) for answer in answers]
        answers[2], answers[3] = answers[2]["config"], answers[3]["models"]
        answers[5], answers[6] = answers[5]["settings"], answers[6]["settings"]
    metadata, model, config, index, statistics, log, trace, regions = answers
    assert metadata["name"] == "tandem" and model["inputs"][0]["name"] == config["input"][0]["name"] == "x"
    assert {entry["name"] for entry in index} == {"mlp", "slow"} | {f"same_{name}" for name in ONNX_TYPES}
    assert int(statistics["model_stats"][0]["inference_count"]) >= 2 and "log_verbose_level" in log and "trace_level" in trace and not regions
    with pytest.raises(InferenceServerException, match="unknown model"):
        client.get_model_metadata("none")


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compression(client, algorithm):
    x = rows(300)
    both = {"request_compression_algorithm": algorithm, "response_compression_algorithm": algorithm}
    got = client.infer("mlp", [client.tensor("x", x, "FP32")], **(both if client.is_http else {"compression_algorithm": algorithm}))
    np.testing.assert_allclose(got.as_numpy("y"), mlp(x, 1), rtol=1e-4, atol=1e-5)


def test_shared_memory(client):
    key = f"/tandem_clients_{os.getpid()}"
    region = shm.create_shared_memory_region("both", key, 4096)
    try:
        client.register_system_shared_memory("both", key, 4096)
        x = rows(8)
        shm.set_shared_memory_region(region, [x])
        given, wanted = client.tensors.InferInput("x", x.shape, "FP32"), client.tensors.InferRequestedOutput("y")
        given.set_shared_memory("both", x.nbytes)
        wanted.set_shared_memory("both", 8 * 3 * 4, offset=1024)
        client.infer("mlp", [given], outputs=[wanted])
        np.testing.assert_allclose(shm.get_contents_as_numpy(region, np.float32, (8, 3), offset=1024), mlp(x, 1), rtol=1e-4, atol=1e-5)
        texts = np.array([b"one", b"", "zwölf".encode()], dtype=object)
        shm.set_shared_memory_region(region, [serialize_byte_tensor(texts)])
        given = client.tensors.InferInput("x", [3], "BYTES")
        given.set_shared_memory("both", len(serialize_byte_tensor(texts).item()))
        got = client.infer("same_BYTES", [given]).as_numpy("y")
        assert [text.encode() if isinstance(text, str) else text for text in got.tolist()] == texts.tolist()
        client.unregister_system_shared_memory("both")
        with pytest.raises(InferenceServerException, match="Unable to find shared memory region"):
            client.infer("same_BYTES", [given])
    finally:
        shm.destroy_shared_memory_region(region)


def test_load_and_unload(client):
    client.unload_model("mlp")
    assert not client.is_model_ready("mlp")
    with pytest.raises(InferenceServerException):
        client.infer("mlp", [client.tensor("x", rows(2), "FP32")])
    client.load_model("mlp", config='{"max_batch_size": 4}')
    config = client.get_model_config("mlp")
    assert (config["max_batch_size"] if client.is_http else config.config.max_batch_size) == 4
    with pytest.raises(InferenceServerException, match="batch-size must be <= 4"):
        client.infer("mlp", [client.tensor("x", rows(5), "FP32")])
    with pytest.raises(InferenceServerException, match="failed to load 'none'"):
        client.load_model("none")
    client.load_model("mlp")
    got = client.infer("mlp", [client.tensor("x", rows(5), "FP32")]).as_numpy("y")
    np.testing.assert_allclose(got, mlp(rows(5), 1), rtol=1e-4, atol=1e-5)


@contextlib.contextmanager
def busy_lane(server):
    """The one lane computes for a client of its own meanwhile, and what comes waits."""
    given = triton_grpc.InferInput("h0", [1024, WIDTH], "FP32")
    given.set_data_from_numpy(np.ones((1024, WIDTH), np.float32))
    with triton_grpc.InferenceServerClient(f"127.0.0.1:{server.ready['grpc_port']}") as client:
        calls = [client.async_infer("slow", [given], callback=lambda result, error: None) for _ in range(8)]
        assert holds_soon(lambda: in_flight(server, "slow") > 0)
        yield
        for call in calls:
            call.cancel()
        assert holds_soon(lambda: in_flight(server, "slow") == 0)


def fails_while_busy(server, reason, ask):
    """Whether the server counts a request of `ask` as failed for `reason`; again where the lane was free too soon."""
    before, deadline = failed(server, reason), time.monotonic() + 30
    while time.monotonic() < deadline:
        with busy_lane(server):
            ask()
        assert holds_soon(lambda: in_flight(server, "same_FP32") == 0)
        if failed(server, reason) > before:
            return True
    return False


def test_cancellation(client, server):
    """Asked while the lane is busy and given up: it never runs."""
    if client.name == "http":
        pytest.skip("tritonclient.http cannot give a request up before its timeout")
    x = client.tensor("x", np.ones(1, np.float32), "FP32")

    async def give_up():
        task = asyncio.ensure_future(client.client.infer("same_FP32", [x]))
        while not task.done() and not in_flight(server, "same_FP32"):
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def ask():
        if client.is_aio:
            return client.asked(give_up())
        answers = queue.Queue()
        call = client.client.async_infer("same_FP32", [x], callback=lambda result, error: answers.put(error))
        assert holds_soon(lambda: in_flight(server, "same_FP32") or not answers.empty())
        call.cancel()
        answers.get(timeout=30)
    assert fails_while_busy(server, "cancelled", ask)


def test_timeouts_of_the_client(client, server):
    """The client waits no longer than it was told, and the server drops what it asked."""
    if client.name == "http":
        impatient = triton_http.InferenceServerClient(client.url, network_timeout=0.05)
    elif client.name == "http.aio":
        impatient = client.asked(client.opened(conn_timeout=0.05))
    else:
        impatient = client.client
    x = client.tensor("x", np.ones(1, np.float32), "FP32")
    own = {} if client.is_http else {"client_timeout": 0.05}

    def ask():
        try:
            client.asked(impatient.infer("same_FP32", [x], **own))
        except Exception as error:  # each library has an exception of its own
            assert "timed out" in str(error) or "deadline" in str(error).lower() or isinstance(error, asyncio.TimeoutError), repr(error)
    try:
        assert fails_while_busy(server, "cancelled" if client.is_http else "timeout", ask)
    finally:
        if impatient is not client.client:
            client.asked(impatient.close())


def test_timeouts_of_a_request(client, server):
    """The request's own parameter, in microseconds of waiting."""
    x = client.tensor("x", np.ones(1, np.float32), "FP32")

    def ask():
        try:
            client.infer("same_FP32", [x], timeout=1000)
        except InferenceServerException as error:
            assert "Request timeout expired" in str(error)
    assert fails_while_busy(server, "timeout", ask)
