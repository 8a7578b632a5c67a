"""--device cuda, with the program `tandem_emulated` beside `tandem`: the same CUDA kernels, run block by block on the CPU."""
import json
import os
import pathlib
import subprocess
import urllib.request

import numpy as np
import pytest

import conftest
from conftest import environment, epochs_of, fails, make_table, small, tandem

EMULATED = pathlib.Path(conftest.BINARY).with_name("tandem_emulated")
needs_emulator = pytest.mark.skipif(not EMULATED.exists(), reason="this build has no tandem_emulated")


@pytest.fixture
def emulated(monkeypatch):
    """`tandem` of conftest is then the program on the emulator."""
    monkeypatch.setattr(conftest, "BINARY", str(EMULATED))


def close_epochs(a, b, tolerance):
    ours, theirs = epochs_of(a), epochs_of(b)
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs):
        assert one["train_loss"] == pytest.approx(other["train_loss"], abs=tolerance)
        assert one["validation"]["loss"] == pytest.approx(other["validation"]["loss"], abs=tolerance)


@needs_emulator
def test_a_training_run_on_the_gpu_is_that_on_the_cpu(emulated, table, tmp_path):
    """Losses to 1e-4; what runs where is said once, and written down."""
    tandem(*small(table), "--out", tmp_path / "cpu")
    said = tandem(*small(table), "--out", tmp_path / "gpu", "--device", "cuda").out
    close_epochs(tmp_path / "cpu", tmp_path / "gpu", 1e-4)
    assert said.count("the training step is captured: ") == 1, said
    assert said.count("on cuda:0 (") == 1, said
    lineage = [json.loads((tmp_path / run / "manifest.json").read_text())["lineage"] for run in ("cpu", "gpu")]
    assert lineage[0]["device"] == "cpu" and lineage[1]["device"].startswith("cuda:0 (")
    assert lineage[1]["device"] in (tmp_path / "gpu/report.html").read_text()
    assert "device = cuda" in (tmp_path / "gpu/config.ini").read_text()


@needs_emulator
def test_two_ranks_share_the_gpu(emulated, table, tmp_path):
    """Gradients cross through host memory: the losses are those of the CPU's ranks."""
    for device in ("cpu", "cuda"):
        tandem(*small(table, epochs=2), "--out", tmp_path / device, "--device", device, "--nproc", 2)
    close_epochs(tmp_path / "cpu", tmp_path / "cuda", 1e-4)


@needs_emulator
def test_a_run_begun_on_the_gpu_goes_on_elsewhere(emulated, table, tmp_path):
    """The device is no part of what a run must keep."""
    run = tmp_path / "run"
    tandem(*small(table, epochs=2), "--out", run, "--device", "cuda")
    (run / "manifest.json").unlink()
    tandem("train", "--out", run, "--resume", "--device", "cpu", "--threads", 1)
    assert len(epochs_of(run)) == 2


@needs_emulator
def test_eval_and_run(emulated, small_run, table, tmp_path):
    metrics = [tandem("eval", small_run, "--device", device, "--json").json for device in ("cpu", "cuda")]
    assert metrics[1]["device"].startswith("cuda:0 (")
    for name, metric in metrics[0]["metrics"].items():
        if metric["value"] is not None:
            assert metrics[1]["metrics"][name]["value"] == pytest.approx(metric["value"], abs=1e-4), name
    for device in ("cpu", "cuda"):
        tandem("run", small_run / "model.onnx", "--input", table, "--device", device, "--output", tmp_path / f"{device}.npz")
    ours, theirs = np.load(tmp_path / "cuda.npz"), np.load(tmp_path / "cpu.npz")
    np.testing.assert_allclose(ours["probabilities"], theirs["probabilities"], atol=1e-5)
    assert (ours["label"] == theirs["label"]).mean() > 0.99


@needs_emulator
def test_a_strict_device_names_the_ops_it_lacks(emulated, small_run, table, tmp_path):
    fails("run", small_run / "model.onnx", "--input", table, "--device", "cuda", "--strict-device", says=["strict device", "node"])
    fails(*small(table), "--out", tmp_path / "strict", "--device", "cuda", "--strict-device", says="strict device")


def test_a_strict_device_needs_a_gpu(small_run, table, tmp_path):
    """Whatever this machine has: the CPU is none."""
    says = "--strict-device needs a GPU"
    fails("run", small_run / "model.onnx", "--input", table, "--strict-device", says=says)
    fails("inspect", small_run / "model.onnx", "--strict-device", says=says)
    fails("serve", "--repository", tmp_path, "--strict-device", says=says)
    fails(*small(table), "--out", tmp_path / "strict", "--strict-device", says=says)
    fails(*small(table), "--out", tmp_path / "key", "--set", "train.strict_device=true", says=says)


