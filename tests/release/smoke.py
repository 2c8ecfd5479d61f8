"""Check the features of an installed package with at most one extra; run by `.ci/release`.

    python tests/release/smoke.py nothing README.md
    python tests/release/smoke.py onnx

The script fails if a feature does not work, or if the package was imported from a checkout.
"""

import importlib.metadata
import json
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sknn_adam
from sknn_adam import MLPClassifier, MLPRegressor, from_sklearn

X, y = load_iris(return_X_y=True)
NET = MLPClassifier((8,), max_iter=5, random_state=0)


def nothing(readme):
    """Run the README's code and the bug report; check that errors name the missing extras."""
    import doctest
    import re
    import runpy

    blocks = re.findall(r"^```python\n(.*?)^```$", Path(readme).read_text(), re.DOTALL | re.M)
    assert len(blocks) >= 4
    names = {}
    for block in blocks:
        if block.startswith(">>>"):
            test = doctest.DocTestParser().get_doctest(block, names, "README", None, 0)
            runner = doctest.DocTestRunner()
            runner.run(test, clear_globs=False)
            assert runner.failures == 0
            names.update(test.globs)
        else:
            exec(block, names)
    assert names["search"].best_score_ > 0.9
    runpy.run_module("sknn_adam", run_name="__main__")
    from sklearn.neural_network import MLPClassifier as Theirs

    theirs = Theirs(max_iter=9).fit(X, y)
    assert (from_sklearn(theirs).predict(X) == theirs.predict(X)).all()
    from sknn_adam.arrow import encode_dataset
    from sknn_adam.inspection import TrainingCurveDisplay
    from sknn_adam.onnx import register
    from sknn_adam.persistence import save
    from sknn_adam.search import results_frame

    pipeline = make_pipeline(StandardScaler(), NET)
    for extra, call in {
        "onnx": register,
        "secure": lambda: save(NET, "model.skops"),
        "large": lambda: encode_dataset("a.parquet", pipeline, target="y", directory="encoded"),
        "search": lambda: results_frame(names["search"]),
        "plot": lambda: TrainingCurveDisplay.from_estimator(NET.fit(X, y)),
    }.items():
        message = ""
        try:
            call()
        except ImportError as error:
            message = str(error)
        assert extra in message, f"{extra}: {message or 'works without its packages'}"


def fast():
    """Check that formulas are compiled."""
    import os

    os.environ["SKNN_ADAM_KERNELS"] = "fused"
    model = MLPRegressor((32,), warm_start=True, random_state=0).fit(X, X[:, 0])
    assert type(model._run.network.kernels).__name__ == "FusedKernels"
    assert model.score(X, X[:, 0]) > 0.5


def plot():
    """Draw two plots."""
    import matplotlib

    matplotlib.use("agg")
    from sknn_adam.inspection import GradientFlowDisplay, TrainingCurveDisplay

    model = MLPClassifier((8,), record="all", max_iter=5).fit(X, y)
    assert TrainingCurveDisplay.from_estimator(model).ax_.lines
    GradientFlowDisplay.from_estimator(model)


def progress():
    """Fit with scikit-learn's progress bar."""
    from sklearn.callback import ProgressBar

    MLPClassifier((8,), max_iter=5).set_callbacks(ProgressBar()).fit(X, y)


def search():
    """Convert the results of a search to a table, and save and load them."""
    from sklearn.model_selection import RandomizedSearchCV

    from sknn_adam.search import load_results, results_frame, save_results, search_space

    space = search_space(NET, "random")
    found = RandomizedSearchCV(NET, space, n_iter=3, cv=2, random_state=0).fit(X, y)
    save_results(found, "search.json")
    assert len(load_results("search.json")) == len(results_frame(found)) == 3


def optuna():
    """Run an Optuna search with a search space of this package."""
    from optuna_integration import OptunaSearchCV

    from sknn_adam.search import search_space

    space = search_space(NET, "optuna")
    OptunaSearchCV(NET, space, n_trials=3, cv=2, random_state=0).fit(X, y)


def distributed():
    """Run a grid search on Dask workers."""
    import joblib
    from dask.distributed import Client
    from sklearn.model_selection import GridSearchCV

    with (
        Client(processes=False, n_workers=1, dashboard_address=None),
        joblib.parallel_config(backend="dask"),
    ):
        GridSearchCV(NET, {"alpha": [0.1, 0.01]}, cv=2).fit(X, y)


def onnx():
    """Convert a pipeline to ONNX and run it with onnxruntime."""
    import onnxruntime
    from skl2onnx import to_onnx

    from sknn_adam.onnx import register

    register()
    model = make_pipeline(StandardScaler(), NET).fit(X, y)
    inputs = X.astype(np.float32)
    converted = to_onnx(model, inputs[:1], options={"zipmap": False})
    session = onnxruntime.InferenceSession(converted.SerializeToString())
    _, found = session.run(None, {"X": inputs})
    assert np.abs(found - model.predict_proba(inputs)).max() < 1e-5


def secure():
    """Save a pipeline to an archive and load it."""
    from sknn_adam.persistence import load, save

    model = make_pipeline(StandardScaler(), NET).fit(X, y)
    save(model, "model.skops")
    assert (load("model.skops").predict_proba(X) == model.predict_proba(X)).all()


def large():
    """Encode a Parquet file and train a network on it."""
    import pandas as pd

    from sknn_adam import make_tabular_pipeline
    from sknn_adam.arrow import encode_dataset

    table = pd.DataFrame(X, columns=list("abcd")).assign(kind=np.array(["x", "y", "z"])[y])
    table.to_parquet("table.parquet")
    model = make_tabular_pipeline("classifier", recipe="fast", random_state=0)
    data = encode_dataset("table.parquet", model, target="kind", directory="encoded")
    model[-1].fit(data.X, data.y)
    assert model.score(table.drop(columns="kind"), table["kind"]) > 0.9


if __name__ == "__main__":
    extra, *arguments = sys.argv[1:]
    arguments = [str(Path(argument).resolve()) for argument in arguments]
    assert "site-packages" in sknn_adam.__file__, sknn_adam.__file__
    import os

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        warnings.simplefilter("ignore")
        globals()[extra](*arguments)
        os.chdir("/")
    names = sorted({d.metadata["Name"].lower() for d in importlib.metadata.distributions()})
    print(json.dumps({"extra": extra, "packages": len(names), "works": True}))
