"""The ready-made pipeline accepts all types of columns in all types of tables."""

import pickle
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse import csr_array
from sklearn import config_context
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import sknn_adam
from sknn_adam import MLPClassifier, MLPRegressor, make_tabular_pipeline
from sknn_adam._utils.validation import unique_names
from sknn_adam.search import search_space
from sknn_adam.tabular.columns import as_dates, as_words, column_type
from sknn_adam.tabular.recipes import RECIPES

N = 120
FIRST = datetime(2020, 1, 1)


def values():
    """Return columns as lists, with None for missing values."""
    rng = np.random.default_rng(0)
    gaps = rng.random(N) < 0.1
    numbers = rng.normal(size=N)
    colours = rng.choice(["red", "green", "blue"], N)
    return {
        "size": [None if gap else float(v) for gap, v in zip(gaps, numbers, strict=True)],
        "count": [int(v) for v in rng.integers(0, 9, N)],
        "colour": [None if gap else str(v) for gap, v in zip(gaps[::-1], colours, strict=True)],
        "flag": [bool(v) for v in numbers > 0.5],
        "town": [f"t{i % 40}" for i in range(N)],
        "when": [FIRST + timedelta(hours=31 * i) for i in range(N)],
        "constant": [2.5] * N,
    }


COLUMNS = values()
NUMBERS = np.nan_to_num(np.array(COLUMNS["size"], dtype=float)) + np.array(
    [{"red": 2.0, "green": -2.0}.get(v, 0.0) for v in COLUMNS["colour"]]
)
LABELS = np.where(NUMBERS > 0, "yes", "no")
BOTH = pytest.mark.parametrize(
    ("task", "y"), [("classifier", LABELS), ("regressor", NUMBERS)], ids=["clf", "reg"]
)
FRAMES = pytest.mark.parametrize("library", ["pandas", "polars"])


def frame(library, columns=COLUMNS):
    return pytest.importorskip(library).DataFrame(columns)


def small(task, **params):
    """Return the pipeline with a network that trains fast."""
    network_class = MLPClassifier if task == "classifier" else MLPRegressor
    net = network_class(
        hidden_layer_sizes=(8,), max_iter=15, n_iter_no_change=np.inf, random_state=0
    )
    return make_tabular_pipeline(net, random_state=0, **params)


def outputs(model, X):
    return getattr(model, "predict_proba", model.predict)(X)


def chosen(model):
    """Return the columns of each type."""
    return {name: columns for name, _, columns in model["columns"].transformers_ if len(columns)}


# -- column types --------------------------------------------------------------------------------


@FRAMES
def test_column_types_are_detected(library):
    model = small("classifier").fit(frame(library), LABELS)
    assert chosen(model) == {
        "numbers": ["size", "count", "constant"],
        "few": ["colour", "flag"],
        "many": ["town"],
        "dates": ["when"],
    }


def test_column_types_of_pandas_are_detected():
    pd = pytest.importorskip("pandas")
    column_types = {
        "numbers": [
            pd.Series([1, None, 2], dtype="Int64"),
            pd.Series([1.5, None], dtype="Float64"),
            pd.Series([1, 2.5, None], dtype=object),
            pd.Series([1, 2], dtype="uint8"),
        ],
        "categories": [
            pd.Series(["a", None], dtype="string"),
            pd.Series(["a", None], dtype="str"),
            pd.Series(["a", None, 1], dtype=object),
            pd.Series([True, None], dtype="boolean"),
            pd.Series([True, None], dtype=object),
            pd.Series([3, 1, 3], dtype="category"),
            pd.Series([None, None], dtype=object),
        ],
        "dates": [
            pd.Series(pd.to_datetime(["2020-01-01", None])),
            pd.Series(pd.to_datetime(["2020-01-01"])).dt.tz_localize("Europe/Paris"),
            pd.Series([date(2020, 1, 1), None], dtype=object),
            pd.Series([pd.Timestamp("2020-01-01"), pd.NaT], dtype=object),
        ],
        "sparse": [pd.Series([0.0, 1.0], dtype=pd.SparseDtype(float))],
    }
    for expected, columns in column_types.items():
        assert [column_type(column) for column in columns] == [expected] * len(columns)


def test_column_types_of_polars_are_detected():
    pl = pytest.importorskip("polars")
    column_types = {
        "numbers": [pl.Series([1, None]), pl.Series([1.5, None]), pl.Series([1], dtype=pl.Decimal)],
        "categories": [
            pl.Series(["a", None]),
            pl.Series(["a"], dtype=pl.Categorical),
            pl.Series(["a"], dtype=pl.Enum(["a", "b"])),
            pl.Series([True, None]),
        ],
        "dates": [pl.Series([date(2020, 1, 1), None]), pl.Series([FIRST, None])],
    }
    for expected, columns in column_types.items():
        assert [column_type(column) for column in columns] == [expected] * len(columns)


