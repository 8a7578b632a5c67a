"""What is shipped: the root of the container runs the server by itself, as nobody of note, read-only; the systemd unit is sound.

Run with: pytest tests/interop/test_packaging.py
"""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import urllib.request

import pytest
from test_serving import BINARY, save_mlp

ROOT = pathlib.Path(__file__).resolve().parents[2]
MOST_BYTES = 60 << 20


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    root = tmp_path_factory.mktemp("image") / "root"
    subprocess.run([ROOT / "scripts/packaging/image_root", BINARY, root], check=True, capture_output=True)
    return root


def test_it_is_small_and_holds_nothing_else(image):
    files = [path for path in image.rglob("*") if path.is_file() and not path.is_symlink()]
    assert sum(path.stat().st_size for path in files) < MOST_BYTES
    assert {str(path.relative_to(image).parent) for path in files} == {"usr/bin", "usr/lib", "etc"}
    assert [path.name for path in (image / "usr/bin").iterdir()] == ["tandem"], "no shell"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may change the root")
def test_it_serves_by_itself_as_nobody(image):
    for folder in (image, *image.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o755)
    save_mlp(image / "models/mlp/1/model.onnx", 1)
    command = ["chroot", "--userspec=65532:65532", image, "/usr/bin/tandem", "serve", "--repository", "/models", "--http-port", "0", "--json"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/var/cache/tandem"})
    ready = json.loads(server.stdout.readline())
    assert ready["models"][0]["ready"], ready
    status = pathlib.Path(f"/proc/{server.pid}/status").read_text()
    assert re.search(r"^Uid:\s+65532\s+65532", status, re.M)
    body = json.dumps({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}).encode()
    with urllib.request.urlopen(ready["url"] + "/v2/models/mlp/infer", data=body, timeout=10) as answer:
        assert len(json.load(answer)["outputs"][0]["data"]) == 3
    server.send_signal(signal.SIGTERM)
    assert server.wait(timeout=30) == 0


def test_the_container_is_run_by_nobody_of_note():
    text = (ROOT / "scripts/packaging/Dockerfile").read_text()
    last = text[text.rindex("\nFROM "):]
    assert last.startswith("\nFROM scratch") and "\nUSER 65532:65532" in last
    for copied in re.findall(r"^COPY (?!--from)(\S+) ", text, re.M):
        assert copied == "." or (ROOT / copied).exists(), copied


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd on this machine")
def test_the_unit_is_sound_and_shut_in(tmp_path):
    unit = tmp_path / "tandem.service"
    unit.write_text((ROOT / "scripts/packaging/tandem.service").read_text().replace("/usr/bin/tandem", str(pathlib.Path(BINARY).resolve())))
    checked = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert checked.returncode == 0 and "tandem.service" not in checked.stderr, checked.stderr
    exposed = subprocess.run(["systemd-analyze", "security", "--offline=true", unit], capture_output=True, text=True)
    if "Overall exposure level" not in exposed.stdout:
        pytest.skip("this systemd cannot rate a unit offline")
    assert float(re.search(r"exposure level.*?: ([\d.]+)", exposed.stdout)[1]) < 3.0
