"""Each column type in each type of table gives the predictions of its canonical form.

The canonical form is a pandas dataframe of float64, datetime64, bool or str columns. A table that
cannot be used must raise an error, or issue a warning, that names the column.
"""

import warnings
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge

from sknn_adam import make_tabular_pipeline

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
try:
    import pyarrow as pa
except ImportError:
    pa = None
ARROW = pytest.mark.skipif(pa is None, reason="pyarrow is not installed")

N, N_FIT = 144, 120
RNG = np.random.default_rng(0)
OTHER = RNG.normal(size=N)
TARGETS = RNG.normal(size=N_FIT)
FIRST = datetime(2020, 1, 1)
WORDS = "quiet room near the sea with a large kitchen and two old balconies facing north".split()


def gaps(values):
    """Return the values with a missing one at each eleventh place."""
    return [None if i % 11 == 3 else value for i, value in enumerate(values)]


INTS = [int(v) for v in RNG.integers(-50, 5000, N)]
FLOATS = gaps([round(float(v), 3) for v in RNG.normal(scale=9, size=N)])
BOOLS = [bool(v) for v in RNG.random(N) < 0.4]
DAYS = [FIRST + timedelta(days=int(v)) for v in RNG.integers(0, 900, N)]
MOMENTS = gaps([day + timedelta(minutes=int(v)) for day, v in zip(DAYS, INTS, strict=True)])
FEW = gaps([str(v) for v in RNG.choice(["red", "green", "blue"], N)])
MANY = gaps([f"town {v}" for v in RNG.integers(0, 40, N)])
TEXTS = [" ".join(RNG.choice(WORDS, 6)) for _ in range(N)]


def written(values, function, blank=None):
    """Return the values as text, with another marker of missing values."""
    return [blank if value is None else function(value) for value in values]


# For each kind of column: the values as they are in the table, and those of the canonical form.
KINDS = {
    "int": (INTS, INTS),
    "float": (FLOATS, FLOATS),
    "bool": (BOOLS, BOOLS),
    "number as text": (written(FLOATS, str, " "), FLOATS),
    "decimal comma": (written(FLOATS, lambda v: str(v).replace(".", ",")), FLOATS),
    "percent": (
        written(INTS, "{} %".format),
        [value / 100 for value in INTS],
    ),
    "thousands": (written(INTS, "{:,}".format), INTS),
    "iso date": (written(MOMENTS, datetime.isoformat, ""), MOMENTS),
    "local date": (written(DAYS, lambda v: v.strftime("%d.%m.%Y")), DAYS),
    "datetime": (MOMENTS, MOMENTS),
    "date": (written(gaps(DAYS), datetime.date), gaps(DAYS)),
    "boolean words": (["yes" if value else "no" for value in BOOLS], BOOLS),
    "few levels": (FEW, FEW),
    "many levels": (MANY, MANY),
    "category": (FEW, FEW),
    "free text": (TEXTS, TEXTS),
    "identifier": ([f"id{i:05d}" for i in range(N)], None),
    "all missing": ([None] * N, [np.nan] * N),
    "constant": ([2.5] * N, [2.5] * N),
}
TEXT_KINDS = {kind for kind, (values, _) in KINDS.items() if isinstance(values[1], str)}
NUMBER_KINDS = {kind for kind, (v, _) in KINDS.items() if type(v[1]) in (int, float)}
DATE_KINDS = {"datetime", "date"}
CATEGORIES = {"few levels", "many levels", "category"}


def canonical(kind, values=None):
    """Return the table of a kind in its canonical form."""
    values = KINDS[kind][1] if values is None else values
    if kind == "identifier":
        return pd.DataFrame({"other": OTHER[: len(values) if values else N]})
    present = next((value for value in values if value is not None), None)
    dtype = object if isinstance(present, str | bool) else None
    if isinstance(present, datetime):
        dtype = "datetime64[us]"
    return pd.DataFrame({"x": pd.Series(values, dtype=dtype), "other": OTHER[: len(values)]})


def frame(column):
    return pd.DataFrame({"x": column, "other": OTHER[: len(column)]})


def rows_of(values):
    return [list(row) for row in zip(values, OTHER[: len(values)].tolist(), strict=True)]


def object_array(values):
    out = np.empty((len(values), 2), dtype=object)
    out[:, 0], out[:, 1] = values, OTHER[: len(values)]
    return out


