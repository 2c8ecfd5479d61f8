"""The result does not depend on the container, memory layout or dtype of the data."""

import tracemalloc
import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import DataConversionWarning
from sklearn.preprocessing import StandardScaler

from sknn_adam import MLPClassifier, MLPRegressor

RNG = np.random.default_rng(0)
# Integers, which every dtype can represent.
X = np.round(4 * RNG.normal(size=(60, 5)))
LABELS = np.array(["a", "b", "c"])[np.digitize(X @ [1.0, 2.0, 0.0, -1.0, 0.5], [-4, 4])]
NUMBERS = X[:, 0] ** 2 - 3 * X[:, 1] + 7
# A quarter of the samples is dropped.
WEIGHT = np.arange(60) % 4
NAMES = ["age", "size", "depth", "weight", "price"]

BOTH = pytest.mark.parametrize(
    ("estimator", "y"), [(MLPClassifier, LABELS), (MLPRegressor, NUMBERS)], ids=["clf", "reg"]
)


def small(estimator, **params):
    defaults = {"hidden_layer_sizes": (6,), "max_iter": 3, "batch_size": 16, "random_state": 0}
    return estimator(**defaults | params)


def outputs(model, inputs=X):
    """Return the predictions of an estimator as numbers."""
    return getattr(model, "predict_proba", model.predict)(inputs)


