"""Conversion of make_tabular_pipeline to ONNX: onnxruntime predicts the same for raw tables."""

import warnings
from datetime import date, timedelta

import numpy as np
import pytest
from sklearn.ensemble import VotingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)

from sknn_adam import MLPClassifier, MLPRegressor, make_tabular_pipeline

skl2onnx = pytest.importorskip("skl2onnx")
pytest.importorskip("onnxruntime")
pd = pytest.importorskip("pandas")

from onnx_matrix import SMALL, run  # noqa: E402
from skl2onnx.common import data_types as t  # noqa: E402

from sknn_adam.onnx import initial_types, register  # noqa: E402

register()
RNG = np.random.default_rng(0)
N = 400


def pick(levels, p=None):
    return RNG.choice(np.array(levels, dtype=object), N, p=p)


def with_gaps(values):
    return np.where(RNG.random(N) < 0.1, None, np.asarray(values, dtype=object))


TABLE = pd.DataFrame(
    {
        "size": with_gaps(RNG.normal(size=N)).astype(float),
        "age": RNG.integers(0, 90, N),
        # Text with a decimal comma, which is parsed.
        "price": with_gaps([f"{x:.2f}".replace(".", ",") for x in RNG.lognormal(3, 1, N)]),
        "color": with_gaps(pick(["red", "green", "blue", "Straße"])),
        # Levels with fewer than 5 rows share a column.
        "shape": pick([f"s{k}" for k in range(25)], p=[0.45, 0.45, *[0.1 / 23] * 23]),
        "city": with_gaps([f"city {int(k)}" for k in RNG.exponential(20, N)]),
        "sold": RNG.random(N) < 0.5,
        "garden": with_gaps(RNG.random(N) < 0.5),
        "answer": with_gaps(pick(["yes", "no"])),
        "code": [f"id{k}" for k in range(N)],
    }
)
NUMBERS = TABLE["age"] / 20 + (TABLE["color"] == "red") + TABLE["sold"] - TABLE["size"].fillna(1)
CLASSES = np.digitize(NUMBERS, [1.5, 3])
UNSEEN = TABLE.copy()
UNSEEN.loc[::3, "color"] = "purple"
UNSEEN.loc[::4, "city"] = "elsewhere"
UNSEEN.loc[::5, "shape"] = None
UNSEEN.loc[1::5, "shape"] = "never"
UNSEEN.loc[::6, ["garden", "answer", "size", "price"]] = None


def fitted(X, y, estimator=MLPRegressor, column_types=None, **params):
    """Return a fitted pipeline of a small network."""
    model = make_tabular_pipeline(
        estimator(**SMALL),
        random_state=0,
        column_types={"code": "identifier"} | (column_types or {}),
    )
    if "code" not in X:
        model.set_params(columns__column_types=column_types)
    return model.set_params(**params).fit(X, y)


def feeds(X, types, numbers=np.float32):
    """Return the inputs of a graph: numbers, and text with an empty string for missing values."""
    out = {}
    for name, type_ in types:
        column = X[name]
        if isinstance(type_, t.StringTensorType):
            values = column.astype(object).where(column.notna(), "").astype(str).to_numpy(object)
        elif isinstance(type_, t.BooleanTensorType):
            values = column.to_numpy(bool)
        elif column.dtype.kind in "if":
            values = column.to_numpy(numbers)
        else:
            text = column.str.replace(".", "").str.replace(",", ".")
            values = text.to_numpy(dtype=float, na_value=np.nan).astype(numbers)
        out[name] = values.reshape(-1, 1)
    return out


def check(model, X, types=None, numbers=np.float32):
    """Check the predictions of the graph for X."""
    types = initial_types(model, numbers) if types is None else types
    options = {"zipmap": False} if hasattr(model, "predict_proba") else None
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        graph = skl2onnx.to_onnx(model, initial_types=types, options=options)
    *labels, actual = run(graph, feeds(X, types, numbers))
    assert actual.dtype == numbers
    expected = model.predict(X) if options is None else model.predict_proba(X)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(actual, expected.reshape(actual.shape), atol=1e-5 * scale)
    assert np.ptp(actual) > 1e-3 * scale
    if labels:
        np.testing.assert_array_equal(labels[0], model.predict(X))


