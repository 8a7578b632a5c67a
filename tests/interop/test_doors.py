"""Both doors of the real program under clients that mean harm: floods beyond the descriptors (A1), slow ones (A2), framing that can be read in two ways
(A3 to A6), ten thousand that hang up (A12), damaged calls (A17), names that lead elsewhere (A21) or forge the log (A23); and the same class of error on both.

After each: alive, ready, descriptors and memory as before, the next answer right. Run with: pytest tests/interop/test_doors.py
"""
import gzip
import json
import os
import socket
import struct
import time
import zlib

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
from test_attacks import attacked, body, check_answer  # noqa: F401 - a fixture
from test_http2_attacks import DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, field, frame
from test_serving import Server, owned, save_mlp
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

GOOD = body()
HEAD = b"POST /v2/models/mlp/infer HTTP/1.1\r\nHost: t\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("repository")
    save_mlp(root / "mlp/1/model.onnx", 1)
    save_mlp(root.parent / f"{root.name}_secret/1/model.onnx", 2)
    log = root.parent / f"{root.name}.log"
    server = Server(root, "--max-body", "16000000", "--model-control", "explicit", "--load-model", "*", "--access-log", str(log))
    server.grpc_url, server.log = f"127.0.0.1:{server.ready['grpc_port']}", log
    server.kept = 48 << 20  # of floods of some hundred MB; more floods leave no more
    for _ in range(3):
        check_answer(server)
    yield server
    assert server.stop() == 0


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    root = tmp_path_factory.mktemp("impatient")
    save_mlp(root / "mlp/1/model.onnx", 1)
    server = Server(root, "--request-timeout", "1000")
    yield server
    assert server.stop() == 0


