"""The benchmarks run, and the docs quote their results. No test asserts a timing."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

fit = pytest.importorskip("benchmarks.fit", reason="run from the checkout: python -m pytest")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("size", fit.SIZES[:3], ids=[name for name, *_ in fit.SIZES[:3]])
def test_all_implementations_do_the_same_work(monkeypatch, size):
    monkeypatch.setenv("SKNN_ADAM_KERNELS", "numpy")
    name, hidden, batch, _ = size
    row = fit.measure(name, hidden, batch, epochs=2, repeats=1, seed=0)
    sides = row["sides"]
    assert {"sknn_adam", "sknn_adam, NumPy", "scikit-learn"} <= set(sides)
    assert row["limit_microseconds"] > 0
    for side in sides.values():
        low, middle, high = side["microseconds_per_step"]
        assert 0 < low <= middle <= high
        assert side["slower"] > 0
        assert side["final_loss"] == pytest.approx(sides["scikit-learn"]["final_loss"], rel=0.5)


def test_sparse_table_has_the_named_shape_and_format():
    X, y = fit.table("60x500 CSR", 0)
    assert X.shape == (60, 500)
    assert X.format == "csr"
    assert len(set(y)) > 1
    row = fit.measure("60x500 CSR", (5,), 20, 1, 1, 0, ["sknn_adam", "torch"])
    # torch is either not installed or does not support sparse tables.
    assert list(row["sides"]) == ["sknn_adam"]


def numbers_in_tables(text):
    """Return the numbers of every table row, in order."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [numbers for line in lines if (numbers := re.findall(r"\d[\d,.e+-]*", line))]


def test_the_page_shows_the_figures_of_the_newest_records():
    from benchmarks import page

    shown, measured = (numbers_in_tables(text) for text in (page.PAGE.read_text(), page.text()))
    assert len(measured) > 50
    assert shown == measured


# Their records remain, but the page shows what replaced them: "score" and "portfolio".
OF_REMOVED_BENCHMARKS = {
    "blend",
    "tabular",
    "tabular_choice",
    *(f"tabular_choice_{kind}" for kind in ("fast", "full", "spoiled", "temperature")),
}


def test_every_benchmark_has_a_section_and_an_origin():
    from benchmarks import __main__, _records, page

    commands = set(__main__.BENCHMARKS) - {"page", "history"}
    assert set(page.MODULES) == commands
    rendered = set()
    for module, name, section, found in page.sections():
        heading, *blocks = section(found[-1])
        assert heading.startswith("#")
        assert blocks
        assert found[-1]["machine"]["processor"] in page.origin(found[-1])
        rendered |= {module.__name__.removeprefix("benchmarks."), name}
    assert commands <= rendered
    folders = {path.name for path in _records.RESULTS.iterdir() if path.is_dir()}
    only_some_rows = {"fit_only", "pairs_only", "cores_only"}
    assert folders <= rendered | only_some_rows | OF_REMOVED_BENCHMARKS


def test_records_are_added_and_never_overwritten(tmp_path, monkeypatch):
    from benchmarks import _records

    monkeypatch.setattr(_records, "RESULTS", tmp_path)
    dates = iter(["2026-01-02 03:04", "2026-01-02 03:05", "2026-01-02 03:05"])
    facts = _records.facts()
    monkeypatch.setattr(_records, "facts", lambda: {**facts, "date": next(dates)})
    with pytest.raises(FileNotFoundError, match="no record"):
        _records.newest("fit")
    paths = [_records.save("fit", {"gain": gain}) for gain in (1, 2)]
    assert paths[0].name.startswith(f"2026-01-02T0304_{facts['commit']}_")
    with pytest.raises(FileExistsError, match="not overwritten"):
        _records.save("fit", {"gain": 3})
    assert [record["gain"] for record in _records.records("fit")] == [1, 2]
    assert _records.newest("fit")["gain"] == 2
    assert sorted(tmp_path.glob("fit/*")) == paths  # no temporary file is left


