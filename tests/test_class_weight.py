"""Weights of classes and of rows, several columns of classes, and the scaling of targets."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

from sknn_adam import SGD, Adam, MLPClassifier, MLPRegressor

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 4))
CODES = np.digitize(X @ [1.0, 2.0, 0.0, -1.0] + RNG.normal(size=80), [-1, 3])  # few of class 2
WORDS = np.array(["a", "b", "c"])[CODES]
MATRIX = (X[:, :3] + RNG.normal(size=(80, 3)) > [0.5, 1.0, -1.0]).astype(int)
COLUMNS = np.c_[CODES, 5 + MATRIX[:, 0], np.digitize(X[:, 2], [-1, 0, 1])]
ROWS = RNG.uniform(0.2, 3, size=80)


def small(**params):
    defaults = {"hidden_layer_sizes": (6,), "batch_size": 16, "max_iter": 6, "random_state": 0}
    return MLPClassifier(**defaults | {"optimizer": Adam(learning_rate=0.02)} | params)


def outputs(model):
    z = model.decision_function(X)
    return np.column_stack(z) if isinstance(z, list) else z


def close(a, b, rtol=1e-9):
    np.testing.assert_allclose(outputs(a), outputs(b), rtol=rtol, atol=rtol)


def differ(a, b):
    assert np.abs(outputs(a) - outputs(b)).max() > 1e-3


# -- weights of classes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "y", [CODES, WORDS, CODES > 0, MATRIX[:, 1]], ids=["codes", "words", "bools", "two"]
)
@pytest.mark.parametrize("rows", [None, ROWS], ids=["plain", "weighted"])
def test_a_class_weight_is_a_sample_weight(y, rows):
    names = np.unique(y).tolist()
    given = {name: 0.3 + 2 * k for k, name in enumerate(names)}
    by_hand = np.array([given[name] for name in y.tolist()]) * (1 if rows is None else rows)
    model = small(class_weight=given).fit(X, y, rows)
    close(model, small().fit(X, y, by_hand))
    differ(model, small().fit(X, y, rows))


def test_classes_that_are_not_named_have_weight_one():
    model = small(class_weight={"c": 5}).fit(X, WORDS)
    close(model, small(class_weight={"a": 1, "b": 1.0, "c": np.float64(5)}).fit(X, WORDS))


def test_a_class_of_weight_zero_is_known_but_not_learned():
    """Its rows count for the size of batches, and have no say."""
    model = small(class_weight={"c": 0}).fit(X, WORDS)
    assert model.classes_.tolist() == ["a", "b", "c"]
    spoiled = np.where((WORDS == "c")[:, None], 3.0, X)
    close(model, small(class_weight={"c": 0}).fit(spoiled, WORDS))


def test_names_of_absent_classes_are_left_out_if_all_others_have_a_weight():
    """As in scikit-learn's compute_class_weight: a fold may lack a rare class."""
    given = {"a": 1.0, "b": 2.0, "c": 5.0, "d": 9.0, 7: 1.0}
    close(
        small(class_weight=given).fit(X, WORDS), small(class_weight={"b": 2, "c": 5}).fit(X, WORDS)
    )
    few = WORDS != "c"
    found = dict(
        zip(
            "ab",
            compute_class_weight(given, classes=np.array(["a", "b"]), y=WORDS[few]),
            strict=True,
        )
    )
    close(
        small(class_weight=given).fit(X[few], WORDS[few]),
        small(class_weight=found).fit(X[few], WORDS[few]),
    )
    columns = [{0: 1, 1: 2, 2: 3, 9: 4}, {5: 1, 6: 2, 7: 9}, {0: 1, 1: 1, 2: 1, 3: 1, 4: 1}]
    known = [{0: 1, 1: 2, 2: 3}, {5: 1, 6: 2}, {0: 1}]
    close(small(class_weight=columns).fit(X, COLUMNS), small(class_weight=known).fit(X, COLUMNS))


# -- samples of weight zero ----------------------------------------------------------------------

