"""Encodings of columns with many levels: means of the targets, and logarithms of the counts."""

import pickle
from collections import Counter

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import FeatureUnion
from sklearn.preprocessing import TargetEncoder
from sklearn.utils.estimator_checks import parametrize_with_checks

from sknn_adam import MLPClassifier, MLPRegressor, make_tabular_pipeline
from sknn_adam.tabular.levels import ByTarget, LogCount, encode_levels

N = 200
RNG = np.random.default_rng(0)
TOWNS = np.array([f"town {i}" for i in RNG.integers(0, 40, N)], dtype=object)
SHOPS = np.array([f"shop {i}" for i in RNG.integers(0, 60, N)], dtype=object)
TOWNS[::11] = None
X = np.column_stack([TOWNS, SHOPS])
NUMBERS = RNG.normal(size=(N, 2))
LABELS = np.array(["a", "b", "c"])[RNG.integers(0, 3, N)]
SMALL = np.array([["x"], ["x"], ["x"], ["y"], [None], [None]], dtype=object)


def on_other_folds(encoder, y):
    """Return the encoding of each fold by an encoder that is fitted to the other folds."""
    out = []
    for train, test in KFold(5, shuffle=True, random_state=0).split(X):
        out.append((test, clone(encoder).fit(X[train], y[train]).transform(X[test])))
    Z = np.empty((N, out[0][1].shape[1]))
    for test, encoded in out:
        Z[test] = encoded
    return Z


# -- counts --------------------------------------------------------------------------------------


def test_log_counts_match_a_counter():
    encoder = LogCount().fit(X)
    for column, actual in zip(X.T, encoder.transform(X).T, strict=True):
        counts = Counter(column.tolist())
        np.testing.assert_allclose(actual, [np.log(1 + counts[level]) for level in column])
    new = np.array([["new", "town 1"], [None, None]], dtype=object)
    gaps = np.log(1 + (TOWNS == None).sum())  # noqa: E711
    np.testing.assert_allclose(encoder.transform(new), [[0, 0], [gaps, 0]])


@pytest.mark.parametrize("missing", [None, np.nan])
def test_missing_values_are_a_level_of_both_encoders(missing):
    table = np.array([["x"], ["x"], ["x"], ["y"], [missing], [missing]], dtype=object)
    y = np.array([1.0, 2.0, 6.0, 10.0, -1.0, -3.0])
    np.testing.assert_allclose(LogCount().fit_transform(table).ravel(), np.log([4, 4, 4, 2, 3, 3]))
    means = ByTarget("continuous", smooth=0.0).fit(table, y).transform(table)
    np.testing.assert_allclose(means.ravel(), [3, 3, 3, 10, -2, -2])


# -- one target ----------------------------------------------------------------------------------


def test_smoothed_means_match_hand_computed_ones():
    y = np.array([1.0, 2.0, 6.0, 10.0, -1.0, -3.0])  # mean 2.5
    encoder = ByTarget("continuous", smooth=2.0).fit(SMALL, y)
    actual = encoder.transform(np.array([["x"], ["y"], [None], ["new"]], dtype=object))
    # (sum of the level + 2 * 2.5) / (count of the level + 2)
    np.testing.assert_allclose(actual.ravel(), [14 / 5, 15 / 3, 1 / 4, 2.5])


