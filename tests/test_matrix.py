"""Every optimizer trains on several tables, without and with normalization."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknn_adam import MLPClassifier, MLPRegressor
from sknn_adam.optimizers import OPTIMIZERS

# Table: its loader, the estimator, the batch size, and a score on held-out samples that is well
# above chance. Chance is 1/3, 1/10 and an R² of 0; good models reach 0.97, 0.98 and 0.35.
TABLES = {
    "iris": (load_iris, MLPClassifier, 10, 0.65),
    "digits": (load_digits, MLPClassifier, 32, 0.9),
    "diabetes": (load_diabetes, MLPRegressor, 10, 0.15),
}

# (optimizer, table, normalization) -> reason why the score is not reached; see docs/optimizers.md.
EXPECTED_FAILURES: dict[tuple, str] = {}

CELLS = [
    pytest.param(
        *cell,
        id="-".join(map(str, cell)),
        marks=[pytest.mark.xfail(reason=EXPECTED_FAILURES[cell])]
        if cell in EXPECTED_FAILURES
        else [],
    )
    for cell in [(o, t, n) for o in OPTIMIZERS for t in TABLES for n in (None, "batch")]
]


@pytest.mark.parametrize(("optimizer", "table", "normalization"), CELLS)
def test_trains_within_forty_epochs(optimizer, table, normalization):
    load, estimator, batch_size, enough = TABLES[table]
    X, y = load(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.3, random_state=0)
    model = estimator(
        (64,),
        optimizer=optimizer,
        normalization=normalization,
        alpha=0.01,
        batch_size="auto" if OPTIMIZERS[optimizer]().full_batch else batch_size,
        max_iter=40,
        n_iter_no_change=np.inf,
        random_state=0,
    )
    pipeline = make_pipeline(StandardScaler(), model).fit(X, y)
    assert pipeline.score(X_test, y_test) > enough
    assert np.isfinite(model.loss_curve_).all()
    assert model.loss_curve_[-1] < model.loss_curve_[0]
