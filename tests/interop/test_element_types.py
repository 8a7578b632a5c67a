"""Casts of every bit pattern against ml_dtypes and onnx's reference; quantization and integer products against onnxruntime.

All by folding a node on constants (folding.py).
"""
import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
ml_dtypes = pytest.importorskip("ml_dtypes")
from folding import folded  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
RNG = np.random.default_rng(11)
FLOAT8 = {"FLOAT8E4M3FN": ml_dtypes.float8_e4m3fn, "FLOAT8E4M3FNUZ": ml_dtypes.float8_e4m3fnuz, "FLOAT8E5M2": ml_dtypes.float8_e5m2,
          "FLOAT8E5M2FNUZ": ml_dtypes.float8_e5m2fnuz}
SUB_BYTE = {"FLOAT4E2M1": ml_dtypes.float4_e2m1fn, "INT4": ml_dtypes.int4, "UINT4": ml_dtypes.uint4, "INT2": ml_dtypes.int2, "UINT2": ml_dtypes.uint2}
E8M0 = {"FLOAT8E8M0": ml_dtypes.float8_e8m0fnu}
# Every f16, which holds every tie between two narrow numbers, and what is beyond.
PROBES = np.concatenate([np.arange(65536, dtype=np.uint16).view(np.float16).astype(np.float32),
                         RNG.normal(size=4000).astype(np.float32) * np.float32(1e3), np.float32([1e30, -1e30, 1e-30, 3e38])])


def model_of(name, arrays, output, domain="", attributes=None, shape=None):
    inputs = [f"x{i}" if a is not None else "" for i, a in enumerate(arrays)]
    node = helper.make_node(name, inputs, ["y"], domain=domain, **(attributes or {}))
    constants = [numpy_helper.from_array(np.asarray(a), n) for a, n in zip(arrays, inputs, strict=True) if a is not None]
    graph = helper.make_graph([node], "g", [], [helper.make_tensor_value_info("y", output, shape)], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 25), helper.make_opsetid("com.microsoft", 1)], ir_version=11)


def fold(tmp_path, *arguments, **rest):
    return numpy_helper.to_array(folded(model_of(*arguments, **rest), tmp_path))


def same(a, b):
    np.testing.assert_array_equal(np.asarray(a).astype(np.float64), np.asarray(b).astype(np.float64))


@pytest.mark.parametrize("name", [*FLOAT8, *SUB_BYTE, *E8M0])
def test_every_pattern_is_read(tmp_path, name):
    kind = (FLOAT8 | SUB_BYTE | E8M0)[name]
    bits = ml_dtypes.iinfo(kind).bits if name in SUB_BYTE and "INT" in name else ml_dtypes.finfo(kind).bits
    patterns = np.arange(2**bits, dtype=np.uint8).view(kind)
    same(fold(tmp_path, "Cast", [patterns], TensorProto.FLOAT, attributes={"to": TensorProto.FLOAT}, shape=patterns.shape), patterns.astype(np.float32))


@pytest.mark.parametrize("saturate", [0, 1])
@pytest.mark.parametrize("name", FLOAT8)
def test_float8_rounds_like_the_reference(tmp_path, name, saturate):
    to, kind = getattr(TensorProto, name), FLOAT8[name]
    expected = numpy_helper.saturate_cast(PROBES, kind) if saturate else PROBES.astype(kind)
    same(fold(tmp_path, "Cast", [PROBES], to, attributes={"to": to, "saturate": saturate}, shape=PROBES.shape), expected)


@pytest.mark.parametrize("name", SUB_BYTE)
def test_types_below_a_byte_like_the_reference(tmp_path, name):
    to, kind = getattr(TensorProto, name), SUB_BYTE[name]
    finite = PROBES[np.isfinite(PROBES) & (np.abs(PROBES) < 1e9)]
    expected = finite.astype(kind) if name == "FLOAT4E2M1" else finite.astype(np.int64).astype(kind)
    same(fold(tmp_path, "Cast", [finite], to, attributes={"to": to}, shape=finite.shape), expected)


@pytest.mark.parametrize("mode", ["up", "down", "nearest"])
def test_powers_of_two_round_like_the_reference(tmp_path, mode):
    x = np.abs(PROBES[np.isfinite(PROBES) & (np.abs(PROBES) > 1e-37)])
    got = fold(tmp_path, "Cast", [x], TensorProto.FLOAT8E8M0, attributes={"to": TensorProto.FLOAT8E8M0, "round_mode": mode}, shape=x.shape)
    same(got, numpy_helper.to_float8e8m0(x, True, mode))


