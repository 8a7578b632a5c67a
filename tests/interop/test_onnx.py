"""ONNX files made by the onnx package, read and written again by Tandem, judged by onnx.checker and onnxruntime.

Needs the program onnx_probe: in $TANDEM_BIN_DIR, else build/release/bin.
"""
import os
import pathlib
import subprocess

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from google.protobuf import descriptor_pb2  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROBE = pathlib.Path(os.environ.get("TANDEM_BIN_DIR", ROOT / "build/release/bin")) / "onnx_probe"


def probe(*args):
    if not PROBE.exists():
        pytest.skip(f"{PROBE} is not built")
    return subprocess.run([str(PROBE), *map(str, args)], capture_output=True, text=True)


def descriptor(tmp_path, file="onnx.proto"):
    """Our own onnx.proto, as protoc reads it."""
    out = tmp_path / "onnx.desc"
    folder = ROOT / "runtime" / "onnx"
    subprocess.run(["protoc", f"-I{folder}", f"--descriptor_set_out={out}", file], check=True)
    return descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file[0]


def fields_and_values(messages, prefix=""):
    """{'Message.field': (number, label, type, type name, packed)} and {'Enum.VALUE': number}, nested ones too."""
    found = {}
    for message in messages:
        path = prefix + message.name
        for f in message.field:
            found[f"{path}.{f.name}"] = (f.number, f.label, f.type, f.type_name.split(".", 2)[-1], f.options.packed)
        for enum in message.enum_type:
            found.update({f"{path}.{enum.name}.{v.name}": v.number for v in enum.value})
        found.update(fields_and_values(message.nested_type, path + "."))
    return found


def test_every_field_of_our_proto_is_that_of_onnx(tmp_path):
    ours = fields_and_values(descriptor(tmp_path).message_type)
    reference = descriptor_pb2.FileDescriptorProto()
    onnx.onnx_ml_pb2.DESCRIPTOR.CopyToProto(reference)
    theirs = fields_and_values(reference.message_type)
    assert len(ours) > 120
    for name, field in ours.items():
        assert theirs[name] == field, name


def test_every_field_of_our_data_proto_is_that_of_onnx(tmp_path):
    ours = fields_and_values(descriptor(tmp_path, "onnx_data.proto").message_type)
    reference = descriptor_pb2.FileDescriptorProto()
    onnx.onnx_data_pb2.DESCRIPTOR.CopyToProto(reference)
    theirs = fields_and_values(reference.message_type)
    assert len(ours) > 20
    for name, field in ours.items():
        assert theirs[name] == field, name
    assert {name for name in theirs.keys() - ours.keys() if not name.startswith("MapProto")} == {"SequenceProto.map_values", "OptionalProto.map_value"}


def test_what_our_proto_leaves_out_is_known(tmp_path):
    """A new field in ONNX should be looked at."""
    ours = set(fields_and_values(descriptor(tmp_path).message_type))
    messages = {name.split(".")[0] for name in ours}
    reference = descriptor_pb2.FileDescriptorProto()
    onnx.onnx_ml_pb2.DESCRIPTOR.CopyToProto(reference)
    theirs = {name for name in fields_and_values(reference.message_type) if name.split(".")[0] in messages}
    known = {"NodeProto.device_configurations", "ModelProto.configuration"}
    assert {name for name in theirs - ours if not name.startswith("TensorProto.DataType.")} <= known


def model(nodes, inputs, outputs, initializers=(), opset=17, ml_opset=None, ir_version=8):
    imports = [helper.make_opsetid("", opset)] + ([helper.make_opsetid("ai.onnx.ml", ml_opset)] if ml_opset else [])
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    made = helper.make_model(graph, opset_imports=imports, ir_version=ir_version)
    onnx.checker.check_model(made)
    return made


def tensor_info(name, shape, dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def weights(name, *shape, seed=0):
    return numpy_helper.from_array(np.random.default_rng(seed).normal(size=shape).astype(np.float32), name)


def mlp():
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"], transB=1, name="fc1"),
        helper.make_node("Relu", ["h"], ["a"]),
        helper.make_node("Dropout", ["a"], ["d"]),
        helper.make_node("MatMul", ["d", "w2"], ["m"]),
        helper.make_node("Add", ["m", "b2"], ["z"]),
        helper.make_node("Softmax", ["z"], ["p"], axis=1),
    ]
    initializers = [weights("w1", 8, 4), weights("b1", 8), weights("w2", 8, 3), weights("b2", 3)]
    return model(nodes, [tensor_info("x", ["batch", 4])], [tensor_info("p", ["batch", 3])], initializers)


def cnn():
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", "scale", "bias", "mean", "var"], ["n"], epsilon=1e-3),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["q"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Constant", [], ["shape"], value_ints=[0, -1]),
        helper.make_node("Reshape", ["q", "shape"], ["f"]),
        helper.make_node("Gemm", ["f", "fc"], ["y"]),
    ]
    variance = numpy_helper.from_array(np.array([0.5, 1, 2, 4], np.float32), "var")
    initializers = [weights("w", 4, 1, 3, 3), *(weights(name, 4) for name in ("scale", "bias", "mean")), variance, weights("fc", 64, 10)]
    return model(nodes, [tensor_info("x", ["batch", 1, 8, 8])], [tensor_info("y", ["batch", 10])], initializers)


