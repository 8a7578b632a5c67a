"""The whole program, driven as a user drives it. TANDEM_BIN names it (default: build/release/bin/tandem)."""
import dataclasses
import gzip
import json
import lzma
import os
import pathlib
import subprocess

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.path.abspath(os.environ.get("TANDEM_BIN", ROOT / "build/release/bin/tandem"))
CONFIGS = ROOT / "models/configs"
DATASETS = ROOT / "models/datasets"
ADULT_COLUMNS = ("age,workclass,fnlwgt,education,education_num,marital_status,occupation,relationship,race,sex,capital_gain,"
                 "capital_loss,hours_per_week,native_country,income").split(",")


@dataclasses.dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self):
        """The last line of JSON that was printed."""
        return json.loads(self.out.strip().splitlines()[-1])


def environment(extra=None):
    return {**os.environ, "OMP_WAIT_POLICY": "passive", **(extra or {})}


def tandem(*arguments, code=0, env=None, cwd=None, timeout=60, **process):
    """Runs the program and checks its exit code; whatever it is, an error is one line that no crash or defect hides behind."""
    done = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, errors="replace", timeout=timeout,
                          env=env if env is not None else environment(), cwd=cwd, **process)
    result = Result(done.returncode, done.stdout, done.stderr)
    shown = "\n".join(result.out.splitlines()[-5:])
    assert code is None or result.code == code, f"{arguments}: exit code {result.code}, expected {code}\n{shown}\n{result.err}"
    for trace in ("terminate called", "Assertion", "std::", "basic_string", "Sanitizer"):
        assert trace not in result.err, result.err
    return result


def fails(*arguments, says, code=2, **rest):
    """The run must fail with this exit code and a message that holds each of these texts. Returns the message."""
    result = tandem(*arguments, code=code, **rest)
    message = result.err.strip()
    for text in [says] if isinstance(says, str) else says:
        assert text in message, f"{text!r} is not in: {message}"
    assert message.startswith("tandem"), message
    assert len(message.splitlines()) == 1, message
    return message


def train(out, config, *arguments, **rest):
    return tandem("train", "--config", CONFIGS / f"{config}.ini" if not str(config).endswith(".ini") else config, "--out", out, *arguments, **rest)


def epochs_of(run):
    """metrics.jsonl without what depends on the clock."""
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for record in records:
        assert record.pop("seconds") >= 0
    return records


def same_run(a, b):
    """Two runs ended with the same bits, and went the same way."""
    assert epochs_of(a) == epochs_of(b)
    assert (a / "model.onnx").read_bytes() == (b / "model.onnx").read_bytes()
    golden = [json.loads((run / "manifest.json").read_text())["golden"] for run in (a, b)]
    assert golden[0] == golden[1]


def adult_rows(count, skip=0):
    """Rows of the census file as lists of text, as it has them but for the blank before each."""
    with lzma.open(DATASETS / "adult.csv.xz", "rt") as file:
        lines = [line for line in file.read().splitlines() if line]
    return [[cell.strip() for cell in line.split(",")] for line in lines[skip:skip + count]]


def digits_rows():
    with gzip.open(DATASETS / "digits.csv.gz", "rt") as file:
        return np.array([[float(cell) for cell in line.split(",")] for line in file if line.strip()])


def write_csv(path, names, rows):
    text = "\n".join([",".join(names)] * bool(names) + [",".join(map(str, row)) for row in rows]) + "\n"
    path.write_text(text)
    return path


def make_table(path, rows=240, seed=3):
    """A table to learn from in a fraction of a second: two numbers, a category, a class."""
    rng = np.random.default_rng(seed)
    width, height = rng.normal(size=rows), rng.normal(size=rows)
    colour = rng.choice(["red", "green", "blue"], size=rows)
    kind = np.where(width + 0.5 * height + (colour == "red") > 0.3, "big", "small")
    return write_csv(path, ["width", "height", "colour", "kind"], [[f"{w:.4f}", f"{h:.4f}", c, k] for w, h, c, k in zip(width, height, colour, kind)])


def small(table, **settings):
    """Arguments that train on make_table in a fraction of a second. Settings are keys of the config without their section."""
    keys = {"data.path": table, "data.label": "kind", "model.hidden": "16", "train.batch_size": 16, "train.epochs": 4, "train.learning_rate": 0.01,
            "train.baselines": "false"}
    sections = {name.split(".")[1]: name for name in keys}
    for name, value in settings.items():
        keys[name.replace("__", ".") if "__" in name else sections[name]] = value
    return ["train", "--threads", "1", *(part for name, value in keys.items() for part in (f"--{name}", str(value)))]


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Finished runs to look at (not to change): one a config, trained for a few epochs."""
    folder = tmp_path_factory.mktemp("runs")
    epochs = {"adult": 2, "breast_cancer": 4, "digits": 2}
    for config, count in epochs.items():
        train(folder / config, config, "--train.epochs", count, "--threads", 2)
    return {config: folder / config for config in epochs}


@pytest.fixture
def table(tmp_path):
    return make_table(tmp_path / "things.csv")


@pytest.fixture
def small_run(table, tmp_path):
    tandem(*small(table), "--out", tmp_path / "small")
    return tmp_path / "small"
