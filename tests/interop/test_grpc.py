"""tritonclient.grpc, its aio form and plain grpcio against the real `tandem serve`: the same answers as over HTTP.

TANDEM_BIN names the program (default: build/release/bin/tandem). Run with: pytest tests/interop/test_grpc.py
"""
import asyncio
import queue

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from google.protobuf import json_format
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_server import client, code_of, rows, sample, server, stub, tensor, TYPES  # noqa: F401 - fixtures
from test_serving import mlp
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException, serialize_byte_tensor


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


def test_nothing_to_compute(client):
    assert client.infer("same_FP32", [tensor("x", np.zeros(0, np.float32), "FP32")]).as_numpy("y").shape == (0,)


def test_classification(client):
    x = rows(2)
    best = client.infer("mlp", [tensor("x", x, "FP32")], outputs=[triton.InferRequestedOutput("y", class_count=2)]).as_numpy("y")
    assert best.shape == (2, 2) and [int(text.split(b":")[1]) for text in best[:, 0]] == mlp(x, 2).argmax(axis=1).tolist()


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_requests(client, algorithm):
    x = rows(500)
    got = client.infer("mlp", [tensor("x", x, "FP32")], compression_algorithm=algorithm).as_numpy("y")
    np.testing.assert_allclose(got, mlp(x, 2), rtol=1e-4, atol=1e-5)


def test_explain(client):
    result = client.infer("mlp", [tensor("x", rows(3), "FP32")], parameters={"explain": True})
    told = {name: value.int64_param for name, value in result.get_response().parameters.items()}
    assert set(told) == {"queue_us", "batch_size", "position", "lane", "lanes"} and told["batch_size"] >= 3
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
        assert found.FindFileByName("health.proto").message_type[0].name == "HealthCheckRequest"
        assert found.FindAllExtensionNumbers("inference.ModelInferRequest") == []
        for unknown in ("inference.Nothing", ""):
            with pytest.raises(KeyError):
                found.FindFileContainingSymbol(unknown)
