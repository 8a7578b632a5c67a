"""`tandem conformance` on cases made with the onnx package: what must pass does, and each kind of fault is found and told."""
import json
import os
import pathlib
import subprocess

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.path.abspath(os.environ.get("TANDEM_BIN", ROOT / "build/release/bin/tandem"))
X = np.arange(6, dtype=np.float32).reshape(2, 3) - 2


def run(*arguments, code=0):
    done = subprocess.run([BINARY, "conformance", *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done


def run_json(*arguments, code=0):
    return json.loads(run(*arguments, "--json", code=code).stdout.splitlines()[-1])


def reason_of(folder):
    """Why the only case beneath the folder fails."""
    result = run_json(folder, code=1)
    assert [case["status"] for case in result["cases"]] == ["failed"]
    return result["cases"][0]["reason"]


def model(nodes, inputs, outputs, opset=18, **rest):
    def info(name, array):
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
    graph = helper.make_graph(nodes, "g", [info(*pair) for pair in inputs.items()], [info(*pair) for pair in outputs.items()], **rest)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def write_case(folder, proto, inputs, outputs, data_set=0):
    (folder / f"test_data_set_{data_set}").mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    for kind, arrays in (("input", inputs), ("output", outputs)):
        for i, array in enumerate(arrays):
            value = array if hasattr(array, "SerializeToString") else numpy_helper.from_array(array)
            (folder / f"test_data_set_{data_set}" / f"{kind}_{i}.pb").write_bytes(value.SerializeToString())
    return folder


def relu_case(folder, got=None, **rest):
    """Relu of X, expected to be `got` (None: what it is)."""
    return write_case(folder, model([helper.make_node("Relu", ["x"], ["y"])], {"x": X}, {"y": X}),
                      [X], [np.maximum(X, 0) if got is None else got], **rest)


def test_a_folder_of_cases_and_one_case(tmp_path):
    relu_case(tmp_path / "node/test_relu")
    relu_case(tmp_path / "node/test_relu_2")
    result = run_json(tmp_path)
    assert (result["passed"], result["failed"], result["skipped"]) == (2, 0, 0)
    assert result["cases"][0] == {"name": "test_relu", "kind": "node", "op": "Relu", "status": "passed", "reason": ""}
    assert run_json(tmp_path / "node/test_relu")["passed"] == 1
    assert run_json(tmp_path, "--filter", "*_2")["cases"][0]["name"] == "test_relu_2"
    table = run(tmp_path).stdout.splitlines()
    assert table[1].split() == ["Relu", "2", "0", "0", "0"] and table[2].split() == ["total", "2", "0", "0", "0"]


def test_each_data_set_counts(tmp_path):
    relu_case(tmp_path / "test_a")
    relu_case(tmp_path / "test_a", np.zeros_like(X), data_set=1)
    assert "data set 1: output 'y'" in reason_of(tmp_path)


def test_wrong_values(tmp_path):
    expected = np.maximum(X, 0)
    expected[1, 2] += 0.5
    assert reason_of(relu_case(tmp_path / "test_a", expected)) == (
        "output 'y': 1 of 6 elements differ, first [1, 2]: expected 3.5, got 3; largest error 0.5 absolute, 0.143 relative")


@pytest.mark.parametrize("factor, passes", [(1 + 0.9e-3, True), (1 - 0.9e-3, True), (1 + 1.2e-3, False), (1 - 1.2e-3, False)])
def test_the_relative_tolerance(tmp_path, factor, passes):
    relu_case(tmp_path / "test_a", (np.maximum(X, 0) * factor).astype(np.float32))
    assert run_json(tmp_path, code=0 if passes else 1)["passed"] == passes


@pytest.mark.parametrize("offset, passes", [(0.9e-7, True), (1.1e-7, False)])
def test_the_absolute_tolerance(tmp_path, offset, passes):
    relu_case(tmp_path / "test_a", (np.maximum(X, 0) + np.float32(offset) * (X < 0)).astype(np.float32))
    assert run_json(tmp_path, code=0 if passes else 1)["passed"] == passes


def test_a_tolerance_of_the_case(tmp_path):
    relu_case(tmp_path / "test_a", np.maximum(X, 0) * np.float32(1.05))
    (tmp_path / "test_a/data.json").write_text('{"rtol": 0.1, "atol": 0}')
    assert run_json(tmp_path)["passed"] == 1
    (tmp_path / "test_a/data.json").write_text('{"rtol": "wide"}')
    assert "rtol" in run(tmp_path, code=2).stderr


def test_the_distance_of_whole_tensors(tmp_path):
    expected = np.maximum(X, 0)
    expected[0, 0] = 0.05  # too far by itself, little for a tensor of this norm
    distance = float(0.05 / np.linalg.norm(expected))
    case = relu_case(tmp_path / "test_a", expected)
    assert run_json(case, code=1)["cases"][0]["l2"] == pytest.approx(distance)
    assert run_json(case, "--l2", str(distance * 1.01))["passed"] == 1
    assert run_json(case, "--l2", str(distance * 0.99), code=1)["failed"] == 1
    (case / "data.json").write_text(json.dumps({"l2": distance * 1.01}))
    assert run_json(case)["passed"] == 1
    expected[0, 0] = np.nan
    relu_case(tmp_path / "test_a", expected)
    assert run_json(case, "--l2", "1", code=1)["failed"] == 1


def test_data_sets_of_several_sizes_share_a_session(tmp_path):
    symbolic = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", "m"])
    graph = helper.make_graph([helper.make_node("Softmax", ["x"], ["y"], axis=0)], "g", [symbolic],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "m"])])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    for i, shape in enumerate([(2, 3), (4, 1), (1, 5)]):
        write_case(tmp_path / "test_a", proto, [np.zeros(shape, np.float32)], [np.full(shape, 1 / shape[0], np.float32)], data_set=i)
    assert run_json(tmp_path)["passed"] == 1


