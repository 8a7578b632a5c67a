"""A minute in the life of a server: clients that ask over both protocols, that are slow, that hang up, cancel, crash and talk nonsense, while models come and go.

TANDEM_SOAK_SECONDS says how long (default: 60; 1200 is the long form). Run with: pytest tests/interop/test_soak.py
"""
import json
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton
from test_serving import BINARY, Server, owned, save_mlp
from tritonclient.utils import InferenceServerException

SECONDS = float(os.environ.get("TANDEM_SOAK_SECONDS", "60"))
# Opens a stream over gRPC, keeps it full, and waits for its end by SIGKILL.
CRASHING = """
import sys, numpy as np, tritonclient.grpc as triton
client = triton.InferenceServerClient(sys.argv[1])
client.start_stream(lambda result, error: None)
given = triton.InferInput("x", [512, 4], "FP32")
given.set_data_from_numpy(np.ones((512, 4), np.float32))
print("begun", flush=True)
while True:
    client.async_stream_infer("kept", [given])
"""
HEAD = b"POST /v2/models/kept/infer HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("soak")
    for name in ("kept", "comes_and_goes"):
        save_mlp(root / f"{name}/1/model.onnx", 1)
    server = Server(root, "--model-control", "explicit", "--load-model", "*", "--slo", "p99=200ms")
    server.grpc_url = f"127.0.0.1:{server.ready['grpc_port']}"
    yield server
    assert server.stop() == 0


def open_files(server):
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


class Crowd:
    """Threads that each do one thing again and again; what one of them did not expect is kept."""

    def __init__(self, server):
        self.server, self.ended, self.problems, self.done = server, threading.Event(), [], {}

    def run(self, seconds, *kinds):
        threads = [threading.Thread(target=self.repeat, args=(kind, random.Random(i))) for i, kind in enumerate(kinds)]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        self.ended.set()
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads)

    def repeat(self, kind, rng):
        while not self.ended.is_set():
            try:
                kind(rng)
                self.done[kind.__name__] = self.done.get(kind.__name__, 0) + 1
            except Exception as error:
                self.problems.append(f"{kind.__name__}: {error!r}")

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.server.port), timeout=10)

    def ask(self, rng):
        x = rng.random() * np.ones((1, 4), np.float32)
        with self.server.client() as client:
            given = triton.InferInput("x", [1, 4], "FP32")
            given.set_data_from_numpy(x)
            assert client.infer("kept", [given]).as_numpy("y").shape == (1, 3)

    def ask_grpc(self, rng):
        with triton_grpc.InferenceServerClient(self.server.grpc_url) as client:
            given = triton_grpc.InferInput("x", [3, 4], "FP32")
            given.set_data_from_numpy(np.full((3, 4), rng.random(), np.float32))
            for _ in range(20):
                assert client.infer("kept", [given]).as_numpy("y").shape == (3, 3)

    def cancel(self, rng):
        with triton_grpc.InferenceServerClient(self.server.grpc_url) as client:
            given = triton_grpc.InferInput("x", [512, 4], "FP32")
            given.set_data_from_numpy(np.ones((512, 4), np.float32))
            calls = [client.async_infer("kept", [given], lambda result, error: None) for _ in range(8)]
            time.sleep(rng.random() * 0.01)
            for call in calls:
                call.cancel()

    def crash(self, rng):
        child = subprocess.Popen([sys.executable, "-c", CRASHING, self.server.grpc_url], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        child.stdout.readline()
        self.ended.wait(rng.random())
        child.kill()
        child.wait(30)
        child.stdout.close()

    def hang_up(self, rng):
        body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}).encode()
        with self.connect() as connection:
            connection.sendall(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body[:rng.randrange(len(body) + 1)])
            if rng.random() < 0.5:  # a reset instead of an end
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def dawdle(self, rng):
        with self.connect() as connection:
            for byte in HEAD[:rng.randrange(1, len(HEAD))]:
                connection.send(bytes([byte]))
                if self.ended.wait(0.02):
                    return

    def talk_nonsense(self, rng):
        with self.connect() as connection:
            try:
                connection.sendall(rng.randbytes(rng.randrange(1, 4000)))
                connection.shutdown(socket.SHUT_WR)
                connection.recv(4096)
            except OSError:  # the server had heard enough
                pass

    def come_and_go(self, rng):
        with self.server.client() as client:
            client.unload_model("comes_and_goes")
            client.load_model("comes_and_goes")
            time.sleep(rng.random() * 0.05)

    def ask_what_goes(self, rng):
        with self.server.client() as client:
            given = triton.InferInput("x", [1, 4], "FP32")
            given.set_data_from_numpy(np.ones((1, 4), np.float32))
            try:
                client.infer("comes_and_goes", [given])
            except InferenceServerException as error:
                assert "not ready" in str(error) or "unloaded" in str(error) or "not found" in str(error), error


def test_everybody_is_served_while_all_that_happens(server):
    def load():
        subprocess.run([BINARY, "load", "kept", "--url", f"127.0.0.1:{server.port}", "--connections", "32", "--time", "1", "--warmup", "0"],
                       check=True, capture_output=True, timeout=60)

    load()
    files, before = open_files(server), owned(server)
    crowd = Crowd(server)
    crowd.run(SECONDS, crowd.ask, crowd.ask, crowd.ask_grpc, crowd.cancel, crowd.crash, crowd.hang_up, crowd.dawdle, crowd.talk_nonsense, crowd.come_and_go, crowd.ask_what_goes)
    assert crowd.problems[:3] == []
    assert all(crowd.done.get(name, 0) > 0 for name in ("ask", "ask_grpc", "cancel", "crash", "hang_up", "talk_nonsense", "come_and_go", "ask_what_goes")), crowd.done
    load()
    end = time.monotonic() + 10
    while open_files(server) > files + 2 and time.monotonic() < end:
        time.sleep(0.1)
    print(f"{SECONDS:.0f} s: {crowd.done}; owns {before >> 10} KiB, then {owned(server) >> 10}; {files} files open, then {open_files(server)}")
    assert open_files(server) <= files + 2
    assert owned(server) - before < 8 << 20, (before, owned(server), crowd.done)
    assert server.metric("tandem_inference_in_flight", model="kept") == 0
