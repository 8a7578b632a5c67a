"""Models of scikit-learn, exported by skl2onnx: Tandem against onnxruntime on the same file, through `tandem conformance`.

Needs the program: $TANDEM_BIN, else build/release/bin/tandem.
"""
import json
import os
import pathlib
import subprocess

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
skl2onnx = pytest.importorskip("skl2onnx")
pytest.importorskip("sklearn")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from skl2onnx.common.data_types import FloatTensorType, StringTensorType  # noqa: E402
from sklearn import cluster, compose, decomposition, ensemble, feature_extraction, impute, linear_model, naive_bayes, neighbors  # noqa: E402
from sklearn import neural_network, pipeline, preprocessing, svm, tree  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.path.abspath(os.environ.get("TANDEM_BIN", ROOT / "build/release/bin/tandem"))
RNG = np.random.default_rng(3)
X = RNG.normal(size=(160, 5)).astype(np.float32)
CLASSES = (X[:, 0] + X[:, 1] * X[:, 2] > 0).astype(np.int64) + (X[:, 3] > 0.7)
BINARY_CLASSES = (X[:, 0] + X[:, 1] > 0).astype(np.int64)
VALUES = X[:, 0] * 2 - X[:, 1] ** 2 + 0.1 * X[:, 2]
OPSETS = {"": 18, "ai.onnx.ml": 3}
GAPS = X.copy()
GAPS[RNG.random(X.shape) < 0.1] = np.nan

CLASSIFIERS = [
    tree.DecisionTreeClassifier(max_depth=5, random_state=0),
    ensemble.RandomForestClassifier(12, max_depth=6, random_state=0),
    ensemble.ExtraTreesClassifier(12, random_state=0),
    ensemble.GradientBoostingClassifier(n_estimators=12, random_state=0),
    ensemble.AdaBoostClassifier(n_estimators=8, random_state=0),
    ensemble.BaggingClassifier(n_estimators=5, random_state=0),
    linear_model.LogisticRegression(),
    linear_model.SGDClassifier(random_state=0),
    linear_model.RidgeClassifier(),
    *[svm.SVC(kernel=kernel, random_state=0) for kernel in ("linear", "poly", "rbf", "sigmoid")],
    svm.LinearSVC(),
    naive_bayes.GaussianNB(),
    neighbors.KNeighborsClassifier(4),
    neural_network.MLPClassifier(hidden_layer_sizes=(8,), max_iter=30, random_state=0),
]
REGRESSORS = [
    tree.DecisionTreeRegressor(max_depth=5, random_state=0),
    ensemble.RandomForestRegressor(12, max_depth=6, random_state=0),
    ensemble.ExtraTreesRegressor(12, random_state=0),
    ensemble.GradientBoostingRegressor(n_estimators=12, random_state=0),
    linear_model.LinearRegression(),
    linear_model.Ridge(),
    *[svm.SVR(kernel=kernel) for kernel in ("linear", "poly", "rbf", "sigmoid")],
    svm.NuSVR(),
    neighbors.KNeighborsRegressor(4),
    neural_network.MLPRegressor(hidden_layer_sizes=(8,), max_iter=30, random_state=0),
]
OTHERS = [
    cluster.KMeans(4, n_init=1, random_state=0),
    decomposition.PCA(3),
    decomposition.TruncatedSVD(3, random_state=0),
    ensemble.IsolationForest(n_estimators=10, random_state=0),
    svm.OneClassSVM(),
    preprocessing.StandardScaler(),
    preprocessing.MinMaxScaler(),
    preprocessing.RobustScaler(),
    preprocessing.Normalizer("l1"),
    preprocessing.Binarizer(threshold=0.2),
    preprocessing.PolynomialFeatures(2),
    preprocessing.KBinsDiscretizer(3, encode="onehot-dense", quantile_method="averaged_inverted_cdf"),
]


def name_of(model):
    return type(model).__name__ + (f"-{model.kernel}" if hasattr(model, "kernel") else "")


def to_proto(value, declared):
    array = np.asarray(value)
    if array.dtype.kind in "OU":
        texts = [str(text).encode() for text in array.reshape(-1)]
        return helper.make_tensor(declared.name, TensorProto.STRING, array.shape, texts)
    return numpy_helper.from_array(array, declared.name)


def compare(folder, exported, feeds, atol=1e-5):
    """Runs both and lets Tandem's own comparison judge: types and shapes equal, numbers within 1e-3 relative."""
    session = onnxruntime.InferenceSession(exported.SerializeToString(), providers=["CPUExecutionProvider"])
    data = folder / "test_data_set_0"
    data.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(exported.SerializeToString())
    (folder / "data.json").write_text(json.dumps({"atol": atol, "rtol": 1e-3}))
    for i, info in enumerate(exported.graph.input):
        (data / f"input_{i}.pb").write_bytes(to_proto(feeds[info.name], info).SerializeToString())
    for i, (info, value) in enumerate(zip(exported.graph.output, session.run(None, feeds), strict=True)):
        if isinstance(value, list):  # a ZipMap: a dictionary a row, whose values Tandem gives as a matrix
            value = np.array([list(row.values()) for row in value], np.float32)
        (data / f"output_{i}.pb").write_bytes(to_proto(value, info).SerializeToString())
    done = subprocess.run([BINARY, "conformance", str(folder), "--json"], capture_output=True, text=True, timeout=120)
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["passed"] == 1, result["cases"]


