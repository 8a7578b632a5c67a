"""Calls over gRPC that are wrong, too large or no calls at all: each has its status, and the next one is answered.

TANDEM_BIN names the program (default: build/release/bin/tandem). Run with: pytest tests/interop/test_grpc_faults.py
"""
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from grpc_server import client, code_of, infer_request, rows, server, stub, tensor  # noqa: F401 - fixtures
from tritonclient.grpc import service_pb2, service_pb2_grpc


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


def test_too_many_rows(client):
    code, text = code_of(lambda: client.infer("mlp", [tensor("x", rows(513), "FP32")]))
    assert code == "StatusCode.INVALID_ARGUMENT" and "inference request batch-size must be <= 512 for 'mlp'" in text


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


def test_clients_that_go_away_among_others_that_ask(server):
    """What gRPC keeps to itself (calls that end before they have come, methods that there are not) comes between the answers of others."""
    target, request = server.grpc_url, infer_request().SerializeToString()
    def leave(times):
        for _ in range(times):
            with grpc.insecure_channel(target, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
                ask, nothing = (channel.unary_unary(f"/inference.GRPCInferenceService/{name}") for name in ("ModelInfer", "Nothing"))
                for i in range(50):
                    call = ask.future(large)
                    nothing.future(b"")
                    time.sleep(0.0003 * (i % 5))  # before, amid and behind the request
                    call.cancel()
    large = infer_request()
    large.inputs[0].shape[0] = 65536
    large.raw_input_contents[0] = bytes(65536)
    large = large.SerializeToString()
    with ThreadPoolExecutor(4) as pool:
        leavers = [pool.submit(leave, 10) for _ in range(3)]
        with grpc.insecure_channel(target) as channel:
            ask = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            while not all(one.done() for one in leavers):
                for call in [ask.future(request) for _ in range(16)]:
                    assert service_pb2.ModelInferResponse.FromString(call.result(timeout=60)).raw_output_contents[0] == b"ab"
        for one in leavers:
            one.result()
    assert server.process.poll() is None