@pytest.mark.parametrize("smooth", ["auto", 0.0, 3.0])
def test_means_are_cross_fitted(smooth):
    y = NUMBERS[:, 0]
    actual = ByTarget("continuous", smooth=smooth, random_state=0).fit_transform(X, y)
    theirs = TargetEncoder(target_type="continuous", smooth=smooth)
    np.testing.assert_allclose(actual, on_other_folds(theirs, y), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("classes", [["a", "b", "c"], ["a", "b"]], ids=len)
def test_frequencies_of_classes_match_those_of_scikit_learn(classes):
    y = np.where(np.isin(LABELS, classes), LABELS, classes[0])
    theirs = TargetEncoder(target_type="multiclass" if len(classes) > 2 else "binary")
    actual = ByTarget(random_state=0).fit_transform(X, y)
    np.testing.assert_allclose(actual, on_other_folds(theirs, y), rtol=1e-12, atol=1e-12)
    fitted = ByTarget().fit(X, y)
    np.testing.assert_allclose(fitted.transform(X), theirs.fit(X, y).transform(X), rtol=1e-12)
    assert fitted.get_feature_names_out().tolist() == theirs.get_feature_names_out().tolist()


@pytest.mark.parametrize("i", [0, 57, 199])
def test_the_encoding_of_a_sample_does_not_depend_on_its_target(i):
    y, changed = NUMBERS.copy(), NUMBERS.copy()
    changed[i] += 1000
    first, second = (
        ByTarget("continuous", random_state=0).fit_transform(X, targets) for targets in (y, changed)
    )
    np.testing.assert_array_equal(first[i], second[i])
    assert not np.allclose(first, second)


# -- several targets and classes -----------------------------------------------------------------


def test_each_target_has_its_own_means():
    encoder = ByTarget("continuous", random_state=0)
    actual = encoder.fit_transform(X, NUMBERS)
    assert encoder.get_feature_names_out(["town", "shop"]).tolist() == [
        *("town_y0", "town_y1"),
        *("shop_y0", "shop_y1"),
    ]
    for k in (0, 1):
        alone = clone(encoder).fit(X, NUMBERS[:, k])
        np.testing.assert_array_equal(actual[:, k::2], alone.fit_transform(X, NUMBERS[:, k]))
        np.testing.assert_array_equal(encoder.transform(X)[:, k::2], alone.transform(X))
    column = clone(encoder).fit_transform(X, NUMBERS[:, :1])
    np.testing.assert_array_equal(column, actual[:, ::2])


def test_each_output_of_a_classifier_has_its_own_classes():
    y = np.column_stack([LABELS, np.where(NUMBERS[:, 0] > 0, "yes", "no")])
    encoder = ByTarget(random_state=0)
    actual = encoder.fit_transform(X[:, :1], y)
    names = encoder.get_feature_names_out(["town"]).tolist()
    assert names == ["town_y0_a", "town_y0_b", "town_y0_c", "town_y1"]
    first, second = (ByTarget(random_state=0).fit_transform(X[:, :1], column) for column in y.T)
    np.testing.assert_array_equal(actual, np.column_stack([first, second]))


@pytest.mark.parametrize("as_y", [np.asarray, np.ndarray.tolist], ids=["array", "list"])
def test_each_label_has_its_own_frequency(as_y):
    y = (NUMBERS > 0).astype(int)
    actual = ByTarget(smooth=0.0).fit(X, as_y(y)).transform(X)[:, :2]
    expected = [y[level == TOWNS].mean(axis=0) for level in TOWNS]
    np.testing.assert_allclose(actual, expected)


def test_only_the_most_frequent_classes_are_encoded():
    y = np.repeat(np.arange(25), [3, 20, 1, 9] + [5] * 10 + [2] + [8] * 10)[:150]
    counts = Counter(y.tolist())
    levels = X[:150]
    encoder = ByTarget(random_state=0).fit(levels, y)
    expected = sorted(sorted(counts, key=lambda c: (-counts[c], c))[:20])
    assert len(counts) > 20
    assert encoder.target_names_ == [str(c) for c in expected]
    every = ByTarget(max_classes=100, random_state=0).fit(levels, y)
    kept = np.isin(sorted(counts), expected)
    kept = np.r_[kept, kept]
    np.testing.assert_array_equal(encoder.transform(levels), every.transform(levels)[:, kept])


RARE = np.where(np.arange(N) == 7, "rare", LABELS)


@pytest.mark.parametrize(
    "y",
    [
        RARE,
        np.full(N, "one"),
        np.arange(N) // 2,
        np.c_[RARE, LABELS],
        np.c_[RARE == "rare", RARE != "a"],
    ],
    ids=["one sample", "one class", "pairs", "two outputs", "labels"],
)
@pytest.mark.parametrize("smooth", ["auto", 0.0])
def test_rare_classes_cause_no_warning(y, smooth):
    encoder = ByTarget(smooth=smooth, random_state=0)
    new = np.array([["new", None]], dtype=object)
    for Z in (encoder.fit_transform(X, y), encoder.transform(X), encoder.transform(new)):
        assert np.isfinite(Z).all()
        assert Z.min() >= 0
        assert Z.max() <= 1


def test_a_class_that_is_absent_from_the_other_folds_has_frequency_zero():
    encoder = ByTarget(random_state=0)
    i = encoder.fit(X, RARE).target_names_.index("rare")
    assert encoder.fit_transform(X, RARE)[7, i] == 0
    assert encoder.transform(X)[7, i] > 0


# -- integration with scikit-learn ---------------------------------------------------------------


def test_invalid_arguments_raise():
    with pytest.raises(ValueError, match="'max_classes' parameter of ByTarget must be"):
        ByTarget(max_classes=0).fit(X, LABELS)
    with pytest.raises(ValueError, match="'target_type' parameter of ByTarget must be"):
        ByTarget("binary").fit(X, LABELS)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        ByTarget().fit(X, LABELS[1:])
    with pytest.raises(ValueError, match="requires y to be passed"):
        ByTarget().fit_transform(X)
    with pytest.raises(ValueError, match="Unknown label type"):
        ByTarget().fit(X, np.array([1, "a"] * (N // 2), dtype=object))


@parametrize_with_checks([ByTarget(), ByTarget("continuous"), LogCount()])
def test_checks_of_scikit_learn_pass(estimator, check):
    check(estimator)


def both(estimator):
    return encode_levels(estimator, random_state=0)


@pytest.mark.parametrize(
    ("encoder", "y"),
    [(both(Ridge()), NUMBERS), (both(LogisticRegression()), LABELS)],
    ids=["reg", "clf"],
)
def test_clones_and_pickles_encode_the_same(encoder, y):
    first = clone(encoder)
    crossed = first.fit_transform(X, y)
    np.testing.assert_array_equal(clone(first).fit_transform(X, y), crossed)
    restored = pickle.loads(pickle.dumps(first))
    np.testing.assert_array_equal(restored.transform(X), first.transform(X))
    assert not np.allclose(first.transform(X), crossed)
    with config_context(enable_metadata_routing=True):
        np.testing.assert_array_equal(clone(encoder).fit_transform(X, y), crossed)


@pytest.mark.parametrize("output", ["pandas", "polars"])
@pytest.mark.parametrize("globally", [False, True])
def test_output_can_be_a_frame(output, globally):
    library, pd = pytest.importorskip(output), pytest.importorskip("pandas")
    table = pd.DataFrame(X, columns=["town", "shop"], dtype=object)
    plain = both(LogisticRegression()).fit(table, LABELS)
    encoder = both(LogisticRegression())
    if not globally:
        encoder.set_output(transform=output)
    with config_context(transform_output=output if globally else "default"):
        crossed = encoder.fit_transform(table, LABELS)
        Z = encoder.transform(table)
    names = [f"mean__{name}_{label}" for name in ("town", "shop") for label in "abc"]
    names += ["log_count__town", "log_count__shop"]
    for frame in (crossed, Z):
        assert isinstance(frame, library.DataFrame)
        assert list(frame.columns) == names
    np.testing.assert_array_equal(Z.to_numpy(), plain.transform(table))


@pytest.mark.parametrize(
    ("model", "y", "names"),
    [
        (MLPRegressor(), NUMBERS, ["mean__town_y0", "mean__town_y1"]),
        (MLPClassifier(), NUMBERS > 0, ["mean__town_y0", "mean__town_y1"]),
        (MLPClassifier(), LABELS, ["mean__town_a", "mean__town_b", "mean__town_c"]),
    ],
    ids=["reg", "labels", "clf"],
)
def test_pipeline_encodes_every_target(model, y, names):
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"town": TOWNS, "size": NUMBERS[:, 0]})
    model = clone(model).set_params(hidden_layer_sizes=(4,), max_iter=3, n_iter_no_change=np.inf)
    pipe = make_tabular_pipeline(model, random_state=0).fit(table, y)
    assert isinstance(pipe["columns"].named_transformers_["many"]["encode"], FeatureUnion)
    actual = pipe[:-1].get_feature_names_out().tolist()
    assert actual[-len(names) - 1 :] == [*names, "log_count__town"]
    new = pd.DataFrame({"town": ["new", None], "size": [0.0, 1.0]})
    assert pipe.predict(new).shape == (2, *y.shape[1:])
    assert np.isfinite(pipe[:-1].transform(new)).all()


def test_targets_of_the_pipeline_can_be_numbers_of_a_frame():
    pd = pytest.importorskip("pandas")
    table, y = pd.DataFrame({"town": TOWNS}), pd.DataFrame(NUMBERS, columns=["u", "v"])
    columns = make_tabular_pipeline(Ridge(), random_state=0)["columns"]
    np.testing.assert_array_equal(
        columns.fit_transform(table, y), clone(columns).fit_transform(table, NUMBERS)
    )


# -- the embedding of the benchmark --------------------------------------------------------------


def test_embedding_of_the_benchmark_matches_a_lookup():
    levels = pytest.importorskip("benchmarks.levels", reason="run from the checkout")
    rng = np.random.default_rng(0)
    layer = levels.Embed(first=1, sizes=[3, 2])
    shapes = {name: shape for name, shape, _ in layer.parameters}
    # 1.6 * 3 ** 0.56 = 2.96 and 1.6 * 2 ** 0.56 = 2.36
    assert shapes == {"E0": (3, 3), "E1": (2, 2)}
    assert layer.widths(7) == 7
    for name, shape in shapes.items():  # of two members
        setattr(layer, name, rng.normal(size=(2, *shape)))
        setattr(layer, f"grad_{name}", np.empty((2, *shape)))
    a, b, others = np.array([0, 2, 2, 1]), np.array([1, 1, 0, 1]), rng.normal(size=(4, 2))
    x = np.column_stack([others[:, 0], np.eye(3)[a], np.eye(2)[b], others[:, 1]])
    ws = {}
    z = layer.forward(x, ws)
    for k in (0, 1):
        expected = np.column_stack([layer.E0[k][a], layer.E1[k][b], others])
        np.testing.assert_allclose(z[k], expected)
    g = rng.normal(size=z.shape)
    layer.backward(g, ws)
    for k in (0, 1):
        sums = [g[k, a == level, :3].sum(axis=0) for level in range(3)]
        np.testing.assert_allclose(layer.grad_E0[k], sums)
        sums = [g[k, b == level, 3:5].sum(axis=0) for level in range(2)]
        np.testing.assert_allclose(layer.grad_E1[k], sums)
