"""Random configurations: both backends agree up to rounding, and played steps agree bit for bit.

    FUZZ_SEED=0 RECORD_RESULTS=1 python -m pytest -s -m slow tests/heavy/test_equal_backends.py

Each configuration is trained with NumPy, with programs that are played, with steps from Python that
make the same calls, and with programs in two parts with a pickle in between.
"""

import os
import pickle
import random
import warnings
from collections import Counter

import numpy as np
import pytest
from recording import record

from sknn_adam import MLPClassifier, MLPRegressor
from sknn_adam._backends.numba_backend import FusedKernels
from sknn_adam._training.playing import Player
from sknn_adam.activations import ACTIVATIONS
from sknn_adam.losses import CLASSIFICATION_LOSSES, REGRESSION_LOSSES
from sknn_adam.optimizers import OPTIMIZERS

pytestmark = pytest.mark.slow
pytest.importorskip("numba")

SEED = int(os.environ.get("FUZZ_SEED", random.randrange(10**6)))
N_CASES = int(os.environ.get("FUZZ_CASES", 500))
EPOCHS = 4


def configuration(rng):
    """Return an estimator class, its parameters, a table, targets and weights."""

    def choose(*options):
        return options[rng.integers(len(options))]

    n_rows, n_features = int(rng.integers(20, 120)), int(rng.integers(1, 8))
    estimator = choose(MLPClassifier, MLPRegressor)
    optimizers = [name for name in OPTIMIZERS.entries if name != "lbfgs"]
    params = {
        "hidden_layer_sizes": choose((), (1,), (7,), (9, 4), (5, 5, 5)),
        "activation": choose(*ACTIVATIONS.entries),
        "optimizer": choose(*optimizers),
        "optimizer__learning_rate": 10 ** rng.uniform(-4, -2),
        "schedule": choose("constant", "cosine", "exponential", "plateau", "one_cycle"),
        "alpha": choose(0.0, 0.01),
        "l1_ratio": choose(0.0, 0.5),
        "batch_size": int(choose(1, 8, 16, 33, n_rows, n_rows - 1)),
        "dropout": choose(0.0, 0.0, 0.3),
        "normalization": choose(None, None, "batch", "layer", "rms"),
        "gradient_clip": choose(None, None, 0.1, "value", "layer"),
        "averaging": choose(None, "ema"),
        "shuffle": choose(True, False),
        "record": choose(True, False, "all"),
        "n_members": int(choose(1, 1, 3)),
    }
    if params["n_members"] > 1 and n_rows > 30:
        params["cv"] = choose(None, 3)
        params["early_stopping"] = params["cv"] is not None and choose(True, False)
    X = rng.normal(size=(n_rows, n_features))
    if estimator is MLPRegressor:
        losses = ("squared_error", *REGRESSION_LOSSES.entries)
        y = 1 + rng.random((n_rows, int(choose(1, 1, 2))))
        y = y[:, 0] if y.shape[1] == 1 else y
    else:
        losses = ("log_loss", *CLASSIFICATION_LOSSES.entries)
        y = np.arange(n_rows) % choose(2, 2, 3, 5)
        if choose(True, False, False) and "cv" not in params:
            y = np.stack([y > 0, y == 1], axis=1).astype(int)
    params["loss"] = choose(*losses)
    weight = choose(None, rng.random(n_rows) + 0.01)
    return estimator, params, X, y, weight


def fit(estimator, params, X, y, weight, parts=(EPOCHS,)):
    """Train in parts with a pickle in between; return the losses, the weights and statistics."""
    model = estimator(random_state=0, dtype="float64", warm_start=True, n_iter_no_change=np.inf)
    model.set_params(**params)
    for n_epochs in parts:
        model.set_params(max_iter=n_epochs).fit(X, y, sample_weight=weight)
        model = pickle.loads(pickle.dumps(model))
    return np.array(model.loss_curve_), model._network.theta, model._network.statistics


def test_both_backends_agree(monkeypatch):
    rng, outcomes, largest, n_played = np.random.default_rng(SEED), Counter(), 0.0, []
    play = Player._run
    monkeypatch.setattr(Player, "_run", lambda *args: n_played.append(1) or play(*args))
    print(f"FUZZ_SEED={SEED} FUZZ_CASES={N_CASES}")
    while sum(outcomes.values()) < N_CASES:
        case = configuration(rng)
        results, n_played[:] = {}, []
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for name, kernels, plays in (
                    ("numpy", "numpy", True),
                    ("played", "fused", True),
                    ("from Python", "fused", False),
                ):
                    monkeypatch.setenv("SKNN_ADAM_KERNELS", kernels)
                    monkeypatch.setattr(FusedKernels, "plays", plays)
                    results[name] = fit(*case)
        except ValueError:
            # Only one backend refuses the case.
            if "numpy" in results:
                raise
            outcomes["refused"] += 1
            continue
        for one, other in zip(results["played"], results["from Python"], strict=True):
            np.testing.assert_array_equal(one, other, err_msg=repr(case[:2]))
        losses, others = results["numpy"][0], results["played"][0]
        assert len(losses) == len(others), case[:2]
        difference = np.abs(losses - others) / np.maximum(1e-3, np.abs(losses))
        # Rounding errors grow where a rule divides by small numbers or uses signs.
        assert not difference.size or difference.max() < 1e-4, (case[:2], losses, others)
        largest = max(largest, difference.max(initial=0))
        outcomes["played" if n_played else "step by step"] += 1
    print(outcomes, f"largest relative difference of the losses {largest:.2g}")
    assert outcomes["played"] > N_CASES / 4
    record(
        "equal_backends",
        seed=SEED,
        outcomes=dict(sorted(outcomes.items())),
        largest_relative_difference_of_losses=float(f"{largest:.2g}"),
    )


def test_resumption_is_exact(monkeypatch):
    monkeypatch.setenv("SKNN_ADAM_KERNELS", "fused")
    rng, n_equal = np.random.default_rng(SEED + 1), 0
    while n_equal < N_CASES // 5:
        estimator, params, X, y, weight = configuration(rng)
        # Progress depends on max_iter, and the folds and the end of a part on early stopping.
        params |= {"schedule": "constant", "early_stopping": False}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                whole = fit(estimator, params, X, y, weight)
                parts = fit(estimator, params, X, y, weight, parts=(1, 2, 1))
        except ValueError:
            continue
        for one, other in zip(whole[1:], parts[1:], strict=True):
            np.testing.assert_array_equal(one, other, err_msg=repr(params))
        n_equal += 1
    record("equal_resumption", seed=SEED, cases=n_equal, faults=0)
