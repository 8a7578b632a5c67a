"""KServe's Python client, over REST and gRPC, against the real `tandem serve`.

Its environment pulls in half a gigabyte, so it is none of tests/requirements.txt: in one of its own,
    pip install kserve pytest onnx 'tritonclient[http]' && TANDEM_BIN=... pytest tests/interop/test_kserve.py
"""
import asyncio
import subprocess

import numpy as np
import pytest

pytest.importorskip("kserve", reason="KServe's client is not installed")

import grpc  # noqa: E402 - after kserve is known to be there
import httpx  # noqa: E402
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest  # noqa: E402
from kserve.inference_client import RESTConfig  # noqa: E402
from kserve.protocol.infer_type import RequestedOutput  # noqa: E402
from test_serving import BINARY, Server  # noqa: E402

TYPES = {"BOOL": np.bool_, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64, "INT8": np.int8, "INT16": np.int16,
         "INT32": np.int32, "INT64": np.int64, "FP16": np.float16, "FP32": np.float32, "FP64": np.float64, "BYTES": np.object_}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    subprocess.run([BINARY, "conformance", "--write-models", root], check=True, capture_output=True)
    server = Server(root)
    yield server
    assert server.stop() == 0


def sample(datatype):
    if datatype == "BYTES":
        return np.array([["a", "", "grüß 漢"]], dtype=np.object_)
    if datatype == "BOOL":
        return np.array([[True, False, True]])
    return np.arange(3, dtype=TYPES[datatype]).reshape(1, 3) + TYPES[datatype](1)


def request_of(model, tensors, binary=True, outputs=None, parameters=None):
    given = []
    for name, datatype, value in tensors:
        given.append(InferInput(name, list(value.shape), datatype))
        given[-1].set_data_from_numpy(value, binary_data=binary)
    return InferRequest(model_name=model, infer_inputs=given, request_id="r7", request_outputs=outputs, parameters=parameters)


def rest(server, work):
    async def run():
        async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
            return await work(client, server.url)
    return asyncio.run(run())


def over_grpc(server, work):
    async def run():
        async with InferenceGRPCClient(f"127.0.0.1:{server.ready['grpc_port']}") as client:
            return await work(client)
    return asyncio.run(run())


def same(got, value):
    if value.dtype == np.object_:
        assert [one.decode() if isinstance(one, bytes) else one for one in got.reshape(-1)] == list(value.reshape(-1))
    else:
        np.testing.assert_array_equal(got, value)


def test_health(server):
    async def over_rest(client, url):
        return [await client.is_server_live(url), await client.is_server_ready(url), await client.is_model_ready(url, "oip_sum")]

    async def grpc_too(client):
        return [await client.is_server_live(), await client.is_server_ready(), await client.is_model_ready("oip_sum")]
    assert rest(server, over_rest) == over_grpc(server, grpc_too) == [True] * 3
    assert not rest(server, lambda client, url: client.is_model_ready(url, "none"))


@pytest.mark.parametrize("datatype", TYPES)
@pytest.mark.parametrize("binary", [True, False])
def test_every_type_over_rest(server, datatype, binary):
    if datatype == "FP16" and not binary:
        pytest.skip("KServe's client sends FP16 as bytes only")
    value, model = sample(datatype), f"oip_echo_{datatype.lower()}"
    outputs = [RequestedOutput("y", parameters={"binary_data": binary})]
    answer = rest(server, lambda client, url: client.infer(url, request_of(model, [("x", datatype, value)], binary, outputs), model_name=model))
    assert (answer.id, answer.model_name, answer.outputs[0].datatype) == ("r7", model, datatype)
    same(answer.outputs[0].as_numpy(), value)


@pytest.mark.parametrize("datatype", TYPES)
@pytest.mark.parametrize("binary", [True, False])
def test_every_type_over_grpc(server, datatype, binary):
    if datatype == "FP16" and not binary:
        pytest.skip("the protocol has FP16 as bytes only")
    value, model = sample(datatype), f"oip_echo_{datatype.lower()}"
    answer = over_grpc(server, lambda client: client.infer(request_of(model, [("x", datatype, value)], binary)))
    assert (answer.id, answer.model_name, answer.outputs[0].datatype) == ("r7", model, datatype)
    same(answer.outputs[0].as_numpy(), value)


def test_two_inputs_and_an_output_of_two(server):
    a, b = np.arange(8, dtype=np.float32).reshape(2, 4), np.ones((2, 4), np.float32)
    request = request_of("oip_sum", [("INPUT0", "FP32", a), ("INPUT1", "FP32", b)], outputs=[RequestedOutput("OUTPUT1")])
    for answer in (rest(server, lambda client, url: client.infer(url, request, model_name="oip_sum")), over_grpc(server, lambda client: client.infer(request))):
        assert [one.name for one in answer.outputs] == ["OUTPUT1"]
        np.testing.assert_array_equal(answer.outputs[0].as_numpy(), a - b)


def test_faults_have_their_status(server):
    request = request_of("oip_sum", [("INPUT0", "FP32", np.ones((1, 4), np.float32))])
    with pytest.raises(httpx.HTTPStatusError, match="missing required input"):
        rest(server, lambda client, url: client.infer(url, request, model_name="oip_sum"))
    with pytest.raises(grpc.RpcError) as error:
        over_grpc(server, lambda client: client.infer(request))
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
