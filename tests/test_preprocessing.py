"""Transformers of columns: hand-computed values, properties, and scikit-learn's checks."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import RobustScaler, SplineTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from sknn_adam.preprocessing import PiecewiseLinearEncoder, SmoothClipScaler

BOTH = pytest.mark.parametrize(
    "transformer", [SmoothClipScaler(), PiecewiseLinearEncoder()], ids=str
)


@parametrize_with_checks(
    [SmoothClipScaler(), PiecewiseLinearEncoder(), PiecewiseLinearEncoder(3, 2)]
)
def test_checks_of_scikit_learn_pass(estimator, check):
    check(estimator)


# -- SmoothClipScaler ------------------------------------------------------------------------------


def test_smooth_clip_matches_hand_computed_values():
    # The median is 2, and the quartiles are 1 and 3.
    X = [[0.0], [1.0], [2.0], [3.0], [4.0]]
    clip = SmoothClipScaler(limit=1.0).fit(X)
    assert (clip.center_, clip.scale_) == (2.0, 2.0)
    # z = 1 becomes 1 / sqrt(2), and z = -3/4 becomes -3/5 because 3² + 4² = 5².
    np.testing.assert_allclose(clip.transform([[4.0], [0.5]]).ravel(), [0.5**0.5, -0.6])


def test_smooth_clip_equals_robust_scaler_near_the_median(rng):
    X = rng.normal(size=(500, 3)) * [1, 10, 1e-3]
    z, clipped = RobustScaler().fit_transform(X), SmoothClipScaler(limit=3).fit_transform(X)
    near = np.abs(z) < 0.05
    assert near.sum() > 50
    np.testing.assert_allclose(clipped[near], z[near], rtol=2e-4)
    order = np.argsort(X, axis=0)
    assert (np.diff(np.take_along_axis(clipped, order, axis=0), axis=0) > 0).all()


@pytest.mark.parametrize("limit", [0.5, 3, 10.0])
def test_limit_is_never_exceeded(rng, limit):
    clip = SmoothClipScaler(limit=limit).fit(rng.normal(size=(50, 2)))
    far = clip.transform([[1e6, -1e6], [1e300, -1e300]])
    np.testing.assert_allclose(far, [[limit, -limit]] * 2, rtol=1e-6)
    assert (np.abs(far) <= limit).all()


def test_columns_with_equal_quartiles_are_scaled_by_half_their_range():
    rare = np.zeros((40, 3))
    rare[0] = [6.0, 0.0, 0.0]
    rare[1, 2] = np.nan
    clip = SmoothClipScaler().fit(rare)
    np.testing.assert_array_equal(clip.scale_, [3.0, 1.0, 1.0])
    np.testing.assert_array_equal(clip.transform(rare)[:, 1], 0)
    assert np.flatnonzero(np.isnan(clip.transform(rare)[:, 2])).tolist() == [1]


def test_missing_values_are_ignored(rng):
    X = rng.normal(size=(30, 1))
    gaps = np.vstack([X, np.full((9, 1), np.nan)])
    np.testing.assert_allclose(
        SmoothClipScaler().fit(gaps).transform(X), SmoothClipScaler().fit_transform(X)
    )
    nothing = SmoothClipScaler().fit_transform(np.full((4, 1), np.nan))
    assert np.isnan(nothing).all()


@pytest.mark.parametrize(("value", "dtype"), [(1e300, "f8"), (1e17, "f8"), (1e10, "f4")])
def test_adjacent_numbers_beyond_the_exact_integers_count_as_equal(value, dtype):
    pair = np.array(
        [value, np.nextafter(np.dtype(dtype).type(value), np.dtype(dtype).type(np.inf))], dtype
    )
    assert pair[0] < pair[1]
    np.testing.assert_array_equal(SmoothClipScaler().fit_transform(np.tile(pair, 50)[:, None]), 0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("value", [0.3, -1 / 3, 1e-9, 123456.7])
def test_rounding_errors_do_not_count_as_variation(dtype, value):
    """Summation in another order may give an adjacent float."""
    value = dtype(value)
    steps = np.tile([value, np.nextafter(value, dtype(9e9)), np.nextafter(value, dtype(-9e9))], 40)
    noisy = np.append(steps, np.nan)[:, None].astype(dtype)
    actual = SmoothClipScaler().fit_transform(noisy)
    np.testing.assert_array_equal(actual[:-1], 0)
    assert np.isnan(actual[-1])
    bins = PiecewiseLinearEncoder(rows_per_bin=1).fit(noisy[:-1])
    assert bins.transform(noisy[:-1]).shape == (120, 1)
    # Most values are equal up to rounding, and a few others determine the scale.
    few = np.append(steps, [value + dtype(4) * abs(value), np.nan]).astype(dtype)[:, None]
    actual = SmoothClipScaler().fit_transform(few)
    np.testing.assert_array_equal(actual[:120], 0)
    # The outlier is 4 |value| above the median, and half the range is 2 |value|.
    z = 2.0
    np.testing.assert_allclose(actual[120], z / np.hypot(1, z / 3), rtol=1e-5)
    edges = PiecewiseLinearEncoder(n_bins=9, rows_per_bin=1).fit(few[:-1]).edges_[0]
    assert (np.diff(edges) > abs(value)).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_small_variation_is_kept(dtype):
    """Integers are exact, and a huge outlier does not make the others count as equal."""
    large = dtype(2**23 if dtype is np.float32 else 2**51)
    X = np.tile(large + np.arange(4, dtype=dtype), 30)[:, None]
    assert len(np.unique(SmoothClipScaler().fit_transform(X))) == 4
    assert len(PiecewiseLinearEncoder(n_bins=4, rows_per_bin=1).fit(X).edges_[0]) == 4
    X = np.append(np.linspace(0.1, 1, 50), 1e18).astype(dtype)[:, None]
    assert len(np.unique(SmoothClipScaler().fit_transform(X))) == 51


def test_smooth_clip_matches_skrub(rng):
    skrub = pytest.importorskip("skrub")
    X = np.column_stack([rng.standard_cauchy(300), rng.integers(0, 9, 300), rng.random(300) < 0.1])
    X[5] = np.nan
    squash = skrub.SquashingScaler(max_absolute_value=3.0)
    np.testing.assert_allclose(
        SmoothClipScaler().fit_transform(X), squash.fit_transform(X), atol=1e-12
    )


# -- PiecewiseLinearEncoder ------------------------------------------------------------------------


def test_piecewise_linear_matches_hand_computed_values():
    X = np.array([[0.0], [1.0], [2.0], [3.0], [8.0]])
    encode = PiecewiseLinearEncoder(n_bins=2, rows_per_bin=2).fit(X)
    np.testing.assert_array_equal(encode.edges_[0], [0, 2, 8])
    rows = encode.transform([[-1.0], [0.0], [1.0], [2.0], [3.5], [9.0]])
    expected = [[-1, 0, 0], [0, 0, 0], [1, 0.5, 0], [2, 1, 0], [3.5, 1, 0.25], [9, 1, 1]]
    np.testing.assert_array_equal(rows, expected)


@pytest.mark.parametrize(
    ("n_rows", "n_columns", "n_bins"),
    [
        (19, 1, 0),
        (20, 1, 2),
        (39, 2, 0),
        (40, 2, 2),
        (159, 5, 3),
        (160, 5, 3),
        (5000, 5, 32),
        (5000, 20, 12),
        (5000, 128, 2),
        (5000, 129, 0),
    ],
)
def test_number_of_bins_depends_on_rows_and_columns(rng, n_rows, n_columns, n_bins):
    X = np.column_stack([rng.normal(size=(n_rows, n_columns)), rng.random(n_rows) < 0.5])
    encode = PiecewiseLinearEncoder().fit(X)
    assert encode.transform(X).shape == (n_rows, n_columns * (1 + n_bins) + 1)


def test_repeated_values_make_fewer_bins(rng):
    n = 1000
    X = np.column_stack([np.ones(n), rng.random(n) < 0.3, rng.integers(0, 3, n), np.arange(n)])
    encode = PiecewiseLinearEncoder().fit(X)
    assert [len(edges) for edges in encode.edges_] == [0, 0, 3, 33]
    assert np.isfinite(encode.transform(X)).all()


def test_edges_of_a_column_with_a_frequent_value_are_quantiles_of_the_others(rng):
    """Word frequencies are mostly 0, so most quantiles are."""
    positive = np.arange(1.0, 101)
    x = rng.permutation(np.concatenate([np.zeros(900), positive]))[:, None]
    encode = PiecewiseLinearEncoder(n_bins=5).fit(x)
    # 0 is an edge, and 4 bins of equal frequency are left for 1, ..., 100.
    np.testing.assert_array_equal(encode.edges_[0], [0, 1, 25, 50, 75, 100])
    # 15 other values suffice for one bin of at least 10 rows: from the smallest to the largest.
    few = np.concatenate([np.zeros(985), np.arange(1.0, 16)])[:, None]
    np.testing.assert_array_equal(PiecewiseLinearEncoder(n_bins=6).fit(few).edges_[0], [0, 1, 15])
    # 5 are too few: the only bin lies between the quantiles themselves.
    rare = np.concatenate([np.zeros(995), np.arange(1.0, 6)])[:, None]
    np.testing.assert_array_equal(PiecewiseLinearEncoder(n_bins=6).fit(rare).edges_[0], [0, 5])


def test_piecewise_linear_spans_the_same_space_as_linear_splines(rng):
    x = np.sort(rng.gamma(2, size=(400, 1)), axis=0)
    y = np.sin(3 * x[:, 0])
    ours = PiecewiseLinearEncoder(n_bins=8, rows_per_bin=1).fit(x)
    knots = ours.edges_[0][:, None]
    theirs = SplineTransformer(degree=1, knots=knots, include_bias=True).fit(x)
    both = [t.transform(x) for t in (ours, theirs)]
    first, second = (LinearRegression().fit(Z, y).predict(Z) for Z in both)
    np.testing.assert_allclose(first, second, atol=1e-9)
    assert not np.allclose(first, LinearRegression().fit(x, y).predict(x), atol=0.1)


def test_output_columns_have_names():
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame({"size": np.arange(6.0), "on": [0.0, 1.0] * 3})
    encode = PiecewiseLinearEncoder(n_bins=2, rows_per_bin=3).set_output(transform="pandas")
    assert list(encode.fit_transform(X)) == ["size", "size_bin0", "size_bin1", "on"]
    assert list(SmoothClipScaler().fit(X).get_feature_names_out()) == ["size", "on"]


def test_output_names_are_unique():
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame({"a": np.arange(6.0), "a_bin0": np.arange(6.0)})
    encode = PiecewiseLinearEncoder(n_bins=2, rows_per_bin=1).set_output(transform="pandas")
    names = ["a", "a_bin0_2", "a_bin1", "a_bin0", "a_bin0_bin0", "a_bin0_bin1"]
    assert sorted(encode.fit_transform(X)) == sorted(names)


@BOTH
def test_dtype_is_kept(rng, transformer):
    X = rng.normal(size=(400, 2))
    wide, narrow = transformer.fit_transform(X), transformer.fit_transform(X.astype(np.float32))
    assert (wide.dtype, narrow.dtype) == (np.float64, np.float32)
    np.testing.assert_allclose(wide, narrow, atol=1e-3)


@pytest.mark.parametrize(
    "transformer",
    [
        SmoothClipScaler(limit=0),
        PiecewiseLinearEncoder(n_bins=0),
        PiecewiseLinearEncoder(rows_per_bin=1.5),
    ],
    ids=str,
)
def test_invalid_parameters_raise(transformer):
    with pytest.raises(ValueError, match="parameter of"):
        transformer.fit([[1.0], [2.0]])
    assert not hasattr(transformer, "n_features_in_")


@pytest.mark.parametrize(
    ("dtype", "n_rows", "expected"),
    [
        (None, 9000, np.float64),
        ("float32", 50, np.float32),
        ("auto", 8191, np.float64),
        ("auto", 8192, np.float32),
    ],
)
def test_dtype_only_rounds_the_encoded_columns(dtype, n_rows, expected):
    table = np.random.default_rng(0).normal(size=(n_rows, 2))
    encoded = PiecewiseLinearEncoder(dtype=dtype).fit_transform(table)
    assert encoded.dtype == expected
    exact = PiecewiseLinearEncoder().fit_transform(table)
    np.testing.assert_array_equal(encoded, exact.astype(expected))


def test_unknown_dtype_raises():
    with pytest.raises(ValueError, match="'dtype' parameter of PiecewiseLinearEncoder must be"):
        PiecewiseLinearEncoder(dtype="int8").fit([[0.0], [1.0]])