def quiet(function, *args):
    """Call a function without its warnings about feature names."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*feature names.*", UserWarning)
        return function(*args)


# -- sparse --------------------------------------------------------------------------------------

SPARSE = [
    getattr(sparse, f"{form}_{interface}")
    for interface in ("matrix", "array")
    for form in ("csr", "csc", "bsr", "lil")
]
ZEROS = np.where(np.abs(X) < 3, 0, X)
# Ways to train an estimator.
TRAINING = {
    "shuffled": ({}, lambda model, x, y: model.fit(x, y)),
    "in order": ({"shuffle": False}, lambda model, x, y: model.fit(x, y)),
    "weighted": ({}, lambda model, x, y: model.fit(x, y, WEIGHT)),
    "partial": ({}, lambda model, x, y: model.partial_fit(x, y).partial_fit(x, y)),
    "held out": ({"early_stopping": True}, lambda model, x, y: model.fit(x, y)),
    "held out, scored": (
        {"early_stopping": True, "scoring": None},
        lambda model, x, y: model.fit(x, y),
    ),
    "validated": ({"early_stopping": True}, lambda model, x, y: model.fit(x, y, X_val=x, y_val=y)),
    "minimized": (
        {"optimizer": "lbfgs", "batch_size": "auto"},
        lambda model, x, y: model.fit(x, y),
    ),
    "lsuv": ({"initializer": "lsuv"}, lambda model, x, y: model.fit(x, y)),
}


@BOTH
@pytest.mark.parametrize("training", TRAINING)
def test_sparse_features_train_like_dense_ones(estimator, y, training):
    params, train = TRAINING[training]
    dense = train(small(estimator, **params), ZEROS, y)
    for container in (sparse.csr_array, sparse.csc_matrix):
        model = train(small(estimator, **params), container(ZEROS), y)
        np.testing.assert_allclose(outputs(model), outputs(dense), rtol=1e-7, atol=1e-12)
        np.testing.assert_allclose(model.loss_curve_, dense.loss_curve_, rtol=1e-7)
        if dense.validation_scores_ is not None:
            np.testing.assert_allclose(
                model.validation_scores_, dense.validation_scores_, rtol=1e-7
            )


@BOTH
@pytest.mark.parametrize("container", SPARSE, ids=lambda container: container.__name__)
def test_sparse_features_predict_like_dense_ones(estimator, y, container):
    model = small(estimator).fit(ZEROS, y)
    methods = ["predict"]
    if estimator is MLPClassifier:
        methods += ["predict_proba", "predict_log_proba", "decision_function"]
    for name in methods:
        method = getattr(model, name)
        actual, expected = method(container(ZEROS)), method(ZEROS)
        assert actual.dtype == expected.dtype
        if actual.dtype.kind == "f":
            np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-14)
        else:
            np.testing.assert_array_equal(actual, expected)
    assert model.score(container(ZEROS), y) == pytest.approx(model.score(ZEROS, y))


@BOTH
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.int8, bool])
def test_sparse_features_can_have_any_dtype(estimator, y, dtype):
    table = ZEROS.astype(dtype)
    model = small(estimator).fit(sparse.csr_array(table), y)
    dense = small(estimator).fit(table, y)
    assert model.coefs_[0].dtype == dense.coefs_[0].dtype
    rtol = 1e-3 if dtype is np.float32 else 1e-7
    np.testing.assert_allclose(outputs(model, table), outputs(dense, table), rtol=rtol)


@BOTH
def test_sparse_features_can_be_unsorted_duplicated_or_have_64_bit_indices(estimator, y):
    plain = sparse.csr_array(ZEROS)
    expected = outputs(small(estimator).fit(plain, y), plain)
    # Every element is stored twice, with the columns from right to left.
    halves = sparse.coo_array(ZEROS / 2)
    row, column = (np.r_[index[::-1], index[::-1]] for index in (halves.row, halves.col))
    order = np.argsort(row, kind="stable")
    starts = np.searchsorted(row[order], np.arange(61))
    data = np.tile(halves.data[::-1], 2)[order]
    twice = sparse.csr_array((data, column[order], starts), shape=(60, 5))
    assert not twice.has_canonical_format
    # This array stores its zeros.
    stored = sparse.csr_array(np.ones((60, 5)))
    stored.data[...] = ZEROS.ravel()
    long = sparse.csr_array(plain)
    long.indices, long.indptr = long.indices.astype(np.int64), long.indptr.astype(np.int64)
    for table in (twice, stored, long):
        before = [array.copy() for array in (table.data, table.indices, table.indptr)]
        model = small(estimator).fit(table, y)
        np.testing.assert_allclose(outputs(model, table), expected, rtol=1e-7)
        after = (table.data, table.indices, table.indptr)
        for one, other in zip(before, after, strict=True):
            np.testing.assert_array_equal(one, other, strict=True)


@pytest.mark.parametrize(
    ("estimator", "container"),
    [(MLPClassifier, sparse.csr_array), (MLPRegressor, sparse.csc_matrix)],
)
def test_sparse_features_are_not_converted_to_dense(estimator, container):
    # A dense float32 table would take 4 GB; three elements per row are stored.
    n_rows, n_features, n_stored = 20_000, 50_000, 60_000
    rng = np.random.default_rng(0)
    where = rng.integers(n_rows, size=n_stored), rng.integers(n_features, size=n_stored)
    table = container(sparse.coo_array((np.ones(n_stored), where), shape=(n_rows, n_features)))
    y = (np.bincount(where[0], where[1] < 2000, minlength=n_rows) > 0).astype(int)
    # The weights take 0.8 MB; a dense batch of 500 samples would take 100 MB.
    model = small(estimator, hidden_layer_sizes=(4,), batch_size=500, max_iter=2)
    # A first fit, so that the memory taken by imports is not measured.
    model.fit(table[:1000], y[:1000]).score(table[:9], y[:9])
    tracemalloc.start()
    try:
        model.fit(table, y)
        in_training = tracemalloc.get_traced_memory()[1] - tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        # These samples would take 400 MB in dense form.
        scored = model.score(table[:2000], y[:2000])
        in_prediction = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert in_training < 10e6
    assert in_prediction < 5e6
    assert np.isfinite(scored)
    assert model.loss_curve_[1] < model.loss_curve_[0]


# -- memory layout -------------------------------------------------------------------------------


def read_only(table):
    table = table.copy()
    table.flags.writeable = False
    return table


def unaligned(table):
    memory = np.zeros(table.nbytes + 1, np.uint8)
    copy = memory[1:].view(table.dtype).reshape(table.shape)
    copy[...] = table
    assert not copy.flags.aligned
    return copy


def spread(table):
    """Return the table as every second row and third column of a larger one."""
    larger = np.full((2 * len(table), 3 * table.shape[1]), np.nan)
    larger[::2, ::3] = table
    return larger[::2, ::3]


LAYOUTS = {
    "Fortran": np.asfortranarray,
    "read-only": read_only,
    "read-only Fortran": lambda table: read_only(np.asfortranarray(table).T).T,
    "rows backwards": lambda table: table[::-1].copy()[::-1],
    "columns backwards": lambda table: table[:, ::-1].copy()[:, ::-1],
    "spread": spread,
    "unaligned": unaligned,
    "big-endian": lambda table: table.astype(">f8"),
    "lists": lambda table: table.tolist(),
    "tuples": lambda table: tuple(map(tuple, table)),
    "list of arrays": list,
    "objects": lambda table: table.astype(object),
    "subclass": lambda table: np.ma.array(table),
}


@BOTH
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_layout_of_features_is_irrelevant(estimator, y, layout, shuffle):
    table = LAYOUTS[layout](X)
    expected = small(estimator, shuffle=shuffle).fit(X, y)
    model = small(estimator, shuffle=shuffle).fit(table, y)
    # BLAS may sum transposed rows in another order, so the bits may differ.
    np.testing.assert_allclose(outputs(model), outputs(expected), rtol=1e-9)
    np.testing.assert_allclose(outputs(model, table), outputs(model), rtol=1e-12)
    np.testing.assert_array_equal(np.asarray(table, dtype=float), X)


@BOTH
def test_memory_layout_of_targets_and_weights_is_irrelevant(estimator, y):
    expected = outputs(small(estimator).fit(X, y, WEIGHT))
    for change in (read_only, list, lambda v: v[::-1].copy()[::-1], lambda v: np.repeat(v, 2)[::2]):
        actual = outputs(small(estimator).fit(X, change(y), change(WEIGHT)))
        np.testing.assert_array_equal(actual, expected)


# -- dtypes --------------------------------------------------------------------------------------

DTYPES = [np.float64, np.float32, np.float16, np.longdouble, np.int64, np.int8, np.uint8, bool]


@BOTH
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
def test_features_can_have_any_dtype(estimator, y, dtype):
    table = np.abs(X).astype(dtype)
    model = small(estimator).fit(table, y)
    single = dtype is np.float32
    precision = np.dtype(np.float32 if single else np.float64)
    # A regressor predicts float64, because its targets are.
    predicted = np.dtype(np.float64) if estimator is MLPRegressor else precision
    assert {array.dtype for array in model.coefs_ + model.intercepts_} == {precision}
    expected = small(estimator, dtype=precision.name).fit(table.astype(np.float64), y)
    for rows in (table, table[:1]):
        actual = outputs(model, rows)
        assert actual.dtype == predicted
        expectation = outputs(expected, rows.astype(np.float64))
        np.testing.assert_allclose(actual, expectation, rtol=1e-3 if single else 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("given", [np.float32, np.float64, np.int32])
def test_predictions_have_the_dtype_of_features_or_network(dtype, given):
    """Predictions are float64 if X or the targets are; probabilities have the network's dtype."""
    table = X.astype(given)
    double = np.float32 if given is np.float32 else np.float64
    for targets, expected in (
        (NUMBERS, np.float64),
        (NUMBERS.astype(np.float32), double),
        (NUMBERS.astype(int), double),
    ):
        for options in ({}, {"cv": 2}, {"target_scaling": False}):
            regressor = small(MLPRegressor, dtype=dtype, **options).fit(X, targets)
            assert regressor.predict(table).dtype == expected
    classifier = small(MLPClassifier, dtype=dtype).fit(X, LABELS)
    for method in ("predict_proba", "predict_log_proba", "decision_function"):
        assert getattr(classifier, method)(table).dtype == dtype
    assert classifier.predict(table).dtype == LABELS.dtype


