"""Searches and ensembles on a Dask cluster of two local processes give the serial result."""

import itertools
import os
import pickle
import signal
import threading
import time
import warnings

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknn_adam import MLPClassifier
from sknn_adam._backends.threads import available_threads
from sknn_adam.ensemble import WeightedEnsembleClassifier, fitting
from sknn_adam.search import search_space

distributed = pytest.importorskip("distributed")
X, Y = (part[:400] for part in load_digits(return_X_y=True))
MODEL = make_pipeline(StandardScaler(), MLPClassifier((8,), max_iter=20, random_state=0))
FOLDS = list(StratifiedKFold(3).split(X, Y))
# As docs/scaling.md explains, arrays that every task needs are scattered to all workers. Otherwise
# joblib sends each array to a single worker, and the array is lost with that worker.
EVERYWHERE = [X, Y, *itertools.chain(*FOLDS)]

# Dask warns when workers die.
pytestmark = pytest.mark.filterwarnings("ignore", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def client():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cluster = distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            silence_logs="CRITICAL",
        )
        with cluster, distributed.Client(cluster) as client:
            yield client


def test_workers_with_one_thread_train_members_on_one_thread(client):
    assert set(client.run(available_threads).values()) == {1}


def make_search(strategy):
    options = {"cv": FOLDS, "n_jobs": 2, "error_score": "raise"}
    if strategy == "grid":
        return GridSearchCV(
            MODEL,
            search_space(MODEL, "grid", include=["learning_rate", "activation", "dropout"]),
            **options,
        )
    skopt = pytest.importorskip("skopt")
    space = search_space(MODEL, "bayes", include=["learning_rate", "dropout", "batch_size"])
    kwargs = {"n_initial_points": 6, "acq_optimizer": "sampling"}
    return skopt.BayesSearchCV(
        MODEL, space, n_iter=8, n_points=2, random_state=0, optimizer_kwargs=kwargs, **options
    )


def kill_one(client, done):
    """Kill a worker once the cluster is busy and the other worker has copies of its arrays."""
    pids = client.run(os.getpid)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        data = [
            holders for key, holders in client.who_has().items() if str(key).startswith("ndarray")
        ]
        alone = {holders[0] for holders in data if len(holders) == 1}
        spare = [pid for worker, pid in pids.items() if worker not in alone]
        if spare and sum(map(len, client.processing().values())):
            time.sleep(0.2)
            os.kill(spare[0], signal.SIGKILL)
            done.append(spare[0])
            return
        time.sleep(0.01)


def search_on_cluster(strategy):
    with joblib.parallel_config(backend="dask", scatter=EVERYWHERE):
        return make_search(strategy).fit(X, Y)


@pytest.mark.parametrize("strategy", ["grid", "bayes"])
def test_losing_a_worker_does_not_change_the_result(strategy, client):
    client.wait_for_workers(2, timeout=60)
    serial = make_search(strategy).set_params(n_jobs=1).fit(X, Y)
    killed = []
    killer = threading.Thread(target=kill_one, args=(client, killed))
    killer.start()
    try:
        parallel = search_on_cluster(strategy)
    except distributed.client.FutureCancelledError:
        # On a busy machine, arrays that only the killed worker had may be lost for good. Repeat the
        # search on a restarted cluster, as a user would.
        client.restart()
        parallel = search_on_cluster(strategy)
    killer.join()
    assert killed
    for name in ("mean_test_score", "std_test_score"):
        np.testing.assert_array_equal(parallel.cv_results_[name], serial.cv_results_[name])
    assert list(parallel.cv_results_["params"]) == list(serial.cv_results_["params"])
    np.testing.assert_array_equal(parallel.predict_proba(X), serial.predict_proba(X))


def make_ensemble():
    network = MLPClassifier((8,), max_iter=20, cv=3, early_stopping=True, random_state=0)
    estimators = [
        ("network", make_pipeline(StandardScaler(), network)),
        ("wide", make_pipeline(StandardScaler(), clone(network).set_params(activation="tanh"))),
        ("linear", make_pipeline(StandardScaler(), LogisticRegression())),
    ]
    return WeightedEnsembleClassifier(estimators, cv=3, refit=False, n_jobs=2, random_state=0)


def test_an_ensemble_has_the_same_bits_if_a_worker_is_lost(client):
    client.wait_for_workers(2, timeout=60)
    serial = make_ensemble().set_params(n_jobs=1).fit(X, Y)
    killed = []
    killer = threading.Thread(target=kill_one, args=(client, killed))
    killer.start()
    try:
        with joblib.parallel_config(backend="dask", scatter=[X, Y]):
            parallel = make_ensemble().fit(X, Y)
    except distributed.client.FutureCancelledError:
        client.restart()
        with joblib.parallel_config(backend="dask", scatter=[X, Y]):
            parallel = make_ensemble().fit(X, Y)
    killer.join()
    assert killed
    for name in ("weights_", "oof_prediction_", "estimator_scores_"):
        np.testing.assert_array_equal(getattr(parallel, name), getattr(serial, name))
    np.testing.assert_array_equal(parallel.predict_proba(X), serial.predict_proba(X))


def test_tasks_of_an_ensemble_share_their_arrays(monkeypatch):
    """Joblib sends an array only once if it is an argument of its own, and the same object."""
    tasks = []

    class Recording(fitting.Parallel):
        def __call__(self, delayed):
            calls = list(delayed)
            tasks.extend(arguments for _, arguments, _ in calls)
            return super().__call__(calls)

    monkeypatch.setattr(fitting, "Parallel", Recording)
    make_ensemble().fit(X, Y, sample_weight=np.ones(len(X)))
    assert len(tasks) == 5
    for arguments in tasks:
        arrays = [a for a in arguments if isinstance(a, np.ndarray) and a.nbytes > 1000]
        # Features, targets, training set and test set of three splits, and weights.
        assert len(arrays) == 9
        assert {id(a) for a in arrays} == {id(a) for a in tasks[0] if isinstance(a, np.ndarray)}
        others = [a for a in arguments if not isinstance(a, np.ndarray)]
        assert len(pickle.dumps(others)) < 10_000
