"""What `inspect`, `run --profile`, `--json` and `--help` print."""
import json
import re

import numpy as np
import onnx
import pytest

from conftest import ADULT_COLUMNS, tandem, small


@pytest.mark.parametrize("config", ["adult", "breast_cancer", "digits"])
def test_inspect_counts(runs, config):
    """Against the onnx package: signature, parameters and ops of the file."""
    path = runs[config] / "model.onnx"
    model, shown = onnx.load(path), tandem("inspect", path, "--json", "--disable-pass", "epilogue_fusion").json
    assert [i["name"] for i in shown["inputs"]] == [i.name for i in model.graph.input]
    assert [o["name"] for o in shown["outputs"]] == [o.name for o in model.graph.output]
    assert shown["inputs"][0]["type"].startswith("f32[batch, ")
    floats = [t for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT]
    weights = sum(int(np.prod(t.dims)) for t in floats if len(t.dims) > 0)
    assert shown["parameters"] == pytest.approx(weights, rel=0.01)  # a scalar more or less
    gemms = sum(n.op_type == "Gemm" for n in model.graph.node)
    assert shown["ops"]["Gemm"] == gemms
    assert shown["parameter_bytes"] >= 4 * weights
    matrices = sum(int(np.prod(t.dims)) for t in floats if len(t.dims) == 2)
    assert shown["flops"] >= 2 * matrices


@pytest.mark.parametrize("batch", [1, 32])
def test_the_plan_adds_up(runs, batch):
    """Buffers that live at the same time do not overlap, lie within the arena, and the peak is the one of --json."""
    path = runs["digits"] / "model.onnx"
    shown = tandem("inspect", path, "--json", "--batch", batch).json
    text = tandem("inspect", path, "--plan", "--batch", batch).out
    assert f"{shown['peak_bytes']} bytes" in text
    assert shown["lower_bound_bytes"] <= shown["arena_bytes"] <= shown["peak_bytes"]
    assert shown["peak_bytes"] >= shown["arena_bytes"] + shown["workspace_bytes"]
    assert shown["bounds"] == {"batch": batch}
    assert tandem("inspect", path, "--json", "--batch", 2 * batch).json["arena_bytes"] > shown["arena_bytes"]


def test_passes(runs):
    path = runs["digits"] / "model.onnx"
    text = tandem("inspect", path, "--passes").out
    passes = tandem("inspect", path, "--json").json["passes"]
    names = [p["name"] for p in passes]
    assert {"constant_folding", "dead_code", "common_subexpression", "batch_norm_folding"} <= {n.replace("_elimination", "") for n in names}, names
    assert all(name in text for name in names)
    assert all(p["microseconds"] >= 0 and p["nodes_after"] > 0 for p in passes)
    without = tandem("inspect", path, "--json", *[f for n in names for f in ("--disable-pass", n)]).json
    assert sum(p["changes"] for p in without.get("passes") or []) == 0
    assert without["nodes"] >= passes[-1]["nodes_after"]


def test_drawing_and_text(runs, tmp_path):
    path = runs["adult"] / "model.onnx"
    dot = tandem("inspect", path, "--dot", "-").out
    assert dot.startswith("digraph") and dot.rstrip().endswith("}") and dot.count("{") == dot.count("}")
    assert all(name in dot for name in ADULT_COLUMNS[:-1])
    tandem("inspect", path, "--dot", tmp_path / "adult.dot")
    assert (tmp_path / "adult.dot").read_text() == dot
    text = tandem("inspect", path, "--text").out
    assert "OneHotEncoder" in text and "probabilities" in text


def test_profile(runs, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((64, 1, 8, 8), dtype=np.float32))
    result = tandem("run", runs["digits"] / "model.onnx", "--input", tmp_path / "x.npy", "--profile", tmp_path / "trace.json", "--output", tmp_path / "o.npz")
    trace = json.loads((tmp_path / "trace.json").read_text())
    events = [e for e in (trace["traceEvents"] if isinstance(trace, dict) else trace) if e["ph"] == "X"]
    nodes = tandem("inspect", runs["digits"] / "model.onnx", "--json").json["nodes"]
    assert 0 < len(events) <= nodes + 2
    assert any("Conv" in e["name"] or "Conv" in str(e.get("cat")) + str(e.get("args")) for e in events)
    assert all(e["dur"] >= 0 and e["ts"] >= 0 for e in events)
    ordered = sorted(events, key=lambda e: e["ts"])
    assert all(a["ts"] + a["dur"] <= b["ts"] + 1 for a, b in zip(ordered, ordered[1:]) if a["tid"] == b["tid"])  # one after another
    assert "trace" in result.err


def test_run_prints_json(runs, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 1, 8, 8), np.float32))
    outputs = tandem("run", runs["digits"] / "model.onnx", "--input", tmp_path / "x.npy", "--json").json["outputs"]
    assert outputs["probabilities"]["shape"] == [2, 10] and len(outputs["probabilities"]["data"]) == 20
    assert outputs["label"]["dtype"] == "i64"
    text = tandem("run", runs["digits"] / "model.onnx", "--input", tmp_path / "x.npy").out
    assert "probabilities f32[2, 10]" in text


def test_training_prints_json_lines(table, tmp_path):
    out = tandem(*small(table, train__baselines="true"), "--out", tmp_path / "run", "--json").out
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["epoch"] for line in lines if line["event"] == "epoch"] == [1, 2, 3, 4]
    assert lines[-1]["event"] == "done"
    assert set(lines[-1]["metrics"]) == {"model", "majority class", "logistic regression"}
    for metric in lines[-1]["metrics"]["model"].values():
        assert metric["low"] <= metric["value"] <= metric["high"]


def test_the_run_folder_says_what_it_is(runs):
    run = runs["adult"]
    facts, manifest = json.loads((run / "run.json").read_text()), json.loads((run / "manifest.json").read_text())
    for fact in ("seed", "source_version", "data_sha256", "split_id", "config_sha256", "cpu", "isa", "train_rows"):
        assert facts[fact], fact
    import hashlib
    assert manifest["model"]["sha256"] == hashlib.sha256((run / "model.onnx").read_bytes()).hexdigest()
    assert facts["config_sha256"] == hashlib.sha256((run / "config.ini").read_bytes()).hexdigest()
    assert manifest["lineage"]["split_id"] == facts["split_id"]
    assert [i["name"] for i in manifest["signature"]["inputs"]] and len(manifest["golden"]["inputs"]["age"]["data"]) == 4
    assert manifest["class_names"] == ["<=50K", ">50K"]
    for metric in ("roc_auc", "log_loss", "accuracy", "f1", "pr_auc", "brier", "ece"):
        values = manifest["metrics"]["model"][metric]
        assert values["low"] <= values["value"] <= values["high"], metric


@pytest.mark.parametrize("command", ["train", "eval", "inspect", "run", "serve"])
def test_help_shows_an_example(command):
    for flag in ("--help", "-h"):
        text = tandem(command, flag).out
        assert text.startswith(f"usage: tandem {command}")
        examples = text.split("examples:")[1].strip().splitlines()
        assert len(examples) >= 2 and any(line.strip().startswith(f"tandem {command}") for line in examples), examples
    # Every flag of the examples is one the command has.
    for flag in re.findall(r"(--[a-z.\-_]+)", text.split("examples:")[1]):
        assert f"{flag} " in text.split("examples:")[0] or f"{flag}\n" in text.split("examples:")[0], flag


def test_general_help():
    text = tandem("--help").out
    assert all(command in text for command in ("train", "eval", "inspect", "run", "serve", "Exit codes"))