def test_predictions_are_float64_if_float32_would_round_the_targets():
    """Seconds since 1970 differ by less than float32 can represent, 128."""
    seconds = (20 * NUMBERS / NUMBERS.std()).astype(int)
    table = X.astype(np.float32)
    first = small(MLPRegressor).fit(table, seconds).predict(table)
    second = small(MLPRegressor).fit(table, 1_700_000_000 + seconds).predict(table)
    assert second.dtype == np.float64
    np.testing.assert_allclose(second - 1_700_000_000, first, atol=0.01)


# -- memory-mapped files -------------------------------------------------------------------------

# So few samples are dropped or held out that a copy of the others would be detected.
PARTS = {
    "shuffled": ({}, None),
    "in order": ({"shuffle": False}, None),
    "weighted": ({}, np.arange(20_000) % 10),
    "held out": ({"early_stopping": True}, None),
}


@pytest.mark.parametrize("training", PARTS)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    ("estimator", "y", "dtype"),
    [(MLPClassifier, LABELS, np.float64), (MLPRegressor, NUMBERS, np.float32)],
    ids=["clf-float64", "reg-float32"],
)
def test_memory_mapped_file_is_read_batch_by_batch(estimator, y, dtype, order, training, tmp_path):
    params, weight = PARTS[training]
    table = np.random.default_rng(0).random(size=(20_000, 100), dtype=np.float32).astype(dtype)
    y = np.resize(y, len(table))
    path = tmp_path / "table"
    mapped = np.memmap(path, dtype, "w+", shape=table.shape, order=order)
    mapped[...] = table
    mapped.flush()
    content = path.read_bytes()
    mapped = np.memmap(path, dtype, "r", shape=table.shape, order=order)

    params = {"hidden_layer_sizes": (4,), "batch_size": 500, "max_iter": 1} | params
    in_memory = small(estimator, **params).fit(np.array(table, order=order), y, weight)
    model = small(estimator, **params)
    tracemalloc.start()
    try:
        model.fit(mapped, y, weight)
        in_training = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        predicted = outputs(model, mapped)
        in_prediction = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(predicted, outputs(in_memory, np.array(table, order=order)))
    assert path.read_bytes() == content
    # Targets, permutations and predictions take 3 MB; the table takes 8 or 16 MB.
    assert in_training < 0.6 * table.nbytes
    assert in_prediction < 0.6 * table.nbytes


