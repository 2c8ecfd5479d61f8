"""Search spaces, made from the ranges that components declare."""

import inspect
import warnings
from dataclasses import dataclass, field
from typing import Any

from sklearn.base import BaseEstimator, clone
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from sknn_adam._component.base import Component
from sknn_adam._component.ranges import SIZES, Choices, Range
from sknn_adam._component.registry import did_you_mean
from sknn_adam._estimator.base import BaseMLP
from sknn_adam._estimator.parameters import parse_sizes
from sknn_adam._utils.optional import optional
from sknn_adam.optimizers import OPTIMIZERS
from sknn_adam.search.distributions import distribution_over

__all__ = ["search_space"]

BRANCHES = ("adam", "adamw", "nesterov", "rmsprop")  # the optimizers of a large space
OF_MINIBATCHES = {"batch_size", "dropout", "schedule", "gradient_clip", "averaging", "n_members"}
RESCALERS = (StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler)
SCALERS = (*RESCALERS, QuantileTransformer, PowerTransformer)


def search_space(
    estimator: Any,
    method: str = "random",
    *,
    include: Any = None,
    exclude: Any = None,
    size: str = "default",
    scalers: bool = False,
    n_iter: int | None = None,
) -> Any:
    """Return a search space for the networks inside an estimator.

    Parameters
    ----------
    estimator : estimator
        MLPClassifier or MLPRegressor, or anything that holds one: a Pipeline, a
        TransformedTargetRegressor, a column transformer, an ensemble. It is not changed.
    method : {"random", "grid", "bayes", "optuna"}, default="random"
        The search that takes it: RandomizedSearchCV or HalvingRandomSearchCV; GridSearchCV or
        HalvingGridSearchCV; scikit-optimize's BayesSearchCV; OptunaSearchCV of
        optuna-integration.
    include : str or list of str, default=None
        Parameters to search instead of those of `size`: whole names
        (``"mlp__optimizer__learning_rate"``) or their ends (``"learning_rate"``).
    exclude : str or list of str, default=None
        Parameters to leave out.
    size : {"small", "default", "large"}, default="default"
        ``"small"`` makes a grid of at most 24 candidates; ``"default"`` adds regularization,
        activation, batch size, schedule; ``"large"`` the rest and the choice of the optimizer.
    scalers : bool, default=False
        Whether the scaler of the Pipeline (or column transformer) is searched too: none,
        standard, to (0, 1), to (-1, 1), robust, to 50 quantiles of a normal distribution.
    n_iter : int, default=None
        Candidates of a ``"bayes"`` search over several subspaces, 50 if None; otherwise not used.
        scikit-optimize takes it with the subspaces and ignores its own ``n_iter``.

    Returns
    -------
    dict or list
        Of the form that the search takes. With several optimizers, a list of dicts, so that no
        candidate has a parameter that its optimizer lacks; for ``"bayes"`` a list of pairs
        ``(dict, n_iter)`` that add up to `n_iter`; for ``"optuna"``, which has no subspaces, one
        dict of the parameters that all of them have.

    Raises
    ------
    ValueError
        If there is no network inside, a name is unknown, or nothing is left to search.
    ImportError
        If the package of the search is missing.

    Notes
    -----
    The ranges are the attribute ``ranges`` of estimators and components: learning rates from a
    tenth of the optimizer's default to ten times it; widths, depths and dropout as in [1]_.

    References
    ----------
    .. [1] Gorishniy, Y., Rubachev, I., Khrulkov, V., Babenko, A. (2021). Revisiting deep
       learning models for tabular data. NeurIPS.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sknn_adam import MLPClassifier
    >>> from sknn_adam.search import search_space
    >>> model = make_pipeline(StandardScaler(), MLPClassifier())
    >>> space = search_space(model, "grid", size="small")
    >>> space["mlpclassifier__optimizer__learning_rate"]
    [0.00032, 0.001, 0.0032]
    """
    for name, value, allowed in (("method", method, (*CONVERTERS,)), ("size", size, SIZES)):
        if value not in allowed:
            raise ValueError(
                f"The '{name}' parameter of search_space must be one of {allowed}. "
                f"Got {value!r} instead."
            )
    subspaces = _subspaces(estimator, _as_list(include), _as_list(exclude) or [], size, scalers)
    return _as_taken(subspaces, method, n_iter)


