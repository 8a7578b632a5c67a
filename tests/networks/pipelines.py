"""scikit-learn pipelines, fitted on seeded data, through skl2onnx: columns of numbers, categories and text before trees, SVMs and clusters."""
import numpy as np

from catalog import Built, network

NEEDS = ("scikit-learn", "skl2onnx")
CITIES = np.array(["Bern", "Oslo", "Rome", "Paris"])
WORDS = np.array(["good", "bad", "slow", "fast", "broken", "new", "lovely", "old"])


def rows(count=120, seed=0):
    """Numbers, a category and a text a row, and classes, and a number to tell."""
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(count, 4)).astype(np.float32)
    city = CITIES[random.integers(0, 4, count)]
    text = np.array([" ".join(random.choice(WORDS, random.integers(2, 6))) for _ in range(count)])
    score = numbers[:, 0] - 0.5 * numbers[:, 2] + (city == "Rome") + np.char.count(text, "good")
    return numbers, city, text, score.astype(np.float32)


def three_classes(score):
    return np.digitize(score, np.quantile(score, [0.4, 0.8]))


def convert(pipeline, types, feeds, opset, options=None, **last_options):
    """`options` of classes or objects; `last_options`: of the last step."""
    import skl2onnx
    if last_options:
        last = pipeline.steps[-1][1] if hasattr(pipeline, "steps") else pipeline
        options = {**(options or {}), id(last): last_options}
    model = skl2onnx.to_onnx(pipeline, initial_types=types, target_opset={"": opset, "ai.onnx.ml": 3}, options=options)
    return Built(model.SerializeToString(), feeds)


def numeric(estimator, opset, target="class", classifier=True, steps=(), **options):
    """Numbers only, with batches of several sizes."""
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.pipeline import make_pipeline
    numbers, _, _, score = rows()
    pipeline = make_pipeline(*steps, estimator)
    pipeline.fit(numbers, {"class": three_classes(score), "yes or no": (score > 0).astype(np.int64), "number": score}[target])
    feeds = [{"X": rows(count, seed=count)[0]} for count in (7, 1, 33)]
    options |= {"zipmap": False} if classifier else {}
    return convert(pipeline, [("X", FloatTensorType([None, 4]))], feeds, opset, **options)


def mixed(estimator, opset):
    """Scaled numbers, one-hot categories, and counts of words of a text."""
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
    import pandas
    numbers, city, text, score = rows()
    names = ["a", "b", "c", "d"]

    def frame(numbers, city, text):
        return pandas.DataFrame({**dict(zip(names, numbers.T)), "city": city, "text": text})
    columns = ColumnTransformer([("numbers", make_pipeline(SimpleImputer(), StandardScaler()), names),
                                 ("city", OneHotEncoder(handle_unknown="ignore"), ["city"]),
                                 ("text", TfidfVectorizer(lowercase=False), "text")])
    pipeline = make_pipeline(columns, estimator)
    labels = np.array(["low", "middle", "high"])[three_classes(score)]
    pipeline.fit(frame(numbers, city, text), labels)
    feeds = []
    for count in (6, 1, 20):
        numbers, city, text, _ = rows(count, seed=count)
        feeds.append({**{name: column[:, None].copy() for name, column in zip(names, numbers.T)},
                      "city": city[:, None].astype(object), "text": text[:, None].astype(object)})
    types = [*((name, FloatTensorType([None, 1])) for name in names), ("city", StringTensorType([None, 1])),
             ("text", StringTensorType([None, 1]))]
    return convert(pipeline, types, feeds, opset, zipmap=False)


@network("skl2onnx", (15, 21), (*NEEDS, "pandas"))
def columns_and_random_forest(opset):
    from sklearn.ensemble import RandomForestClassifier
    return mixed(RandomForestClassifier(n_estimators=12, max_depth=6, random_state=0), opset)


@network("skl2onnx", (17,), (*NEEDS, "pandas"))
def columns_and_logistic_regression(opset):
    from sklearn.linear_model import LogisticRegression
    return mixed(LogisticRegression(max_iter=500), opset)


@network("skl2onnx", (17,), NEEDS)
def gradient_boosting(opset):
    from sklearn.ensemble import GradientBoostingClassifier
    return numeric(GradientBoostingClassifier(n_estimators=10, random_state=0), opset)


@network("skl2onnx", (17,), NEEDS)
def boosted_trees(opset):
    from sklearn.ensemble import AdaBoostClassifier
    return numeric(AdaBoostClassifier(n_estimators=6, random_state=0), opset)


@network("skl2onnx", (17,), NEEDS)
def extra_trees_regression(opset):
    from sklearn.ensemble import ExtraTreesRegressor
    return numeric(ExtraTreesRegressor(n_estimators=10, max_depth=5, random_state=0), opset, target="number", classifier=False)


@network("skl2onnx", (17,), NEEDS)
def support_vectors(opset):
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC
    return numeric(SVC(probability=True, random_state=0), opset, steps=(StandardScaler(),))


@network("skl2onnx", (17,), NEEDS)
def support_vector_regression(opset):
    from sklearn.preprocessing import MinMaxScaler
    from sklearn.svm import SVR
    return numeric(SVR(), opset, target="number", classifier=False, steps=(MinMaxScaler(),))


@network("skl2onnx", (17,), NEEDS)
def principal_components_and_k_means(opset):
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    return numeric(KMeans(n_clusters=4, n_init=2, random_state=0), opset, classifier=False, steps=(PCA(3, random_state=0),))


@network("skl2onnx", (17,), NEEDS)
def nearest_neighbours(opset):
    from sklearn.neighbors import KNeighborsClassifier
    return numeric(KNeighborsClassifier(5), opset)


@network("skl2onnx", (17,), NEEDS)
def naive_bayes(opset):
    from sklearn.naive_bayes import GaussianNB
    return numeric(GaussianNB(), opset)


@network("skl2onnx", (17,), NEEDS)
def perceptron(opset):
    from sklearn.neural_network import MLPClassifier
    from sklearn.preprocessing import PolynomialFeatures, RobustScaler
    return numeric(MLPClassifier((16, 8), max_iter=300, random_state=0), opset, steps=(RobustScaler(), PolynomialFeatures(2)))


@network("skl2onnx", (17,), NEEDS)
def voting(opset):
    from sklearn.ensemble import VotingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.tree import DecisionTreeClassifier
    return numeric(VotingClassifier([("line", LogisticRegression()), ("tree", DecisionTreeClassifier(max_depth=4, random_state=0))],
                                    voting="soft", flatten_transform=False), opset)


@network("skl2onnx", (17,), NEEDS)
def gaussian_process(opset):
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF
    return numeric(GaussianProcessRegressor(RBF(1.0), alpha=0.1), opset, target="number", classifier=False)


@network("skl2onnx", (17,), NEEDS)
def isolation_forest(opset):
    from sklearn.ensemble import IsolationForest
    return numeric(IsolationForest(n_estimators=8, random_state=0), opset, classifier=False)
