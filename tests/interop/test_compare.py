"""`tandem compare`: models that part at a known node, passes, and a dump that the script of docs/compare.md makes with onnxruntime."""
import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.path.abspath(os.environ.get("TANDEM_BIN", ROOT / "build/release/bin/tandem"))


def save(path, slope=0.1, last="y", middle="Tanh"):
    """words -> rows of a table -> product -> LeakyRelu -> `middle` -> sum with the product -> Softmax."""
    random = np.random.default_rng(0)
    nodes = [helper.make_node("Gather", ["table", "words"], ["/embed/rows"], name="look-up"),
             helper.make_node("MatMul", ["/embed/rows", "weights"], ["product"], name="product"),
             helper.make_node("LeakyRelu", ["product"], ["bent"], name="bend", alpha=slope),
             helper.make_node(middle, ["bent"], ["squashed"], name="squash"),
             helper.make_node("Add", ["squashed", "product"], ["sum"], name="sum"),
             helper.make_node("Softmax", ["sum"], [last], name="softmax")]
    weights = [numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name) for name, shape in (("table", (7, 4)), ("weights", (4, 5)))]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("words", TensorProto.INT64, ["batch", "length"])],
                              [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def compare(*arguments):
    done = subprocess.run([BINARY, "compare", *map(str, arguments), "--json"], capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, 1), done.stderr
    result = json.loads(done.stdout)
    assert (done.returncode == 1) == (result["differ"] > 0)
    return result


def test_equal_models(tmp_path):
    result = compare(save(tmp_path / "a.onnx"), save(tmp_path / "b.onnx"))
    assert result["compared"] == 6 and result["differ"] == 0 and result["first"] is None


def test_the_first_tensor_that_differs(tmp_path):
    result = compare(save(tmp_path / "a.onnx"), save(tmp_path / "b.onnx", slope=0.2), "--size", "length=9", "--seed", 3)
    first = result["first"]
    assert (first["name"], first["node"], first["op"], first["type"]) == ("bent", "bend", "LeakyRelu", "f32[2, 9, 5]")
    assert first["max_abs"] > 0.01 and first["l2"] > 0.01 and result["differ"] == 4


def test_tolerance(tmp_path):
    models = save(tmp_path / "a.onnx"), save(tmp_path / "b.onnx", slope=0.1001)
    assert compare(*models, "--atol", 1e-6, "--rtol", 1e-6)["differ"] > 0
    assert compare(*models, "--atol", 0.1)["differ"] == 0


def test_outputs_of_other_names(tmp_path):
    assert compare(save(tmp_path / "a.onnx"), save(tmp_path / "b.onnx", last="result"))["compared"] == 6


def test_a_model_against_its_passes(tmp_path):
    result = compare(save(tmp_path / "a.onnx"), "--passes", "--size", "length=3")
    assert result["differ"] == 0 and "y" in [tensor["name"] for tensor in result["tensors"]]


def test_against_a_dump_of_onnxruntime(tmp_path):
    """By the script that the page tells to use; then with one tensor spoilt."""
    script = re.search(r"```python\n(.*?)```", (ROOT / "docs/compare.md").read_text(), re.DOTALL).group(1)
    (tmp_path / "dump.py").write_text(script)
    (tmp_path / "dump").mkdir()
    np.savez(tmp_path / "inputs.npz", words=np.array([[1, 6, 0]]))
    model = save(tmp_path / "a.onnx")
    subprocess.run([sys.executable, tmp_path / "dump.py", model, tmp_path / "inputs.npz", tmp_path / "dump"], check=True, timeout=60)
    result = compare(model, "--against", tmp_path / "dump")
    assert result["compared"] == 6 and result["differ"] == 0
    np.save(tmp_path / "dump/squashed.npy", np.load(tmp_path / "dump/squashed.npy") + 1)
    result = compare(model, "--against", tmp_path / "dump")
    assert result["differ"] == 1 and result["first"]["name"] == "squashed"
    (tmp_path / "dump/squashed.npy").unlink()
    product = np.load(tmp_path / "dump/product.npy").astype(np.float64)
    (tmp_path / "dump/product.npy").unlink()
    (tmp_path / "dump/product.pb").write_bytes(numpy_helper.from_array(product).SerializeToString())
    assert "expected f64" in compare(model, "--against", tmp_path / "dump")["first"]["difference"]


@pytest.mark.parametrize("arguments, says", [(["a"], "two models"), (["a", "b", "--passes"], "two models"), (["a", "--against", "none"], "no such folder"),
                                             (["a", "b", "--size", "length"], "NAME=NUMBER"), (["a", "b", "--input", "x=a.npy"], "x")])
def test_wrong_use(tmp_path, arguments, says):
    models = {name: save(tmp_path / f"{name}.onnx") for name in "ab"}
    done = subprocess.run([BINARY, "compare", *[str(models.get(word, word)) for word in arguments]], capture_output=True, text=True, timeout=60)
    assert done.returncode in (2, 4) and says in done.stderr, done.stderr


def test_the_table_marks_the_first(tmp_path):
    models = save(tmp_path / "a.onnx"), save(tmp_path / "b.onnx", middle="Sigmoid")
    done = subprocess.run([BINARY, "compare", *models], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert re.search(r"^--> +squashed +squash +Tanh +f32", done.stdout, re.MULTILINE) and "3 of 6 tensors differ, first 'squashed' of Tanh (node 'squash')" in done.stdout
