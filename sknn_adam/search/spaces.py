"""Search spaces built from the ranges that components declare."""

import inspect
import warnings
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
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
from sknn_adam._utils.optional import optional
from sknn_adam.layers import Layers
from sknn_adam.optimizers import OPTIMIZERS
from sknn_adam.search.distributions import Dimension, distribution_over, with_advice

__all__ = ["search_space"]

BRANCHES = ("adam", "adamw", "nesterov", "rmsprop")  # the optimizers of a large space
OF_MINIBATCHES = {"batch_size", "dropout", "schedule", "gradient_clip", "averaging", "n_members"}
LAYERS = "hidden_layer_sizes"
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
    """Build a search space for the networks inside an estimator.

    Parameters
    ----------
    estimator : estimator
        MLPClassifier or MLPRegressor, or an estimator that contains one, such as a Pipeline, a
        TransformedTargetRegressor or an ensemble. It is unchanged.
    method : {"random", "grid", "bayes", "optuna"}, default="random"
        The search to build the space for: ``"random"`` for RandomizedSearchCV and
        HalvingRandomSearchCV, ``"grid"`` for GridSearchCV and HalvingGridSearchCV, ``"bayes"`` for
        scikit-optimize's BayesSearchCV, ``"optuna"`` for OptunaSearchCV of optuna-integration.
    include : str or list of str, default=None
        Parameters to search instead of those that `size` selects: full names
        (``"mlp__optimizer__learning_rate"``) or their suffixes (``"learning_rate"``).
    exclude : str or list of str, default=None
        Parameters to exclude.
    size : {"small", "default", "large"}, default="default"
        Size of the space. ``"small"`` gives a grid of at most 24 candidates. ``"default"`` adds
        regularization, activation, batch size, schedule and epochs. ``"large"`` adds all other
        parameters and the choice of the optimizer.
    scalers : bool, default=False
        Whether to search the scaler of the Pipeline (or column transformer) too: none, standard,
        min-max to (0, 1) or (-1, 1), robust, or 50 quantiles to a normal distribution.
    n_iter : int, default=None
        Total number of candidates for ``"bayes"`` with several subspaces, 50 if None; not used
        otherwise. scikit-optimize takes the numbers from the subspaces and ignores its own
        ``n_iter``.

    Returns
    -------
    dict or list
        The space in the form that the search takes. With several optimizers, it is a list of dicts,
        so that no candidate has a parameter that its optimizer lacks. For ``"bayes"``, it is then a
        list of pairs ``(dict, n_iter)`` whose numbers add up to `n_iter`. Optuna does not support
        subspaces: for ``"optuna"``, it is one dict with the parameters common to all subspaces.

    Raises
    ------
    ValueError
        If `estimator` contains no network, a name is unknown, or the space is empty.
    ImportError
        If the package of the search is not installed.

    Notes
    -----
    The ranges are those in the attribute ``ranges`` of estimators and components. Learning rates
    range from a tenth of the optimizer's default to ten times the default. Widths, depths and
    dropout are chosen as in [1]_.

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
            raise ValueError(f"{value!r} is not a known {name}. Known names: {', '.join(allowed)}.")
    subspaces = _subspaces(estimator, _as_list(include), _as_list(exclude) or [], size, scalers)
    return _converted(subspaces, method, n_iter)


def _subspaces(
    estimator: Any, include: list[str] | None, exclude: list[str], size: str, scalers: bool
) -> list[dict[str, Any]]:
    """Return ranges by parameter name, one dict per combination of optimizers."""
    networks = _networks_in(estimator)
    if not networks:
        raise ValueError(
            f"{type(estimator).__name__} contains no instance of MLPClassifier or MLPRegressor to "
            "search."
        )
    subspaces: list[dict[str, Any]] = [{}]
    known: set[str] = set()
    for prefix, network in networks.items():
        choice = _Choice(prefix, network, include, exclude, size)
        branches = choice.branches()
        known |= choice.known
        subspaces = [{**subspace, **branch} for subspace in subspaces for branch in branches]
    if scalers:
        options = _scalers(estimator)
        known |= set(options)
        kept = {name: choices for name, choices in options.items() if not _is_in(name, exclude)}
        subspaces = [{**kept, **subspace} for subspace in subspaces]
    for given in [*(include or []), *exclude]:
        if not any(_is_in(name, [given]) for name in known):
            ends = known | {name.rpartition("__")[2] for name in known}
            raise ValueError(
                f"{given!r} is not a known search parameter.{did_you_mean(given, ends)} "
                f"Known names: {', '.join(sorted(known))}."
            )
    if not any(subspaces):
        raise ValueError("The search space is empty. Include more parameters or exclude fewer.")
    return subspaces


def _as_list(given: Any) -> list[str] | None:
    return [given] if isinstance(given, str) else None if given is None else list(given)


def _is_in(name: str, given: list[str]) -> bool:
    """Return whether a name or its suffix is in `given`.

    The hidden layers are searched as a whole by their own name.
    """
    names = [name, name.rpartition("__")[0]] if f"{LAYERS}__" in name else [name]
    return any(name == end or name.endswith(f"__{end}") for end in given for name in names)


def _networks_in(estimator: Any) -> dict[str, BaseMLP]:
    """Return the networks in an estimator by the prefix of their parameters."""
    if isinstance(estimator, BaseMLP):
        return {"": estimator}
    if not isinstance(estimator, BaseEstimator):
        raise TypeError(
            f"search_space requires an estimator. Got {type(estimator).__name__}."
            + " Pass an instance, not the class." * isinstance(estimator, type)
        )
    params = estimator.get_params(deep=True)
    return {f"{name}__": value for name, value in params.items() if isinstance(value, BaseMLP)}


@dataclass
class _Choice:
    """Selection of the ranges to search for one network."""

    prefix: str
    network: BaseMLP
    include: list[str] | None
    exclude: list[str]
    size: str
    known: set[str] = field(default_factory=set)

    def takes(self, name: str, smallest: str) -> bool:
        """Return whether to search a parameter, and record its name as known."""
        name = f"{self.prefix}{name}"
        self.known.add(name)
        if _is_in(name, self.exclude):
            return False
        if self.include is not None:
            return _is_in(name, self.include)
        return SIZES.index(smallest) <= SIZES.index(self.size)

    def branches(self) -> list[dict[str, Any]]:
        """Return ranges by parameter name, one dict per optimizer."""
        own = {n: r for n, r in self.network.ranges.items() if self.takes(n, r.size)}
        own |= self._hidden_layers(own)
        for name in self.network._tables:
            if name not in ("optimizer", LAYERS, *own):
                own |= self._nested(name, getattr(self.network, name))
        optimizers: dict[type, Any] = {}
        several = self.takes("optimizer", "large")
        for optimizer in [self.network.optimizer, *(BRANCHES if several else ())]:
            optimizers.setdefault(type(OPTIMIZERS.make(optimizer)), optimizer)
        branches = []
        for optimizer in optimizers.values():
            branch = dict(own)
            if OPTIMIZERS.make(optimizer).full_batch:
                branch = {n: r for n, r in own.items() if n not in OF_MINIBATCHES}
            if several:
                branch["optimizer"] = Choices((optimizer,))
            branch |= self._nested("optimizer", optimizer)
            branches.append({f"{self.prefix}{name}": r for name, r in branch.items()})
        return branches

    def _nested(self, name: str, value: Any) -> dict[str, Any]:
        component = self.network._component(name, value)
        if not isinstance(component, Component):
            return {}
        defaults = inspect.signature(type(component)).parameters
        ranges = {}
        for key, declared in component.ranges.items():
            if self.takes(f"{name}__{key}", declared.size):
                default = defaults[key].default
                required = default is inspect.Parameter.empty
                default = getattr(component, key) if required else default
                ranges[f"{name}__{key}"] = declared.around(default)
        return ranges

    def _hidden_layers(self, own: dict[str, Any]) -> dict[str, Any]:
        """Return ranges of width and depth; of width only if others have one value per layer."""
        sizes = self.network.hidden_layer_sizes
        by_layer = any(
            name not in own and isinstance(getattr(self.network, name), list | tuple)
            for name in ("activation", "dropout")
        )
        if self.network._component(LAYERS, sizes) is not None:
            ranges = self._nested(LAYERS, sizes)
            return {n: r for n, r in ranges.items() if not (by_layer and n == f"{LAYERS}__depth")}
        # Other sizes have no width and depth.
        ranges = {} if by_layer else self._nested(LAYERS, Layers())
        return {LAYERS: Choices((Layers(),)), **ranges} if ranges else {}


def _scalers(estimator: Any) -> dict[str, Choices]:
    """Return the scalers to choose from, by name of the step that contains a scaler."""
    params = {} if isinstance(estimator, BaseMLP) else estimator.get_params(deep=True)
    params[""] = estimator
    options = (
        StandardScaler(),
        MinMaxScaler(),
        MinMaxScaler((-1, 1)),
        RobustScaler(),
        QuantileTransformer(n_quantiles=50, output_distribution="normal"),
    )
    choices = {}
    for name, value in params.items():
        holder = params.get(name.rpartition("__")[0])
        is_step = hasattr(holder, "steps") or hasattr(holder, "transformers")
        if isinstance(value, SCALERS) and is_step:
            others = (clone(option) for option in options if repr(option) != repr(value))
            choices[name] = Choices(("passthrough", value, *others))
    if not choices:
        raise ValueError(
            "scalers=True requires a Pipeline or column transformer with a scikit-learn scaler as "
            "a step. Add one, for example with make_pipeline(StandardScaler(), mlp)."
        )
    return choices


# -- conversion for each search ---------------------------------------------------------------


def _grid(declared: Any) -> Any:
    return declared.points()


def _distribution(declared: Any) -> Any:
    if isinstance(declared, Choices):
        return list(declared.values)
    return _whole_numbers(declared) if declared.integer else distribution_over(declared)


def _whole_numbers(declared: Range) -> list[int]:
    """Return whole numbers of a range, spaced so that a uniform choice follows its scale."""
    if not declared.log:
        return list(range(int(declared.low), int(declared.high) + 1))
    spaced = np.geomspace(declared.low, declared.high, 64).round().astype(int)
    return np.unique(spaced).tolist()


def _dimension(declared: Any) -> Any:
    instead = (
        "You can also use method='optuna' with OptunaSearchCV, "
        "or method='random' with RandomizedSearchCV."
    )
    space = optional("skopt.space", "method='bayes'", "scikit-optimize", instead=instead)
    if isinstance(declared, Choices):
        return space.Categorical(list(declared.values))
    dimension = space.Integer if declared.integer else space.Real
    prior = "log-uniform" if declared.log else "uniform"
    return dimension(declared.low, declared.high, prior=prior)


def _optuna_distribution(declared: Any) -> Any:
    distributions = optional("optuna.distributions", "method='optuna'", "Optuna", "optuna")
    if not isinstance(declared, Choices):
        kind = "IntDistribution" if declared.integer else "FloatDistribution"
        return getattr(distributions, kind)(declared.low, declared.high, log=declared.log)
    # Optuna warns that it cannot store objects among the choices in a database.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return distributions.CategoricalDistribution(declared.values)


CONVERTERS = {
    "random": _distribution,
    "grid": _grid,
    "bayes": lambda declared: with_advice(_dimension(declared), Dimension),
    "optuna": _optuna_distribution,
}


def _converted(subspaces: list[dict[str, Any]], method: str, n_iter: int | None) -> Any:
    """Convert subspaces to the form that the search requires."""
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
        raise ValueError(
            f"n_iter must be at least {len(spaces)}, the number of subspaces. Got {n_iter}."
        )
    each, rest = divmod(total, len(spaces))
    return [(space, each + (i < rest)) for i, space in enumerate(spaces)]


def _in_common(subspaces: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the parameters common to all subspaces, with the union of their ranges."""
    common: dict[str, Any] = {}
    for name in subspaces[0]:
        if not all(name in subspace for subspace in subspaces):
            continue
        declared = [subspace[name] for subspace in subspaces]
        if isinstance(declared[0], Choices):
            values = [value for choices in declared for value in choices.values]
            unique = [v for i, v in enumerate(values) if not any(v is u for u in values[:i])]
            common[name] = Choices(tuple(unique))
        else:
            low, high = min(r.low for r in declared), max(r.high for r in declared)
            common[name] = replace(declared[0], low=low, high=high)
    return common
