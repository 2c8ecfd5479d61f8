"""The types of text columns, and the values that are parsed from text."""

import pickle
import random
import threading
import time
import warnings
from datetime import datetime, timedelta

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score

from sknn_adam import MLPRegressor, make_tabular_pipeline
from sknn_adam.persistence import load, save
from sknn_adam.tabular.parsing import PARSERS
from sknn_adam.tabular.types import TYPES, learn_types

pd = pytest.importorskip("pandas")


def type_of(values, most_levels=30):
    """Return the type of a column of objects."""
    column = pd.Series(list(values), dtype=object)
    (found,) = learn_types(pd.DataFrame({"x": column}), None, most_levels)
    return found


def parsed(values):
    """Return the values as the type of the column parses them."""
    found = type_of(values)
    return [PARSERS[found.type][0](value, found.style) for value in values]


# -- text that is not parsed ---------------------------------------------------------------------

CATEGORIES = {
    "postal codes": ["01067", "80331", "04109"],
    "postal codes with spaces": ["01067 ", " 80331"],
    "all zeros": ["0", "00", "000"],
    "article numbers": ["0815", "4711"],
    "months with leading zeros": ["01", "02", "12"],
    "phone with hyphens": ["555-1234", "123-456-7890"],
    "phone with slashes": ["030/1234567", "089/987654"],
    "phone with spaces": ["030 1234567", "089 987654"],
    "phone in groups": ["079 123 456", "078 765 432"],
    "phone with parentheses": ["(030) 123 456", "(555) 123-4567"],
    "phone with periods": ["555.123.4567", "555.987.6543"],
    "phone of a country": ["+49 301 234", "+1 555 123"],
    "phone of a country without spaces": ["+493012345", "+4989123456"],
    "versions": ["1.1", "1.10", "1.2"],
    "versions with three numbers": ["2.0.1", "2.1.10"],
    "versions with a letter": ["v1.0", "v2.0"],
    "codes with E": ["12E4", "13E5"],
    "codes with e": ["1e5", "2e5"],
    "codes of zeros": ["0E5", "0e7"],
    "codes with a letter": ["4711-A", "4712-B"],
    "degrees with a direction": ["52.5N", "13.4E"],
    "directions": ["13E", "14E"],
    "IP addresses": ["192.168.0.1", "10.0.0.255"],
    "MAC addresses": ["00:1A:2B:3C:4D:5E", "00:11:22:33:44:55"],
    "hexadecimal": ["0x1F", "0xFF"],
    "hexadecimal without prefix": ["1F", "2A", "33"],
    "ISBN": ["978-3-16-148410-0", "3-16-148410-0"],
    "social security": ["123-45-6789"],
    "CAS": ["50-00-0", "7732-18-5"],
    "ranges": ["10-20", "20-30"],
    "ranges with a dash": ["18–25", "25–40"],
    "ranges of years": ["2019/20", "2020/21", "2010-2020"],
    "sizes": ["XL", "L", "M", "S"],
    "fractions": ["1/2", "3/4"],
    "odds": ["11/4", "5/2"],
    "ratios": ["3:2", "16:9"],
    "scores": ["3-1", "2-2"],
    "durations over a day": ["26:30:15", "125:10:00"],
    "minutes and seconds": ["59:59", "43:25"],
    "weeks": ["2021-W05", "2021-W06"],
    "quarters": ["2021Q1", "2021-Q2"],
    "months": ["2021-01", "01/2021"],
    "month names": ["May", "June", "August"],
    "month and year": ["May 2020", "June 2021"],
    "month and day": ["May 5", "June 6"],
    "Roman numerals": ["I", "II", "IV"],
    "letters": ["A", "B", "T", "F"],
    "countries": ["NA", "DE", "FR", "US"],
    "words of a boolean and others": ["yes", "no", "maybe"],
    "a single boolean word": ["no", "no"],
    "booleans in another language": ["oui", "non"],
    "hyphens": ["-", "-"],
    "infinity": ["Infinity", "inf", "-inf"],
    "currencies": ["$", "€"],
    "currency codes": ["5 USD", "6 USD"],
    "units": ["5 kg", "6 kg"],
    "grades": ["1+", "2-", "3"],
    "signs": ["+", "%", ","],
    "two decimal separators": ["1,5", "1.5"],
    "days that do not exist": ["2021-02-30", "2021-13-01", "0000-01-01"],
    "different orders of days": ["13/02/2021", "02/13/2021"],
    "hours that do not exist": ["24:00", "25:30"],
    "NUL": ["1\0", "2\0"],
    "surrogates": ["1\ud800", "\udfff"],
    "superscripts": ["5²", "6²"],
    "fraction signs": ["½", "¼"],
    "numbers out of range": ["1.0e999", "9" * 400],
}