def test_nan_and_infinity(tmp_path):
    x = np.array([np.nan, np.inf, -np.inf, 1], np.float32)
    proto = model([helper.make_node("Neg", ["x"], ["y"])], {"x": x}, {"y": x})
    write_case(tmp_path / "test_a", proto, [x], [-x])
    assert run_json(tmp_path)["passed"] == 1
    for wrong in ([0, -np.inf, np.inf, -1], [np.nan, np.inf, np.inf, -1], [np.nan, -np.inf, np.inf, np.nan], [np.nan, -3e38, np.inf, -1]):
        write_case(tmp_path / "test_a", proto, [x], [np.array(wrong, np.float32)])
        assert "1 of 4 elements differ" in reason_of(tmp_path)


def test_wrong_shape_and_type(tmp_path):
    assert reason_of(relu_case(tmp_path / "test_a", np.maximum(X, 0).reshape(3, 2))).endswith("expected f32[3, 2], got f32[2, 3]")
    assert reason_of(relu_case(tmp_path / "test_a", np.maximum(X, 0).astype(np.float64))).endswith("expected f64[2, 3], got f32[2, 3]")


def test_integers_and_bools_are_exact(tmp_path):
    x = np.array([10_000, -10_000], np.int64)
    proto = model([helper.make_node("Neg", ["x"], ["y"])], {"x": x}, {"y": x})
    write_case(tmp_path / "test_a", proto, [x], [-x])
    assert run_json(tmp_path)["passed"] == 1
    write_case(tmp_path / "test_a", proto, [x], [-x + np.array([0, 1])])
    assert "1 of 2 elements differ, first [1]: expected 10001, got 10000" in reason_of(tmp_path)
    b = np.array([True, False])
    proto = model([helper.make_node("Not", ["x"], ["y"])], {"x": b}, {"y": b})
    write_case(tmp_path / "test_a", proto, [b], [b])
    assert "2 of 2" in reason_of(tmp_path)


def test_strings(tmp_path):
    def strings(*texts):
        return helper.make_tensor("", TensorProto.STRING, [len(texts)], [text.encode() for text in texts])
    graph = helper.make_graph([helper.make_node("Concat", ["x", "x"], ["y"], axis=0)], "g",
                              [helper.make_tensor_value_info("x", TensorProto.STRING, [2])],
                              [helper.make_tensor_value_info("y", TensorProto.STRING, [4])])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    write_case(tmp_path / "test_a", proto, [strings("a", "ü")], [strings("a", "ü", "a", "ü")])
    assert run_json(tmp_path)["passed"] == 1
    write_case(tmp_path / "test_a", proto, [strings("a", "ü")], [strings("a", "ü", "b", "ü")])
    assert "first [2]: expected 'b', got 'a'" in reason_of(tmp_path)


def test_broken_and_missing_files(tmp_path):
    case = relu_case(tmp_path / "test_a")
    data = case / "test_data_set_0"
    (data / "input_0.pb").write_bytes(b"\xff\xff\xff")
    assert "input_0.pb" in reason_of(tmp_path)
    (data / "input_0.pb").unlink()
    assert "no file for an input (index, name): 0, x" in reason_of(tmp_path)
    relu_case(case)
    (data / "output_0.pb").unlink()
    assert "another number of outputs" in reason_of(tmp_path)
    relu_case(case)
    (case / "model.onnx").write_bytes(b"no model")
    assert "ModelProto" in reason_of(tmp_path)


def test_an_unknown_op_is_named(tmp_path):
    write_case(tmp_path / "test_a", model([helper.make_node("Frobnicate", ["x"], ["y"])], {"x": X}, {"y": X}), [X], [X])
    assert "ai.onnx.Frobnicate-18" in reason_of(tmp_path)


