"""Facts about the training data: scales, and the loss of the best constant prediction."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from sknn_adam import MLPClassifier, MLPRegressor
from sknn_adam._training.batches import Data, facts
from sknn_adam.losses import CLASSIFICATION_LOSSES, REGRESSION_LOSSES, LogLoss
from sknn_adam.losses import SquaredError as Squares
from sknn_adam.losses.multioutput import PerColumn

RNG = np.random.default_rng(0)
X = np.c_[RNG.normal(size=90), 1000 + RNG.normal(size=90), np.full(90, 5.0), np.zeros(90)]
CODES = RNG.choice(4, 90, p=[0.1, 0.2, 0.3, 0.4])
POSITIVE = RNG.gamma(2.0, size=(90, 2)) + 0.1


def facts_of(X, y, loss, **options):
    return facts(Data(X, y, None, 20, np.float64, **options), loss)


def test_scales_are_root_mean_squares_of_nonconstant_columns():
    actual = facts_of(X, CODES, LogLoss())
    rms = np.linalg.norm(X, axis=0) / np.sqrt(90)
    assert actual["scale_max"] == pytest.approx(rms[1])
    # Constant columns are ignored.
    assert actual["scale_min"] == pytest.approx(rms[0])
    assert (actual["n_rows"], actual["n_features"], actual["batch_size"]) == (90, 4, 20)
    assert np.isnan(actual["target_mean"])
    sparse = facts_of(csr_matrix(X), CODES, LogLoss())
    assert sparse.pop("sparse")
    assert not actual.pop("sparse")
    assert sparse == pytest.approx(actual, nan_ok=True)


def test_facts_use_the_training_samples_only():
    kept = np.arange(0, 90, 3)
    actual = facts_of(X, POSITIVE[kept], Squares(), index=kept)
    direct = facts_of(X[kept], POSITIVE[kept], Squares())
    assert actual == direct
    assert actual["target_mean"] == pytest.approx(POSITIVE[kept].mean(axis=0).max())
    assert actual["target_scale"] == pytest.approx(POSITIVE[kept].std(axis=0).max())


def targets():
    yield LogLoss(), CODES
    yield LogLoss(), (CODES > 1).astype(int)
    yield LogLoss(), np.c_[CODES > 1, CODES > 2, CODES < 1].astype(float)
    yield PerColumn(LogLoss(), [4, 2]), np.c_[CODES, CODES > 2]
    for name in ("squared_error", "poisson", "gamma"):
        yield REGRESSION_LOSSES.make(name), POSITIVE


@pytest.mark.parametrize("i", range(7))
def test_constant_prediction_is_optimal(i):
    """The gradient with respect to the constant vanishes."""
    loss, y = list(targets())[i]
    z = np.tile(loss.constant(y), (len(y), 1))
    np.testing.assert_allclose(loss.gradient(y, z).mean(axis=0), 0, atol=1e-9)
    assert facts_of(X, y, loss)["constant_loss"] == pytest.approx(loss.mean(y, z))


@pytest.mark.parametrize("name", [*CLASSIFICATION_LOSSES, *REGRESSION_LOSSES])
def test_every_loss_has_a_constant_prediction(name):
    table = CLASSIFICATION_LOSSES if name in CLASSIFICATION_LOSSES else REGRESSION_LOSSES
    y = CODES if table is CLASSIFICATION_LOSSES else POSITIVE[:, :1]
    loss = table.make(name)
    assert loss.constant(y).shape == (loss.n_raw(4 if table is CLASSIFICATION_LOSSES else 1),)
    assert np.isfinite(facts_of(X, y, loss)["constant_loss"])


def test_facts_are_recorded_once_and_only_on_request():
    model = MLPClassifier(max_iter=1, warm_start=True).fit(X, CODES)
    recorded = model.history_.table
    assert recorded == pytest.approx(
        {**facts_of(X, CODES, LogLoss()), "batch_size": 32.0}, nan_ok=True
    )
    assert model.fit(X / 2, CODES).history_.table == pytest.approx(recorded, nan_ok=True)
    assert MLPClassifier(max_iter=1, record=False).fit(X, CODES).history_.table == {}
    scaled = MLPRegressor(max_iter=1).fit(X, POSITIVE).history_.table
    # Half the variance of two outputs.
    assert scaled["constant_loss"] == pytest.approx(1.0)
