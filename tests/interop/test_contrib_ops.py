"""onnxruntime's own ops, as its transformer optimizer writes them, and recurrent ops and attention of ONNX: one node a model, run by
`tandem conformance` on onnxruntime's outputs for the same file."""
import os
import pathlib
import subprocess
from math import erf

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.path.abspath(os.environ.get("TANDEM_BIN", ROOT / "build/release/bin/tandem"))
MICROSOFT = "com.microsoft"
RNG = np.random.default_rng(3)
# Of the case: outputs are sums in another order than onnxruntime's.
TOLERANCE = "test_case  atol=2e-5  sums are taken in another order\n"

B, S, T, N, D = 2, 5, 7, 4, 16  # batch, queries, keys, heads, size of a head
H = N * D


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def i32(*values):
    return np.array(values, np.int32)


def case(op, *inputs, outputs=1, domain=MICROSOFT, name="", opset=21, constants=(), **attributes):
    """`constants`: inputs that are initializers."""
    return pytest.param(op, inputs, outputs, domain, opset, attributes, tuple(constants), id=f"{op}-{name}" if name else op)


def past(heads=N, length=3):
    return normal(B, heads, length, D)


def padding(rows, columns):
    mask = np.ones((rows, columns), np.int32)
    mask[0, -2:] = 0
    return mask