def polars_frame(values, dtype=None, **options):
    return pl.DataFrame(
        {"x": pl.Series(values, dtype=dtype, **options), "other": OTHER[: len(values)]}
    )


def decimals(values):
    return [None if value is None else Decimal(str(value)) for value in values]


def in_paris(values):
    series = pl.Series([None if v is None else v.replace(tzinfo=UTC) for v in values])
    return series.cast(pl.Datetime("us", "UTC")).dt.convert_time_zone("Europe/Paris")


def arrow_type(values):
    """Return an Arrow column with the type that pyarrow finds."""
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.array(values)))


def arrow_dictionary(values):
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.array(values).dictionary_encode()))


def every(kind):
    return True


# For each form of a table: which kinds it can hold, and the function that makes it.
FORMS = {
    "pandas": (every, lambda v: frame(pd.Series(v))),
    "pandas object": (every, lambda v: frame(pd.Series(v, dtype=object))),
    "pandas str": (TEXT_KINDS.__contains__, lambda v: frame(pd.Series(v, dtype="str"))),
    "pandas string": (TEXT_KINDS.__contains__, lambda v: frame(pd.Series(v, dtype="string"))),
    "pandas nullable": (every, lambda v: frame(pd.Series(v).convert_dtypes())),
    "pandas Float64": (NUMBER_KINDS.__contains__, lambda v: frame(pd.Series(v, dtype="Float64"))),
    "pandas Int64": ({"int"}.__contains__, lambda v: frame(pd.Series(v, dtype="Int64"))),
    "pandas boolean": ({"bool"}.__contains__, lambda v: frame(pd.Series(v, dtype="boolean"))),
    "pandas category": (CATEGORIES.__contains__, lambda v: frame(pd.Series(v, dtype="category"))),
    "pandas zone": (
        {"datetime"}.__contains__,
        lambda v: frame(
            pd.Series(pd.to_datetime(v)).dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
        ),
    ),
    "pandas Decimal": (NUMBER_KINDS.__contains__, lambda v: frame(pd.Series(decimals(v)))),
    "arrow": (every, lambda v: frame(arrow_type(v))),
    "arrow dictionary": (CATEGORIES.__contains__, lambda v: frame(arrow_dictionary(v))),
    "arrow decimal": (NUMBER_KINDS.__contains__, lambda v: frame(arrow_type(decimals(v)))),
    "polars": (every, polars_frame),
    "polars Categorical": (CATEGORIES.__contains__, lambda v: polars_frame(v, pl.Categorical)),
    "polars Enum": (
        {"few levels", "category"}.__contains__,
        lambda v: polars_frame(v, pl.Enum(["red", "green", "blue"])),
    ),
    "polars Decimal": (
        NUMBER_KINDS.__contains__,
        lambda v: polars_frame(decimals(v), pl.Decimal(20, 3)),
    ),
    "polars zone": (
        {"datetime"}.__contains__,
        lambda v: pl.DataFrame({"x": in_paris(v), "other": OTHER[: len(v)]}),
    ),
    "polars Date": ({"date"}.__contains__, lambda v: polars_frame(v, pl.Date)),
    "numpy object": (every, object_array),
    "numpy text": (every, lambda v: object_array(written(v, str, "missing")).astype(str)),
    "numpy float": (
        {"int", "float", "constant", "all missing"}.__contains__,
        lambda v: object_array(v).astype(float),
    ),
    "lists": (every, rows_of),
}
CELLS = [
    pytest.param(kind, form, marks=ARROW if form.startswith("arrow") else ())
    for kind in KINDS
    for form, (holds, _) in FORMS.items()
    if holds(kind)
]


def fitted(X, y=TARGETS, **params):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"The columns .* are left out")
        return make_tabular_pipeline(Ridge(), random_state=0, **params).fit(X, y)


TABLES = {
    (kind, form): made(KINDS[kind][0])
    for kind in KINDS
    for form, (holds, made) in FORMS.items()
    if holds(kind) and not (pa is None and form.startswith("arrow"))
}
CACHE = {}
MODELS = {}


def table(kind, form):
    return TABLES[kind, form]


def model_of(kind, form):
    """Return the fitted model of a table; no test modifies it."""
    if (kind, form) not in MODELS:
        MODELS[kind, form] = fitted(table(kind, form)[:N_FIT])
    return MODELS[kind, form]


