"""Triton's perf_analyzer over HTTP, gRPC and a stream: its counts are the server's, and `tandem load` tells what it tells.

TANDEM_PERF_ANALYZER is the command that runs it (bench/server/perf_analyzer_root makes one). Run with: pytest tests/interop/test_perf_analyzer.py
"""
import os
import pathlib
import subprocess
import sys

import pytest
from test_serving import BINARY, ROOT

COMMAND = os.environ.get("TANDEM_PERF_ANALYZER")


@pytest.mark.skipif(not COMMAND, reason="TANDEM_PERF_ANALYZER names no command")
def test_both_load_generators_and_the_server_agree():
    build = pathlib.Path(BINARY).resolve().parents[1]
    done = subprocess.run([sys.executable, "perf_analyzer.py", "--perf-analyzer", COMMAND, "--build", build, "--models", "heavy"], cwd=ROOT / "bench/server",
                          capture_output=True, text=True, timeout=600)
    assert done.returncode == 0 and "both agree" in done.stdout, done.stdout + done.stderr
