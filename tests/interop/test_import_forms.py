"""Rare but lawful forms of ONNX files, made with the onnx package: sparse tensors, defaults of inputs, stale shapes."""
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
W = np.array([[0, 3, 0], [0, 0, -5]], np.float32)


def info(name, array):
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)


def model(nodes, inputs, outputs, opset=18, ir_version=9, **rest):
    graph = helper.make_graph(nodes, "g", [info(*pair) for pair in inputs.items()], [info(*pair) for pair in outputs.items()], **rest)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)


def outcome(folder, proto, inputs, outputs):
    """What is wrong with the case, or ""."""
    data = folder / "case/test_data_set_0"
    data.mkdir(parents=True, exist_ok=True)
    for old in data.iterdir():
        old.unlink()
    (folder / "case/model.onnx").write_bytes(proto.SerializeToString())
    for kind, arrays in (("input", inputs), ("output", outputs)):
        for i, array in enumerate(arrays):
            (data / f"{kind}_{i}.pb").write_bytes(numpy_helper.from_array(np.asarray(array)).SerializeToString())
    done = subprocess.run([BINARY, "conformance", folder / "case", "--verbose"], capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, 1), done.stderr
    return "" if done.returncode == 0 else done.stdout.splitlines()[-1]


def sparse(name="w", values=(3, -5), indices=(1, 5), dims=(2, 3), dtype=np.float32):
    tensor = onnx.SparseTensorProto()
    tensor.values.CopyFrom(numpy_helper.from_array(np.array(values, dtype), name))
    tensor.indices.CopyFrom(numpy_helper.from_array(np.array(indices, np.int64), name + "_indices"))
    tensor.dims.extend(dims)
    return tensor


ADD = [helper.make_node("Add", ["x", "w"], ["y"])]


@pytest.mark.parametrize("indices", [[1, 5], [[0, 1], [1, 2]]], ids=["flat", "by axis"])
def test_sparse_initializers_and_constants(tmp_path, indices):
    proto = model(ADD, {"x": X}, {"y": X}, sparse_initializer=[sparse(indices=indices)])
    assert outcome(tmp_path, proto, [X], [X + W]) == ""
    constant = helper.make_node("Constant", [], ["w"], sparse_value=sparse(indices=indices))
    assert outcome(tmp_path, model([constant, *ADD], {"x": X}, {"y": X}), [X], [X + W]) == ""


def test_sparse_integers_and_an_empty_one(tmp_path):
    x = X.astype(np.int64)
    assert outcome(tmp_path, model(ADD, {"x": x}, {"y": x}, sparse_initializer=[sparse(dtype=np.int64)]), [x], [x + W.astype(np.int64)]) == ""
    assert outcome(tmp_path, model(ADD, {"x": X}, {"y": X}, sparse_initializer=[sparse(values=[], indices=[])]), [X], [X]) == ""


@pytest.mark.parametrize("wrong, says", [
    (dict(indices=[1, 6]), "outside"),
    (dict(indices=[-1, 5]), "outside"),
    (dict(indices=[[0, 1], [2, 2]]), "outside"),
    (dict(indices=[5, 1]), "rise"),
    (dict(indices=[1, 1]), "rise"),
    (dict(indices=[1, 2, 3]), "another shape"),
    (dict(indices=[[0, 1, 1], [1, 2, 2]]), "another shape"),
    (dict(dims=(1 << 20, 1 << 20)), "too large"),
    (dict(dims=(1 << 40, 1 << 40)), "elements"),
])
def test_wrong_sparse_tensors(tmp_path, wrong, says):
    text = outcome(tmp_path, model(ADD, {"x": X}, {"y": X}, sparse_initializer=[sparse(**wrong)]), [X], [X])
    assert says in text and "sparse tensor 'w'" in text


@pytest.mark.parametrize("ir_version", [3, 8])
def test_an_initializer_is_the_default_of_an_input(tmp_path, ir_version):
    proto = model(ADD, {"x": X, "w": W}, {"y": X}, initializer=[numpy_helper.from_array(W, "w")], ir_version=ir_version)
    assert outcome(tmp_path, proto, [X], [X + W]) == ""
    assert outcome(tmp_path, proto, [X, 10 * W], [X + 10 * W]) == ""
    assert "elements differ" in outcome(tmp_path, proto, [X, 10 * W], [X + W])
    first = model(ADD, {"w": W, "x": X}, {"y": X}, initializer=[numpy_helper.from_array(W, "w")], ir_version=ir_version)
    assert outcome(tmp_path, first, [10 * W, X], [X + 10 * W]) == ""


def test_run_takes_the_default_or_what_is_given(tmp_path):
    proto = model(ADD, {"x": X, "w": W}, {"y": X}, initializer=[numpy_helper.from_array(W, "w")])
    onnx.save(proto, tmp_path / "m.onnx")
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "w.npy", 10 * W)
    np.savez(tmp_path / "both.npz", x=X, w=10 * W)

    def run(*inputs):
        arguments = [part for spec in inputs for part in ("--input", spec)]
        subprocess.run([BINARY, "run", tmp_path / "m.onnx", *arguments, "--output", tmp_path / "y.npz"], check=True, timeout=60, capture_output=True)
        return np.load(tmp_path / "y.npz")["y"]
    np.testing.assert_array_equal(run(f"x={tmp_path / 'x.npy'}"), X + W)
    np.testing.assert_array_equal(run(f"x={tmp_path / 'x.npy'}", f"w={tmp_path / 'w.npy'}"), X + 10 * W)
    np.testing.assert_array_equal(run(tmp_path / "both.npz"), X + 10 * W)


def test_a_stale_shape_of_an_output_is_advice(tmp_path):
    stale = model(ADD, {"x": X}, {"y": np.zeros((7, 3), np.float32)}, initializer=[numpy_helper.from_array(W, "w")])
    assert outcome(tmp_path, stale, [X], [X + W]) == ""
    wrong = model(ADD, {"x": X}, {"y": np.zeros((2, 3), np.int64)}, initializer=[numpy_helper.from_array(W, "w")])
    assert "another type" in outcome(tmp_path, wrong, [X], [X + W])
