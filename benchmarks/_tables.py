"""Sources of tables: scikit-learn's bundled data sets, OpenML data sets, or a folder.

Each source has the dict ``TASKS`` and the functions ``load``, ``splits`` and ``preprocess``. A
folder defines them in a module ``realdata.py``.
"""

import importlib.util
import os
from pathlib import Path

import numpy as np
from sklearn import datasets
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

BUNDLED = {
    "iris": "classification",
    "wine": "classification",
    "breast_cancer": "classification",
    "digits": "classification",
    "diabetes": "regression",
}


class Bundled:
    """Small tables that ship with scikit-learn, whose documentation has sources and licences."""

    def __init__(self):
        self.TASKS = dict(BUNDLED)

    def fetch(self, name):
        """Return X and y."""
        return getattr(datasets, f"load_{name}")(return_X_y=True, as_frame=True)

    def load(self, name):
        """Return X as a DataFrame, y as class indices or floats, and the task."""
        X, y = self.fetch(name)
        if self.TASKS[name] == "classification":
            return X, np.unique(y, return_inverse=True)[1], "classification"
        return X, np.asarray(y, float), "regression"

    def splits(self, name):
        """Return one random split: the indices of 75 % training and 25 % test samples."""
        _, y, task = self.load(name)
        stratify = y if task == "classification" else None
        return [train_test_split(np.arange(len(y)), random_state=0, stratify=stratify)]

    def preprocess(self, name):
        """Return an unfitted transformer that scales numbers and one-hot encodes categories."""
        return make_column_transformer(
            (
                make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
                make_column_selector(dtype_include="number"),
            ),
            (
                OneHotEncoder(handle_unknown="ignore", min_frequency=5, sparse_output=False),
                make_column_selector(dtype_exclude="number"),
            ),
            sparse_threshold=0,
        )


class OpenML(Bundled):
    """OpenML data sets with the given IDs, downloaded and cached by scikit-learn."""

    def __init__(self, numbers):
        self.TASKS = {}
        for number in numbers:
            numeric = self.fetch(number)[1].dtype.kind in "if"
            self.TASKS[number] = "regression" if numeric else "classification"

    def fetch(self, name):
        """Return X and y."""
        return datasets.fetch_openml(data_id=int(name), as_frame=True, return_X_y=True)


def load_tables(data: str):
    """Return the source of tables selected by ``--data``."""
    if data == "bundled":
        return Bundled()
    names = data.split(",")
    if all(name.isdigit() for name in names):
        return OpenML(names)
    folders = data.split(os.pathsep)
    if len(folders) > 1:
        # The module in the first folder reads the tables of all folders.
        os.environ["REALDATA_DIR"] = data
    path = Path(folders[0]).resolve() / "realdata.py"
    if not path.exists():
        raise SystemExit(
            f"--data must be 'bundled', IDs of OpenML data sets ('31,1464'), or a folder with a "
            f"realdata.py. Got {data!r}."
        )
    spec = importlib.util.spec_from_file_location("realdata", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