@pytest.mark.parametrize(
    ("value", "type_name"),
    [([1, 2], "list"), ({"a": 1}, "dict"), (timedelta(days=1), "timedelta")],
)
def test_error_names_the_unsupported_column(value, type_name):
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame({"fine": np.arange(30.0), "odd": [value] * 30})
    model = small("classifier")
    with pytest.raises(TypeError, match=rf"strings, numbers.* Column 'odd' contains {type_name}"):
        model.fit(X, LABELS[:30])
    assert not hasattr(model["columns"], "transformers_")


def test_error_names_the_unsupported_column_of_polars():
    pl = pytest.importorskip("polars")
    for odd in ([timedelta(days=1)], [[1, 2]], [{"a": 1}]):
        with pytest.raises(TypeError, match="Column 'odd' contains"):
            small("regressor").fit(pl.DataFrame({"odd": odd * 30}), NUMBERS[:30])


def test_as_words_matches_hand_computed_values():
    X = np.array([["a", 1.0, True], [None, 2.5, False], ["b", np.nan, None]], dtype=object)
    expected = [["a", "1", "True"], ["missing", "2.5", "False"], ["b", "missing", "missing"]]
    assert as_words(X).tolist() == expected


def test_as_dates_matches_hand_computed_values():
    moments = ["1970-01-01", "1970-01-02T12:00", "1977-01-01", "NaT"]
    rows = as_dates(np.array(moments, dtype="datetime64[s]")[:, None])
    np.testing.assert_array_equal(rows[:, 0], [0, 1.5, 7 * 365 + 2, np.nan])
    np.testing.assert_allclose(rows[0, 1:], [0, 1, 0, 1, 0, 1], atol=1e-12)
    # Noon.
    np.testing.assert_allclose(rows[1, 5:], [0, -1], atol=1e-12)
    # A new year.
    np.testing.assert_allclose(rows[2, 1:3], [0, 1], atol=0.02)
    assert np.isnan(rows[3]).all()
    week = as_dates(np.array(["2024-03-04", "2024-03-11"], dtype="datetime64[D]")[:, None])
    np.testing.assert_allclose(*week[:, 3:5], atol=1e-9)


@FRAMES
def test_dates_with_a_time_zone_are_converted_to_utc(library):
    moments = [datetime(2024, 7, 1, 12, tzinfo=UTC), datetime(2024, 1, 1, 0, tzinfo=UTC)]
    column = frame(library, {"at": moments})["at"]
    if library == "pandas":
        column = column.dt.tz_convert("Asia/Tokyo")
    else:
        column = column.dt.convert_time_zone("Asia/Tokyo")
    plain = np.array(["2024-07-01T12:00", "2024-01-01"], dtype="datetime64[s]")[:, None]
    table = frame(library, {"at": column})
    np.testing.assert_allclose(as_dates(table), as_dates(plain))
    objects = np.array(moments, dtype=object)[:, None]
    np.testing.assert_allclose(as_dates(objects), as_dates(plain))


@pytest.mark.parametrize("clock", ["00:00", "08:37", "23:59:59.123457"])
def test_constant_time_of_day_has_a_constant_phase(clock):
    """Scaling would amplify rounding errors of the phase to apparent variation."""
    pd = pytest.importorskip("pandas")
    days = pd.DataFrame({"d": pd.date_range(f"2020-01-01T{clock}", periods=1000)})
    model = make_tabular_pipeline(Ridge())
    Z = model["columns"].fit_transform(days, np.arange(1000.0))
    names = model["columns"].get_feature_names_out()
    assert [name for name in names if "_day_" in name] == ["d_day_sin", "d_day_cos"]
    for name in ("d_day_sin", "d_day_cos"):
        assert Z[:, list(names).index(name)].std() == 0
    at = pd.Timestamp(f"2020-01-01T{clock}")
    turn = (at - at.normalize()) / pd.Timedelta(days=1)
    expected = np.sin(2 * np.pi * turn), np.cos(2 * np.pi * turn)
    np.testing.assert_allclose(as_dates(days)[:, 5:], [expected] * 1000, atol=1e-15)


def test_constant_weekday_has_a_constant_phase():
    weeks = np.arange("1950-01-02", "2090-01-01", 7, dtype="datetime64[D]")[:, None]
    assert (np.ptp(as_dates(weeks)[:, 3:], axis=0) == 0).all()


# -- tables --------------------------------------------------------------------------------------


