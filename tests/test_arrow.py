"""Encoding of Parquet files: every row once, in order, also after the process was killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknn_adam import MLPRegressor, make_tabular_pipeline

pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")
pytest.importorskip("skops")
import pyarrow.dataset as ds  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from sknn_adam.arrow import encode_dataset  # noqa: E402

N = 1000


def make_table():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "area": rng.normal(120, 40, N),
            "heating": rng.choice(["gas", "wood", None], N),
            "town": rng.choice([f"town {i}" for i in range(60)], N),
            "sold": pd.date_range("2021-01-01", periods=N, freq="7h"),
            "garden": rng.random(N) < 0.5,
            "weight": rng.random(N),
        }
    )
    table.loc[::17, "area"] = np.nan
    table["price"] = 2 * table["area"].fillna(120) + 40 * table["garden"] + rng.normal(0, 10, N)
    return table


TABLE = make_table()
FEATURES = TABLE.drop(columns=["price", "weight"])


@pytest.fixture
def files(tmp_path):
    """Return a directory of four Parquet files, one of them empty, with groups of 70 rows."""
    folder = tmp_path / "files"
    folder.mkdir()
    schema = pa.Schema.from_pandas(TABLE, preserve_index=False)
    for i, (start, stop) in enumerate([(0, 130), (130, 130), (130, 731), (731, N)]):
        part = pa.Table.from_pandas(TABLE[start:stop], schema, preserve_index=False)
        pq.write_table(part, folder / f"part_{i}.parquet", row_group_size=70)
    return folder


def pipeline(estimator="regressor", random_state=0):
    return make_tabular_pipeline(estimator, recipe="fast", random_state=random_state)


@pytest.mark.parametrize("batch_size", [7, 64, 10_000])
def test_every_row_is_encoded_once_and_in_order(files, tmp_path, batch_size):
    model = pipeline()
    data = encode_dataset(
        files,
        model,
        target="price",
        sample_weight="weight",
        directory=tmp_path / "encoded",
        sample_size=400,
        batch_size=batch_size,
        random_state=0,
    )
    np.testing.assert_array_equal(data.y, TABLE["price"])
    np.testing.assert_array_equal(data.sample_weight, TABLE["weight"])
    # In small batches, some values are rounded differently.
    expected = model[:-1].transform(FEATURES)
    np.testing.assert_allclose(data.X, expected, rtol=1e-5, atol=1e-6)
    assert isinstance(data.X, np.memmap)
    assert data.X.dtype == np.float32
    model[-1].fit(data.X, data.y, sample_weight=data.sample_weight)
    # The fitted pipeline predicts raw tables.
    assert model.score(FEATURES, TABLE["price"]) > 0.8


def test_all_rows_as_the_sample_give_the_pipeline_fitted_to_the_table(files, tmp_path):
    model, other = pipeline(), pipeline()
    data = encode_dataset(
        files, model, target="price", sample_weight="weight", directory=tmp_path / "encoded"
    )
    other[:-1].fit(FEATURES, TABLE["price"])
    np.testing.assert_allclose(data.X, other[:-1].transform(FEATURES), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["list", "dataset", "in memory"])
def test_sources(files, tmp_path, kind):
    paths = sorted(files.iterdir())
    whole = ds.dataset(files)
    source = {"list": paths, "dataset": whole, "in memory": ds.dataset(whole.to_table())}[kind]
    data = encode_dataset(source, pipeline(), target="price", directory=tmp_path / "encoded")
    np.testing.assert_array_equal(data.y, TABLE["price"])


@pytest.mark.parametrize("dictionary", [False, True])
def test_strings_are_labels_of_classes(tmp_path, dictionary):
    table = FEATURES.assign(kind=np.where(TABLE["area"] > 120, "large", "small"))
    table.loc[N - 1, "kind"] = "unseen"  # not in the first batches
    if dictionary:
        table["kind"] = table["kind"].astype("category")
    table.to_parquet(tmp_path / "table.parquet")
    model = pipeline("classifier")
    data = encode_dataset(
        tmp_path / "table.parquet",
        model,
        target="kind",
        directory=tmp_path / "encoded",
        sample_size=100,
        batch_size=64,
        random_state=0,
    )
    assert data.y.tolist() == table["kind"].tolist()
    assert data.sample_weight is None
    model[-1].fit(data.X, data.y)
    assert model[-1].classes_.tolist() == ["large", "small", "unseen"]


SCRIPT = """
import sys, time
from sknn_adam import arrow, make_tabular_pipeline
write = arrow._write
def slowly(path, array, start):
    print(start, flush=True)
    write(path, array, start)
    time.sleep(0.02)
