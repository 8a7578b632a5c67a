"""--batch-invariant: an answer has the same bits alone, in any batch and at any place of it; over networks as they are exported, where the cache has them."""
import pathlib
import shutil

import numpy as np
import onnx
import pytest
import tritonclient.http as triton
from onnx import helper, numpy_helper
from test_serving import F32, Server, save
from tritonclient.utils import np_to_triton_dtype

CACHE = pathlib.Path.home() / ".cache/tandem/networks"
NETWORKS = ("resnet18-dynamo-18", "mobilenet-v2-dynamo-18", "bert-torchscript-17", "gpt2-torchscript-17", "lstm-tagger-dynamo-18", "swin-tiny-dynamo-18",
            "segmentation-channels-last-helper-13")
MOST = 6  # rows; every number of them up to this, forwards and backwards


def weight(name, *shape):
    return name, np.random.default_rng(len(shape)).normal(0, 0.3, shape).astype(np.float32)


def save_models(root):
    """Rows for themselves; and rows that share a scale."""
    node = helper.make_node
    save(root / "dense/1/model.onnx", [node("MatMul", ["x", "w"], ["h"]), node("Tanh", ["h"], ["t"]), node("MatMul", ["t", "v"], ["s"]),
                                       node("Softmax", ["s"], ["y"], axis=-1)],
         [("x", F32, ["n", 37])], [("y", F32, ["n", 65])], [weight("w", 37, 301), weight("v", 301, 65)])
    save(root / "conv/1/model.onnx", [node("Conv", ["x", "k"], ["h"], pads=[1, 1, 1, 1]), node("Relu", ["h"], ["r"]), node("GlobalAveragePool", ["r"], ["y"])],
         [("x", F32, ["n", 3, 17, 17])], [("y", F32, ["n", 19, 1, 1])], [weight("k", 19, 3, 3, 3)])
    save(root / "scaled/1/model.onnx", [node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]), node("DequantizeLinear", ["q", "s", "z"], ["y"])],
         [("x", F32, ["n", 8])], [("y", F32, ["n", 8])])
    for model in ("dense", "scaled"):  # so that requests find one another
        (root / model / "config.pbtxt").write_text("max_batch_size: 32 dynamic_batching { max_queue_delay_microseconds: 20000 }")


def folder_of(name):
    found = sorted(CACHE.glob(f"{name}/*/model.onnx"))
    return found[0].parent if found else None


def rows_of(folder, names):
    """Single rows from the data that came with a network."""
    rows = []
    for case in sorted(folder.glob("test_data_set_*")):
        tensors = [numpy_helper.to_array(onnx.load_tensor(case / f"input_{i}.pb")) for i in range(len(names))]
        rows += [{name: tensor[i:i + 1] for name, tensor in zip(names, tensors)} for i in range(len(tensors[0]))]
    rows = [row for row in rows if all(row[name].shape == rows[0][name].shape for name in names)]
    varied = [{name: value * np.float32(1 + i / 100) if value.dtype == np.float32 else value for name, value in rows[i % len(rows)].items()} for i in range(MOST)]
    return varied


def ask(client, model, rows):
    inputs = []
    for name in rows[0]:
        value = np.ascontiguousarray(np.concatenate([row[name] for row in rows]))
        one = triton.InferInput(name, list(value.shape), np_to_triton_dtype(value.dtype))
        one.set_data_from_numpy(value)
        inputs.append(one)
    result = client.infer(model, inputs)
    return {output["name"]: result.as_numpy(output["name"]) for output in result.get_response()["outputs"]}


def check(client, model, rows):
    alone = [ask(client, model, [row]) for row in rows]
    for count in range(2, len(rows) + 1):
        for order in (list(range(count)), list(range(len(rows) - 1, len(rows) - 1 - count, -1))):
            for name, together in ask(client, model, [rows[i] for i in order]).items():
                for place, i in enumerate(order):
                    assert together[place].tobytes() == alone[i][name][0].tobytes(), (model, name, count, place)


def together(client, model, rows):
    """Requests of a row each, at once: with how many rows each of them ran, and its answer."""
    pending = []
    for row in rows:
        (name, value), = row.items()
        one = triton.InferInput(name, list(value.shape), "FP32")
        one.set_data_from_numpy(value)
        pending.append(client.async_infer(model, [one], parameters={"explain": True}))
    results = [request.get_result() for request in pending]
    return [result.get_response()["parameters"]["batch_size"] for result in results], [result.as_numpy("y")[0] for result in results]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("repository")
    save_models(root)
    server = Server(root, "--grpc-port=-1", "--batch-invariant", "--lanes", "1", "--threads", "2", "--model-control", "explicit", "--load-model", "*")
    server.root = root
    yield server
    assert server.stop() == 0


def test_models_of_ours(server):
    with server.client(concurrency=32) as client:
        random = np.random.default_rng(1)
        for model, shape in (("dense", (1, 37)), ("conv", (1, 3, 17, 17))):
            check(client, model, [{"x": random.normal(size=shape).astype(np.float32)} for _ in range(MOST)])


def test_batches_that_the_server_made(server):
    """Rows that change one another are never joined; others are, and have the bits that they had alone."""
    random = np.random.default_rng(2)
    with server.client(concurrency=32) as client:
        for model, columns, joined in (("dense", 37, True), ("scaled", 8, False)):
            rows = [{"x": random.normal(size=(1, columns)).astype(np.float32)} for _ in range(24)]
            alone = [ask(client, model, [row])["y"][0] for row in rows]
            largest = 0
            for _ in range(20):
                sizes, answers = together(client, model, rows)
                for expected, answer in zip(alone, answers):
                    assert expected.tobytes() == answer.tobytes()
                largest = max(largest, *sizes)
            assert (largest > 1) == joined, (model, largest)
        reasons = {entry["name"]: entry.get("reason", "") for entry in client.get_model_repository_index()}
        assert reasons["dense"] == "" and "run alone" in reasons["scaled"]


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(server, name):
    folder = folder_of(name)
    if folder is None:
        pytest.skip("the network is not in the cache (tests/networks makes it)")
    shutil.copytree(folder, server.root / name / "1", ignore=shutil.ignore_patterns("test_data_set_*"))
    with server.client(network_timeout=300) as client:
        client.load_model(name)
        names = [one["name"] for one in client.get_model_metadata(name)["inputs"]]
        check(client, name, rows_of(folder, names))
        client.unload_model(name)
    shutil.rmtree(server.root / name)
