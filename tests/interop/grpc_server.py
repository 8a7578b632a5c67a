"""A `tandem serve` for the tests of gRPC, its clients, and tensors to ask it with: fixtures and helpers that those modules import."""
import grpc
import ml_dtypes
import numpy as np
import pytest
import tritonclient.grpc as triton
from test_serving import Server, save, save_mlp
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from onnx import TensorProto, helper

# datatype, its numpy type, the field of typed contents
TYPES = [("BOOL", np.bool_, "bool_contents"), ("UINT8", np.uint8, "uint_contents"), ("UINT16", np.uint16, "uint_contents"),
         ("UINT32", np.uint32, "uint_contents"), ("UINT64", np.uint64, "uint64_contents"), ("INT8", np.int8, "int_contents"),
         ("INT16", np.int16, "int_contents"), ("INT32", np.int32, "int_contents"), ("INT64", np.int64, "int64_contents"),
         ("FP16", np.float16, None), ("BF16", ml_dtypes.bfloat16, None), ("FP32", np.float32, "fp32_contents"), ("FP64", np.float64, "fp64_contents"),
         ("BYTES", np.object_, "bytes_contents")]

ONNX_TYPES = {"BOOL": TensorProto.BOOL, "UINT8": TensorProto.UINT8, "UINT16": TensorProto.UINT16, "UINT32": TensorProto.UINT32,
              "UINT64": TensorProto.UINT64, "INT8": TensorProto.INT8, "INT16": TensorProto.INT16, "INT32": TensorProto.INT32,
              "INT64": TensorProto.INT64, "FP16": TensorProto.FLOAT16, "BF16": TensorProto.BFLOAT16, "FP32": TensorProto.FLOAT,
              "FP64": TensorProto.DOUBLE, "BYTES": TensorProto.STRING}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("repository")
    for version in (1, 2):
        save_mlp(root / f"mlp/{version}/model.onnx", version)
    (root / "mlp/config.pbtxt").write_text("max_batch_size: 512 dynamic_batching { max_queue_delay_microseconds: 100 }")
    for name, number in ONNX_TYPES.items():
        save(root / f"same_{name}/1/model.onnx", [helper.make_node("Identity", ["x"], ["y"])], [("x", number, ["n"])], [("y", number, ["n"])])
    (root / "broken/1").mkdir(parents=True)
    (root / "broken/1/model.onnx").write_bytes(b"none")
    server = Server(root, "--versions", "all", "--max-body", "1000000")
    server.grpc_url = f"127.0.0.1:{server.ready['grpc_port']}"
    yield server
    assert server.stop() == 0


@pytest.fixture
def client(server):
    with triton.InferenceServerClient(server.grpc_url) as client:
        yield client


@pytest.fixture
def stub(server):
    with grpc.insecure_channel(server.grpc_url) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def tensor(name, value, datatype):
    given = triton.InferInput(name, value.shape, datatype)
    given.set_data_from_numpy(value)
    return given


def rows(count, seed=7):
    return np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32)


def sample(datatype, kind, count=5):
    rng = np.random.default_rng(3)
    if datatype == "BYTES":
        return np.array([b"", b"a", "ä".encode(), b"\x00\xff", b"x" * 300][:count], dtype=np.object_)
    if kind == np.bool_:
        return rng.integers(0, 2, count).astype(np.bool_)
    if np.issubdtype(kind, np.integer):
        info = np.iinfo(kind)
        return np.array([info.min, info.max, 0, 1, 7], dtype=kind)[:count]
    return rng.normal(size=count).astype(kind)


def code_of(call):
    with pytest.raises(InferenceServerException) as error:
        call()
    return error.value.status(), error.value.message()


def infer_request(**changes):
    request = service_pb2.ModelInferRequest(model_name="same_INT8", id="7")
    request.inputs.add(name="x", datatype="INT8", shape=[2])
    request.raw_input_contents.append(b"ab")
    for key, value in changes.items():
        setattr(request, key, value)
    return request
