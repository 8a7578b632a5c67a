"""ModelStreamInfer: order, failures, cancelled streams, and the memory they give back.

TANDEM_BIN names the program (default: build/release/bin/tandem). Run with: pytest tests/interop/test_grpc_streams.py
"""
import queue
import resource
import time

import grpc
import numpy as np
import pytest
from grpc_server import client, infer_request, rows, server, stub, tensor  # noqa: F401 - fixtures
from test_serving import mlp
from tritonclient.grpc import service_pb2


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
    deadline = time.monotonic() + 30
    while server.metric("tandem_inference_in_flight", model="mlp", version="2") > 0:
        assert time.monotonic() < deadline


def test_a_message_of_any_size_is_given_back(server, stub):
    before = resident_mib(server.process)
    request = service_pb2.ModelInferRequest(model_name="mlp", raw_input_contents=[bytes(100_000_000)])
    with pytest.raises(grpc.RpcError, match="--max-body"):
        stub.ModelInfer(request)
    time.sleep(0.2)
    assert resident_mib(server.process) < before + 4
