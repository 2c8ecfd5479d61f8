"""Class and sample weights, multioutput classification, and target scaling."""

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
CODES = np.digitize(X @ [1.0, 2.0, 0.0, -1.0] + RNG.normal(size=80), [-1, 3])  # class 2 is rare
WORDS = np.array(["a", "b", "c"])[CODES]
MATRIX = (X[:, :3] + RNG.normal(size=(80, 3)) > [0.5, 1.0, -1.0]).astype(int)
COLUMNS = np.c_[CODES, 5 + MATRIX[:, 0], np.digitize(X[:, 2], [-1, 0, 1])]
SAMPLE_WEIGHT = RNG.uniform(0.2, 3, size=80)


def small(**params):
    defaults = {"hidden_layer_sizes": (6,), "batch_size": 16, "max_iter": 6, "random_state": 0}
    return MLPClassifier(**defaults | {"optimizer": Adam(learning_rate=0.02)} | params)


def outputs(model):
    z = model.decision_function(X)
    return np.column_stack(z) if isinstance(z, list) else z


def assert_close(a, b, rtol=1e-9):
    np.testing.assert_allclose(outputs(a), outputs(b), rtol=rtol, atol=rtol)


def assert_different(a, b):
    assert np.abs(outputs(a) - outputs(b)).max() > 1e-3


# -- class weights -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "y", [CODES, WORDS, CODES > 0, MATRIX[:, 1]], ids=["codes", "words", "bools", "two"]
)
@pytest.mark.parametrize("sample_weight", [None, SAMPLE_WEIGHT], ids=["plain", "weighted"])
def test_class_weights_equal_sample_weights(y, sample_weight):
    names = np.unique(y).tolist()
    given = {name: 0.3 + 2 * k for k, name in enumerate(names)}
    by_hand = np.array([given[name] for name in y.tolist()]) * (
        1 if sample_weight is None else sample_weight
    )
    model = small(class_weight=given).fit(X, y, sample_weight)
    assert_close(model, small().fit(X, y, by_hand))
    assert_different(model, small().fit(X, y, sample_weight))


def test_unnamed_classes_have_weight_one():
    model = small(class_weight={"c": 5}).fit(X, WORDS)
    assert_close(model, small(class_weight={"a": 1, "b": 1.0, "c": np.float64(5)}).fit(X, WORDS))


def test_class_of_weight_zero_is_known_but_not_learned():
    """Its samples count toward the batch size but have no influence."""
    model = small(class_weight={"c": 0}).fit(X, WORDS)
    assert model.classes_.tolist() == ["a", "b", "c"]
    changed = np.where((WORDS == "c")[:, None], 3.0, X)
    assert_close(model, small(class_weight={"c": 0}).fit(changed, WORDS))


def test_absent_classes_are_ignored_if_all_others_have_a_weight():
    """As in scikit-learn's compute_class_weight, because a fold may lack a rare class."""
    given = {"a": 1.0, "b": 2.0, "c": 5.0, "d": 9.0, 7: 1.0}
    assert_close(
        small(class_weight=given).fit(X, WORDS), small(class_weight={"b": 2, "c": 5}).fit(X, WORDS)
    )
    not_c = WORDS != "c"
    weights = dict(
        zip(
            "ab",
            compute_class_weight(given, classes=np.array(["a", "b"]), y=WORDS[not_c]),
            strict=True,
        )
    )
    assert_close(
        small(class_weight=given).fit(X[not_c], WORDS[not_c]),
        small(class_weight=weights).fit(X[not_c], WORDS[not_c]),
    )
    columns = [{0: 1, 1: 2, 2: 3, 9: 4}, {5: 1, 6: 2, 7: 9}, {0: 1, 1: 1, 2: 1, 3: 1, 4: 1}]
    known = [{0: 1, 1: 2, 2: 3}, {5: 1, 6: 2}, {0: 1}]
    assert_close(
        small(class_weight=columns).fit(X, COLUMNS), small(class_weight=known).fit(X, COLUMNS)
    )


# -- samples of weight zero ----------------------------------------------------------------------