@pytest.mark.parametrize("values", CATEGORIES.values(), ids=CATEGORIES)
def test_codes_stay_categories(values):
    for repeats in (1, 20):
        found = type_of(values * repeats)
        assert found.type == "category", found


# -- text that is parsed -------------------------------------------------------------------------

NUMBERS = {
    "integers": (["1", "23", "-4"], [1, 23, -4]),
    "spaces": ([" 1", "2 ", "\t3\n"], [1, 2, 3]),
    "years": (["1999", "2021"], [1999, 2021]),
    "postal codes without leading zeros": (["90210", "60601"], [90210, 60601]),
    "decimals": (["0.5", ".5", "5.", "-.25"], [0.5, 0.5, 5, -0.25]),
    "prices": (["1.10", "1.20", "2.50"], [1.1, 1.2, 2.5]),
    "decimal commas": (["1,5", "2,25"], [1.5, 2.25]),
    "decimal commas with three digits": (["0,123", "0,456"], [0.123, 0.456]),
    "thousands": (["1,234", "1,234,567"], [1234, 1234567]),
    "signed thousands": (["+1,234", "-1,234", "+5"], [1234, -1234, 5]),
    "thousands and decimals": (["1,234.5", "0.25"], [1234.5, 0.25]),
    "three decimals": (["1.234", "5.678"], [1.234, 5.678]),
    "German thousands": (["1.234.567", "2.345.678"], [1234567, 2345678]),
    "German thousands and decimals": (["1.234,5", "0,25"], [1234.5, 0.25]),
    "decimal commas and thousands": (["1,234", "1,5"], [1.234, 1.5]),
    "apostrophes": (["1'234", "1’234’567"], [1234, 1234567]),
    "thin spaces": (["1\u2009234", "1\u202f234", "1\u00a0234"], [1234, 1234, 1234]),
    "spaces as separators": (["1 234", "12 345 678"], [1234, 12345678]),
    "percentages": (["5%", "10 %", "-0.5%"], [0.05, 0.1, -0.005]),
    "percentages and fractions": (["5%", "0.05"], [0.05, 0.05]),
    "currency before": (["$5", "€ 6.50", "-£7", "¥1,000"], [5, 6.5, -7, 1000]),
    "currency after": (["5 €", "6,50€"], [5, 6.5]),
    "exponents": (["1e-3", "1.5E3", "2e+2", "1.0E5"], [0.001, 1500, 200, 100000]),
    "minus of Unicode": (["−5", "3"], [-5, 3]),
    "Arabic digits": (["١٢٣", "٤٥"], [123, 45]),
    "full width": (["１２３", "４５"], [123, 45]),
    "zero and one": (["0", "1"], [0, 1]),
}


@pytest.mark.parametrize(("values", "expected"), NUMBERS.values(), ids=NUMBERS)
def test_numbers_match_values_by_hand(values, expected):
    assert type_of(values).type == "number"
    np.testing.assert_allclose(parsed(values), expected, rtol=1e-12)