@BOTH
def test_frames_and_arrays_give_the_same_predictions(task, y):
    tables = [frame("pandas"), frame("polars")]
    tables.append(np.array(list(zip(*COLUMNS.values(), strict=True)), dtype=object))
    models = [small(task).fit(X, y) for X in tables]
    first = outputs(models[0], tables[0])
    assert np.ptp(first) > 0.1
    for model, X in zip(models, tables, strict=True):
        np.testing.assert_array_equal(outputs(model, X), first)
    np.testing.assert_array_equal(outputs(models[0], tables[1]), first)


@BOTH
def test_pipeline_learns_from_every_column_type(task, y):
    model = make_tabular_pipeline(task, recipe="fast", random_state=0)
    X = frame("pandas")
    assert cross_val_predict(model, X, y).shape == y.shape
    assert model.fit(X, y).score(X, y) > 0.8
    # Predictions depend on the column of text.
    one = X.assign(colour="red")
    assert not np.allclose(outputs(model, one), outputs(model, X), atol=0.1)


@FRAMES
def test_column_order_and_new_columns_are_irrelevant(library):
    X = frame(library)
    model = small("regressor").fit(X, NUMBERS)
    reordered = frame(library, dict(reversed(COLUMNS.items())) | {"new": [1.0] * N})
    np.testing.assert_array_equal(model.predict(reordered), model.predict(X))
    with pytest.raises(ValueError, match=r"columns are missing.*town"):
        model.predict(frame(library, {k: v for k, v in COLUMNS.items() if k != "town"}))


def named(*names):
    """Return a frame with these column names, and classes that depend on its first column."""
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(1)
    columns = [rng.normal(size=N), rng.choice(["x", "y"], N), rng.normal(size=N)]
    X = pd.concat([pd.Series(column) for column in columns], axis=1)
    X.columns = pd.MultiIndex.from_tuples(names) if isinstance(names[0], tuple) else names
    return X, columns[0] > 0


@pytest.mark.parametrize(
    "names",
    [
        (0, 1, 2),
        (2, 0, 1),
        (5, 3, 9),
        (True, False, 2.5),
        (("a", 1), ("a", 2), ("b", 1)),
        tuple(np.array(["2020", "2021", "2022"], "datetime64[s]")),
    ],
    ids=str,
)
def test_column_names_need_not_be_strings(names):
    X, y = named(*names)
    model = make_tabular_pipeline(LogisticRegression()).fit(X, y)
    assert model.score(X, y) > 0.95
    actual = model.predict_proba(X)
    for order in ([2, 0, 1], [1, 2, 0], [2, 1, 0]):
        np.testing.assert_array_equal(model.predict_proba(X.iloc[:, order]), actual)
    more = X.iloc[:, [1, 0, 2]].copy()
    more.insert(0, ("new", 7) if isinstance(names[0], tuple) else 77, 1.0)
    np.testing.assert_array_equal(model.predict_proba(more), actual)
    np.testing.assert_array_equal(model.predict_proba(X.to_numpy(dtype=object)), actual)
    with pytest.raises(ValueError, match="columns are missing"):
        model.predict(X.iloc[:, :2])
    with pytest.raises(ValueError, match="columns are missing"):
        model.predict(named("a", "b", "c")[0])


def test_columns_of_an_array_are_numbered():
    X, y = named(0, 1, 2)
    model = make_tabular_pipeline(LogisticRegression()).fit(X.to_numpy(dtype=object), y)
    actual = model.predict_proba(X.to_numpy(dtype=object))
    np.testing.assert_array_equal(model.predict_proba(X), actual)
    np.testing.assert_array_equal(model.predict_proba(X[[2, 1, 0]]), actual)


def test_invalid_column_names_raise():
    model = make_tabular_pipeline(LogisticRegression())
    with pytest.raises(ValueError, match=r"must be unique.* Got 'a' more than once"):
        model.fit(*named("a", "b", "a"))
    with pytest.raises(TypeError, match="convert them all to strings"):
        model.fit(*named("a", 1, 2))
    X, y = named("a", "b", "c")
    model.fit(X, y)
    X.columns = ["a", "b", "b"]
    with pytest.raises(ValueError, match=r"must be unique.* Got 'b' more than once"):
        model.predict(X)
    with pytest.raises(ValueError, match=r"columns are missing: \['a', 'b', 'c'\]"):
        model.predict(named(0, 1, 2)[0])
    X = named("a", "b", "c")[0]
    # The name of an additional column does not matter.
    X[7] = 1.0
    assert model.predict(X).shape == (N,)


TRUTH = np.random.default_rng(2).random(N) < 0.5
FORMS = ["bool", "int8", "float64", "boolean", "Int64", "object", "category", "numbers", "mixed"]