WORDS, SEGMENTS = RNG.integers(0, 9, (B, S)).astype(np.int32), RNG.integers(0, 2, (B, S)).astype(np.int32)
TABLES = [normal(9, H), normal(12, H), normal(2, H), normal(H), normal(H)]
X, SKIP, ROW = normal(B, S, H), normal(B, S, H), normal(H)
PACKED = [normal(B, S, 12), normal(12, 3 * H), normal(3 * H)]  # input, weights, bias of Attention
QKV = [normal(B, S, H), normal(B, T, H), normal(B, T, H)]
SELF = [normal(B, S, H), normal(B, S, H), normal(B, S, H)]
ANGLES = [np.cos(normal(16, D // 2)), np.sin(normal(16, D // 2))]
KV = 2  # heads of keys in GroupQueryAttention


def group_query(queries, past_length, lengths, name, packed=False, biased=False, **attributes):
    """`lengths`: tokens of each sequence after the step."""
    q, k, v = normal(B, queries, H), normal(B, queries, KV * D), normal(B, queries, KV * D)
    qkv = [np.concatenate([q, k, v], 2), None, None] if packed else [q, k, v]
    caches = [past(KV, past_length), past(KV, past_length)] if past_length is not None else [None, None]
    total = max(lengths)
    for b, tokens in enumerate(lengths):  # nothing is held where the new rows go and behind (onnxruntime clears it)
        for cache in caches:
            if cache is not None:
                cache[b, :, 0 if queries == total else tokens - queries:] = 0
    inputs = [*qkv, *caches, np.array([n - 1 for n in lengths], np.int32), np.array(total, np.int32), *(ANGLES if attributes.get("do_rotary") else [])]
    return case("GroupQueryAttention", *inputs, outputs=3, name=name, num_heads=N, kv_num_heads=KV, **attributes)


U8 = [RNG.integers(0, 256, shape).astype(np.uint8) for shape in ((3, 4), (4, 5), (B, S, 12), (12, 3 * H), (2, 5, 6, 3))]
I8 = [RNG.integers(-100, 100, shape).astype(np.int8) for shape in ((4, 5), (5, 4), (12, 3 * H), (4, 3, 3, 3))]
GATES = [RNG.integers(-100, 100, shape).astype(np.int8) for shape in ((1, 5, 16), (1, 4, 16))]
BY_GATE = RNG.uniform(0.005, 0.02, (2, 16)).astype(np.float32)
I32 = RNG.integers(-900, 900, 5).astype(np.int32)
TEXTS = np.array(["Good old  times", "", "slow,fast", "über 1 Ärger"], object)


def scalar(value, dtype=np.float32):
    return np.array(value, dtype)


def packed(n, k, block, bits, seed=5):
    """Weights, scales and zero points of MatMulNBits."""
    random, blocks = np.random.default_rng(seed), -(-k // block)
    weights = random.integers(0, 256, (n, blocks, block * bits // 8)).astype(np.uint8)
    scales = random.uniform(0.01, 0.1, (n, blocks)).astype(np.float32)
    zeros = random.integers(0, 256, (n, -(-blocks * bits // 8))).astype(np.uint8)
    return weights, scales, zeros


def matmul_bits(bits, block, k, name, zeros=True, bias=False):
    weights, scales, points = packed(6, k, block, bits)
    inputs = [normal(2, 3, k), weights, scales, points if zeros else None, None, normal(6) if bias else None]
    return case("MatMulNBits", *inputs, name=name, constants=range(1, 6), K=k, N=6, bits=bits, block_size=block)


# y1, x1, y2, x2: within, over the borders, turned over, the whole image, outside.
REGIONS = np.array([[0.1, 0.2, 0.7, 0.93], [-0.3, -0.1, 0.8, 1.4], [0.9, 0.8, 0.15, 0.04], [0, 0, 1, 1], [1.1, 0.2, 1.3, 0.4]], np.float32)

TENSOR_CASES = [
    *[case("Tokenizer", TEXTS, name=name, **{"mark": 0, "mincharnum": 1, "pad_value": "#", **attributes})
      for name, attributes in [("separator", {"separators": [" "]}), ("two", {"separators": ["[ ,]+", "o"], "mark": 1}), ("characters", {"separators": [""]}),
                               ("short", {"separators": [" "], "mincharnum": 4}), ("words", {"tokenexp": "[a-zA-Z]+", "mark": 1}), ("dot", {"tokenexp": "."}),
                               ("empty match", {"separators": ["o*"]}), ("nothing", {"tokenexp": "Z"}), ("both", {"separators": ["o"], "tokenexp": "[a-z]+"})]],
    case("Tokenizer", TEXTS.reshape(2, 2), name="a table", separators=[" "], mark=0, mincharnum=1, pad_value=""),
    case("MurmurHash3", TEXTS),
    case("MurmurHash3", TEXTS, name="signed", positive=0, seed=7),
    *[case("MurmurHash3", np.arange(-3, 4).astype(dtype), name=np.dtype(dtype).name) for dtype in (np.int32, np.int64, np.uint32, np.uint64, np.float32, np.float64)],
    case("CDist", normal(5, 3), normal(4, 3)),
    case("CDist", normal(5, 3).astype(np.float64), normal(4, 3).astype(np.float64), name="euclidean", metric="euclidean"),
    case("Inverse", normal(3, 4, 4) + 5 * np.eye(4, dtype=np.float32)),
    case("Trilu", normal(3, 4), scalar(1, np.int64)),
    case("Trilu", normal(3, 4), name="lower", upper=0),
    case("Range", scalar(1), scalar(7.5)),
    case("Range", scalar(9, np.int64), scalar(2, np.int64), scalar(-2, np.int64), name="downwards"),
    case("Pad", normal(2, 3), np.array([[0, 1, 2, 0]]), scalar(3)),
    case("Pad", normal(2, 3), np.array([0, 1, 1, 0]), name="reflect", mode="reflect"),
    case("GatherND", normal(3, 4, 2), np.array([[0, 1], [2, 3]], np.int32)),
    case("ExpandDims", normal(3, 4), scalar(1, np.int32)),
    case("ExpandDims", normal(3, 4), scalar(-1, np.int32), name="last"),
    case("NhwcMaxPool", RNG.integers(0, 255, (2, 7, 6, 5)).astype(np.uint8), kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1]),
    case("NhwcMaxPool", RNG.integers(-128, 127, (1, 9, 4)).astype(np.int8), name="a line", kernel_shape=[2], ceil_mode=1, strides=[2]),
    case("Unique", np.array([3, 1, 3, 2, 1], np.float32), outputs=3),
    case("GridSample", normal(1, 2, 4, 5), np.tanh(normal(1, 3, 3, 2)), mode="bicubic", padding_mode="border", align_corners=1),
    case("GridSample", normal(1, 2, 4, 5), np.tanh(normal(1, 3, 3, 2)), name="defaults"),
    case("TransposeMatMul", normal(2, 4, 3), normal(2, 4, 5), transA=1, alpha=0.5),
    *[case("FusedConv", normal(1, 3, 6, 6), normal(4, 3, 3, 3), normal(4), *more, name=f"{activation} {len(more)}", activation=activation, pads=[1] * 4, **numbers)
      for activation, numbers, *more in [("Relu", {}), ("Sigmoid", {}), ("Tanh", {}), ("LeakyRelu", {"activation_params": [0.2]}), ("Clip", {"activation_params": [-0.5, 0.75]}),
                                         ("HardSigmoid", {"activation_params": [0.3, 0.4]}),
                                         ("Relu", {}, normal(1, 4, 6, 6))]],
    case("FusedGemm", normal(3, 4), normal(5, 4), normal(5), transB=1, alpha=0.5, activation="LeakyRelu", activation_alpha=0.3),
    case("FusedGemm", normal(3, 4), normal(4, 5), name="relu", activation="Relu"),
    case("QuantizeLinear", normal(3, 4), scalar(0.01), scalar(300, np.uint16)),
    case("DequantizeLinear", RNG.integers(-999, 999, (3, 4)).astype(np.int16), scalar(0.01), scalar(30, np.int16)),
    case("DequantizeLinear", U8[0], np.array([0.1, 0.2, 0.3], np.float32), np.array([1, 2, 3], np.uint8), name="axis", axis=0),
    case("QGemm", U8[0], scalar(0.02), scalar(120, np.uint8), I8[0], scalar(0.03), scalar(-3, np.int8), I32),
    case("QGemm", U8[0], scalar(0.02), scalar(120, np.uint8), I8[1], np.full(5, 0.03, np.float32), np.arange(5, dtype=np.int8), I32, scalar(0.5), scalar(100, np.uint8), name="to u8",
         constants=(3, 4, 5), transB=1, alpha=0.5),
    case("QLinearConv", U8[4], scalar(0.02), scalar(120, np.uint8), I8[3], scalar(0.01), scalar(0, np.int8), scalar(0.3), scalar(90, np.uint8), channels_last=1, pads=[1] * 4),
    case("QLinearWhere", U8[0] > 99, U8[0], scalar(0.02), scalar(10, np.uint8), U8[0][::-1].copy(), scalar(0.04), scalar(20, np.uint8), scalar(0.05), scalar(7, np.uint8)),
    *[case("QAttention", U8[2], I8[2], ROW3, scalar(0.02), scalar(0.01), *more, scalar(120, np.uint8), scalar(3, np.int8), name=name, num_heads=N, **attributes)
      for ROW3 in [normal(3 * H)] for name, more, attributes in [("plain", [None], {}), ("mask", [i32(3, 5)], {}), ("unidirectional", [None], {"unidirectional": 1})]],
    matmul_bits(4, 16, 32, "4 bits"),
    matmul_bits(4, 16, 40, "an open block", bias=True),
    matmul_bits(4, 32, 64, "no zero points", zeros=False),
    matmul_bits(8, 16, 48, "8 bits"),
    matmul_bits(2, 16, 48, "2 bits"),
    case("QLinearReduceMean", U8[0], scalar(0.02), scalar(10, np.uint8), scalar(0.015), scalar(20, np.uint8), axes=[1], keepdims=0),
    case("Rfft", normal(2, 7)),
    case("Rfft", normal(2, 4, 6), name="of two axes", signal_ndim=2),
    case("Irfft", np.fft.rfft(normal(2, 8).astype(np.float64)).view(np.float64).reshape(2, 5, 2).astype(np.float32)),
    *[case("NGramRepeatBlock", np.array([[1, 2, 3, 1, 2, 1, 2], [4, 4, 4, 4, 4, 4, 4], [0, 1, 2, 3, 4, 5, 6]])[:, :length], normal(3, 8), name=f"{n} of {length}", ngram_size=n)
      for n, length in ((1, 7), (2, 7), (3, 7), (3, 5), (7, 7), (8, 7), (9, 7), (4, 2))],
    *[case("CropAndResize", normal(2, 3, 7, 9), REGIONS, i32(1, 0, 1, 1, 0), i32(height, width), name=f"{mode} {height} x {width}", constants=constants,
           mode=mode, extrapolation_value=0.5)
      for mode in ("bilinear", "nearest") for height, width, constants in ((5, 4, (3,)), (1, 1, (3,)), (14, 14, ()))],
    case("NhwcConv", normal(2, 5, 6, 3), normal(4, 3, 3, 3), normal(4), pads=[1] * 4),
    case("GroupNorm", normal(2, 3, 3, 4), normal(4), normal(4), groups=2, epsilon=1e-4),
    case("GroupNorm", normal(2, 4, 3, 3), normal(4), normal(4), name="channels first, SiLU", groups=2, channels_last=0, activation=1),
    case("SkipGroupNorm", normal(2, 3, 3, 4), normal(4), normal(4), normal(2, 4), normal(4), outputs=2, groups=2),
    case("DynamicQuantizeLSTM", normal(6, 3, 5), *GATES, normal(1, 8 * 4), None, None, None, None, scalar([0.01]), scalar([3], np.int8), scalar([0.02]), scalar([-5], np.int8),
         outputs=3, constants=(1, 2, 3, 8, 9, 10, 11), hidden_size=4),
    case("DynamicQuantizeLSTM", normal(6, 3, 5), *[np.concatenate([w, w[:, ::-1]]) for w in GATES], None, i32(6, 2, 4), normal(2, 3, 4), normal(2, 3, 4), normal(2, 12), BY_GATE,
         np.zeros((2, 16), np.int8), BY_GATE[::-1].copy(), np.zeros((2, 16), np.int8), name="by gate", outputs=3, constants=(1, 2, 8, 9, 10, 11), hidden_size=4, direction="bidirectional"),
    case("GatherBlockQuantized", *[packed(9, 32, 16, 4)[i].reshape(9, -1) for i in (0,)], np.array([[1, 8], [0, 3]]), *packed(9, 32, 16, 4)[1:], block_size=16, bits=4),
    case("GatherBlockQuantized", packed(9, 32, 16, 8)[0].reshape(9, -1), np.array([4, 8, 4]), packed(9, 32, 16, 8)[1], name="8 bits", block_size=16, bits=8),
]

CASES = [
    *TENSOR_CASES,
    case("FusedMatMul", normal(2, 3, 4), normal(2, 4, 5), alpha=0.5),
    case("FusedMatMul", normal(2, 4, 3), normal(2, 5, 4), name="both transposed", transA=1, transB=1),
    case("FusedMatMul", normal(3, 2, 4), normal(2, 4, 5), name="batch transposed", transBatchA=1),
    case("FusedMatMul", normal(4, 2, 6, 3), normal(4, 2, 6, 5), name="batch of two axes", transBatchA=1, transBatchB=1, transA=1),
    case("Gelu", X),
    case("BiasGelu", X, ROW),
    case("FastGelu", X),
    case("FastGelu", X, ROW, name="bias"),
    case("QuickGelu", X),
    case("QuickGelu", X, name="alpha", alpha=1.25),
    case("SkipLayerNormalization", X, SKIP, ROW, normal(H), normal(H), epsilon=1e-5),
    case("SkipLayerNormalization", X, SKIP, ROW, name="without beta"),
    case("SkipLayerNormalization", X, SKIP[:1], ROW, normal(H), name="broadcast skip"),
    case("SkipLayerNormalization", X, SKIP, ROW, normal(H), normal(H), outputs=(0, 3), name="with sum"),
    case("SkipSimplifiedLayerNormalization", X, SKIP, ROW, normal(H), outputs=(0, 3), epsilon=1e-6),
    case("SimplifiedLayerNormalization", X, ROW, domain="", epsilon=1e-6, axis=-1),
    case("EmbedLayerNormalization", WORDS, SEGMENTS, *TABLES, outputs=2),
    case("EmbedLayerNormalization", WORDS, SEGMENTS, *TABLES, padding(B, S), outputs=2, name="mask"),
    case("EmbedLayerNormalization", WORDS, None, TABLES[0], TABLES[1], None, *TABLES[3:], None, WORDS[:1], outputs=3, name="positions"),
    case("Attention", *PACKED, num_heads=N),
    case("Attention", *PACKED, name="unidirectional", num_heads=N, unidirectional=1, scale=0.3),
    case("Attention", *PACKED, padding(B, S), name="mask", num_heads=N),
    case("Attention", *PACKED, np.stack([padding(S, S)] * B), name="mask of rank 3", num_heads=N),
    case("Attention", *PACKED, i32(3, 5), name="lengths", num_heads=N),
    case("Attention", *PACKED, i32(4, 5, 1, 0), name="ends and starts", num_heads=N),
    case("Attention", *PACKED, None, np.stack([past(), past()]), outputs=2, name="past", num_heads=N, unidirectional=1),
    case("Attention", *PACKED, padding(B, S + 3), np.stack([past(), past()]), outputs=2, name="past and mask", num_heads=N),
    case("Attention", *PACKED, padding(B, S), None, normal(1, N, S, S), name="mask and bias", num_heads=N),
    case("Attention", PACKED[0], normal(12, 2 * H + 20), normal(2 * H + 20), name="sizes", num_heads=N, qkv_hidden_sizes=[H, H, 20]),
    case("MultiHeadAttention", *QKV, num_heads=N),
    case("MultiHeadAttention", *QKV, normal(3 * H), name="bias", num_heads=N),
    case("MultiHeadAttention", *QKV, normal(3 * H), padding(B, T), normal(1, N, S, T), name="padding and bias of scores", num_heads=N, scale=0.2),
    case("MultiHeadAttention", *QKV, None, i32(4, 7), name="lengths", num_heads=N),
    case("MultiHeadAttention", normal(B, S, N, 3, D), name="packed", num_heads=N),
    case("MultiHeadAttention", QKV[0], normal(B, T, N, 2, D), name="packed keys and values", num_heads=N),
    case("MultiHeadAttention", *SELF, None, None, None, past(), past(), outputs=3, name="past", num_heads=N, unidirectional=1),
    case("MultiHeadAttention", QKV[0], past(N, T), past(N, T), name="cached keys", num_heads=N),
    case("RotaryEmbedding", normal(B, S, H), i32(3).astype(np.int64), *ANGLES, name="offset"),
    case("RotaryEmbedding", normal(B, N, S, D), RNG.integers(0, 16, (B, S)), *ANGLES, name="positions", interleaved=1),
    case("RotaryEmbedding", normal(B, S, H), RNG.integers(0, 16, (B, S)), *[a[:, :2] for a in ANGLES], name="partly", num_heads=N, rotary_embedding_dim=4),
    group_query(S, None, (S, S), "prompt without cache"),
    group_query(S, 0, (S, S), "prompt"),
    group_query(S, 0, (S, S), "prompt, packed, rotary", packed=True, do_rotary=1),
    group_query(S, 12, (S, S), "prompt into a buffer", do_rotary=1),
    group_query(1, 6, (7, 7), "step", do_rotary=1),
    group_query(1, 6, (7, 4), "step of different lengths", do_rotary=1),
    group_query(1, 12, (7, 4), "step in a buffer", do_rotary=1, rotary_interleaved=1),
    group_query(1, 6, (7, 7), "window", local_window_size=3, softcap=2.0),
    group_query(S, 0, (S, S), "prompt, window", local_window_size=2, scale=0.4),
    case("BiasAdd", X, ROW, SKIP),
    case("BiasSplitGelu", X, ROW),
    *[case("LSTM", normal(6, 3, 5), normal(2, 4 * 4, 5), normal(2, 4 * 4, 4), normal(2, 8 * 4), lengths, normal(2, 3, 4), normal(2, 3, 4), normal(2, 12),
           outputs=3, domain="", name=name, hidden_size=4, direction="bidirectional", **attributes)
      for name, lengths, attributes in [("plain", None, {}), ("lengths", i32(6, 2, 4), {}), ("clip", None, {"clip": 0.3}),
                                        ("functions", None, {"activations": ["HardSigmoid", "Softsign", "Tanh", "Sigmoid", "LeakyRelu", "Relu"],
                                                             "activation_alpha": [0.3, 0.2], "activation_beta": [0.4]})]],
    *[case("GRU", normal(6, 3, 5), normal(2, 3 * 4, 5), normal(2, 3 * 4, 4), normal(2, 6 * 4), lengths, normal(2, 3, 4), outputs=2, domain="",
           name=f"{name} {late}", hidden_size=4, direction="bidirectional", linear_before_reset=late, **attributes)
      for late in (0, 1) for name, lengths, attributes in [("plain", None, {}), ("lengths", i32(6, 2, 4), {}), ("clip", None, {"clip": 0.3})]],
    case("RNN", normal(6, 3, 5), normal(1, 4, 5), normal(1, 4, 4), normal(1, 8), outputs=2, domain="", hidden_size=4, direction="reverse"),
]


def group_norm(x, gamma, beta, groups=0, epsilon=1e-5, channels_last=1, activation=0):
    x = np.moveaxis(x, -1, 1) if channels_last else x
    parts = x.reshape(len(x), groups, -1).astype(np.float64)
    parts = (parts - parts.mean(-1, keepdims=True)) / np.sqrt(parts.var(-1, keepdims=True) + epsilon)
    y = parts.reshape(x.shape) * gamma[:, None, None] + beta[:, None, None]
    y = y / (1 + np.exp(-y)) if activation else y
    return (np.moveaxis(y, 1, -1) if channels_last else y).astype(np.float32)


def skip_group_norm(x, gamma, beta, skip, bias, **attributes):
    x = x + skip[:, None, None] + bias
    return [group_norm(x, gamma, beta, **attributes), x]


def nhwc_conv(x, w, bias, pads):
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    patches = np.lib.stride_tricks.sliding_window_view(x, w.shape[1:3], (1, 2))  # [n, y, x, c, ky, kx]
    return np.einsum("nyxckl,mklc->nyxm", patches, w) + bias


def complex_pairs(z):
    return np.stack([z.real, z.imag], -1).astype(np.float32)


def quantized_mean(x, scale, zero, y_scale, y_zero, axes, keepdims):
    return np.clip(np.rint(((x.astype(np.float32) - zero) * scale).mean(tuple(axes)) / y_scale) + y_zero, 0, 255).astype(np.uint8)


WRITTEN_OUT = {
    "GroupNorm": group_norm,
    "SkipGroupNorm": skip_group_norm,
    "NhwcConv": nhwc_conv,
    "Rfft": lambda x, signal_ndim=1: complex_pairs(np.fft.rfftn(x, axes=range(-signal_ndim, 0))),
    "Irfft": lambda x: np.fft.irfft(x[..., 0] + 1j * x[..., 1]).astype(np.float32),
    "QLinearReduceMean": quantized_mean,
}


def without_cpu_kernel(op, inputs):
    """Whether onnxruntime has no kernel for this on a CPU, or one that rounds more (DynamicQuantizeLSTM)."""
    return op in {"BiasAdd", "BiasSplitGelu", "DynamicQuantizeLSTM", *WRITTEN_OUT} or (op == "MultiHeadAttention" and any(x is not None and x.ndim == 5 for x in inputs))


def expected_otherwise(op, inputs, attributes):
    if op in WRITTEN_OUT:
        y = WRITTEN_OUT[op](*inputs, **attributes)
        return y if isinstance(y, list) else [y]
    if op == "MultiHeadAttention":
        parts = [part.reshape(B, -1, H) for x in inputs for part in (np.moveaxis(x, 3, 0) if x.ndim == 5 else [x])]
        return run_onnxruntime(make_model(op, parts, 1, MICROSOFT, 21, {"num_heads": N}), parts)
    if op == "DynamicQuantizeLSTM":
        weights = [np.moveaxis((w - zero.reshape(len(w), 1, -1).astype(np.float32)) * scale.reshape(len(w), 1, -1), 1, 2)
                   for w, scale, zero in ((inputs[1], *inputs[8:10]), (inputs[2], *inputs[10:]))]
        parts = [inputs[0], *weights, *inputs[3:8]]
        return run_onnxruntime(make_model("LSTM", parts, 3, "", 21, attributes), [x for x in parts if x is not None])
    if op == "BiasAdd":
        return [inputs[0] + inputs[1] + inputs[2]]
    left, right = np.split(inputs[0] + inputs[1], 2, axis=-1)
    return [(left * right * 0.5 * (1 + np.vectorize(erf)(right / np.sqrt(2)))).astype(np.float32)]


def run_onnxruntime(model, given):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {i.name: x for i, x in zip(model.graph.input, given)})


def make_model(op, inputs, outputs, domain, opset, attributes, constants=()):
    names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    wanted = set(range(outputs)) if isinstance(outputs, int) else set(outputs)
    made = [f"y{i}" if i in wanted else "" for i in range(max(wanted) + 1)]
    node = helper.make_node(op, names, made, name="node", domain=domain, **attributes)
    infos = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape) for i, (n, x) in enumerate(zip(names, inputs)) if n and i not in constants]
    results = [helper.make_empty_tensor_value_info(n) for n in made if n]
    graph = helper.make_graph([node], "g", infos, results, [numpy_helper.from_array(inputs[i], names[i]) for i in constants if inputs[i] is not None])
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)])


def check(tmp_path, model, given, expected):
    folder = tmp_path / "test_case"
    data = folder / "test_data_set_0"
    data.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model)
    for kind, arrays in (("input", given), ("output", expected)):
        for i, array in enumerate(arrays):
            (data / f"{kind}_{i}.pb").write_bytes(numpy_helper.from_array(np.asarray(array)).SerializeToString())
    (tmp_path / "list.txt").write_text(TOLERANCE)
    done = subprocess.run([BINARY, "conformance", folder, "--list", tmp_path / "list.txt", "--verbose"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("op, inputs, outputs, domain, opset, attributes, constants", CASES)
def test_same_as_onnxruntime(tmp_path, op, inputs, outputs, domain, opset, attributes, constants):
    model = make_model(op, inputs, outputs, domain, opset, attributes, constants)
    given = [x for i, x in enumerate(inputs) if x is not None and i not in constants]
    expected = expected_otherwise(op, inputs, attributes) if without_cpu_kernel(op, given) else run_onnxruntime(model, given)
    check(tmp_path, model.SerializeToString(), given, expected)


class Encoder:
    """A transformer's layer as exporters write it: LayerNormalization of sums, GELU spelt out, attention of products."""

    def __init__(self):
        self.nodes, self.weights = [], []

    def emit(self, op, *inputs, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [f"v{len(self.nodes)}"], **attributes))
        return self.nodes[-1].output[0]

    def weight(self, array):
        self.weights.append(numpy_helper.from_array(np.asarray(array), f"w{len(self.weights)}"))
        return self.weights[-1].name

    def linear(self, x, rows, columns):
        return self.emit("Add", self.emit("MatMul", x, self.weight(normal(rows, columns) / np.float32(np.sqrt(rows)))), self.weight(normal(columns)))

    def heads(self, x, perm):
        return self.emit("Transpose", self.emit("Reshape", x, self.weight(np.array([0, 0, N, D]))), perm=perm)

    def normalized(self, x):
        return self.emit("LayerNormalization", x, self.weight(normal(H)), self.weight(normal(H)), axis=-1)

    def layer(self, x):
        q, k, v = (self.heads(self.linear(x, H, H), perm) for perm in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]))
        scores = self.emit("Div", self.emit("MatMul", q, k), self.weight(np.float32(np.sqrt(D))))
        mixed = self.emit("Transpose", self.emit("MatMul", self.emit("Softmax", scores, axis=-1), v), perm=[0, 2, 1, 3])
        x = self.normalized(self.emit("Add", self.linear(self.emit("Reshape", mixed, self.weight(np.array([0, 0, H]))), H, H), x))
        wide = self.linear(x, H, 2 * H)
        erf = self.emit("Erf", self.emit("Div", wide, self.weight(np.float32(np.sqrt(2)))))
        half = self.emit("Mul", wide, self.emit("Add", erf, self.weight(np.float32(1))))
        return self.normalized(self.emit("Add", self.linear(self.emit("Mul", half, self.weight(np.float32(0.5))), 2 * H, H), x))


