"""Models with one fault each, of the classes that became security advisories for other runtimes: a clear error that names the fault, no crash,
no memory taken because a file claims a size. Each runs in a process that may have 4 GB.
"""
import json
import os
import pathlib
import re
import resource
import subprocess

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.path.abspath(os.environ.get("TANDEM_BIN", ROOT / "build/release/bin/tandem"))
X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
IMAGE = np.ones((1, 4, 6, 6), np.float32)
MEMORY = 4 << 30


def node(op, inputs=("x",), outputs=("y",), domain="", **attributes):
    return helper.make_node(op, list(inputs), list(outputs), name=f"a {op}", domain=domain, **attributes)


def model(nodes, x=X, opset=17, **constants):
    """A model of input x, these nodes and constants (arrays or TensorProtos), and output y."""
    initializers = [c if isinstance(c, TensorProto) else numpy_helper.from_array(np.asarray(c), name) for name, c in constants.items()]
    for name, tensor in zip(constants, initializers):
        tensor.name = name
    x_info = helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
    graph = helper.make_graph(nodes if isinstance(nodes, list) else [nodes], "g", [x_info], [onnx.ValueInfoProto(name="y")], initializers)
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8), x


def ints(*numbers):
    return np.asarray(numbers, np.int64)


class Bytes:
    """A model that the onnx package cannot hold."""
    def __init__(self, content):
        self.content = content

    def SerializeToString(self):  # noqa: N802
        return self.content


def field(number, content):
    """A field of protobuf's wire format: text, bytes or a message."""
    content = content.encode() if isinstance(content, str) else content
    head, size = b"", len(content)
    for value in (number << 3 | 2, size):
        while value > 127:
            head, value = head + bytes([value & 127 | 128]), value >> 7
        head += bytes([value])
    return head + content


def nested_branches(levels):
    """An If within an If within an If ..., written inside out."""
    def graph(node, output):
        return field(1, node) + field(2, "g") + field(12, field(1, output))
    def leaf(name):
        return graph(field(1, "x") + field(2, name) + field(4, "Neg"), name)
    def branch(name, body):
        return field(5, field(1, name) + field(6, body) + b"\xa0\x01\x05")
    body = leaf("b0")
    for i in range(1, levels):
        body = graph(field(1, "c") + field(2, f"b{i}") + field(4, "If") + branch("then_branch", body) + branch("else_branch", leaf(f"e{i}")), f"b{i}")
    outer = model(node("Identity", ["b"]), c=np.asarray(True))[0]
    inputs = b"".join(field(11, info.SerializeToString()) for info in outer.graph.input)
    constants = b"".join(field(5, tensor.SerializeToString()) for tensor in outer.graph.initializer)
    return Bytes(b"\x08\x08" + field(8, outer.opset_import[0].SerializeToString()) + field(7, body + inputs + constants)), X


def calling_each_other():
    proto, x = model(node("F", domain="own"))
    for name, other in ("FG", "GF"):
        proto.functions.append(helper.make_function("own", name, ["a"], ["b"], [node(other, "a", "b", domain="own")], [helper.make_opsetid("own", 1)]))
    proto.opset_import.append(helper.make_opsetid("own", 1))
    return proto, x


def nested_types(levels):
    proto, x = model(node("Neg"))
    kind = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    for _ in range(levels):
        kind = helper.make_sequence_type_proto(kind)
    proto.graph.input[0].type.CopyFrom(kind)
    return proto, x


def scaled(op, scale, constant=False):
    """Numbers quantized by a wrong scale, or restored by one; with `constant`, weights restored."""
    if op == "QuantizeLinear":
        return model(node(op, "xs"), s=np.float32(scale))
    if constant:
        return model([node(op, "ws", "f"), node("Add", "xf")], w=np.zeros(4, np.int8), s=np.float32(scale))
    return model([node("Cast", "x", "i", to=TensorProto.INT8), node(op, "is")], s=np.float32(scale))


