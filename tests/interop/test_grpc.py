"""tritonclient.grpc, its aio form and plain grpcio against the real `tandem serve`: the same answers as over HTTP.

TANDEM_BIN names the program (default: build/release/bin/tandem). Run with: pytest tests/interop/test_grpc.py
"""
import asyncio
import os
import queue
import resource
import signal
import socket
import threading
import time

import grpc
import ml_dtypes
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from google.protobuf import json_format
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from test_serving import Server, mlp, save, save_mlp
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException, serialize_byte_tensor

from onnx import TensorProto, helper

# datatype, its numpy type, the field of typed contents
TYPES = [("BOOL", np.bool_, "bool_contents"), ("UINT8", np.uint8, "uint_contents"), ("UINT16", np.uint16, "uint_contents"),
         ("UINT32", np.uint32, "uint_contents"), ("UINT64", np.uint64, "uint64_contents"), ("INT8", np.int8, "int_contents"),
         ("INT16", np.int16, "int_contents"), ("INT32", np.int32, "int_contents"), ("INT64", np.int64, "int64_contents"),
         ("FP16", np.float16, None), ("BF16", ml_dtypes.bfloat16, None), ("FP32", np.float32, "fp32_contents"), ("FP64", np.float64, "fp64_contents"),
         ("BYTES", np.object_, "bytes_contents")]
ONNX_TYPES = {"BOOL": TensorProto.BOOL, "UINT8": TensorProto.UINT8, "UINT16": TensorProto.UINT16, "UINT32": TensorProto.UINT32,
              "UINT64": TensorProto.UINT64, "INT8": TensorProto.INT8, "INT16": TensorProto.INT16, "INT32": TensorProto.INT32,
              "INT64": TensorProto.INT64, "FP16": TensorProto.FLOAT16, "BF16": TensorProto.BFLOAT16, "FP32": TensorProto.FLOAT,
              "FP64": TensorProto.DOUBLE, "BYTES": TensorProto.STRING}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("repository")
    for version in (1, 2):
        save_mlp(root / f"mlp/{version}/model.onnx", version)
    (root / "mlp/config.pbtxt").write_text("max_batch_size: 512 dynamic_batching { max_queue_delay_microseconds: 100 }")
    for name, number in ONNX_TYPES.items():
        save(root / f"same_{name}/1/model.onnx", [helper.make_node("Identity", ["x"], ["y"])], [("x", number, ["n"])], [("y", number, ["n"])])
    (root / "broken/1").mkdir(parents=True)
    (root / "broken/1/model.onnx").write_bytes(b"none")
    server = Server(root, "--versions", "all", "--max-body", "1000000")
    server.grpc_url = f"127.0.0.1:{server.ready['grpc_port']}"
    yield server
    assert server.stop() == 0


@pytest.fixture
def client(server):
    with triton.InferenceServerClient(server.grpc_url) as client:
        yield client


@pytest.fixture
def stub(server):
    with grpc.insecure_channel(server.grpc_url) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def tensor(name, value, datatype):
    given = triton.InferInput(name, value.shape, datatype)
    given.set_data_from_numpy(value)
    return given


def rows(count, seed=7):
    return np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32)


def sample(datatype, kind, count=5):
    rng = np.random.default_rng(3)
    if datatype == "BYTES":
        return np.array([b"", b"a", "ä".encode(), b"\x00\xff", b"x" * 300][:count], dtype=np.object_)
    if kind == np.bool_:
        return rng.integers(0, 2, count).astype(np.bool_)
    if np.issubdtype(kind, np.integer):
        info = np.iinfo(kind)
        return np.array([info.min, info.max, 0, 1, 7], dtype=kind)[:count]
    return rng.normal(size=count).astype(kind)


def code_of(call):
    with pytest.raises(InferenceServerException) as error:
        call()
    return error.value.status(), error.value.message()


