"""The same seed gives the same bits: on any number of threads, and on two ranks as in one process with two micro-batches."""
import json

import pytest

from conftest import epochs_of, same_run, small, tandem, train


def shorter(*flags):
    """Configs as they are but for the number of epochs."""
    return ("--train.baselines", "false", *flags)


@pytest.mark.parametrize("config, flags", [("breast_cancer", ("--train.epochs", 3)), ("digits", ("--train.epochs", 1)), ("adult", ("--train.epochs", 1))])
def test_threads_change_no_bit(tmp_path, config, flags):
    for threads in (1, 2, 3):
        train(tmp_path / str(threads), config, *shorter(*flags), "--threads", threads, "--seed", 5)
    same_run(tmp_path / "1", tmp_path / "2")
    same_run(tmp_path / "1", tmp_path / "3")


def test_another_seed_is_another_model(table, tmp_path):
    for name, seed in [("a", 1), ("again", 1), ("b", 2)]:
        tandem(*small(table), "--out", tmp_path / name, "--seed", seed)
    same_run(tmp_path / "a", tmp_path / "again")
    assert (tmp_path / "a/model.onnx").read_bytes() != (tmp_path / "b/model.onnx").read_bytes()
    split = [json.loads((tmp_path / n / "run.json").read_text())["split_id"] for n in "ab"]
    assert split[0] == split[1]  # the seed of the training does not choose the test rows


@pytest.mark.parametrize("settings", [
    {},
    {"model__dropout": 0.3},
    {"train__optimizer": "sgd", "train__clip_norm": 0.5, "train__bucket_kib": 1, "hidden": "64,32"},
    {"train__optimizer": "adamw", "train__weight_decay": 0.1, "train__schedule": "step", "train__step_size": 7},
], ids=["plain", "dropout", "clip", "adamw"])
def test_two_ranks_are_one_process_with_two_micro_batches(table, tmp_path, settings):
    common = small(table, **settings)
    tandem(*common, "--out", tmp_path / "ranks", "--nproc", 2)
    tandem(*common, "--out", tmp_path / "one", "--train.accumulate", 2)
    assert (tmp_path / "ranks/model.onnx").read_bytes() == (tmp_path / "one/model.onnx").read_bytes()
    ranks, one = epochs_of(tmp_path / "ranks"), epochs_of(tmp_path / "one")
    for a, b in zip(ranks, one, strict=True):
        assert a.pop("train_loss") == pytest.approx(b.pop("train_loss"), rel=1e-6)  # summed in another order
        assert a == b


def test_two_ranks_with_images_and_dropout(tmp_path):
    common = shorter("--train.epochs", 1, "--threads", 1, "--train.batch_size", 64)
    train(tmp_path / "ranks", "digits", *common, "--nproc", 2)
    train(tmp_path / "one", "digits", *common, "--train.accumulate", 2)
    assert (tmp_path / "ranks/model.onnx").read_bytes() == (tmp_path / "one/model.onnx").read_bytes()


def test_three_ranks_with_micro_batches(table, tmp_path):
    """The sum over ranks of sums over micro-batches: other bits than one long sum, but always the same."""
    common = (*small(table, batch_size=24, train__accumulate=2), "--nproc", 3)
    for name in "ab":
        tandem(*common, "--out", tmp_path / name)
    same_run(tmp_path / "a", tmp_path / "b")