NO_C = np.where(WORDS == "c", 0.0, SAMPLE_WEIGHT)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"early_stopping": True, "validation_fraction": 0.3},
        {"early_stopping": True, "scoring": "neg_log_loss"},
        {"early_stopping": True, "cv": 3},
        {"early_stopping": True, "cv": 2, "scoring": "neg_log_loss"},
        {"class_weight": "balanced"},
        {"class_weight": {"a": 1, "b": 2, "c": 3}},
        {"optimizer": "lbfgs", "batch_size": "auto"},
        {"loss": "focal"},
    ],
    ids=str,
)
def test_class_of_weight_zero_remains_a_class(params):
    model = small(max_iter=60, **params).fit(X, WORDS, NO_C)
    assert model.classes_.tolist() == ["a", "b", "c"]
    p = model.predict_proba(X)
    assert p.shape == (80, 3)
    assert p[:, 2].mean() < 0.05
    assert "c" not in model.predict(X)
    not_c = WORDS != "c"
    assert model.score(X[not_c], WORDS[not_c]) > 0.7
    # Without early stopping, a fit without the class trains on the same samples.
    if "early_stopping" not in params:
        alone = small(max_iter=60, **params)
        alone.fit(X[not_c], WORDS[not_c], SAMPLE_WEIGHT[not_c])
        assert np.abs(p[:, :2] - alone.predict_proba(X)).mean() < 0.1
    if "cv" in params:
        assert model.oof_prediction_.shape == (80, 3)


def test_samples_of_weight_zero_have_no_influence():
    changed = np.where((WORDS == "c")[:, None], 1e3, X)
    for params in ({}, {"early_stopping": True}, {"class_weight": "balanced"}):
        one = small(**params).fit(X, WORDS, NO_C)
        assert_close(one, small(**params).fit(changed, WORDS, NO_C))


def test_weighted_class_is_always_predicted_if_the_other_has_weight_zero():
    y = np.where(WORDS == "a", "a", "b")
    model = small(max_iter=60).fit(X, y, (y == "a").astype(float))
    assert model.classes_.tolist() == ["a", "b"]
    assert (model.predict(X) == "a").all()
    assert model.predict_proba(X)[:, 1].mean() < 0.05


def test_multioutput_classes_of_weight_zero_are_improbable():
    weight = np.where((COLUMNS[:, 0] == 2) | (COLUMNS[:, 2] == 0), 0.0, 1.0)
    model = small(max_iter=60).fit(X, COLUMNS, weight)
    assert [classes.tolist() for classes in model.classes_] == [[0, 1, 2], [5, 6], [0, 1, 2, 3]]
    assert [part.shape[1] for part in model.predict_proba(X)] == [3, 2, 4]
    assert model.predict_proba(X)[0][:, 2].mean() < 0.05
    weight = 1.0 - MATRIX[:, 0]
    model = small(max_iter=60).fit(X, MATRIX, weight)
    assert model.predict_proba(X).shape == (80, 3)
    assert not model.predict(X)[:, 0].any()


def test_partial_fit_and_warm_start_keep_a_class_of_weight_zero():
    one_fit = small().fit(X, WORDS, NO_C)
    parts = small()
    for _ in range(6):
        parts.partial_fit(X, WORDS, sample_weight=NO_C)
    np.testing.assert_array_equal(outputs(one_fit), outputs(parts))
    warm = small(warm_start=True).fit(X, WORDS, NO_C).fit(X, WORDS, NO_C)
    assert warm.fit(X, WORDS).classes_.tolist() == ["a", "b", "c"]
    with pytest.raises(ValueError, match="same classes as in the previous call"):
        warm.fit(X[WORDS != "c"], WORDS[WORDS != "c"])


