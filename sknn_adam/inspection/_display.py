"""What the displays share: finding the estimator, and axes to draw on."""

from typing import Any

from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

INSIDE = ("best_estimator_", "regressor_", "estimator_", "classifier_", "estimator")


def fitted_network(estimator: Any) -> Any:
    """Return the fitted MLPClassifier or MLPRegressor inside an estimator.

    Parameters
    ----------
    estimator : estimator
        The MLP itself, a Pipeline that ends with one, a search (its ``best_estimator_``), or a
        meta-estimator with one fitted estimator, such as TransformedTargetRegressor.

    Returns
    -------
    MLPClassifier or MLPRegressor
        The network itself, not a copy.

    Raises
    ------
    NotFittedError
        If there is no fitted MLP inside.
    TypeError
        If it is no estimator.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.inspection import fitted_network
    >>> model = make_pipeline(StandardScaler(), MLPClassifier(max_iter=2, random_state=0))
    >>> type(fitted_network(model.fit(*load_iris(return_X_y=True)))).__name__
    'MLPClassifier'
    """
    found = estimator
    while not hasattr(found, "history_"):
        if hasattr(found, "steps"):
            found = found.steps[-1][1]
            continue
        name = next((name for name in INSIDE if hasattr(found, name)), None)
        if name is None:
            break
        found = getattr(found, name)
    if hasattr(found, "history_"):
        return found
    if isinstance(found, BaseEstimator):
        raise NotFittedError(
            f"{type(estimator).__name__} holds no fitted MLPClassifier or MLPRegressor. Call fit "
            "first (of a search, with refit=True), and give a Pipeline whose last step is an MLP."
        )
    raise TypeError(
        "A fitted MLPClassifier or MLPRegressor, or a Pipeline or search that holds one, is "
        f"wanted. Got {type(estimator).__name__}."
    )


def check_matplotlib(name: str) -> Any:
    """Return ``matplotlib.pyplot``; an ImportError says how to get it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{name} needs matplotlib. Install it, or the extra 'plot': "
            "pip install 'sknn_adam[plot]'."
        ) from error
    return plt
