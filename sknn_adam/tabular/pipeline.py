"""Ready-made pipeline for tables: preparation of the columns, then a network."""

from typing import Any

from sklearn import config_context
from sklearn.base import BaseEstimator
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler, OneHotEncoder

from sknn_adam._component.registry import did_you_mean
from sknn_adam._estimator.base import BaseMLP
from sknn_adam.classifier import MLPClassifier
from sknn_adam.preprocessing import PiecewiseLinearEncoder, SmoothClipScaler
from sknn_adam.regressor import MLPRegressor
from sknn_adam.tabular.columns import Holding, Words, as_dates, names_of_dates
from sknn_adam.tabular.levels import encode_levels
from sknn_adam.tabular.recipes import RECIPES
from sknn_adam.tabular.tables import Columns
from sknn_adam.tabular.text import TextEncoder

__all__ = ["make_tabular_pipeline"]

NETWORKS: dict[str, type[BaseMLP]] = {"classifier": MLPClassifier, "regressor": MLPRegressor}
ROUTED = ("sample_weight", "X_val", "y_val", "sample_weight_val")


def make_tabular_pipeline(
    estimator: Any,
    *,
    recipe: str = "default",
    column_types: Any = None,
    random_state: Any = None,
    memory: Any = None,
    transform_input: Any = None,
    verbose: bool = False,
) -> Pipeline:
    """Make a Pipeline for raw tables with numbers, categories, dates, text and missing values.

    Parameters
    ----------
    estimator : {"classifier", "regressor"} or estimator
        A name selects a network with the parameters of the recipe; an estimator keeps its own.
    recipe : {"default", "fast"}, default="default"
        Parameters of the network. ``"fast"`` takes about as long as scikit-learn's MLP;
        ``"default"`` cross-fits 8 networks and scores better. See also `make_tabular_ensemble`.
    column_types : dict of str or int to str, optional
        Types of columns, by name or position: ``"number"``, ``"date"``, ``"boolean"``,
        ``"category"``, ``"text"``, or ``"identifier"`` for a column that is left out.
    random_state : int, RandomState instance or None, default=None
        Random state of the network, unless an estimator is passed, and of the encoders.
    memory, transform_input, verbose : object
        Parameters of the Pipeline. ``transform_input=["X_val"]`` also transforms the validation
        data of ``fit``.

    Returns
    -------
    Pipeline
        The steps are ``"columns"``, a ColumnTransformer, and ``"model"``, the estimator. X can be
        a pandas or polars dataframe, an array, or a sparse matrix.

    Raises
    ------
    ValueError
        If a name is unknown.
    TypeError
        If `estimator` is neither a name nor an estimator, or if ``fit`` gets an unsupported column.

    Notes
    -----
    ``fit`` finds the type of each column (``model["columns"].column_types_``):

    * numbers: `SimpleImputer`, `SmoothClipScaler` and `PiecewiseLinearEncoder`;
    * categories and booleans with up to 30 levels: one-hot encoding, in which levels with fewer
      than 5 rows share a column with unseen levels, and missing values are a level;
    * categories with more levels: the cross-fitted mean of each target, or the frequency of each
      class [1]_, and the logarithm of the level's count, scaled;
    * dates: days since 1970 and the position in the year, week and day, like numbers;
    * free text: `TextEncoder`; identifiers are left out.

    With metadata routing, ``sample_weight``, ``X_val``, ``y_val`` and ``sample_weight_val`` of
    ``fit`` are passed to the network.
    The target encoder has folds of its own, so ``oof_score_`` can be optimistic with many levels.

    References
    ----------
    .. [1] Micci-Barreca, D. (2001). A preprocessing scheme for high-cardinality categorical
       attributes in classification and prediction problems. SIGKDD Explorations 3(1).

    Examples
    --------
    >>> import numpy as np
    >>> from sknn_adam import make_tabular_pipeline
    >>> X = np.array([[1.0, "red"], [2.0, "blue"], [np.nan, "red"], [4.0, None]] * 10, dtype=object)
    >>> y = ["no", "yes", "no", "yes"] * 10
    >>> model = make_tabular_pipeline("classifier", recipe="fast", random_state=0).fit(X, y)
    >>> model.predict(np.array([[1.5, "red"], [3.5, "green"]], dtype=object)).shape
    (2,)
    """
    # Networks compute in float32 unless the table is small. Other estimators may need all digits.
    dtype = "auto" if isinstance(estimator, str) else None
    network = _network(estimator, recipe, random_state)
    columns = _prepare_columns(network, column_types, dtype, random_state)
    steps = [("columns", columns), ("model", network)]
    # Without a value, the default of the installed scikit-learn applies.
    options = {} if transform_input is None else {"transform_input": transform_input}
    return Pipeline(steps, memory=memory, verbose=verbose, **options)


def _network(estimator: Any, recipe: str, random_state: Any) -> Any:
    """Return the estimator for a name, or the given one, with its metadata requests."""
    for name, value, known in (("recipe", recipe, RECIPES), ("estimator", estimator, NETWORKS)):
        if isinstance(value, str) and value not in known:
            hint = did_you_mean(value, known)
            if value == "best":
                hint = " The most accurate estimator is sknn_adam.ensemble.make_tabular_ensemble."
            raise ValueError(
                f"{value!r} is not a known {name}.{hint} Known names: {', '.join(known)}."
            )
    if isinstance(estimator, str):
        params = {"random_state": random_state, **RECIPES[recipe]}
        estimator = NETWORKS[estimator]().set_params(**params)
    if not isinstance(estimator, BaseEstimator):
        raise TypeError(
            "The 'estimator' parameter of make_tabular_pipeline must be 'classifier', 'regressor' "
            f"or an estimator. Got {estimator!r} instead."
        )
    if isinstance(estimator, BaseMLP):
        # Requests have no effect until routing is enabled, but cannot be set before.
        with config_context(enable_metadata_routing=True):
            estimator.set_fit_request(**dict.fromkeys(ROUTED, True))
    return estimator


def _prepare_columns(
    estimator: Any, column_types: Any, dtype: str | None, random_state: Any
) -> Columns:
    """Return the ColumnTransformer that prepares the columns."""

    def numbers() -> list[tuple[str, Any]]:
        impute = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
        return [
            ("impute", impute),
            ("scale", SmoothClipScaler()),
            ("bins", PiecewiseLinearEncoder(dtype=dtype)),
        ]

    def words(encode: Any) -> list[tuple[str, Any]]:
        return [("words", Words()), ("encode", encode)]

    one_hot = OneHotEncoder(
        min_frequency=5, handle_unknown="infrequent_if_exist", sparse_output=False
    )
    many = [*words(encode_levels(estimator, random_state)), ("scale", SmoothClipScaler())]
    dates = FunctionTransformer(as_dates, feature_names_out=names_of_dates)
    return Columns(
        [
            ("numbers", Pipeline(numbers()), Holding("numbers")),
            ("sparse", MaxAbsScaler(), Holding("sparse")),
            ("few", Pipeline(words(one_hot)), Holding("few")),
            ("many", Pipeline(many), Holding("many")),
            ("dates", Pipeline([("parts", dates), *numbers()]), Holding("dates")),
            ("text", TextEncoder(random_state=random_state), Holding("text")),
        ],
        column_types=column_types,
        dtype=dtype,
        # Output names without the prefix of the step. Duplicates do not raise an error.
        verbose_feature_names_out="{feature_name}",
    )
