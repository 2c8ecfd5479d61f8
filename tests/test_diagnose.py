"""The diagnosis reports deliberate faults, and the parameters that it suggests cure them."""

import re
import warnings

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.stats import loguniform
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_digits, load_iris, load_wine
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, train_test_split
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler, scale

from benchmarks._broken import KINDS, repaired
from benchmarks._broken import fit_quietly as fit
from sknn_adam import SGD, Adam, MLPClassifier, MLPRegressor
from sknn_adam.initializers import Constant, RandomNormal
from sknn_adam.inspection import Finding, Findings, diagnose
from sknn_adam.inspection._fitted_networks import fitted_networks


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:600] / 16, y[:600]


@pytest.fixture(scope="module")
def new_digits():
    X, y = load_digits(return_X_y=True)
    return X[600:1000] / 16, y[600:1000]


@pytest.fixture(scope="module")
def diabetes():
    X, y = load_diabetes(return_X_y=True)
    return scale(X), y


def classifier(**params):
    return MLPClassifier(
        **{"hidden_layer_sizes": (32,), "max_iter": 40, "random_state": 0} | params
    )


def regressor(**params):
    return MLPRegressor(**{"hidden_layer_sizes": (32,), "max_iter": 40, "random_state": 0} | params)


def kinds(findings):
    return {finding.kind for finding in findings}


DEEP = (16,) * 10
FAULTS = {
    "vanishing_gradients": {"hidden_layer_sizes": DEEP, "activation": "logistic"},
    "exploding_gradients": {"hidden_layer_sizes": "64x4", "initializer": RandomNormal(0.7)},
    "dead_units": {"bias_initializer": Constant(-20.0)},
    "saturated_units": {"activation": "tanh", "initializer": RandomNormal(10.0)},
    "learning_rate_high": {"optimizer__learning_rate": 0.5},
    "learning_rate_low": {"optimizer__learning_rate": 1e-6},
    "diverged": {"optimizer": SGD(1e4)},
    "underfitting": {"dropout": 0.95},
    "stopped_early": {"max_iter": 2},
    "clipping_always": {"optimizer": SGD(0.1), "gradient_clip": 1e-3},
    "batch_too_large": {"batch_size": 600},
}


@pytest.mark.parametrize("kind", FAULTS)
def test_fault_is_reported_and_cured(digits, new_digits, kind):
    model = classifier().set_params(**FAULTS[kind])
    score = fit(model, *digits).score(*new_digits)
    findings = diagnose(model)
    assert kind in kinds(findings)
    cured = fit(repaired(model, findings), *digits)
    assert kind not in kinds(diagnose(cured))
    assert cured.score(*new_digits) > max(0.75, score)


def test_unscaled_inputs_are_reported(digits, new_digits):
    X, y = digits
    factors = np.geomspace(1, 1e4, X.shape[1])
    (finding,) = diagnose(classifier().fit(X * factors, y))[:1]
    assert (finding.kind, finding.layer, finding.params) == ("unscaled_inputs", 1, {})
    assert "StandardScaler()" in finding.cure
    numbers = [float(number) for number in re.findall(r"[\d.]+(?:e[+-]\d+)?", finding.evidence)]
    # Bounds of the root mean squares.
    columns = np.sqrt((X * factors) ** 2).max(axis=0)
    assert 0 < numbers[-1] <= columns.max()
    assert "unscaled_inputs" not in kinds(diagnose(classifier().fit(X, y)))


def test_unscaled_targets_are_reported(diabetes):
    model = regressor(target_scaling=False).fit(*diabetes)
    finding = next(f for f in diagnose(model) if f.kind == "unscaled_targets")
    y = diabetes[1]
    assert finding.params == {"target_scaling": True}
    numbers = [float(number) for number in re.findall(r"[\d.]+(?:e[+-]\d+)?", finding.evidence)]
    # The evidence is computed on a sample and has two digits.
    np.testing.assert_allclose(numbers, [y.mean(), y.std()], rtol=0.1)
    assert "unscaled_targets" not in kinds(diagnose(regressor().fit(*diabetes)))


