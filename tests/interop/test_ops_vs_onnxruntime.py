"""Ops on constant inputs, folded away by Tandem's own kernels (onnx_probe optimize), against onnxruntime on the same file.

Encoders above all: their corner cases are defined by what onnxruntime does. Needs the program onnx_probe: in $TANDEM_BIN_DIR, else
build/release/bin.
"""
import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from folding import folded, typed  # noqa: E402

NAN = float("nan")
RNG = np.random.default_rng(7)

MIXED = np.array([[1.5, -2.0, NAN], [0.0, 7.25, 3.0]], np.float32)
WHOLE = np.array([[1, -2, 3], [4, 0, -6]])
TEXT = np.array([["a", "b"], ["", "zz"]], dtype=object)
COLOURS = ["b", "a", "b", ""]


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def ml(op, x, **attributes):
    return pytest.param("ai.onnx.ml", op, x if isinstance(x, list) else [x], attributes, id=f"{op}-{np.asarray(x[0] if isinstance(x, list) else x).dtype}")


def op(name, *inputs, **attributes):
    return pytest.param("", name, list(inputs), attributes, id=name)


CASES = [
    ml("Imputer", MIXED, replaced_value_float=NAN, imputed_value_floats=[1.0, 2.0, 3.0]),
    ml("Imputer", MIXED, replaced_value_float=0.0, imputed_value_floats=[9.0]),
    ml("Imputer", MIXED.reshape(-1), replaced_value_float=NAN, imputed_value_floats=[9.0]),
    ml("Imputer", WHOLE, replaced_value_int64=-2, imputed_value_int64s=[5, 6, 7]),
    *[ml("Scaler", WHOLE.astype(t), offset=[1.0, 2.0, 0.5], scale=[0.1, 3.0, 1.0]) for t in (np.float32, np.float64, np.int64, np.int32)],
    ml("Scaler", MIXED, offset=[0.3], scale=[0.7]),
    *[ml("Normalizer", WHOLE.astype(t), norm=norm) for norm in ("MAX", "L1", "L2") for t in (np.float32, np.float64, np.int64, np.int32)],
    *[ml("Normalizer", np.array([[0, 0], [-1, -2], [-3, 0]], np.float32), norm=norm) for norm in ("MAX", "L1", "L2")],
    ml("Normalizer", np.array([3, -4], np.float32), norm="L2"),
    ml("Binarizer", np.array([[0.5, 0.6], [-1, 2]], np.float32), threshold=0.5),
    ml("OneHotEncoder", TEXT, cats_strings=["b", "a", ""], zeros=1),
    ml("OneHotEncoder", TEXT, cats_strings=["b", "a", "", "zz"], zeros=0),
    ml("OneHotEncoder", WHOLE, cats_int64s=[3, -2, 0], zeros=1),
    ml("OneHotEncoder", np.array([3.9, -2.9, 0.2], np.float32), cats_int64s=[3, -2, 0], zeros=1),
    ml("LabelEncoder", TEXT, keys_strings=COLOURS, values_int64s=[1, 2, 3, 4]),
    ml("LabelEncoder", TEXT, keys_strings=COLOURS, values_floats=[1.5, 2.5, 3.5, 4.5]),
    ml("LabelEncoder", TEXT, keys_strings=COLOURS, values_strings=["x", "y", "z", "w"]),
    ml("LabelEncoder", WHOLE, keys_int64s=[3, -2], values_strings=["three", "less"], default_string="other"),
    ml("LabelEncoder", WHOLE, keys_int64s=[3, -2], values_floats=[0.5, 1.5]),
    ml("LabelEncoder", np.array([1.5, -0.0, 8], np.float32), keys_floats=[0.0, 1.5], values_int64s=[1, 2], default_int64=77),
    ml("FeatureVectorizer", [WHOLE.astype(np.float32), normal(2, 1)], inputdimensions=[3, 1]),
    ml("FeatureVectorizer", [WHOLE, WHOLE + 1], inputdimensions=[2, 4]),
    ml("ArrayFeatureExtractor", [MIXED, np.array([2, 0], np.int64)]),
    ml("ArrayFeatureExtractor", [TEXT, np.array([[1]], np.int64)]),
    ml("ArrayFeatureExtractor", [np.array([5, 6, 7], np.int64), np.array([2, 2], np.int64)]),
    op("Conv", normal(2, 4, 7, 9), normal(6, 2, 3, 2), normal(6), group=2, strides=[2, 1], pads=[1, 0, 2, 1], dilations=[1, 3]),
    op("Conv", normal(1, 2, 9), normal(3, 2, 4), auto_pad="SAME_LOWER", strides=[2]),
    op("MaxPool", normal(1, 2, 7, 8), kernel_shape=[3, 2], strides=[2, 2], ceil_mode=1, pads=[1, 0, 1, 1]),
    op("AveragePool", normal(1, 2, 7, 8), kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, pads=[1, 1, 1, 1], count_include_pad=1),
    op("AveragePool", normal(1, 2, 7, 8), kernel_shape=[3, 3], auto_pad="SAME_UPPER"),
    op("Softmax", normal(3, 4, 5), axis=1),
    op("LogSoftmax", normal(3, 4, 5), axis=0),
    op("LayerNormalization", normal(3, 4, 5), normal(5), normal(5), epsilon=1e-3),
    op("BatchNormalization", normal(3, 4, 5), normal(4), normal(4), normal(4), np.abs(normal(4))),
    op("Gemm", normal(3, 4), normal(5, 4), normal(5), transB=1, alpha=0.5, beta=2.0),
    op("MatMul", normal(2, 1, 3, 4), normal(5, 4, 2)),
]