NO_C = np.where(WORDS == "c", 0.0, ROWS)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"early_stopping": True, "validation_fraction": 0.3},
        {"early_stopping": True, "scoring": "neg_log_loss"},
        {"early_stopping": True, "n_members": 3},
        {"early_stopping": True, "n_members": 2, "scoring": "neg_log_loss"},
        {"class_weight": "balanced"},
        {"class_weight": {"a": 1, "b": 2, "c": 3}},
        {"optimizer": "lbfgs", "batch_size": "auto"},
        {"loss": "focal"},
    ],
    ids=str,
)
def test_a_class_without_weight_stays_a_class(params):
    model = small(max_iter=60, **params).fit(X, WORDS, NO_C)
    assert model.classes_.tolist() == ["a", "b", "c"]
    p = model.predict_proba(X)
    assert p.shape == (80, 3)
    assert p[:, 2].mean() < 0.05
    assert "c" not in model.predict(X)
    some = WORDS != "c"
    assert model.score(X[some], WORDS[some]) > 0.7
    if "early_stopping" not in params:  # the same samples are trained on without the class
        alone = small(max_iter=60, **params)
        alone.fit(X[some], WORDS[some], ROWS[some])
        assert np.abs(p[:, :2] - alone.predict_proba(X)).mean() < 0.1
    if params.get("n_members", 1) > 1:
        assert model.oof_prediction_.shape == (80, 3)


def test_the_samples_without_weight_have_no_influence():
    spoiled = np.where((WORDS == "c")[:, None], 1e3, X)
    for params in ({}, {"early_stopping": True}, {"class_weight": "balanced"}):
        one = small(**params).fit(X, WORDS, NO_C)
        close(one, small(**params).fit(spoiled, WORDS, NO_C))


def test_two_classes_of_which_one_has_no_weight():
    y = np.where(WORDS == "a", "a", "b")
    model = small(max_iter=60).fit(X, y, (y == "a").astype(float))
    assert model.classes_.tolist() == ["a", "b"]
    assert (model.predict(X) == "a").all()
    assert model.predict_proba(X)[:, 1].mean() < 0.05


def test_columns_and_matrices_with_a_value_without_weight():
    weight = np.where((COLUMNS[:, 0] == 2) | (COLUMNS[:, 2] == 0), 0.0, 1.0)
    model = small(max_iter=60).fit(X, COLUMNS, weight)
    assert [classes.tolist() for classes in model.classes_] == [[0, 1, 2], [5, 6], [0, 1, 2, 3]]
    assert [part.shape[1] for part in model.predict_proba(X)] == [3, 2, 4]
    assert model.predict_proba(X)[0][:, 2].mean() < 0.05
    weight = 1.0 - MATRIX[:, 0]
    model = small(max_iter=60).fit(X, MATRIX, weight)
    assert model.predict_proba(X).shape == (80, 3)
    assert not model.predict(X)[:, 0].any()


def test_partial_fit_and_warm_start_with_a_class_without_weight():
    whole = small().fit(X, WORDS, NO_C)
    parts = small()
    for _ in range(6):
        parts.partial_fit(X, WORDS, sample_weight=NO_C)
    np.testing.assert_array_equal(outputs(whole), outputs(parts))
    warm = small(warm_start=True).fit(X, WORDS, NO_C).fit(X, WORDS, NO_C)
    assert warm.fit(X, WORDS).classes_.tolist() == ["a", "b", "c"]
    with pytest.raises(ValueError, match="same classes as in the previous call"):
        warm.fit(X[WORDS != "c"], WORDS[WORDS != "c"])


