"""Triton's metric names: beside our own, and agreeing with the statistics that clients read."""
import json
import pathlib
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import numpy as np
import pytest
from test_serving import Server, save_mlp, tensor
from tritonclient.utils import InferenceServerException


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("repository")
    save_mlp(root / "mlp/1/model.onnx", 1)
    server = Server(root)
    yield server
    assert server.stop() == 0


def test_they_agree_with_the_statistics(server):
    client = server.client()
    for rows in (1, 2, 5):
        client.infer("mlp", [tensor("x", np.ones((rows, 4), np.float32), "FP32")])
    with pytest.raises(InferenceServerException):
        client.infer("mlp", [tensor("x", np.ones((1, 5), np.float32), "FP32")])
    statistics = client.get_inference_statistics("mlp")["model_stats"][0]
    sums = statistics["inference_stats"]
    def value(name, **labels):
        return server.metric(name, model="mlp", version="1", **labels)
    assert value("nv_inference_request_success") == sums["success"]["count"] == 3
    assert value("nv_inference_request_failure", reason="OTHER") == 1 and value("nv_inference_request_failure", reason="CANCELED") == 0
    assert value("nv_inference_count") == statistics["inference_count"] == 8
    assert value("nv_inference_exec_count") == statistics["execution_count"]
    for ours, theirs in [("request", "success"), ("queue", "queue"), ("compute_input", "compute_input"), ("compute_infer", "compute_infer"), ("compute_output", "compute_output")]:
        assert value(f"nv_inference_{ours}_duration_us") == sums[theirs]["ns"] // 1000
    assert value("nv_inference_pending_request_count") == 0


def program(name):
    """One of Debian's package prometheus: installed, or unpacked by scripts/setup --tests."""
    unpacked = pathlib.Path(__file__).resolve().parents[2] / ".prometheus/usr/bin" / name
    found = shutil.which(name) or (str(unpacked) if unpacked.exists() else None)
    return found or pytest.skip(f"{name} is not there: scripts/setup --tests unpacks it")


def test_promtool_has_nothing_to_say(server):
    done = subprocess.run([program("promtool"), "check", "metrics"], input=server.get("/metrics"), capture_output=True, text=True)
    assert not [line for line in done.stderr.splitlines() if not line.startswith("nv_")], done.stderr  # Triton's names break its style, and must


MONITORING = pathlib.Path(__file__).resolve().parents[2] / "docs/monitoring"


def expressions():
    """Every query of the dashboard, with Grafana's variables filled in."""
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    return [target["expr"].replace("$__rate_interval", "1m").replace("$model", ".*").replace("$job", ".*")
            for panel in dashboard["panels"] for target in panel["targets"]]


def test_dashboard_and_alerts_name_metrics_that_are_there(server):
    server.client().infer("mlp", [tensor("x", np.ones((1, 4), np.float32), "FP32")])
    there = set(re.findall(r"^# TYPE (\w+)", server.get("/metrics"), re.M))
    asked = set(re.findall(r"\b(?:tandem|nv|process)_\w+", " ".join(expressions()) + (MONITORING / "alerts.yml").read_text()))
    assert len(asked) > 10 and {re.sub("_bucket$", "", name) for name in asked} <= there


def test_promtool_takes_the_alerts_and_the_queries(tmp_path):
    rules = {"groups": [{"name": "dashboard", "rules": [{"record": f"r{i}", "expr": expr} for i, expr in enumerate(expressions())]}]}
    (tmp_path / "queries.yml").write_text(json.dumps(rules))  # JSON is YAML
    for path in (MONITORING / "alerts.yml", tmp_path / "queries.yml"):
        done = subprocess.run([program("promtool"), "check", "rules", str(path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_port_for_metrics_alone(tmp_path):
    save_mlp(tmp_path / "mlp/1/model.onnx", 1)
    server = Server(tmp_path, "--metrics-port", "0")
    url = f"http://127.0.0.1:{server.ready['metrics_port']}"
    with urllib.request.urlopen(url + "/metrics", timeout=10) as answer:
        assert "nv_inference_count" in answer.read().decode()
    with urllib.request.urlopen(url + "/v2/health/ready", timeout=10) as answer:
        assert answer.status == 200
    for path in ("/", "/v2", "/v2/models/mlp", "/v2/repository/index"):
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(url + path, timeout=10)
        assert error.value.code == 404
    assert server.stop() == 0


def test_prometheus_scrapes_it_and_answers_the_dashboard(server, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "rule_files": [str(MONITORING / "alerts.yml")],
              "scrape_configs": [{"job_name": "tandem", "static_configs": [{"targets": [f"127.0.0.1:{server.port}"]}]}]}
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))
    prometheus = subprocess.Popen([program("prometheus"), f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data", f"--web.listen-address=127.0.0.1:{port}"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    def query(expression):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": expression}), timeout=10) as answer:
            return json.loads(answer.read())["data"]["result"]
    def holds(expression, value):
        try:
            return any(float(one["value"][1]) == value for one in query(expression))
        except OSError:  # it is starting
            return False
    try:
        server.client().infer("mlp", [tensor("x", np.ones((1, 4), np.float32), "FP32")])
        deadline = time.monotonic() + 60
        while not holds('up{job="tandem"}', 1) or not query("nv_inference_count"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert holds('nv_inference_request_success{model="mlp"}', server.metric("nv_inference_request_success", model="mlp"))
        for expression in expressions():
            query(expression)  # an expression it does not take is a 400
    finally:
        prometheus.terminate()
        prometheus.wait(30)