GIVES_F32 = {"FeatureVectorizer", "Normalizer", "OneHotEncoder", "Scaler"}


def model_of(domain, name, arrays, attributes):
    inputs = [f"x{i}" for i in range(len(arrays))]
    node = helper.make_node(name, inputs, ["y"], domain=domain, **attributes)
    constants = [numpy_helper.from_array(a, n) for a, n in zip(arrays, inputs, strict=True)]
    output = onnx.ValueInfoProto(name="y")
    graph = helper.make_graph([node], "g", [], [output], constants)
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    made = helper.make_model(graph, opset_imports=imports, ir_version=8)
    inferred = onnx.shape_inference.infer_shapes(made)
    if inferred.graph.output[0].type.HasField("tensor_type"):
        return inferred
    # onnx has no rule for some: they give f32, or what they are given.
    return typed(made, arrays[0].astype(np.float32) if name in GIVES_F32 else arrays[0])


def run_reference(made):
    """onnxruntime wants inputs that are not constants too: the node's inputs become inputs of the graph."""
    fed = onnx.ModelProto()
    fed.CopyFrom(made)
    feeds = {c.name: numpy_helper.to_array(c) for c in made.graph.initializer}
    del fed.graph.initializer[:]
    for c in made.graph.initializer:
        fed.graph.input.append(helper.make_tensor_value_info(c.name, c.data_type, c.dims))
        if c.data_type == TensorProto.STRING:
            feeds[c.name] = np.array([s.decode() for s in c.string_data], dtype=object).reshape(c.dims)
    session = onnxruntime.InferenceSession(fed.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


@pytest.mark.parametrize("domain, name, arrays, attributes", CASES)
def test_same_as_onnxruntime(tmp_path, domain, name, arrays, attributes):
    made = model_of(domain, name, arrays, attributes)
    expected = run_reference(made)
    result = folded(typed(made, np.asarray(expected)), tmp_path)
    assert tuple(result.dims) == np.asarray(expected).shape
    if result.data_type == TensorProto.STRING:
        assert [s.decode() for s in result.string_data] == [str(s) for s in np.asarray(expected).reshape(-1)]
    else:
        actual = numpy_helper.to_array(result)
        assert actual.dtype == expected.dtype
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
