"""Runs one network in Tandem and compares it with what onnxruntime computed."""
import dataclasses
import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.path.abspath(os.environ.get("TANDEM_BIN", ROOT / "build/release/bin/tandem"))


@dataclasses.dataclass(frozen=True)
class Outcome:
    passed: bool
    l2: float  # of the output that is furthest away
    reason: str


def run(folder, l2, disabled_passes=()):
    """All data sets of a case, in one session."""
    options = [f"--disable-pass={name}" for name in disabled_passes]
    done = subprocess.run([BINARY, "conformance", folder, "--l2", str(l2), "--timeout", "300", "--json", *options], capture_output=True,
                          text=True, timeout=400)
    if not done.stdout:
        return Outcome(False, float("nan"), done.stderr.strip())
    case = json.loads(done.stdout.splitlines()[-1])["cases"][0]
    return Outcome(case["status"] == "passed", case.get("l2", 0.0), case["reason"])
