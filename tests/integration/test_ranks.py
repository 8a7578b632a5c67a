"""A rank that dies or freezes ends the run within its deadline, with an error that says where; --resume goes on."""
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from conftest import BINARY, environment, fails, make_table, same_run, small, tandem

EPOCHS = 300


@pytest.fixture(scope="module")
def big_table(tmp_path_factory):
    return make_table(tmp_path_factory.mktemp("table") / "things.csv", rows=1200)


@pytest.fixture(scope="module")
def unbroken(big_table, tmp_path_factory):
    out = tmp_path_factory.mktemp("unbroken") / "run"
    tandem(*small(big_table, epochs=EPOCHS), "--out", out, "--nproc", 2)
    return out


def start(table, out, *flags):
    command = [BINARY, *small(table, epochs=EPOCHS), "--out", str(out), "--nproc", "2", *map(str, flags)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    end = time.monotonic() + 30
    while not (out / "checkpoints/last.ckpt").exists():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.001)
    return process


def ranks_of(process):
    """The process ids of the ranks, by rank."""
    found = {}
    for folder in pathlib.Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            parent = int(re.search(r"^PPid:\s+(\d+)", (folder / "status").read_text(), re.M)[1])
            if parent == process.pid:
                variables = (folder / "environ").read_bytes().split(b"\0")
                found[next(int(v.split(b"=")[1]) for v in variables if v.startswith(b"TANDEM_RANK="))] = int(folder.name)
        except (OSError, StopIteration, TypeError):
            continue
    return [found[rank] for rank in sorted(found)]


def is_running(pid):
    try:
        return "State:\tZ" not in pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def finish(process, seconds):
    begin = time.monotonic()
    output, error = process.communicate(timeout=60)
    assert time.monotonic() - begin < seconds
    return output, error


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_rank(big_table, unbroken, tmp_path, victim):
    process = start(big_table, tmp_path / "run")
    pids = ranks_of(process)
    assert len(pids) == 2
    os.kill(pids[victim], signal.SIGKILL)
    output, error = finish(process, 5)
    assert process.returncode == 5, output + error
    assert f"rank {victim}" in error and "killed by signal 9" in error and "--resume" in error, error
    assert re.search(r"step \d+", error) and re.search(r"all.reduce|barrier|broadcast", error), error
    assert not any(map(is_running, pids))
    tandem("train", "--out", tmp_path / "run", "--resume", "--nproc", 2, "--threads", 1)
    same_run(tmp_path / "run", unbroken)


@pytest.mark.parametrize("victim", [0, 1])
def test_a_frozen_rank(big_table, unbroken, tmp_path, victim):
    process = start(big_table, tmp_path / "run", "--deadline", 2)
    pids = ranks_of(process)
    os.kill(pids[victim], signal.SIGSTOP)
    output, error = finish(process, 9)  # the deadline, 2 s for the frozen one to be given up, and a loaded machine
    assert process.returncode == 5, output + error
    assert f"rank {victim}" in error and "--resume" in error, error
    assert re.search(r"step \d+", error) and re.search(r"all.reduce|barrier|broadcast", error), error
    assert not any(map(is_running, pids))
    tandem("train", "--out", tmp_path / "run", "--resume", "--nproc", 2, "--threads", 1)
    same_run(tmp_path / "run", unbroken)


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM])
def test_no_rank_outlives_the_launcher(big_table, tmp_path, kill):
    process = start(big_table, tmp_path / "run")
    pids = ranks_of(process)
    process.send_signal(kill)
    output, error = finish(process, 10)
    assert process.returncode == (-signal.SIGKILL if kill == signal.SIGKILL else 130), output + error
    end = time.monotonic() + 5
    while any(map(is_running, pids)):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_wrong_input_is_told_once(big_table, tmp_path):
    """Both ranks meet it; the user reads it once."""
    out = ("--out", tmp_path / "run", "--nproc")
    fails(*small(big_table, label="kynd"), *out, 2, says=["kynd", "kind"])
    fails(*small(big_table, batch_size=33), *out, 2, says=["train.batch_size must divide by ranks", "33"])
    fails(*small(big_table), *out, 0, says="--nproc must lie in")
    fails(*small(big_table), *out, 65, says="--nproc must lie in")
    assert not (tmp_path / "run").exists()