def optimized_by_session(path, model):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(path)


def optimized_by_script(path, model):
    optimizer = pytest.importorskip("onnxruntime.transformers.optimizer")
    onnx.save(model, path)
    optimizer.optimize_model(str(path), model_type="bert", num_heads=N, hidden_size=H, opt_level=0).save_model_to_file(str(path))
    return onnx.load(path)


@pytest.mark.parametrize("optimize, writes", [(optimized_by_session, "BiasGelu FusedMatMul SkipLayerNormalization"),
                                              (optimized_by_script, "Attention BiasGelu SkipLayerNormalization")])
def test_what_its_optimizers_write(tmp_path, optimize, writes):
    encoder = Encoder()
    x = encoder.emit("Add", encoder.emit("Gather", encoder.weight(TABLES[0]), "words"), encoder.weight(normal(S, H)))
    y = encoder.layer(encoder.layer(encoder.normalized(x)))
    graph = helper.make_graph(encoder.nodes, "g", [helper.make_tensor_value_info("words", TensorProto.INT32, ["b", S])],
                              [helper.make_tensor_value_info(y, TensorProto.FLOAT, ["b", S, H])], encoder.weights)
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)])
    expected = run_onnxruntime(model, [WORDS])
    optimized = optimize(tmp_path / "optimized.onnx", model)
    assert {node.op_type for node in optimized.graph.node if node.domain == MICROSOFT} == set(writes.split())
    check(tmp_path, optimized.SerializeToString(), [WORDS], expected)


@pytest.mark.parametrize("op, inputs, attributes, says", [
    ("Attention", PACKED, {"num_heads": N, "do_rotary": 1}, "do_rotary"),
    ("Attention", [*PACKED, i32(*range(3 * B + 2))], {"num_heads": N}, "mask"),
    ("GroupQueryAttention", [*QKV, None, None, i32(1, 1), i32(2)], {"num_heads": 3, "kv_num_heads": 2}, "kv_num_heads"),
    ("FusedMatMul", [normal(2, 3)], {}, "inputs"),
])
def test_what_has_no_form_is_refused(tmp_path, op, inputs, attributes, says):
    path = tmp_path / "model.onnx"
    path.write_bytes(make_model(op, inputs, 1, MICROSOFT, 21, attributes).SerializeToString())
    done = subprocess.run([BINARY, "inspect", path], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and says in done.stderr + done.stdout
