"""Tandem's metrics beside scikit-learn's, to 1e-9, on random predictions with ties, constant scores, rare and absent classes.

Needs numpy, scikit-learn and the program metrics_probe: in $TANDEM_BIN_DIR, else build/release/bin.
"""

import json
import os
import pathlib
import subprocess

import numpy as np
import pytest

sklearn_metrics = pytest.importorskip("sklearn.metrics")

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROBE = pathlib.Path(os.environ.get("TANDEM_BIN_DIR", ROOT / "build/release/bin")) / "metrics_probe"

pytestmark = pytest.mark.skipif(not PROBE.exists(), reason=f"{PROBE} is not built")


def probe(tmp_path, save=np.savez, **arrays):
    save(tmp_path / "in.npz", **arrays)
    run = subprocess.run([PROBE, tmp_path / "in.npz"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return {name: tuple(values) for name, values in json.loads(run.stdout).items()}


def expected_calibration_error(y, p, bins=15):
    confidence, correct = p.max(axis=1), p.argmax(axis=1) == y
    upper = np.arange(1, bins + 1) / bins
    index = np.searchsorted(upper, confidence, side="left").clip(0, bins - 1)
    error = 0.0
    for b in range(bins):
        inside = index == b
        if inside.any():
            error += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    return error


def expected(y, p):
    classes = p.shape[1]
    predicted = p.argmax(axis=1)
    if classes == 2:
        rates = sklearn_metrics.precision_recall_fscore_support(y, predicted, average="binary", zero_division=0)
        ones = [1]
    else:
        labels = list(range(classes))
        rates = sklearn_metrics.precision_recall_fscore_support(y, predicted, labels=labels, average="macro", zero_division=0)
        ones = [c for c in labels if (y == c).any()]
    labels = list(range(classes))
    return {
        "accuracy": sklearn_metrics.accuracy_score(y, predicted),
        "precision": rates[0],
        "recall": rates[1],
        "f1": rates[2],
        "roc_auc": np.mean([sklearn_metrics.roc_auc_score(y == c, p[:, c]) for c in ones]),
        "pr_auc": np.mean([sklearn_metrics.average_precision_score(y == c, p[:, c]) for c in ones]),
        "log_loss": sklearn_metrics.log_loss(y, p, labels=labels),
        "brier": sklearn_metrics.brier_score_loss(y, p, labels=labels),
        "ece": expected_calibration_error(y, p),
    }


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def binary(y, p1):
    return y, np.stack([1 - p1, p1], axis=1)


def cases():
    rng = np.random.default_rng(20240901)
    y = rng.integers(0, 2, 2000)
    yield "binary", binary(y, np.clip(0.3 * y + 0.7 * rng.random(2000), 0, 1))
    yield "ties", binary(y, np.round(np.clip(0.3 * y + 0.7 * rng.random(2000), 0, 1), 1))
    yield "constant", binary(y, np.full(2000, 0.25))
    yield "certain", binary(y, rng.integers(0, 2, 2000).astype(float))
    rare = (rng.random(5000) < 0.01).astype(int)
    yield "imbalanced", binary(rare, np.clip(0.02 + 0.2 * rare + 0.1 * rng.random(5000), 0, 1))
    yield "tiny", binary(np.array([0, 1, 1]), np.array([0.2, 0.2, 0.9]))
    for classes in (3, 10):
        y = rng.integers(0, classes, 1500)
        yield f"{classes} classes", (y, softmax(2 * np.eye(classes)[y] + rng.normal(size=(1500, classes))))
    y = rng.integers(0, 3, 800)  # classes 3 and 4 never occur
    yield "absent classes", (y, softmax(np.eye(5)[y] + rng.normal(size=(800, 5))))
    p = np.round(softmax(np.eye(4)[rng.integers(0, 4, 600)]), 2)
    yield "tied multiclass", (rng.integers(0, 4, 600), p / p.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("name,data", list(cases()), ids=lambda value: value if isinstance(value, str) else "")
def test_classifier(tmp_path, name, data):
    y, p = data
    measured = probe(tmp_path, y=y.astype(np.int64), p=p)
    wanted = expected(y, p)
    assert measured.keys() == wanted.keys()
    for metric, value in wanted.items():
        found, low, high = measured[metric]
        assert found == pytest.approx(value, rel=1e-9, abs=1e-9), metric
        assert low <= high
        assert low - 1e-12 <= found <= high + 1e-12 or metric in ("ece", "precision", "recall", "f1"), (metric, low, found, high)


def test_compressed_archives_read_alike(tmp_path):
    y, p = dict(cases())["binary"]
    assert probe(tmp_path, y=y, p=p) == probe(tmp_path, save=np.savez_compressed, y=y, p=p)


def test_bootstrap_intervals_agree_with_another_bootstrap(tmp_path):
    y, p = dict(cases())["binary"]
    measured = probe(tmp_path, y=y, p=p)
    rng = np.random.default_rng(1)
    resamples = [rng.integers(0, len(y), len(y)) for _ in range(1000)]
    for metric, score in {
        "roc_auc": lambda i: sklearn_metrics.roc_auc_score(y[i], p[i, 1]),
        "brier": lambda i: sklearn_metrics.brier_score_loss(y[i], p[i, 1]),
    }.items():
        low, high = np.percentile([score(i) for i in resamples], [2.5, 97.5])
        assert measured[metric][1] == pytest.approx(low, abs=0.15 * (high - low))
        assert measured[metric][2] == pytest.approx(high, abs=0.15 * (high - low))


def test_wilson_interval(tmp_path):
    scipy_stats = pytest.importorskip("scipy.stats")
    y, p = dict(cases())["binary"]
    wanted = scipy_stats.binomtest(int((p.argmax(1) == y).sum()), len(y)).proportion_ci(0.95, method="wilson")
    assert probe(tmp_path, y=y, p=p)["accuracy"][1:] == pytest.approx((wanted.low, wanted.high), abs=1e-9)


def test_regression(tmp_path):
    rng = np.random.default_rng(3)
    t = rng.normal(size=1000).astype(np.float32)
    q = (t + 0.3 * rng.normal(size=1000)).astype(np.float32)
    measured = probe(tmp_path, t=t, q=q)
    wide_t, wide_q = t.astype(np.float64), q.astype(np.float64)
    assert measured["mse"][0] == pytest.approx(sklearn_metrics.mean_squared_error(wide_t, wide_q), abs=1e-9)
    assert measured["mae"][0] == pytest.approx(sklearn_metrics.mean_absolute_error(wide_t, wide_q), abs=1e-9)
    assert measured["r2"][0] == pytest.approx(sklearn_metrics.r2_score(wide_t, wide_q), abs=1e-9)