@pytest.mark.parametrize("X", [TABLE, UNSEEN], ids=["seen", "unseen"])
@pytest.mark.parametrize("numbers", [np.float32, np.float64])
def test_onnxruntime_predicts_the_same(numbers, X):
    text = np.array(["low", "middle", "high"])[CLASSES]
    check(fitted(TABLE, NUMBERS), X, numbers=numbers)
    check(fitted(TABLE, text, MLPClassifier), X, numbers=numbers)
    check(fitted(TABLE, np.stack([NUMBERS, NUMBERS**2], 1)), X, numbers=numbers)


def test_initial_types():
    types = dict(initial_types(fitted(TABLE, NUMBERS)))
    # The identifier is left out.
    assert list(types) == [name for name in TABLE if name != "code"]
    numbers = [name for name, type_ in types.items() if isinstance(type_, t.FloatTensorType)]
    assert numbers == ["size", "age", "price"]
    assert all(isinstance(types[n], t.StringTensorType) for n in types if n not in numbers)
    types = dict(initial_types(fitted(TABLE, NUMBERS, columns__numbers="drop"), np.float64))
    assert "size" not in types
    search = GridSearchCV(fitted(TABLE, NUMBERS), {"model__alpha": [0.0]}, cv=2)
    with pytest.raises(TypeError, match="must be a Pipeline of make_tabular_pipeline"):
        initial_types(search)
    with pytest.raises(NotFittedError):
        initial_types(make_tabular_pipeline("regressor"))


def test_inputs_are_found_by_name():
    model = fitted(TABLE, NUMBERS)
    # Another order, and a column that is left out.
    types = [*initial_types(model)[::-1], ("code", t.StringTensorType([None, 1]))]
    check(model, UNSEEN, types)
    with pytest.raises(NotImplementedError, match=r"'age' needs an input\. The graph has \["):
        skl2onnx.to_onnx(model, initial_types=types[:-3] + types[-2:])


def test_names_that_skl2onnx_changes():
    X = TABLE[["size", "color", "city"]].set_axis(["the size", "3", "the_size"], axis=1)
    model = make_tabular_pipeline(MLPRegressor(**SMALL), random_state=0).fit(X, NUMBERS)
    types = initial_types(model)
    assert [name for name, _ in types] == ["the size", "3", "the_size"]
    graph = skl2onnx.to_onnx(model, initial_types=types)
    inputs = [X[["the size"]].to_numpy(np.float32)]
    inputs += [X[[name]].fillna("").to_numpy(object) for name in ("3", "the_size")]
    names = [variable.name for variable in graph.graph.input]
    (actual,) = run(graph, dict(zip(names, inputs, strict=True)))
    np.testing.assert_allclose(actual.ravel(), model.predict(X), rtol=1e-5, atol=1e-5)


def test_types_can_be_guessed_from_a_table():
    """Integers and booleans keep their dtypes."""
    X = TABLE[["size", "age", "color", "city", "sold", "garden"]]
    # skl2onnx looks at the first row.
    X = X[X.notna().all(axis=1)].astype({"size": np.float32})
    model = fitted(X, NUMBERS[X.index])
    (actual,) = run(
        skl2onnx.to_onnx(model, X[:1]),
        {n: X[[n]].to_numpy(object if n in ("color", "city") else None) for n in X if n != "garden"}
        | {"garden": X[["garden"]].astype(str).to_numpy(object)},
    )
    np.testing.assert_allclose(actual.ravel(), model.predict(X), rtol=1e-5, atol=1e-5)


def test_boolean_inputs():
    X = TABLE[["sold", "answer", "size"]]
    model = fitted(X, NUMBERS, column_types={"sold": "category"})
    types = initial_types(model)
    types = [("sold", t.BooleanTensorType([None, 1])), ("answer", types[1][1]), types[2]]
    check(model, X, types)
    # In a column of numbers, True is 1.
    ones = X.assign(sold=X["sold"].astype(int))
    model = fitted(ones, NUMBERS, column_types={"sold": "category"})
    check(model, X, types)