def _subspaces(
    estimator: Any, include: list[str] | None, exclude: list[str], size: str, scalers: bool
) -> list[dict[str, Any]]:
    """Return the ranges by the names of the parameters, one dict per choice of optimizers."""
    networks = _networks_in(estimator)
    if not networks:
        raise ValueError(
            "There is no MLPClassifier or MLPRegressor (an instance) to search in "
            f"{type(estimator).__name__}."
        )
    subspaces: list[dict[str, Any]] = [{}]
    known: set[str] = set()
    for prefix, network in networks.items():
        choice = _Choice(prefix, network, include, exclude, size)
        branches = choice.branches()
        known |= choice.known
        subspaces = [{**subspace, **branch} for subspace in subspaces for branch in branches]
    if scalers:
        found = _scalers(estimator)
        known |= set(found)
        kept = {name: choices for name, choices in found.items() if not _is_in(name, exclude)}
        subspaces = [{**kept, **subspace} for subspace in subspaces]
    for given in [*(include or []), *exclude]:
        if not any(_is_in(name, [given]) for name in known):
            ends = known | {name.rpartition("__")[2] for name in known}
            raise ValueError(
                f"{given!r} names no parameter with a range.{did_you_mean(given, ends)} "
                f"Known are: {', '.join(sorted(known))}."
            )
    if not any(subspaces):
        raise ValueError("The search space is empty: include more or exclude less.")
    return subspaces


def _as_list(given: Any) -> list[str] | None:
    return [given] if isinstance(given, str) else None if given is None else list(given)


def _is_in(name: str, given: list[str]) -> bool:
    """Whether the name, or its end, is given."""
    return any(name == end or name.endswith(f"__{end}") for end in given)


def _networks_in(estimator: Any) -> dict[str, BaseMLP]:
    """Return the networks in an estimator by the prefix of their parameters."""
    if isinstance(estimator, BaseMLP):
        return {"": estimator}
    if not isinstance(estimator, BaseEstimator):
        raise TypeError(
            f"search_space wants an estimator, not {type(estimator).__name__}."
            + " Pass an instance, not the class." * isinstance(estimator, type)
        )
    params = estimator.get_params(deep=True)
    return {f"{name}__": value for name, value in params.items() if isinstance(value, BaseMLP)}


@dataclass
class _Choice:
    """The ranges of one network that are searched."""

    prefix: str
    network: BaseMLP
    include: list[str] | None
    exclude: list[str]
    size: str
    known: set[str] = field(default_factory=set)

    def takes(self, name: str, smallest: str) -> bool:
        """Whether a parameter is searched; remember that it could be."""
        name = f"{self.prefix}{name}"
        self.known.add(name)
        if _is_in(name, self.exclude):
            return False
        if self.include is not None:
            return _is_in(name, self.include)
        return SIZES.index(smallest) <= SIZES.index(self.size)

    def branches(self) -> list[dict[str, Any]]:
        """Return names and ranges, one dict for every optimizer."""
        own = {n: r for n, r in self.network.ranges.items() if self.takes(n, r.size)}
        own = self._same_depth(own)
        for name in self.network._tables:
            if name not in ("optimizer", *own):
                own |= self._nested(name, getattr(self.network, name))
        optimizers: dict[type, Any] = {}
        several = self.takes("optimizer", "large")
        for optimizer in [self.network.optimizer, *(BRANCHES if several else ())]:
            optimizers.setdefault(type(OPTIMIZERS.make(optimizer)), optimizer)
        found = []
        for optimizer in optimizers.values():
            branch = dict(own)
            if OPTIMIZERS.make(optimizer).full_batch:
                branch = {n: r for n, r in own.items() if n not in OF_MINIBATCHES}
            if several:
                branch["optimizer"] = Choices((optimizer,))
            branch |= self._nested("optimizer", optimizer)
            found.append({f"{self.prefix}{name}": r for name, r in branch.items()})
        return found

    def _nested(self, name: str, value: Any) -> dict[str, Any]:
        component = self.network._component(name, value)
        if not isinstance(component, Component):
            return {}
        defaults = inspect.signature(type(component)).parameters
        found = {}
        for key, declared in component.ranges.items():
            if self.takes(f"{name}__{key}", declared.size):
                default = defaults[key].default
                required = default is inspect.Parameter.empty
                default = getattr(component, key) if required else default
                found[f"{name}__{key}"] = declared.around(default)
        return found

    def _same_depth(self, own: dict[str, Any]) -> dict[str, Any]:
        """Keep the depth where another parameter has one value for each layer."""
        sizes = own.get("hidden_layer_sizes")
        by_layer = any(
            name not in own and isinstance(getattr(self.network, name), list | tuple)
            for name in ("activation", "dropout")
        )
        if sizes is None or not by_layer:
            return own
        depth = len(parse_sizes(self.network.hidden_layer_sizes))
        values, grid = (
            tuple(v for v in found if len(parse_sizes(v)) == depth)
            for found in (sizes.values, sizes.grid)
        )
        if values:
            return {**own, "hidden_layer_sizes": Choices(values, sizes.size, grid)}
        return {n: r for n, r in own.items() if n != "hidden_layer_sizes"}


