"""`tandem load` against a running server: what it tells is what the server counted.

TANDEM_BIN names the program (default: build/release/bin/tandem). Run with: pytest tests/interop/test_load.py
"""
import json
import subprocess

import pytest
from test_serving import BINARY, Server, save_mlp


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("load")
    save_mlp(root / "mlp/1/model.onnx", 1)
    server = Server(root)
    yield server
    assert server.stop() == 0


def load(*flags):
    return subprocess.run([BINARY, "load", *flags, "--json"], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_sweep_is_a_line_a_run_and_agrees_with_the_server(server, protocol):
    port = server.port if protocol == "http" else server.ready["grpc_port"]
    before = server.metric("tandem_inference_requests_total", model="mlp") or 0
    done = load("mlp", "--url", f"127.0.0.1:{port}", "--protocol", protocol, "--connections", "1,4", "--time", "0.4", "--warmup", "0")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["connections"] for row in rows] == [1, 4]
    for row in rows:
        assert row["failed"] == row["shed"] == row["late"] == row["unanswered"] == 0
        assert 0 < row["p50_us"] <= row["p99_us"] <= row["max_us"]
    # and the one answer that is looked at beforehand
    assert server.metric("tandem_inference_requests_total", model="mlp") - before == sum(row["ok"] for row in rows) + 1


def test_an_open_loop_keeps_its_rate(server):
    done = load("mlp", "--url", f"127.0.0.1:{server.port}", "--rate", "200", "--arrivals", "constant", "--connections", "8", "--time", "1",
                "--warmup", "0", "--within", "1000")
    row = json.loads(done.stdout)
    assert abs(row["ok"] - 200) <= 2 and row["within"] <= row["ok"] and row["asked_rate"] == 200


def test_what_cannot_be_asked_is_said(server):
    done = load("none", "--url", f"127.0.0.1:{server.port}")
    assert done.returncode == 4 and "unknown model" in done.stderr
    assert load("mlp", "--url", "127.0.0.1:1").returncode == 4
    assert load("mlp", "--connections", "x").returncode == 2


@pytest.mark.parametrize("rate", [[], ["--rate", "100", "--arrivals", "constant"]])
def test_streams_carry_a_load_as_calls_do(server, rate):
    before = server.metric("tandem_inference_requests_total", model="mlp") or 0
    done = load("mlp", "--url", f"127.0.0.1:{server.ready['grpc_port']}", "--protocol", "grpc", "--streaming", "--connections", "3", "--time", "0.4",
                "--warmup", "0", *rate)
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    assert row["streaming"] and row["ok"] > 0 and row["failed"] == row["shed"] == row["late"] == row["unanswered"] == 0
    assert server.metric("tandem_inference_requests_total", model="mlp") - before == row["ok"] + 1


@pytest.mark.parametrize("how", [["http"], ["http", "--json-tensors"], ["grpc"], ["grpc", "--streaming"]])
def test_requests_of_a_file_come_in_turn(server, tmp_path, how):
    """Batches of 1 and 3 rows, and one in three that the server refuses: its own counts tell that each was asked as often."""
    port = server.port if how[0] == "http" else server.ready["grpc_port"]
    data = tmp_path / "rows.json"
    rows = [{"x": [0.5, 1, 2, 3]}, {"x": {"content": list(range(12)), "shape": [3, 4]}}, {"x": {"content": [1.0], "shape": [1, 1]}}]
    data.write_text(json.dumps({"data": rows}))
    counts = lambda: [server.metric(name, model="mlp") or 0 for name in ("tandem_inference_requests_total", "tandem_inference_rows_total")]
    before = counts()
    done = load("mlp", "--url", f"127.0.0.1:{port}", "--protocol", *how, "--connections", "1", "--time", "0.4", "--warmup", "0", "--input-data", str(data))
    row = json.loads(done.stdout)
    assert row["shed"] == row["late"] == row["unanswered"] == 0 and row["first_problem"]
    assert row["failed"] == (row["ok"] + row["failed"]) // 3, "the third of each three"
    requests, rows_run = (after - was for after, was in zip(counts(), before))
    small = (row["ok"] + 1) // 2  # of those that were answered well, the first of each two
    assert rows_run == 1 + small + 3 * (row["ok"] - small), (requests, row)


def test_distinct_requests_are_repeated_by_the_seed(server):
    done = load("mlp", "--url", f"127.0.0.1:{server.port}", "--distinct", "50", "--time", "0.2", "--warmup", "0")
    row = json.loads(done.stdout)
    assert row["ok"] > 0 and row["failed"] == 0
    assert load("mlp", "--distinct", "0").returncode == 2
    assert load("mlp", "--streaming").returncode == 2
    assert load("mlp", "--distinct", "2", "--data", "x.json").returncode == 2
    assert load("mlp", "--url", f"127.0.0.1:{server.port}", "--input-data", "/none.json").returncode != 0
