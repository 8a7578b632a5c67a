"""`tandem serve --config FILE`: flags from a file, below those of the command line; what is wrong is told with its line."""
import subprocess

import pytest
from test_serving import BINARY, Server, save_mlp


@pytest.fixture
def repository(tmp_path):
    for name in ("mlp", "other", "third"):
        save_mlp(tmp_path / "models" / name / "1/model.onnx", 1)
    return tmp_path / "models"


def test_flags_of_a_file(repository, tmp_path):
    (tmp_path / "serve.conf").write_text("# what we serve\nmodel-control = explicit\nload-model = mlp\nload-model = other\n\n"
                                         "connections = 7   # a few\nallow-settings\nallow-client-shm = false\n")
    server = Server(repository, "--config", str(tmp_path / "serve.conf"))
    try:
        assert {m["name"]: m["ready"] for m in server.ready["models"]} == {"mlp": True, "other": True, "third": False}
        assert server.post("/v2/logging", b"{}")[0] == 200
        assert server.post("/v2/systemsharedmemory/region/a/register", b"{}")[0] >= 400
    finally:
        assert server.stop() == 0


def test_the_command_line_goes_before(repository, tmp_path):
    conf = tmp_path / "serve.conf"
    conf.write_text("repository = nowhere\nconnections = 7\nmax-batch = 3\n")
    told = subprocess.run([BINARY, "serve", "--config", str(conf), str(repository), "--connections", "9", "--limits", "--json"], capture_output=True, text=True, timeout=30)
    assert '"connections":9' in told.stdout.replace(" ", "") and '"max_batch":3' in told.stdout.replace(" ", ""), told.stderr


@pytest.mark.parametrize("line, told", [("conections = 7", "line 2: no flag is called 'conections' (did you mean 'connections'?)"),
                                        ("connections", "line 2: flag 'connections' wants a value"), ("allow-settings = perhaps", "line 2: flag 'allow-settings' is true or false"),
                                        ("config = other", "line 2: no flag is called 'config'"), ("connections = few", "connections")])
def test_faults_are_told_with_their_line(repository, tmp_path, line, told):
    (tmp_path / "serve.conf").write_text(f"# comment\n{line}\n")
    run = subprocess.run([BINARY, "serve", "--config", str(tmp_path / "serve.conf"), str(repository)], capture_output=True, text=True, timeout=30)
    assert run.returncode == 2 and told in run.stderr, run.stderr


def test_no_such_file(repository):
    run = subprocess.run([BINARY, "serve", "--config", "nowhere.conf", str(repository)], capture_output=True, text=True, timeout=30)
    assert run.returncode == 2 and "nowhere.conf" in run.stderr, run.stderr