def expected(kind):
    """Return the model of the canonical form, and its predictions for the other samples."""
    if kind not in CACHE:
        X = canonical(kind)
        model = fitted(X[:N_FIT])
        CACHE[kind] = model, model.predict(X[N_FIT:])
    return CACHE[kind]


@pytest.mark.filterwarnings("ignore:X has feature names, but .* was fitted without")
@pytest.mark.parametrize(("kind", "form"), CELLS)
def test_all_forms_give_the_predictions_of_the_canonical_form(kind, form):
    model = model_of(kind, form)
    for other in {form, "pandas", "pandas object", "arrow", "polars", "numpy object", "numpy text"}:
        if (kind, other) in TABLES:
            X, want = table(kind, other), expected(kind)[1]
            if hasattr(table(kind, form), "columns") and not hasattr(X, "columns"):
                with pytest.raises(ValueError, match="only supported for dataframes"):
                    model.predict(X[N_FIT:])
                continue
            predicted = model.predict(X[N_FIT:])
            np.testing.assert_allclose(predicted, want, rtol=1e-6, atol=1e-9, err_msg=other)
    want = expected(kind)[1]
    one = table(kind, form)[N_FIT : N_FIT + 1]
    np.testing.assert_allclose(model.predict(one), want[:1], rtol=1e-6)


# -- differences between fit and predict ---------------------------------------------------------

FRAMES = pytest.mark.parametrize("form", ["pandas", "polars"])
KIND = pytest.mark.parametrize("kind", KINDS)


def same(model, X, kind, want=None):
    want = expected(kind)[1] if want is None else want
    np.testing.assert_allclose(model.predict(X), want, rtol=1e-6, atol=1e-9)


def with_missing(kind, places):
    """Return the predictions of the canonical form with missing values at some places."""
    X = canonical(kind)[N_FIT:].reset_index(drop=True)
    if "x" in X:
        column = X["x"].astype(object)
        column[places] = None
        X["x"] = column.astype(X["x"].dtype if X["x"].dtype.kind in "Mf" else object)
        if X["x"].dtype == object and kind in NUMBER_KINDS:
            X["x"] = X["x"].astype(float)
    return expected(kind)[0].predict(X)


@KIND
@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT], ids=repr)
@pytest.mark.parametrize("form", ["pandas", "numpy object"])
def test_all_missing_values_are_the_same(kind, missing, form):
    model = model_of(kind, form)
    values = list(KINDS[kind][0][N_FIT:])
    values[0] = values[5] = missing
    X = frame(pd.Series(values, dtype=object)) if form == "pandas" else object_array(values)
    X = with_other(X)
    same(model, X, kind, with_missing(kind, [0, 5]))


def with_other(X):
    """Return a table of the last samples with their values of the other column."""
    if isinstance(X, np.ndarray):
        X[:, 1] = OTHER[N_FIT:]
        return X
    return X.assign(other=OTHER[N_FIT:])


@KIND
@FRAMES
def test_a_column_can_lack_all_values_in_predict(kind, form):
    model = model_of(kind, form)
    want = with_missing(kind, list(range(N - N_FIT)))
    for empty in ([None] * (N - N_FIT), [np.nan] * (N - N_FIT)):
        if form == "pandas":
            X = with_other(frame(pd.Series(empty)))
        else:
            X = pl.DataFrame({"x": pl.Series(empty, strict=False), "other": OTHER[N_FIT:]})
        same(model, X, kind, want)


@KIND
@FRAMES
def test_columns_are_selected_by_name(kind, form):
    model = model_of(kind, form)
    X = table(kind, form)[N_FIT:]
    extra = [f"new {i}" for i in range(len(X))]
    if form == "pandas":
        wider, shorter = X.assign(new=extra)[["new", "other", "x"]], X.drop(columns="x")
    else:
        wider = X.with_columns(pl.Series("new", extra))["new", "other", "x"]
        shorter = X.drop("x")
    same(model, wider, kind)
    if kind == "identifier":
        same(model, shorter, kind)
        return
    with pytest.raises(ValueError, match=r"columns are missing: \{'x'\}"):
        model.predict(shorter)


NAMES = {
    "ints": [7, 3],
    "tuples": [("a", 1), ("b", 2)],
    "dates": [date(2020, 1, 1), date(2020, 1, 2)],
    "timestamps": [pd.Timestamp("2020-01-01"), pd.Timestamp("2020-01-02")],
}


