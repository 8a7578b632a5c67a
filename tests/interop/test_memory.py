"""The memory contract: what a load takes is told before, refused with figures, shared between equal models, made room for, and given back."""
import json
import re
import subprocess
import threading
import time

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
from test_serving import BINARY, Server, resident, save, tensor
from tritonclient.utils import InferenceServerException

from onnx import TensorProto, helper

MIB = 1 << 20
F32 = TensorProto.FLOAT


def weights(seed, n):
    return np.random.default_rng(seed).normal(size=(n, n)).astype(np.float32)


def save_matrix(root, name, seed, n=1024, version=1, bias=0.0):
    """A model of n * n * 4 bytes."""
    save(root / name / str(version) / "model.onnx", [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Add", ["z", "b"], ["y"])],
         [("x", F32, ["batch", n])], [("y", F32, ["batch", n])], [("w", weights(seed, n)), ("b", np.full(n, bias, np.float32))])


def infer(server, name, n=1024, client=None):
    x = np.ones((2, n), np.float32)
    return (client or server.client()).infer(name, [tensor("x", x, "FP32")]).as_numpy("y")


def forecast(server, name):
    status, answer = server.post(f"/v2/repository/models/{name}/load", b'{"parameters": {"dry_run": true}}')
    assert status == 200, answer
    return json.loads(answer)


def test_dry_run_tells_and_loads_nothing(tmp_path):
    save_matrix(tmp_path, "m", 1)
    save_matrix(tmp_path, "n", 2)
    (tmp_path / "broken/1").mkdir(parents=True)
    (tmp_path / "broken/1/model.onnx").write_bytes(b"none")
    def run(*flags):
        done = subprocess.run([BINARY, "serve", "--repository", str(tmp_path), "--dry-run", "--lanes", "2", *flags], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout
    code, text = run("--json")
    told = json.loads(text)
    by_name = {model["name"]: model for model in told["models"]}
    assert code == 2 and told["fits"] is False and "problem" in by_name["broken"]
    need = by_name["m"]
    assert need["weights"] + need["packed"] >= 4 * MIB and need["lanes"] == 2 and need["bytes"] == need["weights"] + need["packed"] + 2 * need["lane"]
    (tmp_path / "broken/1/model.onnx").unlink()
    (tmp_path / "broken/1").rmdir()
    (tmp_path / "broken").rmdir()
    assert run("--memory-limit", "1G")[0] == 0 and "fits" in run("--memory-limit", "1G")[1]
    code, text = run("--memory-limit", "6M")
    assert code == 3 and "does not fit" in text and re.search(r"m/1 +\d+", text)


def test_refused_with_figures(tmp_path):
    for seed, name in enumerate("abc"):
        save_matrix(tmp_path, name, seed)
    server = Server(tmp_path, "--lanes", "1", "--memory-limit", "12M")
    index = {entry["name"]: entry for entry in server.client().get_model_repository_index()}
    assert [index[name]["state"] for name in "abc"] == ["READY", "READY", "UNAVAILABLE"]
    assert re.search(r"needs \d+ bytes more, but --memory-limit is 12582912 bytes, of which other models hold \d+", index["c"]["reason"])
    assert infer(server, "a").shape == (2, 1024)
    assert server.stop() == 0


def test_a_larger_batch_is_within_the_limit_too(tmp_path):
    save_matrix(tmp_path, "m", 1)
    server = Server(tmp_path, "--lanes", "1", "--memory-limit", "8M")
    client = server.client()
    x = np.ones((1024, 1024), np.float32)
    with pytest.raises(InferenceServerException, match="--memory-limit"):
        client.infer("m", [tensor("x", x, "FP32")])
    np.testing.assert_allclose(infer(server, "m"), np.ones((2, 1024)) @ weights(1, 1024), rtol=1e-3, atol=1e-3)
    assert server.stop() == 0


def test_equal_weights_are_in_memory_once(tmp_path):
    """The same file under five names and versions: 64 MB once, and answers that are right."""
    n = 4096
    for name in ("a", "b", "c", "d", "e"):
        save_matrix(tmp_path, name, 1, n)
    server = Server(tmp_path, "--model-control", "explicit", "--lanes", "1")
    client = server.client()
    client.load_model("a")
    expected = infer(server, "a", n)
    before = resident(server, "VmRSS")
    assert forecast(server, "b")[0]["additional"] < 16 * MIB < forecast(server, "b")[0]["bytes"]
    for name in ("b", "c", "d", "e"):
        client.load_model(name)
        np.testing.assert_array_equal(infer(server, name, n), expected)
    assert resident(server, "VmRSS") - before < 48 * MIB  # their activations
    for name in ("a", "b", "c", "d"):
        client.unload_model(name)
    np.testing.assert_array_equal(infer(server, "e", n), expected)
    client.unload_model("e")
    deadline = time.monotonic() + 30  # the lane lets go of its last request a moment after the answer is out
    while before - resident(server, "VmRSS") < 60 * MIB and time.monotonic() < deadline:
        time.sleep(0.01)
    assert before - resident(server, "VmRSS") > 60 * MIB
    assert server.stop() == 0


def test_before_a_start_equal_weights_are_counted_once(tmp_path):
    """Two names of one file and a third with another bias: together they take one matrix, and fit where three would not."""
    for name, bias in (("a", 0.0), ("b", 0.0), ("c", 1.0)):
        save_matrix(tmp_path, name, 1, bias=bias)
    def run(*flags):
        return subprocess.run([BINARY, "serve", "--repository", str(tmp_path), "--dry-run", "--lanes", "1", *flags], capture_output=True, text=True, timeout=60)
    told = json.loads(run("--json").stdout)
    first, *others = told["models"]
    assert first["additional"] == first["bytes"] >= 4 * MIB and all(model["bytes"] >= 4 * MIB for model in others)
    assert told["bytes"] == sum(model["additional"] for model in told["models"]) < 8 * MIB
    assert run("--memory-limit", "12M").returncode == 0 and run("--memory-limit", "4M").returncode == 3
    server = Server(tmp_path, "--lanes", "1", "--memory-limit", "12M")
    assert all(entry["state"] == "READY" for entry in server.client().get_model_repository_index())
    assert server.stop() == 0


@pytest.mark.parametrize("kind", ["f32", "int8"])
def test_versions_of_which_the_head_differs_share_the_rest(tmp_path, kind):
    """Files with an equal trunk under other names: panels of the trunk are there once, told so beforehand, and given back with the last."""
    n, classes = 4096, 64
    trunk = {"f32": weights(1, n), "int8": np.random.default_rng(1).integers(-127, 128, (n, n), np.int8)}[kind]
    heads = {name: np.random.default_rng(seed).normal(size=(n, classes)).astype(np.float32) for seed, name in enumerate("ab")}
    for name, head in heads.items():
        if kind == "f32":
            nodes = [helper.make_node("MatMul", ["x", f"{name}_trunk"], ["h"])]
            constants = [(f"{name}_trunk", trunk)]
        else:
            nodes = [helper.make_node("QuantizeLinear", ["x", "one", "zero"], ["q"]), helper.make_node("MatMulInteger", ["q", f"{name}_trunk"], ["i"]),
                     helper.make_node("Cast", ["i"], ["h"], to=F32)]
            constants = [(f"{name}_trunk", trunk), ("one", np.array(1, np.float32)), ("zero", np.array(0, np.uint8))]
        save(tmp_path / name / "1/model.onnx", [*nodes, helper.make_node("MatMul", ["h", f"{name}_head"], ["y"])], [("x", F32, ["batch", n])],
             [("y", F32, ["batch", classes])], [*constants, (f"{name}_head", head)])
    server = Server(tmp_path, "--model-control", "explicit", "--lanes", "1")
    client = server.client()

    def check(name):
        expected = np.ones((2, n)) @ trunk.astype(np.float64) @ heads[name].astype(np.float64)
        np.testing.assert_allclose(infer(server, name, n), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())

    def settles(below):
        deadline = time.monotonic() + 30  # memory goes back a moment after the answer is out
        while resident(server, "VmRSS") >= below and time.monotonic() < deadline:
            time.sleep(0.01)
        return resident(server, "VmRSS") < below

    start = resident(server, "VmRSS")
    client.load_model("a")
    check("a")
    with_one = resident(server, "VmRSS")
    assert with_one - start > trunk.nbytes
    told = forecast(server, "b")[0]
    lane = told["lane"] * told["lanes"]
    assert told["weights"] + told["packed"] > trunk.nbytes
    assert heads["b"].nbytes <= told["additional"] - lane < heads["b"].nbytes + MIB
    client.load_model("b")
    check("b")
    assert settles(with_one + told["additional"] + 4 * MIB)
    client.unload_model("a")
    check("b")
    client.unload_model("b")
    assert settles(start + 4 * MIB)
    assert server.stop() == 0


def test_idle_models_make_room(tmp_path):
    for seed, name in enumerate(("a", "b", "c", "large")):
        save_matrix(tmp_path, name, seed, 2048 if name == "large" else 1024)
    server = Server(tmp_path, "--model-control", "explicit", "--lanes", "1", "--memory-limit", "12M")

    def load(name, **parameters):
        return server.post(f"/v2/repository/models/{name}/load", json.dumps({"parameters": {"lease_ms": 0, **parameters}}).encode())

    def ready():
        return {entry["name"] for entry in server.client().get_model_repository_index() if entry.get("state") == "READY"}

    assert load("a")[0] == load("b")[0] == 200
    infer(server, "a")  # b is the one that was used longer ago
    assert load("c")[0] == 200 and ready() == {"a", "c"}
    reason = next(entry["reason"] for entry in server.client().get_model_repository_index() if entry["name"] == "b")
    assert "evicted to make room for 'c'" in reason and server.client().is_server_ready()
    with pytest.raises(InferenceServerException, match="evicted"):
        infer(server, "b")
    assert load("a", pin=True)[0] == 200
    assert load("b")[0] == 200 and ready() == {"a", "b"}
    status, text = load("large")
    assert status == 400 and "--memory-limit" in text and ready() == {"a", "b"}, "nobody was evicted in vain"
    assert load("b", lease_ms=60000)[0] == 200
    status, text = load("c")
    assert status == 400 and "--memory-limit" in text and ready() == {"a", "b"}, "one is pinned, the other leased"
    assert load("a", pin=False)[0] == 200 and load("c")[0] == 200 and ready() == {"b", "c"}
    for wrong in ({"pin": 1}, {"lease_ms": -1}, {"lease_ms": "x"}, {"dry_run": 0}, {"other": 1}):
        assert load("a", **wrong)[0] == 400
    assert server.stop() == 0


def test_what_the_newcomer_shares_does_not_make_room(tmp_path):
    """A model's weights stay when it goes, if it is the newcomer that has them too: then it is not evicted in vain."""
    save_matrix(tmp_path, "small", 1)
    n, rows = 1024, 2560
    save(tmp_path / "large/1/model.onnx", [helper.make_node("MatMul", ["x", "w"], ["y"])], [("x", F32, [rows, n])], [("y", F32, [rows, n])], [("w", weights(1, n))])
    server = Server(tmp_path, "--model-control", "explicit", "--lanes", "1", "--memory-limit", "12M")
    assert server.post("/v2/repository/models/small/load", b'{"parameters": {"lease_ms": 0}}')[0] == 200
    expected = infer(server, "small")
    told, limit = forecast(server, "large")[0], 12 * MIB
    missing = told["additional"] - (limit - forecast(server, "small")[0]["bytes"])
    assert 0 < missing < 4 * MIB and told["bytes"] > limit, "it would fit if the weights counted as gone"
    status, text = server.post("/v2/repository/models/large/load", b"{}")
    assert status == 400 and "--memory-limit" in text
    np.testing.assert_array_equal(infer(server, "small"), expected)
    assert server.stop() == 0


def test_who_loads_can_use_it(tmp_path):
    """Clients that take turns at more models than fit: what one has loaded is there when it infers."""
    names = ["a", "b", "c"]
    for seed, name in enumerate(names):
        save_matrix(tmp_path, name, seed)
    server = Server(tmp_path, "--model-control", "explicit", "--lanes", "1", "--memory-limit", "12M")
    failures, answers = [], []

    def work(name):
        with triton_grpc.InferenceServerClient(f"127.0.0.1:{server.ready['grpc_port']}") as client:
            given = triton_grpc.InferInput("x", [1, 1024], "FP32")
            given.set_data_from_numpy(np.ones((1, 1024), np.float32))
            for _ in range(20):
                try:
                    client.load_model(name)
                except InferenceServerException as error:
                    if "--memory-limit" not in error.message():
                        failures.append(error)
                    continue  # the others hold their leases
                try:
                    answers.append(client.infer(name, [given]).as_numpy("y").shape)
                except InferenceServerException as error:
                    failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and len(answers) >= 20
    assert server.stop() == 0
