"""The methods that ``benchmarks score`` compares: estimators of this package and of others.

Each method is a function of a `Problem` that returns an unfitted estimator. All use their default
parameters and one thread. The packages of the others are imported when a method is made.
"""

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from time import process_time
from typing import Any
from unittest.mock import patch

import numpy as np
from sklearn.compose import (
    TransformedTargetRegressor,
    make_column_selector,
    make_column_transformer,
)
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.neural_network import MLPRegressor as TheirRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder, StandardScaler

from benchmarks._tables import Bundled
from sknn_adam import MLPClassifier, MLPRegressor, make_tabular_pipeline
from sknn_adam.ensemble import fitting, make_tabular_ensemble


@dataclass
class Problem:
    """A table for which estimators are made.

    Parameters
    ----------
    classify : bool
        Whether the target is a class.
    seed : int
        Random state of the estimators.
    prepare : transformer
        Unfitted transformer that scales numbers and one-hot encodes categories.
    categories : list
        Names of the categorical columns.
    """

    classify: bool
    seed: int
    prepare: Any
    categories: list

    @property
    def kind(self) -> str:
        return "classifier" if self.classify else "regressor"

    def choose(self, classifier, regressor):
        return classifier if self.classify else regressor


def problem(X, task, seed, prepare):
    """Return the problem for a table with the columns of X."""
    categories = list(X.select_dtypes(exclude="number"))
    return Problem(task == "classification", seed, prepare, categories)


# -- this package --------------------------------------------------------------------------------


def recipe(name, task):
    return make_tabular_pipeline(task.kind, recipe=name, random_state=task.seed)


def ensemble(include, task):
    return make_tabular_ensemble(task.kind, include=include, random_state=task.seed)


def stock(task):
    model = task.choose(MLPClassifier, MLPRegressor)(random_state=task.seed)
    return make_pipeline(task.prepare, model)


@contextmanager
def networks_fitted_once(results: dict):
    """Reuse the networks of one ensemble in another one with the same folds.

    `results` has the fits so far. The context yields a list to which the CPU seconds of each reused
    fit are added.
    """
    saved: list[float] = []
    original = fitting.fit_network

    def fit(name, *args):
        if name in results:
            saved.append(results[name][1])
        else:
            start = process_time()
            results[name] = original(name, *args), process_time() - start
        return results[name][0]

    with patch.object(fitting, "fit_network", fit):
        yield saved


# -- others --------------------------------------------------------------------------------------


def sklearn_mlp(task):
    if task.classify:
        model = TheirClassifier(random_state=task.seed)
    else:
        regressor = TheirRegressor(random_state=task.seed)
        model = TransformedTargetRegressor(regressor, transformer=StandardScaler())
    return make_pipeline(task.prepare, model)


def hist_gradient_boosting(task):
    """Return scikit-learn's boosting with native categories.

    It supports at most 255 levels, so the rarest levels of larger columns share one.
    """
    boosting = task.choose(HistGradientBoostingClassifier, HistGradientBoostingRegressor)
    model = boosting(categorical_features=list(range(len(task.categories))), random_state=task.seed)
    codes = OrdinalEncoder(
        max_categories=255,
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
    )
    return make_pipeline(
        make_column_transformer((codes, task.categories), remainder="passthrough"), model
    )


def numbered(X):
    """Return a table with numbered columns. LightGBM does not support all characters in names."""
    return X.set_axis([f"x{i}" for i in range(X.shape[1])], axis=1)


def with_text(X):
    """Return a table with categories as strings; missing ones are a level."""
    return X.assign(
        **{name: X[name].astype(object).fillna("missing") for name in X.select_dtypes("category")}
    )


def lightgbm(task):
    from lightgbm import LGBMClassifier, LGBMRegressor

    model = task.choose(LGBMClassifier, LGBMRegressor)
    made = model(n_jobs=1, verbose=-1, random_state=task.seed)
    return make_pipeline(FunctionTransformer(numbered), made)


def catboost(task):
    from catboost import CatBoostClassifier, CatBoostRegressor

    model = task.choose(CatBoostClassifier, CatBoostRegressor)(
        cat_features=task.categories,
        random_seed=task.seed,
        thread_count=1,
        allow_writing_files=False,
        verbose=0,
    )
    return make_pipeline(FunctionTransformer(with_text), model)


def chimeraboost(task):
    from chimeraboost import ChimeraBoostClassifier, ChimeraBoostRegressor

    model = task.choose(ChimeraBoostClassifier, ChimeraBoostRegressor)(
        cat_features=task.categories or None,
        random_state=task.seed,
        thread_count=1,
        ensemble_n_jobs=1,
    )
    return make_pipeline(FunctionTransformer(with_text), model)


def pytabkit(name, task):
    import pytabkit

    model = getattr(pytabkit, f"{name}_{task.kind.capitalize()}")
    # Neither RealMLP nor TabM supports missing numbers.
    impute = make_column_transformer(
        (SimpleImputer(strategy="median"), make_column_selector(dtype_include="number")),
        remainder="passthrough",
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    return make_pipeline(impute, model(random_state=task.seed, device="cpu", n_threads=1))


METHODS = {
    "fast": partial(recipe, "fast"),
    "default": partial(recipe, "default"),
    "best": partial(ensemble, ("networks",)),
    "best and boosting": partial(ensemble, ("networks", "boosting")),
    "MLP": stock,
    "scikit-learn MLP": sklearn_mlp,
    "HistGradientBoosting": hist_gradient_boosting,
    "LightGBM": lightgbm,
    "CatBoost": catboost,
    "ChimeraBoost": chimeraboost,
    "RealMLP_TD": partial(pytabkit, "RealMLP_TD"),
    "TabM_D": partial(pytabkit, "TabM_D"),
}
OURS = ("fast", "default", "best", "best and boosting", "MLP")
ENSEMBLES = ("best", "best and boosting")
# The argument of ``fit`` that takes groups, for methods that cross-fit.
GROUPS = {"default": "model__groups", **dict.fromkeys(ENSEMBLES, "groups")}
PACKAGES = {
    "LightGBM": "lightgbm",
    "CatBoost": "catboost",
    "ChimeraBoost": "chimeraboost",
    "RealMLP_TD": "pytabkit",
    "TabM_D": "pytabkit",
}


def installed(names):
    """Return the methods whose packages are installed, and print a line for each other one."""
    missing = {name: PACKAGES[name] for name in names if not _is_installed(name)}
    for name, package in missing.items():
        print(f"{name} is skipped, because the package {package} is not installed.", flush=True)
    return [name for name in names if name not in missing]


def _is_installed(name) -> bool:
    return name not in PACKAGES or find_spec(PACKAGES[name]) is not None


def warm_up(name, target):
    """Fit a method to about 100 samples, so that no timed fit imports or compiles anything.

    Compiled loops differ between targets with two classes, with more, and with numbers. The table
    has a missing number and a categorical column.
    """
    table = {"binary": "breast_cancer", "multiclass": "iris", "regression": "diabetes"}[target]
    source = Bundled()
    X, y, task = source.load(table)
    step = len(X) // 100
    X, y = X.iloc[::step].reset_index(drop=True), y[::step]
    levels = np.where(np.arange(len(X)) % 3, "a", "b")
    X = X.assign(level=levels).astype({"level": "category"})
    X.iloc[5, 0] = np.nan
    METHODS[name](problem(X, task, 0, source.preprocess(table))).fit(X, y).predict(X)
    if name == "ChimeraBoost":
        # It compiles some loops for larger tables only.
        from chimeraboost import warmup

        warmup()