# -- data frames ---------------------------------------------------------------------------------


@pytest.fixture(params=["pandas", "polars"])
def frames(request):
    frames = pytest.importorskip(request.param)
    if not hasattr(StandardScaler().fit(frames.DataFrame({"a": [1.0, 2.0]})), "feature_names_in_"):
        pytest.skip("scikit-learn 1.7 reads names by a protocol that polars 2 no longer has")
    return frames


def frame_of(frames, table=X, names=NAMES):
    return frames.DataFrame(
        {name: column.copy() for name, column in zip(names, table.T, strict=True)}
    )


@BOTH
def test_data_frame_gives_the_same_result_as_an_array(estimator, y, frames):
    frame = frame_of(frames)
    series = frames.Series(y.tolist())
    model = small(estimator).fit(frame, series, frames.Series(WEIGHT.tolist()))
    assert model.feature_names_in_.tolist() == NAMES
    assert model.feature_names_in_.dtype == object
    expected = small(estimator).fit(X, y, WEIGHT)
    np.testing.assert_array_equal(outputs(model, frame), outputs(expected))
    assert model.score(frame, series) == expected.score(X, y)
    assert not hasattr(expected, "feature_names_in_")
    model.fit(X, y)
    assert not hasattr(model, "feature_names_in_")


WRONG_FRAMES = {
    "order": (["size", "age", *NAMES[2:]], "must be in the same order"),
    "names": ([*NAMES[:4], "cost"], "unseen at fit time:\n- cost"),
    "missing": (NAMES[:4], "yet now missing:\n- price"),
    "more": ([*NAMES, "cost"], "unseen at fit time:\n- cost"),
}