def test_booleans_as_text_in_other_spellings():
    model = fitted(TABLE[["answer", "size"]], NUMBERS)
    words = ["yes", "YES", "Yes", "1", "no", "NO", "No", "0", "", "perhaps", "True"]
    X = pd.DataFrame({"answer": words, "size": 0.0})
    with pytest.warns(UserWarning, match="cannot be read as a boolean"):
        check(model, X)


def test_missing_and_empty_categories():
    """An empty string is a missing value, unless it was a level in ``fit``."""
    X = pd.DataFrame({"color": pick(["red", "blue", ""]), "city": pick([*"abcdefgh"] * 5)})
    X.loc[::4] = None
    y = (X["color"] == "red") - 2.0 * X["color"].isna() + (X["city"] == "a") - X["city"].isna()
    model = fitted(X, y, columns__most_levels=5)
    graph = skl2onnx.to_onnx(model, initial_types=initial_types(model))
    probe = pd.DataFrame({"color": ["", "missing", "new"], "city": ["", "", "missing"]})
    same = pd.DataFrame({"color": ["", None, "new"], "city": [None, None, None]})
    (actual,) = run(graph, {name: probe[[name]].to_numpy(object) for name in probe})
    expected = model.predict(same)
    assert len(np.unique(expected.round(3))) == 3
    np.testing.assert_allclose(actual.ravel(), expected, rtol=1e-5)
    # Without missing values in fit, they are an unseen level.
    complete = X.fillna("x")
    model = fitted(complete, y)
    check(model, complete.assign(city=[None, *complete["city"][1:]]))


def test_arrays():
    X = TABLE[["size", "color", "age"]].to_numpy()
    model = fitted(X, NUMBERS)
    types = initial_types(model)
    assert [name for name, _ in types] == ["x0", "x1", "x2"]
    inputs = feeds(UNSEEN[["size", "color", "age"]].set_axis(["x0", "x1", "x2"], axis=1), types)
    (actual,) = run(skl2onnx.to_onnx(model, initial_types=types), inputs)
    expected = model.predict(UNSEEN[["size", "color", "age"]].to_numpy())
    np.testing.assert_allclose(actual.ravel(), expected, rtol=1e-5, atol=1e-5)
    # One input of text for a table of categories.
    words = TABLE[["color", "city"]].fillna("none").to_numpy()
    model = fitted(words, NUMBERS)
    (actual,) = run(skl2onnx.to_onnx(model, words[:1]), words)
    np.testing.assert_allclose(actual.ravel(), model.predict(words), rtol=1e-5, atol=1e-5)


