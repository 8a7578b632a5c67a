"""tritonclient's shared memory utilities against `tandem serve --allow-client-shm`."""
import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.utils.shared_memory as shm
from test_serving import Server, mlp, save, save_mlp
from tritonclient.utils import InferenceServerException, serialize_byte_tensor, serialized_byte_size

from onnx import TensorProto, helper

STR = TensorProto.STRING


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("repository")
    save_mlp(root / "mlp/1/model.onnx", 1)
    save(root / "echo/1/model.onnx", [helper.make_node("Identity", ["text"], ["same"])], [("text", STR, ["n"])], [("same", STR, ["n"])])
    server = Server(root, "--allow-client-shm")
    yield server
    assert server.stop() == 0


@pytest.fixture
def region(server):
    """A registered region of 4096 bytes, and how to place tensors in it."""
    handle = shm.create_shared_memory_region("data", "/tandem_interop", 4096)
    client = server.client()
    client.register_system_shared_memory("data", "/tandem_interop", 4096)
    yield client, handle
    client.unregister_system_shared_memory()
    shm.destroy_shared_memory_region(handle)


def test_tensors_go_both_ways(region):
    client, handle = region
    x = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    shm.set_shared_memory_region(handle, [x])
    given = triton.InferInput("x", x.shape, "FP32")
    given.set_shared_memory("data", x.nbytes)
    wanted = triton.InferRequestedOutput("y")
    wanted.set_shared_memory("data", 8 * 3 * 4, offset=1024)
    result = client.infer("mlp", [given], outputs=[wanted])
    assert result.get_output("y")["parameters"] == {"shared_memory_region": "data", "shared_memory_offset": 1024,
                                                    "shared_memory_byte_size": 96}
    y = shm.get_contents_as_numpy(handle, np.float32, (8, 3), offset=1024)
    np.testing.assert_allclose(y, mlp(x, 1), rtol=1e-4, atol=1e-5)


def test_text(region):
    client, handle = region
    texts = np.array([b"one", b"", "zwölf".encode()], dtype=object)
    shm.set_shared_memory_region(handle, [serialize_byte_tensor(texts)])
    given = triton.InferInput("text", [3], "BYTES")
    given.set_shared_memory("data", serialized_byte_size(serialize_byte_tensor(texts)))
    result = client.infer("echo", [given], outputs=[triton.InferRequestedOutput("same", binary_data=True)])
    assert list(result.as_numpy("same")) == list(texts)


def test_status_and_faults(region, server):
    client, _ = region
    assert client.get_system_shared_memory_status() == [{"name": "data", "key": "/tandem_interop", "offset": 0, "byte_size": 4096}]
    with pytest.raises(InferenceServerException, match="already in manager"):
        client.register_system_shared_memory("data", "/tandem_interop", 64)
    with pytest.raises(InferenceServerException, match="Unable to open shared memory region"):
        client.register_system_shared_memory("other", "/tandem_no_such_object", 64)
    with pytest.raises(InferenceServerException, match="Invalid offset"):
        client.register_system_shared_memory("other", "/tandem_interop", 4097)
    for name, size, offset, message in [("data", 16, 4090, "Invalid offset"), ("none", 16, 0, "Unable to find shared memory region"),
                                        ("data", 12, 0, "unexpected size")]:
        x = triton.InferInput("x", [1, 4], "FP32")
        x.set_shared_memory(name, size, offset)
        with pytest.raises(InferenceServerException, match=message):
            client.infer("mlp", [x])
    x = triton.InferInput("x", [1, 4], "FP32")
    x.set_shared_memory("data", 16)
    small = triton.InferRequestedOutput("y")
    small.set_shared_memory("data", 8, offset=64)
    with pytest.raises(InferenceServerException, match="should be at least 12 bytes to hold the results"):
        client.infer("mlp", [x], outputs=[small])
    assert client.get_cuda_shared_memory_status() == []
    client.unregister_cuda_shared_memory()
    assert "system_shared_memory" in client.get_server_metadata()["extensions"]


def test_it_is_off_unless_allowed(tmp_path):
    save_mlp(tmp_path / "mlp/1/model.onnx", 1)
    server = Server(tmp_path)
    client = server.client()
    assert "system_shared_memory" not in client.get_server_metadata()["extensions"]
    with pytest.raises(InferenceServerException, match="--allow-client-shm"):
        client.register_system_shared_memory("data", "/x", 64)
    x = triton.InferInput("x", [1, 4], "FP32")
    x.set_shared_memory("data", 16)
    with pytest.raises(InferenceServerException, match="--allow-client-shm"):
        client.infer("mlp", [x])
    assert server.stop() == 0