@KIND
@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_names_of_columns_can_have_any_type(kind, names):
    X = table(kind, "pandas object").set_axis(pd.Index(names, tupleize_cols=False), axis=1)
    model = fitted(X[:N_FIT])
    same(model, X[N_FIT:], kind)
    same(model, X[N_FIT:][names[::-1]], kind)
    if kind != "identifier":
        with pytest.raises(ValueError, match="columns are missing") as caught:
            model.predict(X[names[1:]])
        assert repr(names[0]) in str(caught.value)


@KIND
def test_memory_layout_is_irrelevant(kind):
    X = table(kind, "numpy object")
    fixed = X.copy()
    fixed.flags.writeable = False
    for layout in (fixed, np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2]):
        model = fitted(layout[:N_FIT])
        same(model, layout[N_FIT:], kind)
    frozen = pd.DataFrame(fixed, columns=["x", "other"], copy=False)
    same(fitted(frozen[:N_FIT]), frozen[N_FIT:], kind)
    assert np.array_equal(pd.DataFrame(X).isna(), pd.DataFrame(fixed).isna())


def other_values(kind):
    """Yield pairs of description and values that mean the same as those of the kind."""
    canonical_values = KINDS[kind][1]
    if canonical_values is None or kind == "all missing":
        return
    yield "canonical", canonical_values
    # A period separates thousands in columns with decimal commas.
    if kind == "decimal comma":
        return
    yield "text", written(canonical_values, str)
    yield "text with spaces", written(canonical_values, " {} ".format, "n/a")
    if isinstance(canonical_values[0], bool):
        yield "ints", [int(v) for v in canonical_values]
        yield "floats", [float(v) for v in canonical_values]
        yield "upper case", [str(v).upper() for v in canonical_values]
        yield "0 and 1", [str(int(v)) for v in canonical_values]
    if isinstance(canonical_values[0], int | float):
        yield "float", written(canonical_values, float)
        yield "NumPy", written(canonical_values, np.float64)
    if kind in ("iso date", "datetime"):
        yield "US", written(canonical_values, lambda v: v.strftime("%m/%d/%Y %I:%M %p"))
        yield "zone", written(canonical_values, lambda v: (v + HOURS).isoformat() + "+05:30")
        yield "aware", written(canonical_values, lambda v: v.replace(tzinfo=UTC))
        yield "Timestamps", written(canonical_values, pd.Timestamp)
    if kind in ("local date", "date"):
        yield "dates", written(canonical_values, datetime.date)


HOURS = timedelta(hours=5, minutes=30)
OTHERS = [
    pytest.param(kind, values, id=f"{kind}-{name}")
    for kind in KINDS
    for name, values in other_values(kind)
    if kind not in CATEGORIES | {"free text"} or "spaces" not in name
]


@FRAMES
@pytest.mark.parametrize(("kind", "values"), OTHERS)
def test_values_can_be_written_in_another_way_in_predict(kind, values, form):
    model = model_of(kind, form)
    for made in (FORMS[form][1], FORMS["pandas object"][1]):
        same(model, made(values)[N_FIT:], kind)
    if isinstance(values[1], str):
        same(model, FORMS["pandas category"][1](values)[N_FIT:], kind)
        same(model, FORMS["polars Categorical"][1](values)[N_FIT:], kind)


@FRAMES
@pytest.mark.parametrize("kind", sorted(CATEGORIES))
def test_unseen_levels_are_the_same_in_all_forms(kind, form):
    model = model_of(kind, form)
    values = [*FEW[: N - N_FIT - 1], "mauve"]
    X = pd.DataFrame({"x": pd.Series(values, dtype=object), "other": OTHER[N_FIT:]})
    want = expected(kind)[0].predict(X)
    for dtype in ("category", "string", "str", object):
        same(model, X.astype({"x": dtype}), kind, want)
    levels = pl.Enum([*sorted({v for v in values if v})])
    for dtype in (pl.String, pl.Categorical, levels):
        same(
            model,
            pl.DataFrame({"x": pl.Series(values, dtype=dtype), "other": OTHER[N_FIT:]}),
            kind,
            want,
        )


PARSED = sorted(set(KINDS) - CATEGORIES - {"free text", "identifier", "all missing"})


