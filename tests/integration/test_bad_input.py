"""Wrong input of every kind: an exit code, one line that says what is wrong, where, and what would be right, and nothing half-written."""
import contextlib
import gzip
import json
import os
import pathlib
import random
import resource
import shutil
import subprocess

import numpy as np
import pytest

from conftest import ADULT_COLUMNS, BINARY, CONFIGS, adult_rows, environment, fails, make_table, same_run, small, tandem, write_csv

THINGS = "width,height,colour,kind"
GOOD = [f"{i}.5,{i % 7},red,big" if i % 2 else f"0.{i},-{i % 5},blue,small" for i in range(40)]


def things(tmp_path, *lines, header=THINGS):
    path = tmp_path / "things.csv"
    path.write_text("\n".join([header, *GOOD, *lines]) + "\n")
    return path


@pytest.mark.parametrize("line, says", [
    ("1.5,2.5,red", ["line 42", "too few", "kind"]),
    ("1.5,2.5,red,big,more", ["line 42", "too many", "more"]),
    ("1.5,2.5,red,", ["label", "missing", "row 41"]),
    ("1.5,inf,red,big", ["line 42", "'height'", "finite", "inf"]),
    ("1.5,1e999,red,big", ["line 42", "'height'", "finite"]),
    ('1.5,2.5,"red,big', ["line 42", "quote"]),
    ("1.5,2.5,r\x00d,big", ["line 42", "NUL"]),
], ids=["missing cell", "extra cell", "no label", "infinite", "too large", "open quote", "nul"])
def test_wrong_row(tmp_path, line, says):
    fails(*small(things(tmp_path, line)), "--out", tmp_path / "run", says=["things.csv", *says] if "row 41" not in says else says)
    assert not (tmp_path / "run").exists()


def test_wrong_files(tmp_path):
    out = ("--out", tmp_path / "run")
    (tmp_path / "empty.csv").write_bytes(b"")
    fails(*small(tmp_path / "empty.csv"), *out, says=["empty.csv", "empty"])
    (tmp_path / "header.csv").write_text(THINGS + "\n")
    fails(*small(tmp_path / "header.csv"), *out, says=["header.csv", "no rows"])
    fails(*small(tmp_path / "absent.csv"), *out, says=["absent.csv"])
    fails(*small(tmp_path), *out, says=[str(tmp_path), "file"])
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(things(tmp_path).read_bytes())[:-9])
    fails(*small(tmp_path / "cut.csv.gz"), *out, says="cut.csv.gz")
    (tmp_path / "latin.csv").write_bytes(things(tmp_path).read_bytes().replace(b"red", b"r\xe9d"))
    fails(*small(tmp_path / "latin.csv"), *out, says=["latin.csv", "line 3", "UTF-8"])
    (tmp_path / "one.csv").write_text(THINGS + "\n" + "1,2,red,big\n" * 30)
    fails(*small(tmp_path / "one.csv"), *out, says="at least two classes")
    assert not (tmp_path / "run").exists()


def test_missing_numbers_are_imputed(tmp_path):
    """NaN and its like mean "no value": the defined answer, not an error."""
    table = things(tmp_path, "NaN,?,red,big", ",nan,,small")
    tandem(*small(table, batch_size=8), "--out", tmp_path / "run")


def test_wrong_configuration(table, tmp_path):
    out = ("--out", tmp_path / "run")
    for name, value, says in [
        ("label", "kynd", ["kynd", "did you mean 'kind'"]),
        ("batch_size", 1000, ["train.batch_size", "larger", "1000"]),
        ("batch_size", 0, ["train.batch_size", "0"]),
        ("batch_size", "many", ["train.batch_size", "a whole number", "'many'"]),
        ("batch_size", "99999999999999999999", ["train.batch_size"]),
        ("learning_rate", "nan", ["train.learning_rate", "nan"]),
        ("learning_rate", -1, ["train.learning_rate", "-1"]),
        ("train__optimizer", "adamm", ["train.optimizer", "sgd, adam, adamw", "'adamm'"]),
        ("train__accumulate", 3, ["train.accumulate", "16", "3"]),
        ("train__monitor", "roc", ["train.monitor", "roc_auc"]),
        ("hidden", "16,x", ["model.hidden", "'x'"]),
        ("model__kind", "cnn", ["cnn", "mlp"]),
        ("data__ignore", "colur", ["colur", "colour"]),
        ("data__log1p", "colour", ["log1p", "colour"]),
        ("data__columns", "a,b", ["things.csv", "line 1"]),
        ("data__class_names", "small,large", ["class", "big"]),
        ("data__test_share", "0.9", ["split shares", "leave some rows for training"]),
    ]:
        settings = {"data__validation_share": "0.9"} if name == "data__test_share" else {}
        fails(*small(table, **{name: value, **settings}), *out, says=says)
        assert not (tmp_path / "run").exists()
    fails(*small(table, data__target="value", label="width", train__monitor="accuracy"), *out, says=["train.monitor", "accuracy", "loss"])
    fails(*small(table, data__validation_share=0, train__monitor="accuracy"), *out, says=["train.monitor", "validation"])