def test_soft_voting_works_with_a_class_of_weight_zero():
    models = [("ours", small(max_iter=60)), ("theirs", TheirClassifier((6,), random_state=0))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        vote = VotingClassifier(models, voting="soft").fit(X, WORDS, sample_weight=NO_C)
    assert vote.predict_proba(X).shape == (80, 3)
    ours = vote.transform(X).reshape(80, 2, 3)[:, 0]
    assert ours[:, 2].mean() < 0.05


def test_balanced_matches_scikit_learn():
    for y in (CODES, WORDS, MATRIX[:, 1]):
        model = small(class_weight="balanced").fit(X, y)
        assert_close(model, small().fit(X, y, compute_sample_weight("balanced", y)))
        classes = np.unique(y)
        weights = compute_class_weight("balanced", classes=classes, y=y)
        assert_close(
            model, small(class_weight=dict(zip(classes.tolist(), weights, strict=True))).fit(X, y)
        )
        assert_different(model, small().fit(X, y))


def test_balanced_takes_sample_weights_into_account():
    """All classes have the same total weight."""
    totals = np.bincount(CODES, SAMPLE_WEIGHT)
    by_hand = SAMPLE_WEIGHT / totals[CODES]
    assert_close(
        small(class_weight="balanced").fit(X, CODES, SAMPLE_WEIGHT), small().fit(X, CODES, by_hand)
    )
    with_zeros = np.where(np.arange(80) < 20, 0, SAMPLE_WEIGHT)
    totals = np.bincount(CODES, with_zeros)
    by_hand = with_zeros / totals[CODES]
    assert_close(
        small(class_weight="balanced").fit(X, CODES, with_zeros), small().fit(X, CODES, by_hand)
    )


def test_balanced_equals_repeating_the_rare_class():
    y = np.repeat([0, 1], [60, 20])
    # All samples are in one batch.
    params = {"batch_size": 1000, "max_iter": 30}
    repeated = np.r_[0:60, np.repeat(np.arange(60, 80), 3)]
    model = small(class_weight="balanced", **params).fit(X, y)
    assert_close(model, small(**params).fit(X[repeated], y[repeated]))


@pytest.mark.parametrize("sample_weight", [None, SAMPLE_WEIGHT], ids=["plain", "weighted"])
def test_weights_of_labels_multiply(sample_weight):
    """As in scikit-learn, the weight of a sample is the product over its labels."""
    given = [{0: 1, 1: 4}, {1: 0.5}, {0: 2.0, 1: 3.0}]
    expected = np.ones(80) if sample_weight is None else sample_weight.copy()
    for column, weight in zip(MATRIX.T, given, strict=True):
        expected *= [weight.get(value, 1) for value in column]
    full = [{0: 1.0, 1: 1.0} | weight for weight in given]
    if sample_weight is None:
        np.testing.assert_allclose(expected, compute_sample_weight(full, MATRIX))
    model = small(class_weight=given).fit(X, MATRIX, sample_weight)
    assert_close(model, small().fit(X, MATRIX, expected))
    assert_different(model, small().fit(X, MATRIX, sample_weight))


@pytest.mark.parametrize("y", [MATRIX, COLUMNS], ids=["labels", "columns"])
def test_balanced_multioutput_matches_scikit_learn(y):
    model = small(class_weight="balanced").fit(X, y)
    assert_close(model, small().fit(X, y, compute_sample_weight("balanced", y)))
    assert_different(model, small().fit(X, y))


def test_one_dict_per_output_matches_scikit_learn():
    given = [{2: 5}, {5: 0.1}, {0: 2, 3: 7}]
    full = [
        {name: weight.get(name, 1) for name in np.unique(column).tolist()}
        for column, weight in zip(COLUMNS.T, given, strict=True)
    ]
    model = small(class_weight=given).fit(X, COLUMNS)
    assert_close(model, small().fit(X, COLUMNS, compute_sample_weight(full, COLUMNS)))


@pytest.mark.parametrize("factor", [1e-30, 1 / 7, 1024.0, 1e30])
@pytest.mark.parametrize("y", [CODES, MATRIX, COLUMNS], ids=["exclusive", "labels", "columns"])
def test_scale_of_weights_is_irrelevant(y, factor):
    given = {0: 0.5, 1: 1, 2: 3}
    if y is CODES:
        scaled = {name: factor * weight for name, weight in given.items()}
        assert_close(
            small(class_weight=given).fit(X, y), small(class_weight=scaled).fit(X, y), 1e-7
        )
    assert_close(small().fit(X, y, SAMPLE_WEIGHT), small().fit(X, y, factor * SAMPLE_WEIGHT), 1e-7)
    params = {"early_stopping": True, "validation_fraction": 0.3}
    one, two = (
        small(**params).fit(X, y, SAMPLE_WEIGHT),
        small(**params).fit(X, y, factor * SAMPLE_WEIGHT),
    )
    np.testing.assert_allclose(one.validation_scores_, two.validation_scores_, rtol=1e-7)


def test_partial_fit_accepts_a_dict_but_not_balanced():
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
def test_invalid_class_weights_raise(y, given, match):
    model = small(class_weight=given)
    with pytest.raises((ValueError, TypeError), match=match):
        model.fit(X, y)
    assert vars(model).keys() == model.get_params(deep=False).keys()


def test_class_weight_dict_is_not_modified():
    given = {"a": 2}
    model = small(class_weight=given).fit(X, WORDS)
    assert model.class_weight is given
    assert given == {"a": 2}
    assert clone(model).class_weight == given


# -- multioutput targets -------------------------------------------------------------------------


def test_multioutput_predictions_and_score():
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
    assert model.score(X, COLUMNS, SAMPLE_WEIGHT) == pytest.approx(
        np.average(right, weights=SAMPLE_WEIGHT)
    )
    assert (predicted == COLUMNS).mean() > 0.7


def test_outputs_are_independent_without_hidden_layers():
    """Without a hidden layer, the outputs do not share weights."""
    params = {"hidden_layer_sizes": (), "alpha": 0.0, "optimizer": SGD(learning_rate=0.1)}
    params |= {"initializer": "zeros"}
    together = small(**params).fit(X, COLUMNS)
    for k, part in enumerate(together.predict_proba(X)):
        alone = small(**params).fit(X, COLUMNS[:, k])
        np.testing.assert_allclose(part, alone.predict_proba(X), rtol=1e-9)


def test_multioutput_strings_keep_their_dtype():
    y = np.array(["x", "y", "z"])[np.c_[CODES, np.digitize(X[:, 2], [0])]]
    model = small().fit(X, y)
    assert model.predict(X).dtype == y.dtype
    assert set(model.predict(X)[:, 1]) <= {"x", "y"}


def test_partial_fit_of_multioutput_targets():
    names = [[0, 1, 2], [5, 6], [0, 1, 2, 3, 9]]
    model = small()
    # The data of one call may lack some classes.
    for start in range(0, 80, 10):
        model.partial_fit(X[start : start + 10], COLUMNS[start : start + 10], classes=names)
    assert [part.shape[1] for part in model.predict_proba(X)] == [3, 2, 5]
    assert model.n_iter_ == 8
    one_fit, parts = small().fit(X, COLUMNS), small()
    for _ in range(6):
        parts.partial_fit(X, COLUMNS)
    np.testing.assert_array_equal(outputs(one_fit), outputs(parts))
    with pytest.raises(ValueError, match="missing in the first call"):
        model.partial_fit(X, np.full_like(COLUMNS, 7))
    with pytest.raises(ValueError, match="differs from the classes of the first call"):
        model.partial_fit(X, COLUMNS, classes=[[0, 1], [5, 6], [0, 1, 2, 3]])
    with pytest.raises(ValueError, match="classes must be a list with the classes of 3 columns"):
        small().partial_fit(X, COLUMNS, classes=names[:2])


@pytest.mark.parametrize("values", [(-1, 1), (1, 2), (0, 2), (0.0, 3.0)])
def test_columns_of_two_values_other_than_0_and_1_are_classes(values):
    """Columns of 0 and 1 form a label matrix; any other two values are classes."""
    y = np.array(values)[MATRIX]
    model = small(max_iter=60).fit(X, y)
    assert [classes.tolist() for classes in model.classes_] == [list(values)] * 3
    assert set(np.unique(model.predict(X))) <= set(values)
    assert [part.shape for part in model.predict_proba(X)] == [(80, 2)] * 3
    alone = small(max_iter=60).fit(X, MATRIX)
    np.testing.assert_array_equal(np.array(values)[alone.predict(X)], model.predict(X))
    assert (model.predict(X) == y).mean() > 0.7


def test_output_with_a_single_class_is_constant():
    y = np.c_[CODES, np.full(80, 4)]
    model = small().fit(X, y)
    assert (model.predict(X)[:, 1] == 4).all()
    assert model.predict_proba(X)[1].shape == (80, 1)
    assert (model.predict_proba(X)[1] == 1).all()


# -- target scaling ------------------------------------------------------------------------------

NUMBERS = 10 * np.sin(X[:, 0]) + 3 * X[:, 1] ** 2 + 100


def regressor(**params):
    defaults = {"hidden_layer_sizes": (6,), "batch_size": 16, "max_iter": 6, "random_state": 0}
    return MLPRegressor(**defaults | params)


@pytest.mark.parametrize("sample_weight", [None, SAMPLE_WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("y", [NUMBERS, np.c_[NUMBERS, 1e-6 * X[:, 0]]], ids=["one", "two"])
def test_targets_are_standardized_with_sample_weights(y, sample_weight):
    mean = np.average(y, axis=0, weights=sample_weight)
    deviation = np.sqrt(np.average((y - mean) ** 2, axis=0, weights=sample_weight))
    by_hand = regressor(target_scaling=False).fit(X, (y - mean) / deviation, sample_weight)
    for scaling in (True, np.True_):
        model = regressor(target_scaling=scaling).fit(X, y, sample_weight)
        expected = by_hand.predict(X) * deviation + mean
        np.testing.assert_allclose(model.predict(X), expected, rtol=1e-8)


@pytest.mark.parametrize("loss", ["poisson", "gamma", "tweedie"])
def test_positive_targets_are_divided_by_their_mean(loss):
    mean = np.average(NUMBERS, weights=SAMPLE_WEIGHT)
    by_hand = regressor(loss=loss, target_scaling=False).fit(X, NUMBERS / mean, SAMPLE_WEIGHT)
    model = regressor(loss=loss).fit(X, NUMBERS, SAMPLE_WEIGHT)
    np.testing.assert_allclose(model.predict(X), by_hand.predict(X) * mean, rtol=1e-8)
    refused = regressor(loss=loss)
    with pytest.raises(ValueError, match="needs targets y"):
        refused.fit(X, NUMBERS - 100)
    assert vars(refused).keys() == refused.get_params(deep=False).keys()


def test_target_scaling_is_frozen_at_the_first_partial_fit():
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
def test_unit_of_targets_is_irrelevant(size):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = regressor().fit(X, size * NUMBERS)
        np.testing.assert_allclose(
            model.predict(X) / size, regressor().fit(X, NUMBERS).predict(X), rtol=1e-6
        )