arrow._write = slowly
arrow.encode_dataset(
    sys.argv[1], make_tabular_pipeline("regressor", recipe="fast", random_state=0),
    target="price", sample_weight="weight", directory=sys.argv[2], batch_size=20, sample_size=300,
)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_process_is_continued(files, tmp_path):
    """The sample has no fixed random state, so the fitted steps are those of the first process."""
    path, n_kills = tmp_path / "encoded", 0
    for n_lines in (4, 10, 25):
        command = [sys.executable, "-c", SCRIPT, str(files), str(path)]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
            for _ in range(n_lines):
                process.stdout.readline()
            time.sleep(0.01)
            process.kill()
        n_kills += process.returncode == -signal.SIGKILL
    assert n_kills == 3
    before = (path / "X.npy").stat().st_mtime_ns
    model = pipeline()
    options = {"target": "price", "sample_weight": "weight", "directory": path}
    data = encode_dataset(files, model, **options)
    assert (path / "X.npy").stat().st_mtime_ns > before
    np.testing.assert_array_equal(data.y, TABLE["price"])
    np.testing.assert_array_equal(data.sample_weight, TABLE["weight"])
    expected = model[:-1].transform(FEATURES)
    np.testing.assert_allclose(data.X, expected, rtol=1e-5, atol=1e-6)
    # A complete directory is only read.
    again, before = pipeline(), (path / "X.npy").stat().st_mtime_ns
    np.testing.assert_array_equal(encode_dataset(files, again, **options).X, data.X)
    assert (path / "X.npy").stat().st_mtime_ns == before
    np.testing.assert_array_equal(again[:-1].transform(FEATURES), model[:-1].transform(FEATURES))


def test_fitted_steps_are_kept(files, tmp_path):
    model = pipeline()
    model[:-1].fit(FEATURES[:200], TABLE["price"][:200])
    steps = model[0]
    data = encode_dataset(
        files, model, target="price", sample_weight="weight", directory=tmp_path / "encoded"
    )
    assert model[0] is steps
    np.testing.assert_allclose(data.X, steps.transform(FEATURES), rtol=1e-5, atol=1e-6)


def test_progress_is_printed(files, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sknn_adam.arrow.SECONDS_BETWEEN_LINES", 0.0)
    options = {"target": "price", "directory": tmp_path / "encoded", "batch_size": 500}
    encode_dataset(files, pipeline(), verbose=True, **options)
    assert "[encode_dataset] 1,000 rows (100%), 0 s left" in capsys.readouterr().out
    encode_dataset(files, pipeline(), **options)
    assert not capsys.readouterr().out


# -- errors ----------------------------------------------------------------------------------------


def missing_target(table):
    table.loc[3, "price"] = np.nan
    return {}


def missing_weight(table):
    table.loc[3, "weight"] = np.nan
    return {"sample_weight": "weight"}


def dates(table):
    return {"target": "sold"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (missing_target, r"Column 'price' \(target\) has missing values"),
        (missing_weight, r"Column 'weight' \(sample_weight\) has missing values"),
        (dates, r"must contain numbers, booleans or strings. Its type is timestamp"),
        (lambda table: {"target": "cost"}, "target='cost' is not a column"),
        (lambda table: {"sample_weight": "w"}, "sample_weight='w' is not a column"),
    ],
)
def test_errors(tmp_path, change, message):
    table = TABLE.copy()
    options = {"target": "price", **change(table)}
    table.to_parquet(tmp_path / "table.parquet")
    with pytest.raises(ValueError, match=message):
        encode_dataset(
            tmp_path / "table.parquet", pipeline(), directory=tmp_path / "encoded", **options
        )


def test_a_directory_of_other_rows_or_steps_raises(files, tmp_path):
    path = tmp_path / "encoded"
    encode_dataset(files, pipeline(), target="price", directory=path)
    others = [
        (files, pipeline(), {"target": "area"}, "target"),
        (files, pipeline(), {"target": "price", "sample_weight": "weight"}, "sample_weight"),
        (files, pipeline(random_state=1), {"target": "price"}, "steps"),
        (files / "part_0.parquet", pipeline(), {"target": "price"}, "files, rows"),
    ]
    for source, model, options, names in others:
        with pytest.raises(ValueError, match=rf"\(different: {names}\)"):
            encode_dataset(source, model, directory=path, **options)
    part = TABLE.copy()
    part["extra"] = 1.0
    part[:130].to_parquet(files / "part_0.parquet")
    with pytest.raises(ValueError, match="different: schema, files"):
        encode_dataset(files, pipeline(), target="price", directory=path)


def test_a_dataset_without_rows_raises(tmp_path):
    TABLE[:0].to_parquet(tmp_path / "table.parquet")
    with pytest.raises(ValueError, match="has no rows"):
        encode_dataset(tmp_path, pipeline(), target="price", directory=tmp_path / "encoded")


def test_a_filtered_dataset_raises(files, tmp_path):
    source = ds.dataset(files).filter(ds.field("area").is_valid())
    with pytest.raises(ValueError, match="filtered or projected dataset"):
        encode_dataset(source, pipeline(), target="price", directory=tmp_path / "encoded")


def test_a_pipeline_without_steps_before_the_last_raises(files, tmp_path):
    with pytest.raises(ValueError, match="needs a step before the last one"):
        encode_dataset(files, make_pipeline(MLPRegressor()), target="price", directory=tmp_path)


def test_any_pipeline_can_be_used(tmp_path):
    numbers = TABLE[["area", "price"]].dropna()
    numbers.to_parquet(tmp_path / "numbers.parquet")
    model = make_pipeline(StandardScaler(), MLPRegressor())
    data = encode_dataset(
        tmp_path / "numbers.parquet", model, target="price", directory=tmp_path / "encoded"
    )
    z = (numbers["area"] - numbers["area"].mean()) / numbers["area"].std(ddof=0)
    np.testing.assert_allclose(data.X[:, 0], z, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("module", ["pyarrow.dataset", "skops"])
def test_missing_packages_are_named(files, tmp_path, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"pip install 'sknn_adam\[large\]'"):
        encode_dataset(files, pipeline(), target="price", directory=tmp_path / "encoded")
