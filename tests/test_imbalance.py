"""The benchmark of class imbalance, and the figures that docs/class_imbalance.md quotes from it."""

import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknn_adam import MLPClassifier

imbalance = pytest.importorskip("benchmarks.imbalance", reason="run from the checkout")
PAGE = (Path(__file__).parent.parent / "docs" / "class_imbalance.md").read_text(encoding="utf-8")


def test_cost_counts_a_miss_ten_times():
    # One false alarm and two misses in five samples.
    assert imbalance.cost([0, 0, 1, 1, 1], [0, 1, 0, 0, 1]) == pytest.approx(100 * 21 / 5)
    assert imbalance.cost([0, 0], [0, 0]) == 0


def test_threshold_is_the_cheapest_for_correct_probabilities():
    """Class 1 costs 1 - p on average and class 0 costs 10 p."""
    p = imbalance.THRESHOLD
    assert imbalance.MISS * p == pytest.approx(1 - p)


def test_standard_error_is_corrected_for_overlapping_training_sets():
    # The differences 1 and 3 have variance 2. Two folds: 1/2 for the repetitions + 1 for the ratio.
    assert imbalance.difference([2, 5], [1, 2], 2) == pytest.approx((2, 3**0.5))
    # The same differences with five folds: 1/2 + 1/4.
    assert imbalance.difference([2, 5], [1, 2], 5)[1] == pytest.approx(1.5**0.5)


@pytest.fixture(scope="module")
def estimators():
    X, digit = load_digits(return_X_y=True)
    X, y = X[:, 24:40], (digit == 8).astype(int)
    network = make_pipeline(StandardScaler(), MLPClassifier((16,), max_iter=20, random_state=0))
    return X, y, dict(imbalance.fitted(network, X[:900], y[:900]))


def test_every_method_of_the_record_is_fitted(estimators):
    from benchmarks._records import newest

    for result in newest("imbalance")["tables"].values():
        assert list(result["values"]) == list(estimators[2])


def test_thresholds_change_decisions_only(estimators):
    X, y, models = estimators
    plain = imbalance.scores(models[imbalance.PLAIN], X[900:], y[900:])
    fixed = imbalance.scores(models[f"{imbalance.PLAIN}, threshold 1/11"], X[900:], y[900:])
    tuned = imbalance.scores(models["threshold tuned for cost"], X[900:], y[900:])
    for name in ("log loss", "Brier score", "ROC AUC", "average precision"):
        assert plain[name] == fixed[name] == tuned[name]
    assert fixed["cost"] < plain["cost"]
    assert tuned["cost"] < plain["cost"]


def test_class_weight_raises_probabilities_and_calibration_restores_them(estimators):
    X, y, models = estimators

    def mean_error(name):
        return models[name].predict_proba(X[900:])[:, 1].mean() - y[900:].mean()

    assert mean_error("class_weight") > 0.1
    assert abs(mean_error("class_weight, sigmoid calibration")) < 0.02
    # A sigmoid keeps the order of the samples.
    auc = [
        roc_auc_score(y[900:], models[name].predict_proba(X[900:])[:, 1])
        for name in (imbalance.PLAIN, "sigmoid calibration")
    ]
    assert auc[0] == pytest.approx(auc[1], abs=1e-6)


# -- figures of the page -------------------------------------------------------------------------


def test_page_quotes_the_newest_record():
    from benchmarks._records import newest

    record = newest("imbalance")
    assert f"a missed positive costs {record['miss']}" in PAGE
    for table, result in record["tables"].items():
        section = PAGE.partition(f"\n**{table}**")[2].partition("\n\n**")[0]
        heading = section.partition("\n")[0]
        assert f"{result['samples']:,} samples" in section
        assert f"{100 * result['positive']:.1f} %" in section, heading
        header, _, *rows = re.findall(r"^\| (.*) \|$", section, re.M)
        measures = header.split(" | ")[1:]
        assert measures
        names = []
        for row in rows:
            name, *quoted = row.split(" | ")
            names.append(name.replace("`", ""))
            means = [np.mean(result["values"][names[-1]][measure]) for measure in measures]
            digits = [imbalance.MEASURES[measure] for measure in measures]
            assert quoted == [f"{m:.{d}f}" for m, d in zip(means, digits, strict=True)], row
        assert len(names) >= 8


@pytest.mark.parametrize(
    ("method", "measure", "sign", "sentence"),
    [
        ("class_weight", "ROC AUC", None, "ROC AUC changed by {} on `bank` and by {} on"),
        ("class_weight", "log loss", 1, "Log loss increased by {} and {}."),
        ("nothing, threshold 1/11", "cost", -1, "1/11 reduced the cost by {} and {},"),
        ("class_weight", "cost", -1, "class weights reduced it by {} and {}."),
        ("threshold tuned for cost", "cost", -1, "for the cost reduced it by {} and {},"),
        ("class_weight", "balanced accuracy", 1, "class weights gained {} and {},"),
        (
            "threshold tuned for balanced accuracy",
            "balanced accuracy",
            1,
            "the tuned threshold {} and {}.",
        ),
        ("sigmoid calibration", "log loss", None, "calibration changed the log loss by {} and {}."),
        ("isotonic calibration", "average precision", -1, "average precision by {} and {}."),
    ],
)
def test_page_quotes_differences_with_their_errors(method, measure, sign, sentence):
    from benchmarks._records import newest

    record, digits, quoted = newest("imbalance"), imbalance.MEASURES[measure], []
    for result in record["tables"].values():
        values, plain = (result["values"][name][measure] for name in (method, imbalance.PLAIN))
        change, error = imbalance.difference(values, plain, record["folds"])
        if sign is None:
            text = f"{change:+.{digits}f}"
        else:
            assert np.sign(change) == sign
            text = f"{abs(change):.{digits}f}"
        quoted.append(f"{text} ± {error:.{digits}f}")
    assert sentence.format(*quoted) in " ".join(PAGE.split())


def test_findings_in_words_hold_in_the_newest_record():
    from benchmarks._records import newest

    means = []
    for result in newest("imbalance")["tables"].values():

        def mean(method, measure, values=result["values"]):
            return np.mean(values[method][measure])

        plain, restored = imbalance.PLAIN, "class_weight, sigmoid calibration"
        for measure, sign in (("log loss", 1), ("Brier score", 1), ("ROC AUC", -1)):
            assert sign * mean(restored, measure) > sign * mean(plain, measure)
        assert mean(restored, "average precision") < mean(plain, "average precision")
        computed = mean(f"{plain}, threshold 1/11", "cost")
        assert computed <= mean("threshold tuned for cost", "cost")
        means.append(f"{mean('class_weight', 'mean probability'):.3f}")
    assert f"mean predicted probability was {means[0]} and {means[1]}" in " ".join(PAGE.split())