MIDNIGHT = datetime(2021, 2, 3)
DATES = {
    "ISO": (["2021-02-03", "2021-02-03T00:00", "2021-02-03 00:00:00.000"], [MIDNIGHT] * 3),
    "with slashes and periods": (["2021/02/03", "2021.2.3"], [MIDNIGHT] * 2),
    "US": (["02/03/2021", "2/3/2021", "02/13/2021"], [MIDNIGHT] * 2 + [datetime(2021, 2, 13)]),
    "European": (["03/02/2021", "13/02/2021"], [MIDNIGHT, datetime(2021, 2, 13)]),
    # Month first is the convention of pandas and dateutil.
    "ambiguous": (["02/03/2021"], [MIDNIGHT]),
    "with periods": (["03.02.2021", "3.2.2021"], [MIDNIGHT] * 2),
    "two digits": (["02/03/21", "02/03/99"], [MIDNIGHT, datetime(1999, 2, 3)]),
    "two digits with periods": (["03.02.21", "13.02.69"], [MIDNIGHT, datetime(2069, 2, 13)]),
    "names": (
        ["Feb 3, 2021", "February 3 2021", "3 Feb 2021", "3-Feb-2021", "Wed, 03 Feb 2021"],
        [MIDNIGHT] * 5,
    ),
    "half days": (
        ["02/03/2021 12:00 AM", "02/03/2021 12:30 pm", "02/03/2021 1:05:09 p.m."],
        [MIDNIGHT, datetime(2021, 2, 3, 12, 30), datetime(2021, 2, 3, 13, 5, 9)],
    ),
    "offsets": (
        # The last one is the format of PostgreSQL.
        ["2021-02-03T02:00+02:00", "2021-02-02T19:30-0430", "2021-02-03T00:00Z"]
        + ["2021-02-03 02:00:00+02"],
        [MIDNIGHT] * 4,
    ),
    "time zones": (["Wed, 03 Feb 2021 00:00:00 GMT", "2021-02-03 00:00 UTC"], [MIDNIGHT] * 2),
    "fractions of seconds": (
        ["2021-02-03 00:00:00.5", "2021-02-03 00:00:00,123456789"],
        [MIDNIGHT + timedelta(seconds=0.5), MIDNIGHT + timedelta(microseconds=123456)],
    ),
    "times": (
        ["08:30", "17:45:30", "5:00 PM", "3:20"],
        [datetime(1970, 1, 1, *t) for t in [(8, 30), (17, 45, 30), (17,), (3, 20)]],
    ),
    "leap day": (["2020-02-29", "1600-02-29"], [datetime(2020, 2, 29), datetime(1600, 2, 29)]),
}


@pytest.mark.parametrize(("values", "expected"), DATES.values(), ids=DATES)
def test_dates_match_values_by_hand(values, expected):
    assert type_of(values).type == "date"
    assert parsed(values) == expected


BOOLEANS = {
    "true": ["True", "FALSE", "true "],
    "yes": ["yes", "no", "YES "],
    "y": ["y", "N", "Y"],
    "t": ["t", "f", "T"],
    "on": ["on", "off", "ON"],
    "numbers": ["true", "0", "1"],
}


@pytest.mark.parametrize("values", BOOLEANS.values(), ids=BOOLEANS)
def test_booleans_match_values_by_hand(values):
    assert type_of(values).type == "boolean"
    assert parsed(values) == [True, False, True]


def test_share_of_parsed_values_at_the_threshold():
    for n in (20, 60, 100):
        most = round(0.05 * n)
        assert type_of(["1.5", *["2.5"] * (n - 1 - most)] + ["x"] * most).type == "number"
        assert type_of(["1.5", *["2.5"] * (n - 2 - most)] + ["x"] * (most + 1)).type == "category"
    # Missing values do not count.
    assert type_of(["1.5"] * 19 + ["x"] + [None, "n/a", "?"] * 50).type == "number"
    assert type_of(["1.5"] * 19 + ["x"]).reason == "0.95 of the values are numbers"


def test_numbers_and_text_in_the_same_column_count_together():
    assert type_of([1, 2.5, "3", None]).type == "number"
    assert type_of([True, False, "true", "false"]).type == "boolean"
    assert type_of([1, "red"]).type == "category"


def test_leading_zeros_in_a_single_value_keep_a_column_of_codes():
    found = type_of(["10115"] * 99 + ["01067"])
    assert (found.type, found.reason) == ("category", "numbers with leading zeros are codes")


def test_free_text_and_identifiers_need_many_values():
    rng = random.Random(0)
    words = "a quiet room near the sea with two large windows".split()
    texts = [" ".join(rng.sample(words, 5)) for _ in range(100)]
    assert type_of(texts).type == "text"
    assert type_of(texts[:20]).type == "category"
    assert type_of(texts[:10] * 20).type == "category"
    names = [f"n{i}" for i in range(100)]
    with pytest.warns(UserWarning, match=r"columns \['x'\] are left out"):
        assert type_of(names).type == "identifier"
    assert type_of(names[:99]).type == "category"
    assert type_of(names[:94] + names[:6]).type == "category"