@needs_emulator
def test_a_served_request(emulated, small_run, table, tmp_path):
    (tmp_path / "repository/m/1").mkdir(parents=True)
    (tmp_path / "repository/m/1/model.onnx").write_bytes((small_run / "model.onnx").read_bytes())
    body = json.dumps({"inputs": [{"name": "width", "shape": [1, 1], "datatype": "FP32", "data": [0.5]},
                                  {"name": "height", "shape": [1, 1], "datatype": "FP32", "data": [-0.25]},
                                  {"name": "colour", "shape": [1, 1], "datatype": "BYTES", "data": ["red"]}]}).encode()
    answers = {}
    for device in ("cpu", "cuda"):
        server = subprocess.Popen([EMULATED, "serve", "--repository", tmp_path / "repository", "--http-port", "0", "--json", "--device", device,
                                   "--lanes", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
        try:
            ready = json.loads(server.stdout.readline())
            assert ready["models"][0]["device"].startswith("cuda:0" if device == "cuda" else "cpu"), ready
            answers[device] = [json.load(urllib.request.urlopen(ready["url"] + "/v2/models/m/infer", body, timeout=30)) for _ in range(4)]
            metrics = urllib.request.urlopen(ready["url"] + "/metrics", timeout=30).read().decode()
        finally:
            server.terminate()
            server.wait(30)
        assert f'tandem_model_on_device{{model="m",version="1"}} {int(device == "cuda")}' in metrics
        assert 'tandem_model_fallen_back{model="m",version="1"} 0' in metrics
    values = {device: {o["name"]: o["data"] for o in many[0]["outputs"]} for device, many in answers.items()}
    assert values["cuda"]["label"] == values["cpu"]["label"]
    assert values["cuda"]["probabilities"] == pytest.approx(values["cpu"]["probabilities"], abs=1e-5)
    assert all(answer["outputs"] == answers["cuda"][0]["outputs"] for answer in answers["cuda"])


@pytest.fixture
def served(emulated, small_run, tmp_path):
    """served(config.pbtxt, options...) starts a server of one model and returns what it says when ready, its metrics, and its index."""
    def serve(config, *options):
        (tmp_path / "repository/m/1").mkdir(parents=True, exist_ok=True)
        (tmp_path / "repository/m/1/model.onnx").write_bytes((small_run / "model.onnx").read_bytes())
        (tmp_path / "repository/m/config.pbtxt").write_text(config)
        server = subprocess.Popen([EMULATED, "serve", "--repository", tmp_path / "repository", "--http-port", "0", "--json", "--device", "cuda",
                                   "--lanes", "2", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
        try:
            ready = json.loads(server.stdout.readline())
            metrics = urllib.request.urlopen(ready["url"] + "/metrics", timeout=30).read().decode()
            index = json.load(urllib.request.urlopen(ready["url"] + "/v2/repository/index", b"", timeout=30))
        finally:
            server.terminate()
            server.wait(30)
        return ready["models"][0], metrics, index[0]
    return serve


@needs_emulator
def test_declared_batch_sizes_are_captured_at_load(served):
    def graphs(config, *options):
        model, metrics, _ = served(config, *options)
        assert f'tandem_captured_graphs{{model="m",version="1"}} {model["captured_graphs"]}' in metrics
        return model["captured_graphs"]
    one = graphs("optimization { cuda { graphs: true graph_spec { batch_size: 5 } } }")
    assert one > 0
    assert graphs("dynamic_batching { preferred_batch_size: [ 1, 5, 9 ] }") == 3 * one
    assert graphs("dynamic_batching { preferred_batch_size: [ 1, 5, 9 ] }", "--batch-sizes", "2") == 3 * one
    assert graphs("", "--batch-sizes", "2,3") == 2 * one
    assert graphs('name: "m"') == 7 * one  # powers of two up to 64
    assert graphs("", "--batch-sizes", "none") == 0


@needs_emulator
@pytest.mark.parametrize("sizes, says", [("[ 0 ]", "line 1: dynamic_batching.preferred_batch_size: dynamic batching preferred size must be positive, got 0"),
                                         ("[ 4, 2000 ]", "must be <= max batch size: 2000, 1024"), ("[ 4, 4 ]", "twice: 4"),
                                         ("{ size: 4 }", "line 1, column 42: Expected integer"), ("[ 4", "config.pbtxt, line 1, column 46")])
def test_wrong_batch_sizes_are_told(served, sizes, says):
    model, _, index = served("dynamic_batching { preferred_batch_size: " + sizes + " }")
    assert not model["ready"] and says in model["reason"], model
    assert index["state"] == "UNAVAILABLE" and index["reason"] == model["reason"]
    assert model["reason"].startswith("failed to load 'm'")


def test_wrong_batch_sizes_of_a_server(tmp_path):
    for sizes, says in (("0", "not positive"), ("1,1", "twice"), ("1025", "beyond"), ("1,x", "a list such as '1,8,32'"), ("", "a list such as")):
        fails("serve", "--repository", tmp_path, "--batch-sizes", sizes, says=says)


@needs_emulator
def test_devices_on_the_emulator(emulated):
    listed = tandem("devices", "--json").json
    assert listed["problem"] == "" and listed["gpus"][0]["device"] == "cuda:0"
    assert {"name", "compute_capability", "memory_bytes", "multiprocessors"} <= listed["gpus"][0].keys()
    assert listed["gpus"][0]["name"] in tandem("devices").out


def test_devices_say_why_none_can_be_used():
    """Whatever this machine has."""
    listed = tandem("devices", "--json").json
    text = tandem("devices").out
    assert listed["cpu"]["threads"] >= 1
    if listed["gpus"]:
        assert listed["gpus"][0]["name"] in text
        return
    assert listed["problem"] and f"No GPU can be used: {listed['problem']}." in text
    for library in listed["libraries"]:
        assert library["without"], library
    fails("run", "x.onnx", "--device", "cuda", says=["CUDA cannot be used here", listed["problem"]], code=4)
    fails("train", "--out", "nowhere", "--device", "cuda", "--nproc", "2", says="CUDA cannot be used here", code=4)


def test_auto_takes_the_cpu_where_there_is_no_gpu(small_run, table):
    shown = tandem("eval", small_run, "--device", "auto", "--json").json
    assert shown["device"] == "cpu" or shown["device"].startswith("cuda:")


def test_a_device_is_named_as_it_should_be(small_run):
    fails("eval", small_run, "--device", "gpu", says=["no such kind of device", "auto"])
    fails("eval", small_run, "--math", "quick", says="--math takes strict or fast")
    fails("inspect", small_run / "model.onnx", "--device", "tpu", says="no such kind of device")


def has_cuda():
    return "without CUDA" not in (tandem("devices", "--json").json["problem"] or "")


def test_inspect_shows_the_placement_without_a_gpu(small_run):
    model = small_run / "model.onnx"
    if not has_cuda():
        fails("inspect", model, "--device", "cuda", says="built without CUDA", code=4)
        return
    shown = tandem("inspect", model, "--device", "cuda", "--batch", 16, "--json").json["device"]
    text = tandem("inspect", model, "--device", "cuda", "--batch", 16).out
    sides = [step["on"] for step in shown["steps"]]
    assert shown["steps_on_gpu"] == sides.count("cuda") > 0
    assert shown["steps_on_cpu"] == sides.count("cpu") > 0  # the text column
    assert shown["copied_to_gpu_bytes"] == sum(s["bytes"] for s in shown["steps"] if s["on"] == "to gpu") > 0
    assert shown["copied_to_host_bytes"] == sum(s["bytes"] for s in shown["steps"] if s["on"] == "to cpu") > 0
    assert f"copied in one run: {shown['copied_to_gpu_bytes']} bytes to the GPU, {shown['copied_to_host_bytes']} bytes back" in text
    for side in ("gpu", "host"):
        assert shown[side]["arena_bytes"] > 0 and str(shown[side]["arena_bytes"]) in text
    for name in shown["without_kernel"]:
        assert name in text
    fails("inspect", model, "--device", "cuda", "--strict-device", says="strict device")


def test_a_roofline_of_a_model_and_of_a_training_step(small_run):
    model = small_run / "model.onnx"
    arguments = ("bench", "roofline", "--device", "h200", "--dry-run")
    if not has_cuda():
        fails(*arguments, model, says="built without CUDA", code=4)
        return
    shown = tandem(*arguments, model, "--batch", 32, "--json").json
    assert shown["device"] == "h200" and shown["launches"] == sum(len(s["launches"]) for s in shown["steps"]) > 0
    assert shown["bytes"] == sum(s["bytes_read"] + s["bytes_written"] for s in shown["steps"])
    for step in shown["steps"]:
        assert step["seconds_at_best"] >= (step["bytes_read"] + step["bytes_written"]) / 4.8e12 * 0.999
        for launch in step["launches"]:
            assert "launch" in launch["marks"]  # so small a model is all overhead
            assert launch["blocks"] >= 1 and (launch["occupancy"] is None or 0 < launch["occupancy"] <= 1)  # none of a library's
    assert shown["bytes"] < tandem(*arguments, model, "--batch", 64, "--json").json["bytes"]
    step = tandem(*arguments, small_run, "--train", "--json").json
    assert {"Adam", "SoftmaxCrossEntropyLoss"} <= {s["op"] for s in step["steps"]}, [s["op"] for s in step["steps"]]
    text = tandem(*arguments, small_run, "--train").out
    assert f"{step['launches']} launches of {len(step['steps'])} steps" in text
    fails("bench", "roofline", model, says="--dry-run")
    fails("bench", says="roofline")
    fails(*arguments, model, "--train", says="config")
    fails("bench", "roofline", "--device", "h999", "--dry-run", model, says=["h999", "h200"])
