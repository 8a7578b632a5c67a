"""tritonclient.http from pip, and raw sockets, against the real `tandem serve`.

TANDEM_BIN names the program (default: build/release/bin/tandem). Models are made here with the onnx package; expected answers are computed
with numpy. Run with: pytest tests/interop/test_serving.py
"""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

import numpy as np
import onnx
import pytest
import tritonclient.http as triton
from onnx import TensorProto, helper
from tritonclient.utils import InferenceServerException

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("TANDEM_BIN", str(ROOT / "build/release/bin/tandem"))
F32, I64, STR = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING


def save(path, nodes, inputs, outputs, constants=()):
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info(*i) for i in inputs], [helper.make_tensor_value_info(*o) for o in outputs],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


def mlp_weights(seed):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(4, 8)).astype(np.float32), rng.normal(size=8).astype(np.float32),
            rng.normal(size=(8, 3)).astype(np.float32), rng.normal(size=3).astype(np.float32))


def mlp(x, seed):
    w1, b1, w2, b2 = mlp_weights(seed)
    return np.maximum(x @ w1 + b1, 0) @ w2 + b2


def save_mlp(path, seed):
    w1, b1, w2, b2 = mlp_weights(seed)
    save(path, [helper.make_node("Gemm", ["x", "w1", "b1"], ["h"]), helper.make_node("Relu", ["h"], ["r"]),
                helper.make_node("Gemm", ["r", "w2", "b2"], ["y"])],
         [("x", F32, ["batch", 4])], [("y", F32, ["batch", 3])], [("w1", w1), ("b1", b1), ("w2", w2), ("b2", b2)])


@pytest.fixture(scope="session")
def repository(tmp_path_factory):
    root = tmp_path_factory.mktemp("repository")
    for version in (1, 2, 10):
        save_mlp(root / "mlp" / str(version) / "model.onnx", version)
    save(root / "echo/1/model.onnx", [helper.make_node("Identity", ["text"], ["same"])], [("text", STR, ["n"])], [("same", STR, ["n"])])
    save(root / "category/1/model.onnx",
         [helper.make_node("OneHotEncoder", ["job"], ["hot"], domain="ai.onnx.ml", cats_strings=["Private", "State-gov"], zeros=1)],
         [("job", STR, ["batch", 1])], [("hot", F32, ["batch", 1, 2])])
    save(root / "add/1/model.onnx", [helper.make_node("Add", ["a", "b"], ["sum"])], [("a", I64, ["n"]), ("b", I64, ["n"])],
         [("sum", I64, ["n"])])
    return root


class Server:
    def __init__(self, repository, *flags, limit_fds=None):
        command = [BINARY, "serve", "--repository", str(repository), "--http-port", "0", "--json", *flags]
        if limit_fds:
            command = ["sh", "-c", f"ulimit -n {limit_fds}; exec \"$0\" \"$@\"", *command]
        errors = tempfile.NamedTemporaryFile("w+")  # a pipe that nobody empties would stop the server when it is full
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        self.process.stderr = open(errors.name)
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        self.ready = json.loads(line)
        self.port, self.url = self.ready["port"], self.ready["url"]

    def client(self, **options):
        return triton.InferenceServerClient(f"127.0.0.1:{self.port}", **options)

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return answer.read().decode()

    def post(self, path, body=b"", headers=None):
        """Status and text of the answer."""
        request = urllib.request.Request(self.url + path, data=body, headers=headers or {}, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name, **labels):
        for line in self.get("/metrics").splitlines():
            found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if found and found[1] == name and all(f'{k}="{v}"' in (found[2] or "") for k, v in labels.items()):
                return float(found[3])
        return None

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(timeout=30)


@pytest.fixture(scope="session")
def server(repository):
    server = Server(repository, "--versions", "all")
    yield server
    assert server.stop() == 0


def tensor(name, value, datatype, binary=True):
    given = triton.InferInput(name, value.shape, datatype)
    given.set_data_from_numpy(value, binary_data=binary)
    return given