def test_overfitting_is_found_by_validation_curve_or_new_samples(diabetes):
    X, y = diabetes
    free = {"hidden_layer_sizes": (256, 256), "alpha": 0.0, "averaging": None, "max_iter": 200}
    model = regressor(**free, n_iter_no_change=np.inf).fit(X[:150], y[:150])
    # Training data alone cannot show overfitting.
    assert "overfitting" not in kinds(diagnose(model))
    assert "overfitting" not in kinds(diagnose(model, X[:150], y[:150]))
    findings = diagnose(model, X[150:], y[150:])
    assert "overfitting" in kinds(findings)
    validation = {"X_val": X[150:], "y_val": y[150:]}
    validated = regressor(**free, n_iter_no_change=np.inf).fit(X[:150], y[:150], **validation)
    assert "overfitting" in kinds(diagnose(validated))
    cured = validated.set_params(**diagnose(validated).params).fit(X[:150], y[:150], **validation)
    assert "overfitting" not in kinds(diagnose(cured, X[150:], y[150:]))


@pytest.mark.parametrize("early_stopping", [False, True])
def test_overfitting_suggests_early_stopping_only_if_it_is_off(diabetes, early_stopping):
    X, y = diabetes
    model = regressor(
        **{"hidden_layer_sizes": (256, 256), "alpha": 0.0, "averaging": None, "max_iter": 200},
        **{"early_stopping": early_stopping, "n_iter_no_change": np.inf},
    )
    # If the validation samples are the training samples, early stopping selects a late epoch.
    model.fit(X[:150], y[:150], X_val=X[:150], y_val=y[:150])
    findings = diagnose(model, X[150:], y[150:])
    (found,) = [finding for finding in findings if finding.kind == "overfitting"]
    assert found.params == (
        {} if early_stopping else {"early_stopping": True, "n_iter_no_change": 10}
    ) | {"alpha": 0.01}
    assert ("early stopping" in found.cure) is not early_stopping


@pytest.mark.parametrize(("n_samples", "size"), [(60, 16), (30, 8)])
def test_too_few_steps_on_a_small_table_are_reported(n_samples, size):
    X, y = load_iris(return_X_y=True)
    X, X_new, y, y_new = train_test_split(
        scale(X), y, train_size=n_samples, stratify=y, random_state=0
    )
    model = MLPClassifier(batch_size=n_samples, n_iter_no_change=np.inf, random_state=0).fit(X, y)
    assert model.n_steps_ == 100
    (finding,) = diagnose(model)
    # 400 steps in 100 epochs require 4 batches per epoch.
    assert (finding.kind, finding.params) == ("too_few_steps", {"batch_size": size})
    assert "100 steps in 100 epochs" in finding.evidence
    cured = clone(model).set_params(**finding.params).fit(X, y)
    assert cured.n_steps_ >= 400
    assert diagnose(cured) == []
    assert cured.score(X_new, y_new) > model.score(X_new, y_new)


def test_more_epochs_are_suggested_if_no_batch_size_gives_enough_steps():
    X, y = load_iris(return_X_y=True)
    X, y = scale(X)[::10], y[::10]
    model = MLPClassifier(max_iter=60, random_state=0).fit(X, y)
    finding = next(f for f in diagnose(model) if f.kind == "too_few_steps")
    # Batches of 8 would give 120 steps.
    assert finding.params == {"max_iter": 400}
    cured = clone(model).set_params(**finding.params).fit(X, y)
    assert "too_few_steps" not in kinds(diagnose(cured))


def test_unused_epochs_are_reported_until_patience_is_reasonable():
    X, y = load_digits(return_X_y=True)
    model = MLPClassifier((32,), optimizer=Adam(0.004), n_iter_no_change=np.inf, random_state=0)
    model.set_params(max_iter=200)
    X, X_val, y, y_val = train_test_split(X / 16, y, stratify=y, random_state=0)
    for early_stopping, changed in (
        (True, {"max_iter", "n_iter_no_change"}),
        (False, {"early_stopping", "max_iter", "n_iter_no_change"}),
    ):
        model.set_params(early_stopping=early_stopping).fit(X, y, X_val=X_val, y_val=y_val)
        (finding,) = diagnose(model)
        assert (finding.kind, finding.severity) == ("unused_epochs", "low")
        assert set(finding.params) == changed
        cured = clone(model).set_params(**finding.params).fit(X, y, X_val=X_val, y_val=y_val)
        assert cured.n_iter_ < 60
        assert diagnose(cured) == []
        assert cured.score(X_val, y_val) > model.score(X_val, y_val) - 0.01
    # Without validation samples, nothing is known about the use of epochs.
    assert diagnose(clone(model).set_params(early_stopping=False).fit(X, y)) == []


