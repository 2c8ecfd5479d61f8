"""The same searches on a Dask cluster of two processes on this machine."""

import itertools
import os
import signal
import threading
import time
import warnings

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknn_adam import MLPClassifier
from sknn_adam.search import search_space

distributed = pytest.importorskip("distributed")
X, Y = (part[:400] for part in load_digits(return_X_y=True))
MODEL = make_pipeline(StandardScaler(), MLPClassifier((8,), max_iter=20, random_state=0))
FOLDS = list(StratifiedKFold(3).split(X, Y))
# As docs/scaling.md says: what every task needs goes to every worker. Otherwise joblib sends each
# array to one of them, and it is lost with that one.
EVERYWHERE = [X, Y, *itertools.chain(*FOLDS)]

pytestmark = pytest.mark.filterwarnings(
    "ignore", "ignore::pytest.PytestUnraisableExceptionWarning"
)  # Dask's own, of workers that die


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


def make(kind):
    options = {"cv": FOLDS, "n_jobs": 2, "error_score": "raise"}
    if kind == "grid":
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
    """Kill a worker once the cluster is at work, and what data it has the other one has too."""
    pids = client.run(os.getpid)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        data = [who for key, who in client.who_has().items() if str(key).startswith("ndarray")]
        alone = {who[0] for who in data if len(who) == 1}
        spare = [pid for worker, pid in pids.items() if worker not in alone]
        if spare and sum(map(len, client.processing().values())):
            time.sleep(0.2)
            os.kill(spare[0], signal.SIGKILL)
            done.append(spare[0])
            return
        time.sleep(0.01)


def search_there(kind):
    with joblib.parallel_config(backend="dask", scatter=EVERYWHERE):
        return make(kind).fit(X, Y)


@pytest.mark.parametrize("kind", ["grid", "bayes"])
def test_a_cluster_that_loses_a_worker_gives_the_serial_result(kind, client):
    client.wait_for_workers(2, timeout=60)
    serial = make(kind).set_params(n_jobs=1).fit(X, Y)
    killed = []
    killer = threading.Thread(target=kill_one, args=(client, killed))
    killer.start()
    try:
        there = search_there(kind)
    except distributed.client.FutureCancelledError:
        # On a busy machine what the worker alone had may be gone for good: once more, as one would,
        # without what is left of the first try.
        client.restart()
        there = search_there(kind)
    killer.join()
    assert killed
    for name in ("mean_test_score", "std_test_score"):
        np.testing.assert_array_equal(there.cv_results_[name], serial.cv_results_[name])
    assert list(there.cv_results_["params"]) == list(serial.cv_results_["params"])
    np.testing.assert_array_equal(there.predict_proba(X), serial.predict_proba(X))