def test_wrong_config_file(tmp_path):
    config = tmp_path / "mine.ini"
    for text, says in [
        ("[train]\nbatch_sise = 3\n", ["mine.ini:2", "train.batch_sise", "did you mean 'train.batch_size'"]),
        ("[train]\n\n# note\nepochs = ten\n", ["mine.ini:4", "train.epochs", "a whole number", "'ten'"]),
        ("[train\nepochs = 3\n", ["mine.ini:1", "[name]"]),
        ("[train]\nepochs 3\n", ["mine.ini:2", "key = value"]),
        ("epochs = 3\n", ["mine.ini:1", "epochs"]),
        ("", ["no data", "data.path"]),
        ("[data]\npath = nowhere.csv\n", [str(tmp_path / "nowhere.csv")]),
    ]:
        config.write_text(text)
        fails("train", "--config", config, "--out", tmp_path / "run", says=says)
    fails("train", "--config", tmp_path / "absent.ini", "--out", tmp_path / "run", says="absent.ini")
    fails("train", "--config", CONFIGS / "adult.ini", says="--out")
    assert not (tmp_path / "run").exists()


def test_wrong_commands_and_flags(runs):
    model = runs["breast_cancer"] / "model.onnx"
    fails("trian", says=["unknown command 'trian'", "did you mean 'train'"])
    fails("train", "--epochz", 3, says=["unknown flag", "epochz"])
    fails("train", "--train.epoch", 3, says=["unknown flag", "train.epochs"])
    fails("train", "--nproc", "two", "--out", "x", says=["nproc", "two"])
    fails("train", "--set", "train.epochs", "--out", "x", says="key=value")
    fails("train", "--set", "train.epoks=3", "--out", "x", says=["train.epoks", "train.epochs"])
    fails("inspect", says=["no model given", "usage"])
    fails("inspect", model, model, says="inspect")
    fails("inspect", model, "--batch", 10**18, says="overflows")
    fails("inspect", model, "--batch", 0, says=["--batch", "0"])
    fails("inspect", model, "--threads", -1, says=["--threads", "-1"])
    fails("inspect", model, "--disable-pass", "constant_foldin", says=["constant_foldin", "constant_folding"])
    fails("run", model, says="no data for an input")
    fails("run", model, "--threads", 0, "--input", "x.npz", says=["--threads", "0"])
    fails("run", model, "--threads", 100000, "--input", "x.npz", says=["--threads", "100000"])
    fails("run", model, "--input", "absent.npz", says="absent.npz")
    fails("run", model, "--input", "mean_radios=a.npy", says=["mean_radios", "mean_radius"])
    fails("eval", model.parent, "--split", "tests", says=["--split", "test", "validation"])
    fails("eval", model.parent, "--resamples", 0, says="--resamples")
    fails("eval", model.parent, "--threads", -3, says=["--threads", "-3"])
    fails("eval", model.parent / "absent.onnx", says="absent.onnx")
    fails("eval", runs["digits"], "--config", CONFIGS / "breast_cancer.ini", says=["image"])
    assert tandem(code=2).out.startswith("tandem")


def test_wrong_rows_at_run_time(runs, tmp_path):
    model, good = runs["adult"] / "model.onnx", adult_rows(3)
    people = write_csv(tmp_path / "people.csv", ADULT_COLUMNS[1:], [row[1:] for row in good])
    fails("run", model, "--input", people, says=["people.csv", "age"])
    people = write_csv(tmp_path / "people.csv", ADULT_COLUMNS, [good[0], ["young", *good[1][1:]]])
    fails("run", model, "--input", people, says=["people.csv", "line 3", "'age'", "young", "number"])
    people = write_csv(tmp_path / "people.csv", ADULT_COLUMNS, [good[0], good[1][:-2]])
    fails("run", model, "--input", people, says=["people.csv", "line 3", "native_country"])
    row = {name: float(cell) if cell.isdigit() else cell for name, cell in zip(ADULT_COLUMNS, good[0])}
    for rows, says in [([], "people.json"), ([{**row, "age": "old"}], ["people.json", "age", "row 1"]), ({"age": [1, 2], "sex": ["a"]}, "people.json"),
                       ([{k: v for k, v in row.items() if k != "sex"}], "sex"), ("rows", "people.json"), ([[1, 2]], "people.json")]:
        (tmp_path / "people.json").write_text(json.dumps(rows))
        fails("run", model, "--input", tmp_path / "people.json", "--output", tmp_path / "out.npz", says=says)
    (tmp_path / "people.json").write_text("[" * 100000)
    fails("run", model, "--input", tmp_path / "people.json", says="people.json")
    digits = runs["digits"] / "model.onnx"
    for array in (np.zeros((3, 1, 8, 7), np.float32), np.zeros((3, 64), np.float32), np.zeros((3, 1, 8, 8), np.int64), np.array(["a"]), np.float32(1)):
        np.save(tmp_path / "x.npy", array)
        fails("run", digits, "--input", tmp_path / "x.npy", "--output", tmp_path / "out.npz", says="image")
    assert not (tmp_path / "out.npz").exists()