def test_out_of_fold_loss_shows_overfitting(rng):
    X, y = rng.normal(size=(120, 20)), rng.normal(size=120)
    model = MLPRegressor((200,), alpha=0.0, max_iter=200, cv=4, random_state=0)
    (finding,) = diagnose(model.fit(X, y))
    assert finding.kind == "overfitting"
    assert f"{model.oof_loss_:.2g}" in finding.evidence


def test_few_but_sufficient_steps_are_not_reported(diabetes):
    X, y = load_wine(return_X_y=True)
    wine = scale(X)[::2], y[::2]
    for model, table in (
        (MLPClassifier(batch_size=128, random_state=0), wine),
        # An iteration of L-BFGS does not count as a step.
        (MLPClassifier(optimizer="lbfgs", max_iter=12, random_state=0), wine),
        # More steps fit noise: R2 on held-out samples is 0.45 here, and 0.31 with batches of 16.
        (MLPRegressor(random_state=0), (diabetes[0][:100], diabetes[1][:100])),
    ):
        assert "too_few_steps" not in kinds(diagnose(fit(model, *table)))


def test_default_batch_size_cures_a_full_batch_on_iris():
    X, y = load_iris(return_X_y=True)
    X, y = scale(X)[np.arange(150) % 5 > 0], y[np.arange(150) % 5 > 0]
    findings = diagnose(MLPClassifier(batch_size=120, random_state=0).fit(X, y))
    assert [(f.kind, f.params) for f in findings] == [("batch_too_large", {"batch_size": "auto"})]
    assert diagnose(MLPClassifier(random_state=0).fit(X, y)) == []


def test_healthy_networks_have_no_findings(digits, new_digits, diabetes):
    assert diagnose(classifier().fit(*digits), *new_digits) == []
    assert diagnose(classifier(optimizer="lbfgs").fit(*digits)) == []
    assert diagnose(regressor(alpha=1e-2).fit(*diabetes)) == []
    assert diagnose(classifier().fit(csr_matrix(digits[0]), digits[1])) == []


# -- estimators that contain a network -----------------------------------------------------------

SLOW = "optimizer__learning_rate"


def slow(**params):
    return classifier(**params).set_params(**{SLOW: 1e-6})


def holders():
    pipe = make_pipeline(StandardScaler(), slow())
    grid = {"mlpclassifier__alpha": [1e-4]}
    yield slow(), ""
    yield pipe, "mlpclassifier__"
    yield GridSearchCV(slow(), {"alpha": [1e-4]}, cv=2), "estimator__"
    yield GridSearchCV(pipe, grid, cv=2), "estimator__mlpclassifier__"
    yield make_pipeline(GridSearchCV(slow(), {"tol": [0]}, cv=2)), "gridsearchcv__estimator__"
    yield BaggingClassifier(pipe, 3, max_features=0.9), "estimator__mlpclassifier__"
    yield VotingClassifier([("a", slow()), ("b", LinearRegression())][:1]), "a__"
    yield CalibratedClassifierCV(slow(), cv=2), "estimator__"


@pytest.mark.parametrize("i", range(8))
def test_parameters_are_those_of_the_given_estimator(digits, new_digits, i):
    holder, prefix = list(holders())[i]
    X, y = digits[0], digits[1].astype(str)
    fit(holder, X, y)
    for findings in (diagnose(holder), diagnose(holder, new_digits[0], new_digits[1].astype(str))):
        finding = next(f for f in findings if f.kind == "learning_rate_low")
        assert finding.params == {f"{prefix}{SLOW}": 0.001}
    changed = clone(holder).set_params(**finding.params)
    assert changed.get_params()[f"{prefix}{SLOW}"] == 0.001


def test_multioutput_and_transformed_targets_are_diagnosed(diabetes):
    X, y = diabetes
    low = regressor().set_params(**{SLOW: 1e-6})
    both = MultiOutputRegressor(low).fit(X, np.c_[y, -y])
    (finding,) = (f for f in diagnose(both) if f.kind == "learning_rate_low")
    assert finding.evidence.startswith("in 2 of 2 networks")
    assert finding.params == {f"estimator__{SLOW}": 0.001}
    wrapped = TransformedTargetRegressor(low, transformer=StandardScaler()).fit(X, y)
    assert kinds(diagnose(wrapped, X, y)) >= {"learning_rate_low"}
    # The diagnosis uses the scaled targets that the network sees.
    inside = fitted_networks(wrapped, X, y)[0]
    np.testing.assert_allclose(inside.y.ravel(), scale(y))


