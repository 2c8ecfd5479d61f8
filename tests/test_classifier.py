"""MLPClassifier: labels, probabilities, and comparisons with scikit-learn."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_iris, make_multilabel_classification
from sklearn.exceptions import DataConversionWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from sknn_adam import Adam, MLPClassifier

X, CODES = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)
BINARY = (CODES == 1).astype(int)
LABELS_X, LABELS = make_multilabel_classification(
    n_samples=200, n_features=8, n_classes=4, random_state=0
)
LABELS_X = StandardScaler().fit_transform(LABELS_X)


def small(**params):
    defaults = {"hidden_layer_sizes": (8,), "max_iter": 60, "batch_size": 50, "random_state": 0}
    return MLPClassifier(**defaults | {"optimizer": Adam(learning_rate=0.02)} | params)


NAMES = [
    np.array(["versicolor", "setosa", "virginica"]),
    np.array(["versicolor", "setosa", "virginica"], dtype=object),
    np.array([30, -10, 20]),
    np.array([2.0, 0.0, 7.0]),
    np.array([1, 0, 2], dtype=np.uint8),
]


@pytest.mark.parametrize("names", NAMES, ids=lambda names: str(names.dtype))
def test_classes_can_have_any_dtype(names):
    y = names[CODES]
    model = small().fit(X, y)
    np.testing.assert_array_equal(model.classes_, np.sort(names))
    predicted = model.predict(X)
    assert predicted.dtype == y.dtype
    assert (predicted == y).mean() > 0.95
    # Classes are sorted; their names have no influence.
    order = np.argsort(names)
    plain = small().fit(X, np.argsort(order)[CODES])
    np.testing.assert_array_equal(model.predict_proba(X), plain.predict_proba(X))


@pytest.mark.parametrize(
    "names", [np.array([False, True]), np.array(["no", "yes"]), np.array([-1, 1])], ids=str
)
def test_binary_classifier_has_one_output(names):
    y = names[BINARY]
    model = small(hidden_layer_sizes=(16,)).fit(X, y)
    p, z = model.predict_proba(X), model.decision_function(X)
    assert model.classes_.tolist() == names.tolist()
    assert (model.n_outputs_, model.out_activation_) == (1, "logistic")
    assert model.coefs_[-1].shape == (16, 1)
    assert (z.shape, p.shape) == ((150,), (150, 2))
    np.testing.assert_allclose(z, np.log(p[:, 1] / p[:, 0]))
    np.testing.assert_array_equal(model.predict(X), names[(z > 0).astype(int)])
    assert model.predict(X).dtype == y.dtype
    assert model.score(X, y) > 0.9


def test_multiclass_classifier_has_one_output_per_class():
    model = small().fit(X, CODES)
    p, z = model.predict_proba(X), model.decision_function(X)
    assert (model.n_outputs_, model.out_activation_) == (3, "softmax")
    assert z.shape == p.shape == (150, 3)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_allclose(np.diff(z), np.diff(np.log(p)))
    np.testing.assert_array_equal(model.predict(X), p.argmax(axis=1))
    np.testing.assert_allclose(model.predict_log_proba(X), np.log(p))


def test_probabilities_of_zero_have_an_infinite_logarithm():
    model = small().fit(X, BINARY)
    log_p = model.predict_log_proba(1e30 * X)
    assert not np.isnan(log_p).any()
    assert (log_p == -np.inf).any()


@pytest.mark.parametrize("label", ["only", 3, True])
def test_single_class_is_always_predicted(label):
    model = small(max_iter=3).fit(X, np.full(150, label))
    assert model.classes_.tolist() == [label]
    np.testing.assert_array_equal(model.predict(X), np.full(150, label))
    np.testing.assert_array_equal(model.predict_proba(X), np.ones((150, 1)))
    assert model.predict_log_proba(X).tolist() == [[0.0]] * 150
    assert model.decision_function(X).shape == (150,)
    assert model.score(X, np.full(150, label)) == 1


@pytest.mark.parametrize("dtype", [int, float, bool])
def test_multilabel_probabilities_are_independent(dtype):
    model = small().fit(LABELS_X, LABELS.astype(dtype))
    p, predicted = model.predict_proba(LABELS_X), model.predict(LABELS_X)
    assert (model.n_outputs_, model.out_activation_) == (4, "logistic")
    assert model.classes_.tolist() == [0, 1, 2, 3]
    assert p.shape == predicted.shape == model.decision_function(LABELS_X).shape == (200, 4)
    # Labels are not exclusive.
    assert np.ptp(p.sum(axis=1)) > 0.1
    np.testing.assert_array_equal(predicted, (p > 0.5).astype(int))
    assert (predicted == LABELS).mean() > 0.8
    assert 0.5 < model.score(LABELS_X, LABELS) <= 1


@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csc_array, sparse.coo_array])
def test_sparse_label_matrix_equals_a_dense_one(container):
    dense = small(max_iter=3).fit(LABELS_X, LABELS)
    model = small(max_iter=3).fit(LABELS_X, container(LABELS))
    np.testing.assert_array_equal(model.predict_proba(LABELS_X), dense.predict_proba(LABELS_X))


def test_labels_are_independent_without_hidden_layers():
    # Without hidden layers, the labels do not share weights.
    params = {"hidden_layer_sizes": (), "optimizer": "lbfgs", "alpha": 0.01, "tol": 1e-9}
    params["batch_size"] = "auto"
    together = small(**params).fit(LABELS_X, LABELS)
    for k in range(4):
        alone = small(**params).fit(LABELS_X, LABELS[:, k])
        np.testing.assert_allclose(
            together.predict_proba(LABELS_X)[:, k], alone.predict_proba(LABELS_X)[:, 1], atol=1e-4
        )


def test_column_vector_of_labels_warns():
    with pytest.warns(DataConversionWarning, match="column-vector"):
        column = small(max_iter=3).fit(X, CODES[:, None])
    np.testing.assert_array_equal(column.predict(X), small(max_iter=3).fit(X, CODES).predict(X))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("y", [CODES, BINARY], ids=["three", "two"])
def test_network_without_hidden_layers_equals_logistic_regression(y, weighted):
    # scikit-learn penalizes the sum of the losses, so C = 1 / (alpha * total).
    weight = np.linspace(0.2, 3, 150) if weighted else np.ones(150)
    model = small(hidden_layer_sizes=(), optimizer="lbfgs", alpha=0.02, tol=1e-9, max_iter=1000)
    model.set_params(batch_size="auto").fit(X, y, sample_weight=weight)
    oracle = LogisticRegression(C=1 / (0.02 * weight.sum()), tol=1e-9, max_iter=10_000)
    oracle.fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(model.coefs_[0].T, oracle.coef_, atol=1e-3)
    np.testing.assert_allclose(model.predict_proba(X), oracle.predict_proba(X), atol=1e-4)


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "momentum", "nesterov", "sgd"])
def test_every_optimizer_approaches_the_optimum(optimizer):
    model = small(hidden_layer_sizes=(), optimizer=optimizer, alpha=0.02, max_iter=400, tol=0)
    # Without momentum, steps are ten times shorter.
    rate = 0.1 if optimizer != "sgd" else 1.0
    model.set_params(optimizer__learning_rate=rate, schedule="cosine", n_iter_no_change=np.inf)
    oracle = LogisticRegression(C=1 / (0.02 * 150), tol=1e-9, max_iter=10_000).fit(X, CODES)
    loss = log_loss(CODES, model.fit(X, CODES).predict_proba(X))
    assert loss == pytest.approx(log_loss(CODES, oracle.predict_proba(X)), rel=0.02)


@pytest.mark.parametrize("normalization", [None, "batch"])
def test_default_parameters_learn_a_table(normalization):
    table, y = load_breast_cancer(return_X_y=True)
    table = StandardScaler().fit_transform(table)
    model = MLPClassifier(normalization=normalization, random_state=0, max_iter=50)
    assert model.fit(table[::2], y[::2]).score(table[1::2], y[1::2]) > 0.95


# -- class_weight --------------------------------------------------------------------------------


def test_class_weight_equals_sample_weights_of_the_class():
    weights = {0: 0.5, 1: 3.0, 2: 1.0}
    by_class = small(max_iter=5, class_weight=weights).fit(X, CODES)
    by_sample = small(max_iter=5).fit(X, CODES, sample_weight=np.array([0.5, 3, 1])[CODES])
    np.testing.assert_array_equal(by_class.predict_proba(X), by_sample.predict_proba(X))
    assert (by_sample.predict_proba(X) != small(max_iter=5).fit(X, CODES).predict_proba(X)).any()


def test_class_weight_and_sample_weight_multiply():
    rows = np.linspace(0.5, 2, 150)
    both = small(max_iter=5, class_weight={1: 4.0}).fit(X, BINARY, sample_weight=rows)
    product = small(max_iter=5).fit(X, BINARY, sample_weight=rows * np.where(BINARY, 4, 1))
    np.testing.assert_allclose(both.predict_proba(X), product.predict_proba(X), rtol=1e-9)


def test_balanced_classes_have_equal_weight():
    rare = np.r_[0:50, 50:60]
    table, y = X[rare], np.where(CODES[rare] == 0, "many", "few")
    balanced = small(max_iter=5, class_weight="balanced").fit(table, y)
    by_hand = small(max_iter=5, class_weight={"many": 1, "few": 5}).fit(table, y)
    np.testing.assert_allclose(balanced.predict_proba(X), by_hand.predict_proba(X), rtol=1e-9)


# -- partial_fit ---------------------------------------------------------------------------------


def test_partial_fit_accepts_all_classes_in_advance():
    model = small()
    for _ in range(40):
        for code in (2, 0, 1):  # one class per call
            model.partial_fit(X[CODES == code], CODES[CODES == code], classes=[2, 1, 0])
    assert model.classes_.tolist() == [0, 1, 2]
    assert model.predict_proba(X).shape == (150, 3)
    assert len(model.loss_curve_) == 120
    assert len(np.unique(model.predict(X))) > 1


def test_partial_fit_accepts_one_sample_and_lists():
    model = small().partial_fit(X[:1], ["b"], ["a", "b"])
    assert model.partial_fit(X[1:3], ["a", "b"]).classes_.tolist() == ["a", "b"]


def test_partial_fit_learns():
    model = small()
    for _ in range(40):
        model.partial_fit(X, CODES)
    assert model.score(X, CODES) > 0.95


def test_partial_fit_accepts_a_label_matrix():
    model = small()
    for rows in (slice(0, 100), slice(100, 200)):
        model.partial_fit(LABELS_X[rows], LABELS[rows])
    assert model.predict(LABELS_X).shape == (200, 4)


def test_warm_start_refuses_other_classes():
    model = small(warm_start=True, max_iter=2).fit(X[:100], CODES[:100])
    with pytest.raises(ValueError, match="same classes as in the previous call to fit"):
        model.fit(X, CODES)
    assert model.classes_.tolist() == [0, 1]


def test_subclass_can_set_the_fitted_attributes():
    """They are plain attributes, as in scikit-learn's estimators."""

    class Named(MLPClassifier):
        def fit(self, X, y):
            super().fit(X, y)
            self.classes_ = np.array(["no", "yes"])[self.classes_]
            return self

    rng = np.random.default_rng(0)
    model = Named((4,), max_iter=2, random_state=0)
    assert not {"classes_", "n_outputs_"} & set(dir(model))
    model.fit(rng.normal(size=(20, 2)), np.arange(20) % 2)
    assert model.classes_.tolist() == ["no", "yes"]
    assert {"classes_", "n_outputs_"} <= vars(model).keys()


def test_many_classes_raise_the_warning_of_scikit_learn():
    with pytest.warns(UserWarning, match="greater than 50% of the number"):
        MLPClassifier((4,), max_iter=1, random_state=0).fit(X[:40], np.arange(40) % 30)