@BOTH
@pytest.mark.parametrize("wrong", WRONG_FRAMES)
def test_frames_with_other_columns_raise(estimator, y, wrong, frames):
    names, message = WRONG_FRAMES[wrong]
    model = small(estimator, warm_start=True).fit(frame_of(frames), y)
    before = outputs(model, frame_of(frames))
    frame = frames.DataFrame({name: X[:, i % 5].copy() for i, name in enumerate(names)})
    calls = {
        "predict": lambda: model.predict(frame),
        "score": lambda: model.score(frame, y),
        "partial_fit": lambda: model.partial_fit(frame, y),
        "warm start": lambda: model.fit(frame, y),
        "X_val": lambda: small(estimator).fit(frame_of(frames), y, X_val=frame, y_val=y),
    }
    for call in calls.values():
        with pytest.raises(ValueError, match=message):
            call()
    np.testing.assert_array_equal(outputs(model, frame_of(frames)), before)


@BOTH
def test_mixing_frames_and_arrays_warns(estimator, y, frames):
    frame = frame_of(frames)
    model = small(estimator).fit(frame, y)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        predicted = model.predict(X)
    np.testing.assert_array_equal(predicted, model.predict(frame))
    model.fit(X, y)
    with pytest.warns(UserWarning, match=r"fitted without feature names"):
        model.predict(frame)


@BOTH
@pytest.mark.parametrize("scoring", ["loss", None])
def test_validation_with_frames_does_not_warn(estimator, y, scoring, frames):
    frame = frame_of(frames)
    params = {"early_stopping": True, "scoring": scoring}
    held_out = small(estimator, **params).fit(frame, y)
    assert held_out.validation_scores_ == small(estimator, **params).fit(X, y).validation_scores_
    given = small(estimator, **params).fit(frame, y, X_val=frame, y_val=y)
    expected = small(estimator, **params).fit(X, y, X_val=X, y_val=y)
    assert given.validation_scores_ == expected.validation_scores_
    assert given.feature_names_in_.tolist() == NAMES


@BOTH
def test_frames_can_have_columns_of_several_types(estimator, y, frames):
    columns = {
        "integer": X[:, 0].astype(np.int64),
        "small": np.abs(X[:, 1]).astype(np.uint8),
        "single": X[:, 2].astype(np.float32),
        "flag": X[:, 3] > 0,
    }
    table = np.column_stack([column.astype(float) for column in columns.values()])
    frame = frames.DataFrame(columns)
    model = small(estimator).fit(frame, y)
    np.testing.assert_array_equal(
        outputs(model, frame), outputs(small(estimator).fit(table, y), table)
    )


@BOTH
def test_frame_with_missing_values_or_strings_raises(estimator, y, frames):
    frame = frames.DataFrame({"a": [None, *X[1:, 0].tolist()], "b": X[:, 1].tolist()})
    with pytest.raises(ValueError, match="Input X contains NaN"):
        small(estimator).fit(frame, y)
    frame = frames.DataFrame({"a": LABELS.tolist(), "b": X[:, 1].tolist()})
    with pytest.raises(ValueError, match="could not convert string to float"):
        small(estimator).fit(frame, y)


@BOTH
def test_extension_dtypes_of_pandas_are_supported(estimator, y):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "Int64": pandas.array(X[:, 0].astype(int), dtype="Int64"),
            "boolean": pandas.array(X[:, 1] > 0, dtype="boolean"),
            "Float32": pandas.array(X[:, 2], dtype="Float32"),
        }
    )
    table = np.column_stack([X[:, 0], X[:, 1] > 0, X[:, 2]])
    model = small(estimator).fit(frame, y)
    expected = small(estimator, dtype=model.coefs_[0].dtype.name).fit(table, y)
    np.testing.assert_allclose(outputs(model, frame), outputs(expected, table), rtol=1e-5)
    missing = frame.copy()
    missing.loc[3, "Int64"] = pandas.NA
    with pytest.raises(ValueError, match="Input X contains NaN"):
        model.predict(missing)


@BOTH
def test_sparse_columns_of_pandas_stay_sparse(estimator, y):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame.sparse.from_spmatrix(sparse.csr_matrix(ZEROS), columns=NAMES)
    model = small(estimator).fit(frame, y)
    assert model.feature_names_in_.tolist() == NAMES
    expected = small(estimator).fit(sparse.csr_array(ZEROS), y)
    np.testing.assert_allclose(quiet(outputs, model, frame), outputs(expected, ZEROS), rtol=1e-9)