def boolean_frame(form):
    """Return a frame with one Boolean column, stored in the given form."""
    pd = pytest.importorskip("pandas")
    column = pd.Series(TRUTH)
    if form == "numbers":
        column = column.astype(int).astype("category")
    elif form == "mixed":
        mixed = [
            [bool(v), np.bool_(v), int(v), float(v), np.float32(v)][i % 5]
            for i, v in enumerate(TRUTH)
        ]
        column = pd.Series(mixed, dtype=object)
    else:
        column = column.astype(form)
    return pd.DataFrame({"flag": column})


@pytest.mark.parametrize("fitted", FORMS)
def test_true_and_one_are_the_same_level(fitted):
    model = make_tabular_pipeline(LogisticRegression()).fit(boolean_frame(fitted), TRUTH)
    for form in FORMS:
        assert model.score(boolean_frame(form), TRUTH) == 1
    gap = boolean_frame("object")
    gap.iloc[0] = None
    assert model.score(gap[1:], TRUTH[1:]) == 1
    polars = pytest.importorskip("polars")
    for column in (TRUTH, TRUTH.astype(int), TRUTH.astype(float)):
        assert model.score(polars.DataFrame({"flag": column}), TRUTH) == 1


def test_booleans_and_numbers_in_text_are_parsed():
    words = np.where(TRUTH, "True", "False").astype(object)[:, None]
    ones = np.where(TRUTH, "1", "0").astype(object)[:, None]
    for X in (words, ones):
        model = make_tabular_pipeline(LogisticRegression()).fit(X, TRUTH)
        assert model.score(TRUTH.astype(object)[:, None], TRUTH) == 1
        assert model.score(TRUTH.astype(int).astype(object)[:, None], TRUTH) == 1
        assert model.score(ones, TRUTH) == 1


@FRAMES
def test_unseen_levels_and_gaps_are_supported(library):
    model = small("classifier").fit(frame(library), LABELS)
    odd = {
        **{name: [None, column[1]] for name, column in COLUMNS.items()},
        "colour": ["mauve", None],
        "town": ["t40", None],
    }
    p = model.predict_proba(frame(library, odd))
    assert p.shape == (2, 2)
    assert np.isfinite(p).all()


def test_rare_levels_are_pooled():
    X = np.array(["a"] * 20 + ["b"] * 20 + ["c"] * 4 + ["d"], dtype=object)[:, None]
    model = small("regressor").fit(X, np.arange(45.0))
    rare = model["columns"].transform(np.array([["c"], ["d"], ["new"]], dtype=object))
    assert (rare == rare[0]).all()
    assert rare.shape == (3, 3)


def test_columns_with_at_most_one_value_are_supported():
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame({"none": [np.nan] * 40, "void": [None] * 40, "one": 3.0, "x": range(40)})
    model = small("regressor").fit(X, np.arange(40.0))
    later = X.assign(none=1.0, void="text", one=4.0)
    assert np.isfinite(model.predict(later)).all()


def test_sparse_tables_are_supported(rng):
    dense = rng.random((N, 6)) * (rng.random((N, 6)) < 0.3)
    pd = pytest.importorskip("pandas")
    for X in (csr_array(dense), pd.DataFrame.sparse.from_spmatrix(csr_array(dense))):
        model = small("classifier").fit(X, LABELS)
        assert list(chosen(model)) == ["sparse"]
        assert np.isfinite(model.predict_proba(X)).all()


def test_missing_values_of_pandas_in_object_columns_are_supported():
    pd = pytest.importorskip("pandas")
    given = [1, 2.5, pd.NA, None, float("nan"), 3] * 20
    plain = np.array(given[:2] + [np.nan] * 3 + given[-1:], dtype=float).tolist() * 20
    X, same = pd.DataFrame({"o": pd.Series(given, dtype=object)}), pd.DataFrame({"o": plain})
    expected = make_tabular_pipeline(Ridge()).fit(same, NUMBERS).predict(same)
    rows = [[value] for value in given]
    for table in (X, X.to_numpy(), rows):
        model = make_tabular_pipeline(Ridge()).fit(table, NUMBERS)
        assert list(chosen(model)) == ["numbers"]
        np.testing.assert_array_equal(model.predict(table), expected)
    one = pd.DataFrame({"o": pd.Series([pd.NA], dtype=object)})
    model = make_tabular_pipeline(Ridge()).fit(same, NUMBERS)
    np.testing.assert_array_equal(model.predict(one), expected[2:3])