# The patterns must not backtrack catastrophically.
LONG = {
    "digits": "1" * 100_000,
    "zeros": "0" * 100_000,
    "digits and a letter": "1" * 100_000 + "x",
    "thousands": "1,234" + ",111" * 25_000 + "x",
    "groups of spaces": "1 " * 50_000 + "x",
    "date and spaces": "2021-01-01" + " " * 100_000 + "x",
    "words": "Mon, " * 20_000,
    "exponent": "1.5e" + "9" * 100_000,
    "colons": "1:" * 50_000,
    "periods": "1." * 50_000,
    "signs": "-" * 100_000,
    "decimals": "0." + "0" * 100_000 + "1",
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_long_texts_are_parsed_quickly(text):
    for parse, styles in PARSERS.values():
        for style in styles:
            start = time.process_time()
            parse(text, style)
            assert time.process_time() - start < 0.01
    assert type_of([text, "red"]).type == "category"


# -- warnings ------------------------------------------------------------------------------------

N = 120
Y = np.random.default_rng(0).normal(size=N)


def dirty(n=N):
    """Return a table in which 3 and 4 of the 120 values cannot be parsed."""
    sizes = [f"{i % 50}.5" for i in range(N)]
    days = [f"2021-01-{i % 28 + 1:02d}" for i in range(N)]
    sizes[5], sizes[50], sizes[95] = "big", "huge", "big"
    days[1], days[41], days[81], days[82] = "later", "soon", "soon", "never"
    return pd.DataFrame({"size": sizes, "day": days})


def simple(**params):
    return make_tabular_pipeline(Ridge(), random_state=0, **params)


def test_each_fit_warns_once_per_column():
    with pytest.warns(UserWarning, match="cannot be read") as caught:
        simple().fit(dirty(), Y)
    size, day = (str(warning.message) for warning in caught)
    assert size.startswith(
        "Column 'size': 3 of 120 values (0.025) cannot be read as a number and are treated as "
        "missing, for example 'big', 'huge'."
    )
    assert day.startswith("Column 'day': 4 of 120 values (0.033) cannot be read as a date")
    assert "for example 'later', 'soon', 'never'." in day
    assert {warning.filename for warning in caught} == {__file__}


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_a_search_warns_once_per_column(n_jobs):
    search = GridSearchCV(simple(), {"model__alpha": [1, 2, 3]}, cv=3, n_jobs=n_jobs, refit=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.fit(dirty(), Y)
    # Worker processes are silent.
    assert len(caught) == (2 if n_jobs is None else 0)


def test_left_out_identifiers_warn_once():
    names = {name: [f"{name}{i}" for i in range(N)] for name in "abc"}
    X = pd.DataFrame({**names, "other": Y})
    with pytest.warns(UserWarning, match=r"The columns \['a', 'b'\] are left out") as caught:
        simple(column_types={"c": "identifier"}).fit(X, Y)
    assert len(caught) == 1
    assert "column_types={'a': 'category'}" in str(caught[0].message)
    # An error in this suite if a chosen type warned.
    chosen = dict.fromkeys("abc", "category") | {"b": "identifier"}
    simple(column_types=chosen).fit(X, Y)


# -- types chosen by the user --------------------------------------------------------------------

CONTENTS = {
    "numbers": [float(i % 7) for i in range(N)],
    "integers": [i % 5 for i in range(N)],
    "booleans": [i % 3 == 0 for i in range(N)],
    "dates": [datetime(2021, 1, 1) + timedelta(days=i) for i in range(N)],
    "number text": [f"{i},5" for i in range(N)],
    "date text": [f"{i % 28 + 1}.1.2021" for i in range(N)],
    "boolean text": ["yes", "no"] * (N // 2),
    "levels": ["red", "blue", "green"] * (N // 3),
    "texts": [f"{i} quiet rooms near town {i}" for i in range(N)],
    "codes": ["007", "008"] * (N // 2),
    "missing": [None] * N,
    "mixed": ["red", 1, 2.5, True] * (N // 4),
}


@pytest.mark.parametrize("library", ["pandas", "polars", "numpy"])
@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("chosen", TYPES)
def test_chosen_types_apply_to_all_contents(chosen, content, library):
    values = CONTENTS[content]
    name = "x"
    if library == "polars":
        if content == "mixed":
            pytest.skip("polars has no columns of mixed types")
        X = pytest.importorskip("polars").DataFrame({"x": values, "other": Y})
    else:
        X = pd.DataFrame({"x": pd.Series(values, dtype=object), "other": Y})
    if library == "numpy":
        X, name = X.to_numpy(), 0
    model = simple(column_types={name: chosen})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        predictions = model.fit(X, Y).predict(X[:3])
    assert np.isfinite(predictions).all()
    found = model["columns"].column_types_[name]
    assert (found.type, found.reason) == (chosen, "chosen by column_types")
    for warning in caught:
        assert f"Column {name!r}" in str(warning.message)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (["number"], "column_types must be a dict of column names.* Got \\['number'\\]"),
        ({"x": "numbers"}, r"column_types\['x'\] must be one of .* Did you mean 'number'\?"),
        ({"x": None}, r"column_types\['x'\] must be one of .* Got None"),
        ({"y": "number"}, r"column_types names the columns \['y'\].* columns of X are \['x'\]"),
        ({0: "number"}, r"column_types names the columns \[0\]"),
    ],
)
def test_errors_name_wrong_column_types(chosen, message):
    with pytest.raises((TypeError, ValueError), match=message):
        simple(column_types=chosen).fit(pd.DataFrame({"x": Y}), Y)


def test_chosen_types_use_the_style_of_the_values():
    X = pd.DataFrame({"x": ["007,5", "010,25", "1.008,0"] * 40})
    chosen = simple(column_types={"x": "number"}).fit(X, Y)
    plain = simple().fit(pd.DataFrame({"x": [7.5, 10.25, 1008.0] * 40}), Y)
    assert np.array_equal(
        chosen.predict(X), plain.predict(pd.DataFrame({"x": [7.5, 10.25, 1008.0] * 40}))
    )


# -- integration with scikit-learn ---------------------------------------------------------------


def table():
    return pd.DataFrame({name: pd.Series(v, dtype=object) for name, v in CONTENTS.items()})


def test_column_types_are_a_parameter():
    model = simple(column_types={"codes": "number"})
    assert model.get_params()["columns__column_types"] == {"codes": "number"}
    assert clone(model).get_params()["columns__column_types"] == {"codes": "number"}
    model.fit(table(), Y)
    assert model["columns"].column_types_["codes"].type == "number"
    model.set_params(columns__column_types={"levels": "text"}).fit(table(), Y)
    types = {name: found.type for name, found in model["columns"].column_types_.items()}
    assert (types["codes"], types["levels"]) == ("category", "text")
    grid = {"columns__column_types": [None, {"codes": "number"}, {"codes": "text"}]}
    search = GridSearchCV(simple(), grid, cv=2).fit(table(), Y)
    assert search.best_params_["columns__column_types"] in grid["columns__column_types"]


def network(**params):
    net = MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, random_state=0, n_iter_no_change=9)
    return make_tabular_pipeline(net, random_state=0, **params)


def test_pickles_and_archives_predict_the_same(tmp_path):
    model = network(column_types={"codes": "number"}).fit(table(), Y)
    save(model, tmp_path / "model.skops")
    for copy in (pickle.loads(pickle.dumps(model)), load(tmp_path / "model.skops")):
        assert np.array_equal(copy.predict(table()), model.predict(table()))
        assert copy["columns"].column_types_ == model["columns"].column_types_


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_all_types_have_output_names(library):
    pytest.importorskip(library)
    model = simple(column_types={"codes": "number"}).fit(table(), Y)
    plain = model[:-1].transform(table())
    model["columns"].set_output(transform=library)
    out = model[:-1].transform(table())
    assert list(out.columns) == list(model[:-1].get_feature_names_out())
    assert np.array_equal(out.to_numpy(), plain)
    assert {name.split("_")[0] for name in out.columns} == set(CONTENTS)


def test_jobs_caches_and_threads_do_not_change_the_result(tmp_path):
    X = table()
    scores = cross_val_score(simple(), X, Y, cv=2)
    assert np.array_equal(cross_val_score(simple(), X, Y, cv=2, n_jobs=2), scores)
    for _ in range(2):
        assert np.array_equal(cross_val_score(simple(memory=str(tmp_path)), X, Y, cv=2), scores)
    want = simple().fit(X, Y).predict(X)
    found = {}
    model = simple()

    def fit(i):
        found[i] = clone(model).fit(X, Y).predict(X)

    threads = [threading.Thread(target=fit, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert all(np.array_equal(value, want) for value in found.values())


def test_interrupted_fit_leaves_the_parameters(monkeypatch):
    model = simple()
    before = model["columns"].transformers

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("sknn_adam.tabular.text.TextEncoder.fit_transform", interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.fit(table(), Y)
    assert model["columns"].transformers is before
    monkeypatch.undo()
    assert np.array_equal(
        model.fit(table(), Y).predict(table()), simple().fit(table(), Y).predict(table())
    )


@pytest.mark.parametrize("texts", [[" "] * 40, ["a"] * 40, ["ab"] * 40])
def test_text_without_content_has_finite_components(texts):
    X = np.array([texts, range(40)], dtype=object).T
    model = make_tabular_pipeline(Ridge(), column_types={0: "text"})
    y = np.arange(40.0)
    assert model.fit(X, y).score(X, y) > 0.99
    names = model["columns"].get_feature_names_out()
    assert len(names) == model["columns"].transform(X).shape[1]
