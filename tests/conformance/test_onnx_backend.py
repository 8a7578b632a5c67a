"""ONNX's own backend suite, run by `tandem conformance`. Looks for the archive in ../shared/onnx, or for an unpacked folder in
$TANDEM_ONNX_SUITE; skipped where neither is."""
import json
import os
import pathlib
import subprocess
import tarfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.path.abspath(os.environ.get("TANDEM_BIN", ROOT / "build/release/bin/tandem"))
LIST = pathlib.Path(__file__).with_name("onnx_backend.txt")
CASES = 1914  # node 1765, simple 23, pytorch-converted 82, pytorch-operator 35, light 9
PASSING = 754


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    if "TANDEM_ONNX_SUITE" in os.environ:
        return pathlib.Path(os.environ["TANDEM_ONNX_SUITE"])
    archives = sorted((ROOT.parent / "shared/onnx").glob("backend-test-*.tar.xz"))
    if not archives:
        pytest.skip("the ONNX backend suite is not here: ../shared/onnx/backend-test-*.tar.xz, or a folder in $TANDEM_ONNX_SUITE")
    folder = pathlib.Path(BINARY).parents[1] / "onnx-suite" / archives[-1].name.removesuffix(".tar.xz")
    if not os.access(folder.parents[1], os.W_OK):
        folder = tmp_path_factory.mktemp("suite") / "unpacked"
    if not folder.exists():
        unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
        with tarfile.open(archives[-1]) as archive:
            archive.extractall(unfinished, filter="data")
        unfinished.rename(folder)
    return folder


def test_the_suite(suite):
    done = subprocess.run([BINARY, "conformance", suite, "--list", LIST, "--min-cases", str(CASES), "--json"], capture_output=True,
                          text=True, timeout=600)
    result = json.loads(done.stdout.splitlines()[-1])
    assert "error" not in result, result
    assert result["listed_but_passing"] == [], "take these lines out of the list"
    assert result["passed"] >= PASSING, [f"{case['name']}: {case['reason']}" for case in result["cases"] if case["status"] == "failed"]