def test_health_and_metadata(client, server):
    assert client.is_server_live() and not client.is_server_ready()  # one model is broken
    assert client.is_model_ready("mlp") and client.is_model_ready("mlp", "1") and not client.is_model_ready("broken")
    assert code_of(lambda: client.is_model_ready("none"))[0] == "StatusCode.NOT_FOUND"
    ours, theirs = client.get_server_metadata(as_json=True), server.client().get_server_metadata()
    assert ours == theirs and "statistics" in ours["extensions"]
    ours, theirs = client.get_model_metadata("mlp", as_json=True), server.client().get_model_metadata("mlp")
    for part in ("inputs", "outputs"):
        for spec in ours[part]:
            spec["shape"] = [int(size) for size in spec["shape"]]
    assert ours == theirs


def test_config_is_that_of_http(client, server):
    ours, theirs = client.get_model_config("mlp").config, server.client().get_model_config("mlp")
    assert ours.max_batch_size == 512 and ours.dynamic_batching.max_queue_delay_microseconds == 100
    again = type(ours)()
    json_format.ParseDict(theirs, again)
    assert again == ours


def test_index_and_statistics_are_those_of_http(client, server):
    client.infer("mlp", [tensor("x", rows(3), "FP32")])
    def number(value):
        return int(value) if isinstance(value, str) and value.isdigit() else value
    index = [{key: value for key, value in model.items()} for model in client.get_model_repository_index(as_json=True)["models"]]
    assert index == server.client().get_model_repository_index()
    ours = client.get_inference_statistics("mlp", "2", as_json=True)["model_stats"][0]
    theirs = server.client().get_inference_statistics("mlp", "2")["model_stats"][0]
    assert number(ours["inference_count"]) == theirs["inference_count"] > 0
    assert number(ours["inference_stats"]["success"]["ns"]) == theirs["inference_stats"]["success"]["ns"]
    assert {model["name"] for model in client.get_inference_statistics(as_json=True)["model_stats"]} >= {"mlp", "same_BYTES"}