def test_sparse_numbers():
    X = np.where(RNG.random((N, 3)) < 0.7, 0, RNG.normal(size=(N, 3))).astype(np.float32)
    sparse = pd.DataFrame(X).astype(pd.SparseDtype(np.float32, 0.0))
    model = fitted(sparse, X.sum(axis=1))
    assert {found.type for found in model["columns"].column_types_.values()} == {"sparse"}
    (actual,) = run(skl2onnx.to_onnx(model, X[:1]), X)
    np.testing.assert_allclose(actual.ravel(), model.predict(sparse), rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize(
    "params",
    [
        {"columns__numbers__scale": StandardScaler()},
        {"columns__numbers__scale": make_pipeline(StandardScaler(), StandardScaler())},
        {"columns__numbers__bins": "passthrough"},
        {"columns__numbers__impute": SimpleImputer(strategy="mean")},
        {"columns__many": "drop"},
        {"columns__many__encode__log_count": "drop"},
        {"columns__many__encode": TargetEncoder()},
        {
            "columns__many__encode": OrdinalEncoder(
                handle_unknown="use_encoded_value", unknown_value=-1
            )
        },
        {"columns__few__encode": OneHotEncoder(handle_unknown="ignore", max_categories=3)},
        {"columns__few__encode": OneHotEncoder(handle_unknown="ignore", drop="if_binary")},
        {"columns__transformer_weights": {"few": 0.5}},
    ],
    ids=str,
)
def test_steps_with_other_transformers(params):
    check(fitted(TABLE, NUMBERS, **params), UNSEEN)
    check(fitted(TABLE, NUMBERS, **params), UNSEEN, numbers=np.float64)


def test_markers_of_missing_numbers():
    X = np.where(RNG.random((N, 2)) < 0.2, -1.0, RNG.random((N, 2))).astype(np.float32)
    model = fitted(X, X[:, 0], columns__numbers__impute__missing_values=-1)
    (actual,) = run(skl2onnx.to_onnx(model, X[:1]), X)
    np.testing.assert_allclose(actual.ravel(), model.predict(X), rtol=1e-5, atol=1e-5)


def test_encoder_that_refuses_unseen_levels():
    X = TABLE[["color", "size"]]
    model = fitted(X, NUMBERS, columns__few__encode=OneHotEncoder(sparse_output=False))
    check(model, X)
    with pytest.raises(Exception, match="out of data bounds"):
        check(model, UNSEEN)


def test_other_estimators():
    model = make_tabular_pipeline(Ridge(), column_types={"code": "identifier"}).fit(TABLE, NUMBERS)
    check(model, UNSEEN)


def test_searches():
    grid = {"model__alpha": [0.0, 0.1]}
    search = GridSearchCV(fitted(TABLE, CLASSES, MLPClassifier), grid, cv=2).fit(TABLE, CLASSES)
    check(search, UNSEEN, initial_types(search.best_estimator_))


def test_meta_estimators_with_a_single_input():
    X = TABLE[["size", "age"]].to_numpy(np.float32)
    model = make_tabular_pipeline(MLPRegressor(**SMALL), random_state=0)
    model.set_params(columns__numbers__scale=StandardScaler())
    vote = VotingRegressor([("a", model), ("b", model)]).fit(X, NUMBERS)
    (actual,) = run(skl2onnx.to_onnx(vote, X[:1]), X)
    np.testing.assert_allclose(actual.ravel(), vote.predict(X), rtol=1e-5, atol=1e-5)


# -- errors --------------------------------------------------------------------------------------


def test_errors_name_the_column():
    X = TABLE[["size", "price", "color"]].assign(
        when=[date(2020, 1, 1) + timedelta(days=k) for k in range(N)],
        note=[f"a quiet room number {k} near the sea" for k in range(N)],
    )
    model = fitted(X, NUMBERS)
    for name, found in (("when", "date"), ("note", "text")):
        with pytest.raises(NotImplementedError, match=f"'{name}' has the type '{found}', which"):
            skl2onnx.to_onnx(model, initial_types=initial_types(model))
        X = X.drop(columns=name)
        model = fitted(X, NUMBERS)
    with pytest.raises(
        NotImplementedError, match=r"'price' has the type 'number' and needs an input of numbers"
    ):
        skl2onnx.to_onnx(model, X.dropna()[:1])
    X = TABLE[["age", "size"]]
    model = fitted(X, NUMBERS, column_types={"age": "category"})
    with pytest.raises(
        NotImplementedError, match=r"'age' has the type 'category' and needs an input of text"
    ):
        skl2onnx.to_onnx(model, X[:1])


def test_error_names_an_unsupported_encoder():
    class Lengths(OneHotEncoder):
        def fit(self, X, y=None):
            return self

        def transform(self, X):
            return np.vectorize(len)(X)

        def fit_transform(self, X, y=None):
            return self.transform(X)

    model = fitted(TABLE[["color", "size"]], NUMBERS, columns__few__encode=Lengths())
    with pytest.raises(NotImplementedError, match=r"Lengths\(\) is not supported"):
        skl2onnx.to_onnx(model, initial_types=initial_types(model))
    function = FunctionTransformer(np.tanh)
    model = fitted(TABLE[["size"]], NUMBERS, columns__numbers__scale=function)
    with pytest.raises(Exception, match="FunctionTransformer"):
        skl2onnx.to_onnx(model, initial_types=initial_types(model))