def raw(dims, data, data_type=TensorProto.FLOAT):
    return TensorProto(dims=dims, data_type=data_type, raw_data=data)


CASES = {
    # 1. indices that lie outside
    "gather": model(node("Gather", "xi", axis=1), i=ints(3)),
    "gather_negative": model(node("Gather", "xi", axis=1), i=ints(-4)),
    "gather_elements": model(node("GatherElements", "xi", axis=0), i=np.full((2, 3, 4), 2, np.int64)),
    "gather_nd": model(node("GatherND", "xi"), i=ints(0, 7).reshape(1, 2)),
    "scatter_elements": model(node("ScatterElements", "xiu", axis=2), i=np.full((1, 1, 1), -9, np.int64), u=np.zeros((1, 1, 1), np.float32)),
    "scatter_nd": model(node("ScatterND", "xiu"), i=ints(5).reshape(1, 1), u=np.zeros((1, 3, 4), np.float32)),
    "array_feature_extractor": model(node("ArrayFeatureExtractor", "xi", domain="ai.onnx.ml"), i=ints(-1)),
    "reverse_sequence": model(node("ReverseSequence", "xl", time_axis=0, batch_axis=1), l=ints(9, 1, 1)),
    "max_unpool": model([node("MaxUnpool", "xi", kernel_shape=[2, 2])], IMAGE, i=np.full(IMAGE.shape, 10**9, np.int64)),
    "negative_log_likelihood": model(node("NegativeLogLikelihoodLoss", "xt"), np.ones((2, 3), np.float32), t=ints(0, 9)),
    # 2. attributes of the wrong length
    "conv_dilations": model(node("Conv", "xw", dilations=[1]), IMAGE, w=np.ones((2, 4, 3, 3), np.float32)),
    "conv_pads": model(node("Conv", "xw", pads=[1, 1]), IMAGE, w=np.ones((2, 4, 3, 3), np.float32)),
    "pool_strides": model(node("MaxPool", kernel_shape=[2, 2], strides=[1, 1, 1]), IMAGE),
    "transpose_perm": model(node("Transpose", perm=[0, 1])),
    "transpose_twice": model(node("Transpose", perm=[0, 1, 1])),
    "pad_pads": model(node("Pad", "xp"), p=ints(1, 2, 3)),
    "split_sizes": model(node("Split", "xs", axis=2), s=ints(1, 1)),
    "lstm_rank": model(node("LSTM", "xwr", hidden_size=2), np.ones((2, 3), np.float32), w=np.ones((1, 8, 3), np.float32), r=np.ones((1, 8, 2), np.float32)),
    # 3. products that overflow
    "initializer_overflow": model(node("Add", "xc"), c=raw([2**32, 2**32], b"")),
    "negative_dims": model(node("Add", "xc"), c=raw([-1, -4], b"\0" * 16)),
    "reshape_overflow": model(node("Reshape", "xs"), s=ints(2**62, 2**62)),
    "tile_overflow": model(node("Tile", "xr"), r=ints(2**62, 2, 2**62)),
    "pad_overflow": model(node("Pad", "xp"), p=ints(2**62, 2**62, 2**62, 2**62, 2**62, 2**62)),
    "expand_overflow": model(node("Expand", "xs"), s=ints(2**40, 2**40, 1, 1, 1)),
    "constant_of_shape_overflow": model([node("ConstantOfShape", "s", "c"), node("Size", "c", "y")], s=ints(2**33, 2**33)),
    # 4. bytes that are no whole elements, too few, too many
    "raw_odd": model(node("Add", "xc"), c=raw([4], b"\0" * 15)),
    "raw_short": model(node("Add", "xc"), c=raw([4], b"\0" * 12)),
    "raw_long": model(node("Add", "xc"), c=raw([4], b"\0" * 20)),
    # 5. values that only an assertion would stop
    "reshape_minus_five": model(node("Reshape", "xs"), s=ints(-5, 2)),
    "reshape_two_open": model(node("Reshape", "xs"), s=ints(-1, -1)),
    "softmax_axis": model(node("Softmax", axis=3)),
    "concat_axis": model(node("Concat", "xx", axis=-4)),
    "flatten_axis": model(node("Flatten", axis=9)),
    "cast_type": model(node("Cast", to=99)),
    "unsqueeze_twice": model(node("Unsqueeze", "xa"), a=ints(1, 1)),
    "squeeze_not_one": model(node("Squeeze", "xa"), a=ints(0)),
    "top_k_negative": model([node("TopK", "xk", ["y", "z"])], k=ints(-1)),
    "top_k_large": model([node("TopK", "xk", ["y", "z"])], k=ints(5)),
    "einsum": model(node("Einsum", "xx", equation="ab...,->>"), X),
    "pad_negative": model(node("Pad", "xp"), p=ints(-3, 0, 0, 0, 0, 0)),
    "cumsum_axis": model(node("CumSum", "xa"), a=np.int64(7)),
    # 6. division by nothing
    "int_div": model([node("Cast", "x", "i", to=7), node("Div", "iz")], z=ints(0)),
    "int_mod": model([node("Cast", "x", "i", to=7), node("Mod", "iz")], z=ints(0)),
    "range_delta": model([node("Range", "abd", "r"), node("Size", "r", "y")], a=np.int64(0), b=np.int64(5), d=np.int64(0)),
    "pool_stride_zero": model(node("MaxPool", kernel_shape=[2, 2], strides=[0, 1]), IMAGE),
    "pool_kernel_zero": model(node("AveragePool", kernel_shape=[0, 0]), IMAGE),
    "conv_group_zero": model(node("Conv", "xw", group=0), IMAGE, w=np.ones((2, 4, 3, 3), np.float32)),
    "conv_group_negative": model(node("Conv", "xw", group=-1), IMAGE, w=np.ones((2, 4, 3, 3), np.float32)),
    "depth_to_space_zero": model(node("DepthToSpace", blocksize=0), IMAGE),
    "space_to_depth_zero": model(node("SpaceToDepth", blocksize=0), IMAGE),
    "split_none": model(node("Split", num_outputs=0), opset=18),
    "group_norm_zero": model(node("GroupNormalization", "xsb", num_groups=0), IMAGE, 21, s=np.ones(4, np.float32), b=np.ones(4, np.float32)),
    "lrn_zero": model(node("LRN", size=0), IMAGE),
    "resize_zero": model([node("Resize", ["x", "", "s"])], IMAGE, s=np.zeros(4, np.float32)),
    "resize_nan": model([node("Resize", ["x", "", "s"])], IMAGE, s=np.full(4, np.nan, np.float32)),
    "slice_step_zero": model(node("Slice", "xseat"), s=ints(0), e=ints(2), a=ints(0), t=ints(0)),
    "quantize_zero_point_type": model(node("QuantizeLinear", "xsz"), s=np.float32(0.1), z=np.float32(0)),
    # 7. tensors of no elements where one is needed
    "empty_clip": model(node("Clip", "xl"), l=np.zeros(0, np.float32)),
    "empty_axis": model(node("CumSum", "xa"), a=ints()),
    "empty_k": model([node("TopK", "xk", ["y", "z"])], k=ints()),
    "empty_depth": model([node("Cast", "x", "i", to=7), node("OneHot", "idv")], d=ints(), v=np.zeros(2, np.float32)),
    "empty_one_hot_values": model([node("Cast", "x", "i", to=7), node("OneHot", "idv")], d=ints(3), v=np.zeros(0, np.float32)),
    "empty_range": model([node("Range", "abd", "r"), node("Size", "r", "y")], a=ints(), b=ints(), d=ints()),
    "empty_trip_count": model(node("Loop", "tcx", body=helper.make_graph(
        [node("Identity", "c", "d"), node("Identity", "v", "w")], "b",
        [onnx.ValueInfoProto(name=n) for n in "icv"], [onnx.ValueInfoProto(name=n) for n in "dw"])), t=ints(), c=np.zeros(0, bool)),
    "empty_condition": model(node("If", "c", then_branch=helper.make_graph([node("Neg", "x", "p")], "t", [], [onnx.ValueInfoProto(name="p")]),
                                  else_branch=helper.make_graph([node("Abs", "x", "q")], "e", [], [onnx.ValueInfoProto(name="q")])), c=np.zeros(0, bool)),
    "empty_dropout_ratio": model(node("Dropout", "xrt"), r=np.zeros(0, np.float32), t=np.asarray(True)),
    "empty_dropout_mode": model(node("Dropout", "xrt"), r=np.float32(0.5), t=np.zeros(0, bool)),
    "empty_diagonal": model(node("Trilu", "xk"), k=ints()),
    "empty_scale": model(node("QuantizeLinear", "xs"), s=np.zeros(0, np.float32)),
    # 8. nesting without end
    **{f"nested_branches_{levels}": nested_branches(levels) for levels in (40, 3000)},
    "functions_in_a_circle": calling_each_other(),
    "nested_types": nested_types(20),
    # 9. types that are not what they should be
    "add_types": model(node("Add", "xi"), i=ints(1)),
    "where_condition": model(node("Where", "xxx")),
    "gather_float": model(node("Gather", "xx")),
    "float_with_int_data": model(node("Add", "xc"), c=TensorProto(dims=[4], data_type=TensorProto.FLOAT, int64_data=[1, 2, 3, 4])),
    "undefined_type": model(node("Add", "xc"), c=TensorProto(dims=[4], data_type=0, raw_data=b"\0" * 16)),
    "unknown_type": model(node("Add", "xc"), c=TensorProto(dims=[4], data_type=77, raw_data=b"\0" * 16)),
    "attribute_type": model(node("Softmax", axis="one")),
    "string_add": model([node("Add", ["c", "c"])], c=np.asarray(["a", "b"], object)),
    # 10. a small file that claims a large result
    "bomb_constant_of_shape": model([node("ConstantOfShape", "s", "c"), node("Neg", "c")], s=ints(2**20, 2**20)),
    "bomb_expand": model(node("Expand", "xs"), s=ints(2**34, 2, 3, 4)),
    "bomb_tile": model(node("Tile", "xr"), r=ints(2**18, 2**18, 1)),
    "bomb_pad": model(node("Pad", "xp"), p=ints(0, 0, 2**38, 0, 0, 0)),
    "bomb_range": model(node("Range", "abd"), a=np.int64(0), b=np.int64(2**50), d=np.int64(1)),
    "bomb_one_hot": model([node("Cast", "x", "i", to=7), node("OneHot", "idv")], d=ints(2**40), v=np.zeros(2, np.float32)),
    "bomb_resize": model([node("Resize", ["x", "", "s"])], IMAGE, s=np.asarray([1, 1, 1e6, 1e6], np.float32)),
    "bomb_conv_transpose": model(node("ConvTranspose", "xw", strides=[2**30, 2**30]), IMAGE, w=np.ones((4, 2, 3, 3), np.float32)),
    "bomb_conv_pads": model(node("Conv", "xw", pads=[2**30] * 4), IMAGE, w=np.ones((2, 4, 3, 3), np.float32)),
    "bomb_random": model(node("RandomNormal", [], shape=[2**20, 2**20])),
    "bomb_initializer": model(node("Add", "xc"), c=raw([2**20, 2**20], b"\0" * 64)),
    "bomb_tile_dynamic": model([node("Shape", "x", "s"), node("Mul", "sk", "r"), node("Tile", "xr")], k=ints(2**12)),
    # 12. graphs that optimizers fold or fuse, with numbers that do not fit
    "fold_bad_gather": model([node("Gather", "ci", "g"), node("Add", "xg")], c=X, i=ints(7)),
    "fold_int_div": model([node("Div", "ab", "q"), node("Cast", "q", "f", to=1), node("Add", "xf")], a=ints(-2**63), b=ints(-1)),
    "conv_batch_norm": model([node("Conv", "xw", "c"), node("BatchNormalization", "csbmv")], IMAGE, w=np.ones((2, 4, 3, 3), np.float32),
                             s=np.ones(3, np.float32), b=np.ones(3, np.float32), m=np.ones(3, np.float32), v=np.ones(3, np.float32)),
    "matmul_bias": model([node("MatMul", "xw", "m"), node("Add", "mb"), ], w=np.ones((4, 5), np.float32), b=np.ones(3, np.float32)),
    # numbers that are no scale, and zero points that do not fit
    **{f"{op}_{name}": scaled(op, scale) for op in ("QuantizeLinear", "DequantizeLinear")
       for name, scale in (("zero", 0), ("negative", -1), ("nan", np.nan), ("infinite", np.inf))},
    **{f"weights_{name}": scaled("DequantizeLinear", scale, constant=True) for name, scale in (("negative", -1), ("nan", np.nan), ("infinite", np.inf))},
    "output_scale_zero": model([node("Cast", "x", "i", to=TensorProto.INT8), node("QLinearMatMul", "iszwszoz")], w=np.ones((4, 5), np.int8),
                               s=np.float32(1), o=np.float32(0), z=np.int8(0)),
    "zero_point_large": model(node("QuantizeLinear", "xsz"), s=np.float32(1), z=TensorProto(data_type=TensorProto.INT8, int32_data=[300])),
    "zero_point_negative": model(node("QuantizeLinear", "xsz"), s=np.float32(1), z=TensorProto(data_type=TensorProto.UINT8, int32_data=[-1])),
    "zero_point_4_bits": model(node("QuantizeLinear", "xsz"), opset=21, s=np.float32(1), z=TensorProto(data_type=TensorProto.INT4, int32_data=[300])),
    "self_reference": model(node("Add", "xy")),
    "cycle": model([node("Add", "xb", "a"), node("Add", "xa", "b"), node("Add", "ab")]),
    "made_twice": model([node("Neg", "x", "y"), node("Abs", "x", "y")]),
    "nothing_makes_it": model(node("Add", ["x", "nothing"])),
}
# What has an answer: the fault is taken for what it says.
ANSWERED = {"fold_int_div", "bomb_tile_dynamic", "int_div", "int_mod"}
# What is wrong before there are nodes.
WITHOUT_NODES = {"nested_branches_40", "nested_branches_3000", "functions_in_a_circle", "nested_types"}