@FRAMES
@pytest.mark.parametrize("kind", PARSED)
def test_warning_names_the_column_with_values_of_another_type(kind, form):
    model = model_of(kind, form)
    values = [*written(KINDS[kind][0][N_FIT:-2], str), "mauve", "lilac"]
    X = with_other(frame(pd.Series(values, dtype=object)))
    want = with_missing(kind, [N - N_FIT - 2, N - N_FIT - 1])
    with pytest.warns(UserWarning, match=r"^Column 'x': 2 of 24 values \(0.083\)") as caught:
        same(model, X, kind, want)
    (message,) = (str(warning.message) for warning in caught)
    assert "'mauve', 'lilac'" in message
    assert "column_types={'x': 'category'}" in message


WRONG = {
    "dates": [FIRST] * 24,
    "numbers": [3.5] * 24,
    "lists": [[1]] * 24,
    "durations": [timedelta(1)] * 24,
    "complex": [1j] * 24,
    "infinite": [np.inf] * 24,
}


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"identifier"}))
@pytest.mark.parametrize("wrong", WRONG)
def test_errors_and_warnings_name_a_column_of_another_type(kind, wrong):
    model = model_of(kind, "pandas")
    X = with_other(frame(pd.Series(WRONG[wrong], dtype=object)))
    if wrong in ("lists", "durations", "complex"):
        with pytest.raises((TypeError, ValueError), match="olumn 'x'"):
            model.predict(X)
        return
    if wrong == "infinite" and kind in NUMBERS:
        with pytest.raises(ValueError, match="Column 'x' contains infinity"):
            model.predict(X)
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert np.isfinite(model.predict(X)).all()
    # For categories, these values are unseen levels.
    if kind in CATEGORIES | {"free text", "all missing"}:
        return
    if wrong == "numbers" and kind in NUMBERS:
        return
    if wrong == "dates" and isinstance(KINDS[kind][1][0], datetime):
        assert not caught
        return
    assert "olumn 'x'" in str(caught[0].message)


NUMBERS = NUMBER_KINDS | {"number as text", "decimal comma", "percent", "thousands"}


@pytest.mark.parametrize(
    "form", ["pandas category", pytest.param("arrow dictionary", marks=ARROW), "polars Categorical"]
)
def test_categorical_types_are_not_parsed(form):
    model = fitted(FORMS[form][1](["10", "20", "n/a"] * 40))
    assert model["columns"].column_types_["x"].type == "category"


# -- sparse tables -------------------------------------------------------------------------------


def sparse_forms():
    """Return the same table in all sparse forms."""
    dense = np.where(RNG.random((N, 3)) < 0.3, RNG.normal(size=(N, 3)), 0.0)
    forms = {
        name: getattr(sparse, f"{name}_{container}")(dense)
        for name in ("csr", "csc", "lil", "dok")
        for container in ("matrix", "array")
    }
    names = list("abc")
    forms["pandas"] = pd.DataFrame.sparse.from_spmatrix(sparse.csr_matrix(dense), columns=names)
    forms["filled"] = pd.DataFrame(dense, columns=names).astype(pd.SparseDtype(float, 0.0))
    return forms


SPARSE = sparse_forms()


@pytest.mark.parametrize("form", SPARSE)
def test_all_sparse_forms_give_the_same_predictions(form):
    want = fitted(SPARSE["csr"][:N_FIT]).predict(SPARSE["csr"][N_FIT:])
    np.testing.assert_allclose(
        fitted(SPARSE[form][:N_FIT]).predict(SPARSE[form][N_FIT:]), want, atol=1e-9
    )


# -- classes -------------------------------------------------------------------------------------

LABELS = {
    "text": ["no", "yes", "rare"],
    "bool": [False, True],
    "int": [0, 1, 2],
    "int from 1": [1, 2, 7],
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("container", [list, np.array, pd.Series, pl.Series])
def test_classes_with_one_sample_are_supported(labels, container):
    y = [labels[value] for value in BOOLS[:N_FIT]]
    y[3] = labels[-1]
    X = table("few levels", "pandas")[:N_FIT]
    simple = make_tabular_pipeline(LogisticRegression(), random_state=0).fit(X, container(y))
    network = make_tabular_pipeline("classifier", random_state=0).set_params(model__max_iter=2)
    if len(labels) == 2:
        network.fit(X, container(y))
    else:
        with pytest.warns(UserWarning, match="fewer samples than the 8 folds") as caught:
            network.fit(X, container(y))
        assert len(caught) == 1
    for model in (simple, network):
        assert list(model.classes_) == sorted(labels)
        assert set(model.predict(X)) <= set(labels)
        np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1, rtol=1e-6)