@BOTH
def test_integer_column_names_are_ignored_and_mixed_ones_raise(estimator, y):
    pandas = pytest.importorskip("pandas")
    # The columns are named 0, 1, ...
    model = small(estimator).fit(pandas.DataFrame(X), y)
    assert not hasattr(model, "feature_names_in_")
    np.testing.assert_array_equal(outputs(model), outputs(small(estimator).fit(X, y)))
    with pytest.raises(TypeError, match="only supported if all input features have string names"):
        small(estimator).fit(pandas.DataFrame(X, columns=[0, 1, "a", "b", "c"]), y)


# -- targets -------------------------------------------------------------------------------------


def test_labels_can_have_any_dtype():
    expected = small(MLPClassifier).fit(X, LABELS)
    codes = np.searchsorted(["a", "b", "c"], LABELS)
    days = np.array(["2020-01-01", "2020-01-02", "2021-01-01"], "M8[D]")
    variants = [
        LABELS.astype(object),
        LABELS.astype("U9"),
        codes,
        codes.astype(np.int8),
        codes.astype(np.uint8),
        codes.astype(float),
        codes.astype(np.float32),
        codes.astype(">i4"),
        days[codes],
    ]
    for y in variants:
        model = small(MLPClassifier).fit(X, y)
        np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
        np.testing.assert_array_equal(model.classes_, np.unique(y))
        assert model.classes_.dtype == model.predict(X).dtype == y.dtype
        assert model.score(X, y) == expected.score(X, LABELS)


def test_labels_can_be_a_list():
    model = small(MLPClassifier).fit(X, LABELS.tolist())
    assert model.classes_.tolist() == ["a", "b", "c"]
    assert model.predict(X).dtype == LABELS.dtype
    assert model.score(X, LABELS.tolist()) == model.score(X, LABELS)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, float])
def test_two_classes_can_have_any_dtype(dtype):
    y = (LABELS == "a").astype(dtype)
    expected = small(MLPClassifier).fit(X, np.where(LABELS == "a", "yes", "no"))
    model = small(MLPClassifier).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
    assert model.classes_.dtype == model.predict(X).dtype == dtype
    np.testing.assert_array_equal(model.predict(X), (expected.predict(X) == "yes").astype(dtype))


def test_labels_can_be_pandas_series():
    pandas = pytest.importorskip("pandas")
    expected = small(MLPClassifier).fit(X, LABELS)
    # Samples are matched by position.
    index = np.arange(60)[::-1] * 7
    categories = pandas.Categorical(LABELS, categories=["c", "unused", "a", "b"], ordered=True)
    variants = [
        pandas.Series(LABELS, index=index),
        pandas.Series(LABELS.astype(object), index=index, dtype=object),
        pandas.Series(LABELS, dtype="string"),
        pandas.Series(LABELS, dtype="category"),
        pandas.Series(categories, index=index),
        categories,
    ]
    weight = pandas.Series(WEIGHT, index=np.arange(60))
    weighted = small(MLPClassifier).fit(X, LABELS, WEIGHT).predict_proba(X)
    for y in variants:
        model = small(MLPClassifier).fit(X, y)
        # Classes are sorted and exclude unused categories.
        assert model.classes_.tolist() == ["a", "b", "c"]
        np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
        assert model.predict(X).tolist() == expected.predict(X).tolist()
        assert model.score(X, y) == expected.score(X, LABELS)
        model.fit(X, y, weight)
        np.testing.assert_array_equal(model.predict_proba(X), weighted)
    codes = pandas.Series(np.searchsorted(["a", "b", "c"], LABELS), dtype="category")
    model = small(MLPClassifier).fit(X, codes)
    assert model.predict(X).dtype == np.int64
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
    flags = pandas.Series(LABELS == "a", dtype="boolean")
    model = small(MLPClassifier).fit(X, flags)
    assert set(model.predict(X)) <= {False, True}
    with pytest.raises(ValueError, match="NaN"):
        small(MLPClassifier).fit(X, flags.where(flags.index != 3))