def test_sparse_columns_of_pandas_are_supported():
    pd = pytest.importorskip("pandas")
    colour = pd.Series([f"c{i % 3}" for i in range(N)])
    y = np.arange(N) % 3 + 0.5
    sparse, dense = (pd.get_dummies(colour, sparse=s) for s in (True, False))
    model = make_tabular_pipeline(Ridge(1e-9)).fit(sparse, y)
    assert list(chosen(model)) == ["sparse"]
    for table in (sparse, dense, dense.astype(int)):
        np.testing.assert_allclose(model.predict(table), y, atol=1e-6)
    # Sparse columns whose fill value is not 0 are treated as dense.
    numbers = np.where(np.arange(N) % 2, NUMBERS, np.nan)
    plain = make_tabular_pipeline(Ridge()).fit(pd.DataFrame({"x": numbers}), NUMBERS)
    for fill in (np.nan, 1.0):
        X = pd.DataFrame({"x": pd.arrays.SparseArray(numbers, fill_value=fill)})
        model = make_tabular_pipeline(Ridge()).fit(X, NUMBERS)
        np.testing.assert_array_equal(model.predict(X), plain.predict(pd.DataFrame({"x": numbers})))
    flags = pd.DataFrame({"x": pd.arrays.SparseArray(TRUTH, fill_value=True)})
    assert make_tabular_pipeline(LogisticRegression()).fit(flags, TRUTH).score(flags, TRUTH) == 1


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_error_names_the_column_with_infinity(value):
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    columns = {
        "fine": NUMBERS,
        "text": COLUMNS["town"],
        "odd": np.where(LABELS == "no", value, 1.0),
    }
    odd = columns["odd"]
    tables = [pd.DataFrame(columns), pl.DataFrame(columns)]
    tables.append(pd.DataFrame(columns).assign(odd=pd.Series([pd.NA, *odd[1:]], dtype=object)))
    tables.append(pd.DataFrame(columns).assign(odd=pd.arrays.SparseArray(odd, fill_value=0.0)))
    for X in tables:
        with pytest.raises(ValueError, match="Column 'odd' contains infinity"):
            small("regressor").fit(X, NUMBERS)
    for X in (np.c_[NUMBERS, odd], csr_array(np.c_[NUMBERS * 0, odd])):
        with pytest.raises(ValueError, match="Column 1 contains infinity"):
            small("regressor").fit(X, NUMBERS)
    with pytest.raises(ValueError, match=r"Columns \['odd', 'more'\] contain infinity"):
        small("regressor").fit(tables[0].assign(more=odd), NUMBERS)
    fitted = small("regressor").fit(tables[0].assign(odd=1.0), NUMBERS)
    with pytest.raises(ValueError, match="Column 'odd' contains infinity"):
        fitted.predict(tables[0])


def test_error_names_the_column_with_integers_beyond_floats():
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame({"huge": pd.Series([1, 2, 10**400] * 40, dtype=object)})
    with pytest.raises(ValueError, match=r"Column 'huge' contains .* too large for float64"):
        small("regressor").fit(X, NUMBERS)


def test_output_features_have_names():
    model = small("classifier").fit(frame("pandas"), LABELS)
    names = list(model[:-1].get_feature_names_out())
    assert names[:2] == ["size", "size_bin0"]
    expected = {"constant", "missingindicator_size", "colour_missing", "flag_True", "when_day_cos"}
    assert expected <= set(names)
    assert len(names) == model[-1].n_features_in_
    assert list(model.feature_names_in_) == list(COLUMNS)


@FRAMES
@pytest.mark.parametrize("output", ["pandas", "polars"])
def test_output_can_be_a_frame(library, output):
    X = frame(library)
    pytest.importorskip(output)
    plain = small("classifier").fit(X, LABELS)
    named = small("classifier").set_output(transform=output).fit(X, LABELS)
    table = named["columns"].transform(X)
    assert type(table).__module__.partition(".")[0] == output
    np.testing.assert_array_equal(table.to_numpy(), plain["columns"].transform(X))
    np.testing.assert_array_equal(named.predict_proba(X), plain.predict_proba(X))


@pytest.mark.parametrize("output", ["pandas", "polars"])
@pytest.mark.parametrize("globally", [False, True])
def test_colliding_names_get_a_number(output, globally):
    pd = pytest.importorskip("pandas")
    pytest.importorskip(output)
    rng = np.random.default_rng(0)
    names = ["a", "a_bin0", "missingindicator_a", "when_days"]
    X = pd.DataFrame({name: rng.normal(size=N) for name in names})
    X["c"], X["c_x"] = rng.choice(["x", "y"], N), X["a"] ** 2
    X["when"] = COLUMNS["when"]
    X.loc[::9, "a"] = np.nan
    model = small("classifier")
    plain = clone(model).fit(X, LABELS)
    actual = plain["columns"].get_feature_names_out()
    assert len(set(actual)) == len(actual)
    assert {*X.columns[:-3], "c_x", "a_bin0_2"} <= set(actual)
    expected = plain.predict_proba(X)
    if not globally:
        model.set_output(transform=output)
    with config_context(transform_output=output if globally else "default"):
        table = model.fit(X, LABELS)["columns"].transform(X)
        np.testing.assert_array_equal(model.predict_proba(X), expected)
        prepared = model["columns"].fit_transform(X, LABELS)
    assert list(prepared.columns) == list(actual)
    assert list(table.columns) == list(actual)
    np.testing.assert_array_equal(table.to_numpy(), plain["columns"].transform(X))