def _scalers(estimator: Any) -> dict[str, Choices]:
    """Return the scalers to choose from, by the name of the step that has one."""
    params = {} if isinstance(estimator, BaseMLP) else estimator.get_params(deep=True)
    params[""] = estimator
    options = (
        StandardScaler(),
        MinMaxScaler(),
        MinMaxScaler((-1, 1)),
        RobustScaler(),
        QuantileTransformer(n_quantiles=50, output_distribution="normal"),
    )
    found = {}
    for name, value in params.items():
        holder = params.get(name.rpartition("__")[0])
        is_step = hasattr(holder, "steps") or hasattr(holder, "transformers")
        if isinstance(value, SCALERS) and is_step:
            others = (clone(option) for option in options if repr(option) != repr(value))
            found[name] = Choices(("passthrough", value, *others))
    if not found:
        raise ValueError(
            "scalers=True, but no Pipeline or column transformer in the estimator has a scaler "
            "of scikit-learn as a step. Put one in: make_pipeline(StandardScaler(), mlp)."
        )
    return found


# -- the form that each search takes ----------------------------------------------------------


def _grid(found: Any) -> Any:
    return found.points()


def _distribution(found: Any) -> Any:
    return list(found.values) if isinstance(found, Choices) else distribution_over(found)


def _dimension(found: Any) -> Any:
    space = optional("skopt.space", "method='bayes'", "scikit-optimize")
    if isinstance(found, Choices):
        return space.Categorical(list(found.values))
    return space.Real(found.low, found.high, prior="log-uniform" if found.log else "uniform")


def _optuna_distribution(found: Any) -> Any:
    distributions = optional("optuna.distributions", "method='optuna'", "Optuna", "optuna")
    if not isinstance(found, Choices):
        return distributions.FloatDistribution(found.low, found.high, log=found.log)
    with warnings.catch_warnings():  # objects cannot be stored in a data base
        warnings.simplefilter("ignore", UserWarning)
        return distributions.CategoricalDistribution(found.values)


CONVERTERS = {
    "random": _distribution,
    "grid": _grid,
    "bayes": _dimension,
    "optuna": _optuna_distribution,
}


def _as_taken(subspaces: list[dict[str, Any]], method: str, n_iter: int | None) -> Any:
    """Return the space in the form that the search takes."""
    if method == "optuna":
        subspaces = [_in_common(subspaces)]
    convert = CONVERTERS[method]
    spaces = [{name: convert(r) for name, r in subspace.items()} for subspace in subspaces]
    if len(spaces) == 1:
        return spaces[0]
    if method != "bayes":
        return spaces
    total = 50 if n_iter is None else int(n_iter)
    if total < len(spaces):
        raise ValueError(f"n_iter must be at least {len(spaces)}, one per subspace. Got {n_iter}.")
    each, rest = divmod(total, len(spaces))
    return [(space, each + (i < rest)) for i, space in enumerate(spaces)]


def _in_common(subspaces: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the parameters that all subspaces have, over the union of their ranges."""
    found: dict[str, Any] = {}
    for name in subspaces[0]:
        if not all(name in subspace for subspace in subspaces):
            continue
        declared = [subspace[name] for subspace in subspaces]
        if isinstance(declared[0], Choices):
            values = [value for choices in declared for value in choices.values]
            unique = [v for i, v in enumerate(values) if not any(v is u for u in values[:i])]
            found[name] = Choices(tuple(unique))
        else:
            low, high = min(r.low for r in declared), max(r.high for r in declared)
            found[name] = Range(low, high, log=declared[0].log)
    return found
