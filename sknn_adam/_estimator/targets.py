"""Target types of classification: classes, their encoding, and predictions from raw outputs."""

from abc import abstractmethod
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d

from sknn_adam._utils.validation import check_labels, with_ordinary_size
from sknn_adam.losses import ClassificationLoss, Loss
from sknn_adam.losses.multioutput import PerColumn

__all__ = ["Classes", "Multiclass", "Multilabel", "Multioutput", "learn_classes"]


class UnseenClasses(ValueError):
    """Error for labels outside the known classes; `held_out` is the message for y_val."""

    def __init__(self, found: np.ndarray, known: np.ndarray):
        super().__init__(
            f"y has classes that were missing in the first call: {found!r}. Known classes: "
            f"{known!r}. Pass all of them in the first partial_fit(..., classes=...), or set "
            "warm_start=False."
        )
        self.held_out = (
            f"y_val has classes that y lacks: {found!r}. Known classes: {known!r}. Remove these "
            "samples from X_val and y_val, or add samples of these classes to X and y."
        )


def _as_1d(y: np.ndarray, warn: bool = False) -> np.ndarray:
    """Return `y` as a vector if it is a single column."""
    return column_or_1d(y, warn=warn) if y.ndim == 2 and y.shape[1] == 1 else y


class Classes:
    """Base class of the target types of classification.

    Attributes
    ----------
    columns : list of ndarray
        The classes of each column of y; for multilabel targets, 0 and 1 for each label.
    """

    numeric: ClassVar[bool] = False
    shape: ClassVar[str]  # description of y in messages
    several: ClassVar[bool] = True  # whether y has several columns
    exclusive: ClassVar[bool] = True  # whether a sample has one class per column
    columns: list[np.ndarray]

    @staticmethod
    def check(y: Any) -> None:
        """Raise ValueError for missing or masked targets."""
        check_labels(y)

    @staticmethod
    def learn(estimator: Any, y: np.ndarray, weight: Any, loss: Loss, classes: Any) -> "Classes":
        """Return the target type of the first `y`, with its classes.

        It includes the classes of samples with weight zero.
        """
        check_labels(classes, "classes")
        return learn_classes(y, classes)

    @property
    def classes(self) -> Any:
        """The estimator's attribute ``classes_``."""
        return self.columns

    def published(self) -> dict[str, Any]:
        """Return the fitted attributes of an estimator with these targets."""
        return {"classes_": self.classes, "n_outputs_": self.n_outputs}

    @property
    def n_outputs(self) -> int:
        """The estimator's attribute ``n_outputs_``."""
        return len(self.columns)

    def per_network(self, estimator: Any, y: np.ndarray, weights: Any, loss: Loss) -> "Classes":
        """Return these targets: all networks have the same classes."""
        return self

    def of(self, members: Any) -> "Classes":
        """Return these targets: all members have the same classes."""
        return self

    def loss(self, loss: ClassificationLoss) -> ClassificationLoss:
        """Return the loss to train with."""
        return loss

    # -- targets --------------------------------------------------------------------------------

    def encode(
        self, y: np.ndarray, loss: Loss, classes: Any = None, learned: bool = False
    ) -> np.ndarray:
        """Return `y` in the form that the loss needs: class codes, or a matrix of labels.

        Parameters
        ----------
        y : ndarray
            Targets.
        loss : Loss
            Ignored.
        classes : array-like, or list of array-like, optional
            If given, must equal the known classes.
        learned : bool, default=False
            Whether the classes were learned from `y`.
        """
        y = _as_1d(y, warn=True)
        target_type = type(self) if learned else self._type_of(y)
        if target_type is not type(self) or (y.ndim == 2 and y.shape[1] != len(self.columns)):
            width = f" with {len(self.columns)} columns" if self.several else ""
            raise ValueError(
                f"y must be {self.shape}{width}, as in the first fit. Got {target_type.shape} of "
                f"shape {y.shape}."
            )
        return self._encoded(y, None if learned else classes)

    def _type_of(self, y: np.ndarray) -> "type[Classes]":
        return _target_type(y)

    @abstractmethod
    def _encoded(self, y: np.ndarray, classes: Any) -> np.ndarray:
        """Return the codes of `y`, which has this target type."""

    def _codes(self, columns: Any, classes: Any) -> list[np.ndarray]:
        """Return the class codes of each column."""
        for known, given in () if classes is None else zip(self.columns, classes, strict=True):
            if not np.array_equal(np.unique(given), known):
                raise ValueError(
                    f"classes={given!r} differs from the classes of the first call: {known!r}."
                )
        return [_encode(known, found) for known, found in zip(self.columns, columns, strict=True)]

    def check_resumed(self, y: Any) -> None:
        """Raise ValueError if training cannot be resumed with the classes of `y`."""

    def missing(self, y: np.ndarray) -> list:
        """Return the classes that `y` lacks; an empty list if `y` has several columns."""
        return []

    def weights(self, estimator: Any, weight: Any, codes: np.ndarray, partial: bool = False) -> Any:
        """Return sample weights times class weights, multiplied over columns.

        Parameters
        ----------
        estimator : MLPClassifier
            Its ``class_weight`` is a dict, a list of dict or "balanced", which gives all classes
            of a column the same total weight.
        weight : ndarray of shape (n_samples,), optional
            Sample weights.
        codes : ndarray
            The encoded targets.
        partial : bool, default=False
            Whether the samples may be a subset, as in ``partial_fit``.
        """
        class_weight = estimator.class_weight
        if class_weight is None:
            return weight
        if partial and class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all samples. For partial_fit, pass a dict."
            )
        columns = codes.reshape(len(codes), -1).astype(int).T
        given = class_weight
        if class_weight == "balanced":
            given = ["balanced"] * len(columns)
        elif not self.several:
            given = [class_weight]
        if (
            not isinstance(given, list)
            or len(given) != len(columns)
            or not all(isinstance(value, dict) or str(value) == "balanced" for value in given)
        ):
            expected = f"'balanced' or a list of {len(columns)} dicts, one per column of y"
            expected = expected if self.several else "'balanced' or a dict"
            raise ValueError(f"class_weight must be {expected}. Got {class_weight!r}.")
        weight = np.ones(len(codes)) if weight is None else weight
        product = np.array(weight, dtype=np.float64)
        for known, column, value in zip(self.columns, columns, given, strict=True):
            factors = with_ordinary_size(_per_class(known, column, weight, value)[column])
            product = with_ordinary_size(product * factors)
        if not (np.isfinite(product).all() and (product >= 0).all() and product.any()):
            raise ValueError(
                "class_weight must result in finite, non-negative weights with a positive sum. Got "
                f"{class_weight!r}."
            )
        return product

    # -- predictions ----------------------------------------------------------------------------

    def by_output(self, loss: Any, z: np.ndarray) -> list[np.ndarray]:
        """Return raw outputs, split by column if each column has separate outputs."""
        return [z]

    def collected(self, columns: list) -> Any:
        """Return the results of all columns in the form that estimator methods return."""
        return columns[0]

    def combine(self, loss: Any, z: np.ndarray) -> np.ndarray:
        """Return raw outputs (n_samples, n_raw) of the members' mean probabilities."""
        return z if z.ndim == 2 else loss.combine(z, self.exclusive)

    def predictions(self, loss: Any, z: np.ndarray, dtype: Any = None) -> Any:
        """Return probabilities."""
        p = [loss.predict(raw) for raw in self.by_output(loss, self.combine(loss, z))]
        for k, classes in enumerate(self.columns):
            if len(classes) == 1:
                p[k] = np.ones_like(p[k][:, :1])
        return self.collected(p)

    def decisions(self, loss: Any, z: np.ndarray) -> Any:
        """Return log-odds or unnormalized log-probabilities."""
        columns = self.by_output(loss, self.combine(loss, z))
        return self.collected([raw.ravel() if raw.shape[1] == 1 else raw for raw in columns])

    def labels(self, loss: Any, z: np.ndarray) -> np.ndarray:
        """Return predicted labels."""
        columns = []
        for classes, raw in zip(
            self.columns, self.by_output(loss, self.combine(loss, z)), strict=True
        ):
            code = (raw[:, 0] > 0).astype(int) if raw.shape[1] == 1 else raw.argmax(axis=1)
            # With a single class, code 1 has no class.
            columns.append(classes[np.minimum(code, len(classes) - 1)])
        return np.stack(columns, axis=1) if self.several else columns[0]


