"""Attacks on gRPC's HTTP/2 itself (A16): floods of frames from a client that never reads. The connection may end; the server must not mind.

After each: the server answers others within a second, keeps no descriptor, little memory, and no processor busy.
"""
import os
import socket
import struct
import time

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
from test_serving import Server, mlp, owned, save_mlp

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 8, 9
END_STREAM, END_HEADERS = 1, 4
KEPT = 192 << 20  # the heap keeps for the next ones what thousands of calls at once took; it is no longer in use


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def text(value):
    assert len(value) < 127
    return bytes([len(value)]) + value


def field(name, value):
    """A header that HPACK does not put into its table (RFC 7541, 6.2.2)."""
    return b"\x00" + text(name) + text(value)


def call():
    return (field(b":method", b"POST") + field(b":scheme", b"http") + field(b":path", b"/inference.GRPCInferenceService/ServerLive") + field(b":authority", b"x") +
            field(b"content-type", b"application/grpc") + field(b"te", b"trailers"))


def streams(count, frames_of):
    return b"".join(frames_of(2 * i + 1) for i in range(count))


# 4 KiB into the table, then 16,000 references to it in each of 20 requests: 64 MiB each if they were copied out.
BOMB = b"\x40" + text(b"a") + b"\x7f" + b"\x81\x1f" + b"v" * 4000

ATTACKS = {
    "rapid reset": streams(2_000, lambda i: frame(HEADERS, END_HEADERS, i, call()) + frame(RST_STREAM, 0, i, struct.pack(">I", 8))),
    "streams that stay open": streams(2_000, lambda i: frame(HEADERS, END_HEADERS, i, call())),
    "ping": frame(PING, 0, 0, b"12345678") * 200_000,
    "settings": frame(SETTINGS, 0, 0, struct.pack(">HI", 3, 100)) * 200_000,
    "continuation without end": frame(HEADERS, 0, 1, call()) + frame(CONTINUATION, 0, 1, field(b"x", b"y" * 100) * 100) * 1_000,
    "empty continuations": frame(HEADERS, 0, 1, call()) + frame(CONTINUATION, 0, 1) * 200_000,
    "HPACK bomb": streams(20, lambda i: frame(HEADERS, END_HEADERS, i, (BOMB if i == 1 else b"") + b"\xbe" * 12_000)),
    "window 0": frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0)) + streams(
        100, lambda i: frame(HEADERS, END_HEADERS, i, call()) + frame(DATA, END_STREAM, i, b"\0\0\0\0\0")),
    "window updates": frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1)) * 200_000,
    "data without a stream": frame(DATA, 0, 99, b"x" * 1000) * 1_000,
    "frames that are too long": frame(DATA, 0, 1, b"x" * 1_000_000),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("repository")
    save_mlp(root / "mlp/1/model.onnx", 1)
    server = Server(root)
    server.grpc_url = f"127.0.0.1:{server.ready['grpc_port']}"
    for name in ("ping", "streams that stay open"):  # what the libraries take once
        attack(server, ATTACKS[name])
    yield server
    assert server.stop() == 0


def attack(server, frames, seconds=3):
    """Sends until all is sent or the server has had enough."""
    with socket.create_connection(("127.0.0.1", server.ready["grpc_port"]), timeout=seconds) as connection:
        try:
            connection.sendall(PREFACE + frame(SETTINGS) + frames)
            time.sleep(0.2)
        except OSError:  # closed, or not read any more
            pass


def ask(server):
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        x = triton_grpc.InferInput("x", [2, 4], "FP32")
        x.set_data_from_numpy(np.ones((2, 4), np.float32))
        np.testing.assert_allclose(client.infer("mlp", [x], client_timeout=5).as_numpy("y"), mlp(np.ones((2, 4), np.float32), 1), rtol=1e-4, atol=1e-5)


def cpu_seconds(server):
    fields = open(f"/proc/{server.process.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("name", ATTACKS)
def test_a16(server, name):
    ask(server)
    fds, memory = len(os.listdir(f"/proc/{server.process.pid}/fd")), owned(server)
    for _ in range(3):
        attack(server, ATTACKS[name])
    ask(server)
    deadline = time.monotonic() + 30
    while len(os.listdir(f"/proc/{server.process.pid}/fd")) > fds + 2 or owned(server) - memory > KEPT:
        assert time.monotonic() < deadline, (len(os.listdir(f"/proc/{server.process.pid}/fd")), fds, owned(server) - memory)
        time.sleep(0.05)
    before = cpu_seconds(server)
    time.sleep(0.5)
    assert cpu_seconds(server) - before < 0.25
    assert server.process.poll() is None