@pytest.mark.parametrize("search", [GridSearchCV, RandomizedSearchCV])
def test_cured_parameters_are_removed_from_the_search_space(digits, search):
    space = {"optimizer": ["sgd"], SLOW: [1e-7, 1e-6], "alpha": [1e-3]}
    options = {} if search is GridSearchCV else {"n_iter": 2, "random_state": 0}
    fitted = fit(search(classifier(), space, cv=2, **options), *digits)
    finding = next(f for f in diagnose(fitted) if f.kind == "learning_rate_low")
    name = "param_grid" if search is GridSearchCV else "param_distributions"
    # The learning rate belongs to an optimizer, so the best optimizer is set too.
    assert finding.params == {
        "estimator__optimizer": "sgd",
        f"estimator__{SLOW}": 0.01,
        name: {"alpha": [1e-3]},
    }
    again = fit(clone(fitted).set_params(**finding.params, n_jobs=1), *digits)
    assert again.best_estimator_.optimizer_.learning_rate == 0.01


def test_scaler_is_inserted_into_the_pipeline(digits):
    X, y = digits[0] * 1e4, digits[1]
    for pipe, name in (
        (Pipeline([("mlp", classifier())]), "steps"),
        (Pipeline([("scaler", "passthrough"), ("mlp", classifier())]), "scaler"),
    ):
        for holder, prefix in (
            (pipe, ""),
            (GridSearchCV(pipe, {"mlp__tol": [0]}, cv=2), "estimator__"),
        ):
            fit(holder, X, y)
            findings = diagnose(holder)
            assert list(findings[0].params) == [f"{prefix}{name}"]
            before = holder.predict(X)
            cured = fit(clone(holder).set_params(**findings.params), X, y)
            assert "unscaled_inputs" not in kinds(diagnose(cured))
            np.testing.assert_array_equal(holder.predict(X), before)
    wide = fit(Pipeline([("mlp", classifier())]), csr_matrix(X), y)
    assert fit(wide.set_params(**diagnose(wide)[0].params), csr_matrix(X), y)[0].with_mean is False


def test_invalid_input_raises(digits):
    X, y = digits
    for unfitted in (
        classifier(),
        make_pipeline(StandardScaler(), classifier()),
        LinearRegression(),
    ):
        with pytest.raises(NotFittedError, match="no fitted MLP"):
            diagnose(unfitted)
        with pytest.raises(NotFittedError, match="no fitted MLP"):
            diagnose(unfitted, X, y)
    with pytest.raises(NotFittedError, match="no fitted MLP"):
        diagnose(LinearRegression().fit(X, y), X, y)
    with pytest.raises(TypeError, match="Got int"):
        diagnose(3)
    with pytest.raises(ValueError, match="record=True"):
        diagnose(classifier(record=False).fit(X, y))
    model = classifier(max_iter=2).fit(X, y)
    with pytest.raises(ValueError, match="without X"):
        diagnose(model, y=y)
    with pytest.raises(ValueError, match="64 features"):
        diagnose(model, X[:, :5], y)
    with pytest.raises(ValueError, match="inconsistent"):
        diagnose(model, X, y[:5])


# -- warnings of fit -----------------------------------------------------------------------------

BROKEN = {
    "all units of hidden layer 1 are dead": {"bias_initializer": Constant(-20.0)},
    "the gradient vanishes": {
        "hidden_layer_sizes": (16,) * 16,
        "activation": "tanh",
        "initializer": RandomNormal(0.01),
    },
}


@pytest.mark.parametrize("reason", BROKEN)
def test_fit_warns_once_about_an_obvious_fault(digits, reason):
    model = classifier(**BROKEN[reason])
    with pytest.warns(ConvergenceWarning, match=f"learned nothing: {reason}.*diagnose") as caught:
        model.fit(*digits)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    search = GridSearchCV(model, {"alpha": [1e-4, 1e-3]}, cv=2)
    with pytest.warns(ConvergenceWarning, match="learned nothing") as caught:
        search.fit(*digits)
    assert len(caught) == 1