class Multiclass(Classes):
    """A single column of exclusive classes.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Targets.
    classes : array-like, optional
        All classes, if `y` can lack some.
    """

    shape = "labels of shape (n_samples,)"
    several = False

    def __init__(self, y: np.ndarray, classes: Any = None):
        self.columns = [np.unique(y if classes is None else np.asarray(classes))]

    @property
    def classes(self) -> np.ndarray:
        """Classes of the only column."""
        return self.columns[0]

    @property
    def n_outputs(self) -> int:
        """Number of classes, or 1 for two classes."""
        return len(self.classes) if len(self.classes) > 2 else 1

    def _encoded(self, y: np.ndarray, classes: Any) -> np.ndarray:
        return self._codes([y], None if classes is None else [classes])[0]

    def check_resumed(self, y: Any) -> None:
        """Raise ValueError if the classes of `y` differ from those of the previous fit."""
        classes = np.unique(np.asarray(y))
        if not np.array_equal(classes, self.classes):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the "
                f"previous call to fit. Previously got {self.classes}, `y` has {classes}"
            )

    def missing(self, y: np.ndarray) -> list:
        """Return the classes that `y` lacks."""
        return np.setdiff1d(self.classes, y).tolist()


class Multilabel(Classes):
    """Labels that are not exclusive, as a 0/1 matrix.

    Parameters
    ----------
    y : ndarray of shape (n_samples, n_labels)
        Targets.
    classes : object
        Ignored.
    """

    shape = "a 0/1 matrix of shape (n_samples, n_labels)"
    exclusive = False

    def __init__(self, y: np.ndarray, classes: Any = None):
        self.columns = [np.arange(2)] * y.shape[1]

    @property
    def classes(self) -> np.ndarray:
        """Indices of the labels."""
        return np.arange(len(self.columns))

    def _encoded(self, y: np.ndarray, classes: Any) -> np.ndarray:
        return y.astype(np.float64)

    def predictions(self, loss: Any, z: np.ndarray, dtype: Any = None) -> np.ndarray:
        """Return the probability of each label."""
        return loss.predict(self.combine(loss, z), exclusive=False)

    def decisions(self, loss: Any, z: np.ndarray) -> np.ndarray:
        """Return log-odds."""
        return self.combine(loss, z)

    def labels(self, loss: Any, z: np.ndarray) -> np.ndarray:
        """Return a 0/1 matrix of the labels with a probability above 0.5."""
        return (self.combine(loss, z) > 0).astype(int)


