"""`tandem check`: every mismatch between config.pbtxt and the model is told, and what it says to write is right.

Run with: pytest tests/interop/test_check.py
"""
import json
import subprocess

import pytest
from test_serving import BINARY, Server, save_mlp


def check(root, *flags):
    done = subprocess.run([BINARY, "check", str(root), "--json", *flags], capture_output=True, text=True, timeout=120)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_a_good_folder(tmp_path):
    save_mlp(tmp_path / "mlp/1/model.onnx", 1)
    save_mlp(tmp_path / "mlp/2/model.onnx", 2)
    (tmp_path / "mlp/v3").mkdir()
    assert check(tmp_path) == (0, [{"name": "mlp", "version": 2, "good": True, "problems": [],
                                    "notes": ["folder 'v3' is passed over: versions are whole numbers from 1 without leading zeros"]}])
    assert [line["version"] for line in check(tmp_path, "--versions", "all")[1]] == [1, 2]


WRONG = [
    "name: \"other\"", "backend: \"python\"", "max_batch_size: 100000", "input [ {", "name: \"X\"", "data_type: TYPE_FP64", "dims: [ -1, 4 ]", "} ]", "output {",
    "name: \"y\"", "data_type: TYPE_INT8", "dims: [ 9 ]", "label_filename: \"labels.txt\"", "}", "dynamic_batching {", "preferred_batch_size: [ 8, -4 ]", "}"]


def test_it_can_be_mended_by_what_it_says(tmp_path):
    save_mlp(tmp_path / "mlp/1/model.onnx", 1)
    config, lines = tmp_path / "mlp/config.pbtxt", list(WRONG)
    config.write_text("\n".join(lines))
    seen = set()
    for _ in range(3):  # a tensor with a wrong name is looked at once it has the right one
        code, (told,) = check(tmp_path)
        if code == 0:
            break
        assert code == 2 and not told["good"] and told["problems"], told
        for problem in told["problems"]:
            seen.add(problem["field"])
            if problem["field"].endswith("label_filename"):
                (tmp_path / "mlp/labels.txt").write_text("a\nb\nc\n")
            else:
                lines[problem["line"] - 1] = problem["write"]
        config.write_text("\n".join(lines))
    assert check(tmp_path)[0] == 0, config.read_text()
    assert seen == {"name", "backend", "max_batch_size", "input[0].name", "input[0].data_type", "input[0].dims", "output[0].data_type", "output[0].dims",
                    "output[0].label_filename", "dynamic_batching.preferred_batch_size"}
    server = Server(tmp_path)
    assert server.client().is_model_ready("mlp")
    server.stop()


def test_text_names_lines(tmp_path):
    save_mlp(tmp_path / "mlp/1/model.onnx", 1)
    (tmp_path / "mlp/config.pbtxt").write_text("\ninput { name: \"x\" dims: [ 5 ] }")
    done = subprocess.run([BINARY, "check", str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "config.pbtxt, line 2: input[0].dims: model 'mlp', tensor 'x': the model expects shape [-1,4]" in done.stdout
    assert "write  dims: [4]" in done.stdout and "0 of 1 would be served" in done.stdout and done.stderr == ""


@pytest.mark.parametrize("config,said", [("max_batchsize: 4", "did you mean 'max_batch_size'?"), ("input { name: \"x\"\n", "line 2"), ("\xff", "UTF-8")])
def test_what_cannot_be_parsed(tmp_path, config, said):
    save_mlp(tmp_path / "mlp/1/model.onnx", 1)
    (tmp_path / "mlp/config.pbtxt").write_text(config, encoding="latin-1")
    code, (told,) = check(tmp_path)
    assert code == 2 and said in told["failure"], told


def test_models_that_fail_do_not_stop_the_others(tmp_path):
    for i in range(30):
        save_mlp(tmp_path / f"m{i:02}/1/model.onnx", i)
    (tmp_path / "m07/1/model.onnx").write_bytes(b"no model")
    (tmp_path / "m08/manifest.json").write_text("{}")
    (tmp_path / "m09/1/manifest.json").write_text('{"model": {"sha256": "00"}}')
    (tmp_path / "no model/1").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    code, lines = check(tmp_path)
    wrong = {line["name"]: line["failure"] for line in lines if not line["good"]}
    assert code == 2 and len(lines) == 32 and {"m07", "no model", "empty"} <= set(wrong) and len(wrong) <= 4, wrong
    assert str(tmp_path) not in json.dumps(lines)
    assert check(tmp_path, "--model", "m01")[0] == 0
    assert check(tmp_path, "--model", "nothing")[0] == 2 and check(tmp_path / "nowhere")[0] == 2