def test_health_and_metadata(server):
    client = server.client()
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("mlp") and client.is_model_ready("mlp", "2")
    assert not client.is_model_ready("nothing") and not client.is_model_ready("mlp", "3")
    assert client.get_server_metadata()["name"] == "tandem"
    metadata = client.get_model_metadata("mlp")
    assert metadata["versions"] == ["1", "2", "10"]
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    assert metadata["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}]
    config = client.get_model_config("mlp")
    assert config["max_batch_size"] == 1024 and config["input"][0]["dims"] == [4]
    index = {(m["name"], m["version"]): m["state"] for m in client.get_model_repository_index()}
    assert index[("mlp", "10")] == "READY" and len(index) == 6


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
@pytest.mark.parametrize("batch", [1, 3, 64, 65, 1000])
def test_mlp(server, binary_in, binary_out, batch):
    x = np.random.default_rng(batch).normal(size=(batch, 4)).astype(np.float32)
    outputs = None if binary_out is None else [triton.InferRequestedOutput("y", binary_data=binary_out)]
    result = server.client().infer("mlp", [tensor("x", x, "FP32", binary_in)], outputs=outputs, request_id="r7")
    assert result.get_response()["id"] == "r7" and result.get_response()["model_version"] == "10"
    np.testing.assert_allclose(result.as_numpy("y"), mlp(x, 10), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("request_coding", [None, "gzip", "deflate"])
@pytest.mark.parametrize("response_coding", [None, "gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_compression(server, request_coding, response_coding, binary):
    x = np.random.default_rng(1).normal(size=(65, 4)).astype(np.float32)
    result = server.client().infer("mlp", [tensor("x", x, "FP32", binary)], outputs=[triton.InferRequestedOutput("y", binary_data=binary)],
                                   request_compression_algorithm=request_coding, response_compression_algorithm=response_coding)
    np.testing.assert_allclose(result.as_numpy("y"), mlp(x, 10), rtol=1e-4, atol=1e-5)


def test_raw_binary_request(server):
    x = np.random.default_rng(1).normal(size=(1, 4)).astype(np.float32)
    request = urllib.request.Request(server.url + "/v2/models/mlp/infer", data=x.tobytes(), headers={"Inference-Header-Content-Length": "0"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        body, length = answer.read(), int(answer.headers["Inference-Header-Content-Length"])
    assert json.loads(body[:length])["outputs"][0]["parameters"] == {"binary_data_size": 12}
    np.testing.assert_allclose(np.frombuffer(body[length:], np.float32), mlp(x, 10)[0], rtol=1e-4, atol=1e-5)
    assert server.post("/v2/models/add/infer", b"1234", {"Inference-Header-Content-Length": "0"})[0] == 400


def test_versions(server):
    x = np.ones((2, 4), np.float32)
    for version in (1, 2, 10):
        result = server.client().infer("mlp", [tensor("x", x, "FP32")], model_version=str(version))
        np.testing.assert_allclose(result.as_numpy("y"), mlp(x, version), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("binary", [True, False])
def test_texts(server, binary):
    texts = np.array(["State-gov", "", "grüß 漢 😀", "a" * 10000, '"\\\n'], dtype=object)
    result = server.client().infer("echo", [tensor("text", texts, "BYTES", binary)],
                                   outputs=[triton.InferRequestedOutput("same", binary_data=binary)])
    assert [t.decode() if isinstance(t, bytes) else t for t in result.as_numpy("same")] == list(texts)


def test_bytes_that_are_no_text(server):
    data = np.array([b"\xff\x00\x01"], dtype=object)
    assert list(server.client().infer("echo", [tensor("text", data, "BYTES")]).as_numpy("same")) == [b"\xff\x00\x01"]
    with pytest.raises(InferenceServerException, match="not UTF-8: ask for it with binary_data"):
        server.client().infer("echo", [tensor("text", data, "BYTES")], outputs=[triton.InferRequestedOutput("same", binary_data=False)])


def test_unknown_categories_get_zeros_and_are_counted(server):
    before = server.metric("tandem_unknown_categories_total", model="category", input="job")
    jobs = np.array([["Private"], ["Astronaut"], ["State-gov"], ["?"]], dtype=object)
    hot = server.client().infer("category", [tensor("job", jobs, "BYTES")]).as_numpy("hot").reshape(4, 2)
    np.testing.assert_array_equal(hot, [[1, 0], [0, 0], [0, 1], [0, 0]])
    assert server.metric("tandem_unknown_categories_total", model="category", input="job") == before + 2


def test_a_column_may_come_without_its_trailing_one(server):
    hot = server.client().infer("category", [tensor("job", np.array(["Private", "State-gov"], dtype=object), "BYTES")]).as_numpy("hot")
    assert hot.size == 4


def test_classification(server):
    x = np.random.default_rng(5).normal(size=(3, 4)).astype(np.float32)
    result = server.client().infer("mlp", [tensor("x", x, "FP32")], outputs=[triton.InferRequestedOutput("y", class_count=2)])
    for row, expected in zip(result.as_numpy("y"), mlp(x, 10)):
        assert [int(item.split(b":")[1]) for item in row] == list(np.argsort(-expected)[:2])


def test_error_texts(server):
    client, x = server.client(), np.ones((2, 4), np.float32)
    for arguments, text in [
        (("nothing", [tensor("x", x, "FP32")]), "Request for unknown model: 'nothing' is not found"),
        (("mlp", [tensor("z", x, "FP32")]), "unexpected inference input 'z' for model 'mlp'"),
        (("mlp", [tensor("x", x.astype(np.float64), "FP64")]), "inference input 'x' data-type is 'FP64', but model 'mlp' expects 'FP32'"),
        (("mlp", [tensor("x", np.ones((2, 5), np.float32), "FP32")]), r"unexpected shape for input 'x' for model 'mlp'. Expected \[-1,4\], got \[2,5\]"),
        (("mlp", [tensor("x", np.ones((1025, 4), np.float32), "FP32")]), "inference request batch-size must be <= 1024 for 'mlp'.*--max-batch"),
        (("add", [tensor("a", np.ones(2, np.int64), "INT64")]), r"missing required input\(s\) \['b'\]"),
    ]:
        with pytest.raises(InferenceServerException, match=text):
            client.infer(*arguments)
    with pytest.raises(InferenceServerException, match="unexpected inference output 'q'"):
        client.infer("mlp", [tensor("x", x, "FP32")], outputs=[triton.InferRequestedOutput("q")])
    with pytest.raises(InferenceServerException, match="version 3 is not found"):
        client.infer("mlp", [tensor("x", x, "FP32")], model_version="3")


def test_not_a_number_reaches_only_its_row(server):
    x = np.ones((3, 4), np.float32)
    clean = server.client().infer("mlp", [tensor("x", x, "FP32")]).as_numpy("y")
    x[1] = np.nan
    x[2] = [np.inf, -0.0, 1e-45, -np.inf]
    for binary in (True, False):
        y = server.client().infer("mlp", [tensor("x", x, "FP32")], outputs=[triton.InferRequestedOutput("y", binary_data=binary)]).as_numpy("y")
        assert y[0].tobytes() == clean[0].tobytes()


def test_paths_and_methods(server):
    assert server.post("/v2/models/mlp/infer", b"{")[0] == 400
    assert server.post("/v2/health/live")[0] == 405
    assert server.post("/v2/models/..%2f..%2fetc/infer", b"{}")[0] == 400
    status, text = server.post("/v2/nothing")
    assert status == 404 and json.loads(text) == {"error": "Not Found"}
    assert "mlp" in server.get("/")


def test_made_up_names_make_no_series(server):
    for i in range(50):
        server.post(f"/v2/models/made-up-{i}/infer", b"{}")
    assert "made-up" not in server.get("/metrics")


def test_metrics_balance(server):
    before = server.metric("tandem_inference_requests_total", model="add") or 0
    a = np.arange(5, dtype=np.int64)
    server.client().infer("add", [tensor("a", a, "INT64"), tensor("b", a, "INT64")])
    assert server.post("/v2/models/add/infer", b"{}")[0] == 400
    assert server.metric("tandem_inference_requests_total", model="add") == before + 1
    assert server.metric("tandem_inference_failures_total", model="add", reason="invalid") >= 1
    assert server.metric("tandem_inference_in_flight", model="add") == 0
    assert server.metric("tandem_inference_request_duration_seconds_count", model="add") == before + 1


def test_many_clients_at_once(server):
    errors = []

    def work(seed):
        rng, client = np.random.default_rng(seed), server.client()
        try:
            for _ in range(40):
                x = rng.normal(size=(int(rng.integers(1, 100)), 4)).astype(np.float32)
                version = int(rng.choice([1, 2, 10]))
                y = client.infer("mlp", [tensor("x", x, "FP32", bool(rng.integers(2)))], model_version=str(version)).as_numpy("y")
                np.testing.assert_allclose(y, mlp(x, version), rtol=1e-4, atol=1e-5)
        except Exception as error:  # noqa: BLE001 - reported below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not errors
    assert server.metric("tandem_inference_in_flight", model="mlp", version="10") == 0


def test_a_broken_model_does_not_stop_the_others(tmp_path):
    save_mlp(tmp_path / "good/1/model.onnx", 1)
    (tmp_path / "bad/1").mkdir(parents=True)
    (tmp_path / "bad/1/model.onnx").write_bytes(b"no model")
    (tmp_path / "empty").mkdir()
    save_mlp(tmp_path / "flat/model.onnx", 1)
    server = Server(tmp_path)
    client = server.client()
    assert client.is_server_live() and not client.is_server_ready() and client.is_model_ready("good")
    index = {m["name"]: m for m in client.get_model_repository_index()}
    assert index["good"]["state"] == "READY"
    assert "failed to load 'bad'" in index["bad"]["reason"] and str(tmp_path) not in json.dumps(index)
    assert "flat/1/model.onnx" in index["flat"]["reason"] and "no version folder" in index["empty"]["reason"]
    with pytest.raises(InferenceServerException, match="failed to load 'bad'"):
        client.infer("bad", [tensor("x", np.ones((1, 4), np.float32), "FP32")])
    assert server.stop() == 0


def test_drain_under_load(repository):
    server = Server(repository)
    wrong, right, stopping = [], [0], threading.Event()
    x = np.random.default_rng(1).normal(size=(16, 4)).astype(np.float32)
    expected = mlp(x, 10)

    def work():
        client = server.client()
        while True:
            try:
                y = client.infer("mlp", [tensor("x", x, "FP32")]).as_numpy("y")
            except InferenceServerException as error:
                wrong.append(error)
                return
            except Exception as error:  # noqa: BLE001 - refused or closed: only when the server stops
                if not stopping.is_set():
                    wrong.append(error)
                return
            right[0] += 1
            if not np.allclose(y, expected, rtol=1e-4, atol=1e-5):
                wrong.append("wrong answer")

    threads = [threading.Thread(target=work) for _ in range(6)]
    [t.start() for t in threads]
    begun = time.monotonic()
    while right[0] <= 50 and not wrong:
        assert time.monotonic() - begun < 60
        time.sleep(0.05)
    stopping.set()
    begun = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begun < 10
    [t.join() for t in threads]
    assert not wrong and right[0] > 50
    assert '"whole": true' in server.process.stdout.read()


def test_flood_of_connections_beyond_the_descriptors(repository):
    server = Server(repository, limit_fds=160)
    flood = []
    for _ in range(400):
        connection = socket.socket()
        connection.settimeout(5)
        connection.connect(("127.0.0.1", server.port))
        flood.append(connection)
    [c.close() for c in flood]
    deadline = time.monotonic() + 30
    while True:
        try:
            assert server.client().is_server_live()
            break
        except Exception:  # noqa: BLE001 - it recovers
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert server.stop() == 0


def resident(server, *kinds):
    """Bytes of these kinds ("VmRSS" ...) that the server's process has in memory."""
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return sum(int(line.split()[1]) for line in status.splitlines() if line.startswith(kinds)) * 1024


def owned(server):
    """Resident without pages of files: those of the program are let go once it has started, and come back as they are used."""
    return resident(server, "RssAnon", "RssShmem")


def test_bad_requests_leave_nothing_behind(repository):
    server = Server(repository)
    bad = [b"", b"{", b"[" * 100_000, b'{"inputs":[{"name":"x","shape":[4294967296,4294967296],"datatype":"FP32","data":[1]}]}',
           b'{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1]}]}', b'{"inputs":' + b'[{"a":1}' * 10_000]

    def round_of(count):
        for _ in range(count):
            for body in bad:
                assert server.post("/v2/models/mlp/infer", body)[0] == 400
            connection = socket.create_connection(("127.0.0.1", server.port))
            connection.sendall(b"POST /v2/models/mlp/infer HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\n{")
            connection.close()

    round_of(20)
    memory, fds = owned(server), server.metric("process_open_fds")
    round_of(100)
    assert owned(server) - memory < 1 << 20 and server.metric("process_open_fds") <= fds + 1
    assert server.stop() == 0


def test_timeout_parameter(server):
    body = {"parameters": {"timeout": 1}, "inputs": [{"name": "a", "shape": [1], "datatype": "INT64", "data": [1]},
                                                     {"name": "b", "shape": [1], "datatype": "INT64", "data": [1]}]}
    status, text = server.post("/v2/models/add/infer", json.dumps(body).encode())
    assert (status, "Request timeout expired" in text) in [(504, True), (200, False)]
    body["parameters"]["timeout"] = 2**63 - 1
    assert server.post("/v2/models/add/infer", json.dumps(body).encode())[0] == 200


def run(*arguments):
    return subprocess.run([BINARY, "serve", *arguments], capture_output=True, text=True, timeout=30)


def test_what_cannot_start_says_why(server, repository, tmp_path):
    taken = run("--repository", str(repository), "--http-port", str(server.port))
    assert taken.returncode == 4 and f"port {server.port} of 127.0.0.1 is in use" in taken.stderr
    missing = run("--repository", str(tmp_path / "none"))
    assert missing.returncode == 2 and "does not exist" in missing.stderr
    assert run().returncode == 2
    assert "must be" in run("--repository", str(repository), "--versions", "newest").stderr
    assert run("--help").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_it_well(repository, number):
    assert Server(repository).stop(number) == 0


def test_a_second_signal_ends_it_now(repository):
    server = Server(repository)
    connection = socket.create_connection(("127.0.0.1", server.port))
    connection.sendall(b"GET /v2 HTTP/1.1\r\n")  # never finished: the drain waits for it
    time.sleep(0.2)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert server.process.poll() is None
    assert server.stop() == 128 + signal.SIGTERM


def test_exit_timeout(repository):
    server = Server(repository, "--exit-timeout", "1")
    connection = socket.create_connection(("127.0.0.1", server.port))
    connection.sendall(b"GET /v2 HTTP/1.1\r\n")
    time.sleep(0.2)
    assert server.stop() == 4