def run_onnxruntime(name, arrays, output, domain, attributes, opset):
    inputs = [f"x{i}" if a is not None else "" for i, a in enumerate(arrays)]
    fed = {n: np.asarray(a) for n, a in zip(inputs, arrays, strict=True) if a is not None}
    node = helper.make_node(name, inputs, ["y"], domain=domain, **attributes)
    values = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in fed.items()]
    graph = helper.make_graph([node], "g", values, [helper.make_tensor_value_info("y", output, None)])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)], ir_version=10)
    return onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, fed)[0]


def f32(*shape):
    return (RNG.normal(size=shape) * 3).astype(np.float32)


def integers(kind, *shape):
    info = np.iinfo(kind)
    return RNG.integers(info.min, info.max + 1, size=shape).astype(kind)


def scales(*shape):
    return RNG.uniform(0.01, 0.2, size=shape).astype(np.float32)


U8, I8, U16, I16 = np.uint8, np.int8, np.uint16, np.int16
KIND = {U8: TensorProto.UINT8, I8: TensorProto.INT8, U16: TensorProto.UINT16, I16: TensorProto.INT16}


def case(name, arrays, output, domain="", opset=21, **attributes):
    return pytest.param(name, arrays, output, domain, opset, attributes)


CASES = [
    *[case("QuantizeLinear", [f32(7, 33), scales(), integers(k)], KIND[k]) for k in KIND],
    *[case("QuantizeLinear", [f32(2, 5, 9), scales(5), integers(k, 5)], KIND[k], axis=1) for k in KIND],
    case("QuantizeLinear", [f32(5, 9), scales(5, 3), integers(U8, 5, 3)], TensorProto.UINT8, axis=1, block_size=4),
    *[case("DequantizeLinear", [integers(k, 7, 33), scales(), integers(k)], TensorProto.FLOAT) for k in KIND],
    case("DequantizeLinear", [integers(np.int32, 7, 3), scales(3)], TensorProto.FLOAT, axis=-1),
    case("DequantizeLinear", [integers(I8, 6, 5), scales(2, 5), integers(I8, 2, 5)], TensorProto.FLOAT, axis=0, block_size=4),
    *[case("MatMulInteger", [integers(a, 2, 5, 37), integers(b, 37, 19), integers(a), integers(b, 19)], TensorProto.INT32)
      for a in (U8, I8) for b in (U8, I8)],
    *[case("QLinearMatMul", [integers(k, 3, 17, 40), scales(), integers(k), integers(k, 40, 21), scales(21), integers(k, 21),
                             np.float32(5), integers(k)], KIND[k]) for k in (U8, I8)],
    case("ConvInteger", [integers(U8, 2, 4, 9, 8), integers(U8, 6, 2, 3, 3), integers(U8), integers(U8)], TensorProto.INT32, group=2, pads=[1, 0, 2, 1],
         strides=[2, 1]),
    *[case("QLinearConv", [integers(U8, 2, 4, 9, 8), scales(), integers(U8), integers(k, 6, 4, 3, 3), scales(6), np.zeros(6, k) if k == I8 else
                           np.full(6, 7, k), np.float32(3), integers(U8), RNG.integers(-500, 500, size=6).astype(np.int32)],
           TensorProto.UINT8, pads=[1, 1, 1, 1], dilations=[1, 2]) for k in (U8, I8)],
    case("MatMulIntegerToFloat", [integers(U8, 5, 37), integers(I8, 37, 19), scales(), scales(19), integers(U8), integers(I8, 19), f32(19)],
         TensorProto.FLOAT, "com.microsoft"),
    case("DynamicQuantizeMatMul", [f32(5, 37), integers(I8, 37, 19), scales(19), integers(I8, 19), f32(19)], TensorProto.FLOAT, "com.microsoft"),
]


@pytest.mark.parametrize("name, arrays, output, domain, opset, attributes", CASES)
def test_same_as_onnxruntime(tmp_path, name, arrays, output, domain, opset, attributes):
    expected = run_onnxruntime(name, arrays, output, domain, attributes, opset)
    got = fold(tmp_path, name, arrays, output, domain=domain, attributes=attributes, shape=expected.shape)
    assert got.dtype == expected.dtype
    if got.dtype == np.float32:
        np.testing.assert_allclose(got, expected, rtol=2e-6, atol=1e-6 * np.abs(expected).max())
    else:
        np.testing.assert_array_equal(got, expected)
