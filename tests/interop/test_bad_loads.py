"""Versions that must not become the one that answers: damaged at any byte (B1), or well-formed and wrong (B9). What served before goes on serving.

TANDEM_BIN names the program. Run with: pytest tests/interop/test_bad_loads.py
"""
import base64
import json
import os
import shutil
import subprocess

import numpy as np
import pytest
from test_package import manifest
from test_serving import BINARY, Server, mlp, owned, save, save_mlp, tensor

from onnx import TensorProto, helper

X = np.random.default_rng(5).normal(size=(3, 4)).astype(np.float32)


def answer(server, model="m"):
    return server.client().infer(model, [tensor("x", X, "FP32")]).as_numpy("y")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A small model as ONNX, and compiled."""
    root = tmp_path_factory.mktemp("files")
    w = np.arange(8, dtype=np.float32).reshape(4, 2)
    save(root / "model.onnx", [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])],
         [("x", TensorProto.FLOAT, ["n", 4])], [("y", TensorProto.FLOAT, ["n", 2])], [("w", w)])
    subprocess.run([BINARY, "compile", root / "model.onnx", "-o", root / "model.tdm"], check=True, capture_output=True)
    return root


@pytest.fixture(scope="module")
def explicit(tmp_path_factory):
    root = tmp_path_factory.mktemp("repository")
    save_mlp(root / "m/1/model.onnx", 1)
    server = Server(root, "--model-control", "explicit", "--load-model", "m")
    yield server
    assert server.stop() == 0


@pytest.mark.parametrize("name", ["model.onnx", "model.tdm"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "zeroed", "ones"])
def test_b1_every_byte(explicit, files, name, damage):
    """Sent with the request to load, as a client would."""
    whole = (files / name).read_bytes()
    files_before, before = len(os.listdir(f"/proc/{explicit.process.pid}/fd")), owned(explicit)
    places = range(len(whole)) if len(whole) < 1000 else sorted(set(range(0, len(whole), len(whole) // 250)) | set(range(100)))
    loaded = 0
    for i in places:
        byte = {"flipped": whole[i] ^ (1 << i % 8), "zeroed": 0, "ones": 255}.get(damage)
        content = whole[:i] if byte is None else whole[:i] + bytes([byte]) + whole[i + 1:]
        request = {"parameters": {"config": "{}", f"file:1/{name}": base64.b64encode(content).decode()}}
        status, text = explicit.post("/v2/repository/models/damaged/load", json.dumps(request).encode())
        assert status == 200 or (400 <= status <= 503 and "failed to load 'damaged'" in json.loads(text)["error"]), (i, status, text)
        assert "std::" not in text and "/tmp" not in text and "bad_alloc" not in text, (i, text)
        loaded += status == 200
        if status == 200:
            explicit.post("/v2/repository/models/damaged/unload", b"{}")
    explicit.post("/v2/repository/models/damaged/unload", b"{}")  # a server that was told to serve it is not ready without it
    if damage == "cut":
        assert loaded <= len(places) // 4  # a model of fewer fields may be one
    np.testing.assert_allclose(answer(explicit), mlp(X, 1), rtol=1e-4, atol=1e-5)
    assert explicit.client().is_server_ready() and len(os.listdir(f"/proc/{explicit.process.pid}/fd")) <= files_before + 1
    assert owned(explicit) - before < 8 << 20


def with_nan(folder):
    w = np.full((4, 3), np.nan, np.float32)
    save(folder / "model.onnx", [helper.make_node("MatMul", ["x", "w"], ["y"])], [("x", TensorProto.FLOAT, ["batch", 4])], [("y", TensorProto.FLOAT, ["batch", 3])], [("w", w)])
    manifest(folder / "model.onnx", X, mlp(X, 2))


def with_wrong_sample(folder):
    save_mlp(folder / "model.onnx", 2)
    manifest(folder / "model.onnx", X, mlp(X, 1))


def with_other_file(folder):
    save_mlp(folder / "model.onnx", 2)
    manifest(folder / "model.onnx", X, mlp(X, 2))
    save_mlp(folder / "model.onnx", 3)


def with_nothing(folder):
    folder.mkdir()


def with_other_signature(folder):
    """A warm-up of the configuration does not fit it."""
    save(folder / "model.onnx", [helper.make_node("Neg", ["x"], ["y"])], [("x", TensorProto.FLOAT, ["batch", 5])], [("y", TensorProto.FLOAT, ["batch", 5])])


@pytest.mark.parametrize("make", [with_nan, with_wrong_sample, with_other_file, with_nothing, with_other_signature], ids=lambda make: make.__name__)
def test_b9_the_version_before_stays(tmp_path, make):
    save_mlp(tmp_path / "m/1/model.onnx", 1)
    (tmp_path / "m/config.pbtxt").write_text('max_batch_size: 8 model_warmup [ { name: "w" batch_size: 2 inputs { key: "x" value { data_type: TYPE_FP32 dims: [4] zero_data: true } } } ]')
    server = Server(tmp_path, "--model-control", "explicit", "--load-model", "m")
    make(tmp_path / "m/2")
    status, text = server.post("/v2/repository/models/m/load", b"{}")
    assert status >= 400 and "failed to load 'm', version 2" in json.loads(text)["error"], text
    np.testing.assert_allclose(answer(server), mlp(X, 1), rtol=1e-4, atol=1e-5)
    client = server.client()
    assert client.is_model_ready("m") and client.is_model_ready("m", "1") and not client.is_model_ready("m", "2")
    shutil.rmtree(tmp_path / "m/2")  # repaired: health is right again
    save_mlp(tmp_path / "m/2/model.onnx", 2)
    manifest(tmp_path / "m/2/model.onnx", X, mlp(X, 2))
    client.load_model("m")
    np.testing.assert_allclose(answer(server), mlp(X, 2), rtol=1e-4, atol=1e-5)
    assert client.is_server_ready() and client.is_model_ready("m", "2")
    assert server.stop() == 0


def test_health_is_right_after_a_repair(tmp_path):
    save_mlp(tmp_path / "m/1/model.onnx", 1)
    (tmp_path / "broken/1").mkdir(parents=True)
    (tmp_path / "broken/1/model.onnx").write_bytes(b"none")
    server = Server(tmp_path, "--model-control", "explicit", "--load-model", "*")
    assert not server.client().is_server_ready()
    save_mlp(tmp_path / "broken/1/model.onnx", 4)
    server.client().load_model("broken")
    assert server.client().is_server_ready()
    np.testing.assert_allclose(answer(server, "broken"), mlp(X, 4), rtol=1e-4, atol=1e-5)
    assert server.stop() == 0