def test_fit_does_not_warn_if_the_result_may_be_intended(digits):
    """Try unlearnable noise, a strong penalty, short training, no record, and partial_fit."""
    X, y = digits
    noise = np.random.default_rng(0).permutation(y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier(max_iter=20).fit(X, noise)
        classifier(alpha=10.0).fit(X, y)
        classifier(bias_initializer=Constant(-20.0), max_iter=5).fit(X, y)
        classifier(bias_initializer=Constant(-20.0), record=False).fit(X, y)
        model = classifier(bias_initializer=Constant(-20.0))
        for _ in range(15):
            model.partial_fit(X, y)


class Candidate:
    """A stand-in for the diagnosed estimator when a printed call is evaluated."""

    def set_params(self, **params):
        return params


def test_printed_calls_can_be_evaluated(digits):
    """Try a bare network, a search with distributions, and parameters whose repr is not code."""
    space = {SLOW: loguniform(1e-7, 1e-6), "alpha": loguniform(1e-6, 1e-3)}
    search = RandomizedSearchCV(slow(), space, n_iter=2, cv=2, random_state=0)
    pipe = Pipeline([("mlp", classifier())])
    by_hand = Findings(
        [
            Finding("stopped_early", None, "x", "low", {"n_iter_no_change": np.inf}),
            Finding("dead_units", 1, "x", "low", {"a": "line\nbreak", "b": np.nan}),
            Finding("overfitting", None, "x", "low", {"early_stopping": True, "alpha": 0.01}),
            Finding("underfitting", None, "no parameters", "low"),
        ]
    )
    used = {"StandardScaler": StandardScaler}
    for findings in (
        by_hand,
        diagnose(fit(slow(), *digits)),
        diagnose(fit(search, *digits)),
        diagnose(fit(pipe, digits[0] * 1e4, digits[1])),
    ):
        lines = [line.strip() for line in str(findings).splitlines()]
        calls = [line for line in lines if line.startswith("set_params(")]
        expected = [finding.params for finding in findings if finding.params]
        assert len(calls) == len(expected) > 0
        names = {"model": Candidate(), "findings": findings, **used}
        for call, params in zip(calls, expected, strict=True):
            assert repr(eval(f"model.{call}", names)) == repr(params)
            assert f"<code>{call}</code>".replace("'", "&#x27;") in findings._repr_html_()
        assert max(map(len, str(findings).splitlines())) <= 100


# -- output formats ------------------------------------------------------------------------------


def test_findings_print_as_a_table():
    findings = Findings(
        [
            Finding("dead_units", 2, "all <of> them", "high", {"activation": "elu"}, "another one"),
            Finding(
                "stopped_early", None, "after 3 epochs", "low", {"max_iter": 9, "activation": 1}
            ),
        ]
    )
    lines = str(findings).splitlines()
    assert lines[0].split() == "severity kind layer evidence and cure".split()
    assert lines[1].split()[:3] == ["high", "dead_units", "2"]
    assert "Cure: another one." in lines[1]
    assert lines[2].strip() == "set_params(activation='elu')"
    assert lines[4].strip() == "set_params(max_iter=9, activation=1)"
    assert all(len(line) <= 100 for line in lines)
    assert repr(findings) == str(findings)
    # The more severe finding takes precedence.
    assert findings.params == {"activation": "elu", "max_iter": 9}
    html = findings._repr_html_()
    assert html.count("<tr>") == 3
    assert "all &lt;of&gt; them" in html
    assert str(Findings()) == "No faults were found."
    assert "No faults" in Findings()._repr_html_()


def test_findings_are_sorted_by_severity(digits):
    model = fit(classifier(optimizer=SGD(1e4), gradient_clip=1e-9), *digits)
    findings = diagnose(model)
    order = [("high", "medium", "low").index(finding.severity) for finding in findings]
    assert order == sorted(order)
    assert kinds(findings) <= set(KINDS)


def test_diagnosis_does_not_modify_the_estimator(digits, new_digits):
    model = slow().fit(*digits)
    before = model.predict_proba(new_digits[0])
    params = repr(model.get_params())
    diagnose(model, *new_digits)
    np.testing.assert_array_equal(model.predict_proba(new_digits[0]), before)
    assert repr(model.get_params()) == params


def test_members_are_diagnosed_as_one_network():
    X, y = load_wine(return_X_y=True)
    model = MLPClassifier((20,), n_members=3, early_stopping=True, max_iter=30, random_state=0)
    assert "unscaled_inputs" in [finding.kind for finding in diagnose(model.fit(X, y), X, y)]
    scaled = StandardScaler().fit_transform(X)
    members = clone(model).set_params(max_iter=100, hidden_layer_sizes=(200,)).fit(scaled, y)
    assert not diagnose(members, scaled, y)