@pytest.mark.parametrize("count", [1, 3, 64, 512])
def test_mlp(client, count):
    x = rows(count)
    result = client.infer("mlp", [tensor("x", x, "FP32")], request_id="r7")
    response = result.get_response()
    assert (response.id, response.model_name, response.model_version) == ("r7", "mlp", "2")
    np.testing.assert_allclose(result.as_numpy("y"), mlp(x, 2), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(client.infer("mlp", [tensor("x", x, "FP32")], model_version="1").as_numpy("y"), mlp(x, 1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("datatype, kind, field", TYPES)
def test_every_type_raw(client, datatype, kind, field):
    value = sample(datatype, kind)
    given = triton.InferInput("x", value.shape, datatype)
    given.set_data_from_numpy(value)
    got = client.infer(f"same_{datatype}", [given])
    assert got.get_response().outputs[0].datatype == datatype
    np.testing.assert_array_equal(got.as_numpy("y"), value)


@pytest.mark.parametrize("datatype, kind, field", [case for case in TYPES if case[2]])
def test_every_type_typed(stub, datatype, kind, field):
    value = sample(datatype, kind)
    request = service_pb2.ModelInferRequest(model_name=f"same_{datatype}")
    given = request.inputs.add(name="x", datatype=datatype, shape=[len(value)])
    getattr(given.contents, field).extend(value.tolist())
    answer = stub.ModelInfer(request)
    raw = serialize_byte_tensor(value).item() if datatype == "BYTES" else value.tobytes()
    assert list(answer.raw_output_contents) == [raw] and not answer.outputs[0].HasField("contents")


def infer_request(**changes):
    request = service_pb2.ModelInferRequest(model_name="same_INT8", id="7")
    request.inputs.add(name="x", datatype="INT8", shape=[2])
    request.raw_input_contents.append(b"ab")
    for key, value in changes.items():
        setattr(request, key, value)
    return request


def spoiled(change):
    request = infer_request()
    change(request)
    return request


FAULTS = [
    (lambda r: setattr(r, "model_name", "none"), "NOT_FOUND", "Request for unknown model: 'none' is not found"),
    (lambda r: setattr(r, "model_version", "9"), "NOT_FOUND", "Request for unknown model: 'same_INT8' version 9 is not found"),
    (lambda r: setattr(r, "model_version", "one"), "INVALID_ARGUMENT", "failed to get model version from specified version string 'one'"),
    (lambda r: setattr(r, "model_name", "broken"), "UNAVAILABLE", "is not ready"),
    (lambda r: setattr(r.inputs[0], "datatype", "FP33"), "INVALID_ARGUMENT", "unknown datatype 'FP33'"),
    (lambda r: setattr(r.inputs[0], "datatype", "UINT8"), "INVALID_ARGUMENT", "data-type is 'UINT8', but model 'same_INT8' expects 'INT8'"),
    (lambda r: setattr(r.inputs[0], "name", "z"), "INVALID_ARGUMENT", "unexpected inference input 'z' for model 'same_INT8'"),
    (lambda r: setattr(r.inputs[0], "name", "ü" * 200), "INVALID_ARGUMENT", "unexpected inference input"),
    (lambda r: r.outputs.add(name="z"), "INVALID_ARGUMENT", "unexpected inference output 'z' for model 'same_INT8'"),
    (lambda r: (r.outputs.add(name="y"), r.outputs.add(name="y")), "INVALID_ARGUMENT", "output 'y' already exists in request"),
    (lambda r: (r.inputs.add(name="x", datatype="INT8", shape=[2]), r.raw_input_contents.append(b"ab")), "INVALID_ARGUMENT", "input 'x' already exists in request"),
    (lambda r: (r.ClearField("inputs"), r.ClearField("raw_input_contents")), "INVALID_ARGUMENT", "expected 1 inputs but got 0 inputs for model 'same_INT8'"),
    (lambda r: r.inputs[0].shape.__setitem__(0, 3), "INVALID_ARGUMENT", "unexpected size for input 'x'"),
    (lambda r: r.inputs[0].shape.__setitem__(0, -1), "INVALID_ARGUMENT", "must be a non-negative integer"),
    (lambda r: r.inputs[0].shape.extend([2**32, 2**32]), "INVALID_ARGUMENT", "exceed maximum size"),
    (lambda r: r.inputs[0].shape.extend([1] * 1000), "INVALID_ARGUMENT", "more than"),
    (lambda r: r.inputs[0].shape.extend([1, 4]), "INVALID_ARGUMENT", "unexpected size for input 'x'"),
    (lambda r: r.raw_input_contents.append(b""), "INVALID_ARGUMENT", "expected 1 entries of raw_input_contents"),
    (lambda r: r.inputs[0].contents.int_contents.append(1), "INVALID_ARGUMENT", "contents field must not be specified when using raw_input_contents"),
    (lambda r: (r.ClearField("raw_input_contents"), r.inputs[0].contents.int_contents.extend([1, 128])), "INVALID_ARGUMENT", "element 1 is not an integer in range"),
    (lambda r: (r.ClearField("raw_input_contents"), r.inputs[0].contents.int_contents.append(1)), "INVALID_ARGUMENT", "Shape does not match true shape"),
    (lambda r: (r.ClearField("raw_input_contents"), r.inputs[0].contents.int64_contents.extend([1, 2])), "INVALID_ARGUMENT", "has its elements in 'int_contents'"),
    (lambda r: r.parameters["triton_x"].__setattr__("bool_param", True), "INVALID_ARGUMENT", "reserved"),
    (lambda r: r.parameters["timeout"].__setattr__("string_param", "1"), "INVALID_ARGUMENT", "must be a non-negative integer"),
    (lambda r: r.parameters["sequence_id"].__setattr__("int64_param", 4), "INVALID_ARGUMENT", "sequences are not supported"),
    (lambda r: r.inputs[0].parameters["shared_memory_region"].__setattr__("string_param", "r"), "INVALID_ARGUMENT", "shared memory is not allowed by this server (its --allow-client-shm)"),
]


@pytest.mark.parametrize("change, code, text", FAULTS)
def test_faults(stub, change, code, text):
    with pytest.raises(grpc.RpcError) as error:
        stub.ModelInfer(spoiled(change))
    assert error.value.code().name == code and text in error.value.details()
    assert stub.ModelInfer(infer_request()).raw_output_contents[0] == b"ab"


@pytest.mark.parametrize("change, code, text", FAULTS)
def test_faults_in_a_stream(stub, change, code, text):
    answers = list(stub.ModelStreamInfer(iter([infer_request(id="1"), spoiled(change), infer_request(id="3")])))
    assert [bool(answer.error_message) for answer in answers] == [False, True, False]
    assert text in answers[1].error_message and answers[1].infer_response.id == "7"
    assert [answers[i].infer_response.raw_output_contents[0] for i in (0, 2)] == [b"ab", b"ab"]


def test_bool_bytes_are_checked(stub):
    request = service_pb2.ModelInferRequest(model_name="same_BOOL", raw_input_contents=[b"\x02"])
    request.inputs.add(name="x", datatype="BOOL", shape=[1])
    with pytest.raises(grpc.RpcError, match="neither 0 nor 1"):
        stub.ModelInfer(request)


def test_sixteen_bits_come_raw_only(stub):
    request = service_pb2.ModelInferRequest(model_name="same_FP16")
    request.inputs.add(name="x", datatype="FP16", shape=[1]).contents.fp32_contents.append(1)
    with pytest.raises(grpc.RpcError, match="has no typed contents"):
        stub.ModelInfer(request)


def test_nothing_to_compute(client):
    assert client.infer("same_FP32", [tensor("x", np.zeros(0, np.float32), "FP32")]).as_numpy("y").shape == (0,)


def test_classification(client):
    x = rows(2)
    best = client.infer("mlp", [tensor("x", x, "FP32")], outputs=[triton.InferRequestedOutput("y", class_count=2)]).as_numpy("y")
    assert best.shape == (2, 2) and [int(text.split(b":")[1]) for text in best[:, 0]] == mlp(x, 2).argmax(axis=1).tolist()


def test_too_many_rows(client):
    code, text = code_of(lambda: client.infer("mlp", [tensor("x", rows(513), "FP32")]))
    assert code == "StatusCode.INVALID_ARGUMENT" and "inference request batch-size must be <= 512 for 'mlp'" in text


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_requests(client, algorithm):
    x = rows(500)
    got = client.infer("mlp", [tensor("x", x, "FP32")], compression_algorithm=algorithm).as_numpy("y")
    np.testing.assert_allclose(got, mlp(x, 2), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("algorithm", [None, "gzip", "deflate"])
def test_a_message_over_the_limit(client, algorithm):
    """Also one that is small until it is unpacked."""
    for size in (300_000, 20_000_000):
        code, text = code_of(lambda: client.infer("same_FP32", [tensor("x", np.zeros(size, np.float32), "FP32")], compression_algorithm=algorithm))
        assert code == "StatusCode.RESOURCE_EXHAUSTED" and "--max-body" in text and "1000000" in text
    assert client.infer("same_FP32", [tensor("x", np.zeros(5, np.float32), "FP32")], compression_algorithm=algorithm)


def raw_call(server, name="ModelInfer"):
    channel = grpc.insecure_channel(server.grpc_url)
    return channel, channel.unary_unary(f"/inference.GRPCInferenceService/{name}")


@pytest.mark.parametrize("body", [b"\xff", b"\x0a\xff", b"\x1f\x8b damaged", b"\x78\x9c damaged", b"\x0a\x02\xff\xfe", b"\x0b" * 500])
def test_bytes_that_are_no_message(server, stub, body):
    channel, call = raw_call(server)
    with channel, pytest.raises(grpc.RpcError) as error:
        call(body)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert stub.ModelInfer(infer_request()).raw_output_contents[0] == b"ab"


def test_unknown_calls(server, stub):
    channel, call = raw_call(server, "Nothing")
    with channel, pytest.raises(grpc.RpcError) as error:
        call(b"")
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED
    change = service_pb2.LogSettingsRequest()
    change.settings["log_info"].bool_param = False
    for call, request, flag in ((stub.TraceSetting, service_pb2.TraceSettingRequest(settings={"trace_rate": service_pb2.TraceSettingRequest.SettingValue(value=["1"])}), "--allow-settings"),
                                (stub.LogSettings, change, "--allow-settings"),
                                (stub.SystemSharedMemoryStatus, service_pb2.SystemSharedMemoryStatusRequest(), "--allow-client-shm"),
                                (stub.CudaSharedMemoryRegister, service_pb2.CudaSharedMemoryRegisterRequest(), "--allow-client-shm")):
        with pytest.raises(grpc.RpcError) as error:
            call(request)
        assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED and flag in error.value.details()


def test_explain(client):
    result = client.infer("mlp", [tensor("x", rows(3), "FP32")], parameters={"explain": True})
    told = {name: value.int64_param for name, value in result.get_response().parameters.items()}
    assert set(told) == {"queue_us", "batch_size", "position", "lane"} and told["batch_size"] >= 3
    code, text = code_of(lambda: client.infer("mlp", [tensor("x", rows(3), "FP32")], parameters={"explain": 1}))
    assert code == "StatusCode.INVALID_ARGUMENT" and "bool_param" in text


def test_calls_are_counted(client, server):
    def count(code):
        return server.metric("tandem_grpc_requests_total", code=code)
    before = count("OK"), count("NOT_FOUND")
    client.infer("mlp", [tensor("x", rows(3), "FP32")])
    code_of(lambda: client.infer("none", [tensor("x", rows(3), "FP32")]))
    client.is_server_live()
    assert (count("OK"), count("NOT_FOUND")) == (before[0] + 2, before[1] + 1)


def test_large_metadata_is_refused(server, stub):
    own_connection = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(server.grpc_url, options=own_connection) as channel, pytest.raises(grpc.RpcError):
        service_pb2_grpc.GRPCInferenceServiceStub(channel).ServerLive(service_pb2.ServerLiveRequest(), metadata=[("x", "y" * (1 << 20))])
    assert stub.ServerLive(service_pb2.ServerLiveRequest()).live


def test_what_is_no_http2_is_closed(server, stub):
    for hello in (b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 100, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100):
        with socket.create_connection(("127.0.0.1", server.ready["grpc_port"]), timeout=15) as raw:
            raw.sendall(hello)
            while True:
                try:
                    if not raw.recv(4096):
                        break
                except ConnectionResetError:
                    break
    assert stub.ServerLive(service_pb2.ServerLiveRequest()).live


def test_stream_is_answered_in_order(client):
    answers = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    given = {str(i): rows(1 + i % 7, i) for i in range(300)}
    for name, x in given.items():
        client.async_stream_infer("mlp", [tensor("x", x, "FP32")], request_id=name)
    for name, x in given.items():
        result, error = answers.get(timeout=10)
        response = result.get_response()
        assert error is None and response.id == name and response.parameters["triton_final_response"].bool_param
        np.testing.assert_allclose(result.as_numpy("y"), mlp(x, 2), rtol=1e-4, atol=1e-5)
    client.stop_stream()


def test_stream_may_end_at_the_first_error(stub):
    answers = stub.ModelStreamInfer(iter([infer_request(), infer_request(model_name="none"), infer_request()]), metadata=[("triton_grpc_error", "true")])
    with pytest.raises(grpc.RpcError) as error:
        for answer in answers:
            assert answer.infer_response.raw_output_contents[0] == b"ab"
    assert error.value.code() == grpc.StatusCode.NOT_FOUND and "unknown model" in error.value.details()


def resident_mib(process):
    with open(f"/proc/{process.pid}/statm") as text:
        return int(text.read().split()[1]) * resource.getpagesize() / 2**20


def test_cancelled_streams_leave_nothing(server, stub):
    request = service_pb2.ModelInferRequest(model_name="mlp", raw_input_contents=[rows(500).tobytes()])
    request.inputs.add(name="x", datatype="FP32", shape=[500, 4])
    def cancel_some(count):
        for _ in range(count):
            answers = stub.ModelStreamInfer(request for _ in iter(int, 1))
            assert len(next(answers).infer_response.raw_output_contents[0]) == 6000
            answers.cancel()
    cancel_some(50)
    before = resident_mib(server.process)
    cancel_some(200)
    assert stub.ModelInfer(request).model_name == "mlp"
    assert resident_mib(server.process) < before + 8
    deadline = time.monotonic() + 5
    while server.metric("tandem_inference_in_flight", model="mlp", version="2") > 0:
        assert time.monotonic() < deadline


def test_a_message_of_any_size_is_given_back(server, stub):
    before = resident_mib(server.process)
    request = service_pb2.ModelInferRequest(model_name="mlp", raw_input_contents=[bytes(100_000_000)])
    with pytest.raises(grpc.RpcError, match="--max-body"):
        stub.ModelInfer(request)
    time.sleep(0.2)
    assert resident_mib(server.process) < before + 4


def test_async(client):
    answers = queue.Queue()
    for i in range(50):
        client.async_infer("mlp", [tensor("x", rows(1, i), "FP32")], callback=lambda result, error, i=i: answers.put((i, result, error)))
    for _ in range(50):
        i, result, error = answers.get(timeout=10)
        assert error is None
        np.testing.assert_allclose(result.as_numpy("y"), mlp(rows(1, i), 2), rtol=1e-4, atol=1e-5)


def test_aio(server):
    async def ask():
        async with triton_aio.InferenceServerClient(server.grpc_url) as client:
            assert await client.is_server_live() and await client.is_model_ready("mlp")
            results = await asyncio.gather(*(client.infer("mlp", [tensor("x", rows(2, i), "FP32")]) for i in range(30)))
            for i, result in enumerate(results):
                np.testing.assert_allclose(result.as_numpy("y"), mlp(rows(2, i), 2), rtol=1e-4, atol=1e-5)

            async def requests():
                for i in range(10):
                    yield {"model_name": "mlp", "inputs": [tensor("x", rows(2, i), "FP32")], "request_id": str(i)}
            ids = [result.get_response().id async for result, error in client.stream_infer(requests())]
            assert ids == [str(i) for i in range(10)]
            with pytest.raises(InferenceServerException, match="unknown model"):
                await client.infer("none", [tensor("x", rows(2), "FP32")])
    asyncio.run(ask())


def test_health_service(server):
    with grpc.insecure_channel(server.grpc_url) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        def state(service):
            return health.Check(health_pb2.HealthCheckRequest(service=service)).status
        serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
        assert state("") == state("inference.GRPCInferenceService") == not_serving  # one model is broken
        assert state("mlp") == serving and state("broken") == not_serving
        with pytest.raises(grpc.RpcError) as error:
            state("none")
        assert error.value.code() == grpc.StatusCode.NOT_FOUND
        watch = health.Watch(health_pb2.HealthCheckRequest(service="none"))
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        watch.cancel()


def test_reflection(server):
    with grpc.insecure_channel(server.grpc_url) as channel:
        found = ProtoReflectionDescriptorDatabase(channel)
        assert {"inference.GRPCInferenceService", "grpc.health.v1.Health"} <= set(found.get_services())
        assert found.FindFileContainingSymbol("inference.ModelInferRequest").package == "inference"


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