def test_unique_names_match_hand_computed_ones():
    assert unique_names(["a", "b", "a", "a_2", "a"]).tolist() == ["a", "b", "a_3", "a_2", "a_4"]


@pytest.mark.parametrize("output", ["pandas", "polars"])
@pytest.mark.parametrize("globally", [False, True])
def test_sparse_tables_can_be_output_as_frames(rng, output, globally):
    pytest.importorskip(output)
    X = csr_array(rng.random((N, 6)) * (rng.random((N, 6)) < 0.2))
    plain = small("classifier").fit(X, LABELS)
    expected = plain.predict_proba(X)
    model = small("classifier")
    if not globally:
        model.set_output(transform=output)
    with config_context(transform_output=output if globally else "default"):
        table = model.fit(X, LABELS)["columns"].transform(X)
        np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-6)
    assert type(table).__module__.partition(".")[0] == output
    np.testing.assert_array_equal(np.asarray(table), plain["columns"].transform(X).toarray())


# -- integration with scikit-learn ---------------------------------------------------------------


@BOTH
def test_clones_and_pickles_predict_the_same(task, y):
    X = frame("pandas")
    model = small(task).fit(X, y)
    for other in (clone(model).fit(X, y), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(outputs(other, X), outputs(model, X))
    assert "SmoothClipScaler" in repr(model)


def test_searches_reach_every_step():
    X = frame("pandas")
    grid = {
        "columns__numbers__scale": [StandardScaler(), "passthrough"],
        "columns__numbers__bins__rows_per_bin": [5],
        "columns__few__encode__min_frequency": [2],
        "columns__many__encode__mean__smooth": [1.0, 10.0],
        "model__optimizer__learning_rate": [0.001, 0.01],
    }
    search = GridSearchCV(small("classifier"), grid, cv=2, n_jobs=2, error_score="raise")
    search.fit(X, LABELS)
    assert len({round(s, 12) for s in search.cv_results_["mean_test_score"]}) > 1
    model = small("regressor")
    space = search_space(model, exclude=["max_iter", "hidden_layer_sizes"])
    assert "model__optimizer__learning_rate" in space
    RandomizedSearchCV(model, space, n_iter=2, cv=2, random_state=0, error_score="raise").fit(
        X, NUMBERS
    )


def test_any_estimator_can_be_the_last_step():
    X = frame("polars")
    assert (
        make_tabular_pipeline(LogisticRegression(max_iter=1000)).fit(X, LABELS).score(X, LABELS)
        > 0.9
    )
    reduced = Pipeline([("few", PCA(5)), ("ridge", Ridge())])
    model = make_tabular_pipeline(reduced).fit(X, NUMBERS)
    assert model["model"] is reduced
    assert model.predict(X).shape == (N,)


INTEGERS = np.random.default_rng(0).integers(0, 100, N)


@pytest.mark.parametrize(
    "y",
    [
        INTEGERS,
        INTEGERS.astype(float),
        INTEGERS.astype(np.float32),
        INTEGERS.astype(object),
        INTEGERS[:, None].astype(float)[:, 0].tolist(),
        INTEGERS > 50,
        INTEGERS % 2 + 5,
    ],
    ids=["int", "float", "float32", "object", "list", "bool", "two"],
)
def test_many_levels_become_one_mean_in_regression(y):
    X = frame("pandas", {"town": COLUMNS["town"]})
    columns = make_tabular_pipeline("regressor", random_state=0)["columns"]
    actual = columns.fit_transform(X, y)
    assert actual.shape == (N, 2)  # the mean, and the logarithm of the count
    # Fractions cannot be classes.
    shifted = np.array(y, dtype=float) + 0.25
    np.testing.assert_allclose(actual, clone(columns).fit_transform(X, shifted), atol=1e-5)


@pytest.mark.parametrize(
    ("estimator", "width"),
    [
        (MLPRegressor(), 1),
        (TransformedTargetRegressor(Ridge()), 1),
        (GridSearchCV(Ridge(), {"alpha": [1.0]}), 1),
        (Pipeline([("reduce", PCA(1)), ("ridge", Ridge())]), 1),
        (MLPClassifier(), 3),
        (GridSearchCV(LogisticRegression(), {"C": [1.0]}), 3),
        (KMeans(2), 3),
    ],
    ids=lambda value: type(value).__name__,
)
def test_estimator_determines_whether_integers_are_classes(estimator, width):
    X = frame("pandas", {"town": COLUMNS["town"]})
    for y in (INTEGERS % 3, INTEGERS % 3 * 1.0):
        assert make_tabular_pipeline(estimator)["columns"].fit_transform(X, y).shape == (
            N,
            width + 1,
        )


def test_sample_weights_reach_the_network(rng):
    X = frame("pandas")
    weight = rng.uniform(0.1, 4, N)
    plain = small("classifier").fit(X, LABELS, model__sample_weight=weight)
    alone = small("classifier").fit(X, LABELS)
    assert not np.allclose(plain.predict_proba(X), alone.predict_proba(X))
    with config_context(enable_metadata_routing=True):
        routed = small("classifier").fit(X, LABELS, sample_weight=weight)
        np.testing.assert_array_equal(routed.predict_proba(X), plain.predict_proba(X))


@BOTH
def test_validation_data_are_transformed(task, y):
    X = frame("pandas")
    held, rest = X[:40], X[40:].reset_index(drop=True)
    # The configuration is not read when the pipeline is made.
    model = small(task, transform_input=["X_val"])
    model[-1].set_params(early_stopping=True)
    with config_context(enable_metadata_routing=True):
        model.fit(rest, y[40:], X_val=held, y_val=y[:40])
        scores = model[-1].validation_scores_
        prepared = model["columns"].transform(held)
    net = clone(model[-1])
    # The target encoder is cross-fitted, so `transform` does not give the input of the network.
    columns = clone(model["columns"]).fit_transform(rest, y[40:])
    net.fit(columns, y[40:], X_val=prepared, y_val=y[:40])
    assert scores == net.validation_scores_


@BOTH
def test_random_state_determines_the_result(task, y):
    X = frame("pandas")
    models = [make_tabular_pipeline(task, recipe="fast", random_state=s) for s in (0, 0, 1)]
    first, same, other = (outputs(model.fit(X, y), X) for model in models)
    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, other)