class Multioutput(Classes):
    """Several columns, each with its own exclusive classes.

    Parameters
    ----------
    y : ndarray of shape (n_samples, n_outputs)
        Targets.
    classes : list of array-like, optional
        All classes of each column, if `y` can lack some.
    """

    shape = "columns of labels, shape (n_samples, n_outputs)"

    def __init__(self, y: np.ndarray, classes: Any = None):
        given = [None] * y.shape[1] if classes is None else list(classes)
        if len(given) != y.shape[1]:
            raise ValueError(f"classes must be a list with the classes of {y.shape[1]} columns.")
        self.columns = [np.unique(y[:, k] if c is None else c) for k, c in enumerate(given)]

    def loss(self, loss: ClassificationLoss) -> ClassificationLoss:
        """Return the sum of the losses of the columns."""
        return PerColumn(loss, [len(classes) for classes in self.columns])

    def _type_of(self, y: np.ndarray) -> type[Classes]:
        # A few samples may contain only 0 and 1, and would then look like multilabel targets.
        return Multioutput if y.ndim == 2 else _target_type(y)

    def _encoded(self, y: np.ndarray, classes: Any) -> np.ndarray:
        return np.stack(self._codes(y.T, classes), axis=1)

    def by_output(self, loss: Any, z: np.ndarray) -> list[np.ndarray]:
        """Return the raw outputs of each column."""
        return loss.by_output(z)

    def collected(self, columns: list) -> list:
        """Return a list with one result per column."""
        return columns


def _target_type(y: np.ndarray) -> type[Classes]:
    kind = type_of_target(y, input_name="y")
    if kind != "binary":
        check_classification_targets(y)
    types: Any = {"multilabel-indicator": Multilabel, "multiclass-multioutput": Multioutput}
    target_type = types.get(kind, Multiclass)
    if target_type is Multilabel and not np.isin(y, (0, 1)).all():
        return Multioutput  # columns with two values other than 0 and 1, such as -1 and 1
    return target_type


def learn_classes(y: np.ndarray, classes: Any = None) -> Classes:
    """Return the target type of `y` with its classes."""
    y = _as_1d(y)
    cls: Any = _target_type(y)
    return cls(y, classes)


def _encode(known: np.ndarray, found: np.ndarray) -> np.ndarray:
    codes = np.searchsorted(known, found)
    codes[codes == len(known)] = 0
    unseen = known[codes] != found
    if unseen.any():
        raise UnseenClasses(np.unique(found[unseen]), known)
    return codes


def _per_class(known: np.ndarray, codes: np.ndarray, weight: np.ndarray, given: Any) -> np.ndarray:
    """Return the weight of each class of a column."""
    if isinstance(given, str):
        totals = np.bincount(codes, weight, minlength=len(known))
        present = totals > 0
        totals[~present] = 1  # not used; avoids a division by zero
        return np.where(present, weight.sum() / (present.sum() * totals), 1.0)
    names = known.tolist()
    unknown, rest = [n for n in given if n not in names], [n for n in names if n not in given]
    # As in scikit-learn, class_weight may name classes that y lacks, because y may be a subset. But
    # if some class has no weight, an unknown name is probably misspelled.
    if unknown and rest:
        raise ValueError(
            f"class_weight names {unknown!r}, but the classes are {names!r}. Add weights for "
            f"{rest!r}, or remove the unknown names."
        )
    weights = [given.get(name, 1) for name in names]
    if not all(isinstance(weight, Real) for weight in weights):
        raise ValueError(f"The weights in class_weight must be numbers. Got {given!r}.")
    return np.array(weights, dtype=np.float64)
