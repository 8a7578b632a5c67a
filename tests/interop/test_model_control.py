"""Models that come and go while `tandem serve` runs: tritonclient's load, unload, index and statistics, polling, and the memory that comes back."""
import pathlib
import shutil
import threading
import time

import numpy as np
import pytest
from test_serving import Server, mlp, resident, save, save_mlp, tensor
from tritonclient.utils import InferenceServerException

from onnx import TensorProto, helper


def ask(client, model="m", version="", rows=2):
    x = np.random.default_rng(rows).normal(size=(rows, 4)).astype(np.float32)
    return x, client.infer(model, [tensor("x", x, "FP32")], model_version=version).as_numpy("y")


def assert_serves(client, seed, **options):
    x, y = ask(client, **options)
    np.testing.assert_allclose(y, mlp(x, seed), rtol=1e-4, atol=1e-5)


@pytest.fixture
def explicit(tmp_path):
    save_mlp(tmp_path / "m/1/model.onnx", 1)
    save_mlp(tmp_path / "n/1/model.onnx", 5)
    server = Server(tmp_path, "--model-control", "explicit", "--load-model", "m")
    server.root = tmp_path
    yield server
    assert server.stop() == 0


def index_of(client):
    return {(m["name"], m.get("version")): (m.get("state"), m.get("reason")) for m in client.get_model_repository_index()}


def test_load_and_unload(explicit):
    client = explicit.client()
    assert index_of(client) == {("m", "1"): ("READY", None), ("n", None): (None, None)}
    assert client.is_server_ready() and not client.is_model_ready("n")
    client.load_model("n")
    assert_serves(client, 5, model="n")
    client.unload_model("n")
    assert index_of(client)[("n", "1")] == ("UNAVAILABLE", "unloaded") and client.is_server_ready()
    with pytest.raises(InferenceServerException, match="not ready"):
        ask(client, "n")
    with pytest.raises(InferenceServerException, match="failed to load 'none'"):
        client.load_model("none")
    with pytest.raises(InferenceServerException, match="unknown model: 'none'"):
        client.unload_model("none")


def test_a_reload_takes_the_new_version_and_a_bad_one_changes_nothing(explicit):
    client = explicit.client()
    (explicit.root / "m/2").mkdir()
    (explicit.root / "m/2/model.onnx").write_bytes(b"no model")
    with pytest.raises(InferenceServerException, match="failed to load 'm', version 2"):
        client.load_model("m")
    assert_serves(client, 1)
    assert "serves what was loaded before" in index_of(client)[("m", "1")][1]
    save_mlp(explicit.root / "m/2/model.onnx", 2)
    client.load_model("m")
    assert_serves(client, 2)


def test_a_model_may_come_with_the_request(explicit, tmp_path_factory):
    client = explicit.client()
    path = tmp_path_factory.mktemp("sent") / "model.onnx"
    save_mlp(path, 7)
    client.load_model("sent", config='{"max_batch_size": 4, "dynamic_batching": {"preferred_batch_size": [4]}}',
                      files={"file:3/model.onnx": path.read_bytes()})
    assert_serves(client, 7, model="sent", version="3")
    config = client.get_model_config("sent")
    assert config["max_batch_size"] == 4 and config["dynamic_batching"]["preferred_batch_size"] == [4]
    with pytest.raises(InferenceServerException, match="must be named file:<version>/<path>"):
        client.load_model("sent", config="{}", files={"file:1/../../escape": b"x"})
    with pytest.raises(InferenceServerException):
        client.load_model("m", config="{")
    assert_serves(client, 7, model="sent")
    client.load_model("m", config='{"version_policy": {"specific": {"versions": [1]}}}')
    assert_serves(client, 1)


def test_no_answer_is_lost_or_wrong_while_models_are_swapped(explicit):
    failures, answered, done = [], [0], threading.Event()

    def client_loop():
        client = explicit.client()
        while not done.is_set():
            try:
                assert_serves(client, 1)
                answered[0] += 1
            except Exception as error:  # the main thread tells
                failures.append(error)

    threads = [threading.Thread(target=client_loop) for _ in range(3)]
    for thread in threads:
        thread.start()
    control = explicit.client()
    for _ in range(30):
        control.load_model("m")
    done.set()
    for thread in threads:
        thread.join()
    assert not failures and answered[0] > 30