def test_cases_without_model_or_data_are_skipped(tmp_path):
    relu_case(tmp_path / "test_a")
    (tmp_path / "real/test_b").mkdir(parents=True)
    (tmp_path / "real/test_b/data.json").write_text('{"url": "https://example.org/b.tar.gz", "rtol": 1e-3, "atol": 1e-7}')
    relu_case(tmp_path / "test_c")
    for file in (tmp_path / "test_c/test_data_set_0").iterdir():
        file.unlink()
    (tmp_path / "test_c/test_data_set_0").rmdir()
    result = run_json(tmp_path)
    assert (result["passed"], result["failed"], result["skipped"]) == (1, 0, 2)
    reasons = [case["reason"] for case in result["cases"] if case["status"] == "skipped"]
    assert any("where it is to be had" in reason for reason in reasons) and any("no data set" in reason for reason in reasons)
    assert "skipped 1: there is no data set beside the model" in run(tmp_path).stdout


def test_generated_inputs(tmp_path):
    """The light layout: element i of n is i/n."""
    (tmp_path / "light").mkdir()
    proto = model([helper.make_node("Neg", ["x"], ["y"])], {"x": X}, {"y": X})
    (tmp_path / "light/light_a.onnx").write_bytes(proto.SerializeToString())
    expected = -(np.arange(6, dtype=np.float32) / 6).reshape(2, 3)
    (tmp_path / "light/light_a_output_0.pb").write_bytes(numpy_helper.from_array(expected).SerializeToString())
    result = run_json(tmp_path)
    assert [(case["name"], case["status"]) for case in result["cases"]] == [("light_a", "passed")]
    (tmp_path / "light/light_a_output_0.pb").write_bytes(numpy_helper.from_array(expected + 1).SerializeToString())
    run_json(tmp_path, code=1)


def test_the_list(tmp_path):
    relu_case(tmp_path / "test_good")
    relu_case(tmp_path / "test_bad", np.zeros_like(X))
    known = tmp_path / "known.txt"
    known.write_text("# comment\n\ntest_bad  fails  the expectation is wrong\n")
    result = run_json(tmp_path, "--list", known)
    assert (result["passed"], result["failed"], result["unlisted"], result["listed_but_passing"]) == (1, 1, 0, [])
    assert [case.get("listed") for case in result["cases"]] == ["the expectation is wrong", None]
    known.write_text("test_good fails it was broken once\n")
    result = run_json(tmp_path, "--list", known, code=1)
    assert (result["unlisted"], result["listed_but_passing"]) == (1, ["test_good"])
    assert "listed as failing, but passes: test_good" in run(tmp_path, "--list", known, code=1).stdout
    known.write_text("test_bad atol=9 a coarse reference\n")
    assert run_json(tmp_path, "--list", known)["passed"] == 2
    known.write_text("test_bad random dice\n")
    assert run_json(tmp_path, "--list", known)["skipped"] == 1
    relu_case(tmp_path / "test_bad", np.zeros((3, 3), np.float32))
    assert run_json(tmp_path, "--list", known, code=1)["failed"] == 1  # also what is random has a shape


@pytest.mark.parametrize("line, says", [("test_a", "line, has): 1"), ("test_a fails", "needs a reason"), ("test_a atol=x why", "number from 0"),
                                        ("test_a breaks why", "breaks"), ("test_a fails x\ntest_a fails y", "twice")])
def test_a_broken_list(tmp_path, line, says):
    relu_case(tmp_path / "test_a")
    (tmp_path / "known.txt").write_text(line + "\n")
    assert says in run(tmp_path, "--list", tmp_path / "known.txt", code=2).stderr


def test_too_few_cases_and_no_folder(tmp_path):
    relu_case(tmp_path / "test_a")
    assert "found, --min-cases): 1, 2" in run(tmp_path, "--min-cases", 2, code=2).stderr
    assert "no such folder" in run(tmp_path / "nowhere", code=2).stderr
    (tmp_path / "empty").mkdir()
    assert "found, --min-cases): 0, 1" in run(tmp_path / "empty", code=2).stderr


def test_passes_can_be_left_out(tmp_path):
    relu_case(tmp_path / "test_a")
    assert run_json(tmp_path, "--disable-pass", "constant_folding", "--disable-pass", "dead_code")["passed"] == 1
    assert "no pass has this name" in run(tmp_path, "--disable-pass", "magic", code=2).stderr


def test_the_op_of_an_expansion(tmp_path):
    """A case of several nodes counts for the op whose expansion it is, else for its folder."""
    two = [helper.make_node("Neg", ["x"], ["a"]), helper.make_node("Neg", ["a"], ["y"])]
    relu_case(tmp_path / "node/test_r")
    write_case(tmp_path / "node/test_r_expanded_ver18", model(two, {"x": X}, {"y": X}), [X], [X])
    write_case(tmp_path / "simple/test_two", model(two, {"x": X}, {"y": X}), [X], [X])
    assert [case["op"] for case in run_json(tmp_path)["cases"]] == ["Relu", "Relu", "(simple)"]


def test_many_jobs_give_the_same_as_one(tmp_path):
    for i in range(12):
        relu_case(tmp_path / f"test_{i:02}", np.zeros_like(X) if i % 5 == 0 else None)
    one, many = (run_json(tmp_path, "--jobs", jobs, code=1) for jobs in (1, 5))
    assert one == many and one["failed"] == 3