@pytest.mark.parametrize("recipe", RECIPES)
@BOTH
def test_recipes_set_parameters_of_the_network(task, y, recipe):
    model = make_tabular_pipeline(task, recipe=recipe, random_state=3)
    assert isinstance(model[-1], MLPClassifier if task == "classifier" else MLPRegressor)
    assert model[-1].random_state == 3
    assert repr(model.set_params(**model.get_params()))
    model[-1].set_params(max_iter=2)
    assert np.isfinite(outputs(model.fit(frame("pandas"), y), frame("pandas"))).all()


def test_rare_classes_warn():
    X = frame("pandas")
    y = np.where(np.arange(N) < 3, "rare", LABELS)
    model = make_tabular_pipeline("classifier", random_state=0).set_params(model__max_iter=2)
    with pytest.warns(UserWarning, match="1 have fewer samples than the 8 folds") as caught:
        model.fit(X, y)
    assert len(caught) == 1
    assert "rare" in model.classes_
    with pytest.raises(ValueError, match=r"there are 10 samples.*recipe='fast'"):
        model.fit(X[:10], y[:10])


def test_invalid_arguments_raise():
    with pytest.raises(ValueError, match=r"'regresor' is not a known estimator.*mean 'regressor'"):
        make_tabular_pipeline("regresor")
    with pytest.raises(
        ValueError, match=r"'fats' is not a known recipe.*mean 'fast'.*default, fast"
    ):
        make_tabular_pipeline("classifier", recipe="fats")
    with pytest.raises(ValueError, match=r"is sknn_adam\.ensemble\.make_tabular_ensemble\. Known"):
        make_tabular_pipeline("classifier", recipe="best")
    for wrong in (MLPClassifier, 3, None):
        with pytest.raises(TypeError, match=r"'classifier', 'regressor' or an estimator. Got"):
            make_tabular_pipeline(wrong)


def test_pipeline_is_imported_lazily():
    code = "import sys, sknn_adam; print('sklearn.compose' in sys.modules, hasattr(sknn_adam, 'x'))"
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout.split() == ["False", "False"]
    assert "make_tabular_pipeline" in dir(sknn_adam)


# -- combination with skrub ----------------------------------------------------------------------


@BOTH
def test_estimators_work_in_pipelines_of_skrub(task, y):
    skrub = pytest.importorskip("skrub")
    X = frame("pandas")
    net = small(task)[-1].set_params(max_iter=100, optimizer__learning_rate=0.01)
    model = skrub.tabular_pipeline(net).fit(X, y)
    assert model[-1].n_iter_ == 100
    assert model.score(X, y) > 0.7
    ours = Pipeline([("clean", skrub.Cleaner()), ("ours", small(task))]).fit(X, y)
    np.testing.assert_array_equal(outputs(ours, X), outputs(small(task).fit(X, y), X))