def encoder():
    """Text to numbers by ai.onnx.ml, as scikit-learn's exporter writes it."""
    nodes = [
        helper.make_node("LabelEncoder", ["city"], ["code"], domain="ai.onnx.ml", keys_strings=["Rome", "Oslo"],
                         values_int64s=[1, 2], default_int64=0),
        helper.make_node("Cast", ["code"], ["y"], to=TensorProto.FLOAT),
    ]
    return model(nodes, [tensor_info("city", ["n"], TensorProto.STRING)], [tensor_info("y", ["n"])], ml_opset=2)


FEEDS = {
    mlp: {"x": np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)},
    cnn: {"x": np.random.default_rng(1).normal(size=(2, 1, 8, 8)).astype(np.float32)},
    encoder: {"city": np.array(["Oslo", "Rome", "Bern"], dtype=object)},
}


def run(path, feeds):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, feeds)


@pytest.mark.parametrize("command,tolerance", [("resave", 0), ("optimize", 1e-5)])
@pytest.mark.parametrize("make", FEEDS, ids=lambda make: make.__name__)
def test_what_we_write_is_valid_and_means_the_same(tmp_path, make, command, tolerance):
    source, written = tmp_path / "in.onnx", tmp_path / "out.onnx"
    onnx.save(make(), source)
    done = probe(command, source, written)
    assert done.returncode == 0, done.stderr
    again = onnx.load(written)
    onnx.checker.check_model(again, full_check=True)
    assert again.producer_name == "tandem" and again.ir_version == 10
    for expected, actual in zip(run(source, FEEDS[make]), run(written, FEEDS[make]), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


DTYPES = "float32 float64 float16 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool".split()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("raw", [True, False])
def test_initializers_of_each_type_and_form(tmp_path, dtype, raw):
    values = np.array([[0, 1, 2], [100, 3, 1]]).astype(dtype)
    code = helper.np_dtype_to_tensor_dtype(values.dtype)
    tensor = helper.make_tensor("t", code, values.shape, values.tobytes() if raw else values.flatten().tolist(), raw=raw)
    source, written = tmp_path / "in.onnx", tmp_path / "out.onnx"
    onnx.save(model([], [], [tensor_info("t", [2, 3], code)], [tensor]), source)
    done = probe("resave", source, written)
    assert done.returncode == 0, done.stderr
    again = numpy_helper.to_array(onnx.load(written).graph.initializer[0])
    assert again.dtype == values.dtype
    np.testing.assert_array_equal(again, values)


def test_external_data_written_by_onnx(tmp_path):
    source, written = tmp_path / "in.onnx", tmp_path / "out.onnx"
    made = mlp()
    onnx.save_model(made, source, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (tmp_path / "weights.bin").stat().st_size > 0
    done = probe("resave", source, written)
    assert done.returncode == 0, done.stderr
    for before, after in zip(mlp().graph.initializer, onnx.load(written).graph.initializer, strict=True):
        np.testing.assert_array_equal(numpy_helper.to_array(after), numpy_helper.to_array(before))


def test_metadata_names_and_symbols_survive(tmp_path):
    source, written = tmp_path / "in.onnx", tmp_path / "out.onnx"
    made = mlp()
    helper.set_model_props(made, {"author": "somebody", "note": "é"})
    onnx.save(made, source)
    assert probe("resave", source, written).returncode == 0
    again = onnx.load(written)
    assert {p.key: p.value for p in again.metadata_props} == {"author": "somebody", "note": "é"}
    assert again.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert [n.name for n in again.graph.node][0] == "fc1"


@pytest.mark.parametrize("old_opset,ir_version", [(9, 3), (11, 6), (13, 7)])
def test_older_files(tmp_path, old_opset, ir_version):
    """Before IR 4 the initializers are inputs too."""
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["h"]), helper.make_node("Softmax", ["h"], ["y"], axis=1)]
    w, b = weights("w", 4, 3), weights("b", 3)
    inputs = [tensor_info("x", ["batch", 4])] + ([tensor_info("w", [4, 3]), tensor_info("b", [3])] if ir_version < 4 else [])
    source, written = tmp_path / "in.onnx", tmp_path / "out.onnx"
    onnx.save(model(nodes, inputs, [tensor_info("y", ["batch", 3])], [w, b], old_opset, ir_version=ir_version), source)
    done = probe("resave", source, written)
    assert done.returncode == 0, done.stderr
    feeds = {"x": np.ones((2, 4), np.float32)}
    np.testing.assert_allclose(run(written, feeds)[0], run(source, feeds)[0], rtol=1e-6)


def test_refusals_name_what_is_not_supported(tmp_path):
    source = tmp_path / "in.onnx"
    graph = helper.make_graph([helper.make_node("Frobnicate", ["c"], ["y"], domain="made.up")], "g", [tensor_info("c", [])], [tensor_info("y", [])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("made.up", 3)], ir_version=8), source)
    done = probe("text", source)
    assert done.returncode == 1 and "made.up.Frobnicate-3" in done.stderr
