"""`tandem conformance --server`: what it says of our server, and of MLServer, which is none of ours.

TANDEM_BIN names the program (default: build/release/bin/tandem), TANDEM_MLSERVER a Python whose environment has mlserver and onnxruntime
(without it that part is left out). Run with: pytest tests/interop/test_server_conformance.py
"""
import importlib.util
import json
import os
import shutil
import subprocess

import pytest
from test_serving import BINARY, ROOT, Server

MLSERVER = os.environ.get("TANDEM_MLSERVER")


def conformance(*flags):
    return subprocess.run([BINARY, "conformance", *map(str, flags)], capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("suite")
    assert conformance("--write-models", root).returncode == 0
    assert len(list(root.glob("oip_*/1/model.onnx"))) == 15
    return root


@pytest.fixture(scope="module")
def server(models):
    server = Server(models, "--allow-settings", "--allow-client-shm", "--trace-file", str(models / "trace.json"))
    yield server
    assert server.stop() == 0


def both(server):
    return "--server", f"http://127.0.0.1:{server.port}/", "--grpc", f"127.0.0.1:{server.ready['grpc_port']}"


def test_ours_does_all_of_it(server):
    done = conformance(*both(server), "--model", "oip_sum", "--json")
    told = json.loads(done.stdout)
    assert [one for one in told["cases"] if one["status"] != "passed"] == []
    assert done.returncode == 0 and told["passed"] == len(told["cases"]) > 250 and told["failed"] == told["skipped"] == 0


def test_the_report_is_a_table_by_topic(server):
    done = conformance(*both(server))
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and "'tandem'" in lines[0]
    rows = {line[:16].strip(): line[16:].split() for line in lines[3:] if line.split()[1:] and "/" in line}
    assert rows["inference"][0] == "16/16" and rows["total"][3] == "0"
    assert "no --model was named" in done.stdout


def test_what_fails_is_named(tmp_path):
    """A model that does not compute what it should: the sum's name on an echo."""
    assert conformance("--write-models", tmp_path).returncode == 0
    shutil.copy(tmp_path / "oip_echo_fp32/1/model.onnx", tmp_path / "oip_sum/1/model.onnx")
    server = Server(tmp_path)
    done = conformance(*both(server), "--filter", "inference/*")
    assert done.returncode == 1 and "failed  http inference/a batch of 1: " in done.stdout
    assert server.stop() == 0


def test_who_does_not_answer_is_named():
    done = conformance("--server", "127.0.0.1:1")
    assert done.returncode == 4 and "127.0.0.1:1" in done.stderr
    assert conformance("--server", "127.0.0.1:none").returncode == 2


@pytest.mark.skipif(not MLSERVER, reason="TANDEM_MLSERVER names no Python")
def test_another_server(models, tmp_path):
    """MLServer does the core of the protocol; what it gets wrong is faults of clients, which it does not check."""
    spec = importlib.util.spec_from_file_location("servers", ROOT / "bench/server/servers.py")
    servers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(servers)
    names = [one.name for one in models.iterdir() if one.is_dir() and one.name != "oip_echo_bf16"]  # numpy has no such type
    other = servers.start_mlserver(MLSERVER, models, tmp_path, names)
    try:
        done = conformance("--server", f"127.0.0.1:{other.http}", "--grpc", f"127.0.0.1:{other.grpc}", "--model", "oip_sum", "--json")
    finally:
        other.stop()
    told = json.loads(done.stdout)
    assert told["server"] == "mlserver" and done.returncode == 1
    right = [one for one in told["cases"] if one["topic"] in ("metadata", "inference", "your model")]
    assert [one for one in right if one["status"] == "failed"] == []
    assert {one["topic"] for one in told["cases"] if one["status"] == "failed"} <= {"health", "faults", "datatypes", "http"}
    assert told["passed"] > 100