def test_a_category_that_training_never_saw(runs, tmp_path):
    """The defined answer: the category counts for nothing, and any two unknown ones give the same."""
    rows = [list(adult_rows(1)[0]) for _ in range(3)]
    rows[0][3], rows[1][3] = "Wizardry", "Alchemy"
    tandem("run", runs["adult"] / "model.onnx", "--input", write_csv(tmp_path / "p.csv", ADULT_COLUMNS, rows), "--output", tmp_path / "out.npz")
    answer = np.load(tmp_path / "out.npz")["probabilities"]
    assert (answer[0] == answer[1]).all() and (answer[0] != answer[2]).any()


def test_no_rows_is_no_error(runs, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((0, 1, 8, 8), np.float32))
    tandem("run", runs["digits"] / "model.onnx", "--input", tmp_path / "x.npy", "--output", tmp_path / "out.npz")
    assert np.load(tmp_path / "out.npz")["probabilities"].shape == (0, 10)


def test_a_damaged_model(runs, tmp_path):
    """Cut at every length of some, and with bits turned: refused with a message, or a model whose answers may differ. Never a crash."""
    content = (runs["breast_cancer"] / "model.onnx").read_bytes()
    model, rows = tmp_path / "model.onnx", tmp_path / "rows.csv"
    names = [i["name"] for i in tandem("inspect", runs["breast_cancer"] / "model.onnx", "--json").json["inputs"]]
    write_csv(rows, names, [[1.0] * len(names)])
    chance = random.Random(5)
    refused = 0
    for trial in range(220):
        damaged = bytearray(content)
        if trial % 4 == 0:
            del damaged[chance.randrange(len(damaged)):]
        else:
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        model.write_bytes(damaged)
        command = [("inspect", model, "--json"), ("run", model, "--input", rows, "--json")][trial % 2]
        done = subprocess.run([BINARY, *map(str, command)], capture_output=True, text=True, errors="replace", timeout=20)
        assert done.returncode in (0, 2, 3), (trial, done.returncode, done.stderr)
        refused += done.returncode != 0
        if done.returncode != 0:
            assert done.stderr.startswith("tandem ") and len(done.stderr.strip()) > 20
    assert refused > 50
    model.write_bytes(b"")
    fails("inspect", model, says="model.onnx")
    fails("eval", model, "--config", CONFIGS / "breast_cancer.ini", says="model.onnx")
    fails("inspect", tmp_path, says="file")
    fails("inspect", tmp_path / "absent.onnx", says="absent.onnx")


def test_a_run_is_not_overwritten(small_run, table):
    before = {path: path.read_bytes() for path in small_run.rglob("*") if path.is_file()}
    fails(*small(table), "--out", small_run, says=["a run is in this folder", "--resume"])
    assert before == {path: path.read_bytes() for path in small_run.rglob("*") if path.is_file()}


def test_a_folder_that_cannot_be_made(table, tmp_path):
    (tmp_path / "file").write_text("")
    fails(*small(table), "--out", tmp_path / "file/run", code=4, says="file/run")
    fails(*small(table), "--out", "/proc/run", code=4, says="/proc/run")


def as_nobody():
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)


@pytest.fixture
def public(tmp_path):
    """A folder that another user can reach."""
    import tempfile
    folder = pathlib.Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    probe = subprocess.run([BINARY, "--help"], preexec_fn=as_nobody, capture_output=True)
    if probe.returncode != 0:
        pytest.skip("the program cannot be run by another user here")
    yield folder
    subprocess.run(["chmod", "-R", "u+rwx", str(folder)])
    shutil.rmtree(folder)


def test_no_permission(public):
    """A read-only folder and unreadable data. Root may do anything, so another user tries."""
    table = make_table(public / "things.csv")
    (public / "closed").mkdir(mode=0o555)
    fails(*small(table), "--out", public / "closed/run", code=4, says=["closed/run", "Permission denied"], preexec_fn=as_nobody)
    fails(*small(table), "--out", public / "closed", code=4, says=["closed", "Permission denied"], preexec_fn=as_nobody)
    tandem(*small(table), "--out", public / "run")
    (public / "run/manifest.json").unlink()
    fails("train", "--out", public / "run", "--resume", code=4, says=["run.json", "Permission denied"], preexec_fn=as_nobody)
    table.chmod(0)
    fails(*small(table), "--out", public / "other", code=4, says=["things.csv", "Permission denied"], preexec_fn=as_nobody)


