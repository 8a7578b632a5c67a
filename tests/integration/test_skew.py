"""No skew: one model.onnx gives the same probabilities in onnxruntime, in `tandem run` from every kind of file, and in `tandem eval`."""
import gzip
import json

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from conftest import ADULT_COLUMNS, DATASETS, adult_rows, digits_rows, tandem, write_csv

NUMBERS = {"age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week"}


def reference(model, feed):
    """What onnxruntime answers: {output: array}."""
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {i.name: feed[i.name] for i in session.get_inputs()})))


def check_same(answer, expected):
    np.testing.assert_allclose(answer["probabilities"].astype(np.float64), expected["probabilities"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(answer["probabilities"].sum(axis=1), 1, atol=1e-5)
    # Where the two largest lie closer than the tolerance, either class is right.
    ordered = np.sort(expected["probabilities"], axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > 2e-5
    assert (answer["label"].astype(str)[clear] == expected["label"].astype(str)[clear]).all()
    assert clear.mean() > 0.95


def run_file(model, path, out, *flags):
    tandem("run", model, "--input", path, "--output", out, *flags)
    return dict(np.load(out))


def adult_feed(rows):
    columns = list(zip(*rows))
    feed = {}
    for name, cells in zip(ADULT_COLUMNS, columns):
        if name == "income":
            continue
        if name in NUMBERS:
            feed[name] = np.array([[np.nan if c == "?" else float(c)] for c in cells], dtype=np.float32)
        else:
            feed[name] = np.array([[c] for c in cells], dtype=object)
    return feed


def awkward_adults():
    """Real rows, then the same with no value, with categories that training never saw and with numbers out of any range."""
    rows = adult_rows(400, skip=20000)
    position = {name: i for i, name in enumerate(ADULT_COLUMNS)}
    for row, name, value in [(0, "age", "?"), (1, "workclass", "?"), (2, "native_country", "Atlantis"), (3, "occupation", "Ünïcode-wörk"),
                             (4, "capital_gain", "?"), (5, "hours_per_week", "100000"), (6, "education", ""), (7, "sex", "male"),
                             (8, "race", "NaN"), (9, "fnlwgt", "0.5"), (10, "relationship", "x" * 300)]:
        rows[row][position[name]] = value
    for name in NUMBERS:
        rows[11][position[name]] = "?"
    for name in set(ADULT_COLUMNS) - NUMBERS - {"income"}:
        rows[12][position[name]] = "?"
    return rows


@pytest.mark.parametrize("batch", [1, 7, 64, 400])
def test_adult_from_every_file(runs, tmp_path, batch):
    model, rows = runs["adult"] / "model.onnx", awkward_adults()[:batch]
    feed = adult_feed(rows)
    expected = reference(model, feed)
    names = ADULT_COLUMNS[:-1]

    csv = write_csv(tmp_path / "people.csv", ADULT_COLUMNS, rows)
    check_same(run_file(model, csv, tmp_path / "csv.npz"), expected)
    packed = tmp_path / "people.csv.gz"
    packed.write_bytes(gzip.compress(csv.read_bytes()))
    check_same(run_file(model, packed, tmp_path / "gz.npz", "--threads", "2"), expected)

    people = [{n: None if n in NUMBERS and c == "?" else float(c) if n in NUMBERS else c for n, c in zip(names, row)} for row in rows]
    (tmp_path / "people.json").write_text(json.dumps(people))
    check_same(run_file(model, tmp_path / "people.json", tmp_path / "json.npz"), expected)
    (tmp_path / "columns.json").write_text(json.dumps({n: [p[n] for p in people] for n in names}))
    check_same(run_file(model, tmp_path / "columns.json", tmp_path / "columns.npz"), expected)

    np.savez(tmp_path / "people.npz", **{n: a if n in NUMBERS else a.astype(str) for n, a in feed.items()})
    check_same(run_file(model, tmp_path / "people.npz", tmp_path / "npz.npz"), expected)


def test_adult_last_probability_is_of_the_rich(runs, tmp_path):
    rows = adult_rows(1500, skip=10000)
    answer = run_file(runs["adult"] / "model.onnx", write_csv(tmp_path / "people.csv", ADULT_COLUMNS, rows), tmp_path / "out.npz")
    rich = np.array([row[-1] == ">50K" for row in rows])
    assert answer["probabilities"].shape == (1500, 2)
    assert roc_auc_score(rich, answer["probabilities"][:, -1]) > 0.85
    assert set(answer["label"].astype(str)) == {"<=50K", ">50K"}
    assert ((answer["probabilities"][:, 1] > answer["probabilities"][:, 0]) == (answer["label"].astype(str) == ">50K")).all()


@pytest.mark.parametrize("batch", [1, 64, 569])
def test_breast_cancer(runs, tmp_path, batch):
    model = runs["breast_cancer"] / "model.onnx"
    with gzip.open(DATASETS / "breast_cancer.csv.gz", "rt") as file:
        cells = np.array([[float(c) for c in line.split(",")] for line in file.read().splitlines()[1:]])[:batch]
    names = [i.name for i in onnx.load(model).graph.input]
    feed = {n: cells[:, i:i + 1].astype(np.float32) for i, n in enumerate(names)}
    feed[names[3]][0] = np.nan
    np.savez(tmp_path / "rows.npz", **feed)
    check_same(run_file(model, tmp_path / "rows.npz", tmp_path / "out.npz"), reference(model, feed))


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_digits(runs, tmp_path, batch):
    model = runs["digits"] / "model.onnx"
    images = (digits_rows()[:batch, :64].reshape(-1, 1, 8, 8) * 0.0625).astype(np.float32)
    np.save(tmp_path / "rows.npy", images)
    expected = reference(model, {"image": images})
    check_same(run_file(model, f"image={tmp_path / 'rows.npy'}", tmp_path / "out.npz"), expected)
    check_same(run_file(model, tmp_path / "rows.npy", tmp_path / "out.npz", "--disable-pass", "epilogue_fusion"), expected)
    assert expected["label"].dtype == np.int64


@pytest.mark.parametrize("config", ["adult", "breast_cancer", "digits"])
def test_the_file_is_plain_onnx(runs, config):
    model = onnx.load(runs[config] / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert {o.domain for o in model.opset_import} <= {"", "ai.onnx", "ai.onnx.ml"}
    assert {n.domain for n in model.graph.node} <= {"", "ai.onnx.ml"}
    if config == "adult":
        assert [i.name for i in model.graph.input if i.name in ADULT_COLUMNS] and {i.name for i in model.graph.input} == set(ADULT_COLUMNS[:-1])
        for i in model.graph.input:
            assert i.type.tensor_type.elem_type == (onnx.TensorProto.FLOAT if i.name in NUMBERS else onnx.TensorProto.STRING)


def test_eval_measures_what_onnxruntime_answers(runs, tmp_path):
    rows = awkward_adults()
    people = write_csv(tmp_path / "people.csv", [], rows)
    measured = tandem("eval", runs["adult"], "--data", people, "--resamples", 20, "--json").json
    probability = reference(runs["adult"] / "model.onnx", adult_feed(rows))["probabilities"][:, 1].astype(np.float64)
    rich = np.array([row[-1] == ">50K" for row in rows])
    assert measured["rows"] == len(rows)
    assert measured["metrics"]["roc_auc"]["value"] == pytest.approx(roc_auc_score(rich, probability), abs=2e-4)
    assert measured["metrics"]["log_loss"]["value"] == pytest.approx(log_loss(rich, probability), abs=1e-5)
    assert measured["metrics"]["accuracy"]["value"] == pytest.approx(np.mean(rich == (probability > 0.5)), abs=1e-9)


@pytest.mark.parametrize("config", ["adult", "breast_cancer", "digits"])
def test_eval_of_the_run_gives_its_manifest(runs, config):
    """The test rows measured again from the files: the same numbers, to the last bit that JSON shows."""
    manifest = json.loads((runs[config] / "manifest.json").read_text())
    again = tandem("eval", runs[config], "--json").json
    assert again["rows"] == manifest["test"]["rows"]
    for name, metric in manifest["metrics"]["model"].items():
        assert again["metrics"][name]["value"] == pytest.approx(metric["value"], abs=1e-6), name


@pytest.mark.parametrize("config", ["adult", "breast_cancer", "digits"])
def test_golden_samples_hold_in_onnxruntime(runs, config):
    golden = json.loads((runs[config] / "manifest.json").read_text())["golden"]
    kinds = {"f32": np.float32, "string": object, "i64": np.int64}
    array = lambda t: np.array([np.nan if v is None else v for v in t["data"]], dtype=kinds[t["dtype"]]).reshape(t["shape"])
    expected = reference(runs[config] / "model.onnx", {n: array(t) for n, t in golden["inputs"].items()})
    check_same({n: array(t) for n, t in golden["outputs"].items()}, expected)


def test_eval_knows_the_classes_of_the_run(runs, tmp_path):
    """Rows that lack some classes keep the ids of the others."""
    rows = [row for row in digits_rows() if row[-1] >= 5]
    some = write_csv(tmp_path / "some.csv", [], [[f"{v:g}" for v in row] for row in rows])
    measured = tandem("eval", runs["digits"], "--data", some, "--resamples", 10, "--json").json
    images = np.array([row[:64] for row in rows]).reshape(-1, 1, 8, 8).astype(np.float32) * np.float32(0.0625)
    labels = reference(runs["digits"] / "model.onnx", {"image": images})["label"]
    assert measured["rows"] == len(rows)
    assert measured["metrics"]["accuracy"]["value"] == pytest.approx(np.mean(labels == [row[-1] for row in rows]), abs=2e-3)
