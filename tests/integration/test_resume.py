"""A run that was killed at any moment, or stopped by Ctrl-C, goes on with --resume and ends with the bits of one that was not."""
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import time

import pytest

from conftest import BINARY, environment, epochs_of, fails, make_table, same_run, small, tandem



def long(table, **settings):
    return small(table, **{"epochs": 60, "model__dropout": 0.2, "hidden": "64,32", **settings})


def start(table, out, *flags, **settings):
    command = [BINARY, *long(table, **settings), "--out", str(out), *map(str, flags)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())


def ranks_of(process):
    """The process ids of what it has started."""
    try:
        return [int(pid) for pid in pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    except OSError:
        return []


def resume(out, *flags):
    return tandem("train", "--out", out, "--resume", "--threads", 1, *flags)


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.0005)


def takes_interrupts(process):
    """Whether Ctrl-C reaches the program's own code: before, it would end it as it ends any program."""
    try:
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return True  # it has ended
    caught = int(re.search(r"^SigCgt:\t(\w+)", status, re.M)[1], 16)
    return "\nState:\tZ" in status or caught >> (signal.SIGINT - 1) & 1 or ranks_of(process)  # a launcher waits for signals instead


@pytest.fixture(scope="module")
def big_table(tmp_path_factory):
    return make_table(tmp_path_factory.mktemp("table") / "things.csv", rows=1200)


@pytest.fixture(scope="module")
def unbroken(big_table, tmp_path_factory):
    """One run to its end, for each number of ranks."""
    folder = tmp_path_factory.mktemp("unbroken")
    for ranks in (1, 2):
        tandem(*long(big_table), "--out", folder / str(ranks), "--nproc", ranks)
    return folder


@pytest.mark.parametrize("ranks, flags, kills", [(1, (), 6), (1, ("--train.checkpoint_steps", 13), 6), (2, ("--train.checkpoint_steps", 13), 4)],
                         ids=["epochs", "steps", "ranks"])
