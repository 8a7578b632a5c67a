"""What lies beside a model is held against it before it is served: manifest.json (hash, golden sample) and the samples of model_warmup."""
import hashlib
import json

import numpy as np
import pytest
from test_serving import Server, mlp, save_mlp


def manifest(path, x, y, **changes):
    def tensor(value):
        return {"dtype": "f32", "shape": list(value.shape), "data": [float(v) for v in value.ravel()]}
    content = {"format": "tandem-manifest-1", "model": {"file": "model.onnx", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()},
               "class_names": [], "golden": {"inputs": {"x": tensor(x)}, "outputs": {"y": tensor(y)}}}
    content.update(changes)
    (path.parent / "manifest.json").write_text(json.dumps(content))


@pytest.fixture
def start(tmp_path):
    """Starts a server and gives the index entry of model m."""
    servers = []

    def run(*flags):
        servers.append(Server(tmp_path, *flags))
        return next(entry for entry in servers[-1].client().get_model_repository_index() if entry["name"] == "m")
    run.server = lambda: servers[-1]
    yield run
    for server in servers:
        assert server.stop() == 0


X = np.random.default_rng(5).normal(size=(3, 4)).astype(np.float32)


def test_a_true_manifest(tmp_path, start):
    path = tmp_path / "m/1/model.onnx"
    save_mlp(path, 1)
    manifest(path, X, mlp(X, 1))
    assert start()["state"] == "READY"


@pytest.mark.parametrize("name, change, text", [
    ("sample", lambda path: manifest(path, X, mlp(X, 1) + np.eye(3)[[1, 0, 2]] * 0.05), "output 'y', element 1 is "),
    ("shape", lambda path: manifest(path, X, mlp(X, 1)[:2]), "another shape: output 'y'"),
    ("hash", lambda path: manifest(path, X, mlp(X, 1), model={"file": "model.onnx", "sha256": "0" * 64}), "is not the file that manifest.json was written for"),
    ("json", lambda path: (path.parent / "manifest.json").write_text("{"), "manifest.json is no JSON object"),
    ("form", lambda path: manifest(path, X, mlp(X, 1), golden={"inputs": {"x": {"shape": [1]}}}), "the golden sample cannot be read"),
    ("count", lambda path: manifest(path, X, mlp(X, 1), golden={"inputs": {"x": {"shape": [2, 4], "data": [1]}}, "outputs": {}}), "another number of values")])
def test_a_false_manifest(tmp_path, start, name, change, text):
    path = tmp_path / "m/1/model.onnx"
    save_mlp(path, 1)
    change(path)
    entry = start()
    assert entry["state"] == "UNAVAILABLE" and text in entry["reason"], entry


def test_other_manifests_are_not_ours(tmp_path, start):
    save_mlp(tmp_path / "m/1/model.onnx", 1)
    (tmp_path / "m/1/manifest.json").write_text('{"format": "other"}')
    assert start()["state"] == "READY"


def test_a_sample_of_more_rows_than_allowed_is_not_run(tmp_path, start):
    path = tmp_path / "m/1/model.onnx"
    save_mlp(path, 1)
    manifest(path, X, mlp(X, 1) + 1)
    assert start("--max-batch", "2")["state"] == "READY"


def configure(tmp_path, warmup):
    save_mlp(tmp_path / "m/1/model.onnx", 1)
    (tmp_path / "m/warmup").mkdir()
    (tmp_path / "m/warmup/x").write_bytes(X[:2].tobytes())
    (tmp_path / "m/config.pbtxt").write_text('max_batch_size: 8 model_warmup [ { name: "w" batch_size: 2 count: 2 inputs { key: "x" value { %s } } } ]' % warmup)


@pytest.mark.parametrize("data", ["zero_data: true", "random_data: true", 'input_data_file: "x"'])
def test_warm_ups(tmp_path, start, data):
    configure(tmp_path, "data_type: TYPE_FP32 dims: [4] " + data)
    assert start()["state"] == "READY"
    statistics = start.server().client().get_inference_statistics("m")["model_stats"][0]
    assert statistics["inference_count"] == 0, "they are nobody's requests"


@pytest.mark.parametrize("warmup, text", [
    ("data_type: TYPE_FP32 dims: [5] zero_data: true", "another size than the model"), ("data_type: TYPE_INT32 dims: [4] zero_data: true", "another data_type"),
    ("data_type: TYPE_FP32 dims: [4, 1] zero_data: true", "another number of dimensions"), ('data_type: TYPE_FP32 dims: [4] input_data_file: "none"', "model_warmup 'w'"),
    ('data_type: TYPE_FP32 dims: [4] input_data_file: "../config.pbtxt"', "model_warmup 'w'")])
def test_a_warm_up_that_fails(tmp_path, start, warmup, text):
    configure(tmp_path, warmup)
    entry = start()
    assert entry["state"] == "UNAVAILABLE" and text in entry["reason"], entry
