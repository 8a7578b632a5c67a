"""What the system does to a server, or does not give it: signals at any time (E1), a poor environment (E2), limits (E3, B6), a clock that is set back (A13).

Each ends in service or in one line that says what to change. TANDEM_BIN names the program. Run with: pytest tests/interop/test_process_faults.py
"""
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import threading
import time

import numpy as np
import onnx
import pytest
import tritonclient.grpc as triton_grpc
from onnx import TensorProto, helper
from test_serving import BINARY, Server, mlp, save, save_mlp, tensor
from tritonclient.utils import InferenceServerException

X = np.ones((2, 4), np.float32)


class Start:
    """One `tandem serve` in an environment of its own: what it said first, and how it ended."""

    def __init__(self, repository, *flags, before=(), uid=None, env=None, **limits):
        def prepare():
            for name, value in limits.items():
                resource.setrlimit(getattr(resource, name), (value, value))
            if uid:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
        command = [*before, BINARY, "serve", "--repository", str(repository), "--http-port", "0", "--json", *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=prepare, env=env, cwd="/")
        answered, _, _ = select.select([self.process.stdout], [], [], 120)
        line = self.process.stdout.readline() if answered else ""
        self.said = json.loads(line) if line else {}

    def end(self):
        """Its exit code and what it wrote to standard error."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20), self.process.stderr.read()

    def assert_serves(self):
        assert self.said.get("event") == "ready", self.said or self.end()
        with triton_grpc.InferenceServerClient(f"127.0.0.1:{self.said['grpc_port']}") as client:
            given = triton_grpc.InferInput("x", X.shape, "FP32")
            given.set_data_from_numpy(X)
            np.testing.assert_allclose(client.infer("m", [given], client_timeout=10).as_numpy("y"), mlp(X, 1), rtol=1e-4, atol=1e-5)
        assert self.end()[0] == 0

    def assert_refused(self, *words, code=4):
        assert "error" in self.said, self.said
        ended, text = self.process.wait(20), self.process.stderr.read()
        assert ended == code and text.count("\n") == 1 and all(word in text for word in words), (ended, text)
        assert "std::" not in text and "boost" not in text


@pytest.fixture
def repository(tmp_path):
    save_mlp(tmp_path / "m/1/model.onnx", 1)
    for path in (tmp_path, *tmp_path.parents, *tmp_path.rglob("*")):  # others may read it too
        if os.stat(path).st_uid == os.getuid() and path != path.parent:
            os.chmod(path, os.stat(path).st_mode | (0o755 if path.is_dir() else 0o644))
    return tmp_path


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="takes another user's id")


@needs_root
def test_e2_a_user_that_no_file_knows(repository):
    Start(repository, uid=54321, env={}).assert_serves()


@pytest.mark.parametrize("env", [{}, {"HOME": "/proc"}, {"HOME": "relative"}, {"LC_ALL": "xx_YY.none", "LANG": "tlh"}], ids=str)
def test_e2_environments(repository, env):
    Start(repository, "--slo", "p99=50ms", env=env).assert_serves()


@needs_root
def test_e2_without_proc(repository):
    if subprocess.run(["unshare", "-m", "sh", "-c", "umount -l /proc"], capture_output=True).returncode != 0:
        pytest.skip("no mount namespace can be made here")
    Start(repository, before=["unshare", "-m", "sh", "-c", 'umount -l /proc && exec "$0" "$@"']).assert_serves()


@needs_root
def test_e2_what_may_not_be_read(repository):
    os.chmod(repository / "m", 0)
    start = Start(repository, uid=54321)
    assert start.said["event"] == "ready" and not start.said["models"][0]["ready"] and "ermission" in start.said["models"][0]["reason"]
    assert start.end()[0] == 0
    os.chmod(repository, 0)
    Start(repository, uid=54321).assert_refused("cannot be read", "Permission denied", code=2)
    os.chmod(repository, 0o755)
    os.chmod(repository / "m", 0o755)


@pytest.mark.parametrize("flags, words", [(["--access-log", "/nowhere/log"], "access log"), (["--host", "300.1.1.1"], "host"), (["--max-body", "-1"], "max-body"),
                                          (["--grpc-port", "70000"], "grpc-port"), (["--slo", "p99=soon"], "p99"), (["--memory-limit", "4 apples"], "4 apples")])
def test_e2_wrong_options(repository, flags, words):
    Start(repository, *flags).assert_refused(words, code=2)


def test_e2_logs_that_take_nothing(repository, tmp_path):
    Start(repository, "--access-log", "/dev/full").assert_serves()
    Start(repository, "--access-log", str(tmp_path / "log"), RLIMIT_FSIZE=0).assert_serves()


@needs_root
@pytest.mark.parametrize("processes", [1, 2, 6, 12, 20])
def test_e3_few_threads(repository, processes):
    Start(repository, uid=60000 + processes, RLIMIT_NPROC=processes).assert_refused("threads" if processes > 1 else "refuses")


@pytest.mark.parametrize("size", [64, 256, 1024])
def test_e3_a_small_stack(repository, size):
    Start(repository, RLIMIT_STACK=size << 10).assert_serves()


@pytest.mark.parametrize("descriptors", [6, 12, 20])
def test_e3_few_descriptors(repository, descriptors):
    Start(repository, RLIMIT_NOFILE=descriptors).assert_refused("descriptors", "ulimit -n")


@pytest.mark.parametrize("mib", [150, 400])
def test_e3_little_address_space(repository, mib):
    Start(repository, RLIMIT_AS=mib << 20).assert_refused("ulimit -v")


def test_b6_a_model_that_does_not_fit_leaves_the_others(repository):
    """Two gigabytes of weights (a file with a hole) where there are one and a half of address space."""
    rows = 2 << 20
    (repository / "large/1").mkdir(parents=True)
    with open(repository / "large/1/weights", "wb") as file:
        file.truncate(rows * 1024)
    weights = TensorProto(name="w", dims=[rows, 256], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value="weights")
    graph = helper.make_graph([helper.make_node("Gather", ["w", "i"], ["r"]), helper.make_node("Neg", ["r"], ["y"])], "g",
                              [helper.make_tensor_value_info("i", TensorProto.INT64, ["n"])], [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 256])], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), repository / "large/1/model.onnx")
    start = Start(repository, RLIMIT_AS=1536 << 20)
    large = next(model for model in start.said["models"] if model["name"] == "large")
    assert not large["ready"] and "memory" in large["reason"] and "bad_alloc" not in large["reason"], large
    start.assert_serves()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("wait", [0, 0.005, 0.02, 0.05, 0.1])
def test_e1_signals_at_the_start(repository, number, wait):
    # A shell that runs the tests in the background has these signals ignored, and so would the server until it asks for them.
    process = subprocess.Popen([BINARY, "serve", "--repository", str(repository), "--http-port", "0"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
    time.sleep(wait)
    begun = time.monotonic()
    process.send_signal(number)
    assert process.wait(10) in (0, -number) and time.monotonic() - begun < 5  # by the signal itself before it is asked for
    assert process.stderr.read() == b""


def test_e1_signals_that_mean_nothing(repository):
    server = Server(repository)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        server.process.send_signal(number)
    assert server.client().infer("m", [tensor("x", X, "FP32")]).as_numpy("y").shape == (2, 3)
    assert server.stop() == 0


def test_e1_a_stop_while_models_load(repository):
    weight = np.random.default_rng(0).normal(size=(2048, 2048)).astype(np.float32)
    save(repository / "slow/1/model.onnx", [helper.make_node("MatMul", ["x", "w"], ["y"])], [("x", TensorProto.FLOAT, ["n", 2048])],
         [("y", TensorProto.FLOAT, ["n", 2048])], [("w", weight)])
    server = Server(repository, "--model-control", "explicit", "--load-model", "m")
    answers = []
    def load():
        while server.process.poll() is None:
            try:
                answers.append(server.post("/v2/repository/models/slow/load", b"{}")[0])
            except OSError:  # it has stopped
                return
    loading = threading.Thread(target=load)
    loading.start()
    time.sleep(0.3)
    assert server.stop() == 0
    loading.join(20)
    assert not loading.is_alive() and set(answers) <= {200, 503}, answers


CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec* time) {
  static int (*real)(clockid_t, struct timespec*);
  if (!real) real = (int (*)(clockid_t, struct timespec*))dlsym(RTLD_NEXT, "clock_gettime");
  const int result = real(clock, time);
  if (clock == CLOCK_REALTIME && access(STEPPED, F_OK) == 0) time->tv_sec -= 3600;
  return result;
}
"""


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
def test_a13_a_clock_that_is_set_back(repository, tmp_path):
    stepped = tmp_path / "stepped"
    (tmp_path / "clock.c").write_text(CLOCK)
    subprocess.run(["cc", "-shared", "-fPIC", f'-DSTEPPED="{stepped}"', "-o", tmp_path / "clock.so", tmp_path / "clock.c", "-ldl"], check=True)
    os.environ["LD_PRELOAD"] = str(tmp_path / "clock.so")
    try:
        server = Server(repository, "--slo", "p99=500ms", "--request-timeout", "2000")
    finally:
        del os.environ["LD_PRELOAD"]
    with triton_grpc.InferenceServerClient(f"127.0.0.1:{server.ready['grpc_port']}") as client:
        given = triton_grpc.InferInput("x", X.shape, "FP32")
        given.set_data_from_numpy(X)
        for step in (False, True):
            for _ in range(20):
                assert client.infer("m", [given], client_timeout=5, timeout=2_000_000).as_numpy("y").shape == (2, 3)
                assert server.client().infer("m", [tensor("x", X, "FP32")], timeout=2_000_000).as_numpy("y").shape == (2, 3)
            with pytest.raises(InferenceServerException, match="DEADLINE_EXCEEDED|Deadline"):
                for _ in range(200):  # an answer may be quicker than the client's timer
                    client.infer("m", [given], client_timeout=1e-9)
            assert server.client().is_server_ready()
            stepped.touch()
    assert server.metric("tandem_inference_request_duration_seconds_sum", model="m") < 60
    assert server.stop() == 0