def exchange(server, data, piece=None, timeout=10):
    """What comes back until the server closes, or 0.3 s after it said something."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout) as connection:
        answer = b""
        try:
            for start in range(0, len(data), piece or len(data)):
                connection.sendall(data[start:start + (piece or len(data))])
                if piece:
                    time.sleep(0.001)
            while True:
                got = connection.recv(1 << 20)
                if not got:
                    return answer + b"<closed>"
                answer += got
                connection.settimeout(0.3)
        except OSError:
            return answer


def with_body(headers, content):
    return HEAD + headers + b"Content-Length: %d\r\n\r\n" % len(content) + content


SMUGGLED = b"0\r\n\r\nGET /v2/health/live HTTP/1.1\r\nHost: t\r\n\r\n"
FRAMINGS = {
    "a million chunks": (CHUNKED + b"1\r\nx\r\n" * 1_000_000, 413),
    "a chunk of 2^64-1": (CHUNKED + b"ffffffffffffffff\r\nx", 413),
    "a chunk of 2^64": (CHUNKED + b"10000000000000000\r\nx", 400),
    "a chunk extension of 1 MiB": (CHUNKED + b"5;" + b"a" * (1 << 20) + b"\r\nabcde\r\n0\r\n\r\n", 431),
    "a trailer of 1 MiB": (CHUNKED + b"5\r\nabcde\r\n0\r\nX: " + b"1" * (1 << 20) + b"\r\n\r\n", 431),
    "a million trailers": (CHUNKED + b"5\r\nabcde\r\n0\r\n" + b"X: 1\r\n" * 1_000_000 + b"\r\n", 431),
    "length, then chunked": (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + SMUGGLED, 400),
    "chunked, then length": (HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + SMUGGLED, 400),
    "the same length twice": (HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n" + SMUGGLED, 400),
    "two lengths in one": (HEAD + b"Content-Length: 5, 5\r\n\r\n" + SMUGGLED, 400),
    "a negative length": (HEAD + b"Content-Length: -1\r\n\r\n", 400),
    "a length of 2^63": (HEAD + b"Content-Length: 9223372036854775808\r\n\r\n", (400, 413)),
    "an unknown coding of the body": (HEAD + b"Transfer-Encoding: xchunked\r\n\r\n" + SMUGGLED, 400),
    "a line that ends in LF": (HEAD + b"X: a\nContent-Length: 5\r\n\r\n" + SMUGGLED, 400),
    "ten thousand headers": (HEAD + b"X: 1\r\n" * 10_000 + b"\r\n", 431),
    "a URI of 1 MiB": (b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\nHost: t\r\n\r\n", 414),
    "NUL in the URI": (b"GET /v2\0 HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    "a bomb, gzip": (with_body(b"Content-Encoding: gzip\r\n", gzip.compress(b" " * 200_000_000, 1)), 413),
    "a bomb, deflate": (with_body(b"Content-Encoding: deflate\r\n", zlib.compress(b" " * 200_000_000, 1)), 413),
    "gzip within gzip": (with_body(b"Content-Encoding: gzip, gzip\r\n", gzip.compress(gzip.compress(GOOD))), 415),
    "two codings": (with_body(b"Content-Encoding: gzip\r\nContent-Encoding: deflate\r\n", gzip.compress(GOOD)), 400),
    "an unknown coding": (with_body(b"Content-Encoding: br\r\n", GOOD), 415),
    "gzip cut short": (with_body(b"Content-Encoding: gzip\r\n", gzip.compress(GOOD)[:-5]), 400),
    "gzip and more": (with_body(b"Content-Encoding: gzip\r\n", gzip.compress(GOOD) + b"more"), 400),
}


@pytest.mark.parametrize("name", FRAMINGS)
def test_a3_to_a6_framing(attacked, name):
    data, status = FRAMINGS[name]
    answer = exchange(attacked, data)
    assert int(answer[9:12]) in (status if isinstance(status, tuple) else (status,)), answer[:300]
    assert answer.count(b"HTTP/1.1 ") == 1 or b"Connection: close" not in answer, answer  # nothing behind it was taken for a request
    assert b"std::" not in answer and b"beast" not in answer


def test_a_request_may_come_in_any_pieces(attacked):
    for piece in (1, 2, 7):
        assert exchange(attacked, b"GET /v2/health/live HTTP/1.1\r\nHost: t\r\n\r\n", piece).startswith(b"HTTP/1.1 200")
        assert exchange(attacked, with_body(b"", GOOD), piece).startswith(b"HTTP/1.1 200")


BEGINNINGS = [b"", b"GET /v2", HEAD + b"Content-Length: 10\r\n\r\nabc", CHUNKED + b"5\r\nab", HEAD + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n"]
NAMES_OF_BEGINNINGS = ["nothing", "header", "body", "chunk", "continue"]


def slow_ones(server, beginning):
    """A hundred connections that say this and no more."""
    connections = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(100)]
    for connection in connections:
        connection.sendall(beginning)
    return connections


@pytest.mark.parametrize("beginning", BEGINNINGS, ids=NAMES_OF_BEGINNINGS)
def test_a2_who_is_slow_holds_nothing(attacked, beginning):
    """Others are answered before any of the slow ones has had its 30 seconds (--request-timeout)."""
    slow = slow_ones(attacked, beginning)
    try:
        check_answer(attacked)
        for connection in slow:
            connection.setblocking(False)
            try:
                answer = connection.recv(1000)
            except BlockingIOError:
                continue
            assert answer.startswith(b"HTTP/1.1 100"), answer
    finally:
        for connection in slow:
            connection.close()


@pytest.mark.parametrize("beginning", BEGINNINGS[1:], ids=NAMES_OF_BEGINNINGS[1:])
def test_a2_who_is_slow_is_told_to_go(impatient, beginning):
    """After --request-timeout; an idle connection may stay."""
    slow = slow_ones(impatient, beginning)
    for connection in slow:
        answer = b""
        while got := connection.recv(1000):
            answer += got
        assert b"HTTP/1.1 408" in answer
        connection.close()
    check_answer(impatient)


def test_a12_ten_thousand_that_hang_up(attacked):
    whole = with_body(b"", GOOD)
    for i in range(10_000):
        with socket.create_connection(("127.0.0.1", attacked.port), timeout=10) as connection:
            connection.sendall(whole[:len(whole) - i % 3])
            if i % 2:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("port", ["port", "grpc_port"])
def test_a1_more_connections_than_descriptors(tmp_path, port):
    save_mlp(tmp_path / "mlp/1/model.onnx", 1)
    server = Server(tmp_path, limit_fds=128)
    flood = []
    for _ in range(300):
        try:
            flood.append(socket.create_connection(("127.0.0.1", server.ready[port]), timeout=2))
        except OSError:  # refused
            pass
    for connection in flood:
        connection.close()
    deadline = time.monotonic() + 30
    while True:
        try:
            check_answer(server)
            with triton_grpc.InferenceServerClient(f"127.0.0.1:{server.ready['grpc_port']}") as client:
                assert client.is_server_live(client_timeout=5)
            break
        except (OSError, InferenceServerException):
            assert time.monotonic() < deadline
    assert server.stop() == 0


def grpc_call(server, headers, payload, end=END_STREAM):
    """What comes back to one call made of bare frames."""
    with socket.create_connection(("127.0.0.1", server.ready["grpc_port"]), timeout=3) as connection:
        block = (field(b":method", b"POST") + field(b":scheme", b"http") + field(b":path", b"/inference.GRPCInferenceService/ModelInfer") + field(b":authority", b"x") +
                 field(b"content-type", b"application/grpc") + field(b"te", b"trailers") + b"".join(field(*one) for one in headers))
        connection.sendall(PREFACE + frame(SETTINGS) + frame(HEADERS, END_HEADERS, 1, block) + frame(DATA, end, 1, payload))
        answer = b""
        try:
            while b"grpc-status" not in answer and (got := connection.recv(65536)):
                answer += got
        except OSError:
            pass
        return answer


def message(size=None, flag=0, content=None):
    request = service_pb2.ModelInferRequest(model_name="mlp", raw_input_contents=[np.ones(4, np.float32).tobytes()])
    request.inputs.add(name="x", datatype="FP32", shape=[1, 4])
    data = content or request.SerializeToString()
    return struct.pack(">BI", flag, len(data) if size is None else size) + data


CALLS = [
    ("as it should be", [], message(), b"0"), ("an unknown compression", [(b"grpc-encoding", b"snappy")], message(flag=1, content=b"\x08\x1c\x0a\x03mlp"), b"3"),
    ("compressed, it says", [], message(flag=1), None), ("a frame cut short", [], message(size=10_000), None), ("4 GiB, it says", [], message(size=2**32 - 1), None),
    ("no frame at all", [], b"\0", None), ("nothing", [], b"", None), ("a frame and more", [], message() + b"\0\0", None),
    ("a deadline that is none", [(b"grpc-timeout", b"soon")], message(), None), ("a deadline of 292 years", [(b"grpc-timeout", b"99999999H")], message(), None)]


@pytest.mark.parametrize("name, headers, payload, status", CALLS, ids=[call[0] for call in CALLS])
def test_a17_calls(attacked, name, headers, payload, status):
    answer = grpc_call(attacked, headers, payload)
    if status:
        assert b"grpc-status" in answer and answer.split(b"grpc-status")[1][1:1 + len(status)] == status, answer
    assert b"std::" not in answer


NAMES = ["../{}_secret", "{}_secret/../../{}_secret", "/etc", "..", ".", "", "a/b", "a\\b", "\n", "a\x00b", "\x1b[31mforged", "x" * 300, "mlp ", "ｍｌｐ", "con/."]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a21_names_lead_nowhere(attacked, name):
    name = name.format(*[attacked.log.stem] * 2)
    with triton_grpc.InferenceServerClient(attacked.grpc_url) as client:
        for call in (client.load_model, client.unload_model, client.get_model_config, client.get_inference_statistics):
            if call == client.get_inference_statistics and not name:
                continue  # of all models
            with pytest.raises(InferenceServerException) as error:
                call(name)
            assert error.value.status().split(".")[1] in ("INVALID_ARGUMENT", "NOT_FOUND"), error.value
            assert str(attacked.log.parent) not in error.value.message()
        assert [model.name for model in client.get_model_repository_index().models] == ["mlp"]


def test_a23_no_line_of_the_log_is_forged(attacked):
    forged = 'x"\r\n{"time": "forged"}\x1b[31m\ttandem serve: forged' + "y" * (1 << 16)
    with triton_grpc.InferenceServerClient(attacked.grpc_url) as client:
        for call in (client.load_model, client.unload_model, client.get_model_config):
            with pytest.raises(InferenceServerException):
                call(forged)
    for header in ("X-Forwarded-For", "User-Agent", "traceparent"):
        attacked.post("/v2/models/" + "z" * 5000, headers={header: "\x1b[31mforged"})
    attacked.post("/v2/repository/models/%0d%0aforged%1b%5b31m/load", b"{}")
    text = attacked.process.stderr.read()
    assert "\x1b" not in text and all(line.startswith("tandem serve: ") for line in text.splitlines() if line), text[:2000]
    assert not any(line.startswith("tandem serve: forged") for line in text.splitlines()) and max(map(len, text.splitlines()), default=0) < 4096
    lines = attacked.log.read_text().splitlines()
    assert lines and all(json.loads(line)["time"] != "forged" and len(line) < 4096 for line in lines)


CLASSES = {400: ("INVALID_ARGUMENT",), 404: ("NOT_FOUND",), 413: ("RESOURCE_EXHAUSTED", "INVALID_ARGUMENT"), 503: ("UNAVAILABLE",), 429: ("RESOURCE_EXHAUSTED",)}
X = np.ones((1, 4), np.float32)
FAULTS = {"unknown model": dict(model="none"), "unknown version": dict(version="9"), "no version": dict(version="x"), "unknown input": dict(inputs=[("z", X)]),
          "missing input": dict(inputs=[]), "input twice": dict(inputs=[("x", X), ("x", X)]), "wrong shape": dict(inputs=[("x", np.ones((1, 5), np.float32))]),
          "wrong rank": dict(inputs=[("x", np.ones(4, np.float32))]), "wrong datatype": dict(inputs=[("x", np.ones((1, 4), np.int32))]), "unknown output": dict(outputs=["q"]),
          "output twice": dict(outputs=["y", "y"]), "too many rows": dict(inputs=[("x", np.ones((2000, 4), np.float32))]),
          "too large": dict(inputs=[("x", np.ones((1_100_000, 4), np.float32))])}
WIRE = {np.dtype(np.float32): "FP32", np.dtype(np.int32): "INT32"}


@pytest.mark.parametrize("name", FAULTS)
def test_one_class_of_error_on_both_doors(attacked, name):
    fault = {"model": "mlp", "version": "", "inputs": [("x", X)], "outputs": [], **FAULTS[name]}
    version = f"/versions/{fault['version']}" if fault["version"] else ""
    request = {"inputs": [{"name": n, "shape": x.shape, "datatype": WIRE[x.dtype], "data": x.ravel().tolist()} for n, x in fault["inputs"]]}
    if fault["outputs"]:
        request["outputs"] = [{"name": n} for n in fault["outputs"]]
    status, text = attacked.post(f"/v2/models/{fault['model']}{version}/infer", json.dumps(request).encode())
    call = service_pb2.ModelInferRequest(model_name=fault["model"], model_version=fault["version"], raw_input_contents=[x.tobytes() for _, x in fault["inputs"]])
    for n, x in fault["inputs"]:
        call.inputs.add(name=n, datatype=WIRE[x.dtype], shape=x.shape)
    for n in fault["outputs"]:
        call.outputs.add(name=n)
    with grpc.insecure_channel(attacked.grpc_url) as channel, pytest.raises(grpc.RpcError) as error:
        service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(call)
    assert error.value.code().name in CLASSES[status], (status, text, error.value)
    if name != "too large":
        assert json.loads(text)["error"] == error.value.details()


def test_floods_leave_no_more_each_time(attacked):
    """64 bodies that end in the middle, 250 MB, and one of 15 MB that is answered."""
    large = with_body(b"", GOOD[:-2] + b" " * 15_000_000 + GOOD[-2:])
    sizes = []
    for _ in range(4):
        connections = [socket.create_connection(("127.0.0.1", attacked.port), timeout=20) for _ in range(64)]
        for i, connection in enumerate(connections):
            connection.sendall(large[:4_000_000 + i])
        for connection in connections:
            connection.close()
        assert exchange(attacked, large, timeout=20).startswith(b"HTTP/1.1 200")
        time.sleep(2.5)  # the heap is given back when the server is calm
        sizes.append(owned(attacked))
    assert min(sizes[2:]) - min(sizes[:2]) < 16 << 20, sizes
