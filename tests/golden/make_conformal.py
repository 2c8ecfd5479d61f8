"""Write conformal.json: intervals of MAPIE, for the tests of sknn_adam.conformal.

This script does not import sknn_adam. To regenerate the file:

    pip install mapie==1.6.0 scikit-learn==1.9.1
    python tests/golden/make_conformal.py
"""

import json
from importlib.metadata import version
from pathlib import Path

from mapie.regression import CrossConformalRegressor
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold

COVERAGES = (0.5, 0.8, 0.95)


def main():
    X, y = load_diabetes(return_X_y=True)
    X, y, new = X[:61], y[:61], X[61:71]
    intervals = {}
    for coverage in COVERAGES:
        model = CrossConformalRegressor(
            LinearRegression(), confidence_level=coverage, method="plus", cv=KFold(4)
        )
        found = model.fit_conformalize(X, y).predict_interval(new)[1]
        intervals[str(coverage)] = found[:, :, 0].tolist()
    versions = {name: version(name) for name in ("mapie", "scikit-learn", "numpy")}
    result = {"versions": versions, "intervals": intervals}
    path = Path(__file__).parent / "conformal.json"
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