def test_kill_at_random_moments(big_table, unbroken, tmp_path, ranks, flags, kills):
    chance = random.Random(11 * ranks + len(flags))
    out = tmp_path / "run"
    process = start(big_table, out, "--nproc", ranks, *flags)
    wait_for(lambda: (out / "config.ini").exists() or process.poll() is not None)
    killed = 0
    for _ in range(kills):
        time.sleep(chance.uniform(0.0, 0.15))
        process.kill()
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
        if (out / "manifest.json").exists():
            break
        process = subprocess.Popen([BINARY, "train", "--out", str(out), "--resume", "--threads", "1", "--nproc", str(ranks)],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    output, error = process.communicate(timeout=60)
    assert killed > 0
    assert (out / "manifest.json").exists(), output + error
    same_run(out, unbroken / str(ranks))


@pytest.mark.parametrize("flags", [(), ("--train.checkpoint_steps", 26)], ids=["epochs", "steps"])
@pytest.mark.parametrize("after", ["checkpoints/best.ckpt", "checkpoints/last.ckpt", "metrics.jsonl", "model.onnx", "report.html"])
def test_kill_right_after_a_file_was_written(big_table, unbroken, tmp_path, after, flags):
    """Each file is renamed into place: a death between two of them must lose nothing."""
    out = tmp_path / "run"
    process = start(big_table, out, *flags)
    wait_for(lambda: (out / after).exists() or process.poll() is not None)
    process.kill()
    process.communicate()
    if not (out / "manifest.json").exists():
        resume(out)
    same_run(out, unbroken / "1")


def test_every_state_that_a_death_can_leave(big_table, unbroken, tmp_path):
    """Snapshots of the folder, taken while the run goes on, stand for the moments at which it could have died."""
    out, snapshots = tmp_path / "run", []
    process = start(big_table, out)
    wait_for(lambda: (out / "checkpoints/last.ckpt").exists() or process.poll() is not None)
    while process.poll() is None and len(snapshots) < 6:
        process.send_signal(signal.SIGSTOP)
        snapshot = tmp_path / f"snapshot{len(snapshots)}"
        shutil.copytree(out, snapshot)
        process.send_signal(signal.SIGCONT)
        snapshots.append(snapshot)
        time.sleep(0.01)
    process.communicate(timeout=60)
    assert len(snapshots) >= 3
    for snapshot in snapshots:
        if not (snapshot / "manifest.json").exists():
            resume(snapshot)
        same_run(snapshot, unbroken / "1")


@pytest.mark.parametrize("ranks", [1, 2])
def test_interrupt_checkpoints_and_goes_on(big_table, unbroken, tmp_path, ranks):
    out = tmp_path / "run"
    process = start(big_table, out, "--nproc", ranks)
    stops = 0
    for pause in (0.02, 0.05, 0.0, 0.03):
        wait_for(lambda: (out / "checkpoints/last.ckpt").exists() or process.poll() is not None)
        wait_for(lambda: takes_interrupts(process))
        time.sleep(pause)
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=30)
        if (out / "manifest.json").exists():
            break
        assert process.returncode == 130, output + error
        assert "--resume" in output and "stopped" in output, output
        stops += 1
        process = subprocess.Popen([BINARY, "train", "--out", str(out), "--resume", "--threads", "1", "--nproc", str(ranks)],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
        time.sleep(0.03)
    output, error = process.communicate(timeout=60)
    assert stops > 0
    assert (out / "manifest.json").exists(), output + error
    same_run(out, unbroken / str(ranks))


def test_interrupt_of_ranks_that_have_just_started(big_table, tmp_path):
    """They are frozen as soon as they are seen, so that the signal comes before they are ready for it."""
    for attempt in range(5):
        process = start(big_table, tmp_path / str(attempt), "--nproc", 2)
        wait_for(lambda: len(ranks_of(process)) == 2)
        ranks = ranks_of(process)
        for pid in ranks:
            os.kill(pid, signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
        for pid in ranks:
            os.kill(pid, signal.SIGCONT)
        output, error = process.communicate(timeout=30)
        assert process.returncode == 130 and "stopped" in output, output + error


def test_resume_on_another_number_of_ranks(big_table, tmp_path):
    """Two ranks, then one process with two micro-batches' worth of rows: not the same bits, but the same order of rows and a whole run."""
    out = tmp_path / "run"
    process = start(big_table, out, "--nproc", 2, epochs=8)
    wait_for(lambda: (out / "checkpoints/last.ckpt").exists() or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    if not (out / "manifest.json").exists():
        resume(out)
    assert [record["epoch"] for record in epochs_of(out)] == list(range(1, 9))


def test_a_finished_run_is_left_alone(small_run):
    before = (small_run / "manifest.json").read_bytes()
    fails("train", "--out", small_run, "--resume", says="this run is finished")
    assert (small_run / "manifest.json").read_bytes() == before


def test_nothing_to_resume(tmp_path):
    fails("train", "--out", tmp_path, "--resume", says=["there is no run to resume", str(tmp_path)])
    fails("train", "--out", tmp_path / "missing", "--resume", says=["there is no run to resume", "missing"])
    assert not (tmp_path / "missing").exists()


@pytest.fixture
def stopped_run(big_table, tmp_path):
    out = tmp_path / "stopped"
    process = start(big_table, out)
    wait_for(lambda: (out / "checkpoints/last.ckpt").exists() or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    return out


def test_resume_with_another_configuration(stopped_run, big_table, tmp_path):
    for flags in [("--train.learning_rate", "0.5"), ("--seed", 9), ("--model.hidden", "8"), ("--set", "train.batch_size=32"), ("--train.epochs", 99)]:
        fails("train", "--out", stopped_run, "--resume", *flags, says="this run was begun with another value of")
    config = tmp_path / "other.ini"
    config.write_text(f"[data]\npath = {big_table}\nlabel = kind\n")
    message = fails("train", "--config", config, "--out", stopped_run, "--resume", says="this run was begun with another value of")
    assert "model.dropout" in message and "0.2, 0" in message


def test_resume_with_the_same_flags(stopped_run, unbroken, big_table):
    """The command of the first call with --resume behind it works as well."""
    tandem(*long(big_table), "--out", stopped_run, "--resume")
    same_run(stopped_run, unbroken / "1")


def test_resume_from_another_folder(stopped_run, unbroken, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    tandem("train", "--out", "../stopped", "--resume", "--threads", 1, cwd=tmp_path / "elsewhere")
    same_run(stopped_run, unbroken / "1")


def test_resume_with_other_data(tmp_path):
    table = make_table(tmp_path / "things.csv", rows=1200)
    out = tmp_path / "run"
    process = start(table, out)
    wait_for(lambda: (out / "checkpoints/last.ckpt").exists() or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    kept = (out / "checkpoints/last.ckpt").read_bytes()
    table.write_text(table.read_text() + "0.5,0.5,red,big\n")
    fails("train", "--out", out, "--resume", says=["data", "changed", "things.csv"])
    assert (out / "checkpoints/last.ckpt").read_bytes() == kept


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other"])
def test_a_damaged_checkpoint(stopped_run, damage):
    path = stopped_run / "checkpoints/last.ckpt"
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes({"cut": content[:-100], "flip": content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1:], "empty": b"",
                      "other": b"PK\x03\x04" + content[4:]}[damage])
    fails("train", "--out", stopped_run, "--resume", says=["this checkpoint cannot be used", "last.ckpt"])


def test_a_damaged_config_or_log(stopped_run):
    log = stopped_run / "metrics.jsonl"
    log.write_text(log.read_text()[:-20])
    fails("train", "--out", stopped_run, "--resume", says=["metrics.jsonl", "damaged"])
    config = stopped_run / "config.ini"
    config.write_text(config.read_text().replace("batch_size", "batch_sise"))
    fails("train", "--out", stopped_run, "--resume", says=["config.ini:", "batch_sise", "train.batch_size"])
