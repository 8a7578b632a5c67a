"""Model files that are cut short or replaced while a server has them open: it goes on with what it read, and never ends by SIGBUS."""
import subprocess

import numpy as np
import pytest
from onnx import helper
from test_serving import BINARY, F32, I64, Server, save, tensor

TABLE = np.arange(80_000, dtype=np.float32).reshape(5_000, 16)  # read by every request, never packed


@pytest.fixture
def repository(tmp_path):
    plain = tmp_path / "repository/plain/1/model.onnx"
    save(plain, [helper.make_node("Gather", ["table", "rows"], ["y"])], [("rows", I64, ["n"])], [("y", F32, ["n", 16])], [("table", TABLE)])
    for name, command in {"beside/1/model.onnx": ["export", "--external-data"], "kept/1/model.tdm": ["compile"]}.items():
        made = tmp_path / "repository" / name
        made.parent.mkdir(parents=True)
        subprocess.run([BINARY, command[0], plain, "-o", made, *command[1:]], check=True, stdout=subprocess.DEVNULL)
    return tmp_path / "repository"


def answers(server):
    rows = np.array([4_999, 0, 2_500], np.int64)
    for name in ("plain", "beside", "kept"):
        result = server.client().infer(name, [tensor("rows", rows, "INT64")])
        np.testing.assert_array_equal(result.as_numpy("y"), TABLE[rows])


@pytest.mark.parametrize("cut", [0, 4096, 100_000])
def test_a_server_outlives_its_files(repository, cut):
    server = Server(repository)
    try:
        answers(server)
        for file in repository.rglob("model.*"):
            with open(file, "r+b") as opened:
                opened.truncate(cut)
        answers(server)
    finally:
        assert server.stop() == 0


def test_what_was_cut_short_before_is_not_served(repository):
    for file in repository.rglob("model.*"):
        with open(file, "r+b") as opened:
            opened.truncate(50_000 if file.stat().st_size > 50_000 else 100)
    server = Server(repository)
    try:
        index = server.client().get_model_repository_index()
        assert [m["state"] for m in index] == ["UNAVAILABLE"] * 3 and all(m["reason"] for m in index)
    finally:
        assert server.stop() == 0
