"""Estimators and transformers of scikit-learn one by one, through skl2onnx: neighbours, processes, mixtures, ensembles of ensembles, factors."""
import numpy as np

from catalog import Built, network
from pipelines import NEEDS, convert, numeric, rows, three_classes


@network("skl2onnx", (17,), NEEDS)
def nearest_neighbours_by_distance(opset):
    """Through onnxruntime's CDist."""
    from sklearn.neighbors import KNeighborsClassifier
    return numeric(KNeighborsClassifier(5, weights="distance"), opset, optim="cdist")


@network("skl2onnx", (17,), NEEDS)
def nearest_neighbours_regression(opset):
    from sklearn.neighbors import KNeighborsRegressor
    return numeric(KNeighborsRegressor(4, metric="manhattan"), opset, target="number", classifier=False)


@network("skl2onnx", (17,), NEEDS)
def gaussian_process_with_noise(opset):
    """With the deviation of each prediction; through onnxruntime's CDist."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, RationalQuadratic, WhiteKernel
    kernel = ConstantKernel(1.0) * RationalQuadratic() + WhiteKernel(0.5)
    return numeric(GaussianProcessRegressor(kernel, optimizer=None), opset, target="number", classifier=False, optim="cdist", return_std=True)


@network("skl2onnx", (17,), NEEDS)
def bagging(opset):
    from sklearn.ensemble import BaggingClassifier
    from sklearn.linear_model import LogisticRegression
    return numeric(BaggingClassifier(LogisticRegression(), n_estimators=4, max_features=3, random_state=0), opset)


@network("skl2onnx", (17,), NEEDS)
def stacking(opset):
    from sklearn.ensemble import RandomForestClassifier, StackingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB
    return numeric(StackingClassifier([("bayes", GaussianNB()), ("trees", RandomForestClassifier(5, max_depth=4, random_state=0))],
                                      final_estimator=LogisticRegression(), cv=3), opset)


@network("skl2onnx", (17,), NEEDS)
def one_against_the_rest(opset):
    from sklearn.linear_model import SGDClassifier
    from sklearn.multiclass import OneVsRestClassifier
    return numeric(OneVsRestClassifier(SGDClassifier(loss="log_loss", random_state=0)), opset)


@network("skl2onnx", (17,), NEEDS)
def one_against_one(opset):
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsOneClassifier
    return numeric(OneVsOneClassifier(LogisticRegression()), opset)


@network("skl2onnx", (17,), NEEDS)
def calibrated(opset):
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.svm import LinearSVC
    return numeric(CalibratedClassifierCV(LinearSVC(random_state=0), method="isotonic", cv=2), opset)


@network("skl2onnx", (17,), NEEDS)
def local_outliers(opset):
    from sklearn.neighbors import LocalOutlierFactor
    return numeric(LocalOutlierFactor(8, novelty=True), opset, classifier=False)


@network("skl2onnx", (17,), NEEDS)
def gaussian_mixture(opset):
    from sklearn.mixture import GaussianMixture
    return numeric(GaussianMixture(3, random_state=0), opset, classifier=False)


@network("skl2onnx", (17,), NEEDS)
def bayesian_mixture(opset):
    from sklearn.mixture import BayesianGaussianMixture
    return numeric(BayesianGaussianMixture(n_components=3, random_state=0), opset, classifier=False)


@network("skl2onnx", (17,), NEEDS)
def kernel_components(opset):
    from sklearn.decomposition import KernelPCA
    from sklearn.linear_model import Ridge
    return numeric(Ridge(), opset, target="number", classifier=False, steps=(KernelPCA(3, kernel="rbf"),))


@network("skl2onnx", (17,), NEEDS)
def bins(opset):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import KBinsDiscretizer
    return numeric(LogisticRegression(), opset, steps=(KBinsDiscretizer(4, encode="onehot-dense", quantile_method="averaged_inverted_cdf"),))


@network("skl2onnx", (17,), NEEDS)
def power_transform(opset):
    from sklearn.linear_model import LinearRegression
    from sklearn.preprocessing import PowerTransformer
    return numeric(LinearRegression(), opset, target="number", classifier=False, steps=(PowerTransformer(),))


@network("skl2onnx", (17,), NEEDS)
def truncated_factors(opset):
    from sklearn.decomposition import TruncatedSVD
    from sklearn.svm import NuSVC
    return numeric(NuSVC(nu=0.3, probability=True, random_state=0), opset, steps=(TruncatedSVD(3, random_state=0),))


@network("skl2onnx", (18,), NEEDS)
def neighbours_fill_gaps(opset):
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.impute import KNNImputer
    return numeric(RandomForestRegressor(5, max_depth=5, random_state=0), opset, target="number", classifier=False, steps=(KNNImputer(),))


@network("skl2onnx", (17,), NEEDS)
def discriminants(opset):
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
    from sklearn.ensemble import VotingClassifier
    return numeric(VotingClassifier([("line", LinearDiscriminantAnalysis()), ("square", QuadraticDiscriminantAnalysis())], voting="soft",
                                    flatten_transform=False), opset)


@network("skl2onnx", (17,), NEEDS)
def counts_of_events(opset):
    from sklearn.linear_model import TweedieRegressor
    from sklearn.preprocessing import MaxAbsScaler
    return numeric(TweedieRegressor(power=0, alpha=0.1), opset, target="number", classifier=False, steps=(MaxAbsScaler(),))


@network("skl2onnx", (17,), NEEDS)
def chosen_columns(opset):
    from sklearn.feature_selection import SelectKBest, VarianceThreshold, f_classif
    from sklearn.tree import DecisionTreeClassifier
    return numeric(DecisionTreeClassifier(max_depth=5, random_state=0), opset, steps=(VarianceThreshold(), SelectKBest(f_classif, k=2)))


@network("skl2onnx", (17,), NEEDS)
def many_outputs(opset):
    """Three numbers at once, each of its own forest."""
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.ensemble import GradientBoostingRegressor
    from sklearn.multioutput import MultiOutputRegressor
    numbers, _, _, score = rows()
    model = MultiOutputRegressor(GradientBoostingRegressor(n_estimators=4, random_state=0)).fit(numbers, np.stack([score, score ** 2, -score], 1))
    return convert(model, [("X", FloatTensorType([None, 4]))], [{"X": rows(n, seed=n)[0]} for n in (7, 1, 33)], opset)


@network("skl2onnx", (17,), NEEDS)
def words_and_pairs_of_words(opset):
    """Counts of words and pairs, in lower case and without the commonest."""
    from skl2onnx.common.data_types import StringTensorType
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline
    _, _, text, score = rows()
    upper = np.char.capitalize(text)
    model = make_pipeline(CountVectorizer(ngram_range=(1, 2), stop_words=["new"], token_pattern="[a-zA-Z]+"), MultinomialNB())
    model.fit(upper, three_classes(score))
    feeds = [{"text": np.char.capitalize(rows(n, seed=n)[2]).astype(object)[:, None]} for n in (6, 1, 20)]
    return convert(model, [("text", StringTensorType([None, 1]))], feeds, opset, {CountVectorizer: {"locale": "C.UTF-8"}}, zipmap=False)


@network("skl2onnx", (17,), NEEDS)
def characters_of_words(opset):
    from skl2onnx.common.data_types import StringTensorType
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    _, city, _, score = rows()
    model = make_pipeline(TfidfVectorizer(analyzer="char", ngram_range=(1, 2), lowercase=False), LogisticRegression())
    model.fit(city, three_classes(score))
    return convert(model, [("city", StringTensorType([None, 1]))], [{"city": rows(n, seed=n)[1].astype(object)[:, None]} for n in (6, 1, 20)],
                   opset, zipmap=False)


@network("skl2onnx", (17,), NEEDS)
def hashed_words(opset):
    """Through onnxruntime's MurmurHash3."""
    from skl2onnx.common.data_types import StringTensorType
    from sklearn.feature_extraction import FeatureHasher
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    _, city, _, score = rows()
    model = make_pipeline(FeatureHasher(8, input_type="string", dtype=np.float32), LogisticRegression())
    model.fit(city[:, None], three_classes(score))
    return convert(model, [("city", StringTensorType([None, 1]))], [{"city": rows(n, seed=n)[1].astype(object)[:, None]} for n in (6, 1, 20)],
                   opset, zipmap=False)


@network("skl2onnx", (17,), NEEDS)
def ordinals(opset):
    from skl2onnx.common.data_types import StringTensorType
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder
    _, city, _, score = rows()
    model = make_pipeline(OrdinalEncoder(), ExtraTreesClassifier(5, random_state=0)).fit(city[:, None], three_classes(score))
    return convert(model, [("city", StringTensorType([None, 1]))], [{"city": rows(n, seed=n)[1].astype(object)[:, None]} for n in (6, 1, 20)],
                   opset, zipmap=False)


@network("skl2onnx", (17,), NEEDS)
def by_target_means(opset):
    from skl2onnx.common.data_types import StringTensorType
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import TargetEncoder
    _, city, _, score = rows()
    model = make_pipeline(TargetEncoder(target_type="continuous", random_state=0), Ridge()).fit(city[:, None], score)
    return convert(model, [("city", StringTensorType([None, 1]))], [{"city": rows(n, seed=n)[1].astype(object)[:, None]} for n in (6, 1, 20)], opset)