# -- scikit-learn's own checks -------------------------------------------------------------------

OF_EVERY_PIPELINE = {
    "check_dont_overwrite_parameters": "Pipeline fits the estimators in its parameter `steps`.",
    "check_estimators_overwrite_params": "Pipeline fits the estimators in its parameter `steps`.",
    "check_estimators_nan_inf": "Pipeline does not pass on that its first step allows NaN.",
}
PIPELINES = [
    make_tabular_pipeline(task, recipe=recipe, random_state=0).set_params(**params)
    for task in ("classifier", "regressor")
    for recipe, params in (
        ("fast", {}),
        ("default", {"model__cv": 3, "model__max_iter": 20}),
    )
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
# Some checks fit tables with fewer samples of a class than there are folds.
@pytest.mark.filterwarnings("ignore:.*fewer samples than the 3 folds")
@pytest.mark.parametrize("model", PIPELINES, ids=["fast", "cv", "fast regressor", "cv regressor"])
def test_checks_of_scikit_learn_pass(model):
    """Only the checks that fail for each Pipeline with an imputer fail."""
    failed = {r["check_name"] for r in check_estimator(model, on_fail=None) if is_failure(r)}
    assert failed <= set(OF_EVERY_PIPELINE)


def is_failure(result):
    return result["status"] not in ("passed", "skipped")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_these_checks_fail_for_pipelines_of_scikit_learn_too():
    """If one passes, it must be removed from the list above."""
    results = check_estimator(make_pipeline(SimpleImputer(), Ridge()), on_fail=None)
    assert {r["check_name"] for r in results if is_failure(r)} == set(OF_EVERY_PIPELINE)


@pytest.mark.parametrize("container", ["array", "matrix"])
@pytest.mark.parametrize("format", ["bsr", "coo", "csc", "csr", "dia", "dok", "lil"])
def test_all_sparse_formats_are_accepted(format, container):
    rng = np.random.default_rng(0)
    X = np.where(rng.random((40, 3)) < 0.5, 0.0, rng.normal(size=(40, 3)))
    y = X.sum(axis=1)
    expected = small("regressor").fit(sparse.csr_matrix(X), y).predict(sparse.csr_matrix(X))
    table = getattr(sparse, f"{format}_{container}")(X)
    np.testing.assert_array_equal(small("regressor").fit(table, y).predict(table), expected)


@pytest.mark.parametrize("X", [np.zeros(5), np.zeros((3, 2, 2)), [1.0, 2.0], 3.0], ids=str)
def test_tables_must_have_two_dimensions(X):
    match = r"Expected a table with two dimensions.*Reshape your data"
    with pytest.raises(ValueError, match=match):
        small("regressor").fit(X, np.zeros(np.shape(X)[0] if np.ndim(X) else 1))


def test_complex_numbers_raise():
    with pytest.raises(ValueError, match="Complex data not supported: column 0"):
        small("regressor").fit(np.ones((4, 2), complex), np.zeros(4))
    with pytest.raises(ValueError, match="Complex data not supported: column 'odd'"):
        small("regressor").fit(pytest.importorskip("pandas").DataFrame({"odd": [2j] * 4}), [1] * 4)


@pytest.mark.parametrize("n_rows", [8191, 8192])
def test_columns_of_large_tables_are_float32_for_networks_of_a_recipe(n_rows):
    table = np.random.default_rng(0).normal(size=(n_rows, 2))
    y = table[:, 0]
    large = n_rows == 8192
    for task, expected in (("regressor", np.float32 if large else np.float64), (None, np.float64)):
        model = make_tabular_pipeline(task or LinearRegression(), recipe="fast")
        encoded = model[:-1].fit_transform(table, y)
        assert encoded.dtype == model[:-1].transform(table[:5]).dtype == expected
        np.testing.assert_array_equal(encoded[:5], model[:-1].transform(table[:5]))
        exact = make_tabular_pipeline(LinearRegression())[:-1].fit_transform(table, y)
        np.testing.assert_array_equal(encoded, exact.astype(expected))


def test_predictions_of_large_tables_are_float64():
    table = np.random.default_rng(0).normal(size=(8192, 2))
    model = make_tabular_pipeline("regressor", recipe="fast", random_state=0)
    model.set_params(model__max_iter=1).fit(table, table[:, 0])
    assert model[:-1].transform(table[:2]).dtype == np.float32
    assert model.predict(table[:5]).dtype == np.float64