def test_control_is_refused_unless_it_is_explicit(tmp_path):
    save_mlp(tmp_path / "m/1/model.onnx", 1)
    server = Server(tmp_path)
    client = server.client()
    for change in (client.load_model, client.unload_model):
        with pytest.raises(InferenceServerException, match="explicit model load / unload is not allowed"):
            change("m")
    assert_serves(client, 1)
    assert server.stop() == 0


def test_polling_follows_the_folder(tmp_path):
    save_mlp(tmp_path / "m/1/model.onnx", 1)
    server = Server(tmp_path, "--model-control", "poll", "--poll-secs", "1")
    client = server.client()
    save_mlp(tmp_path / "m/2/model.onnx", 2)
    save_mlp(tmp_path / "n/1/model.onnx", 5)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (client.is_model_ready("m", "2") and client.is_model_ready("n")):
        time.sleep(0.1)
    assert_serves(client, 2)
    shutil.rmtree(tmp_path / "m")
    while time.monotonic() < deadline and client.is_model_ready("m"):
        time.sleep(0.1)
    with pytest.raises(InferenceServerException, match="unknown model"):
        ask(client)
    assert_serves(client, 5, model="n")
    assert server.stop() == 0


def test_statistics(explicit):
    client = explicit.client()
    for rows in (1, 1, 3):
        ask(client, rows=rows)
    with pytest.raises(InferenceServerException):
        client.infer("m", [tensor("x", np.zeros((1, 5), np.float32), "FP32")])
    [model] = client.get_inference_statistics("m")["model_stats"]
    assert (model["name"], model["version"]) == ("m", "1")
    assert model["inference_count"] == 5 and model["execution_count"] == 3
    sums = model["inference_stats"]
    for key in ("success", "queue", "compute_input", "compute_infer", "compute_output"):
        assert sums[key]["count"] == 3, key
    assert sums["fail"]["count"] == 1
    assert sum(sums[key]["ns"] for key in ("queue", "compute_input", "compute_infer", "compute_output")) <= sums["success"]["ns"] * 1.5
    assert [batch["batch_size"] for batch in model["batch_stats"]] == [1, 3]
    assert abs(model["last_inference"] / 1000 - time.time()) < 60


@pytest.mark.parametrize("config, sizes", [
    # The delay is longer than any test: four requests leave because they are four.
    ("max_batch_size: 16 dynamic_batching { preferred_batch_size: [ 4 ] max_queue_delay_microseconds: 600000000 }", [4]),
    ("max_batch_size: 16", [1]),  # a configuration without dynamic_batching: each request runs alone
])
def test_the_configuration_says_how_requests_are_batched(tmp_path, config, sizes):
    save_mlp(tmp_path / "m/1/model.onnx", 1)
    (tmp_path / "m/config.pbtxt").write_text(config)
    server = Server(tmp_path)
    threads = [threading.Thread(target=lambda: assert_serves(server.client(), 1, rows=1)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [model] = server.client().get_inference_statistics("m")["model_stats"]
    assert model["inference_count"] == 4
    assert [batch["batch_size"] for batch in model["batch_stats"]] == sizes
    assert server.stop() == 0


def test_memory_comes_back(tmp_path):
    """1,000 cycles of load, infer and unload of a model of 4 MB leave the process as large as it was, within 2 MiB."""
    weights = np.random.default_rng(0).normal(size=(1024, 1024)).astype(np.float32)
    save(tmp_path / "big/1/model.onnx", [helper.make_node("MatMul", ["x", "w"], ["y"])],
         [("x", TensorProto.FLOAT, ["batch", 1024])], [("y", TensorProto.FLOAT, ["batch", 1024])], [("w", weights)])
    server = Server(tmp_path, "--model-control", "explicit")
    client = server.client()
    x = np.ones((2, 1024), np.float32)

    def cycle():
        client.load_model("big")
        np.testing.assert_allclose(client.infer("big", [tensor("x", x, "FP32")]).as_numpy("y"), x @ weights, rtol=1e-3, atol=1e-3)
        client.unload_model("big")

    for _ in range(50):  # what a process settles at: arenas of its threads, counters
        cycle()
    before = resident(server, "VmRSS")
    for _ in range(950):
        cycle()
    assert resident(server, "VmRSS") - before < 2 << 20
    assert server.stop() == 0
