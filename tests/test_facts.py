"""What a look at the table tells: scales by hand, and the loss of the best constant answer."""

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


def look(X, y, loss, **options):
    return facts(Data(X, y, None, 20, np.float64, **options), loss)


def test_scales_are_root_mean_squares_of_columns_that_vary():
    found = look(X, CODES, LogLoss())
    rms = np.linalg.norm(X, axis=0) / np.sqrt(90)
    assert found["scale_max"] == pytest.approx(rms[1])
    assert found["scale_min"] == pytest.approx(rms[0])  # not that of the constant columns
    assert (found["n_rows"], found["n_features"], found["batch_size"]) == (90, 4, 20)
    assert np.isnan(found["target_mean"])
    sparse = look(csr_matrix(X), CODES, LogLoss())
    assert sparse.pop("sparse")
    assert not found.pop("sparse")
    assert sparse == pytest.approx(found, nan_ok=True)


def test_only_rows_that_belong_to_the_training_are_seen():
    kept = np.arange(0, 90, 3)
    found = look(X, POSITIVE[kept], Squares(), index=kept)
    direct = look(X[kept], POSITIVE[kept], Squares())
    assert found == direct
    assert found["target_mean"] == pytest.approx(POSITIVE[kept].mean(axis=0).max())
    assert found["target_scale"] == pytest.approx(POSITIVE[kept].std(axis=0).max())


def targets():
    yield LogLoss(), CODES
    yield LogLoss(), (CODES > 1).astype(int)
    yield LogLoss(), np.c_[CODES > 1, CODES > 2, CODES < 1].astype(float)
    yield PerColumn(LogLoss(), [4, 2]), np.c_[CODES, CODES > 2]
    for name in ("squared_error", "poisson", "gamma"):
        yield REGRESSION_LOSSES.make(name), POSITIVE


@pytest.mark.parametrize("i", range(7))
def test_no_constant_answer_is_better(i):
    """The gradient with respect to it vanishes."""
    loss, y = list(targets())[i]
    z = np.tile(loss.constant(y), (len(y), 1))
    np.testing.assert_allclose(loss.gradient(y, z).mean(axis=0), 0, atol=1e-9)
    assert look(X, y, loss)["constant_loss"] == pytest.approx(loss.mean(y, z))


@pytest.mark.parametrize("name", [*CLASSIFICATION_LOSSES, *REGRESSION_LOSSES])
def test_every_loss_has_a_constant_answer(name):
    table = CLASSIFICATION_LOSSES if name in CLASSIFICATION_LOSSES else REGRESSION_LOSSES
    y = CODES if table is CLASSIFICATION_LOSSES else POSITIVE[:, :1]
    loss = table.make(name)
    assert loss.constant(y).shape == (loss.n_raw(4 if table is CLASSIFICATION_LOSSES else 1),)
    assert np.isfinite(look(X, y, loss)["constant_loss"])


def test_recorded_once_and_only_where_it_is_asked_for():
    model = MLPClassifier(max_iter=1, warm_start=True).fit(X, CODES)
    told = model.history_.table
    assert told == pytest.approx({**look(X, CODES, LogLoss()), "batch_size": 32.0}, nan_ok=True)
    assert model.fit(X / 2, CODES).history_.table == pytest.approx(told, nan_ok=True)
    assert MLPClassifier(max_iter=1, record=False).fit(X, CODES).history_.table == {}
    scaled = MLPRegressor(max_iter=1).fit(X, POSITIVE).history_.table
    assert scaled["constant_loss"] == pytest.approx(1.0)  # half the variance of two outputs