def test_soft_voting_with_a_class_without_weight():
    models = [("ours", small(max_iter=60)), ("theirs", TheirClassifier((6,), random_state=0))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        vote = VotingClassifier(models, voting="soft").fit(X, WORDS, sample_weight=NO_C)
    assert vote.predict_proba(X).shape == (80, 3)
    ours = vote.transform(X).reshape(80, 2, 3)[:, 0]
    assert ours[:, 2].mean() < 0.05


def test_balanced_is_that_of_scikit_learn():
    for y in (CODES, WORDS, MATRIX[:, 1]):
        model = small(class_weight="balanced").fit(X, y)
        close(model, small().fit(X, y, compute_sample_weight("balanced", y)))
        classes = np.unique(y)
        found = compute_class_weight("balanced", classes=classes, y=y)
        close(model, small(class_weight=dict(zip(classes.tolist(), found, strict=True))).fit(X, y))
        differ(model, small().fit(X, y))


def test_balanced_by_hand_with_weighted_rows():
    """The total weight of every class is the same."""
    totals = np.bincount(CODES, ROWS)
    by_hand = ROWS / totals[CODES]
    close(small(class_weight="balanced").fit(X, CODES, ROWS), small().fit(X, CODES, by_hand))
    with_zeros = np.where(np.arange(80) < 20, 0, ROWS)
    totals = np.bincount(CODES, with_zeros)
    by_hand = with_zeros / totals[CODES]
    close(small(class_weight="balanced").fit(X, CODES, with_zeros), small().fit(X, CODES, by_hand))


def test_balanced_is_repeating_the_rare_class():
    y = np.repeat([0, 1], [60, 20])
    params = {"batch_size": 1000, "max_iter": 30}  # all rows in one batch
    repeated = np.r_[0:60, np.repeat(np.arange(60, 80), 3)]
    model = small(class_weight="balanced", **params).fit(X, y)
    close(model, small(**params).fit(X[repeated], y[repeated]))


@pytest.mark.parametrize("rows", [None, ROWS], ids=["plain", "weighted"])
def test_one_dict_per_label(rows):
    """scikit-learn's rule: the weight of a row is the product over its labels."""
    given = [{0: 1, 1: 4}, {1: 0.5}, {0: 2.0, 1: 3.0}]
    expected = np.ones(80) if rows is None else rows.copy()
    for column, weight in zip(MATRIX.T, given, strict=True):
        expected *= [weight.get(value, 1) for value in column]
    full = [{0: 1.0, 1: 1.0} | weight for weight in given]
    if rows is None:
        np.testing.assert_allclose(expected, compute_sample_weight(full, MATRIX))
    model = small(class_weight=given).fit(X, MATRIX, rows)
    close(model, small().fit(X, MATRIX, expected))
    differ(model, small().fit(X, MATRIX, rows))


@pytest.mark.parametrize("y", [MATRIX, COLUMNS], ids=["labels", "columns"])
def test_balanced_columns_are_those_of_scikit_learn(y):
    model = small(class_weight="balanced").fit(X, y)
    close(model, small().fit(X, y, compute_sample_weight("balanced", y)))
    differ(model, small().fit(X, y))


def test_one_dict_per_column():
    given = [{2: 5}, {5: 0.1}, {0: 2, 3: 7}]
    full = [
        {name: weight.get(name, 1) for name in np.unique(column).tolist()}
        for column, weight in zip(COLUMNS.T, given, strict=True)
    ]
    model = small(class_weight=given).fit(X, COLUMNS)
    close(model, small().fit(X, COLUMNS, compute_sample_weight(full, COLUMNS)))


@pytest.mark.parametrize("factor", [1e-30, 1 / 7, 1024.0, 1e30])
@pytest.mark.parametrize("y", [CODES, MATRIX, COLUMNS], ids=["exclusive", "labels", "columns"])
def test_the_scale_of_weights_is_irrelevant(y, factor):
    given = {0: 0.5, 1: 1, 2: 3}
    if y is CODES:
        scaled = {name: factor * weight for name, weight in given.items()}
        close(small(class_weight=given).fit(X, y), small(class_weight=scaled).fit(X, y), 1e-7)
    close(small().fit(X, y, ROWS), small().fit(X, y, factor * ROWS), 1e-7)
    params = {"early_stopping": True, "validation_fraction": 0.3}
    one, two = small(**params).fit(X, y, ROWS), small(**params).fit(X, y, factor * ROWS)
    np.testing.assert_allclose(one.validation_scores_, two.validation_scores_, rtol=1e-7)


def test_partial_fit_takes_a_dict_and_refuses_balanced():
    given = {0: 0.5, 2: 3}
    model = small(class_weight=given)
    for _ in range(6):
        model.partial_fit(X, CODES)
    np.testing.assert_array_equal(outputs(model), outputs(small(class_weight=given).fit(X, CODES)))
    refused = small(class_weight="balanced")
    with pytest.raises(ValueError, match="class_weight='balanced' needs all samples"):
        refused.partial_fit(X, CODES)
    assert vars(refused).keys() == refused.get_params(deep=False).keys()


@pytest.mark.parametrize(
    ("y", "given", "match"),
    [
        (WORDS, {"a": 1, "d": 2}, r"class_weight names \['d'\], but the classes are \['a', 'b'"),
        (CODES, {0: 1, "b": 1}, r"names \['b'\]"),
        (CODES, [{0: 1}, {1: 1}], "must be 'balanced' or a dict"),
        (CODES, {0: -1}, "must result in finite, non-negative weights"),
        (CODES, {0: np.nan}, "must result in finite"),
        (CODES, {0: np.inf}, "must result in finite"),
        (CODES, {0: 0, 1: 0, 2: 0}, "with a positive sum"),
        (MATRIX, {0: 1, 1: 2}, "'balanced' or a list of 3 dicts"),
        (MATRIX, [{0: 1}, {1: 2}], "'balanced' or a list of 3 dicts"),
        (MATRIX, [{0: 1}, {1: 2}, {2: 1}], r"names \[2\], but the classes are \[0, 1\]"),
        (COLUMNS, [{0: 1}, {0: 2}, {2: 1}], r"names \[0\], but the classes are \[5, 6\]"),
        (COLUMNS, {0: 1}, "'balanced' or a list of 3 dicts"),
        (CODES, "heavy", "The 'class_weight' parameter of MLPClassifier must be"),
        (CODES, 3.0, "The 'class_weight' parameter of MLPClassifier must be"),
        (MATRIX, [[1, 2], [1, 2], [1, 2]], "class_weight must be"),
        (MATRIX, [{0: 1}, 2.0, None], "class_weight must be"),
        (CODES, {0: "a lot"}, "class_weight"),
    ],
    ids=lambda value: None if isinstance(value, np.ndarray) else str(value)[:40],
)
def test_weights_that_are_refused(y, given, match):
    model = small(class_weight=given)
    with pytest.raises((ValueError, TypeError), match=match):
        model.fit(X, y)
    assert vars(model).keys() == model.get_params(deep=False).keys()


def test_the_dict_of_the_user_is_left_alone():
    given = {"a": 2}
    model = small(class_weight=given).fit(X, WORDS)
    assert model.class_weight is given
    assert given == {"a": 2}
    assert clone(model).class_weight == given


# -- several columns of classes ------------------------------------------------------------------


def test_columns_of_classes():
    model = small(max_iter=60).fit(X, COLUMNS)
    assert [classes.tolist() for classes in model.classes_] == [[0, 1, 2], [5, 6], [0, 1, 2, 3]]
    assert (model.n_outputs_, model.coefs_[-1].shape) == (3, (6, 3 + 1 + 4))
    predicted, proba = model.predict(X), model.predict_proba(X)
    assert predicted.shape == COLUMNS.shape
    assert [part.shape for part in proba] == [(80, 3), (80, 2), (80, 4)]
    assert [z.shape for z in model.decision_function(X)] == [(80, 3), (80,), (80, 4)]
    for k, (part, z) in enumerate(zip(proba, model.decision_function(X), strict=True)):
        np.testing.assert_allclose(part.sum(axis=1), 1)
        np.testing.assert_array_equal(predicted[:, k], model.classes_[k][part.argmax(axis=1)])
        log_odds = np.log(part[:, 1] / part[:, 0]) if z.ndim == 1 else None
        if log_odds is not None:
            np.testing.assert_allclose(z, log_odds, rtol=1e-6)
        np.testing.assert_allclose(model.predict_log_proba(X)[k], np.log(part))
    right = (predicted == COLUMNS).all(axis=1)
    assert model.score(X, COLUMNS) == pytest.approx(right.mean())
    assert model.score(X, COLUMNS, ROWS) == pytest.approx(np.average(right, weights=ROWS))
    assert (predicted == COLUMNS).mean() > 0.7


def test_a_column_is_learned_as_if_it_were_alone():
    """Without a hidden layer columns share nothing."""
    params = {"hidden_layer_sizes": (), "alpha": 0.0, "optimizer": SGD(learning_rate=0.1)}
    params |= {"initializer": "zeros"}
    together = small(**params).fit(X, COLUMNS)
    for k, part in enumerate(together.predict_proba(X)):
        alone = small(**params).fit(X, COLUMNS[:, k])
        np.testing.assert_allclose(part, alone.predict_proba(X), rtol=1e-9)


def test_columns_of_words():
    y = np.array(["x", "y", "z"])[np.c_[CODES, np.digitize(X[:, 2], [0])]]
    model = small().fit(X, y)
    assert model.predict(X).dtype == y.dtype
    assert set(model.predict(X)[:, 1]) <= {"x", "y"}


def test_partial_fit_of_columns():
    names = [[0, 1, 2], [5, 6], [0, 1, 2, 3, 9]]
    model = small()
    for start in range(0, 80, 10):  # a batch of rows need not have every class
        model.partial_fit(X[start : start + 10], COLUMNS[start : start + 10], classes=names)
    assert [part.shape[1] for part in model.predict_proba(X)] == [3, 2, 5]
    assert model.n_iter_ == 8
    whole, parts = small().fit(X, COLUMNS), small()
    for _ in range(6):
        parts.partial_fit(X, COLUMNS)
    np.testing.assert_array_equal(outputs(whole), outputs(parts))
    with pytest.raises(ValueError, match="missing in the first call"):
        model.partial_fit(X, np.full_like(COLUMNS, 7))
    with pytest.raises(ValueError, match="differs from the classes of the first call"):
        model.partial_fit(X, COLUMNS, classes=[[0, 1], [5, 6], [0, 1, 2, 3]])
    with pytest.raises(ValueError, match="classes must be a list with the classes of 3 columns"):
        small().partial_fit(X, COLUMNS, classes=names[:2])


@pytest.mark.parametrize("values", [(-1, 1), (1, 2), (0, 2), (0.0, 3.0)])
def test_columns_of_two_values_that_are_not_labels(values):
    """A matrix of 0 and 1 holds labels; any other two values are classes."""
    y = np.array(values)[MATRIX]
    model = small(max_iter=60).fit(X, y)
    assert [classes.tolist() for classes in model.classes_] == [list(values)] * 3
    assert set(np.unique(model.predict(X))) <= set(values)
    assert [part.shape for part in model.predict_proba(X)] == [(80, 2)] * 3
    alone = small(max_iter=60).fit(X, MATRIX)
    np.testing.assert_array_equal(np.array(values)[alone.predict(X)], model.predict(X))
    assert (model.predict(X) == y).mean() > 0.7


def test_a_column_with_a_single_class():
    y = np.c_[CODES, np.full(80, 4)]
    model = small().fit(X, y)
    assert (model.predict(X)[:, 1] == 4).all()
    assert model.predict_proba(X)[1].shape == (80, 1)
    assert (model.predict_proba(X)[1] == 1).all()


# -- the scaling of targets ----------------------------------------------------------------------

NUMBERS = 10 * np.sin(X[:, 0]) + 3 * X[:, 1] ** 2 + 100


def regressor(**params):
    defaults = {"hidden_layer_sizes": (6,), "batch_size": 16, "max_iter": 6, "random_state": 0}
    return MLPRegressor(**defaults | params)


@pytest.mark.parametrize("rows", [None, ROWS], ids=["plain", "weighted"])
@pytest.mark.parametrize("y", [NUMBERS, np.c_[NUMBERS, 1e-6 * X[:, 0]]], ids=["one", "two"])
def test_targets_are_standardized_with_their_weights(y, rows):
    mean = np.average(y, axis=0, weights=rows)
    deviation = np.sqrt(np.average((y - mean) ** 2, axis=0, weights=rows))
    by_hand = regressor(target_scaling=False).fit(X, (y - mean) / deviation, rows)
    for scaling in ("auto", True):
        model = regressor(target_scaling=scaling).fit(X, y, rows)
        expected = by_hand.predict(X) * deviation + mean
        np.testing.assert_allclose(model.predict(X), expected, rtol=1e-8)


@pytest.mark.parametrize("loss", ["poisson", "gamma", "tweedie"])
def test_positive_targets_are_divided_by_their_mean(loss):
    mean = np.average(NUMBERS, weights=ROWS)
    by_hand = regressor(loss=loss, target_scaling=False).fit(X, NUMBERS / mean, ROWS)
    model = regressor(loss=loss).fit(X, NUMBERS, ROWS)
    np.testing.assert_allclose(model.predict(X), by_hand.predict(X) * mean, rtol=1e-8)
    refused = regressor(loss=loss)
    with pytest.raises(ValueError, match="needs targets y"):
        refused.fit(X, NUMBERS - 100)
    assert vars(refused).keys() == refused.get_params(deep=False).keys()


def test_the_scaling_is_frozen_at_the_first_partial_fit():
    model = regressor().partial_fit(X[:40], NUMBERS[:40])
    shift, scale = model._targets.shift.copy(), model._targets.scale.copy()
    np.testing.assert_allclose([shift, scale], [[NUMBERS[:40].mean()], [NUMBERS[:40].std()]])
    model.partial_fit(X[40:], 1000 * NUMBERS[40:])
    np.testing.assert_array_equal([model._targets.shift, model._targets.scale], [shift, scale])
    warm = regressor(warm_start=True).fit(X[:40], NUMBERS[:40]).fit(X[40:], NUMBERS[40:])
    np.testing.assert_array_equal([warm._targets.shift, warm._targets.scale], [shift, scale])
    cold = regressor().fit(X[:40], NUMBERS[:40]).fit(X[40:], NUMBERS[40:])
    np.testing.assert_allclose(cold._targets.shift, [NUMBERS[40:].mean()])


@pytest.mark.parametrize("size", [1e-30, 1e-5, 1e5, 1e30])
def test_the_unit_of_targets_is_irrelevant(size):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = regressor().fit(X, size * NUMBERS)
        np.testing.assert_allclose(
            model.predict(X) / size, regressor().fit(X, NUMBERS).predict(X), rtol=1e-6
        )
