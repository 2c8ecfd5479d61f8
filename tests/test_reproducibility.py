"""The statements of docs/scope.md on reproducibility and on features that are left out."""

import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from sknn_adam import MLPClassifier, MLPRegressor
from sknn_adam.losses import RegressionLoss

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 6))
Y = np.digitize(X[:, 0] + X[:, 1] * X[:, 2], [-0.5, 0.5])

# Everything that is random: initial weights, order, dropout, held-out samples and folds.
FITS = """
import hashlib
import os
import sys
import numpy as np
from sknn_adam import MLPClassifier, MLPRegressor

rng = np.random.default_rng(0)
X = rng.normal(size=(300, 20))
y = np.digitize(X[:, 0] + X[:, 1] * X[:, 2], [-0.5, 0.5])
params = {"hidden_layer_sizes": (100, 50), "max_iter": 4, "random_state": 0, "dropout": 0.1}
params |= {"early_stopping": True, "dtype": "float32"}
for os.environ["SKNN_ADAM_KERNELS"] in sys.argv[1:]:
    for estimator in (MLPClassifier, MLPRegressor):
        for options in ({}, {"n_members": 3}, {"cv": 3}):
            model = estimator(**params, **options).fit(X, y)
            print(hashlib.sha256(model._network.theta.tobytes()).hexdigest())
"""


def fits_in_a_process(kernels, **environment):
    done = subprocess.run(
        [sys.executable, "-c", FITS, *kernels],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


# -- reproducibility -----------------------------------------------------------------------------


def test_another_process_gives_the_same_bits():
    kernels = ["numpy", "fused"] if find_spec("numba") else ["numpy"]
    first, second = (
        fits_in_a_process(kernels, OPENBLAS_NUM_THREADS=n, PYTHONHASHSEED=n) for n in ("1", "2")
    )
    # Different models have different bits, so the comparison is not vacuous.
    assert len(set(first)) >= 4
    assert first == second


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predictions_on_several_threads_are_equal_up_to_rounding(dtype):
    model = MLPRegressor((300, 200), max_iter=1, dtype=dtype, random_state=0).fit(X, Y)
    new = np.random.default_rng(1).normal(size=(2000, 6))
    predicted = []
    for limit in (1, 2):
        with threadpool_limits(limit, "blas"):
            predicted.append(model.predict(new))
            np.testing.assert_array_equal(model.predict(new), predicted[-1])
    tolerance = 100 * np.finfo(dtype).eps
    np.testing.assert_allclose(*predicted, rtol=tolerance, atol=tolerance)


def test_global_generator_is_used_only_without_a_random_state():
    def weights(random_state):
        model = MLPClassifier((5,), max_iter=2, dropout=0.1, random_state=random_state)
        return model.fit(X, Y).coefs_[0]

    np.random.seed(1)  # noqa: NPY002
    fixed, drawn = weights(0), weights(None)
    np.random.seed(1)  # noqa: NPY002
    # A fit with an integer neither reads nor advances the global generator.
    np.testing.assert_array_equal(weights(None), drawn)
    np.testing.assert_array_equal(weights(0), fixed)
    assert (weights(None) != drawn).any()


# -- features that are left out ------------------------------------------------------------------


class WithoutGradient(RegressionLoss):
    def value(self, y, z):
        return ((y - z) ** 2).sum(axis=-1)


@pytest.mark.parametrize("name", ["monotonic_cst", "n_jobs", "device"])
def test_parameters_for_features_out_of_scope_do_not_exist(name):
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        MLPRegressor(**{name: 1})


@pytest.mark.parametrize(
    ("params", "features", "error", "message"),
    [
        ({"hidden_layer_sizes": [("conv", 3)]}, X, ValueError, "sequence of positive ints"),
        ({"loss": WithoutGradient()}, X, TypeError, "must implement 'gradient'"),
        ({"dtype": "float16"}, X, ValueError, "'dtype' parameter of MLPRegressor must be"),
        ({}, X.reshape(90, 3, 2), ValueError, "array with dim 3"),
        ({}, np.where(X > 2, np.nan, X), ValueError, "X has NaN in column"),
    ],
    ids=["layers", "gradient", "dtype", "dimensions", "NaN"],
)
def test_features_out_of_scope_raise(params, features, error, message):
    with pytest.raises(error, match=message):
        MLPRegressor(**params).fit(features, Y)