def test_labels_can_be_polars_series():
    polars = pytest.importorskip("polars")
    expected = small(MLPClassifier).fit(X, LABELS)
    for dtype in (polars.String, polars.Categorical, polars.Enum(["c", "unused", "a", "b"])):
        model = small(MLPClassifier).fit(X, polars.Series(LABELS.tolist(), dtype=dtype))
        assert model.classes_.tolist() == ["a", "b", "c"]
        np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
    model = small(MLPClassifier).fit(X, polars.Series((LABELS == "a").tolist()))
    assert model.classes_.dtype == bool


def test_numeric_targets_can_have_any_dtype(frames):
    # The targets are integers, which are exact in all of these types.
    expected = small(MLPRegressor).fit(X, NUMBERS).predict(X)
    variants = [
        NUMBERS.astype(np.float32),
        NUMBERS.astype(np.int64),
        NUMBERS.astype(np.int16),
        NUMBERS.astype(">f8"),
        NUMBERS.astype(object),
        NUMBERS.tolist(),
        frames.Series(NUMBERS.tolist()),
        frames.Series([int(number) for number in NUMBERS]),
    ]
    if frames.__name__ == "pandas":
        variants += [
            frames.Series(NUMBERS, index=np.arange(60)[::-1]),
            frames.Series(NUMBERS, dtype="Float64"),
            frames.Series(NUMBERS.astype(int), dtype="Int64"),
        ]
    for y in variants:
        predicted = small(MLPRegressor).fit(X, y).predict(X)
        assert predicted.dtype == np.float64
        np.testing.assert_array_equal(predicted, expected)


def test_frame_of_targets_gives_several_outputs(frames):
    targets = np.column_stack([NUMBERS, -2 * NUMBERS, X[:, 1]])
    frame = frame_of(frames, targets, ["p", "q", "r"])
    model = small(MLPRegressor).fit(X, frame)
    expected = small(MLPRegressor).fit(X, targets).predict(X)
    # Sums over columns may round differently.
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-9)
    assert model.predict(X).shape == (60, 3)
    labels = (targets > 0).astype(np.int8)
    model = small(MLPClassifier).fit(X, frame_of(frames, labels, ["p", "q", "r"]))
    expected = small(MLPClassifier).fit(X, labels)
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))


@BOTH
def test_column_vector_warns_as_in_scikit_learn(estimator, y, frames):
    expected = outputs(small(estimator).fit(X, y))
    for column in (y[:, None], [[value] for value in y], frames.DataFrame({"y": y.tolist()})):
        with pytest.warns(DataConversionWarning, match="A column-vector y was passed") as caught:
            model = small(estimator).fit(X, column)
        assert len(caught) == 1
        np.testing.assert_array_equal(outputs(model), expected)
        assert model.predict(X).shape == (60,)
        with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
            small(estimator).partial_fit(X, column)


@pytest.mark.parametrize("container", SPARSE, ids=lambda container: container.__name__)
def test_sparse_labels_give_the_same_result_as_dense_ones(container):
    labels = np.column_stack([NUMBERS > 10, X[:, 0] > 0, X[:, 1] > 2]).astype(int)
    expected = small(MLPClassifier).fit(ZEROS, labels)
    model = small(MLPClassifier).fit(ZEROS, container(labels))
    np.testing.assert_array_equal(model.predict_proba(ZEROS), expected.predict_proba(ZEROS))
    assert isinstance(model.predict(ZEROS), np.ndarray)
    assert model.score(ZEROS, labels) == expected.score(ZEROS, labels)
    both = small(MLPClassifier, early_stopping=True).fit(
        container(ZEROS), container(labels), WEIGHT
    )
    dense = small(MLPClassifier, early_stopping=True).fit(ZEROS, labels, WEIGHT)
    np.testing.assert_allclose(both.predict_proba(ZEROS), dense.predict_proba(ZEROS), rtol=1e-7)
