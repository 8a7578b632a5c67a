"""--network-threads: as many of each protocol as were asked for, each with calls of its own, and the right answers from all.

TANDEM_BIN names the program (default: build/release/bin/tandem). Run with: pytest tests/interop/test_network_threads.py
"""
import collections
import pathlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
from test_serving import Server, mlp, save_mlp, tensor


def threads_of(server):
    return collections.Counter(task.read_text().strip() for task in pathlib.Path(f"/proc/{server.process.pid}/task").glob("*/comm"))


@pytest.mark.parametrize("count", [1, 3])
def test_all_of_them_answer(tmp_path, count):
    save_mlp(tmp_path / "mlp/1/model.onnx", 1)
    server = Server(tmp_path, "--network-threads", str(count))
    assert (threads_of(server)["http"], threads_of(server)["grpc"]) == (count, count)

    def ask(seed):
        x = np.random.default_rng(seed).standard_normal((1 + seed % 5, 4)).astype(np.float32)
        over_http = server.client().infer("mlp", [tensor("x", x, "FP32")]).as_numpy("y")
        with triton_grpc.InferenceServerClient(f"127.0.0.1:{server.ready['grpc_port']}") as client:
            own = triton_grpc.InferInput("x", x.shape, "FP32")
            own.set_data_from_numpy(x)
            over_grpc = [client.infer("mlp", [own]).as_numpy("y") for _ in range(10)]
        for answer in (over_http, *over_grpc):
            np.testing.assert_allclose(answer, mlp(x, 1), rtol=1e-5, atol=1e-6)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(ask, range(32)))
    assert server.stop() == 0