def test_an_interrupted_study_continues(tmp_path, monkeypatch):
    from benchmarks import _records

    monkeypatch.setattr(_records, "RESULTS", tmp_path)
    _records.save("study", {"tables": ["a"]})
    assert _records.unfinished("study")["tables"] == ["a"]
    _records.save_unfinished("study", {"tables": ["a", "b"]})
    assert _records.unfinished("study")["tables"] == ["a", "b"]
    _records.discard_unfinished("study")
    assert _records.unfinished("study")["tables"] == ["a"]


def test_ratios_to_the_full_batch_are_paired_by_table():
    from math import log

    from benchmarks import small

    def row(table, candidate, error):
        return {"table": table, "n": 30, "candidate": candidate, "error": error}

    # 0.01 is added to every error, so the ratios are 1/2 and 2.
    rows = [row("a", small.FULL, 0.19), row("a", "other", 0.09)]
    rows += [row("b", small.FULL, 0.09), row("b", "other", 0.19)]
    logs = small.log_ratios(rows, 30, "other", "error")
    assert logs == pytest.approx({"a": -log(2), "b": log(2)})
    # The standard deviation of +-log 2 is sqrt(2) log 2; two tables divide it by sqrt(2).
    assert small.summary(list(logs.values())) == {
        "ratio": pytest.approx(1),
        "se": pytest.approx(log(2)),
        "tables": 2,
    }


def test_records_name_no_folder_of_one_machine(monkeypatch, tmp_path):
    from benchmarks import _records

    folders = f"{tmp_path}/one:{tmp_path}/two"
    monkeypatch.setattr("sys.argv", ["benchmarks", "widths", "--data", folders, "--seeds", "3"])
    command = _records.facts()["command"]
    assert command.endswith("python -m benchmarks widths --data .../one:.../two --seeds 3")
    for path in _records.RESULTS.glob("*/*.json"):
        recorded = json.loads(path.read_text(encoding="utf-8"))["command"]
        assert not re.search(r"(^|[\s:=])/\w", recorded), path.name


def test_interval_of_paired_ratios():
    from benchmarks._report import paired

    # Tables of the sign test: with 20 values, the 6th and the 15th enclose the median in 95.9 %.
    values = np.random.default_rng(0).permutation(np.arange(1.0, 21))
    assert paired(values) == {"ratio": 10.5, "interval": [6, 15]}
    assert paired(values[:6])["interval"] == [values[:6].min(), values[:6].max()]
    assert paired([3.0, 1.0, 2.0]) == {"ratio": 2, "interval": [1, 3]}


def test_raw_and_cleaned_tables_have_the_same_values():
    pytest.importorskip("pandas")
    from benchmarks import _dirty as dirty

    seen = set()
    for seed in range(40):
        data = dirty.table(seed)
        assert len(data.raw) == len(data.cleaned) == len(data.y)
        assert set(data.informative) <= set(data.cleaned) <= set(data.raw)
        for name in data.cleaned:
            kind = name.split(": ")[1]
            raw, cleaned = data.raw[name], data.cleaned[name]
            seen.add(kind)
            if kind == "number" and raw.dtype == float:
                np.testing.assert_array_equal(raw, cleaned)
            if kind == "dollars":
                text = raw.str.replace("$", "").str.replace(",", "")
                numbers = [float(cell) if str(cell)[:1].isdigit() else np.nan for cell in text]
                np.testing.assert_array_equal(numbers, cleaned)
            if kind == "dd.mm.yyyy":
                day, month, year = raw.dropna().iloc[0].split(".")
                date = cleaned.dropna().iloc[0]
                assert (date.day, date.month, date.year) == (int(day), int(month), int(year))
    assert {"number", "dollars", "dd.mm.yyyy", "yes/no", "free text"} <= seen


@pytest.mark.parametrize("name", ["cores", "variants", "raw_tables"])
def test_short_runs_of_benchmarks_succeed(name):
    from benchmarks._records import ROOT
    from benchmarks._report import PROCESSORS

    if name == "cores" and len(PROCESSORS or range(os.cpu_count() or 1)) < 2:
        pytest.skip("needs two cores")
    if name == "raw_tables":
        pytest.importorskip("pandas")
    command = [sys.executable, "-m", "benchmarks", name, "--smoke"]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr
    # Both compare at least two sides.
    assert completed.stdout.count("\n") >= 2