def run_case(folder, proto, x):
    case = folder / "test_bad" / "test_data_set_0"
    case.mkdir(parents=True)
    (case.parent / "model.onnx").write_bytes(proto.SerializeToString())
    (case / "input_0.pb").write_bytes(numpy_helper.from_array(x).SerializeToString())
    (case / "output_0.pb").write_bytes(numpy_helper.from_array(np.zeros(0, np.float32)).SerializeToString())
    done = subprocess.run([BINARY, "conformance", str(folder), "--json", "--jobs", "1", "--timeout", "30"], capture_output=True, text=True,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)))
    return json.loads(done.stdout.splitlines()[-1])["cases"][0]["reason"]


@pytest.mark.parametrize("name", CASES)
def test_a_bad_model_is_refused(tmp_path, name):
    reason = run_case(tmp_path, *CASES[name])
    assert reason and not reason.startswith(("it ", "defect")), reason
    if name not in ANSWERED:
        assert "expected f32[0], got" not in reason, reason
        assert name in WITHOUT_NODES or re.search(r"node 'a \w+'|tensor '\w'", reason), reason
    assert "std::" not in reason and "bad_alloc" not in reason


def test_a_channel_of_zeros_may_have_a_scale_of_0(tmp_path):
    assert run_case(tmp_path, *scaled("DequantizeLinear", 0, constant=True)) == "output 'y': expected f32[0], got f32[2, 3, 4]"