@contextlib.contextmanager
def small_disk(folder, size):
    """A file system of this size, if we may mount one."""
    folder.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tandem-test", folder], capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def whole_checkpoint(run):
    path = run / "checkpoints/last.ckpt"
    return path.read_bytes() if path.exists() else None


def test_a_full_disk(table, tmp_path):
    """The run ends with the system's word for it, keeps the last good checkpoint, and goes on when there is room again."""
    flags = small(table, epochs=30, hidden="256,128")
    tandem(*flags, "--out", tmp_path / "unbroken")
    with small_disk(tmp_path / "disk", "2m") as disk:
        run, ballast = disk / "run", disk / "ballast"
        ballast.write_bytes(bytes((2 << 20) - (1000 << 10)))
        fails(*flags, "--out", run, code=4, says=["No space left", str(run)])
        assert not list(run.rglob("*.tmp*")) and not (run / "model.onnx").exists()
        ballast.unlink()
        tandem("train", "--out", run, "--resume", "--threads", 1)
        same_run(run, tmp_path / "unbroken")


def test_a_file_size_limit(table, tmp_path):
    """The same without mounting anything: a checkpoint that may not be written."""
    run = tmp_path / "run"
    fails(*small(table, hidden="256,128"), "--out", run, code=4, says=["File too large", "ckpt"],
          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)))
    assert whole_checkpoint(run) is None
    assert [path.name for path in (run / "checkpoints").iterdir()] == []
    tandem("train", "--out", run, "--resume", "--threads", 1)
    assert (run / "manifest.json").exists()


def test_outputs_that_cannot_be_written(runs, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 1, 8, 8), np.float32))
    digits = runs["digits"] / "model.onnx"
    for flag in ("--output", "--profile"):
        fails("run", digits, "--input", tmp_path / "x.npy", flag, tmp_path / "absent/out", says="absent", code=2)
    fails("inspect", digits, "--dot", tmp_path / "absent/out.dot", says="absent")


@pytest.mark.parametrize("variables", [{}, {"LC_ALL": "xx_YY.UTF-8", "LANG": "tlh"}, {"HOME": "/nonexistent", "TMPDIR": "/nonexistent"},
                                       {"OMP_NUM_THREADS": "none"}, {"COLUMNS": "-3", "TERM": ""}])
def test_odd_environments(table, tmp_path, variables):
    tandem(*small(table, epochs=1), "--out", tmp_path / "run", env=variables)
    tandem("train", "--help", env=variables)


@pytest.mark.parametrize("variables", [{"TANDEM_RANK": "x", "TANDEM_COMM_FD": "99", "TANDEM_WORLD_SIZE": "2"}, {"TANDEM_ISA": "mmx"}])
def test_wrong_variables(table, tmp_path, variables):
    fails(*small(table), "--out", tmp_path / "run", env=environment(variables), says="TANDEM_")
    assert not (tmp_path / "run").exists()


def test_json_errors(table, tmp_path):
    result = tandem("train", "--json", "--data.path", table, "--out", tmp_path / "run", "--data.label", 'k"\nnd', code=2)
    assert result.json["code"] and 'k"\nnd' in result.json["error"]


def test_a_loss_that_runs_away(table, tmp_path):
    fails(*small(table, learning_rate=1000, train__optimizer="sgd", epochs=30, hidden="64,64,64"), "--out", tmp_path / "run",
          says=["loss is not finite", "train.learning_rate", "train.clip_norm"])


def test_an_undefined_metric(tmp_path):
    """No positive among the validation rows: ROC AUC has no value, the run goes on and can be resumed."""
    lines = [f"{i}.5,{i % 7},red,{'big' if i < 3 else 'small'}" for i in range(60)]
    (tmp_path / "rare.csv").write_text("\n".join([THINGS, *lines]) + "\n")
    flags = small(tmp_path / "rare.csv", train__monitor="roc_auc", batch_size=8)
    tandem(*flags, "--out", tmp_path / "run")
    (tmp_path / "run/manifest.json").unlink()
    tandem("train", "--out", tmp_path / "run", "--resume")


def test_regression(tmp_path):
    tandem(*small(make_table(tmp_path / "things.csv"), label="width", data__target="value", train__baselines="true"), "--out", tmp_path / "run")
    measured = tandem("eval", tmp_path / "run", "--json").json
    assert set(measured["metrics"]) >= {"mse", "mae", "r2"}