def export(model, types=None, zipmap=False, **options):
    chosen = {id(model): {"zipmap": zipmap, **options}} if hasattr(model, "predict_proba") or options else None
    return skl2onnx.to_onnx(model, initial_types=types or [("x", FloatTensorType([None, X.shape[1]]))], options=chosen, target_opset=OPSETS)


@pytest.mark.parametrize("labels", ["binary", "three"])
@pytest.mark.parametrize("model", CLASSIFIERS, ids=name_of)
def test_classifier(tmp_path, model, labels):
    model = model.fit(X, BINARY_CLASSES if labels == "binary" else CLASSES)
    compare(tmp_path / "case", export(model), {"x": X})


@pytest.mark.parametrize("model", REGRESSORS, ids=name_of)
def test_regressor(tmp_path, model):
    compare(tmp_path / "case", export(model.fit(X, VALUES)), {"x": X}, atol=1e-4)


@pytest.mark.parametrize("model", OTHERS, ids=name_of)
def test_other(tmp_path, model):
    compare(tmp_path / "case", export(model.fit(X)), {"x": X}, atol=1e-4)


@pytest.mark.parametrize("labels", [BINARY_CLASSES, CLASSES], ids=["binary", "three"])
@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_probabilities_of_support_vectors(tmp_path, kernel, labels):
    model = svm.SVC(kernel=kernel, probability=True, random_state=0).fit(X, labels)
    compare(tmp_path / "case", export(model), {"x": X})


@pytest.mark.parametrize("model", [ensemble.HistGradientBoostingClassifier(max_iter=10, random_state=0),
                                   ensemble.HistGradientBoostingRegressor(max_iter=10, random_state=0)], ids=name_of)
def test_missing_values(tmp_path, monkeypatch, model):
    # skl2onnx hands over the directions of missing values as booleans, which newer protobuf refuses.
    def make_node(*args, **attributes):
        tracks = attributes.get("nodes_missing_value_tracks_true")
        if tracks is not None:
            attributes["nodes_missing_value_tracks_true"] = [int(track) for track in tracks]
        return helper.make_node(*args, **attributes)
    monkeypatch.setattr(skl2onnx.common._container, "make_node", make_node)
    model = model.fit(GAPS, BINARY_CLASSES if hasattr(model, "predict_proba") else VALUES)
    compare(tmp_path / "case", export(model), {"x": GAPS}, atol=1e-4)


def test_text_labels(tmp_path):
    names = np.array(["low", "middle", "high"])[CLASSES]
    compare(tmp_path / "case", export(ensemble.RandomForestClassifier(5, random_state=0).fit(X, names)), {"x": X})


def test_one_row_and_many(tmp_path):
    exported = export(ensemble.RandomForestRegressor(20, random_state=0).fit(X, VALUES))
    compare(tmp_path / "one", exported, {"x": X[:1]}, atol=1e-4)
    compare(tmp_path / "many", exported, {"x": RNG.normal(size=(3000, 5)).astype(np.float32)}, atol=1e-4)


@pytest.mark.parametrize("labels", [CLASSES, np.array(["a", "b", "c"])[CLASSES]], ids=["integers", "text"])
def test_zipmap(tmp_path, labels):
    compare(tmp_path / "case", export(linear_model.LogisticRegression().fit(X, labels), zipmap=True), {"x": X})


def test_columns_of_text_and_numbers(tmp_path):
    colours = np.array(["red", "green", "blue"])[RNG.integers(0, 3, 160)].reshape(-1, 1)
    words = np.array(["a quick fox", "lazy dogs sleep", "the quick dog", "a fox and a dog"])[RNG.integers(0, 4, 160)]
    columns = compose.ColumnTransformer([
        ("numbers", pipeline.make_pipeline(impute.SimpleImputer(), preprocessing.StandardScaler()), [0, 1]),
        ("colours", preprocessing.OneHotEncoder(handle_unknown="ignore"), [2]),
    ])
    frame = np.concatenate([GAPS[:, :2].astype(object), colours], axis=1)
    model = pipeline.make_pipeline(columns, linear_model.LogisticRegression()).fit(frame, BINARY_CLASSES)
    types = [("n0", FloatTensorType([None, 1])), ("n1", FloatTensorType([None, 1])), ("c", StringTensorType([None, 1]))]
    exported = skl2onnx.to_onnx(model, initial_types=types, options={id(model): {"zipmap": False}}, target_opset=OPSETS)
    asked = colours.copy()
    asked[3] = "violet"
    compare(tmp_path / "columns", exported, {"n0": GAPS[:, :1], "n1": GAPS[:, 1:2], "c": asked.astype(object)})

    vectorizer = feature_extraction.text.TfidfVectorizer(ngram_range=(1, 2), token_pattern="[a-zA-Z]+")
    classifier = pipeline.make_pipeline(vectorizer, ensemble.RandomForestClassifier(5, random_state=0)).fit(words, BINARY_CLASSES)
    exported = skl2onnx.to_onnx(classifier, initial_types=[("t", StringTensorType([None, 1]))],
                                options={id(classifier): {"zipmap": False}, id(vectorizer): {"tokenexp": "[a-zA-Z]+"}}, target_opset=OPSETS)
    try:
        onnxruntime.InferenceSession(exported.SerializeToString())
    except onnxruntime.capi.onnxruntime_pybind11_state.Fail as error:
        if "Locale" not in str(error):
            raise
        pytest.skip("onnxruntime lowers words in the locale en_US.UTF-8, which this machine lacks")
    compare(tmp_path / "words", exported, {"t": words.reshape(-1, 1).astype(object)})