# 11. weights elsewhere than beside the model: (location, offset, length) of 24 floats; the folder has a neighbour with a secret
ELSEWHERE = {
    "parent": ("../secret.bin", "0", "96"),
    "parent_within": ("sub/../../secret.bin", "0", "96"),
    "absolute": ("/etc/passwd", "0", "96"),
    "device": ("/dev/zero", "0", "96"),
    "link": ("link.bin", "0", "96"),
    "linked_folder": ("up/secret.bin", "0", "96"),
    "hard_link": ("hard.bin", "0", "96"),
    "pipe": ("pipe", "0", "96"),
    "folder": ("sub", "0", "96"),
    "no_location": ("", "0", "96"),
    "negative_offset": ("weights.bin", "-4", "96"),
    "large_offset": ("weights.bin", str(2**63 - 1), "96"),
    "past_the_end": ("weights.bin", "8", "96"),
    "negative_length": ("weights.bin", "0", "-96"),
    "large_length": ("weights.bin", "0", str(2**62)),
}


def external(name, place, dims=(2, 3, 4)):
    tensor = TensorProto(name=name, dims=dims, data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    for key, value in zip(("location", "offset", "length"), place):
        tensor.external_data.add(key=key, value=value)
    return tensor


def weights_in(form, place):
    """The same weights as an initializer, as a Constant and as values of a sparse tensor: one rule for all."""
    if form == "initializer":
        return model(node("Add", "xc"), c=external("c", place))[0]
    if form == "constant":
        return model([node("Constant", [], "c", value=external("c", place)), node("Add", "xc")])[0]
    proto = model(node("Add", "xc"))[0]
    sparse = proto.graph.sparse_initializer.add(dims=[2, 3, 4])
    sparse.values.CopyFrom(external("c", place, [24]))
    sparse.indices.CopyFrom(numpy_helper.from_array(np.arange(24), "i"))
    return proto


@pytest.mark.parametrize("form", ["initializer", "constant", "sparse"])
@pytest.mark.parametrize("name", [*ELSEWHERE, "beside"])
def test_weights_come_from_beside_the_model_only(tmp_path, name, form):
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    secret = np.full(24, 7, np.float32).tobytes()
    (tmp_path / "secret.bin").write_bytes(secret)
    (folder / "weights.bin").write_bytes(secret)
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "up").symlink_to(tmp_path)
    os.link(tmp_path / "secret.bin", folder / "hard.bin")
    os.mkfifo(folder / "pipe")
    (folder / "model.onnx").write_bytes(weights_in(form, ELSEWHERE.get(name, ("weights.bin", "0", "96"))).SerializeToString())
    done = subprocess.run([BINARY, "inspect", folder / "model.onnx"], capture_output=True, text=True, timeout=30)
    assert done.returncode == (0 if name == "beside" else 2), done.stdout + done.stderr


def test_a_model_larger_than_the_memory_there_is(tmp_path):
    """Ten gigabytes of weights in five tensors (a file with a hole), four of address space."""
    rows = (2 << 30) // 96
    with open(tmp_path / "weights.bin", "wb") as file:
        file.truncate(5 * 96 * rows)
    weights = {f"c{i}": external(f"c{i}", ("weights.bin", str(96 * rows * i), str(96 * rows)), [rows, 2, 3, 4]) for i in range(5)}
    sums = [n for i in range(5) for n in (node("Add", ["x", f"c{i}"], [f"a{i}"]), node("ReduceMax", [f"a{i}"], [f"m{i}"]))]
    (tmp_path / "model.onnx").write_bytes(model([*sums, node("Sum", [f"m{i}" for i in range(5)])], **weights)[0].SerializeToString())
    for options in (["inspect", tmp_path / "model.onnx", "--plan"], ["compile", tmp_path / "model.onnx", "-o", tmp_path / "out.tdm"]):
        done = subprocess.run([BINARY, *options], capture_output=True, text=True, timeout=60,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)))
        assert done.returncode > 0 and "memory" in done.stderr and "bad_alloc" not in done.stderr, done.stderr
    assert not (tmp_path / "out.tdm").exists()
